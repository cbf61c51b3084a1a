//! Framing against outside truth and against its laws.

use super::container::{recognise, unescape};
use super::count::{count_records, record_around};
use super::cut::{cut, first_start_after, open_is_wrapped};
use super::frame::{Framer, Records};
use super::kind::{Kind, kind, suspicious};
use super::*;
use proptest::prelude::*;
use std::path::PathBuf;

/// The shared test data, or a printed notice that it is not there.
fn shared_data() -> Option<PathBuf> {
    let path = std::env::var_os("WEIR_SHARED_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        PathBuf::from,
    );
    if path.is_dir() {
        return Some(path);
    }
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("skipped: no shared data at {}\n", path.display()),
    );
    None
}

/// A record as the tests compare it: offsets of its lines in the whole input, first line, payload,
/// what the container said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) lines: Vec<(usize, usize)>,
    first_line: usize,
    line_count: u32,
    payload: String,
    container: Option<(String, &'static str, bool)>,
}

/// Frames one chunk that stands at `offset` and line `line` of its input.
pub(super) fn seen(
    framer: &mut Framer,
    chunk: &[u8],
    offset: usize,
    line: &mut usize,
) -> Vec<Seen> {
    let mut records = Records::default();
    framer.frame(chunk, &mut records);
    let seen: Vec<Seen> = records
        .all()
        .iter()
        .map(|record| {
            // Adjacent spans are one: how a record's lines are split is no part of the answer.
            let lines = records
                .lines_of(record)
                .iter()
                .map(|span| (offset + span.start as usize, offset + span.end as usize))
                .collect();
            Seen {
                lines,
                first_line: *line + record.first_line as usize,
                line_count: record.line_count,
                payload: records.payload(chunk, record).escape_ascii().to_string(),
                container: records.container(record).map(|container| {
                    (
                        container.time.of(chunk).escape_ascii().to_string(),
                        container.stream.name(),
                        container.unfinished,
                    )
                }),
            }
        })
        .collect();
    let counts = count_records(&framer_mode(framer), chunk, 0);
    assert_eq!(counts.records as usize, seen.len());
    assert_eq!(counts.lines, u64::from(records.line_count()));
    assert_eq!(
        seen.iter()
            .map(|record| u64::from(record.line_count))
            .sum::<u64>(),
        counts.lines,
        "every line is in one record"
    );
    assert_eq!(
        counts.wrapped as usize,
        seen.iter()
            .filter(|record| record.container.is_some())
            .count()
    );
    *line += counts.lines as usize;
    seen
}

fn framer_mode(framer: &Framer) -> Multiline {
    framer.mode().clone()
}

fn whole(mode: &Multiline, input: &[u8]) -> Vec<Seen> {
    seen(&mut Framer::new(mode.clone()), input, 0, &mut 0)
}

/// Frames `input` as a reader would whose reads end at `reads`.
fn chunked(mode: &Multiline, input: &[u8], reads: &[usize]) -> Vec<Seen> {
    let mut framer = Framer::new(mode.clone());
    let (mut start, mut line, mut all) = (0, 0, Vec::new());
    for &read in reads {
        if read > start
            && let Some(end) = cut(mode, &input[start..read])
        {
            assert!(end > 0 && start + end <= read);
            all.extend(seen(
                &mut framer,
                &input[start..start + end],
                start,
                &mut line,
            ));
            start += end;
        }
    }
    if start < input.len() {
        all.extend(seen(&mut framer, &input[start..], start, &mut line));
    }
    all
}

fn payloads(mode: &Multiline, input: &[u8]) -> Vec<String> {
    whole(mode, input)
        .into_iter()
        .map(|record| record.payload)
        .collect()
}

/// Number of records in Auto mode.
fn auto(input: &str) -> usize {
    whole(&Multiline::Auto, input.as_bytes()).len()
}

const HEAD: &str = "2024-03-01 00:00:00,014 ERROR [main] org.example.Server: it failed\n";

#[test]
fn newline_framing_keeps_every_byte() {
    let off = Multiline::Off;
    assert_eq!(payloads(&off, b""), [""; 0]);
    assert_eq!(payloads(&off, b"\n\n"), ["", ""]);
    assert_eq!(
        payloads(&off, b"a\r\nb\rc\n\r\nlast"),
        ["a", "b\\rc", "", "last"]
    );
    assert_eq!(
        payloads(&off, b"\0\xff\n\x0b\x0c\xc2\x85\xe2\x80\xa8\n"),
        ["\\x00\\xff", "\\x0b\\x0c\\xc2\\x85\\xe2\\x80\\xa8"]
    );
}

#[test]
fn cuts_only_where_nothing_can_follow() {
    assert_eq!(cut(&Multiline::Off, b"a\nb"), Some(2));
    assert_eq!(cut(&Multiline::Off, b"a"), None);
    assert_eq!(cut(&Multiline::Off, b""), None);
    let head = HEAD.len();
    assert_eq!(cut(&Multiline::Auto, HEAD.as_bytes()), None);
    assert_eq!(
        cut(
            &Multiline::Auto,
            format!("{HEAD}\tat a.b(c)\n{HEAD}").as_bytes()
        ),
        Some(head + 11)
    );
    assert_eq!(
        cut(
            &Multiline::Auto,
            format!("{HEAD}\tat a.b(c)\n{HEAD}\tat").as_bytes()
        ),
        Some(head + 11)
    );
    assert_eq!(cut(&Multiline::Auto, b"some text\nother text\n"), Some(10));
    let pattern = Multiline::Pattern(regex::bytes::Regex::new("^#").unwrap());
    assert_eq!(cut(&pattern, b"#a\nb\n#c\nd\n"), Some(5));
    assert_eq!(cut(&pattern, b"#a\nb\nc\nd\n"), None);
}

