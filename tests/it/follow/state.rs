//! Rows F27, F28, F31 and S7: the state directory when it is damaged, taken, from another version or
//! not ours.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use crate::program::run_in;

use super::scene::{Mount, Scene, Source, compare, exactly, is_root, until};

/// The checkpoints, newest first.
fn checkpoints(scene: &Scene) -> Vec<PathBuf> {
    let mut found: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(scene.path("state"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("checkpoint")
        })
        .map(|path| (fs::metadata(&path).unwrap().modified().unwrap(), path))
        .collect();
    found.sort();
    found.reverse();
    found.into_iter().map(|(_, path)| path).collect()
}

/// A scene with two checkpoints and a process that was killed behind them.
fn killed_with_two_checkpoints(source: &mut Source) -> Scene {
    let scene = Scene::new();
    for _ in 0..2 {
        scene.append("app.log", &source.next(200));
        let running = scene.filter_with_state(&["app.log"]);
        scene.until_out(&[source]);
        running.terminate();
    }
    scene.append("app.log", &source.next(200));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[source]);
    running.kill();
    scene
}

/// One way to damage a checkpoint.
type Damage = fn(&mut Vec<u8>);

const DAMAGES: [(&str, Damage); 9] = [
    ("empty", |bytes| bytes.clear()),
    ("cut to a byte", |bytes| bytes.truncate(1)),
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("cut before the last byte", |bytes| {
        bytes.truncate(bytes.len() - 1)
    }),
    ("first byte changed", |bytes| bytes[0] ^= 1),
    ("a bit in the middle changed", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
    }),
    ("last byte changed", |bytes| {
        *bytes.last_mut().unwrap() ^= 0x80
    }),
    ("zeroed", |bytes| bytes.fill(0)),
    ("second half zeroed", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0);
    }),
];

#[test]
fn f27_damaged_newest_checkpoint() {
    for (name, damage) in DAMAGES {
        let mut source = Source::new(0);
        let scene = killed_with_two_checkpoints(&mut source);
        let newest = checkpoints(&scene).remove(0);
        let mut bytes = fs::read(&newest).unwrap();
        damage(&mut bytes);
        fs::write(&newest, bytes).unwrap();
        scene.append("app.log", &source.next(100));
        let running = scene.filter_with_state(&["app.log"]);
        scene.until_out(&[&source]);
        let ran = running.terminate();
        let (missing, surplus) = compare(&scene.read("out"), &[&source], &[]);
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{name}: {missing:?} {surplus:?}\n{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("checkpoint"),
            "{name}: no word about it: {}",
            ran.stderr
        );
    }
}

