//! logweir reads lines of logs and metrics and answers what an operator asks.
pub mod flow;
pub mod parsers;
pub mod stages;
pub mod state;
pub mod units;
