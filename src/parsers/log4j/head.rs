//! The grammar of heads. It is read from left to right once: an opening (time, or level, or a word
//! and a time), then words that may stand before a level, the level, then words that may stand
//! before a message. What stands between a time and a level counts as head only if a level follows.

use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::parsers::level;
use crate::parsers::pairs::Parts;
use crate::parsers::start;
use crate::parsers::time::Clock;
use std::ops::Range;

/// Words between a time and its level: more than the layouts we know have (6).
const WORDS_MAX: usize = 8;

/// How far a head may reach; a bracket with a thread's name may hold a path.
const HEAD_MAX: usize = 512;

/// A head as it was read.
pub struct Head {
    pub time: Option<Time>,
    pub level: Option<Level>,
    /// Where the message starts.
    pub message: usize,
}

/// How a level is written, which says what may stand behind it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `INFO `
    Word,
    /// `[INFO]`
    Bracket,
    /// `I `
    Letter,
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    parts: &'a mut Parts,
}

/// The head of `record`, if it has one; its parts go to `parts`, which are empty.
#[inline]
pub fn read(record: &[u8], clock: &mut Clock, parts: &mut Parts) -> Option<Head> {
    let mut reader = Reader {
        text: record,
        at: 0,
        parts,
    };
    if record.first() == Some(&0x1b) {
        reader.skip_colours();
    }
    let opening = reader.opening(clock)?;
    let time = opening.time;
    let after_time = reader.at;
    let found = match opening.level {
        Some(found) => {
            // `INFO 2024-03-01 00:00:00,123 …`, `[INFO ] [2024-03-01 00:00:00] …`
            let late = reader.time_after_level(clock);
            reader.after_level(found.1);
            return Some(Head {
                time: late.flatten(),
                level: Some(found.0),
                message: reader.at,
            });
        }
        None => reader.usual_level().or_else(|| reader.level()),
    };
    match found {
        Some((level, form)) => {
            reader.after_level(form);
            Some(Head {
                time,
                level: Some(level),
                message: reader.at,
            })
        }
        None => {
            reader.at = after_time;
            *reader.parts = Parts::default();
            reader.without_level();
            Some(Head {
                time,
                level: None,
                message: reader.at,
            })
        }
    }
}

struct Opening {
    time: Option<Time>,
    level: Option<(Level, Form)>,
}

