//! Which keys mean level, time and message, in which order they are asked, and how their values
//! are read. The names are those of the common logging libraries and services: pino, bunyan, winston,
//! zap, slog, logrus, zerolog, hclog, klog, Serilog, .NET, log4j 2, logback, python-json-logger,
//! structlog, Monolog, tracing, journald, MongoDB, GELF, ECS, OpenTelemetry, Google Cloud, AWS Lambda.

use crate::flow::level::Level;
use crate::flow::row::Kind;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::json::keys::{KeyId, Keys};
use crate::parsers::json::requests::Requests;
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
    /// Python's `levelno`: tens from 10 (debug) to 50 (critical).
    Python,
    /// logback's `level_value`: 5000 (trace) to 40000 (error).
    Logback,
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
    /// Whole seconds since the epoch; the nanoseconds stand in the key that follows in the table.
    Seconds,
}

const LEVELS: [(&[&str], LevelStyle); 38] = [
    (&["level"], LevelStyle::Usual),
    (&["lvl"], LevelStyle::Usual),
    (&["severity"], LevelStyle::Usual),
    (&["log.level"], LevelStyle::Usual),
    (&["log", "level"], LevelStyle::Usual),
    (&["loglevel"], LevelStyle::Usual),
    (&["log_level"], LevelStyle::Usual),
    (&["logLevel"], LevelStyle::Usual),
    (&["LogLevel"], LevelStyle::Usual),
    (&["levelname"], LevelStyle::Usual),
    (&["level_name"], LevelStyle::Usual),
    (&["levelName"], LevelStyle::Usual),
    (&["Level"], LevelStyle::Usual),
    (&["LEVEL"], LevelStyle::Usual),
    (&["@level"], LevelStyle::Usual),
    (&["@l"], LevelStyle::Usual),
    (&["severity_text"], LevelStyle::Usual),
    (&["severityText"], LevelStyle::Usual),
    (&["SeverityText"], LevelStyle::Usual),
    (&["Severity"], LevelStyle::Usual),
    (&["SEVERITY"], LevelStyle::Usual),
    (&["error_severity"], LevelStyle::Word),
    (&["log_severity"], LevelStyle::Usual),
    (&["log-level"], LevelStyle::Usual),
    (&["level", "name"], LevelStyle::Word),
    (&["jsonPayload", "level"], LevelStyle::Usual),
    (&["jsonPayload", "severity"], LevelStyle::Usual),
    (&["detected_level"], LevelStyle::Word),
    (&["sev"], LevelStyle::Usual),
    (&["priority"], LevelStyle::Word),
    (&["PRIORITY"], LevelStyle::Usual),
    (&["s"], LevelStyle::Letter),
    (&["severityNumber"], LevelStyle::OpenTelemetry),
    (&["severity_number"], LevelStyle::OpenTelemetry),
    (&["SeverityNumber"], LevelStyle::OpenTelemetry),
    (&["levelno"], LevelStyle::Python),
    (&["level_value"], LevelStyle::Logback),
    (&["LevelDisplayName"], LevelStyle::Word),
];

const TIMES: [(&[&str], TimeStyle); 48] = [
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
    (&["Timestamp"], TimeStyle::Usual),
    (&["TimeStamp"], TimeStyle::Usual),
    (&["timeStamp"], TimeStyle::Usual),
    (&["Time"], TimeStyle::Usual),
    (&["TIME"], TimeStyle::Usual),
    (&["@time"], TimeStyle::Usual),
    (&["__REALTIME_TIMESTAMP"], TimeStyle::Microseconds),
    (&["t", "$date"], TimeStyle::Usual),
    (&["timeUnixNano"], TimeStyle::Nanoseconds),
    (&["observedTimeUnixNano"], TimeStyle::Nanoseconds),
    (&["instant", "epochSecond"], TimeStyle::Seconds),
    (&["instant", "nanoOfSecond"], TimeStyle::Nanoseconds),
    (&["timestamp", "seconds"], TimeStyle::Seconds),
    (&["timestamp", "nanos"], TimeStyle::Nanoseconds),
    (&["timeMillis"], TimeStyle::Usual),
    (&["datetime", "date"], TimeStyle::Usual),
    (&["EventTime"], TimeStyle::Usual),
    (&["event_time"], TimeStyle::Usual),
    (&["eventTimestamp"], TimeStyle::Usual),
    (&["EventTimestamp"], TimeStyle::Usual),
    (&["stageTimestamp"], TimeStyle::Usual),
    (&["requestReceivedTimestamp"], TimeStyle::Usual),
    (&["lastTimestamp"], TimeStyle::Usual),
    (&["time_iso8601"], TimeStyle::Usual),
    (&["time_local"], TimeStyle::Usual),
    (&["start_time"], TimeStyle::Usual),
    (&["StartUTC"], TimeStyle::Usual),
    (&["EdgeStartTimestamp"], TimeStyle::Usual),
    (&["requestTime"], TimeStyle::Usual),
    (&["log_time"], TimeStyle::Usual),
    (&["logTime"], TimeStyle::Usual),
    (&["log_timestamp"], TimeStyle::Usual),
    (&["TimeGenerated"], TimeStyle::Usual),
    (&["created_at"], TimeStyle::Usual),
    (&["createdAt"], TimeStyle::Usual),
    (&["created"], TimeStyle::Usual),
    (&["_time"], TimeStyle::Usual),
];

