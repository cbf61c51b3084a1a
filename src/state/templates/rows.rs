//! Messages with the same number of words as rows of a table, and the rounds that find the
//! columns that vary. Every decision is made from the set of rows in a bucket, never from their
//! order.

use super::words::{Word, split};

/// So many different words in one place, all else equal, are values and not three ways to say it.
const DISTINCT_MIN: usize = 3;
/// A message has to say this much besides what varies: short messages have little else than the
/// one word that tells them apart.
const SAYING_MIN: usize = 3;
/// With a mask, a path or nothing in the place the evidence is in the words themselves.
const SAYING_MIN_VALUES: usize = 2;
/// So many constants in one place are no longer a short list of states or commands.
const CONSTANTS_MIN: usize = 10;
/// A word is rare when the next more frequent word of its row stands in so many times more rows.
const RARE_RATIO: u32 = 3;
/// Rounds end when nothing changes; each adds a star, so this is a bound for hostile sets only.
const ROUNDS_MAX: usize = 12;

/// Finds the numbers whose key may be the key of another one, so that only those are sorted.
struct Twins {
    slots: Vec<u8>,
    numbers: Vec<usize>,
}

impl Twins {
    fn new(rows: usize) -> Twins {
        Twins {
            slots: vec![0; (rows * 16).next_power_of_two()],
            numbers: Vec::new(),
        }
    }

    /// All numbers below `rows` whose key, or one that falls into the same slot, comes twice.
    fn find(&mut self, rows: usize, key: impl Fn(usize) -> u64) {
        self.slots.fill(0);
        let mask = self.slots.len() - 1;
        let slot = |key: u64| (key >> 16) as usize & mask;
        for number in 0..rows {
            let seen = &mut self.slots[slot(key(number))];
            *seen = (*seen + 1).min(2);
        }
        self.numbers.clear();
        let slots = &self.slots;
        self.numbers
            .extend((0..rows).filter(|&number| slots[slot(key(number))] == 2));
    }
}

/// A hash of the words that stay, order and place included.
pub fn fixed_words(words: &[Word], stars: u64) -> u64 {
    let words = words.iter().enumerate();
    let fixed = words.filter(|(at, _)| stars >> at & 1 == 0);
    fixed.fold(0, |sum: u64, (at, word)| sum.wrapping_add(word.at(at)))
}

pub struct Rows {
    width: usize,
    words: Vec<Word>,
    /// Rows that stand for themselves; the others are equal to the row in `owner`.
    alive: Vec<u32>,
    owner: Vec<u32>,
}

pub struct Group {
    /// Rows in ascending order.
    pub members: Vec<u32>,
    pub stars: u64,
}

/// A place that may become a star: how sure, and where.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    row: u32,
    ordinary: bool,
    distinct_from_max: u32,
    position: u32,
}

