//! What states, sets and rules see of a batch: runs of records that are alike (`flow::observed`), for
//! each input of the plan. Owned by one mapper, emptied for every batch.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::expr::condition::View;
use crate::expr::input::{Input, Observe};
use crate::flow::fingerprint::Fingerprint;
use crate::flow::key::Grouping;
use crate::flow::mapped::SAMPLE_BYTES_MAX;
use crate::flow::observed::{Advance, Number, Observed, Run};
use crate::flow::row::Row;
use crate::flow::sample::{Bucket, WEIGHT_MAX};
use crate::flow::span::Span;
use crate::stages::aggregate::quantity;
use crate::stages::fingerprint::Masker;
use crate::stages::group_key;

/// A local number that is not given yet, or a record without the group.
const NONE: u32 = u32::MAX;

/// The group of this record was not looked up yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// Scratch of one mapper.
pub struct Observer {
    inputs: Vec<Watched>,
    /// Those of the inputs, each once.
    groupings: Vec<Grouping>,
    hasher: RandomState,
    /// Keys of this batch, by grouping and key, with their hashes.
    keys: HashTable<(u64, u32)>,
    key_spans: Vec<(u16, Span)>,
    /// The key of the last record that had one, by grouping.
    last: Vec<u32>,
    /// Group of the record at hand, by grouping.
    at: Vec<u32>,
    /// Runs that are found by what they are of, not by being the last of their key.
    by_text: HashTable<(u64, u32)>,
    masker: Masker,
    key: Vec<u8>,
    observed: Observed,
    /// How far the newest second had moved on when each run began.
    epochs: Vec<u32>,
    /// Some condition looks at the fingerprint.
    pub labels: bool,
    /// The line of the record at hand, once a run that begins with it has put it down.
    sample: Option<Span>,
}

/// An input, and where its runs stand.
struct Watched {
    input: Input,
    grouping: usize,
    /// The last run of each key of the batch.
    runs: Vec<u32>,
}

/// Where a record stands and what is shown of it.
pub struct Sighting<'a> {
    /// Its first line, without the line feed.
    pub line: &'a [u8],
    /// Offset in the batch.
    pub start: u32,
    /// How many records of the batch stand before it.
    pub ordinal: u32,
}

