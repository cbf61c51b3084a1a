//! When to try again: backoff with jitter, and the server's own word (Retry-After).

use std::time::{Duration, SystemTime};

/// The wait after the first failure; it doubles with each.
const FIRST: Duration = Duration::from_millis(500);

/// The longest wait of our own making.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest wait that a server may ask for: a mistyped header must not silence a channel for days.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// The wait after `failures` failures in a row (at least one): between a half and the whole of
/// 0.5 s, 1 s, 2 s … 60 s, at random, so that many senders do not come back in step.
pub fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = (FIRST * 2u32.pow(doublings)).min(LONGEST);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Reads a Retry-After header (RFC 9110, section 10.2.3): seconds or an HTTP date, at most
/// [`RETRY_AFTER_MAX`]. A date in the past is no wait; what is neither is `None`.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit ask for longer than anybody waits.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let wait = date.duration_since(now).unwrap_or_default();
    Some(wait.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit() {
        for (failures, from, to) in [
            (1, 250, 500),
            (2, 500, 1000),
            (5, 4000, 8000),
            (400, 30_000, 60_000),
        ] {
            for _ in 0..100 {
                let wait = backoff(failures).as_millis();
                assert!((from..=to).contains(&wait), "{failures}: {wait}");
            }
        }
    }

    #[test]
    fn reads_every_form_of_retry_after() {
        // 1994-11-06T08:49:37Z, the example of RFC 9110.
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let before = |seconds| date - Duration::from_secs(seconds);
        for (value, now, wait) in [
            ("0", date, Some(0)),
            (" 17 ", date, Some(17)),
            ("99999999999999999999999999", date, Some(600)),
            ("86400", date, Some(600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", before(30), Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", before(30), Some(30)),
            ("Sun Nov  6 08:49:37 1994", before(30), Some(30)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", before(100_000), Some(600)),
            (
                "Sun, 06 Nov 1994 08:49:37 GMT",
                date + Duration::from_secs(5),
                Some(0),
            ),
            ("", date, None),
            ("-5", date, None),
            ("1.5", date, None),
            ("soon", date, None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", date, None),
        ] {
            assert_eq!(
                retry_after(value, now),
                wait.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
