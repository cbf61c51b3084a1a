//! The bytes that went by last: a file is recognised by them at the offset up to which it was read.

use crate::flow::mark::TAIL_BYTES;

/// The last bytes of what went by.
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    bytes: [u8; TAIL_BYTES],
    length: usize,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent {
            bytes: [0; TAIL_BYTES],
            length: 0,
        }
    }
}

impl Recent {
    pub fn push(&mut self, new: &[u8]) {
        let new = &new[new.len().saturating_sub(TAIL_BYTES)..];
        let kept = self.length.min(TAIL_BYTES - new.len());
        self.bytes.copy_within(self.length - kept..self.length, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.length = kept + new.len();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
