//! An alert as notifiers, sinks and reports see it, and the notification that carries some of them.

use serde::{Deserialize, Serialize};

use crate::flow::time::Time;

/// A rule that holds, or held until now, for one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// 16 hexadecimal digits: a function of rule, labels and start in event time, so that the same
    /// alert has the same id after a crash and in a replay.
    pub id: String,
    pub rule: String,
    pub status: Status,
    /// `alertname`, `severity` and the fields of `by`, sorted by name.
    pub labels: Vec<(String, String)>,
    /// One line for people: what holds, with the numbers.
    pub summary: String,
    /// What was compared, if it is one number.
    pub value: Option<f64>,
    pub starts_at: Time,
    /// Of a resolved alert.
    pub ends_at: Option<Time>,
    pub evidence: Evidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Firing,
    Resolved,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// The records that made a rule hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of the message, where a rule is about one.
    pub template: Option<String>,
    pub fingerprint: Option<String>,
    /// Records in the window.
    pub count: u64,
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// At most five, the newest last; secrets in them are masked before they are put here.
    pub samples: Vec<SampleLine>,
}

impl Evidence {
    /// Sample lines of one alert: what a person reads.
    pub const SAMPLES_MAX: usize = 5;

    /// Shows `lines` before the newest sample, in the place of older ones.
    pub fn come_after(&mut self, lines: &[SampleLine]) {
        if lines.is_empty() {
            return;
        }
        let Some(newest) = self.samples.pop() else {
            return;
        };
        let first = lines.len().saturating_sub(Evidence::SAMPLES_MAX - 1);
        self.samples.splice(.., lines[first..].iter().cloned());
        self.samples.push(newest);
    }
}

/// A line of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleLine {
    pub source: String,
    /// Of the record in its source, in bytes.
    pub offset: u64,
    /// Its first line, cut; what was no UTF-8 is U+FFFD.
    pub line: String,
}

impl SampleLine {
    /// Back to an empty one, in the same memory.
    pub fn clear(&mut self) {
        self.source.clear();
        self.offset = 0;
        self.line.clear();
    }

    /// Takes the place of another sample, in its memory.
    pub fn set(&mut self, source: &str, offset: u64, line: &[u8]) {
        self.source.clear();
        self.source.push_str(source);
        self.offset = offset;
        self.line.clear();
        match simdutf8::basic::from_utf8(line) {
            Ok(line) => self.line.push_str(line),
            Err(_) => self.line.push_str(&String::from_utf8_lossy(line)),
        }
    }
}

/// What one notifier is to tell, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// Counted from 1 over all notifiers of a state directory.
    pub number: u64,
    /// Name of the notifier.
    pub notifier: String,
    /// The same for the same alerts with the same statuses: the key under which a receiver may drop
    /// what it has already.
    pub id: String,
    /// Firing if any alert is.
    pub status: Status,
    /// The labels that the alerts of the group share by the notifier's `group_by`.
    pub group: Vec<(String, String)>,
    /// Sorted by start, then id.
    pub alerts: Vec<Alert>,
    /// Alerts of the group that are left out because there are too many.
    pub left_out: u64,
    /// When it was made: wall-clock time, or event time in a replay.
    pub made_at: Time,
}
