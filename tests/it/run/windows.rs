//! Kills inside of windows: what a summary or an alert of a window says does not depend on them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::{at, configured, start};
use crate::follow::scene::{Scene, until};
use crate::program::{let_pass, setting};
use crate::sim::random::Random;

const WINDOWS: &str = r#"
[[source]]
type = "file"
include = ["app.log"]
from = "start"

[[metric]]
field = "cpu"
by = ["host"]

[[rule]]
name = "hot"
when = "mean(cpu) > 55"
clear = "mean(cpu) < 50"
window = "10s"
by = ["host"]
notify = ["file"]

[[rule]]
name = "busy"
when = "count() > 130"
window = "10s"
by = ["host"]
notify = ["file"]

[[notifier]]
name = "file"
type = "file"
path = "notifications"
group_by = ["..."]
group_interval = "0s"
rate = "100000/1s"

[[sink]]
type = "file"
path = "summaries"
what = "summary"

[run]
multiline = "off"
interval = "10s"
lateness = "1s"
"#;

fn line(number: u64, random: &mut Random) -> String {
    format!(
        "{{\"time\":\"{}\",\"level\":\"{}\",\"host\":\"web-{}\",\"cpu\":{},\"msg\":\"request {number} done\"}}\n",
        at(number * 20),
        ["info", "warn", "error"][random.below(3) as usize],
        random.below(4),
        random.below(100 + number / 500 % 10)
    )
}

/// Every summary by the id of its window; the same one twice has to say the same.
fn summaries(scene: &Scene) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for line in scene.read("summaries").split(|byte| *byte == b'\n') {
        // The last line may still be on its way.
        let Ok(mut summary) = serde_json::from_slice::<Value>(line) else {
            continue;
        };
        let id = summary["window"]["id"].as_str().unwrap().to_owned();
        // Where the lines stand is a matter of the reader, what they say is not.
        summary.as_object_mut().unwrap().remove("inputs");
        if let Some(known) = found.insert(id.clone(), summary.clone()) {
            assert_eq!(known, summary, "{id} is told twice with different values");
        }
    }
    found
}

/// Every alert with what it said, by its id and status.
fn alerts(scene: &Scene) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    let text = scene.read("notifications");
    let lines = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
    for mut alert in lines.map_while(Result::ok) {
        let text = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
        let key = (text("id"), text("status"));
        // When it was told, and with which notification, is another matter.
        let told = alert.as_object_mut().unwrap();
        assert!(told.remove("at").is_some() && told.remove("notification").is_some());
        if let Some(known) = found.insert(key.clone(), alert.clone()) {
            assert_eq!(known, alert, "{key:?} is told twice with different values");
        }
    }
    found
}

fn killed(kills: u64, seed: u64) {
    let mut random = Random::new(seed);
    let (killed, whole) = (configured(WINDOWS), configured(WINDOWS));
    let mut number = 0;
    let mut running = start(&killed);
    for _ in 0..kills {
        for _ in 0..random.below(4) {
            let mut text = String::new();
            for _ in 0..random.below(120) {
                text.push_str(&line(number, &mut random));
                number += 1;
            }
            killed.append("app.log", text.as_bytes());
            let_pass(Duration::from_millis(random.below(30)));
        }
        running.kill();
        running = start(&killed);
    }
    // Two windows later everything before is closed.
    let last = format!(
        "{{\"time\":\"{}\",\"level\":\"info\"}}\n",
        at(number * 20 + 20_000)
    );
    killed.append("app.log", last.as_bytes());
    let windows = usize::try_from(number * 20 / 10_000).unwrap();
    let first_closed = |scene: &Scene| summaries(scene).len() >= windows;
    until("every window, with kills", || first_closed(&killed));
    running.terminate();

    whole.append("app.log", &killed.read("app.log"));
    let running = start(&whole);
    until("every window, without kills", || first_closed(&whole));
    running.terminate();

    let (got, want) = (summaries(&killed), summaries(&whole));
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        want.keys().collect::<Vec<_>>()
    );
    for (id, summary) in &want {
        assert_eq!(&got[id], summary, "{id}");
    }
    let (got, told) = (alerts(&killed), alerts(&whole));
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        told.keys().collect::<Vec<_>>()
    );
    for (key, alert) in &told {
        assert_eq!(&got[key], alert, "{key:?}");
    }
    assert!(!told.is_empty() && want.len() > windows / 2);
    // Truth from outside: the lines of the windows, counted here.
    let total: u64 = want
        .values()
        .map(|summary| summary["ledger"]["records"].as_u64().unwrap())
        .sum();
    let closed = want.len() as u64 * 500;
    assert_eq!(total, closed.min(number), "50 lines a second");
    eprintln!(
        "{kills} kills, {number} lines: {} windows and {} alerts, all as without kills",
        want.len(),
        told.len()
    );
}

#[test]
fn windows_survive_kills() {
    killed(12, 3);
}

#[test]
#[ignore = "takes a minute: WEIR_KILLS (200), WEIR_SEED (1)"]
fn long_windows_survive_kills() {
    killed(setting("WEIR_KILLS", 200), setting("WEIR_SEED", 1));
}

/// Lines from thirty years ahead, one for each window that may be open: those of today had no summary
/// any more, since the windows far ahead pushed them out.
#[test]
fn lines_from_the_future_take_no_summary_away() {
    let scene = configured(
        "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n\
         [[sink]]\ntype = \"file\"\npath = \"summaries\"\nwhat = \"summary\"\n\
         [run]\ninterval = \"1s\"\nlateness = \"0s\"\n",
    );
    for second in 0..40 {
        let line = format!("2056-03-14T09:00:{second:02}Z INFO from far ahead\n");
        scene.append("app.log", line.as_bytes());
    }
    let running = start(&scene);
    let year = jiff::Zoned::now()
        .with_time_zone(jiff::tz::TimeZone::UTC)
        .year();
    until("summaries of what is written today", || {
        let line = format!("{:.3} ERROR today\n", jiff::Timestamp::now());
        scene.append("app.log", line.as_bytes());
        let_pass(Duration::from_millis(50));
        let summaries = String::from_utf8(scene.read("summaries")).unwrap();
        let of_today = summaries.lines().filter(|line| {
            let summary: Value = serde_json::from_str(line).unwrap();
            let start = summary["window"]["start"].as_str().unwrap();
            assert!(start.starts_with(&year.to_string()), "{start}");
            summary["levels"]["error"].as_u64() > Some(0)
        });
        of_today.count() >= 3
    });
    running.terminate();
}
