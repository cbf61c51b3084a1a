//! `-O/--to`: lines into a file. A run that ends writes it anew ([`Target`]); one that follows
//! appends to it for months ([`Appender`]): it waits when the disk is full, rotates by itself if asked,
//! and notices what others do to the file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::disk::real::Real;
use crate::disk::rotated::rotated_path;
use crate::disk::{Disk, DiskFile, Kind, directory_of, is_no_room, read_full};
use crate::flow::output::OutputPlace;
use crate::notifiers::{self, Channel};
use crate::sinks::{Configured, Context, Destination, Open, Opening, Sink, What, stdout};
use crate::units;

/// A file that is appended to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// What is written: the lines that pass, summaries or alerts.
    #[serde(default)]
    what: What,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    condition: Option<String>,
    /// The file.
    #[schemars(length(min = 1))]
    path: String,
    /// The file is renamed to `PATH.1` before it grows past this.
    #[schemars(extend("format" = "size"))]
    rotate_size: Option<String>,
    /// The file is renamed to `PATH.1` when it is this old.
    #[schemars(extend("format" = "span"))]
    rotate_every: Option<String>,
    /// How many renamed files stay.
    #[serde(default = "rotate_keep")]
    rotate_keep: u32,
}

fn rotate_keep() -> u32 {
    7
}

impl Configured for Config {
    type Settings = Settings;

    fn writes(&self) -> Option<(What, Option<&str>)> {
        Some((self.what, self.condition.as_deref()))
    }

    fn file(&self) -> Option<(&str, u32)> {
        let rotates = self.rotate_size.is_some() || self.rotate_every.is_some();
        Some((&self.path, if rotates { self.rotate_keep } else { 0 }))
    }

    fn resolve(&self, _: &mut Context) -> Option<Settings> {
        let size = self.rotate_size.as_deref();
        Some(Settings {
            path: PathBuf::from(&self.path),
            rotation: Rotation {
                bytes_max: size.and_then(|text| units::byte_size(text).ok()),
                age_max: self.rotate_every.as_deref().map(units::duration),
                keep: self.rotate_keep,
            },
        })
    }
}

/// A file that is appended to, and when it is rotated.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub path: PathBuf,
    pub rotation: Rotation,
}

impl Open for Settings {
    fn address(&self) -> String {
        self.path.display().to_string()
    }

    fn file(&self) -> Option<&Settings> {
        Some(self)
    }

    fn channel(&self) -> Option<Channel> {
        Some(Channel::File(notifiers::file::File {
            path: self.path.clone(),
        }))
    }

    fn open(self, opening: &Opening) -> io::Result<Destination> {
        let named = |error| io::Error::other(format!("cannot write {error}"));
        let clock = Arc::clone(&opening.clock);
        let appender = Appender::open(Arc::new(Real), clock, &self.path, self.rotation);
        let mut appender = appender.map_err(named)?;
        appender.keep_lines_apart().map_err(named)?;
        Ok(Destination::File(Box::new(appender)))
    }
}

/// A file that is replaced at the start of the run.
pub struct Target {
    file: File,
    path: PathBuf,
}

impl Target {
    /// Creates or empties the file; others may not read it when it is new.
    pub fn create(path: &Path) -> io::Result<Target> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| named(path, &error))?;
        Ok(Target {
            file,
            path: path.to_owned(),
        })
    }
}

impl Sink for Target {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        stdout::write_all_waiting(&self.file, lines).map_err(|error| named(&self.path, &error))
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How often the path is looked at, to see what others did to the file.
const LOOK: Duration = Duration::from_secs(1);

/// When a file is rotated by ourselves. `out` becomes `out.1`, `out.1` becomes `out.2`, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Before it gets longer than this, in bytes. One output is never split.
    pub bytes_max: Option<u64>,
    /// With the first output after this time.
    pub age_max: Option<Duration>,
    /// How many rotated files stay.
    pub keep: u32,
}

/// A file that is appended to.
pub struct Appender {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    place: OutputPlace,
    rotation: Rotation,
    /// Bytes of the output at hand that are written.
    done: usize,
    /// The file ends within a line, which is to be ended before the next one.
    is_torn: bool,
    /// When the file was made, on the monotonic clock; it may be before that began.
    age: Age,
    looked: Duration,
    /// The file was rotated away and no new one could be made yet.
    is_away: bool,
    unsynced: Unsynced,
    notes: Vec<String>,
}

/// How old the file was when it was opened.
#[derive(Clone, Copy)]
struct Age {
    before: Duration,
    opened: Duration,
}

