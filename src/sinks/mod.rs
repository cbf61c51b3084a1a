//! Where lines and reports go: one file a sink. A sink writes what it is given and counts it; it
//! decides nothing.

pub mod file;
pub mod http;
pub mod prometheus;
pub mod stdout;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A place for lines. Called from one thread, in order.
pub trait Sink: Send {
    /// Writes all of these whole lines. An error means that some of them are lost to this sink.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Makes sure that everything written has left the process.
    fn finish(&mut self) -> io::Result<()>;

    /// What of the lines written so far is still in the memory of the process. `None` for a sink that is
    /// rid of them when [`Sink::write`] returns.
    fn pending(&self) -> Option<Pending> {
        None
    }
}

/// Counts what has arrived of what was written to a sink.
#[derive(Debug, Default)]
pub struct Arrivals {
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Count {
    bytes: u64,
    is_over: bool,
}

impl Arrivals {
    /// So many more bytes are at the receiver, or durable in another place.
    pub fn add(&self, bytes: u64) {
        self.lock().bytes += bytes;
        self.changed.notify_all();
    }

    /// No more will arrive.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        // A count is whole at every moment.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines on their way to a receiver: the first `bytes` of all that was written to the sink.
#[derive(Clone, Debug)]
pub struct Pending {
    pub arrivals: Arc<Arrivals>,
    pub bytes: u64,
}

/// What became of lines on their way, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    Arrived,
    Waiting,
    /// The sink has ended, and some of them have not arrived.
    Missing,
}

impl Pending {
    pub fn look(&self) -> Arrival {
        self.judge(&self.arrivals.lock())
    }

    /// Waits until the lines have arrived or the sink has ended; the sink bounds the wait once the run is
    /// asked to end.
    pub fn wait(&self) -> Arrival {
        let mut count = self.arrivals.lock();
        loop {
            match self.judge(&count) {
                Arrival::Waiting => {}
                end => return end,
            }
            let woken = self.arrivals.changed.wait(count);
            count = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn judge(&self, count: &Count) -> Arrival {
        if count.bytes >= self.bytes {
            Arrival::Arrived
        } else if count.is_over {
            Arrival::Missing
        } else {
            Arrival::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_arrive_or_are_missing() {
        let arrivals = Arc::new(Arrivals::default());
        let pending = |bytes| Pending {
            arrivals: Arc::clone(&arrivals),
            bytes,
        };
        let (first, second) = (pending(5), pending(9));
        assert_eq!(pending(0).wait(), Arrival::Arrived);
        assert_eq!(first.look(), Arrival::Waiting);
        let waiting = std::thread::spawn(move || (first.wait(), second.wait()));
        arrivals.add(3);
        arrivals.add(4);
        arrivals.end();
        assert_eq!(
            waiting.join().unwrap(),
            (Arrival::Arrived, Arrival::Missing)
        );
    }
}
