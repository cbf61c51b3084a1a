//! The life of alerts: inactive, pending, firing, resolved. A rule is judged for each of its groups;
//! what changes is an alert to tell. No clock in here: times are handed in.
//!
//! A judgement holds until the next one: what became due for its group in between is told with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem::take;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::flow::alert::{Alert, Evidence, SampleLine, Status};
use crate::flow::fingerprint::xxh64;
use crate::flow::key;
use crate::flow::time::Time;
use crate::state::table::Table;

/// Seconds after which a full list of samples gets the newest line.
const SAMPLE_EVERY: i64 = 60;

/// Alerts that are pending or firing, about 2 KiB each. Further groups are not judged until some have
/// ended; how often is counted in [`Lives::refused`].
pub const ACTIVE_MAX: usize = 10_000;

/// A longer value of a label is cut, as receivers do.
pub const LABEL_BYTES_MAX: usize = 256;

/// A group that changes between firing and not more often than this within [`FLAP_WINDOW`] is
/// flapping: it counts as firing until it has been quiet for [`FLAP_QUIET`].
pub const FLIPS_MAX: usize = 6;

pub const FLAP_WINDOW: i64 = 3600 * Time::SECOND;

pub const FLAP_QUIET: i64 = 600 * Time::SECOND;

/// Groups whose changes are remembered to see whether they flap; 100 bytes each.
const FLIPPING_MAX: usize = 10_000;

/// A rule seen at one time for one group.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    /// Place of the rule.
    pub rule: u32,
    /// Encoded values of `by`.
    pub key: &'a [u8],
    /// Its condition holds.
    pub when: bool,
    /// What ends it holds; the opposite of `when` for a rule that says nothing else.
    pub clear: bool,
    /// In event time.
    pub at: Time,
    pub value: Option<f64>,
    pub summary: String,
    pub evidence: Evidence,
}

/// What a rule says about the life of its alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeSettings {
    pub name: String,
    pub severity: String,
    /// Names of the fields of the key.
    pub by: Vec<String>,
    /// Nanoseconds for which the condition must hold before the alert fires.
    pub for_: i64,
    /// Nanoseconds for which it must not hold before the alert is resolved.
    pub flap_hold: i64,
}

/// How far an alert has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Pending,
    Firing,
    /// Its condition does not hold any more, but may come back: told as firing still.
    Held,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Pending => "pending",
            Phase::Firing => "firing",
            Phase::Held => "held",
        }
    }
}

/// An alert that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Active<'a> {
    pub rule: u32,
    pub key: &'a [u8],
    pub phase: Phase,
    pub alert: &'a Alert,
}

/// All alerts that have not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lives {
    /// By rule and key.
    lives: Table<Life>,
    /// Lives that end their waiting, by time.
    due: BTreeSet<(Time, ByteBuf)>,
    /// When groups changed, oldest first.
    flips: Table<VecDeque<Time>>,
    /// When groups that do not change any more were looked for.
    searched: Option<Time>,
    refused: u64,
    /// Ends that were held back.
    held: u64,
    /// Those whose evidence has grown since the last call of [`Lives::take_news`].
    #[serde(skip)]
    news: BTreeSet<Vec<u8>>,
}

/// Records that came while an alert was active.
pub struct Noted<'a> {
    /// Event time, in whole seconds.
    pub second: i64,
    pub count: u64,
    /// Which of their lines may be kept.
    pub lines: Range<usize>,
    pub line: &'a dyn Fn(usize) -> SampleLine,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Life {
    rule: u32,
    phase: Phase,
    /// As it began: what is told of an alert does not depend on when somebody looked again.
    alert: Alert,
    /// When a pending alert fires, when a held one is resolved.
    until: Option<Time>,
    /// When the condition of a held alert ceased.
    ceased: Option<Time>,
    /// The second of the newest sample.
    #[serde(default)]
    sampled: i64,
}

/// The place of a group of a rule in the tables.
fn place(rule: u32, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(4 + key.len());
    place.extend_from_slice(&rule.to_be_bytes());
    place.extend_from_slice(key);
    place
}

fn rule_of(place: &[u8]) -> u32 {
    let (rule, _) = place
        .split_first_chunk()
        .expect("a place begins with its rule");
    u32::from_be_bytes(*rule)
}

fn later(time: Time, nanoseconds: i64) -> Time {
    Time(time.0.saturating_add(nanoseconds))
}

