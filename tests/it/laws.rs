//! Laws 1, 2, 4 and 5 as property tests, in process: the same bytes are read in other portions, on
//! other numbers of threads, with other budgets, with the prefilter off, and in two parts.
//!
//! Chunks are small here, so that a few kilobytes cross many borders.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use logweir::engine::reader::{Input, Reader};
use logweir::engine::{self, NoWatcher, Reading, Run};
use logweir::expr::condition::Condition;
use logweir::flow::key::{GroupField, Grouping};
use logweir::flow::level::Level;
use logweir::flow::output::{Dedup, DedupMode, LinesTask};
use logweir::flow::time::Time;
use logweir::flow::wanted::{Path, Wanted};
use logweir::framing::Multiline;
use logweir::framing::chunker::Policy;
use logweir::plan::{Plan, ReportTask, Select, Task};
use logweir::report::{Report, json};
use logweir::sinks::Destination;
use logweir::sinks::Sink;
use logweir::sources::Source;
use logweir::sources::prepared::Preparation;
use logweir::sources::reading::Settings;
use logweir::stages::aggregate::Metric;
use logweir::stages::literals::Literals;
use logweir::state::groups::Groups;
use logweir::state::metrics::Metrics;
use logweir::state::{Shape, State, snapshot};
use logweir::stop::Stop;
use proptest::prelude::*;
use serde_json::Value;

use crate::shared;

/// 2024-03-02T00:00:00Z: the anchor of yearless dates.
const NOW: Time = Time(1_709_337_600 * Time::SECOND);

/// What is asked of the program.
#[derive(Clone, Debug, Default)]
struct Ask {
    multiline: Option<&'static str>,
    literals: Vec<&'static str>,
    ignore_case: bool,
    invert: bool,
    condition: Option<String>,
    since: Option<Time>,
    until: Option<Time>,
    /// Limit of the tables of groups and of metrics.
    table_bytes: Option<usize>,
    /// Counted as `--fail-on` counts it.
    check: Option<String>,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Report {
        list: Level,
        by: Vec<&'static str>,
        metrics: Vec<&'static str>,
    },
    Lines {
        level: Option<Level>,
        json: bool,
        count: bool,
        dedup: Option<DedupMode>,
        every: Option<i64>,
        before: usize,
        after: usize,
    },
}

impl Default for What {
    fn default() -> What {
        What::Report {
            list: Level::Trace,
            by: Vec::new(),
            metrics: Vec::new(),
        }
    }
}

/// How it is run. None of it may show.
#[derive(Clone, Debug)]
struct Way {
    chunk_bytes: usize,
    /// Sizes of reads, over and over.
    reads: Vec<usize>,
    /// As a pipe: every read may become a batch.
    live: bool,
    /// As a plain file, of which mappers read stretches themselves.
    file: bool,
    threads: usize,
    budget_bytes: usize,
    prefilter: bool,
}

impl Way {
    /// All in one chunk, on one thread.
    fn plain() -> Way {
        Way {
            chunk_bytes: 4 << 20,
            reads: vec![usize::MAX],
            live: false,
            file: false,
            threads: 1,
            budget_bytes: 64 << 20,
            prefilter: true,
        }
    }
}

/// Hands out its bytes in portions of given sizes.
struct Portions {
    bytes: io::Cursor<Vec<u8>>,
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl io::Read for Portions {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes.next().unwrap_or(usize::MAX).min(space.len());
        self.bytes.read(&mut space[..size])
    }
}

#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Sink for Collected {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().extend_from_slice(lines);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a run came to.
struct Answer {
    output: Vec<u8>,
    report: String,
    state: State,
}

