//! What rules knew when a checkpoint was written, for whoever looks at a state directory from outside.

use crate::flow::time::Time;
use crate::rules::Saved;
use crate::rules::life::Phase;
use crate::state::Watched;
use crate::state::keyed::Keyed;

impl Saved {
    /// States, sets and the alerts that fire, as a report shows them.
    pub fn known(&self) -> Watched {
        let active = self.lives.active().into_iter();
        let firing = active.filter(|active| active.phase != Phase::Pending);
        Watched {
            states: self.states().cloned().collect(),
            sets: self.sets.iter().map(|kept| kept.known.clone()).collect(),
            alerts: firing.map(|active| active.alert.clone()).collect(),
            at: self.moment.now,
            approximate: Vec::new(),
        }
    }

    pub fn states(&self) -> impl Iterator<Item = &Keyed> {
        self.states.iter().map(|kept| &kept.known)
    }

    /// [`Keyed::forget`] for a key of the state `name`, as of the moment that states are at; alerts about
    /// it end with the next start. `false` if it was not known.
    pub fn forget(&mut self, name: &str, key: &[u8]) -> bool {
        let second = self.moment.states;
        let at = second.and_then(|second| Time::from_parts(second, 0));
        let at = at.or(self.moment.now).unwrap_or(Time(0));
        let mut states = self.states.iter_mut().filter(|kept| kept.name == name);
        states.any(|kept| kept.known.forget(key, at))
    }
}
