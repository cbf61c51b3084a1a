//! The fold: takes what the mappers made in the order of reading, and alone holds state.

use crate::failpoint::{self, Failpoint};
use crate::flow::mapped::Mapped;
use crate::flow::output::{Accepted, Output, Took};
use crate::flow::time::Time;
use crate::plan::{Plan, RunTask};
use crate::rules::moment::Reads;
use crate::rules::{self, Rules};
use crate::state::lines::Lines;
use crate::state::places::Places;
use crate::state::summaries::Summaries;
use crate::state::{self, Shape, State};
use crate::store::checkpoint::Watched;

/// What a run begins with: nothing, or what a run before it knew at the border between two batches.
#[derive(Clone)]
pub struct Known {
    pub state: State,
    pub lines: Option<Lines>,
    pub places: Places,
    /// What the sink was expected to have accepted.
    pub sent: Accepted,
    /// Of a `weir run`.
    pub watched: Option<Watched>,
}

impl From<State> for Known {
    fn from(state: State) -> Known {
        Known {
            state,
            lines: None,
            places: Places::default(),
            sent: Accepted::default(),
            watched: None,
        }
    }
}

/// Rules and summaries that go on from what is known.
fn watch(
    task: &RunTask,
    known: Option<Watched>,
    shape: &Shape,
) -> (Option<Rules>, Option<Summaries>) {
    let (saved, summaries) = match known {
        Some(known) => (Some(known.rules), known.summaries),
        None => (None, None),
    };
    let rules = match saved {
        Some(saved) => Rules::resume(task.rules.clone(), saved),
        None => Rules::new(task.rules.clone()),
    };
    let fresh = |seconds| Summaries::new(seconds, shape.clone());
    let summaries = task.interval_seconds.map(|seconds| {
        let known = summaries.filter(|known| known.fits(seconds, shape));
        known.unwrap_or_else(|| fresh(seconds))
    });
    (Some(rules), summaries)
}

/// Summaries follow a wall clock that was set back.
fn go_back(rules: &mut Rules, summaries: &mut Summaries) {
    if rules.went_back()
        && let Some(moment) = rules.watermark().or(rules.now())
    {
        summaries.go_back(moment);
    }
}

/// All state of a run, and what it expects the sink to have accepted.
pub struct Fold {
    pub state: State,
    /// Where the followed files stand after what was taken in.
    pub places: Places,
    /// Of a `weir run`.
    pub rules: Option<Rules>,
    pub summaries: Option<Summaries>,
    /// Wall-clock time of a live run, set before batches are taken in.
    pub arrival: Option<Time>,
    /// Whether all that was written has been taken in, set before batches are and before time passes.
    pub reads: Reads,
    lines: Option<Lines>,
    sent: Accepted,
    /// Bytes of each branch in this run.
    branched: Vec<u64>,
    /// Bytes that the reader counted and that were gone when a mapper came to read them.
    lost_bytes: u64,
    /// Bytes of the batches taken in so far, as the reader handed them over.
    read_bytes: u64,
    /// Bytes that the ledger had at the start, read by runs before this one.
    bytes_before: u64,
}

impl Fold {
    /// Goes on from what is known.
    pub fn new(plan: &Plan, known: Known) -> Fold {
        let lines = match plan.task.lines() {
            Some(task) if !task.count => {
                let kept = plan.task.kept();
                let conditions: Vec<Option<&str>> = match kept {
                    Some(kept) => {
                        let branches = kept.branches.iter();
                        branches.map(|branch| branch.text.as_deref()).collect()
                    }
                    None => vec![None],
                };
                let joined = kept.is_some_and(|kept| kept.joined);
                Some(Lines::resume(known.lines, task, &conditions, joined))
            }
            _ => None,
        };
        let (rules, summaries) = match plan.task.run() {
            Some(task) => watch(task, known.watched, &known.state.shape),
            None => (None, None),
        };
        Fold {
            bytes_before: known.state.ledger.bytes,
            rules,
            summaries,
            arrival: None,
            reads: Reads::Unknown,
            state: known.state,
            places: known.places,
            lines,
            sent: known.sent,
            branched: Vec::new(),
            lost_bytes: 0,
            read_bytes: 0,
        }
    }

    /// A copy of everything, for a checkpoint.
    pub fn known(&mut self) -> Known {
        Known {
            state: self.state.share(),
            lines: self.lines.clone(),
            places: self.places.clone(),
            sent: self.sent,
            watched: self.rules.as_ref().map(|rules| Watched {
                rules: rules.save(),
                summaries: self.summaries.as_mut().map(Summaries::share),
            }),
        }
    }

    /// Takes in the next batch; returns what of it goes to the sink.
    pub fn absorb(&mut self, mapped: &mut Mapped) -> Output {
        self.take_in(mapped, true)
    }

    /// The same for all but the rules, which are shown the batch apart.
    pub fn absorb_tables(&mut self, mapped: &mut Mapped) -> Output {
        self.take_in(mapped, false)
    }

