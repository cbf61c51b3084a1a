//! The table of series: one histogram for each metric, grouping and group. It owns the memory limit
//! of DESIGN section 8. Everything it decides is a function of the samples in record order, never
//! of where a batch ends. Fed by the fold, read by the report.
//!
//! The limit: what is charged never passes `limit`, but for the fixed part of at most
//! [`METRICS_MAX`] metrics. A series that does not fit is not admitted, and from then on none is:
//! its samples go to its metric's `other`. A series that has to grow when there is no room makes
//! some: the series with the fewest values move to `other`, until a quarter of the limit is free.
//! When only the `other` rows are left, values still enter count, sum, minimum and maximum, but
//! their buckets are not kept (`Histogram::without_shape`). Totals are exact in every case.

mod held;

use super::counts::Budget;
use super::histogram::Histogram;
use crate::flow::sample::{Sample, SeriesKey, UnitSet};
use crate::state::blocks::{Arena, Blocks, Place, TEXT_BYTES_MAX};
use crate::state::repaired;
use crate::units::Unit;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use held::Held;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use std::hash::BuildHasher;

/// Bytes that the table may use, if the user does not say otherwise: 10,000 series of a thousand
/// well spread values each.
pub const LIMIT_DEFAULT: usize = 32 << 20;

/// Metric names times groupings that are kept apart. Fields are few; a sender that makes up metric
/// names (StatsD) must not fill the memory with their `other` rows.
pub const METRICS_MAX: usize = 1024;

/// Bytes charged for a series beyond its key and buckets: its row, its place in the hash table and
/// the allocator's share.
const SERIES_BYTES: usize = size_of::<Series>() + 16;

/// Bytes of keys, so that a place among them has 32 bits; the budget is far below.
const KEYS_MAX: usize = u32::MAX as usize - 2 * TEXT_BYTES_MAX;

/// A slot in a batch's scratch that is not looked up yet; the largest value.
const UNRESOLVED: u32 = u32::MAX;
/// A slot that stands for samples of a metric that was refused.
const REFUSED: u32 = u32::MAX - 1;
/// Slots from here on are the `other` row of table `slot - OTHER`.
const OTHER: u32 = 1 << 31;

/// Every series of every metric.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// In the order of their first samples.
    tables: Vec<Table>,
    series: Blocks<Series>,
    /// Keys of the series.
    keys: Arena,
    /// Series by metric, grouping and key. Keyed at random: the keys come from the input.
    by_key: HashTable<u32>,
    /// Tables by metric and grouping.
    by_metric: HashTable<u32>,
    hasher: RandomState,
    budget: Budget,
    /// Whether no series is admitted any more.
    is_full: bool,
    /// Samples, by weight, of metrics past [`METRICS_MAX`].
    refused: u64,
    /// Local row of the batch to slot.
    scratch: Vec<u32>,
}

/// One metric under one grouping.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Table {
    name: ByteBuf,
    grouping: u16,
    units: UnitSet,
    other: Histogram,
}

#[derive(Clone, Debug)]
struct Series {
    key: Place,
    table: u32,
    histogram: Held<Histogram>,
}

/// A metric as the report shows it.
#[derive(Debug)]
pub struct Metric<'state> {
    pub name: &'state [u8],
    pub unit: Unit,
    /// All values, merged from the first grouping: each value stands once in every grouping.
    pub overall: Histogram,
    /// By grouping, then count, largest first, then key; `other` ends its grouping.
    pub groups: Vec<Group<'state>>,
    /// Whether series went to `other` or values have no bucket.
    pub is_approximate: bool,
}

/// One row of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Group<'state> {
    pub grouping: u16,
    /// The encoded values of the group; `None` for `other`.
    pub key: Option<&'state [u8]>,
    pub histogram: &'state Histogram,
}

impl Metrics {
    /// An empty table that may use `limit` bytes.
    pub fn new(limit: usize) -> Metrics {
        Metrics {
            tables: Vec::new(),
            series: Blocks::default(),
            keys: Arena::default(),
            by_key: HashTable::new(),
            by_metric: HashTable::new(),
            hasher: RandomState::default(),
            budget: Budget { used: 0, limit },
            is_full: false,
            refused: 0,
            scratch: Vec::new(),
        }
    }

    /// A copy for a checkpoint: the histograms are shared until they change.
    pub fn share(&mut self) -> Metrics {
        for series in self.series.iter_mut() {
            series.histogram.share();
        }
        self.clone()
    }

