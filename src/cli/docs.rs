//! What the program says about itself: shell completions, the manual page, the report's schema.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::cli::{Failure, output};

/// The JSON Schema of a report, kept as a file so that it can be read without running anything.
const REPORT_SCHEMA: &str = include_str!("../report/report.schema.json");

pub fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut bytes);
    output::write(None, bytes).map(|()| 0)
}

pub fn man() -> Result<u8, Failure> {
    let mut bytes = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut bytes)
        .map_err(|error| Failure::io(error.to_string()))?;
    output::write(None, bytes).map(|()| 0)
}

pub fn schema() -> Result<u8, Failure> {
    output::write(None, REPORT_SCHEMA.as_bytes().to_vec()).map(|()| 0)
}
