//! Exposition against the vectors of OpenMetrics, Prometheus and Telegraf, and against ordinary text.

use super::*;
use crate::flow::wanted::Path;
use proptest::prelude::*;

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

fn forced_parser() -> Parser {
    let mut parser = Parser::new(&everything());
    parser.set_facts(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(0),
        format: Some(Format::Prometheus),
        csv: None,
    });
    parser
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

fn cases(path: &str) -> Vec<serde_json::Value> {
    shared(path)
        .map(|text| {
            text.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        })
        .unwrap_or_default()
}

#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    value: f64,
    labels: Vec<(String, String)>,
    time: Option<i64>,
}

fn read(parser: &mut Parser, line: &[u8]) -> Option<(Row, Option<Sample>)> {
    let mut row = Row::new(parser.target.wanted.paths.len());
    if !parser.parse(line, &mut clock(), &mut row) {
        return None;
    }
    assert_eq!(row.format, Format::Prometheus);
    let text = |text: Text| String::from_utf8(row.bytes(line, text).to_vec()).unwrap();
    let mut fields: Vec<_> = row
        .fields
        .iter()
        .map(|field| (text(field.name), field.value.kind, text(field.value.text)))
        .collect();
    if fields.is_empty() {
        return Some((row, None));
    }
    let (metric, _, name) = fields.pop().unwrap();
    assert_eq!(metric, "metric");
    let (sample, kind, value) = fields.pop().unwrap();
    assert_eq!((&sample, kind), (&name, Kind::Number));
    assert_eq!(text(row.message), name);
    let value = units::number(value.as_bytes()).unwrap();
    let labels = fields
        .into_iter()
        .map(|(name, _, value)| (name, value))
        .collect();
    let time = row.time.map(|time| time.0);
    Some((
        row,
        Some(Sample {
            name,
            value,
            labels,
            time,
        }),
    ))
}

fn sample(line: &str) -> Sample {
    read(&mut forced_parser(), line.as_bytes())
        .expect(line)
        .1
        .expect(line)
}

fn recognises(line: &str) -> bool {
    Parser::new(&everything()).parse(line.as_bytes(), &mut clock(), &mut Row::new(0))
}

fn accepts(exposition: &str) -> bool {
    let mut parser = forced_parser();
    exposition
        .split_terminator('\n')
        .all(|line| read(&mut parser, line.as_bytes()).is_some())
}

/// The bad documents that we read all the same, with the reason. A line-wise parser cannot know what
/// other lines say, and the union of two dialects takes what either of them takes.
const READ_ALL_THE_SAME: [(&str, &[&str]); 6] = [
    (
        "the type of the family, which another line gives, forbids this value, label or exemplar",
        &[
            "bad_counter_values_1",
            "bad_counter_values_10",
            "bad_counter_values_11",
            "bad_counter_values_12",
            "bad_counter_values_13",
            "bad_counter_values_14",
            "bad_counter_values_16",
            "bad_counter_values_19",
            "bad_counter_values_2",
            "bad_counter_values_4",
            "bad_counter_values_6",
            "bad_counter_values_7",
            "bad_counter_values_8",
            "bad_counter_values_9",
            "bad_exemplars_on_unallowed_metric_types_0",
            "bad_exemplars_on_unallowed_metric_types_1",
            "bad_exemplars_on_unallowed_samples_0",
            "bad_exemplars_on_unallowed_samples_1",
            "bad_exemplars_on_unallowed_samples_2",
            "bad_info_and_stateset_values_0",
            "bad_info_and_stateset_values_1",
            "bad_missing_or_invalid_labels_for_a_type_0",
            "bad_missing_or_invalid_labels_for_a_type_1",
            "bad_missing_or_invalid_labels_for_a_type_4",
            "bad_missing_or_invalid_labels_for_a_type_5",
            "bad_missing_or_invalid_labels_for_a_type_6",
            "bad_stateset_info_values_1",
            "bad_stateset_info_values_3",
            "bad_unit_7",
            "from_test_parse_error_19",
            "from_test_parse_error_7",
        ],
    ),
    (
        "the buckets, sum and count of a histogram do not fit together; they are never a metric by name",
        &[
            "bad_histograms_0",
            "bad_histograms_1",
            "bad_histograms_10",
            "bad_histograms_11",
            "bad_histograms_12",
            "bad_histograms_13",
            "bad_histograms_14",
            "bad_histograms_2",
            "bad_histograms_3",
            "bad_histograms_5",
            "bad_histograms_6",
            "bad_histograms_7",
            "bad_histograms_8",
            "bad_histograms_9",
        ],
    ),
    (
        "the order or repetition of lines is wrong, or the last line is missing",
        &[
            "bad_clashing_names_1",
            "bad_clashing_names_2",
            "bad_grouping_or_ordering_0",
            "bad_grouping_or_ordering_10",
            "bad_grouping_or_ordering_4",
            "bad_grouping_or_ordering_5",
            "bad_grouping_or_ordering_6",
            "bad_grouping_or_ordering_7",
            "bad_grouping_or_ordering_8",
            "bad_metadata_in_wrong_place_1",
            "bad_metadata_in_wrong_place_2",
            "bad_no_eof",
            "bad_repeated_metadata_0",
            "bad_repeated_metadata_1",
            "bad_repeated_metadata_3",
            "from_test_parse_error_0",
            "from_test_parse_error_13",
            "from_test_parse_error_14",
        ],
    ),
    (
        "the text format allows it: blank lines, comments, more blanks, HELP without a text, untyped",
        &[
            "bad_blank_line",
            "bad_help_0",
            "bad_help_2",
            "bad_help_4",
            "bad_metadata",
            "bad_type_7",
            "bad_value_1",
        ],
    ),
    (
        "OpenMetrics allows it: an unknown escape stands for itself",
        &["from_test_parse_error_1"],
    ),
    (
        "an exemplar of more than 128 characters does not cost its sample",
        &["bad_exemplar_complex_chars", "bad_exemplars_6"],
    ),
];

