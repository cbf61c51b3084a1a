//! The grammar of heads. It is read from left to right once: an opening (time, or level, or a word
//! and a time), then words that may stand before a level, the level, then words that may stand
//! before a message. What stands between a time and a level counts as head only if a level follows.

mod bare;
mod level;
pub mod marks;
mod names;
mod opening;

use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::parsers::pairs::Parts;
use crate::parsers::start;
use crate::parsers::time::Clock;

/// How far a head may reach; a bracket with a thread's name may hold a path.
const HEAD_MAX: usize = 512;

/// A head as it was read.
pub struct Head {
    pub time: Option<Time>,
    pub level: Option<Level>,
    /// Where the message starts.
    pub message: usize,
}

/// How a level is written, which says what may stand behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `INFO `
    Word,
    /// `[INFO]`
    Bracket,
    /// `I `
    Letter,
    /// A mark behind which the message stands.
    Mark,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// The bracket before the time is still open: `[2024-03-01T00:00:00Z ERROR shop::db] …`.
    open: bool,
    /// No word behind the opening is its level.
    bare: bool,
    parts: &'a mut Parts,
}

/// The head of `record`, if it has one; its parts go to `parts`, which are empty. Where `brief` says
/// of a level, and of the place behind it, that nobody asks for more, the head ends with the record.
#[inline]
pub fn read(
    record: &[u8],
    clock: &mut Clock,
    parts: &mut Parts,
    brief: impl Fn(Level, usize) -> bool,
) -> Option<Head> {
    let mut reader = Reader {
        text: record,
        at: 0,
        open: false,
        bare: false,
        parts,
    };
    if record.first() == Some(&0x1b) {
        reader.skip_colours();
    }
    let opening = reader.opening(clock)?;
    let time = opening.time;
    let after_time = reader.at;
    let found = match opening.level {
        Some(found) => {
            // `INFO 2024-03-01 00:00:00,123 …`, `[INFO ] [2024-03-01 00:00:00] …`
            let late = match found.1 {
                Form::Mark => Some(time),
                _ => reader.time_after_level(clock),
            };
            return Some(Head {
                time: late.flatten(),
                level: Some(found.0),
                message: reader.message_after(found, brief),
            });
        }
        None if reader.opens_again() => {
            reader.skip_blanks();
            return Some(Head {
                time,
                level: None,
                message: reader.at,
            });
        }
        None if reader.bare => None,
        None => reader.usual_level().or_else(|| reader.level()),
    };
    match found {
        Some((level, form)) => Some(Head {
            time,
            level: Some(level),
            message: reader.message_after((level, form), brief),
        }),
        None => {
            reader.at = after_time;
            *reader.parts = Parts::default();
            reader.without_level();
            Some(Head {
                time,
                level: None,
                message: reader.at,
            })
        }
    }
}
impl Reader<'_> {
    /// Whether a record of its own opens behind the time: another date, an object, a klog head.
    #[inline]
    fn opens_again(&self) -> bool {
        let rest = &self.text[self.at..];
        let Some([b' ' | b'\t', rest @ ..]) = Some(rest) else {
            return false;
        };
        match rest {
            [
                b'0'..=b'9',
                _,
                _,
                _,
                b'-' | b'/',
                _,
                _,
                b'-' | b'/',
                _,
                _,
                b' ' | b'T',
                ..,
            ] => start::starts_with_time(rest).is_some(),
            [b'[', b'0'..=b'9', ..] => {
                start::starts_with_time(&rest[1..]).is_some_and(|len| len >= 16)
            }
            [b'{', b'"', ..] => true,
            [b'I' | b'W' | b'E' | b'F' | b'D', b'0'..=b'9', ..] => start::is_klog(rest),
            _ => false,
        }
    }

    #[inline]
    fn byte(&self, offset: usize) -> Option<u8> {
        self.text.get(self.at + offset).copied()
    }

    /// Where the message starts, behind a level that was just read.
    #[inline(always)]
    fn message_after(
        &mut self,
        (level, form): (Level, Form),
        brief: impl Fn(Level, usize) -> bool,
    ) -> usize {
        if brief(level, self.at) {
            return self.text.len();
        }
        self.after_level(form);
        self.at
    }

    fn skip_colours(&mut self) {
        self.at = self.text.len() - start::skip_colours(&self.text[self.at..]).len();
    }

    /// Skips blanks and the escape sequences between them; says how many blanks there were.
    #[inline]
    fn skip_blanks(&mut self) -> usize {
        let mut count = 0;
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t') => {
                    self.at += 1;
                    count += 1;
                }
                Some(0x1b) => {
                    let before = self.at;
                    self.skip_colours();
                    if self.at == before {
                        return count;
                    }
                }
                _ => return count,
            }
        }
    }

    /// Where the bracket that opens at `self.at` closes (the place of `]`), nesting counted, on
    /// this line and within the reach of a head.
    #[inline]
    fn closing(&self) -> Option<usize> {
        let limit = self.text.len().min(self.at + HEAD_MAX);
        let mut from = self.at + 1;
        let mut depth = 1;
        while let Some(found) = memchr::memchr3(b'[', b']', b'\n', self.text.get(from..limit)?) {
            let at = from + found;
            match self.text[at] {
                b'[' => depth += 1,
                b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => return None,
            }
            from = at + 1;
        }
        None
    }

    /// What a bracket group in a head is: numbers are a process, anything else a thread.
    fn bracket_part(&mut self, close: usize) {
        let from = self.at + 1;
        let inner = &self.text[from..close];
        if is_process(inner) {
            let digits = inner.iter().position(u8::is_ascii_digit).unwrap_or(0);
            let len = inner[digits..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            self.parts
                .pid
                .get_or_insert(from + digits..from + digits + len);
        } else if self.parts.thread.is_none() {
            self.parts.thread = Some(from..close);
        } else {
            self.parts.logger.get_or_insert(from..close);
        }
    }
}

/// Whether a bracket holds a process: `25`, `25-1`, `#1234`, `pid 12`, `pid 12:tid 34`.
fn is_process(inner: &[u8]) -> bool {
    if !matches!(inner.first(), Some(b'0'..=b'9' | b'p' | b'#')) {
        return false;
    }
    let inner = inner
        .strip_prefix(b"pid ")
        .or_else(|| inner.strip_prefix(b"pid: "))
        .unwrap_or(inner);
    let inner = inner.strip_prefix(b"#").unwrap_or(inner);
    let digits = inner
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    digits > 0 && matches!(&inner[digits..], [] | [b'-' | b':', ..]) && inner.len() < 40
}