impl Lives {
    /// Takes in a judgement; returns what is to be told: what a waiting that was over by then has come
    /// to, then what the judgement changes. Judgements of one group come in the order of their times.
    pub fn judge(&mut self, settings: &LifeSettings, judgement: Judgement<'_>) -> Vec<Alert> {
        let place = place(judgement.rule, judgement.key);
        let ripe = self.ripe(&place, judgement.at);
        let change = self.change(settings, judgement, &place);
        ripe.into_iter().chain(change).collect()
    }

    /// Adds records to the evidence of an alert that is pending or firing.
    pub fn note(&mut self, rule: u32, key: &[u8], noted: &Noted) {
        let place = place(rule, key);
        let Some(life) = self.lives.get_mut(&place) else {
            return;
        };
        let evidence = &mut life.alert.evidence;
        evidence.count = evidence.count.saturating_add(noted.count);
        let time = Time::from_parts(noted.second, 0);
        evidence.last = evidence.last.max(time);
        evidence.first = evidence.first.or(time);
        for number in noted.lines.clone() {
            let is_full = evidence.samples.len() >= Evidence::SAMPLES_MAX;
            let is_due = noted.second >= life.sampled.saturating_add(SAMPLE_EVERY);
            let alike = alike(&evidence.samples);
            // Fast path: all of them are unlike each other, and the newest is new enough.
            if is_full && !is_due && alike.is_none() {
                break;
            }
            let line = (noted.line)(number);
            let kind = shape(&line.line);
            let is_new = evidence
                .samples
                .iter()
                .all(|held| shape(&held.line) != kind);
            if is_full && !is_due && !is_new {
                continue;
            }
            if is_full {
                evidence.samples.remove(alike.unwrap_or(0));
            }
            evidence.samples.push(line);
            life.sampled = noted.second;
        }
        if !self.news.contains(&place) {
            self.news.insert(place);
        }
    }

    /// The alerts whose evidence has grown since the last call.
    pub fn take_news(&mut self) -> Vec<&Alert> {
        let news = take(&mut self.news).into_iter();
        let lives = &self.lives;
        let alerts = news.filter_map(|place| Some(&lives.get(&place)?.alert));
        alerts.collect()
    }

    /// What one group's waiting has come to at `at`, if it is over by then.
    fn ripe(&mut self, place: &[u8], at: Time) -> Option<Alert> {
        let until = self.lives.get(place)?.until.filter(|until| *until <= at)?;
        self.due.remove(&(until, ByteBuf::from(place)));
        self.end_of_waiting(place, until)
    }

    /// Makes a pending alert fire, or resolves a held one.
    fn end_of_waiting(&mut self, place: &[u8], at: Time) -> Option<Alert> {
        let life = self.lives.get_mut(place)?;
        life.until = None;
        match life.phase {
            Phase::Firing => None,
            Phase::Pending => {
                life.phase = Phase::Firing;
                let alert = life.alert.clone();
                self.flip(place, at);
                Some(alert)
            }
            Phase::Held => {
                let life = self.lives.remove(place)?;
                Some(resolved(life.alert, life.ceased))
            }
        }
    }

    fn change(
        &mut self,
        settings: &LifeSettings,
        judgement: Judgement<'_>,
        place: &[u8],
    ) -> Option<Alert> {
        let at = judgement.at;
        let Some(life) = self.lives.get_mut(place) else {
            return self.begin(settings, judgement, place);
        };
        match life.phase {
            Phase::Pending if !judgement.when => {
                self.wait(place, None);
                self.lives.remove(place);
                None
            }
            Phase::Held if judgement.when => {
                life.phase = Phase::Firing;
                life.ceased = None;
                self.flip(place, at);
                self.wait(place, None);
                None
            }
            Phase::Firing if judgement.clear && !judgement.when => {
                life.ceased = Some(at);
                // A resolved alert says how things are now.
                life.alert.summary = judgement.summary;
                life.alert.value = judgement.value;
                if !judgement.evidence.samples.is_empty() {
                    life.alert.evidence.samples = judgement.evidence.samples;
                }
                let is_flapping = self.flip(place, at);
                let quiet = if is_flapping { FLAP_QUIET } else { 0 };
                let hold = settings.flap_hold.max(quiet);
                if hold > 0 {
                    self.held += 1;
                    let life = self.lives.get_mut(place)?;
                    life.phase = Phase::Held;
                    self.wait(place, Some(later(at, hold)));
                    return None;
                }
                let life = self.lives.remove(place)?;
                Some(resolved(life.alert, Some(at)))
            }
            Phase::Pending | Phase::Firing | Phase::Held => None,
        }
    }

