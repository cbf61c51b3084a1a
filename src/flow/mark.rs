//! Where the bytes of a followed file came from: what a batch says about its place, what a checkpoint
//! knows about a file, and the markers that recognise a file by its content.
//!
//! A *generation* is one life of a file: it begins when the file is first seen or after it was
//! truncated, and ends when it is truncated or gone. Offsets belong to generations, so a name that is
//! rotated and a file that is emptied never share one.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::Identity;
use crate::flow::batch::SourceId;
use crate::flow::fingerprint::xxh64;
use crate::flow::time::Time;

/// Number of a generation, never used twice within one state directory.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Bytes at the start of a file that recognise it, if it has so many.
pub const HEAD_BYTES: usize = 1024;

/// Bytes before an offset that recognise a file there.
pub const TAIL_BYTES: usize = 128;

/// How many places of a file are remembered with their marker.
const WAYPOINTS_MAX: usize = 24;

/// Hash of some bytes that end at an offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Marker {
    /// Offset behind the bytes.
    pub end: u64,
    /// How many bytes; 0 says nothing about the file.
    pub length: u16,
    pub hash: u64,
}

impl Marker {
    /// Of `bytes`, which end at `end`.
    pub fn of(bytes: &[u8], end: u64) -> Marker {
        Marker {
            end,
            length: u16::try_from(bytes.len()).expect("a marker covers at most a kibibyte"),
            hash: xxh64(bytes),
        }
    }

    /// Offset of its first byte.
    pub fn start(&self) -> u64 {
        self.end - u64::from(self.length)
    }

    /// Whether the marker is of these bytes; one of no bytes is of any.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.len() == usize::from(self.length) && (self.length == 0 || xxh64(bytes) == self.hash)
    }
}

/// What is known about a generation when it is first read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    pub generation: Generation,
    /// Row of the inputs that it counts for.
    pub source: SourceId,
    /// The source's name as shown.
    pub name: Arc<str>,
    /// Where it was first seen.
    #[serde(with = "serde_bytes")]
    pub path: Vec<u8>,
    pub identity: Identity,
    /// Year anchor: the file's modification time when it was first seen.
    pub anchor: Time,
    /// Where reading began: not 0 with `--from end` or `--tail`, or where a copy was read before.
    pub start: u64,
    /// Where the record began whose first lines stand before `start` and went out already, if there is
    /// one.
    #[serde(default)]
    pub open_from: Option<u64>,
    /// The generations of its rotated set between which it belongs, as far as they were known.
    #[serde(default)]
    pub after: Option<Generation>,
    #[serde(default)]
    pub before: Option<Generation>,
    /// The first bytes, as many as were there.
    pub head: Marker,
    /// The bytes before `start`.
    pub tail: Marker,
}

impl Birth {
    pub fn path(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsString::from_vec(self.path.clone()))
    }
}

/// A stretch of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub generation: Generation,
    pub from: u64,
    pub to: u64,
}

/// What became of the bytes that a mark names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// They are the batch's content.
    #[default]
    Data,
    /// NUL bytes that nobody wrote: a hole, or what a writer left that kept its offset over a
    /// truncation. Read past, counted.
    Skipped,
    /// They were there and are gone: overwritten, truncated or deleted before they could be read, or
    /// read by a process that died and not to be had again.
    Lost,
}

/// What became of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// Its last byte was read, or it never will be. It stays known, to recognise its copies.
    Ended,
    /// Its bytes stand in another file now: a copy that was made before it was truncated.
    Moved(Identity),
    /// Nobody will ask for it again.
    Forgotten,
}

/// What a batch of a followed file says about its place. In the order of the batches, marks are all
/// that a checkpoint has to know about the sources, and all that a replay needs to make the same
/// batches again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub kind: Kind,
    /// The batch's bytes in order, `context_bytes` and cut bytes included. Usually one piece; two
    /// where a record goes on in the file after a rotation. Empty if the batch only carries news.
    pub pieces: Vec<Piece>,
    /// How many bytes at the start were in the batch before and are here only for what follows them:
    /// the open record whose lines went out as they came.
    pub context_bytes: u32,
    /// Bytes of a line over the limit that end the last piece and are not in the content.
    pub cut_bytes: u64,
    /// The record that is open at the batch's end, if its lines so far are in this batch and more may
    /// follow: where they stand.
    pub open: Vec<Piece>,
    /// Lines of the last piece's generation before its end, if lines are counted.
    pub lines: u64,
    /// The bytes before the end of the last piece.
    pub tail: Marker,
    /// The first bytes of the last piece's generation, when more of them are known than before.
    pub head: Option<Marker>,
    /// Generations that are named here first.
    pub births: Vec<Arc<Birth>>,
    pub fates: Vec<(Generation, Fate)>,
    /// The bytes before the ends of the pieces that stand in older generations, and before some places
    /// within the last piece of a large batch, by which a shorter copy is known.
    #[serde(default)]
    pub inner_tails: Vec<(Generation, Marker)>,
    /// Something was rotated, truncated or deleted: a checkpoint is wanted soon.
    #[serde(skip)]
    pub urgent: bool,
    /// Read again after a restart: what this batch gives was written before the process died.
    #[serde(skip)]
    pub replayed: bool,
    /// SIGHUP came: sinks that write to files open them anew.
    #[serde(skip)]
    pub reopen: bool,
}

