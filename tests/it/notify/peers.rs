//! Real receivers, where they are installed (Debian: prometheus, prometheus-alertmanager): what we send
//! is what they take.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use logweir::flow::alert::{Notification, Status};
use logweir::flow::secret::Secret;
use logweir::flow::time::Time;
use logweir::notifiers::delivery::{Delivery, Outcome};
use logweir::notifiers::{Channel, alertmanager};
use logweir::sinks::prometheus::{Endpoint, PageRequest};

use super::endpoint::at;
use super::server::{Server, status};
use super::{notification, quiet, receipts, settings};
use crate::program::let_pass;

/// A program that ends with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program; `None`, said aloud, if it is not installed.
fn start(names: &[&str], arguments: &[String]) -> Option<Peer> {
    for name in names {
        let child = Command::new(name)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(child) = child {
            return Some(Peer(child));
        }
    }
    eprintln!("skipped: {} is not installed", names[0]);
    None
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn write(path: &Path, text: &str) -> String {
    std::fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The body of an answer, if there is one with 200.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    head.split(' ').nth(1).filter(|status| *status == "200")?;
    Some(body.to_owned())
}

/// Asks until there is an answer.
#[track_caller]
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what}");
        let_pass(Duration::from_millis(50));
    }
}

fn now() -> Time {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Time(since_1970.as_nanos() as i64)
}

/// With times of today, since Alertmanager goes by its own clock.
fn current(number: u64, status: Status, ids: &[&str]) -> Notification {
    let mut notification = notification(number, "am", status, ids);
    notification.made_at = now();
    for alert in &mut notification.alerts {
        alert.labels[1].1 = format!("host-{}", alert.id);
        alert.starts_at = Time(now().0 - 60 * Time::SECOND);
        alert.ends_at = (status == Status::Resolved).then(now);
    }
    notification
}

#[test]
fn alertmanager_groups_and_resolves_what_it_is_sent() {
    let home = tempfile::tempdir().unwrap();
    let receiver = Server::start(|_, _| status(200));
    let config = format!(
        "route: {{receiver: w, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: w, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
        receiver.url("/")
    );
    let port = free_port();
    let arguments = [
        format!(
            "--config.file={}",
            write(&home.path().join("am.yml"), &config)
        ),
        format!("--storage.path={}", home.path().join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let Some(_peer) = start(&["prometheus-alertmanager", "alertmanager"], &arguments) else {
        return;
    };
    let channel = Channel::Alertmanager(alertmanager::Alertmanager {
        url: Secret::new(format!("http://127.0.0.1:{port}")),
        user: None,
        password: None,
        firing_for: Duration::from_secs(3600),
    });
    let delivery = Delivery::start(vec![settings("am", channel)], None, quiet).unwrap();
    delivery.send(current(1, Status::Firing, &["a", "b"]));
    let receipt = receipts(&delivery, 1).remove(0);
    assert_eq!(receipt.outcome, Outcome::Delivered, "{receipt:?}");
    let listed = get(port, "/api/v2/alerts").unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let told = until("the group is told", || receiver.requests().first().cloned());
    assert_eq!(told.json()["status"], "firing");
    assert_eq!(
        told.json()["alerts"].as_array().unwrap().len(),
        2,
        "both in one message"
    );
    delivery.send(current(2, Status::Resolved, &["a", "b"]));
    assert_eq!(receipts(&delivery, 1)[0].outcome, Outcome::Delivered);
    let told = until("the end is told", || {
        receiver
            .requests()
            .into_iter()
            .find(|request| request.json()["status"] == "resolved")
    });
    let body = told.json();
    let alerts = body["alerts"].as_array().unwrap();
    assert!(alerts.iter().all(|alert| alert["status"] == "resolved"));
    // The body that Alertmanager sends and the one that we send have the same keys.
    let own = current(3, Status::Resolved, &["a"]);
    let own = logweir::notifiers::body::webhook(&own, &Default::default());
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&own), keys(&body));
    assert_eq!(keys(&own["alerts"][0]), keys(&alerts[0]));
}

#[test]
fn prometheus_scrapes_the_endpoint_and_a_hostile_label_survives() {
    const HOSTILE: &str = "a\\b\"c\n{x=\"y\"} größe";
    let home = tempfile::tempdir().unwrap();
    let shape = logweir::state::Shape {
        list: logweir::flow::level::Level::Warn,
        groupings: vec![vec!["host".to_owned()]],
        zone: "UTC".to_owned(),
    };
    let mut state = logweir::state::State::new(shape, 0);
    let mut key = Vec::new();
    logweir::flow::key::push(&mut key, HOSTILE.as_bytes());
    state.groups.add(0, &key, 42);
    let (sender, pages) = unbounded::<PageRequest>();
    std::thread::spawn(move || {
        for request in pages {
            let _ = request
                .reply
                .send(logweir::report::prometheus::page(&state, &[]));
        }
    });
    let endpoint = Endpoint::start(
        &at("127.0.0.1:0", None),
        sender,
        Arc::default(),
        Arc::default(),
    )
    .unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: weir, static_configs: [{{targets: ['{}']}}]}}]\n",
        endpoint.address()
    );
    let port = free_port();
    let arguments = [
        format!(
            "--config.file={}",
            write(&home.path().join("prometheus.yml"), &config)
        ),
        format!("--storage.tsdb.path={}", home.path().join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let Some(_peer) = start(&["prometheus"], &arguments) else {
        return;
    };
    let found = until("the page is scraped", || {
        let body = get(port, "/api/v1/query?query=weir_group_records_total")?;
        let body: serde_json::Value = serde_json::from_str(&body).ok()?;
        body["data"]["result"].get(0).cloned()
    });
    assert_eq!(found["metric"]["host"], HOSTILE);
    assert_eq!(found["value"][1], "42");
    let up = get(port, "/api/v1/query?query=up").unwrap();
    assert!(up.contains("\"1\""), "{up}");
}
