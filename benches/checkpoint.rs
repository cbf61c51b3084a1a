//! A checkpoint of a state that is as full as it gets: how long the fold stands still for its copy,
//! and what its writing takes on the thread for it.

#[allow(dead_code, reason = "each bench uses a part of the input")]
mod support;

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use logweir::engine::fold::{Fold, Known};
use logweir::flow::batch::SourceId;
use logweir::flow::fingerprint::Fingerprint;
use logweir::flow::level::Level;
use logweir::flow::mark::{Generation, Mark, Marker, Piece};
use logweir::flow::output::Accepted;
use logweir::flow::sample::{Bucket, Sample, SeriesKey, UnitSet};
use logweir::flow::time::Time;
use logweir::state::State;
use logweir::state::messages::Sighting;
use logweir::store::checkpoint::{Checkpoint, decode, encode};
use logweir::store::journal::Entry;
use support::{Seeded, message, report, state};

const MESSAGES: u64 = 100_000;
const SERIES: u32 = 10_000;

/// 100,000 messages, as far as the table takes them, and 10,000 series of 1,000 values.
fn full(plan: &logweir::plan::Plan) -> State {
    let mut state = state(plan);
    state.open(SourceId(0), "a.log");
    let mut seeded = Seeded(7);
    for number in 0..MESSAGES {
        let text = message(&mut seeded);
        let sighting = Sighting {
            fingerprint: Fingerprint(seeded.next()),
            level: Some(Level::Error),
            count: 1,
            first: Some(Time(number as i64)),
            last: Some(Time(number as i64)),
            source: 0,
            offset: number,
            ordinal: number,
            masked: text.as_bytes(),
        };
        let samples = [text.as_bytes(); 3];
        state.messages.add(&sighting, samples.into_iter());
    }
    let keys: Vec<String> = (0..SERIES).map(|key| format!("service-{key}")).collect();
    let dictionary: Vec<SeriesKey<'_>> = keys
        .iter()
        .map(|key| SeriesKey {
            metric: b"latency",
            grouping: 0,
            key: key.as_bytes(),
            units: UnitSet::default(),
        })
        .collect();
    let mut uniform = move || (seeded.next() >> 11) as f64 / (1u64 << 53) as f64;
    for _ in 0..1000 {
        let samples: Vec<Sample> = (0..SERIES)
            .map(|series| {
                let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
                let value = (3.0 + radius * (std::f64::consts::TAU * uniform()).cos()).exp();
                Sample {
                    value,
                    series,
                    bucket: Bucket::of(value),
                    weight: 1,
                }
            })
            .collect();
        state.metrics.fold(&dictionary, &samples);
    }
    state
}

fn benches(criterion: &mut Criterion) {
    let plan = report(Level::Warn);
    let known = Known::from(full(&plan));
    let rows = known.state.messages.rows().len();
    let mut fold = Fold::new(&plan, known.clone());
    let mut group = criterion.benchmark_group("checkpoint");
    group.sample_size(20);
    group.bench_function(
        format!("copy of {rows} messages, {SERIES} series"),
        |bencher| {
            // Dropping the copy is the other thread's work.
            bencher.iter_with_large_drop(|| fold.known());
        },
    );
    let checkpoint = Checkpoint {
        number: 1,
        purpose: String::new(),
        written: 0,
        state: known.state,
        lines: None,
        places: known.places,
        sent: Accepted::default(),
        output: None,
        watched: None,
    };
    let bytes = encode(&checkpoint).concat();
    group.bench_function(format!("encode {} bytes", bytes.len()), |bencher| {
        bencher.iter(|| encode(&checkpoint));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter_with_large_drop(|| decode(&bytes));
    });
    let mark = Mark {
        pieces: vec![Piece {
            generation: Generation(3),
            from: 1 << 30,
            to: (1 << 30) + 5000,
        }],
        lines: 1_000_000,
        tail: Marker::of(b"abc", (1 << 30) + 5000),
        ..Mark::default()
    };
    let entry = Entry::Batch {
        mark: Cow::Borrowed(&mark),
        bytes: 5000,
        sum: 0,
        records: 50,
    };
    let mut scratch = Vec::new();
    group.bench_function("encode an entry of the journal", |bencher| {
        bencher.iter(|| {
            scratch.clear();
            entry.encode(&mut scratch);
            black_box(scratch.len())
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
