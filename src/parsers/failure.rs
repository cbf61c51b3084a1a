//! Uncaught exceptions, panics and traces that no logger wrote: they have no head, and still they are
//! what a person looks for. Told by the first line of a record, or by a line in it that names the
//! exception; that line is the message.

use std::ops::Range;

use crate::flow::level::Level;
use crate::parsers::log4j::head::marks;

/// A failure and what to show of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub level: Level,
    pub message: Range<usize>,
}

/// Lines of a record that are looked at for the one that names the exception.
const LINES_MAX: usize = 500;

/// Longest name of an exception, with its package.
const NAME_MAX: usize = 160;

/// First lines that say it, and how serious they are. The whole record is the message.
const OPENINGS: [(&str, Level); 19] = [
    ("Unhandled exception", Level::Error),
    ("Unhandled Exception", Level::Error),
    ("Uncaught ", Level::Error),
    ("UncaughtException", Level::Error),
    ("Unhandled rejection", Level::Error),
    ("Unhandled promise rejection", Level::Error),
    ("panic: ", Level::Fatal),
    ("Execution error (", Level::Error),
    ("Syntax error compiling", Level::Error),
    ("=ERROR REPORT====", Level::Error),
    ("=CRASH REPORT====", Level::Error),
    ("=SUPERVISOR REPORT====", Level::Error),
    ("=WARNING REPORT====", Level::Warn),
    ("=INFO REPORT====", Level::Info),
    ("http: panic serving ", Level::Error),
    (
        "# A fatal error has been detected by the Java Runtime",
        Level::Fatal,
    ),
    ("Guru Meditation", Level::Fatal),
    ("Kernel panic", Level::Fatal),
    ("Fatal Python error:", Level::Error),
];

/// The failure that `record` is, if it is one.
pub fn find(record: &[u8]) -> Option<Failure> {
    let first = memchr::memchr(b'\n', record).unwrap_or(record.len());
    let line = &record[..first];
    let whole = |level| {
        Some(Failure {
            level,
            message: 0..record.len(),
        })
    };
    // Cheap no: nearly every line of text opens with another letter, or has no colon.
    match *line.first()? {
        b'T' if line.starts_with(b"Traceback (most recent call last)") => {
            return Some(traceback(record));
        }
        b'E' if line.starts_with(b"Exception in thread \"") => {
            let close = line.iter().skip(21).position(|&byte| byte == b'"')? + 22;
            return Some(Failure {
                level: Level::Error,
                message: (close + 1).min(record.len())..record.len(),
            });
        }
        b't' if line.starts_with(b"thread '") => {
            let at = memchr::memmem::find(line, b"' ")?;
            return rust_panic(record, line, at);
        }
        b'*' if line.starts_with(b"** (") => {
            let close = memchr::memmem::find(line, b") ")?;
            return exception(&line[4..close]).then_some(Failure {
                level: Level::Error,
                message: 0..record.len(),
            });
        }
        b'(' if line.starts_with(b"(node:") => {
            let close = line.iter().position(|&byte| byte == b')')?;
            let mut text = line[close + 1..].trim_ascii_start();
            if text.starts_with(b"[")
                && let Some(code) = text.iter().position(|&byte| byte == b']')
            {
                text = text[code + 1..].trim_ascii_start();
            }
            return match named(text) {
                _ if text.starts_with(b"UnhandledPromiseRejectionWarning") => whole(Level::Error),
                Some(level) => whole(level),
                None => text.starts_with(b"Warning: ").then_some(Failure {
                    level: Level::Warn,
                    message: 0..record.len(),
                }),
            };
        }
        b'=' if line.starts_with(b"==") => {
            // Sanitizers and valgrind: `==1234==ERROR: AddressSanitizer: …`
            let rest = line[2..].trim_ascii_start();
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits > 0
                && let Some(text) = rest[digits..].strip_prefix(b"==ERROR: ")
            {
                return Some(Failure {
                    level: Level::Error,
                    message: first - text.len()..record.len(),
                });
            }
        }
        b'#' if line.len() <= 2 => {
            let text = b"# A fatal error has been detected by the Java Runtime";
            let at = memchr::memmem::find(&record[..record.len().min(256)], text)?;
            return Some(Failure {
                level: Level::Fatal,
                message: at..record.len(),
            });
        }
        _ => {}
    }
    if let Some((_, level)) = OPENINGS
        .iter()
        .find(|(text, _)| line.starts_with(text.as_bytes()))
    {
        return whole(*level);
    }
    if let Some(level) = marks::of_prefix(line) {
        return whole(level);
    }
    if let Some(level) = named(line) {
        return whole(level);
    }
    if let Some(level) = compiler(line) {
        return whole(level);
    }
    if let Some(message) = ruby(line) {
        return Some(Failure {
            level: Level::Error,
            message: message..record.len(),
        });
    }
    // `index.js:3⏎  throw new Error('boom')⏎  ^⏎⏎Error: boom⏎    at f (…)`
    if first < record.len() {
        let mut at = first + 1;
        for line in record[at..].split(|&byte| byte == b'\n').take(LINES_MAX) {
            if named(line) == Some(Level::Error) {
                return Some(Failure {
                    level: Level::Error,
                    message: at..record.len(),
                });
            }
            at += line.len() + 1;
        }
    }
    None
}

