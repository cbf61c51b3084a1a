//! Rows F50–F52 and the output file's own rotation: what others do to our output, where our own talk
//! goes, and an output that stands among the inputs.

use std::process::Stdio;
use std::time::Duration;

use super::scene::{Scene, Source, exactly, let_pass, until};

#[test]
fn f50_output_deleted_by_others() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    exactly(&scene.read("out"), &[&source]);
    scene.remove("out");
    running.signal("HUP");
    let mut probe = Source::new(1);
    until("a new output", || scene.path("out").exists());
    scene.append("app.log", &probe.next(100));
    scene.until_out(&[&probe]);
    running.terminate();
    exactly(&scene.read("out"), &[&probe]);
}

#[test]
fn f50_output_emptied_by_others() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    scene.truncate("out");
    let mut later = Source::new(1);
    scene.append("app.log", &later.next(100));
    scene.until_out(&[&later]);
    // No hole, no NUL bytes, nothing cut: what is written from now on is whole.
    exactly(&scene.read("out"), &[&later]);
    running.kill();
    let mut last = Source::new(2);
    scene.append("app.log", &last.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    until("the last lines", || {
        let out = scene.read("out");
        let all = last.all();
        let line = super::scene::lines(&all).last().unwrap().to_vec();
        super::scene::lines(&out).any(|other| other == line)
    });
    let ran = running.terminate();
    // The claim of exactness ended with the truncation; nothing new may be lost.
    let (missing, _) = super::scene::compare(&scene.read("out"), &[&last], &[&source, &later]);
    assert!(missing.is_empty(), "{missing:?}\n{}", ran.stderr);
}

#[test]
fn f50_output_replaced_while_stopped() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    running.terminate();
    scene.rename("out", "taken-away");
    let mut later = Source::new(1);
    scene.append("app.log", &later.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&later]);
    running.terminate();
    exactly(&scene.read("taken-away"), &[&source]);
    exactly(&scene.read("out"), &[&later]);
}

#[test]
fn f51_standard_error_closed_or_full() {
    for redirection in ["2>&-", "2>/dev/full"] {
        let scene = Scene::new();
        let mut source = Source::new(0);
        scene.append("app.log", &source.next(100));
        let script = format!("exec \"$0\" \"$@\" {redirection}");
        let running = scene.start(
            &["sh", "-c", &script],
            &[
                "filter", "-f", "--from", "start", "-O", "out", "--state", "state", "app.log*",
            ],
        );
        scene.until_out(&[&source]);
        // Things to complain about.
        std::os::unix::fs::symlink("/dev/zero", scene.path("app.log.zero")).unwrap();
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", &source.next(100));
        scene.until_out(&[&source]);
        running.terminate();
        exactly(&scene.read("out"), &[&source]);
        for entry in std::fs::read_dir(scene.path("state")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(5).any(|window| window == b"weir:"),
                "our own talk is in {}",
                path.display()
            );
        }
    }
}

#[test]
fn f52_own_output_among_the_inputs() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let running = scene.start(
        &[],
        &["filter", "-f", "--from", "start", "-O", "out.log", "*.log"],
    );
    scene.until_length("out.log", source.all().len() as u64);
    for _ in 0..5 {
        scene.append("app.log", &source.next(10));
        scene.until_length("out.log", source.all().len() as u64);
    }
    let_pass(Duration::from_millis(100));
    let ran = running.terminate();
    exactly(&scene.read("out.log"), &[&source]);
    assert!(ran.stderr.contains("out.log"), "{}", ran.stderr);
}

#[test]
fn f52_own_standard_streams_among_the_inputs() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let open = |name: &str| std::fs::File::create(scene.path(name)).unwrap();
    let mut child = scene
        .command(&[], &["filter", "-f", "--from", "start", "*.log"])
        .stdin(Stdio::null())
        .stdout(open("stdout.log"))
        .stderr(open("stderr.log"))
        .spawn()
        .unwrap();
    scene.until_length("stdout.log", source.all().len() as u64);
    scene.append("app.log", &source.next(10));
    scene.until_length("stdout.log", source.all().len() as u64);
    let_pass(Duration::from_millis(100));
    super::scene::signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    exactly(&scene.read("stdout.log"), &[&source]);
    assert!(scene.length("stderr.log") < 10_000, "talks to itself");
}

/// The rotated parts of the output and the output, oldest first.
fn parts(scene: &Scene) -> (usize, Vec<u8>) {
    let mut names: Vec<(u64, String)> = std::fs::read_dir(scene.folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| Some((name.strip_prefix("out.")?.parse().ok()?, name)))
        .collect();
    names.sort();
    names.reverse();
    let mut all = Vec::new();
    for (_, name) in &names {
        all.extend(scene.read(name));
    }
    all.extend(scene.read("out"));
    (names.len(), all)
}

#[test]
fn output_rotated_by_size() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    let args = ["--rotate-size", "16KiB", "--rotate-keep", "100", "app.log"];
    let running = scene.filter_with_state(&args);
    for _ in 0..20 {
        scene.append("app.log", &source.next(100));
        let bytes = source.all().len();
        until("all lines", || parts(&scene).1.len() >= bytes);
    }
    let bytes = source.all().len();
    running.terminate();
    let (count, all) = parts(&scene);
    exactly(&all, &[&source]);
    assert!(
        count >= bytes / (64 << 10),
        "{count} parts of {bytes} bytes"
    );
}

#[test]
fn output_rotated_by_size_over_kills() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    let args = ["--rotate-size", "8KiB", "--rotate-keep", "1000", "app.log"];
    for _ in 0..10 {
        let running = scene.filter_with_state(&args);
        for _ in 0..8 {
            scene.append("app.log", &source.next(50));
            let_pass(Duration::from_millis(8));
        }
        running.kill();
    }
    let running = scene.filter_with_state(&args);
    let bytes = source.all().len();
    until("all lines", || parts(&scene).1.len() >= bytes);
    running.terminate();
    exactly(&parts(&scene).1, &[&source]);
}

#[test]
fn rotated_output_is_kept_so_often() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    let running = scene.filter(&["--rotate-size", "4KiB", "--rotate-keep", "3", "app.log"]);
    let last = loop {
        scene.append("app.log", &source.next(100));
        let_pass(Duration::from_millis(5));
        if source.written() >= 3000 {
            let all = source.all();
            break super::scene::lines(&all).last().unwrap().to_vec();
        }
    };
    until("the last line", || scene.read("out").ends_with(&last));
    running.terminate();
    assert_eq!(parts(&scene).0, 3);
}
