//! One generation of a followed file while it is read: what was read and not handed out yet, where
//! that stands, and whether the file still is what it was. Knows no other file.

pub mod made;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Identity, Stat};
use crate::flow::facts::Facts;
use crate::flow::mark::{Generation, HEAD_BYTES, Marker, Piece, Place, TAIL_BYTES};
use crate::framing::Multiline;
use crate::framing::cut::CHUNK_BYTES_MAX;
use crate::sources::follow::followed::made::feeds;
use crate::sources::follow::handle::Handle;
use crate::sources::follow::nul;
use crate::sources::follow::recent::Recent;

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
    pub facts: Option<Arc<Facts>>,
    /// Its first line was looked at and is no CSV header.
    pub has_no_header: bool,
    /// Length and modification time when its name was last looked at.
    pub length: u64,
    pub modified: i64,
    /// Its end when there was more to read than one read brought: if it is truncated or removed, so much
    /// is gone.
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
            facts: None,
            has_no_header: false,
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

    /// Whether bytes of older files are held.
    pub fn carries(&self) -> bool {
        self.carried() > 0
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
                // Not `resize`: pages that nothing was read into are never touched.
                let mut buffer = vec![0; doubled.max(self.filled + space)];
                buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
                self.buffer = buffer;
            }
        }
    }

    /// Gives a large buffer back when little of it is used, and lets go of what is soon made again, so that
    /// thousands of idle files hold nothing.
    pub fn shrink(&mut self) -> Option<Vec<u8>> {
        if self.has_no_header {
            self.facts = None;
        }
        if self.buffer.len() <= self.filled {
            return None;
        }
        let kept = self.buffer[..self.filled].to_vec();
        Some(std::mem::replace(&mut self.buffer, kept))
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
