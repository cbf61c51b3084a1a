use super::*;
use crate::flow::alert::Evidence;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet as Set};

fn at(second: i64) -> Time {
    Time(second * Time::SECOND)
}

fn route(name: &str, group_by: &[&str], wait: i64, interval: i64, repeat: i64) -> RouteSettings {
    RouteSettings {
        name: name.to_owned(),
        group_by: group_by.iter().map(|name| (*name).to_owned()).collect(),
        group_wait: wait * Time::SECOND,
        group_interval: interval * Time::SECOND,
        repeat_interval: repeat * Time::SECOND,
        send_resolved: true,
        ..RouteSettings::default()
    }
}

/// An alert `name` of a cluster that began at a second, and perhaps ended.
fn alert(name: &str, cluster: &str, starts: i64, ends: Option<i64>) -> Alert {
    let labels = [
        ("alertname", "latency"),
        ("cluster", cluster),
        ("instance", name),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Alert {
        id: format!("{name}-{starts}"),
        rule: "latency".to_owned(),
        status: if ends.is_some() {
            Status::Resolved
        } else {
            Status::Firing
        },
        labels: labels.to_vec(),
        summary: String::new(),
        value: None,
        starts_at: at(starts),
        ends_at: ends.map(at),
        evidence: Evidence::default(),
    }
}

/// A router for one notifier and the seconds at which alerts come.
struct Line {
    router: Router,
    notify: Vec<String>,
}

impl Line {
    fn new(route: RouteSettings, silences: Vec<Silence>) -> Line {
        Line {
            notify: vec![route.name.clone()],
            router: Router::new(vec![route], silences, Mutes::default()),
        }
    }

    fn fire(&mut self, second: i64, name: &str) {
        self.router
            .take(alert(name, "c1", second, None), &self.notify, at(second));
    }

    fn resolve(&mut self, second: i64, name: &str, started: i64) {
        self.router.take(
            alert(name, "c1", started, Some(second)),
            &self.notify,
            at(second),
        );
    }

    /// What was told until a second: `when: name+ name-`, and how many were left out.
    fn told(&mut self, until: i64) -> Vec<String> {
        self.router.tick(at(until));
        let notifications = self.router.take_notifications();
        notifications.iter().map(shown).collect()
    }
}

fn shown(notification: &Notification) -> String {
    let mut text = format!("{}:", notification.made_at.second());
    for alert in &notification.alerts {
        let sign = if alert.status == Status::Firing {
            '+'
        } else {
            '-'
        };
        text.push_str(&format!(" {}{sign}", alert.id));
    }
    if notification.left_out > 0 {
        text.push_str(&format!(" ({} more)", notification.left_out));
    }
    text
}

/// Alertmanager's documentation, "route": group_wait "how long to initially wait to send a notification
/// for a group of alerts", group_interval "how long to wait before sending a notification about new
/// alerts that are added to a group", repeat_interval "how long to wait before sending a notification
/// again"; 30 s, 5 m and 4 h are its defaults.
#[test]
fn a_group_waits_gathers_and_repeats() {
    let mut line = Line::new(route("oncall", &["cluster"], 30, 300, 4 * 3600), Vec::new());
    line.fire(0, "a");
    line.fire(10, "b");
    assert_eq!(line.told(29), [""; 0]);
    assert_eq!(line.router.next_due(), Some(at(30)));
    assert_eq!(line.told(30), ["30: a-0+ b-10+"]);
    line.fire(60, "c");
    assert_eq!(line.router.next_due(), Some(at(330)));
    assert_eq!(line.told(400), ["330: a-0+ b-10+ c-60+"]);
    line.resolve(400, "a", 0);
    assert_eq!(line.told(629), [""; 0]);
    assert_eq!(line.told(630), ["630: a-0- b-10+ c-60+"]);
    // Told again four hours later: 630 + 14,400 is a multiple of the interval after the first at 30.
    assert_eq!(line.router.next_due(), Some(at(15_030)));
    assert_eq!(
        line.told(30_000),
        ["15030: b-10+ c-60+", "29430: b-10+ c-60+"]
    );
    line.resolve(30_001, "b", 10);
    line.resolve(30_002, "c", 60);
    assert_eq!(line.told(40_000), ["30030: b-10- c-60-"]);
    assert_eq!(line.router.next_due(), None);
    assert_eq!(line.told(1_000_000), [""; 0]);
    // A new group waits again.
    line.fire(1_000_000, "a");
    assert_eq!(line.told(2_000_000)[0], "1000030: a-1000000+");
    let counts = line.router.counts();
    assert_eq!((counts.firing, counts.resolved, counts.short), (4, 3, 0));
}

#[test]
fn repeats_come_at_multiples_of_the_interval() {
    let mut line = Line::new(route("oncall", &[], 0, 300, 400), Vec::new());
    line.fire(0, "a");
    assert_eq!(line.told(1500), ["0: a-0+", "600: a-0+", "1200: a-0+"]);
    assert_eq!(line.router.counts().repeats, 2);
    let mut line = Line::new(route("oncall", &[], 0, 300, 0), Vec::new());
    line.fire(0, "a");
    assert_eq!(line.told(1_000_000), ["0: a-0+"]);
}

#[test]
fn without_waiting_everything_is_told_at_once() {
    let mut line = Line::new(route("oncall", &["..."], 0, 0, 0), Vec::new());
    line.fire(1, "a");
    line.fire(1, "b");
    line.resolve(1, "a", 1);
    line.fire(2, "a");
    assert_eq!(line.told(2), ["1: a-1+", "1: b-1+", "1: a-1-", "2: a-2+"]);
}

#[test]
fn an_alert_that_ended_before_it_was_told_is_not_told() {
    let mut line = Line::new(route("oncall", &[], 30, 300, 3600), Vec::new());
    line.fire(0, "a");
    line.resolve(20, "a", 0);
    assert_eq!(line.told(1000), [""; 0]);
    line.fire(1000, "b");
    line.fire(1040, "c");
    line.resolve(1050, "c", 1040);
    assert_eq!(line.told(2000), ["1030: b-1000+"]);
    assert_eq!(line.router.counts().short, 2);
}

#[test]
fn one_that_comes_back_is_told_after_its_end() {
    let mut line = Line::new(route("oncall", &["..."], 0, 300, 0), Vec::new());
    line.fire(0, "a");
    line.resolve(10, "a", 0);
    line.fire(20, "a");
    assert_eq!(line.told(1000), ["0: a-0+", "300: a-0- a-20+"]);
}

#[test]
fn ends_are_not_told_to_those_who_do_not_want_them() {
    let mut settings = route("oncall", &[], 0, 300, 0);
    settings.send_resolved = false;
    let mut line = Line::new(settings, Vec::new());
    line.fire(0, "a");
    line.fire(0, "b");
    line.resolve(10, "a", 0);
    line.fire(20, "c");
    assert_eq!(line.told(350), ["0: a-0+", "300: b-0+ c-20+"]);
    line.resolve(400, "b", 0);
    line.resolve(400, "c", 20);
    assert_eq!(line.told(9000), [""; 0]);
    assert_eq!(line.router.next_due(), None);
}

#[test]
fn groups_are_made_by_labels_and_each_notifier_has_its_own() {
    let routes = vec![
        route("all", &[], 0, 0, 0),
        route("clusters", &["cluster", "nothing"], 10, 0, 0),
        route("alone", &["..."], 0, 0, 0),
        route("nobody", &[], 0, 0, 0),
    ];
    let mut router = Router::new(routes, Vec::new(), Mutes::default());
    let notify = ["alone", "clusters", "all", "unknown"].map(str::to_owned);
    router.take(alert("a", "c1", 0, None), &notify, at(0));
    router.take(alert("b", "c2", 1, None), &notify, at(1));
    router.take(alert("c", "c1", 2, None), &notify, at(2));
    router.tick(at(100));
    let told = router.take_notifications();
    let of = |name: &str| -> Vec<String> {
        let own = told
            .iter()
            .filter(|notification| notification.notifier == name);
        own.map(|notification| format!("{:?} {}", notification.group.len(), shown(notification)))
            .collect()
    };
    assert_eq!(
        of("all"),
        ["0 0: a-0+", "0 1: a-0+ b-1+", "0 2: a-0+ b-1+ c-2+"]
    );
    assert_eq!(of("clusters"), ["1 10: a-0+ c-2+", "1 11: b-1+"]);
    assert_eq!(of("alone"), ["3 0: a-0+", "3 1: b-1+", "3 2: c-2+"]);
    assert_eq!(told.len(), 8);
    let numbers: Vec<u64> = told
        .iter()
        .map(|notification| notification.number)
        .collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<u64>>());
}

