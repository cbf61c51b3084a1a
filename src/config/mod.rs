//! What the program was asked to do, checked and resolved.

pub mod plan;
