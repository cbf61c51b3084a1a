//! Looking at the names: what stands behind each followed path now, what was rotated or removed, and
//! what is new.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Identity, Kind, Stat, directory_of};
use crate::flow::batch::SourceId;
use crate::flow::mark::{Birth, Fate, Generation, HEAD_BYTES, Marker, Place};
use crate::flow::time::Time;
use crate::sources::follow::followed::{Followed, Phase};
use crate::sources::follow::handle::Handle;
use crate::sources::follow::patterns::{self, Found};
use crate::sources::follow::{ENDED_MAX, Follower, From, POLL, RESTLESS, SWEEP, ours};
use crate::sources::lines::last_lines;

/// How far back from a file's end its last line's start is looked for.
const BACK_BYTES_MAX: u64 = 1 << 20;

/// Who is read before a new generation and who after it.
struct Neighbours {
    after: Option<Generation>,
    /// The one after it, if others are.
    next: Option<Generation>,
    is_youngest: bool,
}

impl Follower {
    /// Looks at all names.
    pub(super) fn scan(&mut self, now: Duration) {
        // An output that was just rotated is known before its new name is.
        self.outputs_at = now;
        self.look_at_outputs(now);
        let mut directories = BTreeSet::new();
        let found = self.patterns.find(&*self.disk, &mut directories);
        directories.extend(self.linked_directories.iter().cloned());
        let is_watched = self.watch(directories);
        let mut seen = HashSet::with_capacity(found.len());
        let expected = if self.is_first_scan { found.len() } else { 0 };
        let mut newcomers = Vec::with_capacity(expected);
        for Found {
            path,
            stat,
            is_named,
        } in found
        {
            let stat = match stat {
                Ok(stat) => stat,
                Err(error) => {
                    if error.kind() != std::io::ErrorKind::NotFound {
                        self.note(&path, format!("cannot be looked at: {error}"), true);
                    } else if is_named {
                        self.note(&path, "not there; waiting for it".to_owned(), false);
                    }
                    continue;
                }
            };
            if let Some(reason) = self.refusal(&path, &stat) {
                self.note(&path, reason, true);
                continue;
            }
            if seen.insert(stat.identity) {
                match self.by_identity.get(&stat.identity).copied() {
                    Some(generation) if !self.is_another(generation, &path, &stat) => {
                        self.found_again(generation, path, &stat, now);
                    }
                    _ => newcomers.push((path, stat)),
                }
            }
        }
        self.find_the_gone(&seen, now);
        let from = match self.is_first_scan {
            true => self.settings.from,
            false => From::Start,
        };
        self.make_room(newcomers.len());
        for (path, stat) in in_order(newcomers) {
            self.newcomer(&path, &stat, from, now);
        }
        self.is_first_scan = false;
        self.forget_old_ones();
        let took = self.clock.monotonic().saturating_sub(now);
        self.scan_at = if !is_watched || now < self.restless_until {
            now + POLL + took * 20
        } else {
            // However many files there are, looking at all of them is a small part of the time.
            now + SWEEP.max(took * 1000)
        };
    }

    /// For so many files more, at once: tables that grow step by step leave behind what they were.
    fn make_room(&mut self, files: usize) {
        self.by_identity.reserve(files);
        self.chains.reserve(files);
        self.sources.reserve(files);
        self.ready.reserve(files);
        self.is_ready.reserve(files);
        self.news.births.reserve(files);
    }

    /// Why a file cannot be followed.
    fn refusal(&self, path: &Path, stat: &Stat) -> Option<String> {
        match stat.kind {
            Kind::Directory => {
                return Some("is a directory; name its files, for example with /*.log".to_owned());
            }
            Kind::Other => {
                return Some("is a FIFO, a device or a socket, which cannot be followed; read it with `weir < FILE`".to_owned());
            }
            Kind::Regular => {}
        }
        let refused = &self.settings.refused;
        let refused = refused
            .iter()
            .find(|(identity, _)| *identity == stat.identity);
        let what = match refused {
            Some((_, what)) => what,
            None if self.ours.contains(&stat.identity) || self.is_output(path) => ours::WHAT,
            None => return None,
        };
        Some(ours::refused(what))
    }

