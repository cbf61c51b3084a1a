//! The map half: everything that costs per byte, one file a stage. Each has scratch that one mapper
//! owns; what it makes of a batch depends on the batch alone.

pub mod aggregate;
pub mod fingerprint;
pub mod group_key;
pub mod lines;
pub mod literals;
pub mod messages;
pub mod observe;
pub mod quantities;
