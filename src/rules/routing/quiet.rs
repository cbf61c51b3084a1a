//! Why an alert is not told although it fires: a silence, the hours of its rule or of the notifier, or another
//! alert that inhibits it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expr::condition::{Condition, View};
use crate::flow::alert::{Alert, Status};
use crate::flow::row::{self, Row, Text, Value};
use crate::flow::time::Time;
use crate::flow::wanted::{Path, Wanted};
use crate::rules::intervals::{Hours, Interval};
use crate::rules::routing::{RouteSettings, Silence};

/// Alerts that inhibit others at the same time, about 200 bytes each; further ones inhibit nothing.
const SOURCES_MAX: usize = 10_000;

/// Most moments that are looked at to find one at which nothing mutes an alert.
const TRIES_MAX: usize = 1_000;

/// A condition over the labels of an alert.
#[derive(Clone, Debug)]
pub struct OverLabels {
    pub text: String,
    condition: Condition,
    paths: Vec<Path>,
}

impl OverLabels {
    /// `condition` was read with `wanted`, and looks at nothing but fields.
    pub fn new(text: &str, condition: Condition, wanted: Wanted) -> OverLabels {
        OverLabels {
            text: text.to_owned(),
            condition,
            paths: wanted.paths,
        }
    }

    pub fn holds(&self, labels: &[(String, String)]) -> bool {
        let mut row = Row::new(self.paths.len());
        let mut bytes = Vec::new();
        let mut source = "";
        for (name, value) in labels {
            if name == "source" {
                source = value;
            }
            let path = Path::new(name);
            let slots = self.paths.iter().enumerate();
            for (slot, _) in slots.filter(|(_, known)| **known == path) {
                let start = bytes.len();
                bytes.extend_from_slice(value.as_bytes());
                row.values[slot] = Value::new(row::Kind::String, Text::record(start, bytes.len()));
            }
        }
        self.condition.holds(&View {
            row: &row,
            record: &bytes,
            raw: &bytes,
            source,
            line: 0,
            fingerprint: None,
            template: None,
        })
    }
}

/// A `[[inhibit]]`: while an alert fires that meets `source`, those that meet `target` are not told, if both
/// have the same values of the labels `equal`.
#[derive(Clone, Debug)]
pub struct Inhibition {
    pub source: OverLabels,
    pub target: OverLabels,
    pub equal: Vec<String>,
}

/// What keeps alerts quiet beside the silences of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Mutes {
    pub intervals: Vec<Interval>,
    /// By the name of a rule.
    pub hours: BTreeMap<String, Hours>,
    pub inhibitions: Vec<Inhibition>,
    /// Made by hand while the run goes on.
    pub silences: Vec<Silence>,
}

/// Two of them are not compared: a router is the same as another one if it knows the same.
impl PartialEq for Mutes {
    fn eq(&self, _: &Mutes) -> bool {
        true
    }
}

/// Labels of the alerts that fire and inhibit others, by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sources(BTreeMap<String, Vec<(String, String)>>);

impl Sources {
    /// Takes in an alert that began or ended. Returns whether one that inhibited others has ended.
    pub fn take(&mut self, inhibitions: &[Inhibition], alert: &Alert) -> bool {
        match alert.status {
            Status::Resolved => self.0.remove(&alert.id).is_some(),
            Status::Firing => {
                let mut inhibitions = inhibitions.iter();
                if inhibitions.any(|inhibition| inhibition.source.holds(&alert.labels))
                    && self.0.len() < SOURCES_MAX
                {
                    self.0.insert(alert.id.clone(), alert.labels.clone());
                }
                false
            }
        }
    }

    /// Forgets those that inhibit nothing any more.
    pub fn keep(&mut self, inhibitions: &[Inhibition]) {
        self.0.retain(|_, labels| {
            let mut inhibitions = inhibitions.iter();
            inhibitions.any(|inhibition| inhibition.source.holds(labels))
        });
    }
}

/// Everything that may keep an alert quiet for one notifier.
pub struct Quiet<'a> {
    silences: &'a [Silence],
    mutes: &'a Mutes,
    sources: &'a Sources,
    hours: &'a Hours,
}

impl<'a> Quiet<'a> {
    pub fn of(
        silences: &'a [Silence],
        mutes: &'a Mutes,
        sources: &'a Sources,
        route: &'a RouteSettings,
    ) -> Quiet<'a> {
        Quiet {
            silences,
            mutes,
            sources,
            hours: &route.hours,
        }
    }

    /// Whether an alert is not told now.
    pub fn holds(&self, alert: &Alert, now: Time) -> bool {
        self.is_inhibited(alert) || self.ends(alert, now) != Some(now)
    }

    /// The first moment from `from` on at which an alert is told; none while another one inhibits it, since
    /// only the end of that one says when.
    pub fn until(&self, alert: &Alert, from: Time) -> Option<Time> {
        if self.is_inhibited(alert) {
            return None;
        }
        self.ends(alert, from)
    }

    /// The first moment from `from` on at which no silence covers an alert and its hours do not mute it; none
    /// if there is none in sight.
    fn ends(&self, alert: &Alert, from: Time) -> Option<Time> {
        let hours = self.mutes.hours.get(&alert.rule);
        let mut at = from;
        for _ in 0..TRIES_MAX {
            let silences = self.silences.iter().chain(&self.mutes.silences);
            let covering = silences.filter(|silence| silence.covers(alert, at));
            if let Some(until) = covering.map(|silence| silence.until).max() {
                at = until;
                continue;
            }
            let intervals = &self.mutes.intervals;
            let mut next = at;
            for hours in hours.into_iter().chain([self.hours]) {
                next = next.max(hours.unmuted(intervals, at)?);
            }
            if next == at {
                return Some(at);
            }
            at = next;
        }
        None
    }

    fn is_inhibited(&self, alert: &Alert) -> bool {
        let label = |labels: &[(String, String)], name: &str| {
            let mut labels = labels.iter();
            labels
                .find(|label| label.0 == name)
                .map(|label| label.1.clone())
        };
        self.mutes.inhibitions.iter().any(|inhibition| {
            inhibition.target.holds(&alert.labels)
                && self.sources.0.iter().any(|(id, labels)| {
                    // No alert inhibits itself, nor one that it would inhibit as well.
                    *id != alert.id
                        && inhibition.source.holds(labels)
                        && !(inhibition.source.holds(&alert.labels)
                            && inhibition.target.holds(labels))
                        && inhibition
                            .equal
                            .iter()
                            .all(|name| label(labels, name) == label(&alert.labels, name))
                })
        })
    }
}
