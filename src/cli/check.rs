//! `weir check`: everything that is wrong with a configuration, from the loader that `weir run` uses.

use crate::cli::args::{CheckArgs, Format};
use crate::cli::{Failure, config, exit, output};
use crate::config::problem::Problems;

pub fn run(args: CheckArgs) -> Result<u8, Failure> {
    let problems = match config::load(&args.config) {
        Ok(_) => Problems::default(),
        Err(problems) => problems,
    };
    match args.output {
        // For programs both answers are on standard output.
        Format::Json => output::write(None, format!("{}\n", problems.json()).into_bytes())?,
        Format::Text if problems.is_empty() => output::write(None, b"ok\n".to_vec())?,
        Format::Text => {
            config::refuse(&problems);
        }
    }
    Ok(match problems.is_empty() {
        true => 0,
        false => exit::CONFIGURATION,
    })
}
