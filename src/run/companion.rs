//! What goes along with a run on the fold's thread: lets time pass for rules, hands notifications to
//! their delivery and receipts back, sends summaries, and answers those who ask for pages.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::engine::fold::Fold;
use crate::engine::{End, Watcher};
use crate::flow::time::Time;
use crate::notifiers::delivery::{Delivery, Outcome};
use crate::notifiers::heartbeat::Pulse;
use crate::process::diagnostics;
use crate::report::prometheus::{self, Extra, Kind};
use crate::rules::routing::Silence;
use crate::run::summaries::Writer;
use crate::sinks::prometheus::{Health, PageRequest};
use crate::sources::Stream;
use crate::store::silences;

/// Longest wait of the fold while windows may close by time alone.
const TICK: Duration = Duration::from_secs(1);

/// How soon a page is made that somebody asks for.
const PAGES: Duration = Duration::from_millis(250);

/// Everything that a run does besides writing lines.
pub struct Companion {
    pub clock: Arc<dyn Clock>,
    pub delivery: Option<Delivery>,
    pub summaries: Option<Writer>,
    pub pages: Option<Receiver<PageRequest>>,
    /// What the endpoint says of us.
    pub health: Arc<Mutex<Health>>,
    /// How long the last deliveries may take.
    pub grace: Duration,
    /// Alerts that were told, for the last words of a run with a command.
    pub told: u64,
    /// What heartbeats look at, if there are any.
    pub pulse: Option<Pulse>,
    /// Streams that are read beside files or each other.
    pub streams: Vec<Stream>,
    /// What was not delivered before was handed to the delivery.
    pub is_under_way: bool,
    /// When what no record came to was looked for, or is to be: set by the first step.
    pub look_for_fields: Option<LookForFields>,
    /// Silences that are made by hand, if there is a state directory, and when they were looked at last.
    pub silences: Option<silences::Watch>,
    pub silences_looked_at: Option<Time>,
}

/// What no record comes to for want of a field is named once.
#[derive(Clone, Copy, Debug)]
pub enum LookForFields {
    At(Time),
    Done,
}

/// After so many records of a run.
const FIELDS_RECORDS: u64 = 1000;

/// Or after so long.
const FIELDS_AFTER: i64 = 600 * Time::SECOND;

impl Companion {
    fn wall(&self) -> Time {
        Time(self.clock.wall_nanoseconds())
    }

    /// Hands over what rules have to tell. After a restart that includes what was not delivered before.
    fn tell(&mut self, fold: &mut Fold) -> bool {
        let Some(rules) = &mut fold.rules else {
            return false;
        };
        let fresh = rules.take_notifications();
        let first = !std::mem::replace(&mut self.is_under_way, true);
        let notifications = if first {
            rules.undelivered().cloned().collect()
        } else {
            fresh
        };
        let Some(delivery) = &self.delivery else {
            return false;
        };
        let is_news = !notifications.is_empty();
        for notification in notifications {
            self.told += notification.alerts.len() as u64;
            delivery.send(notification);
        }
        is_news
    }

    /// Takes receipts; returns whether there were any.
    fn receive(&mut self, fold: &mut Fold) -> bool {
        let Some(delivery) = &self.delivery else {
            return false;
        };
        let mut any = false;
        for receipt in delivery.receipts().try_iter() {
            any = true;
            if receipt.outcome == Outcome::Dead {
                diagnostics::note(&format!(
                    "{}: given up after {} attempts: {}",
                    receipt.notifier, receipt.attempts, receipt.answer
                ));
            }
            if let Some(rules) = &mut fold.rules {
                rules.acknowledge(receipt.number);
            }
        }
        any
    }

    /// Takes in silences that were made by hand since the last look.
    fn hear_silences(&mut self, fold: &mut Fold) {
        let now = self.wall();
        let Some(watch) = &mut self.silences else {
            return;
        };
        // Once a second is at once for a person; the clock may have been set back.
        let looked_at = self.silences_looked_at;
        if looked_at.is_some_and(|at| (at.0..at.0.saturating_add(Time::SECOND)).contains(&now.0)) {
            return;
        }
        self.silences_looked_at = Some(now);
        match watch.changed() {
            None => {}
            Some(Ok(entries)) => {
                if let Some(rules) = &mut fold.rules {
                    rules.silence(silences_of(&entries));
                }
            }
            Some(Err(error)) => diagnostics::say(&format!(
                "{}: {error}; the silences that were made before go on",
                watch.path().display()
            )),
        }
    }

