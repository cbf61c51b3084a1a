//! A stretch of a byte slice. Lines and records are spans into a shared chunk, so nothing is
//! copied until it has to outlive the chunk.

use std::ops::Range;

/// `start..end` in some slice that the holder knows. A chunk is far below 4 GiB, so 32 bits do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The span of `range`; panics past 4 GiB, which no chunk reaches (see `engine::reader`).
    pub fn new(range: Range<usize>) -> Span {
        Span {
            start: u32::try_from(range.start).expect("a chunk is below 4 GiB"),
            end: u32::try_from(range.end).expect("a chunk is below 4 GiB"),
        }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.range()]
    }

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}
