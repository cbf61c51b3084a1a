//! What a disk holds, twice: as the kernel shows it (cache) and as it would be found after the power
//! went (platter). Everything between the two is a list of changes in the order they were made; a
//! power cut lets some of them through.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::random::Random;

/// Bytes of one block: data and holes are told apart in whole blocks.
const BLOCK_BYTES: usize = 64;

/// Longest chain of symbolic links, as Linux has it in spirit.
const LINKS_MAX: usize = 8;

/// Place of a node, never used twice, unlike the inode number that it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub usize);

/// A file or a symbolic link.
#[derive(Debug, Default)]
pub struct Node {
    pub number: u64,
    pub born: i64,
    pub modified: i64,
    /// Where a symbolic link leads.
    pub target: Option<PathBuf>,
    pub cache: Vec<u8>,
    /// Blocks of the cache that somebody wrote; the others are holes.
    written: Vec<bool>,
    platter: Vec<u8>,
    dirty: Vec<Dirty>,
    pub links: u32,
    pub descriptors: u32,
}

#[derive(Debug)]
enum Dirty {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Dirty {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Dirty::Write { offset, bytes } => put(to, *offset, bytes),
            Dirty::Length(length) => to.resize(*length, 0),
        }
    }
}

fn put(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(bytes);
}

impl Node {
    pub fn write_at(&mut self, offset: usize, bytes: &[u8], stamp: i64) {
        if bytes.is_empty() {
            return;
        }
        put(&mut self.cache, offset, bytes);
        self.written
            .resize(self.cache.len().div_ceil(BLOCK_BYTES), false);
        let end = offset + bytes.len();
        self.written[offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)].fill(true);
        self.modified = stamp;
        self.dirty.push(Dirty::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }

    pub fn set_length(&mut self, length: usize, stamp: i64) {
        self.cache.resize(length, 0);
        self.written.resize(length.div_ceil(BLOCK_BYTES), false);
        self.modified = stamp;
        self.dirty.push(Dirty::Length(length));
    }

    /// The first place from `offset` on that is no hole.
    pub fn data_from(&self, offset: usize) -> Option<usize> {
        let first = offset / BLOCK_BYTES;
        let block = (first..self.written.len()).find(|&block| self.written[block])?;
        let place = offset.max(block * BLOCK_BYTES);
        (place < self.cache.len()).then_some(place)
    }

    pub fn sync(&mut self) {
        for dirty in self.dirty.drain(..) {
            dirty.apply(&mut self.platter);
        }
    }

    /// What Linux does after a failed write-back: the pages count as clean, though the platter never
    /// saw them. Where the cache is then given up, the old bytes show again. Whether bytes are gone.
    pub fn fail_to_sync(&mut self, evict: bool) -> bool {
        self.dirty.clear();
        if evict {
            let length = self.cache.len();
            let mut left = self.platter.clone();
            left.resize(length, 0);
            return std::mem::replace(&mut self.cache, left) != self.cache;
        }
        false
    }

    fn cut_power(&mut self, random: &mut Random) {
        let count = match random.below(4) {
            _ if self.dirty.is_empty() => 0,
            0 => 0,
            1 => self.dirty.len(),
            _ => random.place(self.dirty.len() + 1),
        };
        for dirty in &self.dirty[..count] {
            dirty.apply(&mut self.platter);
        }
        if let Some(Dirty::Write { offset, bytes }) = self.dirty.get(count)
            && random.chance(1, 2)
        {
            put(
                &mut self.platter,
                *offset,
                &bytes[..random.place(bytes.len() + 1)],
            );
        }
        if !self.dirty.is_empty() && random.chance(1, 4) {
            // The length reached the platter, the data did not.
            let length = self.dirty[count..].iter().fold(self.platter.len(), longest);
            self.platter.resize(length, 0);
        }
        self.dirty.clear();
        self.cache.clone_from(&self.platter);
        self.written = vec![true; self.cache.len().div_ceil(BLOCK_BYTES)];
    }
}

fn longest(length: usize, dirty: &Dirty) -> usize {
    match dirty {
        Dirty::Write { offset, bytes } => length.max(offset + bytes.len()),
        Dirty::Length(length) => *length,
    }
}

type Entries = BTreeMap<OsString, Serial>;

