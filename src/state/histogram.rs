//! The distribution of one series: exact count, sum, minimum and maximum, and an HdrHistogram of 3
//! significant digits for the quantiles. Values below zero stand in a second histogram, NaN and
//! infinities are counted apart. Part of the fold; see `flow/sample.rs` for the buckets.

pub mod hdr;

use super::counts::{Budget, Counts, Full};
use crate::flow::sample::{Bucket, bounds};
use hdr::HdrEncoder;
use serde::{Deserialize, Serialize};

/// Counts of values by size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Histogram {
    count: u64,
    /// Neumaier's sum: the running sum and what rounding has lost so far.
    sum: f64,
    lost: f64,
    min: f64,
    max: f64,
    positive: Counts,
    rare: Option<Box<Rare>>,
}

/// What most series have none of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Rare {
    negative: Counts,
    nan: u64,
    infinite: u64,
    saturated: u64,
    shapeless: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            count: 0,
            sum: 0.0,
            lost: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            positive: Counts::default(),
            rare: None,
        }
    }
}

/// A bucket of either side, in the order of the values: the index from 0 up, or -1 less the index.
pub(crate) type Cell = i32;

/// The value that stands for a cell.
pub(crate) fn value_of(cell: Cell) -> f64 {
    if cell < 0 {
        -shortest_decimal((-1 - cell) as u16)
    } else {
        shortest_decimal(cell as u16)
    }
}

impl Histogram {
    /// Counts a value `weight` times; `bucket` must be `Bucket::of(value)`.
    #[inline]
    pub fn record(&mut self, bucket: Bucket, value: f64, weight: u64) {
        self.record_within(bucket, value, weight, &mut Budget::UNLIMITED.clone())
            .expect("an unlimited budget has room");
    }

    /// Counts a value within a memory budget. Count, sum, minimum and maximum always take it in; on
    /// `Full` its bucket is still to be counted, by [`Histogram::shape`] or [`Histogram::shapeless`].
    #[inline]
    pub fn record_within(
        &mut self,
        bucket: Bucket,
        value: f64,
        weight: u64,
        budget: &mut Budget,
    ) -> Result<(), Full> {
        if bucket.is_number() {
            self.count = self.count.saturating_add(weight);
            add_exactly(&mut self.sum, &mut self.lost, value * weight as f64);
            // Not `min` and `max`, which look for NaN: no number is one.
            if value < self.min {
                self.min = value;
            }
            if value > self.max {
                self.max = value;
            }
        }
        // Fast path: a positive number in range.
        if bucket.is_plain() {
            return self.positive.add(bucket.index(), weight, budget);
        }
        self.shape(bucket, weight, budget)
    }

    /// Counts a bucket whose value is already in the totals.
    #[inline(never)]
    pub fn shape(&mut self, bucket: Bucket, weight: u64, budget: &mut Budget) -> Result<(), Full> {
        if bucket.is_plain() {
            return self.positive.add(bucket.index(), weight, budget);
        }
        if self.rare.is_none() && !budget.has_room(size_of::<Rare>()) {
            return Err(Full);
        }
        if bucket.is_negative() {
            let negative = &mut self.rare(budget).negative;
            negative.add(bucket.index(), weight, budget)?;
        } else if bucket.is_number() {
            self.positive.add(bucket.index(), weight, budget)?;
        }
        self.count_apart(bucket, weight, budget);
        Ok(())
    }

    /// Counts what is told by the kind of the bucket alone.
    fn count_apart(&mut self, bucket: Bucket, weight: u64, budget: &mut Budget) {
        let rare = self.rare(budget);
        let counter = match bucket {
            Bucket::NAN => &mut rare.nan,
            Bucket::INFINITE => &mut rare.infinite,
            _ if bucket.is_saturated() => &mut rare.saturated,
            _ => return,
        };
        *counter = counter.saturating_add(weight);
    }

    fn rare(&mut self, budget: &mut Budget) -> &mut Rare {
        self.rare.get_or_insert_with(|| {
            budget.charge(size_of::<Rare>());
            Box::default()
        })
    }

