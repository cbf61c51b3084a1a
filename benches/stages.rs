//! Each stage of a mapper by itself: literal search, messages, groups and samples, JSON lines; and
//! a mapper as a whole. Masking alone and clustering have a bench of their own (`messages`).

#[allow(dead_code, reason = "each bench uses a part of the input")]
mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logweir::engine::mapper::Mapper;
use logweir::flow::fingerprint::Fingerprint;
use logweir::flow::format::Format;
use logweir::flow::level::Level;
use logweir::flow::row::Row;
use logweir::flow::wanted::Wanted;
use logweir::framing::Multiline;
use logweir::parsers::detect::Parsers;
use logweir::plan::{Select, Task};
use logweir::stages::aggregate::{Aggregate, Metric};
use logweir::stages::lines::{self, Described};
use logweir::stages::literals::Literals;
use logweir::stages::messages::{Distinct, Sighting};
use logweir::stages::quantities::Quantities;
use support::{CHUNK_BYTES, Seeded, batches, by_service, facts, filter, mixed, plan, wanted};

/// Lines, each parsed into a row of its own.
fn rows<'a>(text: &'a [u8], wanted: &Wanted) -> Vec<(&'a [u8], Row)> {
    let mut parsers = Parsers::new(wanted);
    parsers.set_facts(&facts(None));
    let lines = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut row = Row::new(wanted.paths.len());
            parsers.parse(line, &mut row);
            (line, row)
        })
        .collect()
}

fn literals(count: usize, ignore_case: bool) -> Literals {
    let mut seeded = Seeded(3);
    let mut texts = vec![b"ERROR".to_vec(), b"WARN".to_vec()];
    while texts.len() < count {
        let bits = seeded.next();
        texts.push(
            (0..7)
                .map(|at| b'a' + ((bits >> (5 * at)) % 26) as u8)
                .collect(),
        );
    }
    Literals::new(&texts, ignore_case)
}

fn benches(criterion: &mut Criterion) {
    let text = mixed(CHUNK_BYTES, false);
    let mut group = criterion.benchmark_group("stages");
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, count, ignore_case) in [
        ("2 literals", 2, false),
        ("2 literals, either case", 2, true),
        ("50 literals", 50, false),
        ("500 literals", 500, false),
    ] {
        let literals = literals(count, ignore_case);
        group.bench_function(name, |bencher| {
            let mut scratch = Vec::new();
            bencher.iter(|| {
                let prepared = literals.prepare(&text, &mut scratch);
                let (mut from, mut hits) = (0, 0);
                while let Some(hit) = literals.find(prepared, from) {
                    from = hit.end;
                    hits += 1;
                }
                black_box(hits)
            });
        });
    }

    let plain = wanted(&[]);
    let parsed = rows(&text, &plain);
    group.bench_function("messages", |bencher| {
        let mut distinct = Distinct::default();
        bencher.iter(|| {
            for (ordinal, (line, row)) in parsed.iter().enumerate() {
                let message = row.bytes(line, row.message);
                let sighting = Sighting {
                    level: row.level,
                    time: row.time,
                    lines: line,
                    start: 0,
                    ordinal: ordinal as u32,
                };
                distinct.record(message, &sighting);
            }
            black_box(distinct.take())
        });
    });

    let all = Wanted {
        all: true,
        ..wanted(&[])
    };
    let described: Vec<_> = rows(&text, &all);
    group.bench_function("json lines", |bencher| {
        let mut out = Vec::new();
        bencher.iter(|| {
            out.clear();
            for (line, row) in &described {
                let described = Described {
                    source: "bench",
                    offset: 0,
                    fingerprint: Fingerprint::default(),
                    record: line,
                    raw: line,
                };
                black_box(lines::write(&mut out, row, &described));
            }
        });
    });

    let json = support::lines(Format::Json, CHUNK_BYTES);
    let fields = wanted(&["service", "latency_ms", "cpu"]);
    let parsed = rows(&json, &fields);
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("groups and samples", |bencher| {
        let metrics = [Metric::new(1, "latency_ms"), Metric::new(2, "cpu")];
        let mut aggregate = Aggregate::new(&[by_service()], &metrics);
        let mut quantities = Quantities::default();
        bencher.iter(|| {
            for (line, row) in &parsed {
                quantities.begin();
                aggregate.record(row, line, "bench", None, &mut quantities);
            }
            black_box(aggregate.take())
        });
    });
    group.finish();

    let by_literals = |multiline| {
        let mut plan = plan(Task::Lines(filter()), Wanted::default(), multiline);
        plan.select = Select {
            literals: Some(literals(2, false)),
            ..Select::default()
        };
        plan
    };
    let mut group = criterion.benchmark_group("mapper");
    for (name, plan, text) in [
        ("filter, off", by_literals(Multiline::Off), &text),
        ("filter, auto", by_literals(Multiline::Auto), &text),
        ("report, warn", support::report(Level::Warn), &text),
        ("report, trace", support::report(Level::Trace), &text),
        ("metrics of json", support::metrics(), &json),
    ] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| {
            let mut mapper = Mapper::new(&plan);
            bencher.iter_batched(
                || batches(text),
                |batches| {
                    for batch in batches {
                        black_box(mapper.map(&batch));
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
