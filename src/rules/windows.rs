//! Windows of event time that slide: what was observed of one group, in buckets of one step each. Fed
//! by rules with runs in record order. A window is looked at in two ways: as it stands with every
//! record (*edges*: how many records), and as it stood at a border that the watermark has passed.
//!
//! How many groups and bytes there are is the owner's to limit; a [`Budget`] is charged with what the
//! structures take, so that the same input meets the limit at the same record on every machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expr::functions::Statistic;
use crate::flow::alert::{Evidence, SampleLine};
use crate::flow::observed::Number;
use crate::flow::sample::Bucket as Place;
use crate::flow::time::Time;
use crate::rules::cells::Cells;
use crate::state::counts::{Budget, Full};
use crate::state::histogram::{Histogram, add_exactly, exact, nearest_rank, value_of};

/// Buckets that a window is made of at most: one moves on in steps of a sixtieth of its length.
pub const STEPS: i64 = 60;

/// Samples that are shown of a window: the first records of its newest buckets.
const SAMPLES_MAX: usize = Evidence::SAMPLES_MAX;

/// What a bucket takes beside what is charged for its content.
const BUCKET_BYTES: usize = size_of::<Bucket>() + size_of::<Histogram>();

/// What one distinct value takes in a bucket and in the window.
const TEXT_BYTES: usize = 48;

/// How a window is cut into buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Seconds of one bucket.
    pub step: i64,
    /// Buckets of the window.
    pub buckets: i64,
    /// Somebody asks for quantiles, so the window keeps the distribution of all its numbers.
    pub has_quantiles: bool,
    /// It is asked how much a counter grows.
    #[serde(default)]
    pub has_counters: bool,
}

impl Cut {
    /// Of a window of so many nanoseconds: steps of a sixtieth in whole seconds, and as many as cover
    /// it.
    pub fn of(window: i64) -> Cut {
        let seconds = window.max(1).div_ceil_by(Time::SECOND);
        let step = seconds.div_ceil_by(STEPS);
        Cut {
            step,
            buckets: seconds.div_ceil_by(step),
            has_quantiles: true,
            has_counters: false,
        }
    }

    /// The number of the bucket of a second.
    pub fn bucket(self, second: i64) -> i64 {
        second.div_euclid(self.step)
    }

    /// Where a bucket ends, in seconds.
    pub fn end(self, bucket: i64) -> i64 {
        bucket.saturating_add(1).saturating_mul(self.step)
    }

    /// The last bucket whose end a moment has reached.
    pub fn passed(self, second: i64) -> i64 {
        second.div_euclid(self.step) - 1
    }
}

/// Division that rounds up, of positive numbers.
trait DivCeil {
    fn div_ceil_by(self, divisor: i64) -> i64;
}

impl DivCeil for i64 {
    fn div_ceil_by(self, divisor: i64) -> i64 {
        self / divisor + i64::from(self % divisor > 0)
    }
}

/// Why something was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is older than the window.
    Late,
    /// The budget has no room.
    Full,
}

/// What was observed of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Those that have something, by number.
    buckets: VecDeque<Bucket>,
    /// The newest bucket that anything was seen of: the window of edges ends here.
    front: Option<i64>,
    /// Records in the window that ends in `front`.
    edge: u64,
    /// The window of steps ends here, and here end the records that are counted in `within`.
    end: Option<i64>,
    within: Within,
    /// Since the last look the content of the window of steps has changed.
    changed: bool,
    /// The last value of a counter before the oldest bucket, and its second.
    #[serde(default)]
    before: Option<(f64, i64)>,
}

/// What the window of steps holds, kept up as buckets come and go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Within {
    count: u64,
    /// Where its numbers lie.
    cells: Cells,
    /// In how many buckets each distinct value stands.
    texts: BTreeMap<u64, u32>,
}

