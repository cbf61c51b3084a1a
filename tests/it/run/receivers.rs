//! Lines to a receiver that is away: they wait in the files that they came from, and no checkpoint passes
//! them until the receiver has them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{at, configured, start};
use crate::follow::scene::{Scene, until};
use crate::notify::server::{Server, status};
use crate::program::run_in;

/// Nothing listens there.
const AWAY: &str = "http://127.0.0.1:1/";

/// Longer than a checkpoint takes to come that waits for nothing.
const CHECKPOINT: Duration = Duration::from_millis(1500);

/// A file sink and a receiver of lines.
fn lines_to(url: &str) -> String {
    format!(
        "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n\
         [[sink]]\ntype = \"file\"\npath = \"out\"\n\
         [[sink]]\ntype = \"http\"\nurl = \"{url}\"\nbatch_wait = \"20ms\"\ntimeout = \"1s\"\n\
         [run]\nmultiline = \"off\"\ngrace = \"3s\"\n"
    )
}

fn lines(from: usize, to: usize) -> String {
    (from..to)
        .map(|number| {
            let time = at(number as u64);
            format!("{{\"time\":\"{time}\",\"level\":\"info\",\"msg\":\"line {number}\"}}\n")
        })
        .collect()
}

/// Records that the newest checkpoint says are dealt with.
fn checkpointed(scene: &Scene) -> u64 {
    let ran = run_in(scene.folder(), ["state", "show", "-o", "json", "state"]);
    if ran.code == 2 && ran.stderr.contains("watches nothing") {
        // The one that a run writes before it reads.
        return 0;
    }
    let shown: Value = serde_json::from_slice(&ran.exits(0).stdout).unwrap();
    shown["records"].as_u64().unwrap()
}

fn received(server: &Server) -> String {
    let requests = server.requests();
    let bodies = requests.iter().map(|request| request.body.as_slice());
    String::from_utf8(bodies.collect::<Vec<_>>().concat()).unwrap()
}

/// Waits until the receiver has every line, in the order of reading but for what came again.
fn until_received(server: &Server, want: &str) {
    until("every line at the receiver", || {
        let text = received(server);
        want.lines().all(|line| text.contains(line))
    });
}

/// A run over 21 lines whose receiver is away, with all that it can do done.
fn stuck(scene: &Scene) -> crate::follow::scene::Following {
    scene.append("app.log", lines(0, 10).as_bytes());
    let running = start(scene);
    scene.until_length("out", lines(0, 10).len() as u64);
    scene.append("app.log", lines(10, 21).as_bytes());
    scene.until_length("out", lines(0, 21).len() as u64);
    until("an attempt", || running.stderr().contains("tried again"));
    // Nothing tells that a checkpoint does not come.
    std::thread::sleep(CHECKPOINT);
    running
}

#[test]
fn a_kill_while_the_receiver_is_away_costs_it_no_line() {
    let scene = configured(&lines_to(AWAY));
    let running = stuck(&scene);
    assert_eq!(checkpointed(&scene), 0, "no line is delivered");
    running.kill();
    let server = Server::start(|_, _| status(200));
    fs::write(scene.path("weir.toml"), lines_to(&server.url("/"))).unwrap();
    let running = start(&scene);
    until_received(&server, &lines(0, 21));
    scene.append("app.log", lines(21, 30).as_bytes());
    until_received(&server, &lines(0, 30));
    running.terminate();
    assert_eq!(checkpointed(&scene), 30);
    assert!(scene.read("out") == lines(0, 30).as_bytes(), "exactly once");
}

#[test]
fn an_end_while_the_receiver_is_away_says_so_and_costs_it_no_line() {
    let scene = configured(&lines_to(AWAY));
    let running = stuck(&scene);
    running.signal("TERM");
    // It ends by itself, within its grace time.
    let ran = running.ended().exits(74);
    let ran = ran.says("bytes could not be sent before the end");
    ran.says("a restart goes on from the last one");
    assert_eq!(checkpointed(&scene), 0, "no line is delivered");
    let server = Server::start(|_, _| status(200));
    fs::write(scene.path("weir.toml"), lines_to(&server.url("/"))).unwrap();
    let running = start(&scene);
    until_received(&server, &lines(0, 21));
    running.terminate();
    assert!(scene.read("out") == lines(0, 21).as_bytes(), "exactly once");
    // What is delivered does not come again.
    let requests = server.requests().len();
    start(&scene).terminate();
    assert_eq!(server.requests().len(), requests);
}

#[test]
fn checkpoints_go_on_when_the_receiver_comes() {
    let here = Arc::new(AtomicBool::new(false));
    let is_here = Arc::clone(&here);
    let server = Server::start(move |_, _| match is_here.load(Ordering::Relaxed) {
        true => status(200),
        false => status(503),
    });
    let scene = configured(&lines_to(&server.url("/")));
    let running = stuck(&scene);
    assert_eq!(checkpointed(&scene), 0, "no line is delivered");
    here.store(true, Ordering::Relaxed);
    until("a checkpoint behind all lines", || {
        checkpointed(&scene) == 21
    });
    scene.append("app.log", lines(21, 30).as_bytes());
    until("the next one", || checkpointed(&scene) == 30);
    until_received(&server, &lines(0, 30));
    running.kill();
    let requests = server.requests().len();
    start(&scene).terminate();
    assert_eq!(server.requests().len(), requests, "nothing comes again");
    assert!(scene.read("out") == lines(0, 30).as_bytes());
}

/// What a receiver refuses for good is dealt with once it is among the dead letters.
#[test]
fn checkpoints_pass_what_is_among_the_dead_letters() {
    let server = Server::start(|_, _| status(400));
    let scene = configured(&lines_to(&server.url("/")));
    scene.append("app.log", lines(0, 5).as_bytes());
    let running = start(&scene);
    until("a checkpoint behind all lines", || {
        scene.length("state/checkpoint-a") > 0 && checkpointed(&scene) == 5
    });
    let letters = scene.read("state/dead-letters.ndjson");
    let letter: Value = serde_json::from_slice(&letters).unwrap();
    assert_eq!(letter["lines"], lines(0, 5));
    running.terminate();
}

/// A summary that only stands in the sink's memory comes again after a kill.
#[test]
fn a_kill_while_the_receiver_of_summaries_is_away_costs_it_no_summary() {
    let config = |url: &str| {
        format!(
            "[[source]]\ntype = \"file\"\ninclude = [\"app.log\"]\nfrom = \"start\"\n\
             [[sink]]\ntype = \"http\"\nwhat = \"summary\"\nurl = \"{url}\"\nbatch_wait = \"20ms\"\n\
             [run]\nmultiline = \"off\"\ninterval = \"1s\"\n"
        )
    };
    let scene = configured(&config(AWAY));
    let text: String = [0, 1000, 2000, 9000]
        .map(|time| format!("{{\"time\":\"{}\",\"msg\":\"m\"}}\n", at(time)))
        .concat();
    scene.append("app.log", text.as_bytes());
    let running = start(&scene);
    until("an attempt", || running.stderr().contains("tried again"));
    std::thread::sleep(CHECKPOINT);
    running.kill();
    let server = Server::start(|_, _| status(200));
    fs::write(scene.path("weir.toml"), config(&server.url("/"))).unwrap();
    let running = start(&scene);
    until("the first summaries", || {
        let text = received(&server);
        [0, 1000, 2000].iter().all(|&time| {
            let start = at(time).replace(".000Z", "Z");
            text.contains(&format!("\"id\":\"1s@{start}\""))
        })
    });
    running.kill();
}
