//! The level behind a time, and the words that may stand before it: numbers, names, brackets.

use super::{Form, Reader};
use crate::flow::level::Level;
use crate::parsers::level;

/// Words between a time and its level: more than the layouts we know have (6).
const WORDS_MAX: usize = 8;

impl Reader<'_> {
    /// `[INFO]`, `[ warn ]`, `[core:error]`: takes the group if it names a level.
    pub(super) fn bracketed_level(&mut self) -> Option<Level> {
        let rest = &self.text[self.at + 1..];
        // Fast path: letters alone.
        let letters = rest
            .iter()
            .take(14)
            .take_while(|byte| byte.is_ascii_alphabetic())
            .count();
        if rest.get(letters) == Some(&b']') {
            let word = &rest[..letters];
            let level = match word {
                [letter] if letter.is_ascii_uppercase() => level::from_letter(*letter),
                // MySQL 8: of the server itself.
                b"System" => Some(Level::Info),
                _ => level::from_word(word),
            }?;
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
        // `[core:error]`, `[Server thread/WARN]`
        let level = match inner.iter().rposition(|byte| matches!(byte, b':' | b'/')) {
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
    pub(super) fn usual_level(&mut self) -> Option<(Level, Form)> {
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
    pub(super) fn level(&mut self) -> Option<(Level, Form)> {
        // Whether only numbers stood between the time and here.
        let mut first = true;
        let mut numbers = 0;
        for _ in 0..WORDS_MAX {
            // Separators, and whether one set this word apart as a column of its own.
            let mut column = false;
            loop {
                match self.byte(0)? {
                    b' ' | b'\t' | b',' | b']' => self.at += 1,
                    b'|' | b':' | b';' => {
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
            if (first || self.byte(0) == Some(b'%'))
                && let Some(found) = self.mark()
            {
                return Some(found);
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
                None | Some(
                    b' ' | b'\t' | b':' | b']' | b'|' | b'/' | b',' | b';' | b'>' | b'\n' | 0x1b
                )
            );
            if ends && word_len >= 3 {
                let word = &self.text[self.at..self.at + word_len];
                if level::is_kind(self.text, self.at, word) {
                    return None;
                }
                if let Some(level) = level::from_word(word) {
                    let capitals = word
                        .iter()
                        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
                    let delimited = matches!(after, Some(b':' | b']' | b'|' | b'/')) || column;
                    let accepted = if level::is_everyday(word) {
                        delimited || capitals && first
                    } else if capitals || delimited {
                        true
                    } else if level::is_speech(word) {
                        // `info command received` is a sentence: a column has to end here.
                        let end = self.at + word_len;
                        let before = self.at.checked_sub(1).map(|at| self.text[at]);
                        before == Some(b'\t')
                            || matches!(
                                self.text[end..],
                                [b'\t', ..] | [b' ', b' ' | b'[' | b'<' | b'(', ..]
                            )
                    } else {
                        first || numbers > 0
                    };
                    let accepted = accepted
                        && (capitals || !level::says_nothing(&self.text[self.at + word_len..]));
                    // A level at the end of the line leaves no message: it is the message.
                    let ends_line =
                        !first && matches!(self.text[self.at + word_len..].trim_ascii_start(), []);
                    if accepted && !ends_line {
                        self.at += word_len;
                        return Some((level, Form::Word));
                    }
                }
            }
            if word_len == 1
                && matches!(after, Some(b' ' | b'/' | b'|'))
                && (first || numbers > 0 || column)
                && let Some(level) =
                    self.letter(numbers > 0 || after != Some(b' ') || self.byte(2) == Some(b'['))
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
}
