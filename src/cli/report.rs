//! `weir [FILE]...`: reads to the end, or follows until told to stop, and prints a report.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cli::args::{Color, Format, OutputArgs, ReportArgs};
use crate::cli::follow::{following, grace, only_to_the_end, select};
use crate::cli::live::{self, Live};
use crate::cli::progress::Progress;
use crate::cli::select::{common, engine};
use crate::cli::{config, output};
use crate::disk::replace::replace;
use crate::engine::{NoWatcher, Watcher};
use crate::error::{Failure, exit};
use crate::expr::aggregate::Check;
use crate::expr::functions::Statistic;
use crate::flow::document::Columns;
use crate::flow::level::Level;
use crate::flow::terminal;
use crate::flow::wanted::{Wanted, is_metric_name};
use crate::plan::flags::{check, grouping, slot};
use crate::plan::overlap::Outputs;
use crate::plan::{Plan, ReportTask, Task};
use crate::report::text::Style;
use crate::report::{Report, json, text};
use crate::run::purpose::Purpose;
use crate::run::start::{self, Start};
use crate::stages::aggregate::Metric;
use crate::state::histogram::Histogram;
use crate::state::{Shape, State, snapshot};

/// Columns that a text report is laid out for that goes to no terminal; its texts are not cut.
const WIDTH_DEFAULT: usize = 100;

/// Rows of each table in a text report, unless `--top` says otherwise.
const TOP_DEFAULT: usize = 20;

