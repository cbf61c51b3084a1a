//! Heads with a time and a process in brackets: Heroku (`TIME app[web.1]: `), Fly (`TIME app[148ed] fra
//! [info] `), Render, and the line of a container's runtime (`TIME stdout F `).

use super::{Head, Part, Sureness, name_len, skip_blanks};

/// Longest RFC 3339 time with nine decimals and an offset.
const TIME_MAX: usize = 36;

/// Reads behind a time of RFC 3339.
pub fn read(record: &[u8]) -> Option<Head> {
    let time = record
        .iter()
        .take(TIME_MAX)
        .position(|&byte| byte == b' ')?;
    let rest = &record[time + 1..];
    match rest.first()? {
        b's' => {
            let stream = rest
                .strip_prefix(b"stdout ")
                .or_else(|| rest.strip_prefix(b"stderr "))?;
            let body = time + 1 + 9;
            matches!(stream, [b'F' | b'P', b' ', ..])
                .then(|| Head::new("cri", body, Sureness::Sure).at(0..time))
        }
        b'a'..=b'z' => process(record, time + 1).map(|head| head.at(0..time)),
        _ => None,
    }
}

/// `app[web.1]: ` or `app[148ed] fra [info] ` at `at`. A number in the brackets is a process of syslog.
pub fn process(record: &[u8], at: usize) -> Option<Head> {
    let rest = record.get(at..)?;
    let app = rest
        .iter()
        .take(40)
        .take_while(|byte| byte.is_ascii_lowercase() || **byte == b'-')
        .count();
    if app == 0 || rest.get(app) != Some(&b'[') {
        return None;
    }
    let name = name_len(&rest[app + 1..]);
    let inner = &rest[app + 1..app + 1 + name];
    let close = app + 1 + name;
    if name == 0 || rest.get(close) != Some(&b']') {
        return None;
    }
    let service = at + app + 1..at + close;
    match rest.get(close + 1..)? {
        // The process has a name, or the platform's own.
        [b':', b' ', ..] if inner.iter().any(u8::is_ascii_alphabetic) => {
            Some(Head::new("heroku", at + close + 3, Sureness::Sure).with(Part::Service, service))
        }
        [b' ', a, b, c, b' ', b'[', ..]
            if [a, b, c].iter().all(|byte| byte.is_ascii_lowercase()) =>
        {
            let region = at + close + 2;
            Some(
                Head::new("fly", skip_blanks(record, region + 3), Sureness::Sure)
                    .with(Part::Service, service)
                    .with(Part::Region, region..region + 3),
            )
        }
        _ => None,
    }
}