    /// Notes that a value already in the totals found no room for its bucket. The quantiles are then
    /// those of the values that did.
    pub fn shapeless(&mut self, bucket: Bucket, weight: u64, budget: &mut Budget) {
        self.count_apart(bucket, weight, budget);
        if bucket.is_number() {
            let rare = self.rare(budget);
            rare.shapeless = rare.shapeless.saturating_add(weight);
        }
    }

    /// Whether nothing at all was recorded, not even a NaN.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.rare.is_none()
    }

    /// Finite values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The sum, in the order of arrival, rounding compensated. A sum out of f64's range is infinite.
    pub fn sum(&self) -> f64 {
        exact(self.sum, self.lost)
    }

    /// The mean, if there is a value.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum() / self.count as f64)
    }

    /// The smallest value, if there is one.
    pub fn min(&self) -> Option<f64> {
        (self.count > 0).then_some(self.min)
    }

    /// The largest value, if there is one.
    pub fn max(&self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }

    /// NaNs seen; not in the count.
    pub fn nan(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.nan)
    }

    /// Infinities seen, either sign; not in the count.
    pub fn infinite(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.infinite)
    }

    /// Values past ±9.2e12: in all totals, but the quantiles know only that they are large.
    pub fn saturated(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.saturated)
    }

    /// Values that the quantiles do not know, because the memory limit was reached.
    pub fn without_shape(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.shapeless)
    }

    /// Bytes charged for this histogram beyond its own size.
    pub fn bytes(&self) -> usize {
        let rare = self
            .rare
            .as_ref()
            .map_or(0, |rare| size_of::<Rare>() + rare.negative.bytes());
        self.positive.bytes() + rare
    }

    /// The nearest-rank value of a quantile in 0..=1, within 0.1 % (or 10^-6, whichever is larger).
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        self.quantiles([quantile]).map(|[value]| value)
    }

    /// Several quantiles in one pass; `None` without a value.
    pub fn quantiles<const N: usize>(&self, quantiles: [f64; N]) -> Option<[f64; N]> {
        if self.count == 0 {
            return None;
        }
        // Cells from the smallest value to the largest.
        let mut cells: Vec<(bool, u16, u64)> = Vec::new();
        if let Some(rare) = &self.rare {
            rare.negative
                .for_each(|index, count| cells.push((true, index, count)));
            cells.reverse();
        }
        self.positive
            .for_each(|index, count| cells.push((false, index, count)));
        let shaped = cells
            .iter()
            .fold(0u64, |sum, (_, _, count)| sum.saturating_add(*count));
        Some(quantiles.map(|quantile| {
            let rank = nearest_rank(quantile, shaped);
            if rank <= 1 {
                return self.min;
            }
            if rank >= shaped {
                return self.max;
            }
            let mut passed = 0u64;
            for &(is_negative, index, count) in &cells {
                passed = passed.saturating_add(count);
                if passed >= rank {
                    let value = shortest_decimal(index);
                    let value = if is_negative { -value } else { value };
                    // Not `clamp`, which panics on a snapshot that was tampered with.
                    return value.max(self.min).min(self.max);
                }
            }
            self.max
        }))
    }

    /// The counts by cell, in any order: for the quantiles of several histograms together (see
    /// `windows.rs`). Cells may come more than once.
    pub(crate) fn cells(&self, mut visit: impl FnMut(Cell, u64)) {
        if let Some(rare) = &self.rare {
            rare.negative
                .for_each_unsorted(|index, count| visit(-1 - i32::from(index), count));
        }
        self.positive
            .for_each_unsorted(|index, count| visit(i32::from(index), count));
    }

    /// Adds another histogram: exact in counts, minimum and maximum.
    pub fn merge(&mut self, other: &Histogram) {
        self.merge_within(other, &mut Budget::UNLIMITED.clone());
    }

    /// The same within a memory budget; buckets without room become values without shape.
    pub fn merge_within(&mut self, other: &Histogram, budget: &mut Budget) {
        self.count = self.count.saturating_add(other.count);
        add_exactly(&mut self.sum, &mut self.lost, other.sum);
        add_exactly(&mut self.sum, &mut self.lost, other.lost);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let mut refused = self.positive.merge(&other.positive, budget);
        if let Some(theirs) = &other.rare {
            let rare = self.rare(budget);
            rare.nan = rare.nan.saturating_add(theirs.nan);
            rare.infinite = rare.infinite.saturating_add(theirs.infinite);
            rare.saturated = rare.saturated.saturating_add(theirs.saturated);
            rare.shapeless = rare.shapeless.saturating_add(theirs.shapeless);
            refused = refused.saturating_add(rare.negative.merge(&theirs.negative, budget));
        }
        if refused > 0 {
            let rare = self.rare(budget);
            rare.shapeless = rare.shapeless.saturating_add(refused);
        }
    }

    /// The side from zero up, as [`HdrEncoder`] writes it.
    pub fn to_hdr_v2(&self, encoder: &mut HdrEncoder) -> Vec<u8> {
        encoder.encode(&self.positive)
    }

    /// The side below zero, mirrored; `None` if there is none.
    pub fn to_hdr_v2_negative(&self, encoder: &mut HdrEncoder) -> Option<Vec<u8>> {
        let negative = &self.rare.as_ref()?.negative;
        let mut is_empty = true;
        negative.for_each(|_, _| is_empty = false);
        (!is_empty).then(|| encoder.encode(negative))
    }
}

