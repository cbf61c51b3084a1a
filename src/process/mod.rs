//! What a process owes its surroundings: signals, the service manager, its descriptors, and what it
//! says about itself on standard error.

pub mod descriptors;
pub mod diagnostics;
pub mod signals;
pub mod systemd;