fn silence(instance: &str, from: Option<i64>, until: i64) -> Silence {
    Silence {
        matchers: vec![("instance".to_owned(), instance.to_owned())],
        from: from.map(at),
        until: at(until),
        comment: String::new(),
    }
}

#[test]
fn silenced_alerts_are_told_when_the_silence_ends() {
    let silences = vec![silence("a", None, 1000), silence("a", Some(900), 1500)];
    let mut line = Line::new(route("oncall", &[], 0, 300, 0), silences);
    line.fire(0, "a");
    line.fire(100, "b");
    assert_eq!(line.told(1400), ["300: b-100+"]);
    assert_eq!(line.router.next_due(), Some(at(1500)));
    assert_eq!(line.told(1500), ["1500: a-0+ b-100+"]);
    assert_eq!(line.router.counts().silenced, 1);
    // One that ends meanwhile is never told.
    let mut line = Line::new(
        route("oncall", &[], 0, 300, 0),
        vec![silence("a", None, 1000)],
    );
    line.fire(0, "a");
    line.resolve(500, "a", 0);
    assert_eq!(line.told(5000), [""; 0]);
    assert_eq!(
        (line.router.counts().silenced, line.router.counts().short),
        (1, 1)
    );
    // The end of one that was told before waits, and so do repeats.
    let mut line = Line::new(
        route("oncall", &[], 0, 300, 300),
        vec![silence("a", Some(100), 1000)],
    );
    line.fire(0, "a");
    line.resolve(800, "a", 0);
    assert_eq!(line.told(5000), ["0: a-0+", "1200: a-0-"]);
    // Every matcher must hold.
    let mut other = silence("a", None, 1000);
    other.matchers.push(("cluster".to_owned(), "c2".to_owned()));
    let mut line = Line::new(route("oncall", &[], 0, 300, 0), vec![other]);
    line.fire(0, "a");
    assert_eq!(line.told(0), ["0: a-0+"]);
}

