//! RFC 5424, section 6: header, structured data, message. Strict, so that what is malformed stays
//! what it is: plain text. Only two liberties: parameter values need not be UTF-8, and a backslash
//! before another byte than `"`, `\` and `]` stands for itself (section 6.3.3 asks for that).

use std::ops::Range;

use memchr::{memchr, memchr3};

use super::{Parts, When};
use crate::flow::row::{Kind, Row, Value};
use crate::flow::wanted::Wanted;
use crate::parsers::known::Place;
use crate::parsers::stamp::{self, Offset};

/// Elements of structured data that are compared with each other for equal names (which the RFC
/// forbids). Further ones are accepted unseen, so that a hostile record costs linear time.
const ELEMENTS_COMPARED: usize = 32;

/// Reads a whole record; the second part is where its structured data stand. `elements` is
/// scratch.
pub fn read(record: &[u8], elements: &mut Vec<Range<usize>>) -> Option<(Parts, Range<usize>)> {
    let (priority, mut at) = super::priority(record)?;
    // VERSION = NONZERO-DIGIT 0*2DIGIT
    let version = word(record, at, 3)?;
    if version.is_empty()
        || record[version.start] == b'0'
        || !record[version.clone()].iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    at = version.end + 1;
    let stamp = word(record, at, 64)?;
    let time = match &record[stamp.clone()] {
        b"-" => When::Missing,
        text => {
            let read = stamp::rfc3339(text)?;
            // TIME-SECFRAC has at most six digits, and the offset is not optional.
            if read.len != text.len()
                || read.decimals > 6
                || !matches!(read.offset, Offset::Utc | Offset::Colon)
            {
                return None;
            }
            read.time.map_or(When::Missing, When::Known)
        }
    };
    at = stamp.end + 1;
    let mut header = [0..0, 0..0, 0..0, 0..0];
    for (part, len) in header.iter_mut().zip([255, 48, 128, 32]) {
        let span = word(record, at, len)?;
        if span.is_empty() {
            return None;
        }
        at = span.end + 1;
        *part = if &record[span.clone()] == b"-" {
            0..0
        } else {
            span
        };
    }
    let data = at..match record.get(at)? {
        b'-' => at + 1,
        _ => walk(record, at, elements)?,
    };
    let message = match record.get(data.end) {
        None => record.len()..record.len(),
        Some(b' ') => data.end + 1..record.len(),
        Some(_) => return None,
    };
    let [host, app, pid, msgid] = header;
    Some((
        Parts {
            priority: Some(priority),
            time,
            host,
            app,
            pid,
            msgid,
            message,
        },
        data,
    ))
}

/// The PRINTUSASCII word at `at`, which a space ends; at most `len_max` bytes.
fn word(record: &[u8], at: usize, len_max: usize) -> Option<Range<usize>> {
    let rest = record.get(at..)?;
    let len = rest
        .iter()
        .take(len_max + 1)
        .position(|byte| !(33..=126).contains(byte))?;
    (rest[len] == b' ').then_some(at..at + len)
}

/// SD-NAME: 1 to 32 printable bytes without `=`, space, `]` and `"`.
fn name(record: &[u8], at: usize) -> Option<Range<usize>> {
    let len = record
        .get(at..)?
        .iter()
        .take(33)
        .take_while(|byte| (33..=126).contains(*byte) && !matches!(byte, b'=' | b']' | b'"'))
        .count();
    (1..=32).contains(&len).then_some(at..at + len)
}

/// Checks the elements at `at` and says where the last one ends.
fn walk(record: &[u8], mut at: usize, elements: &mut Vec<Range<usize>>) -> Option<usize> {
    elements.clear();
    while record.get(at) == Some(&b'[') {
        let id = name(record, at + 1)?;
        if elements.len() < ELEMENTS_COMPARED {
            if elements
                .iter()
                .any(|other| record[other.clone()] == record[id.clone()])
            {
                return None;
            }
            elements.push(id.clone());
        }
        at = id.end;
        while record.get(at) == Some(&b' ') {
            let parameter = parameter(record, at + 1)?;
            at = parameter.value.end + 1;
        }
        if record.get(at) != Some(&b']') {
            return None;
        }
        at += 1;
    }
    (!elements.is_empty()).then_some(at)
}

struct Parameter {
    name: Range<usize>,
    /// Between the quotes, escapes and all.
    value: Range<usize>,
}

/// `name="value"` at `at`.
fn parameter(record: &[u8], at: usize) -> Option<Parameter> {
    let name = name(record, at)?;
    if record.get(name.end) != Some(&b'=') || record.get(name.end + 1) != Some(&b'"') {
        return None;
    }
    let start = name.end + 2;
    let mut end = start;
    loop {
        end += memchr3(b'"', b'\\', b']', record.get(end..)?)?;
        match record[end] {
            b'"' => {
                return Some(Parameter {
                    name,
                    value: start..end,
                });
            }
            b'\\' => end += 2,
            _ => return None,
        }
    }
}

/// Hands out the parameters of `data`, which [`read`] has accepted, as `sd.ID.NAME`.
pub fn put(record: &[u8], data: Range<usize>, wanted: &Wanted, row: &mut Row) {
    let mut at = data.start;
    while at < data.end && record[at] == b'[' {
        let Some(id) = name(record, at + 1) else {
            return;
        };
        at = id.end;
        while record[at] == b' ' {
            let Some(parameter) = parameter(record, at + 1) else {
                return;
            };
            at = parameter.value.end + 1;
            let whole = row.keep_with(|scratch| {
                scratch.extend_from_slice(b"sd.");
                scratch.extend_from_slice(&record[id.clone()]);
                scratch.push(b'.');
                scratch.extend_from_slice(&record[parameter.name.clone()]);
            });
            let place = Place::new(row.bytes(record, whole), wanted);
            if place.wanted() {
                let text = &record[parameter.value];
                let text = row.keep_with(|scratch| unescape(text, scratch));
                place.put(row, whole, Value::new(Kind::String, text));
            }
        }
        at += 1;
    }
}

fn unescape(mut text: &[u8], to: &mut Vec<u8>) {
    while let Some(backslash) = memchr(b'\\', text) {
        to.extend_from_slice(&text[..backslash]);
        match text.get(backslash + 1) {
            Some(escaped @ (b'"' | b'\\' | b']')) => {
                to.push(*escaped);
                text = &text[backslash + 2..];
            }
            _ => {
                to.push(b'\\');
                text = &text[backslash + 1..];
            }
        }
    }
    to.extend_from_slice(text);
}
