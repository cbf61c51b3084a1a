//! The output of a program that is started here: its standard output and its standard error, line by
//! line as one stream. With a tee both also go where they would have gone without us, byte for byte.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGPIPE;

use crate::flow::alert::{Evidence, SampleLine};
use crate::flow::mapped::SAMPLE_BYTES_MAX;
use crate::flow::time::Time;
use crate::framing::LINE_BYTES_MAX;
use crate::sources::{Again, Configured, Ending, Open, OpenError, Opened, Source};
use crate::units;

/// Bytes of one read of what the program writes.
const READ_BYTES: usize = 64 << 10;

/// How often it is looked for what nothing tells.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of output that an alert about the end shows with it.
const LAST_LINES: usize = Evidence::SAMPLES_MAX - 1;

/// The output of a program that weir starts.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// The program and its arguments. No shell takes part.
    #[schemars(length(min = 1))]
    argv: Vec<String>,
    /// Poll: start the program each time this span is over, and read each run's output to its end. A run that
    /// is still going on then is not started twice. Without it, the program runs on.
    #[schemars(extend("format" = "span"))]
    every: Option<String>,
    /// Whether a program that has ended is started again, after 1 s at first and at most 60 s; not for a polled
    /// one. `never` if absent.
    restart: Option<Restart>,
}

/// When a program that has ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Restart {
    OnFailure,
    Always,
    #[default]
    Never,
}

impl Configured for Config {
    type Settings = Settings;

    fn resolve(&self) -> Settings {
        Settings {
            argv: self.argv.iter().map(OsString::from).collect(),
            every: self.every.as_deref().map(|text| {
                let span = units::duration_nanoseconds(text).unwrap_or(0);
                Duration::from_nanos(span.unsigned_abs())
            }),
            restart: self.restart,
        }
    }
}

/// A program that is started, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub argv: Vec<OsString>,
    pub every: Option<Duration>,
    pub restart: Option<Restart>,
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
        let when = match (self.every, self.restart) {
            (Some(every), _) => format!("  each {every:?}"),
            (None, Some(Restart::OnFailure)) => "  started again if it fails".to_owned(),
            (None, Some(Restart::Always)) => "  started again when it ends".to_owned(),
            (None, Some(Restart::Never) | None) => String::new(),
        };
        format!("{}{when}", argv.join(" "))
    }

    fn again(&self) -> Again {
        Again {
            every: self.every,
            restart: self.restart.unwrap_or_default(),
        }
    }

    fn mistake(&self) -> Option<(&'static str, &'static str, &'static str)> {
        (self.every.is_some() && self.restart.is_some()).then_some((
            "restart",
            "\"every\" starts the command again by itself",
            "remove \"restart\", or \"every\" if the command runs on",
        ))
    }

    fn program(&self) -> Option<&[OsString]> {
        Some(&self.argv)
    }

    fn open(&self, name: &str, now: Time) -> Result<Opened, OpenError> {
        let (running, source) = start(name, &self.argv, Tee::No, Group::Own, now)?;
        Ok(Opened {
            source,
            running: Some(running),
        })
    }
}

/// A program that runs.
pub struct Running {
    name: String,
    started: Instant,
    child: Child,
    copies: Vec<JoinHandle<()>>,
    /// Not the pipe itself: the reader comes to the end once the copies have let go of it.
    said: Arc<Mutex<Said>>,
    process: Arc<Process>,
    closed: Arc<AtomicBool>,
    endings: Sender<Ending>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub status: ExitStatus,
    pub elapsed: Duration,
    /// The time limit that ended it.
    pub limit: Option<Duration>,
    /// The reader of its output had gone, which is a normal end.
    pub closed: bool,
}

