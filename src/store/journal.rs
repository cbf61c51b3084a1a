//! The journal: what was written after a checkpoint, one entry an output, appended before the bytes
//! go out. After a kill it says which batches made which bytes of the output.
//!
//! A file is eight bytes of magic and then entries, each with its length, a CRC-32 and itself in
//! MessagePack. The first entry says which journal this is and which one it follows.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile};
use crate::flow::mark::Mark;
use crate::flow::output::OutputPlace;

const MAGIC: [u8; 8] = *b"weirjnl1";

/// Bytes before an entry: its length and its CRC-32.
const FRAME_BYTES: usize = 8;

/// Longest journal, in bytes. It is begun anew with every checkpoint, so that only checkpoints that
/// fail for days let it grow so far.
pub const JOURNAL_BYTES_MAX: u64 = 1 << 30;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry<'a> {
    /// The first one of each journal: its number, that of the journal before it, and how long that one
    /// is: a power cut may keep the younger one's entries and not the last of the older one's.
    Start {
        number: u64,
        after: u64,
        #[serde(default)]
        after_bytes: u64,
    },
    /// An output that is written next.
    Batch {
        mark: Cow<'a, Mark>,
        bytes: u64,
        /// CRC-32 of the bytes.
        sum: u32,
        records: u64,
    },
    /// The output goes on there: it was rotated, opened anew or changed by somebody else.
    Output(OutputPlace),
}

impl Entry<'_> {
    /// Appends the entry with its length and its CRC-32 before it.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; FRAME_BYTES]);
        rmp_serde::encode::write(bytes, self).expect("an entry has no type that MessagePack lacks");
        let body = start + FRAME_BYTES;
        let length = u32::try_from(bytes.len() - body)
            .expect("a mark names the files of one batch, not 4 GiB of them");
        let sum = crc32fast::hash(&bytes[body..]);
        bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        bytes[start + 4..body].copy_from_slice(&sum.to_le_bytes());
    }
}

/// An entry that was read, and where it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub entry: Entry<'static>,
    pub journal: u64,
    /// Length of the journal up to here, in bytes.
    pub end: u64,
}

/// A journal that is written to.
pub struct Journal {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    number: u64,
    file: Arc<dyn DiskFile>,
    length: u64,
    /// Bytes of an entry that did not get through stand behind the length.
    torn: bool,
    /// The journal before this, as long as it may not be durable, nor this one's name.
    before: Option<Arc<dyn DiskFile>>,
    scratch: Vec<u8>,
}

impl Journal {
    /// Begins a journal that follows no other.
    pub fn create(disk: Arc<dyn Disk>, directory: &Path, number: u64) -> io::Result<Journal> {
        Journal::create_after(disk, directory, number, number, 0)
    }

    fn create_after(
        disk: Arc<dyn Disk>,
        directory: &Path,
        number: u64,
        after: u64,
        after_bytes: u64,
    ) -> io::Result<Journal> {
        let path = path(directory, number);
        let file = disk.create(&path)?;
        let mut journal = Journal {
            disk,
            directory: directory.to_owned(),
            number,
            file,
            length: 0,
            torn: false,
            before: None,
            scratch: MAGIC.to_vec(),
        };
        let written = journal.append(&Entry::Start {
            number,
            after,
            after_bytes,
        });
        if let Err(error) = written {
            let _ = journal.disk.remove(&path);
            return Err(error);
        }
        Ok(journal)
    }

    /// Goes on with a journal behind its first `length` bytes.
    pub fn resume(
        disk: Arc<dyn Disk>,
        directory: &Path,
        number: u64,
        length: u64,
    ) -> io::Result<Journal> {
        let file = disk.append(&path(directory, number))?;
        if file.stat()?.length != length {
            file.set_length(length)?;
        }
        Ok(Journal {
            disk,
            directory: directory.to_owned(),
            number,
            file,
            length,
            torn: false,
            before: None,
            scratch: Vec::new(),
        })
    }

