//! What one line is, seen by itself: the evidence for and against being a continuation. Only
//! [`Kind::Text`] carries none. `continuation` decides what the evidence means after the lines above.

use std::ops::BitOr;

/// The evidence that one line carries. It never depends on other lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing speaks for a continuation.
    Text,
    /// Empty, or only spaces and tabs.
    Blank,
    Indented,
    /// An indented line of only `^` and `~`: it points into the source line above.
    Caret,
    /// `at f(x)`, `Caused by: …`, `... 7 more`, `--- End of …`: joins whatever stands above.
    Frame,
    /// Only closing brackets, commas and semicolons.
    Closer,
    /// `java.io.IOException: reset`, `TypeError: x`: the first line of a trace.
    Exception,
    /// `Traceback (most recent call last):`
    Traceback,
    /// `During handling of the above exception, …`
    Handling,
    /// `panic: …`, `fatal error: …` (Go)
    GoPanic,
    /// `goroutine 5 [running]:`
    Goroutine,
    /// `created by …`, `[signal SIGSEGV …` (Go)
    GoDetail,
    /// `thread 'main' panicked at …` (Rust)
    RustPanic,
    /// `note: …` (Rust)
    Note,
    /// `stack backtrace:`, `Stack trace:`
    Backtrace,
    /// `#0 …`: a numbered frame (PHP, Dart)
    Numbered,
    /// `<asynchronous suspension>` (Dart)
    Suspension,
    /// `Unhandled exception:` alone on its line (Dart): the message is the next line.
    Unhandled,
    /// `Receiver: …`, `Tried calling: …`, `Found: …` (Dart)
    DartDetail,
    /// `Exception in thread …`: a crash the runtime reports.
    Crash,
    /// Begins with a double quote: a part of a JSON object that spans lines, perhaps.
    Quoted,
    /// `Node.js v18.0.0`, the last line of a crash report.
    NodeVersion,
    /// A function of a Go stack without its arguments: `net/http.(*conn).serve`, `main.main`.
    GoSymbol,
    /// `Fatal Python error: …`, `terminate called …`, `WARNING: DATA RACE`: what a runtime reports.
    Fatal,
    /// `PHP message: …`
    PhpMessage,
    /// `=ERROR REPORT==== …` (Erlang)
    Report,
    /// `** (RuntimeError) …`, `** Last message in was …` (Erlang, Elixir)
    Star,
    /// `==17==ERROR: AddressSanitizer: …`, `==17== Invalid read …`
    Sanitizer,
    /// `==17==    at 0x…`, `==17==ABORTING`
    SanitizerDetail,
    /// A line of only `#`, or `# …`: comments, and the reports of a Java machine that crashed.
    Comment,
    /// `# Time: …` and what else stands above a statement in the slow log of MySQL.
    SlowDetail,
    /// `SEVERE: …`: the second line of a record of `java.util.logging`, perhaps.
    JulLevel,
    /// `Desired survivor size …`, `- age 1: …` (Java's collector)
    GcDetail,
    /// Text that joined because the record called for it. No line is it by itself.
    Called,
    /// As `Called`: SQL that goes on.
    OpenSql,
    /// As `Called`: a frame behind a head of its own.
    Carried,
}

const ALONE: u8 = 1;
const LETTER: u8 = 2;
const IDENTIFIER: u8 = 4;
const CONTAINER: u8 = 8;
const FIFTH: u8 = 16;

/// By byte: whether it makes a line suspicious as its first byte alone, may begin an identifier,
/// may stand in one, may begin a line of a container, or may be the fifth byte of a keyword.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if matches!(
            b,
            b' ' | b'\t'
                | b'\n'
                | b'\r'
                | b'}'
                | b']'
                | b')'
                | b'.'
                | b'-'
                | b'#'
                | b'<'
                | b'['
                | b'"'
                | b'a'
                | b'f'
                | b'='
                | b'*'
                // A byte order mark may stand before any of them.
                | 0xef
        ) {
            class[byte] |= ALONE;
        }
        if b.is_ascii_alphabetic() || b == b'_' || b == b'$' {
            class[byte] |= LETTER | IDENTIFIER | FIFTH;
        }
        if b.is_ascii_digit() || b == b'.' {
            class[byte] |= IDENTIFIER | FIFTH;
        }
        if b == b':' {
            class[byte] |= FIFTH;
        }
        if b.is_ascii_digit() || b == b'{' {
            class[byte] |= CONTAINER;
        }
        byte += 1;
    }
    // Few evidence begins with a bracket (`[signal …`, `[stacktrace]`, `[previous exception]`), and many
    // logs begin each line with one; it is looked at only through the next two bytes (see `suspicious`).
    class[b'[' as usize] = 0;
    class
};

