//! Mutated lines of every format, at every parser as a forced format and at the recogniser, after
//! framing: no panic, no text outside of its bytes, and no line that takes more than its length.

use std::time::{Duration, Instant};

use super::*;
use crate::flow::facts::CsvHeader;
use crate::flow::format::Format;
use crate::flow::row::Text;
use crate::flow::wanted::Path;
use crate::framing::cut;
use crate::framing::frame::{Framer, Records};
use crate::framing::{Multiline, text};
use crate::parsers::csv;
use crate::parsers::detect::Parsers;
use crate::stages::fingerprint::Masker;

const SEEDS: [&str; 34] = [
    r#"{"level":"error","msg":"a \"b\" \u00e9\ud83d\ude00","n":-1.5e3,"o":{"a":[1,{"b":null}]},"took_ms":5}"#,
    r#"{"severity":"ERROR","timestamp":{"seconds":1700000000,"nanos":5},"message":"x","a.b":1,"a":{"b":2}}"#,
    r#"level=info msg="a \"b\" \u00e9" took=5ms k= d =x "#,
    "<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 [a@1 x=\"1\\]\" y=\"\"][b] \u{feff}text a=b",
    "<34>Oct 11 22:14:15 host su[12]: text a=b",
    "Nov 20 10:00:04 fw1 : x",
    "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass; user unknown",
    "2024-03-01T00:00:00+01:00 host app[1]: text",
    "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: session closed",
    r#"127.0.0.1, ::1 - bob [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.0" 404 23 "-" "x \" y" 0.055 12"#,
    r#"[10/Aug/2018:09:45:56 +0200] 172.30.0.119 TLSv1.2 ECDHE "GET / HTTP/1.1" 1375"#,
    "E0517 15:04:22.619632 952 logging_unittest.cc:253] \"Log\" a=1 b=\"c\"",
    "2024-03-01 00:00:00,123 INFO [main] a.B: text cpu=5",
    "[Fri Mar 01 00:00:00 2024] [error] [pid 5:tid 7] mod_jk child",
    "24/03/01 00:00:00 INFO python.PythonRunner: Times: total = 40",
    "2024-03-01T10:00:00.123+01:00 WARN 1 --- [nio-1] c.e.App : boot",
    "[2024-03-01 10:00:00] app.ERROR: failed {\"a\":1} []",
    "\u{1b}[32mINFO\u{1b}[0m[0012] started a=b",
    "1:M 01 Mar 2024 10:00:00.123 # WARNING overcommit",
    "I/ActivityManager( 585): Start proc",
    "%ASA-4-106023: Deny tcp src outside:1.2.3.4/5",
    r#"http_requests_total{method="po\"st",code="200"} 1027 1395066363000 # {a="b"} 1 2"#,
    "# TYPE a_b histogram",
    "gorets.cpu:1:2:3|ms|@0.1|#a:b,c|c:x|T1656581400",
    "a[k=v,l=w]b:1|c",
    r#"cpu\ x,host=a\,b usage=1i,idle=2.5,s="a \" b",t=t 1465839830100400200"#,
    "2024-03-01T00:00:00Z,warn,\"a \"\"b\"\"\",5,3",
    "#Fields: date time c-ip cs-uri-stem sc-status",
    r#"{"log":"a \"b\" \ud83d\ude00\n","stream":"stdout","attrs":{"a":{}},"time":"2024-03-01T00:00:00Z"}"#,
    r#"{"log":"part \u00","stream":"stderr","time":"t"}"#,
    "2019-05-07T18:57:50.904275087+00:00 stdout P:x text",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nValueError: x",
    "java.io.IOException: x\n\tat a.b.C.d(C.java:7)\nCaused by: y\n\t... 3 more",
    "\u{feff}user 5@a.b from 10.0.0.1, fe80::1 at http://a/b?c=d C:\\x 5ms 123e4567-e89b-12d3-a456-426614174000",
];

/// Bytes that mean something to some parser.
const EDGES: &[u8] = b"\0\n\r \t\"'\\[](){}<>=:,;|-/.#@%+*_09aAzZTu\x1b\x7f\xc3\xef\xff";

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % limit.max(1) as u64) as usize
    }

    fn line(&mut self) -> Vec<u8> {
        let mut line = SEEDS[self.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..self.below(6) {
            let at = self.below(line.len() + 1);
            match self.below(6) {
                0 => line.truncate(at),
                1 => drop(line.splice(at..(at + self.below(12)).min(line.len()), [])),
                2 => {
                    let other = SEEDS[self.below(SEEDS.len())].as_bytes();
                    let from = self.below(other.len());
                    let length = self.below(24).min(other.len() - from);
                    line.splice(at..at, other[from..from + length].iter().copied());
                }
                3 => {
                    let byte = EDGES[self.below(EDGES.len())];
                    let most = if self.below(20) == 0 { 300 } else { 3 };
                    let count = 1 + self.below(most);
                    line.splice(at..at, std::iter::repeat_n(byte, count));
                }
                4 if at < line.len() => line[at] = self.below(256) as u8,
                _ if at < line.len() => line[at] = EDGES[self.below(EDGES.len())],
                _ => {}
            }
        }
        line
    }
}

