//! InfluxDB line protocol, `measurement,tag=value field=1i,other="text" 1257894000000000000`. One
//! point a record; a quoted string may hold line feeds if the record does.

use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::row::{Kind, Row, Text, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::level;
use crate::parsers::sample::{Mode, Target, is_utf8};
use crate::parsers::time::Clock;

/// Reads one point of [the line protocol]; its time is in nanoseconds, the protocol's default.
///
/// Fields of the row are `measurement`, the tags and the fields. The text of a number is without the
/// `i` or `u` of an integer. A tag or field `level` or `severity` is the level, a string field `message`
/// or `msg` the message, as Telegraf writes syslog; else the message is the measurement.
///
/// [the line protocol]: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
pub struct Parser {
    target: Target,
    mode: Mode,
}

impl Parser {
    /// A line is a point if it has tags, an integer field (`1i`) or a time of ten digits or more:
    /// `retry count=5` is a sentence.
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            target: Target::new(wanted),
            mode: Mode::Recognise,
        }
    }

    /// With `--format influx` every point counts, also comments and blank lines.
    pub fn set_facts(&mut self, facts: &Facts) {
        self.mode = Mode::of(facts, Format::Influx);
    }

    pub fn parse(&mut self, record: &[u8], _clock: &mut Clock, row: &mut Row) -> bool {
        let start = skip_spaces(record, 0);
        match record.get(start) {
            None | Some(b'#') => {
                row.format = Format::Influx;
                row.message = Text::record(0, record.len());
                return self.mode == Mode::Forced;
            }
            Some(b',' | b'=') => return false,
            // Fast path: most other text has no equals sign.
            Some(_) if memchr::memchr(b'=', &record[start..]).is_none() => return false,
            Some(_) => {}
        }
        let Some(end) = token_end(record, start, Part::Measurement) else {
            return false;
        };
        row.message = token_text(record, start, end, Part::Measurement, row);
        let measurement = row.message;
        let Some(tags_end) = self.tags(record, end, row) else {
            return false;
        };
        let mut is_certain = tags_end > end;
        let fields_start = skip_spaces(record, tags_end);
        if fields_start == tags_end {
            return false;
        }
        let Some((fields_end, has_integer)) = self.fields(record, fields_start, row) else {
            return false;
        };
        is_certain |= has_integer;
        let time = trim_spaces(&record[fields_end..]);
        if !time.is_empty() {
            // The standard library also takes a plus sign, the protocol does not.
            let Some(time) = std::str::from_utf8(time)
                .ok()
                .filter(|text| !text.starts_with('+'))
            else {
                return false;
            };
            let Ok(nanoseconds) = time.parse() else {
                return false;
            };
            is_certain |= time.len() >= 10;
            row.time = Some(Time(nanoseconds));
        }
        if self.mode == Mode::Recognise && !is_certain || !is_utf8(record) {
            return false;
        }
        row.format = Format::Influx;
        self.target
            .named(row, "measurement", Value::new(Kind::String, measurement));
        true
    }

    /// `,key=value` as often as there are; gives the end. A key may not come twice.
    fn tags(&mut self, record: &[u8], mut at: usize, row: &mut Row) -> Option<usize> {
        self.target.clear_keys();
        while record.get(at) == Some(&b',') {
            let equals = token_end(record, at + 1, Part::Key)?;
            if record.get(equals) != Some(&b'=') {
                return None;
            }
            let end = token_end(record, equals + 1, Part::TagValue)?;
            let key = token_text(record, at + 1, equals, Part::Key, row);
            let value = token_text(record, equals + 1, end, Part::TagValue, row);
            self.target.key(key);
            self.target
                .field(record, row, key, Value::new(Kind::String, value));
            self.read_level(record, row, key, value);
            at = end;
        }
        (!self.target.has_twin_keys(record, row)).then_some(at)
    }

    /// `key=value` between commas, at least one; gives the end and whether one is an integer.
    fn fields(&mut self, record: &[u8], mut at: usize, row: &mut Row) -> Option<(usize, bool)> {
        let mut has_integer = false;
        loop {
            let equals = token_end(record, at, Part::Key)?;
            if record.get(equals) != Some(&b'=') {
                return None;
            }
            let start = equals + 1;
            let (value, end) = if record.get(start) == Some(&b'"') {
                string(record, start + 1, row)?
            } else {
                bare_value(record, start)?
            };
            has_integer |= matches!(record[end - 1], b'i' | b'u') && value.kind == Kind::Number;
            let key = token_text(record, at, equals, Part::Key, row);
            self.target.sample(record, row, key, value);
            if value.kind == Kind::String {
                self.read_level(record, row, key, value.text);
                if matches!(row.bytes(record, key), b"message" | b"msg") {
                    row.message = value.text;
                }
            }
            match record.get(end) {
                Some(b',') => at = end + 1,
                Some(b' ') | None => return Some((end, has_integer)),
                Some(_) => return None,
            }
        }
    }

    fn read_level(&self, record: &[u8], row: &mut Row, key: Text, value: Text) {
        if self.target.wanted.level && matches!(row.bytes(record, key), b"level" | b"severity") {
            row.level = level::from_word(row.bytes(record, value)).or(row.level);
        }
    }
}

