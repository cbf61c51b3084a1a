//! Prometheus Alertmanager, API v2: alerts are posted as they are, and Alertmanager groups and routes.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Map, Value, json};

use crate::flow::alert::{Alert, Notification};
use crate::flow::secret::Secret;
use crate::flow::time::Time;
use crate::net::http::{self, Attempt, Post};
use crate::notifiers::body;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Address of Alertmanager without `/api/v2/alerts`.
    pub url: Secret,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// A firing alert ends by itself this long after it was told last: more than twice the repeat
    /// interval, or Alertmanager would resolve it between two tellings (after 5 minutes if it is not
    /// told at all).
    pub firing_for: Duration,
}

pub async fn send(settings: &Settings, client: &Client, notification: &Notification) -> Attempt {
    let firing_for = i64::try_from(settings.firing_for.as_nanos()).unwrap_or(i64::MAX);
    let until = Time(notification.made_at.0.saturating_add(firing_for));
    let alerts: Vec<Value> = notification
        .alerts
        .iter()
        .map(|alert| posted(alert, until))
        .collect();
    let url = Secret::new(format!(
        "{}/api/v2/alerts",
        settings.url.expose().trim_end_matches('/')
    ));
    let post = Post {
        url: &url,
        content_type: "application/json",
        bearer: None,
        login: settings
            .user
            .as_deref()
            .map(|user| (user, settings.password.as_ref())),
        hidden: None,
        headers: Vec::new(),
        body: Value::from(alerts).to_string().into_bytes(),
    };
    http::post(client, post).await
}

fn posted(alert: &Alert, until: Time) -> Value {
    // Alertmanager refuses the whole request if one alert ends before it starts.
    let end = alert.ends_at.unwrap_or(until).max(alert.starts_at);
    let annotations = body::annotations(alert).into_iter();
    let annotations: Map<String, Value> = annotations
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let labels: Map<String, Value> = alert
        .labels
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (label_name(name), value.as_str().into()))
        .collect();
    json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": alert.starts_at.to_string(),
        "endsAt": end.to_string(),
    })
}

/// A name that every version of Alertmanager takes: letters, digits and underscores.
fn label_name(name: &str) -> String {
    let mut label: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '_'
            }
        })
        .collect();
    if label.is_empty() || label.starts_with(|first: char| first.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}
