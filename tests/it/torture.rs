//! Law 3 on the real program: a writer that rotates all the time, and a `weir filter` and a `weir`
//! report that are killed (SIGKILL) at random times and started again at once. In the end the output
//! has to be what was written, byte for byte, and the report what an undisturbed one says.
//!
//! The long version is a command of its own (docs/faults.md):
//!
//! ```sh
//! WEIR_TORTURE_KILLS=1000 WEIR_TORTURE_SEED=7 \
//!     cargo test --release --test it torture:: -- --ignored --nocapture --test-threads 1
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::follow::scene::{Following, PATIENCE, Scene, counted, lines, until};
use crate::program::{balances, let_pass, setting};

/// The goal: from the start of a process until it takes in new bytes.
const RESTART_MAX: Duration = Duration::from_secs(1);

/// Files that stay beside the newest one. Old enough when they go that nobody has to read them again.
const ROTATED_MAX: usize = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rotation {
    Rename,
    /// Nothing is written between the copy and the truncation.
    Copy,
    /// Something is, now and then: it may be read or not.
    CopyWithGap,
}

#[test]
fn killed_under_rename_rotation() {
    torture(Rotation::Rename, 20, 1);
}

#[test]
fn killed_under_copytruncate() {
    torture(Rotation::Copy, 20, 2);
}

#[test]
fn killed_under_copytruncate_with_lines_in_between() {
    torture(Rotation::CopyWithGap, 20, 3);
}

#[test]
#[ignore = "takes minutes: WEIR_TORTURE_KILLS (1000), WEIR_TORTURE_SEED (1)"]
fn long_under_rename_rotation() {
    long(Rotation::Rename);
}

#[test]
#[ignore = "takes minutes: WEIR_TORTURE_KILLS (1000), WEIR_TORTURE_SEED (1)"]
fn long_under_copytruncate() {
    long(Rotation::Copy);
}

#[test]
#[ignore = "takes minutes: WEIR_TORTURE_KILLS (1000), WEIR_TORTURE_SEED (1)"]
fn long_under_copytruncate_with_lines_in_between() {
    long(Rotation::CopyWithGap);
}

fn long(rotation: Rotation) {
    let kills = usize::try_from(setting("WEIR_TORTURE_KILLS", 1000)).unwrap();
    torture(rotation, kills, setting("WEIR_TORTURE_SEED", 1));
}

/// Half of the kills hit the filter, half the report.
fn torture(rotation: Rotation, kills: usize, seed: u64) {
    let began = Instant::now();
    let scene = Scene::new();
    let mut writer = Writer::new(scene.folder(), rotation, seed);
    writer.burst(50);
    let over = AtomicBool::new(false);
    let filter = |scene: &Scene| {
        let args = [
            "filter",
            "-f",
            "--from",
            "start",
            "--state",
            "state-filter",
            "-O",
            "out",
            "app.log*",
        ];
        scene.start(&[], &args)
    };
    let report = |scene: &Scene, state: &str| {
        scene.start(
            &[],
            &[
                "-f", "-o", "json", "--from", "start", "--state", state, "app.log*",
            ],
        )
    };
    let undisturbed = report(&scene, "state-undisturbed");
    let restarts = Mutex::new(Vec::new());
    let (filter, report) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                writer.step();
            }
        });
        let filter = scope.spawn(|| {
            let out = scene.path("out");
            let grown = || fs::metadata(&out).map_or(0, |found| found.len());
            // It reads when the output grows past what it was.
            let reads = |_: &Following, before: u64| grown() > before;
            let kills = kills.div_ceil(2);
            let settled = Duration::ZERO;
            killed(
                kills,
                seed ^ 1,
                || filter(&scene),
                (settled, grown),
                reads,
                &restarts,
            )
        });
        let report = scope.spawn(|| {
            // It has no output before its end: it reads when it has read more than the checkpoint,
            // and it lives on, now and then, until it has written one.
            let state = scene.path("state-report");
            let saved = || written_bytes(&state).0;
            let reads = |running: &Following, _: u64| {
                bytes_read(running) > 2 * written_bytes(&state).1 + (64 << 10)
            };
            let start = || report(&scene, "state-report");
            // The checkpoint at the start says only what the one before said.
            let settled = Duration::from_millis(500);
            killed(
                kills / 2,
                seed ^ 2,
                start,
                (settled, saved),
                reads,
                &restarts,
            )
        });
        let ended = (filter.join(), report.join());
        // Also when one of them failed, or the writer would go on for ever.
        over.store(true, Ordering::Relaxed);
        writing.join().unwrap();
        (ended.0.unwrap(), ended.1.unwrap())
    });
    let bytes = writer.truth.len() as u64;
    until_quiet(&[&filter, &report, &undisturbed]);
    let ran = filter.terminate();
    judge_lines(&writer, &scene.read("out"), rotation, &ran.stderr);
    let disturbed = report.terminate();
    let report = disturbed.json();
    let other = undisturbed.terminate().json();
    judge_totals(&writer, &report, &other, rotation, &disturbed.stderr);

    let mut restarts = restarts.into_inner().unwrap();
    restarts.sort();
    let longest = restarts.last().copied().unwrap_or_default();
    let _ = std::io::stderr().write_fmt(format_args!(
        "torture: {rotation:?}, seed {seed}: {kills} kills, {} rotations, {} lines, {} bytes, {:.1} s; \
         reads again after {:.0} ms (median of {}), {:.0} ms at most\n",
        writer.rotations,
        writer.fates.len(),
        bytes,
        began.elapsed().as_secs_f64(),
        restarts.get(restarts.len() / 2).map_or(0.0, |half| half.as_secs_f64() * 1e3),
        restarts.len(),
        longest.as_secs_f64() * 1e3,
    ));
    assert!(longest <= RESTART_MAX, "a restart took {longest:?}");
}

