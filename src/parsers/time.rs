//! Times as logs write them, read with the source's zone and year anchor. The layouts are in
//! `time/shape.rs`; here are the calendar, the zone, the year rule and the memory that makes the
//! next time of the same second cost a comparison.

pub mod shape;

use crate::flow::facts::Facts;
use crate::flow::time::Time;
use shape::{Date, Stamp};

const DAY: i64 = 86_400;

/// Reads times for one source. What it remembers saves work and never changes a result.
pub struct Clock {
    zone: jiff::tz::TimeZone,
    anchor: Time,
    /// The stretch of local time around the last one in which the zone's offset is one and the same.
    stretch: Stretch,
    iso: Memory,
    weekday: Memory,
    month: Memory,
    slashes: Memory,
    compact: Memory,
    /// The last zone that a record named (`Europe/Berlin`).
    named: Option<(Vec<u8>, jiff::tz::TimeZone)>,
}

/// Local seconds `from..until` lie `offset` seconds east of Greenwich, each of them once.
struct Stretch {
    from: i64,
    until: i64,
    offset: i64,
}

/// The last text of one layout, up to its second, and what it means.
#[derive(Default)]
struct Memory {
    /// The text's bytes. Zeros match no text: each starts with a digit or a letter.
    text: [u8; 24],
    /// Seconds since 1970 if the text were UTC.
    civil: i64,
    /// Seconds since 1970 of the text in the source's zone; `i64::MIN` if there is no such time.
    epoch: i64,
}

impl Memory {
    /// Whether `text` starts with the `N` bytes that are remembered, and its second ends there.
    #[inline]
    fn is<const N: usize>(&self, text: &[u8]) -> bool {
        let (Some(head), Some(known)) = (text.first_chunk::<N>(), self.text.first_chunk::<N>())
        else {
            return false;
        };
        head == known && !text.get(N).is_some_and(u8::is_ascii_digit)
    }
}

/// A time that stands at the start of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `None` if the layout is one of a time but there is no such moment: 30 February, a time of
    /// day without a date, a year outside of [`Time`].
    pub time: Option<Time>,
    /// Bytes that the time takes.
    pub len: usize,
}

impl Clock {
    pub fn new(facts: &Facts) -> Clock {
        Clock {
            zone: facts.zone.clone(),
            anchor: facts.anchor,
            stretch: Stretch {
                from: 0,
                until: 0,
                offset: 0,
            },
            iso: Memory::default(),
            weekday: Memory::default(),
            month: Memory::default(),
            slashes: Memory::default(),
            compact: Memory::default(),
            named: None,
        }
    }

    /// The time that `text` is, as a whole: a field's value (`2024-03-01T00:00:00.123Z`,
    /// `1709251200.5`, `Mar  1 00:00:00` …). Numbers are seconds with 9 or 10 digits before the
    /// point, milliseconds with 12 or 13, microseconds with 15 or 16, nanoseconds with 18 or 19.
    pub fn field(&mut self, text: &[u8]) -> Option<Time> {
        // Fast path: nothing stands around it.
        if let Some(Reading { time, len }) = self.reading(text)
            && len == text.len()
        {
            return time;
        }
        let text = text.trim_ascii();
        let text = match text {
            [b'"', inner @ .., b'"'] | [b'[', inner @ .., b']'] => inner.trim_ascii(),
            _ => text,
        };
        if let Some(Reading { time, len }) = self.reading(text) {
            match &text[len..] {
                [] => return time,
                // The zone's name after the offset says nothing new (RFC 9557).
                [b'[', .., b']'] => {
                    let text = std::str::from_utf8(text).ok()?;
                    let zoned: jiff::Zoned = text.parse().ok()?;
                    return i64::try_from(zoned.timestamp().as_nanosecond())
                        .ok()
                        .map(Time);
                }
                _ => {}
            }
        }
        // A date alone is midnight.
        let stamp = shape::read(text).filter(|stamp| !stamp.clock && stamp.len == text.len())?;
        self.resolve(&stamp)
    }