impl Rows {
    pub fn new<'a>(width: usize, texts: impl Iterator<Item = &'a [u8]>) -> Rows {
        let mut words = Vec::new();
        let mut rows = 0u32;
        for text in texts {
            words.extend(split(text).map(Word::new));
            rows += 1;
        }
        Rows {
            width,
            words,
            alive: (0..rows).collect(),
            owner: (0..rows).collect(),
        }
    }

    pub fn grouped(mut self) -> Vec<Group> {
        for _ in 0..ROUNDS_MAX {
            if self.width == 0 || self.alive.len() < 2 {
                break;
            }
            if !self.round() && !self.round_of_rare_words() {
                break;
            }
            self.unite_equal_rows();
        }
        self.into_groups()
    }

    fn row(&self, row: u32) -> &[Word] {
        &self.words[row as usize * self.width..][..self.width]
    }

    fn hash(&self, row: u32) -> u64 {
        fixed_words(self.row(row), 0)
    }

    /// Stars every place that a bucket of rows, equal but for this place, shows to vary.
    fn round(&mut self) -> bool {
        let hashes: Vec<u64> = self.alive.iter().map(|&row| self.hash(row)).collect();
        let mut bucket_of: Vec<(u64, Word, u32)> = Vec::new();
        let mut twins = Twins::new(self.alive.len());
        let mut candidates = Vec::new();
        for position in 0..self.width {
            let without = |number: usize| {
                let word = self.row(self.alive[number])[position];
                hashes[number].wrapping_sub(word.at(position))
            };
            twins.find(hashes.len(), without);
            bucket_of.clear();
            bucket_of.extend(twins.numbers.iter().map(|&number| {
                let row = self.alive[number];
                (without(number), self.row(row)[position], row)
            }));
            bucket_of.sort_unstable();
            for bucket in bucket_of.chunk_by(|a, b| a.0 == b.0) {
                if bucket.len() > 1 {
                    self.judge(position, bucket, &mut candidates);
                }
            }
        }
        self.apply(candidates)
    }

    fn judge(&self, position: usize, bucket: &[(u64, Word, u32)], candidates: &mut Vec<Candidate>) {
        let saying = self.saying(bucket[0].2) - usize::from(bucket[0].1.says());
        let distinct = || bucket.chunk_by(|a, b| a.1 == b.1).map(|rows| rows[0].1);
        let all = distinct().count();
        let constants = distinct().filter(|word| word.is_constant()).count();
        let values = distinct()
            .filter(|word| word.is_blank() || word.is_path() || word.is_numbered())
            .count();
        let blank = distinct().any(Word::is_blank);
        let varying = all - constants;
        let only_values = values == varying;
        let needed = if only_values {
            SAYING_MIN_VALUES
        } else {
            SAYING_MIN
        };
        if saying < needed || all < 2 {
            return;
        }
        let enough = varying >= DISTINCT_MIN || (varying >= 2 && (blank || only_values));
        let with_constants = all >= CONSTANTS_MIN;
        if !enough && !with_constants {
            return;
        }
        for &(_, word, row) in bucket {
            if word != Word::STAR && (with_constants || !word.is_constant()) {
                candidates.push(Candidate {
                    row,
                    ordinary: !only_values,
                    distinct_from_max: u32::MAX - u32::try_from(all).unwrap_or(u32::MAX),
                    position: u32::try_from(position).expect("positions are below WORDS_MAX"),
                });
            }
        }
    }

    /// Values that change together, or several that are free, leave no two rows that differ in
    /// one place only. Here rows are compared without the words that are rare in their place,
    /// measured by the other words of the row: the words of the program stand in all its
    /// messages, values in few of them.
    fn round_of_rare_words(&mut self) -> bool {
        let counts = self.counts();
        let mut without: Vec<(u64, u64, u32)> = Vec::new();
        let mut sorted = Vec::with_capacity(self.width);
        for (counts, &row) in counts.chunks_exact(self.width).zip(&self.alive) {
            sorted.clear();
            sorted.extend_from_slice(counts);
            sorted.sort_unstable();
            let gaps = sorted
                .windows(2)
                .filter(|pair| pair[1] / pair[0] >= RARE_RATIO);
            // Of equal gaps the one that makes fewer words rare.
            let Some(gap) = gaps.min_by_key(|pair| (u32::MAX - pair[1] / pair[0], pair[0])) else {
                continue;
            };
            let (mut places, mut saying) = (0u64, 0);
            for (at, word) in self.row(row).iter().enumerate() {
                if counts[at] <= gap[0] {
                    places |= 1 << at;
                } else {
                    saying += usize::from(word.says());
                }
            }
            let stars = places.count_ones() as usize;
            if saying >= SAYING_MIN.max(stars + 1) {
                without.push((fixed_words(self.row(row), places), places, row));
            }
        }
        without.sort_unstable();
        let mut changed = false;
        for bucket in without.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            if bucket.len() >= DISTINCT_MIN && self.all_vary(bucket) {
                changed = true;
                for &(_, places, row) in bucket {
                    for position in (0..self.width).filter(|at| places >> at & 1 == 1) {
                        self.words[row as usize * self.width + position] = Word::STAR;
                    }
                }
            }
        }
        changed
    }

    /// Whether each place of the bucket holds enough different values, and hardly a constant
    /// (among many values some look like one).
    fn all_vary(&self, bucket: &[(u64, u64, u32)]) -> bool {
        let places = bucket[0].1;
        let mut column: Vec<Word> = Vec::with_capacity(bucket.len());
        (0..self.width)
            .filter(|at| places >> at & 1 == 1)
            .all(|position| {
                column.clear();
                column.extend(bucket.iter().map(|&(_, _, row)| self.row(row)[position]));
                column.sort_unstable();
                column.dedup();
                let constants = column.iter().filter(|word| word.is_constant()).count();
                column.len() >= DISTINCT_MIN && constants * CONSTANTS_MIN <= column.len()
            })
    }

    /// How many living rows have the same word in the same place, for each word of each.
    fn counts(&self) -> Vec<u32> {
        let mut counts = vec![1; self.alive.len() * self.width];
        let mut twins = Twins::new(self.alive.len());
        let mut column: Vec<(Word, usize)> = Vec::new();
        for position in 0..self.width {
            let word = |number: usize| self.row(self.alive[number])[position];
            twins.find(self.alive.len(), |number| word(number).0);
            column.clear();
            column.extend(twins.numbers.iter().map(|&number| (word(number), number)));
            column.sort_unstable();
            for equal in column.chunk_by(|a, b| a.0 == b.0) {
                let count = u32::try_from(equal.len()).unwrap_or(u32::MAX);
                for &(_, number) in equal {
                    counts[number * self.width + position] = count;
                }
            }
        }
        counts
    }

    fn saying(&self, row: u32) -> usize {
        self.row(row).iter().filter(|word| word.says()).count()
    }

    /// The surest places first, as long as the row still says enough.
    fn apply(&mut self, mut candidates: Vec<Candidate>) -> bool {
        candidates.sort_unstable();
        let mut changed = false;
        for places in candidates.chunk_by(|a, b| a.row == b.row) {
            let row = places[0].row;
            let mut saying = self.saying(row);
            for place in places {
                let at = row as usize * self.width + place.position as usize;
                let after = saying - usize::from(self.words[at].says());
                let needed = if place.ordinary {
                    SAYING_MIN
                } else {
                    SAYING_MIN_VALUES
                };
                if after >= needed {
                    self.words[at] = Word::STAR;
                    saying = after;
                    changed = true;
                }
            }
        }
        changed
    }

    fn unite_equal_rows(&mut self) {
        let mut alive: Vec<(u64, u32)> = self
            .alive
            .iter()
            .map(|&row| (self.hash(row), row))
            .collect();
        alive.sort_unstable();
        self.alive.clear();
        for equal in alive.chunk_by(|a, b| a.0 == b.0) {
            let first = equal[0].1;
            self.alive.push(first);
            for &(_, row) in &equal[1..] {
                self.owner[row as usize] = first;
            }
        }
    }

    fn into_groups(self) -> Vec<Group> {
        let rows = self.owner.len();
        let mut number = vec![u32::MAX; rows];
        let mut groups: Vec<Group> = Vec::with_capacity(self.alive.len());
        for row in 0..rows {
            let mut root = row;
            while self.owner[root] as usize != root {
                root = self.owner[root] as usize;
            }
            if number[root] == u32::MAX {
                number[root] = u32::try_from(groups.len()).expect("no more groups than rows");
                let words = self.row(root as u32).iter().enumerate();
                let stars = words.filter(|(_, word)| **word == Word::STAR);
                groups.push(Group {
                    members: Vec::new(),
                    stars: stars.fold(0, |stars, (at, _)| stars | 1 << at),
                });
            }
            groups[number[root] as usize].members.push(row as u32);
        }
        groups
    }
}
