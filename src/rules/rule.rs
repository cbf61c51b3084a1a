//! A rule as the configuration says it, and as it runs: its expressions checked, its inputs known.
//! Called by whoever reads the configuration; nothing in here looks at a record.

use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::expr::error::Error;
use crate::expr::functions::Statistic;
use crate::expr::input::{Input, Inputs, Observe};
use crate::expr::last::LastTest;
use crate::expr::rule::{Expression, Look, Operand};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::rules::baseline::Baseline;
use crate::rules::life::LifeSettings;
use crate::rules::past::{AGO_MAX, Kept};
use crate::rules::watched::{add, condition, group_field, grouping, slot};
use crate::rules::windows::Cut;
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
    pub life: LifeSettings,
    /// Names of notifiers.
    pub notify: Vec<String>,
    pub summary: Option<String>,
    /// `when` and `where` as typed.
    pub text: String,
    pub where_: Option<String>,
    pub cut: Cut,
    pub(super) when: Resolved,
    pub(super) clear: Option<Resolved>,
    /// What its windows are made of.
    pub(super) parts: Vec<Part>,
    /// By part: the counts of records at which something may change with one record, in order; none for
    /// a part that is looked at in steps alone.
    pub(super) edges: Vec<Option<Vec<u64>>>,
    /// What is worked out at each step.
    pub(super) steps: Vec<Step>,
    pub(super) new: Option<New>,
    /// Records that lack a field of `by` do not exist for a rule; without `by` there is one group, with
    /// or without records.
    pub(super) is_single: bool,
    /// What the rule is made of, so that a reload keeps what it knows if this is the same.
    pub(super) definition: String,
}

/// An expression whose operands are found.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub expression: Expression,
    /// By operand.
    pub sources: Vec<Source>,
}

/// Where the value of an operand comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// Records in a part, as of the newest.
    Edge(usize),
    /// Of the last step.
    Step(usize),
    Last(usize, LastTest),
    Age(usize),
    Missing(usize),
    Stuck(usize),
    New,
    Up(String),
}

/// The counts at which an expression about the edge of a part may change, in order; none if there is no
/// such expression.
fn turning_points<'r>(
    expressions: impl Iterator<Item = &'r Resolved>,
    part: usize,
) -> Option<Vec<u64>> {
    let mut is_edge = false;
    let mut counts = Vec::new();
    for resolved in expressions {
        for (operand, source) in resolved.sources.iter().enumerate() {
            if !matches!(source, Source::Edge(of) if *of == part) {
                continue;
            }
            is_edge = true;
            for constant in resolved.expression.constants(operand) {
                // A float that is no count becomes the nearest count.
                let floor = constant.floor();
                counts.extend([floor as u64, (floor + 1.0) as u64]);
            }
        }
    }
    counts.sort_unstable();
    counts.dedup();
    is_edge.then_some(counts)
}

/// One input of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub input: u16,
    pub kind: PartKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Records,
    Numbers,
    Texts,
}

/// A number that is worked out at each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub part: usize,
    pub what: What,
    /// Only when a whole window was seen.
    pub is_whole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    Counter,
    /// So many seconds before.
    Ago {
        before: i64,
        what: Kept,
    },
    Count,
    Rate,
    Statistic(Statistic),
    Distinct,
}

/// Of a rule about new messages.
#[derive(Clone, Debug)]
pub(super) struct New {
    pub input: u16,
    /// Values of this field are new, and no messages.
    pub field: Option<String>,
    pub learn: i64,
    pub baseline: Option<Arc<Baseline>>,
}

impl Rule {
    /// The part whose records an alert shows, and whether it is looked at with each record.
    pub(super) fn shown(&self) -> Option<(usize, bool)> {
        self.when.sources.iter().find_map(|source| match source {
            Source::Edge(part) => Some((*part, true)),
            Source::Step(step) => Some((self.steps[*step].part, false)),
            _ => None,
        })
    }

    /// Whether an alert shows the records of this part.
    pub(super) fn shows(&self, part: usize) -> bool {
        self.shown().is_some_and(|(shown, _)| shown == part)
    }