    /// The time at the start of `text` and how many bytes it takes; `None` also where the layout is
    /// one of a time but there is no such moment (see [`Clock::reading`]).
    pub fn head(&mut self, text: &[u8]) -> Option<(Time, usize)> {
        let reading = self.reading(text)?;
        Some((reading.time?, reading.len))
    }

    /// What stands at the start of `text`, if it has the layout of a time with a time of day.
    #[inline]
    pub fn reading(&mut self, text: &[u8]) -> Option<Reading> {
        // Fast path: a text with the bytes of the one before, up to its second, is that second.
        // The layouts that logs use most have a memory each, so that they may interleave.
        let (memory, len) = match text {
            [b'0'..=b'9', _, _, _, b'-', ..] if self.iso.is::<19>(text) => (&self.iso, 19),
            [b'0'..=b'9', _, b'/', ..] if self.slashes.is::<17>(text) => (&self.slashes, 17),
            [b'0'..=b'9', _, _, _, _, _, b' ', ..] if self.compact.is::<13>(text) => {
                (&self.compact, 13)
            }
            // Decimals belong to a time without a year; after a year nothing follows.
            [b'A'..=b'Z', _, _, b' ', b'A'..=b'Z', ..] if self.weekday.is::<24>(text) => {
                return Some(Reading {
                    time: Time::from_parts(self.weekday.epoch, 0),
                    len: 24,
                });
            }
            [b'A'..=b'Z', _, _, b' ', b' ' | b'0'..=b'9', ..] if self.month.is::<15>(text) => {
                let (nanosecond, len) = shape::fraction(text, 15);
                return Some(Reading {
                    time: Time::from_parts(self.month.epoch, nanosecond),
                    len,
                });
            }
            _ => return self.read(text),
        };
        let (nanosecond, end) = shape::fraction(text, len);
        // What follows most times is no zone: a digit, a bracket, the first letters of a level.
        if let Some(
            [
                b' ',
                b'0'..=b'9' | b'a'..=b'o' | b'[' | b' ' | b'D' | b'F' | b'I' | b'N' | b'T',
                _,
            ]
            | [b' ', b'-', b' ']
            | [b' ', b'W', b'A']
            | [b' ', b'E', b'R']
            | [b']' | b'|', _, _],
        ) = text.get(end..end + 3)
            && text[end + 1] != b'a'
        {
            return Some(Reading {
                time: Time::from_parts(memory.epoch, nanosecond),
                len: end,
            });
        }
        if zone_name(text, end).is_some() {
            return self.read(text);
        }
        let (offset, end) = shape::zone(text, end);
        if offset == Some(shape::OFFSET_WRONG) {
            return Some(Reading {
                time: None,
                len: end,
            });
        }
        // AM and PM are not for the fast path.
        if !matches!(
            text.get(end..end + 3),
            Some([b' ', b'A' | b'P' | b'a' | b'p', b'M' | b'm'])
        ) {
            let second = match offset {
                Some(offset) => memory.civil - i64::from(offset),
                None => memory.epoch,
            };
            return Some(Reading {
                time: Time::from_parts(second, nanosecond),
                len: end,
            });
        }
        self.read(text)
    }

    /// Slow path of [`Clock::reading`]: reads the layout and remembers it.
    #[inline(never)]
    fn read(&mut self, text: &[u8]) -> Option<Reading> {
        let stamp = shape::read(text).filter(|stamp| stamp.clock)?;
        if stamp.offset.is_none()
            && let Some(name) = zone_name(text, stamp.len)
            && let Some(reading) = self.in_zone(&stamp, name)
        {
            return Some(reading);
        }
        let reading = Reading {
            time: self.resolve(&stamp),
            len: stamp.len,
        };
        self.remember(text, &stamp);
        Some(reading)
    }

