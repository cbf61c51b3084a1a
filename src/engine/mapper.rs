//! A mapper: one batch at a time through frame ▸ parse ▸ filter ▸ dedup ▸ aggregate. It shares
//! nothing with others, and the same batch gives the same [`Mapped`] on every thread.

pub mod careful;
mod hits;
#[cfg(test)]
mod hostile;
mod output;
mod run;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::engine::mapper::careful::Careful;
use crate::expr::condition::{Condition, View};
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::{Batch, Content};
use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::mapped::{Mapped, Second, Tables};
use crate::flow::output::{Branches, DedupMode, LinesTask};
use crate::flow::row::Row;
use crate::flow::span::Span;
use crate::framing;
use crate::framing::container::Wrapping;
use crate::framing::count::count_records;
use crate::framing::frame::{Framer, Record, Records};
use crate::parsers::detect::Parsers;
use crate::plan::{Plan, ReportTask, Task};
use crate::stages::aggregate::Aggregate;
use crate::stages::literals::Literals;
use crate::stages::messages::{Distinct, Sighting};
use crate::stages::observe::Observer;
use crate::stages::quantities::Quantities;

/// The scratch of one mapper thread. Nothing in it outlives a batch but memory and caches.
pub struct Mapper<'p> {
    plan: &'p Plan,
    framer: Framer,
    records: Records,
    parsers: Parsers,
    /// The source facts that `parsers` reads with.
    facts: Option<Arc<Facts>>,
    row: Row,
    distinct: Distinct,
    aggregate: Aggregate,
    quantities: Quantities,
    /// There if some state, set or rule looks at records.
    observer: Option<Box<Observer>>,
    /// Of a run: which lines go out.
    kept: Option<Condition>,
    /// Of a run whose sinks of lines have conditions: one for each branch.
    branches: Vec<Option<Condition>>,
    condition: Option<Condition>,
    conditions: Vec<Condition>,
    /// Texts of which a selected record surely holds one: its chunk is searched before anything
    /// is parsed.
    candidates: Option<Literals>,
    lowered: Vec<u8>,
    label: String,
    /// The bytes of a batch that is a range of a file.
    buffer: Vec<u8>,
    /// Original lines of a container's record that has others between them.
    raw: Vec<u8>,
    /// Some condition of `--fail-on` looks at the fingerprint.
    labels_selected: bool,
    /// A record's first line decides about it (`LinesTask::as_they_come`).
    head_decides: bool,
    /// Lines to write of a record that began in the context.
    rest: Vec<Span>,
    /// There while a batch is mapped again that has panicked.
    careful: Option<Box<Careful>>,
}

/// One record as the stages see it.
#[derive(Clone, Copy)]
struct Entry<'a> {
    /// What is parsed, and what the row's spans are places in: unwrapped and joined, without a byte
    /// order mark before it; of a record whose lines go out as they come, the first line of that.
    payload: &'a [u8],
    /// What `-m` looks at: the original bytes, or the payload of a container's record. `None` if the
    /// record is here because a literal was found in it.
    searched: Option<&'a [u8]>,
    /// The original lines that it is judged by, with their line feeds, in the batch.
    lines: &'a [Span],
    /// The lines that are written if it is selected.
    written: &'a [Span],
    /// Number of the record's first line in the batch.
    line: u32,
    /// How many records of the batch stand before this one.
    ordinal: u32,
    container_time: Option<&'a [u8]>,
    container: Option<Format>,
    /// Where its lines go if they go out.
    branches: Branches,
}

