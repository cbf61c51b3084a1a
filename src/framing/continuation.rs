//! The continuation machine: whether a line starts a record or joins the one above. It asks for
//! positive evidence; text that carries none starts a record. After a start the machine knows that
//! one line and nothing else, so a chunk may be cut before any start.

use crate::framing::kind::{self, Kind};
use crate::framing::{Multiline, RECORD_BYTES_MAX, RECORD_LINES_MAX, mark_bytes, text};
use crate::parsers::start::is_hard_start;

/// What the record so far lets the machine expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Nothing,
    /// Frames of a Python traceback, then its last line.
    Traceback,
    /// A Python traceback has ended; another may be chained to it.
    Chain,
    /// A Go panic: a signal line, goroutines.
    Go,
    /// A goroutine's functions, each with an indented place.
    GoFunctions,
    /// A panic message of Rust on a line of its own.
    RustMessage,
    Rust,
    /// The message after `Unhandled exception:`.
    DartMessage,
    /// The line of source that a Dart `FormatException` quotes.
    DartSource,
    Dart,
    /// A JSON object whose last line ended in a comma or an opening bracket.
    Json,
    /// A crash report of Node: source, caret, blank line, exception.
    Pointed,
}

#[derive(Clone, Copy, Debug)]
struct State {
    expect: Expect,
    /// The record holds a trace: blank lines and weaker evidence join it.
    trace: bool,
    /// The record is one line so far.
    lone: bool,
    /// Its first line is a hard start.
    headed: bool,
    /// Its first line is blank: nothing joins it.
    blank: bool,
}

impl State {
    /// The state after a start: a function of that line alone.
    fn start(text: &[u8], kind: Kind) -> State {
        let expect = match kind {
            Kind::Traceback => Expect::Traceback,
            Kind::GoPanic => Expect::Go,
            Kind::Goroutine => Expect::GoFunctions,
            Kind::RustPanic if text.ends_with(b":") => Expect::RustMessage,
            Kind::RustPanic => Expect::Rust,
            Kind::Unhandled => Expect::DartMessage,
            _ if text.ends_with(b"Traceback (most recent call last):") => Expect::Traceback,
            _ if text.first() == Some(&b'{') && is_unfinished(text) => Expect::Json,
            _ => Expect::Nothing,
        };
        let trace = expect != Expect::Nothing && expect != Expect::Json
            || matches!(kind, Kind::Exception | Kind::Crash | Kind::Backtrace);
        State {
            expect,
            trace,
            lone: true,
            headed: is_hard_start(text),
            blank: kind == Kind::Blank,
        }
    }