/// Whether a line may be anything but [`Kind::Text`]; `rest` are the bytes from its start on and may
/// run past its end.
///
/// Fast path: five table look-ups and no branch, because formats interleaved line by line would
/// mispredict any. A line that is not suspicious begins neither with one of the `ALONE` bytes nor
/// with five identifier bytes (the fifth may be a colon), `PHP m` or a bracket with the right two bytes, and
/// every other kind begins with one of them.
#[inline(always)]
pub fn suspicious(rest: &[u8]) -> bool {
    let head = head(rest);
    let class = head.map(|byte| CLASS[byte as usize]);
    let identifier =
        (class[0] >> 1) & (class[1] >> 2) & (class[2] >> 2) & (class[3] >> 2) & (class[4] >> 4);
    let is = |at: usize, byte: u8| u8::from(head[at] == byte);
    let bracket =
        is(0, b'[') & (is(1, b's') & (is(2, b'i') | is(2, b't')) | is(1, b'p') & is(2, b'r'));
    let php = is(0, b'P') & is(1, b'H') & is(2, b'P') & is(4, b'm');
    class[0].bitor(identifier).bitor(bracket).bitor(php) & ALONE != 0
}

#[inline(always)]
fn head(rest: &[u8]) -> [u8; 5] {
    match rest.first_chunk::<5>() {
        Some(head) => *head,
        None => {
            let mut head = [0; 5];
            head[..rest.len()].copy_from_slice(rest);
            head
        }
    }
}

/// Whether a line that begins with `byte` may come from a container.
#[inline(always)]
pub fn may_be_container(byte: u8) -> bool {
    CLASS[byte as usize] & CONTAINER != 0
}

/// The kind of a line, given without its line feed.
pub fn kind(text: &[u8]) -> Kind {
    let Some(&first) = text.first() else {
        return Kind::Blank;
    };
    if !suspicious(text) {
        return Kind::Text;
    }
    match first {
        b' ' | b'\t' => indented(text),
        b'}' | b']' | b')' if text.iter().all(|byte| b"}]),; \t".contains(byte)) => Kind::Closer,
        b'"' if is_string_end(text) => Kind::Closer,
        b'"' => Kind::Quoted,
        b'#' => hashed(text),
        b'=' => equals(text),
        b'*' if text.starts_with(b"** ") => Kind::Star,
        b'<' if text == b"<asynchronous suspension>" => Kind::Suspension,
        b'.' if dots_more(text) => Kind::Frame,
        b'-' if text.starts_with(b"- age ") => Kind::GcDetail,
        b'-' if text.starts_with(b"--- End of ") || text.starts_with(b"---> ") => Kind::Frame,
        b'[' if text.starts_with(b"[signal ") => Kind::GoDetail,
        b'[' if text == b"[stacktrace]" || text.starts_with(b"[previous exception] ") => {
            Kind::Backtrace
        }
        byte if byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$' => worded(text),
        _ => Kind::Text,
    }
}

/// Blanks that are an indented line without text, as journalctl writes one, and no blank line.
const INDENT_BYTES_MIN: usize = 8;

fn indented(text: &[u8]) -> Kind {
    let bytes = text.len();
    let text = text.trim_ascii();
    if text.is_empty() {
        if bytes >= INDENT_BYTES_MIN {
            Kind::Indented
        } else {
            Kind::Blank
        }
    } else if text.starts_with(b"+ Exception Group Traceback (") {
        Kind::Traceback
    } else if text[0] == b'^' && text.iter().all(|byte| b"^~".contains(byte)) {
        Kind::Caret
    } else {
        Kind::Indented
    }
}

/// `"}` and `"} []`: the end of a string over many lines, and of the object that it stands in.
fn is_string_end(text: &[u8]) -> bool {
    text.len() > 1
        && text[1..].iter().all(|byte| b"}]),; \t[".contains(byte))
        && text.contains(&b'}')
}

/// `#0 main`, `# Time: …`, `# …`.
fn hashed(text: &[u8]) -> Kind {
    const SLOW: [&[u8]; 10] = [
        b"# Time: ",
        b"# User@Host: ",
        b"# Query_time: ",
        b"# Thread_id: ",
        b"# Schema: ",
        b"# Bytes_sent: ",
        b"# Rows_affected: ",
        b"# Full_scan: ",
        b"# Filesort: ",
        b"# administrator command: ",
    ];
    if SLOW.iter().any(|opening| text.starts_with(opening)) {
        Kind::SlowDetail
    } else if matches!(text, [b'#'] | [b'#', b' ', ..]) {
        Kind::Comment
    } else {
        numbered(text)
    }
}

