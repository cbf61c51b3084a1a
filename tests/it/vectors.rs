//! Values at the edges, each with its right answer from outside of the program: the Unicode Standard for
//! bytes that are no UTF-8, IEEE 754 for numbers, the calendar for times, `wc -l` for real logs.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::program::{balances, run_in, run_with};
use crate::shared;

fn json_lines(args: &[&str], input: &[u8]) -> Vec<Value> {
    let ran = run_with([&["filter", "-o", "json"], args].concat(), input).exits(0);
    let lines = serde_json::Deserializer::from_slice(&ran.stdout).into_iter();
    lines.map(Result::unwrap).collect()
}

// Bytes that are no UTF-8.

/// How many bytes from the start belong together, and whether they are a character: table 3-7 of the
/// Unicode Standard, and of what is ill-formed the longest start of a character that there could be
/// ("substitution of maximal subparts", section 3.9).
fn next(bytes: &[u8]) -> (usize, bool) {
    let ranges: &[(u8, u8)] = match bytes[0] {
        0..=0x7f => &[],
        0xc2..=0xdf => &[(0x80, 0xbf)],
        0xe0 => &[(0xa0, 0xbf), (0x80, 0xbf)],
        0xe1..=0xec | 0xee | 0xef => &[(0x80, 0xbf), (0x80, 0xbf)],
        0xed => &[(0x80, 0x9f), (0x80, 0xbf)],
        0xf0 => &[(0x90, 0xbf), (0x80, 0xbf), (0x80, 0xbf)],
        0xf1..=0xf3 => &[(0x80, 0xbf), (0x80, 0xbf), (0x80, 0xbf)],
        0xf4 => &[(0x80, 0x8f), (0x80, 0xbf), (0x80, 0xbf)],
        _ => return (1, false),
    };
    for (at, (low, high)) in ranges.iter().enumerate() {
        match bytes.get(at + 1) {
            Some(byte) if (low..=high).contains(&byte) => {}
            _ => return (at + 1, false),
        }
    }
    (ranges.len() + 1, true)
}

fn replaced(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while !bytes.is_empty() {
        let (length, is_character) = next(bytes);
        match is_character {
            true => text.extend_from_slice(&bytes[..length]),
            false => text.extend_from_slice("\u{fffd}".as_bytes()),
        }
        bytes = &bytes[length..];
    }
    text
}

#[test]
fn what_is_no_utf_8_goes_through_and_is_replaced_as_unicode_says() {
    // The examples of the Unicode Standard, tables 3-8 to 3-11.
    for (bytes, want) in [
        (
            &b"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"[..],
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}A",
        ),
        (
            b"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}A",
        ),
        (
            b"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}A\u{fffd}\u{fffd}B",
        ),
        (
            b"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41",
            "\u{fffd}\u{fffd}\u{fffd}\u{fffd}A",
        ),
    ] {
        assert_eq!(
            replaced(bytes),
            want.as_bytes(),
            "the reference of this test"
        );
        let line = &json_lines(&[], &[b"a ", bytes, b"\n"].concat())[0];
        assert_eq!(line["message"], format!("a {want}"));
    }
    // Every run of three bytes from the borders of all ranges, and a fourth that could go on.
    let borders = b"\x41\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff";
    let mut input = Vec::new();
    for first in borders {
        for second in borders {
            for third in borders {
                // A mark at the start of a line is none of its text, so a letter stands there.
                input.extend_from_slice(b"a=b k=");
                input.extend_from_slice(&[*first, *second, *third]);
                input.extend_from_slice(if (first ^ second ^ third) & 1 == 0 {
                    b"\x80z\n"
                } else {
                    b"z\n"
                });
            }
        }
    }
    let ran = run_with(["filter", "--multiline", "off"], &input).exits(0);
    assert!(ran.stdout == input, "text output is the bytes that came");
    let lines = json_lines(&["--multiline", "off"], &input);
    let records: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), records.len() - 1);
    for (line, record) in lines.iter().zip(records) {
        let want = String::from_utf8(replaced(record)).unwrap();
        assert_eq!(line["raw"], want, "{}", record.escape_ascii());
        assert_eq!(line["fields"]["k"], want.split_once("k=").unwrap().1);
        assert_eq!(
            line["raw_base64"].is_null(),
            std::str::from_utf8(record).is_ok()
        );
    }
}

