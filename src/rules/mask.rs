//! Secrets in lines of evidence: passwords, tokens and keys become `[masked]` before a line leaves the
//! program in an alert. What may be a secret and may be a word is masked where a password is named, and
//! left where the text only speaks of tokens.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};

use crate::flow::alert::Evidence;

/// What stands in the place of a secret.
pub const MASKED: &str = "[masked]";

/// Most memory of one pattern of the user, compiled.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A value after a name: in escaped quotes, in quotes, or bare. Quotes need not be closed, since
/// samples are cut.
const VALUE: &str = r#"(?:\\+"([^"\\]+)|"((?:[^"\\]|\\.)+)|'([^']+)|([^\s"'\\,;&)}\]]+))"#;

/// The same in quotes only, and bare only.
const QUOTED: &str = r#"(?:\\+"([^"\\]+)|"((?:[^"\\]|\\.)+)|'([^']+))"#;
const BARE: &str = r#"([^\s"'\\,;&)}\]]+)"#;

/// Names of what is never shown, and of what is not shown unless it reads as a word.
const PASSWORD: &str = "(?:password|passwd|passphrase|passcode|pwd)";
const TOKEN: &str = "(?:token|secret|credentials?|(?:api|access|secret|private|account|auth|signing|encryption|shared)[_. -]?key)";

type IsSecret = fn(&str) -> bool;

/// What a secret looks like: of a match, the last group that took part is the secret, if `is_secret`
/// finds nothing against it.
struct Known {
    pattern: Regex,
    is_secret: IsSecret,
}

