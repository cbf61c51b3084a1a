//! What a file has to hand out, and where batches end: at sure starts of records, at the present end of
//! the file, or at its last.

use crate::flow::chunk::Chunk;
use crate::flow::mark::{Generation, Marker, Piece, TAIL_BYTES};
use crate::framing::cut::{CHUNK_BYTES_MAX, line_over_limit};
use crate::framing::{self, LINE_BYTES_MAX};
use crate::sources::follow::followed::{Followed, Overlong, Rule};
use crate::sources::follow::pieces::{behind, up_to};
use crate::sources::follow::recent::Recent;

/// How far apart the places of a large batch are that a copy is known by: a hash of 128 bytes each.
const INNER_BYTES: usize = 32 << 10;

/// A batch that fills less of its buffer than this is copied out of it: thousands of files that have
/// a line each would otherwise send as many buffers on their way.
const COPIED_SHARE: usize = 16;

/// Why a batch is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The buffer is full.
    Full,
    /// The file was read to its present end.
    CaughtUp,
    /// Nothing came for a while: what is complete goes out.
    Quiet,
    /// Nothing will come any more: the torn line goes out too.
    End,
}

/// The parts of a batch.
pub struct Made {
    pub chunk: Chunk,
    pub pieces: Vec<Piece>,
    pub open: Vec<Piece>,
    pub context_bytes: usize,
    pub cut_bytes: u64,
    pub lines_before: u64,
    /// Lines before the batch's end.
    pub lines: u64,
    pub tail: Marker,
    /// The tails of the pieces that stand in older generations, and markers within the last one.
    pub inner_tails: Vec<(Generation, Marker)>,
}

