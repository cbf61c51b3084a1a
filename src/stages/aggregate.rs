//! The numbers of a batch: counts of `--by` groups and samples of metrics, each with a dictionary
//! of what occurs in this batch. Owned by one mapper, emptied for every batch.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::expr::condition::{Condition, View};
use crate::flow::key::{self, GroupField, Grouping};
use crate::flow::mapped::{Group, Groups, Samples, Series};
use crate::flow::row::{Kind, Row};
use crate::flow::sample::{Sample, UnitSet, WEIGHT_MAX};
use crate::flow::span::Span;
use crate::stages::group_key;
use crate::stages::quantities::{Measured, Quantities, quantity};

/// A local number that is not given yet.
const NONE: u32 = u32::MAX;

/// Scratch of one mapper.
#[derive(Default)]
pub struct Aggregate {
    groupings: Vec<Grouping>,
    metrics: Vec<Metric>,
    hasher: RandomState,
    /// Places in `groups.entries`, by grouping and key.
    index: HashTable<u32>,
    groups: Groups,
    samples: Samples,
    /// Names of metrics in this batch.
    names: Vec<Span>,
    /// For each of `metrics` its place among the names.
    named: Vec<u32>,
    name_index: HashTable<u32>,
    /// Series by metric, then grouping, then group of the record (the last row for records without
    /// one): its place in `samples.series`.
    series: Vec<Vec<u32>>,
    /// Groups of the record at hand, one a grouping.
    at: Vec<u32>,
    /// The group of the last record that had one, by grouping.
    last: Vec<u32>,
    /// The group of each status from 0 up.
    statuses: Vec<u32>,
    key: Vec<u8>,
}

/// One more than the largest status.
const STATUSES_MAX: usize = 600;

/// A field whose numbers go to histograms.
#[derive(Clone)]
pub struct Metric {
    /// Slot of `Wanted::paths`.
    pub slot: usize,
    pub name: String,
    /// Numbers of the groupings that tell its series apart; `None` for all of them. A number past the
    /// last one is that of no group.
    pub groupings: Option<Vec<u16>>,
    /// Only records for which this holds.
    pub condition: Option<Condition>,
}

impl Metric {
    /// Of every record, in all groupings.
    pub fn new(slot: usize, name: &str) -> Metric {
        Metric {
            slot,
            name: name.to_owned(),
            groupings: None,
            condition: None,
        }
    }
}

