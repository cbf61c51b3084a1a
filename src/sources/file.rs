//! Reads a file from its start to its end. Following is not done here.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::disk::whole::is_null;
use crate::flow::time::Time;
use crate::sources::lines::{first_line, last_lines};
use crate::sources::{Configured, Open, OpenError, Opened, Source, compressed};

/// Files, followed as they grow, are rotated, truncated and replaced.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// Paths or globs. `.gz` and `.zst` files are read as they are.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    include: Vec<String>,
    /// Globs of paths or file names to leave out.
    #[serde(default)]
    #[schemars(inner(length(min = 1)))]
    exclude: Vec<String>,
    /// Where files begin that are there at the first start; later ones are read whole. If absent: `start`
    /// with a state directory, else `end`.
    from: Option<From>,
    /// Look at the files from time to time instead of asking the kernel to tell of changes.
    #[serde(default)]
    poll: bool,
}

/// Where a followed file begins at the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum From {
    Start,
    End,
}

impl Configured for Config {
    type Settings = Settings;

    fn resolve(&self) -> Settings {
        Settings {
            include: self.include.iter().map(OsString::from).collect(),
            exclude: self.exclude.clone(),
            from: self.from,
            poll: self.poll,
        }
    }
}

/// Files that are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub include: Vec<OsString>,
    pub exclude: Vec<String>,
    /// `None` is the start with a state directory, else the end.
    pub from: Option<From>,
    pub poll: bool,
}

impl Open for Settings {
    fn name(&self) -> String {
        String::new()
    }

    fn subject(&self) -> &'static str {
        "files"
    }

    fn about(&self) -> String {
        String::new()
    }

    fn files(&self) -> Option<&Settings> {
        Some(self)
    }

    fn open(&self, _: &str, _: Time) -> Result<Opened, OpenError> {
        Err(OpenError {
            message: "files are followed".to_owned(),
            exit_code: 74,
        })
    }
}

/// Opens the file at `path` without waiting, whatever it is: a FIFO or a terminal is read as a stream, and
/// the reader waits for those who write it. Devices without an end, block devices and sockets are refused.
pub fn open(path: &Path, now: Time) -> Result<Source, OpenError> {
    let name = path.to_string_lossy().into_owned();
    let fail = |error: io::Error| {
        let missing = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        let remedy = match error.kind() {
            io::ErrorKind::NotFound if is_like_a_line(&name) => {
                "no such file; `weir explain` shows how a line is read, and - reads lines from standard input"
            }
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
    let refuse = |reason: String| OpenError {
        message: format!("{name}: {reason}"),
        exit_code: 74,
    };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = file.map_err(|error| {
        let kind = path.metadata().map(|metadata| metadata.file_type());
        if kind.is_ok_and(|kind| kind.is_socket()) {
            refuse(
                "is a socket, which a program has to connect to; let one write to `weir`"
                    .to_owned(),
            )
        } else {
            fail(error)
        }
    })?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(OpenError {
            message: format!("{name}: is a directory; name its files, for example {name}/*.log"),
            exit_code: 66,
        });
    }
    let kind = metadata.file_type();
    if kind.is_block_device() {
        return Err(refuse("is a disk; name a file on it".to_owned()));
    }
    if kind.is_char_device() && !is_null(&metadata) && !rustix::termios::isatty(&file) {
        return Err(refuse(format!(
            "is a device, which may have no end; to read it all the same, use `weir < {name}`"
        )));
    }
    let stream = kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    let live = if stream {
        let flags = rustix::fs::fcntl_getfl(&file).map_err(|error| fail(error.into()))?;
        rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)
            .map_err(|error| fail(error.into()))?;
        Some(rustix::io::fcntl_dupfd_cloexec(&file, 0).map_err(|error| fail(error.into()))?)
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
    // Waiting for the first bytes of a stream would hold up everything; the reader does it.
    let (bytes, compressed): (Box<dyn io::Read + Send>, bool) = if stream {
        (Box::new(file), false)
    } else {
        compressed::detect(Box::new(file), &name).map_err(|error| match error.kind() {
            // A file of the kernel's, such as /proc/kmsg, that is never at its end.
            io::ErrorKind::WouldBlock => refuse(format!(
                "has nothing to read without waiting; use `weir < {name}`"
            )),
            _ => fail(error),
        })?
    };
    Ok(Source {
        name,
        bytes,
        file: (!stream && !compressed).then_some(shared),
        size: if compressed { None } else { size },
        anchor,
        ending: None,
        live,
    })
}

/// Whether what was named as a file is a line of a log: names of files have few blanks.
pub fn is_like_a_line(name: &str) -> bool {
    let blanks = name.bytes().filter(|byte| *byte == b' ').count();
    blanks >= 2 || name.starts_with(['{', '<']) && blanks + name.matches(':').count() >= 1
}

/// A plain file of which only the last lines are read.
pub struct Tail {
    pub source: Source,
    /// Offset of the first byte that is read.
    pub position: u64,
    /// The file's first line, if that stands before the others: it may be a header.
    pub header: Option<Vec<u8>>,
}

/// Opens the file at `path` so many lines before its end; a last line without a line feed counts.
pub fn open_tail(path: &Path, lines: u64, now: Time) -> Result<Tail, OpenError> {
    let mut source = open(path, now)?;
    let Some(file) = source.file.clone() else {
        return Err(OpenError {
            message: format!(
                "{}: --tail needs a plain file; this one can only be read from its start",
                source.name
            ),
            exit_code: 74,
        });
    };
    let fail = |error: io::Error| OpenError {
        message: format!("{}: {error}", path.display()),
        exit_code: 74,
    };
    let length = file.metadata().map_err(fail)?.len();
    let read = |bytes: &mut [u8], offset| file.read_exact_at(bytes, offset);
    let position = last_lines(length, lines, u64::MAX, read).map_err(fail)?;
    let header = match position {
        0 => None,
        _ => first_line(|head| file.read_at(head, 0)).map_err(fail)?,
    };
    let mut rest = file.try_clone().map_err(fail)?;
    rest.seek(SeekFrom::Start(position)).map_err(fail)?;
    source.bytes = Box::new(rest);
    source.size = Some(length - position);
    Ok(Tail {
        source,
        position,
        header,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_tail_is_the_last_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        let long = "y".repeat(70_000);
        for text in [
            "",
            "a",
            "a\n",
            "a\nb",
            "h\n\n\nb\n",
            &format!("{long}\n{long}\n"),
            &format!("a\n{long}"),
        ] {
            std::fs::write(&path, text).unwrap();
            let split: Vec<&str> = text.split_inclusive('\n').collect();
            for lines in 0..6 {
                let want = split[split.len().saturating_sub(lines)..].concat();
                let mut tail = open_tail(&path, lines as u64, Time(0)).unwrap();
                let mut read = String::new();
                tail.source.bytes.read_to_string(&mut read).unwrap();
                assert!(read == want, "{lines} of {} bytes", text.len());
                assert_eq!(tail.position as usize, text.len() - want.len());
                assert_eq!(tail.source.size, Some(want.len() as u64));
            }
        }
    }

    #[test]
    fn only_a_plain_file_has_a_tail() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.zst");
        std::fs::write(&path, zstd::encode_all(&b"a\nb\n"[..], 1).unwrap()).unwrap();
        let error = open_tail(&path, 1, Time(0)).err().unwrap();
        assert!(error.message.contains("plain file"), "{}", error.message);
    }
}
