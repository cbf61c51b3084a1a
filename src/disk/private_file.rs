//! Files of lines that only their owner may read: the journal of what was sent, and the dead letters of
//! notifiers and sinks. A line is there as a whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Serialize;

use crate::disk::rotated::rotated_path;

/// A file of lines that is exchanged when it is long.
#[derive(Clone, Debug)]
pub struct Lines {
    path: PathBuf,
    bytes_max: u64,
}

impl Lines {
    pub fn new(path: PathBuf, bytes_max: u64) -> Lines {
        Lines { path, bytes_max }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line; returns the file that it is in.
    pub fn append(&self, line: &impl Serialize) -> io::Result<File> {
        let mut bytes = serde_json::to_vec(line).map_err(io::Error::other)?;
        bytes.push(b'\n');
        let length = fs::symlink_metadata(&self.path).map_or(0, |found| found.len());
        if length > 0 && length + bytes.len() as u64 > self.bytes_max {
            fs::rename(&self.path, older(&self.path))?;
        }
        append(&self.path, &bytes)
    }
}

/// Where the lines before the newest ones are.
pub fn older(path: &Path) -> PathBuf {
    rotated_path(path, 1)
}

/// Appends `lines`, all or nothing, to a file that only its owner may read. Symbolic links are not
/// followed, and what is no regular file is refused without waiting for it.
pub fn append(path: &Path, lines: &[u8]) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).expect("open's flags are an int"))
        .open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if let Err(error) = file.write_all(lines) {
        // A full disk has taken a part of a line: it goes again, or the next line would join it.
        let _ = file.set_len(before.len());
        return Err(error);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn appends_to_a_private_file_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        append(&path, b"1\n").unwrap();
        append(&path, b"2\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(append(&link, b"3\n").is_err());
        assert!(append(folder.path(), b"3\n").is_err());
        let fifo = folder.path().join("fifo");
        let fifo_mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            fifo_mode,
            0,
        )
        .unwrap();
        assert!(append(&fifo, b"3\n").is_err(), "does not wait for a reader");
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n");
    }
}
