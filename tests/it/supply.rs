//! What the program is made of: no library that needs a build system of its own or a second TLS, only
//! licences that a binary may be shared under, and no more crates than somebody looked at.

use std::process::Command;

use serde_json::Value;

/// Crates that do not come in, whatever would bring them: other TLS and cryptography than ring's, and
/// what needs cmake or bindgen to build.
const BANNED: [&str; 8] = [
    "aws-lc",
    "openssl-sys",
    "native-tls",
    "boringssl",
    "boring-sys",
    "cmake",
    "bindgen",
    "curl-sys",
];

/// Licences that ask for nothing but to be named.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates in the program and those that build it, on one platform. One more is a decision: raise this
/// with the commit that brings it, and say what it saves.
const CRATES_MAX: usize = 160;

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .args(["--locked", "--offline"])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a licence in SPDX's words, or with the `/` of old, can be met by those of the list.
fn is_allowed(licence: &str) -> bool {
    let licence = licence.replace('/', " OR ");
    // An OR inside brackets is one choice.
    if let Some((choice, rest)) = licence
        .strip_prefix('(')
        .and_then(|inner| inner.split_once(')'))
    {
        let rest = rest.trim().strip_prefix("AND ").unwrap_or(rest);
        return is_allowed(choice) && (rest.trim().is_empty() || is_allowed(rest));
    }
    licence.split(" OR ").any(|choice| {
        let mut parts = choice.split(" AND ");
        parts.all(|part| LICENCES.contains(&part.trim()))
    })
}

#[test]
fn licences_are_read_as_they_are_meant() {
    for (licence, want) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(licence), want, "{licence}");
    }
}

#[test]
fn no_crate_brings_another_tls_a_build_system_or_a_licence_to_think_about() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "the list is read");
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        if BANNED.iter().any(|banned| name.starts_with(banned)) {
            problems.push(format!("{name} is not to come in"));
        }
        let is_own = package["source"].is_null();
        if !is_own && !is_allowed(licence) {
            problems.push(format!("{name}: its licence is \"{licence}\""));
        }
        // From the registry alone: no branch that can change, no path outside.
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+")) {
            problems.push(format!("{name} comes from {source:?}"));
        }
    }
    assert_eq!(problems, [""; 0]);
}

#[test]
fn crates_are_counted() {
    let tree = cargo(&["tree", "--edges", "normal,build", "--prefix", "none"]);
    let mut crates: Vec<&str> = tree
        .lines()
        .map(|line| line.strip_suffix(" (*)").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .collect();
    crates.sort_unstable();
    crates.dedup();
    assert!(crates.len() > 100, "{crates:?}");
    assert!(
        crates.len() <= CRATES_MAX,
        "{} crates are more than {CRATES_MAX}",
        crates.len()
    );
}