/// What a key's text is, beyond being the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStyle {
    /// A text; a list is shown as it is spelled.
    Usual,
    /// A line as some program wrote it: its own words may name the level.
    Line,
    /// Text that stands in for a message, if there is none.
    Instead,
}

const MESSAGES: [(&[&str], MessageStyle); 53] = [
    (&["message"], MessageStyle::Usual),
    (&["msg"], MessageStyle::Usual),
    (&["Message"], MessageStyle::Usual),
    (&["@m"], MessageStyle::Usual),
    (&["@message"], MessageStyle::Usual),
    (&["RenderedMessage"], MessageStyle::Usual),
    (&["renderedMessage"], MessageStyle::Usual),
    (&["@mt"], MessageStyle::Usual),
    (&["MessageTemplate"], MessageStyle::Usual),
    (&["messageTemplate"], MessageStyle::Usual),
    (&["log"], MessageStyle::Line),
    (&["text"], MessageStyle::Usual),
    (&["event"], MessageStyle::Usual),
    (&["short_message"], MessageStyle::Usual),
    (&["MESSAGE"], MessageStyle::Line),
    (&["body"], MessageStyle::Usual),
    (&["Body"], MessageStyle::Usual),
    (&["body", "stringValue"], MessageStyle::Usual),
    (&["textPayload"], MessageStyle::Line),
    (&["jsonPayload", "message"], MessageStyle::Usual),
    (&["jsonPayload", "msg"], MessageStyle::Usual),
    (&["protoPayload", "status", "message"], MessageStyle::Usual),
    (&["message", "errorMessage"], MessageStyle::Usual),
    (&["message", "message"], MessageStyle::Usual),
    (&["Msg"], MessageStyle::Usual),
    (&["log_message"], MessageStyle::Usual),
    (&["logMessage"], MessageStyle::Usual),
    (&["_raw"], MessageStyle::Line),
    (&["line"], MessageStyle::Line),
    (&["data", "message"], MessageStyle::Usual),
    (&["error"], MessageStyle::Instead),
    (&["error", "message"], MessageStyle::Instead),
    (&["error.message"], MessageStyle::Instead),
    (&["err"], MessageStyle::Instead),
    (&["err", "message"], MessageStyle::Instead),
    (&["err", "msg"], MessageStyle::Instead),
    (&["exception"], MessageStyle::Instead),
    (&["exception", "message"], MessageStyle::Instead),
    (&["Exception"], MessageStyle::Instead),
    (&["Exception", "Message"], MessageStyle::Instead),
    (&["thrown", "message"], MessageStyle::Instead),
    (&["errorMessage"], MessageStyle::Instead),
    (&["error_message"], MessageStyle::Instead),
    (&["description"], MessageStyle::Instead),
    (&["desc"], MessageStyle::Instead),
    (&["title"], MessageStyle::Instead),
    (&["reason"], MessageStyle::Instead),
    (&["detail"], MessageStyle::Instead),
    (&["details"], MessageStyle::Instead),
    (&["stack_trace"], MessageStyle::Instead),
    (&["stack"], MessageStyle::Instead),
    (&["summary"], MessageStyle::Instead),
    (&["note"], MessageStyle::Instead),
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

/// Programs with a scale of their own for the number in `level`, told by other keys of theirs.
const NEXTCLOUD: [&str; 2] = ["reqId", "app"];

/// Whether an outermost key of this name is a level or a time key.
pub fn is_lifted(name: &[u8]) -> bool {
    let is = |steps: &[&str]| matches!(steps, [only] if only.as_bytes() == name);
    LEVELS.iter().any(|(steps, _)| is(steps)) || TIMES.iter().any(|(steps, _)| is(steps))
}

/// The keys that mean the message, in the order in which they are asked: those in [`INNER`] objects come
/// before what stands in for a message.
pub fn message_keys() -> Vec<(Vec<&'static str>, MessageStyle)> {
    let outer = |instead: bool| {
        MESSAGES
            .iter()
            .filter(move |(_, style)| (*style == MessageStyle::Instead) == instead)
            .map(|(steps, style)| (steps.to_vec(), *style))
    };
    let inner = INNER
        .iter()
        .flat_map(|inner| INNER_MESSAGES.iter().map(|name| vec![*inner, *name]))
        .map(|steps| (steps, MessageStyle::Usual));
    outer(false).chain(inner).chain(outer(true)).collect()
}

/// The keys to ask, in order; empty for what the plan does not want.
pub struct Roles {
    pub levels: Vec<(KeyId, LevelStyle)>,
    /// One of these stands beside MongoDB's letter.
    pub letter_neighbours: Vec<KeyId>,
    pub times: Vec<(KeyId, TimeStyle)>,
    pub messages: Vec<(KeyId, MessageStyle)>,
    pub requests: Option<Requests>,
    /// A date, and a time of day beside it.
    pub date_and_clock: Option<[KeyId; 2]>,
    /// The list of an OTLP export.
    pub otlp: Option<KeyId>,
    evidence: Option<Evidence>,
}

/// Keys that say how serious a record without a level key is, or which scale its number has.
struct Evidence {
    nextcloud: [KeyId; 2],
    /// Serilog's compact format: its time, and its message or template.
    compact: [KeyId; 3],
    /// klog: caller, verbosity, error.
    klog: [KeyId; 3],
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
            requests: None,
            otlp: None,
            date_and_clock: None,
            evidence: None,
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
            roles.evidence = Some(Evidence {
                nextcloud: NEXTCLOUD.map(|name| want(&[name])),
                compact: ["@t", "@m", "@mt"].map(|name| want(&[name])),
                klog: ["caller", "v", "err"].map(|name| want(&[name])),
            });
        }
        if wanted.time {
            roles.date_and_clock = Some([want(&["date"]), want(&["time"])]);
            roles
                .times
                .extend(TIMES.iter().map(|(steps, style)| (want(steps), *style)));
        }
        if wanted.message {
            roles.otlp = Some(want(&["resourceLogs"]));
            roles.messages.extend(
                message_keys()
                    .iter()
                    .map(|(steps, style)| (want(steps), *style)),
            );
        }
        if wanted.level || wanted.message {
            roles.requests = Some(Requests::new(&mut want));
        }
        roles
    }

    /// The level of a number in a level key: by the scale of its program, if other keys name that.
    pub fn number(&self, keys: &Keys, number: u64) -> Option<Level> {
        let nextcloud = self.evidence.as_ref().is_some_and(|evidence| {
            evidence
                .nextcloud
                .iter()
                .all(|key| keys.found(*key).is_some())
        });
        if nextcloud {
            return Some(match number {
                0 => Level::Debug,
                1 => Level::Info,
                2 => Level::Warn,
                3 => Level::Error,
                4 => Level::Fatal,
                _ => return None,
            });
        }
        level::from_number(number)
    }

    /// The level of a record without a level key, where its layout has one all the same.
    pub fn implied(&self, keys: &Keys, record: &[u8]) -> Option<Level> {
        let evidence = self.evidence.as_ref()?;
        let has = |key: KeyId| keys.found(key).is_some();
        // No `@l` is Information (github.com/serilog/serilog-formatting-compact).
        let [time, message, template] = evidence.compact;
        if has(time) && (has(message) || has(template)) {
            return Some(Level::Info);
        }
        // klog writes no level: an error has `err`, anything else its verbosity.
        let [caller, verbosity, error] = evidence.klog;
        if has(caller) {
            if has(error) {
                return Some(Level::Error);
            }
            let found = keys
                .found(verbosity)
                .filter(|found| found.kind == Kind::Number)?;
            return Some(match whole_number(&record[found.range()])? {
                0..=3 => Level::Info,
                _ => Level::Debug,
            });
        }
        None
    }
}

