//! When checkpoints are taken, and their way: the fold copies what it knows, the writer begins a new
//! journal at the same border, and a thread of its own makes both durable ([`Commit::run`]).
//!
//! A checkpoint says that lines are dealt with. So it waits until sinks that keep lines in memory have
//! delivered them: while a receiver is away, no checkpoint is written, and the lines wait in the files that
//! they came from.
//!
//! Nothing else in here waits or starts a thread, so a simulation can drive it step by step.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::clock::Clock;
use crate::disk::{Disk, is_no_room};
use crate::engine::fold::{Fold, Known};
use crate::engine::writer::{self, Border, Recorder};
use crate::failpoint::{self, Failpoint};
use crate::flow::mark::Mark;
use crate::flow::output::OutputPlace;
use crate::sinks::Destination;
use crate::sinks::file::{Appender, Rotation};
use crate::sinks::{Arrival, Pending};
use crate::state::State;
use crate::stop::Stop;
use crate::store::checkpoint::Checkpoint;
use crate::store::journal::Journal;
use crate::store::recover::recover;
use crate::store::suspects::Suspects;
use crate::store::{StateDir, StoreError};

/// How long work may go on without a checkpoint.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// How soon the first one of a process comes: one that is killed again and again gets on all the same.
const FIRST: Duration = Duration::from_millis(100);

/// A checkpoint takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// How often the fold looks for the end of a checkpoint that is being written.
const LOOK: Duration = Duration::from_millis(50);

/// What a run with a state directory needs.
pub struct Store {
    pub keeper: Keeper,
    pub dir: StateDir,
    /// `None` if nothing is written but checkpoints.
    pub journal: Option<Journal>,
    /// How far the output is known to have come.
    pub output: Option<OutputPlace>,
    /// Where the fold has panicked before.
    pub suspects: Suspects,
}

/// What is asked of a state directory.
#[derive(Clone)]
pub struct Asked<'a> {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub path: &'a Path,
    /// What is computed: the command and the flags that decide it.
    pub purpose: String,
    pub output: AskedOutput,
}

/// Where lines go.
#[derive(Clone)]
pub enum AskedOutput {
    /// There are none.
    Nothing,
    /// Somewhere that cannot be read back.
    Plain,
    File(PathBuf, Rotation),
}

