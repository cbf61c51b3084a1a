//! The message of an access record, `METHOD PATH STATUS`. Its status stays, for it says how the request
//! ended, and so do the names in its path, for they say what was asked for; numbers and ids in the path
//! are values.

use super::MASK;
use super::pass::Pass;

/// Longest method: those of WebDAV have up to 16 letters.
const METHOD_BYTES_MAX: usize = 16;
/// A part of a path with letters and digits in turns, or with capitals inside, is a name up to here.
const NAME_BYTES_MAX: usize = 15;
/// A part of a path without a digit is a token from here on, if it has small and capital letters.
const TOKEN_BYTES_MIN: usize = 20;

/// Appends the masked form of a request; tells whether `message` is one.
pub fn mask(message: &[u8], masked: &mut Vec<u8>) -> bool {
    let Some((method, target, status)) = parts(message) else {
        return false;
    };
    masked.extend_from_slice(method);
    masked.push(b' ');
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(at) => target.split_at(at),
        None => (target, &b""[..]),
    };
    for (number, part) in path.split(|&byte| byte == b'/').enumerate() {
        if number > 0 {
            masked.push(b'/');
        }
        segment(part, masked);
    }
    if !query.is_empty() {
        masked.push(b'?');
        masked.extend_from_slice(MASK);
    }
    masked.push(b' ');
    masked.extend_from_slice(status);
    true
}

/// Method, target and status, if the message is these three and nothing else.
fn parts(message: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    // Fast path: most messages do not end in three digits behind a space.
    let (front, [b' ', status @ ..]) = message.split_last_chunk::<4>()? else {
        return None;
    };
    if !matches!(status, [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9']) {
        return None;
    }
    let (method, target) = front.split_at(memchr::memchr(b' ', front)?);
    let target = &target[1..];
    let is_method = (3..=METHOD_BYTES_MAX).contains(&method.len())
        && method
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
    let is_target = match target {
        [b'/', ..] | b"*" => true,
        _ => {
            method == b"CONNECT"
                || target.starts_with(b"http://")
                || target.starts_with(b"https://")
        }
    };
    let is_whole = !target.is_empty() && !target.iter().any(u8::is_ascii_whitespace);
    (is_method && is_target && is_whole).then_some((method, target, status))
}

/// Appends one part of a path.
fn segment(part: &[u8], masked: &mut Vec<u8>) {
    if is_version(part) {
        masked.extend_from_slice(part);
    } else if is_token(part) {
        masked.extend_from_slice(MASK);
    } else {
        Pass::run(part, masked);
    }
}

/// `v1`, `v2.1`: the version of an interface, which has few.
fn is_version(part: &[u8]) -> bool {
    let Some(number) = part.strip_prefix(b"v") else {
        return false;
    };
    (1..=4).contains(&number.len())
        && number[0].is_ascii_digit()
        && number
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.')
}

/// An id or a key that a program made: nothing in it is a name.
fn is_token(part: &[u8]) -> bool {
    let letters_and_digits = part.iter().all(u8::is_ascii_alphanumeric);
    let has = |wanted: fn(&u8) -> bool| part.iter().any(wanted);
    if !has(u8::is_ascii_digit) {
        return part.len() >= TOKEN_BYTES_MIN
            && letters_and_digits
            && has(u8::is_ascii_lowercase)
            && part[1..]
                .iter()
                .filter(|byte| byte.is_ascii_uppercase())
                .count()
                * 5
                >= part.len();
    }
    let web_safe =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=');
    // Long, digits and capitals all over it: base64, a signed token.
    let odd = |byte: &&u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    let odd = part.iter().filter(odd).count();
    part.len() > NAME_BYTES_MAX
        && (letters_and_digits
            || part.iter().all(web_safe)
                && odd * 3 >= part.len()
                && has(u8::is_ascii_uppercase)
                && has(u8::is_ascii_lowercase)
                && part.len() >= TOKEN_BYTES_MIN)
}
