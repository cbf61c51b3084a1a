//! The oracle: what was written, by source and sequence number, against what came out.
//!
//! The unit is the *fragment*: what a writer wrote in one go into one line. It holds its number
//! (`<source.sequence:…>`), so it is known wherever it turns up. A line is one fragment, or several
//! where a writer stopped in the middle. The rules, with where DESIGN.md says so:
//!
//! * **Nothing invented.** Every line that comes out is made of fragments, byte for byte, in the order
//!   and company in which they stood in a file. A line is cut between two fragments only where a file was
//!   rotated, copied, truncated or lost its power just there ("the last line of a rotated file that lacks
//!   its LF is written with one").
//! * **Exactly once** (section 10, files to file sink) for what was in a followed file when the program
//!   was last idle and alive, and for what is on disk at the end: under a followed name, or in a file that
//!   was one and was renamed, copied or compressed.
//! * **At most once** for the rest: lines destroyed before the program could have read them, and a last
//!   line without its line feed (it waits for the next start).
//! * **Twice is allowed** for what stood in a copy that cannot be recognised: "a copy of a followed file
//!   inside the glob is recognised from 1 KiB up; smaller files are always read". A file whose first
//!   kibibyte is not, after a power cut, what the program had read there is known no better than a small one.
//!   Where a backup or what a power cut left of a file ends between two places that were remembered, the
//!   program says from which byte on it reads again, and may.
//! * **Order** within one life of a file is that of its bytes; of two lives of one name that did not
//!   overlap, all of the first comes before the second ("a generation is drained before the next"). A life
//!   begins when its file is made or emptied. What a power cut brings back under a name that the file had
//!   lost may come late: the lives after it may have been read.
//!   Files that nobody has seen before are put in order by their modification times; if the wall clock was
//!   set back between the two lives, nothing else tells.
//! * After a power cut lines may be torn or full of NUL bytes in the files themselves. What is left of
//!   them may come out or not. A file that came back shorter than it was, or with zeros, may be read twice;
//!   a file whose writer synced may not.
//! * A failed fsync of the output ends the run with an error (FAULTS, F30). Linux shows the bytes from its
//!   cache as if nothing were wrong until the power goes, so no restart can know better: whoever starts
//!   the program again is taken to have seen to the disk. Where a failed fsync of the journal takes its last
//!   entries with it, the program may say that it does not know some bytes of its output, and repeat lines.
//! * Runs of NUL bytes below 4 KiB pass as part of a line where the program did not see how they came
//!   about (`sources::follow::nul`); they are left out before a line is compared.

use std::collections::{HashMap, HashSet};

/// A fragment's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    pub source: u32,
    pub sequence: u32,
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}.{}>", self.source, self.sequence)
    }
}

/// One life of a file as the world knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane(pub usize);

#[derive(Debug)]
struct Fragment {
    bytes: Vec<u8>,
    lane: Lane,
    /// A line feed follows.
    ends: bool,
    /// It stands directly behind this one, in the same line.
    follows: Option<Id>,
    /// The file ended for the program behind this one, though its line did not.
    stranded: bool,
    /// A power cut left the file with this at its end; whatever is written next stands behind it.
    open_end: bool,
    must: bool,
    /// A power cut brought its file back, under a name that others have had since.
    came_back: bool,
    /// Copies that cannot be recognised.
    copies: u32,
    seen: u32,
}

#[derive(Clone, Copy, Debug)]
struct Life {
    source: u32,
    /// Numbers of the first and the last action that wrote it.
    first: u64,
    last: u64,
}

#[derive(Debug, Default)]
pub struct Oracle {
    fragments: Vec<Vec<Fragment>>,
    lives: Vec<Life>,
    /// What is left of lines that a power cut tore.
    torn: HashSet<Vec<u8>>,
    /// There are NUL bytes within lines.
    pub has_nuls: bool,
    /// The program has said that lines may stand twice, and why.
    pub may_repeat: bool,
    /// Actions before which the wall clock was set back.
    set_backs: Vec<u64>,
    /// A copy was begun: it may stand there for ever without a truncation.
    pub is_copying: bool,
    /// CR before LF is no part of a record's text (JSON lines).
    pub cuts_returns: bool,
}

/// Part of a line.
#[derive(Debug, PartialEq, Eq)]
enum Tile {
    Whole(Id),
    Torn,
}

impl Oracle {
    pub fn new_lane(&mut self, source: u32, action: u64) -> Lane {
        self.lives.push(Life {
            source,
            first: action,
            last: action,
        });
        Lane(self.lives.len() - 1)
    }

