//! What keeps or drops the record: each flag with its verdict and what it saw.

use std::os::unix::ffi::OsStrExt;

use crate::cli::args::SelectArgs;
use crate::expr::condition::View;
use crate::expr::error::nearest;
use crate::flow::row::Kind;
use crate::flow::wanted::Wanted;
use crate::plan::Select;
use crate::stages::literals::Literals;

/// One flag and what it says about the record.
pub struct Test {
    /// As typed: `-w status >= 500`.
    pub flag: String,
    pub passes: bool,
    pub why: String,
}

/// The verdicts, in the order in which a run asks.
pub fn tests(
    select: &Select,
    args: &SelectArgs,
    wanted: &Wanted,
    view: &View<'_>,
    searched: &[u8],
) -> Vec<Test> {
    let mut tests = Vec::new();
    if let Some(literals) = &select.literals {
        tests.push(Test {
            flag: literal_flag(args),
            passes: literals.hold_in(searched, &mut Vec::new()) != select.invert,
            why: found(args, searched),
        });
    }
    let time = match view.row.time {
        Some(time) => format!("its time is {time}"),
        None => "the record has no time".to_owned(),
    };
    if let Some(since) = select.since {
        tests.push(Test {
            flag: format!("--since {since}"),
            passes: view.row.time.is_some_and(|time| time >= since),
            why: time.clone(),
        });
    }
    if let Some(until) = select.until {
        tests.push(Test {
            flag: format!("--until {until}"),
            passes: view.row.time.is_some_and(|time| time < until),
            why: time,
        });
    }
    if let (Some(condition), Some(text)) = (&select.condition, &args.condition) {
        tests.push(Test {
            flag: format!("-w {text}"),
            passes: condition.holds(view),
            why: seen(wanted, view),
        });
    }
    tests
}

fn literal_flag(args: &SelectArgs) -> String {
    let texts: Vec<String> = args
        .literals
        .iter()
        .map(|literal| format!("-m {literal:?}"))
        .collect();
    let case = if args.ignore_case { " -i" } else { "" };
    let invert = if args.invert_match { " -v" } else { "" };
    format!("{}{case}{invert}", texts.join(" "))
}

/// Which of the texts the record holds.
fn found(args: &SelectArgs, searched: &[u8]) -> String {
    let held: Vec<String> = args
        .literals
        .iter()
        .filter(|literal| {
            Literals::new(&[literal.as_bytes().to_vec()], args.ignore_case)
                .hold_in(searched, &mut Vec::new())
        })
        .map(|literal| format!("{literal:?}"))
        .collect();
    match (held.is_empty(), args.literals.len()) {
        (true, 1) => "the record does not hold it".to_owned(),
        (true, _) => "the record holds none of them".to_owned(),
        (false, _) => format!("the record holds {}", held.join(", ")),
    }
}

/// The values of the fields that a condition names, and the nearest names for those it lacks.
fn seen(wanted: &Wanted, view: &View<'_>) -> String {
    let row = view.row;
    let own: Vec<String> = row
        .fields
        .iter()
        .map(|field| String::from_utf8_lossy(row.bytes(view.record, field.name)).into_owned())
        .collect();
    let mut parts = Vec::new();
    for (path, value) in wanted.paths.iter().zip(&row.values) {
        let name = String::from_utf8_lossy(&path.flat);
        let text = String::from_utf8_lossy(row.bytes(view.record, value.text));
        parts.push(match value.kind {
            Kind::Missing => match nearest(&name, own.iter().map(String::as_str)) {
                Some(near) => format!("no field {name}; did you mean {near}?"),
                None => format!("no field {name}"),
            },
            Kind::Null => format!("{name} is null"),
            Kind::String => format!("{name} is \"{text}\""),
            Kind::Bool | Kind::Number | Kind::Composite => format!("{name} is {text}"),
        });
    }
    if parts.is_empty() {
        return match row.level {
            Some(level) => format!("level is {}", level.name()),
            None => "the record has no level".to_owned(),
        };
    }
    parts.join(", ")
}
