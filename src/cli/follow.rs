//! `-f` and what belongs to it: which of the flags make sense together, and what they mean.

use std::ffi::OsString;
use std::time::Duration;

use crate::cli::args::{FollowArgs, FromArg, RotateArgs, SelectArgs};
use crate::error::Failure;
use crate::run::following::Following;
use crate::run::purpose::Purpose;
use crate::sinks::file::Rotation;
use crate::sources::follow::From;
use crate::units;

/// Renamed output files that stay unless `--rotate-keep` says otherwise: a week of days.
const KEEP_DEFAULT: u32 = 7;

/// The time that a drain may take.
pub fn grace(args: &FollowArgs) -> Result<Duration, Failure> {
    match units::duration_nanoseconds(&args.grace) {
        Ok(nanoseconds) if nanoseconds >= 0 => Ok(Duration::from_nanos(nanoseconds.unsigned_abs())),
        Ok(_) => Err(Failure::usage("--grace: a duration of zero or more")),
        Err(error) => Err(Failure::usage(format!("--grace: {error}"))),
    }
}

/// Refuses what cannot be done to files that grow.
pub fn only_to_the_end(following: Option<&Following>, args: &SelectArgs) -> Result<(), Failure> {
    let given = [
        ("--each", args.each.is_some()),
        ("--encoding", args.encoding.is_some()),
        (
            "--format columns",
            args.format.as_deref() == Some("columns"),
        ),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) if following.is_some() => Err(Failure::usage(format!(
            "{flag} does not go with -f on files: a followed file is read as lines of UTF-8; leave out -f, or pipe the bytes in"
        ))),
        _ => Ok(()),
    }
}

/// What is followed; `None` reads to the end, or standard input as it comes.
pub fn following(args: &FollowArgs, files: &[OsString]) -> Result<Option<Following>, Failure> {
    let streams = files.iter().filter(|file| *file == "-").count();
    let stdin_alone = streams == files.len();
    let given = [
        ("--from", args.from.is_some()),
        ("--exclude", !args.exclude.is_empty()),
        ("--state", args.state.is_some()),
        ("--poll", args.poll),
    ];
    let given = given.iter().find(|(_, given)| *given).map(|(flag, _)| flag);
    if args.tail.is_some() && streams + usize::from(files.is_empty()) > 0 {
        return Err(Failure::usage(
            "--tail: where standard input ends is not known before it has; name files",
        ));
    }
    if !args.follow {
        return match given {
            Some(flag) => Err(Failure::usage(format!(
                "{flag} is about following; add -f, or leave it out to read to the end"
            ))),
            None => Ok(None),
        };
    }
    if stdin_alone {
        return match given {
            Some(flag) => Err(Failure::usage(format!(
                "{flag} needs files to follow: standard input comes once and has no places to go back to"
            ))),
            None => Ok(None),
        };
    }
    if streams > 0 {
        return Err(Failure::usage(
            "-f follows either files or standard input; leave out -, or give it a weir of its own",
        ));
    }
    let from = match (args.tail, args.from) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage(
                "--tail and --from both say where to begin; give one of them",
            ));
        }
        (Some(lines), None) => From::Tail(lines),
        (None, Some(FromArg::Start)) => From::Start,
        (None, Some(FromArg::End)) => From::End,
        (None, None) if args.state.is_some() => From::Start,
        (None, None) => From::End,
    };
    for glob in &args.exclude {
        globset::Glob::new(glob)
            .map_err(|error| Failure::usage(format!("--exclude \"{glob}\": {}", error.kind())))?;
    }
    Ok(Some(Following {
        from,
        exclude: args.exclude.clone(),
        state: args.state.clone(),
        poll: args.poll,
    }))
}

/// When the output is rotated; `appends` if there is an output file that lines are appended to.
pub fn rotation(args: &RotateArgs, appends: bool) -> Result<Option<Rotation>, Failure> {
    let bytes_max = match &args.rotate_size {
        Some(text) => match units::byte_size(text) {
            Ok(0) => return Err(Failure::usage("--rotate-size: a size above zero")),
            Ok(bytes) => Some(bytes),
            Err(error) => return Err(Failure::usage(format!("--rotate-size: {error}"))),
        },
        None => None,
    };
    let age_max = match &args.rotate_every {
        Some(text) => match units::duration_nanoseconds(text) {
            Ok(nanoseconds) if nanoseconds > 0 => {
                Some(Duration::from_nanos(nanoseconds.unsigned_abs()))
            }
            Ok(_) => return Err(Failure::usage("--rotate-every: a duration above zero")),
            Err(error) => return Err(Failure::usage(format!("--rotate-every: {error}"))),
        },
        None => None,
    };
    if bytes_max.is_none() && age_max.is_none() {
        return match args.rotate_keep {
            Some(_) => Err(Failure::usage(
                "--rotate-keep says how many files stay; add --rotate-size or --rotate-every, which make them",
            )),
            None => Ok(None),
        };
    }
    if !appends {
        return Err(Failure::usage(
            "--rotate-size and --rotate-every are for an output that is appended to: give -f with files, and -O",
        ));
    }
    Ok(Some(Rotation {
        bytes_max,
        age_max,
        keep: args.rotate_keep.unwrap_or(KEEP_DEFAULT),
    }))
}

