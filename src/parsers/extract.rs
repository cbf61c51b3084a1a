//! Fields that patterns find in the text of a parsed record. The first pattern that fits counts, and
//! fields of the record itself win.

use regex::bytes::CaptureLocations;

use crate::flow::extract::{Extract, From, Made};
use crate::flow::row::{Field, Kind, Row, Text, Value};
use crate::flow::wanted::{Wanted, is_metric_name};

/// The patterns of a plan, and where their fields go.
pub struct Extracts {
    list: Vec<One>,
    numbers: bool,
    all: bool,
}

struct One {
    extract: Extract,
    found: CaptureLocations,
    /// Slot of each group's field.
    slots: Vec<Option<usize>>,
}

impl Extracts {
    pub fn new(wanted: &Wanted) -> Extracts {
        let list = wanted.extracts.iter().map(|extract| One {
            found: extract.regex.capture_locations(),
            slots: extract
                .groups
                .iter()
                .map(|made| wanted.slot(&made.as_ref()?.name))
                .collect(),
            extract: extract.clone(),
        });
        Extracts {
            list: list.collect(),
            numbers: wanted.numbers,
            all: wanted.all,
        }
    }

    /// Adds what the first fitting pattern finds to the row of `record`.
    #[inline]
    pub fn apply(&mut self, record: &[u8], row: &mut Row) {
        if !self.list.is_empty() {
            self.search(record, row);
        }
    }

    fn search(&mut self, record: &[u8], row: &mut Row) {
        for one in &mut self.list {
            let text = match one.extract.from {
                From::Message => row.message,
                From::Raw => Text::record(0, record.len()),
                From::Slot(slot) => row.values[slot].text,
            };
            let bytes = row.bytes(record, text);
            if one
                .extract
                .regex
                .captures_read(&mut one.found, bytes)
                .is_none()
            {
                continue;
            }
            for group in 1..one.extract.groups.len() {
                let (Some(made), Some((start, end))) =
                    (&one.extract.groups[group], one.found.get(group))
                else {
                    continue;
                };
                let value = match text.span() {
                    Some(span) => Text::record(span.start + start, span.start + end),
                    None => {
                        let copied = row.bytes(record, text)[start..end].to_vec();
                        row.keep(&copied)
                    }
                };
                put(
                    record,
                    row,
                    made,
                    one.slots[group],
                    value,
                    self.numbers,
                    self.all,
                );
            }
            return;
        }
    }
}

fn put(
    record: &[u8],
    row: &mut Row,
    made: &Made,
    slot: Option<usize>,
    text: Text,
    numbers: bool,
    all: bool,
) {
    let kind = match made.is_number {
        true => Kind::Number,
        false => Kind::String,
    };
    let value = Value::new(kind, text);
    if let Some(slot) = slot
        && row.values[slot].kind == Kind::Missing
    {
        row.values[slot] = value;
    }
    let is_in = |fields: &[Field], row: &Row| {
        fields
            .iter()
            .any(|field| row.bytes(record, field.name) == made.name)
    };
    if all && !is_in(&row.fields, row) {
        let name = row.keep(&made.name);
        row.add_field(Field { name, value });
        row.made += 1;
    }
    if numbers && slot.is_none() && is_metric_name(&made.name) && !is_in(&row.numbers, row) {
        let name = row.keep(&made.name);
        row.add_number(Field { name, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::facts::Facts;
    use crate::flow::time::Time;
    use crate::parsers::detect::Parsers;

    /// What a pattern finds in a record, as `name=value` words.
    fn found(pattern: &str, record: &str) -> String {
        let extract = Extract::from_pattern(pattern, From::Message).unwrap();
        shown(vec![extract], record)
    }

    fn shown(extracts: Vec<Extract>, record: &str) -> String {
        let names: Vec<Vec<u8>> = extracts
            .iter()
            .flat_map(|extract| extract.groups.iter().flatten())
            .map(|made| made.name.clone())
            .collect();
        let wanted = Wanted {
            message: true,
            all: true,
            extracts,
            ..Wanted::default()
        };
        let mut row = Row::new(0);
        let mut parsers = Parsers::new(&wanted);
        parsers.set_facts(&Facts {
            zone: jiff::tz::TimeZone::UTC,
            anchor: Time(0),
            format: None,
            csv: None,
        });
        parsers.parse(record.as_bytes(), &mut row);
        let words: Vec<String> = row
            .fields
            .iter()
            .filter(|field| {
                names
                    .iter()
                    .any(|name| name == row.bytes(record.as_bytes(), field.name))
            })
            .map(|field| {
                let text =
                    |text| String::from_utf8_lossy(row.bytes(record.as_bytes(), text)).into_owned();
                format!("{}={}", text(field.name), text(field.value.text))
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn fields_take_what_stands_between_the_text() {
        for (pattern, record, want) in [
            (
                "Failed password for {user} from {ip:ip} port {port:int}",
                "ERROR Failed password for bob from 10.0.0.7 port 22 ssh2",
                "user=bob ip=10.0.0.7 port=22",
            ),
            (
                "took {took:duration}",
                "INFO job a took 1m12.5s in all",
                "took=1m12.5s",
            ),
            (
                "read {bytes:size}",
                "INFO read 3.5 MiB of data",
                "bytes=3.5 MiB",
            ),
            (
                "started {} by {user} {rest}",
                "INFO started x by bob a b c",
                "user=bob rest=a b c",
            ),
            ("load {load:float}", "INFO load -1.5e3 now", "load=-1.5e3"),
            ("from {ip:ip}", "INFO from fe80::1 to", "ip=fe80::1"),
            ("job {job:word} done", "INFO job a.b-c done", "job=a.b-c"),
            ("{{{x}}}", "INFO a {b} c", "x=b"),
            ("user {user}!", "INFO user bob left", ""),
            ("(a+ {x:word}", "INFO (a+ b", "x=b"),
            // The record's own field wins.
            ("id {id:int}", "{\"msg\":\"id 7\",\"id\":9}", "id=9"),
            // From a message that had to be decoded.
            ("id {id:int}", "{\"msg\":\"\\u0069d 7\"}", "id=7"),
        ] {
            assert_eq!(found(pattern, record), want, "{pattern} on {record}");
        }
    }

    #[test]
    fn the_first_pattern_that_fits_counts() {
        let one = Extract::from_pattern("a {x:int}", From::Message).unwrap();
        let two = Extract::from_regex(r"a (?<y>\S+)", From::Raw).unwrap();
        assert_eq!(shown(vec![one.clone(), two.clone()], "INFO a 1"), "x=1");
        assert_eq!(shown(vec![one, two], "INFO a b"), "y=b");
    }

    #[test]
    fn mistakes_are_named() {
        for (pattern, says) in [
            ("no field", "makes no field"),
            ("{a}{b}", "nothing between"),
            ("{a:number}", "none of int"),
            ("{a b}", "a name is made of"),
            ("{a} {a}", "twice"),
            ("{a", "nothing closes"),
            ("a} {b}", "closes nothing"),
        ] {
            let error = Extract::from_pattern(pattern, From::Message).unwrap_err();
            assert!(error.contains(says), "{pattern}: {error}");
        }
        let error = Extract::from_regex("(", From::Message).unwrap_err();
        assert!(error.contains("unclosed group"), "{error}");
        assert!(
            Extract::from_regex("a", From::Message)
                .unwrap_err()
                .contains("no field")
        );
    }
}
