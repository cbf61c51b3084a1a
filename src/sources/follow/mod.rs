//! Following files.

pub mod watch;
