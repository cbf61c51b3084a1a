//! One record as the parsers read it: format, time, level, message and the wanted fields, all as
//! spans. A row is scratch: each mapper owns one and resets it for every record.

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::time::Time;

/// A text in the record or, when it had to be decoded (JSON escapes), in the row's scratch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    start: u32,
    len: u32,
    home: Home,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Home {
    #[default]
    Record,
    Scratch,
}

impl Text {
    /// The bytes `start..end` of the record.
    pub fn record(start: usize, end: usize) -> Text {
        debug_assert!(start <= end);
        Text {
            start: start as u32,
            len: (end - start) as u32,
            home: Home::Record,
        }
    }

    /// Where the text stands in the record, if it was not decoded.
    pub fn span(self) -> Option<std::ops::Range<usize>> {
        match self.home {
            Home::Record => Some(self.start as usize..(self.start + self.len) as usize),
            Home::Scratch => None,
        }
    }

    pub fn len(self) -> usize {
        self.len as usize
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// What a field's value is. Its text is always the value as the record spells it, a string
/// without its quotes and escapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The record has no such field.
    #[default]
    Missing,
    Null,
    Bool,
    /// A number by the format's own grammar (JSON number, Influx float, Prometheus value).
    Number,
    /// Text. It may still read as a number: logfmt knows nothing else.
    String,
    /// A JSON array or object; the text is its JSON.
    Composite,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value {
    pub kind: Kind,
    pub text: Text,
}

impl Value {
    pub const MISSING: Value = Value {
        kind: Kind::Missing,
        text: Text {
            start: 0,
            len: 0,
            home: Home::Record,
        },
    };

    pub fn new(kind: Kind, text: Text) -> Value {
        Value { kind, text }
    }
}

/// Most fields of one record that are listed with their names, and most of its metrics by name alone:
/// as many as a CSV header may have columns. A record with more of them keeps its data in names, and
/// whatever takes fields one by one would let one line cost what thousands cost. Fields that the plan
/// asks for by name are found wherever they stand, and a JSON record is its own object, kept whole.
pub const FIELDS_MAX: usize = 4096;

/// A field with its name.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: Text,
    pub value: Value,
}

/// One parsed record.
#[derive(Debug, Default)]
pub struct Row {
    pub format: Format,
    pub time: Option<Time>,
    pub level: Option<Level>,
    /// The human part. Where a record has none (a JSON object without a message key) this is its
    /// sorted `key=<*>` list.
    pub message: Text,
    /// By slot of `Wanted::paths`.
    pub values: Vec<Value>,
    /// Metrics by name alone that are not in `values` already, if `Wanted::numbers`.
    pub numbers: Vec<Field>,
    /// Every field, if `Wanted::all`; nested JSON stays one composite value.
    pub fields: Vec<Field>,
    /// Fields and numbers over [`FIELDS_MAX`], left out.
    pub fields_cut: u32,
    /// How many events the record stands for: 1, or 1/rate for a sampled StatsD line.
    pub weight: f64,
    scratch: Vec<u8>,
}

impl Row {
    pub fn new(slots: usize) -> Row {
        Row {
            values: vec![Value::MISSING; slots],
            weight: 1.0,
            ..Row::default()
        }
    }

    /// Back to an empty row of the same shape.
    pub fn reset(&mut self) {
        self.format = Format::Plain;
        self.time = None;
        self.level = None;
        self.message = Text::default();
        self.values.fill(Value::MISSING);
        self.numbers.clear();
        self.fields.clear();
        self.fields_cut = 0;
        self.weight = 1.0;
        self.scratch.clear();
    }

    /// Adds to `fields`, or counts what is over the limit.
    #[inline]
    pub fn add_field(&mut self, field: Field) {
        if self.fields.len() < FIELDS_MAX {
            self.fields.push(field);
        } else {
            self.fields_cut += 1;
        }
    }

    /// Adds to `numbers`, or counts what is over the limit; whether it was added.
    #[inline]
    pub fn add_number(&mut self, number: Field) -> bool {
        let fits = self.numbers.len() < FIELDS_MAX;
        if fits {
            self.numbers.push(number);
        } else {
            self.fields_cut += 1;
        }
        fits
    }

    /// Forgets the numbers.
    pub fn clear_numbers(&mut self) {
        self.numbers.clear();
        self.fields_cut = 0;
    }

    /// The bytes of `text`; `record` is the record this row was parsed from.
    pub fn bytes<'a>(&'a self, record: &'a [u8], text: Text) -> &'a [u8] {
        let range = text.start as usize..(text.start + text.len) as usize;
        match text.home {
            Home::Record => &record[range],
            Home::Scratch => &self.scratch[range],
        }
    }

    /// Copies `bytes` into the scratch.
    pub fn keep(&mut self, bytes: &[u8]) -> Text {
        self.keep_with(|scratch| scratch.extend_from_slice(bytes))
    }

    /// Lets `write` append to the scratch and returns what it wrote as a text.
    pub fn keep_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Text {
        let start = self.scratch.len();
        write(&mut self.scratch);
        Text {
            start: start as u32,
            len: (self.scratch.len() - start) as u32,
            home: Home::Scratch,
        }
    }
}
