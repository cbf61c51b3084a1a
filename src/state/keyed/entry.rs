//! One key of a state: what it last said, what that means, and what is wrong with it.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::flow::alert::SampleLine;
use crate::flow::key;
use crate::flow::time::Time;
use crate::state::keyed::steps::{Broken, Change, Walk};
use crate::state::keyed::{
    CHANGES_MAX, Condition, IDLE, KeyedSettings, Kind, Row, Status, Steps, Unlisted, earlier, later,
};

/// Why something is not wrong any more.
const CLOCK_SET_BACK: &str = "the clock was set back";

/// Why something is not wrong any more with a key that was dropped after `forget_after`.
pub const FORGOTTEN: &str = "forgotten, it was not heard of again";

/// What a value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Meaning {
    Ok,
    Pending,
    Bad,
}

impl Meaning {
    /// As [`KeyedSettings`] says it.
    fn of(value: &[u8], settings: &KeyedSettings) -> Meaning {
        let names = |list: &[String]| {
            let mut list = list.iter();
            list.any(|word| word.as_bytes().eq_ignore_ascii_case(value))
        };
        let lists = [
            (&settings.ok, Meaning::Ok),
            (&settings.bad, Meaning::Bad),
            (&settings.pending, Meaning::Pending),
        ];
        if let Some((_, meaning)) = lists.iter().find(|(list, _)| names(list)) {
            return *meaning;
        }
        let step = step(value, settings);
        if let Some(step) = step {
            let is_last = usize::from(step) + 1 == settings.steps.len();
            return if is_last {
                Meaning::Ok
            } else {
                Meaning::Pending
            };
        }
        // Steps stand for the lists of pending and ok values.
        let is_given = |list: &Vec<String>, meaning| {
            !list.is_empty() || !settings.steps.is_empty() && meaning != Meaning::Bad
        };
        let rest = lists
            .iter()
            .find(|(list, meaning)| !is_given(list, *meaning));
        let rest = rest.map_or(Meaning::Bad, |(_, meaning)| *meaning);
        match settings.unlisted {
            Some(Unlisted::Bad) => Meaning::Bad,
            Some(Unlisted::Ok) => Meaning::Ok,
            Some(Unlisted::Pending) => Meaning::Pending,
            Some(Unlisted::Ignore) | None => rest,
        }
    }
}

/// Whether a value stands in no list and is to change nothing.
pub fn is_ignored(value: &[u8], settings: &KeyedSettings) -> bool {
    if settings.unlisted != Some(Unlisted::Ignore) {
        return false;
    }
    let lists = [
        &settings.ok,
        &settings.pending,
        &settings.bad,
        &settings.steps,
    ];
    let mut listed = lists.into_iter().flatten();
    !listed.any(|word| word.as_bytes().eq_ignore_ascii_case(value))
}

/// The place of the step that a value names.
fn step(value: &[u8], settings: &KeyedSettings) -> Option<u16> {
    let mut steps = settings.steps.iter();
    let place = steps.position(|step| step.as_bytes().eq_ignore_ascii_case(value))?;
    u16::try_from(place).ok()
}

/// Records of one key with one value.
pub struct Sighting<'a> {
    pub value: &'a [u8],
    pub first: Option<Time>,
    pub newest: Option<Time>,
    /// When the first and the newest were written, as far as that is known.
    pub heard: Option<Time>,
    pub heard_last: Option<Time>,
    pub count: u64,
    /// Writes the line that is shown of it: asked for only when something changes.
    pub sample: &'a dyn Fn(&mut SampleLine),
    /// Its time or, if it has none, the newest known.
    pub at: Time,
}

impl Sighting<'_> {
    pub fn sample(&self) -> SampleLine {
        let mut sample = SampleLine::default();
        (self.sample)(&mut sample);
        sample
    }
}

/// Where changes of one key are put down.
pub struct Changes<'a> {
    settings: &'a KeyedSettings,
    key: &'a [u8],
    list: &'a mut Vec<Condition>,
}

