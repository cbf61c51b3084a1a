//! The bytes of one read, in a buffer that goes round between the reader and the fold.

use std::ops::Deref;

/// A buffer of which the first `length` bytes are valid. Keeping the buffer at its full length
/// spares clearing it again for every read.
#[derive(Debug, Default)]
pub struct Chunk {
    buffer: Vec<u8>,
    length: usize,
}

impl Chunk {
    /// The first `length` bytes of `buffer`.
    pub fn new(buffer: Vec<u8>, length: usize) -> Chunk {
        assert!(length <= buffer.len(), "a chunk holds at most its buffer");
        Chunk { buffer, length }
    }

    /// What this chunk costs in memory, in bytes.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The buffer, to be filled again.
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}
