//! The answers of `gen_corpus.py --truth`: what a generated corpus holds is known to the last line,
//! so the report has to say exactly that.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::shared;
use crate::truth::check_metric;

/// A generated corpus and what it holds. Gone with the folder.
struct Corpus {
    _folder: tempfile::TempDir,
    file: PathBuf,
    truth: Value,
}

impl Corpus {
    /// Generates it, or says why not.
    fn make(args: &[&str]) -> Option<Corpus> {
        let generator = shared::data()?.join("gen_corpus.py");
        let folder = tempfile::tempdir().expect("a folder for the corpus");
        let (file, truth) = (folder.path().join("corpus"), folder.path().join("truth"));
        let made = Command::new("python3")
            .arg(&generator)
            .args(args)
            .arg("--truth")
            .arg(&truth)
            .stdout(fs::File::create(&file).expect("a file for the corpus"))
            .stderr(Stdio::inherit())
            .status();
        match made {
            Ok(status) => assert!(status.success(), "{args:?}: {status}"),
            Err(error) => {
                let _ = std::io::Write::write_fmt(
                    &mut std::io::stderr(),
                    format_args!("skipped: python3: {error}\n"),
                );
                return None;
            }
        }
        let truth = serde_json::from_slice(&fs::read(&truth).unwrap()).unwrap();
        Some(Corpus {
            _folder: folder,
            file,
            truth,
        })
    }

    /// The report, its bytes and lines checked.
    fn report(&self, flags: &[&str]) -> Value {
        let args: Vec<_> = flags
            .iter()
            .map(Into::into)
            .chain([self.file.clone().into_os_string()])
            .collect();
        let report = shared::report(args);
        assert_eq!(report["ledger"]["bytes"], self.truth["bytes"]);
        assert_eq!(report["ledger"]["lines"], self.truth["lines"]);
        assert_eq!(report["ledger"]["unaccounted"], 0);
        report
    }
}

/// Bytes of the corpora that are not of metrics.
const SIZE: &str = "64mi";

/// Counts of the grouping by one field.
fn groups(report: &Value, field: &str) -> HashMap<String, u64> {
    let rows = report["groups"].as_array().unwrap().iter();
    rows.filter_map(|row| {
        Some((
            row["by"].get(field)?.as_str()?.to_owned(),
            row["count"].as_u64()?,
        ))
    })
    .collect()
}

fn counts(truth: &Value) -> HashMap<String, u64> {
    let rows = truth.as_object().unwrap().iter();
    rows.map(|(name, count)| (name.clone(), count.as_u64().unwrap()))
        .collect()
}

fn metric<'a>(report: &'a Value, field: &str) -> &'a Value {
    let mut rows = report["metrics"].as_array().unwrap().iter();
    let is = |row: &&Value| {
        row["field"] == field && row["by"].as_object().is_some_and(|by| by.is_empty())
    };
    rows.find(is).unwrap_or_else(|| panic!("no metric {field}"))
}