#[test]
fn f27_missing_newest_checkpoint() {
    let mut source = Source::new(0);
    let scene = killed_with_two_checkpoints(&mut source);
    fs::remove_file(checkpoints(&scene).remove(0)).unwrap();
    scene.append("app.log", &source.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f27_both_checkpoints_damaged() {
    // Never silently from the end and never a refusal for ever: it says so, and either stops with the
    // remedy or reads everything again.
    let mut source = Source::new(0);
    let scene = killed_with_two_checkpoints(&mut source);
    for path in checkpoints(&scene) {
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes.truncate(middle);
        fs::write(&path, bytes).unwrap();
    }
    scene.append("app.log", &source.next(100));
    let mut running = scene.filter_with_state(&["app.log"]);
    until("an end or all lines", || {
        !running.is_alive() || scene.length("out") >= source.all().len() as u64
    });
    if running.is_alive() {
        let ran = running.terminate();
        assert!(ran.stderr.contains("state"), "silent: {}", ran.stderr);
        let (missing, _) = compare(&scene.read("out"), &[&source], &[]);
        assert!(missing.is_empty(), "{missing:?}");
    } else {
        let ran = running.ended();
        assert_ne!(ran.code, 0);
        assert!(ran.stderr.contains("state"), "{}", ran.stderr);
        // With the remedy the message names, life goes on.
        fs::remove_dir_all(scene.path("state")).unwrap();
        fs::remove_file(scene.path("out")).unwrap();
        let running = scene.filter_with_state(&["app.log"]);
        scene.until_out(&[&source]);
        running.terminate();
        exactly(&scene.read("out"), &[&source]);
    }
}

#[test]
fn f27_damaged_journal() {
    for (name, damage) in DAMAGES {
        let mut source = Source::new(0);
        let scene = killed_with_two_checkpoints(&mut source);
        let mut journals: Vec<PathBuf> = fs::read_dir(scene.path("state"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("journal")
            })
            .filter(|path| fs::metadata(path).unwrap().len() > 0)
            .collect();
        journals.sort();
        let newest = journals.pop().expect("a journal of the killed process");
        let mut bytes = fs::read(&newest).unwrap();
        damage(&mut bytes);
        fs::write(&newest, bytes).unwrap();
        scene.append("app.log", &source.next(100));
        let running = scene.filter_with_state(&["app.log"]);
        // What the journal no longer knows is cut from the output and comes again, or it stays and is
        // known to be there: in both cases every line is there, and at most what was behind the damage
        // twice.
        until("all lines", || {
            compare(&scene.read("out"), &[&source], &[]).0.is_empty()
        });
        let ran = running.terminate();
        let (missing, surplus) = compare(&scene.read("out"), &[&source], &[]);
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{name}: {missing:?} {surplus:?}\n{}",
            ran.stderr
        );
    }
}

#[test]
fn f27_output_torn_or_shorter_than_the_state_says() {
    for cut in [1u64, 50, 3000] {
        let mut source = Source::new(0);
        let scene = killed_with_two_checkpoints(&mut source);
        let length = scene.length("out");
        fs::File::options()
            .write(true)
            .open(scene.path("out"))
            .unwrap()
            .set_len(length - cut)
            .unwrap();
        scene.append("app.log", &source.next(100));
        let running = scene.filter_with_state(&["app.log"]);
        scene.until_out(&[&source]);
        running.terminate();
        exactly(&scene.read("out"), &[&source]);
    }
}

#[test]
fn f27_more_files_than_the_inputs_have_rows() {
    // Both checkpoints were refused from then on, at every start and by `state show`.
    let scene = Scene::new();
    fs::create_dir(scene.path("logs")).unwrap();
    for number in 0..10_002 {
        fs::write(
            scene.path(&format!("logs/{number}.log")),
            "ERROR disk is full\n",
        )
        .unwrap();
    }
    let configuration = "[[source]]\ntype = \"file\"\ninclude = [\"logs/*.log\"]\n\n[[sink]]\ntype = \"file\"\n\
                         path = \"out\"\n\n[run]\nstate_dir = \"state\"\n";
    fs::write(scene.path("w.toml"), configuration).unwrap();
    let args = ["run", "-q", "-c", "w.toml"];
    let line = "ERROR disk is full\n".len() as u64;
    let running = scene.start(&[], &args);
    scene.until_length("out", 10_002 * line);
    running.terminate();
    let show = ["state", "show", "state", "-o", "json"];
    let shown = run_in(scene.folder(), show).exits(0);
    assert_eq!(
        (shown.json()["records"].as_u64(), &*shown.stderr),
        (Some(10_002), "")
    );
    scene.append("logs/10001.log", b"ERROR disk is full\n");
    scene.append("logs/later.log", b"ERROR disk is full\n");
    let running = scene.start(&[], &args);
    scene.until_length("out", 10_004 * line);
    running.terminate();
    assert_eq!(scene.length("out"), 10_004 * line);
    assert_eq!(run_in(scene.folder(), show).json()["records"], 10_004);
}

#[test]
fn f28_a_newer_version_is_not_touched() {
    let mut source = Source::new(0);
    let scene = killed_with_two_checkpoints(&mut source);
    let before: Vec<(PathBuf, Vec<u8>)> = checkpoints(&scene)
        .into_iter()
        .map(|path| {
            let mut bytes = fs::read(&path).unwrap();
            newer(&mut bytes);
            fs::write(&path, &bytes).unwrap();
            (path, bytes)
        })
        .collect();
    let out = scene.read("out");
    let mut running = scene.filter_with_state(&["app.log"]);
    assert!(!running.status().success());
    let ran = running.ended();
    assert!(ran.stderr.contains("newer"), "{}", ran.stderr);
    for (path, bytes) in before {
        assert!(fs::read(path).unwrap() == bytes, "overwritten");
    }
    assert!(scene.read("out") == out);
}

/// Makes a checkpoint one of the next version: the eighth byte is the version's digit.
fn newer(bytes: &mut [u8]) {
    assert_eq!(&bytes[..8], b"weirckp1");
    bytes[7] = b'2';
}

#[test]
fn f31_two_on_one_state_directory() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(10));
    let first = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    let second = scene.start(
        &[],
        &["filter", "-f", "--state", "state", "-O", "other", "app.log"],
    );
    let ran = second.ended();
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("state"), "{}", ran.stderr);
    scene.append("app.log", &source.next(10));
    scene.until_out(&[&source]);
    first.terminate();
    exactly(&scene.read("out"), &[&source]);
    // The lock goes with its holder, also when that is killed.
    let running = scene.filter_with_state(&["app.log"]);
    scene.append("app.log", &source.next(10));
    scene.until_out(&[&source]);
    running.kill();
    let running = scene.filter_with_state(&["app.log"]);
    scene.append("app.log", &source.next(10));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f31_a_state_directory_that_cannot_be_written() {
    let scene = Scene::new();
    scene.append("app.log", b"one\n");
    scene.append("file", b"not a directory\n");
    let ran = scene
        .start(
            &[],
            &["filter", "-f", "--state", "file", "-O", "out", "app.log"],
        )
        .ended();
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("file"), "{}", ran.stderr);
    let Some(_disk) = Mount::memory(&scene, "disk", "size=64k,ro") else {
        return;
    };
    for state in ["disk", "disk/state"] {
        let ran = scene
            .start(
                &[],
                &["filter", "-f", "--state", state, "-O", "out", "app.log"],
            )
            .ended();
        assert_ne!(ran.code, 0);
        assert!(ran.stderr.contains(state), "{}", ran.stderr);
    }
}

