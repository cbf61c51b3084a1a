//! The continuation machine: whether a line starts a record or joins the one above. It asks for
//! positive evidence; text that carries none starts a record. After a start the machine knows that
//! one line and nothing else, so a chunk may be cut before any start.

use crate::framing::called::{self, Report};
use crate::framing::kind::{self, Kind};
use crate::framing::{
    Multiline, RECORD_BYTES_MAX, RECORD_LINES_MAX, mark_bytes, text, without_end,
};
use crate::parsers::start::is_hard_start;

/// What the record so far lets the machine expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Nothing,
    /// Frames of a Python traceback, then its last line.
    Traceback,
    /// A Python traceback has ended; another may be chained to it.
    Chain,
    /// A sentence has said that another traceback follows.
    Chained,
    /// A Go panic: a signal line, goroutines.
    Go,
    /// A goroutine's functions, each with an indented place.
    GoFunctions,
    /// Functions of a Go stack without arguments, each with an indented place.
    GoStack,
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
    /// A report whose lines say by their first words that they belong to it.
    Report(Report),
    /// A line of only `#`: the report of a Java machine that crashed, perhaps.
    JavaCrash,
    /// The head of a slow statement, then the statement.
    SlowHead,
    SlowSql,
}

/// What the first line is, as far as it matters to those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// No head: nothing below it is meant for it without more evidence.
    Text,
    /// A head that opens a record whatever came before.
    Headed,
    /// As `Headed`, and the text is a message of PHP that others may follow.
    Php,
    /// A record that is complete in its line: an access record or a JSON object. What crashes below is
    /// another program's.
    Complete,
    /// Date, time, class and method of `java.util.logging`.
    Jul,
    /// Blank: nothing joins it.
    Blank,
    /// One blank before it, as some programs put before each line: lines like it are its neighbours. A line
    /// indented further may be the rest of a record that was cut at its limit.
    Shifted,
}

#[derive(Clone, Copy, Debug)]
struct State {
    expect: Expect,
    /// The record holds a trace: blank lines and weaker evidence join it.
    trace: bool,
    /// The record is one line so far.
    lone: bool,
    first: First,
}

impl State {
    /// The state after a start: a function of that line alone.
    fn start(text: &[u8], kind: Kind) -> State {
        let expect = match kind {
            Kind::Traceback => Expect::Traceback,
            Kind::Indented if text.trim_ascii_start().starts_with(b"File \"") => Expect::Traceback,
            Kind::GoPanic => Expect::Go,
            Kind::Goroutine => Expect::GoFunctions,
            Kind::RustPanic if text.ends_with(b":") => Expect::RustMessage,
            Kind::RustPanic => Expect::Rust,
            Kind::Unhandled => Expect::DartMessage,
            Kind::Report | Kind::Star => Expect::Report(Report::Beam),
            Kind::Sanitizer => Expect::Report(Report::Sanitizer),
            Kind::Fatal if text.starts_with(b"Fatal Python") => Expect::Report(Report::Python),
            Kind::Comment if text == b"#" => Expect::JavaCrash,
            Kind::SlowDetail => Expect::SlowHead,
            _ if text.ends_with(b"Traceback (most recent call last):") => Expect::Traceback,
            _ if text.ends_with(b"WARNING: DATA RACE") => Expect::Report(Report::Race),
            _ if text.first() == Some(&b'{') && is_unfinished(text) => Expect::Json,
            _ => Expect::Nothing,
        };
        let is_trace = matches!(
            kind,
            Kind::Exception | Kind::Crash | Kind::Backtrace | Kind::Fatal
        );
        let no_trace = [
            Expect::Nothing,
            Expect::Json,
            Expect::JavaCrash,
            Expect::SlowHead,
        ];
        State {
            expect,
            trace: is_trace || is_frame(text) || !no_trace.contains(&expect),
            lone: true,
            first: First::of(text, kind),
        }
    }

