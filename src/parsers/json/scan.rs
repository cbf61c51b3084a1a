//! The grammar of RFC 8259, checked while it is stepped over: strings, numbers, words, whole
//! values. Every function takes the position where something starts and returns the position
//! after it, or `None` if the bytes there are no JSON. It accepts what serde_json accepts.

use crate::flow::block;
use crate::flow::row::Kind;

/// Objects and arrays inside of each other, the outermost included. serde_json stops at 128.
pub const DEPTH_MAX: usize = 127;

/// What the strings stepped over had in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Not zero once a byte outside of ASCII may have been passed: the record then has to be
    /// checked to be UTF-8. It may also be set by a byte a little behind the string.
    pub high: block::Mask,
    /// A backslash was passed. Reset by whoever wants to know about one string.
    pub escaped: bool,
}

/// The scalar or array that starts at some position.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanned {
    pub kind: Kind,
    /// Only for strings: it has escapes, so its text must be decoded.
    pub escaped: bool,
    /// Of a string: without its quotes.
    pub start: usize,
    pub end: usize,
    /// The position after the value, a string's quote included.
    pub next: usize,
}

#[inline(always)]
pub fn byte(record: &[u8], at: usize) -> u8 {
    // A zero byte is no part of the grammar, so it can stand for the end.
    record.get(at).copied().unwrap_or(0)
}

#[inline(always)]
pub fn space(record: &[u8], mut at: usize) -> usize {
    while let b' ' | b'\n' | b'\r' | b'\t' = byte(record, at) {
        at += 1;
    }
    at
}

/// From the byte after the opening quote to the closing quote.
#[inline(always)]
pub fn string(record: &[u8], mut at: usize, seen: &mut Seen) -> Option<usize> {
    loop {
        let (stops, high) = block::string_stops(block::load(record, at));
        seen.high |= high;
        if stops == 0 {
            at += block::WIDTH;
            continue;
        }
        at += stops.trailing_zeros() as usize;
        match byte(record, at) {
            b'"' => return Some(at),
            b'\\' => {
                seen.escaped = true;
                at = escape(record, at)?;
            }
            _ => return None,
        }
    }
}

/// From a backslash to the position after the escape; a surrogate pair is one escape.
fn escape(record: &[u8], at: usize) -> Option<usize> {
    match byte(record, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => code_point(record, at).map(|(_, next)| next),
        _ => None,
    }
}

/// The character of the `\uXXXX` at `at`, or of the pair of them, and the position after it.
fn code_point(record: &[u8], at: usize) -> Option<(char, usize)> {
    let first = code_unit(record, at)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, at + 6));
    }
    let second = code_unit(record, at + 6)?;
    if first >= 0xDC00 || !(0xDC00..=0xDFFF).contains(&second) {
        return None;
    }
    char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
        .map(|character| (character, at + 12))
}

fn code_unit(record: &[u8], at: usize) -> Option<u32> {
    let text = record.get(at..at + 6)?;
    if text[0] != b'\\' || text[1] != b'u' {
        return None;
    }
    text[2..].iter().try_fold(0, |unit, digit| {
        Some(unit << 4 | (*digit as char).to_digit(16)?)
    })
}

#[inline(always)]
pub fn number(record: &[u8], at: usize) -> Option<usize> {
    // Fast path: sign, digits, point and digits within one block, found without a loop so that
    // numbers of changing length cost no mispredicted branches.
    let digits = block::digits(block::load(record, at));
    let sign = usize::from(byte(record, at) == b'-');
    let whole = (!(digits >> sign)).trailing_zeros() as usize;
    if whole == 0 || (whole > 1 && byte(record, at + sign) == b'0') {
        return None;
    }
    let mut end = sign + whole;
    let mut after = byte(record, at + end);
    if after == b'.' && end + 1 < block::WIDTH {
        let decimals = (!(digits >> (end + 1))).trailing_zeros() as usize;
        if decimals == 0 {
            return None;
        }
        end += 1 + decimals;
        after = byte(record, at + end);
    }
    if end < block::WIDTH && after != b'.' && after | 0x20 != b'e' {
        return Some(at + end);
    }
    number_slowly(record, at)
}

/// Slow path: long numbers and exponents. What is too large for a 64-bit float is no number to
/// serde_json, so it is none here.
#[cold]
fn number_slowly(record: &[u8], start: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let first = at;
        while byte(record, at).is_ascii_digit() {
            at += 1;
        }
        (at > first).then_some(at)
    };
    let whole = start + usize::from(byte(record, start) == b'-');
    let mut at = digits(whole)?;
    if byte(record, whole) == b'0' && at > whole + 1 {
        return None;
    }
    if byte(record, at) == b'.' {
        at = digits(at + 1)?;
    }
    if byte(record, at) | 0x20 == b'e' {
        at += 1;
        at = digits(at + usize::from(matches!(byte(record, at), b'+' | b'-')))?;
    }
    let value: f64 = std::str::from_utf8(&record[start..at]).ok()?.parse().ok()?;
    value.is_finite().then_some(at)
}

