//! The image of `[[metric]]`, `[[state]]`, `[[set]]` and `[[test]]`: what is counted and remembered, and
//! what must come of an example.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::alerting::Severity;
use crate::flow::alert::Status;

/// A number whose distribution is kept.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Metric {
    /// The numeric field, a dotted path into nested JSON.
    #[schemars(length(min = 1))]
    pub field: String,
    /// One distribution for each combination of these fields' values.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub by: Vec<String>,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
}

/// The last value of each key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct State {
    /// The name in reports and rules: `last(NAME)`, `age(NAME)`.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The fields that tell one thing from another, for example `["server"]`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub key: Vec<String>,
    /// The field that holds the value.
    #[schemars(length(min = 1))]
    pub value: String,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
    /// Values that are fine.
    #[serde(default)]
    pub ok: Vec<String>,
    /// Values that are neither good nor bad yet.
    #[serde(default)]
    pub pending: Vec<String>,
    /// Values that are bad. With `notify` they alert as `NAME.bad`.
    #[serde(default)]
    pub bad: Vec<String>,
    /// A key that is not heard of for this long is late; with `notify` it alerts as `NAME.missing`.
    #[schemars(extend("format" = "span"))]
    pub expect_within: Option<String>,
    /// The time of day by which a key must have been heard of, on the days of `expect_on`, in the zone of
    /// `[run] tz`; if not, it is late from then on. A record after one deadline counts for the next.
    #[schemars(extend("format" = "clock"))]
    pub expect_by: Option<String>,
    /// Days of the week on which `expect_by` counts; every day if absent.
    #[serde(default)]
    #[schemars(extend("items" = { "type": "string", "format": "weekdays" }))]
    pub expect_on: Vec<String>,
    /// A key that is not on the roster and not heard of for this long is dropped, and what was wrong with it
    /// ends: for builds, pods and other keys that go for good.
    #[schemars(extend("format" = "span"))]
    pub forget_after: Option<String>,
    /// What a value in no list means; `ignore` leaves the value as it was. If absent, it falls to the first of
    /// `ok`, `bad`, `pending` that is not given, and is bad if all are.
    pub unlisted: Option<Unlisted>,
    /// A key that is pending for this long is stuck; with `notify` it alerts as `NAME.stuck`.
    #[schemars(extend("format" = "span"))]
    pub stuck_after: Option<String>,
    /// Keys that must exist; one that was never seen is missing. With several key fields each is a table.
    #[serde(default)]
    pub roster: Vec<Key>,
    /// The values in their order; a skipped or early one alerts as `NAME.order`.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub steps: Vec<String>,
    /// Names of the notifiers that are told.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub notify: Vec<String>,
    /// Severity of the state's alerts.
    #[serde(default)]
    pub severity: Severity,
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

/// What a value in no list of a state means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Unlisted {
    Bad,
    Ok,
    Pending,
    Ignore,
}

/// The values of the key fields: a string for one field, a table for several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Key {
    One(String),
    Several(BTreeMap<String, String>),
}

/// Distinct values of each key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Set {
    /// The name in reports.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The fields that tell one set from another; without any there is one set.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    pub key: Vec<String>,
    /// The field whose distinct values are counted.
    #[schemars(length(min = 1))]
    pub value: String,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
}

/// A case for `weir test`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Case {
    /// What the case shows.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The input, line by line.
    #[serde(default)]
    pub input: Vec<String>,
    /// A file with the input instead.
    #[schemars(length(min = 1))]
    pub file: Option<String>,
    /// What must come of it. What is not named here is not looked at.
    pub expect: Expectation,
}

/// What must come of a case.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Expectation {
    /// The lines that go out, all of them, in order.
    pub lines: Option<Vec<String>>,
    /// The alerts that are made, all of them, in order.
    pub alerts: Option<Vec<ExpectedAlert>>,
    /// States at the end.
    pub states: Vec<ExpectedState>,
    /// Sets at the end.
    pub sets: Vec<ExpectedSet>,
}

/// An alert that must be made.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ExpectedAlert {
    /// The rule's name, or `STATE.bad`, `.missing`, `.stuck`, `.order`.
    #[schemars(length(min = 1))]
    pub rule: String,
    /// Whether it fires or has been resolved; either if absent.
    #[serde(default)]
    #[schemars(schema_with = "status_schema")]
    pub status: Option<Status>,
    /// Labels that it must have, among others.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

fn status_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let names = [Status::Firing, Status::Resolved].map(Status::name);
    schemars::json_schema!({ "type": "string", "enum": names })
}

/// A state that must be there at the end.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ExpectedState {
    /// The state's name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The values of its key fields.
    pub key: Key,
    /// How the key stands.
    pub status: Option<ExpectedStatus>,
    /// Its last value.
    pub value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ExpectedStatus {
    Ok,
    Pending,
    Bad,
    Missing,
    Late,
    Stuck,
}

impl ExpectedStatus {
    /// As in reports.
    pub fn name(self) -> &'static str {
        match self {
            ExpectedStatus::Ok => "ok",
            ExpectedStatus::Pending => "pending",
            ExpectedStatus::Bad => "bad",
            ExpectedStatus::Missing => "missing",
            ExpectedStatus::Late => "late",
            ExpectedStatus::Stuck => "stuck",
        }
    }
}

/// A set that must be there at the end.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ExpectedSet {
    /// The set's name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// How many distinct values it has.
    pub count: u64,
    /// The values of its key fields; over all keys if absent.
    pub key: Option<Key>,
}
