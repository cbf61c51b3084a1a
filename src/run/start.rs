//! From a command's plan to a run of the engine: what `weir` and `weir filter` do alike.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::clock::{Clock, System};
use crate::disk::private_file::Lines;
use crate::disk::real::Real;
use crate::disk::{Disk, DiskFile, Identity, Kind};
use crate::engine::checkpoint::{self, Asked, AskedOutput, Store};
use crate::engine::faults::{Faulted, Put};
use crate::engine::fold::Known;
use crate::engine::follow::{Follow, output_to_look_at};
use crate::engine::grace::{self, Grace};
use crate::engine::reader::{CHUNK_BYTES, Input, Reader};
use crate::engine::writer::Further;
use crate::engine::{self, Outcome, Reading, Run, Watcher};
use crate::error::Failure;
use crate::expr::aggregate::Check;
use crate::expr::condition::Condition;
use crate::flow::batch::SourceId;
use crate::flow::format::Format;
use crate::flow::mark::Mark;
use crate::flow::time::Time;
use crate::framing::chunker::Policy;
use crate::parsers::csv;
use crate::plan::Plan;
use crate::plan::overlap::Outputs;
use crate::process::descriptors;
use crate::process::diagnostics::{self, Notes};
use crate::process::signals::Hangup;
use crate::process::systemd::Systemd;
use crate::run::following::Following;
use crate::run::purpose::Purpose;
use crate::sinks::Destination;
use crate::sinks::Sink;
use crate::sinks::file::{Appender, Rotation};
use crate::sources::follow::watch::{Hints, Inotify, NoHints};
use crate::sources::follow::{Follower, Resume, Settings};
use crate::sources::globs::{self, Files};
use crate::sources::prepared::Preparation;
use crate::sources::streams::{Several, Streams};
use crate::sources::{self, Source, Stream, reading};
use crate::state::State;
use crate::stop::Stop;

/// The files that were named, with globs expanded unless they are followed. Refuses outputs that are inputs
/// too.
pub fn files(
    named: Vec<OsString>,
    following: Option<&Following>,
    outputs: &mut Outputs,
) -> Result<Files, Failure> {
    let state = following.and_then(|following| following.state.as_ref());
    if let Some(directory) = state {
        outputs.set_state(directory);
    }
    let files = match following {
        // The follower expands globs, again and again.
        Some(_) => Files {
            named,
            ..Files::default()
        },
        None => globs::expand(named, |path| outputs.find(path))?,
    };
    files.notes.iter().for_each(|note| diagnostics::note(note));
    if files.named.is_empty() {
        outputs.check(&["-".into()])?;
    } else {
        outputs.check(&files.named)?;
    }
    Ok(files)
}

/// What a run needs besides its plan.
pub struct Start {
    pub files: Files,
    /// Read instead of files: a stream that is open.
    pub opened: Option<Source>,
    /// Only so many of the last lines of each file.
    pub tail: Option<u64>,
    /// Files are followed instead of read to their end.
    pub following: Option<Following>,
    /// Streams that are read beside the followed files, or beside each other.
    pub beside: Option<Beside>,
    /// Directory for places and state; that of `following` goes before it.
    pub state: Option<PathBuf>,
    /// What is computed, for the state directory.
    pub purpose: Purpose,
    /// Where followed lines are appended, instead of `sink`.
    pub append: Option<Append>,
    pub zone: TimeZone,
    pub format: Option<Format>,
    /// What makes lines of UTF-8 out of the bytes of inputs that are not followed.
    pub prepare: Preparation,
    pub now: Time,
    pub live: bool,
    pub quiet: bool,
    /// How long the drain may take once the run is asked to end.
    pub grace: Duration,
    /// Mapper threads and bytes in flight.
    pub engine: (usize, usize),
    pub stop: Stop,
    pub sink: Option<Box<dyn Sink>>,
    /// Other files that the command writes.
    pub writes: Vec<PathBuf>,
    /// More sinks of lines.
    pub further: Vec<Further>,
    pub watcher: Box<dyn Watcher>,
    /// Of a run that may end only to go on with another plan.
    pub reload: Option<Reload>,
    /// Set while files are followed.
    pub ready: Arc<AtomicBool>,
}

