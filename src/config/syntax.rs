//! What texts in a configuration may look like: durations, sizes, rates, zones, expressions. Each form
//! has a name, which a field's schema gives as its `format`; the command line reads some of them too.

use std::net::SocketAddr;
use std::ops::Range;

use jiff::tz::TimeZone;

use crate::expr;
use crate::expr::error::nearest;
use crate::flow::format::Format;
use crate::framing::Multiline;
use crate::units;
use crate::units::calendar;

/// A form that a text may have.
pub(super) struct Form {
    /// `format` in the schema.
    pub name: &'static str,
    /// What such a text is, for messages and the reference.
    pub what: &'static str,
    pub check: fn(&str) -> Result<(), Wrong>,
}

/// What is wrong with a text.
#[derive(Debug)]
pub(super) struct Wrong {
    /// The bytes of the text that are wrong, if it is not all of it.
    pub at: Option<Range<usize>>,
    /// Does not name the text itself, which may be a secret.
    pub message: String,
    pub hint: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>, hint: &str) -> Wrong {
        Wrong {
            at: None,
            message: message.into(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        }
    }
}

fn of_calendar(read: Result<(), String>) -> Result<(), Wrong> {
    read.map_err(|message| Wrong::new(message, ""))
}

/// Every form. A name in the schema that is not here is a fault of ours that a test finds.
pub(super) const FORMS: [Form; 22] = [
    Form {
        name: "duration",
        what: "a duration such as \"5m\"",
        check: |text| duration(text, 0),
    },
    Form {
        name: "span",
        what: "a duration such as \"5m\"",
        check: |text| duration(text, 1),
    },
    Form {
        name: "clock",
        what: "a time of day such as \"08:00\"",
        check: |text| of_calendar(calendar::minute(text).map(drop)),
    },
    Form {
        name: "day-span",
        what: "a span of the day such as \"08:00-18:00\"",
        check: |text| of_calendar(calendar::minutes(text).map(drop)),
    },
    Form {
        name: "weekdays",
        what: "days such as \"monday:friday\"",
        check: |text| of_calendar(calendar::weekdays(text).map(drop)),
    },
    Form {
        name: "days-of-month",
        what: "days of the month such as \"1:5\" or \"-1\"",
        check: |text| of_calendar(calendar::days_of_month(text).map(drop)),
    },
    Form {
        name: "months",
        what: "months such as \"june:august\"",
        check: |text| of_calendar(calendar::months(text).map(drop)),
    },
    Form {
        name: "years",
        what: "years such as \"2026:2028\"",
        check: |text| of_calendar(calendar::years(text).map(drop)),
    },
    Form {
        name: "size",
        what: "a size such as \"64MiB\"",
        check: size,
    },
    Form {
        name: "rate",
        what: "a rate such as \"10/1m\"",
        check: |text| {
            rate(text)
                .map(drop)
                .map_err(|message| Wrong::new(message, ""))
        },
    },
    Form {
        name: "zone",
        what: "a time zone such as \"Europe/Berlin\"",
        check: |text| {
            zone(text)
                .map(drop)
                .map_err(|message| Wrong::new(message, ""))
        },
    },
    Form {
        name: "multiline",
        what: "\"auto\", \"off\" or a regular expression",
        check: |text| {
            multiline(text)
                .map(drop)
                .map_err(|message| Wrong::new(message, ""))
        },
    },
    Form {
        name: "log-format",
        what: "a format such as \"json\", or \"auto\"",
        check: |text| {
            format(text)
                .map(drop)
                .map_err(|message| Wrong::new(message, ""))
        },
    },
    Form {
        name: "regex",
        what: "a regular expression",
        check: |text| {
            regex(text)
                .map(drop)
                .map_err(|message| Wrong::new(message, ""))
        },
    },
    Form {
        name: "condition",
        what: "a condition such as 'status >= 500'",
        check: expression,
    },
    Form {
        name: "expression",
        what: "an expression such as 'count() > 100'",
        check: expression,
    },
    Form {
        name: "url",
        what: "a URL such as \"https://example.com/hook\"",
        check: |text| url(text, &["http", "https"], "https://example.com/hook"),
    },
    Form {
        name: "smtp-url",
        what: "a mail server such as \"smtp://mail.example.com:587\"",
        check: |text| url(text, &["smtp", "smtps"], "smtp://mail.example.com:587"),
    },
    Form {
        name: "variable",
        what: "the name of an environment variable",
        check: variable,
    },
    Form {
        name: "address",
        what: "an address such as \"127.0.0.1:9598\"",
        check: address,
    },
    Form {
        name: "time",
        what: "a time such as \"2024-03-01T10:00:00Z\"",
        check: time,
    },
    Form {
        name: "mailbox",
        what: "a mail address such as \"admin@example.com\"",
        check: mailbox,
    },
];

