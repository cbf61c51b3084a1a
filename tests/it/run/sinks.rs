//! Several sinks of lines: each gets the records that meet its own condition, as a run with this sink alone
//! would write them, and none is lost over kills, reloads and rotations.

use std::fs;
use std::io::Write;

use super::{at, configured, contains, start};
use crate::follow::scene::{Scene, until};
use crate::program::{Ran, feed, let_pass, run_in, weir};

const FILES: &str = r#"
[[source]]
type = "file"
include = ["app.log"]
from = "start"

[run]
multiline = "off"
"#;

fn sink(path: &str, condition: &str) -> String {
    let condition = match condition {
        "" => String::new(),
        condition => format!("where = '{condition}'\n"),
    };
    format!("[[sink]]\ntype = \"file\"\npath = \"{path}\"\n{condition}")
}

const SERVICES: [&str; 3] = ["api", "web", "db"];

/// Record `number`: its level goes round by seven, its service by three, its message by five.
fn record(number: usize) -> String {
    let level = ["info", "warn", "info", "error", "debug", "info", "error"][number % 7];
    let service = SERVICES[number % 3];
    let message = ["started", "timeout", "disk is full", "no route", "bye"][number % 5];
    format!(
        "{{\"time\":\"{}\",\"level\":\"{level}\",\"service\":\"{service}\",\"msg\":\"{message}\",\"n\":{number}}}\n",
        at(number as u64)
    )
}

fn records(from: usize, to: usize) -> String {
    (from..to).map(record).collect()
}

/// The lines that hold all of the texts.
fn those(text: &str, parts: &[&str]) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| parts.iter().all(|part| line.contains(part)))
        .collect()
}

const ERROR: &str = "\"level\":\"error\"";
const API: &str = "\"service\":\"api\"";

/// Runs over standard input in the scene's folder.
fn fed(scene: &Scene, input: &str) -> Ran {
    let mut command = weir(["run", "-q", "-c", "weir.toml"]);
    feed(command.current_dir(scene.folder()), input.as_bytes())
}

#[test]
fn each_gets_what_meets_its_condition() {
    let scene = configured(&format!(
        "[filter]\nwhere = 'n >= 100'\n[run]\nmultiline = \"off\"\n{}{}{}{}[[sink]]\ntype = \"stdout\"\nwhere = 'service == \"api\" and level >= error'\n",
        sink("errors", "level >= error"),
        sink("all", ""),
        sink("api", "service == \"api\""),
        sink("errors-too", "level >= error"),
    ));
    let input = records(0, 40_000);
    let ran = fed(&scene, &input).exits(0);
    let wanted = records(100, 40_000);
    let errors = those(&wanted, &[ERROR]);
    for (name, want) in [
        ("errors", &errors),
        ("all", &wanted),
        ("api", &those(&wanted, &[API])),
        ("errors-too", &errors),
    ] {
        assert!(scene.read(name) == want.as_bytes(), "{name}");
    }
    assert!(ran.stdout == those(&wanted, &[ERROR, API]).as_bytes());
}

#[test]
fn a_record_that_no_sink_takes_is_filtered_and_one_for_several_is_kept_once() {
    let scene = configured(&format!(
        "{}{}[[sink]]\ntype = \"stdout\"\nwhat = \"summary\"\n[run]\nmultiline = \"off\"\n",
        sink("errors", "level >= error"),
        sink("api", "service == \"api\""),
    ));
    let input = records(0, 2100);
    let ran = fed(&scene, &input).exits(0);
    let report = ran.last_json();
    let ledger = &report["ledger"];
    // Two of seven are errors, one of three is of the service, and two of 21 are both.
    assert_eq!(ledger["records"], 2100);
    assert_eq!(ledger["kept"], 600 + 700 - 200);
    assert_eq!(ledger["filtered"], 2100 - 1100);
    assert_eq!(ledger["unaccounted"], 0);
    assert_eq!(report["inputs"][0]["kept"].as_u64().unwrap_or(1100), 1100);
}