    /// Whether the line joins, and the state after it if it does.
    fn joins(mut self, text: &[u8], kind: Kind, previous: Kind) -> Option<State> {
        let lone = std::mem::replace(&mut self.lone, false);
        match self.first {
            First::Blank => return None,
            // Text behind a JSON object would make it text, too.
            First::Complete if lone && kind != Kind::Carried => return None,
            First::Shifted
                if !self.trace
                    && self.expect == Expect::Nothing
                    && kind == Kind::Indented
                    && is_shifted(text)
                    && !is_frame(text) =>
            {
                return None;
            }
            _ => {}
        }
        let first_of_headed = lone && matches!(self.first, First::Headed | First::Php);
        match kind {
            Kind::Text | Kind::Quoted => {
                self.expect = self.expected_text(text, kind, previous)?;
            }
            Kind::Blank => {
                if !self.trace {
                    return None;
                }
                self.expect = match self.expect {
                    Expect::Chain
                    | Expect::Chained
                    | Expect::Pointed
                    | Expect::Go
                    | Expect::Dart
                    | Expect::Report(_) => self.expect,
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
                self.trace |= is_frame(text);
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
                if !(first_of_headed || self.expect == Expect::Chained) {
                    return None;
                }
                self.trace = true;
                self.expect = Expect::Traceback;
            }
            Kind::Handling => {
                if self.expect != Expect::Chain {
                    return None;
                }
                self.expect = Expect::Chained;
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
            Kind::GoSymbol => {
                let goes_on = self.expect == Expect::GoStack && previous == Kind::Indented;
                if !(first_of_headed || goes_on) {
                    return None;
                }
                self.trace = true;
                self.expect = Expect::GoStack;
            }
            Kind::PhpMessage => {
                if self.first != First::Php {
                    return None;
                }
            }
            Kind::Star => {
                // `** (RuntimeError) …` is the exception itself, the others tell more of one.
                let goes_on =
                    self.expect == Expect::Report(Report::Beam) && !text.starts_with(b"** (");
                if !(first_of_headed || goes_on) {
                    return None;
                }
                self.trace = true;
                self.expect = Expect::Report(Report::Beam);
            }
            Kind::SanitizerDetail => {
                if self.expect != Expect::Report(Report::Sanitizer) {
                    return None;
                }
            }
            Kind::Comment => {
                let opens = lone
                    && (text.starts_with(b"# A fatal error has been detected by the ")
                        || text.starts_with(b"# There is insufficient memory for the "));
                if self.expect != Expect::JavaCrash || !(opens || self.trace) {
                    return None;
                }
                self.trace = true;
            }
            Kind::SlowDetail => {
                // `# Time:` opens a record, and `# User@Host:` does where the second is the same.
                if self.expect != Expect::SlowHead || text.starts_with(b"# User@Host: ") && !lone {
                    return None;
                }
            }
            Kind::JulLevel => {
                if !(lone && self.first == First::Jul) {
                    return None;
                }
                self.first = First::Headed;
                self.lone = true;
            }
            Kind::GcDetail => {
                if !(first_of_headed || previous == Kind::GcDetail) {
                    return None;
                }
            }
            Kind::Carried => self.trace = true,
            Kind::RustPanic
            | Kind::Unhandled
            | Kind::Crash
            | Kind::Report
            | Kind::Sanitizer
            | Kind::Fatal => return None,
            Kind::Called | Kind::OpenSql => unreachable!("no line is it by itself"),
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
                .then_some(Expect::Chained),
            (Expect::GoFunctions, Kind::Goroutine | Kind::Indented) => {
                kind::is_go_function(text).then_some(Expect::GoFunctions)
            }
            (Expect::RustMessage, Kind::RustPanic) => Some(Expect::Rust),
            (Expect::DartMessage, Kind::Unhandled) => Some(Expect::Dart),
            (Expect::DartSource, Kind::Exception) => Some(Expect::Dart),
            (Expect::Report(Report::Beam), Kind::Report) => Some(self.expect),
            (Expect::Report(Report::Beam), Kind::Star) if text.starts_with(b"{") => {
                Some(self.expect)
            }
            (Expect::Report(report), _) => called::joins(report, text).then_some(self.expect),
            (Expect::SlowHead | Expect::SlowSql, Kind::SlowDetail | Kind::OpenSql) => {
                Some(Expect::SlowSql)
            }
            (Expect::SlowSql, Kind::Called | Kind::Indented) => {
                called::is_sql(text).then_some(Expect::SlowSql)
            }
            (_, Kind::GcDetail) if text.starts_with(b": ") => Some(self.expect),
            (Expect::Json, _) if kind == Kind::Quoted => Some(if is_unfinished(text) {
                Expect::Json
            } else {
                Expect::Nothing
            }),
            _ if self.trace => called::joins(Report::Trace, text).then_some(self.expect),
            _ => None,
        }
    }
}

impl First {
    fn of(text: &[u8], kind: Kind) -> First {
        match kind {
            Kind::Blank => First::Blank,
            Kind::Indented if is_shifted(text) && !is_hard_start(text) => First::Shifted,
            _ if called::is_jul_head(text) => First::Jul,
            _ if !is_hard_start(text) => First::Text,
            _ if is_complete(text) => First::Complete,
            _ if memchr::memmem::find(text, b"PHP message: ").is_some() => First::Php,
            _ => First::Headed,
        }
    }
}

/// An access record, or a JSON object.
fn is_complete(text: &[u8]) -> bool {
    if text.trim_ascii_start().starts_with(b"{") {
        return text.trim_ascii_end().ends_with(b"}");
    }
    let Some(found) = memchr::memmem::find(text, b" HTTP/") else {
        return false;
    };
    let mut rest = text[found..].iter().skip_while(|&&byte| byte != b'"');
    rest.next().is_some()
        && rest.next() == Some(&b' ')
        && rest.next().is_some_and(u8::is_ascii_digit)
}

fn is_frame(text: &[u8]) -> bool {
    let bare = text.trim_ascii_start();
    bare.len() < text.len() && bare.starts_with(b"at ")
}

/// Indented by exactly one blank.
fn is_shifted(text: &[u8]) -> bool {
    matches!(text, [b' ', next, ..] if *next != b' ')
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
    pub(super) fn starts_surely(&mut self, chunk: &[u8], at: usize, end: usize) -> bool {
        if self.previous != Kind::Text
            || kind::suspicious(&chunk[at..])
            || may_carry(&chunk[at..end])
        {
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

    /// Whether the line joins, and what it is to the lines below it.
    fn decide_by_evidence<'c>(&self, line: &[u8], head: impl Fn() -> &'c [u8]) -> Decision {
        let mut kind = kind::kind(line);
        if kind == Kind::JulLevel && !(self.lines == 1 && self.follows_jul_head(&head)) {
            kind = Kind::Text;
        }
        if self.lines == 0 {
            return Decision::starts(kind);
        }
        if kind == Kind::Text
            && (may_carry(line) || self.previous == Kind::Carried)
            && let Some(place) = called::carried(line)
            && called::has_head_of(head(), line, place)
        {
            kind = Kind::Carried;
        }
        if kind == Kind::Text && self.previous == Kind::Text {
            return Decision::starts(kind);
        }
        let state = self.state.unwrap_or_else(|| {
            let head = head();
            State::start(head, kind::kind(head))
        });
        let after = state.joins(line, kind, self.previous);
        let joins = after.is_some()
            && (matches!(kind, Kind::JulLevel | Kind::Carried) || !is_hard_start(line));
        // What joined without evidence of its own: what follows it is asked, too.
        if joins && kind == Kind::Text {
            kind = match after.map(|after| after.expect) {
                Some(Expect::SlowSql) if called::is_open_sql(line) => Kind::OpenSql,
                Some(Expect::SlowSql | Expect::Report(_)) => Kind::Called,
                _ if state.trace && called::joins(Report::Trace, line) => Kind::Called,
                _ => Kind::Text,
            };
        }
        Decision {
            joins,
            kind,
            state: Some(after.unwrap_or(state)),
        }
    }

    fn follows_jul_head<'c>(&self, head: impl Fn() -> &'c [u8]) -> bool {
        match self.state {
            Some(state) => state.first == First::Jul,
            None => called::is_jul_head(head()),
        }
    }

    fn decide<'c>(
        &mut self,
        mode: &Multiline,
        line: &[u8],
        at: usize,
        head: impl Fn(usize) -> &'c [u8],
    ) -> bool {
        let Decision { joins, kind, state } = match mode {
            Multiline::Off => Decision::starts(Kind::Text),
            Multiline::Pattern(pattern) => Decision {
                joins: !pattern.is_match(line),
                ..Decision::starts(Kind::Text)
            },
            Multiline::Auto => self.decide_by_evidence(line, || head(self.start)),
        };
        self.previous = kind;
        self.state = state.or(self.state);
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

/// What the machine says about a line.
struct Decision {
    joins: bool,
    kind: Kind,
    /// The record's state with this line, if it was worked out.
    state: Option<State>,
}

impl Decision {
    fn starts(kind: Kind) -> Decision {
        Decision {
            joins: false,
            kind,
            state: None,
        }
    }
}

/// Whether the line may be a frame behind a head of its own: it ends in a parenthesis.
#[inline(always)]
fn may_carry(line: &[u8]) -> bool {
    match line {
        [.., last, b'\n'] if *last != b'\r' => *last == b')',
        _ => without_end(line).ends_with(b")"),
    }
}

fn first_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(bytes, |end| &bytes[..end])
}

/// Whether the line after `above` starts a record whatever stands before both. Not every start is
/// sure; a hard start is, but for two that have a head and go on.
pub(super) fn is_sure_start(mode: &Multiline, above: &[u8], line: &[u8]) -> bool {
    match mode {
        Multiline::Off => true,
        Multiline::Pattern(pattern) => pattern.is_match(text(line)),
        Multiline::Auto => {
            let (above, line) = (text(above), text(line));
            let kind = kind::kind(line);
            // The cheaper question first: most lines say nothing, nor do those above them.
            if kind == Kind::Text && kind::kind(above) == Kind::Text && !called::may_be(above, line)
                || is_hard_start(line)
            {
                !(kind == Kind::JulLevel && called::is_jul_head(above))
                    && called::carried(line).is_none()
            } else {
                false
            }
        }
    }
}
