//! The tests that run the whole program, as one binary: starting a process a test is slow enough
//! without linking one a file.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is tests, where a panic is the message"
)]

mod adding;
mod bad_input;
mod byte_order_mark;
mod cases;
mod check;
mod cli;
mod conditions;
mod config;
mod corpus;
mod cost;
mod explain;
mod follow;
mod fuzz;
mod huge;
mod inputs;
mod laws;
#[cfg(any(debug_assertions, feature = "failpoints"))]
mod loss;
mod notify;
mod outputs;
#[cfg(any(debug_assertions, feature = "failpoints"))]
mod panics;
mod program;
mod readme;
mod recipes;
mod run;
mod shared;
mod sim;
mod state;
mod supply;
mod tidy;
mod torture;
mod truth;
mod vectors;
mod watching;
