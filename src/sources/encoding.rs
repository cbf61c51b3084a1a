//! Text in other encodings than UTF-8, decoded as it is read: UTF-16 by its byte order mark, as SQL Server
//! and PowerShell write it, and what `--encoding` names. What follows sees UTF-8 alone, so offsets are
//! places in the decoded text.

use std::io::{self, Read};

/// How bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// Windows-1252, of which Latin-1 is the part that names characters.
    Windows1252,
}

/// The names that `--encoding` takes, the usual one of each encoding first.
pub const NAMES: [(&str, Encoding); 9] = [
    ("utf-8", Encoding::Utf8),
    ("utf-16le", Encoding::Utf16Le),
    ("utf-16be", Encoding::Utf16Be),
    ("windows-1252", Encoding::Windows1252),
    ("latin1", Encoding::Windows1252),
    ("utf8", Encoding::Utf8),
    ("utf-16", Encoding::Utf16Le),
    ("iso-8859-1", Encoding::Windows1252),
    ("cp1252", Encoding::Windows1252),
];

/// Bytes that a read of the encoded text asks for.
const BLOCK_BYTES: usize = 64 << 10;

impl Encoding {
    /// By name, in any case.
    pub fn named(name: &str) -> Option<Encoding> {
        NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|&(_, encoding)| encoding)
    }

    /// By the byte order mark that an input begins with, if that says anything but UTF-8.
    pub fn marked(head: &[u8]) -> Option<Encoding> {
        match head {
            // The mark of UTF-32 begins with that of UTF-16.
            [0xff, 0xfe, 0, 0, ..] => None,
            [0xff, 0xfe, ..] => Some(Encoding::Utf16Le),
            [0xfe, 0xff, ..] => Some(Encoding::Utf16Be),
            _ => None,
        }
    }
}

/// Decodes what `inner` reads. Bytes that are no text become U+FFFD.
pub struct Decoded<R> {
    inner: R,
    encoding: Encoding,
    /// Bytes of a character that is not whole yet, then room for a read.
    raw: Vec<u8>,
    held: usize,
    text: Vec<u8>,
    at: usize,
    started: bool,
    ended: bool,
}

impl<R: Read> Decoded<R> {
    pub fn new(inner: R, encoding: Encoding) -> Decoded<R> {
        Decoded {
            inner,
            encoding,
            raw: vec![0; BLOCK_BYTES],
            held: 0,
            text: Vec::new(),
            at: 0,
            started: false,
            ended: false,
        }
    }

    /// Decodes the held bytes, but for a last character that is not whole, unless they are all there is.
    fn decode(&mut self) {
        self.text.clear();
        self.at = 0;
        let raw = &self.raw[..self.held];
        let used = match self.encoding {
            Encoding::Utf8 => {
                self.text.extend_from_slice(raw);
                raw.len()
            }
            Encoding::Windows1252 => {
                raw.iter()
                    .for_each(|&byte| push(&mut self.text, windows_1252(byte)));
                raw.len()
            }
            Encoding::Utf16Le => utf_16(raw, u16::from_le_bytes, self.ended, &mut self.text),
            Encoding::Utf16Be => utf_16(raw, u16::from_be_bytes, self.ended, &mut self.text),
        };
        if !self.started && used > 0 {
            self.started = true;
            if self.text.starts_with("\u{feff}".as_bytes()) {
                self.at = "\u{feff}".len();
            }
        }
        self.raw.copy_within(used..self.held, 0);
        self.held -= used;
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            let count = self.inner.read(&mut self.raw[self.held..])?;
            self.ended = count == 0;
            self.held += count;
            self.decode();
        }
        let count = buffer.len().min(self.text.len() - self.at);
        buffer[..count].copy_from_slice(&self.text[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn push(text: &mut Vec<u8>, character: char) {
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends the characters of `raw` to `text`; returns how many bytes they took. What is not whole stays,
/// unless nothing follows.
fn utf_16(raw: &[u8], unit: fn([u8; 2]) -> u16, is_end: bool, text: &mut Vec<u8>) -> usize {
    let whole = raw.len() / 2 * 2;
    let unit_at = |at: usize| (at < whole).then(|| unit([raw[at], raw[at + 1]]));
    let mut at = 0;
    while let Some(first) = unit_at(at) {
        let is_high = (0xd800..0xdc00).contains(&first);
        match unit_at(at + 2) {
            Some(second) if is_high && (0xdc00..0xe000).contains(&second) => {
                let pair = char::decode_utf16([first, second]).next();
                push(
                    text,
                    pair.and_then(Result::ok)
                        .unwrap_or(char::REPLACEMENT_CHARACTER),
                );
                at += 4;
            }
            None if is_high && !is_end => return at,
            _ => {
                push(
                    text,
                    char::from_u32(first.into()).unwrap_or(char::REPLACEMENT_CHARACTER),
                );
                at += 2;
            }
        }
    }
    if is_end && at < raw.len() {
        push(text, char::REPLACEMENT_CHARACTER);
        return raw.len();
    }
    at
}

/// <https://encoding.spec.whatwg.org/index-windows-1252.txt>: the bytes that name another character than
/// in Latin-1.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes a read.
    struct Steps<'b>(&'b [u8], usize);

    impl Read for Steps<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn decoded(bytes: &[u8], encoding: Encoding) -> String {
        let whole = read(bytes, encoding, usize::MAX);
        for step in [1, 2, 3, 5] {
            assert_eq!(whole, read(bytes, encoding, step), "{step} bytes a read");
        }
        whole
    }

    fn read(bytes: &[u8], encoding: Encoding, step: usize) -> String {
        let mut text = String::new();
        Decoded::new(Steps(bytes, step), encoding)
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    fn utf_16_of(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn decodes_utf_16_of_both_orders() {
        let text = "\u{feff}Grüße 😀\r\nzweite Zeile\n";
        let bare = &text[3..];
        let little = utf_16_of(text, u16::to_le_bytes);
        let big = utf_16_of(text, u16::to_be_bytes);
        assert_eq!(Encoding::marked(&little), Some(Encoding::Utf16Le));
        assert_eq!(Encoding::marked(&big), Some(Encoding::Utf16Be));
        assert_eq!(decoded(&little, Encoding::Utf16Le), bare);
        assert_eq!(decoded(&big, Encoding::Utf16Be), bare);
    }

    #[test]
    fn what_is_no_text_becomes_the_replacement_character() {
        assert_eq!(decoded(b"a\0\0\xd8b\0", Encoding::Utf16Le), "a\u{fffd}b");
        assert_eq!(decoded(b"a\0\0\xdc", Encoding::Utf16Le), "a\u{fffd}");
        assert_eq!(decoded(b"a\0\0\xd8", Encoding::Utf16Le), "a\u{fffd}");
        assert_eq!(decoded(b"a\0b", Encoding::Utf16Le), "a\u{fffd}");
    }

    #[test]
    fn decodes_windows_1252() {
        let text = decoded(b"\x80uro \xe9t\xe9 \x93x\x94", Encoding::Windows1252);
        assert_eq!(text, "€uro été “x”");
    }

    #[test]
    fn an_utf_8_input_says_nothing_by_its_mark() {
        for head in [&b"\xef\xbb\xbfx"[..], b"\xff", b"", b"\xff\xfe\0\0"] {
            assert_eq!(Encoding::marked(head), None);
        }
    }
}
