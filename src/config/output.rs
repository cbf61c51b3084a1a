//! The image of `[[sink]]`: where lines, summaries and alerts are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where lines, summaries or alerts are written.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Sink {
    /// Name in messages and for environments to refer to.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    #[serde(flatten)]
    pub to: Target,
}

/// A kind of sink.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
#[schemars(inline)]
pub enum Target {
    /// Standard output.
    Stdout(StdoutSink),
    /// A file that is appended to.
    File(FileSink),
    /// Another server, by POST.
    Http(HttpSink),
    /// An endpoint that Prometheus scrapes, with `/health` and `/ready`.
    Prometheus(PrometheusSink),
}

impl Target {
    /// What is written and on which condition; `None` for an endpoint, which is asked.
    pub fn writes(&self) -> Option<(What, Option<&str>)> {
        let (what, condition) = match self {
            Target::Stdout(sink) => (sink.what, &sink.condition),
            Target::File(sink) => (sink.what, &sink.condition),
            Target::Http(sink) => (sink.what, &sink.condition),
            Target::Prometheus(_) => return None,
        };
        Some((what, condition.as_deref()))
    }
}

/// What a sink writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum What {
    #[default]
    Lines,
    Summary,
    Alerts,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct StdoutSink {
    /// What is written: the lines that pass, summaries or alerts.
    #[serde(default)]
    pub what: What,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct FileSink {
    /// What is written: the lines that pass, summaries or alerts.
    #[serde(default)]
    pub what: What,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
    /// The file.
    #[schemars(length(min = 1))]
    pub path: String,
    /// The file is renamed to `PATH.1` before it grows past this.
    #[schemars(extend("format" = "size"))]
    pub rotate_size: Option<String>,
    /// The file is renamed to `PATH.1` when it is this old.
    #[schemars(extend("format" = "span"))]
    pub rotate_every: Option<String>,
    /// How many renamed files stay.
    #[serde(default = "rotate_keep")]
    pub rotate_keep: u32,
}

fn rotate_keep() -> u32 {
    7
}

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct HttpSink {
    /// What is written: the lines that pass, summaries or alerts.
    #[serde(default)]
    pub what: What,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
    /// Where to post to.
    #[schemars(extend("format" = "url", "secret" = true))]
    pub url: Option<String>,
    /// Environment variable that holds the URL.
    #[schemars(extend("format" = "variable", "secret" = true))]
    pub url_env: Option<String>,
    /// Environment variable that holds a bearer token.
    #[schemars(extend("format" = "variable", "secret" = true))]
    pub token_env: Option<String>,
    /// How bodies are compressed.
    #[serde(default)]
    pub compress: Compress,
    /// A body is sent when it has this many bytes.
    #[serde(default = "batch_bytes")]
    #[schemars(extend("format" = "size"))]
    pub batch_bytes: String,
    /// A body is sent when its first line has waited this long.
    #[serde(default = "batch_wait")]
    #[schemars(extend("format" = "duration"))]
    pub batch_wait: String,
    /// How long one request may take.
    #[serde(default = "super::alerting::timeout")]
    #[schemars(extend("format" = "span"))]
    pub timeout: String,
}

fn batch_bytes() -> String {
    "1MiB".to_owned()
}

fn batch_wait() -> String {
    "1s".to_owned()
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

#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct PrometheusSink {
    /// Address and port to listen on.
    #[serde(default = "listen")]
    #[schemars(extend("format" = "address"))]
    pub listen: String,
    /// Environment variable that holds the bearer token that `/metrics` asks for; wanted where it listens
    /// beyond this machine.
    #[schemars(extend("format" = "variable", "secret" = true))]
    pub token_env: Option<String>,
    /// File that holds that token.
    #[schemars(length(min = 1), extend("secret" = true))]
    pub token_file: Option<String>,
}

fn listen() -> String {
    "127.0.0.1:9598".to_owned()
}