#[test]
fn every_alert_of_a_large_group_is_listed_somewhere() {
    let mut line = Line::new(route("oncall", &[], 10, 300, 3600), Vec::new());
    for number in 0..120 {
        line.fire(0, &format!("n{number:03}"));
    }
    line.router.tick(at(10));
    let told = line.router.take_notifications();
    let sizes: Vec<(usize, u64)> = told
        .iter()
        .map(|told| (told.alerts.len(), told.left_out))
        .collect();
    assert_eq!(sizes, [(50, 70), (50, 70), (20, 100)]);
    let listed: Set<&str> = told
        .iter()
        .flat_map(|told| &told.alerts)
        .map(|alert| &*alert.id)
        .collect();
    assert_eq!(listed.len(), 120);
    assert!(
        told[0]
            .alerts
            .is_sorted_by_key(|alert| (alert.starts_at, &alert.id))
    );
    // Repeated, one notification shows that there are more.
    line.router.tick(at(10 + 3600));
    let told = line.router.take_notifications();
    let sizes: Vec<(usize, u64)> = told
        .iter()
        .map(|told| (told.alerts.len(), told.left_out))
        .collect();
    assert_eq!(sizes, [(50, 70)]);
    line.resolve(4000, "n007", 0);
    line.router.tick(at(4300));
    let told = line.router.take_notifications();
    assert_eq!(
        (told.len(), told[0].alerts.len(), told[0].left_out),
        (1, 50, 70)
    );
    assert!(
        told[0]
            .alerts
            .iter()
            .any(|alert| alert.status == Status::Resolved)
    );
    assert_eq!(told[0].status, Status::Firing);
}