/// In the order in which they are applied.
static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let end = r#"\\*["']?\s*"#;
    let list: [(String, IsSecret); 16] = [
        // A private key, up to the end: its lines follow.
        (r"(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*)".to_owned(), any),
        // A URL with user and password.
        (r#"[a-z][a-z0-9+.-]*://([^\s/?#"'@:]*:[^\s/?#"']+)@"#.to_owned(), any),
        // HTTP headers.
        (format!(r#"\bauthorization{end}[:=]\s*\\*["']?(?:digest|aws4-hmac-sha256)\s+([^\r\n]+)"#), any),
        (format!(r#"\bauthorization{end}[:=]\s*\\*["']?(?:basic|bearer|token|negotiate|apikey)\s+{BARE}"#), any),
        (format!(r#"\bauthorization{end}[:=]\s*{VALUE}"#), is_no_word),
        (format!(r#"\b(?:set-)?cookie{end}[:=]\s*\\*["']?([^\s=;,"'\\]+=[^\r\n"'\\]+)"#), any),
        (r"\bbearer\s+([a-z0-9._~+/=-]{8,})".to_owned(), is_no_word),
        // Names and values.
        (format!("{PASSWORD}{end}(?:=>|:=|[:=])\\s*{VALUE}"), is_no_remark),
        (format!("{TOKEN}{end}(?:=>|:=|=)\\s*{VALUE}"), is_no_remark),
        (format!("{TOKEN}{end}:\\s*{QUOTED}"), is_no_remark),
        (format!("{TOKEN}{end}:\\s*{BARE}"), is_no_word),
        (format!("(?:\\b|_)pass={VALUE}"), is_no_number),
        // Arguments of commands, and SQL.
        (format!(r"(?:^|\s)--?(?:[a-z0-9]+-)*(?:{PASSWORD}|{TOKEN})\s+{VALUE}"), is_no_remark),
        (r"\b(?:identified\s+by|password)\s+'([^']+)".to_owned(), any),
        // Secrets that are known by their form.
        (r"\b(eyJ[a-z0-9_-]{8,}\.[a-z0-9_-]{8,}(?:\.[a-z0-9_-]*)*)".to_owned(), any),
        (
            concat!(
                r"(\b(?-i:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)(?-i:[A-Z0-9]){16}\b",
                r"|\bgh[pousr]_[a-z0-9]{36,}|\bgithub_pat_\w{40,}|\bglpat-[\w-]{20,}",
                r"|\bxox[abeoprs]-[a-z0-9-]{10,}|\bAIza[\w-]{35}|\b[sr]k_(?:live|test)_[a-z0-9]{16,}",
                r"|hooks\.slack\.com/services/[\w/]+|\bnpm_[a-z0-9]{36}|\bpypi-[\w-]{50,})"
            )
            .to_owned(),
            any,
        ),
    ];
    let known = list.into_iter().map(|(pattern, is_secret)| Known {
        pattern: RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .build()
            .expect("the patterns of this table compile"),
        is_secret,
    });
    known.collect()
});

fn any(_: &str) -> bool {
    true
}

/// Neither a placeholder nor a word that says how things are with the secret.
fn is_no_remark(value: &str) -> bool {
    const REMARKS: [&str; 24] = [
        "true",
        "false",
        "null",
        "none",
        "nil",
        "undefined",
        "yes",
        "no",
        "empty",
        "unset",
        "required",
        "missing",
        "invalid",
        "incorrect",
        "wrong",
        "expired",
        "mismatch",
        "rejected",
        "failed",
        "denied",
        "changed",
        "redacted",
        "hidden",
        "ok",
    ];
    let is_remark = REMARKS
        .iter()
        .any(|remark| remark.eq_ignore_ascii_case(value));
    !is_remark && !value.starts_with("<*>") && value.bytes().any(|byte| byte != b'*')
}

fn is_no_number(value: &str) -> bool {
    is_no_remark(value) && !value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Does not read as a word of a sentence or a small number: holds a digit, or capitals behind its first
/// letter among small ones, or is longer than words are.
fn is_no_word(value: &str) -> bool {
    let has = |what: fn(&u8) -> bool| value.bytes().skip(1).any(|byte| what(&byte));
    let is_short_number = value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit());
    let is_mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let is_random =
        value.bytes().any(|byte| byte.is_ascii_digit()) || is_mixed || value.len() >= 24;
    is_random && !is_short_number && is_no_remark(value)
}

/// What is masked.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    /// The user's patterns.
    own: Vec<Regex>,
}

impl Mask {
    /// The secrets that are known and those that match one of `patterns`: of a match its first group
    /// or, if it has none, all of it. Errors name the pattern by its place.
    pub fn new(patterns: &[String]) -> Result<Mask, (usize, regex::Error)> {
        let compile = |(place, pattern): (usize, &String)| {
            let mut builder = RegexBuilder::new(pattern);
            let built = builder.size_limit(PATTERN_BYTES_MAX).build();
            built.map_err(|error| (place, error))
        };
        let own = patterns.iter().enumerate().map(compile);
        Ok(Mask {
            own: own.collect::<Result<_, _>>()?,
        })
    }

    /// The secrets that are known.
    pub fn known() -> Mask {
        // Compiled at the start, so that the first alert does not wait for it.
        LazyLock::force(&KNOWN);
        Mask::default()
    }

    /// The text without its secrets.
    pub fn line<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked = Cow::Borrowed(text);
        for known in KNOWN.iter() {
            let secret = |found: &Captures<'_>| {
                let group = found.iter().skip(1).flatten().last()?;
                (known.is_secret)(group.as_str()).then(|| group.range())
            };
            replace(&mut masked, &known.pattern, secret);
        }
        for pattern in &self.own {
            let secret = |found: &Captures<'_>| {
                let group = found.get(1).or(found.get(0))?;
                Some(group.range())
            };
            replace(&mut masked, pattern, secret);
        }
        masked
    }

    /// Takes the secrets out of everything that an alert shows of the input.
    pub fn evidence(&self, evidence: &mut Evidence) {
        let lines = evidence.samples.iter_mut().map(|sample| &mut sample.line);
        for text in lines.chain(evidence.template.as_mut()) {
            if let Cow::Owned(masked) = self.line(text) {
                *text = masked;
            }
        }
    }
}

/// Masks what `secret` finds in each match.
fn replace(
    text: &mut Cow<'_, str>,
    pattern: &Regex,
    secret: impl Fn(&Captures<'_>) -> Option<std::ops::Range<usize>>,
) {
    let mut replaced = String::new();
    let mut copied = 0;
    for found in pattern.captures_iter(text) {
        let Some(range) = secret(&found) else {
            continue;
        };
        // A pattern may match nothing, or what was masked before.
        if range.is_empty()
            || text[range.start..].starts_with(MASKED)
            || text[..range.end].ends_with(MASKED)
        {
            continue;
        }
        replaced.push_str(&text[copied..range.start]);
        replaced.push_str(MASKED);
        copied = range.end;
    }
    if copied > 0 {
        replaced.push_str(&text[copied..]);
        *text = Cow::Owned(replaced);
    }
}

#[cfg(test)]
mod tests;