    /// Checks a rule. The fields it looks at are added to `wanted`, what is to be observed of the
    /// records to `inputs`. Times without an offset are read in `zone`; `states` are those it may name.
    pub fn resolve(
        settings: &RuleSettings,
        zone: &TimeZone,
        states: &[KeyedSettings],
        wanted: &mut Wanted,
        inputs: &mut Inputs,
    ) -> Result<Rule, Problem> {
        let names: Vec<String> = states.iter().map(|state| state.name.clone()).collect();
        let read = |key: &'static str, text: &str| {
            Expression::parse(text, &names).map_err(|error| Problem { key, error })
        };
        let when = read("when", &settings.when)?;
        let clear = match &settings.clear {
            Some(text) => Some(read("clear", text)?),
            None => None,
        };
        check(settings, states, &when, clear.as_ref())?;
        // Checked by itself first, so that a mistake is shown where it was typed.
        condition(settings.where_.as_deref(), zone, wanted)?;
        let by = groups(settings, states, [Some(&when), clear.as_ref()])?;
        let mut resolver = Resolver {
            zone,
            wanted,
            inputs,
            where_: settings.where_.as_deref(),
            by: &by,
            each: edges([Some(&when), clear.as_ref()]) > 1,
            parts: Vec::new(),
            steps: Vec::new(),
        };
        let new = match when.operands() {
            [Operand::New(field)] => {
                let learned = if settings.baseline.is_some() {
                    0
                } else {
                    settings.learn
                };
                let observe = match field {
                    None => Observe::Messages,
                    Some(field) => Observe::Texts(
                        group_field(field, resolver.wanted)
                            .map_err(|error| Problem { key: "when", error })?,
                    ),
                };
                Some(New {
                    input: resolver.input(None, observe, false)?,
                    field: field.clone(),
                    learn: learned,
                    baseline: settings.baseline.clone().map(Arc::new),
                })
            }
            _ => None,
        };
        let when = resolver.resolved(when)?;
        let clear = match clear {
            Some(clear) => Some(resolver.resolved(clear)?),
            None => None,
        };
        let (parts, steps) = (resolver.parts, resolver.steps);
        let edges =
            (0..parts.len()).map(|part| turning_points(std::iter::once(&when).chain(&clear), part));
        let edges = edges.collect();
        let is_up = [Some(&when), clear.as_ref()]
            .into_iter()
            .flatten()
            .flat_map(|resolved| &resolved.sources)
            .any(|source| matches!(source, Source::Up(_)));
        let mut labels = by.clone();
        if let Some(new) = &new {
            labels.push(match &new.field {
                Some(field) => field.clone(),
                None => "fingerprint".to_owned(),
            });
        }
        Ok(Rule {
            life: LifeSettings {
                name: settings.name.clone(),
                severity: settings.severity.clone(),
                by: labels,
                for_: settings.for_,
                flap_hold: 0,
            },
            notify: settings.notify.clone(),
            summary: settings.summary.clone(),
            text: settings.when.clone(),
            where_: settings.where_.clone(),
            cut: Cut {
                has_quantiles: steps
                    .iter()
                    .any(|step| matches!(step.what, What::Statistic(Statistic::Quantile(_)))),
                has_counters: steps.iter().any(|step| step.what == What::Counter),
                ..Cut::of(settings.window)
            },
            is_single: by.is_empty() && (!parts.is_empty() || is_up),
            definition: format!(
                "{:?} {:?} {:?} {by:?} {} {}",
                settings.when, settings.clear, settings.where_, settings.window, settings.for_
            ),
            when,
            clear,
            parts,
            edges,
            steps,
            new,
        })
    }

    /// Names of the fields of `by`.
    pub(super) fn grouped_by(&self) -> Vec<String> {
        let mut names = self.life.by.clone();
        if self.new.is_some() {
            names.pop();
        }
        names
    }

    /// Names of the fields that it looks at.
    pub(super) fn measured(&self) -> Vec<String> {
        let operands = self
            .expressions()
            .flat_map(|resolved| resolved.expression.operands());
        let mut names: Vec<String> = operands
            .filter_map(|operand| match operand {
                Operand::Number { field, .. }
                | Operand::Distinct { field }
                | Operand::Counter { field }
                | Operand::New(Some(field)) => Some(field.clone()),
                _ => None,
            })
            .collect();
        names.dedup();
        names
    }

    /// Names of the fields that tell its alerts apart.
    pub fn by(&self) -> &[String] {
        &self.life.by
    }

    pub(super) fn expressions(&self) -> impl Iterator<Item = &Resolved> {
        std::iter::once(&self.when).chain(&self.clear)
    }

    /// Seconds for which the hours of a part are kept, if it is asked what was before.
    pub(super) fn keeps(&self, part: usize) -> Option<i64> {
        let steps = self.steps.iter().filter(|step| step.part == part);
        let before = steps.filter_map(|step| match step.what {
            What::Ago { before, .. } => Some(before),
            _ => None,
        });
        Some(before.max()? + self.cut.buckets * self.cut.step)
    }

    /// Whether it is asked what was before, which changes with every step.
    pub(super) fn looks_back(&self) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step.what, What::Ago { .. }))
    }

    /// Whether something in it changes with time alone.
    pub(super) fn is_timed(&self) -> bool {
        if self.looks_back() {
            return true;
        }
        let mut sources = self.expressions().flat_map(|resolved| &resolved.sources);
        sources.any(|source| {
            matches!(
                source,
                Source::Age(_) | Source::Missing(_) | Source::Stuck(_)
            )
        })
    }

    /// Names of the sources that it looks at.
    pub fn ups(&self) -> impl Iterator<Item = &str> {
        let sources = self.expressions().flat_map(|resolved| &resolved.sources);
        sources.filter_map(|source| match source {
            Source::Up(name) => Some(&**name),
            _ => None,
        })
    }

    /// Places of what it observes by itself in the plan's inputs.
    pub fn inputs(&self) -> Vec<u16> {
        let parts = self.parts.iter().map(|part| part.input);
        parts.chain(self.new.iter().map(|new| new.input)).collect()
    }

    /// Places of the states that it looks at.
    pub fn states(&self) -> Vec<usize> {
        let operands = self
            .expressions()
            .flat_map(|resolved| resolved.expression.operands());
        let mut states: Vec<usize> = operands.filter_map(Operand::state).collect();
        states.sort_unstable();
        states.dedup();
        states
    }
}

