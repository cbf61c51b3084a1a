//! Which parts of a record the plan needs. Parsers skip everything else.

use crate::flow::extract::Extract;
use crate::flow::level::Level;

/// What a parser has to fill in a [`Row`](crate::flow::row::Row).
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub time: bool,
    pub level: bool,
    pub message: bool,
    /// The messages of records below this level are not looked at: a parser may leave them empty.
    pub message_from: Option<Level>,
    /// Fields named by the plan; the value of `paths[i]` goes to `row.values[i]`. No path twice.
    pub paths: Vec<Path>,
    /// Also report fields that are metrics by their name alone (see [`is_metric_name`]).
    pub numbers: bool,
    /// Report every field with its name (`filter -o json`, `explain`).
    pub all: bool,
    /// Patterns that make fields out of text, in the order in which they are tried.
    pub extracts: Vec<Extract>,
}

impl Wanted {
    /// The slot of the flat field `name` (dots and all), if the plan wants it.
    pub fn slot(&self, name: &[u8]) -> Option<usize> {
        self.paths.iter().position(|path| path.flat == name)
    }
}

/// A field's name as the user wrote it: `latency_ms`, `http.client.ip`, `a[0]`.
///
/// A flat key that is spelled like the whole path beats the nested one. A leading dot (`.level`)
/// means the record's own key of a reserved name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The name without a leading dot, as one flat key.
    pub flat: Vec<u8>,
    /// The steps into nested JSON; one step for a plain name.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Key(Vec<u8>),
    Index(usize),
}

impl Path {
    /// Splits at dots and `[n]`. Never fails: what is no index is part of a key.
    pub fn new(text: &str) -> Path {
        let text = text.strip_prefix('.').unwrap_or(text);
        let mut steps = Vec::new();
        for part in text.split('.') {
            let mut rest = part;
            let mut indices = Vec::new();
            while let Some(open) = rest.strip_suffix(']').and_then(|head| head.rfind('[')) {
                match rest[open + 1..rest.len() - 1].parse() {
                    Ok(index) => indices.push(Step::Index(index)),
                    Err(_) => break,
                }
                rest = &rest[..open];
            }
            if !rest.is_empty() || indices.is_empty() {
                steps.push(Step::Key(rest.as_bytes().to_vec()));
            }
            steps.extend(indices.into_iter().rev());
        }
        Path {
            flat: text.as_bytes().to_vec(),
            steps,
        }
    }
}

/// Names of fields that are metrics without being asked for. The last word of a name counts
/// (`http.request.duration`, `cpu_usage_percent`), after unit words at its end are dropped.
const METRIC_WORDS: [&str; 30] = [
    "cpu",
    "mem",
    "memory",
    "rss",
    "heap",
    "latency",
    "duration",
    "elapsed",
    "took",
    "responsetime",
    "runtime",
    "delay",
    "lag",
    "wait",
    "bytes",
    "size",
    "load",
    "usage",
    "utilization",
    "utilisation",
    "percent",
    "pct",
    "used",
    "free",
    "throughput",
    "rate",
    "temperature",
    "latencies",
    "response",
    "uptime",
];

/// Words at the end of a name that only say the unit.
const UNIT_WORDS: [&str; 26] = [
    "ms",
    "us",
    "ns",
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "millis",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "b",
    "kb",
    "mb",
    "gb",
    "kib",
    "mib",
    "gib",
    "bytes",
    "percent",
    "pct",
    "ratio",
    "total",
    "time",
];

