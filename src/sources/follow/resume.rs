//! After a restart: takes over what the checkpoint knows, and finds its files again, by identity, by name
//! and by content. `replay` then reads the batches of the journal once more, and
//! `settle` lets every file go on where it stood.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::disk::{Identity, Kind as FileKind, directory_of};
use crate::flow::mark::{Fate, Generation, Mark, Place};
use crate::sources::follow::copies::{Likeness, likeness};
use crate::sources::follow::followed::{Followed, Phase};
use crate::sources::follow::handle::Handle;
use crate::sources::follow::replay::holds;
use crate::sources::follow::{Follower, Resume, patterns};

impl Follower {
    /// Takes over what a checkpoint knows. Nothing is read yet but to recognise files.
    pub(super) fn resume(&mut self, resume: Resume) {
        let now = self.clock.monotonic();
        for place in resume.places {
            self.take_over(place, now);
        }
        let births = resume.replay.iter().flat_map(|mark| &mark.births);
        for birth in births {
            self.next_generation = self
                .next_generation
                .max(birth.generation.0.saturating_add(1));
        }
        self.located = self.locate(&resume.replay);
        self.replay = resume.replay.into();
    }

    pub(super) fn take_over(&mut self, place: Place, now: Duration) {
        let (generation, source) = (place.birth.generation, place.birth.source);
        self.next_generation = self.next_generation.max(generation.0.saturating_add(1));
        self.sources_count = self.sources_count.max(source.0.saturating_add(1));
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
    pub(super) fn find(&mut self, generation: Generation, mark: Option<&Mark>) -> io::Result<bool> {
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
                self.forget(copy, Some(generation));
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
    pub(super) fn limit_handles(&mut self, generation: Generation) {
        if self.handles > self.settings.files_open_max
            && let Some(file) = self.files.get_mut(&generation)
        {
            file.handle = None;
            self.handles -= 1;
        }
    }
}
