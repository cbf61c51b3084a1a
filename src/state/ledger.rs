//! Where every record went (law 2).

use serde::{Deserialize, Serialize};

use crate::flow::mapped::Counts;
use crate::state::add;

/// Totals of one run. `records = kept + filtered + duplicate + malformed + held` always holds; what
/// is missing from it, or from the bytes that were read, is `unaccounted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub bytes: u64,
    pub lines: u64,
    pub records: u64,
    pub kept: u64,
    pub filtered: u64,
    pub duplicate: u64,
    pub malformed: u64,
    pub held: u64,
    /// Lines over their limit, cut.
    pub truncated: u64,
    /// Selected records without a time.
    pub no_time: u64,
    pub unaccounted: u64,
    /// Fields over the limit of their record, left out.
    #[serde(default)]
    pub fields_cut: u64,
    /// Records that made the program panic, which is a fault of ours. They are among the kept ones: they
    /// went out as they are, and no table saw them.
    #[serde(default)]
    pub faulted: u64,
}

impl Ledger {
    /// Adds what a mapper counted in one batch.
    pub fn add(&mut self, counts: &Counts) {
        add(&mut self.bytes, counts.bytes);
        add(&mut self.lines, counts.lines);
        add(&mut self.records, counts.records);
        add(&mut self.kept, counts.kept);
        add(&mut self.filtered, counts.filtered);
        add(&mut self.malformed, counts.malformed);
        add(&mut self.truncated, counts.truncated);
        add(&mut self.no_time, counts.no_time);
        add(&mut self.fields_cut, counts.fields_cut);
        add(&mut self.faulted, counts.faulted);
    }

    /// Adds another run's ledger.
    pub fn merge(&mut self, other: &Ledger) {
        add(&mut self.bytes, other.bytes);
        add(&mut self.lines, other.lines);
        add(&mut self.records, other.records);
        add(&mut self.kept, other.kept);
        add(&mut self.filtered, other.filtered);
        add(&mut self.duplicate, other.duplicate);
        add(&mut self.malformed, other.malformed);
        add(&mut self.held, other.held);
        add(&mut self.truncated, other.truncated);
        add(&mut self.no_time, other.no_time);
        add(&mut self.unaccounted, other.unaccounted);
        add(&mut self.fields_cut, other.fields_cut);
        add(&mut self.faulted, other.faulted);
    }

    /// Closes the books: `bytes_read` is what the reader counted, `written` what was accepted (records),
    /// if lines were written. Every difference is at least one unaccounted line.
    ///
    /// With several sinks of lines `kept` counts a record once if it goes to any of them, and it is
    /// accepted once every sink whose condition it meets has taken it: an output counts when the last of
    /// its sinks has its part, and each sink's bytes must be those that the fold made for it.
    pub fn close(&mut self, bytes_read: u64, written: Option<u64>) {
        let mut missing = self.missing(bytes_read);
        if let Some(written) = written {
            add(&mut missing, written.abs_diff(self.kept));
        }
        add(&mut self.unaccounted, missing);
    }

    /// The lines that are unaccounted for if so many bytes were read, whatever became of those that were
    /// kept.
    pub fn missing(&self, bytes_read: u64) -> u64 {
        let of = [self.filtered, self.duplicate, self.malformed, self.held];
        let records = of.into_iter().fold(self.kept, u64::saturating_add);
        let mut missing = self.records.abs_diff(records);
        if bytes_read != self.bytes {
            // How many lines stood in bytes that nobody has is not known; their average says it best.
            let length = self.bytes.checked_div(self.lines).unwrap_or(1).max(1);
            add(
                &mut missing,
                (bytes_read.abs_diff(self.bytes) / length).max(1),
            );
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balanced() -> Ledger {
        Ledger {
            bytes: 100,
            lines: 10,
            records: 10,
            kept: 4,
            filtered: 6,
            ..Ledger::default()
        }
    }

    #[test]
    fn a_balanced_ledger_has_nothing_unaccounted() {
        let mut ledger = balanced();
        ledger.close(100, Some(4));
        assert_eq!(ledger.unaccounted, 0);
    }

    #[test]
    fn every_kind_of_loss_is_seen() {
        for (bytes_read, records, written) in [
            (110, 10, Some(4)),
            (101, 10, None),
            (100, 11, None),
            (100, 10, Some(3)),
        ] {
            let mut ledger = Ledger {
                records,
                ..balanced()
            };
            ledger.close(bytes_read, written);
            assert!(
                ledger.unaccounted >= 1,
                "{bytes_read} {records} {written:?}"
            );
        }
    }
}
