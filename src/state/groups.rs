//! How many records each group of each `--by` has. A million keys must fit, so keys stand end to end
//! in an arena and a row is 16 bytes. Past the memory limit newcomers are counted in `other` of
//! their grouping: totals stay exact. Fed by the fold, read by the report.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

use crate::state::blocks::{Arena, Blocks, Place, TEXT_BYTES_MAX};
use crate::state::repaired;

/// Bytes that the groups of all groupings together may use, if the user does not say otherwise:
/// about 450,000 keys of ten bytes.
pub const LIMIT_DEFAULT: usize = 16 << 20;

/// Bytes of a place in the hash table: the row's number and a control byte.
const PLACE_BYTES: usize = 5;

/// Counts by grouping and key.
#[derive(Clone, Debug)]
pub struct Groups {
    keys: Arena,
    rows: Blocks<Row>,
    /// Rows by grouping and key. Keyed at random: the keys come from the input.
    by_key: HashTable<u32>,
    hasher: RandomState,
    /// Records of keys that were not admitted, by grouping.
    other: BTreeMap<u16, u64>,
    limit: usize,
    /// Whether no key is admitted any more.
    is_full: bool,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    count: u64,
    key: Place,
    grouping: u16,
}

/// One group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'state> {
    /// The encoded values of the group.
    pub key: &'state [u8],
    pub count: u64,
}

impl Groups {
    /// An empty table that may use `limit` bytes.
    pub fn new(limit: usize) -> Groups {
        Groups {
            keys: Arena::default(),
            rows: Blocks::default(),
            by_key: HashTable::new(),
            hasher: RandomState::default(),
            other: BTreeMap::new(),
            // Offsets into the arena are 32 bits wide.
            limit: limit.min(u32::MAX as usize),
            is_full: false,
        }
    }

    /// Counts `count` records of a group.
    ///
    /// The caller hands in the groups of a batch, of all groupings in one sequence, in the order of
    /// their first records: then the keys that are admitted do not depend on how batches are cut.
    #[inline]
    pub fn add(&mut self, grouping: u16, key: &[u8], count: u64) {
        let hash = self.hasher.hash_one((grouping, key));
        let Groups {
            by_key, rows, keys, ..
        } = self;
        let is_it = |number: &u32| {
            let row = &rows[*number as usize];
            row.grouping == grouping && keys.text(row.key) == key
        };
        match by_key.find(hash, is_it) {
            Some(&number) => {
                let row = &mut rows[number as usize];
                row.count = row.count.saturating_add(count);
            }
            None => self.add_new(hash, grouping, key, count),
        }
    }

    #[cold]
    fn add_new(&mut self, hash: u64, grouping: u16, key: &[u8], count: u64) {
        // A longer key is no group that a person would read.
        let is_long = key.len() > TEXT_BYTES_MAX;
        self.is_full |=
            !is_long && charge(self.keys.used_with(key.len()), self.rows.len() + 1) > self.limit;
        if is_long || self.is_full {
            let other = self.other.entry(grouping).or_default();
            *other = other.saturating_add(count);
            return;
        }
        let number = self.rows.len() as u32;
        let key = self.keys.push(key);
        self.rows.push(Row {
            count,
            key,
            grouping,
        });
        let Groups {
            by_key,
            rows,
            keys,
            hasher,
            ..
        } = self;
        by_key.insert_unique(hash, number, |number| {
            let row = &rows[*number as usize];
            hasher.hash_one((row.grouping, keys.text(row.key)))
        });
    }

    /// The groups of a grouping with the most records, then by key, at most `n`.
    pub fn top(&self, grouping: u16, n: usize) -> Vec<Group<'_>> {
        let all = self.len(grouping);
        // The first `n` of twice as many, again and again: all of them at once would take as much
        // memory as the table.
        let room = all.min(n.saturating_mul(2).max(64));
        let mut groups: Vec<Group<'_>> = Vec::with_capacity(room);
        let cut = |groups: &mut Vec<Group<'_>>| {
            if n < groups.len() {
                groups.select_nth_unstable_by(n, Group::order);
                groups.truncate(n);
            }
        };
        for row in self.rows.iter().filter(|row| row.grouping == grouping) {
            if groups.len() == room {
                cut(&mut groups);
            }
            groups.push(Group {
                key: self.keys.text(row.key),
                count: row.count,
            });
        }
        cut(&mut groups);
        groups.sort_unstable_by(Group::order);
        groups
    }

    /// How many groups of a grouping have a row.
    pub fn len(&self, grouping: u16) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.grouping == grouping).count()
    }

    /// All records of a grouping, those in `other` too.
    pub fn total(&self, grouping: u16) -> u64 {
        let rows = self.rows.iter().filter(|row| row.grouping == grouping);
        rows.fold(self.other(grouping), |sum, row| {
            sum.saturating_add(row.count)
        })
    }

    /// Records of a grouping whose keys were not admitted.
    pub fn other(&self, grouping: u16) -> u64 {
        self.other.get(&grouping).copied().unwrap_or(0)
    }

    /// Whether a key was turned away, so that `approximate` must name this table.
    pub fn is_approximate(&self) -> bool {
        !self.other.is_empty()
    }

    /// Bytes charged, for the resource figures.
    pub fn bytes(&self) -> usize {
        charge(self.keys.used(), self.rows.len())
    }

    /// Adds another table, whose input came after this one's.
    pub fn merge(&mut self, other: &Groups) {
        for row in other.rows.iter() {
            self.add(row.grouping, other.keys.text(row.key), row.count);
        }
        for (grouping, count) in &other.other {
            let sum = self.other.entry(*grouping).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.is_full |= other.is_full;
    }
}

