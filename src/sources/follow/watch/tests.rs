use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

fn append(path: &Path, bytes: &[u8]) {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// What there is; waits at most `milliseconds` for the first of it.
fn changes(hints: &mut Inotify, milliseconds: i64) -> Changes {
    let timeout = Timespec {
        tv_sec: milliseconds / 1000,
        tv_nsec: milliseconds % 1000 * 1_000_000,
    };
    let descriptor = Hints::descriptor(hints).unwrap();
    let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    poll(&mut polled, Some(&timeout)).unwrap();
    let mut changes = Changes::default();
    hints.changes(&mut changes);
    changes
}

#[track_caller]
fn tells(hints: &mut Inotify, generations: &[u64], directories: bool) {
    let mut changes = changes(hints, 2000);
    changes.files.sort();
    let want = Changes {
        files: generations.iter().copied().map(Generation).collect(),
        directories,
        everything: false,
    };
    assert_eq!(changes, want);
}

/// Events are queued before the call that makes them returns, so there is nothing to wait for.
#[track_caller]
fn is_silent(hints: &mut Inotify) {
    assert_eq!(changes(hints, 0), Changes::default());
}

#[test]
fn tells_of_what_happens_to_a_file_under_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    append(&path, b"one\n");
    let mut hints = Inotify::new().unwrap();
    assert!(hints.watch_file(&path, Generation(7)));
    is_silent(&mut hints);
    append(&path, b"two\n");
    append(&path, b"three\n");
    tells(&mut hints, &[7], false);
    is_silent(&mut hints);
    let open = File::open(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\nthree\n");
    is_silent(&mut hints);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    tells(&mut hints, &[7], false);
    let moved = folder.path().join("a.log.1");
    fs::rename(&path, &moved).unwrap();
    // Names are looked at, too: nobody watches the directory behind a link.
    tells(&mut hints, &[7], true);
    append(&moved, b"four\n");
    tells(&mut hints, &[7], false);
    // It has no name any more, but is still there.
    fs::remove_file(&moved).unwrap();
    tells(&mut hints, &[7], true);
    drop(open);
    tells(&mut hints, &[7], true);
    assert!(hints.watches.is_empty() && hints.generations.is_empty());
}

#[test]
fn tells_each_generation_of_an_inode_once() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("a"), folder.path().join("b"));
    append(&path, b"x");
    fs::hard_link(&path, &link).unwrap();
    let symbolic = folder.path().join("c");
    std::os::unix::fs::symlink(&path, &symbolic).unwrap();
    let mut hints = Inotify::new().unwrap();
    assert!(hints.watch_file(&path, Generation(1)));
    assert!(hints.watch_file(&path, Generation(1)));
    assert!(hints.watch_file(&link, Generation(2)));
    assert!(hints.watch_file(&symbolic, Generation(3)));
    assert_eq!(hints.watches.len(), 1);
    let other = folder.path().join("d");
    append(&other, b"x");
    assert!(hints.watch_file(&other, Generation(4)));
    for _ in 0..3 {
        append(&link, b"y");
        append(&other, b"y");
    }
    tells(&mut hints, &[1, 2, 3, 4], false);
    hints.forget_file(Generation(1));
    append(&path, b"z");
    tells(&mut hints, &[2, 3], false);
    hints.forget_file(Generation(3));
    hints.forget_file(Generation(3));
    append(&path, b"z");
    tells(&mut hints, &[2], false);
    append(&path, b"z");
    hints.forget_file(Generation(2));
    is_silent(&mut hints);
    append(&path, b"z");
    is_silent(&mut hints);
    assert!(hints.watch_file(&path, Generation(5)));
    append(&path, b"z");
    tells(&mut hints, &[5], false);
}