fn run(files: &[&[u8]], ask: &Ask, way: &Way) -> Answer {
    let zone = TimeZone::UTC;
    let mut wanted = Wanted::default();
    let condition = ask
        .condition
        .as_ref()
        .map(|text| Condition::parse(text, &zone, &mut wanted).expect(text));
    let checks: Vec<Condition> = ask
        .check
        .iter()
        .map(|text| Condition::parse(text, &zone, &mut wanted).expect(text))
        .collect();
    let multiline = multiline(ask);
    let literals: Vec<Vec<u8>> = ask
        .literals
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    wanted.time |= ask.since.is_some() || ask.until.is_some();
    let slot = |wanted: &mut Wanted, name: &str| {
        let path = Path::new(name);
        wanted
            .paths
            .iter()
            .position(|known| *known == path)
            .unwrap_or_else(|| {
                wanted.paths.push(path);
                wanted.paths.len() - 1
            })
    };
    let (mut list, mut names) = (Level::Trace, Vec::new());
    let task = match &ask.what {
        What::Report {
            list: from,
            by,
            metrics,
        } => {
            list = *from;
            (wanted.time, wanted.level, wanted.message) = (true, true, true);
            wanted.numbers = metrics.is_empty();
            let groupings: Vec<Grouping> = by
                .iter()
                .map(|by| {
                    let names: Vec<String> = by.split(',').map(str::to_owned).collect();
                    let fields = names
                        .iter()
                        .map(|name| match name.as_str() {
                            "level" => GroupField::Level,
                            "message" => GroupField::Message,
                            "source" => GroupField::Source,
                            name => GroupField::Slot(slot(&mut wanted, name)),
                        })
                        .collect();
                    Grouping { names, fields }
                })
                .collect();
            names = groupings
                .iter()
                .map(|grouping| grouping.names.clone())
                .collect();
            let metrics = metrics
                .iter()
                .map(|name| Metric::new(slot(&mut wanted, name), name))
                .collect();
            Task::Report(ReportTask {
                list,
                metrics,
                groupings,
                statuses: true,
            })
        }
        What::Lines {
            level,
            json,
            count,
            dedup,
            every,
            before,
            after,
        } => {
            wanted.level |= level.is_some() || *json;
            wanted.time |= *json || every.is_some();
            wanted.message |= *json || dedup.is_some_and(|mode| mode != DedupMode::Exact);
            wanted.all = *json;
            Task::Lines(LinesTask {
                level: *level,
                json: *json,
                count: *count,
                dedup: dedup.map(|mode| Dedup {
                    mode,
                    every: *every,
                }),
                before: *before,
                after: *after,
                as_they_come: false,
            })
        }
    };
    let plan = Plan {
        select: Select {
            literals: (!literals.is_empty()).then(|| Literals::new(&literals, ask.ignore_case)),
            invert: ask.invert && !literals.is_empty(),
            condition,
            since: ask.since,
            until: ask.until,
        },
        wanted,
        multiline: multiline.clone(),
        task,
        conditions: checks.clone(),
        prefilter: way.prefilter,
    };
    let counts_lines = plan.needs_lines();
    let inputs = files
        .iter()
        .enumerate()
        .map(|(number, bytes)| {
            // Always ready to be read, as `poll` says.
            let ready = std::fs::File::open("/dev/null").expect("there is /dev/null");
            Input::Opened(Source {
                file: (way.file && !way.live).then(|| Arc::new(plain_file(bytes))),
                name: format!("file-{number}"),
                bytes: Box::new(Portions {
                    bytes: io::Cursor::new(bytes.to_vec()),
                    sizes: way.reads.clone().into_iter().cycle(),
                }),
                size: None,
                anchor: NOW,
                ending: None,
                live: way.live.then(|| OwnedFd::from(ready)),
            })
        })
        .collect();
    let collected = Collected::default();
    let shape = Shape {
        list,
        groupings: names,
        zone: "UTC".to_owned(),
    };
    let run = Run {
        plan: Arc::new(plan),
        reader: Reading::ToEnd(Reader {
            inputs,
            settings: Settings {
                policy: Policy {
                    multiline,
                    as_they_come: false,
                    counts_lines,
                    chunk_bytes: way.chunk_bytes,
                },
                zone,
                format: None,
                prepare: Preparation::new(logweir::parsers::documents::recognise),
                csv_header: logweir::parsers::csv::header_unless,
                live: false,
            },
            now: NOW,
        }),
        threads: way.threads,
        budget_bytes: way.budget_bytes,
        sink: matches!(ask.what, What::Lines { count: false, .. })
            .then(|| Destination::Plain(Box::new(collected.clone()))),
        further: Vec::new(),
        carries: None,
        store: None,
        stop: Stop::new().expect("a pair of sockets"),
        grace: None,
        watcher: Box::new(NoWatcher),
        faulted: None,
        say: |_| {},
    };
    let mut state = State::new(shape, checks.len());
    if let Some(bytes) = ask.table_bytes {
        state.groups = Groups::new(bytes);
        state.metrics = Metrics::new(bytes);
    }
    let outcome = engine::run(run, state).expect("threads start");
    assert_eq!(outcome.problems, []);
    let output = std::mem::take(&mut *collected.0.lock().unwrap());
    Answer {
        output,
        report: report(&outcome.state).to_string(),
        state: outcome.state,
    }
}

/// A file with these bytes that is gone when it is closed.
fn plain_file(bytes: &[u8]) -> std::fs::File {
    let file = tempfile::tempfile().expect("a place for a file");
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).expect("room for a file");
    file
}

fn multiline(ask: &Ask) -> Multiline {
    match ask.multiline {
        None => Multiline::Auto,
        Some("off") => Multiline::Off,
        Some(pattern) => Multiline::Pattern(regex::bytes::Regex::new(pattern).expect(pattern)),
    }
}

fn report(state: &State) -> Value {
    let mut text = String::new();
    json::write(&Report::new(state, None), None, &mut |piece| {
        text.push_str(piece);
    });
    serde_json::from_str(&text).expect("a report is JSON")
}