/// With short names in checkpoints, where it stands many times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    #[serde(rename = "b")]
    number: i64,
    #[serde(rename = "c")]
    count: u64,
    /// Oldest and newest second.
    #[serde(rename = "f")]
    first: i64,
    #[serde(rename = "l")]
    last: i64,
    /// The first record.
    #[serde(rename = "r")]
    sample: Option<SampleLine>,
    #[serde(rename = "t", default, skip_serializing_if = "Totals::is_empty")]
    totals: Totals,
    /// Where the numbers lie, if somebody asks for quantiles. Shared with the checkpoints that were made
    /// since it changed.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    shape: Option<Arc<Shape>>,
    #[serde(rename = "x", default, skip_serializing_if = "BTreeSet::is_empty")]
    texts: BTreeSet<u64>,
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    counter: Option<Counter>,
}

/// How far a counter has come within one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Counter {
    /// The first and the last value, with their seconds.
    first: (f64, i64),
    last: (f64, i64),
    /// What it has grown by in between.
    growth: f64,
}

/// What a counter has grown by from one value to the next: one that is smaller has begun again at 0.
fn growth(from: f64, to: f64) -> f64 {
    if to >= from { to - from } else { to }
}

/// How the numbers of a bucket are distributed; how many they are and what they come to stands beside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Shape {
    histogram: Histogram,
}

impl PartialEq for Shape {
    fn eq(&self, other: &Shape) -> bool {
        let cells = |shape: &Shape| {
            let mut cells = BTreeMap::new();
            shape
                .histogram
                .cells(|cell, count| *cells.entry(cell).or_insert(0) += count);
            cells
        };
        cells(self) == cells(other)
    }
}

impl Bucket {
    fn bytes(&self) -> usize {
        let sample = self.sample.as_ref().map_or(0, sample_bytes);
        let shape = self
            .shape
            .as_ref()
            .map_or(0, |shape| shape.histogram.bytes());
        BUCKET_BYTES + sample + shape + self.texts.len() * TEXT_BYTES
    }
}

fn sample_bytes(sample: &SampleLine) -> usize {
    sample.source.len() + sample.line.len()
}

impl Default for Window {
    fn default() -> Window {
        Window::new()
    }
}

impl Window {
    pub fn new() -> Window {
        Window {
            buckets: VecDeque::new(),
            front: None,
            edge: 0,
            end: None,
            within: Within::default(),
            changed: false,
            before: None,
        }
    }

    /// Takes in records of one second; `sample` makes the first of them into a line, if it is wanted.
    pub fn records(
        &mut self,
        cut: Cut,
        second: i64,
        count: u64,
        budget: &mut Budget,
        sample: impl FnOnce() -> SampleLine,
    ) -> Result<(), Refused> {
        let place = self.place(cut, second, budget, sample)?;
        let bucket = &mut self.buckets[place];
        bucket.count = bucket.count.saturating_add(count);
        bucket.first = bucket.first.min(second);
        bucket.last = bucket.last.max(second);
        let number = bucket.number;
        if self.is_within(cut, number) {
            self.within.count = self.within.count.saturating_add(count);
            self.changed = true;
        }
        match self.front {
            Some(front) if number <= front => {
                if number > front - cut.buckets {
                    self.edge = self.edge.saturating_add(count);
                }
            }
            _ => self.move_front(cut, number),
        }
        Ok(())
    }

    /// Takes in the numbers of records that were taken in before, of the same second. Those that find no
    /// room are in the totals all the same.
    pub fn numbers(
        &mut self,
        cut: Cut,
        second: i64,
        numbers: &[Number],
        budget: &mut Budget,
    ) -> Result<(), Full> {
        let number = cut.bucket(second);
        let is_within = self.is_within(cut, number);
        let Some(bucket) = bucket_mut(&mut self.buckets, number) else {
            return Ok(());
        };
        for number in numbers.iter().filter(|number| number.bucket.is_number()) {
            bucket.totals.add(number.value, u64::from(number.weight));
        }
        if cut.has_counters {
            for number in numbers.iter().filter(|number| number.bucket.is_number()) {
                let at = (number.value, second);
                let counter = bucket.counter.get_or_insert(Counter {
                    first: at,
                    last: at,
                    growth: 0.0,
                });
                counter.growth += growth(counter.last.0, number.value);
                counter.last = at;
            }
        }
        if !cut.has_quantiles || numbers.is_empty() {
            return Ok(());
        }
        let histogram = &mut Arc::make_mut(bucket.shape.get_or_insert_default()).histogram;
        let mut found = Ok(());
        for number in numbers {
            let (place, weight) = (number.bucket, u64::from(number.weight));
            if histogram.shape(place, weight, budget).is_err() {
                histogram.shapeless(place, weight, budget);
                found = Err(Full);
            } else if is_within && place.is_number() {
                let before = self.within.cells.bytes();
                self.within.add_cell(place, weight);
                budget.release(before);
                budget.charge(self.within.cells.bytes());
            }
        }
        found
    }

