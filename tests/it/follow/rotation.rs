//! Rows F1–F11, F13 and F14: files that are renamed, copied and emptied, deleted, reused and packed
//! while they are written and while nobody reads them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::scene::{Mount, Scene, Source, compare, counted, exactly, let_pass, skipped, until};

/// Renames `app.log` and starts a new one; the writer keeps the old descriptor for a while, as nginx
/// does until it is told.
fn rotates_by_rename(args: &[&str]) {
    let scene = Scene::new();
    let mut generations: Vec<Source> = (0..6).map(Source::new).collect();
    scene.append("app.log", &generations[0].next(100));
    let running = scene.filter(args);
    scene.until_out(&[&generations[0]]);
    for k in 0..5 {
        let mut old = OpenOptions::new()
            .append(true)
            .open(scene.path("app.log"))
            .unwrap();
        for _ in 0..10 {
            old.write_all(&generations[k].next(100)).unwrap();
        }
        for number in (1..=k).rev() {
            scene.rename(
                &format!("app.log.{number}"),
                &format!("app.log.{}", number + 1),
            );
        }
        scene.rename("app.log", "app.log.1");
        old.write_all(&generations[k].next(50)).unwrap();
        scene.append("app.log", &generations[k + 1].next(50));
        for _ in 0..20 {
            old.write_all(&generations[k].next(5)).unwrap();
            scene.append("app.log", &generations[k + 1].next(5));
            let_pass(Duration::from_millis(1));
        }
    }
    let all: Vec<&Source> = generations.iter().collect();
    scene.until_out(&all);
    let ran = running.terminate();
    exactly(&scene.read("out"), &all);
    assert_eq!(ran.stdout, b"");
}

#[test]
fn f01_renamed_while_it_is_written() {
    rotates_by_rename(&["app.log"]);
}

#[test]
fn f01_renamed_within_the_glob() {
    rotates_by_rename(&["app.log*"]);
}

#[test]
fn f01_renamed_with_polling_and_state() {
    rotates_by_rename(&["--poll", "--state", "state", "app.log*"]);
}

/// Copies and empties the file again and again while it is written at full speed and `weir` is
/// stopped half the time. Returns what has to come and what may (written between a copy and its
/// truncation: nobody who was stopped could read it).
fn copytruncate(args: &[&str], pauses: bool, gaps: bool) {
    let scene = Scene::new();
    // Sources 0.. are sure, 100.. were written into a gap.
    let mut sure = vec![Source::new(0)];
    let mut gap = Vec::new();
    scene.append("app.log", &sure[0].next(200));
    let running = scene.filter(args);
    scene.until_out(&[&sure[0]]);
    for round in 0..8u64 {
        let paused = pauses && round % 2 == 1;
        if paused {
            running.signal("STOP");
        }
        let mut source = Source::new(round + 1);
        for _ in 0..40 {
            scene.append("app.log", &source.next(50));
            let_pass(Duration::from_millis(1));
        }
        sure.push(source);
        for number in (1..=round).rev() {
            scene.rename(
                &format!("app.log.{number}"),
                &format!("app.log.{}", number + 1),
            );
        }
        scene.copy("app.log", "app.log.1");
        if gaps {
            let mut source = Source::new(100 + round);
            scene.append("app.log", &source.next(20));
            gap.push(source);
        }
        scene.truncate("app.log");
        if paused {
            // Grown again by the time it wakes, by less than before or by more.
            let mut source = Source::new(200 + round);
            scene.append("app.log", &source.next(if round == 1 { 10 } else { 4000 }));
            sure.push(source);
            running.signal("CONT");
        }
    }
    let mut last = Source::new(999);
    scene.append("app.log", &last.next(100));
    sure.push(last);
    let sure: Vec<&Source> = sure.iter().collect();
    let gap: Vec<&Source> = gap.iter().collect();
    scene.until_out(&sure);
    running.terminate();
    let (missing, surplus) = compare(&scene.read("out"), &sure, &gap);
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}\nsurplus {surplus:?}"
    );
}