#[test]
fn each_trace_file_is_one_record() {
    let Some(data) = shared_data() else { return };
    let mut files = 0;
    // Crashes that the runtime reports by itself are no part of the log record above them.
    let crashes = ["go_", "dart_", "php_on_gae"];
    // Not a trace, or one whose first line has a head or no sign of an exception type.
    let own_record = ["java_exc_part1", "v8_js"];
    for entry in std::fs::read_dir(data.join("stacktraces")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        files += 1;
        if name == "arbitrary_text.txt" {
            assert_eq!(auto(&text), 4, "plain lines do not join");
            continue;
        }
        if name == "java_exc_part2.txt" {
            // The second half of part 1: frames only.
            assert_eq!(
                auto(&format!(
                    "{}{text}",
                    std::fs::read_to_string(path.with_file_name("java_exc_part1.txt")).unwrap()
                )),
                1
            );
        }
        assert_eq!(auto(&text), 1, "{name}");
        assert_eq!(
            auto(&format!("{text}hello world, not multiline\n")),
            2,
            "{name}"
        );
        assert_eq!(auto(&format!("{text}{HEAD}")), 2, "{name}");
        let own = crashes
            .iter()
            .chain(&own_record)
            .any(|prefix| name.starts_with(prefix));
        assert_eq!(
            auto(&format!("{HEAD}{text}")),
            if own { 2 } else { 1 },
            "{name} under a head"
        );
    }
    assert_eq!(files, 25);
}

#[test]
fn agrees_with_fluent_bit() {
    let Some(data) = shared_data() else { return };
    for name in [
        "cri",
        "docker",
        "docker_cri_chain",
        "java",
        "python",
        "ruby",
    ] {
        let text =
            std::fs::read_to_string(data.join(format!("multiline/fluentbit_{name}.json"))).unwrap();
        let case: serde_json::Value = serde_json::from_str(&text).unwrap();
        let strings = |key: &str| -> Vec<String> {
            case[key]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap().to_string())
                .collect()
        };
        let mut input = String::new();
        for line in strings("input") {
            // One line of the Docker case holds a raw line feed where Docker writes `\n`.
            let line = if line.starts_with("{\"log\"") {
                line.replace('\n', "\\n")
            } else {
                line
            };
            input.push_str(line.strip_suffix('\n').unwrap_or(&line));
            input.push('\n');
        }
        // Differences: our payload has no final line feed; records are in the order of their first
        // lines, fluent-bit's in the order of their last.
        let mut want: Vec<String> = strings("output")
            .iter()
            .map(|line| {
                line.strip_suffix('\n')
                    .unwrap_or(line)
                    .as_bytes()
                    .escape_ascii()
                    .to_string()
            })
            .collect();
        let mut got = payloads(&Multiline::Auto, input.as_bytes());
        want.sort();
        got.sort();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn unwraps_docker_lines() {
    let Some(data) = shared_data() else { return };
    let text = std::fs::read_to_string(data.join("k8s/docker_json.log")).unwrap();
    let records = whole(&Multiline::Off, text.as_bytes());
    // The oracle: serde_json, pieces joined per stream by hand.
    let mut want: Vec<(usize, String)> = Vec::new();
    let mut open: [Option<usize>; 2] = [None, None];
    for (number, line) in text.lines().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let stream = usize::from(value["stream"] == "stderr");
        let log = value["log"].as_str().unwrap();
        let place = *open[stream].get_or_insert_with(|| {
            want.push((number, String::new()));
            want.len() - 1
        });
        want[place].1.push_str(log);
        if log.ends_with('\n') {
            open[stream] = None;
        }
    }
    let want: Vec<(usize, String)> = want
        .into_iter()
        .map(|(line, log)| {
            (
                line,
                log.strip_suffix('\n')
                    .unwrap()
                    .as_bytes()
                    .escape_ascii()
                    .to_string(),
            )
        })
        .collect();
    let got: Vec<(usize, String)> = records
        .iter()
        .map(|record| (record.first_line, record.payload.clone()))
        .collect();
    assert_eq!(got, want);
}

#[test]
fn recognises_only_wrapped_lines() {
    let yes = [
        r#"{"log":"a\n","stream":"stdout","time":"t"}"#,
        r#"{ "time" : "t" , "attrs":{"a":{"}":"{"}},"stream":"stderr","log":""} "#,
        "2019-05-07T18:57:50.904275087+00:00 stdout P 1a. some ",
        "2019-05-07T18:57:50Z stderr F",
        "2019-05-07T18:57:50Z stderr F:x:y text",
    ];
    for line in yes {
        assert!(recognise(line.as_bytes()).is_some(), "{line}");
    }
    let no = [
        r#"{"log":"a\n","stream":"stdout","time":"t","level":"info"}"#,
        r#"{"log":"a\n","stream":"stdout"}"#,
        r#"{"log":"a\n","stream":"other","time":"t"}"#,
        r#"{"log":"a\x","stream":"stdout","time":"t"}"#,
        r#"{"log":"a","log":"b","stream":"stdout","time":"t"}"#,
        r#"{"log":"a\n","stream":"stdout","time":"t"}x"#,
        r#"{"log":5,"stream":"stdout","time":"t"}"#,
        r#"{"log":"a\u12","stream":"stdout","time":"t"}"#,
        "2019-05-07T18:57:50Z stdout X text",
        "2019-05-07T18:57:50Z stdoutF text",
        "2019-05-07T18:57:50Z",
        "2019-05-07 18:57:50Z stdout F text",
        "{",
        "",
    ];
    for line in no {
        assert!(recognise(line.as_bytes()).is_none(), "{line}");
    }
}

