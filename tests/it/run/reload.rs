//! A configuration that changes while lines come: none is lost or doubled, and what rules and states
//! know stays. A bad one is refused and changes nothing.

use std::fs;
use std::time::{Duration, Instant};

use super::{at, configured, start};
use crate::follow::scene::{Scene, until};
use crate::notify::server::{Server, status};
use crate::program::{let_pass, setting};

const BASE: &str = r#"
[[source]]
type = "file"
include = ["app.log"]
from = "start"

[filter]
level = "error"

[[state]]
name = "job"
key = ["job"]
value = "status"

[[rule]]
name = "all"
when = "count() >= TOTAL"
window = "24h"
notify = ["hook"]

[[rule]]
name = "failed"
when = "last(job) == \"failed\""
notify = ["hook"]

[[notifier]]
name = "hook"
type = "webhook"
url = "URL"
group_by = ["..."]
group_interval = "0s"
rate = "100000/1s"

[[sink]]
type = "file"
path = "errors"

[run]
multiline = "off"
"#;

const MORE: &str = r#"
[[rule]]
name = "more"
when = "count() > 1000000"
notify = ["hook"]
"#;

/// What the configuration is replaced by, one after the other.
fn text(base: &str, number: usize) -> String {
    match number % 4 {
        0 => format!("{base}{MORE}"),
        1 => format!("{base}[[rule]]\nname = \"bad\"\nwhen = \"count( >\"\n"),
        2 => base.to_owned(),
        _ => format!("{base}\nno toml at all ["),
    }
}

fn replace(scene: &Scene, text: &str) {
    fs::write(scene.path("new.toml"), text).unwrap();
    scene.rename("new.toml", "weir.toml");
}

fn reloaded(times: usize) {
    let server = Server::start(|_, _| status(200));
    let lines = times * 40;
    let base = BASE
        .replace("TOTAL", &(lines + 2).to_string())
        .replace("URL", &server.url("/"));
    let scene = configured(&base);
    let error = |number: usize| {
        format!(
            "{{\"time\":\"{}\",\"level\":\"error\",\"seq\":{number}}}\n",
            at(10_000 + number as u64)
        )
    };
    // A job fails before the first reload, so its alert stays through all of them.
    let job = |time: u64, status: &str| {
        format!(
            "{{\"time\":\"{}\",\"level\":\"info\",\"job\":\"backup\",\"status\":\"{status}\"}}\n",
            at(time)
        )
    };
    scene.append("app.log", job(1000, "failed").as_bytes());
    let running = start(&scene);
    let alerts = |rule: &str, status: &str| {
        let requests = server.requests();
        let bodies = requests.iter().map(|request| request.json());
        let alerts = bodies.flat_map(|body| body["alerts"].as_array().unwrap().clone());
        alerts
            .filter(|alert| alert["labels"]["alertname"] == rule && alert["status"] == status)
            .count()
    };
    until("the job's alert", || alerts("failed", "firing") == 1);
    let (mut slowest, mut answers) = (Duration::ZERO, 0);
    for number in 0..times {
        replace(&scene, &text(&base, number));
        let began = Instant::now();
        running.signal("HUP");
        answers += 1;
        for line in number * 40..(number + 1) * 40 {
            scene.append("app.log", error(line).as_bytes());
        }
        until("an answer to SIGHUP", || {
            let said = running.stderr();
            let used = said.matches("the configuration is read again").count();
            let refused = said.matches("the new configuration is not used").count();
            used + refused >= answers
        });
        slowest = slowest.max(began.elapsed());
    }
    assert_eq!(alerts("all", "firing"), 0, "one record is still missing");
    scene.append("app.log", job(20_000_000, "done").as_bytes());
    until("the record that makes it whole", || {
        alerts("all", "firing") == 1
    });
    until("the job's end", || alerts("failed", "resolved") == 1);
    assert_eq!(alerts("failed", "firing"), 1, "its alert began once");
    let refused = running
        .stderr()
        .matches("the new configuration is not used")
        .count();
    assert_eq!(refused, times / 2);
    running.terminate();
    let want: String = (0..lines).map(error).collect();
    assert!(
        scene.read("errors") == want.as_bytes(),
        "the lines that went out are not those that came in"
    );
    eprintln!("{times} reloads, half of them refused, {lines} lines; the slowest took {slowest:?}");
}

#[test]
fn reloads_lose_and_double_nothing() {
    reloaded(12);
}

#[test]
#[ignore = "takes minutes: WEIR_RELOADS (1000)"]
fn long_reloads_lose_and_double_nothing() {
    reloaded(setting("WEIR_RELOADS", 1000) as usize);
}

#[test]
fn a_watched_file_is_read_again_by_itself() {
    let base = BASE
        .replace("TOTAL", "10")
        .replace("URL", "http://127.0.0.1:9/");
    let scene = configured(&base);
    let args = [
        "run",
        "-c",
        "weir.toml",
        "--state",
        "state",
        "--watch-config",
    ];
    let running = scene.start(&[], &args);
    until("it runs", || {
        scene.path("state/checkpoint-0").exists() || running.stderr().contains("weir")
    });
    let_pass(Duration::from_millis(300));
    replace(
        &scene,
        &base.replace("level = \"error\"", "level = \"warn\""),
    );
    until("the new configuration", || {
        running.stderr().contains("the configuration is read again")
    });
    let line = format!("{{\"time\":\"{}\",\"level\":\"warn\",\"n\":1}}\n", at(1));
    scene.append("app.log", line.as_bytes());
    until("a line that only the new one lets through", || {
        scene.read("errors") == line.as_bytes()
    });
    running.terminate();
}
