//! From a command's plan to a run of the engine: what `weir` and `weir filter` do alike.

use std::ffi::OsString;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::cli::{Failure, output};
use crate::config::plan::Plan;
use crate::engine::keeper::{self, GRACE, Keeper};
use crate::engine::reader::{CHUNK_BYTES, Input, Reader};
use crate::engine::signals::Stop;
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
        inputs: inputs(start.files),
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
        sink: start.sink,
        stop: start.stop,
        keeper: start.live.then(keeper),
        watcher: start.watcher,
    };
    engine::run(run, state).map_err(|error| Failure::io(format!("{error:#}")))
}

/// Ends a run that does not end within its grace time.
fn keeper() -> Keeper {
    Keeper {
        grace: GRACE,
        reads_again: false,
        systemd: None,
        end: Box::new(keeper::end),
    }
}

/// Standard input if no file is named.
fn inputs(mut files: Vec<OsString>) -> Vec<Input> {
    if files.is_empty() {
        files.push("-".into());
    }
    files.into_iter().map(Input::Named).collect()
}
