//! Reads a record in layers, from the left: what a carrier put in front, then a time, a level and the
//! like, then the body; and what stands in a message that is itself a record. Every layer's fields
//! count, level and message are those of the innermost layer that has them, the time of the
//! innermost that has a date and a time of day, the format that of the body.

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Text};
use crate::flow::time::Time;
use crate::parsers::detect::Parsers;
use crate::parsers::heads::{self, Head, Sureness};
use crate::parsers::{colours, log4j, start, tails};

/// Layers that are looked into; one more costs one more reading of what is left.
pub(super) const LAYERS_MAX: usize = 4;

/// Blanks between a head and a body.
const BLANKS_MAX: usize = 8;

/// One layer of a record and what it gave, for people.
#[derive(Clone, Debug)]
pub struct Layer {
    /// A carrier's or a format's name.
    pub name: &'static str,
    pub time: Option<Time>,
    pub level: Option<Level>,
    /// Names of its fields.
    pub fields: Vec<Vec<u8>>,
}

/// What may stand in a message, by the layer around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Anything with a head or a structure: the layer says when and whence, not how serious.
    Anything,
    /// The layer states a level: only what names its own fields, or a line with a time and a level.
    Structure,
}

impl Parsers {
    /// Reads `record`, all its layers, into `row`, which is empty.
    #[inline]
    pub(super) fn read_layers(&mut self, record: &[u8], row: &mut Row) {
        if memchr::memchr(0x1b, record).is_some() {
            self.read_coloured(record, row);
        } else {
            self.read_layer(record, row, 0);
        }
    }

    /// Colour codes are removed before anything is looked at.
    #[cold]
    fn read_coloured(&mut self, record: &[u8], row: &mut Row) {
        let mut plain = std::mem::take(&mut self.uncoloured);
        plain.clear();
        colours::remove(record, &mut plain);
        let mut inner = self.row();
        self.read_layer(&plain, &mut inner, 0);
        let within = row.keep(&plain);
        row.adopt(record, &inner, &plain, within);
        self.spare.push(inner);
        self.uncoloured = plain;
    }

    #[inline]
    fn read_layer(&mut self, record: &[u8], row: &mut Row, depth: usize) {
        if depth + 1 < LAYERS_MAX
            && !(depth == 0 && self.has_header())
            && let Some(head) = heads::read(record)
            && self.read_behind(record, &head, row, depth)
        {
            return;
        }
        row.format = if depth == 0 {
            self.recognise(record, row)
        } else {
            self.recognise_inner(record, row)
        };
        if self.trail.is_some() {
            self.note(row.format.name(), record, row);
        }
        // Fast path: a message that cannot be a record is told by its first bytes.
        if depth + 1 < LAYERS_MAX
            && matches!(
                row.format,
                Format::Json | Format::Syslog | Format::Log4j | Format::Klog | Format::Logfmt
            )
            && let Some(inside) = self.inside(record, row)
            && self.read_inside(record, row, depth, inside)
        {
            return;
        }
        if row.format == Format::Log4j {
            self.read_tail(record, row);
        }
    }

    /// An object behind a message gives its fields and leaves the message.
    #[inline]
    fn read_tail(&mut self, record: &[u8], row: &mut Row) {
        let message = row.bytes(record, row.message);
        if !matches!(message, [.., b'}' | b']' | b' ']) {
            return;
        }
        let Some(within) = row.message.span() else {
            return;
        };
        let Some((text, object)) = tails::object(message) else {
            return;
        };
        let object = within.start + object.start..within.start + object.end;
        let mut inner = self.row();
        if self.read(Format::Json, &record[object.clone()], &mut inner) {
            // Its own message, level and time are parts of what it tells, not of this record.
            inner.format = row.format;
            inner.level = None;
            inner.time = None;
            self.note("tail", &record[object.clone()], &inner);
            let (level, guessed) = (row.level, row.guessed);
            let place = Text::record(object.start, object.end);
            row.adopt(record, &inner, &record[object], place);
            row.message = Text::record(within.start, within.start + text);
            (row.level, row.guessed) = (level, guessed);
        }
        self.spare.push(inner);
    }

    /// Reads what stands behind a carrier's head; `false` if it is no head after all.
    #[inline(never)]
    fn read_behind(&mut self, record: &[u8], head: &Head, row: &mut Row, depth: usize) -> bool {
        if let Some(time) = &head.time {
            row.time = self.time(&record[time.clone()]);
        }
        for (part, range) in head.parts() {
            let text = Text::record(range.start, range.end);
            if self.heads.wanted(*part as usize) {
                self.heads.put(row, *part as usize, Kind::String, text);
            }
        }
        if let Some(pairs) = &head.pairs {
            self.pairs.fill_message(record, pairs.clone(), row);
        }
        let noted = self.noted();
        self.note(head.carrier, record, row);
        let mut inner = self.row();
        let body = &record[head.len..];
        self.read_layer(body, &mut inner, depth + 1);
        let taken = head.sureness == Sureness::Sure || inner.format != Format::Plain;
        if taken {
            row.adopt(record, &inner, body, Text::record(head.len, record.len()));
        } else {
            row.reset();
            self.forget(noted);
        }
        self.spare.push(inner);
        taken
    }

    /// Writes a layer down, if that is asked for.
    fn note(&mut self, name: &'static str, record: &[u8], row: &Row) {
        let Some(trail) = &mut self.trail else {
            return;
        };
        let fields = row.fields.iter();
        trail.push(Layer {
            name,
            time: row.time,
            level: row.level,
            fields: fields
                .map(|field| row.bytes(record, field.name).to_vec())
                .collect(),
        });
    }