/// What a level key says.
pub enum LevelText {
    Word(Level),
    /// A number whose scale depends on the program.
    Number(u64),
}

/// The level in a level key's value, given decoded.
pub fn read_level(style: LevelStyle, kind: Kind, text: &[u8]) -> Option<LevelText> {
    let word = |text| level::from_value(text).map(LevelText::Word);
    let scale = |table: &[(u64, Level)]| {
        let number = whole_number(text)?;
        let at = table.iter().rposition(|(from, _)| number >= *from)?;
        Some(LevelText::Word(table[at].1))
    };
    match (style, kind) {
        (LevelStyle::Usual, Kind::String) => {
            word(text).or_else(|| whole_number(text).map(LevelText::Number))
        }
        (LevelStyle::Usual, Kind::Number) => whole_number(text).map(LevelText::Number),
        (LevelStyle::Word, Kind::String) => word(text),
        (LevelStyle::Letter, Kind::String) => Some(LevelText::Word(match text {
            b"F" => Level::Fatal,
            b"E" => Level::Error,
            b"W" => Level::Warn,
            b"I" => Level::Info,
            b"D" | b"D1" | b"D2" | b"D3" | b"D4" | b"D5" => Level::Debug,
            _ => return None,
        })),
        (LevelStyle::OpenTelemetry, Kind::Number | Kind::String) => match whole_number(text)? {
            1..=24 => scale(&[
                (1, Level::Trace),
                (5, Level::Debug),
                (9, Level::Info),
                (13, Level::Warn),
                (17, Level::Error),
                (21, Level::Fatal),
            ]),
            _ => None,
        },
        (LevelStyle::Python, Kind::Number) => scale(&[
            (1, Level::Trace),
            (10, Level::Debug),
            (20, Level::Info),
            (30, Level::Warn),
            (40, Level::Error),
            (50, Level::Fatal),
        ]),
        (LevelStyle::Logback, Kind::Number) => scale(&[
            (5_000, Level::Trace),
            (10_000, Level::Debug),
            (20_000, Level::Info),
            (30_000, Level::Warn),
            (40_000, Level::Error),
        ]),
        _ => None,
    }
}

