//! Journals torn at every byte.

use std::fs;

use super::*;
use crate::store::journal;

fn ends_of(bench: &Bench) -> (Vec<u64>, usize) {
    let disk = &*bench.disk;
    let numbers = journal::numbers(disk, &bench.state).unwrap();
    let read = journal::read_from(disk, &bench.state, 1, &numbers).unwrap();
    let marks: Vec<Mark> = read
        .records
        .into_iter()
        .filter_map(|record| match record.entry {
            journal::Entry::Batch { mark, .. } => Some(mark.into_owned()),
            _ => None,
        })
        .collect();
    (ends(&marks), read.notes.len())
}

#[test]
fn a_journal_that_is_torn_or_damaged_anywhere_holds_the_entries_before() {
    let bench = Bench::new();
    let (ready, mut recorder) = bench.start();
    let path = bench.in_state("journal-1");
    let mut lengths = vec![fs::metadata(&path).unwrap().len() as usize];
    for number in 0..5 {
        put(&mut recorder, &output(number * 2, number * 2 + 2, "x\n"));
        lengths.push(fs::metadata(&path).unwrap().len() as usize);
    }
    drop((ready, recorder));
    let whole = fs::read(&path).unwrap();
    let want = |bytes: &[u8], whole_entries: usize, what: &str| {
        fs::write(&path, bytes).unwrap();
        let (ends, notes) = ends_of(&bench);
        let all: Vec<u64> = (1..=whole_entries as u64)
            .map(|number| number * 2)
            .collect();
        assert_eq!(ends, all, "{what}");
        notes
    };
    for length in 0..=whole.len() {
        let entries = lengths.iter().filter(|&&end| end <= length).count();
        let is_border = lengths.contains(&length);
        let notes = want(
            &whole[..length],
            entries.saturating_sub(1),
            &format!("cut at {length}"),
        );
        if entries > 0 {
            assert_eq!(notes, usize::from(!is_border), "cut at {length}");
        }
    }
    let mut bytes = whole.clone();
    for at in 0..bytes.len() {
        let entries = lengths.iter().filter(|&&end| end <= at).count();
        bytes[at] ^= 0x10;
        want(
            &bytes,
            entries.saturating_sub(1),
            &format!("damaged at {at}"),
        );
        bytes[at] ^= 0x10;
    }
    want(&vec![0; whole.len()], 0, "zeroed");
}

#[test]
fn an_entry_that_found_no_room_leaves_nothing_behind() {
    let bench = Bench::new();
    let (_ready, mut recorder) = bench.start();
    put(&mut recorder, &output(0, 2, "a\n"));
    for room in 0..40 {
        bench.disk.set(|faults| faults.room = Some(room));
        let wrote = recorder.write(&output(2, 4, "b\n")).unwrap();
        assert_eq!(wrote, Wrote::NoRoom, "{room}");
        assert_eq!(ends_of(&bench).0, [2]);
        assert_eq!(bench.text(), "a\n");
    }
    bench.disk.set(|faults| faults.room = None);
    put(&mut recorder, &output(2, 4, "b\n"));
    assert_eq!(
        (ends_of(&bench).0, bench.text()),
        (vec![2, 4], "a\nb\n".to_owned())
    );
}
