//! Panics, planted at every stage: only the record that causes one is affected, it is named, and no
//! other line is lost, also with a kill behind it (law 3). Needs a debug build or the feature
//! `failpoints`.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Output;

use serde_json::Value;

use crate::follow::scene::{Following, Scene, until};
use crate::notify::endpoint::get;
use crate::notify::peers::free_port;
use crate::program::weir;

/// What makes a stage panic.
const PLANTED: &str = "planted-here";

/// Lines of an application, every one of its own, and two culprits among them.
fn lines(count: usize) -> String {
    let line = |number: usize| {
        let message = match number {
            _ if number == count / 3 || number == count / 3 + 7 => PLANTED,
            _ => "request served",
        };
        format!("2026-03-14T09:00:00Z ERROR {message} took_ms={number} id={number}\n")
    };
    (0..count).map(line).collect()
}

fn configuration(address: SocketAddr, dedup: bool) -> String {
    let dedup = if dedup {
        "[dedup]\nmode = \"exact\"\n"
    } else {
        ""
    };
    format!(
        "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n{dedup}\
         [[sink]]\ntype = \"file\"\npath = \"out\"\n\
         [[sink]]\ntype = \"prometheus\"\nlisten = \"{address}\"\n\
         [[metric]]\nfield = \"took_ms\"\n\
         [[rule]]\nname = \"many\"\nwhen = \"count() > 1000000\"\nwindow = \"5m\"\nnotify = [\"file\"]\n\
         [[notifier]]\nname = \"file\"\ntype = \"file\"\npath = \"alerts\"\n"
    )
}

struct Planted {
    scene: Scene,
    address: SocketAddr,
}

impl Planted {
    fn new(dedup: bool) -> Planted {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let scene = Scene::new();
        fs::write(scene.path("weir.toml"), configuration(address, dedup)).unwrap();
        Planted { scene, address }
    }

    /// The endpoint counts the culprits, all lines as records, and nothing as lost.
    #[track_caller]
    fn counts(&self, culprits: &BTreeSet<String>, input: &str, point: &str) {
        let (_, page) = self.page("/metrics");
        for row in [
            format!("weir_faulted_records_total {}\n", culprits.len()),
            "weir_unaccounted_records_total 0\n".to_owned(),
            format!(
                "weir_records_total{{verdict=\"kept\"}} {}\n",
                input.lines().count()
            ),
        ] {
            assert!(page.contains(&row), "{point}: no {row}{page}");
        }
    }

    fn start(&self, point: Option<&str>) -> Following {
        let args = ["run", "-c", "weir.toml", "--state", "state"];
        let mut command = self.scene.command(&[], &args);
        let setting = match point {
            None => String::new(),
            Some("panic-committer") => "panic-committer:checkpoint".to_owned(),
            Some(point) if point.contains(':') => point.to_owned(),
            Some(point) => format!("{point}:{PLANTED}"),
        };
        command.env("WEIR_FAILPOINT", setting);
        self.scene.spawn(command)
    }

