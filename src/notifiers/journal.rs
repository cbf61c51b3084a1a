//! Two files of a state directory, one line of JSON each time: the journal of what was sent to whom
//! with what answer (`weir alerts` reads it), and the dead letters, which hold whole notifications
//! that could not be delivered.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::private_file::older;
use crate::flow::alert::{Notification, Status};

/// Bytes after which the journal becomes `alerts.ndjson.1`, in the place of the one before: weeks of
/// attempts.
pub const JOURNAL_BYTES_MAX: u64 = 10 << 20;

/// The same for dead letters, which are whole notifications and rare.
pub const DEAD_LETTERS_BYTES_MAX: u64 = 64 << 20;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    Delivered,
    /// It is tried again.
    Later,
    /// It was too large or refused for some: smaller pieces follow.
    Divided,
    Dead,
}

impl Ended {
    pub fn name(self) -> &'static str {
        match self {
            Ended::Delivered => "delivered",
            Ended::Later => "later",
            Ended::Divided => "divided",
            Ended::Dead => "dead",
        }
    }
}

/// One attempt that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// RFC 3339.
    pub at: String,
    pub notifier: String,
    pub notification: String,
    pub number: u64,
    pub attempt: u32,
    pub ended: Ended,
    pub answer: String,
    pub alerts: Vec<Told>,
}

/// What was told of one alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    pub id: String,
    pub rule: String,
    pub status: Status,
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    pub summary: String,
    /// RFC 3339.
    pub starts_at: String,
    #[serde(default)]
    pub ends_at: Option<String>,
}

impl Told {
    /// The alerts of a notification.
    pub fn all(notification: &Notification) -> Vec<Told> {
        let told = |alert: &crate::flow::alert::Alert| Told {
            id: alert.id.clone(),
            rule: alert.rule.clone(),
            status: alert.status,
            labels: alert.labels.clone(),
            summary: alert.summary.clone(),
            starts_at: alert.starts_at.to_string(),
            ends_at: alert.ends_at.map(|time| time.to_string()),
        };
        notification.alerts.iter().map(told).collect()
    }
}

/// A notification that could not be delivered, or the piece of it that could not.
#[derive(Debug, Serialize)]
pub struct DeadLetter<'n> {
    pub at: String,
    pub notifier: &'n str,
    pub reason: &'n str,
    /// Of an e-mail that some of its recipients have.
    pub recipient: Option<&'n str>,
    pub notification: &'n Notification,
}

/// The entries of a journal, oldest first. Lines that are none (the last one may be torn) are counted
/// in the second number. A journal that is not there has no entries.
pub fn read(path: &Path) -> io::Result<(Vec<Entry>, usize)> {
    let mut entries = Vec::new();
    let mut torn = 0;
    for path in [older(path), path.to_owned()] {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for line in bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            match serde_json::from_slice(line) {
                Ok(entry) => entries.push(entry),
                Err(_) => torn += 1,
            }
        }
    }
    Ok((entries, torn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::private_file::{Lines, append};

    fn entry(number: u64) -> Entry {
        Entry {
            at: "2026-11-22T10:00:00Z".to_owned(),
            notifier: "oncall".to_owned(),
            notification: "n".to_owned(),
            number,
            attempt: 1,
            ended: Ended::Delivered,
            answer: "200".to_owned(),
            alerts: Vec::new(),
        }
    }

    #[test]
    fn a_journal_is_exchanged_when_it_is_long_and_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.ndjson");
        let lines = Lines::new(path.clone(), 1000);
        for number in 0..20 {
            lines.append(&entry(number)).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= 1000);
        }
        append(&path, b"{\"at\":\"torn").unwrap();
        let (entries, torn) = read(&path).unwrap();
        let numbers: Vec<u64> = entries.iter().map(|entry| entry.number).collect();
        assert!(numbers.len() >= 6 && numbers.is_sorted(), "{numbers:?}");
        assert_eq!((numbers.last(), torn), (Some(&19), 1));
        assert_eq!(read(&folder.path().join("none")).unwrap(), (Vec::new(), 0));
    }
}
