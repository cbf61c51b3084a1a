//! Quantities as people write them: `12.5ms`, `3GiB`, `87%`. Durations become milliseconds, sizes
//! become bytes, a percentage stays its number. The unit comes from the value's own text, never
//! from a field's name. Used by the parsers, the condition language and the command line.

pub mod calendar;

use std::time::Duration;

/// What a number counts, as far as its text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// No unit in the text.
    #[default]
    None,
    /// A duration; the value is in milliseconds.
    Milliseconds,
    /// A size; the value is in bytes.
    Bytes,
    /// A percentage; the value is the number before the sign.
    Percent,
}

impl Unit {
    /// The sign that reports print: empty, `ms`, `B` or `%`.
    pub fn sign(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Milliseconds => "ms",
            Unit::Bytes => "B",
            Unit::Percent => "%",
        }
    }
}

/// A number with its unit, already converted (see [`Unit`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    pub value: f64,
    pub unit: Unit,
}

impl Quantity {
    /// Reads `text` as a whole: a decimal number, blanks, an optional unit, blanks around it.
    ///
    /// | unit | means | value |
    /// |---|---|---|
    /// | `ns us µs ms s m h d w`, also `nsec usec msec sec min hr` and the full words | durations | milliseconds |
    /// | `B`, `byte`, `bytes` | sizes | bytes |
    /// | `kB KB MB GB TB PB EB`, or all small (`mb`) | powers of 1000 | bytes |
    /// | `KiB MiB GiB TiB PiB EiB` in any case, `Ki Mi Gi Ti Pi Ei` | powers of 1024 | bytes |
    /// | `K M G T P` | powers of 1024, as the JVM, Spark and `ls -h` print them | bytes |
    /// | `%` | percentage | the number |
    ///
    /// `m` alone is minutes, as Go, Prometheus and Kubernetes write it; a small `k`, `g` or `t` alone
    /// is no unit, nor are `Kb`, `Mb`, `Gb` (often bits). Durations may be compound with falling
    /// units and one sign (`1h30m`, `-1m3.5s`). NaN and infinity are not quantities.
    pub fn parse(text: &[u8]) -> Option<Quantity> {
        let text = text.trim_ascii();
        let decimal = Decimal::scan(text)?;
        let rest = &text[decimal.end..];
        if rest.is_empty() {
            return Some(Quantity {
                value: decimal.scaled(text, Scale::ONE),
                unit: Unit::None,
            });
        }
        let (suffix, rest) = split_suffix(rest.trim_ascii_start());
        let (unit, scale) = unit_of(suffix)?;
        let value = decimal.scaled(text, scale);
        if rest.is_empty() {
            return Some(Quantity { value, unit });
        }
        if unit != Unit::Milliseconds {
            return None;
        }
        let mut sum = value.abs();
        let mut above = scale;
        let mut rest = rest;
        while !rest.is_empty() {
            let (part, scale, tail) = next_part(rest)?;
            if !scale.is_shorter_than(above) {
                return None;
            }
            sum += part.scaled(rest, scale);
            (above, rest) = (scale, tail);
        }
        Some(Quantity {
            value: if decimal.negative { -sum } else { sum },
            unit,
        })
    }
}

/// The number that `text` is, exactly as `str::parse::<f64>` rounds it: decimal digits with an
/// optional sign, point and exponent, or `NaN`, `Inf`, `Infinity` in any case with an optional sign
/// (Prometheus values; [`Quantity::parse`] does not take those). No blanks, no underscores, no hex. A
/// number beyond the range is infinite, so a caller that sums must look at `is_finite`.
pub fn number(text: &[u8]) -> Option<f64> {
    match Decimal::scan(text) {
        Some(decimal) if decimal.end == text.len() => Some(decimal.scaled(text, Scale::ONE)),
        Some(_) => None,
        None => special(text),
    }
}

fn special(text: &[u8]) -> Option<f64> {
    let (negative, word) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = if word.eq_ignore_ascii_case(b"nan") {
        f64::NAN
    } else if word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"infinity") {
        f64::INFINITY
    } else {
        return None;
    };
    Some(if negative { -value } else { value })
}