    /// Names states, sets and rules that wait for a field that no record has.
    fn name_missing_fields(&mut self, fold: &Fold) {
        let now = self.wall();
        let due = self
            .look_for_fields
            .get_or_insert(LookForFields::At(Time(now.0.saturating_add(FIELDS_AFTER))));
        let LookForFields::At(due) = *due else { return };
        let records = fold.state.ledger.records;
        let Some(rules) = &fold.rules else { return };
        if records >= FIELDS_RECORDS || (now >= due && records > 0) {
            self.look_for_fields = Some(LookForFields::Done);
            for note in rules.without_fields() {
                diagnostics::say(&note);
            }
        }
    }

    fn summarise(&mut self, fold: &mut Fold) -> bool {
        let (Some(writer), Some(summaries)) = (&mut self.summaries, &mut fold.summaries) else {
            return false;
        };
        let mut any = false;
        for summary in summaries.take() {
            any = true;
            writer.send(summary);
        }
        if let Some(number) = writer.written() {
            any = true;
            summaries.acknowledge(number);
        }
        any
    }

    fn answer(&mut self, fold: &mut Fold) {
        let Some(pages) = &self.pages else { return };
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health(fold, &self.streams);
        let requests: Vec<PageRequest> = pages.try_iter().collect();
        if requests.is_empty() {
            return;
        }
        let state = fold.reported();
        let page = prometheus::page(&state, &[figures(fold), sources(&self.streams)].concat());
        for request in requests {
            // Who asked may have gone.
            let _ = request.reply.send(page.clone());
        }
    }
}

/// Silences as the rules have them.
pub fn silences_of(entries: &[silences::Entry]) -> Vec<Silence> {
    entries.iter().filter_map(silence).collect()
}

/// A silence as the rules have it; none if its times cannot be read.
fn silence(entry: &silences::Entry) -> Option<Silence> {
    let time = |text: &str| {
        let time: Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond()).ok().map(Time)
    };
    Some(Silence {
        matchers: entry.labels.clone().into_iter().collect(),
        from: Some(time(&entry.from)?),
        until: time(&entry.until)?,
        comment: entry.comment.clone(),
    })
}

/// How well the run is, by its books.
fn health(fold: &Fold, streams: &[Stream]) -> Health {
    let (missing, faulted) = (fold.unaccounted(), fold.state.ledger.faulted);
    if missing > 0 {
        return Health::Ill(format!(
            "{missing} lines are unaccounted for, a fault of weir; checkpoints are held back"
        ));
    }
    let down = |stream: &&Stream| !stream.status.up.load(Ordering::Relaxed);
    let down: Vec<&Stream> = streams.iter().filter(down).collect();
    let names: Vec<&str> = down.iter().map(|stream| &*stream.name).collect();
    let names = names.join(", ");
    if down
        .iter()
        .any(|stream| stream.status.failed.load(Ordering::Relaxed))
    {
        return Health::Ill(format!(
            "sources that failed and are not read any more: {names}"
        ));
    }
    if !down.is_empty() {
        return Health::Degraded(format!("sources that are down: {names}"));
    }
    match faulted {
        0 => Health::Well,
        count => Health::Degraded(format!(
            "{count} records made weir panic and were written as plain text; please report it"
        )),
    }
}

/// Figures of the program that stand in no table.
fn figures(fold: &Fold) -> Vec<Extra> {
    let mut figures = Vec::new();
    let mut add = |name, help, kind, value: u64| {
        figures.push(Extra {
            name,
            help,
            kind,
            labels: Vec::new(),
            value: value as f64,
        });
    };
    if let Some(rules) = &fold.rules {
        let counts = rules.counts();
        let waiting = rules.undelivered().count() as u64;
        add(
            "weir_notifications_total",
            "Notifications made.",
            Kind::Counter,
            counts.notifications,
        );
        add(
            "weir_notifications_waiting",
            "Notifications not delivered yet.",
            Kind::Gauge,
            waiting,
        );
        let firing = rules.alerts().count() as u64;
        add(
            "weir_alerts_firing",
            "Alerts that fire.",
            Kind::Gauge,
            firing,
        );
        let passed = rules.passed();
        add(
            "weir_rules_late_records_total",
            "Records too late for the window of a rule.",
            Kind::Counter,
            passed.late,
        );
        add(
            "weir_rules_future_records_total",
            "Records from more than an hour ahead.",
            Kind::Counter,
            passed.future,
        );
        add(
            "weir_rules_refused_records_total",
            "Records of groups that a full table did not admit.",
            Kind::Counter,
            passed.overflow,
        );
    }
    if let Some(summaries) = &fold.summaries {
        add(
            "weir_summaries_late_records_total",
            "Records too late for their summary.",
            Kind::Counter,
            summaries.late,
        );
        add(
            "weir_summaries_lost_total",
            "Summaries given up because no sink took them.",
            Kind::Counter,
            summaries.given_up,
        );
    }
    figures
}

