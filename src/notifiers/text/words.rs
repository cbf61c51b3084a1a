//! The built-in words of a notification. The title says how bad, which rule and which key; the first line is
//! the newest line of the log; then come the numbers, how many records, since when and on which machine.

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::flow::alert::{Alert, Notification, SampleLine, Status};
use crate::notifiers::text::{Escape, TEXT_BYTES_MAX, common, count};

/// Alerts that are shown in full. More of them get a line each, so that a phone shows many.
const WHOLE_MAX: usize = 3;

/// Values of one label, and rules, that a title lists.
const LISTED_MAX: usize = 3;

/// Labels that name a machine, in the order in which they are asked.
const MACHINES: [&str; 5] = ["host", "hostname", "server", "instance", "node"];

/// Severities, worst first. A severity of another name comes after them.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// The machine that an alert is about: a label that names one, else the machine of this run.
pub fn machine(alert: &Alert) -> &str {
    let named = MACHINES.iter().find_map(|name| label(alert, name));
    named.unwrap_or_else(|| hostname())
}

/// The name of the machine of this run.
pub fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = rustix::system::uname();
        name.nodename().to_string_lossy().into_owned()
    })
}

/// The value of a label, if it has one.
pub fn label<'a>(alert: &'a Alert, name: &str) -> Option<&'a str> {
    let found = alert.labels.iter().find(|(label, _)| label == name);
    found
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

/// The alerts in the order in which people read them: firing ones first, the most severe first, then by rule
/// and labels.
pub fn sorted(alerts: &[Alert]) -> Vec<&Alert> {
    let rank = |alert: &Alert| {
        let severity = label(alert, "severity").unwrap_or_default();
        let known = SEVERITIES.iter().position(|known| *known == severity);
        known.unwrap_or(SEVERITIES.len())
    };
    let mut sorted: Vec<&Alert> = alerts.iter().collect();
    sorted.sort_by(|a, b| {
        let ended = |alert: &Alert| alert.status == Status::Resolved;
        (ended(a), rank(a), &a.rule, &a.labels).cmp(&(ended(b), rank(b), &b.rule, &b.labels))
    });
    sorted
}

