//! A key on its way through the steps of a state: build, migrate, restart. A step that is left out or
//! taken backwards breaks the order until the key starts over.

use serde::{Deserialize, Serialize};

use crate::flow::time::Time;

/// Where a key is on its way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    /// Place of the step of the last record that named one.
    step: Option<u16>,
    /// The first step and its time, so that a walk can be joined to the one before it.
    first: Option<(u16, Time)>,
    rounds: u64,
    skipped: u64,
    backwards: u64,
    /// The first thing in this round that broke the order.
    broken: Option<Broken>,
    /// The same for the first round alone and without its first step: what remains of it when another
    /// walk turns out to have come before.
    broken_later: Option<Broken>,
}

/// What broke the order of a round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    pub at: Time,
    /// The step before; none at the first record of a key.
    pub from: Option<u16>,
    pub to: u16,
}

/// What one step changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The order of this round broke.
    Broke,
    /// A new round began after one whose order was broken.
    Mended,
}

/// A step seen from the one before.
enum Movement {
    Same,
    Next,
    /// Back to the first step.
    Round,
    /// Over this many steps.
    Skip(u64),
    Back,
}

fn movement(from: Option<u16>, to: u16) -> Movement {
    // Before the first record a key stands before the first step.
    let next = from.map_or(0, |step| step + 1);
    match from {
        Some(from) if to == from => Movement::Same,
        Some(_) if to == 0 => Movement::Round,
        _ if to == next => Movement::Next,
        _ if to > next => Movement::Skip(u64::from(to - next)),
        _ => Movement::Back,
    }
}

impl Walk {
    /// The key is at `step`.
    pub fn take(&mut self, step: u16, at: Time) -> Option<Change> {
        let opens = self.first.is_none();
        if opens {
            self.first = Some((step, at));
            self.rounds = 1;
        }
        let from = self.step.replace(step);
        let broken = match movement(from, step) {
            Movement::Same | Movement::Next => return None,
            Movement::Round => {
                self.rounds = self.rounds.saturating_add(1);
                return self.broken.take().map(|_| Change::Mended);
            }
            Movement::Skip(steps) => {
                self.skipped = self.skipped.saturating_add(steps);
                Broken { at, from, to: step }
            }
            Movement::Back => {
                self.backwards = self.backwards.saturating_add(1);
                Broken { at, from, to: step }
            }
        };
        if self.rounds == 1 && !opens && self.broken_later.is_none() {
            self.broken_later = Some(broken.clone());
        }
        if self.broken.is_some() {
            return None;
        }
        self.broken = Some(broken);
        Some(Change::Broke)
    }

    /// Adds a walk that came after this one (law 4).
    pub fn merge(&mut self, other: &Walk) {
        let Some((first, at)) = other.first else {
            return;
        };
        if self.first.is_none() {
            self.clone_from(other);
            return;
        }
        let is_first_round = self.rounds == 1;
        let from = self.step;
        // The other walk counted its first step from before the first one: that was not so.
        self.skipped = self
            .skipped
            .saturating_add(other.skipped.saturating_sub(u64::from(first)));
        self.backwards = self.backwards.saturating_add(other.backwards);
        let movement = movement(from, first);
        let broken = match movement {
            Movement::Skip(steps) => {
                self.skipped = self.skipped.saturating_add(steps);
                true
            }
            Movement::Back => {
                self.backwards = self.backwards.saturating_add(1);
                true
            }
            Movement::Same | Movement::Next | Movement::Round => false,
        };
        let broken = broken.then_some(Broken {
            at,
            from,
            to: first,
        });
        if matches!(movement, Movement::Round) {
            self.rounds = self.rounds.saturating_add(1);
            self.broken = None;
        } else if is_first_round && self.broken_later.is_none() {
            self.broken_later = broken.clone().or_else(|| other.broken_later.clone());
        }
        if other.rounds > 1 {
            self.broken.clone_from(&other.broken);
        } else if self.broken.is_none() {
            self.broken = broken.or_else(|| other.broken_later.clone());
        }
        self.rounds = self.rounds.saturating_add(other.rounds.saturating_sub(1));
        self.step = other.step;
    }

    pub fn step(&self) -> Option<u16> {
        self.step
    }

    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// How often the key has started, this round among them.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Steps that were left out.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Steps that came after a later one.
    pub fn backwards(&self) -> u64 {
        self.backwards
    }
}
