//! The recipes that ship with the program, each for each of its environments: free of mistakes, its own
//! cases pass, and a replay of its input prints what was worked out by hand.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::program::{Ran, run_in, run_with, weir};

/// The folders of the recipes, in order.
fn recipes() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recipes");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut recipes: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    recipes.sort();
    recipes
}

/// The environments for which a recipe says what it prints; without a name for none.
fn expectations(recipe: &Path) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(recipe).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(environment) = name
            .strip_prefix("expected")
            .and_then(|rest| rest.strip_suffix(".txt"))
        else {
            continue;
        };
        let environment = environment.strip_prefix('.').map(str::to_owned);
        found.push((environment, std::fs::read_to_string(&path).unwrap()));
    }
    found
}

#[test]
fn every_job_has_its_recipe_and_page() {
    let names: Vec<String> = recipes()
        .iter()
        .map(|recipe| recipe.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let numbers: Vec<&str> = names.iter().map(|name| &name[..2]).collect();
    assert_eq!(
        numbers,
        ["01", "02", "03", "04", "05", "06", "07", "08", "09"]
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let index = std::fs::read_to_string(root.join("docs/recipes/README.md")).unwrap();
    for name in names {
        assert!(index.contains(&format!("({name}.md)")), "{name} is listed");
        let page = std::fs::read_to_string(root.join(format!("docs/recipes/{name}.md"))).unwrap();
        let folder = root.join("fixtures/recipes").join(&name);
        let configuration = std::fs::read_to_string(folder.join("weir.toml")).unwrap();
        // The cases are for whoever changes the recipe, not for its reader.
        let shown = configuration.split("\n[[test]]").next().unwrap();
        assert!(page.contains(shown.trim_end()), "{name}: the page shows it");
        let printed = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        assert!(page.contains(printed.trim_end()), "{name}: what it prints");
    }
}

#[test]
fn every_recipe_checks_passes_its_cases_and_replays() {
    for recipe in recipes() {
        let expectations = expectations(&recipe);
        assert!(!expectations.is_empty(), "{}", recipe.display());
        for (environment, expected) in expectations {
            let run = |command: &str, more: &[&str]| -> Ran {
                let mut arguments = vec![command, "-c", "weir.toml"];
                if let Some(environment) = &environment {
                    arguments.extend(["--env", environment]);
                }
                arguments.extend(more);
                run_in(&recipe, arguments)
            };
            let about = format!("{} {environment:?}", recipe.display());
            let checked = run("check", &[]);
            assert_eq!(checked.text(), "ok\n", "{about}: {}", checked.stderr);
            let tested = run("test", &[]);
            assert_eq!(tested.code, 0, "{about}: {}", tested.text());
            let replayed = run("replay", &["input.log"]).exits(0);
            assert_eq!(replayed.text(), expected, "{about}");
        }
    }
}

/// What a run over the input in a pipe writes, for recipes about lines.
#[test]
fn lines_go_out_as_the_recipe_says() {
    let mut ran = 0;
    for recipe in recipes() {
        let Ok(expected) = std::fs::read_to_string(recipe.join("lines.txt")) else {
            continue;
        };
        let input = std::fs::File::open(recipe.join("input.log")).unwrap();
        let mut command = weir(["run", "-q", "-c", "weir.toml"]);
        let command = command.current_dir(&recipe).stdin(Stdio::from(input));
        let run = Ran::new(command.output().unwrap()).exits(0);
        assert_eq!(run.text(), expected, "{}", recipe.display());
        ran += 1;
    }
    assert!(ran > 0);
}

#[test]
fn an_environment_shows_where_each_value_comes_from() {
    let recipe = recipes().remove(1);
    let arguments = ["config", "show", "-c", "weir.toml", "--env", "production"];
    let shown = run_in(&recipe, arguments).exits(0).text();
    let text = std::fs::read_to_string(recipe.join("weir.toml")).unwrap();
    let line_of = |part: &str| 1 + text[..text.find(part).unwrap()].matches('\n').count();
    for (value, origin, part) in [
        (
            "level = \"error\"",
            "env.production, ",
            "filter.level = \"error\"",
        ),
        (
            "severity = \"critical\"",
            "env.production, ",
            "severity = \"critical\"",
        ),
        ("window = \"1m\"", "", "window = \"1m\""),
    ] {
        let line = format!("{value}  # {origin}weir.toml:{}\n", line_of(part));
        assert!(shown.contains(&line), "no {line:?} in\n{shown}");
    }
}

/// The data of two of the jobs, through the JSON of a replay: CPU of 45 50 35 40 55 has the mean 45 and one
/// value above 50; three distinct findings on two servers.
#[test]
fn the_numbers_of_the_jobs_come_out_right() {
    let replay = |recipe: &str, input: &str| {
        let path = recipes()
            .into_iter()
            .find(|path| path.ends_with(recipe))
            .unwrap();
        let path = path.join("weir.toml");
        let arguments = ["replay", "-o", "json", "-c", path.to_str().unwrap(), "-"];
        run_with(arguments, input.as_bytes()).exits(0).json()
    };
    let lines: Vec<String> = [45, 50, 35, 40, 55]
        .iter()
        .enumerate()
        .map(|(second, cpu)| format!("2026-11-23T09:00:0{second}Z INFO host=web-1 cpu={cpu}\n"))
        .collect();
    let answer = replay("05-cpu", &lines.concat());
    let cpu = &answer["report"]["metrics"][0];
    assert_eq!(
        (cpu["mean"].as_f64(), cpu["count"].as_u64()),
        (Some(45.0), Some(5))
    );
    assert_eq!(answer["alerts"].as_array().unwrap().len(), 1);
    let input = std::fs::read_to_string(recipes()[8].join("input.log")).unwrap();
    let answer = replay("09-findings", &input);
    let sets = answer["report"]["sets"].as_array().unwrap();
    let overall = sets.iter().find(|row| row["key"] == serde_json::json!({}));
    assert_eq!(overall.unwrap()["count"], 3);
}
