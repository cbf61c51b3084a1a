//! `weir run`: does what the configuration says, until it is asked to end; with a command, until that
//! ends.

mod on_failure;
mod wrapped;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::args::RunArgs;
use crate::cli::{config, output};
use crate::clock::{Clock, System};
use crate::disk::Disk;
use crate::disk::real::Real;
use crate::engine::Outcome;
use crate::engine::writer::Further;
use crate::error::Failure;
use crate::flow::format::Format;
use crate::notifiers::delivery::{Delivery, Folder};
use crate::notifiers::heartbeat::{Heartbeats, Pulse};
use crate::parsers::documents;
use crate::plan::Task;
use crate::plan::setup::{self, LinesSink, Setup};
use crate::process::diagnostics;
use crate::process::signals::Hangup;
use crate::process::systemd::Systemd;
use crate::run::companion::{Companion, silences_of};
use crate::run::following::Following;
use crate::run::purpose::Purpose;
use crate::run::reload::Supervisor;
use crate::run::start::{self, Append, Beside, Reload, Start};
use crate::run::summaries::Writer;
use crate::sinks::file::Appender;
use crate::sinks::prometheus::Endpoint;
use crate::sinks::stdout::Escape;
use crate::sinks::{Destination, Opening, Target};
use crate::sources::follow::From;
use crate::sources::globs::Files;
use crate::sources::prepared::Preparation;
use crate::sources::{Again, Source, Stream, file};
use crate::state::State;
use crate::stop::Stop;
use crate::store::silences;

pub fn run(args: RunArgs) -> Result<u8, Failure> {
    output::log_as(args.log_format);
    if !args.command.is_empty() {
        return wrapped::run(args);
    }
    if args.timeout.is_some() || !args.on_failure.is_empty() {
        return Err(Failure::usage(
            "--timeout and --on-failure are about a command: write it behind --",
        ));
    }
    if args.config.config.is_empty() {
        return Err(Failure::usage(
            "run needs a configuration (-c weir.toml), or a command behind --",
        ));
    }
    let setup = load(&args)?;
    let mut streams = setup.sources.streams.iter();
    if streams.any(|stream| stream.origin.is_stdin()) && io::stdin().is_terminal() {
        return Err(Failure::usage(
            "the configuration reads standard input, which is a terminal; pipe something into it, or give it a [[source]]",
        ));
    }
    let only = setup.sources.only_stream().cloned();
    let outcome = match only {
        Some(Stream { name, origin, .. }) if origin.again() == Again::default() => {
            if let Some(argv) = origin.program() {
                return wrapped::run_source(&args, setup, &name, argv);
            }
            let opened = origin.open(&name, setup.now).map_err(|error| Failure {
                message: error.message,
                exit_code: error.exit_code,
            })?;
            let one = Once {
                source: Some(Source {
                    name,
                    ..opened.source
                }),
                ..Once::of(start::stop()?)
            };
            once(&args, setup, one)?
        }
        _ => follow(&args, setup, &start::stop()?)?,
    };
    Ok(output::problems(&outcome))
}

/// Reads the configuration and resolves it for a live run.
fn load(args: &RunArgs) -> Result<Setup, Failure> {
    let env = args.config.env.as_deref();
    let loaded = on_failure::load(&args.config.config, env, &args.on_failure)?;
    let setup = setup::setup(&loaded, setup::Purpose::Live, args.state.clone())?;
    Ok(setup)
}

