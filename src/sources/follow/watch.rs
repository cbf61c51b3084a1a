//! Tells early which followed files and directories may have changed, so that nobody has to look at
//! all of them all the time.
//!
//! It is only a hint: writes through a memory map and writes on other machines make no event, and the
//! kernel's queue can overflow. The follower looks at everything from time to time whatever is said
//! here, and believes nothing but `stat` and `read`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::flow::mark::Generation;

/// Tells early what may have changed. Used by the follower's thread alone.
pub trait Hints: Send {
    /// Watches the file that stands at `path` now, also after it is renamed. False if it cannot be: it
    /// must be polled. What was written before this returns may go untold, so look at the file after.
    fn watch_file(&mut self, path: &Path, generation: Generation) -> bool;

    /// Nothing is said about the generation any more; nothing happens if it was not watched.
    fn forget_file(&mut self, generation: Generation);

    /// Names that appear, vanish or are renamed in it. False if it cannot be. Asking again is cheap,
    /// and watches the new directory if another one stands there now.
    fn watch_directory(&mut self, directory: &Path) -> bool;

    /// Why files have to be polled that could be watched, and the remedy; once, for the user.
    fn problem(&mut self) -> Option<String> {
        None
    }

    /// Adds what may have changed since the last call; does not wait. No generation is added twice by
    /// one call.
    fn changes(&mut self, changes: &mut Changes);

    /// Readable when there are changes.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

/// What may have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Content or attributes may have changed.
    pub files: Vec<Generation>,
    /// A name appeared, vanished or moved in some watched directory, or a watched file did.
    pub directories: bool,
    /// Hints were lost: trust nothing.
    pub everything: bool,
}

impl Changes {
    pub fn clear(&mut self) {
        self.files.clear();
        self.directories = false;
        self.everything = false;
    }
}

/// Watches nothing; the follower polls.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHints;

impl Hints for NoHints {
    fn watch_file(&mut self, _path: &Path, _generation: Generation) -> bool {
        false
    }

    fn forget_file(&mut self, _generation: Generation) {}

    fn watch_directory(&mut self, _directory: &Path) -> bool {
        false
    }

    fn changes(&mut self, _changes: &mut Changes) {}

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// What is asked about a file. Truncation tells as MODIFY. The removal of a name tells as ATTRIB, since
/// the number of links changes, while DELETE_SELF waits for the last descriptor, which may be ours.
/// OPEN, CLOSE and ACCESS are left out: other readers must not wake us.
const FILE: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF);

/// What tells that a file may stand under other names than before.
const RENAMED: ReadFlags = ReadFlags::ATTRIB
    .union(ReadFlags::MOVE_SELF)
    .union(ReadFlags::DELETE_SELF);

/// What is asked about a directory. MODIFY and ATTRIB are left out: they tell of each write to a file
/// in it, also of those that nobody follows.
const DIRECTORY: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Bytes of events taken from the kernel at once: 1,024 events of files.
const BUFFER_BYTES: usize = 16 << 10;

/// Most events that one call takes. A writer that is faster than we are would else hold us here for
/// ever; the descriptor stays readable as long as there are more. The kernel's queue holds as many by
/// default (`fs.inotify.max_queued_events`).
const EVENTS_MAX: usize = 16 << 10;

/// File systems on which others than this machine's kernel change files, or which the kernel itself
/// changes without telling: what a watch says there is worse than nothing, since it hides that most
/// changes stay unsaid. Numbers as `statfs(2)` gives them; `linux/magic.h`, and the file systems'
/// own sources for the last ones.
const SILENT: [u32; 23] = [
    0x0000_6969, // NFS
    0x0000_517b, // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x6573_5546, // FUSE, virtiofs
    0x0102_1997, // 9p
    0x00c3_6400, // Ceph
    0x5346_414f, // AFS
    0x6b41_4653, // kAFS
    0x7375_7245, // Coda
    0x0000_564c, // NCP
    0x7461_636f, // OCFS2
    0x0116_1970, // GFS2
    0x786f_4256, // VirtualBox shared folders
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x0bd0_0bd0, // Lustre
    0x4750_4653, // GPFS
    0x1983_0326, // BeeGFS
];

/// The kernel's inotify.
#[derive(Debug)]
pub struct Inotify {
    descriptor: OwnedFd,
    /// By the kernel's number, which stands for an inode, whatever names it has.
    watches: HashMap<i32, Watch>,
    generations: HashMap<Generation, i32>,
    directories: HashMap<Arc<Path>, i32>,
    /// Number of the call of [`Hints::changes`].
    round: u64,
    buffer: Vec<MaybeUninit<u8>>,
    full: Full,
}

/// Whether the user's watches were all taken once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    No,
    Unsaid,
    Said,
}

/// Who wants to know about one inode.
#[derive(Debug)]
enum Watch {
    File {
        /// The round in which it was told last.
        told: u64,
        generation: Generation,
        /// The others: after a truncation two generations share an inode for a while, and so do those
        /// that were found under two names.
        more: Vec<Generation>,
    },
    Directory {
        paths: Vec<Arc<Path>>,
    },
}