    /// Takes in the samples of one batch, in record order; `Sample::series` is a row of `keys`.
    ///
    /// A key is looked up with its first sample and not before, because what is admitted has to
    /// depend on the samples that came earlier, not on the batch they came in.
    pub fn fold(&mut self, keys: &[SeriesKey<'_>], samples: &[Sample]) {
        self.scratch.clear();
        self.scratch.resize(keys.len(), UNRESOLVED);
        for sample in samples {
            let row = sample.series as usize;
            let mut slot = self.scratch[row];
            if slot == UNRESOLVED {
                slot = self.resolve(&keys[row]);
                self.scratch[row] = slot;
            }
            self.record(slot, sample);
        }
    }

    #[inline]
    fn record(&mut self, slot: u32, sample: &Sample) {
        let weight = u64::from(sample.weight);
        let histogram = match self.series.get_mut(slot as usize) {
            Some(series) => series.histogram.own(),
            None if slot == REFUSED => {
                self.refused = self.refused.saturating_add(weight);
                return;
            }
            None => &mut self.tables[(slot - OTHER) as usize].other,
        };
        if histogram
            .record_within(sample.bucket, sample.value, weight, &mut self.budget)
            .is_err()
        {
            self.record_without_room(slot, sample);
        }
    }

    /// Slow path: the totals have the value, but its bucket needs memory that is not there.
    #[cold]
    fn record_without_room(&mut self, slot: u32, sample: &Sample) {
        let weight = u64::from(sample.weight);
        // Slots move when room is made, so the series is remembered by its key.
        let home = match self.series.get_mut(slot as usize) {
            Some(series) => (series.table, Some(self.keys.text(series.key).to_vec())),
            None => (slot - OTHER, None),
        };
        self.make_room();
        let slot = home.1.and_then(|key| self.find(home.0, &key));
        let histogram = match slot {
            Some(slot) => self.series[slot as usize].histogram.own(),
            None => &mut self.tables[home.0 as usize].other,
        };
        if histogram
            .shape(sample.bucket, weight, &mut self.budget)
            .is_err()
        {
            histogram.shapeless(sample.bucket, weight, &mut self.budget);
        }
    }

    /// The slot of a key; admits it if it is new and there is room.
    fn resolve(&mut self, key: &SeriesKey<'_>) -> u32 {
        let Some(table) = self.table(key.metric, key.grouping) else {
            return REFUSED;
        };
        self.tables[table as usize].units.merge(key.units);
        match self.find(table, key.key) {
            Some(slot) => slot,
            None => self.admit(table, key.key).unwrap_or(OTHER + table),
        }
    }

    fn hash(&self, table: u32, key: &[u8]) -> u64 {
        self.hasher.hash_one((table, key))
    }

    fn find(&self, table: u32, key: &[u8]) -> Option<u32> {
        let is_it = |slot: &u32| {
            let series = &self.series[*slot as usize];
            series.table == table && self.keys.text(series.key) == key
        };
        self.by_key.find(self.hash(table, key), is_it).copied()
    }

    /// The table of a metric and grouping, made if it is new; `None` past [`METRICS_MAX`].
    fn table(&mut self, name: &[u8], grouping: u16) -> Option<u32> {
        let hash = self.hasher.hash_one((name, grouping));
        let is_it = |number: &u32| {
            let table = &self.tables[*number as usize];
            table.grouping == grouping && *table.name == *name
        };
        if let Some(number) = self.by_metric.find(hash, is_it) {
            return Some(*number);
        }
        if self.tables.len() >= METRICS_MAX {
            self.is_full = true;
            return None;
        }
        let number = self.tables.len() as u32;
        let table = Table {
            name: ByteBuf::from(name),
            grouping,
            units: UnitSet::default(),
            other: Histogram::default(),
        };
        self.budget.charge(table.fixed_bytes());
        self.tables.push(table);
        let Metrics {
            by_metric,
            tables,
            hasher,
            ..
        } = self;
        by_metric.insert_unique(hash, number, |number| {
            let table = &tables[*number as usize];
            hasher.hash_one((&**table.name, table.grouping))
        });
        Some(number)
    }

    /// A new series, if one is still admitted.
    fn admit(&mut self, table: u32, key: &[u8]) -> Option<u32> {
        // A longer key is no group that a person would read.
        let is_long = key.len() > TEXT_BYTES_MAX;
        self.is_full |= !is_long
            && (!self.budget.has_room(SERIES_BYTES + key.len())
                || self.series.len() >= OTHER as usize
                || self.keys.used() >= KEYS_MAX);
        if is_long || self.is_full {
            return None;
        }
        self.budget.charge(SERIES_BYTES + key.len());
        self.push(table, key, Held::Own(Histogram::default()));
        Some(self.series.len() as u32 - 1)
    }

    /// A series that is not there yet; its key has at most [`TEXT_BYTES_MAX`] bytes.
    fn push(&mut self, table: u32, key: &[u8], histogram: Held<Histogram>) {
        let slot = self.series.len() as u32;
        let hash = self.hash(table, key);
        let key = self.keys.push(key);
        self.series.push(Series {
            key,
            table,
            histogram,
        });
        let Metrics {
            by_key,
            series,
            keys,
            hasher,
            ..
        } = self;
        by_key.insert_unique(hash, slot, |slot| {
            let series = &series[*slot as usize];
            hasher.hash_one((series.table, keys.text(series.key)))
        });
    }

    /// Moves the series with the fewest values to `other` until a quarter of the limit is free.
    #[cold]
    fn make_room(&mut self) {
        self.is_full = true;
        let mut by_count: Vec<u32> = (0..self.series.len() as u32).collect();
        by_count.sort_unstable_by_key(|slot| {
            let series = &self.series[*slot as usize];
            let key = self.keys.text(series.key);
            (series.histogram.count(), series.table, key)
        });
        let goal = self.budget.limit / 4 * 3;
        let mut leaves = vec![false; self.series.len()];
        for slot in by_count {
            if self.budget.used <= goal {
                break;
            }
            leaves[slot as usize] = true;
            let series = &self.series[slot as usize];
            self.budget.release(series.bytes());
        }
        self.by_key.clear();
        let keys = std::mem::take(&mut self.keys);
        let series = std::mem::take(&mut self.series);
        for (series, leaves) in series.into_values().zip(leaves) {
            if leaves {
                self.tables[series.table as usize]
                    .other
                    .merge_within(&series.histogram, &mut self.budget);
            } else {
                self.push(series.table, keys.text(series.key), series.histogram);
            }
        }
        // The batch at hand has to look its series up again.
        self.scratch.fill(UNRESOLVED);
    }

    /// Counts the values of a histogram that has no place.
    fn refuse(&mut self, histogram: &Histogram) {
        self.is_full = true;
        self.refused = self.refused.saturating_add(histogram.count());
    }

    /// Adds another table, whose input came after this one's.
    pub fn merge(&mut self, other: &Metrics) {
        self.is_full |= other.is_full;
        self.refused = self.refused.saturating_add(other.refused);
        let mut numbers = Vec::with_capacity(other.tables.len());
        for table in &other.tables {
            let number = self.table(&table.name, table.grouping);
            match number {
                None => self.refused = self.refused.saturating_add(table.other.count()),
                Some(number) => {
                    let mine = &mut self.tables[number as usize];
                    mine.units.merge(table.units);
                    mine.other.merge_within(&table.other, &mut self.budget);
                }
            }
            numbers.push(number);
        }
        for series in other.series.iter() {
            let key = other.keys.text(series.key);
            let Some(table) = numbers[series.table as usize] else {
                self.refused = self.refused.saturating_add(series.histogram.count());
                continue;
            };
            // Merged counters can be one step wider than both.
            if !self.budget.has_room(2 * series.histogram.bytes()) {
                self.make_room();
            }
            let slot = self.find(table, key).or_else(|| self.admit(table, key));
            let histogram = match slot {
                Some(slot) => self.series[slot as usize].histogram.own(),
                None => &mut self.tables[table as usize].other,
            };
            histogram.merge_within(&series.histogram, &mut self.budget);
        }
    }

    /// The metrics by name, each with its groups.
    pub fn metrics(&self) -> Vec<Metric<'_>> {
        // Room to grow would show: there may be hundreds of thousands of groups.
        let mut counts = vec![0; self.tables.len()];
        for series in self.series.iter() {
            counts[series.table as usize] += 1;
        }
        let room = |count: usize| Vec::with_capacity(count + 1);
        let mut groups: Vec<Vec<Group<'_>>> = counts.into_iter().map(room).collect();
        for series in self.series.iter() {
            groups[series.table as usize].push(Group {
                grouping: self.tables[series.table as usize].grouping,
                key: Some(self.keys.text(series.key)),
                histogram: &series.histogram,
            });
        }
        let mut numbers: Vec<usize> = (0..self.tables.len()).collect();
        numbers.sort_unstable_by_key(|number| {
            (&self.tables[*number].name, self.tables[*number].grouping)
        });
        let same_name =
            |left: &usize, right: &usize| self.tables[*left].name == self.tables[*right].name;
        numbers
            .chunk_by(same_name)
            .map(|numbers| self.metric(numbers, &mut groups))
            .collect()
    }

