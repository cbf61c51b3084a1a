//! The writer: hands outputs to the sinks in order and counts what they accepted (law 2). With a state
//! directory each output is named in the journal before its bytes go out (law 3).
//!
//! [`Recorder`] does all of it without a thread; [`write_all`] is the thread's life.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::disk::{DiskFile, is_no_room};
use crate::engine::budget::Permit;
use crate::engine::checkpoint::Commit;
use crate::engine::faults::guard;
use crate::failpoint::{self, Failpoint};
use crate::flow::output::{Accepted, Output, OutputPlace, Took};
use crate::sinks::file::Unsynced;
use crate::sinks::{Destination, Pending};
use crate::stop::Stop;
use crate::store::checkpoint::Checkpoint;
use crate::store::journal::{Entry, Journal};

/// How long the writer waits until it tries a full disk again.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// How long it waits for room once the run is asked to end.
const ROOM_GRACE: Duration = Duration::from_secs(10);

/// What goes to the writer, in order.
pub enum Sent {
    Output(Output, Permit),
    /// Everything before belongs to this checkpoint, nothing behind it.
    Border(Box<Checkpoint>),
    /// Something before what follows is missing. The journal must not explain what follows: a restart is
    /// to cut it off and read again.
    Unaccounted,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    All,
    /// The disk is full: the same output is to be written again later, and goes on where it stopped.
    NoRoom,
}

/// What has to be durable before a checkpoint may name the output's length.
#[derive(Default)]
pub struct Border {
    pub output: Option<OutputPlace>,
    pub unsynced: Unsynced,
    /// The journal that ended here.
    pub journal: Option<Arc<dyn DiskFile>>,
    /// Lines that sinks have in memory.
    pub pending: Vec<Pending>,
}

/// One more sink, besides the one that the journal explains.
pub struct Further {
    /// Whose lines it gets.
    pub branch: usize,
    pub destination: Destination,
}

/// Writes outputs and counts them.
pub struct Recorder {
    /// The first is the one that the journal explains. Each gets an output after those before it have
    /// it.
    sinks: Vec<Taker>,
    journal: Option<Journal>,
    accepted: Accepted,
    /// The journal does not know yet that the output goes on elsewhere.
    moved: bool,
    /// The user was told that there is no room.
    waits: bool,
    notes: Vec<String>,
}

/// One sink, and how far the output at hand has come there.
struct Taker {
    branch: usize,
    destination: Destination,
    step: Step,
    /// Bytes that it took in this run.
    bytes: u64,
    /// Nobody reads there any more, and the other sinks go on.
    is_gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Fresh,
    Prepared,
    Journaled,
    Done,
}

impl Taker {
    fn new(branch: usize, destination: Destination) -> Taker {
        Taker {
            branch,
            destination,
            step: Step::Fresh,
            bytes: 0,
            is_gone: false,
        }
    }

    /// Makes the file ready for the output; true if it goes on at another place.
    fn prepare(&mut self, output: &Output) -> io::Result<bool> {
        let Destination::File(file) = &mut self.destination else {
            return Ok(false);
        };
        let reopen = output.mark.as_deref().is_some_and(|mark| mark.reopen);
        let bytes = output.of(self.branch).len() as u64;
        file.prepare(bytes, reopen)
    }

