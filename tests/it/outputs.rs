//! What is written must not be what is read: by device and inode, whatever the names are.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use crate::follow::scene::{Scene, until};
use crate::program::{Ran, run_in, weir};

const LINES: &str = "2026-03-14T09:00:00Z ERROR one\n2026-03-14T09:00:01Z ERROR two\n";

/// A folder with `in.log` under several names.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("in.log"), LINES).unwrap();
    fs::write(at("other.log"), LINES).unwrap();
    fs::hard_link(at("in.log"), at("hard.log")).unwrap();
    symlink("in.log", at("soft.log")).unwrap();
    symlink(".", at("linked")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(at("fifo"))
        .status();
    assert!(made.unwrap().success());
    folder
}

/// Runs with standard streams that are files.
fn redirected(folder: &Path, arguments: &[&str], stdin: Option<&str>, append: Option<&str>) -> Ran {
    let mut command = weir(arguments);
    command.current_dir(folder);
    if let Some(name) = stdin {
        command.stdin(File::open(folder.join(name)).unwrap());
    }
    let output = match append {
        None => command.output().unwrap(),
        Some(name) => {
            let file = File::options().append(true).open(folder.join(name));
            let child = command
                .stdout(file.unwrap())
                .stderr(std::process::Stdio::piped())
                .spawn();
            child.unwrap().wait_with_output().unwrap()
        }
    };
    Ran::new(output)
}

#[test]
fn an_output_that_is_an_input_is_refused_before_it_is_opened() {
    for arguments in [
        &["filter", "-O", "in.log", "in.log"][..],
        &["filter", "-O", "in.log", "./in.log"],
        &["filter", "-O", "soft.log", "in.log"],
        &["filter", "-O", "hard.log", "in.log"],
        &["filter", "-O", "linked/in.log", "in.log"],
        &["filter", "-O", "in.log", "other.log", "soft.log"],
        &["filter", "-c", "-O", "in.log", "hard.log"],
        &[
            "filter", "-f", "--from", "start", "-O", "in.log", "soft.log",
        ],
        &["filter", "-f", "-O", "new.log", "linked/new.log"],
        &[
            "filter",
            "-f",
            "-O",
            "new.log",
            "--rotate-size",
            "1k",
            "new.log.1",
        ],
        &["-O", "in.log", "in.log"],
        &["-O", "in.log", "-f", "soft.log"],
        &["--snapshot", "in.log", "in.log"],
        &["--snapshot", "hard.log", "in.log"],
        &["-O", "new", "--snapshot", "new", "in.log"],
        &["-O", "new", "--snapshot", "linked/new", "in.log"],
        &["-O", "hard.log", "--snapshot", "in.log", "other.log"],
        &["--snapshot", "linked", "in.log"],
        &["--snapshot", "fifo", "in.log"],
        &["baseline", "ack", "fifo", "a message"],
        &["baseline", "learn", "fifo", "in.log"],
        &["merge", "-O", "in.log", "soft.log"],
        &["baseline", "learn", "in.log", "other.log", "hard.log"],
        &[
            "filter",
            "-f",
            "--state",
            "state",
            "-O",
            "state/out",
            "in.log",
        ],
        &["filter", "-f", "--state", "linked", "-O", "out", "in.log"],
    ] {
        let folder = folder();
        let ran = run_in(folder.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains('"'), "{arguments:?}: {}", ran.stderr);
        for name in ["in.log", "other.log"] {
            let left = fs::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(left, LINES, "{arguments:?}: {name}");
        }
        assert!(!folder.path().join("new").exists(), "{arguments:?}");
        let kind = fs::symlink_metadata(folder.path().join("fifo")).unwrap();
        assert!(kind.file_type().is_fifo(), "{arguments:?}");
    }
}

#[test]
fn standard_streams_that_are_the_same_file_are_refused() {
    for (arguments, stdin, append) in [
        (&["filter", "-O", "in.log"][..], Some("in.log"), None),
        (&["filter", "-O", "in.log", "-"], Some("hard.log"), None),
        (&["-O", "in.log"], Some("in.log"), None),
        (&["--snapshot", "in.log"], Some("in.log"), None),
        (&["filter"], Some("in.log"), Some("in.log")),
        (&["filter", "in.log"], None, Some("in.log")),
        (&["filter", "other.log", "soft.log"], None, Some("hard.log")),
        (&["filter", "-f", "in.log"], None, Some("in.log")),
        (&["-O", "/dev/stdout", "in.log"], None, Some("in.log")),
    ] {
        let folder = folder();
        let ran = redirected(folder.path(), arguments, stdin, append);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("same file"), "{}", ran.stderr);
        let left = fs::read_to_string(folder.path().join("in.log")).unwrap();
        assert_eq!(left, LINES, "{arguments:?}");
    }
}

