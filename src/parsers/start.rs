//! Hard starts: lines that open a record whatever came before. The reader cuts chunks before them
//! and the multiline machine ends a record at them, so the answer depends on the line alone, is
//! cheap, and rather says no: a stack frame or an indented line must never pass.

use crate::parsers::time::shape;

/// Farthest that the bracketed time of an access log is looked for: client, two names, spaces.
const ACCESS_HEAD_MAX: usize = 192;

/// Longest word before a time that still counts as a head (a file's name, `1234:M`).
const PREFIX_MAX: usize = 80;

/// Whether `line` opens a record whatever came before: a time, a level in capitals or brackets, a
/// JSON object, a syslog priority, a klog head, an access-log line, `level=`, `time=` or `ts=`.
pub fn is_hard_start(line: &[u8]) -> bool {
    let Some(&first) = line.first() else {
        return false;
    };
    match first {
        b'0'..=b'9' => {
            starts_with_time(line).is_some() || has_prefixed_time(line) || has_access_time(line)
        }
        b'A'..=b'Z' => {
            starts_with_time(line).is_some()
                || is_klog(line)
                || opens_with_level(line)
                || is_ruby_logger(line)
                || is_logcat(line)
                || has_prefixed_time(line)
                || has_access_time(line)
        }
        b'a'..=b'z' => is_logfmt_head(line) || has_prefixed_time(line) || has_access_time(line),
        b'[' => starts_with_time(&line[1..]).is_some() || is_bracketed_level(&line[1..]),
        b'{' => is_json_object(line),
        b'<' => is_priority(line) || starts_with_time(&line[1..]).is_some(),
        b'(' => starts_with_time(&line[1..]).is_some(),
        // WebLogic, and the slow log of MySQL.
        b'#' => {
            line.starts_with(b"# Time: ")
                || line
                    .strip_prefix(b"####<")
                    .is_some_and(|rest| starts_with_time(rest).is_some())
        }
        b'@' => starts_with_time(line).is_some(),
        b'-' => has_prefixed_time(line) || has_access_time(line),
        b':' | b'_' => has_access_time(line),
        // One blank before each line, as `docker compose --no-log-prefix` and `%5p` leave it.
        b' ' => {
            line.get(1)
                .is_some_and(|byte| !matches!(byte, b' ' | b'\t'))
                && is_hard_start(&line[1..])
        }
        0x1b => starts_with_time(skip_colours(line)).is_some(),
        _ => false,
    }
}

/// Whether a message may be a record of its own: the first bytes are those of a time, a level, a klog
/// head, a pair, an access line or a carrier's name. Cheap, and says yes too often.
#[inline]
pub fn opens_inside(message: &[u8]) -> bool {
    let Some(&first) = message.first() else {
        return false;
    };
    match first {
        b'a'..=b'z' | b'_' | b'@' => {
            let word = message
                .iter()
                .take(64)
                .take_while(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'/' | b'-')
                })
                .count();
            matches!(
                &message[word..],
                [b'=', ..] | [b' ', b' ' | b'|' | b'-' | b'{' | b'0'..=b'9', ..]
            ) || is_logfmt_head(message)
        }
        b'A'..=b'Z' => {
            is_klog(message)
                || opens_with_level(message)
                || starts_with_time(message).is_some()
                || message.starts_with(b"GET /")
                || message.starts_with(b"POST /")
        }
        b'0'..=b'9' | b':' | b'-' => {
            starts_with_time(message).is_some() || {
                let word = message
                    .iter()
                    .take(64)
                    .take_while(|byte| !matches!(byte, b' ' | b'\n'))
                    .count();
                matches!(&message[word..], [b' ', b'-' | b'"' | b'[', ..])
                    || matches!(
                        &message[word..],
                        [b' ', b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z', ..]
                    ) && message[..word]
                        .iter()
                        .any(|byte| matches!(byte, b'.' | b':'))
            }
        }
        b'[' => {
            starts_with_time(&message[1..]).is_some()
                || is_bracketed_level(&message[1..])
                || message.starts_with(b"[pid: ")
                || message.starts_with(b"[GIN")
        }
        b'<' => is_priority(message),
        b'*' => starts_with_time(&message[1..]).is_some(),
        b'%' => true,
        b'"' => message[1..].first().is_some_and(u8::is_ascii_uppercase),
        _ => false,
    }
}

