//! Threads and queues: one reader, some mappers, the fold on the calling thread, one writer. Knows
//! no format and no protocol.
//!
//! ```text
//! reader ──(Batch, Permit)──▶ mappers ──(Mapped, Permit)──▶ fold ──(Output, Permit)──▶ writer
//!    ▲                           │                          │ ▲                          │
//!    └── buffers, to be filled ◀─┴──────────────────────────┘ └── done ◀─ committer ◀────┘
//!                                                                          checkpoints
//! ```
//!
//! The committer is there only with a state directory ([`checkpoint`]).
//!
//! A panic is a fault of ours and costs as little as it can ([`faults`]). In a mapper it costs one record
//! its place in the tables ([`mapper::careful`]). In the fold, the writer or the committer it ends the run:
//! what they had is half changed, so no checkpoint is written, and a restart goes on from the last one. If
//! that was in the fold, the restart looks for the record that does it (`trials`).
//!
//! The queues have no bound of their own: every item carries a [`budget::Permit`], so the byte
//! budget bounds them all together. Only what waits for the fold is bounded by number, too: a batch
//! that is mapped may take more than its bytes, and is best taken in while it is in the cache.

pub mod budget;
pub mod checkpoint;
pub mod faults;
pub mod fold;
pub mod follow;
pub mod grace;
pub mod mapper;
mod order;
pub mod reader;
mod trials;
pub mod writer;

use std::cell::Cell;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};

use crate::clock::System;
use crate::engine::budget::{Budget, Permit};
use crate::engine::checkpoint::{Commit, Done, Failure, Keeper, Store, commit_all};
use crate::engine::faults::{Faulted, Faults, Put, guard};
use crate::engine::fold::{Fold, Known};
use crate::engine::follow::Follow;
use crate::engine::grace::{Grace, Kept};
use crate::engine::mapper::{Mapper, careful};
use crate::engine::order::Order;
use crate::engine::reader::{Opened, Outlet, ReadReport, Reader};
use crate::engine::writer::{Border, Further, Recorder, Sent, Writing, Written, write_all};
use crate::flow::batch::{Batch, Content};
use crate::flow::mapped::Mapped;
use crate::flow::time::Time;
use crate::plan::Plan;
use crate::rules::moment::Reads;
use crate::sinks::Destination;
use crate::state::State;
use crate::stop::Stop;
use crate::store::suspects::{Suspect, Suspects};

/// Mapped batches that wait for the fold, for each mapper. The fold takes them out of the queue whatever
/// their order, so no mapper waits for another.
const MAPPED_MAX: usize = 2;

/// One run, ready to start.
pub struct Run {
    pub plan: Arc<Plan>,
    pub reader: Reading,
    /// Mapper threads; reader, fold and writer are extra.
    pub threads: usize,
    pub budget_bytes: usize,
    /// Where kept lines go; `None` for a report.
    pub sink: Option<Destination>,
    /// More sinks of lines: they get each output after `sink` has it.
    pub further: Vec<Further>,
    /// Set before the run is asked to stop, if it ends only to go on with another plan.
    pub carries: Option<Arc<AtomicBool>>,
    /// The state directory, if checkpoints are to be written.
    pub store: Option<Store>,
    pub stop: Stop,
    /// Sees to it that a live run ends when it is asked to.
    pub grace: Option<Grace>,
    pub watcher: Box<dyn Watcher>,
    /// Where records go that made us panic, besides the output.
    pub faulted: Option<(PathBuf, Put)>,
    /// Tells the user something while the run goes on; called from several threads.
    pub say: fn(&str),
}

/// How the inputs are read.
pub enum Reading {
    ToEnd(Reader),
    Follow(Follow),
}

/// Looks on while a run goes, on the fold's thread.
pub trait Watcher {
    /// How often [`Watcher::look`] is wanted when nothing else happens.
    fn interval(&self) -> Option<Duration> {
        None
    }

