//! Where rules are in time: how far each source has come, the watermark up to which windows are
//! closed, the moment that states are looked at, and the wall clock of a live run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flow::time::Time;
use crate::rules::{FUTURE, From};

/// A source that says nothing for so long, in nanoseconds, does not hold the watermark back any more.
pub const SILENT: i64 = 30 * Time::SECOND;

/// When no source has said anything for so long, in nanoseconds, all that was written has been read,
/// and states are looked at by the wall clock.
pub const QUIET: i64 = 2 * Time::SECOND;

/// A wall clock that goes so far ahead between two looks at it, in nanoseconds, has jumped, or the
/// machine slept: a live run looks every second.
pub const PAUSE: i64 = 5 * Time::SECOND;

/// A wall clock that goes so far back, in nanoseconds, was set. For less, time stands still until the
/// clock has caught up.
pub const BACK: i64 = 5 * Time::SECOND;

/// How the wall clock has moved since it was looked at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    On,
    /// It went ahead by more than [`PAUSE`], from there.
    Ahead(Time),
    /// It went back by more than [`BACK`], from there.
    Back(Time),
}

/// All in whole seconds of event time, but for `now`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Moment {
    /// The first second of the run.
    pub started: Option<i64>,
    /// Up to where windows are closed.
    pub watermark: Option<i64>,
    /// The moment that states are at: the newest second, or the wall clock when it is quiet.
    pub states: Option<i64>,
    /// Wall-clock time of a live run, else the newest event time.
    pub now: Option<Time>,
    sources: BTreeMap<u32, Place>,
    /// The source of the last batch.
    last: Option<u32>,
    /// Wall-clock time of the last batch of any source, or of the first tick.
    heard: Option<Time>,
    /// What was written before this wall-clock time has been taken in.
    pub complete: Option<Time>,
    #[serde(skip)]
    pub reads: Reads,
    /// Sources that are read, as far as they are known.
    #[serde(skip)]
    pub inputs: usize,
    /// Wall-clock time of the first batch or tick of this process.
    #[serde(skip)]
    woken: Option<Time>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    /// Its newest second.
    newest: i64,
    /// Wall-clock time of its last batch.
    heard: Option<Time>,
    /// None of its records had a time: it stands where its batches arrived.
    is_timeless: bool,
    /// Wall-clock time at which the newest second came.
    #[serde(default)]
    spoken: Option<Time>,
}

impl Place {
    /// Where the source is `now`, if nothing is left to be read: time has gone on since it spoke last.
    fn position(&self, now: Option<Time>) -> i64 {
        let since = now.zip(self.spoken.or(self.heard));
        let since = since.map_or(0, |(now, at)| {
            now.0.saturating_sub(at.0).max(0) / Time::SECOND
        });
        self.newest.saturating_add(since)
    }
}

/// After so long, in nanoseconds, silence is judged by what was read even if reading never catches up with
/// what is written.
const OVERLOAD: i64 = 60 * Time::SECOND;

/// So long after its start, in nanoseconds, a run waits for sources that it has not come to yet.
const FIRST_TURN: i64 = 10 * Time::SECOND;

/// Whether all that was written has been taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Nothing says so: it has if nothing came for [`QUIET`].
    #[default]
    Unknown,
    /// There is more to be read.
    Behind,
    CaughtUp,
}

/// Who says how late it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    ByRecord,
    /// The source has no times.
    ByArrival,
}

/// A time that is too far ahead of its arrival.
pub(super) struct Future;

impl Moment {
    /// How the wall clock of a live run has moved, if it says `now`.
    pub fn turn(&self, now: Time) -> Turn {
        match self.now {
            Some(before) if now.0.saturating_sub(before.0) > PAUSE => Turn::Ahead(before),
            Some(before) if before.0.saturating_sub(now.0) > BACK => Turn::Back(before),
            _ => Turn::On,
        }
    }

    /// The wall clock was set back by `back` to `now`: what is ahead of it goes back as far.
    pub fn go_back(&mut self, now: Time, back: i64, lateness: i64) {
        let second = now.second();
        let back_seconds = back / Time::SECOND;
        let earlier = |at: i64| if at > second { at - back_seconds } else { at };
        let earlier_time = |at: Time| if at > now { Time(at.0 - back) } else { at };
        self.started = self.started.map(earlier);
        self.states = self.states.map(earlier);
        self.now = Some(now);
        self.heard = self.heard.map(earlier_time);
        self.complete = self.complete.map(earlier_time);
        self.woken = self.woken.map(earlier_time);
        for place in self.sources.values_mut() {
            place.newest = earlier(place.newest);
            place.heard = place.heard.map(earlier_time);
            place.spoken = place.spoken.map(earlier_time);
        }
        self.watermark = self.watermark.min(self.low(lateness, true));
    }

    /// A batch has come. Returns a second to go on to if its source has no times.
    pub fn arrive(&mut self, from: &From, is_timed: bool, live: bool) -> Option<i64> {
        let arrival = from.arrival.filter(|_| live);
        self.last = Some(from.source.0);
        if let Some(arrival) = arrival {
            self.now = self.now.max(Some(arrival));
            self.heard = self.heard.max(Some(arrival));
            self.woken.get_or_insert(arrival);
        }
        let place = self.sources.get_mut(&from.source.0);
        let is_timeless = match place {
            Some(place) => {
                place.heard = place.heard.max(arrival);
                place.is_timeless
            }
            None => true,
        };
        from.arrival
            .filter(|_| is_timeless && !is_timed)
            .map(Time::second)
    }

