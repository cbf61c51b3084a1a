use super::*;
use crate::flow::key;
use crate::flow::sample::{Bucket, Sample, SeriesKey, UnitSet};
use crate::state::{Shape, metrics::Metrics};
use std::io::Write;
use std::process::{Command, Stdio};

/// Makes a series of one metric: its values in milliseconds if `unit` says so.
fn feed(metrics: &mut Metrics, metric: &str, group: &[&str], unit: Unit, values: &[f64]) {
    let mut encoded = Vec::new();
    group
        .iter()
        .for_each(|value| key::push(&mut encoded, value.as_bytes()));
    let mut units = UnitSet::default();
    units.insert(unit);
    let series = SeriesKey {
        metric: metric.as_bytes(),
        grouping: 0,
        key: &encoded,
        units,
    };
    let samples: Vec<Sample> = values
        .iter()
        .map(|&value| Sample {
            value,
            series: 0,
            bucket: Bucket::of(value),
            weight: 1,
        })
        .collect();
    metrics.fold(&[series], &samples);
}

/// The label value that breaks a page if it is not escaped.
const HOSTILE: &str = "a\\b\"c\nweir_evil_total 1\n{x=\"y\"} größe";

fn state() -> State {
    let shape = Shape {
        list: Level::Warn,
        groupings: vec![vec!["host".to_owned(), "http.status-code".to_owned()]],
        zone: "UTC".to_owned(),
    };
    let mut state = State::new(shape, 0);
    state.open(crate::flow::batch::SourceId(0), "/var/log/app.log");
    state.inputs[0].bytes = 900;
    state.ledger.bytes = 900;
    state.ledger.lines = 100;
    state.ledger.kept = 40;
    state.ledger.filtered = 60;
    state.ledger.unaccounted = 2;
    state.levels[5] = 7;
    feed(
        &mut state.metrics,
        "cpu",
        &["web-1", "200"],
        Unit::Percent,
        &[45.0, 50.0, 35.0, 40.0, 55.0],
    );
    feed(
        &mut state.metrics,
        "cpu",
        &[HOSTILE, "500"],
        Unit::Percent,
        &[90.0],
    );
    feed(
        &mut state.metrics,
        "responseTime",
        &["web-1", "200"],
        Unit::Milliseconds,
        &[250.0, 750.0],
    );
    feed(
        &mut state.metrics,
        "latency_ms",
        &["web-1", "200"],
        Unit::None,
        &[250.0],
    );
    feed(
        &mut state.metrics,
        "size",
        &["web-1", "200"],
        Unit::Bytes,
        &[2048.0],
    );
    // All three become the same name.
    for name in ["one.two", "one-two", "oneTwo"] {
        feed(
            &mut state.metrics,
            name,
            &["web-1", "200"],
            Unit::None,
            &[1.0],
        );
    }
    feed(
        &mut state.metrics,
        "größe 数",
        &["web-1", "200"],
        Unit::None,
        &[1.0],
    );
    for (host, count) in [("web-1", 6), (HOSTILE, 1), ("other", 2)] {
        let mut encoded = Vec::new();
        [host, "200"]
            .iter()
            .for_each(|value| key::push(&mut encoded, value.as_bytes()));
        state.groups.add(0, &encoded, count);
    }
    state
}

fn extra() -> Vec<Extra> {
    ["a", "b"]
        .map(|queue| Extra {
            name: "weir_queue_bytes",
            help: "Bytes in flight.",
            kind: Kind::Gauge,
            labels: vec![("queue", queue.to_owned())],
            value: 1.5,
        })
        .to_vec()
}

/// The rows of a page by name and labels, read as the format says (a reader that shares nothing with
/// the writer).
fn rows(page: &str) -> BTreeMap<(String, Vec<(String, String)>), f64> {
    let mut rows = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(end);
        let mut labels = Vec::new();
        let mut characters = rest.chars().peekable();
        if characters.next_if_eq(&'{').is_some() {
            loop {
                let mut label = String::new();
                while let Some(character) = characters.next_if(|next| *next != '=') {
                    label.push(character);
                }
                assert_eq!(
                    (characters.next(), characters.next()),
                    (Some('='), Some('"')),
                    "{line}"
                );
                let mut value = String::new();
                loop {
                    match characters.next().unwrap() {
                        '"' => break,
                        '\\' => value.push(match characters.next().unwrap() {
                            'n' => '\n',
                            other => other,
                        }),
                        other => value.push(other),
                    }
                }
                labels.push((label, value));
                match characters.next().unwrap() {
                    ',' => {}
                    '}' => break,
                    other => panic!("{other} in {line}"),
                }
            }
        }
        let value: String = characters.collect();
        let value = value.strip_prefix(' ').unwrap().parse().unwrap();
        let before = rows.insert((name.to_owned(), labels), value);
        assert!(before.is_none(), "twice: {line}");
    }
    rows
}

