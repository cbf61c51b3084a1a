//! The keys of objects, each known once by its parent and its name: those that the plan wants,
//! there from the start, and those that lines brought, up to a limit. It also holds where the
//! wanted values of the current line stand. Knows nothing of how a line is read.

use crate::flow::row::Kind;
use crate::flow::wanted::{Wanted, is_metric_name};
use crate::parsers::json::roles;
use crate::parsers::json::scan::Scanned;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::ops::Range;

/// Index of a key.
pub type KeyId = u32;

/// The outermost object, which has no name.
pub const ROOT: KeyId = 0;

/// Keys learned from lines. A stream has tens; one that makes keys of its data (user names, ids)
/// would fill any table, so at the limit all learned keys are forgotten.
const LEARNED_MAX: usize = 1024;

/// Room for the plan's keys and those of a usual stream, so that nothing grows step by step.
const KEYS_USUAL: usize = 112;

/// Longest name that is learned, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// One key of the objects under `parent`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The line in which it was last seen.
    pub line: u32,
    pub parent: KeyId,
    /// Its value goes to [`Keys::found`].
    pub wanted: bool,
    /// Its numbers are metrics by their name, and no wanted path has them already.
    pub metric: bool,
    /// The name itself holds a dot, so a nested key may have the same path.
    pub dotted: bool,
    /// Names the level or the time: not part of the list that stands for a missing message.
    pub lifted: bool,
    name: (u32, u32),
    path: (u32, u32),
}

/// Where a wanted value stands in the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    line: u32,
    start: u32,
    end: u32,
    pub kind: Kind,
    /// It is a string with escapes.
    pub escaped: bool,
}

impl Found {
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

pub struct Keys {
    keys: Vec<Key>,
    /// Names and dotted paths.
    text: Vec<u8>,
    table: HashTable<KeyId>,
    hasher: RandomState,
    found: Vec<Found>,
    /// Keys of the outermost object, by name.
    tops: Vec<KeyId>,
    /// The first key that is not the plan's but was learned, and where its text starts.
    learned: usize,
    learned_text: usize,
    line: u32,
    numbers: bool,
    /// Flat names of the plan's paths.
    paths: Vec<Vec<u8>>,
}

impl Keys {
    pub fn new(wanted: &Wanted) -> Keys {
        let root = Key {
            line: 0,
            parent: ROOT,
            wanted: false,
            metric: false,
            dotted: false,
            lifted: false,
            name: (0, 0),
            path: (0, 0),
        };
        let mut keys = Vec::with_capacity(KEYS_USUAL);
        keys.push(root);
        let mut found = Vec::with_capacity(KEYS_USUAL);
        found.push(Found::default());
        Keys {
            keys,
            text: Vec::with_capacity(KEYS_USUAL * 16),
            table: HashTable::with_capacity(KEYS_USUAL),
            hasher: RandomState::default(),
            found,
            tops: Vec::with_capacity(KEYS_USUAL),
            learned: usize::MAX,
            learned_text: 0,
            line: 0,
            numbers: wanted.numbers,
            paths: wanted.paths.iter().map(|path| path.flat.clone()).collect(),
        }
    }

    /// Adds a key that the plan wants.
    pub fn want(&mut self, steps: &[&[u8]]) -> KeyId {
        let key = steps.iter().fold(ROOT, |parent, name| {
            self.find(parent, name)
                .unwrap_or_else(|| self.add(parent, name))
        });
        self.keys[key as usize].wanted = true;
        key
    }

    /// All keys added from now on are learned ones.
    pub fn seal(&mut self) {
        self.learned = self.keys.len();
        self.learned_text = self.text.len();
    }

    pub fn find(&self, parent: KeyId, name: &[u8]) -> Option<KeyId> {
        let hash = self.hasher.hash_one((parent, name));
        self.table
            .find(hash, |key| {
                self.keys[*key as usize].parent == parent && self.name(*key) == name
            })
            .copied()
    }

    /// Adds a key that is not there yet; `None` when the table is full.
    pub fn learn(&mut self, parent: KeyId, name: &[u8]) -> Option<KeyId> {
        (self.keys.len() < self.learned.saturating_add(LEARNED_MAX)).then(|| self.add(parent, name))
    }