    /// Whether all that was written until `now` has been taken in.
    fn is_caught_up(&self, now: Option<Time>) -> bool {
        match self.reads {
            Reads::CaughtUp => true,
            Reads::Behind => false,
            Reads::Unknown => now
                .zip(self.heard)
                .is_none_or(|(now, heard)| now.0.saturating_sub(heard.0) >= QUIET),
        }
    }

    /// A source has come to another second. A clock that runs ahead of the arrival moves nothing further
    /// than to the arrival.
    pub fn advance(
        &mut self,
        from: &From,
        second: i64,
        spoken: Spoken,
        lateness: i64,
        live: bool,
    ) -> Result<(), Future> {
        let arrival = from.arrival.filter(|_| live);
        let is_future = |at: Time| second > Time(at.0.saturating_add(FUTURE)).second();
        if arrival.is_some_and(is_future) {
            return Err(Future);
        }
        let second = arrival.map_or(second, |arrival| second.min(arrival.second()));
        self.started.get_or_insert(second);
        let place = self.sources.entry(from.source.0).or_insert(Place {
            newest: second,
            heard: arrival,
            is_timeless: true,
            spoken: arrival,
        });
        place.is_timeless &= spoken == Spoken::ByArrival;
        if second >= place.newest {
            place.newest = second;
            place.spoken = arrival.and_then(|arrival| Time::from_parts(arrival.second(), 0));
        }
        // Silence is judged by the clock once all that was written is taken in; a stream that does not
        // pause is where its records are.
        if !live || self.reads == Reads::Unknown {
            self.states = self.states.max(Some(second));
        }
        if !live {
            let newest = Time::from_parts(second, 0);
            self.now = self.now.max(newest);
        }
        self.watermark = self.watermark.max(self.low(lateness, live));
        Ok(())
    }

    /// The newest second that every source has reached that still says something.
    fn low(&self, lateness: i64, live: bool) -> Option<i64> {
        let lateness = lateness.max(0).div_euclid(Time::SECOND)
            + i64::from(lateness.max(0) % Time::SECOND > 0);
        let (now, last) = (self.now, self.last);
        let is_silent = |place: &Place| match (now, place.heard) {
            (Some(now), Some(heard)) => now.0.saturating_sub(heard.0) >= SILENT,
            _ => false,
        };
        let newest = if live {
            let is_caught_up = self.is_caught_up(now);
            let position = |place: &Place| match is_caught_up {
                true => place.position(now),
                false => place.newest,
            };
            let is_new = self.woken.zip(now);
            let is_new = is_new.is_some_and(|(woken, now)| now.0 - woken.0 < FIRST_TURN);
            let waits = self.reads == Reads::Behind && is_new;
            if waits && self.inputs > self.sources.len() {
                // Some sources were not come to yet.
                return None;
            }
            let speaking = self.sources.values();
            let speaking = speaking.filter(|place| waits || !is_silent(place));
            // With nobody left to wait for, time goes on from where each stopped.
            let gone = || self.sources.values().map(|place| place.position(now)).max();
            let newest = speaking.map(position).min().or_else(gone);
            // A run that never reads anything is where the clock is.
            newest.or_else(|| now.filter(|_| is_caught_up).map(Time::second))
        } else {
            // Read one after the other: those before have ended.
            let last = last.and_then(|last| self.sources.get(&last));
            last.map(|place| place.newest)
        };
        newest.map(|newest| newest.saturating_sub(lateness))
    }

    /// The second of a record that has no time: the newest of its source, else of its arrival.
    pub fn second_of(&self, from: &From) -> i64 {
        let place = self.sources.get(&from.source.0);
        let newest = place.map(|place| match from.arrival {
            Some(_) if place.spoken.is_some() => place.position(from.arrival),
            _ => place.newest,
        });
        newest
            .or(from.arrival.map(Time::second))
            .or(self.states)
            .unwrap_or(0)
    }

    /// The wall clock has come to `now`.
    pub fn tick(&mut self, now: Time, lateness: i64) {
        self.now = self.now.max(Some(now));
        self.heard.get_or_insert(now);
        let woken = *self.woken.get_or_insert(now);
        if self.is_caught_up(Some(now)) {
            self.complete = self.complete.max(Some(now));
            self.states = self.states.max(Some(now.second()));
            self.started.get_or_insert(now.second());
        } else if self.reads == Reads::Behind && now.0.saturating_sub(woken.0) >= OVERLOAD {
            let slowest = self.sources.values().map(|place| place.newest).min();
            self.states = self.states.max(slowest);
        }
        self.watermark = self.watermark.max(self.low(lateness, true));
    }

    /// Whether a record was read.
    pub fn heard_anything(&self) -> bool {
        !self.sources.is_empty()
    }

    /// When the next source that speaks will have been silent for so long that it is not waited for.
    pub fn next_silent(&self) -> Option<Time> {
        let now = self.now?;
        let heard = self.sources.values().filter_map(|place| place.heard);
        let silent = heard.map(|heard| Time(heard.0.saturating_add(SILENT)));
        silent.filter(|silent| *silent > now).min()
    }

    /// Nothing more will come.
    pub fn finish(&mut self, now: Option<Time>) {
        self.now = self.now.max(now);
        let newest = self.sources.values().map(|place| place.newest).max();
        self.watermark = self.watermark.max(newest);
        self.states = self.states.max(newest);
    }
}