fn stay_in_bounds(record: &[u8], row: &Row) {
    let look = |text: Text| assert!(row.bytes(record, text).len() == text.len());
    look(row.message);
    row.values.iter().for_each(|value| look(value.text));
    for field in row.fields.iter().chain(&row.numbers) {
        look(field.name);
        look(field.value.text);
    }
}

struct Readers {
    parsers: Vec<Parsers>,
    row: Row,
    masker: Masker,
    framers: Vec<Framer>,
    records: Records,
}

impl Readers {
    /// The recogniser, and every format forced; with and without the header of a CSV file.
    fn new() -> Readers {
        let wanted = Wanted {
            paths: ["took", "a.b", "sd.a@1.x", "status", "o.a[1].b"]
                .map(Path::new)
                .to_vec(),
            numbers: true,
            ..everything()
        };
        let headers: [Option<CsvHeader>; 3] = [
            None,
            csv::header(b"time,level,message,cpu,took_ms"),
            csv::header(b"#Fields: date time c-ip cs-uri-stem sc-status"),
        ];
        let mut parsers = Vec::new();
        for header in headers {
            for format in std::iter::once(None).chain(Format::ALL.map(Some)) {
                let mut reader = Parsers::new(&wanted);
                reader.set_facts(&Facts {
                    zone: jiff::tz::TimeZone::UTC,
                    anchor: Time(1_709_337_600 * Time::SECOND),
                    format,
                    csv: header.clone(),
                });
                parsers.push(reader);
                if header.is_some() && format == Some(Format::Csv) {
                    break;
                }
            }
        }
        let modes = [
            Multiline::Off,
            Multiline::Auto,
            Multiline::Pattern(regex::bytes::Regex::new(r"^\d{4}|^\{").expect("a pattern")),
        ];
        Readers {
            parsers,
            row: Row::new(wanted.paths.len()),
            masker: Masker::default(),
            framers: modes.into_iter().map(Framer::new).collect(),
            records: Records::default(),
        }
    }

    fn read(&mut self, record: &[u8]) {
        for parser in &mut self.parsers {
            self.row.reset();
            parser.parse(record, &mut self.row);
            stay_in_bounds(record, &self.row);
            self.masker.mask(self.row.bytes(record, self.row.message));
        }
    }

    fn frame(&mut self, chunk: &[u8]) {
        for framer in &mut self.framers {
            cut::cut(framer.mode(), chunk);
            framer.frame(chunk, &mut self.records);
            let mut end = 0;
            for record in self.records.all() {
                let payload = self.records.payload(chunk, record);
                assert!(payload.len() <= chunk.len());
                for lines in self.records.lines_of(record) {
                    end += lines.of(chunk).len();
                }
            }
            assert_eq!(
                end,
                chunk.len(),
                "each byte is in one record: {}",
                chunk.escape_ascii()
            );
        }
    }
}

#[test]
fn mutated_lines_of_every_format_are_read_by_every_parser() {
    let started = Instant::now();
    let mut chance = Chance(7);
    let mut readers = Readers::new();
    let mut chunk = Vec::new();
    let mut count = 0;
    // A slow machine does fewer of the same lines.
    while count < 20_000 && started.elapsed() < Duration::from_secs(2) {
        let line = chance.line();
        readers.read(text(&line));
        chunk.extend_from_slice(&line);
        chunk.push(b'\n');
        if count % 16 == 0 {
            readers.frame(&chunk);
            chunk.clear();
        }
        count += 1;
    }
    assert!(count > 100, "only {count} lines in {:?}", started.elapsed());
}

/// A piece of a mutated line over and over: twice the record may take twice the time, not four times.
#[test]
fn runs_of_mutated_pieces_take_linear_time() {
    let started = Instant::now();
    let mut chance = Chance(11);
    let mut readers = Readers::new();
    let mut count = 0;
    while count < 400 && started.elapsed() < Duration::from_secs(2) {
        let line = chance.line();
        let from = chance.below(line.len());
        let piece = &line[from..(from + 1 + chance.below(12)).min(line.len())];
        if piece.is_empty() || piece.contains(&b'\n') {
            continue;
        }
        let mut time = |bytes: usize| {
            let record = [&line[..from], &piece.repeat(bytes / piece.len())].concat();
            let started = Instant::now();
            readers.read(&record);
            started.elapsed()
        };
        let small = time(4 << 10).max(Duration::from_millis(4));
        // Sixteen times the bytes: 256 times the time if a loop is quadratic.
        let mut large = time(64 << 10);
        for _ in 0..2 {
            if large > 64 * small {
                large = large.min(time(64 << 10));
            }
        }
        assert!(
            large <= 64 * small,
            "{small:?}, then {large:?}: {} and then {} again and again",
            line[..from].escape_ascii(),
            piece.escape_ascii()
        );
        count += 1;
    }
}