#[test]
fn what_is_no_clash_still_works() {
    let folder = folder();
    let ran = |arguments: &[&str]| run_in(folder.path(), arguments);
    ran(&["filter", "-O", "/dev/null", "in.log"]).exits(0);
    ran(&["filter", "-O", "out", "/dev/null", "in.log"]).exits(0);
    ran(&["-O", "report", "--snapshot", "one", "in.log"]).exits(0);
    // The merged state may take the place of one of its parts.
    ran(&["merge", "--snapshot", "one", "one", "one"]).exits(0);
    redirected(
        folder.path(),
        &["filter"],
        Some("in.log"),
        Some("other.log"),
    )
    .exits(0);
}

#[test]
fn a_glob_does_not_mean_the_output() {
    let folder = folder();
    fs::write(folder.path().join("out.log"), "old\n").unwrap();
    let ran = run_in(folder.path(), ["filter", "-O", "out.log", "o*.log"]).exits(0);
    assert_eq!(
        ran.stderr.matches("out.log: not read").count(),
        1,
        "{}",
        ran.stderr
    );
    let written = fs::read_to_string(folder.path().join("out.log")).unwrap();
    assert_eq!(written, LINES);
    // Nothing is left to be read, which is not standard input.
    run_in(folder.path(), ["filter", "-O", "out.log", "out*.log"]).exits(66);
}

#[test]
fn check_refuses_sinks_on_one_file_on_inputs_and_in_the_state_directory() {
    let sink = |path: &str| format!("[[sink]]\ntype = \"file\"\npath = \"{path}\"\n");
    let summary = |path: &str| format!("{}what = \"summary\"\n", sink(path));
    let source = "[[source]]\ntype = \"file\"\ninclude = [\"in.log\"]\n";
    let state = "[run]\nstate_dir = \"state\"\n";
    for (text, want) in [
        (sink("same.log") + &summary("./same.log"), "same file"),
        (sink("same.log") + &summary("linked/same.log"), "same file"),
        (
            sink("other.log") + &summary("linked/other.log"),
            "same file",
        ),
        (sink("in.log") + &summary("hard.log"), "same file"),
        (source.to_owned() + &sink("./in.log"), "same file"),
        (source.to_owned() + &sink("soft.log"), "same file"),
        (source.to_owned() + &summary("hard.log"), "same file"),
        (sink("weir.toml"), "same file"),
        (state.to_owned() + &sink("state/out"), "state directory"),
        (
            state.to_owned() + &sink("linked/state/sub/out"),
            "state directory",
        ),
        (
            sink("a.log") + "rotate_size = \"1k\"\n" + &summary("a.log.3"),
            "same file",
        ),
        (
            sink("a.log")
                + "[[notifier]]\nname = \"n\"\ntype = \"file\"\npath = \"linked/a.log\"\n",
            "same file",
        ),
    ] {
        let folder = folder();
        fs::write(folder.path().join("weir.toml"), &text).unwrap();
        for command in ["check", "run"] {
            let ran = run_in(folder.path(), [command, "-c", "weir.toml"]);
            assert_eq!(ran.code, 78, "{command} {text}{}", ran.stderr);
            assert!(ran.stderr.contains(want), "{text}{}", ran.stderr);
        }
        assert_eq!(
            fs::read_to_string(folder.path().join("in.log")).unwrap(),
            LINES
        );
    }
    let folder = folder();
    for text in [
        sink("a.log") + &summary("b.log"),
        sink("a.log") + &summary("a.log.1"),
        state.to_owned() + &sink("state.log"),
        source.to_owned() + &sink("out.log"),
    ] {
        fs::write(folder.path().join("weir.toml"), &text).unwrap();
        run_in(folder.path(), ["check", "-c", "weir.toml"]).exits(0);
    }
}

