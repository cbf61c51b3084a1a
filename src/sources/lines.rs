//! The lines at the two ends of a file: the first one, which may be a header, and the last ones.

use std::io;

/// Longest first line that is looked at, in bytes: a longer one is no header.
const FIRST_LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of one read, from the file's end towards its start.
const WINDOW_BYTES: usize = 64 << 10;

/// The first line with its line feed; `None` if it is too long, or is not whole. `read` reads the file's
/// first bytes.
pub fn first_line(
    read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
) -> io::Result<Option<Vec<u8>>> {
    let mut head = vec![0; FIRST_LINE_BYTES_MAX];
    let count = read(&mut head)?;
    let end = memchr::memchr(b'\n', &head[..count]);
    Ok(end.map(|end| {
        head.truncate(end + 1);
        head
    }))
}

/// Offset of the line that stands `lines` lines before the end; a torn last line counts as one. Looks back
/// no further than `reach` bytes: if that line begins before, the answer is the end. `read` fills a buffer
/// from an offset on.
pub fn last_lines(
    length: u64,
    lines: u64,
    reach: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<u64> {
    let mut window = vec![0; WINDOW_BYTES];
    let (mut end, mut left) = (length, lines);
    while end > 0 && left > 0 {
        let start = end.saturating_sub(window.len() as u64);
        let bytes = &mut window[..(end - start) as usize];
        read(bytes, start)?;
        for feed in memchr::memrchr_iter(b'\n', bytes) {
            let after = start + feed as u64 + 1;
            // The line feed at the very end closes the last line and begins none.
            if after == length {
                continue;
            }
            left -= 1;
            if left == 0 {
                return Ok(after);
            }
        }
        end = start;
        if length - end >= reach {
            return Ok(length);
        }
    }
    Ok(if left == 0 { length } else { 0 })
}
