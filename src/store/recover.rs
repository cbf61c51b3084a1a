//! After a kill: which entries of the journal the output file really holds, and where both are cut.
//!
//! The journal is written before the output, so the bytes behind the last good entry are the torn
//! write of the next one. They are made again from the same input. Bytes that no entry explains are
//! cut only if every source is there to be read again; otherwise they stay, and lines may stand
//! twice.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::disk::rotated::rotated_path;
use crate::disk::{Disk, DiskFile, Identity, Kind, directory_of, read_full};
use crate::flow::mark::{Mark, Place};
use crate::flow::output::OutputPlace;
use crate::state::places::Places;
use crate::store::journal::{self, Entry, Journal, Record};
use crate::store::{Opened, StateDir, StoreError};

/// Bytes of the output that are looked at together.
const BLOCK_BYTES: usize = 64 << 10;

/// Longest unfinished line that is looked for at the end of bytes that stay.
const LINE_BYTES_MAX: u64 = 2 << 20;

/// What goes on after a kill.
pub struct Recovered {
    pub journal: Journal,
    /// Batches whose output is written, in order: they are to be read again for the state alone.
    pub marks: Vec<Mark>,
    /// How far the output file is known to have come; `None` if it was changed by somebody else.
    pub output: Option<OutputPlace>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Judges the output file at `path`, cuts it and the journal, and returns what goes on. Without a
/// path the output is no file, and every entry counts. The same again gives the same.
pub fn recover(opened: &mut Opened, path: Option<&Path>) -> Result<Recovered, StoreError> {
    let dir = &opened.dir;
    let checkpoint = opened
        .checkpoint
        .as_ref()
        .expect("only a state that was found is recovered");
    let mut records = std::mem::take(&mut opened.records);
    let mut recovered = match (path, checkpoint.output) {
        (Some(path), Some(from)) => {
            let verdict = judge(&*dir.disk, path, from, &records, &checkpoint.places)
                .map_err(|error| StoreError::io(path, "cannot read the output", &error))?;
            for (path, length) in &verdict.cut {
                cut(&*dir.disk, path, *length)
                    .map_err(|error| StoreError::io(path, "cannot cut the output", &error))?;
            }
            if let Some(elsewhere) = &verdict.elsewhere {
                make_durable(&*dir.disk, elsewhere)
                    .map_err(|error| StoreError::io(path, "not durable", &error))?;
            }
            records.truncate(verdict.good);
            (verdict.output, verdict.notes)
        }
        _ => (None, Vec::new()),
    };
    let journal = cut_journal(dir, records.last())
        .map_err(|error| StoreError::io(&dir.path, "cannot go on with the journal", &error))?;
    let marks = records.into_iter().filter_map(|record| match record.entry {
        Entry::Batch { mark, .. } => Some(mark.into_owned()),
        _ => None,
    });
    Ok(Recovered {
        journal,
        marks: marks.collect(),
        output: recovered.0,
        notes: std::mem::take(&mut recovered.1),
    })
}

/// Cuts the journals behind the last good entry, durably: what stood there must never come back
/// behind other entries.
fn cut_journal(dir: &StateDir, last: Option<&Record>) -> io::Result<Journal> {
    let disk = &dir.disk;
    let kept = last.map_or(dir.newest, |last| last.journal);
    for number in journal::numbers(&**disk, &dir.path)? {
        if number > kept {
            disk.remove(&journal::path(&dir.path, number))?;
        }
    }
    let mut journal = match last {
        Some(last) => Journal::resume(disk.clone(), &dir.path, kept, last.end)?,
        None => Journal::create(disk.clone(), &dir.path, kept)?,
    };
    journal.sync()?;
    disk.sync_directory(&dir.path)?;
    Ok(journal)
}

/// What an output file holds of what the journal says.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    /// So many records are good.
    good: usize,
    /// Files that are to be cut, and to which length.
    cut: Vec<(PathBuf, u64)>,
    output: Option<OutputPlace>,
    /// Where the file stands now, if not where the output goes on.
    elsewhere: Option<PathBuf>,
    notes: Vec<String>,
}

