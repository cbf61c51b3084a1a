//! The two clocks of a live run, behind a trait so that tests hand in the time. Reading a file to
//! its end asks no clock (DESIGN, "Clock").

use std::time::{Duration, Instant, SystemTime};

/// Where a live run takes the time from.
pub trait Clock: Send + Sync {
    /// Wall-clock time in nanoseconds since 1970-01-01T00:00:00Z. It may jump in both directions, so
    /// it is only shown or stored, never waited for.
    fn wall_nanoseconds(&self) -> i64;

    /// Time since some fixed moment; never goes back. Waits and intervals are measured with it.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct System {
    started: Instant,
}

impl System {
    #[expect(clippy::new_without_default, reason = "two of them do not agree")]
    pub fn new() -> System {
        System {
            started: Instant::now(),
        }
    }
}

impl Clock for System {
    fn wall_nanoseconds(&self) -> i64 {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since_1970.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
