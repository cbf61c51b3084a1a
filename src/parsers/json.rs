//! JSON objects: one object a record, as RFC 8259 and serde_json have it, for known keys at the
//! speed of comparing them.
//!
//! A record is JSON if, after white space and at most one byte order mark, it is one object that
//! serde_json accepts and nothing but white space behind it. Everything else is another format.
//! Of a key that comes twice the last one counts. `memory` reads usual lines, `members` any;
//! both give the same (law 5), and what a value is never depends on which one read it.

mod keys;
mod lookup;
mod members;
mod memory;
mod requests;
mod roles;
mod scan;
#[cfg(test)]
mod tests;

use crate::flow::format::Format;
use crate::flow::row::{Kind, Row, Text, Value};
use crate::flow::wanted::{Step, Wanted};
use crate::parsers::json::keys::{Found, KeyId, Keys};
use crate::parsers::json::members::Members;
use crate::parsers::json::memory::{Memory, Walk};
use crate::parsers::json::roles::{LevelStyle, LevelText, MessageStyle, Roles, TimeStyle};
use crate::parsers::json::scan::Seen;
use crate::parsers::level;
use crate::parsers::time::Clock;
use std::ops::Range;

/// Appends the text of a JSON string, given without its quotes, to `text`. `false` if it is not
/// one (bare quote, control byte, bad escape, lone surrogate, invalid UTF-8); nothing is appended
/// then.
pub fn unescape_string(body: &[u8], text: &mut Vec<u8>) -> bool {
    scan::unescape_string(body, text)
}

/// Reads JSON records of one plan.
pub struct Parser {
    keys: Keys,
    roles: Roles,
    slots: Vec<Slot>,
    /// `None` reads every record in full.
    memory: Option<Memory>,
    members: Members,
    numbers: bool,
    all: bool,
    message: bool,
    decoded: Vec<u8>,
}

/// Where the value of one wanted path can stand.
struct Slot {
    /// The key that is spelled like the whole path.
    flat: KeyId,
    /// The key at the path's steps up to its first index, and the steps from there.
    nested: Option<(KeyId, Vec<Step>)>,
}

