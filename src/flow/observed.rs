//! What states, sets and rules see of a batch: runs of records that are alike, in the order of their
//! first records. Made by the mappers for the inputs of the plan (`expr::input`), taken in by the fold.

use crate::flow::alert::SampleLine;
use crate::flow::fingerprint::Fingerprint;
use crate::flow::sample::Bucket;
use crate::flow::span::Span;
use crate::flow::time::Time;

/// Everything observed in one batch.
///
/// Runs join records only where nobody can tell the difference, so that rules do not see how the input
/// was cut (law 1). A run ends when, for its input and key,
/// * a record with another text comes (states: `running, failed, running` are three runs), unless
///   messages are observed, whose order among each other does not matter;
/// * a record of another second comes, if the input tells seconds apart;
/// * the newest second of the batch has moved on since, if the input
///   tells seconds apart.
#[derive(Debug, Default)]
pub struct Observed {
    /// Encoded keys (`flow::key`) and texts.
    pub bytes: Vec<u8>,
    /// The bytes of the batch, in the buffer that they were read into: lines that are shown of records
    /// are looked up here, so that nobody copies those that nobody shows. Empty without runs.
    pub content: Vec<u8>,
    /// As [`Batch::before`](crate::flow::batch::Batch::before).
    pub before: Vec<SampleLine>,
    /// In the order of their first records; of one record, in the order of the inputs.
    pub runs: Vec<Run>,
    /// Numbers of the runs that have some, in record order.
    pub numbers: Vec<Number>,
    /// Lines of the second and later records of runs, up to [`Observed::LINES_MAX`] of a run with its
    /// first, sorted by run: what an alert shows besides the first.
    pub lines: Vec<Line>,
    /// Where the second of the records changes, by all of them and not only the observed ones; the first
    /// record with a time makes the first. Watermarks move with these.
    pub advances: Vec<Advance>,
    /// How many records the inputs were shown, of those that were shown any.
    pub met: Vec<Met>,
}

impl Observed {
    /// Records of one run whose lines are kept.
    pub const LINES_MAX: u64 = 5;
}

/// The first line of a record of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Place in [`Observed::runs`].
    pub run: u32,
    /// As [`Run::sample`].
    pub sample: Span,
}

/// Records of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Place in the plan's inputs.
    pub input: u16,
    /// Those that met its condition.
    pub met: u32,
    /// Those of them that lacked a field of its grouping.
    pub ungrouped: u32,
    /// Those of the rest that lacked the field that is observed.
    pub unvalued: u32,
}

/// A record whose second of event time is another one than that of the record with a time before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// Records of the batch before it.
    pub ordinal: u32,
    /// Whole seconds since the epoch.
    pub second: i64,
}

/// Records of one input, one key, one text and (if the input tells seconds apart) one second.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Place in the plan's inputs.
    pub input: u16,
    /// Into [`Observed::bytes`]: the values of the input's fields, encoded; empty without fields.
    pub key: Span,
    /// Into [`Observed::bytes`]: the observed value, or the masked message; empty where records and
    /// numbers are observed.
    pub text: Span,
    /// Of the message, where messages are observed.
    pub fingerprint: Fingerprint,
    /// Event time of the first record of the run.
    pub time: Option<Time>,
    /// Newest event time of the run.
    pub newest: Option<Time>,
    /// Records, by weight.
    pub count: u64,
    /// Records of the batch before the first one.
    pub ordinal: u32,
    /// Into [`Observed::content`]: the first line of the first record, cut to
    /// [`SAMPLE_BYTES_MAX`](crate::flow::mapped::SAMPLE_BYTES_MAX).
    pub sample: Span,
}

/// One number of a run.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Place in [`Observed::runs`].
    pub run: u32,
    pub value: f64,
    pub bucket: Bucket,
    /// How many values it stands for, at least 1.
    pub weight: u32,
}
