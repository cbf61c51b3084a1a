use super::*;
use crate::parsers::access::Parser;

fn read(line: &[u8]) -> Option<Read> {
    let mut row = Row::new(0);
    Parser::new(&everything())
        .parse(line, &mut clock(), &mut row)
        .then(|| Read::of(line, &row))
}

fn check(line: &str, want: &[(&str, &str)]) {
    let read = read(line.as_bytes()).unwrap_or_else(|| panic!("no access line: {line}"));
    for (field, text) in want {
        let got = if *field == "message" {
            &read.message
        } else {
            read.field(field)
        };
        assert_eq!(got, *text, "{field} of {line}");
    }
}

#[test]
fn agrees_with_beats() {
    let mut score = Score::default();
    let files = [
        "apache/access/darwin-2.4.23",
        "apache/access/ssl-request",
        "apache/access/test",
        "apache/access/ubuntu-2.2.22",
        "nginx/access/access",
        "nginx/access/test",
    ];
    for file in files {
        let Some(log) = data(&format!("beats/{file}.log")) else {
            return;
        };
        let documents = json(&format!("beats/{file}.log-expected.json")).unwrap();
        for (at, (line, document)) in lines(&log)
            .into_iter()
            .zip(documents.as_array().unwrap())
            .enumerate()
        {
            let place = format!("{file}:{}", at + 1);
            let Some(read) = read(line) else {
                score.differences.push(format!("{place} is not read"));
                continue;
            };
            let want = |key: &str| match &document[key] {
                serde_json::Value::String(text) if text == "-" => String::new(),
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => String::new(),
                other => other.to_string(),
            };
            let version = want("http.version");
            let protocol = if version.is_empty() {
                version
            } else {
                format!("HTTP/{version}")
            };
            score.compare(
                &place,
                "time",
                &format!("{:?}", read.time),
                &format!("{:?}", Some(time(&want("@timestamp")))),
            );
            score.compare(&place, "protocol", read.field("protocol"), &protocol);
            for (field, key) in [
                ("client", "source.address"),
                ("user", "user.name"),
                ("method", "http.request.method"),
                ("path", "url.original"),
                ("status", "http.response.status_code"),
                ("bytes", "http.response.body.bytes"),
                ("referrer", "http.request.referrer"),
                ("agent", "user_agent.original"),
            ] {
                score.compare(&place, field, read.field(field), &want(key));
            }
        }
    }
    score.check(
        "beats access",
        &[
            (
                "nginx/access/test:3 client",
                "beats takes the first public address of a list, we the first",
            ),
            (
                "nginx/access/test:5 client",
                "beats takes the first public address of a list, we the first",
            ),
            (
                "nginx/access/test:10 client",
                "beats splits lists of addresses, not of names",
            ),
        ],
    );
}

#[test]
fn agrees_with_vrl() {
    let mut score = Score::default();
    for file in ["parse_common_log", "parse_apache_log"] {
        let Some(page) = json(&format!("vrl_examples/{file}.json")) else {
            return;
        };
        for example in page["examples"].as_array().unwrap() {
            let (source, want) = (example["source"].as_str().unwrap(), &example["return"]);
            let line = source.split_once("s'").unwrap().1;
            let line = &line[..line.rfind('\'').unwrap()];
            let place = format!("{file} {:?}", example["title"].as_str().unwrap());
            let Some(read) = read(line.as_bytes()) else {
                score.differences.push(format!("{place} is not read"));
                continue;
            };
            score.compare(
                &place,
                "time",
                &format!("{:?}", read.time),
                &format!("{:?}", Some(time(want["timestamp"].as_str().unwrap()))),
            );
            score.compare(
                &place,
                "message",
                &read.message,
                &verdict(want["message"].as_str().unwrap(), &want["status"]),
            );
            for (field, key) in [
                ("client", "host"),
                ("user", "user"),
                ("method", "method"),
                ("path", "path"),
                ("protocol", "protocol"),
                ("status", "status"),
                ("bytes", "size"),
                ("referrer", "referrer"),
                ("agent", "agent"),
            ] {
                let want = want[key].as_str().map_or_else(
                    || {
                        if want[key].is_null() {
                            String::new()
                        } else {
                            want[key].to_string()
                        }
                    },
                    str::to_owned,
                );
                score.compare(&place, field, read.field(field), &want);
            }
        }
    }
    score.check(
        "vrl access",
        &[(
            "parse_apache_log \"Parse using Apache log format (error)\"",
            "an error log is none of an access log's layouts",
        )],
    );
}