#[test]
fn f02_copied_and_truncated() {
    copytruncate(&["app.log*"], false, false);
}

#[test]
fn f02_copied_and_truncated_while_paused() {
    copytruncate(&["app.log*"], true, false);
}

#[test]
fn f02_copied_and_truncated_with_lines_in_between() {
    copytruncate(&["app.log*"], true, true);
}

#[test]
fn f02_copied_and_truncated_with_polling_and_state() {
    copytruncate(&["--poll", "--state", "state", "app.log*"], true, true);
}

#[test]
fn f02_lost_bytes_are_named() {
    // The copy is outside the glob: what was written before the truncation and not read is lost, and
    // the report says how much, as far as it could see it.
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(1000));
    let running = scene.report(&["app.log"]);
    scene.until_records(1000);
    running.signal("STOP");
    scene.append("app.log", &source.next(1000));
    scene.truncate("app.log");
    let mut next = Source::new(1);
    scene.append("app.log", &next.next(10));
    running.signal("CONT");
    scene.until_records(1010);
    let report = running.terminate().json();
    assert_eq!(counted(&report, "lines"), 1010, "{}", report["ledger"]);
    assert_eq!(counted(&report, "unaccounted"), 0);
}

/// Deletes a file and makes another in its place until it has the same inode; `false` if it never
/// does.
fn reuse(path: &std::path::Path, content: &[u8]) -> bool {
    let before = fs::metadata(path).unwrap().ino();
    for _ in 0..20 {
        fs::remove_file(path).unwrap();
        fs::write(path, content).unwrap();
        if fs::metadata(path).unwrap().ino() == before {
            return true;
        }
    }
    skipped("this file system gave no inode again");
    false
}

#[test]
fn f03_inode_used_again_while_following() {
    let scene = Scene::new();
    let Some(disk) = Mount::ext4(&scene, "disk") else {
        return;
    };
    let mut old = Source::new(0);
    let mut new = Source::new(1);
    let path = disk.path.join("app.log");
    fs::write(&path, old.next(500)).unwrap();
    let running = scene.filter(&["disk/app.log"]);
    scene.until_out(&[&old]);
    // The descriptor that is held keeps the inode; stopped, the name alone changes.
    let content = new.next(500);
    assert_eq!(
        content.len(),
        old.all().len(),
        "the case wants the same length"
    );
    running.signal("STOP");
    fs::remove_file(&path).unwrap();
    fs::write(&path, &content).unwrap();
    running.signal("CONT");
    scene.until_out(&[&old, &new]);
    let mut third = Source::new(2);
    // Once the first is let go, its inode may come again.
    until("the first is closed", || {
        !running.holds("app.log (deleted)")
    });
    fs::remove_file(&path).unwrap();
    fs::write(&path, third.next(800)).unwrap();
    scene.until_out(&[&old, &new, &third]);
    running.terminate();
    exactly(&scene.read("out"), &[&old, &new, &third]);
}

#[test]
fn f04_inode_used_again_while_stopped() {
    let scene = Scene::new();
    let Some(disk) = Mount::ext4(&scene, "disk") else {
        return;
    };
    let mut old = Source::new(0);
    let path = disk.path.join("app.log");
    fs::write(&path, old.next(500)).unwrap();
    let running = scene.filter_with_state(&["disk/app.log"]);
    scene.until_out(&[&old]);
    running.terminate();
    let mut new = Source::new(1);
    if !reuse(&path, &new.next(900)) {
        return;
    }
    let running = scene.filter_with_state(&["disk/app.log"]);
    scene.until_out(&[&old, &new]);
    running.terminate();
    exactly(&scene.read("out"), &[&old, &new]);
}

