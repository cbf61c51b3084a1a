//! The state directory (`--state DIR`): what a run knows, written so that a kill at any moment costs
//! nothing. Two checkpoint files that are replaced in turn, and a journal of the outputs since.
//!
//! ```text
//! DIR/lock           held as long as a process uses the directory
//! DIR/checkpoint-a   the newest checkpoint or the one before
//! DIR/checkpoint-b   the other
//! DIR/journal-N      what was written after checkpoint N
//! DIR/suspects.ndjson  where the fold has panicked ([`suspects`])
//! ```
//!
//! No threads and no clock in here: `engine::checkpoint` says when.

pub mod checkpoint;
pub mod journal;
pub mod look;
pub mod recover;
pub mod silences;
pub mod suspects;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, Lock, directory_of, is_no_room, read_full};
use crate::state::repaired;
use crate::store::checkpoint::{Checkpoint, Unreadable};
use crate::store::journal::Record;

/// The two places of a checkpoint. Each new one takes the place of the older one.
const SLOTS: [&str; 2] = ["checkpoint-a", "checkpoint-b"];

/// Where a checkpoint stands until it is whole.
const UNFINISHED: &str = "checkpoint.new";

const LOCK: &str = "lock";

/// Why a state directory cannot be used, for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    pub text: String,
    /// The exit code that it asks for.
    pub exit_code: u8,
    /// There is no room on a disk, which may come back.
    pub is_no_room: bool,
}

impl StoreError {
    fn new(text: String) -> StoreError {
        StoreError {
            text,
            exit_code: 74,
            is_no_room: false,
        }
    }

    fn io(path: &Path, what: &str, error: &io::Error) -> StoreError {
        StoreError::of(format!("{}: {what}", path.display()), error)
    }

    /// Of an operation on a disk.
    pub fn of(what: String, error: &io::Error) -> StoreError {
        StoreError {
            is_no_room: is_no_room(error),
            ..StoreError::new(format!("{what}: {error}"))
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}

/// A state directory that this process holds.
pub struct StateDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    _lock: Box<dyn Lock>,
    /// Where the next checkpoint goes.
    slot: usize,
    /// Number of the newest checkpoint that is there, 0 for none.
    newest: u64,
}

/// A state directory with what was found in it.
pub struct Opened {
    pub dir: StateDir,
    /// `None` at the first start.
    pub checkpoint: Option<Checkpoint>,
    /// What was written after the checkpoint, in order, as far as it is whole.
    pub records: Vec<Record>,
    /// Largest number that a checkpoint or a journal has; the next one is above it.
    pub number: u64,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl StateDir {
    /// Makes the directory if it is not there, takes its lock and reads what it holds. `purpose` says
    /// what is computed; a directory that was used for something else is refused.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, purpose: &str) -> Result<Opened, StoreError> {
        let failed = |what, error: &io::Error| StoreError::io(path, what, error);
        disk.create_directory(path)
            .map_err(|error| failed("cannot make the state directory", &error))?;
        // A directory that a power cut can take away holds nothing.
        disk.sync_directory(directory_of(path))
            .map_err(|error| failed("cannot make the state directory durable", &error))?;
        disk.check_private(path)
            .map_err(|error| failed("not usable as state directory", &error))?;
        let lock = disk.lock(&path.join(LOCK)).map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                StoreError::new(format!(
                    "{}: another weir uses this state directory; give each its own",
                    path.display()
                ))
            } else {
                failed("cannot lock the state directory", &error)
            }
        })?;
        let journals = journal::numbers(&*disk, path)
            .map_err(|error| failed("cannot read the state directory", &error))?;
        let mut notes = Vec::new();
        let slots = SLOTS.map(|name| read_slot(&*disk, &path.join(name)));
        let (slot, checkpoint) = choose(path, slots, purpose, &journals, &mut notes)?;
        let mut opened = Opened {
            dir: StateDir {
                disk,
                path: path.to_owned(),
                _lock: lock,
                slot,
                newest: checkpoint.as_ref().map_or(0, |found| found.number),
            },
            number: checkpoint.as_ref().map_or(0, |found| found.number),
            checkpoint,
            records: Vec::new(),
            notes,
        };
        opened.number = opened.number.max(journals.last().copied().unwrap_or(0));
        if opened.checkpoint.is_some() {
            let (disk, newest) = (&*opened.dir.disk, opened.dir.newest);
            let read = journal::read_from(disk, path, newest, &journals)
                .map_err(|error| failed("cannot read the journal", &error))?;
            opened.records = read.records;
            opened.notes.extend(read.notes);
        }
        Ok(opened)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Writes a checkpoint over the older of the two, durably, and removes the journals that only
    /// that one needed. After an error the directory holds what it held; a later one may succeed.
    pub fn write(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let pieces = checkpoint::encode(checkpoint);
        let unfinished = self.path.join(UNFINISHED);
        let result = self.replace(&unfinished, pieces);
        if let Err(error) = result {
            // The file is not tried again: after a failed sync only a new one can be trusted.
            let _ = self.disk.remove(&unfinished);
            return Err(StoreError::io(
                &self.path,
                "cannot write a checkpoint",
                &error,
            ));
        }
        let before = std::mem::replace(&mut self.newest, checkpoint.number);
        self.slot = 1 - self.slot;
        if let Ok(numbers) = journal::numbers(&*self.disk, &self.path) {
            for number in numbers.into_iter().filter(|&number| number < before) {
                // One that stays is removed with the next checkpoint.
                let _ = self.disk.remove(&journal::path(&self.path, number));
            }
        }
        Ok(())
    }

    fn replace(&self, unfinished: &Path, pieces: Vec<Vec<u8>>) -> io::Result<()> {
        match self.disk.remove(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(unfinished)?;
        for piece in pieces {
            append_all(&*file, &piece)?;
        }
        file.sync()?;
        self.disk
            .rename(unfinished, &self.path.join(SLOTS[self.slot]))?;
        self.disk.sync_directory(&self.path)
    }
}

