//! What travels between the rooms: bytes and spans, levels, times, rows. No I/O, no threads, no
//! opinions about formats.

pub mod facts;
pub mod fingerprint;
pub mod format;
pub mod level;
pub mod row;
pub mod span;
pub mod time;
pub mod wanted;