    /// Whether the path is that of our output, or one that it is rotated to.
    fn is_output(&self, path: &Path) -> bool {
        let identity = |path: &Path| {
            self.disk
                .stat(directory_of(path))
                .ok()
                .map(|stat| stat.identity)
        };
        let mut outputs = self.settings.outputs.iter();
        outputs.any(|output| {
            patterns::stem(path).file_name() == patterns::stem(output).file_name()
                && identity(path).is_some()
                && identity(path) == identity(output)
        })
    }

    /// Asks for hints about directories, also about those that are watched: another one may stand at the
    /// path now. False if some have to be polled.
    fn watch(&mut self, directories: BTreeSet<PathBuf>) -> bool {
        self.watched_directories
            .retain(|directory, _| directories.contains(directory));
        for directory in directories {
            let is_watched = self.hints.watch_directory(&directory);
            self.watched_directories.insert(directory, is_watched);
        }
        self.watched_directories.values().all(|&watched| watched)
    }

    /// Whether a file is not the generation that had its identity. An archive does not change: where
    /// there are no birth times, what looks like a changed one is a new file.
    fn is_another(&mut self, generation: Generation, path: &Path, stat: &Stat) -> bool {
        let Some(file) = self.files.get_mut(&generation) else {
            return true;
        };
        let is_changed = stat.modified != file.modified || stat.length != file.length;
        let is_archive = file.phase == Phase::Ended && file.is_finished_archive;
        // Nor does a file that nobody read and nobody holds turn into one of another rotated set.
        let is_untouched = matches!(file.phase, Phase::Open | Phase::Waiting)
            && file.place.offset == 0
            && file.handle.is_none()
            && !file.holds_bytes();
        let is_elsewhere = is_untouched && !patterns::leads_to(&file.place.birth.path(), path);
        let is_another = (is_archive && is_changed || is_elsewhere) && stat.identity.born == 0;
        if is_another {
            file.path = None;
            self.by_identity.remove(&stat.identity);
        }
        if is_another && is_elsewhere {
            self.end(generation);
        }
        is_another
    }

    /// A file that is known stands at this path.
    fn found_again(&mut self, generation: Generation, path: PathBuf, stat: &Stat, now: Duration) {
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        let is_moved = file.path.as_ref() != Some(&path);
        let is_changed = stat.modified != file.modified || stat.length != file.length;
        file.gone_at = None;
        match file.phase {
            Phase::Ended => {
                file.path = Some(path);
                // Compressed files do not grow, whatever their length says.
                if is_changed && !file.is_finished_archive {
                    file.phase = Phase::Open;
                    file.is_unchecked = file.place.offset == 0;
                    // Where there are no birth times it may be another file by now.
                    file.is_unsettled = true;
                    file.caught_up = false;
                    file.is_polled = true;
                    self.ready(generation);
                }
                if let Some(file) = self.files.get_mut(&generation) {
                    file.length = stat.length;
                    file.modified = stat.modified;
                }
            }
            Phase::Open | Phase::CopyOf(_) | Phase::Waiting => {
                if is_moved {
                    if file.path.is_some() {
                        self.news.urgent = true;
                        self.news.source = file.place.birth.source;
                        self.restless_until = now + RESTLESS;
                    }
                    file.path = Some(path);
                    file.caught_up = false;
                }
                if is_moved || is_changed || file.front() != stat.length {
                    if file.phase != Phase::Waiting {
                        self.ready(generation);
                    }
                    if let Some(file) = self.files.get_mut(&generation) {
                        file.length = stat.length;
                    }
                }
            }
        }
    }