    /// The time of `stamp` in the zone `name`, which stands behind it.
    fn in_zone(&mut self, stamp: &Stamp, name: &[u8]) -> Option<Reading> {
        if self.named.as_ref().is_none_or(|(last, _)| last != name) {
            let zone = jiff::tz::TimeZone::get(std::str::from_utf8(name).ok()?).ok()?;
            self.named = Some((name.to_vec(), zone));
        }
        let (_, zone) = self.named.as_ref()?;
        let second = civil_second(stamp)?;
        let datetime =
            jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(second).ok()?);
        let timestamp = zone.to_ambiguous_timestamp(datetime).compatible().ok()?;
        Some(Reading {
            time: Time::from_parts(timestamp.as_second(), stamp.nanosecond),
            len: stamp.len + 1 + name.len(),
        })
    }

    /// Keeps the text of `stamp` up to its second, if the layout has a memory and the text has its
    /// usual width (a second of one digit, an hour of one digit would need another key).
    fn remember(&mut self, text: &[u8], stamp: &Stamp) {
        // AM and PM change what the digits before them mean.
        if matches!(text[stamp.len - 1], b'M' | b'm') {
            return;
        }
        let colons = |first: usize| {
            text[first] == b':'
                && text[first + 3] == b':'
                && text[first + 4..first + 6].iter().all(u8::is_ascii_digit)
        };
        let digit_at = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
        let slot = match text {
            [b'0'..=b'9', _, _, _, b'-', ..] if text.len() >= 19 && stamp.len >= 19 => {
                let usual = text[7] == b'-'
                    && matches!(text[10], b' ' | b'T' | b't' | b'_')
                    && colons(13)
                    && !digit_at(19);
                usual.then_some((&mut self.iso, 19))
            }
            [b'0'..=b'9', _, b'/', ..] if text.len() >= 17 && stamp.len >= 17 => {
                let usual = text[5] == b'/' && text[8] == b' ' && colons(11) && !digit_at(17);
                usual.then_some((&mut self.slashes, 17))
            }
            [b'0'..=b'9', _, _, _, _, _, b' ', ..] if text.len() >= 13 && stamp.len >= 13 => {
                let usual = text[7..13].iter().all(u8::is_ascii_digit);
                usual.then_some((&mut self.compact, 13))
            }
            [b'A'..=b'Z', _, _, b' ', b'A'..=b'Z', ..] if stamp.len == 24 => {
                let usual = text[7] == b' '
                    && colons(13)
                    && text[19] == b' '
                    && text[20..24].iter().all(u8::is_ascii_digit);
                usual.then_some((&mut self.weekday, 24))
            }
            [b'A'..=b'Z', _, _, b' ', b' ' | b'0'..=b'9', ..] if stamp.len >= 15 => {
                let usual = text[6] == b' ' && colons(9) && !digit_at(15);
                usual.then_some((&mut self.month, 15))
            }
            _ => None,
        };
        let Some((_, len)) = slot else { return };
        // The second as the text says it, without the offset that may follow.
        let plain = Stamp {
            nanosecond: 0,
            offset: None,
            ..*stamp
        };
        let epoch = self.resolve(&plain).map_or(i64::MIN, Time::second);
        let civil = civil_second(stamp).unwrap_or(i64::MIN / 2);
        let memory = match len {
            19 => &mut self.iso,
            17 => &mut self.slashes,
            13 => &mut self.compact,
            24 => &mut self.weekday,
            _ => &mut self.month,
        };
        // Out of range with an offset or without: let the slow path say so each time.
        if civil == i64::MIN / 2 && len != 15 {
            return;
        }
        let mut kept = [0; 24];
        kept[..len].copy_from_slice(&text[..len]);
        *memory = Memory {
            text: kept,
            civil,
            epoch,
        };
    }

    /// The moment of `stamp` in the source's zone.
    fn resolve(&mut self, stamp: &Stamp) -> Option<Time> {
        if stamp.offset == Some(shape::OFFSET_WRONG) {
            return None;
        }
        let second = match (stamp.date, stamp.offset) {
            (Date::Epoch(second), _) => second,
            (Date::Missing, _) => return None,
            (Date::Yearless { month, day }, offset) => {
                // The newest year that is not more than a day after the anchor. 29 February may
                // have to go back eight years (1904 after 1896).
                let limit = self.anchor.second().saturating_add(DAY);
                let newest = year_of(limit.saturating_add(DAY));
                (0..=9).find_map(|back| {
                    let civil =
                        days(newest - back, month, day)? * DAY + i64::from(stamp.second_of_day);
                    let second = self.at(civil, offset)?;
                    (second <= limit).then_some(second)
                })?
            }
            (_, offset) => self.at(civil_second(stamp)?, offset)?,
        };
        Time::from_parts(second, stamp.nanosecond)
    }

    /// Seconds since 1970 of the local second `civil`.
    fn at(&mut self, civil: i64, offset: Option<i32>) -> Option<i64> {
        if let Some(offset) = offset {
            return Some(civil - i64::from(offset));
        }
        if !(self.stretch.from..self.stretch.until).contains(&civil) {
            return self.look_up(civil);
        }
        Some(civil - self.stretch.offset)
    }

    /// Asks the zone: the earlier one of two times when clocks go back, the later reading when
    /// they skip it (jiff's "compatible", as RFC 5545 has it).
    #[inline(never)]
    fn look_up(&mut self, civil: i64) -> Option<i64> {
        let datetime = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(civil).ok()?);
        let timestamp = self
            .zone
            .to_ambiguous_timestamp(datetime)
            .compatible()
            .ok()?;
        let second = timestamp.as_second();
        let offset = i64::from(self.zone.to_offset(timestamp).seconds());
        // The offset holds from one change to the next, except for the hours that the change skips
        // or repeats.
        let mut stretch = Stretch {
            from: i64::MIN,
            until: i64::MAX,
            offset,
        };
        // `preceding` leaves out a change at the time itself.
        let after = jiff::Timestamp::from_second(second + 1).ok()?;
        if let Some(change) = self.zone.preceding(after).next() {
            let at = change.timestamp().as_second();
            let before = jiff::Timestamp::from_second(at - 1).ok()?;
            let earlier = i64::from(self.zone.to_offset(before).seconds());
            stretch.from = at + earlier.max(offset);
        }
        if let Some(change) = self.zone.following(timestamp).next() {
            stretch.until =
                change.timestamp().as_second() + offset.min(i64::from(change.offset().seconds()));
        }
        if (stretch.from..stretch.until).contains(&civil) {
            self.stretch = stretch;
        }
        Some(second)
    }
}