#[test]
fn joins_pieces_while_others_interleave() {
    let input = b"2019-05-07T18:57:50Z stdout P one \n2019-05-07T18:57:51Z stderr F err\n2019-05-07T18:57:52Z stdout F two\n2019-05-07T18:57:53Z stderr P open";
    for mode in [Multiline::Off, Multiline::Auto] {
        let records = whole(&mode, input);
        let got: Vec<_> = records
            .iter()
            .map(|record| {
                (
                    record.payload.as_str(),
                    record.lines.len(),
                    record.container.clone().unwrap().2,
                )
            })
            .collect();
        assert_eq!(
            got,
            [("one two", 2, false), ("err", 1, false), ("open", 1, true)]
        );
    }
    // A piece before and after a rotation is one record: the reader cuts between neither.
    assert_eq!(cut(&Multiline::Off, &input[..35]), None);
    // A plain line ends what is open.
    let records = whole(
        &Multiline::Off,
        b"2019-05-07T18:57:50Z stdout P one\nplain\n2019-05-07T18:57:52Z stdout F two\n",
    );
    assert_eq!(
        records
            .iter()
            .map(|record| record.payload.as_str())
            .collect::<Vec<_>>(),
        ["one", "plain", "two"]
    );
    assert!(records[0].container.as_ref().unwrap().2);
}

#[test]
fn joins_traces_within_one_stream() {
    let line = |stream: &str, text: &str| format!("2019-05-07T18:57:50Z {stream} F {text}\n");
    let input = [
        line("stderr", "2024-03-01 10:00:00 ERROR failed"),
        line("stdout", "2024-03-01 10:00:00 INFO fine"),
        line("stderr", "java.io.IOException: reset"),
        line("stdout", "2024-03-01 10:00:00 INFO fine"),
        line("stderr", "\tat a.b(c)"),
        line("stderr", "2024-03-01 10:00:01 ERROR again"),
    ]
    .concat();
    let got = payloads(&Multiline::Auto, input.as_bytes());
    assert_eq!(
        got,
        [
            "2024-03-01 10:00:00 ERROR failed\\njava.io.IOException: reset\\n\\tat a.b(c)",
            "2024-03-01 10:00:00 INFO fine",
            "2024-03-01 10:00:00 INFO fine",
            "2024-03-01 10:00:01 ERROR again"
        ]
    );
}

#[test]
fn limits_records() {
    // However deep the rest of a cut record is indented, it does not fall into records of a line.
    for line in ["\tx\n", "  x\n", "        x\n", "  \"a\": 1,\n"] {
        let input = format!("{HEAD}{}", line.repeat(1200));
        let counts: Vec<u32> = whole(&Multiline::Auto, input.as_bytes())
            .iter()
            .map(|record| record.line_count)
            .collect();
        assert_eq!(counts, [500, 500, 201], "{line:?}");
    }
    let long = format!(
        "{HEAD}{}",
        format!("\t{}\n", "x".repeat(300_000)).repeat(10)
    );
    let counts: Vec<u32> = whole(&Multiline::Auto, long.as_bytes())
        .iter()
        .map(|record| record.line_count)
        .collect();
    // Continuations begin at 68, 300,070 … 900,074 and, past 1 MiB, at 1,200,076.
    assert_eq!(counts, [5, 4, 2]);
    let never = Multiline::Pattern(regex::bytes::Regex::new("^never").unwrap());
    assert_eq!(whole(&never, "line\n".repeat(1001).as_bytes()).len(), 3);
    assert_eq!(cut(&never, "line\n".repeat(1001).as_bytes()), Some(5000));
    // A partial line that nobody ends.
    let open = format!(
        "2019-05-07T18:57:50Z stderr P open\n{}",
        "2019-05-07T18:57:50Z stdout F x\n".repeat(50_000)
    );
    let records = whole(&Multiline::Auto, open.as_bytes());
    assert_eq!(records.len(), 50_001);
    assert!(records[0].container.as_ref().unwrap().2);
    assert!(cut(&Multiline::Auto, &open.as_bytes()[..1_200_000]).is_some());
    let reads: Vec<usize> = (1..9).map(|read| read * 180_001).collect();
    assert_eq!(
        records,
        chunked(&Multiline::Auto, open.as_bytes(), &reads),
        "the chunking law, across a group that reaches its limit"
    );
}

#[test]
fn traces_of_a_mixed_corpus_join_their_records() {
    let Some(data) = shared_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let truth = folder.path().join("truth.json");
    let run = std::process::Command::new("python3")
        .arg(data.join("gen_corpus.py"))
        .args(["mixed", "--bytes", "4mi", "--traces", "20", "--truth"])
        .arg(&truth)
        .output();
    let corpus = match run {
        Ok(output) if output.status.success() => output.stdout,
        _ => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("skipped: gen_corpus.py does not run\n"),
            );
            return;
        }
    };
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(truth).unwrap()).unwrap();
    let counts = count_records(&Multiline::Auto, &corpus, 0);
    assert_eq!(counts.lines, truth["lines"].as_u64().unwrap());
    assert_eq!(counts.records, truth["events"].as_u64().unwrap());
    assert_eq!(
        whole(&Multiline::Auto, &corpus),
        chunked(
            &Multiline::Auto,
            &corpus,
            &(1..64)
                .map(|read| read * corpus.len() / 64)
                .collect::<Vec<_>>()
        )
    );
}

