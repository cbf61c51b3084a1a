//! Line protocol against the corpus of its own project, and against ordinary text.

use super::*;
use crate::flow::level::Level;
use crate::flow::wanted::Path;
use crate::units;
use base64::Engine as _;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn clock() -> Clock {
    Clock::new(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(0),
        format: None,
        csv: None,
    })
}

fn everything() -> Wanted {
    Wanted {
        time: true,
        level: true,
        message: true,
        numbers: true,
        all: true,
        ..Wanted::default()
    }
}

fn forced_parser() -> Parser {
    let mut parser = Parser::new(&everything());
    parser.set_facts(&Facts {
        zone: jiff::tz::TimeZone::UTC,
        anchor: Time(0),
        format: Some(Format::Influx),
        csv: None,
    });
    parser
}

fn shared(path: &str) -> Option<String> {
    let root = std::env::var("WEIR_SHARED_DATA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_owned());
    let text = std::fs::read_to_string(format!("{root}/{path}")).ok();
    if text.is_none() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("skipped: no {path} in the shared data\n"),
        );
    }
    text
}

type Point = (Option<i64>, BTreeMap<String, (Kind, String)>);

/// `None`: refused; `Some(None)`: a comment or blank line.
fn parse(parser: &mut Parser, line: &[u8]) -> Option<Option<Point>> {
    let mut row = Row::new(0);
    if !parser.parse(line, &mut clock(), &mut row) {
        return None;
    }
    assert_eq!(row.format, Format::Influx);
    if row.fields.is_empty() {
        return Some(None);
    }
    let text = |text: Text| String::from_utf8(row.bytes(line, text).to_vec()).unwrap();
    let fields = row
        .fields
        .iter()
        .map(|field| (text(field.name), (field.value.kind, text(field.value.text))))
        .collect();
    Some(Some((row.time.map(|time| time.0), fields)))
}

fn forced(line: &[u8]) -> Option<Option<Point>> {
    parse(&mut forced_parser(), line)
}

fn recognises(line: &str) -> bool {
    parse(&mut Parser::new(&everything()), line.as_bytes()).is_some()
}

/// The corpus' points of one text: records end at line feeds outside of strings, so a refused line
/// is tried again with the next one joined to it. `None` if a record is refused.
fn points(text: &[u8]) -> Option<Vec<Point>> {
    let mut points = Vec::new();
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    while let Some(line) = lines.next() {
        let mut record = line.to_vec();
        let point = loop {
            match forced(&record) {
                Some(point) => break point,
                None => {
                    record.push(b'\n');
                    record.extend_from_slice(lines.next()?);
                }
            }
        };
        points.extend(point);
    }
    Some(points)
}

fn agrees(case: &serde_json::Value, got: &Point, default_time: Option<i64>) -> bool {
    let (time, fields) = got;
    let mut want = 1;
    let mut good = fields.get("measurement")
        == Some(&(Kind::String, case["name"].as_str().unwrap().to_owned()));
    for tag in case["tags"].as_array().unwrap() {
        want += 1;
        let value = tag["value"].as_str().unwrap().to_owned();
        good &= fields.get(tag["key"].as_str().unwrap()) == Some(&(Kind::String, value));
    }
    for field in case["fields"].as_array().unwrap() {
        want += 1;
        let Some((kind, text)) = fields.get(field["key"].as_str().unwrap()) else {
            return false;
        };
        let value = &field["value"];
        good &= match kind {
            Kind::Bool => value["bool"].as_bool() == Some(text.starts_with(['t', 'T'])),
            Kind::String => value["string"].as_str() == Some(text),
            Kind::Number if value["int"].is_i64() => value["int"].as_i64() == text.parse().ok(),
            Kind::Number if value["uint"].is_u64() => value["uint"].as_u64() == text.parse().ok(),
            Kind::Number => value["float"].as_f64() == units::number(text.as_bytes()),
            _ => false,
        };
    }
    good && want == fields.len() && case["time"].as_i64() == time.or(default_time)
}

