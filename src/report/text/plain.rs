//! Text of the input on its way to a row: harmless, one line, as wide as there is room.

use std::borrow::Cow;

use crate::flow::terminal;

/// Longest text that is looked at; no terminal shows more of it in a row.
const BYTES_MAX: usize = 4096;

/// `bytes` as one line: line feeds as ` ⏎ `, carriage returns and tabs as `\r` and `\t`; with
/// `escape` all else that a terminal obeys is an escape too (see [`terminal::escape`]).
pub fn one_line(bytes: &[u8], escape: bool) -> String {
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let mut safe = Vec::with_capacity(bytes.len());
    if escape {
        // A carriage return before a line feed is part of the line's end.
        let mut rest = bytes;
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
            terminal::escape(&rest[..at], &mut safe);
            let crlf = rest[at..].starts_with(b"\r\n");
            safe.push(if crlf { b'\n' } else { rest[at] });
            rest = &rest[at + 1 + usize::from(crlf)..];
        }
        terminal::escape(rest, &mut safe);
    } else {
        safe.extend_from_slice(bytes);
    }
    let safe = String::from_utf8_lossy(&safe);
    let mut line = String::with_capacity(safe.len());
    let mut blank = false;
    for character in safe.trim_end_matches(['\n', '\r']).chars() {
        match character {
            '\n' => line.push_str(" ⏎ "),
            '\r' => line.push_str("\\r"),
            // Indentation after a line feed says nothing in a row.
            ' ' | '\t' if blank => {}
            '\t' => line.push_str("\\t"),
            _ => line.push(character),
        }
        blank = character == '\n' || blank && matches!(character, ' ' | '\t');
    }
    line
}

/// Columns that `text` takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.chars().map(columns).sum()
}

/// Columns of a character: the common ranges of Unicode's East Asian Width `W` and `F` take two,
/// combining marks none.
fn columns(character: char) -> usize {
    match character {
        '\0'..='\u{2ff}' => 1,
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{20d0}'..='\u{20ff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{231a}'..='\u{231b}'
        | '\u{23e9}'..='\u{23ec}'
        | '\u{2705}'
        | '\u{274c}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// The start of `text` within `room` columns, with an ellipsis if something is missing.
pub fn fit(text: &str, room: usize) -> Cow<'_, str> {
    if text.len() <= room || width(text) <= room {
        return Cow::Borrowed(text);
    }
    if room == 0 {
        return Cow::Borrowed("");
    }
    let mut cut = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += columns(character);
        if used > room {
            break;
        }
        cut.push(character);
    }
    cut.truncate(cut.trim_end_matches(' ').len());
    cut.push('…');
    Cow::Owned(cut)
}

/// The end of `text` within `room` columns: a path's last parts say more than its first.
pub fn fit_end(text: &str, room: usize) -> Cow<'_, str> {
    if text.len() <= room || width(text) <= room {
        return Cow::Borrowed(text);
    }
    if room == 0 {
        return Cow::Borrowed("");
    }
    let mut used = 1;
    let mut start = text.len();
    for (at, character) in text.char_indices().rev() {
        used += columns(character);
        if used > room {
            break;
        }
        start = at;
    }
    Cow::Owned(format!("…{}", &text[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_forged_row_stays_in_its_row() {
        assert_eq!(
            one_line(b"a\r\nb\rc\n\td\te\x1b[2J\xff\n", true),
            "a ⏎ b\\rc ⏎ d\\te\\x1b[2J\\xff"
        );
        assert_eq!(one_line(b"a\n   b\rc", false), "a ⏎ b\\rc");
    }

    #[test]
    fn wide_characters_count_twice_and_marks_not_at_all() {
        assert_eq!(width("a数😀e\u{301}"), 6);
        assert_eq!(fit("数数数", 4), "数…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit_end("/var/log/app.log", 8), "…app.log");
    }

    proptest! {
        #[test]
        fn what_fits_is_never_wider(text in "\\PC{0,40}", room in 0usize..50) {
            prop_assert!(width(&fit(&text, room)) <= room);
            prop_assert!(width(&fit_end(&text, room)) <= room);
            if width(&text) <= room {
                prop_assert_eq!(&*fit(&text, room), &*text);
            }
        }

        #[test]
        fn no_bytes_break_a_row(bytes in prop::collection::vec(any::<u8>(), 0..200), escape in any::<bool>()) {
            let line = one_line(&bytes, escape);
            prop_assert!(!line.contains(['\n', '\r', '\t']));
            prop_assert!(!escape || !line.chars().any(char::is_control));
        }
    }
}
