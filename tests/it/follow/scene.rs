//! What the tests of following stand on: a folder of its own, a `weir` that follows in it, sources
//! of numbered lines, and the oracle that holds an output against them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use logweir::disk::real::Real;
use logweir::store::look;
use serde_json::Value;
use tempfile::TempDir;

pub use crate::program::{PATIENCE, let_pass, until};
use crate::program::{Ran, weir};

/// Says on standard error why a test does nothing here; also seen when the test passes.
pub fn skipped(why: &str) {
    let _ = std::io::stderr().write_fmt(format_args!("skipped: {why}\n"));
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether a tool is there; says so if not.
pub fn has(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    if !found {
        skipped(&format!("{tool} is not installed"));
    }
    found
}

// ------------------------------------------------------------------ lines

/// A source of numbered lines. Every line names its source and number and carries a checksum, so
/// none can be mistaken for another or for a part of one.
#[derive(Clone)]
pub struct Source {
    number: u64,
    written: u64,
    dress: fn(&str) -> String,
}

impl Source {
    /// Lines with a time and a level.
    pub fn new(number: u64) -> Source {
        Source {
            number,
            written: 0,
            dress: |body| format!("2026-03-14T09:00:00Z INFO {body}\n"),
        }
    }

    /// Lines as a container runtime (CRI) writes them.
    pub fn container(number: u64) -> Source {
        Source {
            dress: |body| format!("2026-03-14T09:00:00.000000000Z stdout F {body}\n"),
            ..Source::new(number)
        }
    }

    /// Each record has continuation lines below its head.
    pub fn traces(number: u64) -> Source {
        Source {
            dress: |body| {
                format!(
                    "2026-03-14T09:00:00Z ERROR {body}\njava.io.IOException: {body}\n\tat a.B.c({body})\n"
                )
            },
            ..Source::new(number)
        }
    }

    fn record(&self, number: u64) -> String {
        let pad = usize::try_from(number * 7919 % 61).unwrap();
        let body = format!("src={} seq={number} pad={:x<pad$}", self.number, "");
        (self.dress)(&format!(
            "{body} crc={:08x}",
            crc32fast::hash(body.as_bytes())
        ))
    }

    /// The next `count` records.
    pub fn next(&mut self, count: u64) -> Vec<u8> {
        let from = self.written;
        self.written += count;
        (from..self.written)
            .flat_map(|number| self.record(number).into_bytes())
            .collect()
    }

    /// All records so far.
    pub fn all(&self) -> Vec<u8> {
        self.clone().rewound().next(self.written)
    }

    fn rewound(self) -> Source {
        Source { written: 0, ..self }
    }

    pub fn written(&self) -> u64 {
        self.written
    }
}

/// Holds an output against the sources: every line of each exactly once, byte-equal, in order
/// within a source, and nothing else.
#[track_caller]
pub fn exactly(output: &[u8], sources: &[&Source]) {
    let (missing, surplus) = compare(output, sources, &[]);
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {}: {:?}\nsurplus {}: {:?}",
        missing.len(),
        first(&missing),
        surplus.len(),
        first(&surplus),
    );
}

fn first(lines: &[String]) -> &[String] {
    &lines[..lines.len().min(5)]
}

/// What is missing from an output, and what is in it that should not be: repeated, out of order, cut
/// or unknown. Lines of `optional` sources may be missing, but are held to the same otherwise; a
/// part of one at its start counts as that one (its file was cut off there).
pub fn compare(
    output: &[u8],
    sources: &[&Source],
    optional: &[&Source],
) -> (Vec<String>, Vec<String>) {
    let texts: Vec<Vec<u8>> = sources
        .iter()
        .chain(optional)
        .map(|one| one.all())
        .collect();
    let mut known: HashMap<&[u8], (usize, usize)> = HashMap::new();
    for (source, text) in texts.iter().enumerate() {
        for (number, line) in lines(text).enumerate() {
            assert!(
                known.insert(line, (source, number)).is_none(),
                "a line is not unique"
            );
        }
    }
    let mut seen: Vec<Vec<bool>> = texts
        .iter()
        .map(|text| vec![false; lines(text).count()])
        .collect();
    let mut newest: Vec<Option<usize>> = vec![None; texts.len()];
    let mut surplus = Vec::new();
    for (place, line) in lines(output).enumerate() {
        let shown = || {
            let text = String::from_utf8_lossy(&line[..line.len().min(120)]);
            format!("line {}: {}", place + 1, text.trim_end())
        };
        let Some(&(source, number)) = known.get(line) else {
            let is_part = texts[sources.len()..].iter().any(|text| {
                lines(text).any(|whole| whole.starts_with(line.strip_suffix(b"\n").unwrap_or(line)))
            });
            if !is_part {
                surplus.push(format!("unknown {}", shown()));
            }
            continue;
        };
        if seen[source][number] {
            surplus.push(format!("repeated {}", shown()));
        } else if newest[source].is_some_and(|newest| newest > number) {
            surplus.push(format!("late {}", shown()));
        }
        seen[source][number] = true;
        newest[source] = newest[source].max(Some(number));
    }
    let missing = texts[..sources.len()]
        .iter()
        .zip(&seen)
        .flat_map(|(text, seen)| lines(text).zip(seen).filter(|(_, seen)| !**seen))
        .map(|(line, _)| String::from_utf8_lossy(line).trim_end().to_owned())
        .collect();
    (missing, surplus)
}

pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

// ------------------------------------------------------------------ files

/// A folder with the followed files, the output `out` and the state directory `state`.
pub struct Scene {
    folder: TempDir,
    started: AtomicUsize,
}

impl Scene {
    pub fn new() -> Scene {
        Scene {
            folder: TempDir::new().unwrap(),
            started: AtomicUsize::new(0),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn append(&self, name: &str, bytes: &[u8]) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(bytes).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    pub fn truncate(&self, name: &str) {
        File::options()
            .write(true)
            .open(self.path(name))
            .unwrap()
            .set_len(0)
            .unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_default()
    }

    pub fn length(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |found| found.len())
    }

    /// Waits until the output has all bytes of the sources.
    #[track_caller]
    pub fn until_out(&self, sources: &[&Source]) {
        let bytes: usize = sources.iter().map(|source| source.all().len()).sum();
        self.until_length("out", bytes as u64);
    }

    #[track_caller]
    pub fn until_length(&self, name: &str, bytes: u64) {
        let began = Instant::now();
        while self.length(name) < bytes {
            assert!(
                began.elapsed() < PATIENCE,
                "{name} has {} of {bytes} bytes; standard error:\n{}",
                self.length(name),
                self.newest_stderr()
            );
            let_pass(Duration::from_millis(2));
        }
    }

    /// Waits until a checkpoint in `state` holds so many records: all that were written have been read.
    #[track_caller]
    pub fn until_records(&self, records: u64) {
        let state = self.path("state");
        until("a checkpoint with all records", || {
            look::newest(&Real, &state)
                .is_ok_and(|(checkpoint, _)| checkpoint.state.ledger.records >= records)
        });
    }

    fn newest_stderr(&self) -> String {
        let number = self.started.load(Ordering::Relaxed);
        String::from_utf8_lossy(&self.read(&format!("stderr-{number}"))).into_owned()
    }

    // -------------------------------------------------------------- the program

    /// `weir filter -f` from the start of the files into `out`.
    pub fn filter(&self, args: &[&str]) -> Following {
        self.start(
            &[],
            &[&["filter", "-f", "--from", "start", "-O", "out"], args].concat(),
        )
    }

    /// The same with a state directory.
    pub fn filter_with_state(&self, args: &[&str]) -> Following {
        self.filter(&[&["--state", "state"], args].concat())
    }

    /// `weir -f -o json` with a state directory.
    pub fn report(&self, args: &[&str]) -> Following {
        let head = ["-f", "-o", "json", "--from", "start", "--state", "state"];
        self.start(&[], &[&head, args].concat())
    }

    /// Starts the program in the folder, behind a wrapper that ends in executing it.
    pub fn start(&self, wrapper: &[&str], args: &[&str]) -> Following {
        self.spawn(self.command(wrapper, args))
    }

    /// The same with a command that was changed: its output goes to `stdout-N` and `stderr-N`.
    pub fn spawn(&self, mut command: Command) -> Following {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        let stdout = self.path(&format!("stdout-{number}"));
        let stderr = self.path(&format!("stderr-{number}"));
        command
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap());
        Following {
            child: command.spawn().unwrap(),
            stdout,
            stderr,
        }
    }