#[test]
fn a_generation_moves_to_the_file_that_took_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("a"), folder.path().join("a.1"));
    append(&path, b"x");
    let mut hints = Inotify::new().unwrap();
    assert!(hints.watch_file(&path, Generation(1)));
    fs::rename(&path, &moved).unwrap();
    append(&path, b"new");
    assert!(hints.watch_file(&path, Generation(1)));
    is_silent(&mut hints);
    append(&moved, b"y");
    is_silent(&mut hints);
    append(&path, b"y");
    tells(&mut hints, &[1], false);
    assert_eq!((hints.watches.len(), hints.generations.len()), (1, 1));
}

#[test]
fn tells_of_names_in_a_directory_and_not_of_writes() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("logs");
    fs::create_dir(&directory).unwrap();
    let mut hints = Inotify::new().unwrap();
    assert!(hints.watch_directory(&directory));
    // No name that the kernel takes is strange.
    let name = directory.join(OsStr::from_bytes(b"a\xff\n\x1b.log"));
    append(&name, b"x");
    tells(&mut hints, &[], true);
    append(&name, b"more");
    fs::set_permissions(&name, fs::metadata(&name).unwrap().permissions()).unwrap();
    is_silent(&mut hints);
    assert!(hints.watch_file(&name, Generation(1)));
    append(&name, b"more");
    tells(&mut hints, &[1], false);
    fs::rename(&name, directory.join("b")).unwrap();
    tells(&mut hints, &[1], true);
    fs::rename(directory.join("b"), folder.path().join("b")).unwrap();
    tells(&mut hints, &[1], true);
    fs::rename(folder.path().join("b"), directory.join("b")).unwrap();
    tells(&mut hints, &[1], true);
    fs::remove_file(directory.join("b")).unwrap();
    tells(&mut hints, &[1], true);
    is_silent(&mut hints);
}

#[test]
fn watches_the_directory_that_stands_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, moved) = (folder.path().join("logs"), folder.path().join("old"));
    fs::create_dir(&directory).unwrap();
    let mut hints = Inotify::new().unwrap();
    assert!(hints.watch_directory(&directory));
    fs::rename(&directory, &moved).unwrap();
    tells(&mut hints, &[], true);
    fs::create_dir(&directory).unwrap();
    assert!(hints.watch_directory(&directory));
    is_silent(&mut hints);
    append(&moved.join("a"), b"x");
    is_silent(&mut hints);
    append(&directory.join("a"), b"x");
    tells(&mut hints, &[], true);
    fs::remove_dir_all(&directory).unwrap();
    tells(&mut hints, &[], true);
    assert!(hints.watches.is_empty() && hints.directories.is_empty());
    assert!(!hints.watch_directory(&directory));
    fs::create_dir(&directory).unwrap();
    // Two names of one directory.
    std::os::unix::fs::symlink(&directory, folder.path().join("link")).unwrap();
    let link = folder.path().join("link");
    assert!(hints.watch_directory(&directory) && hints.watch_directory(&link));
    assert_eq!((hints.watches.len(), hints.directories.len()), (1, 2));
    fs::remove_file(&link).unwrap();
    assert!(!hints.watch_directory(&link));
    append(&directory.join("a"), b"x");
    tells(&mut hints, &[], true);
}

#[test]
fn what_cannot_be_watched_is_polled() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    append(&file, b"x");
    let mut hints = Inotify::new().unwrap();
    assert!(!hints.watch_file(&folder.path().join("none"), Generation(1)));
    assert!(!hints.watch_directory(&file));
    assert!(!hints.watch_file(Path::new("/proc/self/status"), Generation(2)));
    assert!(!hints.watch_directory(Path::new("/proc")));
    assert!(hints.watch_directory(folder.path()));
    assert!(!hints.watch_file(folder.path(), Generation(3)));
    assert!(hints.watches.len() == 1 && hints.generations.is_empty());
    hints.forget_file(Generation(9));
    is_silent(&mut hints);
    assert!(!NoHints.watch_file(&file, Generation(1)) && NoHints.descriptor().is_none());
}

