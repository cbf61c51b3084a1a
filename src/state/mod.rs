//! The fold half: everything the program knows about its input, owned by one thread, in record
//! order, serialisable and mergeable. No I/O and no clock in here.

mod blocks;
pub mod counts;
pub mod groups;
pub mod histogram;
pub mod keyed;
pub mod known;
pub mod ledger;
pub mod lines;
pub mod losses;
pub mod messages;
pub mod metrics;
pub mod places;
pub mod repaired;
pub mod sets;
pub mod snapshot;
pub mod summaries;
pub mod table;
pub mod templates;
pub mod timeline;

use serde::{Deserialize, Serialize};

use crate::flow::alert::Alert;
use crate::flow::batch::SourceId;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::mapped::{Mapped, Samples, Tables};
use crate::flow::sample::SeriesKey;
use crate::flow::time::Time;
use crate::state::groups::Groups;
use crate::state::keyed::Keyed;
use crate::state::ledger::Ledger;
use crate::state::losses::Losses;
use crate::state::messages::{Messages, Sighting};
use crate::state::metrics::Metrics;
use crate::state::sets::Sets;
use crate::state::timeline::Timeline;

/// Everything a run knows: one value, in one thread's hands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// What the run was asked for, so that its report can be made from this value alone.
    pub shape: Shape,
    pub inputs: Vec<Input>,
    pub ledger: Ledger,
    /// Bytes of followed files that are known to be lost.
    #[serde(default)]
    pub losses: Losses,
    /// Selected records by level, row 0 for none.
    pub levels: [u64; 7],
    pub first: Option<Time>,
    pub last: Option<Time>,
    pub timeline: Timeline,
    pub messages: Messages,
    pub groups: Groups,
    pub metrics: Metrics,
    /// Records that met each condition of `--fail-on`.
    pub conditions: Vec<u64>,
    /// The table of line dedup was full, so lines went out that were perhaps not new.
    pub lines_approximate: bool,
    /// What rules know, put here for reports and snapshots.
    #[serde(default)]
    pub watched: Watched,
    /// Values that were put right when it was read.
    #[serde(skip)]
    pub repaired: u64,
}

/// States, sets and alerts as they stood at some moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watched {
    pub states: Vec<Keyed>,
    pub sets: Vec<Sets>,
    /// Those that fire.
    pub alerts: Vec<Alert>,
    /// The moment: wall-clock time of a live run, else the newest event time.
    pub at: Option<Time>,
    /// Names of what a limit has made approximate.
    pub approximate: Vec<String>,
}

impl Watched {
    /// Adds what a run that came after this one knew. Alerts are outside of the merge law: both runs'
    /// stand side by side.
    fn merge(&mut self, other: &Watched) {
        for state in &other.states {
            match self
                .states
                .iter_mut()
                .find(|own| own.settings().name == state.settings().name)
            {
                Some(own) => own.merge(state),
                None => self.states.push(state.clone()),
            }
        }
        for set in &other.sets {
            match self
                .sets
                .iter_mut()
                .find(|own| own.settings().name == set.settings().name)
            {
                Some(own) => own.merge(set),
                None => self.sets.push(set.clone()),
            }
        }
        self.alerts.extend(other.alerts.iter().cloned());
        self.at = self.at.max(other.at);
        self.approximate.extend(other.approximate.iter().cloned());
    }
}

/// The parts of a plan that a report shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Messages of this level and above are listed.
    pub list: Level,
    /// Names of the fields of each `--by`.
    pub groupings: Vec<Vec<String>>,
    /// The zone of times without one.
    pub zone: String,
}

/// Followed files with a row of their own among the inputs; the totals of those that come later
/// stand in one row more, `other`. A row takes about 250 bytes.
pub const FOLLOWED_MAX: u32 = 10_000;

/// Adds to a count; one from a hostile or damaged file may be as large as it can be.
fn add(to: &mut u64, count: u64) {
    *to = to.saturating_add(count);
}

/// One input.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub formats: [u64; Format::ALL.len()],
    pub bytes: u64,
    pub lines: u64,
    pub records: u64,
    pub kept: u64,
}

impl Input {
    /// The most frequent format; ties go to the one that stands first in the registry.
    pub fn format(&self) -> Option<Format> {
        let most = *self.formats.iter().max().expect("there are formats");
        let place = self
            .formats
            .iter()
            .position(|&count| count == most)
            .expect("the largest is one of them");
        (most > 0).then(|| Format::ALL[place])
    }
}

