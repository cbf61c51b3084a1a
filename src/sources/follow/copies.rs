//! Which file is a copy of which: what `copytruncate`, a backup or a compressor makes of a followed
//! file. A copy is not read again; when its original is truncated, the generation goes on in the copy
//! until that is read to its end.
//!
//! While the original is there, its bytes decide. When it is gone, its markers do: the first
//! kibibyte, and the bytes before an offset that was read. Files below a kibibyte are always read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Identity, directory_of};
use crate::flow::mark::{Fate, Generation, HEAD_BYTES, Marker, Place};
use crate::framing::chunker::Why;
use crate::sources::follow::decoded::Decoded;
use crate::sources::follow::followed::{Followed, Phase};
use crate::sources::follow::handle::Handle;
use crate::sources::follow::{Follower, patterns};

/// How much of two files' ends is compared.
const COMPARED_BYTES: usize = 4096;

/// What a file is to a generation that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// It has all that was read, and perhaps more.
    Whole,
    /// It has a part of what was read, and nothing else.
    Part,
    Other,
}

/// What the bytes of a file say about it and one that is read.
enum Compared {
    Same,
    Other,
    /// It has all that the one that is read has, and more: that one is the copy.
    Longer,
    /// The one that is read has changed.
    Changed,
    /// One of them cannot be read at present.
    Unknown,
}

/// Compares a file with what is known of a generation that was read up to its place's offset.
/// `length` is `None` for a compressed file, whose text has to be read to know.
pub(super) fn likeness(
    place: &Place,
    handle: &mut Handle,
    length: Option<u64>,
) -> io::Result<Likeness> {
    let reaches = |marker: &Marker| length.is_none_or(|length| length >= marker.end);
    if place.head.length > 0 && reaches(&place.head) && !handle.holds(&place.head)? {
        return Ok(Likeness::Other);
    }
    match place.waypoints.last() {
        Some(last) if last.end == place.offset && reaches(&last) => {
            if handle.holds(&last)? {
                return Ok(Likeness::Whole);
            }
            if length.is_some() {
                return Ok(Likeness::Other);
            }
        }
        None if place.offset == 0 => return Ok(Likeness::Whole),
        _ => {}
    }
    // The nearest place below its end tells, unless too much of it would be taken on trust.
    let end = match (length, &mut *handle) {
        (Some(length), _) => length,
        (None, handle) => text_length(handle, place.offset)?,
    };
    match place.waypoints.before(end) {
        Some(waypoint) if waypoint.end >= end / 2 && handle.holds(&waypoint)? => Ok(Likeness::Part),
        _ => Ok(Likeness::Other),
    }
}

/// How far a file is known to hold what was read of a generation, if that is at least up to `least`.
pub(super) fn held(place: &Place, handle: &mut Handle, least: u64) -> io::Result<Option<Marker>> {
    if place.head.length == 0 || !handle.holds(&place.head)? {
        return Ok(None);
    }
    let enough = place.waypoints.iter().rev();
    for waypoint in enough.take_while(|waypoint| waypoint.end >= least) {
        if handle.holds(waypoint)? {
            return Ok(Some(*waypoint));
        }
    }
    Ok((least == 0).then(Marker::default))
}

/// How often bytes are asked for once more after an error of reading, before the answer is no.
const TRIES: usize = 20;

/// Asks again after an error of reading.
pub(super) fn persistently<T>(mut ask: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut answer = ask();
    for _ in 0..TRIES {
        if answer.is_ok() {
            break;
        }
        answer = ask();
    }
    answer
}

/// The bytes that are compared before an offset; none if the file is shorter.
fn bytes_before(handle: &mut Handle, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let start = offset.saturating_sub(COMPARED_BYTES as u64);
    let mut bytes = vec![0; (offset - start) as usize];
    let count = handle.read_full(&mut bytes, start)?;
    Ok((count == bytes.len()).then_some(bytes))
}

/// Bytes of text in a compressed file, up to `most`.
pub(super) fn text_length(handle: &mut Handle, most: u64) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut length = 0;
    while length < most {
        match handle.read_at(&mut buffer, length)? {
            0 => break,
            count => length += count as u64,
        }
    }
    Ok(length.min(most))
}

impl Follower {
    /// Looks at a file that was never read: whether it is a copy of one that was. True if it is to be
    /// read now.
    pub(super) fn check_fresh(&mut self, generation: Generation, now: Duration) -> bool {
        match self.judge_fresh(generation, now) {
            Ok(reads) => reads,
            Err(error) => {
                self.failing(generation, &error, now);
                false
            }
        }
    }

