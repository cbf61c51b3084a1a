//! The examples of README.md are run: in a fenced `console` block, a line `$ weir …` is a command
//! (in a shell, from the root of the repository, so pipes work), the lines behind it are what it
//! prints. A line `…` stands for any lines, `…` within a line for any text.

use std::path::Path;
use std::process::Command;

use crate::program::Ran;

/// One command of the README with what it is to print.
struct Example<'a> {
    line: usize,
    command: &'a str,
    expected: Vec<&'a str>,
}

fn examples(text: &str) -> Vec<Example<'_>> {
    let mut examples: Vec<Example<'_>> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside && line.trim_end() == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            examples.push(Example {
                line: number + 1,
                command,
                expected: Vec::new(),
            });
        } else if inside && let Some(example) = examples.last_mut() {
            example.expected.push(line);
        }
    }
    examples
}

/// Whether `actual` is `pattern`, where each `…` stands for any text.
fn fits(pattern: &str, actual: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().expect("splitting gives at least one part");
    let Some(mut rest) = actual.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether the lines fit, where a line `…` stands for any number of lines.
fn all_fit(patterns: &[&str], actual: &[&str]) -> bool {
    match patterns.split_first() {
        None => actual.is_empty(),
        Some((&"…", rest)) => (0..=actual.len()).any(|skipped| all_fit(rest, &actual[skipped..])),
        Some((pattern, rest)) => actual
            .split_first()
            .is_some_and(|(line, others)| fits(pattern, line) && all_fit(rest, others)),
    }
}

#[test]
fn the_readme_shows_what_the_program_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("README.md")).unwrap();
    let examples = examples(&text);
    assert!(examples.len() >= 6, "only {} examples", examples.len());
    let folder = Path::new(env!("CARGO_BIN_EXE_weir")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut problems = Vec::new();
    for example in &examples {
        // Installing is shown, but not done here.
        if example.command.starts_with("cargo ") {
            continue;
        }
        let mut command = Command::new("sh");
        command.args(["-c", example.command]).current_dir(root);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WEIR_") {
                command.env_remove(name);
            }
        }
        command
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("TZ", "UTC")
            .stdin(std::process::Stdio::null());
        let ran = Ran::new(command.output().unwrap());
        let shown = format!("{}{}", ran.text(), ran.stderr);
        let actual: Vec<&str> = shown.lines().map(str::trim_end).collect();
        let expected: Vec<&str> = example
            .expected
            .iter()
            .map(|line| line.trim_end())
            .collect();
        if !all_fit(&expected, &actual) {
            problems.push(format!(
                "README.md:{}: $ {}\n{shown}",
                example.line, example.command
            ));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// The files that the documents link to.
#[test]
fn links_of_the_documents_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/recipes", "fuzz"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 20, "only {} pages", pages.len());
    let mut broken = Vec::new();
    let mut links = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") || target.contains('\n') {
                continue;
            }
            links += 1;
            if !page.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(links > 40, "only {links} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn an_ellipsis_stands_for_any_text_and_any_lines() {
    assert!(fits("a…c", "abc") && fits("a…c", "ac") && !fits("a…c", "abd") && !fits("a", "ab"));
    assert!(all_fit(&["…", "b"], &["a", "a", "b"]) && !all_fit(&["…", "b"], &["a"]));
    assert!(all_fit(&["a", "…"], &["a"]) && !all_fit(&["a"], &["a", "b"]));
}
