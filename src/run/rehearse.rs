//! A configuration run over what was recorded before, in event time: what would go out, who would be
//! told, and what would be known at the end. Nothing is sent. `weir test` and `weir replay` are made
//! of it.

use std::ffi::OsString;
use std::io::Cursor;

use crate::engine::Outcome;
use crate::engine::fold::Fold;
use crate::error::Failure;
use crate::flow::alert::{Alert, Notification};
use crate::flow::output::{Accepted, Output};
use crate::flow::time::Time;
use crate::framing::chunker::Policy;
use crate::parsers::{csv, documents};
use crate::plan::overlap::Outputs;
use crate::plan::setup::Setup;
use crate::rules::Rules;
use crate::run::merged::{Input, Merged};
use crate::run::start;
use crate::sources::prepared::Preparation;
use crate::sources::{Source, reading};
use crate::state::State;
use crate::stop::Stop;

/// What is read.
pub enum Recorded {
    Files(Vec<OsString>),
    /// The lines of a test case.
    Lines(Vec<String>),
}

/// What came of it.
pub struct Rehearsal {
    pub outcome: Outcome,
    /// Lines that would have gone out.
    pub lines: Vec<u8>,
    /// There is a sink for lines.
    pub has_lines: bool,
    /// Every alert that began or ended, in order.
    pub alerts: Vec<Alert>,
    /// In the order in which they would have been made.
    pub notifications: Vec<Notification>,
    /// What nothing of the input came to, and why.
    pub notes: Vec<String>,
}

/// Bytes that are read of a file at once: many files are open side by side.
const CHUNK_BYTES: usize = 128 << 10;

/// Reads everything to its end.
pub fn rehearse(setup: Setup, recorded: Recorded, stop: Stop) -> Result<Rehearsal, Failure> {
    let mut problems = Vec::new();
    let inputs = match recorded {
        Recorded::Files(files) => {
            let mut outputs = Outputs::default();
            outputs.add_stdout();
            let files = start::files(files, None, &mut outputs)?;
            problems.extend(files.refused);
            let mut named = files.named;
            if named.is_empty() {
                named.push("-".into());
            }
            named.into_iter().map(Input::Named).collect()
        }
        Recorded::Lines(lines) => vec![Input::Opened(source(&lines, setup.now))],
    };
    let plan = setup.plan;
    let settings = reading::Settings {
        policy: Policy {
            multiline: plan.multiline.clone(),
            as_they_come: false,
            counts_lines: true,
            chunk_bytes: CHUNK_BYTES,
        },
        zone: setup.zone,
        format: setup.format,
        prepare: Preparation::new(documents::recognise),
        csv_header: csv::header_unless,
        live: false,
    };
    let has_lines = plan.task.lines().is_some();
    let mut rehearsal = Heard::default();
    let mut accepted = Accepted::default();
    let mut lines = Vec::new();
    let mut put = |output: Output| {
        accepted.records += output.records;
        accepted.bytes += output.bytes.len() as u64;
        lines.extend_from_slice(&output.bytes);
    };
    let mut fold = Fold::new(&plan, State::new(setup.shape, 0).into());
    let mut merged = Merged::new(&settings, &plan, inputs, setup.now, stop);
    merged.run(&mut fold, &mut put, &mut |fold| rehearsal.listen(fold));
    fold.end_watch();
    rehearsal.listen(&mut fold);
    put(fold.finish());
    let notes = fold.rules.as_ref().map(Rules::unreached);
    problems.append(&mut merged.problems);
    let bytes = merged.bytes;
    let state = fold.close(bytes, has_lines.then_some(accepted), &[]);
    Ok(Rehearsal {
        lines,
        has_lines,
        alerts: rehearsal.alerts,
        notifications: rehearsal.notifications,
        notes: notes.unwrap_or_default(),
        outcome: Outcome {
            state,
            problems,
            pipe_closed: false,
            kept: None,
            known: None,
        },
    })
}

/// Lines as a stream that is read to its end.
pub fn source(lines: &[String], now: Time) -> Source {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    Source {
        name: "test".to_owned(),
        size: Some(bytes.len() as u64),
        bytes: Box::new(Cursor::new(bytes)),
        file: None,
        anchor: now,
        ending: None,
        live: None,
    }
}

/// What rules have told.
#[derive(Default)]
struct Heard {
    alerts: Vec<Alert>,
    notifications: Vec<Notification>,
}

impl Heard {
    fn listen(&mut self, fold: &mut Fold) {
        let Some(rules) = &mut fold.rules else { return };
        self.alerts.extend(rules.take_alerts());
        for notification in rules.take_notifications() {
            rules.acknowledge(notification.number);
            self.notifications.push(notification);
        }
    }
}
