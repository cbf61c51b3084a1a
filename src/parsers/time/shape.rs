//! The layouts of times: from the bytes at the start of a text to a date, a time of day, decimals
//! and an offset as they are written. No calendar, no zone, no year rule: [`Clock`](super::Clock)
//! adds those. `start.rs` asks here whether a line opens with a time.

/// A time as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub date: Date,
    /// Seconds since midnight, 0 to 86399; a leap second counts as the second before it.
    pub second_of_day: u32,
    pub nanosecond: u32,
    /// Seconds east of Greenwich, if the text says so.
    pub offset: Option<i32>,
    /// Whether a time of day is written, not only a date.
    pub clock: bool,
    /// Bytes that the time takes.
    pub len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Date {
    Full {
        year: i32,
        month: u32,
        day: u32,
    },
    /// Day of the year from 1.
    Ordinal {
        year: i32,
        day: u32,
    },
    Yearless {
        month: u32,
        day: u32,
    },
    /// Seconds since 1970 in UTC; the time of day is 0.
    Epoch(i64),
    /// A time of day alone.
    Missing,
}

/// The time that `text` starts with, in any layout we know.
pub fn read(text: &[u8]) -> Option<Stamp> {
    match *text.first()? {
        b'0'..=b'9' => read_digits(text),
        b'A'..=b'Z' | b'a'..=b'z' => read_names(text),
        b'@' => read_tai64n(text),
        _ => None,
    }
}

fn read_digits(text: &[u8]) -> Option<Stamp> {
    let count = count_digits(text, 0);
    match count {
        4 => read_year_first(text),
        1 | 2 => read_day_or_month_first(text, count),
        6 => {
            // `081109 203615` and `161209 13:08:33`, where a one-digit hour is padded with a space.
            let date = Date::Full {
                year: short_year(number(text, 0, 2)),
                month: number(text, 2, 2),
                day: number(text, 4, 2),
            };
            if *text.get(6)? != b' ' {
                return None;
            }
            match count_digits(text, 7) {
                6 => finish(text, 13, date, compact_clock(text, 7)?),
                2 => at_clock(text, 7, date),
                0 if text.get(7) == Some(&b' ') => at_clock(text, 8, date),
                1 => at_clock(text, 7, date),
                _ => None,
            }
        }
        8 => {
            let date = Date::Full {
                year: number(text, 0, 4) as i32,
                month: number(text, 4, 2),
                day: number(text, 6, 2),
            };
            if !matches!(text.get(8)?, b'-' | b'T' | b't' | b' ' | b'.' | b'_') || !plausible(date)
            {
                return None;
            }
            match count_digits(text, 9) {
                6 => finish(text, 15, date, compact_clock(text, 9)?),
                1 | 2 => at_clock(text, 9, date),
                _ => None,
            }
        }
        14 | 17 => {
            let date = Date::Full {
                year: number(text, 0, 4) as i32,
                month: number(text, 4, 2),
                day: number(text, 6, 2),
            };
            if !plausible(date) {
                return None;
            }
            let mut stamp = finish(text, 14, date, compact_clock(text, 8)?)?;
            if count == 17 {
                stamp.nanosecond = number(text, 14, 3) * 1_000_000;
                stamp.len = 17;
            }
            Some(stamp)
        }
        9 | 10 | 12 | 13 | 15 | 16 | 18 | 19 => Some(epoch(text, count)),
        _ => None,
    }
}

/// Seconds have 9 or 10 digits, milliseconds, microseconds and nanoseconds 3, 6 and 9 more: that
/// covers 1973 to 2286, so a number's size says its unit.
fn epoch(text: &[u8], count: usize) -> Stamp {
    let whole = count - (count - 9) / 3 * 3;
    let second = text[..whole]
        .iter()
        .fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let mut nanosecond = 0;
    let mut unit = 100_000_000;
    for digit in &text[whole..count] {
        nanosecond += u32::from(digit - b'0') * unit;
        unit /= 10;
    }
    let mut len = count;
    if text.get(count) == Some(&b'.') && text.get(count + 1).is_some_and(u8::is_ascii_digit) {
        len += 1;
        while let Some(digit @ b'0'..=b'9') = text.get(len) {
            nanosecond += u32::from(digit - b'0') * unit;
            unit /= 10;
            len += 1;
        }
    }
    Stamp {
        date: Date::Epoch(second),
        second_of_day: 0,
        nanosecond,
        offset: None,
        clock: true,
        len,
    }
}