    /// Appends an entry, or nothing: after an error the same entry can be appended again.
    pub fn append(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        if self.torn {
            self.file.set_length(self.length)?;
            self.torn = false;
        }
        if self.length >= JOURNAL_BYTES_MAX {
            return Err(io::Error::other(
                "the journal is full, because no checkpoint could be written for long",
            ));
        }
        let start = if self.length == 0 { MAGIC.len() } else { 0 };
        self.scratch.truncate(start);
        entry.encode(&mut self.scratch);
        if let Err(error) = super::append_all(&*self.file, &self.scratch) {
            // What got through of it would hide all that follows.
            self.torn = self.file.set_length(self.length).is_err();
            return Err(error);
        }
        self.length += self.scratch.len() as u64;
        Ok(())
    }

    /// Begins the journal of the next checkpoint; returns the file of the one before, which is still
    /// to be made durable. After an error this one goes on.
    pub fn next(&mut self, number: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut next = Journal::create_after(
            Arc::clone(&self.disk),
            &self.directory,
            number,
            self.number,
            self.length,
        )?;
        next.before = Some(Arc::clone(&self.file));
        Ok(std::mem::replace(self, next).file)
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Makes the entries durable, with those of the journal before and with its name.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(before) = &self.before {
            before.sync()?;
        }
        self.file.sync()?;
        if self.before.is_some() {
            self.disk.sync_directory(&self.directory)?;
            self.before = None;
        }
        Ok(())
    }
}

pub fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("journal-{number}"))
}

/// Numbers of the journals in a directory, in order.
pub fn numbers(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(directory)?;
    let number = |name: &std::ffi::OsString| name.to_str()?.strip_prefix("journal-")?.parse().ok();
    let mut numbers: Vec<u64> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// What the journals say.
pub struct Read {
    pub records: Vec<Record>,
    pub notes: Vec<String>,
}

/// Entries of the journals from number `first` on, as far as each follows the one before.
pub fn read_from(
    disk: &dyn Disk,
    directory: &Path,
    first: u64,
    numbers: &[u64],
) -> io::Result<Read> {
    let mut read = Read {
        records: Vec::new(),
        notes: Vec::new(),
    };
    let mut before: Option<(u64, u64)> = None;
    for &number in numbers.iter().filter(|&&number| number >= first) {
        let path = path(directory, number);
        let Some(bytes) = super::read_all(disk, &path)? else {
            continue;
        };
        let start = read.records.len();
        let whole = read_entries(&bytes, number, &mut read.records);
        // One without its first entry was never written to.
        let Some(Entry::Start {
            number: named,
            after,
            after_bytes,
        }) = read.records.get(start).map(|record| &record.entry)
        else {
            read.records.truncate(start);
            continue;
        };
        let follows =
            before.is_none_or(|(before, whole)| before == *after && whole >= *after_bytes);
        if *named != number || !follows || (before.is_none() && number != first) {
            read.records.truncate(start);
            read.notes.push(format!(
                "{}: follows entries that are not there; left out",
                path.display()
            ));
            break;
        }
        before = Some((number, whole as u64));
        if whole < bytes.len() {
            read.notes.push(format!(
                "{}: its last {} bytes are torn; left out",
                path.display(),
                bytes.len() - whole
            ));
        }
    }
    Ok(read)
}

/// Appends the entries up to the first that is torn or damaged; returns where that is.
fn read_entries(bytes: &[u8], journal: u64, records: &mut Vec<Record>) -> usize {
    if !bytes.starts_with(&MAGIC) {
        return 0;
    }
    let mut at = MAGIC.len();
    while let Some((entry, length)) = read_entry(&bytes[at..]) {
        at += length;
        records.push(Record {
            entry,
            journal,
            end: at as u64,
        });
    }
    at
}

fn read_entry(bytes: &[u8]) -> Option<(Entry<'static>, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let body = rest.get(..length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return None;
    }
    let entry = rmp_serde::from_slice(body).ok()?;
    Some((entry, FRAME_BYTES + length))
}
