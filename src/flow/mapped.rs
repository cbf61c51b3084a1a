//! What a mapper makes of one batch: counts, kept lines, and what is unique in it.

use std::sync::Arc;

use crate::flow::batch::{Batch, SourceId};
use crate::flow::fingerprint::Fingerprint;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::mark::Mark;
use crate::flow::observed::Observed;
use crate::flow::output::Branches;
use crate::flow::sample::{Sample, UnitSet};
use crate::flow::span::Span;
use crate::flow::time::Time;

/// Everything the fold learns about one batch. A pure function of the batch and the plan.
#[derive(Debug, Default)]
pub struct Mapped {
    pub sequence: u64,
    pub source: SourceId,
    /// The source's name, as the batch has it.
    pub name: Arc<str>,
    pub position: u64,
    /// Lines of the source before the batch, as far as the reader counted them.
    pub lines_before: u64,
    /// The batch's, handed through.
    pub mark: Option<Box<Mark>>,
    /// Bytes of a file that were gone when the mapper came to read them, and what it was told.
    pub lost_bytes: u64,
    pub problem: Option<String>,
    pub counts: Counts,
    pub formats: [u64; Format::ALL.len()],
    /// What the tables are to take in: one part, or one for each stretch of records that belong to
    /// the same window of event time.
    pub tables: Tables,
    /// Parts before that one.
    pub earlier: Vec<Tables>,
    /// For states, sets and rules.
    pub observed: Observed,
    /// How many selected records hold each condition of `--fail-on`.
    pub conditions: Vec<u64>,
    /// Kept lines, ready to be written, when the fold has nothing to decide about them: those of the
    /// first branch.
    pub lines: Vec<u8>,
    /// Those of the branches behind it.
    pub others: Vec<Vec<u8>>,
    /// One entry a record that the fold has to decide about (context, dedup, JSON lines).
    pub records: Vec<Line>,
    /// Masked messages of `records`, one after the other.
    pub masks: Vec<u8>,
    /// Records that made the program panic.
    pub faults: Vec<Fault>,
    /// Bytes of the batch that no batch before it had, as the reader handed them over.
    pub read_bytes: u64,
    /// Offset behind the batch.
    pub end: u64,
    /// The batch itself, not mapped yet: one of its records may make the fold panic.
    pub suspect: Option<Box<Batch>>,
}

/// A record that made the program panic.
#[derive(Debug)]
pub struct Fault {
    /// Number of its first line in the batch, from 0.
    pub line: u32,
    /// Offset of its first byte in the source.
    pub offset: u64,
    /// Its original lines.
    pub bytes: Vec<u8>,
    /// What the panic said, and where.
    pub reason: String,
}

/// What selected records give to the tables of a report.
#[derive(Debug, Default)]
pub struct Tables {
    /// Number of the window that the records belong to, counted from 1970 in steps of the plan's
    /// interval; `None` if the plan has none, or for records without a time at the batch's start.
    pub window: Option<i64>,
    /// Selected records by level, row 0 for none.
    pub levels: [u64; 7],
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// Selected records per second and level, runs of one second together.
    pub seconds: Vec<Second>,
    pub messages: Messages,
    pub groups: Groups,
    pub samples: Samples,
}

impl Mapped {
    /// The parts for the tables, in record order.
    pub fn parts(&self) -> impl Iterator<Item = &Tables> {
        self.earlier.iter().chain(std::iter::once(&self.tables))
    }
}

/// Counts of one batch, made by the mapper alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub bytes: u64,
    pub lines: u64,
    pub records: u64,
    pub kept: u64,
    pub filtered: u64,
    pub malformed: u64,
    pub truncated: u64,
    pub no_time: u64,
    /// Fields of selected records over [`FIELDS_MAX`](crate::flow::row::FIELDS_MAX).
    pub fields_cut: u64,
    /// Records that made the program panic; they are kept, and in no table.
    pub faulted: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct Second {
    pub second: i64,
    pub levels: [u32; 7],
}

/// The listed messages that are distinct in this batch, in order of first appearance.
#[derive(Debug, Default)]
pub struct Messages {
    pub entries: Vec<Message>,
    /// Masked texts, one after the other.
    pub masked: Vec<u8>,
    /// The first records of each, cut to [`SAMPLE_BYTES_MAX`], one after the other.
    pub samples: Vec<u8>,
}

/// How many samples of a message are kept.
pub const SAMPLES_MAX: usize = 3;

/// Longest sample kept, in bytes; a longer record is cut.
pub const SAMPLE_BYTES_MAX: usize = 256;

#[derive(Clone, Copy, Debug)]
pub struct Message {
    pub fingerprint: Fingerprint,
    pub level: Option<Level>,
    pub count: u64,
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// Into [`Messages::masked`].
    pub masked: Span,
    /// Offset of the first record in the batch, in bytes.
    pub start: u32,
    /// The first records, into [`Messages::samples`]; `sample_count` of them are set.
    pub samples: [Span; SAMPLES_MAX],
    pub sample_count: u8,
    /// How many records of the batch stand before the first of these.
    pub ordinal: u32,
}

/// The keys of all `--by` groupings that occur in this batch, in order of first appearance.
#[derive(Debug, Default)]
pub struct Groups {
    /// Encoded keys (see `flow::key`), one after the other.
    pub keys: Vec<u8>,
    pub entries: Vec<Group>,
}

#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub grouping: u16,
    /// Into [`Groups::keys`].
    pub key: Span,
    pub count: u64,
}

/// Samples of metrics in record order, with a dictionary of their series.
#[derive(Debug, Default)]
pub struct Samples {
    /// Names of the metrics that occur, one after the other.
    pub names: Vec<u8>,
    pub series: Vec<Series>,
    pub column: Vec<Sample>,
}

/// A row of the dictionary, in the order of the series' first samples.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The metric's name, into [`Samples::names`].
    pub metric: Span,
    pub grouping: u16,
    /// The group of that grouping, into [`Groups::keys`]; `None` for records that lack it.
    pub key: Option<Span>,
    pub units: UnitSet,
}

/// A record as the fold has to see it when it decides which lines go out.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What is written, in [`Mapped::lines`].
    pub text: Span,
    /// Where the template goes into the text (JSON lines), relative to its start.
    pub template_at: u32,
    /// The number of the record's first line within the batch, from 0.
    pub line: u32,
    pub selected: bool,
    /// Where it goes if it goes out.
    pub branches: Branches,
    /// Hash of what makes it a duplicate.
    pub identity: u64,
    pub time: Option<Time>,
    /// Into [`Mapped::masks`]; empty if the plan needs no template.
    pub masked: Span,
    pub fingerprint: Fingerprint,
}