/// `2024-03-01T00:00:00`, `2024/03/01 00:00:00`, `2005-06-03-15.42.50.675872`, `2012-025T10:22:40`.
fn read_year_first(text: &[u8]) -> Option<Stamp> {
    let year = number(text, 0, 4) as i32;
    let separator = *text.get(4)?;
    if !matches!(separator, b'-' | b'/' | b'.') {
        return None;
    }
    match count_digits(text, 5) {
        2 | 1 => {}
        3 if separator == b'-' && matches!(text.get(8), Some(b'T' | b' ')) => {
            return at_clock(
                text,
                9,
                Date::Ordinal {
                    year,
                    day: number(text, 5, 3),
                },
            );
        }
        _ => return None,
    }
    let (month, at) = one_or_two(text, 5)?;
    if text.get(at) != Some(&separator) {
        return None;
    }
    let (day, at) = one_or_two(text, at + 1)?;
    let date = Date::Full { year, month, day };
    let clock = match text.get(at) {
        // An hour of one digit may be padded: `2024-03-01  8:15:30`.
        Some(b' ') if text.get(at + 1) == Some(&b' ') => at_clock(text, at + 2, date),
        Some(b'T' | b't' | b' ' | b'_' | b':') => at_clock(text, at + 1, date),
        Some(b'-') => match clock(text, at + 1, b':') {
            Some((second, end)) => finish(text, end, date, second),
            None => {
                let (second, end) = clock(text, at + 1, b'.')?;
                finish(text, end, date, second)
            }
        },
        _ => None,
    };
    // A date alone is a time only where it is the whole text (see `Clock::field`).
    clock.or(Some(Stamp {
        date,
        second_of_day: 0,
        nanosecond: 0,
        offset: None,
        clock: false,
        len: at,
    }))
}

/// Layouts that open with one or two digits: `17/06/09 …`, `01/Mar/2024:…`, `03-17 …`,
/// `31.12.2024 …`, `01 Mar 2024 …`, and a time of day alone.
fn read_day_or_month_first(text: &[u8], count: usize) -> Option<Stamp> {
    let first = number(text, 0, count);
    let separator = *text.get(count)?;
    // `01Mar2024 00:00:00`, as Minecraft's Forge writes it.
    if let Some(month) = text.get(count..count + 3).and_then(month_name)
        && count_digits(text, count + 3) == 4
        && text.get(count + 7) == Some(&b' ')
    {
        let date = Date::Full {
            year: number(text, count + 3, 4) as i32,
            month,
            day: first,
        };
        return at_clock(text, count + 8, date);
    }
    let at = count + 1;
    match separator {
        b':' => return at_clock(text, 0, Date::Missing),
        b'/' | b'-' | b'.' | b' ' => {}
        _ => return None,
    }
    if let Some(month) = text.get(at..at + 3).and_then(month_name) {
        let at = at + 3;
        if !matches!(text.get(at), Some(b'/' | b'-' | b' ')) {
            return None;
        }
        let date = match count_digits(text, at + 1) {
            4 => Date::Full {
                year: number(text, at + 1, 4) as i32,
                month,
                day: first,
            },
            2 if text.get(at + 3) != Some(&b':') => {
                let year = short_year(number(text, at + 1, 2));
                return at_clock(
                    text,
                    at + 4,
                    Date::Full {
                        year,
                        month,
                        day: first,
                    },
                );
            }
            // `01 Mar 00:00:00`
            2 => return at_clock(text, at + 1, Date::Yearless { month, day: first }),
            _ => return None,
        };
        return match text.get(at + 5) {
            Some(b':' | b' ' | b'T') => at_clock(text, at + 6, date),
            _ => None,
        };
    }
    if separator == b' ' {
        return None;
    }
    let (second, at) = one_or_two(text, at)?;
    match *text.get(at)? {
        // go-ethereum: `11-20|10:00:00`
        b' ' | b'|' if separator != b'/' => {
            let (month, day) = if separator == b'.' && first > 12 {
                (second, first)
            } else {
                (first, second)
            };
            return at_clock(text, at + 1, Date::Yearless { month, day });
        }
        next if next == separator => {}
        _ => return None,
    }
    let at = at + 1;
    let date = match count_digits(text, at) {
        4 => {
            let year = number(text, at, 4) as i32;
            // The month stands first with slashes (United States), the day with dots and dashes;
            // a number above 12 is the day in any case.
            let month_first = if separator == b'/' {
                first <= 12
            } else {
                second > 12
            };
            let (month, day) = if month_first {
                (first, second)
            } else {
                (second, first)
            };
            (Date::Full { year, month, day }, at + 4)
        }
        2 => {
            let third = number(text, at, 2);
            let date = if separator == b'.' {
                Date::Full {
                    year: short_year(third),
                    month: second,
                    day: first,
                }
            } else if second > 12 {
                Date::Full {
                    year: short_year(third),
                    month: first,
                    day: second,
                }
            } else {
                Date::Full {
                    year: short_year(first),
                    month: second,
                    day: third,
                }
            };
            (date, at + 2)
        }
        _ => return None,
    };
    let (date, at) = date;
    match text.get(at)? {
        b',' if text.get(at + 1) == Some(&b' ') => at_clock(text, at + 2, date),
        b' ' | b'T' | b'-' | b':' => at_clock(text, at + 1, date),
        _ => None,
    }
}