/// Follows `*.log` into `out`, until the lines are there that `change` brings a second name for.
fn followed(flags: &[&str], change: impl FnOnce(&Scene)) {
    let scene = Scene::new();
    scene.append("a.log", LINES.as_bytes());
    let following = scene.filter(&[flags, &["--poll", "*.log*"]].concat());
    scene.until_length("out", LINES.len() as u64);
    change(&scene);
    // What comes later shows that the names were looked at since.
    scene.append("later.log", b"2026-03-14T09:00:02Z ERROR last\n");
    let all = || {
        let names = fs::read_dir(scene.folder()).unwrap();
        let outs = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let outs = outs.filter(|name| name.starts_with("out") || name.starts_with("mine"));
        outs.flat_map(|name| scene.read(&name)).collect::<Vec<u8>>()
    };
    let count = |word: &str| String::from_utf8_lossy(&all()).matches(word).count();
    until("the last line", || count("last") > 0);
    until("the file is named", || {
        let said = String::from_utf8_lossy(&scene.read("stderr-1")).into_owned();
        said.contains("our own output")
    });
    let said = following.terminate().stderr;
    assert_eq!(said.matches("our own output").count(), 1, "{said}");
    assert_eq!(
        (count("one"), count("two"), count("last")),
        (1, 1, 1),
        "{said}"
    );
}

#[test]
fn an_output_that_gets_a_followed_name_later_is_not_read() {
    followed(&[], |scene| symlink("out", scene.path("soft.log")).unwrap());
}

#[test]
fn a_hard_link_to_an_output_is_not_read() {
    followed(&[], |scene| {
        fs::hard_link(scene.path("out"), scene.path("hard.log")).unwrap();
    });
}

#[test]
fn an_output_that_was_rotated_and_renamed_into_the_glob_is_not_read() {
    followed(&["--rotate-size", "100"], |scene| {
        scene.append(
            "b.log",
            b"2026-03-14T09:00:03Z ERROR a line that does not fit into the first file\n",
        );
        until("a rotation", || scene.length("out.1") > 0);
        // A new file is found by a look at all names, and so was the rotated one.
        scene.append("c.log", b"2026-03-14T09:00:04Z ERROR c\n");
        until("a look", || {
            let out = [scene.read("out"), scene.read("out.1")].concat();
            String::from_utf8_lossy(&out).contains("ERROR c")
        });
        scene.rename("out.1", "mine.log");
    });
}

#[test]
fn a_followed_file_that_becomes_the_output_is_let_go() {
    let scene = Scene::new();
    scene.append("a.log", LINES.as_bytes());
    let following = scene.filter(&["--poll", "*.log"]);
    scene.until_length("out", LINES.len() as u64);
    scene.append("b.log", b"2026-03-14T09:00:02Z ERROR three\n");
    scene.until_length("out", LINES.len() as u64 + 33);
    scene.rename("b.log", "out");
    // The output is opened anew with the first line after a second.
    until("a line in the new output", || {
        scene.append("a.log", b"2026-03-14T09:00:03Z ERROR four\n");
        String::from_utf8_lossy(&scene.read("out")).contains("four")
    });
    until("the file is named", || {
        String::from_utf8_lossy(&scene.read("stderr-1")).contains("our own output")
    });
    let length = scene.length("out");
    scene.append("a.log", b"2026-03-14T09:00:04Z ERROR five\n");
    until("the next line", || scene.length("out") > length);
    following.terminate();
    let out = String::from_utf8_lossy(&scene.read("out")).into_owned();
    assert_eq!(out.matches("five").count(), 1, "{out}");
}

#[test]
fn a_run_reads_neither_its_sinks_nor_its_state_directory() {
    let scene = Scene::new();
    scene.append("a.log", LINES.as_bytes());
    fs::write(
        scene.path("weir.toml"),
        "[run]\nstate_dir = \"state\"\ninterval = \"1s\"\n\
         [[source]]\ntype = \"file\"\ninclude = [\"*.log\", \"state/*\"]\npoll = true\n\
         [[sink]]\ntype = \"file\"\npath = \"out\"\n\
         [[sink]]\ntype = \"file\"\npath = \"summaries\"\nwhat = \"summary\"\n",
    )
    .unwrap();
    fs::write(scene.path("out"), "").unwrap();
    fs::write(scene.path("summaries"), "").unwrap();
    fs::hard_link(scene.path("out"), scene.path("hard.log")).unwrap();
    symlink("summaries", scene.path("soft.log")).unwrap();
    let following = scene.start(&[], &["run", "-c", "weir.toml"]);
    until("the lines", || scene.length("out") >= LINES.len() as u64);
    until("every file is named", || {
        let said = String::from_utf8_lossy(&scene.read("stderr-1")).into_owned();
        ["hard.log", "soft.log", "state/"]
            .iter()
            .all(|name| said.contains(name))
    });
    following.terminate();
    let out = String::from_utf8_lossy(&scene.read("out")).into_owned();
    assert_eq!(out, LINES);
}