/// What selects records and how they are read, with the zone that was found for them.
pub fn select(purpose: Purpose, args: &SelectArgs, zone: &str) -> Purpose {
    purpose
        .add("--match", &args.literals)
        .flag("--ignore-case", args.ignore_case)
        .flag("--invert-match", args.invert_match)
        .add("--where", &args.condition)
        .add("--since", &args.since)
        .add("--until", &args.until)
        .add("--format", &args.format)
        .add("--multiline", [&args.multiline])
        .add("--each", &args.each)
        .add("--encoding", &args.encoding)
        .add("--extract", &args.extract)
        .add("--tz", [zone])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::Cli;

    fn parse(line: &str) -> Result<Option<Following>, String> {
        let cli = Cli::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        let args = cli.report;
        following(&args.following, &args.input.files).map_err(|failure| failure.message)
    }

    #[test]
    fn begins_where_it_was_asked_to() {
        for (line, want) in [
            ("weir -f a", From::End),
            ("weir -f --state d a", From::Start),
            ("weir -f --state d --from end a", From::End),
            ("weir -f --from start a b*", From::Start),
            ("weir -f -n 0 a", From::Tail(0)),
            ("weir -f --tail 20 --state d a", From::Tail(20)),
        ] {
            assert_eq!(parse(line).unwrap().unwrap().from, want, "{line}");
        }
        for line in ["weir a", "weir -n 5 a", "weir -f", "weir -f -", "weir"] {
            assert_eq!(parse(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, want) in [
            ("weir --state d a", "add -f"),
            ("weir --from end a", "--from"),
            ("weir --poll a", "--poll"),
            ("weir --exclude x a", "--exclude"),
            ("weir -f --state d", "standard input"),
            ("weir -f --poll -", "standard input"),
            ("weir -f - a", "either files or standard input"),
            ("weir -n 5 -", "--tail"),
            ("weir -f -n 5", "--tail"),
            ("weir -f -n 5 --from start a", "give one"),
            ("weir -f --exclude [a a", "--exclude"),
            ("weir -f -n x a", "--tail"),
            ("weir -f --from middle a", "start"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(want), "{line}: {message}");
        }
    }

    #[test]
    fn what_is_given_up_without_a_state_directory_is_said() {
        let note = |line: &str| parse(line).unwrap().unwrap().note("the totals");
        assert_eq!(note("weir -f --state d a"), None);
        for (line, want) in [
            ("weir -f a", "meanwhile"),
            ("weir -f -n 7 a", "7 lines"),
            ("weir -f --from start a", "start of the files"),
        ] {
            let note = note(line).unwrap();
            assert!(note.contains(want) && note.contains("the totals"), "{note}");
        }
    }

    #[test]
    fn an_output_is_rotated_only_where_it_is_appended_to() {
        let args = |size: Option<&str>, every: Option<&str>, keep| RotateArgs {
            rotate_size: size.map(str::to_owned),
            rotate_every: every.map(str::to_owned),
            rotate_keep: keep,
        };
        assert_eq!(rotation(&args(None, None, None), false).unwrap(), None);
        let rotated = rotation(&args(Some("1MiB"), Some("1h"), None), true).unwrap();
        let want = Rotation {
            bytes_max: Some(1 << 20),
            age_max: Some(Duration::from_secs(3600)),
            keep: KEEP_DEFAULT,
        };
        assert_eq!(rotated, Some(want));
        for (args, appends, want) in [
            (args(Some("1MiB"), None, None), false, "-O"),
            (args(Some("0"), None, None), true, "above zero"),
            (args(Some("many"), None, None), true, "--rotate-size"),
            (args(None, Some("0s"), None), true, "above zero"),
            (args(None, Some("soon"), None), true, "--rotate-every"),
            (args(None, None, Some(3)), true, "--rotate-size"),
        ] {
            let message = rotation(&args, appends).unwrap_err().message;
            assert!(message.contains(want), "{message}");
        }
    }

    #[test]
    fn a_purpose_tells_apart_what_is_computed() {
        let purpose = |line: &str| {
            let args = Cli::parse_from(line.split(' ')).report;
            select(Purpose::new("weir"), &args.select, "UTC")
                .text()
                .to_owned()
        };
        let one = purpose("weir -m a -m b x");
        assert_eq!(
            one,
            purpose("weir -t 3 --match=a --match=b --color never y")
        );
        for other in [
            "weir -m ab x",
            "weir -m a x",
            "weir -m a -m b -i x",
            "weir -m a -m b --format json x",
        ] {
            assert_ne!(one, purpose(other), "{other}");
        }
    }
}
