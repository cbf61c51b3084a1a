//! What states, sets and rules see of a batch: runs of records that are alike (`flow::observed`), for
//! each input of the plan. Owned by one mapper, emptied for every batch.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::expr::condition::{Condition, View};
use crate::expr::input::{Input, Observe};
use crate::flow::fingerprint::Fingerprint;
use crate::flow::key::Grouping;
use crate::flow::observed::{Advance, Line, Met, Number, Observed, Run};
use crate::flow::row::Row;
use crate::flow::sample::WEIGHT_MAX;
use crate::flow::span::Span;
use crate::stages::fingerprint::Masker;
use crate::stages::group_key;
use crate::stages::quantities::Quantities;

/// A local number that is not given yet, or a record without the group.
const NONE: u32 = u32::MAX;

/// The group of this record was not looked up yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// Scratch of one mapper.
pub struct Observer {
    inputs: Vec<Watched>,
    /// Those of the inputs, each once, and what they say of the record at hand once somebody asked.
    conditions: Vec<(Condition, Option<bool>)>,
    /// Those of the inputs, each once.
    groupings: Vec<Watching>,
    hasher: RandomState,
    /// Keys of this batch, by grouping and key, with their hashes.
    keys: HashTable<(u64, u32)>,
    key_spans: Vec<(u16, Span)>,
    /// Runs that are found by what they are of, not by being the last of their key.
    by_text: HashTable<(u64, u32)>,
    masker: Masker,
    key: Vec<u8>,
    observed: Observed,
    /// When each run began.
    moments: Vec<Moment>,
    /// The newest second of the batch, and how often it has moved on.
    newest: Option<i64>,
    epoch: u32,
    /// Some condition looks at the fingerprint.
    pub labels: bool,
}

/// An input, and where its runs stand.
struct Watched {
    /// Place among the conditions.
    condition: Option<usize>,
    observe: Observe,
    by_second: bool,
    each: bool,
    grouping: usize,
    /// The last run of each key of the batch.
    runs: Vec<u32>,
    met: Met,
}

/// A grouping, and what is known of its groups.
struct Watching {
    grouping: Grouping,
    /// The key of the last record that had one.
    last: u32,
    /// Group of the record at hand.
    at: u32,
    /// Which of the tables' groupings is the same.
    tables: Option<usize>,
    /// By number of the tables' group: our number of it.
    known: Vec<u32>,
}

/// What decides whether a record may join a run.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment {
    /// How far the newest second had moved on.
    epoch: u32,
    /// Second of the record, if it has a time.
    second: Option<i64>,
}

/// Where a record stands and what is shown of it.
pub struct Sighting<'a> {
    /// Its first line in the batch, without the line feed.
    pub line: Span,
    /// How many records of the batch stand before it.
    pub ordinal: u32,
    /// What the tables know of the record: its groups, one for each of their groupings.
    pub groups: &'a [u32],
}

impl Observer {
    /// `tables` are the groupings of the tables of a report that are made beside.
    pub fn new(inputs: &[Input], tables: &[Grouping]) -> Observer {
        let mut groupings: Vec<Watching> = Vec::new();
        let mut conditions: Vec<(Condition, Option<bool>)> = Vec::new();
        let mut texts: Vec<&str> = Vec::new();
        let inputs: Vec<Watched> = inputs
            .iter()
            .map(|input| {
                let fields = &input.grouping.fields;
                let known = groupings
                    .iter()
                    .position(|watching| watching.grouping.fields == *fields);
                let grouping = known.unwrap_or_else(|| {
                    groupings.push(Watching {
                        grouping: input.grouping.clone(),
                        last: NONE,
                        at: UNKNOWN,
                        tables: tables.iter().position(|table| table.fields == *fields),
                        known: Vec::new(),
                    });
                    groupings.len() - 1
                });
                let condition = input.condition.as_ref().map(|(text, condition)| {
                    let known = texts.iter().position(|known| known == text);
                    known.unwrap_or_else(|| {
                        texts.push(text);
                        conditions.push((condition.clone(), None));
                        conditions.len() - 1
                    })
                });
                Watched {
                    condition,
                    observe: input.observe,
                    by_second: input.by_second,
                    each: input.each,
                    grouping,
                    runs: Vec::new(),
                    met: Met::default(),
                }
            })
            .collect();
        let labels = |(condition, _): &(Condition, _)| condition.needs().fingerprint;
        Observer {
            labels: conditions.iter().any(labels),
            inputs,
            conditions,
            groupings,
            hasher: RandomState::default(),
            keys: HashTable::new(),
            key_spans: Vec::new(),
            by_text: HashTable::new(),
            masker: Masker::default(),
            key: Vec::new(),
            observed: Observed::default(),
            moments: Vec::new(),
            newest: None,
            epoch: 0,
        }
    }

