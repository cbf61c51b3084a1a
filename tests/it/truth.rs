//! What the shared data says is true: templates, levels and times of eight systems (loghub), exact
//! percentiles of real series (NAB), fields that another program read (beats), JSON that has to be
//! read (JSONTestSuite). All through the built command.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::shared;

const SYSTEMS: [&str; 8] = [
    "Apache",
    "HDFS",
    "Hadoop",
    "Linux",
    "OpenSSH",
    "OpenStack",
    "Spark",
    "Zookeeper",
];

/// Rows of a CSV file by column name.
fn csv(path: &Path) -> Vec<HashMap<String, String>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(path)
        .expect("the file is there");
    let header = reader.headers().expect("a header").clone();
    reader
        .byte_records()
        .map(|row| {
            let row = row.expect("rows of a CSV file");
            header
                .iter()
                .map(str::to_owned)
                .zip(
                    row.iter()
                        .map(|cell| String::from_utf8_lossy(cell).into_owned()),
                )
                .collect()
        })
        .collect()
}

fn args<const N: usize>(flags: [&str; N], file: &Path) -> Vec<OsString> {
    flags
        .iter()
        .map(OsString::from)
        .chain([file.as_os_str().to_owned()])
        .collect()
}

/// Share of lines whose group holds exactly the lines of their true group.
fn grouping_accuracy<'a>(ours: &[usize], truth: impl Iterator<Item = &'a str>) -> f64 {
    let mut by_truth: HashMap<&str, Vec<usize>> = HashMap::new();
    for (line, event) in truth.enumerate() {
        by_truth.entry(event).or_default().push(line);
    }
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    for group in ours {
        *sizes.entry(*group).or_default() += 1;
    }
    let right: usize = by_truth
        .values()
        .filter(|lines| {
            let group = ours[lines[0]];
            lines.iter().all(|&line| ours[line] == group) && sizes[&group] == lines.len()
        })
        .map(Vec::len)
        .sum();
    right as f64 / ours.len() as f64
}

#[test]
fn templates_group_lines_as_people_did() {
    let Some(data) = shared::data() else { return };
    let mut sums = [0.0; 2];
    let mut worst: (f64, &str) = (1.0, "");
    eprintln!("{:<10} {:>8} {:>9}", "grouping", "original", "corrected");
    for system in SYSTEMS {
        let file = data.join(format!("loghub/{system}/{system}_2k.log"));
        let flags = ["-l", "trace", "--multiline", "off"];
        let report = shared::report(args(flags, &file));
        let mut row_of: HashMap<&str, usize> = HashMap::new();
        for (number, row) in report["messages"].as_array().unwrap().iter().enumerate() {
            for fingerprint in row["fingerprints"].as_array().unwrap() {
                let before = row_of.insert(fingerprint.as_str().unwrap(), number);
                assert_eq!(before, None, "{system}: a fingerprint stands in two rows");
            }
        }
        let lines = shared::lines(args(flags, &file));
        let ours: Vec<usize> = lines
            .iter()
            .map(|line| row_of[line["fingerprint"].as_str().unwrap()])
            .collect();
        let mut accuracy = [0.0; 2];
        for (number, name) in ["structured", "structured_corrected"].iter().enumerate() {
            let truth = csv(&data.join(format!("loghub/{system}/{system}_2k.log_{name}.csv")));
            assert_eq!(truth.len(), ours.len(), "{system}");
            accuracy[number] =
                grouping_accuracy(&ours, truth.iter().map(|row| row["EventId"].as_str()));
            sums[number] += accuracy[number] / SYSTEMS.len() as f64;
        }
        eprintln!("{system:<10} {:>8.4} {:>9.4}", accuracy[0], accuracy[1]);
        if accuracy[0] < worst.0 {
            worst = (accuracy[0], system);
        }
    }
    eprintln!("{:<10} {:>8.4} {:>9.4}", "average", sums[0], sums[1]);
    assert!(sums[0] >= 0.92, "average {}", sums[0]);
    assert!(worst.0 >= 0.70, "{worst:?}");
}

