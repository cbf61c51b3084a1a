//! logfmt: `level=info msg="stopped all" took=3ms`. The grammar is that of go-logfmt, with the
//! liberties that [`Parser`] lists; what is recognised is stricter, because much text holds a pair
//! or two.

use std::ops::Range;

use memchr::memchr2;

use crate::flow::format::Format;
use crate::flow::row::{Kind, Row, Text, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::known::Place;
use crate::parsers::level;
use crate::parsers::lifted::{self, Role};
use crate::parsers::time::Clock;

/// Tokens a record may have; one with more is no logfmt. Keeps the scratch below a megabyte.
const TOKENS_MAX: usize = 16_384;

/// Keys whose place is remembered from the record before, by their position.
const REMEMBERED_MAX: usize = 64;

/// Reads logfmt records.
///
/// A record is logfmt when its first token is `key=…` with a key of `[A-Za-z_@][A-Za-z0-9_.@/-]*`
/// and a value that does not end in `,` or `;` (those are lists of pairs in prose), when it has at
/// least two pairs, and when at least half of its tokens are pairs. The others are bare keys.
///
/// * `k`, `k=` and `k=""` differ: the first two are null, the last is an empty text.
/// * As in go-logfmt a key holds no `"` and is valid UTF-8, and a quoted value has to end.
/// * Unlike it, a value without quotes may hold `=` and `"` (`url=/a?b=c`) unless it starts with
///   `=`; an escape that does not exist stands for itself (`path="C:\dir"`).
/// * Of two pairs with one key the last counts.
///
/// The message is the first of the message keys, else the sorted list of the keys, each followed
/// by `=<*>`.
#[derive(Debug)]
pub struct Parser {
    wanted: Wanted,
    tokens: Vec<Token>,
    remembered: Vec<Remembered>,
    order: Vec<u32>,
    unescaped: Vec<u8>,
    names_itself: bool,
}

#[derive(Clone, Debug)]
struct Token {
    key: Range<usize>,
    value: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// A key without `=`, or with nothing after it.
    Null,
    /// As it stands in the record; quotes are outside of the span.
    Plain(Range<usize>),
    /// Between quotes, with escapes.
    Escaped(Range<usize>),
}

/// What the key at one position of the last record is for. A hint that is proved by comparing the
/// key, so it cannot change a result.
#[derive(Clone, Debug)]
struct Remembered {
    key: Vec<u8>,
    role: Role,
    place: Place,
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            wanted: wanted.clone(),
            tokens: Vec::new(),
            remembered: Vec::new(),
            order: Vec::new(),
            unescaped: Vec::new(),
            names_itself: false,
        }
    }

    /// Whether the record that was read last has a key for its level, its time or its message.
    pub fn names_itself(&self) -> bool {
        self.names_itself
    }

    /// Whether the record is logfmt; if so, `row` holds its parts.
    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        if !starts_like_logfmt(record) || !self.scan(record) {
            return false;
        }
        let pairs = self
            .tokens
            .iter()
            .filter(|token| token.is_pair(record))
            .count();
        // Sidekiq puts a level and a text behind its pairs: `pid=1 class=A WARN: retrying`.
        let leveled = pairs < self.tokens.len()
            && self.tokens.iter().any(|token| {
                matches!(token.value, Shape::Null)
                    && record[token.key.clone()]
                        .strip_suffix(b":")
                        .is_some_and(|word| {
                            word.iter().all(u8::is_ascii_uppercase)
                                && level::from_word(word).is_some()
                        })
            });
        // The audit's own layout has words of any kind behind its head.
        let audit = record.starts_with(b"type=")
            && self
                .tokens
                .get(1)
                .is_some_and(|token| record[token.key.start..].starts_with(b"msg=audit("));
        if audit {
            self.fill(record, clock, row);
            return true;
        }
        if pairs < 2 || pairs * 2 < self.tokens.len() || leveled {
            return false;
        }
        self.fill(record, clock, row);
        true
    }

    /// The same for a source that is said to be logfmt: any record that the grammar allows.
    pub fn parse_any(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        let fits = self.scan(record);
        if fits {
            self.fill(record, clock, row);
        }
        fits
    }

    /// Cuts the record into tokens; false where the grammar is broken.
    fn scan(&mut self, record: &[u8]) -> bool {
        self.tokens.clear();
        let mut at = 0;
        loop {
            while record.get(at).is_some_and(|byte| *byte <= b' ') {
                at += 1;
            }
            if at == record.len() {
                return true;
            }
            let Some((token, end)) = token(record, at) else {
                return false;
            };
            if self.tokens.len() == TOKENS_MAX {
                return false;
            }
            self.tokens.push(token);
            at = end;
        }
    }

    fn fill(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) {
        row.format = Format::Logfmt;
        let (mut time_rank, mut level_rank, mut message_rank) = (u8::MAX, u8::MAX, u8::MAX);
        let mut names_itself = false;
        let mut parts_of_time = PartsOfTime::default();
        for at in 0..self.tokens.len() {
            let Token { key, value } = self.tokens[at].clone();
            let (role, place) = self.remember(at, &record[key.clone()]);
            names_itself |= role != Role::None;
            if let (Role::Time(_), Shape::Plain(span)) = (role, &value) {
                parts_of_time.take(&record[key.clone()], &record[span.clone()], span.clone());
            } else if &record[key.clone()] == b"tz"
                && let Shape::Plain(span) = &value
            {
                parts_of_time.zone = span.clone();
            }
            match role {
                Role::Time(rank) if self.wanted.time && rank < time_rank => {
                    if let Some(time) = clock.field(self.bytes(record, &value)) {
                        row.time = Some(time);
                        time_rank = rank;
                    }
                }
                Role::Level(rank) if self.wanted.level && rank < level_rank => {
                    if let Some(level) = lifted::level(self.bytes(record, &value)) {
                        row.level = Some(level);
                        level_rank = rank;
                    }
                }
                // The kernel's audit: `msg=audit(1709251200.123:456): avc:  denied  { read } …`
                Role::Message(_) if self.bytes(record, &value).starts_with(b"audit(") => {
                    if let Shape::Plain(span) = &value
                        && let Some(time) = audit_time(&record[span.clone()], clock)
                    {
                        row.time = Some(time);
                        time_rank = 0;
                        let rest = span.end
                            + record[span.end..]
                                .iter()
                                .take_while(|byte| **byte == b' ')
                                .count();
                        row.message = Text::record(rest, record.len());
                        message_rank = 0;
                    }
                }
                Role::Message(rank) if self.wanted.message && rank < message_rank => {
                    let message = text(record, &value, row);
                    if !message.is_empty() {
                        row.message = message;
                        message_rank = rank;
                    }
                }
                _ => {}
            }
            if place.wanted() {
                let kind = if matches!(value, Shape::Null) {
                    Kind::Null
                } else {
                    Kind::String
                };
                let value = Value::new(kind, text(record, &value, row));
                place.put(row, Text::record(key.start, key.end), value);
            }
        }
        self.names_itself = names_itself;
        if self.wanted.time && !parts_of_time.date.is_empty() && !parts_of_time.clock.is_empty() {
            row.time = parts_of_time.read(record, clock).or(row.time);
        }
        if self.wanted.message && message_rank == u8::MAX {
            self.key_list(record, row);
        }
    }

    /// Role and place of `key`, which is the record's `at`th.
    fn remember(&mut self, at: usize, key: &[u8]) -> (Role, Place) {
        if let Some(known) = self.remembered.get(at).filter(|known| known.key == key) {
            return (known.role, known.place);
        }
        let (role, place) = (Role::of(key), Place::new(key, &self.wanted));
        match self.remembered.get_mut(at) {
            Some(known) => {
                known.key.clear();
                known.key.extend_from_slice(key);
                known.role = role;
                known.place = place;
            }
            // Positions fill from the left, so the next one is `at` until the limit.
            None if at < REMEMBERED_MAX => self.remembered.push(Remembered {
                key: key.to_vec(),
                role,
                place,
            }),
            None => {}
        }
        (role, place)
    }

    /// The value's bytes, for a look only.
    fn bytes<'a>(&'a mut self, record: &'a [u8], value: &Shape) -> &'a [u8] {
        match value {
            Shape::Null => b"",
            Shape::Plain(span) => &record[span.clone()],
            Shape::Escaped(span) => {
                self.unescaped.clear();
                unescape(&record[span.clone()], &mut self.unescaped);
                &self.unescaped
            }
        }
    }

    /// The message of a record without one: `a=<*> b=<*>`, keys sorted by their bytes, each once.
    fn key_list(&mut self, record: &[u8], row: &mut Row) {
        let key = |index: &u32| &record[self.tokens[*index as usize].key.clone()];
        self.order.clear();
        self.order.extend(0..self.tokens.len() as u32);
        self.order.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        self.order.dedup_by(|a, b| key(a) == key(b));
        row.listed = true;
        row.message = row.keep_with(|scratch| {
            for (at, index) in self.order.iter().enumerate() {
                if at > 0 {
                    scratch.push(b' ');
                }
                scratch.extend_from_slice(key(index));
                scratch.extend_from_slice(b"=<*>");
            }
        });
    }
}

