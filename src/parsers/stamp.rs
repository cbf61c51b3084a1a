//! Timestamps of a fixed layout that name their offset: the access log's `10/Oct/2000:13:55:36
//! -0700` and RFC 3339. They need no zone and no anchor, so their whole second is remembered by
//! its bytes. Times without an offset or a year are [`Clock`](super::time::Clock)'s work.

use crate::flow::time::Time;

/// Bytes of `10/Oct/2000:13:55:36 -0700`.
pub const ACCESS_LEN: usize = 26;

/// Reads the access log's time; costs one comparison while the second stays the same.
#[derive(Debug)]
pub struct AccessStamp {
    last: [u8; ACCESS_LEN],
    time: Time,
}

impl AccessStamp {
    pub fn new() -> AccessStamp {
        AccessStamp {
            last: [0; ACCESS_LEN],
            time: Time(0),
        }
    }

    /// The time that `text` is, if it is one of this layout and exists in the calendar.
    pub fn read(&mut self, text: &[u8; ACCESS_LEN]) -> Option<Time> {
        // Fast path: the same bytes as last time. Nothing is remembered that was not valid.
        if *text == self.last {
            return Some(self.time);
        }
        let time = access(text)?;
        self.last = *text;
        self.time = time;
        Some(time)
    }
}

fn access(text: &[u8; ACCESS_LEN]) -> Option<Time> {
    if text[2] != b'/' || text[6] != b'/' || text[11] != b':' || text[20] != b' ' {
        return None;
    }
    let day = digits(&text[0..2])?;
    let month = month(&text[3..6])?;
    let year = digits(&text[7..11])?;
    let second = clock_second(&text[12..20])?;
    let offset = match text[21] {
        b'+' => offset(&text[22..24], &text[24..26])?,
        b'-' => -offset(&text[22..24], &text[24..26])?,
        _ => return None,
    };
    Time::from_parts(civil_day(year, month, day)? * 86_400 + second - offset, 0)
}

/// An RFC 3339 time at the start of `text`: its length and, if it names an offset (`Z`, `+01:00`,
/// `+0100`), its moment. At most nine decimals; more are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339 {
    pub len: usize,
    /// Decimals of the second, 0 if there is no fraction.
    pub decimals: usize,
    /// `None` without an offset, or outside of what [`Time`] holds.
    pub time: Option<Time>,
    pub offset: Offset,
}

/// How an RFC 3339 time names its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    None,
    Utc,
    /// `+01:00`, the only numeric form of the RFC.
    Colon,
    /// `+0100` as ISO 8601's basic form and journalctl write it.
    Basic,
}

/// Reads `2003-10-11T22:14:15.003Z` at the start of `text`; the `T` and the `Z` are capitals.
pub fn rfc3339(text: &[u8]) -> Option<Rfc3339> {
    if text.len() < 19 || text[4] != b'-' || text[7] != b'-' || text[10] != b'T' {
        return None;
    }
    let date = civil_day(
        digits(&text[0..4])?,
        digits(&text[5..7])?,
        digits(&text[8..10])?,
    )?;
    let second = clock_second(&text[11..19])?;
    let mut at = 19;
    let mut decimals = 0;
    let mut nanosecond = 0u32;
    if text.get(at) == Some(&b'.') {
        at += 1;
        while let Some(digit) = text.get(at).filter(|byte| byte.is_ascii_digit()) {
            if decimals < 9 {
                nanosecond = nanosecond * 10 + u32::from(digit - b'0');
            }
            decimals += 1;
            at += 1;
        }
        if decimals == 0 {
            return None;
        }
        for _ in decimals..9 {
            nanosecond *= 10;
        }
    }
    let (seconds, kind) = match text.get(at) {
        Some(b'Z') => {
            at += 1;
            (Some(0), Offset::Utc)
        }
        Some(sign @ (b'+' | b'-')) => {
            let rest = &text[at + 1..];
            let (minute, kind, len) = if rest.get(2) == Some(&b':') {
                (3, Offset::Colon, 5)
            } else {
                (2, Offset::Basic, 4)
            };
            let seconds = offset(rest.get(0..2)?, rest.get(minute..minute + 2)?)?;
            at += 1 + len;
            (Some(if *sign == b'-' { -seconds } else { seconds }), kind)
        }
        _ => (None, Offset::None),
    };
    let time =
        seconds.and_then(|offset| Time::from_parts(date * 86_400 + second - offset, nanosecond));
    Some(Rfc3339 {
        len: at,
        decimals,
        time,
        offset: kind,
    })
}

