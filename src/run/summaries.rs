//! Makes summaries into lines and writes them to their sinks, on a thread of its own: a slow receiver
//! holds up neither lines nor alerts. What waits for it is bounded by the fold's own list.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::engine::writer::{Recorder, Wrote};
use crate::flow::output::{Accepted, Output};
use crate::flow::time::Time;
use crate::process::diagnostics;
use crate::report::{Report, json};
use crate::sinks::Destination;
use crate::sinks::{Arrival, Pending};
use crate::state::State;
use crate::state::summaries::{Summary, WAITING_MAX, Window};

/// How long the thread waits until it tries a full disk again.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// How often it looks whether summaries on their way have arrived.
const LOOK: Duration = Duration::from_millis(50);

/// The number of a summary, its tables and its window; the whole report has neither number nor window.
type Sent = (u64, Arc<State>, Option<Window>);

/// The thread's handle.
pub struct Writer {
    reports: Sender<Sent>,
    written: Receiver<u64>,
    thread: JoinHandle<()>,
}

impl Writer {
    pub fn start(destinations: Vec<Destination>) -> std::io::Result<Writer> {
        let (reports, taken) = unbounded::<Sent>();
        let (done, written) = unbounded();
        let recorders = destinations
            .into_iter()
            .map(|destination| Recorder::new(destination, None, Accepted::default(), None))
            .collect();
        let thread = std::thread::Builder::new()
            .name("summaries".to_owned())
            .spawn(move || write_all(recorders, &taken, &done))?;
        Ok(Writer {
            reports,
            written,
            thread,
        })
    }

    /// Sends a summary on its way.
    pub fn send(&self, summary: &Summary) {
        let sent = (
            summary.number,
            Arc::clone(&summary.state),
            Some(summary.window),
        );
        // A thread that has ended has said why.
        let _ = self.reports.send(sent);
    }

    /// The number of the last summary that every sink has, if it moved on since the last call.
    pub fn written(&self) -> Option<u64> {
        self.written.try_iter().last()
    }

    /// Writes what is under way, and then the whole report if there is one. Returns what
    /// [`Writer::written`] does.
    pub fn finish(self, report: Option<State>) -> Option<u64> {
        if let Some(state) = report {
            let _ = self.reports.send((0, Arc::new(state), None));
        }
        drop(self.reports);
        let _ = self.thread.join();
        self.written.try_iter().filter(|&number| number > 0).last()
    }
}

fn write_all(mut recorders: Vec<Recorder>, reports: &Receiver<Sent>, done: &Sender<u64>) {
    let mut failed = vec![false; recorders.len()];
    let mut under_way = UnderWay::default();
    loop {
        let next = match under_way.is_empty() {
            true => reports.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => reports.recv_timeout(LOOK),
        };
        match next {
            Ok((number, state, window)) => {
                let output = Output {
                    bytes: line(&state, window),
                    records: 1,
                    ..Output::default()
                };
                for (recorder, failed) in recorders.iter_mut().zip(&mut failed) {
                    write(recorder, &output, failed);
                }
                let pending = recorders.iter().flat_map(Recorder::pending);
                under_way.put(number, pending.collect());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        under_way.look(done);
    }
    for recorder in &mut recorders {
        if let Err(error) = recorder.finish() {
            diagnostics::note(&format!("summaries: {error}"));
        }
    }
    under_way.look(done);
}

/// Summaries that were written, until every sink has delivered them; no more than the fold keeps.
#[derive(Default)]
struct UnderWay {
    waiting: VecDeque<(u64, Vec<Pending>)>,
    /// A sink has ended without one of them. No number is told any more, so that the next start sends that
    /// one again.
    is_broken: bool,
}

impl UnderWay {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn put(&mut self, number: u64, pending: Vec<Pending>) {
        if self.waiting.len() == WAITING_MAX {
            // The fold has given it up as well.
            self.waiting.pop_front();
        }
        if !self.is_broken {
            self.waiting.push_back((number, pending));
        }
    }

    /// Tells the number of those that have arrived.
    fn look(&mut self, done: &Sender<u64>) {
        while let Some((number, pending)) = self.waiting.front() {
            let arrivals = pending.iter().map(Pending::look);
            match arrivals.max().unwrap_or(Arrival::Arrived) {
                Arrival::Arrived => drop(done.send(*number)),
                Arrival::Waiting => return,
                Arrival::Missing => {
                    self.is_broken = true;
                    return self.waiting.clear();
                }
            }
            self.waiting.pop_front();
        }
    }
}

/// Writes one line, however long there is no room for it. A sink that cannot be written to is told of
/// once, and tried again with the next line.
fn write(recorder: &mut Recorder, output: &Output, failed: &mut bool) {
    loop {
        let result = recorder.write(output);
        recorder
            .notes()
            .iter()
            .for_each(|note| diagnostics::note(note));
        match result {
            Ok(Wrote::All) => {
                *failed = false;
                return;
            }
            Ok(Wrote::NoRoom) => std::thread::sleep(ROOM_WAIT),
            Err(error) => {
                if !std::mem::replace(failed, true) {
                    diagnostics::note(&format!("summaries: {error}"));
                }
                return;
            }
        }
    }
}

/// A report as one line of JSON, with its window.
fn line(state: &State, window: Option<Window>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(window) = window {
        let seconds = window.end - window.start;
        let time = |second| {
            Time::from_parts(second, 0).map_or_else(|| second.to_string(), |time| time.to_string())
        };
        let start = time(window.start);
        let head = serde_json::json!({
            "id": format!("{seconds}s@{start}"), "start": start, "end": time(window.end), "seconds": seconds,
        });
        bytes.extend_from_slice(format!("{{\"window\":{head},").as_bytes());
    }
    let from = bytes.len();
    json::write(&Report::new(state, None), None, &mut |text| {
        bytes.extend_from_slice(text.as_bytes());
    });
    if from > 0 {
        // The report's own opening brace.
        bytes.remove(from);
    }
    bytes
}
