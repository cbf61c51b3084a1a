//! An explanation for programs.

use serde_json::{Value, json};

use crate::cli::explain::Explanation;
use crate::cli::explain::text::{kind, verdict};

pub fn write(explanation: &Explanation) -> Vec<u8> {
    let mut bytes =
        serde_json::to_vec(&value(explanation)).expect("an explanation is made of JSON values");
    bytes.push(b'\n');
    bytes
}

fn value(explanation: &Explanation) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields: Vec<Value> = explanation
        .fields
        .iter()
        .map(|field| {
            json!({"name": text(&field.name), "kind": kind(field.kind), "value": text(&field.value),
                   "number": field.quantity.map(|quantity| quantity.value),
                   "unit": field.quantity.map(|quantity| quantity.unit.sign())})
        })
        .collect();
    let tests: Vec<Value> = explanation
        .tests
        .iter()
        .map(|test| json!({"flag": test.flag, "passes": test.passes, "why": test.why}))
        .collect();
    let origin = explanation.time.as_ref().map(|(_, origin)| {
        json!({"text": origin.text, "field": origin.field, "zone": origin.zone, "yearless": origin.yearless})
    });
    let watched = explanation.configured.as_ref().map(|configured| {
        let seen = configured.watched.iter();
        let rows = seen.map(|seen| {
            json!({"kind": seen.kind, "name": seen.name, "takes": seen.takes, "why": seen.why})
        });
        rows.collect::<Vec<_>>()
    });
    let (verdict, why) = verdict(explanation);
    json!({
        "schema": "weir.explain/1",
        "lines": explanation.lines,
        "records": explanation.records,
        "container": explanation.container.as_ref().map(|(wrapping, stream, time)| {
            json!({"format": wrapping.name(), "stream": stream, "time": time})
        }),
        "format": explanation.format.name(),
        "tried": explanation.tried.iter().map(|format| format.name()).collect::<Vec<_>>(),
        "layers": explanation.layers.iter().map(|layer| json!({
            "name": layer.name,
            "time": layer.time.map(|time| time.to_string()),
            "level": layer.level.map(|level| level.name()),
            "fields": layer.fields.iter().map(|name| text(name)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "time": explanation.time.as_ref().map(|(time, _)| time.to_string()),
        "time_from": origin,
        "level": explanation.level.as_ref().map(|(level, _)| level.name()),
        "level_from": explanation.level.as_ref().map(|(_, place)| place),
        "message": text(&explanation.message),
        "masked": text(&explanation.masked),
        "fingerprint": explanation.fingerprint.to_string(),
        "fields": fields,
        "watched": watched,
        "tests": tests,
        "selected": explanation.selected(),
        "verdict": verdict,
        "why": why,
    })
}
