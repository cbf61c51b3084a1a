//! The state as a page in the Prometheus text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>): what the program counts of itself,
//! the user's metrics as summaries, the counts of each `--by`. Names are made fit, values are escaped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::flow::key;
use crate::flow::level::Level;
use crate::state::State;
use crate::units::Unit;

/// What the answer's `Content-Type` says.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Groups of each grouping that have rows of their own, largest first; the others become one row. A
/// scrape of more helps nobody and costs the receiver its memory.
pub const GROUPS_MAX: usize = 1000;

/// Quantiles of each summary, as the report shows them.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// A figure that the state does not hold, such as the length of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// Whole, with `weir_` and unit; rows of one name have to follow each other.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// The whole page.
pub fn page(state: &State, extra: &[Extra]) -> String {
    let mut page = Page::default();
    page.own(state);
    for figure in extra {
        let kind = match figure.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        page.family(figure.name, kind, figure.help);
        let labels: Vec<(&str, &str)> = figure
            .labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        page.row(figure.name, &labels, figure.value);
    }
    page.groups(state);
    page.metrics(state);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    family: String,
}

impl Page {
    /// Opens a family of rows, unless it is the open one.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        if self.family != name {
            name.clone_into(&mut self.family);
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
    }

    /// Appends a row; label names are fit already.
    fn row(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = if value.is_infinite() {
            writeln!(self.text, " {}Inf", if value > 0.0 { '+' } else { '-' })
        } else {
            writeln!(self.text, " {value}")
        };
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.family(name, "counter", help);
        self.row(name, labels, value as f64);
    }

    /// What the program counts of itself.
    fn own(&mut self, state: &State) {
        let ledger = &state.ledger;
        self.family("weir_build_info", "gauge", "The program that is running.");
        self.row(
            "weir_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1.0,
        );
        self.counter("weir_bytes_total", "Bytes read.", &[], ledger.bytes);
        self.counter("weir_lines_total", "Lines read.", &[], ledger.lines);
        for (verdict, count) in [
            ("kept", ledger.kept),
            ("filtered", ledger.filtered),
            ("duplicate", ledger.duplicate),
            ("malformed", ledger.malformed),
            ("held", ledger.held),
        ] {
            let help = "Records by what became of them.";
            self.counter("weir_records_total", help, &[("verdict", verdict)], count);
        }
        for (name, help, count) in [
            (
                "weir_unaccounted_records_total",
                "Records that went missing: a fault of weir if it is not 0.",
                ledger.unaccounted,
            ),
            (
                "weir_faulted_records_total",
                "Records that made weir panic and were written as plain text: a fault of weir if it is not 0.",
                ledger.faulted,
            ),
            (
                "weir_truncated_lines_total",
                "Lines that were cut because they are too long.",
                ledger.truncated,
            ),
            (
                "weir_cut_fields_total",
                "Fields that were left out because their record has too many.",
                ledger.fields_cut,
            ),
            (
                "weir_no_time_records_total",
                "Selected records without a time.",
                ledger.no_time,
            ),
            (
                "weir_lost_bytes_total",
                "Bytes of followed files that were gone before they were read.",
                state.losses.lost_bytes(),
            ),
            (
                "weir_skipped_bytes_total",
                "Bytes of followed files that were not to be read.",
                state.losses.skipped_bytes(),
            ),
        ] {
            self.counter(name, help, &[], count);
        }
        let levels = [None].into_iter().chain(Level::ALL.map(Some));
        for level in levels {
            let name = level.map_or("none", Level::name);
            let help = "Selected records by level.";
            self.counter(
                "weir_level_records_total",
                help,
                &[("level", name)],
                state.levels[Level::index(level)],
            );
        }
        // Rotated files of one name are one input to whoever looks at it.
        let mut inputs: BTreeMap<&str, u64> = BTreeMap::new();
        for input in state.inputs.iter().filter(|input| !input.name.is_empty()) {
            *inputs.entry(&input.name).or_default() += input.bytes;
        }
        for (name, bytes) in inputs {
            self.counter(
                "weir_input_bytes_total",
                "Bytes read by input.",
                &[("input", name)],
                bytes,
            );
        }
        for table in state.approximate() {
            self.family(
                "weir_table_full",
                "gauge",
                "Tables that a limit has made approximate.",
            );
            self.row("weir_table_full", &[("table", table)], 1.0);
        }
    }

    /// How many records each group has.
    fn groups(&mut self, state: &State) {
        let names: Vec<Vec<String>> = state
            .shape
            .groupings
            .iter()
            .map(|fields| label_names(fields))
            .collect();
        const NAME: &str = "weir_group_records_total";
        for groups in super::groups(state, Some(GROUPS_MAX)) {
            let statuses = label_names(&[key::STATUS.to_owned()]);
            let names = names.get(groups.grouping).unwrap_or(&statuses);
            for group in &groups.shown {
                let values = key::values(group.key);
                let values: Vec<String> = values.into_iter().map(text).collect();
                self.family(NAME, "counter", "Selected records by group.");
                self.row(NAME, &labels(names, &values, false), group.count as f64);
            }
            if groups.rest > 0 {
                let values: Vec<String> = names.iter().map(|_| "other".to_owned()).collect();
                self.family(NAME, "counter", "Selected records by group.");
                self.row(NAME, &labels(names, &values, true), groups.rest as f64);
            }
        }
    }

    /// The user's metrics. Durations are in seconds, as Prometheus wants them.
    fn metrics(&mut self, state: &State) {
        let mut taken = BTreeSet::new();
        let mut field: &[u8] = b"";
        let mut family = String::new();
        let mut factor = 1.0;
        let metrics = super::metrics(state, Some(GROUPS_MAX));
        for metric in &metrics {
            if metric.field != field || family.is_empty() {
                field = metric.field;
                (family, factor) = family_name(&text(field), metric.unit);
                let base = family.clone();
                let mut number = 2;
                while !taken.insert(family.clone()) {
                    family = format!("{base}_{number}");
                    number += 1;
                }
            }
            let by = metric.of.by(state);
            let fields: Vec<String> = by.iter().map(|(name, _)| (*name).to_owned()).collect();
            let names = label_names(&fields);
            let values: Vec<String> = by.iter().map(|(_, value)| text(value)).collect();
            let labels = labels(&names, &values, matches!(metric.of, super::Of::Other(_)));
            let help = format!("Values of the field {}.", text(field));
            self.family(&family, "summary", &help);
            let histogram = &metric.histogram;
            if let Some(quantiles) = histogram.quantiles(QUANTILES) {
                for (quantile, value) in QUANTILES.into_iter().zip(quantiles) {
                    let quantile = quantile.to_string();
                    let mut labels = labels.clone();
                    labels.push(("quantile", &quantile));
                    self.row(&family, &labels, value * factor);
                }
            }
            self.row(&format!("{family}_sum"), &labels, histogram.sum() * factor);
            self.row(
                &format!("{family}_count"),
                &labels,
                histogram.count() as f64,
            );
        }
    }
}

