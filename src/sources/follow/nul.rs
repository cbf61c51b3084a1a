//! NUL bytes in a followed file. Some were never written: a file that was made long in advance ends
//! in them, and a writer that keeps its offset over a truncation leaves a hole. Others belong to a
//! line and pass as they are.

use std::io;

use crate::sources::follow::handle::Handle;

/// A shorter run at the start of a line is taken for a part of the line.
const HOLE_BYTES_MIN: u64 = 4096;

/// How much is read at once to find a run's end.
const STEP_BYTES: usize = 64 << 10;

/// Where bytes stand that were just read.
pub struct Stretch {
    pub offset: u64,
    /// They follow a line feed, or nothing.
    pub starts_line: bool,
    /// The file was emptied before it was written, so a run at its start is a hole, however short.
    pub after_truncation: bool,
}

/// What was found out before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// NUL bytes up to here belong to a line.
    genuine_until: u64,
    /// There was nothing but NUL bytes up to the end of a file of this length.
    blank_at_length: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first bytes are the file's; what follows has to wait, or to be looked at from its start.
    Take(usize),
    /// All bytes up to this offset are nobody's.
    Hole(u64),
}

/// What to do with bytes that hold at least one NUL.
pub fn judge(
    handle: &mut Handle,
    new: &[u8],
    stretch: &Stretch,
    memory: &mut Memory,
) -> io::Result<Verdict> {
    let offset = stretch.offset;
    let mut from = memory
        .genuine_until
        .saturating_sub(offset)
        .min(new.len() as u64) as usize;
    loop {
        let Some(found) = memchr::memchr(0, &new[from..]) else {
            return Ok(Verdict::Take(new.len()));
        };
        let start = from + found;
        let end = new[start..]
            .iter()
            .position(|&byte| byte != 0)
            .map(|length| start + length);
        let starts_line = match start {
            0 => stretch.starts_line,
            _ => new[start - 1] == b'\n',
        };
        let is_hole = |until: u64| {
            let first = offset + start as u64;
            let is_long = until - first >= HOLE_BYTES_MIN;
            starts_line && (is_long || (stretch.after_truncation && first == 0))
        };
        match end {
            Some(end) if is_hole(offset + end as u64) => {
                return Ok(match start {
                    0 => Verdict::Hole(offset + end as u64),
                    _ => Verdict::Take(start),
                });
            }
            Some(end) => from = end,
            None if start > 0 => return Ok(Verdict::Take(start)),
            None => {
                return Ok(
                    match data_behind(handle, offset + new.len() as u64, memory)? {
                        None => Verdict::Take(0),
                        Some(until) if is_hole(until) => Verdict::Hole(until),
                        Some(until) => {
                            memory.genuine_until = until;
                            Verdict::Take(new.len())
                        }
                    },
                );
            }
        }
    }
}

/// The first byte from `offset` on that is not NUL.
fn data_behind(
    handle: &mut Handle,
    mut offset: u64,
    memory: &mut Memory,
) -> io::Result<Option<u64>> {
    let length = match handle {
        Handle::Plain(file) => file.stat()?.length,
        Handle::Decoded(_) => u64::MAX,
    };
    // A file that was made long in advance is filled from its front; looking through the whole of
    // its rest for every line would cost more than the line.
    let near = offset + STEP_BYTES as u64;
    let mut buffer = vec![0; STEP_BYTES];
    loop {
        if length == memory.blank_at_length && offset >= near {
            return Ok(None);
        }
        if let Handle::Plain(file) = handle {
            match file.data_from(offset)? {
                Some(data) => offset = offset.max(data),
                None => break,
            }
        }
        let count = handle.read_full(&mut buffer, offset)?;
        if let Some(place) = buffer[..count].iter().position(|&byte| byte != 0) {
            return Ok(Some(offset + place as u64));
        }
        offset += count as u64;
        if count < buffer.len() {
            break;
        }
    }
    memory.blank_at_length = length;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::disk::real::Real;

    fn verdict(content: &[u8], read: usize, after_truncation: bool) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, content).unwrap();
        let mut handle = Handle::Plain(Real.open(&path).unwrap());
        let stretch = Stretch {
            offset: 0,
            starts_line: true,
            after_truncation,
        };
        let mut memory = Memory::default();
        judge(&mut handle, &content[..read], &stretch, &mut memory).unwrap()
    }

    #[test]
    fn tells_what_nobody_wrote_from_what_a_line_holds() {
        let nul = vec![0; 10_000];
        let hole = [&nul, &b"line\n"[..]].concat();
        let blank = [b"line\n", &nul[..]].concat();
        let inside = [b"a\n", &nul[..], b"line\n"].concat();
        let in_line = [b"a", &nul[..], b"line\n"].concat();
        for (content, read, after_truncation, want) in [
            (&hole[..], hole.len(), false, Verdict::Hole(10_000)),
            (&hole, 5000, false, Verdict::Hole(10_000)),
            (&blank, blank.len(), false, Verdict::Take(5)),
            (&nul, 100, false, Verdict::Take(0)),
            (&inside, inside.len(), false, Verdict::Take(2)),
            (&in_line, in_line.len(), false, Verdict::Take(in_line.len())),
            (b"\0\0x\n", 4, false, Verdict::Take(4)),
            (b"\0\0x\n", 4, true, Verdict::Hole(2)),
            (b"\0\0x\n", 2, true, Verdict::Hole(2)),
            (b"\0\0x\n", 2, false, Verdict::Take(2)),
        ] {
            assert_eq!(verdict(content, read, after_truncation), want);
        }
    }
}
