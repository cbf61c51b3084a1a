//! `weir run -- COMMAND`: runs a program as if weir were not there — its output goes where it would
//! have gone, signals reach it, its exit code is ours — and looks at every line it writes. At the end
//! one digest on standard error.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

use crate::cli::args::RunArgs;
use crate::cli::output;
use crate::cli::run::{Once, once};
use crate::config::load;
use crate::engine::Outcome;
use crate::error::Failure;
use crate::plan::flags;
use crate::plan::setup::{self, Setup};
use crate::process::diagnostics;
use crate::report::Report;
use crate::report::text::{self, Style, number};
use crate::sources::Source;
use crate::sources::command::{self, Process, Running, Tee};
use crate::stop::Stop;
use crate::units::Unit;

/// How long what the program's own children write is waited for after it has ended.
const AFTER_END: Duration = Duration::from_secs(1);

/// Columns of the digest.
const WIDTH: usize = 100;

/// Rows of each table of the digest.
const ROWS: usize = 5;

/// Signals that the program gets when we get them.
const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Runs the command of the command line; a configuration says what becomes of its output.
pub fn run(args: RunArgs) -> Result<u8, Failure> {
    let setup = if args.config.config.is_empty() {
        nothing(&args)?
    } else {
        super::load(&args)?
    };
    let argv = args.command.clone();
    let name = argv[0].to_string_lossy();
    wrap(&args, setup, &name, &argv, Tee::Yes)
}

/// A configuration in which nobody wrote anything.
fn nothing(args: &RunArgs) -> Result<Setup, Failure> {
    let loaded = load::load_texts(Vec::new(), None, &|_| None)?;
    let setup = setup::setup(&loaded, setup::Purpose::Live, args.state.clone())?;
    Ok(setup)
}

/// Runs the command that a configuration names as its source: its output is only looked at.
pub fn run_source(
    args: &RunArgs,
    setup: Setup,
    name: &str,
    argv: &[OsString],
) -> Result<u8, Failure> {
    wrap(args, setup, name, argv, Tee::No)
}

fn wrap(
    args: &RunArgs,
    setup: Setup,
    name: &str,
    argv: &[OsString],
    tee: Tee,
) -> Result<u8, Failure> {
    let fail = |error: io::Error| Failure::io(format!("signals: {error}"));
    let stop = Stop::new().map_err(fail)?;
    let passing = Passing::new().map_err(fail)?;
    let started = Instant::now();
    let (running, source) = command::start(argv, tee, flags::now()).map_err(|error| Failure {
        message: error.message,
        exit_code: error.exit_code,
    })?;
    let closed = running.closed();
    let waiting = {
        let stop = stop.clone();
        let thread = std::thread::Builder::new().name("command".to_owned());
        thread
            .spawn(move || passing.until_end(running, &stop))
            .map_err(|error| Failure::io(format!("no thread for the command: {error}")))?
    };
    let one = Once {
        source: Some(Source {
            name: name.to_owned(),
            ..source
        }),
        ..Once::of(stop)
    };
    let result = once(args, setup, one);
    let status = waiting
        .join()
        .map_err(|_| Failure::io("the thread for the command stopped by an error of ours"))?
        .map_err(|error| Failure::io(format!("the command: {error}")))?;
    let outcome = result?;
    let own = output::problems(&outcome);
    let by_pipe = status.signal() == Some(SIGPIPE) || status.code() == Some(128 + SIGPIPE);
    let code = match (status.code(), status.signal()) {
        // A reader that has gone is a normal end.
        _ if by_pipe && (outcome.pipe_closed || closed.load(Ordering::Relaxed)) => 0,
        (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
        (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        (None, None) => own,
    };
    if tee == Tee::Yes && !args.quiet {
        digest(argv, &outcome, code, started.elapsed());
    }
    // The command's own failure says more than ours.
    Ok(if code == 0 { own } else { code })
}

/// Says in a few lines what the command did.
fn digest(argv: &[OsString], outcome: &Outcome, code: u8, elapsed: Duration) {
    let name = argv
        .first()
        .map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let took = number::quantity(elapsed.as_secs_f64() * 1e3, Unit::Milliseconds);
    let ended = if code == 0 {
        "done".to_owned()
    } else {
        format!("exit code {code}")
    };
    diagnostics::say(&format!("{name}: {ended} after {took}"));
    if outcome.state.ledger.records == 0 {
        return;
    }
    let style = Style {
        color: false,
        width: WIDTH,
        cut: io::stderr().is_terminal(),
        escape: true,
    };
    let mut bytes = Vec::new();
    text::write(
        &mut bytes,
        &Report::new(&outcome.state, Some(ROWS)),
        ROWS,
        &style,
    );
    // A standard error that is closed or full only loses the digest.
    let _ = io::Write::write_all(&mut io::stderr(), &bytes);
}

/// Signals on their way to the program.
struct Passing {
    came: Vec<(i32, Arc<AtomicBool>)>,
    /// Readable when one came; the other end is the handlers'.
    wake: UnixStream,
    /// The terminal sends its signals to the program as well as to us.
    shares_terminal: bool,
}

impl Passing {
    fn new() -> io::Result<Passing> {
        let (wake, woken_by) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken_by.set_nonblocking(true)?;
        let mut came = Vec::new();
        for signal in PASSED_ON {
            let flag = Arc::new(AtomicBool::new(false));
            // In this order: who is woken finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            let woken_by = OwnedFd::from(woken_by.try_clone()?);
            signal_hook::low_level::pipe::register(signal, woken_by)?;
            came.push((signal, flag));
        }
        Ok(Passing {
            came,
            wake,
            shares_terminal: io::stdin().is_terminal() || io::stderr().is_terminal(),
        })
    }

    /// Passes signals on until the program has ended and what it wrote was read, or nobody in it
    /// reads on after it.
    fn until_end(&self, mut running: Running, stop: &Stop) -> io::Result<std::process::ExitStatus> {
        let process = running.process();
        let status = loop {
            // Heard before it is passed on: one that comes in between wakes again.
            let mut bytes = [0; 64];
            while matches!((&self.wake).read(&mut bytes), Ok(1..)) {}
            self.pass_on(&process);
            if let Some(status) = running.wait_or(self.wake.as_fd())? {
                break status;
            }
        };
        if !running.drain(AFTER_END) {
            stop.ask();
        }
        Ok(status)
    }

    fn pass_on(&self, process: &Process) {
        for (signal, came) in &self.came {
            if !came.swap(false, Ordering::Relaxed) {
                continue;
            }
            if self.shares_terminal && matches!(*signal, SIGINT | SIGQUIT | SIGWINCH) {
                continue;
            }
            if let Some(signal) = Signal::from_named_raw(*signal) {
                process.send(signal);
            }
        }
    }
}
