//! Counting and finding records without making them: for a filter that searches the chunk first
//! and looks at few of its records.

use crate::framing::Multiline;
use crate::framing::container::Wrapped;
use crate::framing::continuation::{Tracker, is_sure_start};
use crate::framing::interleave::Interleave;
use crate::framing::walk::{Visitor, walk};
use std::ops::Range;

/// How much a chunk holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub lines: u64,
    pub records: u64,
    /// Records that came wrapped by a container runtime. If there are any, text found in the chunk
    /// is not the records' text, and [`record_around`] does not apply.
    pub wrapped: u64,
}

/// Counts what [`Framer::frame`](super::frame::Framer::frame) would make of the chunk, but only the
/// lines and plain records that start at `from` or later; `from` is where a line starts.
pub fn count_records(mode: &Multiline, chunk: &[u8], from: usize) -> Counts {
    // Fast path: every wrapped line names its stream in full, stdout or stderr, so without what
    // both begin with there is none and the line feeds are all there is to count.
    if matches!(mode, Multiline::Off) && memchr::memmem::find(chunk, b"std").is_none() {
        let last = usize::from(from < chunk.len() && !chunk.ends_with(b"\n"));
        let lines = (memchr::memchr_iter(b'\n', &chunk[from..]).count() + last) as u64;
        return Counts {
            lines,
            records: lines,
            wrapped: 0,
        };
    }
    let mut counter = Counter {
        from,
        ..Counter::default()
    };
    let lines = walk(mode, chunk, &mut Interleave::new(), &mut counter);
    let before = memchr::memchr_iter(b'\n', &chunk[..from]).count() as u64;
    Counts {
        lines: u64::from(lines) - before,
        records: counter.plain + counter.wrapped,
        wrapped: counter.wrapped,
    }
}

#[derive(Default)]
struct Counter {
    from: usize,
    plain: u64,
    wrapped: u64,
}

impl Visitor for Counter {
    #[inline(always)]
    fn start(&mut self, at: usize, _line: u32) {
        self.plain += u64::from(at >= self.from);
    }

    fn open(&mut self, _at: usize, _line: u32, _wrapped: &Wrapped) {
        self.wrapped += 1;
    }
}

/// The lines of the record that holds the byte at `hit`, in a chunk without wrapped records.
///
/// `floor` is 0 or the end of a record found before, at or below `hit`: with hits in ascending order
/// and the last answer's end as floor, each byte is looked at once however the chunk is made.
pub fn record_around(mode: &Multiline, chunk: &[u8], floor: usize, hit: usize) -> Range<usize> {
    let line = memchr::memrchr(b'\n', &chunk[floor..hit]).map_or(floor, |feed| floor + feed + 1);
    let mut end = line_end(chunk, line);
    if matches!(mode, Multiline::Off) {
        return line..end;
    }
    // Up to a line that starts a record whatever came before, then down with the machine.
    let mut top = line;
    let mut top_end = end;
    while top > floor {
        let above =
            memchr::memrchr(b'\n', &chunk[floor..top - 1]).map_or(floor, |feed| floor + feed + 1);
        if is_sure_start(mode, &chunk[above..top], &chunk[top..top_end]) {
            break;
        }
        top_end = top;
        top = above;
    }
    let mut tracker = Tracker::new();
    let mut start = top;
    let mut at = top;
    while at < chunk.len() {
        end = line_end(chunk, at);
        if tracker.starts(mode, chunk, at, end) {
            if at > hit {
                return start..at;
            }
            start = at;
        }
        at = end;
    }
    start..chunk.len()
}

fn line_end(chunk: &[u8], at: usize) -> usize {
    memchr::memchr(b'\n', &chunk[at..]).map_or(chunk.len(), |feed| at + feed + 1)
}