/// Whether `line` opens with the name of an exception, alone or before a colon: `ValueError: bad id`,
/// `java.lang.OutOfMemoryError`, `Error: boom` before a trace; or of a warning (`DeprecationWarning: x`).
fn named(line: &[u8]) -> Option<Level> {
    let window = &line[..line.len().min(NAME_MAX)];
    let len = window
        .iter()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b':' | b'\\')
        })
        .count();
    // The colon belongs to the name as it is scanned: `Foo::BarError:`.
    let name = window[..len].strip_suffix(b":").unwrap_or(&window[..len]);
    let after = line.get(name.len()).copied();
    let code = line[name.len()..].starts_with(b" [");
    if !(matches!(after, Some(b':')) || after.is_none() || code) || name.len() < 5 {
        return None;
    }
    if name.ends_with(b"Warning") && after == Some(b':') && name.len() > 7 {
        return Some(Level::Warn);
    }
    // `Error: x` alone is the business of the level's words.
    (exception(name) && (after.is_some() || name.contains(&b'.'))).then_some(Level::Error)
}

/// Whether a name is that of an exception: its last part ends like one and starts with a capital.
fn exception(name: &[u8]) -> bool {
    let start = name
        .iter()
        .rposition(|byte| matches!(byte, b'.' | b':' | b'\\' | b'$'))
        .map_or(0, |at| at + 1);
    let last = &name[start..];
    last.first().is_some_and(u8::is_ascii_uppercase)
        && (last.ends_with(b"Error")
            || last.ends_with(b"Exception")
            || last.ends_with(b"Throwable")
            || last == b"Failure"
            || last == b"KeyboardInterrupt"
            || last == b"StackOverflow")
}

/// A trace of Python: the exception stands in its last line without blanks before it.
fn traceback(record: &[u8]) -> Failure {
    let mut message = 0..record.len();
    let mut at = 0;
    for line in record.split(|&byte| byte == b'\n').take(LINES_MAX) {
        let text = line.trim_ascii_end();
        let opens = text
            .first()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
            && !text.starts_with(b"Traceback (most recent")
            && !text.starts_with(b"During handling of")
            && !text.starts_with(b"The above exception");
        // The line of a message that goes on has no name before its colon.
        let name = text
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'))
            .count();
        if opens && matches!(text.get(name), None | Some(b':')) {
            message = at..at + text.len();
        }
        at += line.len() + 1;
    }
    Failure {
        level: Level::Error,
        message,
    }
}

/// `thread 'main' panicked at src/main.rs:4:5:⏎text`, or `panicked at 'text', src/main.rs:4:5`.
fn rust_panic(record: &[u8], line: &[u8], at: usize) -> Option<Failure> {
    let panicked = memchr::memmem::find(&line[at..], b"panicked at ")? + at + 12;
    let message = match line.get(panicked) {
        Some(b'\'') => {
            let end = memchr::memmem::rfind(line, b"', ").unwrap_or(line.len());
            panicked + 1..end.max(panicked + 1)
        }
        _ if line.len() < record.len() => {
            let start = line.len() + 1;
            let end =
                memchr::memchr(b'\n', &record[start..]).map_or(record.len(), |len| start + len);
            start..end
        }
        _ => 0..record.len(),
    };
    Some(Failure {
        level: Level::Fatal,
        message,
    })
}

