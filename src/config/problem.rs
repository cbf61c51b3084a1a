//! What is wrong with a configuration: file, line, column, cause, remedy, and the line itself with the
//! place marked. Values that are or may be secrets are never shown, neither in messages nor in lines.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::config::hidden;
use crate::flow::secret::HIDDEN as MASK;

/// A file of the configuration.
#[derive(Debug)]
pub struct File {
    pub(super) name: String,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
    /// Values that are not shown, sorted; `None` until it is known what they are.
    hidden: Option<Vec<Range<usize>>>,
}

/// Characters of a line that are shown on either side of a mistake.
const CONTEXT_CHARS: usize = 60;

/// Bytes of a line that are looked at on either side of a mistake, enough for the characters shown.
const SNIPPET_BYTES: usize = 1024;

impl File {
    pub(super) fn new(name: String, text: String) -> File {
        let lines = std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1))
            .collect();
        File {
            name,
            text,
            lines,
            hidden: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn hide(&mut self, mut hidden: Vec<Range<usize>>) {
        hidden.sort_by_key(|range| range.start);
        self.hidden = Some(hidden);
    }

    /// Line and column of a byte, from 1. Columns are characters; a byte order mark is none.
    pub(super) fn line_column(&self, at: usize) -> (usize, usize) {
        let at = boundary(&self.text, at);
        let line = self.lines.partition_point(|&start| start <= at);
        let before = &self.text[self.lines[line - 1]..at];
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        (line, before.chars().count() + 1)
    }

    /// The line that holds `span.start`, with what is not to be seen masked.
    fn snippet(&self, span: &Range<usize>) -> Snippet {
        let start = boundary(&self.text, span.start);
        let line = self.lines.partition_point(|&begin| begin <= start) - 1;
        let line_start = self.lines[line];
        let rest = &self.text[line_start..];
        let rest = rest.split('\n').next().unwrap_or_default();
        let content = rest.strip_suffix('\r').unwrap_or(rest);
        let line_end = line_start + content.len();
        let end = boundary(&self.text, span.end).clamp(start, line_end.max(start));
        let hidden = match &self.hidden {
            Some(hidden) => {
                let from = hidden.partition_point(|range| range.end <= line_start);
                let on_line = hidden[from..].iter().cloned();
                on_line
                    .take_while(|range| range.start < line_end)
                    .collect::<Vec<_>>()
            }
            None => hidden::doubtful_parts(content)
                .into_iter()
                .map(|part| line_start + part.start..line_start + part.end)
                .collect(),
        };

        // Only a part of a very long line is looked at.
        let first = boundary(&self.text, start.saturating_sub(SNIPPET_BYTES)).max(line_start);
        let last = boundary(&self.text, start + SNIPPET_BYTES).min(line_end);
        let mut shown = Vec::new();
        let mut marked = None;
        let mut marked_end = 0;
        let mut masked_until = 0;
        let mut ranges = hidden.iter().skip_while(|range| range.end <= first);
        let mut next = ranges.next();
        for (offset, character) in self.text[first..last.max(first)].char_indices() {
            let at = first + offset;
            if at >= start && marked.is_none() {
                marked = Some(shown.len());
            }
            if at < masked_until || character == '\u{feff}' {
                continue;
            }
            while next.is_some_and(|range| range.end <= at) {
                next = ranges.next();
            }
            match next.filter(|range| range.start <= at) {
                Some(range) => {
                    shown.extend(MASK.chars());
                    masked_until = range.end;
                }
                None if character.is_control() => shown.push(' '),
                None => shown.push(character),
            }
            if at < end {
                marked_end = shown.len();
            }
        }
        // A place inside a masked value is the masked value.
        let mut mark = marked.unwrap_or(shown.len());
        if hidden
            .iter()
            .any(|range| range.start < start && start < range.end)
        {
            mark = mark.saturating_sub(MASK.len());
            marked_end = marked_end.max(mark + MASK.len());
        }
        Snippet {
            cut_before: first > line_start,
            cut_after: last < line_end,
            shown,
            marked: mark..marked_end.max(mark + 1),
        }
    }
}

