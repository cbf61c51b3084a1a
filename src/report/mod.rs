//! The finished report: a state with its templates made, its quantiles taken and its tables
//! sorted. `json` prints all of it, `text` what a person needs first.

pub mod json;
pub mod prometheus;
pub mod text;

use std::collections::HashMap;

use crate::flow::fingerprint::Fingerprint;
use crate::flow::key;
use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::state::State;
use crate::state::groups;
use crate::state::histogram::Histogram;
use crate::state::messages::Row;
use crate::state::templates::cluster;
use crate::units::Unit;

/// Everything a report shows that the state does not hold as it is.
pub struct Report<'s> {
    pub state: &'s State,
    /// By count, largest first, then level, most severe first, then fingerprint.
    pub messages: Vec<Message<'s>>,
    /// One for each `--by`, then statuses of requests if there are any and no one asked for groups.
    pub groups: Vec<Groups<'s>>,
    pub metrics: Vec<Metric<'s>>,
}

/// One template at one level, with every record that fell into it.
pub struct Message<'s> {
    pub template: Vec<u8>,
    /// The member with the largest count; ties go to the smallest.
    pub fingerprint: Fingerprint,
    /// In ascending order.
    pub fingerprints: Vec<Fingerprint>,
    pub level: Option<Level>,
    pub count: u64,
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// Where the first one stands.
    pub source: &'s str,
    pub offset: u64,
    pub samples: Vec<&'s [u8]>,
}

/// The groups of one grouping. A million of them are common, so a row is a key and a count.
pub struct Groups<'s> {
    pub grouping: usize,
    /// By count, largest first, then key; the key is encoded (see [`Report::named`]).
    pub shown: Vec<groups::Group<'s>>,
    /// Records of the groups that are not shown one by one.
    pub rest: u64,
}

pub struct Metric<'s> {
    pub field: &'s [u8],
    pub unit: Unit,
    pub of: Of<'s>,
    pub histogram: Shown<'s>,
}

/// Which records a row of a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of<'s> {
    All,
    /// Those of one group: the grouping and the encoded values.
    Group(usize, &'s [u8]),
    /// Those of a grouping's groups that are not shown one by one.
    Other(usize),
}

/// A histogram of the state, or a sum of several. There may be hundreds of thousands of the first kind.
pub enum Shown<'s> {
    One(&'s Histogram),
    Sum(Box<Histogram>),
}

impl std::ops::Deref for Shown<'_> {
    type Target = Histogram;

    fn deref(&self) -> &Histogram {
        match self {
            Shown::One(histogram) => histogram,
            Shown::Sum(histogram) => histogram,
        }
    }
}

impl<'s> Of<'s> {
    /// Field names and values: none for all records, `other` for what is not shown.
    pub fn by(self, state: &'s State) -> Vec<(&'s str, &'s [u8])> {
        match self {
            Of::All => Vec::new(),
            Of::Group(grouping, key) => named(state, grouping, key),
            Of::Other(grouping) => grouping_names(state, grouping)
                .into_iter()
                .map(|name| (name, &b"other"[..]))
                .collect(),
        }
    }
}

impl<'s> Report<'s> {
    /// Field names and values of a group's key.
    pub fn named(&self, grouping: usize, key: &'s [u8]) -> Vec<(&'s str, &'s [u8])> {
        named(self.state, grouping, key)
    }

    /// Makes the report. `top` limits the groups of each grouping; the others become one row.
    pub fn new(state: &'s State, top: Option<usize>) -> Report<'s> {
        Report {
            state,
            messages: messages(state),
            groups: groups(state, top),
            metrics: metrics(state, top),
        }
    }
}

fn messages(state: &State) -> Vec<Message<'_>> {
    let rows = state.messages.rows();
    let templates = cluster(rows.iter().map(|row| (row.fingerprint, &*row.texts.masked)));
    // Templates are made of all levels together, so that a text has one template whatever its level.
    let mut by_template: HashMap<(&[u8], Option<Level>), Vec<&Row>> = HashMap::new();
    for row in rows {
        let template = templates.of(row.fingerprint).unwrap_or(&row.texts.masked);
        by_template
            .entry((template, row.level))
            .or_default()
            .push(row);
    }
    let mut messages: Vec<Message<'_>> = by_template
        .into_iter()
        .map(|((template, level), rows)| message(state, template, level, rows))
        .collect();
    messages.sort_by(|a, b| {
        (
            std::cmp::Reverse(a.count),
            std::cmp::Reverse(a.level),
            a.fingerprint,
        )
            .cmp(&(
                std::cmp::Reverse(b.count),
                std::cmp::Reverse(b.level),
                b.fingerprint,
            ))
    });
    messages
}

