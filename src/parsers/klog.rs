//! klog and glog heads: `I0517 15:04:22.619632 1234 file.cc:253] message`, also with a year
//! (`I20240517 15:04:22.619632 …`, glog since 0.5).

use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::row::{Row, Text};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::parsers::pairs::{Fields, Parts};
use crate::parsers::time::Clock;

/// The longest head that is read: a file name has its limit.
const HEAD_MAX: usize = 320;

pub struct Parser {
    fields: Fields,
}

impl Parser {
    pub fn new(wanted: &Wanted) -> Parser {
        Parser {
            fields: Fields::new(wanted),
        }
    }

    pub fn parse(&mut self, record: &[u8], clock: &mut Clock, row: &mut Row) -> bool {
        let level = match record.first() {
            Some(b'I') => Level::Info,
            Some(b'W') => Level::Warn,
            Some(b'E') => Level::Error,
            Some(b'F') => Level::Fatal,
            Some(b'D') => Level::Debug,
            _ => return false,
        };
        let digits = record[1..]
            .iter()
            .take(9)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if !matches!(digits, 4 | 6 | 8) || record.get(1 + digits) != Some(&b' ') {
            return false;
        }
        // With a year of four digits (glog) or two (CockroachDB).
        let (time, mut at) = if digits > 4 {
            let Some(reading) = clock.reading(&record[1..]) else {
                return false;
            };
            (reading.time, 1 + reading.len)
        } else {
            // The clock knows month and day with a dash between them.
            let mut text = [0; 32];
            let rest = &record[3..record.len().min(3 + 28)];
            text[..2].copy_from_slice(&record[1..3]);
            text[2] = b'-';
            text[3..3 + rest.len()].copy_from_slice(rest);
            let Some(reading) = clock.reading(&text[..3 + rest.len()]) else {
                return false;
            };
            (reading.time, reading.len)
        };
        // ` 1234 file.cc:253] `
        let head = &record[..record.len().min(HEAD_MAX)];
        let line_end = memchr::memchr(b'\n', head).unwrap_or(head.len());
        // CockroachDB: ` 12 server/node.go:12 ⋮ [n1] 17  message`
        if digits == 6
            && let Some(dots) = memchr::memmem::find(&head[at..line_end], " \u{22ee} ".as_bytes())
        {
            return self.cockroach(record, (at, at + dots), time, level, row);
        }
        let Some(close) = memchr::memchr(b']', &head[at..line_end]).map(|close| at + close) else {
            return false;
        };
        at += head[at..close]
            .iter()
            .take_while(|&&byte| byte == b' ')
            .count();
        let mut parts = Parts::default();
        let pid = head[at..close]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if pid > 0 {
            parts.pid = Some(at..at + pid);
            at += pid;
        }
        at += head[at..close]
            .iter()
            .take_while(|&&byte| byte == b' ')
            .count();
        let Some(colon) = memchr::memrchr(b':', &head[at..close]).map(|colon| at + colon) else {
            return false;
        };
        if !head[colon + 1..close].iter().all(u8::is_ascii_digit) || colon + 1 == close {
            return false;
        }
        parts.file = Some(at..colon);
        parts.line = Some(colon + 1..close);
        let start = if record.get(close + 1) == Some(&b' ') {
            close + 2
        } else {
            close + 1
        };
        self.fill(record, &parts, start, (time, level), row);
        true
    }

    /// Takes over a head, behind which the message starts at `start`.
    fn fill(
        &self,
        record: &[u8],
        parts: &Parts,
        start: usize,
        (time, level): (Option<Time>, Level),
        row: &mut Row,
    ) {
        let end = start + record[start..].trim_ascii_end().len();
        row.format = Format::Klog;
        row.time = time;
        row.level = Some(level);
        row.message = Text::record(start, end);
        self.fields.fill(record, parts, start..end, row);
    }

    /// The rest of a head from its number and file, between `at` and the sign, to the message.
    fn cockroach(
        &self,
        record: &[u8],
        (at, sign): (usize, usize),
        time: Option<Time>,
        level: Level,
        row: &mut Row,
    ) -> bool {
        let mut parts = Parts::default();
        let mut words = record[at..sign].split(|&byte| byte == b' ').rev();
        let Some(place) = words.next() else {
            return false;
        };
        let from = sign - place.len();
        if let Some(colon) = memchr::memrchr(b':', place) {
            parts.file = Some(from..from + colon);
            parts.line = Some(from + colon + 1..sign);
        }
        // The sign takes five bytes with the blanks around it.
        let mut start = sign + 5;
        if record.get(start) == Some(&b'[')
            && let Some(close) = record[start..]
                .iter()
                .take(HEAD_MAX)
                .position(|&byte| byte == b']')
        {
            parts.thread = Some(start + 1..start + close);
            start += close + 1;
        }
        let blanks = |at: usize| {
            record[at..]
                .iter()
                .take_while(|byte| **byte == b' ')
                .count()
        };
        start += blanks(start);
        let digits = record[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits > 0 && record.get(start + digits) == Some(&b' ') {
            start += digits;
            start += blanks(start);
        }
        self.fill(record, &parts, start, (time, level), row);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::facts::Facts;

    #[test]
    fn reads_heads_of_klog_and_glog() {
        let facts = Facts {
            zone: jiff::tz::TimeZone::UTC,
            anchor: Time(1_716_000_000 * Time::SECOND),
            format: None,
            csv: None,
        };
        let mut clock = Clock::new(&facts);
        let mut parser = Parser::new(&Wanted {
            paths: ["pid", "file", "line"]
                .map(crate::flow::wanted::Path::new)
                .to_vec(),
            ..Wanted::default()
        });
        let mut row = Row::new(3);
        for (record, time, level, message, fields) in [
            (
                "E0517 15:04:22.619632 1952452992 logging_unittest.cc:253] Log every 3",
                "2024-05-17T15:04:22.619632Z",
                Level::Error,
                "Log every 3",
                ["1952452992", "logging_unittest.cc", "253"],
            ),
            (
                "W0418 07:00:00.000001       1 a.go:9] \"x\" y=1",
                "2024-04-18T07:00:00.000001Z",
                Level::Warn,
                "\"x\" y=1",
                ["1", "a.go", "9"],
            ),
            (
                "I20240417 15:04:22.619632 7 b.cc:1] z",
                "2024-04-17T15:04:22.619632Z",
                Level::Info,
                "z",
                ["7", "b.cc", "1"],
            ),
        ] {
            row.reset();
            assert!(
                parser.parse(record.as_bytes(), &mut clock, &mut row),
                "{record}"
            );
            let text = |text| {
                std::str::from_utf8(row.bytes(record.as_bytes(), text))
                    .expect("ASCII")
                    .to_string()
            };
            assert_eq!(
                (
                    row.time.expect("a time").to_string().as_str(),
                    row.level,
                    text(row.message).as_str()
                ),
                (time, Some(level), message)
            );
            assert_eq!(
                row.values
                    .iter()
                    .map(|value| text(value.text))
                    .collect::<Vec<_>>(),
                fields
            );
        }
        for record in [
            "",
            "I",
            "I0517",
            "I0517 15:04:22.6",
            "Info: x",
            "E0517 15:04:22.619632 1 no bracket",
            "I0517 15:04:22 x] y",
            "D1234 99:99:99 a:1] b",
        ] {
            assert!(
                !parser.parse(record.as_bytes(), &mut clock, &mut row),
                "{record}"
            );
        }
    }
}
