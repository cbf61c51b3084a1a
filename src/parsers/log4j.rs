//! Text lines with a head: a time, a level, or both, then perhaps a process, a thread and a logger,
//! then the message. One grammar reads them all, whatever program wrote them; `log4j/head.rs`
//! holds it. A record without such a head is for `plain`.

pub mod head;

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Row, Text};
use crate::flow::wanted::Wanted;
use crate::parsers::failure;
use crate::parsers::level;
use crate::parsers::pairs::{Fields, Parts};
use crate::parsers::tails;
use crate::parsers::time::Clock;

pub struct Parser {
    fields: Fields,
    /// Nothing is asked of records below this level but their time, and numbers in pairs.
    brief_below: Option<Level>,
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            fields: Fields::new(wanted),
            brief_below: wanted
                .message_from
                .filter(|_| wanted.paths.is_empty() && !wanted.all),
        }
    }

    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        let mut parts = Parts::default();
        // Fast path: the message of a record that no table lists is not looked for. Right because its
        // pairs and the record that it may be are all that could be asked of it: without a `=` there
        // are no pairs, and the records that count behind a level have a brace, a quote or a `=`.
        let brief = |level: Level, at: usize| {
            Some(level) < self.brief_below && !may_hold_a_record(&record[at..])
        };
        let Some(head) = head::read(record, clock, &mut parts, brief) else {
            return false;
        };
        let mut start = head.message;
        let mut end = start + record[start..].trim_ascii_end().len();
        row.format = Format::Log4j;
        row.time = head.time;
        let whole = start..end;
        match record[whole.clone()] {
            [b'*', b'0'..=b'9', ..] => {
                let found = tails::nginx(&record[whole.clone()], |name, value| {
                    let value = Text::record(start + value.start, start + value.end);
                    self.fields.put(row, name, value);
                });
                if let Some(message) = found {
                    (start, end) = (start + message.start, start + message.end);
                }
            }
            [.., b')'] if parts.logger.is_none() => {
                if let Some((len, name)) = tails::logger(&record[whole.clone()]) {
                    parts.logger = Some(start + name.start..start + name.end);
                    end = start + len;
                }
            }
            _ => {}
        }
        let message = &record[start..end];
        let stated = head.level.or_else(|| level::of_first_pair(message));
        row.guessed = stated.is_none();
        row.level = stated
            .or_else(|| failure::find(message).map(|failure| failure.level))
            .or_else(|| level::in_text(message));
        row.message = Text::record(start, end);
        self.fields.fill(record, &parts, whole, row);
        true
    }
}

/// Whether what stands behind a level may be a record of its own, or hold pairs.
#[inline]
pub fn may_hold_a_record(rest: &[u8]) -> bool {
    memchr::memchr3(b'{', b'"', b'=', rest).is_some()
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod beats;