/// Follows files and streams; goes on with a new configuration whenever one comes.
fn follow(args: &RunArgs, mut setup: Setup, signals: &Stop) -> Result<Outcome, Failure> {
    let fail = |error: io::Error| Failure::io(format!("signals: {error}"));
    let hangup = Hangup::new()
        .and_then(|hangup| hangup.on_signal().map(|()| hangup))
        .map_err(fail)?;
    let systemd = Systemd::from_environment()
        .map_err(|error| Failure::io(format!("NOTIFY_SOCKET: {error}")))?
        .map(Arc::new);
    let supervisor = Supervisor {
        signals: signals.clone(),
        hangup,
        systemd,
        watched: if args.watch_config {
            config::files(&args.config.config)
        } else {
            Vec::new()
        },
    };
    let streams = Beside {
        asked: setup.sources.streams.clone(),
        ..Beside::default()
    };
    let mut carried = None;
    loop {
        let next = Arc::new(Mutex::new(None));
        let asked = Arc::new(AtomicBool::new(false));
        let stop = Stop::new().map_err(fail)?;
        let read_again = args.clone();
        let reading = Reading::of(&setup);
        let load = move || match load(&read_again).and_then(writable) {
            Ok(setup) if Reading::of(&setup) == reading => Some(setup),
            Ok(_) => {
                diagnostics::say(
                    "the new configuration reads other streams, or reads them in another way, which takes a \
                     restart; going on with the old one",
                );
                None
            }
            Err(failure) => {
                diagnostics::say(&failure.message);
                diagnostics::say("the new configuration is not used; going on with the old one");
                None
            }
        };
        let supervised = supervisor
            .start(stop.clone(), Arc::clone(&asked), Arc::clone(&next), load)
            .map_err(|error| Failure::io(format!("no thread for signals: {error}")))?;
        let one = Once {
            stop,
            reload: Some(Reload { asked, carried }),
            source: None,
            beside: (!streams.asked.is_empty()).then(|| streams.clone()),
        };
        let result = once(args, setup, one);
        supervised.end();
        let mut outcome = result?;
        let Some(new) = next.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(outcome);
        };
        output::problems(&outcome);
        carried = outcome.known.take().map(|known| *known);
        setup = new;
        diagnostics::say("the configuration is read again");
    }
}

/// A new configuration whose files can be written to: the run before it has ended when they are opened for
/// good, and would have nobody to go on for it.
fn writable(setup: Setup) -> Result<Setup, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let lines = setup.lines.iter().map(|sink| &sink.target);
    for target in lines.chain(&setup.summaries) {
        if let Some(file) = target.file() {
            let (disk, clock) = (Arc::new(Real), Arc::clone(&clock));
            let opened = Appender::open(disk, clock, &file.path, file.rotation.clone());
            opened.map_err(|error| Failure::io(format!("cannot write {error}")))?;
        }
    }
    Ok(setup)
}

/// What has to stay over a reload, since the threads that read streams go on.
#[derive(PartialEq)]
struct Reading {
    streams: Vec<Stream>,
    /// How records are found and read in them.
    format: Option<(String, Option<Format>, String)>,
}

impl Reading {
    fn of(setup: &Setup) -> Reading {
        let streams = setup.sources.streams.clone();
        let multiline = format!("{:?}", setup.plan.multiline);
        let zone = setup.shape.zone.clone();
        Reading {
            format: (!streams.is_empty()).then_some((multiline, setup.format, zone)),
            streams,
        }
    }
}

/// What one run has besides its configuration.
struct Once {
    stop: Stop,
    reload: Option<Reload>,
    /// A stream that takes the place of the configured sources.
    source: Option<Source>,
    /// Those that are read beside others.
    beside: Option<Beside>,
}

impl Once {
    fn of(stop: Stop) -> Once {
        Once {
            stop,
            reload: None,
            source: None,
            beside: None,
        }
    }
}

