//! What grep and its kin put before a line: `FILE:`, `FILE:12:`, `12:`. A compiler's message looks the
//! same, so a record that opens itself has to follow.

use super::{Head, Part, Sureness};
use crate::parsers::start;

/// `logs/app.log:12:{…`, the path of `len` bytes.
pub fn path(record: &[u8], len: usize) -> Option<Head> {
    let path = &record[..len];
    if !path.iter().any(|byte| matches!(byte, b'.' | b'/'))
        || !path.iter().any(u8::is_ascii_alphabetic)
    {
        return None;
    }
    let mut at = len + 1;
    let mut digits = digits(record, at);
    // `file:12:body`; a body may as well open with digits.
    if digits > 0 && record.get(at + digits) == Some(&b':') && opens(&record[at + digits + 1..]) {
        at += digits + 1;
        digits = 0;
    }
    let body = record.get(at..)?;
    (opens(body) && (digits == 0 || start::starts_with_time(body).is_some()))
        .then(|| Head::new("grep", at, Sureness::BeforeStructure).with(Part::File, 0..len))
}

/// `12:{…`
pub fn number(record: &[u8]) -> Option<Head> {
    let digits = digits(record, 0);
    let body = record.get(digits + 1..)?;
    // A time of day opens in the same way.
    let time = body.first().is_some_and(u8::is_ascii_digit) && digits <= 2;
    (digits > 0
        && record[digits] == b':'
        && (!time || start::starts_with_time(body).is_some() && body.get(2) != Some(&b':'))
        && opens(body))
    .then(|| Head::new("grep", digits + 1, Sureness::BeforeStructure))
}

fn digits(record: &[u8], at: usize) -> usize {
    record
        .get(at..)
        .unwrap_or_default()
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

/// Whether a record opens here.
fn opens(body: &[u8]) -> bool {
    // The rest of a time of day is no time of its own.
    body.get(2) != Some(&b':') && start::is_hard_start(body)
}