    /// Whether the line joins, and the state after it if it does.
    fn joins(mut self, text: &[u8], kind: Kind, previous: Kind) -> Option<State> {
        if self.blank {
            return None;
        }
        let lone = std::mem::replace(&mut self.lone, false);
        let first_of_headed = lone && self.headed;
        match kind {
            Kind::Text | Kind::Quoted => {
                self.expect = self.expected_text(text, kind, previous)?;
            }
            Kind::Blank => {
                if !self.trace {
                    return None;
                }
                self.expect = match self.expect {
                    Expect::Chain | Expect::Pointed | Expect::Go | Expect::Dart => self.expect,
                    Expect::GoFunctions => Expect::Go,
                    Expect::DartMessage | Expect::DartSource => Expect::Dart,
                    _ => Expect::Nothing,
                };
            }
            Kind::Indented => {
                if self.expect == Expect::Json && !is_unfinished(text) {
                    self.expect = Expect::Nothing;
                } else if matches!(self.expect, Expect::DartMessage | Expect::DartSource) {
                    self.expect = Expect::Dart;
                }
                self.trace |= text.trim_ascii_start().starts_with(b"at ");
            }
            Kind::Caret => {
                self.trace = true;
                if self.expect == Expect::Nothing {
                    self.expect = Expect::Pointed;
                }
            }
            Kind::Frame => self.trace = true,
            Kind::Closer => {
                if self.expect == Expect::Json && !is_unfinished(text) {
                    self.expect = Expect::Nothing;
                }
            }
            Kind::Exception => {
                match self.expect {
                    Expect::Traceback
                        if matches!(previous, Kind::Traceback | Kind::Indented | Kind::Caret) =>
                    {
                        self.expect = Expect::Chain
                    }
                    Expect::Pointed => self.expect = Expect::Nothing,
                    Expect::DartMessage => {
                        self.expect = if text.starts_with(b"FormatException") {
                            Expect::DartSource
                        } else {
                            Expect::Dart
                        }
                    }
                    Expect::RustMessage => self.expect = Expect::Rust,
                    _ if first_of_headed => {}
                    _ => return None,
                }
                self.trace = true;
            }
            Kind::Traceback => {
                if !(first_of_headed || self.expect == Expect::Chain) {
                    return None;
                }
                self.trace = true;
                self.expect = Expect::Traceback;
            }
            Kind::Handling => {
                if self.expect != Expect::Chain {
                    return None;
                }
            }
            Kind::Goroutine => {
                if !(first_of_headed
                    || self.expect == Expect::Go
                    || self.expect == Expect::GoFunctions)
                {
                    return None;
                }
                self.trace = true;
                self.expect = Expect::GoFunctions;
            }
            Kind::GoPanic | Kind::GoDetail => {
                if !matches!(self.expect, Expect::Go | Expect::GoFunctions) {
                    return None;
                }
            }
            Kind::Note => {
                if !matches!(self.expect, Expect::Rust | Expect::RustMessage) {
                    return None;
                }
                self.expect = Expect::Rust;
            }
            Kind::Backtrace => {
                if !(lone || self.trace) {
                    return None;
                }
                self.trace = true;
            }
            Kind::Numbered => {
                let first = text.starts_with(b"#0") && text.contains(&b'(');
                if !(self.trace || lone && first) {
                    return None;
                }
                self.trace = true;
            }
            Kind::Suspension | Kind::NodeVersion => {
                if !self.trace {
                    return None;
                }
            }
            Kind::DartDetail => {
                if !matches!(
                    self.expect,
                    Expect::Dart | Expect::DartMessage | Expect::DartSource
                ) {
                    return None;
                }
            }
            Kind::RustPanic | Kind::Unhandled | Kind::Crash => return None,
        }
        Some(self)
    }

    /// Text without evidence of its own joins only where the line directly above calls for it.
    fn expected_text(self, text: &[u8], kind: Kind, previous: Kind) -> Option<Expect> {
        match (self.expect, previous) {
            (Expect::Traceback, Kind::Traceback | Kind::Indented | Kind::Caret) => {
                kind::ends_traceback(text).then_some(Expect::Chain)
            }
            (Expect::Chain, Kind::Blank | Kind::Exception) => text
                .starts_with(b"The above exception was the direct cause")
                .then_some(Expect::Chain),
            (Expect::GoFunctions, Kind::Goroutine | Kind::Indented) => {
                kind::is_go_function(text).then_some(Expect::GoFunctions)
            }
            (Expect::RustMessage, Kind::RustPanic) => Some(Expect::Rust),
            (Expect::DartMessage, Kind::Unhandled) => Some(Expect::Dart),
            (Expect::DartSource, Kind::Exception) => Some(Expect::Dart),
            (Expect::Json, _) if kind == Kind::Quoted => Some(if is_unfinished(text) {
                Expect::Json
            } else {
                Expect::Nothing
            }),
            _ => None,
        }
    }
}

/// Whether a line of JSON cannot be the object's last.
fn is_unfinished(text: &[u8]) -> bool {
    matches!(
        text.trim_ascii_end().last(),
        Some(b',' | b'[' | b'{' | b':')
    )
}

