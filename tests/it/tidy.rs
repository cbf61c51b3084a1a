//! The house rules that a compiler does not check: which room may use which, how files open, how
//! long they are, and what stays out of the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file that is not made of tests. A longer one has a noun in it that wants its own room.
const LINES_MAX: usize = 700;

/// Rooms that are open to all and use nothing of ours.
const OPEN: [&str; 7] = [
    "component",
    "units",
    "error",
    "clock",
    "disk",
    "failpoint",
    "stop",
];

/// Which room may use which, from the lowest floor up. A room may use itself, those that are open to all,
/// and what stands below it in this list and is named in its row.
const ARROWS: [(&str, &[&str]); 29] = [
    // Lists of names; no room uses it by a path.
    ("registry", &[]),
    ("units", &[]),
    ("error", &[]),
    ("clock", &[]),
    ("disk", &[]),
    ("failpoint", &[]),
    ("stop", &[]),
    // The command's allocator, beside `main`.
    ("memory", &[]),
    ("flow", &[]),
    ("component", &["flow"]),
    ("process", &["flow"]),
    ("parsers", &["flow"]),
    // The framing asks the parsers where a record surely starts.
    ("framing", &["flow", "parsers"]),
    ("expr", &["flow"]),
    ("stages", &["parsers", "expr", "flow"]),
    ("state", &["flow", "expr"]),
    ("rules", &["flow", "expr", "state"]),
    ("store", &["flow", "state", "rules"]),
    ("sources", &["flow", "framing"]),
    // The network's edge: what notifiers and the HTTP sink share.
    ("net", &["flow"]),
    ("notifiers", &["component", "flow", "net"]),
    ("sinks", &["component", "notifiers", "flow", "net"]),
    ("report", &["flow", "state"]),
    (
        "config",
        &[
            "expr",
            "component",
            "flow",
            "framing",
            "stages",
            "rules",
            "notifiers",
            "sinks",
            "sources",
        ],
    ),
    (
        "plan",
        &[
            "component",
            "config",
            "notifiers",
            "sinks",
            "sources",
            "rules",
            "state",
            "stages",
            "expr",
            "framing",
            "parsers",
            "flow",
        ],
    ),
    (
        "engine",
        &[
            "plan", "process", "framing", "parsers", "stages", "state", "sources", "sinks", "expr",
            "flow", "store", "rules",
        ],
    ),
    (
        "run",
        &[
            "engine",
            "plan",
            "process",
            "report",
            "notifiers",
            "sinks",
            "sources",
            "store",
            "rules",
            "state",
            "stages",
            "expr",
            "parsers",
            "framing",
            "flow",
            "net",
        ],
    ),
    (
        "cli",
        &[
            "run",
            "engine",
            "plan",
            "config",
            "process",
            "report",
            "notifiers",
            "sinks",
            "sources",
            "store",
            "rules",
            "state",
            "stages",
            "expr",
            "framing",
            "parsers",
            "flow",
            "net",
        ],
    ),
    ("main", &["memory", "cli"]),
];

/// Files that may hold `unsafe`, each small: one with a safe twin that it is tested against, and the
/// allocator, whose trait is unsafe and which only hands calls on.
const UNSAFE: [&str; 2] = ["src/flow/block.rs", "src/memory.rs"];

/// One source file without its comments' say.
struct Source {
    /// From the root of the repository.
    path: String,
    /// The first part of its module path.
    room: String,
    text: String,
    /// Made of tests alone.
    is_test: bool,
}

