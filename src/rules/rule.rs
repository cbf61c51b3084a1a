//! A rule as the configuration says it, and as it runs: its expressions checked, its inputs known.
//! Called by whoever reads the configuration; nothing in here looks at a record.

use jiff::tz::TimeZone;

use crate::expr::error::Error;
use crate::expr::input::Inputs;
use crate::flow::wanted::Wanted;
use crate::rules::baseline::Baseline;
use crate::state::keyed::KeyedSettings;

/// A `[[rule]]` with its values read.
#[derive(Clone, Debug, Default)]
pub struct RuleSettings {
    pub name: String,
    pub when: String,
    pub clear: Option<String>,
    pub where_: Option<String>,
    /// Empty: all records are one group, or, if the rule looks at a state, one for each of its keys.
    pub by: Vec<String>,
    /// Nanoseconds, from [`WINDOW_MIN`] to [`WINDOW_MAX`].
    pub window: i64,
    /// Nanoseconds for which `when` has to hold.
    pub for_: i64,
    /// Nanoseconds of event time in which nothing is new.
    pub learn: i64,
    pub severity: String,
    /// Names of notifiers.
    pub notify: Vec<String>,
    /// A template for [`Summarise`](crate::rules::Summarise).
    pub summary: Option<String>,
    /// Messages that are known from the start.
    pub baseline: Option<Baseline>,
}

/// Shortest window, in nanoseconds: seconds are what windows are made of.
pub const WINDOW_MIN: i64 = 1_000_000_000;
/// Longest window, in nanoseconds: 366 days. What is asked over a longer time is a report.
pub const WINDOW_MAX: i64 = 366 * 86_400 * 1_000_000_000;
/// What `window` is when it is not given: 5 minutes.
pub const WINDOW_DEFAULT: i64 = 300 * 1_000_000_000;
/// What `learn` is when it is not given: 10 minutes; 0 with a baseline.
pub const LEARN_DEFAULT: i64 = 600 * 1_000_000_000;

/// A mistake in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key of the rule whose value is wrong: `when`, `where`, `clear`, `by`, `window`, `for`.
    pub key: &'static str,
    /// What is wrong; its place is one in that value if it is an expression.
    pub error: Error,
}

/// A rule that can run.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub severity: String,
    pub notify: Vec<String>,
    /// Names of the fields that tell its alerts apart.
    pub by: Vec<String>,
    pub for_: i64,
    pub summary: Option<String>,
}

impl Rule {
    /// Checks a rule. The fields it looks at are added to `wanted`, what is to be observed of the
    /// records to `inputs`. Times without an offset are read in `zone`; `states` are those it may name.
    pub fn resolve(
        settings: &RuleSettings,
        _zone: &TimeZone,
        _states: &[KeyedSettings],
        _wanted: &mut Wanted,
        _inputs: &mut Inputs,
    ) -> Result<Rule, Problem> {
        Ok(Rule {
            name: settings.name.clone(),
            severity: settings.severity.clone(),
            notify: settings.notify.clone(),
            by: settings.by.clone(),
            for_: settings.for_,
            summary: settings.summary.clone(),
        })
    }
}