    /// A source was opened; its size in bytes, if known.
    fn opened(&mut self, _name: &str, _size: Option<u64>) {}

    /// Called after batches, at most once an interval.
    fn look(&mut self, _state: &State) {}

    /// Wall-clock time, if the run is live.
    fn now(&self) -> Option<Time> {
        None
    }

    /// How long the fold may wait for batches until the next [`Watcher::step`].
    fn wait(&self, _fold: &Fold) -> Option<Duration> {
        None
    }

    /// Called after batches and waits: lets time pass, passes on what rules have to say. Returns whether
    /// the fold knows something now that a checkpoint should hold.
    fn step(&mut self, _fold: &mut Fold) -> bool {
        false
    }

    /// Reading has ended, and everything read was taken in. Returns what [`Watcher::step`] does.
    fn ended(&mut self, _fold: &mut Fold, _end: End) -> bool {
        false
    }
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There is no more to come.
    OfInput,
    /// The next start goes on from here: what waits for more input waits for that.
    ToGoOn,
}

/// Watches nothing.
pub struct NoWatcher;

impl Watcher for NoWatcher {}

/// How a run ended.
pub struct Outcome {
    pub state: State,
    /// Inputs that could not be read to their end, with the exit code each asks for.
    pub problems: Vec<(String, u8)>,
    /// The reader of our output went away: a normal end.
    pub pipe_closed: bool,
    /// To be let go when nothing is left to be written.
    pub kept: Option<Kept>,
    /// What another plan goes on from.
    pub known: Option<Box<Known>>,
}

