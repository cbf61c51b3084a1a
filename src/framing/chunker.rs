//! Cuts the bytes of one source into chunks of whole records. Files, followed files, standard input and
//! the output of programs all go through it: a reader puts bytes in and takes cuts out, and does nothing
//! but I/O itself.
//!
//! ```text
//! loop {
//!     let count = source.read(chunker.space(&policy, spare))?;
//!     chunker.filled(count);
//!     while let Some(cut) = chunker.next(&policy, Why::CaughtUp) { … }
//! }
//! while let Some(cut) = chunker.next(&policy, Why::End) { … }
//! ```
//!
//! Pure: no I/O and no clock, so what it does depends on the bytes and on the reasons of the calls alone.
//! Where reads end changes neither the records, nor which lines are cut, nor their numbers (law 1). Only a
//! quiet moment does: it ends the record that is open.

use crate::flow::chunk::Chunk;
use crate::flow::recent::Recent;
use crate::framing::cut::{
    CHUNK_BYTES_MAX, cut, first_start_after, line_over_limit, open_is_wrapped,
};
use crate::framing::{LINE_BYTES_MAX, Multiline};

/// A chunk that fills less of its buffer than this share is copied out of it: thousands of sources that
/// have a line each would otherwise send as many buffers on their way.
const COPIED_SHARE: usize = 16;

/// How bytes become chunks. The same for all sources of a run, so each chunker is handed it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub multiline: Multiline,
    /// A record's lines go out before the record is known to be whole. They lead the next chunk once
    /// more, as its context.
    pub as_they_come: bool,
    pub counts_lines: bool,
    /// Bytes of one read.
    pub chunk_bytes: usize,
}

/// Why a cut is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The buffer is full, and more bytes follow at once.
    Full,
    /// Everything was read that is there at present.
    CaughtUp,
    /// Nothing came for a while: whole lines go out, also those of a record that may go on.
    Quiet,
    /// Nothing will come any more: the torn last line goes out too.
    End,
}

/// A chunk, and what stands around it.
#[derive(Debug)]
pub struct Cut {
    pub chunk: Chunk,
    /// Bytes at the chunk's start that the cut before had already. If all of them are, the cut has
    /// nothing new: it says that the record they belong to has ended.
    pub context_bytes: usize,
    /// Bytes at the chunk's end that the next cut begins with, as its context.
    pub open_bytes: usize,
    /// Bytes of the chunk's last line that were read behind the chunk and left out, the line feed among
    /// them: the line is longer than [`LINE_BYTES_MAX`]. It is then all that the chunk holds.
    pub cut_bytes: u64,
    /// Lines of the source before the chunk, if lines are counted.
    pub lines_before: u64,
    /// Lines before the chunk's end and what was left out, of the source that its last byte is of; 0 if lines
    /// are not counted.
    pub lines: u64,
}

impl Cut {
    /// Whether all its bytes were in the cut before.
    pub fn is_known(&self) -> bool {
        self.context_bytes == self.chunk.len()
    }
}

/// The bytes of one source that were read and not cut off yet.
#[derive(Debug, Default)]
pub struct Chunker {
    /// The first `filled` bytes are held, in the order of the source; they begin where a record begins.
    /// The others are room for the next read, and what they contain means nothing.
    buffer: Vec<u8>,
    /// At most `buffer.len()`.
    filled: usize,
    /// So many of the held bytes, from the first on, were cut off before: whole lines of the record that
    /// is open. At most `filled`.
    context: usize,
    /// So many of the held bytes, from the first on, are of the source before this one: whole lines. At
    /// most `filled`.
    carried: usize,
    /// The line at the start of the buffer, if it is longer than [`LINE_BYTES_MAX`]. There is neither
    /// context nor anything carried then.
    overlong: Option<Overlong>,
    /// Lines before the first held byte: of the source that it is of. Counts only if the policy says so.
    lines: u64,
    /// This source's last bytes before the first held byte. Of an overlong line: the last that were
    /// dropped.
    before: Recent,
}

/// A line of which the first [`LINE_BYTES_MAX`] bytes are the first of the buffer.
#[derive(Clone, Copy, Debug)]
struct Overlong {
    /// Bytes that followed and were dropped, the line feed among them.
    dropped: u64,
    /// The line feed was there. Until then everything that comes is dropped, and nothing is held but the
    /// line's first bytes.
    is_complete: bool,
}

impl Chunker {
    /// For a source that is read from some line on.
    pub fn new(lines: u64) -> Chunker {
        Chunker {
            lines,
            ..Chunker::default()
        }
    }

    /// Lines of the source that went out, if lines are counted.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Goes on behind the lines of a record that is open and that were cut off before; `carried` of the
    /// bytes are of the source before this one.
    pub fn with_context(context: Vec<u8>, carried: usize, lines: u64, before: Recent) -> Chunker {
        Chunker {
            filled: context.len(),
            context: context.len(),
            buffer: context,
            carried,
            overlong: None,
            lines,
            before,
        }
    }

