//! What a configuration makes of the record: which metrics, states, sets and rules look at it, and what
//! keeps its lines or drops them. It asks what a run asks.

use crate::cli::explain::selection::Test;
use crate::config::load::Loaded;
use crate::expr::condition::View;
use crate::expr::input::{Input, Observe};
use crate::flow::key::{GroupField, Grouping};
use crate::flow::wanted::Wanted;
use crate::plan::RunTask;
use crate::plan::setup::Setup;
use crate::report::text::number;
use crate::stages::group_key;
use crate::stages::quantities::quantity;

/// A configuration and what it means.
pub struct Configuration {
    pub loaded: Loaded,
    pub setup: Setup,
}

/// What comes of the record.
pub struct Configured {
    pub watched: Vec<Seen>,
    /// There is a sink for lines.
    pub has_lines: bool,
    /// A line that was there before does not go out again.
    pub has_dedup: bool,
}

/// A metric, state, set or rule, and whether it looks at the record.
pub struct Seen {
    pub kind: &'static str,
    pub name: String,
    pub takes: bool,
    /// What it takes, or why it takes nothing.
    pub why: String,
}

impl Configuration {
    fn task(&self) -> &RunTask {
        let task = self.setup.plan.task.run();
        task.expect("a configuration is resolved to a run")
    }

    pub fn look(&self, view: &View<'_>) -> Configured {
        let config = &self.loaded.config;
        let task = self.task();
        let wanted = &self.setup.plan.wanted;
        let mut watched = Vec::new();
        let mut add = |kind, name: &str, found: Result<String, String>| {
            let takes = found.is_ok();
            let (Ok(why) | Err(why)) = found;
            watched.push(Seen {
                kind,
                name: name.to_owned(),
                takes,
                why,
            });
        };
        for (place, metric) in config.metric.iter().enumerate() {
            add("metric", &metric.field, self.metric(place, view));
        }
        let of = |input: u16| looks(&task.inputs.list()[usize::from(input)], wanted, view);
        for state in &task.rules.states {
            add("state", &state.settings.name, of(state.input));
        }
        for set in &task.rules.sets {
            add("set", &set.settings.name, of(set.input));
        }
        for rule in &task.rules.rules {
            let states = rule.states().into_iter();
            let states = states.map(|place| task.rules.states[place].input);
            // What the first takes that does, else why the first of all does not.
            let inputs = rule.inputs().into_iter().chain(states);
            let found: Vec<_> = inputs.map(of).collect();
            let taken = found.iter().find(|found| found.is_ok());
            let found = taken.or(found.first()).cloned();
            let found = found.unwrap_or_else(|| Err("it looks at no record".to_owned()));
            add("rule", &rule.life.name, found);
        }
        let kept = task.lines.iter().flat_map(|lines| &lines.branches);
        let branches: Vec<_> = kept.collect();
        for sink in &self.setup.lines {
            let branch = branches.get(sink.branch);
            let Some((text, condition)) =
                branch.and_then(|branch| Some((branch.text.as_ref()?, branch.condition.as_ref()?)))
            else {
                continue;
            };
            let found = match condition.holds(view) {
                true => Ok("its lines, if they go out".to_owned()),
                false => Err(format!("{text} does not hold")),
            };
            add("sink", &sink.target.address(), found);
        }
        Configured {
            watched,
            has_lines: task.lines.is_some(),
            has_dedup: config.dedup.is_some(),
        }
    }

    fn metric(&self, place: usize, view: &View<'_>) -> Result<String, String> {
        let task = self.task();
        let metric = &task.tables.metrics[place];
        let typed = &self.loaded.config.metric[place];
        if let (Some(condition), Some(text)) = (&metric.condition, &typed.condition)
            && !condition.holds(view)
        {
            return Err(format!("{text} does not hold"));
        }
        let value = quantity(view.row, view.record, view.row.values[metric.slot]);
        let value = value.ok_or_else(|| format!("no number in field {}", metric.name))?;
        let mut why = number::quantity(value.value, value.unit);
        for grouping in metric.groupings.iter().flatten() {
            // One past the last is none.
            let Some(grouping) = task.tables.groupings.get(usize::from(*grouping)) else {
                continue;
            };
            match group(grouping, view) {
                Ok(group) => why = format!("{why} of {group}"),
                Err(lack) => why = format!("{why} over all; {lack}"),
            }
        }
        Ok(why)
    }

