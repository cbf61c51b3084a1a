//! What goes to a sink, and what was asked for when that is lines.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::disk::Identity;
use crate::flow::level::Level;
use crate::flow::mark::Mark;

/// Bytes for a sink, whole lines with their line feeds.
#[derive(Debug, Default)]
pub struct Output {
    pub bytes: Vec<u8>,
    /// How many kept records the bytes stand for.
    pub records: u64,
    /// Of a followed file: the batch that the bytes were made of. An output without bytes then still
    /// says that the batch is done with.
    pub mark: Option<Box<Mark>>,
}

/// What a sink accepted, counted apart from everything else (law 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    pub records: u64,
    pub bytes: u64,
}

/// How far a file that is written to has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlace {
    pub identity: Identity,
    /// Bytes.
    pub length: u64,
}

/// Where an output file stands after `number` rotations: `path.1` is the latest.
pub fn rotated_path(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
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
        self.before + self.after > 0
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
