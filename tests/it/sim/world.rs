//! Everything but the program: writers, log rotation, the administrator, the machine. Each action is
//! chosen by seed, told to the trace, and the oracle knows what it means.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use logweir::clock::Clock;
use logweir::disk::Disk;

use super::clock::SimClock;
use super::disk::{SimDisk, SimFile};
use super::oracle::{Id, Lane, Oracle};
use super::platter::Serial;
use super::random::Random;

pub const LOGS: &str = "/logs";

/// Where the targets of symbolic links stand.
const DATA: &str = "/data";

/// A copy of a followed file is recognised from this length on (DESIGN, section 14).
const COPY_BYTES_MIN: usize = 1024;

/// How long a writer goes on with the file that was rotated away from it (FAULTS, F1).
const LATE: Duration = Duration::from_secs(2);

const ROTATIONS_MAX: usize = 5;

/// What one world is like. Chosen by seed, so that each schedule is about a few things.
#[derive(Clone, Debug)]
pub struct Setting {
    pub logs: u32,
    /// Rotated names match the pattern as well.
    pub broad: bool,
    pub crlf: bool,
    pub cri: bool,
    pub traces: bool,
    pub halves: bool,
    pub renames: bool,
    pub copies: bool,
    pub truncates: bool,
    pub deletes: bool,
    pub links: bool,
    pub compresses: bool,
    pub backups: bool,
    /// Writers sync what they write, and whoever renames syncs the directory.
    pub synced: bool,
    /// Writers without O_APPEND.
    pub keeps_offset: bool,
    pub preallocates: bool,
    pub jumps: bool,
}

impl Setting {
    pub fn choose(random: &mut Random) -> Setting {
        let rare = |random: &mut Random| random.chance(1, 4);
        Setting {
            logs: 1 + random.below(3) as u32,
            broad: random.chance(1, 2),
            crlf: rare(random),
            cri: rare(random),
            traces: rare(random),
            halves: random.chance(1, 2),
            renames: random.chance(1, 2),
            copies: random.chance(1, 3),
            truncates: rare(random),
            deletes: rare(random),
            links: random.chance(1, 8),
            compresses: rare(random),
            backups: rare(random),
            synced: random.chance(1, 2),
            keeps_offset: random.chance(1, 8),
            preallocates: random.chance(1, 8),
            jumps: random.chance(1, 8),
        }
    }
}

/// What happened, for the reader of a failure. Only kept when a seed is run for its trace.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<Rc<RefCell<Vec<String>>>>);

impl Trace {
    pub fn on() -> Trace {
        Trace(Some(Rc::default()))
    }

    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub fn add(&self, text: String) {
        if let Some(lines) = &self.0 {
            lines.borrow_mut().push(text);
        }
    }

    pub fn lines(&self) -> Vec<String> {
        let lines = self.0.as_ref();
        lines
            .map(|lines| lines.borrow().clone())
            .unwrap_or_default()
    }
}

/// Tells the trace, if there is one.
macro_rules! say {
    ($world:expr, $($text:tt)*) => {
        if $world.trace.is_on() {
            $world.tell(&format!($($text)*));
        }
    };
}
pub(crate) use say;

/// A name that is written to.
struct Log {
    source: u32,
    path: PathBuf,
    /// What the writer holds; `None` until it writes again after a rotation.
    writer: Option<Writer>,
    /// The file that was rotated away while its writer still had it, and until when it writes there.
    late: Option<(Writer, Duration)>,
    copying: Option<Copying>,
    /// Targets that its symbolic link had.
    targets: u32,
    linked: bool,
    keeps_offset: bool,
}

struct Writer {
    file: Arc<SimFile>,
    /// Where it writes next if it does not append.
    at: Option<usize>,
    /// The half line that it stands behind.
    half: Option<Half>,
}

struct Half {
    id: Id,
    lane: Lane,
    /// Length of the file behind it.
    end: usize,
}

/// A copytruncate between its steps.
struct Copying {
    from: Serial,
    to: Arc<SimFile>,
    done: usize,
    recognisable: bool,
}

