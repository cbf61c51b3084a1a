//! Where in the inputs the fold has panicked, kept in the state directory from one start to the next, so
//! that the next start can look for the record that does it instead of panicking again.
//!
//! ```json
//! {"source":"app.log","from":524288,"to":1048576,"reason":"panicked at …"}
//! ```
//!
//! An entry may stay when it is of no more use: taking in a batch with care gives what taking it in
//! without care gives, only more slowly.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::store::{append_all, read_all};

const NAME: &str = "suspects.ndjson";

/// Where the file stands until it is whole.
const UNFINISHED: &str = "suspects.new";

/// Entries that are kept; one more takes the place of the oldest. Each start adds one at most.
const SUSPECTS_MAX: usize = 16;

/// Longest file that is read, in bytes. Names of files and reasons are far shorter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A range of a source in which a record makes the fold panic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    pub source: String,
    /// Offset of its first byte, and the one behind its last.
    pub from: u64,
    pub to: u64,
    pub reason: String,
}

impl Suspect {
    /// Whether it has bytes in common with this range.
    pub fn overlaps(&self, source: &str, from: u64, to: u64) -> bool {
        self.source == source && self.from < to && from < self.to
    }
}

/// The ranges that are known, and their file.
#[derive(Clone)]
pub struct Suspects {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    list: Vec<Suspect>,
}

impl Suspects {
    /// Reads what a state directory has of them. A damaged file is none, with a note for the user: it
    /// only costs another stop.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> (Suspects, Option<String>) {
        let path = directory.join(NAME);
        let (list, note) = match read(&*disk, &path) {
            Ok(list) => (list, None),
            Err(error) => {
                let note = format!("{}: {error}; going on without it", path.display());
                (Vec::new(), Some(note))
            }
        };
        let directory = directory.to_owned();
        let suspects = Suspects {
            disk,
            directory,
            list,
        };
        (suspects, note)
    }

    pub fn list(&self) -> &[Suspect] {
        &self.list
    }

    /// Adds a range, durably.
    pub fn add(&mut self, suspect: Suspect) -> io::Result<()> {
        self.list.retain(|other| *other != suspect);
        if self.list.len() == SUSPECTS_MAX {
            self.list.remove(0);
        }
        self.list.push(suspect);
        let mut bytes = Vec::new();
        for suspect in &self.list {
            serde_json::to_writer(&mut bytes, suspect).map_err(io::Error::from)?;
            bytes.push(b'\n');
        }
        let unfinished = self.directory.join(UNFINISHED);
        let file = self.disk.create(&unfinished)?;
        append_all(&*file, &bytes)?;
        file.sync()?;
        self.disk.rename(&unfinished, &self.directory.join(NAME))?;
        self.disk.sync_directory(&self.directory)
    }
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<Suspect>> {
    let length = match disk.stat(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        stat => stat?.length,
    };
    if length > FILE_BYTES_MAX {
        let text = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::other(text));
    }
    let bytes = read_all(disk, path)?.unwrap_or_default();
    let lines = serde_json::Deserializer::from_slice(&bytes).into_iter();
    let list = lines.take(SUSPECTS_MAX).collect::<Result<_, _>>();
    list.map_err(|error| io::Error::other(format!("not what weir writes there: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::real::Real;

    fn suspect(number: u64) -> Suspect {
        Suspect {
            source: "a\n\"b".to_owned(),
            from: number,
            to: number + 10,
            reason: "panicked".to_owned(),
        }
    }

    #[test]
    fn the_last_ones_are_kept_over_starts() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Suspects::open(Arc::new(Real), folder.path());
        let (mut suspects, note) = open();
        assert_eq!((suspects.list(), note), (&[][..], None));
        for number in 0..40 {
            suspects.add(suspect(number)).unwrap();
            suspects.add(suspect(number)).unwrap();
        }
        let (suspects, note) = open();
        let want: Vec<Suspect> = (24..40).map(suspect).collect();
        assert_eq!((suspects.list(), note), (&want[..], None));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_none_and_a_note() {
        let folder = tempfile::tempdir().unwrap();
        for content in [
            "{\"source\":",
            "[]",
            &"x".repeat(2 << 20),
            "{\"source\":\"a\",\"from\":-1}",
        ] {
            fs::write(folder.path().join(NAME), content).unwrap();
            let (mut suspects, note) = Suspects::open(Arc::new(Real), folder.path());
            assert_eq!(suspects.list(), []);
            assert!(note.unwrap().ends_with("going on without it"));
            suspects.add(suspect(1)).unwrap();
            assert_eq!(
                Suspects::open(Arc::new(Real), folder.path()).0.list(),
                [suspect(1)]
            );
        }
    }

    #[test]
    fn ranges_overlap_by_bytes_of_one_source() {
        let range = suspect(100);
        for (from, to, want) in [
            (0, 100, false),
            (0, 101, true),
            (109, 500, true),
            (110, 500, false),
        ] {
            assert_eq!(range.overlaps(&range.source, from, to), want, "{from} {to}");
            assert!(!range.overlaps("other", from, to));
        }
    }
}