    /// One metric from its tables, first grouping first.
    fn metric<'state>(
        &'state self,
        numbers: &[usize],
        groups: &mut [Vec<Group<'state>>],
    ) -> Metric<'state> {
        let first = &self.tables[numbers[0]];
        let mut metric = Metric {
            name: &first.name,
            unit: Unit::None,
            overall: Histogram::default(),
            groups: Vec::new(),
            is_approximate: false,
        };
        let mut units = UnitSet::default();
        for &number in numbers {
            let table = &self.tables[number];
            let mut rows = std::mem::take(&mut groups[number]);
            // By key: the sum must not depend on the order in which the groups were seen.
            rows.sort_unstable_by_key(|row| row.key);
            let other = (!table.other.is_empty()).then_some(&table.other);
            if number == numbers[0] {
                rows.iter()
                    .for_each(|row| metric.overall.merge(row.histogram));
                other.iter().for_each(|other| metric.overall.merge(other));
            }
            rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.histogram.count()), row.key));
            rows.extend(other.map(|histogram| Group {
                grouping: table.grouping,
                key: None,
                histogram,
            }));
            metric.is_approximate |= other.is_some();
            metric.is_approximate |= rows.iter().any(|row| row.histogram.without_shape() > 0);
            if metric.groups.is_empty() {
                metric.groups = rows;
            } else {
                metric.groups.append(&mut rows);
            }
            units.merge(table.units);
        }
        metric.unit = units.unit();
        metric
    }

    /// Values, by weight, of metrics beyond the number that is kept apart.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether a limit was reached, so that `approximate` must name this table.
    pub fn is_full(&self) -> bool {
        self.is_full || self.tables.iter().any(|table| !table.other.is_empty())
    }

    /// Bytes charged, for the resource figures.
    pub fn bytes(&self) -> usize {
        self.budget.used
    }
}