#[derive(Debug, Default)]
pub struct Directory {
    pub cache: Entries,
    platter: Entries,
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Set(OsString, Serial),
    Remove(OsString),
    Rename(OsString, OsString, Serial),
}

impl Change {
    fn apply(&self, entries: &mut Entries) {
        match self {
            Change::Set(name, serial) => {
                entries.insert(name.clone(), *serial);
            }
            Change::Remove(name) => {
                entries.remove(name);
            }
            Change::Rename(from, to, serial) => {
                if entries.get(from) == Some(serial) {
                    entries.remove(from);
                }
                entries.insert(to.clone(), *serial);
            }
        }
    }
}

impl Directory {
    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.platter);
        }
    }
}

/// Files, names and numbers.
#[derive(Debug, Default)]
pub struct Platter {
    nodes: Vec<Node>,
    directories: BTreeMap<PathBuf, Directory>,
    free: BTreeSet<u64>,
    numbers: u64,
}

pub fn os_error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

/// Of `errno.h` on Linux.
pub mod errno {
    pub const NOENT: i32 = 2;
    pub const INTR: i32 = 4;
    pub const IO: i32 = 5;
    pub const ISDIR: i32 = 21;
    pub const XDEV: i32 = 18;
    pub const NOSPC: i32 = 28;
    pub const LOOP: i32 = 40;
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(directory), Some(name)) => Ok((directory, name)),
        _ => Err(os_error(errno::NOENT)),
    }
}

impl Platter {
    /// A directory that is on the platter at once.
    pub fn make_directory(&mut self, path: &Path) {
        self.directories.entry(path.to_owned()).or_default();
    }

    pub fn is_directory(&self, path: &Path) -> bool {
        self.directories.contains_key(path)
    }

    pub fn directory(&mut self, path: &Path) -> io::Result<&mut Directory> {
        self.directories
            .get_mut(path)
            .ok_or_else(|| os_error(errno::NOENT))
    }

    pub fn node(&self, serial: Serial) -> &Node {
        &self.nodes[serial.0]
    }

    pub fn node_mut(&mut self, serial: Serial) -> &mut Node {
        &mut self.nodes[serial.0]
    }

    pub fn entry(&self, path: &Path) -> io::Result<Option<Serial>> {
        let (directory, name) = split(path)?;
        let directory = self
            .directories
            .get(directory)
            .ok_or_else(|| os_error(errno::NOENT))?;
        Ok(directory.cache.get(name).copied())
    }

