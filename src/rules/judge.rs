//! When a rule holds: the windows of its groups, what each step says, and the judgement, with the
//! record that changes a count or a state and at the borders of steps that the watermark has passed.
//! Everything in here is a function of the runs in record order, however they were cut (law 1).

use std::collections::BTreeMap;
use std::mem::take;

use serde::{Deserialize, Serialize};

use crate::flow::alert::{Alert, Evidence, SampleLine};
use crate::flow::fingerprint::{Fingerprint, xxh64};
use crate::flow::key;
use crate::flow::observed::{Number, Observed};
use crate::flow::time::Time;
use crate::rules::ages::{ages, next_age};
use crate::rules::fresh::Fresh;
use crate::rules::life::{Judgement, Lives, Noted};
use crate::rules::mask::Mask;
use crate::rules::passed::Passed;
use crate::rules::past::Past;
use crate::rules::rule::{PartKind, Resolved, Rule, Source, What};
use crate::rules::summary::{Holds, Said, Summarise, summary};
use crate::rules::windows::{Cut, Refused, Window};
use crate::state::counts::Budget;
use crate::state::keyed::Keyed;
use crate::state::table::Table;

/// Groups of one rule. Records of further ones are counted as overflow until some have left.
pub const GROUPS_MAX: usize = 10_000;

/// Steps that are looked at one by one within one pause, for a rule that calculates with ages: each
/// step may change what it finds. In a longer pause so many of them are looked at, evenly spread.
const STEPS_MAX: i64 = 1000;

/// What a group takes beside its windows.
const GROUP_BYTES: usize = 256;

/// What rules share while they judge.
pub(super) struct Bench<'a> {
    pub states: &'a [Keyed],
    /// Whether sources are read, by name.
    pub ups: &'a BTreeMap<String, bool>,
    pub lives: &'a mut Lives,
    pub budget: &'a mut Budget,
    /// Alerts that began or ended, with the places of their rules.
    pub told: &'a mut Vec<(u32, Alert)>,
    pub passed: &'a mut Passed,
    pub mask: &'a Mask,
    pub summarise: Option<Summarise>,
    /// The first second of the run.
    pub started: Option<i64>,
}

/// A run as one rule sees it.
#[derive(Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub key: &'a [u8],
    /// Event time of the first record, in whole seconds.
    pub second: i64,
    pub count: u64,
    pub text: &'a [u8],
    pub numbers: &'a [Number],
    pub sample: &'a dyn Fn() -> SampleLine,
    /// The line of one of the first records of the run.
    pub line: &'a dyn Fn(usize) -> SampleLine,
    /// How many of them there are.
    pub lines: usize,
}

/// What one rule knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Watch {
    groups: Table<Group>,
    /// Nothing changes at the ends of buckets before this one.
    next: Option<i64>,
    /// The last bucket whose end was passed.
    passed: Option<i64>,
    fresh: Fresh,
    /// Every group is to be looked at with the next step.
    all: bool,
    /// Something found no room.
    pub is_approximate: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    /// By part of the rule.
    windows: Vec<Window>,
    /// By step of the rule, as of the last one.
    steps: Vec<Option<f64>>,
    /// When what was found last changed: judgements of a group come in the order of their times, also
    /// where records do not. Looking again without finding anything else leaves no trace.
    judged: Option<Time>,
    /// What was found then.
    when: bool,
    clear: bool,
    /// Of a message that was new: the bucket it came in.
    new: Option<i64>,
    /// A second, and how many of its records came so far: which lines an alert keeps does not depend on how
    /// the input is cut.
    #[serde(default)]
    second: (i64, u64),
    /// By part of the rule, if it is asked what was before.
    #[serde(default)]
    past: Vec<Past>,
}

