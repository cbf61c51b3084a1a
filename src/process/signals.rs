//! SIGHUP, when something can be opened anew. What ends a run is [`crate::stop`].

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGHUP;

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
    fn a_hangup_wakes_once() {
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