#[test]
fn agrees_with_grok() {
    let mut score = Score::default();
    for case in json_lines("grok/logstash_specs.jsonl") {
        let line = case["message"].as_str().unwrap();
        let pattern = case["pattern"].as_str().unwrap();
        let read = read(line.as_bytes());
        if !matches!(
            pattern,
            "HTTPD_COMBINEDLOG" | "HTTPD_COMMONLOG" | "COMBINEDAPACHELOG" | "COMMONAPACHELOG"
        ) {
            let is_table = crate::parsers::access::layouts::LAYOUTS
                .iter()
                .any(|layout| layout.fit(line.as_bytes()).is_some());
            assert!(
                is_table || read.is_none(),
                "{pattern} is no access log: {line}"
            );
            continue;
        }
        let read = read.unwrap_or_else(|| panic!("not read: {line}"));
        let place = case["context"].as_str().unwrap();
        for (field, key) in [
            ("client", "clientip"),
            ("user", "auth"),
            ("method", "verb"),
            ("path", "request"),
            ("status", "response"),
            ("bytes", "bytes"),
        ] {
            if let Some(want) = case["fields"][key].as_str() {
                score.compare(place, field, read.field(field), want);
            }
        }
        if let Some(version) = case["fields"]["httpversion"].as_str() {
            score.compare(
                place,
                "protocol",
                read.field("protocol"),
                &format!("HTTP/{version}"),
            );
        }
    }
    score.check("grok access", &[]);
}

/// Sums of the fields over the lines of a file, by status.
fn sums(path: &str, field: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in lines(&data(path).unwrap_or_default()) {
        let read = read(line).unwrap_or_else(|| panic!("not read: {}", line.escape_ascii()));
        if let Ok(number) = read.field(field).parse::<u64>() {
            *sums.entry(read.field("status").to_owned()).or_default() += number;
        }
    }
    sums
}

#[test]
fn agrees_with_the_counters_of_mtail() {
    if data("mtail/apache-common.log").is_none() {
        return;
    }
    // The numbers are those of the .golden files beside the logs.
    assert_eq!(
        sums("mtail/apache-combined.log", "bytes"),
        BTreeMap::from([("200".to_owned(), 2602)])
    );
    assert_eq!(
        sums("mtail/apache-common.log", "bytes"),
        BTreeMap::from([("200".to_owned(), 1880), ("404".to_owned(), 19)])
    );
    let times = BTreeMap::from([
        ("200".to_owned(), 8680),
        ("304".to_owned(), 3551),
        ("404".to_owned(), 2167),
    ]);
    assert_eq!(sums("mtail/apache-common.log", "response_time"), times);
    assert_eq!(
        sums("mtail/lighttpd_access.log", "bytes"),
        BTreeMap::from([("200".to_owned(), 2_338_666), ("304".to_owned(), 0)])
    );
    assert_eq!(
        sums("mtail/lighttpd_access.log", "response_time"),
        BTreeMap::from([("200".to_owned(), 15), ("304".to_owned(), 4)])
    );
}

