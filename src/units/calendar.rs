//! Words of the calendar as a configuration says them: `08:00`, `08:00-18:00`, `monday:friday`, `1:5`,
//! `january`, `2026:2028`. Alertmanager's words.

/// Days of the week, Monday first.
const DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Minutes since midnight of `08:00`; `24:00` is the end of the day.
pub fn minute(text: &str) -> Result<u16, String> {
    let wrong = || "is not a time of day; write it like \"08:00\"".to_owned();
    let (hour, minute) = text.trim().split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| -> Option<u16> {
        let is_short = (1..=2).contains(&text.len());
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_short && is_number)
    };
    let (hour, minute) = number(hour).zip(number(minute)).ok_or_else(wrong)?;
    if hour > 24 || minute > 59 || (hour == 24 && minute > 0) {
        return Err("is later than 24:00, the end of the day".to_owned());
    }
    Ok(hour * 60 + minute)
}

/// Minutes since midnight of `08:00-18:00`, the second one not included.
pub fn minutes(text: &str) -> Result<(u16, u16), String> {
    let wrong = || "is not a span of a day; write it like \"08:00-18:00\"".to_owned();
    let (start, end) = text.split_once('-').ok_or_else(wrong)?;
    let (start, end) = (minute(start)?, minute(end)?);
    match start.cmp(&end) {
        std::cmp::Ordering::Less => Ok((start, end)),
        std::cmp::Ordering::Equal => Err("is empty; a whole day is \"00:00-24:00\"".to_owned()),
        std::cmp::Ordering::Greater => {
            let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
            Err(format!(
                "goes over midnight; write two: \"{}-24:00\" and \"00:00-{}\"",
                clock(start),
                clock(end)
            ))
        }
    }
}

/// A bit for each day of `monday:friday` or `saturday`, Monday first.
pub fn weekdays(text: &str) -> Result<u8, String> {
    let (first, last) = range(text);
    let (first, last) = (name(first, &DAYS)?, name(last, &DAYS)?);
    let mut days = 0u8;
    let mut day = first;
    loop {
        days |= 1 << day;
        if day == last {
            return Ok(days);
        }
        // A week goes round: saturday:monday.
        day = (day + 1) % 7;
    }
}

/// A bit for each month of `june:august`, `6:8` or `june`, January first.
pub fn months(text: &str) -> Result<u16, String> {
    let month = |text: &str| match text.parse::<usize>() {
        Ok(number @ 1..=12) => Ok(number - 1),
        Ok(_) => Err("is no month; they are 1 to 12".to_owned()),
        Err(_) => name(text, &MONTHS),
    };
    let (first, last) = range(text);
    let (first, last) = (month(first)?, month(last)?);
    let mut months = 0u16;
    let mut at = first;
    loop {
        months |= 1 << at;
        if at == last {
            return Ok(months);
        }
        at = (at + 1) % 12;
    }
}

/// First and last day of `1:5`, `15` or `-3:-1`, which counts from the end of the month.
pub fn days_of_month(text: &str) -> Result<(i8, i8), String> {
    let day = |text: &str| match text.parse::<i8>() {
        Ok(day) if day != 0 && (-31..=31).contains(&day) => Ok(day),
        _ => Err(
            "is no day of a month; they are 1 to 31, or -1 (the last) to -31, as in \"-3:-1\""
                .to_owned(),
        ),
    };
    let (first, last) = range(text);
    let (first, last) = (day(first)?, day(last)?);
    if (first < 0) == (last < 0) && first > last {
        return Err(format!("never holds; write \"{last}:{first}\""));
    }
    Ok((first, last))
}

/// First and last year of `2026:2028` or `2026`.
pub fn years(text: &str) -> Result<(i16, i16), String> {
    let year = |text: &str| match text.parse::<i16>() {
        Ok(year @ 1970..=9999) => Ok(year),
        _ => Err("is no year; write it like \"2026\" or \"2026:2028\"".to_owned()),
    };
    let (first, last) = range(text);
    let (first, last) = (year(first)?, year(last)?);
    if first > last {
        return Err(format!("never holds; write \"{last}:{first}\""));
    }
    Ok((first, last))
}

fn range(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((first, last)) => (first.trim(), last.trim()),
        None => (text.trim(), text.trim()),
    }
}

/// The place of a name, which may be cut to three letters.
fn name(text: &str, names: &[&str]) -> Result<usize, String> {
    let text = text.to_ascii_lowercase();
    let is_it = |name: &&str| text.len() >= 3 && name.starts_with(&text);
    names.iter().position(is_it).ok_or_else(|| {
        format!(
            "is none of {}; write it like \"{}:{}\"",
            names.join(", "),
            names[0],
            names[4]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_calendar_are_read() {
        assert_eq!(minute("08:00"), Ok(480));
        assert_eq!(minute("24:00"), Ok(1440));
        assert_eq!(minutes("08:00-18:30"), Ok((480, 1110)));
        assert_eq!(weekdays("monday:friday"), Ok(0b001_1111));
        assert_eq!(weekdays("Sat:mon"), Ok(0b110_0001));
        assert_eq!(months("june:august"), Ok(0b1110_0000));
        assert_eq!(months("12"), Ok(1 << 11));
        assert_eq!(days_of_month("-3:-1"), Ok((-3, -1)));
        assert_eq!(years("2026"), Ok((2026, 2026)));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (wrong, part) in [
            (minute("8 o'clock").err(), "write it like"),
            (minute("25:00").err(), "later than 24:00"),
            (
                minutes("22:00-06:00").err(),
                "\"22:00-24:00\" and \"00:00-06:00\"",
            ),
            (minutes("08:00-08:00").err(), "is empty"),
            (weekdays("mo:fri").err(), "monday"),
            (days_of_month("0").err(), "1 to 31"),
            (days_of_month("5:1").err(), "never holds"),
            (years("2028:2026").err(), "never holds"),
        ] {
            let wrong = wrong.expect(part);
            assert!(wrong.contains(part), "{wrong}");
        }
    }
}
