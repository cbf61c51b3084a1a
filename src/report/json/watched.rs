//! States, sets and alerts of a report as JSON rows.

use serde_json::{Map, Value, json};

use super::text;
use crate::flow::alert::{Alert, SampleLine};
use crate::flow::time::Time;
use crate::state::{State, keyed, sets};

/// One row a key of each state.
pub fn states(state: &State) -> Vec<Value> {
    let watched = &state.watched;
    let now = watched.at.or(state.last).unwrap_or(Time(0));
    let states = watched.states.iter();
    states
        .flat_map(|keyed| keyed.rows(now))
        .map(|row| keyed_row(&row))
        .collect()
}

fn keyed_row(row: &keyed::Row<'_>) -> Value {
    let mut value = json!({
        "name": row.name,
        "key": fields(&row.key),
        "value": row.value.map(text),
        "status": row.status.name(),
        "since": time(row.since),
        "last": time(row.last),
        "last_ok": time(row.last_ok),
        "count": row.count,
        "transitions": row.transitions,
    });
    if let Some(steps) = &row.steps {
        value["steps"] = json!({
            "step": steps.step.map(|(name, _)| name),
            "number": steps.step.map_or(0, |(_, number)| number),
            "of": steps.of,
            "rounds": steps.rounds,
            "skipped": steps.skipped,
            "backwards": steps.backwards,
            "in_order": steps.in_order,
        });
    }
    value
}

/// One row a key of each set, and one over all keys.
pub fn sets(state: &State) -> Vec<Value> {
    let sets = state.watched.sets.iter();
    sets.flat_map(sets::Sets::rows)
        .map(|row| set_row(&row))
        .collect()
}

fn set_row(row: &sets::Row<'_>) -> Value {
    json!({
        "name": row.name,
        "key": fields(&row.key),
        "count": row.count,
        "records": row.records,
        "values": row.values.iter().map(|value| text(value)).collect::<Vec<_>>(),
        "approximate": row.approximate,
    })
}

/// Alerts that fire.
pub fn alerts(state: &State) -> Vec<Value> {
    state.watched.alerts.iter().map(alert).collect()
}

/// One alert, as in reports, in the journal and on standard output.
pub fn alert(alert: &Alert) -> Value {
    let evidence = &alert.evidence;
    let sample = |sample: &SampleLine| json!({"source": sample.source, "offset": sample.offset, "line": sample.line});
    let labels: Map<String, Value> = alert
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    json!({
        "id": alert.id,
        "rule": alert.rule,
        "status": alert.status.name(),
        "labels": labels,
        "summary": alert.summary,
        "value": alert.value,
        "starts_at": alert.starts_at.to_string(),
        "ends_at": time(alert.ends_at),
        "evidence": {
            "template": evidence.template,
            "fingerprint": evidence.fingerprint,
            "count": evidence.count,
            "first": time(evidence.first),
            "last": time(evidence.last),
            "samples": evidence.samples.iter().map(sample).collect::<Vec<_>>(),
        },
    })
}

fn fields(key: &[(&str, &[u8])]) -> Value {
    let pair = |(name, value): &(&str, &[u8])| ((*name).to_owned(), text(value).into());
    Value::Object(key.iter().map(pair).collect())
}

fn time(time: Option<Time>) -> Option<String> {
    time.map(|time| time.to_string())
}
