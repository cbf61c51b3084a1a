//! The thread of one stream: reads standard input or a program to the end, and starts a program again if it
//! is polled or kept alive. Called by [`super::Streams`].

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rustix::process::Signal;

use crate::clock::{Clock, System};
use crate::flow::batch::{Batch, SourceId};
use crate::flow::time::Time;
use crate::sources::command::{self, Process, Restart, Running, Waited};
use crate::sources::reading::{Reading, Settings};
use crate::sources::streams::{LONG, Wake};
use crate::sources::{self, OpenError, Source, Stream};
use crate::stop::Stop;

/// How long what a program's own children write is waited for after it has ended.
const AFTER_END: Duration = Duration::from_secs(1);

/// The wait before a program is started again: after its first end, and at most.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A program that ran for so long begins with the shortest wait again.
const STEADY: Duration = Duration::from_secs(60);

/// What runs for a stream at the moment.
#[derive(Default)]
pub(super) struct Round(Mutex<Now>);

#[derive(Default)]
pub(super) struct Now {
    pub(super) process: Option<Arc<Process>>,
    pub(super) stop: Option<Stop>,
    /// It is asked to end: that it does is no event, and no other round begins.
    pub(super) ending: bool,
}

impl Round {
    pub(super) fn now(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.now().ending
    }

