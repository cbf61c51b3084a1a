//! Keys that say when, how serious and what, in formats whose records name their own fields
//! (logfmt, CSV). The first key of a list that a record has wins.

use crate::flow::level::Level;
use crate::parsers::level;

const TIME: [&str; 10] = [
    "ts",
    "time",
    "timestamp",
    "@timestamp",
    "t",
    "datetime",
    "date",
    "eventtime",
    "event_time",
    "asctime",
];
const LEVEL: [&str; 10] = [
    "level",
    "lvl",
    "severity",
    "log.level",
    "loglevel",
    "log_level",
    "levelname",
    "lev",
    "@level",
    "at",
];
const MESSAGE: [&str; 14] = [
    "message",
    "msg",
    "@m",
    "log",
    "text",
    "event",
    "short_message",
    "@message",
    "logdesc",
    "desc",
    "error",
    "err",
    "exception",
    "reason",
];

/// What a key is for, with its place in the list: the smaller the stronger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    None,
    Time(u8),
    Level(u8),
    Message(u8),
}

impl Role {
    /// The role of the key `name`, in any case.
    pub fn of(name: &[u8]) -> Role {
        let place = |list: &[&str]| {
            list.iter()
                .position(|key| key.as_bytes().eq_ignore_ascii_case(name))
                .map(|place| place as u8)
        };
        if let Some(place) = place(&TIME) {
            return Role::Time(place);
        }
        if let Some(place) = place(&LEVEL) {
            return Role::Level(place);
        }
        place(&MESSAGE).map_or(Role::None, Role::Message)
    }
}

/// The level that a level field's value names: a word, or a number as pino and syslog write it.
pub fn level(value: &[u8]) -> Option<Level> {
    match value {
        [b'0'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'] => level::from_number(
            value
                .iter()
                .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
        ),
        _ => level::from_value(value),
    }
}