impl Group<'_> {
    /// Most records first, then by key.
    fn order(&self, other: &Self) -> Ordering {
        other
            .count
            .cmp(&self.count)
            .then_with(|| self.key.cmp(other.key))
    }
}

/// Bytes for so many key bytes and rows: a function of the content, not of the allocator.
fn charge(key_bytes: usize, rows: usize) -> usize {
    let places = (rows * 8 / 7 + 1).next_power_of_two();
    key_bytes + rows * size_of::<Row>() + places * PLACE_BYTES
}

impl Serialize for Groups {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<(u16, &Bytes, u64)> = self
            .rows
            .iter()
            .map(|row| {
                let key = Bytes::new(self.keys.text(row.key));
                (row.grouping, key, row.count)
            })
            .collect();
        (self.limit as u64, self.is_full, &self.other, rows).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Groups, D::Error> {
        type Form = (u64, bool, BTreeMap<u16, u64>, Vec<(u16, ByteBuf, u64)>);
        let (limit, is_full, other, rows) = Form::deserialize(deserializer)?;
        let mut groups = Groups::new(usize::try_from(limit).unwrap_or(usize::MAX));
        groups.other = other;
        for (grouping, key, count) in rows {
            let known = groups.rows.len();
            // A key that stands twice is one group, one without room is in `other`: the total stays.
            groups.add(grouping, &key, count);
            repaired::add(u64::from(groups.rows.len() == known));
        }
        groups.is_full |= is_full;
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rows of a grouping, its `other` and its total.
    type Answer = (Vec<(Vec<u8>, u64)>, u64, u64);

    fn answers(groups: &Groups) -> Vec<Answer> {
        (0..3)
            .map(|grouping| {
                let top = groups.top(grouping, usize::MAX);
                let top = top
                    .into_iter()
                    .map(|group| (group.key.to_vec(), group.count))
                    .collect();
                (top, groups.other(grouping), groups.total(grouping))
            })
            .collect()
    }

    #[test]
    fn top_is_by_count_then_key() {
        let mut groups = Groups::new(LIMIT_DEFAULT);
        for (key, count) in [("c", 2), ("b", 5), ("a", 2), ("d", 1), ("b", 1)] {
            groups.add(1, key.as_bytes(), count);
        }
        groups.add(0, b"z", 9);
        let top: Vec<_> = groups
            .top(1, 3)
            .iter()
            .map(|group| (group.key[0], group.count))
            .collect();
        assert_eq!(top, [(b'b', 6), (b'a', 2), (b'c', 2)]);
        assert!(!groups.is_approximate());
    }

    #[test]
    fn a_million_keys_stay_within_the_limit_and_the_total_is_exact() {
        let mut groups = Groups::new(LIMIT_DEFAULT);
        for number in 0..1_000_000u32 {
            groups.add(0, format!("user-{number}").as_bytes(), 1);
        }
        assert!(groups.bytes() <= LIMIT_DEFAULT);
        assert!(groups.rows.len() > 300_000, "{}", groups.rows.len());
        assert_eq!(groups.total(0), 1_000_000);
        assert_eq!(groups.other(0), 1_000_000 - groups.rows.len() as u64);
        assert!(groups.is_approximate());
        let real =
            groups.keys.allocated() + groups.rows.allocated() + groups.by_key.allocation_size();
        eprintln!(
            "groups: {} keys, charged {}, real {real}",
            groups.rows.len(),
            groups.bytes()
        );
        assert!(real < LIMIT_DEFAULT * 5 / 4);
    }

    #[test]
    fn a_key_that_is_too_long_does_not_close_the_table() {
        let mut groups = Groups::new(LIMIT_DEFAULT);
        groups.add(0, &[b'x'; 70_000], 3);
        groups.add(0, b"y", 1);
        assert_eq!(
            (groups.other(0), groups.total(0), groups.top(0, 9).len()),
            (3, 4, 1)
        );
    }

    proptest! {
        #[test]
        fn merge_and_snapshot_keep_every_count(
            added in prop::collection::vec((0..3u16, "[a-d]{0,3}", 1..5u64), 0..300),
            cut in any::<prop::sample::Index>(),
            limit in prop_oneof![Just(LIMIT_DEFAULT), 0..2000usize],
        ) {
            let of = |added: &[(u16, String, u64)]| {
                let mut groups = Groups::new(limit);
                added.iter().for_each(|(grouping, key, count)| groups.add(*grouping, key.as_bytes(), *count));
                groups
            };
            let (left, right) = added.split_at(cut.index(added.len() + 1));
            let whole = of(&added);
            prop_assert!(whole.bytes() <= limit.max(PLACE_BYTES));
            let mut merged = of(left);
            merged.merge(&of(right));
            if limit == LIMIT_DEFAULT {
                prop_assert_eq!(answers(&merged), answers(&whole));
            }
            for grouping in 0..3 {
                let want: u64 = added.iter().filter(|row| row.0 == grouping).map(|row| row.2).sum();
                prop_assert_eq!(whole.total(grouping), want);
                prop_assert_eq!(merged.total(grouping), want);
            }
            // A restart in the middle changes nothing, also at the limit.
            let bytes = rmp_serde::to_vec(&of(left)).unwrap();
            let mut resumed: Groups = rmp_serde::from_slice(&bytes).unwrap();
            right.iter().for_each(|(grouping, key, count)| resumed.add(*grouping, key.as_bytes(), *count));
            prop_assert_eq!(answers(&resumed), answers(&whole));
        }
    }
}
