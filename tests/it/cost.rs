//! What one record may cost: a line of a megabyte is hostile or a mistake, and whatever it is made of, a
//! byte of it costs no more than some bytes of ordinary lines.
//!
//! The suite looks at 200 kB, where a loop that is not linear shows. For figures of a release build:
//!
//! ```sh
//! WEIR_COST_BYTES=1000000 WEIR_COST_PROGRAM=target/release/weir \
//!     cargo test --test it cost:: -- --nocapture
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::let_pass;

/// A record may cost so many times what ordinary lines of its format cost, byte for byte. A build
/// without optimisation pays more for hashing names than for passing over bytes; what the suite looks
/// for is there from 16 up.
const RATIO_MAX: f64 = if cfg!(debug_assertions) { 15.0 } else { 10.0 };

/// Ordinary lines by format.
const ORDINARY: [(&str, &str); 14] = [
    (
        "json",
        "{\"ts\":\"2024-03-01T10:00:00Z\",\"level\":\"info\",\"msg\":\"user 5 logged in from 10.0.0.1\",\"cpu\":5.5,\"took_ms\":3}\n",
    ),
    (
        "logfmt",
        "ts=2024-03-01T10:00:00Z level=info msg=\"user 5 logged in\" took=5ms cpu=3\n",
    ),
    (
        "syslog",
        "<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 [a@1 x=\"1\" y=\"2\"] user 5 logged in\n",
    ),
    (
        "access",
        "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a/b?c=d HTTP/1.0\" 200 23 \"http://a/b\" \"Mozilla/5.0 (X11)\"\n",
    ),
    (
        "klog",
        "E0517 15:04:22.619632 952 logging_unittest.cc:253] Log took=5ms a=1\n",
    ),
    (
        "log4j",
        "2024-03-01 00:00:00,123 INFO [main] a.b.C: user 5 logged in from 10.0.0.1\n",
    ),
    (
        "prometheus",
        "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n",
    ),
    ("statsd", "gorets.cpu:1|c|@0.5|#a:b,c:d\n"),
    (
        "influx",
        "cpu,host=a,region=b usage=1i,idle=2.5 1465839830100400200\n",
    ),
    ("csv", "2024-03-01T10:00:00Z,info,user 5 logged in,5.5,3\n"),
    (
        "docker",
        "{\"log\":\"2024-03-01 00:00:00 INFO user 5 logged in\\n\",\"stream\":\"stdout\",\"time\":\"2024-03-01T00:00:00Z\"}\n",
    ),
    (
        "cri",
        "2024-03-01T00:00:00.1Z stdout F INFO user 5 logged in\n",
    ),
    ("plain", "user 5 logged in from 10.0.0.1 after 3 s\n"),
    (
        "trace",
        "2024-03-01 00:00:00,123 ERROR [main] a.b.C: fail\njava.io.IOException: x\n\tat a.b.C.d(C.java:7)\n\tat a.b.C.e(C.java:8)\n",
    ),
];

const CSV_HEADER: &str = "time,level,message,cpu,took_ms\n";

/// `head`, then `unit` (its `#` a number) as often as fits with `between` between them, then `tail`.
type Shape = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const SYSLOG: &str = "<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 ";
const ACCESS: &str = "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] ";
const LOG4J: &str = "2024-03-01 00:00:00,123 ERROR [main] a.B: ";
const DOCKER_END: &str = "\\n\",\"stream\":\"stdout\",\"time\":\"2024-03-01T00:00:00Z\"}";

