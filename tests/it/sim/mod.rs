//! The deterministic simulation.

mod clock;
mod disk;
mod oracle;
mod platter;
mod random;
mod tests;
mod world;
