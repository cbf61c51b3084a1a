//! What alerts show and count beside the record that began them.

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
}
