//! Fields whose names a format fixes (`status`, `host` …), and fields whose names the records
//! bring along (`sd.*`, logfmt keys, CSV columns). Both answer once, not once a record: where does
//! a value of this name go?

use crate::flow::row::{Field, Kind, Row, Text, Value};
use crate::flow::wanted::{Wanted, is_metric_name};

/// Where the values of one name go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    slot: Option<usize>,
    /// The plan has no slot for it, but its name alone makes it a metric.
    number: bool,
    /// Every field is reported.
    all: bool,
}

impl Place {
    pub fn new(name: &[u8], wanted: &Wanted) -> Place {
        let slot = wanted.slot(name);
        Place {
            slot,
            number: wanted.numbers && slot.is_none() && is_metric_name(name),
            all: wanted.all,
        }
    }

    /// Whether anybody wants the value.
    pub fn wanted(self) -> bool {
        self.slot.is_some() || self.number || self.all
    }

    /// Whether the value has to come with its name.
    pub fn is_named(self) -> bool {
        self.number || self.all
    }

    /// Hands `value` to whoever wants it. A later value of the same name takes the place of an
    /// earlier one in its slot.
    pub fn put(self, row: &mut Row, name: Text, value: Value) {
        if let Some(slot) = self.slot {
            row.values[slot] = value;
        }
        if self.number {
            row.add_number(Field { name, value });
        }
        if self.all {
            row.add_field(Field { name, value });
        }
    }
}

/// The fixed fields of a format, by their place in its list.
#[derive(Debug)]
pub struct Known<const N: usize> {
    names: [&'static str; N],
    places: [Place; N],
}

impl<const N: usize> Known<N> {
    pub fn new(names: [&'static str; N], wanted: &Wanted) -> Known<N> {
        Known {
            names,
            places: names.map(|name| Place::new(name.as_bytes(), wanted)),
        }
    }

    pub fn wanted(&self, index: usize) -> bool {
        self.places[index].wanted()
    }

    /// The value of field `index`.
    pub fn put(&self, row: &mut Row, index: usize, kind: Kind, text: Text) {
        let place = self.places[index];
        if let Some(slot) = place.slot {
            row.values[slot] = Value::new(kind, text);
        }
        // A slot alone needs no copy of the name.
        if place.is_named() {
            let name = row.keep(self.names[index].as_bytes());
            Place {
                slot: None,
                ..place
            }
            .put(row, name, Value::new(kind, text));
        }
    }
}
