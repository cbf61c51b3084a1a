//! `weir explain LINE`: how one line is read, and what keeps or drops it.

use crate::cli::Failure;
use crate::cli::args::ExplainArgs;

pub fn run(_args: ExplainArgs) -> Result<u8, Failure> {
    Ok(0)
}
