//! States: the last value of each key — a server, a backup, a deployment, a build — with what it
//! means, since when, and when it will have been silent or unfinished for too long. Fed by the fold
//! with runs in record order; asked by rules and reports. All times are event times that are handed in.
//!
//! Records of one key must come one by one or in runs of the same value, in record order.

pub mod deadlines;
mod entry;
mod steps;

use std::collections::BTreeSet;
use std::mem::take;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use crate::flow::alert::SampleLine;
use crate::flow::time::Time;
use crate::state::keyed::deadlines::Deadlines;
use crate::state::keyed::entry::{Changes, Entry, Sighting};
use crate::state::table::Table;

/// Keys of one state, those of the roster apart, which always have room. With values and sample lines a
/// key takes about 1 KiB. When the table is full, keys that are in order and were not seen for
/// [`IDLE`] make room; records of keys that find none are counted in [`Keyed::other`].
pub const KEYS_MAX: usize = 10_000;

/// How long a key that is in order must have been silent before it may leave a full table.
pub const IDLE: i64 = 24 * 3600 * Time::SECOND;

/// A longer key is counted in `other`.
pub const KEY_BYTES_MAX: usize = 512;

/// A longer value is cut: two that differ only behind this are the same.
pub const VALUE_BYTES_MAX: usize = 256;

/// Changes that wait to be asked for. Whoever watches a state asks after every batch; past this the
/// older half goes, for a state that nobody watches.
pub const CHANGES_MAX: usize = 65_536;

/// Newcomers that are turned away between two searches for idle keys, so that a flood of keys does not
/// search ten thousand rows for each.
const REFUSED_MIN: u32 = 100;

/// What a `[[state]]` says.
///
/// A value has the meaning of the list it stands in (ASCII case is ignored). What a value in no list means
/// is said by `unlisted`; without it the value falls to the first list that is not given: `ok`, else
/// `bad`, else `pending`; with all three given it is bad. So `ok` alone makes everything else bad, `bad`
/// alone makes everything else ok, and between `ok` and `bad` there is pending. `steps` stand for a list of
/// pending values and, the last one, of ok values, where no list names them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedSettings {
    pub name: String,
    /// Names of the fields of the key.
    pub key: Vec<String>,
    pub ok: Vec<String>,
    pub pending: Vec<String>,
    pub bad: Vec<String>,
    /// Nanoseconds after which a key that says nothing is late.
    pub expect_within: Option<i64>,
    /// Nanoseconds after which a key with the same pending value is stuck.
    pub stuck_after: Option<i64>,
    /// Encoded keys that must exist.
    pub roster: Vec<Vec<u8>>,
    /// Values through which a key goes in this order.
    pub steps: Vec<String>,
    /// Moments of the calendar by which a key must have been heard of again.
    #[serde(default)]
    pub expect_by: Option<Deadlines>,
    /// Nanoseconds of silence after which a key that is not on the roster is dropped.
    #[serde(default)]
    pub forget_after: Option<i64>,
    /// What a value in no list means.
    #[serde(default)]
    pub unlisted: Option<Unlisted>,
}

/// A state is the same after a restart if this text is the same, so what was added later stands in it only
/// where it is used: a state directory of an earlier build keeps what it knows.
impl std::fmt::Debug for KeyedSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("KeyedSettings");
        shown
            .field("name", &self.name)
            .field("key", &self.key)
            .field("ok", &self.ok)
            .field("pending", &self.pending)
            .field("bad", &self.bad)
            .field("expect_within", &self.expect_within)
            .field("stuck_after", &self.stuck_after)
            .field("roster", &self.roster)
            .field("steps", &self.steps);
        if let Some(expect_by) = &self.expect_by {
            shown.field("expect_by", expect_by);
        }
        if let Some(forget_after) = &self.forget_after {
            shown.field("forget_after", forget_after);
        }
        if let Some(unlisted) = &self.unlisted {
            shown.field("unlisted", unlisted);
        }
        shown.finish()
    }
}

/// What a value in no list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlisted {
    Bad,
    Ok,
    Pending,
    /// The key was heard of, and its value stays.
    Ignore,
}

/// How a key stands. The first that is true, from the top; a bad value is not hidden by silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// On the roster and never seen.
    Missing,
    Bad,
    /// The same pending value for longer than `stuck_after`.
    Stuck,
    /// Not seen for longer than `expect_within`.
    Late,
    Pending,
    Ok,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Missing => "missing",
            Status::Bad => "bad",
            Status::Stuck => "stuck",
            Status::Late => "late",
            Status::Pending => "pending",
            Status::Ok => "ok",
        }
    }
}