#[test]
fn the_id_is_that_of_what_is_said() {
    let mut line = Line::new(route("oncall", &[], 0, 0, 100), Vec::new());
    line.fire(0, "a");
    line.router.tick(at(100));
    line.resolve(150, "a", 0);
    let told = line.router.take_notifications();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0].id.len(), 16);
    assert_eq!(told[0].id, told[1].id);
    assert_ne!(told[1].id, told[2].id);
    assert_ne!(told[0].number, told[1].number);
    let mut other = Line::new(route("other", &[], 0, 0, 100), Vec::new());
    other.fire(0, "a");
    assert_ne!(other.router.take_notifications()[0].id, told[0].id);
}

#[test]
fn notifications_stay_until_they_are_acknowledged() {
    let mut line = Line::new(route("oncall", &["..."], 0, 0, 0), Vec::new());
    line.fire(0, "a");
    line.fire(1, "b");
    assert_eq!(line.router.take_notifications().len(), 2);
    line.fire(2, "c");
    line.router.acknowledge(2);
    line.router.acknowledge(2);
    let bytes = rmp_serde::to_vec_named(&line.router).unwrap();
    let mut read: Router = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(read, line.router);
    let numbers: Vec<u64> = read.undelivered().map(|told| told.number).collect();
    assert_eq!(numbers, [1, 3]);
    let new: Vec<u64> = read
        .take_notifications()
        .iter()
        .map(|told| told.number)
        .collect();
    assert_eq!(new, [3]);
    assert!(read.take_notifications().is_empty());
}

#[test]
fn a_full_outbox_delays_and_loses_nothing() {
    // Each of four notifiers may use a quarter.
    let routes = ["away", "there", "c", "d"].map(|name| route(name, &["..."], 0, 0, 0));
    let mut router = Router::new(routes.to_vec(), Vec::new(), Mutes::default());
    let notify = ["away", "there"].map(str::to_owned);
    let part = OUTBOX_MAX as i64 / 4;
    let mut told = Vec::new();
    for number in 0..part + 100 {
        let name = format!("n{number}");
        router.take(alert(&name, "c", number, None), &notify, at(number));
        let new = router.take_notifications();
        // One of the two receivers takes everything at once.
        for notification in new.iter().filter(|new| new.notifier == "there") {
            router.acknowledge(notification.number);
        }
        told.extend(new);
    }
    let of = |told: &[Notification], name: &str| {
        told.iter().filter(|told| told.notifier == name).count() as i64
    };
    assert_eq!((of(&told, "away"), of(&told, "there")), (part, part + 100));
    assert_eq!(router.counts().delayed, 100);
    assert_eq!(router.next_due(), None);
    // One that waits ends before there is room, another one begins.
    let name = format!("n{part}");
    router.take(alert(&name, "c", part, Some(9000)), &notify, at(9000));
    router.acknowledge(told[0].number.min(told[1].number));
    router.acknowledge(told[0].number.max(told[1].number));
    assert_eq!(router.next_due(), Some(at(part)));
    let bytes = rmp_serde::to_vec_named(&router).unwrap();
    let mut router: Router = rmp_serde::from_slice(&bytes).unwrap();
    router.tick(at(9001));
    let new: Vec<String> = router.take_notifications().iter().map(shown).collect();
    let name = format!("n{}", part + 1);
    assert_eq!(
        new,
        [
            format!("9000: n{part}-{part}-"),
            format!("9001: {name}-{}+", part + 1)
        ]
    );
    let numbers: Vec<u64> = router.undelivered().map(|told| told.number).collect();
    for number in numbers {
        router.acknowledge(number);
    }
    router.tick(at(9002));
    assert_eq!(router.take_notifications().len(), 98);
    assert_eq!(router.next_due(), None);
}

