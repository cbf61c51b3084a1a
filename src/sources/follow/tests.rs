//! The follower on real files with a clock of our own. Faults, crashes and random schedules are the
//! simulation's (`tests/it/sim`).

mod copies;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::watch::NoHints;
use super::*;
use crate::disk::real::Real;
use crate::flow::mark::HEAD_BYTES;
use crate::framing::Multiline;
use crate::sources::Follower as _;

#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn wall_nanoseconds(&self) -> i64 {
        self.monotonic().as_nanos() as i64
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<Hand>,
    follower: Option<Follower>,
    /// All marks so far, as a journal would have them.
    marks: Vec<Mark>,
    places: crate::state::places::Places,
    out: Vec<u8>,
    multiline: Multiline,
    as_they_come: bool,
    chunk_bytes: usize,
    files_open_max: usize,
    from: From,
    pattern: &'static str,
}

impl Bench {
    fn new(pattern: &'static str) -> Bench {
        Bench {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
            follower: None,
            marks: Vec::new(),
            places: Default::default(),
            out: Vec::new(),
            multiline: Multiline::Off,
            as_they_come: true,
            chunk_bytes: 4096,
            files_open_max: 100,
            from: From::Start,
            pattern,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &[u8]) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text).unwrap();
    }

    /// Until a new file is younger than those that are there.
    fn tick(&self) {
        let born = |name: &str| {
            self.append(name, b"");
            let born = Real.stat(&self.path(name)).unwrap().identity.born;
            fs::remove_file(self.path(name)).unwrap();
            born
        };
        let first = born("clock");
        while born("clock") == first {}
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        let file = OpenOptions::new()
            .write(true)
            .open(self.path(name))
            .unwrap();
        file.set_len(0).unwrap();
    }

    fn start(&mut self, resume: Option<Resume>) {
        let settings = Settings {
            patterns: self
                .pattern
                .split(' ')
                .map(|pattern| self.folder.path().join(pattern).into_os_string())
                .collect(),
            exclude: Vec::new(),
            from: self.from,
            policy: Policy {
                multiline: self.multiline.clone(),
                as_they_come: self.as_they_come,
                counts_lines: true,
                chunk_bytes: self.chunk_bytes,
            },
            zone: TimeZone::UTC,
            format: None,
            csv_header: |_, _| None,
            files_open_max: self.files_open_max,
            refused: Vec::new(),
            outputs: Vec::new(),
            state: None,
            keeps_torn: true,
            sources: Vec::new(),
        };
        let clock: Arc<dyn Clock> = self.clock.clone();
        let follower = Follower::new(settings, Arc::new(Real), clock, Box::new(NoHints), resume);
        self.follower = Some(follower.unwrap());
    }

    /// The process dies, and another goes on after `kept` of the journal's marks.
    fn restart(&mut self, checkpoint: usize) {
        let mut places = crate::state::places::Places::default();
        self.marks[..checkpoint]
            .iter()
            .for_each(|mark| places.absorb(mark));
        let replay = self.marks[checkpoint..].to_vec();
        self.marks.truncate(checkpoint);
        self.start(Some(Resume {
            places: places.iter().cloned().collect(),
            replay,
        }));
    }

    fn take(&mut self, batch: Batch) {
        let Content::Read(chunk) = &batch.content else {
            panic!("a followed file is read by the follower")
        };
        let mark = *batch
            .mark
            .expect("every batch of a followed file has a mark");
        let pieces: u64 = mark.pieces.iter().map(|piece| piece.to - piece.from).sum();
        if mark.kind == Kind::Data && !mark.pieces.is_empty() {
            assert_eq!(pieces, chunk.len() as u64 + batch.cut_bytes);
        }
        if !mark.replayed {
            self.out.extend_from_slice(&chunk[batch.context_bytes..]);
            if batch.cut_bytes > 0 {
                self.out.extend_from_slice(b"[cut]\n");
            }
        }
        self.places.absorb(&mark);
        self.marks.push(mark);
    }

    /// Until there is nothing more to do at this moment.
    fn drain(&mut self) {
        let mut steps = 0..10_000;
        assert!(steps.any(|_| !self.step()), "never idle");
    }

    /// One batch; false if there is nothing to do at this moment.
    fn step(&mut self) -> bool {
        match self.follower.as_mut().unwrap().step() {
            Step::Batch(batch) => self.take(batch),
            Step::Idle { .. } => return false,
            Step::End => panic!("nobody asked for an end"),
        }
        true
    }

    /// Bytes that were said to be lost.
    fn lost(&self) -> u64 {
        let lost = self.marks.iter().filter(|mark| mark.kind == Kind::Lost);
        let pieces = lost.flat_map(|mark| &mark.pieces);
        pieces.map(|piece| piece.to - piece.from).sum()
    }

    /// Lets time pass.
    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds.div_ceil(50) {
            self.clock.0.fetch_add(50, Ordering::Relaxed);
            self.drain();
        }
    }

    #[track_caller]
    fn want(&mut self, text: &str) {
        let out = String::from_utf8_lossy(&self.out);
        let (lines, wanted): (Vec<_>, Vec<_>) =
            (out.split('\n').collect(), text.split('\n').collect());
        let same = lines
            .iter()
            .zip(&wanted)
            .take_while(|(a, b)| a == b)
            .count();
        let around = |lines: &[&str]| {
            lines[same.min(lines.len())..]
                .iter()
                .take(5)
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(around(&lines), around(&wanted), "from line {same} on");
        self.out.clear();
    }

    fn notes(&mut self) -> String {
        let notes = self.follower.as_mut().unwrap().notes();
        notes.into_iter().map(|note| note.text + "\n").collect()
    }
}

