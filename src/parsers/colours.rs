//! Escape sequences of terminals: colours, cursor movements, window titles.

/// Copies `text` without its escape sequences (ECMA-48: `ESC [ … letter`, `ESC ] … BEL`, `ESC x`).
pub fn remove(text: &[u8], to: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(escape) = memchr::memchr(0x1b, rest) {
        to.extend_from_slice(&rest[..escape]);
        rest = &rest[escape + length(&rest[escape..])..];
    }
    to.extend_from_slice(rest);
}

/// Bytes of the sequence at the start of `text`, which begins with an escape.
fn length(text: &[u8]) -> usize {
    match text.get(1) {
        Some(b'[') => {
            let parameters = text[2..]
                .iter()
                .take(64)
                .take_while(|byte| (0x20..=0x3f).contains(*byte))
                .count();
            // What ends a sequence is a byte from `@` to `~`; else it is cut short.
            let ends = text
                .get(2 + parameters)
                .is_some_and(|byte| (0x40..=0x7e).contains(byte));
            2 + parameters + usize::from(ends)
        }
        Some(b']') => {
            let window = &text[..text.len().min(256)];
            match window
                .iter()
                .skip(2)
                .position(|&byte| matches!(byte, 0x07 | 0x1b))
            {
                Some(end) if window[2 + end] == 0x07 => 3 + end,
                Some(end) => 2 + end + 2.min(text.len() - 2 - end),
                None => 2,
            }
        }
        Some(b'(' | b')') => 3.min(text.len()),
        Some(0x40..=0x7e) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_sequences_and_nothing_else() {
        for (text, want) in [
            ("\x1b[31mERROR\x1b[0m x", "ERROR x"),
            ("\x1b[38;5;196ma\x1b[K", "a"),
            ("\x1b]0;title\x07b", "b"),
            ("\x1b]8;;http://a\x1b\\c", "c"),
            ("\x1b(Bd", "d"),
            ("e\x1b", "e"),
            ("\x1b[", ""),
            ("\x1b[0;39m", ""),
            ("f\x1b[31", "f"),
            ("\x1b\x1b[1mg", "g"),
            ("h", "h"),
        ] {
            let mut got = Vec::new();
            remove(text.as_bytes(), &mut got);
            assert_eq!(String::from_utf8_lossy(&got), want, "{text:?}");
        }
    }
}