fn check_vectors(path: &str) {
    let cases = cases(path);
    let mut wrong = Vec::new();
    let (mut refused, mut explained) = (0, 0);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let want = case["should_parse"].as_bool().unwrap();
        let got = accepts(case["exposition"].as_str().unwrap());
        let is_explained = READ_ALL_THE_SAME
            .iter()
            .any(|(_, names)| names.contains(&name));
        match (want, got) {
            (true, true) if !is_explained => {}
            (false, false) if !is_explained => refused += 1,
            (false, true) if is_explained => explained += 1,
            _ => wrong.push((name.to_owned(), want, case["exposition"].as_str().unwrap())),
        }
    }
    eprintln!(
        "{path}: {} documents, {refused} bad ones refused, {explained} bad ones read (see the table)",
        cases.len()
    );
    assert!(wrong.is_empty(), "{} {wrong:#?}", wrong.len());
}

#[test]
fn agrees_with_the_openmetrics_vectors() {
    check_vectors("prometheus/openmetrics_vectors.jsonl");
}

#[test]
fn agrees_with_the_text_format_corpus() {
    check_vectors("prometheus/expfmt_corpus.jsonl");
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn reads_labels_values_and_times() {
    let check = |line: &str, name: &str, value: f64, pairs: &[(&str, &str)], time: Option<i64>| {
        assert_eq!(
            sample(line),
            Sample {
                name: name.to_owned(),
                value,
                labels: labels(pairs),
                time
            }
        );
    };
    check(
        "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000",
        "http_requests_total",
        1027.0,
        &[("method", "post"), ("code", "200")],
        Some(1_395_066_363_000_000_000),
    );
    check(
        "a{b=\"C:\\\\DIR\\n\\\"x\\\"\\z\"} 1",
        "a",
        1.0,
        &[("b", "C:\\DIR\n\"x\"\\z")],
        None,
    );
    check(
        "a -3.25 -3982045",
        "a",
        -3.25,
        &[],
        Some(-3_982_045_000_000),
    );
    check(
        "a 1 1520879607.789",
        "a",
        1.0,
        &[],
        Some(1_520_879_607_789_000_000),
    );
    check(
        "a 1 1.520879607123456789e+09",
        "a",
        1.0,
        &[],
        Some(1_520_879_607_123_456_789),
    );
    check(
        "a 1 1520879607",
        "a",
        1.0,
        &[],
        Some(1_520_879_607_000_000_000),
    );
    check("a 1 12345678901234567890.1234567890", "a", 1.0, &[], None);
    check(
        "a_bucket{le=\"0.1\"} 8 # {} 0.054",
        "a_bucket",
        8.0,
        &[("le", "0.1")],
        None,
    );
    check(
        "a_bucket{le=\"1\"} 11 9.5 # {trace=\"K # }\"} 0.67 1520879607.7",
        "a_bucket",
        11.0,
        &[("le", "1")],
        Some(9_500_000_000),
    );
    check(
        "a { x = \"1\" , } +Inf",
        "a",
        f64::INFINITY,
        &[("x", "1")],
        None,
    );
    check(
        "{\"http.status\", \"host.name\"=\"ü\", code=\"2\"} 5",
        "http.status",
        5.0,
        &[("host.name", "ü"), ("code", "2")],
        None,
    );
    check("job:rate5m{}7", "job:rate5m", 7.0, &[], None);
}

#[test]
fn tells_samples_from_sentences() {
    for line in [
        "node_load1 0.21",
        "job:errors:rate5m 2",
        "up{job=\"a\"} 1",
        "up{} 1",
        "up 1 1395066363000",
        "# HELP up Whether it is up.",
        "# TYPE up gauge",
        "# UNIT a_seconds seconds",
        "# EOF",
        "go_x NaN",
        "{\"a.b\"} 1",
        "rpc_bucket{le=\"1\"} 3 # {a=\"b\"} 1",
    ] {
        assert!(recognises(line), "{line}");
    }
    for line in [
        "",
        "count 5",
        "Total: 5",
        "retry 3 17",
        "# a comment",
        "#",
        "# TYPE of thing",
        "# UNIT",
        "# EOF now",
        "# HELP",
        "5 5",
        "a_b",
        "a_b five",
        "a_b 5 six",
        "a_b 5 6 7",
        "a_b 0x10",
        "a_b 1_0",
        "a_b 5 ",
        "a_b 5 # no exemplar",
        "a_b{",
        "a_b{x}",
        "a_b{x=\"1\"",
        "a_b{x=\"1\"}",
        "a_b{x=\"1\" y=\"2\"} 1",
        "a_b{x=\"1\",x=\"2\"} 1",
        "a_b{x=1} 1",
        "a_b{__name__=\"x\"} 1",
        "a_b{x=\"1\\",
        "a_b{x=\"\n\"} 1",
        "{} 1",
        "_ 1",
        "{\"a\",\"b\"} 1",
        "# TYPE a gauge ",
    ] {
        assert!(!recognises(line), "{line:?}");
    }
    assert!(!forced_parser().parse(b"a_b{x=\"\xff\"} 1", &mut clock(), &mut Row::new(0)));
}

#[test]
fn metrics_by_name_are_no_buckets() {
    let metrics = |line: &str| {
        read(&mut Parser::new(&everything()), line.as_bytes())
            .expect(line)
            .0
            .numbers
            .len()
    };
    assert_eq!(metrics("process_cpu_seconds_total 5"), 1);
    assert_eq!(metrics("request_duration_seconds_sum 5"), 0);
    assert_eq!(metrics("process_resident_memory_bytes 5"), 1);
    assert_eq!(metrics("cpu_usage_bucket{le=\"1\"} 5"), 0);
    assert_eq!(metrics("memory_bytes_created 5"), 0);
    assert_eq!(metrics("memory_info{a=\"b\"} 1"), 0);
    assert_eq!(metrics("http_requests_total 5"), 0);
}

#[test]
fn fills_the_slots_of_the_plan() {
    let wanted = Wanted {
        paths: ["code", "a_bytes", "metric", "nothing"]
            .map(Path::new)
            .to_vec(),
        numbers: true,
        ..Wanted::default()
    };
    let line = b"a_bytes{code=\"500\",x=\"y\"} 12 1395066363000";
    let mut row = Row::new(4);
    assert!(Parser::new(&wanted).parse(line, &mut clock(), &mut row));
    let texts: Vec<_> = row
        .values
        .iter()
        .map(|value| row.bytes(line, value.text))
        .collect();
    assert_eq!(texts, [&b"500"[..], b"12", b"a_bytes", b""]);
    assert_eq!(
        (row.time, row.numbers.len(), row.fields.len()),
        (None, 0, 0)
    );
}

/// The two exporters' scrapes and the collector's text files hold no escapes, times or exemplars,
/// so the last blank of a line parts the value, and the first brace or blank ends the name.
#[test]
fn reads_every_line_of_real_scrapes() {
    let mut samples = 0;
    for path in [
        "node_exporter_darwin.prom",
        "node_exporter_freebsd.prom",
        "expfmt_text.prom",
        "1histogram.om.txt",
        "textfile/different_metric_types__metrics.prom",
        "textfile/histogram__metrics.prom",
        "textfile/inconsistent_metrics__metrics.prom",
        "textfile/metrics_merge_different_help__a.prom",
        "textfile/metrics_merge_different_help__b.prom",
        "textfile/metrics_merge_empty_help__a.prom",
        "textfile/metrics_merge_empty_help__b.prom",
        "textfile/metrics_merge_no_help__a.prom",
        "textfile/summary__metrics.prom",
        "textfile/two_metric_files__metrics1.prom",
    ] {
        let Some(text) = shared(&format!("prometheus/{path}")) else {
            continue;
        };
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                assert!(
                    read(&mut forced_parser(), line.as_bytes())
                        .expect(line)
                        .1
                        .is_none()
                );
                continue;
            }
            let (head, value) = line.rsplit_once(' ').unwrap();
            let name = head.split(['{', ' ']).next().unwrap();
            let got = sample(line);
            assert_eq!(
                (got.name.as_str(), got.value.to_bits(), got.time),
                (name, value.parse::<f64>().unwrap().to_bits(), None),
                "{line}"
            );
            assert_eq!(got.labels.len(), head.matches("=\"").count(), "{line}");
            samples += 1;
        }
    }
    eprintln!("real scrapes: {samples} samples");
}

