//! After a restart: finds the files of the checkpoint again, by identity, by name and by content, and
//! reads the batches of the journal once more. What cannot be had again is named.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::disk::{Identity, Kind as FileKind, Stat, directory_of};
use crate::flow::batch::Batch;
use crate::flow::chunk::Chunk;
use crate::flow::mark::{Fate, Generation, HEAD_BYTES, Kind, Mark, Marker, Piece, Place};
use crate::flow::time::Time;
use crate::sources::follow::copies::{Likeness, held, likeness, persistently, text_length};
use crate::sources::follow::followed::{Followed, Handle, Phase};
use crate::sources::follow::{Follower, Resume, patterns};

/// How often bytes are asked for once more after an error of reading, before they count as lost.
const TRIES: usize = 20;

impl Follower {
    /// Takes over what a checkpoint knows. Nothing is read yet but to recognise files.
    pub(super) fn resume(&mut self, resume: Resume) {
        let now = self.clock.monotonic();
        for place in resume.places {
            self.take_over(place, now);
        }
        let births = resume.replay.iter().flat_map(|mark| &mark.births);
        for birth in births {
            self.next_generation = self.next_generation.max(birth.generation.0 + 1);
        }
        self.located = self.locate(&resume.replay);
        self.replay = resume.replay.into();
    }

    fn take_over(&mut self, place: Place, now: Duration) {
        let (generation, source) = (place.birth.generation, place.birth.source);
        self.next_generation = self.next_generation.max(generation.0 + 1);
        self.sources_count = self.sources_count.max(source.0 + 1);
        self.sources.insert(place.birth.name.clone(), source);
        let mut file = Followed::new(place, None, None, now);
        file.gone_at = Some(now);
        file.is_unsettled = true;
        if file.place.ended {
            file.phase = Phase::Ended;
        }
        // A younger one of the same identity is what the file was last, unless it has ended and an
        // older one goes on there.
        let before = self.by_identity.get(&file.identity);
        let before = before.and_then(|before| self.files.get(before));
        if before.is_none_or(|before| before.place.ended || !file.place.ended) {
            self.by_identity.insert(file.identity, generation);
        }
        self.chains
            .insert(patterns::stem(&file.place.birth.path()), generation);
        self.files.insert(generation, Box::new(file));
    }

    /// What stands under the followed names, and beside them and those that the journal names, by
    /// identity.
    fn locate(&self, replay: &[Mark]) -> HashMap<Identity, PathBuf> {
        let mut located = HashMap::new();
        let places = self.files.values().map(|file| &file.place.birth);
        let births = replay.iter().flat_map(|mark| &mark.births);
        let directories: BTreeSet<PathBuf> = places
            .chain(births)
            .map(|birth| directory_of(&birth.path()).to_owned())
            .collect();
        if directories.is_empty() {
            return located;
        }
        let found = self.patterns.find(&*self.disk, &mut BTreeSet::new());
        let beside = directories.into_iter().flat_map(|directory| {
            let names = self.disk.list(&directory).unwrap_or_default();
            names.into_iter().map(move |name| directory.join(name))
        });
        for path in found.into_iter().map(|found| found.path).chain(beside) {
            if let Ok(stat) = self.disk.stat(&path)
                && stat.kind == FileKind::Regular
            {
                located.entry(stat.identity).or_insert(path);
            }
        }
        located
    }

    /// Gives a generation a handle to its bytes: its own file, a copy of it, or none. With a `mark` the
    /// bytes that it names have to be there. An error is of a file that may be the one.
    fn find(&mut self, generation: Generation, mark: Option<&Mark>) -> io::Result<bool> {
        let identity = self.files[&generation].identity;
        let is_there = |path: &PathBuf| {
            let stat = self.disk.stat(path);
            stat.is_ok_and(|stat| stat.identity == identity)
        };
        // It may have been renamed since it was located.
        let own = self.located.get(&identity).cloned();
        let own = match own {
            Some(path) if !is_there(&path) => self.find_renamed(generation, identity),
            own => own,
        };
        // A copy is no choice as long as the file itself may be the one.
        if let Some(path) = &own
            && self.is_in(generation, path.clone(), mark)?
        {
            return Ok(true);
        }
        let mut met = Ok(false);
        // Only a few are not where they were; listing directories for all would take long.
        for path in self.siblings(generation) {
            match self.is_in(generation, path, mark) {
                Ok(true) => return Ok(true),
                result => met = met.and(result),
            }
        }
        if mark.is_some() || !matches!(met, Ok(false)) {
            return met;
        }
        match own.or_else(|| self.find_renamed(generation, identity)) {
            Some(path) => self.take_changed(generation, path),
            None => met,
        }
    }