/// A string, number, word or array (`depth` objects and arrays are open around it). Not an
/// object: whoever reads members does that.
#[inline(always)]
pub fn scalar_or_array(record: &[u8], at: usize, depth: usize, seen: &mut Seen) -> Option<Scanned> {
    let first = byte(record, at);
    if first == b'"' {
        seen.escaped = false;
        let end = string(record, at + 1, seen)?;
        return Some(Scanned {
            kind: Kind::String,
            escaped: seen.escaped,
            start: at + 1,
            end,
            next: end + 1,
        });
    }
    let (kind, end) = match first {
        b'-' | b'0'..=b'9' => (Kind::Number, number(record, at)?),
        b't' | b'f' => (Kind::Bool, word(record, at)?),
        b'n' => (Kind::Null, word(record, at)?),
        b'[' => (Kind::Composite, value(record, at, depth, seen)?),
        _ => return None,
    };
    Some(Scanned {
        kind,
        escaped: false,
        start: at,
        end,
        next: end,
    })
}

#[inline(always)]
fn word(record: &[u8], at: usize) -> Option<usize> {
    let rest = record.get(at..)?;
    [&b"true"[..], b"false", b"null"]
        .iter()
        .find(|word| rest.starts_with(word))
        .map(|word| at + word.len())
}

/// From the opening quote of a key to its closing quote and to its value.
#[inline(always)]
pub fn key(record: &[u8], at: usize, seen: &mut Seen) -> Option<(usize, usize)> {
    if byte(record, at) != b'"' {
        return None;
    }
    let end = string(record, at + 1, seen)?;
    let colon = space(record, end + 1);
    (byte(record, colon) == b':').then(|| (end, space(record, colon + 1)))
}

/// Any value, without looking into it. `depth` objects and arrays are open around it.
pub fn value(record: &[u8], mut at: usize, depth: usize, seen: &mut Seen) -> Option<usize> {
    // One bit for each open object or array: 1 for an object. DEPTH_MAX bits fit.
    let mut objects: u128 = 0;
    let mut open = 0;
    loop {
        match byte(record, at) {
            first @ (b'{' | b'[') => {
                if depth + open == DEPTH_MAX {
                    return None;
                }
                open += 1;
                objects = objects << 1 | u128::from(first == b'{');
                at = space(record, at + 1);
                // `]` and `}` both stand two behind their opening bracket.
                if byte(record, at) == first + 2 {
                    at += 1;
                    open -= 1;
                    objects >>= 1;
                } else {
                    if first == b'{' {
                        at = key(record, at, seen)?.1;
                    }
                    continue;
                }
            }
            _ => at = scalar(record, at, seen)?,
        }
        loop {
            if open == 0 {
                return Some(at);
            }
            at = space(record, at);
            match (byte(record, at), objects & 1 == 1) {
                (b',', true) => {
                    at = key(record, space(record, at + 1), seen)?.1;
                    break;
                }
                (b',', false) => {
                    at = space(record, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    at += 1;
                    open -= 1;
                    objects >>= 1;
                }
                _ => return None,
            }
        }
    }
}

#[inline(always)]
fn scalar(record: &[u8], at: usize, seen: &mut Seen) -> Option<usize> {
    match byte(record, at) {
        b'"' => string(record, at + 1, seen).map(|end| end + 1),
        b'-' | b'0'..=b'9' => number(record, at),
        _ => word(record, at),
    }
}

/// Appends the text of a JSON string, given without its quotes, to `text`. `false` if it is not
/// one (bare quote, control byte, bad escape, lone surrogate, invalid UTF-8); nothing is appended
/// then.
pub fn unescape_string(body: &[u8], text: &mut Vec<u8>) -> bool {
    if body.iter().any(|byte| *byte < 0x20) || simdutf8::basic::from_utf8(body).is_err() {
        return false;
    }
    let before = text.len();
    let mut rest = body;
    while let Some(stop) = memchr::memchr2(b'\\', b'"', rest) {
        text.extend_from_slice(&rest[..stop]);
        let decoded = match byte(rest, stop + 1) {
            _ if rest[stop] == b'"' => None,
            b'u' => code_point(rest, stop),
            letter => simple_escape(letter).map(|character| (character, stop + 2)),
        };
        let Some((character, next)) = decoded else {
            text.truncate(before);
            return false;
        };
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[next..];
    }
    text.extend_from_slice(rest);
    true
}

fn simple_escape(letter: u8) -> Option<char> {
    Some(match letter {
        b'"' | b'\\' | b'/' => char::from(letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}
