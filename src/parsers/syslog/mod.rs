//! Syslog: RFC 5424, and what RFC 3164 describes: the lines of `/var/log/messages`, with and
//! without the priority, with the old yearless time or with rsyslog's RFC 3339 time.
//!
//! `structured` reads RFC 5424 strictly, `head` the rest as far as it is surely syslog.

mod head;
mod structured;

use std::ops::Range;

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Text};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::known::Known;
use crate::parsers::log4j::head::marks;
use crate::parsers::time::Clock;
use crate::parsers::{level, pairs};

const NAMES: [&str; 6] = ["facility", "severity", "host", "app", "pid", "msgid"];
const FACILITY: usize = 0;
const SEVERITY: usize = 1;
const HOST: usize = 2;
const APP: usize = 3;
const PID: usize = 4;
const MSGID: usize = 5;

/// Decimal texts of facilities and severities.
const DIGITS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23",
];

/// Reads syslog records.
///
/// `facility` (0 to 23) and `severity` (0 to 7) are the numbers of the priority, missing without
/// one; `sd.ID.PARAM` are the structured data of RFC 5424, unescaped; the pairs (`key=value`) of the
/// message are fields as well. The level is the severity's; without a priority it is the first
/// level that the message's own words name.
pub struct Parser {
    known: Known<6>,
    wanted: Wanted,
    wants_data: bool,
    pairs: pairs::Fields,
    elements: Vec<Range<usize>>,
    last: head::Last,
}

/// What both kinds of syslog have in common, as spans of the record; an empty span is missing.
#[derive(Debug, Default)]
struct Parts {
    priority: Option<u8>,
    time: When,
    host: Range<usize>,
    app: Range<usize>,
    pid: Range<usize>,
    msgid: Range<usize>,
    message: Range<usize>,
}

/// How a record says when.
#[derive(Debug, Default)]
enum When {
    #[default]
    Missing,
    Known(Time),
    /// A text for the clock: a time without a year or an offset.
    Text(Range<usize>),
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        let wants_data = wanted.all
            || wanted.numbers
            || wanted
                .paths
                .iter()
                .any(|path| path.flat.starts_with(b"sd."));
        Parser {
            known: Known::new(NAMES, wanted),
            wanted: wanted.clone(),
            wants_data,
            pairs: pairs::Fields::new(wanted),
            elements: Vec::new(),
            last: head::Last::default(),
        }
    }

    /// Whether the record is syslog; if so, `row` holds its parts.
    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        // Fast path: most records of other formats are told by their first bytes.
        let with_priority = record.first() == Some(&b'<');
        if !with_priority && !head::may_be(record) {
            return false;
        }
        self.read(record, clock, row, with_priority)
    }

    #[inline(never)]
    fn read(
        &mut self,
        record: &[u8],
        clock: &mut Clock,
        row: &mut Row,
        with_priority: bool,
    ) -> bool {
        let structured = if with_priority {
            structured::read(record, &mut self.elements)
        } else {
            None
        };
        let (parts, data) = match structured {
            Some(found) => found,
            None => match head::read(record, &mut self.last) {
                Some(parts) => (parts, 0..0),
                None => return false,
            },
        };
        row.format = Format::Syslog;
        // Cisco: `HOST : %ASA-4-106023: text`
        let mut parts = parts;
        let text = &record[parts.message.clone()];
        let text = text.strip_prefix(b": ").unwrap_or(text);
        let tag = &record[parts.app.start..];
        let cisco = if tag.starts_with(b"%") && !parts.app.is_empty() {
            marks::cisco(tag)
        } else {
            let found = marks::cisco(text);
            if let Some((_, len)) = found {
                parts.message.start = parts.message.end - text.len() + len;
            }
            found
        };
        if self.wanted.time {
            row.time = match parts.time {
                When::Missing => None,
                When::Known(time) => Some(time),
                When::Text(span) => clock.field(&record[span]),
            };
        }
        row.message = Text::record(parts.message.start, parts.message.end);
        if self.wanted.level {
            row.level = match (parts.priority, cisco) {
                (None, Some((level, _))) => Some(level),
                (priority, _) => severity_level(priority, &record[parts.message.clone()]),
            };
            row.guessed = parts.priority.is_none() && cisco.is_none();
        }
        self.put(row, HOST, parts.host);
        self.put(row, APP, parts.app);
        self.put(row, PID, parts.pid);
        self.put(row, MSGID, parts.msgid);
        if let Some(priority) = parts.priority {
            self.put_number(row, FACILITY, priority / 8);
            self.put_number(row, SEVERITY, priority % 8);
        }
        if self.wants_data && !data.is_empty() {
            structured::put(record, data, &self.wanted, row);
        }
        // The pairs of the message are fields, too; those of the head come before them.
        self.pairs.fill_message(record, parts.message, row);
        true
    }

    fn put(&self, row: &mut Row, index: usize, span: Range<usize>) {
        if self.known.wanted(index) && !span.is_empty() {
            self.known
                .put(row, index, Kind::String, Text::record(span.start, span.end));
        }
    }

    fn put_number(&self, row: &mut Row, index: usize, number: u8) {
        if self.known.wanted(index) {
            let text = row.keep(DIGITS[usize::from(number)].as_bytes());
            self.known.put(row, index, Kind::Number, text);
        }
    }
}

fn severity_level(priority: Option<u8>, message: &[u8]) -> Option<Level> {
    match priority.map(|priority| priority % 8) {
        Some(0..=2) => Some(Level::Fatal),
        Some(3) => Some(Level::Error),
        Some(4) => Some(Level::Warn),
        Some(5 | 6) => Some(Level::Info),
        Some(_) => Some(Level::Debug),
        None => level::in_text(message),
    }
}

/// `<N>` at the start of a record: its value (0 to 191, no leading zeros) and its length.
fn priority(record: &[u8]) -> Option<(u8, usize)> {
    let digits = match record {
        [b'<', b'0'..=b'9', b'>', ..] => 1,
        [b'<', b'1'..=b'9', b'0'..=b'9', b'>', ..] => 2,
        [b'<', b'1', b'0'..=b'9', b'0'..=b'9', b'>', ..] => 3,
        _ => return None,
    };
    let value = record[1..=digits]
        .iter()
        .fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    (value <= 191).then_some((value as u8, digits + 2))
}