/// What is known about a generation after some batch: the part of a checkpoint that is about one
/// file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// One for all who know the file: there are thousands of them.
    pub birth: Arc<Birth>,
    pub head: Marker,
    /// Offset of the next byte.
    pub offset: u64,
    /// The record that was open there: the lines of it that went out already.
    pub open: Vec<Piece>,
    /// Lines before the offset.
    pub lines: u64,
    pub waypoints: Waypoints,
    pub ended: bool,
}

impl Place {
    pub fn new(birth: Arc<Birth>) -> Place {
        let mut waypoints = Waypoints::default();
        waypoints.add(birth.tail);
        let open = birth.open_from.map(|from| Piece {
            generation: birth.generation,
            from,
            to: birth.start,
        });
        Place {
            head: birth.head,
            offset: birth.start,
            open: open.into_iter().collect(),
            lines: 0,
            waypoints,
            ended: false,
            birth,
        }
    }

    /// Moves behind a batch that has a piece of this generation.
    pub fn advance(&mut self, mark: &Mark) {
        let Some(last) = mark.pieces.last() else {
            return;
        };
        let own = |piece: &&Piece| piece.generation == self.birth.generation;
        for piece in mark.pieces.iter().filter(own) {
            self.offset = self.offset.max(piece.to);
            self.open.clear();
            // It was thought to have ended, and was written to once more.
            self.ended = false;
        }
        for (generation, tail) in &mark.inner_tails {
            if *generation == self.birth.generation {
                self.waypoints.add(*tail);
            }
        }
        if own(&last) {
            // Not `clone_from`, which makes room for four where there is one.
            self.open = mark.open.clone();
            self.lines = mark.lines;
            self.head = mark.head.unwrap_or(self.head);
            self.waypoints.add(mark.tail);
        }
    }
}

/// Markers at some offsets of a file, close together before its end and sparser towards its start,
/// so that a copy of any length is recognised by the nearest one below.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Waypoints(Vec<Marker>);

impl Waypoints {
    /// Adds one at a larger offset than the last.
    pub fn add(&mut self, marker: Marker) {
        if marker.length == 0 || self.0.last().is_some_and(|last| last.end >= marker.end) {
            return;
        }
        // Most of many files are small and have a few.
        self.0.reserve_exact(1);
        self.0.push(marker);
        if self.0.len() > WAYPOINTS_MAX {
            // The one goes whose neighbours stand closest, measured by how far behind they are.
            let end = marker.end;
            let crowded = |place: &usize| {
                let (below, above) = (self.0[place - 1].end, self.0[place + 1].end);
                (above - below) as f64 / (end - below) as f64
            };
            let place = (1..self.0.len() - 1)
                .min_by(|a, b| crowded(a).total_cmp(&crowded(b)))
                .expect("there are more than two");
            self.0.remove(place);
        }
    }

    /// The one with the largest offset up to `offset`.
    pub fn before(&self, offset: u64) -> Option<Marker> {
        let above = self.0.partition_point(|marker| marker.end <= offset);
        above.checked_sub(1).map(|place| self.0[place])
    }

    pub fn last(&self) -> Option<Marker> {
        self.0.last().copied()
    }

    /// In the order of their offsets.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Marker> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waypoints_stay_few_and_close_before_the_end() {
        let mut waypoints = Waypoints::default();
        for end in 1..=100_000u64 {
            waypoints.add(Marker {
                end: end * 100,
                length: 64,
                hash: end,
            });
        }
        assert!(waypoints.0.len() <= WAYPOINTS_MAX);
        let last = waypoints.last().unwrap().end;
        assert_eq!(last, 10_000_000);
        for back in [0u64, 100, 1000, 10_000, 100_000, 1_000_000, 5_000_000] {
            let found = waypoints.before(last - back).unwrap().end;
            let behind = last - found;
            assert!(behind <= back * 3 + 100, "{back}: {behind}");
        }
    }

    #[test]
    fn a_place_moves_with_the_marks_of_its_generation_alone() {
        let birth = Birth {
            generation: Generation(3),
            source: SourceId(0),
            name: "a".into(),
            path: b"a".to_vec(),
            identity: Identity {
                device: 1,
                inode: 2,
                born: 3,
            },
            anchor: Time(0),
            start: 10,
            open_from: None,
            after: None,
            before: None,
            head: Marker::default(),
            tail: Marker::default(),
        };
        let mut place = Place::new(Arc::new(birth));
        let piece = |generation, from, to| Piece {
            generation: Generation(generation),
            from,
            to,
        };
        place.advance(&Mark {
            pieces: vec![piece(3, 10, 50), piece(4, 0, 20)],
            lines: 9,
            ..Mark::default()
        });
        assert_eq!((place.offset, place.lines), (50, 0));
        place.advance(&Mark {
            pieces: vec![piece(3, 40, 70)],
            lines: 2,
            inner_tails: vec![(Generation(3), Marker::of(b"inner", 60))],
            tail: Marker::of(b"abc", 70),
            ..Mark::default()
        });
        assert_eq!(place.waypoints.before(69), Some(Marker::of(b"inner", 60)));
        assert_eq!((place.offset, place.lines), (70, 2));
        assert_eq!(place.waypoints.before(80), Some(Marker::of(b"abc", 70)));
    }
}
