//! Rules: what is observed of the records moves states, sets and windows; when a rule holds, its
//! alerts live, are grouped and become notifications. Owned by the fold; no clock, no I/O: everything
//! up to the notifications that wait is a function of what is handed in.

mod ages;
pub mod baseline;
mod cells;
mod evidence;
pub mod fresh;
pub mod intervals;
mod judge;
pub mod life;
pub mod mask;
pub mod moment;
pub mod part;
mod passed;
mod past;
mod replay;
pub mod routing;
pub mod rule;
pub mod saved;
pub mod summary;
mod unreached;
pub mod watched;
pub mod windows;

use std::collections::{BTreeMap, VecDeque};
use std::mem::take;

use crate::flow::alert::{Alert, Evidence, Notification, SampleLine, Status};
use crate::flow::batch::SourceId;
use crate::flow::observed::{Line, Number, Observed, Run};
use crate::flow::span::Span;
use crate::flow::time::Time;
use crate::rules::judge::{Bench, Sighting, Watch};
use crate::rules::life::{Judgement, LifeSettings, Lives, Phase};
use crate::rules::mask::Mask;
use crate::rules::moment::{Future, Moment, Reads, Spoken, Turn};
use crate::rules::part::{Part, Sorted};
use crate::rules::passed::Passed;
use crate::rules::routing::quiet::Mutes;
use crate::rules::routing::{RouteSettings, Router, Silence};
use crate::rules::rule::Rule;
use crate::rules::summary::Summarise;
use crate::rules::watched::{SetPlan, StatePlan};
use crate::state::counts::Budget;
use crate::state::keyed::{Keyed, Kind};
use crate::state::sets::Sets;

/// What rules share while they judge: parts of [`Rules`] beside the rules themselves.
macro_rules! bench {
    ($rules:ident) => {
        Bench {
            states: &$rules.states,
            ups: &$rules.ups,
            lives: &mut $rules.lives,
            budget: &mut $rules.budget,
            told: &mut $rules.told,
            passed: &mut $rules.passed,
            mask: &$rules.mask,
            summarise: $rules.plan.summarise,
            started: $rules.moment.started,
        }
    };
}

/// Everything that rules are made of, checked.
#[derive(Clone, Debug, Default)]
pub struct RulesPlan {
    pub rules: Vec<Rule>,
    pub states: Vec<StatePlan>,
    pub sets: Vec<SetPlan>,
    pub notifiers: Vec<RouteSettings>,
    pub silences: Vec<Silence>,
    /// What else keeps alerts quiet.
    pub mutes: Mutes,
    /// Nanoseconds that a record may come behind the newest one of its source.
    pub lateness: i64,
    /// Whether time passes with the clock, or with the records alone.
    pub live: bool,
    /// The clock is one of event time: it stands still between records and does not jump.
    pub is_replay: bool,
    /// Makes the summary of an alert whose rule has a template.
    pub summarise: Option<Summarise>,
    /// What is a secret in evidence beyond what is known to be one.
    pub mask: Option<Mask>,
}

/// Where a batch came from.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    pub source: SourceId,
    /// Of the batch in its source, in bytes.
    pub position: u64,
    /// Wall-clock time at which the batch was read; of a source that is read to its end perhaps the
    /// time of its last change, for records without a time. A time more than [`FUTURE`] later is
    /// not believed.
    pub arrival: Option<Time>,
    /// Name of the source.
    pub name: &'a str,
}

/// A time that is so much later than its arrival, in nanoseconds, is not believed.
pub const FUTURE: i64 = 3600 * Time::SECOND;

/// A clock that is behind by no more than this, in nanoseconds, is believed; of a state that expects its
/// keys, by no more than an eighth of that span.
const SLACK: i64 = 60 * Time::SECOND;

/// Bytes that all windows of all rules may take.
pub const WINDOW_BYTES_MAX: usize = 24 << 20;

/// Alerts that wait to be taken by [`Rules::take_alerts`]; past this the oldest go.
pub const ALERTS_MAX: usize = 10_000;

