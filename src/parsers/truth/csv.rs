use super::*;
use crate::flow::wanted::Path;
use crate::parsers::csv::{Parser, header};
use proptest::prelude::*;

fn read(header_line: &str, record: &[u8]) -> Option<Read> {
    let header =
        header(header_line.as_bytes()).unwrap_or_else(|| panic!("no header: {header_line}"));
    let mut row = Row::new(0);
    Parser::new(&everything())
        .parse(record, &header, &mut clock(), &mut row)
        .then(|| Read::of(record, &row))
}

#[test]
fn values_of_nab_are_those_of_the_csv_crate() {
    let wanted = Wanted {
        paths: vec![Path::new("value")],
        ..Wanted::default()
    };
    for name in [
        "art_flatline",
        "ec2_cpu_utilization_24ae8d",
        "grok_asg_anomaly",
        "rds_cpu_utilization_cc0c53",
        "ec2_network_in_257a54",
    ] {
        let Some(file) = data(&format!("nab/{name}.csv")) else {
            return;
        };
        let lines = lines(&file);
        let header = header(lines[0]).unwrap();
        let (mut parser, mut clock, mut row) = (Parser::new(&wanted), clock(), Row::new(1));
        let mut oracle = ::csv::Reader::from_reader(&file[..]);
        let mut count = 0;
        for (line, want) in lines[1..].iter().zip(oracle.records()) {
            row.reset();
            assert!(parser.parse(line, &header, &mut clock, &mut row));
            assert_eq!(
                row.bytes(line, row.values[0].text),
                want.unwrap()[1].as_bytes()
            );
            count += 1;
        }
        assert_eq!(count, lines.len() - 1);
    }
}

#[test]
fn agrees_with_beats_on_iis() {
    let mut score = Score::default();
    for file in ["test", "test-iis-7.5", "test-ipv6zone"] {
        let Some(log) = data(&format!("beats/iis/access/{file}.log")) else {
            return;
        };
        let documents = json(&format!("beats/iis/access/{file}.log-expected.json")).unwrap();
        let mut documents = documents.as_array().unwrap().iter();
        let mut header = None;
        let mut parser = Parser::new(&everything());
        for (at, line) in lines(&log).into_iter().enumerate() {
            if line.starts_with(b"#") {
                header = super::super::csv::header(line).or(header);
                continue;
            }
            let place = format!("{file}:{}", at + 1);
            let want = documents.next().unwrap();
            let mut row = Row::new(0);
            if !parser.parse(line, header.as_ref().unwrap(), &mut clock(), &mut row) {
                score.differences.push(format!("{place} is not read"));
                continue;
            }
            let read = Read::of(line, &row);
            score.compare(
                &place,
                "time",
                &format!("{:?}", read.time),
                &format!("{:?}", Some(time(want["@timestamp"].as_str().unwrap()))),
            );
            for (field, key) in [
                ("c-ip", "source.address"),
                ("s-ip", "destination.address"),
                ("s-port", "destination.port"),
                ("cs-method", "http.request.method"),
                ("cs-uri-stem", "url.path"),
                ("cs-uri-query", "url.query"),
                ("sc-status", "http.response.status_code"),
                ("sc-substatus", "iis.access.sub_status"),
                ("cs(User-Agent)", "user_agent.original"),
            ] {
                let want = match &want[key] {
                    serde_json::Value::String(text) if text == "-" => String::new(),
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Null => String::new(),
                    other => other.to_string(),
                };
                let read = if field == "cs(User-Agent)" {
                    read.field(field).replace('+', " ")
                } else {
                    read.field(field).to_owned()
                };
                score.compare(&place, field, &read, &want);
            }
        }
    }
    score.check(
        "beats iis",
        &[
            (
                "test:16 is not read",
                "the line has fewer cells than the header above it; beats tries all layouts",
            ),
            (
                "test:17 is not read",
                "the line has fewer cells than the header above it; beats tries all layouts",
            ),
            (
                "test-iis-7.5:5 c-ip",
                "beats reads the address out of a Markdown link",
            ),
            (
                "test-iis-7.5:5 s-ip",
                "beats reads the address out of a Markdown link",
            ),
        ],
    );
}

#[test]
fn reads_the_extended_logs_of_lnav() {
    for (file, records) in [
        ("logfile_w3c.0", 1),
        ("logfile_w3c.1", 1),
        ("logfile_w3c.2", 14),
        ("logfile_w3c.3", 3),
    ] {
        let Some(log) = data(&format!("lnav/{file}")) else {
            return;
        };
        let mut header = None;
        let mut count = 0;
        for line in lines(&log) {
            let mut row = Row::new(0);
            if line.starts_with(b"#") {
                header = super::super::csv::header(line).or(header);
            } else if header.as_ref().is_some_and(|header| {
                Parser::new(&everything()).parse(line, header, &mut clock(), &mut row)
            }) {
                count += 1;
            }
        }
        assert_eq!(count, records, "{file}");
    }
}

#[test]
fn knows_headers_from_sentences() {
    for line in [
        "timestamp,value",
        "timestamp,value\r\n",
        "\"time\";\"level\";\"message\"",
        "a\tb\tc",
        "host,cpu usage,mem %",
        "Latency (ms),p95,2xx count",
        "\u{feff}ts,cpu",
        "größe,zahl",
    ] {
        assert!(header(line.as_bytes()).is_some(), "{line}");
    }
    for line in [
        "",
        "value",
        "Hello, world",
        "so far,so good",
        "2014-04-01 00:00:00,45.0",
        "a,1",
        "a,a",
        "a,,b",
        "a,b c d e f,g",
        "level=info,x=1",
        "2024-03-01,b",
        "a;b,c",
        "a,\"b",
        "{\"a\",1}",
        "1e5,inf",
    ] {
        assert_eq!(header(line.as_bytes()), None, "{line}");
    }
    assert_eq!(
        header(b"#Fields: date  time c-ip").unwrap().columns,
        [b"date".to_vec(), b"time".to_vec(), b"c-ip".to_vec()]
    );
}

#[test]
fn lifts_level_and_message() {
    let read = read(
        "Time,Level,Message,took",
        b"2024-03-01T00:00:00Z,WARNING,\"a \"\"b\"\", c\",",
    )
    .unwrap();
    assert_eq!(
        (read.time, read.level, read.message.as_str()),
        (
            Some(time("2024-03-01T00:00:00Z")),
            Some(Level::Warn),
            "a \"b\", c"
        )
    );
    assert_eq!(read.kinds["took"], Kind::Null);
    assert_eq!(
        super::csv::read("b,a,c", b"1,2,3").unwrap().message,
        "a=<*> b=<*> c=<*>"
    );
    for record in ["1,2", "1,2,3,4", "1,\"2,3", "1,\"2\"x,3"] {
        assert!(
            super::csv::read("b,a,c", record.as_bytes()).is_none(),
            "{record}"
        );
    }
}

proptest! {
    #[test]
    fn cells_are_those_that_the_csv_crate_wrote(cells in proptest::collection::vec("[ -~\n\"]{0,12}", 3..6), quoted in any::<bool>()) {
        let style = if quoted { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
        let mut writer = ::csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
        writer.write_record(&cells).unwrap();
        let line = writer.into_inner().unwrap();
        let line = line.strip_suffix(b"\n").unwrap();
        let names = ["col-a", "col-b", "col-c", "col-d", "col-e"];
        let read = super::csv::read(&names[..cells.len()].join(","), line).unwrap();
        for (name, cell) in names.iter().zip(&cells) {
            prop_assert_eq!(read.field(name), cell);
        }
    }
}
