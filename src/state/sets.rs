//! Sets: the distinct values of a field, per key and over all keys — findings per server and in all.
//! Exact up to a limit, an estimate beyond it that says so. Fed by the fold in record order; a value
//! that is known changes nothing but a count, so it does not matter how the input was cut.

mod sketch;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use crate::flow::key;
use crate::state::sets::sketch::Sketch;
use crate::state::table::Table;

/// Keys of one set; values of further keys count over all keys only.
pub const KEYS_MAX: usize = 10_000;

/// Values of one key that are kept one by one.
pub const VALUES_MAX: usize = 10_000;

/// The same over all keys.
pub const VALUES_OVERALL_MAX: usize = 100_000;

/// Bytes of one set, about 230,000 values of fifteen bytes. When they are used up, a set of values that
/// wants to grow becomes a sketch, which frees some; when all are sketches, what does not fit in
/// them is counted in [`Sets::refused`].
pub const BYTES_MAX: usize = 16 << 20;

/// A longer key goes to none; its values count over all keys.
pub const KEY_BYTES_MAX: usize = 512;

/// A longer value is cut: two that differ only behind this are the same.
pub const VALUE_BYTES_MAX: usize = 1024;

/// Values that a row lists.
pub const LISTED_MAX: usize = 1_000;

/// What a value takes besides its bytes: its pointer and length, its place in the tree and in the heap.
const VALUE_BYTES: usize = 56;

/// The same for a key.
const ROW_BYTES: usize = 120;

/// What a `[[set]]` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSettings {
    pub name: String,
    /// Names of the fields of the key; none: there is one set of values.
    pub key: Vec<String>,
}

/// The distinct values of one `[[set]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sets {
    settings: SetSettings,
    keys: Table<Values>,
    overall: Values,
    /// Records of keys that were not admitted.
    other: u64,
    /// Records whose value found no room.
    refused: u64,
    /// Of keys and values.
    bytes: usize,
    limit: usize,
}

/// Distinct values and how many records had them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Values {
    records: u64,
    distinct: Distinct,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Distinct {
    Exact(BTreeSet<ByteBuf>),
    Sketch(Sketch),
}

impl Default for Distinct {
    fn default() -> Distinct {
        Distinct::Exact(BTreeSet::new())
    }
}

/// The values of one key, or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'state> {
    pub name: &'state str,
    /// Names and values of the key's fields; empty in the overall row.
    pub key: Vec<(&'state str, &'state [u8])>,
    /// Distinct values.
    pub count: u64,
    /// Records that had one, by weight.
    pub records: u64,
    /// Sorted, at most [`LISTED_MAX`]; empty if `approximate`.
    pub values: Vec<&'state [u8]>,
    /// The count is an estimate.
    pub approximate: bool,
}

impl Sets {
    pub fn new(settings: SetSettings) -> Sets {
        Sets {
            settings,
            keys: Table::default(),
            overall: Values::default(),
            other: 0,
            refused: 0,
            bytes: 0,
            limit: BYTES_MAX,
        }
    }

    pub fn settings(&self) -> &SetSettings {
        &self.settings
    }

    /// Takes in a value that `count` records of a key have.
    pub fn absorb(&mut self, key: &[u8], value: &[u8], count: u64) {
        let value = &value[..value.len().min(VALUE_BYTES_MAX)];
        let mut room = Room {
            bytes: &mut self.bytes,
            limit: self.limit,
        };
        self.overall.records = self.overall.records.saturating_add(count);
        let mut found = Found::New;
        if !self.settings.key.is_empty() {
            if self.keys.get_mut(key).is_none() {
                if !room.admits(key, self.keys.len()) {
                    self.other = self.other.saturating_add(count);
                    self.overall.add(value, VALUES_OVERALL_MAX, &mut room);
                    return;
                }
                self.keys.insert(key, Values::default());
            }
            let values = self.keys.get_mut(key).expect("it is known or was added");
            values.records = values.records.saturating_add(count);
            found = values.add(value, VALUES_MAX, &mut room);
        }
        // Fast path: what a key has is in the overall set already.
        if found == Found::Known {
            return;
        }
        let overall = self.overall.add(value, VALUES_OVERALL_MAX, &mut room);
        if found == Found::Refused || overall == Found::Refused {
            self.refused = self.refused.saturating_add(count);
        }
    }