impl Table {
    /// Bytes charged for a table beyond the buckets of its `other`.
    fn fixed_bytes(&self) -> usize {
        size_of::<Table>() + self.name.len() + 16
    }
}

impl Series {
    fn bytes(&self) -> usize {
        SERIES_BYTES + self.key.len() + self.histogram.bytes()
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let series: Vec<(u32, &Bytes, &Histogram)> = self
            .series
            .iter()
            .map(|series| {
                let key = Bytes::new(self.keys.text(series.key));
                (series.table, key, &*series.histogram)
            })
            .collect();
        (
            self.budget.limit as u64,
            self.is_full,
            self.refused,
            &self.tables,
            series,
        )
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        type Form = (u64, bool, u64, Vec<Table>, Vec<(u32, ByteBuf, Histogram)>);
        let (limit, is_full, refused, tables, series) = Form::deserialize(deserializer)?;
        let mut metrics = Metrics::new(usize::try_from(limit).unwrap_or(usize::MAX));
        metrics.refused = refused;
        for (number, table) in tables.into_iter().enumerate() {
            if metrics.table(&table.name, table.grouping) != Some(number as u32) {
                // Without its own place the numbers of the series would not fit any more.
                repaired::add(1);
                metrics.refuse(&table.other);
                break;
            }
            metrics.budget.charge(table.other.bytes());
            metrics.tables[number] = table;
        }
        for (table, key, histogram) in series {
            if table as usize >= metrics.tables.len()
                || key.len() > TEXT_BYTES_MAX
                || metrics.find(table, &key).is_some()
            {
                repaired::add(1);
                metrics.refuse(&histogram);
                continue;
            }
            metrics.push(table, &key, Held::Own(histogram));
            let slot = metrics.series.len() - 1;
            let bytes = metrics.series[slot].bytes();
            metrics.budget.charge(bytes);
        }
        metrics.is_full |= is_full;
        Ok(metrics)
    }
}

#[cfg(test)]
mod tests;