impl Group {
    fn new(rule: &Rule, passed: Option<i64>, budget: &mut Budget) -> Group {
        let mut window = Window::new();
        if let Some(passed) = passed {
            window.advance(rule.cut, passed, budget);
        }
        Group {
            windows: vec![window; rule.parts.len()],
            steps: vec![None; rule.steps.len()],
            judged: None,
            when: false,
            clear: true,
            new: None,
            second: (0, 0),
            past: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.new.is_none()
            && self.windows.iter().all(Window::is_empty)
            && self.past.iter().all(Past::is_empty)
    }

    fn next_change(&self, cut: Cut) -> Option<i64> {
        let windows = self.windows.iter();
        let windows = windows.filter_map(|window| window.next_change(cut));
        let new = self.new.map(|bucket| bucket + cut.buckets);
        windows.chain(new).min()
    }
}

/// The steps that one advance of the watermark has passed.
#[derive(Clone, Copy)]
pub(super) struct Gap {
    /// How many steps are passed at once where each of them may change something.
    stride: i64,
    /// The last of them.
    end: i64,
}

impl Gap {
    /// The step to look at after `bucket`. The last one is always looked at.
    pub fn next(self, bucket: i64) -> i64 {
        (bucket + self.stride).min(self.end).max(bucket + 1)
    }
}

/// What one judgement looks at beside the group itself.
struct Look<'a> {
    at: Time,
    /// The records of a part that are counted, where not all of a run are.
    counted: Option<(usize, u64)>,
    /// Of the record that led to it.
    sample: Option<&'a dyn Fn() -> SampleLine>,
    message: Option<(Fingerprint, &'a [u8])>,
}

impl Watch {
    /// A rule that knows nothing yet.
    pub fn new(rule: &Rule) -> Watch {
        let mut watch = Watch::default();
        if rule.is_single {
            let group = Group::new(rule, None, &mut Budget::UNLIMITED.clone());
            watch.groups.insert(&[], group);
        }
        watch
    }

    /// Charges what it knows.
    pub fn charge(&self, budget: &mut Budget) {
        for (key, group) in self.groups.iter() {
            budget.charge(GROUP_BYTES + key.len());
            group
                .windows
                .iter()
                .for_each(|window| budget.charge(window.bytes()));
            group
                .past
                .iter()
                .for_each(|past| budget.charge(past.bytes()));
        }
    }

    /// Whether a group is known or finds room.
    #[inline(never)]
    fn admit(&mut self, rule: &Rule, key: &[u8], bench: &mut Bench) -> bool {
        if self.groups.contains(key) {
            return true;
        }
        let bytes = GROUP_BYTES + key.len();
        if self.groups.len() >= GROUPS_MAX || !bench.budget.has_room(bytes) {
            self.is_approximate = true;
            return false;
        }
        bench.budget.charge(bytes);
        let group = Group::new(rule, self.passed, bench.budget);
        self.groups.insert(key, group);
        true
    }

    fn wake(&mut self, bucket: Option<i64>) {
        sooner(&mut self.next, bucket);
    }