/// What a checkpoint has to make durable before it names the output's length.
#[derive(Clone, Default)]
pub struct Unsynced {
    pub files: Vec<Arc<dyn DiskFile>>,
    /// Names were made or changed in them.
    pub directories: Vec<PathBuf>,
}

impl Unsynced {
    /// Adds what another file has.
    pub fn join(&mut self, other: Unsynced) {
        self.files.extend(other.files);
        self.directories.extend(other.directories);
    }

    /// Makes it durable. After an error it is not, and asking again proves nothing.
    pub fn sync(&self, disk: &dyn Disk) -> io::Result<()> {
        for file in &self.files {
            file.sync()?;
        }
        let mut directories = self.directories.iter();
        directories.try_for_each(|directory| disk.sync_directory(directory))
    }
}

impl Appender {
    /// Opens the file or makes it. Symbolic links, directories and devices are refused.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        path: &Path,
        rotation: Rotation,
    ) -> io::Result<Appender> {
        let (file, place) = open(&*disk, path)?;
        let now = clock.monotonic();
        let mut appender = Appender {
            disk,
            clock,
            path: path.to_owned(),
            file,
            place,
            rotation,
            done: 0,
            is_torn: false,
            age: Age {
                before: Duration::ZERO,
                opened: now,
            },
            looked: now,
            is_away: false,
            unsynced: Unsynced {
                files: Vec::new(),
                directories: vec![directory_of(path).to_owned()],
            },
            notes: Vec::new(),
        };
        if place.length > 0 && place.identity.born > 0 {
            let age = appender.clock.wall_nanoseconds() - place.identity.born;
            appender.age.before = Duration::from_nanos(u64::try_from(age).unwrap_or(0));
        }
        Ok(appender)
    }

    /// From here on a last line that a crash tore does not run into the next one. For a file that no
    /// journal cuts to whole lines.
    pub fn keep_lines_apart(&mut self) -> io::Result<()> {
        let mut last = [b'\n'];
        if let Some(before) = self.place.length.checked_sub(1) {
            let read = read_full(&*self.file, &mut last, before);
            read.map_err(|error| named(&self.path, &error))?;
        }
        self.is_torn = last != [b'\n'];
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next byte goes.
    pub fn place(&self) -> OutputPlace {
        self.place
    }

    /// What the user should know, since the last call.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Called before an output of `bytes` bytes: opens the file anew if asked to or if others
    /// changed it, rotates it if it is due. True if the output goes on at another place than
    /// behind the last one. After an error for want of room it can be called again.
    pub fn prepare(&mut self, bytes: u64, reopen: bool) -> io::Result<bool> {
        if self.is_away {
            self.renew()?;
            return Ok(true);
        }
        if reopen {
            return self.reopen(None);
        }
        if bytes == 0 {
            return Ok(false);
        }
        let now = self.clock.monotonic();
        let mut moved = false;
        if now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            moved = self.look()?;
        }
        if self.is_due(bytes, now) {
            self.rotate()?;
            moved = true;
        }
        Ok(moved)
    }

    /// Writes one output. After an error for want of room it can be called again with the same bytes
    /// and goes on where it stopped.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn && !bytes.is_empty() {
            self.append_all(b"\n")?;
            self.is_torn = false;
        }
        self.append_all(bytes)
    }

    fn append_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        while self.done < bytes.len() {
            match self.file.append(&bytes[self.done..]) {
                Ok(0) => return Err(named(&self.path, &io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.done += count;
                    self.place.length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(named(&self.path, &error)),
            }
        }
        self.done = 0;
        Ok(())
    }

    /// What is to be made durable for the length to be true.
    pub fn unsynced(&mut self) -> Unsynced {
        let mut unsynced = std::mem::take(&mut self.unsynced);
        unsynced.files.push(Arc::clone(&self.file));
        unsynced
    }

    fn is_due(&self, bytes: u64, now: Duration) -> bool {
        let rotation = &self.rotation;
        let too_long = rotation
            .bytes_max
            .is_some_and(|max| self.place.length.saturating_add(bytes) > max);
        let age = self.age.before + now.saturating_sub(self.age.opened);
        let too_old = rotation.age_max.is_some_and(|max| age >= max);
        self.place.length > 0 && (too_long || too_old)
    }

    /// Sees what others did to the file.
    fn look(&mut self) -> io::Result<bool> {
        match self.disk.stat(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.reopen(Some("was taken away"))
            }
            // What cannot be looked at is written to all the same.
            Err(_) => Ok(false),
            Ok(stat) if stat.identity != self.place.identity => self.reopen(Some("was replaced")),
            Ok(stat) if stat.length != self.place.length => {
                let what = if stat.length < self.place.length {
                    "was truncated"
                } else {
                    "was written to"
                };
                self.changed(what);
                self.place.length = stat.length;
                Ok(true)
            }
            Ok(_) => Ok(false),
        }
    }

    fn changed(&mut self, what: &str) {
        self.notes.push(format!(
            "{}: {what} by somebody else; from here on it is not known to hold every line once",
            self.path.display()
        ));
    }

    /// Leaves the file that is open and opens what stands at the path now. If that cannot be, the
    /// open one goes on.
    fn reopen(&mut self, found: Option<&str>) -> io::Result<bool> {
        let opened = match open(&*self.disk, &self.path) {
            Ok(opened) => opened,
            Err(error) if is_no_room(&error) => return Err(error),
            Err(error) => {
                let note = format!("{error}; the file that is open is written to");
                if self.notes.last() != Some(&note) {
                    self.notes.push(note);
                }
                return Ok(false);
            }
        };
        if let Some(what) = found {
            self.changed(what);
        }
        if opened.1 == self.place {
            return Ok(false);
        }
        if opened.1.identity != self.place.identity {
            self.leave()?;
        }
        self.take(opened);
        Ok(true)
    }

    /// Makes the file durable that no more is written to, with its name: a power cut must leave it for
    /// the journal to go on from.
    fn leave(&mut self) -> io::Result<()> {
        let directory = directory_of(&self.path);
        let synced = self.file.sync();
        let synced = synced.and_then(|()| self.disk.sync_directory(directory));
        synced.map_err(|error| {
            let text = format!("{}: not durable: {error}", self.path.display());
            io::Error::other(text)
        })
    }

    fn take(&mut self, (file, place): (Arc<dyn DiskFile>, OutputPlace)) {
        self.is_torn = false;
        self.file = file;
        self.place = place;
        self.age = Age {
            before: Duration::ZERO,
            opened: self.clock.monotonic(),
        };
        self.unsynced.directories = vec![directory_of(&self.path).to_owned()];
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.leave()?;
        // Durable before the new file is made: it must not come through a power cut in the old one's place.
        self.shift().map_err(|error| named(&self.path, &error))?;
        self.is_away = true;
        self.renew()
    }

    /// Makes the new file after the old one was renamed.
    fn renew(&mut self) -> io::Result<()> {
        let opened = open(&*self.disk, &self.path)?;
        self.is_away = false;
        self.take(opened);
        Ok(())
    }

    /// Renames the files that are there, each to the next number, up to the first number that is
    /// free; the last of those that stay is replaced. Each is durable before the next: on a file system
    /// without a journal a power cut may else keep the second rename alone, over the file that the first
    /// had moved away.
    fn shift(&self) -> io::Result<()> {
        let numbered = |number: u32| match number {
            0 => self.path.clone(),
            number => rotated_path(&self.path, number),
        };
        let directory = directory_of(&self.path);
        if self.rotation.keep == 0 {
            self.disk.remove(&self.path)?;
            return self.disk.sync_directory(directory);
        }
        let mut free = 1;
        while free < self.rotation.keep && self.disk.stat(&numbered(free)).is_ok() {
            free += 1;
        }
        for number in (0..free).rev() {
            self.disk.rename(&numbered(number), &numbered(number + 1))?;
            self.disk.sync_directory(directory)?;
        }
        Ok(())
    }
}

fn open(disk: &dyn Disk, path: &Path) -> io::Result<(Arc<dyn DiskFile>, OutputPlace)> {
    let refuse = |reason: &str| {
        let text = format!("{}: {reason}", path.display());
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    };
    // Opened for writing, a FIFO or a device may already do something.
    match disk.stat(path).map(|stat| stat.kind) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Somebody may have renamed the old one: that must be durable before a new one is, which
            // would else come through a power cut in its place.
            disk.sync_directory(directory_of(path))
                .map_err(|error| named(path, &error))?;
        }
        Ok(Kind::Directory) => return refuse("is a directory; name a file in it"),
        Ok(Kind::Other) => {
            return refuse("is no regular file; write to standard output instead");
        }
        _ => {}
    }
    let file = match disk.append(path) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return refuse("is a symbolic link; name the file that it leads to");
        }
        file => file.map_err(|error| named(path, &error))?,
    };
    let stat = file.stat().map_err(|error| named(path, &error))?;
    if stat.kind != Kind::Regular {
        return refuse("is no regular file; write to standard output instead");
    }
    let place = OutputPlace {
        identity: stat.identity,
        length: stat.length,
    };
    Ok((file, place))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
