//! The real file system, but for what a test makes fail.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::disk::real::Real;
use crate::disk::{Disk, DiskFile, Lock, Stat};

#[derive(Default)]
pub struct Faulty {
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
pub struct Faults {
    /// Bytes that may still be appended; all if `None`.
    pub room: Option<u64>,
    /// Appends write at most so many bytes at once.
    pub piece: Option<usize>,
    /// Syncs of files whose path ends so fail.
    pub sync_fails: Option<&'static str>,
    /// Renames fail.
    pub rename_fails: bool,
    pub syncs: Vec<PathBuf>,
}

impl Faulty {
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }

    fn file(&self, path: &Path, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            path: path.to_owned(),
            inner,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl Disk for Faulty {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Real.open(path)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        Real.stat(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        Real.list(directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, Real.create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(path, Real.append(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.faults.lock().unwrap().rename_fails {
            return Err(io::Error::other("no rename today"));
        }
        Real.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Real.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.faults.lock().unwrap().sync(directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        Real.create_directory(directory)
    }

    fn check_private(&self, directory: &Path) -> io::Result<()> {
        Real.check_private(directory)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        Real.lock(path)
    }
}

impl Faults {
    /// Durability is not what is tested here, so the real one is spared.
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.syncs.push(path.to_owned());
        let name = path.to_string_lossy();
        match self.sync_fails {
            Some(end) if name.ends_with(end) => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

struct FaultyFile {
    path: PathBuf,
    inner: Arc<dyn DiskFile>,
    faults: Arc<Mutex<Faults>>,
}

impl DiskFile for FaultyFile {
    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buffer, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut faults = self.faults.lock().unwrap();
        let mut length = bytes.len().min(faults.piece.unwrap_or(usize::MAX));
        if let Some(room) = &mut faults.room {
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            length = length.min(usize::try_from(*room).unwrap());
            *room -= length as u64;
        }
        self.inner.append(&bytes[..length])
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.lock().unwrap().sync(&self.path)
    }

    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        self.inner.data_from(offset)
    }
}
