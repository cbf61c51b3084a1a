//! Files, standard input and commands in one run: every line of each goes out once, in the order of its own
//! source, over reloads, kills and the ends of streams.

use std::fs;
use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{configured, start};
use crate::follow::scene::{Following, Scene, Source, compare, exactly, until};
use crate::notify::server::{Server, status};
use crate::program::{let_pass, setting};

const SINK: &str =
    "[[sink]]\ntype = \"file\"\npath = \"out\"\n[run]\nmultiline = \"off\"\ninterval = \"1h\"\n";
const FILES: &str = "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n";
const STDIN: &str = "[[source]]\ntype = \"stdin\"\n";
const SUMMARY: &str = "[[sink]]\ntype = \"stdout\"\nwhat = \"summary\"\n";

/// A source that runs a shell script.
fn command(script: &str) -> String {
    format!("[[source]]\ntype = \"command\"\nargv = [\"sh\", \"-c\", '{script}']\n")
}

/// A run whose standard input is a pipe of ours.
fn piped(scene: &Scene, args: &[&str]) -> (Following, ChildStdin) {
    let mut command = scene.command(&[], &[&["run", "-c", "weir.toml"], args].concat());
    command.stdin(Stdio::piped());
    let mut running = scene.spawn(command);
    let stdin = running.stdin();
    (running, stdin)
}

/// Names of the report's inputs with their records, by name.
fn records_by_input(report: &Value) -> Vec<(&str, u64)> {
    let rows = report["inputs"].as_array().unwrap().iter();
    let mut inputs: Vec<(&str, u64)> = rows
        .map(|input| {
            let name = input["name"].as_str().unwrap();
            (name, input["records"].as_u64().unwrap())
        })
        .collect();
    inputs.sort_unstable();
    inputs
}

/// The lines that programs wrote, without the records about their ends, of which there are so many.
fn without_ends(out: &[u8], ends: usize) -> String {
    let text = std::str::from_utf8(out).unwrap();
    let is_end =
        |line: &&str| line.starts_with("msg=\"sh") && line.contains(" ended with exit code ");
    let (of_ends, written): (Vec<&str>, Vec<&str>) = text.split_inclusive('\n').partition(is_end);
    assert_eq!(of_ends.len(), ends, "{of_ends:?}");
    written.concat()
}

#[test]
fn files_standard_input_and_commands_go_out_together() {
    let [mut file, mut input, mut one, mut two] = [0, 1, 2, 3].map(Source::new);
    let scene = configured(&format!(
        "{FILES}{STDIN}{}{}{SINK}{SUMMARY}",
        command("cat one; echo to stderr >&2; exit 3"),
        command("cat two; sleep 1000"),
    ));
    fs::write(scene.path("one"), one.next(20_000)).unwrap();
    fs::write(scene.path("two"), two.next(20_000)).unwrap();
    let (running, mut stdin) = piped(&scene, &[]);
    for _ in 0..50 {
        scene.append("app.log", &file.next(400));
        stdin.write_all(&input.next(400)).unwrap();
    }
    drop(stdin);
    until("standard input's end", || {
        running.stderr().contains("standard input: ended\n")
    });
    until("a command's end", || {
        running.stderr().contains("sh: ended with exit code 3\n")
    });
    let stderr = b"to stderr\n";
    let all = [&file, &input, &one, &two];
    let bytes: usize = all.iter().map(|source| source.all().len()).sum();
    until("all lines", || {
        scene.read("out").len() > bytes + stderr.len()
    });
    // It goes on: there is a file.
    scene.append("app.log", &file.next(10));
    until("a line after the ends", || {
        scene
            .read("out")
            .ends_with(&file.all()[file.all().len() - 20..])
    });
    let ran = running.terminate();
    let out = scene.read("out");
    let text = without_ends(&out, 1);
    let (of_stderr, of_sources): (Vec<&str>, Vec<&str>) = text
        .split_inclusive('\n')
        .partition(|line| *line == "to stderr\n");
    assert_eq!(of_stderr.len(), 1);
    exactly(of_sources.concat().as_bytes(), &[&file, &input, &one, &two]);
    let report = ran.last_json();
    assert_eq!(
        records_by_input(&report),
        [
            ("-", 20_000),
            ("app.log", 20_010),
            ("sh", 20_002),
            ("sh 2", 20_000)
        ]
    );
    assert_eq!(report["ledger"]["unaccounted"], 0);
}

