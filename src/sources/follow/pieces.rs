//! Stretches of generations, cut at a number of bytes: where the start of a buffer stands, and where
//! what is left of it does.

use crate::flow::mark::Piece;

/// The pieces of the first `count` bytes.
pub fn up_to(pieces: &[Piece], mut count: usize) -> Vec<Piece> {
    // Thousands of idle files keep theirs, mostly a single one.
    let mut taken = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if count == 0 {
            break;
        }
        let length = (piece.to - piece.from) as usize;
        let part = length.min(count);
        taken.push(Piece {
            to: piece.from + part as u64,
            ..*piece
        });
        count -= part;
    }
    taken
}

/// The pieces of what follows the first `count` bytes.
pub fn behind(pieces: &[Piece], mut count: usize) -> Vec<Piece> {
    let mut left = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let length = (piece.to - piece.from) as usize;
        let part = length.min(count);
        count -= part;
        if part < length {
            left.push(Piece {
                from: piece.from + part as u64,
                ..*piece
            });
        }
    }
    left
}
