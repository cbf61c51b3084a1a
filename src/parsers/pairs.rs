//! `key=value` pairs inside a message, as fields. Used by the formats whose message is free text:
//! log4j-like layouts, klog, syslog, plain.

use crate::flow::row::{Field, Kind, Row, Text, Value};
use crate::flow::wanted::{Wanted, is_metric_name, may_end_a_metric};
use std::ops::Range;

/// Longest key that is looked at.
const KEY_MAX: usize = 64;

/// Calls `each` with the place of every key and its value (without quotes) in `message`, in order.
/// A key is a name at the start or after a space, a comma, a semicolon or an opening bracket; a
/// value ends at a space, a comma, a semicolon or a closing bracket, or is quoted. Empty values
/// are left out.
pub fn pairs(message: &[u8], mut each: impl FnMut(Range<usize>, Range<usize>)) {
    let mut resume = 0;
    let mut from = 0;
    // Set when a quote was not closed: then no later one is, and looking again would be quadratic.
    let mut unclosed = false;
    while let Some(equals) = next_equals(message, from) {
        from = equals + 1;
        let floor = resume.max(equals.saturating_sub(KEY_MAX + 1));
        let mut start = equals;
        while start > floor && CLASS[usize::from(message[start - 1])] & KEY != 0 {
            start -= 1;
        }
        let length = equals - start;
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
        let value = equals + 1;
        if message.get(value) == Some(&b'"') && !unclosed {
            match closing_quote(message, value + 1) {
                Some(end) => {
                    resume = end + 1;
                    from = resume;
                    if end > value + 1 {
                        each(start..equals, value + 1..end);
                    }
                    continue;
                }
                None => unclosed = true,
            }
        }
        let length = message[value..]
            .iter()
            .take_while(|&&byte| CLASS[usize::from(byte)] & END == 0)
            .count();
        resume = value + length;
        from = resume;
        if length > 0 {
            each(start..equals, value..resume);
        }
    }
}

/// The next `=` at or after `from`. Pairs stand close together, so eight bytes at a time in a
/// register beat the set-up of a vector search.
#[inline]
fn next_equals(message: &[u8], from: usize) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let rest = message.get(from..)?;
    let mut at = from;
    let (eights, tail) = rest.as_chunks::<8>();
    for eight in eights {
        // A byte that is `=` becomes zero; the lowest zero byte gets its top bit set.
        let zero = u64::from_le_bytes(*eight) ^ (ONES * b'=' as u64);
        let found = zero.wrapping_sub(ONES) & !zero & TOPS;
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    tail.iter()
        .position(|&byte| byte == b'=')
        .map(|place| at + place)
}

/// Whether a value in `message` may start like a number behind a name that may be a metric's: says
/// yes too often, for it knows no quotes and no brackets, and never no too often.
fn may_have_number(message: &[u8]) -> bool {
    let mut from = 0;
    while let Some(equals) = next_equals(message, from) {
        from = equals + 1;
        let number = match message.get(from..) {
            Some([b'"', first, ..] | [first, ..]) => starts_a_number(*first),
            _ => false,
        };
        if number && may_end_a_metric(&message[equals.saturating_sub(2)..equals]) {
            return true;
        }
    }
    false
}

#[inline]
fn starts_a_number(first: u8) -> bool {
    first.is_ascii_digit() || matches!(first, b'-' | b'+' | b'.')
}

/// Bytes of a key.
const KEY: u8 = 1;
/// Bytes that end a value.
const END: u8 = 2;

const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is = byte as u8;
        if is.is_ascii_alphanumeric() || matches!(is, b'_' | b'.' | b'-') {
            class[byte] |= KEY;
        }
        if matches!(is, b' ' | b'\t' | b',' | b';' | b')' | b']' | b'}' | b'\n') {
            class[byte] |= END;
        }
        byte += 1;
    }
    class
};

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
    client: Option<usize>,
    /// Whether anything but time, level and message is asked for.
    any: bool,
    /// Whether a part of the head is asked for.
    parts: bool,
}