/// Splits `measurement,tag=value field=1 time` as Telegraf's expected points are written.
fn telegraf_points(text: &str) -> Vec<Sample> {
    let mut samples = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = line
            .replace("\\ ", "\u{1}")
            .replace("\\,", "\u{2}")
            .replace("\\=", "\u{3}");
        let restore = |text: &str| {
            text.replace('\u{1}', " ")
                .replace('\u{2}', ",")
                .replace('\u{3}', "=")
        };
        let mut words = line.split(' ');
        let mut labels: Vec<_> = words
            .next()
            .unwrap()
            .split(',')
            .skip(1)
            .map(|tag| tag.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), restore(value)))
            .collect();
        labels.retain(|(key, _)| key != "_type" && key != "unit" && key != "defaultTag");
        labels.sort();
        let fields: Vec<_> = words.next().unwrap().split(',').collect();
        let time = words.next().map(|time| time.parse().unwrap());
        for field in fields {
            let (name, value) = field.split_once('=').unwrap();
            let value = match value {
                "true" => 1.0,
                "false" => 0.0,
                _ => value.trim_end_matches(['u', 'i']).parse().unwrap(),
            };
            samples.push(Sample {
                name: restore(name),
                value,
                labels: labels.clone(),
                time,
            });
        }
    }
    samples
}

