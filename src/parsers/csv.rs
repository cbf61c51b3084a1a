//! CSV with a header, which is a fact of the source, and the extended log format of the W3C, whose
//! header is its `#Fields:` line (IIS writes it). Quoting as in RFC 4180.

use std::ops::Range;

use memchr::{memchr, memchr2};

use crate::flow::facts::CsvHeader;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{FIELDS_MAX, Kind, Row, Text, Value};
use crate::flow::wanted::Wanted;
use crate::parsers::known::Place;
use crate::parsers::lifted::{self, Role};
use crate::parsers::time::Clock;

/// Longest line that is looked at as a header.
const HEADER_LEN_MAX: usize = 64 * 1024;

/// Most columns a header may have.
const COLUMNS_MAX: usize = FIELDS_MAX;

/// The columns, if `line` is the header of a CSV source. A forced format other than CSV says no.
pub fn header_unless(line: &[u8], forced: Option<Format>) -> Option<CsvHeader> {
    match forced {
        None | Some(Format::Csv) => header(line),
        Some(_) => None,
    }
}

/// The header that `line`, the first line of a source, is.
///
/// It is one if it has at least two cells between `,`, `;` or tabs, all different, each a name: one
/// to three words of letters, digits and `_ . - / % ( )` with at least one letter, that does not
/// begin like a date. A header of two columns has cells of one word, so that half a sentence with a
/// comma is none. A `#Fields:` line always is one; its cells are separated by spaces.
pub fn header(line: &[u8]) -> Option<CsvHeader> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let lines = memchr::memchr_iter(b'\n', line).count() + usize::from(!line.ends_with(b"\n"));
    // Other directives of the W3C's format may stand before the one that counts.
    let line = match memchr::memmem::find(line, b"\n#Fields:") {
        Some(feed) if line.starts_with(b"#") => &line[feed + 1..],
        _ => line,
    };
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > HEADER_LEN_MAX {
        return None;
    }
    if let Some(names) = line.strip_prefix(b"#Fields:") {
        let columns: Vec<Vec<u8>> = names
            .split(u8::is_ascii_whitespace)
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        return (!columns.is_empty() && columns.len() <= COLUMNS_MAX).then_some(CsvHeader {
            separator: b' ',
            columns,
            lines: lines as u32,
        });
    }
    [b',', b';', b'\t'].into_iter().find_map(|separator| {
        let columns = names(line, separator)?;
        Some(CsvHeader {
            separator,
            columns,
            lines: 1,
        })
    })
}

fn names(line: &[u8], separator: u8) -> Option<Vec<Vec<u8>>> {
    let mut cells = Vec::new();
    if !split(line, separator, &mut cells) || !(2..=COLUMNS_MAX).contains(&cells.len()) {
        return None;
    }
    let words_max = if cells.len() == 2 { 1 } else { 3 };
    let columns: Vec<Vec<u8>> = cells
        .iter()
        .map(|cell| line[cell.span.clone()].trim_ascii().to_vec())
        .collect();
    let mut sorted: Vec<&Vec<u8>> = columns.iter().collect();
    sorted.sort_unstable();
    let is_unique = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    let is_tight = columns.len() > 2
        || cells
            .iter()
            .zip(&columns)
            .all(|(cell, name)| cell.span.len() == name.len());
    (is_unique && is_tight && columns.iter().all(|name| is_name(name, words_max)))
        .then_some(columns)
}

fn is_name(cell: &[u8], words_max: usize) -> bool {
    let is_allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || *byte >= 128
            || matches!(
                byte,
                b'_' | b'.' | b'-' | b' ' | b'/' | b'%' | b'(' | b')' | b'@'
            )
    };
    let begins_like_a_date = cell.iter().take_while(|byte| byte.is_ascii_digit()).count() >= 3;
    cell.iter().all(is_allowed)
        && cell
            .iter()
            .any(|byte| byte.is_ascii_alphabetic() || *byte >= 128)
        && cell.split(|byte| *byte == b' ').count() <= words_max
        && !begins_like_a_date
        && std::str::from_utf8(cell).is_ok_and(|cell| cell.parse::<f64>().is_err())
}

/// Reads the records of sources that have a header.
///
/// A record fits if it has exactly as many cells as the header; in the W3C format it does not
/// begin with `#`. Columns that are named like a time, level or message give those; in the W3C
/// format `date` and `time` (UTC, but `date-local` and `time-local` are not) give the time and
/// `sc-status` the level as in an access log. An empty cell is null, and in the W3C format `-` is
/// missing.
#[derive(Debug)]
pub struct Parser {
    wanted: Wanted,
    header: Option<Resolved>,
    cells: Vec<Cell>,
    scratch: Vec<u8>,
}