    /// Takes in a value of a record that was taken in before, of the same second, by its hash.
    pub fn text(
        &mut self,
        cut: Cut,
        second: i64,
        hash: u64,
        budget: &mut Budget,
    ) -> Result<(), Full> {
        let number = cut.bucket(second);
        let is_within = self.is_within(cut, number);
        let Some(bucket) = bucket_mut(&mut self.buckets, number) else {
            return Ok(());
        };
        if bucket.texts.contains(&hash) {
            return Ok(());
        }
        if !budget.has_room(TEXT_BYTES) {
            return Err(Full);
        }
        budget.charge(TEXT_BYTES);
        bucket.texts.insert(hash);
        if is_within {
            *self.within.texts.entry(hash).or_insert(0) += 1;
        }
        Ok(())
    }

    /// The place of the bucket of a second.
    fn place(
        &mut self,
        cut: Cut,
        second: i64,
        budget: &mut Budget,
        sample: impl FnOnce() -> SampleLine,
    ) -> Result<usize, Refused> {
        let number = cut.bucket(second);
        if self.end.is_some_and(|end| number <= end - cut.buckets) {
            return Err(Refused::Late);
        }
        let place = match self.buckets.back() {
            Some(last) if last.number == number => return Ok(self.buckets.len() - 1),
            Some(last) if last.number > number => {
                match self
                    .buckets
                    .binary_search_by_key(&number, |bucket| bucket.number)
                {
                    Ok(place) => return Ok(place),
                    Err(place) => place,
                }
            }
            _ => self.buckets.len(),
        };
        let sample = sample();
        let bytes = BUCKET_BYTES + sample_bytes(&sample);
        if !budget.has_room(bytes) {
            return Err(Refused::Full);
        }
        budget.charge(bytes);
        self.buckets.insert(
            place,
            Bucket {
                number,
                count: 0,
                first: second,
                last: second,
                sample: Some(sample),
                totals: Totals::default(),
                shape: None,
                texts: BTreeSet::new(),
                counter: None,
            },
        );
        Ok(place)
    }

    fn is_within(&self, cut: Cut, number: i64) -> bool {
        self.end
            .is_some_and(|end| number <= end && number > end - cut.buckets)
    }

    fn move_front(&mut self, cut: Cut, front: i64) {
        self.front = Some(front);
        self.edge = self
            .buckets
            .iter()
            .rev()
            .skip_while(|bucket| bucket.number > front)
            .take_while(|bucket| bucket.number > front - cut.buckets)
            .fold(0, |sum, bucket| sum.saturating_add(bucket.count));
    }

    /// Lets the window of steps end in a later bucket; what is older than it is gone.
    pub fn advance(&mut self, cut: Cut, end: i64, budget: &mut Budget) {
        if self.end.is_some_and(|before| before >= end) {
            return;
        }
        let before = self.end.replace(end);
        budget.release(self.within.cells.bytes());
        while let Some(bucket) = self.buckets.front() {
            if bucket.number > end - cut.buckets {
                break;
            }
            let bucket = self.buckets.pop_front().expect("there is a first");
            if before.is_some_and(|before| bucket.number <= before) {
                self.within.remove(&bucket);
            }
            self.changed = true;
            self.before = bucket.counter.map(|counter| counter.last).or(self.before);
            budget.release(bucket.bytes());
        }
        let mut shown = 0;
        for bucket in self.buckets.iter_mut().rev() {
            if bucket.number > end {
                continue;
            }
            shown += 1;
            if shown > SAMPLES_MAX
                && let Some(sample) = bucket.sample.take()
            {
                budget.release(sample_bytes(&sample));
            }
            if before.is_none_or(|before| bucket.number > before) {
                self.within.add(bucket);
                self.changed = true;
            }
        }
        budget.charge(self.within.cells.bytes());
        if self.front.is_some_and(|front| front < end) {
            let edge = self.edge;
            self.move_front(cut, end);
            self.changed |= self.edge != edge;
        }
    }