fn judge(
    disk: &dyn Disk,
    path: &Path,
    from: OutputPlace,
    records: &[Record],
    places: &Places,
) -> io::Result<Verdict> {
    // What was written before the output went on elsewhere was durable by then; only the last file
    // can be torn.
    let last = records
        .iter()
        .rposition(|record| matches!(record.entry, Entry::Output(_)));
    let from = match last.map(|last| &records[last].entry) {
        Some(Entry::Output(place)) => *place,
        _ => from,
    };
    let shown = path.display();
    let again = "lines that were written before the restart may stand twice";
    let Some(found) = locate(disk, path, from.identity)? else {
        return Ok(Verdict {
            good: last.unwrap_or(0),
            cut: Vec::new(),
            output: None,
            elsewhere: None,
            notes: vec![format!(
                "{shown}: the file that was written to is gone; {again}"
            )],
        });
    };
    let file = disk.open(&found)?;
    let length = file.stat()?.length;
    if length < from.length {
        return Ok(Verdict {
            good: last.unwrap_or(0),
            cut: Vec::new(),
            output: None,
            elsewhere: None,
            notes: vec![format!(
                "{shown}: {length} bytes long, but {} were written; {again}",
                from.length
            )],
        });
    }
    let first = last.map_or(0, |last| last + 1);
    let (good, end) = verify(&*file, from.length, first, records)?;
    let explained: u64 = records[good..].iter().map(batch_bytes).sum();
    let rest = length - end;
    let unnamed = unnamed_bytes(disk, path, &found)?;
    let mut verdict = Verdict {
        good,
        cut: Vec::new(),
        output: Some(OutputPlace {
            identity: from.identity,
            length: end,
        }),
        elsewhere: (found != path).then(|| found.clone()),
        notes: Vec::new(),
    };
    if unnamed > 0 {
        verdict.notes.push(format!(
            "{shown}: {unnamed} bytes that the journal does not name stay in it; {again}"
        ));
        // The next line must not go on behind half a one.
        verdict.cut.extend(torn_end(disk, path)?);
    }
    if rest == 0 {
        return Ok(verdict);
    }
    let cut = found.display();
    if rest <= explained {
        verdict
            .notes
            .push(format!("{cut}: {rest} bytes of a torn write are cut"));
        verdict.cut.push((found, end));
    } else if are_found_again(disk, places, &records[..good]) {
        verdict.notes.push(format!(
            "{cut}: {rest} bytes that the journal does not name are cut; all files are there to \
             write them again"
        ));
        verdict.cut.push((found, end));
    } else {
        verdict.notes.push(format!(
            "{cut}: {rest} bytes that the journal does not name stay; {again}"
        ));
        verdict.output = None;
        let whole = end + whole_lines(&*file, end, length)?;
        if whole < length {
            verdict.cut.push((found, whole));
        }
    }
    Ok(verdict)
}

/// Compares the batches from record `first` on with the file's bytes from `start` on. Returns how
/// many records are good, and where the bytes of the last good one end.
fn verify(
    file: &dyn DiskFile,
    start: u64,
    first: usize,
    records: &[Record],
) -> io::Result<(usize, u64)> {
    let mut at = start;
    let mut block = vec![0; BLOCK_BYTES];
    for (number, record) in records.iter().enumerate().skip(first) {
        let Entry::Batch { bytes, sum, .. } = record.entry else {
            continue;
        };
        let mut hasher = crc32fast::Hasher::new();
        let mut left = bytes;
        while left > 0 {
            let want = left.min(BLOCK_BYTES as u64) as usize;
            let count = read_full(file, &mut block[..want], at + (bytes - left))?;
            hasher.update(&block[..count]);
            left -= count as u64;
            if count < want {
                return Ok((number, at));
            }
        }
        if hasher.finalize() != sum {
            return Ok((number, at));
        }
        at += bytes;
    }
    Ok((records.len(), at))
}

fn batch_bytes(record: &Record) -> u64 {
    match record.entry {
        Entry::Batch { bytes, .. } => bytes,
        _ => 0,
    }
}

