//! Rules: what is observed of the records moves states, sets and windows; when a rule holds, its
//! alerts live, are grouped and become notifications. Owned by the fold; no clock, no I/O: everything
//! up to the notifications that wait is a function of what is handed in.

pub mod baseline;
pub mod life;
pub mod mask;
pub mod routing;
pub mod rule;
pub mod watched;

use serde::{Deserialize, Serialize};

use crate::flow::alert::{Alert, Notification};
use crate::flow::batch::SourceId;
use crate::flow::observed::Observed;
use crate::flow::time::Time;
use crate::rules::life::Lives;
use crate::rules::routing::{RouteSettings, Router, Silence};
use crate::rules::rule::Rule;
use crate::rules::watched::{SetPlan, StatePlan};
use crate::state::keyed::Keyed;
use crate::state::sets::Sets;

/// Everything that rules are made of, checked.
#[derive(Clone, Debug, Default)]
pub struct RulesPlan {
    pub rules: Vec<Rule>,
    pub states: Vec<StatePlan>,
    pub sets: Vec<SetPlan>,
    pub notifiers: Vec<RouteSettings>,
    pub silences: Vec<Silence>,
    /// Nanoseconds that a record may come behind the newest one of its source.
    pub lateness: i64,
    /// Whether the sources go on and time passes with the clock, or all that is read was written
    /// before.
    pub live: bool,
    /// Makes the summary of an alert whose rule has a template.
    pub summarise: Option<Summarise>,
}

/// Fills the template of a `summary`; `None` if it cannot, and then the rule's own words stand.
pub type Summarise = fn(template: &str, facts: &Facts) -> Option<String>;

/// What a template of a summary may use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts<'a> {
    pub rule: &'a str,
    pub severity: &'a str,
    /// Names and values of the fields of `by`.
    pub labels: Vec<(&'a str, String)>,
    pub value: Option<f64>,
    pub count: u64,
    pub template: Option<&'a str>,
    /// What would be said without a template.
    pub summary: &'a str,
}

/// Where a batch came from.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    pub source: SourceId,
    /// Of the batch in its source, in bytes.
    pub position: u64,
    /// Wall-clock time at which the batch was read; of a source that is read to its end perhaps the
    /// time of its last change, for records without a time. A time more than [`FUTURE`] later is
    /// not believed.
    pub arrival: Option<Time>,
    /// Name of the source.
    pub name: &'a str,
}

/// All rules with everything they know.
#[derive(Debug)]
pub struct Rules {
    plan: RulesPlan,
    lives: Lives,
    router: Router,
    states: Vec<Keyed>,
    sets: Vec<Sets>,
}

/// What rules know, to be written in a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    lives: Lives,
    router: Router,
}

impl Rules {
    /// Rules that know nothing yet.
    pub fn new(plan: RulesPlan) -> Rules {
        Rules {
            lives: Lives::default(),
            router: Router::new(plan.notifiers.clone(), plan.silences.clone()),
            states: plan
                .states
                .iter()
                .map(|state| Keyed::new(state.settings.clone()))
                .collect(),
            sets: plan
                .sets
                .iter()
                .map(|set| Sets::new(set.settings.clone()))
                .collect(),
            plan,
        }
    }

    /// Rules that know what `saved` knew about those that are the same in the new plan.
    pub fn resume(plan: RulesPlan, saved: Saved) -> Rules {
        let mut rules = Rules::new(plan);
        rules.lives = saved.lives;
        rules.router = saved.router;
        rules
    }

    /// All that is known, for a checkpoint.
    pub fn save(&self) -> Saved {
        Saved {
            lives: self.lives.clone(),
            router: self.router.clone(),
        }
    }

    /// Takes in what was observed of one batch. Batches of one source come in their order.
    pub fn absorb(&mut self, _observed: &Observed, _from: &From) {}

    /// Time has passed: `now` is wall-clock time. Only for live rules.
    pub fn tick(&mut self, now: Time) {
        self.router.tick(now);
    }

    /// The inputs have ended: everything is looked at once more, and what waits to be told is told.
    /// `now` is wall-clock time for live rules; the others take their newest event time.
    pub fn finish(&mut self, now: Option<Time>) {
        if let Some(now) = now {
            self.router.tick(now);
        }
    }

    /// When [`Rules::tick`] is next needed, in wall-clock time.
    pub fn next_due(&self) -> Option<Time> {
        self.router.next_due()
    }

    /// Notifications that were made since the last call. They stay among the undelivered ones until
    /// they are acknowledged.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        self.router.take_notifications()
    }

    /// The notification of this number is delivered, or given up.
    pub fn acknowledge(&mut self, number: u64) {
        self.router.acknowledge(number);
    }

    /// Notifications that were not acknowledged, by number: after a restart they are sent again.
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.router.undelivered()
    }

    /// In the order of the plan.
    pub fn states(&self) -> &[Keyed] {
        &self.states
    }

    /// In the order of the plan.
    pub fn sets(&self) -> &[Sets] {
        &self.sets
    }

    /// Alerts that are firing.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.lives.active().into_iter().map(|active| active.alert)
    }

    /// Up to where windows of event time are closed.
    pub fn watermark(&self) -> Option<Time> {
        None
    }

    /// The moment that rules are at: wall-clock time if they are live, else the newest event time.
    pub fn now(&self) -> Option<Time> {
        None
    }

    /// Names of what a limit has made approximate.
    pub fn approximate(&self) -> Vec<String> {
        Vec::new()
    }

    /// What was passed by, for `weir_` metrics and reports.
    pub fn passed(&self) -> Passed {
        Passed::default()
    }
}

/// Observations that did not move a window as their time says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Older than the window of a rule.
    pub late: u64,
    /// More than an hour later than they came.
    pub future: u64,
    /// Without a time and with nothing near them that has one.
    pub no_time: u64,
    /// Of groups that a full table did not admit.
    pub overflow: u64,
}
