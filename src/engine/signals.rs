//! SIGINT and SIGTERM: the first one ends reading and drains, the second one stops at once. SIGHUP,
//! when something can be opened anew.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

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

/// SIGHUP: what is written to is to be opened anew. Any number of signals before one look are one.
#[derive(Clone, Debug)]
pub struct Hangup {
    /// Set before the byte that wakes is written: who is woken finds it set.
    came: Arc<AtomicBool>,
    wake: Arc<(UnixStream, UnixStream)>,
}

impl Hangup {
    /// A hangup that only [`Hangup::send`] makes.
    pub fn new() -> io::Result<Hangup> {
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        Ok(Hangup {
            came: Arc::default(),
            wake: Arc::new((read, write)),
        })
    }

    /// From now on SIGHUP does not end the process any more. A terminal that goes away has to be seen
    /// by other means then.
    pub fn on_signal(&self) -> io::Result<()> {
        signal_hook::flag::register(SIGHUP, Arc::clone(&self.came))?;
        signal_hook::low_level::pipe::register(SIGHUP, OwnedFd::from(self.wake.1.try_clone()?))?;
        Ok(())
    }

    /// Does what the signal does.
    pub fn send(&self) {
        self.came.store(true, Ordering::Release);
        let _ = io::Write::write(&mut &self.wake.1, b"!");
    }

    /// Whether one came since the last call. No system call, so it may be asked with every batch.
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed) && self.came.swap(false, Ordering::AcqRel)
    }

    /// To be called when the descriptor has woken somebody, before [`Hangup::came`] is asked: it wakes
    /// again with the next signal only.
    pub fn heard(&self) {
        let mut bytes = [0; 64];
        loop {
            match (&self.wake.0).read(&mut bytes) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Readable when one came that was not heard.
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
    fn a_stop_wakes_for_good_and_a_hangup_once() {
        let stop = Stop::new().unwrap();
        assert!(!stop.asked() && !is_readable(stop.descriptor()));
        stop.ask();
        assert!(stop.asked() && is_readable(stop.descriptor()));
        assert!(stop.asked() && is_readable(stop.descriptor()));

        let hangup = Hangup::new().unwrap();
        assert!(!hangup.came());
        for count in [1, 3, 100_000] {
            (0..count).for_each(|_| hangup.send());
            assert!(is_readable(hangup.descriptor()));
            hangup.heard();
            assert!(hangup.came() && !hangup.came() && !is_readable(hangup.descriptor()));
        }
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

    #[test]
    fn sighup_wakes_and_does_not_end_the_process() {
        let hangup = Hangup::new().unwrap();
        hangup.on_signal().unwrap();
        for _ in 0..3 {
            signal_hook::low_level::raise(SIGHUP).unwrap();
            assert!(is_readable(hangup.descriptor()));
            hangup.heard();
            assert!(hangup.came() && !hangup.came());
        }
    }
}
