//! How serious the records are, and when they came.

use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::report::Report;
use crate::report::text::chart::{Columns, bar, sparkline};
use crate::report::text::number::{count, counted, rate, share};
use crate::report::text::page::{DIM, Ink, PLAIN, Page, ink_of};
use crate::report::text::when;
use crate::state::State;

/// Longest bar: beyond this it is no easier to read.
const BAR_MAX: usize = 40;

/// Columns of a sparkline's label.
const LABEL: usize = 8;

pub fn write(page: &mut Page<'_>, report: &Report<'_>) {
    let state = report.state;
    bars(page, state);
    lines(page, state);
}

fn bars(page: &mut Page<'_>, state: &State) {
    let rows: Vec<(Option<Level>, u64)> = Level::ALL
        .iter()
        .rev()
        .map(|level| Some(*level))
        .chain([None])
        .map(|level| (level, state.levels[Level::index(level)]))
        .filter(|row| row.1 > 0)
        .collect();
    let total: u64 = rows.iter().map(|row| row.1).sum();
    let most = rows.iter().map(|row| row.1).max().unwrap_or(0);
    let width = count(most).len().max(5);
    page.title("levels", "");
    for (level, number) in rows {
        let name = level.map_or("none", Level::name);
        page.skip(2)
            .left_in(LABEL, ink_of(level), name)
            .right_in(width, PLAIN, &count(number))
            .skip(1)
            .right_in(6, DIM, &share(number, total))
            .skip(2);
        let room = page.left().min(BAR_MAX);
        page.put(ink_of(level), &bar(number, most, room)).end();
    }
}

fn lines(page: &mut Page<'_>, state: &State) {
    /// Room for the peak behind the line.
    const PEAK: usize = 18;
    let room = page.width().saturating_sub(2 + LABEL + PEAK);
    let Some(columns) = Columns::new(&state.timeline, room) else {
        return;
    };
    page.title("over time", &stray(&columns));
    let all: Vec<u64> = columns
        .counts
        .iter()
        .map(|levels| levels.iter().sum())
        .collect();
    line(page, "all", PLAIN, &all, columns.seconds);
    let warn = Level::index(Some(Level::Warn));
    let serious: Vec<u64> = columns
        .counts
        .iter()
        .map(|levels| levels[warn..].iter().sum())
        .collect();
    // The same line twice says nothing.
    if serious.iter().any(|&number| number > 0) && serious != all {
        let worst = Level::ALL.into_iter().rev().find(|level| {
            columns
                .counts
                .iter()
                .any(|c| c[Level::index(Some(*level))] > 0)
        });
        line(page, "warn+", ink_of(worst), &serious, columns.seconds);
    }
    // The times stand below the ends of the line.
    let time = |second: i64| Time(second.saturating_mul(Time::SECOND));
    let (start, end) = (time(columns.start), time(columns.end(state.last)));
    let start = match state.first {
        Some(first) if columns.outside[0] == 0 => first.max(start),
        _ => start,
    };
    let short = when::Short::new(start, end);
    let (from, to) = (short.text(start), short.text(end));
    page.skip(2 + LABEL).put(DIM, &from);
    let rest = columns.counts.len().saturating_sub(from.len() + to.len());
    if rest > 0 {
        page.skip(rest).put(DIM, &to);
    } else {
        page.put(DIM, " – ").put(DIM, &to);
    }
    page.end();
}

fn line(page: &mut Page<'_>, label: &str, ink: Ink, counts: &[u64], seconds: u64) {
    let peak = counts.iter().copied().max().unwrap_or(0);
    page.skip(2)
        .left_in(LABEL, ink, label)
        .put(ink, &sparkline(counts))
        .skip(2)
        .put(DIM, &format!("peak {}", rate(peak, seconds)))
        .end();
}

/// Records that are not on the line.
fn stray(columns: &Columns) -> String {
    match columns.outside {
        [0, 0] => String::new(),
        [before, 0] => format!("without {} far before", counted(before, "record")),
        [0, after] => format!("without {} far after", counted(after, "record")),
        [before, after] => format!(
            "without {} far before and {} after",
            counted(before, "record"),
            count(after)
        ),
    }
}