fn value(page: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<(String, String)> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let rows = rows(page);
    let found = rows.get(&(name.to_owned(), labels));
    *found.unwrap_or_else(|| panic!("no {name}:\n{page}"))
}

#[test]
fn the_page_says_what_the_state_holds() {
    let page = page(&state(), &extra());
    for (name, labels, want) in [
        ("weir_bytes_total", &[][..], 900.0),
        ("weir_records_total", &[("verdict", "filtered")], 60.0),
        ("weir_unaccounted_records_total", &[], 2.0),
        ("weir_level_records_total", &[("level", "error")], 7.0),
        (
            "weir_input_bytes_total",
            &[("input", "/var/log/app.log")],
            900.0,
        ),
        ("weir_queue_bytes", &[("queue", "b")], 1.5),
        (
            "weir_group_records_total",
            &[("host", "web-1"), ("http_status_code", "200")],
            6.0,
        ),
        (
            "weir_group_records_total",
            &[("host", HOSTILE), ("http_status_code", "200")],
            1.0,
        ),
        (
            "weir_field_cpu_percent_sum",
            &[("host", "web-1"), ("http_status_code", "200")],
            225.0,
        ),
        (
            "weir_field_cpu_percent_count",
            &[("host", "web-1"), ("http_status_code", "200")],
            5.0,
        ),
        ("weir_field_cpu_percent_count", &[], 6.0),
        ("weir_field_response_time_seconds_sum", &[], 1.0),
        ("weir_field_latency_seconds_sum", &[], 0.25),
        ("weir_field_size_bytes_sum", &[], 2048.0),
        ("weir_field_one_two_count", &[], 1.0),
        ("weir_field_one_two_2_count", &[], 1.0),
        ("weir_field_one_two_3_count", &[], 1.0),
    ] {
        assert_eq!(value(&page, name, labels), want, "{name} {labels:?}");
    }
    let median = [
        ("host", "web-1"),
        ("http_status_code", "200"),
        ("quantile", "0.5"),
    ];
    let median = value(&page, "weir_field_cpu_percent", &median);
    assert!((median - 45.0).abs() < 0.05, "35 40 45 50 55: {median}");
    assert!(!page.lines().any(|line| line.starts_with("weir_evil_total")));
}

#[test]
fn each_family_has_one_head_and_its_rows_behind_it() {
    let page = page(&state(), &extra());
    let mut families = BTreeSet::new();
    let mut family = "";
    for line in page.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            family = head.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} twice");
        } else if !line.starts_with('#') {
            let name = &line[..line.find(['{', ' ']).unwrap()];
            let stem = name
                .strip_suffix("_sum")
                .or(name.strip_suffix("_count"))
                .unwrap_or(name);
            assert!(name == family || stem == family, "{name} in {family}");
        }
    }
}

#[test]
fn an_empty_state_has_a_page() {
    let mut empty = state();
    empty.metrics = Metrics::new(0);
    empty.inputs.clear();
    assert!(page(&empty, &[]).ends_with('\n'));
}

#[test]
fn label_names_are_fit_and_none_is_twice() {
    let fields = ["a.b", "a-b", "__name__", "9", "quantile", "", "数"].map(str::to_owned);
    let names = label_names(&fields);
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "{names:?}");
    for name in &names {
        let mut characters = name.chars();
        assert!(characters.next().unwrap().is_ascii_alphabetic(), "{name}");
        assert!(
            characters.all(|next| next.is_ascii_alphanumeric() || next == '_'),
            "{name}"
        );
        assert!(name != "quantile");
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut checker) = checker else {
        eprintln!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    let page = page(&state(), &extra());
    checker
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = checker.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}\n{page}",
        String::from_utf8_lossy(&said)
    );
}