/// The number of an English month name of three letters, first letter capital: 1 to 12.
pub fn month(name: &[u8]) -> Option<i64> {
    Some(match name {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    })
}

/// Seconds since midnight of `HH:MM:SS`. A leap second counts as the one before it.
pub fn clock_second(text: &[u8]) -> Option<i64> {
    if text.len() != 8 || text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (
        digits(&text[0..2])?,
        digits(&text[3..5])?,
        digits(&text[6..8])?,
    );
    (hour < 24 && minute < 60 && second <= 60).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// Seconds of an offset's hours and minutes; hours up to 23 as RFC 3339 has them.
fn offset(hours: &[u8], minutes: &[u8]) -> Option<i64> {
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then(|| hours * 3600 + minutes * 60)
}

/// Days since 1970-01-01 of a date that exists in the Gregorian calendar.
fn civil_day(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil: the year
    // begins in March, so that the leap day is its last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The number that `text` is, if all of it are digits; meant for two or four of them.
fn digits(text: &[u8]) -> Option<i64> {
    let mut number = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_jiff() {
        for year in [1900, 1970, 1999, 2000, 2024, 2100] {
            for month in 1..=12 {
                for day in 1..=31 {
                    let want = jiff::civil::Date::new(year, month, day).ok().map(|date| {
                        i64::from(
                            date.duration_since(jiff::civil::date(1970, 1, 1))
                                .as_hours() as i32
                                / 24,
                        )
                    });
                    assert_eq!(
                        civil_day(i64::from(year), i64::from(month), i64::from(day)),
                        want,
                        "{year}-{month}-{day}"
                    );
                }
            }
        }
    }

    #[test]
    fn rfc3339_is_that_of_jiff() {
        for text in [
            "2003-10-11T22:14:15.003Z",
            "2003-08-24T05:14:15.000003-07:00",
            "1986-04-26T01:23:45.101+0400",
            "2024-02-29T23:59:59+23:59",
        ] {
            let want: jiff::Timestamp = text.parse().unwrap();
            let read = rfc3339(text.as_bytes()).unwrap();
            assert_eq!(read.time, Some(Time(want.as_nanosecond() as i64)), "{text}");
            assert_eq!(read.len, text.len());
        }
        for text in [
            "2003-09-31T22:14:15Z",
            "2018-02-29T22:14:16Z",
            "2003-09-29t22:14:16Z",
            "2003-09-29T22:99:16Z",
            "2003-09-29T22:09:01.",
            "2003-08-24T05:14:15-24:00",
        ] {
            assert_eq!(rfc3339(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn access_times_remember_only_valid_ones() {
        let mut stamp = AccessStamp::new();
        let want: jiff::Timestamp = "2000-10-10T20:55:36Z".parse().unwrap();
        for _ in 0..2 {
            assert_eq!(
                stamp.read(b"10/Oct/2000:13:55:36 -0700"),
                Some(Time(want.as_nanosecond() as i64))
            );
            assert_eq!(stamp.read(b"31/Sep/2000:13:55:36 -0700"), None);
            assert_eq!(
                stamp.read(&[0; ACCESS_LEN]),
                Some(Time(0)).filter(|_| false)
            );
        }
    }
}
