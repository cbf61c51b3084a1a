//! Asks a run to end. SIGINT and SIGTERM: the first one ends reading and drains, the second one stops at
//! once.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

/// Says whether the run has been asked to end, and wakes those who wait in `poll`.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    /// By a signal. A run also stops because nobody reads its output any more, often at the very moment
    /// of the first signal: that one is not to count as the second.
    signalled: Arc<AtomicBool>,
    wake: Arc<(UnixStream, UnixStream)>,
}

impl Stop {
    /// A stop that only [`Stop::ask`] sets.
    pub fn new() -> io::Result<Stop> {
        let (read, write) = UnixStream::pair()?;
        write.set_nonblocking(true)?;
        Ok(Stop {
            asked: Arc::default(),
            signalled: Arc::default(),
            wake: Arc::new((read, write)),
        })
    }

    /// Also stops on SIGINT and SIGTERM. A second signal ends the process with 130 or 143.
    pub fn on_signals(&self) -> io::Result<()> {
        // A signal between two of the registrations below is caught by those that stand already, and
        // would be without effect if this did not remember it.
        let early = Arc::new(AtomicBool::new(false));
        for (signal, exit_code) in [(SIGINT, 130), (SIGTERM, 143)] {
            signal_hook::flag::register(signal, Arc::clone(&early))?;
            // The order matters: at the first signal the flag is still unset, so this does nothing.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                exit_code,
                Arc::clone(&self.signalled),
            )?;
            signal_hook::flag::register(signal, Arc::clone(&self.signalled))?;
            signal_hook::flag::register(signal, Arc::clone(&self.asked))?;
            signal_hook::low_level::pipe::register(
                signal,
                OwnedFd::from(self.wake.1.try_clone()?),
            )?;
        }
        if early.load(Ordering::Relaxed) {
            self.signalled.store(true, Ordering::Relaxed);
            self.ask();
        }
        // A limit on file sizes then fails the write, as a full disk does, instead of ending the
        // process without a word.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        Ok(())
    }

    /// Ends reading, as a signal does.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        // A full wake pipe wakes just as well.
        let _ = io::Write::write(&mut &self.wake.1, b"!");
    }

    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Becomes readable, and stays so, once the run has been asked to end.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.wake.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
        let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn a_stop_wakes_for_good() {
        let stop = Stop::new().unwrap();
        assert!(!stop.asked() && !is_readable(stop.descriptor()));
        stop.ask();
        assert!(stop.asked() && is_readable(stop.descriptor()));
        assert!(stop.asked() && is_readable(stop.descriptor()));
    }

    #[test]
    fn the_first_signal_is_the_first_whatever_else_asked_to_stop() {
        let stop = Stop::new().unwrap();
        stop.on_signals().unwrap();
        stop.ask();
        // Would end the process with 143 if it were taken for the second.
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(stop.asked() && is_readable(stop.descriptor()));
    }
}