/// What can be wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Bad,
    /// Never seen though on the roster, or silent for too long.
    Missing,
    Stuck,
    /// A step was left out or taken backwards.
    Order,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Bad, Kind::Missing, Kind::Stuck, Kind::Order];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Bad => "bad",
            Kind::Missing => "missing",
            Kind::Stuck => "stuck",
            Kind::Order => "order",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Something that began or ceased to be wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    #[serde(with = "serde_bytes")]
    pub key: Vec<u8>,
    pub kind: Kind,
    pub holds: bool,
    /// When it began or ended in event time: of a record, or of the limit that passed, never of the
    /// tick that noticed.
    pub at: Time,
    /// One line for people.
    pub summary: String,
    /// The record that set the value; none if the key was never seen.
    pub sample: Option<SampleLine>,
}

/// One key in a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'state> {
    pub name: &'state str,
    /// Names and values of the key's fields.
    pub key: Vec<(&'state str, &'state [u8])>,
    pub value: Option<&'state [u8]>,
    pub status: Status,
    /// When the value came; none if its record had no time.
    pub since: Option<Time>,
    pub last: Option<Time>,
    /// When the key was last in order.
    pub last_ok: Option<Time>,
    /// Records, by weight.
    pub count: u64,
    /// How often the value changed.
    pub transitions: u64,
    /// Of a state with steps.
    pub steps: Option<Steps<'state>>,
}

/// How far a key has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps<'state> {
    /// Name and number, from 1, of the step that the key is at.
    pub step: Option<(&'state str, usize)>,
    pub of: usize,
    pub rounds: u64,
    /// Steps that were left out, and steps that came after a later one, in all rounds.
    pub skipped: u64,
    pub backwards: u64,
    /// In this round.
    pub in_order: bool,
}

/// A state: what is known of each key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keyed {
    settings: KeyedSettings,
    keys: Table<Entry>,
    /// Keys of the roster that were not seen yet.
    unseen: BTreeSet<ByteBuf>,
    /// The keys that are unseen have been told as missing.
    unseen_told: bool,
    /// First event time of the run.
    started: Option<Time>,
    /// Newest event time of this state's records, in whole seconds.
    newest: Option<Time>,
    /// When which keys are to be looked at: not later than the next of their limits passes.
    due: BTreeSet<(Time, ByteBuf)>,
    changes: Vec<Condition>,
    /// Records of keys that were not admitted.
    other: u64,
    /// Keys that are not on the roster.
    guests: usize,
    /// Newcomers that were turned away since idle keys were looked for.
    refused: u32,
}

impl Keyed {
    pub fn new(settings: KeyedSettings) -> Keyed {
        let unseen = settings.roster.iter().map(|key| ByteBuf::from(&key[..]));
        Keyed {
            unseen: unseen.collect(),
            settings,
            keys: Table::default(),
            unseen_told: false,
            started: None,
            newest: None,
            due: BTreeSet::new(),
            changes: Vec::new(),
            other: 0,
            guests: 0,
            refused: REFUSED_MIN,
        }
    }

    pub fn settings(&self) -> &KeyedSettings {
        &self.settings
    }

    /// Takes settings that differ in the roster alone. A key that is new on it and was never seen is
    /// awaited from the start of the run, as the others are; one that is on it no more is missed no more.
    /// Returns whether the roster is another one.
    pub fn reconfigure(&mut self, settings: KeyedSettings) -> bool {
        if self.settings.roster == settings.roster {
            return false;
        }
        let at = self.newest.or(self.started).unwrap_or(Time(0));
        let before = std::mem::replace(&mut self.settings, settings);
        let after: BTreeSet<&[u8]> = self.settings.roster.iter().map(|key| &key[..]).collect();
        for key in before.roster.iter().filter(|key| !after.contains(&key[..])) {
            if let Some(entry) = self.keys.get_mut(key) {
                self.guests += usize::from(std::mem::take(&mut entry.on_roster));
            } else if self.unseen.remove(Bytes::new(key)) && self.unseen_told {
                Changes::new(&self.settings, key, &mut self.changes).left_roster(at);
            }
        }
        for key in &self.settings.roster {
            if let Some(entry) = self.keys.get_mut(key) {
                self.guests -= usize::from(!std::mem::replace(&mut entry.on_roster, true));
            } else if self.unseen.insert(ByteBuf::from(&key[..])) {
                // Those that were told as missing are so still; that is told again and changes nothing.
                self.unseen_told = false;
            }
        }
        true
    }