/// Telegraf drops empty labels, takes `_total` off counters, and leaves out samples whose suffix does
/// not go with the type of their family, such as `_sum` of a counter. It puts the state of a state set
/// into the name. One expected `_created` is not the number of its input.
#[test]
fn agrees_with_telegraf() {
    for path in [
        "prometheus/telegraf_prometheus.jsonl",
        "prometheus/telegraf_openmetrics.jsonl",
    ] {
        let (mut agreed, mut all) = (0, 0);
        for case in cases(path) {
            let name = case["name"].as_str().unwrap();
            let mut want = telegraf_points(case["expected_v2"].as_str().unwrap());
            let input = case["input"].as_str().unwrap();
            let mut parser = forced_parser();
            let lines = input.split_terminator('\n').map(|line| {
                read(&mut parser, line.as_bytes()).unwrap_or_else(|| panic!("{name}: {line}"))
            });
            let mut got: Vec<Sample> = lines.filter_map(|(_, sample)| sample).collect();
            for sample in &mut got {
                sample.labels.retain(|(_, value)| !value.is_empty());
                sample.labels.sort();
                if path.ends_with("openmetrics.jsonl") {
                    sample.name = sample.name.trim_end_matches("_total").to_owned();
                    if let Some(at) = sample
                        .labels
                        .iter()
                        .position(|(key, _)| *key == sample.name)
                    {
                        let (_, state) = sample.labels.remove(at);
                        sample.name = format!("{}_{}", sample.name, state.replace(' ', "_"));
                    }
                    if sample.value == 1705509488.3 {
                        sample.value = 2005509488.0;
                    }
                }
            }
            all += want.len();
            let mut missing = Vec::new();
            for sample in want.drain(..) {
                match got.iter().position(|other| *other == sample) {
                    Some(at) => {
                        got.swap_remove(at);
                        agreed += 1;
                    }
                    None => missing.push(sample),
                }
            }
            got.retain(|sample| {
                ![
                    "dovecot_imap_command_duration_seconds_sum",
                    "dovecot_imap_command_count",
                ]
                .contains(&sample.name.as_str())
            });
            assert!(
                missing.is_empty() && got.is_empty(),
                "{name}: missing {missing:#?}, left {got:#?}"
            );
        }
        eprintln!("{path}: {agreed} of {all} samples agree");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..80)) {
        read(&mut forced_parser(), &line);
    }

    #[test]
    fn any_near_sample_is_read_or_refused(line in "[a_:{]{1,3}[{ ]?([a\"\\\\=,} n]|le=\"){0,12}[}\"]? ?[0-9.eN#-]{0,4}( [0-9]{1,13})?( # \\{\\} 1)?") {
        read(&mut forced_parser(), line.as_bytes());
    }

    /// Whatever a label holds comes back, written with the format's escapes.
    #[test]
    fn labels_come_back(value in ".{0,30}", number in any::<f64>()) {
        let escaped = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let got = sample(&format!("m_x{{k=\"{escaped}\"}} {number}"));
        prop_assert_eq!(got.labels, labels(&[("k", value.as_str())]));
        prop_assert_eq!(got.value.to_bits(), number.to_bits());
    }
}
