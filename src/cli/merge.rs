//! `weir merge SNAPSHOT...`: one report of several runs.

use std::ffi::OsString;

use crate::cli::args::MergeArgs;
use crate::cli::output;
use crate::cli::report::{print, write_snapshot};
use crate::disk::whole;
use crate::error::{Failure, exit};
use crate::plan::overlap::Outputs;
use crate::process::diagnostics;
use crate::state::{State, repaired, snapshot};

pub fn run(args: MergeArgs) -> Result<u8, Failure> {
    output::log_as(args.output.log_format);
    outputs(&args)?;
    let mut merged: Option<State> = None;
    for path in &args.snapshots {
        let name = path.display();
        let bytes = whole::read(path).map_err(|error| Failure {
            message: format!("{name}: {error}"),
            exit_code: if error.kind() == std::io::ErrorKind::NotFound {
                exit::NO_INPUT
            } else {
                exit::IO
            },
        })?;
        let state = snapshot::decode(&bytes).map_err(|snapshot::NotASnapshot(reason)| Failure {
            message: format!("{name}: {reason}"),
            exit_code: exit::NOT_A_SNAPSHOT,
        })?;
        if let Some(note) = repaired::note(state.repaired) {
            diagnostics::note(&format!("{name}: {note}"));
        }
        match &mut merged {
            None => merged = Some(state),
            Some(merged) => {
                if merged.shape.groupings != state.shape.groupings
                    || merged.shape.list != state.shape.list
                {
                    return Err(Failure::usage(format!(
                        "{name}: made with other groupings or another --level than {}; make all snapshots with the same flags",
                        args.snapshots[0].display()
                    )));
                }
                merged.merge(&state);
            }
        }
    }
    let merged = merged.expect("the command line asks for at least one snapshot");
    if let Some(path) = &args.snapshot {
        write_snapshot(path, &merged)?;
    }
    print(&merged, args.top, &args.output, false)?;
    Ok(if merged.ledger.unaccounted > 0 {
        exit::UNACCOUNTED
    } else {
        0
    })
}

/// Refuses to write the report over a snapshot. All are read before the merged state takes the place of
/// one of them, so `--snapshot` may name one.
fn outputs(args: &MergeArgs) -> Result<(), Failure> {
    let mut outputs = Outputs::default();
    match &args.output.to {
        Some(path) => outputs.add("-O", path, 0),
        None => outputs.add_stdout(),
    }
    let inputs: Vec<OsString> = args.snapshots.iter().map(OsString::from).collect();
    outputs.check(&inputs)?;
    if let Some(path) = &args.snapshot {
        outputs.add_replaced("--snapshot", path)?;
    }
    outputs.check(&[])
}
