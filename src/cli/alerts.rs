//! `weir alerts --state DIR`: what was told of which alert, when, to whom, and what was answered. Reads the
//! journal that notifiers keep; the run that writes it may be under way.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::json;

use crate::cli::args::{AlertsArgs, Format};
use crate::cli::output;
use crate::error::{Failure, exit};
use crate::flow::terminal;
use crate::notifiers::delivery::Folder;
use crate::notifiers::journal::{self, Entry, Told};
use crate::process::diagnostics;
use crate::units;

pub fn run(args: AlertsArgs) -> Result<u8, Failure> {
    let since = match &args.since {
        Some(text) => Some(since(text, SystemTime::now()).map_err(Failure::usage)?),
        None => None,
    };
    let path = Folder::of(&args.state).journal;
    if !args.state.is_dir() {
        return Err(Failure {
            message: format!("{}: no such directory", args.state.display()),
            exit_code: exit::NO_INPUT,
        });
    }
    let (entries, torn) = journal::read(&path)
        .map_err(|error| Failure::io(format!("{}: {error}", path.display())))?;
    if torn > 0 {
        diagnostics::note(&format!("{}: {torn} lines cannot be read", path.display()));
    }
    let is_recent = |entry: &&Entry| match (since, entry.at.parse::<Timestamp>()) {
        (Some(since), Ok(at)) => at >= since,
        _ => true,
    };
    let entries: Vec<&Entry> = entries.iter().filter(is_recent).collect();
    match args.output {
        Format::Json => output::write_escaped(lines(&entries))?,
        Format::Text => output::write(None, table(&entries, &args.state))?,
    }
    Ok(0)
}

/// A span back from now, such as `2h`, or a time with offset, such as `2026-11-22T10:00:00Z`.
fn since(text: &str, now: SystemTime) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || {
        format!(
            "--since {text:?}: neither a span such as 2h nor a time such as 2026-11-22T10:00:00Z"
        )
    };
    let span = units::duration_nanoseconds(text).map_err(|_| wrong())?;
    let now = Timestamp::try_from(now).map_err(|_| wrong())?;
    now.checked_sub(jiff::SignedDuration::from_nanos(span))
        .map_err(|_| wrong())
}

/// An object an alert and attempt.
fn lines(entries: &[&Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        for told in &entry.alerts {
            let labels: serde_json::Map<String, serde_json::Value> = told
                .labels
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            let line = json!({
                "at": entry.at,
                "notifier": entry.notifier,
                "ended": entry.ended.name(),
                "answer": entry.answer,
                "attempt": entry.attempt,
                "notification": entry.notification,
                "alert": {
                    "id": told.id,
                    "rule": told.rule,
                    "status": told.status.name(),
                    "labels": labels,
                    "summary": told.summary,
                    "starts_at": told.starts_at,
                    "ends_at": told.ends_at,
                },
            });
            serde_json::to_writer(&mut out, &line).expect("a vector takes every value");
            out.push(b'\n');
        }
    }
    out
}

/// A line an alert and attempt; attempts that were repeated are shown by how they ended at last.
fn table(entries: &[&Entry], state: &Path) -> Vec<u8> {
    // The newest attempt of each notification says what became of it.
    let mut seen = HashSet::new();
    let mut shown: Vec<&Entry> = entries
        .iter()
        .rev()
        .filter(|entry| {
            seen.insert((
                entry.number,
                entry.notification.as_str(),
                entry.ended.name() == "divided",
            ))
        })
        .copied()
        .collect();
    shown.reverse();
    let mut text = String::new();
    if shown.is_empty() {
        let _ = writeln!(text, "{}: nothing was told to anybody", state.display());
    }
    for entry in shown {
        for told in &entry.alerts {
            let attempts = match entry.attempt {
                1 => String::new(),
                count => format!(" after {count} attempts"),
            };
            let line = format!(
                "{}  {:<8}  {}  since {}  → {}: {}{attempts}, {}",
                entry.at,
                told.status.name(),
                what(told),
                told.starts_at,
                entry.notifier,
                entry.ended.name(),
                entry.answer,
            );
            text.push_str(&line.replace(['\n', '\t'], " "));
            text.push('\n');
        }
    }
    let mut harmless = Vec::with_capacity(text.len());
    terminal::escape(text.as_bytes(), &mut harmless);
    harmless
}

/// Rule, labels and what holds.
fn what(told: &Told) -> String {
    let mut text = told.rule.clone();
    for (name, value) in told.labels.iter().filter(|(name, _)| name != "alertname") {
        let _ = write!(text, " {name}={value}");
    }
    if !told.summary.is_empty() {
        let _ = write!(text, " ({})", told.summary);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn since_is_a_span_or_a_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_341_600);
        for (text, want) in [
            ("2h", Some("2026-11-22T08:00:00Z")),
            ("90s", Some("2026-11-22T09:58:30Z")),
            ("2026-11-22T11:00:00+02:00", Some("2026-11-22T09:00:00Z")),
            ("yesterday", None),
            ("", None),
        ] {
            let got = since(text, now).ok().map(|time| time.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
    }
}
