//! Silences that were made by hand: a file of the state directory that `weir silence` writes and the run
//! looks at each second, so that nothing has to be restarted at two in the morning.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::replace::replace;

/// Name of the file.
const FILE: &str = "silences.json";

/// Silences of one directory: a person writes them one by one.
pub const SILENCES_MAX: usize = 1000;

/// One silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub id: u64,
    /// Labels of the alerts that are silenced, all of which must be equal.
    #[serde(rename = "match")]
    pub labels: BTreeMap<String, String>,
    /// RFC 3339.
    pub from: String,
    pub until: String,
    #[serde(default)]
    pub comment: String,
}

pub fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// All of them; none if there is no file.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub fn write(path: &Path, entries: &[Entry]) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(entries).map_err(io::Error::other)?;
    bytes.push(b'\n');
    replace(path, &bytes)
}

/// Looks whether the file has changed.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    /// Inode, length and time of the last change.
    seen: Option<(u64, u64, i64, i64)>,
    is_new: bool,
}

impl Watch {
    pub fn new(dir: &Path) -> Watch {
        Watch {
            path: path(dir),
            seen: None,
            is_new: true,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says, if it is another one than at the last call.
    pub fn changed(&mut self) -> Option<io::Result<Vec<Entry>>> {
        let seen = fs::metadata(&self.path).ok().map(|metadata| {
            let (second, nanosecond) = (metadata.mtime(), metadata.mtime_nsec());
            (metadata.ino(), metadata.len(), second, nanosecond)
        });
        if seen == self.seen && !self.is_new {
            return None;
        }
        (self.seen, self.is_new) = (seen, false);
        Some(read(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = Watch::new(dir.path());
        assert_eq!(watch.changed().unwrap().unwrap(), Vec::new());
        assert!(watch.changed().is_none());
        let entry = Entry {
            id: 1,
            labels: [("host".to_owned(), "db-1".to_owned())].into(),
            from: "2026-11-23T10:00:00Z".to_owned(),
            until: "2026-11-23T12:00:00Z".to_owned(),
            comment: String::new(),
        };
        write(watch.path(), std::slice::from_ref(&entry)).unwrap();
        assert_eq!(watch.changed().unwrap().unwrap(), [entry]);
        assert!(watch.changed().is_none());
        write(watch.path(), &[]).unwrap();
        assert_eq!(watch.changed().unwrap().unwrap(), Vec::new());
    }
}