#[test]
fn hands_out_whole_lines_as_they_come_and_keeps_a_torn_one() {
    let mut bench = Bench::new("a.log");
    bench.start(None);
    bench.drain();
    assert!(bench.notes().contains("waiting"));
    bench.append("a.log", b"one\ntw");
    bench.pass(300);
    bench.want("one\n");
    bench.append("a.log", b"o\n");
    bench.pass(300);
    bench.want("two\n");
    bench.append("a.log", b"torn");
    bench.pass(5000);
    bench.want("");
}

#[test]
fn starts_at_the_end_or_so_many_lines_before_it() {
    for (from, want) in [
        (From::End, ""),
        (From::Tail(2), "two\nthree\n"),
        (From::Start, "one\ntwo\nthree\n"),
    ] {
        let mut bench = Bench::new("*.log");
        bench.from = from;
        bench.append("a.log", b"one\ntwo\nthree\n");
        bench.start(None);
        bench.drain();
        bench.want(want);
        bench.append("a.log", b"four\n");
        bench.append("new.log", b"new\n");
        bench.pass(600);
        let mut lines: Vec<&str> = std::str::from_utf8(&bench.out).unwrap().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["four", "new"]);
    }
}

#[test]
fn drains_a_renamed_file_before_the_one_that_follows_it() {
    for pattern in ["a.log", "a.log*"] {
        let mut bench = Bench::new(pattern);
        bench.start(None);
        let mut want = String::new();
        for round in 0..5 {
            bench.append("a.log", format!("{round} first\n").as_bytes());
            if round % 2 == 0 {
                bench.pass(300);
            }
            bench.append("a.log", format!("{round} second\n").as_bytes());
            bench.rename("a.log", &format!("a.log.{round}"));
            bench.append("a.log", format!("{round} new\n").as_bytes());
            // The writer has the old file open a while longer.
            bench.append(
                &format!("a.log.{round}"),
                format!("{round} late\n").as_bytes(),
            );
            want += &format!("{round} first\n{round} second\n{round} late\n{round} new\n");
            bench.pass(1000);
        }
        bench.want(&want);
    }
}

#[test]
fn a_truncated_file_is_read_from_its_start_and_its_copy_once() {
    for pattern in ["a.log", "a.log*"] {
        let mut bench = Bench::new(pattern);
        bench.start(None);
        bench.drain();
        let mut want = Vec::new();
        let line = |round: usize, number: usize| format!("round {round} line {number:07}\n");
        for round in 0..4 {
            let mut all = String::new();
            for number in 0..200 {
                all += &line(round, number);
            }
            bench.append("a.log", all.as_bytes());
            // What nobody has read a byte of is found only where its copy is followed too.
            if round % 2 == 0 || pattern == "a.log" {
                bench.pass(600);
            }
            let more = line(round, 200);
            bench.append("a.log", more.as_bytes());
            want.push(all + &more);
            fs::copy(bench.path("a.log"), bench.path("a.log.1.new")).unwrap();
            bench.rename("a.log.1.new", "a.log.1");
            if round == 2 {
                bench.pass(600);
            }
            bench.truncate("a.log");
            if round == 3 {
                // Grown past the old offset before anybody looks.
                let mut regrown = String::new();
                for number in 0..400 {
                    regrown += &line(9, number);
                }
                bench.append("a.log", regrown.as_bytes());
                want.push(regrown);
            }
            bench.pass(2000);
        }
        // Of what nobody knew the order is not known either.
        let sorted = |text: &str| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        };
        bench.out = sorted(std::str::from_utf8(&bench.out).unwrap()).into_bytes();
        bench.want(&sorted(&want.concat()));
    }
}

