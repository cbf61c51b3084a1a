//! Follows files for as long as a process runs, and picks them up where the last process left them:
//! which paths, which generation of which file, what was rotated, truncated, copied or removed. Hands
//! out batches with marks; waits for nothing but the disk, so a thread, or a simulation, drives it.
//!
//! What decides is always what `stat` and `read` say; hints only say when to look.
//!
//! * [`patterns`] names the paths, [`Follower::scan`](scan) finds out what stands behind them;
//! * [`followed`] is one generation while it is read, through its [`handle`]; [`followed::made`] says what
//!   goes out of it;
//! * [`copies`] recognises a copy by its content, [`nul`] tells holes from lines;
//! * [`resume`] finds files again after a restart, `replay` reads a journal's batches once more, and `settle`
//!   lets every file go on.

pub mod copies;
pub mod decoded;
pub mod followed;
pub mod handle;
pub mod nul;
mod ours;
pub mod patterns;
mod pieces;
mod replay;
pub mod resume;
pub mod scan;
mod settle;
#[cfg(test)]
mod tests;
pub mod turn;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::mem;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::disk::{Disk, Identity};
use crate::flow::batch::{Batch, Content, SourceId};
use crate::flow::chunk::Chunk;
use crate::flow::facts::{CsvHeader, Facts};
use crate::flow::format::Format;
use crate::flow::mark::{Birth, Fate, Generation, Kind, Mark, Piece, Place};
use crate::flow::time::Time;
use crate::framing::chunker::{Policy, Why};
use crate::sources;
use crate::sources::follow::followed::made::Made;
use crate::sources::follow::followed::{Followed, Phase};
use crate::sources::follow::patterns::Patterns;
use crate::sources::follow::watch::{Changes, Hints};

/// How often everything is looked at although hints tell what changed: they may not tell all.
const SWEEP: Duration = Duration::from_secs(10);

/// How often what no hint tells about is looked at.
const POLL: Duration = Duration::from_millis(250);

/// After a rotation names may stand behind links that nobody watches: for so long they are polled.
const RESTLESS: Duration = Duration::from_secs(5);

/// How long a file must be quiet until its last record goes out without its successor, where records
/// are waited for.
const QUIET: Duration = Duration::from_millis(500);

/// How long a rotated file must be quiet until the file after it is read.
const SETTLED: Duration = Duration::from_millis(100);

/// The longest that a file waits for the one before it, which may still be written to.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a file that cannot be read must have been tried until the file after it is read.
const FAILURES: u32 = 8;

/// How long a file without a name must be quiet until it is let go: a writer may hold it a while.
const GONE: Duration = Duration::from_secs(5);

/// How long a file that has no name and cannot be read is tried.
const FAILING: Duration = Duration::from_secs(60);

/// How long a rotated file must be quiet until its torn last line goes out.
const TORN: Duration = Duration::from_secs(2);

/// Buffers that are kept to be filled again; one of them when there is nothing to do.
const SPARE_MAX: usize = 8;

/// Room for files that may have bytes, kept when there are none.
const READY_KEPT: usize = 1024;

/// How often what only time decides is looked at, while there is any.
const TIMED: Duration = Duration::from_millis(25);

/// Generations that ended and have no name any more are known until there are so many of them, to
/// recognise a copy that comes late, a compressed one for example.
const ENDED_MAX: usize = 256;

/// What is followed, and how.
pub struct Settings {
    /// Paths and globs, in argument order.
    pub patterns: Vec<OsString>,
    /// Globs of paths or names that are left out.
    pub exclude: Vec<String>,
    /// For files that are there at the first start; later ones are read from their first byte.
    pub from: From,
    pub policy: Policy,
    pub zone: TimeZone,
    pub format: Option<Format>,
    /// Says whether a first line is a CSV header.
    pub csv_header: fn(&[u8], Option<Format>) -> Option<CsvHeader>,
    /// Descriptors that are held at once.
    pub files_open_max: usize,
    /// Our own output and the like, each with what it is.
    pub refused: Vec<(Identity, String)>,
    /// Our own output files, with those that they are rotated to.
    pub outputs: Vec<PathBuf>,
    /// The state directory.
    pub state: Option<PathBuf>,
    /// A torn last line is left for the next start, which a state directory makes possible.
    pub keeps_torn: bool,
    /// Names of the inputs that there are already, by the numbers of their sources.
    pub sources: Vec<String>,
}

