//! Rows F15–F18: what stands in the files themselves: lines that are not finished, bytes nobody
//! wrote, and bytes that are written over.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::scene::{Scene, Source, counted, exactly, let_pass};

#[test]
fn f15_a_line_that_is_finished_later() {
    let scene = Scene::new();
    scene.append("app.log", b"one\nabc");
    let running = scene.filter(&["app.log"]);
    scene.until_length("out", 4);
    // Long enough for anything that counts quiet time to fire.
    let_pass(Duration::from_millis(700));
    assert_eq!(scene.read("out"), b"one\n");
    scene.append("app.log", b"def\n");
    scene.until_length("out", 11);
    running.terminate();
    assert_eq!(scene.read("out"), b"one\nabcdef\n");
}

#[test]
fn f15_a_line_that_is_finished_after_a_restart() {
    let scene = Scene::new();
    scene.append("app.log", b"one\nabc");
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_length("out", 4);
    running.terminate();
    assert_eq!(scene.read("out"), b"one\n");
    scene.append("app.log", b"def\n");
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_length("out", 11);
    running.terminate();
    assert_eq!(scene.read("out"), b"one\nabcdef\n");
}

#[test]
fn f15_a_line_that_is_never_finished() {
    // Deleted, rotated, or the end of a run without a state directory: it comes once, with its end.
    let scene = Scene::new();
    scene.append("app.log", b"one\nabc");
    let running = scene.filter(&["app.log"]);
    scene.until_length("out", 4);
    scene.remove("app.log");
    scene.until_length("out", 8);
    scene.append("app.log", b"two\nghi");
    scene.until_length("out", 12);
    scene.rename("app.log", "away");
    scene.append("app.log", b"three\njkl");
    scene.until_length("out", 22);
    running.terminate();
    assert_eq!(scene.read("out"), b"one\nabc\ntwo\nghi\nthree\njkl\n");
}

#[test]
fn f16_a_hole_where_the_writer_went_on() {
    // A writer that does not append keeps its offset over a truncation.
    let scene = Scene::new();
    let mut old = Source::new(0);
    let mut writer = File::create(scene.path("app.log")).unwrap();
    writer.write_all(&old.next(5000)).unwrap();
    let running = scene.report(&["app.log"]);
    scene.until_records(5000);
    scene.truncate("app.log");
    let hole = writer.stream_position().unwrap();
    let mut new = Source::new(1);
    writer.write_all(&new.next(5000)).unwrap();
    scene.until_records(10_000);
    let report = running.terminate().json();
    assert_eq!(counted(&report, "records"), 10_000, "{}", report["ledger"]);
    assert_eq!(
        counted(&report, "skipped_bytes"),
        hole,
        "{}",
        report["ledger"]
    );
}

#[test]
fn f16_a_hole_stays_out_of_the_output() {
    let scene = Scene::new();
    let mut old = Source::new(0);
    let mut writer = File::create(scene.path("app.log")).unwrap();
    writer.write_all(&old.next(5000)).unwrap();
    let running = scene.filter(&["app.log"]);
    scene.until_out(&[&old]);
    scene.truncate("app.log");
    let mut new = Source::new(1);
    writer.write_all(&new.next(500)).unwrap();
    scene.until_out(&[&old, &new]);
    running.terminate();
    exactly(&scene.read("out"), &[&old, &new]);
}

#[test]
fn f16_bytes_of_nul_that_are_written_are_no_hole_to_wait_for() {
    // The same with zeros on the disk: some file systems fill instead of leaving a hole.
    let scene = Scene::new();
    let mut source = Source::new(0);
    let content = [&vec![0; 300_000][..], &source.next(500)].concat();
    scene.append("app.log", &content);
    let running = scene.filter(&["app.log"]);
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

fn preallocated(scene: &Scene, make: impl FnOnce(&File)) {
    let file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .open(scene.path("app.log"))
        .unwrap();
    make(&file);
    let mut source = Source::new(0);
    let mut end = 0;
    let mut write = |source: &mut Source, count| {
        let bytes = source.next(count);
        file.write_all_at(&bytes, end).unwrap();
        end += bytes.len() as u64;
    };
    write(&mut source, 100);
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    for _ in 0..5 {
        write(&mut source, 100);
        scene.until_out(&[&source]);
    }
    running.terminate();
    write(&mut source, 100);
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    write(&mut source, 100);
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}

#[test]
fn f17_space_allocated_ahead_of_the_data() {
    let scene = Scene::new();
    preallocated(&scene, |file| {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, 64 << 20).unwrap();
    });
}

#[test]
fn f17_length_set_ahead_of_the_data() {
    let scene = Scene::new();
    preallocated(&scene, |file| file.set_len(64 << 20).unwrap());
}

#[test]
fn f18_rewritten_in_place() {
    // What was read is not read again, whatever is written over it in the middle; what comes later
    // comes. (Documented: a rewrite behind the offset is not seen.)
    let scene = Scene::new();
    let mut source = Source::new(0);
    scene.append("app.log", &source.next(2000));
    let running = scene.filter_with_state(&["app.log"]);
    scene.until_out(&[&source]);
    let file = OpenOptions::new()
        .write(true)
        .open(scene.path("app.log"))
        .unwrap();
    let length = fs::metadata(scene.path("app.log")).unwrap().len();
    let mut place = &file;
    place.seek(SeekFrom::Start(length / 2)).unwrap();
    place.write_all(&[b'Z'; 5000]).unwrap();
    scene.append("app.log", &source.next(500));
    scene.until_out(&[&source]);
    running.terminate();
    exactly(&scene.read("out"), &[&source]);
}
