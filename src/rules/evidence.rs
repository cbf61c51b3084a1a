//! What alerts show and count beside the record that began them.

use std::mem::replace;

use crate::flow::alert::Evidence;
use crate::flow::observed::Observed;
use crate::flow::time::Time;
use crate::rules::Rules;

impl Rules {
    /// What is told at `now` shows all that happened until then.
    pub(super) fn refresh(&mut self, now: Time) {
        if self.router.next_due().is_none_or(|due| due > now) {
            return;
        }
        for alert in self.lives.take_news() {
            self.router.refresh(alert);
        }
    }

    /// Keeps what alerts of this batch show besides its records, with secrets masked.
    pub(super) fn keep_before(&mut self, observed: &Observed) {
        if !observed.before.is_empty() {
            let mut before = Evidence {
                samples: observed.before.clone(),
                ..Evidence::default()
            };
            self.mask.evidence(&mut before);
            self.before = before.samples;
        }
    }

    /// Puts the numbers of each run together.
    pub(super) fn sort_numbers(&mut self, observed: &Observed) {
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
}
