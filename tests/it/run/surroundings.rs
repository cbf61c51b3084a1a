//! What a run needs of the machine around it, and what it does where that is missing: names that are
//! not resolved, rights, and the space of its own messages.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Command, Stdio};

use super::{configured, start};
use crate::follow::scene::{Scene, has, is_root, skipped, until};
use crate::notify::server::{Server, status};
use crate::program::{Ran, feed, run_with, weir};

/// The server's name is not resolved, at the start and later: the run starts, the other sinks have
/// every line, the name is told, and when the name is right the alert is delivered.
#[test]
fn a_name_that_is_not_resolved_costs_nothing_but_time() {
    let server = Server::start(|_, _| status(200));
    let right = server.url("");
    let wrong = right.replace("127.0.0.1", "receiver.invalid");
    assert_ne!(right, wrong);
    let config = |address: &str| {
        format!(
            "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n\
             [[rule]]\nname = \"error\"\nwhen = \"count() > 0\"\nwhere = \"level == error\"\nnotify = [\"hook\"]\n\
             [[notifier]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{address}/hook\"\n\
             [[sink]]\ntype = \"file\"\npath = \"out\"\n\
             [[sink]]\ntype = \"http\"\nurl = \"{address}/lines\"\nbatch_wait = \"100ms\"\n"
        )
    };
    let scene = configured(&config(&wrong));
    let line = |number: usize| format!("2026-03-14T09:00:{number:02}Z ERROR disk {number}\n");
    let lines: String = (0..20).map(line).collect();
    scene.append("app.log", lines.as_bytes());
    let running = start(&scene);
    scene.until_length("out", lines.len() as u64);
    until(
        "the name in a message of the notifier and of the sink",
        || {
            let said = running.stderr();
            let of = |who: &str| {
                said.lines()
                    .any(|line| line.contains(who) && line.contains("receiver.invalid"))
            };
            of("notifier \"hook\"") && of("sink \"[[sink]] 2\"")
        },
    );
    let said = running.stderr();
    assert!(
        said.lines().count() < 10,
        "now and then, not each time: {said}"
    );
    running.kill();
    fs::write(scene.path("weir.toml"), config(&right)).unwrap();
    let running = start(&scene);
    until("the alert", || {
        let requests = server.requests();
        requests.iter().any(|request| request.path == "/hook")
    });
    running.terminate();
    assert_eq!(scene.read("out"), lines.as_bytes());
}

/// A user without any right but to read the logs and to write two folders: a run, a restart, and
/// nothing written elsewhere.
#[test]
fn it_runs_as_a_user_who_may_write_its_folders_alone() {
    if !is_root() {
        skipped("only root can become somebody else");
        return;
    }
    if !has("setpriv") {
        return;
    }
    const OTHER: u32 = 65_534;
    let scene = configured(
        "[[source]]\ntype = \"file\"\ninclude = [\"logs/*.log\"]\nfrom = \"start\"\n\
         [[sink]]\ntype = \"file\"\npath = \"output/lines\"\n\
         [run]\nstate_dir = \"state\"\n",
    );
    fs::set_permissions(scene.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, is_own) in [("logs", false), ("output", true), ("state", true)] {
        fs::create_dir(scene.path(name)).unwrap();
        if is_own {
            chown(scene.path(name), Some(OTHER), Some(OTHER)).unwrap();
        }
    }
    // Where the tests are built may be closed to others.
    fs::copy(env!("CARGO_BIN_EXE_weir"), scene.path("weir")).unwrap();
    let lines = "2026-03-14T09:00:00Z INFO one\n";
    scene.append("logs/a.log", lines.as_bytes());
    let start = || {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--no-new-privs",
                "--inh-caps=-all",
                "--bounding-set=-all",
                "--",
            ])
            .arg(scene.path("weir"))
            .args(["run", "-c", "weir.toml"])
            .env_clear()
            .env("TZ", "UTC")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .current_dir(scene.folder());
        scene.spawn(command)
    };
    let running = start();
    scene.until_length("output/lines", lines.len() as u64);
    running.terminate();
    scene.append("logs/a.log", lines.as_bytes());
    let running = start();
    scene.until_length("output/lines", 2 * lines.len() as u64);
    let stderr = running.stderr();
    running.terminate();
    assert!(!stderr.contains("denied"), "{stderr}");
    assert_eq!(
        scene.read("output/lines"),
        [lines, lines].concat().as_bytes()
    );
    let mut names: Vec<String> = fs::read_dir(scene.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("std"))
        .collect();
    names.sort();
    assert_eq!(names, ["logs", "output", "state", "weir", "weir.toml"]);
}

