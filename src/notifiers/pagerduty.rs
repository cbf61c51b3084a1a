//! PagerDuty, Events API v2 (<https://developer.pagerduty.com/docs/events-api-v2>): one request an
//! alert, which triggers or resolves the incident that has the alert's id as its key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::component::Keys;
use crate::flow::alert::{Alert, Status};
use crate::flow::secret::Secret;
use crate::net::http::{self, Attempt, Post};
use crate::net::redact;
use crate::notifiers::body;
use crate::notifiers::text;
use crate::notifiers::text::words::{label, machine};
use crate::notifiers::{Configured, Context, Message, Notify};

/// Where events go, unless a test says otherwise.
pub const URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// Characters of a summary that PagerDuty takes.
const SUMMARY_CHARACTERS_MAX: usize = 1024;

/// PagerDuty, by Events API v2.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// Environment variable that holds the routing key.
    #[schemars(extend("format" = "variable", "secret" = true))]
    routing_key_env: Option<String>,
    /// File that holds the routing key.
    #[schemars(length(min = 1), extend("secret" = true))]
    routing_key_file: Option<String>,
    /// Another server, for tests.
    #[schemars(extend("format" = "url", "secret" = true))]
    url: Option<String>,
}

impl Configured for Config {
    type Channel = PagerDuty;

    const KEYS: &[Keys] = &[Keys::ExactlyOne(&["routing_key_env", "routing_key_file"])];

    fn resolve(&self, context: &mut Context) -> Option<PagerDuty> {
        Some(PagerDuty {
            routing_key: context.resolver.secret("routing_key")?,
            url: Secret::new(self.url.as_deref().unwrap_or(URL)),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PagerDuty {
    pub routing_key: Secret,
    /// [`URL`] or another server that speaks like it.
    pub url: Secret,
}

impl Notify for PagerDuty {
    fn address(&self) -> String {
        redact::address(self.url.expose()) + ": "
    }

    fn alerts_max(&self) -> usize {
        1
    }

    /// Sends the one alert of `notification`, which was cut to it before.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message {
            client,
            notification,
            words,
            ..
        } = message;
        let Some(alert) = notification.alerts.first() else {
            return Attempt::Delivered {
                answer: "nothing to tell".to_owned(),
            };
        };
        let mut event = json!({
            "routing_key": self.routing_key.expose(),
            "event_action": match alert.status {
                Status::Firing => "trigger",
                Status::Resolved => "resolve",
            },
            "dedup_key": alert.id,
            "client": "logweir",
        });
        if alert.status == Status::Firing {
            let summary = if words.has_own_title {
                words.title.clone()
            } else {
                in_short(alert)
            };
            let mut details = body::alert(alert);
            if words.has_own_text {
                details["text"] = words.text.as_str().into();
            }
            event["payload"] = json!({
                "summary": text::cut(&summary, SUMMARY_CHARACTERS_MAX),
                "source": machine(alert),
                "severity": severity(alert),
                "timestamp": alert.starts_at.to_string(),
                "class": alert.rule,
                "custom_details": details,
            });
        }
        let post = Post {
            url: &self.url,
            content_type: "application/json",
            bearer: None,
            login: None,
            hidden: Some(&self.routing_key),
            headers: Vec::new(),
            body: event.to_string().into_bytes(),
        };
        http::post(client, post).await
    }
}

/// `cpu-high host=web-1: the newest line of the log (p95(cpu) > 90, is 95.2)`.
fn in_short(alert: &Alert) -> String {
    let mut text = alert.rule.clone();
    for (name, value) in &alert.labels {
        if name != "alertname" && name != "severity" {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    match (alert.evidence.samples.last(), &*alert.summary) {
        (Some(sample), "") => text.push_str(&format!(": {}", sample.line)),
        (Some(sample), summary) => text.push_str(&format!(": {} ({summary})", sample.line)),
        (None, "") => {}
        (None, summary) => text.push_str(&format!(": {summary}")),
    }
    text
}

/// One of the four words that PagerDuty knows.
fn severity(alert: &Alert) -> &'static str {
    match label(alert, "severity").unwrap_or_default() {
        "critical" | "fatal" | "page" | "emergency" => "critical",
        "error" | "high" | "major" => "error",
        "info" | "low" | "none" | "debug" => "info",
        _ => "warning",
    }
}
