//! Levels that are no words in a place of their own: letters, signs and names that one program or one
//! family of programs uses. All of them are here, so that what is known can be read in one place.

use super::opening::Opening;
use super::{Form, Reader};
use crate::flow::level::Level;
use crate::parsers::level;
use crate::parsers::time::Clock;

/// What syslog's facilities are called where a level stands behind a point: `daemon.err` (OpenWrt,
/// `logread`; `dmesg -x` pads them with blanks).
const FACILITIES: [&str; 20] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Names of four letters that .NET's console logger writes.
const DOTNET: [(&str, Level); 6] = [
    ("trce", Level::Trace),
    ("dbug", Level::Debug),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("fail", Level::Error),
    ("crit", Level::Fatal),
];

/// Texts that open a record and say how serious it is; they stay in the message.
const PREFIXES: [(&str, Level); 20] = [
    // apt
    ("E: ", Level::Error),
    ("W: ", Level::Warn),
    ("docker: Error response from daemon", Level::Error),
    ("npm ERR! ", Level::Error),
    ("npm error ", Level::Error),
    ("npm WARN ", Level::Warn),
    ("npm warn ", Level::Warn),
    ("npm notice ", Level::Info),
    ("npm info ", Level::Info),
    ("PHP Fatal error:", Level::Error),
    ("PHP Parse error:", Level::Error),
    ("PHP Recoverable fatal error:", Level::Error),
    ("PHP Warning:", Level::Warn),
    ("PHP Notice:", Level::Info),
    ("PHP Deprecated:", Level::Info),
    ("Error in ", Level::Error),
    ("Fatal Python error:", Level::Error),
    ("Fatal error:", Level::Error),
    ("make: *** ", Level::Error),
    ("FAILED: ", Level::Error),
];

/// The level that `text` opens with, for texts whose level is a part of the message.
pub fn of_prefix(text: &[u8]) -> Option<Level> {
    // Cheap no: the table has few first letters.
    if !matches!(
        text.first()?,
        b'n' | b'P' | b'E' | b'F' | b'm' | b'd' | b'W'
    ) {
        return None;
    }
    // `Error R14 (…)`, `Error 1045 (28000): …`: a code makes it one.
    if let [b'A'..=b'Z', b'0'..=b'9', ..] | [b'0'..=b'9', ..] =
        text.strip_prefix(b"Error ").unwrap_or_default()
    {
        return Some(Level::Error);
    }
    if let Some(rest) = text.strip_prefix(b"Error ")
        && is_failure(rest)
    {
        return Some(Level::Error);
    }
    PREFIXES
        .iter()
        .find(|(prefix, _)| text.starts_with(prefix.as_bytes()))
        .map(|(_, level)| *level)
}

/// Whether what follows `Error ` tells what went wrong: `response from daemon: …`, `creating file`,
/// `while reading`. Subjects (`Error budget is fine`, `Error handling is on`) do not.
fn is_failure(rest: &[u8]) -> bool {
    let len = rest
        .iter()
        .take(24)
        .take_while(|byte| byte.is_ascii_lowercase())
        .count();
    let word = &rest[..len];
    let subject = matches!(
        word,
        b"handling"
            | b"reporting"
            | b"logging"
            | b"tracking"
            | b"monitoring"
            | b"checking"
            | b"testing"
    );
    rest.get(len) == Some(&b' ')
        && !subject
        && (word.len() > 5 && word.ends_with(b"ing")
            || matches!(
                word,
                b"response" | b"while" | b"during" | b"when" | b"from" | b"occurred"
            ))
}