#[test]
fn agrees_with_filebeat_on_multiline_logs() {
    let Some(data) = shared_data() else { return };
    let beats = data.join("beats");
    // File, and how many of filebeat's events and of ours have no twin, with the reason.
    let cases = [
        (
            "elasticsearch/server/test.log",
            0,
            1,
            "a line cut out of the middle of another: nothing shows that it belongs above",
        ),
        ("elasticsearch/server/test-json.log", 0, 0, ""),
        ("kafka/log/controller-2.0.0.log", 0, 0, ""),
        ("kafka/log/server-2.0.0.log", 0, 0, ""),
        ("kafka/log/state-change-2.0.0.log", 0, 0, ""),
        ("logstash/log/logstash-plain.log", 0, 0, ""),
        (
            "icinga/main/test.log",
            0,
            2,
            "what a command printed and a blank line: no evidence; filebeat knows each head of icinga",
        ),
        (
            "postgresql/log/postgresql-9.6-debian-with-slowlog.log",
            0,
            0,
            "",
        ),
        ("postgresql/log/postgresql-9.6-multi-core.log", 0, 0, ""),
        ("system/syslog/darwin-syslog-sample.log", 0, 0, ""),
        ("system/syslog/darwin-syslog.log", 0, 0, ""),
    ];
    let mut failed = false;
    for (file, missing, extra, reason) in cases {
        let input = std::fs::read(beats.join(file)).unwrap();
        let events: serde_json::Value = serde_json::from_slice(
            &std::fs::read(beats.join(format!("{file}-expected.json"))).unwrap(),
        )
        .unwrap();
        let want: Vec<usize> = events
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["log.offset"].as_u64().unwrap() as usize)
            .collect();
        let last = *want.last().unwrap();
        let records = whole(&Multiline::Auto, &input);
        let got: Vec<usize> = records
            .iter()
            .map(|record| record.lines[0].0)
            .filter(|&offset| offset <= last)
            .collect();
        let lost: Vec<_> = want.iter().filter(|offset| !got.contains(offset)).collect();
        let more: Vec<_> = got.iter().filter(|offset| !want.contains(offset)).collect();
        if (lost.len(), more.len()) != (missing, extra) {
            failed = true;
            eprintln!(
                "{file}: {} of {} not ours, {} of ours not theirs; expected {missing}, {extra} {reason}",
                lost.len(),
                want.len(),
                more.len()
            );
            for offset in lost.iter().chain(&more).take(12) {
                let line = input[**offset..]
                    .split(|&byte| byte == b'\n')
                    .next()
                    .unwrap();
                eprintln!(
                    "   {offset}: {}",
                    line[..line.len().min(100)].escape_ascii()
                );
            }
        }
    }
    assert!(!failed);
}

#[test]
fn evidence_is_suspicious() {
    let lines: [(&str, Kind); 34] = [
        ("", Kind::Blank),
        (" \t", Kind::Blank),
        ("  x", Kind::Indented),
        ("   ^~~", Kind::Caret),
        ("at a.b(c:1)", Kind::Frame),
        ("at this point", Kind::Text),
        ("Caused by: x", Kind::Frame),
        ("Suppressed: x", Kind::Frame),
        ("... 7 more", Kind::Frame),
        ("... and so on", Kind::Text),
        ("from /a.rb:6:in `b'", Kind::Frame),
        ("from here on", Kind::Text),
        ("--- End of stack trace ---", Kind::Frame),
        ("--- a/file", Kind::Text),
        ("},", Kind::Closer),
        ("]}", Kind::Closer),
        ("} else", Kind::Text),
        (
            "java.io.IOException: Connection reset by peer",
            Kind::Exception,
        ),
        ("java.lang.NullPointerException", Kind::Exception),
        ("org.postgresql.util.Thing: x", Kind::Exception),
        ("TypeError [ERR_X]: y", Kind::Exception),
        (
            "ActiveRecord::RecordNotFoundError (Couldn't find it):",
            Kind::Exception,
        ),
        ("Error: x", Kind::Exception),
        ("Error opening file", Kind::Text),
        ("ErrorHandler started", Kind::Text),
        ("kernel: x", Kind::Text),
        ("Traceback (most recent call last):", Kind::Traceback),
        ("goroutine 5 [running]:", Kind::Goroutine),
        ("[signal SIGSEGV: x]", Kind::GoDetail),
        (
            "thread 'main' panicked at src/main.rs:1:2:",
            Kind::RustPanic,
        ),
        ("#0 main", Kind::Numbered),
        ("#Fields: a b", Kind::Text),
        ("PHP Fatal error:  Uncaught", Kind::Text),
        ("Node.js v18.0.0", Kind::NodeVersion),
    ];
    for (line, want) in lines {
        assert_eq!(kind(line.as_bytes()), want, "{line}");
        assert!(
            want == Kind::Text || suspicious(line.as_bytes()) || line.is_empty(),
            "{line}"
        );
    }
}

