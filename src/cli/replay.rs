//! `weir replay`: what would have fired over recorded files, when, and who would have been told. With
//! `--against` the difference between two configurations.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::args::{Format, ReplayArgs};
use crate::cli::test::shown;
use crate::cli::{config, output, report};
use crate::error::Failure;
use crate::flow::alert::{Alert, Notification};
use crate::flow::time::Time;
use crate::plan::setup::{self, Purpose};
use crate::report::json::watched;
use crate::report::text::number::counted;
use crate::report::{Report, json as report_json};
use crate::run::rehearse::{Recorded, Rehearsal, rehearse};
use crate::run::start;
use crate::stop::Stop;

pub fn run(args: ReplayArgs) -> Result<u8, Failure> {
    output::log_as(args.log_format);
    let stop = start::stop()?;
    let new = replayed(&args, &args.config.config, &stop)?;
    let code = output::problems(&new.outcome);
    if args.against.is_empty() {
        match args.format.output {
            Format::Json => output::write_escaped(whole(&new))?,
            Format::Text => output::write(None, text(&new))?,
        }
        return Ok(code);
    }
    let old = replayed(&args, &args.against, &stop)?;
    let compared = Compared::of(&old, &new);
    match args.format.output {
        Format::Json => output::write_escaped(format!("{}\n", compared.json()).into_bytes())?,
        Format::Text => output::write(None, compared.text().into_bytes())?,
    }
    Ok(code)
}

fn replayed(args: &ReplayArgs, files: &[PathBuf], stop: &Stop) -> Result<Rehearsal, Failure> {
    let loaded = config::load_files(files, args.config.env.as_deref())?;
    let setup = setup::setup(&loaded, Purpose::Replay, None)?;
    rehearse(setup, Recorded::Files(args.files.clone()), stop.clone())
}

/// How many messages each notifier would have got.
fn counts(rehearsal: &Rehearsal) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for notification in &rehearsal.notifications {
        *counts.entry(&*notification.notifier).or_default() += 1;
    }
    counts
}

/// Who would have been told of an alert, how often if more than once, and when first.
fn told(rehearsal: &Rehearsal, alert: &Alert) -> (String, Option<Time>) {
    let mut told: Vec<(&str, u64)> = Vec::new();
    let mut at: Option<Time> = None;
    for notification in &rehearsal.notifications {
        let same = |told: &Alert| told.id == alert.id && told.status == alert.status;
        if !notification.alerts.iter().any(same) {
            continue;
        }
        let name = &*notification.notifier;
        at = at.into_iter().chain([notification.made_at]).min();
        match told.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1 += 1,
            None => told.push((name, 1)),
        }
    }
    let told: Vec<String> = told
        .into_iter()
        .map(|(name, times)| match times {
            1 => name.to_owned(),
            times => format!("{name} ({times} times)"),
        })
        .collect();
    let told = match &*told {
        [] => "nobody".to_owned(),
        told => told.join(", "),
    };
    (told, at)
}

/// What stands where a time would, of records that say none.
const NO_TIME: &str = "no time";

fn text(rehearsal: &Rehearsal) -> Vec<u8> {
    let mut text = String::new();
    let alerts = &rehearsal.alerts;
    let is_timeless = rehearsal.outcome.state.first.is_none();
    let mut rows: Vec<(Time, String)> = Vec::new();
    for alert in alerts {
        let (who, at) = told(rehearsal, alert);
        let at = at.unwrap_or(alert.ends_at.unwrap_or(alert.starts_at));
        let when = match is_timeless {
            true => NO_TIME.to_owned(),
            false => at.to_string(),
        };
        let row = format!("{when}  {}  {}  -> {who}\n", shown(alert), alert.summary);
        rows.push((at, row));
    }
    // In the order in which a person would have been told.
    rows.sort_by_key(|row| row.0);
    rows.iter().for_each(|(_, row)| text.push_str(row));
    let firing = alerts.iter().filter(|alert| alert.ends_at.is_none());
    let state = &rehearsal.outcome.state;
    let mut sums = vec![
        counted(state.ledger.records, "record"),
        counted(firing.count() as u64, "alert"),
    ];
    if rehearsal.has_lines {
        let lines = memchr::memchr_iter(b'\n', &rehearsal.lines).count();
        sums.push(format!("{} to sinks", counted(lines as u64, "line")));
    }
    for (notifier, count) in counts(rehearsal) {
        sums.push(format!("{} to {notifier}", counted(count, "message")));
    }
    text.push_str(&sums.join(", "));
    text.push('\n');
    let mut bytes = plain(&text).into_bytes();
    let known = report::known(state);
    if !known.is_empty() {
        bytes.push(b'\n');
        bytes.extend(known);
    }
    if !rehearsal.notes.is_empty() {
        let notes = rehearsal.notes.iter().map(|note| format!("note: {note}\n"));
        bytes.push(b'\n');
        bytes.extend(plain(&notes.collect::<String>()).into_bytes());
    }
    bytes
}