impl Slot {
    fn new(path: &crate::flow::wanted::Path, keys: &mut Keys) -> Slot {
        let flat = keys.want(&[&path.flat]);
        let names = path.steps.iter().map_while(|step| match step {
            Step::Key(name) => Some(&name[..]),
            Step::Index(_) => None,
        });
        let names: Vec<&[u8]> = names.collect();
        // A path of one plain step is its flat key. One that starts with an index is in no object.
        let nested = (path.steps.len() > 1 && !names.is_empty())
            .then(|| (keys.want(&names), path.steps[names.len()..].to_vec()));
        Slot { flat, nested }
    }
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        let mut keys = Keys::new(wanted);
        let roles = Roles::new(wanted, &mut keys);
        let slots = wanted
            .paths
            .iter()
            .map(|path| Slot::new(path, &mut keys))
            .collect();
        keys.seal();
        Parser {
            keys,
            roles,
            slots,
            memory: Some(Memory::default()),
            members: Members::default(),
            numbers: wanted.numbers,
            all: wanted.all,
            message: wanted.message,
            decoded: Vec::new(),
        }
    }

    /// A parser that reads every record in full; the same results, slower.
    pub fn without_memory(wanted: &Wanted) -> Parser {
        Parser {
            memory: None,
            ..Parser::new(wanted)
        }
    }

    /// Fills the row; `false` if the record is no JSON object.
    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        let Some(start) = opening(record) else {
            return false;
        };
        let mut seen = Seen::default();
        self.keys.next_line();
        // The memory keeps no list of all fields: who wants that reads in full.
        let walk = match &mut self.memory {
            Some(memory) if !self.all => memory.walk(&mut self.keys, record, start, &mut seen, row),
            _ => Walk::Unusual,
        };
        match walk {
            Walk::Other => return false,
            Walk::Object if seen.high != 0 && simdutf8::basic::from_utf8(record).is_err() => {
                return false;
            }
            Walk::Object => {}
            Walk::Unusual => {
                row.clear_numbers();
                self.keys.next_line();
                if !self.members.read(record, start, &mut seen) {
                    return false;
                }
                self.members.find_wanted(&mut self.keys, record);
                if self.numbers {
                    self.members.numbers(&self.keys, record, row);
                }
                if self.all {
                    self.members.fields(record, row);
                }
            }
        }
        row.format = Format::Json;
        self.read_level(record, row);
        self.read_time(record, clock, row);
        self.read_paths(record, row);
        if self.message && !self.read_message(record, row) && !self.read_request(record, row) {
            row.listed = true;
            row.message = match walk {
                Walk::Unusual => keep_list(self.members.tops(record), row),
                _ => keep_list(self.keys.tops(), row),
            };
        }
        true
    }

    fn read_level(&mut self, record: &[u8], row: &mut Row) {
        let mut number = None;
        for (key, style) in &self.roles.levels {
            let Some(found) = self.keys.found(*key) else {
                continue;
            };
            if *style == LevelStyle::Letter
                && !self
                    .roles
                    .letter_neighbours
                    .iter()
                    .any(|key| self.keys.found(*key).is_some())
            {
                continue;
            }
            let text = text(record, found, &mut self.decoded);
            match roles::read_level(*style, found.kind, text) {
                Some(LevelText::Word(level)) => {
                    row.level = Some(level);
                    return;
                }
                // A word in another key says more: the scales of numbers differ.
                Some(LevelText::Number(it)) => number = number.or(Some(it)),
                None => {}
            }
        }
        row.level = number.and_then(|number| self.roles.number(&self.keys, number));
        if row.level.is_none() {
            row.level = self.roles.implied(&self.keys, record).or_else(|| {
                let requests = self.roles.requests.as_ref()?;
                requests.level(&self.keys, record)
            });
        }
    }

    fn read_time(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) {
        for (at, (key, style)) in self.roles.times.iter().enumerate() {
            let Some(found) = self.keys.found(*key) else {
                continue;
            };
            row.time = roles::read_time(
                *style,
                found.kind,
                text(record, found, &mut self.decoded),
                clock,
            );
            if *style == TimeStyle::Seconds
                && let Some((key, TimeStyle::Nanoseconds)) = self.roles.times.get(at + 1)
                && let Some(rest) = self.keys.found(*key)
                && let Some(rest) = roles::whole_number(&record[rest.range()])
            {
                let rest = i64::try_from(rest).unwrap_or(0).min(999_999_999);
                row.time = row
                    .time
                    .map(|time| crate::flow::time::Time(time.0.saturating_add(rest)));
            }
            if row.time.is_some() {
                break;
            }
        }
        // A date and a time of day in keys of their own.
        if let Some([date, clock_of_day]) = self.roles.date_and_clock
            && let (Some(date), Some(of_day)) =
                (self.keys.found(date), self.keys.found(clock_of_day))
            && let (date, of_day) = (&record[date.range()], &record[of_day.range()])
            && let [b'0'..=b'9', b'0'..=b'9', b':', ..] = of_day
            && date.len() + of_day.len() < 40
        {
            let mut text = [b' '; 41];
            text[..date.len()].copy_from_slice(date);
            text[date.len() + 1..date.len() + 1 + of_day.len()].copy_from_slice(of_day);
            row.time = clock
                .field(&text[..date.len() + 1 + of_day.len()])
                .or(row.time);
        }
    }

    fn read_paths(&mut self, record: &[u8], row: &mut Row) {
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(found) = self.keys.found(slot.flat) {
                row.values[index] = value(record, found.kind, found.range(), found.escaped, row);
                continue;
            }
            let Some((key, steps)) = &slot.nested else {
                continue;
            };
            let Some(found) = self.keys.found(*key) else {
                continue;
            };
            if steps.is_empty() {
                row.values[index] = value(record, found.kind, found.range(), found.escaped, row);
            } else if found.kind == Kind::Composite
                && let Some(inner) =
                    lookup::lookup(record, found.range().start, steps, &mut self.decoded)
            {
                row.values[index] = value(
                    record,
                    inner.kind,
                    inner.start..inner.end,
                    inner.escaped,
                    row,
                );
            }
        }
    }

    fn read_message(&mut self, record: &[u8], row: &mut Row) -> bool {
        for (key, style) in &self.roles.messages {
            let Some(found) = self.keys.found(*key) else {
                continue;
            };
            if found.range().is_empty() {
                continue;
            }
            match found.kind {
                Kind::String => {}
                Kind::Composite
                    if *style != MessageStyle::Instead && record[found.range().start] == b'[' =>
                {
                    row.message = list(record, found.range(), row);
                    return true;
                }
                _ => continue,
            }
            row.message = value(record, found.kind, found.range(), found.escaped, row).text;
            if *style == MessageStyle::Line && row.level.is_none() {
                row.level = level::in_text(row.bytes(record, row.message));
                row.guessed = true;
            }
            return true;
        }
        // One line of OTLP's file exporter: its first record is what the line tells.
        if let Some(key) = self.roles.otlp
            && let Some(found) = self.keys.found(key)
            && found.kind == Kind::Composite
        {
            let steps = [
                Step::Index(0),
                Step::Key(b"scopeLogs".to_vec()),
                Step::Index(0),
                Step::Key(b"logRecords".to_vec()),
                Step::Index(0),
            ];
            if let Some(inner) =
                lookup::lookup(record, found.range().start, &steps, &mut self.decoded)
            {
                row.message = Text::record(inner.start, inner.end);
                return true;
            }
        }
        false
    }

    /// A record of a web server without a message.
    fn read_request(&mut self, record: &[u8], row: &mut Row) -> bool {
        let Some(requests) = &self.roles.requests else {
            return false;
        };
        let message = requests.message(&self.keys, record, row);
        row.message = message.unwrap_or_default();
        message.is_some()
    }
}

