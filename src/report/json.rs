//! The report as one JSON object: the contract that programs rely on. Additions are allowed,
//! renames are not.

pub mod watched;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::flow::level::Level;
use crate::report::{Groups, Message, Metric, Of, Report};
use crate::state::State;
use crate::state::histogram::Histogram;
use crate::state::histogram::hdr::HdrEncoder;
use crate::state::losses::{Losses, Row};

/// Hands the report to `out` as JSON text, piece by piece: a million groups never stand in memory as
/// one text. `top` is `None` unless the user gave it: then it also cuts the messages.
pub fn write(report: &Report<'_>, top: Option<usize>, out: &mut dyn FnMut(&str)) {
    let messages = report.messages.iter().take(top.unwrap_or(usize::MAX));
    let Value::Object(head) = head(report) else {
        unreachable!("the head is an object")
    };
    out("{");
    for (name, value) in head {
        out(&format!("\"{name}\":{value},"));
    }
    rows(out, "messages", messages.map(message));
    out(&format!(
        ",\"messages_other\":{},",
        report.state.messages.other()
    ));
    rows(
        out,
        "groups",
        report
            .groups
            .iter()
            .flat_map(|groups| self::groups(report, groups)),
    );
    out(",");
    let mut encoder = HdrEncoder::default();
    let metrics = report.metrics.iter();
    let state = report.state;
    rows(
        out,
        "metrics",
        metrics.map(|row| metric(row, state, &mut encoder)),
    );
    let approximate = json!(report.state.approximate());
    out(",");
    rows(out, "states", watched::states(report.state).into_iter());
    out(",");
    rows(out, "sets", watched::sets(report.state).into_iter());
    out(",");
    rows(out, "alerts", watched::alerts(report.state).into_iter());
    out(&format!(",\"approximate\":{approximate}}}\n"));
}

/// A field with an array of rows.
fn rows(out: &mut dyn FnMut(&str), name: &str, rows: impl Iterator<Item = Value>) {
    out(&format!("\"{name}\":["));
    for (number, row) in rows.enumerate() {
        if number > 0 {
            out(",");
        }
        out(&row.to_string());
    }
    out("]");
}

/// Everything before the tables.
fn head(report: &Report<'_>) -> Value {
    let state = report.state;
    let ledger = &state.ledger;
    let inputs: Vec<Value> = state
        .inputs
        .iter()
        .filter(|input| !input.name.is_empty())
        .map(|input| {
            json!({"name": input.name, "format": input.format().map(|format| format.name()),
                   "bytes": input.bytes, "lines": input.lines, "records": input.records})
        })
        .collect();
    let mut levels = Map::new();
    for level in Level::ALL.iter().rev() {
        levels.insert(
            level.name().to_owned(),
            state.levels[Level::index(Some(*level))].into(),
        );
    }
    levels.insert("none".to_owned(), state.levels[0].into());
    let timeline: Vec<Value> = state
        .timeline
        .buckets()
        .map(|bucket| json!({"start": bucket.start, "levels": bucket.counts}))
        .collect();
    json!({
        "schema": "weir.report/1",
        "inputs": inputs,
        "first": state.first.map(|time| time.to_string()),
        "last": state.last.map(|time| time.to_string()),
        "tz": state.shape.zone,
        "ledger": {"bytes": ledger.bytes, "lines": ledger.lines, "records": ledger.records, "kept": ledger.kept,
                   "filtered": ledger.filtered, "duplicate": ledger.duplicate, "malformed": ledger.malformed, "held": ledger.held,
                   "truncated": ledger.truncated, "no_time": ledger.no_time, "unaccounted": ledger.unaccounted,
                   "fields_cut": ledger.fields_cut, "faulted": ledger.faulted,
                   "lost_bytes": state.losses.lost_bytes(), "skipped_bytes": state.losses.skipped_bytes(),
                   "unreplayable_bytes": unreplayable(&state.losses)},
        "levels": levels,
        "timeline": {"seconds": state.timeline.width(), "buckets": timeline},
    })
}

/// The ranges that were lost, by name.
fn unreplayable(losses: &Losses) -> Vec<Value> {
    let (rows, other) = losses.rows();
    let row = |row: &Row| json!({"source": row.source, "from": row.from, "to": row.to});
    let other =
        (other > 0).then(|| json!({"source": "other", "from": 0, "to": other, "other": true}));
    rows.iter().map(row).chain(other).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn message(message: &Message<'_>) -> Value {
    json!({
        "template": text(&message.template),
        "fingerprint": message.fingerprint.to_string(),
        "fingerprints": message.fingerprints.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "level": message.level.map(Level::name),
        "count": message.count,
        "first": message.first.map(|time| time.to_string()),
        "last": message.last.map(|time| time.to_string()),
        "source": message.source,
        "offset": message.offset,
        "samples": message.samples.iter().map(|sample| text(sample)).collect::<Vec<_>>(),
    })
}

fn by(fields: &[(&str, &[u8])]) -> BTreeMap<String, String> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), text(value)))
        .collect()
}

/// The rows of one grouping.
fn groups<'r>(report: &'r Report<'_>, groups: &'r Groups<'_>) -> impl Iterator<Item = Value> + 'r {
    let shown = groups.shown.iter().map(
        |group| json!({"by": by(&report.named(groups.grouping, group.key)), "count": group.count}),
    );
    let rest = (groups.rest > 0).then(|| {
        let fields = by(&Of::Other(groups.grouping).by(report.state));
        json!({"by": fields, "count": groups.rest, "other": true})
    });
    shown.chain(rest)
}

fn metric(metric: &Metric<'_>, state: &State, encoder: &mut HdrEncoder) -> Value {
    let histogram: &Histogram = &metric.histogram;
    let [p50, p90, p99, p999] = match histogram.quantiles([0.5, 0.9, 0.99, 0.999]) {
        Some(quantiles) => quantiles.map(Some),
        None => [None; 4],
    };
    let mut row = json!({
        "field": text(metric.field),
        "by": by(&metric.of.by(state)),
        "unit": metric.unit.sign(),
        "count": histogram.count(),
        "sum": histogram.sum(),
        "mean": histogram.mean(),
        "min": histogram.min(),
        "max": histogram.max(),
        "p50": p50, "p90": p90, "p99": p99, "p999": p999,
        "hdr": STANDARD.encode(histogram.to_hdr_v2(encoder)),
        "hdr_scale": crate::flow::sample::SCALE,
    });
    let fields = row.as_object_mut().expect("a row is an object");
    if matches!(metric.of, Of::Other(_)) {
        fields.insert("other".to_owned(), true.into());
    }
    if let Some(negative) = histogram.to_hdr_v2_negative(encoder) {
        fields.insert("hdr_negative".to_owned(), STANDARD.encode(negative).into());
    }
    for (name, count) in [
        ("nan", histogram.nan()),
        ("infinite", histogram.infinite()),
        ("saturated", histogram.saturated()),
    ] {
        if count > 0 {
            fields.insert(name.to_owned(), count.into());
        }
    }
    row
}
