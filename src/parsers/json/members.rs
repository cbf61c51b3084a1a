//! The full reading of an object: every member down to the arrays, in order, then which of them
//! count (the last one of a name in an object does). It is right for any object and needs no
//! memory of other lines; `memory` is the fast way for usual ones and hands the others to it.

use crate::flow::row::{Field, Kind, Row, Text};
use crate::parsers::json::keys::{KeyId, Keys, ROOT};
use crate::parsers::json::roles;
use crate::parsers::json::scan::{self, DEPTH_MAX, Scanned, Seen};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

/// Members whose room is kept for the next line. A line of a few MiB may have hundreds of
/// thousands.
const KEPT_MAX: usize = 4096;

/// Longest dotted path that can name a metric, in bytes (see `is_metric_name`).
const METRIC_PATH_BYTES_MAX: usize = 64;

const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
struct Member {
    /// Index of the member whose object this one stands in, or `NONE`.
    parent: u32,
    depth: u32,
    /// In the record; in `decoded` if the name has escapes.
    name: Range<usize>,
    name_escaped: bool,
    value: Scanned,
    /// The plan's key for this member, if it has one.
    key: Option<KeyId>,
    /// It or an object around it comes again later in the same object.
    replaced: bool,
}

#[derive(Default)]
pub struct Members {
    members: Vec<Member>,
    open: Vec<u32>,
    decoded: Vec<u8>,
    /// The last member of each name in each object. The names come from the input, so the hash is
    /// keyed by chance and strong.
    newest: HashTable<u32>,
    hasher: RandomState,
    order: Vec<u32>,
}

impl Members {
    /// Reads from behind the opening brace to the end of the record. `false` if it is no JSON;
    /// that the record is UTF-8 is checked here too.
    pub fn read(&mut self, record: &[u8], at: usize, seen: &mut Seen) -> bool {
        self.members.clear();
        self.members.shrink_to(KEPT_MAX);
        self.open.clear();
        self.decoded.clear();
        self.decoded.shrink_to(KEPT_MAX);
        let read = self.read_members(record, at, seen).is_some()
            && (seen.high == 0 || simdutf8::basic::from_utf8(record).is_ok());
        if read {
            self.mark_replaced(record);
        }
        read
    }

    fn read_members(&mut self, record: &[u8], at: usize, seen: &mut Seen) -> Option<()> {
        let mut parent = NONE;
        let mut at = scan::space(record, at);
        let mut first = true;
        loop {
            // Behind a brace or behind a value.
            if scan::byte(record, at) == b'}' {
                at += 1;
                if parent == NONE {
                    return (scan::space(record, at) == record.len()).then_some(());
                }
                let member = &mut self.members[parent as usize];
                (member.value.end, member.value.next) = (at, at);
                parent = member.parent;
                self.open.pop();
                at = scan::space(record, at);
                first = false;
                continue;
            }
            if !first {
                if scan::byte(record, at) != b',' {
                    return None;
                }
                at = scan::space(record, at + 1);
            }
            seen.escaped = false;
            let (end, start) = scan::key(record, at, seen)?;
            let mut name = at + 1..end;
            let name_escaped = seen.escaped;
            if name_escaped {
                let before = self.decoded.len();
                if !scan::unescape_string(&record[name], &mut self.decoded) {
                    return None;
                }
                name = before..self.decoded.len();
            }
            let index = u32::try_from(self.members.len()).ok()?;
            let depth = self.open.len() as u32;
            let mut member = Member {
                parent,
                depth,
                name,
                name_escaped,
                value: Scanned::default(),
                key: None,
                replaced: false,
            };
            if scan::byte(record, start) == b'{' {
                // The outermost object and those in `open` are around it.
                if self.open.len() + 1 == DEPTH_MAX {
                    return None;
                }
                member.value = Scanned {
                    kind: Kind::Composite,
                    escaped: false,
                    start,
                    end: start,
                    next: start,
                };
                self.members.push(member);
                self.open.push(index);
                parent = index;
                at = scan::space(record, start + 1);
                first = true;
            } else {
                member.value = scan::scalar_or_array(record, start, self.open.len() + 1, seen)?;
                at = scan::space(record, member.value.next);
                self.members.push(member);
                first = false;
            }
        }
    }

    fn mark_replaced(&mut self, record: &[u8]) {
        self.newest.clear();
        if self.newest.capacity() > KEPT_MAX {
            self.newest = HashTable::new();
        }
        for index in 0..self.members.len() {
            let (members, decoded, hasher) = (&self.members, &self.decoded, &self.hasher);
            let identity = |index: u32| {
                let member = &members[index as usize];
                (member.parent, name(member, record, decoded))
            };
            let hash = |index: u32| hasher.hash_one(identity(index));
            let index = index as u32;
            let entry = self.newest.entry(
                hash(index),
                |other| identity(*other) == identity(index),
                |other| hash(*other),
            );
            match entry {
                hashbrown::hash_table::Entry::Occupied(mut last) => {
                    let earlier = std::mem::replace(last.get_mut(), index);
                    self.members[earlier as usize].replaced = true;
                }
                hashbrown::hash_table::Entry::Vacant(place) => {
                    place.insert(index);
                }
            }
        }
        for index in 0..self.members.len() {
            if let Some(parent) = self.members.get(self.members[index].parent as usize)
                && parent.replaced
            {
                self.members[index].replaced = true;
            }
        }
    }