impl End {
    /// As a shell gives it: 128 and the signal for a program that a signal ended.
    pub fn code(&self) -> u8 {
        let by_pipe =
            self.status.signal() == Some(SIGPIPE) || self.status.code() == Some(128 + SIGPIPE);
        match (self.status.code(), self.status.signal()) {
            _ if by_pipe && self.closed => 0,
            (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
            (None, None) => u8::MAX,
        }
    }

    /// The record of the end.
    fn line(&self, name: &str, now: Time) -> String {
        let after = took(self.elapsed);
        let signal = self.status.signal().filter(|_| self.code() != 0);
        let mut message = match signal {
            Some(signal) => format!(
                "{name} ended by signal {} after {after}",
                signal_name(signal)
            ),
            None => format!("{name} ended with exit code {} after {after}", self.code()),
        };
        if let Some(limit) = self.limit {
            message.push_str(&format!(", its time limit of {} was over", took(limit)));
        }
        let mut fields = format!("exit_code={}", self.code());
        if let Some(signal) = signal {
            fields.push_str(&format!(" signal={}", signal_name(signal)));
        }
        if self.limit.is_some() {
            fields.push_str(" timeout=true");
        }
        let seconds = self.elapsed.as_secs_f64();
        record(
            &message,
            self.code(),
            &format!("{fields} duration={seconds:.3}s"),
            now,
        )
    }
}

/// A record in logfmt, the message first, so that people can read it in an alert.
fn record(message: &str, code: u8, fields: &str, now: Time) -> String {
    let level = if code == 0 { "info" } else { "error" };
    let message: String = message
        .chars()
        .map(|character| match character {
            '"' | '\\' => '\'',
            other if other.is_control() => ' ',
            other => other,
        })
        .collect();
    format!("msg=\"{message}\" level={level} {fields} time={now}\n")
}

/// A span of time for people.
fn took(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match span.as_secs() {
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{}s", (seconds * 10.0).round() / 10.0),
        whole => {
            let whole = i64::try_from(whole).unwrap_or(i64::MAX);
            format!("{:#}", jiff::SignedDuration::from_secs(whole))
        }
    }
}

fn signal_name(signal: i32) -> String {
    let name = signal_hook::low_level::signal_name(signal);
    let name = name.map(|name| name.trim_start_matches("SIG").to_owned());
    name.unwrap_or_else(|| signal.to_string())
}

/// A program that could not be started, as a source that holds nothing but the record that says so.
pub fn not_started(name: &str, error: &OpenError, now: Time) -> Source {
    let (sender, endings) = bounded(1);
    let code = error.exit_code;
    let message = format!("{name} could not be started: {}", error.message);
    let line = record(
        &message,
        code,
        &format!("exit_code={code} duration=0s"),
        now,
    );
    let ending = Ending {
        line,
        before: Vec::new(),
    };
    sender
        .send(ending)
        .expect("there is room for one, and its receiver is here");
    Source {
        name: name.to_owned(),
        bytes: Box::new(io::empty()),
        file: None,
        size: None,
        anchor: now,
        ending: Some(endings),
        live: None,
    }
}

/// What the program wrote last.
struct Said {
    name: String,
    /// Bytes that went into the pipe.
    written: u64,
    /// The last lines, oldest first.
    last: VecDeque<SampleLine>,
}

impl Said {
    /// Remembers the last of some whole lines.
    fn remember(&mut self, bytes: &[u8]) {
        let mut found = Vec::new();
        let mut end = bytes.len();
        while end > 0 && found.len() < LAST_LINES {
            let start = memchr::memrchr(b'\n', &bytes[..end - 1]).map_or(0, |feed| feed + 1);
            let line = bytes[start..end].trim_ascii_end();
            if !line.is_empty() {
                let mut sample = SampleLine::default();
                let line = &line[..line.len().min(SAMPLE_BYTES_MAX)];
                sample.set(&self.name, self.written + start as u64, line);
                found.push(sample);
            }
            end = start;
        }
        self.written += bytes.len() as u64;
        self.last.extend(found.into_iter().rev());
        let excess = self.last.len().saturating_sub(LAST_LINES);
        self.last.drain(..excess);
    }
}

/// A process that was started here, to send signals to.
pub struct Process {
    id: Option<Pid>,
    /// Stands for this process and never for a later one of the same number; readable once it has
    /// ended. `None` on a kernel that has none.
    descriptor: Option<OwnedFd>,
    group: Group,
}

impl Process {
    /// Sends a signal to the program and to what it has started, where they have a group of their own.
    pub fn send_to_all(&self, signal: Signal) {
        match (self.group, self.id) {
            (Group::Own, Some(id)) => {
                let _ = kill_process_group(id, signal);
            }
            _ => self.send(signal),
        }
    }

    /// Sends a signal; one that has ended does not mind.
    pub fn send(&self, signal: Signal) {
        let _ = match (&self.descriptor, self.id) {
            (Some(descriptor), _) => pidfd_send_signal(descriptor, signal),
            (None, Some(id)) => kill_process(id, signal),
            (None, None) => Ok(()),
        };
    }
}

/// Why [`Running::wait_or`] came back.
#[derive(Debug)]
pub enum Waited {
    Ended(ExitStatus),
    Woken,
    TimeIsOver,
}

/// Whether what the program writes also goes to our own standard output and error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tee {
    Yes,
    No,
}

