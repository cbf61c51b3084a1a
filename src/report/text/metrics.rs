//! The table of numbers: how each metric is distributed, over all and in each group.

use std::collections::HashSet;

use crate::report::text::groups::{key, named_key};
use crate::report::text::number::{count, counted, quantity};
use crate::report::text::page::{DIM, PLAIN, Page, TITLE};
use crate::report::text::plain;
use crate::report::{Metric, Of, Report};

const HEADINGS: [&str; 9] = [
    "count", "min", "mean", "p50", "p90", "p99", "p99.9", "max", "sum",
];

/// Columns in the order in which a narrow terminal goes without them.
const DROPPED_FIRST: [usize; 7] = [8, 6, 1, 4, 2, 0, 3];

pub fn write(page: &mut Page<'_>, report: &Report<'_>, top: usize) {
    let fields = most_frequent(report, top);
    let metrics: Vec<&Metric<'_>> = report
        .metrics
        .iter()
        .filter(|metric| fields.contains(metric.field))
        .collect();
    if metrics.is_empty() {
        return;
    }
    let rows: Vec<(String, [String; 9])> = metrics
        .iter()
        .map(|metric| (label(page, report, metric), cells(metric)))
        .collect();
    let label = rows.iter().map(|row| plain::width(&row.0)).max();
    let label = label.unwrap_or(0).clamp(6, (page.width() / 3).max(12));
    let widths: [usize; 9] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| plain::width(&row.1[column]));
        cells.max().unwrap_or(0).max(HEADINGS[column].len())
    });
    let mut shown: Vec<usize> = (0..HEADINGS.len()).collect();
    for column in DROPPED_FIRST {
        let needed: usize = shown.iter().map(|&column| widths[column] + 2).sum();
        if !page.cuts() || 2 + label + needed <= page.width() {
            break;
        }
        shown.retain(|&kept| kept != column);
    }

    let groupings: Vec<String> = report
        .state
        .shape
        .groupings
        .iter()
        .map(|names| names.join(", "))
        .collect();
    let remark = match &*groupings {
        [] => String::new(),
        names => page.shown(format!("by {}", names.join(" and by ")).as_bytes()),
    };
    page.title("metrics", &remark);
    page.skip(2 + label);
    for &column in &shown {
        page.skip(2).right_in(widths[column], DIM, HEADINGS[column]);
    }
    page.end();
    for (metric, (text, cells)) in metrics.iter().zip(&rows) {
        let ink = match metric.of {
            Of::All => TITLE,
            Of::Group(..) => PLAIN,
            Of::Other(_) => DIM,
        };
        page.skip(2).left_in(label, ink, text);
        for &column in &shown {
            page.skip(2).right_in(widths[column], PLAIN, &cells[column]);
        }
        page.end();
        if metric.of == Of::All {
            remarks(page, metric);
        }
    }
    let all: HashSet<&[u8]> = report.metrics.iter().map(|metric| metric.field).collect();
    if all.len() > fields.len() {
        let more = format!(
            "… and {} more fields",
            count((all.len() - fields.len()) as u64)
        );
        let remedy = format!(" (--top {})", all.len());
        page.skip(2).put(PLAIN, &more).put(DIM, &remedy).end();
    }
}

/// The fields with the most values, at most `top` of them; ties go to the first by name.
fn most_frequent<'r>(report: &'r Report<'_>, top: usize) -> HashSet<&'r [u8]> {
    let mut fields: Vec<(u64, &[u8])> = report
        .metrics
        .iter()
        .filter(|metric| metric.of == Of::All)
        .map(|metric| (metric.histogram.count(), metric.field))
        .collect();
    fields.sort_by_key(|&(count, field)| (std::cmp::Reverse(count), field));
    fields.iter().take(top).map(|field| field.1).collect()
}

/// The field's name for the row over all, below it the groups.
fn label(page: &Page<'_>, report: &Report<'_>, metric: &Metric<'_>) -> String {
    if metric.of == Of::All {
        return page.shown(metric.field);
    }
    let by = metric.of.by(report.state);
    // With several groupings a value alone does not say which it belongs to.
    let key = match (metric.of, report.state.shape.groupings.len()) {
        (Of::Other(_), 1) => "other".to_owned(),
        (_, 1) => key(page, &by),
        _ => named_key(page, &by),
    };
    format!("  {key}")
}

fn cells(metric: &Metric<'_>) -> [String; 9] {
    let histogram = &*metric.histogram;
    let quantiles = histogram.quantiles([0.5, 0.9, 0.99, 0.999]);
    let quantile = |place: usize| quantiles.map(|quantiles| quantiles[place]);
    let sum = (histogram.count() > 0).then(|| histogram.sum());
    let text = |value: Option<f64>| match value {
        Some(value) => quantity(value, metric.unit),
        None => "–".to_owned(),
    };
    [
        count(histogram.count()),
        text(histogram.min()),
        text(histogram.mean()),
        text(quantile(0)),
        text(quantile(1)),
        text(quantile(2)),
        text(quantile(3)),
        text(histogram.max()),
        text(sum),
    ]
}

/// Values that are no numbers: they are counted, and stand in no statistic.
fn remarks(page: &mut Page<'_>, metric: &Metric<'_>) {
    let histogram = &*metric.histogram;
    let parts: Vec<String> = [
        (histogram.nan(), "NaN"),
        (histogram.infinite(), "infinite"),
        (histogram.saturated(), "beyond the range of percentiles"),
    ]
    .iter()
    .filter(|part| part.0 > 0)
    .map(|(number, what)| format!("{} {what}", counted(*number, "value")))
    .collect();
    if !parts.is_empty() {
        page.skip(4).put(DIM, &parts.join(", ")).end();
    }
}