/// Starts the process, kills it and so on; the last one stays alive. The time until it `reads` is
/// noted; every eighth is let live until its `progress` has grown from what it was at the given age.
fn killed(
    kills: usize,
    seed: u64,
    start: impl Fn() -> Following,
    (settled, progress): (Duration, impl Fn() -> u64),
    reads: impl Fn(&Following, u64) -> bool,
    restarts: &Mutex<Vec<Duration>>,
) -> Following {
    let mut random = Random(seed);
    for kill in 0..kills {
        let before = progress();
        let mut running = start();
        let began = Instant::now();
        // Half of them die while they still find their place again.
        let life = Duration::from_micros(match random.below(2) {
            0 => random.below(60_000),
            _ => 60_000 + random.below(240_000),
        });
        let mut waits = kill % 8 == 7;
        let mut grows_from = None;
        let mut has_read = false;
        while began.elapsed() < life || waits {
            if grows_from.is_none() && began.elapsed() >= settled {
                grows_from = Some(if settled.is_zero() {
                    before
                } else {
                    progress()
                });
            }
            waits &= !has_read || grows_from.is_none_or(|from| progress() <= from);
            assert!(running.is_alive(), "ended by itself: {}", running.stderr());
            if !has_read && reads(&running, before) {
                has_read = true;
                restarts.lock().unwrap().push(began.elapsed());
            }
            assert!(
                began.elapsed() < PATIENCE,
                "reads nothing: {}",
                running.stderr()
            );
            let_pass(Duration::from_micros(500));
        }
        running.kill();
    }
    start()
}

/// When the newest checkpoint was written, in nanoseconds, and how long all files of a state are.
fn written_bytes(state: &Path) -> (u64, u64) {
    let Ok(entries) = fs::read_dir(state) else {
        return (0, 0);
    };
    let mut newest = 0;
    let mut bytes = 0;
    for entry in entries.flatten() {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        bytes += found.len();
        let name = entry.file_name();
        if ["checkpoint-a", "checkpoint-b"].contains(&&*name.to_string_lossy()) {
            let written = found.modified().unwrap();
            let since = written.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            newest = newest.max(u64::try_from(since.as_nanos()).unwrap());
        }
    }
    (newest, bytes)
}

/// What a process has read so far, of whatever.
fn bytes_read(running: &Following) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/io", running.id())).unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    count.map_or(0, |count| count.parse().unwrap())
}

/// Waits until none of them has anything left to do: hardly any processor time for a second, and
/// hardly anything read.
fn until_quiet(running: &[&Following]) {
    let busy = || {
        let seconds: f64 = running.iter().map(|one| one.busy()).sum();
        let bytes: u64 = running.iter().map(|one| bytes_read(one)).sum();
        (seconds, bytes)
    };
    let mut since = Instant::now();
    let mut before = busy();
    until("all have caught up", || {
        let now = busy();
        if now.0 - before.0 > 0.02 || now.1 - before.1 > 64 << 10 {
            before = now;
            since = Instant::now();
        }
        since.elapsed() > Duration::from_secs(1)
    });
}

// ------------------------------------------------------------------ the writer

/// Whether a line has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sure,
    /// Written between a copy and the truncation: it is in no file any more.
    InGap,
}

