//! What a carrier puts in front of a record: `docker compose`, `kubectl logs --prefix`, stern, foreman,
//! Heroku, Fly, grep. One file a family; each reader is a pure function from the first bytes of a
//! record to a [`Head`] and turns nearly every record away by a byte or two.
//!
//! Times, levels, loggers and syslog heads are formats of their own (`log4j`, `syslog`, `klog`): what
//! stands behind them is read by `layers`, which asks here too.

mod grep;
mod kubernetes;
mod platform;
mod service;

use std::ops::Range;

use crate::parsers::start;

/// Longest name that a carrier gives: that of a pod (RFC 1123 allows 253 bytes) and a path.
const NAME_MAX: usize = 255;

/// Parts of one head that are fields.
pub const PARTS_MAX: usize = 3;

/// The names of fields that heads give, in the order of [`Part`].
pub const NAMES: [&str; 6] = ["service", "pod", "container", "namespace", "file", "region"];

/// What a part of a head is; its place in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Service,
    Pod,
    Container,
    Namespace,
    File,
    Region,
}

/// How much a head says about what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sureness {
    /// Its layout is nothing else, whatever follows.
    Sure,
    /// It is a head only if a structured record follows: else it may be text.
    BeforeStructure,
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where the rest of the record starts.
    pub len: usize,
    pub sureness: Sureness,
    /// The carrier, for people.
    pub carrier: &'static str,
    /// Where a time stands in it.
    pub time: Option<Range<usize>>,
    /// A list of `name="value"` pairs in it.
    pub pairs: Option<Range<usize>>,
    parts: [(Part, Range<usize>); PARTS_MAX],
    count: usize,
}

impl Head {
    fn new(carrier: &'static str, len: usize, sureness: Sureness) -> Head {
        Head {
            len,
            sureness,
            carrier,
            time: None,
            pairs: None,
            parts: [const { (Part::Service, 0..0) }; PARTS_MAX],
            count: 0,
        }
    }

    fn with(mut self, part: Part, range: Range<usize>) -> Head {
        debug_assert!(self.count < PARTS_MAX);
        self.parts[self.count] = (part, range);
        self.count += 1;
        self
    }

    fn at(mut self, time: Range<usize>) -> Head {
        self.time = Some(time);
        self
    }

    /// The parts that are fields.
    pub fn parts(&self) -> &[(Part, Range<usize>)] {
        &self.parts[..self.count]
    }
}

/// The head that `record` opens with, if a carrier put one there.
#[inline]
pub fn read(record: &[u8]) -> Option<Head> {
    match record.first()? {
        b' ' | b'\t' => blanks(record),
        b'a'..=b'z' | b'_' | b'/' | b'.' => named(record),
        b'A'..=b'Z' => {
            // Fast path: the usual month, day or level ends too early to be a carrier's name.
            if record.get(3) == Some(&b' ') && record.get(4) != Some(&b' ') {
                return None;
            }
            named(record)
        }
        b'0'..=b'9' => {
            if let [_, _, _, _, b'-', _, _, b'-', _, _, separator, ..] = record {
                return (*separator == b'T')
                    .then(|| platform::read(record))
                    .flatten();
            }
            service::foreman(record)
                .or_else(|| grep::number(record))
                .or_else(|| named(record))
        }
        b'[' => kubernetes::pod_prefix(record).or_else(|| service::bracket(record)),
        b'{' if record.get(1).is_some_and(u8::is_ascii_lowercase) => kubernetes::labels(record),
        _ => None,
    }
}

/// A head that opens with a word.
fn named(record: &[u8]) -> Option<Head> {
    let len = name_len(record);
    match record.get(len)? {
        b' ' => service::compose(record, len)
            .or_else(|| kubernetes::stern(record, len))
            .or_else(|| service::before_object(record, len)),
        b'|' => service::compose(record, len),
        b':' => grep::path(record, len),
        b'[' if matches!(&record[..len], b"app" | b"heroku") => platform::process(record, 0),
        _ => None,
    }
}

/// Bytes of the name at the start of `text`.
#[inline]
fn name_len(text: &[u8]) -> usize {
    text.iter()
        .take(NAME_MAX + 1)
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'@')
        })
        .count()
}

/// Leading blanks before a record that opens itself.
fn blanks(record: &[u8]) -> Option<Head> {
    let len = record.len() - record.trim_ascii_start().len();
    let body = &record[len..];
    (!record[..len].contains(&b'\n') && start::is_hard_start(body))
        .then(|| Head::new("blanks", len, Sureness::BeforeStructure))
}

/// The blanks at `at`, and where they end.
fn skip_blanks(record: &[u8], at: usize) -> usize {
    at + record
        .get(at..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: &str, body: &str, fields: &[(&str, &str)]) {
        let head = read(record.as_bytes()).unwrap_or_else(|| panic!("no head: {record}"));
        let got: Vec<(&str, &str)> = head
            .parts()
            .iter()
            .map(|(part, range)| (NAMES[*part as usize], &record[range.clone()]))
            .collect();
        assert_eq!((&record[head.len..], &got[..]), (body, fields), "{record}");
    }

    #[test]
    fn reads_the_heads_of_carriers() {
        check("api-1  | x", "x", &[("service", "api-1")]);
        check("web_1_abc | ", "", &[("service", "web_1_abc")]);
        check(
            "shop_api.1.k2@node-3    | y",
            "y",
            &[("service", "shop_api.1.k2@node-3")],
        );
        check("12:04:05 web.1  | y", "y", &[("service", "web.1")]);
        check(
            "[pod/api-7d9f6c5b8-abcde/api] y",
            "y",
            &[("pod", "api-7d9f6c5b8-abcde"), ("container", "api")],
        );
        check(
            "api-7d9f6c5b8-abcde api y",
            "y",
            &[("pod", "api-7d9f6c5b8-abcde"), ("container", "api")],
        );
        check(
            "logs/app.log:12:{\"a\":1}",
            "{\"a\":1}",
            &[("file", "logs/app.log")],
        );
        check("app.log:{\"a\":1}", "{\"a\":1}", &[("file", "app.log")]);
        check("7:{\"a\":1}", "{\"a\":1}", &[]);
        check("{pod=\"a-1\", app=\"b\"} x", "x", &[]);
        check(
            "2024-03-01T00:00:00.000000+00:00 app[web.1]: x",
            "x",
            &[("service", "web.1")],
        );
        check("2024-03-01T00:00:00Z stderr F x", "x", &[]);
        check(
            "2024-03-01T00:00:00Z app[148ed] fra [info] x",
            "[info] x",
            &[("service", "148ed"), ("region", "fra")],
        );
        check(" \t{\"a\":1}", "{\"a\":1}", &[]);
    }

    #[test]
    fn leaves_text_alone() {
        for record in [
            "Mar  1 00:00:00 host app[1]: x",
            "hello | world of text",
            "Name   | Age",
            "9  |     let x",
            "key: value",
            "10.0.0.1 - - [01/Mar/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1",
            "2024-03-01T00:00:00Z host app[12]: x",
            "src/main.c:12:5: error: x",
            "error[E0382]: x",
            "the pod-a failed",
            "{\"a\":1}",
            "    at a.b(c.java:1)",
            "level=info msg=x",
            "",
        ] {
            assert!(
                read(record.as_bytes()).is_none_or(|head| head.sureness != Sureness::Sure),
                "{record}"
            );
        }
    }
}