    /// Names the first event time of the run, from which keys of the roster are awaited. The first
    /// call counts; without one it is the time of the first record of this state.
    pub fn begin(&mut self, at: Time) {
        self.started.get_or_insert(at);
    }

    /// Takes in `count` records of one key with one value, the first of which is `sample`.
    pub fn absorb(
        &mut self,
        key: &[u8],
        value: &[u8],
        first: Option<Time>,
        newest: Option<Time>,
        count: u64,
        sample: &SampleLine,
    ) {
        self.absorb_with(key, value, first, newest, count, &|into| {
            into.clone_from(sample)
        });
    }

    /// The same with a sample that is written only where it is needed: when something changes. Returns
    /// whether the key has another value than before.
    pub fn absorb_with(
        &mut self,
        key: &[u8],
        value: &[u8],
        first: Option<Time>,
        newest: Option<Time>,
        count: u64,
        sample: &dyn Fn(&mut SampleLine),
    ) -> bool {
        self.absorb_heard(key, value, [first, newest, first], count, sample)
    }

    /// The same where a record says another time than that at which it was written, as far as that is
    /// known: `times` are those that the first and the newest record say, and when the first one was
    /// written. Silence is counted from the latter, so a clock that runs ahead or behind does not matter.
    pub fn absorb_heard(
        &mut self,
        key: &[u8],
        value: &[u8],
        [first, newest, heard]: [Option<Time>; 3],
        count: u64,
        sample: &dyn Fn(&mut SampleLine),
    ) -> bool {
        if let Some(heard) = heard.or(first) {
            self.begin(heard);
        }
        let newest = newest.max(first);
        // In whole seconds, so that records that came together as one run move it no further than its
        // first one does.
        let second = newest.and_then(|time| Time::from_parts(time.second(), 0));
        self.newest = self.newest.max(second);
        let sighting = Sighting {
            value: &value[..value.len().min(VALUE_BYTES_MAX)],
            first,
            newest,
            heard: heard.or(first),
            // Where the records are believed, the newest of them is.
            heard_last: if heard.or(first) == first {
                newest
            } else {
                heard
            },
            count,
            sample,
            at: first.or(self.newest).or(self.started).unwrap_or(Time(0)),
        };
        let is_ignored = entry::is_ignored(sighting.value, &self.settings);
        if let Some(entry) = self.keys.get_mut(key) {
            let mut changes = Changes::new(&self.settings, key, &mut self.changes);
            let is_change = if is_ignored {
                entry.hear(&sighting, &mut changes);
                false
            } else {
                entry.absorb(&sighting, &mut changes)
            };
            // Fast path: its place in the queue is early enough.
            if !entry.is_queued(&self.settings) {
                self.queue(key);
            }
            return is_change;
        } else if is_ignored {
            return false;
        } else if self.unseen.contains(Bytes::new(key)) {
            self.seen_at_last(key, &sighting);
        } else if key.len() > KEY_BYTES_MAX || !self.has_room(first) {
            self.other = self.other.saturating_add(count);
            return false;
        } else {
            self.admit(key, &sighting, false);
            self.guests += 1;
        }
        self.queue(key);
        true
    }

    /// The first record of a key of the roster.
    fn seen_at_last(&mut self, key: &[u8], sighting: &Sighting<'_>) {
        let deadline = self.roster_deadline();
        let passed = deadline.filter(|deadline| sighting.heard.is_some_and(|at| at > *deadline));
        let mut changes = Changes::new(&self.settings, key, &mut self.changes);
        if let (Some(deadline), false) = (passed, self.unseen_told) {
            changes.unseen(deadline);
        }
        if passed.is_some() || self.unseen_told {
            let heard = sighting.heard.unwrap_or(sighting.at);
            let at = heard.max(deadline.unwrap_or(heard));
            changes.seen(at, &sighting.sample());
        }
        self.unseen.remove(Bytes::new(key));
        self.admit(key, sighting, true);
    }

    fn admit(&mut self, key: &[u8], sighting: &Sighting<'_>, on_roster: bool) {
        let mut changes = Changes::new(&self.settings, key, &mut self.changes);
        let entry = Entry::new(sighting, on_roster, &mut changes);
        self.keys.insert(key, entry);
    }

    /// When keys of the roster that are unseen by then are missing.
    fn roster_deadline(&self) -> Option<Time> {
        let started = self.started?;
        let within = self.settings.expect_within;
        let within = within.and_then(|within| later(started, within));
        let by = self.settings.expect_by.as_ref();
        let by = by.and_then(|deadlines| deadlines.after(started));
        within.into_iter().chain(by).min()
    }