    fn page(&self, path: &str) -> (u16, String) {
        let (status, text) = get(self.address, path, "localhost");
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status, body.to_owned())
    }

    /// The dead letters: what was put away, by its text.
    fn put_away(&self) -> BTreeSet<String> {
        let text = self.scene.read("state/faulted.ndjson");
        let lines = serde_json::Deserializer::from_slice(&text).into_iter::<Value>();
        lines
            .map(|line| line.unwrap()["record"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// SIGTERM to a run that works; its exit code and standard error.
#[track_caller]
fn terminated(mut running: Following) -> (Option<i32>, String) {
    running.until_it_hears();
    running.signal("TERM");
    let status = running.status();
    (status.code(), running.stderr())
}

#[track_caller]
fn same_lines(out: &[u8], input: &str) {
    let out = String::from_utf8_lossy(out);
    if out != input {
        let (out, input): (Vec<_>, Vec<_>) = (out.lines().collect(), input.lines().collect());
        let place = out
            .iter()
            .zip(&input)
            .take_while(|(out, input)| out == input);
        let place = place.count();
        panic!(
            "{} lines of {}; differs at line {place}: {:?} instead of {:?}",
            out.len(),
            input.len(),
            out.get(place),
            input.get(place)
        );
    }
}

/// With `killed`, SIGKILL comes when all lines are out, and more are read after the restart.
fn only_the_planted_records_are_affected(point: &str, killed: bool) {
    let planted = Planted::new(point == "panic-dedup");
    let scene = &planted.scene;
    let mut input = lines(12_000);
    scene.append("app.log", input.as_bytes());
    let mut running = planted.start(Some(point));
    scene.until_length("out", input.len() as u64);
    let mut said = String::new();
    if killed {
        said.push_str(&running.stderr());
        running.kill();
        let more = lines(3_000).replace("id=", "more=");
        scene.append("app.log", more.as_bytes());
        input.push_str(&more);
        running = planted.start(Some(point));
        scene.until_length("out", input.len() as u64);
    }
    until("/health tells", || {
        planted.page("/health").1.starts_with("degraded: ")
    });
    let (status, health) = planted.page("/health");
    assert_eq!(status, 200, "{point}: {health}");
    let culprits: BTreeSet<String> = input
        .split_inclusive('\n')
        .filter(|line| line.contains(PLANTED))
        .map(str::to_owned)
        .collect();
    planted.counts(&culprits, &input, point);
    let (code, stderr) = terminated(running);
    said.push_str(&stderr);
    assert_eq!(code, Some(0), "{point}: {said}");
    same_lines(&scene.read("out"), &input);
    assert_eq!(planted.put_away(), culprits, "{point}");
    // Each is named by its offset, with the panic's own text and place, in one line.
    for culprit in &culprits {
        let offset = input.find(culprit.as_str()).unwrap();
        let offset = format!("offset {offset}: weir panicked at src/failpoint.rs:");
        let named = said.lines().any(|line| {
            line.contains("app.log: ") && line.contains(&offset) && line.contains("planted Panic")
        });
        assert!(named, "{point}: {offset} is not named in\n{said}");
    }
    assert!(!said.contains("stack backtrace"), "{said}");
}

const STAGES: [&str; 4] = [
    "panic-parser",
    "panic-filter",
    "panic-dedup",
    "panic-aggregate",
];

#[test]
fn a_panic_in_a_stage_costs_only_its_record() {
    for point in STAGES {
        only_the_planted_records_are_affected(point, false);
    }
}

#[test]
fn a_panic_in_a_stage_and_a_kill_cost_only_the_record() {
    for point in STAGES {
        only_the_planted_records_are_affected(point, true);
    }
}

/// The fold, the sink and the committer cannot go on: the run stops and says why, and the next start
/// goes on from the last checkpoint with nothing lost and nothing twice.
#[test]
fn a_panic_behind_the_mappers_stops_the_run_and_a_restart_loses_nothing() {
    for (point, code) in [
        ("panic-fold", 3),
        ("panic-sink", 74),
        ("panic-committer", 74),
    ] {
        let planted = Planted::new(false);
        let scene = &planted.scene;
        let before = lines(4_000).replace(PLANTED, "harmless");
        scene.append("app.log", before.as_bytes());
        let running = planted.start(None);
        scene.until_length("out", before.len() as u64);
        assert_eq!(terminated(running).0, Some(0));
        let after = lines(12_000).replace("id=", "more=");
        scene.append("app.log", after.as_bytes());
        let mut broken = planted.start(Some(point));
        let status = broken.status();
        let stderr = broken.stderr();
        assert_eq!(status.code(), Some(code), "{point}: {stderr}");
        assert!(stderr.contains("panicked at src/"), "{point}: {stderr}");
        assert!(
            stderr.contains("stopping") || stderr.contains("cannot write"),
            "{point}: {stderr}"
        );
        let running = planted.start(None);
        let input = before + &after;
        scene.until_length("out", input.len() as u64);
        let (code, stderr) = terminated(running);
        assert_eq!(code, Some(0), "{point}: {stderr}");
        same_lines(&scene.read("out"), &input);
    }
}

/// A record that makes the fold panic once stopped every start: the next one read the same record again.
#[test]
fn a_record_that_panics_the_fold_stops_one_start_and_is_set_aside_by_the_next() {
    for dedup in [false, true] {
        let planted = Planted::new(dedup);
        let scene = &planted.scene;
        let point = Some("panic-fold");
        let mut input = lines(12_000);
        scene.append("app.log", input.as_bytes());
        let mut broken = planted.start(point);
        let status = broken.status();
        let stderr = broken.stderr();
        assert_eq!(status.code(), Some(3), "{stderr}");
        for said in [
            "app.log: offsets ",
            "panicked at src/",
            "sets aside the record",
        ] {
            assert!(stderr.contains(said), "no {said:?} in {stderr}");
        }
        let running = planted.start(point);
        scene.until_length("out", input.len() as u64);
        let mut said = running.stderr();
        // No checkpoint may have passed it yet: after a kill it is found again.
        running.kill();
        let more = lines(30)
            .replace(PLANTED, "harmless")
            .replace("id=", "more=");
        scene.append("app.log", more.as_bytes());
        let culprits: BTreeSet<String> = input
            .split_inclusive('\n')
            .filter(|line| line.contains(PLANTED))
            .map(str::to_owned)
            .collect();
        input.push_str(&more);
        let running = planted.start(point);
        scene.until_length("out", input.len() as u64);
        until("/health tells", || {
            planted.page("/health").1.starts_with("degraded: ")
        });
        planted.counts(&culprits, &input, "panic-fold");
        let (code, stderr) = terminated(running);
        said.push_str(&stderr);
        assert_eq!(code, Some(0), "{said}");
        same_lines(&scene.read("out"), &input);
        assert_eq!(planted.put_away(), culprits);
        for culprit in &culprits {
            let offset = input.find(culprit.as_str()).unwrap();
            let offset = format!("offset {offset}: weir panicked at src/failpoint.rs:");
            assert!(said.contains(&offset), "{offset} is not named in\n{said}");
        }
    }
}

/// Without a state directory there is nothing to go on from: the run ends with 3 and names the place.
#[test]
fn a_panic_of_the_fold_at_the_end_of_a_pipe_names_the_place() {
    let input = lines(3_000);
    let offset = input.find(PLANTED).unwrap();
    for args in [
        &["filter", "app.log"][..],
        &["filter", "-o", "json", "app.log"],
        &["-o", "json", "app.log"],
    ] {
        let ran = planted(args, "panic-fold", &input);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(3), "{args:?}: {stderr}");
        let range = stderr.split_once("app.log: offsets ").unwrap().1;
        let (from, rest) = range.split_once(" to ").unwrap();
        let (to, rest) = rest.split_once(": ").unwrap();
        let range = from.parse::<usize>().unwrap()..to.parse().unwrap();
        assert!(range.contains(&offset), "{stderr}");
        assert!(
            rest.starts_with("weir panicked at src/failpoint.rs:"),
            "{stderr}"
        );
        assert!(rest.contains("the totals are not whole"), "{stderr}");
    }
}

/// A checkpoint once passed over records that were lost: `/health` said 200, the metric 0, and no restart
/// brought them back.
#[test]
fn no_checkpoint_passes_over_missing_records_and_it_is_told_at_once() {
    let planted = Planted::new(false);
    let scene = &planted.scene;
    let before = lines(4_000);
    scene.append("app.log", before.as_bytes());
    let running = planted.start(None);
    scene.until_length("out", before.len() as u64);
    assert_eq!(terminated(running).0, Some(0));
    let after = lines(12_000).replace("id=", "more=");
    scene.append("app.log", after.as_bytes());
    let running = planted.start(Some("record:5"));
    until("it listens", || TcpStream::connect(planted.address).is_ok());
    until("/health tells", || planted.page("/health").0 == 503);
    let (_, health) = planted.page("/health");
    assert!(health.contains("unaccounted"), "{health}");
    let (_, page) = planted.page("/metrics");
    let row = page
        .lines()
        .find_map(|row| row.strip_prefix("weir_unaccounted_records_total "));
    assert!(row.is_some_and(|count| count != "0"), "{page}");
    assert!(
        running.stderr().contains("unaccounted"),
        "said while it runs"
    );
    let (code, stderr) = terminated(running);
    assert_eq!(code, Some(3), "{stderr}");
    let running = planted.start(None);
    let input = before + &after;
    scene.until_length("out", input.len() as u64);
    let (code, stderr) = terminated(running);
    assert_eq!(code, Some(0), "{stderr}");
    same_lines(&scene.read("out"), &input);
}

#[test]
fn a_notifier_that_panics_leaves_a_dead_letter_and_the_run_goes_on() {
    let planted = Planted::new(false);
    let scene = &planted.scene;
    let text = fs::read_to_string(scene.path("weir.toml")).unwrap();
    let text = text
        .replace("count() > 1000000", "count() > 10")
        .replace("\"file\"]", "\"planted-here\"]");
    let text = text.replace("name = \"file\"", "name = \"planted-here\"");
    fs::write(scene.path("weir.toml"), text).unwrap();
    let input = lines(2_000);
    scene.append("app.log", input.as_bytes());
    let running = planted.start(Some("panic-notifier"));
    until("a dead letter", || {
        !scene.read("state/dead-letters.ndjson").is_empty()
    });
    let more = "2026-03-14T09:00:01Z INFO one more\n";
    scene.append("app.log", more.as_bytes());
    scene.until_length("out", (input.len() + more.len()) as u64);
    let (code, stderr) = terminated(running);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("panicked at src/failpoint.rs"), "{stderr}");
    same_lines(&scene.read("out"), &(input + more));
}

/// Runs with a planted panic and takes what it says, panics and all.
fn planted(args: &[&str], point: &str, input: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("app.log"), input).unwrap();
    let mut command = weir(args);
    command.current_dir(home.path());
    if !point.is_empty() {
        command.env("WEIR_FAILPOINT", format!("{point}:{PLANTED}"));
    }
    command.output().unwrap()
}

