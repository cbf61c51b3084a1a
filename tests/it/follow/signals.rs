//! Rows F32–F36: signals, and readers of the output that stop, stall or go.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::scene::{Scene, Source, busy, compare, exactly, let_pass, signal, until};

/// A `weir filter -f` into a pipe that the test reads.
struct Piped {
    child: std::process::Child,
    out: Option<PipeReader>,
}

impl Piped {
    fn start(scene: &Scene, args: &[&str]) -> Piped {
        let (out, writer) = std::io::pipe().unwrap();
        Piped::into(scene, out, writer, args)
    }

    fn into(scene: &Scene, out: PipeReader, writer: PipeWriter, args: &[&str]) -> Piped {
        let args = [&["filter", "-f", "--from", "start"], args].concat();
        let child = scene
            .command(&[], &args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Piped {
            child,
            out: Some(out),
        }
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    /// The exit code, or 128 + the signal.
    fn code(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status
                    .code()
                    .unwrap_or_else(|| 128 + status.signal().unwrap());
            }
            assert!(began.elapsed() < super::scene::PATIENCE, "does not end");
            let_pass(Duration::from_millis(2));
        }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn f32_drained_at_sigterm() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    for _ in 0..20 {
        scene.append("app.log", &source.next(10_000));
    }
    let args = ["--state", "state", "app.log"];
    let mut running = Piped::start(&scene, &args);
    let mut out = running.out.take().unwrap();
    let mut taken = vec![0; 1 << 20];
    out.read_exact(&mut taken).unwrap();
    running.signal("TERM");
    // A reader that is slow, but reads.
    let mut block = vec![0; 1 << 16];
    loop {
        let count = out.read(&mut block).unwrap();
        if count == 0 {
            break;
        }
        taken.extend_from_slice(&block[..count]);
        let_pass(Duration::from_millis(1));
    }
    assert_eq!(running.code(), 0, "{}", running.stderr());
    assert_eq!(taken.last(), Some(&b'\n'), "a line was cut");
    // The rest comes after the restart, nothing twice: the drain committed what it wrote.
    let mut running = Piped::start(&scene, &args);
    let mut out = running.out.take().unwrap();
    let bytes = source.all().len();
    while taken.len() < bytes {
        let count = out.read(&mut block).unwrap();
        assert!(count > 0, "ended early");
        taken.extend_from_slice(&block[..count]);
    }
    running.signal("TERM");
    assert_eq!(running.code(), 0);
    exactly(&taken, &[&source]);
}

#[test]
fn f33_stopped_at_once_by_a_second_signal() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let scene = Scene::new();
        let mut source = Source::new(0);
        for _ in 0..5 {
            scene.append("app.log", &source.next(10_000));
        }
        let args = ["--state", "state", "app.log"];
        let mut running = Piped::start(&scene, &args);
        let mut out = running.out.take().unwrap();
        let mut taken = vec![0; 10_000];
        out.read_exact(&mut taken).unwrap();
        // Nobody reads any more, so the drain cannot end.
        running.signal(name);
        let_pass(Duration::from_millis(100));
        assert!(running.child.try_wait().unwrap().is_none(), "gave up");
        let began = Instant::now();
        running.signal(name);
        assert_eq!(running.code(), code);
        assert!(began.elapsed() < Duration::from_secs(1));
        // What was in the pipe was delivered; the rest comes from the state that is left.
        out.read_to_end(&mut taken).unwrap();
        let mut running = Piped::start(&scene, &args);
        let out = running.out.take().unwrap();
        let mut again = Vec::new();
        let last = source.all();
        let last = super::scene::lines(&last).last().unwrap().to_vec();
        let mut out = BufReader::new(out);
        while !again.ends_with(&last) {
            assert!(out.read_until(b'\n', &mut again).unwrap() > 0);
        }
        running.signal("TERM");
        assert_eq!(running.code(), 0);
        // At least once: a line may come twice or was cut where the first one died.
        let both = [taken, again].concat();
        let (missing, _) = compare(&both, &[&source], &[]);
        assert!(missing.len() <= 1, "{missing:?}");
    }
}