/// Writes numbered lines into `app.log` and rotates it.
struct Writer {
    folder: PathBuf,
    rotation: Rotation,
    random: Random,
    file: File,
    /// Everything that was written, in order.
    truth: Vec<u8>,
    /// One a line.
    fates: Vec<Fate>,
    /// Bytes in `app.log`.
    length: usize,
    rotations: usize,
    next_rotation: Instant,
}

/// The line of a number: a time that grows, one of three levels, a number to measure.
fn line(number: usize) -> String {
    let level = ["INFO", "INFO", "INFO", "WARN", "ERROR"][number % 5];
    let what = [
        "accepted", "stored", "sent", "declined", "shipped", "billed", "closed",
    ][number % 7];
    let (second, milli) = (number / 1000, number % 1000);
    let body = format!(
        "2026-03-14T{:02}:{:02}:{:02}.{milli:03}Z {level} order {what} seq={number} latency_ms={}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        number % 977,
    );
    format!("{body} crc={:08x}\n", crc32fast::hash(body.as_bytes()))
}

impl Writer {
    fn new(folder: &Path, rotation: Rotation, seed: u64) -> Writer {
        Writer {
            folder: folder.to_owned(),
            rotation,
            random: Random(seed),
            file: open(folder),
            truth: Vec::new(),
            fates: Vec::new(),
            length: 0,
            rotations: 0,
            next_rotation: Instant::now() + Duration::from_millis(50),
        }
    }

    fn step(&mut self) {
        let count = 1 + self.random.below(90);
        self.burst(count);
        let_pass(Duration::from_micros(self.random.below(6000)));
        // Below a kibibyte a copy is not recognised, by contract; such small ones are not made.
        if Instant::now() >= self.next_rotation && self.length > 4096 {
            self.rotate();
            self.next_rotation =
                Instant::now() + Duration::from_millis(50 + self.random.below(400));
        }
    }

    /// Appends lines, mostly in one write, else cut in the middle of one.
    fn burst(&mut self, count: u64) {
        let bytes = self.lines(count, Fate::Sure);
        let cut = match self.random.below(4) {
            // What is first in a file is written in one: enough to know it by.
            0 if self.length > 0 => usize::try_from(self.random.below(bytes.len() as u64)).unwrap(),
            _ => 0,
        };
        for part in [&bytes[..cut], &bytes[cut..]] {
            self.file.write_all(part).unwrap();
            if cut > 0 {
                let_pass(Duration::from_micros(500));
            }
        }
    }

    fn lines(&mut self, count: u64, fate: Fate) -> Vec<u8> {
        // Never less than a kibibyte at the start of a file, see above.
        let count = if self.length == 0 {
            count.max(20)
        } else {
            count
        };
        let mut bytes = Vec::new();
        for _ in 0..count {
            bytes.extend(line(self.fates.len()).as_bytes());
            self.fates.push(fate);
        }
        self.truth.extend_from_slice(&bytes);
        self.length += bytes.len();
        bytes
    }

    fn rotate(&mut self) {
        let path = |number: usize| self.folder.join(format!("app.log.{number}"));
        let oldest = self.rotations.min(ROTATED_MAX);
        for number in (1..=oldest).rev() {
            fs::rename(path(number), path(number + 1)).unwrap();
        }
        let _ = fs::remove_file(path(ROTATED_MAX + 1));
        let current = self.folder.join("app.log");
        match self.rotation {
            Rotation::Rename => {
                fs::rename(&current, path(1)).unwrap();
                // The old descriptor is written once more, as by a writer that has not noticed yet.
                let count = self.random.below(30);
                self.burst(count);
                self.file = open(&self.folder);
            }
            Rotation::Copy | Rotation::CopyWithGap => {
                fs::copy(&current, path(1)).unwrap();
                if self.rotation == Rotation::CopyWithGap && self.random.below(2) == 0 {
                    let count = 1 + self.random.below(20);
                    let bytes = self.lines(count, Fate::InGap);
                    self.file.write_all(&bytes).unwrap();
                    let_pass(Duration::from_micros(self.random.below(2000)));
                }
                self.file.set_len(0).unwrap();
            }
        }
        self.length = 0;
        self.rotations += 1;
    }
}

fn open(folder: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("app.log"))
        .unwrap()
}

// ------------------------------------------------------------------ the oracle

