//! A chunk of whole records on its way from the reader to a mapper.

use std::fs::File;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::alert::SampleLine;
use crate::flow::chunk::Chunk;
use crate::flow::facts::Facts;
use crate::flow::mark::Mark;

/// Which of the run's inputs a batch comes from: its place in argument order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SourceId(pub u32);

/// Whole records of one source: its content begins where a record begins and ends where one ends.
#[derive(Debug)]
pub struct Batch {
    /// Place in the order of reading, from 0 without gaps; the fold takes batches in this order.
    pub sequence: u64,
    pub source: SourceId,
    /// The source's name, for conditions and groups on `source`.
    pub name: Arc<str>,
    pub facts: Arc<Facts>,
    /// Offset of the content in the (decompressed) source.
    pub position: u64,
    /// Lines of the source before the content, if the plan asks for line numbers (`Reader::counts_lines`).
    pub lines_before: u64,
    pub content: Content,
    /// Bytes at the start that are a line but no record: a CSV header.
    pub header_bytes: usize,
    /// The last line was longer than the limit: this many of its bytes were read and left out.
    pub cut_bytes: u64,
    /// Bytes at the start that an earlier batch had: the open record whose lines went out as they
    /// came. They are framed for what follows them and count for nothing.
    pub context_bytes: usize,
    /// Lines that came before the content and that an alert about it shows with it: what a program wrote last
    /// before its end.
    pub before: Vec<SampleLine>,
    /// Of a followed file: where the bytes stand. The content may be empty if only this matters.
    pub mark: Option<Box<Mark>>,
}

/// The bytes of a batch, or where they are.
#[derive(Debug)]
pub enum Content {
    /// Read already: a stream, or a place of a file where the reader had to look closely.
    Read(Chunk),
    /// A stretch of a plain file, from the batch's position on. The mapper reads it into a buffer
    /// that is still in its core's cache when it is parsed; the copy is then made on all cores.
    Range { file: Arc<File>, length: usize },
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Content::Read(chunk) => chunk.len(),
            Content::Range { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it holds in memory until it is mapped, in bytes.
    pub fn capacity(&self) -> usize {
        match self {
            Content::Read(chunk) => chunk.capacity(),
            Content::Range { length, .. } => *length,
        }
    }
}
