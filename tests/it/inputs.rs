//! What stands behind a name that is read: FIFOs, devices, sockets, compressed streams; and what the flags
//! take.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::follow::scene::{PATIENCE, Scene, has, signal, until};
use crate::program::{Ran, let_pass, run_in, weir};

const LINES: &str = "2026-03-14T09:00:00Z ERROR one\n2026-03-14T09:00:01Z ERROR two\n";

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// What is left behind by a program that has to end by itself.
#[track_caller]
fn ended(mut child: Child) -> Ran {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("does not end by itself");
        }
        let_pass(std::time::Duration::from_millis(2));
    }
    Ran::new(child.wait_with_output().unwrap())
}

fn spawned(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_glob_takes_files_only_and_names_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.log"), LINES).unwrap();
    fifo(&at("fifo.log"));
    symlink("/dev/zero", at("zero.log")).unwrap();
    let _listener = UnixListener::bind(at("socket.log")).unwrap();
    for arguments in [&["filter", "*.log"][..], &["-o", "json", "*.log"]] {
        let child = spawned(weir(arguments).current_dir(folder.path()));
        let ran = ended(child).exits(74);
        for name in ["fifo.log", "zero.log", "socket.log"] {
            assert_eq!(ran.stderr.matches(name).count(), 1, "{}", ran.stderr);
        }
        match arguments[0] {
            "filter" => assert_eq!(ran.text(), LINES),
            _ => assert_eq!(ran.json()["ledger"]["records"], 2),
        }
    }
}

#[test]
fn a_device_without_an_end_is_refused_and_an_empty_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), LINES).unwrap();
    symlink("/dev/zero", folder.path().join("zero.log")).unwrap();
    let _listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    for (name, want) in [
        ("/dev/zero", "device"),
        ("zero.log", "device"),
        ("/dev/urandom", "device"),
        ("socket", "socket"),
    ] {
        let child = spawned(weir(["filter", name, "a.log"]).current_dir(folder.path()));
        let ran = ended(child).exits(74).says(name).says(want);
        assert_eq!(ran.text(), LINES, "{name}");
    }
    let ran = run_in(folder.path(), ["filter", "/dev/null", "a.log"]).exits(0);
    assert_eq!(ran.text(), LINES);
    for (command, want) in [
        (&["merge", "/dev/zero"][..], "device"),
        (&["baseline", "diff", "/dev/zero", "a.log"], "device"),
    ] {
        let child = spawned(weir(command).current_dir(folder.path()));
        let ran = ended(child);
        assert!(
            ran.code == 74 && ran.stderr.contains(want),
            "{command:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn one_signal_ends_the_wait_for_the_writer_of_a_fifo() {
    let scene = Scene::new();
    fifo(&scene.path("f.log"));
    scene.append("a.log", LINES.as_bytes());
    let following = scene.start(&[], &["filter", "f.log", "a.log"]);
    // It has opened the FIFO, or waits in the kernel until it can.
    let process = format!("/proc/{}", following.id());
    let entries = |folder: &str| {
        fs::read_dir(format!("{process}/{folder}"))
            .into_iter()
            .flatten()
            .flatten()
    };
    until("the FIFO", || {
        let is_open =
            |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("f.log"));
        let waits = |entry: fs::DirEntry| {
            fs::read_to_string(entry.path().join("wchan")).is_ok_and(|at| at.contains("partner"))
        };
        entries("fd").any(is_open) || entries("task").any(waits)
    });
    following.terminate();
    // The same within a compressed stream that its writer leaves open.
    let started = scene.start(&[], &["filter", "f.log"]);
    let mut writer = File::options()
        .write(true)
        .open(scene.path("f.log"))
        .unwrap();
    writer.write_all(&gzip(LINES)[..12]).unwrap();
    started.terminate();
}

