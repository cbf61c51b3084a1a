//! Notifications and alerts as JSON for programs: the body of Alertmanager's webhook (version 4,
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>), which many
//! receivers read, and a line an alert for files.

use serde_json::{Map, Value, json};

use crate::flow::alert::{Alert, Notification};
use crate::notifiers::text::{self, Escape, Words, words};

/// The time that Alertmanager writes for no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Alertmanager's webhook body, version 4. `fingerprint` is the alert's id: the same while it fires and
/// when it is resolved. Titles and texts of the user's own stand among the common annotations.
pub fn webhook(notification: &Notification, words: &Words) -> Value {
    let annotations: Vec<Vec<(&'static str, String)>> =
        notification.alerts.iter().map(annotations).collect();
    let alerts: Vec<Value> = notification
        .alerts
        .iter()
        .zip(&annotations)
        .map(|(alert, annotations)| {
            json!({
                "status": alert.status.name(),
                "labels": labels(&alert.labels),
                "annotations": object(annotations.iter().map(|(name, value)| (*name, value.as_str()))),
                "startsAt": alert.starts_at.to_string(),
                "endsAt": alert.ends_at.map_or(NO_TIME.to_owned(), |time| time.to_string()),
                "generatorURL": "",
                "fingerprint": alert.id,
            })
        })
        .collect();
    let mut shared = object(text::common(annotations.iter().map(|list| &list[..])).into_iter());
    if words.has_own_title {
        shared.insert("title".to_owned(), words.title.as_str().into());
    }
    if words.has_own_text {
        shared.insert("text".to_owned(), words.text.as_str().into());
    }
    json!({
        "receiver": notification.notifier,
        "status": notification.status.name(),
        "alerts": alerts,
        "groupLabels": labels(&notification.group),
        "commonLabels": object(text::common(notification.alerts.iter().map(|alert| &alert.labels[..])).into_iter()),
        "commonAnnotations": shared,
        "externalURL": "",
        "version": "4",
        "groupKey": group_key(notification),
        "truncatedAlerts": notification.left_out,
    })
}

/// One alert with everything that is known of it, for a line of a file.
pub fn alert(alert: &Alert) -> Value {
    let evidence = &alert.evidence;
    json!({
        "id": alert.id,
        "rule": alert.rule,
        "status": alert.status.name(),
        "labels": labels(&alert.labels),
        "summary": alert.summary,
        "value": alert.value,
        "starts_at": alert.starts_at.to_string(),
        "ends_at": alert.ends_at.map(|time| time.to_string()),
        "evidence": {
            "template": evidence.template,
            "fingerprint": evidence.fingerprint,
            "count": evidence.count,
            "first": evidence.first.map(|time| time.to_string()),
            "last": evidence.last.map(|time| time.to_string()),
            "samples": evidence.samples,
        },
    })
}

/// Alertmanager's annotations of an alert: `summary`, `description` (the built-in text), `value` and `host`,
/// the machine.
pub fn annotations(alert: &Alert) -> Vec<(&'static str, String)> {
    let mut description = String::new();
    words::paragraph(alert, Escape::None, &mut description);
    let mut annotations = vec![
        ("summary", alert.summary.clone()),
        ("description", description.trim_end().to_owned()),
        ("host", words::machine(alert).to_owned()),
    ];
    if let Some(value) = alert.value {
        annotations.push(("value", value.to_string()));
    }
    annotations
}

/// Names a group as Alertmanager does: the route and the labels.
fn group_key(notification: &Notification) -> String {
    let labels: Vec<String> = notification
        .group
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!(
        "{{}}/{{notifier={:?}}}:{{{}}}",
        notification.notifier,
        labels.join(", ")
    )
}

pub fn labels(pairs: &[(String, String)]) -> Map<String, Value> {
    object(
        pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    )
}

fn object<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> Map<String, Value> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}
