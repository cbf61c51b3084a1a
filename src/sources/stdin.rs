//! Reads standard input: a pipe, a redirected file or a terminal.

use std::fs::File;
use std::os::fd::AsFd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flow::time::Time;
use crate::sources::{Configured, Open, OpenError, Opened, Source, compressed};

/// Standard input.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {}

impl Configured for Config {
    type Settings = Settings;

    fn resolve(&self) -> Settings {
        Settings
    }
}

/// Our own standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings;

impl Open for Settings {
    fn name(&self) -> String {
        "-".to_owned()
    }

    fn subject(&self) -> &'static str {
        "standard input"
    }

    fn about(&self) -> String {
        "read to its end".to_owned()
    }

    fn is_stdin(&self) -> bool {
        true
    }

    fn open(&self, _: &str, now: Time) -> Result<Opened, OpenError> {
        Ok(Opened {
            source: open(now)?,
            running: None,
        })
    }
}

/// How much a pipe to us may hold. The kernel's default of 64 KiB makes both sides switch sixteen
/// times more often.
const PIPE_BYTES: usize = 1 << 20;

/// Opens standard input. A pipe is widened where the system allows it.
pub fn open(now: Time) -> Result<Source, OpenError> {
    let fail = |error: std::io::Error| OpenError {
        message: format!("standard input: {error}"),
        exit_code: 74,
    };
    let descriptor = rustix::io::fcntl_dupfd_cloexec(std::io::stdin().as_fd(), 0)
        .map_err(|error| fail(error.into()))?;
    let file = File::from(descriptor);
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(OpenError {
            message: "standard input: is a directory".to_owned(),
            exit_code: 66,
        });
    }
    // Not a pipe, or the system's limit for this user is reached: the default size works as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE_BYTES);
    let live = if metadata.is_file() {
        None
    } else {
        Some(rustix::io::fcntl_dupfd_cloexec(&file, 0).map_err(|error| fail(error.into()))?)
    };
    let size = metadata.is_file().then_some(metadata.len());
    // Waiting for the magic bytes of a terminal or a quiet pipe would hold up everything.
    let (bytes, compressed): (Box<dyn std::io::Read + Send>, bool) = if live.is_some() {
        (Box::new(file), false)
    } else {
        compressed::detect(Box::new(file), "-").map_err(fail)?
    };
    Ok(Source {
        name: "-".to_owned(),
        bytes,
        file: None,
        size: if compressed { None } else { size },
        anchor: now,
        ending: None,
        live,
    })
}
