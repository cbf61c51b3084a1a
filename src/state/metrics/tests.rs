use super::*;
use crate::flow::sample::Bucket;
use proptest::prelude::*;

/// A value of a series, as the mapper finds it.
#[derive(Clone, Debug)]
struct Seen {
    metric: u8,
    grouping: u16,
    key: u16,
    value: f64,
    weight: u32,
}

impl Seen {
    fn name(&self) -> [u8; 2] {
        [b'm', self.metric]
    }
}

/// Does the mapper's part: a dictionary in the order of first samples, then the samples.
fn fold(metrics: &mut Metrics, batch: &[Seen]) {
    let mut owned: Vec<([u8; 2], u16, [u8; 2])> = Vec::new();
    let mut samples = Vec::new();
    for seen in batch {
        let key = (seen.name(), seen.grouping, seen.key.to_be_bytes());
        let series = owned
            .iter()
            .position(|known| *known == key)
            .unwrap_or_else(|| {
                owned.push(key);
                owned.len() - 1
            });
        let bucket = Bucket::of(seen.value);
        samples.push(Sample {
            value: seen.value,
            series: series as u32,
            bucket,
            weight: seen.weight,
        });
    }
    let mut units = UnitSet::default();
    units.insert(Unit::Milliseconds);
    let keys: Vec<SeriesKey<'_>> = owned
        .iter()
        .map(|(metric, grouping, key)| SeriesKey {
            metric,
            grouping: *grouping,
            key,
            units,
        })
        .collect();
    metrics.fold(&keys, &samples);
}

fn of(limit: usize, batches: &[&[Seen]]) -> Metrics {
    let mut metrics = Metrics::new(limit);
    batches.iter().for_each(|batch| fold(&mut metrics, batch));
    metrics
}

type Row = (u16, Option<Vec<u8>>, u64, Option<[f64; 3]>);
type Answer = (Vec<u8>, Vec<Row>, u64, Option<[f64; 3]>);

/// Everything that a report takes from the table, but for the sums.
fn answers(metrics: &Metrics) -> Vec<Answer> {
    let numbers = |histogram: &Histogram| histogram.quantiles([0.0, 0.5, 1.0]);
    let answer = |metric: Metric<'_>| {
        let row = |group: &Group<'_>| {
            let key = group.key.map(<[u8]>::to_vec);
            (
                group.grouping,
                key,
                group.histogram.count(),
                numbers(group.histogram),
            )
        };
        let rows = metric.groups.iter().map(row).collect();
        (
            metric.name.to_vec(),
            rows,
            metric.overall.count(),
            numbers(&metric.overall),
        )
    };
    metrics.metrics().into_iter().map(answer).collect()
}

fn bytes(metrics: &Metrics) -> Vec<u8> {
    rmp_serde::to_vec(metrics).unwrap()
}

fn samples() -> impl Strategy<Value = Vec<Seen>> {
    let value = prop_oneof![
        8 => (-3f64..9.0).prop_map(|power| 10f64.powf(power)),
        4 => (0u8..40).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => Just(-1.5),
        1 => Just(1e14),
    ];
    let weight = prop_oneof![9 => Just(1u32), 1 => 2u32..2000];
    let seen = (0u8..3, 0u16..2, 0u16..60, value, weight).prop_map(
        |(metric, grouping, key, value, weight)| Seen {
            metric,
            grouping,
            key,
            value,
            weight,
        },
    );
    prop::collection::vec(seen, 0..2500)
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![Just(LIMIT_DEFAULT), 0usize..60_000]
}

