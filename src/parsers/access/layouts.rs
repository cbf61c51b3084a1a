//! Layouts of access lines beside the common and the combined one, as patterns that a person can read
//! next to a line of the program. Adding a layout is adding a row.
//!
//! In a pattern a blank stands for any blanks, other signs for themselves, and
//!
//! | sign | what |
//! |---|---|
//! | `%t` | the time; `%T` the same with blanks in it, `%D` a date and a time of day |
//! | `%c` `%u` | client, user |
//! | `%R` | the request as it was sent: `GET /a HTTP/1.1` |
//! | `%m` `%p` `%P` | method, path, protocol |
//! | `%s` `%b` `%d` | status, bytes, response time |
//! | `%r` `%a` | referrer, agent |
//! | `%-` | a value that is not looked at |
//! | `%~` | anything up to the next sign |
//! | `%*` | the rest of the line |
//!
//! A value ends where the pattern's next sign stands. A line fits if all of its pattern does, the
//! status is one, the time can be read and the method is one of HTTP's.

use std::ops::Range;

/// What a line has to open with so that a pattern is tried at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// The search for an access log's time in brackets has found one.
    Timed,
    With(&'static str),
    /// `198.51.100.7:53211 - "` or the like: an address, then a quote soon.
    Client,
    Method,
    /// Digits with a point in them.
    Epoch,
    /// `10:00:00 | `
    ClockAndBar,
    /// A name, then an address with its port.
    Balancer,
    /// A date, then a tab.
    DateAndTab,
}

pub struct Layout {
    pub program: &'static str,
    pub opens: Opens,
    pattern: &'static str,
    /// The response time has the name that the program gives it, too.
    pub duration: bool,
}

const fn layout(program: &'static str, opens: Opens, pattern: &'static str) -> Layout {
    Layout {
        program,
        opens,
        pattern,
        duration: false,
    }
}

const fn proxy(program: &'static str, pattern: &'static str) -> Layout {
    Layout {
        duration: true,
        ..layout(program, Opens::Timed, pattern)
    }
}