    fn add(&mut self, parent: KeyId, name: &[u8]) -> KeyId {
        let key = self.keys.len() as KeyId;
        let path_start = self.text.len();
        if parent != ROOT {
            let path = self.keys[parent as usize].path;
            self.text
                .extend_from_within(path.0 as usize..path.1 as usize);
            self.text.push(b'.');
        }
        let name_start = self.text.len();
        self.text.extend_from_slice(name);
        let end = self.text.len();
        let path = &self.text[path_start..];
        self.keys.push(Key {
            line: 0,
            parent,
            wanted: false,
            metric: self.numbers && self.is_metric(path),
            dotted: name.contains(&b'.'),
            lifted: parent == ROOT && roles::is_lifted(name),
            name: (name_start as u32, end as u32),
            path: (path_start as u32, end as u32),
        });
        self.found.push(Found::default());
        let (keys, text, hasher) = (&self.keys, &self.text, &self.hasher);
        let hash = |key: &KeyId| {
            let Key { parent, name, .. } = keys[*key as usize];
            hasher.hash_one((parent, &text[name.0 as usize..name.1 as usize]))
        };
        self.table.insert_unique(hash(&key), key, hash);
        if parent == ROOT {
            let at = self.tops.partition_point(|other| self.name(*other) < name);
            self.tops.insert(at, key);
        }
        key
    }

    /// Whether a value at this dotted path is reported as a metric by its name alone.
    pub fn is_metric(&self, path: &[u8]) -> bool {
        is_metric_name(path) && !self.paths.iter().any(|flat| flat == path)
    }

    /// Forgets the learned keys.
    pub fn forget(&mut self) {
        self.keys.truncate(self.learned);
        self.found.truncate(self.learned);
        self.text.truncate(self.learned_text);
        let learned = self.learned as KeyId;
        self.table.retain(|key| *key < learned);
        self.tops.retain(|key| *key < learned);
    }

    /// Starts a line: nothing is found yet.
    pub fn next_line(&mut self) {
        self.line = self.line.wrapping_add(1);
        if self.line == 0 {
            self.keys.iter_mut().for_each(|key| key.line = 0);
            self.found.iter_mut().for_each(|found| found.line = 0);
            self.line = 1;
        }
    }

    /// Notes that the line has this key and returns what is known of it; `None` if the line had it
    /// before.
    #[inline(always)]
    pub fn see(&mut self, key: KeyId) -> Option<Key> {
        let entry = &mut self.keys[key as usize];
        if entry.line == self.line {
            return None;
        }
        entry.line = self.line;
        Some(*entry)
    }

    pub fn key(&self, key: KeyId) -> &Key {
        &self.keys[key as usize]
    }

    #[inline(always)]
    pub fn put(&mut self, key: KeyId, value: &Scanned) {
        self.found[key as usize] = Found {
            line: self.line,
            start: value.start as u32,
            end: value.end as u32,
            kind: value.kind,
            escaped: value.escaped,
        };
    }

    /// The line's value of a wanted key.
    #[inline(always)]
    pub fn found(&self, key: KeyId) -> Option<Found> {
        let found = self.found[key as usize];
        (found.line == self.line).then_some(found)
    }

    pub fn name(&self, key: KeyId) -> &[u8] {
        let (start, end) = self.keys[key as usize].name;
        &self.text[start as usize..end as usize]
    }

    /// The names from the outermost object to this key, with dots between them.
    pub fn path(&self, key: KeyId) -> &[u8] {
        let (start, end) = self.keys[key as usize].path;
        &self.text[start as usize..end as usize]
    }

    /// The names of the line's outermost keys in the order of their bytes, without level and time.
    pub fn tops(&self) -> impl Iterator<Item = &[u8]> {
        let here = |key: &&KeyId| {
            self.keys[**key as usize].line == self.line && !self.keys[**key as usize].lifted
        };
        self.tops.iter().filter(here).map(|key| self.name(*key))
    }
}