    /// Whether nobody wants to see more of a record than its time.
    pub fn is_blind(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Puts down how far time has come with a record; `ordinal` records of the batch stand before it.
    pub fn advance(&mut self, row: &Row, ordinal: u32) {
        let Some(second) = row.time.map(|time| time.second()) else {
            return;
        };
        let advances = &mut self.observed.advances;
        if advances.last().is_none_or(|last| last.second != second) {
            advances.push(Advance { ordinal, second });
            if self.newest.is_none_or(|newest| newest < second) {
                self.newest = Some(second);
                self.epoch += 1;
            }
        }
    }

    /// The numbers of the tables' groups begin anew.
    pub fn part_ended(&mut self) {
        for watching in &mut self.groupings {
            watching.known.clear();
        }
    }

    /// Shows one record to every input, after [`Observer::advance`] was told of it.
    pub fn record(
        &mut self,
        row: &Row,
        record: &[u8],
        view: &View<'_>,
        sighting: &Sighting<'_>,
        quantities: &mut Quantities,
    ) {
        for watching in &mut self.groupings {
            watching.at = UNKNOWN;
        }
        for (_, verdict) in &mut self.conditions {
            *verdict = None;
        }
        let moment = Moment {
            epoch: self.epoch,
            second: row.time.map(|time| time.second()),
        };
        let weight = if row.weight == 1.0 {
            1
        } else {
            (row.weight.round() as u32).clamp(1, WEIGHT_MAX)
        };
        // Masked at most once, whatever number of inputs wants it.
        let mut message = None;
        for place in 0..self.inputs.len() {
            let watched = &self.inputs[place];
            if let Some(condition) = watched.condition {
                let (condition, verdict) = &mut self.conditions[condition];
                if !*verdict.get_or_insert_with(|| condition.holds(view)) {
                    continue;
                }
            }
            let (observe, by_second, each) = (watched.observe, watched.by_second, watched.each);
            let grouping = watched.grouping;
            self.inputs[place].met.met += 1;
            let measured = match observe {
                Observe::Numbers(slot) => match quantities.of(slot, row, record) {
                    Some(measured) => Some(measured),
                    None => {
                        self.inputs[place].met.unvalued += 1;
                        continue;
                    }
                },
                _ => None,
            };
            let mut group = self.groupings[grouping].at;
            if group == UNKNOWN {
                group = self.look_up(place, row, record, view.source, sighting.groups);
            }
            if group == NONE {
                self.inputs[place].met.ungrouped += 1;
                continue;
            }
            let mut fingerprint = Fingerprint::default();
            let text: &[u8] = match observe {
                Observe::Records | Observe::Numbers(_) => b"",
                Observe::Texts(field) => match group_key::text(field, row, record, view.source) {
                    Some(text) => &text[..text.len().min(group_key::VALUE_BYTES_MAX)],
                    None => {
                        self.inputs[place].met.unvalued += 1;
                        continue;
                    }
                },
                Observe::Messages => {
                    if message.is_none() {
                        let (masked, hash) = self.masker.mask(row.bytes(record, row.message));
                        message = Some((masked.to_vec(), hash));
                    }
                    let (masked, hash) = message.as_ref().expect("it was just made");
                    fingerprint = *hash;
                    masked
                }
            };
            // The order of messages among each other does not matter; that of values does.
            let is_found_by_text = observe == Observe::Messages && !each;
            let observed = &mut self.observed;
            let moments = &self.moments;
            // A record without a time is no run with others: the first one that has a time begins the
            // learning.
            let is_like = |number: u32| {
                let began = moments[number as usize];
                let is_same = if by_second {
                    began == moment
                } else {
                    began.second.is_some() == moment.second.is_some()
                };
                // Most inputs have no text, and a comparison of nothing with nothing is a call too.
                let run = &observed.runs[number as usize];
                is_same
                    && run.text.len() == text.len()
                    && (text.is_empty() || run.text.of(&observed.bytes) == text)
            };
            let mut found = NONE;
            let mut hash = 0;
            if is_found_by_text {
                let key = self.key_spans[group as usize].1;
                let of_moment = by_second.then_some((moment.second, moment.epoch));
                hash = self.hasher.hash_one((place, group, of_moment, text));
                let is_it = |&(_, number): &(u64, u32)| {
                    let run = &observed.runs[number as usize];
                    run.input as usize == place && run.key == key && is_like(number)
                };
                found = self.by_text.find(hash, is_it).map_or(NONE, |entry| entry.1);
            } else if !each
                && let Some(&last) = self.inputs[place].runs.get(group as usize)
                && last != NONE
                && is_like(last)
            {
                found = last;
            }
            if found == NONE {
                found = observed.runs.len() as u32;
                let start = observed.bytes.len();
                observed.bytes.extend_from_slice(text);
                observed.runs.push(Run {
                    input: place as u16,
                    key: self.key_spans[group as usize].1,
                    text: Span::new(start..observed.bytes.len()),
                    fingerprint,
                    time: row.time,
                    newest: row.time,
                    count: 0,
                    ordinal: sighting.ordinal,
                    sample: sighting.line,
                });
                self.moments.push(moment);
                if is_found_by_text {
                    self.by_text
                        .insert_unique(hash, (hash, found), |entry| entry.0);
                }
                let runs = &mut self.inputs[place].runs;
                if runs.len() <= group as usize {
                    runs.resize(group as usize + 1, NONE);
                }
                runs[group as usize] = found;
            }
            let run = &mut observed.runs[found as usize];
            if observe != Observe::Messages && run.count > 0 && run.count < Observed::LINES_MAX {
                observed.lines.push(Line {
                    run: found,
                    sample: sighting.line,
                });
            }
            run.count += u64::from(weight);
            run.newest = run.newest.max(row.time);
            if let Some(measured) = measured {
                observed.numbers.push(Number {
                    run: found,
                    value: measured.value,
                    bucket: measured.bucket,
                    weight,
                });
            }
        }
    }

    /// The number of the record's group in this batch, of the grouping of the input at `place`;
    /// [`NONE`] if it lacks a field.
    fn look_up(
        &mut self,
        place: usize,
        row: &Row,
        record: &[u8],
        source: &str,
        groups: &[u32],
    ) -> u32 {
        let number = self.inputs[place].grouping;
        let watching = &self.groupings[number];
        // Fast path: the tables know it already.
        let theirs = watching.tables.and_then(|of| groups.get(of)).copied();
        let known = theirs.and_then(|theirs| watching.known.get(theirs as usize));
        let group = match known {
            Some(&known) if known != NONE => known,
            _ => self.search(number, row, record, source),
        };
        let watching = &mut self.groupings[number];
        watching.at = group;
        if let Some(theirs) = theirs
            && group != NONE
        {
            let theirs = theirs as usize;
            if watching.known.len() <= theirs {
                watching.known.resize(theirs + 1, NONE);
            }
            watching.known[theirs] = group;
        }
        group
    }

    fn search(&mut self, grouping: usize, row: &Row, record: &[u8], source: &str) -> u32 {
        let watching = &mut self.groupings[grouping];
        if !group_key::encode(&watching.grouping, row, record, source, &mut self.key) {
            return NONE;
        }
        let (observed, wanted) = (&mut self.observed, &*self.key);
        // Fast path: neighbours are often of one group.
        let last = watching.last;
        if last != NONE && self.key_spans[last as usize].1.of(&observed.bytes) == wanted {
            return last;
        }
        let of = grouping as u16;
        let hash = self.hasher.hash_one((of, wanted));
        let spans = &self.key_spans;
        let is_it = |&(_, number): &(u64, u32)| {
            let (grouping, span) = spans[number as usize];
            grouping == of && span.of(&observed.bytes) == wanted
        };
        if let Some(&(_, number)) = self.keys.find(hash, is_it) {
            watching.last = number;
            return number;
        }
        let number = self.key_spans.len() as u32;
        let start = observed.bytes.len();
        observed.bytes.extend_from_slice(wanted);
        self.key_spans
            .push((of, Span::new(start..observed.bytes.len())));
        self.keys
            .insert_unique(hash, (hash, number), |entry| entry.0);
        watching.last = number;
        number
    }

    /// What the batch came to, but for its content; the scratch is empty afterwards.
    pub fn take(&mut self) -> Observed {
        self.keys.clear();
        self.key_spans.clear();
        self.by_text.clear();
        self.moments.clear();
        self.part_ended();
        for watching in &mut self.groupings {
            watching.last = NONE;
        }
        (self.newest, self.epoch) = (None, 0);
        for (place, watched) in self.inputs.iter_mut().enumerate() {
            watched.runs.clear();
            let met = std::mem::take(&mut watched.met);
            if met.met > 0 {
                let input = place as u16;
                self.observed.met.push(Met { input, ..met });
            }
        }
        // Stable: the lines of a run stay in their order.
        self.observed.lines.sort_by_key(|line| line.run);
        let observed = std::mem::take(&mut self.observed);
        // The next batch will be much like this one.
        self.observed.runs.reserve(observed.runs.len());
        self.observed.bytes.reserve(observed.bytes.len());
        self.observed.numbers.reserve(observed.numbers.len());
        observed
    }
}