#[test]
fn agrees_with_the_line_protocol_corpus() {
    let Some(text) = shared("influx/decode_cases.jsonl") else {
        return;
    };
    let (mut agreed, mut all) = (0, 0);
    let mut wrong = Vec::new();
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let input = match case["input"]["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => base64::engine::general_purpose::STANDARD
                .decode(case["input"]["text"]["binary"].as_str().unwrap())
                .unwrap(),
        };
        let unit = match case["input"]["precision"].as_str().unwrap() {
            "1ns" => 1,
            "1µs" => 1_000,
            "1ms" => 1_000_000,
            _ => 1_000_000_000,
        };
        let default_time = case["input"]["defaultTime"]
            .as_i64()
            .map(|time| time / unit * unit);
        all += 1;
        let got = points(&input).map(|points| {
            points
                .into_iter()
                .map(|(time, fields)| (time.map(|time| time * unit), fields))
                .collect::<Vec<_>>()
        });
        let good = match (case["output"]["result"].as_array(), &got) {
            (Some(want), Some(got)) => {
                want.len() == got.len()
                    && want
                        .iter()
                        .zip(got)
                        .all(|(want, got)| agrees(want, got, default_time))
            }
            (None, None) => true,
            _ => false,
        };
        if good {
            agreed += 1;
        } else {
            wrong.push(format!(
                "{:?} want {} got {got:?}",
                String::from_utf8_lossy(&input),
                case["output"]
            ));
        }
    }
    eprintln!("influx/decode_cases.jsonl: {agreed} of {all} agree");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn tells_points_from_sentences() {
    for line in [
        "cpu,host=a usage=0.64 1434055562000000000",
        "cpu,host=a usage=0.64",
        "mem used=5i",
        "mem used=5u,free=t",
        "mem used=5 1434055562000000000",
        "w\\ x,a\\=b=c\\,d e\\ f=\"g \\\" h\"",
        "syslog,appname=a,severity=err message=\"x\" 1434055562000000000",
    ] {
        assert!(recognises(line), "{line}");
    }
    for line in [
        "",
        "# cpu",
        "cpu",
        "retry count=5",
        "done ok=t",
        "login user=\"bob\"",
        "retry count=5 3",
        "a=b",
        "level=info msg=ok",
        "cpu,host=a",
        "cpu,host=a usage=x",
        "cpu,host=a usage=",
        "cpu,host= usage=1",
        "cpu, usage=1",
        "Hello, world=1 x=2",
        "cpu,host=a usage=1 now",
        "cpu,host=a usage=1 12 13",
        "cpu,host=a usage=1,",
        "cpu,host=a,host=b usage=1",
        "cpu,host=a usage=\"x",
        "cpu,host=a usage=\"x\"y",
        "cpu,host=a usage=NaN",
        "cpu,host=a usage=1e400",
        "cpu,host=a usage=9223372036854775808i",
        "cpu,host=a usage=+1",
        "cpu,host=a usage=1 +5",
        "cpu,host=a=b usage=1",
        "cpu\t,host=a usage=1",
        "cpu,host=a usage=1\n",
        "cpu,host=a\n usage=1",
        "INFO a=1, b=2",
        "took 5 ms, n=1i",
    ] {
        assert!(!recognises(line), "{line:?}");
    }
    assert!(forced(b"cpu,host=\xff usage=1").is_none());
    assert!(
        forced(b"").is_some()
            && forced(b"# comment").is_some()
            && forced(b"retry count=5").is_some()
    );
}

#[test]
fn reads_syslog_points_with_level_and_message() {
    let line = br#"syslog,appname=a,severity=err message="disk \"sda\" full",severity_code=3i,latency_ms=2.5 1434055562000000000"#;
    let wanted = Wanted {
        paths: ["appname", "severity_code", "measurement", "nothing"]
            .map(Path::new)
            .to_vec(),
        time: true,
        level: true,
        message: true,
        message_from: None,
        numbers: true,
        all: false,
        ..Wanted::default()
    };
    let mut row = Row::new(4);
    assert!(Parser::new(&wanted).parse(line, &mut clock(), &mut row));
    assert_eq!(
        (row.level, row.time),
        (Some(Level::Error), Some(Time(1_434_055_562_000_000_000)))
    );
    assert_eq!(row.bytes(line, row.message), br#"disk "sda" full"#);
    let texts: Vec<_> = row
        .values
        .iter()
        .map(|value| row.bytes(line, value.text))
        .collect();
    assert_eq!(texts, [&b"a"[..], b"3", b"syslog", b""]);
    let numbers: Vec<_> = row
        .numbers
        .iter()
        .map(|field| row.bytes(line, field.name))
        .collect();
    assert_eq!(numbers, [b"latency_ms"]);
}

#[test]
fn many_tags_take_little_time() {
    let tags: String = (0..100_000).map(|at| format!(",tag{at}=x")).collect();
    assert!(recognises(&format!("m{tags} f=1")));
    assert!(!recognises(&format!("m{tags},tag5=y f=1")));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(line in proptest::collection::vec(any::<u8>(), 0..60)) {
        forced(&line);
    }

    #[test]
    fn any_near_point_is_read_or_refused(line in "[a\\\\ ,=]{1,6}(,[a\\\\=, ]{1,6})? [a\\\\=, \"1itu.e-]{1,12}( [0-9-]{1,12})?") {
        forced(line.as_bytes());
    }

    /// What a writer escapes comes back.
    #[test]
    fn points_come_back(name in "[a-z ,=\\PC]{1,8}", key in "[a-z ,=]{1,8}", tag in "[a-z ,=é]{1,8}", text in "[a-z \"\\\\\n,=]{0,12}", number in any::<i64>(), time in any::<i64>()) {
        // A backslash before a special character cannot be written in a measurement, and `#` opens a comment.
        prop_assume!(!name.contains('\\') && !name.starts_with(['#', ' ']));
        let escape = |text: &str, special: &[char]| text.chars().flat_map(|letter| special.contains(&letter).then_some('\\').into_iter().chain([letter])).collect::<String>();
        let special = [',', ' ', '='];
        let name_escaped = escape(&name, &[',', ' ']);
        prop_assume!(!name_escaped.starts_with('='));
        let line = format!("{name_escaped},{}={} n1={number}i,s1=\"{}\" {time}", escape(&key, &special), escape(&tag, &special), escape(&text, &['"', '\\']));
        let (got_time, fields) = forced(line.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(got_time, Some(time));
        prop_assert_eq!(&fields["measurement"].1, &name);
        prop_assert_eq!(&fields[&key].1, &tag);
        prop_assert_eq!(&fields["n1"].1, &number.to_string());
        prop_assert_eq!(&fields["s1"].1, &text);
    }
}
