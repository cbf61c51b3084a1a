//! How many numbers of a sliding window lie in each cell of a histogram: numbers come and go, and the one
//! at a rank is asked for at every step. Part of `windows.rs`.
//!
//! Few cells stand in a tree; many in pages of counters, where a number costs one addition. Which form it
//! is follows from what came and went and in which order, and so do the bytes that are charged.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::flow::sample::INDEX_MAX;
use crate::state::histogram::Cell;
use crate::state::repaired;

/// Cells of a page.
const PAGE: usize = 64;
/// So many cells go to pages.
const FEW: usize = 64;
/// What a cell takes in the tree.
const CELL_BYTES: usize = 24;
/// What a page takes, with its place among the others.
const PAGE_BYTES: usize = size_of::<Page>() + 3 * size_of::<usize>();

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cells {
    Few(BTreeMap<Cell, u64>),
    Many(BTreeMap<i32, Box<Page>>),
}

/// Neighbouring cells.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    counts: [u32; PAGE],
    total: u64,
}

impl Default for Cells {
    fn default() -> Cells {
        Cells::Few(BTreeMap::new())
    }
}

/// Number of the page and place in it.
fn place(cell: Cell) -> (i32, usize) {
    (cell >> 6, (cell & 63) as usize)
}

impl Cells {
    /// Puts `count` numbers into a cell.
    pub fn add(&mut self, cell: Cell, count: u64) {
        match self {
            Cells::Few(cells) => {
                let known = cells.len();
                *cells.entry(cell).or_insert(0) += count;
                // At every doubling, so that a count which does not fit is not looked for again and again.
                if cells.len() > known
                    && cells.len() >= FEW
                    && cells.len().is_power_of_two()
                    && cells.values().all(|count| u32::try_from(*count).is_ok())
                {
                    let few = std::mem::take(cells);
                    *self = Cells::Many(BTreeMap::new());
                    few.into_iter()
                        .for_each(|(cell, count)| self.add(cell, count));
                }
            }
            Cells::Many(pages) => {
                let (number, place) = place(cell);
                let page = pages.entry(number).or_default();
                let counter = &mut page.counts[place];
                match u32::try_from(u64::from(*counter) + count) {
                    Ok(sum) => {
                        *counter = sum;
                        page.total += count;
                    }
                    // More than any sender counts one by one: weights. The tree has room for them.
                    Err(_) => {
                        let mut cells: BTreeMap<Cell, u64> = self.iter().collect();
                        *cells.entry(cell).or_insert(0) += count;
                        *self = Cells::Few(cells);
                    }
                }
            }
        }
    }

    /// Takes numbers out that were put in.
    pub fn remove(&mut self, cell: Cell, count: u64) {
        match self {
            Cells::Few(cells) => {
                if let Some(left) = cells.get_mut(&cell) {
                    *left = left.saturating_sub(count);
                    if *left == 0 {
                        cells.remove(&cell);
                    }
                }
            }
            Cells::Many(pages) => {
                let (number, place) = place(cell);
                let Some(page) = pages.get_mut(&number) else {
                    return;
                };
                let counter = &mut page.counts[place];
                let gone = u64::from(*counter).min(count);
                *counter -= gone as u32;
                page.total -= gone;
                if page.total == 0 {
                    pages.remove(&number);
                    if pages.is_empty() {
                        *self = Cells::default();
                    }
                }
            }
        }
    }

    /// Bytes that are charged.
    pub fn bytes(&self) -> usize {
        match self {
            Cells::Few(cells) => cells.len() * CELL_BYTES,
            Cells::Many(pages) => pages.len() * PAGE_BYTES,
        }
    }

    /// All numbers.
    pub fn total(&self) -> u64 {
        match self {
            Cells::Few(cells) => cells
                .values()
                .fold(0, |sum, count| sum.saturating_add(*count)),
            Cells::Many(pages) => pages.values().map(|page| page.total).sum(),
        }
    }

    /// The cell of the number of this rank, counted from 1 at the smallest.
    pub fn at_rank(&self, rank: u64) -> Option<Cell> {
        let mut before = 0u64;
        match self {
            Cells::Few(cells) => {
                let found = cells.iter().find(|(_, count)| {
                    before = before.saturating_add(**count);
                    before >= rank
                });
                found.map(|(cell, _)| *cell)
            }
            Cells::Many(pages) => {
                let (number, page) = pages.iter().find(|(_, page)| {
                    let is_here = before + page.total >= rank;
                    before += if is_here { 0 } else { page.total };
                    is_here
                })?;
                let place = page.counts.iter().position(|count| {
                    before += u64::from(*count);
                    before >= rank
                })?;
                Some(number * PAGE as i32 + place as i32)
            }
        }
    }

