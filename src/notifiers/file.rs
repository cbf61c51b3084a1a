//! A file: one line of JSON an alert, whole lines only.

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::disk::private_file::append;
use crate::net::http::Attempt;
use crate::notifiers::body;
use crate::notifiers::{Configured, Context, Message, Notify};

/// A file, one JSON object a line.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// The file.
    #[schemars(length(min = 1))]
    path: String,
}

impl Configured for Config {
    type Channel = File;

    fn resolve(&self, _: &mut Context) -> Option<File> {
        Some(File {
            path: PathBuf::from(&self.path),
        })
    }

    fn appends_to(&self) -> Option<&str> {
        Some(&self.path)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct File {
    pub path: PathBuf,
}

impl Notify for File {
    fn address(&self) -> String {
        format!("{}: ", self.path.display())
    }

    fn appends_to(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn attempts_at_once(&self) -> usize {
        1
    }

    fn has_deadline(&self) -> bool {
        false
    }

    /// Appends and syncs. A line holds the alert (see `body::alert`), the notification's id and when it
    /// was made; the same pair of ids twice is a repetition after a crash.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message { notification, .. } = message;
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
        let path = self.path.clone();
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
                reason: format!("{}: {error}", self.path.display()),
                after: None,
            },
        }
    }
}
