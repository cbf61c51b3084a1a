//! The report of `weir -f` on a terminal, drawn again and again while standard input goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cli::output;
use crate::engine::Watcher;
use crate::report::Report;
use crate::report::text::{self, Style};
use crate::state::State;

/// From the upper left corner on, nothing.
pub const CLEAR: &[u8] = b"\x1b[H\x1b[J";

/// How often the report is drawn.
const INTERVAL: Duration = Duration::from_millis(500);

/// After a report was made, the fold works on for at least this many times as long: a report of
/// 100,000 messages takes a second, and reading must not wait for it.
const SHARE: u32 = 10;

/// A narrower terminal gets a report for this many columns.
const COLUMNS_MIN: usize = 40;

/// Draws the report.
pub struct Live {
    style: Style,
    top: usize,
    /// Not before this.
    next: Instant,
    /// Whether there is something on the screen that the final report takes the place of.
    drawn: Arc<AtomicBool>,
}

impl Live {
    pub fn new(style: Style, top: usize, drawn: Arc<AtomicBool>) -> Live {
        Live {
            style,
            top,
            next: Instant::now(),
            drawn,
        }
    }
}

impl Watcher for Live {
    fn interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }

    fn look(&mut self, state: &State) {
        let started = Instant::now();
        if started < self.next {
            return;
        }
        // The window may have another size than before.
        let size = terminal_size();
        if let Some(size) = size {
            self.style.width = size.columns;
        }
        let rows = size.map_or(24, |size| size.rows);
        let mut report = Vec::new();
        let made = Report::new(state, Some(self.top));
        text::write(&mut report, &made, self.top, &self.style);
        let mut bytes = Vec::new();
        if !self.drawn.swap(true, Ordering::Relaxed) {
            // What stood on the screen scrolls away instead of being lost.
            bytes.resize(rows, b'\n');
        }
        frame(&mut bytes, &report, rows);
        // A terminal that went away ends the run by its signal, not by this.
        let _ = output::write(None, bytes);
        self.next = Instant::now() + started.elapsed() * SHARE;
    }
}

/// Appends the report as one picture: every row overwrites the one that stood there and clears
/// what is left of it, so that nothing flickers. Rows below the screen's end are left out.
fn frame(out: &mut Vec<u8>, report: &[u8], rows: usize) {
    out.extend_from_slice(b"\x1b[H");
    // The cursor stands in the last row, which stays empty.
    let room = rows.saturating_sub(1).max(1);
    let lines: Vec<&[u8]> = report.split_inclusive(|&byte| byte == b'\n').collect();
    let shown = if lines.len() > room {
        room - 1
    } else {
        lines.len()
    };
    for line in &lines[..shown] {
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        out.extend_from_slice(b"\x1b[K\n");
    }
    if shown < lines.len() {
        let hidden = format!("… {} more rows at the end\x1b[K\n", lines.len() - shown);
        out.extend_from_slice(hidden.as_bytes());
    }
    out.extend_from_slice(b"\x1b[J");
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// The size of the terminal that standard output is, if it knows it.
pub fn terminal_size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| Size {
        columns: usize::from(size.ws_col).max(COLUMNS_MIN),
        rows: usize::from(size.ws_row),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_never_scrolls_and_leaves_nothing_of_the_one_before() {
        for lines in [0, 1, 9, 10, 11, 500] {
            for rows in [1, 2, 10, 24] {
                let report = "a row\n".repeat(lines);
                let mut out = Vec::new();
                frame(&mut out, report.as_bytes(), rows);
                let text = String::from_utf8(out).unwrap();
                assert!(text.starts_with("\x1b[H") && text.ends_with("\x1b[J"));
                let feeds = text.matches('\n').count();
                assert!(feeds <= rows.saturating_sub(1).max(1), "{lines} {rows}");
                assert_eq!(feeds, text.matches("\x1b[K\n").count());
                assert_eq!(text.contains('…'), lines > rows.saturating_sub(1).max(1));
            }
        }
    }
}
