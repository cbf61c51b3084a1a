//! What a mapper writes of a selected record: its original lines, or what the fold needs to decide
//! about them.

use super::{Entry, Mapper, header_lines};
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::Batch;
use crate::flow::fingerprint::Fingerprint;
use crate::flow::level::Level;
use crate::flow::mapped::{Line, Mapped};
use crate::flow::output::{Dedup, DedupMode, LinesTask};
use crate::flow::span::Span;
use crate::framing;
use crate::stages::lines::{self, Described};

impl Mapper<'_> {
    /// Writes a selected record, or hands it to the fold.
    pub(super) fn line(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        payload: &[u8],
        task: &LinesTask,
        mapped: &mut Mapped,
    ) {
        let passes = task
            .level
            .is_none_or(|level| level == Level::Trace || self.row.level >= Some(level));
        if !passes {
            return self.drop(batch, chunk, entry, mapped);
        }
        self.count(batch, chunk, entry, payload, mapped);
        if task.count {
            return;
        }
        if task.decided_by_fold() {
            failpoint::panic_on(Failpoint::PanicDedup, payload);
            let identity = match task.dedup.map(|dedup| dedup.mode) {
                Some(DedupMode::Exact) => crate::flow::fingerprint::xxh64(payload),
                _ => 0,
            };
            self.hand_over(batch, chunk, entry, mapped, true, identity);
            return;
        }
        if mapped.others.is_empty() || self.joins() {
            return write_original(&mut mapped.lines, batch, chunk, entry);
        }
        let branches = std::iter::once(&mut mapped.lines).chain(&mut mapped.others);
        for (branch, lines) in branches.enumerate() {
            if entry.branches.has(branch) {
                write_original(lines, batch, chunk, entry);
            }
        }
    }

    /// Whether the lines of all branches go to one place.
    pub(super) fn joins(&self) -> bool {
        self.plan.task.kept().is_some_and(|kept| kept.joined)
    }

    /// Gives the fold a record to decide about.
    pub(super) fn hand_over(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        mapped: &mut Mapped,
        selected: bool,
        identity: u64,
    ) {
        let mut fingerprint = Fingerprint::default();
        let mut masked = Span::default();
        if selected && self.masks_lines() {
            let (text, hash) = self
                .distinct
                .mask(self.row.bytes(entry.payload, self.row.message));
            let from = mapped.masks.len();
            mapped.masks.extend_from_slice(text);
            masked = Span::new(from..mapped.masks.len());
            fingerprint = hash;
        }
        let identity = if identity == 0 {
            fingerprint.0
        } else {
            identity
        };
        let line = (identity, masked, fingerprint);
        self.hand_over_masked(batch, chunk, entry, mapped, selected, line);
    }

    /// Whether the fold wants to see messages masked.
    pub(super) fn masks_lines(&self) -> bool {
        let is_inexact = |dedup: Dedup| dedup.mode != DedupMode::Exact;
        let lines = self.plan.task.lines();
        lines.is_some_and(|task| task.json || task.dedup.is_some_and(is_inexact))
    }

    /// The same, when identity, masked message and fingerprint are there.
    pub(super) fn hand_over_masked(
        &mut self,
        batch: &Batch,
        chunk: &[u8],
        entry: &Entry<'_>,
        mapped: &mut Mapped,
        selected: bool,
        (identity, masked, fingerprint): (u64, Span, Fingerprint),
    ) {
        let lines = self.plan.task.lines();
        let task = lines.expect("only lines are handed over");
        let start = mapped.lines.len();
        let mut template_at = 0;
        let payload = entry.payload;
        if task.json {
            if selected {
                let mut raw = Vec::new();
                write_original(&mut raw, batch, chunk, entry);
                let raw = framing::without_end(&raw);
                let offset =
                    batch.position + batch.header_bytes as u64 + u64::from(entry.lines[0].start);
                let described = Described {
                    source: &batch.name,
                    offset,
                    fingerprint,
                    record: payload,
                    raw,
                };
                template_at = lines::write(&mut mapped.lines, &self.row, &described);
            }
        } else {
            write_original(&mut mapped.lines, batch, chunk, entry);
        }
        mapped.records.push(Line {
            text: Span::new(start..mapped.lines.len()),
            template_at: template_at as u32,
            line: line_in_batch(batch, entry),
            selected,
            branches: entry.branches,
            identity,
            time: self.row.time,
            masked,
            fingerprint,
        });
    }
}

/// The number of the record's first line in the batch, from 0, a header counted.
pub(super) fn line_in_batch(batch: &Batch, entry: &Entry<'_>) -> u32 {
    if batch.header_bytes == 0 {
        return entry.line;
    }
    entry.line + header_lines(batch)
}

/// Appends the record's original lines; a last line without LF gets one.
pub(super) fn write_original(out: &mut Vec<u8>, batch: &Batch, chunk: &[u8], entry: &Entry<'_>) {
    for lines in entry.written {
        out.extend_from_slice(lines.of(chunk));
    }
    let ends_chunk = |lines: &Span| lines.end as usize == chunk.len();
    if batch.cut_bytes > 0 && entry.written.last().is_some_and(ends_chunk) {
        mark_cut(out, batch.cut_bytes);
    }
    end_line(out);
}

/// Says behind a line over its limit how much of it is missing.
pub(super) fn mark_cut(out: &mut Vec<u8>, bytes: u64) {
    out.extend_from_slice(format!(" [weir: {bytes} bytes cut]").as_bytes());
}

pub(super) fn end_line(out: &mut Vec<u8>) {
    if out.last().is_some_and(|&last| last != b'\n') {
        out.push(b'\n');
    }
}
