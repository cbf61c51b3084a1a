//! The file that is appended to, by itself.

use std::fs;
use std::time::Duration;

use super::*;
use crate::disk::is_no_room;
use crate::sinks::file::{Appender, Rotation};

fn open(bench: &Bench, rotation: Rotation) -> Appender {
    let (disk, clock) = (bench.disk.clone(), bench.clock.clone());
    Appender::open(disk, clock, &bench.output, rotation).unwrap()
}

fn put(file: &mut Appender, text: &str) -> bool {
    let moved = file.prepare(text.len() as u64, false).unwrap();
    file.write(text.as_bytes()).unwrap();
    moved
}

#[test]
fn what_is_there_stays_and_pieces_make_a_whole() {
    let bench = Bench::new();
    fs::write(&bench.output, "old\n").unwrap();
    bench.disk.set(|faults| faults.piece = Some(3));
    let mut file = open(&bench, Rotation::default());
    assert_eq!(file.place().length, 4);
    put(&mut file, "0123456789\n");
    assert_eq!(bench.text(), "old\n0123456789\n");
    assert_eq!(file.place().length, 15);
}

#[test]
fn a_full_disk_tears_and_doubles_nothing() {
    for room in 0..11 {
        let bench = Bench::new();
        let mut file = open(&bench, Rotation::default());
        put(&mut file, "a\n");
        let text = b"0123456789\n";
        file.prepare(11, false).unwrap();
        bench.disk.set(|faults| faults.room = Some(room));
        for _ in 0..3 {
            assert!(is_no_room(&file.write(text).unwrap_err()));
        }
        bench.disk.set(|faults| faults.room = None);
        file.write(text).unwrap();
        assert_eq!(bench.text(), "a\n0123456789\n");
    }
}

#[test]
fn rotates_by_age_only_when_there_is_something() {
    let bench = Bench::new();
    let mut file = open(
        &bench,
        Rotation {
            bytes_max: None,
            age_max: Some(Duration::from_secs(60)),
            keep: 1,
        },
    );
    bench.clock.advance(Duration::from_secs(100));
    assert!(!put(&mut file, "a\n"));
    assert!(put(&mut file, "b\n"));
    bench.clock.advance(Duration::from_secs(59));
    assert!(!put(&mut file, "c\n"));
    assert_eq!(bench.text(), "b\nc\n");
}

#[test]
fn a_gap_among_the_rotated_is_filled_and_nothing_is_lost_for_it() {
    let bench = Bench::new();
    let numbered = |number| crate::disk::rotated::rotated_path(&bench.output, number);
    for number in [1, 3, 4] {
        fs::write(numbered(number), format!("{number}")).unwrap();
    }
    let rotation = Rotation {
        bytes_max: Some(1),
        age_max: None,
        keep: 4,
    };
    let mut file = open(&bench, rotation);
    put(&mut file, "a\n");
    assert!(put(&mut file, "b\n"));
    let text = |number| fs::read_to_string(numbered(number)).unwrap();
    assert_eq!([text(1), text(2), text(3), text(4)], ["a\n", "1", "3", "4"]);
    assert!(put(&mut file, "c\n"));
    assert_eq!(
        [text(1), text(2), text(3), text(4)],
        ["b\n", "a\n", "1", "3"]
    );
}

#[test]
fn opens_anew_when_asked_and_when_others_took_the_file_away() {
    let bench = Bench::new();
    let mut file = open(&bench, Rotation::default());
    put(&mut file, "a\n");
    let aside = bench.output.with_extension("aside");
    fs::rename(&bench.output, &aside).unwrap();
    // Not looked at within the same second.
    assert!(!put(&mut file, "b\n"));
    assert!(file.prepare(0, true).unwrap());
    put(&mut file, "c\n");
    assert_eq!(fs::read_to_string(&aside).unwrap(), "a\nb\n");
    assert_eq!((bench.text(), file.notes()), ("c\n".to_owned(), vec![]));
    fs::remove_file(&bench.output).unwrap();
    bench.clock.advance(Duration::from_secs(1));
    assert!(put(&mut file, "d\n"));
    assert_eq!(bench.text(), "d\n");
    assert!(file.notes()[0].contains("taken away"));
    fs::write(&bench.output, "").unwrap();
    bench.clock.advance(Duration::from_secs(1));
    assert!(put(&mut file, "e\n"));
    assert!(file.notes()[0].contains("truncated"));
    assert_eq!((bench.text(), file.place().length), ("e\n".to_owned(), 2));
}

#[test]
fn links_directories_and_devices_are_refused() {
    let bench = Bench::new();
    let refused = |path: &Path| {
        let (disk, clock) = (bench.disk.clone(), bench.clock.clone());
        let opened = Appender::open(disk, clock, path, Rotation::default());
        opened.err().unwrap().to_string()
    };
    let link = bench.output.with_extension("link");
    fs::write(&bench.output, "").unwrap();
    std::os::unix::fs::symlink(&bench.output, &link).unwrap();
    assert!(refused(&link).contains("symbolic link"));
    assert!(refused(Path::new("/tmp")).contains("directory"));
    assert!(refused(Path::new("/dev/null")).contains("no regular file"));
    let fifo = bench.output.with_extension("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    assert!(refused(&fifo).contains("no regular file"));
}
