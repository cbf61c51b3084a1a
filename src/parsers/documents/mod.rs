//! Documents: a JSON array, a report of a scanner, JUnit XML, or what `--each` names. Each element
//! becomes a line of JSON, so that everything behind reads it as it reads NDJSON. Recognised from the
//! start of an input alone, and never where that is lines of JSON objects.

mod columns;
mod each;
mod json;
mod junit;
mod reports;
#[cfg(test)]
mod tests;

use crate::flow::document::Columns as AskedColumns;
use crate::flow::document::{Asked, HEAD_BYTES_MAX, Verdict};
use crate::parsers::documents::columns::Columns;
use crate::parsers::documents::each::Each;
use crate::parsers::documents::json::Values;
use crate::parsers::documents::junit::Junit;

pub use each::Each as Path;

/// Whether an input that begins with `head` is a document.
pub fn recognise(head: &[u8], asked: &Asked) -> Verdict {
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    let more = || match head.len() {
        ..HEAD_BYTES_MAX => Verdict::More,
        _ => Verdict::No,
    };
    if text.is_empty() {
        return more();
    }
    if let Some(each) = &asked.each {
        return Verdict::Yes(Box::new(Values::each(Each::new(each))));
    }
    match text[0] {
        b'[' => match is_array_of_objects(text) {
            Some(true) => Verdict::Yes(Box::new(Values::elements())),
            Some(false) => Verdict::No,
            None => more(),
        },
        b'{' => match reports::of(text) {
            reports::Found::Report(report) => Verdict::Yes(Box::new(Values::report(report))),
            reports::Found::None => Verdict::No,
            reports::Found::Unsure => more(),
        },
        b'<' => match junit::is_junit(text) {
            Some(true) => Verdict::Yes(Box::<Junit>::default()),
            Some(false) => Verdict::No,
            None => more(),
        },
        _ => columns(head, asked, more),
    }
}

fn columns(head: &[u8], asked: &Asked, more: impl Fn() -> Verdict) -> Verdict {
    match asked.columns {
        AskedColumns::Never => Verdict::No,
        AskedColumns::Always => Verdict::Yes(Box::new(Columns::new(true))),
        AskedColumns::IfKnown => match columns::is_known(head) {
            Some(true) => Verdict::Yes(Box::new(Columns::new(false))),
            Some(false) => Verdict::No,
            None => more(),
        },
    }
}

/// `[ { "…` or `[ { }`: no line of a log begins so.
fn is_array_of_objects(text: &[u8]) -> Option<bool> {
    let rest = text[1..].trim_ascii_start();
    let Some(rest) = rest.strip_prefix(b"{") else {
        return if rest.is_empty() { None } else { Some(false) };
    };
    Some(matches!(rest.trim_ascii_start().first()?, b'"' | b'}'))
}
