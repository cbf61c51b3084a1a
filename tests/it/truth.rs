//! What the shared data says is true: templates, levels and times of eight systems (loghub), exact
//! percentiles of real series (NAB), fields that another program read (beats), JSON that has to be
//! read (JSONTestSuite). All through the built command.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::program::run_in;
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
        for (number, name) in ["log_structured", "corrected_events"].iter().enumerate() {
            let truth = csv(&data.join(format!("loghub/{system}/{system}_2k.{name}.csv")));
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

/// The time that the columns of the truth say, in seconds of 1970; a missing year is `year`.
fn true_second(system: &str, row: &HashMap<String, String>, year: i16) -> i64 {
    let clock = |text: &str| -> (i8, i8, i8) {
        let digits: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
        let two = |at: usize| digits[at..at + 2].parse().expect("two digits");
        (two(0), two(2), two(4))
    };
    let month = |name: &str| {
        1 + MONTHS
            .iter()
            .position(|month| *month == name)
            .expect("a month") as i8
    };
    let (year, month, day, clock) = match system {
        "Apache" => {
            let words: Vec<&str> = row["Time"].split_whitespace().collect();
            (
                words[4].parse().unwrap(),
                month(words[1]),
                words[2].parse().unwrap(),
                clock(words[3]),
            )
        }
        "Linux" => (
            year,
            month(&row["Month"]),
            row["Date"].parse().unwrap(),
            clock(&row["Time"]),
        ),
        "OpenSSH" => (
            year,
            month(&row["Date"]),
            row["Day"].parse().unwrap(),
            clock(&row["Time"]),
        ),
        _ => {
            let digits: String = row["Date"].chars().filter(char::is_ascii_digit).collect();
            let (century, rest) = if digits.len() == 6 {
                ("20", digits.as_str())
            } else {
                digits.split_at(2)
            };
            let year = format!("{century}{}", &rest[..2]).parse().unwrap();
            (
                year,
                rest[2..4].parse().unwrap(),
                rest[4..6].parse().unwrap(),
                clock(&row["Time"]),
            )
        }
    };
    let civil = jiff::civil::datetime(year, month, day, clock.0, clock.1, clock.2, 0);
    civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .unwrap()
        .timestamp()
        .as_second()
}

#[test]
fn every_line_has_its_time() {
    let Some(data) = shared::data() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Yearless dates are the last ones not after the file's modification, but for a day: 2016-06-01,
    // a week after the new year, and the evening before the first line of OpenSSH (10 December).
    for (modified, linux, openssh) in [
        (1_464_739_200, 2015, 2015),
        (1_452_211_200, 2015, 2015),
        (1_512_853_200, 2017, 2017),
    ] {
        for system in SYSTEMS {
            let file = folder.path().join(system);
            fs::copy(data.join(format!("loghub/{system}/{system}_2k.log")), &file).unwrap();
            set_modified(&file, modified);
            let lines = shared::lines(args(["--multiline", "off", "--tz", "UTC"], &file));
            let truth = csv(&data.join(format!("loghub/{system}/{system}_2k.log_structured.csv")));
            assert_eq!(lines.len(), truth.len(), "{system}");
            for (line, row) in lines.iter().zip(&truth) {
                let time = line["time"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{system}: no time: {}", line["raw"]));
                let year = if system == "Linux" { linux } else { openssh };
                let second = time.parse::<jiff::Timestamp>().unwrap().as_second();
                assert_eq!(
                    second,
                    true_second(system, row, year),
                    "{system}: {time}: {}",
                    line["raw"]
                );
            }
            fs::remove_file(&file).unwrap();
        }
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn set_modified(path: &Path, second: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    // The copy has the rights of a file that may only be read.
    let mut rights = fs::metadata(path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o600);
    fs::set_permissions(path, rights).unwrap();
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
    // Reading JSON back here may lose the last bit.
    let same = |one: f64, other: f64| (one - other).abs() <= 2.0 * f64::EPSILON * other.abs();
    assert!(same(number("min"), sorted[0]), "{name}: min");
    assert!(same(number("max"), sorted[sorted.len() - 1]), "{name}: max");
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

/// Every case of JSONTestSuite as a file of its own: those that must be read, if they are objects on
/// one line, come back with the values that serde_json reads; no other one is lost or called an
/// object that it is not.
#[test]
fn json_that_must_be_read_is_json_and_nothing_is_lost() {
    let Some(data) = shared::data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("case");
    let (mut cases, mut objects) = (0, 0);
    for case in fs::read_to_string(data.join("json/JSONTestSuite.jsonl"))
        .unwrap()
        .lines()
    {
        let case: Value = serde_json::from_str(case).unwrap();
        let name = case["name"].as_str().unwrap();
        let bytes = match case["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                case["text_b64"].as_str().unwrap(),
            )
            .unwrap(),
        };
        fs::write(&file, &bytes).unwrap();
        if name == BROKEN_DOCUMENT {
            let ran = run_in(folder.path(), ["-q", "-o", "json", "-l", "trace", "case"]);
            assert_eq!(ran.code, 74, "{name}");
            assert!(ran.stderr.contains("the JSON document ends too early"));
            let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
            assert_eq!(report["ledger"]["unaccounted"], 0, "{name}");
            assert!(report["ledger"]["records"].as_u64() >= Some(1), "{name}");
            continue;
        }
        let report = shared::report(args(["-l", "trace"], &file));
        // Of UTF-16 the decoded bytes are counted.
        let read = match bytes.strip_prefix(b"\xff\xfe") {
            Some(units) => {
                let units = units
                    .chunks(2)
                    .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                String::from_utf16(&units.collect::<Vec<_>>())
                    .unwrap()
                    .len()
            }
            None => bytes.len(),
        };
        assert_eq!(report["ledger"]["bytes"], read, "{name}");
        assert_eq!(report["ledger"]["unaccounted"], 0, "{name}");
        let lines = shared::lines(args([], &file));
        assert_eq!(report["ledger"]["records"], lines.len(), "{name}");
        cases += 1;
        let text = bytes.trim_ascii();
        if case["expect"] == "accept" && text.starts_with(b"{") && !text.contains(&b'\n') {
            objects += 1;
            let want: Value = serde_json::from_slice(text).expect("a valid text");
            assert_eq!(
                (lines.len(), &lines[0]["format"]),
                (1, &"json".into()),
                "{name}"
            );
            assert_eq!(lines[0]["fields"], want, "{name}");
        }
        if case["expect"] == "reject" {
            for line in lines.iter().filter(|line| line["format"] == "json") {
                let raw = line["raw"].as_str().unwrap();
                eprintln!("{name}: read as JSON all the same: {raw}");
                assert!(LENIENT.contains(&name), "{name}: {raw}");
            }
        }
    }
    eprintln!("{cases} cases, {objects} objects that must be read");
    assert!(objects > 5);
}

/// An array of objects, and so a document, that never ends: an error, with what is there of it.
const BROKEN_DOCUMENT: &str = "n_structure_open_array_object.json";

/// Cases that are no JSON, but are read as an object nonetheless.
const LENIENT: [&str; 0] = [];

/// Modules of beats: how many of its events we have as a record at the same offset, with the same
/// time, level and message, of how many that name one; and why not all.
#[rustfmt::skip]
const MODULES: [(&str, [usize; 4], &str); 12] = [
    ("apache", [35, 35, 13, 4], "httpd writes [client ADDRESS] into the message; beats takes it out"),
    ("elasticsearch", [169, 169, 169, 152], "beats takes the node's, index's or collector's name in brackets out of the message"),
    ("haproxy", [6, 0, 0, 0], ""),
    ("icinga", [5, 3, 3, 2], "lines of the start have no time, so information/cli: is text; the facility stays in our message"),
    ("iis", [10, 10, 0, 0], ""),
    ("kafka", [165, 165, 165, 162], ""),
    ("logstash", [7, 3, 7, 1], "the JSON form has its time in timeMillis and its text in logEvent.message: names that we do not know"),
    ("mongodb", [35, 35, 35, 35], ""),
    ("mysql", [224, 200, 138, 223], ""),
    ("nginx", [22, 22, 0, 0], ""),
    ("postgresql", [139, 59, 113, 86], "beats reads CEST as UTC and EST as New York's summer time; user@database and HINT, DETAIL, STATEMENT stay in our message"),
    ("system", [108, 3, 0, 68], "the time that GoogleSoftwareUpdateAgent writes behind the syslog head is a head too; beats leaves it in the message"),
];

#[test]
fn beats_modules_agree_on_records_times_levels_and_messages() {
    let Some(data) = shared::data() else { return };
    let root = data.join("beats");
    let mut shares: BTreeMap<String, [[usize; 2]; 4]> = BTreeMap::new();
    let mut differences: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for expected in walk(&root) {
        let path = expected.to_string_lossy().into_owned();
        let Some(log) = path.strip_suffix("-expected.json").map(PathBuf::from) else {
            continue;
        };
        let module = log
            .strip_prefix(&root)
            .unwrap()
            .iter()
            .next()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let events: Value = serde_json::from_slice(&fs::read(&expected).unwrap()).unwrap();
        let lines = shared::lines(args(["--tz", "UTC"], &log));
        let at: HashMap<u64, &Value> = lines
            .iter()
            .map(|line| (line["offset"].as_u64().unwrap(), line))
            .collect();
        let share = shares.entry(module.clone()).or_default();
        let differences = differences.entry(module).or_default();
        for event in events.as_array().unwrap() {
            let Some(offset) = event["log.offset"].as_u64() else {
                continue;
            };
            let Some(line) = at.get(&offset) else {
                share[0][1] += 1;
                continue;
            };
            let same = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            // Beats keeps milliseconds.
            let instant = |text: &str| {
                text.parse::<jiff::Timestamp>()
                    .ok()
                    .map(|time| time.as_millisecond())
            };
            let agree = [
                Some(true),
                event["@timestamp"]
                    .as_str()
                    .map(|time| instant(time) == line["time"].as_str().and_then(instant)),
                event["log.level"]
                    .as_str()
                    .and_then(beats_level)
                    .map(|level| line["level"] == level),
                event["message"]
                    .as_str()
                    .map(|message| same(line["message"].as_str().unwrap()) == same(message)),
            ];
            for (number, agree) in agree.iter().enumerate() {
                let Some(agree) = agree else { continue };
                share[number][0] += usize::from(*agree);
                share[number][1] += 1;
                if !agree {
                    let key = ["log.offset", "@timestamp", "log.level", "message"][number];
                    differences.push(format!("{key} {} against {line}", event[key]));
                }
            }
        }
    }
    eprintln!(
        "{:<14} {:>9} {:>9} {:>9} {:>9}",
        "beats", "records", "times", "levels", "messages"
    );
    let mut short = Vec::new();
    for (module, least, reason) in MODULES {
        let share = shares[module];
        let show = |[ours, all]: [usize; 2]| format!("{ours}/{all}");
        eprintln!(
            "{module:<14} {:>9} {:>9} {:>9} {:>9}  {reason}",
            show(share[0]),
            show(share[1]),
            show(share[2]),
            show(share[3])
        );
        if (0..4).any(|number| share[number][0] < least[number]) {
            short.extend(differences[module].iter().take(20).cloned());
        }
    }
    assert_eq!(shares.len(), MODULES.len());
    assert!(
        short.is_empty(),
        "less agrees than before:\n{}",
        short.join("\n")
    );
}

fn beats_level(written: &str) -> Option<&'static str> {
    level_name(written).or(match written {
        "Note" | "Information" | "information" | "LOG" | "I" => Some("info"),
        "W" | "Warning" => Some("warn"),
        "E" | "err" => Some("error"),
        _ => None,
    })
}
