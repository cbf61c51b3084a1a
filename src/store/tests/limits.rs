//! What is written at and past every limit is read again as it was, and nothing in it has to be put
//! right: a run must never write a checkpoint that its next start cannot use.

use super::checkpoints::sample;
use super::*;
use crate::engine::fold::Fold;
use crate::flow::alert::SampleLine;
use crate::flow::fingerprint::Fingerprint;
use crate::flow::mapped::{Line, Mapped, Tables};
use crate::flow::mark::Kind;
use crate::flow::output::{Branches, Dedup, DedupMode, LinesTask};
use crate::flow::sample::{Bucket, Sample, SeriesKey, UnitSet};
use crate::flow::span::Span;
use crate::rules;
use crate::state::groups::Groups;
use crate::state::histogram::Histogram;
use crate::state::keyed::{self, Keyed, KeyedSettings};
use crate::state::ledger::Ledger;
use crate::state::lines::Lines;
use crate::state::messages::Sighting;
use crate::state::metrics::{self, Metrics};
use crate::state::sets::{self, SetSettings, Sets};
use crate::state::summaries::{self, Summaries};
use crate::state::{FOLLOWED_MAX, losses, repaired, snapshot};
use crate::store::checkpoint::{Checkpoint, Watched, decode, encode};

/// Reads what was written of a checkpoint.
fn again(checkpoint: &Checkpoint) -> Checkpoint {
    let bytes = encode(checkpoint).concat();
    let read = decode(&bytes).expect("what was written is read");
    assert_eq!(read.state.repaired, 0);
    assert_eq!(encode(&read).concat().len(), bytes.len());
    read
}

/// The same where equal content is equal bytes, as a checkpoint and as a snapshot.
fn exactly_again(state: &State) {
    let mut checkpoint = sample(3);
    checkpoint.state = state.clone();
    let read = again(&checkpoint);
    assert!(encode(&read).concat() == encode(&checkpoint).concat());
    let bytes = snapshot::encode(state);
    let read = snapshot::decode(&bytes).expect("what was written is read");
    assert_eq!(read.repaired, 0);
    assert!(snapshot::encode(&read) == bytes);
    // Past the limits a merge is accepted as well, and what comes of it.
    let mut both = read.clone();
    both.merge(&read);
    let read = snapshot::decode(&snapshot::encode(&both)).expect("a merge is read");
    assert_eq!(read.repaired, 0);
}

/// A followed file that is the number-th to be read.
fn followed(number: u32) -> Arc<Birth> {
    let mut birth = birth(
        Path::new("logs/a.log"),
        Identity {
            device: 1,
            inode: u64::from(number),
            born: 0,
        },
    );
    birth.generation = Generation(u64::from(number));
    birth.source = SourceId(number);
    birth.name = format!("logs/{number}.log").into();
    Arc::new(birth)
}

#[test]
fn more_followed_files_than_rows() {
    // 10,002 files were enough: the places kept the numbers of their sources, the inputs ended with
    // the row that late files share, and neither checkpoint could be read ever after.
    for files in [
        FOLLOWED_MAX - 1,
        FOLLOWED_MAX,
        FOLLOWED_MAX + 2,
        FOLLOWED_MAX + 2500,
    ] {
        let mut fold = Fold::new(&plan(), known());
        for number in 0..files {
            let mut mapped = Mapped {
                source: SourceId(number),
                mark: Some(Box::new(Mark {
                    births: vec![followed(number)],
                    pieces: vec![Piece {
                        generation: Generation(u64::from(number)),
                        from: 0,
                        to: 9,
                    }],
                    ..Mark::default()
                })),
                ..Mapped::default()
            };
            mapped.counts.bytes = 9;
            fold.absorb(&mut mapped);
        }
        let mut checkpoint = sample(3);
        let known = fold.known();
        (checkpoint.state, checkpoint.places) = (known.state, known.places);
        let read = again(&checkpoint);
        assert_eq!(read.places, checkpoint.places);
        assert_eq!(
            read.state.inputs.len(),
            files.min(FOLLOWED_MAX + 1) as usize
        );
        exactly_again(&checkpoint.state);
    }
}

