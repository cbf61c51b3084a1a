//! Inputs that are no lines: a document is turned into one line an element before it is framed. The
//! formats of documents are the parsers' to know; sources only hand bytes through.

use std::sync::Arc;

/// What the first bytes of an input say.
pub enum Verdict {
    /// Lines.
    No,
    /// Not enough bytes to tell. Never said of [`HEAD_BYTES_MAX`] or more.
    More,
    Yes(Box<dyn Document>),
}

/// So many bytes of an input are looked at, at most, to tell whether it is a document.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// A document, or what one element of it needs at once, that is larger than this is refused.
pub const DOCUMENT_BYTES_MAX: usize = 64 << 20;

/// What a user said about the documents of a run.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The path of `--each`: every input of JSON is a document.
    pub each: Option<Arc<str>>,
    pub columns: Columns,
}

/// Whether tables under a header are documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    #[default]
    Never,
    /// Those of well-known programs.
    IfKnown,
    Always,
}

/// Tells documents from lines by the first bytes of an input.
pub type Recognise = fn(head: &[u8], asked: &Asked) -> Verdict;

/// A document while it is read, from its first byte on. How it is cut into pieces changes nothing.
pub trait Document: Send {
    /// Takes the next bytes; appends a line for each element that is complete.
    fn feed(&mut self, bytes: &[u8], lines: &mut Vec<u8>) -> Result<(), String>;

    /// Nothing follows. What is not complete is appended as it is, and named.
    fn end(&mut self, lines: &mut Vec<u8>) -> Result<(), String>;
}