/// The last character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A line as it may be shown.
#[derive(Clone, Debug)]
struct Snippet {
    shown: Vec<char>,
    /// Places in `shown`; one past its end at most.
    marked: Range<usize>,
    /// More of the line stands before and behind.
    cut_before: bool,
    cut_after: bool,
}

impl fmt::Display for Snippet {
    /// Two lines: a window of the line, and carets under the mistake.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = self.marked.start.saturating_sub(CONTEXT_CHARS);
        let marked = self.marked.len().min(CONTEXT_CHARS);
        let until = (self.marked.start + marked + CONTEXT_CHARS).min(self.shown.len());
        let cut_before = self.cut_before || from > 0;
        let cut_after = self.cut_after || until < self.shown.len();
        let dots = |cut: bool| if cut { "…" } else { "" };
        let window: String = self.shown[from.min(until)..until].iter().collect();
        writeln!(to, "  {}{window}{}", dots(cut_before), dots(cut_after))?;
        let margin = 2 + self.marked.start - from + usize::from(cut_before);
        write!(to, "{}{}", " ".repeat(margin), "^".repeat(marked.max(1)))
    }
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    file: Arc<File>,
    span: Range<usize>,
    /// The environment that says it, if one does.
    environment: Option<Arc<str>>,
    /// The value is the text that stands there: no variables were put in.
    literal: bool,
}

impl Origin {
    pub(super) fn new(
        file: Arc<File>,
        span: Range<usize>,
        environment: Option<Arc<str>>,
        literal: bool,
    ) -> Origin {
        Origin {
            file,
            span,
            environment,
            literal,
        }
    }

    pub fn file(&self) -> &str {
        self.file.name()
    }

    /// From 1.
    pub fn line(&self) -> usize {
        self.file.line_column(self.span.start).0
    }

    /// The environment's name, if the value is from `[env.NAME]`.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// The bytes of the file that are `within` of the value; all of it if that cannot be told.
    fn inside(&self, within: Range<usize>) -> Range<usize> {
        if !self.literal {
            return self.span.clone();
        }
        let token = &self.file.text[self.span.clone()];
        let mut start = None;
        let mut end = None;
        for (value_at, token_at) in positions(token) {
            if value_at <= within.start {
                start = Some(token_at);
            }
            if value_at >= within.end && end.is_none() {
                end = Some(token_at);
            }
        }
        match (start, end) {
            (Some(start), Some(end)) => self.span.start + start..self.span.start + end.max(start),
            _ => self.span.clone(),
        }
    }
}

/// For each character of a TOML string, and for its end: the offset in the value and in the token.
fn positions(token: &str) -> Vec<(usize, usize)> {
    let (quotes, escapes) = match token.as_bytes() {
        [b'"', b'"', b'"', _, ..] if token.len() >= 6 => (3, true),
        [b'\'', b'\'', b'\'', _, ..] if token.len() >= 6 => (3, false),
        [b'"', _, ..] => (1, true),
        [b'\'', _, ..] => (1, false),
        _ => return Vec::new(),
    };
    let end = token.len() - quotes;
    let mut at = quotes;
    if quotes == 3 {
        // A line feed right behind the quotes is no part of the value.
        let rest = &token[at..end];
        at += if rest.starts_with("\r\n") {
            2
        } else {
            usize::from(rest.starts_with('\n'))
        };
    }
    let mut value = 0;
    let mut positions = Vec::new();
    while at < end {
        let rest = &token[at..end];
        let Some(first) = rest.chars().next() else {
            break;
        };
        if first == '\\' && escapes {
            let digits = match rest.as_bytes().get(1) {
                Some(b'x') => 2,
                Some(b'u') => 4,
                Some(b'U') => 8,
                Some(b'\n' | b'\r' | b' ' | b'\t') => {
                    let blanks = rest[1..].len() - rest[1..].trim_start().len();
                    at += 1 + blanks;
                    continue;
                }
                _ => 0,
            };
            positions.push((value, at));
            value += if digits == 0 {
                1
            } else {
                rest.get(2..2 + digits)
                    .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                    .and_then(char::from_u32)
                    .map_or(1, char::len_utf8)
            };
            at += 2 + digits;
        } else {
            positions.push((value, at));
            value += first.len_utf8();
            at += first.len_utf8();
        }
    }
    positions.push((value, end));
    positions
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    pub file: String,
    /// From 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Characters from 1; 0 if the file as a whole is meant.
    pub column: usize,
    pub message: String,
    /// The remedy, as the end of a sentence (`did you mean "level"?`).
    pub hint: Option<String>,
    snippet: Option<Box<Snippet>>,
}