/// All rules with everything they know.
#[derive(Debug)]
pub struct Rules {
    plan: RulesPlan,
    mask: Mask,
    /// By input: who looks at it.
    targets: Vec<Vec<Target>>,
    /// By state: the rules that look at it.
    lookers: Vec<Vec<usize>>,
    watches: Vec<Watch>,
    states: Vec<Keyed>,
    sets: Vec<Sets>,
    lives: Lives,
    router: Router,
    moment: Moment,
    budget: Budget,
    passed: Passed,
    /// Alerts that began or ended and were not handed on, with the places of their rules.
    told: Vec<(u32, Alert)>,
    alerts: VecDeque<Alert>,
    went_back: bool,
    /// Whether sources are read, by name.
    ups: BTreeMap<String, bool>,
    /// What alerts of the batch at hand show besides its records.
    before: Vec<SampleLine>,
    /// Scratch.
    sorted: Sorted,
    /// By input, since the start of the process.
    met: Vec<Met>,
}

/// Records that an input was shown.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    /// Those that met its condition, those of them that lacked a field of its grouping, and those of the
    /// rest that lacked what is observed.
    met: u64,
    ungrouped: u64,
    unvalued: u64,
}

/// Who looks at an input.
#[derive(Clone, Copy, Debug)]
enum Target {
    State(usize),
    Set(usize),
    /// A part of a rule.
    Part(usize, usize),
    /// A rule about new messages.
    New(usize),
}

/// What a state can make alerts of by itself.
fn built_in(states: &[StatePlan]) -> impl Iterator<Item = (usize, Kind)> {
    (0..states.len()).flat_map(|state| Kind::ALL.into_iter().map(move |kind| (state, kind)))
}

impl Rules {
    /// Rules that know nothing yet.
    pub fn new(plan: RulesPlan) -> Rules {
        let mut targets = Vec::new();
        let mut add = |input: u16, target: Target| {
            let input = usize::from(input);
            if targets.len() <= input {
                targets.resize_with(input + 1, Vec::new);
            }
            targets[input].push(target);
        };
        for (place, state) in plan.states.iter().enumerate() {
            add(state.input, Target::State(place));
        }
        for (place, set) in plan.sets.iter().enumerate() {
            add(set.input, Target::Set(place));
        }
        for (place, rule) in plan.rules.iter().enumerate() {
            for (part, input) in rule.parts.iter().enumerate() {
                add(input.input, Target::Part(place, part));
            }
            if let Some(new) = &rule.new {
                add(new.input, Target::New(place));
            }
        }
        let mut lookers = vec![Vec::new(); plan.states.len()];
        for (place, rule) in plan.rules.iter().enumerate() {
            for state in rule.states() {
                lookers[state].push(place);
            }
        }
        Rules {
            lookers,
            mask: plan
                .mask
                .clone()
                .unwrap_or_else(|| Mask::new(&[]).expect("no patterns are no mistake")),
            targets,
            watches: plan.rules.iter().map(Watch::new).collect(),
            states: plan
                .states
                .iter()
                .map(|state| Keyed::new(state.settings.clone()))
                .collect(),
            sets: plan
                .sets
                .iter()
                .map(|set| Sets::new(set.settings.clone()))
                .collect(),
            lives: Lives::default(),
            router: Router::new(
                plan.notifiers.clone(),
                plan.silences.clone(),
                plan.mutes.clone(),
            ),
            moment: Moment::default(),
            budget: Budget {
                used: 0,
                limit: WINDOW_BYTES_MAX,
            },
            passed: Passed::default(),
            told: Vec::new(),
            alerts: VecDeque::new(),
            went_back: false,
            ups: BTreeMap::new(),
            before: Vec::new(),
            sorted: Sorted::default(),
            met: Vec::new(),
            plan,
        }
    }

    /// Takes in what was observed of one batch. Batches of one source come in their order.
    pub fn absorb(&mut self, observed: &Observed, from: &From) {
        let mut sorted = take(&mut self.sorted);
        sorted.fill(observed);
        self.count(observed);
        let all = Part {
            runs: 0..observed.runs.len(),
            advances: 0..observed.advances.len(),
        };
        self.absorb_part(observed, &sorted, all, from);
        self.sorted = sorted;
    }

