//! Which lines go out when that depends on lines before: context, dedup, line numbers and
//! templates of JSON lines. One part of the fold, in record order.

use std::collections::{BTreeMap, VecDeque};
use std::hash::RandomState;
use std::io::Write;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use crate::flow::mapped::{Line, Mapped};
use crate::flow::output::{Dedup, DedupMode, LinesTask, Output, json_string as string};
use crate::flow::time::Time;
use crate::state::known::{Known, Novelty};
use crate::state::ledger::Ledger;

/// Identities that all branches remember, 20 MB when full; a line that finds the table full goes out, since it may be new.
const IDENTITIES_MAX: usize = 1_000_000;

/// The same with windows, which keep some text each; 40 MB when full.
const WINDOWS_MAX: usize = 100_000;

/// Bytes of records that wait for a selected one behind them, whatever `--before-context` asks for; past it the
/// oldest are left out.
pub const CONTEXT_BYTES_MAX: usize = 64 << 20;

/// Longest text that a count line shows, in bytes.
const SHOWN_BYTES_MAX: usize = 256;

/// The fold of `weir filter`, and of one branch of the lines of a run: each remembers for itself what
/// went out, so every sink gets what a run with this sink alone would write.
#[derive(Clone, Serialize, Deserialize)]
pub struct Lines {
    /// The condition by which the branch is known again.
    #[serde(default)]
    condition: Option<String>,
    /// The branches behind the first.
    #[serde(default)]
    others: Vec<Lines>,
    /// The lines of all branches go to one place, each once.
    #[serde(default)]
    joined: bool,
    json: bool,
    /// Templates are asked for, so every record comes masked.
    masks: bool,
    dedup: Option<Dedup>,
    context: Context,
    known: Known,
    seen: Seen,
    /// Source whose lines are counted, and its lines before the batch at hand. Followed files take
    /// turns, so there the follower counts.
    source: Option<u32>,
    lines_before: u64,
}