/// Whole inputs and the number of their records.
#[test]
fn joins_reports_and_leaves_neighbours_apart() {
    let cases: [(&str, usize); 39] = [
        // Python
        (
            "Traceback (most recent call last):\n  File \"a\"\nValueError: 1\nTraceback (most recent call last):\n  File \"b\"\nValueError: 2\n",
            2,
        ),
        (
            "Traceback (most recent call last):\n  File \"a\"\nValueError: 1\n\nTraceback (most recent call last):\n  File \"b\"\nValueError: 2\n",
            2,
        ),
        (
            "  File \"a.py\", line 1\n    x y\n      ^\nSyntaxError: invalid syntax\n",
            1,
        ),
        (
            "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 3, in f\n  | ExceptionGroup: x (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | ValueError: 1\n    +------------------------------------\n",
            1,
        ),
        (
            "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n  File \"/a.py\", line 3 in f\n",
            1,
        ),
        // Go
        (
            "2026/11/20 10:00:01 http: panic serving 1.2.3.4:5: boom\ngoroutine 19 [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/go/server.go:1868 +0xb9\npanic({0x6a5b20?, 0x8f4a10?})\n\t/usr/go/panic.go:920 +0x270\nmain.f(...)\n\t/src/a.go:3\ncreated by net/http.(*Server).Serve in goroutine 1\n\t/src/b.go:3\n",
            1,
        ),
        (
            "2026-11-20T10:00:00.123Z\tERROR\tReconciler error\t{\"name\": \"x\"}\nsigs.k8s.io/controller-runtime/pkg/controller.(*Controller).Start.func2.2\n\t/go/pkg/mod/controller.go:227\nruntime.goexit\n\t/go/asm.s:1\n2026-11-20T10:00:01.123Z\tINFO\tdone\n",
            2,
        ),
        (
            "2026-11-20 10:00:00 INFO files\nsrc/main.go\nsrc/lib.rs\n",
            3,
        ),
        (
            "WARNING: DATA RACE\nRead at 0x00c0 by goroutine 8:\n  main.f()\n      /a.go:1\n\nPrevious write at 0x00c0 by goroutine 7:\n  main.g()\n      /a.go:2\n\nGoroutine 8 (running) created at:\n  main.main()\n==================\nready\n",
            2,
        ),
        // PHP
        (
            "2026/11/20 10:00:01 [error] 1#1: *2 FastCGI sent in stderr: \"PHP message: PHP Warning:  a\nPHP message: PHP Warning:  b\" while reading\n2026/11/20 10:00:02 [warn] x\n",
            2,
        ),
        ("PHP message: a\nPHP message: b\n", 2),
        (
            "[2026-11-20 10:00:01] production.ERROR: x {\"exception\":\"[object] (E(code: 0): x at /a.php:5)\n[stacktrace]\n#0 /a.php(1): f('x')\n#1 {main}\n\n[previous exception] [object] (E(code: 0): y at /b.php:6)\n[stacktrace]\n#0 {main}\n\"} \n[2026-11-20 10:00:02] production.INFO: y\n",
            2,
        ),
        // Erlang and Elixir
        (
            "10:00:01.227 [error] GenServer #PID<0.931.0> terminating\n** (stop) killed\nLast message: {:EXIT, :killed}\nState: {:state, 1}\n10:00:02.227 [info] up\n",
            2,
        ),
        (
            "** (RuntimeError) boom\n    lib/a.ex:3: A.f/1\n** (RuntimeError) boom\n    lib/a.ex:3: A.f/1\n",
            2,
        ),
        (
            "=ERROR REPORT==== 20-Nov-2026::10:00:00.123456 ===\n** Generic server <0.1.0> terminating\n** Last message in was stop\n** Reason for termination ==\n** {badmatch,{error,enoent}}\n\n=INFO REPORT==== 20-Nov-2026::10:00:01 ===\naccepting AMQP connection\n\n=CRASH REPORT==== 20-Nov-2026::10:00:02 ===\n  crasher:\n    pid: <0.1.0>\n",
            3,
        ),
        // MySQL
        (
            "# Time: 2026-11-20T10:00:00.1Z\n# User@Host: a[a] @ b []  Id: 1\n# Query_time: 2.0  Lock_time: 0.1\nuse shop;\nSET timestamp=1795168800;\nSELECT a,\n b\nFROM t\nWHERE x = 1;\n# User@Host: a[a] @ b []\n# Query_time: 3.0\nSELECT 1;\n# Time: 2026-11-20T10:00:02.1Z\n# Query_time: 3.0\nSELECT 2;\nready\n",
            4,
        ),
        ("SELECT a\nFROM t\n", 2),
        // Java
        (
            "Nov 20, 2026 10:00:02 AM com.example.Main main\nSEVERE: cannot start 17\njava.lang.IllegalStateException: y\n\tat a.b(C.java:1)\nNov 20, 2026 10:00:03 AM com.example.Main main\nINFO: started\n",
            2,
        ),
        ("INFO: a\nWARNING: b\nINFO: c\n", 3),
        (
            "2026-11-20 10:00:01,123 ERROR [a.B] x: java.lang.IllegalStateException: y\n\tat a.b(C.java:1)\n\tSuppressed: java.io.IOException: z\n\t\tat a.b(C.java:1)\nWrapped by: a.b.OuterException: o\n\tat a.b(C.java:1) ~[a.jar:1.0]\n",
            1,
        ),
        (
            "java.lang.OutOfMemoryError: Java heap space\nDumping heap to java_pid1.hprof ...\nHeap dump file created [123 bytes in 0.1 secs]\nready\n",
            2,
        ),
        (
            "#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x1\n#\n",
            1,
        ),
        ("#\n# a comment\n# another\n", 3),
        (
            "2026-11-20T10:00:00.1+0000: 0.12: [GC (Allocation Failure) [ParNew\nDesired survivor size 1 bytes, new threshold 6 (max 6)\n- age   1:   1 bytes,   1 total\n: 1K->2K(3K), 0.1 secs]\n",
            1,
        ),
        (
            "api-1  | java.lang.IllegalStateException: y\napi-1  | \tat a.b(C.java:1)\napi-1  | Caused by: z\napi-1  | \tat a.b(C.java:1)\napi-1  | \t... 3 more\ndb-1   | ready (5)\napi-1  | ready (5)\n",
            3,
        ),
        (
            "Nov 20 10:00:00 web app[17]: java.lang.IllegalStateException: y\nNov 20 10:00:01 web app[17]: \tat a.b(C.java:1)\nNov 20 10:00:01 web app[17]: done (5)\n",
            2,
        ),
        (
            "11-20 10:00:05.100  4001  4001 E AndroidRuntime: java.lang.IllegalStateException: x\n11-20 10:00:05.100  4001  4001 E AndroidRuntime: \tat a.b(C.java:12)\n",
            2,
        ),
        (
            "2026-11-20 10:00:02.123 +00:00 [FTL] Host terminated\nUnhandled exception. System.InvalidOperationException: empty\n   at A.B() in /a.cs:line 4\n",
            1,
        ),
        // C and C++
        (
            "==17==ERROR: AddressSanitizer: heap-use-after-free on address 0x602\nREAD of size 4 at 0x602 thread T0\n    #0 0x55 in main /src/a.c:3\n\n0x602 is located 0 bytes inside of 4-byte region\nfreed by thread T0 here:\n    #0 0x1\nSUMMARY: AddressSanitizer: heap-use-after-free\n==17==ABORTING\nready\n",
            2,
        ),
        (
            "==17== Invalid read of size 4\n==17==    at 0x1: f (a.c:1)\n==17==  Address 0x2 is 0 bytes after\n==17== \n==17== Invalid write of size 4\n==17==    at 0x1: f (a.c:1)\n",
            2,
        ),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  boom\nAborted (core dumped)\n",
            1,
        ),
        // R, Lua, Swift, Ruby, Node
        ("Error in f(x) : no x\nCalls: g -> f\nExecution halted\n", 1),
        (
            "lua: a.lua:3: attempt to index nil\nstack traceback:\n\t[C]: in ?\n",
            1,
        ),
        (
            "2026-11-20 10:00:00 ERROR x\nNoMethodError (undefined method 'a'):\n  \napp/a.rb:1:in 'b'\nlib/c.rb:2:in 'd'\n2026-11-20 10:00:01 INFO y\n",
            2,
        ),
        (
            "(node:17) UnhandledPromiseRejectionWarning: Error: x\n    at f (/a.js:1:1)\n(Use `node --trace-warnings ...` to show where the warning was created)\n",
            1,
        ),
        // Records of their own
        (
            " {\"level\":\"error\",\"msg\":\"a\"}\n {\"level\":\"error\",\"msg\":\"b\"}\n 2026-11-20 10:00:00 ERROR c\n",
            3,
        ),
        (" one plain line\n another\n a third\n", 3),
        (
            "10.0.0.1 - - [20/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 500 12\njava.lang.IllegalStateException: y\n\tat a.b(C.java:1)\n{\"level\":\"info\"}\nTraceback (most recent call last):\n  File \"a\"\nValueError: 1\n",
            4,
        ),
        (
            "{\"level\":\"info\",\"msg\":\"a\"}\n    of another program\n",
            2,
        ),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|&(text, want)| (text, want, payloads(&Multiline::Auto, text.as_bytes())))
        .filter(|(_, want, got)| got.len() != *want)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn joins_what_the_runtimes_write() {
    let one = [
        "Traceback (most recent call last):\n  File \"a\", line 1\n    x\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b\"\nRuntimeError\n",
        "Traceback (most recent call last):\n  File \"a\"\nValueError\n\nThe above exception was the direct cause of the following exception:\n\nTraceback (most recent call last):\n  x\na.b.C: y\n",
        "thread 'main' panicked at src/main.rs:2:5:\nboom, as it were\nnote: run with `RUST_BACKTRACE=1`\n",
        "thread 'main' panicked at 'boom', src/main.rs:2:5\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/x\nnote: Some details are omitted\n",
        "/srv/a.js:10\n    throw new Error('x')\n    ^\n\nError: x\n    at f (/srv/a.js:10:9)\n\nNode.js v18.0.0\n",
        "panic: a\n\tpanic: b\n[signal SIGSEGV: x]\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:1 +0x2\n\ngoroutine 2 [chan receive]:\nmain.(*T).g(...)\n\t/b.go:1\ncreated by main.main\n\t/c.go:2\n",
        "{\n  \"a\": 1,\n  \"b\": {\n    \"c\": 2\n  }\n}\n",
        "2024-03-01 10:00:00 INFO http: panic serving 1.2.3.4:5: boom\ngoroutine 5 [running]:\nnet/http.f(0x1)\n\t/a.go:1 +0x2\n",
    ];
    for text in one {
        assert_eq!(auto(text), 1, "{text}");
        assert_eq!(
            auto(&format!("{text}plain words follow here\n")),
            2,
            "{text}"
        );
    }
    assert_eq!(
        auto("one line\nanother line\nError: mine\nStarting up\n\n\nmore\n"),
        7,
        "no evidence, no join"
    );
    assert_eq!(
        auto("2024-03-01 10:00:00 INFO up\npanic: boom\n\ngoroutine 1 [running]:\n"),
        2,
        "a crash is a record of its own"
    );
}