impl Aggregate {
    pub fn new(groupings: &[Grouping], metrics: &[Metric]) -> Aggregate {
        Aggregate {
            groupings: groupings.to_vec(),
            metrics: metrics.to_vec(),
            hasher: RandomState::default(),
            index: HashTable::new(),
            groups: Groups::default(),
            samples: Samples::default(),
            names: Vec::new(),
            named: Vec::new(),
            name_index: HashTable::new(),
            series: Vec::new(),
            at: vec![NONE; groupings.len()],
            last: vec![NONE; groupings.len()],
            statuses: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Whether some metric asks for a condition, so that [`Aggregate::record`] needs a view.
    pub fn is_conditional(&self) -> bool {
        self.metrics.iter().any(|metric| metric.condition.is_some())
    }

    /// Whether a condition looks at the fingerprint.
    pub fn labels(&self) -> bool {
        let conditions = self
            .metrics
            .iter()
            .filter_map(|metric| metric.condition.as_ref());
        conditions
            .into_iter()
            .any(|condition| condition.needs().fingerprint)
    }

    /// Counts the record's groups and takes its numbers; `view` is there if
    /// [`Aggregate::is_conditional`].
    pub fn record(
        &mut self,
        row: &Row,
        record: &[u8],
        source: &str,
        view: Option<&View<'_>>,
        quantities: &mut Quantities,
    ) {
        for number in 0..self.groupings.len() {
            self.at[number] = self.group(number, row, record, source);
        }
        // Fast path: only a sampled StatsD line weighs more than itself.
        let weight = if row.weight == 1.0 {
            1
        } else {
            (row.weight.round() as u32).clamp(1, WEIGHT_MAX)
        };
        for number in 0..self.metrics.len() {
            let metric = &self.metrics[number];
            let passes = match (&metric.condition, view) {
                (Some(condition), Some(view)) => condition.holds(view),
                _ => true,
            };
            if passes && let Some(measured) = quantities.of(metric.slot, row, record) {
                let name = if self.named.get(number).is_some_and(|&name| name != NONE) {
                    self.named[number] as usize
                } else {
                    let name = metric.name.clone();
                    let place = self.name(name.as_bytes());
                    self.named.resize(self.metrics.len(), NONE);
                    self.named[number] = place as u32;
                    place
                };
                self.sample(name, Some(number), measured, weight);
            }
        }
        for field in &row.numbers {
            if let Some(quantity) = quantity(row, record, field.value) {
                let metric = self.name(row.bytes(record, field.name));
                self.sample(metric, None, Measured::new(quantity), weight);
            }
        }
    }

    /// Counts a record by its HTTP status, below 600.
    pub fn status(&mut self, status: u16) {
        if self.statuses.is_empty() {
            self.statuses.resize(STATUSES_MAX, NONE);
        }
        let place = &mut self.statuses[usize::from(status)];
        if let Some(group) = self.groups.entries.get_mut(*place as usize) {
            group.count += 1;
            return;
        }
        *place = self.groups.entries.len() as u32;
        let start = self.groups.keys.len();
        key::push(&mut self.groups.keys, status.to_string().as_bytes());
        self.groups.entries.push(Group {
            grouping: key::STATUSES,
            key: Span::new(start..self.groups.keys.len()),
            count: 1,
        });
    }

    /// The groups of the record at hand, one a grouping: numbers that stand for the same keys until
    /// [`Aggregate::take`], and the largest number where the record lacks a field.
    pub fn groups(&self) -> &[u32] {
        &self.at
    }

    /// The place of the record's group in `groups.entries`, counted; [`NONE`] if it lacks a field.
    fn group(&mut self, number: usize, row: &Row, record: &[u8], source: &str) -> u32 {
        let grouping = &self.groupings[number];
        // Fast path: many fields say the same again and again; then the last key is this one's.
        if let ([GroupField::Slot(slot)], last) = (&*grouping.fields, self.last[number])
            && last != NONE
        {
            let value = row.values[*slot];
            let entry = &mut self.groups.entries[last as usize];
            let known = &entry.key.of(&self.groups.keys)[key::LENGTH_BYTES..];
            if value.kind != Kind::Missing
                && value.kind != Kind::Null
                && row.bytes(record, value.text) == known
            {
                entry.count += 1;
                return last;
            }
        }
        if !group_key::encode(grouping, row, record, source, &mut self.key) {
            return NONE;
        }
        let grouping = number as u16;
        let hash = self.hasher.hash_one((grouping, &*self.key));
        let (groups, wanted) = (&mut self.groups, &*self.key);
        let is = |place: &u32| {
            let entry = &groups.entries[*place as usize];
            entry.grouping == grouping && entry.key.of(&groups.keys) == wanted
        };
        if let Some(&place) = self.index.find(hash, is) {
            groups.entries[place as usize].count += 1;
            self.last[number] = place;
            return place;
        }
        let place = groups.entries.len() as u32;
        let start = groups.keys.len();
        groups.keys.extend_from_slice(wanted);
        groups.entries.push(Group {
            grouping,
            key: Span::new(start..groups.keys.len()),
            count: 1,
        });
        let hasher = &self.hasher;
        self.index.insert_unique(hash, place, |place| {
            let entry = &groups.entries[*place as usize];
            hasher.hash_one((entry.grouping, entry.key.of(&groups.keys)))
        });
        self.last[number] = place;
        place
    }

    /// The number of the metric of this name in this batch.
    fn name(&mut self, name: &[u8]) -> usize {
        let hash = self.hasher.hash_one(name);
        let (names, all) = (&mut self.names, &mut self.samples.names);
        if let Some(&number) = self
            .name_index
            .find(hash, |&number| names[number as usize].of(all) == name)
        {
            return number as usize;
        }
        let number = names.len() as u32;
        let start = all.len();
        all.extend_from_slice(name);
        names.push(Span::new(start..all.len()));
        let hasher = &self.hasher;
        self.name_index.insert_unique(hash, number, |&number| {
            hasher.hash_one(names[number as usize].of(all))
        });
        number as usize
    }

    /// One sample in each of its groupings, or one in all if there is no grouping.
    fn sample(&mut self, name: usize, metric: Option<usize>, measured: Measured, weight: u32) {
        // One more for metrics that no grouping tells apart.
        let width = self.groupings.len() + 1;
        let only = metric.and_then(|metric| self.metrics[metric].groupings.as_deref());
        let count = only.map_or(self.groupings.len().max(1), <[u16]>::len);
        for place in 0..count {
            let only = metric.and_then(|metric| self.metrics[metric].groupings.as_deref());
            let grouping = only.map_or(place, |only| usize::from(only[place]));
            let group = self.at.get(grouping).copied().unwrap_or(NONE);
            let table = name * width + grouping;
            if self.series.len() <= table {
                self.series.resize_with(table + 1, Vec::new);
            }
            // Row 0 is for records without the group.
            let place = group.wrapping_add(1) as usize;
            let rows = &mut self.series[table];
            if rows.len() <= place {
                rows.resize(place + 1, NONE);
            }
            if rows[place] == NONE {
                rows[place] = self.samples.series.len() as u32;
                self.samples.series.push(Series {
                    metric: self.names[name],
                    grouping: grouping as u16,
                    key: (group != NONE).then(|| self.groups.entries[group as usize].key),
                    units: UnitSet::default(),
                });
            }
            let series = rows[place];
            self.samples.series[series as usize]
                .units
                .insert(measured.unit);
            self.samples.column.push(Sample {
                value: measured.value,
                series,
                bucket: measured.bucket,
                weight,
            });
        }
    }

    /// What the batch came to; the scratch is empty afterwards.
    pub fn take(&mut self) -> (Groups, Samples) {
        self.index.clear();
        self.last.fill(NONE);
        self.statuses.fill(NONE);
        self.name_index.clear();
        self.names.clear();
        self.named.clear();
        self.series.iter_mut().for_each(Vec::clear);
        let sizes = (self.groups.entries.len(), self.samples.column.len());
        let groups = std::mem::take(&mut self.groups);
        let samples = std::mem::take(&mut self.samples);
        // The next batch will be much like this one.
        self.groups.entries.reserve(sizes.0);
        self.samples.column.reserve(sizes.1);
        (groups, samples)
    }
}