    /// Takes in a run of one part, and judges what it changes at once.
    pub fn observe(
        &mut self,
        rule: &Rule,
        place: u32,
        part: usize,
        seen: &Sighting,
        bench: &mut Bench,
    ) {
        let cut = rule.cut;
        let group = match self.groups.get_mut(seen.key) {
            Some(group) => group,
            None => {
                if !self.admit(rule, seen.key, bench) {
                    bench.passed.overflow += seen.count;
                    return;
                }
                self.groups.get_mut(seen.key).expect("it was admitted")
            }
        };
        if let Some(keeps) = rule.keeps(part) {
            group.past.resize_with(rule.parts.len(), Past::default);
            let (second, past) = (seen.second, &mut group.past[part]);
            let fits = past.add(second, seen.count, seen.numbers, keeps, bench.budget);
            self.is_approximate |= !fits;
        }
        let window = &mut group.windows[part];
        if let Some(passed) = self.passed {
            window.advance(cut, passed, bench.budget);
        }
        match window.records(cut, seen.second, seen.count, bench.budget, seen.sample) {
            Ok(()) => {}
            Err(Refused::Late) => {
                bench.passed.late += seen.count;
                return;
            }
            Err(Refused::Full) => {
                bench.passed.overflow += seen.count;
                self.is_approximate = true;
                return;
            }
        }
        match rule.parts[part].kind {
            PartKind::Records => {}
            PartKind::Numbers => {
                let taken = window.numbers(cut, seen.second, seen.numbers, bench.budget);
                self.is_approximate |= taken.is_err();
            }
            PartKind::Texts => {
                let taken = window.text(cut, seen.second, xxh64(seen.text), bench.budget);
                self.is_approximate |= taken.is_err();
            }
        }
        sooner(&mut self.next, window.next_change(cut));
        let shows = rule.shows(part);
        let Some(constants) = &rule.edges[part] else {
            if shows {
                keep(place, group, seen, seen.count, bench);
            }
            return;
        };
        if !window.is_in_front(cut, seen.second) {
            return;
        }
        let mut rest = seen.count;
        // A run is looked at wherever its records carry the count over a constant, so that an alert
        // begins with the record that did it; and at its first record, which may have moved the window
        // on, so that fewer are in it than before.
        let last = window.edge();
        let before = last.saturating_sub(seen.count);
        let first = last.min(before.saturating_add(1));
        let between = constants.iter().copied();
        let between = between.filter(|point| *point > first && *point < last);
        let points = std::iter::once(first).chain(between);
        let points = points.chain((last > first).then_some(last));
        let at = Time::from_parts(seen.second, 0).unwrap_or(Time(0));
        for point in points {
            let look = Look {
                at,
                counted: Some((part, point)),
                sample: Some(seen.sample),
                message: None,
            };
            let held = group.when;
            judge(rule, place, seen.key, group, &look, bench);
            if group.when && !held {
                // Its evidence has the records up to this one.
                rest = last - point;
            }
        }
        if shows {
            keep(place, group, seen, rest, bench);
        }
    }

    /// A key of a state that the rule looks at was seen; its value is another one than before if
    /// `is_change`.
    #[expect(clippy::too_many_arguments, reason = "a sighting, where and when")]
    pub fn value(
        &mut self,
        rule: &Rule,
        place: u32,
        state: usize,
        seen: &Sighting,
        time: Time,
        is_change: bool,
        bench: &mut Bench,
    ) {
        let group = match self.groups.get_mut(seen.key) {
            Some(group) => group,
            None => {
                if !self.admit(rule, seen.key, bench) {
                    bench.passed.overflow += seen.count;
                    return;
                }
                self.groups.get_mut(seen.key).expect("it was admitted")
            }
        };
        if let Some(constant) = ages(rule, state) {
            for at in [time, Time(time.0.saturating_add(constant))] {
                sooner(&mut self.next, Some(bucket_after(rule.cut, at)));
            }
        }
        if !is_change {
            return;
        }
        let look = Look {
            at: time,
            counted: None,
            sample: Some(seen.sample),
            message: None,
        };
        judge(rule, place, seen.key, group, &look, bench);
    }

    /// Something about a state that the rule looks at changes at this moment.
    pub fn expect(&mut self, rule: &Rule, at: Time) {
        self.wake(Some(bucket_after(rule.cut, at)));
    }

    /// Takes in a run of messages.
    pub fn message(
        &mut self,
        rule: &Rule,
        place: u32,
        seen: &Sighting,
        fingerprint: Fingerprint,
        time: Option<Time>,
        bench: &mut Bench,
    ) {
        let new = rule.new.as_ref().expect("only rules with new() are shown");
        let fingerprint = match &new.field {
            Some(_) => Fingerprint(xxh64(seen.text)),
            None => fingerprint,
        };
        if !self.fresh.is_new(new, fingerprint, seen.text, time) {
            return;
        }
        let mut key = seen.key.to_vec();
        match &new.field {
            Some(_) => key::push(&mut key, seen.text),
            None => key::push(&mut key, fingerprint.to_string().as_bytes()),
        }
        if !self.admit(rule, &key, bench) {
            bench.passed.overflow += seen.count;
            return;
        }
        let at = time.unwrap_or(Time::from_parts(seen.second, 0).unwrap_or(Time(0)));
        let bucket = rule.cut.bucket(at.second());
        let bucket = self.passed.map_or(bucket, |passed| bucket.max(passed + 1));
        self.wake(Some(bucket + rule.cut.buckets));
        let group = self.groups.get_mut(&key).expect("it was admitted");
        group.new = Some(bucket);
        let look = Look {
            at,
            counted: None,
            sample: Some(seen.sample),
            message: Some((fingerprint, seen.text)),
        };
        judge(rule, place, &key, group, &look, bench);
    }

