//! The grace thread of a live run: ends the process if it does not end by itself within the grace
//! time after it was asked to, and tells the service manager's watchdog that the fold is alive.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::engine::budget::{Budget, Way};
use crate::process::diagnostics;
use crate::process::systemd::Systemd;
use crate::stop::Stop;

/// Exit code of a process that the grace ended: its output is not complete.
const EXIT_CODE: i32 = 74;

/// What the grace needs to know.
pub struct Grace {
    /// From the first signal on.
    pub grace: Duration,
    /// What was read and not written is read again by the next start.
    pub reads_again: bool,
    pub systemd: Option<Arc<Systemd>>,
    /// Set before a stop after which another run follows in this process: the service does not end.
    pub goes_on: Option<Arc<AtomicBool>>,
    /// What is done when the grace time is over, with the words for the user: [`end`] but in tests.
    pub end: Box<dyn FnOnce(&str) + Send>,
}

/// Ends the process, which has been asked to long ago.
pub fn end(text: &str) {
    diagnostics::try_say(text);
    std::process::exit(EXIT_CODE);
}

/// Keeps as long as this lives. It is to live until everything is written, the last report too.
#[derive(Debug)]
pub struct Kept {
    over: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The thread's end of the pair becomes readable.
        let _ = self.over.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Grace {
    pub fn start(self, budget: Arc<Budget>, stop: Stop) -> io::Result<Kept> {
        let (over, ours) = UnixStream::pair()?;
        let thread = thread::Builder::new()
            .name("grace".to_owned())
            .spawn(move || self.keep(&budget, &stop, &ours))?;
        Ok(Kept {
            over,
            thread: Some(thread),
        })
    }

    /// Sleeps until something has to be done: asked to stop, over, or time for the watchdog.
    fn keep(self, budget: &Budget, stop: &Stop, over: &UnixStream) {
        let watchdog = self.systemd.as_ref().and_then(|systemd| systemd.watchdog());
        let beat = watchdog.map(|within| within / 2);
        let mut next_beat = beat.map(|beat| Instant::now() + beat);
        let mut before = budget.way();
        let mut deadline = None;
        loop {
            let until = [next_beat, deadline].into_iter().flatten().min();
            let timeout = until.map(|until| timespec(until.duration_since(Instant::now())));
            let mut polled = [
                PollFd::new(over, PollFlags::IN),
                PollFd::from_borrowed_fd(stop.descriptor(), PollFlags::IN),
            ];
            // A stop is heard once.
            let count = 1 + usize::from(deadline.is_none());
            match poll(&mut polled[..count], timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !polled[0].revents().is_empty() {
                return;
            }
            let now = Instant::now();
            if deadline.is_none() && stop.asked() {
                let goes_on = self.goes_on.as_ref();
                if let Some(systemd) = &self.systemd
                    && !goes_on.is_some_and(|goes_on| goes_on.load(Ordering::Relaxed))
                {
                    systemd.stopping();
                }
                deadline = Some(now + self.grace);
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                let text = self.last_words(budget.way());
                return (self.end)(&text);
            }
            if let (Some(beat), Some(due), Some(systemd)) = (beat, next_beat, &self.systemd)
                && now >= due
            {
                let way = budget.way();
                if lives(before, way) {
                    systemd.alive();
                }
                before = way;
                next_beat = Some(now + beat);
            }
        }
    }

    fn last_words(&self, way: Way) -> String {
        let seconds = self.grace.as_secs_f64();
        let bytes = way.unwritten_bytes;
        let what = match (bytes, self.reads_again) {
            (0, _) => "the end is not written",
            (_, true) => "are not written; they are read again at the next start",
            (_, false) => "are not written, and nothing reads them again",
        };
        let read = match bytes {
            0 => String::new(),
            _ => format!("{bytes} bytes that were read "),
        };
        format!("{seconds} s after the first signal {read}{what}")
    }
}

/// Whether the fold took something in since the look before, or had nothing to do then: what waits now
/// came later. A sink that waits for a disk with room holds up neither.
fn lives(before: Way, now: Way) -> bool {
    now.folded != before.folded || before.folded == before.taken
}

/// A wait for the kernel.
pub fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::process::systemd::tests::{manager, message};

    fn grace(grace: Duration, reads_again: bool) -> (Grace, Receiver<String>) {
        let (said, says) = channel();
        let grace = Grace {
            grace,
            reads_again,
            systemd: None,
            goes_on: None,
            end: Box::new(move |text| said.send(text.to_owned()).unwrap()),
        };
        (grace, says)
    }

    #[test]
    fn ends_what_does_not_end_and_says_what_is_not_written() {
        for (reads_again, want) in [
            (
                true,
                "0.01 s after the first signal 300 bytes that were read are not written; \
                 they are read again at the next start",
            ),
            (
                false,
                "0.01 s after the first signal 300 bytes that were read are not written, \
                 and nothing reads them again",
            ),
        ] {
            let (budget, stop) = (Budget::new(10), Stop::new().unwrap());
            let _stuck = budget.take(4).of(300);
            let (grace, says) = grace(Duration::from_millis(10), reads_again);
            let _kept = grace.start(Arc::clone(&budget), stop.clone()).unwrap();
            assert!(says.try_recv().is_err());
            stop.ask();
            let text = says.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(text, want);
        }
    }

    #[test]
    fn a_run_that_ends_in_time_ends_by_itself() {
        for asked in [false, true] {
            let (budget, stop) = (Budget::new(10), Stop::new().unwrap());
            let (grace, says) = grace(Duration::from_secs(3600), true);
            let kept = grace.start(budget, stop.clone()).unwrap();
            if asked {
                stop.ask();
            }
            drop(kept);
            // The thread is gone, and said nothing.
            assert!(says.recv().is_err());
        }
    }

    #[test]
    fn tells_of_a_stop_once_and_of_life_as_long_as_the_fold_lives() {
        let (manager, systemd) = manager(Some(Duration::from_millis(10)));
        let (budget, stop) = (Budget::new(10), Stop::new().unwrap());
        let (mut grace, says) = grace(Duration::from_millis(50), true);
        grace.systemd = Some(Arc::new(systemd));
        let mut permit = budget.take(1);
        permit.folded();
        let kept = grace.start(Arc::clone(&budget), stop.clone()).unwrap();
        // Idle, since a sink that waits is no matter of the fold.
        assert_eq!(message(&manager), "WATCHDOG=1");
        assert_eq!(message(&manager), "WATCHDOG=1");
        stop.ask();
        let mut messages = Vec::new();
        says.recv().unwrap();
        drop(kept);
        manager.set_nonblocking(true).unwrap();
        let mut bytes = [0; 64];
        while let Ok(count) = manager.recv(&mut bytes) {
            messages.push(bytes[..count].to_vec());
        }
        let stops = messages.iter().filter(|text| *text == b"STOPPING=1");
        assert_eq!(stops.count(), 1);

        let way = |taken, folded| Way {
            unwritten_bytes: 0,
            taken,
            folded,
        };
        assert!(lives(way(3, 3), way(3, 3)) && lives(way(9, 3), way(9, 4)));
        assert!(lives(way(3, 3), way(4, 3)) && !lives(way(4, 3), way(9, 3)));
    }
}
