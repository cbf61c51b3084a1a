//! Tables of configurations and what is said of them; laws of overlays; secrets that must not show.

use crate::config::load::{Loaded, load_texts};
use crate::config::problem::Problems;

mod overlays;
mod problems;
mod secrets;

/// The variables that tests may use.
pub(super) fn variables(name: &str) -> Option<String> {
    let value = match name {
        "LEVEL" => "warn",
        "EMPTY" => "",
        "TWO_LINES" => "a\nlevel: b = [\"c\"]",
        "NUMBER" => "5",
        "HOOK" => "https://hooks.example.com/services/CANARY-7f3a",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Loads files named `a.toml`, `b.toml` …
pub(super) fn load(texts: &[&str], environment: Option<&str>) -> Result<Loaded, Problems> {
    let names = ["a.toml", "b.toml", "c.toml"];
    let texts = names
        .iter()
        .zip(texts)
        .map(|(name, text)| (name.to_string(), text.to_string()));
    load_texts(texts.collect(), environment, &variables)
}

#[track_caller]
pub(super) fn loaded(texts: &[&str], environment: Option<&str>) -> Loaded {
    load(texts, environment).unwrap_or_else(|problems| panic!("refused:\n{problems}"))
}

/// The first line of each problem.
pub(super) fn heads(texts: &[&str], environment: Option<&str>) -> Vec<String> {
    match load(texts, environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .list()
            .iter()
            .map(|problem| problem.to_string().lines().next().unwrap().to_owned())
            .collect(),
    }
}
