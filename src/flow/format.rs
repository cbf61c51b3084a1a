//! The formats a record can have. `registry.rs` lists them with their parsers.

use serde::{Deserialize, Serialize};

/// One format. The order is the registry's: recognisers are asked in it, and it breaks ties.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Format {
    Json,
    Logfmt,
    Syslog,
    Access,
    Klog,
    Log4j,
    Docker,
    Cri,
    Prometheus,
    Statsd,
    Influx,
    Csv,
    #[default]
    Plain,
}

impl Format {
    pub const ALL: [Format; 13] = [
        Format::Json,
        Format::Logfmt,
        Format::Syslog,
        Format::Access,
        Format::Klog,
        Format::Log4j,
        Format::Docker,
        Format::Cri,
        Format::Prometheus,
        Format::Statsd,
        Format::Influx,
        Format::Csv,
        Format::Plain,
    ];

    /// The name in `--format` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Logfmt => "logfmt",
            Format::Syslog => "syslog",
            Format::Access => "access",
            Format::Klog => "klog",
            Format::Log4j => "log4j",
            Format::Docker => "docker",
            Format::Cri => "cri",
            Format::Prometheus => "prometheus",
            Format::Statsd => "statsd",
            Format::Influx => "influx",
            Format::Csv => "csv",
            Format::Plain => "plain",
        }
    }
}
