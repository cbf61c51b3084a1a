//! Routing of alerts. Only the shape of it; the room is written elsewhere.

use crate::flow::alert::{Alert, Notification};
use crate::flow::time::Time;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSettings {
    pub name: String,
    pub group_by: Vec<String>,
    pub group_wait: i64,
    pub group_interval: i64,
    pub repeat_interval: i64,
    pub send_resolved: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    pub matchers: Vec<(String, String)>,
    pub from: Option<Time>,
    pub until: Time,
    pub comment: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Router {
    number: u64,
    fresh: Vec<Notification>,
    outbox: Vec<Notification>,
}

impl Router {
    pub fn new(_routes: Vec<RouteSettings>, _silences: Vec<Silence>) -> Router {
        Router::default()
    }
    pub fn take(&mut self, alert: Alert, notify: &[String], now: Time) {
        for notifier in notify {
            self.number += 1;
            let notification = Notification {
                number: self.number,
                notifier: notifier.clone(),
                id: alert.id.clone(),
                status: alert.status,
                group: Vec::new(),
                alerts: vec![alert.clone()],
                left_out: 0,
                made_at: now,
            };
            self.fresh.push(notification.clone());
            self.outbox.push(notification);
        }
    }
    pub fn tick(&mut self, _now: Time) {}
    pub fn next_due(&self) -> Option<Time> {
        None
    }
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.fresh)
    }
    pub fn acknowledge(&mut self, number: u64) {
        self.outbox.retain(|known| known.number != number);
    }
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.outbox.iter()
    }
}