#[test]
fn f05_truncated_and_regrown_while_stopped() {
    for grown in [10, 1000, 5000] {
        let scene = Scene::new();
        let mut old = Source::new(0);
        scene.append("app.log", &old.next(1000));
        let running = scene.filter_with_state(&["app.log"]);
        scene.until_out(&[&old]);
        running.terminate();
        scene.truncate("app.log");
        let mut new = Source::new(1);
        scene.append("app.log", &new.next(grown));
        let running = scene.filter_with_state(&["app.log"]);
        scene.until_out(&[&old, &new]);
        running.terminate();
        exactly(&scene.read("out"), &[&old, &new]);
    }
}

fn truncated_and_refilled(args: &[&str]) {
    let scene = Scene::new();
    let mut old = Source::new(0);
    scene.append("app.log", &old.next(1000));
    let running = scene.filter(args);
    scene.until_out(&[&old]);
    let mut sources = vec![old];
    for round in 1..=5 {
        running.signal("STOP");
        scene.truncate("app.log");
        let mut new = Source::new(round);
        // The same length in the first round, more and more in the others.
        scene.append("app.log", &new.next(1000 + (round - 1) * 700));
        sources.push(new);
        running.signal("CONT");
        scene.until_out(&sources.iter().collect::<Vec<_>>());
    }
    running.terminate();
    exactly(&scene.read("out"), &sources.iter().collect::<Vec<_>>());
}

#[test]
fn f06_truncated_and_refilled_between_two_looks() {
    truncated_and_refilled(&["app.log"]);
}

#[test]
fn f06_truncated_and_refilled_with_polling() {
    truncated_and_refilled(&["--poll", "app.log"]);
}

#[test]
fn f07_many_files_with_the_same_first_bytes() {
    let scene = Scene::new();
    let header = format!("# {}\n", "identical header ".repeat(241));
    assert!(header.len() > 4096);
    let mut sources: Vec<Source> = (0..100).map(Source::new).collect();
    for (k, source) in sources.iter_mut().take(50).enumerate() {
        let content = [header.as_bytes(), &source.next(20)].concat();
        scene.append(&format!("data-{k}.csv"), &content);
    }
    let running = scene.filter_with_state(&["data-*.csv*"]);
    let rows = |scene: &Scene| {
        let out = scene.read("out");
        let rows: Vec<u8> = super::scene::lines(&out)
            .filter(|line| !line.starts_with(b"# "))
            .flatten()
            .copied()
            .collect();
        rows
    };
    let expected = |sources: &[Source]| sources.iter().map(|one| one.all().len()).sum::<usize>();
    until("the rows of 50 files", || {
        rows(&scene).len() >= expected(&sources)
    });
    // Rotated: each new file begins as a perfect copy of the start of all others.
    for k in 0..50 {
        scene.rename(&format!("data-{k}.csv"), &format!("data-{k}.csv.1"));
        scene.append(&format!("data-{k}.csv"), header.as_bytes());
    }
    for (k, source) in sources[50..].iter_mut().enumerate() {
        scene.append(&format!("data-{k}.csv"), &source.next(20));
    }
    until("the rows after the rotation", || {
        rows(&scene).len() >= expected(&sources)
    });
    running.terminate();
    exactly(&rows(&scene), &sources.iter().collect::<Vec<_>>());
}

#[test]
fn f08_small_files_and_empty_ones() {
    let scene = Scene::new();
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for (k, length) in [0usize, 1, 2, 3, 10, 100, 511, 1000, 1022, 1023]
        .into_iter()
        .enumerate()
    {
        let mut content = vec![b'a' + u8::try_from(k).unwrap(); length];
        if let Some(last) = content.last_mut() {
            *last = b'\n';
        }
        fs::write(scene.path(&format!("small-{k}.log")), &content).unwrap();
        // The same content again, under another name: both are read.
        fs::write(scene.path(&format!("twin-{k}.log")), &content).unwrap();
        if length > 0 {
            expected.extend([content.clone(), content]);
        }
    }
    fs::write(scene.path("open.log"), b"without newline").unwrap();
    let running = scene.filter(&["*.log"]);
    let bytes = expected.iter().map(Vec::len).sum::<usize>();
    scene.until_length("out", bytes as u64);
    // An empty one that grows later is there from its first byte.
    let mut source = Source::new(0);
    scene.append("small-0.log", &source.next(3));
    scene.until_length("out", (bytes + source.all().len()) as u64);
    running.terminate();
    expected.push(b"without newline\n".to_vec());
    let all = source.all();
    expected.extend(super::scene::lines(&all).map(<[u8]>::to_vec));
    let out = scene.read("out");
    let mut actual: Vec<Vec<u8>> = super::scene::lines(&out).map(<[u8]>::to_vec).collect();
    actual.sort();
    expected.sort();
    assert!(actual == expected, "{}", String::from_utf8_lossy(&out));
}