/// Records by format.
#[rustfmt::skip]
const SHAPES: [Shape; 72] = [
    ("json", "{\"a\":[", "{\"k#\":[1,2]}", ",", "]}"),
    ("json", "{", "\"k#\":#", ",", "}"),
    ("json", "{", "\"k#\":{\"cpu\":#}", ",", "}"),
    ("json", "{", "\"k\":#", ",", "}"),
    ("json", "{", "\"k#_cpu\":#", ",", "}"),
    ("json", "{", "\"\\u0061#\":#", ",", "}"),
    ("json", "{\"msg\":\"", "user 5 logged ", "", "\"}"),
    ("json", "{\"msg\":\"", "\\u0041\\n", "", "\"}"),
    ("json", "", "{\"a\":[", "", ""),
    ("json", "{", "\"", "", ""),
    ("logfmt", "", "k#=#", " ", ""),
    ("logfmt", "", "k#=0123456789012345678901234567890123456789012345678901234567890123456789", " ", ""),
    ("logfmt", "", "k#_cpu=#", " ", ""),
    ("logfmt", "a=b msg=\"", "user 5 logged ", "", "\""),
    ("logfmt", "a=b msg=\"", "\\\"", "", "\""),
    ("logfmt", "a=b ", "\"", "", ""),
    ("logfmt", "a=b ", "=", "", ""),
    ("logfmt", "a=b x ", "a=\"", "", ""),
    ("plain", "hello, world ", "k#=#", " ", ""),
    ("plain", "hello, world ", "k#_cpu=#", ",", ""),
    ("syslog", "<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 [a@1 ", "k#=\"#\"", " ", "] text"),
    ("syslog", SYSLOG, "[a# k=\"#\"]", "", " text"),
    ("syslog", "<34>Oct 11 22:14:15 ", "a[", "", ""),
    ("syslog", "<34>Oct 11 22:14:15 host ", ": ", "", ""),
    ("access", "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /", "/a5", "", " HTTP/1.0\" 200 23"),
    ("access", "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a?", "k#=#", "&", " HTTP/1.0\" 200 23"),
    ("access", ACCESS, "\"", "", ""),
    ("access", ACCESS, "\\\"", "", "\" 200 23"),
    ("access", "", "1.1.1.1, ", "", " - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 23"),
    ("access", "a ", "a [", "", ""),
    ("klog", "E0517 15:04:22.619632 952 a.cc:253] ", "k#=#", " ", ""),
    ("klog", "E0517 15:04:22.619632 952 a.cc:253] \"", "x", "", "\" a=\"b\""),
    ("log4j", "2024-03-01 00:00:00,123 INFO ", "[a] ", "", ""),
    ("log4j", "2024-03-01 00:00:00,123 INFO ", "[", "", ""),
    ("log4j", "2024-03-01 00:00:00,123 INFO [main] ", "a: ", "", ""),
    ("log4j", LOG4J, "k#=#", " ", ""),
    ("prometheus", "m{", "l#=\"#\"", ",", "} 1"),
    ("prometheus", "m{a=\"", "\\\"", "", "\"} 1"),
    ("prometheus", "m_total{a=\"b\"} 1 # {", "l#=\"#\"", ",", "} 1"),
    ("statsd", "a.cpu:1|c|#", "t#:#", ",", ""),
    ("statsd", "a.cpu:", "#", ":", "|ms"),
    ("statsd", "a:1|c", "|@0.5", "", ""),
    ("influx", "cpu,", "t#=#", ",", " usage=1i 1465839830100400200"),
    ("influx", "cpu,a=b ", "f#=#", ",", " 1465839830100400200"),
    ("influx", "m,a=b ", "k#_cpu=#", ",", " 1465839830100400200"),
    ("influx", "cpu,a=b ", "a=\"", "", ""),
    ("csv", "", "a", ",", ""),
    ("csv", "2024-03-01T10:00:00Z,info,\"", "\"\"", "", "\",5.5,3"),
    ("csv", "", "\",", "", ""),
    ("docker", "{\"log\":\"", "user 5 ", "", DOCKER_END),
    ("docker", "{\"log\":\"", "\\\"", "", DOCKER_END),
    ("docker", "{\"log\":\"{\\\"a\\\":0", ",\\\"k#\\\":1", "", "}\\n\",\"stream\":\"stdout\",\"time\":\"2024-03-01T00:00:00Z\"}"),
    ("docker", "", "{\"log\":\"abc\",\"stream\":\"stdout\",\"time\":\"2024-03-01T00:00:00Z\"}\n", "", ""),
    ("cri", "2024-03-01T00:00:00.1Z stdout F hello, ", "k#=#", " ", ""),
    ("cri", "", "2024-03-01T00:00:00.1Z stdout P a\n2024-03-01T00:00:00.1Z stderr P a\n", "", ""),
    ("trace", "x\n", "  a\n", "", ""),
    ("trace", "{\n", "  \"a\": 1,\n", "", ""),
    ("trace", "java.io.IOException: x\n", "\tat a.b.C.d(C.java:#)\n", "", ""),
    ("trace", "panic: x\n\ngoroutine 1 [running]:\n", "main.f(0x#)\n\t/a/b.go:7 +0x1d\n", "", ""),
    // What masks look at.
    ("plain", "", "1", "", ""),
    ("plain", "", " ", "", ""),
    ("plain", "", "[", "", ""),
    ("plain", "", "a.", "", ""),
    ("plain", "", "a@", "", ""),
    ("plain", "", "a:", "", ""),
    ("plain", "", "/a", "", ""),
    ("plain", "", "\"", "", ""),
    ("plain", "", "http://", "", ""),
    ("plain", "", "1-", "", ""),
    ("plain", "", "af09", "", ""),
    ("plain", "", "é", "", ""),
    ("plain", "", "1.2.3.4", "", ""),
];

fn record(&(_, head, unit, between, tail): &Shape, bytes: usize) -> String {
    let mut text = head.to_owned();
    let mut number = 0;
    while text.len() + unit.len() + tail.len() < bytes {
        if number > 0 {
            text.push_str(between);
        }
        match unit.split_once('#') {
            Some((before, after)) => {
                let after = after.replace('#', &number.to_string());
                write!(text, "{before}{number}{after}").unwrap();
            }
            None => text.push_str(unit),
        }
        number += 1;
    }
    text + tail + "\n"
}