impl Reader<'_> {
    #[inline]
    fn byte(&self, offset: usize) -> Option<u8> {
        self.text.get(self.at + offset).copied()
    }

    fn skip_colours(&mut self) {
        self.at = self.text.len() - start::skip_colours(&self.text[self.at..]).len();
    }

    /// Skips blanks and the escape sequences between them; says how many blanks there were.
    #[inline]
    fn skip_blanks(&mut self) -> usize {
        let mut count = 0;
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t') => {
                    self.at += 1;
                    count += 1;
                }
                Some(0x1b) => {
                    let before = self.at;
                    self.skip_colours();
                    if self.at == before {
                        return count;
                    }
                }
                _ => return count,
            }
        }
    }

    /// Reads a time at `at` as a head may open with it: a bare number or a time of day has to be
    /// a word of its own.
    #[inline]
    fn time(&mut self, clock: &mut Clock, at: usize) -> Option<Option<Time>> {
        let text = self.text.get(at..)?;
        let reading = clock.reading(text)?;
        // The usual layouts have a sign among the first bytes.
        let number = reading.len >= 9
            && text[4].is_ascii_digit()
            && text[6].is_ascii_digit()
            && text[..9].iter().all(u8::is_ascii_digit);
        if (number || reading.time.is_none()) && start::starts_with_time(text).is_none() {
            return None;
        }
        self.at = at + reading.len;
        Some(reading.time)
    }

    /// The time or the level that the record opens with.
    #[inline]
    fn opening(&mut self, clock: &mut Clock) -> Option<Opening> {
        let at = self.at;
        match self.byte(0)? {
            b'[' => {
                if let Some(time) = self.time(clock, at + 1) {
                    if self.byte(0) == Some(b']') {
                        self.at += 1;
                    }
                    return Some(Opening { time, level: None });
                }
                let level = self.bracketed_level()?;
                Some(Opening {
                    time: None,
                    level: Some((level, Form::Bracket)),
                })
            }
            b'0'..=b'9' => {
                if let Some(time) = self.time(clock, at) {
                    return Some(Opening { time, level: None });
                }
                self.prefixed_time(clock)
                    .or_else(|| self.embedded_epoch(clock))
                    .map(|time| Opening { time, level: None })
            }
            b'A'..=b'Z' => {
                if let Some(time) = self.time(clock, at) {
                    return Some(Opening { time, level: None });
                }
                let len = self.text[at..]
                    .iter()
                    .take(10)
                    .take_while(|byte| byte.is_ascii_uppercase())
                    .count();
                if len >= 3
                    && let Some(b' ' | b':' | b'\t' | b'|' | b'[' | b']') = self.byte(len)
                    && let word = &self.text[at..at + len]
                    && !level::is_everyday(word)
                    && let Some(level) = level::from_word(word)
                {
                    self.at += len;
                    return Some(Opening {
                        time: None,
                        level: Some((level, Form::Word)),
                    });
                }
                // `I, [2024-03-01T00:00:00.123456 #1234]  INFO -- : …`
                if self.byte(1) == Some(b',')
                    && self.byte(2) == Some(b' ')
                    && self.byte(3) == Some(b'[')
                    && let Some(time) = self.time(clock, at + 4)
                {
                    return Some(Opening { time, level: None });
                }
                self.prefixed_time(clock)
                    .map(|time| Opening { time, level: None })
            }
            b'a'..=b'z' | b'-' => self
                .prefixed_time(clock)
                .map(|time| Opening { time, level: None }),
            b'@' => self
                .time(clock, at)
                .map(|time| Opening { time, level: None }),
            _ => None,
        }
    }

    /// `nova-api.log.1 2017-05-16 00:00:00.008 …`: a word that is no speech, then the time.
    #[inline]
    fn prefixed_time(&mut self, clock: &mut Clock) -> Option<Option<Time>> {
        // Fast path: the usual date, whose layout the clock's memory knows, behind a file's name.
        if let Some((start, start::Prefix::Name)) = start::prefix(self.text)
            && let [
                b'0'..=b'9',
                _,
                _,
                _,
                b'-',
                _,
                _,
                b'-',
                _,
                _,
                b' ' | b'T',
                ..,
            ] = self.text[start..]
        {
            let reading = clock.reading(&self.text[start..])?;
            self.at = start + reading.len;
            return Some(reading.time);
        }
        let start = start::prefixed_time(self.text)?;
        let reading = clock.reading(&self.text[start..])?;
        self.at = start + reading.len;
        if self.text[start..].iter().take(10).all(u8::is_ascii_digit) {
            self.after_epoch(clock);
        }
        Some(reading.time)
    }

    /// `134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component …`: a number of the
    /// record, names without a space, then seconds since 1970 as a word.
    #[cold]
    fn embedded_epoch(&mut self, clock: &mut Clock) -> Option<Option<Time>> {
        let mut at = self.at;
        for word in 0..5 {
            let length = self.text[at..]
                .iter()
                .take(80)
                .take_while(|byte| !matches!(byte, b' ' | b'\n'))
                .count();
            let bytes = &self.text[at..at + length];
            let digits = length > 0 && bytes.iter().all(u8::is_ascii_digit);
            if word >= 1
                && length == 10
                && digits
                && start::starts_with_time(&self.text[at..]).is_some()
            {
                let time = self.time(clock, at)?;
                // A count or a flag may follow.
                let flag = self.text[self.at..]
                    .iter()
                    .skip(1)
                    .take_while(|byte| byte.is_ascii_digit())
                    .count();
                if flag > 0 && self.byte(1 + flag) == Some(b' ') {
                    self.at += 1 + flag;
                }
                return Some(time);
            }
            let name = bytes
                .iter()
                .any(|byte| matches!(byte, b'.' | b'-' | b'_' | b'/' | b'@'));
            if !(if word == 0 { digits } else { digits || name }) {
                return None;
            }
            at += length + 1;
            self.text.get(at)?;
        }
        None
    }

    /// After seconds since 1970: the date again, the node, and a second full time.
    #[cold]
    fn after_epoch(&mut self, clock: &mut Clock) {
        let mut at = self.at;
        for _ in 0..4 {
            if self.text.get(at) != Some(&b' ') {
                return;
            }
            at += 1;
            let kept = self.at;
            if self.time(clock, at).is_some() {
                return;
            }
            self.at = kept;
            at += self.text[at..]
                .iter()
                .take(80)
                .take_while(|byte| !matches!(byte, b' ' | b'\n'))
                .count();
        }
    }

    /// A time right after a level that opens the record.
    fn time_after_level(&mut self, clock: &mut Clock) -> Option<Option<Time>> {
        let kept = self.at;
        self.skip_blanks();
        let bracket = self.byte(0) == Some(b'[');
        let at = self.at + usize::from(bracket);
        let time = self.time(clock, at);
        if time.is_none() {
            self.at = kept;
        } else if bracket && self.byte(0) == Some(b']') {
            self.at += 1;
        }
        time
    }

    /// Where the bracket that opens at `self.at` closes (the place of `]`), nesting counted, on
    /// this line and within the reach of a head.
    #[inline]
    fn closing(&self) -> Option<usize> {
        let limit = self.text.len().min(self.at + HEAD_MAX);
        let mut from = self.at + 1;
        let mut depth = 1;
        while let Some(found) = memchr::memchr3(b'[', b']', b'\n', self.text.get(from..limit)?) {
            let at = from + found;
            match self.text[at] {
                b'[' => depth += 1,
                b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => return None,
            }
            from = at + 1;
        }
        None
    }

    /// `[INFO]`, `[ warn ]`, `[core:error]`: takes the group if it names a level.
    fn bracketed_level(&mut self) -> Option<Level> {
        let rest = &self.text[self.at + 1..];
        // Fast path: letters alone.
        let letters = rest
            .iter()
            .take(14)
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        if rest.get(letters) == Some(&b']') {
            let level = level::from_word(&rest[..letters])?;
            self.at += letters + 2;
            return Some(level);
        }
        let close = rest
            .iter()
            .take(40)
            .position(|&byte| matches!(byte, b']' | b'\n'))?;
        if rest[close] == b'\n' {
            return None;
        }
        let inner = rest[..close].trim_ascii();
        let start = self.at + 1;
        let level = match memchr::memrchr(b':', inner) {
            None => level::from_word(inner)?,
            Some(colon) => {
                let level = level::from_word(&inner[colon + 1..])?;
                self.parts.logger = Some(start..start + colon);
                level
            }
        };
        self.at = start + close + 1;
        Some(level)
    }

    /// Fast path of [`Reader::level`]: a blank, perhaps a number or a dash, and one of the usual
    /// words. Finds what the slow path would find, or nothing.
    #[inline]
    fn usual_level(&mut self) -> Option<(Level, Form)> {
        let text = self.text;
        let mut at = self.at;
        if *text.get(at)? != b' ' {
            return None;
        }
        at += 1;
        let start = at;
        while let Some(b'0'..=b'9') = text.get(at) {
            at += 1;
        }
        let number = start..at;
        match (number.len(), text.get(at)?) {
            (0, b'-') if text.get(at + 1) == Some(&b' ') => at += 2,
            (0, _) => {}
            (1..80, b' ') => at += 1,
            _ => return None,
        }
        let (level, len) = match text.get(at..at + 6)? {
            [b'I', b'N', b'F', b'O', b' ', _] => (Level::Info, 4),
            [b'W', b'A', b'R', b'N', b' ', _] => (Level::Warn, 4),
            [b'E', b'R', b'R', b'O', b'R', b' '] => (Level::Error, 5),
            [b'D', b'E', b'B', b'U', b'G', b' '] => (Level::Debug, 5),
            _ => return None,
        };
        if !number.is_empty() {
            self.parts.pid = Some(number);
        }
        self.at = at + len;
        Some((level, Form::Word))
    }

    /// Looks for the level behind a time and stands behind it then.
    #[inline]
    fn level(&mut self) -> Option<(Level, Form)> {
        // Whether only numbers stood between the time and here.
        let mut first = true;
        let mut numbers = 0;
        for _ in 0..WORDS_MAX {
            // Separators, and whether one set this word apart as a column of its own.
            let mut column = false;
            loop {
                match self.byte(0)? {
                    b' ' | b'\t' | b',' | b']' => self.at += 1,
                    b'|' | b':' => {
                        column = true;
                        self.at += 1;
                    }
                    b'-' if matches!(self.byte(1), Some(b' ' | b'-')) => {
                        column = true;
                        self.at += 1;
                    }
                    0x1b => {
                        let before = self.at;
                        self.skip_colours();
                        if self.at == before {
                            return None;
                        }
                    }
                    _ => break,
                }
            }
            match self.byte(0)? {
                b'[' => {
                    if let Some(level) = self.bracketed_level() {
                        return Some((level, Form::Bracket));
                    }
                    let close = self.closing()?;
                    self.bracket_part(close);
                    self.at = close + 1;
                    // `[thread] INFO`, `[pid]: INFO`; a bracket alone says nothing about position.
                    continue;
                }
                b'<' => {
                    let rest = &self.text[self.at + 1..];
                    let len = rest.iter().take(14).position(|&byte| byte == b'>')?;
                    let level = level::from_word(&rest[..len])?;
                    self.at += len + 2;
                    return Some((level, Form::Bracket));
                }
                b'#' if self.byte(1) == Some(b'#') && self.byte(2) == Some(b'[') => {
                    // `##[error]…`, as build servers mark lines.
                    self.at += 2;
                    return self.bracketed_level().map(|level| (level, Form::Bracket));
                }
                b'\n' => return None,
                _ => {}
            }
            let word_len = self.text[self.at..]
                .iter()
                .take(14)
                .take_while(|byte| byte.is_ascii_alphanumeric())
                .count();
            let after = self.byte(word_len);
            let ends = matches!(
                after,
                None | Some(b' ' | b'\t' | b':' | b']' | b'|' | b'/' | b',' | b'>' | b'\n' | 0x1b)
            );
            if ends && word_len >= 3 {
                let word = &self.text[self.at..self.at + word_len];
                if let Some(level) = level::from_word(word) {
                    let capitals = word
                        .iter()
                        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
                    let delimited = matches!(after, Some(b':' | b']' | b'|' | b'/')) || column;
                    let accepted = if level::is_everyday(word) {
                        delimited || capitals && first
                    } else {
                        capitals || delimited || first || numbers > 0
                    };
                    if accepted {
                        self.at += word_len;
                        return Some((level, Form::Word));
                    }
                }
            }
            if word_len == 1
                && matches!(after, Some(b' ' | b'/' | b'|'))
                && (first || numbers > 0 || column)
                && let Some(level) = self.letter(numbers > 0 || after != Some(b' '))
            {
                self.at += 1;
                return Some((level, Form::Letter));
            }
            if !self.skip_word(&mut numbers) {
                return None;
            }
            first = false;
        }
        None
    }

    /// The level of a single letter. `apart` is set where it stands in a column of its own;
    /// otherwise a name in capitals must follow, else it is the word `I`.
    fn letter(&self, apart: bool) -> Option<Level> {
        let level = match self.byte(0)? {
            b'T' | b'V' => Level::Trace,
            b'D' => Level::Debug,
            b'I' => Level::Info,
            b'W' => Level::Warn,
            b'E' => Level::Error,
            b'F' | b'C' => Level::Fatal,
            _ => return None,
        };
        if apart {
            return Some(level);
        }
        let next = (self.byte(2)?, self.byte(3)?);
        (matches!(next, (b'A'..=b'Z', b'A'..=b'Z') | (b'-', b' '))).then_some(level)
    }

    /// Steps over a word that may stand between a time and a level: a number, a name with a sign in
    /// it, capitals, or any word that a separator sets apart. `false` if this is speech.
    fn skip_word(&mut self, numbers: &mut usize) -> bool {
        let start = self.at;
        let len = self.text[start..]
            .iter()
            .take(80)
            .take_while(|byte| {
                !matches!(
                    byte,
                    b' ' | b'\t' | b'|' | b',' | b'[' | b']' | b'\n' | 0x1b
                )
            })
            .count();
        let word = &self.text[start..start + len];
        if len == 0 || len == 80 {
            return false;
        }
        self.at += len;
        let hexadecimal = word
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'#' | b'-' | b'x'));
        if word[0].is_ascii_digit() && hexadecimal || word[0] == b'#' {
            *numbers += 1;
            let part = Some(start..start + len);
            if self.parts.pid.is_none() {
                self.parts.pid = part;
            } else if self.parts.thread.is_none() {
                self.parts.thread = part;
            }
            return true;
        }
        if word.iter().any(|byte| {
            matches!(byte, b'.' | b'@' | b'_' | b'#' | b'/' | b'$' | b':') || byte.is_ascii_digit()
        }) || word
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || *byte == b'-')
        {
            self.parts.logger = Some(start..start + len);
            return true;
        }
        // A plain name counts if a column ends behind it: ` - `, ` | `, `[`.
        let rest = self.text[self.at..].trim_ascii_start();
        let apart = matches!(
            rest,
            [b'|' | b'[', ..] | [b'-', b' ', ..] | [b':', b' ', ..]
        );
        if apart {
            self.parts.logger = Some(start..start + len);
        }
        apart
    }

    /// What a bracket group in a head is: numbers are a process, anything else a thread.
    fn bracket_part(&mut self, close: usize) {
        let from = self.at + 1;
        let inner = &self.text[from..close];
        if is_process(inner) {
            let digits = inner.iter().position(u8::is_ascii_digit).unwrap_or(0);
            let len = inner[digits..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            self.parts
                .pid
                .get_or_insert(from + digits..from + digits + len);
        } else if self.parts.thread.is_none() {
            self.parts.thread = Some(from..close);
        } else {
            self.parts.logger.get_or_insert(from..close);
        }
    }

    /// Stands behind a level: steps over process, thread and logger to the message.
    #[inline]
    fn after_level(&mut self, form: Form) {
        match (form, self.byte(0)) {
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
                        || self.bracket_touches() =>
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
            if named {
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
    fn name(&mut self, range: Range<usize>) {
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

    /// Behind a time that no level follows: steps over separators, a process, a program.
    fn without_level(&mut self) {
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t' | b']' | b',' | b':') => self.at += 1,
                Some(b'-') if self.byte(1) == Some(b' ') => self.at += 2,
                Some(b'|') => {
                    self.at += 1;
                    self.cells();
                    return;
                }
                Some(0x1b) => {
                    let before = self.at;
                    self.skip_colours();
                    if self.at == before {
                        return;
                    }
                }
                _ => break,
            }
        }
        if self.byte(0) == Some(b'[')
            && let Some(close) = self.closing()
            && is_process(&self.text[self.at + 1..close])
        {
            self.bracket_part(close);
            self.at = close + 1;
            if self.byte(0) == Some(b':') {
                self.at += 1;
            }
            self.skip_blanks();
        }
        // `##[group]…`
        if self.text[self.at..].starts_with(b"##[")
            && let Some(close) = self.text[self.at..]
                .iter()
                .take(20)
                .position(|&byte| byte == b']')
        {
            self.at += close + 1;
            return;
        }
        let word = |from: usize| {
            self.text[from..]
                .iter()
                .take(80)
                .take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
                .count()
        };
        let (start, first) = (self.at, word(self.at));
        // `main.go:23: …`, `sshd[12]: …`, and a host before it.
        for (from, len) in [
            (start, first),
            (
                start + first + 1,
                if start + first < self.text.len() {
                    word(start + first + 1)
                } else {
                    0
                },
            ),
        ] {
            let Some([head @ .., b':']) = self.text.get(from..from + len) else {
                continue;
            };
            if let [.., b'0'..=b'9', b']'] = head
                && let Some(open) = memchr::memrchr(b'[', head)
            {
                self.parts.logger = Some(from..from + open);
                self.parts.pid = Some(from + open + 1..from + head.len() - 1);
            } else if from == start
                && head.last().is_some_and(u8::is_ascii_digit)
                && memchr::memchr(b'.', head).is_some()
                && memchr::memchr(b':', head).is_some()
            {
                self.name(from..from + head.len());
            } else {
                continue;
            }
            self.at = from + len;
            self.skip_blanks();
            return;
        }
        // `chrome.exe - …`
        if first > 0 && self.text[start + first..].starts_with(b" - ") {
            self.parts.logger = Some(start..start + first);
            self.at = start + first + 3;
        }
    }

    /// `Step_LSC|30002312|message`: cells of one word before the last one.
    fn cells(&mut self) {
        for cell in 0..4 {
            let len = self.text[self.at..]
                .iter()
                .take(80)
                .take_while(|byte| !matches!(byte, b'|' | b' ' | b'\n'))
                .count();
            if self.byte(len) != Some(b'|') || len == 0 {
                return;
            }
            let range = self.at..self.at + len;
            if self.text[range.clone()].iter().all(u8::is_ascii_digit) {
                self.parts.pid.get_or_insert(range);
            } else if cell == 0 {
                self.parts.logger = Some(range);
            }
            self.at += len + 1;
        }
    }
}

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

/// Whether a bracket holds a process: `25`, `25-1`, `#1234`, `pid 12`, `pid 12:tid 34`.
fn is_process(inner: &[u8]) -> bool {
    if !matches!(inner.first(), Some(b'0'..=b'9' | b'p' | b'#')) {
        return false;
    }
    let inner = inner
        .strip_prefix(b"pid ")
        .or_else(|| inner.strip_prefix(b"pid: "))
        .unwrap_or(inner);
    let inner = inner.strip_prefix(b"#").unwrap_or(inner);
    let digits = inner
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    digits > 0 && matches!(&inner[digits..], [] | [b'-' | b':', ..]) && inner.len() < 40
}
