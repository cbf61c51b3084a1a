//! What a run would do, for people and for programs: where records come from, what is looked at in them,
//! what is watched, where everything goes, and what holds after a crash.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cli::check::promise::{Promise, promises};
use crate::config::Config;
use crate::config::input::{self, DedupMode};
use crate::config::load::Loaded;
use crate::flow::level::Level;
use crate::flow::wanted::Wanted;
use crate::plan::setup::Setup;
use crate::sources::file::From;

/// The plan as it is shown; in JSON the value of `plan`.
#[derive(Debug, Serialize)]
pub struct Page {
    environment: Option<String>,
    sources: Vec<Row>,
    records: Vec<Row>,
    /// What parsers look for; everything else in a record is passed over.
    fields: Vec<String>,
    /// What decides which lines go out.
    stages: Vec<Row>,
    watched: Vec<Row>,
    sinks: Vec<Row>,
    notifiers: Vec<Row>,
    promises: Vec<Promise>,
}

/// One part of the plan.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    what: String,
}

impl Row {
    fn new(kind: &'static str, what: impl Into<String>) -> Row {
        Row {
            kind,
            name: None,
            what: what.into(),
        }
    }

    fn named(kind: &'static str, name: &str, what: impl Into<String>) -> Row {
        Row {
            name: Some(name.to_owned()),
            ..Row::new(kind, what)
        }
    }
}

impl Page {
    pub fn of(loaded: &Loaded, setup: &Setup) -> Page {
        let config = &loaded.config;
        Page {
            environment: loaded.environment().map(str::to_owned),
            sources: sources(setup),
            records: records(config, setup),
            fields: fields(&setup.plan.wanted),
            stages: stages(config, setup),
            watched: watched(config),
            sinks: sinks(config, setup),
            notifiers: setup
                .notifiers
                .iter()
                .map(|notifier| {
                    let address = notifier.channel.address();
                    let address = address.trim_end_matches(": ").to_owned();
                    Row::named(notifier.channel.name(), &notifier.name, address)
                })
                .collect(),
            promises: promises(setup),
        }
    }

    /// Sections with a line for each part.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(environment) = &self.environment {
            let _ = writeln!(text, "environment {environment}");
        }
        section(&mut text, "sources", &self.sources);
        section(&mut text, "records", &self.records);
        if !self.fields.is_empty() {
            let _ = writeln!(text, "fields\n  {}", self.fields.join(", "));
        }
        section(&mut text, "stages", &self.stages);
        section(&mut text, "watched", &self.watched);
        section(&mut text, "sinks", &self.sinks);
        section(&mut text, "notifiers", &self.notifiers);
        let _ = writeln!(text, "after a crash");
        for promise in &self.promises {
            let _ = writeln!(
                text,
                "  {} -> {}: {}\n    {}",
                promise.from,
                promise.to,
                promise.after_a_crash.name(),
                promise.because
            );
        }
        text
    }
}

