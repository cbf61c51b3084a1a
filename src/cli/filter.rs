//! `weir filter [FILE]...`: writes the records that pass, in order, as they come; with `-f` also those
//! that are written later.

use std::io::{self, IsTerminal};

use crate::cli::args::{DedupArg, FilterArgs, Format};
use crate::cli::follow::{following, grace, only_to_the_end, rotation, select};
use crate::cli::progress::Progress;
use crate::cli::report::failed;
use crate::cli::select::{common, engine};
use crate::cli::{config, output};
use crate::engine::{NoWatcher, Watcher};
use crate::error::{Failure, exit};
use crate::flow::level::Level;
use crate::flow::output::{Dedup, DedupMode, LinesTask};
use crate::plan::flags::check;
use crate::plan::overlap::Outputs;
use crate::plan::{Plan, Task};
use crate::process::diagnostics;
use crate::run::purpose::Purpose;
use crate::run::start::{self, Append, Start};
use crate::sinks::stdout::Escape;
use crate::state::lines::CONTEXT_BYTES_MAX;
use crate::state::{Shape, State};
use crate::units;

pub fn run(args: FilterArgs) -> Result<u8, Failure> {
    output::log_as(args.output.log_format);
    if args.input.files.is_empty() && io::stdin().is_terminal() {
        return Err(Failure::usage(
            "no FILE, and standard input is a terminal; see `weir filter --help`",
        ));
    }
    let following = following(&args.following, &args.input.files)?;
    only_to_the_end(following.as_ref(), &args.select)?;
    let append = append(&args, following.is_some())?;
    let mut common = common(&args.select)?;
    let json = args.output.format.output == Format::Json && !args.count;
    let dedup = dedup(&args)?;
    let before = args.before_context.or(args.context).unwrap_or(0);
    let after = args.after_context.or(args.context).unwrap_or(0);
    let mut task = LinesTask {
        level: args.level.map(Level::from),
        json,
        count: args.count,
        dedup,
        before,
        after,
        as_they_come: false,
    };
    task.as_they_come = following.is_some() && !task.count && !task.decided_by_fold();
    if json && task.has_context() {
        return Err(Failure::usage(
            "context lines have no JSON form; leave out -A, -B and -C or -o json",
        ));
    }
    let check = check(
        args.output.fail_on.as_deref(),
        &common.zone,
        &mut common.wanted,
    )?;
    if let Some(name) = check.iter().flat_map(|check| check.metrics()).next() {
        return Err(Failure::usage(format!(
            "--fail-on: `weir filter` makes no histogram of \"{name}\"; use count(), or plain `weir`"
        )));
    }
    let wanted = &mut common.wanted;
    wanted.level |= task.level.is_some() || json;
    wanted.time |= json || dedup.is_some_and(|dedup| dedup.every.is_some());
    wanted.message |= json || dedup.is_some_and(|dedup| dedup.mode != DedupMode::Exact);
    wanted.all = json;
    let conditions = start::counted(check.as_ref());
    let shape = Shape {
        list: Level::Trace,
        groupings: Vec::new(),
        zone: common.zone_name.clone(),
    };
    let state = State::new(shape, conditions.len());
    let plan = Plan {
        select: common.select,
        wanted: common.wanted,
        multiline: common.multiline,
        task: Task::Lines(task),
        conditions,
        prefilter: !args.input.no_prefilter,
    };
    let mut notes = common.notes;
    let what = if args.count {
        "the count"
    } else {
        "what was held back"
    };
    notes.extend(following.as_ref().and_then(|it| it.note(what)));
    start::say_notes(&notes, args.output.quiet);
    let engine = engine(&args.input)?;
    let grace = grace(&args.following)?;
    let mut outputs = Outputs::default();
    match &args.output.to {
        Some(path) => {
            let rotation = append.as_ref().and_then(|append| append.rotation.as_ref());
            outputs.add("-O", path, rotation.map_or(0, |rotation| rotation.keep));
        }
        None => outputs.add_stdout(),
    }
    let files = start::files(args.input.files, following.as_ref(), &mut outputs)?;
    // A bar between lines on the same terminal would tear both.
    let silent = args.output.quiet
        || following.is_some()
        || (io::stdout().is_terminal() && args.output.to.is_none());
    let watcher: Box<dyn Watcher> = if silent {
        Box::new(NoWatcher)
    } else {
        Box::new(Progress::new(false))
    };
    let sink = if args.count || append.is_some() {
        None
    } else {
        let escape = match (args.output.raw, json) {
            (true, _) => Escape::Never,
            (false, true) => Escape::Json,
            (false, false) => Escape::Text,
        };
        Some(output::sink(args.output.to.as_deref(), escape)?)
    };
    // A FIFO waits for its reader when it is opened: until then a signal ends the process as it is.
    let stop = start::stop()?;
    let purpose = select(Purpose::new("weir filter"), &args.select, &common.zone_name)
        .add("--level", args.level.map(Level::from))
        .flag("--count", args.count)
        .add("--dedup", args.dedup)
        .add("--every", &args.every)
        .add("--before-context", (before > 0).then_some(before))
        .add("--after-context", (after > 0).then_some(after))
        .flag("--output=json", json)
        .add("--fail-on", &args.output.fail_on);
    let writes = args.output.to.iter().cloned().collect();
    let start = Start {
        files,
        opened: None,
        tail: args.following.tail,
        following,
        state: None,
        purpose,
        append,
        zone: common.zone,
        format: common.format,
        prepare: common.prepare,
        now: common.now,
        live: true,
        quiet: args.output.quiet,
        grace,
        engine,
        stop,
        sink,
        writes,
        further: Vec::new(),
        beside: None,
        watcher,
        reload: None,
        ready: Default::default(),
    };
    let outcome = start::run(plan, start, state)?;
    if args.count {
        let mut text = counts(&outcome.state);
        if args.output.to.is_none() && !args.output.raw && io::stdout().is_terminal() {
            // File names are not ours.
            text = config::plain(&String::from_utf8_lossy(&text));
        }
        output::write(args.output.to.as_deref(), text)?;
    }
    let code = output::problems(&outcome);
    if outcome.pipe_closed {
        return Ok(code);
    }
    if !args.output.quiet {
        for table in outcome.state.approximate() {
            diagnostics::say(&match before {
                0 => format!(
                    "the table of {table} was full; some lines went out that were perhaps not new"
                ),
                _ => format!(
                    "the records before a match took more than {} MiB; the oldest of them were left out",
                    CONTEXT_BYTES_MAX >> 20
                ),
            });
        }
    }
    let failed = failed(check.as_ref(), &outcome.state);
    debug_assert!(failed <= exit::FAILED);
    Ok(code.max(failed))
}

