//! The fast paths of a mapper: the whole chunk is searched for literals, and only the records around
//! the hits are looked at, or none at all.

use std::ops::Range;

use super::output::{end_line, mark_cut};
use super::{Entry, Mapper, context, first_line};
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::Batch;
use crate::flow::mapped::Mapped;
use crate::flow::output::Branches;
use crate::flow::span::Span;
use crate::framing::count::record_around;
use crate::framing::{self, Multiline};
use crate::plan::Task;
use crate::stages::literals::Literals;

impl Mapper<'_> {
    /// Selection by literals alone, output as it is: no record is looked into.
    pub(super) fn pass_whole(&mut self, batch: &Batch, chunk: &[u8], mapped: &mut Mapped) {
        let Task::Lines(task) = &self.plan.task else {
            unreachable!("only lines are passed whole")
        };
        let records = mapped.counts.records;
        let context = context(batch);
        let (mut hits, mut copied) = (0, context);
        let invert = self.plan.select.invert;
        if let Some(literals) = &self.plan.select.literals {
            let prepared = literals.prepare(chunk, &mut self.lowered);
            let search = Search {
                multiline: &self.plan.multiline,
                literals,
                head_decides: self.head_decides,
            };
            search.for_each_hit(chunk, prepared, |range| {
                hits += u64::from(range.start >= context);
                if !task.count && range.end > context {
                    let start = range.start.max(context);
                    let kept = if invert {
                        copied..start
                    } else {
                        start..range.end
                    };
                    mapped.lines.extend_from_slice(&chunk[kept]);
                    copied = range.end;
                }
            });
        }
        let all = self.plan.select.literals.is_none();
        if !task.count && (invert || all) {
            mapped.lines.extend_from_slice(&chunk[copied..]);
            copied = if copied < chunk.len() { chunk.len() } else { 0 };
        }
        mapped.counts.kept += if all {
            records
        } else if invert {
            records - hits
        } else {
            hits
        };
        mapped.counts.filtered += records - mapped.counts.kept;
        if failpoint::hit(Failpoint::Record, 0) {
            mapped.counts.kept = mapped.counts.kept.saturating_sub(1);
        }
        // What was left out stood behind the last line.
        if batch.cut_bytes > 0 && copied == chunk.len() && !task.count {
            mark_cut(&mut mapped.lines, batch.cut_bytes);
        }
        end_line(&mut mapped.lines);
    }

    /// Frames and judges the records that hold a literal; the others are filtered unseen.
    pub(super) fn visit_hits(&mut self, batch: &Batch, chunk: &[u8], mapped: &mut Mapped) {
        let plan = self.plan;
        let candidates = self.candidates.take();
        let literals = plan
            .select
            .literals
            .as_ref()
            .or(candidates.as_ref())
            .expect("visited only with literals");
        let mut lowered = std::mem::take(&mut self.lowered);
        let prepared = literals.prepare(chunk, &mut lowered);
        // Line numbers and ordinals count what was skipped, which costs; only those who print them
        // pay.
        let numbers = plan.task.lines().is_some_and(|task| task.json)
            || plan
                .conditions
                .iter()
                .chain(&self.condition)
                .any(|condition| condition.needs().line);
        let (mut visited, mut line, mut counted) = (0u64, 0u64, 0);
        let search = Search {
            multiline: &plan.multiline,
            literals,
            head_decides: self.head_decides,
        };
        search.for_each_hit(chunk, prepared, |range| {
            if numbers {
                line += memchr::memchr_iter(b'\n', &chunk[counted..range.start]).count() as u64;
                counted = range.start;
            }
            // The record's bytes alone make one record again, and spans stay those of the chunk.
            let known = range.start < context(batch);
            let span = Span::new(range);
            let head = if self.head_decides {
                first_line(chunk, span)
            } else {
                span
            };
            let entry = Entry {
                payload: framing::text(head.of(chunk)),
                searched: None,
                lines: std::slice::from_ref(&head),
                written: std::slice::from_ref(&span),
                line: line as u32,
                ordinal: visited as u32,
                container_time: None,
                container: None,
                branches: Branches::FIRST,
            };
            if known {
                self.go_on(batch, chunk, &entry, mapped, Self::record);
                return;
            }
            visited += 1;
            if !failpoint::hit(Failpoint::Record, u64::from(entry.ordinal)) {
                self.record(batch, chunk, &entry, mapped);
            }
        });
        mapped.counts.filtered += mapped.counts.records - visited;
        self.lowered = lowered;
        self.candidates = candidates;
    }
}

/// A search for records that hold a literal.
struct Search<'s> {
    multiline: &'s Multiline,
    literals: &'s Literals,
    /// Only what stands in a record's first line counts.
    head_decides: bool,
}

impl Search<'_> {
    /// Calls `visit` with the lines of every record that holds a literal, in order, each once.
    fn for_each_hit(&self, chunk: &[u8], prepared: &[u8], mut visit: impl FnMut(Range<usize>)) {
        let (mut from, mut floor) = (0, 0);
        while from < chunk.len() {
            let Some(hit) = self.literals.find(prepared, from) else {
                break;
            };
            let range = record_around(self.multiline, chunk, floor, hit.start);
            let searched = if self.head_decides {
                first_line(chunk, Span::new(range.clone())).end as usize
            } else {
                range.end
            };
            if hit.end > searched && hit.start < searched {
                // A literal with a line feed in it runs over the end.
                from = hit.start + 1;
                continue;
            }
            from = range.end;
            floor = range.end;
            if hit.start < searched {
                visit(range);
            }
        }
    }
}
