//! The one page that lists every parser. There is no second list.

use crate::flow::facts::CsvHeader;
use crate::flow::format::Format;
use crate::parsers::csv;

/// The columns, if `line` is the header of a CSV source. A forced format other than CSV says no.
pub fn csv_header(line: &[u8], forced: Option<Format>) -> Option<CsvHeader> {
    match forced {
        None | Some(Format::Csv) => csv::header(line),
        Some(_) => None,
    }
}
