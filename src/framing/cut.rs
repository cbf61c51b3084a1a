//! Where the reader may end a chunk.

use crate::framing::container::{self, Wrapped};
use crate::framing::continuation::is_sure_start;
use crate::framing::interleave::Interleave;
use crate::framing::kind::may_be_container;
use crate::framing::walk::{Visitor, walk};
use crate::framing::{Multiline, text};

/// The last place in `chunk` where a record surely starts, if more bytes come: everything before it
/// is whole records whatever follows. `chunk` begins at a sure start and ends wherever reading
/// stopped. `None` if the chunk may be one record still; a caller at the end of its input takes
/// the whole chunk.
///
/// The answer is never 0. A chunk of [`RECORD_BYTES_MAX`](super::RECORD_BYTES_MAX) plus two of
/// [`LINE_BYTES_MAX`](super::LINE_BYTES_MAX) and their line feeds always has such a place: there the
/// limit of a record, or of a container's group, makes one.
pub fn cut(mode: &Multiline, chunk: &[u8]) -> Option<usize> {
    let whole = memchr::memrchr(b'\n', chunk)? + 1;
    // Slow path: no line says by itself that it starts a record, so walk from the front.
    cut_surely(mode, chunk).or_else(|| cut_forward(mode, &chunk[..whole]))
}

/// As [`cut`], of bytes that begin at any line: the last place where a line says by itself that it
/// starts a record. `None` also where only the lines before could tell.
pub fn cut_surely(mode: &Multiline, chunk: &[u8]) -> Option<usize> {
    let whole = memchr::memrchr(b'\n', chunk)? + 1;
    let chunk = &chunk[..whole];
    // Fast path: look at lines from the end. Two are enough in most files.
    let mut end = whole;
    let mut start = line_start(chunk, end);
    if is_wrapped(&chunk[start..end]) {
        return None;
    }
    if matches!(mode, Multiline::Off) {
        return Some(whole);
    }
    while start > 0 {
        let above = line_start(chunk, start);
        let above_line = &chunk[above..start];
        // A line after a wrapped one starts a record: the two never join.
        if is_sure_start(mode, above_line, &chunk[start..end]) || is_wrapped(above_line) {
            return Some(start);
        }
        end = start;
        start = above;
    }
    None
}

fn line_start(chunk: &[u8], end: usize) -> usize {
    memchr::memrchr(b'\n', &chunk[..end - 1]).map_or(0, |feed| feed + 1)
}

fn is_wrapped(line: &[u8]) -> bool {
    may_be_container(line[0]) && container::recognise(text(line)).is_some()
}

fn cut_forward(mode: &Multiline, chunk: &[u8]) -> Option<usize> {
    let mut last = LastSafe(0);
    walk(mode, chunk, &mut Interleave::new(), &mut last);
    (last.0 > 0).then_some(last.0)
}

struct LastSafe(usize);

impl Visitor for LastSafe {
    fn start(&mut self, at: usize, _line: u32) {
        self.0 = at;
    }

    fn open(&mut self, _at: usize, _line: u32, _wrapped: &Wrapped) {}

    fn safe(&mut self, at: usize) {
        self.0 = self.0.max(at);
    }
}
