//! Configurations from the command line: `weir check`, `weir config show`, `weir schema config`, and the
//! reference page, which is written from the schema.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ran, run_in, run_with, weir};

/// The page, and where its written part ends and the part that is made begins.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
const MARK: &str =
    "<!-- From here on the page is made from the schema: see tests/it/config.rs. -->\n";

/// `weir` with the arguments in a directory that has these files.
fn with_files(files: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    run_in(directory.path(), arguments)
}

#[test]
fn a_good_file_is_ok() {
    let files = [(
        "w.toml",
        "[filter]\nlevel = \"warn\"\n[env.p]\nfilter.level = \"error\"\n",
    )];
    for arguments in [
        &["check", "-c", "w.toml"][..],
        &["check", "-c", "w.toml", "--env", "p"],
    ] {
        let ran = with_files(&files, arguments).exits(0);
        assert_eq!((ran.text().as_str(), ran.stderr.as_str()), ("ok\n", ""));
    }
    let ran = with_files(&files, &["check", "-c", "w.toml", "-o", "json"]).exits(0);
    assert_eq!(
        ran.json(),
        serde_json::json!({"ok": true, "problems": [], "left_out": 0, "notes": []})
    );
}

#[test]
fn all_problems_come_at_once_and_the_exit_code_is_78() {
    let files = [
        ("a.toml", "[filter]\nlevle = \"warn\"\n"),
        ("b.toml", "run.grace = \"25\"\n"),
    ];
    let arguments = ["check", "-c", "a.toml", "-c", "b.toml"];
    let ran = with_files(&files, &arguments).exits(78);
    assert_eq!(ran.text(), "");
    assert_eq!(
        ran.stderr,
        "a.toml:2:1: unknown key \"levle\" in [filter]; did you mean \"level\"?\n  levle = ********\n  ^^^^^\n\
         b.toml:1:13: \"grace\": \"25\" is a duration without a unit; write a number with ns, us, ms, s, m, h, d or w, such as \"500ms\", \"5m\" or \"1h30m\"\n  run.grace = \"25\"\n              ^^^^\n"
    );
    let mut as_json = arguments.to_vec();
    as_json.extend(["-o", "json"]);
    let ran = with_files(&files, &as_json).exits(78);
    let problems = &ran.json()["problems"];
    assert_eq!(problems[0]["hint"], "did you mean \"level\"?");
    assert_eq!(
        (
            &problems[1]["file"],
            &problems[1]["line"],
            &problems[1]["column"]
        ),
        (&"b.toml".into(), &1.into(), &13.into())
    );
}

#[test]
fn the_variable_names_several_files() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.toml", "run.interval = \"1m\"\nrun.grace = \"1s\"\n"),
        ("b.toml", "run.interval = \"5m\"\n"),
        ("c:d.toml", "run.interval = \"7m\"\n"),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let shown = |variable: &str, arguments: &[&str]| {
        let mut command = crate::program::weir([&["config", "show"], arguments].concat());
        command.current_dir(directory.path());
        command.env("WEIR_CONFIG", variable);
        let ran = crate::program::feed(&mut command, b"").exits(0);
        ran.text()
    };
    let both = shown("a.toml:b.toml", &[]);
    assert!(both.contains("5m") && both.contains("1s"), "{both}");
    assert_eq!(both, shown("", &["-c", "a.toml", "-c", "b.toml"]));
    // On the command line a name is taken as it is.
    assert!(shown("a.toml:b.toml", &["-c", "c:d.toml"]).contains("7m"));
}

#[test]
fn mistakes_with_files_and_environments() {
    let files = [("w.toml", "[env.production]\n")];
    with_files(&files, &["check", "-c", "w.toml", "--env", "prodution"])
        .exits(78)
        .says("w.toml: unknown environment \"prodution\"; did you mean \"production\"?");
    with_files(&files, &["check", "-c", "x.toml"])
        .exits(78)
        .says("x.toml: No such file or directory");
    with_files(&[], &["check", "-c", "."]).exits(78).says(".: ");
    with_files(&files, &["check"]).exits(2).says("--config");
    with_files(&files, &["config", "show", "-c", "x.toml"]).exits(78);
    // What the file holds cannot steer the terminal.
    let files = [("w.toml", "\"\u{202e}a\\u001b[2J\" = 1\n")];
    let ran = with_files(&files, &["check", "-c", "w.toml"]).exits(78);
    assert!(
        !ran.stderr.contains(['\u{1b}', '\u{202e}']),
        "{:?}",
        ran.stderr
    );
}

