//! Globs that reached us quoted. The shell expands the others; followed ones are the follower's.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use crate::cli::Failure;
use crate::disk::real::Real;
use crate::sources::follow::patterns::{Patterns, is_glob};

/// The arguments, in order, each glob in place of the files that it matches, sorted by the bytes of
/// their names. What names an existing file is no glob; one that matches nothing stays, and is then
/// an input that is not there.
pub fn expand(files: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let mut expanded = Vec::with_capacity(files.len());
    for file in files {
        if !is_glob(&file) || Path::new(&file).exists() {
            expanded.push(file);
            continue;
        }
        let patterns =
            Patterns::new(&Real, std::slice::from_ref(&file), &[]).map_err(Failure::usage)?;
        let found = patterns.find(&Real, &mut BTreeSet::new());
        if found.is_empty() {
            expanded.push(file);
        }
        expanded.extend(found.into_iter().map(|found| found.path.into_os_string()));
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_glob_is_what_the_shell_would_make_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).into_os_string();
        for name in ["b.log", "a.log", "a[1].log", "c.txt"] {
            std::fs::write(at(name), "").unwrap();
        }
        let files = vec![
            "-".into(),
            at("c.txt"),
            at("*.log"),
            at("a[1].log"),
            at("*.gz"),
        ];
        let want = ["c.txt", "a.log", "a[1].log", "b.log", "a[1].log", "*.gz"].map(at);
        let expanded = expand(files).unwrap();
        assert_eq!(expanded[0], "-");
        assert_eq!(expanded[1..], want);
        let mistake = expand(vec![at("[a")]).unwrap_err();
        assert_eq!(mistake.exit_code, crate::cli::exit::USAGE);
    }
}
