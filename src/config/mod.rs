//! What the program was asked to do. [`Config`] is the image of the TOML files as typed, [`load`] reads,
//! lays over and checks them, [`crate::plan`] is what it all means, resolved. The docs on these fields are
//! the descriptions in the JSON Schema (`weir schema config`), from which files are checked and the
//! reference page is written: there is no second list of keys.

pub mod alerting;
mod check;
mod hidden;
pub mod input;
pub mod load;
pub mod output;
mod overlay;
pub mod problem;
pub mod references;
pub mod schema;
pub mod secret;
pub mod show;
pub mod syntax;
#[cfg(test)]
mod tests;
mod tree;
mod variables;
pub mod watching;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::alerting::{Heartbeat, Inhibit, Notifier, Rule, Silence, TimeInterval};
use crate::config::input::{Dedup, Filter, Source};
use crate::config::output::Sink;
use crate::config::watching::{Case, Metric, Set, State};

/// What `weir run` does: where lines come from, what is counted, remembered and watched, whom to tell,
/// and where lines and summaries go.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "weir configuration")]
pub struct Config {
    /// Where lines come from. Without one: standard input.
    pub source: Vec<Source>,
    /// Which lines go out to sinks of lines. Tables, metrics, states and rules see every record all the same.
    pub filter: Filter,
    /// Lines that are the same go out once.
    pub dedup: Option<Dedup>,
    /// Numbers whose distribution is kept.
    pub metric: Vec<Metric>,
    /// The last value of each key: servers, backups, deployments, pipeline steps.
    pub state: Vec<State>,
    /// Distinct values of each key, and over all keys.
    pub set: Vec<Set>,
    /// Conditions over a window of time that make alerts.
    pub rule: Vec<Rule>,
    /// Times in which alerts are not sent.
    pub silence: Vec<Silence>,
    /// Times that come again, such as office hours, for `active_time_intervals` and `mute_time_intervals`.
    pub time_interval: Vec<TimeInterval>,
    /// Alerts that keep others quiet while they fire.
    pub inhibit: Vec<Inhibit>,
    /// Whom to tell of alerts.
    pub notifier: Vec<Notifier>,
    /// Addresses that are pinged while the run is healthy, so that another service notices when it is not.
    pub heartbeat: Vec<Heartbeat>,
    /// Where lines, summaries and alerts are written.
    pub sink: Vec<Sink>,
    /// How the process runs.
    pub run: Run,
    /// Cases for `weir test`: input lines, and what must come of them.
    pub test: Vec<Case>,
}

/// How the process runs.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Run {
    /// Directory for positions, state and undelivered notifications, so that the next start goes on where
    /// this one ended, also after a crash. `--state` goes before it.
    #[schemars(length(min = 1))]
    pub state_dir: Option<String>,
    /// Mapper threads; the number of cores if absent.
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u32>,
    /// Bytes that may be in flight between reading and writing.
    #[schemars(extend("format" = "size"))]
    pub max_mem: Option<String>,
    /// How long what was read may take to be written and delivered after SIGTERM.
    #[schemars(extend("format" = "duration"))]
    pub grace: String,
    /// Time zone of times that name none; the host's if absent.
    #[schemars(extend("format" = "zone"))]
    pub tz: Option<String>,
    /// How lines join to records: `auto`, `off`, or a regular expression that matches a record's first line.
    #[schemars(extend("format" = "multiline"))]
    pub multiline: String,
    /// Read every record as this format; recognised record by record if absent or `auto`.
    #[schemars(extend("format" = "log-format"))]
    pub format: Option<String>,
    /// Time between two summaries.
    #[schemars(extend("format" = "span"))]
    pub interval: String,
    /// How much later than the newest record another may come and still count in its window.
    #[schemars(extend("format" = "duration"))]
    pub lateness: String,
    /// What is masked in the sample lines of alerts, beside what looks like a secret.
    #[schemars(extend("items" = { "type": "string", "format": "regex" }))]
    pub mask: Vec<String>,
}

impl Default for Run {
    fn default() -> Run {
        Run {
            state_dir: None,
            threads: None,
            max_mem: None,
            grace: "25s".to_owned(),
            tz: None,
            multiline: "auto".to_owned(),
            format: None,
            interval: "1m".to_owned(),
            lateness: "5s".to_owned(),
            mask: Vec::new(),
        }
    }
}
