//! The map half: what is done to a batch without any state.

pub mod fingerprint;
