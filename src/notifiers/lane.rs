//! One notifier's lane: its queue, its attempts under way, its rate and its waits. Each lane is a task
//! of its own, so that one that stalls holds up no other.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};

use crate::clock::{Clock, System};
use crate::disk::private_file::Lines;
use crate::failpoint::{self, Failpoint};
use crate::flow::alert::Notification;
use crate::flow::time::Time;
use crate::net::http::Attempt;
use crate::net::retry;
use crate::notifiers::delivery::{Outcome, Receipt};
use crate::notifiers::journal::{DeadLetter, Ended, Entry, Told};
use crate::notifiers::queue::{Bucket, Queue};
use crate::notifiers::{Notifier, Part};

/// Least time between two of our own lines about one thing that goes wrong with every message.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How long a message waits for another attempt when it cannot be put away as a dead letter.
const NO_LETTER_WAIT: Duration = Duration::from_secs(30);

/// What a lane is told.
pub enum Work {
    Send(Box<Notification>),
    /// New settings for the same name.
    Notifier(Arc<Notifier>),
    /// The end is near: everything that waits for another attempt gets it now.
    Hurry,
}

/// When something was last said that goes wrong over and over.
#[derive(Debug, Default)]
pub struct Pace(Option<Instant>);

impl Pace {
    /// Whether it may be said again; whoever asks says it then.
    fn may_say(&mut self) -> bool {
        let is_due = self.0.is_none_or(|then| then.elapsed() >= SAY_EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

/// What all lanes share: where it is written down what became of a notification.
pub struct Office {
    pub journal: Option<Lines>,
    pub dead_letters: Option<Lines>,
    pub receipts: Sender<Receipt>,
    /// Numbers without a receipt.
    pub open: Mutex<BTreeSet<u64>>,
    pub say: fn(&str),
    pub clock: System,
    /// That a file cannot be written.
    pub complained: Mutex<Pace>,
}

impl Office {
    fn now(&self) -> String {
        Time(self.clock.wall_nanoseconds())
            .whole_milliseconds()
            .to_string()
    }

    /// Writes an attempt into the journal.
    fn record(&self, name: &str, part: &Notification, attempt: u32, ended: Ended, answer: &str) {
        let Some(journal) = &self.journal else {
            return;
        };
        let entry = Entry {
            at: self.now(),
            notifier: name.to_owned(),
            notification: part.id.clone(),
            number: part.number,
            attempt,
            ended,
            answer: answer.to_owned(),
            alerts: Told::all(part),
        };
        if let Err(error) = journal.append(&entry) {
            self.complain(&format!("{}: {error}", journal.path().display()));
        }
    }

    /// Says that a file cannot be written, now and then: a full disk fails with every attempt.
    fn complain(&self, text: &str) {
        let mut pace = self
            .complained
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if pace.may_say() {
            (self.say)(text);
        }
    }

    /// Puts away what cannot be delivered; false if there is a place for it that cannot be written to. The
    /// receipt comes from [`Office::receipt`].
    pub fn dead_letter(
        &self,
        name: &str,
        part: &Notification,
        recipient: Option<&str>,
        reason: &str,
    ) -> bool {
        let Some(letters) = &self.dead_letters else {
            return true;
        };
        let letter = DeadLetter {
            at: self.now(),
            notifier: name,
            reason,
            recipient,
            notification: part,
        };
        let written = letters.append(&letter);
        if let Err(error) = &written {
            self.complain(&format!("{}: {error}", letters.path().display()));
        }
        written.is_ok()
    }

    /// The last word about a notification.
    pub fn receipt(&self, receipt: Receipt) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&receipt.number);
        drop(open);
        // Nobody listens any more when the program ends.
        let _ = self.receipts.send(receipt);
    }
}

/// A notifier at work.
pub struct Lane {
    notifier: Arc<Notifier>,
    office: Arc<Office>,
    queue: Queue,
    bucket: Bucket,
    /// Attempts under way, by the task that makes them.
    arrivals: HashMap<Id, u64>,
    attempts: JoinSet<(Attempt, Option<String>)>,
    /// The receiver asked for a pause.
    hold_until: Option<Instant>,
    is_failing: bool,
    has_said_template: bool,
    dead_pace: Pace,
    dead_unsaid: u64,
}

impl Lane {
    pub fn new(notifier: Arc<Notifier>, office: Arc<Office>) -> Lane {
        Lane {
            bucket: Bucket::new(notifier.settings.rate, Instant::now()),
            notifier,
            office,
            queue: Queue::default(),
            arrivals: HashMap::new(),
            attempts: JoinSet::new(),
            hold_until: None,
            is_failing: false,
            has_said_template: false,
            dead_pace: Pace::default(),
            dead_unsaid: 0,
        }
    }

