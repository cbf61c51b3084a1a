//! Copies of a followed file: what copytruncate, a backup or a compressor makes of it.

use std::fs::{self, File};
use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::Bench;

#[test]
fn a_copy_that_ends_within_one_large_read_is_known() {
    let mut bench = Bench::new("a.log*");
    bench.chunk_bytes = 1 << 20;
    bench.start(None);
    let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    bench.append("a.log", text.as_bytes());
    bench.pass(300);
    bench.want(&text);
    // Made while the file was written on, and first looked at when that is truncated.
    fs::write(bench.path("a.log.1"), &text.as_bytes()[..150_000]).unwrap();
    bench.truncate("a.log");
    bench.append("a.log", b"new\n");
    bench.pass(6000);
    bench.want("new\n");
}

#[test]
fn a_copy_that_loses_its_name_before_it_is_looked_into_is_known() {
    let mut bench = Bench::new("a.log a.log.1");
    bench.start(None);
    let text: String = (0..300).map(|n| format!("line {n}\n")).collect();
    bench.append("a.log", text.as_bytes());
    bench.pass(300);
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    // Written between the copy and the truncation, and read.
    bench.append("a.log", b"between\n");
    bench.pass(11_000);
    bench.want(&format!("{text}between\n"));
    // Killed before it has seen more; meanwhile the next rotation gives the copy a name that is not followed.
    bench.truncate("a.log");
    bench.append("a.log", b"new\n");
    bench.rename("a.log.1", "a.log.2");
    bench.restart(bench.marks.len());
    bench.pass(11_000);
    bench.want("new\n");
}

#[test]
fn a_packed_file_that_a_power_cut_damaged_is_read_from_where_it_is_known() {
    let mut bench = Bench::new("a.log");
    bench.start(None);
    let text: String = (0..400).map(|n| format!("line {n}\n")).collect();
    for part in text.as_bytes().chunks(500) {
        bench.append("a.log", part);
        bench.pass(300);
    }
    bench.out.clear();
    let known = bench.marks.len();
    bench.follower = None;
    // The last bytes that were read are not what they were, and more was written behind them.
    let mut bytes = text.into_bytes();
    let end = bytes.len();
    bytes[end - 20..].fill(b'#');
    bytes.extend_from_slice(b"\nnew\n");
    let packed = File::create(bench.path("a.log.1.gz")).unwrap();
    let mut packed = GzEncoder::new(packed, Compression::fast());
    packed.write_all(&bytes).unwrap();
    packed.finish().unwrap();
    fs::remove_file(bench.path("a.log")).unwrap();
    bench.restart(known);
    bench.pass(3000);
    assert!(bench.out.ends_with(b"\nnew\n"));
    assert!(bench.out.len() < end / 2, "most of it was known");
}

/// A log that nobody has begun to read, a copy of it, and what was written behind that.
fn copied_before_it_was_read(bench: &mut Bench) -> (String, &'static str) {
    let text: String = (0..300).map(|n| format!("line {n}\n")).collect();
    bench.append("a.log", text.as_bytes());
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    bench.append("a.log", b"between\n");
    (text, "between\n")
}

#[test]
fn a_log_whose_copy_is_found_first_goes_on_behind_it() {
    let mut bench = Bench::new("a.log*");
    let (text, between) = copied_before_it_was_read(&mut bench);
    bench.start(None);
    bench.pass(3000);
    bench.want(&format!("{text}{between}"));
    // It is known as a copy from then on, and over a restart.
    bench.append("a.log", b"more\n");
    bench.restart(bench.marks.len());
    bench.pass(3000);
    bench.want("more\n");
    bench.truncate("a.log");
    bench.append("a.log", b"new\n");
    bench.pass(3000);
    bench.want("new\n");
    bench.restart(bench.marks.len() / 2);
    bench.pass(11_000);
    bench.want("");
}

#[test]
fn a_log_goes_on_within_the_line_that_its_copy_ends_in() {
    let mut bench = Bench::new("a.log*");
    let (text, _) = copied_before_it_was_read(&mut bench);
    let copy = File::options().write(true).open(bench.path("a.log.1"));
    copy.unwrap().set_len(text.len() as u64 - 3).unwrap();
    bench.start(None);
    bench.pass(11_000);
    bench.want(&format!("{text}between\n"));
}

#[test]
fn a_trace_goes_on_behind_a_copy_that_ends_within_it() {
    let mut bench = Bench::new("a.log*");
    bench.multiline = crate::framing::Multiline::Auto;
    let text: String = (0..300)
        .map(|n| format!("2026-11-22T10:00:00Z INFO line {n}\n"))
        .collect();
    bench.append("a.log", text.as_bytes());
    bench.append("a.log", b"2026-11-22T10:00:00Z ERROR broken\n\tat a.b.C\n");
    fs::copy(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    bench.append("a.log", b"\tat d.e.F\n");
    bench.start(None);
    bench.pass(3000);
    let trace = "2026-11-22T10:00:00Z ERROR broken\n\tat a.b.C\n\tat d.e.F\n";
    bench.want(&format!("{text}{trace}"));
    // What follows a copy is told with the lines that the record began with.
    let behind = bench.marks.iter().rfind(|mark| !mark.pieces.is_empty());
    assert!(behind.unwrap().context_bytes > 0);
}

#[test]
fn a_removed_file_that_was_closed_within_a_line_gives_no_half_line() {
    let mut bench = Bench::new("*.log");
    bench.files_open_max = 1;
    bench.chunk_bytes = 64;
    let line = format!("{}\n", "x".repeat(49));
    bench.append("a.log", line.repeat(3).as_bytes());
    bench.append("b.log", line.repeat(3).as_bytes());
    bench.start(None);
    // Each takes the other's descriptor after every read.
    while bench.out.len() < 200 {
        assert!(bench.step());
    }
    fs::remove_file(bench.path("a.log")).unwrap();
    fs::remove_file(bench.path("b.log")).unwrap();
    bench.pass(11_000);
    assert!(
        bench
            .out
            .split_inclusive(|&byte| byte == b'\n')
            .all(|read| read == line.as_bytes())
    );
    assert!(bench.lost() > 0, "one of them was not read to its end");
    assert_eq!(bench.out.len() as u64 + bench.lost(), 300);
}