/// What cannot be meant.
fn check(
    settings: &RuleSettings,
    states: &[KeyedSettings],
    when: &Expression,
    clear: Option<&Expression>,
) -> Result<(), Problem> {
    let problem = |key: &'static str, message: &str, hint: &str| {
        let length = match key {
            "when" => settings.when.len(),
            "clear" => settings.clear.as_ref().map_or(0, String::len),
            _ => 0,
        };
        Err(Problem {
            key,
            error: Error::new(0..length, message).hint(hint),
        })
    };
    let all = || {
        when.operands()
            .iter()
            .map(|operand| ("when", operand))
            .chain(
                clear
                    .into_iter()
                    .flat_map(|clear| clear.operands().iter().map(|operand| ("clear", operand))),
            )
    };
    if all().any(|(_, operand)| operand.is_windowed() || matches!(operand, Operand::New(_))) {
        if settings.window < WINDOW_MIN {
            return problem(
                "window",
                "a window has at least one second",
                "write 1s or more",
            );
        }
        if settings.window > WINDOW_MAX {
            return problem(
                "window",
                "a window has at most 366 days",
                "what is asked over a longer time is a report",
            );
        }
    }
    for (key, operand) in all() {
        match operand {
            Operand::New(_) if key == "clear" => {
                return problem(
                    key,
                    "new() ends by itself, when its window is over",
                    "remove clear",
                );
            }
            Operand::New(_) if when.operands().len() > 1 || !when.is_one_truth() => {
                return problem(
                    key,
                    "new() is about one record and stands alone",
                    "say in where which records it looks at",
                );
            }
            Operand::New(_) if settings.for_ > 0 => {
                return problem(
                    "for",
                    "a message is new only once, so this would never fire",
                    "remove for",
                );
            }
            Operand::New(_) if clear.is_some() => {
                return problem(
                    "clear",
                    "new() ends by itself, when its window is over",
                    "remove clear",
                );
            }
            Operand::Ago { before, .. }
                if before.saturating_add(settings.window) > AGO_MAX * Time::SECOND =>
            {
                return problem(
                    key,
                    "ago and window together reach back further than the 35 days that are kept",
                    "compare with an earlier time of these, such as ago(7d, …)",
                );
            }
            Operand::Missing(state)
                if states[*state].expect_within.is_none() && states[*state].roster.is_empty() =>
            {
                return problem(
                    key,
                    &format!("nothing of {} can be missing", states[*state].name),
                    "give that state expect_within or a roster",
                );
            }
            Operand::Stuck(state) if states[*state].stuck_after.is_none() => {
                return problem(
                    key,
                    &format!("nothing of {} can be stuck", states[*state].name),
                    "give that state stuck_after",
                );
            }
            _ => {}
        }
    }
    if settings.clear.as_deref().map(str::trim) == Some(settings.when.trim()) {
        return problem(
            "clear",
            "this is what begins the alert",
            "write what ends it, or remove clear",
        );
    }
    Ok(())
}

