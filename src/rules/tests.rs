//! Rules over made-up records: the same alerts however the records are cut into batches, with a
//! checkpoint after any of them, and those of an oracle that keeps every record and looks at every
//! second.

mod jumps;
mod oracle;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::rule::{LEARN_DEFAULT, RuleSettings, WINDOW_DEFAULT};
use super::*;
use crate::expr::condition::View;
use crate::expr::input::Inputs;
use crate::flow::alert::Status;
use crate::flow::level::Level;
use crate::flow::row::{Kind as ValueKind, Row, Text, Value};
use crate::flow::span::Span;
use crate::flow::wanted::{Path, Wanted};
use crate::stages::observe::{Observer, Sighting as Shown};
use crate::stages::quantities::Quantities;
use crate::state::keyed::KeyedSettings;

/// One made-up record.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Milliseconds since the epoch.
    pub time: Option<i64>,
    pub level: Option<Level>,
    /// Values of host, cpu, status and user.
    pub fields: [Option<String>; 4],
    pub message: String,
}

const FIELDS: [&str; 4] = ["host", "cpu", "status", "user"];

/// A plan and what feeds it.
struct Bed {
    plan: RulesPlan,
    wanted: Wanted,
    inputs: Inputs,
}

pub(super) fn rule(name: &str, when: &str) -> RuleSettings {
    RuleSettings {
        name: name.to_owned(),
        when: when.to_owned(),
        window: WINDOW_DEFAULT,
        learn: LEARN_DEFAULT,
        severity: "warning".to_owned(),
        notify: vec!["all".to_owned()],
        ..RuleSettings::default()
    }
}

fn bed(rules: &[RuleSettings], state: Option<KeyedSettings>) -> Bed {
    let (mut wanted, mut inputs) = (Wanted::default(), Inputs::default());
    for name in FIELDS {
        wanted.paths.push(Path::new(name));
    }
    let zone = TimeZone::UTC;
    let mut plan = RulesPlan {
        notifiers: vec![RouteSettings {
            name: "all".to_owned(),
            group_by: vec!["...".to_owned()],
            send_resolved: true,
            ..RouteSettings::default()
        }],
        lateness: 5 * Time::SECOND,
        ..RulesPlan::default()
    };
    let mut known = Vec::new();
    if let Some(settings) = state {
        known.push(settings.clone());
        let mut state =
            StatePlan::resolve(settings, "status", None, &zone, &mut wanted, &mut inputs).unwrap();
        state.notify = vec!["all".to_owned()];
        plan.states.push(state);
    }
    for settings in rules {
        let rule = Rule::resolve(settings, &zone, &known, &mut wanted, &mut inputs);
        plan.rules.push(rule.unwrap());
    }
    Bed {
        plan,
        wanted,
        inputs,
    }
}

impl Bed {
    fn observe(&self, records: &[Record]) -> Observed {
        let mut observer = Observer::new(self.inputs.list(), &[]);
        let mut quantities = Quantities::default();
        let mut content = Vec::new();
        for (ordinal, record) in records.iter().enumerate() {
            let mut row = Row::new(self.wanted.paths.len());
            let mut bytes = Vec::new();
            let mut put = |text: &str| {
                let start = bytes.len();
                bytes.extend_from_slice(text.as_bytes());
                Text::record(start, bytes.len())
            };
            row.message = put(&record.message);
            row.time = record.time.map(|time| Time(time * 1_000_000));
            row.level = record.level;
            for (slot, field) in record.fields.iter().enumerate() {
                if let Some(field) = field {
                    row.values[slot] = Value::new(ValueKind::String, put(field));
                }
            }
            let view = View {
                row: &row,
                record: &bytes,
                raw: &bytes,
                source: "made.log",
                line: 0,
                fingerprint: None,
                template: None,
            };
            let start = content.len();
            content.extend_from_slice(&bytes);
            let shown = Shown {
                line: Span::new(start..content.len()),
                ordinal: ordinal as u32,
                groups: &[],
            };
            quantities.begin();
            observer.advance(&row, shown.ordinal);
            observer.record(&row, &bytes, &view, &shown, &mut quantities);
        }
        Observed {
            content,
            ..observer.take()
        }
    }

    /// All alerts that begin and end, sorted; `cuts` are lengths of batches, taken over and over.
    fn alerts(&self, records: &[Record], cuts: &[usize], resumes: bool) -> (Vec<Alert>, Rules) {
        let mut rules = Rules::new(self.plan.clone());
        let mut alerts = Vec::new();
        let (mut rest, mut cuts, mut position) = (records, cuts.iter().cycle(), 0);
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            let from = From {
                source: SourceId(0),
                position,
                arrival: None,
                name: "made.log",
            };
            rules.absorb(&self.observe(batch), &from);
            let bytes = |record: &Record| {
                let fields = record.fields.iter().flatten();
                record.message.len() + fields.map(String::len).sum::<usize>()
            };
            position += batch.iter().map(bytes).sum::<usize>() as u64;
            rest = after;
            alerts.extend(rules.take_alerts());
            if resumes {
                let written = rmp_serde::to_vec_named(&rules.save()).unwrap();
                let saved = rmp_serde::from_slice(&written).unwrap();
                rules = Rules::resume(self.plan.clone(), saved);
            }
        }
        rules.finish(None);
        alerts.extend(rules.take_alerts());
        alerts.sort_by(|a, b| {
            (a.starts_at, &a.id, a.status.name()).cmp(&(b.starts_at, &b.id, b.status.name()))
        });
        (alerts, rules)
    }
}

