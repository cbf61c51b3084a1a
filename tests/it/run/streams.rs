//! `weir run` on standard input, and what a state directory remembers from one run to the next.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::Value;
use tempfile::TempDir;

use super::at;
use crate::follow::scene::until;
use crate::notify::endpoint::get;
use crate::notify::peers::free_port;
use crate::program::{Ran, feed, weir};

const NEWS: &str = r#"
[[rule]]
name = "news"
when = "new()"
where = "level == error"
learn = "0s"
notify = ["out"]

[[state]]
name = "backup"
key = ["server"]
value = "status"
ok = ["done"]
bad = ["failed"]
notify = ["out"]

[[notifier]]
name = "out"
type = "file"
path = "alerts"
group_by = ["..."]

[[sink]]
type = "stdout"
what = "summary"

[run]
interval = "1h"
"#;

fn run(home: &TempDir, lines: &[String]) -> Ran {
    let args = ["run", "-c", "weir.toml", "--state", "state"];
    let mut command = weir(args);
    command.current_dir(home.path());
    feed(&mut command, lines.concat().as_bytes()).exits(0)
}

/// Rule, status and summary of the alerts in the file.
fn alerts(home: &TempDir) -> Vec<(String, String)> {
    let text = fs::read_to_string(home.path().join("alerts")).unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|alert| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&alert["rule"]), text(&alert["status"]))
        })
        .collect()
}

fn error(second: u64, message: &str) -> String {
    format!(
        "{{\"time\":\"{}\",\"level\":\"error\",\"msg\":\"{message}\"}}\n",
        at(second * 1000)
    )
}

fn backup(second: u64, server: &str, status: &str) -> String {
    format!(
        "{{\"time\":\"{}\",\"level\":\"info\",\"server\":\"{server}\",\"status\":\"{status}\"}}\n",
        at(second * 1000)
    )
}

#[test]
fn what_was_seen_before_is_not_new_after_a_restart() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("weir.toml"), NEWS).unwrap();
    let ran = run(
        &home,
        &[error(1, "disk is full"), backup(2, "db-1", "failed")],
    );
    // The report at the end of the input has every record.
    let report = ran.last_json();
    assert_eq!(report["ledger"]["records"], 2);
    assert_eq!(report["states"][0]["status"], "bad", "{report}");
    let before = alerts(&home);
    let of = |rule: &str, status: &str, alerts: &[(String, String)]| {
        alerts
            .iter()
            .filter(|alert| alert.0 == rule && alert.1 == status)
            .count()
    };
    assert_eq!(of("news", "firing", &before), 1, "{before:?}");
    assert_eq!(of("backup.bad", "firing", &before), 1, "{before:?}");
    run(
        &home,
        &[
            error(5, "disk is full"),
            error(6, "fan is broken"),
            backup(7, "db-1", "done"),
        ],
    );
    let after = alerts(&home).split_off(before.len());
    assert_eq!(of("news", "firing", &after), 1, "only the fan: {after:?}");
    assert_eq!(of("backup.bad", "resolved", &after), 1, "{after:?}");
}

#[test]
fn windows_of_a_stream_are_told_by_its_own_time() {
    let home = TempDir::new().unwrap();
    let config = "[[metric]]\nfield = \"cpu\"\n[[sink]]\ntype = \"stdout\"\nwhat = \"summary\"\n[run]\ninterval = \"10s\"\n";
    fs::write(home.path().join("weir.toml"), config).unwrap();
    let line = |second: u64| format!("{{\"time\":\"{}\",\"cpu\":{second}}}\n", at(second * 1000));
    let ran = run(&home, &[1, 5, 12, 27].map(line));
    let summaries: Vec<Value> = ran
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let shown: Vec<(Option<&str>, f64)> = summaries
        .iter()
        .map(|summary| {
            (
                summary["window"]["id"].as_str(),
                summary["metrics"][0]["sum"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Some("10s@2026-03-14T00:00:00Z"), 6.0),
            (Some("10s@2026-03-14T00:00:10Z"), 12.0),
            (Some("10s@2026-03-14T00:00:20Z"), 27.0),
            (None, 45.0),
        ]
    );
}

#[test]
fn without_a_configuration_or_input_it_says_what_is_missing() {
    let home = TempDir::new().unwrap();
    let ran = |args: &[&str]| feed(weir(args).current_dir(home.path()), b"");
    ran(&["run"]).exits(2).says("-c weir.toml");
    ran(&["run", "-c", "nowhere.toml"])
        .exits(78)
        .says("nowhere.toml");
    fs::write(home.path().join("weir.toml"), NEWS).unwrap();
    ran(&["run", "-c", "weir.toml"])
        .exits(0)
        .says("no state directory");
    ran(&["run", "-c", "weir.toml", "--env", "prod"])
        .exits(78)
        .says("prod");
}

#[test]
fn an_address_in_use_is_named() {
    let home = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("[[sink]]\ntype = \"prometheus\"\nlisten = \"{address}\"\n");
    fs::write(home.path().join("weir.toml"), config).unwrap();
    let mut command = weir(["run", "-c", "weir.toml"]);
    feed(command.current_dir(home.path()), b"")
        .exits(74)
        .says(&address.to_string());
}

#[test]
fn it_is_ready_once_it_follows() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let scene = super::configured(&format!(
        "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\n[[sink]]\ntype = \"prometheus\"\nlisten = \"{address}\"\n"
    ));
    let running = super::start(&scene);
    let listens = || TcpStream::connect(address).is_ok();
    until("it listens", listens);
    until("it is ready", || {
        get(address, "/ready", "localhost").0 == 200
    });
    running.terminate();
    assert!(!listens());
}