/// The fields of `by`, which for a rule over a state are those of its key.
fn groups(
    settings: &RuleSettings,
    states: &[KeyedSettings],
    expressions: [Option<&Expression>; 2],
) -> Result<Vec<String>, Problem> {
    let operands = expressions.into_iter().flatten();
    let mut of_states = operands
        .flat_map(|expression| expression.operands())
        .filter_map(Operand::state);
    let Some(first) = of_states.next() else {
        return Ok(settings.by.clone());
    };
    let state = &states[first];
    let problem = |message: String, hint: String| Problem {
        key: "by",
        error: Error::new(0..0, message).hint(hint),
    };
    if !settings.by.is_empty() && settings.by != state.key {
        return Err(problem(
            format!("the keys of {} are by {}", state.name, listed(&state.key)),
            format!("write by = {:?}, or leave it out", state.key),
        ));
    }
    if let Some(other) = of_states.find(|other| states[*other].key != state.key) {
        let other = &states[other];
        return Err(problem(
            format!(
                "{} is by {} and {} by {}",
                state.name,
                listed(&state.key),
                other.name,
                listed(&other.key)
            ),
            "a rule looks at states of one key".to_owned(),
        ));
    }
    Ok(state.key.clone())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// How many things change the rule with a record: with more than one their order counts.
fn edges(expressions: [Option<&Expression>; 2]) -> usize {
    let operands = expressions.into_iter().flatten();
    let mut edges: Vec<String> = operands
        .flat_map(|expression| expression.operands())
        .filter(|operand| operand.is_edge())
        .map(|operand| match operand {
            Operand::Count { condition, .. } => format!("{condition:?}"),
            Operand::Last { state, .. } => state.to_string(),
            _ => String::new(),
        })
        .collect();
    edges.sort_unstable();
    edges.dedup();
    edges.len()
}

struct Resolver<'a> {
    zone: &'a TimeZone,
    wanted: &'a mut Wanted,
    inputs: &'a mut Inputs,
    where_: Option<&'a str>,
    by: &'a [String],
    /// The order of the records counts.
    each: bool,
    parts: Vec<Part>,
    steps: Vec<Step>,
}

