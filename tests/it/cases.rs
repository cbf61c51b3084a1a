//! Runs every file of `fixtures/cases`: arguments and input in, output and exit code expected.
//!
//! What is expected was worked out by hand from the contract and the input, never copied from the
//! program. A case runs in an empty folder that holds the samples of `fixtures/logs` and its own
//! files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{feed, run_in, weir};

/// One file of `fixtures/cases`.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// The rule that the case holds to, or the arithmetic behind what it expects.
    why: String,
    args: Vec<String>,
    /// Goes to standard input, which is empty otherwise.
    input: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Files of its own, by name.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Modification times of these files: they anchor dates without a year.
    #[serde(default)]
    modified: BTreeMap<String, String>,
    /// Runs that come first and must end well.
    #[serde(default)]
    before: Vec<Vec<String>>,
    #[serde(default)]
    exit: i32,
    /// All of standard output.
    stdout: Option<String>,
    /// Parts of a JSON object: what is named must be equal, the rest is free. Arrays have as many
    /// elements as named.
    stdout_json: Option<String>,
    /// The same for each line of standard output.
    stdout_json_lines: Option<Vec<String>>,
    #[serde(default)]
    stdout_contains: Vec<String>,
    #[serde(default)]
    stderr_contains: Vec<String>,
}

#[test]
fn every_case_gives_what_it_expects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut paths: Vec<_> = fs::read_dir(root.join("cases"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 60, "only {} cases", paths.len());
    let mut failures = Vec::new();
    for path in &paths {
        let name = path.file_stem().unwrap().to_string_lossy();
        let case: Case = toml::from_str(&fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Err(reason) = check(&case, &root.join("logs")) {
            failures.push(format!("== {name}: {}\n{reason}", case.why));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail\n{}",
        failures.len(),
        paths.len(),
        failures.join("\n")
    );
}

fn check(case: &Case, logs: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(logs).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    for (name, text) in &case.files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (name, time) in &case.modified {
        let time: jiff::Timestamp = time.parse().unwrap();
        let file = fs::File::options()
            .write(true)
            .open(folder.path().join(name))
            .unwrap();
        file.set_modified(time.into()).unwrap();
    }
    for args in &case.before {
        let ran = run_in(folder.path(), args);
        if ran.code != 0 {
            return Err(format!("{args:?} exits with {}: {}", ran.code, ran.stderr));
        }
    }
    let mut command = weir(&case.args);
    command.current_dir(folder.path()).envs(&case.env);
    let ran = feed(&mut command, case.input.as_deref().unwrap_or("").as_bytes());
    let mut problems = Vec::new();
    if ran.code != case.exit {
        problems.push(format!("exit code {}, expected {}", ran.code, case.exit));
    }
    let stdout = ran.text();
    if let Some(expected) = &case.stdout
        && *expected != stdout
    {
        problems.push(difference(expected, &stdout));
    }
    if let Some(expected) = &case.stdout_json {
        compare(&json(expected), &json(&stdout), "", &mut problems);
        crate::program::balances(&json(&stdout));
    }
    if let Some(expected) = &case.stdout_json_lines {
        let lines: Vec<&str> = stdout.lines().collect();
        if lines.len() != expected.len() {
            problems.push(format!(
                "{} lines, expected {}:\n{stdout}",
                lines.len(),
                expected.len()
            ));
        }
        for (number, (expected, line)) in expected.iter().zip(lines).enumerate() {
            compare(
                &json(expected),
                &json(line),
                &format!("line {}", number + 1),
                &mut problems,
            );
        }
    }
    for (what, text, expected) in [
        ("stdout", &stdout, &case.stdout_contains),
        ("stderr", &ran.stderr, &case.stderr_contains),
    ] {
        for part in expected {
            if !text.contains(part) {
                problems.push(format!("{what} lacks \"{part}\":\n{text}"));
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    if !ran.stderr.is_empty() {
        problems.push(format!("stderr was:\n{}", ran.stderr));
    }
    Err(problems.join("\n"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| Value::String(format!("{error}: {text}")))
}

/// Adds what of `expected` is missing in or different from `actual`.
fn compare(expected: &Value, actual: &Value, place: &str, problems: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, expected) in expected {
                let place = format!("{place}.{key}");
                match actual.get(key) {
                    Some(actual) => compare(expected, actual, &place, problems),
                    None => problems.push(format!("{place} is missing")),
                }
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (number, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(expected, actual, &format!("{place}[{number}]"), problems);
            }
        }
        (Value::Number(expected), Value::Number(actual)) => {
            let (expected, actual) = (expected.as_f64().unwrap(), actual.as_f64().unwrap());
            // Quantiles have three significant digits by contract, float sums a rounding error;
            // everything that is counted is equal anyway.
            let quantile = place.rsplit('.').next().is_some_and(|key| {
                key.starts_with('p') && key[1..].bytes().all(|byte| byte.is_ascii_digit())
            });
            let tolerance = if quantile { 1e-3 } else { 1e-9 };
            if (expected - actual).abs() > tolerance * expected.abs().max(1e-6) {
                problems.push(format!("{place} is {actual}, expected {expected}"));
            }
        }
        _ if expected == actual => {}
        _ => problems.push(format!("{place} is {actual}, expected {expected}")),
    }
}

/// Both texts line by line from the first difference on, marked like a patch.
fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), actual.lines().collect());
    let same = expected
        .iter()
        .zip(&actual)
        .take_while(|(expected, actual)| expected == actual)
        .count();
    let mut text = format!("stdout differs from line {} on", same + 1);
    for line in &expected[same..] {
        text.push_str(&format!("\n- {line:?}"));
    }
    for line in &actual[same..] {
        text.push_str(&format!("\n+ {line:?}"));
    }
    if expected == actual {
        text.push_str("\nonly line ends differ");
    }
    text
}
