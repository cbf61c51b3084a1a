//! The clock of a replay: it goes from one moment at which something may begin or end to the next, so that
//! alerts are told when a run would have told them, however long nothing is read.

use crate::flow::time::Time;
use crate::rules::Rules;
use crate::state::keyed::Keyed;

impl Rules {
    /// Lets the clock of a replay come to `until`, with a stop wherever something may begin or end.
    pub fn pass(&mut self, until: Time) {
        while let Some(due) = self.due().filter(|due| *due < until) {
            self.tick(due);
        }
        self.tick(until);
    }

    /// When the next tick may find something, by the clock; at worst too early.
    fn due(&self) -> Option<Time> {
        let now = self.now()?;
        let next = Time(now.0.saturating_add(1));
        let states = self.states.iter().filter_map(Keyed::next_due).min();
        // Windows close so long after the clock has passed them.
        let lag = match self.watermark() {
            Some(watermark) => now.0.saturating_sub(watermark.0).max(0),
            None => 0,
        };
        let behind = |time: Time| Time(time.0.saturating_add(lag));
        let watches = self.plan.rules.iter().zip(&self.watches);
        let watches = watches.filter_map(|(rule, watch)| {
            let is_of_states = rule.parts.is_empty() && rule.new.is_none();
            let lag = if is_of_states { 0 } else { lag };
            let second = watch.next_due(rule, self.moment.started)?;
            Some(Time(Time::from_parts(second, 0)?.0.saturating_add(lag)))
        });
        let lives = self.lives.next_due().map(behind);
        let silent = self.moment.next_silent();
        let due = watches.chain(lives).chain(silent);
        let due = due.chain(self.router.next_due()).min();
        // In whole seconds, as a run ticks; limits of states pass at their own moment.
        let due = due
            .and_then(|due| Time::from_parts(-due.0.saturating_neg().div_euclid(Time::SECOND), 0));
        Some(due.into_iter().chain(states).min()?.max(next))
    }
}