#[test]
fn one_signal_ends_the_wait_for_the_reader_of_a_fifo() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), LINES).unwrap();
    fifo(&folder.path().join("out"));
    let command = ["filter", "-O", "out", "a.log"];
    let mut child = spawned(weir(command).current_dir(folder.path()));
    // The kernel says where a process waits that opens a FIFO.
    let place = format!("/proc/{}/wchan", child.id());
    let waits = || fs::read_to_string(&place).is_ok_and(|at| at.contains("partner"));
    until("the wait", waits);
    signal(child.id(), "TERM");
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("does not end");
        }
        let_pass(std::time::Duration::from_millis(2));
    }
    // With a reader it is written.
    let child = spawned(weir(command).current_dir(folder.path()));
    assert_eq!(
        fs::read_to_string(folder.path().join("out")).unwrap(),
        LINES
    );
    ended(child).exits(0);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_fifo_that_is_named_is_read_to_its_end() {
    for bytes in [
        LINES.as_bytes().to_vec(),
        gzip(LINES),
        zstd::encode_all(LINES.as_bytes(), 1).unwrap(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.log");
        fifo(&path);
        let child = spawned(weir(["filter", "f.log"]).current_dir(folder.path()));
        fs::write(&path, bytes).unwrap();
        assert_eq!(ended(child).exits(0).text(), LINES);
    }
    if has("bash") {
        let script = format!(
            "'{}' filter <(printf 'ERROR a\\n') <(sleep 0.1; printf 'ERROR b\\n')",
            env!("CARGO_BIN_EXE_weir")
        );
        let child = spawned(Command::new("bash").args(["-c", &script]));
        assert_eq!(ended(child).exits(0).text(), "ERROR a\nERROR b\n");
    }
    let mut child = spawned(weir(["filter", "/dev/stdin"]).stdin(Stdio::piped()));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(LINES.as_bytes())
        .unwrap();
    assert_eq!(ended(child).exits(0).text(), LINES);
}

#[test]
fn what_stands_behind_compressed_data_is_padding_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let padded = [gzip(LINES), vec![0; 1000], gzip("ERROR c\n"), vec![0; 7]].concat();
    fs::write(folder.path().join("a.gz"), padded).unwrap();
    let ran = run_in(folder.path(), ["filter", "a.gz"]).exits(0);
    assert_eq!(
        (ran.text(), ran.stderr),
        (format!("{LINES}ERROR c\n"), String::new())
    );
    fs::write(
        folder.path().join("b.gz"),
        [&gzip(LINES)[..], b"garbage"].concat(),
    )
    .unwrap();
    let ran = run_in(folder.path(), ["filter", "b.gz"])
        .exits(74)
        .says("b.gz")
        .says("7 bytes");
    assert_eq!(ran.text(), LINES);
    // The judge is the tool itself.
    if has("gzip") {
        let unpacked = Command::new("gzip")
            .arg("-dc")
            .arg(folder.path().join("b.gz"))
            .output();
        assert_eq!(unpacked.unwrap().stdout, LINES.as_bytes());
    }
}

#[test]
fn a_number_of_any_size_is_taken_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.log"), LINES).unwrap();
    let huge = u64::MAX.to_string();
    let half = (1u64 << 63).to_string();
    for number in [
        "0",
        "1",
        "-1",
        &half,
        &huge,
        "99999999999999999999999",
        "1e300",
        "",
    ] {
        for flags in [
            &["filter", "-A"][..],
            &["filter", "-B"],
            &["filter", "-C"],
            &["filter", "-n"],
            &["filter", "-t"],
            &["filter", "--dedup", "exact", "--every"],
            &["--top"],
            &["-o", "json", "--top"],
            &["--max-mem"],
            &["--grace"],
            &["--since"],
            &["--until"],
        ] {
            for unit in ["", "s", "d", "GiB"] {
                let (last, before) = flags.split_last().unwrap();
                // `-A=1` and `--top=1` take a number below zero as a value.
                let value = format!("{last}={number}{unit}");
                let arguments = [before, &[&value, "a.log"]].concat();
                let ran = run_in(folder.path(), &arguments);
                assert!([0, 2].contains(&ran.code), "{arguments:?}: {}", ran.stderr);
            }
        }
    }
    let both = ["filter", "-m", "two", "-A", &huge, "-B", &huge, "a.log"];
    assert_eq!(run_in(folder.path(), both).exits(0).text(), LINES);
}

