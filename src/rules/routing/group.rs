//! The alerts that one notifier is told together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flow::alert::{Alert, Evidence, Notification, Status};
use crate::flow::time::Time;
use crate::rules::routing::outbox::{sort, status};
use crate::rules::routing::quiet::Quiet;
use crate::rules::routing::{Counts, LISTED_MAX, RouteSettings};

/// Alerts of one notifier that share the labels of its `group_by`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub notifier: String,
    pub labels: Vec<(String, String)>,
    /// When it stands in the router's queue.
    pub due: Option<Time>,
    /// It has something to tell and waits for room in the outbox.
    pub is_blocked: bool,
    /// By id.
    members: BTreeMap<String, Member>,
    /// The first and the newest time at which it could tell something. The first is what the
    /// multiples of `group_interval` are counted from.
    first: Option<Time>,
    newest: Option<Time>,
    /// When it was told last.
    told_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    alert: Alert,
    /// It was told as firing.
    told: bool,
    /// A silence has held it back, which was counted.
    silenced: bool,
}

impl Group {
    pub fn new(notifier: &str, labels: Vec<(String, String)>) -> Group {
        Group {
            notifier: notifier.to_owned(),
            labels,
            due: None,
            is_blocked: false,
            members: BTreeMap::new(),
            first: None,
            newest: None,
            told_at: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn holds(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// Takes in an alert; returns when the group is to be looked at for its sake.
    pub fn put(
        &mut self,
        alert: &Alert,
        route: &RouteSettings,
        quiet: &Quiet<'_>,
        now: Time,
        counts: &mut Counts,
    ) -> Option<Time> {
        match alert.status {
            Status::Firing => {
                let new = Member {
                    alert: alert.clone(),
                    told: false,
                    silenced: false,
                };
                let member = self.members.entry(alert.id.clone()).or_insert(new);
                member.alert.clone_from(alert);
            }
            Status::Resolved => {
                let member = self.members.get_mut(&alert.id)?;
                if !member.told && !route.is_digest {
                    self.members.remove(&alert.id);
                    counts.short += 1;
                    return None;
                }
                member.alert.clone_from(alert);
            }
        }
        // What is inhibited is looked at again when that ends.
        Some(self.opportunity(route, quiet.until(alert, now).unwrap_or(now), now))
    }

    /// Takes over the evidence of an alert that it holds; false if it does not hold it.
    pub fn refresh(&mut self, alert: &Alert) -> bool {
        let Some(member) = self.members.get_mut(&alert.id) else {
            return false;
        };
        if member.alert.status == Status::Firing {
            member.alert.evidence.clone_from(&alert.evidence);
        }
        true
    }

    /// The first time at or after `wanted` at which the group may tell something.
    fn opportunity(&self, route: &RouteSettings, wanted: Time, now: Time) -> Time {
        let (Some(first), Some(newest)) = (self.first, self.newest) else {
            return self.due.unwrap_or(later(now, route.group_wait));
        };
        let interval = route.group_interval;
        if interval <= 0 {
            return wanted.max(newest);
        }
        let wanted = wanted.max(Time(newest.0.saturating_add(1)));
        let since = i128::from(wanted.0) - i128::from(first.0);
        let interval = i128::from(interval);
        let steps = (since + interval - 1) / interval;
        Time(i64::try_from(i128::from(first.0) + steps * interval).unwrap_or(i64::MAX))
    }

    /// What there is to tell at `now`; their numbers and ids are given by the outbox.
    pub fn flush(
        &mut self,
        route: &RouteSettings,
        quiet: &Quiet<'_>,
        now: Time,
        counts: &mut Counts,
    ) -> Vec<Notification> {
        self.first.get_or_insert(now);
        self.newest = Some(now);
        let mut changed = Vec::new();
        let mut firing = Vec::new();
        let mut ended = Vec::new();
        for (id, member) in &mut self.members {
            if quiet.holds(&member.alert, now) {
                counts.silenced += u64::from(!member.silenced);
                member.silenced = true;
                continue;
            }
            match member.alert.status {
                Status::Firing if member.told => firing.push(member.alert.clone()),
                Status::Firing => {
                    member.told = true;
                    counts.firing += 1;
                    changed.push(member.alert.clone());
                }
                Status::Resolved => {
                    ended.push(id.clone());
                    if route.send_resolved || route.is_digest {
                        counts.resolved += 1;
                        changed.push(member.alert.clone());
                    }
                }
            }
        }
        for id in ended {
            self.members.remove(&id);
        }
        sort(&mut firing);
        sort(&mut changed);
        if route.is_digest {
            changed = rows(changed);
        }
        let notifications = if changed.is_empty() {
            let repeats = self.repeats_at(route).is_some_and(|at| at <= now);
            if !repeats || firing.is_empty() {
                return Vec::new();
            }
            counts.repeats += 1;
            vec![self.notification(&firing, &[], firing.len(), now)]
        } else if route.is_digest {
            let total = changed.len();
            vec![self.notification(&changed, &[], total, now)]
        } else {
            // Every change is listed somewhere; what else is firing fills the last.
            let total = changed.len() + firing.len();
            let chunks = changed.chunks(LISTED_MAX);
            chunks
                .map(|chunk| self.notification(chunk, &firing, total, now))
                .collect()
        };
        counts.notifications += notifications.len() as u64;
        self.told_at = Some(now);
        notifications
    }

    fn notification(
        &self,
        alerts: &[Alert],
        others: &[Alert],
        total: usize,
        now: Time,
    ) -> Notification {
        let listed = alerts.iter().chain(others).take(LISTED_MAX);
        let mut listed: Vec<Alert> = listed.cloned().collect();
        sort(&mut listed);
        Notification {
            number: 0,
            notifier: self.notifier.clone(),
            id: String::new(),
            status: status(&listed),
            group: self.labels.clone(),
            left_out: (total - listed.len()) as u64,
            alerts: listed,
            made_at: now,
        }
    }

    fn repeats_at(&self, route: &RouteSettings) -> Option<Time> {
        (route.repeat_interval > 0).then_some(later(self.told_at?, route.repeat_interval))
    }

    /// When there will be something to tell if no alert changes, after a flush at `now`.
    pub fn next(&self, route: &RouteSettings, quiet: &Quiet<'_>, now: Time) -> Option<Time> {
        let wanted = self.members.values().filter_map(|member| {
            let wanted = if member.told && member.alert.status == Status::Firing {
                self.repeats_at(route)?
            } else {
                now
            };
            quiet.until(&member.alert, wanted)
        });
        Some(self.opportunity(route, wanted.min()?, now))
    }

    /// The clock was set back by so many nanoseconds.
    pub fn go_back(&mut self, back: i64) {
        let times = [
            &mut self.due,
            &mut self.first,
            &mut self.newest,
            &mut self.told_at,
        ];
        for time in times {
            *time = time.map(|time| Time(time.0.saturating_sub(back)));
        }
    }

    /// The members with whether they were told, for groups that are formed anew.
    pub fn into_members(self) -> impl Iterator<Item = (Alert, bool)> {
        let members = self.members.into_values();
        members.map(|member| (member.alert, member.told))
    }

    /// Takes in a member of a group that is no more.
    pub fn inherit(&mut self, alert: Alert, told: bool) {
        let member = Member {
            told,
            silenced: false,
            alert,
        };
        self.members.insert(member.alert.id.clone(), member);
    }
}

/// One alert for each rule, key and template: the newest, with the records of all of them.
fn rows(alerts: Vec<Alert>) -> Vec<Alert> {
    let mut rows: Vec<Alert> = Vec::new();
    for mut alert in alerts {
        let is_it = |row: &Alert| {
            let (before, after) = (&row.evidence, &alert.evidence);
            row.rule == alert.rule
                && row.labels == alert.labels
                && before.template == after.template
        };
        let Some(row) = rows.iter_mut().find(|row| is_it(row)) else {
            rows.push(alert);
            continue;
        };
        let before = std::mem::take(&mut row.evidence);
        let evidence = &mut alert.evidence;
        evidence.count = evidence.count.saturating_add(before.count);
        evidence.first = before.first.into_iter().chain(evidence.first).min();
        evidence.last = evidence.last.max(before.last);
        evidence.samples.splice(0..0, before.samples);
        let excess = evidence.samples.len().saturating_sub(Evidence::SAMPLES_MAX);
        evidence.samples.drain(..excess);
        *row = alert;
    }
    rows
}

fn later(time: Time, nanoseconds: i64) -> Time {
    Time(time.0.saturating_add(nanoseconds))
}
