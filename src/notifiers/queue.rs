//! What waits for one notifier, and what may go next: in order of arrival, except that nothing goes
//! before an earlier notification that holds one of its alerts, and nothing before it is due. It
//! knows no clock: moments are handed in.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::flow::alert::Notification;
use crate::notifiers::{Part, Rate};

/// One notification and how far it has come.
pub struct Waiting {
    pub notification: Notification,
    /// Pieces that are not delivered yet; the first one is the next to go.
    pub parts: VecDeque<Part>,
    /// Attempts over all pieces.
    pub attempts: u32,
    /// Failures in a row of the piece in front.
    pub failures: u32,
    pub first_attempt: Option<Instant>,
    /// Why a piece is dead, if one is.
    pub dead: Option<String>,
    /// Alerts for which an earlier notification is still under way.
    blocked: usize,
    due: Instant,
}

/// Everything that waits for one notifier. How much that can be is limited by the outbox of the rules,
/// which every notification stands in until its receipt.
#[derive(Default)]
pub struct Queue {
    /// By order of arrival.
    waiting: BTreeMap<u64, Waiting>,
    /// Not blocked and not under way, by when they are due.
    ready: BTreeSet<(Instant, u64)>,
    /// Who has a say about an alert, in order of arrival.
    by_alert: HashMap<String, VecDeque<u64>>,
    arrivals: u64,
}

impl Queue {
    pub fn push(&mut self, notification: Notification, parts: Vec<Part>, now: Instant) {
        let arrival = self.arrivals;
        self.arrivals += 1;
        let mut blocked = 0;
        for id in ids(&notification) {
            let line = self.by_alert.entry(id.to_owned()).or_default();
            blocked += usize::from(!line.is_empty());
            line.push_back(arrival);
        }
        if blocked == 0 {
            self.ready.insert((now, arrival));
        }
        let waiting = Waiting {
            notification,
            parts: parts.into(),
            attempts: 0,
            failures: 0,
            first_attempt: None,
            dead: None,
            blocked,
            due: now,
        };
        self.waiting.insert(arrival, waiting);
    }

    /// When the next one is due, if any can go.
    pub fn due(&self) -> Option<Instant> {
        self.ready.first().map(|(due, _)| *due)
    }

    /// Takes the next one that is due out of the line; it comes back with [`Queue::again`] or leaves
    /// with [`Queue::finish`].
    pub fn take(&mut self, now: Instant) -> Option<(u64, &mut Waiting)> {
        let (due, arrival) = *self.ready.first()?;
        if due > now {
            return None;
        }
        self.ready.pop_first();
        Some((arrival, self.get(arrival)))
    }

    /// One that is under way.
    pub fn get(&mut self, arrival: u64) -> &mut Waiting {
        self.waiting
            .get_mut(&arrival)
            .expect("what is under way has not left")
    }

    /// Puts one that was under way back, to go at `due`.
    pub fn again(&mut self, arrival: u64, due: Instant) {
        self.get(arrival).due = due;
        self.ready.insert((due, arrival));
    }

    /// Lets one go that was under way; those that waited for its alerts may follow.
    pub fn finish(&mut self, arrival: u64) -> Waiting {
        let finished = self
            .waiting
            .remove(&arrival)
            .expect("what is under way has not left");
        for id in ids(&finished.notification) {
            let Some(line) = self.by_alert.get_mut(id) else {
                continue;
            };
            line.pop_front();
            match line.front() {
                None => {
                    self.by_alert.remove(id);
                }
                Some(next) => {
                    let next = *next;
                    let waiting = self.waiting.get_mut(&next).expect("it waits in a line");
                    waiting.blocked -= 1;
                    if waiting.blocked == 0 {
                        self.ready.insert((waiting.due, next));
                    }
                }
            }
        }
        finished
    }

