use super::hdr::HdrEncoder;
use super::*;
use hdrhistogram::serialization::Deserializer;
use proptest::prelude::*;

fn of(values: &[f64]) -> Histogram {
    let mut histogram = Histogram::default();
    values
        .iter()
        .for_each(|value| histogram.record(Bucket::of(*value), *value, 1));
    histogram
}

/// The definition, on the sorted samples; the rank in exact integers.
fn exact_quantile(sorted: &[f64], per_mille: u64) -> f64 {
    let rank = (per_mille * sorted.len() as u64).div_ceil(1000).max(1);
    sorted[rank as usize - 1]
}

fn is_close(got: f64, want: f64) -> bool {
    (got - want).abs() <= (want.abs() * 0.001).max(1e-6)
}

fn check_quantiles(values: &[f64]) {
    let histogram = of(values);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    for per_mille in [0, 1, 10, 70, 250, 500, 900, 950, 990, 999, 1000] {
        let got = histogram.quantile(per_mille as f64 / 1000.0).unwrap();
        let want = exact_quantile(&sorted, per_mille);
        assert!(is_close(got, want), "p{per_mille}: {got} is not {want}");
    }
    assert_eq!(histogram.count(), values.len() as u64);
    assert_eq!(
        (histogram.min(), histogram.max()),
        (sorted.first().copied(), sorted.last().copied())
    );
}

/// The counts by bucket, both sides.
fn shape(histogram: &Histogram) -> Vec<(bool, u16, u64)> {
    let mut cells = Vec::new();
    histogram
        .positive
        .for_each(|index, count| cells.push((false, index, count)));
    if let Some(rare) = &histogram.rare {
        rare.negative
            .for_each(|index, count| cells.push((true, index, count)));
    }
    cells
}

fn values() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        -1e3..1e3,
        0.0..1e-3,
        (0i32..500).prop_map(|number| f64::from(number) / 4.0),
        (-6f64..12.9).prop_map(|power| 10f64.powf(power)),
        (-6f64..12.9).prop_map(|power| -10f64.powf(power)),
        Just(0.0),
        Just(2047.5e-6),
    ];
    prop::collection::vec(value, 1..3000)
}

fn data(path: &str) -> Option<std::path::PathBuf> {
    let folder = std::env::var_os("WEIR_SHARED_DATA").map_or_else(
        || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into(),
        std::path::PathBuf::from,
    );
    let path = folder.join(path);
    if !path.exists() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: {} is not there\n", path.display()),
        );
        return None;
    }
    Some(path)
}

#[test]
fn percentiles_of_the_nab_series_are_within_a_thousandth() {
    let Some(folder) = data("nab") else { return };
    let mut series = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "csv") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let values: Vec<f64> = text
            .lines()
            .skip(1)
            .map(|line| line.rsplit_once(',').unwrap().1.parse().unwrap())
            .collect();
        check_quantiles(&values);
        let total = of(&values).sum();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        // Summing in order of size with pairwise halves is a second, independent way.
        assert!(
            (total - pairwise(&sorted)).abs() <= total.abs() * 1e-13,
            "{}",
            path.display()
        );
        series += 1;
    }
    assert!(series >= 10);
}

fn pairwise(values: &[f64]) -> f64 {
    match values {
        [] => 0.0,
        [value] => *value,
        _ => {
            let (left, right) = values.split_at(values.len() / 2);
            pairwise(left) + pairwise(right)
        }
    }
}

#[test]
fn a_quantile_prints_as_the_shortest_number_of_its_bucket() {
    let check = |value: f64, want: &str| {
        let got = of(&[value * 0.5, value, value * 2.0])
            .quantile(0.5)
            .unwrap();
        assert_eq!(got.to_string(), want);
    };
    check(45.0, "45");
    check(45.5, "45.5");
    check(0.134, "0.134");
    check(0.001, "0.001");
    check(1e12, "1000000000000");
    check(251_643.0, "251600");
    check(-12.0, "-12");
    assert_eq!(of(&[0.0, 0.0, 1.0]).quantile(0.5), Some(0.0));
}

#[test]
fn special_values_are_counted_apart() {
    let histogram = of(&[f64::NAN, f64::INFINITY, 1.0, f64::NEG_INFINITY, 1e300]);
    assert_eq!(
        (
            histogram.count(),
            histogram.nan(),
            histogram.infinite(),
            histogram.saturated()
        ),
        (2, 1, 2, 1)
    );
    assert_eq!(
        (histogram.min(), histogram.max(), histogram.sum()),
        (Some(1.0), Some(1e300), 1e300)
    );
    assert_eq!(of(&[]).quantile(0.5), None);
    assert_eq!(of(&[f64::MAX, f64::MAX]).sum(), f64::INFINITY);
}

#[test]
fn the_sum_keeps_what_plain_addition_loses() {
    assert_eq!(of(&[1.0, 1e100, 1.0, -1e100]).sum(), 2.0);
    assert_eq!(of(&vec![0.1; 1_000_000]).sum(), 100_000.0);
}