    /// The file is there and does not hold what was read of it: it was damaged or truncated, and what
    /// stands in it now is another generation's. [`Follower::settle`] finds that out. One under a followed
    /// name is found by a scan; this is for one that was renamed since.
    fn take_changed(&mut self, generation: Generation, path: PathBuf) -> io::Result<bool> {
        let identity = self.files[&generation].identity;
        // Without birth times it may just have the number of one that was removed.
        let stem = patterns::stem(&self.files[&generation].place.birth.path());
        let is_of_its_set = patterns::is_numbered(&path) && patterns::stem(&path) == stem;
        if identity.born == 0 && !is_of_its_set {
            return Ok(false);
        }
        if self.by_identity.get(&identity) != Some(&generation) {
            return Ok(false);
        }
        let Some((handle, stat)) = self.open_path(&path)? else {
            return Ok(false);
        };
        if stat.identity != identity || matches!(handle, Handle::Decoded(_)) {
            return Ok(false);
        }
        let file = self.files.get_mut(&generation).expect("it is looked for");
        file.path = Some(path);
        file.gone_at = None;
        if file.handle.replace(handle).is_none() {
            self.handles += 1;
        }
        self.limit_handles(generation);
        Ok(true)
    }

    /// Takes the file at a path for the generation's, if it is.
    fn is_in(
        &mut self,
        generation: Generation,
        path: PathBuf,
        mark: Option<&Mark>,
    ) -> io::Result<bool> {
        let Some((mut handle, stat)) = self.open_path(&path)? else {
            return Ok(false);
        };
        let file = self.files.get_mut(&generation).expect("it is looked for");
        let is_own = stat.identity == file.identity;
        let length = match handle {
            Handle::Plain(_) => Some(stat.length),
            Handle::Decoded(_) => None,
        };
        // Where nothing was read, nothing tells two lives of one file apart but their order, nor two
        // files that had one number after each other but their names.
        let is_known = file.place.waypoints.last().is_some()
            || (is_own
                && self.by_identity.get(&stat.identity) == Some(&generation)
                && (stat.identity.born != 0
                    || patterns::leads_to(&file.place.birth.path(), &path)));
        let is_it = match mark {
            Some(mark) => holds(&mut handle, mark)?,
            None if !is_known => false,
            None => likeness(&file.place, &mut handle, length)? == Likeness::Whole,
        };
        // Another generation may have been found there under its own identity.
        let other = self.by_identity.get(&stat.identity).copied();
        let other = other.filter(|other| !is_own && *other != generation);
        let is_taken = match other.and_then(|other| self.files.get(&other)) {
            Some(other) if other.handle.is_some() => true,
            // One that was never read is a copy that waits to be gone on in.
            Some(other) if !other.place.ended && other.place.offset > 0 => {
                likeness(&other.place, &mut handle, length)? == Likeness::Whole
            }
            _ => false,
        };
        if !is_it || is_taken {
            return Ok(false);
        }
        if !is_own && mark.is_none() && self.is_copy_of_another(generation, &mut handle, length)? {
            return Ok(false);
        }
        if !is_own && mark.is_some() {
            let file = self.files.get_mut(&generation).expect("it is looked for");
            file.is_lent = true;
            if file.handle.replace(handle).is_none() {
                self.handles += 1;
            }
            return Ok(true);
        }
        if !is_own {
            if let Some(copy) = other
                && self.files.get(&copy).is_some_and(|copy| !copy.place.ended)
            {
                self.forget(copy, generation);
            }
            self.settle_in(generation, stat.identity);
        }
        let file = self.files.get_mut(&generation).expect("it is looked for");
        file.path = Some(path);
        file.length = stat.length;
        file.modified = stat.modified;
        file.gone_at = None;
        if file.handle.replace(handle).is_none() {
            self.handles += 1;
        }
        self.limit_handles(generation);
        Ok(true)
    }

