//! From the configuration to everything that a run needs: names resolved, expressions compiled, secrets
//! fetched. Every mistake is collected with the place of the value it is in.

mod channels;
mod quiet;

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::config::Config;
use crate::config::alerting;
use crate::config::load::{Loaded, PathStep};
use crate::config::problem::{Problem, Problems};
use crate::config::watching::{self, Key};
use crate::expr::condition::Condition;
use crate::expr::error::{Error, nearest};
use crate::expr::input::Inputs;
use crate::flow::alert::SampleLine;
use crate::flow::format::Format;
use crate::flow::key::{self, Grouping};
use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::notifiers;
use crate::notifiers::heartbeat;
use crate::plan::baseline;
use crate::plan::flags;
use crate::plan::setup::channels::{Branching, told};
use crate::plan::{Plan, ReportTask, RunTask, Select, Task};
use crate::rules::RulesPlan;
use crate::rules::mask::Mask;
use crate::rules::rule::{self, Rule, RuleSettings};
use crate::rules::summary::{Facts, Samples};
use crate::rules::watched::{SetPlan, StatePlan};
use crate::sinks::{Target, prometheus};
use crate::sources::{Stream, file};
use crate::stages::aggregate::Metric;
use crate::state::Shape;
use crate::state::keyed::deadlines::Deadlines;
use crate::state::keyed::{KeyedSettings, Unlisted};
use crate::state::sets::SetSettings;
use crate::units;
use crate::units::calendar;

/// File in the state directory for what a receiver refuses for good.
pub const DEAD_LETTERS: &str = "dead-letters.ndjson";

/// What the configuration is resolved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Sources go on, time passes with the clock, and messages are sent.
    Live,
    /// What was written before is read to its end, in event time; nothing is sent, so no secret is
    /// needed.
    Replay,
    /// As for a live run, but nothing is started: a secret that is not here is a note, since it may be
    /// where weir runs.
    Check,
}

/// Where records come from.
#[derive(Debug, Default)]
pub struct Sources {
    pub files: Option<file::Settings>,
    pub streams: Vec<Stream>,
}

impl Sources {
    /// The stream, if it is all that is read.
    pub fn only_stream(&self) -> Option<&Stream> {
        match (&self.files, &*self.streams) {
            (None, [stream]) => Some(stream),
            _ => None,
        }
    }
}

/// One sink of lines.
#[derive(Debug)]
pub struct LinesSink {
    pub target: Target,
    /// The lines that it gets, by its place among the branches of the plan.
    pub branch: usize,
    /// Only records for which this holds, as it is written.
    pub condition: Option<String>,
    /// The one whose output the journal explains, so that it is exact: the first file, or else the
    /// first sink.
    pub is_first: bool,
}

/// Everything that a run needs.
pub struct Setup {
    pub plan: Plan,
    pub shape: Shape,
    pub sources: Sources,
    pub notifiers: Vec<notifiers::Settings>,
    pub heartbeats: Vec<heartbeat::Settings>,
    pub lines: Vec<LinesSink>,
    pub summaries: Vec<Target>,
    /// The Prometheus endpoint.
    pub endpoint: Option<prometheus::Settings>,
    pub zone: TimeZone,
    pub format: Option<Format>,
    pub now: Time,
    pub state_dir: Option<PathBuf>,
    /// Mapper threads and bytes in flight.
    pub engine: (usize, usize),
    pub grace: Duration,
    /// What is doubtful and no mistake.
    pub notes: Vec<String>,
}

/// Resolves the configuration; `state_dir` goes before its own.
pub fn setup(
    loaded: &Loaded,
    purpose: Purpose,
    state_dir: Option<PathBuf>,
) -> Result<Setup, Problems> {
    let mut resolver = Resolver {
        loaded,
        purpose,
        zone: TimeZone::UTC,
        zone_name: "UTC".to_owned(),
        wanted: Wanted::default(),
        inputs: Inputs::default(),
        groupings: Vec::new(),
        notes: Vec::new(),
        problems: Problems::default(),
        grace: units::duration(&loaded.config.run.grace),
        dead_letters: None,
    };
    let setup = resolver.setup(&loaded.config, state_dir);
    if resolver.problems.is_empty() {
        Ok(setup)
    } else {
        Err(resolver.problems.in_order())
    }
}

