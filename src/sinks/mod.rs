//! Where lines and reports go: one file a sink. A sink writes what it is given and counts it; it
//! decides nothing.

pub mod file;
pub mod http;
pub mod prometheus;
pub mod stdout;

use std::io;

/// A place for lines. Called from one thread, in order.
pub trait Sink: Send {
    /// Writes all of these whole lines. An error means that some of them are lost to this sink.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Makes sure that everything written has left the process.
    fn finish(&mut self) -> io::Result<()>;
}
