//! The report for eyes: what was read, how serious it is and when, which messages, groups and
//! numbers. Made of rows that fit the terminal; text of the input never makes a row of its own.

mod chart;
mod groups;
mod head;
mod levels;
mod messages;
mod metrics;
pub mod number;
pub mod page;
pub mod plain;
#[cfg(test)]
mod tests;
mod watched;
mod when;

use crate::report::Report;
use crate::report::text::page::Page;

/// How a text report looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub color: bool,
    /// Columns that tables and charts are laid out for.
    pub width: usize,
    /// No row is wider than `width`: for terminals. Elsewhere every text stands there whole.
    pub cut: bool,
    /// Control characters of the input are shown as escapes.
    pub escape: bool,
}

/// Appends the report; `top` rows of each table.
pub fn write(out: &mut Vec<u8>, report: &Report<'_>, top: usize, style: &Style) {
    let mut page = Page::new(out, style);
    head::write(&mut page, report);
    watched::write(&mut page, report, top);
    if report.state.ledger.kept > 0 {
        levels::write(&mut page, report);
        messages::write(&mut page, report, top);
        groups::write(&mut page, report, top);
        metrics::write(&mut page, report, top);
    }
}

/// Appends alerts, states and sets alone: what a state directory holds.
pub fn write_watched(out: &mut Vec<u8>, report: &Report<'_>, top: usize, style: &Style) {
    watched::write(&mut Page::new(out, style), report, top);
}

/// Appends states, sets and metrics alone: what is known at the end of a rehearsal.
pub fn write_known(out: &mut Vec<u8>, report: &Report<'_>, top: usize, style: &Style) {
    let mut page = Page::new(out, style);
    watched::write_known(&mut page, report, top);
    metrics::write(&mut page, report, top);
}
