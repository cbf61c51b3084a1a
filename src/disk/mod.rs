//! The file system as far as following, checkpoints and file output need it, behind a trait: the
//! real one in [`real`], one that loses what was not synced in the simulation of the tests.
//!
//! Nothing in here decides anything; every method is one or two system calls.

pub mod private_file;
pub mod real;
pub mod replace;
pub mod rotated;
pub mod whole;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Paths and what stands behind them. Called from several threads.
pub trait Disk: Send + Sync {
    /// Opens for reading. Never waits, whatever the path is; follows symbolic links.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Follows symbolic links.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Where a path leads, without symbolic links.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_owned())
    }

    /// Names in a directory, sorted by their bytes.
    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Opens a new or emptied file for writing, readable by its owner alone (0600); a symbolic link
    /// at `path` itself is refused.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens for reading and appending what is there, or a new file (0600); a symbolic link at `path`
    /// itself is refused.
    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Replaces what was at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the directory's entries durable: what was created, renamed or removed in it.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes the directory with its parents, 0700; nothing if it is there.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Refuses a directory in which others could change what we wrote: a symbolic link, one of another
    /// user, one that others may write to. A disk without users has nothing to refuse.
    fn check_private(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Takes the one lock that a file has, without waiting; it is given back when the value is
    /// dropped or the process dies. `ErrorKind::WouldBlock` if somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// A lock that is held as long as this lives.
pub trait Lock: Send {}

/// An open file. Reading has no position of its own, so several threads may share it.
pub trait DiskFile: Send + Sync {
    fn stat(&self) -> io::Result<Stat>;

    /// Reads at most `buffer.len()` bytes from `offset` on; 0 at or behind the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at the file's end, wherever that is now; may write fewer bytes than asked.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;

    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes the content durable. After an error the content is not durable and asking again on the
    /// same file proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// The first place from `offset` on that is not a hole; `None` if there are only holes. A file
    /// system without holes answers `offset`.
    fn data_from(&self, offset: u64) -> io::Result<Option<u64>>;
}

/// What a file is, whatever its name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    /// Birth time in nanoseconds since 1970, 0 where the file system has none. It tells two files
    /// apart that had the same inode one after the other.
    pub born: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub identity: Identity,
    pub kind: Kind,
    /// Bytes.
    pub length: u64,
    /// Modification time in nanoseconds since 1970.
    pub modified: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Regular,
    Directory,
    /// A FIFO, a device or a socket: nothing that has offsets.
    Other,
}

/// The directory that a path's last name stands in.
pub fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether something failed for want of room only (blocks, inodes or a quota), which may come back.
pub fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Fills `buffer` from `offset` on as far as the file goes; returns how many bytes there were.
pub fn read_full(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