impl Observer {
    pub fn new(inputs: &[Input]) -> Observer {
        let mut groupings: Vec<Grouping> = Vec::new();
        let inputs: Vec<Watched> = inputs
            .iter()
            .map(|input| {
                let known = groupings
                    .iter()
                    .position(|grouping| grouping.fields == input.grouping.fields);
                let grouping = known.unwrap_or_else(|| {
                    groupings.push(input.grouping.clone());
                    groupings.len() - 1
                });
                Watched {
                    input: input.clone(),
                    grouping,
                    runs: Vec::new(),
                }
            })
            .collect();
        Observer {
            labels: inputs.iter().any(|watched| {
                let condition = watched.input.condition.as_ref();
                condition.is_some_and(|(_, condition)| condition.needs().fingerprint)
            }),
            inputs,
            last: vec![NONE; groupings.len()],
            at: vec![UNKNOWN; groupings.len()],
            groupings,
            hasher: RandomState::default(),
            keys: HashTable::new(),
            key_spans: Vec::new(),
            by_text: HashTable::new(),
            masker: Masker::default(),
            key: Vec::new(),
            observed: Observed::default(),
            epochs: Vec::new(),
            sample: None,
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
        if advances.last().is_none_or(|last| last.second < second) {
            advances.push(Advance { ordinal, second });
        }
    }

    /// Shows one record to every input, after [`Observer::advance`] was told of it.
    pub fn record(&mut self, row: &Row, record: &[u8], view: &View<'_>, sighting: &Sighting<'_>) {
        self.at.fill(UNKNOWN);
        self.sample = None;
        let epoch = self.observed.advances.len() as u32;
        let weight = if row.weight == 1.0 {
            1
        } else {
            (row.weight.round() as u32).clamp(1, WEIGHT_MAX)
        };
        // Masked at most once, whatever number of inputs wants it.
        let mut message = None;
        for place in 0..self.inputs.len() {
            let watched = &self.inputs[place];
            let input = &watched.input;
            if let Some((_, condition)) = &input.condition
                && !condition.holds(view)
            {
                continue;
            }
            let number = match input.observe {
                Observe::Numbers(slot) => match quantity(row, record, row.values[slot]) {
                    Some(quantity) => Some(quantity.value),
                    None => continue,
                },
                _ => None,
            };
            let (observe, by_second, each) = (input.observe, input.by_second, input.each);
            let group = self.group(watched.grouping, row, record, view.source);
            if group == NONE {
                continue;
            }
            let mut fingerprint = Fingerprint::default();
            let text: &[u8] = match observe {
                Observe::Records | Observe::Numbers(_) => b"",
                Observe::Texts(field) => match group_key::text(field, row, record, view.source) {
                    Some(text) => &text[..text.len().min(group_key::VALUE_BYTES_MAX)],
                    None => continue,
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
            // The order of messages among each other does not matter; that of values does. A record
            // without a time is no run with others: the first one that has a time begins the learning.
            let is_found_by_text = observe == Observe::Messages;
            let second = row.time.map(|time| time.second());
            let observed = &mut self.observed;
            let epochs = &self.epochs;
            let is_like = |number: u32, runs: &[Run], bytes: &[u8]| {
                let run = &runs[number as usize];
                let is_now = epochs[number as usize] == epoch
                    && run.time.map(|time| time.second()) == second;
                let is_timed = run.time.is_some() == second.is_some();
                // Most inputs have no text, and a comparison of nothing with nothing is a call too.
                let is_same = || {
                    if text.is_empty() {
                        run.text.is_empty()
                    } else {
                        run.text.of(bytes) == text
                    }
                };
                is_timed && (!by_second || is_now) && is_same()
            };
            let key = self.key_spans[group as usize].1;
            let mut found = NONE;
            let mut hash = 0;
            if each {
            } else if is_found_by_text {
                let of_second = by_second.then_some((second, epoch));
                hash = self.hasher.hash_one((place, group, of_second, text));
                let runs = &observed.runs;
                let is_it = |&(_, number): &(u64, u32)| {
                    let run = &runs[number as usize];
                    run.input as usize == place
                        && run.key == key
                        && is_like(number, runs, &observed.bytes)
                };
                found = self.by_text.find(hash, is_it).map_or(NONE, |entry| entry.1);
            } else if let Some(&last) = self.inputs[place].runs.get(group as usize)
                && last != NONE
                && is_like(last, &observed.runs, &observed.bytes)
            {
                found = last;
            }
            if found == NONE {
                found = observed.runs.len() as u32;
                let push = |bytes: &mut Vec<u8>, part: &[u8]| {
                    let start = bytes.len();
                    bytes.extend_from_slice(part);
                    Span::new(start..bytes.len())
                };
                let text = push(&mut observed.bytes, text);
                let sample = *self.sample.get_or_insert_with(|| {
                    let line = &sighting.line[..sighting.line.len().min(SAMPLE_BYTES_MAX)];
                    push(&mut observed.bytes, line)
                });
                observed.runs.push(Run {
                    input: place as u16,
                    key,
                    text,
                    fingerprint,
                    time: row.time,
                    newest: row.time,
                    count: 0,
                    ordinal: sighting.ordinal,
                    start: sighting.start,
                    sample,
                });
                self.epochs.push(epoch);
                if is_found_by_text && !each {
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
            run.count += u64::from(weight);
            run.newest = run.newest.max(row.time);
            if let Some(value) = number {
                observed.numbers.push(Number {
                    run: found,
                    value,
                    bucket: Bucket::of(value),
                    weight,
                });
            }
        }
    }

    /// The number of the record's group in this batch; [`NONE`] if it lacks a field.
    fn group(&mut self, grouping: usize, row: &Row, record: &[u8], source: &str) -> u32 {
        if self.at[grouping] != UNKNOWN {
            return self.at[grouping];
        }
        let number = self.look_up(grouping, row, record, source);
        self.at[grouping] = number;
        number
    }

    fn look_up(&mut self, grouping: usize, row: &Row, record: &[u8], source: &str) -> u32 {
        let fields = &self.groupings[grouping];
        if !group_key::encode(fields, row, record, source, &mut self.key) {
            return NONE;
        }
        let (observed, wanted) = (&mut self.observed, &*self.key);
        // Fast path: neighbours are often of one group.
        let last = self.last[grouping];
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
            self.last[grouping] = number;
            return number;
        }
        let number = self.key_spans.len() as u32;
        let start = observed.bytes.len();
        observed.bytes.extend_from_slice(wanted);
        self.key_spans
            .push((of, Span::new(start..observed.bytes.len())));
        self.keys
            .insert_unique(hash, (hash, number), |entry| entry.0);
        self.last[grouping] = number;
        number
    }

    /// What the batch came to; the scratch is empty afterwards.
    pub fn take(&mut self) -> Observed {
        self.keys.clear();
        self.key_spans.clear();
        self.by_text.clear();
        self.epochs.clear();
        self.last.fill(NONE);
        self.inputs
            .iter_mut()
            .for_each(|watched| watched.runs.clear());
        let observed = std::mem::take(&mut self.observed);
        // The next batch will be much like this one.
        self.observed.runs.reserve(observed.runs.len());
        self.observed.bytes.reserve(observed.bytes.len());
        self.observed.numbers.reserve(observed.numbers.len());
        observed
    }
}
