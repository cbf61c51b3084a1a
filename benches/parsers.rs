//! Every parser on lines of its own format, forced and recognised, with time, level, message and
//! two fields wanted; and all formats line by line.

#[allow(dead_code, reason = "each bench uses a part of the input")]
mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir::flow::format::Format;
use logweir::flow::row::Row;
use logweir::flow::wanted::Wanted;
use logweir::parsers::detect::Parsers;
use support::{CHUNK_BYTES, facts, lines, mixed, wanted};

/// Parses every line of `text`; how many came out as `format`.
fn parse_all(parsers: &mut Parsers, row: &mut Row, text: &[u8], format: Format) -> usize {
    let mut of_format = 0;
    let mut start = 0;
    for feed in memchr::memchr_iter(b'\n', text) {
        row.reset();
        parsers.parse(&text[start..feed], row);
        of_format += usize::from(row.format == format);
        start = feed + 1;
    }
    of_format
}

fn benches(criterion: &mut Criterion) {
    let wanted = wanted(&["service", "latency_ms"]);
    let mut group = criterion.benchmark_group("parsers");
    let unwrapped = |format: &Format| !matches!(format, Format::Docker | Format::Cri);
    for format in Format::ALL.into_iter().filter(unwrapped) {
        let text = lines(format, CHUNK_BYTES);
        let count = memchr::memchr_iter(b'\n', &text).count();
        group.throughput(Throughput::Bytes(text.len() as u64));
        for forced in [true, false] {
            let mut facts = facts(Some(format));
            if !forced {
                facts.format = None;
            }
            let mut parsers = Parsers::new(&wanted);
            parsers.set_facts(&facts);
            let mut row = Row::new(wanted.paths.len());
            // A bench of lines that the parser turns away would measure nothing.
            assert_eq!(
                parse_all(&mut parsers, &mut row, &text, format),
                count,
                "{}",
                format.name()
            );
            let how = if forced { "forced" } else { "recognised" };
            group.bench_function(format!("{}, {how}", format.name()), |bencher| {
                bencher.iter(|| black_box(parse_all(&mut parsers, &mut row, &text, format)));
            });
        }
    }

    let text = mixed(CHUNK_BYTES, false);
    let everything = Wanted {
        all: true,
        ..wanted.clone()
    };
    let nothing = Wanted::default();
    group.throughput(Throughput::Bytes(text.len() as u64));
    for (name, wanted) in [
        ("nothing wanted", &nothing),
        ("two fields", &wanted),
        ("all fields", &everything),
    ] {
        group.bench_function(format!("formats line by line, {name}"), |bencher| {
            let mut parsers = Parsers::new(wanted);
            parsers.set_facts(&facts(None));
            let mut row = Row::new(wanted.paths.len());
            bencher.iter(|| black_box(parse_all(&mut parsers, &mut row, &text, Format::Json)));
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
