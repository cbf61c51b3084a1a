//! From a command's plan to a run of the engine: what `weir` and `weir filter` do alike.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::cli::follow::{Following, Purpose, Rotation};
use crate::cli::{Failure, output};
use crate::config::plan::Plan;
use crate::engine::grace::{self, GRACE, Grace};
use crate::engine::reader::{CHUNK_BYTES, Input, Reader};
use crate::engine::signals::Stop;
use crate::engine::writer::Destination;
use crate::engine::{self, Outcome, Reading, Run, Watcher};
use crate::expr::aggregate::Check;
use crate::expr::condition::Condition;
use crate::flow::format::Format;
use crate::flow::time::Time;
use crate::sinks::Sink;
use crate::state::State;

/// What a run needs besides its plan.
pub struct Start {
    pub files: Vec<OsString>,
    /// Only so many of the last lines of each file.
    pub tail: Option<u64>,
    /// Files are followed instead of read to their end.
    pub following: Option<Following>,
    /// What is computed, for the state directory.
    pub purpose: Purpose,
    /// Where followed lines are appended, instead of `sink`.
    pub append: Option<Append>,
    pub zone: TimeZone,
    pub format: Option<Format>,
    pub now: Time,
    pub live: bool,
    /// Mapper threads and bytes in flight.
    pub engine: (usize, usize),
    pub stop: Stop,
    pub sink: Option<Box<dyn Sink>>,
    pub watcher: Box<dyn Watcher>,
}

/// A file that followed lines are appended to.
pub struct Append {
    pub path: PathBuf,
    pub rotation: Option<Rotation>,
}

/// A stop that SIGINT and SIGTERM set.
pub fn stop() -> Result<Stop, Failure> {
    Stop::new()
        .and_then(|stop| stop.on_signals().map(|()| stop))
        .map_err(|error| Failure::io(format!("signals: {error}")))
}

/// Says what is probably a mistake, unless nobody wants to hear it.
pub fn say_notes(notes: &[String], quiet: bool) {
    if !quiet {
        notes.iter().for_each(|note| output::say(note));
    }
}

/// The conditions of `--fail-on` that are counted per record.
pub fn counted(check: Option<&Check>) -> Vec<Condition> {
    check.map_or(Vec::new(), |check| check.conditions().to_vec())
}

/// Runs the plan to the end of its inputs.
pub fn run(plan: Plan, start: Start, state: State) -> Result<Outcome, Failure> {
    let (threads, budget_bytes) = start.engine;
    let reader = Reader {
        inputs: inputs(start.files, start.tail),
        chunk_bytes: CHUNK_BYTES,
        counts_lines: plan.needs_lines(),
        multiline: plan.multiline.clone(),
        zone: start.zone,
        format: start.format,
        now: start.now,
        live: start.live,
    };
    let run = Run {
        plan: Arc::new(plan),
        reader: Reading::ToEnd(reader),
        threads,
        budget_bytes,
        sink: start.sink.map(Destination::Plain),
        store: None,
        stop: start.stop,
        grace: start.live.then(grace),
        watcher: start.watcher,
        say: output::say,
    };
    engine::run(run, state).map_err(|error| Failure::io(format!("{error:#}")))
}

/// Ends a run that does not end within its grace time.
fn grace() -> Grace {
    Grace {
        grace: GRACE,
        reads_again: false,
        systemd: None,
        end: Box::new(grace::end),
    }
}

/// Standard input if no file is named.
fn inputs(mut files: Vec<OsString>, tail: Option<u64>) -> Vec<Input> {
    if files.is_empty() {
        files.push("-".into());
    }
    let input = |file| match tail {
        Some(lines) => Input::Tail(file, lines),
        None => Input::Named(file),
    };
    files.into_iter().map(input).collect()
}