#[test]
fn streams_alone_end_the_run_with_the_last_of_them() {
    let [mut input, mut one] = [1, 2].map(Source::new);
    for state in [&["--state", "state"][..], &[]] {
        let scene = configured(&format!(
            "{STDIN}{}{SINK}{SUMMARY}",
            command("sleep 0.2; cat one")
        ));
        fs::write(scene.path("one"), one.next(5000)).unwrap();
        let (running, mut stdin) = piped(&scene, state);
        stdin.write_all(&input.next(5000)).unwrap();
        drop(stdin);
        let ran = running.ended().exits(0);
        assert_eq!(ran.stderr.matches("ended").count(), 2, "{}", ran.stderr);
        let report = ran.last_json();
        assert_eq!(
            report["ledger"]["records"], 10_001,
            "the whole report is last"
        );
        let lines = input.all().len() + one.all().len();
        let text = without_ends(&scene.read("out"), 1);
        assert_eq!(text.len(), lines);
        exactly(text.as_bytes(), &[&input, &one]);
        [input, one] = [1, 2].map(Source::new);
    }
}

#[test]
fn records_of_several_lines_stay_whole_in_every_stream() {
    let [mut input, mut one] = [1, 2].map(Source::traces);
    let scene = configured(&format!(
        "{STDIN}{}{}{SUMMARY}",
        command("cat one"),
        SINK.replace("multiline = \"off\"\n", "")
    ));
    // Many more than one read of each, so that the cuts fall anywhere.
    fs::write(scene.path("one"), one.next(20_000)).unwrap();
    let (running, mut stdin) = piped(&scene, &[]);
    stdin.write_all(&input.next(20_000)).unwrap();
    drop(stdin);
    let ran = running.ended().exits(0);
    let report = ran.last_json();
    assert_eq!(report["ledger"]["records"], 40_001);
    assert_eq!(report["ledger"]["lines"], 120_001);
    let text = without_ends(&scene.read("out"), 1);
    exactly(text.as_bytes(), &[&input, &one]);
}

#[test]
fn a_program_that_does_not_want_to_end_is_killed() {
    let script = "trap \"\" TERM; echo ready; while :; do sleep 0.05; done";
    let scene = configured(&format!("{FILES}{}{SINK}", command(script)));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("it runs", || scene.read("out") == b"ready\n");
    let began = std::time::Instant::now();
    running.terminate();
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(scene.read("out"), b"ready\n");
}

#[test]
fn a_busy_stream_and_a_busy_file_leave_each_other_room() {
    let scene = configured(&format!("{FILES}{}{SINK}", command("yes from the command")));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("the command's lines", || scene.length("out") > 1 << 20);
    let mut file = Source::new(0);
    scene.append("app.log", &file.next(3));
    let last = file.all();
    let last = String::from_utf8(last).unwrap();
    let last = last.lines().last().unwrap();
    until("the file's lines", || {
        let out = scene.read("out");
        memchr::memmem::rfind(&out, last.as_bytes()).is_some()
    });
    running.terminate();
}

#[test]
fn a_program_is_asked_to_end_and_what_it_then_writes_is_read() {
    let script = "trap \"echo last words; exit 0\" TERM; echo ready; while :; do sleep 0.05; done";
    let scene = configured(&format!("{FILES}{}{SINK}", command(script)));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("it runs", || scene.read("out") == b"ready\n");
    running.terminate();
    assert_eq!(scene.read("out"), b"ready\nlast words\n");
}

/// What a program inherits it keeps open: whoever writes to our standard input would not learn that we are
/// gone.
#[test]
fn programs_inherit_nothing_but_their_own_streams() {
    let scene = configured(&format!(
        "{STDIN}{}{}{SINK}[[sink]]\ntype = \"stdout\"\n",
        command("sleep 0.1"),
        command("ls /proc/self/fd"),
    ));
    let (running, stdin) = piped(&scene, &["--state", "state"]);
    drop(stdin);
    running.ended().exits(0);
    // What this test itself passes on, it passes on to both.
    let mut plain = std::process::Command::new("sh");
    plain.args(["-c", "ls /proc/self/fd"]).stdin(Stdio::null());
    let plain = plain.output().unwrap().stdout;
    assert_eq!(
        without_ends(&scene.read("out"), 2),
        String::from_utf8(plain).unwrap()
    );
}