    pub fn next_id(&mut self, source: u32) -> Id {
        let place = source as usize;
        if self.fragments.len() <= place {
            self.fragments.resize_with(place + 1, Vec::new);
        }
        Id {
            source,
            sequence: self.fragments[place].len() as u32,
        }
    }

    /// The fragment with the id that [`Oracle::next_id`] gave is being written.
    pub fn written(
        &mut self,
        id: Id,
        bytes: &[u8],
        lane: Lane,
        follows: Option<Id>,
        ends: bool,
        action: u64,
    ) {
        self.lives[lane.0].last = action;
        let list = &mut self.fragments[id.source as usize];
        assert_eq!(
            list.len(),
            id.sequence as usize,
            "fragments are numbered in order"
        );
        list.push(Fragment {
            bytes: bytes.to_vec(),
            lane,
            ends,
            follows,
            stranded: false,
            open_end: false,
            must: false,
            came_back: false,
            copies: 0,
            seen: 0,
        });
    }

    fn get(&self, id: Id) -> Option<&Fragment> {
        self.fragments
            .get(id.source as usize)?
            .get(id.sequence as usize)
    }

    fn get_mut(&mut self, id: Id) -> &mut Fragment {
        &mut self.fragments[id.source as usize][id.sequence as usize]
    }

    pub fn strand(&mut self, id: Id) {
        self.get_mut(id).stranded = true;
    }

    /// A file ends here for its readers: each half line in it may be the last that they saw.
    pub fn strand_halves(&mut self, content: &[u8]) {
        for id in self.ids(content, true) {
            let fragment = self.get_mut(id);
            fragment.stranded |= !fragment.ends;
        }
    }

    /// Every whole fragment of the lines of a file that have their line feed; `all`: also of the last
    /// line without one.
    pub fn ids(&self, content: &[u8], all: bool) -> Vec<Id> {
        let end = if all {
            content.len()
        } else {
            memchr::memrchr(b'\n', content).map_or(0, |place| place + 1)
        };
        let mut ids = Vec::new();
        for line in content[..end].split(|&byte| byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            for tile in self.tiles(line) {
                if let Ok(Tile::Whole(id)) = tile {
                    ids.push(id);
                }
            }
        }
        ids
    }

    pub fn must(&mut self, content: &[u8]) {
        for id in self.ids(content, false) {
            self.get_mut(id).must = true;
        }
    }

    pub fn copied(&mut self, content: &[u8]) {
        for id in self.ids(content, true) {
            self.get_mut(id).copies += 1;
        }
    }

    /// The wall clock is set back behind the action with this number.
    pub fn set_back(&mut self, action: u64) {
        self.set_backs.push(action);
    }

    /// A power cut took back what had become of a file's name: it stands again where others may have been
    /// read in the meantime, or where others are read first.
    pub fn came_back(&mut self, content: &[u8]) {
        for id in self.ids(content, true) {
            self.get_mut(id).came_back = true;
        }
    }

    /// A copy that cannot be recognised stopped for long behind its first `done` bytes: to a reader its
    /// last line ended there.
    pub fn stopped(&mut self, content: &[u8], done: usize) {
        let start = memchr::memrchr(b'\n', &content[..done]).map_or(0, |place| place + 1);
        let nuls = content[start..]
            .iter()
            .take_while(|&&byte| byte == 0)
            .count();
        // NUL bytes before a line are left out of it.
        let start = start + nuls;
        if start >= done {
            return;
        }
        let end = memchr::memchr(b'\n', &content[done..]).map_or(content.len(), |to| done + to);
        let mut at = start;
        for tile in self.tiles(&content[start..end]) {
            let length = match tile {
                Ok(Tile::Whole(id)) => self.get(id).expect("it was just found").bytes.len(),
                Ok(Tile::Torn) | Err(_) => return,
            };
            let cut = at.max(done.min(at + length));
            if at < cut && cut < at + length {
                self.torn.insert(content[at..cut].to_vec());
                self.torn.insert(content[cut..at + length].to_vec());
            } else if cut == at + length
                && cut == done
                && done < end
                && let Ok(Tile::Whole(id)) = self.tiles(&content[at..cut]).remove(0)
            {
                self.get_mut(id).stranded = true;
            }
            at += length;
        }
    }

