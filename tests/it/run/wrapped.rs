//! `weir run -- COMMAND`: the command works as if it ran alone.

use std::fs;
use std::process::Stdio;

use tempfile::TempDir;

use crate::follow::scene::{Scene, until};
use crate::program::{Ran, feed, weir};

fn run(args: &[&str]) -> Ran {
    feed(&mut weir([&["run"], args].concat()), b"")
}

#[test]
fn its_exit_code_is_kept() {
    for code in [0, 1, 3, 64, 255] {
        let script = format!("echo ERROR broken; exit {code}");
        let ran = run(&["--", "sh", "-c", &script]).exits(code);
        assert_eq!(ran.text(), "ERROR broken\n");
    }
    run(&["--", "sh", "-c", "kill -TERM $$"]).exits(128 + 15);
    run(&["--", "sh", "-c", "kill -KILL $$"]).exits(128 + 9);
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    run(&["--", "no-such-program-anywhere"])
        .exits(127)
        .says("no-such-program-anywhere");
    let home = TempDir::new().unwrap();
    let file = home.path().join("not-executable");
    fs::write(&file, "echo no").unwrap();
    run(&["--", file.to_str().unwrap()])
        .exits(126)
        .says("not-executable");
}

#[test]
fn both_streams_go_where_they_went_byte_for_byte() {
    let script = "printf 'one\\n\\0\\377bin\\ntail without end'; printf 'to stderr\\n' >&2";
    let ran = run(&["-q", "--", "sh", "-c", script]).exits(0);
    assert_eq!(ran.stdout, b"one\n\0\xffbin\ntail without end");
    assert!(ran.stderr.contains("to stderr\n"), "{}", ran.stderr);
    // Much, and faster than anybody looks at it.
    let ran = run(&["-q", "--", "seq", "1", "300000"]).exits(0);
    let want: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert!(ran.stdout == want.as_bytes());
}

