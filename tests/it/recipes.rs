//! The recipes that ship with the program: each is free of mistakes, and its own cases pass.

use std::path::Path;
use std::process::Command;

#[test]
fn every_recipe_checks_and_passes_its_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recipes");
    let mut recipes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let configuration = entry.unwrap().path().join("weir.toml");
        for (command, last) in [("check", "ok"), ("test", "passed")] {
            let output = Command::new(env!("CARGO_BIN_EXE_weir"))
                .args([command, "-c"])
                .arg(&configuration)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let said = String::from_utf8_lossy(&output.stderr);
            let name = configuration.display();
            assert!(output.status.success(), "{command} {name}: {text}{said}");
            assert!(text.trim_end().ends_with(last), "{command} {name}: {text}");
        }
        recipes += 1;
    }
    assert!(recipes >= 7, "{recipes} recipes");
}
