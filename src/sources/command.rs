//! The output of a program that is started here: its standard output and its standard error, line by
//! line as one stream. With a tee both also go where they would have gone without us, byte for byte.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flow::time::Time;
use crate::framing::LINE_BYTES_MAX;
use crate::sources::{Configured, Open, OpenError, Opened, Source};

/// Bytes of one read of what the program writes.
const READ_BYTES: usize = 64 << 10;

/// How often it is looked for what nothing tells.
const LOOK: Duration = Duration::from_millis(20);

/// The output of a program that weir starts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// The program and its arguments. No shell takes part.
    #[schemars(length(min = 1))]
    argv: Vec<String>,
}

impl Configured for Config {
    type Settings = Settings;

    fn resolve(&self) -> Settings {
        Settings {
            argv: self.argv.iter().map(OsString::from).collect(),
        }
    }
}

/// A program that is started, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub argv: Vec<OsString>,
}

impl Open for Settings {
    fn name(&self) -> String {
        let program = self.argv.first();
        program.map_or(String::new(), |program| program.to_string_lossy().into())
    }

    fn subject(&self) -> &'static str {
        "the command"
    }

    fn about(&self) -> String {
        let argv: Vec<_> = self
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        argv.join(" ")
    }

    fn program(&self) -> Option<&[OsString]> {
        Some(&self.argv)
    }

    fn open(&self, now: Time) -> Result<Opened, OpenError> {
        let (running, source) = start(&self.argv, Tee::No, now)?;
        Ok(Opened {
            source,
            running: Some(running),
        })
    }
}

/// A program that runs.
pub struct Running {
    child: Child,
    copies: Vec<JoinHandle<()>>,
    process: Arc<Process>,
    closed: Arc<AtomicBool>,
}

/// A process that was started here, to send signals to.
pub struct Process {
    id: Option<Pid>,
    /// Stands for this process and never for a later one of the same number; readable once it has
    /// ended. `None` on a kernel that has none.
    descriptor: Option<OwnedFd>,
}

impl Process {
    /// Sends a signal; one that has ended does not mind.
    pub fn send(&self, signal: Signal) {
        let _ = match (&self.descriptor, self.id) {
            (Some(descriptor), _) => pidfd_send_signal(descriptor, signal),
            (None, Some(id)) => kill_process(id, signal),
            (None, None) => Ok(()),
        };
    }
}

/// Whether what the program writes also goes to our own standard output and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tee {
    Yes,
    No,
}

/// Starts the program. Errors name it: 127 if it is not there, 126 if it cannot be run, as shells do.
pub fn start(argv: &[OsString], tee: Tee, now: Time) -> Result<(Running, Source), OpenError> {
    let (program, arguments) = argv.split_first().ok_or_else(|| OpenError {
        message: "no command to run".to_owned(),
        exit_code: 2,
    })?;
    let fail = |error: io::Error| OpenError {
        message: format!("{}: {error}", program.to_string_lossy()),
        exit_code: match error.kind() {
            io::ErrorKind::NotFound => 127,
            _ => 126,
        },
    };
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| fail(error.into()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(match tee {
            Tee::Yes => Stdio::inherit(),
            Tee::No => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let lines = Arc::new(Mutex::new(File::from(write)));
    let closed = Arc::new(AtomicBool::new(false));
    let mut copies = Vec::new();
    let stdout = io::stdout().as_fd().try_clone_to_owned().map_err(fail)?;
    let stderr = io::stderr().as_fd().try_clone_to_owned().map_err(fail)?;
    let streams = [
        (child.stdout.take().map(OwnedFd::from), stdout),
        (child.stderr.take().map(OwnedFd::from), stderr),
    ];
    for (stream, ours) in streams {
        let copy = Stream {
            stream: File::from(stream.expect("it was asked to be a pipe")),
            ours: match tee {
                Tee::Yes => Some(File::from(ours)),
                Tee::No => None,
            },
            lines: Arc::clone(&lines),
            closed: Arc::clone(&closed),
        };
        let thread = std::thread::Builder::new().name("tee".to_owned());
        copies.push(thread.spawn(move || copy.run()).map_err(fail)?);
    }
    let live = rustix::io::fcntl_dupfd_cloexec(&read, 0).map_err(|error| fail(error.into()))?;
    let source = Source {
        name: program.to_string_lossy().into_owned(),
        bytes: Box::new(File::from(read)),
        file: None,
        size: None,
        anchor: now,
        live: Some(live),
    };
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let process = Arc::new(Process {
        id,
        descriptor: id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok()),
    });
    let running = Running {
        child,
        copies,
        process,
        closed,
    };
    Ok((running, source))
}

impl Running {
    /// To send signals to.
    pub fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process)
    }

    /// Set once the reader of our own output has gone.
    pub fn closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closed)
    }

    /// Waits until it has ended. What it wrote may still be on its way.
    pub fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        self.child.wait()
    }

    /// The same, or `None` as soon as `wake` is readable.
    pub fn wait_or(
        &mut self,
        wake: BorrowedFd<'_>,
    ) -> io::Result<Option<std::process::ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            let mut polled = vec![PollFd::from_borrowed_fd(wake, PollFlags::IN)];
            let ended = self.process.descriptor.as_ref();
            polled.extend(ended.map(|ended| PollFd::new(ended, PollFlags::IN)));
            let look = Timespec {
                tv_sec: 0,
                tv_nsec: i64::from(LOOK.subsec_nanos()),
            };
            // Without the descriptor nothing tells of the end.
            let timeout = ended.is_none().then_some(&look);
            match poll(&mut polled, timeout) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !polled[0].revents().is_empty() {
                return Ok(None);
            }
        }
    }

    /// Once it has ended: waits until what it wrote has been passed on. False after `patience`: a program
    /// that it left behind may hold the pipe for ever.
    pub fn drain(&self, patience: Duration) -> bool {
        let ended = Instant::now();
        while !self.copies.iter().all(JoinHandle::is_finished) {
            if ended.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(LOOK / 10);
        }
        true
    }
}

