//! Text that stays, where blanks or signs stand in a row: how many there are tells no messages apart
//! (columns are padded, lines are drawn as wide as the program likes).

/// Of a longer run of one sign so many stay.
const SIGNS: usize = 3;

/// Appends `text`: a run of spaces and tabs as one space, a long run of one sign as [`SIGNS`].
pub fn copy(text: &[u8], masked: &mut Vec<u8>) {
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
        let (length, kept) = if is_blank(first) {
            let more = after.iter().take_while(|byte| is_blank(**byte)).count();
            masked.push(b' ');
            (1 + more, 0)
        } else if is_sign(first) {
            let length = 1 + after.iter().take_while(|byte| **byte == first).count();
            (length, length.min(SIGNS))
        } else {
            let plain = |byte: &&u8| !is_blank(**byte) && !is_sign(**byte);
            let length = rest.iter().take_while(plain).count();
            (length, length)
        };
        masked.extend_from_slice(&rest[..kept]);
        rest = &rest[length..];
    }
}

fn is_sign(byte: u8) -> bool {
    matches!(byte, b'-' | b'=' | b'*' | b'#' | b'_' | b'~' | b'+' | b'.')
}