pub(super) fn find(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == name)
}

fn duration(text: &str, least: i64) -> Result<(), Wrong> {
    match units::duration_nanoseconds(text) {
        Ok(nanoseconds) if nanoseconds >= least => Ok(()),
        Ok(0) => Err(Wrong::new("must be longer than nothing", "")),
        Ok(_) => Err(Wrong::new("must not be negative", "")),
        Err(message) => Err(Wrong::new(without_quote(&message, text), "")),
    }
}

fn size(text: &str) -> Result<(), Wrong> {
    match units::byte_size(text) {
        Ok(0) => Err(Wrong::new("must be more than nothing", "")),
        Ok(_) => Ok(()),
        Err(message) => Err(Wrong::new(without_quote(&message, text), "")),
    }
}

/// The readers of quantities name the text first; whoever shows the message knows if it may be named.
fn without_quote(message: &str, text: &str) -> String {
    let quoted = format!("{text:?} ");
    message
        .strip_prefix(quoted.as_str())
        .unwrap_or(message)
        .to_owned()
}

/// How many in what time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    /// More than 0.
    pub nanoseconds: i64,
}

/// A rate such as `10/1m`.
pub fn rate(text: &str) -> Result<Rate, String> {
    let remedy = "is not a rate; write how many in what time, such as \"10/1m\"";
    let (count, span) = text.split_once('/').ok_or(remedy)?;
    let count = count.trim().parse::<u32>().map_err(|_| remedy)?;
    let span = span.trim();
    // "10/m" is "10/1m".
    let whole = if span.starts_with(|first: char| first.is_ascii_digit()) {
        span.to_owned()
    } else {
        format!("1{span}")
    };
    match units::duration_nanoseconds(&whole) {
        Ok(nanoseconds) if nanoseconds > 0 && count > 0 => Ok(Rate { count, nanoseconds }),
        _ => Err(remedy.to_owned()),
    }
}

/// A time zone by name or offset: `Europe/Berlin`, `UTC`, `+02:00`. The message does not name the text.
pub fn zone(text: &str) -> Result<TimeZone, String> {
    TimeZone::get(text)
        .ok()
        .or_else(|| fixed_offset(text))
        .ok_or_else(|| {
            "is no known time zone; write it like Europe/Berlin, UTC or +02:00".to_owned()
        })
}

/// `+02:00` and its like.
fn fixed_offset(text: &str) -> Option<TimeZone> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let seconds = hours
        .parse::<i32>()
        .ok()?
        .checked_mul(3600)?
        .checked_add(minutes.parse::<i32>().ok()?.checked_mul(60)?)?;
    jiff::tz::Offset::from_seconds(sign * seconds)
        .ok()
        .map(TimeZone::fixed)
}

/// How lines join to records. The message does not name the text.
pub fn multiline(text: &str) -> Result<Multiline, String> {
    match text {
        "auto" => Ok(Multiline::Auto),
        "off" => Ok(Multiline::Off),
        pattern => regex(pattern)
            .map(Multiline::Pattern)
            .map_err(|message| format!("is neither auto nor off, and {message}")),
    }
}

