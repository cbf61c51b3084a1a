//! What an output file and a journal look like after a kill, and what becomes of them.

use std::fs;

use super::*;
use crate::sinks::file::Rotation;

/// Three outputs of four bytes behind a checkpoint at 0.
fn killed() -> Bench {
    let bench = Bench::new();
    let (_ready, mut recorder) = bench.start();
    for (from, text) in [(0, "one\n"), (4, "two\n"), (8, "six\n")] {
        put(&mut recorder, &output(from, from + 4, text));
    }
    bench
}

#[test]
fn a_write_that_is_torn_at_any_byte_is_cut_with_its_entry() {
    for length in 0..=12 {
        let bench = killed();
        let file = fs::OpenOptions::new()
            .write(true)
            .open(&bench.output)
            .unwrap();
        file.set_len(length).unwrap();
        for again in 0..2 {
            let ready = bench.open().unwrap();
            let good = length / 4;
            let want: Vec<u64> = (1..=good).map(|number| number * 4).collect();
            assert_eq!(ends(&ready.replay), want, "{length}, {again}");
            assert!(ready.replay.iter().all(|mark| mark.replayed));
            assert_eq!(bench.text(), "one\ntwo\nsix\n"[..good as usize * 4]);
            assert_eq!(ready.notes.len(), usize::from(again == 0 && length % 4 > 0));
        }
    }
}

#[test]
fn what_is_replayed_is_counted_and_not_written_again() {
    let bench = killed();
    let (ready, mut recorder) = bench.start();
    for mark in &ready.replay {
        let mut again = output(0, 0, "xxx\n");
        again.mark = Some(Box::new(mark.clone()));
        put(&mut recorder, &again);
    }
    put(&mut recorder, &output(12, 16, "new\n"));
    assert_eq!(bench.text(), "one\ntwo\nsix\nnew\n");
    assert_eq!(
        (recorder.accepted().records, recorder.accepted().bytes),
        (4, 16)
    );
    drop((ready, recorder));
    assert_eq!(ends(&bench.open().unwrap().replay), [4, 8, 12, 16]);
}

#[test]
fn damage_within_what_the_journal_names_is_made_again() {
    let bench = killed();
    fs::write(&bench.output, "one\n\0\0\0\0six\n").unwrap();
    let ready = bench.open().unwrap();
    assert_eq!(ends(&ready.replay), [4]);
    assert_eq!(bench.text(), "one\n");
}

#[test]
fn an_output_that_is_gone_or_shorter_than_it_was_stays_as_it_is() {
    let bench = killed();
    fs::remove_file(&bench.output).unwrap();
    fs::write(&bench.output, "something else\n").unwrap();
    let (ready, mut recorder) = bench.start();
    assert!(ready.replay.is_empty());
    assert!(
        ready.notes[0].contains("may stand twice"),
        "{:?}",
        ready.notes
    );
    put(&mut recorder, &output(0, 4, "one\n"));
    assert_eq!(bench.text(), "something else\none\n");
    drop((ready, recorder));
    // From there on all is known again.
    let ready = bench.open().unwrap();
    assert_eq!((ends(&ready.replay), ready.notes.len()), (vec![4], 0));
}

#[test]
fn bytes_without_an_entry_stay_unless_all_files_are_there_to_be_read_again() {
    for is_there in [true, false] {
        let bench = Bench::new();
        let source = bench.output.with_file_name("a.log");
        fs::write(&source, "0123").unwrap();
        let identity = bench.disk.stat(&source).unwrap().identity;
        let (_ready, mut recorder) = bench.start();
        let mut first = output(0, 4, "one\n");
        first.mark.as_mut().unwrap().births = vec![birth(&source, identity).into()];
        put(&mut recorder, &first);
        drop((_ready, recorder));
        let mut text = bench.text();
        text.push_str("unnamed\ntorn");
        fs::write(&bench.output, text).unwrap();
        // A renamed file is the same file.
        fs::rename(&source, source.with_extension("old")).unwrap();
        if !is_there {
            fs::remove_file(source.with_extension("old")).unwrap();
        }
        let (ready, mut recorder) = bench.start();
        assert_eq!((ends(&ready.replay), ready.notes.len()), (vec![4], 1));
        let kept = if is_there { "one\n" } else { "one\nunnamed\n" };
        assert_eq!(bench.text(), kept);
        put(&mut recorder, &output(4, 8, "two\n"));
        drop((ready, recorder));
        assert_eq!(ends(&bench.open().unwrap().replay), [4, 8]);
        assert_eq!(bench.text(), format!("{kept}two\n"));
    }
}

#[test]
fn rotated_files_are_followed_to_the_one_that_was_written_last() {
    let mut bench = Bench::new();
    bench.rotation = Rotation {
        bytes_max: Some(8),
        age_max: None,
        keep: 2,
    };
    let rotated = |bench: &Bench, number: u32| {
        fs::read_to_string(crate::disk::rotated::rotated_path(&bench.output, number)).ok()
    };
    let (ready, mut recorder) = bench.start();
    for number in 0..7 {
        put(
            &mut recorder,
            &output(number * 4, number * 4 + 4, &format!("l{number}.\n")),
        );
    }
    assert_eq!(bench.text(), "l6.\n");
    assert_eq!(rotated(&bench, 1).unwrap(), "l4.\nl5.\n");
    assert_eq!(rotated(&bench, 2).unwrap(), "l2.\nl3.\n");
    assert_eq!(rotated(&bench, 3), None);
    drop((ready, recorder));
    fs::write(&bench.output, "l6").unwrap();
    let ready = bench.open().unwrap();
    assert_eq!(ends(&ready.replay), [4, 8, 12, 16, 20, 24]);
    assert_eq!(bench.text(), "");
    assert_eq!(rotated(&bench, 1).unwrap(), "l4.\nl5.\n");
}

#[test]
fn a_kill_within_a_rotation_costs_nothing() {
    for step in 0..2 {
        let mut bench = killed();
        let path = crate::disk::rotated::rotated_path(&bench.output, 1);
        fs::rename(&bench.output, &path).unwrap();
        if step == 1 {
            fs::write(&bench.output, "").unwrap();
        }
        bench.rotation.keep = 3;
        let (ready, mut recorder) = bench.start();
        assert_eq!(
            (ends(&ready.replay), ready.notes.len()),
            (vec![4, 8, 12], 0)
        );
        put(&mut recorder, &output(12, 16, "new\n"));
        drop((ready, recorder));
        let ready = bench.open().unwrap();
        assert_eq!(
            (ends(&ready.replay), ready.notes.len()),
            (vec![4, 8, 12, 16], 0)
        );
        assert_eq!(bench.text(), "new\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nsix\n");
    }
}

#[test]
fn a_journal_of_an_earlier_life_never_comes_back() {
    let bench = killed();
    let stale = fs::read(bench.in_state("journal-1")).unwrap();
    fs::write(bench.in_state("journal-7"), &stale).unwrap();
    let ready = bench.open().unwrap();
    assert_eq!(ends(&ready.replay), [4, 8, 12]);
    assert!(!bench.in_state("journal-7").exists());
}
