//! Where the reader may end a chunk.

use crate::framing::container::Wrapped;
use crate::framing::continuation::is_sure_start;
use crate::framing::interleave::Interleave;
use crate::framing::walk::{Visitor, walk};
use crate::framing::{LINE_BYTES_MAX, Multiline, RECORD_BYTES_MAX, is_wrapped_line};

/// A chunk that holds no whole record grows up to here: the size within which [`cut`] always finds a
/// place.
pub const CHUNK_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX + LINE_BYTES_MAX + 4096;

/// The last place in `chunk` where a record surely starts, if more bytes come: everything before it
/// is whole records whatever follows. `chunk` begins at a sure start and ends wherever reading
/// stopped. `None` if the chunk may be one record still; a caller at the end of its input takes
/// the whole chunk.
///
/// The answer is never 0. A chunk of [`RECORD_BYTES_MAX`] plus two of
/// [`LINE_BYTES_MAX`] and their line feeds always has such a place: there the
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
    if is_wrapped_line(&chunk[start..end]) {
        return None;
    }
    if matches!(mode, Multiline::Off) {
        return Some(whole);
    }
    while start > 0 {
        let above = line_start(chunk, start);
        let above_line = &chunk[above..start];
        // A line after a wrapped one starts a record: the two never join.
        if is_sure_start(mode, above_line, &chunk[start..end]) || is_wrapped_line(above_line) {
            return Some(start);
        }
        end = start;
        start = above;
    }
    None
}

/// The first place at or after `at` where a record surely starts, in a chunk that begins at a sure
/// start: what was open before `at` ends there. Looks at whole lines alone; `None` if the last record
/// from before `at` may still go on.
pub fn first_start_after(mode: &Multiline, chunk: &[u8], at: usize) -> Option<usize> {
    let whole = memchr::memrchr(b'\n', chunk)? + 1;
    let mut first = FirstSafe { at, found: None };
    walk(mode, &chunk[..whole], &mut Interleave::new(), &mut first);
    first.found.or_else(|| {
        // Where every line is a record, the next one starts even before it is there.
        let ends = matches!(mode, Multiline::Off) && whole >= at && !open_is_wrapped(chunk);
        ends.then_some(whole)
    })
}

/// Whether what is open at the chunk's end, after its last [`cut`], is a container's: its lines are
/// then not to be written before it is whole, since those of two streams interleave. What is open is
/// either all wrapped or all plain, as a record surely starts where the one follows the other.
pub fn open_is_wrapped(chunk: &[u8]) -> bool {
    memchr::memrchr(b'\n', chunk).is_some_and(|feed| {
        let whole = feed + 1;
        is_wrapped_line(&chunk[line_start(chunk, whole)..whole])
    })
}

/// Where the first line over the limit starts, if there is one.
pub fn line_over_limit(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    while bytes.len() - start > LINE_BYTES_MAX {
        match memchr::memchr(b'\n', &bytes[start..start + LINE_BYTES_MAX + 1]) {
            Some(end) => start += end + 1,
            None => return Some(start),
        }
    }
    None
}

fn line_start(chunk: &[u8], end: usize) -> usize {
    memchr::memrchr(b'\n', &chunk[..end - 1]).map_or(0, |feed| feed + 1)
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

struct FirstSafe {
    at: usize,
    found: Option<usize>,
}

impl Visitor for FirstSafe {
    fn start(&mut self, at: usize, _line: u32) {
        self.safe(at);
    }

    fn open(&mut self, _at: usize, _line: u32, _wrapped: &Wrapped) {}

    fn safe(&mut self, at: usize) {
        // A start may turn out to be safe only some lines later, but they do so in order.
        if at >= self.at && self.found.is_none() {
            self.found = Some(at);
        }
    }
}
