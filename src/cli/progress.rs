//! What a person at a terminal sees while a run goes on: a progress bar for long reads of files,
//! or the live report of `-f`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::Watcher;
use crate::state::State;

/// A read shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(800);

/// A bar on standard error, if that is a terminal and nobody asked for quiet.
pub struct Progress {
    bar: Option<ProgressBar>,
    started: Instant,
    total: u64,
    sized: bool,
}

impl Progress {
    pub fn new(quiet: bool) -> Progress {
        let wanted = !quiet && std::io::stderr().is_terminal();
        let bar = wanted.then(|| {
            let style = ProgressStyle::with_template(
                "{bar:30} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {eta}",
            )
            .expect("the template is a constant");
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden()).with_style(style)
        });
        Progress {
            bar,
            started: Instant::now(),
            total: 0,
            sized: true,
        }
    }
}

impl Watcher for Progress {
    fn interval(&self) -> Option<Duration> {
        self.bar.is_some().then_some(Duration::from_millis(100))
    }

    fn opened(&mut self, _name: &str, size: Option<u64>) {
        match size {
            Some(size) => self.total += size,
            None => self.sized = false,
        }
    }

    fn look(&mut self, state: &State) {
        let Some(bar) = &self.bar else { return };
        if !self.sized || self.started.elapsed() < PATIENCE {
            return;
        }
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_length(self.total);
        bar.set_position(state.ledger.bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
