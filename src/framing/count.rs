//! Counting and finding records without making them: for a filter that searches the chunk first
//! and looks at few of its records.

use crate::framing::Multiline;
use crate::framing::container::Wrapped;
use crate::framing::continuation::{Tracker, is_sure_start};
use crate::framing::interleave::Interleave;
use crate::framing::kind::suspicious;
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

/// Counts what [`Framer::frame`](super::frame::Framer::frame) would make of the chunk.
pub fn count_records(mode: &Multiline, chunk: &[u8]) -> Counts {
    // Fast path: every wrapped line names its stream in full, so without both names there is none.
    let names: [&[u8]; 2] = [b"stdout", b"stderr"];
    if !matches!(mode, Multiline::Pattern(_))
        && names
            .iter()
            .all(|name| memchr::memmem::find(chunk, name).is_none())
    {
        let last = usize::from(!chunk.is_empty() && !chunk.ends_with(b"\n"));
        let lines = (memchr::memchr_iter(b'\n', chunk).count() + last) as u64;
        let records = match mode {
            Multiline::Off => lines,
            _ => lines - joined_lines(mode, chunk),
        };
        return Counts {
            lines,
            records,
            wrapped: 0,
        };
    }
    let mut counter = Counter::default();
    let lines = walk(mode, chunk, &mut Interleave::new(), &mut counter);
    Counts {
        lines: u64::from(lines),
        records: counter.plain + counter.wrapped,
        wrapped: counter.wrapped,
    }
}

/// Bytes of a word in which line feeds are looked for together.
const WORD: usize = 8;

/// Words whose line feeds are noted before their lines are looked at.
const WORDS: usize = 512;

/// How many lines of a chunk without wrapped lines join the record above, in auto mode.
///
/// Two passes over each stretch: one notes the words with a line feed and has no branch that
/// depends on the bytes, the other looks at the lines. One pass alone, with `memchr_iter`, runs at
/// a third of the speed: it mispredicts at each line, and lines are of any length.
fn joined_lines(mode: &Multiline, chunk: &[u8]) -> u64 {
    let mut joined = 0;
    let mut done = 0;
    if !chunk.is_empty() && suspicious(chunk) {
        joined += join_run(mode, chunk, 0, &mut done);
    }
    let mut noted = [0u16; WORDS];
    for (stretch, bytes) in chunk.chunks(WORDS * WORD).enumerate() {
        let base = stretch * WORDS * WORD;
        let mut count = 0;
        let words = bytes.chunks_exact(WORD);
        let rest = words.remainder().len();
        for (number, word) in words.enumerate() {
            noted[count] = number as u16;
            count += usize::from(line_feeds(word) != 0);
        }
        let mut look = |at: usize| {
            if at >= done && at < chunk.len() && suspicious(&chunk[at..]) {
                joined += join_run(mode, chunk, at, &mut done);
            }
        };
        for &number in &noted[..count] {
            let start = usize::from(number) * WORD;
            let mut feeds = line_feeds(&bytes[start..start + WORD]);
            while feeds != 0 {
                look(base + start + feeds.trailing_zeros() as usize / 8 + 1);
                feeds &= feeds - 1;
            }
        }
        for at in bytes.len() - rest..bytes.len() {
            if bytes[at] == b'\n' {
                look(base + at + 1);
            }
        }
    }
    joined
}

/// The high bit of each byte of the word that is a line feed.
#[inline(always)]
fn line_feeds(word: &[u8]) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let bytes = u64::from_le_bytes(word.try_into().expect("a word has eight bytes"));
    let other = bytes ^ 0x0a0a_0a0a_0a0a_0a0a;
    !(((other & LOW) + LOW) | other | LOW)
}

/// Slow path: runs the machine from the suspicious line at `at`, whose line above is a record's
/// first, until a line surely starts a record; `done` becomes that line's place. Returns how many
/// lines joined.
#[cold]
fn join_run(mode: &Multiline, chunk: &[u8], at: usize, done: &mut usize) -> u64 {
    let mut tracker = Tracker::new();
    if at > 0 {
        let above = memchr::memrchr(b'\n', &chunk[..at - 1]).map_or(0, |feed| feed + 1);
        let starts = tracker.starts_surely(chunk, above);
        assert!(
            starts,
            "a suspicious line above would belong to the run before"
        );
    }
    let mut joined = 0;
    let mut at = at;
    loop {
        let end = line_end(chunk, at);
        joined += u64::from(!tracker.starts(mode, chunk, at, end));
        at = end;
        if at == chunk.len() || tracker.starts_surely(chunk, at) {
            *done = at;
            return joined;
        }
    }
}

#[derive(Default)]
struct Counter {
    plain: u64,
    wrapped: u64,
}

impl Visitor for Counter {
    #[inline(always)]
    fn start(&mut self, _at: usize, _line: u32) {
        self.plain += 1;
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
