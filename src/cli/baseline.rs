//! `weir baseline`: the file of messages that rules with `new()` know already. It is learned from
//! logs, compared with logs, and grows by what a person acknowledges.

use std::path::Path;

use crate::cli::args::{BaselineCommand, BaselineLogs, LevelArg};
use crate::cli::output;
use crate::disk::replace::replace;
use crate::engine::NoWatcher;
use crate::error::{Failure, exit};
use crate::flow::fingerprint::Fingerprint;
use crate::flow::level::Level;
use crate::flow::wanted::Wanted;
use crate::framing::Multiline;
use crate::parsers::documents;
use crate::plan;
use crate::plan::flags as planned;
use crate::plan::overlap::Outputs;
use crate::plan::{Plan, ReportTask, Select, Task};
use crate::report::{Message, Report};
use crate::rules::baseline::Baseline;
use crate::run::purpose::Purpose;
use crate::run::rehearse;
use crate::run::start::{self, Start};
use crate::sources::Source;
use crate::sources::globs::Files;
use crate::sources::prepared::Preparation;
use crate::state::{Shape, State};

pub fn run(command: BaselineCommand) -> Result<u8, Failure> {
    match command {
        BaselineCommand::Learn(logs) => learn(&logs),
        BaselineCommand::Diff(logs) => diff(&logs),
        BaselineCommand::Ack { file, messages } => ack(&file, &messages),
    }
}

/// As [`crate::plan::baseline::read`]; a file that is not there is an empty one.
fn read_or_begin(path: &Path) -> Result<Baseline, Failure> {
    match path.try_exists() {
        Ok(false) => Ok(Baseline::default()),
        _ => plan::baseline::read(path),
    }
}

fn write(path: &Path, baseline: &Baseline) -> Result<(), Failure> {
    replace(path, baseline.write().as_bytes())
        .map_err(|error| Failure::io(format!("{}: {error}", path.display())))
}

fn learn(logs: &BaselineLogs) -> Result<u8, Failure> {
    let mut outputs = Outputs::default();
    outputs.add_replaced("the baseline", &logs.file)?;
    let files = start::files(logs.logs.clone(), None, &mut outputs)?;
    let mut baseline = read_or_begin(&logs.file)?;
    let (state, code) = tables(files, None, logs.level)?;
    let mut learned = 0u64;
    for message in &Report::new(&state, None).messages {
        learned += add(&mut baseline, message);
    }
    write(&logs.file, &baseline)?;
    let text = format!("{learned} learned, {} known\n", baseline.len());
    output::write(None, text.into_bytes())?;
    Ok(code)
}

/// Adds every member of a template; returns how many were not known.
fn add(baseline: &mut Baseline, message: &Message<'_>) -> u64 {
    let members = message.fingerprints.iter();
    let added =
        members.filter(|&&member| baseline.insert(member, message.level, &message.template));
    added.count() as u64
}

/// Prints what the file does not know; that there is something is a failure, as of `diff`.
fn diff(logs: &BaselineLogs) -> Result<u8, Failure> {
    let baseline = plan::baseline::read(&logs.file)?;
    let (state, code) = tables(
        start::files(logs.logs.clone(), None, &mut Outputs::default())?,
        None,
        logs.level,
    )?;
    let report = Report::new(&state, None);
    let mut text = Vec::new();
    let mut unknown = 0;
    for message in &report.messages {
        if message
            .fingerprints
            .iter()
            .any(|member| baseline.contains(*member))
        {
            continue;
        }
        unknown += 1;
        let level = message.level.map_or("-", Level::name);
        let line = format!(
            "{} {level} {} {}\n",
            message.fingerprint,
            message.count,
            String::from_utf8_lossy(&message.template)
        );
        crate::flow::terminal::escape(line.as_bytes(), &mut text);
    }
    output::write(None, text)?;
    Ok(code.max(if unknown > 0 { exit::FAILED } else { 0 }))
}

fn ack(file: &Path, messages: &[String]) -> Result<u8, Failure> {
    Outputs::default().add_replaced("the baseline", file)?;
    let mut baseline = read_or_begin(file)?;
    let mut lines = Vec::new();
    let mut added = 0;
    for message in messages {
        match message.parse::<Fingerprint>() {
            Ok(fingerprint) => {
                added += u64::from(baseline.insert(fingerprint, None, b"(acknowledged)"));
            }
            Err(_) => lines.push(message.clone()),
        }
    }
    if !lines.is_empty() {
        let source = rehearse::source(&lines, planned::now());
        let (state, _) = tables(Files::default(), Some(source), LevelArg::Trace)?;
        for message in &Report::new(&state, None).messages {
            added += add(&mut baseline, message);
        }
    }
    write(file, &baseline)?;
    let text = format!("{added} acknowledged, {} known\n", baseline.len());
    output::write(None, text.into_bytes())?;
    Ok(0)
}

/// The tables of logs that are read to their end, and the exit code that reading asks for.
fn tables(files: Files, opened: Option<Source>, level: LevelArg) -> Result<(State, u8), Failure> {
    let list = Level::from(level);
    let (zone, zone_name) = planned::zone(None)?;
    let shape = Shape {
        list,
        groupings: Vec::new(),
        zone: zone_name,
    };
    let plan = Plan {
        select: Select::default(),
        wanted: Wanted {
            time: true,
            level: true,
            message: true,
            message_from: (list != Level::Trace).then_some(list),
            ..Wanted::default()
        },
        multiline: Multiline::Auto,
        task: Task::Report(ReportTask {
            list,
            metrics: Vec::new(),
            groupings: Vec::new(),
            statuses: false,
        }),
        conditions: Vec::new(),
        prefilter: true,
    };
    let start = Start {
        files,
        opened,
        tail: None,
        following: None,
        state: None,
        purpose: Purpose::new("weir baseline"),
        append: None,
        zone,
        format: None,
        prepare: Preparation::new(documents::recognise),
        now: planned::now(),
        live: false,
        quiet: true,
        grace: std::time::Duration::ZERO,
        engine: planned::threads_and_budget(None, None)?,
        stop: start::stop()?,
        sink: None,
        writes: Vec::new(),
        further: Vec::new(),
        beside: None,
        watcher: Box::new(NoWatcher),
        reload: None,
        ready: Default::default(),
    };
    let outcome = start::run(plan, start, State::new(shape, 0))?;
    let code = output::problems(&outcome);
    Ok((outcome.state, code))
}
