//! Reads gzip and zstd as they are, recognised by their first bytes, never by their name.

use std::io::{self, Read};

/// A compressed input may become this many times larger …
const RATIO_MAX: u64 = 500;
/// … once it has grown past this size; small inputs may be as repetitive as they like.
const UNCHECKED_BYTES: u64 = 256 << 20;

/// So many bytes tell what an input is.
pub const MAGIC_BYTES: usize = 4;

/// Whether `head`, the start of an input, is gzip or zstd.
pub fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b, 8]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// Looks at the first bytes of `input` and decompresses what needs it. Says whether it did.
pub fn detect(
    mut input: Box<dyn Read + Send>,
    name: &str,
) -> io::Result<(Box<dyn Read + Send>, bool)> {
    let mut magic = [0; MAGIC_BYTES];
    let mut length = 0;
    while length < magic.len() {
        match input.read(&mut magic[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let whole = io::Cursor::new(magic[..length].to_vec()).chain(input);
    let consumed = Counted {
        inner: whole,
        bytes: std::sync::Arc::default(),
    };
    let bytes_in = std::sync::Arc::clone(&consumed.bytes);
    let checked = |decoder: Box<dyn Read + Send>| Checked {
        decoder,
        bytes_in,
        bytes_out: 0,
        name: name.to_owned(),
    };
    Ok(match magic {
        [0x1f, 0x8b, 8, _] => (
            Box::new(checked(Box::new(flate2::read::MultiGzDecoder::new(
                consumed,
            )))),
            true,
        ),
        [0x28, 0xb5, 0x2f, 0xfd] => (
            Box::new(checked(Box::new(zstd::stream::read::Decoder::new(
                consumed,
            )?))),
            true,
        ),
        _ => (Box::new(consumed.inner), false),
    })
}

/// Counts the compressed bytes.
struct Counted<R> {
    inner: R,
    bytes: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes
            .fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(count)
    }
}

/// Stops a decompression bomb and says what was wrong with a broken stream.
struct Checked {
    decoder: Box<dyn Read + Send>,
    bytes_in: std::sync::Arc<std::sync::atomic::AtomicU64>,
    bytes_out: u64,
    name: String,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return error;
            }
            let what = if error.kind() == io::ErrorKind::UnexpectedEof {
                "the compressed data ends too early".to_owned()
            } else {
                error.to_string()
            };
            io::Error::new(
                error.kind(),
                format!("broken after {} decompressed bytes: {what}", self.bytes_out),
            )
        })?;
        self.bytes_out += count as u64;
        let bytes_in = self.bytes_in.load(std::sync::atomic::Ordering::Relaxed);
        if self.bytes_out > UNCHECKED_BYTES && self.bytes_out / RATIO_MAX > bytes_in {
            return Err(io::Error::other(format!(
                "{bytes_in} compressed bytes grew to more than {RATIO_MAX} times their size, like a decompression bomb; decompress {} yourself if it is not",
                self.name
            )));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: Vec<u8>) -> (io::Result<usize>, Vec<u8>, bool) {
        let (mut reader, compressed) = detect(Box::new(io::Cursor::new(bytes)), "x").unwrap();
        let mut out = Vec::new();
        (reader.read_to_end(&mut out), out, compressed)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn reads_all_members_of_a_gzip_file() {
        let two = [gzip(b"a\n"), gzip(b"b\n")].concat();
        let (result, out, compressed) = read(two);
        assert!(result.is_ok() && compressed);
        assert_eq!(out, b"a\nb\n");
    }

    #[test]
    fn reads_zstd_and_plain_and_short_inputs() {
        assert_eq!(
            read(zstd::encode_all(&b"line\n"[..], 1).unwrap()).1,
            b"line\n"
        );
        assert_eq!(read(b"x".to_vec()).1, b"x");
        assert!(!read(b"plain text\n".to_vec()).2);
    }

    #[test]
    fn keeps_what_a_truncated_gzip_file_still_holds_and_says_so() {
        let mut text = Vec::new();
        for number in 0..20_000u32 {
            writeln!(
                text,
                "line {} {}",
                number,
                number.wrapping_mul(2_654_435_761)
            )
            .unwrap();
        }
        let mut cut = gzip(&text);
        cut.truncate(cut.len() / 2);
        let (mut reader, _) = detect(Box::new(io::Cursor::new(cut)), "x").unwrap();
        let mut out = Vec::new();
        let mut buffer = [0; 4096];
        let error = loop {
            match reader.read(&mut buffer) {
                Ok(0) => panic!("a truncated file must not look whole"),
                Ok(count) => out.extend_from_slice(&buffer[..count]),
                Err(error) => break error.to_string(),
            }
        };
        assert!(out.len() > 1000 && text.starts_with(&out));
        assert!(error.contains("ends too early"), "{error}");
    }

    #[test]
    fn stops_a_bomb() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0; 1 << 20];
        for _ in 0..300 {
            encoder.write_all(&zeros).unwrap();
        }
        let (mut reader, _) =
            detect(Box::new(io::Cursor::new(encoder.finish().unwrap())), "x").unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("bomb"), "{error}");
    }
}
