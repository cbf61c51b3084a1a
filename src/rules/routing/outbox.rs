//! Notifications that were made and not acknowledged. Part of the checkpoint: after a crash they are
//! sent again under the same numbers and ids.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::flow::alert::{Alert, Notification, Status};
use crate::flow::fingerprint::xxh64;
use crate::flow::key;
use crate::rules::routing::{Counts, LISTED_MAX, OUTBOX_MAX};

/// By number, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    waiting: BTreeMap<u64, Waiting>,
    /// The highest number given, and the highest that was taken out.
    given: u64,
    taken: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Waiting {
    /// Hash of its notifier and group, so that a full outbox is searched quickly.
    group: u64,
    notification: Notification,
}

impl Outbox {
    /// Adds a notification and numbers it.
    pub fn push(&mut self, mut notification: Notification, counts: &mut Counts) {
        let group = group_hash(&notification);
        if self.waiting.len() >= OUTBOX_MAX && !self.replace(group, &mut notification, counts) {
            self.waiting.pop_first();
            counts.dropped += 1;
        }
        self.given += 1;
        notification.number = self.given;
        notification.id = id(&notification);
        let waiting = Waiting {
            group,
            notification,
        };
        self.waiting.insert(self.given, waiting);
    }

    /// Takes the oldest notification of the same group out of a full outbox and adds to the new one
    /// what only that one said: the newest state of the group wins and no alert is lost.
    fn replace(&mut self, group: u64, new: &mut Notification, counts: &mut Counts) -> bool {
        let listed: BTreeSet<&str> = new.alerts.iter().map(|alert| alert.id.as_str()).collect();
        let only_old = |old: &Notification| {
            let alerts = old.alerts.iter();
            let missing = alerts.filter(|alert| !listed.contains(alert.id.as_str()));
            missing.cloned().collect::<Vec<Alert>>()
        };
        let found = self.waiting.iter().find_map(|(number, waiting)| {
            let old = &waiting.notification;
            let is_same =
                waiting.group == group && old.notifier == new.notifier && old.group == new.group;
            let missing = is_same.then(|| only_old(old))?;
            (missing.len() + new.alerts.len() <= LISTED_MAX).then_some((*number, missing))
        });
        let Some((number, missing)) = found else {
            return false;
        };
        self.waiting.remove(&number);
        counts.replaced += 1;
        new.left_out = new.left_out.saturating_sub(missing.len() as u64);
        new.alerts.extend(missing);
        sort(&mut new.alerts);
        new.status = status(&new.alerts);
        true
    }

    pub fn take(&mut self) -> Vec<Notification> {
        let new = self.waiting.range(self.taken + 1..);
        let new = new
            .map(|(_, waiting)| waiting.notification.clone())
            .collect();
        self.taken = self.given;
        new
    }

    pub fn acknowledge(&mut self, number: u64) {
        self.waiting.remove(&number);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Notification> {
        self.waiting.values().map(|waiting| &waiting.notification)
    }

    /// Drops the notifications of notifiers that are gone; returns how many.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) -> u64 {
        let before = self.waiting.len();
        self.waiting
            .retain(|_, waiting| keep(&waiting.notification.notifier));
        (before - self.waiting.len()) as u64
    }
}

/// By start, then id.
pub fn sort(alerts: &mut [Alert]) {
    alerts.sort_by(|a, b| (a.starts_at, &a.id).cmp(&(b.starts_at, &b.id)));
}

pub fn status(alerts: &[Alert]) -> Status {
    let is_firing = |alert: &Alert| alert.status == Status::Firing;
    if alerts.iter().any(is_firing) {
        Status::Firing
    } else {
        Status::Resolved
    }
}

fn group_hash(notification: &Notification) -> u64 {
    xxh64(&group_key(&notification.notifier, &notification.group))
}

/// A notifier and the labels of a group, each led by its length.
pub fn group_key(notifier: &str, group: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::push(&mut bytes, notifier.as_bytes());
    for (name, value) in group {
        key::push(&mut bytes, name.as_bytes());
        key::push(&mut bytes, value.as_bytes());
    }
    bytes
}

/// XXH64 of notifier, group and the ids and statuses of the alerts, as 16 hexadecimal digits.
fn id(notification: &Notification) -> String {
    let mut bytes = group_key(&notification.notifier, &notification.group);
    // No name of a label is empty: the alerts begin here.
    key::push(&mut bytes, b"");
    let mut alerts: Vec<(&str, &str)> = notification
        .alerts
        .iter()
        .map(|alert| (alert.id.as_str(), alert.status.name()))
        .collect();
    alerts.sort_unstable();
    for (id, status) in alerts {
        key::push(&mut bytes, id.as_bytes());
        key::push(&mut bytes, status.as_bytes());
    }
    format!("{:016x}", xxh64(&bytes))
}