pub fn run(args: ReportArgs) -> Result<u8, Failure> {
    output::log_as(args.output.log_format);
    if args.input.files.is_empty() && io::stdin().is_terminal() {
        use clap::CommandFactory;
        let help = crate::cli::args::Cli::command().render_help();
        // Nobody is there to be told that the help could not be shown.
        let _ = io::stderr().write_all(&config::plain(&format!("{help}\n")));
        return Ok(exit::USAGE);
    }
    let following = following(&args.following, &args.input.files)?;
    only_to_the_end(following.as_ref(), &args.select)?;
    let mut common = common(&args.select)?;
    // A report shows no lines, so tables of well-known programs may become fields without being asked.
    if common.prepare.asked.columns == Columns::Never && args.select.format.is_none() {
        common.prepare.asked.columns = Columns::IfKnown;
    }
    common.wanted.time = true;
    common.wanted.level = true;
    let list = Level::from(args.level);
    let mut groupings = Vec::new();
    for by in &args.by {
        groupings.push(grouping(by, &mut common.wanted)?);
    }
    let check = check(
        args.output.fail_on.as_deref(),
        &common.zone,
        &mut common.wanted,
    )?;
    let mut names: Vec<String> = args
        .metric
        .iter()
        .flat_map(|names| names.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    // A metric that only --fail-on names is shown too: the reader of the report wants to see why.
    common.wanted.numbers = names.is_empty();
    // Unless a condition or a group asks for messages, only those that are listed matter.
    common.wanted.message_from =
        Some(list).filter(|&list| list > Level::Trace && !common.wanted.message);
    common.wanted.message = true;
    names.extend(
        check
            .iter()
            .flat_map(Check::metrics)
            .filter(|name| !args.metric.contains(name))
            .cloned(),
    );
    let mut metrics: Vec<Metric> = names
        .into_iter()
        .map(|name| Metric::new(slot(&mut common.wanted, &name), &name))
        .collect();
    if common.wanted.numbers {
        by_name(&common.wanted, &mut metrics);
    }
    let shape = Shape {
        list,
        groupings: groupings
            .iter()
            .map(|grouping| grouping.names.clone())
            .collect(),
        zone: common.zone_name.clone(),
    };
    let conditions = start::counted(check.as_ref());
    let state = State::new(shape, conditions.len());
    let plan = Plan {
        select: common.select,
        wanted: common.wanted,
        multiline: common.multiline,
        task: Task::Report(ReportTask {
            list,
            metrics,
            // Whoever groups by something else has asked for that.
            statuses: groupings.is_empty(),
            groupings,
        }),
        conditions,
        prefilter: !args.input.no_prefilter,
    };
    let mut notes = common.notes;
    notes.extend(
        following
            .as_ref()
            .and_then(|it| it.note("the totals so far")),
    );
    start::say_notes(&notes, args.output.quiet);
    let engine = engine(&args.input)?;
    let grace = grace(&args.following)?;
    let mut outputs = Outputs::default();
    match &args.output.to {
        Some(path) => outputs.add("-O", path, 0),
        None => outputs.add_stdout(),
    }
    if let Some(path) = &args.snapshot {
        outputs.add_replaced("--snapshot", path)?;
    }
    let files = start::files(args.input.files, following.as_ref(), &mut outputs)?;
    let stop = start::stop()?;
    let live = args.following.follow
        && args.output.format.output == Format::Text
        && io::stdout().is_terminal()
        && args.output.to.is_none();
    let top = args.top;
    let drawn = Arc::new(AtomicBool::new(false));
    let watcher: Box<dyn Watcher> = if live {
        Box::new(Live::new(
            style(&args.output),
            top.unwrap_or(TOP_DEFAULT),
            Arc::clone(&drawn),
        ))
    } else if args.output.quiet || following.is_some() {
        Box::new(NoWatcher)
    } else {
        Box::new(Progress::new(args.output.quiet))
    };
    let purpose = select(Purpose::new("weir"), &args.select, &common.zone_name)
        .add("--level", [list])
        .add("--by", &args.by)
        .add("--metric", &args.metric)
        .add("--fail-on", &args.output.fail_on);
    let writes = args
        .output
        .to
        .iter()
        .chain(&args.snapshot)
        .cloned()
        .collect();
    let start = Start {
        files,
        opened: None,
        tail: args.following.tail,
        following,
        state: None,
        purpose,
        append: None,
        zone: common.zone,
        format: common.format,
        prepare: common.prepare,
        now: common.now,
        live: args.following.follow,
        quiet: args.output.quiet,
        grace,
        engine,
        stop,
        sink: None,
        writes,
        further: Vec::new(),
        beside: None,
        watcher,
        reload: None,
        ready: Default::default(),
    };
    let outcome = start::run(plan, start, state)?;
    if let Some(path) = &args.snapshot {
        write_snapshot(path, &outcome.state)?;
    }
    let over = drawn.load(Ordering::Relaxed);
    print(&outcome.state, top, &args.output, over)?;
    let code = output::problems(&outcome);
    Ok(code.max(failed(check.as_ref(), &outcome.state)))
}

/// Adds the fields that a condition or a group asks for and that are metrics by their name: a parser
/// hands out what is asked for by name in its slot alone.
fn by_name(wanted: &Wanted, metrics: &mut Vec<Metric>) {
    for (slot, path) in wanted.paths.iter().enumerate() {
        let is_new = metrics.iter().all(|metric| metric.slot != slot);
        if is_new && is_metric_name(&path.flat) {
            metrics.push(Metric::new(slot, &String::from_utf8_lossy(&path.flat)));
        }
    }
}

/// Prints the report as asked for, `over` the one that [`Live`] has drawn.
pub fn print(
    state: &State,
    top: Option<usize>,
    args: &OutputArgs,
    over: bool,
) -> Result<(), Failure> {
    match args.format.output {
        Format::Json => {
            let escape = args.to.is_none() && !args.raw && io::stdout().is_terminal();
            let mut pieces = output::Pieces::new(args.to.as_deref())?;
            json::write(&Report::new(state, top), top, &mut |text| {
                if escape {
                    pieces.put(|bytes| terminal::escape_json(text, bytes));
                } else {
                    pieces.put(|bytes| bytes.extend_from_slice(text.as_bytes()));
                }
            });
            pieces.finish()
        }
        Format::Text => {
            let top = top.unwrap_or(TOP_DEFAULT);
            let mut bytes = if over {
                live::CLEAR.to_vec()
            } else {
                Vec::new()
            };
            text::write(
                &mut bytes,
                &Report::new(state, Some(top)),
                top,
                &style(args),
            );
            output::write(args.to.as_deref(), bytes)
        }
    }
}

/// Puts the state into the file at `path`.
pub fn write_snapshot(path: &Path, state: &State) -> Result<(), Failure> {
    replace(path, &snapshot::encode(state))
        .map_err(|error| Failure::io(format!("--snapshot {}: {error}", path.display())))
}

/// The exit code of `--fail-on`.
pub fn failed(check: Option<&Check>, state: &State) -> u8 {
    let Some(check) = check else { return 0 };
    let metrics = state.metrics.metrics();
    let value = |name: &str, statistic: Statistic| {
        let metric = metrics
            .iter()
            .find(|metric| metric.name == name.as_bytes())?;
        of(&metric.overall, statistic)
    };
    if check.holds(&state.conditions, state.ledger.kept, &value) {
        exit::FAILED
    } else {
        0
    }
}

fn of(histogram: &Histogram, statistic: Statistic) -> Option<f64> {
    if histogram.count() == 0 {
        return None;
    }
    match statistic {
        Statistic::Mean => histogram.mean(),
        Statistic::Min => histogram.min(),
        Statistic::Max => histogram.max(),
        Statistic::Sum => Some(histogram.sum()),
        Statistic::Quantile(quantile) => histogram.quantile(quantile),
    }
}

/// States, sets and metrics as text for standard output.
pub fn known(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    let report = Report::new(state, Some(TOP_DEFAULT));
    let style = styled(Color::Auto, io::stdout().is_terminal(), true);
    text::write_known(&mut bytes, &report, TOP_DEFAULT, &style);
    bytes
}

/// Alerts, states and sets as text for standard output, all of them.
pub fn watched(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    let style = styled(Color::Auto, io::stdout().is_terminal(), true);
    text::write_watched(&mut bytes, &Report::new(state, None), usize::MAX, &style);
    bytes
}

/// Colours and width of a text report.
fn style(args: &OutputArgs) -> Style {
    let terminal = args.to.is_none() && io::stdout().is_terminal();
    styled(args.color, terminal, !args.raw)
}

fn styled(color: Color, terminal: bool, escape: bool) -> Style {
    let color = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let size = terminal.then(live::terminal_size).flatten();
    Style {
        color,
        width: size.map_or(WIDTH_DEFAULT, |size| size.columns),
        cut: terminal,
        escape,
    }
}
