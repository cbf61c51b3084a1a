//! Reads the file of messages that `new()` takes as seen before.

use std::path::Path;

use crate::disk::whole;
use crate::error::Failure;
use crate::rules::baseline::Baseline;

/// Reads a baseline file.
pub fn read(path: &Path) -> Result<Baseline, Failure> {
    let fail = |reason: String| Failure::io(format!("{}: {reason}", path.display()));
    let bytes = whole::read(path).map_err(|error| fail(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8".to_owned()))?;
    Baseline::read(&text).map_err(|mistake| {
        Failure::io(format!(
            "{}:{}: {}",
            path.display(),
            mistake.line,
            mistake.message
        ))
    })
}
