//! Access logs of web servers: common, combined, with a virtual host before or a response time
//! after, and the layout of `ssl_request_log`. What a client can write into a line (requests
//! that are no HTTP, quotes, control bytes) never moves a field: the status stands behind the
//! first quote that closes.
//!
//! Sources: Apache `mod_log_config` (`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`),
//! nginx `log_format combined`.

pub mod layouts;

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Text};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::access::layouts::{LAYOUTS, Layout, Opens, Values};
use crate::parsers::known::Known;
use crate::parsers::stamp::{self, ACCESS_LEN, AccessStamp};
use crate::parsers::time::Clock;

const NAMES: [&str; 11] = [
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
    "duration",
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
const DURATION: usize = 10;

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
/// * The message is `METHOD PATH STATUS`, the path without its query; of a request that is none, its
///   text and the status.
///
/// Other layouts are rows of `access/layouts.rs`.
#[derive(Debug)]
pub struct Parser {
    known: Known<11>,
    wants_request: bool,
    wants_tail: bool,
    level: bool,
    message_from: Option<Level>,
    /// A time in brackets was found in the record that is read.
    timed: bool,
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
            wants_tail: wants(&[REFERRER, AGENT, RESPONSE_TIME, DURATION]),
            level: wanted.level,
            message_from: wanted.message_from,
            timed: false,
            stamp: AccessStamp::new(),
            known,
        }
    }

    /// Whether the record is an access log line; if so, `row` holds its parts.
    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        if begins_like_a_date(record) {
            // CloudFront parts all values by tabs, date and time of day too.
            self.timed = false;
            return record.get(10) == Some(&b'\t') && self.parse_other(record, clock, row);
        }
        self.timed = false;
        let line = self.head(record, clock).and_then(|head| {
            let line = request(record, head.request, head.layout)?;
            Some((head, line))
        });
        let Some((head, line)) = line else {
            return self.parse_other(record, clock, row);
        };
        row.format = Format::Access;
        row.time = head.time;
        self.put_verdict(record, row, &line.status, || asked(record, &line.request));
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

    /// The layouts of the table.
    #[inline(never)]
    fn parse_other(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        for layout in &LAYOUTS {
            let opens = match layout.opens {
                Opens::Timed => self.timed,
                opens => layouts::may_open(record, opens),
            };
            if opens
                && let Some(values) = layout.fit(record)
                && self.put_values(record, layout, values, clock, row)
            {
                return true;
            }
        }
        false
    }

    /// Fills the row with what a layout of the table has found; `false` if its time is none.
    fn put_values(
        &mut self,
        record: &[u8],
        layout: &Layout,
        values: Values,
        clock: &mut Clock,
        row: &mut Row,
    ) -> bool {
        if !values.time.is_empty() {
            let Some(time) = time(&record[values.time.clone()], clock) else {
                return false;
            };
            row.time = Some(time);
        }
        row.format = Format::Access;
        self.put_verdict(record, row, &values.status, || {
            if values.method.is_empty() {
                return asked(record, &values.request);
            }
            (
                values.method.clone(),
                without_query(record, values.path.clone()),
            )
        });
        self.put_number(record, row, STATUS, values.status);
        self.put_number(record, row, BYTES, digits(record, values.bytes));
        if values.method.is_empty() {
            self.put_request(record, row, values.request);
        }
        // Of HAProxy's times the last is the whole.
        let slash = memchr::memrchr(b'/', &record[values.duration.clone()]);
        let duration = values.duration.start + slash.map_or(0, |at| at + 1)..values.duration.end;
        if layout.duration {
            self.put_number(record, row, DURATION, duration.clone());
        }
        self.put_number(record, row, RESPONSE_TIME, duration);
        for (index, span) in [
            (CLIENT, address(record, values.client)),
            (USER, values.user),
            (METHOD, values.method),
            (PATH, values.path),
            (PROTOCOL, values.protocol),
            (REFERRER, values.referrer),
            (AGENT, values.agent),
        ] {
            if !span.is_empty() {
                self.put_string(record, row, index, span);
            }
        }
        true
    }

    /// Level and message: what was asked for, and how it went. `asked` is the method, if there is one,
    /// and the path.
    #[inline]
    fn put_verdict(
        &self,
        record: &[u8],
        row: &mut Row,
        status: &Range<usize>,
        asked: impl Fn() -> (Range<usize>, Range<usize>),
    ) {
        row.status = self::status(&record[status.clone()]);
        let level = match record.get(status.start) {
            _ if status.len() != 3 => Level::Info,
            Some(b'5'..=b'9') => Level::Error,
            Some(b'4') => Level::Warn,
            _ => Level::Info,
        };
        if self.level {
            row.level = Some(level);
        }
        // Fast path: the message of a record that no table lists is not made.
        if Some(level) < self.message_from {
            return;
        }
        let (method, path) = asked();
        row.message = row.keep_with(|scratch| {
            let start = scratch.len();
            for part in [&method, &path, status] {
                if !part.is_empty() && scratch.len() > start {
                    scratch.push(b' ');
                }
                scratch.extend_from_slice(&record[part.clone()]);
            }
        });
    }

    /// Finds the time and what stands around it.
    fn head(&mut self, record: &[u8], clock: &mut Clock) -> Option<Head> {
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
                None => match slow_time(&record[open + 1..], clock) {
                    Some((time, len)) => (time, open + 1 + len),
                    None => continue,
                },
            };
            if record.get(close) != Some(&b']') || record.get(close + 1) != Some(&b' ') {
                continue;
            }
            self.timed = true;
            // Envoy and Django have the request behind the time.
            if open == 0 && record.get(close + 2) == Some(&b'"') {
                return None;
            }
            if open == 0 {
                // ssl_request_log: `[time] client protocol cipher "request" size`.
                let quote = close + 2 + memchr(b'"', &record[close + 2..])?;
                return Some(Head {
                    time,
                    people: close + 2..quote,
                    request: quote + 1,
                    layout: Family::Ssl,
                });
            }
            if record[open - 1] != b' ' || record.get(close + 2) != Some(&b'"') {
                continue;
            }
            return Some(Head {
                time,
                people: 0..open - 1,
                request: close + 3,
                layout: Family::Common,
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
    fn put_people(&self, record: &[u8], row: &mut Row, people: Range<usize>, layout: Family) {
        let (client, user) = match layout {
            Family::Ssl => {
                let end = memchr(b' ', &record[people.clone()])
                    .map_or(people.end, |at| people.start + at);
                (people.start..end, people.end..people.end)
            }
            Family::Common => people_of(record, people),
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
                // Traefik: `12ms`; nginx by a user's own format: `rt=0.250`.
                None if response_time.is_none() && quoted >= 2 => {
                    if let Some(span) = named_time(record, at..end) {
                        response_time = Some(span);
                    }
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

/// Method and path of a request as it was sent; of one that is none, its text.
fn asked(record: &[u8], request: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let bytes = &record[request.clone()];
    let Some(space) = memchr(b' ', bytes).filter(|space| is_method(&bytes[..*space])) else {
        return (request.start..request.start, request.clone());
    };
    let end = memchr::memrchr(b' ', bytes)
        .filter(|at| *at > space && is_protocol(&bytes[at + 1..]))
        .unwrap_or(bytes.len());
    let path = request.start + space + 1..request.start + end;
    (
        request.start..request.start + space,
        without_query(record, path),
    )
}

/// The query is not part of what failed.
fn without_query(record: &[u8], path: Range<usize>) -> Range<usize> {
    let query = memchr(b'?', &record[path.clone()]);
    path.start..query.map_or(path.end, |at| path.start + at)
}

/// A response time that says so itself: `12ms`, `rt=0.250`, `request_time=0.250`.
fn named_time(record: &[u8], word: Range<usize>) -> Option<Range<usize>> {
    let text = &record[word.clone()];
    if let Some(equals) = memchr(b'=', text) {
        let value = word.start + equals + 1..word.end;
        return (matches!(
            &text[..equals],
            b"rt" | b"request_time" | b"duration" | b"rtime"
        ) && number(&record[value.clone()]).is_some())
        .then_some(value);
    }
    let digits = text
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .count();
    (digits > 0 && matches!(&text[digits..], b"ms" | b"s" | b"us" | b"\xc2\xb5s")).then_some(word)
}

/// The time of a layout's line; gin has a dash between date and time of day.
fn time(text: &[u8], clock: &mut Clock) -> Option<Time> {
    if let Some(time) = clock.field(text) {
        return Some(time);
    }
    let mut plain = [0; 40];
    if let Some(tab) = memchr(b'\t', text) {
        plain.get_mut(..text.len())?.copy_from_slice(text);
        plain[tab] = b' ';
        return clock.field(&plain[..text.len()]);
    }
    let dash = text.windows(3).position(|part| part == b" - ")?;
    let rest = text.get(dash + 2..)?;
    let len = dash + rest.len();
    plain.get_mut(..dash)?.copy_from_slice(&text[..dash]);
    plain.get_mut(dash..len)?.copy_from_slice(rest);
    clock.field(&plain[..len])
}

/// A client's address without its port.
fn address(record: &[u8], client: Range<usize>) -> Range<usize> {
    let text = &record[client.clone()];
    let end = memchr(b',', text).unwrap_or(text.len());
    let colons = memchr_iter(b':', &text[..end]).count();
    let end = match memchr(b':', &text[..end]) {
        Some(colon) if colons == 1 => colon,
        _ => end,
    };
    client.start..client.start + end
}

/// The digits that a value opens with: `12B`.
fn digits(record: &[u8], value: Range<usize>) -> Range<usize> {
    let len = record[value.clone()]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    value.start..value.start + len
}

/// What stands before the request.
struct Head {
    time: Option<Time>,
    people: Range<usize>,
    /// The first byte of the request, after its quote.
    request: usize,
    layout: Family,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
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
fn slow_time(rest: &[u8], clock: &mut Clock) -> Option<(Option<Time>, usize)> {
    if rest.get(20) == Some(&b'.')
        && let Some(len) = memchr(b' ', rest.get(21..32).unwrap_or_default())
        && rest[21..21 + len].iter().all(u8::is_ascii_digit)
    {
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
    // Without an offset, or with a zone's name: `01/Mar/2024 00:00:00`, `01/Mar/2024:00:00:00 UTC`.
    if let [_, _, b'/', b'A'..=b'Z', _, _, b'/', ..] = rest {
        let close = rest.iter().take(40).position(|&byte| byte == b']')?;
        return Some((Some(clock.field(&rest[..close])?), close));
    }
    let read = stamp::rfc3339(rest)?;
    (read.offset != stamp::Offset::None).then_some((read.time, read.len))
}

/// A status as a number.
fn status(text: &[u8]) -> Option<u16> {
    let &[
        first @ b'1'..=b'5',
        second @ b'0'..=b'9',
        third @ b'0'..=b'9',
    ] = text
    else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    Some(digit(first) * 100 + digit(second) * 10 + digit(third))
}

/// Finds the quote that closes the request: the first unescaped one that a status and a size
/// follow; without one, the same again without regard for backslashes, because not every server
/// escapes.
#[inline]
fn request(record: &[u8], start: usize, layout: Family) -> Option<Line> {
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
fn numbers(record: &[u8], at: usize, layout: Family) -> Option<(Range<usize>, Range<usize>)> {
    let rest = record.get(at..)?;
    let mut bytes = at + 1;
    let status = match (layout, rest) {
        (Family::Ssl, [b' ', ..]) => at..at,
        (Family::Common, [b' ', a, b, c])
            if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() =>
        {
            return Some((at + 1..at + 4, at + 4..at + 4));
        }
        (Family::Common, [b' ', a, b, c, b' ', ..])
            if a.is_ascii_digit() && b.is_ascii_digit() && c.is_ascii_digit() =>
        {
            bytes = at + 5;
            at + 1..at + 4
        }
        (Family::Common, [b' ', b'-', b' ', ..]) => {
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
