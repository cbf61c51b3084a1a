//! Where bytes come from. A source opens, reads and says its name; [`reading`] reads one to its end,
//! [`follow`] reads files that grow, and [`streams`] reads several streams at once. Where chunks end is
//! the framing's to say; records and the threads of a run are the engine's.

pub mod command;
pub mod compressed;
pub mod file;
pub mod follow;
pub mod globs;
mod lines;
pub mod reading;
pub mod stdin;
pub mod streams;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::flow::time::Time;
use crate::sources::follow::{Note, Step};

/// An opened source.
pub struct Source {
    /// As the user named it; `-` for standard input.
    pub name: String,
    pub bytes: Box<dyn io::Read + Send>,
    /// Set for plain files: mappers read stretches of it themselves.
    pub file: Option<Arc<File>>,
    /// Bytes that are left to read, if they are known and not compressed.
    pub size: Option<u64>,
    /// Modification time of a file, start time of a stream.
    pub anchor: Time,
    /// Set for pipes and terminals: reading may wait for others, so the reader polls this first.
    pub live: Option<OwnedFd>,
}

/// Inputs that grow while they are read: followed files, streams, or both. Called by one thread alone, which
/// never waits inside for anything but the disk.
pub trait Follower: Send {
    fn step(&mut self) -> Step;

    /// Batches from now on end what is open; then comes [`Step::End`].
    fn finish(&mut self);

    /// One of the next batches asks the sinks to open their files anew; it is empty if there is
    /// nothing else.
    fn reopen(&mut self);

    /// What a user should know, since the last call.
    fn notes(&mut self) -> Vec<Note>;

    /// A buffer that came with a batch, to be filled again.
    fn give_back(&mut self, buffer: Vec<u8>);

    /// Bytes handed out in batches.
    fn bytes(&self) -> u64;

    /// Readable when [`Follower::step`] has something to do before the time it gave.
    fn hints_descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// The same for what is read beside files.
    fn streams_descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether batches come that came before a kill.
    fn is_replaying(&self) -> bool {
        false
    }

    /// What could not be read to its end, with the exit code it asks for, since the last call.
    fn problems(&mut self) -> Vec<(String, u8)> {
        Vec::new()
    }
}

/// A stream as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// As it is shown; no other stream of the run has it.
    pub name: String,
    pub origin: Origin,
}

/// What writes a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Whoever holds the other end of standard input.
    Stdin,
    /// A program that is started for it, with its arguments.
    Command(Vec<OsString>),
}

/// Why a source could not be opened. The exit code tells scripts which of the two it was.
#[derive(Debug)]
pub struct OpenError {
    pub message: String,
    /// 66 for a missing input or a directory, 74 for one that cannot be read.
    pub exit_code: u8,
}

/// Opens `name`: `-` is standard input, everything else a path.
pub fn open(name: &std::ffi::OsStr, now: Time) -> Result<Source, OpenError> {
    if name == "-" {
        stdin::open(now)
    } else {
        file::open(name.as_ref(), now)
    }
}
