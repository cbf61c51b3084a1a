//! Time that passes only when the schedule says so. The wall clock may be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use logweir::clock::Clock;

/// 2026-11-22T10:00:00Z.
const START: i64 = 1_795_341_600_000_000_000;

#[derive(Clone, Debug)]
pub struct SimClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    monotonic: AtomicU64,
    /// What the wall clock shows more than the monotonic one.
    ahead: AtomicI64,
}

impl SimClock {
    pub fn new() -> SimClock {
        SimClock(Arc::new(Hands {
            monotonic: AtomicU64::new(1_000_000_000),
            ahead: AtomicI64::new(START),
        }))
    }

    pub fn pass(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).expect("schedules last hours at most");
        self.0.monotonic.fetch_add(nanoseconds, Relaxed);
    }

    pub fn set_wall_by(&self, nanoseconds: i64) {
        self.0.ahead.fetch_add(nanoseconds, Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_nanoseconds(&self) -> i64 {
        self.0.ahead.load(Relaxed) + self.0.monotonic.load(Relaxed).cast_signed()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.0.monotonic.load(Relaxed))
    }
}
