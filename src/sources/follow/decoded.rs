//! A compressed file as the text it holds, by offsets of the text: what became of a rotated file
//! before it was read to its end.

use std::io::{self, Read};
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::sources::compressed;

/// Reads forward; a step back starts again from the front.
pub struct Decoded {
    file: Arc<dyn DiskFile>,
    name: String,
    reader: Box<dyn Read + Send>,
    offset: u64,
}

impl Decoded {
    /// `None` if the file is not compressed, as its first bytes say.
    pub fn open(file: &Arc<dyn DiskFile>, name: &str) -> io::Result<Option<Decoded>> {
        let mut magic = [0; compressed::MAGIC_BYTES];
        let count = crate::disk::read_full(&**file, &mut magic, 0)?;
        if count < magic.len() || !compressed::is_compressed(&magic) {
            return Ok(None);
        }
        Ok(Some(Decoded {
            reader: start(file, name)?,
            file: Arc::clone(file),
            name: name.to_owned(),
            offset: 0,
        }))
    }

    /// Reads once from `offset` of the text on; 0 at its end.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.offset {
            self.reader = start(&self.file, &self.name)?;
            self.offset = 0;
        }
        let behind = offset - self.offset;
        let skipped = io::copy(&mut (&mut self.reader).take(behind), &mut io::sink())?;
        self.offset += skipped;
        if skipped < behind {
            return Ok(0);
        }
        let count = self.reader.read(buffer)?;
        self.offset += count as u64;
        Ok(count)
    }
}

fn start(file: &Arc<dyn DiskFile>, name: &str) -> io::Result<Box<dyn Read + Send>> {
    let front = Front {
        file: Arc::clone(file),
        offset: 0,
    };
    Ok(compressed::detect(Box::new(front), name)?.0)
}

/// A file from its first byte on.
struct Front {
    file: Arc<dyn DiskFile>,
    offset: u64,
}

impl Read for Front {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
