//! The bucket counts of one side of a histogram: first a log of indices, two bytes a sample, then
//! pages of 256 counters as narrow as the counts allow. Both forms are functions of what was added
//! and its order only, so the bytes charged for them, and every decision that hangs on those, are
//! the same however the input was cut into batches. Used by `histogram.rs` alone.

use crate::flow::sample::INDEX_MAX;
use crate::state::repaired;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Counters of a page.
const PAGE: usize = 256;
/// Bytes of a page's row in the page table.
const ROW_BYTES: usize = size_of::<Page>();
/// Samples that a log holds at first.
const LOG_FIRST: usize = 8;
/// Samples a log can reach: with every page touched the dense form is smaller from here on.
const LOG_MAX: usize = 1 << 15;

/// Bytes that a table may use. What is charged is the size of the structures, worked out and not
/// asked from the allocator, so that it is the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub used: usize,
    pub limit: usize,
}

impl Budget {
    /// No limit: for a single histogram.
    pub const UNLIMITED: Budget = Budget {
        used: 0,
        limit: usize::MAX,
    };

    /// Whether so many bytes more would still fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used.saturating_add(bytes) <= self.limit
    }

    /// Charges bytes, also past the limit.
    pub fn charge(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }

    /// Gives bytes back.
    pub fn release(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// The budget has no room for the bytes that the count would need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Counts by bucket index.
#[derive(Clone, Debug)]
pub enum Counts {
    /// Each sample's index, in order of arrival. It has room for `log_capacity` samples, except
    /// after a clone, which keeps none to spare.
    Log(Vec<u16>),
    Dense(Pages),
}

impl Default for Counts {
    fn default() -> Counts {
        Counts::Log(Vec::new())
    }
}

impl Counts {
    /// Adds `weight` to a bucket; charges the budget for what grows. On `Full` nothing changed.
    #[inline]
    pub fn add(&mut self, index: u16, weight: u64, budget: &mut Budget) -> Result<(), Full> {
        match self {
            // Fast path: room in the log.
            Counts::Log(log) if weight == 1 && log.len() < log.capacity() => {
                log.push(index);
                return Ok(());
            }
            // Fast path: the page is there and its counter wide enough.
            Counts::Dense(pages) => {
                if pages.add(index, weight) {
                    return Ok(());
                }
            }
            Counts::Log(_) => {}
        }
        self.add_slow(index, weight, budget)
    }

    /// Slow path: something has to grow first.
    #[cold]
    fn add_slow(&mut self, index: u16, weight: u64, budget: &mut Budget) -> Result<(), Full> {
        if weight == 0 {
            return Ok(());
        }
        let Counts::Log(log) = self else {
            let Counts::Dense(pages) = self else {
                unreachable!("counts are a log or pages")
            };
            return pages.grow(index, weight, budget);
        };
        let capacity = log_capacity(log.len());
        if weight == 1 && log.len() < capacity {
            // A clone; its room is charged already.
            log.reserve_exact(capacity - log.len());
            log.push(index);
            return Ok(());
        }
        let before = capacity * size_of::<u16>();
        let grown = log_capacity(log.len() + 1).max(capacity);
        let is_short = grown * size_of::<u16>() < PAGE + ROW_BYTES;
        let dense = if weight == 1 && is_short {
            // No pages are smaller than one.
            PAGE + ROW_BYTES
        } else {
            Pages::estimate(log.iter().copied().chain([index]))
        };
        if weight == 1 && grown <= LOG_MAX && grown * size_of::<u16>() < dense {
            let more = grown * size_of::<u16>() - before;
            if !budget.has_room(more) {
                return Err(Full);
            }
            budget.charge(more);
            log.reserve_exact(grown - log.len());
            log.push(index);
            return Ok(());
        }
        if !budget.has_room(dense.saturating_sub(before)) {
            return Err(Full);
        }
        let pages = Pages::of_log(log, index, weight);
        budget.charge(pages.bytes());
        budget.release(before);
        *self = Counts::Dense(pages);
        Ok(())
    }

    /// Bytes charged for these counts.
    pub fn bytes(&self) -> usize {
        match self {
            Counts::Log(log) => log_capacity(log.len()) * size_of::<u16>(),
            Counts::Dense(pages) => pages.bytes(),
        }
    }

    /// The buckets that have a count, by ascending index. Indices of a log may repeat.
    pub fn for_each(&self, mut visit: impl FnMut(u16, u64)) {
        match self {
            Counts::Log(log) => {
                let mut sorted = log.clone();
                sorted.sort_unstable();
                for run in sorted.chunk_by(|left, right| left == right) {
                    visit(run[0], run.len() as u64);
                }
            }
            Counts::Dense(pages) => pages.for_each(visit),
        }
    }

    /// The same in any order, which spares sorting a log: there every sample comes by itself.
    pub fn for_each_unsorted(&self, mut visit: impl FnMut(u16, u64)) {
        match self {
            Counts::Log(log) => log.iter().for_each(|index| visit(*index, 1)),
            Counts::Dense(pages) => pages.for_each(visit),
        }
    }

    /// Adds all counts of another; the result's form follows from both contents.
    pub fn merge(&mut self, other: &Counts, budget: &mut Budget) -> u64 {
        let mut refused = 0u64;
        other.for_each(|index, count| {
            // A few single steps keep a log a log; a large count goes to a page.
            let (step, times) = if count <= 4 { (1, count) } else { (count, 1) };
            for _ in 0..times {
                if self.add(index, step, budget).is_err() {
                    refused = refused.saturating_add(step);
                }
            }
        });
        refused
    }
}

/// Samples that a log of this length has room for: a function of the length, so that the charge is.
fn log_capacity(len: usize) -> usize {
    if len == 0 {
        0
    } else {
        len.next_power_of_two().max(LOG_FIRST)
    }
}

/// Counters by index, in pages from the first to the last one touched.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    first: usize,
    pages: Vec<Page>,
}

