//! What becomes of everything that a run writes or tells when the process or the machine dies. Ending in
//! order loses nothing anywhere, so only a crash is spoken of.

use serde::Serialize;

use crate::plan::setup::Setup;
use crate::sources::file::From;

/// What holds for one path after a crash.
#[derive(Debug, Serialize)]
pub struct Promise {
    pub from: &'static str,
    pub to: String,
    pub after_a_crash: Kept,
    pub because: &'static str,
}

/// In the words that delivery is spoken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// As if there had been no crash.
    Exact,
    AtLeastOnce,
    AtMostOnce,
    /// Nothing of before is known.
    BeginsAnew,
}

impl Kept {
    pub fn name(self) -> &'static str {
        match self {
            Kept::Exact => "exact",
            Kept::AtLeastOnce => "at least once",
            Kept::AtMostOnce => "at most once",
            Kept::BeginsAnew => "begins anew",
        }
    }
}

/// How what was read before a crash can be had again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Files are read again from where the state directory says.
    FromPlaces,
    /// Files are read again from their first byte.
    FromStart,
    /// Files go on at their end.
    FromEnd,
    /// A stream is gone; what the state directory holds is as old as its last checkpoint.
    StreamWithState,
    Stream,
}

/// One promise for each way from where something comes to where it goes.
pub fn promises(setup: &Setup) -> Vec<Promise> {
    let origins = origins(setup).into_iter();
    origins
        .flat_map(|(from, again)| promises_of(setup, from, again))
        .collect()
}

fn promises_of(setup: &Setup, from: &'static str, again: Again) -> Vec<Promise> {
    let promise = |to: String, (after_a_crash, because): (Kept, &'static str)| Promise {
        from,
        to,
        after_a_crash,
        because,
    };
    let mut promises = Vec::new();
    for sink in &setup.lines {
        let kept = match sink.target.file() {
            Some(_) if sink.is_first => lines_to_a_file(again),
            Some(_) => lines_to_a_further_file(again),
            None => sent(again),
        };
        promises.push(promise(format!("lines, {}", sink.target.address()), kept));
    }
    for target in &setup.summaries {
        promises.push(promise(
            format!("summaries, {}", target.address()),
            sent(again),
        ));
    }
    for notifier in &setup.notifiers {
        promises.push(promise(format!("alerts, {}", notifier.name), told(again)));
    }
    promises.push(promise(
        "totals, states, sets, windows and alerts".to_owned(),
        known(again),
    ));
    promises
}

fn origins(setup: &Setup) -> Vec<(&'static str, Again)> {
    let has_state = setup.state_dir.is_some();
    let files = setup.sources.files.as_ref().map(|files| match files.from {
        _ if has_state => Again::FromPlaces,
        Some(From::Start) => Again::FromStart,
        _ => Again::FromEnd,
    });
    let streams = match &*setup.sources.streams {
        [] => None,
        [stream] => Some(stream.origin.subject()),
        _ => Some("streams"),
    };
    let files = files.map(|again| ("files", again));
    let streams = streams.map(|from| (from, stream(has_state)));
    files.into_iter().chain(streams).collect()
}

fn stream(has_state: bool) -> Again {
    if has_state {
        Again::StreamWithState
    } else {
        Again::Stream
    }
}

fn lines_to_a_file(again: Again) -> (Kept, &'static str) {
    match again {
        Again::FromPlaces => (
            Kept::Exact,
            "the file holds the bytes of a run without the crash, as far as its input can still be read",
        ),
        other => sent(other),
    }
}

fn lines_to_a_further_file(again: Again) -> (Kept, &'static str) {
    match again {
        Again::FromPlaces => (
            Kept::AtLeastOnce,
            "the journal is about the first file of lines; here what was written since the last checkpoint, \
             about a second, is written again",
        ),
        other => sent(other),
    }
}

fn sent(again: Again) -> (Kept, &'static str) {
    match again {
        Again::FromPlaces => (
            Kept::AtLeastOnce,
            "what went out since the last checkpoint, about a second, goes out again",
        ),
        Again::FromStart => (
            Kept::AtLeastOnce,
            "without a state directory files are read from their first byte again; [run] state_dir keeps places",
        ),
        Again::FromEnd => (
            Kept::AtMostOnce,
            "without a state directory a start goes on at the end of the files, and what was written to them \
             meanwhile is not read; [run] state_dir keeps places",
        ),
        Again::StreamWithState | Again::Stream => (
            Kept::AtMostOnce,
            "a stream cannot be read again: what was in flight is lost",
        ),
    }
}

fn told(again: Again) -> (Kept, &'static str) {
    match again {
        Again::FromPlaces => (
            Kept::AtLeastOnce,
            "what is not delivered yet stands in the state directory; each message keeps its id, by which a \
             receiver knows one that comes again",
        ),
        Again::StreamWithState => (
            Kept::AtMostOnce,
            "what is not delivered yet stands in the last checkpoint; the stream since then cannot be read again",
        ),
        Again::FromStart => (
            Kept::AtLeastOnce,
            "without a state directory files are read again, and alerts fire again with the same ids",
        ),
        Again::FromEnd | Again::Stream => (
            Kept::AtMostOnce,
            "without a state directory what is not delivered yet is lost; [run] state_dir keeps it",
        ),
    }
}

fn known(again: Again) -> (Kept, &'static str) {
    match again {
        Again::FromPlaces => (
            Kept::Exact,
            "what was read since the last checkpoint is read again, as far as it is still there; what is not is \
             counted and named",
        ),
        Again::StreamWithState => (
            Kept::AtMostOnce,
            "they are as of the last checkpoint, about a second before",
        ),
        Again::FromStart | Again::FromEnd | Again::Stream => (
            Kept::BeginsAnew,
            "without a state directory a start knows nothing; [run] state_dir keeps them",
        ),
    }
}
