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

/// Fields of an outer layer that are compared with those of an inner one for equal names; a head has a
/// few, and a record that is made to be costly gets its fields twice.
const TWINS_MAX: usize = 64;

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
    /// The level is a word of the message, not a field or a place of the layout: what a layer inside
    /// of this one states counts for more.
    pub guessed: bool,
    /// Something stands around the body: a head, a message that is a record, colour codes. The record is
    /// more than an object then, whatever its format.
    pub layered: bool,
    /// The message is the list of the record's keys, for it has no text.
    pub listed: bool,
    /// The human part. Where a record has none (a JSON object without a message key) this is its
    /// sorted `key=<*>` list.
    pub message: Text,
    /// By slot of `Wanted::paths`.
    pub values: Vec<Value>,
    /// Metrics by name alone that are not in `values` already, if `Wanted::numbers`.
    pub numbers: Vec<Field>,
    /// Every field, if `Wanted::all`; nested JSON stays one composite value.
    pub fields: Vec<Field>,
    /// How many of `fields` patterns made out of text.
    pub made: u32,
    /// Fields and numbers over [`FIELDS_MAX`], left out.
    pub fields_cut: u32,
    /// How a request ended, in a record of a web server or a proxy: an HTTP status from 100 to 599.
    pub status: Option<u16>,
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
        self.status = None;
        self.guessed = false;
        self.layered = false;
        self.listed = false;
        self.message = Text::default();
        self.values.fill(Value::MISSING);
        self.numbers.clear();
        self.fields.clear();
        self.made = 0;
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

    /// Takes over what `inner` says, the row of a record that is the text `within` of this row's
    /// record. Format and message are the inner ones; of level, time and fields with one name the
    /// inner ones count where there are any.
    pub fn adopt(&mut self, record: &[u8], inner: &Row, text: &[u8], within: Text) {
        let base = self.scratch.len();
        self.scratch.extend_from_slice(&inner.scratch);
        let place = |text: Text| Text {
            start: match text.home {
                Home::Record => within.start.saturating_add(text.start),
                Home::Scratch => (base as u32).saturating_add(text.start),
            },
            len: text.len,
            home: match text.home {
                Home::Record => within.home,
                Home::Scratch => Home::Scratch,
            },
        };
        self.layered = true;
        self.listed = inner.listed;
        self.format = inner.format;
        self.time = inner.time.or(self.time);
        self.weight = inner.weight;
        self.message = place(inner.message);
        self.fields_cut = self.fields_cut.saturating_add(inner.fields_cut);
        if inner.level.is_some() && !inner.guessed || self.level.is_none() || self.guessed {
            self.level = inner.level;
            self.guessed = inner.guessed;
        }
        for (value, inner) in self.values.iter_mut().zip(&inner.values) {
            if inner.kind != Kind::Missing {
                *value = Value::new(inner.kind, place(inner.text));
            }
        }
        let fields = [
            (&inner.fields, self.fields.len()),
            (&inner.numbers, self.numbers.len()),
        ];
        for (list, (from, outer)) in fields.into_iter().enumerate() {
            for field in from {
                let moved = Field {
                    name: place(field.name),
                    value: Value::new(field.value.kind, place(field.value.text)),
                };
                let name = inner.bytes(text, field.name);
                let mine = if list == 0 {
                    &self.fields
                } else {
                    &self.numbers
                };
                let twin = mine[..outer.min(TWINS_MAX)]
                    .iter()
                    .position(|field| self.bytes(record, field.name) == name);
                match (list, twin) {
                    (0, Some(at)) => self.fields[at] = moved,
                    (0, None) => self.add_field(moved),
                    (_, Some(at)) => self.numbers[at] = moved,
                    (_, None) => {
                        self.add_number(moved);
                    }
                }
            }
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
