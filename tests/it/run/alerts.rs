//! From a line in a followed file to the receiver of a webhook: how soon, and what kills in between
//! leave of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{at, configured, quantile, start};
use crate::follow::scene::{Scene, until};
use crate::notify::server::{Reply, Request, Server, status};
use crate::program::{let_pass, setting};
use crate::sim::random::Random;

/// One alert as a receiver got it.
#[derive(Debug)]
struct Told {
    rule: String,
    status: String,
    id: String,
    fingerprint: String,
}

fn told(request: &Request) -> Vec<Told> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body = request.json();
    let alerts = body["alerts"].as_array().unwrap().clone();
    alerts
        .iter()
        .map(|alert| Told {
            rule: text(&alert["labels"]["alertname"]),
            status: text(&alert["status"]),
            id: text(&alert["labels"]["id"]),
            fingerprint: text(&alert["fingerprint"]),
        })
        .collect()
}

/// When each request came, and its body.
type Came = Arc<Mutex<Vec<(Instant, Vec<u8>)>>>;

const LATENCY: &str = r#"
[[source]]
type = "file"
include = ["app.log"]
from = "start"

[[state]]
name = "job"
key = ["job"]
value = "status"

[[rule]]
name = "counted"
when = "count() > 0"
where = "level == error"
by = ["id"]
notify = ["hook"]

[[rule]]
name = "failed"
when = "last(job) == \"failed\""
notify = ["hook"]

[[rule]]
name = "new"
when = "new()"
learn = "0s"
notify = ["hook"]

[[notifier]]
name = "hook"
type = "webhook"
url = "URL"
group_by = ["..."]
rate = "100000/1s"

[run]
multiline = "off"
"#;