/// Law 2, as far as the report itself and the bytes can show it.
fn check_ledger(answer: &Answer, files: &[&[u8]]) {
    let ledger = answer.state.ledger;
    let bytes: usize = files.iter().map(|file| file.len()).sum();
    let lines: usize = files
        .iter()
        .map(|file| {
            let feeds = file.iter().filter(|&&byte| byte == b'\n').count();
            feeds + usize::from(file.last().is_some_and(|&last| last != b'\n'))
        })
        .sum();
    assert_eq!(ledger.bytes, bytes as u64);
    assert_eq!(ledger.lines, lines as u64);
    assert_eq!(ledger.unaccounted, 0);
    assert_eq!(
        ledger.records,
        ledger.kept + ledger.filtered + ledger.duplicate + ledger.malformed + ledger.held
    );
    for (input, file) in answer.state.inputs.iter().zip(files) {
        assert_eq!(input.bytes, file.len() as u64);
    }
}

/// Bytes that a failing case shows as text.
#[derive(Clone, PartialEq)]
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// One record, or a few that only make sense together, with line feeds.
fn piece() -> impl Strategy<Value = Bytes> {
    let n = 0u32..1000;
    let word = prop::sample::select(vec![
        "timeout",
        "connection",
        "refused",
        "worker",
        "user",
        "ERROR",
        "cache",
        "naïve",
        "ok",
        "a=b",
        "WARN",
    ]);
    let text = |format: String| format.into_bytes();
    let second = 0u32..60;
    let levels = prop::sample::select(vec!["INFO", "WARN", "ERROR", "DEBUG", "FATAL", "TRACE"]);
    prop_oneof![
        6 => (second.clone(), n.clone(), levels.clone(), word.clone(), word.clone()).prop_map(move |(s, n, level, a, b)| text(format!("2024-03-01 10:00:{s:02},{:03} {level} [main] org.App: {a} {b} of {n}\n", n))),
        4 => (second.clone(), n.clone(), levels.clone(), word.clone()).prop_map(move |(s, n, level, a)| text(format!("{{\"ts\":\"2024-03-01T10:00:{s:02}Z\",\"level\":\"{level}\",\"service\":\"s{}\",\"latency_ms\":{}.5,\"status\":{},\"msg\":\"{a} {n}\"}}\n", n % 5, n, 200 + n % 400))),
        1 => (n.clone(), word.clone()).prop_map(move |(n, a)| text(format!("{{\"kind\":\"{a}\",\"cpu\":{n},\"nested\":{{\"a\":[1,{n}]}},\"esc\":\"\\u0045RROR \\n x\"}}\n"))),
        3 => (second.clone(), n.clone(), levels.clone(), word.clone()).prop_map(move |(s, n, level, a)| text(format!("ts=2024-03-01T10:00:{s:02}.{n:03}Z level={} service=s{} msg=\"{a} {n}\" latency_ms={n}\n", level.to_lowercase(), n % 5))),
        2 => (second.clone(), n.clone(), word.clone()).prop_map(move |(s, n, a)| text(format!("Mar  1 10:00:{s:02} host{} sshd[{n}]: {a} failed for {n}\n", n % 3))),
        2 => (n.clone(), word.clone()).prop_map(move |(n, a)| text(format!("<{}>1 2024-03-01T10:00:01Z host app {n} - [x@1 k=\"{a}\"] {a} started\n", n % 192))),
        3 => (second.clone(), n.clone()).prop_map(move |(s, n)| text(format!("10.0.0.{} - - [01/Mar/2024:10:00:{s:02} +0000] \"GET /p/{n} HTTP/1.1\" {} {n} \"-\" \"x\" 0.{n:03}\n", n % 250, 200 + n % 400))),
        1 => (second.clone(), n.clone(), word.clone()).prop_map(move |(s, n, a)| text(format!("E0301 10:00:{s:02}.123456 {n} a.go:12] {a}\n"))),
        1 => n.clone().prop_map(move |n| text(format!("# HELP http_seconds x\nhttp_seconds{{code=\"{n}\"}} {} 1709287200000\nup NaN\ngauge +Inf\n", n))),
        1 => n.clone().prop_map(move |n| text(format!("app.latency;env=x:{n}|ms|@0.5|#service:s1\napp,t=a.cpu:{n}|g\n"))),
        1 => n.clone().prop_map(move |n| text(format!("cpu,host=h{} usage_percent={n}.5,idle=3i 1709287200000000000\n", n % 4))),
        2 => (word.clone(), 1u32..6).prop_map(move |(a, frames)| {
            let mut trace = format!("2024-03-01 10:00:09,000 ERROR [main] org.App: {a}\njava.io.IOException: {a}\n");
            for frame in 0..frames { trace.push_str(&format!("\tat org.example.C{frame}.run(C.java:{frame})\n")); }
            trace.push_str("Caused by: java.lang.Error\n\t... 3 more\n");
            text(trace)
        }),
        1 => word.clone().prop_map(move |a| text(format!("Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    {a}()\nValueError: {a}\n"))),
        2 => (n.clone(), word.clone(), 1u32..4).prop_map(move |(n, a, parts)| {
            let mut lines = String::new();
            for part in 0..parts { lines.push_str(&format!("2024-03-01T10:00:00.{part:09}Z stdout P {a}{n}-\n")); lines.push_str(&format!("2024-03-01T10:00:01.{part:09}Z stderr F between {n} WARN\n")); }
            lines.push_str("2024-03-01T10:00:02.000000000Z stdout F end ERROR\n");
            text(lines)
        }),
        2 => (n.clone(), word.clone()).prop_map(move |(n, a)| text(format!("{{\"log\":\"{a} part{n} \",\"stream\":\"stdout\",\"time\":\"2024-03-01T10:00:00Z\"}}\n{{\"log\":\"rest \\u00e9\\n\",\"stream\":\"stdout\",\"time\":\"2024-03-01T10:00:01Z\"}}\n"))),
        2 => (word.clone(), word, n.clone()).prop_map(move |(a, b, n)| text(format!("{a} {b} {n}\n"))),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"   \n\t\n".to_vec()),
        1 => Just(b"    indented line\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut bytes| { bytes.push(b'\n'); bytes }),
        1 => Just(b"\xff\xfd bad \x00 bytes \xc3\n".to_vec()),
        1 => (second, n, levels).prop_map(move |(s, n, level)| text(format!("2024-03-01T10:00:{s:02}Z {level} crlf line {n}\r\n"))),
    ].prop_map(Bytes)
}

