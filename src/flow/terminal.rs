//! Makes text harmless for a terminal: what could move the cursor, change colours, titles or the
//! direction of writing is shown as an escape instead.

/// Appends `bytes` to `out` with control characters (C0 but line feed and tab, DEL, C1), line and
/// paragraph separators, bidirectional controls and invalid UTF-8 written as `\x1b` or `\u{202e}`.
pub fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '\n' | '\t' | ' '..='~' => out.push(character as u8),
                '\0'..='\u{9f}' => {
                    out.extend_from_slice(format!("\\x{:02x}", u32::from(character)).as_bytes())
                }
                '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{61c}'
                | '\u{feff}' => {
                    out.extend_from_slice(format!("\\u{{{:x}}}", u32::from(character)).as_bytes());
                }
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in part.invalid() {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
}

/// Appends `json`, finished JSON text in UTF-8, with what a terminal might obey written as `\uXXXX`.
/// It stays the same JSON: outside of strings, where these characters cannot stand, nothing changes.
pub fn escape_json(json: &str, out: &mut Vec<u8>) {
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{61c}'
            | '\u{feff}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_is_harmless_and_the_same_json() {
        let value = serde_json::json!({"k\u{9b}": "a\u{202e}\u{1b}\n\u{7f}größe"});
        let mut out = Vec::new();
        escape_json(&value.to_string(), &mut out);
        let shown = String::from_utf8_lossy(&out);
        assert!(!shown.contains(['\u{9b}', '\u{202e}', '\u{1b}', '\u{7f}']));
        let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let mut out = Vec::new();
        escape(b"a\x1b]0;t\x07\xc2\x9b2J\r\xff\xe2\x80\xae\tx\n", &mut out);
        assert_eq!(out, b"a\\x1b]0;t\\x07\\x9b2J\\x0d\\xff\\u{202e}\tx\n");
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        let mut out = Vec::new();
        escape("größe 数 😀\n".as_bytes(), &mut out);
        assert_eq!(out, "größe 数 😀\n".as_bytes());
    }
}
