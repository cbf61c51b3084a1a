//! Bytes of followed files that no record was made of: what is known to be lost, named by source and
//! range, and what nobody wrote. They are known, so they make nothing unaccounted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::mark::{Birth, Generation, Kind, Mark, Piece};
use crate::state::add;
use crate::state::places::Places;

/// Ranges that are named one by one; of those beyond only the sum is kept, so that a disk which fails
/// for months does not fill the memory.
pub const ROWS_MAX: usize = 100;

/// What was lost and skipped so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// In the order in which they were found.
    rows: Vec<Row>,
    /// Bytes of the ranges that are not named.
    other: u64,
    lost_bytes: u64,
    skipped_bytes: u64,
}

/// Bytes of one file that were there and could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The file's name as shown.
    pub source: String,
    /// `None` after a merge: other runs count generations from 0 as well.
    generation: Option<Generation>,
    pub from: u64,
    pub to: u64,
}

impl Losses {
    /// Takes in the mark of the next batch, whose births `places` need not know yet. `unread` bytes at
    /// its end were gone when they were to be read.
    pub fn absorb(&mut self, mark: &Mark, places: &Places, unread: u64) {
        let lengths = mark.pieces.iter().map(|piece| piece.to - piece.from);
        let skip = match mark.kind {
            // What an earlier batch had is lost no more.
            Kind::Lost => u64::from(mark.context_bytes),
            Kind::Skipped => {
                add(&mut self.skipped_bytes, lengths.sum());
                return;
            }
            Kind::Data if unread > 0 => lengths.sum::<u64>().saturating_sub(unread),
            Kind::Data => return,
        };
        let mut skip = skip;
        for piece in &mark.pieces {
            let from = piece.to.min(piece.from + skip);
            skip -= from - piece.from;
            if from < piece.to {
                self.add(&Piece { from, ..*piece }, || {
                    name(mark, places, piece.generation)
                });
            }
        }
    }

    fn add(&mut self, piece: &Piece, name: impl FnOnce() -> String) {
        let bytes = piece.to - piece.from;
        add(&mut self.lost_bytes, bytes);
        let neighbour =
            |row: &&mut Row| row.generation == Some(piece.generation) && row.to == piece.from;
        if let Some(row) = self.rows.iter_mut().rev().find(neighbour) {
            row.to = piece.to;
        } else if self.rows.len() < ROWS_MAX {
            self.rows.push(Row {
                source: name(),
                generation: Some(piece.generation),
                from: piece.from,
                to: piece.to,
            });
        } else {
            add(&mut self.other, bytes);
        }
    }

    /// Adds those of another run.
    pub fn merge(&mut self, other: &Losses) {
        add(&mut self.lost_bytes, other.lost_bytes);
        add(&mut self.skipped_bytes, other.skipped_bytes);
        add(&mut self.other, other.other);
        for row in &other.rows {
            if self.rows.len() < ROWS_MAX {
                let generation = None;
                self.rows.push(Row {
                    generation,
                    ..row.clone()
                });
            } else {
                add(&mut self.other, row.to.saturating_sub(row.from));
            }
        }
    }

    /// The ranges that are named, and the bytes of those that are not.
    pub fn rows(&self) -> (&[Row], u64) {
        (&self.rows, self.other)
    }

    /// Bytes that were there and are gone.
    pub fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }

    /// NUL bytes that nobody wrote: holes, and what a writer leaves that keeps its offset over a
    /// truncation.
    pub fn skipped_bytes(&self) -> u64 {
        self.skipped_bytes
    }
}

fn name(mark: &Mark, places: &Places, generation: Generation) -> String {
    let born = |birth: &&Arc<Birth>| birth.generation == generation;
    let birth = places.get(generation).map(|place| &place.birth);
    let birth = birth.or_else(|| mark.births.iter().find(born));
    birth.map_or_else(String::new, |birth| birth.name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Identity;
    use crate::flow::batch::SourceId;
    use crate::flow::time::Time;

    fn birth(generation: u64) -> Arc<Birth> {
        Arc::new(Birth {
            generation: Generation(generation),
            source: SourceId(0),
            name: format!("file-{generation}").into(),
            path: Vec::new(),
            identity: Identity {
                device: 0,
                inode: 0,
                born: 0,
            },
            anchor: Time(0),
            start: 0,
            open_from: None,
            after: None,
            before: None,
            head: Default::default(),
            tail: Default::default(),
        })
    }

    fn mark(kind: Kind, pieces: &[(u64, u64, u64)]) -> Mark {
        let pieces = pieces.iter().map(|&(generation, from, to)| Piece {
            generation: Generation(generation),
            from,
            to,
        });
        Mark {
            kind,
            pieces: pieces.collect(),
            ..Mark::default()
        }
    }

    fn named(losses: &Losses) -> Vec<(&str, u64, u64)> {
        let rows = losses.rows().0.iter();
        rows.map(|row| (&*row.source, row.from, row.to)).collect()
    }

    #[test]
    fn neighbouring_ranges_of_one_generation_are_one_row() {
        let mut places = Places::default();
        places.absorb(&Mark {
            births: vec![birth(1), birth(2)],
            ..Mark::default()
        });
        let mut losses = Losses::default();
        for lost in [(1, 10, 20), (2, 20, 30), (1, 20, 25), (1, 30, 40)] {
            losses.absorb(&mark(Kind::Lost, &[lost]), &places, 0);
        }
        losses.absorb(&mark(Kind::Data, &[(1, 40, 90)]), &places, 0);
        losses.absorb(&mark(Kind::Skipped, &[(1, 90, 190)]), &places, 0);
        let rows = [("file-1", 10, 25), ("file-2", 20, 30), ("file-1", 30, 40)];
        assert_eq!(named(&losses), rows);
        assert_eq!((losses.lost_bytes(), losses.skipped_bytes()), (35, 100));
    }

    #[test]
    fn what_an_earlier_batch_had_is_not_lost_again() {
        let mut losses = Losses::default();
        let lost = Mark {
            context_bytes: 15,
            births: vec![birth(7), birth(8)],
            ..mark(Kind::Lost, &[(7, 90, 100), (8, 0, 40)])
        };
        losses.absorb(&lost, &Places::default(), 0);
        assert_eq!(named(&losses), [("file-8", 5, 40)]);
        // A batch whose end was gone when a mapper came to read it.
        let cut_short = Mark {
            births: vec![birth(8)],
            ..mark(Kind::Data, &[(8, 40, 100)])
        };
        losses.absorb(&cut_short, &Places::default(), 10);
        assert_eq!(named(&losses), [("file-8", 5, 40), ("file-8", 90, 100)]);
        assert_eq!(losses.lost_bytes(), 45);
    }

    #[test]
    fn rows_are_few_and_the_sum_is_exact() {
        let mut losses = Losses::default();
        let places = Places::default();
        for number in 0..250 {
            losses.absorb(&mark(Kind::Lost, &[(number, 0, 10)]), &places, 0);
        }
        // A row that is there still grows.
        losses.absorb(&mark(Kind::Lost, &[(3, 10, 11)]), &places, 0);
        assert_eq!(losses.rows().0.len(), ROWS_MAX);
        assert_eq!(losses.rows().1, 1500);
        assert_eq!(losses.lost_bytes(), 2501);
        let mut both = losses.clone();
        both.merge(&losses);
        assert_eq!(both.lost_bytes(), 5002);
        let named: u64 = both.rows().0.iter().map(|row| row.to - row.from).sum();
        assert_eq!(named + both.rows().1, 5002);
    }
}
