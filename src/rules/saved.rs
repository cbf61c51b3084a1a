//! What rules know when a checkpoint is written: to go on from, and to be looked at from outside.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flow::time::Time;
use crate::rules::judge::Watch;
use crate::rules::life::{Lives, Phase};
use crate::rules::moment::Moment;
use crate::rules::passed::Passed;
use crate::rules::routing::Router;
use crate::rules::{Rules, RulesPlan};
use crate::state::Watched;
use crate::state::keyed::{Keyed, Kind};
use crate::state::sets::Sets;

/// What rules know, to be written in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Saved {
    rules: Vec<Kept<Watch>>,
    states: Vec<Kept<Keyed>>,
    sets: Vec<Kept<Sets>>,
    lives: Lives,
    router: Router,
    moment: Moment,
    passed: Passed,
}

/// What one rule, state or set knows, and how to find it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept<T> {
    name: String,
    definition: String,
    notify: Vec<String>,
    known: T,
}

impl Rules {
    /// Rules that know what `saved` knew about those that are the same in the new plan: of the same name
    /// and made of the same. What the others knew is dropped, and their alerts end.
    pub fn resume(plan: RulesPlan, saved: Saved) -> Rules {
        let mut rules = Rules::new(plan);
        let old_rules = saved.rules.len();
        let mut places = BTreeMap::new();
        let mut notify: Vec<Vec<String>> = Vec::new();
        for (old, kept) in saved.rules.into_iter().enumerate() {
            let new =
                rules.plan.rules.iter().position(|rule| {
                    rule.life.name == kept.name && rule.definition == kept.definition
                });
            notify.push(kept.notify);
            if let Some(new) = new {
                rules.watches[new] = kept.known;
                places.insert(old as u32, new as u32);
            }
        }
        let mut roster_changed = false;
        for (old, kept) in saved.states.into_iter().enumerate() {
            let new = rules.plan.states.iter().position(|state| {
                state.settings.name == kept.name && state.definition == kept.definition
            });
            let kinds = Kind::ALL.len();
            for kind in 0..kinds {
                notify.push(kept.notify.clone());
                if let Some(new) = new.filter(|new| !rules.plan.states[*new].notify.is_empty()) {
                    let new = rules.plan.rules.len() + new * kinds + kind;
                    places.insert((old_rules + old * kinds + kind) as u32, new as u32);
                }
            }
            if let Some(new) = new {
                rules.states[new] = kept.known;
                let settings = rules.plan.states[new].settings.clone();
                roster_changed |= rules.states[new].reconfigure(settings);
            }
        }
        for kept in saved.sets {
            let new = rules.plan.sets.iter().position(|set| {
                set.settings.name == kept.name && set.definition == kept.definition
            });
            if let Some(new) = new {
                rules.sets[new] = kept.known;
            }
        }
        for watch in &rules.watches {
            watch.charge(&mut rules.budget);
        }
        rules.lives = saved.lives;
        rules.router = saved.router;
        rules.moment = saved.moment;
        rules.passed = saved.passed;
        let now = rules.now().unwrap_or(Time(0));
        let ended = rules.lives.renumber(&places, now);
        let watches = rules.plan.rules.iter().zip(&mut rules.watches);
        for (rule, watch) in watches.filter(|(rule, _)| roster_changed && rule.is_timed()) {
            watch.expect(rule, now);
        }
        let (routes, silences) = (rules.plan.notifiers.clone(), rules.plan.silences.clone());
        rules.router.quieten(rules.plan.mutes.clone(), now);
        rules.router.reconfigure(routes, silences, now);
        for (old, alert) in ended {
            let notify = notify.get(old as usize).map_or(&[][..], Vec::as_slice);
            rules.router.announce(&alert, now);
            rules.router.take(alert, notify, now);
        }
        rules
    }

    /// All that is known, for a checkpoint.
    pub fn save(&self) -> Saved {
        let rules = self.plan.rules.iter().zip(&self.watches);
        let states = self.plan.states.iter().zip(&self.states);
        let sets = self.plan.sets.iter().zip(&self.sets);
        Saved {
            rules: rules
                .map(|(rule, watch)| Kept {
                    name: rule.life.name.clone(),
                    definition: rule.definition.clone(),
                    notify: rule.notify.clone(),
                    known: watch.clone(),
                })
                .collect(),
            states: states
                .map(|(plan, state)| Kept {
                    name: plan.settings.name.clone(),
                    definition: plan.definition.clone(),
                    notify: plan.notify.clone(),
                    known: state.clone(),
                })
                .collect(),
            sets: sets
                .map(|(plan, set)| Kept {
                    name: plan.settings.name.clone(),
                    definition: plan.definition.clone(),
                    notify: Vec::new(),
                    known: set.clone(),
                })
                .collect(),
            lives: self.lives.clone(),
            router: self.router.clone(),
            moment: self.moment.clone(),
            passed: self.passed,
        }
    }
}

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