    /// Whether silence of a key is something that is told.
    fn expects(&self) -> bool {
        self.settings.expect_within.is_some() || self.settings.expect_by.is_some()
    }

    /// Whether one more key fits, perhaps in the place of one that is idle.
    fn has_room(&mut self, now: Option<Time>) -> bool {
        if self.guests < KEYS_MAX {
            return true;
        }
        self.refused = self.refused.saturating_add(1);
        let Some(now) = now.filter(|_| self.refused > REFUSED_MIN) else {
            return false;
        };
        self.refused = 0;
        // A key that is expected must stay to be missed.
        if self.expects() {
            return false;
        }
        let guests = &mut self.guests;
        self.keys.retain(|_, entry| {
            let keep = entry.on_roster || !entry.is_idle(now);
            *guests -= usize::from(!keep);
            keep
        });
        self.guests < KEYS_MAX
    }

    /// Sees to it that a key is looked at when the next of its limits passes.
    fn queue(&mut self, key: &[u8]) {
        let Some(entry) = self.keys.get_mut(key) else {
            return;
        };
        if entry.is_queued(&self.settings) {
            return;
        }
        if let Some(due) = entry.due(&self.settings) {
            if let Some(queued) = entry.queued.replace(due) {
                self.due.remove(&(queued, ByteBuf::from(key)));
            }
            self.due.insert((due, ByteBuf::from(key)));
        }
    }

    /// Whether [`Keyed::conditions`] has nothing to say.
    pub fn is_quiet(&self, now: Time) -> bool {
        let waits = self.due.first().is_none_or(|(due, _)| *due > now);
        let is_early = || {
            self.roster_deadline()
                .is_none_or(|deadline| now <= deadline)
        };
        self.changes.is_empty() && waits && (self.unseen_told || is_early())
    }

    /// The wall clock was set back by `back` nanoseconds to `now`: times that are ahead of it go back as
    /// far, and what was missing or stuck only by the clock as it was is so no more.
    pub fn go_back(&mut self, now: Time, back: i64) {
        for time in [&mut self.started, &mut self.newest] {
            *time = time.map(|time| earlier(time, now, back));
        }
        let deadline = self.roster_deadline();
        if self.unseen_told && deadline.is_some_and(|deadline| now <= deadline) {
            self.unseen_told = false;
            for key in &self.unseen {
                Changes::new(&self.settings, key, &mut self.changes).clock_set_back(now);
            }
        }
        self.due.clear();
        for (key, entry) in self.keys.iter_mut() {
            let mut changes = Changes::new(&self.settings, key, &mut self.changes);
            entry.go_back(now, back, &mut changes);
            if let Some(due) = entry.due(&self.settings) {
                entry.queued = Some(due);
                self.due.insert((due, ByteBuf::from(key)));
            }
        }
    }

    /// What began or ceased to be wrong since the last call, up to `now`: what records changed in
    /// record order, then limits that passed, oldest first.
    pub fn conditions(&mut self, now: Time) -> Vec<Condition> {
        if let Some(deadline) = self.roster_deadline().filter(|deadline| now > *deadline) {
            self.tell_unseen(deadline);
        }
        while let Some((due, _)) = self.due.first() {
            if *due > now {
                break;
            }
            let (_, key) = self.due.pop_first().expect("the queue has a first");
            if let Some(entry) = self.keys.get_mut(&key) {
                entry.queued = None;
                let mut changes = Changes::new(&self.settings, &key, &mut self.changes);
                entry.look(now, &mut changes);
                if let Some(at) = entry.is_forgotten(&self.settings, now) {
                    entry.end(at, entry::FORGOTTEN, &mut changes);
                    self.keys.remove(&key);
                    self.guests -= 1;
                    continue;
                }
            }
            self.queue(&key);
        }
        take(&mut self.changes)
    }

    /// Tells that the input has ended: keys of the roster that were not seen are missing, even if
    /// nothing says within which time they were expected.
    pub fn finish(&mut self) {
        if !self.expects()
            && let Some(started) = self.started
        {
            self.tell_unseen(started);
        }
    }

    fn tell_unseen(&mut self, at: Time) {
        if self.unseen_told {
            return;
        }
        self.unseen_told = true;
        for key in &self.unseen {
            Changes::new(&self.settings, key, &mut self.changes).unseen(at);
        }
    }