// Numbers.

#[test]
fn numbers_are_kept_as_they_are_spelled_and_never_wrap() {
    let nines = "9".repeat(300);
    let zeros = format!("0.{}1", "0".repeat(10_000));
    // Spelled, and what is true of the nearest double.
    let cases = [
        ("-0", "n == 0"),
        ("9223372036854775807", "n > 9e18"),
        ("9223372036854775808", "n > 9e18"),
        ("18446744073709551615", "n > 1.8e19"),
        ("18446744073709551616", "n > 1.8e19"),
        ("-9223372036854775809", "n < -9e18"),
        ("9007199254740993", "n > 9e15"),
        ("5e-324", "n > 0"),
        ("2.2250738585072014e-308", "n > 0"),
        ("1e-400", "n == 0"),
        (&nines, "n > 9e299"),
        (&zeros, "n == 0"),
    ];
    for (number, is) in cases {
        let record = format!("{{\"n\":{number},\"k\":1}}\n");
        let ran = run_with(["filter", "-o", "json", "-w", is], record.as_bytes()).exits(0);
        let text = ran.text();
        assert!(
            text.contains(&format!("\"fields\":{{\"n\":{number},\"k\":1}}")),
            "{number}: {text}"
        );
        let pair = format!("n={number} k=1\n");
        let ran = run_with(["filter", "-o", "json", "-w", is], pair.as_bytes()).exits(0);
        assert_eq!(ran.json()["fields"]["n"], number, "logfmt keeps texts");
    }
    // No double: the record is text, is counted, and goes through whole.
    for number in ["1e400", "-1e400", &"9".repeat(10_000)] {
        let record = format!("{{\"n\":{number}}}\n");
        let line = &json_lines(&[], record.as_bytes())[0];
        assert_eq!(
            (&line["format"], &line["raw"]),
            (&json!("plain"), &json!(record.trim_end()))
        );
    }
}

#[test]
fn what_is_no_number_is_counted_apart_and_poisons_nothing() {
    let values = [
        "1", "2", "NaN", "nan", "+Inf", "-Inf", "5e-324", "1e400", "-1e400",
    ];
    let input: String = values
        .iter()
        .map(|value| format!("m_seconds{{a=\"b\"}} {value}\n"))
        .collect();
    let report = run_with(["-o", "json", "--metric", "m_seconds"], input.as_bytes())
        .exits(0)
        .json();
    balances(&report);
    let metric = &report["metrics"][0];
    for (field, want) in [
        ("count", json!(3)),
        ("sum", json!(3.0)),
        ("mean", json!(1.0)),
        ("min", json!(5e-324)),
        ("max", json!(2.0)),
        ("nan", json!(2)),
        ("infinite", json!(4)),
    ] {
        assert_eq!(metric[field], want, "{field} of {metric}");
    }
    assert_eq!(report["ledger"]["kept"], values.len());
    // A counter that starts again is smaller, which is a value like others.
    let report = run_with(
        ["-o", "json", "--metric", "m_total"],
        b"m_total 5\nm_total 7\nm_total 1\n",
    )
    .exits(0)
    .json();
    assert_eq!(
        (&report["metrics"][0]["sum"], &report["metrics"][0]["min"]),
        (&json!(13.0), &json!(1.0))
    );
}