impl<'a> Changes<'a> {
    pub fn new(
        settings: &'a KeyedSettings,
        key: &'a [u8],
        list: &'a mut Vec<Condition>,
    ) -> Changes<'a> {
        Changes {
            settings,
            key,
            list,
        }
    }

    fn push(&mut self, kind: Kind, holds: bool, at: Time, what: &str, sample: Option<&SampleLine>) {
        if self.list.len() == CHANGES_MAX {
            self.list.drain(..CHANGES_MAX / 2);
        }
        let values = key::values(self.key);
        let mut summary = self.settings.name.clone();
        for value in values {
            summary.push(' ');
            summary.push_str(&String::from_utf8_lossy(value));
        }
        summary.push_str(": ");
        summary.push_str(what);
        self.list.push(Condition {
            key: self.key.to_vec(),
            kind,
            holds,
            at,
            summary,
            sample: sample.cloned(),
        });
    }

    /// A key of the roster was not seen until its time was over, or the input was.
    pub fn unseen(&mut self, at: Time) {
        let what = format!("never seen{}", expected(self.settings, at));
        self.push(Kind::Missing, true, at, &what, None);
    }

    /// A key that was told as missing need not exist any more.
    pub fn left_roster(&mut self, at: Time) {
        self.push(Kind::Missing, false, at, "not on the roster any more", None);
    }

    /// A key that was told as missing is not missing yet by the clock as it is now.
    pub fn clock_set_back(&mut self, at: Time) {
        self.push(Kind::Missing, false, at, CLOCK_SET_BACK, None);
    }

    /// A key of the roster that was told as missing has come.
    pub fn seen(&mut self, at: Time, sample: &SampleLine) {
        let what = format!("seen for the first time at {at}");
        self.push(Kind::Missing, false, at, &what, Some(sample));
    }
}

/// What was expected, for the text of a silence that is told from `at` on.
fn expected(settings: &KeyedSettings, at: Time) -> String {
    match (settings.expect_within, &settings.expect_by) {
        (_, Some(deadlines)) if deadlines.is_one(at) => format!(", expected by {at}"),
        (Some(within), _) => format!(", expected within {}", duration(within)),
        _ => String::new(),
    }
}

fn duration(nanoseconds: i64) -> String {
    format!("{:#}", jiff::SignedDuration::from_nanos(nanoseconds))
}

fn quoted(value: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(value))
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub on_roster: bool,
    /// When the key stands in the queue of its state.
    pub queued: Option<Time>,
    /// The first value, so that a change at the seam of two runs counts.
    first_value: ByteBuf,
    value: ByteBuf,
    meaning: Meaning,
    since: Option<Time>,
    last: Option<Time>,
    last_ok: Option<Time>,
    /// When the newest record was written, and the one that set the value, where that is another time than
    /// they say.
    #[serde(default)]
    heard: Option<Time>,
    #[serde(default)]
    changed: Option<Time>,
    /// The last moment of the calendar that the key has missed: what comes soon after counts for that one
    /// and not for the next.
    #[serde(default)]
    owed: Option<Time>,
    count: u64,
    transitions: u64,
    /// The record that set the value.
    sample: SampleLine,
    walk: Walk,
    /// A bit for each [`Kind`] that holds and was told.
    told: u8,
}

