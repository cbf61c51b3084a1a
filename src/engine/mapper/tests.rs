//! Lines that go out as they come: however a file grows under the follower's eyes, the output and the
//! counts are those of every record judged by its first line, all at once.

use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::flow::batch::SourceId;
use crate::flow::chunk::Chunk;
use crate::flow::mapped::Counts;
use crate::flow::output::LinesTask;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::framing::{Multiline, cut};
use crate::plan::Select;

/// What is asked of the mapper.
#[derive(Clone, Debug)]
struct Ask {
    multiline: &'static str,
    literals: Vec<&'static str>,
    ignore_case: bool,
    invert: bool,
    condition: Option<&'static str>,
    check: Option<&'static str>,
    level: Option<Level>,
    since: bool,
    prefilter: bool,
}

const CONDITIONS: &[&str] = &[
    "level >= error",
    "message contains \"timeout\"",
    "not (message contains \"io\")",
    "raw contains \"at \"",
    "raw =~ \"E.*R\"",
    "line <= 7",
    "has(status)",
    "fingerprint == \"f1:0000000000000000\"",
];

fn plan(ask: &Ask, as_they_come: bool) -> Plan {
    let zone = TimeZone::UTC;
    let mut wanted = Wanted::default();
    let mut parse = |text: &str| Condition::parse(text, &zone, &mut wanted).expect(text);
    let condition = ask.condition.map(&mut parse);
    let conditions = ask.check.map(&mut parse).into_iter().collect();
    wanted.time |= ask.since;
    wanted.level |= ask.level.is_some();
    let literals: Vec<Vec<u8>> = ask
        .literals
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    Plan {
        select: Select {
            invert: ask.invert && !literals.is_empty(),
            literals: (!literals.is_empty()).then(|| Literals::new(&literals, ask.ignore_case)),
            condition,
            since: ask.since.then_some(Time(1_709_287_205 * Time::SECOND)),
            until: None,
        },
        wanted,
        multiline: mode(ask),
        task: Task::Lines(LinesTask {
            level: ask.level,
            json: false,
            count: false,
            dedup: None,
            before: 0,
            after: 0,
            as_they_come,
        }),
        conditions,
        prefilter: ask.prefilter,
    }
}

fn mode(ask: &Ask) -> Multiline {
    match ask.multiline {
        "auto" => Multiline::Auto,
        "off" => Multiline::Off,
        pattern => Multiline::Pattern(regex::bytes::Regex::new(pattern).expect(pattern)),
    }
}

/// What came of some batches together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    lines: String,
    counts: Counts,
    formats: Vec<u64>,
    conditions: Vec<u64>,
}

impl Sum {
    fn add(&mut self, mapped: &Mapped) {
        self.lines
            .push_str(&mapped.lines.escape_ascii().to_string());
        let (to, from) = (&mut self.counts, &mapped.counts);
        to.bytes += from.bytes;
        to.lines += from.lines;
        to.records += from.records;
        to.kept += from.kept;
        to.filtered += from.filtered;
        to.no_time += from.no_time;
        to.truncated += from.truncated;
        add_each(&mut self.formats, &mapped.formats);
        add_each(&mut self.conditions, &mapped.conditions);
    }
}

