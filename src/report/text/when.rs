//! Times in a report: UTC, and only as much of a time as tells it from the others.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::flow::time::Time;

/// How the times of one report are written: it depends on what its first and last have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// All on one day: `18:01:47`.
    Clock,
    /// All in one year: `10-18 18:01`.
    Day,
    /// `2015-10-18`
    Date,
}

impl Short {
    pub fn new(first: Time, last: Time) -> Short {
        if day(first) == day(last) {
            Short::Clock
        } else if text(first, "%Y") == text(last, "%Y") {
            Short::Day
        } else {
            Short::Date
        }
    }

    pub fn width(self) -> usize {
        match self {
            Short::Clock => 8,
            Short::Day => 11,
            Short::Date => 10,
        }
    }

    pub fn text(self, time: Time) -> String {
        text(
            time,
            match self {
                Short::Clock => "%H:%M:%S",
                Short::Day => "%m-%d %H:%M",
                Short::Date => "%Y-%m-%d",
            },
        )
    }

    /// `last` behind `first`: what differs from it, empty if nothing does.
    pub fn after(self, first: Time, last: Time) -> String {
        let written = self.text(last);
        if written == self.text(first) {
            String::new()
        } else if self == Short::Day && day(first) == day(last) {
            text(last, "%H:%M")
        } else {
            written
        }
    }
}

/// `2015-10-18 18:01:47`
pub fn full(time: Time) -> String {
    text(time, "%Y-%m-%d %H:%M:%S")
}

pub fn clock(time: Time) -> String {
    text(time, "%H:%M:%S")
}

pub fn day(time: Time) -> i64 {
    time.second().div_euclid(86_400)
}

fn text(time: Time, layout: &str) -> String {
    Timestamp::from_nanosecond(i128::from(time.0))
        .expect("64-bit nanoseconds are in jiff's range")
        .to_zoned(TimeZone::UTC)
        .strftime(layout)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let at = |second: i64| Time(second * Time::SECOND);
        let day = 86_400;
        let same_day = Short::new(at(0), at(day - 1));
        assert_eq!(same_day.text(at(61)), "00:01:01");
        assert_eq!(same_day.after(at(61), at(61)), "");
        let same_year = Short::new(at(0), at(40 * day));
        assert_eq!(same_year.text(at(31 * day)), "02-01 00:00");
        assert_eq!(same_year.after(at(31 * day), at(31 * day + 3600)), "01:00");
        assert_eq!(same_year.after(at(31 * day), at(32 * day)), "02-02 00:00");
        assert_eq!(Short::new(at(-1), at(1)).text(Time(i64::MIN)), "1677-09-21");
    }
}