/// What is known about a file that the program was idle over.
#[derive(Clone, Copy, Default)]
struct Seen {
    length: usize,
}

pub struct World {
    pub disk: SimDisk,
    pub clock: SimClock,
    pub oracle: Oracle,
    pub setting: Setting,
    pub trace: Trace,
    random: Random,
    logs: Vec<Log>,
    /// The lane of each file's present life.
    lanes: HashMap<Serial, Lane>,
    seen: HashMap<Serial, Seen>,
    /// Files that are copies (or compressed copies) of files that the program knew well enough.
    known_copies: Vec<Serial>,
    /// What compressed files hold.
    plain: HashMap<Serial, Vec<u8>>,
    action: u64,
}

impl World {
    pub fn new(
        setting: Setting,
        disk: SimDisk,
        clock: SimClock,
        random: Random,
        trace: Trace,
    ) -> World {
        disk.make_directory(Path::new("/"));
        disk.make_directory(Path::new(LOGS));
        disk.make_directory(Path::new(DATA));
        let mut world = World {
            disk,
            clock,
            oracle: Oracle::default(),
            setting,
            trace,
            random,
            logs: Vec::new(),
            lanes: HashMap::new(),
            seen: HashMap::new(),
            known_copies: Vec::new(),
            plain: HashMap::new(),
            action: 0,
        };
        world.oracle.has_nuls = world.setting.keeps_offset || world.setting.preallocates;
        for _ in 0..world.setting.logs {
            world.new_log();
        }
        world
    }

