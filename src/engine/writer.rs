//! The writer: hands outputs to the sink in order and counts what it accepted (law 2). With a state
//! directory each output is named in the journal before its bytes go out (law 3).
//!
//! [`Recorder`] does all of it without a thread; [`write_all`] is the thread's life.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::disk::DiskFile;
use crate::engine::budget::Permit;
use crate::engine::checkpoint::Commit;
use crate::engine::failpoint::{self, Failpoint};
use crate::engine::signals::Stop;
use crate::flow::output::{Accepted, Output, OutputPlace};
use crate::sinks::Sink;
use crate::sinks::file::{Appender, Unsynced, is_no_room};
use crate::store::checkpoint::Checkpoint;
use crate::store::journal::{Entry, Journal};

/// How long the writer waits until it tries a full disk again.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// How long it waits for room once the run is asked to end.
const ROOM_GRACE: Duration = Duration::from_secs(10);

/// Where outputs go.
pub enum Destination {
    /// Bytes that are gone once they are written.
    Plain(Box<dyn Sink>),
    /// A file that grows, and that can be compared with the journal after a kill.
    File(Box<Appender>),
}

/// What goes to the writer, in order.
pub enum Sent {
    Output(Output, Permit),
    /// Everything before belongs to this checkpoint, nothing behind it.
    Border(Box<Checkpoint>),
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
}

/// Writes outputs and counts them.
pub struct Recorder {
    destination: Destination,
    /// Sinks that get the same outputs, after `destination` has them.
    also: Vec<Box<dyn Sink>>,
    journal: Option<Journal>,
    accepted: Accepted,
    step: Step,
    /// The journal does not know yet that the output goes on elsewhere.
    moved: bool,
    /// The user was told that there is no room.
    waits: bool,
    notes: Vec<String>,
}

/// How far the output at hand has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Fresh,
    Prepared,
    Journaled,
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
            destination,
            also: Vec::new(),
            journal,
            accepted,
            step: Step::Fresh,
            moved,
            waits: false,
            notes: Vec::new(),
        }
    }

    /// Also writes to these.
    pub fn with(self, also: Vec<Box<dyn Sink>>) -> Recorder {
        Recorder { also, ..self }
    }

    /// Writes one output. After [`Wrote::NoRoom`] it is called with the same output again.
    pub fn write(&mut self, output: &Output) -> io::Result<Wrote> {
        match self.advance(output) {
            Ok(()) => {
                if !output.bytes.is_empty() {
                    for sink in &mut self.also {
                        sink.write(output)?;
                    }
                }
                self.step = Step::Fresh;
                self.accepted.records += output.records;
                self.accepted.bytes += output.bytes.len() as u64;
                if std::mem::take(&mut self.waits) {
                    self.notes.push("there is room again; going on".to_owned());
                }
                Ok(Wrote::All)
            }
            Err(error) if is_no_room(&error) && self.can_wait() => {
                if !std::mem::replace(&mut self.waits, true) {
                    self.notes
                        .push(format!("{error}; waiting until there is room"));
                }
                Ok(Wrote::NoRoom)
            }
            Err(error) => Err(error),
        }
    }

    /// A sink that is written to only once is not told twice.
    fn can_wait(&self) -> bool {
        matches!(self.destination, Destination::File(_)) || self.step < Step::Journaled
    }

    fn advance(&mut self, output: &Output) -> io::Result<()> {
        let mark = output.mark.as_deref();
        if mark.is_some_and(|mark| mark.replayed) {
            // A file has it already; nobody knows what became of what went elsewhere.
            return match &mut self.destination {
                Destination::File(_) => Ok(()),
                Destination::Plain(sink) if !output.bytes.is_empty() => sink.write(output),
                Destination::Plain(_) => Ok(()),
            };
        }
        if self.step == Step::Fresh {
            if let Destination::File(file) = &mut self.destination {
                let reopen = mark.is_some_and(|mark| mark.reopen);
                self.moved |= file.prepare(output.bytes.len() as u64, reopen)?;
            }
            self.step = Step::Prepared;
        }
        if self.step == Step::Prepared {
            self.journal(output)?;
            self.step = Step::Journaled;
        }
        match &mut self.destination {
            _ if output.bytes.is_empty() => Ok(()),
            Destination::File(file) => file.write(&output.bytes),
            Destination::Plain(sink) => sink.write(output),
        }
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
            if let Destination::File(file) = &self.destination {
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
        if let Destination::File(file) = &mut self.destination {
            border.output = Some(file.place());
            border.unsynced = file.unsynced();
        }
        Ok(border)
    }

    /// What the user should know, since the last call.
    pub fn notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        if let Destination::File(file) = &mut self.destination {
            notes.extend(file.notes());
        }
        notes
    }

    pub fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// Makes sure that everything written has left the process.
    pub fn finish(&mut self) -> io::Result<()> {
        for sink in &mut self.also {
            sink.finish()?;
        }
        match &mut self.destination {
            Destination::Plain(sink) => sink.finish(),
            Destination::File(_) => Ok(()),
        }
    }
}

/// How writing ended.
#[derive(Debug, Default)]
pub struct Written {
    /// `None` if no sink was asked for.
    pub accepted: Option<Accepted>,
    pub pipe_closed: bool,
    /// What stopped the writer, for the user.
    pub error: Option<String>,
}

/// What the writer's thread has besides its outputs.
pub struct Writing {
    pub recorder: Recorder,
    /// Takes the checkpoints whose border was passed.
    pub commits: Option<Sender<Commit>>,
    pub stop: Stop,
    pub say: fn(&str),
}

/// Writes until the fold has no more, or the sink refuses; then reading stops as well.
pub fn write_all(mut writing: Writing, outputs: &Receiver<Sent>) -> Written {
    let result = write_until_end(&mut writing, outputs);
    let recorder = &mut writing.recorder;
    match result.and_then(|()| recorder.finish()) {
        Ok(()) => Written {
            accepted: Some(recorder.accepted()),
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
            Sent::Border(checkpoint) => {
                let border = writing.recorder.border(checkpoint.number);
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
fn wait(stop: &Stop) -> io::Result<()> {
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