/// Buckets that are not sorted, fall or lack `+Inf` are samples like others: a histogram that lies makes
/// no metric by its name.
#[test]
fn bad_histograms_poison_no_metric() {
    let input = "h_seconds_bucket{le=\"0.5\"} 9\nh_seconds_bucket{le=\"0.1\"} 20\nh_seconds_bucket{le=\"x\"} 3\n\
                 h_seconds_bucket{le=\"NaN\"} -4\nh_seconds_sum -7\nh_seconds_count NaN\n";
    let report = run_with(["-o", "json"], input.as_bytes()).exits(0).json();
    balances(&report);
    assert_eq!(report["ledger"]["kept"], 6);
    let metrics = report["metrics"].as_array().unwrap();
    assert!(
        metrics
            .iter()
            .all(|metric| metric["field"] != "h_seconds_bucket"),
        "{metrics:?}"
    );
}

// Containers.

/// Docker writes lines over 16 KiB in pieces, each JSON of its own.
#[test]
fn pieces_of_a_docker_line_are_one_record_without_double_escapes() {
    let message = "a \"quoted\" \\ back\tslash é \u{1f600} ".repeat(1_500);
    let inner = json!({"level": "error", "message": message}).to_string();
    let mut pieces = Vec::new();
    let mut rest = &inner[..];
    while rest.len() > 16_384 {
        let mut end = 16_384;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        pieces.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    pieces.push(format!("{rest}\n"));
    assert!(pieces.len() > 3);
    let mut input = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let line = |log: &str, stream: &str| {
            json!({"log": log, "stream": stream, "time": "2024-03-01T00:00:00Z"}).to_string() + "\n"
        };
        input += &line(piece, "stdout");
        input += &line(&format!("other {at}\n"), "stderr");
    }
    let lines = json_lines(&[], input.as_bytes());
    let whole: Vec<&Value> = lines
        .iter()
        .filter(|line| line["level"] == "error")
        .collect();
    assert_eq!(whole.len(), 1);
    assert_eq!(
        (&whole[0]["format"], &whole[0]["message"]),
        (&json!("docker"), &json!(message))
    );
    let others: Vec<&Value> = lines
        .iter()
        .filter(|line| line["level"].is_null())
        .collect();
    assert_eq!(others.len(), pieces.len());
    // Text output is the lines that came; those of one record stay together.
    let text = run_with(["filter"], input.as_bytes()).exits(0).text();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&text), sorted(&input));
}

// Times.

#[test]
fn times_at_the_edges_are_right_or_missing_and_counted() {
    let cases = [
        ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59Z")),
        ("0000-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59.999999999Z", None),
        ("2024-02-29T12:00:00Z", Some("2024-02-29T12:00:00Z")),
        ("2023-02-29T12:00:00Z", None),
        ("2024-02-30T00:00:00Z", None),
        ("2024-03-01T23:60:00Z", None),
        ("2024-03-01T23:59:61Z", None),
        ("1969-12-31T23:59:59Z", Some("1969-12-31T23:59:59Z")),
        ("2200-01-01T00:00:00+14:00", Some("2199-12-31T10:00:00Z")),
        ("1700000000", Some("2023-11-14T22:13:20Z")),
        ("1700000000123", Some("2023-11-14T22:13:20.123Z")),
        ("1700000000123456", Some("2023-11-14T22:13:20.123456Z")),
        (
            "1700000000123456789",
            Some("2023-11-14T22:13:20.123456789Z"),
        ),
        ("99999999999999999999", None),
        ("1e999", None),
        ("NaN", None),
    ];
    let input: String = cases
        .iter()
        .map(|(text, _)| format!("{{\"ts\":\"{text}\",\"msg\":\"a\"}}\n"))
        .collect();
    let lines = json_lines(&[], input.as_bytes());
    assert_eq!(lines.len(), cases.len());
    for ((text, want), line) in cases.iter().zip(&lines) {
        assert_eq!(line["time"], json!(want), "{text}");
    }
    let report = run_with(["-o", "json"], input.as_bytes()).exits(0).json();
    balances(&report);
    let missing = cases.iter().filter(|(_, want)| want.is_none()).count();
    assert_eq!(report["ledger"]["no_time"], missing);
    assert_eq!(
        (&report["first"], &report["last"]),
        (
            &json!("1969-12-31T23:59:59Z"),
            &json!("2199-12-31T10:00:00Z")
        )
    );
}