/// A run that can go on.
pub struct Ready {
    pub store: Store,
    pub known: Known,
    /// Batches that are to be read again first, with [`Mark::replayed`] set.
    pub replay: Vec<Mark>,
    /// The output file, if one was asked for.
    pub file: Option<Appender>,
    /// A checkpoint was found.
    pub resumed: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// As [`open`]. While there is no room for what a start writes, it says so once and tries again, until
/// there is room or the run is asked to end: nothing was read yet, so all input waits.
pub fn open_when_there_is_room(
    asked: &Asked<'_>,
    fresh: &State,
    stop: &Stop,
    say: impl Fn(&str),
) -> Result<Ready, StoreError> {
    let mut waits = false;
    loop {
        match open(asked.clone(), fresh.clone()) {
            Err(error) if error.is_no_room && !stop.asked() => {
                if !std::mem::replace(&mut waits, true) {
                    say(&format!("{error}; waiting until there is room"));
                }
                let failed = |error| StoreError::of("cannot wait for room".to_owned(), &error);
                writer::wait(stop).map_err(failed)?;
            }
            result => return result,
        }
    }
}

/// Opens a state directory and the output file: goes on where the run before it was killed, or
/// begins with `fresh`. Everything that cannot work is found here, before anything is read.
pub fn open(asked: Asked<'_>, fresh: State) -> Result<Ready, StoreError> {
    let Asked {
        disk,
        clock,
        path,
        purpose,
        output,
    } = asked;
    let mut opened = StateDir::open(Arc::clone(&disk), path, &purpose)?;
    let mut notes = std::mem::take(&mut opened.notes);
    let (suspects, note) = Suspects::open(Arc::clone(&disk), path);
    notes.extend(note);
    let open_file = |disk: &Arc<dyn Disk>| match &output {
        AskedOutput::File(path, rotation) => {
            Appender::open(Arc::clone(disk), Arc::clone(&clock), path, rotation.clone())
                .map(Some)
                .map_err(|error| StoreError {
                    text: format!("cannot write {error}"),
                    exit_code: 74,
                    is_no_room: is_no_room(&error),
                })
        }
        _ => Ok(None),
    };
    let resumed = opened.checkpoint.is_some();
    let (known, replay, journal, file, place, number);
    if resumed {
        let output_path = match &output {
            AskedOutput::File(path, _) => Some(path.as_path()),
            _ => None,
        };
        let recovered = recover(&mut opened, output_path)?;
        notes.extend(recovered.notes);
        file = open_file(&disk)?;
        let checkpoint = opened.checkpoint.take().expect("it was just there");
        known = Known {
            state: checkpoint.state,
            lines: checkpoint.lines,
            places: checkpoint.places,
            sent: checkpoint.sent,
            watched: checkpoint.watched,
        };
        replay = recovered
            .marks
            .into_iter()
            .map(|mark| Mark {
                replayed: true,
                ..mark
            })
            .collect();
        journal = recovered.journal;
        place = recovered.output;
        number = opened.number;
    } else {
        let mut opened_file = open_file(&disk)?;
        if let Some(file) = &mut opened_file {
            file.unsynced().sync(&*disk).map_err(|error| {
                StoreError::of(format!("cannot write {}", file.path().display()), &error)
            })?;
        }
        file = opened_file;
        known = Known::from(fresh);
        place = file.as_ref().map(Appender::place);
        number = 1;
        // A kill before the first regular one then finds something to go on from, and a directory
        // that cannot be written to is known at once.
        let checkpoint = checkpoint(number, &purpose, &*clock, known.clone(), place);
        opened.dir.write(&checkpoint)?;
        journal = Journal::create(Arc::clone(&disk), path, number)
            .and_then(|journal| disk.sync_directory(path).map(|()| journal))
            .map_err(|error| {
                StoreError::of(
                    format!("{}: cannot write the journal", path.display()),
                    &error,
                )
            })?;
        replay = Vec::new();
    }
    let keeper = Keeper {
        cadence: Cadence::default(),
        number,
        purpose,
        clock,
        replay_left: replay.len(),
        has_failed: false,
        copy_cost: Duration::ZERO,
        is_held: false,
    };
    Ok(Ready {
        store: Store {
            keeper,
            dir: opened.dir,
            journal: (!matches!(output, AskedOutput::Nothing)).then_some(journal),
            output: place,
            suspects,
        },
        known,
        replay,
        file,
        resumed,
        notes,
    })
}

impl Store {
    /// What writes to `destination` and names it in the journal.
    pub fn recorder(&mut self, destination: Destination, known: &Known) -> Recorder {
        Recorder::new(destination, self.journal.take(), known.sent, self.output)
    }
}

fn checkpoint(
    number: u64,
    purpose: &str,
    clock: &dyn Clock,
    known: Known,
    output: Option<OutputPlace>,
) -> Checkpoint {
    Checkpoint {
        number,
        purpose: purpose.to_owned(),
        written: clock.wall_nanoseconds(),
        state: known.state,
        lines: known.lines,
        places: known.places,
        sent: known.sent,
        output,
        watched: known.watched,
    }
}

/// Says when a checkpoint is due. Stands beside the fold.
pub struct Keeper {
    cadence: Cadence,
    /// Of the last checkpoint that was begun.
    number: u64,
    purpose: String,
    clock: Arc<dyn Clock>,
    /// Batches that are read again: before the last of them the output does not fit the state.
    replay_left: usize,
    /// The user was told that checkpoints fail.
    has_failed: bool,
    /// What copying the state took for the checkpoint that is being written.
    copy_cost: Duration,
    /// Something is missing, and no checkpoint may say that it was dealt with.
    is_held: bool,
}

impl Keeper {
    /// The fold took in a batch.
    pub fn absorbed(&mut self, mark: Option<&Mark>) {
        let was_replaying = self.replay_left > 0;
        match mark {
            Some(mark) if mark.replayed => self.replay_left = self.replay_left.saturating_sub(1),
            Some(_) => self.replay_left = 0,
            None => {}
        }
        let urgent =
            mark.is_some_and(|mark| mark.urgent) || (was_replaying && self.replay_left == 0);
        self.cadence.work(self.clock.monotonic(), urgent);
    }

    /// From now on no checkpoint is begun: a restart is to go on from the last one.
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Whether a checkpoint is to be begun now.
    pub fn is_due(&self) -> bool {
        if self.is_held {
            return false;
        }
        let due = self.cadence.due_at();
        self.replay_left == 0 && due.is_some_and(|due| self.clock.monotonic() >= due)
    }

    /// How long the fold may wait for batches until it looks again; `None` for as long as it likes.
    pub fn wait(&self) -> Option<Duration> {
        if self.cadence.is_running {
            return Some(LOOK);
        }
        if self.replay_left > 0 || self.is_held {
            return None;
        }
        let due = self.cadence.due_at()?;
        Some(due.saturating_sub(self.clock.monotonic()))
    }

    /// Whether something is not in a checkpoint yet, or one is being written.
    pub fn has_work(&self) -> bool {
        !self.is_held && self.replay_left == 0 && self.cadence.dirty.is_some()
    }

    pub fn is_running(&self) -> bool {
        self.cadence.is_running
    }

    /// Copies what the fold knows at the border between two batches. The checkpoint goes through the
    /// writer, if there is one, and then to [`Commit::run`]; what that returns comes to
    /// [`Keeper::end`].
    pub fn begin(&mut self, fold: &mut Fold) -> Checkpoint {
        let started = self.clock.monotonic();
        self.number += 1;
        self.cadence.begin();
        let known = fold.known();
        let checkpoint = checkpoint(self.number, &self.purpose, &*self.clock, known, None);
        self.copy_cost = self.clock.monotonic().saturating_sub(started);
        checkpoint
    }

