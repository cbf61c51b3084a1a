//! The program on the simulated disk, its threads taken apart into steps: follower → mapper → fold →
//! journal and output, and the checkpoint's way beside them. The dice say which step comes next, so
//! batches, outputs and checkpoints are in flight when a process dies.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use logweir::clock::Clock;
use logweir::disk::Disk;
use logweir::engine::checkpoint::{self, Asked, AskedOutput, Commit, Keeper};
use logweir::engine::fold::Fold;
use logweir::engine::mapper::Mapper;
use logweir::engine::writer::{Recorder, Wrote};
use logweir::flow::batch::Batch;
use logweir::flow::level::Level;
use logweir::flow::output::{Dedup, DedupMode, LinesTask, Output};
use logweir::flow::wanted::Wanted;
use logweir::framing::Multiline;
use logweir::framing::chunker::Policy;
use logweir::plan::{Plan, Select, Task};
use logweir::sinks::Destination;
use logweir::sinks::file::Rotation;
use logweir::sources::Follower as _;
use logweir::sources::follow::watch::NoHints;
use logweir::sources::follow::{Follower, From, Resume, Settings, Step};
use logweir::state::ledger::Ledger;
use logweir::state::{Shape, State};
use logweir::store::StateDir;
use logweir::store::checkpoint::Checkpoint;

use super::clock::SimClock;
use super::disk::SimDisk;
use super::random::Random;
use super::world::Trace;

pub const OUT: &str = "/out";
pub const OUTPUT: &str = "/out/lines.log";
pub const STATE: &str = "/state";

/// Batches, outputs and commits that wait, at most.
const FLIGHT_MAX: usize = 4;

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every line, as they come.
    Text,
    /// Every line, records whole: exact dedup, which finds no duplicates.
    Whole,
    /// JSON lines with the record in `raw`.
    Json,
}

/// How the program is started.
#[derive(Clone, Debug)]
pub struct Command {
    pub mode: Mode,
    pub multiline: bool,
    pub pattern: &'static str,
    pub chunk_bytes: usize,
    pub files_open_max: usize,
    pub rotation: Rotation,
}

impl Command {
    pub fn plan(&self) -> Plan {
        let json = self.mode == Mode::Json;
        let task = LinesTask {
            level: None,
            json,
            count: false,
            dedup: (self.mode == Mode::Whole).then_some(Dedup {
                mode: DedupMode::Exact,
                every: None,
            }),
            before: 0,
            after: 0,
            as_they_come: self.mode == Mode::Text,
        };
        Plan {
            select: Select::default(),
            wanted: Wanted {
                time: json,
                level: json,
                message: json,
                all: json,
                ..Wanted::default()
            },
            multiline: self.multiline(),
            task: Task::Lines(task),
            conditions: Vec::new(),
            prefilter: true,
        }
    }

    fn multiline(&self) -> Multiline {
        if self.multiline {
            Multiline::Auto
        } else {
            Multiline::Off
        }
    }
}

/// What waits for the writer.
enum Sent {
    Output(Output),
    Border(Box<Checkpoint>),
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    Something,
    /// Only time can help.
    Nothing,
    /// The process has ended with an error of the disk.
    Failed,
}

/// What a run counted when it ended well.
pub struct Ended {
    pub ledger: Ledger,
    /// Bytes that were there and could not be read, or not again after a kill.
    pub lost_bytes: u64,
}

pub struct Program<'p> {
    clock: SimClock,
    follower: Follower,
    mapper: Mapper<'p>,
    fold: Fold,
    keeper: Keeper,
    recorder: Recorder,
    dir: StateDir,
    batches: VecDeque<Batch>,
    sent: VecDeque<Sent>,
    commits: VecDeque<Commit>,
    /// The follower has nothing until then.
    idle_until: Duration,
    has_ended: bool,
    waits_for_room: bool,
    /// When the last batch came.
    pub busy: Duration,
    pub notes: Vec<String>,
    trace: Trace,
}

/// A step that may come next.
type Way<'p> = fn(&mut Program<'p>) -> Result<(), String>;

