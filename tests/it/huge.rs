//! Numbers in a snapshot that are as large as a hostile or damaged file can have them: sums stay at the
//! largest number instead of panicking.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use logweir::report::{Report, json};
use logweir::state::{State, snapshot};
use serde_json::{Value, json};

use crate::program::weir;

fn input() -> String {
    let line = |number: usize| {
        let (level, service) = (["ERROR", "WARN"][number % 2], ["a", "b", "c"][number % 3]);
        format!(
            "{{\"time\":\"2026-03-14T09:00:{number:02}Z\",\"level\":\"{level}\",\"service\":\"{service}\",\
             \"took_ms\":{number}.5,\"msg\":\"request {service} failed\"}}\n"
        )
    };
    (0..12).map(line).collect()
}

/// Calls `visit` for each number, and stops when it returns true.
fn numbers(value: &mut Value, visit: &mut impl FnMut(&mut Value) -> bool) -> bool {
    match value {
        Value::Number(_) => visit(value),
        Value::Array(items) => items.iter_mut().any(|item| numbers(item, visit)),
        Value::Object(members) => members.values_mut().any(|member| numbers(member, visit)),
        _ => false,
    }
}

fn report(state: &State) -> usize {
    let mut length = 0;
    json::write(&Report::new(state, None), None, &mut |piece| {
        length += piece.len()
    });
    length
}

/// What `weir merge` does with a file that says this.
fn merge(value: Value) {
    let Ok(state) = serde_json::from_value::<State>(value) else {
        return;
    };
    let Ok(state) = snapshot::decode(&snapshot::encode(&state)) else {
        return;
    };
    let mut merged = state.clone();
    merged.merge(&state);
    merged.merge(&state);
    assert!(report(&state) > 0 && report(&merged) > 0);
    snapshot::decode(&snapshot::encode(&merged)).expect("what was merged is a snapshot");
}

#[test]
fn every_number_of_a_snapshot_may_be_as_large_as_it_can_be() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("app.log"), input()).unwrap();
    let mut command = weir([
        "--by",
        "service",
        "--metric",
        "took_ms",
        "--snapshot",
        "snap",
        "app.log",
    ]);
    let output = command.current_dir(home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let state = snapshot::decode(&fs::read(home.path().join("snap")).unwrap()).unwrap();
    let whole = serde_json::to_value(&state).unwrap();
    let mut count = 0;
    numbers(&mut whole.clone(), &mut |_| {
        count += 1;
        false
    });
    assert!(count > 50, "{count} numbers");
    let mut broken = Vec::new();
    for huge in [
        json!(u64::MAX),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u32::MAX),
    ] {
        for place in 0..count {
            let (mut value, mut at) = (whole.clone(), 0);
            numbers(&mut value, &mut |number| {
                let is_here = at == place;
                if is_here {
                    *number = huge.clone();
                }
                at += 1;
                is_here
            });
            if catch_unwind(AssertUnwindSafe(|| merge(value))).is_err() {
                broken.push(format!("number {place} is {huge}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
