//! The wall clock of a live run jumps: a suspended machine, a clock that was set, a restart after
//! years. Nothing that was missed is caught up one by one, and no time that was wrong sticks.

use std::time::{Duration, Instant};

use super::*;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// 2026-11-30, in seconds.
const TODAY: i64 = 1_796_000_000;

/// A live run whose clock the test holds.
struct Run {
    bed: Bed,
    rules: Rules,
    now: i64,
}

impl Run {
    /// With one notifier that is told of changes every `interval` seconds, and of what goes on every
    /// four hours.
    fn new(interval: i64, rules: &[RuleSettings], state: Option<KeyedSettings>) -> Run {
        let mut bed = bed(rules, state);
        bed.plan.live = true;
        for route in &mut bed.plan.notifiers {
            route.group_interval = seconds(interval);
            route.repeat_interval = seconds(4 * HOUR);
        }
        let rules = Rules::new(bed.plan.clone());
        Run {
            bed,
            rules,
            now: TODAY,
        }
    }

    /// A record of a host, stamped with the clock of the machine.
    fn record(&mut self, host: &str, status: &str, message: &str) {
        let time = self.now;
        self.record_at(time, host, status, message);
    }

    fn record_at(&mut self, time: i64, host: &str, status: &str, message: &str) {
        let record = Record {
            time: Some(time * 1000),
            level: None,
            fields: [Some(host.to_owned()), None, Some(status.to_owned()), None],
            message: message.to_owned(),
        };
        let from = From {
            source: SourceId(0),
            position: 0,
            arrival: Time::from_parts(self.now, 0),
            name: "made.log",
        };
        self.rules.absorb(&self.bed.observe(&[record]), &from);
    }

    /// Lets some seconds pass, one by one.
    fn pass(&mut self, count: i64) {
        for _ in 0..count {
            self.now += 1;
            self.rules.tick(Time(self.now * Time::SECOND));
        }
    }

    /// The clock is another one.
    fn jump(&mut self, by: i64) {
        self.now += by;
        self.rules.tick(Time(self.now * Time::SECOND));
    }

    fn restart(&mut self) {
        let written = rmp_serde::to_vec_named(&self.rules.save()).unwrap();
        let saved = rmp_serde::from_slice(&written).unwrap();
        self.rules = Rules::resume(self.bed.plan.clone(), saved);
    }

    /// What was made since the last call: how long ago in seconds, and the alert with a sign.
    fn told(&mut self) -> Vec<(i64, String)> {
        let made = self.rules.take_notifications();
        let lines = made.iter().flat_map(|notification| {
            let ago = self.now - notification.made_at.second();
            notification.alerts.iter().map(move |alert| {
                let sign = match alert.status {
                    Status::Firing => '+',
                    Status::Resolved => '-',
                };
                let host = alert.labels.iter().find(|(name, _)| name == "host");
                let host = host.map_or("", |(_, host)| host);
                (ago, format!("{} {host}{sign}", alert.rule))
            })
        });
        let mut lines: Vec<(i64, String)> = lines.collect();
        lines.sort();
        for notification in &made {
            self.rules.acknowledge(notification.number);
        }
        lines
    }

    fn texts(&mut self) -> Vec<String> {
        self.told().into_iter().map(|(_, text)| text).collect()
    }
}

/// Jobs that nobody waits for.
fn results() -> KeyedSettings {
    KeyedSettings {
        expect_within: None,
        stuck_after: None,
        ..jobs()
    }
}

