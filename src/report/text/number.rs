//! Numbers as people read them: grouped counts, shares, sizes and durations in the unit that fits.

use crate::units::Unit;

/// `1,234,567`
pub fn count(count: u64) -> String {
    group_digits(&count.to_string())
}

/// `12,345 records`, `1 record`
pub fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

fn group_digits(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let mut grouped = String::from(sign);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `12 %`, `1.2 %`, `<0.1 %`. Never 100 % for less than all.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".to_owned();
    }
    if part >= whole {
        return "100 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 0.1 {
        "<0.1 %".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{:.0} %", percent.min(99.0))
    }
}

/// A size: `375 KiB`.
pub fn size(bytes: u64) -> String {
    scaled(bytes as f64, 3, 1024.0, &SIZES)
}

const SIZES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A span of time with its two largest parts: `9m 7s`, `2d 4h`.
pub fn span(seconds: u64) -> String {
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|part| part.0 > 0).unwrap_or(3);
    parts[first..]
        .iter()
        .take(2)
        .filter(|part| part.0 > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .reduce(|all, part| format!("{all} {part}"))
        .unwrap_or_else(|| "0s".to_owned())
}

/// How often something happens: `12.3/s`, `4/min`, `2/h`, `1/d`.
pub fn rate(events: u64, seconds: u64) -> String {
    let second = events as f64 / seconds.max(1) as f64;
    for (length, unit) in [(1.0, "s"), (60.0, "min"), (3600.0, "h")] {
        if second * length >= 1.0 {
            return format!("{}/{unit}", significant(second * length, 3));
        }
    }
    format!("{}/d", significant(second * 86_400.0, 3))
}

/// A metric's value in the unit that suits its size, with three or four digits that count.
pub fn quantity(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "NaN" } else { "∞" }.to_owned();
    }
    match unit {
        Unit::Milliseconds => duration(value),
        Unit::Bytes => scaled(value, 3, 1024.0, &SIZES),
        Unit::Percent => format!("{} %", significant(value, 3)),
        Unit::None => bare(value),
    }
}

/// A number without a unit. Below a million it is written out.
fn bare(value: f64) -> String {
    if value.abs() < 999_999.5 {
        let digits = if value.fract() == 0.0 { 6 } else { 4 };
        return significant(value, digits);
    }
    if value.abs() >= 1e18 {
        return format!("{value:.2e}");
    }
    scaled(value, 4, 1000.0, &["", "k", "M", "G", "T", "P", "E"])
}

fn scaled(value: f64, digits: usize, base: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    // What rounds to the next unit's 1 is written as that.
    while value.abs() >= base - 0.5 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    // Whole bytes are whole.
    let digits = if unit == 0 { 4 } else { digits };
    let number = significant(value, digits);
    if units[unit].is_empty() {
        number
    } else {
        format!("{number} {}", units[unit])
    }
}

fn duration(milliseconds: f64) -> String {
    const UNITS: [(f64, f64, &str); 6] = [
        // Up to how many milliseconds, what one is worth, its sign.
        (0.000_999_5, 1e-6, "ns"),
        (0.999_5, 1e-3, "µs"),
        (999.5, 1.0, "ms"),
        (119_950.0, 1e3, "s"),
        (7_197_000.0, 60e3, "min"),
        (172_728_000.0, 3600e3, "h"),
    ];
    let size = milliseconds.abs();
    if size == 0.0 {
        return "0 ms".to_owned();
    }
    let (worth, sign) = UNITS
        .iter()
        .find(|unit| size < unit.0)
        .map_or((86_400e3, "d"), |unit| (unit.1, unit.2));
    format!("{} {sign}", significant(milliseconds / worth, 3))
}

/// `value` with that many digits that count, at least all before the point; zeros at the end of
/// decimals say nothing and are left out.
pub fn significant(value: f64, digits: usize) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if size < 1e-4 {
        let decimals = digits.saturating_sub(1);
        return format!("{value:.decimals$e}");
    }
    if size >= 1e15 {
        return format!("{value:.2e}");
    }
    let before = size.log10().floor() as i32 + 1;
    let decimals = (digits as i32 - before).max(0) as usize;
    let written = format!("{value:.decimals$}");
    let (whole, fraction) = match written.split_once('.') {
        Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
        None => (&*written, ""),
    };
    let whole = group_digits(whole);
    if fraction.is_empty() {
        whole
    } else {
        format!("{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (number, want) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(count(number), want);
        }
        assert_eq!(counted(1, "record"), "1 record");
    }

    #[test]
    fn a_share_is_all_only_if_nothing_is_missing() {
        assert_eq!(share(9_999, 10_000), "99 %");
        assert_eq!(share(10_000, 10_000), "100 %");
        assert_eq!(share(1, 1_000_000), "<0.1 %");
        assert_eq!(share(12, 1000), "1.2 %");
        assert_eq!(share(0, 0), "0 %");
    }

    #[test]
    fn durations_and_sizes_take_the_unit_that_fits() {
        for (value, want) in [
            (0.0, "0 ms"),
            (0.0005, "500 ns"),
            (0.25, "250 µs"),
            (12.345, "12.3 ms"),
            (999.6, "1 s"),
            (90_000.0, "90 s"),
            (150_000.0, "2.5 min"),
            (-1500.0, "-1.5 s"),
            (7_200_000.0, "2 h"),
            (259_200_000.0, "3 d"),
        ] {
            assert_eq!(quantity(value, Unit::Milliseconds), want, "{value}");
        }
        for (value, want) in [
            (0.0, "0 B"),
            (1023.0, "1,023 B"),
            (1536.0, "1.5 KiB"),
            (3.0 * 1024f64.powi(3), "3 GiB"),
        ] {
            assert_eq!(quantity(value, Unit::Bytes), want, "{value}");
        }
    }

    #[test]
    fn bare_numbers_keep_four_digits_and_whole_ones_all() {
        for (value, want) in [
            (200.0, "200"),
            (123_456.0, "123,456"),
            (12_345_678.0, "12.35 M"),
            (0.123456, "0.1235"),
            (99.995, "100"),
            (1234.5678, "1,235"),
            (1e-9, "1.000e-9"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(quantity(value, Unit::None), want, "{value}");
        }
    }

    #[test]
    fn spans_and_rates_are_short() {
        for (seconds, want) in [
            (0, "0s"),
            (547, "9m 7s"),
            (3600, "1h"),
            (187_200, "2d 4h"),
            (86_401, "1d"),
        ] {
            assert_eq!(span(seconds), want);
        }
        assert_eq!(rate(123, 10), "12.3/s");
        assert_eq!(rate(2, 60), "2/min");
        assert_eq!(rate(1, 86_400), "1/d");
    }
}
