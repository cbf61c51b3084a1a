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
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    /// Its newest second.
    newest: i64,
    /// Wall-clock time of its last batch.
    heard: Option<Time>,
    /// None of its records had a time: it stands where its batches arrived.
    is_timeless: bool,
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
        for place in self.sources.values_mut() {
            place.newest = earlier(place.newest);
            place.heard = place.heard.map(earlier_time);
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

    /// A source has come to a later second.
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
        self.started.get_or_insert(second);
        let place = self.sources.entry(from.source.0).or_insert(Place {
            newest: second,
            heard: arrival,
            is_timeless: true,
        });
        place.is_timeless &= spoken == Spoken::ByArrival;
        place.newest = place.newest.max(second);
        self.states = self.states.max(Some(second));
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
            let speaking = self.sources.values().filter(|place| !is_silent(place));
            // With nobody left to wait for, time goes on from where each stopped.
            speaking.map(|place| place.newest).min().or_else(|| {
                let places = self.sources.values();
                let gone = |place: &Place| {
                    let since = now?.0.saturating_sub(place.heard?.0) / Time::SECOND;
                    Some(place.newest.saturating_add(since))
                };
                places.filter_map(gone).max()
            })
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
        let newest = place.map(|place| place.newest);
        newest
            .or(from.arrival.map(Time::second))
            .or(self.states)
            .unwrap_or(0)
    }

    /// The wall clock has come to `now`.
    pub fn tick(&mut self, now: Time, lateness: i64) {
        self.now = self.now.max(Some(now));
        let heard = *self.heard.get_or_insert(now);
        if now.0.saturating_sub(heard.0) >= QUIET {
            self.states = self.states.max(Some(now.second()));
            self.started.get_or_insert(now.second());
        }
        self.watermark = self.watermark.max(self.low(lateness, true));
    }

    /// Nothing more will come.
    pub fn finish(&mut self, now: Option<Time>) {
        self.now = self.now.max(now);
        let newest = self.sources.values().map(|place| place.newest).max();
        self.watermark = self.watermark.max(newest);
        self.states = self.states.max(newest);
    }
}
