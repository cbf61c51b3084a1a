//! Each protection is taken away in turn, and the simulation has to notice: a seed that goes well on an
//! honest disk fails on one that lies. A simulation that finds nothing proves nothing.

use super::disk::Lies;
use super::schedule;

/// Seeds that are tried until one tells.
const SEEDS: u64 = 3_000;

/// The first seed that fails for the lies alone, and with what.
fn found(lies: Lies) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let failure = schedule::run(seed, lies).err()?;
        let is_its_own = schedule::run(seed, Lies::default()).is_ok();
        is_its_own.then(|| (seed, failure.problems[0].clone()))
    })
}

#[track_caller]
fn finds(lies: Lies) {
    let found = found(lies);
    let Some((seed, problem)) = found else {
        panic!("{SEEDS} schedules go well with {lies:?}");
    };
    let text = format!("{lies:?}: seed {seed}: {problem}\n");
    let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
}

#[test]
fn the_simulation_finds_a_missing_sync_of_files() {
    finds(Lies {
        file_sync: true,
        ..Lies::default()
    });
}

#[test]
fn the_simulation_finds_a_missing_sync_of_directories() {
    finds(Lies {
        directory_sync: true,
        ..Lies::default()
    });
}

#[test]
fn the_simulation_finds_a_missing_journal() {
    finds(Lies {
        journal: true,
        ..Lies::default()
    });
}

#[test]
fn the_simulation_finds_a_missing_check_of_markers() {
    finds(Lies {
        markers: true,
        ..Lies::default()
    });
}

#[test]
fn the_simulation_finds_a_missing_second_generation_of_checkpoints() {
    // Where renames are atomic one would do.
    finds(Lies {
        rename: true,
        one_slot: true,
        ..Lies::default()
    });
}

#[test]
fn two_generations_of_checkpoints_bear_renames_that_are_not_atomic() {
    let lies = Lies {
        rename: true,
        ..Lies::default()
    };
    for seed in 0..SEEDS / 3 {
        if let Err(failure) = schedule::run(seed, lies) {
            // It may fail on an honest disk as well, but not for this.
            assert!(schedule::run(seed, Lies::default()).is_err(), "{failure}");
        }
    }
}
