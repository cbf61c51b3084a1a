//! `weir check`: that it finds what `weir run` would refuse at its start, and what `--plan` says of a
//! configuration.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Ran, run_in};

fn check(directory: &Path, text: &str, arguments: &[&str]) -> Ran {
    std::fs::write(directory.join("w.toml"), text).unwrap();
    let head = ["check", "-c", "w.toml"];
    run_in(directory, head.iter().chain(arguments))
}

/// Mistakes that only a run's start finds: of each the line it stands in and a part of what is said.
#[test]
fn what_a_run_would_refuse_is_found_all_at_once() {
    let text = r#"
[[source]]
type = "stdin"

[[source]]
name = "again"
type = "stdin"

[[state]]
name = "backup"
key = ["server", "server"]
value = "status"

[[rule]]
name = "late"
when = "missing(backup)"

[[rule]]
name = "once"
when = "new()"
for = "5m"

[[rule]]
name = "known"
when = "new()"
baseline = "nowhere.txt"

[[rule]]
name = "words"
when = "count() > 1"
summary = "{{ value | shout }}"

[[rule]]
name = "open"
when = "count() > 1"
summary = "{% if value %}"

[[rule]]
name = "text"
when = "count() > 1"
where = "template == \"x\""

[[notifier]]
name = "log"
type = "stdout"
title = "{{ nothing( }}"

[[sink]]
type = "file"
path = "a.out"

[[sink]]
type = "file"
what = "summary"
path = "a.out"

[[sink]]
type = "stdout"
where = "template == \"y\""
"#;
    let directory = tempfile::tempdir().unwrap();
    let ran = check(directory.path(), text, &["-o", "json"]).exits(78);
    let answer = ran.json();
    let found: Vec<(u64, &str)> = answer["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            (
                problem["line"].as_u64().unwrap(),
                problem["message"].as_str().unwrap(),
            )
        })
        .collect();
    let line_of = |part: &str| 1 + text[..text.find(part).unwrap()].matches('\n').count() as u64;
    for (part, message) in [
        (
            "type = \"stdin\"\n\n[[state]]",
            "standard input is read by another source already",
        ),
        ("key = [\"server\", \"server\"]", "stands here twice"),
        (
            "when = \"missing(backup)\"",
            "nothing of backup can be missing",
        ),
        ("for = \"5m\"", "a message is new only once"),
        ("baseline", "nowhere.txt: No such file"),
        ("summary = \"{{ value", "unknown filter"),
        ("summary = \"{% if", "syntax error"),
        ("where = \"template", "\"template\" is not known yet"),
        ("title", "syntax error"),
        (
            "path = \"a.out\"\n\n[[sink]]\ntype = \"stdout\"",
            "is the same file as [[sink]]",
        ),
        (
            "where = \"template == \\\"y",
            "\"template\" is not known yet",
        ),
    ] {
        assert!(
            found
                .iter()
                .any(|(line, said)| *line == line_of(part) && said.contains(message)),
            "{part:?}: no {message:?} in line {} of {found:#?}",
            line_of(part)
        );
    }
    let mut lines: Vec<u64> = found.iter().map(|found| found.0).collect();
    let in_order = lines.clone();
    lines.sort_unstable();
    assert_eq!(in_order, lines, "problems stand in the order of the file");
    // What is checked is what a run says, in the same words.
    let run = run_in(directory.path(), ["run", "-c", "w.toml"]).exits(78);
    let ran = check(directory.path(), text, &[]).exits(78);
    assert_eq!(run.stderr.trim(), format!("weir: {}", ran.stderr.trim()));
}

#[test]
fn a_secret_that_is_not_here_is_a_note_for_a_check_and_a_mistake_for_a_run() {
    let text = "[[notifier]]\nname = \"oncall\"\ntype = \"slack\"\nurl_env = \"NOWHERE_SET\"\n";
    let directory = tempfile::tempdir().unwrap();
    let ran = check(directory.path(), text, &[]).exits(0);
    assert_eq!(ran.text(), "ok\n");
    assert_eq!(
        ran.stderr,
        "weir: w.toml:4:11: the environment variable \"NOWHERE_SET\" that \"url_env\" names is not set; \
         set it where weir is started\n"
    );
    let ran = check(directory.path(), text, &["-o", "json"]).exits(0);
    assert_eq!(ran.json()["notes"].as_array().unwrap().len(), 1);
    run_in(directory.path(), ["run", "-c", "w.toml"])
        .exits(78)
        .says("is not set");
}

#[test]
fn names_that_nearly_are_words_of_the_language_are_noted() {
    let text = "[[set]]\nname = \"hosts\"\nvalue = \"host\"\nwhere = \"leve == 3\"\n";
    let directory = tempfile::tempdir().unwrap();
    check(directory.path(), text, &[])
        .exits(0)
        .says("w.toml:4: no record is known to have a field \"leve\"; did you mean \"level\"?");
}

