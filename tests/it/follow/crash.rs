//! Rows F23–F26, F29, F30, F45 and F46: system calls that fail, kills at chosen system calls, power
//! cuts, full disks and little memory. Kills at random times are in `torture`; every order of
//! faults is in the simulation.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::scene::{
    Following, Mount, Scene, Source, compare, counted, exactly, has, let_pass, peak, until,
};
use crate::program::balances;

/// Starts the program under strace with one fault; `None` and a notice if that cannot be. The tracer
/// runs apart, so the child that is started is the program itself.
fn injected(scene: &Scene, faults: &[&str], args: &[&str]) -> Option<Following> {
    injected_at(scene, faults, &[], args)
}

/// The same for calls on these paths alone.
fn injected_at(scene: &Scene, faults: &[&str], paths: &[&str], args: &[&str]) -> Option<Following> {
    if !has("strace") {
        return None;
    }
    let allowed = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    if !allowed.is_ok_and(|ran| ran.status.success()) {
        super::scene::skipped("strace may not trace here");
        return None;
    }
    let mut wrapper = vec!["strace", "-D", "-f", "-qq", "-o", "/dev/null"];
    for fault in faults {
        wrapper.extend(["-e", fault]);
    }
    for path in paths {
        wrapper.extend(["-P", path]);
    }
    Some(scene.start(
        &wrapper,
        &[&["filter", "-f", "--from", "start", "-O", "out"], args].concat(),
    ))
}

/// The followed lines arrive although reading fails like this.
fn reading_fails(fault: &str) {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(2000));
    // Only calls on the followed file fail, under both of its names; the loader reads, too.
    let (own, rotated) = (scene.path("app.log"), scene.path("app.log.1"));
    let paths = [own.to_str().unwrap(), rotated.to_str().unwrap()];
    let Some(running) = injected_at(&scene, &[fault], &paths, &["app.log"]) else {
        return;
    };
    scene.until_out(&[&source]);
    for _ in 0..10 {
        scene.append("app.log", &source.next(100));
        scene.until_out(&[&source]);
    }
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", &source.next(100));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f23_reading_fails_now_and_then() {
    reading_fails("inject=pread64:error=EIO:when=2+4");
}

#[test]
fn f23_reading_is_stale_now_and_then() {
    reading_fails("inject=pread64:error=ESTALE:when=2+4");
}

#[test]
fn f23_reading_is_interrupted_now_and_then() {
    reading_fails("inject=pread64:error=EINTR:when=2+3");
}

/// Kills the program at the `when`-th such call of a thread, in the first start and again in the
/// second, then lets it finish: the output is exact.
fn killed_at(call: &str, when: u32) {
    let scene = Scene::new();
    let mut source = Source::new(0);
    let args = ["--state", "state", "--rotate-size", "1GiB", "app.log*"];
    scene.append("app.log", &source.next(500));
    let fault = format!("inject={call}:signal=KILL:when={when}");
    for _ in 0..2 {
        let Some(mut running) = injected(&scene, &[&fault], &args) else {
            return;
        };
        // Some work, so that the call is made: lines, a rotation, a checkpoint.
        for round in 0..12 {
            scene.append("app.log", &source.next(50));
            if round == 5 {
                scene.rename("app.log", &format!("app.log.{}", source.written()));
                scene.append("app.log", &source.next(10));
            }
            let_pass(Duration::from_millis(15));
            if !running.is_alive() {
                break;
            }
        }
        if running.is_alive() {
            running.signal("TERM");
            running.status();
        }
    }
    let running = scene.filter(&args);
    scene.until_out(&[&source]);
    let ran = running.terminate();
    let (missing, surplus) = compare(&scene.read("out"), &[&source], &[]);
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "killed at {call} {when}: missing {missing:?}\nsurplus {surplus:?}\n{}",
        ran.stderr
    );
}

#[test]
fn f25_killed_at_writes() {
    for when in 1..=4 {
        killed_at("write", when);
    }
}

#[test]
fn f25_killed_at_syncs() {
    for when in 1..=3 {
        killed_at("/^f(data)?sync$", when);
    }
}

#[test]
fn f25_killed_at_renames_and_removals() {
    for when in 1..=2 {
        killed_at("/^rename(at2?)?$", when);
        killed_at("/^unlink(at)?$", when);
    }
}

