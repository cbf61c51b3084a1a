//! A condition over one record, ready to run: names are slots, constants are read, patterns are
//! compiled. Mappers call [`Condition::holds`] for every record.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::ast::{Node, Order};
use super::error::{Error, nearest};
use super::literals;
use super::parse::parse;
use super::resolve::{RESERVED, Resolver};
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::units::{self, Quantity, Unit};

/// What a condition can look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub row: &'a Row,
    /// The bytes `row` was parsed from.
    pub record: &'a [u8],
    /// The record's original bytes, with a container's wrapping.
    pub raw: &'a [u8],
    /// The name of the source.
    pub source: &'a str,
    /// The number of the record's first line, from 1; used if [`Needs::line`].
    pub line: u64,
    /// `f1:` and 16 hexadecimal digits; used if [`Needs::fingerprint`].
    pub fingerprint: Option<&'a str>,
    /// Used if [`Needs::template`].
    pub template: Option<&'a [u8]>,
}

/// What a condition looks at beyond the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub line: bool,
    pub fingerprint: bool,
    pub template: bool,
}

/// A checked condition. A clone has its own caches: give each thread one.
#[derive(Clone, Debug)]
pub struct Condition {
    pub(super) test: Test,
    needs: Needs,
    names: Vec<String>,
}

impl Condition {
    /// Reads `text` and adds the fields it names to `wanted`. Times without an offset are read in
    /// `zone`. After an error `wanted` may have fields that nobody needs.
    pub fn parse(text: &str, zone: &TimeZone, wanted: &mut Wanted) -> Result<Condition, Error> {
        Condition::from_node(&parse(text)?, text, zone, wanted)
    }

    /// The condition that `node`, a part of `text`, says.
    pub(super) fn from_node(
        node: &Node,
        text: &str,
        zone: &TimeZone,
        wanted: &mut Wanted,
    ) -> Result<Condition, Error> {
        let mut resolver = Resolver::new(text, zone, wanted);
        let test = resolver.test(node)?;
        Ok(Condition {
            test,
            needs: resolver.needs,
            names: resolver.names,
        })
    }

    /// Whether the record meets the condition. The row must have been parsed with the `Wanted` that
    /// the condition was parsed with, or one that grew from it.
    #[inline]
    pub fn holds(&self, view: &View) -> bool {
        self.test.holds(view)
    }

    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Byte strings of which the payload of every record that meets the condition holds at least
    /// one, unless it holds a backslash: an escape may spell the same text in another way. `None`
    /// if nothing can be said. The strings are printable ASCII of two bytes or more.
    ///
    /// Search the payload or the raw bytes around it; not the raw bytes of a container's record that
    /// was joined from partial lines (a text may run across the seam), and nothing of a source with
    /// a CSV header, where a record's message may be made of the header's names.
    pub fn required_literals(&self) -> Option<Vec<Vec<u8>>> {
        literals::required(&self.test)
    }

    /// Field names that look like a misspelt reserved name, with that name. No error: logs may have
    /// a field of any name.
    pub fn suspicious_names(&self) -> Vec<(String, &'static str)> {
        let suggestion = |name: &String| {
            if name.starts_with('.') {
                return None;
            }
            nearest(name, RESERVED.iter().map(|reserved| reserved.0))
                .map(|reserved| (name.clone(), reserved))
        };
        self.names.iter().filter_map(suggestion).collect()
    }
}

/// Something a test looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operand {
    /// The field at `slot`; `plain` if its text always stands in the record as it is (see
    /// `literals`).
    Field {
        slot: usize,
        plain: bool,
    },
    Level,
    Time,
    Message,
    Source,
    Line,
    Raw,
    Fingerprint,
    Template,
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Has(Operand),
    Level(Order, Level),
    Time(Order, Time),
    Line(Order, f64),
    Number {
        operand: Operand,
        order: Order,
        quantity: Quantity,
    },
    /// Against an integer that a float cannot hold; `quantity` is the nearest one.
    Integer {
        operand: Operand,
        order: Order,
        value: i128,
        quantity: Quantity,
    },
    Text {
        operand: Operand,
        order: Order,
        text: Box<[u8]>,
    },
    Contains {
        operand: Operand,
        finder: Box<Finder<'static>>,
    },
    Matches {
        operand: Operand,
        regex: Box<Regex>,
        negated: bool,
    },
    /// Against `true` and `false`; the order is `==` or `!=`.
    Bool {
        operand: Operand,
        order: Order,
        value: bool,
    },
    /// Against `null`; the order is `==` or `!=`.
    Null {
        slot: usize,
        order: Order,
    },
}