/// `rows` are the messages of one template at one level, one a fingerprint.
fn message<'s>(
    state: &'s State,
    template: &[u8],
    level: Option<Level>,
    mut rows: Vec<&'s Row>,
) -> Message<'s> {
    rows.sort_by_key(|row| row.ordinal);
    let mut counts: Vec<(Fingerprint, u64)> = rows
        .iter()
        .map(|row| (row.fingerprint, row.count))
        .collect();
    counts.sort_unstable();
    let largest = counts
        .iter()
        .max_by_key(|(fingerprint, count)| (*count, std::cmp::Reverse(*fingerprint)));
    Message {
        template: template.to_vec(),
        fingerprint: largest.expect("a template has members").0,
        fingerprints: counts.iter().map(|(fingerprint, _)| *fingerprint).collect(),
        level,
        count: rows.iter().map(|row| row.count).sum(),
        first: rows.iter().filter_map(|row| row.first).min(),
        last: rows.iter().filter_map(|row| row.last).max(),
        source: state
            .inputs
            .get(rows[0].source as usize)
            .map_or("", |input| &input.name),
        offset: rows[0].offset,
        samples: rows
            .iter()
            .flat_map(|row| &row.texts.samples)
            .map(|sample| sample.as_slice())
            .take(crate::flow::mapped::SAMPLES_MAX)
            .collect(),
    }
}

fn named<'s>(state: &'s State, grouping: usize, encoded: &'s [u8]) -> Vec<(&'s str, &'s [u8])> {
    let names = grouping_names(state, grouping).into_iter();
    names.zip(key::values(encoded)).collect()
}

/// The fields of a grouping, those of [`key::STATUSES`] too.
pub fn grouping_names(state: &State, grouping: usize) -> Vec<&str> {
    match state.shape.groupings.get(grouping) {
        Some(names) => names.iter().map(String::as_str).collect(),
        None if grouping == usize::from(key::STATUSES) => vec![key::STATUS],
        None => Vec::new(),
    }
}

fn groups(state: &State, top: Option<usize>) -> Vec<Groups<'_>> {
    let of = |grouping| {
        let number = grouping as u16;
        let shown = state.groups.top(number, top.unwrap_or(usize::MAX));
        let total = state.groups.total(number);
        let rest = shown.iter().fold(total, |rest, group| rest - group.count);
        Groups {
            grouping,
            shown,
            rest,
        }
    };
    let statuses = usize::from(key::STATUSES);
    let has_statuses = state.groups.total(key::STATUSES) > 0;
    (0..state.shape.groupings.len())
        .chain(has_statuses.then_some(statuses))
        .map(of)
        .collect()
}

fn metrics(state: &State, top: Option<usize>) -> Vec<Metric<'_>> {
    let mut out = Vec::new();
    for metric in state.metrics.metrics() {
        // The row over all, and of each grouping the shown ones and the sum of the others.
        let groupings = state.shape.groupings.len();
        let shown = top.map_or(metric.groups.len(), |top| {
            metric.groups.len().min(top.saturating_mul(groupings))
        });
        out.reserve_exact(1 + shown + groupings);
        let row = |of, histogram| Metric {
            field: metric.name,
            unit: metric.unit,
            of,
            histogram,
        };
        out.push(row(Of::All, Shown::Sum(Box::new(metric.overall))));
        for grouping in 0..state.shape.groupings.len() {
            let mut rest = Histogram::default();
            let mut shown = 0;
            for group in metric
                .groups
                .iter()
                .filter(|group| usize::from(group.grouping) == grouping)
            {
                match group.key {
                    // Records without the group stand in the overall row alone.
                    Some([]) => {}
                    Some(key) if shown < top.unwrap_or(usize::MAX) => {
                        shown += 1;
                        out.push(row(Of::Group(grouping, key), Shown::One(group.histogram)));
                    }
                    _ => rest.merge(group.histogram),
                }
            }
            if rest.count() > 0 {
                out.push(row(Of::Other(grouping), Shown::Sum(Box::new(rest))));
            }
        }
    }
    out
}