#[test]
fn a_rehearsal_has_the_lines_of_all_sinks_each_once() {
    for dedup in ["", "[dedup]\nmode = \"message\"\n"] {
        let scene = configured(&format!(
            "{dedup}{}{}[[sink]]\ntype = \"stdout\"\nwhat = \"summary\"\n[run]\nmultiline = \"off\"\n",
            sink("errors", "level >= error"),
            sink("api", "service == \"api\""),
        ));
        let input = records(0, 2100);
        let ran = fed(&scene, &input).exits(0);
        let report = ran.last_json();
        fs::write(scene.path("app.log"), &input).unwrap();
        let arguments = ["replay", "-o", "json", "-c", "weir.toml", "app.log"];
        let replayed = run_in(scene.folder(), arguments).exits(0).json();
        assert_eq!(replayed["lines"], report["ledger"]["kept"], "{dedup}");
        // With dedup: five messages of errors, and five of the service.
        let [errors, api] = ["errors", "api"].map(|name| scene.read(name));
        let both = errors.split(|&byte| byte == b'\n').count()
            + api.split(|&byte| byte == b'\n').count()
            - 2;
        assert_eq!(both, if dedup.is_empty() { 600 + 700 } else { 5 + 5 });
    }
}

#[test]
fn dedup_of_each_is_that_of_a_run_with_it_alone() {
    let dedups = [
        "mode = \"exact\"",
        "mode = \"message\"",
        "mode = \"message\"\nevery = \"1s\"",
        "mode = \"template\"\nevery = \"500ms\"",
    ];
    let conditions = ["level >= error", "service == \"api\"", ""];
    let names = ["errors", "api", "all"];
    // Numbers vary, so that messages are equal only when they are masked.
    let input: String = (0..5000)
        .map(|number| {
            let text = record(number);
            let varied = format!("\"msg\":\"took {} ms, ", number % 11);
            text.replace("\"msg\":\"", &varied)
        })
        .collect();
    for dedup in dedups {
        let base = format!("[dedup]\n{dedup}\n[run]\nmultiline = \"off\"\n");
        let together: String = names
            .iter()
            .zip(conditions)
            .map(|(name, condition)| sink(name, condition))
            .collect();
        let scene = configured(&format!("{base}{together}"));
        fed(&scene, &input).exits(0);
        for (name, condition) in names.iter().zip(conditions) {
            let alone = configured(&format!("{base}{}", sink("alone", condition)));
            fed(&alone, &input).exits(0);
            let want = alone.read("alone");
            assert!(!want.is_empty());
            assert!(scene.read(name) == want, "{dedup}: {name}");
        }
    }
}

#[test]
fn a_kill_leaves_the_first_file_exact_and_nothing_missing_in_the_others() {
    let scene = configured(&format!(
        "{FILES}{}{}{}",
        sink("errors", "level >= error"),
        sink("api", "service == \"api\""),
        sink("all", ""),
    ));
    let total = 30_000;
    for kill in 0..6 {
        let written = scene.length("errors");
        let running = start(&scene);
        for part in 0..5 {
            let from = (kill * 5 + part) * 1000;
            scene.append("app.log", records(from, from + 1000).as_bytes());
            let_pass(std::time::Duration::from_millis(4));
        }
        until("it writes", || scene.length("errors") > written);
        running.kill();
    }
    let running = start(&scene);
    let all = records(0, total);
    let errors = those(&all, &[ERROR]);
    scene.until_length("errors", errors.len() as u64);
    running.terminate();
    assert!(scene.read("errors") == errors.as_bytes());
    for (name, want) in [("api", those(&all, &[API])), ("all", all)] {
        let text = String::from_utf8(scene.read(name)).unwrap();
        let mut want = want.split_inclusive('\n').peekable();
        for line in text.split_inclusive('\n') {
            // In order, but for what stands there again; a kill may have torn a line.
            want.next_if_eq(&line);
        }
        assert_eq!(want.next(), None, "{name} lacks a line");
    }
}

#[test]
fn a_reload_adds_changes_and_takes_away_sinks_without_losing_a_line() {
    let [errors, all, api] = [
        sink("errors", "level >= error"),
        sink("all", ""),
        sink("api", "service == \"api\""),
    ];
    let web = sink("api", "service == \"web\"");
    let stages = [
        format!("{FILES}{errors}{all}"),
        format!("{FILES}{errors}{all}{api}"),
        format!("{FILES}{errors}{web}{all}"),
        format!("{FILES}{all}{errors}"),
    ];
    for with_state in [true, false] {
        let scene = configured(&stages[0]);
        let running = if with_state {
            start(&scene)
        } else {
            scene.start(&[], &["run", "-c", "weir.toml"])
        };
        for (number, stage) in stages.iter().enumerate() {
            let from = number * 500;
            if number > 0 {
                fs::write(scene.path("new.toml"), stage).unwrap();
                scene.rename("new.toml", "weir.toml");
                running.signal("HUP");
                // What is written while it reads its configuration goes by the one or the other.
                scene.append("app.log", records(from, from + 100).as_bytes());
                until("the new configuration", || {
                    let said = running.stderr();
                    said.matches("the configuration is read again").count() == number
                });
            } else {
                scene.append("app.log", records(from, from + 100).as_bytes());
            }
            scene.append("app.log", records(from + 100, from + 500).as_bytes());
            let length = records(0, from + 500).len() as u64;
            scene.until_length("all", length);
            if number == 1 {
                let want = those(&records(from + 100, from + 500), &[API]);
                until("the new sink's lines", || {
                    scene.read("api").ends_with(want.as_bytes())
                });
            }
        }
        running.terminate();
        let all = records(0, 2000);
        assert!(scene.read("all") == all.as_bytes());
        assert!(scene.read("errors") == those(&all, &[ERROR]).as_bytes());
        let web = those(&records(1100, 1500), &["\"service\":\"web\""]);
        assert!(contains(&scene.read("api"), web.as_bytes()));
    }
}

