//! Reads a file from its start to its end. Following is not done here.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use crate::flow::time::Time;
use crate::sources::{OpenError, Source, compressed};

/// Opens the file at `path`; a FIFO or a character device is read as a stream.
pub fn open(path: &Path, now: Time) -> Result<Source, OpenError> {
    let name = path.to_string_lossy().into_owned();
    let fail = |error: io::Error| {
        let missing = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "no such file",
            io::ErrorKind::PermissionDenied => "permission denied; run as a user who may read it",
            io::ErrorKind::NotADirectory => "a part of the path is not a directory",
            _ => {
                return OpenError {
                    message: format!("{name}: {error}"),
                    exit_code: 74,
                };
            }
        };
        OpenError {
            message: format!("{name}: {remedy}"),
            exit_code: if missing { 66 } else { 74 },
        }
    };
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(OpenError {
            message: format!("{name}: is a directory; name its files, for example {name}/*.log"),
            exit_code: 66,
        });
    }
    let kind = metadata.file_type();
    let stream = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    let live = if stream {
        Some(rustix::io::dup(&file).map_err(|error| fail(error.into()))?)
    } else {
        None
    };
    let anchor = if stream {
        now
    } else {
        Time::from_parts(metadata.mtime(), metadata.mtime_nsec() as u32).unwrap_or(now)
    };
    let size = (!stream).then_some(metadata.len());
    let shared = Arc::new(file.try_clone().map_err(fail)?);
    let (bytes, compressed) = compressed::detect(Box::new(file), &name).map_err(fail)?;
    Ok(Source {
        name,
        bytes,
        file: (!stream && !compressed).then_some(shared),
        size: if compressed { None } else { size },
        anchor,
        live,
    })
}
