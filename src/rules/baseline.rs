//! The baseline of `new()`: a text file of the messages that are known, one a line, sorted, fit for
//! git. Written and read by `weir baseline`, read by rules.

use crate::flow::fingerprint::Fingerprint;
use crate::flow::level::Level;
use std::collections::BTreeMap;

/// The messages that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    entries: BTreeMap<Fingerprint, Entry>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub level: Option<Level>,
    /// `<*>` for what varies; what is no UTF-8 is U+FFFD.
    pub template: String,
}
