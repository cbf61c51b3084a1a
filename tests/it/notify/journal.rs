//! `weir alerts` shows what notifiers wrote down.

use std::time::Duration;

use assert_cmd::Command;
use logweir::flow::alert::Status;
use logweir::notifiers::delivery::{Delivery, Folder};

use super::server::{Server, status};
use super::{notification, quiet, receipts, settings, webhook};

fn weir(home: &tempfile::TempDir, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::cargo_bin("weir")
        .unwrap()
        .args(["alerts", "--state"])
        .arg(home.path())
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn alerts_are_shown_with_whom_they_were_told_and_what_was_answered() {
    let server = Server::start(|_, number| status([500, 200, 404][number.min(2)]));
    let home = tempfile::tempdir().unwrap();
    let delivery = Delivery::start(
        vec![settings("oncall", webhook(server.url("/canary")))],
        Some(Folder::of(home.path())),
        quiet,
    )
    .unwrap();
    let mut first = notification(1, "oncall", Status::Firing, &["a"]);
    first.alerts[0].summary = "two\nlines \u{1b}[2J".to_owned();
    delivery.send(first);
    receipts(&delivery, 1);
    delivery.send(notification(2, "oncall", Status::Resolved, &["a"]));
    receipts(&delivery, 1);
    delivery.drain(Duration::from_secs(5));

    let (code, text) = weir(&home, &[]);
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines.len(),
        2,
        "one line an alert, not one an attempt: {text}"
    );
    for part in [
        "firing",
        "cpu-high host=web-1 severity=critical (two lines \\x1b[2J)",
        "since 2026-11-22T10:00:00Z",
        "oncall: delivered after 2 attempts, 200",
    ] {
        assert!(lines[0].contains(part), "{part}: {text}");
    }
    assert!(
        lines[1].contains("resolved")
            && lines[1].contains("oncall: dead, ")
            && lines[1].contains("404")
    );

    let (code, text) = weir(&home, &["-o", "json"]);
    assert_eq!(code, Some(0));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ended: Vec<&str> = lines
        .iter()
        .map(|line| line["ended"].as_str().unwrap())
        .collect();
    assert_eq!(ended, ["later", "delivered", "dead"]);
    assert_eq!(lines[0]["alert"]["labels"]["host"], "web-1");
    assert!(!text.contains("canary"));

    assert_eq!(
        weir(&home, &["-o", "json", "--since", "1h"])
            .1
            .lines()
            .count(),
        3
    );
    assert_eq!(
        weir(&home, &["-o", "json", "--since", "2999-01-01T00:00:00Z"]).1,
        ""
    );
    assert_eq!(weir(&home, &["--since", "whenever"]).0, Some(2));
}

#[test]
fn without_a_journal_there_is_nothing_to_show() {
    let home = tempfile::tempdir().unwrap();
    let (code, text) = weir(&home, &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("nothing was told"), "{text}");
    let gone = home.path().join("gone");
    Command::cargo_bin("weir")
        .unwrap()
        .args(["alerts", "--state"])
        .arg(gone)
        .assert()
        .code(66);
}