    /// What stands at the end of the symbolic links.
    pub fn resolve(&self, path: &Path) -> io::Result<Serial> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            if self.is_directory(&path) {
                return Err(os_error(errno::ISDIR));
            }
            let serial = self.entry(&path)?.ok_or_else(|| os_error(errno::NOENT))?;
            match &self.node(serial).target {
                None => return Ok(serial),
                Some(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            }
        }
        Err(os_error(errno::LOOP))
    }

    /// A new node under a name that is free. Numbers are given out lowest first, as ext4 does.
    pub fn make(&mut self, path: &Path, born: i64, stamp: i64) -> io::Result<Serial> {
        let (directory, name) = split(path)?;
        let number = self.free.first().copied().unwrap_or(self.numbers + 12);
        let serial = Serial(self.nodes.len());
        let entries = self.directory(directory)?;
        entries.cache.insert(name.to_owned(), serial);
        entries.changes.push(Change::Set(name.to_owned(), serial));
        if !self.free.remove(&number) {
            self.numbers += 1;
        }
        self.nodes.push(Node {
            number,
            born,
            modified: stamp,
            links: 1,
            ..Node::default()
        });
        Ok(serial)
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = split(path)?;
        let entries = self.directory(directory)?;
        let serial = entries.cache.remove(name);
        let serial = serial.ok_or_else(|| os_error(errno::NOENT))?;
        entries.changes.push(Change::Remove(name.to_owned()));
        self.node_mut(serial).links -= 1;
        self.let_go(serial);
        Ok(())
    }

    /// `torn`: as a file system without a journal does it, in two steps.
    pub fn rename(&mut self, from: &Path, to: &Path, torn: bool) -> io::Result<()> {
        let ((directory, from_name), (to_directory, to_name)) = (split(from)?, split(to)?);
        if directory != to_directory {
            return Err(os_error(errno::XDEV));
        }
        let entries = self.directory(directory)?;
        let serial = entries.cache.remove(from_name);
        let serial = serial.ok_or_else(|| os_error(errno::NOENT))?;
        let replaced = entries.cache.insert(to_name.to_owned(), serial);
        if torn && replaced.is_some() {
            entries.changes.push(Change::Remove(to_name.to_owned()));
        }
        entries.changes.push(Change::Rename(
            from_name.to_owned(),
            to_name.to_owned(),
            serial,
        ));
        if let Some(replaced) = replaced {
            self.node_mut(replaced).links -= 1;
            self.let_go(replaced);
        }
        Ok(())
    }

    pub fn sync_directory(&mut self, path: &Path) -> io::Result<()> {
        self.directory(path)?.sync();
        Ok(())
    }

    pub fn open(&mut self, serial: Serial) {
        self.node_mut(serial).descriptors += 1;
    }

    pub fn close(&mut self, serial: Serial) {
        self.node_mut(serial).descriptors -= 1;
        self.let_go(serial);
    }

    /// The number of a file without names and descriptors is free again.
    fn let_go(&mut self, serial: Serial) {
        let node = self.node(serial);
        if node.links == 0 && node.descriptors == 0 {
            self.free.insert(node.number);
        }
    }

    /// The kernel writes some of what is dirty, as it does every few seconds.
    pub fn write_back(&mut self, random: &mut Random) {
        for node in self.nodes.iter_mut().filter(|node| !node.dirty.is_empty()) {
            if random.chance(1, 2) {
                node.sync();
            }
        }
        for directory in self.directories.values_mut() {
            if random.chance(1, 2) {
                directory.sync();
            }
        }
    }

    /// What stands in this directory reaches the platter.
    pub fn write_back_under(&mut self, path: &Path) {
        let Some(directory) = self.directories.get_mut(path) else {
            return;
        };
        directory.sync();
        for serial in directory.cache.values() {
            self.nodes[serial.0].sync();
        }
    }

    /// The administrator has looked at the disk after an error: what shows is what it holds.
    pub fn repair_under(&mut self, path: &Path) {
        let Some(directory) = self.directories.get_mut(path) else {
            return;
        };
        directory.sync();
        for serial in directory.cache.values() {
            let node = &mut self.nodes[serial.0];
            node.dirty.clear();
            node.platter.clone_from(&node.cache);
        }
    }

    /// What is left when the machine starts again. Nobody holds a descriptor any more.
    pub fn cut_power(&mut self, random: &mut Random) {
        for node in &mut self.nodes {
            node.cut_power(random);
            node.links = 0;
            node.descriptors = 0;
        }
        let mut used = BTreeMap::new();
        for directory in self.directories.values_mut() {
            let changes = std::mem::take(&mut directory.changes);
            // Journals keep the order; file systems without one keep nothing.
            let in_order = random.chance(2, 3);
            let count = random.place(changes.len() + 1);
            for (place, change) in changes.iter().enumerate() {
                let survives = if in_order {
                    place < count
                } else {
                    random.chance(1, 2)
                };
                if survives {
                    change.apply(&mut directory.platter);
                }
            }
            for serial in directory.platter.values() {
                // A number is used anew only after the file that had it was surely unlinked.
                let number = self.nodes[serial.0].number;
                let newest = used.entry(number).or_insert(*serial);
                *newest = (*newest).max(*serial);
            }
        }
        for directory in self.directories.values_mut() {
            let nodes = &mut self.nodes;
            directory
                .platter
                .retain(|_, serial| used[&nodes[serial.0].number] == *serial);
            directory.cache.clone_from(&directory.platter);
            for serial in directory.cache.values() {
                nodes[serial.0].links += 1;
            }
        }
        self.free = (0..self.numbers)
            .map(|number| number + 12)
            .filter(|number| !used.contains_key(number))
            .collect();
    }

    /// Names and files of a directory.
    pub fn files(&self, directory: &Path) -> Vec<(OsString, Serial)> {
        let entries = self.directories.get(directory);
        let entries = entries.into_iter().flat_map(|directory| &directory.cache);
        entries
            .map(|(name, serial)| (name.clone(), *serial))
            .collect()
    }
}
