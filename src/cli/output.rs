//! Where a command's output goes, and the last words of a run.

use std::io::{self, IsTerminal};
use std::path::Path;

use crate::cli::args::LogFormat;
use crate::engine::Outcome;
use crate::error::{Failure, exit};
use crate::flow::terminal;
use crate::process::diagnostics::{self, say};
use crate::sinks::Sink;
use crate::sinks::file::Target;
use crate::sinks::stdout::{Escape, Stdout};

/// The sink that was asked for.
pub fn sink(to: Option<&Path>, escape: Escape) -> Result<Box<dyn Sink>, Failure> {
    match to {
        Some(path) => {
            Ok(Box::new(Target::create(path).map_err(|error| {
                Failure::io(format!("cannot write {error}"))
            })?))
        }
        None => Ok(Box::new(Stdout::new(escape).map_err(|error| {
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

/// Writes JSON or TOML to standard output. On a terminal what that might obey stands as an escape that
/// means the same.
pub fn write_escaped(bytes: Vec<u8>) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return write(None, bytes);
    }
    let mut escaped = Vec::with_capacity(bytes.len());
    terminal::escape_json(&String::from_utf8_lossy(&bytes), &mut escaped);
    write(None, escaped)
}

/// A text that is written as it is made.
pub struct Pieces {
    sink: Box<dyn Sink>,
    bytes: Vec<u8>,
    result: io::Result<()>,
}

/// Bytes that are worth a write.
const PIECE_BYTES: usize = 64 << 10;

impl Pieces {
    pub fn new(to: Option<&Path>) -> Result<Pieces, Failure> {
        // Reports escape what came from the input themselves, and colour the rest.
        Ok(Pieces {
            sink: sink(to, Escape::Never)?,
            bytes: Vec::new(),
            result: Ok(()),
        })
    }

    /// Lets `add` append to what is to be written. After an error nothing is written any more.
    pub fn put(&mut self, add: impl FnOnce(&mut Vec<u8>)) {
        add(&mut self.bytes);
        if self.bytes.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.sink.write(&self.bytes);
        }
        self.bytes.clear();
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
        diagnostics::note(message);
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

/// How [`say`] writes from now on, and what the engine says.
pub fn log_as(format: LogFormat) {
    diagnostics::log_as_json(format == LogFormat::Json);
}
