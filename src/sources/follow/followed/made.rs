//! What a file has to hand out: the chunks that its chunker cuts, with where their bytes stand and the markers
//! that those are known by.

use crate::flow::chunk::Chunk;
use crate::flow::mark::{Generation, Marker, Piece, TAIL_BYTES};
use crate::flow::recent::Recent;
use crate::framing::chunker::{Cut, Policy, Why};
use crate::sources::follow::followed::Followed;
use crate::sources::follow::pieces::{behind, up_to};

/// How far apart the places of a large batch are that a copy is known by: a hash of 128 bytes each.
const INNER_BYTES: usize = 32 << 10;

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
    pub fn take(&mut self, policy: &Policy, why: Why) -> Option<Made> {
        loop {
            let before = self.chunker.before();
            let cut = self.chunker.next(policy, why)?;
            if !cut.is_known() {
                return Some(self.make(cut, before));
            }
            // All of it went out before, and nothing follows it.
            self.pieces = behind(&self.pieces, cut.chunk.len());
        }
    }

    /// A batch of what was cut off; `before` stood before it.
    fn make(&mut self, cut: Cut, before: Recent) -> Made {
        let bytes = &*cut.chunk;
        let dropped = usize::try_from(cut.cut_bytes).unwrap_or(usize::MAX);
        let reach = bytes.len().saturating_add(dropped);
        let pieces = up_to(&self.pieces, reach);
        self.pieces = behind(&self.pieces, reach - cut.open_bytes);
        let open = up_to(&self.pieces, cut.open_bytes);
        let own = pieces.last().expect("a batch has bytes");
        let tail = match cut.cut_bytes {
            0 => {
                let mut tail = match pieces.len() {
                    1 if own.generation == self.generation() => before,
                    _ => Recent::default(),
                };
                let length = ((own.to - own.from) as usize).min(bytes.len());
                tail.push(&bytes[bytes.len() - length.min(TAIL_BYTES)..]);
                tail
            }
            // The line's last bytes are not in the chunk.
            _ => self.chunker.before(),
        };
        let mut inner_tails = older_tails(bytes, &pieces);
        let within = Piece {
            to: own.to - cut.cut_bytes,
            ..*own
        };
        inner_tails.extend(inner_markers(bytes, &within));
        Made {
            tail: Marker::of(tail.bytes(), own.to),
            chunk: cut.chunk,
            pieces,
            open,
            context_bytes: cut.context_bytes,
            cut_bytes: cut.cut_bytes,
            lines_before: cut.lines_before,
            lines: cut.lines,
            inner_tails,
        }
    }
}

/// Markers of the bytes before the ends of all pieces but the last one.
fn older_tails(bytes: &[u8], pieces: &[Piece]) -> Vec<(Generation, Marker)> {
    let mut end = 0;
    let older = &pieces[..pieces.len().saturating_sub(1)];
    older
        .iter()
        .map(|piece| {
            let length = (piece.to - piece.from) as usize;
            end += length;
            let bytes = &bytes[end - length.min(TAIL_BYTES)..end];
            (piece.generation, Marker::of(bytes, piece.to))
        })
        .collect()
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
