//! How many records were passed by: figures for `weir_` metrics and reports.

use serde::{Deserialize, Serialize};

/// Observations that did not move a window as their time says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Older than the window of a rule.
    pub late: u64,
    /// More than an hour later than they came.
    pub future: u64,
    /// Without a time and with nothing near them that has one.
    pub no_time: u64,
    /// Of groups that a full table did not admit, or for which there was no memory.
    pub overflow: u64,
    /// Messages that may be new: the memory of known messages was full, so they could not be looked up or
    /// remembered.
    pub unknown: u64,
    /// How often an alert could not begin because there were too many.
    pub refused: u64,
}