/// A header with what its columns are for.
#[derive(Debug)]
struct Resolved {
    header: CsvHeader,
    columns: Vec<(Role, Place)>,
    /// Columns that are a time only together.
    date_and_time: Option<DateAndTime>,
    status: Option<usize>,
    /// Method, path and status.
    request: Option<[usize; 3]>,
    /// `a=<*> b=<*>` for records without a message column.
    message: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct DateAndTime {
    date: usize,
    time: usize,
    is_utc: bool,
}

#[derive(Clone, Debug)]
struct Cell {
    span: Range<usize>,
    /// The span holds doubled quotes.
    doubled: bool,
    quoted: bool,
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            wanted: wanted.clone(),
            header: None,
            cells: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Whether the record fits `header`; if so, `row` holds its parts.
    pub fn parse(
        &mut self,
        record: &[u8],
        header: &CsvHeader,
        clock: &mut Clock,
        row: &mut Row,
    ) -> bool {
        let is_w3c = header.separator == b' ';
        if is_w3c && record.starts_with(b"#") {
            return false;
        }
        let fits = if is_w3c {
            split_spaces(record, &mut self.cells)
        } else {
            split(record, header.separator, &mut self.cells)
        };
        if !fits || self.cells.len() != header.columns.len() {
            return false;
        }
        // The header is the same for a whole source; comparing it costs less than a wrong guess.
        if self
            .header
            .as_ref()
            .is_none_or(|resolved| resolved.header != *header)
        {
            self.header = Some(Resolved::new(header, &self.wanted));
        }
        let resolved = self.header.as_ref().expect("it was set above");
        row.format = Format::Csv;
        let (mut time_rank, mut level_rank, mut message_rank) = (u8::MAX, u8::MAX, u8::MAX);
        for (at, cell) in self.cells.iter().enumerate() {
            let (role, place) = resolved.columns[at];
            match role {
                Role::Time(rank) if self.wanted.time && rank < time_rank => {
                    if let Some(time) = clock.field(cell.bytes(record, &mut self.scratch)) {
                        row.time = Some(time);
                        time_rank = rank;
                    }
                }
                Role::Level(rank) if self.wanted.level && rank < level_rank => {
                    if let Some(level) = lifted::level(cell.bytes(record, &mut self.scratch)) {
                        row.level = Some(level);
                        level_rank = rank;
                    }
                }
                Role::Message(rank)
                    if self.wanted.message && rank < message_rank && !cell.span.is_empty() =>
                {
                    row.message = cell.text(record, row);
                    message_rank = rank;
                }
                _ => {}
            }
            if place.wanted() && !(is_w3c && cell.is_dash(record)) {
                let kind = if cell.span.is_empty() && !cell.quoted {
                    Kind::Null
                } else {
                    Kind::String
                };
                let value = Value::new(kind, cell.text(record, row));
                let name = if place.is_named() {
                    row.keep(&header.columns[at])
                } else {
                    Text::default()
                };
                place.put(row, name, value);
            }
        }
        if let Some(pair) = resolved.date_and_time.filter(|_| self.wanted.time) {
            self.scratch.clear();
            self.scratch
                .extend_from_slice(&record[self.cells[pair.date].span.clone()]);
            self.scratch.push(if pair.is_utc { b'T' } else { b' ' });
            self.scratch
                .extend_from_slice(&record[self.cells[pair.time].span.clone()]);
            if pair.is_utc {
                self.scratch.push(b'Z');
            }
            if let Some(time) = clock.field(&self.scratch) {
                row.time = Some(time);
            }
        }
        if let Some(status) = resolved
            .status
            .filter(|_| self.wanted.level && level_rank == u8::MAX)
        {
            row.level = match record[self.cells[status].span.clone()] {
                [b'5'..=b'9', _, _] => Some(Level::Error),
                [b'4', _, _] => Some(Level::Warn),
                [b'1'..=b'3', _, _] => Some(Level::Info),
                _ => None,
            };
        }
        if self.wanted.message && message_rank == u8::MAX {
            row.message = match resolved.request {
                // `METHOD PATH STATUS`, as of any access record.
                Some(columns) => row.keep_with(|scratch| {
                    for (number, column) in columns.into_iter().enumerate() {
                        if number > 0 {
                            scratch.push(b' ');
                        }
                        scratch.extend_from_slice(&record[self.cells[column].span.clone()]);
                    }
                }),
                None => row.keep(&resolved.message),
            };
        }
        true
    }
}

impl Resolved {
    fn new(header: &CsvHeader, wanted: &Wanted) -> Resolved {
        let column = |name: &str| {
            header
                .columns
                .iter()
                .position(|column| column.eq_ignore_ascii_case(name.as_bytes()))
        };
        let pair = |date: &str, time: &str, is_utc: bool| {
            Some(DateAndTime {
                date: column(date)?,
                time: column(time)?,
                is_utc,
            })
        };
        let is_w3c = header.separator == b' ';
        let request = column("cs-method")
            .zip(column("cs-uri-stem"))
            .zip(column("sc-status"))
            .map(|((method, path), status)| [method, path, status]);
        let date_and_time = pair("date", "time", is_w3c)
            .or_else(|| pair("date-local", "time-local", false).filter(|_| is_w3c));
        let columns = header
            .columns
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let is_half = date_and_time.is_some_and(|pair| pair.date == at || pair.time == at);
                (
                    if is_half { Role::None } else { Role::of(name) },
                    Place::new(name, wanted),
                )
            })
            .collect();
        let mut names: Vec<&[u8]> = header.columns.iter().map(Vec::as_slice).collect();
        names.sort_unstable();
        let message = names
            .iter()
            .map(|name| [name, &b"=<*>"[..]].concat())
            .collect::<Vec<_>>()
            .join(&b' ');
        Resolved {
            header: header.clone(),
            columns,
            date_and_time,
            status: column("sc-status").filter(|_| is_w3c),
            request: request.filter(|_| is_w3c),
            message,
        }
    }
}

