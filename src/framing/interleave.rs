//! The two streams of a container, line by line in one file: partial lines are joined per stream
//! while the other stream writes between them, and so are continuation lines.
//!
//! A chunk may be cut only where neither stream needs what came before. A start in one stream is
//! such a place once the next line of the other stream turns out to be a start as well; until then
//! it is *pending*. The latest such place begins the *group*. A group never grows past
//! [`RECORD_BYTES_MAX`]: there both streams are closed, which bounds a partial line that nobody
//! ends and two streams that never start together.

use crate::framing::container::{Wrapped, Wrapping, unescape};
use crate::framing::continuation::Tracker;
use crate::framing::walk::{Joint, Payload, Visitor};
use crate::framing::{Multiline, RECORD_BYTES_MAX};
use std::ops::Range;

/// A complete line's record is over when that many lines of the other stream follow: so a stream
/// that falls silent does not hold back the other one.
const SILENT_LINES_MAX: u32 = 32;

#[derive(Debug)]
pub(super) struct Interleave {
    wrapping: Wrapping,
    streams: [StreamState; 2],
    /// The last place where both streams were free of what came before.
    group: usize,
    decoded: Vec<u8>,
}

#[derive(Debug)]
struct StreamState {
    tracker: Tracker,
    /// A piece without the end of its line came last.
    partial: bool,
    last_line: u32,
    /// Start in the other stream that is safe if this stream's next line is a start.
    pending: Option<usize>,
}

impl StreamState {
    fn new() -> StreamState {
        StreamState {
            tracker: Tracker::new(),
            partial: false,
            last_line: 0,
            pending: None,
        }
    }
}

impl Interleave {
    pub(super) fn new() -> Interleave {
        Interleave {
            wrapping: Wrapping::Cri,
            streams: [StreamState::new(), StreamState::new()],
            group: 0,
            decoded: Vec::new(),
        }
    }

    pub(super) fn wrapping(&self) -> Wrapping {
        self.wrapping
    }

    /// Begins a run of wrapped lines at `at`.
    pub(super) fn open(&mut self, wrapping: Wrapping, at: usize, visitor: &mut impl Visitor) {
        self.wrapping = wrapping;
        self.begin_group(at, visitor);
    }

    /// Ends every open record.
    pub(super) fn close(&mut self, visitor: &mut impl Visitor) {
        for stream in 0..2 {
            self.close_stream(stream, visitor);
            self.streams[stream].pending = None;
        }
    }

    fn begin_group(&mut self, at: usize, visitor: &mut impl Visitor) {
        self.group = at;
        visitor.safe(at);
    }

    fn close_stream(&mut self, stream: usize, visitor: &mut impl Visitor) {
        let state = &mut self.streams[stream];
        if state.tracker.is_open() {
            visitor.close(stream, state.partial);
            state.tracker.close();
        }
        state.partial = false;
    }

    /// The stream needs nothing of what came before: a start that waited for it is safe.
    fn settle(&mut self, stream: usize, visitor: &mut impl Visitor) {
        if let Some(at) = self.streams[stream].pending.take()
            && at > self.group
        {
            self.begin_group(at, visitor);
        }
    }

    /// Takes one wrapped line.
    pub(super) fn line(
        &mut self,
        mode: &Multiline,
        chunk: &[u8],
        line: Range<usize>,
        number: u32,
        wrapped: &Wrapped,
        visitor: &mut impl Visitor,
    ) {
        let at = line.start;
        if at - self.group >= RECORD_BYTES_MAX {
            self.close(visitor);
            self.begin_group(at, visitor);
        }
        for stream in 0..2 {
            let state = &self.streams[stream];
            if state.tracker.is_open()
                && !state.partial
                && number - state.last_line > SILENT_LINES_MAX
            {
                self.close_stream(stream, visitor);
                self.settle(stream, visitor);
            }
        }
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        let payload = unwrap(chunk, at, wrapped, &mut decoded);
        let bytes = match &payload {
            Payload::Chunk(range) => &chunk[range.clone()],
            Payload::Decoded(bytes) => bytes,
        };
        let (this, other) = (wrapped.stream.index(), 1 - wrapped.stream.index());
        let state = &mut self.streams[this];
        let joint = if state.partial {
            Some(Joint::Glue)
        } else {
            // A closed tracker has no record to join, so this answers for a first line too.
            (!state.tracker.starts_unwrapped(mode, bytes, at)).then_some(Joint::LineFeed)
        };
        match joint {
            Some(joint) => {
                self.streams[this].pending = None;
                visitor.piece(line.clone(), wrapped, payload, joint);
            }
            None => self.start(this, other, line.clone(), number, wrapped, payload, visitor),
        }
        let state = &mut self.streams[this];
        state.partial = wrapped.partial;
        state.last_line = number;
        if matches!(mode, Multiline::Off) && !wrapped.partial {
            self.close_stream(this, visitor);
            if !self.streams[other].tracker.is_open() {
                self.begin_group(line.end, visitor);
            }
        }
        self.decoded = decoded;
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one line's parts, split off only for length"
    )]
    fn start(
        &mut self,
        this: usize,
        other: usize,
        line: Range<usize>,
        number: u32,
        wrapped: &Wrapped,
        payload: Payload,
        visitor: &mut impl Visitor,
    ) {
        let at = line.start;
        visitor.close(this, false);
        self.settle(this, visitor);
        let other = &mut self.streams[other];
        if !other.tracker.is_open() {
            self.begin_group(at, visitor);
        } else if !other.partial {
            other.pending = Some(at);
        }
        visitor.open(at, number, wrapped);
        visitor.piece(line, wrapped, payload, Joint::Glue);
    }
}

/// The text of a wrapped line that starts at `at` of the chunk.
fn unwrap<'d>(chunk: &[u8], at: usize, wrapped: &Wrapped, decoded: &'d mut Vec<u8>) -> Payload<'d> {
    let range = at + wrapped.payload.start..at + wrapped.payload.end;
    if !wrapped.escaped {
        return Payload::Chunk(range);
    }
    unescape(&chunk[range], decoded);
    if !wrapped.partial && decoded.last() == Some(&b'\r') {
        decoded.pop();
    }
    Payload::Decoded(decoded)
}