/// Three alerts fire for good, and the clock goes ahead: one repeat for each, now, whatever was missed.
#[test]
fn a_clock_that_goes_ahead_repeats_each_alert_once() {
    for restarts in [false, true] {
        for gap in [DAY, 7 * DAY, 10 * YEAR, 30 * YEAR] {
            let mut run = Run::new(300, &[], Some(results()));
            for host in ["a", "b", "c"] {
                run.record(host, "failed", "x");
            }
            run.pass(10);
            assert_eq!(run.texts(), ["job.bad a+", "job.bad b+", "job.bad c+"]);
            if restarts {
                run.restart();
            }
            run.jump(gap);
            let told = run.told();
            let want: Vec<(i64, String)> = ["a", "b", "c"]
                .map(|host| (0, format!("job.bad {host}+")))
                .to_vec();
            assert_eq!(told, want, "after {gap} s, restarts: {restarts}");
            run.pass(2 * HOUR);
            assert_eq!(run.texts(), [""; 0], "then as if nothing had been");
            run.pass(2 * HOUR + 300);
            assert_eq!(run.texts().len(), 3);
        }
    }
}

/// Repeats come where they belong while the clock runs as it should, also when a tick comes late.
#[test]
fn without_a_jump_repeats_stay_where_they_are() {
    let mut run = Run::new(300, &[], Some(results()));
    run.record("a", "failed", "x");
    for _ in 0..3 * 4 * HOUR / 3 {
        run.jump(3);
    }
    let told = run.told();
    assert_eq!(told.len(), 4, "{told:?}");
    let times: Vec<i64> = told.iter().map(|(ago, _)| run.now - TODAY - ago).collect();
    let mut between = times.windows(2).map(|pair| (pair[0] - pair[1]).abs());
    assert!(between.all(|between| between == 4 * HOUR), "{times:?}");
}

/// The clock was wrong by ten years for a minute, or was right and is set back: records are counted,
/// silence is seen, alerts end and are repeated as if the clock had always been right.
#[test]
fn a_clock_that_goes_back_leaves_nothing_behind() {
    for restarts in [false, true] {
        for (ahead, back) in [
            (10 * YEAR, 10 * YEAR),
            (0, HOUR),
            (0, 10 * YEAR),
            (2 * HOUR, HOUR),
        ] {
            let note = format!("ahead {ahead}, back {back}, restarts: {restarts}");
            let many = RuleSettings {
                window: seconds(60),
                ..by_host(rule("many", "count() > 3"))
            };
            let mut run = Run::new(0, &[many], Some(results()));
            run.record("a", "failed", "x");
            run.pass(10);
            run.jump(ahead);
            run.record("b", "failed", "x");
            run.pass(60);
            let told = run.texts();
            assert!(told.contains(&"job.bad a+".to_owned()), "{note}: {told:?}");
            if restarts {
                run.restart();
            }
            run.jump(-back);
            assert_eq!(run.texts(), [""; 0], "{note}: nothing is repeated");
            run.pass(30);
            for _ in 0..5 {
                run.record("c", "done", "x");
                run.pass(1);
            }
            assert_eq!(run.texts(), ["many c+"], "{note}: windows go on");
            run.pass(120);
            run.record("b", "done", "x");
            run.pass(HOUR);
            assert_eq!(run.texts(), ["job.bad b-", "many c-"], "{note}: alerts end");
            run.pass(4 * HOUR);
            assert_eq!(
                run.texts(),
                ["job.bad a+"],
                "{note}: the others are repeated"
            );
            assert_eq!(run.rules.passed().late, 0, "{note}");
        }
    }
}

/// A window does not lose what it holds, and a waiting goes on, when the clock is set back.
#[test]
fn windows_and_waits_go_back_with_the_clock() {
    let many = RuleSettings {
        window: seconds(60),
        ..by_host(rule("many", "count() > 5"))
    };
    let long = RuleSettings {
        window: seconds(60),
        for_: seconds(90),
        ..rule("some", "rate() > 0")
    };
    let mut run = Run::new(0, &[many, long], None);
    for _ in 0..4 {
        run.pass(10);
        run.record("a", "done", "x");
    }
    run.jump(-HOUR);
    for _ in 0..2 {
        run.record("a", "done", "x");
        run.pass(1);
    }
    assert_eq!(run.texts(), ["many a+"], "four before and two after");
    for _ in 0..8 {
        run.pass(10);
        run.record("a", "done", "x");
    }
    let told = run.texts();
    assert!(
        told.contains(&"some +".to_owned()),
        "for 90 s in all: {told:?}"
    );
}

