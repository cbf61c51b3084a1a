use super::*;
use crate::flow::key::push;
use proptest::prelude::*;

fn at(second: i64) -> Time {
    Time(second * Time::SECOND)
}

fn key(value: &str) -> Vec<u8> {
    let mut key = Vec::new();
    push(&mut key, value.as_bytes());
    key
}

fn settings(for_: i64, flap_hold: i64) -> LifeSettings {
    LifeSettings {
        name: "cpu-high".to_owned(),
        severity: "critical".to_owned(),
        by: vec!["host".to_owned()],
        for_: for_ * Time::SECOND,
        flap_hold: flap_hold * Time::SECOND,
    }
}

fn judgement(key: &[u8], second: i64, when: bool, clear: bool) -> Judgement<'_> {
    Judgement {
        rule: 0,
        key,
        when,
        clear,
        at: at(second),
        value: Some(second as f64),
        summary: format!("at {second}"),
        evidence: Evidence::default(),
    }
}

/// Status and second of start or end of what a script tells: `+` holds, `-` does not, `=` neither.
fn script(settings: &LifeSettings, script: &[(i64, char)], until: i64) -> Vec<(Status, i64, i64)> {
    let mut lives = Lives::default();
    let mut told = Vec::new();
    for (second, what) in script {
        told.extend(lives.tick(at(*second)).into_iter().map(|(_, alert)| alert));
        let key = key("web");
        let judgement = judgement(&key, *second, *what == '+', *what == '-');
        told.extend(lives.judge(settings, judgement));
    }
    told.extend(lives.tick(at(until)).into_iter().map(|(_, alert)| alert));
    let shown = told.into_iter();
    shown
        .map(|alert| {
            let ends = alert.ends_at.map_or(-1, Time::second);
            (alert.status, alert.starts_at.second(), ends)
        })
        .collect()
}

#[test]
fn alerts_begin_fire_and_end() {
    use Status::{Firing, Resolved};
    for (settings, lines, want) in [
        (
            settings(0, 0),
            &[(1, '+'), (2, '+'), (3, '-')][..],
            &[(Firing, 1, -1), (Resolved, 1, 3)][..],
        ),
        // Hysteresis: neither holds nor is clear.
        (
            settings(0, 0),
            &[(1, '+'), (2, '='), (9, '-')],
            &[(Firing, 1, -1), (Resolved, 1, 9)],
        ),
        (settings(10, 0), &[(1, '+'), (5, '-')], &[]),
        (settings(10, 0), &[(1, '+'), (5, '=')], &[]),
        (
            settings(10, 0),
            &[(1, '+'), (11, '+'), (12, '-')],
            &[(Firing, 1, -1), (Resolved, 1, 12)],
        ),
        // Nobody looked when the time was over.
        (
            settings(10, 0),
            &[(1, '+'), (50, '-')],
            &[(Firing, 1, -1), (Resolved, 1, 50)],
        ),
        (settings(10, 0), &[(1, '+')], &[(Firing, 1, -1)]),
        // Held back, and back before that is over.
        (
            settings(0, 20),
            &[(1, '+'), (2, '-'), (9, '+')],
            &[(Firing, 1, -1)],
        ),
        (
            settings(0, 20),
            &[(1, '+'), (2, '-'), (9, '+'), (30, '-')],
            &[(Firing, 1, -1), (Resolved, 1, 30)],
        ),
        (
            settings(0, 20),
            &[(1, '+'), (2, '-')],
            &[(Firing, 1, -1), (Resolved, 1, 2)],
        ),
        (
            settings(0, 20),
            &[(1, '+'), (2, '-'), (50, '+')],
            &[(Firing, 1, -1), (Resolved, 1, 2), (Firing, 50, -1)],
        ),
        (settings(0, 0), &[(1, '-'), (2, '=')], &[]),
    ] {
        assert_eq!(script(&settings, lines, 1000), want, "{lines:?}");
    }
}

#[test]
fn what_comes_to_light_late_is_not_lost_without_a_tick() {
    let mut lives = Lives::default();
    let key = key("web");
    let settings = settings(10, 0);
    let began = lives.judge(&settings, judgement(&key, 1, true, false));
    assert_eq!(began, []);
    let told = lives.judge(&settings, judgement(&key, 50, false, true));
    let statuses: Vec<Status> = told.iter().map(|alert| alert.status).collect();
    assert_eq!(statuses, [Status::Firing, Status::Resolved]);
    assert_eq!(told[0].id, told[1].id);
    assert_eq!(lives.next_due(), None);
    assert!(lives.is_empty());
}