#[test]
fn f09_deleted_with_much_unread() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(10));
    let running = scene.filter(&["app.log"]);
    scene.until_out(&[&source]);
    running.signal("STOP");
    scene.append("app.log", &source.next(100_000));
    scene.remove("app.log");
    running.signal("CONT");
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f10_rotated_several_times_while_stopped() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(300));
    let running = scene.filter_with_state(&["app.log*"]);
    scene.until_out(&[&source]);
    running.terminate();
    scene.append("app.log", &source.next(200));
    for round in 1..=5u64 {
        for number in (1..round).rev() {
            scene.rename(
                &format!("app.log.{number}"),
                &format!("app.log.{}", number + 1),
            );
        }
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", &source.next(100 * round));
    }
    let running = scene.filter_with_state(&["app.log*"]);
    scene.until_out(&[&source]);
    running.terminate();
    // One source over all generations: oldest first means in order here.
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f10_rotated_several_times_while_paused() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(300));
    let running = scene.filter(&["app.log*"]);
    scene.until_out(&[&source]);
    running.signal("STOP");
    scene.append("app.log", &source.next(200));
    for round in 1..=5u64 {
        for number in (1..round).rev() {
            scene.rename(
                &format!("app.log.{number}"),
                &format!("app.log.{}", number + 1),
            );
        }
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", &source.next(100 * round));
    }
    running.signal("CONT");
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

fn pack(scene: &Scene, name: &str) {
    let file = fs::File::create(scene.path(&format!("{name}.gz"))).unwrap();
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    packer.write_all(&scene.read(name)).unwrap();
    packer.finish().unwrap();
    scene.remove(name);
}

#[test]
fn f11_packed_after_the_rotation() {
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(1000));
    let running = scene.filter_with_state(&["app.log*"]);
    scene.until_out(&[&source]);
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", &source.next(500));
    scene.until_out(&[&source]);
    pack(&scene, "app.log.1");
    scene.append("app.log", &source.next(500));
    scene.until_out(&[&source]);
    running.terminate();
    // Once more while nobody reads.
    scene.rename("app.log", "app.log.2");
    pack(&scene, "app.log.2");
    scene.append("app.log", &source.next(500));
    let running = scene.filter_with_state(&["app.log*"]);
    scene.until_out(&[&source]);
    scene.append("app.log", &source.next(500));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f13_container_log_layout_under_load() {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("pods/web")).unwrap();
    fs::create_dir_all(scene.path("docker")).unwrap();
    fs::create_dir_all(scene.path("containers")).unwrap();
    let link =
        |to: &str, at: &str| std::os::unix::fs::symlink(scene.path(to), scene.path(at)).unwrap();
    link("docker/0.log", "pods/web/0.log");
    link("pods/web/0.log", "containers/web.log");
    let mut source = Source::container(0);
    scene.append("docker/0.log", &source.next(1000));
    let running = scene.filter_with_state(&["containers/*.log"]);
    scene.until_out(&[&source]);
    for round in 1..=6 {
        for _ in 0..20 {
            scene.append("docker/0.log", &source.next(100));
        }
        let rotated = format!("docker/0.log.2026031{round}-090000");
        scene.rename("docker/0.log", &rotated);
        scene.append("docker/0.log", &source.next(300));
        if round > 2 {
            // The one before was read long ago.
            scene.until_out(&[&source]);
            pack(&scene, &format!("docker/0.log.2026031{}-090000", round - 1));
        }
    }
    scene.until_out(&[&source]);
    running.terminate();
    // Every line once. A record that is still open when its file is rotated twice at once may come
    // behind the next file's lines.
    let (missing, surplus) = compare(&scene.read("out"), &[&source], &[]);
    let wrong: Vec<&String> = surplus
        .iter()
        .filter(|problem| !problem.starts_with("late"))
        .collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "missing {missing:?}\nsurplus {wrong:?}"
    );
}

