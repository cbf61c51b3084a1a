//! The command `weir`: arguments in, exit code out.

use std::process::ExitCode;

/// Mappers and fold pass buffers between threads all the time; the system's allocator pays for
/// that with locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    logweir::cli::main()
}
