//! Where files go on after a restart, once the journal was read again: at the place where their last
//! batch ended, or at the last one where they are still what they were.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::{Identity, Stat};
use crate::flow::mark::{Generation, HEAD_BYTES, Marker, Place};
use crate::flow::time::Time;
use crate::sources::follow::copies::{Likeness, held, likeness, persistently, text_length};
use crate::sources::follow::followed::Phase;
use crate::sources::follow::handle::Handle;
use crate::sources::follow::{Follower, Note, patterns};

impl Follower {
    /// The journal was read again: every file goes on where its last batch ended.
    pub(super) fn settle_after_replay(&mut self) {
        let now = self.clock.monotonic();
        for file in self.files.values_mut() {
            if std::mem::take(&mut file.is_lent) && file.handle.take().is_some() {
                self.handles -= 1;
            }
        }
        // Only now, when it is known how far each was read: a file is told from its copies by that.
        let unfound: Vec<Generation> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::Open && file.path.is_none())
            .map(|file| file.generation())
            .collect();
        for generation in unfound {
            // One that turned out to be another one's copy is forgotten.
            if !self.files.contains_key(&generation) {
                continue;
            }
            // What is left of it may have been damaged before it was packed or copied.
            let found = self.find(generation, None).and_then(|is_found| {
                let place = self.files[&generation].place.clone();
                match is_found {
                    false if place.offset > 0 => self.damaged_copy(&place, place.offset, now),
                    _ => Ok(()),
                }
            });
            if found.is_err()
                && let Some(file) = self.files.get_mut(&generation)
            {
                // Looked for again when its turn comes.
                file.is_failing = true;
            }
        }
        self.look_at_the_ended();
        self.line_up();
        self.located = HashMap::new();
        self.unfound = HashSet::new();
        for generation in self.open_files() {
            if let Err(error) = self.settle(generation, now) {
                self.failing(generation, &error, now);
            }
        }
        self.scan_at = now;
    }

    /// Files that were read to their end: one that has grown since goes on, also under a name that is not
    /// followed, as after a power cut that took a rotation back. The number of one that is gone may be
    /// given to another where there are no birth times.
    fn look_at_the_ended(&mut self) {
        let ended: Vec<(Generation, Identity)> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::Ended && file.path.is_none())
            .map(|file| (file.generation(), file.identity))
            .collect();
        for (generation, identity) in ended {
            match self.located.get(&identity).cloned() {
                // One that cannot be read at present is found by a scan if its name is followed.
                Some(path) => {
                    let _ = persistently(|| self.go_on_if_grown(generation, &path));
                }
                None => self.release_identity(generation, identity),
            }
        }
    }

    fn go_on_if_grown(&mut self, generation: Generation, path: &Path) -> io::Result<()> {
        let file = &self.files[&generation];
        if file.place.offset == 0 || self.by_identity.get(&file.identity) != Some(&generation) {
            return Ok(());
        }
        let stat = self.disk.stat(path)?;
        if stat.identity != file.identity || stat.length <= file.place.offset {
            return Ok(());
        }
        let Some((mut handle @ Handle::Plain(_), stat)) = self.open_path(path)? else {
            return Ok(());
        };
        let file = self.files.get_mut(&generation).expect("it was just there");
        // A birth time is proof enough: what a power cut did to it is found out when it is read.
        let is_it = stat.identity == file.identity
            && (stat.identity.born != 0
                || likeness(&file.place, &mut handle, Some(stat.length))? == Likeness::Whole);
        if is_it {
            file.phase = Phase::Open;
            file.place.ended = false;
            file.path = Some(path.to_owned());
            file.gone_at = None;
            file.length = stat.length;
            file.handle = Some(handle);
            self.handles += 1;
            self.limit_handles(generation);
        }
        Ok(())
    }

    /// The rotated sets by the name that is written to, each with its generations in order: one that was
    /// found late belongs before the one with the plain name.
    fn sets(&self) -> BTreeMap<PathBuf, Vec<Generation>> {
        let mut sets: BTreeMap<PathBuf, Vec<Generation>> = BTreeMap::new();
        for (generation, file) in &self.files {
            let birth = &file.place.birth;
            let set = sets.entry(patterns::stem(&birth.path())).or_default();
            let place = |other: Option<Generation>| set.iter().position(|one| Some(*one) == other);
            let place = place(birth.before).or_else(|| place(birth.after).map(|after| after + 1));
            set.insert(place.unwrap_or(set.len()), *generation);
        }
        sets
    }

    /// A generation that was not begun waits again for the one before it in its rotated set.
    fn line_up(&mut self) {
        self.chains.clear();
        let mut pairs = Vec::new();
        for (stem, set) in self.sets() {
            let mut youngest = set[0];
            let mut last = None;
            for generation in set {
                let file = self.files.get_mut(&generation).expect("it was just there");
                if file.phase != Phase::Open {
                    continue;
                }
                let older = last.replace(generation);
                youngest = generation;
                file.after = older;
                pairs.extend(older.map(|older| (older, generation)));
                // Nothing was read of it: perhaps because it is a copy.
                file.is_unchecked = file.place.offset == 0;
                if older.is_some() && file.place.offset == 0 {
                    file.phase = Phase::Waiting;
                    self.timed.insert(generation);
                }
            }
            // What comes later comes after the last that is open, or after none.
            self.chains.insert(stem, youngest);
        }
        for (older, younger) in pairs {
            if let Some(older) = self.files.get_mut(&older) {
                older.younger = Some(younger);
            }
        }
    }

    /// The file goes on where its last batch ended, if it still holds what was read there.
    /// False if it is not there, or is not what it was. After an error it is to be called again.
    pub(super) fn settle(&mut self, generation: Generation, now: Duration) -> io::Result<bool> {
        let was_failing = self.files[&generation].is_failing;
        // What was found may have been closed again for want of descriptors.
        let is_open = self.open(generation)?
            || (was_failing && self.find(generation, None)? && self.open(generation)?);
        if !is_open {
            // A scan finds it, or it is let go.
            if let Some(file) = self.files.get_mut(&generation) {
                file.is_failing = false;
            }
            self.timed.insert(generation);
            return Ok(false);
        }
        let file = self.files.get_mut(&generation).expect("it was just there");
        let handle = file.handle.as_mut().expect("it was just opened");
        let is_same = match file.place.waypoints.last() {
            Some(last) if last.end == file.place.offset => handle.holds(&last)?,
            _ => file.place.offset == 0,
        };
        if !is_same {
            file.rewind_blindly();
            self.truncated_while_away(generation, now)?;
            return Ok(false);
        }
        file.rewind()?;
        let path = file.path.clone();
        let open = file.place.open.clone();
        // One that was never read may be a copy.
        file.is_unchecked = file.place.offset == 0;
        if let Some(path) = path {
            let is_watched = self.hints.watch_file(&path, generation);
            if let Some(file) = self.files.get_mut(&generation) {
                file.is_polled = !is_watched;
            }
        }
        if !open.is_empty()
            && let Some(bytes) = self.gather(&open, 0)?
            && let Some(file) = self.files.get_mut(&generation)
        {
            let own = bytes.len() as u64;
            let feeds = memchr::memchr_iter(b'\n', &bytes).count() as u64;
            let lines = file.place.lines.saturating_sub(feeds);
            debug_assert!(own > 0, "an open record has bytes");
            file.set_context(bytes, open, lines)?;
        }
        if let Some(file) = self.files.get_mut(&generation) {
            file.is_unsettled = false;
        }
        self.ready(generation);
        Ok(true)
    }

    /// The file does not hold what was read of it. If it begins as that did, a power cut has damaged it,
    /// and it goes on at the last place where it is known to be the same: what stands behind that may
    /// have been written since. Else it was truncated and is read from its start, after what a copy may
    /// hold of it.
    pub(super) fn truncated_while_away(
        &mut self,
        generation: Generation,
        now: Duration,
    ) -> io::Result<()> {
        let file = self.files.get_mut(&generation).expect("it was just there");
        let place = file.place.clone();
        let Some(path) = file.path.clone() else {
            self.end(generation);
            return Ok(());
        };
        let handle = file.handle.as_mut().expect("it was just there");
        // Most of it is to be the same: what many files begin with is no sign.
        if let Some(known) = held(&place, handle, place.offset / 2 + 1)? {
            let stat = match handle {
                Handle::Plain(plain) => plain.stat()?,
                Handle::Decoded(_) => self.disk.stat(&path)?,
            };
            self.by_identity.remove(&stat.identity);
            self.end(generation);
            self.go_on_at(&place, &path, &stat, known, now);
            return Ok(());
        }
        if matches!(handle, Handle::Decoded(_)) {
            // An archive does not change: it is another one that has the old one's number.
            file.path = None;
            let identity = file.identity;
            self.by_identity.remove(&identity);
            self.end(generation);
            self.scan_at = now;
            return Ok(());
        }
        self.damaged_copy(&place, 0, now)?;
        self.truncated(generation, now);
        Ok(())
    }

    /// Finds a copy that was made of a damaged file before that was truncated or removed, if it has at
    /// least so many bytes of text: a shorter one may as well be a backup that was made in time.
    fn damaged_copy(&mut self, place: &Place, shortest: u64, now: Duration) -> io::Result<()> {
        for path in self.siblings(place.birth.generation) {
            let Some((mut handle, stat)) = persistently(|| self.open_path(&path))? else {
                continue;
            };
            if self.by_identity.contains_key(&stat.identity)
                || usize::from(place.head.length) < HEAD_BYTES
            {
                continue;
            }
            let length = match handle {
                Handle::Plain(_) => stat.length,
                // Text is only counted where it has to be.
                Handle::Decoded(_) => persistently(|| text_length(&mut handle, shortest))?,
            };
            if length < shortest {
                continue;
            }
            // One that was made since this generation began is no other one's.
            let is_younger =
                matches!(handle, Handle::Plain(_)) && Time(stat.modified) > place.birth.anchor;
            let least = match is_younger {
                true => 0,
                false => place.offset / 2 + 1,
            };
            if let Some(known) = persistently(|| held(place, &mut handle, least))?
                // One that has it all is the generation's own.
                && known.end < place.offset
            {
                self.go_on_at(place, &path, &stat, known, now);
            }
        }
        Ok(())
    }

    /// What was read of a generation stands in a file up to a place; what follows is read as another
    /// one.
    fn go_on_at(&mut self, place: &Place, path: &Path, stat: &Stat, known: Marker, now: Duration) {
        let name = place.birth.name.clone();
        let birth = self.birth(path, &name, stat, known.end, place.head, known);
        let young = self.add(birth, path, stat, Some(place.birth.generation), now);
        self.notes.push(Note {
            text: format!(
                "{}: does not hold all that was read of it ({} bytes), as after a power cut; read again from byte {} on",
                path.display(),
                place.offset,
                known.end
            ),
            is_problem: true,
        });
        self.ready(young);
    }
}