/// The record that a walk is in. One tracker a stream.
#[derive(Debug)]
pub(super) struct Tracker {
    /// Where the record starts. While `state` is `None`, its first line stands there in the chunk.
    start: usize,
    lines: u32,
    previous: Kind,
    /// `None` until it is asked for: most records are followed by a line that starts another
    /// whatever came before, and then the state is never worked out.
    state: Option<State>,
}

impl Tracker {
    /// No record yet: the next line starts one.
    pub(super) fn new() -> Tracker {
        Tracker {
            start: 0,
            lines: 0,
            previous: Kind::Text,
            state: None,
        }
    }

    pub(super) fn close(&mut self) {
        self.lines = 0;
    }

    pub(super) fn is_open(&self) -> bool {
        self.lines > 0
    }

    /// Fast path for [`Multiline::Auto`]: if the line at `at` starts a record whatever the record
    /// above is, takes it as one. A line that is not suspicious has no evidence of its own, and
    /// after a line of [`Kind::Text`] nothing calls for it.
    #[inline(always)]
    pub(super) fn starts_surely(&mut self, chunk: &[u8], at: usize) -> bool {
        if self.previous != Kind::Text || kind::suspicious(&chunk[at..]) {
            return false;
        }
        self.start = at;
        self.lines = 1;
        self.state = None;
        true
    }

    /// Takes the line at `at..end` of the chunk; whether it starts a record.
    pub(super) fn starts(&mut self, mode: &Multiline, chunk: &[u8], at: usize, end: usize) -> bool {
        let line = text(&chunk[at..end]);
        let starts = self.decide(mode, line, at, |start| text(first_line(&chunk[start..at])));
        if starts {
            self.state = None;
        }
        starts
    }

    /// Takes a line that does not stand in the chunk as it is (unwrapped from a container); `at`
    /// is where its wrapping stands.
    pub(super) fn starts_unwrapped(&mut self, mode: &Multiline, line: &[u8], at: usize) -> bool {
        let line = &line[mark_bytes(line)..];
        let starts = self.decide(mode, line, at, |_| &[]);
        if starts && matches!(mode, Multiline::Auto) {
            self.state = Some(State::start(line, self.previous));
        }
        starts
    }

    fn decide<'c>(
        &mut self,
        mode: &Multiline,
        line: &[u8],
        at: usize,
        head: impl FnOnce(usize) -> &'c [u8],
    ) -> bool {
        let (joins, kind) = match mode {
            Multiline::Off => (false, Kind::Text),
            Multiline::Pattern(pattern) => (!pattern.is_match(line), Kind::Text),
            Multiline::Auto => {
                let kind = kind::kind(line);
                let mut joins = false;
                if self.lines > 0 && (kind != Kind::Text || self.previous != Kind::Text) {
                    let state = self.state.unwrap_or_else(|| {
                        let head = head(self.start);
                        State::start(head, kind::kind(head))
                    });
                    let after = state.joins(line, kind, self.previous);
                    joins = after.is_some() && !is_hard_start(line);
                    self.state = Some(after.unwrap_or(state));
                }
                (joins, kind)
            }
        };
        self.previous = kind;
        if joins
            && self.lines > 0
            && self.lines < RECORD_LINES_MAX
            && at - self.start < RECORD_BYTES_MAX
        {
            self.lines += 1;
            return false;
        }
        self.start = at;
        self.lines = 1;
        true
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(bytes, |end| &bytes[..end])
}

/// Whether the line after `above` starts a record whatever stands before both. Not every start is
/// sure; a hard start always is.
pub(super) fn is_sure_start(mode: &Multiline, above: &[u8], line: &[u8]) -> bool {
    match mode {
        Multiline::Off => true,
        Multiline::Pattern(pattern) => pattern.is_match(text(line)),
        Multiline::Auto => {
            // The cheaper question first: most lines say nothing, nor do those above them.
            kind::kind(text(line)) == Kind::Text && kind::kind(text(above)) == Kind::Text
                || is_hard_start(text(line))
        }
    }
}