/// `=ERROR REPORT==== …`, `==17==ERROR: …`, `==17==    at …`.
fn equals(text: &[u8]) -> Kind {
    let Some(rest) = text.strip_prefix(b"==") else {
        return match memchr::memmem::find(text, b" REPORT==== ") {
            Some(1..=16) => Kind::Report,
            _ => Kind::Text,
        };
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest[digits..].strip_prefix(b"==") {
        Some(rest) if (1..=10).contains(&digits) => match rest {
            [] | [b' '] | [b' ', b' ', ..] | b"ABORTING" => Kind::SanitizerDetail,
            _ if rest.starts_with(b" Address 0x") || rest.starts_with(b"HINT: ") => {
                Kind::SanitizerDetail
            }
            _ => Kind::Sanitizer,
        },
        _ => Kind::Text,
    }
}

/// `#0 main (file…`, `#12      foo`.
fn numbered(text: &[u8]) -> Kind {
    let digits = text[1..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    match text.get(1 + digits) {
        Some(b' ' | b'\t') if (1..=4).contains(&digits) => Kind::Numbered,
        _ => Kind::Text,
    }
}

/// `... 7 more`, `... 12 common frames omitted`.
fn dots_more(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"...") else {
        return false;
    };
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0
        && (rest[digits..].starts_with(b" more")
            || rest[digits..].starts_with(b" common frames omitted"))
        || text.ends_with(b" frames elided...")
        || text.ends_with(b" levels...")
}

/// Lines that begin with a letter: keywords of the runtimes, then exception types.
fn worded(text: &[u8]) -> Kind {
    let begins = |prefix: &[u8]| text.starts_with(prefix);
    let keyword =
        match text[0] {
            b'a' => (begins(b"at ") && text.ends_with(b")") && text.contains(&b'('))
                .then_some(Kind::Frame),
            b'f' if begins(b"from ") => memchr::memmem::find(text, b":in ").map(|_| Kind::Frame),
            b'f' => begins(b"fatal error: ").then_some(Kind::GoPanic),
            b'C' => begins(b"Caused by: ").then_some(Kind::Frame),
            b'S' if begins(b"Suppressed: ") => Some(Kind::Frame),
            b'S' => (text == b"Stack trace:" || text == b"Stacktrace:").then_some(Kind::Backtrace),
            b's' => (text == b"stack backtrace:" || text == b"stack traceback:")
                .then_some(Kind::Backtrace),
            b'W' if begins(b"Wrapped by: ") => Some(Kind::Frame),
            b'P' if begins(b"PHP message: ") => Some(Kind::PhpMessage),
            b'D' if begins(b"Desired survivor size ") => Some(Kind::GcDetail),
            b'T' if begins(b"Traceback (") && text.ends_with(b"last):") => Some(Kind::Traceback),
            b'T' => begins(b"Tried calling: ").then_some(Kind::DartDetail),
            b'R' => begins(b"Receiver: ").then_some(Kind::DartDetail),
            b'F' if begins(b"Fatal Python error: ") => Some(Kind::Fatal),
            b'F' => begins(b"Found: ").then_some(Kind::DartDetail),
            b'D' => begins(b"During handling of the above exception").then_some(Kind::Handling),
            b'p' => begins(b"panic: ").then_some(Kind::GoPanic),
            b'g' => (begins(b"goroutine ") && text.ends_with(b"]:")).then_some(Kind::Goroutine),
            b'c' if begins(b"coroutine ") && text.ends_with(b":") => Some(Kind::Backtrace),
            b'c' => begins(b"created by ").then_some(Kind::GoDetail),
            b'e' if begins(b"exception '") => {
                memchr::memmem::find(text, b"' with message '").map(|_| Kind::Exception)
            }
            b't' if begins(b"terminate called ") => Some(Kind::Fatal),
            b't' => (begins(b"thread '") && memchr::memmem::find(text, b" panicked at ").is_some())
                .then_some(Kind::RustPanic),
            b'n' => begins(b"note: ").then_some(Kind::Note),
            b'U' => (text == b"Unhandled exception:").then_some(Kind::Unhandled),
            b'E' => begins(b"Exception in thread ").then_some(Kind::Crash),
            b'N' => begins(b"Node.js v").then_some(Kind::NodeVersion),
            _ => None,
        };
    keyword.unwrap_or_else(|| {
        if is_exception(text) {
            Kind::Exception
        } else if text == b"WARNING: DATA RACE" {
            Kind::Fatal
        } else if is_word_in_capitals(text) {
            Kind::JulLevel
        } else if is_go_symbol(text) {
            Kind::GoSymbol
        } else {
            Kind::Text
        }
    })
}

/// `SEVERE: …`, `WARNUNG: …`.
fn is_word_in_capitals(text: &[u8]) -> bool {
    let length = text
        .iter()
        .take(16)
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    (4..16).contains(&length) && text[length..].starts_with(b": ")
}

/// Whether the line is one function of a Go stack and nothing else: its package's path, a dot, its name.
/// A name of a file looks much like it, so the package must be one of a path or one that every program has.
fn is_go_symbol(text: &[u8]) -> bool {
    const FILES: [&[u8]; 16] = [
        b"go", b"py", b"rb", b"js", b"ts", b"rs", b"c", b"h", b"log", b"txt", b"json", b"yaml",
        b"yml", b"gz", b"html", b"conf",
    ];
    let sure = text.starts_with(b"main.") || text.starts_with(b"runtime.");
    if text.len() > 256
        || text.ends_with(b")")
        || !text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_./()*@~$-%[]{},\xc2\xb7".contains(byte))
        || !(sure || text.contains(&b'/'))
    {
        return false;
    }
    let last = memchr::memrchr(b'/', text).map_or(text, |slash| &text[slash + 1..]);
    let Some(dot) = memchr::memchr(b'.', last) else {
        return false;
    };
    let ending = memchr::memrchr(b'.', last).map_or(&last[..0], |dot| &last[dot + 1..]);
    let is_closure = memchr::memmem::find(last, b".func").is_some();
    dot > 0
        && !ending.is_empty()
        && (is_closure || !ending[0].is_ascii_digit())
        && !FILES.contains(&ending)
}

/// Whether the line opens with the name of an exception type: `Type` or `package.Type` where the
/// type ends like one (`…Exception`, `…Error`) or the name has two dots and a capital type, then
/// the end, a colon, or `[CODE]:` / `(message):` / `with …`.
fn is_exception(text: &[u8]) -> bool {
    if text.starts_with(b"Error in ") && memchr::memmem::find(text, b") : ").is_some() {
        // R
        return true;
    }
    if [
        &b"Unhandled exception. "[..],
        b"Unhandled Exception: ",
        b"Uncaught ",
    ]
    .iter()
    .any(|opening| text.strip_prefix(*opening).is_some_and(is_exception))
    {
        // .NET and JavaScript
        return true;
    }
    const ENDINGS: [&[u8]; 6] = [
        b"Exception",
        b"Error",
        b"Throwable",
        b"Failure",
        b"Fault",
        b"Interrupt",
    ];
    let length = name(text);
    let (path, rest) = text.split_at(length);
    let named = match rest {
        [] | [b':'] | [b':', b' ' | b'\t', ..] => true,
        [b' ', b'[' | b'(', ..] => {
            rest.ends_with(b":") || memchr::memmem::find(rest, b"]: ").is_some()
        }
        [b' ', ..] => rest.starts_with(b" ---> "),
        _ => false,
    };
    if !named {
        return false;
    }
    let kind = path
        .iter()
        .rposition(|&byte| byte == b'.' || byte == b':')
        .map_or(path, |dot| &path[dot + 1..]);
    if ENDINGS.iter().any(|ending| kind.ends_with(ending)) {
        return true;
    }
    path.iter().filter(|&&byte| byte == b'.').count() >= 2
        && kind.first().is_some_and(u8::is_ascii_uppercase)
        && kind.iter().any(u8::is_ascii_lowercase)
}

/// Length of the dotted name (`a.b.C$D`, `A::B`) at the start of `text`, at most 256 bytes.
fn name(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len().min(256) {
        let class = CLASS[text[at] as usize];
        if class & IDENTIFIER != 0 {
            at += 1;
        } else if text[at..].starts_with(b"::")
            && text.get(at + 2).is_some_and(u8::is_ascii_alphabetic)
        {
            at += 2;
        } else {
            break;
        }
    }
    at
}

/// Whether `text` reads as the last line of a Python traceback: a dotted name, then nothing or a
/// colon.
pub fn ends_traceback(text: &[u8]) -> bool {
    let length = name(text);
    length > 0
        && text[0].is_ascii_alphabetic() | (text[0] == b'_')
        && matches!(&text[length..], [] | [b':'] | [b':', b' ', ..])
}

/// Whether `text` reads as a function of a Go stack: `net/http.(*conn).serve(0xc0, {…})`.
pub fn is_go_function(text: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'(', text) else {
        return false;
    };
    text.ends_with(b")")
        && (&text[..open] == b"panic"
            || open > 0 && !text[..open].contains(&b' ') && text[..open].contains(&b'.'))
}