fn concat(pieces: &[Bytes]) -> Vec<u8> {
    pieces
        .iter()
        .flat_map(|piece| piece.0.iter().copied())
        .collect()
}

fn is_wrapped(piece: &Bytes) -> bool {
    let holds = |text: &[u8]| piece.0.windows(text.len()).any(|window| window == text);
    holds(b" stdout P ") || holds(b"\"stream\":\"stdout\"")
}

/// Rows under a header, without a column that would be the message.
fn csv() -> impl Strategy<Value = Bytes> {
    (1u32..12).prop_map(|rows| {
        let mut text = "time,host,cpu,note\n".to_owned();
        for row in 0..rows {
            text.push_str(&format!(
                "2024-03-01T10:00:{row:02}Z,h{},{}.5,\"a, {row}\"\n",
                row % 3,
                row * 7
            ));
        }
        Bytes(text.into_bytes())
    })
}

/// Some pieces, perhaps a CSV header before them, perhaps no final line feed.
fn file() -> impl Strategy<Value = Bytes> {
    // Where a container wrapped anything the whole chunk is looked at, so half the files have none.
    let pieces = || {
        (prop::collection::vec(piece(), 0..60), any::<bool>()).prop_map(|(mut pieces, wrapped)| {
            pieces.retain(|piece| wrapped || !is_wrapped(piece));
            concat(&pieces)
        })
    };
    (
        prop_oneof![3 => pieces(), 1 => (csv(), pieces()).prop_map(|(csv, rest)| [csv.0, rest].concat())],
        prop::bool::weighted(0.2),
    )
        .prop_map(|(mut bytes, unfinished)| {
            if unfinished {
                bytes.pop();
            }
            Bytes(bytes)
        })
}

fn way() -> impl Strategy<Value = Way> {
    (
        prop::sample::select(vec![64usize, 100, 257, 1024, 4096, 65536]),
        prop::collection::vec(1usize..3000, 1..6),
        (any::<bool>(), any::<bool>()),
        1usize..=8,
        prop::sample::select(vec![1usize, 3000, 100_000, 8 << 20]),
    )
        .prop_map(
            |(chunk_bytes, reads, (live, file), threads, budget_bytes)| Way {
                chunk_bytes,
                reads,
                live,
                file,
                threads,
                budget_bytes,
                prefilter: true,
            },
        )
}

