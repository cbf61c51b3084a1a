//! Following files.

pub mod watch;

use std::time::Duration;

use crate::flow::batch::Batch;

/// What the follower did.
#[derive(Debug)]
pub enum Step {
    Batch(Batch),
    /// Monotonic time at which to call again at the latest; earlier when the hints' descriptor is
    /// readable.
    Idle {
        until: Duration,
    },
    End,
}

/// What a user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub text: String,
    pub is_problem: bool,
}
