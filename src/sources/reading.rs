//! One opened source, read to its end: a file, standard input, the output of a program. Does the I/O and
//! nothing else; the [`Chunker`] says where the batches end. Counts bytes (law 2).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::flow::batch::{Batch, Content, SourceId};
use crate::flow::chunk::Chunk;
use crate::flow::facts::{CsvHeader, Facts};
use crate::flow::format::Format;
use crate::framing::Multiline;
use crate::framing::chunker::{Chunker, Cut, Policy, Why};
use crate::framing::cut::cut_surely;
use crate::sources::prepared::Preparation;
use crate::sources::{Source, compressed};
use crate::stop::Stop;

/// How much of a stretch's end is looked at to find where a record starts: little first, since every byte
/// of it is read twice, then enough for any usual stack trace.
const WINDOWS_BYTES: [usize; 2] = [4 << 10, 64 << 10];

/// How long a live stream must be quiet until its last record goes out without its successor.
const QUIET: Duration = Duration::from_millis(500);

/// How often it is looked whether the run ends while the end of a program is awaited.
const LOOK: Duration = Duration::from_millis(20);

/// Most buffers that wait to be filled again. One is not enough: a small batch is a copy, so the buffer that
/// comes back for it finds the one before still unused.
const SPARES_MAX: usize = 4;

/// How sources are read.
#[derive(Clone)]
pub struct Settings {
    pub policy: Policy,
    pub zone: TimeZone,
    pub format: Option<Format>,
    /// What makes lines of UTF-8 out of the bytes.
    pub prepare: Preparation,
    /// Says whether a first line is a CSV header.
    pub csv_header: fn(&[u8], Option<Format>) -> Option<CsvHeader>,
    /// A live stream's last record goes out after a quiet time; reports wait for the end instead.
    pub live: bool,
}

/// A source while it is read.
pub struct Reading<'s> {
    settings: &'s Settings,
    source: Source,
    /// A plain file of which mappers may read stretches themselves. `None` if there is no such thing, or
    /// none any more.
    file: Option<Arc<File>>,
    /// The end of a stretch of the file.
    window: Vec<u8>,
    chunker: Chunker,
    /// Buffers of the usual size, to be filled again.
    spares: Vec<Vec<u8>>,
    /// Why the chunker is asked, until it has nothing more to give for that reason.
    why: Option<Why>,
    id: SourceId,
    name: Arc<str>,
    facts: Arc<Facts>,
    /// Offset of the next byte that goes into a batch.
    position: u64,
    /// A batch was made.
    started: bool,
    /// The first bytes of a stream do not tell yet whether they have to be prepared.
    undecided: bool,
    bytes: u64,
    problem: Option<io::Error>,
}

/// What one read brought.
enum Got {
    Bytes(usize),
    /// A live source has had nothing for a while.
    Quiet,
    End,
}

impl<'s> Reading<'s> {
    /// Reads from `position` on. The `header` is the source's first line, if that stands before.
    pub fn new(
        settings: &'s Settings,
        mut source: Source,
        id: SourceId,
        position: u64,
        header: Option<Vec<u8>>,
    ) -> Reading<'s> {
        let csv = header.and_then(|line| (settings.csv_header)(&line, settings.format));
        let mut problem = None;
        let is_stream = source.live.is_some();
        if position == 0
            && !is_stream
            && let Err(error) = prepare(settings, &mut source)
        {
            problem = Some(error);
        }
        Reading {
            // Lines are counted here, where their order is known.
            file: source.file.take().filter(|_| !settings.policy.counts_lines),
            window: Vec::new(),
            chunker: Chunker::new(0),
            spares: Vec::new(),
            id,
            name: source.name.as_str().into(),
            facts: Arc::new(Facts {
                zone: settings.zone.clone(),
                anchor: source.anchor,
                format: settings.format,
                csv,
            }),
            position,
            started: false,
            undecided: position == 0 && is_stream,
            bytes: 0,
            why: problem.is_some().then_some(Why::End),
            problem,
            settings,
            source,
        }
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Bytes that were left to read at the start, if they are known.
    pub fn size(&self) -> Option<u64> {
        self.source.size
    }

    /// Bytes of the batches, and those that were read for the next ones.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Why the source could not be read to its end. What was read before has gone out.
    pub fn problem(&mut self) -> Option<io::Error> {
        self.problem.take()
    }

