//! Schema memory: which key comes next, as the literal bytes from the end of one value to the
//! start of the next (`,"level":`). A line is read by comparing that guess; where it fails, the
//! key is read and looked up. Both ways step over the same grammar, so a line that was read to
//! its end is JSON and its values are where serde_json sees them: a guess that holds *is* the
//! comma, the quoted key and the colon. What the memory cannot tell apart (a key twice in one
//! object, escapes in a key, very many or very deep keys) it hands to `members`.

use crate::flow::block;
use crate::flow::row::{Field, Kind, Row, Text};
use crate::parsers::json::keys::{KeyId, Keys, NAME_BYTES_MAX, ROOT};
use crate::parsers::json::scan::{self, Scanned, Seen};

/// Objects inside of each other that the memory follows. Deeper lines are rare and read slowly.
const OPEN_MAX: usize = 24;

/// Longest literal, in bytes: two blocks.
const LITERAL_BYTES_MAX: usize = 2 * block::WIDTH;

/// What a walk over a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// One JSON object, if it is UTF-8; the wanted values are in `Keys`.
    Object,
    /// No JSON.
    Other,
    /// Ask `members`.
    Unusual,
}

/// What stands between two values and which key it brings.
#[derive(Clone, Copy, Debug)]
struct Guess {
    low: u128,
    low_mask: u128,
    high: u128,
    high_mask: u128,
    len: u8,
    /// From the start of the literal to the name in it.
    name: u8,
    /// Not zero if the name is not ASCII.
    seen_high: block::Mask,
    key: KeyId,
}

impl Guess {
    /// Holds nowhere.
    const NONE: Guess = Guess {
        low: 1,
        low_mask: 0,
        high: 0,
        high_mask: 0,
        len: 0,
        name: 0,
        seen_high: 0,
        key: ROOT,
    };

    fn new(literal: &[u8], name: usize, key: KeyId) -> Guess {
        let mask = |from: usize| {
            let bytes = literal.len().saturating_sub(from).min(block::WIDTH);
            if bytes == block::WIDTH {
                u128::MAX
            } else {
                (1 << (8 * bytes)) - 1
            }
        };
        Guess {
            low: block::load(literal, 0),
            low_mask: mask(0),
            high: block::load(literal, block::WIDTH),
            high_mask: mask(block::WIDTH),
            len: literal.len() as u8,
            name: name as u8,
            seen_high: block::Mask::from(!literal.is_ascii()),
            key,
        }
    }

    #[inline(always)]
    fn holds(&self, record: &[u8], at: usize) -> bool {
        // Zeros stand in for what is past the end; no literal holds a zero byte.
        block::load(record, at) & self.low_mask == self.low
            && (self.len as usize <= block::WIDTH
                || block::load(record, at + block::WIDTH) & self.high_mask == self.high)
    }
}

/// Where a line can stand between two values.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Behind the opening brace of this key's object.
    Inside(KeyId),
    /// Behind this key's value.
    After(KeyId),
}

impl Place {
    #[inline(always)]
    fn index(self) -> usize {
        match self {
            Place::Inside(key) => 2 * key as usize,
            Place::After(key) => 2 * key as usize + 1,
        }
    }
}

/// Two guesses for each place: the usual one and the last other one.
#[derive(Default)]
pub struct Memory {
    guesses: Vec<[Guess; 2]>,
    /// Wrong guesses of late; falls by an eighth with each line.
    misses: u32,
    lines: u32,
    full: bool,
}

/// Wrong guesses of late above which a guess is learned only now and then: where keys come in
/// any order, learning costs more than it brings.
const MISSES_MAX: u32 = 40;

impl Memory {
    /// Reads a line from behind its opening brace to its end. Metrics by name go to
    /// `row.numbers`.
    pub fn walk(
        &mut self,
        keys: &mut Keys,
        record: &[u8],
        at: usize,
        seen: &mut Seen,
        row: &mut Row,
    ) -> Walk {
        if self.full {
            // One line may hold more keys than the table, so this waits until it is done.
            self.full = false;
            self.guesses.clear();
            keys.forget();
        }
        self.lines = self.lines.wrapping_add(1);
        let learns = self.misses < MISSES_MAX || self.lines.is_multiple_of(32);
        self.misses -= self.misses / 8;
        match self.read(keys, record, at, seen, row, learns) {
            Ok(walk) => walk,
            Err(NoJson) => Walk::Other,
        }
    }

