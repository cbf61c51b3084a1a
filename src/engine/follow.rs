//! The thread that drives the follower: hands its batches on as the budget allows, sleeps when there is
//! nothing to do, and passes on what signals ask for. What a followed file is, it does not know.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::clock::Clock;
use crate::engine::budget::BATCH_BYTES;
use crate::engine::grace::timespec;
use crate::engine::reader::{Outlet, ReadReport};
use crate::failpoint::{self, Failpoint};
use crate::flow::batch::Batch;
use crate::process::diagnostics::Notes;
use crate::process::signals::Hangup;
use crate::process::systemd::Systemd;
use crate::sources::Follower;
use crate::sources::follow::Step;

/// How long after the last batch the buffers that came back are let go, so that a quiet run holds
/// none of what it needed under load.
const TRIM: Duration = Duration::from_millis(200);

/// Following, ready to start.
pub struct Follow {
    pub follower: Box<dyn Follower>,
    pub clock: Arc<dyn Clock>,
    /// `None` if there is nothing to open anew.
    pub hangup: Option<Hangup>,
    /// [`output_to_look_at`] if the output goes there: when nobody reads it any more the run ends, also
    /// if there is nothing to write.
    pub output: Option<OwnedFd>,
    pub notes: Notes,
    /// Only problems are said.
    pub quiet: bool,
    pub systemd: Option<Arc<Systemd>>,
    /// Set from the first look at the files until the run is asked to end.
    pub ready: Arc<AtomicBool>,
    /// A next start goes on from here, so what waits for more input waits for that.
    pub resumes: bool,
}

/// Standard output, if it is one whose reader can go away for good: a pipe or a terminal. The sockets
/// that service managers give come back.
pub fn output_to_look_at() -> Option<OwnedFd> {
    let output = io::stdout();
    let stat = rustix::fs::fstat(&output).ok()?;
    let is_pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
    let looked_at = is_pipe || rustix::termios::isatty(&output);
    looked_at
        .then(|| output.as_fd().try_clone_to_owned().ok())
        .flatten()
}

impl Follow {
    /// Follows until asked to stop, or until nobody takes batches any more.
    pub fn run(mut self, outlet: &Outlet) -> ReadReport {
        let mut report = ReadReport::default();
        if let Err(error) = self.all(outlet) {
            report.problems.push((format!("cannot wait: {error}"), 74));
        }
        self.notes.finish();
        report.problems.extend(self.follower.problems());
        report.bytes = self.follower.bytes();
        report.finished = true;
        report
    }

    fn all(&mut self, outlet: &Outlet) -> io::Result<()> {
        let mut finishing = false;
        let mut is_ready = false;
        // Batches that a test made us lose; the numbers of the others close up.
        let mut lost = 0;
        let mut handed_out = 0;
        loop {
            if !finishing && outlet.stop.asked() {
                self.follower.finish();
                self.ready.store(false, Ordering::Relaxed);
                finishing = true;
            }
            if self.hangup.as_ref().is_some_and(Hangup::came) {
                if let Some(systemd) = &self.systemd {
                    systemd.reloading();
                }
                self.follower.reopen();
            }
            for buffer in outlet.buffers.try_iter() {
                self.follower.give_back(buffer);
            }
            let step = self.follower.step();
            self.say();
            // The first step has looked for the files.
            if !std::mem::replace(&mut is_ready, true) {
                self.ready.store(!finishing, Ordering::Relaxed);
                if let Some(systemd) = &self.systemd {
                    systemd.ready();
                }
            }
            match step {
                Step::Batch(mut batch) => {
                    outlet.idle.store(0, Ordering::Release);
                    if failpoint::hit(Failpoint::Batch, batch.sequence) {
                        lost += 1;
                        continue;
                    }
                    batch.sequence -= lost;
                    handed_out = batch.sequence + 1;
                    if !self.send(batch, outlet) {
                        return Ok(());
                    }
                }
                Step::Idle { until } => {
                    outlet.idle.store(handed_out + 1, Ordering::Release);
                    self.idle(until, finishing, outlet)?;
                }
                Step::End => return Ok(()),
            }
        }
    }

    /// Waits for the budget and hands the batch on; false when nobody takes it.
    fn send(&self, batch: Batch, outlet: &Outlet) -> bool {
        let length = batch.content.len() as u64 + batch.cut_bytes;
        let new = length.saturating_sub(batch.context_bytes as u64);
        let permit = outlet.budget.take(batch.content.capacity() + BATCH_BYTES);
        let mut permit = permit.of(new);
        if batch.mark.as_ref().is_some_and(|mark| mark.reopen)
            && let Some(systemd) = self.systemd.clone()
        {
            // The old files are not written to any more when this batch is done.
            permit = permit.then(move || systemd.ready());
        }
        outlet.batches.send((batch, permit)).is_ok()
    }

    /// Sleeps until the follower has something to do or a signal comes.
    fn idle(&mut self, until: Duration, finishing: bool, outlet: &Outlet) -> io::Result<()> {
        let now = self.clock.monotonic();
        let in_flight = outlet.budget.way().unwritten_bytes > 0 || !outlet.buffers.is_empty();
        let trim = in_flight.then_some(now + TRIM);
        let until = [Some(until), self.notes.due(), trim];
        let until = until.into_iter().flatten().min().unwrap_or(now);
        let timeout = timespec(until.saturating_sub(now));

        let none = PollFlags::empty();
        let mut polled = Vec::with_capacity(5);
        let hints = self.follower.hints_descriptor();
        let hints = hints.into_iter().chain(self.follower.streams_descriptor());
        polled.extend(hints.map(|hints| PollFd::from_borrowed_fd(hints, PollFlags::IN)));
        let hangup_place = polled.len();
        let hangup = self.hangup.as_ref().map(Hangup::descriptor);
        polled.extend(hangup.map(|hangup| PollFd::from_borrowed_fd(hangup, PollFlags::IN)));
        // The stop stays readable; once it is heard it would end every wait at once.
        if !finishing {
            let stop = outlet.stop.descriptor();
            polled.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
            // A pipe that nobody reads is told of without being asked.
            polled.extend(self.output.iter().map(|output| PollFd::new(output, none)));
        }
        let woken = match poll(&mut polled, Some(&timeout)) {
            Ok(count) => count > 0,
            Err(Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        };
        if let Some(hangup) = &self.hangup
            && !polled[hangup_place].revents().is_empty()
        {
            hangup.heard();
        }
        let gone = PollFlags::ERR | PollFlags::HUP;
        let output_gone = !finishing
            && self.output.is_some()
            && polled
                .last()
                .is_some_and(|last| last.revents().intersects(gone));
        drop(polled);
        if output_gone {
            outlet.stop.ask();
        }
        let now = self.clock.monotonic();
        self.notes.tell_left_out(now);
        if !woken && trim.is_some_and(|trim| now >= trim) {
            outlet.buffers.try_iter().for_each(drop);
        }
        Ok(())
    }

    fn say(&mut self) {
        let notes = self.follower.notes();
        if notes.is_empty() {
            return;
        }
        let now = self.clock.monotonic();
        for note in notes {
            if note.is_problem || !self.quiet {
                self.notes.put(&note.text, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
