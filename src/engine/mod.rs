//! Threads and queues: one reader, some mappers, the fold on the calling thread, one writer. Knows
//! no format and no protocol.
//!
//! ```text
//! reader ──(Batch, Permit)──▶ mappers ──(Mapped, Permit)──▶ fold ──(Output, Permit)──▶ writer
//!    ▲                                                        │
//!    └──────────────────── buffers, to be filled again ◀──────┘
//! ```
//!
//! The queues have no bound of their own: every item carries a [`budget::Permit`], so the byte
//! budget bounds them all together.

pub mod budget;
pub mod descriptors;
pub mod failpoint;
mod fold;
pub mod follow;
pub mod keeper;
pub mod mapper;
pub mod notes;
mod order;
pub mod reader;
pub mod signals;
pub mod systemd;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::config::plan::Plan;
use crate::engine::budget::{Budget, Permit};
use crate::engine::fold::Fold;
use crate::engine::follow::Follow;
use crate::engine::keeper::{Keeper, Kept};
use crate::engine::mapper::Mapper;
use crate::engine::order::Order;
use crate::engine::reader::{Opened, Outlet, ReadReport, Reader};
use crate::engine::signals::Stop;
use crate::engine::writer::{Written, write_all};
use crate::flow::batch::{Batch, Content};
use crate::flow::mapped::Mapped;
use crate::flow::output::Output;
use crate::sinks::Sink;

use crate::state::State;

/// Bytes in flight, by default. A few chunks for each thread are enough to keep all of them busy.
pub const BUDGET_BYTES: usize = 8 << 20;

/// One run, ready to start.
pub struct Run {
    pub plan: Arc<Plan>,
    pub reader: Reading,
    /// Mapper threads; reader, fold and writer are extra.
    pub threads: usize,
    pub budget_bytes: usize,
    /// Where kept lines go; `None` for a report.
    pub sink: Option<Box<dyn Sink>>,
    pub stop: Stop,
    /// Sees to it that a live run ends when it is asked to.
    pub keeper: Option<Keeper>,
    pub watcher: Box<dyn Watcher>,
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
}

/// Runs to the end of the inputs, or until asked to stop.
pub fn run(run: Run, state: State) -> anyhow::Result<Outcome> {
    let Run {
        plan,
        reader,
        threads,
        budget_bytes,
        sink,
        stop,
        keeper,
        mut watcher,
    } = run;
    let budget = Budget::new(budget_bytes);
    let kept = keeper
        .map(|keeper| keeper.start(Arc::clone(&budget), stop.clone()))
        .transpose()
        .context("no thread for the keeper")?;
    let (batches_in, batches) = unbounded::<(Batch, Permit)>();
    let (mapped_in, mapped) = unbounded::<(Mapped, Permit)>();
    let (opened_in, opened) = unbounded::<Opened>();
    let (buffers_in, buffers) = unbounded::<Vec<u8>>();
    let spawn = |name: &str| thread::Builder::new().name(name.to_owned());

    let outlet = Outlet {
        batches: batches_in,
        opened: opened_in,
        buffers,
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
        let (plan, batches) = (Arc::clone(&plan), batches.clone());
        let (mapped_in, buffers_in) = (mapped_in.clone(), buffers_in.clone());
        spawn(&format!("mapper-{number}"))
            .spawn(move || map_all(&plan, &batches, &mapped_in, &buffers_in))
            .context("no thread for a mapper")?;
    }
    drop((batches, mapped_in, buffers_in));
    let (outputs_in, outputs) = unbounded::<(Output, Permit)>();
    let writing = match sink {
        Some(sink) => {
            let stop = stop.clone();
            Some(
                spawn("writer")
                    .spawn(move || write_all(sink, &outputs, &stop))
                    .context("no thread for the writer")?,
            )
        }
        None => None,
    };

    let mut fold = Fold::new(&plan, state);
    let mut order = Order::new();
    let mut looked = Instant::now();
    let mut problems = Vec::new();
    let interval = watcher.interval();
    loop {
        let next = match interval {
            Some(interval) => mapped.recv_timeout(interval),
            None => mapped.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok((item, permit)) => order.put(item.sequence, (item, permit)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        while let Some((mut item, mut permit)) = order.take() {
            for source in opened.try_iter() {
                watcher.opened(&source.name, source.size);
                fold.state.open(source.source, &source.name);
            }
            let output = fold.absorb(&mut item);
            permit.folded();
            problems.extend(item.problem.take().map(|problem| (problem, 74)));
            if !output.bytes.is_empty() || output.records > 0 {
                // A writer that stopped has said why; what follows is read no further.
                let _ = outputs_in.send((output, permit));
            }
        }
        if interval.is_some_and(|interval| looked.elapsed() >= interval) {
            watcher.look(&fold.state);
            looked = Instant::now();
        }
    }
    for source in opened.try_iter() {
        fold.state.open(source.source, &source.name);
    }
    let last = fold.finish();
    if !last.bytes.is_empty() {
        let _ = outputs_in.send((last, Budget::new(1).take(0)));
    }
    drop(outputs_in);

    let read = reading.join().unwrap_or_else(|_| ReadReport::default());
    let written = writing.map(|thread| thread.join().unwrap_or_default());
    let mut outcome = close(fold, problems, &read, written);
    outcome.kept = kept;
    Ok(outcome)
}

/// Closes the books: compares what the reader, the mappers and the writer counted.
fn close(
    fold: Fold,
    mut problems: Vec<(String, u8)>,
    read: &ReadReport,
    written: Option<Written>,
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
    let state = if written.error.is_some() || pipe_closed {
        fold.state
    } else {
        fold.close(read.bytes, written.accepted)
    };
    if let Some(error) = written.error {
        problems.push((error, 74));
    }
    Outcome {
        state,
        problems,
        pipe_closed,
        kept: None,
    }
}

/// A mapper thread's life. A batch that makes it panic, which is a fault of ours, goes on without
/// its records: the fold's books then show what is missing, and nothing waits for it for ever.
fn map_all(
    plan: &Plan,
    batches: &Receiver<(Batch, Permit)>,
    mapped: &Sender<(Mapped, Permit)>,
    buffers: &Sender<Vec<u8>>,
) {
    let mut mapper = Mapper::new(plan);
    for (batch, permit) in batches {
        let result = catch_unwind(AssertUnwindSafe(|| mapper.map(&batch)));
        let mut item = result.unwrap_or_else(|_| {
            mapper = Mapper::new(plan);
            Mapped {
                sequence: batch.sequence,
                source: batch.source,
                ..Mapped::default()
            }
        });
        item.mark = batch.mark;
        if let Content::Read(chunk) = batch.content {
            // The reader may have ended already; then nobody needs the buffer.
            let _ = buffers.send(chunk.into_buffer());
        }
        if mapped.send((item, permit)).is_err() {
            break;
        }
    }
}