/// Past the limit: the fixed part of three metrics in two groupings with what their `other` rows
/// count apart, and the widening of one log at its conversion.
const SLACK: usize = 6 * 400 + 16_384;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn batches_play_no_part(samples in samples(), limit in limit(), step in 1usize..700) {
        let whole = of(limit, &[&samples]);
        let cut = of(limit, &samples.chunks(step).collect::<Vec<_>>());
        prop_assert_eq!(bytes(&cut), bytes(&whole));
        prop_assert!(whole.bytes() <= limit + SLACK, "{} of {limit}", whole.bytes());
    }

    #[test]
    fn totals_are_exact_at_any_limit(samples in samples(), limit in limit()) {
        let metrics = of(limit, &[&samples]);
        for metric in metrics.metrics() {
            for grouping in 0..2 {
                let is_it = |seen: &&Seen| seen.name() == *metric.name && seen.grouping == grouping && !seen.value.is_nan();
                let want: u64 = samples.iter().filter(is_it).map(|seen| u64::from(seen.weight)).sum();
                let min = samples.iter().filter(is_it).map(|seen| seen.value).reduce(f64::min);
                let groups = || metric.groups.iter().filter(|group| group.grouping == grouping);
                prop_assert_eq!(groups().map(|group| group.histogram.count()).sum::<u64>(), want);
                prop_assert_eq!(groups().filter_map(|group| group.histogram.min()).reduce(f64::min), min);
            }
            prop_assert_eq!(metric.unit, Unit::Milliseconds);
            if limit == LIMIT_DEFAULT {
                prop_assert!(!metric.is_approximate);
            }
        }
        prop_assert_eq!(metrics.refused(), 0);
    }

    #[test]
    fn a_restart_in_the_middle_changes_nothing(samples in samples(), limit in limit(), cut in any::<prop::sample::Index>()) {
        let (left, right) = samples.split_at(cut.index(samples.len() + 1));
        let before = of(limit, &[left]);
        let mut resumed: Metrics = rmp_serde::from_slice(&bytes(&before)).unwrap();
        prop_assert_eq!(resumed.bytes(), before.bytes());
        fold(&mut resumed, right);
        prop_assert_eq!(bytes(&resumed), bytes(&of(limit, &[&samples])));
    }

    #[test]
    fn merge_is_one_after_the_other(samples in samples(), limit in limit(), cut in any::<prop::sample::Index>()) {
        let (left, right) = samples.split_at(cut.index(samples.len() + 1));
        let whole = of(limit, &[&samples]);
        let mut merged = of(limit, &[left]);
        merged.merge(&of(limit, &[right]));
        prop_assert!(merged.bytes() <= limit + SLACK);
        if limit == LIMIT_DEFAULT {
            prop_assert_eq!(answers(&merged), answers(&whole));
        }
        for (merged, whole) in merged.metrics().iter().zip(whole.metrics()) {
            prop_assert_eq!(merged.overall.count(), whole.overall.count());
            let (got, want) = (merged.overall.sum(), whole.overall.sum());
            prop_assert!((got - want).abs() <= want.abs() * 1e-12, "{got} is not {want}");
        }
    }
}

#[test]
fn ten_thousand_lognormal_series_fit_the_limit() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut uniform = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    let keys: Vec<String> = (0..10_000)
        .map(|number| format!("service-{number}"))
        .collect();
    let dictionary: Vec<SeriesKey<'_>> = keys
        .iter()
        .map(|key| SeriesKey {
            metric: b"latency",
            grouping: 0,
            key: key.as_bytes(),
            units: UnitSet::default(),
        })
        .collect();
    let mut metrics = Metrics::new(LIMIT_DEFAULT);
    for _ in 0..1000 {
        let samples: Vec<Sample> = (0..10_000)
            .map(|series| {
                let normal = (-2.0 * (1.0 - uniform()).ln()).sqrt()
                    * (std::f64::consts::TAU * uniform()).cos();
                let value = (3.0 + normal).exp();
                Sample {
                    value,
                    series,
                    bucket: Bucket::of(value),
                    weight: 1,
                }
            })
            .collect();
        metrics.fold(&dictionary, &samples);
    }
    eprintln!("charged: {} bytes", metrics.bytes());
    assert!(!metrics.is_full());
    assert_eq!(metrics.metrics()[0].groups.len(), 10_000);
    assert_eq!(metrics.metrics()[0].overall.count(), 10_000_000);
}

#[test]
fn made_up_metric_names_are_counted_and_not_kept() {
    let mut metrics = Metrics::new(LIMIT_DEFAULT);
    for number in 0..METRICS_MAX + 10 {
        let name = format!("metric-{number}");
        let key = SeriesKey {
            metric: name.as_bytes(),
            grouping: 0,
            key: b"",
            units: UnitSet::default(),
        };
        metrics.fold(
            &[key],
            &[Sample {
                value: 1.0,
                series: 0,
                bucket: Bucket::of(1.0),
                weight: 2,
            }],
        );
    }
    assert_eq!(
        (metrics.metrics().len(), metrics.refused()),
        (METRICS_MAX, 20)
    );
    assert!(metrics.is_full());
}

#[test]
fn a_full_table_keeps_the_busy_series() {
    let mut metrics = Metrics::new(64 << 10);
    let mut batch = Vec::new();
    for round in 0..3000u32 {
        let value = f64::from(round);
        batch.push(Seen {
            metric: 0,
            grouping: 0,
            key: 0,
            value,
            weight: 1,
        });
        batch.push(Seen {
            metric: 0,
            grouping: 0,
            key: (round % 700) as u16 + 1,
            value,
            weight: 1,
        });
    }
    fold(&mut metrics, &batch);
    let report = metrics.metrics();
    let rows = &report[0].groups;
    assert!(report[0].is_approximate);
    assert_eq!(
        (rows[0].key, rows[0].histogram.count()),
        (Some([0, 0].as_slice()), 3000)
    );
    assert_eq!(rows.last().unwrap().key, None);
    assert_eq!(report[0].overall.count(), 6000);
}
