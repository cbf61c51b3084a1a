//! Access logs of web servers: common, combined, with a virtual host before or a response time
//! after, and the layout of `ssl_request_log`. What a client can write into a line (requests
//! that are no HTTP, quotes, control bytes) never moves a field: the status stands behind the
//! first quote that closes.
//!
//! Sources: Apache `mod_log_config` (`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`),
//! nginx `log_format combined`.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Text};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::known::Known;
use crate::parsers::stamp::{self, ACCESS_LEN, AccessStamp};
use crate::parsers::time::Clock;

const NAMES: [&str; 10] = [
    "client",
    "user",
    "method",
    "path",
    "protocol",
    "status",
    "bytes",
    "referrer",
    "agent",
    "response_time",
];
const CLIENT: usize = 0;
const USER: usize = 1;
const METHOD: usize = 2;
const PATH: usize = 3;
const PROTOCOL: usize = 4;
const STATUS: usize = 5;
const BYTES: usize = 6;
const REFERRER: usize = 7;
const AGENT: usize = 8;
const RESPONSE_TIME: usize = 9;

/// The time has to open within this many brackets: an IPv6 client may bring one of its own.
const BRACKETS_MAX: usize = 4;

/// Reads access log lines.
///
/// A record is one when a time in brackets stands behind at least a client, and a quoted request,
/// a status (`404` or `-`) and a size (`209` or `-`) follow; or when it starts with the time and
/// the request is followed by a size alone (`ssl_request_log`). Everything after the size is
/// optional.
///
/// * `client` is the first of a list of forwarded addresses. `-` anywhere is a missing value.
/// * `method`, `path`, `protocol` are missing if the request is none (`-`, TLS bytes).
/// * `response_time` is the last bare number between size and referrer, else after the agent: the
///   first with a decimal point, else a whole number if it is the only one (two are sizes). It is
///   the text as logged: the unit is the server's choice.
/// * The message is the request without its quotes.
#[derive(Debug)]
pub struct Parser {
    known: Known<10>,
    wants_request: bool,
    wants_tail: bool,
    level: bool,
    stamp: AccessStamp,
}

