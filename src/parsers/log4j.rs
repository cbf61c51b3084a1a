//! Text lines with a head: a time, a level, or both, then perhaps a process, a thread and a logger,
//! then the message. One grammar reads them all, whatever program wrote them; `log4j/head.rs`
//! holds it. A record without such a head is for `plain`.

pub mod head;

use crate::flow::format::Format;
use crate::flow::row::{Row, Text};
use crate::flow::wanted::Wanted;
use crate::parsers::level;
use crate::parsers::pairs::{Fields, Parts};
use crate::parsers::time::Clock;

pub struct Parser {
    fields: Fields,
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            fields: Fields::new(wanted),
        }
    }

    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        let mut parts = Parts::default();
        let Some(head) = head::read(record, clock, &mut parts) else {
            return false;
        };
        let start = head.message;
        let end = start + record[start..].trim_ascii_end().len();
        row.format = Format::Log4j;
        row.time = head.time;
        row.level = head.level.or_else(|| level::in_text(&record[start..end]));
        row.message = Text::record(start, end);
        self.fields.fill(record, &parts, start..end, row);
        true
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod beats;