/// Where the first start begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Start,
    End,
    /// So many lines before the end.
    Tail(u64),
}

/// What a checkpoint and its journal say.
#[derive(Debug, Default)]
pub struct Resume {
    pub places: Vec<Place>,
    /// Batches after the checkpoint, to be read again.
    pub replay: Vec<Mark>,
}

/// What [`step`](crate::sources::Follower::step) brought.
#[derive(Debug)]
pub enum Step {
    Batch(Batch),
    /// Nothing to do until this moment of the monotonic clock, or until the hints tell of changes.
    Idle {
        until: Duration,
    },
    /// Asked to finish, and nothing is left.
    End,
}

/// Something the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    /// Something does not work as asked.
    pub is_problem: bool,
}

/// Follows files.
pub struct Follower {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    hints: Box<dyn Hints>,
    changes: Changes,
    patterns: Patterns,
    settings: Settings,
    /// Boxed: half of a tree that grows at its end is empty, and one of these is large.
    files: BTreeMap<Generation, Box<Followed>>,
    /// The generation that a file is now.
    by_identity: HashMap<Identity, Generation>,
    /// Files that the program writes, and has written.
    ours: HashSet<Identity>,
    outputs_at: Duration,
    /// The youngest generation of each rotated set.
    chains: HashMap<PathBuf, Generation>,
    /// Rows of the inputs by name.
    sources: HashMap<Arc<str>, SourceId>,
    sources_count: u32,
    next_generation: u64,
    /// Those that may have bytes, in turn.
    ready: VecDeque<Generation>,
    is_ready: HashSet<Generation>,
    /// Generations that wait for something that no hint tells: time.
    timed: HashSet<Generation>,
    timed_at: Duration,
    watched_directories: HashMap<PathBuf, bool>,
    /// Where links lead: what is rotated is rotated there.
    linked_directories: BTreeSet<PathBuf>,
    scan_at: Duration,
    poll_at: Duration,
    restless_until: Duration,
    is_first_scan: bool,
    replay: VecDeque<Mark>,
    /// Where files stood when the replay began, and those that were not found.
    located: HashMap<Identity, PathBuf>,
    unfound: HashSet<Generation>,
    is_resumed: bool,
    /// Goes with the next batch.
    news: News,
    outgoing: VecDeque<Batch>,
    sequence: u64,
    bytes: u64,
    /// Buffers of a chunk's size.
    spare: Vec<Vec<u8>>,
    handles: usize,
    uses: u64,
    notes: Vec<Note>,
    /// Paths about which something was said, with what.
    said: HashMap<PathBuf, String>,
    finishing: Option<Finishing>,
}

/// News that no bytes have carried yet.
#[derive(Default)]
struct News {
    births: Vec<Arc<Birth>>,
    fates: Vec<(Generation, Fate)>,
    urgent: bool,
    reopen: bool,
    source: SourceId,
}

impl News {
    fn is_empty(&self) -> bool {
        self.births.is_empty() && self.fates.is_empty() && !self.urgent && !self.reopen
    }
}

enum Finishing {
    /// What is known to have bytes is looked at once more.
    Reading,
    Flushing(VecDeque<Generation>),
}

