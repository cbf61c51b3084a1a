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
    /// Where the reader stands; behind everything once it has met an error, after which nothing says
    /// where it stands.
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
        let before = std::mem::replace(&mut self.offset, u64::MAX);
        let behind = offset - before;
        let skipped = io::copy(&mut (&mut self.reader).take(behind), &mut io::sink())?;
        let count = match skipped {
            skipped if skipped < behind => 0,
            _ => match self.reader.read(buffer) {
                // What stands behind the compressed data is no part of the text.
                Err(error) if compressed::is_trailing(&error) => 0,
                read => read?,
            },
        };
        self.offset = before + skipped + count as u64;
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::disk::Stat;

    /// A file in memory of which few bytes are read at a time, and one of so many reads fails.
    struct Failing {
        bytes: Vec<u8>,
        reads: AtomicUsize,
    }

    impl DiskFile for Failing {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            if self.reads.fetch_add(1, Ordering::Relaxed) % 23 == 22 {
                return Err(io::Error::other("a bad sector"));
            }
            let rest = &self.bytes[self.bytes.len().min(offset as usize)..];
            let count = rest.len().min(buffer.len()).min(300);
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }

        fn stat(&self) -> io::Result<Stat> {
            unreachable!()
        }

        fn append(&self, _: &[u8]) -> io::Result<usize> {
            unreachable!()
        }

        fn set_length(&self, _: u64) -> io::Result<()> {
            unreachable!()
        }

        fn sync(&self) -> io::Result<()> {
            unreachable!()
        }

        fn data_from(&self, _: u64) -> io::Result<Option<u64>> {
            unreachable!()
        }
    }

    #[test]
    fn the_text_is_the_same_over_errors_of_reading() {
        let text: String = (0..700_u32)
            .map(|n| format!("{:x}\n", n.wrapping_mul(2_654_435_761)))
            .collect();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        let file: Arc<dyn DiskFile> = Arc::new(Failing {
            bytes: packed.finish().unwrap(),
            reads: AtomicUsize::new(0),
        });
        // Opened anew after every read, as where descriptors are few: all before it is skipped then.
        let open = || loop {
            if let Ok(decoded) = Decoded::open(&file, "a.gz") {
                break decoded.unwrap();
            }
        };
        let mut decoded = open();
        let mut read = Vec::new();
        let mut errors = 0;
        let mut buffer = [0; 97];
        loop {
            match decoded.read_at(&mut buffer, read.len() as u64) {
                Ok(0) => break,
                Ok(count) => {
                    read.extend_from_slice(&buffer[..count]);
                    decoded = open();
                }
                Err(_) => errors += 1,
            }
        }
        assert_eq!(String::from_utf8(read).unwrap(), text);
        assert!(errors > 0);
    }
}