/// A list as a message: journald writes one of bytes where a text has control bytes; anything else is
/// shown as it is spelled.
fn list(record: &[u8], range: Range<usize>, row: &mut Row) -> Text {
    let inner = &record[range.start + 1..range.end - 1];
    let byte =
        |text: &[u8]| roles::whole_number(text.trim_ascii()).and_then(|it| u8::try_from(it).ok());
    if inner.is_empty()
        || inner
            .split(|&byte| byte == b',')
            .any(|text| byte(text).is_none())
    {
        return Text::record(range.start, range.end);
    }
    row.keep_with(|scratch| scratch.extend(inner.split(|&byte| byte == b',').filter_map(byte)))
}

/// The position behind the brace that opens the record's object.
fn opening(record: &[u8]) -> Option<usize> {
    // A row's texts have 32-bit positions.
    u32::try_from(record.len()).ok()?;
    let mut at = scan::space(record, 0);
    if record[at..].starts_with(b"\xEF\xBB\xBF") {
        at = scan::space(record, at + 3);
    }
    (scan::byte(record, at) == b'{').then_some(at + 1)
}

/// A value as the row holds it: a string without its escapes, anything else as it is spelled.
fn value(record: &[u8], kind: Kind, range: Range<usize>, escaped: bool, row: &mut Row) -> Value {
    let text = match escaped {
        true => row.keep_with(|scratch| decode(&record[range], scratch)),
        false => Text::record(range.start, range.end),
    };
    Value::new(kind, text)
}

fn text<'a>(record: &'a [u8], found: Found, decoded: &'a mut Vec<u8>) -> &'a [u8] {
    if !found.escaped {
        return &record[found.range()];
    }
    decoded.clear();
    decode(&record[found.range()], decoded);
    decoded
}

fn decode(body: &[u8], text: &mut Vec<u8>) {
    // The whole record was checked before any value of it is handed out; only the metrics that the
    // memory collects come before the check for UTF-8, and a record that fails it drops its row.
    let _ = scan::unescape_string(body, text);
}

/// What stands for the message of an object without one: which keys it has.
fn keep_list<'a>(names: impl Iterator<Item = &'a [u8]>, row: &mut Row) -> Text {
    row.keep_with(|scratch| {
        for (index, name) in names.enumerate() {
            if index > 0 {
                scratch.push(b' ');
            }
            scratch.extend_from_slice(name);
            scratch.extend_from_slice(b"=<*>");
        }
    })
}