impl<'p> Mapper<'p> {
    pub fn new(plan: &'p Plan) -> Mapper<'p> {
        let (tables, inputs) = match &plan.task {
            Task::Report(task) => (Some(task), &[][..]),
            Task::Lines(_) => (None, &[][..]),
            Task::Run(run) => (Some(&run.tables), run.inputs.list()),
        };
        let aggregate = match tables {
            Some(tables) => Aggregate::new(&tables.groupings, &tables.metrics),
            None => Aggregate::default(),
        };
        let kept = match &plan.task {
            Task::Run(run) => run.lines.as_ref().and_then(|lines| lines.condition.clone()),
            _ => None,
        };
        let branches = plan.task.kept().filter(|kept| kept.is_branched());
        let branches = branches.into_iter().flat_map(|kept| &kept.branches);
        let branches = branches.map(|branch| branch.condition.clone()).collect();
        let candidates = (plan.prefilter && plan.select.literals.is_none())
            .then(|| plan.select.condition.as_ref()?.required_literals())
            .flatten()
            .map(|mut literals| {
                // Where an escape may spell the text in another way, nothing can be said.
                literals.push(b"\\".to_vec());
                Literals::new(&literals, false)
            });
        Mapper {
            plan,
            framer: Framer::new(plan.multiline.clone()),
            records: Records::default(),
            parsers: Parsers::new(&plan.wanted),
            facts: None,
            row: Row::new(plan.wanted.paths.len()),
            distinct: Distinct::default(),
            aggregate,
            quantities: Quantities::default(),
            // Without inputs too: the windows of summaries close by the times that it sees.
            observer: plan
                .task
                .run()
                .map(|run| Box::new(Observer::new(inputs, &run.tables.groupings))),
            kept,
            branches,
            condition: plan.select.condition.clone(),
            conditions: plan.conditions.clone(),
            candidates,
            lowered: Vec::new(),
            label: String::new(),
            raw: Vec::new(),
            buffer: Vec::new(),
            labels_selected: plan
                .conditions
                .iter()
                .any(|condition| condition.needs().fingerprint),
            head_decides: plan.task.lines().is_some_and(|task| task.as_they_come),
            rest: Vec::new(),
            careful: None,
        }
    }

    /// Maps one batch. Pure: nothing but the batch and the plan decides the result.
    pub fn map(&mut self, batch: &Batch) -> Mapped {
        if !self
            .facts
            .as_ref()
            .is_some_and(|facts| Arc::ptr_eq(facts, &batch.facts))
        {
            self.parsers.set_facts(&batch.facts);
            self.facts = Some(Arc::clone(&batch.facts));
        }
        let mut mapped = Mapped {
            sequence: batch.sequence,
            source: batch.source,
            position: batch.position,
            lines_before: batch.lines_before,
            conditions: vec![0; self.conditions.len()],
            others: vec![Vec::new(); self.branches.len().saturating_sub(1)],
            ..Mapped::default()
        };
        let known = batch.context_bytes;
        let mut buffer = std::mem::take(&mut self.buffer);
        let bytes = match &batch.content {
            Content::Read(chunk) => chunk,
            Content::Range { file, length } => {
                buffer.resize(buffer.len().max(*length), 0);
                let (filled, problem) = read_at(file, batch.position, &mut buffer[..*length]);
                mapped.lost_bytes = (length - filled.max(known)) as u64;
                mapped.problem = problem.map(|problem| format!("{}: {problem}", batch.name));
                &buffer[..filled]
            }
        };
        mapped.counts.bytes = bytes.len().saturating_sub(known) as u64 + batch.cut_bytes;
        mapped.counts.truncated = u64::from(batch.cut_bytes > 0);
        if batch.header_bytes > known {
            mapped.counts.lines = u64::from(header_lines(batch));
        }
        let chunk = &bytes[batch.header_bytes..];
        if context(batch) < chunk.len() {
            match &self.careful {
                None => self.chunk(batch, chunk, &mut mapped),
                Some(_) => self.chunk_carefully(batch, chunk, &mut mapped),
            }
        }
        self.close_part(&mut mapped.tables);
        if let Some(observer) = &mut self.observer {
            mapped.observed = observer.take();
            if !mapped.observed.runs.is_empty() {
                mapped.observed.before.clone_from(&batch.before);
            }
        }
        let is_shown = !mapped.observed.runs.is_empty();
        if is_shown && matches!(batch.content, Content::Range { .. }) {
            mapped.observed.content = buffer;
        } else {
            self.buffer = buffer;
        }
        mapped
    }

    /// The batch is done with: hands its bytes on to those who look lines up in them, or back to be
    /// filled again.
    pub fn release(content: Content, mapped: &mut Mapped) -> Option<Vec<u8>> {
        let Content::Read(chunk) = content else {
            return None;
        };
        if mapped.observed.runs.is_empty() {
            return Some(chunk.into_buffer());
        }
        mapped.observed.content = chunk.into_buffer();
        None
    }

    /// Takes a buffer for the next batch that is a range of a file, if it has none.
    pub fn lend(&mut self, buffer: impl FnOnce() -> Option<Vec<u8>>) {
        if self.buffer.is_empty()
            && let Some(buffer) = buffer()
        {
            self.buffer = buffer;
        }
    }

    /// Puts what stands in the scratch to the part that it belongs to.
    fn close_part(&mut self, tables: &mut Tables) {
        tables.messages = self.distinct.take();
        (tables.groups, tables.samples) = self.aggregate.take();
        if let Some(observer) = &mut self.observer {
            observer.part_ended();
        }
    }

    fn chunk(&mut self, batch: &Batch, chunk: &[u8], mapped: &mut Mapped) {
        let plan = self.plan;
        let whole_records_pass = match &plan.task {
            Task::Lines(task) => {
                !plan.select.parses()
                    && task.level.is_none()
                    && !task.decided_by_fold()
                    && plan.conditions.is_empty()
            }
            Task::Report(_) | Task::Run(_) => false,
        };
        let surrounds = plan.task.lines().is_some_and(LinesTask::has_context);
        let searches = plan.prefilter && !surrounds;
        // Fast path: search the whole chunk, then find the records around the hits. Right because
        // `record_around` and `count_records` agree with the framer (a law of the framing room) and
        // every record is still judged by itself, unless the hit alone decides.
        if searches
            && (whole_records_pass
                || (plan.select.literals.is_some() && !plan.select.invert)
                // A CSV record's message may be made of names that stand in the header alone.
                || (self.candidates.is_some() && batch.facts.csv.is_none()))
        {
            let counts = count_records(&plan.multiline, chunk, context(batch));
            if counts.wrapped == 0 {
                mapped.counts.lines += counts.lines;
                mapped.counts.records += counts.records;
                if whole_records_pass {
                    self.pass_whole(batch, chunk, mapped);
                } else {
                    self.visit_hits(batch, chunk, mapped);
                }
                return;
            }
        }
        let mut records = std::mem::take(&mut self.records);
        failpoint::panic_on(Failpoint::PanicFraming, chunk);
        self.framer.frame(chunk, &mut records);
        let context = context(batch);
        mapped.counts.lines += u64::from(records.line_count());
        if context > 0 {
            mapped.counts.lines -= memchr::memchr_iter(b'\n', &chunk[..context]).count() as u64;
        }
        let all = records.all();
        let known = all.partition_point(|record| (record.lines.start as usize) < context);
        mapped.counts.records += (all.len() - known) as u64;
        for (ordinal, record) in all.iter().enumerate() {
            if failpoint::hit(Failpoint::Record, ordinal as u64) {
                continue;
            }
            let mut head = [Span::default()];
            let entry = entry(&records, chunk, record, ordinal as u32);
            let entry = self.judged(entry, chunk, record, &mut head);
            if ordinal < known {
                self.go_on(batch, chunk, &entry, mapped, Self::record);
            } else {
                self.record(batch, chunk, &entry, mapped);
            }
        }
        self.records = records;
    }

    /// The part of a framed record that decides about it.
    #[inline]
    fn judged<'a>(
        &self,
        mut entry: Entry<'a>,
        chunk: &'a [u8],
        record: &Record,
        head: &'a mut [Span; 1],
    ) -> Entry<'a> {
        if self.head_decides {
            let feed = |bytes: &[u8]| memchr::memchr(b'\n', bytes);
            let end = feed(entry.payload).unwrap_or(entry.payload.len());
            entry.payload = framing::text(&entry.payload[..end]);
            if entry.container.is_some() {
                entry.searched = Some(entry.payload);
            } else {
                *head = [first_line(chunk, record.lines)];
                entry.searched = Some(head[0].of(chunk));
                entry.lines = head;
            }
        }
        entry
    }

    /// A record that began in the context: the lines that came since follow the verdict of `judge` about
    /// it, and it is not counted again.
    fn go_on(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        mapped: &mut Mapped,
        mut judge: impl FnMut(&mut Self, &Batch, &[u8], &Entry<'_>, &mut Mapped),
    ) {
        let context = u32::try_from(context(batch)).expect("a chunk is below 4 GiB");
        let mut rest = std::mem::take(&mut self.rest);
        rest.clear();
        let new = entry.written.iter().filter(|span| span.end > context);
        rest.extend(new.map(|span| Span {
            start: span.start.max(context),
            end: span.end,
        }));
        if !rest.is_empty() {
            let (counts, formats) = (mapped.counts, mapped.formats);
            let conditions = mapped.conditions.clone();
            let faults = mapped.faults.len();
            let entry = Entry {
                written: &rest,
                ..*entry
            };
            judge(self, batch, chunk, &entry, mapped);
            (mapped.counts, mapped.formats) = (counts, formats);
            mapped.conditions = conditions;
            mapped.faults.truncate(faults);
        }
        self.rest = rest;
    }

    /// One record through parse ▸ filter ▸ dedup ▸ aggregate.
    #[inline]
    fn record(&mut self, batch: &Batch, chunk: &[u8], entry: &Entry<'_>, mapped: &mut Mapped) {
        let plan = self.plan;
        let task = &plan.task;
        if let Some(literals) = &plan.select.literals
            && let Some(searched) = entry.searched
            && literals.hold_in(searched, &mut self.lowered) == plan.select.invert
        {
            return self.drop(batch, chunk, entry, mapped);
        }
        let payload = entry.payload;
        let parses = match task {
            Task::Report(_) | Task::Run(_) => true,
            Task::Lines(task) => {
                plan.select.parses()
                    || task.level.is_some()
                    || !plan.conditions.is_empty()
                    || task.json
                    || task.dedup.is_some_and(|dedup| {
                        dedup.mode != DedupMode::Exact || dedup.every.is_some()
                    })
            }
        };
        if parses {
            self.row.reset();
            self.quantities.begin();
            failpoint::panic_on(Failpoint::PanicParser, payload);
            self.parsers.parse(payload, &mut self.row);
            if let Some(format) = entry.container {
                self.row.format = format;
                if self.row.time.is_none()
                    && let Some(time) = entry.container_time
                {
                    self.row.time = self.parsers.time(time);
                }
            }
            failpoint::panic_on(Failpoint::PanicFilter, payload);
            if !self.selected(batch, chunk, entry, payload, mapped) {
                return self.drop(batch, chunk, entry, mapped);
            }
            // Counted for selected records only: the others may never have been parsed (law 5).
            mapped.formats[self.row.format as usize] += 1;
            mapped.counts.fields_cut += u64::from(self.row.fields_cut);
        }
        match task {
            Task::Report(task) => {
                self.count(batch, chunk, entry, payload, mapped);
                self.report(batch, chunk, entry, payload, task, mapped);
            }
            Task::Lines(task) => self.line(batch, chunk, entry, payload, task, mapped),
            Task::Run(task) => self.run(batch, chunk, entry, payload, task, mapped),
        }
    }

    /// Whether the parsed record passes the condition and the bounds of time.
    #[inline]
    fn selected(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        payload: &[u8],
        mapped: &mut Mapped,
    ) -> bool {
        let select = &self.plan.select;
        if select.bounds_time() {
            match self.row.time {
                Some(time) => {
                    let inside = select.since.is_none_or(|since| time >= since)
                        && select.until.is_none_or(|until| time < until);
                    if !inside {
                        return false;
                    }
                }
                None => {
                    // Counted if nothing but the missing time keeps it out, so that a record that
                    // the prefilter skips counts the same (law 5).
                    let passes = self.meets(batch, chunk, entry, payload);
                    mapped.counts.no_time += u64::from(passes);
                    return false;
                }
            }
        }
        self.meets(batch, chunk, entry, payload)
    }

    /// Whether the parsed record meets the condition, if there is one.
    #[inline]
    fn meets(&mut self, batch: &Batch, chunk: &[u8], entry: &Entry<'_>, payload: &[u8]) -> bool {
        let Some(needs) = self.condition.as_ref().map(Condition::needs) else {
            return true;
        };
        if needs.fingerprint {
            self.label(payload);
        }
        self.original(chunk, entry);
        let view = self.view(batch, chunk, entry, payload);
        self.condition
            .as_ref()
            .is_some_and(|condition| condition.holds(&view))
    }

    /// Makes `label` the fingerprint of the row's message.
    fn label(&mut self, payload: &[u8]) {
        let (_, fingerprint) = self
            .distinct
            .mask(self.row.bytes(payload, self.row.message));
        self.label = fingerprint.to_string();
    }

    /// Puts the lines of a record together that has others between them.
    #[inline]
    fn original(&mut self, chunk: &[u8], entry: &Entry<'_>) {
        if entry.lines.len() > 1 {
            self.raw.clear();
            for lines in entry.lines {
                self.raw.extend_from_slice(lines.of(chunk));
            }
        }
    }

    /// What conditions see; `original`, and `label` if needed, must have been called.
    #[inline]
    fn view<'a>(
        &'a self,
        batch: &'a Batch,
        chunk: &'a [u8],
        entry: &'a Entry<'_>,
        payload: &'a [u8],
    ) -> View<'a> {
        View {
            row: &self.row,
            record: payload,
            raw: framing::text(match entry.lines {
                [lines] => lines.of(chunk),
                _ => &self.raw,
            }),
            source: &batch.name,
            line: batch.lines_before + u64::from(output::line_in_batch(batch, entry)) + 1,
            fingerprint: Some(&self.label),
            template: None,
        }
    }

    /// A record that is not selected: counted, and shown to the fold if it may be context.
    fn drop(&mut self, batch: &Batch, chunk: &[u8], entry: &Entry<'_>, mapped: &mut Mapped) {
        mapped.counts.filtered += 1;
        if self.plan.task.lines().is_some_and(LinesTask::has_context) {
            self.hand_over(batch, chunk, entry, mapped, false, 0);
        }
    }

    /// Adds a selected record to the tables of the batch.
    #[inline]
    fn report(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        payload: &[u8],
        task: &ReportTask,
        mapped: &mut Mapped,
    ) {
        let row = &self.row;
        let tables = &mut mapped.tables;
        tables.levels[Level::index(row.level)] += 1;
        match row.time {
            Some(time) => {
                tables.first = Some(tables.first.map_or(time, |first| first.min(time)));
                tables.last = tables.last.max(Some(time));
                add_second(&mut tables.seconds, time.second(), Level::index(row.level));
            }
            None => mapped.counts.no_time += 1,
        }
        let listed = task.list == Level::Trace || row.level >= Some(task.list);
        if listed {
            let message = row.bytes(payload, row.message);
            let first = entry.lines[0];
            let sighting = Sighting {
                level: row.level,
                time: row.time,
                lines: framing::text(first.of(chunk)),
                start: first.start + batch.header_bytes as u32,
                ordinal: entry.ordinal,
            };
            self.distinct.record(message, &sighting);
        }
        failpoint::panic_on(Failpoint::PanicAggregate, payload);
        if task.statuses
            && let Some(status) = row.status
        {
            self.aggregate.status(status);
        }
        if self.aggregate.is_conditional() {
            return self.aggregate_viewed(batch, chunk, entry, payload);
        }
        let quantities = &mut self.quantities;
        self.aggregate
            .record(row, payload, &batch.name, None, quantities);
    }

    fn aggregate_viewed(&mut self, batch: &Batch, chunk: &[u8], entry: &Entry<'_>, payload: &[u8]) {
        if self.aggregate.labels() {
            self.label(payload);
        }
        self.original(chunk, entry);
        let mut aggregate = std::mem::take(&mut self.aggregate);
        let mut quantities = std::mem::take(&mut self.quantities);
        let view = self.view(batch, chunk, entry, payload);
        let (row, name) = (&self.row, &*batch.name);
        aggregate.record(row, payload, name, Some(&view), &mut quantities);
        (self.aggregate, self.quantities) = (aggregate, quantities);
    }

    /// Counts a selected record, and the conditions of `--fail-on` that it meets.
    #[inline]
    fn count(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        payload: &[u8],
        mapped: &mut Mapped,
    ) {
        mapped.counts.kept += 1;
        if self.conditions.is_empty() {
            return;
        }
        if self.labels_selected {
            self.label(payload);
        }
        self.original(chunk, entry);
        let view = self.view(batch, chunk, entry, payload);
        for (condition, count) in self.conditions.iter().zip(&mut mapped.conditions) {
            *count += u64::from(condition.holds(&view));
        }
    }
}