    /// Ends the reading, whatever is still to come.
    pub(super) fn stop(&self) {
        if let Some(stop) = &self.now().stop {
            stop.ask();
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.now().process {
            // What a program has started is left to it, until it is too late for that.
            match signal {
                Signal::KILL => process.send_to_all(signal),
                other => process.send(other),
            }
        }
    }
}

/// What the thread of a stream tells.
pub(super) enum News {
    /// Standard input was read, or a program has run, to the end: so many bytes, and what kept them from being
    /// read to the end.
    Read(u64, Option<io::Error>),
    Exited(io::Result<ExitStatus>),
    /// Something that the user should know.
    Note(String),
    /// No other round begins.
    Over,
}

/// What one round reads.
pub(super) struct Begun {
    pub(super) running: Option<Running>,
    pub(super) source: Source,
    pub(super) stop: Stop,
}

impl Begun {
    /// Opens standard input or starts the program.
    pub(super) fn open(asked: &Stream, round: &Round, now: Time) -> Result<Begun, OpenError> {
        let fail = |error: io::Error| OpenError {
            message: format!("no descriptor for a stream: {error}"),
            exit_code: 74,
        };
        let stop = Stop::new().map_err(fail)?;
        let sources::Opened { source, running } = asked.origin.open(&asked.name, now)?;
        let mut current = round.now();
        current.process = running.as_ref().map(Running::process);
        current.stop = Some(stop.clone());
        if current.ending {
            // It was asked to end while the program started.
            if let Some(process) = &current.process {
                process.send(Signal::TERM);
            }
        }
        Ok(Begun {
            running,
            source: Source {
                name: asked.name.clone(),
                ..source
            },
            stop,
        })
    }
}

/// The thread of a stream.
pub(super) struct Keeper {
    pub(super) asked: Stream,
    pub(super) round: Arc<Round>,
    pub(super) settings: Settings,
    pub(super) batches: Sender<Batch>,
    pub(super) news: Sender<News>,
    pub(super) nap: Receiver<()>,
    pub(super) buffers: Receiver<Vec<u8>>,
    pub(super) wake: Wake,
}

impl Keeper {
    pub(super) fn run(self, first: Begun) {
        let started = Instant::now();
        let mut next = Some(first);
        let mut failures = 0;
        let mut was_well = true;
        let mut is_last_well = true;
        loop {
            let opened = match next.take() {
                Some(first) => first,
                None => match self.open() {
                    Some(opened) => opened,
                    None => break,
                },
            };
            let began = Instant::now();
            let due = self
                .asked
                .origin
                .again()
                .every
                .map(|every| next_tick(started, began, every));
            let status = &self.asked.status;
            status.up.store(true, Ordering::Relaxed);
            status.runs.fetch_add(1, Ordering::Relaxed);
            let Some(is_well) = self.read(opened, due) else {
                break;
            };
            is_last_well = is_well;
            let again = self.asked.origin.again();
            status
                .up
                .store(is_well && again.every.is_some(), Ordering::Relaxed);
            if self.round.is_ending() {
                break;
            }
            if began.elapsed() >= STEADY {
                failures = 0;
            }
            let wait = match (again.every, again.restart) {
                (Some(every), _) => {
                    if is_well != was_well {
                        let now = if is_well { "works again" } else { "fails" };
                        self.tell(format!("{}: {now}", self.asked.name));
                    }
                    was_well = is_well;
                    next_tick(started, Instant::now(), every)
                        .saturating_duration_since(Instant::now())
                }
                (None, Restart::Always) | (None, Restart::OnFailure)
                    if !is_well || again.restart == Restart::Always =>
                {
                    let wait = backoff(failures);
                    failures += 1;
                    self.tell(format!(
                        "{}: ended; it is started again in {wait:?}",
                        self.asked.name
                    ));
                    wait
                }
                _ => break,
            };
            if !matches!(self.nap.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        let status = &self.asked.status;
        status.up.store(false, Ordering::Relaxed);
        let has_failed = !is_last_well && !self.round.is_ending();
        status.failed.store(has_failed, Ordering::Relaxed);
        drop(self.batches);
        let _ = self.news.send(News::Over);
        self.wake.wake();
    }

    fn tell(&self, text: String) {
        let _ = self.news.send(News::Note(text));
        self.wake.wake();
    }

    /// Starts the program once more. One that cannot be started leaves a record that says so.
    fn open(&self) -> Option<Begun> {
        if self.round.is_ending() {
            return None;
        }
        let now = Time(System::new().wall_nanoseconds());
        match Begun::open(&self.asked, &self.round, now) {
            Ok(opened) => Some(opened),
            Err(error) => {
                let stop = Stop::new().ok()?;
                self.round.now().stop = Some(stop.clone());
                Some(Begun {
                    running: None,
                    source: command::not_started(&self.asked.name, &error, now),
                    stop,
                })
            }
        }
    }

    /// Reads one round to its end. Says whether it ended well; nothing if no reader is left.
    fn read(&self, opened: Begun, due: Option<Instant>) -> Option<bool> {
        let Begun {
            running,
            source,
            stop,
        } = opened;
        let is_stdin = self.asked.origin.is_stdin();
        let waiter = running.map(|running| self.await_end(running, stop.clone(), due));
        let mut reading = Reading::new(&self.settings, source, SourceId::default(), 0, None);
        while let Some(batch) = reading.next(&stop) {
            if self.batches.send(batch).is_err() {
                break;
            }
            self.wake.wake();
            if let Ok(buffer) = self.buffers.try_recv() {
                reading.give_back(buffer);
            }
        }
        let problem = reading.problem();
        let mut is_well = problem.is_none() && is_stdin;
        let mut news = vec![News::Read(reading.bytes(), problem)];
        match waiter {
            Some(Ok(waiter)) => match waiter.join() {
                Ok(status) => {
                    is_well = status.as_ref().is_ok_and(ExitStatus::success);
                    news.push(News::Exited(status));
                }
                Err(_) => news.push(News::Exited(Err(io::Error::other("its thread died")))),
            },
            Some(Err(error)) => news.push(News::Exited(Err(error))),
            None => {}
        }
        let is_heard = news.into_iter().all(|news| self.news.send(news).is_ok());
        self.wake.wake();
        is_heard.then_some(is_well)
    }

    /// Waits for the end of a program beside the reading. If its next run is due before, that is left out and
    /// counted.
    fn await_end(
        &self,
        mut running: Running,
        stop: Stop,
        mut due: Option<Instant>,
    ) -> io::Result<JoinHandle<io::Result<ExitStatus>>> {
        let (asked, news, wake) = (self.asked.clone(), self.news.clone(), self.wake.clone());
        let round = Arc::clone(&self.round);
        let every = asked.origin.again().every.unwrap_or(LONG);
        let thread = thread::Builder::new().name("program".to_owned());
        thread.spawn(move || {
            let status = loop {
                match running.wait_or(stop.descriptor(), due) {
                    Ok(Waited::Ended(status)) => break Ok(status),
                    Ok(Waited::Woken) => break running.wait(),
                    Ok(Waited::TimeIsOver) => {
                        if asked.status.skipped.fetch_add(1, Ordering::Relaxed) == 0 {
                            let _ = news.send(News::Note(format!(
                                "{}: still runs when its next run is due, which is left out; weir_source_skipped_total counts them",
                                asked.name
                            )));
                            wake.wake();
                        }
                        asked.status.up.store(false, Ordering::Relaxed);
                        due = due.and_then(|due| due.checked_add(every));
                    }
                    Err(error) => break Err(error),
                }
            };
            let is_drained = running.drain(AFTER_END);
            if let Ok(status) = &status
                && !round.is_ending()
            {
                let now = Time(System::new().wall_nanoseconds());
                running.report(&running.end(*status, None), now);
            }
            if !is_drained {
                stop.ask();
            }
            status
        })
    }
}

/// When the next run of a polled program is due after `now`: at whole spans after the first.
fn next_tick(started: Instant, now: Instant, every: Duration) -> Instant {
    let every = every.max(Duration::from_millis(1));
    let passed = now.saturating_duration_since(started).as_nanos() / every.as_nanos();
    let next = u32::try_from(passed + 1).unwrap_or(u32::MAX);
    started
        .checked_add(every.saturating_mul(next))
        .unwrap_or(now + LONG)
}

/// The wait before a program is started again that has failed so many times in a row.
fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN
        .saturating_mul(1 << failures.min(16))
        .min(BACKOFF_MAX)
}
