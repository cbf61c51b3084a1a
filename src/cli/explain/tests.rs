//! An explanation is what a run does: its verdict is held against the ledger of a real run.

use clap::Parser;
use serde_json::Value;

use super::*;
use crate::cli::args::{Cli, Command};

fn explained(line: &str, flags: &[&str]) -> Explanation {
    let mut words = vec!["weir", "explain"];
    words.extend(flags);
    words.extend(["--", line]);
    let Some(Command::Explain(args)) = Cli::parse_from(words).command else {
        panic!("not the command that was typed")
    };
    let input = input(&args).unwrap();
    let common = common(&args.select).unwrap();
    explain(&input, &args, common, None).unwrap()
}

/// The report of a run over the same line.
fn run_over(line: &str, flags: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.log");
    let output = directory.path().join("out.json");
    std::fs::write(&input, format!("{line}\n")).unwrap();
    let mut words = vec!["weir", "-q", "-o", "json", "-l", "trace", "-O"];
    words.push(output.to_str().unwrap());
    words.extend(flags);
    words.push(input.to_str().unwrap());
    crate::cli::report::run(Cli::parse_from(words).report).unwrap();
    serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap()
}

const ACCESS: &str =
    r#"10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 500 2326 "-" "curl/7""#;
const LOGFMT: &str = "ts=2024-01-01T00:00:00 level=warn latency=12.5ms msg=\"slow 17\"";
const DOCKER: &str = r#"{"log":"{\"level\":\"error\",\"msg\":\"x\",\"a\":{\"b\":1}}\n","stream":"stderr","time":"2024-03-01T00:00:00.1Z"}"#;
const TRACE: &str = "2024-05-01 10:00:00 ERROR boom\n\tat a.b(C.java:1)";

#[test]
fn the_verdict_is_that_of_a_run() {
    let flags: [&[&str]; 12] = [
        &[],
        &["-m", "GET"],
        &["-m", "get", "-i", "-m", "slow"],
        &["-m", "GET", "-v"],
        &["-w", "status >= 500"],
        &["-w", "latency > 12ms"],
        &["-w", "not has(nothing)"],
        &["-w", "level >= error and a.b == 1"],
        &["-w", "message contains \"boom\""],
        &["--since", "2024-01-01"],
        &["--until", "2024-03-01T00:00:00Z", "--tz", "Europe/Berlin"],
        &["--format", "json", "-w", "level == error"],
    ];
    for line in [ACCESS, LOGFMT, DOCKER, TRACE, "nothing known 7", ""] {
        for flags in flags {
            let explained = explained(line, flags);
            let report = run_over(line, flags);
            let kept = report["ledger"]["kept"] == 1;
            assert_eq!(explained.selected(), kept, "{line} {flags:?}");
            if kept {
                let message = &report["messages"][0];
                assert_eq!(message["fingerprint"], explained.fingerprint.to_string());
                let level = explained.level.as_ref().map(|level| level.0.name());
                assert_eq!(message["level"].as_str(), level, "{line}");
                let time = explained.time.as_ref().map(|time| time.0.to_string());
                assert_eq!(message["first"].as_str(), time.as_deref(), "{line}");
            }
        }
    }
}

#[test]
fn a_time_says_what_its_text_left_open() {
    let origin = |line: &str| explained(line, &["--tz", "Europe/Berlin"]).time.unwrap().1;
    let access = origin(ACCESS);
    assert_eq!(access.text, "10/Oct/2000:13:55:36 -0700");
    assert!(access.zone.is_none() && !access.yearless);
    let logfmt = origin(LOGFMT);
    assert_eq!(logfmt.field.as_deref(), Some("ts"));
    assert_eq!(logfmt.zone.as_deref(), Some("Europe/Berlin"));
    let syslog = origin("Mar  1 10:00:00 web-1 sshd[1]: bad key");
    assert!(syslog.yearless && syslog.zone.is_some());
}

#[test]
fn a_missing_field_comes_with_the_nearest_of_the_record() {
    let explanation = explained(ACCESS, &["-w", "statuss >= 500"]);
    assert!(!explanation.selected());
    assert!(explanation.tests[0].why.contains("did you mean status"));
}

#[test]
fn the_place_of_a_level_is_named() {
    let place = |line: &str| explained(line, &[]).level.unwrap().1;
    assert_eq!(place(ACCESS), "status 500");
    assert_eq!(place(LOGFMT), "field level = warn");
    assert_eq!(place(TRACE), "the word \"ERROR\"");
}

#[test]
fn a_container_is_unwrapped_first() {
    let explanation = explained(DOCKER, &[]);
    let (wrapping, stream, _) = explanation.container.unwrap();
    assert_eq!((wrapping, stream), (Format::Docker, "stderr"));
    assert_eq!(explanation.format, Format::Json);
    assert!(explanation.tried.is_empty());
}

#[test]
fn nothing_of_the_line_drives_the_terminal_or_makes_a_row() {
    let line = "k=\"\u{1b}[2J\" msg=\"a\rb\"\n  c\u{202e}";
    let text = String::from_utf8(text::write(&explained(line, &["-m", "\u{1b}"]), false)).unwrap();
    assert!(!text.contains(['\u{1b}', '\r', '\u{202e}']), "{text}");
    let rows = text
        .lines()
        .filter(|row| row.starts_with("message"))
        .count();
    assert_eq!(rows, 1);
}