/// Runs to the end of the inputs, or until asked to stop. Begins with what is `known`: an empty state,
/// or what a checkpoint holds.
pub fn run(run: Run, known: impl Into<Known>) -> anyhow::Result<Outcome> {
    let known = known.into();
    let Run {
        plan,
        reader,
        threads,
        budget_bytes,
        sink,
        further,
        carries,
        mut store,
        stop,
        grace,
        mut watcher,
        faulted,
        say,
    } = run;
    let budget = Budget::new(budget_bytes);
    let kept = grace
        .map(|grace| grace.start(Arc::clone(&budget), stop.clone()))
        .transpose()
        .context("no thread for the grace time")?;
    let (batches_in, batches) = unbounded::<(Batch, Permit)>();
    let (mapped_in, mapped) = bounded::<(Mapped, Permit)>(threads.max(1) * MAPPED_MAX);
    let (opened_in, opened) = unbounded::<Opened>();
    let (buffers_in, buffers) = unbounded::<Vec<u8>>();
    let spawn = |name: &str| thread::Builder::new().name(name.to_owned());

    let resumes = matches!(&reader, Reading::Follow(follow) if follow.resumes);
    let mut suspects = store.as_ref().map(|store| store.suspects.clone());
    let follows = matches!(&reader, Reading::Follow(_));
    let idle = Arc::new(AtomicU64::new(0));
    // Whether everything that was written is taken in, with so many batches.
    let reads = {
        let idle = Arc::clone(&idle);
        move |taken: u64| match idle.load(Ordering::Acquire) {
            _ if !follows => Reads::Unknown,
            handed_out if handed_out == taken + 1 => Reads::CaughtUp,
            _ => Reads::Behind,
        }
    };
    let outlet = Outlet {
        idle,
        batches: batches_in,
        opened: opened_in,
        buffers: buffers.clone(),
        budget,
        stop: stop.clone(),
    };
    let reading = spawn("reader")
        .spawn(move || match reader {
            Reading::ToEnd(reader) => reader.run(&outlet),
            Reading::Follow(follow) => follow.run(&outlet),
        })
        .context("no thread for the reader")?;
    for number in 0..threads.max(1) {
        let stop = stop.clone();
        let (plan, batches) = (Arc::clone(&plan), batches.clone());
        let (mapped_in, buffers_in) = (mapped_in.clone(), buffers_in.clone());
        let buffers = buffers.clone();
        let suspects = suspects
            .as_ref()
            .map_or(Vec::new(), |it| it.list().to_vec());
        spawn(&format!("mapper-{number}"))
            .spawn(move || {
                let buffers = (&buffers_in, &buffers);
                let work = || map_all(&plan, &suspects, &batches, &mapped_in, buffers);
                if let Err(reason) = guard(work) {
                    // What it had in hand never comes: nothing behind it may be taken in.
                    say(&format!("a mapper {reason}, please report it; stopping"));
                    stop.ask();
                }
            })
            .context("no thread for a mapper")?;
    }
    drop((batches, mapped_in, buffers));
    let recorder = sink.map(|destination| match &mut store {
        Some(store) => store.recorder(destination, &known),
        None => Recorder::new(destination, None, known.sent, None),
    });
    let recorder = recorder.map(|recorder| recorder.with(further));
    let mut committing = store.map(Committing::start).transpose()?;
    let (outputs_in, outputs) = unbounded::<Sent>();
    let writing = match recorder {
        Some(recorder) => {
            let writing = Writing {
                recorder,
                commits: committing.as_ref().map(|to| to.commits.clone()),
                reads_again: resumes,
                stop: stop.clone(),
                say,
            };
            Some(
                spawn("writer")
                    .spawn(move || write_all(writing, &outputs))
                    .context("no thread for the writer")?,
            )
        }
        None => None,
    };
    // Without a writer nobody would give back the permits of what is sent.
    let outputs_in = writing.is_some().then_some(outputs_in);

    let mut fold = Fold::new(&plan, known);
    let mut order = Order::new();
    let mut looked = Instant::now();
    let mut problems = Vec::new();
    let interval = watcher.interval();
    let mut faults = Faults::new(say, faulted);
    let mut is_short = false;
    // The range of the batch at hand, while it is taken in.
    let at = Cell::new(None);
    let folded = guard(|| {
        loop {
            let due = committing.as_ref().and_then(|to| to.keeper.wait());
            let step = watcher.wait(&fold);
            let next = match interval.into_iter().chain(due).chain(step).min() {
                Some(wait) => mapped.recv_timeout(wait),
                None => mapped.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok((item, permit)) => order.put(item.sequence, (item, permit)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            fold.arrival = watcher.now();
            fold.reads = reads(order.taken());
            while let Some((mut item, mut permit)) = order.take() {
                for source in opened.try_iter() {
                    watcher.opened(&source.name, source.size);
                    fold.state.open(source.source, &source.name);
                }
                at.set(Some((Arc::clone(&item.name), item.position..item.end)));
                if let Some(batch) = item.suspect.take() {
                    item = map_suspect(&plan, &mut fold, *batch, &buffers_in);
                }
                fold.reads = reads(order.taken());
                let output = fold.absorb(&mut item);
                at.set(None);
                for fault in &item.faults {
                    let is_counted = item.lines_before > 0 || item.position == 0;
                    let input = &fold.state.inputs[item.source.0 as usize];
                    let before = match output.mark {
                        _ if is_counted => Some(item.lines_before),
                        None => Some(input.lines - item.counts.lines),
                        Some(_) => None,
                    };
                    faults.put(&Faulted {
                        source: &item.name,
                        line: before.map(|before| before + u64::from(fault.line) + 1),
                        fault,
                    });
                }
                if !is_short && fold.unaccounted() > 0 {
                    is_short = true;
                    say(&shortage(fold.unaccounted(), committing.is_some()));
                    if let Some(to) = &mut committing {
                        to.keeper.hold();
                    }
                    if let Some(outputs_in) = &outputs_in {
                        let _ = outputs_in.send(Sent::Unaccounted);
                    }
                }
                let content = std::mem::take(&mut item.observed.content);
                if !content.is_empty() {
                    // The reader may have ended already; then nobody needs the buffer.
                    let _ = buffers_in.send(content);
                }
                permit.folded();
                problems.extend(item.problem.take().map(|problem| (problem, 74)));
                if let Some(to) = &mut committing {
                    to.keeper.absorbed(output.mark.as_deref());
                }
                if let Some(outputs_in) = &outputs_in
                    && (!output.is_empty() || output.records > 0 || output.mark.is_some())
                {
                    // A writer that stopped has said why; what follows is read no further.
                    let _ = outputs_in.send(Sent::Output(output, permit));
                }
                if let Some(to) = &mut committing
                    && to.keeper.is_due()
                {
                    to.begin(&mut fold, outputs_in.as_ref());
                }
            }
            faults.look();
            let changed = watcher.step(&mut fold);
            if let Some(to) = &mut committing {
                to.look(&stop, say);
                if changed {
                    to.keeper.absorbed(None);
                }
                if to.keeper.is_due() {
                    to.begin(&mut fold, outputs_in.as_ref());
                }
            }
            if interval.is_some_and(|interval| looked.elapsed() >= interval) {
                watcher.look(&fold.state);
                looked = Instant::now();
            }
        }
    });
    faults.finish();
    let is_whole = folded.is_ok();
    if let Err(reason) = folded {
        // State may be half changed: it goes nowhere, and a restart begins with what was known before.
        stop.ask();
        drop((mapped, std::mem::replace(&mut order, Order::new())));
        if let Some(to) = &mut committing {
            to.keeper.hold();
        }
        let at = at.take();
        let noted = note(at.as_ref(), &reason, suspects.as_mut());
        problems.push((broken(at, &reason, &noted), 3));
    }
    for source in opened.try_iter() {
        fold.state.open(source.source, &source.name);
    }
    let carries = carries.is_some_and(|carries| carries.load(Ordering::Relaxed));
    let end = if carries || (resumes && committing.is_some()) {
        End::ToGoOn
    } else {
        End::OfInput
    };
    let changed = is_whole && watcher.ended(&mut fold, end);
    if is_whole && end == End::OfInput {
        let last = fold.finish();
        if !last.is_empty() {
            let permit = Budget::new(1).take(0);
            let _ = outputs_in
                .as_ref()
                .map(|to| to.send(Sent::Output(last, permit)));
        }
    }
    if let Some(to) = &mut committing {
        if changed {
            to.keeper.absorbed(None);
        }
        // What is still to be said waits for the next start: a run that was never ended would not
        // have said it here.
        to.look(&stop, say);
        if to.keeper.has_work() && to.problem.is_none() {
            to.begin(&mut fold, outputs_in.as_ref());
        }
    }
    drop(outputs_in);

    let read = reading.join().unwrap_or_else(|_| ReadReport::default());
    let written = writing.map(|thread| thread.join().unwrap_or_default());
    if let Some(to) = committing {
        problems.extend(to.finish(&stop, say).map(|problem| (problem, 74)));
    }
    let known = (carries && is_whole).then(|| Box::new(fold.known()));
    let mut outcome = close(fold, problems, &read, written, is_whole);
    outcome.known = known;
    outcome.kept = kept;
    Ok(outcome)
}

/// The fold's side of checkpoints.
struct Committing {
    keeper: Keeper,
    commits: Sender<Commit>,
    done: Receiver<Done>,
    thread: thread::JoinHandle<()>,
    /// Why the run must end.
    problem: Option<String>,
}

impl Committing {
    fn start(store: Store) -> anyhow::Result<Committing> {
        let (commits_in, commits) = unbounded::<Commit>();
        let (done_in, done) = unbounded::<Done>();
        let Store { keeper, dir, .. } = store;
        let thread = thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || commit_all(dir, &System::new(), &commits, &done_in))
            .context("no thread for checkpoints")?;
        Ok(Committing {
            keeper,
            commits: commits_in,
            done,
            thread,
            problem: None,
        })
    }

    /// Begins a checkpoint here, behind what went to the writer.
    fn begin(&mut self, fold: &mut Fold, borders: Option<&Sender<Sent>>) {
        if self.problem.is_some() {
            return;
        }
        let checkpoint = Box::new(self.keeper.begin(fold));
        // A writer that stopped has said why, and nothing is durable any more.
        match borders {
            Some(borders) => drop(borders.send(Sent::Border(checkpoint))),
            None => drop(self.commits.send(Commit {
                checkpoint,
                border: Ok(Border::default()),
            })),
        }
    }

    /// Takes what became of those that were begun.
    fn look(&mut self, stop: &Stop, say: fn(&str)) {
        loop {
            match self.done.try_recv() {
                Ok(done) => self.end(done, stop, say),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    // It ends before us only by a panic.
                    self.keeper.hold();
                    stop.ask();
                    let text = "no checkpoint can be written, a fault of weir; stopping, so that a restart \
                                goes on from the last one";
                    self.problem.get_or_insert_with(|| text.to_owned());
                    return;
                }
            }
        }
    }

    fn end(&mut self, done: Done, stop: &Stop, say: fn(&str)) {
        if done.result == Err(Failure::Undelivered) {
            // A sink failed for good; the writer says which, also if no more lines come.
            stop.ask();
        }
        match self.keeper.end(done) {
            Ok(note) => note.iter().for_each(|note| say(note)),
            Err(problem) => {
                stop.ask();
                self.problem.get_or_insert(problem);
            }
        }
    }

    /// Waits for the last one; the writer has ended by now.
    fn finish(mut self, stop: &Stop, say: fn(&str)) -> Option<String> {
        let (commits, _) = unbounded();
        drop(std::mem::replace(&mut self.commits, commits));
        while let Ok(done) = self.done.recv() {
            self.end(done, stop, say);
        }
        // It has nothing more to say than what it sent.
        let (thread, problem) = (self.thread, self.problem);
        let died = thread.join().is_err();
        problem.or_else(|| {
            died.then(|| "the last checkpoint was not written: a fault of weir".to_owned())
        })
    }
}

