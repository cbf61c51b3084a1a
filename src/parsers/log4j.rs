//! Text lines with a head: a time, a level, or both, then perhaps a process, a thread and a logger,
//! then the message. One grammar reads them all, whatever program wrote them; `log4j/head.rs`
//! holds it. A record without such a head is for `plain`.

pub mod head;

use std::ops::Range;

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
        let mut level_below = None;
        if head.level.is_none()
            && let Some((level, logger, message)) = two_lines(&record[start..end])
        {
            level_below = Some(level);
            parts.logger = Some(start + logger.start..start + logger.end);
            start += message;
        }
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
        let stated = head
            .level
            .or(level_below)
            .or_else(|| level::of_first_pair(message));
        row.guessed = stated.is_none();
        row.level = stated
            .or_else(|| failure::find(message).map(|failure| failure.level))
            .or_else(|| level::in_text(message));
        row.message = Text::record(start, end);
        self.fields.fill(record, &parts, whole, row);
        true
    }
}

/// The level, the logger and the place of the message of a record of `java.util.logging`, which has class and
/// method behind its time and its level on the next line: `com.example.Main main⏎SEVERE: cannot start`.
fn two_lines(text: &[u8]) -> Option<(Level, Range<usize>, usize)> {
    let feed = memchr::memchr(b'\n', text)?;
    let mut words = text[..feed].trim_ascii_end().split(|&byte| byte == b' ');
    let class = words.next().filter(|class| !class.is_empty())?;
    let _method = words.next()?;
    if words.next().is_some() {
        return None;
    }
    let below = &text[feed + 1..];
    let colon = memchr::memchr(b':', &below[..below.len().min(16)])?;
    let level = match &below[..colon] {
        // As Java names them in German, French and Spanish.
        b"SCHWERWIEGEND" | b"GRAVE" => Level::Error,
        b"WARNUNG" | b"AVERTISSEMENT" | b"ADVERTENCIA" => Level::Warn,
        b"INFORMATION" | b"INFOS" => Level::Info,
        word => level::from_word(word)?,
    };
    let blanks = below[colon + 1..]
        .iter()
        .take_while(|&&byte| byte == b' ')
        .count();
    Some((level, 0..class.len(), feed + 1 + colon + 1 + blanks))
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
