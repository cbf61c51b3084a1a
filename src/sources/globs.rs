//! Globs that reached us quoted. The shell expands the others; followed ones are the follower's.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use crate::disk::Kind;
use crate::disk::real::Real;
use crate::error::{Failure, exit};
use crate::sources::follow::patterns::{Found, Patterns, is_glob};

/// Inputs by name, globs expanded.
#[derive(Debug, Default)]
pub struct Files {
    pub named: Vec<OsString>,
    /// What a glob matches and is not read, with the exit code that each asks for.
    pub refused: Vec<(String, u8)>,
    /// Outputs of the command that a glob matches.
    pub notes: Vec<String>,
}

/// The arguments, in order, each glob in place of the files that it matches, sorted by the bytes of
/// their names. What names an existing file is no glob; one that matches nothing stays, and is then
/// an input that is not there.
///
/// A glob does not mean what the command itself writes, which `output_at` names, so that is passed over;
/// nor a FIFO or a device, which may have no end: it is refused.
pub fn expand<'o>(
    files: Vec<OsString>,
    output_at: impl Fn(&Path) -> Option<&'o str>,
) -> Result<Files, Failure> {
    let mut expanded = Vec::with_capacity(files.len());
    let mut refused = Vec::new();
    let mut notes = Vec::new();
    let asked_for_none = files.is_empty();
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
        for Found { path, stat, .. } in found {
            if let Some(output) = output_at(&path) {
                let name = path.display();
                notes.push(format!("{name}: not read: it is the output ({output})"));
            } else if stat.is_ok_and(|stat| stat.kind == Kind::Other) {
                let name = path.display();
                let text = format!(
                    "{name}: not read: it is a FIFO, a device or a socket, and a glob means files; name it to read it"
                );
                refused.push((text, exit::IO));
            } else {
                expanded.push(path.into_os_string());
            }
        }
    }
    // Without inputs standard input would be read.
    if expanded.is_empty() && !asked_for_none {
        let nothing = ("no file is left to read".to_owned(), exit::NO_INPUT);
        let (message, exit_code) = refused.pop().unwrap_or(nothing);
        return Err(Failure { message, exit_code });
    }
    Ok(Files {
        named: expanded,
        refused,
        notes,
    })
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
        let expanded = expand(files, |_| None).unwrap().named;
        assert_eq!(expanded[0], "-");
        assert_eq!(expanded[1..], want);
        let mistake = expand(vec![at("[a")], |_| None).unwrap_err();
        assert_eq!(mistake.exit_code, crate::error::exit::USAGE);
    }
}