    /// Layers that were written down.
    fn noted(&self) -> usize {
        self.trail.as_ref().map_or(0, Vec::len)
    }

    /// Takes back what was written down since there were `noted`.
    fn forget(&mut self, noted: usize) {
        if let Some(trail) = &mut self.trail {
            trail.truncate(noted);
        }
    }

    /// What may stand in the row's message, if its first bytes are those of a record.
    #[inline]
    fn inside(&self, record: &[u8], row: &Row) -> Option<Inside> {
        let message = row.bytes(record, row.message);
        let first = *message.first().filter(|_| !row.listed)?;
        if row.message.span().is_none() && memchr::memchr(0x1b, message).is_some() {
            return Some(Inside::Structure);
        }
        let stated = row.level.is_some() && !row.guessed;
        let inside = if stated || matches!(row.format, Format::Logfmt | Format::Json) {
            Inside::Structure
        } else {
            Inside::Anything
        };
        let opens = match first {
            b'{' => message[1..]
                .iter()
                .take(BLANKS_MAX)
                .find(|byte| **byte != b' ')
                .is_some_and(|&byte| byte == b'"' || byte == b'}' || byte.is_ascii_lowercase()),
            0x1b => true,
            b' ' | b'\t' => message.iter().take(BLANKS_MAX).any(|&byte| byte == b'{'),
            _ => start::opens_inside(message),
        };
        opens.then_some(inside)
    }

    /// Reads the row's message as a record and takes it over if it is one; says whether it is.
    #[inline(never)]
    fn read_inside(&mut self, record: &[u8], row: &mut Row, depth: usize, inside: Inside) -> bool {
        let mut within = row.message;
        let mut inner = self.row();
        let mut buffer = std::mem::take(&mut self.buffers[depth]);
        buffer.clear();
        let text = match within.span() {
            Some(span) => &record[span],
            // A decoded text may bring escapes of its own.
            None => {
                colours::remove(row.bytes(record, within), &mut buffer);
                if buffer.len() != within.len() {
                    within = row.keep(&buffer);
                    row.message = within;
                }
                &buffer
            }
        };
        let noted = self.noted();
        self.read_layer(text, &mut inner, depth + 1);
        let taken = takes(&inner, inside, row.format)
            && (inside == Inside::Anything
                || row.format != Format::Log4j
                || log4j::may_hold_a_record(text));
        if taken {
            row.adopt(record, &inner, text, within);
        } else {
            self.forget(noted);
        }
        self.buffers[depth] = buffer;
        self.spare.push(inner);
        taken
    }
}

/// Whether a message is a record of its own.
fn takes(inner: &Row, inside: Inside, outer: Format) -> bool {
    let stated = inner.level.is_some() && !inner.guessed;
    match inner.format {
        Format::Json | Format::Logfmt | Format::Klog | Format::Access => true,
        Format::Log4j if inside == Inside::Structure => {
            stated && inner.time.is_some() && outer != Format::Log4j
        }
        Format::Log4j => stated || inner.time.is_some(),
        Format::Syslog => inside == Inside::Anything,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::flow::facts::Facts;
    use crate::flow::wanted::Wanted;

    const PIECES: [&str; 24] = [
        "api-1  | ",
        "[pod/a-1/b] ",
        "2024-03-01T00:00:00Z ",
        "2024-03-01 00:00:00,123 ERROR [main] a.B - ",
        "[01/Mar/2024:00:00:00 +0000] ",
        "Mar  1 00:00:00 host app[1]: ",
        "<30>Mar  1 00:00:00 host app: ",
        "{\"level\":\"warn\",\"msg\":\"",
        "\"}",
        "{\"log\":\"",
        "level=error msg=\"x\" ",
        "E0301 00:00:00.000001 1 a.go:1] ",
        "1.2.3.4 - - [01/Mar/2024:00:00:00 +0000] \"GET /a HTTP/1.1\" 500 1",
        "1.2.3.4:5 - \"GET /a HTTP/1.1\" 404",
        "GET /a 500 1.5 ms - 3",
        "INFO ",
        "WARN: ",
        "\x1b[31m",
        "Traceback (most recent call last):",
        "\n  File \"a.py\", line 3\nValueError: x",
        " {\"a\":1} []",
        " (a.b.C)",
        "text ",
        "k=v ",
    ];

    fn parsers(wanted: &Wanted) -> Parsers {
        let mut parsers = Parsers::new(wanted);
        parsers.set_facts(&Facts {
            zone: jiff::tz::TimeZone::UTC,
            anchor: Time(0),
            format: None,
            csv: None,
        });
        parsers
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// What a plan does not ask for changes neither level nor time nor format, and every text
        /// stands in the record or in what was decoded of it.
        #[test]
        fn level_and_time_do_not_depend_on_the_plan(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 1..6)
        ) {
            let record = pieces.concat();
            let record = record.as_bytes();
            let plans = [
                Wanted { all: true, message: true, time: true, level: true, ..Wanted::default() },
                Wanted { message: true, level: true, message_from: Some(Level::Fatal), ..Wanted::default() },
                Wanted::default(),
            ];
            let mut row = Row::new(0);
            let mut read = |wanted: &Wanted| {
                row.reset();
                parsers(wanted).parse(record, &mut row);
                row.bytes(record, row.message);
                for field in &row.fields {
                    row.bytes(record, field.name);
                    row.bytes(record, field.value.text);
                }
                (row.level, row.time, row.format)
            };
            let first = read(&plans[0]);
            for plan in &plans[1..] {
                prop_assert_eq!(read(plan), first, "{}", record.escape_ascii());
            }
        }
    }
}
