//! `weir silence`: silences of a state directory, made by hand. Its run sees them within a second.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::{Format, OutputFormat, StatePlace};
use crate::cli::{output, state};
use crate::error::{Failure, exit};
use crate::flow::terminal;
use crate::flow::time::Time;
use crate::plan::flags;
use crate::store::silences::{self, Entry, SILENCES_MAX};
use crate::units;

#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// Do not send alerts that have all of these labels; what still fires at the end is sent then
    Add(SilenceAddArgs),
    /// List the silences that were added
    List(SilenceListArgs),
    /// Remove silences before their time is over
    Remove(SilenceRemoveArgs),
}

#[derive(Debug, Args)]
pub struct SilenceAddArgs {
    /// Labels of the alerts: alertname, severity, and the fields of by or key, such as host=db-1
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub labels: Vec<String>,
    /// How long
    #[arg(
        long = "for",
        value_name = "DURATION",
        default_value = "4h",
        conflicts_with = "until"
    )]
    pub span: String,
    /// Until when, such as 2026-11-23T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub comment: String,
    #[command(flatten)]
    pub place: StatePlace,
}

#[derive(Debug, Args)]
pub struct SilenceListArgs {
    #[command(flatten)]
    pub place: StatePlace,
    #[command(flatten)]
    pub format: OutputFormat,
}

#[derive(Debug, Args)]
pub struct SilenceRemoveArgs {
    /// Numbers of the silences, as `weir silence list` shows them
    #[arg(value_name = "NUMBER", required = true)]
    pub ids: Vec<u64>,
    #[command(flatten)]
    pub place: StatePlace,
}

pub fn add(args: SilenceAddArgs) -> Result<u8, Failure> {
    let path = file(&args.place)?;
    let mut labels = BTreeMap::new();
    for label in &args.labels {
        match label.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                labels.insert(name.to_owned(), value.to_owned());
            }
            _ => {
                return Err(Failure::usage(format!(
                    "{label:?} is no label; write NAME=VALUE, such as host=db-1 or alertname=db.bad"
                )));
            }
        }
    }
    let now = flags::now();
    let until = match &args.until {
        Some(text) => time(text)?,
        None => {
            let span = units::duration_nanoseconds(&args.span);
            let span = span.map_err(|error| Failure::usage(format!("--for: {error}")))?;
            Time(now.0.saturating_add(span))
        }
    };
    if until <= now {
        return Err(Failure::usage(format!(
            "the silence would be over already, at {until}"
        )));
    }
    let mut entries = read(&path)?;
    // What is over has no use; what was made stays countable by its number.
    let id = entries.iter().map(|entry| entry.id).max().unwrap_or(0) + 1;
    entries.retain(|entry| time(&entry.until).is_ok_and(|until| until > now));
    if entries.len() >= SILENCES_MAX {
        return Err(Failure::usage(format!(
            "there are {SILENCES_MAX} silences already; remove some"
        )));
    }
    entries.push(Entry {
        id,
        labels,
        from: now.to_string(),
        until: until.to_string(),
        comment: args.comment,
    });
    write(&path, &entries)?;
    output::write(None, format!("{id}: until {until}\n").into_bytes())?;
    Ok(0)
}

pub fn list(args: SilenceListArgs) -> Result<u8, Failure> {
    let entries = read(&file(&args.place)?)?;
    if args.format.output == Format::Json {
        output::write_escaped(format!("{}\n", json!(entries)).into_bytes())?;
        return Ok(0);
    }
    let now = flags::now();
    let mut text = String::new();
    for entry in &entries {
        let labels: Vec<String> = entry
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let is_over = time(&entry.until).is_ok_and(|until| until <= now);
        let over = if is_over { " (over)" } else { "" };
        let comment = match entry.comment.as_str() {
            "" => String::new(),
            comment => format!("  {comment}"),
        };
        let _ = writeln!(
            text,
            "{}: {}  until {}{over}{comment}",
            entry.id,
            labels.join(", "),
            entry.until
        );
    }
    if entries.is_empty() {
        text.push_str("no silences\n");
    }
    let mut bytes = Vec::new();
    terminal::escape(text.as_bytes(), &mut bytes);
    output::write(None, bytes)?;
    Ok(0)
}

pub fn remove(args: SilenceRemoveArgs) -> Result<u8, Failure> {
    let path = file(&args.place)?;
    let mut entries = read(&path)?;
    for id in &args.ids {
        if !entries.iter().any(|entry| entry.id == *id) {
            let known: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
            let known = match known.is_empty() {
                true => "there are none".to_owned(),
                false => format!("known here: {}", known.join(", ")),
            };
            return Err(Failure::usage(format!(
                "no silence has the number {id}; {known}"
            )));
        }
    }
    entries.retain(|entry| !args.ids.contains(&entry.id));
    write(&path, &entries)?;
    Ok(0)
}

fn file(place: &StatePlace) -> Result<PathBuf, Failure> {
    let dir = state::place(place)?;
    if !dir.is_dir() {
        return Err(Failure {
            message: format!("{}: no such directory", dir.display()),
            exit_code: exit::NO_INPUT,
        });
    }
    Ok(silences::path(&dir))
}

fn read(path: &std::path::Path) -> Result<Vec<Entry>, Failure> {
    silences::read(path).map_err(|error| Failure::io(format!("{}: {error}", path.display())))
}

fn write(path: &std::path::Path, entries: &[Entry]) -> Result<(), Failure> {
    silences::write(path, entries)
        .map_err(|error| Failure::io(format!("{}: {error}", path.display())))
}

/// A time with its offset.
fn time(text: &str) -> Result<Time, Failure> {
    let time: Result<Timestamp, _> = text.parse();
    time.ok()
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .map(Time)
        .ok_or_else(|| {
            Failure::usage(format!(
                "{text:?} is no time; write it like 2026-11-23T12:00:00Z"
            ))
        })
}