impl sources::Follower for Follower {
    fn step(&mut self) -> Step {
        loop {
            if let Some(batch) = self.next_batch() {
                return Step::Batch(self.number(batch));
            }
            if self.finishing.is_some() {
                if self.finish_next() {
                    continue;
                }
                return Step::End;
            }
            let now = self.clock.monotonic();
            self.listen(now);
            self.look_at_outputs(now);
            if now >= self.scan_at {
                self.scan(now);
                continue;
            }
            if now >= self.poll_at {
                self.poll(now);
            }
            self.look_at_the_clock(now);
            match self.ready.pop_front() {
                Some(generation) => {
                    self.is_ready.remove(&generation);
                    self.turn(generation, now);
                }
                None => {
                    if self.has_news() {
                        continue;
                    }
                    self.spare.truncate(1);
                    self.ready.shrink_to(READY_KEPT);
                    self.is_ready.shrink_to(READY_KEPT);
                    let mut until = self.scan_at.min(self.poll_at);
                    if !self.timed.is_empty() {
                        until = until.min(self.timed_at);
                    }
                    return Step::Idle { until };
                }
            }
        }
    }

    fn finish(&mut self) {
        if self.finishing.is_none() {
            self.open_files()
                .into_iter()
                .for_each(|generation| self.ready(generation));
            self.finishing = Some(Finishing::Reading);
        }
    }

    fn reopen(&mut self) {
        self.news.reopen = true;
        self.scan_at = self.clock.monotonic();
    }

    fn notes(&mut self) -> Vec<Note> {
        self.notes.extend(self.hints.problem().map(|text| Note {
            text,
            is_problem: true,
        }));
        std::mem::take(&mut self.notes)
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        if buffer.len() >= self.settings.policy.chunk_bytes && self.spare.len() < SPARE_MAX {
            self.spare.push(buffer);
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_replaying(&self) -> bool {
        !self.replay.is_empty() || !self.is_resumed
    }

    fn hints_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.hints.descriptor()
    }
}

impl Follower {
    /// Errors name a pattern that cannot be read as one.
    pub fn new(
        settings: Settings,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        hints: Box<dyn Hints>,
        resume: Option<Resume>,
    ) -> Result<Follower, String> {
        let patterns = Patterns::new(&*disk, &settings.patterns, &settings.exclude)?;
        let now = clock.monotonic();
        let mut follower = Follower {
            disk,
            clock,
            hints,
            changes: Changes::default(),
            patterns,
            settings,
            files: BTreeMap::new(),
            by_identity: HashMap::new(),
            ours: HashSet::new(),
            outputs_at: now,
            chains: HashMap::new(),
            sources: HashMap::new(),
            sources_count: 0,
            next_generation: 0,
            ready: VecDeque::new(),
            is_ready: HashSet::new(),
            timed: HashSet::new(),
            timed_at: now,
            watched_directories: HashMap::new(),
            linked_directories: BTreeSet::new(),
            scan_at: now,
            poll_at: now,
            restless_until: now,
            is_first_scan: resume.is_none(),
            replay: VecDeque::new(),
            located: HashMap::new(),
            unfound: HashSet::new(),
            is_resumed: resume.is_none(),
            news: News::default(),
            outgoing: VecDeque::new(),
            sequence: 0,
            bytes: 0,
            spare: Vec::new(),
            handles: 0,
            uses: 0,
            notes: Vec::new(),
            said: HashMap::new(),
            finishing: None,
        };
        for (row, name) in mem::take(&mut follower.settings.sources)
            .into_iter()
            .enumerate()
        {
            let row = u32::try_from(row).expect("inputs are fewer than 2^32");
            follower.sources.entry(name.into()).or_insert(SourceId(row));
            follower.sources_count = row + 1;
        }
        if let Some(resume) = resume {
            follower.resume(resume);
        }
        Ok(follower)
    }

    fn has_news(&self) -> bool {
        !self.outgoing.is_empty() || !self.news.is_empty()
    }

    /// What is ready to go out: replayed batches first, then news, then bytes.
    fn next_batch(&mut self) -> Option<Batch> {
        if let Some(mark) = self.replay.pop_front() {
            return Some(self.replay_next(mark));
        }
        if !self.is_resumed {
            self.is_resumed = true;
            self.settle_after_replay();
        }
        if !self.news.is_empty() {
            // A birth is told before the first byte.
            let mark = self.mark();
            let source = mark
                .births
                .first()
                .map_or(self.news.source, |birth| birth.source);
            return Some(self.empty(source, "".into(), mark));
        }
        self.outgoing.pop_front()
    }

