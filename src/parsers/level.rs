//! Words and numbers that name a level.

use crate::flow::block;
use crate::flow::level::Level;

/// The level that `word` names, in any case: `WARNING`, `err`, `notice`, `crit` … A single letter
/// is not a word (see the layouts that use them).
pub fn from_word(word: &[u8]) -> Option<Level> {
    // Fast path: what most lines say, as they say it.
    match word {
        b"INFO" | b"info" | b"notice" => return Some(Level::Info),
        b"WARN" | b"warn" => return Some(Level::Warn),
        b"ERROR" | b"error" => return Some(Level::Error),
        b"DEBUG" | b"debug" => return Some(Level::Debug),
        _ => {}
    }
    if word.len() < 3 || word.len() > 13 {
        return None;
    }
    let mut lower = [0u8; 13];
    let lower = &mut lower[..word.len()];
    for (to, from) in lower.iter_mut().zip(word) {
        *to = from.to_ascii_lowercase();
    }
    Some(match &*lower {
        b"trace" | b"finest" | b"finer" | b"verbose" | b"trc" | b"trce" | b"trac" | b"silly" => {
            Level::Trace
        }
        b"debug" | b"fine" | b"dbg" | b"dbug" | b"debu" | b"debug1" | b"debug2" | b"debug3"
        | b"debug4" | b"debug5" | b"config" => Level::Debug,
        b"info" | b"information" | b"informational" | b"inf" | b"notice" | b"note" | b"log"
        | b"success" | b"default" => Level::Info,
        b"warn" | b"warning" | b"wrn" | b"warnin" => Level::Warn,
        b"error" | b"err" | b"severe" | b"failure" | b"eror" | b"erro" | b"fail" => Level::Error,
        b"fatal" | b"crit" | b"critical" | b"alert" | b"emerg" | b"emergency" | b"panic"
        | b"ftl" | b"fata" | b"pani" | b"pnc" | b"dpanic" => Level::Fatal,
        _ => return None,
    })
}

/// The level of a number in a level field: 10 to 60 as pino and bunyan write it, 0 to 7 as syslog.
pub fn from_number(number: u64) -> Option<Level> {
    Some(match number {
        0..=2 => Level::Fatal,
        3 => Level::Error,
        4 => Level::Warn,
        5 | 6 => Level::Info,
        7 => Level::Debug,
        10 => Level::Trace,
        20 => Level::Debug,
        30 => Level::Info,
        40 => Level::Warn,
        50 => Level::Error,
        60 => Level::Fatal,
        _ => return None,
    })
}

/// The level that the value of a level field names: a word, a letter, or a word and a step as Go's
/// slog writes it (`INFO+2`, `ERROR-1`).
pub fn from_value(value: &[u8]) -> Option<Level> {
    if let Some(level) = from_word(value) {
        return Some(level);
    }
    let value = value.trim_ascii();
    match value {
        [letter] => return from_letter(letter.to_ascii_uppercase()),
        _ if value.len() > 16 => return None,
        _ => {}
    }
    let sign = value.iter().position(|byte| matches!(byte, b'+' | b'-'));
    let Some(sign) = sign else {
        return from_word(value);
    };
    // Package slog: Debug is -4, Info 0, Warn 4, Error 8.
    let base = match from_word(&value[..sign])? {
        Level::Trace => -8,
        Level::Debug => -4,
        Level::Info => 0,
        Level::Warn => 4,
        Level::Error => 8,
        Level::Fatal => 12,
    };
    let step: i64 = std::str::from_utf8(&value[sign..]).ok()?.parse().ok()?;
    Some(match base + step.clamp(-100, 100) {
        ..-4 => Level::Trace,
        -4..0 => Level::Debug,
        0..4 => Level::Info,
        4..8 => Level::Warn,
        8.. => Level::Error,
    })
}

/// The level of a capital letter where one stands for a level.
pub fn from_letter(letter: u8) -> Option<Level> {
    Some(match letter {
        b'T' | b'V' => Level::Trace,
        b'D' => Level::Debug,
        b'I' | b'N' => Level::Info,
        b'W' => Level::Warn,
        b'E' => Level::Error,
        b'F' | b'C' => Level::Fatal,
        _ => return None,
    })
}

/// The level that the pair says with which a text opens: `level=error …`, `severity=warn …`.
pub fn of_first_pair(text: &[u8]) -> Option<Level> {
    let equals = text.iter().take(10).position(|&byte| byte == b'=')?;
    let key = &text[..equals];
    if !["level", "severity", "lvl", "loglevel"]
        .iter()
        .any(|name| key.eq_ignore_ascii_case(name.as_bytes()))
    {
        return None;
    }
    let value = text[equals + 1..].trim_ascii_start();
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let len = value
        .iter()
        .take(16)
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    from_word(&value[..len])
}

