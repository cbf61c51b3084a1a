//! Law 1 on the chunker itself: wherever reads end and whatever the calls' reasons, the records, the lines
//! that are cut and the numbers of the lines are those of the whole input.

use super::*;
use crate::framing::frame::Framer;
use crate::framing::tests::{Seen, input, line, modes, seen, wrapped_input};
use proptest::prelude::*;
use proptest::sample::Index;

/// A read that ends in the input, and whether the source is then quiet for a while.
type Pause = (Index, bool);

fn policy(multiline: Multiline, as_they_come: bool, chunk_bytes: usize) -> Policy {
    Policy {
        multiline,
        as_they_come,
        counts_lines: true,
        chunk_bytes,
    }
}

/// How a reader asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// When its buffer is full: a file that is read to its end.
    WhenFull,
    /// After every read: a stream, a followed file.
    Always,
}

/// What came out: bytes, records, cut lines, and forced ends.
#[derive(Debug, Default)]
struct Out {
    records: Vec<Seen>,
    /// Where records start, those of the context left out.
    starts: Vec<usize>,
    /// Start of a line that was cut, and how much of it was left out.
    cut_lines: Vec<(usize, u64)>,
    /// Offset of the next byte to come out.
    sent: usize,
    /// Where quiet moments ended what was open.
    ends: Vec<usize>,
    open: usize,
}

impl Out {
    fn take(&mut self, policy: &Policy, input: &[u8], cut: &Cut) {
        assert!(cut.context_bytes <= self.open, "context went out before");
        let start = self.sent - self.open;
        let end = start + cut.chunk.len();
        assert!(*cut.chunk == input[start..end], "bytes of {start}..{end}");
        if cut.is_known() {
            assert_eq!((cut.open_bytes, cut.cut_bytes), (0, 0));
            self.open -= cut.context_bytes;
            return;
        }
        assert_eq!(cut.context_bytes, self.open);
        assert_eq!(cut.lines_before, feeds(&input[..start]));
        self.sent = end + cut.cut_bytes as usize;
        assert_eq!(cut.lines, feeds(&input[..self.sent]));
        self.open = cut.open_bytes;
        if cut.cut_bytes > 0 {
            assert_eq!(cut.chunk.len(), LINE_BYTES_MAX);
            self.cut_lines.push((start, cut.cut_bytes));
        }
        let mut framer = Framer::new(policy.multiline.clone());
        let records = seen(
            &mut framer,
            &cut.chunk,
            start,
            &mut (cut.lines_before as usize),
        );
        let fresh = |record: &&Seen| record.lines[0].0 >= start + cut.context_bytes;
        let starts = records.iter().filter(fresh);
        self.starts.extend(starts.map(|record| record.lines[0].0));
        self.records.extend(records);
    }
}

/// Reads `input` as a reader would whose reads end at the pauses, if not before.
fn read(policy: &Policy, input: &[u8], pauses: &[Pause], asks: Asks) -> Out {
    let mut pauses: Vec<(usize, bool)> = pauses
        .iter()
        .map(|(place, quiet)| (place.index(input.len() + 1), *quiet))
        .collect();
    pauses.sort_unstable();
    let mut chunker = Chunker::new(0);
    let mut out = Out::default();
    let mut at = 0;
    for (to, quiet) in pauses.into_iter().chain([(input.len(), false)]) {
        fill(policy, &mut chunker, input, &mut at, to, asks, &mut out);
        if quiet {
            let before = out.sent;
            drain(policy, &mut chunker, Why::Quiet, input, &mut out);
            // What comes next begins a record, unless all that is held went out before.
            if !policy.as_they_come || out.sent > before {
                let line = memchr::memrchr(b'\n', &input[..at]).map_or(0, |feed| feed + 1);
                out.ends.push(line);
            }
        }
    }
    drain(policy, &mut chunker, Why::End, input, &mut out);
    assert_eq!(out.sent, input.len(), "every byte comes out");
    out
}