struct Resolver<'l> {
    loaded: &'l Loaded,
    purpose: Purpose,
    zone: TimeZone,
    zone_name: String,
    wanted: Wanted,
    inputs: Inputs,
    groupings: Vec<Grouping>,
    /// What is doubtful and no mistake.
    notes: Vec<String>,
    problems: Problems,
    /// How long the drain may take.
    grace: Duration,
    /// Where that goes which a receiver refuses for good.
    dead_letters: Option<PathBuf>,
}

/// The path of a key of an entry of a list of tables.
fn path<'a>(table: &'a str, place: usize, key: &'a str) -> [PathStep<'a>; 3] {
    [
        PathStep::Key(table),
        PathStep::Index(place),
        PathStep::Key(key),
    ]
}

impl Resolver<'_> {
    fn wrong(&mut self, path: &[PathStep], message: impl Into<String>, hint: Option<&str>) {
        let origin = self.loaded.at(path);
        let hint = hint.map(str::to_owned);
        let problem = Problem::new(&origin, None, message, hint);
        self.problems.add(problem);
    }

    fn wrong_expression(&mut self, path: &[PathStep], error: Error) {
        let origin = self.loaded.at(path);
        let within = (!error.at.is_empty()).then_some(error.at);
        let problem = Problem::new(&origin, within, error.message, error.hint);
        self.problems.add(problem);
    }

    fn wrong_rule(&mut self, table: &str, place: usize, problem: rule::Problem) {
        self.wrong_expression(&path(table, place, problem.key), problem.error);
    }

    fn setup(&mut self, config: &Config, state_dir: Option<PathBuf>) -> Setup {
        let run = &config.run;
        let state_dir = state_dir.or_else(|| run.state_dir.as_ref().map(PathBuf::from));
        self.dead_letters = state_dir.as_ref().map(|dir| dir.join(DEAD_LETTERS));
        let said = |failure: crate::error::Failure| failure.message;
        fn key(name: &str) -> [PathStep<'_>; 2] {
            [PathStep::Key("run"), PathStep::Key(name)]
        }
        let (zone, zone_name) = match flags::zone(run.tz.as_deref()) {
            Ok(zone) => zone,
            Err(failure) => {
                self.wrong(&key("tz"), said(failure), None);
                (TimeZone::UTC, "UTC".to_owned())
            }
        };
        self.zone = zone.clone();
        self.zone_name.clone_from(&zone_name);
        let multiline = flags::multiline(&run.multiline).unwrap_or_else(|failure| {
            self.wrong(&key("multiline"), said(failure), None);
            crate::framing::Multiline::Auto
        });
        let format = run.format.as_deref().map(flags::format).transpose();
        let format = format.unwrap_or_else(|failure| {
            self.wrong(&key("format"), said(failure), None);
            None
        });
        let format = format.flatten();
        let threads = run.threads.map(|threads| threads as usize);
        let engine = flags::threads_and_budget(threads, run.max_mem.as_deref());
        let engine = engine.unwrap_or_else(|failure| {
            self.wrong(&key("max_mem"), said(failure), None);
            (1, 1 << 20)
        });
        let now = flags::now();
        self.wanted.level = true;
        self.wanted.time = true;
        self.wanted.message = true;
        let metrics = self.metrics(&config.metric);
        self.wanted.numbers = metrics.is_empty();
        let states = self.states(config);
        let sets = self.sets(&config.set);
        let notifiers = self.notifiers(config);
        let heartbeats = self.heartbeats(&config.heartbeat);
        let rules = self.rules(config);
        let branching = Branching::of(config);
        let lines = self.lines(config, &branching);
        let mut places = self.places(&config.sink, &branching);
        let interval = units::duration_nanoseconds(&run.interval).unwrap_or(60 * Time::SECOND);
        let interval = (interval / Time::SECOND).max(1);
        let shape = Shape {
            list: Level::Warn,
            groupings: self.groupings.iter().map(|by| by.names.clone()).collect(),
            zone: zone_name,
        };
        let mask = match Mask::new(&run.mask) {
            Ok(mask) => Some(mask),
            Err((place, error)) => {
                let path = [key("mask")[0], key("mask")[1], PathStep::Index(place)];
                self.wrong(&path, error.to_string(), None);
                None
            }
        };
        let routes = self.routes(config);
        let silences = self.silences(&config.silence, now);
        let mutes = self.mutes(config);
        let sources = self.sources(&config.source);
        // A replay writes to no file.
        if self.purpose != Purpose::Replay {
            self.outputs(config, &sources, state_dir.as_deref());
        }
        let rules = RulesPlan {
            rules,
            states,
            sets,
            notifiers: routes,
            silences,
            mutes,
            lateness: units::duration_nanoseconds(&run.lateness).unwrap_or(0),
            live: true,
            is_replay: self.purpose == Purpose::Replay,
            mask,
            summarise: Some(summarise),
        };
        let summaries = std::mem::take(&mut places.summaries);
        let task = RunTask {
            tables: ReportTask {
                list: Level::Warn,
                metrics,
                groupings: std::mem::take(&mut self.groupings),
                statuses: false,
            },
            lines,
            interval_seconds: (!summaries.is_empty()).then_some(interval),
            inputs: std::mem::take(&mut self.inputs),
            rules,
        };
        Setup {
            plan: Plan {
                select: Select::default(),
                wanted: std::mem::take(&mut self.wanted),
                multiline,
                task: Task::Run(Box::new(task)),
                conditions: Vec::new(),
                prefilter: true,
            },
            shape,
            sources,
            notifiers,
            heartbeats,
            lines: places.lines,
            summaries,
            endpoint: places.endpoint,
            zone,
            format,
            now,
            state_dir,
            engine,
            grace: self.grace,
            notes: std::mem::take(&mut self.notes),
        }
    }

    fn condition(&mut self, text: Option<&str>, path: &[PathStep]) -> Option<Condition> {
        match Condition::parse(text?, &self.zone.clone(), &mut self.wanted) {
            Ok(condition) if condition.needs().template => {
                let message = "\"template\" is not known yet when a record is judged";
                self.wrong(path, message, Some("use \"fingerprint\" or \"message\""));
                None
            }
            Ok(condition) => {
                self.suspect(&condition, path);
                Some(condition)
            }
            Err(error) => {
                self.wrong_expression(path, error);
                None
            }
        }
    }

    /// Notes names that nearly are a word of the language; logs may have a field of any name.
    fn suspect(&mut self, condition: &Condition, path: &[PathStep]) {
        let origin = self.loaded.at(path);
        for (name, reserved) in condition.suspicious_names() {
            let note = format!(
                "{}:{}: no record is known to have a field \"{name}\"; did you mean \"{reserved}\"?",
                origin.file(),
                origin.line()
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// [`Resolver::suspect`] of a `where` that is resolved elsewhere, where its mistakes are found.
    fn suspect_text(&mut self, text: Option<&str>, path: &[PathStep]) {
        let mut unused = Wanted::default();
        let condition = text.and_then(|text| Condition::parse(text, &self.zone, &mut unused).ok());
        if let Some(condition) = condition {
            self.suspect(&condition, path);
        }
    }

    fn metrics(&mut self, metrics: &[watching::Metric]) -> Vec<Metric> {
        let mut made = Vec::new();
        for (place, metric) in metrics.iter().enumerate() {
            let condition =
                self.condition(metric.condition.as_deref(), &path("metric", place, "where"));
            let mut groupings = Vec::new();
            if !metric.by.is_empty() {
                match flags::grouping(&metric.by.join(","), &mut self.wanted) {
                    Ok(grouping) => groupings.push(self.grouping(grouping)),
                    Err(failure) => self.wrong(&path("metric", place, "by"), failure.message, None),
                }
            }
            made.push(Metric {
                slot: flags::slot(&mut self.wanted, &metric.field),
                name: metric.field.clone(),
                groupings: Some(groupings),
                condition,
            });
        }
        // Those of no group have a number past the last grouping.
        let none = self.groupings.len() as u16;
        for metric in &mut made {
            if let Some(groupings) = &mut metric.groupings
                && groupings.is_empty()
            {
                groupings.push(none);
            }
        }
        made
    }

    fn grouping(&mut self, grouping: Grouping) -> u16 {
        let known = self
            .groupings
            .iter()
            .position(|by| by.names == grouping.names);
        let place = known.unwrap_or_else(|| {
            self.groupings.push(grouping);
            self.groupings.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    fn states(&mut self, config: &Config) -> Vec<StatePlan> {
        let states = &config.state;
        let mut made = Vec::new();
        for (place, state) in states.iter().enumerate() {
            let mut encoded = Vec::new();
            for (item, entry) in roster(state).enumerate() {
                match entry {
                    Ok(entry) => encoded.push(entry),
                    Err(message) => {
                        let [table, place, key] = path("state", place, "roster");
                        let path = [table, place, key, PathStep::Index(item)];
                        self.wrong(&path, message, None);
                    }
                }
            }
            let settings = keyed(state, encoded, &self.zone_name);
            self.contradictions(state, place);
            let condition = state.condition.as_deref();
            self.suspect_text(condition, &path("state", place, "where"));
            let resolved = StatePlan::resolve(
                settings,
                &state.value,
                condition,
                &self.zone.clone(),
                &mut self.wanted,
                &mut self.inputs,
            );
            match resolved {
                Ok(mut resolved) => {
                    // Only a state that somebody is told of makes rules.
                    if !state.notify.is_empty() {
                        resolved.notify = told(config, &state.notify);
                    }
                    resolved.severity = state.severity.name().to_owned();
                    made.push(resolved);
                }
                Err(problem) => self.wrong_rule("state", place, problem),
            }
        }
        made
    }

    /// Keys of a state that cannot both be meant.
    fn contradictions(&mut self, state: &watching::State, place: usize) {
        let within = optional(state.expect_within.as_deref());
        let forget = optional(state.forget_after.as_deref());
        if let (Some(within), Some(forget)) = (within, forget)
            && forget <= within
        {
            self.wrong(
                &path("state", place, "forget_after"),
                "a key would be forgotten before it is late",
                Some("let forget_after be longer than expect_within"),
            );
        }
        if !state.expect_on.is_empty() && state.expect_by.is_none() {
            self.wrong(
                &path("state", place, "expect_on"),
                "says on which days, but not by when",
                Some("add expect_by = \"08:00\""),
            );
        }
    }

    fn sets(&mut self, sets: &[watching::Set]) -> Vec<SetPlan> {
        let mut made = Vec::new();
        for (place, set) in sets.iter().enumerate() {
            let settings = SetSettings {
                name: set.name.clone(),
                key: set.key.clone(),
            };
            let condition = set.condition.as_deref();
            self.suspect_text(condition, &path("set", place, "where"));
            let resolved = SetPlan::resolve(
                settings,
                &set.value,
                condition,
                &self.zone.clone(),
                &mut self.wanted,
                &mut self.inputs,
            );
            match resolved {
                Ok(resolved) => made.push(resolved),
                Err(problem) => self.wrong_rule("set", place, problem),
            }
        }
        made
    }

    fn rules(&mut self, config: &Config) -> Vec<Rule> {
        // Also those with a mistake of their own: that they are not known would be another one.
        let states: Vec<KeyedSettings> = config
            .state
            .iter()
            .map(|state| {
                let roster = roster(state).filter_map(Result::ok).collect();
                keyed(state, roster, &self.zone_name)
            })
            .collect();
        let mut made = Vec::new();
        for (place, rule) in config.rule.iter().enumerate() {
            let condition = rule.condition.as_deref();
            self.suspect_text(condition, &path("rule", place, "where"));
            if let Some(summary) = &rule.summary
                && let Err(error) = notifiers::text::check(summary, &example(rule))
            {
                self.wrong(&path("rule", place, "summary"), error, None);
            }
            let baseline = match &rule.baseline {
                Some(file) => match baseline::read(file.as_ref()) {
                    Ok(baseline) => Some(baseline),
                    Err(failure) => {
                        let hint = "make one with `weir baseline learn`";
                        self.wrong(
                            &path("rule", place, "baseline"),
                            failure.message,
                            Some(hint),
                        );
                        None
                    }
                },
                None => None,
            };
            let settings = RuleSettings {
                name: rule.name.clone(),
                when: rule.when.clone(),
                clear: rule.clear.clone(),
                where_: rule.condition.clone(),
                by: rule.by.clone(),
                window: nanoseconds(&rule.window),
                for_: nanoseconds(&rule.hold),
                learn: if baseline.is_some() {
                    0
                } else {
                    nanoseconds(&rule.learn)
                },
                severity: rule.severity.name().to_owned(),
                notify: told(config, &rule.notify),
                summary: rule.summary.clone(),
                baseline,
            };
            let resolved = Rule::resolve(
                &settings,
                &self.zone.clone(),
                &states,
                &mut self.wanted,
                &mut self.inputs,
            );
            match resolved {
                Ok(rule) => {
                    self.look_for_sources(&rule, config, place);
                    made.push(rule);
                }
                Err(problem) => self.wrong_rule("rule", place, problem),
            }
        }
        made
    }
}

impl Resolver<'_> {
    /// Finds names of sources in a rule that no source has.
    fn look_for_sources(&mut self, rule: &Rule, config: &Config, place: usize) {
        let names = config.source.iter().filter_map(|source| {
            let origin = source.from.resolve();
            let name = || source.name.clone().unwrap_or_else(|| origin.name());
            origin.files().is_none().then(name)
        });
        let known: Vec<String> = names.collect();
        let unknown = rule
            .ups()
            .find(|name| !known.iter().any(|known| known == name));
        if let Some(name) = unknown {
            let names = known.iter().map(String::as_str);
            let hint = match nearest(name, names) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("commands and standard input are {}", known.join(", ")),
            };
            let message = format!("unknown source \"{name}\"");
            self.wrong(&path("rule", place, "when"), message, Some(&hint));
        }
    }
}

/// The encoded keys that a state must have, or what is wrong with them.
fn roster(state: &watching::State) -> impl Iterator<Item = Result<Vec<u8>, String>> {
    state.roster.iter().map(|entry| encode(entry, &state.key))
}

fn keyed(state: &watching::State, roster: Vec<Vec<u8>>, zone: &str) -> KeyedSettings {
    KeyedSettings {
        name: state.name.clone(),
        key: state.key.clone(),
        ok: state.ok.clone(),
        pending: state.pending.clone(),
        bad: state.bad.clone(),
        expect_within: optional(state.expect_within.as_deref()),
        stuck_after: optional(state.stuck_after.as_deref()),
        roster,
        steps: state.steps.clone(),
        expect_by: state.expect_by.as_deref().map(|by| Deadlines {
            minute: calendar::minute(by).unwrap_or(0),
            days: match state.expect_on.is_empty() {
                true => 0b111_1111,
                false => {
                    let days = state.expect_on.iter();
                    let days = days.filter_map(|days| calendar::weekdays(days).ok());
                    days.fold(0, |all, days| all | days)
                }
            },
            zone: zone.to_owned(),
        }),
        forget_after: optional(state.forget_after.as_deref()),
        unlisted: state.unlisted.map(|unlisted| match unlisted {
            watching::Unlisted::Bad => Unlisted::Bad,
            watching::Unlisted::Ok => Unlisted::Ok,
            watching::Unlisted::Pending => Unlisted::Pending,
            watching::Unlisted::Ignore => Unlisted::Ignore,
        }),
    }
}

/// What the template of a rule's summary is tried on.
fn example(rule: &alerting::Rule) -> Facts<'_> {
    let labels = rule.by.iter();
    Facts {
        rule: &rule.name,
        severity: rule.severity.name(),
        labels: labels.map(|name| (&**name, "example".to_owned())).collect(),
        value: Some(1.0),
        count: 1,
        template: Some("example"),
        summary: "an example",
        samples: &EXAMPLE,
        evidence: Samples { samples: &EXAMPLE },
    }
}

/// The sample line on which the template of a rule's summary is tried.
static EXAMPLE: LazyLock<Vec<SampleLine>> = LazyLock::new(|| {
    vec![SampleLine {
        source: "example.log".to_owned(),
        offset: 0,
        line: "an example".to_owned(),
    }]
});

/// Fills the template of a rule's summary.
fn summarise(template: &str, facts: &Facts) -> Option<String> {
    notifiers::text::fill(template, facts).ok()
}

/// The encoded key of an entry of a roster.
pub fn encode(entry: &Key, fields: &[String]) -> Result<Vec<u8>, String> {
    let mut encoded = Vec::new();
    match entry {
        Key::One(value) if fields.len() == 1 => key::push(&mut encoded, value.as_bytes()),
        Key::One(_) => {
            return Err(format!(
                "a key of {} fields is a table: {{{} = \"…\"}}",
                fields.len(),
                fields.join(" = \"…\", ")
            ));
        }
        Key::Several(values) => {
            for field in fields {
                let value = values.get(field);
                let value = value.ok_or_else(|| format!("the key lacks \"{field}\""))?;
                key::push(&mut encoded, value.as_bytes());
            }
            if let Some(other) = values.keys().find(|name| !fields.contains(name)) {
                return Err(format!("\"{other}\" is no field of the key"));
            }
        }
    }
    Ok(encoded)
}

/// The time in a checked duration.
fn nanoseconds(text: &str) -> i64 {
    units::duration_nanoseconds(text).unwrap_or(0)
}

fn optional(text: Option<&str>) -> Option<i64> {
    text.map(nanoseconds)
}
