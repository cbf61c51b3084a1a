//! The one error that reaches the user: what is wrong, where, and the exit code it asks for.

/// Exit codes, beside 0 (contract, see the manual page).
pub mod exit {
    /// `--fail-on` held.
    pub const FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const UNACCOUNTED: u8 = 3;
    pub const NOT_A_SNAPSHOT: u8 = 65;
    pub const NO_INPUT: u8 = 66;
    pub const IO: u8 = 74;
    /// The configuration is wrong.
    pub const CONFIGURATION: u8 = 78;
}

/// A person's mistake or a failure of the system, with the exit code it asks for.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub exit_code: u8,
}

impl Failure {
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit_code: exit::USAGE,
        }
    }

    pub fn io(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            exit_code: exit::IO,
        }
    }
}