/// `[FIRING:2] critical cpu-high host=web-1, web-2`.
pub fn title(notification: &Notification, escape: Escape) -> String {
    let sorted = sorted(&notification.alerts);
    let mut title = format!(
        "[{}:{}]",
        notification.status.name().to_uppercase(),
        count(notification, notification.status)
    );
    let severity = sorted.first().and_then(|worst| label(worst, "severity"));
    if let Some(severity) = severity {
        title.push(' ');
        escape.put(severity, &mut title);
    }
    let mut rules: Vec<&str> = Vec::new();
    for alert in &sorted {
        if !rules.contains(&&*alert.rule) {
            rules.push(&alert.rule);
        }
    }
    title.push(' ');
    escape.put(&listed(&rules), &mut title);
    // Labels of several rules need not mean the same: only those that all share stand in the title.
    let shared = common(sorted.iter().map(|alert| &alert.labels[..]));
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in sorted.iter().flat_map(|alert| &alert.labels) {
        let is_shown = !is_ours(name) && !names.contains(&&**name);
        if is_shown && (rules.len() == 1 || shared.iter().any(|(shared, _)| shared == name)) {
            names.push(name);
        }
    }
    for name in names {
        let mut values: Vec<&str> = Vec::new();
        for value in sorted.iter().filter_map(|alert| label(alert, name)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        title.push(' ');
        escape.put(&format!("{name}={}", listed(&values)), &mut title);
    }
    title
}

/// The first of some values, and how many more there are.
fn listed(values: &[&str]) -> String {
    let mut text = values[..values.len().min(LISTED_MAX)].join(", ");
    if values.len() > LISTED_MAX {
        let _ = write!(text, " and {} more", values.len() - LISTED_MAX);
    }
    text
}

/// A label that says what the title says already.
fn is_ours(name: &str) -> bool {
    matches!(name, "alertname" | "severity")
}

/// All alerts of a notification, for people.
pub fn text(notification: &Notification, escape: Escape) -> String {
    let sorted = sorted(&notification.alerts);
    let shared = common(sorted.iter().map(|alert| &alert.labels[..]));
    let is_short = sorted.len() > WHOLE_MAX;
    let mut text = String::new();
    for alert in &sorted {
        if text.len() > TEXT_BYTES_MAX {
            break;
        }
        if !text.is_empty() && !is_short {
            text.push('\n');
        }
        if sorted.len() > 1 {
            let is_new = |(name, value): &&(String, String)| {
                let pair = (name.as_str(), value.as_str());
                name != "alertname" && !shared.contains(&pair)
            };
            let own: Vec<String> = alert
                .labels
                .iter()
                .filter(is_new)
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let mut head = own.join(" ");
            if sorted.iter().any(|other| other.rule != sorted[0].rule) {
                head = format!("{} {head}", alert.rule);
            }
            if alert.status != notification.status {
                head = format!("{} {head}", alert.status.name());
            }
            escape.put(head.trim(), &mut text);
            if !head.trim().is_empty() {
                text.push_str(": ");
            }
        }
        if is_short {
            row(alert, escape, &mut text);
        } else {
            paragraph(alert, escape, &mut text);
        }
    }
    if notification.left_out > 0 {
        let _ = writeln!(text, "\nand {} more alerts", notification.left_out);
    }
    text
}

/// One line.
fn row(alert: &Alert, escape: Escape, out: &mut String) {
    let newest = alert.evidence.samples.last();
    match newest.filter(|_| alert.status == Status::Firing) {
        Some(sample) => escape.put(&sample.line, out),
        None => escape.put(&alert.summary, out),
    }
    if alert.evidence.count > 1 {
        let _ = write!(out, " ({} records)", alert.evidence.count);
    }
    out.push('\n');
}

/// What is known of one alert, without its labels. A resolved one begins with how things stand now.
pub fn paragraph(alert: &Alert, escape: Escape, out: &mut String) {
    let samples = &alert.evidence.samples;
    let newest = samples.last();
    if let Some(sample) = newest.filter(|_| alert.status == Status::Firing) {
        escape.put(&sample.line, out);
        out.push('\n');
    }
    if !alert.summary.is_empty() {
        escape.put(&alert.summary, out);
        out.push('\n');
    }
    out.push_str(&span(alert));
    out.push('\n');
    out.push_str("on ");
    escape.put(machine(alert), out);
    if let Some(sample) = newest {
        escape.put(&format!(", {}", place(sample)), out);
    }
    out.push('\n');
    let (earlier, heading) = match alert.status {
        Status::Firing => (&samples[..samples.len().saturating_sub(1)], "earlier:"),
        Status::Resolved => (&samples[..], "lines:"),
    };
    if !earlier.is_empty() {
        out.push_str(heading);
        out.push('\n');
    }
    for sample in earlier.iter().rev() {
        sample_line(sample, escape, out);
    }
}

/// `  app.log:1234: the line`.
pub fn sample_line(sample: &SampleLine, escape: Escape, out: &mut String) {
    out.push_str("  ");
    escape.put(&format!("{}: {}", place(sample), sample.line), out);
    out.push('\n');
}

fn place(sample: &SampleLine) -> String {
    format!("{}:{}", sample.source, sample.offset)
}

/// `12 records, since 2026-11-23T09:00:00Z, the last one 2026-11-23T09:04:00Z`.
fn span(alert: &Alert) -> String {
    let evidence = &alert.evidence;
    let mut text = match evidence.count {
        0 => String::new(),
        1 => "1 record, ".to_owned(),
        count => format!("{count} records, "),
    };
    let _ = write!(text, "since {}", alert.starts_at);
    if let Some(time) = alert.ends_at {
        let _ = write!(text, " until {time}");
    } else if let Some(time) = evidence.last.filter(|last| *last > alert.starts_at) {
        let _ = write!(text, ", the last one {time}");
    }
    text
}

/// `FIRING cpu-high host=web-1 severity=critical: p95(cpu) > 90, is 95.2`.
pub fn line(alert: &Alert, escape: Escape, out: &mut String) {
    out.push_str(&alert.status.name().to_uppercase());
    out.push(' ');
    escape.put(&alert.rule, out);
    for (name, value) in &alert.labels {
        if name != "alertname" {
            out.push(' ');
            escape.put(&format!("{name}={value}"), out);
        }
    }
    if !alert.summary.is_empty() {
        out.push_str(": ");
        escape.put(&alert.summary, out);
    }
}