    /// Takes in a part of what was observed of one batch; the parts come in their order.
    pub fn absorb_part(&mut self, observed: &Observed, sorted: &Sorted, part: Part, from: &From) {
        if let Some(arrival) = from.arrival.filter(|_| self.plan.live) {
            self.turn(arrival);
        }
        self.keep_before(observed);
        let timed = !observed.advances.is_empty();
        if let Some(second) = self.moment.arrive(from, timed, self.plan.live) {
            self.move_on(from, second, Spoken::ByArrival);
        }
        let mut advances = observed.advances[part.advances].iter().peekable();
        let before = observed
            .lines
            .partition_point(|line| (line.run as usize) < part.runs.start);
        let mut lines = &observed.lines[before..];
        for place in part.runs {
            let run = &observed.runs[place];
            while let Some(advance) = advances.next_if(|advance| advance.ordinal <= run.ordinal) {
                self.move_on(from, advance.second, Spoken::ByRecord);
            }
            let of_run = lines.partition_point(|line| line.run as usize <= place);
            let (own, rest) = lines.split_at(of_run);
            lines = rest;
            self.take(observed, run, sorted.of(place), own, from);
        }
        for advance in advances {
            self.move_on(from, advance.second, Spoken::ByRecord);
        }
        self.before.clear();
    }

    /// Counts what was shown to each input, and what came to nothing for want of a field.
    pub fn count(&mut self, observed: &Observed) {
        for met in &observed.met {
            let place = usize::from(met.input);
            if self.met.len() <= place {
                self.met.resize(place + 1, Met::default());
            }
            let sum = &mut self.met[place];
            sum.met += u64::from(met.met);
            sum.ungrouped += u64::from(met.ungrouped);
            sum.unvalued += u64::from(met.unvalued);
        }
    }

    /// A record of `from` is the first of a later second.
    fn move_on(&mut self, from: &From, second: i64, spoken: Spoken) {
        let (lateness, live) = (self.plan.lateness, self.plan.live);
        match self.moment.advance(from, second, spoken, lateness, live) {
            Ok(()) => self.look(),
            Err(Future) => self.passed.future += 1,
        }
    }

    /// Looks at what has become due by the moment.
    fn look(&mut self) {
        self.look_at(None);
    }

    /// The same with states as of `moment`, if that is later than the second that they are at.
    fn look_at(&mut self, moment: Option<Time>) {
        if let Some(begin) = self.moment.started {
            let begin = Time::from_parts(begin, 0).unwrap_or(Time(0));
            self.states.iter_mut().for_each(|state| state.begin(begin));
        }
        if let Some(second) = self.moment.states {
            let at = Time::from_parts(second, 0).unwrap_or(Time(0));
            let at = at.max(moment.unwrap_or(at));
            for state in 0..self.states.len() {
                self.conditions(state, at);
            }
        }
        let mut bench = bench!(self);
        for (place, (rule, watch)) in self.plan.rules.iter().zip(&mut self.watches).enumerate() {
            let second = if rule.parts.is_empty() && rule.new.is_none() {
                self.moment.states
            } else {
                self.moment.watermark
            };
            if let Some(second) = second {
                watch.move_on(rule, place as u32, second, &mut bench);
            }
        }
        if let Some(watermark) = self.watermark() {
            self.told.extend(self.lives.tick(watermark));
        }
        self.tell();
        if let Some(now) = self.now() {
            self.refresh(now);
            self.router.tick(now);
        }
    }

    /// Hands on what began and ended.
    fn tell(&mut self) {
        if self.told.is_empty() {
            return;
        }
        let now = self.now().unwrap_or(Time(0));
        self.refresh(now);
        // First those that inhibit others, so that it does not matter which began a moment earlier.
        for (_, alert) in &self.told {
            self.router.announce(alert, now);
        }
        for (place, mut alert) in take(&mut self.told) {
            if alert.status == Status::Firing {
                alert.evidence.come_after(&self.before);
            }
            let place = place as usize;
            let rules = self.plan.rules.len();
            let notify = match place.checked_sub(rules) {
                None => &self.plan.rules[place].notify,
                Some(built_in) => &self.plan.states[built_in / Kind::ALL.len()].notify,
            };
            if self.alerts.len() == ALERTS_MAX {
                self.alerts.pop_front();
            }
            self.alerts.push_back(alert.clone());
            self.router.take(alert, notify, now);
        }
    }