/// Whether a field of this name is a metric without being asked for: its last word, unit words
/// dropped, is one of a fixed list (cpu, memory, latency, duration, bytes …). Never ids, ports,
/// statuses or line numbers. Names longer than 64 bytes are not looked at.
pub fn is_metric_name(name: &[u8]) -> bool {
    // Fast path: most names do not even end like one of the words.
    if name.len() > 64 || !may_end_a_metric(name) {
        return false;
    }
    let mut words: [&[u8]; 12] = [b""; 12];
    let mut count = 0;
    let mut start = 0;
    // Words end at punctuation and before a capital after a small letter (`elapsedMs`).
    for at in 1..=name.len() {
        let cut = at == name.len()
            || !name[at].is_ascii_alphanumeric()
            || (name[at].is_ascii_uppercase() && name[at - 1].is_ascii_lowercase());
        if !cut {
            continue;
        }
        let word = &name[start..at];
        start = if at < name.len() && !name[at].is_ascii_alphanumeric() {
            at + 1
        } else {
            at
        };
        if word.is_empty() || !word[0].is_ascii_alphanumeric() {
            continue;
        }
        if count == words.len() {
            return false;
        }
        words[count] = word;
        count += 1;
    }
    let is = |word: &[u8], list: &[&str]| {
        list.iter()
            .any(|entry| word.eq_ignore_ascii_case(entry.as_bytes()))
    };
    let mut words = &words[..count];
    if let [.., first, second] = words
        && first.eq_ignore_ascii_case(b"response")
        && second.eq_ignore_ascii_case(b"time")
    {
        return true;
    }
    while let [head @ .., last] = words {
        if is(last, &METRIC_WORDS) {
            return true;
        }
        if head.is_empty() || !is(last, &UNIT_WORDS) {
            return false;
        }
        words = head;
    }
    false
}

/// Whether a name that ends like `name` may be a metric's: whether its last two bytes are those of a
/// word of the lists. Says yes where it cannot tell: after a sign at the end, or where a capital may stand alone as a word.
#[inline]
pub fn may_end_a_metric(name: &[u8]) -> bool {
    let Some((&last, head)) = name.split_last() else {
        return false;
    };
    if !last.is_ascii_alphanumeric() || last.is_ascii_uppercase() {
        return true;
    }
    let before = head.last().copied().unwrap_or(0);
    ENDS[usize::from(last)] & letter_bit(before) != 0
}

/// A bit for each letter, whatever its case, and one for all other bytes.
const fn letter_bit(byte: u8) -> u32 {
    if byte.is_ascii_alphabetic() {
        1 << (byte.to_ascii_lowercase() - b'a')
    } else {
        1 << 31
    }
}

/// For the last letter of a word of the lists, the letters that stand before it in one of them.
const ENDS: [u32; 256] = {
    let mut ends = [0; 256];
    let lists: [&[&str]; 2] = [&METRIC_WORDS, &UNIT_WORDS];
    let mut list = 0;
    while list < lists.len() {
        let mut word = 0;
        while word < lists[list].len() {
            let bytes = lists[list][word].as_bytes();
            let before = if bytes.len() > 1 {
                bytes[bytes.len() - 2]
            } else {
                0
            };
            ends[bytes[bytes.len() - 1] as usize] |= letter_bit(before);
            word += 1;
        }
        list += 1;
    }
    ends
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_bytes_turn_away_no_metric() {
        for word in METRIC_WORDS.iter().chain(&UNIT_WORDS) {
            let mut capital = word.as_bytes().to_vec();
            capital[0].make_ascii_uppercase();
            let capital = String::from_utf8(capital).expect("ASCII");
            for name in [
                word.to_string(),
                word.to_uppercase(),
                capital.clone(),
                format!("x_{word}"),
                format!("x9{word}"),
                format!("x{capital}"),
                format!("cpu{capital}"),
                format!("{word}_"),
                format!("cpu.{word}"),
            ] {
                assert!(may_end_a_metric(name.as_bytes()), "{name}");
            }
        }
        assert!(!may_end_a_metric(b"uid"));
    }

    #[test]
    fn knows_metrics_by_name() {
        for name in [
            "cpu",
            "mem_mb",
            "latency_ms",
            "http.request.duration",
            "elapsedMs",
            "responseTime",
            "response_time",
            "cpu_usage_percent",
            "http.bytes",
            "took",
            "body_bytes",
        ] {
            assert!(is_metric_name(name.as_bytes()), "{name}");
        }
        for name in [
            "id", "pid", "port", "status", "line", "trace_id", "time", "ts", "count", "s", "ms", "",
        ] {
            assert!(!is_metric_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn splits_paths() {
        let key = |text: &str| Step::Key(text.as_bytes().to_vec());
        assert_eq!(
            Path::new("http.client.ip").steps,
            [key("http"), key("client"), key("ip")]
        );
        assert_eq!(
            Path::new("a[0].b[1][2]").steps,
            [
                key("a"),
                Step::Index(0),
                key("b"),
                Step::Index(1),
                Step::Index(2)
            ]
        );
        assert_eq!(Path::new(".level").flat, b"level");
        assert_eq!(Path::new("a[x]").steps, [key("a[x]")]);
    }
}