#[test]
fn a_program_that_cannot_be_started_ends_the_run_at_its_start() {
    let scene = configured(&format!(
        "{FILES}[[source]]\ntype = \"command\"\nargv = [\"no-such-program-anywhere\"]\n{SINK}"
    ));
    scene
        .start(&[], &["run", "-c", "weir.toml"])
        .ended()
        .exits(127)
        .says("no-such-program-anywhere");
}

#[test]
fn names_and_numbers_stay_over_a_restart() {
    let text = format!("{FILES}{STDIN}{SINK}{SUMMARY}")
        .replace("type = \"stdin\"", "type = \"stdin\"\nname = \"pipe\"");
    let scene = configured(&text);
    let [mut file, mut input] = [0, 1].map(Source::new);
    for _ in 0..3 {
        let (running, mut stdin) = piped(&scene, &["--state", "state"]);
        scene.append("app.log", &file.next(100));
        stdin.write_all(&input.next(50)).unwrap();
        let bytes = file.all().len() + input.all().len();
        scene.until_length("out", bytes as u64);
        running.terminate();
    }
    exactly(&scene.read("out"), &[&file, &input]);
    // A run over the streams alone goes on with the same state, and its report has all inputs.
    fs::write(scene.path("weir.toml"), text.replace(FILES, "")).unwrap();
    let (running, stdin) = piped(&scene, &["--state", "state"]);
    drop(stdin);
    let ran = running.ended().exits(0);
    let report = ran.last_json();
    assert_eq!(records_by_input(&report), [("app.log", 300), ("pipe", 150)]);
}

/// Reloads while a file, standard input and a command bring lines: none is lost, doubled or out of order.
fn reloaded(times: usize) {
    let script = "while read line; do echo \"$line\"; done < fifo";
    let base = format!("{FILES}{STDIN}{}{SINK}", command(script));
    let scene = configured(&base);
    let made = std::process::Command::new("mkfifo")
        .arg(scene.path("fifo"))
        .status();
    assert!(made.unwrap().success());
    let (running, mut stdin) = piped(&scene, &["--state", "state"]);
    let mut fifo = fs::File::options()
        .write(true)
        .open(scene.path("fifo"))
        .unwrap();
    let [mut file, mut input, mut one] = [0, 1, 2].map(Source::new);
    for number in 0..times {
        let text = match number % 3 {
            0 => format!("{base}[[rule]]\nname = \"r\"\nwhen = \"count() > 1000000\"\n"),
            1 => base.clone(),
            _ => format!("{base}{}", command("true")),
        };
        fs::write(scene.path("new.toml"), text).unwrap();
        scene.rename("new.toml", "weir.toml");
        running.signal("HUP");
        for _ in 0..20 {
            scene.append("app.log", &file.next(3));
            stdin.write_all(&input.next(3)).unwrap();
            fifo.write_all(&one.next(3)).unwrap();
        }
        until("an answer to SIGHUP", || {
            let said = running.stderr();
            let used = said.matches("the configuration is read again").count();
            let refused = said.matches("reads other streams").count();
            used + refused > number
        });
    }
    let all = [&file, &input, &one];
    let bytes: usize = all.iter().map(|source| source.all().len()).sum();
    scene.until_length("out", bytes as u64);
    let refused = running.stderr().matches("reads other streams").count();
    assert_eq!(refused, times / 3);
    running.terminate();
    exactly(&scene.read("out"), &all);
}

#[test]
fn streams_live_on_over_reloads() {
    reloaded(12);
}

#[test]
#[ignore = "takes minutes: WEIR_RELOADS (300)"]
fn long_streams_live_on_over_reloads() {
    reloaded(setting("WEIR_RELOADS", 300) as usize);
}

#[test]
fn a_kill_leaves_files_exact_and_doubles_nothing_of_streams() {
    let scene = configured(&format!("{FILES}{STDIN}{SINK}"));
    let [mut file, mut input] = [0, 1].map(Source::new);
    for round in 0..6u64 {
        let (running, mut stdin) = piped(&scene, &["--state", "state"]);
        for _ in 0..(10 + round * 7) {
            scene.append("app.log", &file.next(100));
            stdin.write_all(&input.next(100)).unwrap();
            let_pass(Duration::from_millis(3));
        }
        until("it writes", || scene.length("out") > 0);
        running.kill();
    }
    let running = start(&scene);
    let last = file.next(1);
    scene.append("app.log", &last);
    until("all of the file", || scene.read("out").ends_with(&last));
    running.terminate();
    let (missing, surplus) = compare(&scene.read("out"), &[&file], &[&input]);
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{missing:?} {surplus:?}"
    );
}