    /// Files that stand under no followed name any more.
    fn find_the_gone(&mut self, seen: &HashSet<Identity>, now: Duration) {
        let gone: Vec<Generation> = self
            .files
            .values()
            .filter(|file| {
                // Another generation may be what the file is now.
                let is_it = self
                    .by_identity
                    .get(&file.identity)
                    .is_none_or(|generation| *generation == file.generation());
                file.path.is_some() && (!is_it || !seen.contains(&file.identity))
            })
            .map(|file| file.generation())
            .collect();
        for generation in gone {
            let file = self.files.get_mut(&generation).expect("it was just there");
            file.path = None;
            if file.phase == Phase::Ended {
                let identity = file.identity;
                self.release_identity(generation, identity);
                continue;
            }
            file.gone_at = Some(now);
            file.caught_up = false;
            let is_to_be_read = matches!(file.phase, Phase::Open | Phase::Waiting);
            let needs_handle = file.handle.is_none() && is_to_be_read;
            let identity = file.identity;
            self.news.urgent = true;
            self.news.source = file.place.birth.source;
            self.restless_until = now + RESTLESS;
            if needs_handle && let Some(path) = self.find_renamed(generation, identity) {
                // Its new name is not followed, but what is left under it was ours.
                let file = self.files.get_mut(&generation).expect("it was just there");
                file.path = Some(path);
                let _ = self.open(generation);
                if let Some(file) = self.files.get_mut(&generation) {
                    file.path = None;
                }
            }
            if is_to_be_read {
                self.ready(generation);
                self.timed.insert(generation);
            } else {
                self.end(generation);
            }
            self.wake_copies(generation);
        }
    }

    /// Without birth times the next file may have the identity of one that has gone.
    pub(super) fn release_identity(&mut self, generation: Generation, identity: Identity) {
        if identity.born == 0 && self.by_identity.get(&identity) == Some(&generation) {
            self.by_identity.remove(&identity);
        }
    }

    /// The path beside the old one where a file stands now.
    pub(super) fn find_renamed(
        &self,
        generation: Generation,
        identity: Identity,
    ) -> Option<PathBuf> {
        self.siblings(generation).into_iter().find(|path| {
            self.disk
                .stat(path)
                .is_ok_and(|stat| stat.identity == identity)
        })
    }

