//! Standard output: bytes as they are to a pipe or file, made harmless on a terminal.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flow::terminal;
use crate::notifiers::{Channel, stdout};
use crate::sinks::{Configured, Context, Destination, Open, Opening, Sink, What};

/// Standard output.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// What is written: the lines that pass, summaries or alerts.
    #[serde(default)]
    what: What,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    condition: Option<String>,
}

impl Configured for Config {
    type Settings = Settings;

    fn writes(&self) -> Option<(What, Option<&str>)> {
        Some((self.what, self.condition.as_deref()))
    }

    fn resolve(&self, _: &mut Context) -> Option<Settings> {
        Some(Settings)
    }
}

/// Our own standard output.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings;

impl Open for Settings {
    fn address(&self) -> String {
        "standard output".to_owned()
    }

    fn channel(&self) -> Option<Channel> {
        Some(Channel::Stdout(stdout::Stdout))
    }

    fn open(self, opening: &Opening) -> io::Result<Destination> {
        let named = |error: io::Error| io::Error::other(format!("standard output: {error}"));
        let stdout = Stdout::new(opening.escape).map_err(named)?;
        Ok(Destination::Plain(Box::new(stdout)))
    }
}

/// How what a terminal might obey is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As it is, or already escaped.
    Never,
    Text,
    /// So that it stays the same JSON.
    Json,
}

/// Writes without a buffer of its own: outputs are whole batches already.
pub struct Stdout {
    file: File,
    escape: Escape,
    scratch: Vec<u8>,
}

impl Stdout {
    /// Escapes on a terminal only.
    pub fn new(escape: Escape) -> io::Result<Stdout> {
        let stdout = io::stdout();
        let escape = match stdout.is_terminal() {
            true => escape,
            false => Escape::Never,
        };
        Ok(Stdout {
            file: File::from(rustix::io::fcntl_dupfd_cloexec(stdout.as_fd(), 0)?),
            escape,
            scratch: Vec::new(),
        })
    }
}

impl Sink for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.scratch.clear();
        let bytes = match self.escape {
            Escape::Never => lines,
            Escape::Text => {
                terminal::escape(lines, &mut self.scratch);
                &self.scratch
            }
            Escape::Json => {
                terminal::escape_json(&String::from_utf8_lossy(lines), &mut self.scratch);
                &self.scratch
            }
        };
        // A notifier may write its lines there too; whole outputs keep lines whole.
        let _lock = io::stdout().lock();
        write_all_waiting(&self.file, bytes)
            .map_err(|error| io::Error::new(error.kind(), format!("standard output: {error}")))
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes everything, also to a descriptor that somebody made non-blocking: waits for room
/// instead of failing or spinning.
pub fn write_all_waiting(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    let mut writer = file;
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut descriptors = [rustix::event::PollFd::new(
                    file,
                    rustix::event::PollFlags::OUT,
                )];
                match rustix::event::poll(&mut descriptors, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
