//! A file: one line of JSON an alert, whole lines only.

use std::io;
use std::path::PathBuf;

use crate::disk::private_file::append;
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