const CONDITIONS: [&str; 32] = [
    "message contains \"note\"",
    "message contains \"cpu\"",
    "metric == \"http_seconds\" or type == \"g\"",
    "stream == \"stdout\" or facility == \"daemon\"",
    "app =~ \"ssh\" or k == \"cache\"",
    "path contains \"/p/1\" and status < 300",
    "note contains \", 1\"",
    "service == \"s1\" and env == \"x\" or usage_percent > 500",
    "level >= warn",
    "level == error and service == \"s1\"",
    "message contains \"timeout\"",
    "message contains \"timeout\" or status >= 500",
    "message =~ \"refused|worker [0-9]+\"",
    "message =~ \"(?i)error\"",
    "service in [\"s1\", \"s2\"]",
    "not (message contains \"user\")",
    "message contains \"level=<*>\"",
    "message contains \"host\"",
    "message contains \"app.cpu\"",
    "message contains \"applatency\"",
    "message contains \"ERROR\"",
    "message == \"http_seconds\"",
    "latency_ms > 250",
    "has(service) and message !~ \"ok\"",
    "line > 5 and line <= 17",
    "line == 3",
    "raw contains \"stdout F end\"",
    "raw contains \"part7\"",
    "fingerprint != \"f1:0000000000000000\"",
    "nested.a[1] == 7 or esc contains \"ERROR\"",
    "source == \"file-0\"",
    "host == \"h1\" or method == \"GET\"",
];

/// One condition, or two joined.
fn condition() -> impl Strategy<Value = String> {
    let one = || prop::sample::select(CONDITIONS.to_vec());
    prop_oneof![
        3 => one().prop_map(str::to_owned),
        1 => (one(), one()).prop_map(|(a, b)| format!("({a}) and ({b})")),
        1 => (one(), one()).prop_map(|(a, b)| format!("({a}) or ({b})")),
        1 => one().prop_map(|a| format!("not ({a})")),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let report = (
        prop::sample::select(vec![Level::Trace, Level::Warn, Level::Error]),
        prop::collection::vec(
            prop::sample::select(vec![
                "service",
                "status",
                "level,service",
                "source",
                "message",
                "host",
            ]),
            0..3,
        ),
        prop::collection::vec(
            prop::sample::select(vec!["latency_ms", "cpu", "status"]),
            0..3,
        ),
    )
        .prop_map(|(list, by, mut metrics)| {
            metrics.dedup();
            What::Report { list, by, metrics }
        });
    let modes = prop::sample::select(vec![
        DedupMode::Exact,
        DedupMode::Message,
        DedupMode::Template,
    ]);
    let lines = (
        prop::option::of(prop::sample::select(vec![
            Level::Trace,
            Level::Warn,
            Level::Error,
        ])),
        any::<bool>(),
        prop::bool::weighted(0.15),
        prop::option::weighted(0.4, modes),
        prop::option::of(prop::sample::select(vec![1i64, 7, 30])),
        (prop::bool::weighted(0.25), 0usize..4, 0usize..4),
    )
        .prop_map(
            |(level, json, count, dedup, every, (context, before, after))| {
                let dedup = dedup.filter(|_| !count && !context);
                What::Lines {
                    level,
                    json: json && !context && !count,
                    count: count && !context,
                    dedup,
                    every: every
                        .filter(|_| dedup.is_some())
                        .map(|seconds| seconds * Time::SECOND),
                    before: if context { before } else { 0 },
                    after: if context { after } else { 0 },
                }
            },
        );
    let texts = vec![
        "ERROR",
        "timeout",
        "s1",
        "Caused by",
        "at org",
        "end",
        "",
        "x",
        "e",
        "\"level\"",
        "<*>",
        "\n",
    ];
    (
        prop::option::weighted(0.3, prop::sample::select(vec!["off", r"^\S", r"^2024|^\{"])),
        prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(prop::sample::select(texts), 1..4)],
        (any::<bool>(), any::<bool>(), prop::option::weighted(0.3, 200usize..6000)),
        prop::option::of(condition()),
        prop::option::of(condition()),
        (
            prop::option::weighted(0.2, Just(Time(1_709_287_205 * Time::SECOND))),
            prop::option::weighted(0.1, Just(Time(1_709_287_230 * Time::SECOND))),
        ),
        prop_oneof![report, lines],
    )
        .prop_map(
            |(multiline, literals, (ignore_case, invert, table_bytes), condition, check, (since, until), what)| Ask {
                multiline,
                literals,
                ignore_case,
                invert,
                condition,
                check,
                since,
                until,
                table_bytes,
                what,
            },
        )
}