fn labels<'l>(
    names: &'l [String],
    values: &'l [String],
    is_other: bool,
) -> Vec<(&'l str, &'l str)> {
    let mut labels: Vec<(&str, &str)> = names
        .iter()
        .map(String::as_str)
        .zip(values.iter().map(String::as_str))
        .collect();
    if is_other {
        // A group may really be called "other".
        labels.push(("weir_other", "true"));
    }
    labels
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fits a name into letters, digits and underscores, `camelCase` to `camel_case`.
fn fit(name: &str) -> String {
    let mut out = String::new();
    let mut was_small = false;
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            if character.is_ascii_uppercase() && was_small {
                out.push('_');
            }
            out.push(character.to_ascii_lowercase());
            was_small = !character.is_ascii_uppercase();
        } else {
            // Never two in a row: those that begin with two are Prometheus's own.
            if !out.ends_with('_') {
                out.push('_');
            }
            was_small = false;
        }
    }
    out
}

/// Label names of a grouping, each fit, none twice.
fn label_names(fields: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for field in fields {
        let mut name = fit(field);
        let is_own = ["quantile", "le", "weir_other"].contains(&&*name);
        if is_own || !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            name = format!("field_{}", name.trim_start_matches('_'));
        }
        let base = name.clone();
        let mut number = 2;
        while names.contains(&name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

/// The family of a field, and what its values are multiplied with to be in Prometheus's base units.
fn family_name(field: &str, unit: Unit) -> (String, f64) {
    let name = fit(field);
    let name = name.trim_matches('_');
    let (stem, end) = name.rsplit_once('_').unwrap_or((name, ""));
    // The unit of a bare number stands in the field's name.
    let by_name = match end {
        "ms" | "msec" | "millis" | "milliseconds" => Some(1e-3),
        "us" | "usec" | "micros" | "microseconds" => Some(1e-6),
        "ns" | "nsec" | "nanos" | "nanoseconds" => Some(1e-9),
        "s" | "sec" | "secs" | "seconds" => Some(1.0),
        _ => None,
    };
    let with = |stem: &str, unit: &str| match stem.strip_suffix(unit) {
        Some(rest) if rest.is_empty() || rest.ends_with('_') => format!("weir_field_{stem}"),
        _ => format!("weir_field_{stem}_{unit}"),
    };
    match (unit, by_name) {
        (Unit::Milliseconds, Some(_)) => (with(stem, "seconds"), 1e-3),
        (Unit::Milliseconds, None) => (with(name, "seconds"), 1e-3),
        (Unit::None, Some(factor)) => (with(stem, "seconds"), factor),
        (Unit::Bytes, _) => (with(name, "bytes"), 1.0),
        (Unit::Percent, _) => (with(name, "percent"), 1.0),
        (Unit::None, None) => (format!("weir_field_{name}"), 1.0),
    }
}

#[cfg(test)]
mod tests;
