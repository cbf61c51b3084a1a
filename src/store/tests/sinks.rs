//! More sinks than the one that the journal explains.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::writer::Further;
use crate::flow::output::Took;
use crate::sinks::Sink;
use crate::sinks::file::Appender;

/// A sink that keeps what it gets, until nobody reads it any more.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<(Vec<u8>, bool)>>);

impl Pipe {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }

    fn close(&self) {
        self.0.lock().unwrap().1 = true;
    }
}

impl Sink for Pipe {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut pipe = self.0.lock().unwrap();
        if pipe.1 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        pipe.0.extend_from_slice(lines);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An output whose second branch has other lines than the first.
fn branched(from: u64, to: u64, first: &str, second: &str) -> Output {
    Output {
        others: vec![second.as_bytes().to_vec()],
        ..output(from, to, first)
    }
}

impl Bench {
    fn second(&self) -> std::path::PathBuf {
        self.output.with_file_name("second")
    }

    fn further(&self, branch: usize, pipe: &Pipe) -> Vec<Further> {
        let (disk, clock) = (Arc::clone(&self.disk), Arc::clone(&self.clock));
        let rotation = Rotation::default();
        let mut file = Appender::open(disk, clock, &self.second(), rotation).unwrap();
        file.keep_lines_apart().unwrap();
        vec![
            Further {
                branch,
                destination: Destination::File(Box::new(file)),
            },
            Further {
                branch: 0,
                destination: Destination::Plain(Box::new(pipe.clone())),
            },
        ]
    }

    fn second_text(&self) -> String {
        String::from_utf8(std::fs::read(self.second()).unwrap()).unwrap()
    }
}

#[test]
fn each_sink_gets_the_lines_of_its_branch() {
    let bench = Bench::new();
    let pipe = Pipe::default();
    let (_ready, recorder) = bench.start();
    let mut recorder = recorder.with(bench.further(1, &pipe));
    put(&mut recorder, &branched(0, 4, "a\nb\n", "b\n"));
    put(&mut recorder, &branched(4, 6, "", "c\n"));
    assert_eq!(
        (bench.text(), bench.second_text(), pipe.text()),
        ("a\nb\n".into(), "b\nc\n".into(), "a\nb\n".into())
    );
    let took = |branch, bytes| Took { branch, bytes };
    assert_eq!(recorder.took(), [took(1, 4), took(0, 4)]);
}

#[test]
fn a_second_file_without_room_doubles_no_line_of_the_first() {
    let bench = Bench::new();
    let pipe = Pipe::default();
    let (_ready, recorder) = bench.start();
    let mut recorder = recorder.with(bench.further(0, &pipe));
    put(&mut recorder, &output(0, 2, "x\n"));
    let long = "abcdefgh\n".repeat(50);
    let mut write = |room| {
        bench.disk.set(|faults| faults.room = room);
        recorder.write(&output(2, 4, &long)).unwrap()
    };
    // Ever more room: for the journal, for the first file, and then a few bytes a time for the second.
    let mut room = 0;
    while bench.text().len() < 2 + long.len() {
        assert_eq!(write(Some(room)), Wrote::NoRoom);
        room += 1;
    }
    for _ in 0..20 {
        assert_eq!(write(Some(3)), Wrote::NoRoom);
    }
    assert_eq!(write(None), Wrote::All);
    let want = format!("x\n{long}");
    assert_eq!(
        (bench.text(), bench.second_text(), pipe.text()),
        (want.clone(), want.clone(), want)
    );
    let notes = recorder.notes();
    let of = |part: &str| notes.iter().filter(|note| note.contains(part)).count();
    assert_eq!((of("waiting"), of("room again")), (1, 1), "{notes:?}");
}

#[test]
fn a_reader_that_goes_leaves_the_other_sinks_theirs() {
    let bench = Bench::new();
    let pipe = Pipe::default();
    let (_ready, recorder) = bench.start();
    let mut recorder = recorder.with(bench.further(0, &pipe));
    put(&mut recorder, &output(0, 2, "a\n"));
    pipe.close();
    put(&mut recorder, &output(2, 4, "b\n"));
    put(&mut recorder, &output(4, 6, "c\n"));
    assert_eq!(
        (bench.text(), bench.second_text(), pipe.text()),
        ("a\nb\nc\n".into(), "a\nb\nc\n".into(), "a\n".into())
    );
    let notes = recorder.notes();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("the other sinks go on"));
    assert_eq!(recorder.took().len(), 1, "it is asked for nothing more");
}

#[test]
fn what_is_read_again_goes_to_the_second_file_again_and_no_line_is_torn() {
    let bench = Bench::new();
    let pipe = Pipe::default();
    let (ready, recorder) = bench.start();
    let mut recorder = recorder.with(bench.further(1, &pipe));
    put(&mut recorder, &branched(0, 4, "a\n", "one\n"));
    drop((ready, recorder));
    // A kill within the write of the second file.
    std::fs::write(bench.second(), "one\ntw").unwrap();
    let mut ready = bench.open().unwrap();
    let replay = std::mem::take(&mut ready.replay);
    assert_eq!(ends(&replay), [4]);
    let destination = Destination::File(Box::new(ready.file.take().unwrap()));
    let recorder = ready.store.recorder(destination, &ready.known);
    let mut recorder = recorder.with(bench.further(1, &pipe));
    let mut again = branched(0, 4, "a\n", "one\n");
    again.mark = Some(Box::new(replay.into_iter().next().unwrap()));
    put(&mut recorder, &again);
    put(&mut recorder, &branched(4, 6, "b\n", "two\n"));
    assert_eq!(bench.text(), "a\nb\n");
    assert_eq!(bench.second_text(), "one\ntw\none\ntwo\n");
}

#[test]
fn a_checkpoint_makes_every_file_durable() {
    let bench = Bench::new();
    let (_ready, recorder) = bench.start();
    let mut recorder = recorder.with(bench.further(1, &Pipe::default()));
    put(&mut recorder, &branched(0, 4, "a\n", "one\n"));
    let border = recorder.border(2).unwrap();
    assert_eq!(border.output.unwrap().length, 2, "the journal's alone");
    assert_eq!(border.unsynced.files.len(), 2);
    assert!(!border.unsynced.directories.is_empty());
}