    /// Works until `works` is closed and everything is delivered or dead.
    pub async fn run(mut self, mut works: UnboundedReceiver<Work>) {
        let mut is_open = true;
        while is_open || !self.queue.is_empty() {
            let wake = self.start_attempts();
            let sleep = async {
                match wake {
                    Some(then) => tokio::time::sleep_until(then.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                work = works.recv(), if is_open => match work {
                    Some(work) => self.take(work),
                    None => is_open = false,
                },
                Some(ended) = self.attempts.join_next_with_id() => self.ended(ended),
                () = sleep => {}
            }
        }
        self.say_dead();
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Send(notification) => {
                let parts = Part::of(&self.notifier.settings.channel, &notification);
                self.queue.push(*notification, parts, Instant::now());
            }
            Work::Notifier(notifier) => {
                if notifier.settings.rate != self.notifier.settings.rate {
                    self.bucket = Bucket::new(notifier.settings.rate, Instant::now());
                }
                self.notifier = notifier;
                self.has_said_template = false;
                // What an old address asked for is not the new one's wish.
                self.hold_until = None;
                self.queue.hurry(Instant::now());
            }
            Work::Hurry => self.queue.hurry(Instant::now()),
        }
    }

    /// Starts what may start; says when to look again, if anything waits for a moment.
    fn start_attempts(&mut self) -> Option<Instant> {
        let at_once = self.notifier.settings.channel.contract().attempts_at_once();
        loop {
            let due = self.queue.due()?;
            if self.attempts.len() >= at_once {
                return None;
            }
            let now = Instant::now();
            if due > now {
                return Some(due);
            }
            match self.hold_until {
                Some(until) if until > now => return Some(until),
                _ => self.hold_until = None,
            }
            if let Err(then) = self.bucket.take(now) {
                return Some(then);
            }
            let (arrival, waiting) = self.queue.take(now)?;
            waiting.first_attempt.get_or_insert(now);
            waiting.attempts += 1;
            let part = waiting
                .parts
                .front()
                .expect("a notification leaves with its last piece");
            let task = attempt(Arc::clone(&self.notifier), part.clone());
            let task = self.attempts.spawn(task);
            self.arrivals.insert(task.id(), arrival);
        }
    }

    fn ended(&mut self, ended: Result<(Id, (Attempt, Option<String>)), JoinError>) {
        let (id, attempt, problem) = match ended {
            Ok((id, (attempt, problem))) => (id, attempt, problem),
            Err(error) => {
                let reason = "our own fault: the attempt ended in a panic".to_owned();
                (error.id(), Attempt::Refused { reason }, None)
            }
        };
        let arrival = self
            .arrivals
            .remove(&id)
            .expect("every attempt was noted when it began");
        if let Some(problem) = problem
            && !self.has_said_template
        {
            self.has_said_template = true;
            self.say(&format!("a template cannot be used: {problem}"));
        }
        let office = Arc::clone(&self.office);
        let name = self.notifier.settings.name.clone();
        let give_up = self.notifier.settings.give_up;
        let waiting = self.queue.get(arrival);
        let number = waiting.attempts;
        let part = waiting.parts.front().expect("it was just tried").clone();
        let record =
            |ended, answer: &str| office.record(&name, &part.notification, number, ended, answer);
        match attempt {
            Attempt::Delivered { answer } => {
                record(Ended::Delivered, &answer);
                waiting.failures = 0;
                waiting.parts.pop_front();
                self.delivers();
                self.next_part(arrival, answer);
            }
            Attempt::Later { reason, after } => {
                let now = Instant::now();
                waiting.failures += 1;
                let wait = after.unwrap_or_else(|| retry::backoff(waiting.failures));
                let began = waiting.first_attempt.unwrap_or(now);
                if now + wait >= began + give_up {
                    let reason = format!("{reason}; given up after {number} attempts");
                    self.bury(arrival, part, number, reason);
                    return;
                }
                record(Ended::Later, &reason);
                self.queue.again(arrival, now + wait);
                if let Some(after) = after {
                    self.hold_until = self.hold_until.max(Some(now + after));
                }
                self.fails(&reason);
            }
            Attempt::Divide { reason } => match part.split(&self.notifier.settings.channel) {
                Some(parts) => {
                    record(Ended::Divided, &reason);
                    waiting.failures = 0;
                    waiting.parts.pop_front();
                    for part in parts.into_iter().rev() {
                        waiting.parts.push_front(part);
                    }
                    self.queue.again(arrival, Instant::now());
                }
                None => self.bury(arrival, part, number, reason),
            },
            Attempt::Refused { reason } => self.bury(arrival, part, number, reason),
        }
    }

    /// The piece in front cannot be delivered.
    fn bury(&mut self, arrival: u64, part: Part, attempt: u32, reason: String) {
        let settings = &self.notifier.settings;
        let recipients = settings.channel.contract().recipients();
        let recipient = part.recipient.and_then(|number| recipients.get(number));
        let recipient = recipient.map(String::as_str);
        let letter =
            self.office
                .dead_letter(&settings.name, &part.notification, recipient, &reason);
        let ended = if letter { Ended::Dead } else { Ended::Later };
        self.office
            .record(&settings.name, &part.notification, attempt, ended, &reason);
        if !letter {
            // It must not be lost: it goes on trying until one or the other works.
            self.queue.again(arrival, Instant::now() + NO_LETTER_WAIT);
            return;
        }
        let waiting = self.queue.get(arrival);
        waiting.failures = 0;
        waiting.parts.pop_front();
        waiting.dead = Some(reason.clone());
        self.dead_unsaid += 1;
        if self.dead_pace.may_say() {
            let one = std::mem::take(&mut self.dead_unsaid) == 1;
            let what = if one { "a message" } else { "messages" };
            self.say(&format!(
                "{what} could not be delivered: {reason}{}",
                self.kept_in()
            ));
        }
        self.next_part(arrival, reason);
    }

    /// Goes on with the next piece, or gives the receipt.
    fn next_part(&mut self, arrival: u64, answer: String) {
        let waiting = self.queue.get(arrival);
        if !waiting.parts.is_empty() {
            self.queue.again(arrival, Instant::now());
            return;
        }
        let finished = self.queue.finish(arrival);
        let (outcome, answer) = match finished.dead {
            Some(reason) => (Outcome::Dead, reason),
            None => (Outcome::Delivered, answer),
        };
        self.office.receipt(Receipt {
            number: finished.notification.number,
            notifier: finished.notification.notifier,
            outcome,
            attempts: finished.attempts,
            answer,
        });
    }

    /// Says once that the notifier fails, until it delivers again.
    fn fails(&mut self, reason: &str) {
        if !self.is_failing {
            self.is_failing = true;
            self.say(&format!("{reason}; it is tried again"));
        }
    }

    fn delivers(&mut self) {
        if self.is_failing {
            self.is_failing = false;
            self.say("it delivers again");
        }
    }

    fn say_dead(&mut self) {
        if self.dead_unsaid > 0 {
            let more = self.dead_unsaid;
            self.say(&format!(
                "{more} more messages could not be delivered{}",
                self.kept_in()
            ));
        }
    }

    fn kept_in(&self) -> String {
        let letters = self.office.dead_letters.as_ref();
        letters.map_or(String::new(), |letters| {
            format!("; see {}", letters.path().display())
        })
    }

    fn say(&self, what: &str) {
        (self.office.say)(&format!(
            "notifier \"{}\": {what}",
            self.notifier.settings.name
        ));
    }
}

/// One attempt within its deadline, and what was wrong with a template.
async fn attempt(notifier: Arc<Notifier>, part: Part) -> (Attempt, Option<String>) {
    failpoint::panic_on(Failpoint::PanicNotifier, notifier.settings.name.as_bytes());
    let words = notifier.texts.write(&part.notification);
    let send = notifier.send(&part, &words);
    let attempt = if notifier.settings.channel.contract().has_deadline() {
        let timeout = notifier.settings.timeout;
        tokio::time::timeout(timeout, send)
            .await
            .unwrap_or_else(|_| Attempt::Later {
                reason: format!(
                    "{}no answer within {timeout:?}",
                    notifier.settings.channel.address()
                ),
                after: None,
            })
    } else {
        send.await
    };
    (attempt, words.problem)
}
