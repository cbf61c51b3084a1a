//! A batch that made the mapper panic is mapped again, record by record: only the records that panic
//! are kept out of parsing and tables, and they go out as they are. It is slow, and only after a panic.
//!
//! The result is the one that the batch would have had with these records set aside, so it does not
//! depend on where batches begin (law 1). Only when framing itself panics, every line is a record.

use std::collections::HashMap;

use super::output::{self, write_original};
use super::{Entry, Mapper, context, entry};
use crate::engine::faults::{self, guard};
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::Batch;
use crate::flow::fingerprint::{Fingerprint, xxh64};
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::mapped::{Fault, Mapped};
use crate::flow::output::Branches;
use crate::flow::row::Text;
use crate::flow::span::Span;
use crate::framing;
use crate::plan::{Plan, Task};

/// How often a batch is mapped again because a record panics only behind others; then all of its
/// records are set aside.
const TRIES_MAX: usize = 8;

/// What is known about a batch that panicked.
#[derive(Debug, Default)]
pub(super) struct Careful {
    step: Step,
    /// Why records are set aside, by their place in the chunk.
    faulted: HashMap<u32, String>,
    /// The record at hand.
    at: u32,
    /// Why every record is set aside.
    all: Option<String>,
    /// Only so many records are looked at; `None` for all.
    first: Option<usize>,
    /// Those that were, by their place in the chunk.
    seen: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Each record is tried by itself; nothing is kept.
    #[default]
    Try,
    /// The batch is mapped, but for records that are set aside.
    Map,
    /// The same with every line as a record: framing panics.
    Lines,
}

/// Maps a batch; after a panic, again and with care. `None` if that panics, too.
pub fn map<'p>(plan: &'p Plan, mapper: &mut Mapper<'p>, batch: &Batch) -> Option<Mapped> {
    // Fast path: there is no panic, and catching none costs nothing.
    match guard(|| mapper.map(batch)) {
        Ok(mapped) => Some(mapped),
        Err(reason) => map_again(plan, mapper, batch, &mut Box::default(), reason),
    }
}

/// Maps a batch with some records set aside from the start, and only the first so many of them. Returns
/// the places of the records that were mapped, too.
#[cold]
pub fn map_part<'p>(
    plan: &'p Plan,
    mapper: &mut Mapper<'p>,
    batch: &Batch,
    faulted: HashMap<u32, String>,
    first: Option<usize>,
) -> (Option<Mapped>, Vec<u32>) {
    let mut careful = Box::new(Careful {
        step: Step::Map,
        faulted,
        first,
        ..Careful::default()
    });
    let mapped = map_again(plan, mapper, batch, &mut careful, String::new());
    (mapped, careful.seen)
}

#[cold]
fn map_again<'p>(
    plan: &'p Plan,
    mapper: &mut Mapper<'p>,
    batch: &Batch,
    careful: &mut Box<Careful>,
    mut reason: String,
) -> Option<Mapped> {
    for tries in 0.. {
        // What a panic has left behind is of no use.
        *mapper = Mapper::new(plan);
        careful.seen.clear();
        mapper.careful = Some(std::mem::take(careful));
        let result = guard(|| mapper.map(batch));
        *careful = mapper.careful.take().unwrap_or_default();
        match (result, careful.step) {
            (Ok(_), Step::Try) => careful.step = Step::Map,
            (Ok(mapped), _) => return Some(mapped),
            (Err(_), Step::Lines) => break,
            (Err(_), Step::Map) if tries == 0 => careful.step = Step::Try,
            // Between two records there is only framing.
            (Err(framing), Step::Try) => {
                careful.step = Step::Lines;
                careful.all = Some(framing);
            }
            (Err(_), Step::Map) if careful.all.is_some() => careful.step = Step::Lines,
            (Err(late), Step::Map) => {
                if tries >= TRIES_MAX || careful.faulted.contains_key(&careful.at) {
                    careful.all = Some(late.clone());
                }
                careful.faulted.insert(careful.at, late.clone());
                reason = late;
            }
        }
    }
    faults::tell(&format!(
        "a batch of {} cannot be mapped: {reason}",
        batch.name
    ));
    mapper.renew();
    None
}