#[test]
fn show_says_where_each_value_comes_from() {
    let files = [(
        "w.toml",
        "[[notifier]]\nname = \"oncall\"\ntype = \"slack\"\nurl = \"https://hooks.slack.com/services/T0/B0/secret\"\n\
         [env.p]\n[[env.p.notifier]]\nname = \"oncall\"\nchannel = \"${CHANNEL:-#ops}\"\n",
    )];
    let ran = with_files(&files, &["config", "show", "-c", "w.toml", "--env", "p"]).exits(0);
    assert_eq!(
        ran.text(),
        "[[notifier]]\nname = \"oncall\"  # env.p, w.toml:7\ntype = \"slack\"  # w.toml:3\n\
         url = \"https://hooks.slack.com/********\"  # w.toml:4\nchannel = \"#ops\"  # env.p, w.toml:8\n"
    );
    let arguments = ["config", "show", "-c", "w.toml", "--defaults"];
    let text = with_files(&files, &arguments).exits(0).text();
    assert!(
        text.contains("\ngroup_wait = \"0s\"  # default\n"),
        "{text}"
    );
    assert!(
        text.contains("\n[run]\ngrace = \"25s\"  # default\n"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn the_twins_in_the_environment_work() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("w.toml"), "[env.p]\n").unwrap();
    let run = |name: &str| {
        let mut command = weir(["check"]);
        command.current_dir(directory.path());
        Ran::new(
            command
                .env("WEIR_CONFIG", "w.toml")
                .env("WEIR_ENV", name)
                .output()
                .unwrap(),
        )
    };
    run("p").exits(0);
    run("other").exits(78).says("known here: p");
}

fn schema() -> Value {
    run_with(["schema", "config"], b"").exits(0).json()
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn look(schema: &Value, place: &str, missing: &mut Vec<String>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, inner) in properties.into_iter().flatten() {
            let place = format!("{place}.{key}");
            if inner.get("description").is_none() && inner.get("const").is_none() {
                missing.push(place.clone());
            }
            look(inner, &place, missing);
        }
        for part in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(part) {
                look(inner, place, missing);
            }
        }
        for kind in schema["oneOf"].as_array().into_iter().flatten() {
            look(kind, place, missing);
        }
    }
    let mut missing = Vec::new();
    look(&schema(), "", &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_reference_page_is_what_the_schema_says() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (written, made) = page.split_once(MARK).expect("the page has its mark");
    let want = reference(&schema());
    if std::env::var_os("WEIR_REWRITE_DOCS").is_some() {
        std::fs::write(PAGE, format!("{written}{MARK}{want}")).unwrap();
        return;
    }
    assert!(
        made == want,
        "docs/configuration.md is stale; run this test with WEIR_REWRITE_DOCS=1"
    );
}

#[test]
fn the_examples_of_the_page_are_good() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut found = 0;
    for block in page.split("```toml\n").skip(1) {
        let (text, _) = block.split_once("```").unwrap();
        let ran = with_files(&[("weir.toml", text)], &["check", "-c", "weir.toml"]);
        assert_eq!(ran.code, 0, "{text}\n{}", ran.stderr);
        let environment = ["check", "-c", "weir.toml", "--env", "production"];
        if text.contains("[env.production") {
            with_files(&[("weir.toml", text)], &environment).exits(0);
        }
        found += 1;
    }
    assert!(found >= 2);
    assert!(Path::new(PAGE).exists());
}

/// The part of the page that is made.
fn reference(schema: &Value) -> String {
    let mut page = String::new();
    for (key, part) in schema["properties"].as_object().unwrap() {
        let (head, element) = match (key.as_str(), part.get("items")) {
            ("env", _) => ("[env.NAME]".to_owned(), part),
            (_, Some(element)) => (format!("[[{key}]]"), element),
            (_, None) => (format!("[{key}]"), part),
        };
        write!(page, "\n## `{head}`\n\n{}\n", text(part)).unwrap();
        rows(element, &mut page);
        for kind in element["oneOf"].as_array().into_iter().flatten() {
            let name = kind["properties"]["type"]["const"].as_str().unwrap();
            write!(page, "\n### `type = \"{name}\"`\n\n{}\n", text(kind)).unwrap();
            rows(kind, &mut page);
        }
    }
    page
}

/// A table of the keys, if there are any.
fn rows(table: &Value, page: &mut String) {
    let mut rows = Vec::new();
    collect(table, "", &mut rows);
    if !rows.is_empty() {
        page.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        page.push_str(&rows.concat());
    }
}

fn collect(table: &Value, prefix: &str, rows: &mut Vec<String>) {
    let required: Vec<&str> = table["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = table.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        if property.get("const").is_some() {
            continue;
        }
        let default = match property.get("default") {
            _ if required.contains(&key.as_str()) => "needed".to_owned(),
            Some(Value::Object(_)) | None => String::new(),
            Some(Value::Array(items)) if items.is_empty() => String::new(),
            Some(default) => format!("`{default}`"),
        };
        let row = format!(
            "| `{prefix}{key}` | {} | {default} | {} |\n",
            kind(property),
            text(property)
        );
        rows.push(row);
        collect(property, &format!("{prefix}{key}."), rows);
        if let Some(element) = property.get("items") {
            collect(element, &format!("{prefix}{key}[]."), rows);
        }
    }
}

/// What a value is, in words.
fn kind(property: &Value) -> String {
    if let Some(names) = property["enum"].as_array() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return names.join(", ");
    }
    if let Some(words) = property["$comment"].as_str() {
        return words.to_owned();
    }
    match property["type"].as_str() {
        Some("array") => match kind(&property["items"]) {
            inner if inner == "string" => "list of strings".to_owned(),
            inner => format!("list: {inner}"),
        },
        Some("object") if property.get("properties").is_none() => "table of strings".to_owned(),
        Some("object") => "table".to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some(other) => other.to_owned(),
        None => "string or table".to_owned(),
    }
}

/// A description on one line; a bar would end a cell.
fn text(part: &Value) -> String {
    let text = part["description"].as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}