/// Cisco's `%FACILITY-SEVERITY-MNEMONIC: ` at the start of `text`: its level and where the message
/// starts. The severity is syslog's.
pub fn cisco(text: &[u8]) -> Option<(Level, usize)> {
    let window = &text[..text.len().min(80)];
    let colon = window.iter().position(|&byte| byte == b':')?;
    let tag = window.strip_prefix(b"%")?.get(..colon - 1)?;
    let named = tag.iter().all(|byte| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'/')
    });
    let digit = tag
        .windows(3)
        .position(|part| part[0] == b'-' && part[1].is_ascii_digit() && part[2] == b'-')?;
    if !named || digit == 0 {
        return None;
    }
    let level = level::from_number(u64::from(tag[digit + 1] - b'0'))?;
    let blanks = text[colon + 1..]
        .iter()
        .take_while(|&&byte| byte == b' ')
        .count();
    Some((level, colon + 1 + blanks))
}

impl Reader<'_> {
    /// Openings that are neither a time nor a word for a level. The usual ones were asked before.
    #[cold]
    pub(super) fn marked_opening(&mut self, clock: &mut Clock) -> Option<Opening> {
        if let Some(opening) = self.enclosed_time(clock) {
            return Some(opening);
        }
        let rest = &self.text[self.at..];
        let (level, len, form) = match *rest.first()? {
            b'[' => return self.marked_bracket(clock),
            b'%' => {
                let (level, len) = cisco(rest)?;
                (level, len, Form::Mark)
            }
            // `<3>text`, as systemd reads it from a service's standard error.
            b'<' => {
                let close = rest.iter().take(5).position(|&byte| byte == b'>')?;
                let digits = &rest[1..close];
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                let priority = digits
                    .iter()
                    .fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
                if priority > 191 {
                    return None;
                }
                (level::from_number(priority % 8)?, close + 1, Form::Mark)
            }
            // `::error file=a.js,line=1::text`, as GitHub's runner reads it.
            b':' => {
                let command = rest.strip_prefix(b"::")?;
                let name = command
                    .iter()
                    .take(10)
                    .take_while(|byte| byte.is_ascii_lowercase())
                    .count();
                let level = level::from_word(&command[..name])?;
                if !matches!(command.get(name), Some(b' ' | b':')) {
                    return None;
                }
                let close = command
                    .windows(2)
                    .take(300)
                    .position(|pair| pair == b"::")?;
                (level, 2 + close + 2, Form::Mark)
            }
            b'#' => {
                let inner = rest.strip_prefix(b"##[")?;
                let close = inner.iter().take(12).position(|&byte| byte == b']')?;
                (
                    level::from_word(&inner[..close])?,
                    3 + close + 1,
                    Form::Mark,
                )
            }
            b'(' => {
                let (level, len) = x_org(rest)?;
                (level, len, Form::Mark)
            }
            // `*Nov 20 10:00:00.123: %LINK-3-UPDOWN: text`: the clock is not in step.
            b'*' | b'.' if rest.get(1).is_some_and(u8::is_ascii_uppercase) => {
                let time = self.time(clock, self.at + 1)?;
                return Some(Opening { time, level: None });
            }
            b'a'..=b'z' => return self.named_opening(),
            b'A'..=b'Z' => {
                let level = level::from_letter(rest[0])?;
                // `E/WifiHAL ( 2830): text`
                if rest.get(1) != Some(&b'/') {
                    return None;
                }
                let open = rest.iter().take(80).position(|&byte| byte == b'(')?;
                let digits = &rest[open + 1..rest.len().min(open + 9)];
                let close = digits.iter().position(|&byte| byte == b')')?;
                if !digits[..close]
                    .iter()
                    .all(|byte| byte.is_ascii_digit() || *byte == b' ')
                    || rest.get(open + close + 2) != Some(&b':')
                {
                    return None;
                }
                (level, 1, Form::Word)
            }
            _ => return None,
        };
        self.at += len;
        self.skip_blanks();
        Some(Opening {
            time: None,
            level: Some((level, form)),
        })
    }

    /// `(2024-03-01 00:00:00) …`, and WebLogic's `<Mar 1, 2024 10:00:00 AM UTC> <Error> …`.
    fn enclosed_time(&mut self, clock: &mut Clock) -> Option<Opening> {
        let start = self.at;
        if self.text[start..].starts_with(b"####<") {
            self.at += 4;
        }
        let opened = self.at;
        let close = match self.byte(0)? {
            b'(' => b')',
            b'<' => b'>',
            _ => return None,
        };
        if !self.byte(1)?.is_ascii_alphanumeric() {
            return None;
        }
        let time = self.time(clock, opened + 1)?;
        if self.byte(0) != Some(close) || self.at < start + 9 {
            self.at = start;
            return None;
        }
        self.at += 1;
        Some(Opening { time, level: None })
    }

    /// Brackets that open a record with more than a time or a level in them.
    fn marked_bracket(&mut self, clock: &mut Clock) -> Option<Opening> {
        let start = self.at;
        let rest = &self.text[start..];
        let close = rest
            .iter()
            .take(160)
            .position(|&byte| matches!(byte, b']' | b'\n'))?;
        if rest[close] == b'\n' {
            return None;
        }
        let inner = &rest[1..close];
        // `[   12.345678] `, `[1.015s]`: since the start; a stack's own head may follow.
        let number = inner.trim_ascii_start();
        let number = number.strip_suffix(b"s").unwrap_or(number);
        if number.len() >= 3
            && number
                .iter()
                .all(|byte| byte.is_ascii_digit() || *byte == b'.')
            && number.iter().filter(|byte| **byte == b'.').count() == 1
        {
            self.at = start + close + 1;
            self.skip_blanks();
            // Only a mark right here is a level: the kernel's text speaks of errors and alerts.
            let bracketed = self.byte(0) == Some(b'[');
            let level = self.mark().or_else(|| {
                let level = bracketed.then(|| self.bracketed_level()).flatten()?;
                Some((level, Form::Bracket))
            });
            self.bare = level.is_none();
            return Some(Opening { time: None, level });
        }
        // tornado and Jupyter: `[E 261120 10:00:00 web:1792] `
        if let [letter @ b'A'..=b'Z', b' ', ..] = inner
            && let Some(level) = level::from_letter(*letter)
            && let Some(time) = self.time(clock, start + 3)
        {
            self.named_until(start + close);
            return Some(Opening {
                time,
                level: Some((level, Form::Mark)),
            });
        }
        // Chromium: `[1234:5678:1120/100000.123456:ERROR:gpu_init.cc(523)] `
        if inner.iter().filter(|byte| **byte == b':').count() >= 3
            && let Some(slash) = inner.iter().position(|&byte| byte == b'/')
            && slash >= 4
        {
            let mut parts = inner
                .split(|&byte| byte == b':')
                .skip_while(|part| !part.contains(&b'/'));
            let time = parts.next().and_then(|part| chromium_time(part, clock));
            let level = parts.next().and_then(level::from_word)?;
            self.named_until(start + close);
            return Some(Opening {
                time: time?,
                level: Some((level, Form::Mark)),
            });
        }
        // `[main] ERROR c.e.Shop - text`: a thread and a level in capitals.
        let behind = rest.get(close + 1..)?.strip_prefix(b" ")?;
        let word = behind
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_uppercase())
            .count();
        if word >= 4
            && matches!(behind.get(word), Some(b' ' | b':' | b'\t'))
            && !level::is_everyday(&behind[..word])
            && let Some(level) = level::from_word(&behind[..word])
        {
            self.parts.thread = Some(start + 1..start + close);
            self.at = start + close + 2 + word;
            return Some(Opening {
                time: None,
                level: Some((level, Form::Word)),
            });
        }
        None
    }

    /// Takes what stands up to the bracket at `close` as the logger and stands behind it.
    fn named_until(&mut self, close: usize) {
        let from = self.at.min(close);
        let inner = &self.text[from..close];
        let blank = inner
            .iter()
            .rposition(|&byte| byte == b' ')
            .map_or(0, |at| at + 1);
        if blank < inner.len() && !inner[blank..].iter().all(u8::is_ascii_digit) {
            self.parts.logger = Some(from + blank..close);
        }
        self.at = close + 1;
        if self.byte(0) == Some(b':') {
            self.at += 1;
        }
        self.skip_blanks();
    }

    /// Openings in small letters: .NET's console, `dmesg -x`, a level before a tab.
    fn named_opening(&mut self) -> Option<Opening> {
        let rest = &self.text[self.at..];
        let word = rest
            .iter()
            .take(12)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let name = &rest[..word];
        let behind = &rest[word..];
        let marked = |level, form| {
            Some(Opening {
                time: None,
                level: Some((level, form)),
            })
        };
        match behind.first()? {
            b':' if word == 4 => {
                // `fail: Shop.Orders[0]⏎      text`, or the text on the same line.
                let (_, level) = DOTNET.iter().find(|(it, _)| it.as_bytes() == name)?;
                let category = behind[1..].strip_prefix(b" ")?;
                let open = category
                    .iter()
                    .take(160)
                    .position(|byte| !is_category(*byte))?;
                let digits = category[open + 1..]
                    .iter()
                    .take(10)
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                if open == 0
                    || category[open] != b'['
                    || digits == 0
                    || category.get(open + 1 + digits) != Some(&b']')
                {
                    return None;
                }
                let start = self.at + word + 2;
                self.parts.logger = Some(start..start + open);
                self.at = start + open + digits + 2;
                while self.byte(0).is_some_and(|byte| byte.is_ascii_whitespace()) {
                    self.at += 1;
                }
                marked(*level, Form::Mark)
            }
            b'\t' => {
                let level = level::from_word(name)?;
                self.at += word;
                marked(level, Form::Word)
            }
            b' ' | b':' => {
                // `kern  :err   : [   12.345678] text`
                if !FACILITIES.iter().any(|it| it.as_bytes() == name) {
                    return None;
                }
                let blanks = behind.iter().take_while(|byte| **byte == b' ').count();
                let level_at = blanks + 1;
                if behind.get(blanks) != Some(&b':') {
                    return None;
                }
                let second = behind[level_at..]
                    .iter()
                    .take(8)
                    .take_while(|byte| byte.is_ascii_lowercase())
                    .count();
                let level = level::from_word(&behind[level_at..level_at + second])?;
                self.at += word + level_at + second;
                while matches!(self.byte(0), Some(b' ' | b':')) {
                    self.at += 1;
                }
                if self.byte(0) == Some(b'[')
                    && let Some(close) = self.closing()
                    && self.text[self.at + 1..close]
                        .iter()
                        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' '))
                {
                    self.at = close + 1;
                    self.skip_blanks();
                }
                marked(level, Form::Mark)
            }
            _ => None,
        }
    }

    /// Marks right behind a time, where a word for a level could stand.
    #[inline]
    pub(super) fn mark(&mut self) -> Option<(Level, Form)> {
        let (first, second) = (self.byte(0)?, self.byte(1)?);
        let (level, len) = match (first, second) {
            // Telegraf.
            (b'E', b'!') => (Level::Error, 2),
            (b'W', b'!') => (Level::Warn, 2),
            (b'I', b'!') => (Level::Info, 2),
            (b'D', b'!') => (Level::Debug, 2),
            (b'T', b'!') => (Level::Trace, 2),
            (b'(', _) => x_org(&self.text[self.at..])?,
            (b'%', _) => cisco(&self.text[self.at..])?,
            // Redis: `1234:M 20 Nov 2026 10:00:00.123 # text`
            (b'#' | b'*' | b'-' | b'.', b' ') if self.is_redis() => (
                match first {
                    b'#' => Level::Warn,
                    b'*' => Level::Info,
                    b'-' => Level::Info,
                    _ => Level::Debug,
                },
                1,
            ),
            (b':', b':') => {
                let mut inner = Reader {
                    text: self.text,
                    at: self.at,
                    open: false,
                    bare: false,
                    parts: self.parts,
                };
                let opening = inner.github()?;
                let at = inner.at;
                self.at = at;
                return Some((opening, Form::Mark));
            }
            (b'a'..=b'z', _) => {
                let (level, len) = self.dotted()?;
                (level, len)
            }
            _ => return None,
        };
        self.at += len;
        self.skip_blanks();
        Some((level, Form::Mark))
    }

    fn github(&mut self) -> Option<Level> {
        let command = self.text[self.at..].strip_prefix(b"::")?;
        let name = command
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_lowercase())
            .count();
        let level = level::from_word(&command[..name])?;
        let close = command
            .windows(2)
            .take(300)
            .position(|pair| pair == b"::")?;
        self.at += 2 + close + 2;
        Some(level)
    }

    /// `daemon.err dnsmasq[1]: text` (facility and severity), `production.ERROR: text` (Monolog's channel
    /// and level).
    fn dotted(&mut self) -> Option<(Level, usize)> {
        let rest = &self.text[self.at..];
        let name = rest
            .iter()
            .take(64)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
            .count();
        if rest.get(name) != Some(&b'.') {
            return None;
        }
        let word = rest[name + 1..]
            .iter()
            .take(12)
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        let text = &rest[name + 1..name + 1 + word];
        let level = level::from_word(text)?;
        let end = name + 1 + word;
        match rest.get(end)? {
            b':' if text.iter().all(u8::is_ascii_uppercase) => {
                self.parts.logger = Some(self.at..self.at + name);
                Some((level, end + 1))
            }
            b' ' if FACILITIES.iter().any(|it| it.as_bytes() == &rest[..name]) => {
                // The process and its message follow as in syslog.
                let tag = rest[end + 1..]
                    .iter()
                    .take(64)
                    .take_while(|byte| !matches!(byte, b' ' | b'\n'))
                    .count();
                let tag = end + 1..end + 1 + tag;
                match rest.get(tag.clone()) {
                    Some([head @ .., b':']) => {
                        let open = head
                            .iter()
                            .position(|&byte| byte == b'[')
                            .unwrap_or(head.len());
                        self.parts.logger = Some(self.at + tag.start..self.at + tag.start + open);
                        Some((level, tag.end))
                    }
                    _ => Some((level, end)),
                }
            }
            _ => None,
        }
    }

    /// Whether the record opens as Redis writes it: process, colon, role.
    fn is_redis(&self) -> bool {
        let digits = self
            .text
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        digits > 0
            && matches!(
                self.text[digits..],
                [b':', b'M' | b'S' | b'C' | b'X', b' ', ..]
            )
    }
}

