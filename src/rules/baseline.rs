//! The baseline of `new()`: a text file of the messages that are known, one a line, sorted, fit for
//! git. Written and read by `weir baseline`, read by rules.
//!
//! A line is fingerprint, level or `-`, and template, with one space between; `<*>` in the template
//! stands for what varies, `\n`, `\t`, `\r`, `\\` for themselves. Empty lines and lines that begin with
//! `#` say nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::flow::fingerprint::Fingerprint;
use crate::flow::level::Level;

/// Messages of one file. More are no list that a person has read.
pub const ENTRIES_MAX: usize = 1_000_000;

/// The messages that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    entries: BTreeMap<Fingerprint, Entry>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub level: Option<Level>,
    /// `<*>` for what varies; what is no UTF-8 is U+FFFD.
    pub template: String,
}

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1.
    pub line: usize,
    pub message: String,
}

impl Baseline {
    /// Reads the text of a file.
    pub fn read(text: &str) -> Result<Baseline, Mistake> {
        let mut baseline = Baseline::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mistake = |message: String| Mistake {
                line: number + 1,
                message,
            };
            let (fingerprint, entry) = entry(line).map_err(mistake)?;
            if baseline.entries.len() == ENTRIES_MAX {
                return Err(mistake(format!(
                    "a baseline has at most {ENTRIES_MAX} messages"
                )));
            }
            baseline.entries.insert(fingerprint, entry);
        }
        Ok(baseline)
    }

    /// The text of a file: sorted by template, then fingerprint, so that a change is a small one.
    pub fn write(&self) -> String {
        let mut sorted: Vec<(&Fingerprint, &Entry)> = self.entries.iter().collect();
        sorted.sort_by(|a, b| (&a.1.template, a.0).cmp(&(&b.1.template, b.0)));
        let mut text = "# messages that are known: fingerprint, level, template\n".to_owned();
        for (fingerprint, entry) in sorted {
            let level = entry.level.map_or("-", Level::name);
            let template = escaped(&entry.template);
            writeln!(text, "{fingerprint} {level} {template}").expect("a String takes all");
        }
        text
    }

    /// Adds a message; tells whether it was not there. One that is there keeps its line.
    pub fn insert(
        &mut self,
        fingerprint: Fingerprint,
        level: Option<Level>,
        template: &[u8],
    ) -> bool {
        if self.entries.len() == ENTRIES_MAX || self.contains(fingerprint) {
            return false;
        }
        let template = String::from_utf8_lossy(template).into_owned();
        self.entries.insert(fingerprint, Entry { level, template });
        true
    }

    /// Takes a message out; tells whether it was there.
    pub fn remove(&mut self, fingerprint: Fingerprint) -> bool {
        self.entries.remove(&fingerprint).is_some()
    }

    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.entries.contains_key(&fingerprint)
    }

    /// By fingerprint.
    pub fn iter(&self) -> impl Iterator<Item = (Fingerprint, &Entry)> {
        self.entries
            .iter()
            .map(|(fingerprint, entry)| (*fingerprint, entry))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn entry(line: &str) -> Result<(Fingerprint, Entry), String> {
    let mut words = line.splitn(3, ' ');
    let (Some(fingerprint), Some(level), Some(template)) =
        (words.next(), words.next(), words.next())
    else {
        return Err("a line is fingerprint, level and template with a space between".to_owned());
    };
    let fingerprint = fingerprint
        .parse()
        .map_err(|error| format!("\"{fingerprint}\": {error}"))?;
    let level = match level {
        "-" => None,
        name => {
            let known = Level::ALL.into_iter().find(|level| level.name() == name);
            Some(known.ok_or_else(|| {
                format!("\"{name}\" is no level; write trace, debug, info, warn, error, fatal or -")
            })?)
        }
    };
    let template = unescaped(template);
    Ok((fingerprint, Entry { level, template }))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('\\') | None => plain.push('\\'),
            Some(other) => plain.extend(['\\', other]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_edit() {
        let text = "# mine\r\n\r\nf1:0000000000000001 error disk <*> is full\r\nf1:0000000000000002 - a\\nb  c\n";
        let baseline = Baseline::read(text).unwrap();
        assert_eq!(baseline.len(), 2);
        let entries: Vec<(u64, Option<Level>, &str)> = baseline
            .iter()
            .map(|(fingerprint, entry)| (fingerprint.0, entry.level, &*entry.template))
            .collect();
        assert_eq!(
            entries,
            [
                (1, Some(Level::Error), "disk <*> is full"),
                (2, None, "a\nb  c")
            ]
        );
        // By template, so `a` comes first.
        let lines: Vec<String> = baseline.write().lines().map(str::to_owned).collect();
        assert_eq!(
            lines[1..],
            [
                "f1:0000000000000002 - a\\nb  c",
                "f1:0000000000000001 error disk <*> is full"
            ]
        );
    }

    #[test]
    fn mistakes_have_their_line() {
        let check = |text: &str, line: usize, part: &str| {
            let mistake = Baseline::read(text).unwrap_err();
            assert_eq!(mistake.line, line, "{text}");
            assert!(mistake.message.contains(part), "{}", mistake.message);
        };
        check("\nf1:00 error x", 2, "f1:00");
        check("f1:0000000000000001 eror x", 1, "is no level");
        check("f1:0000000000000001 error", 1, "a space between");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(entries in prop::collection::vec((any::<u64>(), 0usize..7, "[\\PC\\n\\t\\r\\\\ ]{0,20}"), 0..20)) {
            let mut baseline = Baseline::default();
            for (fingerprint, level, template) in &entries {
                let level = level.checked_sub(1).map(|place| Level::ALL[place]);
                baseline.insert(Fingerprint(*fingerprint), level, template.as_bytes());
            }
            prop_assert_eq!(Baseline::read(&baseline.write()), Ok(baseline));
        }
    }
}
