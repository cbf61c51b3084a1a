//! Globs that reached us quoted. The shell expands the others; followed ones are the follower's.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::disk::Kind;
use crate::disk::real::Real;
use crate::error::{Failure, exit};
use crate::sources::compressed;
use crate::sources::encoding::Encoding;
use crate::sources::file::is_like_a_line;
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
        let path = Path::new(&file);
        if path.is_dir() {
            directory(path, &output_at, &mut expanded, &mut notes)?;
            continue;
        }
        if !is_glob(&file) || path.exists() || is_like_a_line(&file.to_string_lossy()) {
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

/// So many bytes tell text from what is none.
const LOOK_BYTES: usize = 8 << 10;

/// The files of a directory, sorted by the bytes of their names. Those whose names begin with a dot, those
/// that are no text and further directories are left out, and said.
fn directory<'o>(
    path: &Path,
    output_at: &impl Fn(&Path) -> Option<&'o str>,
    files: &mut Vec<OsString>,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let fail = |error: io::Error| Failure::io(format!("{}: {error}", path.display()));
    let mut names: Vec<OsString> = fs::read_dir(path)
        .map_err(fail)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()
        .map_err(fail)?;
    names.sort();
    let mut left_out = Vec::new();
    let before = files.len();
    for name in names {
        let file = path.join(&name);
        let shown = name.to_string_lossy().into_owned();
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if let Some(output) = output_at(&file) {
            left_out.push(format!("{shown} (the output, {output})"));
        } else if shown.starts_with('.') {
            left_out.push(format!("{shown} (hidden)"));
        } else if !is_file {
            left_out.push(format!("{shown} (no file)"));
        } else if is_binary(&file) {
            left_out.push(format!("{shown} (no text)"));
        } else {
            files.push(file.into_os_string());
        }
    }
    if files.len() == before {
        notes.push(format!("{}: holds no file to read", path.display()));
    }
    const SHOWN_MAX: usize = 10;
    if !left_out.is_empty() {
        let more = left_out.len().saturating_sub(SHOWN_MAX);
        left_out.truncate(SHOWN_MAX);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        notes.push(format!(
            "{}: not read: {}{more}",
            path.display(),
            left_out.join(", ")
        ));
    }
    Ok(())
}

/// Whether the file begins with bytes that no text has. One that cannot be read is for the reader to name.
fn is_binary(path: &Path) -> bool {
    let mut head = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(LOOK_BYTES as u64).read_to_end(&mut head));
    read.is_ok()
        && head.contains(&0)
        && !compressed::is_compressed(&head)
        && Encoding::marked(&head).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_its_files_of_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for (name, bytes) in [
            ("b.log", &b"b"[..]),
            ("a.log", b"a"),
            (".hidden", b"x"),
            ("data.bin", b"x\0y"),
            ("wide.log", b"\xff\xfex\0"),
            ("old.log.gz", b"\x1f\x8b\x08\0\0"),
            ("out.log", b"o"),
        ] {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        std::fs::create_dir(path.join("deeper")).unwrap();
        let output = path.join("out.log");
        let found = expand(vec![path.into()], |it| (it == output).then_some("-O")).unwrap();
        let want = ["a.log", "b.log", "old.log.gz", "wide.log"].map(|name| path.join(name));
        assert_eq!(found.named, want);
        let said = &found.notes[0];
        for left_out in [
            ".hidden (hidden)",
            "data.bin (no text)",
            "deeper (no file)",
            "out.log (the output, -O)",
        ] {
            assert!(said.contains(left_out), "{said}");
        }
        std::fs::create_dir(path.join("empty")).unwrap();
        let nothing = expand(vec![path.join("empty").into()], |_| None).unwrap_err();
        assert_eq!(nothing.exit_code, crate::error::exit::NO_INPUT);
    }

    #[test]
    fn a_line_is_told_from_a_file() {
        for line in [
            "2026-11-20 10:00:00 ERROR x",
            "[ERROR] boom in b",
            "{\"a\":1}",
        ] {
            assert!(is_like_a_line(line), "{line}");
        }
        for name in [
            "app.log",
            "a b.log",
            "/var/log/*.log",
            "[ab].log",
            "{a,b}.log",
        ] {
            assert!(!is_like_a_line(name), "{name}");
        }
    }

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
