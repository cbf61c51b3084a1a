//! Notifiers against receivers that misbehave: nothing is lost, nothing is told in the wrong order,
//! and no secret shows.

mod channels;
mod delivery;
pub mod endpoint;
mod journal;
pub mod peers;
pub mod server;
mod sink;
mod smtp;
mod tls;

use std::time::{Duration, Instant};

use logweir::flow::alert::{Alert, Evidence, Notification, SampleLine, Status};
use logweir::flow::secret::Secret;
use logweir::flow::time::Time;
use logweir::notifiers::delivery::{Delivery, Receipt};
use logweir::notifiers::{Channel, Rate, Settings, webhook};

/// 2026-11-22T10:00:00Z.
const START: Time = Time(1_795_341_600 * Time::SECOND);

fn alert(id: &str, status: Status) -> Alert {
    Alert {
        id: id.to_owned(),
        rule: "cpu-high".to_owned(),
        status,
        labels: vec![
            ("alertname".to_owned(), "cpu-high".to_owned()),
            ("host".to_owned(), "web-1".to_owned()),
            ("severity".to_owned(), "critical".to_owned()),
        ],
        summary: "p95(cpu) is 95.5, above 90".to_owned(),
        value: Some(95.5),
        starts_at: START,
        ends_at: (status == Status::Resolved).then_some(Time(START.0 + 60 * Time::SECOND)),
        evidence: Evidence {
            template: Some("cpu <*>".to_owned()),
            fingerprint: Some("f1:0000000000000001".to_owned()),
            count: 12,
            first: Some(START),
            last: Some(START),
            samples: vec![SampleLine {
                source: "app.log".to_owned(),
                offset: 1234,
                line: "cpu 95.5".to_owned(),
            }],
        },
    }
}

/// Named after its number, with one alert of each id.
fn notification(number: u64, notifier: &str, status: Status, ids: &[&str]) -> Notification {
    Notification {
        number,
        notifier: notifier.to_owned(),
        id: format!("n{number}"),
        status,
        group: vec![("alertname".to_owned(), "cpu-high".to_owned())],
        alerts: ids.iter().map(|id| alert(id, status)).collect(),
        left_out: 0,
        made_at: START,
    }
}

/// Quick to try again, so that tests are.
fn settings(name: &str, channel: Channel) -> Settings {
    Settings {
        name: name.to_owned(),
        channel,
        timeout: Duration::from_secs(2),
        give_up: Duration::from_secs(60),
        rate: Rate {
            count: 100_000,
            per: Duration::from_secs(1),
        },
        title: None,
        text: None,
    }
}

fn webhook(url: String) -> Channel {
    Channel::Webhook(webhook::Webhook {
        url: Secret::new(url),
        secret: None,
        token: None,
    })
}

fn quiet(_: &str) {}

/// Waits for `count` receipts, in order of their numbers.
#[track_caller]
fn receipts(delivery: &Delivery, count: usize) -> Vec<Receipt> {
    let until = Instant::now() + Duration::from_secs(60);
    let mut receipts: Vec<Receipt> = (0..count)
        .map(|number| {
            delivery
                .receipts()
                .recv_deadline(until)
                .unwrap_or_else(|_| panic!("only {number} of {count} receipts came"))
        })
        .collect();
    receipts.sort_by_key(|receipt| receipt.number);
    receipts
}
