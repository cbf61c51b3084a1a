//! Times that come again: `[[time_interval]]`. Alerts are muted in some and told only in others. Pure: what
//! day it is follows from a time that is handed in.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::flow::time::Time;

/// Days that are looked through for one in which an interval holds: a leap day may be eight years away.
const DAYS_MAX: usize = 366 * 9;

/// Moments that are looked through for the end of an interval; with several for each day that is years.
const STEPS_MAX: usize = 10_000;

/// A `[[time_interval]]`. It holds if every list that is not empty holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    pub name: String,
    /// From and to, in minutes since midnight; the second is not included.
    pub times: Vec<(u16, u16)>,
    /// A bit for each day of the week, Monday first; 0 is every day.
    pub weekdays: u8,
    /// From and to; negative ones count from the end of the month.
    pub days_of_month: Vec<(i8, i8)>,
    /// A bit for each month; 0 is every month.
    pub months: u16,
    pub years: Vec<(i16, i16)>,
    pub zone: TimeZone,
}

impl Default for Interval {
    /// Always.
    fn default() -> Interval {
        Interval {
            name: String::new(),
            times: Vec::new(),
            weekdays: 0,
            days_of_month: Vec::new(),
            months: 0,
            years: Vec::new(),
            zone: TimeZone::UTC,
        }
    }
}

impl Interval {
    pub fn holds(&self, time: Time) -> bool {
        let Ok(at) = Timestamp::from_nanosecond(i128::from(time.0)) else {
            return false;
        };
        let at = self.zone.to_datetime(at);
        let minute = at.hour() as u16 * 60 + at.minute() as u16;
        let mut times = self.times.iter();
        let is_in_time =
            self.times.is_empty() || times.any(|(start, end)| (*start..*end).contains(&minute));
        is_in_time && self.is_day(at.date())
    }

    fn is_day(&self, date: Date) -> bool {
        let weekday = date.weekday().to_monday_zero_offset();
        let is_weekday = self.weekdays == 0 || self.weekdays & (1 << weekday) != 0;
        let is_month = self.months == 0 || self.months & (1 << (date.month() - 1)) != 0;
        let mut years = self.years.iter();
        let is_year = self.years.is_empty()
            || years.any(|(first, last)| (*first..=*last).contains(&date.year()));
        is_weekday && is_month && is_year && self.is_day_of_month(date)
    }

    fn is_day_of_month(&self, date: Date) -> bool {
        let days = date.days_in_month();
        let from_start = |day: i8| if day < 0 { days + 1 + day } else { day };
        let mut ranges = self.days_of_month.iter();
        self.days_of_month.is_empty()
            || ranges.any(|(first, last)| {
                (from_start(*first).max(1)..=from_start(*last)).contains(&date.day())
            })
    }

    /// Whether there is a day on which it holds.
    pub fn ever_holds(&self) -> bool {
        let first = self.years.iter().map(|(first, _)| *first).min();
        let mut date = Date::constant(first.unwrap_or(2024).clamp(1970, 9990), 1, 1);
        for _ in 0..DAYS_MAX {
            if self.is_day(date) {
                return true;
            }
            date = match date.checked_add(1.day()) {
                Ok(date) => date,
                Err(_) => return false,
            };
        }
        false
    }

    /// The next moment after a time at which it may begin or end.
    fn next_border(&self, time: Time) -> Option<Time> {
        let at = Timestamp::from_nanosecond(i128::from(time.0)).ok()?;
        let date = self.zone.to_datetime(at).date();
        let times = self.times.iter().flat_map(|(start, end)| [*start, *end]);
        let borders = times.chain([1440]);
        let borders = borders.filter_map(|minute| {
            let (date, minute) = match minute {
                1440 => (date.checked_add(1.day()).ok()?, 0),
                minute => (date, minute),
            };
            let civil = date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            let border = self.zone.to_ambiguous_zoned(civil).compatible().ok()?;
            i64::try_from(border.timestamp().as_nanosecond())
                .ok()
                .map(Time)
        });
        borders.filter(|border| *border > time).min()
    }
}

/// In which intervals alerts are muted, and outside of which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    /// Places among the intervals.
    pub active: Vec<usize>,
    pub mute: Vec<usize>,
}

impl Hours {
    /// Whether alerts are muted.
    pub fn mutes(&self, intervals: &[Interval], time: Time) -> bool {
        let holds = |place: &usize| intervals.get(*place).is_some_and(|one| one.holds(time));
        self.mute.iter().any(holds) || (!self.active.is_empty() && !self.active.iter().any(holds))
    }

    /// The first moment from `from` on at which alerts are not muted.
    pub fn unmuted(&self, intervals: &[Interval], from: Time) -> Option<Time> {
        let mut at = from;
        for _ in 0..STEPS_MAX {
            if !self.mutes(intervals, at) {
                return Some(at);
            }
            let places = self.active.iter().chain(&self.mute);
            let used = places.filter_map(|place| intervals.get(*place));
            at = used.filter_map(|one| one.next_border(at)).min()?;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        let time: Timestamp = text.parse().unwrap();
        Time(time.as_nanosecond() as i64)
    }

    fn office() -> Interval {
        Interval {
            times: vec![(480, 1080)],
            weekdays: 0b001_1111,
            zone: TimeZone::get("Europe/Berlin").unwrap(),
            ..Interval::default()
        }
    }

    #[test]
    fn office_hours_are_those_of_their_place() {
        let office = office();
        // 2026-11-23 is a Monday; Berlin is an hour ahead.
        assert!(!office.holds(at("2026-11-23T06:59:59Z")));
        assert!(office.holds(at("2026-11-23T07:00:00Z")));
        assert!(!office.holds(at("2026-11-23T17:00:00Z")));
        assert!(!office.holds(at("2026-11-22T12:00:00Z")));
    }

    #[test]
    fn what_is_muted_is_told_when_the_hours_begin() {
        let intervals = [office()];
        let hours = Hours {
            active: vec![0],
            mute: Vec::new(),
        };
        let friday_night = at("2026-11-20T22:00:00Z");
        assert!(hours.mutes(&intervals, friday_night));
        let monday = at("2026-11-23T07:00:00Z");
        assert_eq!(hours.unmuted(&intervals, friday_night), Some(monday));
        assert_eq!(hours.unmuted(&intervals, monday), Some(monday));
        // The same interval as one that mutes.
        let hours = Hours {
            active: Vec::new(),
            mute: vec![0],
        };
        assert_eq!(
            hours.unmuted(&intervals, monday),
            Some(at("2026-11-23T17:00:00Z"))
        );
    }

    #[test]
    fn days_count_from_the_end_of_the_month_too() {
        let last = Interval {
            days_of_month: vec![(-1, -1)],
            ..Interval::default()
        };
        assert!(last.holds(at("2028-02-29T12:00:00Z")));
        assert!(!last.holds(at("2027-02-27T12:00:00Z")));
        let never = Interval {
            days_of_month: vec![(30, 31)],
            months: 0b10,
            ..Interval::default()
        };
        assert!(!never.ever_holds());
        let leap_day = Interval {
            days_of_month: vec![(29, 29)],
            months: 0b10,
            ..Interval::default()
        };
        assert!(leap_day.ever_holds());
    }
}