/// Where followed lines are appended, if that is a file.
fn append(args: &FilterArgs, follows: bool) -> Result<Option<Append>, Failure> {
    let path = args.output.to.as_ref();
    let path = path.filter(|_| follows && !args.count);
    let rotation = rotation(&args.rotation, path.is_some())?;
    Ok(path.map(|path| Append {
        path: path.clone(),
        rotation,
    }))
}

fn dedup(args: &FilterArgs) -> Result<Option<Dedup>, Failure> {
    let every = match &args.every {
        Some(text) => match units::duration_nanoseconds(text) {
            Ok(nanoseconds) if nanoseconds > 0 => Some(nanoseconds),
            Ok(_) => return Err(Failure::usage("--every: a duration above zero")),
            Err(error) => return Err(Failure::usage(format!("--every: {error}"))),
        },
        None => None,
    };
    let mode = |mode| match mode {
        DedupArg::Exact => DedupMode::Exact,
        DedupArg::Message => DedupMode::Message,
        DedupArg::Template => DedupMode::Template,
    };
    Ok(args.dedup.map(|arg| Dedup {
        mode: mode(arg),
        every,
    }))
}

/// One number, or one a file when there are several, as grep prints them.
fn counts(state: &State) -> Vec<u8> {
    let inputs: Vec<_> = state
        .inputs
        .iter()
        .filter(|input| !input.name.is_empty())
        .collect();
    if inputs.len() <= 1 {
        return format!("{}\n", state.ledger.kept).into_bytes();
    }
    inputs
        .iter()
        .flat_map(|input| format!("{}:{}\n", input.name, input.kept).into_bytes())
        .collect()
}
