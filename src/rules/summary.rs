//! The line that says what an alert is about: the condition of its rule with its numbers, or what the
//! rule's own template makes of them.

use serde::{Serialize, Serializer};

use crate::flow::alert::{Evidence, SampleLine};
use crate::flow::key;
use crate::rules::rule::Rule;

/// Fills the template of a `summary`; `None` if it cannot, and then the rule's own words stand.
pub type Summarise = fn(template: &str, facts: &Facts) -> Option<String>;

/// What a template of a summary may use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts<'a> {
    pub rule: &'a str,
    pub severity: &'a str,
    /// Names and values of the fields of `by`; a template sees a table: `labels.host`.
    #[serde(serialize_with = "as_table")]
    pub labels: Vec<(&'a str, String)>,
    pub value: Option<f64>,
    pub count: u64,
    pub template: Option<&'a str>,
    /// What would be said without a template.
    pub summary: &'a str,
    /// Sample lines, the newest last.
    pub samples: &'a [SampleLine],
    /// The same where the file notifier has them.
    pub evidence: Samples<'a>,
}

/// What a template of a summary sees as `evidence`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Samples<'a> {
    pub samples: &'a [SampleLine],
}

fn as_table<S: Serializer>(labels: &[(&str, String)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

/// Whether the condition of a rule holds where a summary is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    NoMore,
}

/// What a summary is made of.
pub(super) struct Said<'a> {
    pub key: &'a [u8],
    pub value: Option<f64>,
    pub numbers: Option<&'a str>,
    pub evidence: &'a Evidence,
    pub holds: Holds,
}

/// What is said of an alert: the condition with its numbers, as they are now.
pub(super) fn summary(rule: &Rule, said: &Said, summarise: Option<Summarise>) -> String {
    let Said {
        key,
        value,
        evidence,
        holds,
        ..
    } = *said;
    let labels: Vec<(&str, String)> = rule
        .life
        .by
        .iter()
        .map(String::as_str)
        .zip(
            key::values(key)
                .into_iter()
                .map(|value| String::from_utf8_lossy(value).into_owned()),
        )
        .collect();
    let mut summary = match (&evidence.template, holds) {
        (Some(template), _) => format!("new message: {template}"),
        (None, Holds::NoMore) if rule.new.is_some() => "not seen again".to_owned(),
        (None, Holds::Yes) => rule.text.clone(),
        (None, Holds::NoMore) => format!("{} no longer", rule.text),
    };
    if let Some(numbers) = said.numbers {
        summary.push_str(&format!(", {numbers}"));
    }
    if evidence.template.is_none() && !labels.is_empty() {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        summary.push_str(&format!(" ({})", labels.join(", ")));
    }
    if holds == Holds::NoMore {
        return summary;
    }
    let filled = rule.summary.as_ref().and_then(|template| {
        let facts = Facts {
            rule: &rule.life.name,
            severity: &rule.life.severity,
            labels,
            value,
            count: evidence.count,
            template: evidence.template.as_deref(),
            summary: &summary,
            samples: &evidence.samples,
            evidence: Samples {
                samples: &evidence.samples,
            },
        };
        summarise?(template, &facts)
    });
    filled.unwrap_or(summary)
}
