//! The way to a file's bytes, packed or not, and what markers say about them.

use std::io;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::flow::mark::{HEAD_BYTES, Marker, TAIL_BYTES};
use crate::sources::follow::decoded::Decoded;

/// The way to a file's bytes.
pub enum Handle {
    Plain(Arc<dyn DiskFile>),
    /// Compressed after it was rotated. Offsets are those of the text.
    Decoded(Box<Decoded>),
}

impl Handle {
    /// Reads once; 0 at the end.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            let result = match self {
                Handle::Plain(file) => file.read_at(buffer, offset),
                Handle::Decoded(decoded) => decoded.read_at(buffer, offset),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Fills the buffer as far as the file goes.
    pub fn read_full(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    /// Bytes of the file; `None` for a compressed one, whose text has to be read to know.
    pub fn length(&self) -> io::Result<Option<u64>> {
        match self {
            Handle::Plain(plain) => Ok(Some(plain.stat()?.length)),
            Handle::Decoded(_) => Ok(None),
        }
    }

    /// Whether the bytes that a marker is of stand in the file.
    pub fn holds(&mut self, marker: &Marker) -> io::Result<bool> {
        let mut buffer = [0; HEAD_BYTES];
        let bytes = &mut buffer[..usize::from(marker.length)];
        let count = self.read_full(bytes, marker.start())?;
        Ok(marker.is_of(&bytes[..count]))
    }

    /// The marker of the file's first bytes.
    pub fn head(&mut self) -> io::Result<Marker> {
        let mut buffer = [0; HEAD_BYTES];
        let count = self.read_full(&mut buffer, 0)?;
        Ok(Marker::of(&buffer[..count], count as u64))
    }

    /// The marker of the bytes before an offset.
    pub fn tail(&mut self, offset: u64) -> io::Result<Marker> {
        let mut buffer = [0; TAIL_BYTES];
        let start = offset.saturating_sub(TAIL_BYTES as u64);
        let bytes = &mut buffer[..(offset - start) as usize];
        let count = self.read_full(bytes, start)?;
        Ok(Marker::of(&bytes[..count], offset))
    }
}
