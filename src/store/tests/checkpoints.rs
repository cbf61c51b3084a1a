//! Checkpoint files, whole and in every state of disrepair.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::engine::checkpoint::{Commit, Failure};
use crate::engine::fold::Fold;
use crate::store::checkpoint::{Checkpoint, Unreadable, decode, encode};
use crate::store::{SLOTS, StateDir};

pub(super) fn sample(number: u64) -> Checkpoint {
    let known = known();
    Checkpoint {
        number,
        purpose: "weir filter -m x".to_owned(),
        written: 0,
        state: known.state,
        lines: None,
        places: known.places,
        sent: known.sent,
        watched: None,
        output: None,
    }
}

#[test]
fn a_checkpoint_that_is_cut_anywhere_is_no_checkpoint() {
    let bytes = encode(&sample(3)).concat();
    assert_eq!(decode(&bytes).unwrap().number, 3);
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_large_checkpoint_is_written_in_pieces() {
    let mut large = sample(3);
    for row in 0..40_000u32 {
        large
            .state
            .groups
            .add(0, &row.to_be_bytes(), u64::from(row));
    }
    let pieces = encode(&large);
    assert!(pieces.len() > 1, "{}", pieces[0].len());
    let read = decode(&pieces.concat()).unwrap();
    assert_eq!(read.state.groups.top(0, 9), large.state.groups.top(0, 9));
    assert_eq!(read.state.groups.total(0), (0..40_000).sum::<u64>());
}

#[test]
fn a_checkpoint_with_any_bit_flipped_is_no_checkpoint() {
    let mut bytes = encode(&sample(3)).concat();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let found = decode(&bytes);
            assert!(matches!(found, Err(Unreadable::Broken(_))), "{at}:{bit}");
            bytes[at] ^= 1 << bit;
        }
    }
    assert!(matches!(
        decode(&vec![0; bytes.len()]),
        Err(Unreadable::Broken(_))
    ));
}