#[test]
fn groups_are_bounded() {
    let mut line = Line::new(route("oncall", &["..."], 10, 0, 0), Vec::new());
    for number in 0..GROUPS_MAX + 20 {
        line.fire(0, &format!("n{number}"));
    }
    assert_eq!(line.router.counts().crowded, 20);
    let mut told = Vec::new();
    for _ in 0..2 {
        line.router.tick(at(10));
        let new = line.router.take_notifications();
        for notification in &new {
            line.router.acknowledge(notification.number);
        }
        told.extend(new);
    }
    let listed: usize = told.iter().map(|told| told.alerts.len()).sum();
    assert_eq!(listed, GROUPS_MAX + 20);
    let crowd = told.iter().find(|told| told.group.is_empty()).unwrap();
    assert_eq!(crowd.alerts.len(), 20);
    let name = format!("n{}", GROUPS_MAX + 7);
    line.resolve(20, &name, 0);
    let told = line.router.take_notifications();
    assert!(
        told[0]
            .alerts
            .iter()
            .any(|alert| alert.status == Status::Resolved)
    );
}

#[test]
fn after_a_pause_what_was_missed_is_told_once() {
    let mut line = Line::new(route("oncall", &[], 0, 60, 60), Vec::new());
    line.fire(0, "a");
    line.told(0);
    line.router.wake(at(100_000));
    assert_eq!(line.told(100_000), ["100000: a-0+"]);
    assert_eq!(line.router.next_due(), Some(at(100_080)));
}

#[test]
fn new_settings_keep_what_was_told() {
    let mut router = Router::new(
        vec![
            route("stays", &[], 0, 300, 0),
            route("changes", &[], 0, 300, 0),
            route("goes", &[], 0, 300, 0),
        ],
        Vec::new(),
        Mutes::default(),
    );
    let notify = ["stays", "changes", "goes"].map(str::to_owned);
    router.take(alert("a", "c1", 0, None), &notify, at(0));
    router.take(alert("b", "c2", 10, None), &notify, at(10));
    assert_eq!(router.take_notifications().len(), 3);
    let routes = vec![
        route("stays", &[], 0, 100, 0),
        route("changes", &["cluster"], 5, 300, 0),
    ];
    router.reconfigure(routes, Vec::new(), at(50));
    assert_eq!(router.undelivered().count(), 2);
    router.tick(at(1000));
    let told: Vec<String> = router
        .take_notifications()
        .iter()
        .map(|told| format!("{} {}", told.notifier, shown(told)))
        .collect();
    assert_eq!(told, ["changes 55: b-10+", "stays 100: a-0+ b-10+"]);
    router.take(alert("a", "c1", 0, Some(1100)), &notify, at(1100));
    router.tick(at(2000));
    let told: Vec<String> = router
        .take_notifications()
        .iter()
        .map(|told| format!("{} {}", told.notifier, shown(told)))
        .collect();
    assert_eq!(told, ["stays 1100: a-0- b-10+", "changes 1255: a-0-"]);
}

/// What happens to three instances of two clusters: the gap in seconds, which one, and whether somebody
/// ticks every second of the gap.
type Happening = (i64, usize, bool);

fn run(
    settings: &RouteSettings,
    silences: &[Silence],
    happenings: &[Happening],
    often: bool,
) -> (Router, Vec<Notification>, u64) {
    let mut router = Router::new(vec![settings.clone()], silences.to_vec(), Mutes::default());
    let notify = [settings.name.clone()];
    let mut active: BTreeMap<usize, i64> = BTreeMap::new();
    let mut now = 0;
    let mut fired = 0;
    for (gap, which, ticks) in happenings {
        if often && *ticks {
            for between in 0..*gap {
                router.tick(at(now + between));
            }
            let bytes = rmp_serde::to_vec_named(&router).unwrap();
            router = rmp_serde::from_slice(&bytes).unwrap();
            router.reconfigure(vec![settings.clone()], silences.to_vec(), at(now + gap - 1));
        }
        now += gap;
        let (name, cluster) = (format!("n{which}"), format!("c{}", which % 2));
        let change = match active.remove(which) {
            Some(started) => alert(&name, &cluster, started, Some(now)),
            None => {
                active.insert(*which, now);
                fired += 1;
                alert(&name, &cluster, now, None)
            }
        };
        router.take(change, &notify, at(now));
    }
    router.tick(at(now + 100_000));
    let told = router.undelivered().cloned().collect();
    (router, told, fired)
}

