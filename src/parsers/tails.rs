//! What some programs put behind a message: nginx its `, client: …, server: …`, Kafka the logger in
//! parentheses, zap and Monolog an object of JSON. Tails become fields and leave the message, so that
//! one fault is one row. Each has a cheap sign that nearly every message lacks.

use std::ops::Range;

/// Longest name in parentheses that counts as a logger.
const LOGGER_MAX: usize = 120;

/// Farthest from the end that an object's start is looked for.
const OBJECT_MAX: usize = 8 * 1024;

/// The names of nginx' tail, and of the fields that they give.
const NGINX: [(&str, &str); 7] = [
    ("client", "client"),
    ("server", "server"),
    ("request", "request"),
    ("upstream", "upstream"),
    ("host", "host"),
    ("referrer", "referrer"),
    ("subrequest", "subrequest"),
];

/// The message without the number of a connection before it and the pairs behind it, as nginx writes
/// its error log: `*12 open() failed, client: 1.2.3.4, server: a, request: "GET / HTTP/1.1"`. Calls
/// `each` with the name of every pair and the place of its value.
pub fn nginx(
    message: &[u8],
    mut each: impl FnMut(&'static str, Range<usize>),
) -> Option<Range<usize>> {
    let digits = message
        .strip_prefix(b"*")?
        .iter()
        .take(20)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 || message.get(1 + digits) != Some(&b' ') {
        return None;
    }
    let start = digits + 2;
    let Some(end) = memchr::memmem::rfind(message, b", client: ") else {
        return Some(start..message.len());
    };
    let mut at = end;
    while let Some(pair) = message.get(at..).and_then(|rest| rest.strip_prefix(b", ")) {
        let Some((name, field)) = NGINX.iter().find(|(name, _)| {
            pair.strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b": "))
        }) else {
            break;
        };
        let from = at + 2 + name.len() + 2;
        let value = if message.get(from) == Some(&b'"') {
            let close = memchr::memchr(b'"', &message[from + 1..])
                .map_or(message.len(), |len| from + 1 + len);
            at = (close + 1).min(message.len());
            from + 1..close
        } else {
            let len = memchr::memchr(b',', &message[from..]).unwrap_or(message.len() - from);
            at = from + len;
            from..from + len
        };
        each(field, value);
    }
    Some(start..end.max(start))
}

/// The logger in parentheses at the end of a message of one line: `… (kafka.server.KafkaServer)`. The
/// message before it, and the name.
pub fn logger(message: &[u8]) -> Option<(usize, Range<usize>)> {
    let inner = message.strip_suffix(b")")?;
    let open = memchr::memrchr(b'(', &inner[inner.len().saturating_sub(LOGGER_MAX)..])?
        + inner.len().saturating_sub(LOGGER_MAX);
    let name = &inner[open + 1..];
    let dots = name.iter().filter(|byte| **byte == b'.').count();
    let is_name = dots >= 1
        && name[0].is_ascii_lowercase()
        && !name.ends_with(b".")
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'));
    // `open (a.txt)` and `f(x.y)` are text: a class has a capital, or there are packages.
    let last = name.rsplit(|&byte| byte == b'.').next()?;
    (is_name
        && (last[0].is_ascii_uppercase() || dots >= 2)
        && open > 1
        && inner[open - 1] == b' '
        && !message.contains(&b'\n'))
    .then(|| (open - 1, open + 1..inner.len()))
}

/// Where the object starts that ends a message, and where the text before it ends. An empty list may
/// stand around it, as Monolog writes it: `text {"id":17} []`. Whether it is JSON is for the caller.
pub fn object(message: &[u8]) -> Option<(usize, Range<usize>)> {
    let mut end = message.len();
    if message.ends_with(b"] ") || message.ends_with(b"]") || message.ends_with(b" ") {
        let trimmed = message.trim_ascii_end();
        let trimmed = trimmed.strip_suffix(b"[]").unwrap_or(trimmed);
        end = trimmed.trim_ascii_end().len();
    }
    let text = &message[..end];
    if !text.ends_with(b"}") || text.len() > OBJECT_MAX {
        return None;
    }
    let open = memchr::memmem::find(text, b"{\"")?;
    let head = &text[..open];
    if !matches!(head.last(), Some(b' ' | b'\t')) {
        return None;
    }
    let before = head.trim_ascii_end().len();
    (before > 0).then_some((before, open..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_tail_of_nginx_apart() {
        let line = "*12 open() \"/a, b\" failed, client: 1.2.3.4, server: _, request: \"GET /, x HTTP/1.1\", host: \"a.org\"";
        let mut pairs = Vec::new();
        let message = nginx(line.as_bytes(), |name, value| {
            pairs.push((name, &line[value]))
        })
        .unwrap();
        assert_eq!(&line[message], "open() \"/a, b\" failed");
        assert_eq!(
            pairs,
            [
                ("client", "1.2.3.4"),
                ("server", "_"),
                ("request", "GET /, x HTTP/1.1"),
                ("host", "a.org")
            ]
        );
        assert_eq!(nginx(b"* x", |_, _| ()), None);
        assert_eq!(nginx(b"*7 x", |_, _| ()), Some(3..4));
    }

    #[test]
    fn tells_a_logger_from_text() {
        let check = |text: &str, want: Option<(&str, &str)>| {
            let got = logger(text.as_bytes()).map(|(end, name)| (&text[..end], &text[name]));
            assert_eq!(got, want, "{text}");
        };
        check(
            "Starting (kafka.server.KafkaServer)",
            Some(("Starting", "kafka.server.KafkaServer")),
        );
        check(
            "x (state.change.logger)",
            Some(("x", "state.change.logger")),
        );
        check("opened (a.txt)", None);
        check("took (12.5)", None);
        check("f(a.B)", None);
        check("x (a b.C)", None);
        check("(kafka.server.KafkaServer)", None);
    }

    #[test]
    fn finds_the_object_behind_a_text() {
        let check = |text: &str, want: Option<(&str, &str)>| {
            let got = object(text.as_bytes()).map(|(end, object)| (&text[..end], &text[object]));
            assert_eq!(got, want, "{text}");
        };
        check(
            "handled request\t{\"a\": 1}",
            Some(("handled request", "{\"a\": 1}")),
        );
        check("placed {\"id\":17} []", Some(("placed", "{\"id\":17}")));
        check("placed {\"id\":17} ", Some(("placed", "{\"id\":17}")));
        check("{\"id\":17}", None);
        check("a{\"id\":17}", None);
        check("x [] []", None);
    }
}
