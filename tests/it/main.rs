//! The tests that run the built command, as one binary: starting a process a test is slow enough
//! without linking one a file.

mod bad_input;
mod cases;
mod cli;
mod program;
mod readme;
mod tidy;
