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

/// The header of a CSV source, split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvHeader {
    pub separator: u8,
    pub columns: Vec<Vec<u8>>,
    /// Lines that it takes: one, or those from `#Software` to `#Fields` of the W3C's format.
    pub lines: u32,
}

impl CsvHeader {
    /// Lines of the W3C's directives that are looked at.
    const DIRECTIVES_MAX: usize = 16;

    /// Where the header would end that `bytes` open with: behind their first line, or behind the directive
    /// `#Fields` if other directives of the W3C's format stand before it. `None` if that line is not whole.
    pub fn end(bytes: &[u8]) -> Option<usize> {
        let first = memchr::memchr(b'\n', bytes)? + 1;
        let directive = |line: &[u8]| {
            let opens = line.strip_prefix(b"#").and_then(|line| line.first());
            opens.is_some_and(u8::is_ascii_uppercase) && line.contains(&b':')
        };
        let mut at = 0;
        for _ in 0..CsvHeader::DIRECTIVES_MAX {
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]).map(|feed| at + feed + 1) else {
                break;
            };
            let line = &bytes[at..end];
            if line.starts_with(b"#Fields:") {
                return Some(end);
            }
            if !directive(line) {
                break;
            }
            at = end;
        }
        Some(first)
    }
}
