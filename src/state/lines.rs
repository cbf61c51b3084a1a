//! Which lines go out when that depends on lines before: context, dedup, line numbers and
//! templates of JSON lines. One part of the fold, in record order.

use std::collections::{BTreeMap, VecDeque};
use std::hash::RandomState;
use std::io::Write;

use hashbrown::HashMap;

use crate::flow::mapped::{Line, Mapped};
use crate::flow::output::{Dedup, DedupMode, LinesTask, Output, json_string as string};
use crate::flow::time::Time;
use crate::state::known::{Known, Novelty};
use crate::state::ledger::Ledger;

/// Identities that are remembered; a line that finds the table full goes out, since it may be new.
const IDENTITIES_MAX: usize = 1_000_000;

/// Longest text that a count line repeats.
const REPEATED_BYTES_MAX: usize = 1024;

/// Lines whose count is still to be told at the end of their window.
const WAITING_MAX: usize = 100_000;

/// The fold of `weir filter`.
pub struct Lines {
    json: bool,
    /// Templates are asked for, so every record comes masked.
    masks: bool,
    dedup: Option<Dedup>,
    context: Context,
    known: Known,
    seen: Seen,
    /// Source whose lines are counted, and its lines before the batch at hand.
    source: Option<u32>,
    lines_before: u64,
}

impl Lines {
    pub fn new(task: &LinesTask) -> Lines {
        Lines {
            json: task.json,
            masks: task.json
                || task
                    .dedup
                    .is_some_and(|dedup| dedup.mode != DedupMode::Exact),
            dedup: task.dedup,
            context: Context {
                before: task.before,
                after: task.after,
                ..Context::default()
            },
            known: Known::default(),
            seen: Seen::default(),
            source: None,
            lines_before: 0,
        }
    }

    /// What of this batch goes out. Moves records between kept and duplicate in the ledger.
    pub fn absorb(&mut self, mapped: &mut Mapped, ledger: &mut Ledger) -> Output {
        if self.source != Some(mapped.source.0) {
            self.source = Some(mapped.source.0);
            self.lines_before = 0;
        }
        let before = self.lines_before;
        self.lines_before += mapped.counts.lines;
        if mapped.records.is_empty() {
            return Output {
                bytes: std::mem::take(&mut mapped.lines),
                records: mapped.counts.kept,
            };
        }
        let mut output = Output::default();
        for line in &mapped.records {
            let text = line.text.of(&mapped.lines);
            if self.context.is_on() {
                self.context.line(line, text, &mut output);
                continue;
            }
            let masked = line.masked.of(&mapped.masks);
            let (template, novelty) = if self.masks {
                self.known.template(line.fingerprint, masked)
            } else {
                (masked, Novelty::Unknown)
            };
            if let Some(dedup) = self.dedup {
                let passes =
                    self.seen
                        .passes(dedup, line, text, novelty, &mut output.bytes, self.json);
                if !passes {
                    ledger.kept -= 1;
                    ledger.duplicate += 1;
                    continue;
                }
            }
            output.records += 1;
            if self.json {
                let (head, tail) = text.split_at(line.template_at as usize);
                write!(
                    output.bytes,
                    "{{\"line\":{},",
                    before + u64::from(line.line) + 1
                )
                .expect("a vector takes everything");
                output.bytes.extend_from_slice(head);
                string(&mut output.bytes, template);
                output.bytes.extend_from_slice(tail);
            } else {
                output.bytes.extend_from_slice(text);
            }
        }
        output
    }

    /// Counts that were still to be told when the input ended.
    pub fn finish(&mut self) -> Output {
        let mut output = Output::default();
        if self.dedup.is_some_and(|dedup| dedup.every.is_some()) {
            self.seen.tell(None, &mut output.bytes, self.json);
        }
        output
    }

    /// Whether a table was full, so that lines went out which were perhaps not new.
    pub fn is_approximate(&self) -> bool {
        self.seen.is_full
            || (self
                .dedup
                .is_some_and(|dedup| dedup.mode != DedupMode::Exact)
                && self.known.is_full())
    }
}

/// Records around the selected ones.
#[derive(Default)]
struct Context {
    before: usize,
    after: usize,
    /// The last records that did not go out.
    held: VecDeque<Vec<u8>>,
    /// How many records after a selected one still go out.
    open: usize,
    /// Something went out, and a record was left out since: a separator is due.
    gap: bool,
    started: bool,
}

impl Context {
    fn is_on(&self) -> bool {
        self.before + self.after > 0
    }

