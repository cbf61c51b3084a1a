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
use crate::flow::recent::Recent;
use crate::framing::chunker::{Chunker, Policy};
use crate::sources::follow::handle::Handle;
use crate::sources::follow::nul;
use crate::sources::lines::first_line;

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
    /// What was read and not handed out yet, behind the context.
    chunker: Chunker,
    /// Where the bytes in the chunker stand, and those of an overlong line that it has dropped. The last
    /// piece ends at the front; those of older files come first.
    pieces: Vec<Piece>,
    /// The bytes before the front.
    recent: Recent,
    nuls: nul::Memory,
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
            chunker: Chunker::new(place.lines),
            pieces: Vec::new(),
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
        self.chunker.holds_new()
    }

    /// Whether there is nothing that a file after this one could take over: no bytes, and no open record.
    pub fn holds_nothing(&self) -> bool {
        self.chunker.bytes().is_empty()
    }

    /// Whether whole lines were read and not handed out.
    pub fn holds_lines(&self) -> bool {
        self.chunker.holds_lines()
    }

    /// Whether the bytes that are held end within a line.
    pub fn ends_torn(&self) -> bool {
        self.chunker.ends_torn()
    }

    pub fn is_compressed(&self) -> bool {
        matches!(self.handle, Some(Handle::Decoded(_)))
    }

    /// Drops what was read and not handed out, to read it again from the last batch's end on; the
    /// bytes before that are read from the handle to know it by.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.rewind_blindly();
        let before = self.bytes_before(self.front)?;
        self.go_on_behind(before);
        Ok(())
    }

    /// The same where the handle's bytes are not those that were read: only the place says what they
    /// were.
    pub fn rewind_blindly(&mut self) {
        self.front = self.place.offset;
        self.go_on_behind(Recent::default());
    }

    /// Nothing is held, and these bytes stand before the front, where the last batch ended.
    fn go_on_behind(&mut self, before: Recent) {
        self.chunker.restart(self.place.lines, before);
        self.pieces.clear();
        self.recent = before;
    }

    /// Drops what was read and not handed out: it is lost, or was handed out otherwise.
    pub fn discard(&mut self) {
        self.chunker.discard();
        self.pieces.clear();
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
        let before = self.bytes_before(self.front - own)?;
        let carried = bytes.len().saturating_sub(own as usize);
        self.chunker = Chunker::with_context(bytes, carried, lines, before);
        self.pieces = pieces;
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
        if older.ends_torn() || older.holds_nothing() || !self.holds_nothing() {
            return;
        }
        self.chunker.carry(&mut older.chunker);
        self.pieces = std::mem::take(&mut older.pieces);
        self.read_at = older.read_at;
    }

    /// Whether bytes of older files are held.
    pub fn carries(&self) -> bool {
        self.chunker.carried() > 0
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
    pub fn read(&mut self, policy: &Policy, spare: &mut Vec<Vec<u8>>) -> io::Result<Read> {
        let space = self
            .chunker
            .space(policy, |least| spare.pop_if(|buffer| buffer.len() >= least));
        let handle = self
            .handle
            .as_mut()
            .expect("a file is read with its handle");
        let count = handle.read_at(space, self.front)?;
        let full = count == space.len();
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
        let new = self.chunker.offered(count);
        let mut good = count;
        if memchr::memchr(0, new).is_some() {
            let starts_line = match self.chunker.bytes().last() {
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

    /// Holds the next `count` bytes, which were just read.
    fn accept(&mut self, count: usize) {
        self.recent.push(self.chunker.offered(count));
        self.chunker.filled(count);
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

    /// Gives a large buffer back when little of it is used, and lets go of what is soon made again, so that
    /// thousands of idle files hold nothing.
    pub fn shrink(&mut self) -> Option<Vec<u8>> {
        if self.has_no_header {
            self.facts = None;
        }
        self.chunker.shrink()
    }

    /// Reads past bytes that nobody wrote. Nothing may be held.
    pub fn skip_to(&mut self, offset: u64) -> Piece {
        let piece = Piece {
            generation: self.generation(),
            from: self.front,
            to: offset,
        };
        self.front = offset;
        // The bytes before the front are NULs: as good a marker as any.
        let nul = [0; TAIL_BYTES];
        let count = (piece.to - piece.from).min(TAIL_BYTES as u64) as usize;
        let mut before = self.recent;
        before.push(&nul[..count]);
        self.go_on_behind(before);
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
        let handle = self.handle.as_mut()?;
        first_line(|head| handle.read_full(head, 0)).ok()?
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
