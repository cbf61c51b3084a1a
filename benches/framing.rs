//! Bytes to records: every line a record, stack traces joined, containers unwrapped; and counting
//! without making records.

#[allow(dead_code, reason = "each bench uses a part of the input")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir::flow::format::Format;
use logweir::framing::Multiline;
use logweir::framing::count::{count_records, record_around};
use logweir::framing::cut::cut;
use logweir::framing::frame::{Framer, Records};
use support::{CHUNK_BYTES, lines, mixed};

fn benches(criterion: &mut Criterion) {
    let plain = mixed(CHUNK_BYTES, false);
    let traces = mixed(CHUNK_BYTES, true);
    let docker = lines(Format::Docker, CHUNK_BYTES);
    let cri = lines(Format::Cri, CHUNK_BYTES);
    let pattern = Multiline::Pattern(regex::bytes::Regex::new(r"^\S+\d").expect("it is valid"));
    let cases = [
        ("off", Multiline::Off, &plain),
        ("auto", Multiline::Auto, &plain),
        ("auto, stack traces", Multiline::Auto, &traces),
        ("pattern, stack traces", pattern, &traces),
        ("docker", Multiline::Off, &docker),
        ("cri", Multiline::Auto, &cri),
    ];
    let mut group = criterion.benchmark_group("framing");
    for (name, mode, chunk) in &cases {
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function(format!("records, {name}"), |bencher| {
            let mut framer = Framer::new(mode.clone());
            let mut records = Records::default();
            bencher.iter(|| {
                framer.frame(chunk, &mut records);
                assert!(!black_box(records.all()).is_empty());
            });
        });
    }
    for (name, mode, chunk) in &cases[..3] {
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function(format!("count, {name}"), |bencher| {
            bencher.iter(|| black_box(count_records(mode, chunk, 0)));
        });
        group.bench_function(format!("around every 4096th byte, {name}"), |bencher| {
            bencher.iter(|| {
                let mut floor = 0;
                for hit in (0..chunk.len()).step_by(4096) {
                    if hit >= floor {
                        floor = black_box(record_around(mode, chunk, floor, hit)).end;
                    }
                }
            });
        });
        group.bench_function(format!("cut, {name}"), |bencher| {
            bencher.iter(|| black_box(cut(mode, black_box(chunk))));
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
