//! Access logs, syslog, logfmt and CSV against truth from outside: vectors of other projects, ground
//! truth of public logs, and crates as oracles. Every difference stands in a table with its reason.

mod access;
mod bytes;
mod csv;
mod logfmt;
mod mutated;
mod syslog;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::time::Clock;

/// The bytes of a file of the test data, which are not part of the repository.
fn data(path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("WEIR_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    let bytes = std::fs::read(root.join(path)).ok();
    if bytes.is_none() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: {path} is not there\n"),
        );
    }
    bytes
}

fn json(path: &str) -> Option<serde_json::Value> {
    data(path).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

fn json_lines(path: &str) -> Vec<serde_json::Value> {
    data(path).map_or_else(Vec::new, |bytes| {
        lines(&bytes)
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    })
}

/// The lines of a file without their LF or CRLF.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    if lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

fn clock() -> Clock {
    Clock::new(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: time("2017-12-31T00:00:00Z"),
        format: None,
        csv: None,
    })
}

fn time(text: &str) -> Time {
    Time(text.parse::<jiff::Timestamp>().unwrap().as_nanosecond() as i64)
}

fn everything() -> Wanted {
    Wanted {
        time: true,
        level: true,
        message: true,
        all: true,
        ..Wanted::default()
    }
}

/// A row with its texts copied out.
#[derive(Clone, Debug, Default, PartialEq)]
struct Read {
    time: Option<Time>,
    level: Option<Level>,
    message: String,
    fields: BTreeMap<String, String>,
    kinds: BTreeMap<String, Kind>,
}

impl Read {
    fn of(record: &[u8], row: &Row) -> Read {
        let text = |text| String::from_utf8_lossy(row.bytes(record, text)).into_owned();
        let mut read = Read {
            time: row.time,
            level: row.level,
            message: text(row.message),
            ..Read::default()
        };
        for field in &row.fields {
            // Of two fields with one name the last counts, but syslog's head comes before its pairs.
            if row.format == Format::Syslog && read.fields.contains_key(&text(field.name)) {
                continue;
            }
            read.fields.insert(text(field.name), text(field.value.text));
            read.kinds.insert(text(field.name), field.value.kind);
        }
        read
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// Compares what was read with what was expected, field by field, and counts.
#[derive(Default)]
struct Score {
    same: usize,
    differences: Vec<String>,
}

impl Score {
    fn compare(&mut self, place: &str, field: &str, read: &str, want: &str) {
        if read == want {
            self.same += 1;
        } else {
            self.differences
                .push(format!("{place} {field}: {read:?} for {want:?}"));
        }
    }

    /// Fails unless the differences are exactly those of `explained`, whose entries are a part of
    /// a difference and its reason.
    fn check(&self, name: &str, explained: &[(&str, &str)]) {
        let total = self.same + self.differences.len();
        eprintln!(
            "{name}: {} of {total} agree, {} differences",
            self.same,
            self.differences.len()
        );
        let unexplained: Vec<&String> = self
            .differences
            .iter()
            .filter(|difference| !explained.iter().any(|(part, _)| difference.contains(part)))
            .collect();
        assert!(unexplained.is_empty(), "{name}:\n{unexplained:#?}");
        for (part, reason) in explained {
            assert!(
                total == 0
                    || self
                        .differences
                        .iter()
                        .any(|difference| difference.contains(part)),
                "{name}: {part} agrees now ({reason})"
            );
        }
    }
}