/// Streams that a run reads, which outlive it if another goes on in the same process.
#[derive(Clone, Default)]
pub struct Beside {
    pub asked: Vec<Stream>,
    pub started: Arc<OnceLock<Arc<Mutex<Streams>>>>,
}

impl Beside {
    fn start(
        &self,
        settings: &reading::Settings,
        now: Time,
    ) -> Result<Arc<Mutex<Streams>>, Failure> {
        if let Some(started) = self.started.get() {
            return Ok(Arc::clone(started));
        }
        let streams = Streams::start(&self.asked, settings, now).map_err(|error| Failure {
            message: error.message,
            exit_code: error.exit_code,
        })?;
        let streams = Arc::new(Mutex::new(streams));
        Ok(Arc::clone(self.started.get_or_init(|| streams)))
    }

    /// The inputs that they count for: each keeps its number over a restart.
    fn inputs(&self, state: &mut State) -> Vec<SourceId> {
        let rows = self.asked.iter().map(|stream| {
            let inputs = &state.inputs;
            let known = inputs.iter().position(|input| input.name == stream.name);
            let row = known.unwrap_or(inputs.len());
            let row = SourceId(u32::try_from(row).expect("inputs are fewer than 2^32"));
            state.open(row, &stream.name);
            row
        });
        rows.collect()
    }
}

/// Ending and going on in the same process.
#[derive(Default)]
pub struct Reload {
    /// Set before the run is asked to stop, if another follows it.
    pub asked: Arc<AtomicBool>,
    /// What the run before knew, if no state directory holds it.
    pub carried: Option<Known>,
}

/// A file that followed lines are appended to.
pub struct Append {
    pub path: PathBuf,
    pub rotation: Option<Rotation>,
}

/// A stop that SIGINT and SIGTERM set.
pub fn stop() -> Result<Stop, Failure> {
    Stop::new()
        .and_then(|stop| stop.on_signals().map(|()| stop))
        .map_err(|error| Failure::io(format!("signals: {error}")))
}

/// Says what is probably a mistake, unless nobody wants to hear it.
pub fn say_notes(notes: &[String], quiet: bool) {
    if !quiet {
        notes.iter().for_each(|note| diagnostics::note(note));
    }
}

/// The conditions of `--fail-on` that are counted per record.
pub fn counted(check: Option<&Check>) -> Vec<Condition> {
    check.map_or(Vec::new(), |check| check.conditions().to_vec())
}

/// Runs the plan to the end of its inputs.
pub fn run(plan: Plan, mut start: Start, state: State) -> Result<Outcome, Failure> {
    if start.following.is_some() {
        return follow(plan, start, state);
    }
    let (threads, budget_bytes) = start.engine;
    let disk: Arc<dyn Disk> = Arc::new(Real);
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let place = start.state.clone();
    let faulted = place.as_deref().map(faulted);
    // A stream has no places to go back to: what a crash made of the output stays as it is.
    let opened = open(&mut start, place.as_deref(), state, &disk, &clock)?;
    let reader = Reader {
        inputs: match start.opened {
            Some(source) => vec![Input::Opened(source)],
            None => inputs(start.files.named, start.tail),
        },
        settings: reading::Settings {
            policy: Policy {
                multiline: plan.multiline.clone(),
                as_they_come: false,
                counts_lines: plan.needs_lines(),
                chunk_bytes: CHUNK_BYTES,
            },
            zone: start.zone,
            format: start.format,
            prepare: start.prepare,
            csv_header: csv::header_unless,
            live: start.live,
        },
        now: start.now,
    };
    let run = Run {
        plan: Arc::new(plan),
        reader: Reading::ToEnd(reader),
        threads,
        budget_bytes,
        sink: destination(opened.file, start.sink),
        store: opened.store,
        stop: start.stop,
        grace: start.live.then(|| grace(start.grace, false, None, None)),
        further: start.further,
        carries: None,
        watcher: start.watcher,
        faulted,
        say: diagnostics::note,
    };
    let outcome = engine::run(run, opened.known);
    let mut outcome = outcome.map_err(|error| Failure::io(format!("{error:#}")))?;
    outcome.problems.splice(0..0, start.files.refused);
    Ok(outcome)
}

