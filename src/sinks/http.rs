//! Lines to an HTTP receiver: gathered into batches of whole lines, compressed if asked for, one request
//! after the other so that they arrive in order. A receiver that is slow or gone holds the pipeline
//! up, and nothing is dropped; what it refuses for good goes to a file of dead letters.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use reqwest::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::{Clock, System};
use crate::component::Keys;
use crate::disk::private_file::Lines;
use crate::flow::secret::Secret;
use crate::flow::time::Time;
use crate::net::http::{self, Attempt, Post};
use crate::net::redact;
use crate::net::retry;
use crate::notifiers::Channel;
use crate::notifiers::webhook::Webhook;
use crate::sinks::{
    Arrivals, Configured, Context, Destination, Open, Opening, Pending, Sink, What,
};
use crate::units;

/// Outputs that wait for the sender; an output is a batch's lines, at most some hundred KiB.
const QUEUE_MAX: usize = 8;

/// Bytes after which the dead letters become `.1`.
const DEAD_LETTERS_BYTES_MAX: u64 = 256 << 20;

/// The part of the grace time in which it tries to get rid of what is left.
const FINISH_SHARE: f64 = 0.8;

/// How often a wait looks whether the run ends.
const LOOK: Duration = Duration::from_millis(50);

/// Another server, by POST.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// What is written: the lines that pass, summaries or alerts.
    #[serde(default)]
    what: What,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    condition: Option<String>,
    /// Where to post to.
    #[schemars(extend("format" = "url", "secret" = true))]
    url: Option<String>,
    /// Environment variable that holds the URL.
    #[schemars(extend("format" = "variable", "secret" = true))]
    url_env: Option<String>,
    /// Environment variable that holds a bearer token.
    #[schemars(extend("format" = "variable", "secret" = true))]
    token_env: Option<String>,
    /// How bodies are compressed.
    #[serde(default)]
    compress: Compress,
    /// A body is sent when it has this many bytes.
    #[serde(default = "batch_bytes")]
    #[schemars(extend("format" = "size"))]
    batch_bytes: String,
    /// A body is sent when its first line has waited this long.
    #[serde(default = "batch_wait")]
    #[schemars(extend("format" = "duration"))]
    batch_wait: String,
    /// How long one request may take.
    #[serde(default = "timeout")]
    #[schemars(extend("format" = "span"))]
    timeout: String,
}

fn batch_bytes() -> String {
    "1MiB".to_owned()
}

fn batch_wait() -> String {
    "1s".to_owned()
}