/// Bytes of the time of day, with its date if there is one, that `text` starts with: by its layout
/// alone, without a calendar.
pub fn starts_with_time(text: &[u8]) -> Option<usize> {
    let stamp = shape::read(text).filter(|stamp| stamp.clock)?;
    match stamp.date {
        // A bare number is a time only if it is a word of its own and of this century.
        shape::Date::Epoch(second) => {
            let word_ends = matches!(
                text.get(stamp.len),
                None | Some(b' ' | b'\t' | b',' | b'|' | b']' | b':')
            );
            (text[0] == b'@'
                || word_ends && stamp.len >= 10 && (1_000_000_000..4_102_444_800).contains(&second))
            .then_some(stamp.len)
        }
        // `12:30` may be anything; a time of day needs its seconds, and a word's end.
        shape::Date::Missing => {
            let ends = matches!(text.get(stamp.len), Some(b' ' | b'\t' | b'|' | b']' | b','));
            (ends && stamp.len >= 8).then_some(stamp.len)
        }
        _ => Some(stamp.len),
    }
}

/// Skips escape sequences that set colours (`ESC [ … m`) at the start of `text`.
pub fn skip_colours(text: &[u8]) -> &[u8] {
    let mut text = text;
    while let Some(rest) = text.strip_prefix(b"\x1b[") {
        let Some(end) = rest.iter().take(16).position(u8::is_ascii_alphabetic) else {
            break;
        };
        text = &rest[end + 1..];
    }
    text
}

/// `I0517 15:04:22.619632`: a letter, month and day without a space, perhaps a year before them, a
/// time of day.
pub fn is_klog(line: &[u8]) -> bool {
    if !matches!(line.first(), Some(b'I' | b'W' | b'E' | b'F' | b'D')) {
        return false;
    }
    let digits = line[1..]
        .iter()
        .take(9)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let Some([b' ', head @ ..]) = line.get(1 + digits..) else {
        return false;
    };
    let Some(clock) = head.first_chunk::<8>() else {
        return false;
    };
    matches!(digits, 4 | 6 | 8)
        && clock[2] == b':'
        && clock[5] == b':'
        && [0, 1, 3, 4, 6, 7]
            .iter()
            .all(|&at| clock[at].is_ascii_digit())
}

/// `E/WifiHAL ( 2830): …`
fn is_logcat(line: &[u8]) -> bool {
    if !matches!(
        line,
        [
            b'V' | b'D' | b'I' | b'W' | b'E' | b'F',
            b'/',
            b'A'..=b'Z' | b'a'..=b'z',
            ..,
        ]
    ) {
        return false;
    }
    let window = &line[..line.len().min(PREFIX_MAX)];
    window
        .windows(3)
        .any(|part| part[0].is_ascii_digit() && &part[1..] == b"):")
}

/// `I, [2024-03-01T00:00:00.123456 #1234]  INFO -- : …`
fn is_ruby_logger(line: &[u8]) -> bool {
    matches!(line, [_, b',', b' ', b'[', rest @ ..] if starts_with_time(rest).is_some())
}

/// A level in capitals as the first word: `ERROR …`, `WARN: …`.
fn opens_with_level(line: &[u8]) -> bool {
    let len = line
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    is_level_in_capitals(&line[..len])
        && matches!(
            line.get(len),
            Some(b' ' | b':' | b'\t' | b'|' | b'[' | b']')
        )
}

