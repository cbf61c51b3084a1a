//! What states, sets and rules see of a batch: runs of records that are alike, in the order of their
//! first records. Made by the mappers for the inputs of the plan (`expr::input`), taken in by the fold.

use crate::flow::fingerprint::Fingerprint;
use crate::flow::sample::Bucket;
use crate::flow::span::Span;
use crate::flow::time::Time;

/// Everything observed in one batch.
#[derive(Debug, Default)]
pub struct Observed {
    /// Encoded keys (`flow::key`), texts and sample lines.
    pub bytes: Vec<u8>,
    /// In the order of their first records; of one record, in the order of the inputs.
    pub runs: Vec<Run>,
    /// Numbers of the runs that have some, in record order.
    pub numbers: Vec<Number>,
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
    /// Offset of the first record in the batch, in bytes.
    pub start: u32,
    /// Into [`Observed::bytes`]: the first line of the first record, cut to
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
