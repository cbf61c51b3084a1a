//! Which bytes a record must hold to meet a condition, so that a search over the whole chunk can
//! skip the others. Whatever is not certain is `None`: a prefilter never changes a result.
//!
//! What makes bytes of a literal uncertain: a quote may be doubled (CSV), control characters and
//! other scripts may be escaped or framed away. A message without a text is made of its keys
//! (`a=<*> b=<*>`), so of a literal for `message` only what can stand inside one key counts. The
//! rest of a literal still has to be there, so its longest certain piece is taken. `raw` says
//! nothing: of a container's record the payload is searched, which lacks the wrapping.

use regex_syntax::hir::{Hir, HirKind};

use super::ast::Order;
use super::condition::{Operand, Test};

/// Literals of one condition. More make the search slower than the condition.
const LITERALS_MAX: usize = 64;
/// Bytes of a literal. A single byte is in nearly every record.
const LITERAL_BYTES_MIN: usize = 2;

/// Fields whose value a parser makes up from something else (a number in `<PRI>`, a letter of a
/// StatsD type, a container's wrapping), or may spell in its own way.
pub(super) fn is_derived_name(name: &str) -> bool {
    let name = name.strip_prefix('.').unwrap_or(name);
    [
        "facility", "severity", "priority", "type", "rate", "metric", "stream", "level", "time",
        "message",
    ]
    .contains(&name)
}

/// One of these must be there.
type Set = Vec<Vec<u8>>;

pub(super) fn required(test: &Test) -> Option<Set> {
    match test {
        Test::And(tests) => tests.iter().filter_map(required).max_by_key(value),
        Test::Or(tests) => union(tests.iter().map(required)),
        Test::Text {
            operand,
            order: Order::Equal,
            text,
        } => of_text(*operand, text),
        Test::Contains { operand, finder } => of_text(*operand, finder.needle()),
        Test::Matches {
            operand,
            regex,
            negated: false,
        } => {
            let hir = regex_syntax::ParserBuilder::new()
                .utf8(false)
                .nest_limit(64)
                .build()
                .parse(regex.as_str())
                .ok()?;
            of_pattern(*operand, &hir)
        }
        _ => None,
    }
}

/// How much a set narrows the search: its shortest literal, then how few there are.
fn value(set: &Set) -> (usize, std::cmp::Reverse<usize>) {
    (
        set.iter().map(Vec::len).min().unwrap_or(0),
        std::cmp::Reverse(set.len()),
    )
}

fn union(sets: impl Iterator<Item = Option<Set>>) -> Option<Set> {
    let mut all = Set::new();
    for set in sets {
        for literal in set? {
            if !all.contains(&literal) {
                all.push(literal);
            }
        }
        if all.len() > LITERALS_MAX {
            return None;
        }
    }
    (!all.is_empty()).then_some(all)
}

fn of_text(operand: Operand, text: &[u8]) -> Option<Set> {
    let in_key: bool = match operand {
        Operand::Field { plain: true, .. } => false,
        Operand::Message => true,
        _ => return None,
    };
    let certain = |byte: &u8| {
        let printable = matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\'' | b'\\' | b'`');
        printable
            && (!in_key
                || byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'-' | b':' | b'/' | b'@' | b'%' | b','))
    };
    let piece = text
        .split(|byte| !certain(byte))
        .max_by_key(|piece| piece.len())?;
    // A bool may be spelled `t` in the record.
    if piece.len() < LITERAL_BYTES_MIN || matches!(text, b"true" | b"false") {
        return None;
    }
    Some(vec![piece.to_vec()])
}

/// The literals of which every match of the pattern holds one.
fn of_pattern(operand: Operand, hir: &Hir) -> Option<Set> {
    match hir.kind() {
        HirKind::Literal(literal) => of_text(operand, &literal.0),
        HirKind::Capture(capture) => of_pattern(operand, &capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => {
            of_pattern(operand, &repetition.sub)
        }
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(|part| of_pattern(operand, part))
            .max_by_key(value),
        HirKind::Alternation(parts) => union(parts.iter().map(|part| of_pattern(operand, part))),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}
