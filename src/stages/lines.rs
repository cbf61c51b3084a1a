//! Kept records as JSON lines: the contract of `weir filter -o json`.
//!
//! A line is written without the two things that only the fold knows: the line number, which leads
//! it, and the template, which is put in at `template_at`.

use std::io::Write;

use base64::Engine;

use crate::flow::fingerprint::Fingerprint;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::output::json_string as string;
use crate::flow::row::{Kind, Row, Value};

/// What a JSON line says besides the row.
pub struct Described<'a> {
    pub source: &'a str,
    /// Offset of the record in its source, in bytes.
    pub offset: u64,
    pub fingerprint: Fingerprint,
    /// What was parsed.
    pub record: &'a [u8],
    /// The record's original bytes without the final line feed.
    pub raw: &'a [u8],
}

/// Appends the line from `"source"` on, with its line feed. Returns where the template belongs,
/// counted from the start of what was appended.
pub fn write(out: &mut Vec<u8>, row: &Row, described: &Described<'_>) -> usize {
    let start = out.len();
    out.extend_from_slice(b"\"source\":");
    string(out, described.source.as_bytes());
    write!(out, ",\"offset\":{},\"time\":", described.offset).expect("a vector takes everything");
    match row.time {
        Some(time) => write!(out, "\"{time}\"").expect("a vector takes everything"),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"level\":");
    match row.level {
        Some(level) => string(out, Level::name(level).as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    write!(
        out,
        ",\"format\":\"{}\",\"fingerprint\":\"{}\",\"template\":",
        row.format.name(),
        described.fingerprint
    )
    .expect("a vector takes everything");
    let template_at = out.len() - start;
    out.extend_from_slice(b",\"message\":");
    string(out, row.bytes(described.record, row.message));
    out.extend_from_slice(b",\"fields\":");
    fields(out, row, described.record);
    if row.fields_cut > 0 {
        write!(out, ",\"fields_cut\":{}", row.fields_cut).expect("a vector takes everything");
    }
    out.extend_from_slice(b",\"raw\":");
    string(out, described.raw);
    if std::str::from_utf8(described.raw).is_err() {
        write!(
            out,
            ",\"raw_base64\":\"{}\"",
            base64::engine::general_purpose::STANDARD.encode(described.raw)
        )
        .expect("a vector takes everything");
    }
    out.extend_from_slice(b"}\n");
    template_at
}

/// The record's fields as a JSON object. A JSON record is its own object, kept as it is nested.
pub fn fields(out: &mut Vec<u8>, row: &Row, record: &[u8]) {
    // Fields of a head and those that patterns made stand beside it.
    if row.format == Format::Json && !row.layered && row.made == 0 {
        // A JSON text holds line feeds only between its tokens, where a space means the same.
        let text = record
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(record)
            .trim_ascii();
        on_one_line(out, text);
        return;
    }
    out.push(b'{');
    let name = |at: usize| row.bytes(record, row.fields[at].name);
    let mut put = |at: usize| {
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        string(out, name(at));
        out.push(b':');
        value(out, row, record, row.fields[at].value);
    };
    // A later field of the same name wins, as in JSON.
    if row.fields.len() <= COMPARED_MAX {
        // Fast path: comparing the few fields of most records costs less than sorting them.
        for at in 0..row.fields.len() {
            if (at + 1..row.fields.len()).all(|later| name(later) != name(at)) {
                put(at);
            }
        }
    } else {
        let mut order: Vec<usize> = (0..row.fields.len()).collect();
        order.sort_by_key(|&at| name(at));
        let mut is_last = vec![true; order.len()];
        for pair in order.windows(2) {
            is_last[pair[0]] = name(pair[0]) != name(pair[1]);
        }
        (0..row.fields.len())
            .filter(|&at| is_last[at])
            .for_each(put);
    }
    out.push(b'}');
}

/// A JSON text holds line feeds only between its tokens, where a space means the same.
fn on_one_line(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().map(|&byte| match byte {
        b'\n' | b'\r' => b' ',
        _ => byte,
    }));
}

/// Fields of one record whose names are compared each with each.
const COMPARED_MAX: usize = 16;

fn value(out: &mut Vec<u8>, row: &Row, record: &[u8], value: Value) {
    let text = row.bytes(record, value.text);
    match value.kind {
        Kind::Missing | Kind::Null => out.extend_from_slice(b"null"),
        Kind::Composite => on_one_line(out, text),
        // Other formats write numbers and booleans in ways that JSON does not know (`1i`, `NaN`, `t`).
        Kind::Number | Kind::Bool
            if serde_json::from_slice::<serde_json::Value>(text)
                .is_ok_and(|value| !value.is_string()) =>
        {
            out.extend_from_slice(text);
        }
        Kind::Number | Kind::Bool | Kind::String => string(out, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::row::{FIELDS_MAX, Field, Text};

    /// Names were compared each with each, which took seconds for a line of 90,000 fields.
    #[test]
    fn the_last_of_a_name_wins_among_few_and_many_fields() {
        for count in [0, 1, 5, 16, 17, 500, FIELDS_MAX, FIELDS_MAX + 7] {
            let mut row = Row::new(0);
            let mut want = serde_json::Map::new();
            for number in 0..count {
                // Every third field comes again later.
                let name = format!("k{}", if number % 3 == 0 { number / 6 } else { number });
                let value = format!("v{number}");
                let (name_text, text) = (row.keep(name.as_bytes()), row.keep(value.as_bytes()));
                let value_text = Value::new(Kind::String, text);
                row.add_field(Field {
                    name: name_text,
                    value: value_text,
                });
                if number < FIELDS_MAX {
                    want.insert(name, value.into());
                }
            }
            let mut out = Vec::new();
            fields(&mut out, &row, b"");
            let text = std::str::from_utf8(&out).unwrap();
            let got: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(
                got,
                serde_json::Value::Object(want.clone()),
                "{count} fields"
            );
            assert_eq!(text.matches("\":\"").count(), want.len(), "each name once");
            assert_eq!(row.fields_cut as usize, count.saturating_sub(FIELDS_MAX));
        }
    }

    #[test]
    fn a_line_is_json_and_says_when_bytes_were_no_text() {
        let record = b"k=1 \xff";
        let mut row = Row::new(0);
        row.message = Text::record(0, record.len());
        let name = Text::record(0, 1);
        row.fields.push(Field {
            name,
            value: Value::new(Kind::Number, Text::record(2, 3)),
        });
        let mut out = b"{\"line\":1,".to_vec();
        let described = Described {
            source: "a\"b",
            offset: 7,
            fingerprint: Fingerprint(1),
            record,
            raw: record,
        };
        let at = out.len();
        let template_at = at + write(&mut out, &row, &described);
        out.splice(template_at..template_at, *b"\"t\"");
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["fields"]["k"], 1);
        assert_eq!(value["source"], "a\"b");
        assert_eq!(value["raw"], "k=1 \u{fffd}");
        assert_eq!(value["raw_base64"], "az0xIP8=");
        assert_eq!(value["template"], "t");
    }
}