#[test]
fn reads_the_odd_ones() {
    let line = |request: &str| {
        format!(
            "10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"{request}\" 200 12 \"-\" \"curl\" 0.055"
        )
    };
    let common = [
        ("client", "10.0.0.1"),
        ("status", "200"),
        ("bytes", "12"),
        ("agent", "curl"),
        ("response_time", "0.055"),
    ];
    for request in [
        "-",
        "",
        "\\x16\\x03\\x01",
        "GET /a\\\" 404 1 \\\"b HTTP/1.1",
        "say \"hi\" to me",
        "GET  /two  spaces HTTP/1.1",
        "\u{1}\u{2}[]",
        "[01/Jan/2020:00:00:00 +0000]",
        "GET /x\\",
    ] {
        check(&line(request), &common);
    }
    check(
        &line("GET /a b c HTTP/1.1"),
        &[
            ("method", "GET"),
            ("path", "/a b c"),
            ("protocol", "HTTP/1.1"),
            ("message", "GET /a b c 200"),
        ],
    );
    check(
        &line("GET /old"),
        &[("method", "GET"), ("path", "/old"), ("protocol", "")],
    );
    check(
        &line("\\x16 HTTP/1.1"),
        &[("method", ""), ("path", ""), ("protocol", "")],
    );
    let people =
        |people: &str| format!("{people} [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 12");
    check(&people("::1 - -"), &[("client", "::1"), ("user", "")]);
    check(
        &people("[::1]:8080 - bob"),
        &[("client", "[::1]:8080"), ("user", "bob")],
    );
    check(
        &people("example.com:80 1.2.3.4 - frank"),
        &[("client", "1.2.3.4"), ("user", "frank")],
    );
    check(
        &people("1.2.3.4 - John Doe"),
        &[("client", "1.2.3.4"), ("user", "John Doe")],
    );
    check(
        &people("1.1.1.1, 2.2.2.2 3.3.3.3 - eve"),
        &[("client", "1.1.1.1"), ("user", "eve")],
    );
    check(&people("unix: - -"), &[("client", "unix:"), ("user", "")]);
    let tail = |tail: &str| {
        format!("1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 12{tail}")
    };
    check(&tail(""), &[("agent", ""), ("response_time", "")]);
    check(
        &tail(" \"-\" \"a \\\"quoted\\\" one\" 1234"),
        &[("agent", "a \\\"quoted\\\" one"), ("response_time", "1234")],
    );
    check(
        &tail(" \"-\" \"a\" 489 0.003 [svc-80] [] 10.0.0.1:80 5 0.004 200 ab12"),
        &[("response_time", "0.003")],
    );
    check(&tail(" \"-\" \"a\" 489 512"), &[("response_time", "")]);
    check(
        &tail(" \"-\" \"a\" \"-\" 0.2"),
        &[("agent", "a"), ("response_time", "0.2")],
    );
    check(&tail(" \"-\" \"cut"), &[("referrer", ""), ("agent", "cut")]);
    let ingress = "1.2.3.4 - - [10/Oct/2000:13:55:36.123 -0700] \"GET / HTTP/1.1\" 503 -";
    assert_eq!(
        read(ingress.as_bytes()).unwrap().time,
        Some(time("2000-10-10T20:55:36.123Z"))
    );
    assert_eq!(read(ingress.as_bytes()).unwrap().level, Some(Level::Error));
}

#[test]
fn leaves_other_lines_alone() {
    for line in [
        "",
        "[Fri Mar 01 00:00:00 2024] [notice] workerEnv.init() ok",
        "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\"",
        "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 2000 12",
        "1.2.3.4 - - [32/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 12",
        "1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] GET 200 12",
        "took [10/Oct/2000:13:55:36 -0700]",
    ] {
        assert!(read(line.as_bytes()).is_none(), "{line}");
    }
}

/// What the message is: the request without its protocol, then the status.
fn verdict(request: &str, status: &serde_json::Value) -> String {
    let target = request
        .rsplit_once(' ')
        .map_or(request, |(target, _)| target);
    format!("{target} {status}")
}
