//! The command `weir`: arguments in, exit code out.

mod memory;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: memory::Allocator = memory::Allocator;

fn main() -> ExitCode {
    logweir::cli::main()
}
