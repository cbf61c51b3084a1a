//! Streams that are read beside followed files, or beside each other: standard input, and the output of
//! programs. Each is read by a thread of its own, as if it were alone, which waits with its next batch until
//! the thread that follows takes it.
//!
//! [`Streams`] lives as long as the process, so a reload loses nothing of what is between two runs;
//! [`Several`] is what one run sees of it, behind the trait of a follower.

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

use crate::clock::{Clock, System};
use crate::flow::batch::{Batch, SourceId};
use crate::flow::time::Time;
use crate::sources::command::{Process, Running};
use crate::sources::follow::{Note, Step};
use crate::sources::reading::{Reading, Settings};
use crate::sources::{Follower, OpenError, Opened, Source, Stream};
use crate::stop::Stop;

/// How long what a program's own children write is waited for after it has ended.
const AFTER_END: Duration = Duration::from_secs(1);

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
    name: String,
    batches: Receiver<Batch>,
    news: Receiver<News>,
    stop: Stop,
    /// Of a program.
    process: Option<Arc<Process>>,
    /// How many of its threads still run: the one that reads it, and the one that waits for a program.
    awaits: usize,
    /// Bytes that were handed on.
    handed: u64,
    exit: Option<ExitStatus>,
    /// It is asked to end: that it does is no event.
    ending: Arc<AtomicBool>,
}

/// What the threads of a stream have to tell at their end.
enum News {
    /// So many bytes were read, and what kept it from reading on to the end.
    Read(u64, Option<io::Error>),
    /// The program has ended.
    Exited(io::Result<ExitStatus>),
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
            let Opened { source, running } = stream.origin.open(&stream.name, now)?;
            let source = Source {
                name: stream.name.clone(),
                ..source
            };
            let wake = streams.wake.clone();
            let one = One::start(source, running, settings, buffers.clone(), wake);
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
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => one.hear(tell, self.ending.is_some()),
            }
        }
        None
    }

    fn are_over(&self) -> bool {
        self.list.iter().all(|one| one.awaits == 0)
    }

    /// Asks all of them to end. What was read is still handed on, and what programs write until they
    /// have ended.
    fn end(&mut self, now: Duration) {
        if self.ending.replace(now).is_some() {
            return;
        }
        for one in &self.list {
            one.ending.store(true, Ordering::Relaxed);
            match &one.process {
                Some(process) => process.send(Signal::TERM),
                None => one.stop.ask(),
            }
        }
    }

    /// Ends what did not do so by itself, and then goes on without it. Returns when to look again.
    fn enforce_end(&mut self, now: Duration, tell: &mut Tell) -> Duration {
        let Some(since) = self.ending else {
            return now + LONG;
        };
        let (kill_at, leave_at) = (since + TO_END, since + 2 * TO_END);
        let late = self.list.iter_mut().filter(|one| one.awaits > 0);
        if now < kill_at {
            return kill_at;
        }
        if now >= leave_at {
            for one in late {
                one.awaits = 0;
                tell.notes.push(Note {
                    text: format!("{}: does not end; what it still holds is left", one.name),
                    is_problem: true,
                });
            }
            return now;
        }
        if !mem::replace(&mut self.was_killed, true) {
            for one in late {
                if let Some(process) = &one.process {
                    process.send(Signal::KILL);
                }
                one.stop.ask();
            }
        }
        leave_at
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for one in self.list.iter().filter(|one| one.awaits > 0) {
            one.stop.ask();
            if let Some(process) = &one.process {
                process.send(Signal::TERM);
            }
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
        source: Source,
        running: Option<Running>,
        settings: &Settings,
        buffers: Receiver<Vec<u8>>,
        wake: Wake,
    ) -> io::Result<One> {
        let name = source.name.clone();
        // The budget of the run is asked for when a batch has come: a permit that a stream held here would
        // be waited for by the very thread that is to take the batch.
        let (batches_in, batches) = bounded(WAITING_MAX);
        let (news_in, news) = unbounded();
        let stop = Stop::new()?;
        let process = running.as_ref().map(Running::process);
        let awaits = 1 + usize::from(running.is_some());
        {
            let (news_in, wake, stop) = (news_in.clone(), wake.clone(), stop.clone());
            let settings = settings.clone();
            let thread = thread::Builder::new().name("stream".to_owned());
            thread.spawn(move || {
                let mut reading = Reading::new(&settings, source, SourceId::default(), 0, None);
                while let Some(batch) = reading.next(&stop) {
                    if batches_in.send(batch).is_err() {
                        break;
                    }
                    wake.wake();
                    if let Ok(buffer) = buffers.try_recv() {
                        reading.give_back(buffer);
                    }
                }
                drop(batches_in);
                let _ = news_in.send(News::Read(reading.bytes(), reading.problem()));
                wake.wake();
            })?;
        }
        let ending = Arc::new(AtomicBool::new(false));
        if let Some(mut running) = running {
            let (stop, ending) = (stop.clone(), Arc::clone(&ending));
            let thread = thread::Builder::new().name("program".to_owned());
            thread.spawn(move || {
                let status = running.wait();
                let is_drained = running.drain(AFTER_END);
                if let Ok(status) = status
                    && !ending.load(Ordering::Relaxed)
                {
                    let now = Time(System::new().wall_nanoseconds());
                    running.report(&running.end(status, None), now);
                }
                if !is_drained {
                    stop.ask();
                }
                let _ = news_in.send(News::Exited(status));
                wake.wake();
            })?;
        }
        Ok(One {
            name,
            batches,
            news,
            stop,
            process,
            awaits,
            handed: 0,
            exit: None,
            ending,
        })
    }

    /// All batches were taken: hears how it ended, and says so once.
    fn hear(&mut self, tell: &mut Tell, was_asked: bool) {
        while self.awaits > 0 {
            let news = match self.news.try_recv() {
                Ok(news) => news,
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.awaits = 0;
                    return tell.problems.push((self.died(), 3));
                }
            };
            self.awaits -= 1;
            match news {
                News::Read(bytes, problem) => {
                    tell.missing_bytes += bytes.saturating_sub(self.handed);
                    if let Some(error) = problem {
                        let text = format!("{}: {error}", self.name);
                        // Said now: the run, which asks for the exit code, may go on for months.
                        tell.notes.push(Note {
                            text: text.clone(),
                            is_problem: true,
                        });
                        tell.problems.push((text, 74));
                    }
                }
                News::Exited(Ok(status)) => self.exit = Some(status),
                News::Exited(Err(error)) => {
                    tell.problems.push((format!("{}: {error}", self.name), 74));
                }
            }
            if self.awaits == 0 && !was_asked {
                tell.notes.push(self.ended());
            }
        }
    }

    fn died(&self) -> String {
        format!("{}: its thread stopped by an error of ours", self.name)
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
        let name = match self.process {
            Some(_) => &*self.name,
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
