//! Where a record's time and level stand in it. Nothing is read twice by other rules: the place is
//! found by asking which text gives the same answer.

use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::Row;
use crate::flow::time::Time;
use crate::parsers::level::{from_number, from_word};
use crate::parsers::time::Clock;

/// A time's text, and what the text left to be known.
#[derive(Default)]
pub struct TimeOrigin {
    /// Empty if the place is not known.
    pub text: String,
    /// The field it is the value of.
    pub field: Option<String>,
    /// The text names no offset: it was read in the zone of the source.
    pub zone: Option<String>,
    /// The text names no year.
    pub yearless: bool,
}

/// How far into a record a time is looked for, in bytes.
const HEAD_BYTES: usize = 160;

/// Where the row's time stands: the value of a field, or a text near the start of the record.
pub fn time(row: &Row, record: &[u8], facts: &Facts) -> Option<TimeOrigin> {
    let time = row.time?;
    let mut clock = Clock::new(facts);
    for field in &row.fields {
        let text = row.bytes(record, field.value.text);
        if text.len() <= 64 && clock.field(text) == Some(time) {
            let name = String::from_utf8_lossy(row.bytes(record, field.name));
            return Some(TimeOrigin {
                field: Some(name.into_owned()),
                ..described(text, facts, |clock| clock.field(text))
            });
        }
    }
    (0..record.len().min(HEAD_BYTES)).find_map(|start| {
        // The letter of a klog level stands right before the time.
        let starts_word = start <= 1 || !record[start - 1].is_ascii_alphanumeric();
        if !starts_word || !record[start].is_ascii_alphanumeric() {
            return None;
        }
        let (read, len) = clock.head(&record[start..])?;
        let text = &record[start..start + len];
        (read == time).then(|| described(text, facts, |clock| Some(clock.head(text)?.0)))
    })
}

/// The time that a container's runtime wrote.
pub fn container_time(text: &[u8], facts: &Facts) -> Option<TimeOrigin> {
    Clock::new(facts).field(text)?;
    Some(described(text, facts, |clock| clock.field(text)))
}

/// Reads the text once more with another zone and another anchor: what changes the answer is what
/// the text does not say.
fn described(text: &[u8], facts: &Facts, read: impl Fn(&mut Clock) -> Option<Time>) -> TimeOrigin {
    let with = |zone: jiff::tz::TimeZone, anchor: Time| {
        read(&mut Clock::new(&Facts {
            zone,
            anchor,
            ..facts.clone()
        }))
    };
    let fixed = |hours| jiff::tz::TimeZone::fixed(jiff::tz::offset(hours));
    let zone = with(fixed(3), facts.anchor) != with(fixed(-3), facts.anchor);
    let three_years = 3 * 366 * 86_400 * Time::SECOND;
    let earlier = Time(facts.anchor.0.saturating_sub(three_years));
    TimeOrigin {
        text: String::from_utf8_lossy(text).into_owned(),
        field: None,
        zone: zone.then(|| {
            facts
                .zone
                .iana_name()
                .unwrap_or("a fixed offset")
                .to_owned()
        }),
        yearless: with(facts.zone.clone(), earlier) != with(facts.zone.clone(), facts.anchor),
    }
}

/// Where the level stands, in words.
pub fn level(level: Level, format: Format, row: &Row, record: &[u8]) -> String {
    let field = |wanted: &dyn Fn(&str) -> bool| {
        row.fields.iter().find_map(|field| {
            let name = String::from_utf8_lossy(row.bytes(record, field.name)).into_owned();
            let value = row.bytes(record, field.value.text);
            (wanted(&name) && says(value, level))
                .then(|| format!("field {name} = {}", String::from_utf8_lossy(value)))
        })
    };
    if format == Format::Access {
        let status = row
            .fields
            .iter()
            .find(|field| row.bytes(record, field.name) == b"status")
            .map(|field| row.bytes(record, field.value.text));
        if let Some(status) = status {
            return format!("status {}", String::from_utf8_lossy(status));
        }
    }
    let named = field(&|name| {
        let name = name.to_ascii_lowercase();
        ["level", "lvl", "sever"]
            .iter()
            .any(|part| name.contains(part))
    });
    if let Some(place) = named.or_else(|| field(&|_| true)) {
        return place;
    }
    let words = record.split(|byte| !byte.is_ascii_alphanumeric());
    match words
        .take(64)
        .find(|word| from_word(word) == Some(level))
        .map(String::from_utf8_lossy)
    {
        Some(word) => format!("the word \"{word}\""),
        None => format!("the head of its {} layout", format.name()),
    }
}

fn says(value: &[u8], level: Level) -> bool {
    let number = || std::str::from_utf8(value).ok()?.parse().ok();
    from_word(value).or_else(|| from_number(number()?)) == Some(level)
}