/// Names of levels that are words of everyday speech when they are not in capitals.
pub fn is_speech(word: &[u8]) -> bool {
    [
        "error",
        "info",
        "debug",
        "trace",
        "warning",
        "notice",
        "fatal",
        "alert",
        "panic",
        "critical",
        "emergency",
        "severe",
        "information",
        "note",
        "failure",
    ]
    .iter()
    .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether what stands behind a level's name takes it back: `error: none`, `error: 0`, `errors = null`.
pub fn says_nothing(rest: &[u8]) -> bool {
    let Some(value) = rest.strip_prefix(b":") else {
        return false;
    };
    let value = value.trim_ascii();
    value.len() <= 5
        && ["none", "null", "nil", "0", "false", "n/a", "-"]
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the word at `start` is a kind of event for its program, as in Nagios' `SERVICE ALERT: …`.
pub fn is_kind(text: &[u8], start: usize, word: &[u8]) -> bool {
    word == b"ALERT"
        && [&b"SERVICE "[..], b"HOST "]
            .iter()
            .any(|kind| text[..start].ends_with(kind))
}

/// Words before a level's name that make it the object of a sentence: `level set to ERROR`.
const BEFORE_OBJECTS: [&str; 16] = [
    "to", "is", "level", "as", "of", "from", "than", "at", "was", "be", "no", "not", "any", "or",
    "and", "without",
];

/// Whether the word before `start` makes what follows an object.
fn is_object(text: &[u8], start: usize) -> bool {
    let head = text[..start].trim_ascii_end();
    if head.len() == start {
        return false;
    }
    let word = head
        .iter()
        .rev()
        .take(8)
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let word = &head[head.len() - word..];
    BEFORE_OBJECTS
        .iter()
        .any(|before| word == before.as_bytes())
}

/// Bytes of a message in which a level is looked for: farther on a word in capitals is speech.
const NEAR: usize = 64;

/// The first whole word near the start of `text` that is used as a level: in capitals (`ERROR
/// foo`), or before a colon or a closing bracket (`error: foo`, `[warn]`, `<info>`). A word in the
/// middle of a sentence (`0 errors found`, `in error state 6`) is none.
pub fn in_text(text: &[u8]) -> Option<Level> {
    // A level stands before a sign or in capitals, so only the places of those are looked at: two
    // masks with a bit for each byte, which costs less than going from word to word.
    let mut short = [0; NEAR];
    let window: &[u8; NEAR] = match text.first_chunk() {
        Some(window) => window,
        None => {
            short[..text.len()].copy_from_slice(text);
            &short
        }
    };
    // The end of the line is a place, too: there the search ends.
    let (mut signs, mut capitals) = (0, 0);
    for (number, bytes) in window.chunks_exact(block::WIDTH).enumerate() {
        let bytes = u128::from_le_bytes(bytes.try_into().expect("a block has WIDTH bytes"));
        let (some_signs, some_capitals) = block::level_signs(bytes);
        signs |= u64::from(some_signs) << (number * block::WIDTH);
        capitals |= u64::from(some_capitals) << (number * block::WIDTH);
    }
    let words = capitals & capitals >> 1 & capitals >> 2 & !(capitals << 1);
    let mut places = signs | words;
    while places != 0 {
        let at = places.trailing_zeros() as usize;
        places &= places - 1;
        let (start, end) = if words >> at & 1 == 1 {
            (
                at,
                at + text[at..]
                    .iter()
                    .take(16)
                    .take_while(|byte| CLASS[usize::from(**byte)] & WORD != 0)
                    .count(),
            )
        } else {
            if text[at] == b'\n' {
                return None;
            }
            if at == 0 || CLASS[usize::from(text[at - 1])] & FINAL == 0 {
                continue;
            }
            (
                at - text[..at]
                    .iter()
                    .rev()
                    .take(16)
                    .take_while(|byte| CLASS[usize::from(**byte)] & WORD != 0)
                    .count(),
                at,
            )
        };
        if let Some(level) = used_as_level(text, start, end) {
            return Some(level);
        }
    }
    None
}

const WORD: u8 = 1;
const FINAL: u8 = 2;

/// Which bytes belong to a word, and which of them a level's name ends with.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is = byte as u8;
        if is.is_ascii_alphanumeric() || is == b'_' {
            class[byte] |= WORD;
        }
        if matches!(
            is.to_ascii_lowercase(),
            b'b' | b'c'
                | b'e'
                | b'f'
                | b'g'
                | b'h'
                | b'k'
                | b'l'
                | b'n'
                | b'o'
                | b'r'
                | b's'
                | b't'
                | b'w'
                | b'y'
                | b'0'..=b'9'
        ) {
            class[byte] |= FINAL;
        }
        byte += 1;
    }
    class
};