fn fill(
    policy: &Policy,
    chunker: &mut Chunker,
    input: &[u8],
    at: &mut usize,
    to: usize,
    asks: Asks,
    out: &mut Out,
) {
    while *at < to {
        let space = chunker.space(policy, |_| None);
        assert!(!space.is_empty());
        let count = space.len().min(to - *at);
        space[..count].copy_from_slice(&input[*at..*at + count]);
        let is_full = count == space.len();
        assert_eq!(chunker.offered(count), &input[*at..*at + count]);
        chunker.filled(count);
        *at += count;
        match (asks, is_full) {
            (_, true) => drain(policy, chunker, Why::Full, input, out),
            (Asks::Always, false) => drain(policy, chunker, Why::CaughtUp, input, out),
            (Asks::WhenFull, false) => {}
        }
    }
}

fn drain(policy: &Policy, chunker: &mut Chunker, why: Why, input: &[u8], out: &mut Out) {
    while let Some(cut) = chunker.next(policy, why) {
        out.take(policy, input, &cut);
    }
}

/// The truth: the input is split at the lines over the limit and at the forced ends, and what lies between
/// is framed as a whole.
fn truth(mode: &Multiline, input: &[u8], ends: &[usize]) -> (Vec<Seen>, Vec<(usize, u64)>) {
    let mut framer = Framer::new(mode.clone());
    let (mut records, mut cut_lines) = (Vec::new(), Vec::new());
    let (mut open, mut at, mut number) = (0, 0, 0);
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let length = line.len() - usize::from(line.ends_with(b"\n"));
        let is_long = length > LINE_BYTES_MAX;
        if (is_long || ends.contains(&at)) && open < at {
            records.extend(seen(&mut framer, &input[open..at], open, &mut number));
            open = at;
        }
        if is_long {
            let head = &line[..LINE_BYTES_MAX];
            records.extend(seen(&mut framer, head, at, &mut number));
            cut_lines.push((at, (line.len() - LINE_BYTES_MAX) as u64));
            open = at + line.len();
        }
        at += line.len();
    }
    if open < at {
        records.extend(seen(&mut framer, &input[open..], open, &mut number));
    }
    (records, cut_lines)
}

fn check(input: &[u8], pauses: &[Pause], chunk_bytes: usize) {
    for mode in modes() {
        for asks in [Asks::WhenFull, Asks::Always] {
            let policy = policy(mode.clone(), false, chunk_bytes);
            let out = read(&policy, input, pauses, asks);
            let (records, cut_lines) = truth(&mode, input, &out.ends);
            assert!(out.records == records, "{mode:?} {asks:?}");
            assert_eq!(out.cut_lines, cut_lines, "{mode:?} {asks:?}");
        }
        let policy = policy(mode.clone(), true, chunk_bytes);
        let out = read(&policy, input, pauses, Asks::Always);
        let (records, cut_lines) = truth(&mode, input, &out.ends);
        let starts: Vec<usize> = records.iter().map(|record| record.lines[0].0).collect();
        assert_eq!(out.starts, starts, "as they come, {mode:?}");
        assert_eq!(out.cut_lines, cut_lines, "as they come, {mode:?}");
    }
}

