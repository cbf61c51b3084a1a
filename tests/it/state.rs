//! `weir state`: what a state directory shows beside the run that writes it, and keys that are forgotten
//! while none does.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::{Ran, run_in, until, weir};

const CONFIGURATION: &str = r#"
[[source]]
type = "file"
include = ["*.log"]

[[state]]
name = "backup"
key = ["server"]
value = "status"
ok = ["completed"]
bad = ["failed"]
roster = ["server9"]
notify = ["hook"]

[[state]]
name = "place"
key = ["server", "rack"]
value = "status"

[[set]]
name = "servers"
value = "server"

[[notifier]]
name = "hook"
type = "file"
path = "alerts.ndjson"
group_interval = "0s"

[[sink]]
type = "file"
path = "out.txt"

[run]
state_dir = "st"
"#;

const LOG: &str = "2026-11-23T02:00:00Z ERROR server=server1 rack=a status=failed\n\
                   2026-11-23T02:05:00Z INFO server=server2 rack=b status=completed\n";

/// A folder with the configuration and two lines of log.
fn folder() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("w.toml"), CONFIGURATION).unwrap();
    std::fs::write(directory.path().join("a.log"), LOG).unwrap();
    directory
}

/// A run that is ended when it is no longer looked at.
struct Running(Child);

