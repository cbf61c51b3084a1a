//! A batch in which the fold has panicked before: its records are tried on copies of what the fold knows,
//! and those that make it panic are set aside, so that the fold itself takes in only what it can.
//!
//! By law 1 a batch may end anywhere, so the first record that panics is found by halving: if the first
//! `n` records can be taken in and the first `n + 1` cannot, it is the one behind them. It is slow, and only
//! for batches that overlap with a range of [`Suspects`](crate::store::suspects::Suspects).

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::faults::guard;
use crate::engine::fold::{Fold, Known};
use crate::engine::mapper::{Mapper, careful};
use crate::flow::batch::{Batch, Content};
use crate::flow::mapped::Mapped;
use crate::flow::time::Time;
use crate::plan::Plan;

/// Records of one batch that are looked for; behind that many the rest of the batch is set aside.
/// Each takes as many trials as the number of records has binary digits, a few milliseconds a trial.
const CULPRITS_MAX: usize = 64;

/// Maps a batch, with the records set aside that make the fold panic. If that helps nothing, as for a panic
/// that no record causes, the batch is mapped as it is.
#[cold]
pub fn map(plan: &Plan, fold: &mut Fold, batch: &Batch) -> Option<Mapped> {
    let mut trials = Trials {
        plan,
        mapper: Mapper::new(plan),
        known: fold.known(),
        now: fold.arrival,
        batch,
        aside: HashMap::new(),
    };
    trials.find();
    trials.map(None).0
}

struct Trials<'p> {
    plan: &'p Plan,
    mapper: Mapper<'p>,
    /// What the fold knows before the batch.
    known: Known,
    now: Option<Time>,
    batch: &'p Batch,
    /// Why records are set aside, by their place in the chunk.
    aside: HashMap<u32, String>,
}

impl Trials<'_> {
    /// Fills `aside`; leaves it empty if a panic stays all the same.
    fn find(&mut self) {
        // So many records at the front can be taken in.
        let mut good = 0;
        loop {
            let (tried, places) = self.attempt(None);
            let Err(reason) = tried else { return };
            if good >= places.len() || self.attempt(Some(good)).0.is_err() {
                return self.aside.clear();
            }
            if self.aside.len() >= CULPRITS_MAX {
                let rest = places[good..].iter();
                self.aside
                    .extend(rest.map(|place| (*place, reason.clone())));
                good = places.len();
                continue;
            }
            let (mut bad, mut reason) = (places.len(), reason);
            while bad - good > 1 {
                let middle = good + (bad - good) / 2;
                match self.attempt(Some(middle)).0 {
                    Ok(()) => good = middle,
                    Err(earlier) => (bad, reason) = (middle, earlier),
                }
            }
            if self.aside.insert(places[good], reason).is_some() {
                return self.aside.clear();
            }
            good = bad;
        }
    }

    /// Takes the first records of the batch in, on a copy. Returns the places of the records, too.
    fn attempt(&mut self, first: Option<usize>) -> (Result<(), String>, Vec<u32>) {
        let (mapped, places) = self.map(first);
        let Some(mut mapped) = mapped else {
            return (Err("cannot be mapped".to_owned()), places);
        };
        mapped.mark = self.batch.mark.clone();
        mapped.name = Arc::clone(&self.batch.name);
        // Rules look up the lines of their samples.
        if let Content::Read(chunk) = &self.batch.content
            && !mapped.observed.runs.is_empty()
        {
            mapped.observed.content = chunk.to_vec();
        }
        let (known, now) = (self.known.clone(), self.now);
        let tried = guard(|| {
            let mut fold = Fold::new(self.plan, known);
            fold.arrival = now;
            fold.absorb(&mut mapped);
            if let Some(now) = now {
                fold.tick(now);
            }
        });
        (tried, places)
    }

    fn map(&mut self, first: Option<usize>) -> (Option<Mapped>, Vec<u32>) {
        let aside = self.aside.clone();
        careful::map_part(self.plan, &mut self.mapper, self.batch, aside, first)
    }
}