/// A date, a time of day and an offset in keys of their own, as firewalls write them:
/// `date=2024-03-01 time=00:00:00 tz="+0100"`.
#[derive(Default)]
struct PartsOfTime {
    date: Range<usize>,
    clock: Range<usize>,
    zone: Range<usize>,
}

impl PartsOfTime {
    fn take(&mut self, key: &[u8], value: &[u8], span: Range<usize>) {
        match (key, value) {
            (b"date", [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _]) => self.date = span,
            (b"time", [b'0'..=b'9', b'0'..=b'9', b':', _, _, b':', ..]) => self.clock = span,
            _ => {}
        }
    }

    fn read(&self, record: &[u8], clock: &mut Clock) -> Option<Time> {
        let mut text = [0; 48];
        let mut len = 0;
        for (number, part) in [&self.date, &self.clock, &self.zone]
            .into_iter()
            .enumerate()
        {
            let part = &record[part.clone()];
            if number == 1 {
                text[len] = b' ';
                len += 1;
            }
            text.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        clock.field(&text[..len])
    }
}

/// The time in `audit(1709251200.123:456):`.
fn audit_time(value: &[u8], clock: &mut Clock) -> Option<Time> {
    let inner = value.strip_prefix(b"audit(")?;
    let colon = memchr::memchr(b':', inner)?;
    clock.field(&inner[..colon])
}

impl Token {
    /// Whether the token has a `=`.
    fn is_pair(&self, record: &[u8]) -> bool {
        record.get(self.key.end) == Some(&b'=')
    }
}

/// The cheap part of the recognition: the first token is `key=…`.
fn starts_like_logfmt(record: &[u8]) -> bool {
    if !record
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'@'))
    {
        return false;
    }
    let len = record
        .iter()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'/' | b'-')
        })
        .count();
    if record.get(len) != Some(&b'=') {
        return false;
    }
    let value = &record[len + 1..];
    let end = value
        .iter()
        .position(|byte| *byte <= b' ')
        .unwrap_or(value.len());
    value.first() == Some(&b'"') || !matches!(value[..end].last(), Some(b',' | b';'))
}

