//! The reader thread: opens the sources in argument order, reads chunks, cuts them where a record
//! surely starts and sends them on. It counts bytes and nothing else (law 2).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::engine::budget::{Budget, Permit};
use crate::engine::signals::Stop;
use crate::engine::streams::Wake;
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::{Batch, Content, SourceId};
use crate::flow::chunk::Chunk;
use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::time::Time;
use crate::framing::cut::{CHUNK_BYTES_MAX, line_over_limit};
use crate::framing::{self, LINE_BYTES_MAX, Multiline};
use crate::registry;
use crate::sources::{self, Source, compressed};

/// Bytes of one read, and so of one batch under load. Big enough that what a batch costs is
/// spread over a thousand records, small enough to stay in a core's cache.
pub const CHUNK_BYTES: usize = 512 << 10;

/// How much of a stretch's end the reader looks at to find where a record starts: little first, since
/// every byte of it is read twice, then enough for any usual stack trace.
const WINDOWS_BYTES: [usize; 2] = [4 << 10, 64 << 10];

/// How long a live stream must be quiet until its last record goes out without its successor.
const QUIET: Duration = Duration::from_millis(500);

/// One input, in argument order.
pub enum Input {
    /// A path, or `-` for standard input.
    Named(OsString),
    /// The last lines of the file at a path.
    Tail(OsString, u64),
    /// Handed over open.
    Opened(Source),
}

/// What the reader needs to know.
pub struct Reader {
    pub inputs: Vec<Input>,
    /// Bytes of one read, [`CHUNK_BYTES`] but in tests, which want many borders in little input.
    pub chunk_bytes: usize,
    /// A condition asks for line numbers, so line feeds are counted here, where their order is known.
    pub counts_lines: bool,
    pub multiline: Multiline,
    pub zone: jiff::tz::TimeZone,
    pub format: Option<Format>,
    pub now: Time,
    /// A live stream's last record goes out after a quiet time; reports wait for the end instead.
    pub live: bool,
}

/// What happened to the inputs, in order.
#[derive(Debug, Default)]
pub struct ReadReport {
    pub bytes: u64,
    /// Messages for the user, with the exit code each one asks for.
    pub problems: Vec<(String, u8)>,
    /// Panic-free end: a reader that died did not get here.
    pub finished: bool,
}

/// Told about each source before its first batch.
pub struct Opened {
    pub source: SourceId,
    pub name: Arc<str>,
    pub size: Option<u64>,
}

/// Where the reader puts what it makes, and gets used buffers back from.
pub struct Outlet {
    pub batches: Sender<(Batch, Permit)>,
    pub opened: Sender<Opened>,
    pub buffers: Receiver<Vec<u8>>,
    pub budget: Arc<Budget>,
    pub stop: Stop,
    /// Told of every batch, if whoever takes them waits for other things as well.
    pub wake: Option<Wake>,
}

impl Reader {
    /// Reads every input to its end, or until asked to stop or nobody takes batches any more.
    pub fn run(mut self, outlet: &Outlet) -> ReadReport {
        let mut report = ReadReport::default();
        let mut sequence = 0;
        let inputs = std::mem::take(&mut self.inputs);
        for (index, input) in inputs.into_iter().enumerate() {
            if outlet.stop.asked() {
                break;
            }
            let opened = match input {
                Input::Opened(source) => Ok((source, 0, None)),
                Input::Named(name) => {
                    sources::open(&name, self.now).map(|source| (source, 0, None))
                }
                Input::Tail(name, lines) => {
                    sources::file::open_tail(name.as_ref(), lines, self.now)
                        .map(|tail| (tail.source, tail.position, tail.header))
                }
            };
            let (source, position, header) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    report.problems.push((error.message, error.exit_code));
                    continue;
                }
            };
            let id =
                SourceId(u32::try_from(index).expect("a command line has fewer than 2^32 words"));
            let name: Arc<str> = source.name.as_str().into();
            if outlet
                .opened
                .send(Opened {
                    source: id,
                    name: Arc::clone(&name),
                    size: source.size,
                })
                .is_err()
            {
                break;
            }
            let facts = Facts {
                zone: self.zone.clone(),
                anchor: source.anchor,
                format: self.format,
                csv: header.and_then(|line| registry::csv_header(&line, self.format)),
            };
            let mut reading = Reading {
                reader: &self,
                outlet,
                report: &mut report,
                sequence,
                source: id,
                name,
                facts: Arc::new(facts),
                position,
                lines: 0,
                started: false,
            };
            if let Err(error) = reading.source(source) {
                let name = &reading.name;
                reading
                    .report
                    .problems
                    .push((format!("{name}: {error}"), 74));
            }
            sequence = reading.sequence;
        }
        report.finished = true;
        report
    }
}

