//! The parser against serde_json, which reads the same bytes by other code, and against itself
//! without memory.

use super::*;
use crate::flow::facts::Facts;
use crate::flow::level::Level;
use crate::flow::row::Field;
use crate::flow::time::Time;
use crate::flow::wanted::{Path, is_metric_name};
use base64::Engine;
use std::path::PathBuf;

fn shared(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("WEIR_SHARED_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")));
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("skipped: {} is not there\n", path.display()),
    );
    None
}

fn clock() -> Clock {
    Clock::new(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(0),
        format: None,
        csv: None,
    })
}

fn wanted(paths: &[&str]) -> Wanted {
    Wanted {
        time: true,
        level: true,
        message: true,
        message_from: None,
        paths: paths.iter().map(|path| Path::new(path)).collect(),
        numbers: true,
        all: false,
        ..Wanted::default()
    }
}

/// A row with its texts taken out, so that two of them can be compared.
#[derive(Debug, Default, PartialEq)]
struct Read {
    time: Option<Time>,
    level: Option<Level>,
    message: String,
    values: Vec<(Kind, String)>,
    numbers: Vec<(String, Kind, String)>,
    fields: Vec<(String, Kind, String)>,
}

struct Reader {
    parser: Parser,
    clock: Clock,
    row: Row,
}

impl Reader {
    fn new(wanted: &Wanted) -> Reader {
        Reader {
            parser: Parser::new(wanted),
            clock: clock(),
            row: Row::new(wanted.paths.len()),
        }
    }

    fn without_memory(wanted: &Wanted) -> Reader {
        Reader {
            parser: Parser::without_memory(wanted),
            ..Reader::new(wanted)
        }
    }

    fn read(&mut self, record: &[u8]) -> Option<Read> {
        self.row.reset();
        if !self.parser.parse(record, &mut self.clock, &mut self.row) {
            return None;
        }
        let row = &self.row;
        let text = |text: Text| {
            String::from_utf8(row.bytes(record, text).to_vec()).expect("JSON is UTF-8")
        };
        let named = |field: &Field| (text(field.name), field.value.kind, text(field.value.text));
        Some(Read {
            time: row.time,
            level: row.level,
            message: text(row.message),
            values: row
                .values
                .iter()
                .map(|value| (value.kind, text(value.text)))
                .collect(),
            numbers: row.numbers.iter().map(named).collect(),
            fields: row.fields.iter().map(named).collect(),
        })
    }
}

fn oracle(record: &[u8]) -> Option<serde_json::Value> {
    let mut rest = record.trim_ascii_start();
    rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
    serde_json::from_slice(rest)
        .ok()
        .filter(serde_json::Value::is_object)
}

/// Whether a value is what serde_json says, numbers and objects compared by what they mean.
fn same(kind: Kind, text: &str, want: Option<&serde_json::Value>) -> bool {
    match (kind, want) {
        (Kind::Missing, None) => true,
        (Kind::String, Some(serde_json::Value::String(want))) => text == want,
        (Kind::Null, Some(want)) => text == "null" && want.is_null(),
        (Kind::Bool, Some(want @ serde_json::Value::Bool(_))) => {
            text.parse().ok() == want.as_bool()
        }
        (Kind::Number, Some(want @ serde_json::Value::Number(_))) => {
            serde_json::from_str::<serde_json::Value>(text)
                .ok()
                .as_ref()
                == Some(want)
        }
        (Kind::Composite, Some(want)) => {
            (want.is_array() || want.is_object())
                && serde_json::from_str(text).ok().as_ref() == Some(want)
        }
        _ => false,
    }
}

/// What serde_json has at a path: the flat key, else the steps.
fn at<'a>(object: &'a serde_json::Value, path: &Path) -> Option<&'a serde_json::Value> {
    if let Some(flat) = std::str::from_utf8(&path.flat)
        .ok()
        .and_then(|name| object.get(name))
    {
        return Some(flat);
    }
    path.steps
        .iter()
        .try_fold(object, |value, step| match step {
            Step::Key(name) => value.as_object()?.get(std::str::from_utf8(name).ok()?),
            Step::Index(index) => value.as_array()?.get(*index),
        })
}