/// The token at `at` and where it ends.
fn token(record: &[u8], at: usize) -> Option<(Token, usize)> {
    let len = record[at..]
        .iter()
        .position(|byte| *byte <= b' ' || matches!(byte, b'=' | b'"'))
        .unwrap_or(record.len() - at);
    let key = at..at + len;
    if len == 0 || !is_key(&record[key.clone()]) || record.get(key.end) == Some(&b'"') {
        return None;
    }
    if record.get(key.end) != Some(&b'=') {
        return Some((
            Token {
                value: Shape::Null,
                key: key.clone(),
            },
            key.end,
        ));
    }
    let start = key.end + 1;
    match record.get(start) {
        Some(b'"') => {
            let mut end = start + 1;
            let mut escaped = false;
            loop {
                end += memchr2(b'"', b'\\', record.get(end..)?)?;
                if record[end] == b'"' {
                    break;
                }
                escaped = true;
                end += 2;
            }
            let span = start + 1..end;
            let value = if escaped {
                Shape::Escaped(span)
            } else {
                Shape::Plain(span)
            };
            Some((Token { key, value }, end + 1))
        }
        Some(b'=') => None,
        _ => {
            let end = record[start..]
                .iter()
                .position(|byte| *byte <= b' ')
                .map_or(record.len(), |len| start + len);
            let value = if end == start {
                Shape::Null
            } else {
                Shape::Plain(start..end)
            };
            Some((Token { key, value }, end))
        }
    }
}

/// go-logfmt refuses keys that are no UTF-8 or hold the replacement character.
fn is_key(key: &[u8]) -> bool {
    key.is_ascii() || std::str::from_utf8(key).is_ok_and(|key| !key.contains('\u{fffd}'))
}

fn text(record: &[u8], value: &Shape, row: &mut Row) -> Text {
    match value {
        Shape::Null => Text::default(),
        Shape::Plain(span) => Text::record(span.start, span.end),
        Shape::Escaped(span) => row.keep_with(|scratch| unescape(&record[span.clone()], scratch)),
    }
}

/// Undoes the escapes of JSON, which are those of go-logfmt. A lone half of a surrogate pair
/// becomes U+FFFD; what is no escape stands for itself.
fn unescape(mut text: &[u8], to: &mut Vec<u8>) {
    while let Some(backslash) = memchr::memchr(b'\\', text) {
        to.extend_from_slice(&text[..backslash]);
        let rest = &text[backslash + 1..];
        let (byte, len) = match rest.first() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'r') => (b'\r', 1),
            Some(b'b') => (8, 1),
            Some(b'f') => (12, 1),
            Some(quoted @ (b'"' | b'\\' | b'/' | b'\'')) => (*quoted, 1),
            Some(b'u') => match unicode(rest) {
                Some((character, len)) => {
                    to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                    text = &rest[len..];
                    continue;
                }
                None => (b'\\', 0),
            },
            _ => (b'\\', 0),
        };
        to.push(byte);
        text = &rest[len..];
    }
    to.extend_from_slice(text);
}

/// The character of `uXXXX`, or of `uXXXX\uXXXX` if they are a surrogate pair, and the length.
fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"u")?.get(..4)?;
        digits.iter().try_fold(0, |sum, digit| {
            Some(sum * 16 + char::from(*digit).to_digit(16)?)
        })
    };
    let first = unit(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 5));
    }
    let second = text
        .get(5..)
        .and_then(|rest| rest.strip_prefix(b"\\"))
        .and_then(unit);
    match second {
        Some(second) if first < 0xdc00 && (0xdc00..0xe000).contains(&second) => {
            let character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
            Some((character, 11))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 5)),
    }
}
