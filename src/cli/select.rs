//! Which records a command takes and how they are read, from its flags.

use std::os::unix::ffi::OsStrExt;

use jiff::tz::TimeZone;

use crate::cli::args::{InputArgs, LevelArg, SelectArgs};
use crate::error::Failure;
use crate::expr::condition::Condition;
use crate::flow::document::{Asked, Columns};
use crate::flow::extract::{self, Extract, PATTERNS_MAX};
use crate::flow::format::Format;
use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::framing::Multiline;
use crate::parsers::documents;
use crate::plan::{Select, flags};
use crate::sources::encoding::{Encoding, NAMES};
use crate::sources::prepared::Preparation;
use crate::stages::literals::Literals;

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Level {
        match level {
            LevelArg::Trace => Level::Trace,
            LevelArg::Debug => Level::Debug,
            LevelArg::Info => Level::Info,
            LevelArg::Warn => Level::Warn,
            LevelArg::Error => Level::Error,
            LevelArg::Fatal => Level::Fatal,
        }
    }
}

/// The parts of a plan that every command has.
pub struct Common {
    pub select: Select,
    pub wanted: Wanted,
    pub multiline: Multiline,
    pub zone: TimeZone,
    /// The zone's name, for reports.
    pub zone_name: String,
    pub format: Option<Format>,
    pub prepare: Preparation,
    pub now: Time,
    /// Things that are probably mistakes, for standard error.
    pub notes: Vec<String>,
}

/// Resolves what selects records and how they are read.
pub fn common(args: &SelectArgs) -> Result<Common, Failure> {
    let now = flags::now();
    let (zone, zone_name) = flags::zone(args.tz.as_deref())?;
    let extracts = extracts(&args.extract)?;
    let mut wanted = Wanted {
        message: !extracts.is_empty(),
        extracts,
        ..Wanted::default()
    };
    let mut notes = Vec::new();
    let condition = match &args.condition {
        Some(text) => {
            let condition = Condition::parse(text, &zone, &mut wanted)
                .map_err(|error| Failure::usage(error.render("-w", text)))?;
            flags::without_template("-w", &condition)?;
            for (name, reserved) in condition.suspicious_names() {
                notes.push(format!("-w: no record is known to have a field \"{name}\"; did you mean \"{reserved}\"?"));
            }
            Some(condition)
        }
        None => None,
    };
    let literals = (!args.literals.is_empty()).then(|| {
        let literals: Vec<Vec<u8>> = args
            .literals
            .iter()
            .map(|literal| literal.as_bytes().to_vec())
            .collect();
        Literals::new(&literals, args.ignore_case)
    });
    let facts = flags::facts(&zone, now);
    let bound = |flag: &str, text: &Option<String>| {
        text.as_deref()
            .map(|text| flags::time_bound(flag, text, &facts))
            .transpose()
    };
    let since = bound("--since", &args.since)?;
    let until = bound("--until", &args.until)?;
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err(Failure::usage(format!(
            "--since {since} is not before --until {until}, so no record can pass"
        )));
    }
    let select = Select {
        literals,
        invert: args.invert_match,
        condition,
        since,
        until,
    };
    wanted.time |= select.bounds_time();
    Ok(Common {
        select,
        wanted,
        multiline: flags::multiline(&args.multiline)?,
        zone,
        zone_name,
        format: args
            .format
            .as_deref()
            .filter(|_| !is_columns(args))
            .map(flags::format)
            .transpose()?
            .flatten(),
        prepare: preparation(args)?,
        now,
        notes,
    })
}

/// `--format columns`: no format of records, but one of documents.
fn is_columns(args: &SelectArgs) -> bool {
    args.format.as_deref() == Some("columns")
}

/// `--extract`, compiled.
fn extracts(patterns: &[String]) -> Result<Vec<Extract>, Failure> {
    if patterns.len() > PATTERNS_MAX {
        return Err(Failure::usage(format!(
            "--extract: {} patterns; {PATTERNS_MAX} are the most",
            patterns.len()
        )));
    }
    let compiled = patterns.iter().map(|pattern| {
        Extract::from_pattern(pattern, extract::From::Message)
            .map_err(|problem| Failure::usage(format!("--extract: \"{pattern}\" {problem}")))
    });
    compiled.collect()
}

/// What makes lines of UTF-8 out of the bytes of inputs.
fn preparation(args: &SelectArgs) -> Result<Preparation, Failure> {
    let encoding = args.encoding.as_deref().map(|name| {
        Encoding::named(name).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().take(5).map(|(name, _)| *name).collect();
            Failure::usage(format!(
                "--encoding: \"{name}\" is none of {}",
                names.join(", ")
            ))
        })
    });
    if let Some(each) = &args.each
        && let Some(problem) = documents::Path::problem(each)
    {
        return Err(Failure::usage(format!("--each: \"{each}\" {problem}")));
    }
    Ok(Preparation {
        encoding: encoding.transpose()?,
        asked: Asked {
            each: args.each.as_deref().map(Into::into),
            columns: match is_columns(args) {
                true => Columns::Always,
                false => Columns::Never,
            },
        },
        recognise: documents::recognise,
    })
}

/// Mapper threads and bytes in flight.
pub fn engine(args: &InputArgs) -> Result<(usize, usize), Failure> {
    flags::threads_and_budget(args.threads, args.max_mem.as_deref())
}
