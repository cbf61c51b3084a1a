//! What goes to a sink, and what was asked for when that is lines.

use serde::{Deserialize, Serialize};

use crate::disk::Identity;
use crate::flow::level::Level;
use crate::flow::mark::Mark;

/// Bytes for sinks, whole lines with their line feeds.
#[derive(Debug, Default)]
pub struct Output {
    /// Of the first branch, which is the only one but in a run with sinks of several conditions.
    pub bytes: Vec<u8>,
    /// Of the branches behind it.
    pub others: Vec<Vec<u8>>,
    /// How many kept records the output stands for, each counted once however many branches have it.
    pub records: u64,
    /// Of a followed file: the batch that the bytes were made of. An output without bytes then still
    /// says that the batch is done with.
    pub mark: Option<Box<Mark>>,
}

impl Output {
    /// The lines of a branch.
    pub fn of(&self, branch: usize) -> &[u8] {
        match branch.checked_sub(1) {
            None => &self.bytes,
            Some(other) => self.others.get(other).map_or(&[], |bytes| bytes),
        }
    }

    /// There is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.others.iter().all(Vec::is_empty)
    }
}

/// Which branches a record's lines go out by. A *branch* is what all sinks of lines get that have the
/// same condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Branches(u64);

impl Branches {
    /// More conditions than people write, and one bit for each.
    pub const MAX: usize = 64;

    /// The one that is there if there are no conditions.
    pub const FIRST: Branches = Branches(1);

    pub fn add(&mut self, branch: usize) {
        self.0 |= 1 << branch;
    }

    pub fn has(self, branch: usize) -> bool {
        self.0 >> branch & 1 == 1
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What the sinks accepted, counted apart from everything else (law 2): the records of an output once
/// every sink has taken its part of it, and the bytes of the first branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub records: u64,
    pub bytes: u64,
}

/// What one more sink took in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    pub branch: usize,
    pub bytes: u64,
}

/// How far a file that is written to has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlace {
    pub identity: Identity,
    /// Bytes.
    pub length: u64,
}

/// `weir filter`: the selected lines.
pub struct LinesTask {
    /// Only records of this level and above.
    pub level: Option<Level>,
    pub json: bool,
    /// Count only.
    pub count: bool,
    pub dedup: Option<Dedup>,
    /// Records of context before and after a selected one.
    pub before: usize,
    pub after: usize,
    /// Following: a record's lines go out as they come. The first line alone decides about the
    /// record, since the others may not be there yet; they follow it.
    pub as_they_come: bool,
}

impl LinesTask {
    /// Whether the fold has to see every record, because what goes out depends on others.
    pub fn decided_by_fold(&self) -> bool {
        !self.count && (self.json || self.dedup.is_some() || self.has_context())
    }

    pub fn has_context(&self) -> bool {
        self.before > 0 || self.after > 0
    }
}

/// `--dedup` and `--every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedup {
    pub mode: DedupMode,
    /// Window of event time in nanoseconds after which a count line goes out.
    pub every: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DedupMode {
    Exact,
    Message,
    Template,
}

/// Appends `text` as a JSON string; invalid UTF-8 becomes U+FFFD.
pub fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(&mut *out, &*text).expect("a vector takes every string");
}