/// Closes the books: compares what the reader, the mappers and the writer counted.
fn close(
    fold: Fold,
    mut problems: Vec<(String, u8)>,
    read: &ReadReport,
    written: Option<Written>,
    is_whole: bool,
) -> Outcome {
    problems.extend(read.problems.iter().cloned());
    if !read.finished {
        problems.push((
            "the reader thread stopped by an error of ours".to_owned(),
            3,
        ));
    }
    let written = written.unwrap_or_default();
    let pipe_closed = written.pipe_closed;
    // After a sink has refused, what it did not take is known and named; the books stay open.
    let state = if written.error.is_some() || pipe_closed || !is_whole {
        fold.state
    } else {
        fold.close(read.bytes, written.accepted, &written.took)
    };
    if let Some(error) = written.error {
        problems.push((error, 74));
    }
    Outcome {
        state,
        problems,
        pipe_closed,
        kept: None,
        known: None,
    }
}

/// That records went missing while a run goes on.
fn shortage(missing: u64, has_store: bool) -> String {
    let remedy = if has_store {
        "; no checkpoint is written from here on, so a restart reads them again"
    } else {
        ""
    };
    format!(
        "{missing} lines are unaccounted for: this is a fault of weir, please report it{remedy}"
    )
}

/// What the next start does after a panic of the fold.
enum Next {
    /// There is no state directory, so there is nothing to go on from.
    Nothing,
    /// It goes on from the last checkpoint.
    GoesOn,
    /// And looks for the record that causes the panic.
    Looks,
    /// It cannot, since the range could not be written.
    Unwritten(String),
}