    /// Judges what began or ceased to be wrong with the keys of a state up to `at`.
    fn conditions(&mut self, state: usize, at: Time) {
        if self.states[state].is_quiet(at) {
            return;
        }
        for condition in self.states[state].conditions(at) {
            for &place in &self.lookers[state] {
                let rule = &self.plan.rules[place];
                if rule.is_timed() {
                    self.watches[place].expect(rule, condition.at);
                }
            }
            let plan = &self.plan.states[state];
            if plan.notify.is_empty() {
                continue;
            }
            let kinds = built_in(&self.plan.states);
            let place = kinds
                .into_iter()
                .position(|built_in| built_in == (state, condition.kind))
                .expect("every state has every kind");
            let settings = LifeSettings {
                name: format!("{}.{}", plan.settings.name, condition.kind.name()),
                severity: plan.severity.clone(),
                by: plan.settings.key.clone(),
                for_: 0,
                flap_hold: 0,
            };
            let mut evidence = Evidence {
                count: u64::from(condition.sample.is_some()),
                samples: condition.sample.into_iter().collect(),
                ..Evidence::default()
            };
            self.mask.evidence(&mut evidence);
            let place = (self.plan.rules.len() + place) as u32;
            let judgement = Judgement {
                rule: place,
                key: &condition.key,
                when: condition.holds,
                clear: !condition.holds,
                at: condition.at,
                value: None,
                summary: condition.summary,
                evidence,
            };
            let told = self.lives.judge(&settings, judgement);
            self.told
                .extend(told.into_iter().map(|alert| (place, alert)));
        }
    }

    /// Shows one run to everybody who looks at its input.
    fn take(
        &mut self,
        observed: &Observed,
        run: &Run,
        numbers: &[Number],
        lines: &[Line],
        from: &From,
    ) {
        let Some(targets) = self.targets.get(usize::from(run.input)) else {
            return;
        };
        let arrival = from.arrival.filter(|_| self.plan.live);
        let is_future =
            |time: &Time| arrival.is_some_and(|at| time.0 > at.0.saturating_add(FUTURE));
        if run.time.as_ref().is_some_and(is_future) {
            self.passed.future += run.count;
        }
        // A clock that runs ahead says nothing better than the arrival.
        let is_replay = self.plan.is_replay;
        let came = arrival.and_then(|arrival| match is_replay {
            true => Time::from_parts(arrival.second(), 0),
            false => Some(arrival),
        });
        let believed = |time: Time| match arrival {
            Some(arrival) if time > arrival => came.unwrap_or(arrival),
            _ => time,
        };
        let time = run.time.map(believed);
        let second = match time {
            Some(time) => time.second(),
            None => self.moment.second_of(from),
        };
        if run.time.is_none() {
            self.passed.no_time += run.count;
        }
        let set = |sample: &mut SampleLine, span: Span| {
            let offset = from.position + u64::from(span.start);
            sample.set(from.name, offset, span.of(&observed.content));
        };
        let into = |sample: &mut SampleLine| set(sample, run.sample);
        let line = |number: usize| {
            let mut sample = SampleLine::default();
            let later = number.checked_sub(1).and_then(|later| lines.get(later));
            set(&mut sample, later.map_or(run.sample, |line| line.sample));
            sample
        };
        let sample = || line(0);
        let seen = Sighting {
            key: run.key.of(&observed.bytes),
            second,
            count: run.count,
            text: run.text.of(&observed.bytes),
            numbers,
            sample: &sample,
            line: &line,
            lines: 1 + lines.len(),
        };
        for number in 0..targets.len() {
            match self.targets[usize::from(run.input)][number] {
                Target::Set(set) => self.sets[set].absorb(seen.key, seen.text, run.count),
                Target::State(state) => {
                    let heard = arrival.and_then(|arrival| {
                        let written = self.written(state, run.time, arrival);
                        if written == arrival {
                            came
                        } else {
                            Some(written)
                        }
                    });
                    let first = time.or(came);
                    let newest = run.newest.map(believed).or(came);
                    let is_change = self.states[state].absorb_heard(
                        seen.key,
                        seen.text,
                        [first, newest, heard.or(time)],
                        run.count,
                        &into,
                    );
                    let at = first.unwrap_or(Time::from_parts(second, 0).unwrap_or(Time(0)));
                    // What a late record says may be overdue when it comes.
                    let moment = self.moment.states;
                    let moment = moment.and_then(|second| Time::from_parts(second, 0));
                    self.conditions(state, at.max(moment.unwrap_or(at)));
                    let mut bench = bench!(self);
                    for &place in &self.lookers[state] {
                        let rule = &self.plan.rules[place];
                        let watch = &mut self.watches[place];
                        watch.value(rule, place as u32, state, &seen, at, is_change, &mut bench);
                    }
                }
                Target::Part(place, part) => {
                    let mut bench = bench!(self);
                    let rule = &self.plan.rules[place];
                    self.watches[place].observe(rule, place as u32, part, &seen, &mut bench);
                }
                Target::New(place) => {
                    let mut bench = bench!(self);
                    let rule = &self.plan.rules[place];
                    let watch = &mut self.watches[place];
                    let time = time.or(came);
                    watch.message(rule, place as u32, &seen, run.fingerprint, time, &mut bench);
                }
            }
        }
        self.tell();
    }