/// `[ERROR] …`, `[WARN ] …`, `[info] …`, after the bracket.
fn is_bracketed_level(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let len = text
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let mut word = [0; 10];
    let word = &mut word[..len];
    word.copy_from_slice(&text[..len]);
    word.make_ascii_uppercase();
    is_level_in_capitals(word) && text[len..].trim_ascii_start().first() == Some(&b']')
}

fn is_level_in_capitals(word: &[u8]) -> bool {
    matches!(
        word,
        b"TRACE"
            | b"DEBUG"
            | b"INFO"
            | b"NOTICE"
            | b"WARN"
            | b"WARNING"
            | b"ERROR"
            | b"SEVERE"
            | b"CRIT"
            | b"CRITICAL"
            | b"FATAL"
            | b"ALERT"
            | b"EMERG"
    )
}

/// A logfmt line that opens with its level or its time.
fn is_logfmt_head(line: &[u8]) -> bool {
    let len = line
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_lowercase())
        .count();
    line.get(len) == Some(&b'=')
        && matches!(
            &line[..len],
            b"level" | b"lvl" | b"time" | b"ts" | b"timestamp" | b"t" | b"severity"
        )
}

fn is_json_object(line: &[u8]) -> bool {
    let rest = line[1..].trim_ascii_start();
    matches!(rest.first(), Some(b'"'))
}

/// `<PRI>`: one to three digits, at most 191 (RFC 5424, section 6.2.1).
fn is_priority(line: &[u8]) -> bool {
    let digits = line[1..]
        .iter()
        .take(3)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let value = line[1..1 + digits]
        .iter()
        .fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    digits > 0 && value <= 191 && line.get(1 + digits) == Some(&b'>')
}

/// One word and then a full date and time: `app.log.1 2024-03-01 00:00:00.008 …`,
/// `1234:M 01 Mar 2024 00:00:00.123 …`, `- 1117838570 2005.06.03 …`. A word of letters alone is
/// speech (`at 10:15`, `since 2024-…`).
pub fn has_prefixed_time(line: &[u8]) -> bool {
    prefixed_time(line).is_some()
}

/// What the first word of a line is, as far as its signs tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// A file, a process, a host: a digit or a sign in it.
    Name,
    /// Letters alone, or punctuation at the end.
    Speech,
}

/// Where the second word of `line` starts, and what the first one is.
#[inline]
pub fn prefix(line: &[u8]) -> Option<(usize, Prefix)> {
    let space = memchr::memchr(b' ', &line[..line.len().min(PREFIX_MAX)])?;
    let word = &line[..space];
    let speech = word.last()?.is_ascii_punctuation() || word.iter().all(u8::is_ascii_alphabetic);
    Some((
        space + 1,
        if speech { Prefix::Speech } else { Prefix::Name },
    ))
}

/// Where the time starts that stands after the first word of `line`.
pub fn prefixed_time(line: &[u8]) -> Option<usize> {
    let (time, prefix) = prefix(line)?;
    let speech = prefix == Prefix::Speech;
    // Cheap no: most second words open with a letter that no month has, or a sign.
    if !matches!(
        line.get(time)?,
        b'0'..=b'9' | b'A' | b'D' | b'F' | b'J' | b'M' | b'N' | b'O' | b'S' | b'T' | b'W'
    ) {
        return None;
    }
    let stamp = shape::read(&line[time..]).filter(|stamp| stamp.clock)?;
    match stamp.date {
        shape::Date::Epoch(second) => {
            // `- 1117838570 2005.06.03 …`: a number alone says too little, a date must follow it.
            let plausible = (1_000_000_000..4_102_444_800).contains(&second);
            let next = line.get(time + stamp.len + 1..)?;
            (plausible
                && stamp.len == 10
                && next.get(4).is_some_and(u8::is_ascii_punctuation)
                && shape::read(next).is_some())
            .then_some(time)
        }
        _ if speech => None,
        shape::Date::Missing | shape::Date::Yearless { .. } => None,
        _ => Some(time),
    }
}

