//! Starts `weir` for a test and takes what it says. Every run is held to what must be true of all
//! of them: no panic, and books that balance.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before the test gives up on it: far more than it needs, so that a
/// busy machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Lets time go by where time is the subject: between two writes of a writer, before a kill at any
/// moment, while something must not happen. Where anything can be seen to have happened, [`until`]
/// waits for that.
pub fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// What a run left behind.
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "a panic:\n{stderr}");
        let code = output.status.code().unwrap_or_else(|| {
            let signal = output.status.signal().unwrap_or_default();
            panic!("ended by signal {signal}; stderr:\n{stderr}")
        });
        Ran {
            code,
            stdout: output.stdout,
            stderr,
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last line of standard output as JSON: a run's whole report, behind what went there before.
    #[track_caller]
    pub fn last_json(&self) -> Value {
        let text = self.text();
        let last = text.lines().last().expect("something was written");
        serde_json::from_str(last).unwrap_or_else(|error| panic!("no JSON: {error}\n{last}"))
    }

    /// Standard output as one JSON object; the ledger of a report must balance.
    #[track_caller]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_slice(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "no JSON: {error}\nstdout: {}\nstderr: {}",
                self.text(),
                self.stderr
            )
        });
        balances(&value);
        value
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "exit code; stderr:\n{}", self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Ran {
        assert!(
            self.stderr.contains(text),
            "stderr lacks \"{text}\":\n{}",
            self.stderr
        );
        self
    }
}

/// Conservation: records = kept + filtered + duplicate + malformed + held, none unaccounted for.
#[track_caller]
pub fn balances(report: &Value) {
    let Some(ledger) = report.get("ledger") else {
        return;
    };
    let count = |name: &str| {
        ledger[name]
            .as_u64()
            .unwrap_or_else(|| panic!("the ledger lacks {name}: {ledger}"))
    };
    let sum = ["kept", "filtered", "duplicate", "malformed", "held"]
        .map(count)
        .iter()
        .sum::<u64>();
    assert_eq!(
        sum,
        count("records"),
        "the ledger does not add up: {ledger}"
    );
    assert_eq!(count("unaccounted"), 0, "unaccounted for: {ledger}");
}

/// The command with the arguments, in a clean environment: the settings of whoever runs the tests
/// play no part.
pub fn weir<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .env("TZ", "UTC")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// Runs in `directory` without input.
#[track_caller]
pub fn run_in<A: AsRef<OsStr>>(directory: &Path, arguments: impl IntoIterator<Item = A>) -> Ran {
    let mut command = weir(arguments);
    Ran::new(command.current_dir(directory).output().unwrap())
}

/// Runs with `input` on standard input, a pipe.
#[track_caller]
pub fn run_with<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, input: &[u8]) -> Ran {
    feed(&mut weir(arguments), input)
}

/// Runs `command` with `input` in a pipe. The input is written beside the reading of the output, so
/// that neither side waits for the other.
#[track_caller]
pub fn feed(command: &mut Command, input: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that stops early closes its end; what it says then is the test's matter.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    Ran::new(output)
}

/// A number from the environment, for the long versions of tests.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name}: not a number: \"{text}\""))
    })
}
