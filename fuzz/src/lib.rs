//! What the fuzzers run: one function a target, each of which takes any bytes and panics if a promise
//! is broken. `targets/` calls them under libFuzzer; `tests/it/fuzz.rs` calls the same functions with
//! the inputs that are kept in `corpus/` and `regressions/`, with the stable toolchain.

mod bytes;
mod condition;
mod outside;
mod records;
mod stored;

pub use bytes::{compressed, documents, escaping, framing, templates, times};
pub use condition::{configuration, expressions};
pub use outside::{http, texts};
pub use records::{formats, pipeline};
pub use stored::stored;

/// A target by the name of its folder in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 13] = [
    ("framing", framing),
    ("formats", formats),
    ("pipeline", pipeline),
    ("expressions", expressions),
    ("configuration", configuration),
    ("stored", stored),
    ("templates", templates),
    ("escaping", escaping),
    ("times", times),
    ("compressed", compressed),
    ("documents", documents),
    ("http", http),
    ("texts", texts),
];

/// Takes single bytes off the front of an input, to decide what is done with the rest of it.
struct Choices<'d>(&'d [u8]);

impl Choices<'_> {
    /// A number below `limit`; 0 when the input is used up.
    fn below(&mut self, limit: usize) -> usize {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                usize::from(byte) % limit
            }
            None => 0,
        }
    }

    fn of<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len())]
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// The facts of a source in UTC, read on 2 March 2024.
fn facts() -> logweir::flow::facts::Facts {
    logweir::flow::facts::Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: logweir::flow::time::Time(1_709_337_600_000_000_000),
        format: None,
        csv: None,
    }
}

/// Whether a terminal could obey some character of `text`, line feed and tab apart.
fn obeyed(text: &str) -> Option<char> {
    let mut characters = text.chars();
    characters.find(|&character| match character {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{61c}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => character.is_control(),
    })
}