#[test]
fn a_log_without_years_over_new_year() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("syslog");
    fs::write(&path, "Dec 31 23:59:58 host app[1]: a\nDec 31 23:59:60 host app[1]: b\nJan  1 00:00:02 host app[1]: c\n").unwrap();
    // 2025-01-01T00:00:05Z
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_605);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let ran = run_in(folder.path(), ["filter", "-o", "json", "syslog"]).exits(0);
    let times: Vec<Value> = serde_json::Deserializer::from_slice(&ran.stdout)
        .into_iter::<Value>()
        .map(|line| line.unwrap()["time"].clone())
        .collect();
    assert_eq!(
        times,
        [
            "2024-12-31T23:59:58Z",
            "2024-12-31T23:59:59Z",
            "2025-01-01T00:00:02Z"
        ]
    );
}

/// On 2024-10-27 at 03:00 the clocks of Berlin went back to 02:00, on 2024-03-31 from 02:00 to 03:00.
#[test]
fn hours_that_come_twice_or_never_are_read_as_one_of_their_hours() {
    let cases = [
        ("2024-10-27 01:59:59", &["2024-10-26T23:59:59Z"][..]),
        (
            "2024-10-27 02:30:00",
            &["2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"],
        ),
        ("2024-10-27 03:00:00", &["2024-10-27T02:00:00Z"]),
        ("2024-03-31 01:59:59", &["2024-03-31T00:59:59Z"]),
        (
            "2024-03-31 02:30:00",
            &["2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z"],
        ),
        ("2024-03-31 03:00:00", &["2024-03-31T01:00:00Z"]),
    ];
    for (text, want) in cases {
        let line = &json_lines(
            &["--tz", "Europe/Berlin"],
            format!("{text} ERROR x\n").as_bytes(),
        )[0];
        assert!(
            want.contains(&line["time"].as_str().unwrap()),
            "{text}: {}",
            line["time"]
        );
    }
}

// Real logs.

#[test]
fn real_logs_are_counted_as_wc_counts_them() {
    let Some(data) = shared::data() else { return };
    let mut files = 0;
    for system in fs::read_dir(data.join("loghub")).unwrap() {
        let system = system.unwrap().path();
        let Ok(entries) = fs::read_dir(&system) else {
            continue;
        };
        for path in entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
        {
            let bytes = fs::read(&path).unwrap();
            // `wc -l` counts line feeds; a last line without one is a line too.
            let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
            let lines = feeds + usize::from(bytes.last().is_some_and(|last| *last != b'\n'));
            let name = path.file_name().unwrap();
            let mut args = vec![
                "-o".as_ref(),
                "json".as_ref(),
                "--multiline".as_ref(),
                "off".as_ref(),
                name,
            ];
            let report = run_in(&system, &args).exits(0).json();
            balances(&report);
            assert_eq!(report["ledger"]["lines"], lines, "{}", path.display());
            assert_eq!(report["ledger"]["bytes"], bytes.len());
            let headers = report["inputs"][0]["format"] == "csv";
            assert_eq!(report["ledger"]["records"], lines - usize::from(headers));
            args.splice(..4, []);
            let text = run_in(&system, ["filter".as_ref()].into_iter().chain(args))
                .exits(0)
                .stdout;
            let end = if lines > feeds { &b"\n"[..] } else { b"" };
            let want = [&bytes[..], end].concat();
            assert!(
                want.ends_with(&text),
                "{}: filter changed bytes",
                path.display()
            );
            files += 1;
        }
    }
    assert!(files >= 8, "{files} files of loghub");
}