/// The number that `text` is, times `10^ten`, rounded half away from zero: epoch seconds with decimals
/// become nanoseconds without passing through a double. `None` if it is no finite decimal number or
/// does not fit.
pub fn scaled_integer(text: &[u8], ten: u32) -> Option<i64> {
    let decimal = Decimal::scan(text).filter(|decimal| decimal.end == text.len())?;
    let scale = Scale::ten(i32::try_from(ten).ok()?);
    let Some(whole) = decimal.whole(scale) else {
        // More than 19 digits: a double is as good as such a number gets.
        let value = decimal.scaled(text, scale).round();
        return (value.abs() < i64::MAX as f64).then_some(value as i64);
    };
    let whole = i128::try_from(whole).ok()?;
    i64::try_from(if decimal.negative { -whole } else { whole }).ok()
}

/// A size on the command line or in the configuration, in bytes: `1048576`, `64MiB`, `64M`, `1.5GB`.
/// A size is what is expected here, so the case of the unit does not matter, and `k m g t` alone
/// are powers of 1024; `kb mb gb tb` are powers of 1000.
pub fn byte_size(text: &str) -> Result<u64, String> {
    let remedy = |what: &str| {
        format!(
            "{text:?} is {what}; write a number of bytes, or one with k, M, G or KiB, MiB, GiB (1024) or kB, MB, GB (1000)"
        )
    };
    let bytes = text.trim_ascii().as_bytes();
    let decimal = Decimal::scan(bytes).ok_or_else(|| remedy("not a size"))?;
    let suffix = bytes[decimal.end..].trim_ascii_start().to_ascii_uppercase();
    let scale = match &*suffix {
        b"" => Scale::ONE,
        b"BYTE" | b"BYTES" => Scale::ONE,
        [b'K' | b'M' | b'G' | b'T' | b'P' | b'E'] => {
            size_scale(suffix[0], 1024).ok_or_else(|| remedy("not a size"))?
        }
        other => match unit_of(other).or_else(|| unit_of(&restore_small_i(other))) {
            Some((Unit::Bytes, scale)) => scale,
            _ => return Err(remedy("not a size")),
        },
    };
    if decimal.negative {
        return Err(remedy("negative"));
    }
    decimal
        .whole(scale)
        .and_then(|whole| u64::try_from(whole).ok())
        .ok_or_else(|| remedy("too large"))
}

/// `KIB` as the table spells it.
fn restore_small_i(upper: &[u8]) -> Vec<u8> {
    upper
        .iter()
        .enumerate()
        .map(|(at, &byte)| if at == 1 && byte == b'I' { b'i' } else { byte })
        .collect()
}

/// A duration that was checked when the configuration was read.
pub fn duration(text: &str) -> Duration {
    Duration::from_nanos(duration_nanoseconds(text).unwrap_or(0).unsigned_abs())
}

/// A duration on the command line or in the configuration, in nanoseconds: `500ms`, `5m`, `1h30m`,
/// `26h`, `2d`, with an optional sign. A bare number has no meaning as a duration, except 0.
pub fn duration_nanoseconds(text: &str) -> Result<i64, String> {
    let remedy = |what: &str| {
        format!(
            "{text:?} is {what}; write a number with ns, us, ms, s, m, h, d or w, such as \"500ms\", \"5m\" or \"1h30m\""
        )
    };
    let bytes = text.trim_ascii().as_bytes();
    let (negative, mut rest) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    if let Some(decimal) = Decimal::scan(rest)
        && decimal.end == rest.len()
        && !decimal.signed
    {
        return if decimal.mantissa == 0 {
            Ok(0)
        } else {
            Err(remedy("a duration without a unit"))
        };
    }
    let mut sum = 0i128;
    let mut above: Option<Scale> = None;
    while !rest.is_empty() || above.is_none() {
        let (part, scale, tail) = next_part(rest).ok_or_else(|| remedy("not a duration"))?;
        if above.is_some_and(|above| !scale.is_shorter_than(above)) {
            return Err(remedy(
                "not a duration: its units must fall, each at most once",
            ));
        }
        // Scales are in milliseconds; a million of them make the nanoseconds.
        let nanoseconds = part
            .whole(Scale {
                ten: scale.ten + 6,
                ..scale
            })
            .ok_or_else(|| remedy("too long"))?;
        sum = i128::try_from(nanoseconds)
            .ok()
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| remedy("too long"))?;
        (above, rest) = (Some(scale), tail);
    }
    i64::try_from(if negative { -sum } else { sum }).map_err(|_| remedy("too long"))
}

/// One part of a compound duration at the start of `text`: an unsigned number, its unit's scale,
/// and what follows.
fn next_part(text: &[u8]) -> Option<(Decimal, Scale, &[u8])> {
    let decimal = Decimal::scan(text)?;
    if decimal.signed {
        return None;
    }
    let (suffix, rest) = split_suffix(text[decimal.end..].trim_ascii_start());
    match unit_of(suffix)? {
        (Unit::Milliseconds, scale) => Some((decimal, scale, rest)),
        _ => None,
    }
}

