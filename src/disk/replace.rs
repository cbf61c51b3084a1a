//! The one way in which a finished file takes the place of another: snapshots and baselines.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::disk::directory_of;

/// Names of files that are not finished: 16 hexadecimal digits between these.
const PREFIX: &str = ".weir-";
const SUFFIX: &str = ".tmp";

/// A leftover is at least so old: between its making and its lock, a file looks like one.
const LEFTOVER_AGE: Duration = Duration::from_secs(60);

/// So many names are tried before somebody must be making them as fast as they are.
const NAMES_MAX: usize = 16;

/// Replaces what is at `path` by a file with these bytes, durably: a reader sees the old content or the
/// new one, and after an error the old one. The new file is its owner's alone (0600), unless it replaces a
/// file, whose permissions it takes. It is written under a name that cannot be guessed and was free, so
/// no link is followed; a link at `path` itself is replaced, and not what it leads to.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mode = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
        Ok(found) if found.is_file() => Some(found.permissions().mode() & 0o777),
        Ok(found) if found.is_symlink() => None,
        // A rename over a device or a FIFO would take it away.
        Ok(_) => return Err(io::Error::other("is no regular file")),
    };
    remove_leftovers(directory_of(path));
    let (temporary, mut file) = create_beside(path)?;
    let write = |file: &mut File| {
        file.write_all(bytes)?;
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    if let Err(error) = write(&mut file) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory_of(path))?.sync_all()
}

/// Removes what a kill has left behind in `directory`: files of ours by their name, owner and kind that are
/// not in use. What cannot be removed stays.
fn remove_leftovers(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if is_unfinished(&entry.file_name()) && is_leftover(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_unfinished(name: &OsStr) -> bool {
    let name = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    let digits = name.and_then(|name| name.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_leftover(path: &Path) -> bool {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let Ok(file) = file else { return false };
    let Ok(found) = file.metadata() else {
        return false;
    };
    let age = found.modified().ok().and_then(|at| at.elapsed().ok());
    found.is_file()
        && found.uid() == rustix::process::geteuid().as_raw()
        && age.is_some_and(|age| age >= LEFTOVER_AGE)
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// A new file in the directory of `path`.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut met = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..NAMES_MAX {
        // Hash keys come from the system's random numbers.
        let name = format!(
            "{PREFIX}{:016x}{SUFFIX}",
            RandomState::new().hash_one(NAMES_MAX)
        );
        let temporary = directory_of(path).join(name);
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(&temporary);
        match file {
            Ok(file) => {
                // Tells other processes that it is in use, as far as the file system has locks.
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                return Ok((temporary, file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => met = error,
            Err(error) => return Err(error),
        }
    }
    Err(met)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snap");
        replace(&path, b"one").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), mode(&path)),
            (b"one".to_vec(), 0o600)
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(
            (fs::read(&path).unwrap(), mode(&path)),
            (b"two".to_vec(), 0o640)
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_kill_left_behind_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        let put = |name: &str, age: bool| {
            let file = File::create(folder.path().join(name)).unwrap();
            if age {
                file.set_modified(hour_ago).unwrap();
            }
            file
        };
        put(".weir-0123456789abcdef.tmp", true);
        put(".weir-0123456789abcde0.tmp", false);
        put(".weir-mine.tmp", true);
        put(".weir-0123456789abcdef.tmp.log", true);
        let locked = put(".weir-00000000000000ff.tmp", true);
        flock(&locked, FlockOperation::LockExclusive).unwrap();
        let link = folder.path().join(".weir-1123456789abcdef.tmp");
        symlink(folder.path().join(".weir-mine.tmp"), link).unwrap();
        replace(&folder.path().join("snap"), b"one").unwrap();
        let entries = fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        let want = [
            ".weir-00000000000000ff.tmp",
            ".weir-0123456789abcde0.tmp",
            ".weir-0123456789abcdef.tmp.log",
            ".weir-1123456789abcdef.tmp",
            ".weir-mine.tmp",
            "snap",
        ];
        assert_eq!(names, want);
    }

    #[test]
    fn a_link_is_replaced_and_a_fifo_and_a_directory_stay() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "precious").unwrap();
        let link = folder.path().join("link");
        symlink(&target, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(fs::read(&link).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        assert!(replace(&fifo, b"new").is_err());
        assert!(replace(folder.path(), b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
