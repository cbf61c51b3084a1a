//! A checkpoint as bytes: eight bytes of magic, a CRC-32 of all else, then everything as MessagePack
//! with field names, so that a later version can add fields.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::flow::output::{Accepted, OutputPlace};
use crate::rules;
use crate::state::State;
use crate::state::lines::Lines;
use crate::state::places::Places;
use crate::state::repaired;
use crate::state::summaries::Summaries;

const MAGIC: [u8; 8] = *b"weirckp1";

/// What of the magic all versions share.
const MAGIC_STEM: &[u8] = b"weirckp";

/// Everything that a run knows at the border between two batches.
#[derive(Clone, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Counted from 1; the journal of the same number follows it.
    pub number: u64,
    /// What is computed: a state of something else is of no use.
    pub purpose: String,
    /// Wall-clock time in nanoseconds since 1970, only shown.
    pub written: i64,
    pub state: State,
    pub lines: Option<Lines>,
    pub places: Places,
    pub sent: Accepted,
    /// How far the output file had come; `None` for other outputs.
    pub output: Option<OutputPlace>,
    /// Of a `weir run`.
    #[serde(default)]
    pub watched: Option<Watched>,
}

/// What a `weir run` knows besides its tables.
#[derive(Clone, Serialize, Deserialize)]
pub struct Watched {
    pub rules: rules::saved::Saved,
    pub summaries: Option<Summaries>,
}

/// Why bytes are no checkpoint.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    Newer,
    /// With what is wrong.
    Broken(String),
}

/// The bytes of a checkpoint, in pieces to be written one after the other: one vector that grows would
/// take three times as much at its end.
pub fn encode(checkpoint: &Checkpoint) -> Vec<Vec<u8>> {
    let mut pieces = Pieces {
        full: Vec::new(),
        open: MAGIC.to_vec(),
    };
    pieces.open.extend_from_slice(&[0; 4]);
    rmp_serde::encode::write_named(&mut pieces, checkpoint)
        .expect("a checkpoint has no type that MessagePack lacks");
    let Pieces { full, open } = pieces;
    let mut pieces = full;
    pieces.push(open);
    let body = std::iter::once(&pieces[0][HEAD_BYTES..]);
    let sum = checksum(&MAGIC, body.chain(pieces[1..].iter().map(Vec::as_slice)));
    pieces[0][8..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
    pieces
}

/// Magic and checksum.
const HEAD_BYTES: usize = 12;

/// How large a piece grows.
const PIECE_BYTES: usize = 256 << 10;

/// Takes bytes in.
struct Pieces {
    full: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    // Most writes are of a few bytes.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.open.len() + bytes.len() > PIECE_BYTES {
            let open = Vec::with_capacity(PIECE_BYTES.max(bytes.len()));
            self.full.push(std::mem::replace(&mut self.open, open));
        }
        self.open.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn checksum<'b>(magic: &[u8; 8], body: impl IntoIterator<Item = &'b [u8]>) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(magic);
    for piece in body {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// The checkpoint that `bytes` hold, whole and unharmed.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, Unreadable> {
    let broken = |reason: &str| Err(Unreadable::Broken(reason.to_owned()));
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
        return broken("torn: it ends too early");
    };
    let Some((sum, body)) = rest.split_first_chunk::<4>() else {
        return broken("torn: it ends too early");
    };
    let is_whole = checksum(magic, [body]) == u32::from_le_bytes(*sum);
    if *magic != MAGIC {
        // All versions have a checksum there. The next one is known without it: it is two flipped
        // bits away from this one, so one flipped bit never keeps the checkpoint before from use.
        let is_newer = magic.starts_with(MAGIC_STEM)
            && (b'2'..=b'9').contains(&magic[7])
            && (is_whole || magic[7] == b'2');
        return if is_newer {
            Err(Unreadable::Newer)
        } else {
            broken("no checkpoint")
        };
    }
    if !is_whole {
        return broken("torn or damaged: its checksum does not fit");
    }
    let (checkpoint, repaired) = repaired::counted(|| read(body));
    let mut checkpoint =
        checkpoint.map_err(|error| Unreadable::Broken(format!("not to be read: {error}")))?;
    checkpoint.state.repaired = repaired;
    Ok(checkpoint)
}

/// The checkpoint in MessagePack, fit for use.
fn read(body: &[u8]) -> Result<Checkpoint, rmp_serde::decode::Error> {
    let mut checkpoint: Checkpoint = rmp_serde::from_slice(body)?;
    checkpoint.state.messages.reindex();
    if let Some(watched) = &mut checkpoint.watched
        && let Some(summaries) = &mut watched.summaries
    {
        summaries.reindex();
    }
    for place in checkpoint.places.iter() {
        let birth = &place.birth;
        checkpoint.state.reopen_followed(birth.source, &birth.name);
    }
    Ok(checkpoint)
}
