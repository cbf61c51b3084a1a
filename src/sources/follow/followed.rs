//! One generation of a followed file while it is read: what was read and not handed out yet, where
//! that stands, and whether the file still is what it was. Knows no other file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{DiskFile, Identity, Stat};
use crate::flow::chunk::Chunk;
use crate::flow::facts::Facts;
use crate::flow::mark::{Generation, HEAD_BYTES, Marker, Piece, Place, TAIL_BYTES};
use crate::framing::cut::{CHUNK_BYTES_MAX, line_over_limit};
use crate::framing::{self, LINE_BYTES_MAX, Multiline};
use crate::sources::follow::decoded::Decoded;
use crate::sources::follow::nul;
use crate::sources::follow::pieces::{behind, up_to};
use crate::sources::follow::recent::Recent;

/// The way to a file's bytes.
pub enum Handle {
    Plain(Arc<dyn DiskFile>),
    /// Compressed after it was rotated. Offsets are those of the text.
    Decoded(Box<Decoded>),
}

impl Handle {
    /// Reads once; 0 at the end.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            let result = match self {
                Handle::Plain(file) => file.read_at(buffer, offset),
                Handle::Decoded(decoded) => decoded.read_at(buffer, offset),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Fills the buffer as far as the file goes.
    pub fn read_full(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Whether the bytes that a marker is of stand in the file.
    pub fn holds(&mut self, marker: &Marker) -> io::Result<bool> {
        let mut buffer = [0; HEAD_BYTES];
        let bytes = &mut buffer[..usize::from(marker.length)];
        let count = self.read_full(bytes, marker.start())?;
        Ok(marker.is_of(&bytes[..count]))
    }

    /// The marker of the file's first bytes.
    pub fn head(&mut self) -> io::Result<Marker> {
        let mut buffer = [0; HEAD_BYTES];
        let count = self.read_full(&mut buffer, 0)?;
        Ok(Marker::of(&buffer[..count], count as u64))
    }

    /// The marker of the bytes before an offset.
    pub fn tail(&mut self, offset: u64) -> io::Result<Marker> {
        let mut buffer = [0; TAIL_BYTES];
        let start = offset.saturating_sub(TAIL_BYTES as u64);
        let bytes = &mut buffer[..(offset - start) as usize];
        let count = self.read_full(bytes, start)?;
        Ok(Marker::of(&bytes[..count], offset))
    }
}

/// How far apart the places of a large batch are that a copy is known by: a hash of 128 bytes each.
const INNER_BYTES: usize = 32 << 10;

/// What is being done with a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Behind an older one of its rotated set: not read yet.
    Waiting,
    Open,
    /// Holds what another generation holds: not read.
    CopyOf(Generation),
    /// Read to its end; known for its copies.
    Ended,
}

/// How lines become batches.
pub struct Rule {
    pub multiline: Multiline,
    pub as_they_come: bool,
    pub counts_lines: bool,
    pub chunk_bytes: usize,
}

/// One generation.
pub struct Followed {
    /// After the last batch that was handed out.
    pub place: Place,
    /// The name it stands under now, if it still has one that is followed.
    pub path: Option<PathBuf>,
    /// What it is now: it moves to its copy when it is truncated.
    pub identity: Identity,
    pub handle: Option<Handle>,
    /// When the handle was last used, to close the one that was not for longest.
    pub used: u64,
    pub phase: Phase,
    /// The generations before and after it in its rotated set.
    pub after: Option<Generation>,
    pub younger: Option<Generation>,
    pub name: Arc<str>,
    pub facts: Option<Arc<Facts>>,
    /// Length and modification time when its name was last looked at.
    pub length: u64,
    pub modified: i64,
    /// Its end when there was more to read than one read brought: if it is truncated, so much is gone.
    pub unread_until: u64,
    /// No hint will tell of its changes.
    pub is_polled: bool,
    /// It was found at its end, so that the hint for the next byte is waited for.
    pub caught_up: bool,
    /// It began when a file was truncated, so NUL bytes at its start were written by nobody.
    pub after_truncation: bool,
    /// It could be a copy of another; looked into when there are enough bytes.
    pub is_unchecked: bool,
    /// Its bytes are read from another file for a replay, which does not make it that file.
    pub is_lent: bool,
    /// Known from a process before; not compared yet with what is there now.
    pub is_unsettled: bool,
    /// What the file before it has not handed out goes on in this one.
    pub takes_over: bool,
    /// When bytes last came, when it was last looked at, when it lost its name, when it was first
    /// seen.
    pub read_at: Duration,
    pub looked_at: Duration,
    pub gone_at: Option<Duration>,
    pub found_at: Duration,
    /// Compressed and read to its end, or passed over: it does not grow.
    pub is_finished_archive: bool,
    /// An error of reading was said.
    pub is_failing: bool,
    /// How often it was tried since then.
    pub failures: u32,
    /// Offset of the next byte to read.
    front: u64,
    /// Context and bytes not handed out, `filled` of them.
    buffer: Vec<u8>,
    filled: usize,
    context: usize,
    /// Where the filled bytes stand.
    pieces: Vec<Piece>,
    /// Bytes of an overlong line that were read and dropped behind the filled ones.
    overlong: Option<Overlong>,
    /// Lines before the filled bytes.
    lines: u64,
    /// The bytes before the filled ones, and those before the front.
    before: Recent,
    recent: Recent,
    nuls: nul::Memory,
}

