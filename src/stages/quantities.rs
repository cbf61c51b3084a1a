//! The numbers of the record at hand, by slot: tables and rules ask for the same ones, and reading a
//! number costs more than most of what is done with it.

use crate::flow::row::{Kind, Row, Value};
use crate::flow::sample::Bucket;
use crate::units::{self, Quantity, Unit};

/// A number with its unit and its place in a histogram.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub value: f64,
    pub unit: Unit,
    pub bucket: Bucket,
}

impl Measured {
    pub fn new(quantity: Quantity) -> Measured {
        Measured {
            value: quantity.value,
            unit: quantity.unit,
            bucket: Bucket::of(quantity.value),
        }
    }
}

/// Scratch of one mapper.
#[derive(Debug, Default)]
pub struct Quantities {
    /// By slot: what was found, and in which record.
    known: Vec<(u64, Option<Measured>)>,
    /// Counts records from 1.
    record: u64,
}

impl Quantities {
    /// Another record is at hand: nothing is known of its numbers.
    pub fn begin(&mut self) {
        self.record += 1;
    }

    /// The number in a slot, read at most once a record; `None` for what is no number.
    #[inline]
    pub fn of(&mut self, slot: usize, row: &Row, record: &[u8]) -> Option<Measured> {
        if let Some((known, measured)) = self.known.get(slot)
            && *known == self.record
        {
            return *measured;
        }
        let measured = quantity(row, record, row.values[slot]).map(Measured::new);
        if self.known.len() <= slot {
            self.known.resize(slot + 1, (0, None));
        }
        self.known[slot] = (self.record, measured);
        measured
    }
}

/// The number that a value is, with its unit; `None` for what is no number.
pub fn quantity(row: &Row, record: &[u8], value: Value) -> Option<Quantity> {
    match value.kind {
        Kind::Number => units::number(row.bytes(record, value.text)).map(|value| Quantity {
            value,
            unit: Unit::None,
        }),
        Kind::String => Quantity::parse(row.bytes(record, value.text)),
        Kind::Missing | Kind::Null | Kind::Bool | Kind::Composite => None,
    }
}