    /// A source that the rule looks at has come or gone.
    pub fn source(&mut self, rule: &Rule, place: u32, at: Time, bench: &mut Bench) {
        for (key, group) in self.groups.iter_mut() {
            let look = Look {
                at,
                counted: None,
                sample: None,
                message: None,
            };
            judge(rule, place, key, group, &look, bench);
        }
    }

    /// Messages that were not seen and found no room to be remembered.
    pub fn unknown(&self) -> u64 {
        self.fresh.unknown()
    }

    /// The second that the watermark has to reach for [`Watch::move_on`] to look at a step; at worst too
    /// early.
    pub fn next_due(&self, rule: &Rule, started: Option<i64>) -> Option<i64> {
        let passed = self.passed?;
        let whole = whole_from(rule, started).filter(|whole| *whole > passed);
        let next = self.next.into_iter().chain(whole).min()?;
        Some(rule.cut.end(next.max(passed + 1)))
    }

    /// The watermark has reached `second`: looks at every step that it has passed and that changes
    /// something.
    pub fn move_on(&mut self, rule: &Rule, place: u32, second: i64, bench: &mut Bench) {
        let end = rule.cut.passed(second);
        let Some(mut passed) = self.passed else {
            // Nothing that ended before the first record is looked at.
            self.passed = Some(end);
            return;
        };
        if end <= passed {
            return;
        }
        let whole = whole_from(rule, bench.started);
        let gap = Gap {
            stride: ((end - passed) / STEPS_MAX).max(1),
            end,
        };
        loop {
            let first_whole = whole.filter(|whole| *whole > passed);
            let due = self.next.into_iter().chain(first_whole).min();
            let Some(due) = due.filter(|due| *due <= end) else {
                break;
            };
            passed = due.max(passed + 1);
            self.passed = Some(passed);
            self.step(rule, place, passed, whole, gap, bench);
        }
        self.passed = Some(end);
    }

    /// The clock was ahead by `pause` all at once, from `before`. Who was learning has learned no longer
    /// than before.
    pub fn pause(&mut self, rule: &Rule, before: Time, pause: i64) {
        if let Some(new) = &rule.new {
            self.fresh.pause(new, before, pause);
        }
    }

    /// The clock was set back by `back`, from `before`: windows and waits move with it.
    pub fn go_back(&mut self, rule: &Rule, before: Time, back: i64) {
        let cut = rule.cut;
        let bucket = |time: i64| cut.bucket(Time(time).second());
        let buckets = bucket(before.0) - bucket(before.0.saturating_sub(back));
        for group in self.groups.values_mut() {
            for window in &mut group.windows {
                window.go_back(cut, buckets);
            }
            for past in &mut group.past {
                past.go_back(back / Time::SECOND);
            }
            group.judged = group.judged.map(|at| Time(at.0.saturating_sub(back)));
            group.new = group.new.map(|bucket| bucket - buckets);
        }
        let earlier = |bucket: Option<i64>| bucket.map(|bucket| bucket - buckets);
        self.passed = earlier(self.passed);
        // Ages are other ones now, and a limit that has passed may not have passed any more.
        self.next = earlier(self.next);
        sooner(&mut self.next, self.passed.map(|passed| passed + 1));
        self.all = true;
        self.fresh.go_back(before, back);
    }