#[derive(Clone, Copy)]
struct Overlong {
    dropped: u64,
    is_complete: bool,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes; `full` if there may be more at once.
    Bytes {
        full: bool,
    },
    /// NUL bytes that nobody wrote stand up to this offset; data follows.
    Hole(u64),
    Nothing,
    /// The bytes before the front are not those that were read: truncated or written anew.
    Changed,
}

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
    pub fn new(
        place: Place,
        path: Option<PathBuf>,
        stat: Option<&Stat>,
        now: Duration,
    ) -> Followed {
        Followed {
            path,
            identity: stat.map_or(place.birth.identity, |stat| stat.identity),
            handle: None,
            used: 0,
            phase: Phase::Open,
            after: None,
            younger: None,
            name: place.birth.name.as_str().into(),
            facts: None,
            length: stat.map_or(0, |stat| stat.length),
            modified: stat.map_or(0, |stat| stat.modified),
            unread_until: 0,
            is_polled: true,
            caught_up: false,
            after_truncation: false,
            is_unchecked: false,
            is_unsettled: false,
            is_lent: false,
            takes_over: false,
            read_at: now,
            looked_at: now,
            gone_at: None,
            found_at: now,
            is_failing: false,
            failures: 0,
            is_finished_archive: false,
            front: place.offset,
            buffer: Vec::new(),
            filled: 0,
            context: 0,
            pieces: Vec::new(),
            overlong: None,
            lines: place.lines,
            before: Recent::default(),
            recent: Recent::default(),
            nuls: nul::Memory::default(),
            place,
        }
    }

    pub fn generation(&self) -> Generation {
        self.place.birth.generation
    }

    /// Offset of the next byte to read.
    pub fn front(&self) -> u64 {
        self.front
    }

    /// Whether anything was read and not handed out.
    pub fn holds_bytes(&self) -> bool {
        self.filled > self.context
    }

    /// Whether there is nothing that a file after this one could take over: no bytes, and no open record.
    pub fn holds_nothing(&self) -> bool {
        self.filled == 0
    }

    /// Whether whole lines were read and not handed out.
    pub fn holds_lines(&self) -> bool {
        memchr::memrchr(b'\n', &self.buffer[self.context..self.filled]).is_some()
            || self.overlong.is_some_and(|overlong| overlong.is_complete)
    }

    /// Whether the bytes that are held end within a line.
    pub fn ends_torn(&self) -> bool {
        self.overlong.is_some()
            || self.buffer[..self.filled]
                .last()
                .is_some_and(|&last| last != b'\n')
    }

    pub fn is_compressed(&self) -> bool {
        matches!(self.handle, Some(Handle::Decoded(_)))
    }

    /// Drops what was read and not handed out, to read it again from the last batch's end on; the
    /// bytes before that are read from the handle to know it by.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.rewind_blindly();
        self.before = self.bytes_before(self.front)?;
        self.recent = self.before;
        Ok(())
    }

    /// The same where the handle's bytes are not those that were read: only the place says what they
    /// were.
    pub fn rewind_blindly(&mut self) {
        self.front = self.place.offset;
        self.lines = self.place.lines;
        self.discard();
        self.before = Recent::default();
        self.recent = Recent::default();
    }

    /// Drops what was read and not handed out: it is lost, or was handed out otherwise.
    pub fn discard(&mut self) {
        self.filled = 0;
        self.context = 0;
        self.buffer = Vec::new();
        self.pieces.clear();
        self.overlong = None;
    }

    /// The bytes of an open record, delivered before: context for what follows.
    pub fn set_context(
        &mut self,
        bytes: Vec<u8>,
        pieces: Vec<Piece>,
        lines: u64,
    ) -> io::Result<()> {
        let own = pieces
            .iter()
            .filter(|piece| piece.generation == self.generation());
        let own: u64 = own.map(|piece| piece.to - piece.from).sum();
        self.before = self.bytes_before(self.front - own)?;
        self.filled = bytes.len();
        self.context = bytes.len();
        self.buffer = bytes;
        self.pieces = pieces;
        self.lines = lines;
        Ok(())
    }

    /// The bytes before an offset, to know the file by; none if they cannot be read.
    fn bytes_before(&mut self, offset: u64) -> io::Result<Recent> {
        let mut recent = Recent::default();
        let mut bytes = [0; TAIL_BYTES];
        let start = offset.saturating_sub(TAIL_BYTES as u64);
        let bytes = &mut bytes[..(offset - start) as usize];
        if let Some(handle) = &mut self.handle
            && handle.read_full(bytes, start)? == bytes.len()
        {
            recent.push(bytes);
        }
        Ok(recent)
    }

    /// Takes over what an older generation of the same name has not handed out: a record may go on
    /// from one file to the next. Nothing if the older one ends within a line.
    pub fn carry(&mut self, older: &mut Followed) {
        if older.ends_torn() || older.filled == 0 || self.filled > 0 {
            return;
        }
        self.filled = older.filled;
        self.context = older.context;
        self.buffer = std::mem::take(&mut older.buffer);
        self.buffer.truncate(self.filled);
        self.pieces = std::mem::take(&mut older.pieces);
        self.lines = older.lines;
        older.lines += feeds(&self.buffer);
        self.read_at = older.read_at;
        older.filled = 0;
        older.context = 0;
        older.before = older.recent;
    }

    /// How many of the filled bytes stand in older files.
    fn carried(&self) -> usize {
        let own = self.generation();
        self.pieces
            .iter()
            .take_while(|piece| piece.generation != own)
            .map(|piece| (piece.to - piece.from) as usize)
            .sum()
    }

    /// Whether the file still has the bytes before the front that were read there.
    pub fn is_same(&mut self) -> io::Result<bool> {
        let recent = self.recent;
        let Some(handle) = &mut self.handle else {
            return Ok(true);
        };
        if matches!(handle, Handle::Decoded(_)) {
            return Ok(true);
        }
        let mut bytes = [0; TAIL_BYTES];
        let bytes = &mut bytes[..recent.bytes().len()];
        let count = handle.read_full(bytes, self.front - recent.bytes().len() as u64)?;
        Ok(count == bytes.len() && bytes == recent.bytes())
    }

    /// One read at the front. `spare` holds buffers of a chunk's size, of which it may take one.
    pub fn read(&mut self, rule: &Rule, spare: &mut Vec<Vec<u8>>) -> io::Result<Read> {
        let space = rule.chunk_bytes.max(1);
        if self.buffer.len() < self.filled + space.div_ceil(2) {
            self.grow(space, spare);
        }
        let handle = self
            .handle
            .as_mut()
            .expect("a file is read with its handle");
        let count = handle.read_at(&mut self.buffer[self.filled..], self.front)?;
        let full = count == self.buffer.len() - self.filled;
        if count == 0 {
            return self.nothing();
        }
        // The check comes after the read: bytes that were read before the file was changed are good,
        // and those read after are caught here.
        if !self.is_same()? {
            return Ok(Read::Changed);
        }
        if full && let Some(Handle::Plain(file)) = &self.handle {
            self.unread_until = file.stat()?.length;
        }
        let new = &self.buffer[self.filled..self.filled + count];
        let mut good = count;
        if memchr::memchr(0, new).is_some() {
            let starts_line = match self.buffer[..self.filled].last() {
                Some(&last) => last == b'\n',
                None => self.recent.bytes().last().is_none_or(|&last| last == b'\n'),
            };
            let place = nul::Stretch {
                offset: self.front,
                starts_line,
                after_truncation: self.after_truncation,
            };
            let handle = self.handle.as_mut().expect("it was just read with");
            match nul::judge(handle, new, &place, &mut self.nuls)? {
                nul::Verdict::Take(bytes) => good = bytes,
                nul::Verdict::Hole(until) => return Ok(Read::Hole(until)),
            }
            if good == 0 {
                return Ok(Read::Nothing);
            }
        }
        self.accept(good);
        Ok(Read::Bytes {
            // Where NULs were left out, there is more to look at.
            full: full || good < count,
        })
    }

    /// Counts `count` bytes behind the filled ones as read.
    fn accept(&mut self, count: usize) {
        let new = self.filled..self.filled + count;
        if let Some(overlong) = &mut self.overlong {
            // Only the line's end matters; what follows it is read again.
            let end = memchr::memchr(b'\n', &self.buffer[new.clone()]);
            let dropped = end.map_or(count, |end| end + 1);
            overlong.dropped += dropped as u64;
            overlong.is_complete = end.is_some();
            self.recent.push(&self.buffer[new][..dropped]);
            self.front += dropped as u64;
            return;
        }
        self.recent.push(&self.buffer[new]);
        let (from, to) = (self.front, self.front + count as u64);
        let generation = self.generation();
        match self.pieces.last_mut() {
            Some(last) if last.generation == generation && last.to == from => last.to = to,
            _ => self.pieces.push(Piece {
                generation,
                from,
                to,
            }),
        }
        self.filled += count;
        self.front = to;
    }

    /// Nothing was there to read: the file is at its end, or it was changed.
    fn nothing(&mut self) -> io::Result<Read> {
        let Some(Handle::Plain(file)) = &self.handle else {
            return Ok(Read::Nothing);
        };
        let stat = file.stat()?;
        if stat.length < self.front {
            return Ok(Read::Changed);
        }
        if stat.modified != self.modified && !self.is_same()? {
            return Ok(Read::Changed);
        }
        self.modified = stat.modified;
        self.length = stat.length;
        self.unread_until = 0;
        Ok(Read::Nothing)
    }

    /// Makes room for a chunk behind the filled bytes.
    fn grow(&mut self, space: usize, spare: &mut Vec<Vec<u8>>) {
        let is_enough = |buffer: &Vec<u8>| self.filled + space.div_ceil(2) <= buffer.len();
        match spare.pop_if(|buffer| is_enough(buffer)) {
            Some(mut buffer) => {
                buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
                self.buffer = buffer;
            }
            None => {
                let doubled = (self.buffer.len() * 2).clamp(space, CHUNK_BYTES_MAX);
                self.buffer.resize(doubled.max(self.filled + space), 0);
            }
        }
    }

    /// Gives a large buffer back when little of it is used, so that thousands of idle files hold
    /// nothing.
    pub fn shrink(&mut self) -> Option<Vec<u8>> {
        if self.buffer.len() <= self.filled {
            return None;
        }
        let kept = self.buffer[..self.filled].to_vec();
        Some(std::mem::replace(&mut self.buffer, kept))
    }

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
        let kept = self.buffer[keep..self.filled].to_vec();
        self.filled = kept.len();
        let buffer = std::mem::replace(&mut self.buffer, kept);
        let context_bytes = std::mem::replace(&mut self.context, context);
        self.pieces = rest;
        Made {
            chunk: Chunk::new(buffer, end),
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

    /// Reads past bytes that nobody wrote. Nothing may be held.
    pub fn skip_to(&mut self, offset: u64) -> Piece {
        let piece = Piece {
            generation: self.generation(),
            from: self.front,
            to: offset,
        };
        self.filled = 0;
        self.context = 0;
        self.pieces.clear();
        self.front = offset;
        // The bytes before the front are NULs: as good a marker as any.
        let nul = [0; TAIL_BYTES];
        let count = (piece.to - piece.from).min(TAIL_BYTES as u64) as usize;
        self.recent.push(&nul[..count]);
        self.before = self.recent;
        piece
    }

    /// The marker of the generation's first bytes, if a batch of these bytes tells more of them.
    pub fn head(&mut self, chunk: &[u8], pieces: &[Piece]) -> Option<Marker> {
        let known = usize::from(self.place.head.length);
        let last = pieces.last()?;
        if known == HEAD_BYTES || last.generation != self.generation() {
            return None;
        }
        let reach = last.to.min(HEAD_BYTES as u64) as usize;
        let mut bytes = [0; HEAD_BYTES];
        let bytes = &mut bytes[..reach];
        let older = &pieces[..pieces.len() - 1];
        let start: u64 = older.iter().map(|piece| piece.to - piece.from).sum();
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        // What was read is sure; the file itself may have been written anew since.
        if last.from == 0 && chunk.len() >= start.saturating_add(reach) {
            bytes.copy_from_slice(&chunk[start..start + reach]);
        } else {
            let count = self.handle.as_mut()?.read_full(bytes, 0).ok()?;
            if count < reach {
                return None;
            }
        }
        (reach > known).then(|| Marker::of(bytes, reach as u64))
    }

    /// The file's first line with its line feed, if it can be read and is not overlong.
    pub fn first_line(&mut self) -> Option<Vec<u8>> {
        const FIRST_LINE_BYTES_MAX: usize = 64 << 10;
        let mut bytes = vec![0; FIRST_LINE_BYTES_MAX];
        let count = self.handle.as_mut()?.read_full(&mut bytes, 0).ok()?;
        let end = memchr::memchr(b'\n', &bytes[..count])?;
        bytes.truncate(end + 1);
        Some(bytes)
    }

    /// Whether the bytes before the front were never read in this process.
    pub fn knows_no_bytes(&self) -> bool {
        self.recent.bytes().is_empty()
    }

    /// The marker of the bytes before the front, from what was read or from what a process before
    /// knew.
    pub fn tail(&self) -> Marker {
        let known = self.place.waypoints.last();
        match known.filter(|known| known.end == self.front && self.recent.bytes().is_empty()) {
            Some(known) => known,
            None => Marker::of(self.recent.bytes(), self.front),
        }
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

fn feeds(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