    /// The command, for tests that want their own standard output.
    pub fn command(&self, wrapper: &[&str], args: &[&str]) -> Command {
        let plain = weir(args);
        let mut command = match wrapper.split_first() {
            None => plain,
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(plain.get_program()).args(args);
                for (name, value) in plain.get_envs() {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command.stdin(std::process::Stdio::null());
                command
            }
        };
        command.current_dir(self.folder());
        command
    }
}

/// A `weir` at work. Killed when dropped.
pub struct Following {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Following {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// SIGKILL, and gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and what was left behind; has to end with 0.
    #[track_caller]
    pub fn terminate(mut self) -> Ran {
        self.until_it_hears();
        if self.is_alive() {
            self.signal("TERM");
        }
        self.ended().exits(0)
    }

    /// Before it listens to signals they end it in their own way.
    #[track_caller]
    pub fn until_it_hears(&mut self) {
        until("a process that hears SIGTERM", || {
            !self.is_alive() || hears_term(self.id())
        });
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end that is bound to come.
    #[track_caller]
    pub fn status(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "does not end; standard error:\n{}",
                self.stderr()
            );
            let_pass(Duration::from_millis(2));
        }
    }

    #[track_caller]
    pub fn ended(mut self) -> Ran {
        let status = self.status();
        Ran::new(Output {
            status,
            stdout: fs::read(&self.stdout).unwrap_or_default(),
            stderr: fs::read(&self.stderr).unwrap_or_default(),
        })
    }

    /// Its standard input, if the command asked for a pipe.
    pub fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("a pipe was asked for")
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Seconds of processor time so far.
    pub fn busy(&self) -> f64 {
        busy(self.id())
    }

    /// Whether one of its descriptors leads to a path with this in it.
    pub fn holds(&self, part: &str) -> bool {
        fs::read_dir(format!("/proc/{}/fd", self.id()))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
            .any(|target| target.to_string_lossy().contains(part))
    }

    /// Descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id()))
            .unwrap()
            .count()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds of processor time of a process so far.
pub fn busy(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = text[text.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn hears_term(id: u32) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{id}/status")) else {
        return false;
    };
    let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << 14) != 0)
}

/// The most memory a process ever had, in bytes.
pub fn peak(id: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}

pub fn signal(id: u32, name: &str) {
    let sent = Command::new("kill")
        .args([format!("-{name}"), id.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "no signal could be sent");
}

/// A number of a report's ledger; 0 if it is not named.
pub fn counted(report: &Value, name: &str) -> u64 {
    report["ledger"][name].as_u64().unwrap_or_default()
}

// ------------------------------------------------------------------ file systems

/// Something mounted for the time of a test.
pub struct Mount {
    pub path: PathBuf,
}

impl Mount {
    /// A file system in memory of this size (as mount takes it); `None` and a notice where that is not
    /// allowed.
    pub fn memory(scene: &Scene, name: &str, options: &str) -> Option<Mount> {
        Mount::new(scene, name, &["-t", "tmpfs", "-o", options, "none"])
    }

    /// An ext4 in a file of the scene, `NAME.image`.
    pub fn ext4(scene: &Scene, name: &str) -> Option<Mount> {
        let image = scene.path(&format!("{name}.image"));
        if !image.exists() {
            File::create(&image).unwrap().set_len(24 << 20).unwrap();
            let made = Command::new("mkfs.ext4").arg("-q").arg(&image).output();
            if !made.is_ok_and(|made| made.status.success()) {
                skipped("no ext4 can be made here");
                return None;
            }
        }
        Mount::new(scene, name, &["-o", "loop", image.to_str().unwrap()])
    }

    /// A folder under a second name.
    pub fn bind(scene: &Scene, name: &str, folder: &Path) -> Option<Mount> {
        Mount::new(scene, name, &["--bind", folder.to_str().unwrap()])
    }

    fn new(scene: &Scene, name: &str, args: &[&str]) -> Option<Mount> {
        if !is_root() {
            skipped("mounting needs root");
            return None;
        }
        let path = scene.path(name);
        fs::create_dir_all(&path).unwrap();
        let done = Command::new("mount")
            .args(args)
            .arg(&path)
            .output()
            .unwrap();
        if done.status.success() {
            Some(Mount { path })
        } else {
            skipped(&format!(
                "cannot mount: {}",
                String::from_utf8_lossy(&done.stderr).trim_end()
            ));
            None
        }
    }

    pub fn again(&self, options: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.path)
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