    /// Cells that have numbers, by size.
    fn iter(&self) -> Box<dyn Iterator<Item = (Cell, u64)> + '_> {
        match self {
            Cells::Few(cells) => Box::new(cells.iter().map(|(cell, count)| (*cell, *count))),
            Cells::Many(pages) => Box::new(pages.iter().flat_map(|(number, page)| {
                let counts = page.counts.iter().enumerate();
                let counts = counts.filter(|(_, count)| **count > 0);
                counts.map(move |(place, count)| {
                    (number * PAGE as i32 + place as i32, u64::from(*count))
                })
            })),
        }
    }
}

/// Written as `(is many, [(cell, count), …])`.
impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let cells: Vec<(Cell, u64)> = self.iter().collect();
        (matches!(self, Cells::Many(_)), cells).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cells {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cells, D::Error> {
        let (is_many, mut list) = <(bool, Vec<(Cell, u64)>)>::deserialize(deserializer)?;
        let given = list.len();
        let range = -1 - i32::from(INDEX_MAX)..=i32::from(INDEX_MAX);
        list.retain(|(cell, count)| range.contains(cell) && *count > 0);
        repaired::add((given - list.len()) as u64);
        let fits = list.iter().all(|(_, count)| u32::try_from(*count).is_ok());
        let mut pages: BTreeMap<i32, Box<Page>> = BTreeMap::new();
        if is_many && fits && !list.is_empty() {
            for (cell, count) in list {
                let (number, place) = place(cell);
                let page = pages.entry(number).or_default();
                page.total -= u64::from(page.counts[place]);
                page.counts[place] = count as u32;
                page.total += count;
            }
            return Ok(Cells::Many(pages));
        }
        repaired::add(u64::from(is_many));
        Ok(Cells::Few(list.into_iter().collect()))
    }
}

impl Default for Page {
    fn default() -> Page {
        Page {
            counts: [0; PAGE],
            total: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cells_are_a_sorted_multiset(
            steps in prop::collection::vec(
                (-300..300i32, prop_oneof![1..4u64, Just(3_000_000_000u64)], any::<bool>()),
                0..600,
            ),
            ranks in prop::collection::vec(any::<prop::sample::Index>(), 3),
        ) {
            let mut cells = Cells::default();
            let mut truth: BTreeMap<Cell, u64> = BTreeMap::new();
            for (cell, count, comes) in steps {
                if comes || !truth.contains_key(&cell) {
                    *truth.entry(cell).or_insert(0) += count;
                    cells.add(cell, count);
                } else {
                    let left = truth.get_mut(&cell).unwrap();
                    let gone = count.min(*left);
                    *left -= gone;
                    cells.remove(cell, gone);
                    truth.retain(|_, count| *count > 0);
                }
            }
            prop_assert_eq!(cells.iter().collect::<Vec<_>>(), truth.clone().into_iter().collect::<Vec<_>>());
            let total: u64 = truth.values().sum();
            prop_assert_eq!(cells.total(), total);
            for rank in ranks {
                let Some(rank) = (total > 0).then(|| rank.index(total as usize) as u64 + 1) else { break };
                let mut before = 0;
                let want = truth.iter().find(|(_, count)| { before += **count; before >= rank }).unwrap().0;
                prop_assert_eq!(cells.at_rank(rank), Some(*want));
            }
            prop_assert_eq!(cells.at_rank(total + 1), None);
            // A restart keeps the form, and with it the charge.
            let bytes = rmp_serde::to_vec(&cells).unwrap();
            let read: Cells = rmp_serde::from_slice(&bytes).unwrap();
            prop_assert_eq!(read.bytes(), cells.bytes());
            prop_assert_eq!(read, cells);
        }
    }

    #[test]
    fn many_cells_stand_in_pages_until_all_are_gone() {
        let mut cells = Cells::default();
        (0..200).for_each(|cell| cells.add(cell, 1));
        assert!(matches!(cells, Cells::Many(_)));
        assert_eq!(
            (cells.bytes(), cells.at_rank(101)),
            (4 * PAGE_BYTES, Some(100))
        );
        (0..200).for_each(|cell| cells.remove(cell, 1));
        assert_eq!(cells, Cells::default());
    }
}