    /// A file that was not there before.
    fn newcomer(&mut self, path: &Path, stat: &Stat, from: From, now: Duration) {
        let stem = patterns::stem(path);
        let after = match from {
            From::Start => self.chains.get(&stem).copied(),
            From::End | From::Tail(_) => None,
        };
        if from == From::Start {
            let after = self.between(path, stat, after, now).or(after);
            let generation = self.give_birth(path, stat, after, now);
            if let Some(file) = self.files.get_mut(&generation) {
                file.is_unchecked = true;
            }
            self.hold(generation);
            return;
        }
        match self.open_path(path) {
            Ok(Some((mut handle, stat))) => {
                let is_archive = matches!(handle, Handle::Decoded(_));
                let start = match from {
                    From::Tail(lines) => lines_back(&mut handle, stat.length, lines),
                    _ => lines_back(&mut handle, stat.length, 0),
                };
                let marks = start.and_then(|start| {
                    let tail = handle.tail(start)?;
                    Ok((start, handle.head()?, tail))
                });
                let (start, head, tail) = match marks {
                    _ if is_archive => (0, Marker::default(), Marker::default()),
                    Ok(marks) => marks,
                    Err(error) => {
                        self.note(path, format!("cannot be read: {error}"), true);
                        (stat.length, Marker::default(), Marker::default())
                    }
                };
                let name = path.to_string_lossy();
                let birth = self.birth(path, &name, &stat, start, head, tail);
                let generation = self.add(birth, path, &stat, None, now);
                if is_archive {
                    // What was compressed before we came is the past.
                    self.end(generation);
                    if let Some(file) = self.files.get_mut(&generation) {
                        file.is_finished_archive = true;
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                self.note(path, format!("cannot be opened: {error}"), true);
                self.give_birth(path, stat, None, now);
            }
        }
    }

    /// Opens a file that has to wait: its name may lead elsewhere when its turn comes.
    fn hold(&mut self, generation: Generation) {
        let waits = self.files[&generation].phase == Phase::Waiting;
        if waits && self.handles < self.settings.files_open_max {
            // What cannot be opened now is tried again when it is read.
            let _ = self.open(generation);
        }
    }

    /// A file took the place of an older one under a followed name. Files that had the name between the
    /// two and were rotated before anybody looked stand beside it; they are read first, although their
    /// names are not followed. Returns the last of them.
    fn between(
        &mut self,
        path: &Path,
        stat: &Stat,
        older: Option<Generation>,
        now: Duration,
    ) -> Option<Generation> {
        let real = self.disk.resolve(path).ok()?;
        if directory_of(&real) != directory_of(path)
            && self.disk.stat(directory_of(path)).ok()?.identity
                != self.disk.stat(directory_of(&real)).ok()?.identity
        {
            self.linked_directories
                .insert(directory_of(&real).to_owned());
        }
        let older = self.files.get(&older?)?;
        let had_the_name = older.place.birth.path() == path && older.path.as_deref() != Some(path);
        // Without birth times nothing tells which files were here in between.
        // The last may be born in one tick of the file system's clock.
        let (first, last) = (older.identity.born, stat.identity.born);
        // A file that was truncated never left its name.
        let own = stat.identity;
        let is_known = || self.files.values().any(|file| file.identity == own);
        if !had_the_name || first == 0 || is_known() {
            return None;
        }
        let mut after = older.generation();
        let name = older.place.birth.name.clone();
        let stem = patterns::stem(&real);
        let mut found: Vec<(PathBuf, Stat)> = self
            .disk
            .list(directory_of(&real))
            .ok()?
            .into_iter()
            .map(|name| real.with_file_name(name))
            .filter(|sibling| *sibling != real && patterns::stem(sibling) == stem)
            .filter_map(|sibling| Some((sibling.clone(), self.disk.stat(&sibling).ok()?)))
            .filter(|(sibling, stat)| {
                // Renamed and not packed; a smaller one could not be told from a copy.
                patterns::is_numbered(sibling)
                    && stat.length >= HEAD_BYTES as u64
                    && stat.kind == Kind::Regular
                    && stat.identity.born > first
                    && stat.identity.born <= last
                    && stat.identity != own
                    && !self.by_identity.contains_key(&stat.identity)
            })
            .collect();
        found.sort_by_key(|(_, stat)| (stat.identity.born, stat.modified, stat.identity.inode));
        let mut last = None;
        // A copy of the new file may be as old as that to the tick.
        let head = self.head_at(path);
        for (sibling, stat) in found {
            if head.is_some() && self.head_at(&sibling) == head {
                continue;
            }
            let none = Marker::default();
            let birth = self.birth(&sibling, &name, &stat, 0, none, none);
            let generation = self.add(birth, &sibling, &stat, Some(after), now);
            if let Some(file) = self.files.get_mut(&generation) {
                file.is_unchecked = true;
            }
            self.hold(generation);
            after = generation;
            last = Some(generation);
        }
        last
    }

    /// The marker of a file's first kibibyte, if it has one.
    fn head_at(&self, path: &Path) -> Option<Marker> {
        let (mut handle, _) = self.open_path(path).ok()??;
        let head = handle.head().ok()?;
        (usize::from(head.length) == HEAD_BYTES).then_some(head)
    }

    /// A generation that is read from its first byte.
    pub(super) fn give_birth(
        &mut self,
        path: &Path,
        stat: &Stat,
        after: Option<Generation>,
        now: Duration,
    ) -> Generation {
        let name = path.to_string_lossy();
        let birth = self.birth(path, &name, stat, 0, Marker::default(), Marker::default());
        self.add(birth, path, stat, after, now)
    }

    pub(super) fn birth(
        &mut self,
        path: &Path,
        name: &str,
        stat: &Stat,
        start: u64,
        head: Marker,
        tail: Marker,
    ) -> Birth {
        use std::os::unix::ffi::OsStrExt;
        let generation = Generation(self.next_generation);
        self.next_generation += 1;
        let (source, name) = self.source(name);
        Birth {
            generation,
            source,
            name,
            path: path.as_os_str().as_bytes().to_vec(),
            identity: stat.identity,
            anchor: Time(stat.modified),
            start,
            open_from: None,
            after: None,
            before: None,
            head,
            tail,
        }
    }

    fn source(&mut self, name: &str) -> (SourceId, Arc<str>) {
        if let Some((name, &source)) = self.sources.get_key_value(name) {
            return (source, Arc::clone(name));
        }
        let source = SourceId(self.sources_count);
        self.sources_count += 1;
        let name: Arc<str> = name.into();
        self.sources.insert(Arc::clone(&name), source);
        (source, name)
    }

    /// Adds a generation to those that are followed.
    pub(super) fn add(
        &mut self,
        mut birth: Birth,
        path: &Path,
        stat: &Stat,
        after: Option<Generation>,
        now: Duration,
    ) -> Generation {
        let generation = birth.generation;
        let Neighbours {
            after,
            next,
            is_youngest,
        } = self.neighbours(path, after);
        (birth.after, birth.before) = (after, next);
        let birth = Arc::new(birth);
        self.news.births.push(Arc::clone(&birth));
        let mut file = Followed::new(Place::new(birth), Some(path.to_owned()), Some(stat), now);
        file.is_polled = !self.hints.watch_file(path, generation);
        file.after = after;
        let waits = after
            .and_then(|older| self.files.get_mut(&older))
            .is_some_and(|older| {
                // Looked at once more: what it was found to be is from before this one came.
                older.caught_up = false;
                older.phase != Phase::Ended
            });
        if file.is_polled {
            self.poll_at = now;
        }
        if waits {
            file.phase = Phase::Waiting;
            self.timed.insert(generation);
        } else {
            self.ready(generation);
        }
        if let Some(older) = after.and_then(|older| self.files.get_mut(&older)) {
            older.younger = Some(generation);
            let older = older.generation();
            self.ready(older);
        }
        self.by_identity.insert(stat.identity, generation);
        if is_youngest {
            self.chains.insert(patterns::stem(path), generation);
        }
        file.younger = next;
        self.files.insert(generation, Box::new(file));
        let waits = next.is_some_and(|next| self.is_unread(next));
        if let Some(next) = next.and_then(|next| self.files.get_mut(&next)) {
            next.after = Some(generation);
            if waits {
                next.phase = Phase::Waiting;
                self.timed.insert(next.generation());
            }
        }
        generation
    }

    /// Where in its rotated set a new generation stands that was found at a path and is said to come
    /// after another.
    fn neighbours(&self, path: &Path, after: Option<Generation>) -> Neighbours {
        let stem = patterns::stem(path);
        let youngest = self.chains.get(&stem).copied();
        // What has a rotated name is older than the file that has the name itself.
        let base = youngest.filter(|youngest| {
            let youngest = self.files.get(youngest);
            *path != stem && youngest.is_some_and(|youngest| youngest.path.as_ref() == Some(&stem))
        });
        let after = after.filter(|after| Some(*after) != base);
        let is_youngest = base.is_none()
            && (after.is_none() || youngest.is_none_or(|youngest| Some(youngest) == after));
        if is_youngest {
            return Neighbours {
                after,
                next: None,
                is_youngest,
            };
        }
        let is_unread = |generation: &Generation| self.is_unread(*generation);
        let older = after.and_then(|after| self.files.get(&after));
        let younger = older.and_then(|older| older.younger);
        let younger = younger.filter(|younger| self.files.contains_key(younger));
        // One that was begun does not wait any more; what comes after it does.
        let next = younger
            .filter(is_unread)
            .or(base.filter(is_unread))
            .or(younger);
        let after = after.or_else(|| self.files[&next?].after);
        Neighbours {
            after,
            next,
            is_youngest,
        }
    }

    /// Whether a generation is to be read and was not begun.
    fn is_unread(&self, generation: Generation) -> bool {
        self.files.get(&generation).is_some_and(|file| {
            let is_begun = file.place.offset > 0 || file.holds_bytes();
            !is_begun && matches!(file.phase, Phase::Open | Phase::Waiting)
        })
    }

    /// Lets the oldest go of those that ended and have no name.
    fn forget_old_ones(&mut self) {
        let nameless: Vec<Generation> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::Ended && file.path.is_none())
            .map(|file| file.generation())
            .collect();
        let surplus = nameless.len().saturating_sub(ENDED_MAX);
        for generation in &nameless[..surplus] {
            if let Some(file) = self.files.remove(generation) {
                if self.by_identity.get(&file.identity) == Some(generation) {
                    self.by_identity.remove(&file.identity);
                }
                self.news.source = file.place.birth.source;
                self.news.fates.push((*generation, Fate::Forgotten));
            }
        }
        if surplus > 0 {
            let files = &self.files;
            self.chains.retain(|_, last| files.contains_key(last));
            let names: HashSet<&str> = files.values().map(|file| &*file.place.birth.name).collect();
            self.sources.retain(|name, _| names.contains(&**name));
            self.said
                .retain(|path, _| names.contains(&*path.to_string_lossy()));
        }
    }
}

/// Files of one rotated set together, the oldest first and the one with the plain name last.
fn in_order(newcomers: Vec<(PathBuf, Stat)>) -> impl Iterator<Item = (PathBuf, Stat)> {
    let mut order: HashMap<PathBuf, usize> = HashMap::new();
    let mut keyed: Vec<_> = newcomers
        .into_iter()
        .map(|(path, stat)| {
            let stem = patterns::stem(&path);
            let is_base = stem == path;
            let count = order.len();
            let set = *order.entry(stem).or_insert(count);
            (
                (set, is_base, stat.modified, stat.identity.born),
                path,
                stat,
            )
        })
        .collect();
    keyed.sort_unstable_by(|(a, path_a, _), (b, path_b, _)| {
        // Of two of the same moment the one with the larger number is older.
        a.cmp(b).then_with(|| path_b.cmp(path_a))
    });
    keyed.into_iter().map(|(_, path, stat)| (path, stat))
}

/// Offset of the line that stands `lines` lines before the end, a torn last line counted; for 0 that
/// of the torn last line, or the end.
fn lines_back(handle: &mut Handle, length: u64, lines: u64) -> std::io::Result<u64> {
    let mut last = [0];
    if length == 0 || handle.read_full(&mut last, length - 1)? == 0 {
        return Ok(length);
    }
    let read = |bytes: &mut [u8], offset| handle.read_full(bytes, offset).map(|_| ());
    match lines {
        0 if last == *b"\n" => Ok(length),
        0 => last_lines(length, 1, BACK_BYTES_MAX, read),
        _ => last_lines(length, lines, u64::MAX, read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::disk::real::Real;

    #[test]
    fn finds_the_line_so_many_lines_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        for (text, lines, want) in [
            ("", 3, 0),
            ("a\nb\nc\n", 0, 6),
            ("a\nb\nc\n", 1, 4),
            ("a\nb\nc\n", 2, 2),
            ("a\nb\nc\n", 3, 0),
            ("a\nb\nc\n", 9, 0),
            ("a\nb\ntorn", 0, 4),
            ("a\nb\ntorn", 1, 4),
            ("a\nb\ntorn", 2, 2),
            ("torn", 0, 0),
            ("\n\n\n", 2, 1),
        ] {
            let path = folder.path().join("a");
            std::fs::write(&path, text).unwrap();
            let mut handle = Handle::Plain(Real.open(&path).unwrap());
            let found = lines_back(&mut handle, text.len() as u64, lines).unwrap();
            assert_eq!(found, want, "{text:?} {lines}");
        }
    }
}