impl Entry {
    pub fn new(sighting: &Sighting<'_>, on_roster: bool, changes: &mut Changes<'_>) -> Entry {
        let mut entry = Entry {
            on_roster,
            queued: None,
            first_value: ByteBuf::from(sighting.value),
            value: ByteBuf::from(sighting.value),
            meaning: Meaning::Ok,
            since: None,
            last: None,
            last_ok: None,
            heard: None,
            changed: None,
            owed: None,
            count: 0,
            transitions: 0,
            sample: SampleLine::default(),
            walk: Walk::default(),
            told: 0,
        };
        entry.set(sighting, changes);
        entry.add(sighting);
        entry
    }

    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// When the newest record was written.
    pub fn heard(&self) -> Option<Time> {
        self.heard.or(self.last)
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Takes in records of the key. What happened between them and the one before is told first, so
    /// that it does not matter whether somebody asked in between. Returns whether the value is another.
    pub fn absorb(&mut self, sighting: &Sighting<'_>, changes: &mut Changes<'_>) -> bool {
        self.look_for_return(sighting, changes);
        let is_change = self.value != sighting.value;
        if is_change {
            if let Some(heard) = sighting.heard {
                self.look_for_delay(heard, changes);
            }
            if self.is_told(Kind::Stuck) {
                let deadline = self.stuck_from(changes.settings);
                let heard = sighting.heard.unwrap_or(sighting.at);
                let at = deadline.map_or(heard, |deadline| heard.max(deadline));
                let what = format!("went on to {}", quoted(sighting.value));
                self.end_of(Kind::Stuck, at, &what, changes);
                self.sample_of_end(changes, sighting.sample());
            }
            self.transitions = self.transitions.saturating_add(1);
            self.value.clear();
            self.value.extend_from_slice(sighting.value);
            self.set(sighting, changes);
        }
        self.add(sighting);
        is_change
    }

    /// Takes in records that only say that the key is there.
    pub fn hear(&mut self, sighting: &Sighting<'_>, changes: &mut Changes<'_>) {
        self.look_for_return(sighting, changes);
        self.add(sighting);
    }

    /// A silence that was too long is over, or was too long before this record.
    fn look_for_return(&mut self, sighting: &Sighting<'_>, changes: &mut Changes<'_>) {
        let Some(heard) = sighting.heard else { return };
        self.look_for_silence(heard, changes);
        if !self.is_told(Kind::Missing) || self.heard().is_some_and(|last| heard <= last) {
            return;
        }
        let deadline = self.silent_from(changes.settings);
        let at = deadline.map_or(heard, |deadline| heard.max(deadline));
        let said = sighting.first.unwrap_or(heard);
        let what = format!("seen again at {said}");
        self.end_of(Kind::Missing, at, &what, changes);
        self.sample_of_end(changes, sighting.sample());
    }

    /// The key has a new value.
    fn set(&mut self, sighting: &Sighting<'_>, changes: &mut Changes<'_>) {
        let at = sighting.at;
        self.since = sighting.first;
        self.changed = sighting.heard;
        self.meaning = Meaning::of(&self.value, changes.settings);
        // A key in order that nobody waits for has nothing to show.
        let settings = changes.settings;
        let is_shown = self.meaning != Meaning::Ok
            || self.told != 0
            || settings.expect_within.is_some()
            || settings.expect_by.is_some()
            || !settings.steps.is_empty();
        if is_shown {
            (sighting.sample)(&mut self.sample);
        } else {
            self.sample.clear();
        }
        match (self.meaning, self.is_told(Kind::Bad)) {
            (Meaning::Bad, false) => self.start_of(Kind::Bad, at, &quoted(&self.value), changes),
            // What failed and was started again is not good yet.
            (Meaning::Ok, true) => self.end_of(Kind::Bad, at, &quoted(&self.value), changes),
            _ => {}
        }
        if let Some(step) = step(&self.value, changes.settings) {
            match self.walk.take(step, at) {
                Some(Change::Broke) => {
                    let what = self
                        .walk
                        .broken()
                        .map(|broken| order(broken, changes.settings));
                    self.start_of(Kind::Order, at, &what.unwrap_or_default(), changes);
                }
                Some(Change::Mended) => {
                    let what = format!("started again with {}", quoted(&self.value));
                    self.end_of(Kind::Order, at, &what, changes);
                }
                None => {}
            }
        }
    }

    fn add(&mut self, sighting: &Sighting<'_>) {
        self.count = self.count.saturating_add(sighting.count);
        self.last = self.last.max(sighting.newest);
        self.heard = self.heard.max(sighting.heard_last);
        if self.meaning == Meaning::Ok {
            self.last_ok = self.last_ok.max(sighting.newest);
        }
    }

    /// Tells which limits have passed at `now`.
    pub fn look(&mut self, now: Time, changes: &mut Changes<'_>) {
        self.look_for_delay(now, changes);
        self.look_for_silence(now, changes);
    }

    fn look_for_silence(&mut self, now: Time, changes: &mut Changes<'_>) {
        if self.is_told(Kind::Missing) || !self.is_late(changes.settings, now) {
            return;
        }
        let (Some(at), Some(last)) = (self.silent_from(changes.settings), self.last.or(self.heard))
        else {
            return;
        };
        let what = format!(
            "last seen at {last} with {}{}",
            quoted(&self.value),
            expected(changes.settings, at)
        );
        if changes.settings.expect_by.is_some() {
            self.owed = Some(at);
        }
        self.start_of(Kind::Missing, at, &what, changes);
    }

    fn look_for_delay(&mut self, now: Time, changes: &mut Changes<'_>) {
        if self.is_told(Kind::Stuck) || !self.is_stuck(changes.settings, now) {
            return;
        }
        let (Some(at), Some(since), Some(after)) = (
            self.stuck_from(changes.settings),
            self.since.or(self.changed),
            changes.settings.stuck_after,
        ) else {
            return;
        };
        let what = format!(
            "{} since {since}, longer than {}",
            quoted(&self.value),
            duration(after)
        );
        self.start_of(Kind::Stuck, at, &what, changes);
    }

    /// The wall clock was set back by `back` nanoseconds to `now`.
    pub fn go_back(&mut self, now: Time, back: i64, changes: &mut Changes<'_>) {
        for time in [
            &mut self.since,
            &mut self.last,
            &mut self.last_ok,
            &mut self.heard,
            &mut self.changed,
        ] {
            *time = time.map(|time| earlier(time, now, back));
        }
        self.queued = None;
        let settings = changes.settings;
        if self.is_told(Kind::Missing) && !self.is_late(settings, now) {
            self.end_of(Kind::Missing, now, CLOCK_SET_BACK, changes);
        }
        if self.is_told(Kind::Stuck) && !self.is_stuck(settings, now) {
            self.end_of(Kind::Stuck, now, CLOCK_SET_BACK, changes);
        }
    }

    /// Nothing is wrong with this key any more: it is dropped.
    pub fn end(&mut self, at: Time, why: &str, changes: &mut Changes<'_>) {
        for kind in Kind::ALL {
            if self.is_told(kind) {
                self.end_of(kind, at, why, changes);
            }
        }
    }

    fn is_told(&self, kind: Kind) -> bool {
        self.told & kind.bit() != 0
    }

    fn start_of(&mut self, kind: Kind, at: Time, what: &str, changes: &mut Changes<'_>) {
        self.told |= kind.bit();
        changes.push(kind, true, at, what, Some(&self.sample));
    }

    fn end_of(&mut self, kind: Kind, at: Time, what: &str, changes: &mut Changes<'_>) {
        self.told &= !kind.bit();
        changes.push(kind, false, at, what, Some(&self.sample));
    }

    /// The end just told is shown with the record that made it.
    fn sample_of_end(&self, changes: &mut Changes<'_>, sample: SampleLine) {
        if let Some(change) = changes.list.last_mut() {
            change.sample = Some(sample);
        }
    }

    /// The time after which silence is too long.
    fn silent_from(&self, settings: &KeyedSettings) -> Option<Time> {
        let heard = self.heard()?;
        let within = settings
            .expect_within
            .and_then(|within| later(heard, within));
        let by = settings.expect_by.as_ref();
        let by = by.and_then(|deadlines| deadlines.missed_after(heard, self.owed));
        within.into_iter().chain(by).min()
    }

    /// When a key of no roster has been silent for so long that it is dropped.
    fn forgotten_from(&self, settings: &KeyedSettings) -> Option<Time> {
        let after = settings.forget_after.filter(|_| !self.on_roster)?;
        later(self.heard()?, after)
    }

    /// The moment at which the key was to be dropped, if that has passed.
    pub fn is_forgotten(&self, settings: &KeyedSettings, now: Time) -> Option<Time> {
        self.forgotten_from(settings).filter(|from| now > *from)
    }

    /// The time after which the value has been pending for too long.
    fn stuck_from(&self, settings: &KeyedSettings) -> Option<Time> {
        (self.meaning == Meaning::Pending).then_some(())?;
        later(self.changed.or(self.since)?, settings.stuck_after?)
    }

    pub fn is_late(&self, settings: &KeyedSettings, now: Time) -> bool {
        self.silent_from(settings).is_some_and(|from| now > from)
    }

    pub fn is_stuck(&self, settings: &KeyedSettings, now: Time) -> bool {
        self.stuck_from(settings).is_some_and(|from| now > from)
    }

    /// In order, with nothing to tell, and silent for long.
    pub fn is_idle(&self, now: Time) -> bool {
        let is_settled = self.meaning == Meaning::Ok && self.told == 0;
        let leaves = |last| later(last, IDLE).is_some_and(|end| now > end);
        is_settled && self.heard().is_some_and(leaves)
    }

    /// When the next limit will have passed that was not told yet.
    pub fn due(&self, settings: &KeyedSettings) -> Option<Time> {
        let silent = self.silent_from(settings);
        let silent = silent.filter(|_| !self.is_told(Kind::Missing));
        let stuck = self.stuck_from(settings);
        let stuck = stuck.filter(|_| !self.is_told(Kind::Stuck));
        let forgotten = self.forgotten_from(settings);
        let next = silent.into_iter().chain(stuck).chain(forgotten).min()?;
        Some(Time(next.0.saturating_add(1)))
    }

    /// Whether it stands in the queue where it must, or need not stand there. A look that comes too
    /// early finds nothing and queues again: cheaper than moving the key with every record.
    pub fn is_queued(&self, settings: &KeyedSettings) -> bool {
        let is_late = |due| self.queued.is_none_or(|queued| due < queued);
        !self.due(settings).is_some_and(is_late)
    }

    /// Adds what came after (law 4).
    pub fn merge(&mut self, other: &Entry) {
        let changes_at_seam = self.value != other.first_value;
        self.count = self.count.saturating_add(other.count);
        self.transitions = self
            .transitions
            .saturating_add(other.transitions.saturating_add(u64::from(changes_at_seam)));
        if changes_at_seam || other.transitions > 0 {
            self.since = other.since;
            self.changed = other.changed;
            self.value.clone_from(&other.value);
            self.meaning = other.meaning;
            self.sample.clone_from(&other.sample);
        }
        self.last = self.last.max(other.last);
        self.last_ok = self.last_ok.max(other.last_ok);
        self.heard = self.heard.max(other.heard);
        self.owed = self.owed.max(other.owed);
        self.walk.merge(&other.walk);
        self.told = other.told;
    }

    pub fn status(&self, settings: &KeyedSettings, now: Time) -> Status {
        if self.meaning == Meaning::Bad {
            Status::Bad
        } else if self.is_stuck(settings, now) {
            Status::Stuck
        } else if self.is_late(settings, now) {
            Status::Late
        } else if self.meaning == Meaning::Pending {
            Status::Pending
        } else {
            Status::Ok
        }
    }

    pub fn row<'s>(&'s self, settings: &'s KeyedSettings, key: &'s [u8], now: Time) -> Row<'s> {
        Row {
            name: &settings.name,
            key: named(settings, key),
            value: Some(&self.value),
            status: self.status(settings, now),
            since: self.since,
            last: self.last,
            last_ok: self.last_ok,
            count: self.count,
            transitions: self.transitions,
            steps: steps(settings, &self.walk),
        }
    }
}

