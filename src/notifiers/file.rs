//! A file: one line of JSON an alert, whole lines only.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::flow::alert::Notification;
use crate::net::http::Attempt;
use crate::notifiers::body;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub path: PathBuf,
}

/// Appends and syncs. A line holds the alert (see `body::alert`), the notification's id and when it
/// was made; the same pair of ids twice is a repetition after a crash.
pub async fn send(settings: &Settings, notification: &Notification) -> Attempt {
    let mut lines = Vec::new();
    for alert in &notification.alerts {
        let mut line = serde_json::json!({
            "at": notification.made_at.to_string(),
            "notification": notification.id,
        });
        let fields = line.as_object_mut().expect("it is an object");
        if let serde_json::Value::Object(alert) = body::alert(alert) {
            fields.extend(alert);
        }
        serde_json::to_writer(&mut lines, &line).expect("a vector takes every value");
        lines.push(b'\n');
    }
    let path = settings.path.clone();
    let written = tokio::task::spawn_blocking(move || {
        append(&path, &lines).and_then(|file| file.sync_data())
    });
    let result = written
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    match result {
        Ok(()) => Attempt::Delivered {
            answer: "written".to_owned(),
        },
        Err(error) => Attempt::Later {
            reason: format!("{}: {error}", settings.path.display()),
            after: None,
        },
    }
}

/// Appends `lines`, all or nothing, to a file that only its owner may read. Symbolic links are not
/// followed, and what is no regular file is refused without waiting for it.
pub fn append(path: &Path, lines: &[u8]) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).expect("open's flags are an int"))
        .open(path)?;
    let before = file.metadata()?;
    if !before.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if let Err(error) = file.write_all(lines) {
        // A full disk has taken a part of a line: it goes again, or the next line would join it.
        let _ = file.set_len(before.len());
        return Err(error);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn appends_to_a_private_file_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        append(&path, b"1\n").unwrap();
        append(&path, b"2\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(append(&link, b"3\n").is_err());
        assert!(append(folder.path(), b"3\n").is_err());
        let fifo = folder.path().join("fifo");
        let fifo_mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            fifo_mode,
            0,
        )
        .unwrap();
        assert!(append(&fifo, b"3\n").is_err(), "does not wait for a reader");
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n");
    }
}