/// Puts down for the next start where the fold has panicked.
fn note(
    at: Option<&(Arc<str>, Range<u64>)>,
    reason: &str,
    suspects: Option<&mut Suspects>,
) -> Next {
    let Some(suspects) = suspects else {
        return Next::Nothing;
    };
    let Some((name, range)) = at else {
        return Next::GoesOn;
    };
    let suspect = Suspect {
        source: name.to_string(),
        from: range.start,
        to: range.end,
        reason: reason.to_owned(),
    };
    match suspects.add(suspect) {
        Ok(()) => Next::Looks,
        Err(error) => Next::Unwritten(error.to_string()),
    }
}

/// That the fold has panicked over the batch that stands in some range.
fn broken(at: Option<(Arc<str>, Range<u64>)>, reason: &str, next: &Next) -> String {
    let place = at.map_or(String::new(), |(name, range)| {
        format!("{name}: offsets {} to {}: ", range.start, range.end)
    });
    let go_on = "stopping; the next start goes on from the last checkpoint and reads again what came after it";
    let remedy = match next {
        Next::Nothing => "stopping; the totals are not whole".to_owned(),
        Next::GoesOn => go_on.to_owned(),
        Next::Looks => format!("{go_on}, and sets aside the record that causes this"),
        Next::Unwritten(error) => format!(
            "{go_on}; it will stop there again, since the place cannot be written to the state \
             directory: {error}"
        ),
    };
    format!("{place}weir {reason}, please report it; {remedy}")
}