    /// When [`Keyed::conditions`] may have something to say if no record comes before; at worst too
    /// early.
    pub fn next_due(&self) -> Option<Time> {
        let unseen = self.roster_deadline();
        let unseen = unseen.filter(|_| !self.unseen_told && !self.unseen.is_empty());
        let unseen = unseen.map(|deadline| Time(deadline.0.saturating_add(1)));
        let queued = self.due.first().map(|(due, _)| *due);
        unseen.into_iter().chain(queued).min()
    }

    /// The value of the newest record of a key.
    pub fn last(&self, key: &[u8]) -> Option<&[u8]> {
        Some(self.keys.get(key)?.value())
    }

    /// Nanoseconds since the newest record of a key.
    pub fn age(&self, key: &[u8], now: Time) -> Option<i64> {
        let last = self.keys.get(key)?.heard()?;
        Some(now.0.saturating_sub(last.0).max(0))
    }

    /// Whether a key was not seen within the time it was expected.
    pub fn is_missing(&self, key: &[u8], now: Time) -> bool {
        match self.keys.get(key) {
            Some(entry) => entry.is_late(&self.settings, now),
            None if self.unseen.contains(Bytes::new(key)) => {
                let passed = |deadline| now > deadline;
                self.unseen_told || self.roster_deadline().is_some_and(passed)
            }
            None => false,
        }
    }

    /// Whether a key has had the same pending value for too long.
    pub fn is_stuck(&self, key: &[u8], now: Time) -> bool {
        let entry = self.keys.get(key);
        entry.is_some_and(|entry| entry.is_stuck(&self.settings, now))
    }

    /// All keys, seen or on the roster, in order.
    pub fn keys(&self) -> Vec<&[u8]> {
        let seen = self.keys.iter().map(|(key, _)| key);
        let mut keys: Vec<&[u8]> = seen.chain(self.unseen.iter().map(|key| &key[..])).collect();
        keys.sort_unstable();
        keys
    }

    /// Every key as it stands at `now`, sorted by the values of its fields.
    pub fn rows(&self, now: Time) -> Vec<Row<'_>> {
        let seen = self.keys.iter();
        let mut rows: Vec<Row<'_>> = seen
            .map(|(key, entry)| entry.row(&self.settings, key, now))
            .collect();
        let unseen = self.unseen.iter();
        rows.extend(unseen.map(|key| entry::row_of_unseen(&self.settings, key)));
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows
    }

    /// Records of keys that found no room.
    pub fn other(&self) -> u64 {
        self.other
    }

    pub fn is_approximate(&self) -> bool {
        self.other > 0
    }

    /// Drops what is known of a key, as somebody who saw to it asks: what was wrong with it ends. A key
    /// of the roster is then one that was never seen. Tells whether the key was known.
    pub fn forget(&mut self, key: &[u8], at: Time) -> bool {
        let Some(mut entry) = self.keys.remove(key) else {
            return false;
        };
        let mut changes = Changes::new(&self.settings, key, &mut self.changes);
        entry.end(at, "acknowledged", &mut changes);
        if let Some(queued) = entry.queued {
            self.due.remove(&(queued, ByteBuf::from(key)));
        }
        if entry.on_roster {
            self.unseen.insert(ByteBuf::from(key));
        } else {
            self.guests -= 1;
        }
        true
    }

    /// Adds what a state of the same settings made of a run that came after this one (law 4). What
    /// was told about its keys stays as the later run left it.
    pub fn merge(&mut self, other: &Keyed) {
        self.started = self.started.into_iter().chain(other.started).min();
        self.newest = self.newest.max(other.newest);
        self.other = self.other.saturating_add(other.other);
        for (key, theirs) in other.keys.sorted() {
            match self.keys.get_mut(key) {
                Some(entry) => entry.merge(theirs),
                None if theirs.on_roster || self.guests < KEYS_MAX => {
                    self.guests += usize::from(!theirs.on_roster);
                    self.unseen.remove(Bytes::new(key));
                    let mut entry = theirs.clone();
                    entry.queued = None;
                    self.keys.insert(key, entry);
                }
                None => self.other = self.other.saturating_add(theirs.count()),
            }
            self.queue(key);
        }
    }
}

/// A time that is ahead of `now` goes back by so many nanoseconds.
fn earlier(time: Time, now: Time, back: i64) -> Time {
    if time > now {
        Time(time.0.saturating_sub(back))
    } else {
        time
    }
}

/// The time `nanoseconds` after another; none past the end of time.
fn later(time: Time, nanoseconds: i64) -> Option<Time> {
    time.0.checked_add(nanoseconds).map(Time)
}

#[cfg(test)]
mod tests;