/// A line of syslog whose tag is nothing but a colon once made the parser read behind its own end, and
/// its whole batch of 12,747 lines was lost.
#[test]
fn a_colon_for_a_tag_is_read_with_all_its_neighbours() {
    let line = |number: usize| match number {
        7_000 => "Nov 20 10:00:04 fw1 : x\n".to_owned(),
        _ => format!("Nov 20 10:00:04 fw1 app[{number}]: error number {number}\n"),
    };
    let input: String = (0..20_004).map(line).collect();
    let ran = planted(&["filter", "-o", "json", "app.log"], "", &input);
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!((ran.status.code(), &*stderr), (Some(0), ""));
    let raw: String = String::from_utf8_lossy(&ran.stdout)
        .lines()
        .map(|line| {
            let object: Value = serde_json::from_str(line).unwrap();
            format!("{}\n", object["raw"].as_str().unwrap())
        })
        .collect();
    same_lines(raw.as_bytes(), &input);
}

/// Law 1 holds over panics: threads and the borders of batches change nothing.
#[test]
fn what_comes_out_does_not_depend_on_threads() {
    let input = lines(20_000);
    for args in [
        &["filter", "-m", "ERROR", "-l", "error", "app.log"][..],
        &["filter", "-w", "took_ms >= 0", "app.log"],
        &["filter", "-o", "json", "app.log"],
        &["filter", "--dedup", "message", "app.log"],
        &["-o", "json", "app.log"],
    ] {
        for point in ["panic-parser", "panic-framing", "panic-filter"] {
            let one = planted(&[args, &["--threads", "1"]].concat(), point, &input);
            let four = planted(&[args, &["--threads", "4"]].concat(), point, &input);
            let stderr = String::from_utf8_lossy(&one.stderr);
            assert_eq!(one.status.code(), Some(0), "{args:?}: {stderr}");
            assert!(one.stdout == four.stdout, "{args:?}, {point}");
            let text = String::from_utf8_lossy(&one.stdout);
            if args[0] == "-o" {
                let report: Value = serde_json::from_str(&text).unwrap();
                crate::program::balances(&report);
                assert_eq!(report["ledger"]["records"], 20_000);
                if point == "panic-parser" {
                    assert_eq!(report["ledger"]["faulted"], 2, "{stderr}");
                    assert_eq!(report["levels"]["none"], 2);
                    assert_eq!(report["levels"]["error"], 19_998);
                }
            } else if args[1] != "--dedup" {
                assert_eq!(text.lines().count(), 20_000, "{args:?}, {point}: {stderr}");
                let held = text.lines().filter(|line| line.contains(PLANTED));
                assert_eq!(held.count(), 2, "{args:?}, {point}");
            }
        }
    }
}

/// S24: a fault that comes with every line does not write as many lines itself.
#[test]
fn a_panic_with_every_line_is_counted_and_not_said_every_time() {
    let input = lines(3_000).replace("request served", PLANTED);
    let ran = planted(
        &["filter", "-l", "error", "app.log"],
        "panic-parser",
        &input,
    );
    assert_eq!(ran.status.code(), Some(0));
    same_lines(&ran.stdout, &input);
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!((2..200).contains(&stderr.lines().count()), "{stderr}");
    assert!(stderr.contains("more notes were left out"), "{stderr}");
}