/// How many cases to try: more with `WEIR_LONG`.
fn cases(count: u32) -> ProptestConfig {
    let factor = if std::env::var_os("WEIR_LONG").is_some() {
        20
    } else {
        1
    };
    ProptestConfig {
        cases: count * factor,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\n", "\\n\n")
}

/// Two outputs, and where they part.
fn differ(name: &str, one: &[u8], other: &[u8]) -> Result<(), TestCaseError> {
    let at = one
        .iter()
        .zip(other)
        .position(|(a, b)| a != b)
        .unwrap_or(one.len().min(other.len()));
    prop_assert!(
        one == other,
        "{name} part at byte {at}:\n--- one\n{}\n--- other\n{}",
        show(&one[at.saturating_sub(200)..(at + 200).min(one.len())]),
        show(&other[at.saturating_sub(200)..(at + 200).min(other.len())])
    );
    Ok(())
}

fn same(one: &Answer, other: &Answer) -> Result<(), TestCaseError> {
    differ("outputs", &one.output, &other.output)?;
    prop_assert_eq!(&one.state.conditions, &other.state.conditions);
    differ("reports", one.report.as_bytes(), other.report.as_bytes())
}

proptest! {
    #![proptest_config(cases(400))]

    /// Laws 1 and 2.
    #[test]
    fn reads_threads_and_budgets_do_not_show(files in prop::collection::vec(file(), 1..3), ask in ask(), ways in prop::collection::vec(way(), 2)) {
        let files: Vec<&[u8]> = files.iter().map(|file| file.0.as_slice()).collect();
        let plain = run(&files, &ask, &Way::plain());
        check_ledger(&plain, &files);
        for way in ways {
            let other = run(&files, &ask, &way);
            check_ledger(&other, &files);
            same(&plain, &other)?;
        }
    }

    /// Law 5, with chunks of every size.
    #[test]
    fn the_prefilter_does_not_show(files in prop::collection::vec(file(), 1..3), ask in ask(), way in way()) {
        let files: Vec<&[u8]> = files.iter().map(|file| file.0.as_slice()).collect();
        let with = run(&files, &ask, &way);
        let without = run(&files, &ask, &Way { prefilter: false, ..way });
        same(&with, &without)?;
    }

    /// Law 4: two parts and the whole, in process and through snapshots.
    #[test]
    fn two_parts_merged_are_the_whole(pieces in prop::collection::vec(piece(), 1..60), cut: prop::sample::Index, ask in ask()) {
        let whole = concat(&pieces);
        let ask = Ask {
            condition: ask.condition.filter(|text| !text.contains("line")),
            table_bytes: None,
            what: match ask.what {
                What::Lines { .. } => What::default(),
                what => what,
            },
            ..ask
        };
        // A border between records, wherever the pieces join to records.
        let borders = borders(&whole, &ask);
        let at = borders[cut.index(borders.len())];
        let (left, right) = whole.split_at(at);
        let one = run(&[&whole], &ask, &Way::plain());
        let mut merged = snapshot::decode(&snapshot::encode(&run(&[left], &ask, &Way::plain()).state)).unwrap();
        merged.merge(&run(&[right], &ask, &Way::plain()).state);
        let (mut one, mut merged) = (report(&one.state), report(&merged));
        for report in [&mut one, &mut merged] {
            // The parts are two inputs, and offsets are theirs.
            report["inputs"] = Value::Null;
            for message in report["messages"].as_array_mut().unwrap() {
                message["source"] = Value::Null;
                message["offset"] = Value::Null;
            }
        }
        close(&one, &merged, "")?;
    }
}

/// Offsets of records before which everything is whole: where the reader may cut.
fn borders(whole: &[u8], ask: &Ask) -> Vec<usize> {
    let multiline = multiline(ask);
    let mut borders = vec![0, whole.len()];
    for (end, _) in whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        borders.extend(logweir::framing::cut::cut(&multiline, &whole[..=end]));
    }
    borders.sort_unstable();
    borders.dedup();
    borders
}