/// `[01/Mar/2024:00:00:00` after the client and at least two more spaces.
fn has_access_time(line: &[u8]) -> bool {
    let window = &line[..line.len().min(ACCESS_HEAD_MAX)];
    let mut from = 0;
    // A user's name may hold a bracket; four are enough to get past it.
    for _ in 0..4 {
        let Some(open) = memchr::memchr(b'[', &window[from..]).map(|open| from + open) else {
            return false;
        };
        if is_access_time(&line[open + 1..]) {
            return window[..open].ends_with(b" ")
                && memchr::memchr_iter(b' ', &window[..open]).nth(1).is_some();
        }
        from = open + 1;
    }
    false
}

fn is_access_time(text: &[u8]) -> bool {
    let Some(head) = text.first_chunk::<20>() else {
        return false;
    };
    head[2] == b'/'
        && head[6] == b'/'
        && head[11] == b':'
        && head[14] == b':'
        && head[17] == b':'
        && shape::read(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_lines_that_open_a_record() {
        for line in [
            "2024-03-01 00:00:00,000 WARN x",
            "2024-03-01T00:00:00Z x",
            "[2024-03-01T00:00:00,000][WARN ][x] y",
            "[Sun Dec 04 04:47:44 2005] [notice] x",
            "240301 000000 148 INFO x",
            "24/03/01 00:00:00 INFO x",
            "Mar  1 00:00:00 combo sshd[1]: x",
            "nova-api.log.1.2017-05-16_13:53:08 2024-03-01 00:00:00.003 25746 INFO x",
            "1234:M 01 Mar 2024 00:00:00.123 * Ready",
            "- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.675872 x",
            "03-17 16:13:38.811  1702  2395 D WindowManager: x",
            "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579",
            "[10.30 16:49:06] chrome.exe - x",
            "10.1.2.3 - - [01/Mar/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1",
            "example.org:443 ::1 - bob [01/Mar/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1",
            "{\"a\":1}",
            "{ \"a\": 1}",
            "<34>1 2003-10-11T22:14:15.003Z x",
            "<0>x",
            "I0517 15:04:22.619632 1 a.cc:2] x",
            "ERROR something",
            "WARN: something",
            "[ERROR] something",
            "[WARN ] something",
            "level=info msg=x",
            "ts=2024-03-01T00:00:00Z msg=x",
            "1428634687123 Hello",
            "14:23:01.123 [main] INFO a.b.C - x",
            "@40000000433225833b6e1a8c tcpserver: x",
            "I, [2024-03-01T00:00:00.123456 #1234]  INFO -- : x",
            "Wed May 19 08:00:01 EST 2021 line 1",
            " {\"a\":1}",
            " 2024-03-01 00:00:00,000 WARN x",
            " INFO [main] x",
            "# Time: 2024-03-01T00:00:00.000000Z",
        ] {
            assert!(is_hard_start(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn knows_lines_that_may_continue_one() {
        for line in [
            "",
            " ",
            "\tat org.apache.Foo.bar(Foo.java:12)",
            "  File \"a.py\", line 3, in <module>",
            "at 2024-03-01 00:00:00 it broke",
            "Caused by: java.io.IOException: x",
            "java.lang.IllegalStateException: at 2024-03-01 00:00:00",
            "Traceback (most recent call last):",
            "goroutine 1 [running]:",
            "main.main()",
            "}",
            "{",
            "... 12 more",
            "Error: something",
            "ValueError: bad",
            "<root>",
            "<999>x",
            "[main] x",
            "[1, 2, 3]",
            "12:30 is the time",
            "1709251200",
            "123",
            "10.2.3.4 says",
            "   2024-03-01 00:00:00 x",
            "INFORMATION about",
            "ERRORS",
            "level of detail",
            "- name: x",
            "-1234567890 x",
            "    \"2024-03-01 00:00:00\": 1",
        ] {
            // A bare epoch number of ten digits is a time.
            assert_eq!(
                is_hard_start(line.as_bytes()),
                line == "1709251200",
                "{line}"
            );
        }
    }
}
