//! Lines that a container runtime wrapped: Docker's json-file driver
//! (`{"log":"text\n","stream":"stdout","time":"…"}`) and CRI (`<time> stdout F text`). Recognised
//! line by line from the bytes alone.

use std::ops::Range;

/// The runtime's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    Docker,
    Cri,
}

/// Which stream of the container wrote the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }

    fn from_name(name: &[u8]) -> Option<Stream> {
        match name {
            b"stdout" => Some(Stream::Stdout),
            b"stderr" => Some(Stream::Stderr),
            _ => None,
        }
    }
}

/// A wrapped line, taken apart. Ranges are places in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    pub wrapping: Wrapping,
    pub stream: Stream,
    pub time: Range<usize>,
    /// The text, without the line feed that ends it. If `escaped` it has to go through
    /// `unescape`.
    pub payload: Range<usize>,
    pub escaped: bool,
    /// The text is a piece of a longer line: the next line of its stream goes on.
    pub partial: bool,
}

impl Wrapped {
    /// The same, as places in a line with `bytes` more bytes before it.
    pub(super) fn behind(self, bytes: usize) -> Wrapped {
        let shift = |range: Range<usize>| range.start + bytes..range.end + bytes;
        Wrapped {
            time: shift(self.time),
            payload: shift(self.payload),
            ..self
        }
    }
}

/// Whether a line may be wrapped; `rest` are the bytes from its start on and may run past its end.
#[inline(always)]
pub fn may_be(rest: &[u8]) -> bool {
    match rest.first() {
        Some(b'{') => true,
        Some(b'0'..=b'9') => rest.get(10) == Some(&b'T'),
        _ => false,
    }
}

/// The parts of a wrapped line, given without its line feed; `None` if it is no such line.
#[inline]
pub fn recognise(text: &[u8]) -> Option<Wrapped> {
    match text.first()? {
        b'{' => docker(text),
        _ if text.get(10) == Some(&b'T') => cri(text),
        _ => None,
    }
}

/// CRI: `2019-05-07T18:57:50.904275087+00:00 stdout P text`. Tags may follow the `P` or `F` after
/// colons; an empty text may lack its space.
/// Format: <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>
fn cri(text: &[u8]) -> Option<Wrapped> {
    let end = text.iter().take(36).position(|&byte| byte == b' ')?;
    let time = &text[..end];
    let digits = |range: Range<usize>| time[range].iter().all(u8::is_ascii_digit);
    if end < 20
        || !digits(0..4)
        || time[4] != b'-'
        || !digits(5..7)
        || time[7] != b'-'
        || !digits(8..10)
        || time[13] != b':'
    {
        return None;
    }
    if !time[11..]
        .iter()
        .all(|byte| byte.is_ascii_digit() || b":.Z+-".contains(byte))
    {
        return None;
    }
    let stream = Stream::from_name(text.get(end + 1..end + 7)?)?;
    if text.get(end + 7) != Some(&b' ') {
        return None;
    }
    let tags = &text[end + 8..];
    let length = tags
        .iter()
        .position(|&byte| byte == b' ')
        .unwrap_or(tags.len());
    let partial = match &tags[..length] {
        [b'P'] | [b'P', b':', ..] => true,
        [b'F'] | [b'F', b':', ..] => false,
        _ => return None,
    };
    let start = (end + 8 + length + 1).min(text.len());
    Some(Wrapped {
        wrapping: Wrapping::Cri,
        stream,
        time: 0..end,
        payload: start..text.len(),
        escaped: false,
        partial,
    })
}

/// Docker json-file: the keys `log`, `stream` and `time` once each in any order, perhaps `attrs`,
/// and no other. A log without a line feed at its end is a piece.
fn docker(text: &[u8]) -> Option<Wrapped> {
    let mut scan = Scan { text, at: 1 };
    let (mut log, mut stream, mut time, mut attrs) = (None, None, None, false);
    loop {
        let key = scan.string()?;
        scan.byte(b':')?;
        match &text[key.range] {
            b"log" if log.is_none() => log = Some(scan.string()?),
            b"stream" if stream.is_none() => {
                stream = Some(Stream::from_name(&text[scan.string()?.range])?)
            }
            b"time" if time.is_none() => {
                let value = scan.string()?;
                if value.last_escape.is_some() {
                    return None;
                }
                time = Some(value.range);
            }
            b"attrs" if !attrs => {
                attrs = true;
                scan.object()?;
            }
            _ => return None,
        }
        scan.space();
        match scan.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    scan.space();
    if scan.at != text.len() {
        return None;
    }
    let (log, stream, time) = (log?, stream?, time?);
    let (mut payload, mut escaped, mut partial) = (log.range, false, true);
    if let Some(last) = log.last_escape {
        let ending = &text[last..payload.end];
        if ending == br"\n" || ending.eq_ignore_ascii_case(br"\u000a") {
            payload.end = last;
            partial = false;
        }
        escaped = log.first_escape < payload.end;
    }
    Some(Wrapped {
        wrapping: Wrapping::Docker,
        stream,
        time,
        payload,
        escaped,
        partial,
    })
}

struct Quoted {
    /// Between the quotes.
    range: Range<usize>,
    first_escape: usize,
    last_escape: Option<usize>,
}

/// Just enough of JSON to prove the shape of a Docker line.
struct Scan<'t> {
    text: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        self.space();
        (self.next()? == wanted).then_some(())
    }

    /// A string with proper escapes and no control characters.
    fn string(&mut self) -> Option<Quoted> {
        self.byte(b'"')?;
        let start = self.at;
        let mut first_escape = usize::MAX;
        let mut last_escape = None;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', &self.text[self.at..])?;
            if self.text[self.at] == b'"' {
                break;
            }
            first_escape = first_escape.min(self.at);
            last_escape = Some(self.at);
            match self.text.get(self.at + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                b'u' if self
                    .text
                    .get(self.at + 2..self.at + 6)?
                    .iter()
                    .all(u8::is_ascii_hexdigit) =>
                {
                    self.at += 6
                }
                _ => return None,
            }
        }
        let range = start..self.at;
        self.at += 1;
        let control = self.text[range.clone()]
            .iter()
            .fold(false, |control, &byte| control | (byte < b' '));
        (!control).then_some(Quoted {
            range,
            first_escape,
            last_escape,
        })
    }

    /// An object, without proof of what is in it but for strings and balanced braces.
    fn object(&mut self) -> Option<()> {
        self.byte(b'{')?;
        let mut depth = 1u32;
        while depth > 0 {
            match self.next()? {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b'"' => {
                    self.at -= 1;
                    self.string()?;
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// Appends the text of a JSON string (between its quotes, its escapes proven) to `out`. A lone
/// surrogate becomes U+FFFD; bytes that are no UTF-8 stay as they are.
pub(super) fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(escape) = memchr::memchr(b'\\', raw) {
        out.extend_from_slice(&raw[..escape]);
        let code = raw[escape + 1];
        raw = &raw[escape + 2..];
        match code {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let mut unit = hex(raw);
                raw = &raw[4..];
                if (0xD800..0xDC00).contains(&unit) && raw.starts_with(b"\\u") {
                    let low = hex(&raw[2..]);
                    if (0xDC00..0xE000).contains(&low) {
                        unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                        raw = &raw[6..];
                    }
                }
                let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    out.extend_from_slice(raw);
}

/// The number in the first four hexadecimal digits.
fn hex(digits: &[u8]) -> u32 {
    digits[..4].iter().fold(0, |number, &digit| {
        number << 4
            | char::from(digit)
                .to_digit(16)
                .expect("recognise proved the digits")
    })
}
