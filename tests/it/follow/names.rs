//! Rows F12 and F19–F22, and what the command line says about which files are followed: links,
//! globs, limits, and things that are no files.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use super::scene::{Mount, Scene, Source, exactly, has, let_pass, until};

#[test]
fn f12_a_link_that_moves_on() {
    let scene = Scene::new();
    let mut sources: Vec<Source> = Vec::new();
    let mut running = None;
    for number in 0..30 {
        let mut source = Source::new(number);
        let target = format!("target-{number}");
        scene.append(&target, &source.next(50));
        symlink(scene.path(&target), scene.path("next")).unwrap();
        scene.rename("next", "current.log");
        sources.push(source);
        if running.is_none() {
            running = Some(scene.filter(&["current.log"]));
        }
        scene.until_out(&sources.iter().collect::<Vec<_>>());
        // Seen by now. What comes last before the link moves has to come all the same.
        let more = sources.last_mut().unwrap().next(50);
        scene.append(&target, &more);
    }
    scene.until_out(&sources.iter().collect::<Vec<_>>());
    running.unwrap().terminate();
    exactly(&scene.read("out"), &sources.iter().collect::<Vec<_>>());
}

#[test]
fn f12_links_that_lead_nowhere() {
    let scene = Scene::new();
    symlink(scene.path("b.log"), scene.path("a.log")).unwrap();
    symlink(scene.path("a.log"), scene.path("b.log")).unwrap();
    symlink(scene.path("nothing"), scene.path("dangling.log")).unwrap();
    let mut source = Source::new(0);
    scene.append("fine.log", &source.next(10));
    let running = scene.filter(&["*.log"]);
    scene.until_out(&[&source]);
    let before = running.busy();
    let_pass(Duration::from_millis(500));
    assert!(
        running.busy() - before <= 0.05,
        "spins: {} s",
        running.busy() - before
    );
    // The dangling one may get its target later.
    let mut late = Source::new(1);
    scene.append("nothing", &late.next(10));
    scene.until_out(&[&source, &late]);
    let ran = running.terminate();
    exactly(&scene.read("out"), &[&source, &late]);
    assert!(
        ran.stderr.contains("a.log"),
        "the loop is not named: {}",
        ran.stderr
    );
}

#[test]
fn f19_one_file_under_two_names() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("a.log", &source.next(100));
    fs::hard_link(scene.path("a.log"), scene.path("b.log")).unwrap();
    let running = scene.filter(&["*.log"]);
    scene.until_out(&[&source]);
    scene.append("b.log", &source.next(100));
    scene.until_out(&[&source]);
    scene.append("a.log", &source.next(100));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f19_one_file_over_a_bind_mount() {
    let scene = Scene::new();
    fs::create_dir(scene.path("one")).unwrap();
    let mut source = Source::new(0);
    scene.append("one/a.log", &source.next(100));
    let one = scene.path("one");
    let Some(_mount) = Mount::bind(&scene, "two", &one) else {
        return;
    };
    let running = scene.filter(&["*/a.log"]);
    scene.until_out(&[&source]);
    scene.append("two/a.log", &source.next(100));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f20_no_watches_left() {
    if !has("unshare") {
        return;
    }
    let allowed = Command::new("unshare").args(["-Ur", "true"]).output();
    if !allowed.is_ok_and(|ran| ran.status.success()) {
        super::scene::skipped("no user namespace can be made here");
        return;
    }
    let scene = Scene::new();
    let mut sources: Vec<Source> = (0..20).map(Source::new).collect();
    for (k, source) in sources.iter_mut().enumerate() {
        scene.append(&format!("{k}.log"), &source.next(20));
    }
    let limited = "echo 3 > /proc/sys/user/max_inotify_watches; exec \"$0\" \"$@\"";
    let running = scene.start(
        &["unshare", "-Ur", "sh", "-c", limited],
        &["filter", "-f", "--from", "start", "-O", "out", "*.log"],
    );
    scene.until_out(&sources.iter().collect::<Vec<_>>());
    for (k, source) in sources.iter_mut().enumerate() {
        scene.append(&format!("{k}.log"), &source.next(20));
    }
    let mut late = Source::new(99);
    scene.append("late.log", &late.next(20));
    sources.push(late);
    scene.until_out(&sources.iter().collect::<Vec<_>>());
    let ran = running.terminate();
    exactly(&scene.read("out"), &sources.iter().collect::<Vec<_>>());
    let warnings = ran
        .stderr
        .lines()
        .filter(|line| line.contains("watch") || line.contains("poll"));
    assert_eq!(warnings.count(), 1, "one warning: {}", ran.stderr);
}

#[test]
fn f20_more_changes_than_the_queue_holds() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let running = scene.filter(&["*.log"]);
    scene.until_out(&[&source]);
    running.signal("STOP");
    scene.append("a.log", b"");
    for _ in 0..10_000 {
        scene.rename("a.log", "b.log");
        scene.rename("b.log", "a.log");
    }
    // These changes fall out of the queue.
    scene.append("app.log", &source.next(100));
    let mut new = Source::new(1);
    scene.append("new.log", &new.next(100));
    running.signal("CONT");
    scene.until_out(&[&source, &new]);
    running.terminate();
    exactly(&scene.read("out"), &[&source, &new]);
}

