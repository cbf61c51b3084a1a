//! Which keys mean level, time and message, in which order they are asked, and how their values
//! are read. The names are those of the common logging libraries (pino, bunyan, zap, slog,
//! Serilog, structlog, tracing, journald, MongoDB, GELF, ECS, OpenTelemetry).

use crate::flow::level::Level;
use crate::flow::row::Kind;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::json::keys::{KeyId, Keys};
use crate::parsers::level;
use crate::parsers::time::Clock;

/// How the value of a level key is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelStyle {
    /// A word or a number (see `parsers::level`).
    Usual,
    /// A word; a number would be something else.
    Word,
    /// MongoDB's letter: F, E, W, I, D or D1 to D5. It needs another key of MongoDB beside it.
    Letter,
    /// OpenTelemetry's `severityNumber`, 1 to 24.
    OpenTelemetry,
}

/// How the value of a time key is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// Whatever [`Clock::field`] reads.
    Usual,
    /// Whole microseconds since the epoch.
    Microseconds,
    /// Whole nanoseconds since the epoch.
    Nanoseconds,
}

const LEVELS: [(&[&str], LevelStyle); 15] = [
    (&["level"], LevelStyle::Usual),
    (&["lvl"], LevelStyle::Usual),
    (&["severity"], LevelStyle::Usual),
    (&["log.level"], LevelStyle::Usual),
    (&["log", "level"], LevelStyle::Usual),
    (&["loglevel"], LevelStyle::Usual),
    (&["log_level"], LevelStyle::Usual),
    (&["levelname"], LevelStyle::Usual),
    (&["@l"], LevelStyle::Usual),
    (&["severity_text"], LevelStyle::Usual),
    (&["severityText"], LevelStyle::Usual),
    (&["priority"], LevelStyle::Word),
    (&["PRIORITY"], LevelStyle::Usual),
    (&["s"], LevelStyle::Letter),
    (&["severityNumber"], LevelStyle::OpenTelemetry),
];

const TIMES: [(&[&str], TimeStyle); 15] = [
    (&["ts"], TimeStyle::Usual),
    (&["time"], TimeStyle::Usual),
    (&["timestamp"], TimeStyle::Usual),
    (&["@timestamp"], TimeStyle::Usual),
    (&["@t"], TimeStyle::Usual),
    (&["t"], TimeStyle::Usual),
    (&["datetime"], TimeStyle::Usual),
    (&["date"], TimeStyle::Usual),
    (&["eventTime"], TimeStyle::Usual),
    (&["asctime"], TimeStyle::Usual),
    (&["started_at"], TimeStyle::Usual),
    (&["__REALTIME_TIMESTAMP"], TimeStyle::Microseconds),
    (&["t", "$date"], TimeStyle::Usual),
    (&["timeUnixNano"], TimeStyle::Nanoseconds),
    (&["observedTimeUnixNano"], TimeStyle::Nanoseconds),
];

const MESSAGES: [&str; 9] = [
    "message",
    "msg",
    "@m",
    "log",
    "text",
    "event",
    "short_message",
    "MESSAGE",
    "body",
];

/// Objects in which some libraries put the level and the message.
const INNER: [&str; 2] = ["fields", "@fields"];
const INNER_LEVELS: [&str; 7] = [
    "level",
    "lvl",
    "severity",
    "loglevel",
    "log_level",
    "levelname",
    "severity_text",
];
const INNER_MESSAGES: [&str; 7] = [
    "message",
    "msg",
    "@m",
    "log",
    "text",
    "event",
    "short_message",
];

/// Whether an outermost key of this name is a level or a time key.
pub fn is_lifted(name: &[u8]) -> bool {
    let is = |steps: &[&str]| matches!(steps, [only] if only.as_bytes() == name);
    LEVELS.iter().any(|(steps, _)| is(steps)) || TIMES.iter().any(|(steps, _)| is(steps))
}

/// The keys to ask, in order; empty for what the plan does not want.
pub struct Roles {
    pub levels: Vec<(KeyId, LevelStyle)>,
    /// One of these stands beside MongoDB's letter.
    pub letter_neighbours: Vec<KeyId>,
    pub times: Vec<(KeyId, TimeStyle)>,
    pub messages: Vec<KeyId>,
}

impl Roles {
    pub fn new(wanted: &Wanted, keys: &mut Keys) -> Roles {
        let mut want = |steps: &[&str]| {
            keys.want(&steps.iter().map(|step| step.as_bytes()).collect::<Vec<_>>())
        };
        let mut roles = Roles {
            levels: Vec::new(),
            letter_neighbours: Vec::new(),
            times: Vec::new(),
            messages: Vec::new(),
        };
        if wanted.level {
            roles
                .levels
                .extend(LEVELS.iter().map(|(steps, style)| (want(steps), *style)));
            for inner in INNER {
                roles.levels.extend(
                    INNER_LEVELS
                        .iter()
                        .map(|name| (want(&[inner, name]), LevelStyle::Usual)),
                );
            }
            roles
                .letter_neighbours
                .extend(["t", "c"].iter().map(|name| want(&[name])));
        }
        if wanted.time {
            roles
                .times
                .extend(TIMES.iter().map(|(steps, style)| (want(steps), *style)));
        }
        if wanted.message {
            roles
                .messages
                .extend(MESSAGES.iter().map(|name| want(&[name])));
            for inner in INNER {
                roles
                    .messages
                    .extend(INNER_MESSAGES.iter().map(|name| want(&[inner, name])));
            }
        }
        roles
    }
}

/// The level in a level key's value, given decoded.
pub fn read_level(style: LevelStyle, kind: Kind, text: &[u8]) -> Option<Level> {
    match (style, kind) {
        (LevelStyle::Usual, Kind::String) => {
            level::from_word(text).or_else(|| level::from_number(whole_number(text)?))
        }
        (LevelStyle::Usual, Kind::Number) => level::from_number(whole_number(text)?),
        (LevelStyle::Word, Kind::String) => level::from_word(text),
        (LevelStyle::Letter, Kind::String) => Some(match text {
            b"F" => Level::Fatal,
            b"E" => Level::Error,
            b"W" => Level::Warn,
            b"I" => Level::Info,
            b"D" | b"D1" | b"D2" | b"D3" | b"D4" | b"D5" => Level::Debug,
            _ => return None,
        }),
        (LevelStyle::OpenTelemetry, Kind::Number | Kind::String) => {
            Some(match whole_number(text)? {
                1..=4 => Level::Trace,
                5..=8 => Level::Debug,
                9..=12 => Level::Info,
                13..=16 => Level::Warn,
                17..=20 => Level::Error,
                21..=24 => Level::Fatal,
                _ => return None,
            })
        }
        _ => None,
    }
}

/// The time in a time key's value, given decoded.
pub fn read_time(style: TimeStyle, kind: Kind, text: &[u8], clock: &mut Clock) -> Option<Time> {
    if !matches!(kind, Kind::String | Kind::Number) {
        return None;
    }
    match style {
        TimeStyle::Usual => clock.field(text),
        TimeStyle::Microseconds => i64::try_from(whole_number(text)?)
            .ok()?
            .checked_mul(1000)
            .map(Time),
        TimeStyle::Nanoseconds => i64::try_from(whole_number(text)?).ok().map(Time),
    }
}

fn whole_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}
