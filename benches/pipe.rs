//! The whole pipe, threads and all: from a file in page cache to a report or to a sink that throws
//! lines away.

#[allow(dead_code, reason = "each bench uses a part of the input")]
mod support;

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir::engine::reader::{CHUNK_BYTES, Input, Reader};
use logweir::engine::{self, NoWatcher, Reading, Run};
use logweir::flow::format::Format;
use logweir::flow::level::Level;
use logweir::flow::time::Time;
use logweir::flow::wanted::Wanted;
use logweir::framing::Multiline;
use logweir::framing::chunker::Policy;
use logweir::parsers::csv;
use logweir::plan::BUDGET_BYTES;
use logweir::plan::{Plan, Select, Task};
use logweir::sinks::Destination;
use logweir::sinks::Sink;
use logweir::sources::reading::Settings;
use logweir::stages::literals::Literals;
use logweir::stop::Stop;
use support::{filter, lines, metrics, mixed, plan, report, state};

const FILE_BYTES: usize = 32 << 20;

/// Takes every line and keeps none.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        black_box(lines.len());
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a file");
    file.write_all(text).expect("there is room for the file");
    file
}

fn by_literals(multiline: Multiline) -> Plan {
    let mut plan = plan(Task::Lines(filter()), Wanted::default(), multiline);
    plan.select = Select {
        literals: Some(Literals::new(&[b"ERROR".to_vec(), b"WARN".to_vec()], false)),
        ..Select::default()
    };
    plan
}

fn benches(criterion: &mut Criterion) {
    let text = file(&mixed(FILE_BYTES, true));
    let json = file(&lines(Format::Json, FILE_BYTES));
    let mut group = criterion.benchmark_group("pipe");
    group.sample_size(20);
    for (name, plan, input) in [
        ("filter, off", by_literals(Multiline::Off), &text),
        ("filter, auto", by_literals(Multiline::Auto), &text),
        ("report, warn", report(Level::Warn), &text),
        ("report, trace", report(Level::Trace), &text),
        ("metrics of json", metrics(), &json),
    ] {
        let bytes = input.path().metadata().expect("it was just written").len();
        group.throughput(Throughput::Bytes(bytes));
        let plan = Arc::new(plan);
        for threads in [1, 2] {
            group.bench_function(format!("{name}, {threads} mappers"), |bencher| {
                bencher.iter(|| {
                    let sink = matches!(plan.task, Task::Lines(_)).then(|| Box::new(Nowhere) as _);
                    let run = Run {
                        plan: Arc::clone(&plan),
                        reader: Reading::ToEnd(Reader {
                            inputs: vec![Input::Named(input.path().into())],
                            settings: Settings {
                                policy: Policy {
                                    multiline: plan.multiline.clone(),
                                    as_they_come: false,
                                    counts_lines: false,
                                    chunk_bytes: CHUNK_BYTES,
                                },
                                zone: jiff::tz::TimeZone::UTC,
                                format: None,
                                prepare: logweir::sources::prepared::Preparation::new(
                                    logweir::parsers::documents::recognise,
                                ),
                                csv_header: csv::header_unless,
                                live: false,
                            },
                            now: Time(0),
                        }),
                        threads,
                        budget_bytes: BUDGET_BYTES,
                        sink: sink.map(Destination::Plain),
                        further: Vec::new(),
                        carries: None,
                        store: None,
                        stop: Stop::new().expect("a pair of sockets"),
                        grace: None,
                        watcher: Box::new(NoWatcher),
                        faulted: None,
                        say: |_| {},
                    };
                    let outcome = engine::run(run, state(&plan)).expect("threads can be made");
                    assert_eq!(outcome.state.ledger.bytes, bytes);
                    assert_eq!(outcome.state.ledger.unaccounted, 0);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