/// A pattern of a person, small enough that it cannot take the memory.
pub fn regex(text: &str) -> Result<regex::bytes::Regex, String> {
    regex::bytes::RegexBuilder::new(text)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "is too large a regular expression".to_owned(),
            // The error shows the pattern over several lines; its last one says what is wrong.
            error => {
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default();
                let cause = last.trim_start_matches("error: ");
                format!("is no regular expression: {cause}")
            }
        })
}

/// A format by name; `auto` is none. The message does not name the text.
pub fn format(name: &str) -> Result<Option<Format>, String> {
    if name == "auto" {
        return Ok(None);
    }
    let found = Format::ALL.into_iter().find(|format| format.name() == name);
    found.map(Some).ok_or_else(|| {
        let names = || Format::ALL.iter().map(|format| format.name());
        let hint = nearest(name, names().chain(["auto"]))
            .map_or(String::new(), |name| format!("; did you mean \"{name}\"?"));
        let names: Vec<&str> = names().chain(["auto"]).collect();
        format!("is no known format{hint} (one of {})", names.join(", "))
    })
}

fn expression(text: &str) -> Result<(), Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::new("is empty", ""));
    }
    expr::check_syntax(text).map_err(|error| Wrong {
        at: Some(error.at),
        message: error.message,
        hint: error.hint,
    })
}

/// Only what a mistake of a person breaks: the client that uses it reads the rest.
fn url(text: &str, schemes: &[&str], example: &str) -> Result<(), Wrong> {
    let remedy = format!("write it like \"{example}\"");
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let known = scheme.is_some_and(|scheme| {
        schemes
            .iter()
            .any(|known| known.eq_ignore_ascii_case(scheme))
    });
    if !known {
        return Err(Wrong::new(
            format!("does not begin with {}://", schemes.join(":// or ")),
            &remedy,
        ));
    }
    if text
        .chars()
        .any(|each| each.is_whitespace() || each.is_control())
    {
        return Err(Wrong::new("has a blank or control character in it", ""));
    }
    if url_host(text).is_none_or(str::is_empty) {
        return Err(Wrong::new("names no host", &remedy));
    }
    Ok(())
}

/// Host and port of a URL, without user and password.
pub(super) fn url_host(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    Some(authority.rsplit('@').next().unwrap_or(authority))
}

fn variable(text: &str) -> Result<(), Wrong> {
    let starts = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_name = |each: char| each.is_ascii_alphanumeric() || each == '_';
    if starts && text.chars().all(is_name) {
        return Ok(());
    }
    Err(Wrong::new(
        "is not the name of an environment variable",
        "a secret does not belong in the file: put it in a variable and name that here, such as \"SLACK_URL\"",
    ))
}

fn address(text: &str) -> Result<(), Wrong> {
    let named = || {
        let (host, port) = text.rsplit_once(':')?;
        let plain = |each: char| each.is_ascii_alphanumeric() || each == '.' || each == '-';
        (!host.is_empty() && host.chars().all(plain)).then_some(())?;
        port.parse::<u16>().ok()
    };
    if text.parse::<SocketAddr>().is_ok() || named().is_some() {
        return Ok(());
    }
    Err(Wrong::new(
        "is not an address with a port",
        "write it like \"127.0.0.1:9598\" or \"[::1]:9598\"",
    ))
}

fn time(text: &str) -> Result<(), Wrong> {
    let known = text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
        || text.parse::<jiff::civil::Date>().is_ok();
    if known {
        return Ok(());
    }
    Err(Wrong::new(
        "is not a time",
        "write it like \"2024-03-01T10:00:00Z\"",
    ))
}

fn mailbox(text: &str) -> Result<(), Wrong> {
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let is_address = address
        .rsplit_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let blank = |each: char| each.is_control() || each.is_whitespace();
    if is_address && !address.chars().any(blank) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Wrong::new(
        "is not a mail address",
        "write it like \"admin@example.com\" or \"Operations <ops@example.com>\"",
    ))
}