fn judge_lines(writer: &Writer, out: &[u8], rotation: Rotation, stderr: &str) {
    if rotation == Rotation::Rename {
        if out != writer.truth {
            let same = out
                .iter()
                .zip(&writer.truth)
                .take_while(|(a, b)| a == b)
                .count();
            let shown = |bytes: &[u8]| {
                let from = same.saturating_sub(100).min(bytes.len());
                let to = (same + 200).min(bytes.len());
                String::from_utf8_lossy(&bytes[from..to]).into_owned()
            };
            panic!(
                "differs at byte {same} of {} written, {} in the output\nwritten:\n{}\noutput:\n{}\n{stderr}",
                writer.truth.len(),
                out.len(),
                shown(&writer.truth),
                shown(out),
            );
        }
        return;
    }
    let mut seen = vec![0u32; writer.fates.len()];
    let mut problems = Vec::new();
    for (place, text) in lines(out).enumerate() {
        let shown = String::from_utf8_lossy(text).trim_end().to_owned();
        let number = shown
            .split("seq=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next())
            .and_then(|digits| digits.parse::<usize>().ok())
            .filter(|number| *number < seen.len() && line(*number).as_bytes() == text);
        if let Some(number) = number {
            seen[number] += 1;
            continue;
        }
        // A line in a gap may be cut off where its file was.
        let is_part = (0..writer.fates.len())
            .any(|number| writer.fates[number] == Fate::InGap && line(number).starts_with(&*shown));
        if !is_part {
            problems.push(format!(
                "line {} of the output was never written: {shown}",
                place + 1
            ));
        }
    }
    for (number, (count, fate)) in seen.iter().zip(&writer.fates).enumerate() {
        match (count, fate) {
            (1, _) | (0, Fate::InGap) => {}
            (0, Fate::Sure) => problems.push(format!("{number} is missing")),
            (count, _) => problems.push(format!("{number} came {count} times ({fate:?})")),
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems, the first: {:#?}\n{stderr}",
        problems.len(),
        &problems[..problems.len().min(10)]
    );
}

/// What a report says that does not depend on when which file had which name.
fn totals(report: &Value) -> Value {
    let mut totals = report.clone();
    let object = totals.as_object_mut().unwrap();
    object.remove("inputs");
    for message in object["messages"].as_array_mut().unwrap() {
        let message = message.as_object_mut().unwrap();
        message.remove("source");
        message.remove("offset");
    }
    totals
}

fn judge_totals(writer: &Writer, report: &Value, other: &Value, rotation: Rotation, stderr: &str) {
    balances(report);
    balances(other);
    let lost: u64 = report["ledger"]["unreplayable_bytes"]
        .as_array()
        .map_or(0, |ranges| {
            ranges
                .iter()
                .map(|range| range["to"].as_u64().unwrap() - range["from"].as_u64().unwrap())
                .sum()
        });
    let sure = writer
        .fates
        .iter()
        .filter(|fate| **fate == Fate::Sure)
        .count() as u64;
    let all = writer.fates.len() as u64;
    let records = counted(report, "records");
    if rotation == Rotation::CopyWithGap {
        // What was in a gap counts or does not. What was read there and died with the process is named.
        let kept: usize = (0..writer.fates.len())
            .filter(|number| writer.fates[*number] == Fate::Sure)
            .map(|number| line(number).len())
            .sum();
        let bytes = counted(report, "bytes");
        // A line at the start of a gap may be there in part, with its end: one record a rotation.
        let parts = writer.rotations as u64;
        assert!(
            bytes + lost >= kept as u64
                && records <= all + parts
                && records + lost / 60 + 1 >= sure,
            "{records} records and {bytes} bytes of {sure} to {all} lines, {kept} bytes; {lost} bytes lost\n{}\n{stderr}",
            report["ledger"],
        );
        return;
    }
    assert_eq!(records, all, "records; {}\n{stderr}", report["ledger"]);
    assert_eq!(
        counted(report, "bytes"),
        writer.truth.len() as u64,
        "{}",
        report["ledger"]
    );
    assert_eq!(
        lost, 0,
        "everything could be read again: {}\n{stderr}",
        report["ledger"]
    );
    let level = |rest: usize| {
        (0..writer.fates.len())
            .filter(|number| number % 5 == rest)
            .count()
    };
    assert_eq!(report["levels"]["error"], level(4));
    assert_eq!(report["levels"]["warn"], level(3));
    let (ours, theirs) = (totals(report), totals(other));
    for (key, value) in theirs.as_object().unwrap() {
        assert_eq!(
            &ours[key], value,
            "\"{key}\" differs from the undisturbed report\n{stderr}"
        );
    }
}

// ------------------------------------------------------------------ chance

/// SplitMix64 (Steele, Lea, Flood 2014): a seed is a schedule.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }
}
