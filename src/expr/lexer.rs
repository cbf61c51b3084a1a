//! The words and signs of an expression. Strings and numbers stay as typed: what an escape means
//! depends on where the string stands, so the parser decides.

use std::ops::Range;

use super::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A name or a keyword.
    Word(&'a str),
    /// A name in backticks, without them.
    Quoted(&'a str),
    /// The inside of a string, escapes and all.
    Text(&'a str),
    /// Digits and whatever letters follow them.
    Number(&'a str),
    Sign(&'static str),
    End,
}

/// Signs, the longer ones first. `=` and `<>` are read so that a message can name the right one.
pub const SIGNS: [&str; 23] = [
    "=~", "==", "!=", "!~", "<=", ">=", "<>", "&&", "||", "<", ">", "=", "!", "(", ")", "[", "]",
    ",", "+", "-", "*", "/", "~",
];

/// Splits `text`; the last token is [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, Error> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let rest = &text[at..];
        let (token, len) = if first == '"' || first == '\'' {
            let len = string_len(rest).ok_or_else(|| {
                Error::new(at..at + 1, "this string has no end").hint(format!(
                    "close it with {first} (inside a string write \\{first})"
                ))
            })?;
            (Token::Text(&rest[1..len - 1]), len)
        } else if first == '`' {
            let len = rest[1..].find('`').ok_or_else(|| {
                Error::new(at..at + 1, "this name has no end").hint("close it with a backtick")
            })? + 2;
            if len == 2 {
                return Err(Error::new(
                    at..at + 2,
                    "a name is missing between the backticks",
                ));
            }
            (Token::Quoted(&rest[1..len - 1]), len)
        } else if first.is_ascii_digit() {
            let len = number_len(rest);
            (Token::Number(&rest[..len]), len)
        } else if let Some(len) = name_len(rest) {
            // `in[1, 2]` is a list after a keyword, not the second entry of a field `in`.
            let len = if rest.starts_with("in[") { 2 } else { len };
            (Token::Word(&rest[..len]), len)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let error = Error::new(
                at..at + first.len_utf8(),
                format!("unexpected character {first:?}"),
            );
            return Err(match first {
                '“' | '”' | '„' | '‘' | '’' => {
                    error.hint("write strings in plain quotes: \"…\"")
                }
                ';' | '|' | '&' => error.hint("join conditions with and, or"),
                _ => error.hint("put a name with odd characters in backticks, a string in quotes"),
            });
        };
        tokens.push((token, at..at + len));
        at += len;
    }
    tokens.push((Token::End, at..at));
    Ok(tokens)
}

/// Bytes of the string at the start of `text`, with both quotes.
fn string_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = bytes[0];
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Bytes of the number at the start of `text`, with its unit: `1.5e-3`, `250ms`, `1h30m`, `90%`.
fn number_len(text: &str) -> usize {
    let mut previous = ' ';
    for (at, character) in text.char_indices() {
        let exponent_sign = matches!(character, '+' | '-')
            && matches!(previous, 'e' | 'E')
            && text[..at - 1]
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
            && text[at + 1..].starts_with(|next: char| next.is_ascii_digit());
        if !(character.is_alphanumeric() || matches!(character, '.' | '_' | '%') || exponent_sign) {
            return at;
        }
        previous = character;
    }
    text.len()
}

/// Bytes of the name at the start of `text`: letters, digits and `_ @ $`, dots between them, `[0]`
/// at the end of a step; one dot may lead.
fn name_len(text: &str) -> Option<usize> {
    let opens = |character: char| character.is_alphabetic() || matches!(character, '_' | '@' | '$');
    let continues =
        |character: char| character.is_alphanumeric() || matches!(character, '_' | '@' | '$');
    let mut at = usize::from(text.starts_with('.'));
    if !text[at..].starts_with(opens) {
        return None;
    }
    loop {
        let rest = &text[at..];
        let Some(next) = rest.chars().next() else {
            return Some(at);
        };
        if continues(next) {
            at += next.len_utf8();
        } else if next == '.' && rest[1..].starts_with(continues) {
            at += 1;
        } else if next == '['
            && let Some(close) = rest.find(']')
            && close > 1
            && rest[1..close].bytes().all(|byte| byte.is_ascii_digit())
        {
            at += close + 1;
        } else {
            return Some(at);
        }
    }
}

/// Words of the language; a field of that name stands in backticks.
pub const KEYWORDS: [&str; 8] = [
    "and", "or", "not", "in", "contains", "true", "false", "null",
];

/// Whether `name` can be written without backticks.
pub fn is_plain_name(name: &str) -> bool {
    name_len(name) == Some(name.len()) && !KEYWORDS.contains(&name) && !name.starts_with("in[")
}

/// The text of a string token.
///
/// `Ok` has the text; `Err` the offset and length of an escape that is none. A pattern keeps those
/// for the regular expression.
pub fn unescape(raw: &str, pattern: bool) -> Result<String, Range<usize>> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(slash) = rest.find('\\') {
        text.push_str(&rest[..slash]);
        let at = raw.len() - rest.len() + slash;
        let escape = &rest[slash + 1..];
        let Some(kind) = escape.chars().next() else {
            return Err(at..at + 1);
        };
        let mut len = kind.len_utf8();
        match kind {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\\' | '"' | '\'' => text.push(kind),
            'u' if let Some((code, code_len)) = code_point(&escape[1..]) => {
                text.push(code);
                len += code_len;
            }
            other if pattern => {
                text.push('\\');
                text.push(other);
            }
            _ => return Err(at..at + 1 + len),
        }
        rest = &escape[len..];
    }
    text.push_str(rest);
    Ok(text)
}

/// The character in `{1b}` at the start of `text` and the bytes this takes.
fn code_point(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix('{')?.split_once('}')?.0;
    let code = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    Some((char::from_u32(code)?, digits.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words_and_signs() {
        let check = |text: &str, want: &[Token]| {
            let got: Vec<Token> = tokens(text)
                .expect(text)
                .into_iter()
                .map(|(token, _)| token)
                .collect();
            assert_eq!(got[..got.len() - 1], *want, "{text}");
        };
        use Token::{Number, Quoted, Sign, Text, Word};
        check("a.b[0].c==1", &[Word("a.b[0].c"), Sign("=="), Number("1")]);
        check(".level", &[Word(".level")]);
        check(
            "x in[1,2]",
            &[
                Word("x"),
                Word("in"),
                Sign("["),
                Number("1"),
                Sign(","),
                Number("2"),
                Sign("]"),
            ],
        );
        check("a[x]", &[Word("a"), Sign("["), Word("x"), Sign("]")]);
        check(
            "1.5e-3ms 1e+9 1h30m 3µs 90%",
            &[
                Number("1.5e-3ms"),
                Number("1e+9"),
                Number("1h30m"),
                Number("3µs"),
                Number("90%"),
            ],
        );
        check(
            "2024-03-01",
            &[
                Number("2024"),
                Sign("-"),
                Number("03"),
                Sign("-"),
                Number("01"),
            ],
        );
        check(r#"'a\'b' "c'd""#, &[Text(r"a\'b"), Text("c'd")]);
        check(
            "`http-status`<>@m",
            &[Quoted("http-status"), Sign("<>"), Word("@m")],
        );
        check("größe", &[Word("größe")]);
    }

    #[test]
    fn reads_escapes() {
        assert_eq!(
            unescape(r#"a\n\t\\\"\u{1b}"#, false).as_deref(),
            Ok("a\n\t\\\"\u{1b}")
        );
        assert_eq!(unescape(r"a\d", false), Err(1..3));
        assert_eq!(unescape(r"\d\\d\u1234", true).as_deref(), Ok(r"\d\d\u1234"));
    }
}
