//! Whom an alert is told, with which others, and when: grouping, waiting, repeating and silences as
//! Alertmanager has them, for each notifier by itself, and the outbox in which notifications stay until
//! they are acknowledged. No clock in here: times are handed in.

mod group;
mod outbox;
pub mod quiet;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::flow::alert::{Alert, Notification, Status};
use crate::flow::time::Time;
use crate::rules::intervals::Hours;
use crate::rules::routing::group::Group;
use crate::rules::routing::outbox::{Outbox, group_key};
use crate::rules::routing::quiet::{Mutes, Quiet, Sources};
use crate::state::table::Table;

/// Alerts listed in one notification: what a person reads and a receiver takes.
pub const LISTED_MAX: usize = 50;

/// Groups of all notifiers. Alerts of further ones share a group without labels, one a notifier.
pub const GROUPS_MAX: usize = 10_000;

/// Notifications that wait to be acknowledged; each notifier may have its part of them. A group that
/// finds the part of its notifier used up waits for room and then tells how things stand: nothing is
/// lost, and the outbox does not grow with the time that a receiver is away. A group tells all it has
/// at once, so the limit may be passed by what one has.
pub const OUTBOX_MAX: usize = 10_000;

/// The name in `group_by` that tells each alert alone.
const ALONE: &str = "...";

/// When a notifier is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSettings {
    pub name: String,
    /// Labels whose values are shared by the alerts of a group; none puts all into one, `...` each
    /// into its own.
    pub group_by: Vec<String>,
    /// Nanoseconds from the first alert of a group to its first notification.
    pub group_wait: i64,
    /// Nanoseconds between the times at which a group may tell what has changed.
    pub group_interval: i64,
    /// Nanoseconds after which a group in which nothing changed is told again, rounded up to a
    /// multiple of `group_interval`; 0: never.
    pub repeat_interval: i64,
    pub send_resolved: bool,
    /// When it is told at all. Of the configuration alone.
    #[serde(skip)]
    pub hours: Hours,
    /// One message for all of a span: alerts that have ended before they are told stand in it too, and those
    /// of one rule, key and template share a row.
    #[serde(default)]
    pub is_digest: bool,
}

/// Alerts that nobody is to be told for some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Labels and values, all of which an alert must have.
    pub matchers: Vec<(String, String)>,
    /// The first moment; none: it has always been so.
    pub from: Option<Time>,
    /// The first moment after it.
    pub until: Time,
    pub comment: String,
}

impl Silence {
    fn covers(&self, alert: &Alert, now: Time) -> bool {
        self.from.is_none_or(|from| from <= now)
            && now < self.until
            && self.matchers.iter().all(|matcher| {
                let mut labels = alert.labels.iter();
                labels.any(|label| label == matcher)
            })
    }
}

/// What became of alerts and notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Alerts told as firing and as resolved, once for each notifier.
    pub firing: u64,
    pub resolved: u64,
    /// Alerts that had ended before they were told.
    pub short: u64,
    /// Alerts that a silence held back, once for each notifier.
    pub silenced: u64,
    /// Notifications, and those among them in which nothing had changed.
    pub notifications: u64,
    pub repeats: u64,
    /// How often a group had to wait for room in the outbox.
    pub delayed: u64,
    /// Notifications to notifiers that a new configuration does not have.
    pub dropped: u64,
    /// Alerts for which there was no room for a group of their own.
    pub crowded: u64,
}

/// Groups of alerts on their way to the notifiers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Router {
    routes: Vec<RouteSettings>,
    silences: Vec<Silence>,
    /// By notifier and labels.
    groups: Table<Group>,
    due: BTreeSet<(Time, ByteBuf)>,
    /// Groups that wait for room in the outbox since a time, by notifier.
    blocked: BTreeMap<String, BTreeSet<(Time, ByteBuf)>>,
    outbox: Outbox,
    counts: Counts,
    /// Alerts that fire and inhibit others.
    #[serde(default)]
    sources: Sources,
    #[serde(skip)]
    mutes: Mutes,
}

impl Router {
    pub fn new(routes: Vec<RouteSettings>, silences: Vec<Silence>, mutes: Mutes) -> Router {
        Router {
            routes,
            silences,
            mutes,
            ..Router::default()
        }
    }

    /// Says in which hours alerts are told and which of them inhibit others, and adds silences that were made
    /// by hand. What was held back by others is told now.
    pub fn quieten(&mut self, mutes: Mutes, now: Time) {
        self.sources.keep(&mutes.inhibitions);
        self.mutes = mutes;
        self.look_again(now);
    }

    /// Silences that were made by hand.
    pub fn silence(&mut self, silences: Vec<Silence>, now: Time) {
        if self.mutes.silences != silences {
            self.mutes.silences = silences;
            self.look_again(now);
        }
    }