impl Mapper<'_> {
    /// Begins anew after a panic.
    fn renew(&mut self) {
        *self = Mapper::new(self.plan);
    }

    /// What [`Mapper::chunk`] does, without its fast paths, and with an eye on each record.
    pub(super) fn chunk_carefully(&mut self, batch: &Batch, chunk: &[u8], mapped: &mut Mapped) {
        let step = self.careful.as_ref().map(|careful| careful.step);
        if step == Some(Step::Lines) {
            return self.lines_as_records(batch, chunk, mapped);
        }
        let mut records = std::mem::take(&mut self.records);
        failpoint::panic_on(Failpoint::PanicFraming, chunk);
        self.framer.frame(chunk, &mut records);
        mapped.counts.lines += new_lines(batch, chunk, u64::from(records.line_count()));
        let context = context(batch);
        let all = records.all();
        let known = all.partition_point(|record| (record.lines.start as usize) < context);
        mapped.counts.records += (all.len() - known) as u64;
        for (ordinal, record) in all.iter().enumerate() {
            let mut head = [Span::default()];
            let entry = entry(&records, chunk, record, ordinal as u32);
            let entry = self.judged(entry, chunk, record, &mut head);
            if ordinal < known {
                self.go_on(batch, chunk, &entry, mapped, Self::record_carefully);
            } else {
                self.record_carefully(batch, chunk, &entry, mapped);
            }
        }
        self.records = records;
    }

    fn lines_as_records(&mut self, batch: &Batch, chunk: &[u8], mapped: &mut Mapped) {
        let from = context(batch);
        let before = memchr::memchr_iter(b'\n', &chunk[..from]).count();
        let mut start = from;
        for (ordinal, line) in chunk[from..]
            .split_inclusive(|&byte| byte == b'\n')
            .enumerate()
        {
            let lines = [Span::new(start..start + line.len())];
            start += line.len();
            let entry = Entry {
                payload: framing::text(line),
                searched: Some(line),
                lines: &lines,
                written: &lines,
                line: (before + ordinal) as u32,
                ordinal: ordinal as u32,
                container_time: None,
                container: None,
                branches: Branches::FIRST,
            };
            mapped.counts.lines += 1;
            mapped.counts.records += 1;
            self.record_carefully(batch, chunk, &entry, mapped);
        }
    }

    fn record_carefully(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        mapped: &mut Mapped,
    ) {
        let careful = self.careful.as_mut().expect("the batch is mapped again");
        if careful
            .first
            .is_some_and(|first| careful.seen.len() >= first)
        {
            return;
        }
        careful.seen.push(entry.lines[0].start);
        // The search over a chunk passes these over (law 5).
        let surrounds = self
            .plan
            .task
            .lines()
            .is_some_and(|task| task.has_context());
        if let Some(candidates) = &self.candidates
            && !surrounds
            && batch.facts.csv.is_none()
            && entry.container.is_none()
            && let Some(searched) = entry.searched
            && !candidates.hold_in(searched, &mut self.lowered)
        {
            return self.drop(batch, chunk, entry, mapped);
        }
        let careful = self.careful.as_mut().expect("the batch has panicked");
        careful.at = entry.lines[0].start;
        let why = careful.faulted.get(&careful.at).or(careful.all.as_ref());
        if let Some(reason) = why.cloned() {
            return self.set_aside(batch, chunk, entry, mapped, reason);
        }
        if careful.step == Step::Map {
            return self.record(batch, chunk, entry, mapped);
        }
        let tried = guard(|| self.record(batch, chunk, entry, mapped));
        if let Err(reason) = tried {
            let mut careful = self.careful.take().expect("the batch has panicked");
            careful.faulted.insert(careful.at, reason);
            self.renew();
            self.careful = Some(careful);
            self.parsers.set_facts(&batch.facts);
            self.facts = Some(batch.facts.clone());
        }
    }

    /// A record that panics: kept, whatever conditions would say of it, and written as it is. Texts that
    /// are looked for in its bytes still decide.
    fn set_aside(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        mapped: &mut Mapped,
        reason: String,
    ) {
        let plan = self.plan;
        let select = &plan.select;
        let kept = plan.task.run().and_then(|run| run.lines.as_ref());
        let kept = kept.map(|lines| (lines.literals.as_ref(), lines.invert));
        for (literals, invert) in [Some((select.literals.as_ref(), select.invert)), kept]
            .into_iter()
            .flatten()
        {
            if let (Some(literals), Some(searched)) = (literals, entry.searched)
                && literals.hold_in(searched, &mut self.lowered) == invert
            {
                return self.drop(batch, chunk, entry, mapped);
            }
        }
        mapped.counts.kept += 1;
        mapped.counts.faulted += 1;
        mapped.formats[Format::Plain as usize] += 1;
        if !matches!(plan.task, Task::Lines(_)) {
            mapped.counts.no_time += 1;
            mapped.tables.levels[Level::index(None)] += 1;
        }
        let mut bytes = Vec::new();
        for lines in entry.lines {
            bytes.extend_from_slice(lines.of(chunk));
        }
        mapped.faults.push(Fault {
            line: output::line_in_batch(batch, entry),
            offset: batch.position + batch.header_bytes as u64 + u64::from(entry.lines[0].start),
            bytes,
            reason,
        });
        let Some(task) = plan.task.lines().filter(|task| !task.count) else {
            return;
        };
        let mut entry = *entry;
        for branch in 1..self.branches.len() {
            entry.branches.add(branch);
        }
        if task.decided_by_fold() {
            self.row.reset();
            self.row.format = Format::Plain;
            self.row.message = Text::record(0, entry.payload.len());
            // A message that has nothing to mask is its own mask.
            let identity = xxh64(entry.payload);
            let from = mapped.masks.len();
            let mut fingerprint = Fingerprint::default();
            if self.masks_lines() {
                mapped.masks.extend_from_slice(entry.payload);
                fingerprint = Fingerprint(identity);
            }
            let masked = Span::new(from..mapped.masks.len());
            let line = (identity, masked, fingerprint);
            self.hand_over_masked(batch, chunk, &entry, mapped, true, line);
            return;
        }
        write_original(&mut mapped.lines, batch, chunk, &entry);
        if !self.joins() {
            for lines in &mut mapped.others {
                write_original(lines, batch, chunk, &entry);
            }
        }
    }
}

/// How many of the chunk's lines no batch had before.
fn new_lines(batch: &Batch, chunk: &[u8], all: u64) -> u64 {
    all - memchr::memchr_iter(b'\n', &chunk[..context(batch)]).count() as u64
}
