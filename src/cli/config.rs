//! The configuration on the command line: loading it for all commands that take `-c`, and `weir config`.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::cli::args::{ConfigArgs, ShowArgs};
use crate::cli::output;
use crate::config::load::{self, Loaded};
use crate::config::problem::Problems;
use crate::config::secret;
use crate::config::show::{self, Defaults};
use crate::error::{Failure, exit};
use crate::flow::terminal;

/// Names the configuration if the command line does not.
const VARIABLE: &str = "WEIR_CONFIG";

/// What the files and the environment say.
pub fn load(args: &ConfigArgs) -> Result<Loaded, Problems> {
    load_files(&args.config, args.env.as_deref())
}

/// What these files say, one laid over the other, in this environment.
pub fn load_files(named: &[PathBuf], env: Option<&str>) -> Result<Loaded, Problems> {
    load::load(&files(named), env, &secret::variable)
}

/// The files that are named: a variable can name several, as in `PATH`; on the command line a name is taken
/// as it is.
pub fn files(named: &[PathBuf]) -> Vec<PathBuf> {
    let variable = std::env::var_os(VARIABLE).filter(|variable| !variable.is_empty());
    match named {
        [one] if variable.is_some_and(|variable| one.as_os_str() == variable) => {
            std::env::split_paths(one).collect()
        }
        named => named.to_vec(),
    }
}

/// A refused configuration ends a command like any other failure.
impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure {
            message: text(&problems),
            exit_code: exit::CONFIGURATION,
        }
    }
}

/// All problems as one text without control characters, each with its place at the start of a line.
fn text(problems: &Problems) -> String {
    String::from_utf8_lossy(&plain(&problems.to_string())).into_owned()
}

/// A text without anything that a terminal obeys.
pub fn plain(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    terminal::escape(text.as_bytes(), &mut bytes);
    bytes
}

/// Writes all problems to standard error, each with its place at the start of a line, where editors look
/// for it; returns the exit code.
pub fn refuse(problems: &Problems) -> u8 {
    let mut bytes = plain(&problems.to_string());
    bytes.push(b'\n');
    // If standard error is closed or full, the exit code still tells.
    let _ = io::stderr().write_all(&bytes);
    exit::CONFIGURATION
}

pub fn show(args: ShowArgs) -> Result<u8, Failure> {
    let loaded = match load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(refuse(&problems)),
    };
    let defaults = match args.defaults {
        true => Defaults::Show,
        false => Defaults::Hide,
    };
    output::write_escaped(show::show(&loaded, defaults).into_bytes()).map(|()| 0)
}