    fn judge_fresh(&mut self, generation: Generation, now: Duration) -> io::Result<bool> {
        if !self.open(generation)? {
            // It is found again by a scan, or let go.
            self.timed.insert(generation);
            return Ok(false);
        }
        let file = self.files.get_mut(&generation).expect("its turn it is");
        let handle = file.handle.as_mut().expect("it was just opened");
        // A compressor makes its file first and fills it later: what was opened empty may turn out to
        // be compressed.
        if let Handle::Plain(plain) = handle
            && let Some(decoded) = Decoded::open(plain, &file.place.birth.name)?
        {
            *handle = Handle::Decoded(Box::new(decoded));
        }
        let length = handle.length()?;
        if length == Some(0) {
            file.caught_up = true;
            self.start_younger(generation, now);
            return Ok(false);
        }
        let head = handle.head()?;
        if usize::from(head.length) < HEAD_BYTES {
            file.is_unchecked = false;
            return Ok(true);
        }
        for original in self.alike(generation, &head) {
            if self.is_copy(generation, original, &head, length, now)? {
                return Ok(false);
            }
        }
        if let Some(file) = self.files.get_mut(&generation) {
            file.is_unchecked = false;
        }
        Ok(true)
    }

    /// Generations that a file may be a copy of, the youngest first: those with the same head, and those
    /// of the same rotated set whose head is not known in full, because nobody has read so far.
    fn alike(&self, generation: Generation, head: &Marker) -> Vec<Generation> {
        let file = &self.files[&generation];
        // Between two names of a rotation, or removed, it is known by the one it had.
        let path = file.path.clone();
        let path = path.unwrap_or_else(|| file.place.birth.path());
        let (directory, stem) = (path.parent(), patterns::stem(&path));
        let source = file.place.birth.source;
        self.files
            .values()
            .filter(|other| other.generation() != generation)
            .filter(|other| {
                if usize::from(other.place.head.length) == HEAD_BYTES {
                    // Beside it, or beside where a link of the same source leads.
                    return other.place.head == *head
                        && (other.place.birth.source == source
                            || other.place.birth.path().parent() == directory);
                }
                // Of a longer file that began later it cannot be one.
                matches!(other.phase, Phase::Open | Phase::Waiting)
                    && !other.is_unchecked
                    && patterns::stem(&other.place.birth.path()) == stem
            })
            .map(|file| file.generation())
            .rev()
            .collect()
    }

    /// Whether the file is a copy of `original`, which has the same head; does what follows from it.
    fn is_copy(
        &mut self,
        generation: Generation,
        original: Generation,
        head: &Marker,
        length: Option<u64>,
        now: Duration,
    ) -> io::Result<bool> {
        let other = &self.files[&original];
        let is_known = other.place.head == *head;
        let stands = matches!(other.phase, Phase::Open | Phase::Waiting)
            && (other.path.is_some() || other.handle.is_some())
            && (other.phase == Phase::Open || !is_known);
        if stands && self.open_both(original, generation)? {
            return Ok(match self.compare(generation, original, head, length)? {
                Compared::Same => {
                    self.set_copy(generation, original);
                    true
                }
                Compared::Other => false,
                Compared::Longer => {
                    self.go_on_behind(generation, original, now)?;
                    true
                }
                Compared::Changed => {
                    // The original is not what was read of it: it comes first.
                    self.ready(original);
                    self.timed.insert(generation);
                    self.scan_by(now);
                    true
                }
                Compared::Unknown => {
                    self.timed.insert(generation);
                    true
                }
            });
        }
        let other = &self.files[&original];
        // Where the whole of it could not be read once, less of it is known of a long file.
        let is_long = other.place.offset >= HEAD_BYTES as u64 && other.place.head.length > 0;
        if !(is_known || is_long) || matches!(other.phase, Phase::CopyOf(_) | Phase::Waiting) {
            return Ok(false);
        }
        let place = other.place.clone();
        // With few descriptors the original may have taken this one's.
        if !self.open(generation)? {
            self.timed.insert(generation);
            return Ok(true);
        }
        let file = self.files.get_mut(&generation).expect("it was just there");
        let handle = file.handle.as_mut().expect("it was just opened");
        Ok(match likeness(&place, handle, length)? {
            Likeness::Whole => {
                self.move_to(original, generation);
                true
            }
            Likeness::Part => {
                self.end(generation);
                true
            }
            Likeness::Other => false,
        })
    }

