//! Recorded files read side by side, in the order in which their records were written, as far as their times
//! tell: each file in its own order, and time never goes back. Used by `weir replay` and `weir test`, which
//! have no arrival to go by.
//!
//! A time that lies ahead of what most of the next records of its file say belongs to a clock that runs
//! ahead: such a record is read where it stands.

use std::collections::VecDeque;
use std::ops::Range;

use crate::engine::fold::Fold;
use crate::engine::mapper::{Mapper, careful};
use crate::flow::batch::{Batch, SourceId};
use crate::flow::mapped::Mapped;
use crate::flow::observed::Observed;
use crate::flow::output::Output;
use crate::flow::time::Time;
use crate::plan::Plan;
use crate::rules::From;
use crate::rules::moment::Reads;
use crate::rules::part::{Part, Sorted};
use crate::sources::reading::{Reading, Settings};
use crate::sources::{self, OpenError, Source};
use crate::stop::Stop;

/// Changes of the second that are known ahead of a record.
const AHEAD: usize = 64;

/// Of those, so many are asked whether a time is believed.
const ASKED: usize = 15;

/// Batches that one file holds ahead of time.
const BATCHES_MAX: usize = 4;

/// Files that are open at once. Of the others no more than their first time is known until their turn comes.
const OPEN_MAX: usize = 200;

/// A last record that is later than the wall clock by more than this, in seconds, and as much later than the
/// record before it, has a wrong time.
const TOMORROW: i64 = 86_400;

/// What is read.
pub enum Input {
    Named(std::ffi::OsString),
    Opened(Source),
}

/// One file and what of it waits for its turn.
struct Lane<'s> {
    id: SourceId,
    input: Option<Input>,
    reading: Option<Reading<'s>>,
    batches: VecDeque<Loaded>,
    /// Number of the first of `batches`.
    first: usize,
    parts: VecDeque<Waiting>,
    /// How far it has come, in seconds.
    now: Option<i64>,
    anchor: Time,
    /// When the next record was written.
    head: Option<Time>,
    has_ended: bool,
    has_started: bool,
}

/// A batch of which some part waits.
struct Loaded {
    mapped: Mapped,
    observed: Observed,
    sorted: Sorted,
    is_taken: bool,
}

/// Records of one second that follow each other.
struct Waiting {
    /// Number of its batch.
    batch: usize,
    second: Option<i64>,
    part: Part,
}

/// All files.
pub struct Merged<'s, 'p> {
    settings: &'s Settings,
    plan: &'p Plan,
    mapper: Mapper<'p>,
    lanes: Vec<Lane<'s>>,
    now: Time,
    stop: Stop,
    clock: Option<Time>,
    pub bytes: u64,
    pub problems: Vec<(String, u8)>,
}

impl<'s, 'p> Merged<'s, 'p> {
    pub fn new(
        settings: &'s Settings,
        plan: &'p Plan,
        inputs: Vec<Input>,
        now: Time,
        stop: Stop,
    ) -> Merged<'s, 'p> {
        let lanes = inputs.into_iter().enumerate().map(|(place, input)| Lane {
            id: SourceId(u32::try_from(place).expect("a command line has fewer than 2^32 words")),
            input: Some(input),
            reading: None,
            batches: VecDeque::new(),
            first: 0,
            parts: VecDeque::new(),
            now: None,
            anchor: now,
            head: None,
            has_ended: false,
            has_started: false,
        });
        Merged {
            lanes: lanes.collect(),
            mapper: Mapper::new(plan),
            settings,
            plan,
            now,
            stop,
            clock: None,
            bytes: 0,
            problems: Vec::new(),
        }
    }

    /// Reads everything. What goes to sinks is handed to `put`, and `step` is called whenever the rules may
    /// have something to tell.
    pub fn run(
        &mut self,
        fold: &mut Fold,
        put: &mut dyn FnMut(Output),
        step: &mut dyn FnMut(&mut Fold),
    ) {
        for place in 0..self.lanes.len() {
            self.open(place, fold);
            self.fill(place);
            if place >= OPEN_MAX && self.lanes[place].can_be_closed() {
                self.lanes[place].close();
            }
        }
        while !self.stop.asked() {
            let lanes = self.lanes.iter();
            let heads = lanes.filter_map(|lane| Some((lane.head?, lane.id)));
            let Some((head, id)) = heads.min() else { break };
            let place = id.0 as usize;
            if self.lanes[place].reading.is_none() {
                self.open(place, fold);
                self.fill(place);
            }
            self.take(place, head, fold, put);
            self.fill(place);
            step(fold);
        }
    }

    fn open(&mut self, place: usize, fold: &mut Fold) {
        let (now, settings) = (self.now, self.settings);
        let lane = &mut self.lanes[place];
        let opened: Result<Source, OpenError> = match lane.input.take() {
            None => return,
            Some(Input::Opened(source)) => Ok(source),
            Some(Input::Named(name)) => {
                let opened = sources::open(&name, now);
                lane.input = Some(Input::Named(name));
                opened
            }
        };
        match opened {
            Ok(source) => {
                lane.anchor = source.anchor;
                let source = Source {
                    file: None,
                    ..source
                };
                fold.state.open(lane.id, &source.name);
                lane.reading = Some(Reading::new(settings, source, lane.id, 0, None));
            }
            Err(error) => {
                lane.has_ended = true;
                self.problems.push((error.message, error.exit_code));
            }
        }
    }