    /// Whether a file that has all that was read of a generation is a copy of another one, which is still
    /// there: a backup was replaced by a newer one.
    fn is_copy_of_another(
        &self,
        generation: Generation,
        handle: &mut Handle,
        length: Option<u64>,
    ) -> io::Result<bool> {
        let place = &self.files[&generation].place;
        let stem = patterns::stem(&place.birth.path());
        let there = self.files.values().filter(|other| {
            other.generation() != generation
                && other.phase == Phase::Open
                && other.place.offset > 0
                && self.located.contains_key(&other.identity)
                && patterns::stem(&other.place.birth.path()) == stem
        });
        for other in there {
            if likeness(&other.place, handle, length)? != Likeness::Other {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The generation stands in a copy now.
    fn settle_in(&mut self, generation: Generation, identity: Identity) {
        self.change_identity(generation, identity);
        self.news.source = self.files[&generation].place.birth.source;
        self.news.fates.push((generation, Fate::Moved(identity)));
    }

    /// Closes it again where there are more files than descriptors: its path is known.
    fn limit_handles(&mut self, generation: Generation) {
        if self.handles > self.settings.files_open_max
            && let Some(file) = self.files.get_mut(&generation)
        {
            file.handle = None;
            self.handles -= 1;
        }
    }

    /// Makes a batch of the journal again. If its bytes are gone, it says so.
    pub(super) fn replay_next(&mut self, mark: Mark) -> Batch {
        let ended: Vec<_> = mark
            .fates
            .iter()
            .copied()
            .filter(|(_, fate)| *fate == Fate::Ended)
            .collect();
        let batch = self.read_mark(mark);
        for (generation, fate) in ended {
            self.repeat(generation, fate);
        }
        batch
    }

    fn read_mark(&mut self, mut mark: Mark) -> Batch {
        let now = self.clock.monotonic();
        mark.replayed = true;
        for birth in std::mem::take(&mut mark.births) {
            let place = Place::new(birth.clone());
            if !self.files.contains_key(&birth.generation) {
                self.take_over(place, now);
            }
            mark.births.push(birth);
        }
        let before = mark.fates.iter().filter(|(_, fate)| *fate != Fate::Ended);
        for (generation, fate) in before {
            self.repeat(*generation, *fate);
        }
        let source = |follower: &Follower, generation: Generation| {
            let file = follower.files.get(&generation);
            file.map(|file| (file.place.birth.source, file.name.clone()))
        };
        let Some(last) = mark.pieces.last().copied() else {
            let source = mark
                .births
                .first()
                .map_or(self.news.source, |birth| birth.source);
            return self.empty(source, "".into(), mark);
        };
        let Some((row, name)) = source(self, last.generation) else {
            return self.empty(self.news.source, "".into(), mark);
        };
        if mark.kind != Kind::Data {
            self.advance(&mark);
            return self.empty(row, name, mark);
        }
        let mut bytes = self.read_again(&mark);
        for _ in 0..TRIES {
            if bytes.is_ok() {
                break;
            }
            bytes = self.read_again(&mark);
        }
        if bytes.is_err()
            && let Some(last) = mark.pieces.last()
        {
            self.unfound.insert(last.generation);
        }
        match bytes.ok().flatten() {
            Some(bytes) => {
                let length = bytes.len();
                let lines_before = self.lines_before(&mark, &bytes);
                self.batch(
                    last.generation,
                    Chunk::new(bytes, length),
                    lines_before,
                    mark,
                )
            }
            None => {
                mark.kind = Kind::Lost;
                // What was context was counted before.
                let mut context = u64::from(mark.context_bytes);
                for piece in &mut mark.pieces {
                    let part = context.min(piece.to - piece.from);
                    piece.from += part;
                    context -= part;
                }
                mark.pieces.retain(|piece| piece.from < piece.to);
                mark.context_bytes = 0;
                mark.cut_bytes = 0;
                mark.open.clear();
                self.advance(&mark);
                self.empty(row, name, mark)
            }
        }
    }

    fn repeat(&mut self, generation: Generation, fate: Fate) {
        match fate {
            Fate::Ended => {
                if let Some(file) = self.files.get_mut(&generation) {
                    file.phase = Phase::Ended;
                    file.place.ended = true;
                    if file.handle.take().is_some() {
                        self.handles -= 1;
                    }
                }
            }
            Fate::Moved(identity) => {
                if let Some(file) = self.files.get_mut(&generation) {
                    // It may have ended before its copy was found.
                    file.phase = Phase::Open;
                    file.place.ended = false;
                    if file.identity != identity {
                        // What was found for it before is the file that it left.
                        file.path = None;
                        self.handles -= usize::from(file.handle.take().is_some());
                    }
                }
                self.change_identity(generation, identity);
            }
            Fate::Forgotten => {
                if let Some(file) = self.files.remove(&generation) {
                    self.handles -= usize::from(file.handle.is_some());
                    if self.by_identity.get(&file.identity) == Some(&generation) {
                        self.by_identity.remove(&file.identity);
                    }
                }
            }
        }
    }

    fn advance(&mut self, mark: &Mark) {
        let own: BTreeSet<Generation> = mark.pieces.iter().map(|piece| piece.generation).collect();
        for generation in own {
            if let Some(file) = self.files.get_mut(&generation) {
                file.place.advance(mark);
            }
        }
    }

    /// The bytes of a mark, if they are still there as they were.
    fn read_again(&mut self, mark: &Mark) -> io::Result<Option<Vec<u8>>> {
        let Some(last) = mark.pieces.last().map(|piece| piece.generation) else {
            return Ok(None);
        };
        let missing: BTreeSet<Generation> = mark
            .pieces
            .iter()
            .filter(|piece| {
                let file = self.files.get(&piece.generation);
                file.is_some_and(|file| file.handle.is_none())
            })
            .map(|piece| piece.generation)
            .collect();
        for generation in missing {
            if !self.open(generation).unwrap_or(false) && !self.unfound.contains(&generation) {
                self.find(generation, (generation == last).then_some(mark))?;
            }
        }
        let Some(file) = self.files.get_mut(&last) else {
            return Ok(None);
        };
        let is_there = match &mut file.handle {
            Some(handle) => holds(handle, mark)?,
            None => false,
        };
        if !is_there {
            if file.handle.take().is_some() {
                self.handles -= 1;
            }
            if self.unfound.contains(&last) || !self.find(last, Some(mark))? {
                // Looked for once: a directory that is listed for every batch would take for ever.
                self.unfound.insert(last);
                return Ok(None);
            }
        }
        self.gather(&mark.pieces, mark.cut_bytes)
    }

    /// The bytes of some pieces, but for `cut` at the end.
    fn gather(&mut self, pieces: &[Piece], cut: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            let to = if number + 1 == pieces.len() {
                piece.to - cut
            } else {
                piece.to
            };
            let handle = self
                .files
                .get_mut(&piece.generation)
                .and_then(|file| file.handle.as_mut());
            let Some(handle) = handle else {
                return Ok(None);
            };
            let start = bytes.len();
            bytes.resize(start + (to - piece.from) as usize, 0);
            if handle.read_full(&mut bytes[start..], piece.from)? < bytes.len() - start {
                return Ok(None);
            }
        }
        Ok(Some(bytes))
    }

    /// Lines of the first piece's generation before it.
    fn lines_before(&self, mark: &Mark, bytes: &[u8]) -> u64 {
        let Some(first) = mark.pieces.first() else {
            return 0;
        };
        let lines = self
            .files
            .get(&first.generation)
            .map_or(0, |file| file.place.lines);
        let context = &bytes[..(mark.context_bytes as usize).min(bytes.len())];
        lines.saturating_sub(memchr::memchr_iter(b'\n', context).count() as u64)
    }

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
        let open: Vec<Generation> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::Open)
            .map(|file| file.generation())
            .collect();
        for generation in open {
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

    /// A generation that was not begun waits again for the one before it in its rotated set.
    fn line_up(&mut self) {
        // What comes later comes after the last that is open, or after none.
        self.chains.clear();
        for (generation, file) in &self.files {
            let stem = patterns::stem(&file.place.birth.path());
            if file.phase == Phase::Open || !self.chains.contains_key(&stem) {
                self.chains.insert(stem, *generation);
            }
        }
        let mut last: HashMap<PathBuf, Generation> = HashMap::new();
        let mut pairs = Vec::new();
        for (generation, file) in &mut self.files {
            if file.phase != Phase::Open {
                continue;
            }
            let older = last.insert(patterns::stem(&file.place.birth.path()), *generation);
            file.after = older;
            pairs.extend(older.map(|older| (older, *generation)));
            // Nothing was read of it: perhaps because it is a copy.
            file.is_unchecked = file.place.offset == 0;
            if older.is_some() && file.place.offset == 0 {
                file.phase = Phase::Waiting;
                self.timed.insert(*generation);
            }
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
        self.notes.push(super::Note {
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

/// Whether a file holds the bytes that a mark says stand before its end.
fn holds(handle: &mut Handle, mark: &Mark) -> io::Result<bool> {
    let is_head = match &mark.head {
        Some(head) => handle.holds(head)?,
        None => true,
    };
    Ok(is_head && handle.holds(&mark.tail)?)
}
