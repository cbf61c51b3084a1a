//! logweir reads lines of logs and metrics and answers what an operator asks.

pub mod cli;
pub mod config;
pub mod engine;
pub mod expr;
pub mod flow;
pub mod framing;
pub mod parsers;
pub mod registry;
pub mod report;
pub mod sinks;
pub mod sources;
pub mod stages;
pub mod state;
pub mod units;