    /// Something that held alerts back is another one: every group is looked at.
    fn look_again(&mut self, now: Time) {
        let keys: Vec<Vec<u8>> = self.groups.iter().map(|(key, _)| key.to_vec()).collect();
        for key in keys {
            let Some(group) = self.groups.get(&key) else {
                continue;
            };
            let mut routes = self.routes.iter();
            let Some(route) = routes.find(|route| route.name == group.notifier) else {
                continue;
            };
            let quiet = Quiet::of(&self.silences, &self.mutes, &self.sources, route);
            let next = group.next(route, &quiet, now);
            let due = next.into_iter().chain(group.due).min();
            self.queue(&key, due);
        }
    }

    /// An alert began or ended that may inhibit others: before those that begin at the same time are taken
    /// in.
    pub fn announce(&mut self, alert: &Alert, now: Time) {
        if self.sources.take(&self.mutes.inhibitions, alert) {
            self.look_again(now);
        }
    }

    /// Takes in an alert that began or ended, for the notifiers named. What is to be told before `now`
    /// is told first.
    pub fn take(&mut self, alert: Alert, notify: &[String], now: Time) {
        self.tick(now);
        for place in 0..self.routes.len() {
            if notify.contains(&self.routes[place].name) {
                self.put(place, &alert, now);
            }
        }
        self.tick(now);
    }

    /// Tells what is due at `now`.
    pub fn tick(&mut self, now: Time) {
        for (notifier, mut blocked) in std::mem::take(&mut self.blocked) {
            while self.has_room(&notifier)
                && let Some((_, key)) = blocked.pop_first()
            {
                self.flush(&key, now);
            }
            if !blocked.is_empty() {
                self.blocked.insert(notifier, blocked);
            }
        }
        while let Some((due, _)) = self.due.first() {
            if *due > now {
                break;
            }
            let (due, key) = self.due.pop_first().expect("the queue has a first");
            let Some(group) = self.groups.get_mut(&key) else {
                continue;
            };
            group.due = None;
            let notifier = group.notifier.clone();
            if self.has_room(&notifier) {
                self.flush(&key, due);
                continue;
            }
            if let Some(group) = self.groups.get_mut(&key) {
                group.is_blocked = true;
                self.counts.delayed += 1;
                self.blocked.entry(notifier).or_default().insert((due, key));
            }
        }
    }

    /// Whether a notifier's part of the outbox is not used up.
    fn has_room(&self, notifier: &str) -> bool {
        self.outbox.waiting_for(notifier) < OUTBOX_MAX / self.routes.len().max(1)
    }

    /// When [`Router::tick`] has something to do; in the past if a group waited for room in the outbox
    /// and has it now.
    pub fn next_due(&self) -> Option<Time> {
        let free = self.blocked.iter();
        let free = free.filter(|(notifier, _)| self.has_room(notifier));
        let freed = free.filter_map(|(_, blocked)| blocked.first());
        let due = self.due.first().into_iter().chain(freed);
        due.map(|(due, _)| *due).min()
    }

