//! `key=value` pairs inside a message, as fields. Used by the formats whose message is free text:
//! log4j-like layouts, klog, syslog, plain.

use crate::flow::row::{Field, Kind, Row, Text, Value};
use crate::flow::wanted::{Wanted, is_metric_name};
use std::ops::Range;

/// Longest key that is looked at.
const KEY_MAX: usize = 64;

/// Calls `each` with the place of every key and its value (without quotes) in `message`, in order.
/// A key is a name at the start or after a space, a comma, a semicolon or an opening bracket; a
/// value ends at a space, a comma, a semicolon or a closing bracket, or is quoted. Empty values
/// are left out.
pub fn pairs(message: &[u8], mut each: impl FnMut(Range<usize>, Range<usize>)) {
    let mut resume = 0;
    // Set when a quote was not closed: then no later one is, and looking again would be quadratic.
    let mut unclosed = false;
    for equals in memchr::memchr_iter(b'=', message) {
        if equals < resume {
            continue;
        }
        let floor = resume.max(equals.saturating_sub(KEY_MAX + 1));
        let length = message[floor..equals]
            .iter()
            .rev()
            .take_while(|&&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
            .count();
        let start = equals - length;
        let named = length > 0
            && length <= KEY_MAX
            && (message[start].is_ascii_alphabetic() || message[start] == b'_');
        let opened = start == 0
            || matches!(
                message[start - 1],
                b' ' | b'\t' | b',' | b';' | b'(' | b'[' | b'{' | b'|' | b'\n'
            );
        if !named || !opened {
            continue;
        }
        let from = equals + 1;
        if message.get(from) == Some(&b'"') && !unclosed {
            match closing_quote(message, from + 1) {
                Some(end) => {
                    resume = end + 1;
                    if end > from + 1 {
                        each(start..equals, from + 1..end);
                    }
                    continue;
                }
                None => unclosed = true,
            }
        }
        let length = message[from..]
            .iter()
            .take_while(|&&byte| {
                !matches!(
                    byte,
                    b' ' | b'\t' | b',' | b';' | b')' | b']' | b'}' | b'\n'
                )
            })
            .count();
        resume = from + length;
        if length > 0 {
            each(start..equals, from..resume);
        }
    }
}

fn closing_quote(message: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', message.get(at..)?)?;
        if message[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The names that a text layout may be asked for, resolved once.
pub struct Fields {
    wanted: Wanted,
    logger: Option<usize>,
    thread: Option<usize>,
    pid: Option<usize>,
    file: Option<usize>,
    line: Option<usize>,
    /// Whether anything but time, level and message is asked for.
    any: bool,
}

/// The parts of a head that are fields, as places in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub logger: Option<Range<usize>>,
    pub thread: Option<Range<usize>>,
    pub pid: Option<Range<usize>>,
    pub file: Option<Range<usize>>,
    pub line: Option<Range<usize>>,
}

impl Fields {
    pub fn new(wanted: &Wanted) -> Fields {
        Fields {
            logger: wanted.slot(b"logger"),
            thread: wanted.slot(b"thread"),
            pid: wanted.slot(b"pid"),
            file: wanted.slot(b"file"),
            line: wanted.slot(b"line"),
            any: !wanted.paths.is_empty() || wanted.numbers || wanted.all,
            wanted: wanted.clone(),
        }
    }

    /// Fills the row with the parts of the head and the pairs of the message, as far as wanted.
    #[inline]
    pub fn fill(&self, record: &[u8], parts: &Parts, message: Range<usize>, row: &mut Row) {
        if self.any {
            self.fill_parts(record, parts, row);
            if memchr::memchr(b'=', &record[message.clone()]).is_some() {
                self.fill_pairs(record, message, row);
            }
        }
    }

    fn fill_parts(&self, record: &[u8], parts: &Parts, row: &mut Row) {
        // A bracket may be padded: `[           main]`.
        let text = |part: &Range<usize>| {
            let bytes = &record[part.clone()];
            let start = part.start + (bytes.len() - bytes.trim_ascii_start().len());
            Text::record(start, start + bytes.trim_ascii().len())
        };
        for (slot, part) in [
            (self.logger, &parts.logger),
            (self.thread, &parts.thread),
            (self.pid, &parts.pid),
            (self.file, &parts.file),
            (self.line, &parts.line),
        ] {
            if let (Some(slot), Some(part)) = (slot, part) {
                row.values[slot] = Value::new(Kind::String, text(part));
            }
        }
        if self.wanted.all {
            for (name, part) in [
                ("logger", &parts.logger),
                ("thread", &parts.thread),
                ("pid", &parts.pid),
                ("file", &parts.file),
                ("line", &parts.line),
            ] {
                if let Some(part) = part {
                    let name = row.keep(name.as_bytes());
                    row.fields.push(Field {
                        name,
                        value: Value::new(Kind::String, text(part)),
                    });
                }
            }
        }
    }

    /// The pairs of `message`; the first of two with one name counts, and a part of the head comes
    /// before both.
    pub fn fill_pairs(&self, record: &[u8], message: Range<usize>, row: &mut Row) {
        let wanted = &self.wanted;
        let base = message.start;
        pairs(&record[message], |name, value| {
            let place = |range: Range<usize>| Text::record(base + range.start, base + range.end);
            let bytes = &record[base + name.start..base + name.end];
            let first = record[base + value.start];
            let field = Field {
                name: place(name),
                value: Value::new(Kind::String, place(value)),
            };
            if let Some(slot) = wanted.slot(bytes) {
                if row.values[slot].kind == Kind::Missing {
                    row.values[slot] = field.value;
                }
            } else if wanted.numbers
                && (first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.'))
                && is_metric_name(bytes)
            {
                row.numbers.push(field);
            }
            if wanted.all {
                row.fields.push(field);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, want: &[(&str, &str)]) {
        let mut got = Vec::new();
        pairs(message.as_bytes(), |name, value| {
            got.push((&message[name], &message[value]))
        });
        assert_eq!(got, want, "{message}");
    }

    #[test]
    fn finds_pairs() {
        check("took=12ms a", &[("took", "12ms")]);
        check(
            "x (cpu=5, mem_mb=7); z=\"a b\" end",
            &[("cpu", "5"), ("mem_mb", "7"), ("z", "a b")],
        );
        check("a=1;b=2,c=3", &[("a", "1"), ("b", "2"), ("c", "3")]);
        check("logname= uid=0 euid=0", &[("uid", "0"), ("euid", "0")]);
        check("q=\"a \\\" b\" c=1", &[("q", "a \\\" b"), ("c", "1")]);
        check("q=\"open c=1", &[("q", "\"open"), ("c", "1")]);
        check("/v2?limit=5 1a=2 =3 a==b", &[("a", "=b")]);
        check("len: 1893 time: 0.247", &[]);
        check(
            "url=http://h/?a=b&c=d e=f",
            &[("url", "http://h/?a=b&c=d"), ("e", "f")],
        );
    }

    #[test]
    fn stays_linear_with_open_quotes() {
        let message = "a=\"".repeat(200_000);
        let mut count = 0;
        pairs(message.as_bytes(), |_, _| count += 1);
        assert_eq!(count, 1);
    }
}