/// Whether the record begins with a date, as the lines of most other logs do: no client is called
/// so, and the search for an access log's time would look through the whole line.
fn begins_like_a_date(record: &[u8]) -> bool {
    let Some(head) = record.first_chunk::<7>() else {
        return false;
    };
    match head {
        [b'0'..=b'9', b'0'..=b'9', b'/', ..] => true,
        [b'0'..=b'9', _, _, _, b'-' | b'/', b'0'..=b'9', b'0'..=b'9'] => true,
        [digits @ .., b' '] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        let known = Known::new(NAMES, wanted);
        let wants = |fields: &[usize]| fields.iter().any(|field| known.wanted(*field));
        Parser {
            wants_request: wants(&[METHOD, PATH, PROTOCOL]),
            wants_tail: wants(&[REFERRER, AGENT, RESPONSE_TIME]),
            level: wanted.level,
            stamp: AccessStamp::new(),
            known,
        }
    }

    /// Whether the record is an access log line; if so, `row` holds its parts.
    pub fn parse(&mut self, record: &[u8], _clock: &mut Clock, row: &mut Row) -> bool {
        if begins_like_a_date(record) {
            return false;
        }
        let Some(head) = self.head(record) else {
            return false;
        };
        let Some(line) = request(record, head.request, head.layout) else {
            return false;
        };
        row.format = Format::Access;
        row.time = head.time;
        row.message = text(&line.request);
        if self.level {
            row.level = Some(match record.get(line.status.start) {
                Some(b'5'..=b'9') => Level::Error,
                Some(b'4') => Level::Warn,
                _ => Level::Info,
            });
        }
        self.put_number(record, row, STATUS, line.status);
        self.put_number(record, row, BYTES, line.bytes);
        if self.known.wanted(CLIENT) || self.known.wanted(USER) {
            self.put_people(record, row, head.people, head.layout);
        }
        if self.wants_request {
            self.put_request(record, row, line.request);
        }
        if self.wants_tail {
            self.put_tail(record, row, line.tail);
        }
        true
    }

    /// Finds the time and what stands around it.
    fn head(&mut self, record: &[u8]) -> Option<Head> {
        let mut from = 0;
        for _ in 0..BRACKETS_MAX {
            let open = from + memchr(b'[', record.get(from..)?)?;
            from = open + 1;
            // Fast path: the layout's own length is where it should be.
            let fixed: Option<&[u8; ACCESS_LEN]> = record
                .get(open + 1..open + 1 + ACCESS_LEN)
                .and_then(|text| text.try_into().ok());
            let (time, close) = match fixed.and_then(|text| self.stamp.read(text)) {
                Some(time) => (Some(time), open + 1 + ACCESS_LEN),
                None => match slow_time(&record[open + 1..]) {
                    Some((time, len)) => (time, open + 1 + len),
                    None => continue,
                },
            };
            if record.get(close) != Some(&b']') || record.get(close + 1) != Some(&b' ') {
                continue;
            }
            if open == 0 {
                // ssl_request_log: `[time] client protocol cipher "request" size`.
                let quote = close + 2 + memchr(b'"', &record[close + 2..])?;
                return Some(Head {
                    time,
                    people: close + 2..quote,
                    request: quote + 1,
                    layout: Layout::Ssl,
                });
            }
            if record[open - 1] != b' ' || record.get(close + 2) != Some(&b'"') {
                continue;
            }
            return Some(Head {
                time,
                people: 0..open - 1,
                request: close + 3,
                layout: Layout::Common,
            });
        }
        None
    }

    fn put_number(&self, record: &[u8], row: &mut Row, index: usize, span: Range<usize>) {
        if self.known.wanted(index) && !span.is_empty() && record[span.start] != b'-' {
            self.known.put(row, index, Kind::Number, text(&span));
        }
    }

    fn put_string(&self, record: &[u8], row: &mut Row, index: usize, span: Range<usize>) {
        if self.known.wanted(index) && !matches!(&record[span.clone()], b"-" | b"") {
            self.known.put(row, index, Kind::String, text(&span));
        }
    }

    /// Client and user from what stands before the time.
    fn put_people(&self, record: &[u8], row: &mut Row, people: Range<usize>, layout: Layout) {
        let (client, user) = match layout {
            Layout::Ssl => {
                let end = memchr(b' ', &record[people.clone()])
                    .map_or(people.end, |at| people.start + at);
                (people.start..end, people.end..people.end)
            }
            Layout::Common => people_of(record, people),
        };
        self.put_string(record, row, CLIENT, client);
        self.put_string(record, row, USER, user);
    }

    /// `GET /path HTTP/1.1`, `GET /path`, or nothing that a client should send.
    fn put_request(&self, record: &[u8], row: &mut Row, request: Range<usize>) {
        let bytes = &record[request.clone()];
        let Some(method) = memchr(b' ', bytes).filter(|at| is_method(&bytes[..*at])) else {
            return;
        };
        // Fast path: nearly every request ends like this.
        let space = match bytes {
            [
                ..,
                b' ',
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'0'..=b'9',
                b'.',
                b'0'..=b'9',
            ] => Some(bytes.len() - 9),
            _ => memchr::memrchr(b' ', bytes).filter(|at| is_protocol(&bytes[at + 1..])),
        };
        let (end, protocol) = match space {
            Some(at) if at > method => (at, at + 1..bytes.len()),
            _ => (bytes.len(), bytes.len()..bytes.len()),
        };
        let at = request.start;
        self.put_string(record, row, METHOD, at..at + method);
        self.put_string(record, row, PATH, at + method + 1..at + end);
        self.put_string(
            record,
            row,
            PROTOCOL,
            at + protocol.start..at + protocol.end,
        );
    }

    /// Referrer, agent and response time from what follows the size.
    fn put_tail(&self, record: &[u8], row: &mut Row, mut at: usize) {
        let mut response_time = None;
        let mut quoted = 0;
        let mut whole = Whole::None;
        while at < record.len() {
            if record[at] == b' ' {
                at += 1;
                continue;
            }
            if record[at] == b'"' {
                let end = quote_end(record, at + 1);
                match quoted {
                    0 => self.put_string(record, row, REFERRER, at + 1..end),
                    1 => self.put_string(record, row, AGENT, at + 1..end),
                    _ => {}
                }
                quoted += 1;
                at = end + 1;
                // The rest costs time only where it can still say something.
                if quoted == 2 && !self.known.wanted(RESPONSE_TIME) {
                    break;
                }
                continue;
            }
            let end = memchr(b' ', &record[at..]).map_or(record.len(), |len| at + len);
            match number(&record[at..end]) {
                // Between size and referrer the last number is the time.
                Some(_) if quoted == 0 => response_time = Some(at..end),
                Some(Number::Decimal) if quoted >= 2 && response_time.is_none() => {
                    response_time = Some(at..end)
                }
                Some(Number::Whole) if quoted >= 2 => {
                    whole = if whole == Whole::None {
                        Whole::One(at, end)
                    } else {
                        Whole::Many
                    }
                }
                _ => {}
            }
            at = end;
        }
        if response_time.is_none()
            && let Whole::One(start, end) = whole
        {
            response_time = Some(start..end);
        }
        if let Some(span) = response_time {
            self.put_number(record, row, RESPONSE_TIME, span);
        }
    }
}

