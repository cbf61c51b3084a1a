//! The fold: taking in what the mappers made. Bytes are those of the input behind it; the budget is
//! 25 ns a record.

#[allow(dead_code, reason = "each bench uses a part of the input")]
mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logweir::engine::mapper::Mapper;
use logweir::flow::batch::SourceId;
use logweir::flow::format::Format;
use logweir::flow::level::Level;
use logweir::flow::mapped::Mapped;
use logweir::state::State;
use support::{CHUNK_BYTES, batches, lines, metrics, mixed, report, state};

fn benches(criterion: &mut Criterion) {
    let text = mixed(8 * CHUNK_BYTES, true);
    let json = lines(Format::Json, 8 * CHUNK_BYTES);
    let mut group = criterion.benchmark_group("fold");
    for (name, plan, text) in [
        ("report, warn", report(Level::Warn), &text),
        ("report, trace", report(Level::Trace), &text),
        ("metrics of json", metrics(), &json),
    ] {
        let mut mapper = Mapper::new(&plan);
        let mapped: Vec<Mapped> = batches(text)
            .into_iter()
            .map(|batch| mapper.map(&batch))
            .collect();
        let records: u64 = mapped.iter().map(|mapped| mapped.counts.records).sum();
        group.throughput(Throughput::ElementsAndBytes {
            elements: records,
            bytes: text.len() as u64,
        });
        let absorb = |state: &mut State| {
            for mapped in &mapped {
                state.absorb(mapped);
            }
        };
        let fresh = || {
            let mut state = state(&plan);
            state.open(SourceId(0), "bench");
            state
        };
        group.bench_function(format!("{name}, new tables"), |bencher| {
            bencher.iter_batched(
                fresh,
                |mut state| {
                    absorb(&mut state);
                    black_box(state)
                },
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("{name}, known rows"), |bencher| {
            let mut state = fresh();
            bencher.iter(|| absorb(&mut state));
            black_box(&state);
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
