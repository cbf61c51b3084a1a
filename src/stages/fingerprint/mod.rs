//! Masks what varies in a message and hashes what is left: format `f1` of `docs/fingerprint.md`.
//!
//! A pure function of the bytes. One pass from left to right over a table of byte classes; text
//! that stays is copied in stretches, so a message of plain words costs little more than the scan.
//! The mapper threads call it on every message that may be listed.

mod names;
mod pass;
mod request;
mod stretch;
mod trace;

use crate::flow::fingerprint::Fingerprint;
use pass::Pass;

/// What stands for a masked value.
pub const MASK: &[u8] = b"<*>";

/// Only this much of a message is looked at: longer ones differ in payload, not in kind, and the
/// cost of one message stays bounded.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Masks messages, one after the other, into scratch of its own.
#[derive(Debug, Default)]
pub struct Masker {
    masked: Vec<u8>,
}

impl Masker {
    pub fn new() -> Masker {
        Masker::default()
    }

    /// The masked text of `message` and its fingerprint; the text lives until the next call.
    pub fn mask<'a>(&'a mut self, message: &[u8]) -> (&'a [u8], Fingerprint) {
        let message = &message[..message.len().min(MESSAGE_BYTES_MAX)];
        let message = message.trim_ascii();
        self.masked.clear();
        match memchr::memchr(b'\n', message) {
            Some(end) => trace::mask(message, end, &mut self.masked),
            None if request::mask(message, &mut self.masked) => {}
            None => Pass::run(message, &mut self.masked),
        }
        (&self.masked, Fingerprint::of_masked(&self.masked))
    }
}

#[cfg(test)]
mod tests;