#[test]
fn goes_on_after_a_restart_where_the_journal_ends() {
    for checkpoint in [0, 1, 2, usize::MAX] {
        let mut bench = Bench::new("a.log*");
        bench.start(None);
        bench.append("a.log", b"one\n");
        bench.pass(300);
        bench.append("a.log", b"two\n  more of two\n");
        bench.pass(300);
        bench.append("a.log", b"three\nto");
        bench.pass(300);
        let before = bench.marks.clone();
        let seen = bench.places.clone();
        bench.rename("a.log", "a.log.3");
        bench.append("a.log.3", b"rn\n");
        bench.append("a.log.2", b"between\n");
        bench.append("a.log", b"new\n");
        bench.places = Default::default();
        let checkpoint = checkpoint.min(bench.marks.len());
        bench.marks[..checkpoint]
            .to_vec()
            .iter()
            .for_each(|mark| bench.places.absorb(mark));
        bench.restart(checkpoint);
        for _ in checkpoint..before.len() {
            match bench.follower.as_mut().unwrap().step() {
                Step::Batch(batch) => bench.take(batch),
                step => panic!("{step:?}"),
            }
        }
        assert!(
            bench
                .marks
                .iter()
                .zip(&before)
                .all(|(again, first)| { again.pieces == first.pieces && again.kind == first.kind })
        );
        assert_eq!(bench.places, seen, "at {checkpoint}");
        bench.pass(2000);
        bench.want("one\ntwo\n  more of two\nthree\ntorn\nbetween\nnew\n");
    }
}

#[test]
fn what_was_truncated_while_away_is_read_anew_and_the_rest_named() {
    let mut bench = Bench::new("a.log");
    bench.start(None);
    bench.append("a.log", b"one\n");
    bench.pass(300);
    bench.append("a.log", b"two\n");
    bench.pass(300);
    bench.truncate("a.log");
    bench.append("a.log", b"other content that is longer\n");
    bench.restart(1);
    bench.pass(1000);
    bench.want("one\ntwo\nother content that is longer\n");
    let lost: Vec<&Mark> = bench
        .marks
        .iter()
        .filter(|mark| mark.kind == Kind::Lost)
        .collect();
    let pieces: Vec<Piece> = lost.iter().flat_map(|mark| mark.pieces.clone()).collect();
    let total: u64 = pieces.iter().map(|piece| piece.to - piece.from).sum();
    assert_eq!(total, 8, "{pieces:?}");
}

#[test]
fn a_compressed_rotation_is_not_read_again_but_what_it_has_more() {
    for caught_up in [true, false] {
        let mut bench = Bench::new("a.log*");
        bench.start(None);
        let text: String = (0..300).map(|number| format!("line {number}\n")).collect();
        bench.append("a.log", text.as_bytes());
        bench.pass(300);
        let mut more = text.clone();
        if !caught_up {
            more += "unread\n";
        }
        let mut encoder = flate2::write::GzEncoder::new(
            File::create(bench.path("a.log.1.gz")).unwrap(),
            flate2::Compression::fast(),
        );
        encoder.write_all(more.as_bytes()).unwrap();
        encoder.finish().unwrap();
        let marks = bench.marks.len();
        if !caught_up {
            // It was down when all of it happened.
            fs::remove_file(bench.path("a.log")).unwrap();
            bench.append("a.log", b"new\n");
            bench.restart(marks);
        } else {
            bench.pass(300);
            fs::remove_file(bench.path("a.log")).unwrap();
            bench.append("a.log", b"new\n");
        }
        bench.pass(8000);
        bench.want(&(more + "new\n"));
    }
}

