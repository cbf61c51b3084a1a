//! Hears SIGHUP, looks at configuration files that change, and ends a run so that another goes on with
//! the new configuration. A bad one is refused, and the run goes on as it was.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::process::signals::Hangup;
use crate::process::systemd::Systemd;
use crate::stop::Stop;

/// How often files are looked at with `--watch-config`.
const LOOK: Duration = Duration::from_secs(1);

/// Stands beside a run.
pub struct Supervisor {
    /// Signals that end the process.
    pub signals: Stop,
    pub hangup: Hangup,
    /// The service manager, which waits for the end of a reload that it asked for.
    pub systemd: Option<Arc<Systemd>>,
    /// Files that are looked at, with `--watch-config`.
    pub watched: Vec<PathBuf>,
}

/// What a run is told by its supervisor.
pub struct Supervised {
    over: UnixStream,
    thread: JoinHandle<()>,
}

impl Supervisor {
    /// Watches over one run until [`Supervised::end`]: `stop` is its own, `asked` is set when it is
    /// stopped only to go on with what `load` made, which is put into `next`.
    pub fn start<S: Send + 'static>(
        &self,
        stop: Stop,
        asked: Arc<AtomicBool>,
        next: Arc<Mutex<Option<S>>>,
        load: impl Fn() -> Option<S> + Send + 'static,
    ) -> io::Result<Supervised> {
        let (over, ours) = UnixStream::pair()?;
        let signals = self.signals.clone();
        let hangup = self.hangup.clone();
        let systemd = self.systemd.clone();
        let watched = self.watched.clone();
        let thread = std::thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || {
                let mut known = contents(&watched);
                loop {
                    match wait(&signals, &hangup, &ours, !watched.is_empty()) {
                        Heard::Over => return,
                        Heard::End => return stop.ask(),
                        Heard::Hangup => {
                            hangup.heard();
                            if !hangup.came() {
                                continue;
                            }
                        }
                        Heard::Nothing => {
                            let now = contents(&watched);
                            // A file that is being written is looked at once it holds still.
                            if now == known {
                                continue;
                            }
                            std::thread::sleep(LOOK / 10);
                            if contents(&watched) != now {
                                continue;
                            }
                            known = now;
                        }
                    }
                    if let Some(systemd) = &systemd {
                        systemd.reloading();
                    }
                    let setup = load();
                    if let (None, Some(systemd)) = (&setup, &systemd) {
                        // The old configuration goes on; a new one says so when its files are read.
                        systemd.ready();
                    }
                    if let Some(setup) = setup {
                        *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(setup);
                        asked.store(true, Ordering::Relaxed);
                        return stop.ask();
                    }
                }
            })?;
        Ok(Supervised { over, thread })
    }
}

impl Supervised {
    /// The run has ended.
    pub fn end(self) {
        let _ = self.over.shutdown(std::net::Shutdown::Both);
        let _ = self.thread.join();
    }
}

enum Heard {
    /// The run has ended by itself.
    Over,
    /// The process is asked to end.
    End,
    Hangup,
    Nothing,
}

fn wait(signals: &Stop, hangup: &Hangup, over: &UnixStream, looks: bool) -> Heard {
    let timeout = Timespec {
        tv_sec: LOOK.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    let mut polled = [
        PollFd::from_borrowed_fd(over.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(signals.descriptor(), PollFlags::IN),
        PollFd::from_borrowed_fd(hangup.descriptor(), PollFlags::IN),
    ];
    // An interrupted wait is one without news.
    let _ = poll(&mut polled, looks.then_some(&timeout));
    let [over, end, hangup] = polled.map(|polled| !polled.revents().is_empty());
    if over {
        Heard::Over
    } else if end || signals.asked() {
        Heard::End
    } else if hangup {
        Heard::Hangup
    } else {
        Heard::Nothing
    }
}

/// What stands in the files; a file that cannot be read is one without content.
fn contents(files: &[PathBuf]) -> Vec<Vec<u8>> {
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap_or_default())
        .collect()
}
