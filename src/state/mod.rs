//! The fold half: everything the program knows about its input, owned by one thread, in record
//! order, serialisable and mergeable. No I/O and no clock in here.
pub mod counts;
pub mod groups;
pub mod histogram;
pub mod metrics;
pub mod timeline;