#[test]
fn one_file_under_two_names_is_read_once_and_a_header_does_not_make_a_copy() {
    let mut bench = Bench::new("*.csv");
    let header = format!("{}\n", "h".repeat(4095));
    bench.append("a.csv", header.as_bytes());
    bench.append("a.csv", b"1\n");
    fs::hard_link(bench.path("a.csv"), bench.path("b.csv")).unwrap();
    bench.start(None);
    bench.pass(500);
    bench.want(&format!("{header}1\n"));
    bench.append("c.csv", header.as_bytes());
    bench.pass(1000);
    bench.append("c.csv", b"2\n");
    bench.pass(1000);
    bench.want(&format!("{header}2\n"));
}

#[test]
fn holes_and_space_reserved_in_advance_are_no_lines() {
    let mut bench = Bench::new("a.log");
    bench.start(None);
    use std::os::unix::fs::FileExt;
    let file = File::create(bench.path("a.log")).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_at(b"one\n", 0).unwrap();
    bench.pass(300);
    file.write_at(b"two\n", 4).unwrap();
    bench.pass(300);
    bench.want("one\ntwo\n");
    // A writer that keeps its offset over a truncation.
    file.set_len(0).unwrap();
    file.write_at(b"three\n", 8).unwrap();
    bench.pass(1000);
    bench.want("three\n");
    file.write_at(b"four\n", 100_000).unwrap();
    bench.pass(1000);
    bench.want("four\n");
    let skipped = bench.marks.iter().filter(|mark| mark.kind == Kind::Skipped);
    let bytes: u64 = skipped
        .flat_map(|mark| &mark.pieces)
        .map(|piece| piece.to - piece.from)
        .sum();
    assert_eq!(bytes, 8 + 100_000 - 14);
}

#[test]
fn an_overlong_line_is_cut_and_the_next_one_whole() {
    let mut bench = Bench::new("a.log");
    bench.start(None);
    bench.append("a.log", b"before\n");
    bench.append("a.log", &vec![b'x'; 3 << 20]);
    bench.pass(500);
    bench.want("before\n");
    bench.append("a.log", b"end\nafter\n");
    bench.pass(500);
    let kept = "x".repeat(crate::framing::LINE_BYTES_MAX);
    assert_eq!(
        String::from_utf8_lossy(&bench.out).replace(&kept, "<kept>"),
        "<kept>[cut]\nafter\n"
    );
    let cut: u64 = bench.marks.iter().map(|mark| mark.cut_bytes).sum();
    assert_eq!(cut, (2 << 20) + 4);
}

#[test]
fn a_trace_goes_on_in_the_next_file_and_over_reads() {
    let mut bench = Bench::new("a.log");
    bench.multiline = Multiline::Auto;
    bench.start(None);
    bench.append("a.log", b"2026-01-01T00:00:00Z ERROR a\n  at one\n");
    bench.pass(300);
    bench.append("a.log", b"  at two\n");
    bench.pass(300);
    let last = bench.marks.last().unwrap();
    assert_eq!(last.context_bytes, 38);
    bench.rename("a.log", "a.log.1");
    bench.append("a.log", b"  at three\n2026-01-01T00:00:01Z INFO b\n");
    bench.pass(1000);
    let joined = bench
        .marks
        .iter()
        .find(|mark| mark.pieces.len() == 2)
        .expect("one batch has bytes of both files");
    assert_eq!(joined.context_bytes, 47);
    assert_eq!(joined.pieces[1].to, 11);
    bench.want(
        "2026-01-01T00:00:00Z ERROR a\n  at one\n  at two\n  at three\n2026-01-01T00:00:01Z INFO b\n",
    );
}

#[test]
fn records_are_waited_for_where_they_have_to_be_whole() {
    let mut bench = Bench::new("a.log");
    bench.multiline = Multiline::Auto;
    bench.as_they_come = false;
    bench.start(None);
    bench.append("a.log", b"2026-01-01T00:00:00Z ERROR a\n");
    bench.pass(250);
    bench.want("");
    bench.append("a.log", b"  at one\n2026-01-01T00:00:01Z INFO b\n");
    bench.pass(250);
    bench.want("2026-01-01T00:00:00Z ERROR a\n  at one\n");
    bench.pass(1000);
    bench.want("2026-01-01T00:00:01Z INFO b\n");
}