    /// Whether a file that nobody has begun is what another was copied from; then it goes on behind that.
    pub(super) fn is_longer(
        &mut self,
        generation: Generation,
        copy: Generation,
        now: Duration,
    ) -> bool {
        let is_begun = |file: &Followed| !file.is_unchecked || file.place.offset > 0;
        if generation == copy
            || self
                .files
                .get(&generation)
                .is_none_or(|file| is_begun(file))
        {
            return false;
        }
        let mut judge = || -> io::Result<bool> {
            if !self.open_both(copy, generation)? {
                return Ok(false);
            }
            let file = self.files.get_mut(&generation).expect("it was just there");
            let Some(handle @ Handle::Plain(_)) = &mut file.handle else {
                return Ok(false);
            };
            let head = handle.head()?;
            let length = handle.length()?;
            let is_head =
                usize::from(head.length) == HEAD_BYTES && head == self.files[&copy].place.head;
            let is_longer = is_head
                && matches!(
                    self.compare(generation, copy, &head, length)?,
                    Compared::Longer
                );
            if is_longer {
                self.go_on_behind(generation, copy, now)?;
            }
            Ok(is_longer)
        };
        judge().unwrap_or(false)
    }

    /// Compares a file with one that is read, byte by byte at its end.
    fn compare(
        &mut self,
        generation: Generation,
        original: Generation,
        head: &Marker,
        length: Option<u64>,
    ) -> io::Result<Compared> {
        let file = self.files.get_mut(&generation).expect("both are there");
        let Some(handle) = &mut file.handle else {
            return Ok(Compared::Unknown);
        };
        let length = match length {
            Some(length) => length,
            None => match text_length(handle, u64::MAX) {
                Ok(length) => length,
                // It is being compressed: what it is shows when it is whole, or the original goes.
                Err(_) => return Ok(Compared::Same),
            },
        };
        let Some(bytes) = bytes_before(handle, length)? else {
            return Ok(Compared::Unknown);
        };
        let file = self.files.get_mut(&original).expect("both are there");
        let front = file.front();
        let Some(handle) = &mut file.handle else {
            return Ok(Compared::Unknown);
        };
        let is_head = handle.holds(head)?;
        if is_head && bytes_before(handle, length)?.is_some_and(|others| others == bytes) {
            return Ok(Compared::Same);
        }
        let others_length = match handle {
            Handle::Plain(plain) => plain.stat()?.length,
            Handle::Decoded(_) => u64::MAX,
        };
        // Truncated and perhaps written anew since it was read, and nobody has noticed yet.
        let is_shorter = others_length < front;
        if is_head && !is_shorter && others_length < length && front > 0 {
            let others = bytes_before(handle, others_length)?;
            let own = self.files.get_mut(&generation).expect("both are there");
            if let (Some(handle @ Handle::Plain(_)), Some(others)) = (&mut own.handle, others)
                && bytes_before(handle, others_length)?.is_some_and(|bytes| bytes == others)
            {
                return Ok(Compared::Longer);
            }
        }
        let file = self.files.get_mut(&original).expect("both are there");
        Ok(match is_shorter || !file.is_same()? {
            true => Compared::Changed,
            false => Compared::Other,
        })
    }

    fn set_copy(&mut self, generation: Generation, original: Generation) {
        let file = self.files.get_mut(&generation).expect("it was just there");
        file.phase = Phase::CopyOf(original);
        file.caught_up = true;
        // Until the original was read that far, or if this one is not whole yet, it may turn out to be
        // no copy.
        self.timed.insert(generation);
    }

    /// The copy of a file was read before the file itself, which nobody had begun when the copy was made:
    /// the file goes on where the copy was read to. The copy is forgotten; when it is found again, it is
    /// one like any other.
    fn go_on_behind(
        &mut self,
        generation: Generation,
        copy: Generation,
        now: Duration,
    ) -> io::Result<()> {
        // What the copy took over from an older file stands in no other.
        if self.files[&copy].carries() {
            self.flush(copy, Why::Quiet);
        }
        let read = self.files[&copy].place.clone();
        let file = self.files.get_mut(&generation).expect("both are there");
        let (Some(Handle::Plain(plain)), Some(path)) = (&file.handle, file.path.clone()) else {
            self.timed.insert(generation);
            return Ok(());
        };
        // What is told of a generation goes out behind what was read of it.
        if !self.outgoing.is_empty() {
            self.timed.insert(generation);
            return Ok(());
        }
        let stat = plain.stat()?;
        let handle = file.handle.as_mut().expect("it was just there");
        let tail = handle.tail(read.offset)?;
        let name = Arc::clone(&file.place.birth.name);
        let mut birth = self.birth(&path, &name, &stat, read.offset, read.head, tail);
        // Lines that went out as they came stand here as well as there.
        birth.open_from = match &read.open[..] {
            [open] if open.generation == copy => Some(open.from),
            _ => None,
        };
        let young = birth.generation;
        if let Some(copied) = self.forget(copy, None)
            && self.by_identity.get(&copied.identity) == Some(&copy)
        {
            self.by_identity.remove(&copied.identity);
        }
        let Some(found) = self.forget(generation, Some(young)) else {
            return Ok(());
        };
        (birth.after, birth.before) = (found.after, found.younger);
        let birth = Arc::new(birth);
        self.news.births.push(Arc::clone(&birth));
        let mut file = Followed::new(Place::new(birth), Some(path.clone()), Some(&stat), now);
        (file.after, file.younger) = (found.after, found.younger);
        file.is_polled = !self.hints.watch_file(&path, young);
        // What stands before its start is known as after a restart.
        file.is_unsettled = true;
        self.by_identity.insert(stat.identity, young);
        self.files.insert(young, Box::new(file));
        self.ready(young);
        self.scan_at = now;
        Ok(())
    }

