//! The mapper's side: a chunk of whole records becomes [`Records`], spans into the chunk and, where
//! text had to be unwrapped or joined, into scratch.

use crate::flow::span::Span;
use crate::framing::container::{Stream, Wrapped, Wrapping};
use crate::framing::interleave::Interleave;
use crate::framing::walk::{Joint, Payload, Visitor, walk};
use crate::framing::{Multiline, mark_bytes, text_range};
use std::ops::Range;

/// Walks chunks into records. Owned by one mapper; what it keeps between chunks is only memory.
pub struct Framer {
    mode: Multiline,
    interleave: Interleave,
    builders: [Builder; 2],
}

/// The records of one chunk, in the order of their first lines.
#[derive(Debug, Default)]
pub struct Records {
    records: Vec<Record>,
    containers: Vec<Container>,
    parts: Vec<Span>,
    scratch: Vec<u8>,
    lines: u32,
    unfinished: u64,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// From its first line to the end of its last, line feeds and all. The lines of a container's
    /// record may have others between them: see [`Records::lines_of`].
    pub lines: Span,
    /// Number of its first line in the chunk, from 0.
    pub first_line: u32,
    pub line_count: u32,
    payload: Span,
    /// Place in `Records::containers`; `PLAIN` for a record as it stands in the chunk.
    container: u32,
}

const PLAIN: u32 = u32::MAX;

/// What a container's runtime wrote around a record.
#[derive(Clone, Debug)]
pub struct Container {
    pub wrapping: Wrapping,
    pub stream: Stream,
    /// The runtime's time of the record's first piece: a span of the chunk.
    pub time: Span,
    /// The last piece of the record's last line is missing: its input ended, or its limit was
    /// reached.
    pub unfinished: bool,
    /// Its lines, in `Records::parts`.
    parts: Range<u32>,
    home: Home,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Chunk,
    Scratch,
}

impl Records {
    pub fn all(&self) -> &[Record] {
        &self.records
    }

    /// Number of lines of the chunk, the last one without a line feed included.
    pub fn line_count(&self) -> u32 {
        self.lines
    }

    /// Records whose last piece is missing.
    pub fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// What parsers see: without the final LF or CRLF and without a byte order mark before it, unwrapped
    /// and joined. Inner line feeds stay.
    #[inline]
    pub fn payload<'a>(&'a self, chunk: &'a [u8], record: &Record) -> &'a [u8] {
        match self.container(record) {
            Some(container) if container.home == Home::Scratch => record.payload.of(&self.scratch),
            _ => record.payload.of(chunk),
        }
    }

    /// What the container's runtime said about the record, if it came from one.
    #[inline]
    pub fn container(&self, record: &Record) -> Option<&Container> {
        if record.container == PLAIN {
            None
        } else {
            Some(&self.containers[record.container as usize])
        }
    }

    /// The record's original lines: one span, or several if lines of other records stand between.
    #[inline]
    pub fn lines_of<'a>(&'a self, record: &'a Record) -> &'a [Span] {
        match self.container(record) {
            Some(container) => {
                &self.parts[container.parts.start as usize..container.parts.end as usize]
            }
            None => std::slice::from_ref(&record.lines),
        }
    }

    fn clear(&mut self) {
        self.records.clear();
        self.containers.clear();
        self.parts.clear();
        self.scratch.clear();
        self.lines = 0;
        self.unfinished = 0;
    }
}

impl Framer {
    pub fn new(mode: Multiline) -> Framer {
        Framer {
            mode,
            interleave: Interleave::new(),
            builders: [Builder::default(), Builder::default()],
        }
    }

    pub fn mode(&self) -> &Multiline {
        &self.mode
    }

    /// Puts the records of `chunk` into `records`, in place of what was there. The chunk begins at a
    /// sure start and ends where [`cut`](super::cut::cut) allows or the input ends.
    pub fn frame(&mut self, chunk: &[u8], records: &mut Records) {
        records.clear();
        let mut sink = Sink {
            chunk,
            records,
            builders: &mut self.builders,
            start: None,
        };
        let lines = walk(&self.mode, chunk, &mut self.interleave, &mut sink);
        records.lines = lines;
    }
}