/// The metrics that serde_json's object has, by path, a flat name before a nested one.
fn metrics<'a>(
    object: &'a serde_json::Value,
    wanted: &Wanted,
) -> std::collections::BTreeMap<String, &'a serde_json::Value> {
    let mut metrics = std::collections::BTreeMap::new();
    let mut level: Vec<(Option<String>, &serde_json::Value)> = vec![(None, object)];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (path, value) in level {
            for (name, value) in value.as_object().expect("only objects are walked") {
                let path = match &path {
                    None => name.clone(),
                    Some(path) => format!("{path}.{name}"),
                };
                if value.is_object() {
                    next.push((Some(path), value));
                } else if (value.is_number() || value.is_string())
                    && is_metric_name(path.as_bytes())
                    && !wanted.paths.iter().any(|want| want.flat == path.as_bytes())
                {
                    metrics.entry(path).or_insert(value);
                }
            }
        }
        level = next;
    }
    metrics
}

/// The first text among the keys that mean the message; what an access record says is looked at elsewhere.
fn message(object: &serde_json::Value) -> String {
    for (steps, style) in roles::message_keys() {
        let value = steps.iter().fold(object, |value, name| &value[*name]);
        match value {
            serde_json::Value::String(text) if !text.is_empty() => return text.clone(),
            serde_json::Value::Array(_) if style != roles::MessageStyle::Instead => {
                return value.to_string();
            }
            _ => {}
        }
    }
    let mut names: Vec<&String> = object
        .as_object()
        .expect("an object")
        .keys()
        .filter(|name| !roles::is_lifted(name.as_bytes()))
        .collect();
    names.sort();
    names
        .iter()
        .map(|name| format!("{name}=<*>"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One parser with memory and one without, both held against serde_json.
struct Twins {
    wanted: Wanted,
    with: Reader,
    without: Reader,
    all: Reader,
}

impl Twins {
    fn new(paths: &[&str]) -> Twins {
        let wanted = wanted(paths);
        let all = Reader::new(&Wanted {
            all: true,
            ..wanted.clone()
        });
        Twins {
            with: Reader::new(&wanted),
            without: Reader::without_memory(&wanted),
            all,
            wanted,
        }
    }

    fn check(&mut self, record: &[u8]) -> Option<Read> {
        let shown = || String::from_utf8_lossy(&record[..record.len().min(2000)]).into_owned();
        let read = self.with.read(record);
        assert_eq!(
            read,
            self.without.read(record),
            "memory on and off: {}",
            shown()
        );
        let mut all = self.all.read(record);
        let object = oracle(record);
        assert_eq!(read.is_some(), object.is_some(), "JSON or not: {}", shown());
        let object = object?;
        let read = read?;
        for (path, (kind, text)) in self.wanted.paths.iter().zip(&read.values) {
            assert!(
                same(*kind, text, at(&object, path)),
                "{}: {kind:?} {text} in {}",
                String::from_utf8_lossy(&path.flat),
                shown()
            );
        }
        let list = message(&object);
        let answers = read.message != list
            && list.contains("=<*>")
            && read
                .message
                .starts_with(|first: char| first.is_ascii_uppercase());
        let is_list = read.message.starts_with('[') || object["resourceLogs"].is_array();
        assert!(
            answers || is_list || read.message == list,
            "{} is not {list}: {}",
            read.message,
            shown()
        );
        let metrics = metrics(&object, &self.wanted);
        assert_eq!(
            read.numbers.len(),
            metrics.len(),
            "{:?} {}",
            read.numbers,
            shown()
        );
        for (name, kind, text) in &read.numbers {
            assert!(
                same(*kind, text, metrics.get(name).copied()),
                "{name}: {text} in {}",
                shown()
            );
        }
        let fields = std::mem::take(&mut all.as_mut().expect("the same record").fields);
        assert_eq!(all.as_ref(), Some(&read), "all fields or not: {}", shown());
        let members = object.as_object().expect("an object");
        assert_eq!(fields.len(), members.len(), "{}", shown());
        for (name, kind, text) in &fields {
            assert!(
                same(*kind, text, members.get(name)),
                "{name}: {text} in {}",
                shown()
            );
        }
        Some(read)
    }
}

const PATHS: [&str; 9] = [
    "service",
    "http.bytes",
    "http.client.ip",
    "a",
    "a.b",
    "a[0].b",
    "list[1]",
    "cpu",
    ".level",
];

fn check(line: &str, level: Option<Level>, message: &str) {
    let read = Twins::new(&PATHS).check(line.as_bytes()).expect(line);
    assert_eq!(
        (read.level, read.message.as_str()),
        (level, message),
        "{line}"
    );
}

#[test]
fn reads_levels_and_messages_of_common_libraries() {
    check(
        r#"{"ts":"2024-03-01T00:00:00Z","level":"warn","msg":"disk"}"#,
        Some(Level::Warn),
        "disk",
    );
    check(
        r#"{"level":30,"time":1742277257530,"msg":"pino"}"#,
        Some(Level::Info),
        "pino",
    );
    check(
        r#"{"@fields":{"lvl":"ERROR","msg":"nested"}}"#,
        Some(Level::Error),
        "nested",
    );
    check(
        r#"{"level":"INFO","fields":{"message":"tracing","cpu":1}}"#,
        Some(Level::Info),
        "tracing",
    );
    check(
        r#"{"log":{"level":"error"},"message":"ecs"}"#,
        Some(Level::Error),
        "ecs",
    );
    check(
        r#"{"log.level":"warn","log":{"level":"error"},"message":"ecs"}"#,
        Some(Level::Warn),
        "ecs",
    );
    check(
        r#"{"t":{"$date":"2024-03-01T00:00:00Z"},"s":"W","c":"NETWORK","msg":"mongo"}"#,
        Some(Level::Warn),
        "mongo",
    );
    check(r#"{"s":"W","msg":"no mongo"}"#, None, "no mongo");
    check(
        r#"{"PRIORITY":"3","MESSAGE":"journal"}"#,
        Some(Level::Error),
        "journal",
    );
    check(
        r#"{"severityNumber":21,"body":"otel"}"#,
        Some(Level::Fatal),
        "otel",
    );
    check(
        r#"{"priority":3,"msg":"a number is no level here"}"#,
        None,
        "a number is no level here",
    );
    check(
        r#"{"level":"odd","severity":"error","msg":"first that reads"}"#,
        Some(Level::Error),
        "first that reads",
    );
    check(r#"{"msg":"second","message":"first"}"#, None, "first");
    check(r#"{"message":1,"msg":"a string"}"#, None, "a string");
    check(
        r#"{"b":1,"level":"info","a":{"msg":"deep"},"ts":5}"#,
        Some(Level::Info),
        "a=<*> b=<*>",
    );
    check(r#"{}"#, None, "");
}

#[test]
fn reads_times() {
    let want = Some(Time(1_709_251_200 * Time::SECOND));
    for line in [
        r#"{"ts":"2024-03-01T00:00:00Z"}"#,
        r#"{"ts":"no time","timestamp":"2024-03-01T00:00:00Z"}"#,
        r#"{"t":{"$date":"2024-03-01T00:00:00Z"}}"#,
        r#"{"__REALTIME_TIMESTAMP":"1709251200000000"}"#,
        r#"{"timeUnixNano":1709251200000000000}"#,
        r#"{"@timestamp":"2024-03-01T00:00:00\u005a"}"#,
    ] {
        assert_eq!(
            Twins::new(&[]).check(line.as_bytes()).expect(line).time,
            want,
            "{line}"
        );
    }
}

#[test]
fn takes_the_last_of_duplicates_and_flat_keys_before_paths() {
    let mut twins = Twins::new(&PATHS);
    for line in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":{"b":1},"a":{"c":2}}"#,
        r#"{"a":{"b":1},"a":3}"#,
        r#"{"a":{"b":1},"a.b":2}"#,
        r#"{"a.b":2,"a":{"b":1}}"#,
        r#"{"a":[{"b":1,"b":"x"}],"list":[1,[2,3]]}"#,
        r#"{"a[0].b":1,"a":[{"b":2}]}"#,
        r#"{"\u0061":1}"#,
        r#"{"a":[{"\u0062":true}]}"#,
        r#"{"a":1,"\u0061":"\ud83d\ude00 \n"}"#,
        r#"{"http":{"bytes":1},"http":{"status":2}}"#,
        r#"{"http":{"cpu":1},"http.cpu":2,"cpu_percent":"87%"}"#,
        r#"{"http":{"cpu":1,"latency_ms":"1\u0032"}}"#,
        r#"{"level":"info","level":"error"}"#,
        "\u{feff} {\"a\" : 1 , \"list\" : [ 1 , null ] }\r\n",
    ] {
        assert!(twins.check(line.as_bytes()).is_some(), "{line}");
    }
    for line in [
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":1e400}"#,
        r#"{"a":1}x"#,
        r#"{"a":1,}"#,
        "{\"a\":\"\t\"}",
        "[1]",
        "",
        "{",
        "1",
    ] {
        assert!(twins.check(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn decodes_string_bodies_like_serde_json() {
    for body in [
        r"a\u00e9\n\ud83d\ude00\/",
        "é",
        r"\ud800",
        r"\ud800\u0041",
        r"\x",
        "\"",
        "\t",
        r"\u12",
        r"\",
        "plain",
    ] {
        let want = serde_json::from_str::<String>(&format!("\"{body}\"")).ok();
        let mut text = b"kept".to_vec();
        let decoded = unescape_string(body.as_bytes(), &mut text);
        assert_eq!(
            decoded.then(|| String::from_utf8_lossy(&text[4..]).into_owned()),
            want,
            "{body}"
        );
        assert!(text.starts_with(b"kept") && (decoded || text.len() == 4));
    }
    assert!(!unescape_string(b"\xff", &mut Vec::new()));
}

#[test]
fn agrees_with_serde_json_on_the_test_suite() {
    // Deviations: none. The i_ files are decided as serde_json decides them (numbers beyond 64-bit
    // floats and lone surrogates are refused), except that a byte order mark is skipped, as the
    // oracle here does too.
    for name in [
        "json/JSONTestSuite.jsonl",
        "json/JSONTestSuite_transform.jsonl",
    ] {
        let Some(path) = shared(name) else {
            return;
        };
        let mut accepted = 0;
        for line in std::fs::read_to_string(path).expect("readable").lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("a case a line");
            let text = match case["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => base64::engine::general_purpose::STANDARD
                    .decode(case["text_b64"].as_str().expect("text or its bytes"))
                    .expect("base64"),
            };
            // A case that is no object is tried as it is and as a member's value, on a parser that
            // has seen the key before.
            for record in [
                text.clone(),
                [b"{\"a\":", &text[..], b",\"cpu\":1}"].concat(),
            ] {
                let mut twins = Twins::new(&PATHS);
                twins.check(br#"{"a":1,"cpu":1}"#);
                twins.check(&record);
                let read = twins.check(&record).is_some();
                accepted += u32::from(read);
                if case["expect"] == "reject" && record == text {
                    assert!(!read, "{}", case["name"]);
                }
            }
            if case["expect"] == "accept" {
                let record = [b"{\"a\":", &text[..], b"}"].concat();
                assert!(
                    Twins::new(&PATHS).check(&record).is_some(),
                    "{}",
                    case["name"]
                );
            }
        }
        assert!(accepted > 20, "{name}: {accepted}");
    }
}

const SAMPLES: [&str; 13] = [
    "json/hl_cafe.log",
    "json/hl_prometheus.log",
    "lnav/logfile_invalid_json.json",
    "lnav/logfile_journald.json",
    "lnav/logfile_json.json",
    "lnav/logfile_json2.json",
    "lnav/logfile_json3.json",
    "lnav/logfile_nested_json.json",
    "lnav/logfile_otel_collector.jsonl",
    "k8s/pods/backend_pino.log",
    "beats/logstash/log/logstash-json.log",
    "beats/elasticsearch/server/test-json.log",
    "beats/logstash/slowlog/slowlog-json.log",
];

#[test]
fn agrees_with_serde_json_on_real_logs() {
    let mut twins = Twins::new(&[
        "msg",
        "req.url",
        "response.size",
        "response.headers.server",
        "resourceLogs[0].scopeLogs",
        "loggerName",
        "cl",
        "err.stack",
        "a.b",
    ]);
    for name in SAMPLES {
        let Some(path) = shared(name) else {
            return;
        };
        let bytes = std::fs::read(path).expect("readable");
        let read = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| twins.check(line).is_some())
            .count();
        assert!(read > 0, "{name}");
    }
}

#[test]
fn bounds_depth_and_number_of_keys() {
    let mut twins = Twins::new(&["a"]);
    for depth in 120..135 {
        for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
            let (inner, outer) = (open.repeat(depth), close.repeat(depth));
            twins.check(format!("{{\"a\":{inner}1{outer}}}").as_bytes());
        }
    }
    let mut reader = Reader::new(&wanted(&["a"]));
    for depth in [100_000, 1_000_000] {
        for open in ["{\"a\":", "{\"a\":[", "{"] {
            assert!(reader.read(open.repeat(depth).as_bytes()).is_none());
        }
        assert!(
            reader
                .read(format!("{{\"a\":{}", "[".repeat(depth)).as_bytes())
                .is_none()
        );
    }
    let long = "k".repeat(1 << 20);
    assert!(
        reader
            .read(format!("{{\"{long}\":1,\"a\":2}}").as_bytes())
            .is_some()
    );
    let mut many: String = (0..100_000)
        .map(|key| format!("\"k{key}\":{key},"))
        .collect();
    many = format!("{{{many}\"a\":1,\"k5\":0,\"a\":2}}");
    let read = reader.read(many.as_bytes()).expect("an object");
    assert_eq!(read.values, [(Kind::Number, "2".to_string())]);
    // The table of keys was full; the next lines are read as before.
    for _ in 0..3 {
        assert_eq!(
            reader.read(br#"{"a":3,"k1":1}"#).expect("an object").values,
            [(Kind::Number, "3".to_string())]
        );
    }
    // Ever new keys.
    for line in 0..5000 {
        let record = format!("{{\"user{line}\":{{\"cpu\":{line}}},\"a\":{line}}}");
        assert_eq!(
            reader.read(record.as_bytes()).expect("an object").values[0].1,
            line.to_string()
        );
    }
}

/// A small generator of chance (xorshift), the same on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

const SEEDS: [&str; 6] = [
    r#"{"ts":"2024-03-01T00:00:00.000Z","level":"INFO","service":"search","cpu":48.4,"mem_mb":2996,"msg":"order 957009 accepted","http":{"method":"GET","bytes":32749,"client":{"ip":"85.22.139.25","agent":"android"}}}"#,
    r#"{"ts":"2024-03-01T00:00:00.000Z","level":"WARN","service":"cart","cpu":8.4,"msg":"caf\u00e9 \"x\"","a":{"b":[1,2,{"c":null}]},"http":{"bytes":1e3,"client":{"ip":"::1"}}}"#,
    r#"{"a":[{"b":1},{"b":-0.5}],"list":[true,false],"a.b":"é","cpu":0,"level":"error"}"#,
    r#"{ "level" : 30, "time" : 1742277257530, "list" : [ 1, "two" ], "msg" : "x", "err" : { } }"#,
    r#"{"fields":{"message":"m","cpu_percent":1.5,"level":"debug"},"log":{"level":"warn"},"a":"b"}"#,
    r#"{"http":{"bytes":1,"cpu":2},"http.cpu":3,"service":null,"cpu":"87%","list":[]}"#,
];

fn mutate(line: &mut Vec<u8>, chance: &mut Chance) {
    const ALPHABET: &[u8] = b"{}[]\",:\\ 0123456789.-+eEtruefalsn\xc3\xa9\xff\x00\x1fabu";
    let at = chance
        .below(line.len().max(1))
        .min(line.len().saturating_sub(1));
    match chance.below(9) {
        _ if line.is_empty() => line.push(b'{'),
        0 => line[at] = ALPHABET[chance.below(ALPHABET.len())],
        1 => line[at] ^= 1 << chance.below(8),
        2 => line.insert(at, ALPHABET[chance.below(ALPHABET.len())]),
        3 => drop(line.remove(at)),
        4 => line.truncate(at),
        5 => {
            let other = chance.below(line.len());
            line.swap(at, other);
        }
        6 | 7 => {
            // Members swapped or doubled: pieces between commas.
            let mut pieces: Vec<Vec<u8>> = line[1..]
                .split(|byte| *byte == b',')
                .map(<[u8]>::to_vec)
                .collect();
            let (one, two) = (chance.below(pieces.len()), chance.below(pieces.len()));
            if chance.below(2) == 0 {
                pieces.swap(one, two);
            } else {
                let piece = pieces[one].clone();
                pieces.insert(two, piece);
            }
            *line = [b"{", &pieces.join(&b',')[..]].concat();
        }
        _ => {
            // A stretch of another line.
            let seed = SEEDS[chance.below(SEEDS.len())].as_bytes();
            let from = chance.below(seed.len());
            let piece = seed[from..(from + chance.below(40)).min(seed.len())].to_vec();
            line.splice(at..at, piece);
        }
    }
}

#[test]
fn memory_never_changes_a_result() {
    let count: usize = std::env::var("WEIR_TEST_MUTATIONS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(20_000);
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let mut twins = Twins::new(&PATHS);
    let (mut objects, mut others) = (0, 0);
    for _ in 0..count {
        let mut line = SEEDS[chance.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..chance.below(4) {
            mutate(&mut line, &mut chance);
        }
        match twins.check(&line) {
            Some(_) => objects += 1,
            None => others += 1,
        }
    }
    // Both kinds come up, or the test shows nothing.
    assert!(
        objects > count / 10 && others > count / 10,
        "{objects} {others}"
    );
}