/// The unit's letters and what follows them, without the blanks between.
fn split_suffix(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'\t' | b'.' | b'+' | b'-'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// What a unit multiplies by: `factor · 10^ten · 2^two`. In these parts every conversion is exact
/// before its one rounding: `1.1s` is 1100 ms, not 1100.0000000000002.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    factor: u32,
    ten: i32,
    two: u32,
}

impl Scale {
    const ONE: Scale = Scale {
        factor: 1,
        ten: 0,
        two: 0,
    };

    const fn ten(ten: i32) -> Scale {
        Scale {
            factor: 1,
            ten,
            two: 0,
        }
    }

    /// A duration's scale: `seconds · 1000` milliseconds.
    const fn seconds(seconds: u32) -> Scale {
        Scale {
            factor: seconds,
            ten: 3,
            two: 0,
        }
    }

    fn as_f64(self) -> f64 {
        f64::from(self.factor) * 10f64.powi(self.ten) * 2f64.powi(self.two as i32)
    }

    /// Orders the units of a compound duration. Only seconds and shorter differ in `ten`.
    fn is_shorter_than(self, other: Scale) -> bool {
        (self.ten, self.factor) < (other.ten, other.factor)
    }
}

/// The table of [`Quantity::parse`].
fn unit_of(suffix: &[u8]) -> Option<(Unit, Scale)> {
    let time = |scale| Some((Unit::Milliseconds, scale));
    match suffix {
        b"%" => Some((Unit::Percent, Scale::ONE)),
        b"ms" | b"msec" | b"msecs" | b"millis" | b"millisecond" | b"milliseconds" => {
            time(Scale::ONE)
        }
        b"s" | b"sec" | b"secs" | b"second" | b"seconds" => time(Scale::seconds(1)),
        b"m" | b"min" | b"mins" | b"minute" | b"minutes" => time(Scale::seconds(60)),
        b"h" | b"hr" | b"hrs" | b"hour" | b"hours" => time(Scale::seconds(3_600)),
        b"d" | b"day" | b"days" => time(Scale::seconds(86_400)),
        b"w" | b"week" | b"weeks" => time(Scale::seconds(604_800)),
        // The micro sign is U+00B5 in most programs and the Greek letter U+03BC in some.
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" | b"usec" | b"usecs" | b"micros" | b"microsecond"
        | b"microseconds" => time(Scale::ten(-3)),
        b"ns" | b"nsec" | b"nsecs" | b"nanos" | b"nanosecond" | b"nanoseconds" => {
            time(Scale::ten(-6))
        }
        b"B" | b"byte" | b"bytes" | b"Bytes" => Some((Unit::Bytes, Scale::ONE)),
        _ => size_of_suffix(suffix).map(|scale| (Unit::Bytes, scale)),
    }
}

fn size_of_suffix(suffix: &[u8]) -> Option<Scale> {
    match *suffix {
        [letter @ (b'K' | b'M' | b'G' | b'T' | b'P')] => size_scale(letter, 1024),
        [letter @ (b'K' | b'M' | b'G' | b'T' | b'P' | b'E'), b'i'] => size_scale(letter, 1024),
        [letter, b'i' | b'I', b'B' | b'b'] => size_scale(letter.to_ascii_uppercase(), 1024),
        [b'k', b'B'] => size_scale(b'K', 1000),
        [letter, b'B'] if letter.is_ascii_uppercase() => size_scale(letter, 1000),
        [letter, b'b'] if letter.is_ascii_lowercase() => {
            size_scale(letter.to_ascii_uppercase(), 1000)
        }
        _ => None,
    }
}

/// The power of `base` (1000 or 1024) that the letter stands for.
fn size_scale(letter: u8, base: u32) -> Option<Scale> {
    let power = 1 + b"KMGTPE".iter().position(|&entry| entry == letter)? as u32;
    Some(if base == 1024 {
        Scale {
            factor: 1,
            ten: 0,
            two: 10 * power,
        }
    } else {
        Scale::ten(3 * power as i32)
    })
}

/// A decimal number at the start of a text, not yet rounded: `mantissa · 10^exponent`.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    signed: bool,
    negative: bool,
    mantissa: u64,
    exponent: i32,
    /// The mantissa holds all digits.
    exact: bool,
    /// Where the number ends in the text.
    end: usize,
}