    fn write(&mut self, output: &Output) -> io::Result<()> {
        let lines = output.of(self.branch);
        if lines.is_empty() {
            return Ok(());
        }
        failpoint::panic_on(Failpoint::PanicSink, lines);
        match &mut self.destination {
            Destination::File(file) => file.write(lines)?,
            Destination::Plain(sink) => sink.write(lines)?,
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// All of it, for a sink of which no journal tells.
    fn put(&mut self, output: &Output) -> io::Result<()> {
        if self.step == Step::Fresh {
            self.prepare(output)?;
            self.step = Step::Journaled;
        }
        self.write(output)
    }

    /// A sink that is written to only once is not told twice.
    fn can_wait(&self) -> bool {
        matches!(self.destination, Destination::File(_)) || self.step < Step::Journaled
    }
}

impl Recorder {
    /// `accepted` is what was accepted before a restart, and `known` where the output then stood: the
    /// journal is told if it stands elsewhere now.
    pub fn new(
        destination: Destination,
        journal: Option<Journal>,
        accepted: Accepted,
        known: Option<OutputPlace>,
    ) -> Recorder {
        let moved = match &destination {
            Destination::File(file) => Some(file.place()) != known,
            Destination::Plain(_) => false,
        };
        Recorder {
            sinks: vec![Taker::new(0, destination)],
            journal,
            accepted,
            moved,
            waits: false,
            notes: Vec::new(),
        }
    }

    /// Also writes to these. They are no part of what the journal explains: after a kill they get again
    /// what is read again.
    pub fn with(mut self, further: Vec<Further>) -> Recorder {
        let further = further.into_iter();
        self.sinks
            .extend(further.map(|sink| Taker::new(sink.branch, sink.destination)));
        self
    }

    /// Writes one output. After [`Wrote::NoRoom`] it is called with the same output again, and goes on
    /// with the sink that had none.
    pub fn write(&mut self, output: &Output) -> io::Result<Wrote> {
        for place in 0..self.sinks.len() {
            if self.sinks[place].step == Step::Done {
                continue;
            }
            let result = match place {
                0 => self.first(output),
                _ if self.sinks[place].is_gone => Ok(()),
                _ if failpoint::hit(Failpoint::Sink, place as u64) => Ok(()),
                _ => self.sinks[place].put(output),
            };
            match result {
                Ok(()) => {}
                Err(error) if is_no_room(&error) && self.sinks[place].can_wait() => {
                    if !std::mem::replace(&mut self.waits, true) {
                        self.notes
                            .push(format!("{error}; waiting until there is room"));
                    }
                    return Ok(Wrote::NoRoom);
                }
                Err(error) if self.may_go(place, &error) => {
                    self.sinks[place].is_gone = true;
                    self.notes.push(format!("{error}; the other sinks go on"));
                }
                Err(error) => return Err(error),
            }
            self.sinks[place].step = Step::Done;
        }
        for sink in &mut self.sinks {
            sink.step = Step::Fresh;
        }
        self.accepted.records += output.records;
        self.accepted.bytes += output.bytes.len() as u64;
        if std::mem::take(&mut self.waits) {
            self.notes.push("there is room again; going on".to_owned());
        }
        Ok(Wrote::All)
    }

    /// Whether an error only says that nobody reads at this sink any more, and there are others.
    fn may_go(&self, place: usize, error: &io::Error) -> bool {
        let mut others = self.sinks.iter().enumerate();
        error.kind() == io::ErrorKind::BrokenPipe
            && others.any(|(other, sink)| other != place && !sink.is_gone)
    }

    /// The sink that the journal explains.
    fn first(&mut self, output: &Output) -> io::Result<()> {
        let sink = &mut self.sinks[0];
        if output.mark.as_deref().is_some_and(|mark| mark.replayed) {
            // A file has it already; nobody knows what became of what went elsewhere.
            return match &sink.destination {
                Destination::File(_) => Ok(()),
                Destination::Plain(_) if sink.is_gone => Ok(()),
                Destination::Plain(_) => sink.write(output),
            };
        }
        if sink.step == Step::Fresh {
            self.moved |= sink.prepare(output)?;
            sink.step = Step::Prepared;
        }
        if sink.step == Step::Prepared {
            self.journal(output)?;
            self.sinks[0].step = Step::Journaled;
        }
        let sink = &mut self.sinks[0];
        if sink.is_gone {
            return Ok(());
        }
        sink.write(output)
    }

    fn journal(&mut self, output: &Output) -> io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("the journal in the state directory: {error}"),
            )
        };
        if self.moved {
            if let Destination::File(file) = &self.sinks[0].destination {
                journal
                    .append(&Entry::Output(file.place()))
                    // What the file before holds was made durable when it was left. If a power cut
                    // took the entries that explain it, its lines would be written again.
                    .and_then(|()| journal.sync())
                    .map_err(named)?;
            }
            self.moved = false;
        }
        if output.mark.is_none() && output.bytes.is_empty() {
            return Ok(());
        }
        let entry = Entry::Batch {
            mark: match output.mark.as_deref() {
                Some(mark) => Cow::Borrowed(mark),
                None => Cow::default(),
            },
            bytes: output.bytes.len() as u64,
            sum: crc32fast::hash(&output.bytes),
            records: output.records,
        };
        journal.append(&entry).map_err(named)
    }

    /// Begins the journal of checkpoint `number`; what was written so far belongs to it.
    pub fn border(&mut self, number: u64) -> io::Result<Border> {
        let mut border = Border::default();
        if let Some(journal) = &mut self.journal {
            border.journal = Some(journal.next(number)?);
        }
        for (place, sink) in self.sinks.iter_mut().enumerate() {
            if let Destination::File(file) = &mut sink.destination {
                if place == 0 {
                    border.output = Some(file.place());
                }
                border.unsynced.join(file.unsynced());
            }
        }
        border.pending = self.pending();
        Ok(border)
    }

    /// Lines that sinks have in memory.
    pub fn pending(&self) -> Vec<Pending> {
        let sinks = self.sinks.iter().filter(|sink| !sink.is_gone);
        let pending = sinks.filter_map(|sink| match &sink.destination {
            Destination::Plain(sink) => sink.pending(),
            Destination::File(_) => None,
        });
        pending.collect()
    }

    /// What the user should know, since the last call.
    pub fn notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        for sink in &mut self.sinks {
            if let Destination::File(file) = &mut sink.destination {
                notes.extend(file.notes());
            }
        }
        notes
    }

    pub fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// What the sinks behind the first took, but of those that are gone.
    pub fn took(&self) -> Vec<Took> {
        let further = self.sinks[1..].iter().filter(|sink| !sink.is_gone);
        further
            .map(|sink| Took {
                branch: sink.branch,
                bytes: sink.bytes,
            })
            .collect()
    }

    /// Makes sure that everything written has left the process. Every sink gets its chance, also after
    /// another has failed.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for sink in self.sinks.iter_mut().rev().filter(|sink| !sink.is_gone) {
            if let Destination::Plain(sink) = &mut sink.destination {
                result = result.and(sink.finish());
            }
        }
        result
    }
}

