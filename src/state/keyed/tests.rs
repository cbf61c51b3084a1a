use super::*;
use crate::flow::key::push;
use proptest::prelude::*;

const MINUTE: i64 = 60 * Time::SECOND;

fn key(values: &[&str]) -> Vec<u8> {
    let mut key = Vec::new();
    values
        .iter()
        .for_each(|value| push(&mut key, value.as_bytes()));
    key
}

fn at(second: i64) -> Time {
    Time(second * Time::SECOND)
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn settings() -> KeyedSettings {
    KeyedSettings {
        name: "backup".to_owned(),
        key: words(&["server"]),
        ..KeyedSettings::default()
    }
}

fn sample(second: i64) -> SampleLine {
    SampleLine {
        source: "a.log".to_owned(),
        offset: second as u64,
        line: format!("line {second}"),
    }
}

fn say(state: &mut Keyed, second: i64, server: &str, value: &str) {
    let time = Some(at(second));
    state.absorb(
        &key(&[server]),
        value.as_bytes(),
        time,
        time,
        1,
        &sample(second),
    );
}

/// Key, kind, whether it holds, second.
fn told(state: &mut Keyed, now: i64) -> Vec<(String, Kind, bool, i64)> {
    let conditions = state.conditions(at(now)).into_iter();
    conditions
        .map(|condition| {
            let value = crate::flow::key::values(&condition.key)[0];
            let server = String::from_utf8_lossy(value).into_owned();
            (
                server,
                condition.kind,
                condition.holds,
                condition.at.second(),
            )
        })
        .collect()
}

fn one(server: &str, kind: Kind, holds: bool, second: i64) -> (String, Kind, bool, i64) {
    (server.to_owned(), kind, holds, second)
}

#[test]
fn a_value_means_what_its_list_says_and_the_rest_falls_to_the_list_that_is_missing() {
    let ok: &[&str] = &["done"];
    let pending: &[&str] = &["running"];
    let bad: &[&str] = &["failed"];
    let none: &[&str] = &[];
    for (lists, value, want) in [
        ((none, none, none), "anything", Status::Ok),
        ((ok, none, none), "DONE", Status::Ok),
        ((ok, none, none), "inactive", Status::Bad),
        ((none, none, bad), "inactive", Status::Ok),
        ((none, none, bad), "Failed", Status::Bad),
        ((none, pending, bad), "inactive", Status::Ok),
        ((ok, pending, none), "inactive", Status::Bad),
        ((ok, pending, none), "running", Status::Pending),
        ((ok, none, bad), "started", Status::Pending),
        ((ok, pending, bad), "started", Status::Bad),
    ] {
        let (ok, pending, bad) = lists;
        let mut state = Keyed::new(KeyedSettings {
            ok: words(ok),
            pending: words(pending),
            bad: words(bad),
            ..settings()
        });
        say(&mut state, 1, "web", value);
        assert_eq!(state.rows(at(1))[0].status, want, "{lists:?} {value}");
    }
    // Steps: all but the last are pending, what is no step is bad unless a list has it.
    for (value, want) in [
        ("build", Status::Pending),
        ("restart", Status::Ok),
        ("exploded", Status::Bad),
        ("idle", Status::Ok),
    ] {
        let mut state = Keyed::new(KeyedSettings {
            steps: words(&["build", "migrate", "restart"]),
            ok: words(&["idle"]),
            ..settings()
        });
        say(&mut state, 1, "web", value);
        assert_eq!(state.rows(at(1))[0].status, want, "{value}");
    }
}

#[test]
fn a_key_of_the_roster_is_missing_until_it_comes() {
    let mut state = Keyed::new(KeyedSettings {
        roster: vec![key(&["a"]), key(&["b"]), key(&["c"])],
        expect_within: Some(10 * MINUTE),
        ..settings()
    });
    assert_eq!(state.next_due(), None);
    state.begin(at(0));
    say(&mut state, 5, "a", "x");
    assert_eq!(state.next_due(), Some(Time(at(600).0 + 1)));
    assert_eq!(told(&mut state, 600), []);
    assert!(!state.is_missing(&key(&["b"]), at(600)));
    assert!(state.is_missing(&key(&["b"]), at(601)));
    assert!(!state.is_missing(&key(&["nobody"]), at(601)));
    let statuses = |state: &Keyed| -> Vec<Status> {
        let rows = state.rows(at(601)).into_iter();
        rows.map(|row| row.status).collect()
    };
    assert_eq!(
        statuses(&state),
        [Status::Ok, Status::Missing, Status::Missing]
    );
    assert_eq!(
        told(&mut state, 700),
        [
            one("b", Kind::Missing, true, 600),
            one("c", Kind::Missing, true, 600),
            one("a", Kind::Missing, true, 605),
        ]
    );
    say(&mut state, 800, "b", "x");
    assert_eq!(told(&mut state, 800), [one("b", Kind::Missing, false, 800)]);
    assert_eq!(state.keys().len(), 3);
}

#[test]
fn another_roster_keeps_what_is_known() {
    let with = |roster: &[&str]| KeyedSettings {
        roster: roster.iter().map(|server| key(&[server])).collect(),
        expect_within: Some(10 * MINUTE),
        ..settings()
    };
    let mut state = Keyed::new(with(&["a", "b"]));
    state.begin(at(0));
    say(&mut state, 5, "a", "x");
    say(&mut state, 600, "guest", "y");
    assert_eq!(told(&mut state, 604), [one("b", Kind::Missing, true, 600)]);
    assert!(!state.reconfigure(with(&["a", "b"])));
    assert_eq!(told(&mut state, 604), []);

    assert!(state.reconfigure(with(&["guest", "c"])));
    assert_eq!(
        told(&mut state, 604),
        [
            one("b", Kind::Missing, false, 600),
            one("c", Kind::Missing, true, 600),
        ]
    );
    let rows: Vec<_> = state
        .rows(at(604))
        .into_iter()
        .map(|row| (row.key[0].1.to_vec(), row.count, row.status))
        .collect();
    assert_eq!(
        rows,
        [
            (b"a".to_vec(), 1, Status::Ok),
            (b"c".to_vec(), 0, Status::Missing),
            (b"guest".to_vec(), 1, Status::Ok),
        ]
    );
    // "a" is a guest now and may be forgotten for good; "guest" would be missed.
    assert!(state.forget(&key(&["a"]), at(604)) && state.forget(&key(&["guest"]), at(604)));
    assert_eq!(state.keys(), [key(&["c"]), key(&["guest"])]);
}

#[test]
fn without_a_limit_the_roster_is_looked_at_when_the_input_ends() {
    let mut state = Keyed::new(KeyedSettings {
        roster: vec![key(&["a"]), key(&["b"])],
        ..settings()
    });
    say(&mut state, 5, "a", "x");
    assert_eq!(told(&mut state, 1_000_000), []);
    assert!(!state.is_missing(&key(&["b"]), at(1_000_000)));
    state.finish();
    state.finish();
    assert_eq!(told(&mut state, 5), [one("b", Kind::Missing, true, 5)]);
    assert!(state.is_missing(&key(&["b"]), at(5)));
    assert!(!state.is_missing(&key(&["a"]), at(5)));
}

#[test]
fn silence_and_delay_begin_when_their_limit_passes() {
    let mut state = Keyed::new(KeyedSettings {
        pending: words(&["running"]),
        expect_within: Some(10 * MINUTE),
        stuck_after: Some(5 * MINUTE),
        ..settings()
    });
    say(&mut state, 0, "a", "running");
    say(&mut state, 200, "a", "running");
    assert_eq!(told(&mut state, 300), []);
    assert_eq!(told(&mut state, 301), [one("a", Kind::Stuck, true, 300)]);
    assert!(state.is_stuck(&key(&["a"]), at(301)));
    assert_eq!(state.age(&key(&["a"]), at(301)), Some(101 * Time::SECOND));
    assert_eq!(state.rows(at(900))[0].status, Status::Stuck);
    assert_eq!(told(&mut state, 801), [one("a", Kind::Missing, true, 800)]);
    assert_eq!(told(&mut state, 10_000), []);
    say(&mut state, 10_001, "a", "done");
    assert_eq!(
        told(&mut state, 10_001),
        [
            one("a", Kind::Missing, false, 10_001),
            one("a", Kind::Stuck, false, 10_001),
        ]
    );
    let row = &state.rows(at(10_001))[0];
    assert_eq!((row.transitions, row.count), (1, 3));
    assert_eq!(row.since, Some(at(10_001)));
    assert_eq!(state.rows(at(20_000))[0].status, Status::Late);
}

#[test]
fn bad_is_told_with_the_record_that_made_it() {
    let mut state = Keyed::new(KeyedSettings {
        ok: words(&["completed"]),
        bad: words(&["failed"]),
        ..settings()
    });
    say(&mut state, 1, "a", "completed");
    say(&mut state, 2, "a", "failed");
    say(&mut state, 3, "a", "failed");
    let conditions = state.conditions(at(3));
    assert_eq!(conditions.len(), 1);
    assert_eq!(conditions[0].sample, Some(sample(2)));
    assert_eq!(conditions[0].summary, "backup a: \"failed\"");
    let row = &state.rows(at(3))[0];
    assert_eq!((row.status, row.last_ok), (Status::Bad, Some(at(1))));
    assert_eq!(row.value, Some(&b"failed"[..]));
    assert_eq!(state.last(&key(&["a"])), Some(&b"failed"[..]));
    assert!(state.forget(&key(&["a"]), at(9)));
    assert!(!state.forget(&key(&["a"]), at(9)));
    assert_eq!(told(&mut state, 9), [one("a", Kind::Bad, false, 9)]);
}

#[test]
fn steps_are_walked_in_order() {
    let steps = words(&["build", "migrate", "restart"]);
    for (walk, want) in [
        ("build migrate restart", "1 0 0 true"),
        ("build build migrate restart", "1 0 0 true"),
        ("build restart", "1 1 0 false"),
        ("restart", "1 2 0 false"),
        ("build restart migrate", "1 1 1 false"),
        ("build restart build migrate", "2 1 0 true"),
        ("build migrate build", "2 0 0 true"),
        ("build broken migrate", "1 0 0 true"),
    ] {
        let mut state = Keyed::new(KeyedSettings {
            steps: steps.clone(),
            ..settings()
        });
        for (second, step) in (0..).zip(walk.split(' ')) {
            say(&mut state, second, "a", step);
        }
        let rows = state.rows(at(0));
        let row = rows[0].steps.as_ref().unwrap();
        let got = format!(
            "{} {} {} {}",
            row.rounds, row.skipped, row.backwards, row.in_order
        );
        assert_eq!(got, want, "{walk}");
    }
    let mut state = Keyed::new(KeyedSettings {
        steps,
        ..settings()
    });
    for (second, step) in (0..).zip(["build", "restart", "migrate", "restart", "build"]) {
        say(&mut state, second, "a", step);
    }
    let conditions = state.conditions(at(9));
    let shown: Vec<(i64, bool, &str)> = conditions
        .iter()
        .map(|told| (told.at.second(), told.holds, told.summary.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (1, true, "backup a: \"restart\" came without \"migrate\""),
            (4, false, "backup a: started again with \"build\""),
        ]
    );
    let row = &state.rows(at(9))[0];
    assert_eq!(row.steps.as_ref().unwrap().step, Some(("build", 1)));
    assert_eq!(row.status, Status::Pending);
}

#[test]
fn a_record_without_a_time_is_taken_in_but_ends_no_silence() {
    let mut state = Keyed::new(KeyedSettings {
        bad: words(&["failed"]),
        expect_within: Some(MINUTE),
        ..settings()
    });
    state.absorb(&key(&["a"]), b"failed", None, None, 1, &sample(0));
    assert_eq!(state.conditions(at(7))[0].at, Time(0));
    say(&mut state, 10, "a", "x");
    assert_eq!(told(&mut state, 71).len(), 2);
    state.absorb(&key(&["a"]), b"failed", None, None, 1, &sample(0));
    assert_eq!(told(&mut state, 71), [one("a", Kind::Bad, true, 10)]);
    let row = &state.rows(at(71))[0];
    assert_eq!((row.since, row.last), (None, Some(at(10))));
}

#[test]
fn a_full_table_counts_newcomers_and_lets_idle_keys_go() {
    let mut state = Keyed::new(KeyedSettings {
        bad: words(&["failed"]),
        roster: vec![key(&["listed"])],
        ..settings()
    });
    say(&mut state, 0, "stays", "failed");
    for number in 1..KEYS_MAX {
        say(&mut state, 1, &format!("k{number}"), "x");
    }
    for number in 0..300 {
        say(&mut state, 3600, &format!("new{number}"), "x");
    }
    assert_eq!((state.keys().len(), state.other()), (KEYS_MAX + 1, 300));
    assert!(state.is_approximate());
    // The roster always has room.
    say(&mut state, 3600, "listed", "x");
    assert_eq!((state.keys().len(), state.other()), (KEYS_MAX + 1, 300));
    say(&mut state, 3600, "k1", "x");
    let next_day = 1 + 24 * 3600 + 1;
    for number in 0..300 {
        say(&mut state, next_day, &format!("late{number}"), "x");
    }
    let names: Vec<&[u8]> = state.keys();
    assert!(
        names.contains(&&key(&["stays"])[..]),
        "a bad key may not leave"
    );
    assert!(names.contains(&&key(&["listed"])[..]));
    assert!(
        names.contains(&&key(&["k1"])[..]),
        "it was seen an hour ago"
    );
    assert!(state.keys().len() < 310);
    say(&mut state, next_day, &"x".repeat(KEY_BYTES_MAX + 1), "x");
    assert!(state.other() > 300);
}

#[test]
fn changes_that_nobody_asks_for_are_bounded() {
    let mut state = Keyed::new(KeyedSettings {
        bad: words(&["failed"]),
        ..settings()
    });
    for second in 0..CHANGES_MAX as i64 + 10 {
        say(
            &mut state,
            second,
            "a",
            if second % 2 == 0 { "failed" } else { "x" },
        );
    }
    let changes = state.conditions(at(0));
    assert!(changes.len() <= CHANGES_MAX);
    assert_eq!(changes.last().unwrap().at, at(CHANGES_MAX as i64 + 9));
}

#[test]
fn a_state_is_written_and_read() {
    let mut state = rich();
    say(&mut state, 0, "a", "build");
    say(&mut state, 900, "b", "failed");
    let bytes = rmp_serde::to_vec_named(&state).unwrap();
    let mut read: Keyed = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(rmp_serde::to_vec_named(&read).unwrap(), bytes);
    assert_eq!(read.rows(at(1000)), state.rows(at(1000)));
    assert_eq!(read.next_due(), state.next_due());
    assert_eq!(read.conditions(at(5000)), state.conditions(at(5000)));
}

fn rich() -> Keyed {
    Keyed::new(KeyedSettings {
        bad: words(&["failed"]),
        roster: vec![key(&["a"]), key(&["missing"])],
        expect_within: Some(20 * Time::SECOND),
        stuck_after: Some(5 * Time::SECOND),
        steps: words(&["build", "migrate", "restart", "check"]),
        ..settings()
    })
}

const VALUES: [&str; 6] = ["build", "migrate", "restart", "check", "failed", "odd"];

/// Seconds since the record before, server, value.
fn records() -> impl Strategy<Value = Vec<(i64, usize, usize)>> {
    let gap = prop_oneof![4 => 0i64..4, 1 => 4i64..60];
    proptest::collection::vec((gap, 0usize..3, 0usize..VALUES.len()), 0..60)
}

fn feed(state: &mut Keyed, from: &mut i64, records: &[(i64, usize, usize)]) {
    for (gap, server, value) in records {
        *from += gap;
        say(state, *from, ["a", "b", "c"][*server], VALUES[*value]);
    }
}

proptest! {
    /// Law 1: who asks when does not matter.
    #[test]
    fn what_is_told_does_not_depend_on_when_it_is_asked(
        records in records(),
        asked in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let mut often = rich();
        let mut once = rich();
        let mut told = Vec::new();
        let mut now = 0;
        for (record, asked) in records.iter().zip(&asked) {
            feed(&mut often, &mut now, std::slice::from_ref(record));
            if *asked {
                told.extend(often.conditions(at(now)));
            }
        }
        told.extend(often.conditions(at(now + 1000)));
        let mut from = 0;
        feed(&mut once, &mut from, &records);
        let mut want = once.conditions(at(now + 1000));
        // Order counts within one key and kind.
        told.sort_by_key(|told| (told.key.clone(), told.kind));
        want.sort_by_key(|told| (told.key.clone(), told.kind));
        prop_assert_eq!(told, want);
    }

    /// Law 4.
    #[test]
    fn a_run_and_the_next_merge_into_both(records in records(), cut in 0usize..60) {
        let (first, second) = records.split_at(cut.min(records.len()));
        let mut whole = rich();
        let mut now = 0;
        feed(&mut whole, &mut now, &records);
        let mut merged = rich();
        let mut later = rich();
        let mut from = 0;
        feed(&mut merged, &mut from, first);
        feed(&mut later, &mut from, second);
        merged.merge(&later);
        for after in [0, 10, 30] {
            prop_assert_eq!(merged.rows(at(now + after)), whole.rows(at(now + after)));
        }
        prop_assert_eq!(merged.keys(), whole.keys());
    }

    /// Rows against what the records say when they are all kept.
    #[test]
    fn rows_agree_with_all_records(records in records()) {
        let mut state = rich();
        let mut now = 0;
        feed(&mut state, &mut now, &records);
        for (place, server) in ["a", "b", "c"].iter().enumerate() {
            let mut second = 0;
            let mut own = Vec::new();
            for (gap, of, value) in &records {
                second += gap;
                if *of == place {
                    own.push((second, *value));
                }
            }
            let rows = state.rows(at(now));
            let row = rows.iter().find(|row| row.key[0].1 == server.as_bytes());
            let Some((last, value)) = own.last() else {
                prop_assert!(row.is_none_or(|row| row.status == Status::Missing));
                continue;
            };
            let row = row.unwrap();
            prop_assert_eq!(row.value, Some(VALUES[*value].as_bytes()));
            prop_assert_eq!(row.last, Some(at(*last)));
            prop_assert_eq!(row.count, own.len() as u64);
            let changes = own.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
            prop_assert_eq!(row.transitions, changes as u64);
            let run = own.iter().rev().take_while(|record| record.1 == *value).last().unwrap();
            prop_assert_eq!(row.since, Some(at(run.0)));
            let ok = own.iter().rfind(|record| VALUES[record.1] == "check");
            prop_assert_eq!(row.last_ok, ok.map(|record| at(record.0)));
            // Steps, from a list of them without repetitions; -1 stands before the first.
            let mut walk: Vec<i64> = vec![-1];
            walk.extend(own.iter().filter(|record| record.1 < 4).map(|record| record.1 as i64));
            walk.dedup();
            let starts = walk.windows(2).filter(|pair| pair[0] > 0 && pair[1] == 0).count();
            let skips = |pair: &[i64]| (pair[1] - pair[0] - 1).max(0);
            let backs = |pair: &[i64]| i64::from(pair[1] < pair[0] && pair[1] > 0);
            let steps = row.steps.as_ref().unwrap();
            prop_assert_eq!(steps.rounds, if walk.len() > 1 { 1 + starts as u64 } else { 0 });
            prop_assert_eq!(steps.skipped as i64, walk.windows(2).map(skips).sum::<i64>());
            prop_assert_eq!(steps.backwards as i64, walk.windows(2).map(backs).sum::<i64>());
            let round = walk.iter().rposition(|step| *step == 0).unwrap_or(0);
            let round = &walk[round..];
            let in_order = round.windows(2).all(|pair| skips(pair) + backs(pair) == 0);
            prop_assert_eq!(steps.in_order, in_order);
        }
    }
}