/// The time in a time key's value, given decoded.
pub fn read_time(style: TimeStyle, kind: Kind, text: &[u8], clock: &mut Clock) -> Option<Time> {
    if !matches!(kind, Kind::String | Kind::Number) {
        return None;
    }
    let whole = || i64::try_from(whole_number(text)?).ok();
    match style {
        TimeStyle::Usual => clock
            .field(text)
            .or_else(|| exponent(text).filter(|_| kind == Kind::Number)),
        TimeStyle::Microseconds => whole()?.checked_mul(1000).map(Time),
        TimeStyle::Nanoseconds => whole().map(Time),
        TimeStyle::Seconds => whole()?.checked_mul(Time::SECOND).map(Time),
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds since the epoch as `1.709251200123e9`.
fn exponent(text: &[u8]) -> Option<Time> {
    if !text.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return None;
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    // The same bounds as for digits (see `time::shape`).
    let unit = match number {
        1e8..1e11 => 1e9,
        1e11..1e14 => 1e6,
        1e14..1e17 => 1e3,
        1e17..9e18 => 1.0,
        _ => return None,
    };
    let whole = number.trunc();
    // Whole units are exact; a float has no more than microseconds of the rest.
    let rest = ((number - whole) * unit / 1e3).round() * 1e3;
    Some(Time(
        (whole as i64)
            .saturating_mul(unit as i64)
            .saturating_add(rest as i64),
    ))
}

pub fn whole_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user sees what is known: the page of formats lists every key.
    #[test]
    fn the_page_of_formats_lists_every_key() {
        let page = include_str!("../../../docs/formats.md");
        let keys = LEVELS
            .iter()
            .map(|(steps, _)| steps.join("."))
            .chain(TIMES.iter().map(|(steps, _)| steps.join(".")))
            .chain(MESSAGES.iter().map(|(steps, _)| steps.join(".")));
        for key in keys {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
        for layout in &crate::parsers::access::layouts::LAYOUTS {
            assert!(page.contains(layout.program), "{}", layout.program);
        }
    }
}