    /// Makes everything that waits for another attempt due: the end is near.
    pub fn hurry(&mut self, now: Instant) {
        let ready = std::mem::take(&mut self.ready);
        self.ready = ready
            .into_iter()
            .map(|(due, arrival)| (due.min(now), arrival))
            .collect();
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// The alerts of a notification, each once.
fn ids(notification: &Notification) -> BTreeSet<&str> {
    notification
        .alerts
        .iter()
        .map(|alert| alert.id.as_str())
        .collect()
}

/// How many attempts may start.
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    pub fn new(rate: Rate, now: Instant) -> Bucket {
        Bucket {
            rate,
            tokens: f64::from(rate.count.max(1)),
            filled_at: now,
        }
    }

    /// Takes a token, or says when there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let count = f64::from(self.rate.count.max(1));
        let per = self.rate.per.as_secs_f64();
        if per <= 0.0 {
            return Ok(());
        }
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed / per * count).min(count);
        self.filled_at = self.filled_at.max(now);
        // A little less than one is one: the moment that was promised below is rounded.
        if self.tokens >= 0.999_999 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = (1.0 - self.tokens) / count * per;
        Err(now + Duration::from_secs_f64(wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::alert::{Alert, Evidence, Status};
    use crate::flow::time::Time;

    fn notification(number: u64, ids: &[&str]) -> Notification {
        let alert = |id: &&str| Alert {
            id: (*id).to_owned(),
            rule: "r".to_owned(),
            status: Status::Firing,
            labels: Vec::new(),
            summary: String::new(),
            value: None,
            starts_at: Time(0),
            ends_at: None,
            evidence: Evidence::default(),
        };
        Notification {
            number,
            notifier: "n".to_owned(),
            id: number.to_string(),
            status: Status::Firing,
            group: Vec::new(),
            alerts: ids.iter().map(alert).collect(),
            left_out: 0,
            made_at: Time(0),
        }
    }

    fn next(queue: &mut Queue, now: Instant) -> Option<(u64, u64)> {
        queue
            .take(now)
            .map(|(arrival, waiting)| (arrival, waiting.notification.number))
    }

    #[test]
    fn what_holds_an_alert_under_way_waits_and_others_pass() {
        let now = Instant::now();
        let later = now + Duration::from_secs(9);
        let mut queue = Queue::default();
        for (number, ids) in [
            (1, &["a", "b", "a"][..]),
            (2, &["b", "c"]),
            (3, &["d"]),
            (4, &["c", "a"]),
            (5, &[]),
        ] {
            queue.push(notification(number, ids), Vec::new(), now);
        }
        let (first, number) = next(&mut queue, now).unwrap();
        assert_eq!(number, 1);
        assert_eq!(next(&mut queue, now).unwrap().1, 3);
        assert_eq!(next(&mut queue, now).unwrap().1, 5);
        assert_eq!(next(&mut queue, now), None);
        queue.again(first, later);
        assert_eq!(queue.due(), Some(later));
        assert_eq!(
            next(&mut queue, now),
            None,
            "2 waits behind 1, which is not due"
        );
        assert_eq!(next(&mut queue, later).unwrap().1, 1);
        queue.finish(first);
        let (second, number) = next(&mut queue, later).unwrap();
        assert_eq!(number, 2);
        assert_eq!(next(&mut queue, later), None, "4 waits for c");
        queue.finish(second);
        let (fourth, number) = next(&mut queue, later).unwrap();
        assert_eq!(number, 4);
        queue.finish(fourth);
        let left: Vec<u64> = queue.waiting.keys().copied().collect();
        assert_eq!(left, [2, 4], "3 and 5, still under way");
        left.into_iter()
            .for_each(|arrival| drop(queue.finish(arrival)));
        assert!(queue.by_alert.is_empty() && queue.ready.is_empty() && queue.is_empty());
    }

    #[test]
    fn a_bucket_lets_as_many_through_as_it_says() {
        let start = Instant::now();
        let rate = Rate {
            count: 10,
            per: Duration::from_secs(60),
        };
        let mut bucket = Bucket::new(rate, start);
        let mut now = start;
        let mut taken = 0;
        while now < start + Duration::from_secs(600) {
            match bucket.take(now) {
                Ok(()) => taken += 1,
                Err(then) => {
                    assert!(then > now, "time moves on");
                    now = then;
                }
            }
        }
        assert!(
            (109..=110).contains(&taken),
            "{taken}: ten at once, then one each six seconds"
        );
    }
}
