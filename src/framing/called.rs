//! Lines of reports that look like any text: they join only where the record above calls for them, and
//! lines whose continuation stands behind a head of their own.
//!
//! What stands here is weaker evidence than a [`Kind`](super::kind::Kind): the fast path does not look
//! for it. So [`may_be`] and [`carried`] also tell the reader where it must not cut.

/// What kind of report is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A process of Erlang or Elixir that ended.
    Beam,
    /// AddressSanitizer and its kin.
    Sanitizer,
    /// The race detector of Go.
    Race,
    /// `Fatal Python error:`
    Python,
    /// Any other trace.
    Trace,
}

/// How the lines begin that belong to a report.
const OPENINGS: [(Report, &[&[u8]]); 5] = [
    (
        Report::Beam,
        &[
            b"Last message",
            b"State: ",
            b"Client #PID",
            b"Client ",
            b"Function: ",
            b"Args: ",
            b"Initial Call: ",
            b"Start Call: ",
            b"Ancestors: ",
            b"Reason: ",
            b"Offender: ",
        ],
    ),
    (
        Report::Sanitizer,
        &[
            b"READ of size",
            b"WRITE of size",
            b"0x",
            b"=>0x",
            b"freed by thread",
            b"previously allocated by",
            b"allocated by thread",
            b"SUMMARY: ",
            b"Shadow byte",
            b"Address 0x",
            b"Thread T",
            b"Direct leak of",
            b"Indirect leak of",
            b"This frame has",
            b"HINT: this may be",
        ],
    ),
    (
        Report::Race,
        &[
            b"Write at 0x",
            b"Read at 0x",
            b"Atomic ",
            b"Previous ",
            b"Goroutine ",
            b"==================",
        ],
    ),
    (
        Report::Python,
        &[
            b"Current thread",
            b"Thread 0x",
            b"Extension modules:",
            b"Python runtime state",
        ],
    ),
    (
        Report::Trace,
        &[
            b"Dumping heap to ",
            b"Heap dump file created",
            b"Execution halted",
            b"Calls: ",
            b"Aborted",
            b"(Use `node --trace",
            b"Thrown at:",
            b"Nested exception is",
        ],
    ),
];

/// Whether a report of that kind calls for `text`.
pub fn joins(report: Report, text: &[u8]) -> bool {
    (report == Report::Trace && is_numbered_place(text))
        || OPENINGS
            .iter()
            .filter(|(of, _)| *of == report)
            .any(|(_, openings)| openings.iter().any(|opening| text.starts_with(opening)))
}

/// Whether any report could call for `line` below `above`: then the two lines do not show that a record
/// starts.
pub fn may_be(above: &[u8], line: &[u8]) -> bool {
    is_open_sql(above)
        || is_sql(line)
        || is_numbered_place(line)
        || OPENINGS
            .iter()
            .any(|(_, openings)| openings.iter().any(|opening| line.starts_with(opening)))
}

/// A frame without a word that says so: `app/models/cart.rb:12:in 'add'`, or
/// `3   libswiftCore.dylib   0x00007fff2 …` of Swift and of macOS.
fn is_numbered_place(text: &[u8]) -> bool {
    let Some(space) = memchr::memchr(b' ', &text[..text.len().min(512)]) else {
        return false;
    };
    if text[..space].iter().all(u8::is_ascii_digit) {
        return (1..=4).contains(&space) && memchr::memmem::find(text, b" 0x").is_some();
    }
    let word = &text[..space];
    word.ends_with(b":in")
        && matches!(text.last(), Some(b'\'' | b'`'))
        && memchr::memmem::find(word, b".rb:").is_some()
}

/// Words that begin a line of SQL, in any case.
const SQL: [&[u8]; 42] = [
    b"select",
    b"insert",
    b"update",
    b"delete",
    b"replace",
    b"from",
    b"where",
    b"and",
    b"or",
    b"order",
    b"group",
    b"having",
    b"limit",
    b"join",
    b"left",
    b"right",
    b"inner",
    b"outer",
    b"cross",
    b"union",
    b"values",
    b"set",
    b"use",
    b"with",
    b"on",
    b"call",
    b"commit",
    b"begin",
    b"rollback",
    b"drop",
    b"create",
    b"alter",
    b"show",
    b"explain",
    b"into",
    b"as",
    b"when",
    b"then",
    b"else",
    b"end",
    b"case",
    b"truncate",
];