impl Cell {
    fn is_dash(&self, record: &[u8]) -> bool {
        !self.quoted && &record[self.span.clone()] == b"-"
    }

    fn text(&self, record: &[u8], row: &mut Row) -> Text {
        if self.doubled {
            row.keep_with(|scratch| undouble(&record[self.span.clone()], scratch))
        } else {
            Text::record(self.span.start, self.span.end)
        }
    }

    /// The value's bytes, for a look only.
    fn bytes<'a>(&self, record: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let bytes = &record[self.span.clone()];
        if !self.doubled {
            return bytes;
        }
        scratch.clear();
        undouble(bytes, scratch);
        scratch
    }
}

/// Cuts a record into cells; false if a quote stays open or something follows a closed one.
fn split(record: &[u8], separator: u8, cells: &mut Vec<Cell>) -> bool {
    cells.clear();
    let mut at = 0;
    loop {
        let (cell, end) = if record.get(at) == Some(&b'"') {
            match quoted(record, at) {
                Some(found) => found,
                None => return false,
            }
        } else {
            let end = memchr(separator, &record[at..]).map_or(record.len(), |len| at + len);
            (
                Cell {
                    span: at..end,
                    doubled: false,
                    quoted: false,
                },
                end,
            )
        };
        if cells.len() == COLUMNS_MAX {
            return false;
        }
        cells.push(cell);
        match record.get(end) {
            None => return true,
            Some(byte) if *byte == separator => at = end + 1,
            Some(_) => return false,
        }
    }
}

/// The same for cells between runs of spaces and tabs.
fn split_spaces(record: &[u8], cells: &mut Vec<Cell>) -> bool {
    cells.clear();
    let mut at = 0;
    loop {
        while matches!(record.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        if at == record.len() {
            return true;
        }
        // A quote that does not close as it should is part of a word: IIS quotes nothing.
        let found = if record[at] == b'"' {
            quoted(record, at)
                .filter(|(_, end)| matches!(record.get(*end), None | Some(b' ' | b'\t')))
        } else {
            None
        };
        let (cell, end) = found.unwrap_or_else(|| {
            let end = memchr2(b' ', b'\t', &record[at..]).map_or(record.len(), |len| at + len);
            (
                Cell {
                    span: at..end,
                    doubled: false,
                    quoted: false,
                },
                end,
            )
        });
        if cells.len() == COLUMNS_MAX {
            return false;
        }
        cells.push(cell);
        at = end;
    }
}

/// The quoted cell that opens at `at`, and the byte behind its closing quote.
fn quoted(record: &[u8], at: usize) -> Option<(Cell, usize)> {
    let start = at + 1;
    let mut end = start;
    let mut doubled = false;
    loop {
        end += memchr(b'"', record.get(end..)?)?;
        if record.get(end + 1) != Some(&b'"') {
            return Some((
                Cell {
                    span: start..end,
                    doubled,
                    quoted: true,
                },
                end + 1,
            ));
        }
        doubled = true;
        end += 2;
    }
}

fn undouble(mut text: &[u8], to: &mut Vec<u8>) {
    while let Some(quote) = memchr(b'"', text) {
        to.extend_from_slice(&text[..=quote]);
        text = text.get(quote + 2..).unwrap_or_default();
    }
    to.extend_from_slice(text);
}