/// Appends everything or fails.
fn append_all(file: &dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// All bytes of a file; `None` if it is not there.
fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = usize::try_from(file.stat()?.length)
        .map_err(|_| io::Error::other("longer than the memory"))?;
    let mut bytes = vec![0; length];
    let count = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(Some(bytes))
}

/// What stands in one place of a checkpoint.
enum Slot {
    Missing,
    Broken(String),
    Newer,
    Whole(Box<Checkpoint>),
}

fn read_slot(disk: &dyn Disk, path: &Path) -> Slot {
    let bytes = match read_all(disk, path) {
        Ok(None) => return Slot::Missing,
        Ok(Some(bytes)) => bytes,
        Err(error) => return Slot::Broken(error.to_string()),
    };
    match checkpoint::decode(&bytes) {
        Ok(checkpoint) => Slot::Whole(Box::new(checkpoint)),
        Err(Unreadable::Newer) => Slot::Newer,
        Err(Unreadable::Broken(reason)) => Slot::Broken(reason),
    }
}

/// The newest whole checkpoint, which must be of a run with this purpose, and the place for the next one.
fn choose(
    path: &Path,
    slots: [Slot; 2],
    purpose: &str,
    journals: &[u64],
    notes: &mut Vec<String>,
) -> Result<(usize, Option<Checkpoint>), StoreError> {
    let (next, checkpoint) = newest_of(path, slots, journals, notes)?;
    match checkpoint {
        Some(checkpoint) if checkpoint.purpose != purpose => Err(StoreError {
            text: format!(
                "{}: this state is of another run: it was `{}`, this is `{purpose}`; give the same \
                 again, or another state directory",
                path.display(),
                checkpoint.purpose
            ),
            exit_code: 2,
            is_no_room: false,
        }),
        checkpoint => Ok((next, checkpoint)),
    }
}

/// The newest whole checkpoint of any run, and the place for the next one.
fn newest_of(
    path: &Path,
    slots: [Slot; 2],
    journals: &[u64],
    notes: &mut Vec<String>,
) -> Result<(usize, Option<Checkpoint>), StoreError> {
    let shown = path.display();
    if slots.iter().any(|slot| matches!(slot, Slot::Newer)) {
        return Err(StoreError::new(format!(
            "{shown}: written by a newer version of weir; use that one, or another state directory"
        )));
    }
    let number = |slot: &Slot| match slot {
        Slot::Whole(checkpoint) => checkpoint.number,
        _ => 0,
    };
    let newest = usize::from(number(&slots[1]) > number(&slots[0]));
    let is_empty = slots.iter().all(|slot| matches!(slot, Slot::Missing)) && journals.is_empty();
    let broken: Vec<String> = slots
        .iter()
        .zip(SLOTS)
        .filter_map(|(slot, name)| match slot {
            Slot::Broken(reason) => Some(format!("{name} is {reason}")),
            _ => None,
        })
        .collect();
    let [a, b] = slots;
    let chosen = if newest == 0 { a } else { b };
    let Slot::Whole(checkpoint) = chosen else {
        if is_empty {
            return Ok((0, None));
        }
        let reason = if broken.is_empty() {
            "its checkpoints are gone".to_owned()
        } else {
            broken.join(", ")
        };
        return Err(StoreError::new(format!(
            "{shown}: no usable checkpoint: {reason}; to start anew, move the directory away"
        )));
    };
    for reason in broken {
        notes.push(format!(
            "{shown}: {reason}; going on from the other one and the journal"
        ));
    }
    if let Some(note) = repaired::note(checkpoint.state.repaired) {
        notes.push(format!("{shown}: {note}"));
    }
    Ok((1 - newest, Some(*checkpoint)))
}

#[cfg(test)]
mod tests;