    /// Every key, sorted by the values of its fields, and then all keys together.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = self
            .keys
            .iter()
            .map(|(key, values)| {
                let names = self.settings.key.iter().map(String::as_str);
                self.row(names.zip(key::values(key)).collect(), values)
            })
            .collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        rows.push(self.row(Vec::new(), &self.overall));
        rows
    }

    fn row<'s>(&'s self, key: Vec<(&'s str, &'s [u8])>, values: &'s Values) -> Row<'s> {
        let (count, listed, approximate) = match &values.distinct {
            Distinct::Exact(exact) => {
                let listed = exact.iter().take(LISTED_MAX);
                let listed = listed.map(|value| value.as_slice()).collect();
                (exact.len() as u64, listed, false)
            }
            Distinct::Sketch(sketch) => (sketch.estimate(), Vec::new(), true),
        };
        Row {
            name: &self.settings.name,
            key,
            count,
            records: values.records,
            values: listed,
            approximate,
        }
    }

    /// Distinct values of a key, or of all; an estimate past the limits.
    pub fn count(&self, key: Option<&[u8]>) -> u64 {
        let values = match key {
            Some(key) => self.keys.get(key),
            None => Some(&self.overall),
        };
        values.map_or(0, |values| match &values.distinct {
            Distinct::Exact(exact) => exact.len() as u64,
            Distinct::Sketch(sketch) => sketch.estimate(),
        })
    }

    /// Records of keys that found no room; their values count over all keys.
    pub fn other(&self) -> u64 {
        self.other
    }

    /// Records whose value found no room, or not everywhere.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether a limit was reached, so that `approximate` must name this table.
    pub fn is_approximate(&self) -> bool {
        let is_sketch = |values: &Values| matches!(values.distinct, Distinct::Sketch(_));
        self.other > 0
            || self.refused > 0
            || is_sketch(&self.overall)
            || self.keys.iter().any(|(_, values)| is_sketch(values))
    }

    /// Adds the values of a set of the same settings (law 4).
    pub fn merge(&mut self, other: &Sets) {
        self.other = self.other.saturating_add(other.other);
        self.refused = self.refused.saturating_add(other.refused);
        let mut room = Room {
            bytes: &mut self.bytes,
            limit: self.limit,
        };
        let mut fits = self
            .overall
            .merge(&other.overall, VALUES_OVERALL_MAX, &mut room);
        for (key, theirs) in other.keys.sorted() {
            if !self.keys.contains(key) {
                if !room.admits(key, self.keys.len()) {
                    self.other = self.other.saturating_add(theirs.records);
                    continue;
                }
                self.keys.insert(key, Values::default());
            }
            let values = self.keys.get_mut(key).expect("it is known or was added");
            fits &= values.merge(theirs, VALUES_MAX, &mut room);
        }
        if !fits {
            self.refused = self.refused.saturating_add(1);
        }
    }
}

/// Bytes used and allowed.
struct Room<'a> {
    bytes: &'a mut usize,
    limit: usize,
}

impl Room<'_> {
    /// Takes the room of one more key; false if it may not be had.
    fn admits(&mut self, key: &[u8], keys: usize) -> bool {
        let bytes = *self.bytes + ROW_BYTES + key.len();
        let fits = keys < KEYS_MAX && key.len() <= KEY_BYTES_MAX && bytes <= self.limit;
        if fits {
            *self.bytes = bytes;
        }
        fits
    }
}

/// How a set took a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It had it for certain.
    Known,
    /// It has it now; a sketch may have had it.
    New,
    /// There was no room for it.
    Refused,
}

impl Values {
    fn add(&mut self, value: &[u8], values_max: usize, room: &mut Room<'_>) -> Found {
        if let Distinct::Exact(exact) = &mut self.distinct {
            if exact.contains(Bytes::new(value)) {
                return Found::Known;
            }
            let bytes = VALUE_BYTES + value.len();
            if exact.len() < values_max && *room.bytes + bytes <= room.limit {
                exact.insert(ByteBuf::from(value));
                *room.bytes += bytes;
                return Found::New;
            }
            self.estimate(room);
        }
        let Distinct::Sketch(sketch) = &mut self.distinct else {
            unreachable!("it was just made a sketch")
        };
        if sketch.would_grow(value) && *room.bytes + 4 > room.limit {
            return Found::Refused;
        }
        *room.bytes -= sketch.bytes();
        sketch.add(value);
        *room.bytes += sketch.bytes();
        Found::New
    }

    /// Makes a sketch of the values, if they are not one already.
    fn estimate(&mut self, room: &mut Room<'_>) {
        let Distinct::Exact(exact) = &mut self.distinct else {
            return;
        };
        let mut sketch = Sketch::default();
        for value in exact.iter() {
            sketch.add(value);
            *room.bytes -= VALUE_BYTES + value.len();
        }
        *room.bytes += sketch.bytes();
        self.distinct = Distinct::Sketch(sketch);
    }

    fn merge(&mut self, other: &Values, values_max: usize, room: &mut Room<'_>) -> bool {
        self.records = self.records.saturating_add(other.records);
        match &other.distinct {
            Distinct::Exact(exact) => {
                let add = |value: &ByteBuf| self.add(value, values_max, room) != Found::Refused;
                exact.iter().map(add).fold(true, |all, fits| all & fits)
            }
            Distinct::Sketch(theirs) => {
                self.estimate(room);
                if let Distinct::Sketch(sketch) = &mut self.distinct {
                    // At most 4 KiB a key: the limit may be passed by what two runs brought.
                    *room.bytes -= sketch.bytes();
                    sketch.merge(theirs);
                    *room.bytes += sketch.bytes();
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
