//! The moment of a record.

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01T00:00:00Z. Covers the years 1678 to 2261; a time outside is read
/// as no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    pub const SECOND: i64 = 1_000_000_000;

    /// The time `nanosecond` after `second`; `None` outside of the range.
    pub fn from_parts(second: i64, nanosecond: u32) -> Option<Time> {
        second
            .checked_mul(Time::SECOND)?
            .checked_add(i64::from(nanosecond))
            .map(Time)
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn second(self) -> i64 {
        self.0.div_euclid(Time::SECOND)
    }

    /// Rounded down.
    pub fn whole_milliseconds(self) -> Time {
        Time(self.0.saturating_sub(self.0.rem_euclid(1_000_000)))
    }
}

impl std::fmt::Display for Time {
    /// RFC 3339 in UTC with as many decimals as the time needs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let timestamp = jiff::Timestamp::from_nanosecond(i128::from(self.0))
            .expect("64-bit nanoseconds are in jiff's range");
        write!(f, "{timestamp}")
    }
}
