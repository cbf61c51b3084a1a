//! Reads the batches of a journal once more after a restart, with the same borders. What cannot be had
//! again is named.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::flow::batch::Batch;
use crate::flow::chunk::Chunk;
use crate::flow::mark::{Fate, Generation, Kind, Mark, Piece, Place};
use crate::sources::follow::Follower;
use crate::sources::follow::followed::Phase;
use crate::sources::follow::handle::Handle;

/// How often bytes are asked for once more after an error of reading, before they count as lost.
const TRIES: usize = 20;

impl Follower {
    /// Makes a batch of the journal again. If its bytes are gone, it says so.
    pub(super) fn replay_next(&mut self, mark: Mark) -> Batch {
        let ended: Vec<_> = mark
            .fates
            .iter()
            .copied()
            .filter(|(_, fate)| *fate == Fate::Ended)
            .collect();
        let batch = self.read_mark(mark);
        for (generation, fate) in ended {
            self.repeat(generation, fate);
        }
        batch
    }

    fn read_mark(&mut self, mut mark: Mark) -> Batch {
        let now = self.clock.monotonic();
        mark.replayed = true;
        for birth in std::mem::take(&mut mark.births) {
            let place = Place::new(Arc::clone(&birth));
            if !self.files.contains_key(&birth.generation) {
                self.take_over(place, now);
            }
            mark.births.push(birth);
        }
        let before = mark.fates.iter().filter(|(_, fate)| *fate != Fate::Ended);
        for (generation, fate) in before {
            self.repeat(*generation, *fate);
        }
        let source = |follower: &Follower, generation: Generation| {
            let file = follower.files.get(&generation);
            file.map(|file| (file.place.birth.source, Arc::clone(&file.place.birth.name)))
        };
        let Some(last) = mark.pieces.last().copied() else {
            let source = mark
                .births
                .first()
                .map_or(self.news.source, |birth| birth.source);
            return self.empty(source, "".into(), mark);
        };
        let Some((row, name)) = source(self, last.generation) else {
            return self.empty(self.news.source, "".into(), mark);
        };
        if mark.kind != Kind::Data {
            self.advance(&mark);
            return self.empty(row, name, mark);
        }
        let mut bytes = self.read_again(&mark);
        for _ in 0..TRIES {
            if bytes.is_ok() {
                break;
            }
            bytes = self.read_again(&mark);
        }
        if bytes.is_err()
            && let Some(last) = mark.pieces.last()
        {
            self.unfound.insert(last.generation);
        }
        match bytes.ok().flatten() {
            Some(bytes) => {
                let length = bytes.len();
                let lines_before = self.lines_before(&mark, &bytes);
                self.batch(
                    last.generation,
                    Chunk::new(bytes, length),
                    lines_before,
                    mark,
                )
            }
            None => {
                mark.kind = Kind::Lost;
                // What was context was counted before.
                let mut context = u64::from(mark.context_bytes);
                for piece in &mut mark.pieces {
                    let part = context.min(piece.to - piece.from);
                    piece.from += part;
                    context -= part;
                }
                mark.pieces.retain(|piece| piece.from < piece.to);
                mark.context_bytes = 0;
                mark.cut_bytes = 0;
                mark.open.clear();
                self.advance(&mark);
                self.empty(row, name, mark)
            }
        }
    }

    fn repeat(&mut self, generation: Generation, fate: Fate) {
        match fate {
            Fate::Ended => {
                if let Some(file) = self.files.get_mut(&generation) {
                    file.phase = Phase::Ended;
                    file.place.ended = true;
                    if file.handle.take().is_some() {
                        self.handles -= 1;
                    }
                }
            }
            Fate::Moved(identity) => {
                if let Some(file) = self.files.get_mut(&generation) {
                    // It may have ended before its copy was found.
                    file.phase = Phase::Open;
                    file.place.ended = false;
                    if file.identity != identity {
                        // What was found for it before is the file that it left.
                        file.path = None;
                        self.handles -= usize::from(file.handle.take().is_some());
                    }
                }
                self.change_identity(generation, identity);
            }
            Fate::Forgotten => {
                if let Some(file) = self.files.remove(&generation) {
                    self.handles -= usize::from(file.handle.is_some());
                    if self.by_identity.get(&file.identity) == Some(&generation) {
                        self.by_identity.remove(&file.identity);
                    }
                }
            }
        }
    }

    fn advance(&mut self, mark: &Mark) {
        let own: BTreeSet<Generation> = mark.pieces.iter().map(|piece| piece.generation).collect();
        for generation in own {
            if let Some(file) = self.files.get_mut(&generation) {
                file.place.advance(mark);
            }
        }
    }

    /// The bytes of a mark, if they are still there as they were.
    fn read_again(&mut self, mark: &Mark) -> io::Result<Option<Vec<u8>>> {
        let Some(last) = mark.pieces.last().map(|piece| piece.generation) else {
            return Ok(None);
        };
        let missing: BTreeSet<Generation> = mark
            .pieces
            .iter()
            .filter(|piece| {
                let file = self.files.get(&piece.generation);
                file.is_some_and(|file| file.handle.is_none())
            })
            .map(|piece| piece.generation)
            .collect();
        for generation in missing {
            if !self.open(generation).unwrap_or(false) && !self.unfound.contains(&generation) {
                self.find(generation, (generation == last).then_some(mark))?;
            }
        }
        let Some(file) = self.files.get_mut(&last) else {
            return Ok(None);
        };
        let is_there = match &mut file.handle {
            Some(handle) => holds(handle, mark)?,
            None => false,
        };
        if !is_there {
            if file.handle.take().is_some() {
                self.handles -= 1;
            }
            if self.unfound.contains(&last) || !self.find(last, Some(mark))? {
                // Looked for once: a directory that is listed for every batch would take for ever.
                self.unfound.insert(last);
                return Ok(None);
            }
        }
        self.gather(&mark.pieces, mark.cut_bytes)
    }

    /// The bytes of some pieces, but for `cut` at the end.
    pub(super) fn gather(&mut self, pieces: &[Piece], cut: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let to = if number + 1 == pieces.len() {
                piece.to - cut
            } else {
                piece.to
            };
            let handle = self
                .files
                .get_mut(&piece.generation)
                .and_then(|file| file.handle.as_mut());
            let Some(handle) = handle else {
                return Ok(None);
            };
            let start = bytes.len();
            bytes.resize(start + (to - piece.from) as usize, 0);
            if handle.read_full(&mut bytes[start..], piece.from)? < bytes.len() - start {
                return Ok(None);
            }
        }
        Ok(Some(bytes))
    }

    /// Lines of the first piece's generation before it.
    fn lines_before(&self, mark: &Mark, bytes: &[u8]) -> u64 {
        let Some(first) = mark.pieces.first() else {
            return 0;
        };
        let lines = self
            .files
            .get(&first.generation)
            .map_or(0, |file| file.place.lines);
        let context = &bytes[..(mark.context_bytes as usize).min(bytes.len())];
        lines.saturating_sub(memchr::memchr_iter(b'\n', context).count() as u64)
    }
}

/// Whether a file holds the bytes that a mark says stand before its end.
pub(super) fn holds(handle: &mut Handle, mark: &Mark) -> io::Result<bool> {
    let is_head = match &mark.head {
        Some(head) => handle.holds(head)?,
        None => true,
    };
    Ok(is_head && handle.holds(&mark.tail)?)
}