    #[inline(always)]
    fn read(
        &mut self,
        keys: &mut Keys,
        record: &[u8],
        mut at: usize,
        seen: &mut Seen,
        row: &mut Row,
        learns: bool,
    ) -> Result<Walk, NoJson> {
        // The objects that are open, innermost last, and where they start.
        let mut open = [(ROOT, 0u32); OPEN_MAX];
        let mut depth = 0;
        let mut place = Place::Inside(ROOT);
        let (mut dotted_metric, mut nested_metric) = (false, false);
        loop {
            let [usual, other] = self.guesses.get(place.index()).unwrap_or(&[Guess::NONE; 2]);
            let key;
            let name;
            // Fast path: the bytes are those that followed here before.
            if usual.holds(record, at) {
                (key, name) = (usual.key, at + usual.name as usize);
                seen.high |= usual.seen_high;
                at += usual.len as usize;
            } else if byte_closes(record, at) {
                at += 1;
                if close(keys, &open, &mut depth, &mut place, at) {
                    break;
                }
                continue;
            } else if other.holds(record, at) {
                (key, name) = (other.key, at + other.name as usize);
                seen.high |= other.seen_high;
                at += other.len as usize;
            } else {
                // Slow path: read the key and look it up.
                let literal = at;
                at = scan::space(record, at);
                if byte_closes(record, at) {
                    at += 1;
                    if close(keys, &open, &mut depth, &mut place, at) {
                        break;
                    }
                    continue;
                }
                if let Place::After(_) = place {
                    if scan::byte(record, at) != b',' {
                        return Err(NoJson);
                    }
                    at = scan::space(record, at + 1);
                }
                seen.escaped = false;
                let (end, value) = scan::key(record, at, seen).ok_or(NoJson)?;
                name = at + 1;
                at = value;
                if seen.escaped || end - name > NAME_BYTES_MAX {
                    return Ok(Walk::Unusual);
                }
                let parent = open[depth].0;
                let bytes = &record[name..end];
                key = match keys
                    .find(parent, bytes)
                    .or_else(|| keys.learn(parent, bytes))
                {
                    Some(key) => key,
                    None => {
                        self.full = true;
                        return Ok(Walk::Unusual);
                    }
                };
                self.misses += 1;
                if learns && value - literal <= LITERAL_BYTES_MAX {
                    self.learn(
                        place,
                        Guess::new(&record[literal..value], name - literal, key),
                    );
                }
            }
            if scan::byte(record, at) <= b' ' {
                // The guess was learned where less white space stood before the value.
                at = scan::space(record, at);
            }
            let Some(known) = keys.see(key) else {
                return Ok(Walk::Unusual);
            };
            if scan::byte(record, at) == b'{' {
                if depth + 1 == OPEN_MAX {
                    return Ok(Walk::Unusual);
                }
                depth += 1;
                open[depth] = (key, at as u32);
                at += 1;
                place = Place::Inside(key);
                continue;
            }
            let value = scan::scalar_or_array(record, at, depth + 1, seen).ok_or(NoJson)?;
            at = value.next;
            place = Place::After(key);
            if known.wanted {
                keys.put(key, &value);
            }
            if known.metric && matches!(value.kind, Kind::Number | Kind::String) {
                dotted_metric |= known.dotted;
                nested_metric |= depth > 0;
                push_number(keys, key, name, &value, record, row);
            }
        }
        if scan::space(record, at) != record.len() {
            return Err(NoJson);
        }
        // `{"a.cpu":1,"a":{"cpu":2}}` has one path twice.
        Ok(if dotted_metric && nested_metric {
            Walk::Unusual
        } else {
            Walk::Object
        })
    }

    #[inline(never)]
    fn learn(&mut self, place: Place, guess: Guess) {
        let index = place.index();
        if self.guesses.len() <= index {
            self.guesses.resize(index + 1, [Guess::NONE; 2]);
        }
        let [usual, other] = &mut self.guesses[index];
        *(if usual.len == 0 { usual } else { other }) = guess;
    }
}

struct NoJson;

#[inline(always)]
fn byte_closes(record: &[u8], at: usize) -> bool {
    scan::byte(record, at) == b'}'
}

/// Closes the innermost object, which ends at `end`; says whether it was the outermost one.
#[inline(always)]
fn close(
    keys: &mut Keys,
    open: &[(KeyId, u32)],
    depth: &mut usize,
    place: &mut Place,
    end: usize,
) -> bool {
    let (key, start) = open[*depth];
    if *depth == 0 {
        return true;
    }
    if keys.key(key).wanted {
        keys.put(
            key,
            &Scanned {
                kind: Kind::Composite,
                escaped: false,
                start: start as usize,
                end,
                next: end,
            },
        );
    }
    *depth -= 1;
    *place = Place::After(key);
    false
}

/// A metric by its name alone.
#[inline(never)]
fn push_number(
    keys: &Keys,
    key: KeyId,
    name: usize,
    value: &Scanned,
    record: &[u8],
    row: &mut Row,
) {
    let path = keys.path(key);
    let name = match keys.key(key).parent {
        ROOT => Text::record(name, name + path.len()),
        _ => row.keep(path),
    };
    let value = super::value(
        record,
        value.kind,
        value.start..value.end,
        value.escaped,
        row,
    );
    row.add_number(Field { name, value });
}
