//! `weir state`: what a state directory knows of states, sets and alerts, and forgetting a key that
//! somebody saw to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::cli::args::{Format, StateAckArgs, StatePlace, StateShowArgs};
use crate::cli::{config, output, report};
use crate::disk::Disk;
use crate::disk::real::Real;
use crate::error::{Failure, exit};
use crate::expr::error::nearest;
use crate::flow::key;
use crate::flow::time::Time;
use crate::plan::flags;
use crate::process::diagnostics;
use crate::report::json::watched;
use crate::state::keyed::Keyed;
use crate::store::checkpoint::Checkpoint;
use crate::store::look;
use crate::store::{StoreError, checkpoint};

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure {
            message: error.text,
            exit_code: error.exit_code,
        }
    }
}

pub fn show(args: StateShowArgs) -> Result<u8, Failure> {
    let dir = match args.dir {
        Some(dir) => dir,
        None => place(&args.place)?,
    };
    let (mut checkpoint, notes) = look::newest(&Real, &dir)?;
    notes.iter().for_each(|note| diagnostics::note(note));
    checkpoint.state.watched = of_run(&mut checkpoint, &dir)?.rules.known();
    let written = Time(checkpoint.written);
    let state = &checkpoint.state;
    match args.format.output {
        Format::Json => {
            let answer = json!({
                "written": written.to_string(),
                "records": state.ledger.records,
                "at": state.watched.at.map(|at| at.to_string()),
                "states": watched::states(state),
                "sets": watched::sets(state),
                "alerts": watched::alerts(state),
            });
            output::write_escaped(format!("{answer}\n").into_bytes())?;
        }
        Format::Text => {
            let records = crate::report::text::number::counted(state.ledger.records, "record");
            let mut text = format!("{}: as of {written}, after {records}\n", dir.display());
            if state.watched.states.is_empty() && state.watched.sets.is_empty() {
                text.push_str("no states and no sets\n");
            }
            let mut bytes = config::plain(&text);
            let known = report::watched(state);
            if !known.is_empty() {
                bytes.push(b'\n');
                bytes.extend(known);
            }
            output::write(None, bytes)?;
        }
    }
    Ok(0)
}

pub fn ack(args: StateAckArgs) -> Result<u8, Failure> {
    let dir = place(&args.place)?;
    let disk: Arc<dyn Disk> = Arc::new(Real);
    let forget = |checkpoint: &mut Checkpoint| {
        let rules = &mut of_run(checkpoint, &dir)?.rules;
        let is_meant = |state: &&Keyed| state.settings().name == args.name;
        let Some(state) = rules.states().find(is_meant) else {
            let names = rules.states().map(|state| &*state.settings().name);
            return Err(unknown("state", &args.name, names.collect()));
        };
        // All are looked at before the first is forgotten.
        let keys = args.keys.iter().map(|key| find(state, key));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let forgotten = keys.iter().filter(|key| rules.forget(&args.name, key));
        Ok(forgotten.count())
    };
    let forgotten = look::change(&disk, &dir, flags::now().0, forget)?;
    output::write(None, format!("{forgotten} forgotten\n").into_bytes())?;
    Ok(0)
}

/// The state directory that was named, or that the configuration names.
/// The state directory that is meant.
pub fn place(place: &StatePlace) -> Result<PathBuf, Failure> {
    if let Some(dir) = &place.state {
        return Ok(dir.clone());
    }
    if place.config.config.is_empty() {
        return Err(Failure::usage(
            "name the state directory (--state DIR), or a configuration that does (-c FILE)",
        ));
    }
    let loaded = config::load_files(&place.config.config, place.config.env.as_deref())?;
    loaded
        .config
        .run
        .state_dir
        .map(PathBuf::from)
        .ok_or_else(|| Failure {
            message: "the configuration has no [run] state_dir".to_owned(),
            exit_code: exit::CONFIGURATION,
        })
}

/// What a `weir run` knows besides its tables.
fn of_run<'c>(
    checkpoint: &'c mut Checkpoint,
    dir: &Path,
) -> Result<&'c mut checkpoint::Watched, StoreError> {
    let purpose = &checkpoint.purpose;
    checkpoint.watched.as_mut().ok_or_else(|| StoreError {
        text: format!(
            "{}: this is the state of `{purpose}`, which watches nothing; only `weir run` does",
            dir.display()
        ),
        exit_code: exit::USAGE,
        is_no_room: false,
    })
}

/// The encoded key that was typed, if the state has seen it.
fn find(state: &Keyed, typed: &str) -> Result<Vec<u8>, StoreError> {
    let fields = &state.settings().key;
    let mut encoded = Vec::new();
    if let [_] = &**fields {
        key::push(&mut encoded, typed.as_bytes());
    } else {
        let pairs: Vec<(&str, &str)> = typed
            .split(',')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect();
        for field in fields {
            let pair = pairs.iter().find(|(name, _)| name == field);
            let (_, value) = pair.ok_or_else(|| StoreError {
                text: format!(
                    "the key \"{typed}\" lacks \"{field}\"; write it like {}=…",
                    fields.join("=…,")
                ),
                exit_code: exit::USAGE,
                is_no_room: false,
            })?;
            key::push(&mut encoded, value.as_bytes());
        }
    }
    if state.last(&encoded).is_some() {
        return Ok(encoded);
    }
    let seen = state.keys().into_iter();
    let seen = seen.filter(|key| state.last(key).is_some());
    let names: Vec<String> = seen.map(|key| shown(fields, key)).collect();
    let names = names.iter().map(|name| &**name).collect();
    Err(unknown("key", typed, names))
}

/// A key as it is typed.
fn shown(fields: &[String], encoded: &[u8]) -> String {
    let values = key::values(encoded).into_iter();
    let values = values.map(|value| String::from_utf8_lossy(value).into_owned());
    match fields {
        [_] => values.collect(),
        fields => {
            let pairs = fields.iter().zip(values);
            let pairs: Vec<String> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join(",")
        }
    }
}

/// Most names that a message lists.
const NAMES_LISTED: usize = 16;

fn unknown(what: &str, typed: &str, known: Vec<&str>) -> StoreError {
    let remedy = match nearest(typed, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => format!("no {what} was seen"),
        None => {
            let more = if known.len() > NAMES_LISTED {
                ", …"
            } else {
                ""
            };
            let listed = &known[..known.len().min(NAMES_LISTED)];
            format!("known: {}{more}", listed.join(", "))
        }
    };
    StoreError {
        text: format!("unknown {what} \"{typed}\"; {remedy}"),
        exit_code: exit::USAGE,
        is_no_room: false,
    }
}
