//! Where bytes come from: one file a source. A source opens, reads and says its name; chunks,
//! records and threads are the engine's.

pub mod command;
pub mod compressed;
pub mod file;
pub mod follow;
pub mod stdin;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::flow::time::Time;

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