    /// Room for the next read, never none. `spare` may give a buffer that was used before and has at
    /// least so many bytes.
    pub fn space(
        &mut self,
        policy: &Policy,
        spare: impl FnOnce(usize) -> Option<Vec<u8>>,
    ) -> &mut [u8] {
        let read = policy.chunk_bytes.max(1);
        // Behind an overlong line the same room is used again and again.
        let least = if self.overlong.is_some() { read } else { 1 };
        if self.buffer.len() - self.filled < least {
            let least = self.filled + read.div_ceil(2).max(least);
            let mut buffer = spare(least).unwrap_or_else(|| {
                let doubled = (self.buffer.len() * 2).clamp(read, CHUNK_BYTES_MAX.max(read));
                // Not `resize`: pages that nothing is read into are never touched.
                vec![0; least.max(doubled)]
            });
            buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = buffer;
        }
        &mut self.buffer[self.filled..]
    }

    /// The first `count` bytes of the room, which were just read.
    pub fn offered(&self, count: usize) -> &[u8] {
        &self.buffer[self.filled..self.filled + count]
    }

    /// Holds the first `count` bytes of the room, which were just read.
    pub fn filled(&mut self, count: usize) {
        assert!(
            count <= self.buffer.len() - self.filled,
            "a read fills at most its room"
        );
        self.filled += count;
        if self.overlong.is_some_and(|overlong| !overlong.is_complete) {
            self.drop_line();
        }
    }

