//! The command line: what was typed becomes a plan, a run and an exit code. One file a command.

mod alerts;
pub mod args;
mod baseline;
mod check;
mod config;
mod docs;
mod explain;
mod filter;
mod follow;
mod globs;
mod live;
mod merge;
mod output;
mod overlap;
mod plan;
mod progress;
mod rehearse;
mod replay;
mod report;
mod run;
pub mod setup;
mod start;
mod state;
mod test;
mod usage;
mod whole;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Cli, Command, ConfigCommand, SchemaKind, StateCommand};
use crate::engine::faults;

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

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::tell(&error),
    };
    faults::install();
    let result = match cli.command {
        None => report::run(cli.report),
        Some(Command::Filter(args)) => filter::run(args),
        Some(Command::Merge(args)) => merge::run(args),
        Some(Command::Explain(args)) => explain::run(args),
        Some(Command::Run(args)) => run::run(args),
        Some(Command::Test(args)) => test::run(args),
        Some(Command::Replay(args)) => replay::run(args),
        Some(Command::Baseline { command }) => baseline::run(command),
        Some(Command::Check(args)) => check::run(args),
        Some(Command::Config {
            command: ConfigCommand::Show(args),
        }) => config::show(args),
        Some(Command::State { command }) => match command {
            StateCommand::Show(args) => state::show(args),
            StateCommand::Ack(args) => state::ack(args),
        },
        Some(Command::Alerts(args)) => alerts::run(args),
        Some(Command::Completions { shell }) => docs::completions(shell),
        Some(Command::Man) => docs::man(),
        Some(Command::Schema {
            what: SchemaKind::Report,
        }) => docs::schema(),
        Some(Command::Schema {
            what: SchemaKind::Config,
        }) => docs::configuration_schema(),
    };
    faults::finish();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output::say(&failure.message);
            ExitCode::from(failure.exit_code)
        }
    }
}
