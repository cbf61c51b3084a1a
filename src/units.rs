//! Quantities as people write them: `12.5ms`, `3GiB`, `87%`. Durations become milliseconds, sizes
//! become bytes, a percentage stays its number. The unit comes from the value's own text, never
//! from a field's name. Used by the parsers, the condition language and the command line.

/// What a number counts, as far as its text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// No unit in the text.
    #[default]
    None,
    /// A duration; the value is in milliseconds.
    Milliseconds,
    /// A size; the value is in bytes.
    Bytes,
    /// A percentage; the value is the number before the sign.
    Percent,
}

impl Unit {
    /// The sign that reports print: empty, `ms`, `B` or `%`.
    pub fn sign(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Milliseconds => "ms",
            Unit::Bytes => "B",
            Unit::Percent => "%",
        }
    }
}

/// A number with its unit, already converted (see [`Unit`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    pub value: f64,
    pub unit: Unit,
}