    /// A checkpoint was written or given up. Returns what the user should know; an error says that
    /// the run must end, because what was written to the output is not durable.
    pub fn end(&mut self, done: Done) -> Result<Option<String>, String> {
        let now = self.clock.monotonic();
        let is_written = done.result.is_ok();
        self.cadence
            .end(now, self.copy_cost + done.cost, is_written);
        let had_failed = std::mem::replace(&mut self.has_failed, !is_written);
        match done.result {
            // It was said before.
            Err(Failure::Undelivered) if had_failed => Ok(None),
            Ok(()) if had_failed => Ok(Some("checkpoints are written again".to_owned())),
            Err(Failure::Checkpoint(text)) if !had_failed => {
                Ok(Some(format!("{text}; going on, and trying again")))
            }
            Err(Failure::Undelivered) => Ok(Some(
                "a sink does not have all lines, so no checkpoint was written: a restart goes on from the last one"
                    .to_owned(),
            )),
            Err(Failure::Output(text)) => Err(text),
            _ => Ok(None),
        }
    }
}

/// The times of checkpoints.
#[derive(Debug, Default)]
struct Cadence {
    /// Since when there is something that no checkpoint holds.
    dirty: Option<Duration>,
    is_urgent: bool,
    is_running: bool,
    /// One was begun.
    has_begun: bool,
    not_before: Duration,
}

impl Cadence {
    fn work(&mut self, now: Duration, urgent: bool) {
        self.dirty.get_or_insert(now);
        self.is_urgent |= urgent;
    }

    fn due_at(&self) -> Option<Duration> {
        let since = self.dirty.filter(|_| !self.is_running)?;
        let soon = match (self.is_urgent, self.has_begun) {
            (true, _) => since,
            (false, false) => since + FIRST,
            (false, true) => since + INTERVAL,
        };
        Some(soon.max(self.not_before))
    }

    fn begin(&mut self) {
        self.dirty = None;
        self.is_urgent = false;
        self.is_running = true;
        self.has_begun = true;
    }

    fn end(&mut self, now: Duration, cost: Duration, is_written: bool) {
        self.is_running = false;
        self.has_begun = true;
        self.not_before = now + cost * SHARE;
        if !is_written {
            self.dirty = Some(now);
        }
    }
}

/// A checkpoint whose border the writer has passed.
pub struct Commit {
    pub checkpoint: Box<Checkpoint>,
    pub border: io::Result<Border>,
}

/// How a commit ended.
pub struct Done {
    pub result: Result<(), Failure>,
    pub cost: Duration,
}

/// Why there is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The one before stays; a later one may succeed.
    Checkpoint(String),
    /// A sink has ended without the lines that stand before it.
    Undelivered,
    /// What was written to the output is perhaps lost. Nobody may be told that it is there.
    Output(String),
}

impl Commit {
    /// Makes the output durable, waits for receivers, then makes durable the checkpoint that names the
    /// output's length. The wait is no cost.
    pub fn run(self, dir: &mut StateDir, clock: &dyn Clock) -> Done {
        let started = clock.monotonic();
        let mut waited = Duration::ZERO;
        let result = self.commit(dir, |pending| {
            let since = clock.monotonic();
            let arrived = pending.iter().all(|it| it.wait() == Arrival::Arrived);
            waited = clock.monotonic().saturating_sub(since);
            arrived
        });
        Done {
            result,
            cost: clock.monotonic().saturating_sub(started + waited),
        }
    }

    fn commit(
        mut self,
        dir: &mut StateDir,
        deliver: impl FnOnce(&[Pending]) -> bool,
    ) -> Result<(), Failure> {
        failpoint::panic_on(Failpoint::PanicCommitter, b"checkpoint");
        let given_up = |error: String| Failure::Checkpoint(error);
        let border = self.border.map_err(|error| {
            given_up(format!(
                "{}: cannot begin a journal: {error}",
                dir.path().display()
            ))
        })?;
        // With the journal before it durable, a power cut from here on leaves no byte of the output
        // that no entry explains.
        if let Some(journal) = border.journal {
            // If it fails, the checkpoint is all the more wanted.
            let _ = journal.sync();
        }
        // After a failed sync the kernel may have dropped what it could not write; asking again would
        // be told that all is well.
        let lost = |error: io::Error| {
            Failure::Output(format!(
                "the output is not durable: {error}; stopping, so that a restart writes it again"
            ))
        };
        border.unsynced.sync(&**dir.disk()).map_err(lost)?;
        if !deliver(&border.pending) {
            return Err(Failure::Undelivered);
        }
        self.checkpoint.output = border.output;
        dir.write(&self.checkpoint)
            .map_err(|error| given_up(error.text))
    }
}

/// The life of the thread that writes checkpoints.
pub fn commit_all(
    mut dir: StateDir,
    clock: &dyn Clock,
    commits: &Receiver<Commit>,
    done: &Sender<Done>,
) {
    for commit in commits {
        if done.send(commit.run(&mut dir, clock)).is_err() {
            break;
        }
    }
}
