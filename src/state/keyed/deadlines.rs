//! Moments of the calendar by which a key must have been heard of: `expect_by = "08:00"` with
//! `expect_on = ["monday:friday"]`. Pure: what day it is follows from a time that is handed in.

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::flow::time::Time;

/// Days that are looked through for the next deadline: a week has every day that can be named.
const DAYS_MAX: usize = 9;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Minutes since midnight.
    pub minute: u16,
    /// A bit for each day of the week, Monday first.
    pub days: u8,
    /// The zone of that time, by its name in the time zone database; `UTC` if it is not known.
    pub zone: String,
}

impl Deadlines {
    /// The first deadline that is later than a time.
    pub fn after(&self, time: Time) -> Option<Time> {
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        let at = Timestamp::from_nanosecond(i128::from(time.0)).ok()?;
        let mut date = at.to_zoned(zone.clone()).date();
        for _ in 0..DAYS_MAX {
            if let Some(deadline) = self.of_day(date, &zone).filter(|at| *at > time) {
                return Some(deadline);
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    /// The deadline of a day, if it has one.
    fn of_day(&self, date: civil::Date, zone: &TimeZone) -> Option<Time> {
        let day = date.weekday().to_monday_zero_offset();
        if self.days & (1 << day) == 0 {
            return None;
        }
        let (hour, minute) = ((self.minute / 60) as i8, (self.minute % 60) as i8);
        // 24:00 is the end of the day.
        let (date, hour) = match hour {
            24 => (date.checked_add(1.day()).ok()?, 0),
            hour => (date, hour),
        };
        let civil = date.at(hour, minute, 0, 0);
        let at = zone.to_ambiguous_zoned(civil).compatible().ok()?;
        i64::try_from(at.timestamp().as_nanosecond()).ok().map(Time)
    }

    /// The deadline that a key misses if it is not heard of again after `heard`. A record counts for the
    /// next deadline; after one that was missed (`owed`) only from the middle between the two on, since
    /// before it is the late one.
    pub fn missed_after(&self, heard: Time, owed: Option<Time>) -> Option<Time> {
        let next = self.after(heard)?;
        if let Some(owed) = owed.filter(|owed| *owed <= heard && self.after(*owed) == Some(next)) {
            let middle = owed.0.saturating_add((next.0 - owed.0) / 2);
            if heard.0 < middle {
                return Some(next);
            }
        }
        self.after(next)
    }

    /// Whether a time is one of the deadlines.
    pub fn is_one(&self, time: Time) -> bool {
        self.after(Time(time.0.saturating_sub(1))) == Some(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        let time: Timestamp = text.parse().unwrap();
        Time(time.as_nanosecond() as i64)
    }

    #[test]
    fn days_that_are_not_named_have_no_deadline() {
        let weekdays = Deadlines {
            minute: 8 * 60,
            days: 0b001_1111,
            zone: "UTC".to_owned(),
        };
        // 2026-11-20 is a Friday.
        let friday = at("2026-11-20T07:10:00Z");
        assert_eq!(weekdays.after(friday), Some(at("2026-11-20T08:00:00Z")));
        assert_eq!(
            weekdays.missed_after(friday, None),
            Some(at("2026-11-23T08:00:00Z"))
        );
        assert!(weekdays.is_one(at("2026-11-23T08:00:00Z")));
        assert!(!weekdays.is_one(at("2026-11-22T08:00:00Z")));
    }

    #[test]
    fn what_comes_late_does_not_count_for_the_next_day() {
        let daily = Deadlines {
            minute: 8 * 60,
            days: 0b111_1111,
            zone: "Europe/Berlin".to_owned(),
        };
        // 08:00 in Berlin is 07:00 UTC in winter.
        let owed = at("2026-11-24T07:00:00Z");
        let late = at("2026-11-24T08:00:00Z");
        assert_eq!(
            daily.missed_after(late, Some(owed)),
            Some(at("2026-11-25T07:00:00Z"))
        );
        let next = at("2026-11-25T06:00:00Z");
        assert_eq!(
            daily.missed_after(next, Some(owed)),
            Some(at("2026-11-26T07:00:00Z"))
        );
        // Summer time ends on 2026-10-25: the wall clock says 08:00 on both days.
        let before = at("2026-10-24T07:00:00Z");
        assert_eq!(daily.after(before), Some(at("2026-10-25T07:00:00Z")));
        assert_eq!(
            daily.after(at("2026-10-23T07:00:00Z")),
            Some(at("2026-10-24T06:00:00Z"))
        );
    }
}
