//! Streams that are read beside followed files, or beside each other: standard input, and the output of
//! programs. Each is read by a thread of its own, as if it were alone, which waits with its next batch until
//! the thread that follows takes it.
//!
//! [`Streams`] lives as long as the process, so a reload loses nothing of what is between two runs;
//! [`Several`] is what one run sees of it, behind the trait of a follower.

mod keeper;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem, thread};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::Signal;

use crate::clock::Clock;
use crate::flow::batch::{Batch, SourceId};
use crate::flow::time::Time;
use crate::sources::follow::{Note, Step};
use crate::sources::reading::Settings;
use crate::sources::streams::keeper::{Begun, Keeper, News, Round};
use crate::sources::{Follower, OpenError, Stream};

/// How long a program may go on after SIGTERM until it is killed: well within the grace of a run.
const TO_END: Duration = Duration::from_secs(5);

/// Batches of a stream that wait for their turn.
const WAITING_MAX: usize = 1;

/// A wait that something else ends.
const LONG: Duration = Duration::from_secs(3600);

/// Wakes the thread that follows.
#[derive(Clone)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    fn new() -> io::Result<Wake> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Wake(Arc::new(eventfd(0, flags)?)))
    }

    pub fn wake(&self) {
        // A counter that is full wakes just as well.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    fn heard(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

/// The streams of a process.
pub struct Streams {
    list: Vec<One>,
    wake: Wake,
    /// Buffers on their way back to the readers.
    buffers: Sender<Vec<u8>>,
    /// Whose turn it is.
    turn: usize,
    /// Since when they are asked to end, on the clock of the run.
    ending: Option<Duration>,
    was_killed: bool,
}

/// One stream.
struct One {
    asked: Stream,
    batches: Receiver<Batch>,
    news: Receiver<News>,
    round: Arc<Round>,
    /// Wakes the thread of the stream while it waits for its next round.
    nap: Sender<()>,
    /// Its thread still runs.
    awaits: bool,
    /// Bytes that were handed on, and that were read.
    handed: u64,
    read: u64,
    exit: Option<ExitStatus>,
    /// Its thread has told that no other round begins.
    is_over: bool,
}

impl Streams {
    /// Opens standard input and starts programs. If one of them cannot be, none goes on.
    pub fn start(asked: &[Stream], settings: &Settings, now: Time) -> Result<Streams, OpenError> {
        let fail = |error: io::Error| OpenError {
            message: format!("no thread for a stream: {error}"),
            exit_code: 74,
        };
        let (buffers_in, buffers) = bounded(asked.len());
        let mut streams = Streams {
            list: Vec::new(),
            wake: Wake::new().map_err(fail)?,
            buffers: buffers_in,
            turn: 0,
            ending: None,
            was_killed: false,
        };
        for stream in asked {
            let round = Arc::new(Round::default());
            let first = Begun::open(stream, &round, now)?;
            let one = One::start(
                stream,
                first,
                round,
                settings,
                buffers.clone(),
                &streams.wake,
            );
            streams.list.push(one.map_err(fail)?);
        }
        Ok(streams)
    }

    /// The next batch of some stream, by its place, if one waits. Streams take turns.
    fn next(&mut self, tell: &mut Tell) -> Option<(usize, Batch)> {
        let count = self.list.len();
        for step in 0..count {
            let place = (self.turn + step) % count;
            let one = &mut self.list[place];
            match one.batches.try_recv() {
                Ok(batch) => {
                    one.handed += batch.content.len() as u64 + batch.cut_bytes;
                    self.turn = place + 1;
                    return Some((place, batch));
                }
                Err(error) => {
                    let heard = one.hear(tell);
                    if error == TryRecvError::Disconnected && one.awaits {
                        one.finish(heard, tell, self.ending.is_some());
                    }
                }
            }
        }
        None
    }

    fn are_over(&self) -> bool {
        self.list.iter().all(|one| !one.awaits)
    }

    /// Asks all of them to end. What was read is still handed on, and what programs write until they
    /// have ended.
    fn end(&mut self, now: Duration) {
        if self.ending.replace(now).is_some() {
            return;
        }
        for one in &self.list {
            one.round.now().ending = true;
            let _ = one.nap.try_send(());
            match one.asked.origin.program() {
                Some(_) => one.round.signal(Signal::TERM),
                None => one.round.stop(),
            }
        }
    }

    /// Ends what did not do so by itself, and then goes on without it. Returns when to look again.
    fn enforce_end(&mut self, now: Duration, tell: &mut Tell) -> Duration {
        let Some(since) = self.ending else {
            return now + LONG;
        };
        let (kill_at, leave_at) = (since + TO_END, since + 2 * TO_END);
        let late = self.list.iter_mut().filter(|one| one.awaits);
        if now < kill_at {
            return kill_at;
        }
        if now >= leave_at {
            for one in late {
                one.awaits = false;
                let name = &one.asked.name;
                tell.notes.push(Note {
                    text: format!("{name}: does not end; what it still holds is left"),
                    is_problem: true,
                });
            }
            return now;
        }
        if !mem::replace(&mut self.was_killed, true) {
            for one in late {
                one.round.signal(Signal::KILL);
                one.round.stop();
            }
        }
        leave_at
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for one in self.list.iter().filter(|one| one.awaits) {
            one.round.now().ending = true;
            let _ = one.nap.try_send(());
            one.round.stop();
            one.round.signal(Signal::TERM);
        }
    }
}

/// What is said, and what does not add up.
#[derive(Default)]
struct Tell {
    notes: Vec<Note>,
    problems: Vec<(String, u8)>,
    /// Bytes that were read and that no batch brought.
    missing_bytes: u64,
}

impl One {
    fn start(
        asked: &Stream,
        first: Begun,
        round: Arc<Round>,
        settings: &Settings,
        buffers: Receiver<Vec<u8>>,
        wake: &Wake,
    ) -> io::Result<One> {
        // The budget of the run is asked for when a batch has come: a permit that a stream held here would
        // be waited for by the very thread that is to take the batch.
        let (batches_in, batches) = bounded(WAITING_MAX);
        let (news_in, news) = unbounded();
        let (nap, napping) = bounded(1);
        let keeper = Keeper {
            asked: asked.clone(),
            round: Arc::clone(&round),
            settings: settings.clone(),
            batches: batches_in,
            news: news_in,
            nap: napping,
            buffers,
            wake: wake.clone(),
        };
        let thread = thread::Builder::new().name("stream".to_owned());
        // Before the thread runs: a rule that looks now must not take the source for a dead one.
        asked.status.up.store(true, Ordering::Relaxed);
        thread.spawn(move || keeper.run(first))?;
        Ok(One {
            asked: asked.clone(),
            batches,
            news,
            round,
            nap,
            awaits: true,
            handed: 0,
            read: 0,
            exit: None,
            is_over: false,
        })
    }

    /// Hears all that its thread tells until now. Returns whether it may tell more.
    fn hear(&mut self, tell: &mut Tell) -> TryRecvError {
        let name = self.asked.name.clone();
        loop {
            let news = match self.news.try_recv() {
                Ok(news) => news,
                Err(error) => return error,
            };
            match news {
                News::Read(bytes, problem) => {
                    self.read += bytes;
                    if let Some(error) = problem {
                        let text = format!("{name}: {error}");
                        // Said now: the run, which asks for the exit code, may go on for months.
                        tell.notes.push(Note {
                            text: text.clone(),
                            is_problem: true,
                        });
                        tell.problems.push((text, 74));
                    }
                }
                News::Exited(Ok(status)) => self.exit = Some(status),
                News::Exited(Err(error)) => tell.problems.push((format!("{name}: {error}"), 74)),
                News::Note(text) => tell.notes.push(Note {
                    text,
                    is_problem: true,
                }),
                News::Over => self.is_over = true,
            }
        }
    }

    /// All batches were taken, and no other comes.
    fn finish(&mut self, heard: TryRecvError, tell: &mut Tell, was_asked: bool) {
        if self.is_over {
            tell.missing_bytes += self.read.saturating_sub(self.handed);
            if !was_asked {
                tell.notes.push(self.ended());
            }
        } else if heard == TryRecvError::Disconnected {
            tell.problems.push((self.died(), 3));
        } else {
            // It tells that it is over in a moment, after its last batch.
            return;
        }
        self.awaits = false;
    }

    fn died(&self) -> String {
        format!(
            "{}: its thread stopped by an error of ours",
            self.asked.name
        )
    }

    fn ended(&self) -> Note {
        let how = match self.exit {
            Some(status) if !status.success() => match (status.code(), status.signal()) {
                (Some(code), _) => Some(format!("ended with exit code {code}")),
                (None, Some(signal)) => Some(format!("ended by signal {signal}")),
                (None, None) => None,
            },
            _ => None,
        };
        let name = match self.asked.origin.program() {
            Some(_) => &*self.asked.name,
            None => "standard input",
        };
        Note {
            is_problem: how.is_some(),
            text: format!("{name}: {}", how.as_deref().unwrap_or("ended")),
        }
    }
}

/// What one run reads: files that are followed, if there are any, and streams.
pub struct Several {
    files: Option<Box<dyn Follower>>,
    streams: Arc<Mutex<Streams>>,
    /// The inputs of the streams, by their places.
    sources: Vec<SourceId>,
    clock: Arc<dyn Clock>,
    /// Set before the run is asked to end, if another goes on with the streams.
    goes_on: Option<Arc<AtomicBool>>,
    sequence: u64,
    /// Bytes of streams.
    bytes: u64,
    tell: Tell,
    /// The streams have the next turn.
    streams_first: bool,
    finishing: bool,
    files_are_over: bool,
    wake: Wake,
}

impl Several {
    pub fn new(
        files: Option<Box<dyn Follower>>,
        streams: Arc<Mutex<Streams>>,
        sources: Vec<SourceId>,
        clock: Arc<dyn Clock>,
        goes_on: Option<Arc<AtomicBool>>,
    ) -> Several {
        let wake = lock(&streams).wake.clone();
        Several {
            files_are_over: files.is_none(),
            files,
            streams,
            sources,
            clock,
            goes_on,
            sequence: 0,
            bytes: 0,
            tell: Tell::default(),
            streams_first: false,
            finishing: false,
            wake,
        }
    }

    /// Whether the streams belong to the run after this one by now.
    fn leaves_streams(&self) -> bool {
        let goes_on = self.goes_on.as_ref();
        self.finishing && goes_on.is_some_and(|goes_on| goes_on.load(Ordering::Relaxed))
    }

    fn next_of_streams(&mut self) -> Option<Batch> {
        // What is read again after a kill comes first, as it did before the kill.
        let is_replaying = self
            .files
            .as_ref()
            .is_some_and(|files| files.is_replaying());
        if is_replaying || self.leaves_streams() {
            return None;
        }
        self.wake.heard();
        let (place, mut batch) = lock(&self.streams).next(&mut self.tell)?;
        batch.source = self.sources[place];
        self.bytes += batch.content.len() as u64 + batch.cut_bytes;
        Some(batch)
    }

    fn next_of_files(&mut self) -> Option<Step> {
        let files = self.files.as_mut().filter(|_| !self.files_are_over)?;
        let step = files.step();
        self.files_are_over = matches!(step, Step::End);
        Some(step)
    }

    fn number(&mut self, mut batch: Batch) -> Step {
        batch.sequence = self.sequence;
        self.sequence += 1;
        Step::Batch(batch)
    }
}

impl Follower for Several {
    fn step(&mut self) -> Step {
        // Neither a busy file nor a busy stream holds up the others.
        self.streams_first = !self.streams_first;
        if self.streams_first
            && let Some(batch) = self.next_of_streams()
        {
            return self.number(batch);
        }
        let mut until = match self.next_of_files() {
            Some(Step::Batch(batch)) => return self.number(batch),
            Some(Step::Idle { until }) => Some(until),
            Some(Step::End) | None => None,
        };
        if let Some(batch) = self.next_of_streams() {
            return self.number(batch);
        }
        let mut streams = lock(&self.streams);
        if self.files_are_over && (self.leaves_streams() || streams.are_over()) {
            return Step::End;
        }
        let look = streams.enforce_end(self.clock.monotonic(), &mut self.tell);
        let until = until.get_or_insert(look);
        Step::Idle {
            until: look.min(*until),
        }
    }

    fn finish(&mut self) {
        if mem::replace(&mut self.finishing, true) {
            return;
        }
        if let Some(files) = &mut self.files {
            files.finish();
        }
        if !self.leaves_streams() {
            lock(&self.streams).end(self.clock.monotonic());
        }
    }

    fn reopen(&mut self) {
        if let Some(files) = &mut self.files {
            files.reopen();
        }
    }

    fn notes(&mut self) -> Vec<Note> {
        let mut notes = mem::take(&mut self.tell.notes);
        if let Some(files) = &mut self.files {
            notes.extend(files.notes());
        }
        notes
    }

    fn problems(&mut self) -> Vec<(String, u8)> {
        mem::take(&mut self.tell.problems)
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        let refused = match lock(&self.streams).buffers.try_send(buffer) {
            Ok(()) => return,
            Err(error) => error.into_inner(),
        };
        if let Some(files) = &mut self.files {
            files.give_back(refused);
        }
    }

    fn bytes(&self) -> u64 {
        let of_files = self.files.as_ref().map_or(0, |files| files.bytes());
        of_files + self.bytes + self.tell.missing_bytes
    }

    fn hints_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.files.as_ref()?.hints_descriptor()
    }

    fn streams_descriptor(&self) -> Option<BorrowedFd<'_>> {
        // What the next run takes would wake this one for nothing.
        (!self.leaves_streams()).then(|| self.wake.0.as_fd())
    }
}

fn lock(streams: &Mutex<Streams>) -> MutexGuard<'_, Streams> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}
