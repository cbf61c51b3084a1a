//! The simulated disk as processes see it: [`logweir::disk::Disk`] in memory, with faults by seed.
//!
//! A handle belongs to a process. When the process is killed, every handle of it is dead: whatever its
//! destructors still try has no effect. The world's own handles (writers, log rotation) see no faults
//! and outlive the program.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use logweir::clock::Clock;
use logweir::disk::{Disk, DiskFile, Identity, Kind, Lock, Stat};

use super::clock::SimClock;
use super::platter::{Platter, Serial, errno, os_error};
use super::program::STATE;
use super::random::Random;
use super::world::LOGS;

/// Calls in one step of the program.
const CALLS_MAX: u64 = 100_000;

/// How often the program's calls go wrong, each in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub short_read: u64,
    pub interrupted: u64,
    pub read_error: u64,
    pub append_error: u64,
    pub short_append: u64,
    pub sync_error: u64,
}

/// Protections that a disk can take away, to see that the simulation finds what then goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// `sync` of a file says yes and does nothing.
    pub file_sync: bool,
    /// `sync_directory` says yes and does nothing.
    pub directory_sync: bool,
    /// `rename` over a name removes it first.
    pub rename: bool,
    /// Both places of a checkpoint are one.
    pub one_slot: bool,
    /// What is appended to a journal is not kept.
    pub journal: bool,
    /// Where a log was read before, its old bytes show: what recognises a file by its content finds it
    /// unchanged.
    pub markers: bool,
}

/// What a file system is like.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// It knows when a file was made.
    pub has_births: bool,
    /// It can tell holes.
    pub has_holes: bool,
    pub lies: Lies,
}

#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Mutex<Shared>>,
    nature: Nature,
    clock: SimClock,
    /// The process that uses this handle; `None` for the world.
    process: Option<u64>,
}

struct Shared {
    platter: Platter,
    random: Random,
    faults: Faults,
    /// The process that is alive.
    alive: u64,
    /// How often the machine was started.
    boot: u64,
    /// Calls until it dies.
    fuse: Option<u64>,
    /// Bytes that the program can still write.
    room: Option<u64>,
    locks: BTreeMap<Serial, u64>,
    /// Of the program, since somebody looked.
    calls: u64,
    /// What was read of each log, for [`Lies::markers`].
    memory: HashMap<Identity, Vec<u8>>,
    /// So that no two changes bear the same time.
    stamps: i64,
    /// A sync in the state directory failed, and what was not on the platter is gone.
    forgot: bool,
}