/// How writing ended.
#[derive(Debug, Default)]
pub struct Written {
    /// `None` if no sink was asked for.
    pub accepted: Option<Accepted>,
    /// By the sinks behind the first.
    pub took: Vec<Took>,
    pub pipe_closed: bool,
    /// What stopped the writer, for the user.
    pub error: Option<String>,
}

/// What the writer's thread has besides its outputs.
pub struct Writing {
    pub recorder: Recorder,
    /// Takes the checkpoints whose border was passed.
    pub commits: Option<Sender<Commit>>,
    /// A restart can read again what no checkpoint says is dealt with. Where nothing can, states are not
    /// to be lost with the lines.
    pub reads_again: bool,
    pub stop: Stop,
    pub say: fn(&str),
}

/// Writes until the fold has no more, or the sink refuses; then reading stops as well.
pub fn write_all(mut writing: Writing, outputs: &Receiver<Sent>) -> Written {
    let fault = |reason| io::Error::other(format!("weir {reason}, please report it"));
    let result = guard(|| write_until_end(&mut writing, outputs))
        .unwrap_or_else(|reason| Err(fault(reason)));
    let recorder = &mut writing.recorder;
    // What one sink did not take is no reason to keep back what another has in its queue.
    let finished = guard(|| recorder.finish()).unwrap_or_else(|reason| Err(fault(reason)));
    match result.and(finished) {
        Ok(()) => Written {
            accepted: Some(recorder.accepted()),
            took: recorder.took(),
            ..Written::default()
        },
        Err(error) => {
            writing.stop.ask();
            if error.kind() == io::ErrorKind::BrokenPipe {
                Written {
                    pipe_closed: true,
                    ..Written::default()
                }
            } else {
                Written {
                    error: Some(format!("cannot write: {error}")),
                    ..Written::default()
                }
            }
        }
    }
}

fn write_until_end(writing: &mut Writing, outputs: &Receiver<Sent>) -> io::Result<()> {
    let mut number = 0;
    for sent in outputs {
        match sent {
            Sent::Output(output, _permit) => {
                let lost = failpoint::hit(Failpoint::Write, number);
                number += 1;
                if !lost {
                    write_waiting(writing, &output)?;
                }
            }
            Sent::Unaccounted => writing.recorder.journal = None,
            Sent::Border(checkpoint) => {
                let (took, sent) = (writing.recorder.accepted(), checkpoint.sent);
                if took != sent {
                    return Err(io::Error::other(format!(
                        "{} records with {} bytes were to be written by now, and the sink has {} with {}: \
                         a fault of weir, please report it; stopping without a checkpoint",
                        sent.records, sent.bytes, took.records, took.bytes
                    )));
                }
                let mut border = writing.recorder.border(checkpoint.number);
                if let (false, Ok(border)) = (writing.reads_again, &mut border) {
                    border.pending.clear();
                }
                if let Some(commits) = &writing.commits {
                    // Nobody takes commits only after the thread for them has died.
                    let _ = commits.send(Commit { checkpoint, border });
                }
            }
        }
        for note in writing.recorder.notes() {
            (writing.say)(&note);
        }
    }
    Ok(())
}

/// Writes one output, however long there is no room for it; once the run is asked to end, not for
/// ever.
fn write_waiting(writing: &mut Writing, output: &Output) -> io::Result<()> {
    let mut asked = None;
    while writing.recorder.write(output)? == Wrote::NoRoom {
        for note in writing.recorder.notes() {
            (writing.say)(&note);
        }
        if !writing.stop.asked() {
            wait(&writing.stop)?;
            continue;
        }
        let since = *asked.get_or_insert_with(Instant::now);
        if since.elapsed() >= ROOM_GRACE {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "no room, and the run is asked to end",
            ));
        }
        std::thread::sleep(ROOM_WAIT / 4);
    }
    Ok(())
}

/// Waits until there may be room again or the run is asked to end.
pub(super) fn wait(stop: &Stop) -> io::Result<()> {
    let mut descriptors = [PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: ROOM_WAIT.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    match poll(&mut descriptors, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