impl State {
    /// An empty state; `metrics_bytes` bounds the table of metrics.
    pub fn new(shape: Shape, conditions: usize) -> State {
        State {
            shape,
            inputs: Vec::new(),
            ledger: Ledger::default(),
            losses: Losses::default(),
            levels: [0; 7],
            first: None,
            last: None,
            timeline: Timeline::default(),
            messages: Messages::default(),
            groups: Groups::new(groups::LIMIT_DEFAULT),
            metrics: Metrics::new(metrics::LIMIT_DEFAULT),
            conditions: vec![0; conditions],
            lines_approximate: false,
            watched: Watched::default(),
            repaired: 0,
        }
    }

    /// Fits the state to what is computed from now on. Returns whether the tables of groups and metrics
    /// had to begin anew, because records are grouped otherwise.
    pub fn reshape(&mut self, shape: Shape) -> bool {
        let is_other = self.shape.groupings != shape.groupings;
        if is_other {
            self.groups = Groups::new(groups::LIMIT_DEFAULT);
            self.metrics = Metrics::new(metrics::LIMIT_DEFAULT);
        }
        self.shape = shape;
        is_other
    }

    /// Makes a row for an input that was opened.
    pub fn open(&mut self, source: SourceId, name: &str) {
        let place = source.0 as usize;
        if self.inputs.len() <= place {
            self.inputs.resize_with(place + 1, Input::default);
        }
        name.clone_into(&mut self.inputs[place].name);
    }

    /// The row of a followed file; names beyond [`FOLLOWED_MAX`] share one, so that a directory of
    /// ever new names does not fill the memory.
    pub fn followed(source: SourceId) -> SourceId {
        SourceId(source.0.min(FOLLOWED_MAX))
    }

    /// Makes a row for a followed file that was seen for the first time.
    pub fn open_followed(&mut self, source: SourceId, name: &str) {
        let row = State::followed(source);
        let name = if row.0 == FOLLOWED_MAX { "other" } else { name };
        self.open(row, name);
    }

    /// Makes a row for a followed file that is read on and has none.
    pub fn reopen_followed(&mut self, source: SourceId, name: &str) {
        if self.inputs.len() <= State::followed(source).0 as usize {
            self.open_followed(source, name);
            repaired::add(1);
        }
    }

    /// Takes in what a mapper made of the next batch.
    pub fn absorb(&mut self, mapped: &Mapped) {
        let records = self.ledger.records;
        self.ledger.add(&mapped.counts);
        let place = mapped.source.0 as usize;
        if self.inputs.len() <= place {
            // Followed files: a batch that only carries news belongs to none.
            self.inputs.resize_with(place + 1, Input::default);
        }
        let input = &mut self.inputs[place];
        add(&mut input.bytes, mapped.counts.bytes);
        add(&mut input.lines, mapped.counts.lines);
        add(&mut input.records, mapped.counts.records);
        add(&mut input.kept, mapped.counts.kept);
        for (to, from) in input.formats.iter_mut().zip(mapped.formats) {
            add(to, from);
        }
        for (to, from) in self.conditions.iter_mut().zip(&mapped.conditions) {
            add(to, *from);
        }
        for part in mapped.parts() {
            self.tables(part, mapped.source, mapped.position, records);
        }
    }

    /// Takes one part of a batch into the tables; the batch begins at `position` of `source`, and `records`
    /// stand before it.
    pub fn tables(&mut self, part: &Tables, source: SourceId, position: u64, records: u64) {
        for (to, from) in self.levels.iter_mut().zip(part.levels) {
            add(to, from);
        }
        self.first = self.first.into_iter().chain(part.first).min();
        self.last = self.last.max(part.last);
        for second in &part.seconds {
            for (level, &count) in second
                .levels
                .iter()
                .enumerate()
                .filter(|&(_, &count)| count > 0)
            {
                self.timeline.add(second.second, level, u64::from(count));
            }
        }
        for message in &part.messages.entries {
            let samples = &message.samples[..usize::from(message.sample_count)];
            let sighting = Sighting {
                fingerprint: message.fingerprint,
                level: message.level,
                count: message.count,
                first: message.first,
                last: message.last,
                source: source.0,
                offset: position.saturating_add(u64::from(message.start)),
                ordinal: records.saturating_add(u64::from(message.ordinal)),
                masked: message.masked.of(&part.messages.masked),
            };
            let samples = samples.iter();
            self.messages.add(
                &sighting,
                samples.map(|sample| sample.of(&part.messages.samples)),
            );
        }
        for group in &part.groups.entries {
            self.groups
                .add(group.grouping, group.key.of(&part.groups.keys), group.count);
        }
        self.samples(&part.samples, &part.groups.keys);
    }