#[test]
fn the_digest_says_what_went_wrong() {
    let script = "echo INFO start; for i in 1 2 3; do echo ERROR disk $i is full; done; exit 2";
    let ran = run(&["--", "sh", "-c", script]).exits(2);
    assert!(ran.stderr.contains("exit code 2"), "{}", ran.stderr);
    assert!(ran.stderr.contains("is full"), "{}", ran.stderr);
    let quiet = run(&["-q", "--", "sh", "-c", script]).exits(2);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn standard_input_and_signals_reach_it() {
    let ran = feed(
        &mut weir(["run", "-q", "--", "tr", "a-z", "A-Z"]),
        b"hello\n",
    )
    .exits(0);
    assert_eq!(ran.text(), "HELLO\n");
    let scene = Scene::new();
    let script =
        "trap 'echo got it; exit 7' TERM; echo ready > ready; while :; do sleep 0.05; done";
    let mut running = scene.start(&[], &["run", "-q", "--", "sh", "-c", script]);
    until("the command runs", || scene.path("ready").exists());
    running.signal("TERM");
    let ran = running.status();
    assert_eq!(ran.code(), Some(7));
    assert_eq!(scene.read("stdout-1"), b"got it\n");
}

#[test]
fn rules_look_at_its_output() {
    let home = TempDir::new().unwrap();
    let config = r#"
[[rule]]
name = "errors"
when = "count(level == error) >= 2"
notify = ["file"]

[[notifier]]
name = "file"
type = "file"
path = "alerts"
"#;
    fs::write(home.path().join("weir.toml"), config).unwrap();
    let mut command = weir([
        "run",
        "-q",
        "-c",
        "weir.toml",
        "--",
        "sh",
        "-c",
        "echo ERROR a; echo ERROR b",
    ]);
    let ran = feed(command.current_dir(home.path()), b"").exits(0);
    assert_eq!(ran.text(), "ERROR a\nERROR b\n");
    let alerts = fs::read_to_string(home.path().join("alerts")).unwrap();
    assert!(
        alerts.contains("\"firing\"") && alerts.contains("errors"),
        "{alerts}"
    );
}

#[test]
fn a_closed_output_does_not_hang() {
    let mut child = weir(["run", "-q", "--", "seq", "1", "1000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    // As in a shell: seq is told by SIGPIPE, or ends well if its output found room.
    assert!([Some(0), Some(141)].contains(&status.code()), "{status}");
}

/// A configuration with a notifier that writes a file, and what it wrote for a command.
fn told(rules: &str, arguments: &[&str], script: &str, code: i32) -> (Ran, String) {
    let home = TempDir::new().unwrap();
    let notifier = "[[notifier]]\nname = \"file\"\ntype = \"file\"\npath = \"alerts\"\n";
    fs::write(home.path().join("weir.toml"), format!("{rules}{notifier}")).unwrap();
    let mut all = vec!["run", "-c", "weir.toml"];
    all.extend(arguments);
    all.extend(["--", "sh", "-c", script]);
    let ran = feed(weir(all).current_dir(home.path()), b"").exits(code);
    let told = fs::read_to_string(home.path().join("alerts")).unwrap_or_default();
    (ran, told)
}

const ERRORS: &str =
    "[[rule]]\nname = \"errors\"\nwhen = \"count(level >= error) > 0\"\nnotify = [\"file\"]\n";

#[test]
fn its_end_is_a_record_that_rules_see() {
    // Silent failures, failures after output in a format of its own, and signals.
    let (ran, told) = self::told(ERRORS, &[], "exit 7", 7);
    assert!(told.contains("sh ended with exit code 7 after "), "{told}");
    assert!(ran.stderr.contains("exit code 7"), "{}", ran.stderr);
    let (ran, told) = self::told(ERRORS, &[], "printf 'a,b\\n1,2\\n'; kill -KILL $$", 137);
    assert!(told.contains("sh ended by signal KILL after "), "{told}");
    assert!(told.contains("exit_code=137 signal=KILL"), "{told}");
    // Header, row and end are all accounted for.
    assert!(ran.stderr.contains("3 lines"), "{}", ran.stderr);
    assert!(ran.stderr.contains("0 unaccounted"), "{}", ran.stderr);
    let (_, told) = self::told(ERRORS, &[], "echo done", 0);
    assert_eq!(told, "");
}

#[test]
fn its_exit_code_and_duration_are_fields() {
    let state = "[[state]]\nname = \"job\"\nkey = [\"source\"]\nvalue = \"exit_code\"\nok = [\"0\"]\nnotify = [\"file\"]\n";
    let (_, told) = self::told(state, &[], "exit 3", 3);
    assert!(told.contains("job sh: \\\"3\\\""), "{told}");
    let slow = "[[rule]]\nname = \"slow\"\nwhen = \"max(duration) > 150ms\"\nnotify = [\"file\"]\n";
    let (_, told) = self::told(slow, &[], "sleep 0.3", 0);
    assert!(told.contains("max(duration) > 150ms, is "), "{told}");
    let (_, told) = self::told(slow, &[], "exit 0", 0);
    assert_eq!(told, "");
}

#[test]
fn an_alert_about_its_end_shows_its_last_lines() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; echo; exit 1";
    let (_, told) = self::told(ERRORS, &[], script, 1);
    let alert: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let samples = alert["evidence"]["samples"].as_array().unwrap();
    let lines: Vec<&str> = samples
        .iter()
        .map(|it| it["line"].as_str().unwrap())
        .collect();
    assert_eq!(lines[..4], ["line 6", "line 7", "line 8", "line 9"]);
    assert!(lines[4].contains("sh ended with exit code 1"), "{lines:?}");
    assert_eq!(samples[0]["offset"], 35);
}

#[test]
fn a_time_limit_ends_it_and_says_so() {
    let (ran, told) = self::told(
        ERRORS,
        &["--timeout", "300ms"],
        "echo on; exec sleep 60",
        143,
    );
    assert!(
        ran.stderr.contains("still runs after 300ms"),
        "{}",
        ran.stderr
    );
    assert!(told.contains("its time limit of 300ms was over"), "{told}");
    // Children of a script do not live on, where no terminal holds them.
    let (_, told) = self::told(ERRORS, &["--timeout", "300ms"], "sleep 60; echo never", 143);
    assert!(told.contains("timeout=true"), "{told}");
    run(&["--timeout", "60s", "--", "true"]).exits(0);
    run(&["--timeout", "0s", "--", "true"])
        .exits(2)
        .says("longer than 0s");
    run(&["--timeout", "3s"]).exits(2);
}

#[test]
fn a_failure_goes_to_the_notifiers_that_the_command_line_names() {
    let (_, told) = self::told("", &["--on-failure", "file"], "echo why; exit 9", 9);
    assert!(
        told.contains("exit-code sh: \\\"9\\\"") && told.contains("why"),
        "{told}"
    );
    let (_, told) = self::told("", &["--on-failure", "file"], "exit 0", 0);
    assert_eq!(told, "");
    // A line that looks like an end is none.
    let (_, told) = self::told("", &["--on-failure", "file"], "echo exit_code=5 msg=x", 0);
    assert_eq!(told, "");
    let home = TempDir::new().unwrap();
    let config = "[[notifier]]\nname = \"file\"\ntype = \"file\"\npath = \"alerts\"\n";
    fs::write(home.path().join("weir.toml"), config).unwrap();
    let arguments = [
        "run",
        "-c",
        "weir.toml",
        "--on-failure",
        "file",
        "--",
        "no-such-program-anywhere",
    ];
    feed(weir(arguments).current_dir(home.path()), b"").exits(127);
    let told = fs::read_to_string(home.path().join("alerts")).unwrap();
    assert!(told.contains("could not be started"), "{told}");
    let arguments = [
        "run",
        "-c",
        "weir.toml",
        "--on-failure",
        "fil",
        "--",
        "true",
    ];
    feed(weir(arguments).current_dir(home.path()), b"")
        .exits(2)
        .says("did you mean \"file\"?");
}
