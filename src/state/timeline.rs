//! How many records of each level came when: the sparkline of the report. At most 1,024 buckets of
//! equal width, a power of two of seconds, aligned at multiples of the width, so that a coarser
//! timeline is exactly the sum of a finer one. The state is a function of the multiset of what was
//! added: order, batches and merges play no part.

use serde::{Deserialize, Deserializer, Serialize};

use crate::state::repaired;

/// Buckets kept: four for each column of a wide terminal, 64 bytes each.
const BUCKETS_MAX: usize = 1024;

/// Rows of a bucket: no level, then trace to fatal (`Level::index`).
pub const LEVELS: usize = 7;

/// Counts of records per span of time and level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The width of a bucket is 2^exponent seconds: the least with which the buckets are few enough.
    exponent: u32,
    /// By ascending number; a bucket starts at `number << exponent` seconds.
    buckets: Vec<(i64, [u64; LEVELS])>,
}

/// One bucket, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First second, Unix time.
    pub start: i64,
    /// Records by `Level::index`.
    pub counts: [u64; LEVELS],
}

impl Timeline {
    /// Adds `count` records of a level (`Level::index`) at a second of Unix time.
    ///
    /// Only buckets that hold something are kept, so that one stray time in another century costs
    /// one bucket and not the resolution of all others.
    #[inline]
    pub fn add(&mut self, second: i64, level_index: usize, count: u64) {
        if count == 0 {
            return;
        }
        let mut counts = [0; LEVELS];
        counts[level_index] = count;
        self.add_bucket(second >> self.exponent, &counts);
    }

    /// The width of a bucket in seconds.
    pub fn width(&self) -> u64 {
        1 << self.exponent
    }

    /// The buckets that hold something, by ascending time.
    pub fn buckets(&self) -> impl Iterator<Item = Span> + '_ {
        let exponent = self.exponent;
        self.buckets.iter().map(move |&(number, counts)| Span {
            start: number << exponent,
            counts,
        })
    }

    /// Adds another timeline.
    pub fn merge(&mut self, other: &Timeline) {
        while self.exponent < other.exponent {
            self.coarsen();
        }
        for (number, counts) in &other.buckets {
            // The width may grow on the way.
            let second = number << other.exponent;
            self.add_bucket(second >> self.exponent, counts);
        }
    }

    #[inline]
    fn add_bucket(&mut self, number: i64, counts: &[u64; LEVELS]) {
        let place = match self.buckets.last() {
            // Fast path: logs are written in order of time.
            Some((last, _)) if *last == number => Ok(self.buckets.len() - 1),
            Some((last, _)) if *last < number => Err(self.buckets.len()),
            _ => self
                .buckets
                .binary_search_by_key(&number, |(number, _)| *number),
        };
        match place {
            Ok(place) => add_counts(&mut self.buckets[place].1, counts),
            Err(place) => {
                self.buckets.insert(place, (number, *counts));
                while self.buckets.len() > BUCKETS_MAX {
                    self.coarsen();
                }
            }
        }
    }

    /// Doubles the width.
    fn coarsen(&mut self) {
        self.exponent += 1;
        for (number, _) in &mut self.buckets {
            *number >>= 1;
        }
        self.buckets.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                add_counts(&mut kept.1, &later.1);
            }
            same
        });
    }
}

fn add_counts(sums: &mut [u64; LEVELS], counts: &[u64; LEVELS]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
}

/// A timeline as it was written, not checked yet.
#[derive(Deserialize)]
struct Form {
    exponent: u32,
    buckets: Vec<(i64, [u64; LEVELS])>,
}

impl<'de> Deserialize<'de> for Timeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timeline, D::Error> {
        let Form { exponent, buckets } = Form::deserialize(deserializer)?;
        let in_range =
            |(number, _): &(i64, [u64; LEVELS])| number << exponent >> exponent == *number;
        if exponent > 63
            || buckets.len() > BUCKETS_MAX
            || !buckets.is_sorted_by(|left, right| left.0 < right.0)
            || !buckets.iter().all(in_range)
        {
            repaired::add(1);
            let mut timeline = Timeline {
                exponent: exponent.min(63),
                buckets: Vec::new(),
            };
            let exponent = timeline.exponent;
            for (number, counts) in buckets {
                let number = number.clamp(i64::MIN >> exponent, i64::MAX >> exponent);
                // The width may grow on the way.
                timeline.add_bucket(number >> (timeline.exponent - exponent), &counts);
            }
            return Ok(timeline);
        }
        Ok(Timeline { exponent, buckets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: the least width with which few enough buckets are left.
    fn from_multiset(added: &[(i64, usize, u64)]) -> Timeline {
        for exponent in 0..64 {
            let mut sums = std::collections::BTreeMap::<i64, [u64; LEVELS]>::new();
            for (second, level, count) in added {
                sums.entry(second >> exponent).or_default()[*level] += count;
            }
            if sums.len() <= BUCKETS_MAX {
                return Timeline {
                    exponent,
                    buckets: sums.into_iter().collect(),
                };
            }
        }
        unreachable!()
    }

    fn of(added: &[(i64, usize, u64)]) -> Timeline {
        let mut timeline = Timeline::default();
        for &(second, level, count) in added {
            timeline.add(second, level, count);
        }
        timeline
    }

    #[test]
    fn one_stray_time_does_not_cost_the_resolution() {
        let mut timeline = Timeline::default();
        for second in 1_700_000_000..1_700_000_500 {
            timeline.add(second, 3, 2);
        }
        for stray in [i64::MIN, 0, i64::MAX] {
            timeline.add(stray, 0, 1);
        }
        assert_eq!(timeline.width(), 1);
        assert_eq!(timeline.buckets().count(), 503);
        assert_eq!(
            timeline
                .buckets()
                .map(|span| span.counts.iter().sum::<u64>())
                .sum::<u64>(),
            1003
        );
    }

    #[test]
    fn a_snapshot_gives_the_same_state() {
        let timeline = of(&(0..5000)
            .map(|second| (second * 7 - 900, 1, 1))
            .collect::<Vec<_>>());
        let bytes = rmp_serde::to_vec(&timeline).unwrap();
        assert_eq!(rmp_serde::from_slice::<Timeline>(&bytes).unwrap(), timeline);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn the_state_is_a_function_of_the_multiset(
            added in prop::collection::vec((any::<i64>(), 0..63u32, 0..LEVELS, 1..9u64), 0..4000),
            cut in any::<prop::sample::Index>(),
        ) {
            let added: Vec<_> = added.iter().map(|&(second, shift, level, count)| (second >> shift, level, count)).collect();
            let want = from_multiset(&added);
            prop_assert_eq!(&of(&added), &want);
            let mut sorted = added.clone();
            sorted.sort();
            prop_assert_eq!(&of(&sorted), &want);
            let (left, right) = added.split_at(cut.index(added.len() + 1));
            let mut merged = of(left);
            merged.merge(&of(right));
            prop_assert_eq!(&merged, &want);
            let mut merged = of(right);
            merged.merge(&of(left));
            prop_assert_eq!(&merged, &want);
        }
    }
}
