//! When alerts are told at all: time intervals and inhibition.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::config::load::PathStep;
use crate::config::references::STATE_RULES;
use crate::config::{Config, alerting};
use crate::expr::condition::Condition;
use crate::expr::error::Error;
use crate::flow::wanted::{Path, Wanted};
use crate::plan::setup::{Resolver, path};
use crate::rules::intervals::{Hours, Interval};
use crate::rules::routing::quiet::{Inhibition, Mutes, OverLabels};
use crate::units::calendar;

impl Resolver<'_> {
    pub(super) fn mutes(&mut self, config: &Config) -> Mutes {
        let mut hours = BTreeMap::new();
        for rule in &config.rule {
            let of = hours_of(
                config,
                &rule.active_time_intervals,
                &rule.mute_time_intervals,
            );
            hours.insert(rule.name.clone(), of);
        }
        for state in &config.state {
            let of = hours_of(
                config,
                &state.active_time_intervals,
                &state.mute_time_intervals,
            );
            for kind in STATE_RULES {
                hours.insert(format!("{}.{kind}", state.name), of.clone());
            }
        }
        hours.retain(|_, hours| *hours != Hours::default());
        Mutes {
            intervals: self.intervals(config),
            hours,
            inhibitions: self.inhibitions(config),
            silences: Vec::new(),
        }
    }

    fn intervals(&mut self, config: &Config) -> Vec<Interval> {
        let mut made = Vec::new();
        for (place, interval) in config.time_interval.iter().enumerate() {
            let zone = match &interval.location {
                Some(name) => TimeZone::get(name).unwrap_or(TimeZone::UTC),
                None => self.zone.clone(),
            };
            let interval = read(interval, zone);
            if !interval.ever_holds() {
                let table = [PathStep::Key("time_interval"), PathStep::Index(place)];
                self.wrong(
                    &table,
                    "there is no day on which this interval holds",
                    Some("its lists of days, months and years must have a day in common"),
                );
            }
            made.push(interval);
        }
        made
    }

    fn inhibitions(&mut self, config: &Config) -> Vec<Inhibition> {
        let alerts = labels(config);
        let mut made = Vec::new();
        for (place, inhibit) in config.inhibit.iter().enumerate() {
            let source = self.over_labels(&inhibit.source, place, "source", &alerts);
            let target = self.over_labels(&inhibit.target, place, "target", &alerts);
            if inhibit.source.trim() == inhibit.target.trim() {
                self.wrong(
                    &path("inhibit", place, "target"),
                    "the same alerts as those of source: each would keep all others quiet",
                    Some("name the alerts that matter less, such as severity == \"warning\""),
                );
            }
            if let Some((source, target)) = source.zip(target) {
                made.push(Inhibition {
                    source,
                    target,
                    equal: inhibit.equal.clone(),
                });
            }
        }
        made
    }

    /// A condition over labels; `alerts` are the labels of all alerts that may come, without those of `by`.
    fn over_labels(
        &mut self,
        text: &str,
        place: usize,
        key: &str,
        alerts: &[Vec<(String, String)>],
    ) -> Option<OverLabels> {
        let path = path("inhibit", place, key);
        let mut wanted = Wanted::default();
        let condition = match Condition::parse(text, &self.zone.clone(), &mut wanted) {
            Ok(condition) => condition,
            Err(error) => {
                self.wrong_expression(&path, error);
                return None;
            }
        };
        let needs = condition.needs();
        if needs.template || needs.fingerprint || wanted.level || wanted.message || wanted.time {
            let error = Error::new(0..text.len(), "an alert has labels and no other fields");
            let hint = "they are alertname, severity and the fields of by";
            self.wrong_expression(&path, error.hint(hint));
            return None;
        }
        let always = ["alertname", "severity"].map(Path::new);
        let is_known = wanted.paths.iter().all(|path| always.contains(path));
        let over = OverLabels::new(text, condition, wanted);
        if is_known && !alerts.is_empty() && !alerts.iter().any(|labels| over.holds(labels)) {
            self.wrong(
                &path,
                "no rule or state makes an alert that meets this",
                Some("see the names and severities of [[rule]] and [[state]]"),
            );
        }
        Some(over)
    }
}

/// The labels that every alert of a rule or state has.
fn labels(config: &Config) -> Vec<Vec<(String, String)>> {
    let labels = |name: String, severity: &str| {
        vec![
            ("alertname".to_owned(), name),
            ("severity".to_owned(), severity.to_owned()),
        ]
    };
    let rules = config.rule.iter();
    let rules = rules.map(|rule| labels(rule.name.clone(), rule.severity.name()));
    let states = config.state.iter().flat_map(|state| {
        STATE_RULES.map(|kind| labels(format!("{}.{kind}", state.name), state.severity.name()))
    });
    rules.chain(states).collect()
}

/// The intervals that are named.
pub(super) fn hours_of(config: &Config, active: &[String], mute: &[String]) -> Hours {
    let places = |names: &[String]| {
        let place = |name: &String| {
            let mut intervals = config.time_interval.iter();
            intervals.position(|interval| interval.name == *name)
        };
        names.iter().filter_map(place).collect()
    };
    Hours {
        active: places(active),
        mute: places(mute),
    }
}

/// What was checked when the file was read.
fn read(interval: &alerting::TimeInterval, zone: TimeZone) -> Interval {
    let weekdays = interval.weekdays.iter();
    let weekdays = weekdays.filter_map(|text| calendar::weekdays(text).ok());
    let months = interval.months.iter();
    let months = months.filter_map(|text| calendar::months(text).ok());
    let times = interval.times.iter();
    let days = interval.days_of_month.iter();
    let years = interval.years.iter();
    Interval {
        name: interval.name.clone(),
        times: times
            .filter_map(|text| calendar::minutes(text).ok())
            .collect(),
        weekdays: weekdays.fold(0, |all, days| all | days),
        days_of_month: days
            .filter_map(|text| calendar::days_of_month(text).ok())
            .collect(),
        months: months.fold(0, |all, months| all | months),
        years: years
            .filter_map(|text| calendar::years(text).ok())
            .collect(),
        zone,
    }
}