#[test]
fn a_command_ends_with_the_reader_of_its_output() {
    let scene = Scene::new();
    let sink = "[[sink]]\ntype = \"file\"\npath = \"out\"\n";
    fs::write(scene.path("file.toml"), sink).unwrap();
    let source = "[[source]]\ntype = \"command\"\nargv = [\"yes\"]\n";
    let stdout = format!("{source}[[sink]]\ntype = \"stdout\"\n");
    fs::write(scene.path("source.toml"), stdout).unwrap();
    for arguments in [
        &["run", "-q", "--", "yes"][..],
        &["run", "-q", "-c", "file.toml", "--", "yes"],
        &["run", "-q", "--", "sh", "-c", "while :; do echo y; done"],
        &["run", "-q", "-c", "source.toml"],
    ] {
        let mut child = spawned(weir(arguments).current_dir(scene.folder()));
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "y\n", "{arguments:?}");
        drop(stdout);
        let mut stderr = child.stderr.take().unwrap();
        let ran = ended(child);
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!((ran.code, &*said), (0, ""), "{arguments:?}");
    }
    assert!(scene.length("out") > 0);
}

/// Runs a shell command on a terminal of its own and gives what that got; `None` without script(1).
fn on_terminal(folder: &Path, command: &str) -> Option<String> {
    if !has("script") {
        return None;
    }
    let output = Command::new("script")
        .args(["-qec", command, "/dev/null"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    // A terminal ends lines with CR LF itself.
    Some(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}

#[test]
fn names_and_values_reach_a_terminal_as_escapes() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "x\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}[31m\u{9b}1m\u{202e}\u{7f}";
    fs::write(folder.path().join(format!("{hostile}.log")), LINES).unwrap();
    fs::write(folder.path().join("plain.log"), LINES).unwrap();
    fifo(&folder.path().join(format!("{hostile}.fifo")));
    fs::write(
        folder.path().join("message.log"),
        format!("2026-03-14T09:00:00Z ERROR {hostile}\n"),
    )
    .unwrap();
    fs::write(
        folder.path().join("weir.toml"),
        "[run]\nstate_dir = \"state\"\n[[source]]\ntype = \"file\"\ninclude = [\"message.log\"]\n\
         [[state]]\nname = \"s\"\nkey = [\"message\"]\nvalue = \"message\"\n[[sink]]\ntype = \"file\"\npath = \"out\"\n",
    )
    .unwrap();
    let scene = weir(["run", "-q", "-c", "weir.toml"])
        .current_dir(folder.path())
        .spawn();
    let mut scene = scene.unwrap();
    until("the record", || {
        fs::metadata(folder.path().join("out")).is_ok_and(|it| it.len() > 0)
    });
    signal(scene.id(), "TERM");
    assert!(scene.wait().unwrap().success());
    let weir = env!("CARGO_BIN_EXE_weir");
    for command in [
        format!("'{weir}' filter -q '*.log' '*.fifo'; true"),
        format!("'{weir}' filter -c '*.log'"),
        format!("'{weir}' '*.log'"),
        format!("'{weir}' filter -O '{hostile}.log' '{hostile}.log'"),
        format!("'{weir}' 'none{hostile}'"),
        format!("'{weir}' --level '{hostile}' plain.log"),
        format!("'{weir}' '--{hostile}' plain.log"),
        format!("WEIR_LEVEL='{hostile}' '{weir}' plain.log"),
        format!("WEIR_TOP='{hostile}' '{weir}' --help"),
        format!("'{weir}' check -c 'none{hostile}'"),
        format!("'{weir}' check -o json -c 'none{hostile}'"),
        format!("'{weir}' explain -o json 'ERROR {hostile}'"),
        format!("'{weir}' explain 'ERROR {hostile}'"),
        format!("'{weir}' state show -o json state"),
        format!("'{weir}' state show state"),
        format!("'{weir}' filter -o json message.log"),
        format!("'{weir}' config show -c weir.toml"),
        format!("'{weir}' merge 'none{hostile}'"),
    ] {
        let Some(screen) = on_terminal(folder.path(), &command) else {
            return;
        };
        assert!(!screen.is_empty(), "{command} says nothing");
        for character in ['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\u{7f}'] {
            assert!(
                !screen.contains(character),
                "{command:?}: {character:?} in {screen:?}"
            );
        }
        if command.contains("json") && !command.contains("check") {
            let value: serde_json::Value = serde_json::from_str(screen.trim()).unwrap();
            let decoded = value.to_string();
            assert!(decoded.contains("\u{202e}"), "{command:?}: {decoded}");
        }
    }
}