#[test]
fn f25_killed_at_truncations_and_opens() {
    killed_at("ftruncate", 1);
    for when in [8, 12, 20] {
        killed_at("openat", when);
    }
}

#[test]
fn f26_power_cut() {
    // The disk with output and state is copied while it is written, as a power cut would leave it;
    // the followed file is elsewhere and whole.
    let scene = Scene::new();
    let Some(disk) = Mount::ext4(&scene, "disk") else {
        return;
    };
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(1000));
    let args = [
        "filter",
        "-f",
        "--from",
        "start",
        "-O",
        "disk/out",
        "--state",
        "disk/state",
        "app.log",
    ];
    let running = scene.start(&[], &args);
    let mut snapshots = Vec::new();
    for number in 0..6 {
        for _ in 0..30 {
            scene.append("app.log", &source.next(20));
            let_pass(Duration::from_millis(10));
        }
        let name = format!("cut-{number}.image");
        scene.copy("disk.image", &name);
        snapshots.push(name);
    }
    running.terminate();
    drop(disk);
    for name in snapshots {
        scene.rename(&name, "disk.image");
        let disk = Mount::ext4(&scene, "disk").expect("it was mounted before");
        scene.append("app.log", &source.next(10));
        let running = scene.start(&[], &args);
        let bytes = source.all().len() as u64;
        scene.until_length("disk/out", bytes);
        let ran = running.terminate();
        let (missing, surplus) = compare(&scene.read("disk/out"), &[&source], &[]);
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{name}: missing {missing:?}\nsurplus {surplus:?}\n{}",
            ran.stderr
        );
        drop(disk);
    }
}

#[test]
fn f29_no_space_for_the_output() {
    let scene = Scene::new();
    let Some(disk) = Mount::memory(&scene, "disk", "size=256k") else {
        return;
    };
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(5000));
    let running = scene.start(
        &[],
        &[
            "filter", "-f", "--from", "start", "--state", "state", "-O", "disk/out", "app.log",
        ],
    );
    until("a word about the full disk", || {
        running.stderr().contains("disk/out")
    });
    let busy = running.busy();
    let_pass(Duration::from_millis(300));
    assert!(running.busy() - busy <= 0.1, "spins on a full disk");
    scene.append("app.log", &source.next(5000));
    disk.again("size=16m");
    scene.until_length("disk/out", source.all().len() as u64);
    running.terminate();
    exactly(&scene.read("disk/out"), &[&source]);
}

#[test]
fn f29_no_space_for_the_output_and_killed() {
    let scene = Scene::new();
    let Some(disk) = Mount::memory(&scene, "disk", "size=256k") else {
        return;
    };
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(5000));
    let args = [
        "filter", "-f", "--from", "start", "--state", "state", "-O", "disk/out", "app.log",
    ];
    let running = scene.start(&[], &args);
    until("a word about the full disk", || {
        running.stderr().contains("disk/out")
    });
    running.kill();
    disk.again("size=16m");
    let running = scene.start(&[], &args);
    scene.until_length("disk/out", source.all().len() as u64);
    running.terminate();
    exactly(&scene.read("disk/out"), &[&source]);
}