#[test]
fn a_flapping_group_fires_until_it_is_quiet() {
    // Every minute on, half a minute later off: changes 7 and later are within an hour of six others.
    let mut lines = Vec::new();
    for minute in 0..20 {
        lines.push((minute * 60, '+'));
        lines.push((minute * 60 + 30, '-'));
    }
    let told = script(&settings(0, 0), &lines, 100_000);
    let starts: Vec<i64> = told
        .iter()
        .filter(|told| told.0 == Status::Firing)
        .map(|told| told.1)
        .collect();
    assert_eq!(starts, [0, 60, 120, 180]);
    let last = told.last().unwrap();
    assert_eq!(*last, (Status::Resolved, 180, 19 * 60 + 30));
    // An hour apart nothing is held.
    let lines: Vec<(i64, char)> = (0..20)
        .map(|hour| (hour * 3601, if hour % 2 == 0 { '+' } else { '-' }))
        .collect();
    assert_eq!(script(&settings(0, 0), &lines, 100_000).len(), 20);
}

#[test]
fn labels_and_id_are_fixed() {
    let mut lives = Lives::default();
    let key = key("web-1");
    let alert = lives
        .judge(&settings(0, 0), judgement(&key, 7, true, false))
        .remove(0);
    let labels: Vec<(&str, &str)> = alert
        .labels
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(
        labels,
        [
            ("alertname", "cpu-high"),
            ("host", "web-1"),
            ("severity", "critical")
        ]
    );
    assert_eq!(alert.id.len(), 16);
    assert_eq!(alert.id, id("cpu-high", &alert.labels, at(7)));
    // The hash by hand: every part led by its length as four little-endian bytes.
    let mut bytes = Vec::new();
    for part in [
        "cpu-high",
        "alertname",
        "cpu-high",
        "host",
        "web-1",
        "severity",
        "critical",
    ] {
        bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(&8u32.to_le_bytes());
    bytes.extend_from_slice(&7_000_000_000i64.to_le_bytes());
    assert_eq!(alert.id, format!("{:016x}", xxh64(&bytes)));
    assert_ne!(alert.id, id("cpu-high", &alert.labels, at(8)));
    assert!(lives.is_firing(0, &key) && !lives.is_firing(1, &key));
}

#[test]
fn labels_are_text_of_a_bounded_length_and_do_not_collide() {
    let mut settings = settings(0, 0);
    settings.by = vec!["severity".to_owned(), "host".to_owned()];
    let mut key = Vec::new();
    push(&mut key, b"low\xff");
    push(&mut key, "ü".repeat(200).as_bytes());
    let labels = labels(&settings, &key);
    assert_eq!(labels.len(), 4);
    assert_eq!(
        labels[1],
        ("exported_severity".to_owned(), "low\u{fffd}".to_owned())
    );
    assert_eq!(labels[2].1, "ü".repeat(128));
    assert_eq!(labels[3], ("severity".to_owned(), "critical".to_owned()));
}

#[test]
fn alerts_are_bounded() {
    let mut lives = Lives::default();
    let settings = settings(0, 0);
    for number in 0..ACTIVE_MAX as u64 + 5 {
        let key = number.to_le_bytes();
        let told = lives.judge(&settings, judgement(&key, 1, true, false));
        assert_eq!(!told.is_empty(), number < ACTIVE_MAX as u64);
    }
    assert_eq!((lives.len(), lives.refused()), (ACTIVE_MAX, 5));
    let key = 0u64.to_le_bytes();
    assert_eq!(
        lives
            .judge(&settings, judgement(&key, 2, false, true))
            .len(),
        1
    );
    assert_eq!(
        lives
            .judge(&settings, judgement(b"new", 3, true, false))
            .len(),
        1
    );
    assert_eq!(lives.active().len(), ACTIVE_MAX);
}

#[test]
fn rules_may_change_places() {
    let mut lives = Lives::default();
    let (waits, fires) = (settings(10, 0), settings(0, 0));
    for rule in 0..3 {
        let judgement = Judgement {
            rule,
            ..judgement(b"", 1, true, false)
        };
        lives.judge(if rule == 0 { &waits } else { &fires }, judgement);
    }
    let ended = lives.renumber(&BTreeMap::from([(0, 5), (2, 1)]), at(9));
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].0, ended[0].1.status, ended[0].1.ends_at),
        (1, Status::Resolved, Some(at(9)))
    );
    let told = lives.tick(at(11));
    assert_eq!(told.iter().map(|told| told.0).collect::<Vec<_>>(), [5]);
    let phases: Vec<(u32, Phase)> = lives
        .active()
        .iter()
        .map(|active| (active.rule, active.phase))
        .collect();
    assert_eq!(phases, [(1, Phase::Firing), (5, Phase::Firing)]);
}