    /// Looks at the window that ends with `bucket`, in every group for which it is another one.
    fn step(
        &mut self,
        rule: &Rule,
        place: u32,
        bucket: i64,
        whole: Option<i64>,
        gap: Gap,
        bench: &mut Bench,
    ) {
        let cut = rule.cut;
        let is_timed = rule.is_timed();
        if is_timed && rule.parts.is_empty() {
            for state in rule.states() {
                for key in bench.states[state].keys() {
                    if !self.admit(rule, key, bench) {
                        bench.passed.overflow += 1;
                    }
                }
            }
        }
        let is_whole = whole.is_some_and(|whole| bucket >= whole);
        let all = take(&mut self.all) || is_timed || whole == Some(bucket);
        let mut changed: Vec<Vec<u8>> = Vec::new();
        let mut next: Option<i64> = None;
        let end = cut.end(bucket);
        self.groups.retain(|key, group| {
            for (part, past) in group.past.iter_mut().enumerate() {
                if let Some(keeps) = rule.keeps(part) {
                    past.drop_before(end - keeps, bench.budget);
                }
            }
            let mut is_changed = all;
            for window in &mut group.windows {
                window.advance(cut, bucket, bench.budget);
                is_changed |= window.take_change();
            }
            if group.new.is_some_and(|new| new + cut.buckets <= bucket) {
                group.new = None;
                is_changed = true;
            }
            next = next.into_iter().chain(group.next_change(cut)).min();
            if is_changed {
                changed.push(key.to_vec());
            }
            true
        });
        changed.sort_unstable();
        let at = Time::from_parts(cut.end(bucket), 0).unwrap_or(Time(i64::MAX));
        for key in changed {
            let group = self.groups.get_mut(&key).expect("it was just there");
            for (place, step) in rule.steps.iter().enumerate() {
                let window = &group.windows[step.part];
                let value = match step.what {
                    _ if step.is_whole && !is_whole => None,
                    What::Counter => window.growth(cut),
                    What::Ago { before, what } => {
                        let until = cut.end(bucket) - before;
                        let from = until - cut.buckets * cut.step;
                        let is_seen = bench.started.is_some_and(|started| started <= from);
                        let past = group.past.get(step.part);
                        past.filter(|_| is_seen)
                            .and_then(|past| past.value(what, from, until))
                    }
                    What::Count => Some(window.count() as f64),
                    What::Rate => Some(window.count() as f64 / (cut.buckets * cut.step) as f64),
                    What::Statistic(statistic) => window.statistic(cut, statistic),
                    What::Distinct => Some(window.distinct() as f64),
                };
                group.steps[place] = value;
            }
            let look = Look {
                at,
                counted: None,
                sample: None,
                message: None,
            };
            judge(rule, place, &key, group, &look, bench);
            let is_over = group.is_empty() && !group.when && !(rule.is_single && key.is_empty());
            if is_over && !bench.lives.is_active(place, &key) {
                bench.budget.release(GROUP_BYTES + key.len());
                self.groups.remove(&key);
            }
        }
        if is_timed {
            next = next
                .into_iter()
                .chain(next_age(rule, bucket, gap, bench))
                .min();
        }
        self.next = next;
    }
}

/// Lets something happen at `bucket`, if it does not happen sooner.
fn sooner(next: &mut Option<i64>, bucket: Option<i64>) {
    if let Some(bucket) = bucket
        && next.is_none_or(|next| bucket < next)
    {
        *next = Some(bucket);
    }
}

/// The first bucket whose window of steps is wholly after the start, if that matters.
fn whole_from(rule: &Rule, started: Option<i64>) -> Option<i64> {
    let started = started?;
    let cut = rule.cut;
    let matters = rule.steps.iter().any(|step| step.is_whole);
    matters.then(|| cut.bucket(started - 1) + cut.buckets)
}

/// The bucket at whose end a moment is over.
pub(super) fn bucket_after(cut: Cut, time: Time) -> i64 {
    cut.bucket(time.second())
}

/// Keeps the last `rest` records of a run as evidence of the alert of a group, if it has one.
fn keep(place: u32, group: &mut Group, seen: &Sighting, rest: u64, bench: &mut Bench) {
    if group.second.0 != seen.second {
        group.second = (seen.second, 0);
    }
    let before = group.second.1;
    group.second.1 = before.saturating_add(seen.count);
    if !group.when || rest == 0 {
        return;
    }
    let mask = bench.mask;
    let room = Observed::LINES_MAX.saturating_sub(before) as usize;
    let first = (seen.count - rest) as usize;
    let line = |number: usize| {
        let mut evidence = Evidence {
            samples: vec![(seen.line)(number)],
            ..Evidence::default()
        };
        mask.evidence(&mut evidence);
        evidence.samples.pop().unwrap_or_default()
    };
    let noted = Noted {
        second: seen.second,
        count: rest,
        lines: first..seen.lines.min(room),
        line: &line,
    };
    bench.lives.note(place, seen.key, &noted);
}

/// Judges one group and puts down what there is to tell.
fn judge(rule: &Rule, place: u32, key: &[u8], group: &mut Group, look: &Look, bench: &mut Bench) {
    let at = group.judged.map_or(look.at, |judged| judged.max(look.at));
    let (windows, steps, new) = (&group.windows, &group.steps, group.new);
    let states = bench.states;
    let worth = |resolved: &Resolved, operand: usize| -> Option<f64> {
        let truth = |truth: bool| Some(f64::from(u8::from(truth)));
        match &resolved.sources[operand] {
            Source::Edge(part) => Some(match look.counted {
                Some((counted, count)) if counted == *part => count as f64,
                _ => windows[*part].edge() as f64,
            }),
            Source::Step(step) => steps[*step],
            Source::Last(state, test) => truth(test.holds(states[*state].last(key)?)),
            Source::Age(state) => Some(states[*state].age(key, at)? as f64 / 1e6),
            Source::Missing(state) => truth(states[*state].is_missing(key, at)),
            Source::Stuck(state) => truth(states[*state].is_stuck(key, at)),
            Source::New => truth(new.is_some()),
            // What is not read here, as in a replay, is not down.
            Source::Up(name) => truth(bench.ups.get(name).is_none_or(|up| *up)),
        }
    };
    let holds = |resolved: &Resolved| {
        resolved
            .expression
            .holds(&|operand| worth(resolved, operand))
    };
    let when = holds(&rule.when);
    let clear = rule.clear.as_ref().map_or(!when, holds);
    if group.when == when && group.clear == clear {
        // Nothing is new, but for an alert that found no room when it should have begun.
        if !when || bench.lives.is_active(place, key) {
            return;
        }
    } else if !when && !bench.lives.is_active(place, key) {
        // Nothing ends that had not begun.
        (group.when, group.clear) = (when, clear);
        return;
    }
    let worth_of = |operand: usize| worth(&rule.when, operand);
    let value = rule.when.expression.value(&worth_of);
    let numbers = rule.when.expression.numbers(&worth_of);
    let mut evidence = if when {
        shown(rule, group, look)
    } else {
        // How things are now is shown by the record that changed them, where one did.
        Evidence {
            samples: look.sample.map(|sample| sample()).into_iter().collect(),
            ..Evidence::default()
        }
    };
    bench.mask.evidence(&mut evidence);
    let holds = if when { Holds::Yes } else { Holds::NoMore };
    let said = Said {
        key,
        value,
        numbers: numbers.as_deref(),
        evidence: &evidence,
        holds,
    };
    let summary = summary(rule, &said, bench.summarise);
    group.when = when;
    group.clear = clear;
    group.judged = Some(at);
    let judgement = Judgement {
        rule: place,
        key,
        when,
        clear,
        at,
        value,
        summary,
        evidence,
    };
    let told = bench.lives.judge(&rule.life, judgement);
    bench
        .told
        .extend(told.into_iter().map(|alert| (place, alert)));
}

/// The records that a judgement is about.
fn shown(rule: &Rule, group: &Group, look: &Look) -> Evidence {
    if let Some((fingerprint, template)) = look.message {
        let is_message = rule.new.as_ref().is_some_and(|new| new.field.is_none());
        return Evidence {
            template: is_message.then(|| String::from_utf8_lossy(template).into_owned()),
            fingerprint: is_message.then(|| fingerprint.to_string()),
            count: 1,
            first: Some(look.at),
            last: Some(look.at),
            samples: look.sample.map(|sample| sample()).into_iter().collect(),
        };
    }
    let Some((part, is_edge)) = rule.shown() else {
        return Evidence {
            samples: look.sample.map(|sample| sample()).into_iter().collect(),
            ..Evidence::default()
        };
    };
    let mut evidence = group.windows[part].evidence(rule.cut, is_edge);
    if let Some((counted, count)) = look.counted
        && counted == part
        && is_edge
    {
        evidence.count = count;
    }
    evidence
}
