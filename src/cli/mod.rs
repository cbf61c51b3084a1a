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
mod live;
mod merge;
mod order;
mod output;
mod progress;
mod replay;
mod report;
mod run;
mod select;
mod silence;
mod state;
mod test;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::args::{Cli, Command, ConfigCommand, SchemaKind, StateCommand};
use crate::engine::faults;
use crate::process::diagnostics;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let mut grammar = Cli::command();
    grammar.build();
    let arguments = order::command_first(std::env::args_os().collect(), &grammar);
    let cli = match Cli::try_parse_from(arguments) {
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
        Some(Command::Silence { command }) => match command {
            silence::SilenceCommand::Add(args) => silence::add(args),
            silence::SilenceCommand::List(args) => silence::list(args),
            silence::SilenceCommand::Remove(args) => silence::remove(args),
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
            diagnostics::say(&failure.message);
            ExitCode::from(failure.exit_code)
        }
    }
}