/// The counters of 256 neighbouring buckets, as wide as the largest one needs.
#[derive(Clone, Debug, Default)]
enum Page {
    #[default]
    Empty,
    Byte(Box<[u8; PAGE]>),
    Short(Box<[u16; PAGE]>),
    Word(Box<[u32; PAGE]>),
    Long(Box<[u64; PAGE]>),
}

impl Pages {
    /// Bytes that pages for these indices need at least.
    fn estimate(indices: impl Iterator<Item = u16>) -> usize {
        let mut touched = [0u64; 4];
        for index in indices {
            let page = usize::from(index) / PAGE;
            touched[page / 64] |= 1 << (page % 64);
        }
        let count: u32 = touched.iter().map(|word| word.count_ones()).sum();
        let first = (0..256)
            .find(|page| touched[page / 64] >> (page % 64) & 1 == 1)
            .unwrap_or(0);
        let last = (0..256)
            .rfind(|page| touched[page / 64] >> (page % 64) & 1 == 1)
            .unwrap_or(0);
        count as usize * PAGE + (last - first + 1) * ROW_BYTES
    }

    fn of_log(log: &[u16], index: u16, weight: u64) -> Pages {
        let mut pages = Pages::default();
        let mut unlimited = Budget::UNLIMITED;
        for (index, weight) in log.iter().map(|index| (*index, 1)).chain([(index, weight)]) {
            if !pages.add(index, weight) {
                pages
                    .grow(index, weight, &mut unlimited)
                    .expect("an unlimited budget has room");
            }
        }
        pages
    }

    #[inline]
    fn add(&mut self, index: u16, weight: u64) -> bool {
        let row = (usize::from(index) / PAGE).wrapping_sub(self.first);
        self.pages
            .get_mut(row)
            .is_some_and(|page| page.add(usize::from(index) % PAGE, weight))
    }

    #[cold]
    fn grow(&mut self, index: u16, weight: u64, budget: &mut Budget) -> Result<(), Full> {
        let number = usize::from(index) / PAGE;
        let slot = usize::from(index) % PAGE;
        let rows = if self.pages.is_empty() {
            1
        } else {
            let last = self.first + self.pages.len() - 1;
            self.first.abs_diff(number.min(self.first)) + number.max(last) - last
        };
        let page = self
            .pages
            .get(number.wrapping_sub(self.first))
            .unwrap_or(&Page::Empty);
        let before = page.bytes();
        let wide = page.wide_enough(slot, weight);
        let more = rows * ROW_BYTES + wide.bytes() - before;
        if !budget.has_room(more) {
            return Err(Full);
        }
        budget.charge(more);
        if self.pages.is_empty() {
            self.first = number;
        }
        self.pages.reserve_exact(rows);
        while number < self.first {
            let missing = self.first - number;
            self.pages
                .splice(0..0, std::iter::repeat_with(Page::default).take(missing));
            self.first = number;
        }
        let row = number - self.first;
        if row >= self.pages.len() {
            self.pages.resize_with(row + 1, Page::default);
        }
        self.pages[row] = wide;
        let counted = self.pages[row].add(slot, weight);
        assert!(counted, "the page was made wide enough");
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.bytes() + ROW_BYTES).sum()
    }

    fn for_each(&self, mut visit: impl FnMut(u16, u64)) {
        for (row, page) in self.pages.iter().enumerate() {
            let base = (self.first + row) * PAGE;
            page.for_each(|slot, count| visit((base + slot) as u16, count));
        }
    }
}