/// The level that the word `start..end` of `text` names, if it stands there as a level.
fn used_as_level(text: &[u8], start: usize, end: usize) -> Option<Level> {
    let word = &text[start..end];
    let before = start.checked_sub(1).map(|at| text[at]);
    let after = text.get(end).copied();
    let opened = matches!(
        before,
        None | Some(
            b' ' | b'\t'
                | b'['
                | b'<'
                | b'('
                | b'|'
                | b']'
                | b'>'
                | b'"'
                | b'm'
                | b','
                | b':'
                | b';'
        )
    );
    if !opened {
        return None;
    }
    let capitals = !word.is_empty() && word.iter().all(u8::is_ascii_uppercase);
    let marked = match after {
        // A colon within a name (`error:0A000126`, `Error::new`) is not the end of a level.
        Some(b':') => {
            matches!(text.get(end + 1), None | Some(b' ' | b'\t' | b'[' | b'\n'))
                || capitals && text.get(end + 1) != Some(&b':')
        }
        Some(b']') => before == Some(b'['),
        Some(b'>') => before == Some(b'<'),
        // `error[E0425]: …`
        Some(b'[') => {
            start == 0
                && text[end..text.len().min(end + 16)]
                    .windows(2)
                    .any(|pair| pair == b"]:")
        }
        Some(b'!') => capitals,
        _ => false,
    };
    let whole = matches!(
        after,
        None | Some(b' ' | b'\t' | b'|' | b']' | b')' | b'\n' | b',' | 0x1b)
    );
    if !(marked || capitals && whole) || is_kind(text, start, word) {
        return None;
    }
    let level = from_word(word)?;
    if marked && !capitals && says_nothing(&text[end..]) || !marked && is_object(text, start) {
        return None;
    }
    // `Call Trace:`, `log info:`: what is no trouble needs a separator before it.
    if !capitals
        && level < Level::Warn
        && before == Some(b' ')
        && text[..start]
            .trim_ascii_end()
            .last()
            .is_some_and(u8::is_ascii_alphanumeric)
    {
        return None;
    }
    let everyday = is_everyday(word);
    // `LOG:` is a level, `log:` and `LOG` in a sentence are not.
    (!everyday || capitals && marked).then_some(level)
}

/// Names of levels that are also everyday words: they need more than their position.
pub fn is_everyday(word: &[u8]) -> bool {
    // Fast path: most levels start with another letter.
    if !matches!(
        word.first().map(u8::to_ascii_lowercase),
        Some(b'l' | b'c' | b'd' | b'f' | b's' | b'v')
    ) && word.len() != 3
    {
        return false;
    }
    [
        "log", "config", "fine", "finer", "finest", "success", "failure", "verbose", "silly",
        "inf", "fail", "default",
    ]
    .iter()
    .any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_level_near_the_start() {
        let check =
            |text: &str, want: Option<Level>| assert_eq!(in_text(text.as_bytes()), want, "{text}");
        for text in [
            "error: cannot open",
            "ERROR foo",
            "[ERROR] foo",
            "sshd: error: foo",
            "npm ERR! code 1",
            "error[E0425]: cannot find",
            "LOG ERROR foo",
            "Error: foo",
            "a: ERROR: b",
        ] {
            check(text, Some(Level::Error));
        }
        for text in [
            "<warn>  [1] foo",
            "warning: unused",
            "npm WARN deprecated",
            "WARNING: foo",
            "(WARN) foo",
        ] {
            check(text, Some(Level::Warn));
        }
        for text in [
            "panic: runtime error",
            "fatal: not a git repository",
            "FATAL:  the database",
        ] {
            check(text, Some(Level::Fatal));
        }
        for text in [
            "0 errors found",
            "0 error found",
            "ErrorHandler started",
            "mod_jk child workerEnv in error state 6",
            "error_log opened",
            "no-error: fine",
            "log: foo",
            "",
            "ERROR_CODE 5",
            "X-ERROR foo",
            "Invalid user webmaster from 173.234.31.186",
            "http://error: x",
            "a\nERROR b",
            "a b\nerror: b",
        ] {
            check(text, None);
        }
        check("LOG:  duration", Some(Level::Info));
    }
}
