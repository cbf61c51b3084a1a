//! Which paths are followed: plain paths and globs, in the order in which they were given. A glob is
//! expanded name by name, so only directories that can hold a match are listed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::disk::{Disk, Kind, Stat};

/// How deep `**` looks: deeper than any layout of logs, and an end for directories that are linked in
/// a circle.
const DEPTH_MAX: usize = 16;

/// The patterns of a run.
pub struct Patterns {
    patterns: Vec<Pattern>,
    exclude: Vec<GlobMatcher>,
}

enum Pattern {
    Plain(PathBuf),
    Glob { root: PathBuf, parts: Vec<Part> },
}

enum Part {
    Name(GlobMatcher),
    /// `**`
    Any,
}

/// A path that is to be followed, with what stands there now.
pub struct Found {
    pub path: PathBuf,
    pub stat: io::Result<Stat>,
    /// Named by the user, not found by a glob: then it is said why it cannot be followed.
    pub is_named: bool,
}

impl Patterns {
    /// Errors name the pattern and what is wrong with it.
    pub fn new(
        disk: &dyn Disk,
        patterns: &[OsString],
        exclude: &[String],
    ) -> Result<Patterns, String> {
        let exclude = exclude
            .iter()
            .map(|text| glob(text.as_ref(), true))
            .collect::<Result<_, _>>()?;
        let patterns = patterns
            .iter()
            .map(|text| pattern(disk, text))
            .collect::<Result<_, _>>()?;
        Ok(Patterns { patterns, exclude })
    }

    /// Every path once, in argument order, those of a glob sorted by their bytes. Adds the directories
    /// that were looked into.
    pub fn find(&self, disk: &dyn Disk, directories: &mut BTreeSet<PathBuf>) -> Vec<Found> {
        let mut found = Vec::new();
        // One pattern names no path twice, and thousands of paths are not to be kept twice either.
        let has_several = self.patterns.len() > 1;
        let mut seen = BTreeSet::new();
        let mut is_new = |path: &PathBuf| !has_several || seen.insert(path.clone());
        for pattern in &self.patterns {
            match pattern {
                Pattern::Plain(path) => {
                    let parent = path
                        .parent()
                        .filter(|parent| !parent.as_os_str().is_empty());
                    directories.insert(parent.unwrap_or(Path::new(".")).to_owned());
                    if is_new(path) {
                        let stat = disk.stat(path);
                        found.push(Found {
                            path: path.clone(),
                            stat,
                            is_named: true,
                        });
                    }
                }
                Pattern::Glob { root, parts } => {
                    let mut paths = Vec::new();
                    expand(disk, root, parts, 0, &mut paths, directories);
                    paths.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
                    paths.dedup();
                    found.reserve(paths.len());
                    for path in paths {
                        if self.is_excluded(&path) || !is_new(&path) {
                            continue;
                        }
                        let stat = disk.stat(&path);
                        // A directory that a glob matches was not meant; its files were.
                        if !matches!(&stat, Ok(stat) if stat.kind == Kind::Directory) {
                            found.push(Found {
                                path,
                                stat,
                                is_named: false,
                            });
                        }
                    }
                }
            }
        }
        found
    }

    /// Whether `--exclude` names the path or its last part.
    fn is_excluded(&self, path: &Path) -> bool {
        self.exclude.iter().any(|glob| {
            glob.is_match(path) || path.file_name().is_some_and(|name| glob.is_match(name))
        })
    }
}

/// Whether a text is a glob rather than a path.
pub fn is_glob(text: &OsStr) -> bool {
    text.as_bytes().iter().any(|byte| b"*?[{".contains(byte))
}

fn pattern(disk: &dyn Disk, text: &OsStr) -> Result<Pattern, String> {
    let path = Path::new(text);
    // A file may well have a bracket in its name.
    if !is_glob(text) || disk.stat(path).is_ok() {
        return Ok(Pattern::Plain(path.to_owned()));
    }
    let mut root = PathBuf::new();
    let mut parts = Vec::new();
    for component in path.components() {
        let name = component.as_os_str();
        if name == "**" {
            parts.push(Part::Any);
        } else if !parts.is_empty() || is_glob(name) {
            if matches!(component, Component::ParentDir) {
                return Err(format!(
                    "{}: \"..\" behind a wildcard; name the directory",
                    path.display()
                ));
            }
            parts.push(Part::Name(glob(name, false)?));
        } else {
            root.push(name);
        }
    }
    Ok(Pattern::Glob { root, parts })
}

fn glob(text: &OsStr, whole_path: bool) -> Result<GlobMatcher, String> {
    let pattern = text.to_string_lossy();
    GlobBuilder::new(&pattern)
        .literal_separator(whole_path)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("\"{pattern}\": {}", error.kind()))
}

