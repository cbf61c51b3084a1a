//! What must hold for every report: rows fit, columns stand below each other, and the input can
//! neither forge a row nor drive the terminal.

use proptest::prelude::*;

use super::*;
use crate::flow::fingerprint::Fingerprint;
use crate::flow::key;
use crate::flow::level::Level;
use crate::flow::sample::{Bucket, Sample, SeriesKey, UnitSet};
use crate::flow::time::Time;
use crate::report::text::plain::width;
use crate::state::messages::Sighting;
use crate::state::{Input, Shape, State};
use crate::units::Unit;

const NARROW: usize = 40;

/// A state with one message, group and metric for each text, counts falling.
fn state(texts: &[&[u8]]) -> State {
    let shape = Shape {
        list: Level::Warn,
        groupings: vec![
            vec!["host".to_owned()],
            vec!["a".to_owned(), "b".to_owned()],
        ],
        zone: "Europe/Berlin".to_owned(),
    };
    let mut state = State::new(shape, 0);
    for (number, text) in texts.iter().enumerate() {
        let count = 1000 * (texts.len() - number) as u64;
        let at = |second: i64| Some(Time((1_700_000_000 + 70 * second) * Time::SECOND));
        let sighting = Sighting {
            fingerprint: Fingerprint::of_masked(text),
            level: Some(Level::Error),
            count,
            first: at(number as i64),
            last: at(number as i64 * 3),
            source: 0,
            offset: number as u64,
            ordinal: number as u64,
            masked: text,
        };
        state.messages.add(&sighting, [*text, b"more"].into_iter());
        for grouping in 0..2 {
            let mut group = Vec::new();
            (0..=grouping).for_each(|_| key::push(&mut group, text));
            state.groups.add(grouping, &group, count);
            let value = 1234.5 * (number + 1) as f64;
            let series = SeriesKey {
                metric: text,
                grouping,
                key: &group,
                units: {
                    let mut units = UnitSet::default();
                    units.insert(Unit::Milliseconds);
                    units
                },
            };
            let sample = Sample {
                value,
                series: 0,
                bucket: Bucket::of(value),
                weight: 3,
            };
            state.metrics.fold(&[series], &[sample]);
        }
        state
            .timeline
            .add(1_700_000_000 + 70 * number as i64, 5, count);
        state.levels[5] += count;
        state.ledger.records += count;
        state.ledger.kept += count;
        (state.first, state.last) = (state.first.or(at(0)), at(number as i64 * 3));
        state.inputs.push(Input {
            name: String::from_utf8_lossy(text).into_owned(),
            records: count,
            ..Input::default()
        });
    }
    state
}

fn text(state: &State, top: usize, style: &Style) -> String {
    let mut out = Vec::new();
    write(&mut out, &Report::new(state, Some(top)), top, style);
    String::from_utf8(out).expect("a report is text")
}

fn plain(width: usize) -> Style {
    Style {
        color: false,
        width,
        cut: true,
        escape: true,
    }
}

#[test]
fn a_forged_line_feed_makes_no_row() {
    let honest = text(&state(&[b"disk full", b"other"]), 20, &plain(200));
    let forged = text(
        &state(&[b"disk\n  9,999  fatal", b"ot\r\nher"]),
        20,
        &plain(200),
    );
    assert_eq!(honest.lines().count(), forged.lines().count());
    assert!(
        !forged
            .lines()
            .any(|row| row.trim_start().starts_with("9,999"))
    );
}

#[test]
fn colours_change_nothing_but_colours() {
    let state = state(&[b"a <*> b", b"c"]);
    let colored = text(
        &state,
        20,
        &Style {
            color: true,
            ..plain(100)
        },
    );
    let mut bare = String::new();
    let mut rest = &*colored;
    while let Some(at) = rest.find('\u{1b}') {
        bare.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find('m').unwrap() + 1..];
    }
    bare.push_str(rest);
    assert_eq!(bare, text(&state, 20, &plain(100)));
}

#[test]
fn numbers_end_in_one_column() {
    let report = text(&state(&[b"alpha", b"beta", b"gamma"]), 20, &plain(120));
    let rows: Vec<&str> = report
        .lines()
        .skip_while(|row| !row.starts_with("by host"))
        .skip(1)
        .take(3)
        .collect();
    let ends: Vec<usize> = ["3,000", "2,000", "1,000"]
        .iter()
        .zip(&rows)
        .map(|(number, row)| width(&row[..row.find(number).unwrap()]) + number.len())
        .collect();
    assert_eq!(ends, [ends[0]; 3], "{report}");
}

