//! Secrets in lines of evidence: passwords, tokens and keys become `[masked]` before a line leaves the
//! program in an alert.

use regex::Regex;
use std::borrow::Cow;

use crate::flow::alert::Evidence;

/// What stands in the place of a secret.
pub const MASKED: &str = "[masked]";

/// What secrets look like.
#[derive(Clone, Debug)]
pub struct Mask {
    own: Vec<Regex>,
}

impl Mask {
    /// The secrets that are known and those that match one of `patterns`: of a match its first group
    /// or, if it has none, all of it. Errors name the pattern by its place.
    pub fn new(patterns: &[String]) -> Result<Mask, (usize, regex::Error)> {
        let compile = |(place, pattern): (usize, &String)| {
            Regex::new(pattern).map_err(|error| (place, error))
        };
        let own = patterns.iter().enumerate().map(compile);
        Ok(Mask {
            own: own.collect::<Result<_, _>>()?,
        })
    }

    /// The line without its secrets.
    pub fn line<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut line = Cow::Borrowed(line);
        for pattern in &self.own {
            if pattern.is_match(&line) {
                line = Cow::Owned(pattern.replace_all(&line, MASKED).into_owned());
            }
        }
        line
    }

    /// Takes the secrets out of everything that an alert shows.
    pub fn evidence(&self, evidence: &mut Evidence) {
        let lines = evidence.samples.iter_mut().map(|sample| &mut sample.line);
        for text in lines.chain(evidence.template.as_mut()) {
            if let Cow::Owned(masked) = self.line(text) {
                *text = masked;
            }
        }
    }
}