/// One source while it is read.
struct Reading<'a> {
    reader: &'a Reader,
    outlet: &'a Outlet,
    report: &'a mut ReadReport,
    sequence: u64,
    source: SourceId,
    name: Arc<str>,
    facts: Arc<Facts>,
    /// Offset of the next byte that goes into a batch.
    position: u64,
    /// Lines before it, if they are counted.
    lines: u64,
    started: bool,
}

impl Reading<'_> {
    /// Reads the source to its end. What was read before an error is sent all the same.
    fn source(&mut self, mut source: Source) -> io::Result<()> {
        let mut chunk = Filling {
            buffer: self.buffer(),
            filled: 0,
        };
        let mut file = source.file.take().filter(|_| !self.reader.counts_lines);
        let result = loop {
            if let Some(file) = file.take_if(|_| self.started) {
                // What was read beyond the first batch is read again, by a mapper.
                self.report.bytes -= chunk.filled as u64;
                chunk.filled = 0;
                match self.ranges(&file) {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => break Err(error),
                }
                source.bytes = Box::new(FileTail {
                    file,
                    position: self.position,
                });
            }
            let full = chunk.filled == chunk.buffer.len();
            if full {
                match self.advance(&mut source, &mut chunk) {
                    Ok(Advance::Sent) => continue,
                    Ok(Advance::Nothing) => {}
                    Ok(Advance::Closed) => return Ok(()),
                    Err(error) => break Err(error),
                }
                let larger = (chunk.buffer.len() * 2).min(CHUNK_BYTES_MAX);
                if larger == chunk.buffer.len() {
                    // Only a run of container parts can get here: their limit is in decoded bytes.
                    // It is cut at a line end, as the limit says.
                    let end =
                        memchr::memrchr(b'\n', &chunk.buffer).map_or(chunk.filled, |end| end + 1);
                    if !self.send(&mut chunk, end) {
                        return Ok(());
                    }
                    continue;
                }
                chunk.buffer.resize(larger, 0);
            }
            let Filling { buffer, filled } = &mut chunk;
            let count = match self.read(&mut source, &mut buffer[*filled..], *filled > 0) {
                Ok(Got::Bytes(count)) => count,
                Ok(Got::End) => break Ok(()),
                Ok(Got::Quiet) => {
                    // A tick: what is complete goes out, a torn line waits on.
                    if let Some(end) = memchr::memrchr(b'\n', &buffer[..*filled])
                        && !self.send(&mut chunk, end + 1)
                    {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) => break Err(error),
            };
            // The mark of a compressed stream may come in several reads; until it is whole nothing
            // of it goes out, since it holds no line feed.
            if self.position == 0
                && *filled < compressed::MAGIC_BYTES
                && source.live.is_some()
                && compressed::is_compressed(&buffer[..*filled + count])
            {
                let head = io::Cursor::new(buffer[..*filled + count].to_vec());
                self.report.bytes -= *filled as u64;
                *filled = 0;
                let live = source.live.take();
                let awaited = Awaited {
                    bytes: source.bytes,
                    live: live.expect("only a live source comes here"),
                    stop: self.outlet.stop.clone(),
                };
                source.bytes = compressed::detect(Box::new(head.chain(awaited)), &self.name)?.0;
                continue;
            }
            self.report.bytes += count as u64;
            *filled += count;
            if source.live.is_some() {
                match self.advance(&mut source, &mut chunk) {
                    Ok(Advance::Sent | Advance::Nothing) => {}
                    Ok(Advance::Closed) => return Ok(()),
                    Err(error) => break Err(error),
                }
            }
        };
        while let Some(at) = line_over_limit(&chunk.buffer[..chunk.filled]) {
            let open = if at > 0 {
                self.send(&mut chunk, at)
            } else {
                self.long_line(&mut source, &mut chunk)?
            };
            if !open {
                return result;
            }
        }
        if chunk.filled > 0 {
            let end = chunk.filled;
            self.send(&mut chunk, end);
        }
        result
    }

    /// Sends stretches of a plain file that mappers read themselves, as long as the last lines of a
    /// stretch show where a record surely starts. The file's end is left to be read here, since it
    /// may grow. Returns false when nobody takes batches any more.
    fn ranges(&mut self, file: &Arc<File>) -> io::Result<bool> {
        let step = self.reader.chunk_bytes;
        let mut window = vec![0; WINDOWS_BYTES[1].min(step)];
        while !self.outlet.stop.asked() {
            let end = self.position + step as u64;
            if end > file.metadata()?.len() {
                break;
            }
            let mut found = None;
            for bytes in WINDOWS_BYTES {
                let window = &mut window[..bytes.min(step)];
                let start = end - window.len() as u64;
                match file.read_exact_at(window, start) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                    Err(error) => return Err(error),
                }
                found = self.sure_start(window).map(|at| start + at as u64);
                if found.is_some() {
                    break;
                }
            }
            let Some(end) = found else {
                break;
            };
            let length = (end - self.position) as usize;
            self.report.bytes += length as u64;
            let file = Arc::clone(file);
            if !self.batch(Content::Range { file, length }, 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The last place in a window, which may begin within a line, where a record surely starts.
    fn sure_start(&self, window: &[u8]) -> Option<usize> {
        let first = memchr::memchr(b'\n', window)? + 1;
        let cut = framing::cut::cut_surely(&self.reader.multiline, &window[first..])?;
        Some(first + cut)
    }

    /// Sends what is whole at the start of the chunk, if anything is.
    fn advance(&mut self, source: &mut Source, chunk: &mut Filling) -> io::Result<Advance> {
        let bytes = &chunk.buffer[..chunk.filled];
        // A line over its limit is a record of its own, whatever stands around it.
        let open = match line_over_limit(bytes) {
            Some(0) => self.long_line(source, chunk)?,
            Some(at) => self.send(chunk, at),
            None => match framing::cut::cut(&self.reader.multiline, bytes) {
                Some(end) => self.send(chunk, end),
                None => return Ok(Advance::Nothing),
            },
        };
        Ok(if open { Advance::Sent } else { Advance::Closed })
    }

    /// A buffer of the size of a read, used before if one has come back.
    fn buffer(&self) -> Vec<u8> {
        match self.outlet.buffers.try_recv() {
            Ok(buffer) if buffer.len() == self.reader.chunk_bytes => buffer,
            _ => vec![0; self.reader.chunk_bytes],
        }
    }

    /// One read. A live source is polled first, so that a signal ends the wait.
    fn read(&self, source: &mut Source, space: &mut [u8], holds: bool) -> io::Result<Got> {
        loop {
            if self.outlet.stop.asked() {
                return Ok(Got::End);
            }
            if let Some(live) = &source.live
                && !self.wait(live, holds)?
            {
                if self.outlet.stop.asked() {
                    return Ok(Got::End);
                }
                return Ok(Got::Quiet);
            }
            return match source.bytes.read(space) {
                Ok(0) => Ok(Got::End),
                Ok(count) => Ok(Got::Bytes(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A compressed stream that is left before its end.
                Err(_) if self.outlet.stop.asked() => Ok(Got::End),
                Err(error) => Err(error),
            };
        }
    }

    /// Waits until `live` has bytes (true), or until it was quiet long enough or the run is asked
    /// to end (false).
    fn wait(&self, live: &OwnedFd, holds: bool) -> io::Result<bool> {
        let quiet = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(QUIET.subsec_nanos()),
        };
        let timeout = (self.reader.live && holds).then_some(&quiet);
        let mut descriptors = [
            PollFd::new(live, PollFlags::IN),
            PollFd::from_borrowed_fd(self.outlet.stop.descriptor(), PollFlags::IN),
        ];
        match poll(&mut descriptors, timeout) {
            Ok(_) => Ok(!descriptors[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends the first `end` bytes as a batch and goes on with the rest in a new buffer. Returns
    /// false when nobody takes batches any more.
    fn send(&mut self, chunk: &mut Filling, end: usize) -> bool {
        let rest = chunk.filled - end;
        let mut next = self.buffer();
        if next.len() < rest {
            next.resize(rest, 0);
        }
        next[..rest].copy_from_slice(&chunk.buffer[end..chunk.filled]);
        chunk.filled = rest;
        let bytes = Chunk::new(std::mem::replace(&mut chunk.buffer, next), end);
        self.batch(Content::Read(bytes), 0)
    }

    /// Sends one batch; false when nobody takes it.
    fn batch(&mut self, content: Content, cut_bytes: u64) -> bool {
        let mut header_bytes = 0;
        if let Content::Read(bytes) = &content
            && !self.started
            && self.position == 0
        {
            let line_end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            if let Some(header) = registry::csv_header(&bytes[..line_end], self.reader.format) {
                Arc::make_mut(&mut self.facts).csv = Some(header);
                header_bytes = line_end;
            }
        }
        let length = content.len() as u64;
        let lines_before = self.lines;
        if let Content::Read(bytes) = &content
            && self.reader.counts_lines
        {
            let feeds = memchr::memchr_iter(b'\n', bytes).count();
            let unfinished = bytes.last().is_some_and(|&last| last != b'\n');
            self.lines += feeds as u64 + u64::from(unfinished);
        }
        let permit = self.outlet.budget.take(content.capacity());
        let permit = permit.of(length + cut_bytes);
        let batch = Batch {
            sequence: self.sequence,
            source: self.source,
            name: Arc::clone(&self.name),
            facts: Arc::clone(&self.facts),
            position: self.position,
            lines_before,
            content,
            header_bytes,
            cut_bytes,
            context_bytes: 0,
            mark: None,
        };
        self.started = true;
        self.sequence += 1;
        self.position += length + cut_bytes;
        if failpoint::hit(Failpoint::Batch, batch.sequence) {
            // The sequence number is given back, as if the batch had never been.
            self.sequence -= 1;
            return true;
        }
        let is_taken = self.outlet.batches.send((batch, permit)).is_ok();
        if let Some(wake) = &self.outlet.wake {
            wake.wake();
        }
        is_taken
    }

    /// Sends the first [`LINE_BYTES_MAX`] bytes of the line at the start of the chunk and drops
    /// its rest, counted. Returns false when nobody takes batches any more.
    fn long_line(&mut self, source: &mut Source, chunk: &mut Filling) -> io::Result<bool> {
        let mut next = self.buffer();
        let mut rest = 0;
        let mut cut_bytes;
        let mut result = Ok(());
        if let Some(end) = memchr::memchr(b'\n', &chunk.buffer[..chunk.filled]) {
            // The line's end is already here; its line feed goes with what is left out.
            cut_bytes = end + 1 - LINE_BYTES_MAX;
            rest = chunk.filled - (end + 1);
            next.resize(next.len().max(rest), 0);
            next[..rest].copy_from_slice(&chunk.buffer[end + 1..chunk.filled]);
        } else {
            cut_bytes = chunk.filled - LINE_BYTES_MAX;
            loop {
                let count = match self.read(source, &mut next, false) {
                    Ok(Got::Bytes(count)) => count,
                    Ok(Got::Quiet) => continue,
                    Ok(Got::End) => break,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                };
                self.report.bytes += count as u64;
                if let Some(end) = memchr::memchr(b'\n', &next[..count]) {
                    cut_bytes += end + 1;
                    rest = count - (end + 1);
                    next.copy_within(end + 1..count, 0);
                    break;
                }
                cut_bytes += count;
            }
        }
        let bytes = std::mem::replace(&mut chunk.buffer, next);
        chunk.filled = rest;
        let line = Content::Read(Chunk::new(bytes, LINE_BYTES_MAX));
        let open = self.batch(line, cut_bytes as u64);
        result.map(|()| open)
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
        let mut polled = [
            PollFd::new(&self.live, PollFlags::IN),
            PollFd::from_borrowed_fd(self.stop.descriptor(), PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if self.stop.asked() {
            return Ok(0);
        }
        match polled[0].revents().is_empty() {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => self.bytes.read(buffer),
        }
    }
}

/// A file from some position on.
struct FileTail {
    file: Arc<File>,
    position: u64,
}

impl Read for FileTail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// A buffer while it is filled.
struct Filling {
    buffer: Vec<u8>,
    filled: usize,
}

/// What became of the bytes at the start of a chunk.
enum Advance {
    Sent,
    /// They are no whole record yet.
    Nothing,
    /// Nobody takes batches any more.
    Closed,
}

/// What one read brought.
enum Got {
    Bytes(usize),
    /// A live source has had nothing for a while.
    Quiet,
    End,
}
