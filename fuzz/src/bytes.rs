//! Bytes alone: framing, masking, escaping, times and units, decompression.

use std::io::{Read, Write};

use logweir::config::syntax;
use logweir::flow::document::{Asked, Columns};
use logweir::flow::fingerprint::Fingerprint;
use logweir::flow::output::json_string;
use logweir::flow::terminal;
use logweir::flow::time::Time;
use logweir::framing::Multiline;
use logweir::framing::cut::cut;
use logweir::framing::frame::{Framer, Records};
use logweir::notifiers::text::Escape;
use logweir::parsers::documents;
use logweir::parsers::time::Clock;
use logweir::rules::mask::Mask;
use logweir::sources::compressed;
use logweir::sources::encoding::Encoding;
use logweir::sources::prepared::Preparation;
use logweir::stages::fingerprint::Masker;
use logweir::state::templates::{Templates, cluster};
use logweir::units;

use super::{Choices, facts, obeyed};

/// Law 1: chunks that end where `cut` allows give the records of the whole, and every line belongs
/// to one record.
pub fn framing(data: &[u8]) {
    let mut choices = Choices(data);
    let mode = multiline(&mut choices);
    let step = 1 + choices.below(200);
    let input = choices.0;
    let mut framer = Framer::new(mode.clone());
    let whole = shown(&mut framer, input, 0);
    let lines: usize = whole.iter().map(|record| record.2 as usize).sum();
    let feeds = input.iter().filter(|&&byte| byte == b'\n').count();
    let unended = input.last().is_some_and(|&last| last != b'\n');
    assert_eq!(lines, feeds + usize::from(unended), "lines in records");

    let mut cut_up = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < input.len() {
        end = (end + step).min(input.len());
        let chunk = &input[start..end];
        let at = if end == input.len() {
            chunk.len()
        } else {
            match cut(&mode, chunk) {
                Some(at) => at,
                None => continue,
            }
        };
        assert!(at > 0 && at <= chunk.len(), "a cut at {at}");
        cut_up.extend(shown(&mut framer, &chunk[..at], start));
        start += at;
    }
    assert_eq!(cut_up, whole, "cut every {step} bytes");
}

pub(super) fn multiline(choices: &mut Choices<'_>) -> Multiline {
    match choices.below(4) {
        0 | 1 => Multiline::Auto,
        2 => Multiline::Off,
        _ => Multiline::Pattern(regex::bytes::Regex::new("^[A-Z0-9]").expect("a pattern")),
    }
}

/// Payload, places of the lines in the input, and how many lines each record has.
fn shown(framer: &mut Framer, chunk: &[u8], at: usize) -> Vec<(Vec<u8>, Vec<usize>, u32)> {
    let mut records = Records::default();
    framer.frame(chunk, &mut records);
    let record = |record| {
        let lines = records.lines_of(record).iter();
        let places = lines.flat_map(|lines| {
            assert!(!lines.of(chunk).is_empty(), "a record without bytes");
            [at + lines.start as usize, at + lines.end as usize]
        });
        let payload = records.payload(chunk, record).to_vec();
        (payload, places.collect(), record.line_count)
    };
    records.all().iter().map(record).collect()
}

/// Masking is a pure function that leaves nothing more to mask; templates are a function of the set
/// of messages, cover each of them, and secrets once masked stay so.
pub fn templates(data: &[u8]) {
    let mut masker = Masker::new();
    let mut masked: Vec<(Fingerprint, Vec<u8>)> = Vec::new();
    for message in data.split(|&byte| byte == 0).take(200) {
        let (text, fingerprint) = masker.mask(message);
        let text = text.to_vec();
        assert_eq!(fingerprint, Fingerprint::of_masked(&text));
        assert_eq!(Masker::new().mask(message), (&text[..], fingerprint));
        masked.push((fingerprint, text));
    }
    let texts = |(fingerprint, text): &'_ (Fingerprint, Vec<u8>)| (*fingerprint, text.clone());
    let texts: Vec<_> = masked.iter().map(texts).collect();
    let of = |list: &mut dyn Iterator<Item = &(Fingerprint, Vec<u8>)>| -> Templates {
        cluster(list.map(|(fingerprint, text)| (*fingerprint, &text[..])))
    };
    let templates = of(&mut texts.iter());
    let other = of(&mut texts.iter().rev());
    assert!(templates.iter().eq(other.iter()), "the order shows");
    for (fingerprint, text) in &masked {
        let own = templates.template(*fingerprint).expect("it was in the set");
        assert!(own.members.contains(fingerprint));
        assert!(
            covers(&own.text, text),
            "\"{}\" is not of \"{}\"",
            own.text.escape_ascii(),
            text.escape_ascii()
        );
        assert!(
            templates.cover(text).is_some(),
            "\"{}\"",
            text.escape_ascii()
        );
    }
    let written = templates.iter().map(|template| &template.text[..]);
    let _ = Templates::of_texts(written);

    let text = String::from_utf8_lossy(data);
    let mask = Mask::known();
    let once = mask.line(&text);
    let _ = mask.line(&once);
}

