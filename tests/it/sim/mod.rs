//! The deterministic simulation: the follower, the fold, the checkpoints and the file output on a disk
//! in memory, with a world around them that rotates, truncates, deletes and pulls the plug. One seed
//! gives one schedule.
//!
//! * [`disk`], [`platter`], [`clock`], [`random`]: what the schedule runs on;
//! * [`world`]: writers and log rotation; [`program`]: the program taken apart into steps;
//! * [`schedule`]: what happens when, by seed; [`oracle`]: what may come out, and why;
//! * [`protections`]: what the simulation finds when a disk lies.
//!
//! ```text
//! cargo test --test it sim::                                         500 schedules
//! WEIR_SIM_SEED=123 cargo test --test it sim:: -- --nocapture      one, with its trace; or several, 1,2,3
//! WEIR_SIM_SCHEDULES=100000 cargo test --release --test it sim::schedules -- --nocapture
//! ```

mod clock;
mod disk;
mod oracle;
mod platter;
mod program;
mod protections;
pub mod random;
mod schedule;
mod tests;
mod world;

use crate::program::setting;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use disk::Lies;
use schedule::{Failure, Stats};

/// Schedules in a normal test run; `./test.sh long` runs 100,000.
const SCHEDULES: u64 = 500;

/// Seeds beyond those that once found a defect: lines lost, doubled or out of order.
const ONCE_FAILED: [u64; 12] = [
    7600, 9625, 21266, 21370, 43188, 51391, 52233, 57404, 59369, 71434, 81546, 88963,
];

/// Threads that run schedules, each its own.
const THREADS: u64 = 2;

/// Failures that are shown in full.
const SHOWN_MAX: usize = 3;

/// Runs the seeds of a range on all threads; stops early after `failures_max` failures.
fn run_all(seeds: &[u64], lies: Lies, failures_max: usize) -> (Stats, Vec<Failure>) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut stats = Stats::default();
        let mut failures = Vec::new();
        while failures.len() < failures_max {
            let Some(&seed) = seeds.get(next.fetch_add(1, Relaxed)) else {
                break;
            };
            match schedule::run(seed, lies) {
                Ok(of_one) => stats.add(&of_one),
                Err(failure) => failures.push(*failure),
            }
        }
        next.store(seeds.len(), Relaxed);
        (stats, failures)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS).map(|_| scope.spawn(worker)).collect();
        let mut all = (Stats::default(), Vec::new());
        for worker in workers {
            let (stats, failures) = worker.join().expect("schedules catch their panics");
            all.0.add(&stats);
            all.1.extend(failures);
        }
        all
    })
}

/// Seeds that were asked for one by one.
fn named_seeds() -> Option<Vec<u64>> {
    let text = std::env::var("WEIR_SIM_SEED").ok()?;
    Some(
        text.split(',')
            .map(|seed| seed.parse().expect("numbers"))
            .collect(),
    )
}

#[test]
fn schedules() {
    let seeds = named_seeds().unwrap_or_else(|| {
        let from = setting("WEIR_SIM_FROM", 0);
        let count = setting("WEIR_SIM_SCHEDULES", SCHEDULES);
        let once_failed = ONCE_FAILED.into_iter().filter(|seed| *seed >= from + count);
        (from..from + count).chain(once_failed).collect()
    });
    let started = Instant::now();
    let (stats, mut failures) = run_all(&seeds, Lies::default(), 1000);
    failures.sort_by_key(|failure| failure.trace.len());
    let say = |text: String| {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
    };
    say(format!("{stats:?} in {:?}\n", started.elapsed()));
    for failure in failures.iter().take(SHOWN_MAX) {
        say(format!("{failure}\n"));
    }
    for failure in &failures {
        let first: String = failure.problems[0].chars().take(150).collect();
        say(format!("seed {}: {first}\n", failure.seed));
    }
    let seeds: Vec<u64> = failures.iter().map(|failure| failure.seed).collect();
    assert!(seeds.is_empty(), "{} seeds fail: {seeds:?}", seeds.len());
}