/// Pieces that meet each other's rules: heads, evidence, openers, wrapped and half-wrapped lines.
const PIECES: [&str; 104] = [
    "2024-03-01 00:00:00 ERROR x",
    "2024-03-01T00:00:00Z INFO y",
    "[2024-03-01 00:00:00,1] WARN z",
    "{\"a\":1}",
    "{\"a\":1,",
    "\"b\": [",
    "\"c\"],",
    "\"d\": 1}",
    "{",
    "}",
    "},",
    "])",
    "plain words",
    "Starting server",
    "abcd",
    "x",
    "",
    " ",
    "\t",
    "\r",
    "  indented",
    "\tat a.b(C.java:1)",
    "at a.b(C.java:1)",
    "at this point",
    "Caused by: e",
    "... 3 more",
    "java.io.IOException: reset",
    "ValueError: x",
    "TypeError",
    "foo.bar",
    "Traceback (most recent call last):",
    "  File \"x\", line 1",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
    "panic: boom",
    "[signal SIGSEGV: x]",
    "goroutine 1 [running]:",
    "main.main()",
    "\t/a.go:1 +0x1",
    "created by main.main",
    "thread 'main' panicked at src/a.rs:1:2:",
    "note: run",
    "stack backtrace:",
    "Stack trace:",
    "#0 /a.php(1): f()",
    "#1 {main}",
    "Unhandled exception:",
    "FormatException: x",
    "Receiver: y",
    "<asynchronous suspension>",
    "     ^",
    "Node.js v1",
    "from /a.rb:1:in `b'",
    "--- End of inner exception stack trace ---",
    "Exception in thread \"main\" a.B: c",
    "PHP Fatal error:  x",
    "Tried calling: z",
    "\u{1}\u{fffd}",
    "main.main",
    "sigs.k8s.io/a/b.(*C).Start",
    "panic({0x1?, 0x2?})",
    "PHP message: PHP Warning:  x",
    "2024/03/01 00:00:00 [error] 1#0: *2 FastCGI: \"PHP message: x",
    "[stacktrace]",
    "\"} ",
    "=ERROR REPORT==== 20-Nov-2026::10:00:00 ===",
    "** Generic server terminating",
    "** (stop) killed",
    "Last message: x",
    "State: y",
    "{badmatch,1}",
    "==17==ERROR: AddressSanitizer: x",
    "READ of size 4",
    "0x1 is located",
    "==17==ABORTING",
    "==17==    at 0x1: f (a.c:1)",
    "WARNING: DATA RACE",
    "Previous write at 0x1",
    "==================",
    "Fatal Python error: x",
    "Current thread 0x1 (most recent call first):",
    "terminate called after x",
    "Aborted (core dumped)",
    "#",
    "# A fatal error has been detected by the Java Runtime Environment:",
    "# Time: 2026-11-20T10:00:00.000000Z",
    "# User@Host: a[b]",
    "# Query_time: 1",
    "select a,",
    "from t;",
    "Nov 20, 2026 10:00:02 AM com.example.Main main",
    "SEVERE: cannot start",
    "Desired survivor size 1",
    "- age   1: 2",
    ": 1K->2K",
    "api-1  | failed",
    "api-1  | \tat a.b(C.java:1)",
    "api-1  | Caused by: x",
    "api-1  | \t... 3 more",
    " {\"a\":1}",
    "app/a.rb:1:in 'b'",
    "3   lib.dylib   0x1",
    "10.0.0.1 - - [01/Mar/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1",
    "  + Exception Group Traceback (most recent call last):",
];

