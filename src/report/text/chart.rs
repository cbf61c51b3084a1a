//! Bars and sparklines of block characters.

use crate::flow::time::Time;
use crate::state::timeline::{LEVELS, Timeline};

/// A bar for `part` of `most`, at most `columns` wide. What is there at all shows.
pub fn bar(part: u64, most: u64, columns: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if part == 0 || most == 0 {
        return String::new();
    }
    let length = part as f64 / most as f64 * columns as f64 * 8.0;
    let eighths = (length.round() as usize).clamp(1, columns * 8);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

/// One column for each count; zero is a dot of its own, so that a gap is not a low.
pub fn sparkline(counts: &[u64]) -> String {
    const EIGHTHS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0);
    let column = |&count: &u64| {
        if count == 0 {
            return '·';
        }
        let height = (count as f64 / most as f64 * 8.0).ceil() as usize;
        EIGHTHS[height.clamp(1, 8) - 1]
    };
    counts.iter().map(column).collect()
}

/// A timeline with as many columns as there is room for.
pub struct Columns {
    /// First second of the first column.
    pub start: i64,
    /// Width of a column.
    pub seconds: u64,
    /// Records by `Level::index`.
    pub counts: Vec<[u64; LEVELS]>,
    /// Records before the first column and after the last: stray times that would have squeezed
    /// all others into one column.
    pub outside: [u64; 2],
}

impl Columns {
    /// `None` if everything happened within one bucket, which is no line.
    pub fn new(timeline: &Timeline, room: usize) -> Option<Columns> {
        let width = timeline.width();
        let buckets: Vec<(i64, [u64; LEVELS])> = timeline
            .buckets()
            .map(|bucket| (bucket.start, bucket.counts))
            .collect();
        let shown = &buckets[core(&buckets)];
        let (start, end) = (shown.first()?.0, shown.last()?.0);
        let steps = end.abs_diff(start) / width + 1;
        if steps < 2 || room == 0 {
            return None;
        }
        let each = steps.div_ceil(room as u64);
        let mut counts = vec![[0; LEVELS]; steps.div_ceil(each) as usize];
        for (second, levels) in shown {
            let column = second.abs_diff(start) / width / each;
            for (sum, count) in counts[column as usize].iter_mut().zip(levels) {
                *sum += count;
            }
        }
        let records = |(_, levels): &(i64, [u64; LEVELS])| levels.iter().sum::<u64>();
        let outside = [
            buckets
                .iter()
                .take_while(|b| b.0 < start)
                .map(records)
                .sum(),
            buckets.iter().filter(|b| b.0 > end).map(records).sum(),
        ];
        Some(Columns {
            start,
            seconds: each * width,
            counts,
            outside,
        })
    }

    /// The last second of the last column, for its label, no later than `last`.
    pub fn end(&self, last: Option<Time>) -> i64 {
        let length = self.seconds.saturating_mul(self.counts.len() as u64);
        let end = self
            .start
            .saturating_add(i64::try_from(length).unwrap_or(i64::MAX))
            .saturating_sub(1);
        match last {
            Some(last) if self.outside[1] == 0 => end.min(last.second()),
            _ => end,
        }
    }
}

/// The buckets to show: all, unless few records stand so far off that they would take nearly all
/// of the columns.
fn core(buckets: &[(i64, [u64; LEVELS])]) -> std::ops::Range<usize> {
    let total: u64 = buckets.iter().flat_map(|bucket| bucket.1).sum();
    let stray = total / 200;
    let cut = |records: u64, seen: &mut u64| {
        *seen += records;
        *seen <= stray
    };
    let (mut before, mut after) = (0, 0);
    let records = |bucket: &(i64, [u64; LEVELS])| bucket.1.iter().sum::<u64>();
    let first = buckets
        .iter()
        .take_while(|bucket| cut(records(bucket), &mut before))
        .count();
    let last = buckets.len()
        - buckets[first..]
            .iter()
            .rev()
            .take_while(|bucket| cut(records(bucket), &mut after))
            .count();
    let length = |range: std::ops::Range<usize>| match &buckets[range] {
        [first, .., last] => last.0.abs_diff(first.0),
        _ => 0,
    };
    let (inner, outer) = (length(first..last), length(0..buckets.len()));
    if inner > 0 && outer / 8 > inner {
        first..last
    } else {
        0..buckets.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bar_shows_what_is_there() {
        assert_eq!(bar(0, 10, 8), "");
        assert_eq!(bar(1, 1_000_000, 8), "▏");
        assert_eq!(bar(10, 10, 8), "████████");
        assert_eq!(bar(5, 10, 3), "█▌");
    }

    #[test]
    fn a_gap_is_not_a_low() {
        assert_eq!(sparkline(&[0, 1, 8, 4]), "·▁█▄");
    }

    #[test]
    fn a_stray_time_does_not_squeeze_the_others() {
        let mut timeline = Timeline::default();
        for second in 0..1000 {
            timeline.add(1_700_000_000 + second, 3, 1);
        }
        timeline.add(0, 3, 2);
        let columns = Columns::new(&timeline, 50).unwrap();
        assert_eq!(columns.outside, [2, 0]);
        assert!(columns.start >= 1_699_999_000 && columns.counts.len() > 40);
    }

    proptest! {
        #[test]
        fn every_record_stands_in_a_column_or_outside(
            seconds in prop::collection::vec(any::<i64>(), 0..60),
            shift in 0u32..63,
            room in 1usize..80,
        ) {
            let mut timeline = Timeline::default();
            seconds.iter().for_each(|second| timeline.add(second >> shift, 2, 1));
            if let Some(columns) = Columns::new(&timeline, room) {
                prop_assert!(columns.counts.len() <= room);
                let inside: u64 = columns.counts.iter().flatten().sum();
                prop_assert_eq!(inside + columns.outside.iter().sum::<u64>(), seconds.len() as u64);
            }
        }
    }
}