proptest! {
    #![proptest_config(cases(25))]

    /// Law 5 again, with every condition on every file.
    #[test]
    fn no_condition_shows_its_prefilter(one in file(), csv in csv(), rest in file(), way in way()) {
        let csv = Bytes([csv.0, rest.0].concat());
        let files: Vec<&[u8]> = vec![&one.0, &csv.0];
        for condition in CONDITIONS {
            let ask = Ask { condition: Some(condition.to_owned()), ..Ask::default() };
            let with = run(&files, &ask, &way);
            let without = run(&files, &ask, &Way { prefilter: false, ..way.clone() });
            same(&with, &without).map_err(|error| TestCaseError::fail(format!("{condition}: {error}")))?;
        }
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// A JSON line says where its record stands: the offset is that of its first line, the number
    /// counts the line feeds before it, and a condition on the number agrees.
    #[test]
    fn json_lines_say_where_records_stand(file in file(), way in way(), wanted in 1usize..40) {
        let lines = What::Lines { level: None, json: true, count: false, dedup: None, every: None, before: 0, after: 0 };
        let ask = Ask { what: lines, ..Ask::default() };
        let parsed = |answer: &Answer| -> Vec<Value> {
            let rows = answer.output.split(|&byte| byte == b'\n').filter(|row| !row.is_empty());
            rows.map(|row| serde_json::from_slice(row).unwrap()).collect()
        };
        let all = run(&[&file.0], &ask, &way);
        let rows = parsed(&all);
        prop_assert_eq!(rows.len() as u64, all.state.ledger.records);
        for row in &rows {
            let offset = row["offset"].as_u64().unwrap() as usize;
            let before = file.0[..offset].iter().filter(|&&byte| byte == b'\n').count();
            prop_assert_eq!(row["line"].as_u64().unwrap() as usize, before + 1);
            prop_assert!(offset == 0 || file.0[offset - 1] == b'\n');
            let first = file.0[offset..].split(|&byte| byte == b'\n').next().unwrap_or_default();
            let first = String::from_utf8_lossy(first.strip_suffix(b"\r").unwrap_or(first)).into_owned();
            let raw = row["raw"].as_str().unwrap();
            prop_assert!(raw.starts_with(&first), "{} at {}: {}", raw, offset, first);
        }
        let one = Ask { condition: Some(format!("line == {wanted}")), ..ask };
        let one = parsed(&run(&[&file.0], &one, &way));
        // The template is what is known so far, which is less with fewer lines.
        let want: Vec<_> = rows.iter().filter(|row| row["line"] == wanted).map(|row| &row["raw"]).collect();
        prop_assert_eq!(one.iter().map(|row| &row["raw"]).collect::<Vec<_>>(), want);
    }
}

/// Equal, but for the last digits of sums.
fn close(one: &Value, other: &Value, path: &str) -> Result<(), TestCaseError> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            prop_assert_eq!(
                a.keys().collect::<Vec<_>>(),
                b.keys().collect::<Vec<_>>(),
                "{}",
                path
            );
            for (key, value) in a {
                close(value, &b[key], &format!("{path}.{key}"))?;
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            prop_assert_eq!(a.len(), b.len(), "{}: {} against {}", path, one, other);
            for (number, (a, b)) in a.iter().zip(b).enumerate() {
                close(a, b, &format!("{path}[{number}]"))?;
            }
        }
        (Value::Number(a), Value::Number(b))
            if path.ends_with(".sum") || path.ends_with(".mean") =>
        {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            prop_assert!(
                (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
                "{}: {} against {}",
                path,
                a,
                b
            );
        }
        _ => prop_assert_eq!(one, other, "{}", path),
    }
    Ok(())
}

/// Long lines and records around their limits: cut the same way wherever reads end.
#[test]
fn lines_around_the_limit_are_cut_alike() {
    const LIMIT: usize = 1 << 20;
    for length in [LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT + 17, 5 * LIMIT] {
        let mut bytes = b"2024-03-01 10:00:00,000 ERROR before\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes.extend_from_slice(b"\n2024-03-01 10:00:01,000 ERROR after\n\tat a.b(c)\n");
        bytes.extend(std::iter::repeat_n(b'y', length));
        let lines = What::Lines {
            level: None,
            json: true,
            count: false,
            dedup: None,
            every: None,
            before: 0,
            after: 0,
        };
        for what in [What::default(), lines] {
            let ask = Ask {
                what,
                ..Ask::default()
            };
            let plain = run(&[&bytes], &ask, &Way::plain());
            check_ledger(&plain, &[&bytes]);
            for (chunk_bytes, read, live) in [
                (4096, usize::MAX, false),
                (512 << 10, 100_003, false),
                (1 << 20, 65_536, true),
            ] {
                let way = Way {
                    chunk_bytes,
                    reads: vec![read],
                    live,
                    threads: 3,
                    ..Way::plain()
                };
                let other = run(&[&bytes], &ask, &way);
                check_ledger(&other, &[&bytes]);
                same(&plain, &other).unwrap_or_else(|error| {
                    panic!("length {length}, chunks of {chunk_bytes}: {error}")
                });
            }
        }
    }
}

/// More lines without a head than a record may have: the limit cuts at the same places.
#[test]
fn endless_records_are_cut_alike() {
    let mut bytes = b"2024-03-01 10:00:00,000 ERROR head\n".to_vec();
    for number in 0..3000 {
        bytes.extend_from_slice(
            format!("\tat frame {number} {}\n", "z".repeat(number % 900)).as_bytes(),
        );
    }
    let ask = Ask::default();
    let plain = run(&[&bytes], &ask, &Way::plain());
    check_ledger(&plain, &[&bytes]);
    for chunk_bytes in [1000, 4096, 100_000] {
        let way = Way {
            chunk_bytes,
            threads: 4,
            ..Way::plain()
        };
        same(&plain, &run(&[&bytes], &ask, &way)).unwrap();
    }
}

