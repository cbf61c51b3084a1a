//! `weir explain -c`: what it says a configuration makes of a line is what a replay of that line makes.

use serde_json::{Value, json};

use crate::program::{Ran, run_in, run_with};

const CONFIGURATION: &str = r#"
[filter]
level = "warn"
match = ["disk", "cpu"]
where = 'host != "web-9"'

[[metric]]
field = "cpu"
by = ["host"]
where = "level >= info"

[[state]]
name = "backup"
key = ["server"]
value = "status"

[[set]]
name = "findings"
value = "vuln"

[[rule]]
name = "any"
when = "count() > 0"
by = ["host"]

[[rule]]
name = "errors"
when = "count(level >= error) > 0"

[[rule]]
name = "hot"
when = "max(cpu) > 0"
where = "level != debug"

[[sink]]
type = "stdout"
"#;

const LINES: [&str; 8] = [
    "2026-11-23T10:00:00Z ERROR host=web-1 cpu=95",
    "2026-11-23T10:00:00Z DEBUG host=web-1 cpu=95",
    "2026-11-23T10:00:00Z WARN host=web-9 disk is full",
    "2026-11-23T10:00:00Z WARN disk is full",
    "2026-11-23T10:00:00Z INFO server=a status=failed",
    "2026-11-23T10:00:00Z FATAL server=a cpu=much",
    "{\"time\":\"2026-11-23T10:00:00Z\",\"level\":\"error\",\"vuln\":\"V1\",\"cpu\":\"12%\"}",
    "nothing at all",
];

/// Whether a replay of the line alone made something of a kind and name.
fn made(answer: &Value, kind: &str, name: &str) -> bool {
    let report = &answer["report"];
    let has = |list: &Value, key: &str| {
        let rows = list.as_array().unwrap().iter();
        rows.filter(|row| row[key] == name)
            .any(|row| row["count"] != 0)
    };
    match kind {
        "metric" => has(&report["metrics"], "field"),
        "state" => has(&report["states"], "name"),
        "set" => has(&report["sets"], "name"),
        "rule" => answer["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|alert| alert["rule"] == name),
        other => panic!("no such kind: {other}"),
    }
}

#[test]
fn what_takes_a_line_is_what_a_replay_of_it_makes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.toml");
    std::fs::write(&path, CONFIGURATION).unwrap();
    let file = path.to_str().unwrap();
    let (mut taken, mut kept) = (0, 0);
    for line in LINES {
        let explain = ["explain", "-c", "w.toml", "-o", "json", "--", line];
        let explained: Ran = run_in(directory.path(), explain);
        let explained = explained.exits(0).json();
        let replay = ["replay", "-o", "json", "-c", file, "-"];
        let replayed = run_with(replay, format!("{line}\n").as_bytes());
        let replayed = replayed.exits(0).json();
        let watched = explained["watched"].as_array().unwrap();
        assert_eq!(watched.len(), 6, "{watched:?}");
        // A record without a time stands in no window.
        let is_timed = !explained["time"].is_null();
        for row in watched {
            let (kind, name) = (row["kind"].as_str().unwrap(), row["name"].as_str().unwrap());
            let makes = made(&replayed, kind, name);
            if kind != "rule" || is_timed {
                assert_eq!(row["takes"], makes, "{line}: {row}");
            }
            taken += usize::from(row["takes"] == true);
            assert!(!row["why"].as_str().unwrap().is_empty());
        }
        let lines = replayed["lines"].as_u64().unwrap();
        let verdict = if lines > 0 { "kept" } else { "dropped" };
        assert_eq!(
            explained["verdict"], verdict,
            "{line}: {}",
            explained["why"]
        );
        kept += lines;
    }
    assert!(taken >= 8 && kept > 0 && kept < 8, "{taken} {kept}");
}

#[test]
fn a_configuration_and_conditions_on_the_command_line_do_not_mix() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("w.toml"), CONFIGURATION).unwrap();
    let run = |arguments: &[&str]| run_in(directory.path(), arguments);
    run(&["explain", "-c", "w.toml", "-w", "cpu > 1", "x"]).exits(2);
    run(&["explain", "--env", "p", "x"]).exits(2);
    run(&["explain", "-c", "no.toml", "x"])
        .exits(78)
        .says("no.toml");
    let text = run(&["explain", "-c", "w.toml", LINES[0]]).exits(0).text();
    assert!(text.contains("takes it  metric  cpu"), "{text}");
    let ran = run(&["explain", "x", "-o", "json"]).exits(0);
    assert_eq!(ran.json()["watched"], json!(null));
}

/// A template that looks at a label by its name.
#[test]
fn the_summary_of_a_rule_knows_its_labels() {
    let text = "[[rule]]\nname = \"hot\"\nwhen = \"count() > 0\"\nby = [\"host\"]\n\
                summary = \"{{ labels.host }} has {{ count }}\"\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.toml");
    std::fs::write(&path, text).unwrap();
    let replay = ["replay", "-c", path.to_str().unwrap(), "-"];
    let input = b"2026-11-23T10:00:00Z INFO host=web-1\n";
    let printed = run_with(replay, input).exits(0).text();
    assert!(printed.contains("  web-1 has 1  -> stdout\n"), "{printed}");
}