impl Lines {
    pub fn new(task: &LinesTask) -> Lines {
        Lines {
            condition: None,
            others: Vec::new(),
            joined: false,
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

    /// Goes on from what is known, as far as it is about the same: another condition, or another kind of
    /// dedup, begins anew. There is a branch for each of the conditions.
    pub fn resume(
        known: Option<Lines>,
        task: &LinesTask,
        conditions: &[Option<&str>],
        joined: bool,
    ) -> Lines {
        let mut known: Vec<Lines> = known
            .into_iter()
            .flat_map(|mut first| {
                let others = std::mem::take(&mut first.others);
                std::iter::once(first).chain(others)
            })
            .collect();
        let fresh = Lines::new(task);
        let mut made = conditions.iter().map(|condition| {
            let fits = |known: &Lines| {
                known.condition.as_deref() == *condition && known.settings() == fresh.settings()
            };
            let place = known.iter().position(fits);
            let mut lines = place.map_or_else(|| fresh.clone(), |place| known.swap_remove(place));
            lines.condition = condition.map(str::to_owned);
            lines.seen.branches = conditions.len();
            lines.known.share(conditions.len());
            lines
        });
        let mut first = made.next().expect("no condition is one, too");
        first.others = made.collect();
        first.joined = joined;
        first
    }

    /// What decides about lines.
    fn settings(&self) -> (bool, Option<Dedup>, usize, usize) {
        let Context { before, after, .. } = self.context;
        (self.json, self.dedup, before, after)
    }

    /// What of this batch goes out. Moves records between kept and duplicate in the ledger.
    pub fn absorb(&mut self, mapped: &mut Mapped, ledger: &mut Ledger) -> Output {
        if self.source != Some(mapped.source.0) {
            self.source = Some(mapped.source.0);
            self.lines_before = 0;
        }
        let before = if mapped.mark.is_some() {
            mapped.lines_before
        } else {
            self.lines_before
        };
        self.lines_before += mapped.counts.lines;
        if mapped.records.is_empty() {
            return Output {
                bytes: std::mem::take(&mut mapped.lines),
                others: std::mem::take(&mut mapped.others),
                records: mapped.counts.kept,
                mark: None,
            };
        }
        let mut output = Output::default();
        if !self.joined {
            output.others.resize_with(self.others.len(), Vec::new);
        }
        for line in &mapped.records {
            let text = line.text.of(&mapped.lines);
            if self.context.is_on() {
                self.context.line(line, text, &mut output);
                continue;
            }
            let masked = line.masked.of(&mapped.masks);
            let goes_out = if self.others.is_empty() {
                self.line(line, text, masked, before, &mut output.bytes)
            } else {
                self.branch(line, text, masked, before, &mut output)
            };
            if goes_out {
                output.records += 1;
            } else {
                ledger.kept -= 1;
                ledger.duplicate = ledger.duplicate.saturating_add(1);
            }
        }
        output
    }

    /// Lets a line go out by the branches that it belongs to; false if none takes it.
    fn branch(
        &mut self,
        line: &Line,
        text: &[u8],
        masked: &[u8],
        before: u64,
        output: &mut Output,
    ) -> bool {
        let mut goes_out = false;
        for branch in 0..=self.others.len() {
            if !line.branches.has(branch) {
                continue;
            }
            let out = match branch.checked_sub(1) {
                Some(other) if !self.joined => &mut output.others[other],
                _ => &mut output.bytes,
            };
            let passes = match branch.checked_sub(1) {
                Some(other) => self.others[other].line(line, text, masked, before, out),
                None => self.line(line, text, masked, before, out),
            };
            if passes && goes_out && self.joined {
                out.truncate(out.len() - text.len());
            }
            goes_out |= passes;
        }
        goes_out
    }

    /// Lets a line go out, if it does not repeat another.
    #[inline]
    fn line(
        &mut self,
        line: &Line,
        text: &[u8],
        masked: &[u8],
        before: u64,
        out: &mut Vec<u8>,
    ) -> bool {
        let (template, novelty) = if self.masks {
            self.known.template(line.fingerprint, masked)
        } else {
            (masked, Novelty::Unknown)
        };
        if let Some(dedup) = self.dedup {
            // A line that a known template covers was seen in another form.
            let covered = dedup.mode == DedupMode::Template && novelty == Novelty::Covered;
            let shown = if self.json { template } else { text };
            let every = dedup.every;
            if !self
                .seen
                .passes(every, line, shown, covered, out, self.json)
            {
                return false;
            }
        }
        if self.json {
            let (head, tail) = text.split_at(line.template_at as usize);
            write!(out, "{{\"line\":{},", before + u64::from(line.line) + 1)
                .expect("a vector takes everything");
            out.extend_from_slice(head);
            string(out, template);
            out.extend_from_slice(tail);
        } else {
            out.extend_from_slice(text);
        }
        true
    }

    /// Counts that were still to be told when the input ended.
    pub fn finish(&mut self) -> Output {
        let mut output = Output::default();
        self.tell_rest(&mut output.bytes);
        for other in &mut self.others {
            if self.joined {
                other.tell_rest(&mut output.bytes);
            } else {
                let mut bytes = Vec::new();
                other.tell_rest(&mut bytes);
                output.others.push(bytes);
            }
        }
        output
    }

    fn tell_rest(&mut self, out: &mut Vec<u8>) {
        if self.dedup.is_some_and(|dedup| dedup.every.is_some()) {
            self.seen.tell(None, out, self.json);
        }
    }

    /// Whether a table was full, so that lines went out which were perhaps not new, or context was left out.
    pub fn is_approximate(&self) -> bool {
        let is_full = self.seen.is_full
            || self.context.is_cut
            || (self
                .dedup
                .is_some_and(|dedup| dedup.mode != DedupMode::Exact)
                && self.known.is_full());
        is_full || self.others.iter().any(Lines::is_approximate)
    }
}

/// Records around the selected ones.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Context {
    before: usize,
    after: usize,
    /// The last records that did not go out.
    held: VecDeque<serde_bytes::ByteBuf>,
    #[serde(default)]
    held_bytes: usize,
    /// Held records were left out that may have been wanted ([`CONTEXT_BYTES_MAX`]).
    #[serde(default)]
    is_cut: bool,
    /// How many records after a selected one still go out.
    open: usize,
    /// Something went out, and a record was left out since: a separator is due.
    gap: bool,
    started: bool,
}

impl Context {
    fn is_on(&self) -> bool {
        self.before > 0 || self.after > 0
    }

