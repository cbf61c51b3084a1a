//! What was observed of one group in earlier hours, for `ago(7d, count())`: sums for each hour, bounded by how
//! far back is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::flow::observed::Number;
use crate::state::counts::Budget;

/// Seconds that `ago` and the window may reach back together: 35 days.
pub const AGO_MAX: i64 = 35 * 86_400;

const HOUR: i64 = 3600;

/// What an hour takes.
const HOUR_BYTES: usize = size_of::<Hour>() + 48;

/// A number that can be made of hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Count,
    Rate,
    Sum,
    Mean,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Hour {
    /// Records.
    #[serde(rename = "c")]
    count: u64,
    /// Numbers, and what they come to.
    #[serde(rename = "n")]
    numbers: u64,
    #[serde(rename = "s")]
    sum: f64,
    #[serde(rename = "l")]
    min: f64,
    #[serde(rename = "h")]
    max: f64,
}

impl Default for Hour {
    fn default() -> Hour {
        Hour {
            count: 0,
            numbers: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

/// The hours of one group, by their number since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Past(BTreeMap<i64, Hour>);

impl Past {
    /// Takes in records of one second; hours that are older than `keeps` seconds before it are dropped.
    /// `false` if there is no room for another hour.
    pub fn add(
        &mut self,
        second: i64,
        count: u64,
        numbers: &[Number],
        keeps: i64,
        budget: &mut Budget,
    ) -> bool {
        let number = second.div_euclid(HOUR);
        if !self.0.contains_key(&number) {
            self.drop_before(second - keeps, budget);
            if !budget.has_room(HOUR_BYTES) {
                return false;
            }
            budget.charge(HOUR_BYTES);
        }
        let hour = self.0.entry(number).or_default();
        hour.count = hour.count.saturating_add(count);
        for number in numbers.iter().filter(|number| number.bucket.is_number()) {
            hour.numbers = hour.numbers.saturating_add(u64::from(number.weight));
            hour.sum += number.value * f64::from(number.weight);
            hour.min = hour.min.min(number.value);
            hour.max = hour.max.max(number.value);
        }
        true
    }

    /// Drops the hours that ended before a second.
    pub fn drop_before(&mut self, second: i64, budget: &mut Budget) {
        let first = second.div_euclid(HOUR);
        while let Some((&number, _)) = self.0.first_key_value()
            && number < first
        {
            self.0.pop_first();
            budget.release(HOUR_BYTES);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.0.len() * HOUR_BYTES
    }

    /// The clock was set back by so many seconds: what was kept goes with it, by whole hours.
    pub fn go_back(&mut self, seconds: i64) {
        let hours = seconds / HOUR;
        let kept = std::mem::take(&mut self.0).into_iter();
        self.0 = kept.map(|(number, hour)| (number - hours, hour)).collect();
    }

    /// A number over the seconds from `start` to `end`; of an hour that is only partly within, as much counts
    /// as it shares. None if there are no numbers.
    pub fn value(&self, kept: Kept, start: i64, end: i64) -> Option<f64> {
        let (mut count, mut numbers, mut sum) = (0.0, 0.0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for (number, hour) in self.0.range(start.div_euclid(HOUR)..=end.div_euclid(HOUR)) {
            let begin = number * HOUR;
            let shared = end.min(begin + HOUR) - start.max(begin);
            if shared <= 0 {
                continue;
            }
            let share = shared as f64 / HOUR as f64;
            count += hour.count as f64 * share;
            numbers += hour.numbers as f64 * share;
            sum += hour.sum * share;
            min = min.min(hour.min);
            max = max.max(hour.max);
        }
        match kept {
            Kept::Count => Some(count),
            Kept::Rate => Some(count / (end - start).max(1) as f64),
            _ if numbers == 0.0 => None,
            Kept::Sum => Some(sum),
            Kept::Mean => Some(sum / numbers),
            Kept::Min => Some(min),
            Kept::Max => Some(max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_kept_as_long_as_they_are_asked_for() {
        let mut budget = Budget {
            used: 0,
            limit: 10 * HOUR_BYTES,
        };
        let mut past = Past::default();
        let keeps = 5 * HOUR;
        for hour in 0..100 {
            assert!(past.add(hour * HOUR, 60, &[], keeps, &mut budget));
        }
        assert_eq!(past.bytes(), 6 * HOUR_BYTES);
        assert_eq!(budget.used, past.bytes());
        let at = |hours: f64| (hours * HOUR as f64) as i64;
        assert_eq!(past.value(Kept::Count, at(95.0), at(97.0)), Some(120.0));
        // Half of two hours is one.
        assert_eq!(past.value(Kept::Count, at(95.5), at(96.5)), Some(60.0));
        assert_eq!(past.value(Kept::Count, at(10.0), at(12.0)), Some(0.0));
        assert_eq!(past.value(Kept::Mean, at(95.0), at(97.0)), None);
    }
}
