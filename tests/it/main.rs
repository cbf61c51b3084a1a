//! The tests that run the whole program, as one binary: starting a process a test is slow enough
//! without linking one a file.

mod corpus;
mod laws;
mod shared;
mod truth;