/// Count, extremes and mean exact, percentiles within 0.1 %.
fn check_figures(name: &str, row: &Value, truth: &Value) {
    let ours = |key: &str| {
        row[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: no {key}"))
    };
    let want = |key: &str| {
        truth[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: no {key}"))
    };
    assert_eq!(row["count"], truth["count"], "{name}");
    for key in ["min", "max", "mean"] {
        assert!(
            (ours(key) - want(key)).abs() <= 1e-12 * want(key).abs(),
            "{name}: {key} {} against {}",
            ours(key),
            want(key)
        );
    }
    for (key, name_there) in [
        ("p50", "p50"),
        ("p90", "p90"),
        ("p99", "p99"),
        ("p999", "p99.9"),
    ] {
        let error = (ours(key) - want(name_there)).abs();
        assert!(
            error <= 0.001 * want(name_there).abs(),
            "{name}: {key} {} against {}",
            ours(key),
            want(name_there)
        );
    }
}

#[test]
fn eight_systems_mixed() {
    let Some(corpus) = Corpus::make(&["mixed", "--bytes", SIZE]) else {
        return;
    };
    let truth = &corpus.truth;
    let report = corpus.report(&["-l", "trace"]);
    assert_eq!(report["ledger"]["records"], truth["events"]);
    // Lines of Linux and OpenSSH have no level of their own; ours may find one in their text. Their
    // hosts tell them from the others.
    let six = corpus.report(&["-v", "-m", " combo ", "-m", " LabSZ "]);
    let written = counts(&truth["by_level_as_written"]);
    let systems = counts(&truth["by_system"]);
    assert_eq!(
        six["ledger"]["filtered"],
        systems["Linux"] + systems["OpenSSH"]
    );
    let want = |names: &[&str]| -> u64 { names.iter().filter_map(|name| written.get(*name)).sum() };
    for (level, names) in [
        ("fatal", &["FATAL", "CRIT", "EMERG", "ALERT"][..]),
        ("error", &["ERROR"]),
        ("warn", &["WARN", "WARNING"]),
        ("info", &["INFO", "NOTICE"]),
        ("debug", &["DEBUG"]),
        ("trace", &["TRACE"]),
    ] {
        assert_eq!(six["levels"][level], want(names), "{level}");
    }
    assert_eq!(six["levels"]["none"], 0);
    // A true template is found if a row of ours has as many records: names are not compared.
    let mut ours: HashMap<u64, u64> = HashMap::new();
    for row in report["messages"].as_array().unwrap() {
        *ours.entry(row["count"].as_u64().unwrap()).or_default() += 1;
    }
    let (mut found, mut all) = (0, 0);
    for count in counts(&truth["by_template"]).into_values() {
        all += count;
        if let Some(rows) = ours.get_mut(&count).filter(|rows| **rows > 0) {
            *rows -= 1;
            found += count;
        }
    }
    eprintln!(
        "mixed: {} rows for {} true templates; rows of the right size hold {:.4} of {all} records",
        report["messages"].as_array().unwrap().len(),
        truth["templates"],
        found as f64 / all as f64
    );
}

#[test]
fn stack_traces_belong_to_their_records() {
    let Some(corpus) = Corpus::make(&["mixed", "--traces", "20", "--bytes", SIZE]) else {
        return;
    };
    let report = corpus.report(&[]);
    assert_eq!(report["ledger"]["records"], corpus.truth["events"]);
}

#[test]
fn json_services() {
    let Some(corpus) = Corpus::make(&["json", "--bytes", SIZE]) else {
        return;
    };
    let truth = &corpus.truth;
    let report = corpus.report(&["--by", "service", "--by", "status"]);
    assert_eq!(report["ledger"]["records"], truth["lines"]);
    assert_eq!(report["inputs"][0]["format"], "json");
    assert_eq!(groups(&report, "service"), counts(&truth["by_service"]));
    assert_eq!(groups(&report, "status"), counts(&truth["by_status"]));
    for (level, count) in counts(&truth["by_level"]) {
        assert_eq!(report["levels"][level.to_lowercase()], count, "{level}");
    }
    check_figures(
        "latency_ms",
        metric(&report, "latency_ms"),
        &truth["latency_ms"],
    );
}

#[test]
fn access_log() {
    let Some(corpus) = Corpus::make(&["access", "--bytes", SIZE]) else {
        return;
    };
    let truth = &corpus.truth;
    let report = corpus.report(&[
        "--by",
        "status",
        "--by",
        "method",
        "--by",
        "client",
        "--metric",
        "response_time",
        "--metric",
        "bytes",
    ]);
    assert_eq!(report["ledger"]["records"], truth["lines"]);
    assert_eq!(groups(&report, "status"), counts(&truth["by_status"]));
    assert_eq!(groups(&report, "method"), counts(&truth["by_method"]));
    let clients = groups(&report, "client");
    assert_eq!(truth["distinct_clients"], clients.len());
    for top in truth["top_clients"].as_array().unwrap() {
        assert_eq!(top[1], clients[top[0].as_str().unwrap()]);
    }
    let (mut warn, mut error) = (0, 0);
    for (status, count) in counts(&truth["by_status"]) {
        match status.as_bytes()[0] {
            b'4' => warn += count,
            b'5' => error += count,
            _ => {}
        }
    }
    assert_eq!(
        (&report["levels"]["warn"], &report["levels"]["error"]),
        (&warn.into(), &error.into())
    );
    assert_eq!(
        metric(&report, "bytes")["sum"].as_f64(),
        truth["body_bytes"].as_f64()
    );
    check_figures(
        "response_time",
        metric(&report, "response_time"),
        &truth["request_time_s"],
    );
}

/// Names of the truth, with what tells their samples from others and the field that holds them.
const SERIES: [(&str, &str); 3] = [
    ("cpu_usage_percent", "cpu.usage_percent"),
    ("mem_used_percent", "mem.used_percent"),
    ("disk_write_bytes", "disk.write_bytes"),
];

#[test]
fn metrics_as_influx_lines_and_prometheus_text() {
    if let Some(corpus) = Corpus::make(&["metrics", "--format", "influx", "--bytes", "8mi"]) {
        for (name, there) in SERIES {
            let (measurement, field) = there.split_once('.').unwrap();
            let report = corpus.report(&["-m", &format!("{measurement},host="), "--metric", field]);
            check_figures(
                &format!("influx {name}"),
                metric(&report, field),
                &corpus.truth[name],
            );
        }
    }
    if let Some(corpus) = Corpus::make(&["metrics", "--format", "prom", "--bytes", "8mi"]) {
        let report = corpus.report(&[]);
        for (name, _) in SERIES {
            let field = format!("host_{name}");
            check_figures(
                &format!("prom {name}"),
                metric(&report, &field),
                &corpus.truth[name],
            );
        }
    }
}

#[test]
fn metrics_as_json_and_csv() {
    if let Some(corpus) = Corpus::make(&["metrics", "--format", "json", "--bytes", "8mi"]) {
        for (name, there) in SERIES {
            let report =
                corpus.report(&["-w", &format!("metric == \"{there}\""), "--metric", "value"]);
            check_figures(
                &format!("json {name}"),
                metric(&report, "value"),
                &corpus.truth[name],
            );
        }
    }
    if let Some(corpus) = Corpus::make(&["metrics", "--format", "csv", "--bytes", "8mi"]) {
        // The generator writes rows alone; a header is what makes them CSV.
        let mut bytes = b"host,dc,metric,value,ts\n".to_vec();
        bytes.extend(fs::read(&corpus.file).unwrap());
        fs::write(&corpus.file, bytes).unwrap();
        for (name, there) in SERIES {
            let condition = format!("metric == \"{there}\"");
            let flags = ["-w", &condition, "--metric", "value"].map(std::ffi::OsString::from);
            let report = shared::report(
                flags
                    .into_iter()
                    .chain([corpus.file.clone().into_os_string()]),
            );
            assert_eq!(report["ledger"]["records"], corpus.truth["lines"]);
            assert_eq!(report["inputs"][0]["format"], "csv");
            check_figures(
                &format!("csv {name}"),
                metric(&report, "value"),
                &corpus.truth[name],
            );
        }
    }
}

#[test]
fn metrics_as_statsd() {
    let Some(corpus) = Corpus::make(&["metrics", "--format", "statsd", "--bytes", "8mi"]) else {
        return;
    };
    let report = corpus.report(&[]);
    // Every host has names of its own, so the values are read here again.
    let values = statsd(&corpus.file);
    let rows = report["metrics"].as_array().unwrap();
    assert_eq!(rows.len(), values.len());
    let mut totals: HashMap<&str, u64> = HashMap::new();
    for row in rows {
        let field = row["field"].as_str().unwrap();
        check_metric(field, row, &values[field]);
        let name = SERIES
            .iter()
            .find(|series| field.ends_with(series.1))
            .expect("one of three")
            .0;
        *totals.entry(name).or_default() += row["count"].as_u64().unwrap();
    }
    for (name, total) in totals {
        assert_eq!(corpus.truth[name]["count"], total, "{name}");
    }
}

fn statsd(file: &Path) -> HashMap<String, Vec<f64>> {
    let mut values: HashMap<String, Vec<f64>> = HashMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        let (name, rest) = line.split_once(':').unwrap();
        let value = rest.split_once('|').unwrap().0.parse().unwrap();
        values.entry(name.to_owned()).or_default().push(value);
    }
    values
}