/// What is read of a file that was rotated and of the one after it, put together.
fn check_carried(older: &[u8], younger: &[u8], pauses: &[Pause], chunk_bytes: usize) {
    let input = [older, younger].concat();
    for (mode, as_they_come) in modes()
        .into_iter()
        .flat_map(|mode| [(mode.clone(), false), (mode, true)])
    {
        let policy = policy(mode.clone(), as_they_come, chunk_bytes);
        let mut out = Out::default();
        let (mut first, mut second) = (Chunker::new(0), Chunker::new(0));
        let mut at = 0;
        let numberless = |out: &mut Out, cut: Cut| {
            // Lines are numbered by file.
            let start = out.sent - out.open;
            let of_younger = start >= older.len();
            let before = match of_younger {
                true => feeds(&input[older.len()..start]),
                false => feeds(&input[..start]),
            };
            assert_eq!(cut.lines_before, before, "{mode:?}");
            let end = start + cut.chunk.len();
            let lines = match end > older.len() {
                true => feeds(&input[older.len()..end]),
                false => feeds(&input[..end]),
            };
            assert!(cut.is_known() || cut.lines == lines, "{mode:?}");
            let cut = Cut {
                lines_before: feeds(&input[..start]),
                lines: feeds(&input[..end]),
                ..cut
            };
            out.take(&policy, &input, &cut);
        };
        let mut ends: Vec<usize> = pauses
            .iter()
            .map(|(place, _)| place.index(input.len() + 1))
            .collect();
        ends.extend([older.len(), input.len()]);
        ends.sort_unstable();
        for to in ends {
            while at < to {
                let chunker = if at < older.len() {
                    &mut first
                } else {
                    &mut second
                };
                let space = chunker.space(&policy, |_| None);
                let count = space.len().min(to - at);
                let why = if count == space.len() {
                    Why::Full
                } else {
                    Why::CaughtUp
                };
                space[..count].copy_from_slice(&input[at..at + count]);
                chunker.filled(count);
                at += count;
                while let Some(cut) = chunker.next(&policy, why) {
                    numberless(&mut out, cut);
                }
                if at == older.len() {
                    while let Some(cut) = first.next(&policy, Why::CaughtUp) {
                        numberless(&mut out, cut);
                    }
                    second.carry(&mut first);
                    assert!(!first.holds_new() && first.bytes().is_empty());
                }
            }
        }
        while let Some(cut) = second.next(&policy, Why::End) {
            numberless(&mut out, cut);
        }
        assert_eq!(out.sent, input.len());
        let (records, _) = truth(&mode, &input, &[]);
        let starts: Vec<usize> = records.iter().map(|record| record.lines[0].0).collect();
        assert_eq!(out.starts, starts, "{mode:?} {as_they_come}");
    }
}

/// Some lines, and between them some that are about as long as the limit.
fn long_input() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        (0usize..3).prop_map(|more| LINE_BYTES_MAX - 1 + more),
        LINE_BYTES_MAX..LINE_BYTES_MAX * 3,
    ];
    let start = prop::sample::select(vec![
        "x",
        "\tat a.b(c)",
        "2024-03-01 00:00:00 ERROR [main] x: ",
    ]);
    let long = (start, length).prop_map(|(start, length)| {
        let mut line = start.as_bytes().to_vec();
        line.resize(length, b'y');
        line.push(b'\n');
        line
    });
    (
        prop::collection::vec((input(line()), long), 1..3),
        input(line()),
        any::<bool>(),
    )
        .prop_map(|(parts, last, is_torn)| {
            let mut all = Vec::new();
            for (mut lines, long) in parts {
                if !lines.is_empty() && !lines.ends_with(b"\n") {
                    lines.push(b'\n');
                }
                all.extend(lines);
                all.extend(long);
            }
            if is_torn {
                all.pop();
            } else {
                all.extend(last);
            }
            all
        })
}

fn pauses() -> impl Strategy<Value = Vec<Pause>> {
    prop::collection::vec((any::<Index>(), prop::bool::weighted(0.3)), 0..8)
}

fn small() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![1, 2, 7, 64, 300, 4096])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_of_mixed_lines_do_not_show_how_they_were_read(input in input(line()), pauses in pauses(), chunk_bytes in small()) {
        check(&input, &pauses, chunk_bytes);
    }

    #[test]
    fn chunks_of_wrapped_lines_do_not_show_how_they_were_read(input in wrapped_input(), pauses in pauses(), chunk_bytes in small()) {
        check(&input, &pauses, chunk_bytes);
    }

    #[test]
    fn records_that_go_on_in_the_next_file_are_put_together(older in input(line()), younger in input(line()), pauses in pauses(), chunk_bytes in small()) {
        let end = memchr::memrchr(b'\n', &older).map_or(0, |feed| feed + 1);
        if end > 0 {
            check_carried(&older[..end], &younger, &pauses, chunk_bytes);
        }
    }
}