#[test]
fn a_partial_line_of_a_container_is_joined_over_a_rotation() {
    let mut bench = Bench::new("0.log");
    bench.multiline = Multiline::Auto;
    bench.start(None);
    let first = "2026-01-01T00:00:00.000000000Z stdout P half\n";
    let second = "2026-01-01T00:00:00.000000001Z stdout F  of it\n";
    let third = "2026-01-01T00:00:00.000000002Z stdout F next\n";
    bench.append("0.log", first.as_bytes());
    bench.pass(100);
    bench.rename("0.log", "0.log.20260101-000000");
    bench.append("0.log", format!("{second}{third}").as_bytes());
    bench.pass(2000);
    let joined = bench
        .marks
        .iter()
        .find(|mark| mark.pieces.len() == 2)
        .unwrap();
    assert_eq!(joined.pieces[1].to as usize, second.len());
    bench.want(&format!("{first}{second}{third}"));
}

#[test]
fn refuses_what_has_no_offsets_and_says_why() {
    let mut bench = Bench::new("fifo dir");
    let made = std::process::Command::new("mkfifo")
        .arg(bench.path("fifo"))
        .status();
    assert!(made.unwrap().success());
    fs::create_dir(bench.path("dir")).unwrap();
    bench.start(None);
    bench.pass(1000);
    let notes = bench.notes();
    assert!(
        notes.contains("fifo: is a FIFO") && notes.contains("dir: is a directory"),
        "{notes}"
    );
    assert_eq!(notes.lines().count(), 2);
}

#[test]
fn a_removed_file_is_read_to_its_end() {
    let mut bench = Bench::new("a.log");
    bench.start(None);
    bench.append("a.log", b"one\n");
    bench.pass(300);
    let mut file = OpenOptions::new()
        .append(true)
        .open(bench.path("a.log"))
        .unwrap();
    fs::remove_file(bench.path("a.log")).unwrap();
    file.write_all(b"two\nlast").unwrap();
    bench.pass(10_000);
    bench.want("one\ntwo\nlast");
    assert!(bench.marks.iter().any(|mark| !mark.fates.is_empty()));
}

#[test]
fn a_link_that_leads_elsewhere_is_followed_there() {
    let mut bench = Bench::new("link");
    let link = |bench: &Bench, to: &str| {
        let path: &Path = &bench.path("link.new");
        std::os::unix::fs::symlink(bench.path(to), path).unwrap();
        fs::rename(path, bench.path("link")).unwrap();
    };
    bench.append("t0", b"zero\n");
    link(&bench, "t0");
    bench.start(None);
    let mut want = "zero\n".to_owned();
    bench.pass(300);
    for number in 1..10 {
        let name = format!("t{}", number % 3);
        bench.append(&name, format!("{number}\n").as_bytes());
        link(&bench, &name);
        want += &format!("{number}\n");
        bench.pass(1000);
    }
    bench.want(&want);
}

#[test]
fn files_that_had_the_name_between_two_looks_are_read_too() {
    for linked in [false, true] {
        let mut bench = Bench::new(if linked { "link.log" } else { "a.log" });
        if linked {
            fs::create_dir(bench.path("real")).unwrap();
            std::os::unix::fs::symlink(bench.path("real/a.log"), bench.path("link.log")).unwrap();
        }
        let name = |text: &str| match linked {
            true => format!("real/{text}"),
            false => text.to_owned(),
        };
        bench.append(&name("a.log"), b"zero\n");
        bench.start(None);
        bench.pass(300);
        for number in 1..5 {
            bench.tick();
            bench.rename(&name("a.log"), &name(&format!("a.log.{number}")));
            bench.append(
                &name("a.log"),
                format!("{number}{}\n", " ".repeat(HEAD_BYTES)).as_bytes(),
            );
        }
        bench.tick();
        bench.append(&name("a.log.9"), b"another\n");
        bench.pass(5000);
        let text = String::from_utf8(std::mem::take(&mut bench.out)).unwrap();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["zero", "1", "2", "3", "4"]);
        let sources: HashSet<SourceId> = bench
            .places
            .iter()
            .map(|place| place.birth.source)
            .collect();
        assert_eq!(sources.len(), 1);
    }
}

#[test]
fn a_rotated_file_that_is_found_late_is_read_before_the_one_that_has_the_name() {
    let mut bench = Bench::new("a.log*");
    bench.append("a.log.2", b"first\n");
    bench.start(None);
    bench.drain();
    bench.append("a.log", b"third\n");
    bench.append("a.log.1", b"second\n");
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    let older = File::options()
        .write(true)
        .open(bench.path("a.log.1"))
        .unwrap();
    older.set_modified(hour_ago).unwrap();
    bench.pass(3000);
    bench.want("first\nsecond\nthird\n");
}
