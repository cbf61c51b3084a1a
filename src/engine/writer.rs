//! The writer thread: hands outputs to the sink in order and counts what it accepted (law 2).

use std::io;

use crossbeam_channel::Receiver;

use crate::engine::budget::Permit;
use crate::engine::failpoint::{self, Failpoint};
use crate::engine::signals::Stop;
use crate::flow::output::Output;
use crate::sinks::{Accepted, Sink};

/// How writing ended.
#[derive(Debug, Default)]
pub struct Written {
    /// `None` if no sink was asked for.
    pub accepted: Option<Accepted>,
    pub pipe_closed: bool,
    /// What stopped the writer, for the user.
    pub error: Option<String>,
}

/// Writes until the fold has no more, or the sink refuses; then reading stops as well.
pub fn write_all(
    mut sink: Box<dyn Sink>,
    outputs: &Receiver<(Output, Permit)>,
    stop: &Stop,
) -> Written {
    let mut accepted = Accepted::default();
    let mut result = Ok(());
    for (number, (output, _permit)) in outputs.iter().enumerate() {
        if failpoint::hit(Failpoint::Write, number as u64) {
            continue;
        }
        result = sink.write(&output);
        if result.is_err() {
            break;
        }
        accepted.records += output.records;
        accepted.bytes += output.bytes.len() as u64;
    }
    match result.and_then(|()| sink.finish()) {
        Ok(()) => Written {
            accepted: Some(accepted),
            ..Written::default()
        },
        Err(error) => {
            stop.ask();
            if error.kind() == io::ErrorKind::BrokenPipe {
                Written {
                    pipe_closed: true,
                    ..Written::default()
                }
            } else {
                Written {
                    error: Some(format!("cannot write: {error}")),
                    ..Written::default()
                }
            }
        }
    }
}
