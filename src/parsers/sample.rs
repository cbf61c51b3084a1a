//! What the three formats of metric samples (Prometheus, StatsD, Influx) share: where a sample's
//! values go in a row, and when a line is theirs. Knows no syntax.

use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::row::{Field, Kind, Row, Text, Value};
use crate::flow::wanted::{Wanted, is_metric_name};

/// How sure a parser has to be that a line is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Any text may come: what could as well be a sentence (`count 5`, `retry count=5`) is refused.
    Recognise,
    /// The user said `--format`: all lines of the grammar count, also blank lines and comments.
    Forced,
}

impl Mode {
    pub fn of(facts: &Facts, own: Format) -> Mode {
        if facts.format == Some(own) {
            Mode::Forced
        } else {
            Mode::Recognise
        }
    }
}

/// Puts fields where the plan wants them.
pub(super) struct Target {
    pub wanted: Wanted,
    names: MetricNames,
    keys: Vec<Text>,
}

impl Target {
    pub fn new(wanted: &Wanted) -> Target {
        Target {
            wanted: wanted.clone(),
            names: MetricNames::default(),
            keys: Vec::new(),
        }
    }

    /// A label, tag or field of the record. Of several with one name the last one wins a slot.
    #[inline]
    pub fn field(&self, record: &[u8], row: &mut Row, name: Text, value: Value) {
        if !self.wanted.paths.is_empty()
            && let Some(slot) = self.wanted.slot(row.bytes(record, name))
        {
            row.values[slot] = value;
        }
        if self.wanted.all {
            row.add_field(Field { name, value });
        }
    }

    /// A field that the record does not name itself, such as `metric`.
    #[inline]
    pub fn named(&self, row: &mut Row, name: &'static str, value: Value) {
        if let Some(slot) = self.wanted.slot(name.as_bytes()) {
            row.values[slot] = value;
        }
        if self.wanted.all {
            let name = row.keep(name.as_bytes());
            row.add_field(Field { name, value });
        }
    }

    /// Like [`Target::field`] for a value that is a metric if its name says so.
    #[inline]
    pub fn sample(&mut self, record: &[u8], row: &mut Row, name: Text, value: Value) {
        self.field(record, row, name, value);
        if self.wanted.numbers && value.kind == Kind::Number {
            let bytes = row.bytes(record, name);
            if self.wanted.slot(bytes).is_none() && self.names.is_metric(bytes) {
                row.add_number(Field { name, value });
            }
        }
    }

    /// One more value of the sample `name`, for lines that hold several: it is a metric where the
    /// first one was, in a slot or by name.
    pub fn another(&mut self, record: &[u8], row: &mut Row, name: Text, value: Value) {
        let bytes = row.bytes(record, name);
        if self.wanted.slot(bytes).is_some() || self.wanted.numbers && self.names.is_metric(bytes) {
            row.add_number(Field { name, value });
        }
    }

    /// Forgets the keys of the record before.
    pub fn clear_keys(&mut self) {
        self.keys.clear();
    }

    /// Remembers a key for [`Target::has_twin_keys`].
    #[inline]
    pub fn key(&mut self, name: Text) {
        self.keys.push(name);
    }

    /// Whether two of the remembered keys are equal. Sorts when there are many, so that a line of
    /// a million labels does not cost a million million comparisons.
    pub fn has_twin_keys(&mut self, record: &[u8], row: &Row) -> bool {
        let bytes = |key: Text| row.bytes(record, key);
        if self.keys.len() <= 8 {
            return self.keys.iter().enumerate().any(|(at, &key)| {
                self.keys[..at]
                    .iter()
                    .any(|&other| bytes(other) == bytes(key))
            });
        }
        self.keys
            .sort_unstable_by(|&left, &right| bytes(left).cmp(bytes(right)));
        self.keys
            .windows(2)
            .any(|pair| bytes(pair[0]) == bytes(pair[1]))
    }
}

/// Answers of [`is_metric_name`] for the names that come again and again.
struct MetricNames {
    entries: Vec<(Vec<u8>, bool)>,
}

impl Default for MetricNames {
    fn default() -> MetricNames {
        // The empty name is no metric, so an unused entry is right as it stands.
        MetricNames {
            entries: vec![(Vec::new(), false); MetricNames::ENTRIES],
        }
    }
}

impl MetricNames {
    /// A scrape has some hundred names; 256 entries of at most 64 bytes are 30 KiB a mapper.
    const ENTRIES: usize = 256;

    fn is_metric(&mut self, name: &[u8]) -> bool {
        if name.len() > 64 {
            return false;
        }
        // Any spread will do: a collision costs one more look at the name.
        let mut hash = name.len() as u64;
        for part in name.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            hash = (hash ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
        let (known, answer) = &mut self.entries[(hash % MetricNames::ENTRIES as u64) as usize];
        if known != name {
            *answer = is_metric_name(name);
            known.clear();
            known.extend_from_slice(name);
        }
        *answer
    }
}

/// The first position from `at` that is no space or tab.
#[inline]
pub(super) fn skip_blanks(record: &[u8], mut at: usize) -> usize {
    while matches!(record.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// Whether the whole record is UTF-8, as the three formats demand; otherwise it is plain text.
pub(super) fn is_utf8(record: &[u8]) -> bool {
    simdutf8::basic::from_utf8(record).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::time::Time;
    use crate::parsers::time::Clock;
    use crate::parsers::{influx, prometheus, statsd};
    use std::path::Path;

    fn each_file(folder: &Path, look: &mut impl FnMut(&Path)) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for entry in entries.map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                each_file(&entry, look)
            } else {
                look(&entry)
            }
        }
    }

    /// Real logs, stack traces, test vectors and naughty strings of other formats.
    #[test]
    fn ordinary_text_is_no_sample() {
        let root = std::env::var("WEIR_SHARED_DATA")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_owned());
        let wanted = Wanted {
            time: true,
            level: true,
            message: true,
            numbers: true,
            all: true,
            ..Wanted::default()
        };
        let mut clock = Clock::new(&Facts {
            zone: jiff::tz::TimeZone::UTC,
            anchor: Time(0),
            format: None,
            csv: None,
        });
        let (mut prometheus, mut statsd, mut influx) = (
            prometheus::Parser::new(&wanted),
            statsd::Parser::new(&wanted),
            influx::Parser::new(&wanted),
        );
        let (mut lines, mut taken) = (0u64, Vec::new());
        each_file(Path::new(&root), &mut |path| {
            let name = path.strip_prefix(&root).unwrap();
            if ["prometheus", "statsd", "influx"]
                .iter()
                .any(|own| name.starts_with(own))
            {
                return;
            }
            for line in std::fs::read(path).unwrap().split(|byte| *byte == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                lines += 1;
                let mut row = Row::new(0);
                let is_taken = prometheus.parse(line, &mut clock, &mut row)
                    || statsd.parse(line, &mut clock, &mut row)
                    || influx.parse(line, &mut clock, &mut row);
                if is_taken {
                    taken.push(format!(
                        "{}: {}",
                        name.display(),
                        String::from_utf8_lossy(line)
                    ));
                }
            }
        });
        if lines == 0 {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: no shared data\n"),
            );
        }
        eprintln!(
            "{} of {lines} lines of other formats are taken for samples",
            taken.len()
        );
        assert!(taken.is_empty(), "{taken:#?}");
    }
}