/// Neumaier's compensated addition.
#[inline]
pub(crate) fn add_exactly(sum: &mut f64, lost: &mut f64, value: f64) {
    let total = *sum + value;
    *lost += if sum.abs() >= value.abs() {
        (*sum - total) + value
    } else {
        (value - total) + *sum
    };
    *sum = total;
}

/// What [`add_exactly`] has come to. A sum out of f64's range is infinite.
pub(crate) fn exact(sum: f64, lost: f64) -> f64 {
    if sum.is_finite() && lost.is_finite() {
        sum + lost
    } else {
        sum
    }
}

/// The nearest rank, `ceil(quantile * count)` in 1..=count. The product is taken in integers of
/// 10^-9, because 0.07 * 100 is more than 7 in floating point.
pub(crate) fn nearest_rank(quantile: f64, count: u64) -> u64 {
    let billionths = (quantile.clamp(0.0, 1.0) * 1e9).round() as u128;
    let rank = (billionths * u128::from(count)).div_ceil(1_000_000_000);
    (rank as u64).clamp(1, count.max(1))
}

/// The number with the fewest digits among the values that fall into a bucket, and of these the one
/// nearest its middle: 45 prints as 45 and not as 45.006.
fn shortest_decimal(index: u16) -> f64 {
    // In units of 10^-7 the bucket is [10 low - 5, 10 (low + width) - 5), by the rounding to 10^-6.
    let (low, width) = bounds(index);
    let first = (u128::from(low) * 10).saturating_sub(5);
    let end = (u128::from(low) + u128::from(width)) * 10 - 5;
    if low == 0 {
        return 0.0;
    }
    let middle = first.midpoint(end);
    for exponent in (0..=19u32).rev() {
        let unit = 10u128.pow(exponent);
        let below = middle / unit * unit;
        let fits = |number: &u128| *number >= first && *number < end;
        let nearest = [below, below + unit]
            .into_iter()
            .filter(fits)
            .min_by_key(|number| number.abs_diff(middle));
        if let Some(number) = nearest {
            let digits = (number / unit) as f64;
            // One rounding only, since digits and power are exact: the result is the decimal's f64.
            return if exponent >= 7 {
                digits * 10f64.powi(exponent as i32 - 7)
            } else {
                digits / 10f64.powi(7 - exponent as i32)
            };
        }
    }
    unreachable!("a bucket is at least 10 units wide, so it holds a multiple of 1")
}

#[cfg(test)]
mod tests;