    /// When a record was written that came at `arrival`: after all that was taken in before. Its own time
    /// says it more exactly, if that is possible or nearly so.
    fn written(&self, state: usize, said: Option<Time>, arrival: Time) -> Time {
        let Some(said) = said else { return arrival };
        let before = self.moment.complete.unwrap_or(Time(i64::MIN)).min(arrival);
        let within = self.states[state].settings().expect_within;
        let slack = within.map_or(SLACK, |within| (within / 8).min(SLACK));
        if said.0 >= before.0.saturating_sub(slack) {
            said.min(arrival)
        } else {
            before
        }
    }

    /// Says how far reading has come, and how many sources are known. Of a live run, before a batch is taken
    /// in and before a tick.
    pub fn reading(&mut self, reads: Reads, inputs: usize) {
        (self.moment.reads, self.moment.inputs) = (reads, inputs);
    }

    /// Whether the source of this name is read, as of `now`.
    pub fn set_up(&mut self, name: &str, up: bool, now: Time) {
        if self.ups.get(name) == Some(&up) {
            return;
        }
        self.ups.insert(name.to_owned(), up);
        let mut bench = bench!(self);
        for (place, (rule, watch)) in self.plan.rules.iter().zip(&mut self.watches).enumerate() {
            if rule.ups().any(|looked| looked == name) {
                watch.source(rule, place as u32, now, &mut bench);
            }
        }
        self.tell();
    }

    /// Time has passed: `now` is wall-clock time. Only for live rules.
    pub fn tick(&mut self, now: Time) {
        self.turn(now);
        self.moment.tick(now, self.plan.lateness);
        // A run ticks within the second in which a limit passes, a replay at that moment.
        self.look_at(self.plan.is_replay.then_some(now));
    }

    /// The wall clock of a live run is about to become `now`. After a pause what was to be repeated in
    /// between is told once. When the clock was set back, everything that waits for a moment or is
    /// counted up to one goes back with it, as if the clock had always been right.
    fn turn(&mut self, now: Time) {
        if self.plan.is_replay {
            return;
        }
        match self.moment.turn(now) {
            Turn::On => {}
            Turn::Ahead(before) => {
                let pause = now.0.saturating_sub(before.0);
                for (rule, watch) in self.plan.rules.iter().zip(&mut self.watches) {
                    watch.pause(rule, before, pause);
                }
                self.router.wake(now);
            }
            Turn::Back(before) => {
                let back = before.0.saturating_sub(now.0);
                for (rule, watch) in self.plan.rules.iter().zip(&mut self.watches) {
                    watch.go_back(rule, before, back);
                }
                let states = self.states.iter_mut();
                states.for_each(|state| state.go_back(now, back));
                self.lives.go_back(back);
                self.router.go_back(back);
                self.moment.go_back(now, back, self.plan.lateness);
                self.went_back = true;
            }
        }
    }

    /// The latest time of a record of a live run that is believed, if it came at `arrival`.
    pub fn latest(&self, arrival: Time) -> Option<Time> {
        let latest = Time(arrival.0.saturating_add(FUTURE));
        self.plan.live.then_some(latest)
    }

    /// Whether the wall clock was set back since the last call.
    pub fn went_back(&mut self) -> bool {
        take(&mut self.went_back)
    }