    /// Reads ahead in one file, and works out when its next record was written.
    fn fill(&mut self, place: usize) {
        let lane = &mut self.lanes[place];
        while let Some(reading) = &mut lane.reading
            && !lane.has_ended
            && lane.parts.len() <= AHEAD
            && lane.batches.len() < BATCHES_MAX
        {
            match reading.next(&self.stop) {
                Some(batch) => {
                    let loaded = load(self.plan, &mut self.mapper, batch);
                    lane.push(loaded);
                }
                None => {
                    self.bytes += reading.bytes();
                    if let Some(error) = reading.problem() {
                        let problem = format!("{}: {error}", reading.name());
                        self.problems.push((problem, 74));
                    }
                    lane.has_ended = true;
                }
            }
        }
        lane.head = lane.estimate(self.now);
    }

    /// Shows the next part of a file to the rules.
    fn take(&mut self, place: usize, head: Time, fold: &mut Fold, put: &mut dyn FnMut(Output)) {
        let count = self.lanes.len();
        let lane = &mut self.lanes[place];
        lane.has_started = true;
        let Some(waiting) = lane.parts.pop_front() else {
            return;
        };
        while lane.first < waiting.batch {
            lane.batches.pop_front();
            lane.first += 1;
        }
        let Some(loaded) = lane.batches.front_mut() else {
            return;
        };
        if !std::mem::replace(&mut loaded.is_taken, true) {
            put(fold.absorb_tables(&mut loaded.mapped));
            if let Some(rules) = &mut fold.rules {
                rules.count(&loaded.observed);
            }
        }
        lane.now = lane.now.max(Some(head.second()));
        let clock = head.max(self.clock.unwrap_or(head));
        self.clock = Some(clock);
        let Some(rules) = &mut fold.rules else { return };
        rules.reading(Reads::CaughtUp, count);
        if rules.now() != Some(clock) {
            rules.pass(clock);
        }
        // A record came within its second.
        let within = Time(clock.0.saturating_add(Time::SECOND - 1));
        let from = From {
            source: loaded.mapped.source,
            position: loaded.mapped.position,
            arrival: Some(within),
            name: &loaded.mapped.name,
        };
        rules.absorb_part(&loaded.observed, &loaded.sorted, waiting.part, &from);
    }
}

fn load<'p>(plan: &'p Plan, mapper: &mut Mapper<'p>, batch: Batch) -> Loaded {
    let read = batch.content.len().saturating_sub(batch.context_bytes) as u64;
    let mut mapped = careful::map(plan, mapper, &batch).unwrap_or_else(|| Mapped {
        sequence: batch.sequence,
        source: batch.source,
        position: batch.position,
        ..Mapped::default()
    });
    mapped.name = batch.name;
    mapped.read_bytes = read + batch.cut_bytes;
    Mapper::release(batch.content, &mut mapped);
    let observed = std::mem::take(&mut mapped.observed);
    let mut sorted = Sorted::default();
    sorted.fill(&observed);
    Loaded {
        mapped,
        observed,
        sorted,
        is_taken: false,
    }
}

impl Lane<'_> {
    fn can_be_closed(&self) -> bool {
        !self.has_started && matches!(self.input, Some(Input::Named(_)))
    }

    /// Forgets everything but when its first record was written.
    fn close(&mut self) {
        self.reading = None;
        self.batches.clear();
        self.parts.clear();
        self.has_ended = false;
    }

    fn push(&mut self, loaded: Loaded) {
        let batch = self.first + self.batches.len();
        let (runs, advances) = (&loaded.observed.runs, &loaded.observed.advances);
        let before = |ordinal: u32| runs.partition_point(|run| run.ordinal < ordinal);
        let mut add = |second: Option<i64>, runs: Range<usize>, advances: Range<usize>| {
            self.parts.push_back(Waiting {
                batch,
                second,
                part: Part { runs, advances },
            });
        };
        let start = advances
            .first()
            .map_or(runs.len(), |first| before(first.ordinal));
        if start > 0 || advances.is_empty() {
            add(None, 0..start, 0..0);
        }
        for (place, advance) in advances.iter().enumerate() {
            let end = advances
                .get(place + 1)
                .map_or(runs.len(), |next| before(next.ordinal));
            add(
                Some(advance.second),
                before(advance.ordinal)..end,
                place..place + 1,
            );
        }
        self.batches.push_back(loaded);
    }

    /// When the next record was written, to the second.
    fn estimate(&self, wall: Time) -> Option<Time> {
        let head = self.parts.front()?;
        let start = |second: i64| Time::from_parts(second, 0);
        let mut next = self.parts.iter().skip(1);
        let Some(second) = head.second else {
            let first = next.find_map(|waiting| waiting.second);
            // Of a file without any times its last change is known, and no record of it is later.
            return self.now.or(first).and_then(start).or(Some(self.anchor));
        };
        let Some(now) = self.now else {
            let mut seconds: Vec<i64> = next
                .filter_map(|waiting| waiting.second)
                .take(ASKED)
                .collect();
            let earlier = seconds.iter().filter(|other| **other < second).count();
            if earlier * 2 <= seconds.len() {
                return start(second);
            }
            seconds.push(second);
            seconds.sort_unstable();
            return start(seconds[seconds.len() / 2].min(second));
        };
        if second <= now {
            return start(now);
        }
        let others = next.filter_map(|waiting| waiting.second);
        let others = others.filter(|other| *other >= now).take(ASKED);
        let (mut against, mut for_) = (0, 0);
        others.for_each(|other| {
            if other < second {
                against += 1
            } else {
                for_ += 1
            }
        });
        let is_last = against == 0 && for_ == 0;
        let is_wrong = is_last && second - now > TOMORROW && second - wall.second() > TOMORROW;
        start(if against > for_ || is_wrong {
            now
        } else {
            second
        })
    }
}