#[test]
fn a_reload_with_a_file_that_cannot_be_written_is_refused() {
    let base = format!("{FILES}{}", sink("all", ""));
    let scene = configured(&base);
    fs::create_dir(scene.path("folder")).unwrap();
    let running = start(&scene);
    scene.append("app.log", records(0, 10).as_bytes());
    scene.until_length("all", records(0, 10).len() as u64);
    let more = format!("{base}{}", sink("folder", "level >= error"));
    fs::write(scene.path("weir.toml"), more).unwrap();
    running.signal("HUP");
    until("a refusal", || {
        let said = running.stderr();
        said.contains("folder: is a directory") && said.contains("going on with the old one")
    });
    scene.append("app.log", records(10, 20).as_bytes());
    scene.until_length("all", records(0, 20).len() as u64);
    running.terminate();
    assert!(scene.read("all") == records(0, 20).as_bytes());
}

#[test]
fn a_standard_output_that_nobody_reads_leaves_the_others_their_lines() {
    let scene = configured(&format!(
        "[[sink]]\ntype = \"stdout\"\n{}{}[run]\nmultiline = \"off\"\n",
        sink("errors", "level >= error"),
        sink("all", ""),
    ));
    let mut command = scene.command(&[], &["run", "-q", "-c", "weir.toml"]);
    let piped = std::process::Stdio::piped;
    let mut child = command
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let input = records(0, 20_000);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let ran = Ran::new(child.wait_with_output().unwrap()).exits(0);
    assert_eq!(ran.stderr.matches("the other sinks go on").count(), 1);
    assert!(scene.read("all") == input.as_bytes());
    assert!(scene.read("errors") == those(&input, &[ERROR]).as_bytes());
}

#[test]
fn each_file_rotates_by_itself() {
    let scene = configured(&format!(
        "{}rotate_size = \"20KiB\"\n{}rotate_size = \"10KiB\"\nrotate_keep = 100\n[run]\nmultiline = \"off\"\nmax_mem = \"1MiB\"\n[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n",
        sink("all", ""),
        sink("errors", "level >= error"),
    ));
    let running = start(&scene);
    let (mut from, mut length) = (0, 0);
    while from < 2000 {
        let part = records(from, from + 50);
        length += those(&part, &[ERROR]).len() as u64;
        scene.append("app.log", part.as_bytes());
        from += 50;
        until("it is written", || {
            let names = (0..100).map(|number| match number {
                0 => "errors".to_owned(),
                number => format!("errors.{number}"),
            });
            names.map(|name| scene.length(&name)).sum::<u64>() == length
        });
    }
    running.terminate();
    let mut text = Vec::new();
    let mut count = 0;
    for number in (1..100).rev() {
        let name = format!("errors.{number}");
        assert!(scene.length(&name) <= 10 << 10, "{name}");
        count += u64::from(scene.length(&name) > 0);
        text.extend(scene.read(&name));
    }
    text.extend(scene.read("errors"));
    assert!(count >= 3, "{count}");
    assert!(text == those(&records(0, 2000), &[ERROR]).as_bytes());
}

#[test]
fn what_it_writes_is_not_followed() {
    let scene = configured(&format!(
        "{}{}{}",
        FILES.replace("app.log", "*.log"),
        sink("all.log", ""),
        sink("errors.log", "level >= error"),
    ));
    scene.append("app.log", records(0, 100).as_bytes());
    let running = start(&scene);
    let want = records(0, 100);
    scene.until_length("all.log", want.len() as u64);
    scene.append("app.log", records(100, 200).as_bytes());
    scene.until_length("all.log", records(0, 200).len() as u64);
    running.terminate();
    assert!(scene.read("all.log") == records(0, 200).as_bytes());
    assert!(scene.read("errors.log") == those(&records(0, 200), &[ERROR]).as_bytes());
}