    fn number(&mut self, mut batch: Batch) -> Batch {
        batch.sequence = self.sequence;
        self.sequence += 1;
        let content = (batch.content.len() - batch.context_bytes) as u64;
        self.bytes += content + batch.cut_bytes;
        batch
    }

    /// What the hints tell, and what they cannot.
    fn listen(&mut self, now: Duration) {
        let mut changes = std::mem::take(&mut self.changes);
        self.hints.changes(&mut changes);
        for generation in changes.files.drain(..) {
            self.ready(generation);
        }
        if std::mem::take(&mut changes.directories) {
            self.scan_at = now;
        }
        if std::mem::take(&mut changes.everything) {
            self.scan_at = now;
            let all: Vec<Generation> = self.files.keys().copied().collect();
            all.into_iter()
                .for_each(|generation| self.ready(generation));
        }
        self.changes = changes;
    }

    /// Looks at what no hint tells about.
    fn poll(&mut self, now: Duration) {
        let polled: Vec<Generation> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::Open && file.is_polled)
            .map(|file| file.generation())
            .collect();
        for &generation in &polled {
            self.ready(generation);
        }
        self.poll_at = if polled.is_empty() {
            now + SWEEP
        } else {
            now + POLL + POLL * (polled.len() / 1000) as u32
        };
    }

    /// What is being read.
    fn open_files(&self) -> Vec<Generation> {
        let open = self.files.values();
        let open = open.filter(|file| file.phase == Phase::Open);
        open.map(|file| file.generation()).collect()
    }

    /// Gives a file its turn.
    fn ready(&mut self, generation: Generation) {
        if self.is_ready.insert(generation) {
            self.ready.push_back(generation);
        }
    }

    /// Looks at the names again soon.
    fn scan_by(&mut self, at: Duration) {
        self.scan_at = self.scan_at.min(at);
    }

    fn note(&mut self, path: &std::path::Path, text: String, is_problem: bool) {
        if self.said.get(path) == Some(&text) {
            return;
        }
        self.said.insert(path.to_owned(), text.clone());
        self.notes.push(Note {
            text: format!("{}: {text}", path.display()),
            is_problem,
        });
    }

    /// A mark that carries what there is to tell.
    fn mark(&mut self) -> Mark {
        Mark {
            births: std::mem::take(&mut self.news.births),
            fates: std::mem::take(&mut self.news.fates),
            urgent: std::mem::take(&mut self.news.urgent),
            reopen: std::mem::take(&mut self.news.reopen),
            ..Mark::default()
        }
    }

    /// A batch that only carries its mark.
    fn empty(&mut self, source: SourceId, name: Arc<str>, mark: Mark) -> Batch {
        Batch {
            sequence: 0,
            source,
            name,
            facts: Arc::new(Facts {
                zone: self.settings.zone.clone(),
                anchor: Time(self.clock.wall_nanoseconds()),
                format: self.settings.format,
                csv: None,
            }),
            position: 0,
            lines_before: 0,
            content: Content::Read(Chunk::default()),
            header_bytes: 0,
            cut_bytes: 0,
            context_bytes: 0,
            before: Vec::new(),
            mark: Some(Box::new(mark)),
        }
    }

    /// Puts bytes of a generation's into the row of what goes out.
    fn hand_out(&mut self, generation: Generation, made: Made) {
        let mut mark = self.mark();
        mark.pieces = made.pieces;
        mark.open = made.open;
        mark.context_bytes =
            u32::try_from(made.context_bytes).expect("an open record is below 4 GiB");
        mark.cut_bytes = made.cut_bytes;
        mark.lines = made.lines;
        mark.tail = made.tail;
        mark.inner_tails = made.inner_tails;
        let batch = self.batch(generation, made.chunk, made.lines_before, mark);
        self.outgoing.push_back(batch);
    }

