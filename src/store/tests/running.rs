//! When checkpoints are taken.

use std::time::Duration;

use super::*;
use crate::engine::checkpoint::{Done, Failure};
use crate::engine::fold::Fold;

fn done(milliseconds: u64) -> Done {
    Done {
        result: Ok(()),
        cost: Duration::from_millis(milliseconds),
    }
}

#[test]
fn a_checkpoint_comes_a_second_after_work_and_takes_a_twentieth_of_the_time() {
    let bench = Bench::new();
    let (mut ready, _recorder) = bench.start();
    let keeper = &mut ready.store.keeper;
    let fold = Fold::new(&plan(), known());
    assert_eq!((keeper.is_due(), keeper.wait()), (false, None));
    let mark = Mark::default();
    keeper.absorbed(Some(&mark));
    assert_eq!(keeper.wait(), Some(Duration::from_secs(1)));
    bench.clock.advance(Duration::from_secs(1));
    assert!(keeper.is_due());
    assert_eq!(keeper.begin(&fold).number, 2);
    keeper.absorbed(Some(&mark));
    assert!(!keeper.is_due(), "one at a time");
    assert_eq!(keeper.end(done(100)), Ok(None));
    assert_eq!(keeper.wait(), Some(Duration::from_secs(2)));
    bench.clock.advance(Duration::from_secs(2));
    assert!(keeper.is_due());
    keeper.begin(&fold);
    assert_eq!(keeper.end(done(1)), Ok(None));
    assert_eq!(keeper.wait(), None, "nothing happened since");
    bench.clock.advance(Duration::from_secs(1));
    let urgent = Mark {
        urgent: true,
        ..Mark::default()
    };
    keeper.absorbed(Some(&urgent));
    assert!(keeper.is_due());
}

#[test]
fn there_is_no_checkpoint_within_a_replay_and_one_behind_it() {
    let bench = Bench::new();
    let (_ready, mut recorder) = bench.start();
    put(&mut recorder, &output(0, 2, "a\n"));
    put(&mut recorder, &output(2, 4, "b\n"));
    drop((_ready, recorder));
    let (mut ready, _recorder) = bench.start();
    let keeper = &mut ready.store.keeper;
    keeper.absorbed(Some(&ready.replay[0]));
    bench.clock.advance(Duration::from_secs(5));
    assert!(!keeper.is_due() && keeper.wait().is_none() && !keeper.has_work());
    keeper.absorbed(Some(&ready.replay[1]));
    assert!(keeper.is_due());
}

#[test]
fn failing_checkpoints_are_said_once_and_a_lost_output_ends_the_run() {
    let bench = Bench::new();
    let (mut ready, _recorder) = bench.start();
    let keeper = &mut ready.store.keeper;
    let failed = |failure| Done {
        result: Err(failure),
        cost: Duration::ZERO,
    };
    let full = Failure::Checkpoint("full".to_owned());
    assert!(keeper.end(failed(full.clone())).unwrap().is_some());
    assert_eq!(keeper.wait(), Some(Duration::from_secs(1)), "tried again");
    assert_eq!(keeper.end(failed(full)), Ok(None));
    assert!(keeper.end(done(1)).unwrap().unwrap().contains("again"));
    let lost = failed(Failure::Output("lost".to_owned()));
    assert_eq!(keeper.end(lost), Err("lost".to_owned()));
}