#[test]
fn f31_a_state_directory_of_somebody_else() {
    if !is_root() {
        super::scene::skipped("giving a directory away needs root");
        return;
    }
    let scene = Scene::new();
    scene.append("app.log", b"one\n");
    fs::create_dir(scene.path("state")).unwrap();
    std::os::unix::fs::chown(scene.path("state"), Some(65534), None).unwrap();
    let ran = scene
        .start(
            &[],
            &["filter", "-f", "--state", "state", "-O", "out", "app.log"],
        )
        .ended();
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("state"), "{}", ran.stderr);
}

#[test]
fn s07_state_and_output_are_for_their_owner_alone() {
    let mut source = Source::new(0);
    let scene = killed_with_two_checkpoints(&mut source);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(scene.path("state")), 0o700);
    for entry in fs::read_dir(scene.path("state")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
    assert_eq!(mode(scene.path("out")), 0o600);
}

#[test]
fn s07_links_in_the_state_directory_are_not_followed() {
    let mut source = Source::new(0);
    let scene = killed_with_two_checkpoints(&mut source);
    let victim = b"somebody else's file\n";
    fs::write(scene.path("victim"), victim).unwrap();
    let inode = fs::metadata(scene.path("victim")).unwrap().ino();
    for entry in fs::read_dir(scene.path("state")).unwrap() {
        let path = entry.unwrap().path();
        fs::remove_file(&path).unwrap();
        symlink(scene.path("victim"), &path).unwrap();
    }
    scene.append("app.log", &source.next(10));
    let mut running = scene.filter_with_state(&["app.log"]);
    // Whether it goes on or stops, it does not write there.
    until("the new lines, or the end", || {
        !running.is_alive() || scene.length("out") >= source.all().len() as u64
    });
    if running.is_alive() {
        running.signal("TERM");
    }
    running.status();
    let ran = running.ended();
    assert_eq!(
        fs::read(scene.path("victim")).unwrap(),
        victim,
        "{}",
        ran.stderr
    );
    assert_eq!(fs::metadata(scene.path("victim")).unwrap().ino(), inode);
}

#[test]
fn s07_snapshots_and_baselines_are_written_through_no_link() {
    let scene = Scene::new();
    let precious = b"somebody else's file\n";
    fs::write(scene.path("victim"), precious).unwrap();
    scene.append("app.log", b"2026-11-23T02:00:00Z ERROR disk is full\n");
    let written = [
        ("snap", vec!["--snapshot", "snap", "app.log"]),
        ("merged", vec!["merge", "snap", "--snapshot", "merged"]),
        ("base", vec!["baseline", "learn", "base", "app.log"]),
        (
            "acked",
            vec!["baseline", "ack", "acked", "f1:0000000000000001"],
        ),
    ];
    for (name, args) in written {
        for link in [format!("{name}.tmp"), name.to_owned()] {
            // A baseline is read before it is written, and what is no baseline is refused.
            if link != "base" && link != "acked" {
                symlink(scene.path("victim"), scene.path(&link)).unwrap();
            }
            run_in(scene.folder(), &args).exits(0);
            assert_eq!(scene.read("victim"), precious, "{link}");
            let found = fs::symlink_metadata(scene.path(name)).unwrap();
            assert!(found.is_file(), "{link}");
            assert_eq!(found.permissions().mode() & 0o777, 0o600, "{link}");
            fs::remove_file(scene.path(name)).unwrap();
        }
        run_in(scene.folder(), &args).exits(0);
    }
    let left: Vec<String> = fs::read_dir(scene.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".weir"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // As root a rename over a device took it away from the whole machine.
    let fifo = scene.path("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    run_in(scene.folder(), ["--snapshot", "fifo", "app.log"])
        .exits(2)
        .says("no regular file");
}

#[test]
fn without_a_state_directory_that_is_said() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(10));
    let running = scene.filter(&["app.log"]);
    scene.until_out(&[&source]);
    let ran = running.terminate();
    assert!(ran.stderr.contains("--state"), "{}", ran.stderr);
    exactly(&scene.read("out"), &[&source]);
}