    /// The clock was set back by so many buckets: the window with all that it holds goes with it.
    pub fn go_back(&mut self, cut: Cut, buckets: i64) {
        for bucket in &mut self.buckets {
            bucket.number -= buckets;
            bucket.first -= buckets * cut.step;
            bucket.last -= buckets * cut.step;
            if let Some(counter) = &mut bucket.counter {
                counter.first.1 -= buckets * cut.step;
                counter.last.1 -= buckets * cut.step;
            }
        }
        self.before = self
            .before
            .map(|(value, second)| (value, second - buckets * cut.step));
        self.front = self.front.map(|front| front - buckets);
        self.end = self.end.map(|end| end - buckets);
    }

    /// Whether anything in the window of steps has changed since the last call.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The next bucket at whose end the window of steps is another one than now, if nothing is added.
    pub fn next_change(&self, cut: Cut) -> Option<i64> {
        let Some(end) = self.end else {
            return self.buckets.front().map(|bucket| bucket.number);
        };
        let leaves = self
            .buckets
            .front()
            .filter(|bucket| bucket.number <= end)
            .map(|bucket| bucket.number + cut.buckets);
        let after = self.buckets.partition_point(|bucket| bucket.number <= end);
        let enters = self.buckets.get(after).map(|bucket| bucket.number);
        let late = self.changed.then_some(end + 1);
        leaves.into_iter().chain(enters).chain(late).min()
    }

    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Bytes that are charged for it.
    pub fn bytes(&self) -> usize {
        let buckets = self.buckets.iter().map(Bucket::bytes);
        self.within.cells.bytes() + buckets.sum::<usize>()
    }

    /// Whether the window that ends with the newest record holds a second.
    pub fn is_in_front(&self, cut: Cut, second: i64) -> bool {
        let number = cut.bucket(second);
        self.front.is_some_and(|front| number > front - cut.buckets)
    }

    /// Records in the window that ends with the newest one.
    pub fn edge(&self) -> u64 {
        self.edge
    }

    /// Records in the window of steps.
    pub fn count(&self) -> u64 {
        self.within.count
    }

    /// Distinct values in the window of steps.
    pub fn distinct(&self) -> u64 {
        self.within.texts.len() as u64
    }

    /// A number about the numbers in the window of steps; none if there are none.
    pub fn statistic(&self, cut: Cut, statistic: Statistic) -> Option<f64> {
        let end = self.end?;
        let mut all = Totals::default();
        for bucket in &self.buckets {
            if bucket.number <= end && bucket.number > end - cut.buckets {
                all.merge(&bucket.totals);
            }
        }
        if all.count == 0 {
            return None;
        }
        Some(match statistic {
            Statistic::Sum => all.sum(),
            Statistic::Mean => all.sum() / all.count as f64,
            Statistic::Min => all.min,
            Statistic::Max => all.max,
            Statistic::Quantile(quantile) => self.within.quantile(quantile, &all),
        })
    }

    /// What a counter grows by in a second: from the last value before the window of steps, if that is not
    /// older than another window, to the last one in it. None without two values.
    pub fn growth(&self, cut: Cut) -> Option<f64> {
        let end = self.end?;
        let oldest = cut.end(end) - 2 * cut.buckets * cut.step;
        let mut last = self.before.filter(|(_, second)| *second >= oldest);
        let mut start = last.map(|(_, second)| second);
        let mut sum = 0.0;
        let mut is_there = false;
        for bucket in &self.buckets {
            let is_within = bucket.number <= end && bucket.number > end - cut.buckets;
            let Some(counter) = bucket.counter.filter(|_| is_within) else {
                continue;
            };
            if let Some((value, _)) = last {
                sum += growth(value, counter.first.0);
            }
            sum += counter.growth;
            start.get_or_insert(counter.first.1);
            last = Some(counter.last);
            is_there = true;
        }
        let seconds = last?.1 - start?;
        (is_there && seconds > 0).then(|| sum / seconds as f64)
    }

