//! What the argument parser has to say: mistakes and help. Values of flags and of environment variables
//! stand in it as they are, so they are made harmless for a terminal first.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::Error;

use crate::flow::terminal;

/// Writes it where it belongs, and gives the exit code.
pub fn tell(error: &Error) -> ExitCode {
    let styled = error.render().ansi().to_string();
    let is_error = error.use_stderr();
    let is_terminal = match is_error {
        true => io::stderr().is_terminal(),
        false => io::stdout().is_terminal(),
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let text = harmless(&styled, is_terminal && !plain && !is_colored_by_values());
    // If it is closed or full, the exit code still tells.
    let _ = match is_error {
        true => io::stderr().write_all(&text),
        false => io::stdout().write_all(&text),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether a value could have brought colours of its own.
fn is_colored_by_values() -> bool {
    let ours =
        std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"WEIR_"));
    let mut values = std::env::args_os().chain(ours.map(|(_, value)| value));
    values.any(|value| value.as_encoded_bytes().contains(&0x1b))
}

/// The text with its colours or without them, and everything else escaped that a terminal obeys.
fn harmless(styled: &str, colored: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(styled.len());
    let mut rest = styled;
    while let Some(at) = rest.find("\x1b[") {
        let (text, sequence) = rest.split_at(at);
        terminal::escape(text.as_bytes(), &mut out);
        let parameters = sequence[2..].find(|it: char| !it.is_ascii_digit() && it != ';');
        let end = match parameters {
            // A colour, whether the parser or a value has it.
            Some(end) if sequence[2 + end..].starts_with('m') => {
                if colored {
                    out.extend_from_slice(&sequence.as_bytes()[..2 + end + 1]);
                }
                2 + end + 1
            }
            _ => {
                terminal::escape(b"\x1b[", &mut out);
                2
            }
        };
        rest = &sequence[end..];
    }
    terminal::escape(rest.as_bytes(), &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_stay() {
        let text = "\x1b[1m\x1b[31merror:\x1b[0m '\x1b[2J\x1b]0;t\x07\u{9b}\u{202e}' é\n";
        let shown = |colored| String::from_utf8(harmless(text, colored)).unwrap();
        let value = "'\\x1b[2J\\x1b]0;t\\x07\\x9b\\u{202e}' é\n";
        assert_eq!(shown(true), format!("\x1b[1m\x1b[31merror:\x1b[0m {value}"));
        assert_eq!(shown(false), format!("error: {value}"));
    }
}
