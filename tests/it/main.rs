//! The tests that run the whole program, as one binary: starting a process a test is slow enough
//! without linking one a file.

mod bad_input;
mod cases;
mod cli;
mod corpus;
mod laws;
#[cfg(feature = "failpoints")]
mod loss;
mod program;
mod readme;
mod shared;
mod tidy;
mod truth;