/// The name that this project has for a level as loghub writes it.
fn level_name(written: &str) -> Option<&'static str> {
    Some(match written.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" | "notice" => "info",
        "warn" | "warning" => "warn",
        "error" | "severe" => "error",
        "fatal" | "crit" | "critical" | "alert" | "emerg" => "fatal",
        _ => return None,
    })
}

#[test]
fn every_level_of_the_truth_is_found() {
    let Some(data) = shared::data() else { return };
    for system in SYSTEMS
        .iter()
        .filter(|system| !["Linux", "OpenSSH"].contains(system))
    {
        let file = data.join(format!("loghub/{system}/{system}_2k.log"));
        let lines = shared::lines(args(["--multiline", "off"], &file));
        let truth = csv(&data.join(format!("loghub/{system}/{system}_2k.log_structured.csv")));
        assert_eq!(lines.len(), truth.len(), "{system}");
        for (line, truth) in lines.iter().zip(&truth) {
            let want = level_name(&truth["Level"]).expect("a level that is known");
            assert_eq!(line["level"], want, "{system}: {}", line["raw"]);
        }
    }
}

#[test]
fn every_line_has_its_time() {
    let Some(data) = shared::data() else { return };
    let folder = tempfile::tempdir().unwrap();
    for system in SYSTEMS {
        let file = folder.path().join(system);
        fs::copy(data.join(format!("loghub/{system}/{system}_2k.log")), &file).unwrap();
        // 2016-06-01: yearless dates are those of the twelve months before.
        set_modified(&file, 1_464_739_200);
        let lines = shared::lines(args(["--multiline", "off", "--tz", "UTC"], &file));
        assert_eq!(lines.len(), 2000, "{system}");
        let times: Vec<&str> = lines
            .iter()
            .map(|line| {
                line["time"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{system}: no time: {}", line["raw"]))
            })
            .collect();
        let seconds: Vec<i64> = times
            .iter()
            .map(|time| time.parse::<jiff::Timestamp>().unwrap().as_second())
            .collect();
        let back: Vec<usize> = (1..seconds.len())
            .filter(|&at| seconds[at] < seconds[at - 1])
            .collect();
        eprintln!(
            "{system:<10} {} to {}, {} steps back",
            times[0],
            times[times.len() - 1],
            back.len()
        );
        // Where our times step back, those in the truth do as well: its columns sort as text.
        let truth = csv(&data.join(format!("loghub/{system}/{system}_2k.log_structured.csv")));
        let written = |at: usize| -> String {
            let row = &truth[at];
            ["Year", "Month", "Date", "Day", "Time"]
                .iter()
                .filter_map(|column| row.get(*column))
                .map(|cell| match MONTHS.iter().position(|month| month == cell) {
                    Some(month) => format!("{month:02}"),
                    None => format!("{cell:0>2}"),
                })
                .collect::<Vec<_>>()
                .join(" ")
        };
        if system == "Apache" {
            // Its time is one column that opens with the day's name.
            assert!(back.is_empty(), "{system}");
        } else {
            for &at in &back {
                assert!(
                    written(at) < written(at - 1),
                    "{system}: line {}: {} after {}",
                    at + 1,
                    times[at],
                    times[at - 1]
                );
            }
        }
        for (at, time) in times.iter().enumerate() {
            if ["Linux", "OpenSSH"].contains(&system) {
                let month = MONTHS
                    .iter()
                    .position(|month| {
                        *month
                            == truth[at]
                                .get("Month")
                                .or(truth[at].get("Date"))
                                .unwrap()
                                .as_str()
                    })
                    .unwrap();
                let year = if month < 6 { "2016" } else { "2015" };
                assert!(
                    time.starts_with(year),
                    "{system}: {time}: {}",
                    lines[at]["raw"]
                );
            }
            let clock = &truth[at]["Time"];
            if let Some(clock) = clock.get(..8).filter(|clock| clock.as_bytes()[2] == b':') {
                assert_eq!(&time[11..19], clock, "{system}");
            }
        }
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn set_modified(path: &Path, second: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

/// The smallest value with at least this share of the values at or below it.
fn nearest_rank(sorted: &[f64], quantile: f64) -> f64 {
    let rank = (quantile * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

/// Checks one metric row against all its values.
pub fn check_metric(name: &str, row: &Value, values: &[f64]) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let number = |key: &str| {
        row[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: no {key}"))
    };
    assert_eq!(row["count"], values.len(), "{name}");
    assert_eq!(number("min"), sorted[0], "{name}");
    assert_eq!(number("max"), sorted[sorted.len() - 1], "{name}");
    let mean = exact_sum(values) / values.len() as f64;
    assert!(
        (number("mean") - mean).abs() <= 1e-12 * mean.abs().max(1e-300),
        "{name}: mean {} against {mean}",
        number("mean")
    );
    for (key, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)] {
        let want = nearest_rank(&sorted, quantile);
        let error = (number(key) - want).abs();
        assert!(
            error <= 0.001 * want.abs() || error <= 1e-6,
            "{name}: {key} {} against {want}",
            number(key)
        );
    }
}

/// Sum with Neumaier's correction: right to the last digits for series like these.
fn exact_sum(values: &[f64]) -> f64 {
    let (mut sum, mut rest) = (0.0f64, 0.0f64);
    for &value in values {
        let next = sum + value;
        rest += if sum.abs() >= value.abs() {
            (sum - next) + value
        } else {
            (value - next) + sum
        };
        sum = next;
    }
    sum + rest
}

#[test]
fn percentiles_of_real_series_are_right_whole_and_merged() {
    let Some(data) = shared::data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = walk(&data.join("nab"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "csv"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for (number, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(file).unwrap();
        let values: Vec<f64> = csv(file)
            .iter()
            .map(|row| row["value"].parse().unwrap())
            .collect();
        let whole = shared::report(args(["--metric", "value"], file));
        assert_eq!(whole["metrics"].as_array().unwrap().len(), 1, "{name}");
        check_metric(&name, &whole["metrics"][0], &values);
        // Three parts at uneven places, each with the header.
        let (header, rows) = text.split_once('\n').unwrap();
        let rows: Vec<&str> = rows.lines().collect();
        let first = 1 + (number * 977) % (rows.len() / 2);
        let second = first + 1 + (number * 389) % (rows.len() / 3);
        let mut snapshots = Vec::new();
        for (part, rows) in [&rows[..first], &rows[first..second], &rows[second..]]
            .iter()
            .enumerate()
        {
            let path = folder.path().join(format!("{name}.{part}"));
            fs::write(&path, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
            let snapshot = folder.path().join(format!("{name}.{part}.snap"));
            shared::report([
                "--metric".into(),
                "value".into(),
                "--snapshot".into(),
                snapshot.clone().into_os_string(),
                path.into_os_string(),
            ]);
            snapshots.push(snapshot.into_os_string());
        }
        let merged = shared::output(
            ["merge", "-q", "-o", "json"]
                .map(OsString::from)
                .into_iter()
                .chain(snapshots),
        );
        let merged: Value = serde_json::from_slice(&merged).unwrap();
        check_metric(&format!("{name}, merged"), &merged["metrics"][0], &values);
        for key in ["p50", "p90", "p99", "p999", "min", "max", "count"] {
            assert_eq!(
                merged["metrics"][0][key], whole["metrics"][0][key],
                "{name}: {key}"
            );
        }
    }
    eprintln!("{} series", files.len());
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn json_that_must_be_read_is_json_and_nothing_is_lost() {
    let Some(data) = shared::data() else { return };
    let (mut must, mut read) = (0, 0);
    for file in walk(&data.join("json")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") {
            continue;
        }
        let bytes = fs::read(&file).unwrap();
        let lines = shared::lines(args([], &file));
        let back: usize = lines
            .iter()
            .map(|line| line["raw"].as_str().unwrap().len())
            .sum();
        assert!(
            bytes.is_empty() || back > 0 || bytes.iter().all(u8::is_ascii_whitespace),
            "{name}: nothing came out"
        );
        // A record is a JSON object; numbers, strings and arrays alone are text.
        if name.starts_with("y_") && bytes.trim_ascii_start().starts_with(b"{") {
            must += 1;
            let want: Value = serde_json::from_slice(&bytes).expect("a valid text");
            let one_line = !bytes.trim_ascii().contains(&b'\n');
            if one_line {
                read += 1;
                assert_eq!(lines.len(), 1, "{name}");
                assert_eq!(lines[0]["format"], "json", "{name}");
                assert_eq!(lines[0]["fields"], want, "{name}");
            }
        }
    }
    eprintln!("{must} objects that must be read, {read} of them on one line");
    assert!(read > 0);
}

/// Fields of an expected beats event that this project names as well.
#[derive(Default)]
struct Share {
    records: [usize; 2],
    message: [usize; 2],
    level: [usize; 2],
}

#[test]
fn beats_modules_agree_on_records_levels_and_messages() {
    let Some(data) = shared::data() else { return };
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    let root = data.join("beats");
    let mut samples: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for expected in walk(&root) {
        let path = expected.to_string_lossy().into_owned();
        let Some(log) = path.strip_suffix("-expected.json") else {
            continue;
        };
        let log = PathBuf::from(log);
        let module = log
            .strip_prefix(&root)
            .unwrap()
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let Ok(Value::Array(events)) = serde_json::from_slice(&fs::read(&expected).unwrap()) else {
            continue;
        };
        let lines = shared::lines(args(["--tz", "UTC"], &log));
        let at: HashMap<u64, &Value> = lines
            .iter()
            .map(|line| (line["offset"].as_u64().unwrap(), line))
            .collect();
        let share = shares.entry(module.clone()).or_default();
        for event in &events {
            let Some(offset) = event["log.offset"].as_u64() else {
                continue;
            };
            share.records[1] += 1;
            let Some(line) = at.get(&offset) else {
                continue;
            };
            share.records[0] += 1;
            if let Some(level) = event["log.level"].as_str().and_then(beats_level) {
                share.level[1] += 1;
                if line["level"] == level {
                    share.level[0] += 1;
                } else {
                    samples.entry(module.clone()).or_default().push(format!(
                        "level {level} against {}: {}",
                        line["level"], line["raw"]
                    ));
                }
            }
            if let Some(message) = event["message"].as_str() {
                share.message[1] += 1;
                let same = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                if same(line["message"].as_str().unwrap()) == same(message) {
                    share.message[0] += 1;
                } else {
                    samples
                        .entry(module.clone())
                        .or_default()
                        .push(format!("message {message:?} against {}", line["message"]));
                }
            }
        }
    }
    eprintln!(
        "{:<14} {:>11} {:>11} {:>11}",
        "beats", "records", "levels", "messages"
    );
    let show = |[ours, all]: [usize; 2]| format!("{ours}/{all}");
    for (module, share) in &shares {
        eprintln!(
            "{module:<14} {:>11} {:>11} {:>11}",
            show(share.records),
            show(share.level),
            show(share.message)
        );
    }
    if std::env::var_os("WEIR_LONG").is_some() {
        for (module, samples) in &samples {
            samples
                .iter()
                .take(12)
                .for_each(|sample| eprintln!("{module}: {sample}"));
        }
    }
}

fn beats_level(written: &str) -> Option<&'static str> {
    level_name(written).or(match written {
        "Note" | "Information" | "System" | "LOG" | "I" => Some("info"),
        "W" | "warning" => Some("warn"),
        "E" | "err" => Some("error"),
        _ => None,
    })
}