impl SimDisk {
    /// The world's handle on a new disk.
    pub fn new(nature: Nature, clock: SimClock, random: Random) -> SimDisk {
        let shared = Shared {
            platter: Platter::default(),
            random,
            faults: Faults::default(),
            alive: 0,
            boot: 0,
            fuse: None,
            room: None,
            locks: BTreeMap::new(),
            calls: 0,
            memory: HashMap::new(),
            stamps: 0,
            forgot: false,
        };
        SimDisk {
            shared: Arc::new(Mutex::new(shared)),
            nature,
            clock,
            process: None,
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // A panic of the program is told; its destructors still run.
        self.shared
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Kills the process that was alive and returns the handle of the next.
    pub fn next_process(&self) -> SimDisk {
        let mut shared = self.shared();
        shared.alive += 1;
        shared.fuse = None;
        shared.locks.clear();
        SimDisk {
            process: Some(shared.alive),
            ..self.clone()
        }
    }

    pub fn set_faults(&self, faults: Faults) {
        self.shared().faults = faults;
    }

    /// The process dies in the middle of its `calls`th call from now that changes the disk.
    pub fn light_fuse(&self, calls: u64) {
        self.shared().fuse = Some(calls);
    }

    /// A step begins.
    pub fn count_calls_anew(&self) {
        self.shared().calls = 0;
    }

    pub fn is_dead(&self) -> bool {
        self.shared().fuse == Some(0)
    }

    pub fn put_fuse_out(&self) {
        self.shared().fuse = None;
    }

    /// Whether the disk lost what the program wrote to its state directory, and said so.
    pub fn has_forgotten(&self) -> bool {
        self.shared().forgot
    }

    /// There is an end to what the program can write.
    pub fn is_full(&self) -> bool {
        self.shared().room.is_some()
    }

    /// Bytes that the program may still write; `None` for any number.
    pub fn set_room(&self, room: Option<u64>) {
        self.shared().room = room;
    }

    pub fn write_back(&self) {
        let shared = &mut *self.shared();
        shared.platter.write_back(&mut shared.random);
    }

    pub fn repair_under(&self, directory: &Path) {
        self.shared().platter.repair_under(directory);
    }

    /// Everything in these directories becomes durable.
    pub fn write_back_under(&self, directories: &[&Path]) {
        let mut shared = self.shared();
        for directory in directories {
            shared.platter.write_back_under(directory);
        }
    }

    /// The power goes and comes back. The process dies; the world must forget its handles.
    pub fn cut_power(&self) {
        let shared = &mut *self.shared();
        shared.platter.cut_power(&mut shared.random);
        shared.alive += 1;
        shared.boot += 1;
        shared.fuse = None;
        shared.locks.clear();
    }

    pub fn make_directory(&self, path: &Path) {
        self.shared().platter.make_directory(path);
    }

    pub fn symlink(&self, target: &Path, path: &Path) {
        let stamp = self.stamp();
        let mut shared = self.shared();
        if shared.platter.entry(path).unwrap().is_some() {
            shared.platter.remove(path).unwrap();
        }
        let serial = shared.platter.make(path, stamp, stamp).unwrap();
        shared.platter.node_mut(serial).target = Some(target.to_owned());
    }

    /// What stands at `path`, links followed.
    pub fn serial(&self, path: &Path) -> Option<Serial> {
        self.shared().platter.resolve(path).ok()
    }

    pub fn content(&self, serial: Serial) -> Vec<u8> {
        self.shared().platter.node(serial).cache.clone()
    }

    pub fn length(&self, serial: Serial) -> usize {
        self.shared().platter.node(serial).cache.len()
    }

    /// Regular files of a directory and what their names lead to; a dangling link leads nowhere.
    pub fn files(&self, directory: &Path) -> Vec<(PathBuf, Serial)> {
        let shared = self.shared();
        let names = shared.platter.files(directory);
        let paths = names.iter().map(|(name, _)| directory.join(name));
        paths
            .filter_map(|path| Some((path.clone(), shared.platter.resolve(&path).ok()?)))
            .collect()
    }

    /// The world opens a file for writing at its end, made if it is not there.
    pub fn writer(&self, path: &Path) -> Arc<SimFile> {
        let serial = self.find_or_make(path).unwrap();
        self.handle(serial)
    }

    /// A time that no other change bears: kernels that cannot tell two changes by their time exist,
    /// but then no tool can.
    fn stamp(&self) -> i64 {
        let mut shared = self.shared();
        shared.stamps += 1;
        self.clock.wall_nanoseconds() + shared.stamps
    }

    fn find_or_make(&self, path: &Path) -> io::Result<Serial> {
        let stamp = self.stamp();
        let mut shared = self.shared();
        match shared.platter.resolve(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Births have the resolution of the kernel's tick.
                let born = stamp - stamp % 4_000_000;
                shared.platter.make(path, born, stamp)
            }
            found => found,
        }
    }

    fn handle(&self, serial: Serial) -> Arc<SimFile> {
        self.handle_of(serial, Path::new(""))
    }

    /// The path that is meant where this disk lies about it.
    fn meant<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        let is_second = path.file_name().is_some_and(|name| name == "checkpoint-b");
        if self.nature.lies.one_slot && self.process.is_some() && is_second {
            Cow::Owned(path.with_file_name("checkpoint-a"))
        } else {
            Cow::Borrowed(path)
        }
    }

    fn handle_of(&self, serial: Serial, path: &Path) -> Arc<SimFile> {
        let lies = self.nature.lies;
        let is_of_program = self.process.is_some();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let mut shared = self.shared();
        shared.platter.open(serial);
        Arc::new(SimFile {
            is_deaf: lies.journal && is_of_program && name.starts_with(b"journal-"),
            is_stale: lies.markers && is_of_program && path.starts_with(LOGS),
            disk: self.clone(),
            serial,
            boot: shared.boot,
        })
    }