/// `(EE) ` of the X server: the level and how many bytes it takes.
fn x_org(text: &[u8]) -> Option<(Level, usize)> {
    let level = match text.get(..5)? {
        b"(EE) " => Level::Error,
        b"(WW) " => Level::Warn,
        b"(II) " | b"(--) " | b"(**) " | b"(==) " | b"(!!) " => Level::Info,
        b"(DB) " => Level::Debug,
        _ => return None,
    };
    Some((level, 5))
}

fn is_category(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'`' | b'-')
}

/// `1120/100000.123456`: month and day, hour, minute and second.
fn chromium_time(part: &[u8], clock: &mut Clock) -> Option<Option<crate::flow::time::Time>> {
    let [m1, m2, d1, d2, b'/', h1, h2, n1, n2, s1, s2, rest @ ..] = part else {
        return None;
    };
    let mut text = [0u8; 32];
    let head = [
        *m1, *m2, b'-', *d1, *d2, b' ', *h1, *h2, b':', *n1, *n2, b':', *s1, *s2,
    ];
    text[..14].copy_from_slice(&head);
    let rest = &rest[..rest.len().min(10)];
    text[14..14 + rest.len()].copy_from_slice(rest);
    clock
        .reading(&text[..14 + rest.len()])
        .map(|reading| reading.time)
}
