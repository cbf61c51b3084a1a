//! Steps into a value that is already known to be JSON: `[0]` and keys below an array, which the
//! schema memory does not follow.

use crate::flow::row::Kind;
use crate::flow::wanted::Step;
use crate::parsers::json::scan::{self, Scanned, Seen};

/// The value at `steps` below the object or array that starts at `at`. Of a key that comes twice
/// the last one counts. `None` if there is none.
pub fn lookup(record: &[u8], mut at: usize, steps: &[Step], name: &mut Vec<u8>) -> Option<Scanned> {
    for step in steps {
        at = match (step, scan::byte(record, at)) {
            (Step::Index(index), b'[') => element(record, at, *index)?,
            (Step::Key(key), b'{') => member(record, at, key, name)?,
            _ => return None,
        };
    }
    let mut seen = Seen::default();
    if scan::byte(record, at) == b'{' {
        let end = scan::value(record, at, 0, &mut seen)?;
        return Some(Scanned {
            kind: Kind::Composite,
            escaped: false,
            start: at,
            end,
            next: end,
        });
    }
    scan::scalar_or_array(record, at, 0, &mut seen)
}

fn element(record: &[u8], open: usize, index: usize) -> Option<usize> {
    let mut at = scan::space(record, open + 1);
    if scan::byte(record, at) == b']' {
        return None;
    }
    for _ in 0..index {
        at = scan::space(record, scan::value(record, at, 0, &mut Seen::default())?);
        if scan::byte(record, at) != b',' {
            return None;
        }
        at = scan::space(record, at + 1);
    }
    Some(at)
}

fn member(record: &[u8], open: usize, key: &[u8], name: &mut Vec<u8>) -> Option<usize> {
    let mut at = scan::space(record, open + 1);
    let mut last = None;
    while scan::byte(record, at) == b'"' {
        let mut seen = Seen::default();
        let (end, value) = scan::key(record, at, &mut seen)?;
        let body = &record[at + 1..end];
        let same = if seen.escaped {
            name.clear();
            scan::unescape_string(body, name) && name == key
        } else {
            body == key
        };
        if same {
            last = Some(value);
        }
        at = scan::space(record, scan::value(record, value, 0, &mut seen)?);
        if scan::byte(record, at) == b',' {
            at = scan::space(record, at + 1);
        }
    }
    last
}
