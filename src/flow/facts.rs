//! What one record cannot show about itself: a source's time zone, year anchor and CSV header.
//! Set by the reader once per source, immutable afterwards, carried in every batch.

use crate::flow::format::Format;
use crate::flow::time::Time;

#[derive(Clone, Debug)]
pub struct Facts {
    /// The zone of times that do not name one.
    pub zone: jiff::tz::TimeZone,
    /// Yearless dates take the year that puts them nearest to and not after this time plus a day.
    /// Modification time of a file, start time of a stream.
    pub anchor: Time,
    /// The format the user forced with `--format`; `None` recognises each record by itself.
    pub format: Option<Format>,
    /// The header of a CSV source, when the source's first line is one.
    pub csv: Option<CsvHeader>,
}

/// The first line of a CSV source, split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvHeader {
    pub separator: u8,
    pub columns: Vec<Vec<u8>>,
}