    fn line(&mut self, line: &Line, text: &[u8], output: &mut Output) {
        if line.selected {
            if self.started && self.gap {
                output.bytes.extend_from_slice(b"--\n");
            }
            self.gap = false;
            self.started = true;
            for held in self.held.drain(..) {
                output.bytes.extend_from_slice(&held);
            }
            output.bytes.extend_from_slice(text);
            output.records += 1;
            self.open = self.after;
        } else if self.open > 0 {
            self.open -= 1;
            output.bytes.extend_from_slice(text);
        } else {
            if self.held.len() == self.before {
                self.gap = true;
                self.held.pop_front();
            }
            if self.before > 0 {
                self.held.push_back(text.to_vec());
            }
        }
    }
}

/// What dedup has seen.
#[derive(Default)]
struct Seen {
    /// By identity; keyed at random, since identities come from the input.
    identities: HashMap<u64, Repeats, RandomState>,
    /// Ends of windows with something to tell: (end, order) to identity.
    waiting: BTreeMap<(Time, u64), u64>,
    order: u64,
    newest: Option<Time>,
    is_full: bool,
}

/// A line that went out, and what was held back since.
struct Repeats {
    /// End of the window, if there are windows and the line had a time.
    end: Option<Time>,
    count: u64,
    order: u64,
    text: Box<[u8]>,
}

impl Seen {
    /// Whether a line goes out; before it, the counts of windows that end with its time.
    fn passes(
        &mut self,
        dedup: Dedup,
        line: &Line,
        text: &[u8],
        novelty: Novelty,
        out: &mut Vec<u8>,
        json: bool,
    ) -> bool {
        if let Some(time) = line.time.filter(|_| dedup.every.is_some())
            && Some(time) > self.newest
        {
            self.newest = Some(time);
            self.tell(Some(time), out, json);
        }
        let end = dedup
            .every
            .zip(line.time.or(self.newest))
            .and_then(|(every, time)| time.0.checked_add(every))
            .map(Time);
        // A line that a known template covers was seen in another form: it counts as one of them.
        let covered = dedup.mode == DedupMode::Template && novelty == Novelty::Covered;
        if let Some(repeats) = self.identities.get_mut(&line.identity) {
            if repeats
                .end
                .zip(line.time)
                .is_some_and(|(end, time)| time >= end)
            {
                // Told already, unless too many were waiting.
                repeats.tell(out, json);
                repeats.end = end;
                return true;
            }
            repeats.count += 1;
            if repeats.count == 1
                && let Some(end) = repeats.end
                && self.waiting.len() < WAITING_MAX
            {
                repeats.order = self.order;
                self.order += 1;
                self.waiting.insert((end, repeats.order), line.identity);
            }
            return false;
        }
        if self.identities.len() >= IDENTITIES_MAX {
            self.is_full = true;
            return true;
        }
        let text = if dedup.every.is_some() {
            text[..text.len().min(REPEATED_BYTES_MAX)].into()
        } else {
            Box::default()
        };
        self.identities.insert(
            line.identity,
            Repeats {
                end,
                count: 0,
                order: 0,
                text,
            },
        );
        !covered
    }

    /// Tells the counts of the windows that ended by `now`, or of all, and opens their next ones.
    fn tell(&mut self, now: Option<Time>, out: &mut Vec<u8>, json: bool) {
        while let Some(entry) = self.waiting.first_entry() {
            let end = entry.key().0;
            if now.is_some_and(|now| end > now) {
                break;
            }
            let identity = entry.remove();
            let Some(repeats) = self.identities.get_mut(&identity) else {
                continue;
            };
            repeats.tell(out, json);
            // The next one goes out again at once: a new window begins with it.
        }
    }
}

impl Repeats {
    /// Writes how many were held back since the line went out, if any were.
    fn tell(&mut self, out: &mut Vec<u8>, json: bool) {
        let Some(end) = self.end.filter(|_| self.count > 0) else {
            return;
        };
        let text = &self.text[..memchr::memchr(b'\n', &self.text).unwrap_or(self.text.len())];
        if json {
            write!(
                out,
                "{{\"repeated\":{},\"until\":\"{end}\",\"of\":",
                self.count
            )
            .expect("a vector takes everything");
            string(out, text);
            out.extend_from_slice(b"}\n");
        } else {
            write!(out, "[weir: {} more until {end}] ", self.count)
                .expect("a vector takes everything");
            out.extend_from_slice(text);
            out.push(b'\n');
        }
        self.count = 0;
    }
}