impl Problem {
    /// A problem with the value at `origin`; `within` are the bytes of the value that are wrong, if not
    /// all of it. The message must not hold the value of a secret.
    pub fn new(
        origin: &Origin,
        within: Option<Range<usize>>,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        let span = match within {
            Some(within) => origin.inside(within),
            None => origin.span.clone(),
        };
        Problem::at(&origin.file, span, message.into(), hint)
    }

    pub(super) fn at(
        file: &File,
        span: Range<usize>,
        message: String,
        hint: Option<String>,
    ) -> Problem {
        let (line, column) = file.line_column(span.start);
        Problem {
            file: file.name.clone(),
            line,
            column,
            message,
            hint,
            snippet: Some(Box::new(file.snippet(&span))),
        }
    }

    pub(super) fn syntax(file: &File, span: Range<usize>, message: &str) -> Problem {
        Problem::at(file, span, message.to_owned(), None)
    }

    /// The message with its place, without the line that it is about.
    pub fn in_short(&self) -> String {
        let shortened = Problem {
            snippet: None,
            ..self.clone()
        };
        shortened.to_string()
    }

    /// A problem with a file as a whole.
    pub(super) fn whole(file: &str, message: impl Into<String>) -> Problem {
        Problem {
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: message.into(),
            hint: None,
            snippet: None,
        }
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: what; remedy`, then the line and carets under the place. No last line feed.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}:", self.file)?;
        if self.line > 0 {
            write!(to, "{}:{}:", self.line, self.column)?;
        }
        write!(to, " {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(to, "; {hint}")?;
        }
        if let Some(snippet) = &self.snippet {
            write!(to, "\n{snippet}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of files and lines.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    /// Problems past [`PROBLEMS_MAX`], which are only counted.
    left_out: usize,
}

/// More than these nobody reads at once.
pub const PROBLEMS_MAX: usize = 100;

impl Problems {
    pub fn add(&mut self, problem: Problem) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Adds the problems of `other`.
    pub fn join(&mut self, other: Problems) {
        self.left_out += other.left_out;
        other.list.into_iter().for_each(|problem| self.add(problem));
    }

    /// By file, line and column, each once.
    pub fn in_order(mut self) -> Problems {
        fn place(problem: &Problem) -> (&str, usize, usize) {
            (&problem.file, problem.line, problem.column)
        }
        self.list
            .sort_by(|one, other| place(one).cmp(&place(other)));
        self.list
            .dedup_by(|one, other| place(one) == place(other) && one.message == other.message);
        self
    }

    pub(super) fn leave_out(&mut self, count: usize) {
        self.left_out += count;
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// One JSON object: `{"ok":false,"problems":[{file, line, column, message, hint}],"left_out":0}`.
    pub fn json(&self) -> serde_json::Value {
        #[derive(Serialize)]
        struct Row<'a> {
            file: &'a str,
            line: usize,
            column: usize,
            message: &'a str,
            hint: Option<&'a str>,
        }
        let rows: Vec<Row> = self
            .list
            .iter()
            .map(|problem| Row {
                file: &problem.file,
                line: problem.line,
                column: problem.column,
                message: &problem.message,
                hint: problem.hint.as_deref(),
            })
            .collect();
        serde_json::json!({ "ok": self.is_empty(), "problems": rows, "left_out": self.left_out })
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        let mut problems = Problems::default();
        problems.add(problem);
        problems
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.list.iter().enumerate() {
            if number > 0 {
                writeln!(to)?;
            }
            write!(to, "{problem}")?;
        }
        if self.left_out > 0 {
            write!(to, "\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
