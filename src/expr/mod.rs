//! The language of `--where`, `--fail-on` and of rules.
//!
//! ```text
//! condition  = or
//! or         = and  { ("or" | "||") and }
//! and        = not  { ("and" | "&&") not }
//! not        = ("not" | "!") not | comparison
//! comparison = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~" | ["not"] "contains") sum
//!                  | ["not"] "in" ( "(" literals ")" | "[" literals "]" ) ]
//! sum        = product { ("+" | "-") product }
//! product    = sign { ("*" | "/") sign }
//! sign       = "-" sign | primary
//! primary    = "(" or ")" | number | string | name | name "(" [ or { "," or } ] ")" | "true" | "false" | "null"
//! ```
//!
//! A text becomes a syntax tree ([`ast`]) that all uses share. [`condition`] turns it into a test
//! over one record, [`aggregate`] into a check over the counts and metrics of a report, [`rule`] into
//! what a rule says about windows and states. What a name followed by parentheses means stands in one
//! table, [`functions`].
//!
//! Rules that hold everywhere:
//! * A missing field or a value of another type makes a comparison false, `!=` and `!~` too. `not`
//!   is plain negation, so `not (a == 1)`, `a not in (1)` also hold where `a` is missing.
//! * A text that reads as a number is compared as one with a number. With a unit on both sides both
//!   are converted (ms, bytes); with a unit on one side the other counts as already converted; units
//!   of two kinds never compare. Numbers are 64-bit floats; integers past 2^53 compare exactly where
//!   both sides are integers.
//! * Strings compare byte by byte. `contains`, `==` and `=~` look at the text of a value, which for
//!   a nested JSON value is its JSON.
//! * In strings `\n \t \r \\ \" \' \u{1b}` are escapes; a pattern also keeps every other backslash
//!   for the regular expression, so both `"\d"` and `"\\d"` are a digit.

pub mod aggregate;
mod amount;
pub mod ast;
pub mod condition;
pub mod error;
pub mod functions;
pub mod input;
pub mod last;
pub mod lexer;
mod literals;
mod parse;
mod resolve;
pub mod rule;
#[cfg(test)]
mod tests;

/// Names that mean a part of the record; the record's own key of that name is `.level`.
pub fn reserved_names() -> impl Iterator<Item = &'static str> {
    resolve::RESERVED.iter().map(|reserved| reserved.0)
}

/// Whether `text` has the shape of an expression, whatever its names mean.
pub fn check_syntax(text: &str) -> Result<(), error::Error> {
    parse::parse(text).map(drop)
}