impl Running {
    fn start(directory: &Path) -> Running {
        let mut command: Command = weir(["run", "-q", "-c", "w.toml"]);
        let command = command.current_dir(directory);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    fn signal(mut self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn show(directory: &Path) -> Value {
    run_in(directory, ["state", "show", "st", "-o", "json"]).json()
}

fn has_records(directory: &Path, count: u64) -> bool {
    let ran = run_in(directory, ["state", "show", "st", "-o", "json"]);
    ran.code == 0 && ran.json()["records"] == count
}

fn ack(directory: &Path, arguments: &[&str]) -> Ran {
    let head = ["state", "ack", "-c", "w.toml"];
    run_in(directory, head.iter().chain(arguments))
}

#[test]
fn a_key_that_was_seen_to_is_forgotten_and_its_alert_ends() {
    let directory = folder();
    let path = directory.path();
    let run = Running::start(path);
    until("both records are in a checkpoint", || has_records(path, 2));
    let known = show(path);
    let states = known["states"].as_array().unwrap();
    let row = |name: &str, server: &str| {
        let of = |row: &&Value| row["name"] == name && row["key"]["server"] == server;
        states.iter().find(of).unwrap().clone()
    };
    assert_eq!(row("backup", "server1")["status"], "bad");
    assert_eq!(row("backup", "server2")["status"], "ok");
    assert_eq!(row("backup", "server9")["status"], "missing");
    assert_eq!(row("place", "server1")["key"]["rack"], "a");
    assert_eq!(known["sets"][0]["count"], 2);
    until("the alert fires", || {
        show(path)["alerts"][0]["rule"] == "backup.bad"
    });
    let text = run_in(path, ["state", "show", "-c", "w.toml"])
        .exits(0)
        .text();
    assert!(text.contains("server1  bad "), "{text}");

    // A run would write over it.
    ack(path, &["backup", "server1"])
        .exits(74)
        .says("a run uses this state directory");
    run.signal("TERM");
    for (arguments, said) in [
        (
            &["backp", "server1"][..],
            "unknown state \"backp\"; did you mean \"backup\"?",
        ),
        (
            &["backup", "server1", "elsewhere"],
            "unknown key \"elsewhere\"; known: server1, server2",
        ),
        (
            &["place", "server1"],
            "lacks \"server\"; write it like server=…,rack=…",
        ),
        (
            &["place", "server=server1,rack=z"],
            "did you mean \"server=server1,rack=a\"?",
        ),
    ] {
        let _ = ack(path, arguments).exits(2).says(said);
    }
    assert_eq!(
        show(path)["states"],
        known["states"],
        "nothing was forgotten yet"
    );
    let ran = ack(path, &["backup", "server1"]).exits(0);
    assert_eq!(ran.text(), "1 forgotten\n");
    let ran = ack(path, &["place", "server=server2,rack=b"]).exits(0);
    assert_eq!(ran.text(), "1 forgotten\n");
    let left: Vec<String> = show(path)["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["name"], row["key"]["server"]))
        .collect();
    assert_eq!(
        left,
        [
            "\"backup\" \"server2\"",
            "\"backup\" \"server9\"",
            "\"place\" \"server1\""
        ]
    );

    let run = Running::start(path);
    let told = || std::fs::read_to_string(path.join("alerts.ndjson")).unwrap_or_default();
    until("the end is told", || told().contains("\"resolved\""));
    run.signal("TERM");
    assert_eq!(told().lines().count(), 2, "{}", told());
    assert_eq!(show(path)["alerts"], serde_json::json!([]));
    // The output goes on where it was: no line twice, none missing.
    assert_eq!(std::fs::read_to_string(path.join("out.txt")).unwrap(), LOG);
}

#[test]
fn after_a_kill_nothing_is_forgotten_before_everything_is_known() {
    let directory = folder();
    let path = directory.path();
    let run = Running::start(path);
    until("both records are in a checkpoint", || has_records(path, 2));
    // Written out, and for the most part not yet in a checkpoint.
    let out = path.join("out.txt");
    let mut log = LOG.to_owned();
    let size = || std::fs::metadata(&out).unwrap().len();
    for second in 0..3 {
        log.push_str(&format!(
            "2026-11-23T03:00:0{second}Z INFO server=server3 status=completed\n"
        ));
        std::fs::write(path.join("b.tmp"), &log[LOG.len()..]).unwrap();
        std::fs::rename(path.join("b.tmp"), path.join(format!("b{second}.log"))).unwrap();
    }
    until("all of it is written", || size() > LOG.len() as u64);
    run.signal("KILL");
    let ran = ack(path, &["backup", "server2"]);
    if ran.code != 0 {
        let _ = ran.exits(74).says("start it and stop it once");
    }
    let run = Running::start(path);
    until("it goes on", || show(path)["records"].as_u64() >= Some(3));
    run.signal("TERM");
    // A restart knows what came before the kill.
    let servers = &show(path)["sets"][0]["values"];
    assert_eq!(
        servers,
        &serde_json::json!(["server1", "server2", "server3"])
    );
}

/// A checkpoint, its configuration and the journal behind it, as an earlier build left them.
const EARLIER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/state/dcb444d");

#[test]
fn f28_what_an_earlier_build_wrote_is_read_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/logs");
    for name in ["access.log", "api.ndjson", "worker.logfmt"] {
        std::fs::copy(logs.join(name), at(name)).unwrap();
    }
    std::fs::create_dir(at("state")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(at("state"), private).unwrap();
    for (from, to) in [
        ("weir.toml", "weir.toml"),
        ("checkpoint-b", "state/checkpoint-b"),
        ("journal-4", "state/journal-4"),
    ] {
        std::fs::copy(Path::new(EARLIER).join(from), at(to)).unwrap();
    }
    let show = ["state", "show", "state", "-o", "json"];
    let before = run_in(directory.path(), show).exits(0);
    assert_eq!(before.stderr, "");
    let before = before.json();
    // The lines of the three logs.
    assert_eq!(before["records"], 48);
    let status = |shown: &Value, queue: &str| {
        let states = shown["states"].as_array().unwrap().clone();
        let of = states.iter().find(|state| state["key"]["queue"] == queue);
        of.unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(&before, "reports"), "missing");
    assert_eq!(before["alerts"].as_array().unwrap().len(), 6);

    let line = "time=2026-03-14T09:30:00Z level=info msg=\"job done\" queue=reports job=900 duration=5ms\n";
    let mut log = std::fs::OpenOptions::new()
        .append(true)
        .open(at("worker.logfmt"))
        .unwrap();
    std::io::Write::write_all(&mut log, line.as_bytes()).unwrap();
    let mut command = weir(["run", "-q", "-c", "weir.toml"]);
    command.current_dir(directory.path());
    let running = Running(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    until(
        "the new line is known, and none of the old ones twice",
        || {
            let shown = run_in(directory.path(), show);
            shown.code == 0 && shown.json()["records"] == 49
        },
    );
    running.signal("TERM");
    let after = run_in(directory.path(), show).json();
    assert_eq!(after["records"], 49);
    assert_ne!(status(&after, "reports"), "missing");
    assert_eq!(after["sets"], before["sets"]);
}

#[test]
fn s23_what_leaves_in_an_alert_holds_no_secret() {
    // What is said in docs/run.md: the lines and templates of alerts are masked, wherever they are kept
    // for delivery; the tables of a checkpoint and labels hold the log's own text, for the owner alone.
    const CANARY: &str = "hunter2Canary99";
    let directory = tempfile::tempdir().unwrap();
    let configuration = format!(
        "{CONFIGURATION}\n[[rule]]\nname = \"unknown\"\nwhen = \"new()\"\nlearn = \"0s\"\nnotify = [\"hook\", \"gone\"]\n\n\
         [[notifier]]\nname = \"gone\"\ntype = \"command\"\nargv = [\"/bin/false\"]\ngive_up = \"1s\"\n"
    );
    std::fs::write(directory.path().join("w.toml"), configuration).unwrap();
    let line = format!(
        "2026-11-23T02:00:00Z ERROR server=server1 rack=a status=failed password={CANARY}\n"
    );
    std::fs::write(directory.path().join("a.log"), line).unwrap();
    let running = Running::start(directory.path());
    let read =
        |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap_or_default();
    until("both notifiers were told", || {
        read("alerts.ndjson").contains("unknown") && read("st/alerts.ndjson").contains("unknown")
    });
    until("a dead letter", || {
        read("st/dead-letters.ndjson").contains("unknown")
    });
    until("a checkpoint", || has_records(directory.path(), 1));
    running.signal("TERM");
    for name in [
        "alerts.ndjson",
        "st/alerts.ndjson",
        "st/dead-letters.ndjson",
    ] {
        assert!(!read(name).contains(CANARY), "{name}: {}", read(name));
    }
    assert!(read("alerts.ndjson").contains("password=[masked]"));
    let mut holds = Vec::new();
    for entry in std::fs::read_dir(directory.path().join("st")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if bytes
            .windows(CANARY.len())
            .any(|window| window == CANARY.as_bytes())
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600, "{name}");
            holds.push(name);
        }
    }
    assert!(
        holds.iter().all(|name| name.starts_with("checkpoint-")),
        "{holds:?}"
    );
}

#[test]
fn what_holds_no_state_is_refused() {
    let directory = folder();
    let path = directory.path();
    run_in(path, ["state", "show", "nowhere"])
        .exits(66)
        .says("nowhere: no state directory");
    std::fs::create_dir(path.join("empty")).unwrap();
    run_in(path, ["state", "show", "empty"])
        .exits(66)
        .says("empty: holds no state");
    let names = ["state", "ack", "--state", "empty", "backup", "server1"];
    run_in(path, names).exits(66);
    assert_eq!(
        std::fs::read_dir(path.join("empty")).unwrap().count(),
        0,
        "looking leaves nothing behind"
    );
    run_in(path, ["state", "show"]).exits(2).says("--state DIR");
    std::fs::write(path.join("none.toml"), "").unwrap();
    run_in(path, ["state", "show", "-c", "none.toml"])
        .exits(78)
        .says("has no [run] state_dir");
}
