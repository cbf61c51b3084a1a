//! A state directory as somebody sees it who is not the run that it belongs to: read beside a run, or
//! changed while none uses it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::Disk;
use crate::store::checkpoint::Checkpoint;
use crate::store::journal::Entry;
use crate::store::recover::recover;
use crate::store::{LOCK, SLOTS, Slot, StateDir, StoreError, newest_of, read_slot};

/// The newest whole checkpoint and what the user should know. No lock is taken: checkpoints come whole by
/// a rename, so a run may write the next one meanwhile.
pub fn newest(disk: &dyn Disk, path: &Path) -> Result<(Checkpoint, Vec<String>), StoreError> {
    if let Err(error) = disk.stat(path) {
        return Err(StoreError {
            exit_code: 66,
            ..StoreError::io(path, "no state directory", &error)
        });
    }
    let slots = SLOTS.map(|name| read_slot(disk, &path.join(name)));
    if slots.iter().all(|slot| matches!(slot, Slot::Missing)) {
        return Err(StoreError {
            text: format!("{}: holds no state", path.display()),
            exit_code: 66,
            is_no_room: false,
        });
    }
    let mut notes = Vec::new();
    let (_, checkpoint) = newest_of(path, slots, &[], &mut notes)?;
    let checkpoint = checkpoint.expect("not all are missing, and broken ones are an error");
    Ok((checkpoint, notes))
}

/// Changes what the checkpoint of a run that ended knows, durably. `change` says what is wrong, and then
/// nothing is written. Refused while a run uses the directory, and after a kill: what was read since the
/// checkpoint is known only when it is read again.
pub fn change<T>(
    disk: &Arc<dyn Disk>,
    path: &Path,
    now: i64,
    change: impl FnOnce(&mut Checkpoint) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (found, _) = newest(&**disk, path)?;
    match disk.lock(&path.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(StoreError::new(format!(
                "{}: a run uses this state directory and would write over the change; stop it first",
                path.display()
            )));
        }
        _ => {}
    }
    let mut opened = StateDir::open(Arc::clone(disk), path, &found.purpose)?;
    let is_batch = |entry: &Entry| matches!(entry, Entry::Batch { .. });
    if opened.records.iter().any(|record| is_batch(&record.entry)) {
        return Err(StoreError::new(format!(
            "{}: the run before was killed, and what it read last is still to be read again; start it and \
             stop it once, then come back",
            path.display()
        )));
    }
    let elsewhere = opened
        .records
        .iter()
        .rev()
        .find_map(|record| match record.entry {
            Entry::Output(place) => Some(place),
            _ => None,
        });
    let mut journal = recover(&mut opened, None)?.journal;
    let mut checkpoint = opened
        .checkpoint
        .take()
        .ok_or_else(|| StoreError::new(format!("{}: holds no state any more", path.display())))?;
    let result = change(&mut checkpoint)?;
    if elsewhere.is_some() {
        checkpoint.output = elsewhere;
    }
    checkpoint.number = opened.number + 1;
    checkpoint.written = now;
    let failed = |error: io::Error| StoreError::io(path, "cannot begin a journal", &error);
    journal.next(checkpoint.number).map_err(failed)?;
    journal.sync().map_err(failed)?;
    opened.dir.write(&checkpoint)?;
    Ok(result)
}