pub(super) fn jobs() -> KeyedSettings {
    KeyedSettings {
        name: "job".to_owned(),
        key: vec!["host".to_owned()],
        ok: vec!["done".to_owned()],
        pending: vec!["running".to_owned()],
        bad: vec!["failed".to_owned()],
        expect_within: Some(40 * Time::SECOND),
        stuck_after: Some(12 * Time::SECOND),
        ..KeyedSettings::default()
    }
}

pub(super) fn seconds(seconds: i64) -> i64 {
    seconds * Time::SECOND
}

fn by_host(settings: RuleSettings) -> RuleSettings {
    RuleSettings {
        by: vec!["host".to_owned()],
        ..settings
    }
}

fn every_kind() -> Vec<RuleSettings> {
    vec![
        RuleSettings {
            window: seconds(10),
            ..by_host(rule("many", "count() > 3"))
        },
        RuleSettings {
            window: seconds(130),
            clear: Some("count(level >= warn) < 3".to_owned()),
            ..rule("bad", "count(level >= warn) >= 5")
        },
        RuleSettings {
            window: seconds(20),
            ..rule("share", "count(level == error) / count() > 30%")
        },
        RuleSettings {
            window: seconds(30),
            clear: Some("p90(cpu) < 40".to_owned()),
            ..by_host(rule("cpu", "p90(cpu) > 60"))
        },
        RuleSettings {
            window: seconds(10),
            where_: Some("level != debug".to_owned()),
            ..rule("users", "distinct(user) > 2")
        },
        RuleSettings {
            window: seconds(20),
            ..rule("few", "count() < 4")
        },
        RuleSettings {
            window: seconds(20),
            learn: seconds(20),
            ..rule("news", "new()")
        },
        rule("failed", "last(job) == \"failed\""),
        rule("old", "age(job) > 25s"),
        rule("gone", "missing(job) or stuck(job)"),
        RuleSettings {
            window: seconds(15),
            for_: seconds(10),
            ..by_host(rule("both", "count() > 2 and mean(cpu) > 45"))
        },
        RuleSettings {
            window: seconds(60),
            ..rule(
                "mixed",
                "count(level == error) > 2 and count(level == warn) > 2",
            )
        },
        RuleSettings {
            window: seconds(30),
            ..rule("run", "last(job) == \"running\" and count() > 2")
        },
        RuleSettings {
            window: seconds(9),
            ..rule(
                "rate",
                "rate() > 1.5 or max(cpu) - min(cpu) > 80 or sum(cpu) > 900",
            )
        },
    ]
}

pub(super) fn records() -> impl Strategy<Value = Vec<Record>> {
    let step = prop_oneof![
        12 => 0i64..900,
        4 => 900i64..4000,
        1 => 4000i64..90_000,
        2 => -14_000i64..0,
    ];
    let record = (
        prop::option::weighted(0.97, step),
        prop::option::of(prop::sample::select(&Level::ALL[1..5])),
        prop::option::weighted(0.9, 0usize..3),
        prop::option::weighted(0.8, 0u32..100),
        prop::option::weighted(0.2, 0usize..3),
        0u32..6,
        0usize..9,
    );
    prop::collection::vec(record, 0..160).prop_map(|steps| {
        // Seconds that do not begin with a step of any window.
        let mut now: i64 = 1_700_000_003_000;
        let mut records = Vec::new();
        for (step, level, host, cpu, status, user, message) in steps {
            let time = step.map(|step| {
                let at = now + step;
                now = now.max(at);
                at
            });
            let messages = [
                "started",
                "stopped",
                "disk full",
                "disk gone",
                "cache cold",
                "late",
                "early",
                "night",
                "day",
            ];
            records.push(Record {
                time,
                level,
                fields: [
                    host.map(|host| format!("web-{host}")),
                    cpu.map(|cpu| cpu.to_string()),
                    status.map(|status| ["done", "running", "failed"][status].to_owned()),
                    Some(format!("user{user}")),
                ],
                message: messages[message].to_owned(),
            });
        }
        records
    })
}

/// The first place where two lists of alerts differ.
fn first_difference<'a>(
    a: &'a [Alert],
    b: &'a [Alert],
) -> Option<(Option<&'a Alert>, Option<&'a Alert>)> {
    let longer = a.len().max(b.len());
    let differ = (0..longer).find(|place| a.get(*place) != b.get(*place))?;
    Some((a.get(differ), b.get(differ)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn cuts_and_checkpoints_change_nothing(
        records in records(),
        cuts in prop::collection::vec(1usize..40, 1..6),
    ) {
        let bed = bed(&every_kind(), Some(jobs()));
        let (whole, _) = bed.alerts(&records, &[1 << 20], false);
        let (single, rules) = bed.alerts(&records, &[1], false);
        prop_assert_eq!(first_difference(&whole, &single), None);
        let (cut, _) = bed.alerts(&records, &cuts, true);
        prop_assert_eq!(first_difference(&whole, &cut), None);
        // Whatever began is still firing or has ended.
        let firing = whole.iter().filter(|alert| alert.status == Status::Firing).count();
        let ended = whole.len() - firing;
        prop_assert_eq!(rules.alerts().count(), firing - ended);
    }
}