/// What a run goes on from, and where its lines go.
struct Opened {
    store: Option<Store>,
    known: Known,
    /// Batches that are to be read again.
    replay: Vec<Mark>,
    /// The file that lines are appended to.
    file: Option<Appender>,
    /// Followed files have been looked at before.
    resumed: bool,
}

/// Opens the state directory, if there is one, and the output file.
fn open(
    start: &mut Start,
    place: Option<&Path>,
    mut state: State,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Opened, Failure> {
    let output = match (&start.append, &start.sink) {
        (Some(append), _) => AskedOutput::File(
            append.path.clone(),
            append.rotation.clone().unwrap_or_default(),
        ),
        (None, Some(_)) => AskedOutput::Plain,
        (None, None) => AskedOutput::Nothing,
    };
    let shape = state.shape.clone();
    let mut opened = match place {
        Some(path) => {
            let asked = Asked {
                disk: Arc::clone(disk),
                clock: Arc::clone(clock),
                path,
                purpose: start.purpose.text().to_owned(),
                output,
            };
            let ready =
                checkpoint::open_when_there_is_room(&asked, &state, &start.stop, diagnostics::note)
                    .map_err(|error| Failure {
                        message: error.text,
                        exit_code: error.exit_code,
                    })?;
            ready.notes.iter().for_each(|note| diagnostics::note(note));
            Opened {
                // Killed before it had looked at the files, a first start is still to be made.
                resumed: ready.resumed
                    && !(ready.known.places.is_empty() && ready.replay.is_empty()),
                store: Some(ready.store),
                known: ready.known,
                replay: ready.replay,
                file: ready.file,
            }
        }
        None => {
            let carried = start
                .reload
                .as_mut()
                .and_then(|reload| reload.carried.take());
            let file = match output {
                AskedOutput::File(path, rotation) => {
                    let (disk, clock) = (Arc::clone(disk), Arc::clone(clock));
                    let file = Appender::open(disk, clock, &path, rotation);
                    let fail = |error| Failure::io(format!("cannot write {error}"));
                    Some(file.map_err(fail)?)
                }
                _ => None,
            };
            let places = carried.as_ref().map(|known| &known.places);
            Opened {
                resumed: places.is_some_and(|places| !places.is_empty()),
                store: None,
                known: carried.unwrap_or_else(|| {
                    state.shape = shape.clone();
                    Known::from(state)
                }),
                replay: Vec::new(),
                file,
            }
        }
    };
    // What is computed may have changed since, for a run that keeps what did not.
    if opened.known.state.reshape(shape) {
        diagnostics::say("the groups of metrics have changed: their tables begin anew");
    }
    Ok(opened)
}

/// Follows the files until asked to stop; goes on from the state directory if there is one.
fn follow(plan: Plan, mut start: Start, state: State) -> Result<Outcome, Failure> {
    let following = start.following.take().expect("asked for by the caller");
    let (threads, budget_bytes) = start.engine;
    let disk: Arc<dyn Disk> = Arc::new(Real);
    let clock: Arc<dyn Clock> = Arc::new(System::new());
    let fail = |text: String| Failure::io(text);
    let place = following.state.clone().or_else(|| start.state.clone());
    let faulted = place.as_deref().map(faulted);
    let Opened {
        store,
        mut known,
        replay,
        file,
        resumed,
    } = open(&mut start, place.as_deref(), state, &disk, &clock)?;
    let resume = resumed.then(|| Resume {
        places: known.places.iter().cloned().collect(),
        replay,
    });
    let streams = match &start.beside {
        Some(beside) => {
            let settings = reading::Settings {
                policy: Policy {
                    multiline: plan.multiline.clone(),
                    as_they_come: false,
                    // A reload may ask for them, and they cost little.
                    counts_lines: true,
                    chunk_bytes: CHUNK_BYTES,
                },
                zone: start.zone.clone(),
                format: start.format,
                prepare: start.prepare.clone(),
                csv_header: csv::header_unless,
                live: true,
            };
            let streams = beside.start(&settings, start.now)?;
            Some((streams, beside.inputs(&mut known.state)))
        }
        None => None,
    };
    let further = start.further.iter();
    let further = further.filter_map(|sink| match &sink.destination {
        Destination::File(file) => Some(file.path().to_owned()),
        Destination::Plain(_) => None,
    });
    let first = start.append.iter().map(|append| append.path.clone());
    let outputs = first.chain(further).chain(start.writes).collect();
    let lines = plan.task.lines();
    let as_they_come = lines.is_some_and(|task| task.as_they_come);
    let settings = Settings {
        patterns: start.files.named,
        exclude: following.exclude,
        from: following.from,
        policy: Policy {
            multiline: plan.multiline.clone(),
            as_they_come,
            counts_lines: plan.needs_lines() || lines.is_some_and(|task| task.json),
            chunk_bytes: CHUNK_BYTES,
        },
        zone: start.zone,
        format: start.format,
        csv_header: csv::header_unless,
        files_open_max: descriptors::files_open_max(),
        refused: our_streams(),
        outputs,
        state: place,
        keeps_torn: store.is_some() || start.reload.is_some(),
        sources: known
            .state
            .inputs
            .iter()
            .map(|input| input.name.clone())
            .collect(),
    };
    let follows_files = streams.is_none() || !settings.patterns.is_empty();
    let hints: Box<dyn Hints> = if following.poll {
        Box::new(NoHints)
    } else {
        match Inotify::new() {
            Ok(inotify) => Box::new(inotify),
            Err(error) => {
                diagnostics::note(&format!(
                    "the kernel gives no hints of changes ({error}); files are polled"
                ));
                Box::new(NoHints)
            }
        }
    };
    let files = follows_files
        .then(|| Follower::new(settings, disk, Arc::clone(&clock), hints, resume))
        .transpose()
        .map_err(Failure::usage)?;
    let files = files.map(|files| Box::new(files) as Box<dyn sources::Follower>);
    let goes_on = start
        .reload
        .as_ref()
        .map(|reload| Arc::clone(&reload.asked));
    let reads_again = store.is_some() && streams.is_none();
    let follower = match (files, streams) {
        (files, Some((streams, sources))) => {
            let (clock, goes_on) = (Arc::clone(&clock), goes_on.clone());
            Box::new(Several::new(files, streams, sources, clock, goes_on))
        }
        (Some(files), None) => files,
        (None, None) => unreachable!("without streams files are followed"),
    };
    // On a terminal the signal says that the terminal is gone, and ends the run as it does any other.
    // A run that reloads hears it elsewhere.
    let hangup = (!io::stdout().is_terminal() && start.reload.is_none())
        .then(|| Hangup::new().and_then(|hangup| hangup.on_signal().map(|()| hangup)))
        .transpose()
        .map_err(|error| fail(format!("signals: {error}")))?;
    let systemd = Systemd::from_environment()
        .map_err(|error| fail(format!("NOTIFY_SOCKET: {error}")))?
        .map(Arc::new);
    let writes_to_stdout = start.append.is_none() && start.sink.is_some() && start.reload.is_none();
    let sink = destination(file, start.sink);
    let run = Run {
        plan: Arc::new(plan),
        reader: Reading::Follow(Follow {
            follower,
            clock,
            hangup,
            output: writes_to_stdout.then(output_to_look_at).flatten(),
            notes: Notes::new(diagnostics::try_say),
            quiet: start.quiet,
            systemd: systemd.clone(),
            ready: start.ready,
            resumes: follows_files,
        }),
        threads,
        budget_bytes,
        sink,
        store,
        stop: start.stop,
        grace: Some(grace(start.grace, reads_again, systemd, goes_on)),
        further: start.further,
        carries: start.reload.map(|reload| reload.asked),
        watcher: start.watcher,
        faulted,
        say: diagnostics::note,
    };
    engine::run(run, known).map_err(|error| Failure::io(format!("{error:#}")))
}

/// The file of the state directory for records that made us panic.
const FAULTED: &str = "faulted.ndjson";

/// When it is so long, in bytes, it is exchanged; the one before is kept.
const FAULTED_BYTES_MAX: u64 = 64 << 20;

/// A record that made us panic, as it stands in [`FAULTED`].
#[derive(Serialize)]
struct FaultedLine<'a> {
    at: String,
    source: &'a str,
    line: Option<u64>,
    offset: u64,
    reason: &'a str,
    record: String,
    /// The same bytes, if they are no UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_base64: Option<String>,
}

