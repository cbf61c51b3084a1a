//! Reports of scanners, told by their own keys: where their findings are, and what of a finding is its
//! message.

use crate::parsers::documents::each::Each;
use crate::parsers::documents::json::{members, unquoted};

/// A kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    Sarif,
    Trivy,
    Grype,
    Semgrep,
}

/// What the start of a JSON object says.
pub enum Found {
    Report(Report),
    /// Another object.
    None,
    /// The bytes end before it shows.
    Unsure,
}

impl Report {
    /// Where its findings are.
    pub fn paths(self) -> Vec<Each> {
        let paths: &[&str] = match self {
            Report::Sarif => &["runs[].results[]"],
            Report::Trivy => &[
                "Results[].Vulnerabilities[]",
                "Results[].Misconfigurations[]",
                "Results[].Secrets[]",
                "Results[].Licenses[]",
            ],
            Report::Grype => &["matches[]"],
            Report::Semgrep => &["results[]"],
        };
        paths.iter().map(|path| Each::new(path)).collect()
    }
}

/// The keys of reports that [`known`] looks at.
const KEYS: [&str; 14] = [
    "SchemaVersion",
    "ArtifactName",
    "CreatedAt",
    "ReportID",
    "Results",
    "runs",
    "version",
    "$schema",
    "matches",
    "distro",
    "descriptor",
    "results",
    "errors",
    "paths",
];

/// By the keys of the object that `text` begins with.
pub fn of(text: &[u8]) -> Found {
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut tells = |key, value| {
        // All other keys are passed over, so that an object of very many keys costs no more than its bytes.
        let key = unquoted(key);
        if !KEYS.iter().any(|name| name.as_bytes() == key) {
            return None;
        }
        if !keys.contains(&key) {
            keys.push(key);
        }
        known(&keys, value)
    };
    let mut read = members(text);
    for (key, value) in read.by_ref() {
        if let Some(report) = tells(key, value) {
            return Found::Report(report);
        }
    }
    // The value that is cut off tells, too: the findings of Grype come first of all.
    if let Some((key, rest)) = read.unfinished()
        && let Some(report) = tells(key, rest)
    {
        return Found::Report(report);
    }
    if read.is_closed() || read.is_broken() {
        Found::None
    } else {
        Found::Unsure
    }
}

/// `keys` up to the one that has `value`, or the start of it.
fn known(keys: &[&[u8]], value: &[u8]) -> Option<Report> {
    let has = |key: &str| keys.contains(&key.as_bytes());
    let shows = |text: &str| {
        let start = &value[..value.len().min(512)];
        memchr::memmem::find(start, text.as_bytes()).is_some()
    };
    if has("SchemaVersion")
        && ["ArtifactName", "CreatedAt", "ReportID", "Results"]
            .into_iter()
            .any(has)
    {
        Some(Report::Trivy)
    } else if has("runs") && (has("version") || has("$schema")) || has("$schema") && shows("sarif")
    {
        Some(Report::Sarif)
    } else if has("matches") && (shows("\"vulnerability\"") || has("distro") || has("descriptor")) {
        Some(Report::Grype)
    } else if has("results")
        && (shows("\"check_id\"") || has("errors") && (has("paths") || has("version")))
    {
        Some(Report::Semgrep)
    } else {
        None
    }
}

/// Where the message of a finding is, where it has none under a name that all logs use: a field to add,
/// and the steps to its text. The first that is there counts.
pub const LIFTED: [(&str, &[&str]); 11] = [
    ("message", &["message", "text"]),
    ("message", &["extra", "message"]),
    ("severity", &["extra", "severity"]),
    ("message", &["Title"]),
    ("message", &["vulnerability", "description"]),
    ("message", &["Description"]),
    ("message", &["vulnerability", "id"]),
    ("message", &["VulnerabilityID"]),
    ("severity", &["vulnerability", "severity"]),
    ("id", &["vulnerability", "id"]),
    ("package", &["artifact", "name"]),
];
