//! A byte order mark before a file's first record says how the file is encoded and is no part of the
//! record: everything that reads the record reads it as without the mark, and lines that go out as
//! text keep it.

use std::fs;

use serde_json::Value;

use crate::program::{run_in, run_with};

const MARK: &str = "\u{feff}";

/// Files whose first record has each format and each kind of framing.
const FILES: [(&str, &str); 13] = [
    (
        "json",
        "{\"msg\":\"bom\"}\n{\"level\":\"error\",\"msg\":\"second\",\"cpu\":5}\n",
    ),
    ("json over lines", "{\n  \"msg\": \"bom\"\n}\nplain\n"),
    (
        "logfmt",
        "level=error msg=\"a b\" took=5ms\nlevel=info msg=c took=6ms\n",
    ),
    (
        "syslog",
        "<34>1 2003-10-11T22:14:15.003Z host app 1 ID47 - text\n",
    ),
    (
        "access",
        "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 500 23\n",
    ),
    (
        "klog",
        "E0517 15:04:22.619632 952 logging_unittest.cc:253] Log a=1\n",
    ),
    (
        "log4j and a trace",
        "2024-03-01 00:00:00,123 ERROR [main] a.B: text\njava.io.IOException: x\n\tat a.b(C.java:1)\n2024-03-01 00:00:01,123 INFO [main] a.B: end\n",
    ),
    (
        "prometheus",
        "http_requests_total{method=\"post\"} 1027 1395066363000\n",
    ),
    ("influx", "cpu,host=a usage=1i 1465839830100400200\n"),
    (
        "csv",
        "time,level,message\n2024-03-01T00:00:00Z,error,first\n2024-03-01T00:00:01Z,info,second\n",
    ),
    (
        "docker",
        "{\"log\":\"ERROR part \",\"stream\":\"stdout\",\"time\":\"2024-03-01T00:00:00Z\"}\n{\"log\":\"whole\\n\",\"stream\":\"stdout\",\"time\":\"2024-03-01T00:00:00Z\"}\n",
    ),
    (
        "cri",
        "2024-03-01T00:00:00.1Z stdout P level=error \n2024-03-01T00:00:00.2Z stdout F msg=joined\n",
    ),
    ("plain", "ERROR on 10.0.0.1 after 5 s\nfine\n"),
];

/// Runs on the file without and with its mark.
#[track_caller]
fn both(args: &[&str], text: &str) -> [Vec<u8>; 2] {
    ["", MARK].map(|mark| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.log"), format!("{mark}{text}")).unwrap();
        run_in(folder.path(), [args, &["a.log"]].concat())
            .exits(0)
            .stdout
    })
}

/// The values of JSON lines, without what has to differ: offsets, bytes, original text.
fn values(output: &[u8]) -> Vec<Value> {
    serde_json::Deserializer::from_slice(output)
        .into_iter::<Value>()
        .map(|value| without(value.unwrap()))
        .collect()
}

fn without(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| !matches!(&key[..], "offset" | "bytes" | "raw"))
            .map(|(key, value)| (key, without(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without).collect(),
        other => other,
    }
}

/// Spans of a record without its mark used to be looked up in the record with its mark, so that the
/// message of `{"msg":"bom"}` was `":"`, with a wrong fingerprint and template.
#[test]
fn json_lines_say_the_same_with_a_mark() {
    for (name, text) in FILES {
        for more in [
            &[][..],
            &["-l", "error"],
            &["--dedup", "message"],
            &["-w", "not raw =~ \"^\u{feff}\" and not message == \"\""],
            &["-w", "raw =~ \"^[\\\\x20-\\\\x7e]\""],
            &["-m", "m"],
            &["--multiline", "off"],
            &["--multiline", "^[{0-9l<ELhct]"],
            &["-t", "1"],
        ] {
            let args = [&["filter", "-o", "json"], more].concat();
            let [want, got] = both(&args, text);
            assert_eq!(values(&got), values(&want), "{name} {more:?}");
        }
        let [want, got] = both(&["filter", "-o", "json"], text);
        let first = |output: &[u8]| -> Value {
            serde_json::Deserializer::from_slice(output)
                .into_iter()
                .next()
                .unwrap()
                .unwrap()
        };
        let (want, got) = (first(&want), first(&got));
        if name != "csv" {
            assert_eq!(got["offset"], 0, "{name}");
            let raw = format!("{MARK}{}", want["raw"].as_str().unwrap());
            assert_eq!(got["raw"], raw, "{name}: the original bytes");
        }
    }
}

#[test]
fn reports_say_the_same_with_a_mark() {
    for (name, text) in FILES {
        for more in [
            &["-l", "trace"][..],
            &["-l", "trace", "--by", "level"],
            &["-w", "raw =~ \"^.\""],
        ] {
            let args = [&["-o", "json"], more].concat();
            let [want, got] = both(&args, text);
            assert_eq!(values(&got), values(&want), "{name} {more:?}");
        }
    }
}

#[test]
fn text_keeps_the_mark() {
    for (name, text) in FILES {
        for more in [
            &[][..],
            &["-w", "has(source)"],
            &["-v", "-m", "no such text"],
            &["--dedup", "exact"],
        ] {
            let [want, got] = both(&[&["filter"], more].concat(), text);
            let mark = if name == "csv" { "" } else { MARK };
            // The header of a CSV file is no record and goes out with none.
            assert_eq!(got, [mark.as_bytes(), &want].concat(), "{name} {more:?}");
        }
    }
}

#[test]
fn each_of_several_files_may_have_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    for (at, (_, text)) in FILES.iter().enumerate() {
        fs::write(
            folder.path().join(format!("{at}.log")),
            format!("{MARK}{text}"),
        )
        .unwrap();
    }
    let names: Vec<String> = (0..FILES.len()).map(|at| format!("{at}.log")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let args = [&["filter", "-o", "json"], &names[..]].concat();
    let marked = run_in(folder.path(), &args).exits(0).stdout;
    for (at, (_, text)) in FILES.iter().enumerate() {
        fs::write(folder.path().join(format!("{at}.log")), text).unwrap();
    }
    let bare = run_in(folder.path(), &args).exits(0).stdout;
    assert_eq!(values(&marked), values(&bare));
}

#[test]
fn marks_within_a_pipe_are_those_of_the_files_that_were_put_together() {
    let lines = [
        "{\"msg\":\"one\"}\n",
        "level=error msg=two a=b\n",
        "three\n",
    ];
    let bare = run_with(["filter", "-o", "json"], lines.concat().as_bytes()).exits(0);
    let marked: String = lines.iter().map(|line| format!("{MARK}{line}")).collect();
    let got = run_with(["filter", "-o", "json"], marked.as_bytes()).exits(0);
    assert_eq!(values(&got.stdout), values(&bare.stdout));
    let text = run_with(["filter"], marked.as_bytes()).exits(0);
    assert_eq!(text.stdout, marked.as_bytes());
}

#[test]
fn explain_reads_past_a_mark() {
    for (name, text) in FILES {
        let explained = |mark: &str| {
            let input = format!("{mark}{text}");
            values(
                &run_with(["explain", "-o", "json", "-"], input.as_bytes())
                    .exits(0)
                    .stdout,
            )
        };
        assert_eq!(explained(MARK), explained(""), "{name}");
    }
}
