//! One number on its way to a histogram. The mappers find the bucket, because that costs per value;
//! the fold only counts (see `state/histogram.rs`, which owns what the buckets mean to a report).

use crate::units::Unit;
use serde::{Deserialize, Serialize};

/// Units of the integer that a histogram records: `round(value * SCALE)`.
pub const SCALE: u64 = 1_000_000;

/// The largest bucket index: that of 2^63 - 1.
pub const INDEX_MAX: u16 = 52 * 1024 + 2047;

/// The largest weight a sample can have; weights come from StatsD sample rates (1 / rate).
pub const WEIGHT_MAX: u32 = 1_000_000_000;

/// Where a value is counted: the side, and HdrHistogram's index for 3 significant digits over
/// `round(|value| * 10^6)` (sub-bucket count 2048, lowest discernible value 1), or a kind that has
/// no bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bucket(u32);

impl Bucket {
    const NEGATIVE: u32 = 1 << 16;
    const SATURATED: u32 = 1 << 17;

    /// Not a number: counted apart.
    pub const NAN: Bucket = Bucket(1 << 18);
    /// Plus or minus infinity: counted apart.
    pub const INFINITE: Bucket = Bucket(1 << 19);

    /// The bucket of a value. Pure; values whose scaled integer is 2^63 or more saturate.
    #[inline]
    pub fn of(value: f64) -> Bucket {
        let scaled = value.abs() * SCALE as f64;
        let side = if value < 0.0 { Bucket::NEGATIVE } else { 0 };
        if scaled < (1u64 << 52) as f64 {
            Bucket(u32::from(index_of((scaled + 0.5) as u64)) | side)
        } else if scaled < (1u64 << 63) as f64 {
            // From 2^52 on there is no fraction left, and adding a half could round up.
            Bucket(u32::from(index_of(scaled as u64)) | side)
        } else if value.is_nan() {
            Bucket::NAN
        } else if value.is_infinite() {
            Bucket::INFINITE
        } else {
            Bucket(u32::from(INDEX_MAX) | side | Bucket::SATURATED)
        }
    }

    /// The index on its side; only meaningful if [`Bucket::is_number`].
    #[inline]
    pub fn index(self) -> u16 {
        (self.0 & 0xffff) as u16
    }

    /// Whether the value was below zero.
    #[inline]
    pub fn is_negative(self) -> bool {
        self.0 & Bucket::NEGATIVE != 0
    }

    /// Whether the value was too large for the range and stands in the last bucket.
    #[inline]
    pub fn is_saturated(self) -> bool {
        self.0 & Bucket::SATURATED != 0
    }

    /// Whether there is a bucket at all: neither NaN nor infinite.
    #[inline]
    pub fn is_number(self) -> bool {
        self.0 < Bucket::NAN.0
    }

    /// Whether the bucket is a plain one of the positive side, which is nearly always so.
    #[inline]
    pub fn is_plain(self) -> bool {
        self.0 <= 0xffff
    }
}

/// HdrHistogram's index of an integer below 2^63.
#[inline]
fn index_of(scaled: u64) -> u16 {
    let exponent = 53 - (scaled | 1024).leading_zeros();
    (exponent * 1024 + (scaled >> exponent) as u32) as u16
}

/// The first integer of a bucket, and how many integers it holds.
pub fn bounds(index: u16) -> (u64, u64) {
    let index = u64::from(index.min(INDEX_MAX));
    if index < 2048 {
        return (index, 1);
    }
    let exponent = index / 1024 - 1;
    ((index - exponent * 1024) << exponent, 1 << exponent)
}

/// A value of one series, in record order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub value: f64,
    /// Row of the batch's dictionary of series.
    pub series: u32,
    pub bucket: Bucket,
    /// How many values this one stands for (StatsD `@rate`: 1 / rate, rounded), at least 1.
    pub weight: u32,
}

/// Which units the values of a metric came with. A set, so that the order they come in and the
/// way batches are cut play no part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSet(u8);

impl UnitSet {
    const ALL: [Unit; 4] = [Unit::None, Unit::Milliseconds, Unit::Bytes, Unit::Percent];

    /// Adds one unit.
    #[inline]
    pub fn insert(&mut self, unit: Unit) {
        self.0 |= 1 << unit as u8;
    }

    /// Adds the units of another set.
    #[inline]
    pub fn merge(&mut self, other: UnitSet) {
        self.0 |= other.0;
    }

    /// The unit that all values had; none if they differed.
    pub fn unit(self) -> Unit {
        UnitSet::ALL
            .into_iter()
            .find(|unit| self.0 == 1 << *unit as u8)
            .unwrap_or(Unit::None)
    }
}

/// A row of the batch's dictionary of series, in the order of the series' first samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesKey<'batch> {
    /// The metric's field name.
    pub metric: &'batch [u8],
    /// Which `--by` the key belongs to; 0 if there is none.
    pub grouping: u16,
    /// The group's values, encoded; opaque here. A record that lacks them has a key of its own.
    pub key: &'batch [u8],
    /// The units its values in this batch came with.
    pub units: UnitSet,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn special_values_have_no_bucket() {
        assert_eq!(Bucket::of(f64::NAN), Bucket::NAN);
        assert_eq!(Bucket::of(f64::NEG_INFINITY), Bucket::INFINITE);
        assert!(Bucket::of(f64::MAX).is_saturated() && Bucket::of(f64::MAX).is_number());
        assert!(Bucket::of(-9.3e12).is_saturated() && Bucket::of(-9.3e12).is_negative());
        assert!(!Bucket::of(9.2e12).is_saturated());
        assert_eq!(Bucket::of(-0.0), Bucket::of(0.0));
    }

    #[test]
    fn mixed_units_are_none() {
        let mut units = UnitSet::default();
        assert_eq!(units.unit(), Unit::None);
        units.insert(Unit::Milliseconds);
        assert_eq!(units.unit(), Unit::Milliseconds);
        units.insert(Unit::None);
        assert_eq!(units.unit(), Unit::None);
    }

    proptest! {
        #[test]
        fn bounds_hold_what_the_index_says(scaled in prop_oneof![0u64..5000, 0..(1u64 << 63)], shift in 0u32..63) {
            let scaled = scaled >> shift;
            let (low, width) = bounds(index_of(scaled));
            prop_assert!(low <= scaled && scaled - low < width);
        }

        #[test]
        fn the_index_is_that_of_hdrhistogram(scaled in 0u64..(1u64 << 62), shift in 0u32..62) {
            let scaled = scaled >> shift;
            let oracle = hdrhistogram::Histogram::<u8>::new_with_bounds(1, i64::MAX as u64, 3).unwrap();
            let (low, width) = bounds(index_of(scaled));
            prop_assert_eq!(low, oracle.lowest_equivalent(scaled));
            prop_assert_eq!(low + width - 1, oracle.highest_equivalent(scaled));
        }
    }
}