/// The row of a key of the roster that was never seen.
pub fn row_of_unseen<'s>(settings: &'s KeyedSettings, key: &'s [u8]) -> Row<'s> {
    Row {
        name: &settings.name,
        key: named(settings, key),
        value: None,
        status: Status::Missing,
        since: None,
        last: None,
        last_ok: None,
        count: 0,
        transitions: 0,
        steps: steps(settings, &Walk::default()),
    }
}

fn named<'s>(settings: &'s KeyedSettings, key: &'s [u8]) -> Vec<(&'s str, &'s [u8])> {
    let names = settings.key.iter().map(String::as_str);
    names.zip(key::values(key)).collect()
}

fn steps<'s>(settings: &'s KeyedSettings, walk: &Walk) -> Option<Steps<'s>> {
    if settings.steps.is_empty() {
        return None;
    }
    let named = |step: u16| {
        let place = usize::from(step);
        Some((settings.steps.get(place)?.as_str(), place + 1))
    };
    Some(Steps {
        step: walk.step().and_then(named),
        of: settings.steps.len(),
        rounds: walk.rounds(),
        skipped: walk.skipped(),
        backwards: walk.backwards(),
        in_order: walk.broken().is_none(),
    })
}

/// What broke the order, for people.
fn order(broken: &Broken, settings: &KeyedSettings) -> String {
    let name = |step: u16| {
        let name = settings.steps.get(usize::from(step));
        quoted(name.map_or(&[], |name| name.as_bytes()))
    };
    match broken.from {
        Some(from) if from > broken.to => {
            format!("{} came after {}", name(broken.to), name(from))
        }
        from => {
            let left_out = from.map_or(0, |from| from + 1)..broken.to;
            let left_out: Vec<String> = left_out.map(name).collect();
            format!("{} came without {}", name(broken.to), left_out.join(", "))
        }
    }
}