/// Of two that fit the first counts.
pub const LAYOUTS: [Layout; 31] = [
    proxy(
        "istio",
        r#"[%t] "%R" %s %- %- %- "%-" %- %b %d %- "%c" "%a"%*"#,
    ),
    proxy("envoy", r#"[%t] "%R" %s %- %- %b %d %- "%c" "%a"%*"#),
    layout("django", Opens::Timed, r#"[%t] "%R" %s %b"#),
    layout(
        "nginx proxy manager",
        Opens::Timed,
        r#"[%t] %- %- %s - %m %- %- "%p" [Client %c] [Length %b] %~"%a" "%r""#,
    ),
    layout(
        "nginx proxy manager",
        Opens::Timed,
        r#"[%t] %- %s - %m %- %- "%p" [Client %c] [Length %b] %~"%a" "%r""#,
    ),
    layout(
        "haproxy",
        Opens::Timed,
        r#"%c [%t] %- %- %d %s %b %- %- %- %- %- %~"%R""#,
    ),
    layout(
        "status first",
        Opens::Timed,
        r#"%c %- %u [%t] %s "%R" %b "%r" "%a"%*"#,
    ),
    layout("status first", Opens::Timed, r#"%c %- %u [%t] %s "%R" %b"#),
    layout(
        "s3",
        Opens::Timed,
        r#"%- %- [%t] %c %u %- %- %- "%R" %s %- %b %- %d %- "%r" "%a"%*"#,
    ),
    layout(
        "gin",
        Opens::With("[GIN"),
        "[GIN] %T | %s | %d | %c | %m \"%p\"%*",
    ),
    layout(
        "gin",
        Opens::With("[GIN"),
        "[GIN] %T | %s | %d | %c | %m %p",
    ),
    layout(
        "uwsgi",
        Opens::With("[pid: "),
        "[pid: %~] %c (%u) {%-} [%t] %m %p => generated %b bytes in %d msecs (%P %s)%*",
    ),
    layout(
        "uwsgi",
        Opens::With("[pid: "),
        "[pid: %~] %c () {%-} [%t] %m %p => generated %b bytes in %d msecs (%P %s)%*",
    ),
    layout(
        "alb",
        Opens::With("http"),
        r#"%- %t %- %c %- %- %d %- %s %- %- %b "%R" "%a"%*"#,
    ),
    layout(
        "alb",
        Opens::With("h2 "),
        r#"%- %t %- %c %- %- %d %- %s %- %- %b "%R" "%a"%*"#,
    ),
    layout(
        "alb",
        Opens::With("ws"),
        r#"%- %t %- %c %- %- %d %- %s %- %- %b "%R" "%a"%*"#,
    ),
    layout(
        "elb",
        Opens::Balancer,
        r#"%- %c %- %- %d %- %s %- %- %b "%R" "%a"%*"#,
    ),
    layout("uvicorn", Opens::Client, r#"%c - "%R" %s%*"#),
    layout("request and status", Opens::Client, r#"%c "%R" %s %b%*"#),
    layout(
        "request and status",
        Opens::Client,
        r#"%c - - "%R" %s %b%*"#,
    ),
    layout(
        "request and status",
        Opens::Client,
        r#"%c - %u "%R" %s %b%*"#,
    ),
    layout("php", Opens::Client, "%c [%s]: %m %p%*"),
    layout("iis", Opens::Client, "%- %m %p %- %- %u %c %a %s %- %- %d"),
    layout(
        "iis",
        Opens::Client,
        "%- %m %p %- %- %u %c %a %r %s %- %- %d",
    ),
    layout(
        "cloudfront",
        Opens::DateAndTab,
        "%D %- %b %c %m %- %p %s %r %a%*",
    ),
    layout("squid", Opens::Epoch, "%t %d %c %-/%s %b %m %p %u%*"),
    layout("fiber", Opens::ClockAndBar, "%- | %s | %d | %c | %m | %p%*"),
    layout("morgan", Opens::Method, "%m %p %s %d ms - %b"),
    layout("morgan", Opens::Method, "%m %p %s %b - %d ms"),
    layout("next", Opens::Method, "%m %p %s in %d%*"),
    layout("chi", Opens::With("\""), r#""%R" from %c - %s %b in %d"#),
];

/// Where the values of a line stand.
#[derive(Clone, Debug, Default)]
pub struct Values {
    pub time: Range<usize>,
    pub client: Range<usize>,
    pub user: Range<usize>,
    pub request: Range<usize>,
    pub method: Range<usize>,
    pub path: Range<usize>,
    pub protocol: Range<usize>,
    pub status: Range<usize>,
    pub bytes: Range<usize>,
    pub duration: Range<usize>,
    pub referrer: Range<usize>,
    pub agent: Range<usize>,
}

/// Whether `record` opens as a layout that no time in brackets announces.
pub fn may_open(record: &[u8], opens: Opens) -> bool {
    let word = || {
        record
            .iter()
            .take(64)
            .position(|&byte| byte == b' ')
            .unwrap_or(0)
    };
    match opens {
        Opens::Timed => false,
        Opens::With(text) => record.starts_with(text.as_bytes()),
        Opens::Client => {
            record
                .first()
                .is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':' || *byte == b'[')
                && matches!(
                    &record[word()..],
                    [b' ', b'-', b' ', ..]
                        | [b' ', b'"', ..]
                        | [b' ', b'[', b'1'..=b'5', ..]
                        | [b' ', b'A'..=b'Z', b'A'..=b'Z', b'A'..=b'Z', ..]
                )
                && is_address(&record[..word()])
        }
        Opens::Method => {
            record.first().is_some_and(u8::is_ascii_uppercase) && is_method(&record[..word()])
        }
        Opens::Epoch => {
            record.get(10) == Some(&b'.') && record[..10].iter().all(u8::is_ascii_digit)
        }
        Opens::ClockAndBar => {
            matches!(
                record,
                [b'0'..=b'9', _, b':', _, _, b':', _, _, b' ', b'|', b' ', ..]
            )
        }
        Opens::DateAndTab => record.get(10) == Some(&b'\t'),
        Opens::Balancer => {
            let word = word();
            record.first().is_some_and(u8::is_ascii_lowercase)
                && record.get(word + 1).is_some_and(u8::is_ascii_digit)
                && record[word + 1..]
                    .iter()
                    .take(24)
                    .take_while(|byte| **byte != b' ')
                    .any(|byte| *byte == b':')
        }
    }
}

/// An address of a client, with its port or not.
fn is_address(word: &[u8]) -> bool {
    word.iter()
        .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b'[' | b']'))
        && word.iter().any(|byte| matches!(byte, b'.' | b':'))
}

pub fn is_method(word: &[u8]) -> bool {
    matches!(
        word,
        b"GET"
            | b"POST"
            | b"PUT"
            | b"DELETE"
            | b"HEAD"
            | b"OPTIONS"
            | b"PATCH"
            | b"CONNECT"
            | b"TRACE"
            | b"PROPFIND"
            | b"REPORT"
            | b"MKCOL"
            | b"PRI"
            | b"PURGE"
    )
}

impl Layout {
    /// Where the values stand, if the line fits.
    pub fn fit(&self, record: &[u8]) -> Option<Values> {
        let pattern = self.pattern.as_bytes();
        let mut values = Values::default();
        let (mut sign, mut at) = (0, 0);
        while let Some(&byte) = pattern.get(sign) {
            sign += 1;
            match byte {
                b' ' => {
                    let blanks = record
                        .get(at..)?
                        .iter()
                        .take_while(|byte| matches!(byte, b' ' | b'\t'))
                        .count();
                    if blanks == 0 {
                        return None;
                    }
                    at += blanks;
                }
                b'%' => {
                    let kind = pattern[sign];
                    sign += 1;
                    if kind == b'*' {
                        return values.are_right(record).then_some(values);
                    }
                    let range = value(record, at, kind, &pattern[sign..])?;
                    at = range.end;
                    if kind == b'T' {
                        at = range.end
                            + record[range.end..]
                                .iter()
                                .take_while(|byte| **byte == b' ')
                                .count();
                        sign += 1;
                    }
                    if let Some(place) = values.place(kind) {
                        *place = range;
                    }
                }
                _ if record.get(at) == Some(&byte) => at += 1,
                _ => return None,
            }
        }
        (at == record.len() && values.are_right(record)).then_some(values)
    }
}

/// The value at `at`, which ends where the rest of the pattern begins.
fn value(record: &[u8], at: usize, kind: u8, rest: &[u8]) -> Option<Range<usize>> {
    let text = record.get(at..)?;
    let len = match (kind, rest) {
        (b'T', [b' ', next, ..]) => {
            let end = memchr::memchr(*next, text)?;
            text[..end].trim_ascii_end().len()
        }
        (b'D', _) => {
            let date = memchr::memchr2(b' ', b'\t', text)?;
            date + 1 + memchr::memchr2(b' ', b'\t', text.get(date + 1..)?)?
        }
        (b'~', [next, ..]) => memchr::memchr(*next, text)?,
        (_, []) | (_, [b'%', b'*', ..]) => match rest {
            // A status or a path before the rest is one word.
            [_, ..] => memchr::memchr2(b' ', b'"', text).unwrap_or(text.len()),
            [] => text.len(),
        },
        (_, [b'"', ..]) => {
            let mut from = 0;
            loop {
                let quote = from + memchr::memchr(b'"', text.get(from..)?)?;
                if quote == 0 || text[quote - 1] != b'\\' {
                    break quote;
                }
                from = quote + 1;
            }
        }
        (_, [b' ', ..]) => memchr::memchr2(b' ', b'\t', text)?,
        (_, [next, ..]) => memchr::memchr(*next, text)?,
    };
    Some(at..at + len)
}

impl Values {
    fn place(&mut self, kind: u8) -> Option<&mut Range<usize>> {
        Some(match kind {
            b't' | b'T' | b'D' => &mut self.time,
            b'c' => &mut self.client,
            b'u' => &mut self.user,
            b'R' => &mut self.request,
            b'm' => &mut self.method,
            b'p' => &mut self.path,
            b'P' => &mut self.protocol,
            b's' => &mut self.status,
            b'b' => &mut self.bytes,
            b'd' => &mut self.duration,
            b'r' => &mut self.referrer,
            b'a' => &mut self.agent,
            _ => return None,
        })
    }

    /// Whether status and method are such.
    fn are_right(&self, record: &[u8]) -> bool {
        let status = &record[self.status.clone()];
        let status = match status {
            [b'1'..=b'5', rest @ ..] if rest.len() == 2 => rest.iter().all(u8::is_ascii_digit),
            [b'0' | b'-'] | b"-1" | b"000" => true,
            _ => false,
        };
        status && (self.method.is_empty() || is_method(&record[self.method.clone()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_each_program_fits_its_line() {
        for (program, line, status, duration) in [
            (
                "istio",
                r#"[2024-03-01T00:00:00.409Z] "GET /a HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/7" "id" "h:1" "127.0.0.1:80" inbound|1|| 127.0.0.6:1 10.0.0.1:2 - default"#,
                "418",
                "3",
            ),
            (
                "envoy",
                r#"[2024-03-01T00:00:00.160Z] "POST /o HTTP/2" 503 UF,URX 16 91 5008 - "-" "grpc-go/1" "id" "h" "10.0.4.13:80""#,
                "503",
                "5008",
            ),
            (
                "django",
                r#"[01/Mar/2024 00:00:00] "GET / HTTP/1.1" 200 1234"#,
                "200",
                "",
            ),
            (
                "nginx proxy manager",
                r#"[01/Mar/2024:00:00:00 +0000] - 404 404 - GET https a.org "/x" [Client 1.2.3.4] [Length 12] [Gzip -] [Sent-to 10.0.0.2] "curl" "-""#,
                "404",
                "",
            ),
            (
                "haproxy",
                r#"1.2.3.4:5 [01/Mar/2024:00:00:00.601] public~ shop/web1 10/0/30/69/109 200 2750 - - ---- 2/2/0/0/0 0/0 {a|b} "GET / HTTP/1.1""#,
                "200",
                "10/0/30/69/109",
            ),
            (
                "gin",
                r#"[GIN] 2024/03/01 - 00:00:05 | 500 |     1.2ms |    1.2.3.4 | GET      "/cart""#,
                "500",
                "1.2ms",
            ),
            (
                "uwsgi",
                "[pid: 1|app: 0|req: 1/1] 1.2.3.4 () {40 vars in 500 bytes} [Fri Mar  1 00:00:00 2024] GET /a => generated 157 bytes in 3 msecs (HTTP/1.1 502) 2 headers",
                "502",
                "3",
            ),
            (
                "alb",
                r#"https 2024-03-01T00:00:00.186641Z app/lb/5 1.2.3.4:5 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "GET https://a:443/ HTTP/1.1" "curl" X TLSv1.2 arn:x"#,
                "200",
                "0.048",
            ),
            (
                "uvicorn",
                r#"1.2.3.4:5 - "GET /a HTTP/1.1" 500 Internal Server Error"#,
                "500",
                "",
            ),
            (
                "squid",
                "1709251200.123    250 1.2.3.4 TCP_MISS/404 1024 GET http://a/ - HIER_DIRECT/2.2.2.2 text/html",
                "404",
                "250",
            ),
            ("morgan", "GET /a 502 12.345 ms - 157", "502", "12.345"),
            (
                "chi",
                r#""GET http://a/ HTTP/1.1" from 1.2.3.4:5 - 500 12B in 1.2ms"#,
                "500",
                "1.2ms",
            ),
            (
                "fiber",
                "10:00:05 | 404 |   1ms | 1.2.3.4 | GET | /x | -",
                "404",
                "1ms",
            ),
            ("php", "1.2.3.4:5 [404]: GET /x - No such file", "404", ""),
        ] {
            let found = LAYOUTS
                .iter()
                .find_map(|layout| Some((layout.program, layout.fit(line.as_bytes())?)));
            let (name, values) = found.unwrap_or_else(|| panic!("nothing fits {line}"));
            assert_eq!(
                (name, &line[values.status], &line[values.duration]),
                (program, status, duration),
                "{line}"
            );
        }
    }

    #[test]
    fn text_fits_no_row() {
        for line in [
            "GET /errors/fatal.html 200",
            "POST it 200 times in a row",
            "1.2.3.4 - says hello",
            "10:00:05 | 3 | items",
            "http 200 ok",
        ] {
            assert!(
                LAYOUTS
                    .iter()
                    .all(|layout| layout.fit(line.as_bytes()).is_none()),
                "{line}"
            );
        }
    }
}