#[test]
fn a_place_without_its_row_gets_one() {
    let mut checkpoint = sample(3);
    checkpoint.places.absorb(&Mark {
        births: vec![followed(3)],
        ..Mark::default()
    });
    let read = decode(&encode(&checkpoint).concat()).unwrap();
    assert_eq!(read.state.repaired, 1);
    assert_eq!(read.state.inputs[3].name, "logs/3.log");
}

#[test]
fn full_tables_of_a_report() {
    let mut state = state();
    for number in 0..110_000u64 {
        let sighting = Sighting {
            fingerprint: Fingerprint(number),
            level: Some(Level::Error),
            count: 1,
            first: None,
            last: None,
            source: 0,
            offset: number,
            ordinal: number,
            masked: b"disk <*> is full",
        };
        state
            .messages
            .add(&sighting, std::iter::once(&b"disk sda is full"[..]));
    }
    assert!(state.messages.other() > 0);
    state.groups = Groups::new(64 << 10);
    for number in 0..10_000u32 {
        state
            .groups
            .add((number % 3) as u16, &number.to_be_bytes(), 1);
    }
    state.groups.add(0, &[b'x'; 70_000], 3);
    assert!(state.groups.is_approximate());
    for second in 0..5000 {
        state.timeline.add(second * 7 - 900, 3, 1);
    }
    for number in 0..losses::ROWS_MAX as u64 + 9 {
        let mark = Mark {
            kind: Kind::Lost,
            pieces: vec![Piece {
                generation: Generation(number),
                from: 0,
                to: 9,
            }],
            ..Mark::default()
        };
        state.losses.absorb(&mark, &Default::default(), 0);
    }
    exactly_again(&state);
}

#[test]
fn full_metrics() {
    let mut state = state();
    state.metrics = Metrics::new(512 << 10);
    let names: Vec<String> = (0..metrics::METRICS_MAX + 9)
        .map(|n| format!("m{n}"))
        .collect();
    for (place, name) in names.iter().enumerate() {
        let keys: Vec<[u8; 2]> = (0..9u16).map(u16::to_be_bytes).collect();
        let keys: Vec<SeriesKey<'_>> = keys
            .iter()
            .map(|key| SeriesKey {
                metric: name.as_bytes(),
                grouping: 0,
                key,
                units: UnitSet::default(),
            })
            .collect();
        let samples: Vec<Sample> = (0..place as u32 % 300)
            .map(|number| {
                let value =
                    f64::from(number.wrapping_mul(7919) % 1000) * 10f64.powi(place as i32 % 9 - 4);
                Sample {
                    value,
                    series: number % 9,
                    bucket: Bucket::of(value),
                    weight: 1 + u32::from(number % 50 == 49) * 1000,
                }
            })
            .collect();
        state.metrics.fold(&keys, &samples);
    }
    assert!(state.metrics.is_full() && state.metrics.refused() > 0);
    exactly_again(&state);
}

#[test]
fn every_form_of_a_histogram() {
    let mut seed = 7u64;
    for spread in [1u64, 300, 5000, 1_000_000, 9_000_000_000] {
        let mut histogram = Histogram::default();
        for number in 1..5000u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value =
                (seed >> 20) as f64 % spread as f64 * if number % 7 == 0 { -1.0 } else { 1.0 };
            histogram.record(Bucket::of(value), value, 1);
            if number.is_power_of_two() || number % 611 == 0 || (number - 1).is_power_of_two() {
                let bytes = rmp_serde::to_vec_named(&histogram).unwrap();
                let (read, repaired) =
                    repaired::counted(|| rmp_serde::from_slice::<Histogram>(&bytes).unwrap());
                assert_eq!(
                    (repaired, read.bytes()),
                    (0, histogram.bytes()),
                    "{spread} {number}"
                );
            }
        }
    }
}