/// One run with one configuration.
fn once(args: &RunArgs, setup: Setup, one: Once) -> Result<Outcome, Failure> {
    let Setup {
        mut plan,
        shape,
        sources,
        notifiers,
        heartbeats,
        lines,
        summaries,
        endpoint,
        zone,
        format,
        now,
        state_dir,
        engine,
        grace,
        notes,
    } = setup;
    if let (Some(dir), Task::Run(task)) = (&state_dir, &mut plan.task) {
        // Also what fires with the first record is silenced.
        let entries = silences::read(&silences::path(dir)).unwrap_or_default();
        task.rules.mutes.silences = silences_of(&entries);
    }
    start::say_notes(&notes, args.quiet);
    let of_summaries = summaries.iter();
    let of_summaries = of_summaries.filter_map(|target| Some(target.file()?.path.as_path()));
    let of_alerts = notifiers.iter();
    let of_alerts = of_alerts.filter_map(|notifier| notifier.channel.appends_to());
    let writes = of_summaries.chain(of_alerts).map(Path::to_owned).collect();
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let state = State::new(shape, 0);
    let folder = state_dir.as_ref().map(|dir| Folder {
        dead_letters: dir.join(setup::DEAD_LETTERS),
        journal: dir.join("alerts.ndjson"),
    });
    if let Some(dir) = &state_dir {
        // Deliveries write there before anything else does.
        Real.create_directory(dir)
            .map_err(|error| Failure::io(format!("{}: {error}", dir.display())))?;
    } else if !args.quiet {
        diagnostics::say(
            "no state directory: a crash loses states, alerts and what was not sent yet",
        );
    }
    let delivery = Delivery::start(notifiers, folder, diagnostics::note)
        .map_err(|error| Failure::io(format!("notifiers: {error}")))?;
    let pulse = Pulse::default();
    let heartbeats = (!heartbeats.is_empty())
        .then(|| Heartbeats::start(heartbeats, pulse.clone(), diagnostics::say))
        .transpose()
        .map_err(|error| Failure::io(format!("heartbeats: {error}")))?;
    let mut append = None;
    let mut first = None;
    let mut further = Vec::new();
    for LinesSink {
        target,
        branch,
        is_first,
        ..
    } in lines
    {
        if is_first && let Some(file) = target.file() {
            append = Some(Append {
                path: file.path.clone(),
                rotation: Some(file.rotation.clone()),
            });
            continue;
        }
        match (open(target, Escape::Text, &clock)?, is_first) {
            (Destination::Plain(sink), true) => first = Some(sink),
            (destination, _) => further.push(Further {
                branch,
                destination,
            }),
        }
    }
    let mut destinations = Vec::new();
    for target in summaries {
        destinations.push(open(target, Escape::Json, &clock)?);
    }
    let summaries = (!destinations.is_empty())
        .then(|| Writer::start(destinations))
        .transpose()
        .map_err(|error| Failure::io(format!("no thread for summaries: {error}")))?;
    let follows = one.source.is_none() && (sources.files.is_some() || one.beside.is_some());
    // A stream is read from the start; files are once they were looked for.
    let ready = Arc::new(AtomicBool::new(!follows));
    let health = Arc::default();
    let (endpoint, pages) = match endpoint {
        Some(settings) => {
            let (pages, requests) = crossbeam_channel::bounded(PAGES_MAX);
            let endpoint =
                Endpoint::start(&settings, pages, Arc::clone(&ready), Arc::clone(&health))
                    .map_err(|error| Failure::io(format!("{}: {error}", settings.listen)))?;
            (Some(endpoint), Some(requests))
        }
        None => (None, None),
    };
    let watcher = Companion {
        clock,
        delivery: Some(delivery),
        summaries,
        pages,
        health,
        grace,
        told: 0,
        pulse: heartbeats.is_some().then_some(pulse),
        streams: one.beside.iter().flat_map(|it| it.asked.clone()).collect(),
        is_under_way: false,
        look_for_fields: None,
        silences: state_dir.as_deref().map(silences::Watch::new),
        silences_looked_at: None,
    };
    let (files, following) = match follows {
        true => {
            let files = sources.files.unwrap_or_default();
            let from = match files.from {
                Some(file::From::Start) => From::Start,
                Some(file::From::End) => From::End,
                None if state_dir.is_some() => From::Start,
                None => From::End,
            };
            let following = Following {
                from,
                exclude: files.exclude,
                state: state_dir.clone(),
                poll: files.poll,
            };
            let files = Files {
                named: files.include,
                ..Files::default()
            };
            (files, Some(following))
        }
        false => (Files::default(), None),
    };
    let start = Start {
        files,
        opened: one.source,
        tail: None,
        following,
        beside: one.beside,
        state: state_dir,
        purpose: Purpose::new("weir run"),
        append,
        zone,
        format,
        prepare: Preparation::new(documents::recognise),
        now,
        live: true,
        quiet: args.quiet,
        grace,
        engine,
        stop: one.stop,
        sink: first,
        writes,
        further,
        watcher: Box::new(watcher),
        reload: one.reload,
        ready,
    };
    let outcome = start::run(plan, start, state)?;
    drop(endpoint);
    drop(heartbeats);
    Ok(outcome)
}

/// Pages that are asked for at once.
const PAGES_MAX: usize = 16;

fn open(target: Target, escape: Escape, clock: &Arc<dyn Clock>) -> Result<Destination, Failure> {
    let opening = Opening {
        escape,
        clock: Arc::clone(clock),
        say: diagnostics::note,
    };
    let opened = target.open(&opening);
    opened.map_err(|error| Failure::io(error.to_string()))
}
