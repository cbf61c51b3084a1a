//! StatsD lines, `name:value|type|@rate|#tag:value`, with the tag dialects of DogStatsD, Influx,
//! Librato and SignalFx. One line a record; several metrics in one datagram are several lines.

use crate::flow::format::Format;
use crate::flow::row::{Kind, Row, Text, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::sample::{Target, is_utf8};
use crate::parsers::time::Clock;
use crate::units;

/// Reads one StatsD line: [the protocol], [DogStatsD] 1.0 to 1.3.
///
/// The name is a field with the value; `metric`, `type` (`c g ms h d s m`) and `rate` stand beside the
/// tags. Where a line holds several values (`a:1:2:3|h`) the first is the field, `values` holds the
/// list as text, and the others are in [`Row::numbers`] under the same name, wherever the first one
/// counts as a metric.
///
/// [the protocol]: https://github.com/statsd/statsd/blob/master/docs/metric_types.md
/// [DogStatsD]: https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/
pub struct Parser {
    target: Target,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tags {
    None,
    InName,
    AtEnd,
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            target: Target::new(wanted),
        }
    }

    pub fn parse(&mut self, record: &[u8], _clock: &mut Clock, row: &mut Row) -> bool {
        // Fast path: the name ends at a colon, and in other text a blank comes sooner.
        let first = record.iter().find(|&&byte| byte == b':' || byte <= b' ');
        if first != Some(&b':') {
            return false;
        }
        let Some(bar) = memchr::memchr(b'|', record) else {
            return false;
        };
        let Some(colon) = memchr::memchr(b':', &record[..bar]) else {
            return false;
        };
        if record[..colon].iter().any(|byte| *byte <= b' ')
            || memchr::memchr(b'\n', record).is_some()
            || !is_utf8(record)
        {
            return false;
        }
        let kind_end =
            bar + 1 + memchr::memchr(b'|', &record[bar + 1..]).unwrap_or(record.len() - bar - 1);
        let kind = &record[bar + 1..kind_end];
        if !matches!(kind, b"c" | b"g" | b"ms" | b"h" | b"d" | b"s" | b"m") {
            return false;
        }
        let Some((name, mut tags)) = self.name(record, colon, row) else {
            return false;
        };
        if !self.components(record, kind_end, kind, &mut tags, row) {
            return false;
        }
        row.format = Format::Statsd;
        row.message = name;
        self.target
            .named(row, "metric", Value::new(Kind::String, name));
        self.target.named(
            row,
            "type",
            Value::new(Kind::String, Text::record(bar + 1, kind_end)),
        );
        self.values(record, colon + 1..bar, kind, name, tags, row)
    }

    fn values(
        &mut self,
        record: &[u8],
        range: std::ops::Range<usize>,
        kind: &[u8],
        name: Text,
        tags: Tags,
        row: &mut Row,
    ) -> bool {
        let all = Text::record(range.start, range.end);
        if kind == b"s" {
            self.target
                .field(record, row, name, Value::new(Kind::String, all));
            return !range.is_empty();
        }
        let text = &record[range.clone()];
        let is_list = memchr::memchr(b':', text).is_some();
        if is_list && (tags == Tags::InName || !matches!(kind, b"ms" | b"h" | b"d")) {
            return false;
        }
        let mut start = range.start;
        for part in text.split(|byte| *byte == b':') {
            if units::number(part).is_none() {
                return false;
            }
            let value = Value::new(Kind::Number, Text::record(start, start + part.len()));
            if start == range.start {
                self.target.sample(record, row, name, value);
            } else {
                self.target.another(record, row, name, value);
            }
            start += part.len() + 1;
        }
        if is_list {
            self.target
                .named(row, "values", Value::new(Kind::String, all));
        }
        true
    }

    /// The name before the colon, its tags taken out: `a#k=v` (Librato), `a,k=v` (Influx), `a[k=v]b`
    /// (SignalFx). `None` if nothing is left.
    fn name(&mut self, record: &[u8], colon: usize, row: &mut Row) -> Option<(Text, Tags)> {
        let head = &record[..colon];
        if let Some(open) = memchr::memchr(b'[', head)
            && let Some(close) = memchr::memchr(b']', &head[open..]).map(|at| open + at)
        {
            self.tags(record, open + 1..close, b'=', row);
            let name = if open == 0 {
                Text::record(close + 1, colon)
            } else if close + 1 == colon {
                Text::record(0, open)
            } else {
                row.keep_with(|scratch| {
                    scratch.extend_from_slice(&head[..open]);
                    scratch.extend_from_slice(&head[close + 1..]);
                })
            };
            return (!name.is_empty()).then_some((name, Tags::InName));
        }
        match memchr::memchr2(b'#', b',', head) {
            Some(0) => None,
            Some(at) => {
                self.tags(record, at + 1..colon, b'=', row);
                Some((Text::record(0, at), Tags::InName))
            }
            None => (colon > 0).then_some((Text::record(0, colon), Tags::None)),
        }
    }

    /// What follows the type: `@rate`, `#tags`, `c:container`, `e:external`, `T` epoch seconds. The
    /// dialects do not mix: tags in the name and at the end make the line none of ours.
    fn components(
        &mut self,
        record: &[u8],
        kind_end: usize,
        kind: &[u8],
        tags: &mut Tags,
        row: &mut Row,
    ) -> bool {
        let mut start = kind_end + 1;
        while start <= record.len() {
            let end =
                start + memchr::memchr(b'|', &record[start..]).unwrap_or(record.len() - start);
            let body = Text::record((start + 1).min(end), end);
            match &record[start..end] {
                [b'@', rate @ ..] => {
                    // An unreadable rate does not cost the value: the line weighs 1.
                    let rate = units::number(rate).filter(|rate| *rate > 0.0 && *rate <= 1.0);
                    if let Some(rate) = rate {
                        // A gauge or set is not counted, so its rate weighs nothing.
                        if !matches!(kind, b"g" | b"s") {
                            row.weight = 1.0 / rate;
                        }
                        self.target
                            .named(row, "rate", Value::new(Kind::Number, body));
                    } else {
                        self.target
                            .named(row, "rate", Value::new(Kind::String, body));
                    }
                }
                [b'#', ..] if *tags == Tags::None => {
                    *tags = Tags::AtEnd;
                    self.tags(record, start + 1..end, b':', row);
                }
                [b'c', b':', _, ..] => {
                    self.target.named(
                        row,
                        "container_id",
                        Value::new(Kind::String, Text::record(start + 2, end)),
                    );
                }
                [b'e', b':', _, ..] => {
                    self.target.named(
                        row,
                        "external_data",
                        Value::new(Kind::String, Text::record(start + 2, end)),
                    );
                }
                [b'T', digits @ ..]
                    if digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() =>
                {
                    row.time = units::scaled_integer(digits, 9).map(Time);
                }
                _ => return false,
            }
            start = end + 1;
        }
        true
    }

    /// Tags `key=value` or `key:value`, between commas. A tag without a value says nothing and is left
    /// out; some clients write a `#` before each key.
    fn tags(&mut self, record: &[u8], range: std::ops::Range<usize>, separator: u8, row: &mut Row) {
        let mut start = range.start;
        for part in record[range].split(|byte| *byte == b',') {
            let hash = usize::from(part.first() == Some(&b'#'));
            if let Some(at) = memchr::memchr(separator, part)
                && at > hash
                && at + 1 < part.len()
            {
                let (key, value) = (
                    Text::record(start + hash, start + at),
                    Text::record(start + at + 1, start + part.len()),
                );
                self.target
                    .field(record, row, key, Value::new(Kind::String, value));
            }
            start += part.len() + 1;
        }
    }
}

#[cfg(test)]
mod tests;