#[test]
fn f29_no_space_for_the_state() {
    let scene = Scene::new();
    let Some(disk) = Mount::memory(&scene, "disk", "size=16k") else {
        return;
    };
    let mut source = Source::new(0);
    let args = [
        "filter",
        "-f",
        "--from",
        "start",
        "--state",
        "disk/state",
        "-O",
        "out",
        "app.log",
    ];
    scene.append("app.log", &source.next(10));
    let running = scene.start(&[], &args);
    scene.until_out(&[&source]);
    // Fill what is left.
    let mut filled = 0;
    while fs::write(disk.path.join(format!("fill-{filled}")), [0; 4096]).is_ok() {
        filled += 1;
        assert!(filled < 100);
    }
    for _ in 0..20 {
        scene.append("app.log", &source.next(500));
        let_pass(Duration::from_millis(10));
    }
    until("a word about the full disk", || {
        running.stderr().contains("disk/state")
    });
    disk.again("size=16m");
    scene.until_out(&[&source]);
    running.kill();
    scene.append("app.log", &source.next(500));
    let running = scene.start(&[], &args);
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f29_no_inodes_for_the_state() {
    // At the start: so many files of the state directory are there when the inodes are used up.
    for files in 0..3 {
        let scene = Scene::new();
        let options = |inodes: usize| format!("size=16m,mode=700,nr_inodes={inodes}");
        let Some(disk) = Mount::memory(&scene, "disk", &options(2 + files)) else {
            return;
        };
        let mut source = Source::new(0);
        scene.append("app.log", &source.next(10));
        let args = [
            "filter",
            "-f",
            "--state",
            "disk/state",
            "-O",
            "out",
            "app.log",
        ];
        let mut running = scene.start(&[], &args);
        until("a word about the disk", || {
            running.stderr().contains("waiting until there is room")
        });
        assert!(running.is_alive());
        disk.again(&options(100));
        scene.until_out(&[&source]);
        // In the middle: as many inodes as there are, so that no journal can begin.
        until("a checkpoint", || {
            disk.path.join("state/journal-2").exists()
        });
        let filler = |number: usize| disk.path.join(format!("fill-{number}"));
        let filled = (0..200)
            .take_while(|number| fs::write(filler(*number), "").is_ok())
            .count();
        scene.append("app.log", &source.next(10));
        scene.until_out(&[&source]);
        until("a word about the checkpoint", || {
            running.stderr().contains("trying again")
        });
        (0..filled).for_each(|number| fs::remove_file(filler(number)).unwrap());
        until("a word that it works", || {
            running.stderr().contains("are written again")
        });
        let ran = running.terminate();
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        exactly(&scene.read("out"), &[&source]);
    }
}

#[test]
fn f30_a_sync_that_fails_once() {
    for fault in [
        "inject=fsync:error=EIO:when=1",
        "inject=fdatasync:error=EIO:when=1",
        "inject=/^f(data)?sync$:error=EIO:when=2",
    ] {
        let scene = Scene::new();
        let mut source = Source::new(0);
        scene.append("app.log", &source.next(500));
        let args = ["--state", "state", "app.log"];
        let Some(mut running) = injected(&scene, &[fault], &args) else {
            return;
        };
        for _ in 0..30 {
            scene.append("app.log", &source.next(50));
            let_pass(Duration::from_millis(10));
        }
        if running.is_alive() {
            running.signal("TERM");
        }
        // It may go on or stop with an error; it may not take it for durable and lose anything.
        running.status();
        scene.append("app.log", &source.next(50));
        let running = scene.filter(&args);
        scene.until_out(&[&source]);
        running.terminate();
        exactly(&scene.read("out"), &[&source]);
    }
}

#[test]
fn f45_totals_over_kills() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    for round in 0..8 {
        let running = scene.report(&["app.log*"]);
        for _ in 0..10 {
            scene.append("app.log", &source.next(40));
            let_pass(Duration::from_millis(10));
        }
        if round % 3 == 1 {
            scene.rename("app.log", &format!("app.log.{}", source.written()));
        }
        running.kill();
    }
    let running = scene.report(&["app.log*"]);
    scene.until_records(source.written());
    let report = running.terminate().json();
    balances(&report);
    assert_eq!(
        counted(&report, "records"),
        source.written(),
        "{}",
        report["ledger"]
    );
    assert_eq!(
        counted(&report, "bytes"),
        source.all().len() as u64,
        "{}",
        report["ledger"]
    );
    assert_eq!(report["levels"]["info"], source.written());
}