/// Errors came last and least often: they stood below twenty warnings, out of sight.
#[test]
fn the_most_severe_rows_stand_first_whatever_their_number() {
    let mut state = state(&[]);
    let mut add = |number: u64, level: Option<Level>, count: u64, text: &str| {
        let sighting = Sighting {
            fingerprint: Fingerprint(number),
            level,
            count,
            first: None,
            last: None,
            source: 0,
            offset: 0,
            ordinal: number,
            masked: text.as_bytes(),
        };
        state.messages.add(&sighting, std::iter::empty());
    };
    for number in 0..40 {
        let text = "warning".to_owned() + &"x".repeat(number as usize);
        add(number, Some(Level::Warn), 900, &text);
    }
    add(50, None, 5_000, "no level");
    add(51, Some(Level::Error), 1, "one error");
    add(52, Some(Level::Error), 2, "two errors");
    add(53, Some(Level::Fatal), 1, "the fatal one");
    // The same text at two levels is two rows.
    add(0, Some(Level::Error), 7, "warning");
    state.ledger.kept = 1;
    let report = text(&state, 5, &plain(80));
    let rows: Vec<String> = report
        .lines()
        .skip_while(|row| !row.starts_with("messages"))
        .skip(1)
        .take(6)
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        rows[..4],
        [
            "1 fatal the fatal one @0",
            "7 error warning @0",
            "2 error two errors @0",
            "1 error one error @0",
        ],
        "{report}"
    );
    assert!(rows[4].starts_with("900 warn warning"), "{report}");
    assert_eq!(
        rows[5], "… and 40 more with 40,100 records (--top 45)",
        "39 warnings and the one without a level: {report}"
    );
}

#[test]
fn only_a_terminal_cuts_what_is_long() {
    let long = "word ".repeat(60) + "end";
    let style = Style {
        cut: false,
        ..plain(80)
    };
    let report = text(&state(&[long.as_bytes()]), 20, &style);
    // The input's name, the message, two groups and the metric with its groups.
    let whole = report.matches(&long).count();
    assert!(whole >= 6 && !report.contains("word…"), "{whole} {report}");
    for heading in ["count", "min", "p99.9", "sum"] {
        assert!(report.contains(heading), "{report}");
    }
    let cut = text(&state(&[long.as_bytes()]), 20, &plain(80));
    assert!(!cut.contains(&long), "{cut}");
}

#[test]
fn what_is_not_shown_is_counted() {
    let texts: Vec<String> = (0..30u8)
        .map(|at| "x".repeat(usize::from(at) + 1))
        .collect();
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let report = text(&state(&texts), 20, &plain(100));
    // The ten with the fewest: 1000 + 2000 + … + 10,000.
    assert!(
        report.contains("… and 10 more with 55,000 records (--top 30)"),
        "{report}"
    );
    assert!(
        report.contains("… and 10 more fields (--top 30)"),
        "{report}"
    );
    assert!(report.contains("… and 26 more"), "{report}");
}

#[test]
fn nothing_listed_says_how_to_see_more() {
    let mut state = state(&[]);
    state.ledger.records = 7;
    state.ledger.kept = 7;
    state.levels[Level::index(Some(Level::Info))] = 7;
    let report = text(&state, 20, &plain(80));
    assert!(
        report.contains("no warnings or errors; -l info lists more"),
        "{report}"
    );
}

#[test]
fn a_loss_is_said_in_alarm_on_every_terminal() {
    let mut state = state(&[b"a", b"b", b"c"]);
    state.ledger.unaccounted = 3;
    state.ledger.lines = 123_456_789;
    for columns in [NARROW, 80, 200] {
        let style = Style {
            color: true,
            ..plain(columns)
        };
        let report = text(&state, 20, &style);
        let alarm = format!("{}3 unaccounted", page::ALARM);
        assert!(report.contains(&alarm), "{report:?}");
    }
}

#[test]
fn long_metric_names_leave_room_for_their_numbers() {
    let long = "m".repeat(300);
    let report = text(&state(&[long.as_bytes()]), 20, &plain(80));
    let row = report
        .lines()
        .skip_while(|row| !row.starts_with("metrics"))
        .nth(2)
        .unwrap();
    assert!(row.contains('…') && row.contains("1.23 s"), "{report}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn no_row_is_wider_than_the_terminal_nor_drives_it(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
        words in prop::collection::vec("\\PC{0,30}", 0..4),
        columns in NARROW..220,
        top in 0usize..9,
        color in any::<bool>(),
    ) {
        let texts: Vec<&[u8]> = texts
            .iter()
            .map(Vec::as_slice)
            .chain(words.iter().map(|word| word.as_bytes()))
            .collect();
        let state = state(&texts);
        let report = text(&state, top, &plain(columns));
        for row in report.lines() {
            prop_assert!(width(row) <= columns, "{row}");
            prop_assert!(!row.ends_with(' '), "{row:?}");
            prop_assert!(!row.chars().any(char::is_control), "{row:?}");
        }
        let colored = text(&state, top, &Style { color, ..plain(columns) });
        prop_assert_eq!(colored.lines().count(), report.lines().count());
    }
}
