//! Names of services before a bar or in brackets: `docker compose` (`api-1  | `), `docker service logs`
//! (`shop_api.1.k2@node  | `), foreman and honcho (`12:04:05 web.1  | `), overmind (`web  | `),
//! concurrently (`[api] `), turbo and lerna (`web:build: `).

use super::{Head, NAME_MAX, Part, Sureness, name_len, skip_blanks};
use crate::parsers::start;

/// `api-1  | `: a name of `len` bytes, padding, a bar. A word of letters alone counts only if it is
/// padded or a structured record follows, for `a | b` may be text or a table.
pub fn compose(record: &[u8], len: usize) -> Option<Head> {
    let bar = skip_blanks(record, len);
    // A number alone is that of a line, as compilers show code.
    if record.get(bar) != Some(&b'|') || !record[..len].iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    let body = match record.get(bar + 1) {
        None => bar + 1,
        Some(b' ') => bar + 2,
        Some(_) => return None,
    };
    // A table has more bars.
    let named = record[..len]
        .iter()
        .any(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.'));
    let sureness = if named && bar > len {
        Sureness::Sure
    } else {
        Sureness::BeforeStructure
    };
    Some(Head::new("compose", body, sureness).with(Part::Service, 0..len))
}

/// `12:04:05 web.1  | `
pub fn foreman(record: &[u8]) -> Option<Head> {
    let [a, b, b':', c, d, b':', e, f, b' ', rest @ ..] = record else {
        return None;
    };
    if ![a, b, c, d, e, f].iter().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let len = name_len(rest);
    let head = compose(rest, len)?;
    Some(Head::new("foreman", 9 + head.len, Sureness::Sure).with(Part::Service, 9..9 + len))
}

/// `server.1 {"…`: a name with a digit or a point before an object.
pub fn before_object(record: &[u8], len: usize) -> Option<Head> {
    let named = record[..len]
        .iter()
        .any(|byte| byte.is_ascii_digit() || *byte == b'.');
    (named && record[len..].starts_with(b" {\""))
        .then(|| Head::new("name", len + 1, Sureness::BeforeStructure).with(Part::Service, 0..len))
}

/// `[api] `, before a record that is structured: else the bracket is text.
pub fn bracket(record: &[u8]) -> Option<Head> {
    let len = name_len(&record[1..]);
    if len == 0 || len > NAME_MAX || record.get(1 + len) != Some(&b']') {
        return None;
    }
    let body = skip_blanks(record, len + 2);
    let rest = record.get(body..)?;
    // A level or a time in the bracket is the logger's own head.
    if start::is_hard_start(record) || rest.first() == Some(&b'[') || !start::is_hard_start(rest) {
        return None;
    }
    // `[main] ERROR c.e.Shop - …`: a thread stands there.
    if rest[0].is_ascii_uppercase() && !start::is_klog(rest) {
        return None;
    }
    Some(Head::new("bracket", body, Sureness::BeforeStructure).with(Part::Service, 1..1 + len))
}