    fn take_in(&mut self, mapped: &mut Mapped, shows_rules: bool) -> Output {
        if let Some(mark) = &mapped.mark {
            self.state.inputs.reserve(mark.births.len());
            for birth in &mark.births {
                self.state.open_followed(birth.source, &birth.name);
            }
            mapped.source = State::followed(mapped.source);
            let losses = &mut self.state.losses;
            losses.absorb(mark, &self.places, mapped.lost_bytes);
            self.places.absorb(mark);
        }
        let records = self.state.ledger.records;
        self.state.absorb(mapped);
        if shows_rules {
            self.watch(mapped, records);
        }
        self.lost_bytes += mapped.lost_bytes;
        self.read_bytes += mapped.read_bytes;
        let faults = mapped.faults.iter().map(|fault| &*fault.bytes);
        failpoint::panic_on_more(Failpoint::PanicFold, &mapped.lines, faults);
        // Of a report there are no lines.
        let samples = &mapped.tables.messages.samples;
        failpoint::panic_on(Failpoint::PanicFold, samples);
        let mut output = match &mut self.lines {
            Some(lines) => {
                let kept = self.state.ledger.kept;
                let output = lines.absorb(mapped, &mut self.state.ledger);
                self.state.inputs[mapped.source.0 as usize].kept -= kept - self.state.ledger.kept;
                self.expect(output)
            }
            None => Output::default(),
        };
        output.mark = mapped.mark.take();
        output
    }

    /// Lines that are unaccounted for among those of the batches taken in so far. What the sinks took is
    /// compared by the writer.
    pub fn unaccounted(&self) -> u64 {
        let read = self.bytes_before.saturating_add(self.read_bytes);
        let ledger = &self.state.ledger;
        ledger.missing(read.saturating_sub(self.lost_bytes))
    }

    /// Shows the batch to rules and summaries; `records` stand before it.
    fn watch(&mut self, mapped: &Mapped, records: u64) {
        let Some(rules) = &mut self.rules else { return };
        // A batch that only tells of a file's birth or end does not say how late it is.
        if mapped.counts.records == 0 {
            return;
        }
        rules.reading(self.reads, self.state.inputs.len());
        let name = &self.state.inputs[mapped.source.0 as usize].name;
        let from = rules::From {
            source: mapped.source,
            position: mapped.position,
            arrival: self.arrival,
            name,
        };
        rules.absorb(&mapped.observed, &from);
        if let Some(summaries) = &mut self.summaries {
            go_back(rules, summaries);
            let latest = self.arrival.and_then(|arrival| rules.latest(arrival));
            summaries.absorb(mapped, name, records, self.arrival, latest);
            if let Some(watermark) = rules.watermark() {
                summaries.close(watermark);
            }
        }
    }

    /// Lets time pass in a live run.
    pub fn tick(&mut self, now: Time) {
        let Some(rules) = &mut self.rules else { return };
        rules.reading(self.reads, self.state.inputs.len());
        rules.tick(now);
        let Some(summaries) = &mut self.summaries else {
            return;
        };
        go_back(rules, summaries);
        if let Some(watermark) = rules.watermark() {
            summaries.close(watermark);
        }
    }

    /// The inputs have ended: rules are looked at once more, and every window closes.
    pub fn end_watch(&mut self) {
        if let Some(rules) = &mut self.rules {
            rules.finish(self.arrival);
        }
        if let Some(summaries) = &mut self.summaries {
            summaries.finish();
        }
    }

    /// The state with what rules know, for a report or a snapshot.
    pub fn reported(&mut self) -> State {
        let mut state = self.state.share();
        state.watched = self.watched().unwrap_or_default();
        state.ledger.unaccounted += self.unaccounted();
        state
    }

    fn watched(&self) -> Option<state::Watched> {
        let rules = self.rules.as_ref()?;
        Some(state::Watched {
            states: rules.states().to_vec(),
            sets: rules.sets().to_vec(),
            alerts: rules.alerts().cloned().collect(),
            at: rules.now(),
            approximate: rules.approximate(),
        })
    }

    /// What is still to be said when the inputs have ended.
    pub fn finish(&mut self) -> Output {
        let output = self.lines.as_mut().map(Lines::finish).unwrap_or_default();
        self.expect(output)
    }

    fn expect(&mut self, output: Output) -> Output {
        self.sent.records = self.sent.records.saturating_add(output.records);
        self.sent.bytes = self.sent.bytes.saturating_add(output.bytes.len() as u64);
        let branches = 1 + output.others.len();
        self.branched.resize(self.branched.len().max(branches), 0);
        for (branch, bytes) in self.branched[..branches].iter_mut().enumerate() {
            *bytes += output.of(branch).len() as u64;
        }
        output
    }

    /// Closes the books with what the reader and the sinks counted; the reader in this run, the first
    /// sink from [`Known::sent`] on. A record is accepted when every sink that it was for has taken it.
    /// Returns the state and the tables that a limit has made approximate.
    pub fn close(mut self, bytes_read: u64, accepted: Option<Accepted>, further: &[Took]) -> State {
        let written = accepted.map(|accepted| {
            // Bytes that a sink did not get are records that it did not get, whatever it counted.
            let of_branch = |branch: usize| self.branched.get(branch).copied().unwrap_or(0);
            let mut further = further.iter();
            let torn = u64::from(
                accepted.bytes != self.sent.bytes
                    || further.any(|took| took.bytes != of_branch(took.branch)),
            );
            accepted.records.min(self.sent.records).saturating_sub(torn)
        });
        let written = if self.lines.is_some() { written } else { None };
        let bytes_read = self.bytes_before.saturating_add(bytes_read);
        if let Some(watched) = self.watched() {
            self.state.watched = watched;
        }
        self.state
            .ledger
            .close(bytes_read.saturating_sub(self.lost_bytes), written);
        self.state.lines_approximate = self.lines.is_some_and(|lines| lines.is_approximate());
        self.state
    }
}