#[test]
fn f33_signals_at_any_time_leave_a_good_state() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    for gap in [0, 1, 2, 5, 10, 20, 50] {
        for second in [None, Some(1), Some(10)] {
            scene.append("app.log", &source.next(200));
            let mut running = scene.filter_with_state(&["app.log"]);
            let_pass(Duration::from_millis(gap));
            running.signal("TERM");
            if let Some(second) = second {
                let_pass(Duration::from_millis(second));
                if running.is_alive() {
                    let _ = std::process::Command::new("kill")
                        .args(["-TERM", &running.id().to_string()])
                        .stderr(Stdio::null())
                        .status();
                }
            }
            let status = running.status();
            let code = status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap());
            assert!(code == 0 || code == 143, "{code}");
        }
    }
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f34_reopened_at_sighup_under_load() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(100));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    let mut parts = 0;
    for round in 0..100 {
        scene.append("app.log", &source.next(20));
        if round % 10 == 0 {
            // As logrotate does it: away with the output, then the signal.
            parts += 1;
            scene.rename("out", &format!("part-{parts:02}"));
            running.signal("HUP");
            until("a new output", || scene.path("out").exists());
        } else {
            running.signal("HUP");
        }
    }
    let written = |scene: &Scene| {
        let mut all = Vec::new();
        for part in 1..=parts {
            all.extend(scene.read(&format!("part-{part:02}")));
        }
        all.extend(scene.read("out"));
        all
    };
    until("all lines", || written(&scene).len() >= source.all().len());
    running.terminate();
    exactly(&written(&scene), &[&source]);
}

#[test]
fn f35_the_reader_goes() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(10));
    let mut running = Piped::start(&scene, &["app.log"]);
    let mut out = BufReader::new(running.out.take().unwrap());
    let mut line = Vec::new();
    out.read_until(b'\n', &mut line).unwrap();
    drop(out);
    scene.append("app.log", &source.next(10_000));
    assert_eq!(running.code(), 0);
    assert!(!running.stderr().contains("panicked"));
}

#[test]
fn f36_the_reader_stalls() {
    for nonblocking in [false, true] {
        let scene = Scene::new();
        let mut source = Source::new(0);
        for _ in 0..5 {
            scene.append("app.log", &source.next(10_000));
        }
        let (out, writer) = std::io::pipe().unwrap();
        if nonblocking {
            // As somebody who shares the pipe may have left it.
            rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        }
        let mut running = Piped::into(&scene, out, writer, &["app.log"]);
        let out = running.out.take().unwrap();
        until("half a second without work", || {
            let before = busy(running.child.id());
            let_pass(Duration::from_millis(500));
            busy(running.child.id()) - before <= 0.05
        });
        let mut taken = Vec::new();
        let mut out = BufReader::new(out);
        let bytes = source.all().len();
        while taken.len() < bytes {
            assert!(
                out.read_until(b'\n', &mut taken).unwrap() > 0,
                "ended early"
            );
        }
        running.signal("TERM");
        out.read_to_end(&mut taken).unwrap();
        assert_eq!(running.code(), 0);
        exactly(&taken, &[&source]);
    }
}

#[test]
fn ready_and_stopping_are_told() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(10));
    let socket = UnixDatagram::bind(scene.path("notify")).unwrap();
    socket
        .set_read_timeout(Some(super::scene::PATIENCE))
        .unwrap();
    let mut command = scene.command(
        &[],
        &["filter", "-f", "--from", "start", "-O", "out", "app.log"],
    );
    let mut child = command
        .env("NOTIFY_SOCKET", scene.path("notify"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let receive = || {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(receive().lines().any(|line| line == "READY=1"));
    signal(child.id(), "TERM");
    while !receive().lines().any(|line| line == "STOPPING=1") {}
    assert!(child.wait().unwrap().success());
}
