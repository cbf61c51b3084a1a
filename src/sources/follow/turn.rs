//! A file's turn: it is opened if it has to be, read once, and what can go out goes out. One read a
//! turn keeps a busy file from holding up the others.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Kind, Stat};
use crate::flow::mark::{self, Fate, Generation};
use crate::framing::chunker::Why;
use crate::sources::Follower as _;
use crate::sources::follow::decoded::Decoded;
use crate::sources::follow::followed::{Followed, Phase, Read};
use crate::sources::follow::handle::Handle;
use crate::sources::follow::{
    FAILING, FAILURES, Follower, GONE, Note, PATIENCE, POLL, QUIET, RESTLESS, SETTLED, TIMED, TORN,
    patterns,
};

impl Follower {
    pub(super) fn turn(&mut self, generation: Generation, now: Duration) {
        let Some(file) = self.files.get(&generation) else {
            return;
        };
        match file.phase {
            Phase::Open => {}
            Phase::CopyOf(_) => return self.check_copy(generation, now),
            Phase::Waiting => {
                self.timed.insert(generation);
                return;
            }
            Phase::Ended => return,
        }
        let is_unsettled = file.is_unsettled;
        if let Some(file) = self.files.get_mut(&generation) {
            file.looked_at = now;
            file.failures = file.failures.saturating_add(u32::from(file.is_failing));
        }
        if is_unsettled {
            match self.settle(generation, now) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.failing(generation, &error, now),
            }
        }
        let is_unchecked = self
            .files
            .get(&generation)
            .is_some_and(|file| file.is_unchecked);
        if is_unchecked && !self.check_fresh(generation, now) {
            return;
        }
        self.take_over_rest(generation);
        match self.read(generation) {
            Ok(Some(read)) => self.after_read(generation, read, now),
            // It is found again by a scan, or it is let go when its time has come.
            Ok(None) => {
                self.timed.insert(generation);
            }
            Err(error) => self.failing(generation, &error, now),
        }
    }

    /// Reads once; `None` if there is no way to the file at present.
    fn read(&mut self, generation: Generation) -> io::Result<Option<Read>> {
        if !self.open(generation)? {
            return Ok(None);
        }
        let file = self.files.get_mut(&generation).expect("its turn it is");
        self.uses += 1;
        file.used = self.uses;
        let read = file.read(&self.settings.policy, &mut self.spare)?;
        file.is_failing = false;
        file.failures = 0;
        Ok(Some(read))
    }

    fn after_read(&mut self, generation: Generation, read: Read, now: Duration) {
        let file = self.files.get_mut(&generation).expect("it was just read");
        match read {
            Read::Bytes { full } => {
                file.read_at = now;
                file.caught_up = false;
                let why = if full { Why::Full } else { Why::CaughtUp };
                self.flush(generation, why);
                self.ready(generation);
                self.rest(generation);
            }
            Read::Nothing => {
                let was_caught_up = std::mem::replace(&mut file.caught_up, true);
                // What a full buffer held back because more was expected at once.
                self.flush(generation, Why::CaughtUp);
                if self.files[&generation].is_compressed() {
                    self.flush(generation, Why::End);
                    self.end(generation);
                    if let Some(file) = self.files.get_mut(&generation) {
                        file.is_finished_archive = true;
                        let stat = file
                            .path
                            .as_ref()
                            .and_then(|path| self.disk.stat(path).ok());
                        if let Some(stat) = stat {
                            (file.length, file.modified) = (stat.length, stat.modified);
                        }
                    }
                    return self.start_younger(generation, now);
                }
                let file = &self.files[&generation];
                let waits = file.holds_bytes() || file.path.is_none() || self.is_rotated(file);
                if waits {
                    self.timed.insert(generation);
                } else if was_caught_up && !file.is_polled {
                    // A hint without bytes: perhaps a new name.
                    self.scan_by(now + POLL / 2);
                }
                self.rest(generation);
                self.start_younger(generation, now);
            }
            Read::Hole(until) => {
                self.flush(generation, Why::End);
                let file = self.files.get_mut(&generation).expect("it was just read");
                let piece = file.skip_to(until);
                self.hand_out_nothing(generation, piece, mark::Kind::Skipped);
                self.ready(generation);
            }
            Read::Changed => self.truncated(generation, now),
        }
    }

    /// Gives a large buffer back.
    fn rest(&mut self, generation: Generation) {
        let file = self.files.get_mut(&generation);
        if let Some(buffer) = file.and_then(|file| file.shrink()) {
            self.give_back(buffer);
        }
    }

    /// Whether the file was moved away from the name under which it was found.
    pub(super) fn is_rotated(&self, file: &Followed) -> bool {
        file.path
            .as_deref()
            .is_none_or(|path| path != file.place.birth.path())
    }

    /// An error of reading: said once, and tried again.
    pub(super) fn failing(&mut self, generation: Generation, error: &io::Error, now: Duration) {
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        if !std::mem::replace(&mut file.is_failing, true) {
            let text = format!(
                "{}: cannot read at byte {}: {error}; tried again until it works",
                file.place.birth.name,
                file.front()
            );
            self.notes.push(Note {
                text,
                is_problem: true,
            });
        }
        // A new descriptor may do where this one is stale; the offset stays.
        if file.path.is_some() && file.handle.take().is_some() {
            self.handles -= 1;
        }
        self.timed.insert(generation);
        self.scan_by(now + POLL);
    }

    /// Opens the file if it is not; false if it has no name, or its name leads elsewhere.
    pub(super) fn open(&mut self, generation: Generation) -> io::Result<bool> {
        // What is about to be used is not the one to be closed for another.
        self.uses += 1;
        let uses = self.uses;
        let file = self.files.get_mut(&generation).expect("it is asked for");
        file.used = uses;
        if file.handle.is_some() {
            return Ok(true);
        }
        let Some(path) = file.path.clone() else {
            return Ok(false);
        };
        let (identity, offset) = (file.identity, file.place.offset);
        let Some((handle, stat)) = self.open_path(&path)? else {
            return Ok(false);
        };
        if stat.identity != identity {
            self.scan_at = self.clock.monotonic();
            return Ok(false);
        }
        let file = self.files.get_mut(&generation).expect("it was just there");
        file.handle = Some(handle);
        self.handles += 1;
        let behind = !file.holds_bytes() && file.front() == offset && offset > 0;
        if behind && file.knows_no_bytes() {
            file.rewind()?;
        }
        self.close_some();
        Ok(true)
    }

    /// Opens two files that are to be compared, however few descriptors there are.
    pub(super) fn open_both(&mut self, one: Generation, other: Generation) -> io::Result<bool> {
        if !self.open(one)? {
            return Ok(false);
        }
        // Not to be closed for the other.
        let file = self.files.get_mut(&one).expect("it was just opened");
        let handle = file.handle.take();
        let is_open = self.open(other);
        let file = self.files.get_mut(&one).expect("it was just there");
        file.handle = handle;
        is_open
    }

    /// Opens what stands at a path; `None` if nothing that can be followed does any more.
    pub(super) fn open_path(&self, path: &Path) -> io::Result<Option<(Handle, Stat)>> {
        let file = match self.disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result?,
        };
        let stat = file.stat()?;
        if stat.kind != Kind::Regular {
            return Ok(None);
        }
        let handle = match Decoded::open(&file, &path.to_string_lossy())? {
            Some(decoded) => Handle::Decoded(Box::new(decoded)),
            None => Handle::Plain(Arc::clone(&file)),
        };
        Ok(Some((handle, stat)))
    }

    /// Closes the files that were not used for longest, if too many are open. One without a name could
    /// not be opened again.
    fn close_some(&mut self) {
        while self.handles > self.settings.files_open_max {
            let idle = self.files.values().filter(|file| {
                file.handle.is_some() && file.path.is_some() && file.used < self.uses
            });
            let longest = idle
                .min_by_key(|file| file.used)
                .map(|file| file.generation());
            let Some(file) = longest.and_then(|generation| self.files.get_mut(&generation)) else {
                return;
            };
            file.handle = None;
            self.handles -= 1;
        }
    }

    /// The file is not what it was: its generation ends, and another begins at its first byte. What
    /// was not read may stand in a copy that was made before.
    pub(super) fn truncated(&mut self, generation: Generation, now: Duration) {
        self.news.urgent = true;
        self.restless_until = now + RESTLESS;
        let file = self.files.get_mut(&generation).expect("it was just read");
        let (identity, path, length) = (file.identity, file.path.clone(), file.unread_until);
        let stat = match &file.handle {
            Some(Handle::Plain(plain)) => plain.stat().ok(),
            _ => None,
        };
        if file.handle.take().is_some() {
            self.handles -= 1;
        }
        self.hints.forget_file(generation);
        self.by_identity.remove(&identity);
        let name = Arc::clone(&file.place.birth.name);
        if !self.move_to_copy(generation, now) {
            let file = self.files.get_mut(&generation).expect("it was just there");
            let front = file.front();
            file.path = None;
            // A line of which more was to come is lost as a whole.
            let is_whole = file.caught_up && length <= front;
            self.flush(generation, if is_whole { Why::End } else { Why::Quiet });
            let from = self.files[&generation].place.offset;
            let length = length.max(front);
            if length > from {
                let piece = mark::Piece {
                    generation,
                    from,
                    to: length,
                };
                self.hand_out_nothing(generation, piece, mark::Kind::Lost);
                self.notes.push(Note {
                    text: format!(
                        "{name}: truncated before bytes {from} to {length} were read, and no copy has them"
                    ),
                    is_problem: true,
                });
            }
            self.end(generation);
        }
        let Some(path) = path else { return };
        let Some(stat) = stat else {
            self.scan_at = now;
            return;
        };
        let older = &self.files[&generation].place.birth;
        let older_path = older.path();
        // One that was renamed may stand under a name that is not followed: it counts for the old one.
        let name: Arc<str> = match older_path == path {
            true => path.to_string_lossy().into(),
            false => Arc::clone(&older.name),
        };
        let none = mark::Marker::default();
        let birth = self.birth(&path, &name, &stat, 0, none, none);
        // What has the plain name is the youngest of its rotated set, and so is what has a name of another
        // one: where there are no birth times, a new file may have an old one's number.
        let stem = patterns::stem(&path);
        let is_rotated = path != stem && patterns::stem(&older_path) == stem;
        let after = match self.chains.get(&stem) {
            Some(&youngest) if !is_rotated => Some(youngest),
            _ => Some(generation),
        };
        let young = self.add(birth, &path, &stat, after, now);
        if let Some(file) = self.files.get_mut(&young) {
            file.after_truncation = true;
            // Then it may also be a copy, as where a backup is written over the one before.
            file.is_unchecked = path != older_path || path != stem;
        }
    }

    /// A generation has no more bytes to come.
    pub(super) fn end(&mut self, generation: Generation) {
        self.hints.forget_file(generation);
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        file.phase = Phase::Ended;
        file.place.ended = true;
        file.discard();
        if file.handle.take().is_some() {
            self.handles -= 1;
        }
        let source = file.place.birth.source;
        let (identity, is_nameless) = (file.identity, file.path.is_none());
        if is_nameless {
            self.release_identity(generation, identity);
        }
        // Told behind its last bytes: a kill between the two must not make it end without them.
        match self
            .outgoing
            .back_mut()
            .and_then(|batch| batch.mark.as_mut())
        {
            Some(mark) => mark.fates.push((generation, Fate::Ended)),
            None => {
                self.news.source = source;
                self.news.fates.push((generation, Fate::Ended));
            }
        }
        self.timed.remove(&generation);
        self.wake_copies(generation);
        let now = self.clock.monotonic();
        self.start_younger(generation, now);
    }

    /// What only time decides: quiet records, torn lines of rotated files, files without a name, and
    /// those that wait for others.
    pub(super) fn look_at_the_clock(&mut self, now: Duration) {
        if self.timed.is_empty() || now < self.timed_at {
            return;
        }
        self.timed_at = now + TIMED;
        let mut timed: Vec<Generation> = self.timed.drain().collect();
        timed.sort_unstable();
        for generation in timed {
            if self.is_timed(generation, now) {
                self.timed.insert(generation);
            }
        }
    }

    /// Does what is due; says whether there is more to wait for.
    fn is_timed(&mut self, generation: Generation, now: Duration) -> bool {
        let Some(file) = self.files.get(&generation) else {
            return false;
        };
        match file.phase {
            Phase::Waiting => {
                self.start_if_due(generation, now);
                return self.files[&generation].phase == Phase::Waiting;
            }
            Phase::CopyOf(original) => {
                let is_doubtful = self.is_doubtful(original);
                if is_doubtful && now.saturating_sub(file.looked_at) >= POLL {
                    if let Some(file) = self.files.get_mut(&generation) {
                        file.looked_at = now;
                    }
                    self.ready(generation);
                }
                return is_doubtful;
            }
            Phase::Ended => return false,
            Phase::Open => {}
        }
        let is_unchecked = file.is_unchecked;
        let quiet = now.saturating_sub(file.read_at);
        let is_due = now.saturating_sub(file.looked_at) >= POLL;
        if file.is_failing {
            let since = file.gone_at.map(|gone_at| now.saturating_sub(gone_at));
            if file.path.is_none() && since.is_some_and(|since| since >= FAILING) {
                return self.let_go(generation, now);
            }
            if is_due {
                self.ready(generation);
            }
            return true;
        }
        if file.holds_lines() && quiet >= QUIET {
            self.flush(generation, Why::Quiet);
        }
        let file = &self.files[&generation];
        let is_rotated = self.is_rotated(file);
        // One that waits for it may have the line's rest.
        let younger = file.younger.and_then(|younger| self.files.get(&younger));
        let is_awaited = younger.is_some_and(|younger| younger.phase == Phase::Waiting);
        if is_rotated && file.holds_bytes() && file.caught_up && quiet >= TORN && !is_awaited {
            self.flush(generation, Why::End);
        }
        let file = &self.files[&generation];
        if let (None, Some(gone_at)) = (&file.path, file.gone_at) {
            let since = now.saturating_sub(gone_at.max(file.read_at));
            // What it was copied or packed to may have been found in the same moment.
            let is_over = match file.handle {
                None => since >= POLL,
                Some(_) => file.caught_up && since >= GONE,
            };
            if is_over {
                return self.let_go(generation, now);
            }
            if is_due {
                // No name, so perhaps no hint: looked at until it is let go.
                self.ready(generation);
            }
            return true;
        }
        if is_unchecked {
            // What it was compared with was not to be had, or comes first.
            self.ready(generation);
            return true;
        }
        file.holds_lines() || (is_rotated && file.holds_bytes())
    }

    /// A file without a name was read to its end, or cannot be read any more. True if it goes on in a
    /// copy.
    fn let_go(&mut self, generation: Generation, now: Duration) -> bool {
        let file = &self.files[&generation];
        let (front, length) = (file.front(), file.length.max(file.unread_until));
        let is_cut = file.handle.is_none() && length > front && !file.is_compressed();
        // What it was packed to may wait for this one's end to be looked into.
        if is_cut && self.move_to_copy(generation, now) {
            return true;
        }
        // A line of which more was to come is lost as a whole.
        self.flush(generation, if is_cut { Why::Quiet } else { Why::End });
        if is_cut {
            let piece = mark::Piece {
                generation,
                from: self.files[&generation].place.offset,
                to: length,
            };
            self.hand_out_nothing(generation, piece, mark::Kind::Lost);
        }
        self.end(generation);
        false
    }

    /// Starts the one after this in its rotated set, if it waits and is due.
    pub(super) fn start_younger(&mut self, generation: Generation, now: Duration) {
        let younger = self.files.get(&generation).and_then(|file| file.younger);
        if let Some(younger) = younger
            && self
                .files
                .get(&younger)
                .is_some_and(|file| file.phase == Phase::Waiting)
        {
            self.start_if_due(younger, now);
        }
    }

    fn start_if_due(&mut self, generation: Generation, now: Duration) {
        let found_at = self.files[&generation].found_at;
        let is_over = |older: &Followed| matches!(older.phase, Phase::Ended | Phase::CopyOf(_));
        let Some(older) = self.before(generation, is_over) else {
            return self.start(generation);
        };
        // One still further back may have moved to a copy, of which there is much to read.
        let has_read = |older: &Followed| {
            older.phase != Phase::Open || older.caught_up || older.is_failing || older.takes_over
        };
        let is_last = self.before(older.generation(), has_read).is_none();
        let older_generation = older.generation();
        let due = match older.phase {
            Phase::Ended | Phase::CopyOf(_) => true,
            Phase::Waiting => false,
            Phase::Open if older.is_failing => {
                now.saturating_sub(found_at) >= PATIENCE && older.failures >= FAILURES
            }
            Phase::Open => {
                let quiet = now.saturating_sub(older.read_at);
                let waited = now.saturating_sub(found_at);
                let is_rotated = self.is_rotated(older);
                // Where both have rotated names, whoever writes has moved on twice since: a backlog is
                // read without waiting for each of its files.
                let is_backlog =
                    has_rotated_name(older) && has_rotated_name(&self.files[&generation]);
                let is_settled = quiet >= SETTLED || waited >= PATIENCE || is_backlog;
                // Its torn line goes out first, unless somebody still writes to it.
                let is_torn = is_rotated && older.ends_torn();
                let is_whole = !is_torn || quiet >= TORN || waited >= 2 * PATIENCE;
                // One that stands where it was found was not rotated: it may be written for ever.
                let is_due = older.caught_up && (is_settled || !is_rotated) && is_whole;
                // Its writer may have added something since it was last looked at.
                if is_due && is_last && now.saturating_sub(older.looked_at) > 2 * TIMED {
                    self.ready(older_generation);
                    return;
                }
                is_due && is_last
            }
        };
        if due {
            // One that cannot be read may have the line's rest.
            let is_quiet = older.caught_up && now.saturating_sub(older.read_at) >= TORN;
            if is_quiet && older.ends_torn() && self.is_rotated(older) {
                // So may one that waits, if the older is a copy of it.
                let mut waiting = Some(generation);
                for _ in 0..self.files.len() {
                    let Some(one) = waiting else { break };
                    if self.is_longer(one, older_generation, now) {
                        return;
                    }
                    waiting = self.files.get(&one).and_then(|file| file.younger);
                }
                self.flush(older_generation, Why::End);
            }
            self.start(generation);
        } else if older.phase == Phase::Open && !older.caught_up {
            self.ready(older_generation);
        }
    }

    /// The nearest one before a file in its rotated set, but for those that are passed over.
    fn before(
        &self,
        generation: Generation,
        is_passed: impl Fn(&Followed) -> bool,
    ) -> Option<&Followed> {
        let mut after = self.files.get(&generation)?.after;
        for _ in 0..self.files.len() {
            let older = self.files.get(&after?)?;
            if !is_passed(older) {
                return Some(older);
            }
            after = older.after;
        }
        None
    }

    /// From now on the file is read.
    fn start(&mut self, generation: Generation) {
        self.timed.remove(&generation);
        if let Some(file) = self.files.get_mut(&generation) {
            file.phase = Phase::Open;
            file.takes_over = file.after.is_some();
        }
        self.ready(generation);
    }

    /// A record that is open in the file before goes on in this one; not before it is known that this
    /// is no copy of that, which is never read.
    fn take_over_rest(&mut self, generation: Generation) {
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        if !std::mem::take(&mut file.takes_over) {
            return;
        }
        // One that was never begun, because it is empty, has taken over nothing.
        let has_nothing = |older: &Followed| older.takes_over || older.holds_nothing();
        let mut holding = Vec::new();
        let mut from = generation;
        while let Some(older) = self.before(from, has_nothing) {
            from = older.generation();
            if from == generation || holding.contains(&from) {
                break;
            }
            holding.push(from);
        }
        let Some((&older, further)) = holding.split_first() else {
            return;
        };
        // In the file that is written to the record may still go on.
        let goes_on = |older: &Followed| {
            older.phase == Phase::Open && older.path.is_some() && !has_rotated_name(older)
        };
        // No record goes on over two rotations.
        for &older in further.iter().rev() {
            if !goes_on(&self.files[&older]) {
                self.flush(older, Why::Quiet);
            }
        }
        let file = &self.files[&older];
        let ends_torn = file.ends_torn();
        if goes_on(file) {
            return;
        }
        if ends_torn {
            // Nothing goes on behind half a line, so what is whole goes out before the next file.
            self.flush(older, Why::Quiet);
        }
        if let Some(mut file) = self.files.remove(&generation) {
            if let Some(older) = self.files.get_mut(&older)
                && (older.path.is_none() || older.path != file.path)
            {
                file.carry(older);
            }
            self.files.insert(generation, file);
        }
    }
}

/// Whether a file stands under another name than the one that is written to.
fn has_rotated_name(file: &Followed) -> bool {
    let path = file.path.as_deref();
    path.is_some_and(|path| patterns::stem(path) != path)
}