#[test]
fn the_files_are_private_and_the_directory_has_one_user() {
    let bench = Bench::new();
    let ready = bench.open().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&bench.state), 0o700);
    for name in ["lock", "checkpoint-a", "journal-1"] {
        assert_eq!(mode(&bench.in_state(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&bench.output), 0o600);
    let error = bench.open().err().unwrap();
    assert!(error.text.contains("another weir"), "{error}");
    assert_eq!(error.exit_code, 74);
    drop(ready);
    assert!(bench.open().unwrap().resumed);
}

#[test]
fn a_directory_that_others_may_change_is_refused() {
    let bench = Bench::new();
    fs::create_dir(&bench.state).unwrap();
    fs::set_permissions(&bench.state, fs::Permissions::from_mode(0o777)).unwrap();
    let error = bench.open().err().unwrap();
    assert!(error.text.contains("others may write"), "{error}");
    fs::set_permissions(&bench.state, fs::Permissions::from_mode(0o700)).unwrap();
    let link = bench.output.with_file_name("link");
    std::os::unix::fs::symlink(&bench.state, &link).unwrap();
    let error = StateDir::open(bench.disk.clone(), &link, "p")
        .err()
        .unwrap();
    assert!(error.text.contains("symbolic link"), "{error}");
    let file = bench.output.with_file_name("file");
    fs::write(&file, "").unwrap();
    assert!(StateDir::open(bench.disk.clone(), &file, "p").is_err());
}

/// A directory with checkpoints 1 and 2; 2 stands in the second slot.
fn two() -> Bench {
    let bench = Bench::new();
    let (mut ready, mut recorder) = bench.start();
    put(&mut recorder, &output(0, 2, "a\n"));
    let mut checkpoint = Box::new(sample(2));
    checkpoint.sent.records = 1;
    let border = recorder.border(2);
    let commit = Commit { checkpoint, border };
    let done = commit.run(&mut ready.store.dir, &*bench.clock);
    assert_eq!(done.result, Ok(()));
    put(&mut recorder, &output(2, 4, "b\n"));
    bench
}

#[test]
fn the_newest_is_taken_and_a_broken_one_falls_back_to_the_one_before() {
    let bench = two();
    let ready = bench.open().unwrap();
    assert_eq!(ready.known.sent.records, 1);
    assert_eq!(ends(&ready.replay), [4]);
    assert!(ready.notes.is_empty(), "{:?}", ready.notes);
    drop(ready);
    let newest = bench.in_state(SLOTS[1]);
    let whole = fs::read(&newest).unwrap();
    let broken: Vec<Vec<u8>> = (0..whole.len())
        .step_by(7)
        .map(|length| whole[..length].to_vec())
        .chain([vec![0; whole.len()]])
        .collect();
    for bytes in broken {
        fs::write(&newest, &bytes).unwrap();
        let ready = bench.open().unwrap();
        assert_eq!(ready.known.sent.records, 0);
        // Both journals, one after the other.
        assert_eq!(ends(&ready.replay), [2, 4]);
        assert!(
            ready.notes[0].contains("checkpoint-b is "),
            "{:?}",
            ready.notes
        );
        assert_eq!(bench.text(), "a\nb\n");
    }
    // The next one does not take the place of the only one that is whole.
    let (mut ready, mut recorder) = bench.start();
    let checkpoint = ready.store.keeper.begin(&mut Fold::new(&plan(), known()));
    assert_eq!(checkpoint.number, 3);
    let border = recorder.border(3);
    let commit = Commit {
        checkpoint: Box::new(checkpoint),
        border,
    };
    let done = commit.run(&mut ready.store.dir, &*bench.clock);
    assert_eq!(done.result, Ok(()));
    assert_eq!(decode(&fs::read(&newest).unwrap()).unwrap().number, 3);
    let older = fs::read(bench.in_state(SLOTS[0])).unwrap();
    assert_eq!(decode(&older).unwrap().number, 1);
}

#[test]
fn without_any_whole_checkpoint_nothing_starts_anew_by_itself() {
    let bench = two();
    for slot in SLOTS {
        fs::write(bench.in_state(slot), "weirckp1????broken").unwrap();
    }
    let error = bench.open().err().unwrap();
    assert!(error.text.contains("move the directory away"), "{error}");
    for slot in SLOTS {
        fs::remove_file(bench.in_state(slot)).unwrap();
    }
    let error = bench.open().err().unwrap();
    assert!(error.text.contains("are gone"), "{error}");
    fs::remove_dir_all(&bench.state).unwrap();
    assert!(!bench.open().unwrap().resumed);
}

#[test]
fn what_a_newer_version_wrote_is_left_alone() {
    let bench = two();
    let slot = bench.in_state(SLOTS[0]);
    fs::write(&slot, "weirckp2 in a form of its own").unwrap();
    let error = bench.open().err().unwrap();
    assert!(error.text.contains("newer version"), "{error}");
    assert_eq!(fs::read(&slot).unwrap(), b"weirckp2 in a form of its own");
}

#[test]
fn a_state_of_something_else_is_refused_and_said() {
    let bench = two();
    let disk = bench.disk.clone();
    let error = StateDir::open(disk, &bench.state, "weir filter -m y")
        .err()
        .unwrap();
    assert_eq!(error.exit_code, 2);
    assert!(
        error.text.contains("-m x") && error.text.contains("-m y"),
        "{error}"
    );
}

#[test]
fn a_full_disk_costs_a_checkpoint_and_not_the_one_before() {
    let bench = two();
    let (mut ready, mut recorder) = bench.start();
    let mut fold = Fold::new(&plan(), known());
    let mut go = |recorder: &mut Recorder, ready: &mut Ready| {
        let checkpoint = Box::new(ready.store.keeper.begin(&mut fold));
        let border = recorder.border(checkpoint.number);
        let done = Commit { checkpoint, border }.run(&mut ready.store.dir, &*bench.clock);
        ready.store.keeper.end(done)
    };
    for (room, is_said) in [(0, true), (10, false), (60, false), (400, false)] {
        bench.disk.set(|faults| faults.room = Some(room));
        let said = go(&mut recorder, &mut ready).unwrap();
        assert_eq!(said.is_some(), is_said, "{room}: {said:?}");
        assert!(!bench.in_state("checkpoint.new").exists());
    }
    bench.disk.set(|faults| faults.room = None);
    put(&mut recorder, &output(4, 6, "c\n"));
    drop((ready, recorder));
    let (mut ready, mut recorder) = bench.start();
    assert_eq!(ready.known.sent.records, 1);
    assert_eq!(ends(&ready.replay), [4, 6]);
    assert_eq!(go(&mut recorder, &mut ready), Ok(None));
    drop((ready, recorder));
    let ready = bench.open().unwrap();
    assert!(ready.replay.is_empty() && ready.notes.is_empty());
    // Journals that no checkpoint needs are gone.
    let numbers = crate::store::journal::numbers(&*bench.disk, &bench.state).unwrap();
    assert_eq!(numbers[0], 2, "{numbers:?}");
}

#[test]
fn a_failed_sync_is_never_taken_for_durable() {
    let bench = two();
    let (mut ready, mut recorder) = bench.start();
    let go = |recorder: &mut Recorder, ready: &mut Ready| {
        let mut checkpoint = Box::new(sample(0));
        checkpoint.number = ready
            .store
            .keeper
            .begin(&mut Fold::new(&plan(), known()))
            .number;
        let border = recorder.border(checkpoint.number);
        Commit { checkpoint, border }
            .run(&mut ready.store.dir, &*bench.clock)
            .result
    };
    let kept = fs::read(bench.in_state(SLOTS[1])).unwrap();
    for name in ["checkpoint.new", "state"] {
        bench.disk.set(|faults| faults.sync_fails = Some(name));
        let result = go(&mut recorder, &mut ready);
        assert!(matches!(result, Err(Failure::Checkpoint(_))), "{result:?}");
        assert_eq!(fs::read(bench.in_state(SLOTS[1])).unwrap(), kept);
    }
    bench.disk.set(|faults| faults.sync_fails = Some("out"));
    let result = go(&mut recorder, &mut ready);
    assert!(matches!(result, Err(Failure::Output(_))), "{result:?}");
    assert_eq!(fs::read(bench.in_state(SLOTS[1])).unwrap(), kept);
    bench.disk.set(|faults| faults.sync_fails = None);
    drop((ready, recorder));
    assert!(bench.open().unwrap().resumed);
}