/// How many runs back a second is looked for: streams of several clocks take turns line by line.
const SECONDS_BACK: usize = 4;

/// Counts a record of this second and level.
#[inline]
fn add_second(seconds: &mut Vec<Second>, second: i64, level: usize) {
    let recent = seconds.iter_mut().rev().take(SECONDS_BACK);
    if let Some(run) = recent.into_iter().find(|run| run.second == second) {
        run.levels[level] += 1;
        return;
    }
    let mut levels = [0; 7];
    levels[level] = 1;
    seconds.push(Second { second, levels });
}

/// Fills `buffer` from `file` at `offset`. Returns how many bytes there were, and what was wrong if
/// they were too few: the reader saw them all a moment ago.
fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> (usize, Option<String>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => {
                let missing = buffer.len() - filled;
                return (
                    filled,
                    Some(format!(
                        "cut short while it was read; {missing} bytes are gone"
                    )),
                );
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error.to_string())),
        }
    }
    (filled, None)
}

/// Lines of the batch's header.
fn header_lines(batch: &Batch) -> u32 {
    let header = batch.facts.csv.as_ref();
    header.map_or(1, |header| header.lines)
}

/// Where in the chunk, which stands behind the header, the bytes begin that no earlier batch had.
fn context(batch: &Batch) -> usize {
    batch.context_bytes.saturating_sub(batch.header_bytes)
}

/// The first line of a record, with its line feed.
fn first_line(chunk: &[u8], record: Span) -> Span {
    let start = record.start as usize;
    let end = memchr::memchr(b'\n', record.of(chunk));
    Span::new(start..end.map_or(record.end as usize, |feed| start + feed + 1))
}

fn entry<'a>(records: &'a Records, chunk: &'a [u8], record: &'a Record, ordinal: u32) -> Entry<'a> {
    let payload = records.payload(chunk, record);
    let container = records.container(record);
    Entry {
        payload,
        searched: Some(if container.is_some() {
            payload
        } else {
            record.lines.of(chunk)
        }),
        lines: records.lines_of(record),
        written: records.lines_of(record),
        line: record.first_line,
        ordinal,
        container_time: container.map(|container| container.time.of(chunk)),
        container: container.map(|container| match container.wrapping {
            Wrapping::Docker => Format::Docker,
            Wrapping::Cri => Format::Cri,
        }),
        branches: Branches::FIRST,
    }
}