/// The name of a zone as the database of zones has it, behind a blank at `at`: `Europe/Berlin`.
#[inline]
fn zone_name(text: &[u8], at: usize) -> Option<&[u8]> {
    let [b' ', rest @ ..] = text.get(at..)? else {
        return None;
    };
    if !matches!(rest, [b'A'..=b'Z', b'a'..=b'z', ..]) {
        return None;
    }
    let len = rest
        .iter()
        .take(40)
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+')
        })
        .count();
    let name = &rest[..len];
    let slash = memchr::memchr(b'/', name)?;
    const AREAS: [&[u8]; 11] = [
        b"Africa",
        b"America",
        b"Antarctica",
        b"Arctic",
        b"Asia",
        b"Atlantic",
        b"Australia",
        b"Europe",
        b"Indian",
        b"Pacific",
        b"Etc",
    ];
    AREAS.contains(&&name[..slash]).then_some(name)
}

/// Seconds since 1970 if the time were UTC.
fn civil_second(stamp: &Stamp) -> Option<i64> {
    let days = match stamp.date {
        Date::Full { year, month, day } => days(year, month, day)?,
        Date::Ordinal { year, day } if (1..=365 + u32::from(is_leap(year))).contains(&day) => {
            days(year, 1, 1)? + i64::from(day) - 1
        }
        _ => return None,
    };
    Some(days * DAY + i64::from(stamp.second_of_day))
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, `None` if there is no such date
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i32, month: u32, day: u32) -> Option<i64> {
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(is_leap(year)),
        _ => return None,
    };
    if day == 0 || day > last {
        return None;
    }
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// The year of a UTC second.
fn year_of(second: i64) -> i32 {
    jiff::Timestamp::from_second(second).map_or(1970, |timestamp| {
        i32::from(jiff::tz::Offset::UTC.to_datetime(timestamp).year())
    })
}

#[cfg(test)]
mod tests;