impl Followed {
    /// Takes what can be handed out now.
    pub fn take(&mut self, rule: &Rule, why: Why) -> Option<Made> {
        if let Some(overlong) = self.overlong {
            return (overlong.is_complete || why == Why::End).then(|| self.overlong(rule));
        }
        if let Some(at) = line_over_limit(&self.buffer[..self.filled]) {
            if at > self.context {
                return Some(self.make(rule, at, at, 0));
            }
            self.cut_line(at + LINE_BYTES_MAX);
            return None;
        }
        let bytes = &self.buffer[..self.filled];
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |feed| feed + 1);
        if why == Why::End {
            return (self.filled > self.context)
                .then(|| self.make(rule, self.filled, self.filled, 0));
        }
        if whole <= self.context {
            return None;
        }
        if why == Why::Quiet {
            return Some(self.make(rule, whole, whole, 0));
        }
        let carried = self.carried();
        if carried > 0 {
            return self.take_carried(rule, whole, carried);
        }
        let sure = framing::cut::cut(&rule.multiline, &bytes[..whole]).unwrap_or(0);
        if why == Why::Full && sure > self.context {
            return Some(self.make(rule, sure, sure, 0));
        }
        if rule.as_they_come && !framing::cut::open_is_wrapped(&bytes[..whole]) {
            return Some(self.make(rule, whole, sure, whole - sure));
        }
        if sure > self.context {
            return Some(self.make(rule, sure, sure, 0));
        }
        // A run of container parts whose limit is in decoded bytes is all that grows so large.
        (bytes.len() >= CHUNK_BYTES_MAX).then(|| self.make(rule, whole, whole, 0))
    }

    /// Bytes of an older file come first: a record that goes on in this one, and no other, is put
    /// together from both, so that every record has one place.
    fn take_carried(&mut self, rule: &Rule, whole: usize, carried: usize) -> Option<Made> {
        let bytes = &self.buffer[..whole];
        match framing::cut::first_start_after(&rule.multiline, bytes, carried) {
            Some(start) if start > self.context => Some(self.make(rule, start, start, 0)),
            Some(start) => {
                // All of it went out before; nothing follows it.
                self.drop_front(rule, start);
                self.take(rule, Why::CaughtUp)
            }
            None if rule.as_they_come && !framing::cut::open_is_wrapped(bytes) => {
                Some(self.make(rule, whole, 0, whole))
            }
            None => (whole >= CHUNK_BYTES_MAX / 2).then(|| self.make(rule, whole, whole, 0)),
        }
    }

    /// Keeps the first bytes of an overlong line; the others are dropped as they come.
    fn cut_line(&mut self, end: usize) {
        let surplus = self.filled - end;
        self.filled = end;
        self.front -= surplus as u64;
        if let Some(last) = self.pieces.last_mut() {
            last.to -= surplus as u64;
        }
        self.recent.push(&self.buffer[..end]);
        self.overlong = Some(Overlong {
            dropped: 0,
            is_complete: false,
        });
    }

    /// Hands out an overlong line.
    fn overlong(&mut self, rule: &Rule) -> Made {
        let overlong = self.overlong.take().expect("it was asked for");
        let filled = self.filled;
        let mut made = self.make(rule, filled, filled, 0);
        if let Some(last) = made.pieces.last_mut() {
            last.to += overlong.dropped;
        }
        made.cut_bytes = overlong.dropped;
        if rule.counts_lines && overlong.is_complete {
            made.lines += 1;
            self.lines += 1;
        }
        self.before = self.recent;
        made.tail = Marker::of(self.recent.bytes(), self.front);
        made
    }

    /// Forgets bytes at the start that are no longer needed.
    fn drop_front(&mut self, rule: &Rule, count: usize) {
        self.pass(rule, count);
        self.pieces = behind(&self.pieces, count);
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
        self.context = self.context.saturating_sub(count);
    }

    /// Counts the first `count` filled bytes as gone by: lines and bytes of older files are not this
    /// one's.
    fn pass(&mut self, rule: &Rule, count: usize) {
        let carried = self.carried();
        if carried > 0 && count >= carried {
            self.lines = 0;
        }
        let own = &self.buffer[carried.min(count)..count];
        if rule.counts_lines && (carried == 0 || count >= carried) {
            self.lines += feeds(own);
        }
        self.before.push(own);
    }

    /// The first `end` bytes as a batch. From `keep` on the bytes stay; `context` of them were handed
    /// out.
    fn make(&mut self, rule: &Rule, end: usize, keep: usize, context: usize) -> Made {
        let pieces = up_to(&self.pieces, end);
        let rest = behind(&self.pieces, keep);
        let open = up_to(&rest, context);
        let lines_before = self.lines;
        let lines = match (rule.counts_lines, self.carried()) {
            (false, _) => 0,
            (true, 0) => lines_before + feeds(&self.buffer[..end]),
            (true, carried) => feeds(&self.buffer[carried.min(end)..end]),
        };
        let own = pieces.last().expect("a batch has bytes");
        let reach = ((own.to - own.from) as usize).min(end).min(TAIL_BYTES);
        let mut tail = if pieces.len() == 1 && own.generation == self.generation() {
            self.before
        } else {
            Recent::default()
        };
        tail.push(&self.buffer[end - reach..end]);
        let tail = Marker::of(tail.bytes(), own.to);
        let mut inner_tails = self.older_tails(&pieces);
        inner_tails.extend(inner_markers(&self.buffer[..end], own));
        self.pass(rule, keep);
        let chunk = self.cut(end, keep);
        let context_bytes = std::mem::replace(&mut self.context, context);
        self.pieces = rest;
        Made {
            chunk,
            pieces,
            open,
            context_bytes,
            cut_bytes: 0,
            lines_before,
            lines,
            tail,
            inner_tails,
        }
    }

    /// The first `end` bytes, and what stays here is those from `keep` on.
    fn cut(&mut self, end: usize, keep: usize) -> Chunk {
        if end < self.buffer.len() / COPIED_SHARE {
            let chunk = Chunk::new(self.buffer[..end].to_vec(), end);
            self.buffer.copy_within(keep..self.filled, 0);
            self.filled -= keep;
            return chunk;
        }
        let kept = self.buffer[keep..self.filled].to_vec();
        self.filled = kept.len();
        let buffer = std::mem::replace(&mut self.buffer, kept);
        Chunk::new(buffer, end)
    }

    /// Markers of the bytes before the ends of all pieces but the last one, which begin at the filled
    /// bytes' start.
    fn older_tails(&self, pieces: &[Piece]) -> Vec<(Generation, Marker)> {
        let mut end = 0;
        let older = &pieces[..pieces.len().saturating_sub(1)];
        older
            .iter()
            .map(|piece| {
                let length = (piece.to - piece.from) as usize;
                end += length;
                let bytes = &self.buffer[end - length.min(TAIL_BYTES)..end];
                (piece.generation, Marker::of(bytes, piece.to))
            })
            .collect()
    }
}

/// Markers at places within the piece that ends the bytes. A copy that was made while the file was
/// written on ends somewhere, and is known by the nearest one below.
fn inner_markers(bytes: &[u8], piece: &Piece) -> impl Iterator<Item = (Generation, Marker)> {
    let length = usize::try_from(piece.to - piece.from).unwrap_or(usize::MAX);
    let length = length.min(bytes.len());
    let start = bytes.len() - length;
    (INNER_BYTES..length).step_by(INNER_BYTES).map(move |at| {
        let end = start + at;
        let marker = Marker::of(&bytes[end - TAIL_BYTES..end], piece.from + at as u64);
        (piece.generation, marker)
    })
}

pub(super) fn feeds(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