/// Lines at 50 a second, each of which makes one rule fire: milliseconds from the write to the request
/// in the receiver, by rule.
fn latencies(lines: u64) -> BTreeMap<&'static str, Vec<f64>> {
    let came: Came = Arc::default();
    let kept = Arc::clone(&came);
    let server = Server::start(move |request, _| {
        kept.lock()
            .unwrap()
            .push((Instant::now(), request.body.clone()));
        status(200)
    });
    let scene = configured(&LATENCY.replace("URL", &server.url("/")));
    // Letters only, so that no two messages are one with numbers masked.
    let word = |mut number: u64| {
        let mut word = String::from("w");
        for _ in 0..5 {
            word.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
        word
    };
    scene.append("app.log", b"");
    let running = start(&scene);
    until("it is ready", || {
        running.stderr().contains("following") || scene.path("state").exists()
    });
    // The first message opens the connection and tells that everything runs.
    let line = |second: u64, rest: &str| format!("{{\"time\":\"{}\",{rest}}}\n", at(second));
    scene.append(
        "app.log",
        line(0, "\"level\":\"error\",\"id\":\"first\"").as_bytes(),
    );
    until("the first alert", || !server.requests().is_empty());
    let mut sent: BTreeMap<String, (&'static str, Instant)> = BTreeMap::new();
    for number in 0..lines {
        let name = word(number);
        let (rule, rest) = match number % 3 {
            0 => ("counted", format!("\"level\":\"error\",\"id\":\"{name}\"")),
            1 => (
                "failed",
                format!("\"level\":\"info\",\"job\":\"{name}\",\"status\":\"failed\""),
            ),
            _ => (
                "new",
                format!("\"level\":\"info\",\"msg\":\"{name} {name}x {name}y {name}z\""),
            ),
        };
        let text = line(1000 + 20 * number, &rest);
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(scene.path("app.log"))
            .unwrap();
        let now = Instant::now();
        file.write_all(text.as_bytes()).unwrap();
        sent.insert(name, (rule, now));
        let_pass(Duration::from_millis(20));
    }
    let mut found: BTreeMap<&'static str, Vec<f64>> = BTreeMap::new();
    until("every alert", || {
        let came = came.lock().unwrap();
        found.clear();
        for (name, (rule, began)) in &sent {
            let is_it = |body: &[u8]| {
                super::contains(body, name.as_bytes())
                    && super::contains(body, format!("\"{rule}\"").as_bytes())
            };
            if let Some((when, _)) = came.iter().find(|(_, body)| is_it(body)) {
                let took = when.duration_since(*began).as_secs_f64() * 1e3;
                found.entry(rule).or_default().push(took);
            }
        }
        found.values().map(Vec::len).sum::<usize>() as u64 == lines
    });
    running.terminate();
    found
        .values_mut()
        .for_each(|took| took.sort_by(f64::total_cmp));
    found
}

#[test]
fn a_line_reaches_a_webhook_at_once() {
    for (rule, took) in latencies(60) {
        // The goal is measured by the long version on a machine with nothing else to do.
        let median = quantile(&took, 0.5);
        assert!(median < 150.0, "{rule}: median {median} ms");
    }
}

#[test]
#[ignore = "a measurement: WEIR_LINES (3000)"]
fn long_latency() {
    for (rule, took) in latencies(setting("WEIR_LINES", 3000)) {
        let (p50, p99) = (quantile(&took, 0.5), quantile(&took, 0.99));
        let most = quantile(&took, 1.0);
        eprintln!(
            "{rule}: {} alerts, p50 {p50:.2} ms, p99 {p99:.2} ms, at most {most:.2} ms",
            took.len()
        );
        assert!(p50 <= 5.0 && p99 <= 20.0);
    }
}

const FAULTY: &str = r#"
[[source]]
type = "file"
include = ["app.log"]
from = "start"

[[rule]]
name = "error"
when = "count() > 0"
where = "level == error"
window = "2s"
by = ["id"]
notify = ["hook"]

[[notifier]]
name = "hook"
type = "webhook"
url = "URL"
group_by = ["..."]
rate = "100000/1s"
timeout = "500ms"
group_interval = "1s"

[run]
multiline = "off"
lateness = "1s"
"#;

/// So many alerts that fire and end, through a receiver that fails at random, with kills in between.
fn killed(alerts: u64, kills: u64, seed: u64) {
    let random = Mutex::new(Random::new(seed));
    // At most four failures in a row of one notification, so that its waits end within seconds.
    let failures: Mutex<BTreeMap<String, u32>> = Mutex::default();
    let refused = |id: &str| id.trim_start_matches('n').parse::<u64>().unwrap() % 50 == 49;
    // What was answered with success, in its order.
    let delivered: Arc<Mutex<Vec<Told>>> = Arc::default();
    let kept = Arc::clone(&delivered);
    let server = Server::start(move |request, _| {
        let mut whole = request.clone();
        // The last byte of the body is still on its way.
        whole.body.push(b'}');
        let told = told(&whole);
        if told.iter().any(|told| refused(&told.id)) {
            return status(422);
        }
        let key = request.header("idempotency-key").unwrap().to_owned();
        let mut failures = failures.lock().unwrap();
        let failed = failures.entry(key).or_default();
        let what = if *failed >= 4 {
            0
        } else {
            random.lock().unwrap().below(100)
        };
        *failed += 1;
        drop(failures);
        match what {
            0..60 => {
                kept.lock().unwrap().extend(told);
                status(200)
            }
            60..70 => status(500),
            70..80 => Reply::Answer(429, vec![("Retry-After", "0".to_owned())], String::new()),
            80..88 => Reply::Reset,
            88..96 => Reply::Close,
            _ => Reply::Stall(Duration::from_secs(1)),
        }
    });
    let scene = configured(&FAULTY.replace("URL", &server.url("/")));
    let mut random = Random::new(seed ^ 0x5eed);
    let mut running = start(&scene);
    let per_kill = alerts.div_ceil(kills + 1);
    for number in 0..alerts {
        // Every alert a tenth of a second of the log's time after the one before.
        let line = format!(
            "{{\"time\":\"{}\",\"level\":\"error\",\"id\":\"n{number}\"}}\n",
            at(100 * number)
        );
        scene.append("app.log", line.as_bytes());
        let_pass(Duration::from_millis(random.below(8)));
        if number % per_kill == per_kill - 1 {
            running.kill();
            running = start(&scene);
        }
    }
    // Time goes on, so that the last ones end.
    let line = format!(
        "{{\"time\":\"{}\",\"level\":\"info\"}}\n",
        at(100 * alerts + 60_000)
    );
    scene.append("app.log", line.as_bytes());
    let letters = || dead_letters(&scene);
    let is_whole = |id: u64, of: &BTreeMap<String, BTreeSet<String>>| {
        of.get(&format!("n{id}"))
            .is_some_and(|told| told.len() == 2)
    };
    let all = |told: &[Told]| {
        let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for told in told {
            by.entry(told.id.clone())
                .or_default()
                .insert(told.status.clone());
        }
        by
    };
    until("every alert is delivered or a dead letter", || {
        let by = all(&delivered.lock().unwrap());
        let dead = letters();
        (0..alerts).all(|id| {
            if id % 50 == 49 {
                is_whole(id, &dead)
            } else {
                is_whole(id, &by)
            }
        })
    });
    running.terminate();
    // Firing first, then resolved; one fingerprint for both; nothing but those.
    let delivered = delivered.lock().unwrap();
    let mut ended = BTreeSet::new();
    let mut fingerprints: BTreeMap<&str, &str> = BTreeMap::new();
    for told in delivered.iter() {
        assert_eq!(told.rule, "error");
        let known = fingerprints.entry(&told.id).or_insert(&told.fingerprint);
        assert_eq!(*known, told.fingerprint, "{}", told.id);
        if told.status == "resolved" {
            ended.insert(told.id.clone());
        } else if ended.contains(&told.id) {
            // A repetition after a kill comes with its end behind it again, never alone.
            ended.remove(&told.id);
        }
    }
    let open: Vec<&str> = fingerprints
        .keys()
        .filter(|id| !ended.contains(**id))
        .copied()
        .collect();
    assert_eq!(open, Vec::<&str>::new(), "last heard of as firing");
    let surplus = delivered.len() - 2 * fingerprints.len();
    eprintln!(
        "{alerts} alerts, {kills} kills: {} delivered, {surplus} of them more than once, {} dead letters",
        delivered.len(),
        letters().values().map(BTreeSet::len).sum::<usize>()
    );
}

/// Statuses of the alerts in the dead-letter file, by id.
fn dead_letters(scene: &Scene) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let text = scene.read("state/dead-letters.ndjson");
    let lines = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
    for letter in lines.map_while(Result::ok) {
        for alert in letter["notification"]["alerts"].as_array().unwrap() {
            let labels = alert["labels"].as_array().unwrap();
            let id = labels.iter().find(|label| label[0] == "id").unwrap();
            let id = id[1].as_str().unwrap();
            let status = alert["status"].as_str().unwrap();
            found
                .entry(id.to_owned())
                .or_default()
                .insert(status.to_owned());
        }
    }
    found
}

#[test]
fn alerts_survive_kills_and_a_faulty_receiver() {
    killed(100, 6, 1);
}

#[test]
#[ignore = "takes a minute: WEIR_ALERTS (1000), WEIR_KILLS (50), WEIR_SEED (1)"]
fn long_alerts_survive_kills_and_a_faulty_receiver() {
    killed(
        setting("WEIR_ALERTS", 1000),
        setting("WEIR_KILLS", 50),
        setting("WEIR_SEED", 1),
    );
}
