//! A configuration run over what was recorded before, in event time: what would go out, who would be
//! told, and what would be known at the end. Nothing is sent. `weir test` and `weir replay` are made
//! of it.

use std::ffi::OsString;
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::fold::Fold;
use crate::engine::{End, Outcome, Watcher};
use crate::error::Failure;
use crate::flow::alert::{Alert, Notification};
use crate::flow::time::Time;
use crate::parsers::documents;
use crate::plan::overlap::Outputs;
use crate::plan::setup::Setup;
use crate::run::purpose::Purpose;
use crate::run::start::{self, Start};
use crate::sinks::Sink;
use crate::sources::Source;
use crate::sources::globs::Files;
use crate::sources::prepared::Preparation;
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
}

/// Reads everything to its end.
pub fn rehearse(setup: Setup, recorded: Recorded, stop: Stop) -> Result<Rehearsal, Failure> {
    let lines = Collected::default();
    let heard = Arc::new(Mutex::new(Heard::default()));
    let (files, opened) = match recorded {
        Recorded::Files(files) => {
            let mut outputs = Outputs::default();
            outputs.add_stdout();
            (start::files(files, None, &mut outputs)?, None)
        }
        Recorded::Lines(lines) => (Files::default(), Some(source(&lines, setup.now))),
    };
    let state = State::new(setup.shape, 0);
    let has_lines = setup.plan.task.lines().is_some();
    let start = Start {
        files,
        opened,
        tail: None,
        following: None,
        state: None,
        purpose: Purpose::new("weir replay"),
        append: None,
        zone: setup.zone,
        format: setup.format,
        prepare: Preparation::new(documents::recognise),
        now: setup.now,
        live: false,
        quiet: true,
        grace: setup.grace,
        engine: setup.engine,
        stop,
        sink: setup
            .plan
            .task
            .lines()
            .map(|_| Box::new(lines.clone()) as Box<dyn Sink>),
        writes: Vec::new(),
        further: Vec::new(),
        beside: None,
        watcher: Box::new(Listener {
            heard: Arc::clone(&heard),
        }),
        reload: None,
        ready: Default::default(),
    };
    let outcome = start::run(setup.plan, start, state)?;
    let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Rehearsal {
        outcome,
        lines: std::mem::take(&mut *lines.0.lock().unwrap_or_else(PoisonError::into_inner)),
        has_lines,
        alerts: heard.alerts,
        notifications: heard.notifications,
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

/// A sink that keeps everything.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Sink for Collected {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(lines);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes what rules have to tell, and tells nobody.
struct Listener {
    heard: Arc<Mutex<Heard>>,
}

#[derive(Default)]
struct Heard {
    alerts: Vec<Alert>,
    notifications: Vec<Notification>,
}

impl Listener {
    fn listen(&self, fold: &mut Fold) {
        let Some(rules) = &mut fold.rules else { return };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.alerts.extend(rules.take_alerts());
        for notification in rules.take_notifications() {
            rules.acknowledge(notification.number);
            heard.notifications.push(notification);
        }
    }
}

impl Watcher for Listener {
    fn step(&mut self, fold: &mut Fold) -> bool {
        self.listen(fold);
        false
    }

    fn ended(&mut self, fold: &mut Fold, _end: End) -> bool {
        fold.end_watch();
        self.listen(fold);
        false
    }
}