#[test]
fn full_states_and_sets() {
    let mut state = state();
    let mut states = Keyed::new(KeyedSettings {
        name: "backup".to_owned(),
        key: vec!["server".to_owned()],
        ok: vec!["ok".to_owned()],
        roster: vec![b"never".to_vec()],
        expect_within: Some(Time::SECOND),
        ..KeyedSettings::default()
    });
    let sample = SampleLine::default();
    let mut see = |key: u32, value: &[u8], second: i64| {
        let at = Some(Time(second * Time::SECOND));
        states.absorb(&key.to_be_bytes(), value, at, at, 1, &sample);
    };
    for key in 0..keyed::KEYS_MAX as u32 + 200 {
        see(key, b"ok", 0);
    }
    // Nobody asks for the changes.
    for turn in 0..keyed::CHANGES_MAX as i64 + 9 {
        see(1, if turn % 2 == 0 { &[b'b'; 300] } else { b"ok" }, turn);
    }
    assert!(states.is_approximate());
    state.watched.states.push(states);
    for key in [Vec::new(), vec!["server".to_owned()]] {
        let name = format!("set{}", key.len());
        let mut set = Sets::new(SetSettings { name, key });
        for value in 0..sets::VALUES_OVERALL_MAX as u32 + 9 {
            let key = if value <= sets::VALUES_MAX as u32 {
                0
            } else {
                value / 5
            };
            set.absorb(&key.to_be_bytes(), &value.to_be_bytes(), 1);
        }
        set.absorb(&[b'x'; sets::KEY_BYTES_MAX + 1], b"v", 1);
        assert!(set.is_approximate());
        state.watched.sets.push(set);
    }
    exactly_again(&state);
}

#[test]
fn full_dedup() {
    // Many branches share the room, so that one of them is full soon.
    let conditions = [None; 64];
    for every in [None, Some(60 * Time::SECOND)] {
        let task = LinesTask {
            level: None,
            json: true,
            count: false,
            dedup: Some(Dedup {
                mode: DedupMode::Template,
                every,
            }),
            before: 0,
            after: 0,
            as_they_come: false,
        };
        let mut lines = Lines::resume(None, &task, &conditions, true);
        for number in 0..16_000u64 {
            let text = format!("user {number} logged in at place {}", number % 977);
            let mut mapped = Mapped {
                lines: b"}\n".to_vec(),
                masks: text.into_bytes(),
                ..Mapped::default()
            };
            mapped.records.push(Line {
                text: Span::new(0..2),
                template_at: 0,
                line: 1,
                selected: true,
                branches: Branches::FIRST,
                identity: number,
                time: Some(Time(number as i64)),
                masked: Span::new(0..mapped.masks.len()),
                fingerprint: Fingerprint(number),
            });
            let mut ledger = Ledger {
                kept: 1,
                ..Ledger::default()
            };
            lines.absorb(&mut mapped, &mut ledger);
        }
        assert!(lines.is_approximate());
        let mut checkpoint = sample(3);
        checkpoint.lines = Some(lines);
        assert!(again(&checkpoint).lines.unwrap().is_approximate());
    }
}

#[test]
fn summaries_that_wait() {
    let mut waiting = Summaries::new(60, state().shape);
    for window in 0..summaries::WAITING_MAX as i64 + 40 {
        let mut tables = Tables {
            window: Some(window),
            ..Tables::default()
        };
        tables.levels[3] = 1;
        let mapped = Mapped {
            tables,
            ..Mapped::default()
        };
        waiting.absorb(&mapped, "a.log", 0, None, None);
    }
    assert!(waiting.given_up > 0);
    let mut checkpoint = sample(3);
    checkpoint.watched = Some(Watched {
        rules: rules::saved::Saved::default(),
        summaries: Some(waiting),
    });
    let bytes = encode(&checkpoint).concat();
    let read = again(&checkpoint);
    assert!(encode(&read).concat() == bytes);
}
