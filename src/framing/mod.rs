//! Bytes to records: lines, stack traces and continuation lines, Docker and CRI containers. Pure: no
//! I/O, no threads, no clock.
//!
//! Every reader puts its bytes into a [`chunker::Chunker`], which cuts them into chunks where [`cut::cut`]
//! allows; mappers walk the chunk with [`frame::Framer`], or with [`count`] when only a few records of it
//! matter. Framing and counting follow one walk (`walk`); `count` and `cut` also have loops of their own for
//! a few lines around a place, which the property tests hold against that walk.
//!
//! The chunking law: chunks cut only where [`cut::cut`] allows give the same records as the whole.

mod called;
pub mod chunker;
pub mod container;
pub mod continuation;
pub mod count;
pub mod cut;
pub mod frame;
mod interleave;
pub mod kind;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;

/// Longest line, in bytes without its line feed. A longer one is cut by the reader, with a mark.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// A continuation that begins this many bytes after its record's start opens a record of its own,
/// so that a file of nothing but indented lines cannot make one endless record.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Most lines of one record, for the same reason.
pub const RECORD_LINES_MAX: u32 = 500;

/// How lines become records.
#[derive(Clone, Debug, Default)]
pub enum Multiline {
    /// Every line is a record. Partial lines of containers are still joined.
    Off,
    /// Stack traces and continuation lines join the record above.
    #[default]
    Auto,
    /// A line that matches starts a record; all others join the record above.
    Pattern(regex::bytes::Regex),
}

/// Whether a container runtime wrapped this line, given with or without its line feed.
pub fn is_wrapped_line(line: &[u8]) -> bool {
    let text = text(line);
    text.first()
        .is_some_and(|&first| kind::may_be_container(first))
        && container::recognise(text).is_some()
}

/// `line` without its final LF or CRLF, and without the byte order mark before it.
pub(crate) fn text(line: &[u8]) -> &[u8] {
    &line[text_range(line)]
}

/// Where [`text`] stands in `line`.
#[inline]
pub(crate) fn text_range(line: &[u8]) -> Range<usize> {
    let end = without_end(line).len();
    mark_bytes(&line[..end])..end
}

/// `line` without its final LF or CRLF: the original bytes, a byte order mark included.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Length of the byte order marks that `bytes` begin with, almost always 0.
///
/// A mark says how a file is encoded and is no part of its first record. Lines of several files come
/// one after the other in a pipe, and containers wrap the first line of a program's file, so a mark
/// before any record is none of it: what a record is depends on its own bytes alone. All marks go, so
/// that a text is its own text.
#[inline]
pub(crate) fn mark_bytes(bytes: &[u8]) -> usize {
    // Fast path: three more bytes are looked at only behind this one.
    if bytes.first() != Some(&BYTE_ORDER_MARK[0]) {
        return 0;
    }
    let mut at = 0;
    while bytes[at..].starts_with(BYTE_ORDER_MARK) {
        at += BYTE_ORDER_MARK.len();
    }
    at
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
