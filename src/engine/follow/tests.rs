use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::clock::System;
use crate::engine::budget::{Budget, Permit};
use crate::flow::batch::{Content, SourceId};
use crate::flow::chunk::Chunk;
use crate::flow::facts::Facts;
use crate::flow::mark::Mark;
use crate::flow::time::Time;
use crate::process::systemd::tests::{manager, message};
use crate::sources::follow::Note;
use crate::stop::Stop;

/// Long enough for a machine under any load; nothing waits so long unless it is wrong.
const LONG: Duration = Duration::from_secs(20);

/// Does what it is told, and tells what it is asked.
struct Fake {
    steps: VecDeque<Step>,
    notes: Vec<Note>,
    hints: UnixStream,
    calls: Sender<String>,
    finishing: bool,
    reopens: bool,
    sequence: u64,
}

impl Fake {
    fn tell(&self, call: impl Into<String>) {
        let _ = self.calls.send(call.into());
    }
}

impl Follower for Fake {
    fn step(&mut self) -> Step {
        let mut step = if std::mem::take(&mut self.reopens) {
            let mut batch = batch(0);
            batch.mark = Some(Box::new(Mark {
                reopen: true,
                ..Mark::default()
            }));
            Step::Batch(batch)
        } else if let Some(step) = self.steps.pop_front() {
            step
        } else if self.finishing {
            Step::End
        } else {
            Step::Idle {
                until: Duration::MAX,
            }
        };
        match &mut step {
            Step::Batch(batch) => {
                batch.sequence = self.sequence;
                self.sequence += 1;
                self.tell("batch");
            }
            Step::Idle { .. } => {
                let mut bytes = [0; 8];
                if let Ok(count) = io::Read::read(&mut self.hints, &mut bytes) {
                    self.tell(format!("hints {count}"));
                }
                self.tell("idle");
            }
            Step::End => self.tell("end"),
        }
        step
    }

    fn finish(&mut self) {
        self.finishing = true;
        self.tell("finish");
    }

    fn reopen(&mut self) {
        self.reopens = true;
        self.tell("reopen");
    }

    fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    fn give_back(&mut self, buffer: Vec<u8>) {
        self.tell(format!("back {}", buffer.len()));
    }

    fn bytes(&self) -> u64 {
        4711
    }

    fn hints_descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.hints.as_fd())
    }
}

fn batch(length: usize) -> Batch {
    Batch {
        sequence: 0,
        source: SourceId(0),
        name: "a".into(),
        facts: Arc::new(Facts {
            zone: jiff::tz::TimeZone::UTC,
            anchor: Time(0),
            format: None,
            csv: None,
        }),
        position: 0,
        lines_before: 0,
        content: Content::Read(Chunk::new(vec![b'\n'; length], length)),
        header_bytes: 0,
        cut_bytes: 0,
        context_bytes: 0,
        before: Vec::new(),
        mark: None,
    }
}

/// A thread that follows, and what stands around it.
struct Stage {
    calls: mpsc::Receiver<String>,
    hints: UnixStream,
    stop: Stop,
    budget: Arc<Budget>,
    batches: Receiver<(Batch, Permit)>,
    buffers: crossbeam_channel::Sender<Vec<u8>>,
    said: Arc<Mutex<Vec<String>>>,
    thread: JoinHandle<ReadReport>,
}

fn stage(steps: Vec<Step>, notes: Vec<Note>, change: impl FnOnce(&mut Follow)) -> Stage {
    let (tell, calls) = mpsc::channel();
    let (ours, hints) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&said);
    let fake = Fake {
        steps: steps.into(),
        notes,
        hints: ours,
        calls: tell,
        finishing: false,
        reopens: false,
        sequence: 0,
    };
    let mut follow = Follow {
        follower: Box::new(fake),
        clock: Arc::new(System::new()),
        hangup: None,
        output: None,
        notes: Notes::new(move |text| {
            sink.lock().unwrap().push(text.to_owned());
            true
        }),
        quiet: false,
        systemd: None,
        ready: Arc::default(),
        resumes: true,
    };
    change(&mut follow);
    let (batches_in, batches) = unbounded();
    let (buffers_in, buffers) = unbounded();
    let stop = Stop::new().unwrap();
    let budget = Budget::new(4000);
    let outlet = Outlet {
        batches: batches_in,
        opened: unbounded().0,
        buffers,
        budget: Arc::clone(&budget),
        stop: stop.clone(),
        idle: Arc::default(),
    };
    Stage {
        calls,
        hints,
        stop,
        budget,
        batches,
        buffers: buffers_in,
        said,
        thread: thread::spawn(move || follow.run(&outlet)),
    }
}

impl Stage {
    #[track_caller]
    fn expect(&self, want: &[&str]) {
        for want in want {
            assert_eq!(&self.calls.recv_timeout(LONG).unwrap(), want);
        }
    }

    fn end(self) -> ReadReport {
        self.stop.ask();
        self.expect(&["finish", "end"]);
        let report = self.thread.join().unwrap();
        assert!(report.finished && report.bytes == 4711);
        report
    }
}

