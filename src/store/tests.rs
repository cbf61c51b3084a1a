//! The state directory, the file output and both together through the recorder, on a disk that can
//! be made to fail.

mod appender;
mod checkpoints;
mod faulty;
mod hostile;
mod journals;
mod limits;
mod recovery;
mod running;
mod sinks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Clock;
use crate::disk::{Disk, Identity};
use crate::engine::checkpoint::{Asked, AskedOutput, Ready, open};
use crate::engine::fold::Known;
use crate::engine::writer::{Recorder, Wrote};
use crate::flow::batch::SourceId;
use crate::flow::level::Level;
use crate::flow::mark::{Birth, Generation, Mark, Marker, Piece};
use crate::flow::output::Output;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::framing::Multiline;
use crate::plan::{Plan, ReportTask, Select, Task};
use crate::sinks::Destination;
use crate::sinks::file::Rotation;
use crate::state::{Shape, State};
use crate::store::StoreError;
use faulty::Faulty;

/// A clock that stands still until it is told to go on.
#[derive(Default)]
struct Hands(Mutex<Duration>);

impl Hands {
    fn advance(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Hands {
    fn wall_nanoseconds(&self) -> i64 {
        1_763_900_000_000_000_000 + i64::try_from(self.monotonic().as_nanos()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

/// A state directory and an output file in a folder of their own.
struct Bench {
    _folder: tempfile::TempDir,
    disk: Arc<Faulty>,
    clock: Arc<Hands>,
    state: PathBuf,
    output: PathBuf,
    rotation: Rotation,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        Bench {
            disk: Arc::new(Faulty::default()),
            clock: Arc::new(Hands::default()),
            state: folder.path().join("state"),
            output: folder.path().join("out"),
            rotation: Rotation::default(),
            _folder: folder,
        }
    }

    fn open(&self) -> Result<Ready, StoreError> {
        let asked = Asked {
            disk: Arc::clone(&self.disk) as Arc<dyn Disk>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            path: &self.state,
            purpose: "weir filter -m x".to_owned(),
            output: AskedOutput::File(self.output.clone(), self.rotation.clone()),
        };
        open(asked, state())
    }

    /// Opens and begins to record, as a run does.
    fn start(&self) -> (Ready, Recorder) {
        let mut ready = self.open().unwrap();
        let file = ready.file.take().unwrap();
        let destination = Destination::File(Box::new(file));
        let recorder = ready.store.recorder(destination, &ready.known);
        (ready, recorder)
    }

    fn text(&self) -> String {
        String::from_utf8(std::fs::read(&self.output).unwrap()).unwrap()
    }

    fn in_state(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }
}

fn state() -> State {
    let shape = Shape {
        list: Level::Warn,
        groupings: Vec::new(),
        zone: "UTC".to_owned(),
    };
    let mut state = State::new(shape, 0);
    state.open(SourceId(0), "a.log");
    state
}

/// The output of the batch that ends at `to` of a file.
fn output(from: u64, to: u64, text: &str) -> Output {
    let piece = Piece {
        generation: Generation(1),
        from,
        to,
    };
    Output {
        bytes: text.as_bytes().to_vec(),
        records: text.lines().count() as u64,
        mark: Some(Box::new(Mark {
            pieces: vec![piece],
            tail: Marker::of(text.as_bytes(), to),
            ..Mark::default()
        })),
        ..Output::default()
    }
}

fn birth(path: &Path, identity: Identity) -> Birth {
    use std::os::unix::ffi::OsStrExt;
    Birth {
        generation: Generation(1),
        source: SourceId(0),
        name: "a.log".into(),
        path: path.as_os_str().as_bytes().to_vec(),
        identity,
        anchor: Time(0),
        start: 0,
        open_from: None,
        after: None,
        before: None,
        head: Default::default(),
        tail: Default::default(),
    }
}

fn put(recorder: &mut Recorder, output: &Output) {
    assert_eq!(recorder.write(output).unwrap(), Wrote::All);
}

/// Where the pieces of marks end.
fn ends(marks: &[Mark]) -> Vec<u64> {
    marks
        .iter()
        .flat_map(|mark| mark.pieces.iter().map(|piece| piece.to))
        .collect()
}

fn known() -> Known {
    Known::from(state())
}

fn plan() -> Plan {
    Plan {
        select: Select::default(),
        wanted: Wanted::default(),
        multiline: Multiline::Auto,
        task: Task::Report(ReportTask {
            list: Level::Warn,
            metrics: Vec::new(),
            groupings: Vec::new(),
            statuses: false,
        }),
        conditions: Vec::new(),
        prefilter: true,
    }
}