/// The parts of a point whose special characters a backslash escapes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Measurement,
    Key,
    TagValue,
}

impl Part {
    fn is_escapable(self, byte: u8) -> bool {
        matches!(byte, b',' | b' ') || byte == b'=' && self != Part::Measurement
    }
}

/// The end of the part that starts at `start`: its first unescaped special character, or the end
/// of the record. `None` if it is empty or meets a character that may not stand there.
fn token_end(record: &[u8], start: usize, part: Part) -> Option<usize> {
    let mut at = start;
    while let Some(&byte) = record.get(at) {
        match byte {
            b'\\'
                if record
                    .get(at + 1)
                    .is_some_and(|&next| part.is_escapable(next)) =>
            {
                at += 1
            }
            b',' | b' ' => break,
            b'=' if part == Part::Key => break,
            b'=' if part == Part::TagValue => return None,
            0..=31 | 127 if part != Part::TagValue || byte == b'\n' => return None,
            _ => {}
        }
        at += 1;
    }
    (at > start).then_some(at)
}

/// The text of a part without its escapes. Only special characters can be escaped; any other
/// backslash stands for itself.
fn token_text(record: &[u8], start: usize, end: usize, part: Part, row: &mut Row) -> Text {
    let token = &record[start..end];
    if memchr::memchr(b'\\', token).is_none() {
        return Text::record(start, end);
    }
    unescape(token, row, |next| part.is_escapable(next))
}

fn unescape(token: &[u8], row: &mut Row, is_escapable: impl Fn(u8) -> bool) -> Text {
    row.keep_with(|scratch| {
        let mut rest = token;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            scratch.extend_from_slice(&rest[..at]);
            let taken = match rest.get(at + 1) {
                Some(&next) if is_escapable(next) => {
                    scratch.push(next);
                    2
                }
                _ => {
                    scratch.push(b'\\');
                    1
                }
            };
            rest = &rest[at + taken..];
        }
        scratch.extend_from_slice(rest);
    })
}

/// The string that starts after its opening quote, and the position after the closing one. Only
/// `\"` and `\\` are escapes.
fn string(record: &[u8], start: usize, row: &mut Row) -> Option<(Value, usize)> {
    let mut at = start;
    let mut has_escape = false;
    loop {
        at += memchr::memchr2(b'"', b'\\', record.get(at..)?)?;
        if record[at] == b'"' {
            break;
        }
        has_escape = true;
        at += if matches!(record.get(at + 1), Some(b'"' | b'\\')) {
            2
        } else {
            1
        };
    }
    let text = if has_escape {
        unescape(&record[start..at], row, |next| matches!(next, b'"' | b'\\'))
    } else {
        Text::record(start, at)
    };
    Some((Value::new(Kind::String, text), at + 1))
}

/// A number or a boolean that ends at a comma or space.
fn bare_value(record: &[u8], start: usize) -> Option<(Value, usize)> {
    let end =
        memchr::memchr2(b',', b' ', &record[start..]).map_or(record.len(), |length| start + length);
    let text = &record[start..end];
    let kind = match text {
        b"t" | b"T" | b"true" | b"True" | b"TRUE" | b"f" | b"F" | b"false" | b"False"
        | b"FALSE" => {
            return Some((Value::new(Kind::Bool, Text::record(start, end)), end));
        }
        _ => Kind::Number,
    };
    if !matches!(text.first(), Some(b'0'..=b'9' | b'-' | b'.')) {
        return None;
    }
    let number_end = match text.last() {
        Some(b'i') => std::str::from_utf8(&text[..text.len() - 1])
            .ok()?
            .parse::<i64>()
            .ok()
            .map(|_| end - 1)?,
        Some(b'u') => std::str::from_utf8(&text[..text.len() - 1])
            .ok()?
            .parse::<u64>()
            .ok()
            .map(|_| end - 1)?,
        _ => crate::units::number(text)
            .filter(|value| value.is_finite())
            .map(|_| end)?,
    };
    Some((Value::new(kind, Text::record(start, number_end)), end))
}

fn skip_spaces(record: &[u8], mut at: usize) -> usize {
    while record.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}

fn trim_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' '] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests;