/// Full tables: what finds no room is the same however the input was cut.
#[test]
fn full_tables_do_not_show_how_input_was_cut() {
    let name = |mut number: u32| {
        let mut name = String::new();
        for _ in 0..5 {
            name.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
        name
    };
    let mut bytes = Vec::new();
    for number in 0..130_000u32 {
        let level = if number % 7 == 0 { "ERROR" } else { "INFO" };
        let (a, b) = (name(number), name(number.wrapping_mul(2_654_435_761) >> 8));
        bytes.extend_from_slice(
            format!("2024-03-01 10:00:00,000 {level} [m] {a} {b} {a}{b}\n").as_bytes(),
        );
    }
    let ask = Ask::default();
    let plain = run(&[&bytes], &ask, &Way::plain());
    assert_eq!(plain.state.approximate(), ["messages"]);
    check_ledger(&plain, &[&bytes]);
    let way = Way {
        chunk_bytes: 10_000,
        threads: 4,
        budget_bytes: 1 << 20,
        ..Way::plain()
    };
    same(&plain, &run(&[&bytes], &ask, &way)).unwrap();
}

/// Law 4 through the command line, and law 1 with its threads.
#[test]
fn the_command_merges_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string();
    let lines: Vec<String> = (0..2000)
        .map(|n| format!("{{\"ts\":\"2024-03-01T10:00:{:02}Z\",\"level\":\"{}\",\"service\":\"s{}\",\"latency_ms\":{}}}\n", n % 60, ["info", "warn", "error"][n % 3], n % 4, n * n % 977))
        .collect();
    std::fs::write(path("all"), lines.concat()).unwrap();
    std::fs::write(path("a"), lines[..700].concat()).unwrap();
    std::fs::write(path("b"), lines[700..].concat()).unwrap();
    let args = |name: &str, snapshot: &str| {
        [
            "--by".into(),
            "service".into(),
            "-l".into(),
            "trace".into(),
            "--snapshot".into(),
            path(snapshot),
            path(name),
        ]
    };
    let mut whole = shared::report(args("all", "all.snap"));
    shared::report(args("a", "a.snap"));
    shared::report(args("b", "b.snap"));
    let merged = shared::output([
        "merge".into(),
        "-q".into(),
        "-o".into(),
        "json".into(),
        path("a.snap"),
        path("b.snap"),
    ]);
    let mut merged: Value = serde_json::from_slice(&merged).unwrap();
    for report in [&mut whole, &mut merged] {
        report["inputs"] = Value::Null;
        for message in report["messages"].as_array_mut().unwrap() {
            message["source"] = Value::Null;
            message["offset"] = Value::Null;
        }
    }
    close(&whole, &merged, "").unwrap();
    let single = shared::output(
        ["-q", "-o", "json", "-t", "1"]
            .map(Into::into)
            .into_iter()
            .chain([path("all")]),
    );
    let many = shared::output(
        ["-q", "-o", "json", "-t", "8", "--max-mem", "1MiB"]
            .map(Into::into)
            .into_iter()
            .chain([path("all")]),
    );
    assert_eq!(single, many);
}

/// A compressed stream whose first bytes come one by one is still known for what it is.
#[test]
fn a_compressed_pipe_is_read_whatever_its_reads() {
    let text = b"2024-03-01 10:00:00,000 ERROR one\n2024-03-01 10:00:01,000 WARN two\n".repeat(500);
    let mut packed = Vec::new();
    let mut encoder = flate2::read::GzEncoder::new(&text[..], flate2::Compression::fast());
    io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
    let ask = Ask::default();
    let plain = run(&[&text], &ask, &Way::plain());
    for reads in [vec![1], vec![2, 1, 1, 5], vec![3, 4096], vec![usize::MAX]] {
        let way = Way {
            reads,
            live: true,
            chunk_bytes: 1000,
            ..Way::plain()
        };
        let other = run(&[&packed], &ask, &way);
        check_ledger(&other, &[&text]);
        same(&plain, &other).unwrap();
    }
}

/// A condition that cannot be answered is refused, with what to write instead.
#[test]
fn a_condition_on_the_template_is_refused() {
    for flags in [
        ["-w", "template contains \"x\""],
        ["--fail-on", "count(template == \"x\") > 0"],
    ] {
        let output = shared::weir()
            .args(flags)
            .arg("/dev/null")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("use \"fingerprint\" or \"message\""),
            "{said}"
        );
    }
}

/// What is no number is counted apart and spoils no sum.
#[test]
fn values_that_are_no_numbers_are_counted_apart() {
    let text: String = ["1", "NaN", "+Inf", "-Inf", "3"]
        .map(|value| format!("up{{job=\"a\"}} {value}\n"))
        .concat();
    let ask = Ask {
        what: What::Report {
            list: Level::Trace,
            by: Vec::new(),
            metrics: vec!["up"],
        },
        ..Ask::default()
    };
    let report: Value =
        serde_json::from_str(&run(&[text.as_bytes()], &ask, &Way::plain()).report).unwrap();
    let row = &report["metrics"][0];
    assert_eq!(
        (&row["count"], &row["sum"], &row["max"]),
        (&2.into(), &4.0.into(), &3.0.into())
    );
    assert_eq!((&row["nan"], &row["infinite"]), (&1.into(), &2.into()));
}