pub(super) fn line() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(&PIECES[..]).prop_map(str::to_string);
    let cri = (prop::sample::select(&PIECES[..]), prop::bool::ANY, 0..4).prop_map(
        |(text, stream, partial)| {
            format!(
                "2024-03-01T00:00:00.1Z {} {} {text}",
                if stream { "stdout" } else { "stderr" },
                if partial == 0 { "P" } else { "F" }
            )
        },
    );
    let docker = (prop::sample::select(&PIECES[..]), prop::bool::ANY, 0..4).prop_map(
        |(text, stream, partial)| {
            let log =
                serde_json::to_string(&format!("{text}{}", if partial == 0 { "" } else { "\n" }))
                    .unwrap();
            format!(
                "{{\"log\":{log},\"stream\":\"{}\",\"time\":\"t\"}}",
                if stream { "stdout" } else { "stderr" }
            )
        },
    );
    marked(prop_oneof![6 => piece, 3 => cri, 1 => docker])
}

fn plain_line() -> impl Strategy<Value = String> {
    marked(prop::sample::select(&PIECES[..]).prop_map(str::to_string))
}

/// The lines, some behind a byte order mark.
fn marked(line: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (line, prop_oneof![15 => Just(""), 1 => Just("\u{feff}")])
        .prop_map(|(line, mark)| format!("{mark}{line}"))
}

pub(super) fn input(line: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    (
        prop::collection::vec(
            (line, prop_oneof![9 => Just("\n"), 1 => Just("\r\n")]),
            0..60,
        ),
        prop::bool::ANY,
    )
        .prop_map(|(lines, ended)| {
            let mut input: Vec<u8> = lines
                .into_iter()
                .flat_map(|(line, feed)| format!("{line}{feed}").into_bytes())
                .collect();
            if !ended {
                input.pop();
            }
            input
        })
}

/// Runs of one wrapping, so that groups grow long.
pub(super) fn wrapped_input() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        (
            prop::sample::select(&PIECES[..]),
            0..10u8,
            0..8u8,
            1..6usize,
        ),
        0..80,
    )
    .prop_map(|lines| {
        let mut input = String::new();
        for (text, stream, partial, times) in lines {
            for _ in 0..if stream == 9 { times * 9 } else { 1 } {
                let tag = if partial == 0 { "P" } else { "F" };
                input.push_str(&format!(
                    "2024-03-01T00:00:00.1Z {} {tag} {text}\n",
                    if stream.is_multiple_of(2) {
                        "stderr"
                    } else {
                        "stdout"
                    }
                ));
            }
        }
        input.into_bytes()
    })
}

pub(super) fn modes() -> [Multiline; 3] {
    [
        Multiline::Off,
        Multiline::Auto,
        Multiline::Pattern(regex::bytes::Regex::new("^(2024|\\[|plain)").unwrap()),
    ]
}