    /// A group that was not active.
    fn begin(
        &mut self,
        settings: &LifeSettings,
        judgement: Judgement<'_>,
        place: &[u8],
    ) -> Option<Alert> {
        if !judgement.when {
            return None;
        }
        if self.lives.len() >= ACTIVE_MAX {
            self.refused += 1;
            return None;
        }
        let (rule, at) = (judgement.rule, judgement.at);
        let life = Life {
            rule,
            phase: Phase::Pending,
            alert: alert(settings, judgement),
            until: None,
            ceased: None,
            sampled: at.second(),
        };
        self.lives.insert(place, life);
        self.wait(place, Some(later(at, settings.for_.max(0))));
        if settings.for_ > 0 {
            return None;
        }
        self.ripe(place, at)
    }

    /// Sets when a life's waiting ends.
    fn wait(&mut self, place: &[u8], until: Option<Time>) {
        let Some(life) = self.lives.get_mut(place) else {
            return;
        };
        if let Some(before) = life.until.take() {
            self.due.remove(&(before, ByteBuf::from(place)));
        }
        life.until = until;
        if let Some(until) = until {
            self.due.insert((until, ByteBuf::from(place)));
        }
    }

    /// Puts down that a group changed; tells whether it flaps.
    fn flip(&mut self, place: &[u8], at: Time) -> bool {
        if !self.flips.contains(place) {
            // One search in some minutes, so that a flood of groups does not search for each.
            let searched = later(self.searched.unwrap_or(Time(i64::MIN)), FLAP_QUIET);
            if self.flips.len() == FLIPPING_MAX && at >= searched {
                self.searched = Some(at);
                let is_kept =
                    |times: &VecDeque<Time>| times.back().is_some_and(|last| is_recent(*last, at));
                self.flips.retain(|_, times| is_kept(times));
            }
            if self.flips.len() == FLIPPING_MAX {
                return false;
            }
            self.flips.insert(place, VecDeque::new());
        }
        let times = self.flips.get_mut(place).expect("it was just added");
        while times.front().is_some_and(|first| !is_recent(*first, at)) || times.len() > FLIPS_MAX {
            times.pop_front();
        }
        times.push_back(at);
        times.len() > FLIPS_MAX
    }

    /// What has become due by `now`: pending alerts that fire, held ones that are resolved. In the
    /// order of their times.
    pub fn tick(&mut self, now: Time) -> Vec<(u32, Alert)> {
        let mut told = Vec::new();
        while let Some((until, _)) = self.due.first() {
            if *until > now {
                break;
            }
            let (at, place) = self.due.pop_first().expect("the queue has a first");
            if let Some(alert) = self.end_of_waiting(&place, at) {
                told.push((rule_of(&place), alert));
            }
        }
        told
    }

    /// The clock was set back by so many nanoseconds: waits last as long as they would have.
    pub fn go_back(&mut self, back: i64) {
        let earlier = |time: Time| Time(time.0.saturating_sub(back));
        for life in self.lives.values_mut() {
            life.until = life.until.map(earlier);
            life.ceased = life.ceased.map(earlier);
        }
        let due = take(&mut self.due).into_iter();
        self.due = due.map(|(at, place)| (earlier(at), place)).collect();
        for times in self.flips.values_mut() {
            times.iter_mut().for_each(|time| *time = earlier(*time));
        }
        self.searched = self.searched.map(earlier);
    }