/// Seconds of processor time.
fn seconds(program: &str, args: &[&str], input: &[u8]) -> f64 {
    let mut child = Command::new(program)
        .args(args)
        .args(["-t", "1"])
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    // The process is read before it is waited for: its times are gone afterwards.
    let stat = format!("/proc/{}/stat", child.id());
    let mut ticks = 0;
    while let Ok(text) = std::fs::read_to_string(&stat) {
        let fields: Vec<&str> = text.rsplit(") ").next().unwrap().split(' ').collect();
        let (user, system): (u64, u64) = (fields[11].parse().unwrap(), fields[12].parse().unwrap());
        ticks = user + system;
        if fields[0] == "Z" {
            break;
        }
        let_pass(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success());
    ticks as f64 / 100.0
}

fn check(args: &[&str], seconds_min: f64) {
    let bytes = std::env::var("WEIR_COST_BYTES").map_or(200_000, |text| text.parse().unwrap());
    let program = std::env::var("WEIR_COST_PROGRAM");
    let program = program.unwrap_or_else(|_| env!("CARGO_BIN_EXE_weir").to_owned());
    let input = |format: &str, text: String| {
        if format == "csv" {
            CSV_HEADER.to_owned() + &text
        } else {
            text
        }
    };
    let start = seconds(&program, args, b"x\n");
    let ordinary: Vec<(&str, f64)> = ORDINARY
        .iter()
        .map(|&(format, line)| {
            let text = input(format, line.repeat(bytes / line.len()));
            let spent = (seconds(&program, args, text.as_bytes()) - start).max(seconds_min);
            (format, spent / text.len() as f64)
        })
        .collect();
    let mut slow = Vec::new();
    for shape in &SHAPES {
        let text = input(shape.0, record(shape, bytes));
        let (_, per_byte) = ordinary
            .iter()
            .find(|(format, _)| *format == shape.0)
            .unwrap();
        let ratio = || {
            let spent = (seconds(&program, args, text.as_bytes()) - start).max(0.0);
            spent / text.len() as f64 / per_byte
        };
        let mut best = ratio();
        for _ in 0..2 {
            if best > RATIO_MAX {
                best = best.min(ratio());
            }
        }
        eprintln!("{best:6.1}  {args:?} {} {:?}", shape.0, (shape.1, shape.2));
        if best > RATIO_MAX {
            slow.push(format!("{best:.1} times: {shape:?}"));
        }
    }
    assert!(slow.is_empty(), "{args:?}: {slow:#?}");
}

/// A logfmt line of 90,000 fields took 7.7 seconds.
#[test]
fn no_record_costs_more_than_its_bytes_as_json() {
    check(&["filter", "-o", "json"], 0.02);
}

#[test]
fn no_record_costs_more_than_its_bytes_in_a_report() {
    check(&["-o", "json", "-l", "trace"], 0.02);
}

#[test]
fn no_record_costs_more_than_its_bytes_to_dedup() {
    check(&["filter", "--dedup", "template"], 0.02);
}

/// What is over the limit of a record is counted, and what is asked for by name is found behind it.
#[test]
fn fields_over_the_limit_are_counted_and_wanted_ones_are_found() {
    use crate::program::run_with;
    let line = record(
        &("plain", "hello, world ", "k#=#", " ", " zz=here"),
        100_000,
    );
    let pairs = line.matches('=').count() as u64;
    let json = run_with(["filter", "-o", "json"], line.as_bytes())
        .exits(0)
        .json();
    assert_eq!(json["fields_cut"], pairs - 4096);
    assert_eq!(json["fields"].as_object().unwrap().len(), 4096);
    assert_eq!(json["fields"]["k4095"], "4095");
    let found = run_with(["filter", "-w", "zz == \"here\""], line.as_bytes()).exits(0);
    assert_eq!(found.stdout, line.as_bytes());
    let report = run_with(["-o", "json"], line.as_bytes()).exits(0).json();
    assert_eq!(
        report["ledger"]["fields_cut"], 0,
        "a report lists no fields"
    );
    let metrics = record(&("plain", "hello, world ", "k#_cpu=#", " ", ""), 100_000);
    let numbers = metrics.matches('=').count() as u64;
    let report = run_with(["-o", "json"], metrics.as_bytes()).exits(0).json();
    assert_eq!(report["ledger"]["fields_cut"], numbers - 4096);
    let text = run_with([""; 0], metrics.as_bytes()).exits(0).text();
    assert!(
        text.contains("left out: a record lists at most 4,096"),
        "{text}"
    );
    // A JSON record is its own object and stays whole.
    let json = record(&("json", "{", "\"k#\":#", ",", "}"), 100_000);
    let kept = run_with(["filter", "-o", "json"], json.as_bytes())
        .exits(0)
        .json();
    assert_eq!(kept["fields_cut"], serde_json::Value::Null);
    assert_eq!(
        kept["fields"].as_object().unwrap().len(),
        json.matches(':').count()
    );
}