#[test]
fn f21_more_files_than_descriptors() {
    if !has("prlimit") {
        return;
    }
    let scene = Scene::new();
    let mut sources: Vec<Source> = (0..2000).map(Source::new).collect();
    fs::create_dir(scene.path("many")).unwrap();
    let append = |k: usize, bytes: &[u8]| scene.append(&format!("many/{k}.log"), bytes);
    for (k, source) in sources.iter_mut().enumerate() {
        append(k, &source.next(2));
    }
    let running = scene.start(
        &["prlimit", "--nofile=64"],
        &["filter", "-f", "--from", "start", "-O", "out", "many/*.log"],
    );
    scene.until_out(&sources.iter().collect::<Vec<_>>());
    for (k, source) in sources.iter_mut().enumerate().step_by(3) {
        append(k, &source.next(2));
    }
    // Some rotated, some busy at once.
    for k in (0..2000).step_by(100) {
        scene.rename(&format!("many/{k}.log"), &format!("many/{k}.log.1"));
        append(k, &[]);
        let mut source = Source::new(10_000 + k as u64);
        append(k, &source.next(2));
        sources.push(source);
    }
    scene.until_out(&sources.iter().collect::<Vec<_>>());
    assert!(running.descriptors() <= 64);
    running.terminate();
    exactly(&scene.read("out"), &sources.iter().collect::<Vec<_>>());
}

#[test]
fn f22_what_is_no_file_is_not_opened() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    fs::create_dir(scene.path("folder.log")).unwrap();
    make_fifo(&scene, "fifo.log");
    symlink("/dev/zero", scene.path("zero.log")).unwrap();
    symlink("/dev/ptmx", scene.path("terminal.log")).unwrap();
    scene.append("fine.log", &source.next(100));
    let running = scene.filter(&["*.log"]);
    scene.until_out(&[&source]);
    scene.append("fine.log", &source.next(100));
    scene.until_out(&[&source]);
    let ran = running.terminate();
    exactly(&scene.read("out"), &[&source]);
    for name in ["fifo.log", "zero.log"] {
        assert!(
            ran.stderr.contains(name),
            "{name} is not named: {}",
            ran.stderr
        );
    }
}

#[test]
fn s22_a_fifo_by_its_name_is_refused() {
    let scene = Scene::new();
    make_fifo(&scene, "fifo");
    let mut running = scene.filter(&["fifo"]);
    until("a word about the FIFO, or the end", || {
        !running.is_alive() || running.stderr().contains("fifo")
    });
    running.signal("TERM");
    let ran = running.ended();
    assert!(ran.stderr.contains("fifo"), "{}", ran.stderr);
}

fn make_fifo(scene: &Scene, name: &str) {
    let made = Command::new("mkfifo")
        .arg(scene.path(name))
        .status()
        .unwrap();
    assert!(made.success());
}