/// Whether each word of the template that does not vary is that word of the message. Words beyond the
/// 47th are one word, which only the library can tell.
fn covers(template: &[u8], message: &[u8]) -> bool {
    let words = |text: &'_ [u8]| -> Vec<Vec<u8>> {
        let words = text.split(u8::is_ascii_whitespace);
        words
            .filter(|word| !word.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let (template, message) = (words(template), words(message));
    if template.len() > 47 || message.len() > 47 {
        return true;
    }
    let same = |(word, own): (&Vec<u8>, &Vec<u8>)| {
        word == own || memchr::memmem::find(word, b"<*>").is_some()
    };
    template.len() == message.len() && template.iter().zip(&message).all(same)
}

/// What is shown on a terminal holds nothing that it obeys; JSON reads back as what was written.
pub fn escaping(data: &[u8]) {
    let lossy = String::from_utf8_lossy(data);
    let mut shown = Vec::new();
    terminal::escape(data, &mut shown);
    let shown = String::from_utf8(shown).expect("escaped text is UTF-8");
    assert_eq!(obeyed(&shown), None, "{shown:?}");

    let mut json = Vec::new();
    json_string(&mut json, data);
    let read: String = serde_json::from_slice(&json).expect("a JSON string");
    assert_eq!(read, lossy);
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    let mut shown = Vec::new();
    terminal::escape_json(&json, &mut shown);
    let shown = String::from_utf8(shown).expect("escaped JSON is UTF-8");
    assert_eq!(obeyed(&shown), None, "{shown:?}");
    assert!(!shown.contains('\n'));
    assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), lossy);

    for escape in [Escape::None, Escape::Line, Escape::Slack] {
        let mut text = String::new();
        escape.put(&lossy, &mut text);
        match escape {
            Escape::None => assert_eq!(text, lossy),
            _ => assert!(obeyed(&text).is_none() && !text.contains(['\n', '\r'])),
        }
        if escape == Escape::Slack {
            assert!(!text.contains(['<', '>']));
        }
    }
}

/// No text is too odd for a time or a quantity, and a clock's memory does not show (law 5).
pub fn times(data: &[u8]) {
    let mut choices = Choices(data);
    let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"];
    let zone = *choices.of(&zones);
    let mut facts = facts();
    facts.zone = syntax::zone(zone).expect("a zone");
    let mut used = Clock::new(&facts);
    for text in choices.0.split(|&byte| byte == b'\n').take(100) {
        let mut fresh = Clock::new(&facts);
        assert_eq!(used.field(text), fresh.field(text), "{zone}: {text:?}");
        assert_eq!(used.reading(text), Clock::new(&facts).reading(text));
        let head = used.head(text);
        assert_eq!(head, Clock::new(&facts).head(text), "{zone}: {text:?}");
        if let Some((time, length)) = head {
            assert!(length <= text.len());
            let _ = time.to_string();
        }
        if let Some(number) = units::number(text) {
            let spelt = std::str::from_utf8(text).expect("a number is ASCII");
            let want: f64 = spelt.parse().expect("a number is one for the library");
            assert!(
                number == want || number.is_nan() && want.is_nan(),
                "{spelt}"
            );
        }
        if let Some(quantity) = units::Quantity::parse(text) {
            assert!(!quantity.value.is_nan());
        }
        let _ = units::scaled_integer(text, 9);
        if let Ok(text) = std::str::from_utf8(text) {
            let _ = units::byte_size(text);
            let _ = units::duration_nanoseconds(text);
            let _ = syntax::rate(text);
            let _ = syntax::zone(text);
            let _ = syntax::format(text);
        }
    }
    if let Some(bytes) = data.first_chunk::<8>() {
        let _ = Time(i64::from_le_bytes(*bytes)).to_string();
    }
}

/// Most bytes that one input of this target may become; the program's own limit is 256 MiB.
const DECODED_MAX: u64 = 16 << 20;

/// Documents and other encodings: the pieces that an input comes in change nothing, and every line of an
/// element is one line. The first byte says whether a path is asked for.
pub fn documents(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else {
        return;
    };
    let each = (first & 1 == 1).then_some("a[].b[]");
    let read = |step: usize| {
        let preparation = Preparation {
            encoding: Encoding::named(if first & 2 == 2 {
                "windows-1252"
            } else {
                "utf-8"
            })
            .filter(|_| first & 4 == 4),
            asked: Asked {
                each: each.map(Into::into),
                columns: if first & 8 == 8 {
                    Columns::Always
                } else {
                    Columns::IfKnown
                },
            },
            recognise: documents::recognise,
        };
        let input = Steps {
            bytes: bytes.to_vec(),
            at: 0,
            step,
        };
        let mut out = Vec::new();
        let problem = match preparation.apply(Box::new(input)) {
            Ok((mut text, _)) => text.read_to_end(&mut out).err(),
            Err(error) => Some(error),
        };
        (out, problem.map(|error| error.to_string()))
    };
    let whole = read(usize::MAX);
    assert_eq!(whole, read(1 + usize::from(first >> 3)));
}

/// Gives at most so many bytes a read.
struct Steps {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Steps {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(self.step).min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Damaged compressed input ends with an error, whole input gives back what was put in.
pub fn compressed(data: &[u8]) {
    let input = std::io::Cursor::new(data.to_vec());
    if let Ok((reader, _)) = compressed::detect(Box::new(input), "x") {
        let _ = std::io::copy(&mut reader.take(DECODED_MAX), &mut std::io::sink());
    }
    let (left, right) = data.split_at(data.len() / 2);
    let gzip = |bytes: &[u8]| -> Vec<u8> {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    };
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("a vector takes all");
    for packed in [
        [gzip(left), gzip(right)].concat(),
        [zst(left), zst(right)].concat(),
    ] {
        let input = Box::new(std::io::Cursor::new(packed));
        let (mut reader, is_compressed) = compressed::detect(input, "x").expect("a whole input");
        let mut out = Vec::new();
        reader.read_to_end(&mut out).expect("a whole input");
        assert!(is_compressed && out == data);
    }
}
