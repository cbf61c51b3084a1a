//! Words and numbers that name a level.

use crate::flow::level::Level;

/// The level that `word` names, in any case: `WARNING`, `err`, `notice`, `crit` … A single letter
/// is not a word (see the layouts that use them).
pub fn from_word(word: &[u8]) -> Option<Level> {
    if word.len() < 3 || word.len() > 13 {
        return None;
    }
    let mut lower = [0u8; 13];
    let lower = &mut lower[..word.len()];
    for (to, from) in lower.iter_mut().zip(word) {
        *to = from.to_ascii_lowercase();
    }
    Some(match &*lower {
        b"trace" | b"finest" | b"finer" | b"verbose" | b"trc" | b"silly" => Level::Trace,
        b"debug" | b"fine" | b"dbg" | b"debug1" | b"debug2" | b"debug3" | b"debug4" | b"debug5"
        | b"config" => Level::Debug,
        b"info" | b"information" | b"informational" | b"inf" | b"notice" | b"note" | b"log"
        | b"success" => Level::Info,
        b"warn" | b"warning" | b"wrn" => Level::Warn,
        b"error" | b"err" | b"severe" | b"failure" | b"eror" => Level::Error,
        b"fatal" | b"crit" | b"critical" | b"alert" | b"emerg" | b"emergency" | b"panic"
        | b"ftl" | b"dpanic" => Level::Fatal,
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
