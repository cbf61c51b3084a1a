//! Every short text behind every kind of head: nothing that framing, parsers and stages are given may
//! make them read behind its end.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::*;
use crate::engine::faults::guard;
use crate::flow::batch::SourceId;
use crate::flow::chunk::Chunk;
use crate::flow::output::LinesTask;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::framing::Multiline;

/// What the formats open with, up to the places where they look for something.
const HEADS: &[&str] = &[
    "",
    "Nov 20 10:00:04 fw1 ",
    "Nov 20 10:00:04 ",
    "<13>",
    "<34>Oct 11 22:14:15 host ",
    "<165>1 2003-10-11T22:14:15.003Z host app 1 ID ",
    "2024-03-01T00:00:00.123456+01:00 host ",
    "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 ",
    "2026-03-14T09:00:00Z ",
    "2026-03-14 09:00:00,123 ",
    "[2026-03-14T09:00:00Z ",
    "I0314 09:00:00.000001 ",
    "E0314 09:00:00.000001   1 a.go:1",
    "{\"a\":",
    "{\"time\":\"2026-03-14T09:00:00Z\",\"msg\":\"",
    "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"",
    "2026-03-14T09:00:00.000000000Z stdout ",
    "level=error msg=\"",
    "a=1 b",
    "1.2.3.4 - - [14/Mar/2026:09:00:00 +0000] \"",
    "1.2.3.4 - - [14/Mar/2026:09:00:00 +0000] \"GET / HTTP/1.1\" 200 ",
    "1.2.3.4 - - [",
    "http_requests_total{a=\"",
    "cpu,host=a value=1",
    "requests:1|c",
    "java.io.IOException: x\n\tat a.B.c",
    "Traceback (most recent call last):\n  File \"",
    "thread 'main' panicked at ",
];

const SIGNS: &[u8] = b" :[]\"\\(){}=|,.-+>xT9\n\xff";

#[test]
fn no_short_text_behind_any_head_panics() {
    let wanted = Wanted {
        time: true,
        level: true,
        message: true,
        numbers: true,
        all: true,
        ..Wanted::default()
    };
    let mut asks = vec![(None, Multiline::Off), (None, Multiline::Auto)];
    asks.extend(Format::ALL.map(|format| (Some(format), Multiline::Off)));
    let mut problems = String::new();
    for (place, (format, multiline)) in asks.into_iter().enumerate() {
        let plan = Plan {
            select: Default::default(),
            wanted: wanted.clone(),
            multiline,
            task: Task::Lines(LinesTask {
                level: None,
                json: true,
                count: false,
                dedup: None,
                before: 0,
                after: 0,
                as_they_come: false,
            }),
            conditions: Vec::new(),
            prefilter: false,
        };
        let facts = Arc::new(Facts {
            format,
            zone: TimeZone::UTC,
            anchor: Time(0),
            csv: None,
        });
        let mut mapper = Mapper::new(&plan);
        for head in HEADS {
            for first in SIGNS {
                // All texts of two signs with the first one, and those of three with a usual last one.
                let mut text = Vec::new();
                for second in SIGNS {
                    let thirds = if place == 0 { &SIGNS[..13] } else { &[] };
                    for third in thirds {
                        text.extend_from_slice(head.as_bytes());
                        text.extend([*first, *second, *third]);
                        text.push(b'\n');
                    }
                    text.extend_from_slice(head.as_bytes());
                    text.extend([*first, *second, b'\n']);
                }
                let length = text.len();
                let batch = Batch {
                    sequence: 0,
                    source: SourceId(0),
                    name: "hostile".into(),
                    facts: Arc::clone(&facts),
                    position: 0,
                    lines_before: 0,
                    content: Content::Read(Chunk::new(text, length)),
                    header_bytes: 0,
                    cut_bytes: 0,
                    context_bytes: 0,
                    before: Vec::new(),
                    mark: None,
                };
                if let Err(reason) = guard(|| mapper.map(&batch)) {
                    let first = first.escape_ascii();
                    let _ = writeln!(problems, "{format:?} {head:?}{first}: {reason}");
                    mapper = Mapper::new(&plan);
                }
            }
        }
    }
    assert!(problems.is_empty(), "{problems}");
}
