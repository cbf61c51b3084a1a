//! Standard output: one line an alert, below it the lines of the log that show it, indented; or the text of
//! the user's own template.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flow::alert::Status;
use crate::net::http::Attempt;
use crate::notifiers::text::Escape;
use crate::notifiers::text::words::{line, sample_line, sorted};
use crate::notifiers::{Configured, Context, Message, Notify};

/// Standard output.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {}

impl Configured for Config {
    type Channel = Stdout;

    fn resolve(&self, _: &mut Context) -> Option<Stdout> {
        Some(Stdout)
    }
}

/// Our own standard output.
#[derive(Clone, Debug, PartialEq)]
pub struct Stdout;

impl Notify for Stdout {
    fn address(&self) -> String {
        String::new()
    }

    fn escape(&self) -> Escape {
        Escape::Line
    }

    fn attempts_at_once(&self) -> usize {
        1
    }

    fn has_deadline(&self) -> bool {
        false
    }

    /// Writes whole lines. Standard output is shared with the lines sink, which holds the same lock.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message {
            notification,
            words,
            ..
        } = message;
        let mut text = String::new();
        if words.has_own_text {
            text.push_str(words.text.trim_end_matches('\n'));
            text.push('\n');
        } else {
            for alert in sorted(&notification.alerts) {
                text.push_str(&alert.ends_at.unwrap_or(alert.starts_at).to_string());
                text.push(' ');
                line(alert, Escape::Line, &mut text);
                text.push('\n');
                if alert.status == Status::Firing {
                    for sample in alert.evidence.samples.iter().rev() {
                        sample_line(sample, Escape::Line, &mut text);
                    }
                }
            }
            if notification.left_out > 0 {
                text.push_str(&format!("and {} more alerts\n", notification.left_out));
            }
        }
        // A slow reader of standard output must not delay other notifiers.
        let written = tokio::task::spawn_blocking(move || write(text.as_bytes())).await;
        match written {
            Ok(Ok(())) => Attempt::Delivered {
                answer: "written".to_owned(),
            },
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Attempt::Refused {
                reason: "standard output: its reader has gone".to_owned(),
            },
            Ok(Err(error)) => Attempt::Later {
                reason: format!("standard output: {error}"),
                after: None,
            },
            Err(error) => Attempt::Later {
                reason: format!("standard output: {error}"),
                after: None,
            },
        }
    }
}

fn write(mut bytes: &[u8]) -> io::Result<()> {
    let stdout = io::stdout();
    let _lock = stdout.lock();
    let mut file = std::fs::File::from(rustix::io::fcntl_dupfd_cloexec(stdout.as_fd(), 0)?);
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody made it non-blocking: wait for room instead of tearing a line.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll(&mut [PollFd::new(&file, PollFlags::OUT)], None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
