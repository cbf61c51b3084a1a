//! The one walk over a chunk's lines that framing, counting and cutting share.

use crate::flow::block;
use crate::framing::container::{self, Wrapped};
use crate::framing::continuation::Tracker;
use crate::framing::interleave::Interleave;
use crate::framing::{Multiline, mark_bytes, text};
use std::ops::Range;

/// What a walk tells its caller, in the order of the lines.
pub(super) trait Visitor {
    /// A plain record starts at `at`, with line number `line` of the chunk. It goes on to the next
    /// call of `start` or `end`.
    fn start(&mut self, at: usize, line: u32);
    /// Plain records end at `at`: wrapped lines follow, or the chunk is over.
    fn end(&mut self, _at: usize, _line: u32) {}
    /// A record of the container's stream `wrapped.stream` starts with the line at `at`.
    fn open(&mut self, at: usize, line: u32, wrapped: &Wrapped);
    /// The line at `line` belongs to the stream's open record.
    fn piece(&mut self, _line: Range<usize>, _wrapped: &Wrapped, _payload: Payload, _joint: Joint) {
    }
    /// The record of the stream with that index is complete, but for a missing last piece if
    /// `unfinished`.
    fn close(&mut self, _stream: usize, _unfinished: bool) {}
    /// A chunk that starts at `at` gives the same records from there on.
    fn safe(&mut self, _at: usize) {}
}

/// Unwrapped text.
#[derive(Clone)]
pub(super) enum Payload<'p> {
    /// As it stands in the chunk.
    Chunk(Range<usize>),
    Decoded(&'p [u8]),
}

/// What stands between a piece and the one before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    /// The pieces are one line.
    Glue,
    LineFeed,
}

/// Walks a chunk that begins at a sure start; returns its number of lines.
pub(super) fn walk(
    mode: &Multiline,
    chunk: &[u8],
    interleave: &mut Interleave,
    visitor: &mut impl Visitor,
) -> u32 {
    let mut tracker = Tracker::new();
    let mut wrapped = false;
    let mut at = 0;
    let mut number = 0;
    let mut line = |end: usize| {
        let mark = mark_bytes(&chunk[at..]);
        if container::may_be(&chunk[at + mark..])
            && let Some(wrapping) = container::recognise(text(&chunk[at..end]))
        {
            let wrapping = wrapping.behind(mark);
            if !wrapped || interleave.wrapping() != wrapping.wrapping {
                interleave.close(visitor);
                visitor.end(at, number);
                interleave.open(wrapping.wrapping, at, visitor);
                wrapped = true;
            }
            interleave.line(mode, chunk, at..end, number, &wrapping, visitor);
        } else {
            if wrapped {
                interleave.close(visitor);
                tracker.close();
                wrapped = false;
            }
            let starts = match mode {
                Multiline::Off => true,
                Multiline::Auto => {
                    tracker.starts_surely(chunk, at, end) || tracker.starts(mode, chunk, at, end)
                }
                Multiline::Pattern(_) => tracker.starts(mode, chunk, at, end),
            };
            if starts {
                visitor.start(at, number);
            }
        }
        number += 1;
        at = end;
    };
    block::for_each_line_feed(chunk, |feed| line(feed + 1));
    if chunk.last().is_some_and(|&last| last != b'\n') {
        line(chunk.len());
    }
    interleave.close(visitor);
    visitor.end(at, number);
    number
}
