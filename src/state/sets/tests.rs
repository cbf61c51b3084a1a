use super::*;
use crate::flow::key::push;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet as Set};

fn key(value: &str) -> Vec<u8> {
    let mut key = Vec::new();
    push(&mut key, value.as_bytes());
    key
}

fn sets() -> Sets {
    Sets::new(SetSettings {
        name: "vulns".to_owned(),
        key: vec!["server".to_owned()],
    })
}

#[test]
fn findings_are_counted_per_server_and_over_all() {
    let mut sets = sets();
    for (server, vuln) in [
        ("server1", "CVE-1"),
        ("server1", "CVE-2"),
        ("server2", "CVE-2"),
        ("server2", "CVE-3"),
        ("server1", "CVE-1"),
    ] {
        sets.absorb(&key(server), vuln.as_bytes(), 1);
    }
    let rows = sets.rows();
    let shown = |place: usize| {
        let row: &Row<'_> = &rows[place];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let values: Vec<String> = row.values.iter().map(|value| text(value)).collect();
        let key = row
            .key
            .first()
            .map(|(name, value)| format!("{name}={}", text(value)));
        format!(
            "{} {} {} {}",
            key.unwrap_or_default(),
            row.count,
            row.records,
            values.join(",")
        )
    };
    assert_eq!(rows.len(), 3);
    assert_eq!(shown(0), "server=server1 2 3 CVE-1,CVE-2");
    assert_eq!(shown(1), "server=server2 2 2 CVE-2,CVE-3");
    assert_eq!(shown(2), " 3 5 CVE-1,CVE-2,CVE-3");
    assert!(!sets.is_approximate());
    assert_eq!(
        (sets.count(None), sets.count(Some(&key("server2")))),
        (3, 2)
    );
}

#[test]
fn without_a_key_there_is_one_row() {
    let mut sets = Sets::new(SetSettings::default());
    sets.absorb(b"", b"a", 2);
    sets.absorb(b"", b"b", 1);
    let rows = sets.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].count, rows[0].records), (2, 3));
}

/// The estimate against the truth: 4 standard errors of 1.04 / sqrt(4096) = 1.6 %.
#[test]
fn the_sketch_is_right_within_its_error() {
    for seed in 0..5u64 {
        let mut sketch = Sketch::default();
        let mut next = 10;
        for number in 1..=300_000u64 {
            sketch.add(format!("CVE-{seed}-{number}").as_bytes());
            if number == next {
                let error = (sketch.estimate() as f64 - number as f64) / number as f64;
                assert!(error.abs() < 0.065, "{seed} {number}: {error}");
                next = next * 3 / 2;
            }
        }
    }
}

#[test]
fn the_sketch_knows_nothing_of_nothing() {
    assert_eq!(Sketch::default().estimate(), 0);
    let mut sketch = Sketch::default();
    assert!(sketch.add(b"a"));
    assert!(!sketch.add(b"a"));
    assert_eq!(sketch.estimate(), 1);
}

#[test]
fn past_the_limit_of_a_key_the_count_is_an_estimate_that_says_so() {
    let mut sets = sets();
    for number in 0..VALUES_MAX + 5000 {
        sets.absorb(&key("a"), format!("v{number}").as_bytes(), 1);
    }
    sets.absorb(&key("b"), b"v1", 1);
    let rows = sets.rows();
    assert!(rows[0].approximate && rows[0].values.is_empty());
    assert!(
        (14_000..16_000).contains(&rows[0].count),
        "{}",
        rows[0].count
    );
    assert!(!rows[1].approximate);
    assert_eq!((rows[2].count, rows[2].approximate), (15_000, false));
    assert_eq!(rows[2].values.len(), LISTED_MAX);
    assert!(sets.is_approximate());
    assert_eq!((sets.other(), sets.refused()), (0, 0));
}

#[test]
fn keys_and_bytes_are_bounded() {
    let mut sets = sets();
    sets.limit = 200_000;
    for number in 0..30_000u32 {
        sets.absorb(
            &key(&format!("k{}", number % 40)),
            format!("value {number}").as_bytes(),
            1,
        );
        assert!(sets.bytes <= sets.limit);
    }
    assert!(sets.is_approximate());
    let counted = counted_bytes(&sets);
    assert_eq!(sets.bytes, counted);
    let overall = sets.rows().pop().unwrap();
    assert!(
        (28_000..32_000).contains(&overall.count),
        "{}",
        overall.count
    );

    let mut sets = self::sets();
    for number in 0..KEYS_MAX + 10 {
        sets.absorb(&key(&format!("k{number}")), b"a", 3);
    }
    sets.absorb(&key(&"k".repeat(1000)), b"b", 1);
    assert_eq!((sets.rows().len(), sets.other()), (KEYS_MAX + 1, 31));
    assert_eq!(sets.count(None), 2);
}

fn counted_bytes(sets: &Sets) -> usize {
    let of = |values: &Values| match &values.distinct {
        Distinct::Exact(exact) => exact.iter().map(|value| VALUE_BYTES + value.len()).sum(),
        Distinct::Sketch(sketch) => sketch.bytes(),
    };
    let keys = sets
        .keys
        .iter()
        .map(|(key, values)| ROW_BYTES + key.len() + of(values));
    keys.sum::<usize>() + of(&sets.overall)
}

#[test]
fn sets_are_written_and_read() {
    let mut sets = sets();
    for number in 0..20_000 {
        sets.absorb(
            &key(&format!("k{}", number % 2)),
            &[number as u8, (number >> 8) as u8, 255],
            1,
        );
    }
    let bytes = rmp_serde::to_vec_named(&sets).unwrap();
    let read: Sets = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, sets);
}

proptest! {
    /// Law 4, and rows against sets that keep everything.
    #[test]
    fn a_run_and_the_next_merge_into_both(
        records in proptest::collection::vec((0u8..4, 0u8..20, 1u64..3), 0..80),
        cut in 0usize..80,
    ) {
        let (mut whole, mut first, mut second) = (sets(), sets(), sets());
        let mut truth: BTreeMap<u8, Set<u8>> = BTreeMap::new();
        for (place, (server, value, count)) in records.iter().enumerate() {
            let part = if place < cut { &mut first } else { &mut second };
            for sets in [part, &mut whole] {
                sets.absorb(&key(&server.to_string()), value.to_string().as_bytes(), *count);
            }
            truth.entry(*server).or_default().insert(*value);
        }
        first.merge(&second);
        prop_assert_eq!(&first, &whole);
        prop_assert_eq!(whole.bytes, counted_bytes(&whole));
        for (server, values) in &truth {
            let key = key(&server.to_string());
            prop_assert_eq!(whole.count(Some(&key)), values.len() as u64);
        }
        let all: Set<&u8> = truth.values().flatten().collect();
        prop_assert_eq!(whole.count(None), all.len() as u64);
    }

    /// A sketch is a function of the set of values: neither order nor merging matters.
    #[test]
    fn sketches_merge_into_the_sketch_of_all(
        values in proptest::collection::vec(any::<u16>(), 0..3000),
        cut in 0usize..3000,
    ) {
        let (mut whole, mut first, mut second) = (Sketch::default(), Sketch::default(), Sketch::default());
        for (place, value) in values.iter().enumerate() {
            whole.add(&value.to_le_bytes());
            let part = if place < cut { &mut first } else { &mut second };
            part.add(&value.to_le_bytes());
        }
        second.merge(&first);
        prop_assert_eq!(second.estimate(), whole.estimate());
        prop_assert_eq!(second, whole);
    }
}
