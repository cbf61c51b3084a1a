//! Reads gzip and zstd as they are, recognised by their first bytes, never by their name.

use std::fmt;
use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;

/// A compressed input may become this many times larger …
const RATIO_MAX: u64 = 500;
/// … once it has grown past this size; small inputs may be as repetitive as they like.
const UNCHECKED_BYTES: u64 = 256 << 20;

/// So many bytes tell what an input is.
pub const MAGIC_BYTES: usize = 4;

/// Whether `head`, the start of an input, is gzip or zstd.
pub fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(&GZIP) || is_zstd(head)
}

/// The start of a member of a gzip file.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// A frame of zstd, or one to be skipped, as `pzstd` writes it first.
fn is_zstd(head: &[u8]) -> bool {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        [first, 0x2a, 0x4d, 0x18, ..] => first >> 4 == 5,
        _ => false,
    }
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
    Ok(if magic.starts_with(&GZIP) {
        (Box::new(checked(Box::new(Members::new(consumed)))), true)
    } else if is_zstd(&magic) {
        let decoder = zstd::stream::read::Decoder::new(consumed)?;
        (Box::new(checked(Box::new(decoder))), true)
    } else {
        (Box::new(consumed.inner), false)
    })
}

/// The members of a gzip file, one after the other. Zero bytes behind a member are padding; anything else
/// is left out, as `gzip` does, and is an error for which [`is_trailing`] holds once all members are read.
struct Members<R> {
    /// `None` once everything was read.
    member: Option<GzDecoder<Member<R>>>,
}

/// The start of a member that was looked at, and what follows it.
type Member<R> = io::Chain<io::Cursor<[u8; GZIP.len()]>, BufReader<R>>;

impl<R: Read> Members<R> {
    fn new(input: R) -> Members<R> {
        let mut nothing = io::Cursor::new(GZIP);
        nothing.set_position(GZIP.len() as u64);
        Members {
            member: Some(GzDecoder::new(nothing.chain(BufReader::new(input)))),
        }
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let member = self.member.take().expect("it was just there");
            let (_, input) = member.into_inner().into_inner();
            self.member = next_member(input)?;
        }
        Ok(0)
    }
}

/// The member that comes next, if there is one.
fn next_member<R: Read>(mut input: BufReader<R>) -> io::Result<Option<GzDecoder<Member<R>>>> {
    let mut head = Vec::with_capacity(GZIP.len());
    while head.len() < GZIP.len() {
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if head.is_empty() && byte == [0] => {}
            Ok(_) => head.extend(byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if head.is_empty() {
        return Ok(None);
    }
    if head != GZIP {
        let bytes = head.len() as u64 + io::copy(&mut input, &mut io::sink())?;
        return Err(io::Error::other(Trailing(bytes)));
    }
    Ok(Some(GzDecoder::new(io::Cursor::new(GZIP).chain(input))))
}

/// Bytes behind the last member that are none.
#[derive(Debug)]
struct Trailing(u64);

impl fmt::Display for Trailing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trailing(bytes) = self;
        write!(
            f,
            "{bytes} bytes behind the compressed data are no gzip and were left out"
        )
    }
}

impl std::error::Error for Trailing {}

/// Whether everything was read, and the error is only about what stands behind it.
pub fn is_trailing(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Trailing>())
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
            if error.kind() == io::ErrorKind::Interrupted || is_trailing(&error) {
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
    fn zero_bytes_behind_gzip_are_padding_and_other_bytes_are_counted() {
        let (one, two) = (gzip(b"a\n"), gzip(b"b\n"));
        for padding in [1, 2, 3, 511, 70_000] {
            let padding = vec![0; padding];
            let (result, out, _) = read([&one[..], &padding].concat());
            assert!(result.is_ok() && out == b"a\n", "{result:?}");
            let (result, out, _) = read([&one[..], &padding, &two, &padding].concat());
            assert!(result.is_ok() && out == b"a\nb\n", "{result:?}");
        }
        for (garbage, bytes) in [
            (&b"x"[..], 1),
            (b"\0\0garbage", 7),
            (b"\x1f", 1),
            (b"\x1f\x8b", 2),
        ] {
            let (result, out, _) = read([&one[..], &two, garbage].concat());
            let error = result.unwrap_err();
            assert!(is_trailing(&error), "{error}");
            assert!(
                error.to_string().starts_with(&format!("{bytes} bytes")),
                "{error}"
            );
            assert_eq!(out, b"a\nb\n");
        }
        // The start of a member that is not whole is no garbage.
        let (result, out, _) = read([&one[..], &two[..two.len() - 3]].concat());
        assert!(!is_trailing(&result.unwrap_err()));
        assert_eq!(out, b"a\nb\n");
    }

    #[test]
    fn frames_of_zstd_that_are_to_be_skipped_are() {
        let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"skip"].concat();
        let frame = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let parts = [
            &skipped[..],
            &frame("a\n"),
            &skipped,
            &frame("b\n"),
            &skipped,
        ];
        let (result, out, compressed) = read(parts.concat());
        assert!(result.is_ok() && compressed, "{result:?}");
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
