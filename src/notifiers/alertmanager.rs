//! Prometheus Alertmanager, API v2: alerts are posted as they are, and Alertmanager groups and routes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::component::Keys;
use crate::flow::alert::Alert;
use crate::flow::secret::Secret;
use crate::flow::time::Time;
use crate::net::http::{self, Attempt, Post};
use crate::net::redact;
use crate::notifiers::body;
use crate::notifiers::{Configured, Context, Message, Notify};

/// An alert that still fires is known to Alertmanager for at least this long.
const FIRING_FOR_MIN: Duration = Duration::from_secs(300);

/// Alertmanager, by its API v2.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// Base URL, for example `http://alertmanager:9093`.
    #[schemars(extend("format" = "url", "secret" = true))]
    url: String,
    /// User for basic authentication.
    #[schemars(length(min = 1))]
    user: Option<String>,
    /// Environment variable that holds the password.
    #[schemars(extend("format" = "variable", "secret" = true))]
    password_env: Option<String>,
}

impl Configured for Config {
    type Channel = Alertmanager;

    const KEYS: &[Keys] = &[Keys::Together("user", &["password_env"])];

    fn resolve(&self, context: &mut Context) -> Option<Alertmanager> {
        Some(Alertmanager {
            url: Secret::new(self.url.as_str()),
            user: self.user.clone(),
            password: context.resolver.secret("password"),
            // Sent again before it ends by itself, even if one message is lost.
            firing_for: (context.repeat_interval * 5 / 2).max(FIRING_FOR_MIN),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alertmanager {
    /// Address of Alertmanager without `/api/v2/alerts`.
    pub url: Secret,
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// A firing alert ends by itself this long after it was told last: more than twice the repeat
    /// interval, or Alertmanager would resolve it between two tellings (after 5 minutes if it is not
    /// told at all).
    pub firing_for: Duration,
}

impl Notify for Alertmanager {
    fn address(&self) -> String {
        redact::address(self.url.expose()) + ": "
    }

    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message {
            client,
            notification,
            ..
        } = message;
        let firing_for = i64::try_from(self.firing_for.as_nanos()).unwrap_or(i64::MAX);
        let until = Time(notification.made_at.0.saturating_add(firing_for));
        let alerts: Vec<Value> = notification
            .alerts
            .iter()
            .map(|alert| posted(alert, until))
            .collect();
        let url = Secret::new(format!(
            "{}/api/v2/alerts",
            self.url.expose().trim_end_matches('/')
        ));
        let post = Post {
            url: &url,
            content_type: "application/json",
            bearer: None,
            login: self
                .user
                .as_deref()
                .map(|user| (user, self.password.as_ref())),
            hidden: None,
            headers: Vec::new(),
            body: Value::from(alerts).to_string().into_bytes(),
        };
        http::post(client, post).await
    }
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