    /// A file as a power cut left it; `harmed` if it held more before.
    pub fn survived(&mut self, content: &[u8], harmed: bool) {
        if harmed {
            // What the program had read is known by markers at the ends of its batches. What stands
            // behind the last marker that is left may be taken for new.
            self.copied(content);
        }
        self.has_nuls |= content.contains(&0);
        let mut torn = Vec::new();
        let lines = memchr::memchr_iter(b'\n', content).count();
        for (number, line) in content.split(|&byte| byte == b'\n').enumerate() {
            let mut last = None;
            for tile in self.tiles(line) {
                match tile {
                    Ok(Tile::Whole(id)) => last = Some(id),
                    Ok(Tile::Torn) => {}
                    Err(rest) => {
                        torn.push(rest.iter().copied().filter(|&byte| byte != 0).collect());
                        torn.push(rest.to_vec());
                    }
                }
            }
            // Of the last line the power cut may have taken the line feed alone.
            if let Some(id) = last
                && (!self.get_mut(id).ends || number == lines)
            {
                self.get_mut(id).stranded = true;
                self.get_mut(id).open_end = true;
            }
        }
        self.torn.extend(torn);
        self.torn.remove(&b""[..]);
    }

    /// Cuts a line without its line feed into fragments. What is none comes back as an error, up to
    /// the next one.
    fn tiles<'a>(&self, line: &'a [u8]) -> Vec<Result<Tile, &'a [u8]>> {
        let mut tiles = Vec::new();
        let mut place = 0;
        let mut unknown = 0;
        while place < line.len() {
            let rest = &line[place..];
            let found = match self.fragment_at(rest) {
                Some((id, length)) => Some((Tile::Whole(id), length)),
                None => self.torn_at(rest).map(|length| (Tile::Torn, length)),
            };
            match found {
                Some((tile, length)) => {
                    if unknown < place {
                        tiles.push(Err(&line[unknown..place]));
                    }
                    tiles.push(Ok(tile));
                    place += length;
                    unknown = place;
                }
                // A writer that keeps its offset leaves NUL bytes before what it writes next.
                None if rest[0] == 0 && unknown == place => {
                    place += 1;
                    unknown = place;
                }
                None => place += 1,
            }
        }
        if unknown < place {
            tiles.push(Err(&line[unknown..]));
        }
        tiles
    }

    fn fragment_at(&self, rest: &[u8]) -> Option<(Id, usize)> {
        // Heads are short.
        let window = &rest[..rest.len().min(HEAD_BYTES_MAX)];
        let open = memchr::memchr(b'<', window)?;
        let id = parse_id(&rest[open + 1..])?;
        let fragment = self.get(id)?;
        if rest.starts_with(&fragment.bytes) {
            return Some((id, fragment.bytes.len()));
        }
        (self.cuts_returns && fragment.bytes.strip_suffix(b"\r") == Some(rest))
            .then_some((id, rest.len()))
    }

    fn torn_at(&self, rest: &[u8]) -> Option<usize> {
        let fitting = self.torn.iter().filter(|torn| rest.starts_with(torn));
        let mut lengths: Vec<usize> = fitting.map(Vec::len).collect();
        lengths.sort_unstable();
        // The longest, unless a shorter one has something known behind it and that has not.
        let is_known = |length: &&usize| {
            let behind = &rest[**length..];
            behind.is_empty()
                || self.fragment_at(behind).is_some()
                || self.torn.iter().any(|torn| behind.starts_with(torn))
        };
        let known = lengths.iter().rev().find(is_known);
        known.or(lengths.last()).copied()
    }

    /// Judges everything that came out, lines in order. Returns what is wrong.
    pub fn judge(&mut self, output: &[u8]) -> Vec<String> {
        let mut problems = Vec::new();
        if !output.is_empty() && output.last() != Some(&b'\n') {
            problems.push("the output ends within a line".to_owned());
        }
        // Of each lane, the fragment that came last; of each source, the lane.
        let mut newest: HashMap<Lane, Id> = HashMap::new();
        let mut reached: HashMap<u32, Lane> = HashMap::new();
        let mut cleaned = Vec::new();
        let mut cuts = Vec::new();
        let output = output.strip_suffix(b"\n").unwrap_or(output);
        for line in output.split(|&byte| byte == b'\n') {
            if line.is_empty() && !self.has_nuls && !output.is_empty() {
                problems.push("an empty line".to_owned());
            }
            let line = if self.has_nuls {
                cleaned.clear();
                cleaned.extend(line.iter().copied().filter(|&byte| byte != 0));
                &cleaned
            } else {
                if line.contains(&0) {
                    problems.push(format!("NUL bytes: {}", shown(line)));
                }
                line
            };
            let mut before: Option<Tile> = None;
            let tiles = self.tiles(line);
            for tile in tiles {
                let tile = match tile {
                    Ok(tile) => tile,
                    Err(unknown) => {
                        problems.push(format!("invented: {} in {}", shown(unknown), shown(line)));
                        before = Some(Tile::Torn);
                        continue;
                    }
                };
                if let Tile::Whole(id) = tile {
                    self.came(id, &before, line, &mut problems);
                    self.in_order(id, &mut newest, &mut reached, &mut problems);
                }
                before = Some(tile);
            }
            if let Some(Tile::Whole(id)) = before {
                let fragment = self.get(id).expect("it was just found");
                if !fragment.ends && !fragment.stranded {
                    cuts.push((id, shown(line)));
                }
            }
        }
        for (id, line) in cuts {
            // Cut rightly if what followed was destroyed before it was read.
            let behind = Id {
                sequence: id.sequence + 1,
                ..id
            };
            let next = self.get(behind).filter(|next| next.follows == Some(id));
            if next.is_none_or(|next| next.must || next.seen > 0) {
                problems.push(format!("cut behind {id}: {line}"));
            }
        }
        self.counts(&mut problems);
        problems
    }

    fn came(&mut self, id: Id, before: &Option<Tile>, line: &[u8], problems: &mut Vec<String>) {
        let follows = self.get(id).expect("it was just found").follows;
        match (before, follows) {
            (None, None) | (Some(Tile::Torn), _) => {}
            (Some(Tile::Whole(before)), Some(follows)) if *before == follows => {}
            (None, Some(follows)) if self.get(follows).is_some_and(|f| f.stranded) => {}
            (Some(Tile::Whole(before)), None) if self.get(*before).is_some_and(|f| f.open_end) => {}
            (before, _) => {
                problems.push(format!("{id} behind {before:?}: {}", shown(line)));
            }
        }
        self.get_mut(id).seen += 1;
    }

    fn in_order(
        &self,
        id: Id,
        newest: &mut HashMap<Lane, Id>,
        reached: &mut HashMap<u32, Lane>,
        problems: &mut Vec<String>,
    ) {
        let fragment = self.get(id).expect("it was just found");
        if fragment.copies > 0 || self.may_repeat {
            return;
        }
        if let Some(before) = newest.insert(fragment.lane, id)
            && before >= id
        {
            problems.push(format!(
                "{id} after {before}, against the order of its file"
            ));
        }
        if fragment.stranded || fragment.came_back {
            // It went out when nobody was expected to finish it any more, or to see it again.
            return;
        }
        let life = self.lives[fragment.lane.0];
        let lane = reached.entry(life.source).or_insert(fragment.lane);
        let latest = self.lives[lane.0];
        let mut set_backs = self.set_backs.iter();
        if life.last < latest.first {
            if set_backs.any(|at| (life.last..=latest.last).contains(at)) {
                return;
            }
            problems.push(format!(
                "{id} after lines of a later life of its name ({}..{} after {}..{})",
                life.first, life.last, latest.first, latest.last
            ));
        } else if latest.first < life.first {
            *lane = fragment.lane;
        }
    }

    fn counts(&self, problems: &mut Vec<String>) {
        for (source, list) in self.fragments.iter().enumerate() {
            for (sequence, fragment) in list.iter().enumerate() {
                let least = u32::from(fragment.must);
                let most = if self.may_repeat {
                    u32::MAX
                } else {
                    1 + fragment.copies
                };
                if fragment.seen < least || fragment.seen > most {
                    problems.push(format!(
                        "<{source}.{sequence}> came {} times, not {least} to {most}",
                        fragment.seen
                    ));
                }
            }
        }
    }

    /// Lines may stand in the output twice for a reason that the program cannot know.
    pub fn has_copies(&self) -> bool {
        let mut all = self.fragments.iter().flatten();
        self.is_copying || all.any(|fragment| fragment.copies > 0)
    }

    /// Fragments written, and those that had to come.
    pub fn sizes(&self) -> (usize, usize) {
        let all = self.fragments.iter().flatten();
        (
            all.clone().count(),
            all.filter(|fragment| fragment.must).count(),
        )
    }
}

/// Longest text before a fragment's number.
const HEAD_BYTES_MAX: usize = 80;

/// `3.14:` at the start.
fn parse_id(text: &[u8]) -> Option<Id> {
    let end = memchr::memchr(b':', &text[..text.len().min(24)])?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    let (source, sequence) = text.split_once('.')?;
    Some(Id {
        source: source.parse().ok()?,
        sequence: sequence.parse().ok()?,
    })
}

pub fn shown(bytes: &[u8]) -> String {
    let mut text = bytes[..bytes.len().min(300)].escape_ascii().to_string();
    if bytes.len() > 300 {
        text.push('…');
    }
    text
}
