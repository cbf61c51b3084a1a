//! What travels between the rooms: bytes and spans, levels, times, rows, batches. No I/O, no
//! threads, no opinions about formats.

pub mod alert;
pub mod batch;
pub mod block;

pub mod chunk;
pub mod document;
pub mod extract;
pub mod facts;
pub mod fingerprint;
pub mod format;
pub mod key;
pub mod level;
pub mod mapped;
pub mod mark;
pub mod observed;
pub mod output;
pub mod recent;
pub mod row;
pub mod sample;
pub mod secret;
pub mod span;
pub mod terminal;
pub mod time;
pub mod wanted;