/// Puts records that made us panic into the state directory.
fn faulted(dir: &Path) -> (PathBuf, Put) {
    let lines = Lines::new(dir.join(FAULTED), FAULTED_BYTES_MAX);
    let path = lines.path().to_owned();
    let clock = System::new();
    let put = move |faulted: &Faulted<'_>| {
        let bytes = &faulted.fault.bytes;
        let encoded = || base64::engine::general_purpose::STANDARD.encode(bytes);
        let put = lines.append(&FaultedLine {
            at: Time(clock.wall_nanoseconds())
                .whole_milliseconds()
                .to_string(),
            source: faulted.source,
            line: faulted.line,
            offset: faulted.fault.offset,
            reason: &faulted.fault.reason,
            record: String::from_utf8_lossy(bytes).into_owned(),
            record_base64: std::str::from_utf8(bytes).is_err().then(encoded),
        });
        put.map(drop)
    };
    (path, Box::new(put))
}

/// The file, or else the sink.
fn destination(file: Option<Appender>, sink: Option<Box<dyn Sink>>) -> Option<Destination> {
    match file {
        Some(file) => Some(Destination::File(Box::new(file))),
        None => sink.map(Destination::Plain),
    }
}

/// Standard output and error when they are files: a pattern may match them.
fn our_streams() -> Vec<(Identity, String)> {
    let streams: [(&dyn AsFd, &str); 2] = [
        (&io::stdout(), "our own standard output"),
        (&io::stderr(), "our own standard error"),
    ];
    streams
        .into_iter()
        .filter_map(|(stream, name)| {
            let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
            let stat = DiskFile::stat(&file).ok()?;
            (stat.kind == Kind::Regular).then(|| (stat.identity, name.to_owned()))
        })
        .collect()
}

/// Ends a run that does not end within its grace time.
fn grace(
    grace: Duration,
    reads_again: bool,
    systemd: Option<Arc<Systemd>>,
    goes_on: Option<Arc<AtomicBool>>,
) -> Grace {
    Grace {
        grace,
        reads_again,
        systemd,
        goes_on,
        end: Box::new(grace::end),
    }
}

/// Standard input if no file is named.
fn inputs(mut files: Vec<OsString>, tail: Option<u64>) -> Vec<Input> {
    if files.is_empty() {
        files.push("-".into());
    }
    let input = |file| match tail {
        Some(lines) => Input::Tail(file, lines),
        None => Input::Named(file),
    };
    files.into_iter().map(input).collect()
}