    fn samples(&mut self, samples: &Samples, keys: &[u8]) {
        if samples.column.is_empty() {
            return;
        }
        let series = |series: &crate::flow::mapped::Series| SeriesKey {
            metric: series.metric.of(&samples.names),
            grouping: series.grouping,
            key: series.key.map_or(&[], |key| key.of(keys)),
            units: series.units,
        };
        let dictionary: Vec<SeriesKey<'_>> = samples.series.iter().map(series).collect();
        self.metrics.fold(&dictionary, &samples.column);
    }

    /// A copy for a checkpoint, which shares what is large.
    pub fn share(&mut self) -> State {
        // The table that is shared takes the place of a deep copy.
        let metrics = self.metrics.share();
        let own = std::mem::replace(&mut self.metrics, Metrics::new(0));
        let mut state = self.clone();
        state.metrics = metrics;
        self.metrics = own;
        state
    }

    /// Adds a run that came after this one (law 4).
    pub fn merge(&mut self, other: &State) {
        let sources = u32::try_from(self.inputs.len()).unwrap_or(u32::MAX);
        let records = self.ledger.records;
        self.inputs.extend(other.inputs.iter().cloned());
        self.ledger.merge(&other.ledger);
        self.losses.merge(&other.losses);
        for (to, from) in self.levels.iter_mut().zip(other.levels) {
            add(to, from);
        }
        for (to, from) in self.conditions.iter_mut().zip(&other.conditions) {
            add(to, *from);
        }
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        self.timeline.merge(&other.timeline);
        self.messages.merge(&other.messages, sources, records);
        self.groups.merge(&other.groups);
        self.metrics.merge(&other.metrics);
        self.watched.merge(&other.watched);
    }

    /// Names of the tables that a limit has made approximate; totals stay exact.
    pub fn approximate(&self) -> Vec<&'static str> {
        let mut tables = Vec::new();
        if self.messages.other() > 0 {
            tables.push("messages");
        }
        if self.groups.is_approximate() {
            tables.push("groups");
        }
        if self.metrics.is_full() || self.metrics.refused() > 0 {
            tables.push("metrics");
        }
        if self.lines_approximate {
            tables.push("dedup");
        }
        if self.watched.states.iter().any(Keyed::is_approximate) {
            tables.push("states");
        }
        if self.watched.sets.iter().any(Sets::is_approximate) {
            tables.push("sets");
        }
        if !self.watched.approximate.is_empty() {
            tables.push("rules");
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let shape = Shape {
            list: Level::Warn,
            groupings: Vec::new(),
            zone: "UTC".to_owned(),
        };
        State::new(shape, 0)
    }

    #[test]
    fn followed_names_beyond_the_limit_share_a_row() {
        let mut state = state();
        for source in 0..FOLLOWED_MAX + 500 {
            let name = format!("file-{source}");
            state.open_followed(SourceId(source), &name);
            let mut mapped = Mapped {
                source: State::followed(SourceId(source)),
                ..Mapped::default()
            };
            mapped.counts.bytes = 1;
            state.absorb(&mapped);
        }
        assert_eq!(state.inputs.len(), FOLLOWED_MAX as usize + 1);
        let last = state.inputs.last().unwrap();
        assert_eq!((&*last.name, last.bytes), ("other", 500));
        assert_eq!(state.inputs[7].name, "file-7");
        assert_eq!(state.ledger.bytes, u64::from(FOLLOWED_MAX) + 500);
    }

    #[test]
    fn a_batch_of_nothing_may_come_before_any_file() {
        let mut state = state();
        state.absorb(&Mapped::default());
        assert_eq!(state.ledger, Ledger::default());
    }

    #[test]
    fn a_state_from_before_losses_were_counted_is_read() {
        let mut value = serde_json::to_value(state()).unwrap();
        assert!(value.as_object_mut().unwrap().remove("losses").is_some());
        let read: State = serde_json::from_value(value).unwrap();
        assert_eq!(read.losses, Losses::default());
    }
}
