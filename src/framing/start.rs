//! Hard starts, in a small form: lines that open a record whatever came before.

/// Whether the line opens with a time, a level in capitals, `{"` or `<PRI>`.
pub fn is_hard_start(line: &[u8]) -> bool {
    let word = line
        .iter()
        .take_while(|byte| byte.is_ascii_uppercase())
        .count();
    let line_after = |byte| line.strip_prefix(&[byte]).unwrap_or(line);
    let date = line_after(b'[');
    let digits = date.iter().take_while(|byte| byte.is_ascii_digit()).count();
    matches!(
        &line[..word],
        b"TRACE" | b"DEBUG" | b"INFO" | b"WARN" | b"WARNING" | b"ERROR" | b"FATAL"
    ) || digits >= 2
        && matches!(date.get(digits), Some(b'-' | b'/'))
        && date.get(digits + 1).is_some_and(u8::is_ascii_digit)
        || digits == 6
            && date.get(6) == Some(&b' ')
            && date
                .get(7..13)
                .is_some_and(|time| time.iter().all(u8::is_ascii_digit))
        || line.starts_with(b"{\"")
        || line == b"{"
        || line.starts_with(b"<") && line.get(1).is_some_and(u8::is_ascii_digit)
        || line.len() > 15
            && line[3] == b' '
            && line[6] == b' '
            && line[9] == b':'
            && line[12] == b':'
        || line.starts_with(b"[") && line.len() > 18 && line[4] == b' ' && line[8] == b' '
        || line.starts_with(b"nova-") && line.contains(&b' ')
}
