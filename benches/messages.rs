//! Masking and hashing of messages in bytes per second, and clustering of 100,000 masked
//! messages: of one kind with free values, and all different.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logweir::flow::fingerprint::Fingerprint;
use logweir::stages::fingerprint::Masker;
use logweir::state::templates::cluster;
use std::hint::black_box;

/// A generator of our own (splitmix64), so that every run sees the same bytes.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn word(&mut self) -> String {
        let bits = self.next();
        let letter = |at: u32| char::from(b'a' + ((bits >> (5 * at)) % 26) as u8);
        (0..7).map(letter).collect()
    }
}

fn messages(seeded: &mut Seeded) -> Vec<String> {
    let message = |seeded: &mut Seeded| {
        let number = seeded.next();
        let (a, b) = (number % 256, number >> 8 & 0xffff);
        match number >> 60 {
            0..4 => format!("Received block blk_{number} of size {b} from /10.250.{a}.7:50010"),
            4..7 => format!("task {b} finished in {a}.{b} ms on node-{a} ({b} KB sent)"),
            7..9 => format!(
                "Failed password for {} from 10.0.{a}.9 port {b} ssh2",
                seeded.word()
            ),
            9..11 => format!(
                "session 0x{number:x} established, timeout={b} user={}",
                seeded.word()
            ),
            11..13 => "Interrupted while waiting for message on queue".to_owned(),
            13..15 => format!("GET /v2/{number:016x}/servers/detail HTTP/1.1 status: 200 len: {b}"),
            _ => format!(
                "connection from 24.54.{a}.16 (24-54-{a}-16.example.net) at Fri Jun 17 07:07:00 2005"
            ),
        }
    };
    (0..20_000).map(|_| message(seeded)).collect()
}

fn benches(criterion: &mut Criterion) {
    let mut seeded = Seeded(7);
    let lines = messages(&mut seeded);
    let mut group = criterion.benchmark_group("messages");
    group.throughput(Throughput::Bytes(
        lines.iter().map(|line| line.len() as u64).sum(),
    ));
    group.bench_function("mask and hash", |bencher| {
        let mut masker = Masker::new();
        bencher.iter(|| {
            for line in &lines {
                black_box(masker.mask(line.as_bytes()).1);
            }
        });
    });
    group.finish();

    let one_kind = |seeded: &mut Seeded| {
        format!(
            "user {} came from {} through {}",
            seeded.word(),
            seeded.word(),
            seeded.word()
        )
    };
    let different = |seeded: &mut Seeded| (0..8).map(|_| seeded.word() + " ").collect::<String>();
    let mut group = criterion.benchmark_group("templates of 100,000");
    group.sample_size(10);
    for (name, kind) in [
        ("one kind", one_kind as fn(&mut Seeded) -> String),
        ("all different", different),
    ] {
        let set: Vec<String> = (0..100_000).map(|_| kind(&mut seeded)).collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let masked = set.iter().map(|text| text.as_bytes());
                cluster(masked.map(|text| (Fingerprint::of_masked(text), text))).len()
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