/// A container's record that is still open.
#[derive(Debug, Default)]
struct Builder {
    record: Option<usize>,
    parts: Vec<Span>,
    line_count: u32,
    /// The text so far, if it stands in the chunk in one piece.
    direct: Option<Span>,
    text: Vec<u8>,
}

struct Sink<'s> {
    chunk: &'s [u8],
    records: &'s mut Records,
    builders: &'s mut [Builder; 2],
    /// Start and line number of the plain record that is open.
    start: Option<(usize, u32)>,
}

impl Sink<'_> {
    #[inline(always)]
    fn finish(&mut self, end: usize, line: u32) {
        if let Some((start, first_line)) = self.start.take() {
            let text = text_range(&self.chunk[start..end]);
            self.records.records.push(Record {
                lines: Span::new(start..end),
                first_line,
                line_count: line - first_line,
                payload: Span::new(start + text.start..start + text.end),
                container: PLAIN,
            });
        }
    }
}

impl Visitor for Sink<'_> {
    #[inline(always)]
    fn start(&mut self, at: usize, line: u32) {
        self.finish(at, line);
        self.start = Some((at, line));
    }

    fn end(&mut self, at: usize, line: u32) {
        self.finish(at, line);
    }

    fn open(&mut self, at: usize, line: u32, wrapped: &Wrapped) {
        let builder = &mut self.builders[wrapped.stream.index()];
        builder.record = Some(self.records.records.len());
        builder.parts.clear();
        builder.text.clear();
        builder.direct = None;
        builder.line_count = 0;
        let container =
            u32::try_from(self.records.containers.len()).expect("a chunk is below 4 GiB");
        self.records.records.push(Record {
            lines: Span::new(at..at),
            first_line: line,
            line_count: 0,
            payload: Span::default(),
            container,
        });
        self.records.containers.push(Container {
            wrapping: wrapped.wrapping,
            stream: wrapped.stream,
            time: Span::new(at + wrapped.time.start..at + wrapped.time.end),
            unfinished: false,
            parts: 0..0,
            home: Home::Chunk,
        });
    }

    fn piece(&mut self, line: Range<usize>, wrapped: &Wrapped, payload: Payload, joint: Joint) {
        let builder = &mut self.builders[wrapped.stream.index()];
        builder.line_count += 1;
        match builder.parts.last_mut() {
            Some(last) if last.end as usize == line.start => last.end = Span::new(line).end,
            _ => builder.parts.push(Span::new(line)),
        }
        if builder.line_count == 1
            && let Payload::Chunk(range) = payload
        {
            builder.direct = Some(Span::new(range));
            return;
        }
        if let Some(direct) = builder.direct.take() {
            builder.text.extend_from_slice(direct.of(self.chunk));
        }
        if joint == Joint::LineFeed {
            builder.text.push(b'\n');
        }
        builder.text.extend_from_slice(match &payload {
            Payload::Chunk(range) => &self.chunk[range.clone()],
            Payload::Decoded(bytes) => bytes,
        });
    }

    fn close(&mut self, stream: usize, unfinished: bool) {
        let builder = &mut self.builders[stream];
        let Some(place) = builder.record.take() else {
            return;
        };
        let record = &mut self.records.records[place];
        let container = &mut self.records.containers[record.container as usize];
        let first = self.records.parts.len() as u32;
        self.records.parts.extend_from_slice(&builder.parts);
        container.parts = first..self.records.parts.len() as u32;
        container.unfinished = unfinished;
        self.records.unfinished += u64::from(unfinished);
        record.lines.end = builder
            .parts
            .last()
            .map_or(record.lines.end, |part| part.end);
        record.line_count = builder.line_count;
        record.payload = match builder.direct {
            Some(mut direct) => {
                direct.start += mark_bytes(direct.of(self.chunk)) as u32;
                direct
            }
            None => {
                container.home = Home::Scratch;
                let start = self.records.scratch.len();
                let text = &builder.text[mark_bytes(&builder.text)..];
                self.records.scratch.extend_from_slice(text);
                Span::new(start..self.records.scratch.len())
            }
        };
    }
}
