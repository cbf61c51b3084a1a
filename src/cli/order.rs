//! Flags that stand before a command: `weir --tz UTC filter app.log` means `weir filter --tz UTC app.log`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// The arguments with the command first, if flags of that command are all that stands before it. A file
/// named like a command stays one where other files stand before it; `./filter` always is one.
pub fn command_first(mut arguments: Vec<OsString>, root: &Command) -> Vec<OsString> {
    let mut at = 1;
    while let Some(argument) = arguments.get(at) {
        if argument == "--" {
            break;
        }
        let command = argument
            .to_str()
            .and_then(|name| root.find_subcommand(name));
        if let Some(command) = command
            && are_flags(&arguments[1..at], command)
        {
            let command = arguments.remove(at);
            arguments.insert(1, command);
            break;
        }
        at += 1;
    }
    arguments
}

/// Whether the words are flags of the command with their values, and nothing else.
fn are_flags(words: &[OsString], command: &Command) -> bool {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let Some(values) = word.to_str().and_then(|word| values_behind(word, command)) else {
            return false;
        };
        at += 1 + values;
    }
    at == words.len()
}

/// How many words after the flag `word` are its values; `None` if the command has no such flag.
fn values_behind(word: &str, command: &Command) -> Option<usize> {
    if let Some(long) = word.strip_prefix("--") {
        let (name, has_value) = match long.split_once('=') {
            Some((name, _)) => (name, true),
            None => (long, false),
        };
        let flag = command.get_arguments().find(|flag| {
            flag.get_long() == Some(name)
                || flag
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&name))
        })?;
        return Some(usize::from(takes_value(flag) && !has_value));
    }
    let letters = word
        .strip_prefix('-')
        .filter(|letters| !letters.is_empty())?;
    for (place, letter) in letters.char_indices() {
        let flag = command
            .get_arguments()
            .find(|flag| flag.get_short() == Some(letter))?;
        if takes_value(flag) {
            let is_last = place + letter.len_utf8() == letters.len();
            return Some(usize::from(is_last));
        }
    }
    Some(0)
}

fn takes_value(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Set | ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_command_may_stand_behind_its_flags() {
        let mut root = crate::cli::args::Cli::command();
        root.build();
        for (given, want) in [
            ("weir --tz UTC filter f", "weir filter --tz UTC f"),
            (
                "weir --tz=UTC -l warn filter f",
                "weir filter --tz=UTC -l warn f",
            ),
            ("weir -m filter filter f", "weir filter -m filter f"),
            ("weir -vm x filter f", "weir filter -vm x f"),
            ("weir -lwarn filter", "weir filter -lwarn"),
            ("weir -c weir.toml check", "weir check -c weir.toml"),
            ("weir filter --tz UTC f", "weir filter --tz UTC f"),
            // Files, not commands.
            ("weir app.log filter", "weir app.log filter"),
            ("weir --tz filter", "weir --tz filter"),
            ("weir --tz UTC ./filter", "weir --tz UTC ./filter"),
            ("weir --no-such filter", "weir --no-such filter"),
            ("weir -- filter", "weir -- filter"),
        ] {
            let words = given.split(' ').map(OsString::from).collect();
            let want: Vec<OsString> = want.split(' ').map(OsString::from).collect();
            assert_eq!(command_first(words, &root), want, "{given}");
        }
    }
}