    /// The oldest record that is held will not go out.
    fn let_go(&mut self) {
        self.gap = true;
        match self.held.pop_front() {
            Some(held) => self.held_bytes = self.held_bytes.saturating_sub(held.len()),
            None => self.held_bytes = 0,
        }
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
            self.held_bytes = 0;
            output.bytes.extend_from_slice(text);
            output.records += 1;
            self.open = self.after;
        } else if self.open > 0 {
            self.open -= 1;
            output.bytes.extend_from_slice(text);
        } else {
            if self.held.len() == self.before {
                self.let_go();
            }
            if self.before > 0 {
                self.held_bytes = self.held_bytes.saturating_add(text.len());
                self.held.push_back(serde_bytes::ByteBuf::from(text));
                while self.held_bytes > CONTEXT_BYTES_MAX {
                    self.is_cut = true;
                    self.let_go();
                }
            }
        }
    }
}

/// What dedup has seen.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Seen {
    /// Without windows: every identity. Keyed at random, since identities come from the input.
    identities: HashSet<u64, RandomState>,
    /// With windows: the line of each identity that went out, and what was held back since.
    windows: HashMap<u64, Window, RandomState>,
    /// Windows with something to tell, by end and order; those without a time come last.
    waiting: BTreeMap<(Time, u64), u64>,
    order: u64,
    newest: Option<Time>,
    is_full: bool,
    /// How many share the room for identities; 0 is one.
    #[serde(default)]
    branches: usize,
}

/// A line that went out, and how many were held back since.
#[derive(Clone, Serialize, Deserialize)]
struct Window {
    /// `None` if no line before it had a time.
    end: Option<Time>,
    count: u64,
    /// Shared with a checkpoint that is being written.
    #[serde(with = "text")]
    text: Arc<[u8]>,
}

/// A window's text as MessagePack's bytes.
mod text {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};
    use serde_bytes::ByteBuf;

    pub fn serialize<S: Serializer>(text: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(ByteBuf::deserialize(deserializer)?.into_vec().into())
    }
}

impl Seen {
    /// Whether a line goes out; `covered` if a known template stands for it. With windows the counts
    /// of those that end with its time are written first, each with the start of what `shown` was.
    fn passes(
        &mut self,
        every: Option<i64>,
        line: &Line,
        shown: &[u8],
        covered: bool,
        out: &mut Vec<u8>,
        json: bool,
    ) -> bool {
        let Some(every) = every else {
            return self.is_first(line.identity) && !covered;
        };
        if line.time > self.newest {
            self.newest = line.time;
            self.tell(line.time, out, json);
        }
        let now = line.time.or(self.newest);
        let end = now.and_then(|now| now.0.checked_add(every)).map(Time);
        if let Some(window) = self.windows.get_mut(&line.identity) {
            if window.end.is_some() && line.time >= window.end {
                window.end = end;
                return true;
            }
            self.hold(line.identity);
            return false;
        }
        if self.windows.len() >= WINDOWS_MAX / self.branches.max(1) {
            self.is_full = true;
            return true;
        }
        let text = shown[..shown.len().min(SHOWN_BYTES_MAX)].into();
        let window = Window {
            end,
            count: 0,
            text,
        };
        self.windows.insert(line.identity, window);
        if covered {
            self.hold(line.identity);
        }
        !covered
    }

    fn is_first(&mut self, identity: u64) -> bool {
        if self.identities.len() < IDENTITIES_MAX / self.branches.max(1) {
            return self.identities.insert(identity);
        }
        let known = self.identities.contains(&identity);
        self.is_full |= !known;
        !known
    }

    /// Counts a line that is held back; the first one of a window makes it wait for its end.
    fn hold(&mut self, identity: u64) {
        let window = self
            .windows
            .get_mut(&identity)
            .expect("only a line with a window is held back");
        window.count += 1;
        if window.count == 1 {
            let end = window.end.unwrap_or(Time(i64::MAX));
            self.waiting.insert((end, self.order), identity);
            self.order += 1;
        }
    }