fn section(text: &mut String, head: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    let width = |of: &dyn Fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let kinds = width(&|row| row.kind.chars().count());
    let names = width(&|row| row.name.as_ref().map_or(0, |name| name.chars().count()));
    let _ = writeln!(text, "{head}");
    for row in rows {
        let mut line = format!("  {:kinds$}", row.kind);
        if names > 0 {
            let _ = write!(line, "  {:names$}", row.name.as_deref().unwrap_or_default());
        }
        let _ = write!(line, "  {}", row.what);
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn sources(setup: &Setup) -> Vec<Row> {
    let streams = setup.sources.streams.iter();
    let streams = streams.map(|stream| Row::new(stream.origin.kind(), stream.origin.about()));
    let Some(files) = &setup.sources.files else {
        return streams.collect();
    };
    let from = match (files.from, &setup.state_dir) {
        (Some(From::Start), _) | (None, Some(_)) => "from their start",
        (Some(From::End), _) | (None, None) => "from their end",
    };
    let mut what = Vec::new();
    if !files.exclude.is_empty() {
        what.push(format!("but not {}", files.exclude.join(", ")));
    }
    what.push(format!("{from} at the first start"));
    if files.poll {
        what.push("looked at from time to time".to_owned());
    }
    let include = files.include.iter();
    include
        .map(|pattern| {
            let pattern = pattern.to_string_lossy();
            Row::new("file", format!("{pattern}, {}", what.join(", ")))
        })
        .chain(streams)
        .collect()
}

fn records(config: &Config, setup: &Setup) -> Vec<Row> {
    let run = &config.run;
    let mut rows = vec![
        Row::new(
            "format",
            setup
                .format
                .map_or("recognised record by record", |format| format.name()),
        ),
        Row::new("multiline", run.multiline.as_str()),
        Row::new("zone", setup.shape.zone.as_str()),
        Row::new("lateness", run.lateness.as_str()),
    ];
    if let Some(dir) = &setup.state_dir {
        rows.push(Row::new("state", dir.display().to_string()));
    }
    rows
}

fn fields(wanted: &Wanted) -> Vec<String> {
    let mut fields = Vec::new();
    for (is_wanted, name) in [
        (wanted.time, "time"),
        (wanted.level, "level"),
        (wanted.message, "message"),
    ] {
        if is_wanted {
            fields.push(name.to_owned());
        }
    }
    let paths = wanted.paths.iter();
    fields.extend(paths.map(|path| String::from_utf8_lossy(&path.flat).into_owned()));
    if wanted.numbers {
        fields.push("numbers that are metrics by their names".to_owned());
    }
    fields
}

fn stages(config: &Config, setup: &Setup) -> Vec<Row> {
    let mut rows = Vec::new();
    // Without a sink of lines nothing is filtered: tables and rules see every record.
    if setup.plan.task.lines().is_none() {
        return rows;
    }
    let filter = &config.filter;
    let mut parts = Vec::new();
    if let Some(level) = filter.level {
        parts.push(match level {
            Level::Fatal => "level fatal".to_owned(),
            level => format!("level {} and above", level.name()),
        });
    }
    if !filter.literals.is_empty() {
        let not = if filter.invert { "none" } else { "one" };
        let case = if filter.ignore_case { ", any case" } else { "" };
        let texts: Vec<String> = filter
            .literals
            .iter()
            .map(|text| format!("{text:?}"))
            .collect();
        parts.push(format!("{not} of {}{case}", texts.join(", ")));
    }
    push_where(&mut parts, filter.condition.as_deref());
    let all_have_conditions = setup.lines.iter().all(|sink| sink.condition.is_some());
    rows.push(Row::new(
        "filter",
        match (parts.is_empty(), all_have_conditions) {
            (false, _) => parts.join("; "),
            (true, true) => "none but the conditions of the sinks".to_owned(),
            (true, false) => "every record goes out".to_owned(),
        },
    ));
    if let Some(dedup) = &config.dedup {
        rows.push(Row::new("dedup", dedup_text(dedup)));
    }
    rows
}

fn dedup_text(dedup: &input::Dedup) -> String {
    let same = match dedup.mode {
        DedupMode::Exact => "the whole line",
        DedupMode::Message => "the message with what varies masked",
        DedupMode::Template => "the message's template",
    };
    let every = dedup.every.as_ref();
    let every = every.map_or(String::new(), |every| {
        format!(", with the count every {every}")
    });
    format!("once for each of: {same}{every}")
}

fn watched(config: &Config) -> Vec<Row> {
    let mut rows = Vec::new();
    for metric in &config.metric {
        let mut what = by(&metric.by);
        push_where(&mut what, metric.condition.as_deref());
        rows.push(Row::named("metric", &metric.field, what.join(", ")));
    }
    for state in &config.state {
        let mut what = vec![format!("{} by {}", state.value, state.key.join(", "))];
        push_where(&mut what, state.condition.as_deref());
        if let Some(within) = &state.expect_within {
            what.push(format!("late after {within}"));
        }
        if let Some(after) = &state.stuck_after {
            what.push(format!("stuck after {after}"));
        }
        if !state.roster.is_empty() {
            what.push(format!("{} must exist", state.roster.len()));
        }
        if !state.steps.is_empty() {
            what.push(format!("steps {}", state.steps.join(" > ")));
        }
        if !state.notify.is_empty() {
            what.push(format!(
                "{} -> {}",
                state.severity.name(),
                state.notify.join(", ")
            ));
        }
        rows.push(Row::named("state", &state.name, what.join(", ")));
    }
    for set in &config.set {
        let mut what = vec![match &*set.key {
            [] => set.value.clone(),
            key => format!("{} by {}", set.value, key.join(", ")),
        }];
        push_where(&mut what, set.condition.as_deref());
        rows.push(Row::named("set", &set.name, what.join(", ")));
    }
    for rule in &config.rule {
        let mut what = vec![rule.when.clone()];
        push_where(&mut what, rule.condition.as_deref());
        what.extend(by(&rule.by));
        what.push(format!("over {}", rule.window));
        if rule.hold != "0s" {
            what.push(format!("for {}", rule.hold));
        }
        if let Some(clear) = &rule.clear {
            what.push(format!("until {clear}"));
        }
        let told = match &*rule.notify {
            [] => String::new(),
            notify => format!(" -> {}", notify.join(", ")),
        };
        what.push(format!("{}{told}", rule.severity.name()));
        rows.push(Row::named("rule", &rule.name, what.join(", ")));
    }
    rows
}

fn by(fields: &[String]) -> Vec<String> {
    match fields {
        [] => Vec::new(),
        fields => vec![format!("by {}", fields.join(", "))],
    }
}

fn push_where(what: &mut Vec<String>, condition: Option<&str>) {
    what.extend(condition.map(|condition| format!("where {condition}")));
}

fn sinks(config: &Config, setup: &Setup) -> Vec<Row> {
    let lines = setup.lines.iter().map(|sink| {
        let mut what = vec![sink.target.address()];
        push_where(&mut what, sink.condition.as_deref());
        Row::new("lines", what.join(", "))
    });
    let mut rows: Vec<Row> = lines.collect();
    for target in &setup.summaries {
        let what = format!("{}, every {}", target.address(), config.run.interval);
        rows.push(Row::new("summaries", what));
    }
    if let Some(endpoint) = &setup.endpoint {
        let listen = &endpoint.listen;
        let token = match &endpoint.token {
            Some(_) => " with a token",
            None => "",
        };
        rows.push(Row::new(
            "endpoint",
            format!("http://{listen}/metrics{token}, /health, /ready"),
        ));
    }
    rows
}