impl Inotify {
    /// Fails when the user has too many of them already (`fs.inotify.max_user_instances`) or no
    /// descriptor is left.
    pub fn new() -> io::Result<Inotify> {
        Ok(Inotify {
            descriptor: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?,
            watches: HashMap::new(),
            generations: HashMap::new(),
            directories: HashMap::new(),
            round: 0,
            buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES],
            full: Full::No,
        })
    }

    /// The kernel's number of a new or known watch; `None` where it would not tell or the user's
    /// watches are all taken.
    fn add(&mut self, path: &Path, flags: WatchFlags) -> Option<i32> {
        let system = rustix::fs::statfs(path).ok()?;
        // The type's width differs between machines; all of its numbers have 32 bits.
        if SILENT.contains(&(system.f_type as u32)) {
            return None;
        }
        match inotify::add_watch(&self.descriptor, path, flags) {
            Ok(number) => Some(number),
            Err(error) => {
                if error == Errno::NOSPC && self.full == Full::No {
                    self.full = Full::Unsaid;
                }
                None
            }
        }
    }

    /// Tells the kernel that nobody wants to know any more. What it has queued already is told to
    /// nobody, since it never gives the number to another file.
    fn remove(&mut self, number: i32) {
        self.watches.remove(&number);
        // It fails if the inode is gone, and the watch with it.
        let _ = inotify::remove_watch(&self.descriptor, number);
    }

    fn forget_directory(&mut self, directory: &Path) {
        let Some(number) = self.directories.remove(directory) else {
            return;
        };
        if let Some(Watch::Directory { paths }) = self.watches.get_mut(&number) {
            paths.retain(|path| **path != *directory);
            if paths.is_empty() {
                self.remove(number);
            }
        }
    }

    /// The kernel has ended a watch: the inode is gone or its file system was unmounted.
    fn ended(&mut self, number: i32) {
        match self.watches.remove(&number) {
            Some(Watch::File {
                generation, more, ..
            }) => {
                for generation in more.into_iter().chain([generation]) {
                    self.generations.remove(&generation);
                }
            }
            Some(Watch::Directory { paths }) => {
                for path in paths {
                    self.directories.remove(&path);
                }
            }
            None => {}
        }
    }
}

impl Hints for Inotify {
    fn watch_file(&mut self, path: &Path, generation: Generation) -> bool {
        let Some(number) = self.add(path, FILE) else {
            self.forget_file(generation);
            return false;
        };
        if self.generations.get(&generation) == Some(&number) {
            return true;
        }
        // Another file may stand at the path now.
        self.forget_file(generation);
        match self.watches.entry(number) {
            Entry::Occupied(mut watch) => match watch.get_mut() {
                Watch::File { more, .. } => more.push(generation),
                // A directory is no file to follow.
                Watch::Directory { .. } => return false,
            },
            Entry::Vacant(space) => {
                space.insert(Watch::File {
                    told: 0,
                    generation,
                    more: Vec::new(),
                });
            }
        }
        self.generations.insert(generation, number);
        true
    }

    fn forget_file(&mut self, generation: Generation) {
        let Some(number) = self.generations.remove(&generation) else {
            return;
        };
        let Some(Watch::File {
            generation: first,
            more,
            ..
        }) = self.watches.get_mut(&number)
        else {
            return;
        };
        if *first != generation {
            more.retain(|other| *other != generation);
        } else if let Some(other) = more.pop() {
            *first = other;
        } else {
            self.remove(number);
        }
    }

    fn watch_directory(&mut self, directory: &Path) -> bool {
        let Some(number) = self.add(directory, DIRECTORY) else {
            self.forget_directory(directory);
            return false;
        };
        if self.directories.get(directory) == Some(&number) {
            return true;
        }
        // It may have been moved away and another one made.
        self.forget_directory(directory);
        let path: Arc<Path> = directory.into();
        let watch = self
            .watches
            .entry(number)
            .or_insert(Watch::Directory { paths: Vec::new() });
        let Watch::Directory { paths } = watch else {
            return false;
        };
        paths.push(Arc::clone(&path));
        self.directories.insert(path, number);
        true
    }

    fn problem(&mut self) -> Option<String> {
        if self.full != Full::Unsaid {
            return None;
        }
        self.full = Full::Said;
        Some(format!(
            "the kernel watches no more than {} files and directories for this user; the others are \
             looked at from time to time. Raise `fs.inotify.max_user_watches` with sysctl",
            self.watches.len()
        ))
    }

    fn changes(&mut self, changes: &mut Changes) {
        self.round += 1;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut ended = Vec::new();
        let mut reader = Reader::new(&self.descriptor, &mut buffer);
        let mut events = 0;
        // What was read is always taken to its end.
        while events < EVENTS_MAX || !reader.is_buffer_empty() {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    changes.everything = true;
                    break;
                }
            };
            events += 1;
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                changes.everything = true;
                continue;
            }
            match self.watches.get_mut(&event.wd()) {
                Some(Watch::File {
                    told,
                    generation,
                    more,
                }) => {
                    // Behind a link the name stands in a directory that nobody watches.
                    changes.directories |= event.events().intersects(RENAMED);
                    if *told != self.round {
                        *told = self.round;
                        changes.files.push(*generation);
                        changes.files.extend_from_slice(more);
                    }
                }
                Some(Watch::Directory { .. }) => changes.directories = true,
                // Forgotten while it was queued.
                None => continue,
            }
            if event.events().contains(ReadFlags::IGNORED) {
                ended.push(event.wd());
            }
        }
        self.buffer = buffer;
        for number in ended {
            self.ended(number);
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.descriptor.as_fd())
    }
}

#[cfg(test)]
mod tests;
