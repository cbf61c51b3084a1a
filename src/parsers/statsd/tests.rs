//! StatsD lines against what statsd_exporter makes of them, and against ordinary text.

use super::*;
use crate::flow::facts::Facts;
use crate::flow::wanted::Path;
use base64::Engine as _;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn clock() -> Clock {
    Clock::new(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(0),
        format: None,
        csv: None,
    })
}

fn everything() -> Wanted {
    Wanted {
        time: true,
        level: true,
        message: true,
        numbers: true,
        all: true,
        ..Wanted::default()
    }
}

fn shared(path: &str) -> Option<String> {
    let root = std::env::var("WEIR_SHARED_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_owned());
    let text = std::fs::read_to_string(format!("{root}/{path}")).ok();
    if text.is_none() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: no {path} in the shared data\n"),
        );
    }
    text
}

fn parse(line: &[u8]) -> Option<(BTreeMap<String, String>, Row)> {
    let mut row = Row::new(0);
    if !Parser::new(&everything()).parse(line, &mut clock(), &mut row) {
        return None;
    }
    assert_eq!(row.format, Format::Statsd);
    let text = |text: Text| String::from_utf8(row.bytes(line, text).to_vec()).unwrap();
    for field in &row.fields {
        assert!(
            field.value.kind != Kind::Number
                || units::number(row.bytes(line, field.value.text)).is_some()
        );
    }
    let fields = row
        .fields
        .iter()
        .map(|field| (text(field.name), text(field.value.text)))
        .collect();
    Some((fields, row))
}

fn check(line: &str, want: &[(&str, &str)]) -> Row {
    let (fields, row) = parse(line.as_bytes()).expect(line);
    let want: BTreeMap<_, _> = want
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(fields, want, "{line}");
    row
}

#[test]
fn reads_values_rates_and_tags() {
    assert_eq!(
        check("foo:2|c", &[("foo", "2"), ("metric", "foo"), ("type", "c")]).weight,
        1.0
    );
    assert_eq!(
        check(
            "foo:2|c|@0.1",
            &[
                ("foo", "2"),
                ("metric", "foo"),
                ("type", "c"),
                ("rate", "0.1")
            ]
        )
        .weight,
        10.0
    );
    assert_eq!(
        check(
            "foo:2|g|@0.1",
            &[
                ("foo", "2"),
                ("metric", "foo"),
                ("type", "g"),
                ("rate", "0.1")
            ]
        )
        .weight,
        1.0
    );
    check(
        "foo:+4|g",
        &[("foo", "+4"), ("metric", "foo"), ("type", "g")],
    );
    check(
        "users:a b:c|s",
        &[("users", "a b:c"), ("metric", "users"), ("type", "s")],
    );
    check(
        "a,host=x,dc=y:1|c",
        &[
            ("a", "1"),
            ("metric", "a"),
            ("type", "c"),
            ("host", "x"),
            ("dc", "y"),
        ],
    );
    check(
        "a[host=x]b:1|c",
        &[("ab", "1"), ("metric", "ab"), ("type", "c"), ("host", "x")],
    );
    let row = check(
        "a:1|c|#k:v:w,urgent|T1656581400",
        &[("a", "1"), ("metric", "a"), ("type", "c"), ("k", "v:w")],
    );
    assert_eq!(row.time, Some(Time(1_656_581_400_000_000_000)));
}

#[test]
fn keeps_all_values_of_a_list() {
    let line = b"latency:1:2:3|ms|@0.5";
    let row = check(
        "latency:1:2:3|ms|@0.5",
        &[
            ("latency", "1"),
            ("values", "1:2:3"),
            ("metric", "latency"),
            ("type", "ms"),
            ("rate", "0.5"),
        ],
    );
    let numbers: Vec<_> = row
        .numbers
        .iter()
        .map(|field| {
            (
                row.bytes(line, field.name),
                row.bytes(line, field.value.text),
            )
        })
        .collect();
    assert_eq!(
        numbers,
        [
            (&b"latency"[..], &b"1"[..]),
            (b"latency", b"2"),
            (b"latency", b"3")
        ]
    );
    // Asked for by name, the first value is in its slot and only the others are added.
    let wanted = Wanted {
        paths: vec![Path::new("latency")],
        ..Wanted::default()
    };
    let mut row = Row::new(1);
    assert!(Parser::new(&wanted).parse(line, &mut clock(), &mut row));
    assert_eq!(
        (
            row.bytes(line, row.values[0].text),
            row.numbers.len(),
            row.weight
        ),
        (&b"1"[..], 2, 2.0)
    );
}