/// The parts of a head that are fields, as places in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    pub logger: Option<Range<usize>>,
    pub thread: Option<Range<usize>>,
    pub pid: Option<Range<usize>>,
    pub file: Option<Range<usize>>,
    pub line: Option<Range<usize>>,
    pub client: Option<Range<usize>>,
}

impl Fields {
    pub fn new(wanted: &Wanted) -> Fields {
        let slots = [
            &b"logger"[..],
            b"thread",
            b"pid",
            b"file",
            b"line",
            b"client",
        ]
        .map(|name| wanted.slot(name));
        let [logger, thread, pid, file, line, client] = slots;
        Fields {
            logger,
            thread,
            pid,
            file,
            line,
            client,
            parts: wanted.all || slots.iter().any(Option::is_some),
            any: !wanted.paths.is_empty() || wanted.numbers || wanted.all,
            wanted: wanted.clone(),
        }
    }

    /// Fills the row with the parts of the head and the pairs of the message, as far as wanted.
    #[inline]
    pub fn fill(&self, record: &[u8], parts: &Parts, message: Range<usize>, row: &mut Row) {
        if self.any {
            if self.parts {
                self.fill_parts(record, parts, row);
            }
            self.fill_message(record, message, row);
        }
    }

    /// Puts a value whose name the format gives.
    pub fn put(&self, row: &mut Row, name: &'static str, value: Text) {
        if !self.any {
            return;
        }
        let value = Value::new(Kind::String, value);
        if let Some(slot) = self.wanted.slot(name.as_bytes()) {
            row.values[slot] = value;
        }
        if self.wanted.all {
            let name = row.keep(name.as_bytes());
            row.add_field(Field { name, value });
        }
    }

    /// Fills the row with the pairs of the message, as far as wanted.
    #[inline]
    pub fn fill_message(&self, record: &[u8], message: Range<usize>, row: &mut Row) {
        if self.any && memchr::memchr(b'=', &record[message.clone()]).is_some() {
            self.fill_pairs(record, message, row);
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
            (self.client, &parts.client),
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
                ("client", &parts.client),
            ] {
                if let Some(part) = part {
                    let name = row.keep(name.as_bytes());
                    row.add_field(Field {
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
        // Fast path: where only metrics are wanted, most messages with pairs have none.
        if !wanted.all && wanted.paths.is_empty() && !may_have_number(&record[message.clone()]) {
            return;
        }
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
            } else if wanted.numbers && starts_a_number(first) && is_metric_name(bytes) {
                row.add_number(field);
            }
            if wanted.all {
                row.add_field(field);
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

    proptest::proptest! {
        #[test]
        fn a_look_ahead_loses_no_number(message in "([a-z_]{0,3}(cpu|took_ms|uid|size|s)?[=\" ,;(\\[\\\\]{0,3}[0-9.x-]{0,2}[ \",)]{0,2}){0,8}") {
            let message = message.as_bytes();
            let numbers = |paths: &[&str]| {
                let wanted = Wanted {
                    numbers: true,
                    paths: paths.iter().map(|path| crate::flow::wanted::Path::new(path)).collect(),
                    ..Wanted::default()
                };
                let mut row = Row::new(paths.len());
                Fields::new(&wanted).fill_message(message, 0..message.len(), &mut row);
                row.numbers.iter().map(|field| (field.name, field.value)).collect::<Vec<_>>()
            };
            // With a path every pair is looked at.
            assert_eq!(numbers(&[]), numbers(&["no such name"]));
        }
    }

    #[test]
    fn stays_linear_with_open_quotes() {
        let message = "a=\"".repeat(200_000);
        let mut count = 0;
        pairs(message.as_bytes(), |_, _| count += 1);
        assert_eq!(count, 1);
    }
}