    /// The next chunk that can be cut off now, for as long as there is one.
    pub fn next(&mut self, policy: &Policy, why: Why) -> Option<Cut> {
        if self.overlong.is_none()
            && let Some(at) = line_over_limit(self.bytes())
        {
            // Such a line is a record of its own, whatever stands around it.
            if at > self.context {
                return Some(self.cut(policy, at, 0));
            }
            if at > 0 {
                return Some(self.close(policy, at));
            }
            self.begin_overlong();
        }
        if let Some(overlong) = self.overlong {
            let is_due = overlong.is_complete || why == Why::End;
            return is_due.then(|| self.cut_overlong(policy));
        }
        if why == Why::End {
            return (self.filled > self.context).then(|| self.cut(policy, self.filled, 0));
        }
        let bytes = self.bytes();
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |feed| feed + 1);
        if whole <= self.context {
            return None;
        }
        if why == Why::Quiet {
            return Some(self.cut(policy, whole, 0));
        }
        if self.carried > 0 {
            return self.next_carried(policy, whole);
        }
        let bytes = &bytes[..whole];
        let sure = cut(&policy.multiline, bytes).unwrap_or(0);
        let is_sure = sure > self.context;
        if policy.as_they_come && !(is_sure && why == Why::Full) && !open_is_wrapped(bytes) {
            return Some(self.cut(policy, whole, whole - sure));
        }
        if is_sure {
            return Some(self.cut(policy, sure, 0));
        }
        // A run of container parts whose limit is in decoded bytes is all that grows so large.
        (self.filled >= CHUNK_BYTES_MAX).then(|| self.cut(policy, whole, 0))
    }

    /// Bytes of the source before come first: a record that goes on in this one, and no other, is put
    /// together from both.
    fn next_carried(&mut self, policy: &Policy, whole: usize) -> Option<Cut> {
        let bytes = &self.buffer[..whole];
        match first_start_after(&policy.multiline, bytes, self.carried) {
            Some(start) if start > self.context => Some(self.cut(policy, start, 0)),
            Some(start) => Some(self.close(policy, start)),
            None if policy.as_they_come && !open_is_wrapped(bytes) => {
                Some(self.cut(policy, whole, whole))
            }
            None => (whole >= CHUNK_BYTES_MAX / 2).then(|| self.cut(policy, whole, 0)),
        }
    }

    /// Cuts off the first `end` bytes. The last `open` of them stay, as context.
    fn cut(&mut self, policy: &Policy, end: usize, open: usize) -> Cut {
        let keep = end - open;
        let lines_before = self.lines;
        let lines = match (policy.counts_lines, self.carried) {
            (false, _) => {
                self.pass(false, keep);
                0
            }
            // No byte is looked at twice.
            (true, 0) => {
                self.pass(true, keep);
                self.lines + feeds(&self.buffer[keep..end])
            }
            (true, carried) => {
                let lines = match end > carried {
                    true => feeds(&self.buffer[carried..end]),
                    false => lines_before + feeds(&self.buffer[..end]),
                };
                self.pass(true, keep);
                lines
            }
        };
        let context_bytes = std::mem::replace(&mut self.context, open);
        Cut {
            chunk: self.take(end, keep),
            context_bytes,
            open_bytes: open,
            cut_bytes: 0,
            lines_before,
            lines,
        }
    }

    /// Cuts off the first `end` bytes, which are all context: nothing follows them in their record.
    fn close(&mut self, policy: &Policy, end: usize) -> Cut {
        let context = self.context - end;
        let closed = self.cut(policy, end, 0);
        self.context = context;
        Cut {
            context_bytes: end,
            ..closed
        }
    }

    /// The line at the buffer's start is over the limit: keeps its first bytes, and drops the others.
    fn begin_overlong(&mut self) {
        debug_assert!(self.context == 0 && self.carried == 0, "the line is alone");
        self.before.push(&self.buffer[..LINE_BYTES_MAX]);
        self.overlong = Some(Overlong {
            dropped: 0,
            is_complete: false,
        });
        self.drop_line();
    }

    /// Drops what follows the overlong line's first bytes, up to its line feed.
    fn drop_line(&mut self) {
        let Some(overlong) = &mut self.overlong else {
            return;
        };
        let new = &self.buffer[LINE_BYTES_MAX..self.filled];
        let end = memchr::memchr(b'\n', new);
        let count = end.map_or(new.len(), |feed| feed + 1);
        overlong.dropped += count as u64;
        overlong.is_complete = end.is_some();
        self.before.push(&new[..count]);
        let rest = LINE_BYTES_MAX + count..self.filled;
        self.buffer.copy_within(rest, LINE_BYTES_MAX);
        self.filled -= count;
    }

    fn cut_overlong(&mut self, policy: &Policy) -> Cut {
        let before = self.before;
        let overlong = self.overlong.take();
        let mut cut = self.cut(policy, LINE_BYTES_MAX, 0);
        self.before = before;
        if let Some(overlong) = overlong {
            cut.cut_bytes = overlong.dropped;
            let feed = u64::from(policy.counts_lines && overlong.is_complete);
            cut.lines += feed;
            self.lines += feed;
        }
        cut
    }

    /// Counts the first `count` held bytes as gone by: lines and bytes of the source before are not this
    /// one's.
    fn pass(&mut self, counts_lines: bool, count: usize) {
        let carried = self.carried.min(count);
        let (of_older, own) = self.buffer[..count].split_at(carried);
        self.carried -= carried;
        if carried > 0 && self.carried == 0 {
            self.lines = 0;
        } else if counts_lines {
            self.lines += feeds(of_older);
        }
        if counts_lines {
            self.lines += feeds(own);
        }
        self.before.push(own);
    }

    /// The first `end` bytes; those from `keep` on stay.
    fn take(&mut self, end: usize, keep: usize) -> Chunk {
        let rest = keep..self.filled;
        self.filled -= keep;
        if end < self.buffer.len() / COPIED_SHARE {
            let chunk = Chunk::new(self.buffer[..end].to_vec(), end);
            self.buffer.copy_within(rest, 0);
            return chunk;
        }
        let kept = self.buffer[rest].to_vec();
        Chunk::new(std::mem::replace(&mut self.buffer, kept), end)
    }

    /// Takes over what the source before holds: its last record may go on in this one, which holds
    /// nothing yet.
    pub fn carry(&mut self, older: &mut Chunker) {
        debug_assert!(self.filled == 0, "nothing stands before what is carried");
        if older.filled == 0 {
            return;
        }
        self.lines = older.lines;
        older.pass(true, older.filled);
        self.filled = std::mem::take(&mut older.filled);
        self.context = std::mem::take(&mut older.context);
        self.carried = self.filled;
        self.buffer = std::mem::take(&mut older.buffer);
        self.buffer.truncate(self.filled);
    }

    /// Drops what is held. What comes next stands behind so many lines and these bytes.
    pub fn restart(&mut self, lines: u64, before: Recent) {
        self.discard();
        self.lines = lines;
        self.before = before;
    }

    /// Drops what is held, and gives its buffer away.
    pub fn discard(&mut self) -> Vec<u8> {
        let empty = Chunker {
            lines: self.lines,
            before: self.before,
            ..Chunker::default()
        };
        std::mem::replace(self, empty).buffer
    }

    /// Gives the buffer away if it is larger than what is held.
    pub fn shrink(&mut self) -> Option<Vec<u8>> {
        if self.buffer.len() <= self.filled {
            return None;
        }
        let kept = self.bytes().to_vec();
        Some(std::mem::replace(&mut self.buffer, kept))
    }

    /// What is held, context and carried bytes among it.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// How many of the held bytes are of the source before this one.
    pub fn carried(&self) -> usize {
        self.carried
    }

    /// This source's last bytes before the held ones.
    pub fn before(&self) -> Recent {
        self.before
    }

    /// No room is left for a read.
    pub fn is_full(&self) -> bool {
        self.filled == self.buffer.len()
    }

    /// Whether anything is held that was not cut off before.
    pub fn holds_new(&self) -> bool {
        self.filled > self.context
    }

    /// Whether whole lines are held that were not cut off before.
    pub fn holds_lines(&self) -> bool {
        memchr::memrchr(b'\n', &self.buffer[self.context..self.filled]).is_some()
            || self.overlong.is_some_and(|overlong| overlong.is_complete)
    }

    /// Whether what is held ends within a line.
    pub fn ends_torn(&self) -> bool {
        self.bytes().last().is_some_and(|&last| last != b'\n')
    }

    /// Whether what comes belongs to a line over the limit, and is dropped up to its line feed.
    pub fn is_dropping(&self) -> bool {
        self.overlong.is_some_and(|overlong| !overlong.is_complete)
    }
}

fn feeds(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