/// A mapper thread's life. A batch that makes it panic, which is a fault of ours, is mapped again with
/// care. If that fails, it goes on without its records: the fold's books then show what is missing, and
/// nothing waits for it for ever.
fn map_all(
    plan: &Plan,
    suspects: &[Suspect],
    batches: &Receiver<(Batch, Permit)>,
    mapped: &Sender<(Mapped, Permit)>,
    (buffers_in, buffers): (&Sender<Vec<u8>>, &Receiver<Vec<u8>>),
) {
    let mut mapper = Mapper::new(plan);
    for (batch, permit) in batches {
        let end = batch.position + batch.content.len() as u64 + batch.cut_bytes;
        let is_suspect = suspects
            .iter()
            .any(|suspect| suspect.overlaps(&batch.name, batch.position, end));
        let item = if is_suspect {
            Mapped {
                sequence: batch.sequence,
                name: Arc::clone(&batch.name),
                position: batch.position,
                end,
                suspect: Some(Box::new(batch)),
                ..Mapped::default()
            }
        } else {
            if matches!(batch.content, Content::Range { .. }) {
                mapper.lend(|| buffers.try_recv().ok());
            }
            let item = careful::map(plan, &mut mapper, &batch);
            hand_over(item, batch, buffers_in)
        };
        if mapped.send((item, permit)).is_err() {
            break;
        }
    }
}

/// Maps a batch in which the fold has panicked before.
#[cold]
fn map_suspect(plan: &Plan, fold: &mut Fold, batch: Batch, buffers_in: &Sender<Vec<u8>>) -> Mapped {
    let item = trials::map(plan, fold, &batch);
    hand_over(item, batch, buffers_in)
}

/// A mapped batch as the fold takes it; without its records if it could not be mapped.
fn hand_over(item: Option<Mapped>, batch: Batch, buffers_in: &Sender<Vec<u8>>) -> Mapped {
    let length = batch.content.len();
    let mut item = item.unwrap_or_else(|| Mapped {
        sequence: batch.sequence,
        source: batch.source,
        position: batch.position,
        ..Mapped::default()
    });
    item.name = batch.name;
    item.end = batch.position + length as u64 + batch.cut_bytes;
    item.read_bytes = length.saturating_sub(batch.context_bytes) as u64 + batch.cut_bytes;
    item.mark = batch.mark;
    if let Some(buffer) = Mapper::release(batch.content, &mut item) {
        // The reader may have ended already; then nothing needs the buffer.
        let _ = buffers_in.send(buffer);
    }
    item
}