impl Page {
    /// Adds to a counter; false if it is too narrow for the sum.
    #[inline]
    fn add(&mut self, slot: usize, weight: u64) -> bool {
        macro_rules! add {
            ($counters:expr, $width:ty) => {{
                let counter = &mut $counters[slot];
                match <$width>::try_from(u64::from(*counter).saturating_add(weight)) {
                    Ok(sum) => {
                        *counter = sum;
                        true
                    }
                    Err(_) => false,
                }
            }};
        }
        match self {
            Page::Empty => false,
            Page::Byte(counters) => add!(counters, u8),
            Page::Short(counters) => add!(counters, u16),
            Page::Word(counters) => add!(counters, u32),
            Page::Long(counters) => add!(counters, u64),
        }
    }

    fn get(&self, slot: usize) -> u64 {
        match self {
            Page::Empty => 0,
            Page::Byte(counters) => u64::from(counters[slot]),
            Page::Short(counters) => u64::from(counters[slot]),
            Page::Word(counters) => u64::from(counters[slot]),
            Page::Long(counters) => counters[slot],
        }
    }

    /// A copy whose counters have room for `weight` more in one slot.
    fn wide_enough(&self, slot: usize, weight: u64) -> Page {
        let sum = self.get(slot).saturating_add(weight);
        let bytes = self.bytes() / PAGE;
        let narrow = "a page is only widened";
        if bytes <= 1 && sum <= u64::from(u8::MAX) {
            Page::Byte(Box::new(std::array::from_fn(|slot| {
                u8::try_from(self.get(slot)).expect(narrow)
            })))
        } else if bytes <= 2 && sum <= u64::from(u16::MAX) {
            Page::Short(Box::new(std::array::from_fn(|slot| {
                u16::try_from(self.get(slot)).expect(narrow)
            })))
        } else if bytes <= 4 && sum <= u64::from(u32::MAX) {
            Page::Word(Box::new(std::array::from_fn(|slot| {
                u32::try_from(self.get(slot)).expect(narrow)
            })))
        } else {
            Page::Long(Box::new(std::array::from_fn(|slot| self.get(slot))))
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Page::Empty => 0,
            Page::Byte(_) => PAGE,
            Page::Short(_) => 2 * PAGE,
            Page::Word(_) => 4 * PAGE,
            Page::Long(_) => 8 * PAGE,
        }
    }

    fn for_each(&self, mut visit: impl FnMut(usize, u64)) {
        if matches!(self, Page::Empty) {
            return;
        }
        for slot in 0..PAGE {
            match self.get(slot) {
                0 => {}
                count => visit(slot, count),
            }
        }
    }
}

/// Encoded as `(is dense, [distance to the index before, count, …])`: the same content has the same
/// bytes, and decoding gives the same form, hence the same charge.
impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cells = Vec::new();
        let mut previous = 0;
        self.for_each(|index, count| {
            cells.extend([u64::from(index - previous), count]);
            previous = index;
        });
        (matches!(self, Counts::Dense(_)), cells).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
        let (is_dense, cells) = <(bool, Vec<u64>)>::deserialize(deserializer)?;
        let (pairs, odd) = cells.as_chunks::<2>();
        let mut index = 0u64;
        let pairs = pairs.iter().map(|[distance, count]| {
            index = index.saturating_add(*distance);
            (index, *count)
        });
        let is_cell = |(index, count): &(u64, u64)| *index <= u64::from(INDEX_MAX) && *count > 0;
        let pairs: Vec<(u16, u64)> = pairs
            .filter(is_cell)
            .map(|(index, count)| (index as u16, count))
            .collect();
        let given = cells.len() / 2 + odd.len();
        repaired::add((given - pairs.len()) as u64);
        let samples = pairs
            .iter()
            .fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
        // A log is never larger than its pages would be, so a few bytes that claim many samples take
        // no more than that.
        let log_bytes_max =
            Pages::estimate(pairs.iter().map(|(index, _)| *index)).max(PAGE + ROW_BYTES);
        let is_log = !is_dense
            && samples <= LOG_MAX as u64
            && log_capacity(samples as usize) * size_of::<u16>() <= log_bytes_max;
        repaired::add(u64::from(is_log == is_dense));
        if is_log {
            let mut log = Vec::with_capacity(log_capacity(samples as usize));
            for (index, count) in pairs {
                log.extend(std::iter::repeat_n(index, count as usize));
            }
            return Ok(Counts::Log(log));
        }
        let mut pages = Pages::default();
        for (index, count) in pairs {
            if !pages.add(index, count) {
                pages
                    .grow(index, count, &mut Budget::UNLIMITED.clone())
                    .expect("an unlimited budget has room");
            }
        }
        Ok(Counts::Dense(pages))
    }
}