#[test]
fn refuses_ordinary_text() {
    for line in [
        "",
        "|",
        ":|",
        "a:1",
        "a|c",
        "a:|c",
        "a:1|",
        "a:1|x",
        "a:1|c|",
        "a:1|c|x",
        "a:1|c|c:",
        "a:1|c|e:",
        "a b:1|c",
        "a:1 |c",
        "a: 1|c",
        ":1|c",
        "a:1:2|c",
        "a:1:|h",
        "a:1,2|h",
        "#a:1|c",
        "[a=b]:1|c",
        "a:1|c|T",
        "a:1|c|Tx",
        "a:1|c\n",
        "a:|s",
        "time: 12:30 | c",
        "10:30|cpu",
        "key: a|b|c",
        "| a:1 | c |",
    ] {
        assert!(parse(line.as_bytes()).is_none(), "{line:?}");
    }
}

/// Lines that statsd_exporter refuses and we read, with the reason.
const READ_ALL_THE_SAME: [(&str, &str); 2] = [
    (
        "Influx no tags with invalid Datadog style extended aggregation values and timings type",
        "the same line is good in DogStatsD",
    ),
    (
        "Influx no tags with invalid Datadog style extended aggregation values and histogram type",
        "the same line is good in DogStatsD",
    ),
];

#[test]
fn agrees_with_statsd_exporter() {
    let Some(text) = shared("statsd/cases.jsonl") else {
        return;
    };
    let (mut agreed, mut explained) = (0, 0);
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let datagram = match case["datagram"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::engine::general_purpose::STANDARD
                .decode(case["datagram_b64"].as_str().unwrap())
                .unwrap(),
        };
        let events = case["events"].as_array().unwrap();
        let parsed = parse(&datagram);
        if READ_ALL_THE_SAME.iter().any(|(known, _)| *known == name) {
            assert!(events.is_empty() && parsed.is_some(), "{name}");
            explained += 1;
            continue;
        }
        let Some((fields, row)) = parsed else {
            assert!(events.is_empty(), "{name}: refused");
            agreed += 1;
            continue;
        };
        assert!(!events.is_empty(), "{name}: read");
        let metric = &fields["metric"];
        let kind = fields["type"].as_str();
        let want_kind = match kind {
            "c" => "counter",
            "g" => "gauge",
            _ => "observer",
        };
        // The exporter turns milliseconds into seconds, scales a sampled counter, repeats another
        // sampled value and rewrites the keys of labels.
        let values = fields.get("values").unwrap_or(&fields[metric]).split(':');
        let repeat = if kind == "c" { 1 } else { row.weight as usize };
        let mut got = Vec::new();
        for value in values {
            let value: f64 = value.parse().unwrap();
            let value = match kind {
                "ms" => value / 1000.0,
                "c" => value * row.weight,
                _ => value,
            };
            got.extend(std::iter::repeat_n(value, repeat));
        }
        let labels: BTreeMap<String, String> = fields
            .iter()
            .filter(|(key, _)| {
                ![metric.as_str(), "metric", "type", "rate", "values"].contains(&key.as_str())
            })
            .map(|(key, value)| {
                let digit = if key.starts_with(|first: char| first.is_ascii_digit()) {
                    "_"
                } else {
                    ""
                };
                (format!("{digit}{}", key.replace('.', "_")), value.clone())
            })
            .collect();
        let want: Vec<f64> = events
            .iter()
            .map(|event| event["value"].as_f64().unwrap())
            .collect();
        assert_eq!(got, want, "{name}");
        for event in events {
            let want: BTreeMap<String, String> =
                serde_json::from_value(event["labels"].clone()).unwrap();
            assert_eq!(
                (
                    event["name"].as_str().unwrap(),
                    event["type"].as_str().unwrap(),
                    &want
                ),
                (metric.as_str(), want_kind, &labels),
                "{name}"
            );
        }
        agreed += 1;
    }
    eprintln!("statsd/cases.jsonl: {agreed} agree, {explained} explained");
    assert_eq!(agreed + explained, text.lines().count());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..60)) {
        parse(&line);
    }

    #[test]
    fn any_near_line_is_read_or_refused(line in "[a\\[\\]#,=:.]{0,8}:[0-9.:+-]{0,6}\\|(c|g|ms|h|s)(\\|[@#cTe:,0-9a]{0,8}){0,3}") {
        parse(line.as_bytes());
    }
}