/// The way of one stream.
struct Stream {
    stream: File,
    ours: Option<File>,
    lines: Arc<Mutex<File>>,
    /// Set when the reader of `ours` has gone.
    closed: Arc<AtomicBool>,
}

impl Stream {
    fn run(mut self) {
        let mut buffer = vec![0; READ_BYTES];
        let mut open = Vec::new();
        loop {
            let count = match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let bytes = &buffer[..count];
            // When the reader of our output has gone, the program finds its own output closed, as in a
            // pipeline without us. Any other failure is ours, and what the program writes is still
            // looked at.
            if let Some(ours) = &mut self.ours
                && let Err(error) = ours.write_all(bytes)
            {
                if error.kind() == io::ErrorKind::BrokenPipe {
                    self.closed.store(true, Ordering::Relaxed);
                    let _ = self.pass(&[&open, bytes].concat());
                    return;
                }
                self.ours = None;
            }
            open.extend_from_slice(bytes);
            // Whole lines only: those of two streams must not be torn by each other.
            let whole = match memchr::memrchr(b'\n', &open) {
                Some(feed) => feed + 1,
                None if open.len() > LINE_BYTES_MAX => open.len(),
                None => continue,
            };
            if self.pass(&open[..whole]).is_err() {
                if self.ours.is_none() {
                    // The run has ended, and nothing else takes what the program writes.
                    return;
                }
                // Nothing looks at it any more; the tee goes on.
                open.clear();
                continue;
            }
            open.drain(..whole);
        }
        if !open.is_empty() {
            open.push(b'\n');
            let _ = self.pass(&open);
        }
    }

    fn pass(&self, bytes: &[u8]) -> io::Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(script: &str) -> (i32, Vec<u8>) {
        let argv = ["sh", "-c", script].map(OsString::from);
        let (mut running, mut source) = start(&argv, Tee::No, Time(0)).unwrap();
        let mut bytes = Vec::new();
        source.bytes.read_to_end(&mut bytes).unwrap();
        (running.wait().unwrap().code().unwrap(), bytes)
    }

    #[test]
    fn both_streams_arrive_in_whole_lines() {
        let script = "for i in 1 2 3 4 5 6 7 8 9; do printf 'out'; printf 'err' >&2; echo \" $i\"; echo \" $i\" >&2; done; printf last; exit 7";
        let (code, bytes) = output(script);
        assert_eq!(code, 7);
        let text = String::from_utf8(bytes).unwrap();
        let lines = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let want = |name: &str| (1..=9).map(|n| format!("{name} {n}")).collect::<Vec<_>>();
        assert_eq!(lines("out"), want("out"));
        assert_eq!(lines("err"), want("err"));
        assert_eq!(lines("last"), ["last"]);
        assert_eq!(text.lines().count(), 19);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let argv = [OsString::from("no-such-program-here")];
        let error = start(&argv, Tee::No, Time(0)).err().unwrap();
        assert_eq!(error.exit_code, 127);
        assert!(
            error.message.contains("no-such-program-here"),
            "{}",
            error.message
        );
    }
}