fn timeout() -> String {
    "10s".to_owned()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Compress {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl Configured for Config {
    type Settings = Settings;

    const KEYS: &[Keys] = &[Keys::ExactlyOne(&["url", "url_env"])];

    fn writes(&self) -> Option<(What, Option<&str>)> {
        Some((self.what, self.condition.as_deref()))
    }

    fn resolve(&self, context: &mut Context) -> Option<Settings> {
        let url = context.resolver.secret("url")?;
        Some(Settings {
            name: context.name.clone(),
            content: match self.what {
                What::Lines => Content::Text,
                What::Summary | What::Alerts => Content::Ndjson,
            },
            // It is to say what it could not send before the grace ends the process.
            finish_within: context.grace.mul_f64(FINISH_SHARE),
            dead_letters: context.dead_letters.clone(),
            url,
            token: context.resolver.secret("token"),
            compress: self.compress,
            batch_bytes: units::byte_size(&self.batch_bytes).unwrap_or(1 << 20) as usize,
            batch_wait: units::duration(&self.batch_wait),
            timeout: units::duration(&self.timeout),
        })
    }
}

/// One HTTP sink with everything resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub name: String,
    pub url: Secret,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
    pub content: Content,
    pub compress: Compress,
    /// A batch is sent when it is this long, before compression; one longer line is a batch of its own.
    pub batch_bytes: usize,
    /// … or when its first line is this old.
    pub batch_wait: Duration,
    /// Limit of one attempt.
    pub timeout: Duration,
    /// How long [`Sink::finish`] tries to get rid of what is left.
    pub finish_within: Duration,
    /// What the receiver refuses for good; without it a refusal is an error of the sink.
    pub dead_letters: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Text,
    /// A JSON object a line.
    Ndjson,
}

impl Open for Settings {
    fn address(&self) -> String {
        redact::address(self.url.expose())
    }

    fn channel(&self) -> Option<Channel> {
        Some(Channel::Webhook(Webhook {
            url: self.url.clone(),
            secret: None,
            token: self.token.clone(),
        }))
    }

    fn open(self, opening: &Opening) -> io::Result<Destination> {
        let named = |error: io::Error| io::Error::other(format!("HTTP sink: {error}"));
        let http = Http::start(self, opening.say).map_err(named)?;
        Ok(Destination::Plain(Box::new(http)))
    }
}

/// The sink: hands lines to a thread that sends them.
pub struct Http {
    name: String,
    lines: Option<Sender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    finish_within: Duration,
    /// Bytes of all lines that were written to it.
    bytes: u64,
}

#[derive(Default)]
struct Shared {
    /// When what is left is given up, once the run ends.
    end: Mutex<Option<Instant>>,
    /// Why lines are lost, if some are.
    lost: Mutex<Option<String>>,
    dead_bytes: AtomicU64,
    /// Of lines at the receiver or in the dead letters.
    arrivals: Arc<Arrivals>,
}

impl Http {
    /// Starts the sender. That the receiver cannot be reached is no failure. `say` gets our own lines.
    pub fn start(settings: Settings, say: fn(&str)) -> io::Result<Http> {
        let (lines, queue) = bounded(QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut sending = Sending {
            client: http::client()?,
            letters: settings
                .dead_letters
                .clone()
                .map(|path| Lines::new(path, DEAD_LETTERS_BYTES_MAX)),
            run: fastrand::u64(..),
            number: 0,
            shared: Arc::clone(&shared),
            is_failing: false,
            say,
            runtime,
            settings,
        };
        let name = sending.settings.name.clone();
        let finish_within = sending.settings.finish_within;
        let thread = std::thread::Builder::new()
            .name("weir-http".to_owned())
            .spawn(move || sending.run(&queue))?;
        Ok(Http {
            name,
            lines: Some(lines),
            thread: Some(thread),
            shared,
            finish_within,
            bytes: 0,
        })
    }

    /// Bytes of lines that are in the dead letters.
    pub fn dead_bytes(&self) -> u64 {
        self.shared.dead_bytes.load(Ordering::Relaxed)
    }

    fn problem(&self) -> io::Result<()> {
        let lost = self
            .shared
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*lost {
            Some(reason) => Err(io::Error::other(format!(
                "sink \"{}\": {reason}",
                self.name
            ))),
            None => Ok(()),
        }
    }
}

impl Sink for Http {
    /// Blocks while the receiver is behind.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.problem()?;
        if lines.is_empty() {
            return Ok(());
        }
        let queue = self
            .lines
            .as_ref()
            .expect("nothing is written after the end");
        if queue.send(lines.to_vec()).is_err() {
            self.problem()?;
            return Err(io::Error::other(format!(
                "sink \"{}\": its thread has ended",
                self.name
            )));
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    fn pending(&self) -> Option<Pending> {
        Some(Pending {
            arrivals: Arc::clone(&self.shared.arrivals),
            bytes: self.bytes,
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        let end = Instant::now() + self.finish_within;
        *self
            .shared
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(end);
        drop(self.lines.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            return Err(io::Error::other(format!(
                "sink \"{}\": its thread ended in a panic",
                self.name
            )));
        }
        self.problem()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // Without `finish` nobody waits for what is left.
        *self
            .shared
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// The thread that sends.
struct Sending {
    settings: Settings,
    runtime: tokio::runtime::Runtime,
    client: Client,
    letters: Option<Lines>,
    /// Makes keys of different runs differ.
    run: u64,
    number: u64,
    shared: Arc<Shared>,
    is_failing: bool,
    say: fn(&str),
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Also after a panic: a checkpoint may wait for what is left.
        self.shared.arrivals.end();
    }
}

/// Lines could not be sent, and the run is over or has nowhere to put them.
struct Lost;

impl Sending {
    fn run(&mut self, queue: &Receiver<Vec<u8>>) {
        let mut batch = Vec::new();
        let mut began = Instant::now();
        loop {
            let received = if batch.is_empty() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_deadline(began + self.settings.batch_wait)
            };
            let sent = match received {
                Ok(lines) => {
                    if batch.is_empty() {
                        began = Instant::now();
                    }
                    batch.extend_from_slice(&lines);
                    self.send_full(&mut batch)
                }
                Err(RecvTimeoutError::Timeout) => self.send(std::mem::take(&mut batch)),
                Err(RecvTimeoutError::Disconnected) => {
                    let _ = self.send(std::mem::take(&mut batch));
                    return;
                }
            };
            if sent.is_err() {
                // The queue closes, so that the next write says why.
                return;
            }
        }
    }

    /// Sends the whole batches at the head of `lines` and leaves the rest.
    fn send_full(&mut self, lines: &mut Vec<u8>) -> Result<(), Lost> {
        let mut start = 0;
        while lines.len() - start >= self.settings.batch_bytes.max(1) {
            let end = start + batch_end(&lines[start..], self.settings.batch_bytes.max(1));
            self.send(lines[start..end].to_vec())?;
            start = end;
        }
        lines.drain(..start);
        Ok(())
    }

    /// Sends one batch, in pieces if it is too large, until the receiver has it.
    fn send(&mut self, batch: Vec<u8>) -> Result<(), Lost> {
        if batch.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let bytes = batch.len() as u64;
        let mut pieces = vec![(format!("{:016x}-{}", self.run, self.number), batch)];
        let mut failures = 0;
        while let Some((key, piece)) = pieces.last() {
            let attempt = self.attempt(key, piece);
            match attempt {
                Attempt::Delivered { .. } => {
                    failures = 0;
                    pieces.pop();
                    if std::mem::take(&mut self.is_failing) {
                        self.say("it takes lines again");
                    }
                }
                Attempt::Later { reason, after } => {
                    failures += 1;
                    if !self.is_failing {
                        self.is_failing = true;
                        self.say(&format!("{reason}; it is tried again"));
                    }
                    let wait = after.unwrap_or_else(|| retry::backoff(failures));
                    if !self.wait(wait) {
                        let bytes: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
                        return self.lose(format!(
                            "{bytes} bytes could not be sent before the end: {reason}"
                        ));
                    }
                }
                Attempt::Divide { reason } => {
                    let middle = batch_end(piece, piece.len() / 2);
                    if middle == piece.len() {
                        self.bury(&reason, key, piece)?;
                        pieces.pop();
                        continue;
                    }
                    let second = (format!("{key}-2"), piece[middle..].to_vec());
                    let first = (format!("{key}-1"), piece[..middle].to_vec());
                    pieces.pop();
                    pieces.push(second);
                    pieces.push(first);
                }
                Attempt::Refused { reason } => {
                    self.bury(&reason, key, piece)?;
                    pieces.pop();
                }
            }
        }
        self.shared.arrivals.add(bytes);
        Ok(())
    }

    fn attempt(&self, key: &str, piece: &[u8]) -> Attempt {
        let settings = &self.settings;
        let mut headers = vec![("idempotency-key", key.to_owned())];
        let body = match settings.compress {
            Compress::None => Ok(piece.to_vec()),
            Compress::Gzip => {
                headers.push(("content-encoding", "gzip".to_owned()));
                gzip(piece)
            }
            Compress::Zstd => {
                headers.push(("content-encoding", "zstd".to_owned()));
                zstd::encode_all(piece, 3)
            }
        };
        let post = Post {
            url: &settings.url,
            content_type: match settings.content {
                Content::Text => "text/plain; charset=utf-8",
                Content::Ndjson => "application/x-ndjson",
            },
            bearer: settings.token.as_ref(),
            login: None,
            hidden: None,
            headers,
            body: body.expect("memory takes every byte"),
        };
        self.runtime.block_on(async {
            let sent = tokio::time::timeout(settings.timeout, http::post(&self.client, post)).await;
            sent.unwrap_or_else(|_| Attempt::Later {
                reason: format!("no answer within {:?}", settings.timeout),
                after: None,
            })
        })
    }

    /// Waits; says whether there is time for another attempt.
    fn wait(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            let end = *self
                .shared
                .end
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return false;
            }
            if now >= until {
                return true;
            }
            std::thread::sleep(LOOK.min(until - now));
        }
    }

    /// Puts lines away that are refused for good.
    fn bury(&self, reason: &str, key: &str, piece: &[u8]) -> Result<(), Lost> {
        let Some(letters) = &self.letters else {
            return self.lose(reason.to_owned());
        };
        let mut letter = json!({
            "at": Time(System::new().wall_nanoseconds()).whole_milliseconds().to_string(),
            "sink": self.settings.name,
            "reason": reason,
            "key": key,
        });
        match std::str::from_utf8(piece) {
            Ok(text) => letter["lines"] = text.into(),
            Err(_) => letter["lines_base64"] = STANDARD.encode(piece).into(),
        }
        // No checkpoint waits for them any more: they have to outlive a power cut.
        let put = letters.append(&letter).and_then(|file| file.sync_all());
        if let Err(error) = put {
            return self.lose(format!("{reason}; {}: {error}", letters.path().display()));
        }
        let bytes = piece.len() as u64;
        let before = self.shared.dead_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before == 0 {
            self.say(&format!(
                "lines are refused: {reason}; see {}",
                letters.path().display()
            ));
        }
        Ok(())
    }

    fn lose(&self, reason: String) -> Result<(), Lost> {
        *self
            .shared
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(reason);
        Err(Lost)
    }

    fn say(&self, what: &str) {
        (self.say)(&format!("sink \"{}\": {what}", self.settings.name));
    }
}

/// Where a batch of about `bytes` ends: behind the last line that fits, at least one line.
fn batch_end(lines: &[u8], bytes: usize) -> usize {
    let most = bytes.min(lines.len());
    match memchr::memrchr(b'\n', &lines[..most]) {
        Some(place) => place + 1,
        None => memchr::memchr(b'\n', &lines[most..]).map_or(lines.len(), |place| most + place + 1),
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_with_a_line() {
        for (lines, bytes, want) in [
            (&b"a\nbb\ncc\n"[..], 5, 5),
            (b"a\nbb\ncc\n", 4, 2),
            (b"a\nbb\ncc\n", 100, 8),
            (b"long line\nb\n", 3, 10),
            (b"no end", 3, 6),
            (b"a\n", 1, 2),
        ] {
            assert_eq!(batch_end(lines, bytes), want, "{lines:?} {bytes}");
        }
    }
}
