//! Text without a head: the whole record is the message, a level is taken from the first words.
//! Every record that no other format takes is plain, so `parse` never says no.

use crate::flow::format::Format;
use crate::flow::row::{Row, Text};
use crate::flow::wanted::Wanted;
use crate::parsers::failure;
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

    pub fn parse(&mut self, record: &[u8], _clock: &mut Clock, row: &mut Row) -> bool {
        row.format = Format::Plain;
        row.guessed = true;
        match failure::find(record) {
            Some(failure) => {
                row.level = Some(failure.level);
                row.message = Text::record(failure.message.start, failure.message.end);
            }
            None => {
                row.level = level::in_text(record);
                row.message = Text::record(0, record.len());
            }
        }
        self.fields
            .fill(record, &Parts::default(), 0..record.len(), row);
        true
    }
}
