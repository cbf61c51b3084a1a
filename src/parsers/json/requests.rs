//! JSON records of web servers and proxies: a status beside a request. Where such a record names no
//! level, the status does, as in an access line; where it has no message, that is `METHOD PATH STATUS`.
//! Names: nginx and Apache in JSON, Envoy, Traefik, Caddy, Google Cloud, pino-http, lograge, morgan.

use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Text};
use crate::parsers::json::keys::{Found, KeyId, Keys};
use crate::parsers::json::roles::whole_number;

const STATUSES: [&[&str]; 16] = [
    &["status"],
    &["status_code"],
    &["statusCode"],
    &["response_code"],
    &["responseCode"],
    &["DownstreamStatus"],
    &["EdgeResponseStatus"],
    &["httpStatusCode"],
    &["sc-status"],
    &["sc_status"],
    &["code"],
    &["response", "status"],
    &["httpRequest", "status"],
    &["res", "statusCode"],
    &["http", "status_code"],
    &["http.status_code"],
];

const METHODS: [&[&str]; 13] = [
    &["method"],
    &["request_method"],
    &["requestMethod"],
    &["RequestMethod"],
    &["ClientRequestMethod"],
    &["httpMethod"],
    &["http_method"],
    &["cs-method"],
    &["request", "method"],
    &["httpRequest", "requestMethod"],
    &["req", "method"],
    &["http", "method"],
    &["http.method"],
];

const PATHS: [&[&str]; 18] = [
    &["path"],
    &["uri"],
    &["url"],
    &["request_uri"],
    &["request_path"],
    &["requestPath"],
    &["RequestPath"],
    &["ClientRequestURI"],
    &["requestUri"],
    &["route"],
    &["cs-uri-stem"],
    &["request", "uri"],
    &["request", "url"],
    &["request", "path"],
    &["httpRequest", "requestUrl"],
    &["req", "url"],
    &["http", "url"],
    &["http.url"],
];

/// The request as an access line has it: `GET / HTTP/1.1`.
const LINES: [&[&str]; 2] = [&["request"], &["request_line"]];

pub struct Requests {
    statuses: Vec<KeyId>,
    methods: Vec<KeyId>,
    paths: Vec<KeyId>,
    lines: Vec<KeyId>,
}

impl Requests {
    pub fn new(want: &mut impl FnMut(&[&str]) -> KeyId) -> Requests {
        let mut all = |list: &[&[&str]]| list.iter().map(|steps| want(steps)).collect();
        Requests {
            statuses: all(&STATUSES),
            methods: all(&METHODS),
            paths: all(&PATHS),
            lines: all(&LINES),
        }
    }

    /// The status of a record that is an answer to a request.
    fn status(&self, keys: &Keys, record: &[u8]) -> Option<(u64, Found)> {
        let found = self.statuses.iter().find_map(|key| {
            keys.found(*key)
                .filter(|found| matches!(found.kind, Kind::Number | Kind::String))
        })?;
        let status = whole_number(record.get(found.range())?)?;
        (100..600).contains(&status).then_some((status, found))
    }

    fn text(list: &[KeyId], keys: &Keys) -> Option<Found> {
        list.iter()
            .filter_map(|key| keys.found(*key))
            .find(|found| found.kind == Kind::String && !found.escaped && !found.range().is_empty())
    }

    /// Method and path.
    fn request<'a>(&self, keys: &Keys, record: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if let Some(line) = Requests::text(&self.lines, keys) {
            let line = &record[line.range()];
            let space = memchr::memchr(b' ', line)?;
            let rest = &line[space + 1..];
            let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
            return is_method(&line[..space]).then_some((&line[..space], &rest[..end]));
        }
        let method = &record[Requests::text(&self.methods, keys)?.range()];
        let path = Requests::text(&self.paths, keys).map_or(&b""[..], |path| &record[path.range()]);
        is_method(method).then_some((method, path))
    }

    pub fn level(&self, keys: &Keys, record: &[u8]) -> Option<Level> {
        let (status, _) = self.status(keys, record)?;
        self.request(keys, record)?;
        Some(match status {
            500.. => Level::Error,
            400.. => Level::Warn,
            _ => Level::Info,
        })
    }

    /// `METHOD PATH STATUS`, the path without its query.
    pub fn message(&self, keys: &Keys, record: &[u8], row: &mut Row) -> Option<Text> {
        let (_, status) = self.status(keys, record)?;
        let (method, path) = self.request(keys, record)?;
        let path = &path[..memchr::memchr(b'?', path).unwrap_or(path.len())];
        Some(row.keep_with(|scratch| {
            for (number, part) in [method, path, &record[status.range()]]
                .into_iter()
                .enumerate()
            {
                if number > 0 && !part.is_empty() {
                    scratch.push(b' ');
                }
                scratch.extend_from_slice(part);
            }
        }))
    }
}

fn is_method(word: &[u8]) -> bool {
    (3..=10).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase)
}