/// The name of a program: its file's.
pub fn name(argv: &[OsString]) -> String {
    let program = argv.first().map(Path::new);
    let file = program.and_then(|program| program.file_name().or(Some(program.as_os_str())));
    file.map_or(String::new(), |file| file.to_string_lossy().into_owned())
}

/// To which processes signals go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The program's own: it stays in the process group that it was started from.
    Ours,
    /// The program and what it starts, as a process group of its own.
    Own,
}

/// Starts the program. Errors name it: 127 if it is not there, 126 if it cannot be run, as shells do.
pub fn start(
    name: &str,
    argv: &[OsString],
    tee: Tee,
    group: Group,
    now: Time,
) -> Result<(Running, Source), OpenError> {
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
    let mut command = Command::new(program);
    if group == Group::Own {
        command.process_group(0);
    }
    let mut child = command
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
    let said = Arc::new(Mutex::new(Said {
        name: name.to_owned(),
        written: 0,
        last: VecDeque::new(),
    }));
    let (endings_in, endings) = bounded(1);
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
            said: Arc::clone(&said),
            closed: Arc::clone(&closed),
        };
        let thread = std::thread::Builder::new().name("tee".to_owned());
        copies.push(thread.spawn(move || copy.run()).map_err(fail)?);
    }
    let live = rustix::io::fcntl_dupfd_cloexec(&read, 0).map_err(|error| fail(error.into()))?;
    let source = Source {
        name: name.to_owned(),
        ending: Some(endings),
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
        group,
    });
    let running = Running {
        name: name.to_owned(),
        started: Instant::now(),
        child,
        copies,
        said,
        process,
        closed,
        endings: endings_in,
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
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// The same; says as soon as `wake` is readable or `until` is over.
    pub fn wait_or(&mut self, wake: BorrowedFd<'_>, until: Option<Instant>) -> io::Result<Waited> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Waited::Ended(status));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Waited::TimeIsOver);
            }
            let mut polled = vec![PollFd::from_borrowed_fd(wake, PollFlags::IN)];
            let ended = self.process.descriptor.as_ref();
            polled.extend(ended.map(|ended| PollFd::new(ended, PollFlags::IN)));
            // Without the descriptor nothing tells of the end.
            let look = ended.is_none().then_some(LOOK);
            let timeout = look.into_iter().chain(left).min().map(|wait| Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            });
            match poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !polled[0].revents().is_empty() {
                return Ok(Waited::Woken);
            }
        }
    }

    /// How it ended, if it did with `status`.
    pub fn end(&self, status: ExitStatus, limit: Option<Duration>) -> End {
        End {
            status,
            elapsed: self.started.elapsed(),
            limit,
            closed: self.closed.load(Ordering::Relaxed),
        }
    }

    /// Once what it wrote has been passed on: makes its end the last record.
    pub fn report(&self, end: &End, now: Time) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let ending = Ending {
            line: end.line(&self.name, now),
            before: match end.code() {
                0 => Vec::new(),
                _ => said.last.iter().cloned().collect(),
            },
        };
        // The run may have ended already.
        let _ = self.endings.try_send(ending);
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
    said: Arc<Mutex<Said>>,
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
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.remember(bytes);
        drop(said);
        lines.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(script: &str) -> (i32, Vec<u8>) {
        let argv = ["sh", "-c", script].map(OsString::from);
        let (mut running, mut source) = start("sh", &argv, Tee::No, Group::Ours, Time(0)).unwrap();
        let code = running.wait().unwrap().code().unwrap();
        assert!(running.drain(Duration::from_secs(30)));
        // The end of the stream comes once nothing can add the record of the program's end any more.
        drop(running);
        let mut bytes = Vec::new();
        source.bytes.read_to_end(&mut bytes).unwrap();
        (code, bytes)
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
        let error = start("sh", &argv, Tee::No, Group::Ours, Time(0))
            .err()
            .unwrap();
        assert_eq!(error.exit_code, 127);
        assert!(
            error.message.contains("no-such-program-here"),
            "{}",
            error.message
        );
    }

    #[test]
    fn the_end_is_one_line_of_logfmt() {
        let line = record("a \"b\" ended\nbadly", 1, "exit_code=1", Time(0));
        let want = "msg=\"a 'b' ended badly\" level=error exit_code=1 time=1970-01-01T00:00:00Z\n";
        assert_eq!(line, want);
        for (span, want) in [(12, "12ms"), (3240, "3.2s"), (61_000, "1m 1s")] {
            assert_eq!(took(Duration::from_millis(span)), want);
        }
        assert_eq!(signal_name(15), "TERM");
        assert_eq!(name(&[OsString::from("/usr/bin/pg_dump")]), "pg_dump");
    }
}