/// Lines of every kind of badness, over and over: our own messages do not grow with them, and what was
/// wrong is counted.
#[test]
fn bad_input_does_not_flood_standard_error() {
    const KINDS: [&[u8]; 8] = [
        b"\xff\xfd\x80 not text\n",
        b"{\"broken\": \n",
        b"2099-01-01T00:00:00Z ERROR from the future\n",
        b"2026-99-99T99:99:99Z ERROR no such day\n",
        b"\x1b[2J\x00\x07 control\n",
        b"<999>1 - - - - - - no priority\n",
        b"\"an,open,quote\n",
        b"cpu=NaN latency=1e999 bytes=99999999999999999999999\n",
    ];
    const LINES: usize = 100_000;
    let input: Vec<u8> = KINDS
        .into_iter()
        .cycle()
        .take(LINES)
        .flatten()
        .copied()
        .collect();
    let scene = Scene::new();
    fs::write(
        scene.path("weir.toml"),
        "[[rule]]\nname = \"many\"\nwhen = \"count() > 1000000000\"\n\
         [[metric]]\nfield = \"cpu\"\n\
         [[state]]\nname = \"s\"\nkey = [\"cpu\"]\nvalue = \"bytes\"\n\
         [[sink]]\ntype = \"file\"\npath = \"out\"\n",
    )
    .unwrap();
    let is_quiet = |what: &str, ran: &Ran| {
        let lines = ran.stderr.lines().count();
        assert!(
            lines <= 100,
            "{what}: {lines} lines: {}",
            &ran.stderr[..2000]
        );
    };
    is_quiet(
        "report",
        &run_with(["-o", "json", "--metric", "cpu"], &input).exits(0),
    );
    for format in ["json", "syslog", "csv", "logfmt", "influx"] {
        let ran = run_with(["filter", "--format", format, "-w", "cpu > 1"], &input);
        is_quiet(format, &ran);
        assert_eq!(ran.code, 0, "{format}: {}", ran.stderr);
    }
    let mut run = weir(["run", "-c", "weir.toml"]);
    let ran = feed(run.current_dir(scene.folder()), &input).exits(0);
    is_quiet("run", &ran);
    assert_eq!(scene.read("out").len(), input.len(), "every line went out");
}

/// An endpoint that others can reach is told of by `check` and by a run, unless it asks for a token.
#[test]
fn an_endpoint_beyond_this_machine_without_a_token_is_warned_of() {
    let config = |listen: &str, token: &str| {
        format!("[[sink]]\ntype = \"prometheus\"\nlisten = \"{listen}\"\n{token}")
    };
    for (listen, token, warns) in [
        ("127.0.0.1:0", "", false),
        ("[::1]:0", "", false),
        ("0.0.0.0:0", "", true),
        ("0.0.0.0:0", "token_env = \"PAGE_TOKEN\"\n", false),
    ] {
        let scene = configured(&config(listen, token));
        for args in [
            &["check", "-c", "weir.toml"][..],
            &["run", "-c", "weir.toml"],
        ] {
            if listen.starts_with('[') && args[0] == "run" {
                // Not every machine has that address.
                continue;
            }
            let mut command = weir(args);
            command
                .current_dir(scene.folder())
                .env("PAGE_TOKEN", "canary");
            let ran = feed(&mut command, b"").exits(0);
            assert_eq!(
                ran.stderr.contains("asks for no token"),
                warns,
                "{listen} {args:?}: {}",
                ran.stderr
            );
            assert!(!ran.stderr.contains("canary"));
        }
    }
    let both = config("0.0.0.0:0", "token_env = \"A\"\ntoken_file = \"b\"\n");
    let scene = configured(&both);
    let mut command = weir(["check", "-c", "weir.toml"]);
    feed(command.current_dir(scene.folder()), b"").exits(78);
}