impl Source {
    /// Numbered lines of code that is in the program: no comments, no tests.
    fn code(&self) -> Vec<(usize, &str)> {
        let mut code = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            if line.trim() == "#[cfg(test)]" {
                // The item behind it ends with the line that closes at the same depth.
                let depth = line.len() - line.trim_start().len();
                for (_, line) in lines.by_ref() {
                    let same = line.len() - line.trim_start().len() == depth;
                    let end = line.trim_end();
                    if same && (end.ends_with(';') || end.trim_start() == "}") {
                        break;
                    }
                }
                continue;
            }
            code.push((number + 1, line));
        }
        code
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let mut tests = BTreeSet::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        let stem = path.file_stem().unwrap();
        let folder = if stem == "mod" || stem == "lib" || stem == "main" {
            path.parent().unwrap().to_owned()
        } else {
            path.with_extension("")
        };
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != "#[cfg(test)]" {
                continue;
            }
            if let Some(name) = lines
                .next()
                .and_then(|line| line.trim().strip_prefix("mod "))
                .and_then(|line| line.strip_suffix(';'))
            {
                tests.insert(folder.join(name));
            }
        }
    }
    let is_test = |path: &PathBuf| {
        let module = path.with_extension("");
        module.ancestors().any(|ancestor| tests.contains(ancestor))
    };
    paths
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_string_lossy();
            let inside = name.strip_prefix("src/").unwrap();
            let room = inside.split('/').next().unwrap();
            Source {
                room: room.strip_suffix(".rs").unwrap_or(room).to_owned(),
                text: fs::read_to_string(path).unwrap(),
                is_test: is_test(path),
                path: name.into_owned(),
            }
        })
        .collect()
}

/// What follows each `crate::` in a line, up to what cannot be a path.
fn uses(line: &str) -> Vec<&str> {
    line.match_indices("crate::")
        .filter(|(at, _)| {
            !line[..*at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
        })
        .map(|(at, found)| {
            let path = &line[at + found.len()..];
            let end = path.find(|next: char| !(next.is_alphanumeric() || "_:".contains(next)));
            &path[..end.unwrap_or(path.len())]
        })
        .collect()
}

#[track_caller]
fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn the_arrows_between_rooms_hold() {
    let mut problems = Vec::new();
    for source in sources() {
        if source.is_test || source.room == "lib" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == source.room) else {
            problems.push(format!("{}: a room without arrows", source.path));
            continue;
        };
        for (number, line) in source.code() {
            for path in uses(line) {
                let is = |room: &str| path == room || path.starts_with(&format!("{room}::"));
                let open = OPEN.into_iter().any(is) && !OPEN.contains(&&*source.room);
                if !is(&source.room) && !open && !allowed.iter().copied().any(is) {
                    problems.push(format!(
                        "{}:{number}: {} may not use {path}",
                        source.path, source.room
                    ));
                }
            }
        }
    }
    none(problems);
}

#[test]
fn the_list_of_arrows_leads_down() {
    for (place, (room, uses)) in ARROWS.iter().enumerate() {
        let below = &ARROWS[..place];
        for used in *uses {
            assert!(
                below.iter().any(|(room, _)| room == used),
                "{room} uses {used}, which does not stand below it"
            );
        }
    }
}

#[test]
fn nothing_half_done_is_in_the_program() {
    // Put together here, so that this file does not hold them itself.
    let words = [
        "to".to_owned() + "do!(",
        "unim".to_owned() + "plemented!(",
        "db".to_owned() + "g!(",
    ];
    let mut problems = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            for word in &words {
                if line.contains(word.as_str()) {
                    problems.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
        if source.is_test {
            continue;
        }
        for (number, line) in source.code() {
            if line.contains(".unwrap()") {
                problems.push(format!(
                    "{}:{number}: unwrap: say with expect why it cannot happen",
                    source.path
                ));
            }
        }
    }
    none(problems);
}

#[test]
fn files_say_what_they_are_for_and_stay_short() {
    let mut problems = Vec::new();
    for source in sources() {
        if !source.is_test && !source.text.starts_with("//! ") {
            problems.push(format!("{}: does not say what it is for", source.path));
        }
        let length = source.code().len();
        if !source.is_test && length > LINES_MAX {
            problems.push(format!("{}: {length} lines of code", source.path));
        }
    }
    none(problems);
}

#[test]
fn unsafe_code_stays_where_it_is_measured() {
    let mut problems = Vec::new();
    for source in sources() {
        let holds = source.code().iter().any(|(_, line)| {
            line.contains("unsafe {") || line.contains("unsafe fn") || line.contains("unsafe impl")
        });
        let allowed = UNSAFE.contains(&&*source.path);
        if holds && !allowed {
            problems.push(format!("{}: unsafe", source.path));
        }
        if allowed && holds && !source.text.contains("// SAFETY:") {
            problems.push(format!("{}: unsafe without its reason", source.path));
        }
    }
    none(problems);
}
