//! The names of files that were rotated: `path.1` is the latest.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where an output file stands after `number` rotations: `path.1` is the latest.
pub fn rotated_path(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The number of the rotation that led from the name of an output file to another.
pub fn rotation_of(path: &Path, rotated: &Path) -> Option<u32> {
    let name = rotated.as_os_str().as_bytes();
    let name = name.strip_prefix(path.as_os_str().as_bytes())?;
    let digits = std::str::from_utf8(name.strip_prefix(b".")?).ok()?;
    let number = digits.parse().ok()?;
    (rotated_path(path, number) == rotated).then_some(number)
}