    /// The records of the window that ends with the newest one, or of the window of steps.
    pub fn evidence(&self, cut: Cut, is_edge: bool) -> Evidence {
        let end = if is_edge { self.front } else { self.end };
        let Some(end) = end else {
            return Evidence::default();
        };
        let inside = || {
            self.buckets
                .iter()
                .filter(|bucket| bucket.number <= end && bucket.number > end - cut.buckets)
        };
        let time = |second: i64| Time::from_parts(second, 0);
        let samples = inside().rev().filter_map(|bucket| bucket.sample.clone());
        let mut samples: Vec<SampleLine> = samples.take(SAMPLES_MAX).collect();
        samples.reverse();
        Evidence {
            template: None,
            fingerprint: None,
            count: if is_edge {
                self.edge
            } else {
                self.within.count
            },
            first: inside().map(|bucket| bucket.first).min().and_then(time),
            last: inside().map(|bucket| bucket.last).max().and_then(time),
            samples,
        }
    }
}

/// The bucket of this number: mostly the newest one.
fn bucket_mut(buckets: &mut VecDeque<Bucket>, number: i64) -> Option<&mut Bucket> {
    let place = match buckets.back() {
        Some(last) if last.number == number => buckets.len() - 1,
        _ => buckets
            .binary_search_by_key(&number, |bucket| bucket.number)
            .ok()?,
    };
    buckets.get_mut(place)
}

/// What numbers come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Totals {
    #[serde(rename = "n")]
    count: u64,
    /// Neumaier's sum: the running sum and what rounding has lost so far.
    #[serde(rename = "s")]
    sum: f64,
    #[serde(rename = "e")]
    lost: f64,
    #[serde(rename = "l")]
    min: f64,
    #[serde(rename = "h")]
    max: f64,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals {
            count: 0,
            sum: 0.0,
            lost: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

impl Totals {
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a finite number.
    fn add(&mut self, value: f64, weight: u64) {
        self.count = self.count.saturating_add(weight);
        add_exactly(&mut self.sum, &mut self.lost, value * weight as f64);
        if value < self.min {
            self.min = value;
        }
        if value > self.max {
            self.max = value;
        }
    }

    fn merge(&mut self, other: &Totals) {
        self.count = self.count.saturating_add(other.count);
        add_exactly(&mut self.sum, &mut self.lost, other.sum());
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn sum(&self) -> f64 {
        exact(self.sum, self.lost)
    }
}

impl Within {
    fn add(&mut self, bucket: &Bucket) {
        self.count = self.count.saturating_add(bucket.count);
        if let Some(shape) = &bucket.shape {
            shape
                .histogram
                .cells(|cell, count| self.cells.add(cell, count));
        }
        for text in &bucket.texts {
            *self.texts.entry(*text).or_insert(0) += 1;
        }
    }

    fn remove(&mut self, bucket: &Bucket) {
        self.count = self.count.saturating_sub(bucket.count);
        if let Some(shape) = &bucket.shape {
            shape
                .histogram
                .cells(|cell, count| self.cells.remove(cell, count));
        }
        for text in &bucket.texts {
            if let Some(left) = self.texts.get_mut(text) {
                *left -= 1;
                if *left == 0 {
                    self.texts.remove(text);
                }
            }
        }
    }

    /// Adds a number that has a place.
    fn add_cell(&mut self, place: Place, weight: u64) {
        let index = i32::from(place.index());
        let cell = if place.is_negative() {
            -1 - index
        } else {
            index
        };
        self.cells.add(cell, weight);
    }

    /// The nearest-rank value, as [`Histogram::quantile`] has it.
    fn quantile(&self, quantile: f64, all: &Totals) -> f64 {
        let shaped = self.cells.total();
        let rank = nearest_rank(quantile, shaped);
        if rank <= 1 {
            return all.min;
        }
        if rank >= shaped {
            return all.max;
        }
        let cell = self.cells.at_rank(rank);
        cell.map_or(all.max, |cell| value_of(cell).max(all.min).min(all.max))
    }
}