    /// Notifications made since the last call. They stay in the outbox until they are acknowledged.
    /// After a restart [`Router::undelivered`] has them all, and what this returns at first is among
    /// them.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        self.outbox.take()
    }

    /// A notification was delivered, or never will be.
    pub fn acknowledge(&mut self, number: u64) {
        self.outbox.acknowledge(number);
    }

    /// Notifications that were not acknowledged, in the order of their numbers.
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.outbox.iter()
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Puts an alert into its group for one notifier.
    fn put(&mut self, place: usize, alert: &Alert, now: Time) {
        let route = &self.routes[place];
        let labels = group_labels(route, alert);
        let mut key = group_key(&route.name, &labels);
        let crowd = group_key(&route.name, &[]);
        let is_known = self.groups.contains(&key);
        let is_in_crowd = |group: &Group| group.holds(&alert.id);
        if !is_known && self.groups.get(&crowd).is_some_and(is_in_crowd) {
            key = crowd;
        } else if !is_known {
            if alert.status == Status::Resolved {
                return;
            }
            let labels = if self.groups.len() < GROUPS_MAX {
                labels
            } else {
                self.counts.crowded += 1;
                key = crowd;
                Vec::new()
            };
            if !self.groups.contains(&key) {
                self.groups.insert(&key, Group::new(&route.name, labels));
            }
        }
        let group = self.groups.get_mut(&key).expect("it is known or was added");
        let quiet = Quiet::of(&self.silences, &self.mutes, &self.sources, route);
        let wanted = group.put(alert, route, &quiet, now, &mut self.counts);
        if let Some(wanted) = wanted {
            let due = group.due.map_or(wanted, |due| due.min(wanted));
            self.queue(&key, Some(due));
        }
    }

    /// A firing alert has new evidence, which the next notification about it shows.
    pub fn refresh(&mut self, alert: &Alert) {
        for route in &self.routes {
            let own = group_key(&route.name, &group_labels(route, alert));
            let crowd = group_key(&route.name, &[]);
            for key in [own, crowd] {
                if let Some(group) = self.groups.get_mut(&key)
                    && group.refresh(alert)
                {
                    break;
                }
            }
        }
    }

    /// Sets when a group is looked at.
    fn queue(&mut self, key: &[u8], due: Option<Time>) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        // It is looked at as soon as there is room.
        if group.is_blocked {
            return;
        }
        if let Some(before) = std::mem::replace(&mut group.due, due) {
            self.due.remove(&(before, ByteBuf::from(key)));
        }
        if let Some(due) = due {
            self.due.insert((due, ByteBuf::from(key)));
        }
    }

    /// Lets a group tell what it has to tell at `now`.
    fn flush(&mut self, key: &[u8], now: Time) {
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        group.is_blocked = false;
        let mut routes = self.routes.iter();
        let Some(route) = routes.find(|route| route.name == group.notifier) else {
            self.groups.remove(key);
            return;
        };
        let quiet = Quiet::of(&self.silences, &self.mutes, &self.sources, route);
        for notification in group.flush(route, &quiet, now, &mut self.counts) {
            self.outbox.push(notification);
        }
        if group.is_empty() {
            self.groups.remove(key);
            return;
        }
        let next = group.next(route, &quiet, now);
        self.queue(key, next);
    }

    /// Life goes on at `now` after a pause: what was to be told or repeated in between is told once.
    pub fn wake(&mut self, now: Time) {
        let late: Vec<ByteBuf> = self
            .due
            .iter()
            .take_while(|(due, _)| *due < now)
            .map(|(_, key)| key.clone())
            .collect();
        for key in late {
            self.queue(&key, Some(now));
        }
    }

    /// The clock was set back by so many nanoseconds: what waits and what is repeated comes as soon as
    /// it would have. Silences are times of the calendar and stay.
    pub fn go_back(&mut self, back: i64) {
        self.groups
            .values_mut()
            .for_each(|group| group.go_back(back));
        let earlier = |queue: BTreeSet<(Time, ByteBuf)>| {
            let queue = queue.into_iter();
            queue
                .map(|(at, key)| (Time(at.0.saturating_sub(back)), key))
                .collect()
        };
        self.due = earlier(std::mem::take(&mut self.due));
        let blocked = std::mem::take(&mut self.blocked).into_iter();
        self.blocked = blocked
            .map(|(name, queue)| (name, earlier(queue)))
            .collect();
    }

    /// Goes on with new settings. Groups and notifications of notifiers that are gone are dropped;
    /// alerts of notifiers that group differently are put into new groups, and what was told is not
    /// told again. After a pause, as [`Router::wake`].
    pub fn reconfigure(&mut self, routes: Vec<RouteSettings>, silences: Vec<Silence>, now: Time) {
        let old = std::mem::replace(&mut self.routes, routes);
        self.silences = silences;
        self.due.clear();
        let blocked = std::mem::take(&mut self.blocked).into_values().flatten();
        let blocked: BTreeMap<ByteBuf, Time> = blocked.map(|(since, key)| (key, since)).collect();
        let find = |routes: &[RouteSettings], name: &str| {
            routes.iter().find(|route| route.name == name).cloned()
        };
        for (key, mut group) in std::mem::take(&mut self.groups).into_sorted() {
            let Some(route) = find(&self.routes, &group.notifier) else {
                continue;
            };
            let before = find(&old, &group.notifier);
            if before.is_some_and(|before| before.group_by == route.group_by) {
                // A group that was not told yet keeps its time.
                let due = group.due.take();
                let due = due.or(blocked.get(&key).copied());
                group.is_blocked = false;
                self.groups.insert(&key, group);
                let group = self.groups.get(&key).expect("it was just added");
                let quiet = Quiet::of(&self.silences, &self.mutes, &self.sources, &route);
                let next = group.next(&route, &quiet, now);
                self.queue(&key, next.into_iter().chain(due).min());
                continue;
            }
            for (alert, told) in group.into_members() {
                let labels = group_labels(&route, &alert);
                let key = group_key(&route.name, &labels);
                if !self.groups.contains(&key) {
                    self.groups.insert(&key, Group::new(&route.name, labels));
                }
                let group = self.groups.get_mut(&key).expect("it was just added");
                group.inherit(alert, told);
                self.queue(&key, Some(later(now, route.group_wait)));
            }
        }
        let routes = &self.routes;
        let is_there = |name: &str| routes.iter().any(|route| route.name == name);
        self.counts.dropped += self.outbox.retain(is_there);
        self.wake(now);
    }
}

/// The labels by which an alert is grouped; one that it lacks is left out.
fn group_labels(route: &RouteSettings, alert: &Alert) -> Vec<(String, String)> {
    let is_alone = route.group_by.iter().any(|name| name == ALONE);
    let labels = alert.labels.iter();
    let grouping = labels.filter(|(name, _)| is_alone || route.group_by.contains(name));
    grouping.cloned().collect()
}

fn later(time: Time, nanoseconds: i64) -> Time {
    Time(time.0.saturating_add(nanoseconds))
}

#[cfg(test)]
mod tests;
