//! What a head opens with: a time, a level, or a word and then a time.

use super::{Form, Reader};
use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::parsers::level;
use crate::parsers::start;
use crate::parsers::time::Clock;

pub(super) struct Opening {
    pub time: Option<Time>,
    pub level: Option<(Level, Form)>,
}

impl Reader<'_> {
    /// Reads a time at `at` as a head may open with it: a bare number or a time of day has to be
    /// a word of its own.
    #[inline]
    pub(super) fn time(&mut self, clock: &mut Clock, at: usize) -> Option<Option<Time>> {
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
    pub(super) fn opening(&mut self, clock: &mut Clock) -> Option<Opening> {
        let at = self.at;
        match self.byte(0)? {
            b'[' => {
                if let Some(time) = self.time(clock, at + 1) {
                    if self.byte(0) == Some(b']') {
                        self.at += 1;
                    } else {
                        self.open = true;
                    }
                    return Some(Opening { time, level: None });
                }
                match self.bracketed_level() {
                    Some(level) => Some(Opening {
                        time: None,
                        level: Some((level, Form::Bracket)),
                    }),
                    None => self.marked_opening(clock),
                }
            }
            b'0'..=b'9' => {
                if let Some(time) = self.time(clock, at) {
                    return Some(Opening { time, level: None });
                }
                self.prefixed_time(clock)
                    .or_else(|| self.numbered_time(clock))
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
                    .or_else(|| self.marked_opening(clock))
            }
            b'a'..=b'z' | b'-' => self
                .prefixed_time(clock)
                .map(|time| Opening { time, level: None })
                .or_else(|| self.marked_opening(clock)),
            b'<' | b':' | b'#' | b'%' | b'*' | b'(' => self.marked_opening(clock),
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

    /// Cisco's `000123: *Mar  1 00:00:00.123: …`: a running number before the time.
    #[cold]
    fn numbered_time(&mut self, clock: &mut Clock) -> Option<Option<Time>> {
        let rest = &self.text[self.at..];
        let digits = rest
            .iter()
            .take(10)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let behind = rest[digits..].strip_prefix(b": ")?;
        let sign = usize::from(matches!(behind.first(), Some(b'*' | b'.')));
        if !behind.get(sign)?.is_ascii_uppercase() {
            return None;
        }
        self.time(clock, self.at + digits + 2 + sign)
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

    /// AWS Lambda: the id of the request behind the time, between tabs.
    fn request_id(&mut self) {
        let word = &self.text[self.at + 1..self.text.len().min(self.at + 38)];
        if word.len() == 37
            && word[36] == b'\t'
            && [8, 13, 18, 23].iter().all(|&dash| word[dash] == b'-')
        {
            self.parts.thread = Some(self.at + 1..self.at + 37);
            self.at += 38;
        }
    }

    /// A time right after a level that opens the record.
    pub(super) fn time_after_level(&mut self, clock: &mut Clock) -> Option<Option<Time>> {
        let kept = self.at;
        self.skip_blanks();
        if self.byte(0) == Some(b'|') {
            self.at += 1;
        }
        let bracket = self.byte(0) == Some(b'[');
        let at = self.at + usize::from(bracket);
        let mut time = self.time(clock, at);
        // `ERROR [ReadStage-2] 2024-03-01 00:00:00,123 …`
        if time.is_none()
            && bracket
            && let Some(close) = self.closing()
            && self.text.get(close + 1) == Some(&b' ')
        {
            let thread = self.at + 1..close;
            time = self.time(clock, close + 2);
            if time.is_some() {
                self.parts.thread = Some(thread);
                return time;
            }
        }
        if time.is_none() {
            self.at = kept;
        } else if bracket && self.byte(0) == Some(b']') {
            self.at += 1;
        } else if self.byte(0) == Some(b'\t') {
            self.request_id();
        }
        time
    }
}