    /// The verdicts of [filter] and of the sinks' conditions, in the order in which a run asks.
    pub fn tests(&self, view: &View<'_>, searched: &[u8]) -> Vec<Test> {
        let filter = &self.loaded.config.filter;
        let mut tests = Vec::new();
        let Some(lines) = &self.task().lines else {
            return tests;
        };
        if let Some(literals) = &lines.literals {
            tests.push(Test {
                flag: format!("match {:?}", filter.literals),
                passes: literals.hold_in(searched, &mut Vec::new()) != lines.invert,
                why: if lines.invert {
                    "none of them may be there"
                } else {
                    ""
                }
                .to_owned(),
            });
        }
        if let Some(level) = lines.task.level {
            let own = view.row.level;
            tests.push(Test {
                flag: format!("level {}", level.name()),
                passes: own >= Some(level) || level == crate::flow::level::Level::Trace,
                why: match own {
                    Some(own) => format!("its level is {}", own.name()),
                    None => "the record has no level".to_owned(),
                },
            });
        }
        if let (Some(condition), Some(text)) = (&lines.condition, &filter.condition) {
            tests.push(Test {
                flag: format!("where {text}"),
                passes: condition.holds(view),
                why: String::new(),
            });
        }
        // It goes out if one sink takes it.
        let sinks = self.setup.lines.iter();
        let conditions: Option<Vec<&str>> = sinks.map(|sink| sink.condition.as_deref()).collect();
        if let Some(conditions) = conditions {
            let mut branches = lines.branches.iter();
            tests.push(Test {
                flag: format!("a sink where {}", conditions.join(", or ")),
                passes: branches.any(|branch| {
                    let condition = branch.condition.as_ref();
                    condition.is_some_and(|condition| condition.holds(view))
                }),
                why: String::new(),
            });
        }
        tests
    }
}

/// What an input observes of the record.
fn looks(input: &Input, wanted: &Wanted, view: &View<'_>) -> Result<String, String> {
    if let Some((text, condition)) = &input.condition
        && !condition.holds(view)
    {
        return Err(format!("{text} does not hold"));
    }
    let group = group(&input.grouping, view)?;
    let name = |slot: usize| String::from_utf8_lossy(&wanted.paths[slot].flat).into_owned();
    let observed = match input.observe {
        Observe::Records => "it counts".to_owned(),
        Observe::Messages => "its message".to_owned(),
        Observe::Numbers(slot) => {
            let value = quantity(view.row, view.record, view.row.values[slot]);
            let value = value.ok_or_else(|| format!("no number in field {}", name(slot)))?;
            number::quantity(value.value, value.unit)
        }
        Observe::Texts(field) => {
            let text = group_key::text(field, view.row, view.record, view.source);
            let text = text.ok_or_else(|| match field {
                GroupField::Slot(slot) => format!("no field {}", name(slot)),
                _ => "it lacks the value".to_owned(),
            })?;
            format!("\"{}\"", String::from_utf8_lossy(text))
        }
    };
    Ok(match &*group {
        "" => observed,
        group => format!("{observed} of {group}"),
    })
}

/// Names and values of the fields that tell groups apart; which one the record lacks.
fn group(grouping: &Grouping, view: &View<'_>) -> Result<String, String> {
    let fields = grouping.names.iter().zip(&grouping.fields);
    let pairs = fields.map(|(name, field)| {
        let text = group_key::text(*field, view.row, view.record, view.source);
        let text = text.ok_or_else(|| format!("no field {name}"))?;
        Ok(format!("{name}={}", String::from_utf8_lossy(text)))
    });
    let pairs: Result<Vec<String>, String> = pairs.collect();
    Ok(pairs?.join(", "))
}