#[test]
fn a_weight_counts_for_as_many_values() {
    let mut weighted = Histogram::default();
    let mut single = Histogram::default();
    for (value, weight) in [(3.0, 10), (7.0, 300), (-2.0, 5), (9.0, 70_000), (7.0, 1)] {
        weighted.record(Bucket::of(value), value, weight);
        (0..weight).for_each(|_| single.record(Bucket::of(value), value, 1));
    }
    assert_eq!(shape(&weighted), shape(&single));
    assert_eq!(
        (weighted.count(), weighted.sum()),
        (single.count(), single.sum())
    );
    weighted.record(Bucket::of(1.0), 1.0, u64::MAX);
    assert_eq!(weighted.count(), u64::MAX);
    assert_eq!(weighted.quantile(0.5), Some(1.0));
}

#[test]
fn an_empty_histogram_is_readable_too() {
    let decoded: hdrhistogram::Histogram<u64> = Deserializer::new()
        .deserialize(&mut of(&[]).to_hdr_v2(&mut HdrEncoder::default()).as_slice())
        .unwrap();
    assert_eq!(decoded.len(), 0);
    assert_eq!(
        of(&[1.0]).to_hdr_v2_negative(&mut HdrEncoder::default()),
        None
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn quantiles_are_within_a_thousandth_of_the_nearest_rank(values in values()) {
        check_quantiles(&values);
    }

    #[test]
    fn hdrhistogram_reads_what_we_write(values in values()) {
        let histogram = of(&values);
        let mut sides = vec![(1.0, histogram.to_hdr_v2(&mut HdrEncoder::default()))];
        sides.extend(histogram.to_hdr_v2_negative(&mut HdrEncoder::default()).map(|bytes| (-1.0, bytes)));
        for (sign, bytes) in sides {
            let mut oracle = hdrhistogram::Histogram::<u64>::new_with_bounds(1, i64::MAX as u64, 3).unwrap();
            for value in values.iter().filter(|value| (**value < 0.0) == (sign < 0.0)) {
                oracle.record((value.abs() * 1e6).round() as u64).unwrap();
            }
            let decoded: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
            prop_assert_eq!(decoded, oracle);
        }
    }

    #[test]
    fn merging_is_adding(values in values(), cut in any::<prop::sample::Index>()) {
        let (left, right) = values.split_at(cut.index(values.len() + 1));
        let (mut merged, whole) = (of(left), of(&values));
        merged.merge(&of(right));
        prop_assert_eq!(shape(&merged), shape(&whole));
        prop_assert_eq!((merged.count(), merged.min(), merged.max()), (whole.count(), whole.min(), whole.max()));
        let size: f64 = values.iter().map(|value| value.abs()).sum();
        prop_assert!((merged.sum() - whole.sum()).abs() <= size * 1e-15);
    }

    #[test]
    fn a_restart_changes_neither_content_nor_charge(
        values in values(), heavy in prop::option::of(2u64..100_000), cut in any::<prop::sample::Index>(),
    ) {
        let (left, right) = values.split_at(cut.index(values.len() + 1));
        let mut whole = of(left);
        if let Some(weight) = heavy {
            whole.record(Bucket::of(values[0]), values[0], weight);
        }
        let bytes = rmp_serde::to_vec(&whole).unwrap();
        let mut resumed: Histogram = rmp_serde::from_slice(&bytes).unwrap();
        let mut cloned = whole.clone();
        for histogram in [&mut whole, &mut resumed, &mut cloned] {
            let mut budget = Budget { used: histogram.bytes(), limit: usize::MAX };
            for value in right {
                histogram.record_within(Bucket::of(*value), *value, 1, &mut budget).unwrap();
            }
            prop_assert_eq!(budget.used, histogram.bytes());
        }
        prop_assert_eq!(resumed.bytes(), whole.bytes());
        prop_assert_eq!(cloned.bytes(), whole.bytes());
        let again = rmp_serde::to_vec(&whole).unwrap();
        prop_assert_eq!(&rmp_serde::to_vec(&resumed).unwrap(), &again);
        prop_assert_eq!(&rmp_serde::to_vec(&cloned).unwrap(), &again);
    }

    #[test]
    fn any_bytes_may_come_as_a_snapshot(bytes in prop::collection::vec(any::<u8>(), 0..200), place in any::<prop::sample::Index>()) {
        let _ = rmp_serde::from_slice::<Histogram>(&bytes);
        let mut good = rmp_serde::to_vec(&of(&[1.0, -5.0, 1e9])).unwrap();
        let place = place.index(good.len());
        good[place] = bytes.first().copied().unwrap_or(0);
        if let Ok(histogram) = rmp_serde::from_slice::<Histogram>(&good) {
            let _ = histogram.quantile(0.5);
        }
    }
}