/// The queue holds `fs.inotify.max_queued_events`; equal events in a row are one, so two files take turns.
#[test]
fn says_when_hints_were_lost_and_goes_on() {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 1 << 16 {
        let skipped = format!("skipped: a queue of {limit} events takes too long to fill\n");
        let _ = io::stderr().write_all(skipped.as_bytes());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("a"), folder.path().join("b")];
    let files = paths.each_ref().map(|path| File::create(path).unwrap());
    let mut hints = Inotify::new().unwrap();
    for (path, generation) in paths.iter().zip([1, 2]) {
        assert!(hints.watch_file(path, Generation(generation)));
    }
    for _ in 0..limit / 2 + 2 {
        for mut file in &files {
            file.write_all(b"x").unwrap();
        }
    }
    let mut all = Changes::default();
    for _ in 0..limit / EVENTS_MAX + 2 {
        let mut changes = Changes::default();
        hints.changes(&mut changes);
        assert!(changes.files.len() <= 2);
        all.everything |= changes.everything;
        all.files.append(&mut changes.files);
    }
    assert!(all.everything && all.files.len() >= 2);
    is_silent(&mut hints);
    (&files[1]).write_all(b"x").unwrap();
    tells(&mut hints, &[2], false);
}

/// The limit is the user's, so this runs itself again as the only user of a new name space.
#[test]
fn says_once_that_the_watches_are_all_taken() {
    let program = std::env::current_exe().unwrap();
    let own = "sources::follow::watch::tests::with_two_watches_for_this_user";
    let output = std::process::Command::new("unshare")
        .args(["-Ur", "sh", "-c"])
        .arg(
            "echo 2 > /proc/sys/user/max_inotify_watches || exit 9
             exec \"$0\" --ignored --exact \"$1\"",
        )
        .arg(program)
        .arg(own)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "{said}");
        }
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stdout))
        }
        _ => {
            let skipped = b"skipped: no user name space, so no small limit on watches\n";
            let _ = io::stderr().write_all(skipped);
        }
    }
}

#[test]
#[ignore = "run by `says_once_that_the_watches_are_all_taken`"]
fn with_two_watches_for_this_user() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: u64| folder.path().join(number.to_string());
    let mut hints = Inotify::new().unwrap();
    for number in 0..5 {
        append(&path(number), b"x");
        assert_eq!(
            hints.watch_file(&path(number), Generation(number)),
            number < 2
        );
    }
    assert!(!hints.watch_directory(folder.path()));
    let problem = hints.problem().unwrap();
    assert!(problem.contains(" 2 ") && problem.contains("max_user_watches"));
    assert_eq!(hints.problem(), None);
    // One that is let go makes room for another.
    hints.forget_file(Generation(0));
    assert!(hints.watch_file(&path(4), Generation(4)));
    append(&path(4), b"x");
    tells(&mut hints, &[4], false);
    assert_eq!(hints.problem(), None);
}

/// What 10,000 watches cost, printed: `cargo test --release … -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_ten_thousand_watches() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..10_000)
        .map(|number| folder.path().join(format!("application-{number}.log")))
        .collect();
    paths.iter().for_each(|path| append(path, b"x"));
    let resident = || -> usize {
        let text = fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let (before, started) = (resident(), std::time::Instant::now());
    let mut hints = Inotify::new().unwrap();
    for (number, path) in paths.iter().enumerate() {
        assert!(hints.watch_file(path, Generation(number as u64)));
    }
    let added = started.elapsed();
    let held = resident() - before;
    paths.iter().for_each(|path| append(path, b"x"));
    let started = std::time::Instant::now();
    let mut all = Changes::default();
    hints.changes(&mut all);
    assert_eq!(all.files.len(), 10_000);
    assert!(held <= 4 << 20, "{held}");
    let text = format!(
        "adding {added:?}, {held} bytes held, telling of all {:?}\n",
        started.elapsed()
    );
    io::stderr().write_all(text.as_bytes()).unwrap();
}
