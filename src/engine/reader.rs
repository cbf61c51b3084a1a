//! The reader thread: opens the sources in argument order, reads them to their ends and hands the batches
//! on as the budget allows.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crossbeam_channel::{Receiver, Sender};

use crate::engine::budget::{BATCH_BYTES, Budget, Permit};
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::{Batch, Content, SourceId};
use crate::flow::time::Time;
use crate::sources::reading::{Reading, Settings};
use crate::sources::{self, OpenError, Source};
use crate::stop::Stop;

/// Bytes of one read, and so of one batch under load. Big enough that what a batch costs is
/// spread over a thousand records, small enough to stay in a core's cache.
pub const CHUNK_BYTES: usize = 512 << 10;

/// One input, in argument order.
pub enum Input {
    /// A path, or `-` for standard input.
    Named(OsString),
    /// The last lines of the file at a path.
    Tail(OsString, u64),
    /// Handed over open.
    Opened(Source),
}

/// What the reader needs to know.
pub struct Reader {
    pub inputs: Vec<Input>,
    pub settings: Settings,
    pub now: Time,
}

/// What happened to the inputs, in order.
#[derive(Debug, Default)]
pub struct ReadReport {
    pub bytes: u64,
    /// Messages for the user, with the exit code each one asks for.
    pub problems: Vec<(String, u8)>,
    /// Panic-free end: a reader that died did not get here.
    pub finished: bool,
}

/// Told about each source before its first batch.
pub struct Opened {
    pub source: SourceId,
    pub name: Arc<str>,
    pub size: Option<u64>,
}

/// Where the reader puts what it makes, and gets used buffers back from.
pub struct Outlet {
    pub batches: Sender<(Batch, Permit)>,
    pub opened: Sender<Opened>,
    pub buffers: Receiver<Vec<u8>>,
    pub budget: Arc<Budget>,
    pub stop: Stop,
    /// While a follower waits for more to be written: one more than the number of batches that it has handed
    /// out; else 0.
    pub idle: Arc<AtomicU64>,
}

impl Reader {
    /// Reads every input to its end, or until asked to stop or nothing takes batches any more.
    pub fn run(mut self, outlet: &Outlet) -> ReadReport {
        let mut report = ReadReport::default();
        let mut sequence = 0;
        let mut buffer = Vec::new();
        let inputs = std::mem::take(&mut self.inputs);
        for (index, input) in inputs.into_iter().enumerate() {
            if outlet.stop.asked() {
                break;
            }
            let id =
                SourceId(u32::try_from(index).expect("a command line has fewer than 2^32 words"));
            let mut reading = match self.open(input, id) {
                Ok(reading) => reading,
                Err(error) => {
                    report.problems.push((error.message, error.exit_code));
                    continue;
                }
            };
            let name = Arc::clone(reading.name());
            let opened = Opened {
                source: id,
                name: Arc::clone(&name),
                size: reading.size(),
            };
            if outlet.opened.send(opened).is_err() {
                break;
            }
            reading.give_back(std::mem::take(&mut buffer));
            while let Some(mut batch) = reading.next(&outlet.stop) {
                // A buffer comes back for each that goes out. Those of stretches are the mappers'.
                if matches!(batch.content, Content::Read(_))
                    && let Ok(buffer) = outlet.buffers.try_recv()
                {
                    reading.give_back(buffer);
                }
                if failpoint::hit(Failpoint::Batch, sequence) {
                    // It gets no number, as if it had never been.
                    continue;
                }
                batch.sequence = sequence;
                sequence += 1;
                if !outlet.send(batch) {
                    break;
                }
            }
            report.bytes += reading.bytes();
            if let Some(error) = reading.problem() {
                report.problems.push((format!("{name}: {error}"), 74));
            }
            buffer = reading.into_buffer();
        }
        report.finished = true;
        report
    }

    fn open(&self, input: Input, id: SourceId) -> Result<Reading<'_>, OpenError> {
        let (source, position, header) = match input {
            Input::Opened(source) => (source, 0, None),
            Input::Named(name) => (sources::open(&name, self.now)?, 0, None),
            Input::Tail(name, lines) => {
                let tail = sources::file::open_tail(name.as_ref(), lines, self.now)?;
                (tail.source, tail.position, tail.header)
            }
        };
        Ok(Reading::new(&self.settings, source, id, position, header))
    }
}

impl Outlet {
    /// Waits for the budget and hands the batch on; false when nothing takes it.
    fn send(&self, batch: Batch) -> bool {
        let permit = self.budget.take(batch.content.capacity().max(BATCH_BYTES));
        let permit = permit.of(batch.content.len() as u64 + batch.cut_bytes);
        self.batches.send((batch, permit)).is_ok()
    }
}
