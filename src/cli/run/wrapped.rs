//! `weir run -- COMMAND`: runs a program as if weir were not there — its output goes where it would
//! have gone, signals reach it, its exit code is ours — and looks at every line it writes. At the end
//! one digest on standard error.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

use crate::cli::args::RunArgs;
use crate::cli::output;
use crate::cli::run::{Once, once};
use crate::engine::Outcome;
use crate::error::Failure;
use crate::plan::flags;
use crate::plan::setup::Setup;
use crate::process::diagnostics;
use crate::report::Report;
use crate::report::text::{self, Style, number};
use crate::sources::command::{self, End, Group, Process, Running, Tee, Waited};
use crate::stop::Stop;
use crate::units::Unit;

/// How long what the program's own children write is waited for after it has ended.
const AFTER_END: Duration = Duration::from_secs(1);

/// How long a program may take to end after SIGTERM once its time is over.
const TO_END: Duration = Duration::from_secs(10);

/// Columns of the digest.
const WIDTH: usize = 100;

/// Rows of each table of the digest.
const ROWS: usize = 5;

/// Signals that the program gets when we get them.
const PASSED_ON: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Runs the command of the command line; a configuration says what becomes of its output.
pub fn run(args: RunArgs) -> Result<u8, Failure> {
    let setup = super::load(&args)?;
    let argv = args.command.clone();
    let name = command::name(&argv);
    wrap(&args, setup, &name, &argv, Tee::Yes)
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
    // With a group of its own it would be stopped when it reads from the terminal.
    let group = match args.timeout {
        Some(_) if !passing.shares_terminal => Group::Own,
        _ => Group::Ours,
    };
    let (running, source) = match command::start(name, argv, tee, group, flags::now()) {
        Ok(started) => started,
        Err(error) => {
            let source = command::not_started(name, &error, flags::now());
            let one = Once {
                source: Some(source),
                ..Once::of(stop)
            };
            output::problems(&once(args, setup, one)?);
            return Err(Failure {
                message: error.message,
                exit_code: error.exit_code,
            });
        }
    };
    let waiting = {
        let (stop, name, limit) = (stop.clone(), name.to_owned(), args.timeout);
        let thread = std::thread::Builder::new().name("command".to_owned());
        thread
            .spawn(move || passing.until_end(running, &name, tee, limit, &stop))
            .map_err(|error| Failure::io(format!("no thread for the command: {error}")))?
    };
    let one = Once {
        source: Some(source),
        ..Once::of(stop)
    };
    let result = once(args, setup, one);
    let mut end = waiting
        .join()
        .map_err(|_| Failure::io("the thread for the command stopped by an error of ours"))?
        .map_err(|error| Failure::io(format!("the command: {error}")))?;
    let outcome = result?;
    let own = output::problems(&outcome);
    end.closed |= outcome.pipe_closed;
    let code = end.code();
    if tee == Tee::Yes && !args.quiet {
        digest(name, &outcome, code, end.elapsed);
    }
    // The command's own failure says more than ours.
    Ok(if code == 0 { own } else { code })
}

/// Says in a few lines what the command did.
fn digest(name: &str, outcome: &Outcome, code: u8, elapsed: Duration) {
    let took = number::quantity(elapsed.as_secs_f64() * 1e3, Unit::Milliseconds);
    let ended = if code == 0 {
        "done".to_owned()
    } else {
        format!("exit code {code}")
    };
    diagnostics::say(&format!("{name}: {ended} after {took}"));
    if outcome.state.ledger.records <= 1 {
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

    /// Passes signals on until the program has ended and what it wrote was read, or the run does not read on.
    /// Ends a program that takes longer than `limit`.
    fn until_end(
        &self,
        mut running: Running,
        name: &str,
        tee: Tee,
        limit: Option<Duration>,
        stop: &Stop,
    ) -> io::Result<End> {
        let process = running.process();
        let started = Instant::now();
        let mut until = limit.and_then(|limit| started.checked_add(limit));
        let mut is_over = false;
        let mut is_asked = false;
        let status = loop {
            // Heard before it is passed on: one that comes in between wakes again.
            let mut bytes = [0; 64];
            while matches!((&self.wake).read(&mut bytes), Ok(1..)) {}
            is_asked |= self.pass_on(&process);
            match running.wait_or(self.wake.as_fd(), until)? {
                Waited::Ended(status) => break status,
                Waited::Woken => {}
                Waited::TimeIsOver if !is_over => {
                    is_over = true;
                    diagnostics::say(&format!(
                        "{name}: still runs after {:?}, its time limit; ending it",
                        limit.unwrap_or_default()
                    ));
                    process.send_to_all(Signal::TERM);
                    until = Some(Instant::now() + TO_END);
                }
                Waited::TimeIsOver => {
                    process.send_to_all(Signal::KILL);
                    until = None;
                }
            }
        };
        let is_drained = running.drain(AFTER_END);
        let end = running.end(status, limit.filter(|_| is_over));
        // A source that the user ends together with the run has not failed.
        if tee == Tee::Yes || !is_asked {
            running.report(&end, flags::now());
        }
        if !is_drained {
            stop.ask();
        }
        Ok(end)
    }

    /// Passes on what came; says whether that asks the program to end.
    fn pass_on(&self, process: &Process) -> bool {
        let mut asks = false;
        for (signal, came) in &self.came {
            if !came.swap(false, Ordering::Relaxed) {
                continue;
            }
            if self.shares_terminal && matches!(*signal, SIGINT | SIGQUIT | SIGWINCH) {
                asks |= *signal != SIGWINCH;
                continue;
            }
            if let Some(signal) = Signal::from_named_raw(*signal) {
                process.send(signal);
            }
            asks |= matches!(*signal, SIGTERM | SIGINT | SIGQUIT | SIGHUP);
        }
        asks
    }
}
