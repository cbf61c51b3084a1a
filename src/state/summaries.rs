//! Tables of tumbling windows of event time: what `weir run` sends as summaries. A window is numbered
//! from 1970 in steps of the interval, so that its number is the same after a crash and on every
//! machine. Fed by the fold beside the tables of the whole run; closed by the watermark of the rules.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::batch::SourceId;
use crate::flow::mapped::Mapped;
use crate::flow::time::Time;
use crate::state::groups::Groups;
use crate::state::metrics::Metrics;
use crate::state::{Shape, State};

/// Windows that are open at once: a source that is far behind the others must not fill the memory.
/// When one more begins, the oldest closes early, and what still comes for it is late.
pub const OPEN_MAX: usize = 16;

/// Summaries that wait for their sinks. Past it the oldest is given up and counted: what it said stands
/// in the totals all the same.
pub const WAITING_MAX: usize = 1000;

/// Bytes that the metrics and the groups of one window may use.
const TABLE_BYTES: usize = 4 << 20;

/// All windows that are not closed, and the closed ones that nobody has taken for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summaries {
    /// Length of a window.
    seconds: i64,
    shape: Shape,
    open: BTreeMap<i64, State>,
    /// The window of the last record with a time, by input: those without one belong to it too.
    last: BTreeMap<u32, i64>,
    /// Windows before this one are closed.
    closed_before: Option<i64>,
    waiting: VecDeque<Summary>,
    /// Of the last summary.
    number: u64,
    /// Of the last summary that was taken.
    #[serde(skip)]
    taken: u64,
    /// Records that came for a window that was closed.
    pub late: u64,
    /// Summaries that were given up.
    pub given_up: u64,
}

/// A window that is closed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Counted from 1.
    pub number: u64,
    pub window: Window,
    /// Its tables; they change no more.
    pub state: Arc<State>,
}

/// A stretch of event time, `start` included, `end` not. Both in whole seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub start: i64,
    pub end: i64,
}

impl Summaries {
    /// Windows of `seconds`, which is above zero.
    pub fn new(seconds: i64, shape: Shape) -> Summaries {
        Summaries {
            seconds,
            shape,
            open: BTreeMap::new(),
            last: BTreeMap::new(),
            closed_before: None,
            waiting: VecDeque::new(),
            number: 0,
            taken: 0,
            late: 0,
            given_up: 0,
        }
    }

    /// Whether these are windows of that length and shape.
    pub fn fits(&self, seconds: i64, shape: &Shape) -> bool {
        self.seconds == seconds && self.shape == *shape
    }

    /// Takes in the next batch; `records` of the run stand before it, `name` is its input's. `arrival`
    /// stands for the time of records without one where no record before them has one. A time after
    /// `latest` is not believed: windows far ahead would stay open, and push out those of today.
    pub fn absorb(
        &mut self,
        mapped: &Mapped,
        name: &str,
        records: u64,
        arrival: Option<Time>,
        latest: Option<Time>,
    ) {
        let latest = latest.map(|time| time.second().div_euclid(self.seconds));
        for part in mapped.parts() {
            let count: u64 = part.levels.iter().sum();
            if count == 0 {
                continue;
            }
            let row = State::followed(mapped.source);
            let arrived = arrival.map(|time| time.second().div_euclid(self.seconds));
            let believed = |window: &i64| latest.is_none_or(|latest| *window <= latest);
            let window = part
                .window
                .filter(believed)
                .or(self.last.get(&row.0).copied())
                .or(arrived);
            let Some(window) = window else { continue };
            self.last.insert(row.0, window);
            if self.closed_before.is_some_and(|before| window < before) {
                self.late = self.late.saturating_add(count);
                continue;
            }
            if !self.open.contains_key(&window) {
                self.begin(window);
                if self.closed_before.is_some_and(|before| window < before) {
                    self.late = self.late.saturating_add(count);
                    continue;
                }
            }
            let state = self.open.get_mut(&window).expect("it was just made");
            let input = open_input(state, name, count);
            state.ledger.records = state.ledger.records.saturating_add(count);
            state.ledger.kept = state.ledger.kept.saturating_add(count);
            state.tables(part, input, mapped.position, records);
        }
    }

    fn begin(&mut self, window: i64) {
        let mut state = State::new(self.shape.clone(), 0);
        state.groups = Groups::new(TABLE_BYTES);
        state.metrics = Metrics::new(TABLE_BYTES);
        self.open.insert(window, state);
        while self.open.len() > OPEN_MAX {
            let oldest = self.open.keys().next().map_or(window, |oldest| oldest + 1);
            self.close_before(oldest);
        }
    }