/// What a batch's mark says.
fn told(batch: &Batch) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let Some(mark) = &batch.mark else {
        return text;
    };
    for birth in &mark.births {
        let _ = write!(
            text,
            "birth of {} at {}+{} inode {}, ",
            birth.generation.0,
            birth.path().display(),
            birth.start,
            birth.identity.inode
        );
    }
    for (generation, fate) in &mark.fates {
        let _ = write!(text, "{} {fate:?}, ", generation.0);
    }
    let pieces: Vec<String> = mark
        .pieces
        .iter()
        .map(|piece| format!("{}:{}..{}", piece.generation.0, piece.from, piece.to))
        .collect();
    let _ = write!(
        text,
        "{:?} [{}], {} of context{}{}",
        mark.kind,
        pieces.join(" "),
        mark.context_bytes,
        if mark.replayed { ", replayed" } else { "" },
        if mark.urgent { ", urgent" } else { "" }
    );
    text
}

impl<'p> Program<'p> {
    /// As the command does it; an error is what it ends with.
    pub fn start(
        command: &Command,
        plan: &'p Plan,
        disk: SimDisk,
        clock: SimClock,
        trace: Trace,
    ) -> Result<Program<'p>, String> {
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let shape = Shape {
            list: Level::Warn,
            groupings: Vec::new(),
            zone: "UTC".to_owned(),
        };
        let asked = Asked {
            disk: Arc::clone(&disk),
            clock: Arc::new(clock.clone()),
            path: Path::new(STATE),
            purpose: format!("{:?}", command.mode),
            output: AskedOutput::File(OUTPUT.into(), command.rotation.clone()),
        };
        let mut ready =
            checkpoint::open(asked, State::new(shape, 0)).map_err(|error| error.text)?;
        let settings = Settings {
            patterns: vec![command.pattern.into()],
            exclude: Vec::new(),
            from: From::Start,
            policy: Policy {
                multiline: command.multiline(),
                as_they_come: command.mode == Mode::Text,
                counts_lines: command.mode == Mode::Json,
                chunk_bytes: command.chunk_bytes,
            },
            zone: TimeZone::UTC,
            format: None,
            csv_header: |_, _| None,
            files_open_max: command.files_open_max,
            refused: Vec::new(),
            outputs: Vec::new(),
            state: None,
            keeps_torn: true,
            sources: ready
                .known
                .state
                .inputs
                .iter()
                .map(|input| input.name.clone())
                .collect(),
        };
        let resume = ready.resumed.then(|| Resume {
            places: ready.known.places.iter().cloned().collect(),
            replay: std::mem::take(&mut ready.replay),
        });
        let file = ready.file.expect("a file was asked for");
        let recorder = ready
            .store
            .recorder(Destination::File(Box::new(file)), &ready.known);
        let follower = Follower::new(
            settings,
            disk,
            Arc::new(clock.clone()),
            Box::new(NoHints),
            resume,
        )?;
        let now = clock.monotonic();
        Ok(Program {
            follower,
            mapper: Mapper::new(plan),
            fold: Fold::new(plan, ready.known),
            keeper: ready.store.keeper,
            recorder,
            dir: ready.store.dir,
            batches: VecDeque::new(),
            sent: VecDeque::new(),
            commits: VecDeque::new(),
            idle_until: now,
            has_ended: false,
            waits_for_room: false,
            busy: now,
            notes: ready.notes,
            trace,
            clock,
        })
    }

    /// One step of some thread.
    pub fn step(&mut self, random: &mut Random) -> Stepped {
        let now = self.clock.monotonic();
        let mut ways: [Option<Way<'p>>; 5] = [None; 5];
        if !self.has_ended && self.batches.len() < FLIGHT_MAX && now >= self.idle_until {
            ways[0] = Some(Self::follow);
        }
        if !self.batches.is_empty() && self.sent.len() < FLIGHT_MAX {
            ways[1] = Some(Self::fold);
        }
        if !self.sent.is_empty() && !self.waits_for_room {
            ways[2] = Some(Self::write);
        }
        if !self.commits.is_empty() {
            ways[3] = Some(Self::commit);
        }
        if self.keeper.is_due() {
            ways[4] = Some(Self::begin);
        }
        let count = ways.iter().flatten().count();
        if count == 0 {
            self.waits_for_room = false;
            return Stepped::Nothing;
        }
        let way = ways
            .into_iter()
            .flatten()
            .nth(random.place(count))
            .expect("there are so many");
        match way(self) {
            Ok(()) => Stepped::Something,
            Err(error) => {
                self.notes.push(error);
                Stepped::Failed
            }
        }
    }

    fn follow(&mut self) -> Result<(), String> {
        match self.follower.step() {
            Step::Batch(batch) => {
                self.busy = self.clock.monotonic();
                if self.trace.is_on() {
                    self.trace.add(format!("    batch: {}", told(&batch)));
                }
                self.batches.push_back(batch);
            }
            Step::Idle { until } => self.idle_until = until,
            Step::End => self.has_ended = true,
        }
        let notes = self.follower.notes();
        self.notes.extend(notes.into_iter().map(|note| note.text));
        Ok(())
    }

    fn fold(&mut self) -> Result<(), String> {
        let mut batch = self.batches.pop_front().expect("somebody looked");
        let mut mapped = self.mapper.map(&batch);
        mapped.mark = batch.mark.take();
        if let Some(buffer) = Mapper::release(batch.content, &mut mapped) {
            self.follower.give_back(buffer);
        }
        let output = self.fold.absorb(&mut mapped);
        self.keeper.absorbed(output.mark.as_deref());
        self.sent.push_back(Sent::Output(output));
        Ok(())
    }

    /// The fold begins a checkpoint.
    fn begin(&mut self) -> Result<(), String> {
        let checkpoint = self.keeper.begin(&mut self.fold);
        self.sent.push_back(Sent::Border(Box::new(checkpoint)));
        Ok(())
    }

    fn write(&mut self) -> Result<(), String> {
        let result = match self.sent.pop_front().expect("somebody looked") {
            Sent::Output(output) => match self.recorder.write(&output) {
                Ok(Wrote::All) => Ok(()),
                Ok(Wrote::NoRoom) => {
                    self.sent.push_front(Sent::Output(output));
                    self.waits_for_room = true;
                    Ok(())
                }
                Err(error) => Err(format!("cannot write: {error}")),
            },
            Sent::Border(checkpoint) => {
                let border = self.recorder.border(checkpoint.number);
                self.commits.push_back(Commit { checkpoint, border });
                Ok(())
            }
        };
        self.notes.extend(self.recorder.notes());
        result
    }

    fn commit(&mut self) -> Result<(), String> {
        let commit = self.commits.pop_front().expect("somebody looked");
        let done = commit.run(&mut self.dir, &self.clock);
        self.notes.extend(self.keeper.end(done)?);
        Ok(())
    }

    /// When somebody has to look again.
    pub fn until(&self) -> Duration {
        let now = self.clock.monotonic();
        let keeper = self.keeper.wait().map(|wait| now + wait);
        self.idle_until.min(keeper.unwrap_or(Duration::MAX))
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.sent.is_empty() && self.commits.is_empty()
    }

    pub fn reopen(&mut self) {
        self.follower.reopen();
        self.idle_until = Duration::ZERO;
    }

    pub fn finish(&mut self) {
        self.follower.finish();
        self.idle_until = Duration::ZERO;
    }

    pub fn has_finished(&self) -> bool {
        self.has_ended && self.is_empty()
    }

    /// The last things that a run does.
    pub fn close(mut self) -> Result<Ended, String> {
        let output = self.fold.finish();
        self.keeper.absorbed(None);
        self.sent.push_back(Sent::Output(output));
        self.begin()?;
        while !self.sent.is_empty() {
            self.write()?;
            if self.waits_for_room {
                return Err("no room at the end".to_owned());
            }
        }
        while !self.commits.is_empty() {
            self.commit()?;
        }
        self.recorder.finish().map_err(|error| error.to_string())?;
        let accepted = self.recorder.accepted();
        let state = self.fold.close(self.follower.bytes(), Some(accepted), &[]);
        Ok(Ended {
            ledger: state.ledger,
            lost_bytes: state.losses.lost_bytes(),
        })
    }
}