/// Where the file with this identity stands: at `path`, or at `path.1`, `path.2` … if it was rotated.
fn locate(disk: &dyn Disk, path: &Path, identity: Identity) -> io::Result<Option<PathBuf>> {
    let is_it = |path: &Path| disk.stat(path).is_ok_and(|stat| stat.identity == identity);
    if is_it(path) {
        return Ok(Some(path.to_owned()));
    }
    let numbered = rotated(disk, path)?;
    Ok(numbered
        .into_iter()
        .map(|number| rotated_path(path, number))
        .find(|path| is_it(path)))
}

/// The numbers of the rotated files of `path` that are there, in order.
fn rotated(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u32>> {
    let Some(name) = path.file_name() else {
        return Ok(Vec::new());
    };
    let names = match disk.list(directory_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names?,
    };
    let number = |other: &OsString| {
        let digits = other
            .as_bytes()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b".")?;
        let number = std::str::from_utf8(digits).ok()?;
        // `out.01` and `out.+1` are others' files.
        let is_plain = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| number.parse::<u32>().ok())?
    };
    let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Bytes of the output files that were begun after the last one that is known: by somebody else, or by a
/// process whose journal the disk has forgotten.
fn unnamed_bytes(disk: &dyn Disk, path: &Path, known: &Path) -> io::Result<u64> {
    if known == path {
        return Ok(0);
    }
    let numbers = rotated(disk, path)?;
    let younger = numbers.into_iter().map(|number| rotated_path(path, number));
    let younger = std::iter::once(path.to_owned()).chain(younger.take_while(|path| path != known));
    Ok(younger
        .filter_map(|path| disk.stat(&path).ok())
        .map(|stat| stat.length)
        .sum())
}

/// The file at a path with the length of its whole lines, if it ends within one.
fn torn_end(disk: &dyn Disk, path: &Path) -> io::Result<Option<(PathBuf, u64)>> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let stat = file.stat()?;
    if stat.kind != Kind::Regular {
        return Ok(None);
    }
    let whole = whole_lines(&*file, 0, stat.length)?;
    Ok((whole < stat.length).then(|| (path.to_owned(), whole)))
}

/// Whether every file that was being read is still there, with all bytes up to where it was read
/// after the good records.
fn are_found_again(disk: &dyn Disk, places: &Places, good: &[Record]) -> bool {
    let mut places = places.clone();
    for record in good {
        if let Entry::Batch { mark, .. } = &record.entry {
            places.absorb(mark);
        }
    }
    let has = |path: &Path, place: &Place| {
        disk.stat(path)
            .is_ok_and(|stat| stat.identity == place.birth.identity && stat.length >= place.offset)
    };
    places.iter().filter(|place| !place.ended).all(|place| {
        let path = place.birth.path();
        if has(&path, place) {
            return true;
        }
        let directory = directory_of(&path);
        disk.list(directory)
            .is_ok_and(|names| names.iter().any(|name| has(&directory.join(name), place)))
    })
}

/// How many of the bytes from `start` to `end` are whole lines.
fn whole_lines(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<u64> {
    let from = start.max(end.saturating_sub(LINE_BYTES_MAX));
    let mut bytes = vec![0; (end - from) as usize];
    let count = read_full(file, &mut bytes, from)?;
    let whole = memchr::memrchr(b'\n', &bytes[..count]).map(|at| at as u64 + 1);
    Ok(match whole {
        Some(whole) => from - start + whole,
        // No line ends in there; if they are not the whole tail, nothing is known about it.
        None if from == start => 0,
        None => end - start,
    })
}

/// Makes a file durable that no more is written to, with its name: the journal will say that the
/// output goes on elsewhere, and what came before is then taken for safe.
fn make_durable(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.append(path)?.sync()?;
    disk.sync_directory(directory_of(path))
}

fn cut(disk: &dyn Disk, path: &Path, length: u64) -> io::Result<()> {
    let file = disk.append(path)?;
    file.set_length(length)?;
    file.sync()
}
