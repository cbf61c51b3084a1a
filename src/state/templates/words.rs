//! The words of a masked message, and what a word looks like: a value, a path, a constant.

use super::STAR;
use crate::flow::fingerprint::xxh64;

/// Words that are compared one by one; what comes after is one word more. Messages are told
/// apart at their beginning, and time and memory stay bounded.
pub const WORDS_MAX: usize = 48;

/// The words of a text, split at spaces and line ends; the last of [`WORDS_MAX`] is all the rest.
pub fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    let mut given = 0;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return None;
        }
        given += 1;
        let space = rest.iter().position(u8::is_ascii_whitespace);
        let end = match space {
            Some(end) if given < WORDS_MAX => end,
            _ => rest.len(),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// How many bytes of punctuation stand around the letters, digits and mask of a word.
pub fn around(word: &[u8]) -> (usize, usize) {
    let mark = |byte: &u8| {
        byte.is_ascii_punctuation() && !matches!(byte, b'<' | b'*' | b'>' | b'/' | b'_' | b'-')
    };
    let opens = |byte: &u8| mark(byte) && !matches!(byte, b')' | b']' | b'}');
    let before = word.iter().take_while(|byte| opens(byte)).count();
    let after = word[before..]
        .iter()
        .rev()
        .take_while(|byte| mark(byte))
        .count();
    (before, after)
}

/// A word as a number: 59 bits of its hash (XXH64, so equal in every run) and what it looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(pub u64);

/// Only a mask, or brackets around nothing: `<*>`, `(<*>)`, `()`.
const BLANK: u64 = 1;
/// Has the look of a path or a URL.
const PATH: u64 = 2;
/// Has letters, so it says something when it stays.
const SAYS: u64 = 4;
/// A name that programs choose from a short list, not a value that users bring: `LOOKING`,
/// `GET`, `Started`, `closing`.
const CONSTANT: u64 = 8;
/// A name with a value at its end: `rdd_<*>`, `web-<*>`.
const NUMBERED: u64 = 16;
/// All looks.
const LOOKS: u64 = 31;

impl Word {
    pub const STAR: Word = Word(BLANK);

    pub fn new(word: &[u8]) -> Word {
        let mut looks = 0;
        if is_blank(word) {
            looks |= BLANK;
        }
        let (before, after) = around(word);
        let core = &word[before..word.len() - after];
        if core.starts_with(b"/")
            || memchr::memmem::find(core, b"://").is_some()
            || core.get(1..3) == Some(b":\\")
        {
            looks |= PATH;
        }
        let letters = word
            .iter()
            .filter(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii())
            .count();
        if letters > 0 {
            looks |= SAYS;
        }
        if is_constant(core) {
            looks |= CONSTANT;
        }
        if let Some(name) = core.strip_suffix(STAR)
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
            && name.len() > 1
        {
            looks |= NUMBERED;
        }
        Word(xxh64(word) & !LOOKS | looks)
    }

    pub fn is_blank(self) -> bool {
        self.0 & BLANK != 0
    }

    pub fn is_path(self) -> bool {
        self.0 & PATH != 0
    }

    pub fn is_numbered(self) -> bool {
        self.0 & NUMBERED != 0
    }

    pub fn says(self) -> bool {
        self.0 & SAYS != 0
    }

    pub fn is_constant(self) -> bool {
        self.0 & CONSTANT != 0
    }

    /// The word at a position, mixed so that sums of them are as good as a hash of the row.
    pub fn at(self, position: usize) -> u64 {
        let mixed = (self.0 ^ (position as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
    }
}

/// A dash or a dot between words is no value: brackets and quotes are, when they are empty.
fn is_blank(word: &[u8]) -> bool {
    let mut rest = word;
    let mut holds = false;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(STAR) {
            holds = true;
            rest = after;
        } else if first.is_ascii_punctuation() {
            holds |= matches!(first, b'(' | b'[' | b'{' | b'"' | b'\'');
            rest = after;
        } else {
            return false;
        }
    }
    holds
}

/// Capitals only (`LOOKING`, `CONTAINER_REMOTE_LAUNCH`), or an English verb form that tells what
/// happened (`Started`, `closing`).
fn is_constant(core: &[u8]) -> bool {
    let capital = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    if core.len() >= 2 && core.iter().all(capital) {
        return true;
    }
    core.len() >= 5
        && core.iter().all(u8::is_ascii_alphabetic)
        && (core.ends_with(b"ed") || core.ends_with(b"ing"))
}