    /// Tells the counts of the windows that ended by `now`, or of all. The next line of such a
    /// window goes out again at once.
    fn tell(&mut self, now: Option<Time>, out: &mut Vec<u8>, json: bool) {
        while let Some(entry) = self.waiting.first_entry() {
            if now.is_some_and(|now| entry.key().0 > now) {
                break;
            }
            let identity = entry.remove();
            if let Some(window) = self.windows.get_mut(&identity) {
                window.tell(out, json);
            }
        }
    }
}

impl Window {
    /// Writes how many were held back since the line went out.
    fn tell(&mut self, out: &mut Vec<u8>, json: bool) {
        let text = &self.text[..memchr::memchr(b'\n', &self.text).unwrap_or(self.text.len())];
        let until = self.end.map(|end| end.to_string());
        let count = std::mem::take(&mut self.count);
        if json {
            let until = until.map_or("null".to_owned(), |end| format!("\"{end}\""));
            write!(out, "{{\"repeated\":{count},\"until\":{until},\"of\":")
                .expect("a vector takes everything");
            string(out, text);
            out.extend_from_slice(b"}\n");
        } else {
            let until = until.map_or(String::new(), |end| format!(" until {end}"));
            write!(out, "[weir: {count} more{until}] ").expect("a vector takes everything");
            out.extend_from_slice(text);
            out.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::batch::SourceId;
    use crate::flow::mark::Mark;
    use crate::flow::output::Branches;
    use crate::flow::span::Span;

    /// A batch of one JSON line, the second one of it.
    fn batch(source: u32, lines_before: u64, is_followed: bool) -> Mapped {
        let mut mapped = Mapped {
            source: SourceId(source),
            lines_before,
            mark: is_followed.then(Box::<Mark>::default),
            lines: b"}\n".to_vec(),
            ..Mapped::default()
        };
        mapped.counts.lines = 3;
        mapped.records.push(Line {
            text: Span::new(0..2),
            template_at: 0,
            line: 1,
            selected: true,
            branches: Branches::FIRST,
            identity: 0,
            time: None,
            masked: Span::default(),
            fingerprint: Default::default(),
        });
        mapped
    }

    #[test]
    fn lines_of_followed_files_that_take_turns_keep_their_numbers() {
        let task = LinesTask {
            level: None,
            json: true,
            count: false,
            dedup: None,
            before: 0,
            after: 0,
            as_they_come: false,
        };
        let mut lines = Lines::new(&task);
        let mut number = |source, before, is_followed| {
            let mut mapped = batch(source, before, is_followed);
            let output = lines.absorb(&mut mapped, &mut Ledger::default());
            let text = String::from_utf8(output.bytes).unwrap();
            let digits = text.strip_prefix("{\"line\":").unwrap();
            digits[..digits.find(',').unwrap()].parse::<u64>().unwrap()
        };
        // Read to the end: the fold counts, whatever the batch says.
        assert_eq!(
            [
                number(0, 0, false),
                number(0, 0, false),
                number(1, 0, false)
            ],
            [2, 5, 2]
        );
        // Followed: the follower counts.
        assert_eq!(
            [number(0, 40, true), number(1, 7, true), number(0, 43, true)],
            [42, 9, 45]
        );
    }

    /// `filter -B 1000000000` once kept all of its input.
    #[test]
    fn context_takes_no_more_than_its_limit() {
        let task = LinesTask {
            level: None,
            json: false,
            count: false,
            dedup: None,
            before: usize::MAX,
            after: 0,
            as_they_come: false,
        };
        let mut lines = Lines::new(&task);
        let mut output = Output::default();
        let text = vec![b'x'; 1 << 20];
        let mut line = batch(0, 0, false).records[0];
        for number in 0..200 {
            assert_eq!(lines.is_approximate(), number > CONTEXT_BYTES_MAX >> 20);
            line.selected = false;
            lines.context.line(&line, &text, &mut output);
            assert!(lines.context.held_bytes <= CONTEXT_BYTES_MAX);
        }
        line.selected = true;
        lines.context.line(&line, b"found", &mut output);
        assert_eq!(output.bytes.len(), CONTEXT_BYTES_MAX + 5);
        assert_eq!((lines.context.held_bytes, output.records), (0, 1));
    }
}