proptest! {
    // Each of them is some megabytes long.
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_over_the_limit_are_cut_the_same_however_they_were_read(input in long_input(), pauses in pauses(), chunk_bytes in prop::sample::select(vec![4096, 512 << 10])) {
        check(&input, &pauses, chunk_bytes);
    }
}

/// An open record whose lines went out, and then a line over the limit that would join it: once it was
/// part of the record or not, depending on when it came.
#[test]
fn a_line_over_the_limit_is_a_record_of_its_own_behind_context_too() {
    let head = b"2024-03-01 00:00:00 ERROR [main] x: y\n";
    let mut long = b"\tat a.b(c)".to_vec();
    long.resize(LINE_BYTES_MAX + 5, b' ');
    let input = [&head[..], &long, b"\nnext\n"].concat();
    let policy = policy(Multiline::Auto, true, 4096);
    let mut chunker = Chunker::new(0);
    let mut out = Out::default();
    let mut at = 0;
    for to in [head.len(), input.len()] {
        fill(
            &policy,
            &mut chunker,
            &input,
            &mut at,
            to,
            Asks::Always,
            &mut out,
        );
    }
    drain(&policy, &mut chunker, Why::End, &input, &mut out);
    assert_eq!(out.starts, [0, head.len(), head.len() + long.len() + 1]);
    assert_eq!(out.cut_lines, [(head.len(), 6)]);
}

#[test]
fn a_quiet_moment_lets_whole_lines_go_and_keeps_a_torn_one() {
    let policy = policy(Multiline::Auto, false, 4096);
    let mut chunker = Chunker::new(7);
    let give = |chunker: &mut Chunker, bytes: &[u8]| {
        chunker.space(&policy, |_| None)[..bytes.len()].copy_from_slice(bytes);
        chunker.filled(bytes.len());
    };
    give(
        &mut chunker,
        b"2024-03-01 00:00:00 ERROR [main] x: y\n\tat a.b(c)\n\tat ",
    );
    assert!(chunker.next(&policy, Why::CaughtUp).is_none() && chunker.holds_lines());
    let cut = chunker.next(&policy, Why::Quiet).unwrap();
    assert!(cut.chunk.ends_with(b"c)\n"));
    assert_eq!((cut.lines_before, cut.lines), (7, 9));
    assert!(chunker.next(&policy, Why::Quiet).is_none());
    assert_eq!(chunker.bytes(), b"\tat ");
    assert!(chunker.ends_torn() && chunker.holds_new() && !chunker.holds_lines());
    assert_eq!(chunker.before().bytes(), &*cut.chunk);
    let cut = chunker.next(&policy, Why::End).unwrap();
    assert_eq!((&*cut.chunk, cut.lines), (&b"\tat "[..], 9));
    assert!(chunker.next(&policy, Why::End).is_none());
}

#[test]
fn the_rest_of_a_line_over_the_limit_is_dropped_in_little_memory() {
    let policy = policy(Multiline::Off, false, 4096);
    let mut chunker = Chunker::new(0);
    for _ in 0..5000 {
        let space = chunker.space(&policy, |_| None);
        let count = space.len();
        assert!(count <= CHUNK_BYTES_MAX);
        space.fill(b'x');
        chunker.filled(count);
        assert!(chunker.next(&policy, Why::Full).is_none());
        assert!(chunker.buffer.len() <= CHUNK_BYTES_MAX);
    }
    assert!(chunker.is_dropping());
    chunker.space(&policy, |_| None)[..4].copy_from_slice(b"z\nab");
    chunker.filled(4);
    let cut = chunker.next(&policy, Why::CaughtUp).unwrap();
    assert_eq!(cut.chunk.len(), LINE_BYTES_MAX);
    assert!(chunker.before().bytes().ends_with(b"xz\n"));
    assert_eq!(chunker.bytes(), b"ab");
}
