//! What is wrong with an expression: place, cause, remedy. Rendered by whoever knows where the text
//! came from (a flag, a line of the configuration).

use std::ops::Range;

/// A mistake in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The bytes of the text that are wrong. Empty at its end when something is missing there.
    pub at: Range<usize>,
    pub message: String,
    /// The remedy, as the end of a sentence (`did you mean "count"?`).
    pub hint: Option<String>,
}

/// Characters of the expression that are shown on either side of the mistake.
const CONTEXT_CHARS: usize = 60;

impl Error {
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Error {
        Error {
            at,
            message: message.into(),
            hint: None,
        }
    }

    pub fn hint(self, hint: impl Into<String>) -> Error {
        Error {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Three lines without a last line feed: `origin:line:column: message; hint`, the line of
    /// `text` with the mistake, carets under it. `text` must be what was parsed.
    pub fn render(&self, origin: &str, text: &str) -> String {
        let start = boundary(text, self.at.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = boundary(text, self.at.end).clamp(start, line_end);
        let row = text[..start].matches('\n').count() + 1;
        let before: Vec<char> = text[line_start..start].chars().collect();
        let column = before.len() + 1;
        let hint = self
            .hint
            .as_ref()
            .map_or(String::new(), |hint| format!("; {hint}"));

        // Only a window of a long line is shown, and nothing in it may steer the terminal.
        let cut = before.len().saturating_sub(CONTEXT_CHARS);
        let plain = |character: char| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        };
        let dots = |cut: bool| if cut { "…" } else { "" };
        let wrong: String = text[start..end]
            .chars()
            .take(CONTEXT_CHARS)
            .map(plain)
            .collect();
        let wrong_chars = wrong.chars().count();
        let cut_wrong = wrong.len() < text[start..end].len();
        let after: String = if cut_wrong {
            String::new()
        } else {
            text[end..line_end]
                .chars()
                .take(CONTEXT_CHARS)
                .map(plain)
                .collect()
        };
        let cut_after = cut_wrong || end + after.len() < line_end;
        let shown: String = before[cut..].iter().copied().map(plain).collect();
        let margin = " ".repeat(2 + (before.len() - cut) + usize::from(cut > 0));
        format!(
            "{origin}:{row}:{column}: {}{hint}\n  {}{shown}{wrong}{after}{}\n{margin}{}",
            self.message,
            dots(cut > 0),
            dots(cut_after),
            "^".repeat(wrong_chars.max(1)),
        )
    }
}

/// The last character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The candidate that `word` was probably meant to be, if one is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let allowed = if word.chars().count() <= 5 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|&(distance, _)| distance <= allowed)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) from one word to another. A word of more
/// than 32 characters is far from everything: the time grows with the product of the lengths.
fn distance(from: &str, to: &str) -> usize {
    const CHARS_MAX: usize = 32;
    if [from, to]
        .iter()
        .any(|word| word.chars().nth(CHARS_MAX).is_some())
    {
        return usize::MAX;
    }
    strsim::osa_distance(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_mistake() {
        let error =
            Error::new(8..14, "unknown function \"countt\"").hint("did you mean \"count\"?");
        assert_eq!(
            error.render("-w", "1 > 2 + countt()"),
            "-w:1:9: unknown function \"countt\"; did you mean \"count\"?\n  1 > 2 + countt()\n          ^^^^^^"
        );
        assert_eq!(
            Error::new(4..5, "x").render("f", "a\nü\tb"),
            "f:2:2: x\n  ü b\n   ^"
        );
        assert_eq!(
            Error::new(3..3, "end").render("f", "abc"),
            "f:1:4: end\n  abc\n     ^"
        );
        let long = "x".repeat(1000);
        assert_eq!(
            Error::new(500..501, "x")
                .render("f", &long)
                .lines()
                .map(|line| line.chars().count())
                .collect::<Vec<_>>(),
            [10, 125, 64]
        );
    }

    #[test]
    fn finds_the_nearest_word() {
        let check = |word: &str, want: Option<&str>| {
            assert_eq!(
                nearest(word, ["count", "error", "level", "fingerprint"]),
                want,
                "{word}"
            )
        };
        check("countt", Some("count"));
        check("eror", Some("error"));
        check("levle", Some("level"));
        check("LEVEL", Some("level"));
        check("fingreprnt", Some("fingerprint"));
        check("cpu", None);
        check(&"x".repeat(40), None);
    }
}