/// What stands before the request.
struct Head {
    time: Option<Time>,
    people: Range<usize>,
    /// The first byte of the request, after its quote.
    request: usize,
    layout: Layout,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Common,
    Ssl,
}

struct Line {
    request: Range<usize>,
    status: Range<usize>,
    bytes: Range<usize>,
    /// Where the size ends.
    tail: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    None,
    One(usize, usize),
    Many,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    Whole,
    Decimal,
}

fn text(span: &Range<usize>) -> Text {
    Text::record(span.start, span.end)
}

/// Times of other lengths: with a fraction of the second, or RFC 3339 as nginx's `$time_iso8601`.
fn slow_time(rest: &[u8]) -> Option<(Option<Time>, usize)> {
    if rest.get(20) == Some(&b'.') {
        let len = memchr(b' ', rest.get(21..32)?)?;
        let fraction = &rest[21..21 + len];
        if len == 0 || len > 9 || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut whole = [0; ACCESS_LEN];
        whole[..20].copy_from_slice(&rest[..20]);
        whole[20..].copy_from_slice(rest.get(21 + len..27 + len)?);
        let second = AccessStamp::new().read(&whole)?;
        let nanosecond = (0..9).fold(0, |sum, at| {
            sum * 10 + fraction.get(at).map_or(0, |digit| i64::from(digit - b'0'))
        });
        return Some((second.0.checked_add(nanosecond).map(Time), 27 + len));
    }
    let read = stamp::rfc3339(rest)?;
    (read.offset != stamp::Offset::None).then_some((read.time, read.len))
}

/// Finds the quote that closes the request: the first unescaped one that a status and a size
/// follow; without one, the same again without regard for backslashes, because not every server
/// escapes.
#[inline]
fn request(record: &[u8], start: usize, layout: Layout) -> Option<Line> {
    // Fast path: the first quote closes; nothing before it can have been another.
    let first = start + memchr(b'"', &record[start..])?;
    if (first == start || record[first - 1] != b'\\')
        && let Some((status, bytes)) = numbers(record, first + 1, layout)
    {
        return Some(Line {
            request: start..first,
            status,
            tail: bytes.end,
            bytes,
        });
    }
    let search = |escapes: bool| {
        memchr_iter(b'"', &record[start..])
            .map(|at| start + at)
            .filter(|quote| !escapes || !is_escaped(record, start, *quote))
            .find_map(|quote| {
                let (status, bytes) = numbers(record, quote + 1, layout)?;
                Some(Line {
                    request: start..quote,
                    status,
                    tail: bytes.end,
                    bytes,
                })
            })
    };
    search(true).or_else(|| search(false))
}

/// Whether an odd number of backslashes stands before `at`. Runs are walked once for each quote
/// that ends them, so the whole stays linear.
fn is_escaped(record: &[u8], start: usize, at: usize) -> bool {
    record[start..at]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
        % 2
        == 1
}