    /// Whether this handle's process may still do something.
    fn enter(&self) -> io::Result<MutexGuard<'_, Shared>> {
        let mut shared = self.shared();
        shared.calls += 1;
        assert!(
            shared.calls < CALLS_MAX,
            "the program spins: {CALLS_MAX} calls in one step"
        );
        match self.process {
            Some(process) if shared.alive != process || shared.fuse == Some(0) => {
                Err(os_error(errno::IO))
            }
            _ => Ok(shared),
        }
    }

    /// The same before something is changed: the fuse burns. True if the process dies in this call.
    fn enter_change(&self) -> io::Result<(MutexGuard<'_, Shared>, bool)> {
        let mut shared = self.enter()?;
        let mut dies = false;
        if self.process.is_some()
            && let Some(fuse) = &mut shared.fuse
        {
            *fuse -= 1;
            dies = *fuse == 0;
        }
        Ok((shared, dies))
    }

    fn stat_of(&self, shared: &Shared, serial: Serial) -> Stat {
        let node = shared.platter.node(serial);
        Stat {
            identity: Identity {
                device: 1,
                inode: node.number,
                born: if self.nature.has_births { node.born } else { 0 },
            },
            kind: Kind::Regular,
            length: node.cache.len() as u64,
            modified: node.modified,
        }
    }

    /// Refuses a symbolic link at the end of `path`.
    fn no_link(&self, path: &Path) -> io::Result<()> {
        let shared = self.enter()?;
        match shared.platter.entry(path)? {
            Some(serial) if shared.platter.node(serial).target.is_some() => {
                Err(os_error(errno::LOOP))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let path = &*self.meant(path);
        let serial = self.enter()?.platter.resolve(path)?;
        Ok(self.handle_of(serial, path))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let shared = self.enter()?;
        if shared.platter.is_directory(path) {
            return Ok(Stat {
                identity: Identity {
                    device: 1,
                    inode: 2,
                    born: 1,
                },
                kind: Kind::Directory,
                length: 4096,
                modified: 0,
            });
        }
        let serial = shared.platter.resolve(path)?;
        Ok(self.stat_of(&shared, serial))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut shared = self.enter()?;
        Ok(shared
            .platter
            .directory(directory)?
            .cache
            .keys()
            .cloned()
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.no_link(path)?;
        let (shared, dies) = self.enter_change()?;
        drop(shared);
        if dies {
            return Err(os_error(errno::IO));
        }
        let serial = self.find_or_make(path)?;
        let stamp = self.stamp();
        self.shared().platter.node_mut(serial).set_length(0, stamp);
        Ok(self.handle_of(serial, path))
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.no_link(path)?;
        if self.enter()?.platter.entry(path)?.is_none() {
            let (shared, dies) = self.enter_change()?;
            drop(shared);
            if dies {
                return Err(os_error(errno::IO));
            }
        }
        let serial = self.find_or_make(path)?;
        Ok(self.handle_of(serial, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut shared, dies) = self.enter_change()?;
        let torn = self.nature.lies.rename && self.process.is_some();
        let to = &*self.meant(to);
        if dies {
            if torn {
                let _ = shared.platter.remove(to);
            }
            return Err(os_error(errno::IO));
        }
        shared.platter.rename(from, to, torn)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut shared, dies) = self.enter_change()?;
        if dies {
            return Err(os_error(errno::IO));
        }
        shared.platter.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let (mut shared, dies) = self.enter_change()?;
        if dies {
            return Err(os_error(errno::IO));
        }
        if self.nature.lies.directory_sync {
            return Ok(());
        }
        shared.platter.sync_directory(directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.enter()?.platter.make_directory(directory);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.no_link(path)?;
        let serial = self.find_or_make(path)?;
        let mut shared = self.enter()?;
        if shared.locks.contains_key(&serial) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let process = self.process.unwrap_or(0);
        shared.locks.insert(serial, process);
        Ok(Box::new(SimLock {
            disk: self.clone(),
            serial,
        }))
    }
}

struct SimLock {
    disk: SimDisk,
    serial: Serial,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut shared = self.disk.shared();
        if shared.locks.get(&self.serial) == self.disk.process.as_ref() {
            shared.locks.remove(&self.serial);
        }
    }
}

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    pub serial: Serial,
    /// After a power cut nobody's descriptors count.
    boot: u64,
    /// Appends are not kept.
    is_deaf: bool,
    /// Old bytes show.
    is_stale: bool,
}

impl SimFile {
    /// What the world's writers do who do not append.
    pub fn write_at(&self, bytes: &[u8], offset: usize) {
        let stamp = self.disk.stamp();
        let mut shared = self.disk.shared();
        let node = shared.platter.node_mut(self.serial);
        node.write_at(offset, bytes, stamp);
    }

    /// Appends all of it, without faults.
    pub fn put(&self, bytes: &[u8]) {
        let end = self.disk.length(self.serial);
        self.write_at(bytes, end);
    }

    /// Without faults.
    pub fn truncate(&self, length: usize) {
        let stamp = self.disk.stamp();
        let mut shared = self.disk.shared();
        let node = shared.platter.node_mut(self.serial);
        node.set_length(length, stamp);
    }

    pub fn length(&self) -> usize {
        self.disk.length(self.serial)
    }

    pub fn content(&self) -> Vec<u8> {
        self.disk.content(self.serial)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut shared = self.disk.shared();
        if shared.boot == self.boot {
            shared.platter.close(self.serial);
        }
    }
}

impl DiskFile for SimFile {
    fn stat(&self) -> io::Result<Stat> {
        let shared = self.disk.enter()?;
        Ok(self.disk.stat_of(&shared, self.serial))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let shared = &mut *self.disk.enter()?;
        let faults = shared.faults;
        let mut wanted = buffer.len();
        if self.disk.process.is_some() {
            if shared.random.chance(faults.interrupted, 1000) {
                return Err(os_error(errno::INTR));
            }
            if shared.random.chance(faults.read_error, 1000) {
                return Err(os_error(errno::IO));
            }
            if wanted > 1 && shared.random.chance(faults.short_read, 1000) {
                wanted = 1 + shared.random.place(wanted);
                wanted = wanted.min(buffer.len());
            }
        }
        let content = &shared.platter.node(self.serial).cache;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let count = wanted.min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        if self.is_stale {
            let length = content.len();
            let identity = self.disk.stat_of(shared, self.serial).identity;
            let memory = shared.memory.entry(identity).or_default();
            if length < memory.len() {
                memory.clear();
            }
            let known = memory.len().clamp(start, start + count);
            if start <= memory.len() {
                buffer[..known - start].copy_from_slice(&memory[start..known]);
                memory.extend_from_slice(&buffer[known - start..count]);
            }
        }
        Ok(count)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let stamp = self.disk.stamp();
        let (mut shared, dies) = self.disk.enter_change()?;
        let shared = &mut *shared;
        let faults = shared.faults;
        let mut count = bytes.len();
        if self.is_deaf {
            return if dies {
                Err(os_error(errno::IO))
            } else {
                Ok(bytes.len())
            };
        }
        if self.disk.process.is_some() {
            if dies {
                count = shared.random.place(count + 1);
            } else if shared.random.chance(faults.interrupted, 1000) {
                return Err(os_error(errno::INTR));
            } else if shared.random.chance(faults.append_error, 1000) {
                return Err(os_error(errno::IO));
            } else if count > 1 && shared.random.chance(faults.short_append, 1000) {
                count = 1 + shared.random.place(count - 1);
            }
            if let Some(room) = &mut shared.room {
                count = count.min(usize::try_from(*room).unwrap_or(usize::MAX));
                *room -= count as u64;
                if count == 0 && !bytes.is_empty() {
                    return Err(os_error(errno::NOSPC));
                }
            }
        }
        let node = shared.platter.node_mut(self.serial);
        let end = node.cache.len();
        node.write_at(end, &bytes[..count], stamp);
        if dies {
            return Err(os_error(errno::IO));
        }
        Ok(count)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let stamp = self.disk.stamp();
        let (mut shared, dies) = self.disk.enter_change()?;
        if dies {
            return Err(os_error(errno::IO));
        }
        let node = shared.platter.node_mut(self.serial);
        node.set_length(length as usize, stamp);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut shared, dies) = self.disk.enter_change()?;
        let shared = &mut *shared;
        if dies {
            return Err(os_error(errno::IO));
        }
        if self.disk.nature.lies.file_sync && self.disk.process.is_some() {
            return Ok(());
        }
        if self.disk.process.is_some() && shared.random.chance(shared.faults.sync_error, 1000) {
            let evict = shared.random.chance(1, 2);
            let node = shared.platter.node_mut(self.serial);
            if node.fail_to_sync(evict) {
                let state = shared.platter.files(Path::new(STATE));
                shared.forgot |= state.iter().any(|(_, serial)| *serial == self.serial);
            }
            return Err(os_error(errno::IO));
        }
        shared.platter.node_mut(self.serial).sync();
        Ok(())
    }

    fn data_from(&self, offset: u64) -> io::Result<Option<u64>> {
        let shared = self.disk.enter()?;
        let node = shared.platter.node(self.serial);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = if self.disk.nature.has_holes {
            node.data_from(offset)
        } else {
            (offset < node.cache.len()).then_some(offset)
        };
        Ok(found.map(|place| place as u64))
    }
}