/// Without control characters, for a terminal.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    crate::flow::terminal::escape(text.as_bytes(), &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn notification(notification: &Notification) -> Value {
    json!({
        "notifier": notification.notifier,
        "id": notification.id,
        "at": notification.made_at.to_string(),
        "status": notification.status.name(),
        "alerts": notification.alerts.iter().map(|alert| &alert.id).collect::<Vec<_>>(),
        "left_out": notification.left_out,
    })
}

/// One JSON object: what happened to alerts, who would have been told, and the report.
fn whole(rehearsal: &Rehearsal) -> Vec<u8> {
    let alerts: Vec<Value> = rehearsal.alerts.iter().map(watched::alert).collect();
    let notifications: Vec<Value> = rehearsal.notifications.iter().map(notification).collect();
    let mut bytes = format!(
        "{{\"alerts\":{},\"notifications\":{},\"notes\":{},\"lines\":{},\"report\":",
        json!(alerts),
        json!(notifications),
        json!(rehearsal.notes),
        memchr::memchr_iter(b'\n', &rehearsal.lines).count(),
    )
    .into_bytes();
    let state = &rehearsal.outcome.state;
    report_json::write(&Report::new(state, None), None, &mut |text| {
        bytes.extend_from_slice(text.trim_end_matches('\n').as_bytes());
    });
    bytes.extend_from_slice(b"}\n");
    bytes
}

/// What two configurations make of the same files.
struct Compared<'a> {
    /// Alerts by rule, labels and status, with how often they come, before and now.
    rows: Vec<(&'a Alert, u64, u64)>,
    messages: BTreeMap<&'a str, (u64, u64)>,
}

impl<'a> Compared<'a> {
    fn of(old: &'a Rehearsal, new: &'a Rehearsal) -> Compared<'a> {
        type Key<'k> = (&'k str, &'k [(String, String)], &'static str, i64);
        let key = |alert: &'a Alert| -> Key<'a> {
            let at = alert.ends_at.unwrap_or(alert.starts_at);
            (&alert.rule, &alert.labels, alert.status.name(), at.0)
        };
        let mut rows: BTreeMap<Key<'a>, (&Alert, u64, u64)> = BTreeMap::new();
        for alert in &old.alerts {
            rows.entry(key(alert)).or_insert((alert, 0, 0)).1 += 1;
        }
        for alert in &new.alerts {
            rows.entry(key(alert)).or_insert((alert, 0, 0)).2 += 1;
        }
        let mut messages: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (notifier, count) in counts(old) {
            messages.entry(notifier).or_default().0 = count;
        }
        for (notifier, count) in counts(new) {
            messages.entry(notifier).or_default().1 = count;
        }
        let mut rows: Vec<_> = rows.into_values().filter(|row| row.1 != row.2).collect();
        rows.sort_by_key(|row| row.0.ends_at.unwrap_or(row.0.starts_at));
        Compared { rows, messages }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (alert, old, new) in &self.rows {
            let sign = if new > old { '+' } else { '-' };
            let at = alert.ends_at.unwrap_or(alert.starts_at);
            text.push_str(&format!(
                "{sign} {at}  {}  {}\n",
                shown(alert),
                alert.summary
            ));
        }
        if self.rows.is_empty() {
            text.push_str("the same alerts\n");
        }
        for (notifier, (old, new)) in &self.messages {
            text.push_str(&format!("{old} -> {new} messages to {notifier}\n"));
        }
        plain(&text)
    }

    fn json(&self) -> Value {
        let row = |(alert, old, new): &(&Alert, u64, u64)| json!({"alert": watched::alert(alert), "old": old, "new": new});
        let messages: BTreeMap<&str, Value> = self
            .messages
            .iter()
            .map(|(notifier, (old, new))| (*notifier, json!({"old": old, "new": new})))
            .collect();
        json!({"changed": self.rows.iter().map(row).collect::<Vec<_>>(), "messages": messages})
    }
}
