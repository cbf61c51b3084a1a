//! The report for eyes.

use std::io::Write;

use crate::report::Report;

/// How a text report looks.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// Control characters of the input are shown as escapes.
    pub escape: bool,
}

/// Appends the report; `top` rows of each table.
pub fn write(out: &mut Vec<u8>, report: &Report<'_>, top: usize, style: &Style) {
    let _ = style;
    let state = report.state;
    writeln!(
        out,
        "{} records, {} kept",
        state.ledger.records, state.ledger.kept
    )
    .expect("a vector takes everything");
    for message in report.messages.iter().take(top) {
        writeln!(
            out,
            "{:>8} {}",
            message.count,
            String::from_utf8_lossy(&message.template)
        )
        .expect("a vector takes everything");
    }
}