    /// A buffer that came with a batch, to be filled again. Kept if it is of the usual size: what a long
    /// record made larger would make all batches larger.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        if buffer.len() == self.settings.policy.chunk_bytes && self.spares.len() < SPARES_MAX {
            self.spares.push(buffer);
        }
    }

    /// A buffer for the next source.
    pub fn into_buffer(mut self) -> Vec<u8> {
        let buffer = self.chunker.discard();
        self.give_back(buffer);
        self.spares.pop().unwrap_or_default()
    }

    /// The next batch. Waits for the bytes of a stream until there are some or `stop` is asked; `None` at
    /// the end.
    pub fn next(&mut self, stop: &Stop) -> Option<Batch> {
        loop {
            if self.started
                && self.why != Some(Why::End)
                && let Some(file) = self.file.take()
                && let Some(batch) = self.stretch(file, stop)
            {
                return Some(batch);
            }
            if let Some(why) = self.why {
                if let Some(cut) = self.chunker.next(&self.settings.policy, why) {
                    return Some(self.batch_of(cut));
                }
                if why == Why::End {
                    return self.ending(stop);
                }
            }
            self.why = match self.read(stop) {
                Ok(Got::Bytes(count)) => self.take(count, stop),
                Ok(Got::Quiet) => Some(Why::Quiet),
                Ok(Got::End) => Some(Why::End),
                Err(error) => self.fail(error),
            };
        }
    }

    /// Takes what was just read; says why the chunker is to be asked, if it is.
    fn take(&mut self, count: usize, stop: &Stop) -> Option<Why> {
        if self.undecided
            && let Some(live) = self.source.live.take()
        {
            // What tells how to read a stream may come in several reads; until it is whole nothing of it
            // goes out.
            let head = [self.chunker.bytes(), self.chunker.offered(count)].concat();
            let enough = head.len() >= compressed::MAGIC_BYTES || head.contains(&b'\n');
            match self.settings.prepare.is_needed(&head) {
                Some(true) => return self.decode(head, live, stop),
                Some(false) if enough => self.undecided = false,
                _ => {}
            }
            self.source.live = Some(live);
        }
        self.bytes += count as u64;
        self.chunker.filled(count);
        if self.undecided {
            return None;
        }
        match self.source.live {
            Some(_) => Some(Why::CaughtUp),
            None => self.chunker.is_full().then_some(Why::Full),
        }
    }

    /// From here on the stream's text is read, of which `head` are the first packed bytes.
    fn decode(&mut self, head: Vec<u8>, live: OwnedFd, stop: &Stop) -> Option<Why> {
        self.bytes -= self.chunker.bytes().len() as u64;
        self.chunker.discard();
        let awaited = Awaited {
            bytes: std::mem::replace(&mut self.source.bytes, Box::new(io::empty())),
            live,
            stop: stop.clone(),
        };
        let packed = io::Cursor::new(head).chain(awaited);
        self.undecided = false;
        let text = compressed::detect(Box::new(packed), &self.name)
            .and_then(|(text, _)| self.settings.prepare.apply(text));
        match text {
            Ok((text, _)) => {
                self.source.bytes = text;
                None
            }
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: io::Error) -> Option<Why> {
        self.problem = Some(error);
        Some(Why::End)
    }

    /// One read. A live source is polled first, so that a signal ends the wait.
    fn read(&mut self, stop: &Stop) -> io::Result<Got> {
        let patience =
            (self.settings.live && !self.undecided && self.chunker.holds_lines()).then_some(QUIET);
        let space = self.chunker.space(&self.settings.policy, |least| {
            self.spares.pop_if(|buffer| buffer.len() >= least)
        });
        loop {
            if stop.asked() {
                return Ok(Got::End);
            }
            if let Some(live) = &self.source.live {
                match wait(live, stop, patience)? {
                    Woken::Ready => {}
                    Woken::Quiet => return Ok(Got::Quiet),
                    Woken::Otherwise => continue,
                }
            }
            return match self.source.bytes.read(space) {
                Ok(0) => Ok(Got::End),
                Ok(count) => Ok(Got::Bytes(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A compressed stream that is left before its end.
                Err(_) if stop.asked() => Ok(Got::End),
                Err(error) => Err(error),
            };
        }
    }

    /// The next stretch of a plain file, which a mapper reads itself; `None` if the rest is to be read here:
    /// the file's end, which may grow, or everything from a place on where the last lines of a stretch do
    /// not show where a record starts.
    ///
    /// This is not the chunker's work, which holds what it cuts: here nothing but the ends of stretches is
    /// read. Both ask [`cut_surely`] where a record starts, so they cannot disagree.
    fn stretch(&mut self, file: Arc<File>, stop: &Stop) -> Option<Batch> {
        if self.why.take().is_some() {
            // What was read beyond the first batch is read again, by a mapper.
            self.bytes -= self.chunker.bytes().len() as u64;
            let buffer = self.chunker.discard();
            self.give_back(buffer);
        }
        let end = match stop.asked() {
            true => Ok(None),
            false => self.stretch_end(&file),
        };
        match end {
            Ok(Some(end)) => {
                let length = (end - self.position) as usize;
                self.bytes += length as u64;
                self.file = Some(Arc::clone(&file));
                let content = Content::Range { file, length };
                return Some(self.batch(content, 0, 0, 0));
            }
            Ok(None) => {}
            Err(error) => self.why = self.fail(error),
        }
        self.source.bytes = Box::new(Rest {
            file,
            position: self.position,
        });
        None
    }

    /// Where the stretch from the position on may end.
    fn stretch_end(&mut self, file: &File) -> io::Result<Option<u64>> {
        let step = self.settings.policy.chunk_bytes;
        let end = self.position + step as u64;
        if end > file.metadata()?.len() {
            return Ok(None);
        }
        self.window.resize(WINDOWS_BYTES[1], 0);
        for bytes in WINDOWS_BYTES {
            let window = &mut self.window[..bytes.min(step)];
            let start = end - window.len() as u64;
            match file.read_exact_at(window, start) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(at) = sure_start(&self.settings.policy.multiline, window) {
                return Ok(Some(start + at as u64));
            }
        }
        Ok(None)
    }

    /// The record about the end of the program that was read, once it is there. It is read as what it is,
    /// whatever the format of the program's own output.
    fn ending(&mut self, stop: &Stop) -> Option<Batch> {
        let endings = self.source.ending.take()?;
        let ending = loop {
            match endings.recv_timeout(LOOK) {
                Ok(ending) => break ending,
                Err(RecvTimeoutError::Timeout) if !stop.asked() => {}
                Err(_) => return None,
            }
        };
        let buffer = ending.line.into_bytes();
        let length = buffer.len();
        self.bytes += length as u64;
        let facts = Arc::make_mut(&mut self.facts);
        (facts.format, facts.csv) = (Some(Format::Logfmt), None);
        let lines_before = self.chunker.lines();
        let content = Content::Read(Chunk::new(buffer, length));
        let mut batch = self.batch(content, 0, 0, lines_before);
        batch.before = ending.before;
        Some(batch)
    }

    fn batch_of(&mut self, cut: Cut) -> Batch {
        let mut header_bytes = 0;
        if !self.started && self.position == 0 {
            let bytes = &*cut.chunk;
            // Where every line is a record, the first batch may end behind any: only its first is sure to
            // be there. Else a batch ends before a line that opens a record, and no directive does.
            let end = match self.settings.policy.multiline {
                Multiline::Off => memchr::memchr(b'\n', bytes).map(|end| end + 1),
                _ => CsvHeader::end(bytes),
            };
            let line_end = end.unwrap_or(bytes.len());
            let settings = self.settings;
            if let Some(header) = (settings.csv_header)(&bytes[..line_end], settings.format) {
                Arc::make_mut(&mut self.facts).csv = Some(header);
                header_bytes = line_end;
            }
        }
        let content = Content::Read(cut.chunk);
        self.batch(content, header_bytes, cut.cut_bytes, cut.lines_before)
    }

    fn batch(
        &mut self,
        content: Content,
        header_bytes: usize,
        cut_bytes: u64,
        lines_before: u64,
    ) -> Batch {
        let position = self.position;
        self.position += content.len() as u64 + cut_bytes;
        self.started = true;
        Batch {
            sequence: 0,
            source: self.id,
            name: Arc::clone(&self.name),
            facts: Arc::clone(&self.facts),
            position,
            lines_before,
            content,
            header_bytes,
            cut_bytes,
            context_bytes: 0,
            before: Vec::new(),
            mark: None,
        }
    }
}

/// Makes lines of UTF-8 out of what `source` reads. Of a file that needs it mappers read no stretches
/// themselves, and its size says nothing.
fn prepare(settings: &Settings, source: &mut Source) -> io::Result<()> {
    let bytes = std::mem::replace(&mut source.bytes, Box::new(io::empty()));
    let (bytes, changed) = settings.prepare.apply(bytes)?;
    source.bytes = bytes;
    if changed {
        source.file = None;
        source.size = None;
    }
    Ok(())
}

enum Woken {
    Ready,
    /// It was quiet for long enough.
    Quiet,
    /// The run is asked to end, or a signal came that means nothing here.
    Otherwise,
}

/// Waits until `live` has bytes, for as long as `patience` says.
fn wait(live: &OwnedFd, stop: &Stop, patience: Option<Duration>) -> io::Result<Woken> {
    let patience = patience.map(|patience| Timespec {
        tv_sec: patience.as_secs() as i64,
        tv_nsec: i64::from(patience.subsec_nanos()),
    });
    let mut descriptors = [
        PollFd::new(live, PollFlags::IN),
        PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN),
    ];
    match poll(&mut descriptors, patience.as_ref()) {
        Ok(0) => Ok(Woken::Quiet),
        Ok(_) if !descriptors[0].revents().is_empty() => Ok(Woken::Ready),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(Woken::Otherwise),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of a compressed stream as they come. It ends once the run is asked to end.
struct Awaited {
    bytes: Box<dyn Read + Send>,
    live: OwnedFd,
    stop: Stop,
}

impl Read for Awaited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let woken = wait(&self.live, &self.stop, None)?;
        if self.stop.asked() {
            return Ok(0);
        }
        match woken {
            Woken::Ready => self.bytes.read(buffer),
            Woken::Quiet | Woken::Otherwise => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

/// The last place in a window, which may begin within a line, where a record surely starts.
fn sure_start(multiline: &Multiline, window: &[u8]) -> Option<usize> {
    let first = memchr::memchr(b'\n', window)? + 1;
    Some(first + cut_surely(multiline, &window[first..])?)
}

/// A file from some position on.
struct Rest {
    file: Arc<File>,
    position: u64,
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