    /// Hands the wanted values to `keys`.
    pub fn find_wanted(&mut self, keys: &mut Keys, record: &[u8]) {
        for index in 0..self.members.len() {
            let member = &self.members[index];
            let parent = match member.parent {
                NONE => Some(ROOT),
                parent => self.members[parent as usize].key,
            };
            if member.replaced {
                continue;
            }
            let key =
                parent.and_then(|parent| keys.find(parent, name(member, record, &self.decoded)));
            if let Some(key) = key
                && keys.key(key).wanted
            {
                keys.put(key, &member.value);
            }
            self.members[index].key = key;
        }
    }

    /// The metrics by name alone.
    pub fn numbers(&mut self, keys: &Keys, record: &[u8], row: &mut Row) {
        let mut path = Vec::with_capacity(METRIC_PATH_BYTES_MAX);
        self.order.clear();
        let first = row.numbers.len();
        for index in 0..self.members.len() {
            let member = &self.members[index];
            if member.replaced
                || !matches!(member.value.kind, Kind::Number | Kind::String)
                || !self.path(member, record, &mut path)
                || !keys.is_metric(&path)
            {
                continue;
            }
            let name = row.keep(&path);
            let value = super::value(
                record,
                member.value.kind,
                member.value.start..member.value.end,
                member.value.escaped,
                row,
            );
            if row.add_number(Field { name, value }) {
                self.order.push(index as u32);
            }
        }
        self.drop_shadowed(first, record, row);
    }

    /// Of metrics with one path the one with the fewest steps stays: a flat key beats a path.
    fn drop_shadowed(&self, first: usize, record: &[u8], row: &mut Row) {
        let dotted = |index: &u32| {
            name(&self.members[*index as usize], record, &self.decoded).contains(&b'.')
        };
        let nested = |index: &u32| self.members[*index as usize].depth > 0;
        if !(self.order.iter().any(dotted) && self.order.iter().any(nested)) {
            return;
        }
        let mut best: std::collections::HashMap<Vec<u8>, (u32, usize)> =
            std::collections::HashMap::new();
        for (at, index) in self.order.iter().enumerate() {
            let depth = self.members[*index as usize].depth;
            let name = row.bytes(record, row.numbers[first + at].name).to_vec();
            let entry = best.entry(name).or_insert((depth, at));
            if depth < entry.0 {
                *entry = (depth, at);
            }
        }
        let mut stays = vec![false; self.order.len()];
        best.values().for_each(|(_, at)| stays[*at] = true);
        let mut at = 0;
        row.numbers.retain(|_| {
            at += 1;
            at <= first || stays[at - 1 - first]
        });
    }

    /// The dotted path of a member; `false` if it is too long for a metric.
    fn path(&self, member: &Member, record: &[u8], path: &mut Vec<u8>) -> bool {
        path.clear();
        let mut member = member;
        let mut steps = [&b""[..]; METRIC_PATH_BYTES_MAX];
        let (mut count, mut bytes) = (0, 0);
        loop {
            let step = name(member, record, &self.decoded);
            bytes += step.len() + usize::from(count > 0);
            if bytes > METRIC_PATH_BYTES_MAX || count == steps.len() {
                return false;
            }
            steps[count] = step;
            count += 1;
            match self.members.get(member.parent as usize) {
                Some(parent) => member = parent,
                None => break,
            }
        }
        for (at, step) in steps[..count].iter().rev().enumerate() {
            if at > 0 {
                path.push(b'.');
            }
            path.extend_from_slice(step);
        }
        true
    }

    /// Every member of the outermost object.
    pub fn fields(&self, record: &[u8], row: &mut Row) {
        for member in self
            .members
            .iter()
            .filter(|member| member.depth == 0 && !member.replaced)
        {
            let name = match member.name_escaped {
                true => row.keep(&self.decoded[member.name.clone()]),
                false => Text::record(member.name.start, member.name.end),
            };
            let value = super::value(
                record,
                member.value.kind,
                member.value.start..member.value.end,
                member.value.escaped,
                row,
            );
            row.fields.push(Field { name, value });
        }
    }

    /// The names of the outermost keys in the order of their bytes, without level and time.
    pub fn tops<'a>(&'a mut self, record: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (members, decoded) = (&self.members, &self.decoded);
        let name = move |index: &u32| name(&members[*index as usize], record, decoded);
        self.order.clear();
        let top = |index: &u32| {
            members[*index as usize].depth == 0
                && !members[*index as usize].replaced
                && !roles::is_lifted(name(index))
        };
        self.order.extend((0..members.len() as u32).filter(top));
        self.order
            .sort_unstable_by(|one, two| name(one).cmp(name(two)));
        self.order.iter().map(name)
    }
}

fn name<'a>(member: &Member, record: &'a [u8], decoded: &'a [u8]) -> &'a [u8] {
    match member.name_escaped {
        true => &decoded[member.name.clone()],
        false => &record[member.name.clone()],
    }
}
