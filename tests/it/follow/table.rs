//! `docs/faults.md` says for every fault, bad input and requirement of security what must hold and
//! which test shows it. `SECURITY.md` names a test for what it promises. The tests they name have to be
//! there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of all test functions under `tests` and `src`.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("tests"), root.join("src")];
    let mut names = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line == "#[test]" {
                    is_test = true;
                } else if let Some(rest) = line.strip_prefix("fn ").filter(|_| is_test) {
                    names.insert(rest[..rest.find(['(', '<']).unwrap()].to_owned());
                    is_test = false;
                }
            }
        }
    }
    names
}

#[test]
fn every_fault_has_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let tests = tests();
    let mut named = BTreeSet::new();
    let mut problems = Vec::new();
    let mut rows = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, ..] = cells[..] else { continue };
        let is_row = row.starts_with(['F', 'B', 'S']) && row[1..].parse::<u32>().is_ok();
        if !is_row {
            continue;
        }
        let [_, must, shown, notes] = cells[..] else {
            problems.push(format!("{row}: has not four cells"));
            continue;
        };
        if !rows.insert(row.to_owned()) {
            problems.push(format!("{row}: is there twice"));
        }
        if must.is_empty() {
            problems.push(format!("{row}: does not say what must hold"));
        }
        let names: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        let has_reason = shown == "none" && !notes.is_empty();
        if names.is_empty() && !has_reason {
            problems.push(format!("{row}: names no test, and no reason for that"));
        }
        for name in names {
            named.insert(name.to_owned());
            if !tests.contains(name) {
                problems.push(format!("{row}: there is no test {name}"));
            }
        }
    }
    let faults = (1..=52).map(|row| format!("F{row}"));
    let inputs = (1..=32).map(|row| format!("B{row}"));
    let security = (1..=24).map(|row| format!("S{row}"));
    for row in faults.chain(inputs).chain(security) {
        if !rows.contains(&row) {
            problems.push(format!("{row}: is not in the table"));
        }
    }
    // The other way round: a test that carries a row's number stands in the table.
    for name in &tests {
        let carries = name.len() > 4
            && name.starts_with(['f', 'b', 's'])
            && name[1..3].parse::<u32>().is_ok()
            && name[3..].starts_with('_');
        if carries && !named.contains(name) {
            problems.push(format!("{name} is not in the table"));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let tests = tests();
    let quoted = text.split('`').skip(1).step_by(2);
    // What is quoted and has three underscores is a test; flags, files and keys have fewer.
    let named: Vec<&str> = quoted
        .filter(|name| name.matches('_').count() >= 3 || tests.contains(*name))
        .collect();
    let gone: Vec<&&str> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(named.len() > 40 && gone.is_empty(), "{gone:?}");
}

#[test]
fn s17_overflow_is_checked_in_releases() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let profiles = &manifest["profile"];
    assert_eq!(profiles["release"]["overflow-checks"].as_bool(), Some(true));
    assert_eq!(profiles["release"]["panic"].as_str(), Some("unwind"));
    assert_eq!(profiles["dist"]["inherits"].as_str(), Some("release"));
    for changed in ["overflow-checks", "panic"] {
        assert!(profiles["dist"].get(changed).is_none(), "{changed}");
    }
    assert_eq!(
        manifest["lints"]["rust"]["unsafe_code"].as_str(),
        Some("deny")
    );
}
