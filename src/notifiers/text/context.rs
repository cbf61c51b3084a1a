//! What a template sees of a notification: plain values, times as RFC 3339.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::flow::alert::{Alert, Evidence, Notification, SampleLine, Status};
use crate::flow::time::Time;
use crate::notifiers::text::count;
use crate::notifiers::text::words::machine;

/// A notification with everything in it, to try templates on.
pub fn example(status: Status) -> Notification {
    let alert = Alert {
        id: "0123456789abcdef".to_owned(),
        rule: "example".to_owned(),
        status,
        labels: vec![("severity".to_owned(), "warning".to_owned())],
        summary: "an example".to_owned(),
        value: Some(1.0),
        starts_at: Time(0),
        ends_at: (status == Status::Resolved).then_some(Time(0)),
        evidence: Evidence {
            count: 1,
            first: Some(Time(0)),
            last: Some(Time(0)),
            samples: vec![SampleLine {
                source: "example.log".to_owned(),
                offset: 0,
                line: "an example".to_owned(),
            }],
            ..Evidence::default()
        },
    };
    Notification {
        number: 0,
        notifier: "example".to_owned(),
        id: "example".to_owned(),
        status,
        group: Vec::new(),
        alerts: vec![alert],
        left_out: 0,
        made_at: Time(0),
    }
}

/// What a template sees.
#[derive(Serialize)]
pub struct Context<'n> {
    notifier: &'n str,
    status: &'static str,
    group: BTreeMap<&'n str, &'n str>,
    alerts: Vec<AlertContext<'n>>,
    firing: u64,
    resolved: u64,
    left_out: u64,
    made_at: String,
}

#[derive(Serialize)]
struct AlertContext<'n> {
    id: &'n str,
    rule: &'n str,
    status: &'static str,
    severity: &'n str,
    labels: BTreeMap<&'n str, &'n str>,
    host: &'n str,
    summary: &'n str,
    value: Option<f64>,
    starts_at: String,
    ends_at: Option<String>,
    template: Option<&'n str>,
    fingerprint: Option<&'n str>,
    count: u64,
    first: Option<String>,
    last: Option<String>,
    samples: &'n [SampleLine],
    evidence: EvidenceContext<'n>,
}

/// The records of an alert, by the names that the file notifier gives them.
#[derive(Serialize)]
struct EvidenceContext<'n> {
    template: Option<&'n str>,
    fingerprint: Option<&'n str>,
    count: u64,
    first: Option<String>,
    last: Option<String>,
    samples: &'n [SampleLine],
}

impl<'n> Context<'n> {
    pub fn of(notification: &'n Notification) -> Context<'n> {
        Context {
            notifier: &notification.notifier,
            status: notification.status.name(),
            group: map(&notification.group),
            alerts: notification.alerts.iter().map(AlertContext::of).collect(),
            firing: count(notification, Status::Firing),
            resolved: count(notification, Status::Resolved),
            left_out: notification.left_out,
            made_at: notification.made_at.to_string(),
        }
    }
}

impl<'n> AlertContext<'n> {
    fn of(alert: &'n Alert) -> AlertContext<'n> {
        let labels = map(&alert.labels);
        let evidence = &alert.evidence;
        let evidence = EvidenceContext {
            template: evidence.template.as_deref(),
            fingerprint: evidence.fingerprint.as_deref(),
            count: evidence.count,
            first: evidence.first.map(|time| time.to_string()),
            last: evidence.last.map(|time| time.to_string()),
            samples: &evidence.samples,
        };
        AlertContext {
            id: &alert.id,
            rule: &alert.rule,
            status: alert.status.name(),
            severity: labels.get("severity").copied().unwrap_or_default(),
            labels,
            host: machine(alert),
            summary: &alert.summary,
            value: alert.value,
            starts_at: alert.starts_at.to_string(),
            ends_at: alert.ends_at.map(|time| time.to_string()),
            template: evidence.template,
            fingerprint: evidence.fingerprint,
            count: evidence.count,
            first: evidence.first.clone(),
            last: evidence.last.clone(),
            samples: evidence.samples,
            evidence,
        }
    }
}

fn map(pairs: &[(String, String)]) -> BTreeMap<&str, &str> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