/// A job that is expected within 40 s: missed once after a gap, however long, and no longer than until
/// it comes again; a clock that was wrong does not hide the next silence.
#[test]
fn silence_is_judged_by_the_clock_as_it_is_now() {
    let mut run = Run::new(0, &[], Some(jobs()));
    run.record("a", "done", "x");
    run.pass(10);
    run.jump(10 * YEAR);
    run.pass(10);
    assert_eq!(run.texts(), ["job.missing a+"]);
    // With the wrong clock the job runs once more.
    run.record("a", "done", "x");
    run.pass(300);
    assert_eq!(run.texts(), ["job.missing a+", "job.missing a-"]);
    run.jump(-10 * YEAR);
    run.pass(5);
    run.record("a", "done", "x");
    run.pass(20);
    assert_eq!(run.texts(), ["job.missing a-"], "it has come");
    run.pass(400);
    assert_eq!(run.texts(), ["job.missing a+"], "and is missed again");
}

/// The time to learn is not over because the clock says so.
#[test]
fn a_jump_while_learning_makes_nothing_new() {
    let news = RuleSettings {
        learn: seconds(600),
        ..rule("news", "new()")
    };
    let mut run = Run::new(0, &[news], None);
    run.record("a", "done", "first");
    run.pass(60);
    // A machine without a clock of its own has learned what year it is.
    run.jump(56 * YEAR);
    run.record("a", "done", "second thing");
    run.pass(300);
    run.record("a", "done", "some third matter");
    assert_eq!(run.texts(), [""; 0]);
    run.pass(300);
    run.record("a", "done", "a fourth one at last");
    assert_eq!(run.texts(), ["news +"]);
    run.jump(-HOUR);
    run.record("a", "done", "the fifth of them all");
    let told = run.texts();
    assert!(
        told.contains(&"news +".to_owned()),
        "what was learned stays learned: {told:?}"
    );
}

/// Every step of a rule that calculates with ages counts, but not each of the steps of thirty years.
#[test]
fn a_gap_is_crossed_in_bounded_time() {
    let rules = [
        rule("old", "age(job) / 2 > 100h"),
        rule("few", "count() < 4"),
    ];
    for live in [true, false] {
        let mut run = Run::new(0, &rules, Some(results()));
        run.bed.plan.live = live;
        run.rules = Rules::new(run.bed.plan.clone());
        run.record("a", "done", "x");
        let started = Instant::now();
        if live {
            run.jump(30 * YEAR);
        } else {
            run.now += 30 * YEAR;
            run.record("b", "done", "x");
        }
        assert!(started.elapsed() < Duration::from_secs(20));
        let fired: Vec<Alert> = run.rules.take_alerts();
        let old = fired.iter().find(|alert| alert.rule == "old").unwrap();
        assert!(old.starts_at.second() - TODAY >= 200 * HOUR);
    }
}

/// A first record from thirty years ahead moves nothing in a live run.
#[test]
fn a_first_record_from_the_future_moves_nothing() {
    let many = RuleSettings {
        window: seconds(60),
        ..rule("many", "count() > 3")
    };
    let mut run = Run::new(0, &[many], Some(jobs()));
    run.record_at(TODAY + 30 * YEAR, "z", "failed", "x");
    run.pass(1);
    for _ in 0..5 {
        run.record("a", "done", "x");
        run.pass(1);
    }
    let told = run.texts();
    assert!(told.contains(&"many +".to_owned()), "{told:?}");
    run.pass(60);
    let told = run.texts();
    assert!(told.contains(&"job.missing a+".to_owned()), "{told:?}");
    assert_eq!(run.rules.passed().late, 0);
}
