//! logweir reads lines of logs and metrics and answers what an operator asks.
pub mod expr;
pub mod flow;
pub mod framing;
pub mod parsers;
pub mod state;
pub mod units;
