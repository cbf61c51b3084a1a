//! Notifications that were made and not acknowledged. Part of the checkpoint: after a crash they are
//! sent again under the same numbers and ids.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flow::alert::{Alert, Notification, Status};
use crate::flow::fingerprint::xxh64;
use crate::flow::key;

/// By number, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    waiting: BTreeMap<u64, Notification>,
    /// How many wait for each notifier.
    by_notifier: BTreeMap<String, usize>,
    /// The highest number given, and the highest that was taken out.
    given: u64,
    taken: u64,
}

impl Outbox {
    /// Adds a notification and numbers it.
    pub fn push(&mut self, mut notification: Notification) {
        self.given += 1;
        notification.number = self.given;
        notification.id = id(&notification);
        let waiting = self.by_notifier.entry(notification.notifier.clone());
        *waiting.or_default() += 1;
        self.waiting.insert(self.given, notification);
    }

    /// How many notifications wait for a notifier.
    pub fn waiting_for(&self, notifier: &str) -> usize {
        self.by_notifier.get(notifier).copied().unwrap_or(0)
    }

    pub fn take(&mut self) -> Vec<Notification> {
        let new = self.waiting.range(self.taken + 1..);
        let new = new.map(|(_, notification)| notification.clone()).collect();
        self.taken = self.given;
        new
    }

    pub fn acknowledge(&mut self, number: u64) {
        if let Some(notification) = self.waiting.remove(&number)
            && let Some(waiting) = self.by_notifier.get_mut(&notification.notifier)
        {
            *waiting -= 1;
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Notification> {
        self.waiting.values()
    }

    /// Drops the notifications of notifiers that are gone; returns how many.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) -> u64 {
        let before = self.waiting.len();
        self.waiting
            .retain(|_, notification| keep(&notification.notifier));
        self.by_notifier.retain(|notifier, _| keep(notifier));
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