    /// When [`Lives::tick`] has something to tell.
    pub fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(until, _)| *until)
    }

    /// All that have not ended, by rule and key.
    pub fn active(&self) -> Vec<Active<'_>> {
        let lives = self.lives.sorted().into_iter();
        lives
            .map(|(place, life)| Active {
                rule: life.rule,
                key: &place[4..],
                phase: life.phase,
                alert: &life.alert,
            })
            .collect()
    }

    /// Whether an alert of this group was told and has not ended.
    pub fn is_firing(&self, rule: u32, key: &[u8]) -> bool {
        let life = self.lives.get(&place(rule, key));
        life.is_some_and(|life| life.phase != Phase::Pending)
    }

    /// Whether this group is pending or firing.
    pub fn is_active(&self, rule: u32, key: &[u8]) -> bool {
        self.lives.contains(&place(rule, key))
    }

    pub fn len(&self) -> usize {
        self.lives.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }

    /// How often an alert could not begin because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How often an alert whose condition had ceased was held back.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Gives the rules their places in a new configuration. Alerts of rules that have none end at
    /// `now`; those that were told are returned with their old places.
    pub fn renumber(&mut self, places: &BTreeMap<u32, u32>, now: Time) -> Vec<(u32, Alert)> {
        let old = take(&mut self.lives);
        self.due.clear();
        let mut ended = Vec::new();
        for (old_place, mut life) in old.into_sorted() {
            let Some(rule) = places.get(&life.rule) else {
                if life.phase != Phase::Pending {
                    let ceased = life.ceased.unwrap_or(now.max(life.alert.starts_at));
                    ended.push((life.rule, resolved(life.alert, Some(ceased))));
                }
                continue;
            };
            let place = place(*rule, &old_place[4..]);
            life.rule = *rule;
            if let Some(until) = life.until {
                self.due.insert((until, ByteBuf::from(&place[..])));
            }
            self.lives.insert(&place, life);
        }
        for (old_place, times) in take(&mut self.flips).into_sorted() {
            if let Some(rule) = places.get(&rule_of(&old_place)) {
                self.flips.insert(&place(*rule, &old_place[4..]), times);
            }
        }
        ended
    }
}

/// What a line is like: its words without those that hold a digit.
fn shape(line: &str) -> u64 {
    let has_digit = |word: &&str| word.bytes().any(|byte| byte.is_ascii_digit());
    let words = line.split_ascii_whitespace();
    let words = words.map(|word| if has_digit(&word) { "#" } else { word });
    words.fold(0, |hash, word| {
        xxh64(word.as_bytes()) ^ u64::rotate_left(hash, 5).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// The oldest sample that another one is like.
fn alike(samples: &[SampleLine]) -> Option<usize> {
    let shapes: Vec<u64> = samples.iter().map(|sample| shape(&sample.line)).collect();
    let is_twice = |at: &usize| shapes[at + 1..].contains(&shapes[*at]);
    (0..shapes.len()).find(is_twice)
}

fn is_recent(time: Time, now: Time) -> bool {
    later(time, FLAP_WINDOW) > now
}

fn resolved(mut alert: Alert, ceased: Option<Time>) -> Alert {
    alert.status = Status::Resolved;
    alert.ends_at = Some(ceased.unwrap_or(alert.starts_at).max(alert.starts_at));
    alert
}

/// A new alert.
fn alert(settings: &LifeSettings, judgement: Judgement<'_>) -> Alert {
    let labels = labels(settings, judgement.key);
    Alert {
        id: id(&settings.name, &labels, judgement.at),
        rule: settings.name.clone(),
        status: Status::Firing,
        labels,
        summary: judgement.summary,
        value: judgement.value,
        starts_at: judgement.at,
        ends_at: None,
        evidence: judgement.evidence,
    }
}

/// `alertname`, `severity` and the fields of `by`, sorted by name. A field that has one of the two
/// names becomes `exported_alertname` or `exported_severity`, as Prometheus has it.
pub fn labels(settings: &LifeSettings, encoded: &[u8]) -> Vec<(String, String)> {
    let mut labels = vec![
        ("alertname".to_owned(), cut(&settings.name)),
        ("severity".to_owned(), cut(&settings.severity)),
    ];
    for (name, value) in settings.by.iter().zip(key::values(encoded)) {
        let name = match name.as_str() {
            "alertname" | "severity" => format!("exported_{name}"),
            name => name.to_owned(),
        };
        labels.push((name, cut(&String::from_utf8_lossy(value))));
    }
    labels.sort();
    labels.dedup_by(|later, first| later.0 == first.0);
    labels
}

/// At most [`LABEL_BYTES_MAX`] bytes of a text, whole characters.
fn cut(text: &str) -> String {
    let mut end = text.len().min(LABEL_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// The id of an alert: XXH64 of rule, labels and start, each led by its length, as 16 hexadecimal digits.
pub fn id(rule: &str, labels: &[(String, String)], starts_at: Time) -> String {
    let mut bytes = Vec::new();
    key::push(&mut bytes, rule.as_bytes());
    for (name, value) in labels {
        key::push(&mut bytes, name.as_bytes());
        key::push(&mut bytes, value.as_bytes());
    }
    key::push(&mut bytes, &starts_at.0.to_le_bytes());
    format!("{:016x}", xxh64(&bytes))
}

#[cfg(test)]
mod tests;
