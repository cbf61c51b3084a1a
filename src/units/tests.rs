//! Quantities against written-out values, numbers against the standard library.

use super::*;
use proptest::prelude::*;

fn check(text: &str, value: f64, unit: Unit) {
    assert_eq!(
        Quantity::parse(text.as_bytes()),
        Some(Quantity { value, unit }),
        "{text:?}"
    );
}

#[test]
fn reads_units() {
    use Unit::{Bytes, Milliseconds, None, Percent};
    check("12.5ms", 12.5, Milliseconds);
    check("3GiB", 3.0 * 1_073_741_824.0, Bytes);
    check("87%", 87.0, Percent);
    check(" 45 %", 45.0, Percent);
    check("1h30m", 5_400_000.0, Milliseconds);
    check("1m3.5s", 63_500.0, Milliseconds);
    check("-1m3.5s", -63_500.0, Milliseconds);
    check("1h 30m", 5_400_000.0, Milliseconds);
    check("2562047h47m16.854775s", 9_223_372_036_854.775, Milliseconds);
    check("1.5s", 1_500.0, Milliseconds);
    check("1.1s", 1_100.0, Milliseconds);
    check("250us", 0.25, Milliseconds);
    check("250µs", 0.25, Milliseconds);
    check("250\u{3bc}s", 0.25, Milliseconds);
    check("10ns", 0.000_01, Milliseconds);
    check("2d", 172_800_000.0, Milliseconds);
    check("1w", 604_800_000.0, Milliseconds);
    check("3 minutes", 180_000.0, Milliseconds);
    check("512KB", 512_000.0, Bytes);
    check("512kB", 512_000.0, Bytes);
    check("512kb", 512_000.0, Bytes);
    check("512KiB", 524_288.0, Bytes);
    check("5 MB", 5_000_000.0, Bytes);
    check("10B", 10.0, Bytes);
    check("5EB", 5e18, Bytes);
    check("5E2B", 500.0, Bytes);
    check("512M", 536_870_912.0, Bytes);
    check("128Mi", 134_217_728.0, Bytes);
    check("-3.5", -3.5, None);
    check("1e6", 1e6, None);
    check("+4", 4.0, None);
    check(".5", 0.5, None);
    check("5.", 5.0, None);
    check("1.7976931348623157e308", f64::MAX, None);
}

#[test]
fn refuses_what_is_no_quantity() {
    for text in [
        "",
        " ",
        "ms",
        "%",
        "-",
        ".",
        "e5",
        "0x10",
        "1_000",
        "1,000",
        "12:30",
        "1.2.3",
        "10.0.0.1",
        "5k",
        "5g",
        "5Mb",
        "5b",
        "5i",
        "5KBs",
        "5iB",
        "30m1h",
        "1s1s",
        "1h-30m",
        "1h30",
        "1h30%",
        "5MB3KB",
        "1 2",
        "NaN",
        "Inf",
        "-inf",
        "5 m/s",
        "2024-01-01",
        "9f",
        "1e",
        "12ms.",
        "5 \u{fffd}",
    ] {
        assert_eq!(Quantity::parse(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn reads_numbers_like_the_standard_library() {
    for text in [
        "0",
        "-0",
        "123.456",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992",
        "18446744073709551615",
        "18446744073709551616",
        "0.1",
        "1e-5",
        "1e400",
        "-1e400",
        "1e-400",
        "5e-324",
        "2.2250738585072011e-308",
        "00000000000000000000001",
        "123456789012345678901234567890.5e-3",
        "NaN",
        "nan",
        "+Inf",
        "-inf",
        "Infinity",
        "1e99999999999",
        "0e99999999999",
        "",
        "+",
        "-",
        ".",
        "+.",
        "e",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        " 1",
        "1 ",
        "infinit",
        "--1",
        "+-1",
        "1.5.2",
    ] {
        let want = text.parse::<f64>().ok();
        assert_eq!(
            number(text.as_bytes()).map(f64::to_bits),
            want.map(f64::to_bits),
            "{text:?}"
        );
    }
}

#[test]
fn reads_sizes_of_flags() {
    for (text, want) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("64MiB", 64 << 20),
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("64 mib", 64 << 20),
        ("64Mi", 64 << 20),
        ("1.5k", 1536),
        ("1.5GB", 1_500_000_000),
        ("10b", 10),
        ("9223372036854775807", i64::MAX as u64),
        ("15EiB", 15 << 60),
        ("2 bytes", 2),
    ] {
        assert_eq!(byte_size(text), Ok(want), "{text:?}");
    }
    for text in [
        "", "x", "MiB", "-1", "5 fish", "5s", "5%", "16EiB", "1e30", "NaN", "5kk",
    ] {
        let error = byte_size(text).expect_err(text);
        assert!(error.starts_with(&format!("{text:?} is ")), "{error}");
    }
}

#[test]
fn reads_durations_of_flags() {
    for (text, want) in [
        ("0", 0),
        ("500ms", 500_000_000),
        ("5m", 300_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("26h", 93_600_000_000_000),
        ("2d", 172_800_000_000_000),
        ("1.5s", 1_500_000_000),
        ("-5m", -300_000_000_000),
        ("1ns", 1),
        ("9223372036854775807ns", i64::MAX),
        ("1 h 30 min", 5_400_000_000_000),
    ] {
        assert_eq!(duration_nanoseconds(text), Ok(want), "{text:?}");
    }
    for text in [
        "",
        "5",
        "x",
        "5MB",
        "m",
        "--5m",
        "1s1m",
        "1s1s",
        "300y",
        "9223372036854775808ns",
        "1000000w",
        "5m30",
        "5m ago",
    ] {
        let error = duration_nanoseconds(text).expect_err(text);
        assert!(error.starts_with(&format!("{text:?} is ")), "{error}");
    }
}

proptest! {
    #[test]
    fn any_double_reads_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        for text in [format!("{value}"), format!("{value:e}")] {
            prop_assert_eq!(number(text.as_bytes()).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
        }
    }

    #[test]
    fn any_decimal_rounds_like_the_standard_library(text in "[+-]?[0-9]{0,21}(\\.[0-9]{0,24})?([eE][+-]?[0-9]{1,3})?") {
        prop_assert_eq!(number(text.as_bytes()).map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits));
    }

    #[test]
    fn any_text_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..24)) {
        let _ = Quantity::parse(&text);
        prop_assert_eq!(number(&text).map(f64::to_bits), std::str::from_utf8(&text).ok().and_then(|text| text.parse::<f64>().ok()).map(f64::to_bits));
    }

    #[test]
    fn any_near_quantity_is_read_or_refused(text in "[-+]?[0-9.eE ]{1,6}(ms|s|m|h|d|K|GiB|kB|%|[a-zA-Z]{0,3})[0-9]{0,3}(s|m|ms)?") {
        let _ = Quantity::parse(text.as_bytes());
        let _ = byte_size(&text);
        let _ = duration_nanoseconds(&text);
    }
}
