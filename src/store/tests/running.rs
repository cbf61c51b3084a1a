//! When checkpoints are taken.

use std::time::Duration;

use super::*;
use crate::engine::checkpoint::{Done, Failure};
use crate::engine::fold::Fold;
use crate::engine::reader::{Input, Reader};
use crate::engine::{self, NoWatcher, Outcome, Reading, Run};
use crate::flow::output::LinesTask;
use crate::framing::chunker::Policy;
use crate::sources::reading::Settings;
use crate::stages::literals::Literals;
use crate::stop::Stop;

fn done(milliseconds: u64) -> Done {
    Done {
        result: Ok(()),
        cost: Duration::from_millis(milliseconds),
    }
}

#[test]
fn the_first_checkpoint_comes_soon_the_next_a_second_after_work_and_takes_a_twentieth_of_the_time()
{
    let bench = Bench::new();
    let (mut ready, _recorder) = bench.start();
    let keeper = &mut ready.store.keeper;
    let mut fold = Fold::new(&plan(), known());
    assert_eq!((keeper.is_due(), keeper.wait()), (false, None));
    let mark = Mark::default();
    keeper.absorbed(Some(&mark));
    assert_eq!(keeper.wait(), Some(Duration::from_millis(100)));
    bench.clock.advance(Duration::from_millis(100));
    assert!(keeper.is_due());
    assert_eq!(keeper.begin(&mut fold).number, 2);
    keeper.absorbed(Some(&mark));
    assert!(!keeper.is_due(), "one at a time");
    assert_eq!(keeper.end(done(100)), Ok(None));
    assert_eq!(keeper.wait(), Some(Duration::from_secs(2)));
    bench.clock.advance(Duration::from_secs(2));
    assert!(keeper.is_due());
    keeper.begin(&mut fold);
    assert_eq!(keeper.end(done(1)), Ok(None));
    assert_eq!(keeper.wait(), None, "nothing happened since");
    bench.clock.advance(Duration::from_secs(5));
    keeper.absorbed(Some(&mark));
    assert_eq!(keeper.wait(), Some(Duration::from_secs(1)));
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

/// Runs `weir filter -m ERROR` over a file with all threads, as a run that goes on where the one
/// before it ended.
fn run(bench: &Bench, text: &str) -> Outcome {
    let input = bench.output.with_file_name("input");
    std::fs::write(&input, text).unwrap();
    let mut ready = bench.open().unwrap();
    let file = ready.file.take().unwrap();
    let plan = Plan {
        select: Select {
            literals: Some(Literals::new(&[b"ERROR".to_vec()], false)),
            ..Select::default()
        },
        task: Task::Lines(LinesTask {
            level: None,
            json: false,
            count: false,
            dedup: None,
            before: 0,
            after: 0,
            as_they_come: false,
        }),
        ..plan()
    };
    let run = Run {
        reader: Reading::ToEnd(Reader {
            inputs: vec![Input::Named(input.into())],
            settings: Settings {
                policy: Policy {
                    multiline: plan.multiline.clone(),
                    as_they_come: false,
                    counts_lines: false,
                    chunk_bytes: 4096,
                },
                zone: jiff::tz::TimeZone::UTC,
                format: None,
                prepare: crate::sources::prepared::Preparation::new(
                    crate::parsers::documents::recognise,
                ),
                csv_header: crate::parsers::csv::header_unless,
                live: false,
            },
            now: Time(0),
        }),
        plan: Arc::new(plan),
        threads: 2,
        budget_bytes: 1 << 20,
        sink: Some(Destination::File(Box::new(file))),
        further: Vec::new(),
        carries: None,
        store: Some(ready.store),
        stop: Stop::new().unwrap(),
        grace: None,
        watcher: Box::new(NoWatcher),
        faulted: None,
        say: |_| {},
    };
    engine::run(run, ready.known).unwrap()
}

#[test]
fn totals_and_output_go_on_over_restarts_and_nothing_is_unaccounted() {
    let bench = Bench::new();
    let (mut kept, mut all) = (String::new(), 0);
    for life in 0..4 {
        let mut text = String::new();
        for number in 0..2000 {
            let level = if number % 7 == life { "ERROR" } else { "INFO" };
            let line = format!("2024-03-01T00:00:00Z {level} life {life} number {number}\n");
            if level == "ERROR" {
                kept.push_str(&line);
            }
            text.push_str(&line);
        }
        all += text.len() as u64;
        let outcome = run(&bench, &text);
        assert_eq!(outcome.problems, []);
        let ledger = outcome.state.ledger;
        assert_eq!((ledger.unaccounted, ledger.bytes), (0, all));
        assert_eq!(ledger.records, 2000 * (life + 1));
        assert_eq!(ledger.kept, kept.lines().count() as u64);
        assert_eq!(bench.text(), kept);
    }
    let ready = bench.open().unwrap();
    assert!(ready.replay.is_empty());
    assert_eq!(ready.known.sent.bytes, kept.len() as u64);
}

#[test]
fn an_output_that_cannot_be_made_durable_ends_the_run_with_74() {
    let bench = Bench::new();
    drop(bench.open().unwrap());
    bench.disk.set(|faults| faults.sync_fails = Some("out"));
    let outcome = run(&bench, "ERROR one\n");
    assert_eq!(outcome.problems.len(), 1);
    let (text, code) = &outcome.problems[0];
    assert!(text.contains("not durable") && *code == 74, "{text}");
    bench.disk.set(|faults| faults.sync_fails = None);
    assert!(bench.open().unwrap().resumed);
}