fn expand(
    disk: &dyn Disk,
    directory: &Path,
    parts: &[Part],
    depth: usize,
    paths: &mut Vec<PathBuf>,
    directories: &mut BTreeSet<PathBuf>,
) {
    let here = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let Some((part, rest)) = parts.split_first() else {
        return;
    };
    // What cannot be listed, or is no directory, holds nothing to follow; it is looked at again.
    let Ok(names) = disk.list(here) else { return };
    directories.insert(here.to_owned());
    match part {
        Part::Name(glob) => {
            let hidden = glob.glob().glob().starts_with('.');
            paths.reserve(names.len());
            for name in names {
                // As in a shell, a wildcard matches no leading dot.
                if (!hidden && name.as_bytes().starts_with(b".")) || !glob.is_match(&name) {
                    continue;
                }
                let path = directory.join(&name);
                if rest.is_empty() {
                    paths.push(path);
                } else {
                    expand(disk, &path, rest, depth, paths, directories);
                }
            }
        }
        Part::Any => {
            expand(disk, directory, rest, depth, paths, directories);
            if depth == DEPTH_MAX {
                return;
            }
            for name in names {
                let path = directory.join(&name);
                let is_directory = disk
                    .stat(&path)
                    .is_ok_and(|stat| stat.kind == Kind::Directory);
                if is_directory && !name.as_bytes().starts_with(b".") {
                    expand(disk, &path, parts, depth + 1, paths, directories);
                } else if rest.is_empty() {
                    paths.push(path);
                }
            }
        }
    }
}

/// The name that a rotated file had before: `app.log.1`, `app.log-20261122.gz` and `app.log.old` were
/// `app.log`. A name without such an ending is its own.
pub fn stem(path: &Path) -> PathBuf {
    let Some(name) = path.file_name() else {
        return path.to_owned();
    };
    let mut name = name.as_bytes();
    loop {
        let shorter = [".gz", ".zst", ".old", ".bak", ".tmp", "~"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending.as_bytes()))
            .or_else(|| without_number(name));
        match shorter {
            Some(shorter) if !shorter.is_empty() => name = shorter,
            _ => break,
        }
    }
    path.with_file_name(OsStr::from_bytes(name))
}

/// Whether a file can have come from one name to another by rotation: within its set, and never back to
/// the name that is written to.
pub fn leads_to(from: &Path, to: &Path) -> bool {
    let stem = stem(to);
    self::stem(from) == stem && (to != stem || from == to)
}

/// Whether a rotation by renaming made the name: it ends in a number or a date.
pub fn is_numbered(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_bytes);
    name.is_some_and(|name| without_number(name).is_some())
}

/// Without `.1`, `-20261122`, `.20261122-101500`, `.2026-11-22T10:15:00`.
fn without_number(name: &[u8]) -> Option<&[u8]> {
    let is_number = |byte: &u8| byte.is_ascii_digit() || b"-_:T".contains(byte);
    let end = name.iter().rposition(|byte| !is_number(byte))?;
    // The separator may be one of the number's own characters.
    let (head, number) = if name[end] == b'.' {
        (&name[..end], &name[end + 1..])
    } else {
        let separator = end + 1;
        if !name.get(separator).is_some_and(|byte| b"-_".contains(byte)) {
            return None;
        }
        (&name[..separator], &name[separator + 1..])
    };
    number.iter().any(u8::is_ascii_digit).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::real::Real;

    #[test]
    fn a_rotated_name_leads_back_to_the_first_one() {
        for (name, want) in [
            ("app.log", "app.log"),
            ("app.log.1", "app.log"),
            ("app.log.12.gz", "app.log"),
            ("app.log-20261122", "app.log"),
            ("app.log-20261122.zst", "app.log"),
            ("0.log.20261123-101112.gz", "0.log"),
            ("app.log.2026-11-22T10:15:00", "app.log"),
            ("app.log.old", "app.log"),
            ("app2", "app2"),
            ("server1.log", "server1.log"),
            ("1", "1"),
            ("app-1.log", "app-1.log"),
        ] {
            assert_eq!(
                stem(&Path::new("/x").join(name)),
                Path::new("/x").join(want)
            );
        }
    }

    #[test]
    fn a_rotation_leads_away_from_the_first_name() {
        for (from, to, want) in [
            ("a.log", "a.log", true),
            ("a.log", "a.log.1", true),
            ("a.log.1", "a.log.2.gz", true),
            ("a.log.1", "a.log", false),
            ("a.log", "b.log.1", false),
        ] {
            assert_eq!(
                leads_to(Path::new(from), Path::new(to)),
                want,
                "{from} {to}"
            );
        }
    }

    fn find(root: &Path, patterns: &[&str], exclude: &[&str]) -> Vec<String> {
        let patterns: Vec<OsString> = patterns
            .iter()
            .map(|pattern| root.join(pattern).into_os_string())
            .collect();
        let exclude: Vec<String> = exclude.iter().map(|&text| text.to_owned()).collect();
        let patterns = Patterns::new(&Real, &patterns, &exclude).unwrap();
        patterns
            .find(&Real, &mut BTreeSet::new())
            .into_iter()
            .map(|found| {
                let path = found.path.strip_prefix(root).unwrap();
                path.to_string_lossy().into_owned()
            })
            .collect()
    }

    #[test]
    fn finds_what_a_shell_would_and_nothing_twice() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "b.log",
            "a.log",
            ".hidden.log",
            "a.txt",
            "x[1].log",
            "d/c.log",
            "d/e/f.log",
        ] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), "").unwrap();
        }
        assert_eq!(find(root, &["*.log"], &[]), ["a.log", "b.log", "x[1].log"]);
        assert_eq!(find(root, &["b.log", "*.log"], &["x*"]), ["b.log", "a.log"]);
        assert_eq!(
            find(root, &["*/c.log", "none", "x[1].log"], &[]),
            ["d/c.log", "none", "x[1].log"]
        );
        assert_eq!(
            find(root, &["**/*.log"], &["b.log"]),
            ["a.log", "d/c.log", "d/e/f.log", "x[1].log"]
        );
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = Patterns::new(&Real, &["/no/such/[a".into()], &[])
            .err()
            .unwrap();
        assert!(error.contains("[a"), "{error}");
    }
}