/// ` 404 209` at `at`, each up to a space or the end; the status is empty in the SSL layout.
fn numbers(record: &[u8], at: usize, layout: Layout) -> Option<(Range<usize>, Range<usize>)> {
    let rest = record.get(at..)?;
    let mut bytes = at + 1;
    let status = match (layout, rest) {
        (Layout::Ssl, [b' ', ..]) => at..at,
        (Layout::Common, [b' ', a, b, c, b' ', ..])
            if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() =>
        {
            bytes = at + 5;
            at + 1..at + 4
        }
        (Layout::Common, [b' ', b'-', b' ', ..]) => {
            bytes = at + 3;
            at + 1..at + 2
        }
        _ => return None,
    };
    let mut end = bytes;
    while record.get(end).is_some_and(u8::is_ascii_digit) {
        end += 1;
    }
    if end == bytes && record.get(end) == Some(&b'-') {
        end += 1;
    }
    (end > bytes && matches!(record.get(end), None | Some(b' '))).then_some((status, bytes..end))
}

/// The end of a quoted text that starts at `start`: its closing quote, or the end of the record if
/// the line was cut.
#[inline]
fn quote_end(record: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(len) = memchr(b'"', &record[at..]) {
        let quote = at + len;
        if matches!(record.get(quote + 1), None | Some(b' '))
            && (record[quote - 1] != b'\\' || !is_escaped(record, start, quote))
        {
            return quote;
        }
        at = quote + 1;
    }
    record.len()
}

/// Client and user of `client ident user`, with a virtual host or a list of forwarded addresses
/// before, or spaces in the user's name.
fn people_of(record: &[u8], people: Range<usize>) -> (Range<usize>, Range<usize>) {
    let bytes = &record[..people.end];
    let word =
        |from: usize| from..memchr(b' ', &bytes[from..]).map_or(bytes.len(), |len| from + len);
    let next = |end: usize| (end + 1).min(bytes.len());
    let mut client = word(people.start);
    let mut rest = next(client.end);
    let mut is_list = false;
    if bytes[client.clone()].starts_with(b"\"") {
        // `"10.5.102.222, 199.96.1.1" 10.2.1.185 - -`: the list is quoted.
        let start = client.start + 1;
        let end = memchr(b'"', &bytes[start..]).map_or(bytes.len(), |len| start + len);
        client = start..memchr(b',', &bytes[start..end]).map_or(end, |len| start + len);
        rest = next(next(end));
        is_list = true;
    } else if bytes[client.clone()].ends_with(b",") {
        // `10.0.0.2, 10.0.0.1 - -`, perhaps with the proxy's own address behind the list.
        client.end -= 1;
        is_list = true;
        loop {
            let member = word(rest);
            rest = next(member.end);
            if !bytes[member].ends_with(b",") {
                break;
            }
        }
    }
    let spaces = memchr_iter(b' ', &bytes[rest..]).count();
    if is_list && spaces == 2 {
        rest = next(word(rest).end);
    } else if !is_list && spaces == 2 && &bytes[word(rest)] != b"-" {
        // `example.com:80 1.2.3.4 - -`: four words whose second is no `-`.
        client = word(rest);
        rest = next(client.end);
    }
    let ident = word(rest);
    let user = if ident.end == bytes.len() {
        rest
    } else {
        next(ident.end)
    };
    (client, user..bytes.len())
}

fn is_method(word: &[u8]) -> bool {
    (1..=32).contains(&word.len())
        && word[0].is_ascii_uppercase()
        && word
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
}

/// `HTTP/1.1`, `RTSP/1.0` …
fn is_protocol(word: &[u8]) -> bool {
    let Some(slash) = memchr(b'/', word) else {
        return false;
    };
    let (name, version) = (&word[..slash], &word[slash + 1..]);
    (2..=8).contains(&name.len())
        && name.iter().all(u8::is_ascii_uppercase)
        && (1..=4).contains(&version.len())
        && version
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// A bare number: digits, perhaps with a point among them.
fn number(word: &[u8]) -> Option<Number> {
    let mut points = 0;
    for byte in word {
        match byte {
            b'0'..=b'9' => {}
            b'.' => points += 1,
            _ => return None,
        }
    }
    match (points, word.first(), word.last()) {
        (0, Some(_), _) => Some(Number::Whole),
        (1, Some(b'0'..=b'9'), Some(b'0'..=b'9')) => Some(Number::Decimal),
        _ => None,
    }
}