const ALERTS: &str = "[[notifier]]\nname = \"file\"\ntype = \"file\"\npath = \"alerts\"\n";

fn alerts(scene: &Scene) -> String {
    String::from_utf8(scene.read("alerts")).unwrap()
}

#[test]
fn a_polled_command_runs_each_time_its_span_is_over() {
    let scene = configured(&format!(
        "[[source]]\ntype = \"command\"\nname = \"disks\"\nargv = [\"sh\", \"-c\", \"echo run >> runs; printf 'a,b\\\\n1,2\\\\n'\"]\nevery = \"200ms\"\n{SINK}{SUMMARY}"
    ));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("three runs", || scene.read("runs").len() >= 3 * 4);
    let ran = running.terminate();
    let out = String::from_utf8(scene.read("out")).unwrap();
    let ends = out.matches("msg=\"disks ended with exit code 0").count();
    assert!(ends >= 2, "{out}");
    let report = ran.last_json();
    assert_eq!(report["ledger"]["unaccounted"], 0);
    assert_eq!(records_by_input(&report)[0].0, "disks");
}

#[test]
fn a_run_that_takes_longer_than_its_span_is_not_started_twice() {
    let scene = configured(&format!(
        "[[source]]\ntype = \"command\"\nname = \"slow\"\nargv = [\"sh\", \"-c\", \"echo x >> runs; sleep 30\"]\nevery = \"100ms\"\n{SINK}"
    ));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("it is said", || {
        running
            .stderr()
            .contains("slow: still runs when its next run is due")
    });
    running.terminate();
    assert_eq!(scene.read("runs"), b"x\n");
    // Ended with the run: that is no event of the command.
    assert_eq!(scene.read("out"), b"");
}

#[test]
fn a_command_that_fails_is_started_again_and_a_dead_one_is_told() {
    let scene = configured(&format!(
        "{FILES}[[source]]\ntype = \"command\"\nname = \"flaky\"\nargv = [\"sh\", \"-c\", \"echo up >> runs; exit 1\"]\nrestart = \"on-failure\"\n\
         [[source]]\ntype = \"command\"\nname = \"journal\"\nargv = [\"sh\", \"-c\", \"exit 4\"]\n\
         [[rule]]\nname = \"dead\"\nwhen = \"not up(journal)\"\nnotify = [\"file\"]\n{ALERTS}"
    ));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("a second start", || scene.read("runs").len() >= 6);
    until("the dead one is told", || {
        alerts(&scene).contains("\"dead\"")
    });
    let stderr = running.stderr();
    assert!(
        stderr.contains("flaky: ended; it is started again in 1s"),
        "{stderr}"
    );
    assert!(
        stderr.contains("journal: ended with exit code 4"),
        "{stderr}"
    );
    running.terminate();
}

#[test]
fn keys_of_commands_that_cannot_be_are_named() {
    let scene = configured(
        "[[source]]\ntype = \"command\"\nname = \"journal\"\nargv = [\"true\"]\nevery = \"1m\"\nrestart = \"always\"\n\
         [[rule]]\nname = \"dead\"\nwhen = \"not up(jurnal)\"\n",
    );
    let ran = scene
        .start(&[], &["check", "-c", "weir.toml"])
        .ended()
        .exits(78);
    let said = format!("{}{}", ran.stderr, ran.text());
    assert!(
        said.contains("weir.toml:6:") && said.contains("starts the command again by itself"),
        "{said}"
    );
    assert!(said.contains("did you mean \"journal\"?"), "{said}");
}

#[test]
fn a_healthy_run_pings_its_heartbeat_also_while_nothing_comes() {
    let server = Server::start(|_, _| status(200));
    let url = server.url("/ping");
    let scene = configured(&format!(
        "{FILES}[[heartbeat]]\nurl = \"{url}\"\nevery = \"100ms\"\n"
    ));
    let running = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("three pings", || server.requests().len() >= 3);
    running.terminate();
}
