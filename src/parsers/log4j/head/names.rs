//! What stands between a level and the message: process, thread and logger, each only where the
//! signs around it say so.

use super::{Form, Reader, is_process};
use std::ops::Range;

impl Reader<'_> {
    /// Stands behind a level: steps over process, thread and logger to the message.
    #[inline]
    pub(super) fn after_level(&mut self, form: Form) {
        match (form, self.byte(0)) {
            (Form::Mark, _) => return,
            (Form::Bracket, _) => return self.after_bracketed_level(),
            (_, Some(b':')) => return self.after_level_and_colon(),
            // `INFO/MainProcess] …`, `information/Notification: …`, `D/Tag( 123): …`
            (_, Some(b'/')) => {
                let start = self.at + 1;
                let len = self.text[start..]
                    .iter()
                    .take(80)
                    .take_while(|byte| !matches!(byte, b' ' | b']' | b':' | b'(' | b'\n'))
                    .count();
                self.parts.logger = Some(start..start + len);
                self.at = start + len;
                let blanks = self.text[self.at..]
                    .iter()
                    .take_while(|byte| **byte == b' ')
                    .count();
                if self.byte(blanks) == Some(b'(') {
                    self.at += blanks;
                }
                if self.byte(0) == Some(b'(')
                    && let Some(close) = self.text[self.at..]
                        .iter()
                        .take(16)
                        .position(|&byte| byte == b')')
                {
                    self.at += close + 1;
                }
                if matches!(self.byte(0), Some(b']' | b':')) {
                    self.at += 1;
                }
                self.skip_blanks();
                return;
            }
            (_, Some(b']' | b'>')) => self.at += 1,
            _ => {}
        }
        let from = self.at;
        let padding = self.skip_blanks();
        if self.open && self.rest_of_bracket() {
            return;
        }
        // Behind `---` stand the application and the thread.
        let mut brackets = 1;
        for _ in 0..5 {
            match self.byte(0) {
                Some(b'[')
                    if brackets > 0
                        && self
                            .parts
                            .thread
                            .as_ref()
                            .is_none_or(|thread| thread.start >= from)
                        || self.bracket_touches()
                        || self.bracket_is_column() =>
                {
                    let Some(close) = self.closing() else { return };
                    brackets -= usize::from(brackets > 0);
                    // The last group is the thread: `[app] [nio-8080-exec-1]`.
                    self.parts.thread = None;
                    self.bracket_part(close);
                    self.at = close + 1;
                    if self.byte(0) == Some(b':') {
                        self.at += 1;
                        self.skip_blanks();
                        return;
                    }
                    self.skip_blanks();
                }
                Some(b'(') if self.thread_in_parentheses() => {}
                Some(b'-') if matches!(self.byte(1), Some(b' ' | b'-' | b'\t')) => {
                    let dashes = self.text[self.at..]
                        .iter()
                        .take_while(|&&byte| byte == b'-')
                        .count();
                    self.at += dashes;
                    brackets += usize::from(dashes == 3);
                    self.skip_blanks();
                    if dashes == 1 && !(self.byte(0) == Some(b'[') && self.parts.thread.is_none()) {
                        return;
                    }
                }
                Some(b'|') => {
                    self.at += 1;
                    self.skip_blanks();
                }
                Some(b':') if matches!(self.byte(1), Some(b' ')) => {
                    self.at += 1;
                    self.skip_blanks();
                    return;
                }
                Some(b'0'..=b'9') if self.parts.pid.is_none() && self.process_before_dashes() => {}
                Some(b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'$' | b'/' | b'<') => {
                    if !self.logger(padding, form) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// env_logger: `[TIME ERROR shop::db] text`, the rest of the bracket that the time opened.
    fn rest_of_bracket(&mut self) -> bool {
        let close = self.text[self.at..]
            .iter()
            .take(120)
            .position(|byte| matches!(byte, b']' | b' ' | b'\n' | b'['));
        let Some(close) = close.map(|len| self.at + len) else {
            return false;
        };
        if self.text[close] != b']' {
            return false;
        }
        if close > self.at {
            self.name(self.at..close);
        }
        self.at = close + 1;
        self.skip_blanks();
        true
    }

    /// JBoss: `[com.example.Store] (default task-17) text`; Home Assistant: `(MainThread) [logger] text`.
    fn thread_in_parentheses(&mut self) -> bool {
        let close = self.text[self.at..]
            .iter()
            .take(80)
            .position(|byte| matches!(byte, b')' | b'\n'));
        let Some(close) = close.map(|len| self.at + len) else {
            return false;
        };
        let behind_bracket = self.text[..self.at].trim_ascii_end().ends_with(b"]");
        let before_bracket = self.text[close..].starts_with(b") [");
        if self.text[close] != b')'
            || self.text.get(close + 1) != Some(&b' ')
            || !(behind_bracket || before_bracket)
        {
            return false;
        }
        // What stood in the bracket before names the logger.
        if behind_bracket && self.parts.logger.is_none() {
            self.parts.logger = self.parts.thread.take();
        }
        self.parts.thread = Some(self.at + 1..close);
        self.at = close + 1;
        self.skip_blanks();
        true
    }

    /// Whether a dash behind the bracket here sets it apart: `[NIOServerCxn.Factory:…] - text`.
    fn bracket_is_column(&self) -> bool {
        self.closing()
            .is_some_and(|close| self.text[close + 1..].starts_with(b" - "))
    }

    /// Whether the bracket here touches one that was closed before it.
    fn bracket_touches(&self) -> bool {
        self.at > 0 && self.text[self.at - 1] == b']'
    }

    /// `12345 --- [main] …`
    fn process_before_dashes(&mut self) -> bool {
        let len = self.text[self.at..]
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let rest = &self.text[self.at + len..];
        let process = rest.starts_with(b" ---") || rest.starts_with(b" [");
        if process {
            self.parts.pid = Some(self.at..self.at + len);
            self.at += len;
            self.skip_blanks();
        }
        process
    }

    /// Takes the word here if what follows makes it the logger (or a file and line): a colon, a
    /// dash, a bracket, a padded column. Says whether the head may go on behind it.
    #[inline]
    fn logger(&mut self, padding: usize, form: Form) -> bool {
        let start = self.at;
        // One logger; a file and a line may follow it.
        let named = self.parts.logger.is_some();
        let rest = &self.text[start..];
        let window = &rest[..rest.len().min(160)];
        // A word with a byte that no name has is none, wherever it ends.
        let len = match name_end(window) {
            Some(len) if matches!(window[len], b' ' | b'\t' | b'\n') => len,
            None if window.len() == rest.len() => rest.len(),
            _ => return false,
        };
        let end = start + len;
        if rest[len - 1] == b':' {
            // `dfs.DataNode$PacketResponder: …`, `main.rs:12: …`
            if named
                || NO_LOGGERS
                    .iter()
                    .any(|word| word.as_bytes() == &rest[..len - 1])
            {
                return false;
            }
            self.name(start..end - 1);
            self.at = end;
            self.skip_blanks();
            return false;
        }
        let Some(b' ' | b'\t') = rest.get(len).copied() else {
            return false;
        };
        let blanks = rest[len..]
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let next = &rest[len + blanks..];
        let column = match next {
            [b'-' | b':', b' ', ..] | [b'|', ..] => true,
            [b'[', ..] => {
                self.parts.thread.is_none()
                    && (blanks > 1
                        || form == Form::Letter
                        || rest[..len]
                            .iter()
                            .any(|byte| matches!(byte, b'.' | b':' | b'_')))
            }
            _ => rest[len] == b'\t' && self.text[start - 1] == b'\t' || blanks > 1 && padding > 1,
        };
        if !column || named && !rest[..len].last().is_some_and(u8::is_ascii_digit) {
            return false;
        }
        self.name(start..end);
        self.at = end + blanks;
        match next {
            [b'-' | b':', ..] => {
                self.at += 1;
                self.skip_blanks();
                false
            }
            [b'|' | b'[', ..] => true,
            _ => rest[len] == b'\t',
        }
    }

    /// Keeps a name: `file.ext:12` is a file and a line, anything else the logger.
    pub(super) fn name(&mut self, range: Range<usize>) {
        let word = &self.text[range.clone()];
        if word.last().is_some_and(u8::is_ascii_digit)
            && let Some(colon) = memchr::memrchr(b':', word)
            && colon + 1 < word.len()
            && word[colon + 1..].iter().all(u8::is_ascii_digit)
            && memchr::memchr(b'.', &word[..colon]).is_some()
        {
            self.parts.file = Some(range.start..range.start + colon);
            self.parts.line = Some(range.start + colon + 1..range.end);
        } else {
            self.parts.logger = Some(range);
        }
    }

    /// `[WARN ][logger] …`, `[error] [client 1.2.3.4] …`, `[notice] [pid 12:tid 34] …`: groups that
    /// touch belong to the head, and so does one that names the process; others are the message.
    fn after_bracketed_level(&mut self) {
        let mut touching = false;
        while self.byte(0) == Some(b'[') {
            let Some(close) = self.closing() else { break };
            let inner = self.text[self.at + 1..close].trim_ascii_end();
            let start = self.at + 1;
            if self.parts.logger.is_none() {
                self.parts.logger = Some(start..start + inner.len());
            }
            self.at = close + 1;
            touching = true;
        }
        if self.byte(0) == Some(b':') {
            self.at += 1;
        }
        self.skip_blanks();
        // Apache's error log names the client; the bracket stays where it is, for it is no part of the head.
        if let Some(client) = self.text[self.at..].strip_prefix(b"[client ")
            && let Some(len) = client
                .iter()
                .take(64)
                .position(|byte| matches!(byte, b']' | b' '))
            && client[len] == b']'
        {
            self.parts.client = Some(self.at + 8..self.at + 8 + len);
        }
        // Where the logger has its bracket, one more names the node.
        if self.byte(0) == Some(b'[')
            && let Some(close) = self.closing()
            && (touching || is_process(&self.text[self.at + 1..close]))
        {
            self.bracket_part(close);
            self.at = close + 1;
            self.skip_blanks();
        }
        // `[error] 1234#0: *5 open() failed`
        let digits = self.text[self.at..]
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits > 0 && self.byte(digits) == Some(b'#') {
            let more = self.text[self.at + digits + 1..]
                .iter()
                .take(10)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let end = digits + 1 + more;
            if self.byte(end) == Some(b':') && self.byte(end + 1) == Some(b' ') {
                self.parts.pid = Some(self.at..self.at + digits);
                self.at += end + 2;
            }
        }
    }

    /// `LOG:  message`, or `WARNING:root:message` where a name follows without a blank.
    fn after_level_and_colon(&mut self) {
        self.at += 1;
        if self.skip_blanks() > 0 {
            return;
        }
        let len = self.text[self.at..]
            .iter()
            .take(80)
            .take_while(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$' | b'-')
            })
            .count();
        if len > 0 && self.byte(len) == Some(b':') {
            self.parts.logger = Some(self.at..self.at + len);
            self.at += len + 1;
            self.skip_blanks();
        }
    }
}

/// What supervisord says of its processes before a colon: no loggers.
const NO_LOGGERS: [&str; 10] = [
    "exited", "spawned", "success", "stopped", "stopping", "reaped", "killing", "received",
    "waiting", "error",
];

/// Bytes that the name of a logger, a class or a file may have.
const NAME: [bool; 256] = {
    let mut name = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let is = byte as u8;
        name[byte] = is.is_ascii_alphanumeric()
            || matches!(
                is,
                b'.' | b'_' | b'$' | b'-' | b':' | b'/' | b'@' | b'#' | b'<' | b'>'
            );
        byte += 1;
    }
    name
};

/// Where the first byte stands that no name has.
#[inline]
fn name_end(window: &[u8]) -> Option<usize> {
    // Eight bytes at a time without a branch for each.
    let (eights, _) = window.as_chunks::<8>();
    let whole = eights
        .iter()
        .take_while(|eight| {
            eight
                .iter()
                .fold(true, |all, byte| all & NAME[usize::from(*byte)])
        })
        .count()
        * 8;
    window[whole..]
        .iter()
        .position(|byte| !NAME[usize::from(*byte)])
        .map(|place| whole + place)
}
