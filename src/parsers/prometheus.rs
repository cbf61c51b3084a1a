//! Prometheus text exposition and OpenMetrics, one line a record: `name{label="value"} 1 [time]`.
//!
//! Reads the union of both dialects line by line, so what only several lines show (a second TYPE,
//! a histogram whose buckets fall) is not seen. Histogram buckets are plain samples with an `le`
//! label and never a metric by name, so that a broken histogram cannot poison a table.

use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::row::{Kind, Row, Text, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::sample::{Mode, Target, is_utf8, skip_blanks};
use crate::parsers::time::Clock;
use crate::units;

/// Reads one line of exposition: [the text format] and [OpenMetrics 1.0].
///
/// The sample's name is a field with the value, `metric` is the name, every label is a field. An
/// exemplar is checked and dropped. `# HELP`, `# TYPE`, `# UNIT` and `# EOF` lines have no fields.
///
/// [the text format]: https://prometheus.io/docs/instrumenting/exposition_formats/
/// [OpenMetrics 1.0]: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
pub struct Parser {
    target: Target,
    mode: Mode,
}

/// The types of both dialects.
const TYPES: [&str; 9] = [
    "counter",
    "gauge",
    "histogram",
    "summary",
    "untyped",
    "unknown",
    "info",
    "stateset",
    "gaugehistogram",
];

impl Parser {
    /// A line is a sample if it has labels, a time of ten digits or more, or a `_` or `:` inside its
    /// name: `count 5` is a sentence.
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            target: Target::new(wanted),
            mode: Mode::Recognise,
        }
    }

    /// With `--format prometheus` bare `name value` lines, comments and blank lines count too.
    pub fn set_facts(&mut self, facts: &Facts) {
        self.mode = Mode::of(facts, Format::Prometheus);
    }

    pub fn parse(&mut self, record: &[u8], _clock: &mut Clock, row: &mut Row) -> bool {
        let start = skip_blanks(record, 0);
        let good = match record.get(start) {
            None => self.mode == Mode::Forced,
            Some(b'#') => is_comment(&record[start + 1..], self.mode),
            Some(_) => return self.sample(record, start, row),
        };
        if good {
            row.format = Format::Prometheus;
            row.message = Text::record(0, record.len());
        }
        good && is_utf8(record)
    }

    fn sample(&mut self, record: &[u8], start: usize, row: &mut Row) -> bool {
        let name_end = name_end(record, start, NameKind::Metric);
        let mut at = skip_blanks(record, name_end);
        let mut name = (name_end > start).then(|| Text::record(start, name_end));
        let has_labels = record.get(at) == Some(&b'{');
        if has_labels {
            match self.labels(record, at + 1, &mut name, Labels::Sample, row) {
                Some(end) => at = skip_blanks(record, end),
                None => return false,
            }
        } else if at == name_end {
            return false;
        }
        let Some(name) = name else { return false };
        // Fast path: behind the first word of ordinary text stands another word.
        if !matches!(
            record.get(at),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'N' | b'n' | b'I' | b'i')
        ) {
            return false;
        }
        let value_end = token_end(record, at);
        if units::number(&record[at..value_end]).is_none() {
            return false;
        }
        let value = Value::new(Kind::Number, Text::record(at, value_end));
        let Some(time) = self.after_value(record, value_end, row) else {
            return false;
        };
        let has_long_time = time.iter().filter(|byte| byte.is_ascii_digit()).count() >= 10;
        if self.mode == Mode::Recognise
            && !has_labels
            && !has_long_time
            && !is_compound(row.bytes(record, name))
        {
            return false;
        }
        // A line feed can only stand inside a label value, where both dialects forbid it.
        if memchr::memchr(b'\n', record).is_some() || !is_utf8(record) {
            return false;
        }
        row.format = Format::Prometheus;
        row.message = name;
        if self.target.wanted.time {
            row.time = read_time(time);
        }
        if may_be_metric(row.bytes(record, name)) {
            self.target.sample(record, row, name, value);
        } else {
            self.target.field(record, row, name, value);
        }
        self.target
            .named(row, "metric", Value::new(Kind::String, name));
        true
    }

    /// Checks what follows the value, a time and an exemplar; gives the time's text, empty if none.
    fn after_value<'a>(
        &mut self,
        record: &'a [u8],
        value_end: usize,
        row: &mut Row,
    ) -> Option<&'a [u8]> {
        if value_end == record.len() {
            return Some(b"");
        }
        let at = skip_blanks(record, value_end);
        if record.get(at) == Some(&b'#') {
            return self.is_exemplar(record, at, row).then_some(b"");
        }
        let end = token_end(record, at);
        let time = &record[at..end];
        if !units::number(time)?.is_finite() {
            return None;
        }
        let next = skip_blanks(record, end);
        let good = end == record.len()
            || record.get(next) == Some(&b'#') && self.is_exemplar(record, next, row);
        good.then_some(time)
    }

    /// `# {label="value"} 1 [time]` to the end of the record.
    fn is_exemplar(&mut self, record: &[u8], at: usize, row: &mut Row) -> bool {
        let open = skip_blanks(record, at + 1);
        if open == at + 1 || record.get(open) != Some(&b'{') {
            return false;
        }
        let Some(close) = self.labels(
            record,
            open + 1,
            &mut Some(Text::default()),
            Labels::Exemplar,
            row,
        ) else {
            return false;
        };
        let at = skip_blanks(record, close);
        let end = token_end(record, at);
        if at == close || units::number(&record[at..end]).is_none() {
            return false;
        }
        let time = skip_blanks(record, end);
        end == record.len() || units::number(&record[time..]).is_some_and(f64::is_finite)
    }

    /// Reads labels from after `{` to after `}`. A quoted name that no `=` follows is the metric's
    /// (`{"http.status", code="200"} 1`, Prometheus 3), if it has none yet.
    fn labels(
        &mut self,
        record: &[u8],
        mut at: usize,
        metric: &mut Option<Text>,
        of: Labels,
        row: &mut Row,
    ) -> Option<usize> {
        self.target.clear_keys();
        loop {
            at = skip_blanks(record, at);
            let key = match *record.get(at)? {
                b'}' => break,
                b'"' => {
                    let (key, end) = quoted(record, at + 1, row)?;
                    at = skip_blanks(record, end);
                    if metric.is_none() && record.get(at) != Some(&b'=') {
                        *metric = Some(key);
                        match record.get(at)? {
                            b',' => at += 1,
                            b'}' => break,
                            _ => return None,
                        }
                        continue;
                    }
                    key
                }
                _ => {
                    let end = name_end(record, at, NameKind::Label);
                    if end == at || &record[at..end] == b"__name__" {
                        return None;
                    }
                    let key = Text::record(at, end);
                    at = skip_blanks(record, end);
                    key
                }
            };
            if record.get(at) != Some(&b'=') {
                return None;
            }
            at = skip_blanks(record, at + 1);
            if record.get(at) != Some(&b'"') {
                return None;
            }
            let (value, end) = quoted(record, at + 1, row)?;
            self.target.key(key);
            if of == Labels::Sample {
                self.target
                    .field(record, row, key, Value::new(Kind::String, value));
            }
            at = skip_blanks(record, end);
            match record.get(at)? {
                b',' => at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        (!self.target.has_twin_keys(record, row)).then_some(at + 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Labels {
    Sample,
    Exemplar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NameKind {
    Label = 1,
    /// May hold colons.
    Metric = 2,
}

/// Which kinds of name may hold a byte: bit 0 labels, bit 1 metrics.
const NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => 3,
            b':' => 2,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// The end of the name that starts at `start`; `start` itself if none does.
#[inline]
fn name_end(record: &[u8], start: usize, kind: NameKind) -> usize {
    if record.get(start).is_none_or(u8::is_ascii_digit) {
        return start;
    }
    let mut end = start;
    while record
        .get(end)
        .is_some_and(|&byte| NAME_BYTES[usize::from(byte)] & kind as u8 != 0)
    {
        end += 1;
    }
    end
}

fn token_end(record: &[u8], at: usize) -> usize {
    record[at..]
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t'))
        .map_or(record.len(), |length| at + length)
}

/// The string that starts after its opening quote, and the position after the closing one. `\\`, `\"`
/// and `\n` are escapes; any other backslash stands for itself, as in OpenMetrics.
fn quoted(record: &[u8], start: usize, row: &mut Row) -> Option<(Text, usize)> {
    let length = memchr::memchr2(b'"', b'\\', &record[start..])?;
    if record[start + length] == b'"' {
        return Some((Text::record(start, start + length), start + length + 1));
    }
    let mut end = start + length;
    while record.get(end)? != &b'"' {
        end += if record[end] == b'\\' { 2 } else { 1 };
    }
    let inside = &record[start..end];
    let text = row.keep_with(|scratch| {
        let mut rest = inside;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            scratch.extend_from_slice(&rest[..at]);
            match rest[at + 1..].first() {
                Some(b'n') => scratch.push(b'\n'),
                Some(&byte @ (b'\\' | b'"')) => scratch.push(byte),
                Some(&byte) => scratch.extend_from_slice(&[b'\\', byte]),
                None => scratch.push(b'\\'),
            }
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        scratch.extend_from_slice(rest);
    });
    Some((text, end + 1))
}

/// What stands after a `#`. Only HELP, TYPE, UNIT and EOF are recognised among other text.
fn is_comment(text: &[u8], mode: Mode) -> bool {
    let start = skip_blanks(text, 0);
    let end = token_end(text, start);
    let (word, rest) = (&text[start..end], &text[skip_blanks(text, end)..]);
    let name = name_end(rest, 0, NameKind::Metric);
    let after = skip_blanks(rest, name);
    let has_name = name > 0 && (after > name || name == rest.len());
    match word {
        b"TYPE" if start > 0 => {
            has_name && TYPES.iter().any(|known| known.as_bytes() == &rest[after..])
        }
        b"UNIT" if start > 0 => has_name && after < rest.len(),
        b"HELP" if start > 0 => has_name || mode == Mode::Forced,
        b"EOF" if start > 0 && end == text.len() => true,
        _ => mode == Mode::Forced,
    }
}

/// Whether `_` or `:` joins two parts of the name: `http_requests`, not `Total:`.
fn is_compound(name: &[u8]) -> bool {
    name.len() > 2
        && name[1..name.len() - 1]
            .iter()
            .any(|byte| matches!(byte, b'_' | b':'))
}

/// Whether a series can be a metric: never cumulative buckets, creation times or constants.
fn may_be_metric(name: &[u8]) -> bool {
    !(name.ends_with(b"_bucket") || name.ends_with(b"_created") || name.ends_with(b"_info"))
}

/// The time of a sample. The text format writes whole milliseconds, OpenMetrics seconds with a
/// point or exponent; a whole number of ten digits is seconds as well, because as milliseconds it
/// would lie in the first months of 1970.
fn read_time(text: &[u8]) -> Option<Time> {
    let is_whole = !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'-');
    let is_seconds = !is_whole || text.len() == 10 && text[0] != b'0' && text[0] != b'-';
    units::scaled_integer(text, if is_seconds { 9 } else { 6 }).map(Time)
}

#[cfg(test)]
mod tests;