const WATCHING: &str = r#"
[[source]]
type = "file"
include = ["log/*.log"]
exclude = ["*.gz"]

[filter]
level = "error"
where = 'service == "api"'

[dedup]
mode = "message"
every = "5m"

[[metric]]
field = "cpu"
by = ["host"]

[[state]]
name = "backup"
key = ["server"]
value = "status"
expect_within = "26h"

[[set]]
name = "vulns"
key = ["server"]
value = "vuln"

[[rule]]
name = "cpu-high"
when = "p95(cpu) > 90"
by = ["host"]
for = "10m"
severity = "critical"
notify = ["oncall"]

[[notifier]]
name = "oncall"
type = "webhook"
url = "https://user:canary@hooks.example.com/canary?canary"

[[sink]]
type = "file"
path = "out.log"

[[sink]]
type = "http"
what = "summary"
url = "https://sink.example.com/canary"

[[sink]]
type = "prometheus"

[env.here]
run.state_dir = "state"
"#;

fn rows(answer: &Value, section: &str) -> Vec<String> {
    let rows = answer["plan"][section].as_array().unwrap().iter();
    rows.map(|row| {
        let part = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let row = [part("kind"), part("name"), part("what")];
        row.join("|")
    })
    .collect()
}

#[test]
fn the_plan_says_what_a_run_would_do() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--plan", "-o", "json", "--env", "here"];
    let ran = check(directory.path(), WATCHING, &arguments).exits(0);
    assert!(!ran.text().contains("canary"), "{}", ran.text());
    let answer = ran.json();
    assert_eq!(answer["ok"], true);
    assert_eq!(answer["plan"]["environment"], "here");
    assert_eq!(
        rows(&answer, "sources"),
        ["file||log/*.log, but not *.gz, from their start at the first start"]
    );
    let fields: Vec<&str> = answer["plan"]["fields"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for field in [
        "time", "level", "message", "cpu", "host", "server", "status", "vuln", "service",
    ] {
        assert!(fields.contains(&field), "no {field} in {fields:?}");
    }
    assert_eq!(
        rows(&answer, "stages"),
        [
            "filter||level error and above; where service == \"api\"",
            "dedup||once for each of: the message with what varies masked, with the count every 5m"
        ]
    );
    assert_eq!(
        rows(&answer, "watched"),
        [
            "metric|cpu|by host",
            "state|backup|status by server, late after 26h",
            "set|vulns|vuln by server",
            "rule|cpu-high|p95(cpu) > 90, by host, over 5m, for 10m, critical -> oncall"
        ]
    );
    assert_eq!(
        rows(&answer, "sinks"),
        [
            "lines||out.log",
            "summaries||https://sink.example.com, every 1m",
            "endpoint||http://127.0.0.1:9598/metrics, /health, /ready"
        ]
    );
    assert_eq!(
        rows(&answer, "notifiers"),
        ["webhook|oncall|https://hooks.example.com"]
    );
    assert!(
        !directory.path().join("state").exists(),
        "a check makes nothing"
    );
    let text = check(directory.path(), WATCHING, &["--plan"])
        .exits(0)
        .text();
    for line in [
        "  rule    cpu-high  p95(cpu) > 90, by host, over 5m, for 10m, critical -> oncall\n",
        "  files -> lines, out.log: at most once\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn the_plan_says_who_gets_which_lines_and_which_file_is_exact() {
    let text = "[[source]]\ntype = \"file\"\ninclude = [\"a.log\"]\n\
                [[sink]]\ntype = \"stdout\"\n\
                [[sink]]\ntype = \"file\"\npath = \"errors\"\nwhere = \"level >= error\"\n\
                [[sink]]\ntype = \"file\"\npath = \"all\"\n";
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--plan", "-o", "json", "--state", "state"];
    let answer = check(directory.path(), text, &arguments).exits(0).json();
    assert_eq!(
        rows(&answer, "sinks"),
        [
            "lines||standard output",
            "lines||errors, where level >= error",
            "lines||all"
        ]
    );
    assert_eq!(rows(&answer, "stages"), ["filter||every record goes out"]);
    let promises = answer["plan"]["promises"].as_array().unwrap().iter();
    let kept: Vec<(&str, &str)> = promises
        .map(|promise| {
            let of = |key: &str| promise[key].as_str().unwrap();
            (of("to"), of("after_a_crash"))
        })
        .collect();
    assert_eq!(
        kept[..3],
        [
            ("lines, standard output", "at-least-once"),
            ("lines, errors", "exact"),
            ("lines, all", "at-least-once"),
        ]
    );
}

#[test]
fn the_plan_says_what_holds_for_files_and_for_streams() {
    let text = "[[source]]\ntype = \"file\"\ninclude = [\"a.log\"]\n\
                [[source]]\ntype = \"stdin\"\n\
                [[source]]\ntype = \"command\"\nargv = [\"journalctl\", \"-f\"]\n\
                [[sink]]\ntype = \"file\"\npath = \"out\"\n[run]\nstate_dir = \"state\"\n";
    let directory = tempfile::tempdir().unwrap();
    let answer = check(directory.path(), text, &["--plan", "-o", "json"]);
    let answer = answer.exits(0).json();
    assert_eq!(
        rows(&answer, "sources"),
        [
            "file||a.log, from their start at the first start",
            "stdin||read to its end",
            "command||journalctl -f"
        ]
    );
    let promises = answer["plan"]["promises"].as_array().unwrap().iter();
    let kept: Vec<String> = promises
        .filter(|promise| !promise["to"].as_str().unwrap().starts_with("alerts"))
        .map(|promise| {
            let of = |key: &str| promise[key].as_str().unwrap();
            format!("{} -> {}: {}", of("from"), of("to"), of("after_a_crash"))
        })
        .collect();
    let known = "totals, states, sets, windows and alerts";
    assert_eq!(
        kept,
        [
            "files -> lines, out: exact".to_owned(),
            format!("files -> {known}: exact"),
            "streams -> lines, out: at-most-once".to_owned(),
            format!("streams -> {known}: at-most-once"),
        ]
    );
}

/// What holds after a crash for lines in a file, summaries by HTTP, alerts, and what is known.
#[test]
fn the_plan_says_what_holds_after_a_crash() {
    let files = "type = \"file\"\ninclude = [\"log/*.log\"]\nexclude = [\"*.gz\"]";
    let from_start = format!("{files}\nfrom = \"start\"");
    let [anew, exact, least, most] = ["begins-anew", "exact", "at-least-once", "at-most-once"];
    for (source, state, want) in [
        (files, true, [exact, least, least, exact]),
        (files, false, [most, most, most, anew]),
        (&from_start, false, [least, least, least, anew]),
        (&from_start, true, [exact, least, least, exact]),
        ("type = \"stdin\"", true, [most, most, most, most]),
        (
            "type = \"command\"\nargv = [\"x\"]",
            false,
            [most, most, most, anew],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let text = WATCHING.replace(files, source);
        let mut arguments = vec!["--plan", "-o", "json"];
        if state {
            arguments.extend(["--state", "state"]);
        }
        let answer = check(directory.path(), &text, &arguments).exits(0).json();
        let promises = answer["plan"]["promises"].as_array().unwrap().iter();
        let kept: Vec<&Value> = promises.map(|promise| &promise["after_a_crash"]).collect();
        assert_eq!(json!(kept), json!(want), "{source} {state}");
    }
}

#[test]
fn mistakes_of_environments_that_are_not_chosen_are_found() {
    let text = "[[source]]\ntype = \"file\"\ninclude = [\"b.log\"]\n[env.far]\n[[env.far.source]]\ntype = \"file\"\n\
                poll = true\ninclude = [\"${NOT_SET_HERE:-a}.log\"]\n[env.else]\nrun.state_dir = \"${NOT_SET_HERE}\"\n";
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&[][..], &["--env", "far"]] {
        let ran = check(directory.path(), text, arguments).exits(78);
        let places = ran.stderr.matches("w.toml:").count();
        assert_eq!(places, 1, "each mistake once: {}", ran.stderr);
        let _ = ran.says("sources of files begin and are looked at alike");
    }
}

/// Every configuration in the docs, and that of the sidecar's manifest.
#[test]
fn configurations_in_the_docs_are_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let mut found = Vec::new();
    for page in [
        "README.md",
        "docs/run.md",
        "docs/conditions.md",
        "docs/systemd.md",
        "docs/recipes/README.md",
    ] {
        let text = read(page);
        for block in text.split("```toml\n").skip(1) {
            found.push((page, block.split_once("```").unwrap().0.to_owned()));
        }
    }
    let manifest = read("docs/kubernetes.md");
    let (_, rest) = manifest.split_once("weir.toml: |\n").unwrap();
    let (text, _) = rest.split_once("---\n").unwrap();
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line));
    found.push(("docs/kubernetes.md", lines.collect::<Vec<_>>().join("\n")));
    assert!(found.len() >= 5);
    for (page, text) in found {
        let directory = tempfile::tempdir().unwrap();
        let ran = check(directory.path(), &text, &["--plan"]);
        assert_eq!(ran.code, 0, "{page}:\n{text}\n{}", ran.stderr);
    }
}