impl Test {
    fn holds(&self, view: &View) -> bool {
        match self {
            Test::Number {
                operand,
                order,
                quantity,
            } => match operand.number(view) {
                Some(bytes) => number_holds(bytes, *order, *quantity),
                None => false,
            },
            Test::Integer {
                operand,
                order,
                value,
                quantity,
            } => match operand.number(view) {
                Some(bytes) => match integer(bytes) {
                    Some(of_row) => order.holds(Some(of_row.cmp(value))),
                    None => number_holds(bytes, *order, *quantity),
                },
                None => false,
            },
            Test::Text {
                operand,
                order,
                text,
            } => match operand.text(view) {
                Some(bytes) => match order {
                    Order::Equal => *bytes == **text,
                    Order::NotEqual => *bytes != **text,
                    _ => order.holds(Some(bytes.cmp(text))),
                },
                None => false,
            },
            Test::Contains { operand, finder } => operand
                .text(view)
                .is_some_and(|bytes| finder.find(bytes).is_some()),
            Test::Matches {
                operand,
                regex,
                negated,
            } => operand
                .text(view)
                .is_some_and(|bytes| regex.is_match(bytes) != *negated),
            Test::Level(order, level) => view
                .row
                .level
                .is_some_and(|of_row| order.holds(Some(of_row.cmp(level)))),
            Test::Time(order, time) => view
                .row
                .time
                .is_some_and(|of_row| order.holds(Some(of_row.cmp(time)))),
            // A line number is far below 2^53.
            Test::Line(order, line) => order.holds((view.line as f64).partial_cmp(line)),
            Test::And(tests) => tests.iter().all(|test| test.holds(view)),
            Test::Or(tests) => tests.iter().any(|test| test.holds(view)),
            Test::Not(test) => !test.holds(view),
            Test::Has(operand) => operand.is_there(view),
            Test::Bool {
                operand,
                order,
                value,
            } => match operand.text(view) {
                Some(b"true") => order.holds(Some(true.cmp(value))),
                Some(b"false") => order.holds(Some(false.cmp(value))),
                _ => false,
            },
            Test::Null { slot, order } => match field(view, *slot).kind {
                Kind::Missing => false,
                Kind::Null => *order == Order::Equal,
                _ => *order == Order::NotEqual,
            },
        }
    }
}

/// The value in `slot`. A row of a smaller plan has no such field.
#[inline]
fn field(view: &View, slot: usize) -> Value {
    view.row.values.get(slot).copied().unwrap_or(Value::MISSING)
}

impl Operand {
    /// The text that string tests look at; a missing or null field has none.
    #[inline]
    fn text<'a>(self, view: &View<'a>) -> Option<&'a [u8]> {
        match self {
            Operand::Field { slot, .. } => {
                let value = field(view, slot);
                (!matches!(value.kind, Kind::Missing | Kind::Null))
                    .then(|| view.row.bytes(view.record, value.text))
            }
            Operand::Message => Some(view.row.bytes(view.record, view.row.message)),
            Operand::Source => Some(view.source.as_bytes()),
            Operand::Raw => Some(view.raw),
            Operand::Fingerprint => view.fingerprint.map(str::as_bytes),
            Operand::Template => view.template,
            Operand::Level | Operand::Time | Operand::Line => None,
        }
    }

    /// The text that may read as a number.
    #[inline]
    fn number<'a>(self, view: &View<'a>) -> Option<&'a [u8]> {
        if let Operand::Field { slot, .. } = self {
            let value = field(view, slot);
            return matches!(value.kind, Kind::Number | Kind::String)
                .then(|| view.row.bytes(view.record, value.text));
        }
        self.text(view)
    }

    fn is_there(self, view: &View) -> bool {
        match self {
            Operand::Field { slot, .. } => field(view, slot).kind != Kind::Missing,
            Operand::Level => view.row.level.is_some(),
            Operand::Time => view.row.time.is_some(),
            Operand::Message => !view.row.message.is_empty(),
            Operand::Source | Operand::Line | Operand::Raw => true,
            Operand::Fingerprint => view.fingerprint.is_some(),
            Operand::Template => view.template.is_some(),
        }
    }
}

/// Whether the number in `bytes` stands in `order` to `quantity`.
#[inline]
fn number_holds(bytes: &[u8], order: Order, quantity: Quantity) -> bool {
    // Fast path: most values are plain numbers, and a unit on one side only is no obstacle.
    if let Some(value) = units::number(bytes) {
        return order.holds(value.partial_cmp(&quantity.value));
    }
    order.holds(compare_quantity(bytes, quantity))
}

#[cold]
fn compare_quantity(bytes: &[u8], quantity: Quantity) -> Option<Ordering> {
    let value = Quantity::parse(bytes)?;
    let comparable =
        value.unit == quantity.unit || value.unit == Unit::None || quantity.unit == Unit::None;
    if comparable {
        value.value.partial_cmp(&quantity.value)
    } else {
        None
    }
}

/// The integer of up to 38 digits that `bytes` are.
fn integer(bytes: &[u8]) -> Option<i128> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