    /// The inputs have ended: everything is looked at once more, and what waits to be told is told.
    /// `now` is wall-clock time for live rules; the others take their newest event time. Not for rules
    /// that go on after a restart.
    pub fn finish(&mut self, now: Option<Time>) {
        self.moment.finish(now);
        self.states.iter_mut().for_each(Keyed::finish);
        self.look();
        // A step that has begun is looked at as if it were over.
        let newest = self.moment.watermark.unwrap_or(0);
        let mut bench = bench!(self);
        for (place, (rule, watch)) in self.plan.rules.iter().zip(&mut self.watches).enumerate() {
            let end = rule.cut.end(rule.cut.bucket(newest));
            watch.move_on(rule, place as u32, newest, &mut bench);
            if rule.is_timed() {
                watch.expect(rule, Time::from_parts(newest, 0).unwrap_or(Time(0)));
            }
            watch.move_on(rule, place as u32, end, &mut bench);
        }
        self.look();
        let now = self.now().unwrap_or(Time(0));
        let wait = |route: &RouteSettings| route.group_wait.max(route.group_interval);
        let wait = self.plan.notifiers.iter().map(wait).max().unwrap_or(0);
        self.refresh(Time(now.0.saturating_add(wait)));
        self.router.tick(Time(now.0.saturating_add(wait)));
    }

    /// When [`Rules::tick`] is next needed, in wall-clock time.
    pub fn next_due(&self) -> Option<Time> {
        // Before the first record too: silence begins with the run.
        let next = |now: Time| Time(now.0.saturating_add(Time::SECOND));
        let tick = (self.plan.live && !self.is_idle()).then(|| self.now().map_or(Time(0), next));
        self.router.next_due().into_iter().chain(tick).min()
    }

    /// Whether nothing here changes with time alone.
    fn is_idle(&self) -> bool {
        self.plan.rules.is_empty() && self.plan.states.is_empty()
    }

    /// Notifications that were made since the last call. They stay among the undelivered ones until
    /// they are acknowledged.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        self.router.take_notifications()
    }

    /// Alerts that began or ended since the last call, in the order in which that was found.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        self.alerts.drain(..).collect()
    }

    /// Silences that were made by hand, all that there are.
    pub fn silence(&mut self, silences: Vec<Silence>) {
        let now = self.now().unwrap_or(Time(0));
        self.router.silence(silences, now);
    }

    /// The notification of this number is delivered, or given up.
    pub fn acknowledge(&mut self, number: u64) {
        self.router.acknowledge(number);
    }

    /// Notifications that were not acknowledged, by number: after a restart they are sent again.
    pub fn undelivered(&self) -> impl Iterator<Item = &Notification> {
        self.router.undelivered()
    }

    /// In the order of the plan.
    pub fn states(&self) -> &[Keyed] {
        &self.states
    }

    /// In the order of the plan.
    pub fn sets(&self) -> &[Sets] {
        &self.sets
    }

    /// Alerts that are firing.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        let active = self.lives.active().into_iter();
        let firing = active.filter(|active| active.phase != Phase::Pending);
        firing.map(|active| active.alert)
    }

    /// Up to where windows of event time are closed.
    pub fn watermark(&self) -> Option<Time> {
        self.moment
            .watermark
            .and_then(|second| Time::from_parts(second, 0))
    }

    /// The moment that rules are at: wall-clock time if they are live, else the newest event time.
    pub fn now(&self) -> Option<Time> {
        let now = self.moment.now?;
        match self.plan.is_replay {
            // What a record does is told in its second.
            true => Time::from_parts(now.second(), 0),
            false => Some(now),
        }
    }

    /// Names of what a limit has made approximate.
    pub fn approximate(&self) -> Vec<String> {
        let rules = self.plan.rules.iter().zip(&self.watches);
        let rules = rules.filter(|(_, watch)| watch.is_approximate || watch.unknown() > 0);
        let rules = rules.map(|(rule, _)| format!("rule {}", rule.life.name));
        let states = self.plan.states.iter().zip(&self.states);
        let states = states.filter(|(_, state)| state.is_approximate());
        let states = states.map(|(plan, _)| format!("state {}", plan.settings.name));
        let sets = self.plan.sets.iter().zip(&self.sets);
        let sets = sets.filter(|(_, set)| set.is_approximate());
        let sets = sets.map(|(plan, _)| format!("set {}", plan.settings.name));
        let alerts = (self.lives.refused() > 0).then(|| "alerts".to_owned());
        rules.chain(states).chain(sets).chain(alerts).collect()
    }

    /// What was passed by, for `weir_` metrics and reports.
    pub fn passed(&self) -> Passed {
        Passed {
            unknown: self.watches.iter().map(Watch::unknown).sum(),
            refused: self.lives.refused(),
            ..self.passed
        }
    }

    /// What became of alerts and notifications.
    pub fn counts(&self) -> routing::Counts {
        self.router.counts()
    }
}

#[cfg(test)]
mod tests;