    /// Closes every window that ends at `watermark` or before.
    pub fn close(&mut self, watermark: Time) {
        let before = watermark.second().div_euclid(self.seconds);
        if self.closed_before.is_none_or(|closed| closed < before) {
            self.close_before(before);
        }
    }

    /// The wall clock was set back, and the watermark with it: windows that were closed by it begin
    /// again, and give a second summary of what comes then. The others would be late for as long as
    /// the clock was ahead.
    pub fn go_back(&mut self, watermark: Time) {
        let window = watermark.second().div_euclid(self.seconds);
        for last in self.last.values_mut() {
            *last = (*last).min(window);
        }
        if self.closed_before.is_some_and(|before| before > window) {
            self.finish();
            self.closed_before = Some(window);
        }
    }

    /// Closes every window: the inputs have ended.
    pub fn finish(&mut self) {
        if let Some(last) = self.open.keys().next_back().copied() {
            self.close_before(last + 1);
        }
    }

    fn close_before(&mut self, before: i64) {
        let later = self.open.split_off(&before);
        for (window, state) in std::mem::replace(&mut self.open, later) {
            self.number += 1;
            self.waiting.push_back(Summary {
                number: self.number,
                window: Window {
                    start: window * self.seconds,
                    end: (window + 1) * self.seconds,
                },
                state: Arc::new(state),
            });
            if self.waiting.len() > WAITING_MAX {
                self.waiting.pop_front();
                self.given_up += 1;
            }
        }
        self.closed_before = self.closed_before.max(Some(before));
    }

    /// Whether a window is open.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Summaries that were not taken yet. They stay until they are acknowledged.
    pub fn take(&mut self) -> impl Iterator<Item = &Summary> {
        let taken = std::mem::replace(&mut self.taken, self.number);
        self.waiting
            .iter()
            .filter(move |summary| summary.number > taken)
    }

    /// Summaries up to this number have reached their sinks.
    pub fn acknowledge(&mut self, number: u64) {
        while self
            .waiting
            .front()
            .is_some_and(|first| first.number <= number)
        {
            self.waiting.pop_front();
        }
    }

    /// A copy for a checkpoint, which shares what is large.
    pub fn share(&mut self) -> Summaries {
        let open = self.open.iter_mut();
        Summaries {
            open: open
                .map(|(window, state)| (*window, state.share()))
                .collect(),
            waiting: self.waiting.clone(),
            shape: self.shape.clone(),
            last: self.last.clone(),
            ..*self
        }
    }

    /// Makes what was read from a checkpoint fit for use.
    pub fn reindex(&mut self) {
        let open = self.open.values_mut();
        let waiting = self.waiting.iter_mut();
        let waiting = waiting.map(|summary| Arc::make_mut(&mut summary.state));
        open.chain(waiting)
            .for_each(|state| state.messages.reindex());
    }
}

/// The row of the input in this window, and what it gave. A window has rows only for inputs that gave it
/// something: those of the run may be ten thousand, and a thousand windows may wait.
fn open_input(state: &mut State, name: &str, count: u64) -> SourceId {
    let place = state.inputs.iter().position(|input| input.name == name);
    let place = place.unwrap_or(state.inputs.len());
    let row = SourceId(u32::try_from(place).expect("a run has fewer than 2^32 inputs"));
    if place == state.inputs.len() {
        state.open(row, name);
    }
    let input = &mut state.inputs[place];
    input.records = input.records.saturating_add(count);
    input.kept = input.kept.saturating_add(count);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::level::Level;

    /// The last of ten thousand files once made every window hold ten thousand rows.
    #[test]
    fn a_window_has_rows_only_for_inputs_that_gave_it_something() {
        let shape = Shape {
            list: Level::Warn,
            groupings: Vec::new(),
            zone: "UTC".to_owned(),
        };
        let mut summaries = Summaries::new(60, shape);
        for (source, name) in [(9_999, "late.log"), (3, "early.log"), (9_999, "late.log")] {
            let mut mapped = Mapped {
                source: SourceId(source),
                ..Mapped::default()
            };
            mapped.tables.window = Some(7);
            mapped.tables.levels[2] = 5;
            summaries.absorb(&mapped, name, 0, None, None);
        }
        summaries.finish();
        let summary = summaries.take().next().unwrap();
        let inputs = summary.state.inputs.iter();
        let inputs: Vec<_> = inputs.map(|input| (&*input.name, input.records)).collect();
        assert_eq!(inputs, [("late.log", 10), ("early.log", 5)]);
        assert_eq!(summary.state.ledger.records, 15);
    }
}
