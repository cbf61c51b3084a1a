//! Following on the real machine: the rows of `docs/faults.md`, each provoked by what really
//! happens to files (renames, truncations, full disks, kills) and judged by what stands in the
//! output. A generator writes numbered lines; the oracle knows every byte that has to come.

mod content;
mod crash;
mod names;
mod output;
mod rotation;
pub mod scene;
mod signals;
mod state;
mod table;