fn add_each(to: &mut Vec<u64>, from: &[u64]) {
    to.resize(from.len(), 0);
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

fn facts() -> Arc<Facts> {
    Arc::new(Facts {
        zone: TimeZone::UTC,
        anchor: Time(1_709_337_600 * Time::SECOND),
        format: None,
        csv: None,
    })
}

fn batch(input: &[u8], from: usize, to: usize, context: usize, facts: &Arc<Facts>) -> Batch {
    let lines = input[..from].iter().filter(|&&byte| byte == b'\n').count();
    Batch {
        sequence: 0,
        source: SourceId(0),
        name: "file".into(),
        facts: Arc::clone(facts),
        position: from as u64,
        lines_before: lines as u64,
        content: Content::Read(Chunk::new(input[from..to].to_vec(), to - from)),
        header_bytes: 0,
        cut_bytes: 0,
        context_bytes: context,
        before: Vec::new(),
        mark: None,
    }
}

/// Maps `input` as the follower hands it out when it finds the file at these lengths, which are ends
/// of lines: what is whole and the open record go out, and the open record leads the next batch.
fn followed(ask: &Ask, input: &[u8], lengths: &[usize]) -> Sum {
    let plan = plan(ask, true);
    let mode = mode(ask);
    let mut mapper = Mapper::new(&plan);
    let facts = facts();
    let mut sum = Sum::default();
    let (mut start, mut sent) = (0, 0);
    for &length in lengths.iter().filter(|&&length| length < input.len()) {
        let content = &input[start..length];
        let cut = start + cut::cut(&mode, content).unwrap_or(0);
        // A container's record goes out whole.
        let end = if cut::open_is_wrapped(content) {
            cut
        } else {
            length
        };
        if end <= sent {
            continue;
        }
        sum.add(&mapper.map(&batch(input, start, end, sent - start, &facts)));
        (start, sent) = (cut, end);
    }
    if sent < input.len() {
        sum.add(&mapper.map(&batch(input, start, input.len(), sent - start, &facts)));
    }
    sum
}

/// Judges each record's first line as a file of its own, and lets the others follow.
fn judged(ask: &Ask, input: &[u8]) -> Sum {
    let plan = plan(ask, false);
    let mut mapper = Mapper::new(&plan);
    let facts = facts();
    let mut records = Records::default();
    Framer::new(mode(ask)).frame(input, &mut records);
    let mut sum = Sum::default();
    for record in records.all() {
        let lines = record.lines;
        let (start, end) = (lines.start as usize, lines.end as usize);
        let head = first_line(input, lines);
        let mut mapped = mapper.map(&batch(input, start, head.end as usize, 0, &facts));
        if mapped.counts.kept == 1 {
            mapped.lines = input[start..end].to_vec();
            output::end_line(&mut mapped.lines);
        }
        mapped.counts.lines = u64::from(record.line_count);
        mapped.counts.bytes = (end - start) as u64;
        sum.add(&mapped);
    }
    sum
}

const LINES: &[&str] = &[
    "2024-03-01 10:00:05 ERROR [main] org.App: timeout",
    "2024-03-01 10:00:01 INFO [main] org.App: io is fine",
    "2024-03-01 10:00:09 WARN [w] org.App: io slow at last",
    "java.io.IOException: ERROR of io",
    "\tat org.example.C.run(C.java:7)",
    "\tat org.example.ERROR.timeout(C.java:7)",
    "Caused by: java.lang.Error: timeout",
    "\t... 3 more",
    "Traceback (most recent call last):",
    "  File \"a.py\", line 3, in f",
    "ValueError: WARN",
    "{\"ts\":\"2024-03-01T10:00:06Z\",\"level\":\"error\",\"status\":5,\"msg\":\"timeout\"}",
    "{\"a\":\"\\u0045RROR\",\"b\":[",
    "  \"timeout\",",
    "]}",
    "plain error text",
    "some other text",
    "",
    "    indented ERROR",
    "panic: timeout",
    "goroutine 1 [running]:",
    "main.f()",
    "\u{1}\u{fffd} naïve",
];

fn line() -> impl Strategy<Value = String> {
    (prop::sample::select(LINES), prop::bool::weighted(0.1))
        .prop_map(|(line, carriage)| format!("{line}{}\n", if carriage { "\r" } else { "" }))
}

fn wrapped_line() -> impl Strategy<Value = String> {
    let parts = (prop::sample::select(LINES), any::<bool>(), 0..4);
    parts.prop_map(|(text, stream, partial)| {
        let stream = if stream { "stdout" } else { "stderr" };
        let tag = if partial == 0 { "P" } else { "F" };
        format!("2024-03-01T00:00:00.1Z {stream} {tag} {text}\n")
    })
}

fn input(line: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let lines = prop::collection::vec(line, 0..30);
    (prop::bool::weighted(0.1), lines, any::<bool>()).prop_map(|(mark, lines, ended)| {
        let mut input = if mark { "\u{feff}" } else { "" }.to_owned();
        input.extend(lines);
        if !ended {
            input.pop();
        }
        input
    })
}

fn ask() -> impl Strategy<Value = Ask> {
    let literals = prop::sample::subsequence(
        vec![
            "ERROR",
            "timeout",
            "error\n",
            "at ",
            "timeout\n\tat",
            "io",
            "l",
        ],
        0..3,
    );
    let levels = prop::sample::select(vec![None, None, Some(Level::Warn), Some(Level::Trace)]);
    let condition = prop::option::weighted(0.4, prop::sample::select(CONDITIONS));
    let check = prop::option::weighted(0.2, prop::sample::select(CONDITIONS));
    let mode = prop::sample::select(vec!["auto", "auto", "auto", "off", "^(2024|\\{|plain)"]);
    let often = prop::bool::weighted(0.3);
    (
        mode,
        literals,
        levels,
        condition,
        check,
        often,
        any::<(bool, bool)>(),
        prop::bool::weighted(0.7),
    )
        .prop_map(
            |(
                multiline,
                literals,
                level,
                condition,
                check,
                since,
                (ignore_case, invert),
                prefilter,
            )| Ask {
                multiline,
                literals,
                ignore_case,
                invert,
                condition,
                check,
                level,
                since,
                prefilter,
            },
        )
}

/// Ends of lines, in order; one may come twice.
fn lengths(input: &[u8], places: &[prop::sample::Index]) -> Vec<usize> {
    let feeds: Vec<usize> = memchr::memchr_iter(b'\n', input)
        .map(|feed| feed + 1)
        .collect();
    let mut lengths: Vec<usize> = places
        .iter()
        .filter(|_| !feeds.is_empty())
        .map(|place| *place.get(&feeds))
        .collect();
    lengths.sort_unstable();
    lengths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_that_come_follow_the_verdict_of_their_head(
        input in input(line()), ask in ask(), places in prop::collection::vec(any::<prop::sample::Index>(), 0..8)
    ) {
        let input = input.as_bytes();
        let want = judged(&ask, input);
        let lengths = lengths(input, &places);
        prop_assert_eq!(&followed(&ask, input, &lengths), &want);
        let each: Vec<usize> = memchr::memchr_iter(b'\n', input).map(|feed| feed + 1).collect();
        prop_assert_eq!(&followed(&ask, input, &each), &want, "line by line");
    }

    #[test]
    fn records_of_containers_do_not_show_how_the_file_grew(
        input in input(prop_oneof![line(), wrapped_line()]), ask in ask(), places in prop::collection::vec(any::<prop::sample::Index>(), 0..8)
    ) {
        let input = input.as_bytes();
        let want = followed(&ask, input, &[]);
        prop_assert_eq!(followed(&ask, input, &lengths(input, &places)), want);
    }
}

/// Lets every record pass.
fn everything() -> Ask {
    Ask {
        multiline: "auto",
        literals: Vec::new(),
        ignore_case: false,
        invert: false,
        condition: None,
        check: None,
        level: None,
        since: false,
        prefilter: true,
    }
}

#[test]
fn a_header_is_a_line_of_the_first_batch_alone() {
    let input = b"time,level,note\n2024-03-01T10:00:00Z,error,a\n2024-03-01T10:00:01Z,info,b\n";
    let csv = crate::parsers::csv::header_unless(&input[..16], None);
    assert!(csv.is_some());
    let facts = Arc::new(Facts {
        csv,
        ..(*facts()).clone()
    });
    for ask in [
        everything(),
        Ask {
            level: Some(Level::Error),
            ..everything()
        },
        Ask {
            literals: vec!["0"],
            ..everything()
        },
    ] {
        let plan = plan(&ask, true);
        let mut mapper = Mapper::new(&plan);
        let mut sum = Sum::default();
        for (end, context) in [(16, 0), (45, 16), (input.len(), 45)] {
            let header_bytes = 16;
            sum.add(&mapper.map(&Batch {
                header_bytes,
                ..batch(input, 0, end, context, &facts)
            }));
        }
        assert_eq!(
            (sum.counts.lines, sum.counts.records, sum.counts.bytes),
            (3, 2, input.len() as u64)
        );
        let rows = if ask.level.is_some() {
            &input[16..45]
        } else {
            &input[16..]
        };
        assert_eq!(sum.lines, rows.escape_ascii().to_string());
    }
}

#[test]
fn a_wrapped_line_in_the_context_is_not_written_again() {
    let ask = Ask {
        literals: vec!["a"],
        ..everything()
    };
    let plan = plan(&ask, true);
    let one = b"2024-03-01T00:00:00.1Z stdout P a\n";
    let input = [&one[..], b"2024-03-01T00:00:00.1Z stdout F b\n"].concat();
    let mapped = Mapper::new(&plan).map(&batch(&input, 0, input.len(), one.len(), &facts()));
    assert_eq!(mapped.lines, &input[one.len()..]);
    assert_eq!((mapped.counts.lines, mapped.counts.records), (1, 0));
}