impl Resolver<'_> {
    fn resolved(&mut self, expression: Expression) -> Result<Resolved, Problem> {
        let sources = expression.operands().iter();
        let sources = sources
            .map(|operand| self.source(operand))
            .collect::<Result<_, _>>()?;
        Ok(Resolved {
            expression,
            sources,
        })
    }

    fn source(&mut self, operand: &Operand) -> Result<Source, Problem> {
        Ok(match operand {
            Operand::Count { condition, look } => {
                let part = self.records(condition.as_deref())?;
                match look {
                    Look::Edge => Source::Edge(part),
                    look => self.step(part, What::Count, *look),
                }
            }
            Operand::Rate { condition, look } => {
                let part = self.records(condition.as_deref())?;
                self.step(part, What::Rate, *look)
            }
            Operand::Number { field, statistic } => {
                let slot = slot(field, self.wanted);
                let input = self.input(None, Observe::Numbers(slot), true)?;
                let part = self.part(input, PartKind::Numbers);
                self.step(part, What::Statistic(*statistic), Look::Step)
            }
            Operand::Distinct { field } => {
                let field = group_field(field, self.wanted)
                    .map_err(|error| Problem { key: "when", error })?;
                let input = self.input(None, Observe::Texts(field), true)?;
                let part = self.part(input, PartKind::Texts);
                self.step(part, What::Distinct, Look::Step)
            }
            Operand::Counter { field } => {
                let slot = slot(field, self.wanted);
                let input = self.input(None, Observe::Numbers(slot), true)?;
                let part = self.part(input, PartKind::Numbers);
                self.step(part, What::Counter, Look::Step)
            }
            Operand::Ago { before, of } => {
                let (part, what) = match &**of {
                    Operand::Count { condition, .. } => {
                        (self.records(condition.as_deref())?, Kept::Count)
                    }
                    Operand::Rate { condition, .. } => {
                        (self.records(condition.as_deref())?, Kept::Rate)
                    }
                    Operand::Number { field, statistic } => {
                        let slot = slot(field, self.wanted);
                        let input = self.input(None, Observe::Numbers(slot), true)?;
                        let kept = match statistic {
                            Statistic::Sum => Kept::Sum,
                            Statistic::Mean => Kept::Mean,
                            Statistic::Min => Kept::Min,
                            Statistic::Max | Statistic::Quantile(_) => Kept::Max,
                        };
                        (self.part(input, PartKind::Numbers), kept)
                    }
                    _ => unreachable!("the expression has refused it"),
                };
                let before = before / Time::SECOND;
                self.step(part, What::Ago { before, what }, Look::Step)
            }
            Operand::New(_) => Source::New,
            Operand::Last { state, test } => Source::Last(*state, test.clone()),
            Operand::Age(state) => Source::Age(*state),
            Operand::Missing(state) => Source::Missing(*state),
            Operand::Stuck(state) => Source::Stuck(*state),
            Operand::Up(source) => Source::Up(source.clone()),
        })
    }

    fn records(&mut self, condition: Option<&str>) -> Result<usize, Problem> {
        let input = self.input(condition, Observe::Records, true)?;
        Ok(self.part(input, PartKind::Records))
    }

    fn part(&mut self, input: u16, kind: PartKind) -> usize {
        let part = Part { input, kind };
        let known = self.parts.iter().position(|known| *known == part);
        known.unwrap_or_else(|| {
            self.parts.push(part);
            self.parts.len() - 1
        })
    }

    fn step(&mut self, part: usize, what: What, look: Look) -> Source {
        let step = Step {
            part,
            what,
            is_whole: look == Look::Whole,
        };
        let known = self.steps.iter().position(|known| *known == step);
        Source::Step(known.unwrap_or_else(|| {
            self.steps.push(step);
            self.steps.len() - 1
        }))
    }

    fn input(
        &mut self,
        of_count: Option<&str>,
        observe: Observe,
        by_second: bool,
    ) -> Result<u16, Problem> {
        let text = match (self.where_, of_count) {
            (Some(where_), Some(of_count)) => Some(format!("({where_}) and ({of_count})")),
            (where_, of_count) => where_.or(of_count).map(str::to_owned),
        };
        let condition = condition(text.as_deref(), self.zone, self.wanted)?;
        if observe == Observe::Messages {
            self.wanted.message = true;
        }
        if by_second {
            self.wanted.time = true;
        }
        let grouping = grouping(self.by, "by", self.wanted)?;
        let input = Input {
            condition,
            grouping,
            observe,
            by_second,
            each: self.each && observe == Observe::Records,
        };
        add(self.inputs, input).map_err(|error| Problem { key: "when", error })
    }
}
