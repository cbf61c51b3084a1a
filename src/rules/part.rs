//! Parts of what was observed of one batch, so that batches of several files can be taken in side by side.

use std::mem::replace;
use std::ops::Range;

use crate::flow::observed::{Number, Observed};

/// A part of what was observed of a batch: records that follow each other.
#[derive(Clone, Debug)]
pub struct Part {
    /// Places in [`Observed::runs`].
    pub runs: Range<usize>,
    /// Places in [`Observed::advances`].
    pub advances: Range<usize>,
}

/// Numbers of a batch in the order of their runs: the end of each run's, and the numbers.
#[derive(Debug, Default)]
pub struct Sorted {
    ends: Vec<u32>,
    numbers: Vec<Number>,
}

impl Sorted {
    /// Puts the numbers of each run together.
    pub fn fill(&mut self, observed: &Observed) {
        self.ends.clear();
        self.ends.resize(observed.runs.len(), 0);
        self.numbers.clear();
        let Some(first) = observed.numbers.first() else {
            return;
        };
        for number in &observed.numbers {
            self.ends[number.run as usize] += 1;
        }
        let mut sum = 0;
        for end in &mut self.ends {
            sum += replace(end, sum);
        }
        self.numbers.resize(observed.numbers.len(), *first);
        for number in &observed.numbers {
            let place = &mut self.ends[number.run as usize];
            self.numbers[*place as usize] = *number;
            *place += 1;
        }
    }

    /// Those of the run of this place.
    pub(super) fn of(&self, run: usize) -> &[Number] {
        let start = match run.checked_sub(1) {
            Some(before) => self.ends[before] as usize,
            None => 0,
        };
        &self.numbers[start..self.ends[run] as usize]
    }
}