fn check_laws(input: &[u8], reads: &[prop::sample::Index]) {
    let mut reads: Vec<usize> = reads
        .iter()
        .map(|read| read.index(input.len() + 1))
        .collect();
    reads.sort_unstable();
    for mode in modes() {
        let whole = whole(&mode, input);
        assert_eq!(whole, chunked(&mode, input, &reads), "{mode:?}");
        // Reading on byte by byte costs the square of the length.
        if input.len() < 2000 {
            assert_eq!(
                whole,
                chunked(&mode, input, &(0..=input.len()).collect::<Vec<_>>()),
                "{mode:?}, byte by byte"
            );
        }
        check_first_starts(&mode, input, &whole, &reads);
        if whole.iter().all(|record| record.container.is_none()) {
            let mut floor = 0;
            for record in &whole {
                let (start, end) = record.lines[0];
                for hit in [start, (start + end) / 2, end - 1] {
                    assert_eq!(record_around(&mode, input, 0, hit), start..end, "{mode:?}");
                    assert_eq!(
                        record_around(&mode, input, floor, hit),
                        start..end,
                        "{mode:?}, from a floor"
                    );
                }
                floor = end;
            }
        }
    }
}

/// Cutting at the first sure start after a place gives the same records, no plain record starts
/// between the two, and the lines open after the last cut are of one sort.
fn check_first_starts(mode: &Multiline, input: &[u8], whole: &[Seen], places: &[usize]) {
    let plain = whole.iter().all(|record| record.container.is_none());
    let lines_end = input
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |feed| feed + 1);
    for &place in places {
        let Some(start) = first_start_after(mode, input, place) else {
            let goes_on = |record: &Seen| !(place..lines_end).contains(&record.lines[0].0);
            assert!(!plain || whole.iter().all(goes_on), "{mode:?} {place}");
            continue;
        };
        assert!((place..=input.len()).contains(&start), "{mode:?} {place}");
        assert_eq!(whole, chunked_at(mode, input, start), "{mode:?} {place}");
        if plain {
            let first = whole
                .iter()
                .map(|record| record.lines[0].0)
                .find(|&at| at >= place);
            assert_eq!(first.unwrap_or(input.len()), start, "{mode:?} {place}");
        }
    }
    for &end in places {
        let chunk = &input[..end];
        let lines_end = chunk
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |feed| feed + 1);
        let open =
            &chunk[cut(mode, chunk).unwrap_or(0)..lines_end.max(cut(mode, chunk).unwrap_or(0))];
        for line in open.split_inclusive(|&byte| byte == b'\n') {
            assert_eq!(is_wrapped_line(line), open_is_wrapped(chunk), "{mode:?}");
        }
    }
}

/// Frames two chunks.
fn chunked_at(mode: &Multiline, input: &[u8], at: usize) -> Vec<Seen> {
    let mut framer = Framer::new(mode.clone());
    let mut line = 0;
    let mut all = seen(&mut framer, &input[..at], 0, &mut line);
    all.extend(seen(&mut framer, &input[at..], at, &mut line));
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunking_law_of_mixed_lines(input in input(line()), reads in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        check_laws(&input, &reads);
    }

    #[test]
    fn chunking_law_of_plain_lines(input in input(plain_line()), reads in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        check_laws(&input, &reads);
    }

    #[test]
    fn chunking_law_of_wrapped_lines(input in wrapped_input(), reads in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        check_laws(&input, &reads);
    }

    #[test]
    fn chunking_law_of_any_bytes(input in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b'{'), any::<u8>()], 0..400), reads in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        check_laws(&input, &reads);
    }

    #[test]
    fn decodes_as_serde_json(text in "\\PC{0,40}", controls in prop::collection::vec(0u8..32, 0..4)) {
        let log = format!("{text}{}\n", String::from_utf8(controls).unwrap());
        let line = format!("{{\"log\":{},\"stream\":\"stdout\",\"time\":\"t\"}}", serde_json::to_string(&log).unwrap());
        let wrapped = recognise(line.as_bytes()).unwrap();
        let mut out = Vec::new();
        unescape(&line.as_bytes()[wrapped.payload], &mut out);
        prop_assert!(!wrapped.partial);
        prop_assert_eq!(out, log.strip_suffix('\n').unwrap().as_bytes());
    }
}

#[test]
fn decodes_surrogates() {
    let decode = |raw: &[u8]| {
        let mut out = Vec::new();
        unescape(raw, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        decode(br"\ud83d\ude00 \ud83d \ude00\ud83d\u0041"),
        "😀 \u{fffd} \u{fffd}\u{fffd}A"
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_record() {
    for mode in modes() {
        for line in PIECES.iter().copied().chain([
            "2024-03-01T00:00:00.1Z stdout F {\"a\":1}",
            "{\"log\":\"text\\n\",\"stream\":\"stderr\",\"time\":\"t\"}",
            "{\"log\":\"\\ufefftext\\n\",\"stream\":\"stderr\",\"time\":\"t\"}",
        ]) {
            for rest in ["", "\n", "\r\n", "\n\tat a.b(c:1)\nplain x\n"] {
                let bare = format!("{line}{rest}");
                let marked = format!("\u{feff}{bare}");
                let want: Vec<String> = payloads(&mode, bare.as_bytes());
                let want: Vec<&str> = want
                    .iter()
                    .map(|text| text.trim_start_matches(r"\xef\xbb\xbf"))
                    .collect();
                // A mark alone is a line without text.
                if !bare.is_empty() {
                    assert_eq!(payloads(&mode, marked.as_bytes()), want, "{bare:?}");
                }
            }
        }
    }
}
