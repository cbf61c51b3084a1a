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
