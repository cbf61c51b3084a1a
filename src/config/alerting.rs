//! The image of `[[rule]]`, `[[silence]]` and `[[notifier]]`: when to tell, when not to, and whom.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::notifiers;

/// A condition over a window of time that makes alerts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Rule {
    /// The alert's name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What must hold, for example `p95(cpu) > 90`, `count() > 100`, `new()` or `last(backup) == "failed"`.
    #[schemars(extend("format" = "expression"))]
    pub when: String,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
    /// One alert for each combination of these fields' values.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub by: Vec<String>,
    /// The span of event time that statistics and counts are over; it ends at the newest record.
    #[serde(default = "window")]
    #[schemars(extend("format" = "span"))]
    pub window: String,
    /// How long the condition must hold before the alert fires.
    #[serde(rename = "for", default = "zero")]
    #[schemars(extend("format" = "duration"))]
    pub hold: String,
    /// The alert ends when this holds; when the condition no longer does if absent.
    #[schemars(extend("format" = "expression"))]
    pub clear: Option<String>,
    /// How much it matters.
    #[serde(default)]
    pub severity: Severity,
    /// Names of the notifiers that are told.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub notify: Vec<String>,
    /// For `new()`: how long messages are only learned at the first start.
    #[serde(default = "learn")]
    #[schemars(extend("format" = "duration"))]
    pub learn: String,
    /// For `new()`: a file of known messages, from `weir baseline learn`.
    #[schemars(length(min = 1))]
    pub baseline: Option<String>,
    /// The alert's line for people: a minijinja template over the alert.
    #[schemars(length(min = 1))]
    pub summary: Option<String>,
    /// Names of the time intervals in which it is told; at any time if absent. What fires at another time and
    /// still does is told when one begins.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub active_time_intervals: Vec<String>,
    /// Names of the time intervals in which it is not told. What still fires is told when they end.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub mute_time_intervals: Vec<String>,
}

fn window() -> String {
    "5m".to_owned()
}

fn zero() -> String {
    "0s".to_owned()
}

fn learn() -> String {
    "10m".to_owned()
}

/// How much an alert matters, in the words that paging services share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Severity {
    Critical,
    Error,
    #[default]
    Warning,
    Info,
}

impl Severity {
    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// Times that come again, by their name in `active_time_intervals` and `mute_time_intervals`. It holds if every
/// list that is given holds.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct TimeInterval {
    /// The name that rules, states and notifiers use.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Days of the week.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "weekdays" }))]
    pub weekdays: Vec<String>,
    /// Spans of the day, whose ends are not included; a span over midnight is two.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "day-span" }))]
    pub times: Vec<String>,
    /// Days of the month; -1 is the last one.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "days-of-month" }))]
    pub days_of_month: Vec<String>,
    /// Months, by name or number.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "months" }))]
    pub months: Vec<String>,
    /// Years.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "years" }))]
    pub years: Vec<String>,
    /// Time zone of all of this; that of `[run] tz` if absent.
    #[schemars(extend("format" = "zone"))]
    pub location: Option<String>,
}

/// Alerts that keep others quiet while they fire.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Inhibit {
    /// A condition over the labels of the alert that keeps others quiet, for example `severity == "critical"`.
    #[schemars(extend("format" = "condition"))]
    pub source: String,
    /// A condition over the labels of the alerts that are not told meanwhile.
    #[schemars(extend("format" = "condition"))]
    pub target: String,
    /// Labels that both must have the same values of; without any every alert that meets `target` is meant.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub equal: Vec<String>,
}

/// A time in which alerts are not sent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Silence {
    /// Labels of the alerts that are silenced, all of which must be equal.
    #[serde(rename = "match")]
    #[schemars(extend("minProperties" = 1))]
    pub labels: BTreeMap<String, String>,
    /// When it begins; at once if absent.
    #[schemars(extend("format" = "time"))]
    pub from: Option<String>,
    /// When it ends.
    #[schemars(extend("format" = "time"))]
    pub until: String,
    /// Why.
    pub comment: Option<String>,
}

/// An address that is pinged while the run is healthy.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Heartbeat {
    /// Where an empty POST goes.
    #[schemars(extend("format" = "url", "secret" = true))]
    pub url: Option<String>,
    /// Environment variable that holds the URL.
    #[schemars(extend("format" = "variable", "secret" = true))]
    pub url_env: Option<String>,
    /// File that holds the URL.
    #[schemars(length(min = 1), extend("secret" = true))]
    pub url_file: Option<String>,
    /// Time between two pings.
    #[serde(default = "minute")]
    #[schemars(extend("format" = "span"))]
    pub every: String,
}

fn minute() -> String {
    "1m".to_owned()
}

/// Somebody to tell of alerts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Notifier {
    /// The name that `notify` uses.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Alerts that share these labels are told together; without any, and with `["..."]`, each alert is told
    /// alone.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub group_by: Vec<String>,
    /// How long the first message of a group waits for more alerts.
    #[serde(default = "zero")]
    #[schemars(extend("format" = "duration"))]
    pub group_wait: String,
    /// How long after a message the next one of the group tells of changes: 5m, and at once where each alert
    /// is told alone.
    #[schemars(extend("format" = "duration"))]
    pub group_interval: Option<String>,
    /// How often what still fires is told again; `0s` is never.
    #[serde(default = "repeat_interval")]
    #[schemars(extend("format" = "duration"))]
    pub repeat_interval: String,
    /// One message for each span with all that happened in it, a row for each rule, key and template; it takes
    /// the place of `group_wait` and `group_interval`, and alerts are told together whatever their labels
    /// unless `group_by` says otherwise.
    #[schemars(extend("format" = "span"))]
    pub digest: Option<String>,
    /// Whether the end of alerts is told.
    #[serde(default = "send_resolved")]
    pub send_resolved: bool,
    /// Most messages in a span of time; what is over it waits.
    #[serde(default = "rate")]
    #[schemars(extend("format" = "rate"))]
    pub rate: String,
    /// How long one attempt may take.
    #[serde(default = "timeout")]
    #[schemars(extend("format" = "span"))]
    pub timeout: String,
    /// How long a message is tried before it goes to the dead-letter file.
    #[serde(default = "give_up")]
    #[schemars(extend("format" = "span"))]
    pub give_up: String,
    /// The message's title: a minijinja template over the notification.
    #[schemars(length(min = 1))]
    pub title: Option<String>,
    /// The message's text: a minijinja template over the notification.
    #[schemars(length(min = 1))]
    pub text: Option<String>,
    /// Names of the time intervals in which it is told; at any time if absent. What fires at another time and
    /// still does is told when one begins.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub active_time_intervals: Vec<String>,
    /// Names of the time intervals in which it is not told. What still fires is told when they end.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub mute_time_intervals: Vec<String>,
    #[serde(flatten)]
    pub channel: notifiers::Config,
}

fn repeat_interval() -> String {
    "4h".to_owned()
}

fn send_resolved() -> bool {
    true
}

fn rate() -> String {
    "60/1m".to_owned()
}

pub(super) fn timeout() -> String {
    "10s".to_owned()
}

fn give_up() -> String {
    "1h".to_owned()
}
