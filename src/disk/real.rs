//! The machine's own file system.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, OFlags, SeekFrom, StatxFlags};

use crate::disk::{Disk, DiskFile, Identity, Kind, Lock, Stat};

/// Files as the kernel has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real;

impl Disk for Real {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        // A FIFO would wait for its writer without O_NONBLOCK.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        statx(rustix::fs::CWD, path, AtFlags::empty())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut names = fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = options().create(true).truncate(true).open(path)?;
        Ok(Arc::new(file))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = options()
            .read(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
    }

    fn check_private(&self, directory: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(directory)?;
        let refuse = |reason: &str| Err(io::Error::other(reason));
        if metadata.is_symlink() {
            return refuse("it is a symbolic link; name the directory itself");
        }
        if !metadata.is_dir() {
            return refuse("it is no directory");
        }
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return refuse("it belongs to another user");
        }
        if metadata.mode() & 0o022 != 0 {
            return refuse("others may write to it; make it private with `chmod 700`");
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = options().create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(Held { _file: file }))
    }
}

/// For writing at the end, to nobody else's eyes, and not through a symbolic link.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600).custom_flags(
        (OFlags::NOFOLLOW | OFlags::APPEND | OFlags::NOCTTY)
            .bits()
            .cast_signed(),
    );
    options
}

/// The kernel gives the lock back with the descriptor.
struct Held {
    _file: File,
}

impl Lock for Held {}

impl DiskFile for File {
    fn stat(&self) -> io::Result<Stat> {
        statx(self, Path::new(""), AtFlags::EMPTY_PATH)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(self, SeekFrom::Data(offset)) {
            Ok(place) => Ok(Some(place)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            // The file system knows no holes.
            Err(rustix::io::Errno::INVAL) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }
}

fn statx(at: impl std::os::fd::AsFd, path: &Path, flags: AtFlags) -> io::Result<Stat> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let stat = rustix::fs::statx(at, path, flags, mask)?;
    let nanoseconds = |time: rustix::fs::StatxTimestamp| {
        time.tv_sec
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::from(time.tv_nsec))
    };
    let has_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    Ok(Stat {
        identity: Identity {
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            born: if has_birth {
                nanoseconds(stat.stx_btime)
            } else {
                0
            },
        },
        kind: match rustix::fs::FileType::from_raw_mode(u32::from(stat.stx_mode)) {
            rustix::fs::FileType::RegularFile => Kind::Regular,
            rustix::fs::FileType::Directory => Kind::Directory,
            _ => Kind::Other,
        },
        length: stat.stx_size,
        modified: nanoseconds(stat.stx_mtime),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_appends_and_says_what_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let file = Real.append(&path).unwrap();
        assert_eq!(file.append(b"one\n").unwrap(), 4);
        assert_eq!(Real.append(&path).unwrap().append(b"two\n").unwrap(), 4);
        let stat = Real.stat(&path).unwrap();
        assert_eq!((stat.length, stat.kind), (8, Kind::Regular));
        assert_eq!(file.stat().unwrap().identity, stat.identity);
        let mut buffer = [0; 16];
        let count = Real.open(&path).unwrap().read_at(&mut buffer, 4).unwrap();
        assert_eq!(&buffer[..count], b"two\n");
        assert_eq!(Real.stat(folder.path()).unwrap().kind, Kind::Directory);
        assert_eq!(Real.list(folder.path()).unwrap(), ["a.log"]);
    }

    #[test]
    fn a_lock_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = Real.lock(&path).unwrap();
        let error = Real.lock(&path).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        assert!(Real.lock(&path).is_ok());
    }

    #[test]
    fn does_not_wait_for_the_writer_of_a_fifo_and_writes_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        assert_eq!(Real.open(&fifo).unwrap().stat().unwrap().kind, Kind::Other);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("target"), &link).unwrap();
        assert!(Real.append(&link).is_err() && Real.create(&link).is_err());
    }

    #[test]
    fn finds_the_data_behind_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let file = Real.append(&folder.path().join("hole")).unwrap();
        file.set_length(1 << 20).unwrap();
        assert_eq!(file.append(b"x").unwrap(), 1);
        let found = file.data_from(0).unwrap().unwrap();
        assert!(found <= 1 << 20, "{found}");
        assert_eq!(file.data_from(2 << 20).unwrap(), None);
    }
}
