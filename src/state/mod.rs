//! The fold half: what is remembered between batches.

pub mod templates;