#[test]
fn f46_little_memory_and_a_reader_that_is_slow() {
    // 128 MiB wait for a reader who takes nothing: the queue is bounded.
    let scene = Scene::new();
    let mut source = Source::new(0);
    let block = source.next(5000);
    let mut written = 0;
    while written < 128 << 20 {
        scene.append("app.log", &block);
        written += block.len();
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = scene
        .command(
            &[],
            &[
                "filter",
                "-f",
                "--from",
                "start",
                "--max-mem",
                "4MiB",
                "app.log",
            ],
        )
        .stdout(writer)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let_pass(Duration::from_millis(400));
    let stalled = peak(child.id());
    let mut reader = std::io::BufReader::new(reader);
    let mut taken = 0;
    while taken < written {
        let length = std::io::BufRead::fill_buf(&mut reader).unwrap().len();
        std::io::BufRead::consume(&mut reader, length);
        taken += length;
    }
    let later = peak(child.id());
    super::scene::signal(child.id(), "TERM");
    drop(reader);
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(
        stalled.max(later) < 64 << 20,
        "{stalled} and {later} bytes at most"
    );
}

#[test]
fn f46_within_an_address_space_limit() {
    if !has("prlimit") {
        return;
    }
    let scene = Scene::new();
    let mut source = Source::new(0);
    for _ in 0..20 {
        scene.append("app.log", &source.next(10_000));
    }
    let running = scene.start(
        &["prlimit", "--as=536870912"],
        &["filter", "-f", "--from", "start", "-O", "out", "app.log"],
    );
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f46_no_memory_left_is_an_error_and_no_abort() {
    if !has("prlimit") {
        return;
    }
    // Messages of which no two are alike, so that every table fills.
    let scene = Scene::new();
    let mut random = 7u64;
    let mut word = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let letter = |place: u32| char::from(b'a' + (random >> (20 + place * 4)) as u8 % 16);
        (0..8).map(letter).collect::<String>()
    };
    let mut text = String::new();
    for _ in 0..60_000 {
        let words: Vec<String> = (0..6).map(|_| word()).collect();
        text.push_str(&format!("ERROR {}\n", words.join(" ")));
    }
    scene.append("app.log", text.as_bytes());
    let ran = scene
        .start(&["prlimit", "--as=80000000"], &["-l", "trace", "app.log"])
        .ended();
    assert_eq!(ran.code, 74, "{}", ran.stderr);
    assert!(ran.stderr.contains("out of memory"), "{}", ran.stderr);
}

#[test]
fn f29_no_file_may_grow_that_far() {
    // EFBIG, with the signal that would kill a program that does not expect it.
    if !has("prlimit") {
        return;
    }
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(5000));
    let limited = ["prlimit", "--fsize=100000"];
    let mut running = scene.start(
        &limited,
        &[
            "filter", "-f", "--from", "start", "--state", "state", "-O", "out", "app.log",
        ],
    );
    until("a word about the limit, or the end", || {
        !running.is_alive() || running.stderr().contains("out")
    });
    running.kill();
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f44_wall_clock_jumps() {
    // What a jump of the wall clock leaves on files: times of the future and of the past.
    use std::time::SystemTime;
    let scene = Scene::new();
    let mut source = Source::new(0);
    let year = Duration::from_secs(365 * 86_400);
    for round in 0..4 {
        scene.append("app.log", &source.next(100));
        let running = scene.filter_with_state(&["app.log*"]);
        scene.until_out(&[&source]);
        for time in [
            SystemTime::now() + 10 * year,
            SystemTime::now() - Duration::from_secs(3600),
            SystemTime::UNIX_EPOCH,
        ] {
            scene.append("app.log", &source.next(10));
            let file = fs::File::options().append(true).open(scene.path("app.log"));
            file.unwrap().set_modified(time).unwrap();
            scene.until_out(&[&source]);
        }
        scene.rename("app.log", &format!("app.log.{}", 9 - round));
        running.terminate();
    }
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f44_monotonic_clock_jumps_over_a_restart() {
    // A boot starts the monotonic clock anew: nothing in the state may count by it.
    if !has("unshare") {
        return;
    }
    let ahead = [
        "unshare",
        "-Ur",
        "--time",
        "--fork",
        "--kill-child",
        "--monotonic",
        "864000",
        "--boottime",
        "864000",
    ];
    let allowed = Command::new(ahead[0])
        .args(&ahead[1..])
        .arg("true")
        .output();
    if !allowed.is_ok_and(|ran| ran.status.success()) {
        super::scene::skipped("no time namespace can be made here");
        return;
    }
    let scene = Scene::new();
    let mut source = Source::new(0);
    let args = [
        "filter", "-f", "--from", "start", "-O", "out", "--state", "state", "app.log",
    ];
    for wrapper in [&[][..], &ahead, &[], &ahead] {
        scene.append("app.log", &source.next(100));
        let running = scene.start(wrapper, &args);
        scene.until_out(&[&source]);
        scene.append("app.log", &source.next(100));
        scene.until_out(&[&source]);
        running.kill();
        // The child of the namespace goes with its parent; its lock is free when it is gone.
        until("the lock", || {
            Command::new("flock")
                .args(["-n", "state/lock", "true"])
                .current_dir(scene.folder())
                .status()
                .is_ok_and(|status| status.success())
        });
    }
    exactly(&scene.read("out"), &[&source]);
}