/// Whether a line begins as one of SQL does.
pub fn is_sql(text: &[u8]) -> bool {
    let length = text
        .iter()
        .take(9)
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    (2..=8).contains(&length)
        && matches!(
            text.get(length),
            None | Some(b' ' | b'\t' | b'(' | b';' | b'*')
        )
        && SQL
            .iter()
            .any(|word| word.eq_ignore_ascii_case(&text[..length]))
}

/// Whether the statement goes on below this line of SQL.
pub fn is_open_sql(text: &[u8]) -> bool {
    is_sql(text) && !text.trim_ascii_end().ends_with(b";")
}

/// The first line of a record of `java.util.logging`: a date, a time of day, a class and a method, and
/// no message.
pub fn is_jul_head(text: &[u8]) -> bool {
    let Some((rest, method)) = last_word(text) else {
        return false;
    };
    let Some((rest, class)) = last_word(rest) else {
        return false;
    };
    let is_name = |word: &[u8], signs: &[u8]| {
        word.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || signs.contains(byte))
    };
    !method[0].is_ascii_digit()
        && is_name(method, b"_$<>")
        && class[0].is_ascii_alphabetic()
        && is_name(class, b"_$.")
        && rest.len() < 64
        && has_time_of_day(rest)
        && (rest.ends_with(b"M") && class[0].is_ascii_uppercase()
            || class.contains(&b'.')
                && (rest.ends_with(b"M") || rest.last().is_some_and(u8::is_ascii_digit)))
}

fn last_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memrchr(b' ', text)?;
    let word = &text[space + 1..];
    (!word.is_empty() && space > 0).then_some((&text[..space], word))
}

/// `10:00:02` or `9:00:02` somewhere.
fn has_time_of_day(text: &[u8]) -> bool {
    text.windows(7).any(|window| {
        matches!(window, [a, b':', c, d, b':', e, f]
            if [a, c, d, e, f].iter().all(|byte| byte.is_ascii_digit()))
    })
}

/// Where the frame of a trace begins in a line that has a head of its own, as
/// `api-1  | <tab>at a.b(C.java:1)` and `Nov 20 10:00:00 web app[1]: Caused by: …`: the place of the
/// blanks before it. `None` if the line is no such one.
pub fn carried(line: &[u8]) -> Option<usize> {
    if is_logcat(line) {
        return None;
    }
    let window = &line[..line.len().min(CARRIER_BYTES_MAX)];
    for (mark, ends) in [
        (&b"\tat "[..], true),
        (b"  at ", true),
        (b"Caused by: ", false),
        (b"... ", false),
    ] {
        let Some(found) = memchr::memmem::find(window, mark) else {
            continue;
        };
        let is_frame = if ends {
            matches!(line.last(), Some(b')' | b']'))
        } else {
            mark == b"Caused by: " || line.ends_with(b" more")
        };
        let head = line[..found].trim_ascii_end().len();
        if is_frame && head >= CARRIER_BYTES_MIN && matches!(line[head - 1], b'|' | b':' | b']') {
            return Some(head);
        }
    }
    None
}

/// A carrier's head is at least so long: shorter ones are text.
const CARRIER_BYTES_MIN: usize = 3;
/// Farthest that a frame is looked for behind a head.
const CARRIER_BYTES_MAX: usize = 256;

/// Android's log says level and tag in each head: each of its lines is a record.
fn is_logcat(line: &[u8]) -> bool {
    matches!(line, [a, b, b'-', c, d, b' ', ..]
        if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()))
}

/// Whether `line`, a frame behind a head of `head` bytes, belongs to the record that begins with
/// `first`: the same head, but for the digits, and no frame.
pub fn has_head_of(first: &[u8], line: &[u8], head: usize) -> bool {
    first.len() > head
        && first[..head]
            .iter()
            .zip(&line[..head])
            .all(|(a, b)| a == b || a.is_ascii_digit() && b.is_ascii_digit())
        && carried(first).is_none()
}
