//! docs/adding.md adds a notifier, a sink, a source and a format. Its diffs are applied to a copy of this
//! tree, so that the page stays true and each component stays one file and one line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The blocks of the page that are diffs.
fn diffs(page: &str) -> Vec<String> {
    let blocks = page.split("```diff\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// The tree after every diff of the page.
fn applied(directory: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/adding.md")).unwrap();
    let tree = directory.join("tree");
    copy(&root.join("src"), &tree.join("src"));
    let diffs = diffs(&page);
    assert_eq!(diffs.len(), 4, "a notifier, a sink, a source and a format");
    for (number, diff) in diffs.iter().enumerate() {
        let file = directory.join(format!("{number}.diff"));
        fs::write(&file, diff).unwrap();
        let applied = Command::new("git")
            .arg("apply")
            .arg(&file)
            .current_dir(&tree)
            .env("GIT_CEILING_DIRECTORIES", directory)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&applied.stderr);
        assert!(applied.status.success(), "diff {}: {said}", number + 1);
    }
    tree
}

#[test]
fn a_component_is_one_new_file_and_one_line() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adding.md");
    for diff in diffs(&fs::read_to_string(page).unwrap()) {
        let of_registry = diff.split("diff --git ").filter(|part| !part.is_empty());
        let mut new_files = 0;
        let mut lines = Vec::new();
        for part in of_registry {
            if part.contains("\n--- /dev/null\n") {
                new_files += 1;
                continue;
            }
            assert!(part.starts_with("a/src/registry.rs "), "{part}");
            let changed = part.lines().filter(|line| {
                line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
            });
            lines.extend(changed.map(str::to_owned));
        }
        assert_eq!((new_files, lines.len()), (1, 1), "{lines:?}");
        assert!(lines[0].starts_with('+'), "{lines:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    applied(directory.path());
}

/// Compiles the program with all four components: a minute or more, so `./test.sh long` runs it.
#[test]
#[ignore = "compiles the program once more"]
fn the_components_of_the_page_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let tree = applied(directory.path());
    for name in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root.join(name), tree.join(name)).unwrap();
    }
    // Cargo.toml names them.
    copy(&root.join("benches"), &tree.join("benches"));
    copy(&root.join("tests"), &tree.join("tests"));
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--locked", "--lib"])
        .current_dir(&tree)
        .env("CARGO_TARGET_DIR", root.join("target/adding"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    assert!(!said.contains("warning: unused"), "{said}");
}
