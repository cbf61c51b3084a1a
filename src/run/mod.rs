//! What lives while a run lives: the start of the engine, the clock of rules, summaries, delivery and
//! reloading. Knows no flag of the command line.

pub mod companion;
pub mod following;
pub mod merged;
pub mod purpose;
pub mod rehearse;
pub mod reload;
pub mod start;
pub mod summaries;