/// Whether each stream is read, and how often its program ran.
fn sources(streams: &[Stream]) -> Vec<Extra> {
    let mut figures = Vec::new();
    for stream in streams {
        let status = &stream.status;
        let mut add = |name, help, kind, value: u64| {
            figures.push(Extra {
                name,
                help,
                kind,
                labels: vec![("source", stream.name.clone())],
                value: value as f64,
            });
        };
        let up = u64::from(status.up.load(Ordering::Relaxed));
        add(
            "weir_source_up",
            "1 if the source is read, else 0.",
            Kind::Gauge,
            up,
        );
        if stream.origin.program().is_some() {
            add(
                "weir_source_runs_total",
                "Runs of the program of a source.",
                Kind::Counter,
                status.runs.load(Ordering::Relaxed),
            );
            add(
                "weir_source_skipped_total",
                "Runs that were left out because one was still going on.",
                Kind::Counter,
                status.skipped.load(Ordering::Relaxed),
            );
        }
    }
    figures
}

impl Watcher for Companion {
    fn now(&self) -> Option<Time> {
        Some(self.wall())
    }

    fn wait(&self, fold: &Fold) -> Option<Duration> {
        let due = fold.rules.as_ref().and_then(|rules| rules.next_due());
        let now = self.wall();
        let due = due.map(|due| Duration::from_nanos((due.0 - now.0).max(0).unsigned_abs()));
        // The wall clock may jump: what is far away is looked at again.
        let due = due.map(|due| due.min(10 * TICK));
        let summaries = fold
            .summaries
            .as_ref()
            .is_some_and(|summaries| summaries.is_open());
        let pages = self.pages.as_ref().map(|_| PAGES);
        let pulse = self.pulse.is_some() || !self.streams.is_empty();
        due.into_iter()
            .chain(summaries.then_some(TICK))
            .chain(pages)
            .chain(pulse.then_some(TICK))
            .min()
    }

    fn step(&mut self, fold: &mut Fold) -> bool {
        self.hear_silences(fold);
        fold.tick(self.wall());
        if let Some(rules) = &mut fold.rules {
            for stream in &self.streams {
                let up = stream.status.up.load(Ordering::Relaxed);
                rules.set_up(&stream.name, up, Time(self.clock.wall_nanoseconds()));
            }
        }
        self.name_missing_fields(fold);
        let told = self.tell(fold);
        let received = self.receive(fold);
        let summarised = self.summarise(fold);
        self.answer(fold);
        if let Some(pulse) = &self.pulse
            && !matches!(health(fold, &self.streams), Health::Ill(_))
        {
            pulse.beat();
        }
        told || received || summarised
    }

    fn ended(&mut self, fold: &mut Fold, end: End) -> bool {
        if end == End::OfInput {
            fold.arrival = Some(self.wall());
            fold.end_watch();
        }
        self.tell(fold);
        self.summarise(fold);
        if let Some(delivery) = self.delivery.take() {
            let receipts = delivery.receipts().clone();
            let left = delivery.drain(self.grace);
            let rules = fold.rules.as_mut();
            if let Some(rules) = rules {
                receipts
                    .try_iter()
                    .for_each(|receipt| rules.acknowledge(receipt.number));
            }
            if !left.is_empty() {
                diagnostics::note(&format!(
                    "{} notifications were not delivered in time{}",
                    left.len(),
                    if end == End::ToGoOn {
                        "; the next start sends them"
                    } else {
                        ""
                    }
                ));
            }
        }
        if let Some(writer) = self.summaries.take() {
            let last = (end == End::OfInput).then(|| fold.reported());
            let written = writer.finish(last);
            if let (Some(number), Some(summaries)) = (written, &mut fold.summaries) {
                summaries.acknowledge(number);
            }
        }
        true
    }
}