    /// Whether a copy has to be looked at again soon: its original is not known well enough.
    pub(super) fn is_doubtful(&self, original: Generation) -> bool {
        self.files.get(&original).is_none_or(|original| {
            original.phase != Phase::Open || usize::from(original.place.head.length) < HEAD_BYTES
        })
    }

    /// A copy has changed, or its original has: looks again.
    pub(super) fn check_copy(&mut self, generation: Generation, now: Duration) {
        if let Some(file) = self.files.get_mut(&generation) {
            file.phase = Phase::Open;
            file.is_unchecked = true;
        }
        if self.check_fresh(generation, now) {
            self.ready(generation);
        }
    }

    /// The copies of a generation are looked at again: it has lost its name, or has ended.
    pub(super) fn wake_copies(&mut self, original: Generation) {
        let copies: Vec<Generation> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::CopyOf(original))
            .map(|file| file.generation())
            .collect();
        copies.into_iter().for_each(|copy| self.ready(copy));
    }

    /// A generation was truncated: goes on in its copy, if one has bytes that were not read.
    pub(super) fn move_to_copy(&mut self, generation: Generation, now: Duration) -> bool {
        let known: Vec<Generation> = self
            .files
            .values()
            .filter(|file| file.phase == Phase::CopyOf(generation))
            .map(|file| file.generation())
            .collect();
        let known = known
            .into_iter()
            .any(|copy| persistently(|| self.goes_on_in(generation, copy)).unwrap_or(false));
        known
            || self.siblings(generation).into_iter().any(|path| {
                persistently(|| self.goes_on_at(generation, &path, now)).unwrap_or(false)
            })
    }

    /// Whether a generation that was truncated goes on in the file at a path beside it.
    fn goes_on_at(
        &mut self,
        generation: Generation,
        path: &Path,
        now: Duration,
    ) -> io::Result<bool> {
        let Some((mut handle, stat)) = self.open_path(path)? else {
            return Ok(false);
        };
        let known = self.by_identity.get(&stat.identity).copied();
        // A file that was seen and not looked into yet may be the copy.
        let fresh = known.filter(|known| {
            let known = self.files.get(known);
            known.is_some_and(|known| {
                known.is_unchecked
                    && known.place.offset == 0
                    && matches!(known.phase, Phase::Open | Phase::Waiting)
            })
        });
        let own = self.files[&generation].identity;
        let is_read = known.is_some_and(|known| {
            let known = self.files.get(&known);
            known.is_some_and(|known| known.phase != Phase::Ended || stat.identity.born != 0)
        });
        if stat.identity == own || (is_read && fresh.is_none()) {
            return Ok(false);
        }
        let length = match handle {
            Handle::Plain(_) => Some(stat.length),
            Handle::Decoded(_) => None,
        };
        let file = &self.files[&generation];
        // Where the whole of it could not be read once, less of it is known of a long file.
        let head = file.place.head;
        let is_long = file.front() >= HEAD_BYTES as u64 && head.length > 0;
        let is_head = is_long && handle.holds(&head)?;
        if !is_head {
            return Ok(false);
        }
        // After a restart only the checkpoint knows what stood before the front.
        let last = file.place.waypoints.last();
        let tail = match (file.tail(), last) {
            (tail, Some(last)) if tail.length == 0 && last.end == tail.end => last,
            (tail, _) => tail,
        };
        let reaches = length.is_none_or(|length| length >= tail.end);
        if reaches && tail.length > 0 && handle.holds(&tail)? {
            match fresh {
                Some(copy) if self.open(copy)? => self.move_to(generation, copy),
                Some(_) => return Ok(false),
                None => self.move_onto(generation, handle, stat.identity, path.to_owned()),
            }
            return Ok(true);
        }
        if fresh.is_none() && likeness(&file.place.clone(), &mut handle, length)? == Likeness::Part
        {
            // All of it was read: known, so that it is not taken for a new file.
            let young = self.give_birth(path, &stat, None, now);
            self.end(young);
        }
        Ok(false)
    }

    /// Whether a known copy has the bytes before the front, and so may have those behind it.
    fn goes_on_in(&mut self, generation: Generation, copy: Generation) -> io::Result<bool> {
        let tail = self.files[&generation].tail();
        if !self.open(copy)? {
            return Ok(false);
        }
        let place = self.files[&generation].place.clone();
        let file = self.files.get_mut(&copy).expect("it was just there");
        let handle = file.handle.as_mut().expect("it was just opened");
        if handle.holds(&tail)? && tail.length > 0 {
            self.move_to(generation, copy);
            return Ok(true);
        }
        let length = handle.length()?;
        if likeness(&place, handle, length)? == Likeness::Part {
            // A part of what was read, made while it was written on.
            self.end(copy);
        } else {
            // It holds more than that, or something else: looked at anew.
            file.phase = Phase::Open;
            file.is_unchecked = true;
            self.ready(copy);
        }
        Ok(false)
    }

    /// The generation goes on in the file that was found as `copy`, which is forgotten.
    fn move_to(&mut self, generation: Generation, copy: Generation) {
        let Some(mut found) = self.forget(copy, Some(generation)) else {
            return;
        };
        if let (Some(handle), Some(path)) = (found.handle.take(), found.path.take()) {
            self.move_onto(generation, handle, found.identity, path);
        }
    }

    /// A generation is forgotten whose file is another one's. Its neighbours in its rotated set have
    /// `instead` for it, or each other.
    pub(super) fn forget(
        &mut self,
        generation: Generation,
        instead: Option<Generation>,
    ) -> Option<Box<Followed>> {
        self.hints.forget_file(generation);
        let found = self.files.remove(&generation)?;
        self.handles -= usize::from(found.handle.is_some());
        self.timed.remove(&generation);
        self.news.fates.push((generation, Fate::Forgotten));
        self.news.source = found.place.birth.source;
        for file in self.files.values_mut() {
            if file.after == Some(generation) {
                file.after = instead.or(found.after);
            }
            if file.younger == Some(generation) {
                file.younger = match Some(file.generation()) == instead {
                    true => found.younger,
                    false => instead.or(found.younger),
                };
            }
        }
        let youngest = instead.or(found.after);
        self.chains.retain(|_, last| {
            let is_it = *last == generation;
            *last = youngest.filter(|_| is_it).unwrap_or(*last);
            *last != generation
        });
        Some(found)
    }

    fn move_onto(
        &mut self,
        generation: Generation,
        handle: Handle,
        identity: Identity,
        path: PathBuf,
    ) {
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        let was_open = file.handle.replace(handle).is_some();
        self.handles += usize::from(!was_open);
        file.phase = Phase::Open;
        file.gone_at = None;
        file.caught_up = false;
        file.length = 0;
        file.is_polled = !self.hints.watch_file(&path, generation);
        file.path = Some(path);
        self.news.source = file.place.birth.source;
        self.news.fates.push((generation, Fate::Moved(identity)));
        self.change_identity(generation, identity);
        self.ready(generation);
    }

    /// The generation is this file now, and no longer the one that it was.
    pub(super) fn change_identity(&mut self, generation: Generation, identity: Identity) {
        let Some(file) = self.files.get_mut(&generation) else {
            return;
        };
        if self.by_identity.get(&file.identity) == Some(&generation) {
            self.by_identity.remove(&file.identity);
        }
        file.identity = identity;
        Arc::make_mut(&mut file.place.birth).identity = identity;
        self.by_identity.insert(identity, generation);
    }

    /// Paths beside a generation's own that a rotation may have given to it or to its copy.
    pub(super) fn siblings(&self, generation: Generation) -> Vec<PathBuf> {
        let file = &self.files[&generation];
        let own = file.place.birth.path();
        // Behind a link the rotation happens where it leads.
        let real = self.disk.resolve(&own).ok();
        let real = real.filter(|real| directory_of(real) != directory_of(&own));
        let mut siblings = Vec::new();
        for own in std::iter::once(own).chain(real) {
            let stem = patterns::stem(&own);
            let names = self.disk.list(directory_of(&own)).unwrap_or_default();
            let paths = names.into_iter().map(|name| own.with_file_name(name));
            siblings.extend(paths.filter(|path| patterns::stem(path) == stem));
        }
        siblings
    }
}