proptest! {
    #[test]
    fn every_alert_is_told_in_order_whoever_ticks_when(
        happenings in proptest::collection::vec((1i64..60, 0usize..6, any::<bool>()), 0..60),
        group_by in prop_oneof![Just(&[][..]), Just(&["cluster"][..]), Just(&["..."][..])],
        wait in 0i64..40,
        interval in prop_oneof![Just(0i64), 1i64..100],
        repeat in prop_oneof![Just(0i64), 5000i64..9000],
        silenced in proptest::option::of((0i64..500, 1i64..900)),
    ) {
        let settings = route("oncall", group_by, wait, interval, repeat);
        let silences: Vec<Silence> = silenced.iter().map(|(from, length)| silence("n1", Some(*from), from + length)).collect();
        let (router, told, fired) = run(&settings, &silences, &happenings, false);
        let (_, often, _) = run(&settings, &silences, &happenings, true);
        prop_assert_eq!(&told, &often);
        // Firing before resolved, each at most once as resolved.
        let mut firing: Set<&str> = Set::new();
        let mut ended: Set<&str> = Set::new();
        for alert in told.iter().flat_map(|told| &told.alerts) {
            match alert.status {
                Status::Firing => {
                    firing.insert(&alert.id);
                    prop_assert!(!ended.contains(&*alert.id));
                }
                Status::Resolved => {
                    prop_assert!(firing.contains(&*alert.id));
                    prop_assert!(ended.insert(&alert.id));
                }
            }
        }
        // Nothing is lost: all that fired was told or had ended before.
        let counts = router.counts();
        prop_assert_eq!(counts.firing, firing.len() as u64);
        prop_assert_eq!(counts.resolved, ended.len() as u64);
        prop_assert_eq!(counts.firing + counts.short, fired);
        // Not more often than the interval allows.
        if interval > 0 {
            let mut last = BTreeMap::new();
            for told in &told {
                let now = told.made_at.second();
                if let Some((before, active)) = last.get(&told.group) {
                    let active: &Set<&str> = active;
                    // A group that had ended starts anew.
                    prop_assert!(active.is_empty() || now - before >= interval, "{before} {now}");
                }
                let still = told.alerts.iter().filter(|alert| alert.status == Status::Firing);
                last.insert(&told.group, (now, still.map(|alert| &*alert.id).collect()));
            }
        }
    }
}

#[test]
fn a_digest_is_one_message_with_a_row_for_each_rule_and_key() {
    let digest = RouteSettings {
        is_digest: true,
        ..route("mail", &[], 3600, 3600, 0)
    };
    let mut router = Router::new(vec![digest], Vec::new(), Mutes::default());
    let at = |second: i64| Time(second * Time::SECOND);
    let notify = ["mail".to_owned()];
    for second in [10, 400, 900] {
        // The same key begins and ends three times, another one stays.
        let mut firing = alert("a", "eu", second, None);
        firing.id = format!("a{second}");
        firing.evidence.count = 2;
        let mut ended = alert("a", "eu", second, Some(second + 5));
        ended.id.clone_from(&firing.id);
        ended.evidence.count = 2;
        router.take(firing, &notify, at(second));
        router.take(ended, &notify, at(second + 5));
    }
    router.take(alert("b", "us", 1000, None), &notify, at(1000));
    assert!(router.take_notifications().is_empty());
    // What waits survives a restart.
    let saved = rmp_serde::to_vec_named(&router).unwrap();
    let mut router: Router = rmp_serde::from_slice(&saved).unwrap();
    router.tick(at(3610));
    let told = router.take_notifications();
    let [one] = &told[..] else {
        panic!("{told:?}");
    };
    let rows: Vec<(Status, u64)> = one
        .alerts
        .iter()
        .map(|alert| (alert.status, alert.evidence.count))
        .collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.contains(&(Status::Resolved, 6)), "{rows:?}");
    // Nothing happened in the next span, so nothing is told.
    router.tick(at(7300));
    assert!(router.take_notifications().is_empty());
}
