//! What a mapper does with a record of `weir run`: shows it to tables and rules, and lets its lines go
//! out by the branches of its sinks.

use super::{Entry, Mapper, first_line};
use crate::expr::condition::Condition;
use crate::flow::batch::Batch;
use crate::flow::mapped::{Mapped, SAMPLE_BYTES_MAX, Tables};
use crate::flow::output::Branches;
use crate::flow::span::Span;
use crate::framing;
use crate::plan::RunTask;
use crate::stages::observe;

impl Mapper<'_> {
    /// Begins another part if the record at hand belongs to another window than those before.
    fn turn_window(&mut self, seconds: i64, mapped: &mut Mapped) {
        let Some(time) = self.row.time else { return };
        let window = Some(time.second().div_euclid(seconds));
        if mapped.tables.window == window {
            return;
        }
        let tables = Tables {
            window,
            ..Tables::default()
        };
        let mut before = std::mem::replace(&mut mapped.tables, tables);
        if before.levels != [0; 7] {
            self.close_part(&mut before);
            mapped.earlier.push(before);
        }
    }

    /// Shows a record to tables and rules, and lets its lines go out if they are to.
    pub(super) fn run(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        payload: &[u8],
        task: &RunTask,
        mapped: &mut Mapped,
    ) {
        if let Some(seconds) = task.interval_seconds {
            self.turn_window(seconds, mapped);
        }
        self.report(batch, chunk, entry, payload, &task.tables, mapped);
        self.observe(batch, chunk, entry, payload);
        let Some(lines) = &task.lines else {
            return self.count(batch, chunk, entry, payload, mapped);
        };
        let is_found = match (&lines.literals, entry.searched) {
            (Some(literals), Some(searched)) => {
                literals.hold_in(searched, &mut self.lowered) != lines.invert
            }
            _ => true,
        };
        if !is_found || !self.keeps(batch, chunk, entry, payload) {
            return self.drop(batch, chunk, entry, mapped);
        }
        if self.branches.is_empty() {
            return self.line(batch, chunk, entry, payload, &lines.task, mapped);
        }
        let branches = self.branches(batch, chunk, entry, payload);
        if branches.is_empty() {
            return self.drop(batch, chunk, entry, mapped);
        }
        let entry = Entry { branches, ..*entry };
        self.line(batch, chunk, &entry, payload, &lines.task, mapped);
    }

    /// Whether the record meets the condition for lines of a run.
    fn keeps(&mut self, batch: &Batch, chunk: &[u8], entry: &Entry<'_>, payload: &[u8]) -> bool {
        let Some(needs) = self.kept.as_ref().map(Condition::needs) else {
            return true;
        };
        if needs.fingerprint {
            self.label(payload);
        }
        self.original(chunk, entry);
        let view = self.view(batch, chunk, entry, payload);
        self.kept.as_ref().is_some_and(|kept| kept.holds(&view))
    }

    /// The branches whose condition the record meets.
    fn branches(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        payload: &[u8],
    ) -> Branches {
        let mut conditions = self.branches.iter().flatten();
        if conditions.any(|condition| condition.needs().fingerprint) {
            self.label(payload);
        }
        self.original(chunk, entry);
        let view = self.view(batch, chunk, entry, payload);
        let mut branches = Branches::default();
        for (branch, condition) in self.branches.iter().enumerate() {
            if condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&view))
            {
                branches.add(branch);
            }
        }
        branches
    }

    /// Shows a record to states, sets and rules.
    fn observe(&mut self, batch: &Batch, chunk: &[u8], entry: &Entry<'_>, payload: &[u8]) {
        // The view borrows all of the mapper.
        let Some(mut observer) = self.observer.take() else {
            return;
        };
        observer.advance(&self.row, entry.ordinal);
        if observer.is_blind() {
            self.observer = Some(observer);
            return;
        }
        if observer.labels {
            self.label(payload);
        }
        self.original(chunk, entry);
        let mut quantities = std::mem::take(&mut self.quantities);
        let view = self.view(batch, chunk, entry, payload);
        let first = first_line(chunk, entry.lines[0]);
        let text = framing::text_range(first.of(chunk));
        let start = first.start as usize + batch.header_bytes + text.start;
        let length = text.len().min(SAMPLE_BYTES_MAX);
        let sighting = observe::Sighting {
            line: Span::new(start..start + length),
            ordinal: entry.ordinal,
            groups: self.aggregate.groups(),
        };
        observer.record(&self.row, payload, &view, &sighting, &mut quantities);
        self.quantities = quantities;
        self.observer = Some(observer);
    }
}