/// 10^0 to 10^22: the powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

impl Decimal {
    /// Reads `[+-] digits [. digits] [e [+-] digits]`; at least one digit before or after the point.
    /// An `e` without digits is not part of the number (`5EB`).
    #[inline]
    fn scan(text: &[u8]) -> Option<Decimal> {
        let (signed, negative) = match text.first() {
            Some(b'-') => (true, true),
            Some(b'+') => (true, false),
            _ => (false, false),
        };
        let start = usize::from(signed);
        let mut at = start;
        let mut mantissa = 0u64;
        while let Some(digit) = text
            .get(at)
            .map(|byte| byte.wrapping_sub(b'0'))
            .filter(|&digit| digit < 10)
        {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        let mut digits = at - start;
        let mut exponent = 0i32;
        if text.get(at) == Some(&b'.') {
            let point = at;
            at += 1;
            while let Some(digit) = text
                .get(at)
                .map(|byte| byte.wrapping_sub(b'0'))
                .filter(|&digit| digit < 10)
            {
                mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
                at += 1;
            }
            let decimals = at - point - 1;
            digits += decimals;
            exponent = -i32::try_from(decimals).unwrap_or(i32::MAX);
        }
        if digits == 0 {
            return None;
        }
        if matches!(text.get(at), Some(b'e' | b'E')) {
            let negative = matches!(text.get(at + 1), Some(b'-'));
            let first = at + 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
            let mut last = first;
            let mut power = 0i32;
            while let Some(digit) = text
                .get(last)
                .map(|byte| byte.wrapping_sub(b'0'))
                .filter(|&digit| digit < 10)
            {
                power = power.saturating_mul(10).saturating_add(i32::from(digit));
                last += 1;
            }
            if last > first {
                exponent = exponent.saturating_add(if negative { -power } else { power });
                at = last;
            }
        }
        // 19 digits always fit in 64 bits.
        Some(Decimal {
            signed,
            negative,
            mantissa,
            exponent,
            exact: digits <= 19,
            end: at,
        })
    }

    /// The value times `scale`, rounded once; `text` is what [`Decimal::scan`] read.
    #[inline]
    fn scaled(&self, text: &[u8], scale: Scale) -> f64 {
        let exponent = self.exponent.saturating_add(scale.ten);
        let mantissa = if self.exact {
            self.mantissa.checked_mul(u64::from(scale.factor))
        } else {
            None
        };
        // Fast path: both operands are exact doubles, so the one operation rounds as IEEE 754 says
        // (Clinger 1990). A later power of two does not round (sizes are far from the range's end).
        if let Some(mantissa) = mantissa
            && mantissa <= 1 << 53
            && exponent.unsigned_abs() <= 22
        {
            let power = POWERS[exponent.unsigned_abs() as usize];
            let value = if exponent < 0 {
                mantissa as f64 / power
            } else {
                mantissa as f64 * power
            };
            let value = if scale.two == 0 {
                value
            } else {
                value * 2f64.powi(scale.two as i32)
            };
            return if self.negative { -value } else { value };
        }
        self.scaled_slowly(text, scale)
    }

    // Slow path: long or huge numbers; the standard library rounds, the unit may round once more.
    #[cold]
    fn scaled_slowly(&self, text: &[u8], scale: Scale) -> f64 {
        let text = std::str::from_utf8(&text[..self.end]).expect("a scanned number is ASCII");
        let value: f64 = text
            .parse()
            .expect("the grammar of the scan is within the one of the standard library");
        if scale == Scale::ONE {
            value
        } else {
            value * scale.as_f64()
        }
    }

    /// The magnitude times `scale` as a whole number, rounded half up; `None` if it does not fit or has
    /// more digits than 64 bits hold.
    fn whole(&self, scale: Scale) -> Option<u128> {
        if !self.exact {
            return None;
        }
        let value = u128::from(self.mantissa)
            .checked_mul(u128::from(scale.factor))?
            .checked_mul(1 << scale.two)?;
        let exponent = self.exponent.saturating_add(scale.ten);
        if value == 0 {
            return Some(0);
        }
        if exponent >= 0 {
            return value.checked_mul(10u128.checked_pow(exponent.unsigned_abs())?);
        }
        match 10u128.checked_pow(exponent.unsigned_abs()) {
            Some(power) => Some(value / power + u128::from(value % power >= power.div_ceil(2))),
            None => Some(0),
        }
    }
}

#[cfg(test)]
mod tests;