/// The same second by second, for one group and without flapping.
fn oracle(settings: &LifeSettings, lines: &[(i64, char)], until: i64) -> Vec<(Status, i64, i64)> {
    let (wait, hold) = (
        settings.for_ / Time::SECOND,
        settings.flap_hold / Time::SECOND,
    );
    let mut told = Vec::new();
    let (mut holds_since, mut fires, mut quiet_since) = (None, false, None);
    for second in 0..=until {
        // What was judged before counts until this second.
        if let Some(since) = holds_since
            && !fires
            && second >= since + wait
        {
            fires = true;
            told.push((Status::Firing, since, -1));
        }
        if let (Some(since), Some(quiet)) = (holds_since, quiet_since)
            && second >= quiet + hold
        {
            told.push((Status::Resolved, since, quiet));
            (holds_since, fires, quiet_since) = (None, false, None);
        }
        for (_, what) in lines.iter().filter(|line| line.0 == second) {
            match what {
                '+' if holds_since.is_none() => {
                    holds_since = Some(second);
                    if wait == 0 {
                        fires = true;
                        told.push((Status::Firing, second, -1));
                    }
                }
                '+' => quiet_since = None,
                '-' if fires && quiet_since.is_none() => {
                    quiet_since = Some(second);
                    if hold == 0 {
                        told.push((Status::Resolved, holds_since.unwrap(), second));
                        (holds_since, fires, quiet_since) = (None, false, None);
                    }
                }
                '-' | '=' if !fires => holds_since = None,
                _ => {}
            }
        }
    }
    told
}

proptest! {
    #[test]
    fn lives_agree_with_the_oracle(
        // At most six changes, so that nothing flaps.
        gaps in proptest::collection::vec((1i64..30, prop_oneof![Just('+'), Just('-'), Just('=')]), 0..6),
        wait in prop_oneof![Just(0i64), 1i64..25],
        hold in prop_oneof![Just(0i64), 1i64..25],
    ) {
        let mut second = 0;
        let lines: Vec<(i64, char)> = gaps.iter().map(|(gap, what)| { second += gap; (second, *what) }).collect();
        let settings = settings(wait, hold);
        prop_assert_eq!(script(&settings, &lines, 500), oracle(&settings, &lines, 500));
    }

    /// Ticks at other times and saving in between change nothing.
    #[test]
    fn ticks_and_saving_change_nothing(
        gaps in proptest::collection::vec((1i64..400, 0u8..3, 0usize..3), 0..60),
        ticks in proptest::collection::vec(any::<bool>(), 60),
        wait in 0i64..50,
        hold in 0i64..50,
    ) {
        let settings = settings(wait, hold);
        let keys = [key("a"), key("b"), key("c")];
        let run = |often: bool| {
            let mut lives = Lives::default();
            let mut told = Vec::new();
            let mut second = 0;
            for (place, (gap, server, what)) in gaps.iter().enumerate() {
                if often && ticks[place] {
                    for between in 1..=*gap {
                        told.extend(lives.tick(at(second + between)));
                    }
                    let bytes = rmp_serde::to_vec_named(&lives).unwrap();
                    lives = rmp_serde::from_slice(&bytes).unwrap();
                }
                second += gap;
                let key = &keys[usize::from(*server)];
                let judged = lives.judge(&settings, judgement(key, second, *what == 0, *what == 1));
                told.extend(judged.into_iter().map(|alert| (0, alert)));
            }
            told.extend(lives.tick(at(second + 100_000)));
            let mut told: Vec<Alert> = told.into_iter().map(|(_, alert)| alert).collect();
            told.sort_by(|a, b| (&a.labels, a.starts_at, a.ends_at).cmp(&(&b.labels, b.starts_at, b.ends_at)));
            told
        };
        prop_assert_eq!(run(true), run(false));
    }
}
