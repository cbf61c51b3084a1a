//! Where a command's output goes, and the last words of a run.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::cli::args::LogFormat;
use crate::cli::{Failure, exit};
use crate::engine::Outcome;
use crate::flow::output::Output;
use crate::sinks::Sink;
use crate::sinks::file::Target;
use crate::sinks::stdout::Stdout;

/// The sink that was asked for.
pub fn sink(to: Option<&Path>, raw: bool) -> Result<Box<dyn Sink>, Failure> {
    match to {
        Some(path) => {
            Ok(Box::new(Target::create(path).map_err(|error| {
                Failure::io(format!("cannot write {error}"))
            })?))
        }
        None => Ok(Box::new(Stdout::new(raw).map_err(|error| {
            Failure::io(format!("standard output: {error}"))
        })?)),
    }
}

/// Writes one finished text. A reader that has gone is a normal end.
pub fn write(to: Option<&Path>, bytes: Vec<u8>) -> Result<(), Failure> {
    let mut pieces = Pieces::new(to)?;
    pieces.put(|out| *out = bytes);
    pieces.finish()
}

/// A text that is written as it is made.
pub struct Pieces {
    sink: Box<dyn Sink>,
    output: Output,
    result: io::Result<()>,
}

/// Bytes that are worth a write.
const PIECE_BYTES: usize = 64 << 10;

impl Pieces {
    pub fn new(to: Option<&Path>) -> Result<Pieces, Failure> {
        // Reports escape what came from the input themselves, and colour the rest.
        Ok(Pieces {
            sink: sink(to, true)?,
            output: Output::default(),
            result: Ok(()),
        })
    }

    /// Lets `add` append to what is to be written. After an error nothing is written any more.
    pub fn put(&mut self, add: impl FnOnce(&mut Vec<u8>)) {
        add(&mut self.output.bytes);
        if self.output.bytes.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.sink.write(&self.output);
        }
        self.output.bytes.clear();
    }

    /// Writes the rest. A reader that has gone is a normal end.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.flush();
        match self.result.and_then(|()| self.sink.finish()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::io(format!("cannot write: {error}")))
            }
            _ => Ok(()),
        }
    }
}

/// Says what went wrong with the inputs and the ledger; returns the exit code it asks for.
pub fn problems(outcome: &Outcome) -> u8 {
    let mut code = 0;
    for (message, exit_code) in &outcome.problems {
        say(message);
        code = code.max(*exit_code);
    }
    let missing = outcome.state.ledger.unaccounted;
    if missing > 0 && !outcome.pipe_closed {
        say(&format!(
            "{missing} lines are unaccounted for: this is a fault of weir, please report it"
        ));
        code = code.max(exit::UNACCOUNTED);
    }
    code
}

/// Whether [`say`] writes JSON. One for the process, as standard error is.
static SAYS_JSON: AtomicBool = AtomicBool::new(false);

/// How [`say`] writes from now on.
pub fn log_as(format: LogFormat) {
    SAYS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// A line on standard error; if that is closed or full, the data path goes on all the same.
pub fn say(message: &str) {
    let line = said(message, SAYS_JSON.load(Ordering::Relaxed));
    let _ = io::stderr().write_all(&line);
}

fn said(message: &str, as_json: bool) -> Vec<u8> {
    if as_json {
        let line = json!({"time": jiff::Timestamp::now().to_string(), "program": "weir", "message": message});
        return format!("{line}\n").into_bytes();
    }
    let mut line = b"weir: ".to_vec();
    crate::flow::terminal::escape(message.as_bytes(), &mut line);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_be_forged_in_json_nor_drive_a_terminal() {
        let message = "a \"b\"\nweir: forged \u{1b}[2J";
        let line = said(message, true);
        let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(json["message"], message);
        assert!(json["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line.iter().filter(|&&byte| byte == b'\n').count(), 1);
        assert!(!said(message, false).contains(&0x1b));
    }
}