/// Layouts that open with the name of a month or a day: `Mar  1 00:00:00`,
/// `Sun Dec 04 04:47:44 2005`, `Mon, 15 Jan 2024 10:00:00 +0000`, `Mar 24, 2015 3:17:38 PM`.
fn read_names(text: &[u8]) -> Option<Stamp> {
    let head: &[u8; 4] = text.first_chunk()?;
    let month = month_name(&head[..3]);
    if let (Some(month), b' ') = (month, head[3]) {
        return month_first(text, 4, month, Weekday::Absent);
    }
    if !is_day_name(&head[..3]) {
        return None;
    }
    let at = if head[3] == b',' { 4 } else { 3 };
    if text.get(at) != Some(&b' ') {
        return None;
    }
    let at = at + 1;
    if let Some(month) = text.get(at..at + 3).and_then(month_name) {
        return if text.get(at + 3) == Some(&b' ') {
            month_first(text, at + 4, month, Weekday::Present)
        } else {
            None
        };
    }
    match count_digits(text, at) {
        count @ (1 | 2) => {
            let mut stamp = read_day_or_month_first(&text[at..], count)?;
            stamp.len += at;
            Some(stamp)
        }
        4 => {
            let mut stamp = read_year_first(&text[at..])?;
            stamp.len += at;
            Some(stamp)
        }
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weekday {
    Absent,
    Present,
}

fn month_first(text: &[u8], at: usize, month: u32, weekday: Weekday) -> Option<Stamp> {
    let at = if text.get(at) == Some(&b' ') {
        at + 1
    } else {
        at
    };
    let (day, at) = one_or_two(text, at)?;
    let yearless = Date::Yearless { month, day };
    let at = if text.get(at) == Some(&b',') {
        at + 1
    } else {
        at
    };
    if text.get(at) != Some(&b' ') {
        return None;
    }
    let at = at + 1;
    if count_digits(text, at) == 4 {
        let date = Date::Full {
            year: number(text, at, 4) as i32,
            month,
            day,
        };
        return if matches!(text.get(at + 4), Some(b' ')) {
            at_clock(text, at + 5, date)
        } else {
            None
        };
    }
    let (second_of_day, end) = clock(text, at, b':')?;
    let (nanosecond, end) = fraction(text, end);
    let mut stamp = Stamp {
        date: yearless,
        second_of_day,
        nanosecond,
        offset: None,
        clock: true,
        len: end,
    };
    if weekday == Weekday::Present {
        // `Wed May 19 08:00:01 EST 2021`: the zone stands before the year.
        let (offset, after_zone) = zone(text, end);
        for (offset, at) in [(None, end), (offset, after_zone)] {
            if text.get(at) == Some(&b' ') && count_digits(text, at + 1) == 4 {
                let date = Date::Full {
                    year: number(text, at + 1, 4) as i32,
                    month,
                    day,
                };
                return Some(Stamp {
                    date,
                    offset,
                    len: at + 5,
                    ..stamp
                });
            }
        }
        stamp.offset = offset;
        stamp.len = after_zone;
    }
    Some(stamp)
}

/// `@` and 24 hexadecimal digits: 2^62 plus TAI seconds, then nanoseconds (cr.yp.to/libtai/tai64.html).
/// TAI was 10 seconds ahead in 1970; the tools that write this label add just those 10.
fn read_tai64n(text: &[u8]) -> Option<Stamp> {
    let hex = text.get(1..25)?;
    if !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = |digits: &[u8]| {
        digits.iter().fold(0u64, |sum, &digit| {
            sum << 4 | u64::from((digit as char).to_digit(16).unwrap_or(0))
        })
    };
    let second = i64::try_from(value(&hex[..16]).checked_sub((1 << 62) + 10)?).ok()?;
    let nanosecond = u32::try_from(value(&hex[16..]))
        .ok()
        .filter(|&nanosecond| nanosecond < 1_000_000_000)?;
    Some(Stamp {
        date: Date::Epoch(second),
        second_of_day: 0,
        nanosecond,
        offset: None,
        clock: true,
        len: 25,
    })
}

fn at_clock(text: &[u8], at: usize, date: Date) -> Option<Stamp> {
    let (second_of_day, end) = clock(text, at, b':')?;
    finish(text, end, date, second_of_day)
}

/// Adds decimals, AM or PM and the offset to a date and a time of day that end at `at`.
fn finish(text: &[u8], at: usize, date: Date, second_of_day: u32) -> Option<Stamp> {
    let (nanosecond, at) = fraction(text, at);
    let (second_of_day, at) = match text.get(at..at + 3) {
        Some([b' ', half @ (b'A' | b'P' | b'a' | b'p'), b'M' | b'm'])
            if !text.get(at + 3).is_some_and(u8::is_ascii_alphanumeric) =>
        {
            let hour = second_of_day / 3600;
            if !(1..=12).contains(&hour) {
                return None;
            }
            let hour = hour % 12
                + if half.eq_ignore_ascii_case(&b'P') {
                    12
                } else {
                    0
                };
            (hour * 3600 + second_of_day % 3600, at + 3)
        }
        _ => (second_of_day, at),
    };
    let (offset, len) = zone(text, at);
    Some(Stamp {
        date,
        second_of_day,
        nanosecond,
        offset,
        clock: true,
        len,
    })
}

/// `00:00:00`, also with one digit each and without seconds, and where it ends. A leap second is
/// the second before it.
fn clock(text: &[u8], at: usize, separator: u8) -> Option<(u32, usize)> {
    let (hour, at) = one_or_two(text, at)?;
    if text.get(at) != Some(&separator) {
        return None;
    }
    let (minute, at) = one_or_two(text, at + 1)?;
    let (second, at) = match (text.get(at) == Some(&separator), one_or_two(text, at + 1)) {
        (true, Some(second)) => second,
        // `23:59` alone; a version or an address goes on with more digits.
        (false, _) if separator == b':' && !text.get(at).is_some_and(u8::is_ascii_alphanumeric) => {
            (0, at)
        }
        _ => return None,
    };
    second_of_day(hour, minute, second).map(|second| (second, at))
}

fn compact_clock(text: &[u8], at: usize) -> Option<u32> {
    second_of_day(
        number(text, at, 2),
        number(text, at + 2, 2),
        number(text, at + 4, 2),
    )
}

fn second_of_day(hour: u32, minute: u32, second: u32) -> Option<u32> {
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(hour * 3600 + minute * 60 + second.min(59))
}

/// Decimals at `at` as nanoseconds, and where they end. What is finer than a nanosecond is cut off.
#[inline]
pub fn fraction(text: &[u8], at: usize) -> (u32, usize) {
    let separator = match text.get(at) {
        Some(&byte @ (b'.' | b',' | b':')) => byte,
        _ => return (0, at),
    };
    // Fast path: milliseconds, which decimals and whole ones spell alike.
    if let Some(&[a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', next]) =
        text.get(at + 1..at + 5)
        && !next.is_ascii_digit()
    {
        let value = u32::from(a) * 100 + u32::from(b) * 10 + u32::from(c) - u32::from(b'0') * 111;
        return (value * 1_000_000, at + 4);
    }
    let mut end = at + 1;
    let mut value = 0;
    let mut unit = 100_000_000;
    while let Some(digit @ b'0'..=b'9') = text.get(end) {
        value += u32::from(digit - b'0') * unit;
        unit /= 10;
        end += 1;
    }
    let count = end - at - 1;
    if count == 0 {
        return (0, at);
    }
    if separator == b':' {
        // After a colon stand whole milliseconds, not decimals: `22:15:29:6` is 6 ms.
        return if count <= 3 {
            (number(text, at + 1, count) * 1_000_000, end)
        } else {
            (0, at)
        };
    }
    (value, end)
}

/// The offset at `at`, with or without a space before it, and where it ends. A name that is used
/// for more than one offset (`IST`, `BST`) says nothing and stays.
#[inline]
pub fn zone(text: &[u8], at: usize) -> (Option<i32>, usize) {
    let start = if text.get(at) == Some(&b' ') {
        at + 1
    } else {
        at
    };
    let spaced = start > at;
    let offset = match text.get(start) {
        Some(b'Z' | b'z') if !text.get(start + 1).is_some_and(u8::is_ascii_alphanumeric) => {
            Some((0, start + 1))
        }
        Some(b'+' | b'-') => numeric_offset(text, start, spaced),
        Some(b'A'..=b'Z') => named_offset(text, start),
        _ => None,
    };
    match offset {
        Some((offset, end)) => (Some(offset), end),
        None => (None, at),
    }
}

/// An offset that no clock has, such as `+99:99` or `-24:00`: its time is none.
pub const OFFSET_WRONG: i32 = i32::MAX;

fn numeric_offset(text: &[u8], start: usize, spaced: bool) -> Option<(i32, usize)> {
    let (hour, minute, end) = match count_digits(text, start + 1) {
        4 => (
            number(text, start + 1, 2),
            number(text, start + 3, 2),
            start + 5,
        ),
        2 if text.get(start + 3) == Some(&b':') && count_digits(text, start + 4) == 2 => (
            number(text, start + 1, 2),
            number(text, start + 4, 2),
            start + 6,
        ),
        2 if !spaced => (number(text, start + 1, 2), 0, start + 3),
        _ => return None,
    };
    if hour > 23 || minute > 59 {
        // A number behind a space may be anything.
        return (!spaced && end > start + 3).then_some((OFFSET_WRONG, end));
    }
    let seconds = (hour * 3600 + minute * 60) as i32;
    Some((
        if text[start] == b'-' {
            -seconds
        } else {
            seconds
        },
        end,
    ))
}

fn named_offset(text: &[u8], start: usize) -> Option<(i32, usize)> {
    let word = &text[start..text.len().min(start + 5)];
    let len = word
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    // RFC 822 defines the American names; the others have one meaning in practice.
    let hours = match &word[..len] {
        b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"WEST" => 1,
        b"CEST" | b"EET" => 2,
        b"EEST" | b"MSK" => 3,
        b"JST" => 9,
        b"EST" => -5,
        b"EDT" => -4,
        b"CST" => -6,
        b"CDT" => -5,
        b"MST" => -7,
        b"MDT" => -6,
        b"PST" => -8,
        b"PDT" => -7,
        _ => return None,
    };
    let end = start + len;
    if hours == 0
        && matches!(text.get(end), Some(b'+' | b'-'))
        && let Some((offset, end)) = numeric_offset(text, end, false)
    {
        return Some((offset, end));
    }
    Some((hours * 3600, end))
}

/// The number of a month's three-letter name, any case as long as it is one a person writes.
pub fn month_name(name: &[u8]) -> Option<u32> {
    Some(match name {
        b"Jan" | b"JAN" | b"jan" => 1,
        b"Feb" | b"FEB" | b"feb" => 2,
        b"Mar" | b"MAR" | b"mar" => 3,
        b"Apr" | b"APR" | b"apr" => 4,
        b"May" | b"MAY" | b"may" => 5,
        b"Jun" | b"JUN" | b"jun" => 6,
        b"Jul" | b"JUL" | b"jul" => 7,
        b"Aug" | b"AUG" | b"aug" => 8,
        b"Sep" | b"SEP" | b"sep" => 9,
        b"Oct" | b"OCT" | b"oct" => 10,
        b"Nov" | b"NOV" | b"nov" => 11,
        b"Dec" | b"DEC" | b"dec" => 12,
        _ => return None,
    })
}

fn is_day_name(name: &[u8]) -> bool {
    matches!(
        name,
        b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun"
    )
}

/// Two digits of a year: 69 to 99 are of the last century (POSIX `strptime`, `%y`).
fn short_year(year: u32) -> i32 {
    let year = year as i32;
    if year < 69 { 2000 + year } else { 1900 + year }
}

/// Whether eight digits may be a date: digits alone could be anything.
fn plausible(date: Date) -> bool {
    matches!(
        date,
        Date::Full {
            year: 1970..=2099,
            month: 1..=12,
            day: 1..=31
        }
    )
}

/// Digits at `at`, at most 20 of them.
fn count_digits(text: &[u8], at: usize) -> usize {
    text.get(at..)
        .unwrap_or_default()
        .iter()
        .take(20)
        .take_while(|byte| byte.is_ascii_digit())
        .count()
}

/// The value of `count` digits at `at`; the caller has counted them and they are at most 9.
fn number(text: &[u8], at: usize, count: usize) -> u32 {
    text[at..at + count]
        .iter()
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

/// A number of one or two digits that no third digit follows, and where it ends.
#[inline]
fn one_or_two(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let digit = |at: usize| {
        text.get(at)
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| u32::from(byte - b'0'))
    };
    let first = digit(at)?;
    match digit(at + 1) {
        None => Some((first, at + 1)),
        Some(second) if digit(at + 2).is_none() => Some((first * 10 + second, at + 2)),
        Some(_) => None,
    }
}
