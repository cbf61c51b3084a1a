//! From an input's bytes to lines of UTF-8: unpacked, decoded, and one line an element if it is a document.
//! Offsets behind it are places in that text.

use std::io::{self, Cursor, Read};

use crate::flow::document::{Asked, Document, HEAD_BYTES_MAX, Recognise, Verdict};
use crate::sources::compressed;
use crate::sources::encoding::{Decoded, Encoding};

/// How the bytes of inputs are to be read.
#[derive(Clone)]
pub struct Preparation {
    /// `None`: UTF-8, unless a byte order mark says otherwise.
    pub encoding: Option<Encoding>,
    pub asked: Asked,
    pub recognise: Recognise,
}

/// Bytes of one read of a document.
const BLOCK_BYTES: usize = 64 << 10;

impl Preparation {
    /// By the first bytes of each input alone.
    pub fn new(recognise: Recognise) -> Preparation {
        Preparation {
            encoding: None,
            asked: Asked::default(),
            recognise,
        }
    }

    /// What an input that begins with `head` needs: `None` if that cannot be told yet.
    pub fn is_needed(&self, head: &[u8]) -> Option<bool> {
        if compressed::is_compressed(head) || self.encoding(head).is_some() {
            return Some(true);
        }
        match (self.recognise)(head, &self.asked) {
            Verdict::No => Some(false),
            Verdict::More => None,
            Verdict::Yes(_) => Some(true),
        }
    }

    fn encoding(&self, head: &[u8]) -> Option<Encoding> {
        self.encoding
            .filter(|encoding| *encoding != Encoding::Utf8)
            .or_else(|| Encoding::marked(head).filter(|_| self.encoding.is_none()))
    }

    /// `input`, which is unpacked already, as lines of UTF-8. Says whether anything was done to it.
    pub fn apply(&self, input: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, bool)> {
        let (mark, input) = peek(input, |head| head.len() >= MARK_BYTES)?;
        let encoding = self.encoding(&mark);
        let input: Box<dyn Read + Send> = match encoding {
            Some(encoding) => Box::new(Decoded::new(input, encoding)),
            None => Box::new(input),
        };
        let mut document = None;
        let (_, input) = peek(input, |head| {
            match (self.recognise)(head, &self.asked) {
                Verdict::More => return head.len() >= HEAD_BYTES_MAX,
                Verdict::No => {}
                Verdict::Yes(found) => document = Some(found),
            }
            true
        })?;
        Ok(match document {
            Some(document) => (Box::new(Elements::new(input, document)), true),
            None => (Box::new(input), encoding.is_some()),
        })
    }
}

/// So many bytes hold a byte order mark.
const MARK_BYTES: usize = 4;

type Peeked = io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// Reads from `input` until `is_enough`, to its end or to an error; gives what was read, and the whole input.
fn peek(
    mut input: Box<dyn Read + Send>,
    mut is_enough: impl FnMut(&[u8]) -> bool,
) -> io::Result<(Vec<u8>, Peeked)> {
    let mut head = Vec::new();
    loop {
        let held = head.len();
        head.resize(held + 4096, 0);
        let count = loop {
            match input.read(&mut head[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        head.truncate(held + *count.as_ref().unwrap_or(&0));
        let rest: Box<dyn Read + Send> = match count {
            Ok(count) if count > 0 && !is_enough(&head) => continue,
            Ok(_) => input,
            // What was read before goes out first.
            Err(error) => Box::new(Broken(Some(error))),
        };
        let whole = Cursor::new(head.clone()).chain(rest);
        return Ok((head, whole));
    }
}

/// An input that could not be read on.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// The lines of a document.
struct Elements<R> {
    inner: R,
    document: Box<dyn Document>,
    block: Vec<u8>,
    lines: Vec<u8>,
    at: usize,
    ended: bool,
    /// What is wrong with the document; said once its lines have gone out.
    problem: Option<String>,
}

impl<R: Read> Elements<R> {
    fn new(inner: R, document: Box<dyn Document>) -> Elements<R> {
        Elements {
            inner,
            document,
            block: vec![0; BLOCK_BYTES],
            lines: Vec::new(),
            at: 0,
            ended: false,
            problem: None,
        }
    }
}

impl<R: Read> Read for Elements<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.lines.len() {
            if let Some(problem) = self.problem.take() {
                return Err(io::Error::other(problem));
            }
            if self.ended {
                return Ok(0);
            }
            self.lines.clear();
            self.at = 0;
            let count = self.inner.read(&mut self.block)?;
            let done = match count {
                0 => self.document.end(&mut self.lines),
                _ => self.document.feed(&self.block[..count], &mut self.lines),
            };
            self.ended = count == 0 || done.is_err();
            self.problem = done.err();
        }
        let count = buffer.len().min(self.lines.len() - self.at);
        buffer[..count].copy_from_slice(&self.lines[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