#[test]
fn hands_batches_on_as_the_budget_allows_and_gives_buffers_back() {
    let steps = [3000, 2000, 100].map(|length| Step::Batch(batch(length)));
    let stage = stage(steps.into(), Vec::new(), |_| {});
    let (first, permit) = stage.batches.recv_timeout(LONG).unwrap();
    assert_eq!((first.sequence, first.content.len()), (0, 3000));
    stage.expect(&["batch", "batch"]);
    // The second one waits for the first one's permit.
    assert!(stage.batches.try_recv().is_err());
    assert_eq!(stage.budget.way().unwritten_bytes, 3000);
    stage.buffers.send(vec![0; 3000]).unwrap();
    drop(permit);
    let (second, permit) = stage.batches.recv_timeout(LONG).unwrap();
    assert_eq!((second.sequence, second.content.len()), (1, 2000));
    drop(permit);
    let (third, _permit) = stage.batches.recv_timeout(LONG).unwrap();
    assert_eq!(third.sequence, 2);
    stage.expect(&["back 3000", "batch", "idle"]);
    assert_eq!(stage.budget.way().unwritten_bytes, 100);
    assert_eq!(stage.end().problems, []);
}

#[test]
fn a_quiet_run_lets_buffers_go() {
    let stage = stage(vec![Step::Batch(batch(100))], Vec::new(), |_| {});
    stage.expect(&["batch", "idle"]);
    let (_, permit) = stage.batches.recv_timeout(LONG).unwrap();
    stage.buffers.send(vec![0; 100]).unwrap();
    drop(permit);
    // It looks again since a batch was on its way; the follower does not get the buffer.
    stage.expect(&["idle"]);
    assert!(stage.buffers.is_empty());
    // And then it sleeps for good.
    let more = stage.calls.recv_timeout(TRIM * 3);
    assert!(more.is_err(), "{more:?}");
    stage.end();
}

#[test]
fn wakes_for_hints_and_hangups_and_stops_and_for_nothing_else() {
    let hangup = Hangup::new().unwrap();
    let also = hangup.clone();
    let stage = stage(Vec::new(), Vec::new(), |follow| follow.hangup = Some(also));
    stage.expect(&["idle"]);
    (&stage.hints).write_all(b"ab").unwrap();
    stage.expect(&["hints 2", "idle"]);
    (&stage.hints).write_all(b"abc").unwrap();
    stage.expect(&["hints 3", "idle"]);
    hangup.send();
    stage.expect(&["reopen", "batch", "idle"]);
    assert!(stage.calls.try_recv().is_err());
    assert_eq!(stage.end().problems, []);
}

#[test]
fn a_reload_is_done_when_its_batch_is() {
    let (manager, systemd) = manager(None);
    let hangup = Hangup::new().unwrap();
    let also = hangup.clone();
    let stage = stage(Vec::new(), Vec::new(), move |follow| {
        follow.systemd = Some(Arc::new(systemd));
        follow.hangup = Some(also);
    });
    stage.expect(&["idle"]);
    assert_eq!(message(&manager), "READY=1");
    for _ in 0..3 {
        hangup.send();
        stage.expect(&["reopen", "batch", "idle"]);
        let text = message(&manager);
        assert!(text.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{text}");
        let (batch, permit) = stage.batches.recv_timeout(LONG).unwrap();
        assert!(batch.mark.unwrap().reopen);
        manager.set_nonblocking(true).unwrap();
        assert!(manager.recv(&mut [0; 64]).is_err());
        manager.set_nonblocking(false).unwrap();
        drop(permit);
        assert_eq!(message(&manager), "READY=1");
    }
    assert_eq!(stage.end().problems, []);
}

#[test]
fn ends_when_nobody_reads_the_output_any_more() {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let stage = stage(Vec::new(), Vec::new(), |follow| follow.output = Some(write));
    stage.expect(&["idle"]);
    assert!(!stage.stop.asked());
    drop(read);
    stage.expect(&["finish", "end"]);
    assert!(stage.stop.asked() && stage.thread.join().unwrap().finished);
}

#[test]
fn says_notes_and_only_problems_when_it_is_to_be_quiet() {
    for (quiet, want) in [
        (false, vec!["found a", "a is a FIFO"]),
        (true, vec!["a is a FIFO"]),
    ] {
        let notes = [("found a", false), ("a is a FIFO", true)].map(|(text, is_problem)| Note {
            text: text.to_owned(),
            is_problem,
        });
        let stage = stage(Vec::new(), notes.into(), |follow| follow.quiet = quiet);
        let said = Arc::clone(&stage.said);
        stage.expect(&["idle"]);
        stage.end();
        assert_eq!(*said.lock().unwrap(), want);
    }
}

#[test]
fn a_stop_ends_it_when_nobody_takes_batches() {
    let stage = stage(vec![Step::Batch(batch(1))], Vec::new(), |_| {});
    let Stage {
        batches, thread, ..
    } = stage;
    drop(batches);
    // It may have sent before; then it is idle and hears the stop.
    stage.stop.ask();
    assert!(thread.join().unwrap().finished);
}