    /// What the program is to follow.
    pub fn pattern(&self) -> &'static str {
        if self.setting.broad {
            "/logs/*"
        } else {
            "/logs/*.log"
        }
    }

    fn matches(&self, path: &Path) -> bool {
        self.setting.broad || path.extension().is_some_and(|extension| extension == "log")
    }

    /// Somebody sets the wall clock.
    pub fn jump(&mut self, seconds: i64) {
        self.clock.set_wall_by(seconds * 1_000_000_000);
        if seconds < 0 {
            self.oracle.set_back(self.action);
        }
    }

    pub fn tell(&self, text: &str) {
        let time = self.clock.monotonic().as_millis();
        self.trace
            .add(format!("{:4} {time:>7} ms  {text}", self.action));
    }

    fn new_log(&mut self) {
        let source = self.logs.len() as u32;
        let linked = self.setting.links && self.random.chance(1, 2);
        let keeps_offset = self.setting.keeps_offset && self.random.chance(1, 2)
            || self.setting.preallocates && self.random.chance(1, 2);
        self.logs.push(Log {
            source,
            path: Path::new(LOGS).join(format!("a{source}.log")),
            writer: None,
            late: None,
            copying: None,
            targets: 0,
            linked,
            keeps_offset,
        });
    }

    /// One action of somebody.
    pub fn act(&mut self) {
        self.act_once();
        if self.setting.synced {
            self.disk
                .write_back_under(&[Path::new(LOGS), Path::new(DATA)]);
        }
    }

    fn act_once(&mut self) {
        self.action += 1;
        let place = self.random.place(self.logs.len());
        let setting = self.setting.clone();
        let log = &self.logs[place];
        if log.copying.is_some() && self.random.chance(1, 3) {
            return self.copy_on(place);
        }
        if let Some((_, until)) = &log.late {
            if *until < self.clock.monotonic() {
                self.end_late(place);
            } else if self.random.chance(1, 4) {
                return self.write(place, true);
            }
        }
        match self.random.below(40) {
            0..4 if setting.renames => self.rotate(place),
            4..8 if setting.copies => self.copy_start(place),
            8..10 if setting.truncates => self.truncate(place),
            10..12 if setting.deletes => self.delete(place),
            12..14 if setting.links => self.switch(place),
            14..17 if setting.compresses => self.compress(place),
            17..19 if setting.backups => self.back_up(place),
            19 if self.logs.len() < 4 => {
                self.new_log();
                say!(self, "a new log");
            }
            20..22 if setting.preallocates => self.preallocate(place),
            22 => {
                self.disk.write_back();
                say!(self, "the kernel writes back");
            }
            _ => self.write(place, false),
        }
    }

    fn make_writer(&mut self, place: usize) {
        let log = &mut self.logs[place];
        if log.writer.is_some() {
            return;
        }
        if log.linked && self.disk.serial(&log.path).is_none() {
            log.targets += 1;
            let target = Path::new(DATA).join(format!("a{}-{}", log.source, log.targets));
            self.disk.symlink(&target, &log.path);
        }
        let path = if log.linked {
            Path::new(DATA).join(format!("a{}-{}", log.source, log.targets))
        } else {
            log.path.clone()
        };
        let file = self.disk.writer(&path);
        let (source, serial) = (log.source, file.serial);
        let at = log.keeps_offset.then(|| file.length());
        log.writer = Some(Writer {
            file,
            at,
            half: None,
        });
        // A file's life begins when it is made: it may be renamed before it is written to.
        self.lane(source, serial);
    }

    pub fn lane_of(&self, serial: Serial) -> Option<Lane> {
        self.lanes.get(&serial).copied()
    }

    fn lane(&mut self, source: u32, serial: Serial) -> Lane {
        let (oracle, action) = (&mut self.oracle, self.action);
        *self
            .lanes
            .entry(serial)
            .or_insert_with(|| oracle.new_lane(source, action))
    }

    /// A few lines, or part of one.
    fn write(&mut self, place: usize, late: bool) {
        if !late {
            self.make_writer(place);
        }
        let log = &mut self.logs[place];
        let mut writer = if late {
            log.late.take().map(|(writer, _)| writer)
        } else {
            log.writer.take()
        }
        .expect("somebody writes");
        let until = self.clock.monotonic() + LATE;
        let before = writer.file.length();
        let what = self.write_with(place, &mut writer);
        let after = writer.file.length();
        let log = &mut self.logs[place];
        let path = log.path.display().to_string();
        let number = writer.file.serial.0;
        if late {
            let until = until.min(self.clock.monotonic() + LATE);
            log.late = Some((writer, until));
        } else {
            log.writer = Some(writer);
        }
        let to = if late { "the old file of " } else { "" };
        say!(
            self,
            "write {what} to {to}{path} (file {number}: {before} to {after} bytes)"
        );
    }

    fn write_with(&mut self, place: usize, writer: &mut Writer) -> String {
        let source = self.logs[place].source;
        let lane = self.lane(source, writer.file.serial);
        let mut bytes = Vec::new();
        let first = self.oracle.next_id(source);
        let line_end: &[u8] = if self.setting.crlf && source.is_multiple_of(2) {
            b"\r\n"
        } else {
            b"\n"
        };
        // The rest of a half line comes first.
        if let Some(half) = writer.half.take() {
            let end = writer.at.unwrap_or(writer.file.length());
            let follows = (half.lane == lane && half.end == end).then_some(half.id);
            self.fragment(source, lane, b"", follows, true, line_end, 20, &mut bytes);
        }
        let cri = self.setting.cri && source.is_multiple_of(2);
        let kind = self.random.below(12);
        let mut half = false;
        match kind {
            0 => {
                for _ in 0..self.random.between(5, 30) {
                    self.line(source, lane, cri, line_end, 60, &mut bytes);
                }
            }
            1..4 if self.setting.halves => {
                let head = self.head(cri, "F");
                self.fragment(source, lane, &head, None, false, b"", 40, &mut bytes);
                half = true;
            }
            4..6 if self.setting.traces && !cri => {
                self.line(source, lane, false, line_end, 30, &mut bytes);
                for _ in 0..self.random.between(1, 5) {
                    let head: &[u8] = if self.random.chance(1, 3) {
                        b"Caused by: x.IOException: "
                    } else {
                        b"\tat x.y.Z "
                    };
                    self.fragment(source, lane, head, None, true, line_end, 20, &mut bytes);
                }
            }
            _ => {
                for _ in 0..self.random.between(1, 3) {
                    self.line(source, lane, cri, line_end, 100, &mut bytes);
                }
            }
        }
        match &mut writer.at {
            Some(at) => {
                writer.file.write_at(&bytes, *at);
                *at += bytes.len();
            }
            None => writer.file.put(&bytes),
        }
        let last = Id {
            sequence: self.oracle.next_id(source).sequence - 1,
            ..first
        };
        if half {
            let end = writer.at.unwrap_or(writer.file.length());
            writer.half = Some(Half {
                id: last,
                lane,
                end,
            });
        }
        format!("{first}..{last}{}", if half { " (half)" } else { "" })
    }

    fn head(&mut self, cri: bool, tag: &str) -> Vec<u8> {
        if cri {
            format!("2026-11-22T10:00:00.000000000Z stdout {tag} ").into_bytes()
        } else {
            let level = self.random.pick(&["INFO", "WARN", "ERROR", "DEBUG"]);
            format!("2026-11-22T10:00:00Z {level} ").into_bytes()
        }
    }

    fn line(
        &mut self,
        source: u32,
        lane: Lane,
        cri: bool,
        line_end: &[u8],
        length: u64,
        bytes: &mut Vec<u8>,
    ) {
        if cri && self.random.chance(1, 3) {
            for _ in 0..self.random.between(1, 2) {
                let head = self.head(true, "P");
                self.fragment(source, lane, &head, None, true, b"\n", length, bytes);
            }
        }
        let head = self.head(cri, "F");
        self.fragment(source, lane, &head, None, true, line_end, length, bytes);
    }

    #[expect(clippy::too_many_arguments, reason = "one call writes one fragment")]
    fn fragment(
        &mut self,
        source: u32,
        lane: Lane,
        head: &[u8],
        follows: Option<Id>,
        ends: bool,
        line_end: &[u8],
        length: u64,
        bytes: &mut Vec<u8>,
    ) {
        let id = self.oracle.next_id(source);
        let start = bytes.len();
        bytes.extend_from_slice(head);
        write!(bytes, "<{}.{}:", id.source, id.sequence).unwrap();
        let length = self.random.below(length);
        let letter = b'a' + (self.random.below(26) as u8);
        bytes.resize(bytes.len() + length as usize, letter);
        bytes.push(b'>');
        if line_end == b"\r\n" {
            bytes.push(b'\r');
        }
        let action = self.action;
        self.oracle
            .written(id, &bytes[start..], lane, follows, ends, action);
        if ends {
            bytes.push(b'\n');
        }
    }

    /// The file of this writer ends for the program where it is.
    fn strand(&mut self, half: &Option<Half>) {
        if let Some(half) = half {
            self.oracle.strand(half.id);
        }
    }

    fn strand_log(&mut self, place: usize) {
        if let Some(id) = self.logs[place]
            .writer
            .as_ref()
            .and_then(|writer| writer.half.as_ref())
            .map(|half| half.id)
        {
            self.oracle.strand(id);
        }
    }

    /// The writer leaves the old file at last; what it had begun, it ends.
    fn end_late(&mut self, place: usize) {
        if let Some((writer, _)) = self.logs[place].late.take() {
            self.strand(&writer.half);
        }
    }

    fn numbered(path: &Path, number: usize) -> PathBuf {
        let mut name = path.file_name().expect("logs have names").to_owned();
        name.push(format!(".{number}"));
        path.with_file_name(name)
    }

    /// Moves the rotated files one further; the oldest goes.
    fn shift(&mut self, path: &Path) {
        for number in (1..=ROTATIONS_MAX).rev() {
            for ending in ["", ".gz"] {
                let mut from = Self::numbered(path, number).into_os_string();
                from.push(ending);
                let from = PathBuf::from(from);
                if self.disk.serial(&from).is_none() {
                    continue;
                }
                if number == ROTATIONS_MAX {
                    self.disk.remove(&from).unwrap();
                } else {
                    let mut to = Self::numbered(path, number + 1).into_os_string();
                    to.push(ending);
                    self.disk.rename(&from, Path::new(&to)).unwrap();
                }
            }
        }
    }

    fn rotate(&mut self, place: usize) {
        let path = self.logs[place].path.clone();
        if self.logs[place].linked
            || self.logs[place].copying.is_some()
            || self.disk.serial(&path).is_none()
        {
            return;
        }
        self.strand_log(place);
        self.end_late(place);
        self.shift(&path);
        self.disk.rename(&path, &Self::numbered(&path, 1)).unwrap();
        let log = &mut self.logs[place];
        let writer = log.writer.take();
        let goes_on = self.random.chance(1, 3);
        if goes_on && let Some(writer) = writer {
            log.late = Some((writer, self.clock.monotonic() + LATE));
        }
        let at_once = self.random.chance(1, 2);
        if at_once {
            self.make_writer(place);
        }
        say!(
            self,
            "rotate {} (old writer goes on: {goes_on}, new file at once: {at_once})",
            path.display()
        );
    }

    fn known_length(&self, serial: Serial) -> usize {
        self.seen.get(&serial).map_or(0, |seen| seen.length)
    }

    /// A copy of `content` of this file is made; whether the program can know it for one.
    fn is_recognisable(&self, from: Serial, length: usize) -> bool {
        self.known_length(from).min(length) >= COPY_BYTES_MIN
    }

    fn copy_start(&mut self, place: usize) {
        let path = self.logs[place].path.clone();
        if self.logs[place].copying.is_some() || self.logs[place].linked {
            return;
        }
        let Some(from) = self.disk.serial(&path) else {
            return;
        };
        self.strand_log(place);
        self.shift(&path);
        let content = self.disk.content(from);
        let to = self.disk.writer(&Self::numbered(&path, 1));
        let done = match self.random.below(3) {
            0 => content.len(),
            1 => content.len().min(COPY_BYTES_MIN + self.random.place(512)),
            _ => self.random.place(content.len() + 1),
        };
        to.put(&content[..done]);
        self.oracle.is_copying = true;
        let recognisable = self.is_recognisable(from, done);
        say!(
            self,
            "copytruncate {}: {done} of {} bytes copied",
            path.display(),
            content.len()
        );
        self.logs[place].copying = Some(Copying {
            from,
            to,
            done,
            recognisable,
        });
        if self.random.chance(1, 2) {
            self.copy_on(place);
        }
    }

    /// The rest of the copy, and mostly the truncation.
    fn copy_on(&mut self, place: usize) {
        let copying = self.logs[place].copying.take().expect("it was begun");
        let content = self.disk.content(copying.from);
        let done = copying.done.min(content.len());
        if !copying.recognisable {
            self.oracle.stopped(&content, done);
        }
        copying.to.put(&content[done..]);
        let file = copying.to.serial;
        let content = self.disk.content(file);
        if content.contains(&0) {
            // Space that was reserved when its first part was copied, and written before the second: lines
            // are torn in the copy itself.
            self.oracle.survived(&content, false);
        }
        if copying.recognisable {
            self.known_copies.push(file);
        } else if self.setting.broad || self.setting.renames || self.setting.deletes {
            // Where renaming rotates the log too, or it is removed and made anew, a numbered file that
            // nobody knows may be one that was rotated before anybody looked.
            self.oracle.copied(&content);
        }
        self.strand_log(place);
        // What is written between the copy and the truncation is lost, whoever reads the file.
        if self.random.chance(1, 4) {
            say!(
                self,
                "the copy of {} is whole; more is written",
                self.logs[place].path.display()
            );
            self.write(place, false);
        }
        self.empty(place, copying.from, 0);
        say!(
            self,
            "copytruncate {}: truncated",
            self.logs[place].path.display()
        );
    }

    /// A new life of a file begins.
    fn empty(&mut self, place: usize, serial: Serial, length: usize) {
        self.strand_log(place);
        let log = &self.logs[place];
        let file = match &log.writer {
            Some(writer) if writer.file.serial == serial => Arc::clone(&writer.file),
            _ => self.disk.writer(&log.path),
        };
        // Whoever read the file may have come so far as any of its half lines.
        self.oracle.strand_halves(&file.content());
        file.truncate(length);
        // It begins now, whenever it is written to first: the file may be renamed before that.
        self.lanes.remove(&serial);
        self.lane(self.logs[place].source, serial);
        self.seen.remove(&serial);
        self.known_copies.retain(|known| *known != serial);
    }

    fn truncate(&mut self, place: usize) {
        let path = self.logs[place].path.clone();
        let Some(serial) = self.disk.serial(&path) else {
            return;
        };
        if self.logs[place].copying.is_some() {
            return;
        }
        let length = self.disk.length(serial);
        self.empty(place, serial, 0);
        say!(self, "truncate {} at {length} bytes", path.display());
        if self.random.chance(1, 2) {
            let times = self.random.between(1, 4);
            for _ in 0..times {
                self.write(place, false);
            }
        }
    }

    fn delete(&mut self, place: usize) {
        let path = self.logs[place].path.clone();
        if self.logs[place].copying.is_some() || self.disk.serial(&path).is_none() {
            return;
        }
        self.strand_log(place);
        self.end_late(place);
        self.disk.remove(&path).unwrap();
        self.logs[place].writer = None;
        say!(self, "delete {}", path.display());
        if self.random.chance(1, 2) {
            self.write(place, false);
        }
    }

    /// The symbolic link leads to a new file.
    fn switch(&mut self, place: usize) {
        if !self.logs[place].linked {
            return;
        }
        self.strand_log(place);
        let log = &mut self.logs[place];
        log.writer = None;
        log.targets += 1;
        let target = Path::new(DATA).join(format!("a{}-{}", log.source, log.targets));
        let path = log.path.clone();
        drop(self.disk.writer(&target));
        self.disk.symlink(&target, &path);
        say!(self, "{} leads to {}", path.display(), target.display());
    }

    /// A rotated file becomes a `.gz`.
    fn compress(&mut self, place: usize) {
        let path = self.logs[place].path.clone();
        if self.logs[place].copying.is_some() {
            return;
        }
        let candidates: Vec<_> = (1..=ROTATIONS_MAX)
            .map(|number| Self::numbered(&path, number))
            .filter(|path| self.disk.serial(path).is_some())
            .collect();
        let Some(from) = candidates.first() else {
            return;
        };
        self.end_late(place);
        let serial = self.disk.serial(from).expect("it was just there");
        let content = self.disk.content(serial);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&content).unwrap();
        let compressed = encoder.finish().unwrap();
        let mut name = from.clone().into_os_string();
        name.push(".gz");
        let to = PathBuf::from(name);
        if self.disk.serial(&to).is_some() {
            return;
        }
        let file = self.disk.writer(&to);
        file.put(&compressed);
        if self.is_recognisable(serial, content.len()) || self.known_copies.contains(&serial) {
            self.known_copies.push(file.serial);
        } else if self.setting.broad {
            self.oracle.copied(&content);
        }
        self.plain.insert(file.serial, content);
        self.disk.remove(from).unwrap();
        say!(self, "compress {} to {}", from.display(), to.display());
    }

    fn back_up(&mut self, place: usize) {
        let path = self.logs[place].path.clone();
        let Some(serial) = self.disk.serial(&path) else {
            return;
        };
        let mut name = path.clone().into_os_string();
        name.push(".bak");
        let to = PathBuf::from(name);
        if self.disk.serial(&to).is_some() {
            self.disk.remove(&to).unwrap();
        }
        self.strand_log(place);
        let content = self.disk.content(serial);
        let file = self.disk.writer(&to);
        file.put(&content);
        if self.is_recognisable(serial, content.len()) {
            self.known_copies.push(file.serial);
        } else if self.setting.broad {
            self.oracle.copied(&content);
        }
        say!(
            self,
            "copy {} to {} ({} bytes)",
            path.display(),
            to.display(),
            content.len()
        );
    }

    /// Room for the future: NUL bytes at the end.
    fn preallocate(&mut self, place: usize) {
        if !self.logs[place].keeps_offset {
            return;
        }
        self.make_writer(place);
        let more = self.random.between(64, 3000) as usize;
        if let Some(writer) = &self.logs[place].writer {
            let length = writer.file.length();
            writer.file.truncate(length + more);
        }
        say!(
            self,
            "preallocate {more} bytes in {}",
            self.logs[place].path.display()
        );
    }

    /// Nobody is in the middle of anything any more.
    pub fn rest(&mut self) {
        self.action += 1;
        for place in 0..self.logs.len() {
            if self.logs[place].copying.is_some() {
                self.copy_on(place);
            }
            let has_half = |writer: &Writer| writer.half.is_some();
            let late = self.logs[place]
                .late
                .as_ref()
                .is_some_and(|(writer, until)| {
                    has_half(writer) && *until >= self.clock.monotonic()
                });
            if late {
                self.write_whole(place, true);
            }
            self.end_late(place);
            if self.logs[place].writer.as_ref().is_some_and(has_half) {
                self.write_whole(place, false);
            }
        }
    }

    fn write_whole(&mut self, place: usize, late: bool) {
        let halves = std::mem::replace(&mut self.setting.halves, false);
        self.write(place, late);
        self.setting.halves = halves;
    }

    /// The program is alive and has had time: everything that stands there must come out.
    pub fn note_idle(&mut self) {
        for (path, serial) in self.disk.files(Path::new(LOGS)) {
            let content = self.disk.content(serial);
            let known = self.seen.contains_key(&serial) || self.known_copies.contains(&serial);
            if self.matches(&path) || known {
                let content = self.plain.get(&serial).unwrap_or(&content);
                self.oracle.must(content);
                // Nobody knows a file by what is not written yet.
                let written = content.iter().rposition(|&byte| byte != 0);
                let length = written.map_or(0, |place| place + 1);
                self.seen.insert(serial, Seen { length });
            }
        }
    }

    /// The machine goes down and comes back; the writers start anew.
    pub fn cut_power(&mut self) {
        for place in 0..self.logs.len() {
            self.strand_log(place);
            self.end_late(place);
            let log = &mut self.logs[place];
            log.writer = None;
            log.late = None;
            if let Some(copying) = log.copying.take()
                && !copying.recognisable
                && self.setting.broad
            {
                self.oracle.copied(&copying.to.content());
            }
        }
        let contents: HashMap<Serial, Vec<u8>> = [LOGS, DATA]
            .iter()
            .flat_map(|directory| self.disk.files(Path::new(directory)))
            .map(|(_, serial)| (serial, self.disk.content(serial)))
            .collect();
        let names = |disk: &SimDisk| {
            let mut files = disk.files(Path::new(LOGS));
            files.extend(disk.files(Path::new(DATA)));
            files
        };
        let before_cut: HashSet<(PathBuf, Serial)> = names(&self.disk).into_iter().collect();
        self.disk.cut_power();
        self.lanes.clear();
        for (path, serial) in names(&self.disk) {
            let content = self.disk.content(serial);
            if !before_cut.contains(&(path.clone(), serial)) {
                self.oracle.came_back(&content);
            }
            if path.extension().is_some_and(|extension| extension == "gz") {
                let whole = self.plain.get(&serial).is_some_and(|_| true);
                let mut plain = Vec::new();
                let mut decoder = flate2::read::GzDecoder::new(&content[..]);
                let broken = std::io::Read::read_to_end(&mut decoder, &mut plain).is_err();
                if whole && broken {
                    // logrotate would do it again from the file that it had not yet removed; here a
                    // torn archive is just gone.
                    self.disk.remove(&path).unwrap();
                    say!(self, "{} is torn and removed", path.display());
                }
                continue;
            }
            let length = content.len();
            let before = contents.get(&serial);
            let is_whole = before == Some(&content);
            self.oracle.survived(&content, !is_whole);
            if let Some(seen) = self.seen.get_mut(&serial) {
                // Nobody knows a file by bytes that it does not have any more.
                let pairs = before.into_iter().flatten().zip(&content);
                let same = pairs.take_while(|(before, now)| before == now).count();
                seen.length = seen.length.min(same);
            }
            say!(self, "{} is left with {length} bytes", path.display());
        }
    }
}
