//! `-O/--to`: lines into a file, written anew.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::flow::output::Output;
use crate::sinks::{Sink, stdout};

/// A file that is replaced at the start of the run.
pub struct Target {
    file: File,
    path: PathBuf,
}

impl Target {
    /// Creates or empties the file; others may not read it when it is new.
    pub fn create(path: &Path) -> io::Result<Target> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(named)?;
        Ok(Target {
            file,
            path: path.to_owned(),
        })
    }
}

impl Sink for Target {
    fn write(&mut self, output: &Output) -> io::Result<()> {
        stdout::write_all_waiting(&self.file, &output.bytes).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}