    /// A batch of these bytes; moves the places of the generations that they stand in.
    fn batch(
        &mut self,
        generation: Generation,
        chunk: Chunk,
        lines_before: u64,
        mut mark: Mark,
    ) -> Batch {
        let first_piece = *mark.pieces.first().expect("bytes stand somewhere");
        let is_first = first_piece.from == 0 && !chunk.is_empty();
        let facts = self.facts(generation, &chunk, is_first, first_piece.generation);
        let file = self
            .files
            .get_mut(&generation)
            .expect("only files that are known are read");
        let header_bytes = match &facts.csv {
            Some(_) if is_first && first_piece.generation == generation => {
                memchr::memchr(b'\n', &chunk).map_or(chunk.len(), |end| end + 1)
            }
            _ => 0,
        };
        mark.head = mark.head.or_else(|| file.head(&chunk, &mark.pieces));
        let (source, name) = (file.place.birth.source, Arc::clone(&file.place.birth.name));
        let mut moved: Vec<Generation> = mark.pieces.iter().map(|piece| piece.generation).collect();
        moved.dedup();
        for generation in moved {
            if let Some(file) = self.files.get_mut(&generation) {
                file.place.advance(&mark);
            }
        }
        Batch {
            sequence: 0,
            source,
            name,
            facts,
            position: first_piece.from,
            lines_before,
            content: Content::Read(chunk),
            header_bytes,
            cut_bytes: mark.cut_bytes,
            context_bytes: mark.context_bytes as usize,
            before: Vec::new(),
            mark: Some(Box::new(mark)),
        }
    }

    /// The facts of a file: its CSV header stands in its first line.
    fn facts(
        &mut self,
        generation: Generation,
        chunk: &[u8],
        is_first: bool,
        first: Generation,
    ) -> Arc<Facts> {
        let forced = self.settings.format;
        let file = self
            .files
            .get_mut(&generation)
            .expect("only files that are known are read");
        if let Some(facts) = &file.facts {
            return Arc::clone(facts);
        }
        let line = if file.has_no_header {
            None
        } else if is_first && first == generation {
            memchr::memchr(b'\n', chunk).map(|end| chunk[..=end].to_vec())
        } else {
            file.first_line()
        };
        let facts = Arc::new(Facts {
            zone: self.settings.zone.clone(),
            anchor: file.place.birth.anchor,
            format: forced,
            csv: line.and_then(|line| (self.settings.csv_header)(&line, forced)),
        });
        file.has_no_header = facts.csv.is_none();
        file.facts = Some(Arc::clone(&facts));
        facts
    }

    /// Says that bytes are gone, or were nobody's.
    fn hand_out_nothing(&mut self, generation: Generation, piece: Piece, kind: Kind) {
        let mut mark = self.mark();
        mark.kind = kind;
        mark.pieces = vec![piece];
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        mark.tail = file.tail();
        mark.lines = file.place.lines;
        file.place.advance(&mark);
        let (source, name) = (file.place.birth.source, Arc::clone(&file.place.birth.name));
        let batch = self.empty(source, name, mark);
        self.outgoing.push_back(batch);
    }

    /// Takes everything that is left of a file, its torn line as well if `why` says so.
    fn flush(&mut self, generation: Generation, why: Why) {
        while let Some(made) = self
            .files
            .get_mut(&generation)
            .and_then(|file| file.take(&self.settings.policy, why))
        {
            self.hand_out(generation, made);
        }
    }

    /// One step of finishing; false when nothing is left to do.
    fn finish_next(&mut self) -> bool {
        let now = self.clock.monotonic();
        match &mut self.finishing {
            Some(Finishing::Reading) => {
                self.listen(now);
                let ready = std::mem::take(&mut self.ready);
                self.is_ready.clear();
                for generation in ready {
                    self.turn(generation, now);
                }
                let open = self.files.keys().copied().collect();
                self.finishing = Some(Finishing::Flushing(open));
                true
            }
            Some(Finishing::Flushing(open)) => {
                let Some(generation) = open.pop_front() else {
                    return false;
                };
                let why = if self.settings.keeps_torn {
                    Why::Quiet
                } else {
                    Why::End
                };
                self.flush(generation, why);
                true
            }
            None => false,
        }
    }
}