fn messages(output: &[u8]) -> Vec<String> {
    super::scene::lines(output)
        .map(|line| {
            let record: Value = serde_json::from_slice(line).unwrap();
            record["message"].as_str().unwrap().to_owned()
        })
        .collect()
}

const PARTIAL: &str = "2026-03-14T09:00:00.000000000Z stdout P first half ";
const REST: &str = "2026-03-14T09:00:00.100000000Z stdout F second half\n";

#[test]
fn f14_partial_lines_over_a_rotation() {
    let scene = Scene::new();
    scene.append(
        "0.log",
        format!("2026-03-14T08:59:59.000000000Z stdout F before\n{PARTIAL}\n").as_bytes(),
    );
    let running = scene.filter(&["-o", "json", "0.log*"]);
    until("the record before", || !scene.read("out").is_empty());
    scene.rename("0.log", "0.log.20260314-090000");
    scene.append(
        "0.log",
        format!("{REST}2026-03-14T09:00:01.000000000Z stdout F after\n").as_bytes(),
    );
    until("all three records", || {
        messages(&scene.read("out")).len() >= 3
    });
    running.terminate();
    assert_eq!(
        messages(&scene.read("out")),
        ["before", "first half second half", "after"]
    );
}

#[test]
fn f14_partial_lines_over_a_rotation_and_a_restart() {
    let scene = Scene::new();
    scene.append(
        "0.log",
        format!("2026-03-14T08:59:59.000000000Z stdout F before\n{PARTIAL}\n").as_bytes(),
    );
    let args = ["-o", "json", "0.log*"];
    let running = scene.filter_with_state(&args);
    until("the record before", || !scene.read("out").is_empty());
    running.kill();
    scene.rename("0.log", "0.log.20260314-090000");
    scene.append(
        "0.log",
        format!("{REST}2026-03-14T09:00:01.000000000Z stdout F after\n").as_bytes(),
    );
    let running = scene.filter_with_state(&args);
    until("all three records", || {
        messages(&scene.read("out")).len() >= 3
    });
    running.terminate();
    assert_eq!(
        messages(&scene.read("out")),
        ["before", "first half second half", "after"]
    );
}

#[test]
fn multiline_records_over_reads_rotations_and_restarts() {
    let scene = Scene::new();
    let mut source = Source::traces(0);
    let text = source.next(400);
    // Cut at places that have nothing to do with lines.
    let cuts: Vec<usize> = (0..=8).map(|part| text.len() * part / 8).collect();
    let written = AtomicBool::new(false);
    let mut running = scene.filter_with_state(&["-m", "src=0", "app.log*"]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for pair in cuts.windows(2) {
                for piece in text[pair[0]..pair[1]].chunks(777) {
                    scene.append("app.log", piece);
                    let_pass(Duration::from_millis(1));
                }
            }
            written.store(true, Ordering::Relaxed);
        });
        for _ in 0..4 {
            let_pass(Duration::from_millis(25));
            running.signal("KILL");
            running.status();
            running = scene.filter_with_state(&["-m", "src=0", "app.log*"]);
        }
    });
    assert!(written.load(Ordering::Relaxed));
    // The head of a record in one file, its lines in the next.
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}