/// `a.ts(3,5): error TS2322: …`, as compilers of Microsoft and TypeScript write it.
fn compiler(line: &[u8]) -> Option<Level> {
    let at = memchr::memmem::find(&line[..line.len().min(NAME_MAX)], b"): ")? + 3;
    [(&b"error "[..], Level::Error), (b"warning ", Level::Warn)]
        .into_iter()
        .find_map(|(name, level)| {
            let code = line[at..].strip_prefix(name)?;
            let letters = code
                .iter()
                .take(8)
                .take_while(|byte| byte.is_ascii_uppercase())
                .count();
            let digits = code[letters..]
                .iter()
                .take(8)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            (letters > 0 && digits > 0 && code.get(letters + digits) == Some(&b':'))
                .then_some(level)
        })
}

/// ``/app/x.rb:12:in `foo': undefined method `bar' (NoMethodError)``: where the text starts.
fn ruby(line: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(line, b".rb:")? + 4;
    let digits = line[at..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let inside = line.get(at + digits..)?.strip_prefix(b":in ")?;
    let text = memchr::memmem::find(inside, b"': ")? + 3;
    let name = memchr::memrchr(b'(', line)?;
    (line.ends_with(b")") && exception(&line[name + 1..line.len() - 1]))
        .then(|| at + digits + 4 + text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_failures_and_what_they_say() {
        for (record, level, message) in [
            (
                "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nValueError: bad id 17",
                Level::Error,
                "ValueError: bad id 17",
            ),
            (
                "Traceback (most recent call last):\n  File \"a.py\", line 3\nKeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 4\nshop.Busy: x",
                Level::Error,
                "shop.Busy: x",
            ),
            (
                "Exception in thread \"main\" java.lang.X: y\n\tat a.b(c.java:1)",
                Level::Error,
                "java.lang.X: y\n\tat a.b(c.java:1)",
            ),
            (
                "java.lang.OutOfMemoryError: Java heap space",
                Level::Error,
                "java.lang.OutOfMemoryError: Java heap space",
            ),
            (
                "thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds\nnote: run with",
                Level::Fatal,
                "index out of bounds",
            ),
            (
                "thread 'w' panicked at 'no luck', src/main.rs:4:5",
                Level::Fatal,
                "no luck",
            ),
            (
                "/app/a.js:3\n  throw new Error('x');\n  ^\n\nError: x\n    at f (/app/a.js:3:9)",
                Level::Error,
                "Error: x\n    at f (/app/a.js:3:9)",
            ),
            (
                "/app/x.rb:12:in `foo': undefined method `bar' (NoMethodError)",
                Level::Error,
                "undefined method `bar' (NoMethodError)",
            ),
            (
                "** (RuntimeError) boom\n    a.ex:3",
                Level::Error,
                "** (RuntimeError) boom\n    a.ex:3",
            ),
            (
                "==12==ERROR: AddressSanitizer: heap-use-after-free",
                Level::Error,
                "AddressSanitizer: heap-use-after-free",
            ),
            (
                "DeprecationWarning: x is old",
                Level::Warn,
                "DeprecationWarning: x is old",
            ),
        ] {
            let found = find(record.as_bytes()).unwrap_or_else(|| panic!("{record}"));
            assert_eq!((found.level, &record[found.message]), (level, message));
        }
        for record in [
            "ErrorHandler started",
            "Errors: 0",
            "error: none",
            "no exception",
            "ExceptionMapper: ready",
            "Exceptions are handled",
            "thread 'main' started",
            "== ERROR",
            "a.rb:1: x",
            "NameError",
            "",
        ] {
            assert_eq!(find(record.as_bytes()), None, "{record}");
        }
    }
}