#[test]
fn f22_a_file_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("fine.log", &source.next(100));
    scene.append("secret.log", b"secret\n");
    fs::set_permissions(scene.path("secret.log"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(scene.path("secret.log")).is_ok() {
        // Root reads everything: give the right away.
        if !has("setpriv") {
            return;
        }
        fs::set_permissions(scene.folder(), fs::Permissions::from_mode(0o777)).unwrap();
        let running = scene.start(
            &[
                "setpriv",
                "--reuid=65534",
                "--clear-groups",
                "--inh-caps=-all",
            ],
            &["filter", "-f", "--from", "start", "-O", "out", "*.log"],
        );
        judge(&scene, running, &source);
    } else {
        let running = scene.filter(&["*.log"]);
        judge(&scene, running, &source);
    }

    fn judge(scene: &Scene, running: super::scene::Following, source: &Source) {
        scene.until_out(&[source]);
        let ran = running.terminate();
        exactly(&scene.read("out"), &[source]);
        assert!(ran.stderr.contains("secret.log"), "{}", ran.stderr);
    }
}

#[test]
fn files_that_appear_are_read_from_their_start() {
    let scene = Scene::new();
    let mut old = Source::new(0);
    let mut new = Source::new(1);
    scene.append("a.log", &old.next(100));
    // At the end of what is there; ready when the first new line comes.
    let running = scene.start(
        &[],
        &["filter", "-f", "--from", "end", "-O", "out", "*.log"],
    );
    let mut probe = 0u64;
    until("the first line", || {
        probe += 1;
        scene.append("a.log", format!("probe {probe}\n").as_bytes());
        let_pass(Duration::from_millis(5));
        scene.length("out") > 0
    });
    scene.append("b.log", &new.next(100));
    until("the new file", || {
        let out = scene.read("out");
        out.windows(6).filter(|window| window == b"src=1 ").count() >= 100
    });
    running.terminate();
    let out = scene.read("out");
    let kept: Vec<u8> = super::scene::lines(&out)
        .filter(|line| !line.starts_with(b"probe"))
        .flatten()
        .copied()
        .collect();
    exactly(&kept, &[&new]);
}

#[test]
fn from_the_last_lines() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(1000));
    let all = source.all();
    let last: Vec<u8> = super::scene::lines(&all)
        .skip(993)
        .flatten()
        .copied()
        .collect();
    let running = scene.start(&[], &["filter", "-f", "-n", "7", "-O", "out", "app.log"]);
    scene.until_length("out", last.len() as u64);
    let more = source.next(10);
    scene.append("app.log", &more);
    scene.until_length("out", (last.len() + more.len()) as u64);
    running.terminate();
    assert!(scene.read("out") == [last, more].concat());
}

#[test]
fn excluded_names_are_not_followed() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("a.log", &source.next(100));
    scene.append("debug.log", b"not this one\n");
    let running = scene.filter(&["--exclude", "debug*", "*.log"]);
    scene.until_out(&[&source]);
    scene.append("debug-2.log", b"nor this one\n");
    scene.append("a.log", &source.next(100));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let scene = Scene::new();
    let running = scene.filter(&["later/app.log"]);
    let_pass(Duration::from_millis(100));
    fs::create_dir(scene.path("later")).unwrap();
    let mut source = Source::new(0);
    scene.append("later/app.log", &source.next(100));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn names_of_any_bytes_are_followed() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    let mut sources = Vec::new();
    for (number, name) in [
        &b"-rf.log"[..],
        b"new\nline.log",
        b"\xff\xfe.log",
        b"a[1]*?.log",
    ]
    .into_iter()
    .enumerate()
    {
        let mut source = Source::new(number as u64);
        let path = scene.folder().join(std::ffi::OsStr::from_bytes(name));
        fs::write(path, source.next(10)).unwrap();
        sources.push(source);
    }
    let running = scene.filter(&["*.log"]);
    scene.until_out(&sources.iter().collect::<Vec<_>>());
    running.terminate();
    exactly(&scene.read("out"), &sources.iter().collect::<Vec<_>>());
}
