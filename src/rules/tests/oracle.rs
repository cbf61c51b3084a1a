//! A slow and obvious twin of the windows: every record is kept, every border of a step is looked at,
//! and each window is summed up anew.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What a group of records says.
type Say = fn(&[&Record]) -> Option<f64>;

/// A rule as the oracle knows it.
struct Twin {
    settings: RuleSettings,
    by_host: bool,
    is_edge: bool,
    is_whole: bool,
    say: Say,
    when: fn(f64) -> bool,
    clear: Option<fn(f64) -> bool>,
}

fn count(records: &[&Record]) -> Option<f64> {
    Some(records.len() as f64)
}

fn errors(records: &[&Record]) -> Option<f64> {
    let errors = |record: &&&Record| record.level == Some(Level::Error);
    let share = records.iter().filter(errors).count() as f64 / records.len() as f64;
    (!records.is_empty()).then_some(share)
}

fn numbers(records: &[&Record]) -> Vec<f64> {
    let numbers = records
        .iter()
        .filter_map(|record| record.fields[1].as_ref());
    let mut numbers: Vec<f64> = numbers.map(|text| text.parse().unwrap()).collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn p90(records: &[&Record]) -> Option<f64> {
    let numbers = numbers(records);
    let rank = (numbers.len() * 9).div_ceil(10);
    numbers.get(rank.checked_sub(1)?).copied()
}

fn mean(records: &[&Record]) -> Option<f64> {
    let numbers = numbers(records);
    let sum: f64 = numbers.iter().sum();
    (!numbers.is_empty()).then(|| sum / numbers.len() as f64)
}

fn spread(records: &[&Record]) -> Option<f64> {
    let numbers = numbers(records);
    Some(numbers.last()? - numbers.first()?)
}

fn users(records: &[&Record]) -> Option<f64> {
    let users: BTreeSet<&String> = records
        .iter()
        .filter_map(|record| record.fields[3].as_ref())
        .collect();
    Some(users.len() as f64)
}

fn twins() -> Vec<Twin> {
    let twin = |settings: RuleSettings, window: i64, say: Say, when: fn(f64) -> bool| Twin {
        by_host: !settings.by.is_empty(),
        settings: RuleSettings {
            window: seconds(window),
            ..settings
        },
        is_edge: false,
        is_whole: false,
        say,
        when,
        clear: None,
    };
    vec![
        Twin {
            is_edge: true,
            ..twin(by_host(rule("edge", "count() > 3")), 10, count, |value| {
                value > 3.0
            })
        },
        Twin {
            is_edge: true,
            ..twin(rule("wide", "count() >= 12"), 130, count, |value| {
                value >= 12.0
            })
        },
        twin(
            rule("share", "count(level == error) / count() > 30%"),
            20,
            errors,
            |value| value > 0.3,
        ),
        Twin {
            settings: RuleSettings {
                clear: Some("p90(cpu) < 40".to_owned()),
                window: seconds(30),
                ..by_host(rule("cpu", "p90(cpu) > 60"))
            },
            clear: Some(|value| value < 40.0),
            ..twin(by_host(rule("cpu", "p90(cpu) > 60")), 30, p90, |value| {
                value > 60.0
            })
        },
        twin(by_host(rule("mean", "mean(cpu) > 50")), 61, mean, |value| {
            value > 50.0
        }),
        twin(
            rule("spread", "max(cpu) - min(cpu) > 70"),
            9,
            spread,
            |value| value > 70.0,
        ),
        twin(rule("users", "distinct(user) > 3"), 10, users, |value| {
            value > 3.0
        }),
        Twin {
            is_whole: true,
            ..twin(rule("few", "count() < 4"), 20, count, |value| value < 4.0)
        },
    ]
}

type Told = (String, Status, Time, Option<Time>, Option<f64>);

/// The alerts of one rule, by looking at everything.
fn told(twin: &Twin, records: &[Record]) -> Vec<Told> {
    let seconds = twin.settings.window / Time::SECOND;
    let step = (seconds + 59) / 60;
    let buckets = (seconds + step - 1) / step;
    let settings = LifeSettings {
        name: twin.settings.name.clone(),
        severity: "warning".to_owned(),
        by: twin.settings.by.clone(),
        for_: 0,
        flap_hold: 0,
    };
    let mut lives = Lives::default();
    let mut alerts = Vec::new();
    let mut kept: BTreeMap<Vec<u8>, Vec<(i64, &Record)>> = BTreeMap::new();
    let mut judged: BTreeMap<Vec<u8>, (i64, bool, bool)> = BTreeMap::new();
    // A rule without `by` has its group from the start.
    if !twin.by_host {
        kept.insert(Vec::new(), Vec::new());
    }
    let (mut newest, mut started, mut passed): (Option<i64>, Option<i64>, Option<i64>) =
        (None, None, None);
    let mut look = |lives: &mut Lives,
                    judged: &mut BTreeMap<Vec<u8>, (i64, bool, bool)>,
                    kept: &BTreeMap<Vec<u8>, Vec<(i64, &Record)>>,
                    key: &[u8],
                    end: i64,
                    at: i64,
                    started: i64,
                    is_record: bool| {
        let front = kept[key]
            .iter()
            .map(|(second, _)| second.div_euclid(step))
            .max();
        let end = if twin.is_edge {
            end.max(front.unwrap_or(end))
        } else {
            end
        };
        let first = end - buckets;
        let inside: Vec<&Record> = kept[key]
            .iter()
            .filter(|(second, _)| {
                let bucket = second.div_euclid(step);
                bucket <= end && bucket > first
            })
            .map(|(_, record)| *record)
            .collect();
        if is_record && !twin.is_edge {
            return;
        }
        let value = (twin.say)(&inside);
        let is_blind = twin.is_whole && (first + 1) * step < started;
        let value = value.filter(|_| !is_blind);
        let when = value.is_some_and(twin.when);
        let clear = match twin.clear {
            Some(clear) => value.is_some_and(clear),
            None => !when,
        };
        let is_over = !is_record
            && twin.by_host
            && kept[key]
                .iter()
                .all(|(second, _)| second.div_euclid(step) <= first);
        // Times do not go back from one change to the next.
        let before = judged.get(key).copied();
        let at = before.map_or(at, |before| at.max(before.0));
        let is_change = before.is_none_or(|before| (before.1, before.2) != (when, clear));
        if is_change && (when || lives.is_active(0, key)) {
            judged.insert(key.to_vec(), (at, when, clear));
        }
        let judgement = Judgement {
            rule: 0,
            key,
            when,
            clear,
            at: Time(at * Time::SECOND),
            value,
            summary: String::new(),
            evidence: Evidence::default(),
        };
        alerts.extend(lives.judge(&settings, judgement));
        // A group that is over is forgotten.
        if is_over && !lives.is_active(0, key) {
            judged.remove(key);
        }
    };
    for record in records {
        if let Some(time) = record.time {
            let second = time.div_euclid(1000);
            if newest.is_none_or(|newest| second > newest) {
                newest = Some(second);
                started = started.or(newest);
                let watermark = second - 5;
                let until = watermark.div_euclid(step) - 1;
                for bucket in passed.map_or(until, |passed: i64| passed) + 1..=until {
                    for key in kept.keys() {
                        look(
                            &mut lives,
                            &mut judged,
                            &kept,
                            key,
                            bucket,
                            (bucket + 1) * step,
                            started.unwrap(),
                            false,
                        );
                    }
                }
                passed = passed.max(Some(until));
            }
        }
        let second = record.time.map(|time| time.div_euclid(1000));
        let second = second.or(newest).unwrap_or(0);
        let mut key = Vec::new();
        if twin.by_host {
            let Some(host) = &record.fields[0] else {
                continue;
            };
            crate::flow::key::push(&mut key, host.as_bytes());
        }
        let bucket = second.div_euclid(step);
        if passed.is_some_and(|passed| bucket <= passed - buckets) {
            continue;
        }
        let group = kept.entry(key.clone()).or_default();
        group.push((second, record));
        let front = group
            .iter()
            .map(|(second, _)| second.div_euclid(step))
            .max();
        let front = front.max(passed).unwrap();
        if bucket > front - buckets {
            let (end, started) = (passed.unwrap_or(i64::MIN / 2), started.unwrap_or(second));
            look(
                &mut lives,
                &mut judged,
                &kept,
                &key,
                end,
                second,
                started,
                true,
            );
        }
    }
    let last = newest.unwrap_or(0);
    let until = last.div_euclid(step);
    for bucket in passed.map_or(last.div_euclid(step) - 1, |passed| passed) + 1..=until {
        for key in kept.keys() {
            let (started, at) = (started.unwrap_or(last), (bucket + 1) * step);
            look(
                &mut lives,
                &mut judged,
                &kept,
                key,
                bucket,
                at,
                started,
                false,
            );
        }
    }
    alerts.extend(
        lives
            .tick(Time(last * Time::SECOND))
            .into_iter()
            .map(|(_, alert)| alert),
    );
    let mut told: Vec<Told> = alerts
        .into_iter()
        .map(|alert| {
            (
                alert.id,
                alert.status,
                alert.starts_at,
                alert.ends_at,
                alert.value,
            )
        })
        .collect();
    told.sort_by(|a, b| (a.2, &a.0, a.1.name()).cmp(&(b.2, &b.0, b.1.name())));
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_oracle_agrees(records in records(), cut in 1usize..50) {
        for twin in twins() {
            let bed = bed(std::slice::from_ref(&twin.settings), None);
            let (alerts, _) = bed.alerts(&records, &[cut], false);
            let got: Vec<Told> = alerts
                .into_iter()
                .map(|alert| (alert.id, alert.status, alert.starts_at, alert.ends_at, alert.value))
                .collect();
            let want = told(&twin, &records);
            let near = |a: &Option<f64>, b: &Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                (a, b) => a == b,
            };
            let same = got.len() == want.len()
                && got.iter().zip(&want).all(|(got, want)| {
                    (&got.0, got.1, got.2, got.3) == (&want.0, want.1, want.2, want.3)
                        && near(&got.4, &want.4)
                });
            prop_assert!(same, "{}\n{:#?}\n{:#?}", twin.settings.name, got, want);
        }
    }
}
