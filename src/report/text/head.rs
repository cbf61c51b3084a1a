//! The head of a report: what was read, which time it covers, and where every record went.

use crate::flow::row::FIELDS_MAX;
use crate::report::Report;
use crate::report::text::number::{count, counted, size, span};
use crate::report::text::page::{ALARM, CAUTION, DIM, PLAIN, Page, TITLE};
use crate::report::text::{plain, when};
use crate::state::{Input, State};

/// Inputs that have a row of their own; with more the last row sums up the rest.
const INPUTS_MAX: usize = 5;

pub fn write(page: &mut Page<'_>, report: &Report<'_>) {
    inputs(page, report.state);
    range(page, report.state);
    ledger(page, report.state);
    notes(page, report.state);
}

fn inputs(page: &mut Page<'_>, state: &State) {
    let inputs: Vec<&Input> = state
        .inputs
        .iter()
        .filter(|input| !input.name.is_empty())
        .collect();
    let shown = if inputs.len() > INPUTS_MAX {
        INPUTS_MAX - 1
    } else {
        inputs.len()
    };
    let rest = inputs[shown..]
        .iter()
        .fold(Input::default(), |mut sum, input| {
            sum.bytes += input.bytes;
            sum.lines += input.lines;
            sum.records += input.records;
            sum
        });
    let mut rows: Vec<[String; 5]> = inputs[..shown]
        .iter()
        .map(|input| {
            let format = input.format().map_or("", |format| format.name());
            let name = match &*input.name {
                "-" => "standard input".to_owned(),
                name => page.shown(name.as_bytes()),
            };
            row(name, format, input)
        })
        .collect();
    if shown < inputs.len() {
        let name = format!("… and {} more", count((inputs.len() - shown) as u64));
        rows.push(row(name, "", &rest));
    }
    let widths: [usize; 5] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| plain::width(&row[column]))
            .max()
            .unwrap_or(0)
    });
    let others: usize = widths[1..].iter().map(|width| width + 2).sum();
    // A narrow terminal shows the name first; the figures are cut by the page.
    let room = page.width().saturating_sub(others).max(page.width() / 3);
    let name = widths[0].min(if page.cuts() { room } else { usize::MAX });
    for [text, format, size, lines, records] in &rows {
        page.left_in(name, TITLE, &plain::fit_end(text, name))
            .skip(2)
            .left_in(widths[1], PLAIN, format)
            .skip(2)
            .right_in(widths[2], PLAIN, size)
            .skip(2)
            .right_in(widths[3], PLAIN, lines)
            .skip(2)
            .right_in(widths[4], PLAIN, records)
            .end();
    }
    if rows.is_empty() {
        page.put(DIM, "no input").end();
    }
}

fn row(name: String, format: &str, input: &Input) -> [String; 5] {
    [
        name,
        format.to_owned(),
        size(input.bytes),
        counted(input.lines, "line"),
        counted(input.records, "record"),
    ]
}

fn range(page: &mut Page<'_>, state: &State) {
    let (Some(first), Some(last)) = (state.first, state.last) else {
        if state.ledger.kept > 0 {
            page.put(DIM, "no record has a time").end();
        }
        return;
    };
    let end = if when::day(first) == when::day(last) {
        when::clock(last)
    } else {
        when::full(last)
    };
    let seconds = last.second().abs_diff(first.second());
    if seconds == 0 {
        page.put(PLAIN, &format!("{} UTC", when::full(first)));
    } else {
        page.put(PLAIN, &format!("{} – {end} UTC", when::full(first)))
            .put(DIM, &format!("  {}", span(seconds)));
    }
    let zone = page.shown(state.shape.zone.as_bytes());
    if !matches!(&*zone, "UTC" | "Etc/UTC" | "") {
        page.remark(DIM, &format!("times without a zone read as {zone}"));
    }
    page.end();
}

/// `100 lines = 97 records: 40 kept, 57 filtered · 0 unaccounted`: nothing is lost, or it is said.
fn ledger(page: &mut Page<'_>, state: &State) {
    let ledger = &state.ledger;
    let parts = [
        (ledger.kept, "kept"),
        (ledger.filtered, "filtered"),
        (ledger.duplicate, "duplicate"),
        (ledger.malformed, "malformed"),
        (ledger.held, "held"),
    ];
    page.put(
        PLAIN,
        &format!(
            "{} = {}",
            counted(ledger.lines, "line"),
            counted(ledger.records, "record")
        ),
    );
    if ledger.records > 0 {
        let parts: Vec<String> = parts
            .iter()
            .filter(|part| part.0 > 0)
            .map(|(number, what)| {
                if *number == ledger.records {
                    format!("all {what}")
                } else {
                    format!("{} {what}", count(*number))
                }
            })
            .collect();
        page.put(PLAIN, &format!(": {}", parts.join(", ")));
    }
    let ink = if ledger.unaccounted > 0 { ALARM } else { DIM };
    let unaccounted = format!("{} unaccounted", count(ledger.unaccounted));
    page.remark(ink, &unaccounted).end();
}

fn notes(page: &mut Page<'_>, state: &State) {
    let ledger = &state.ledger;
    if ledger.truncated > 0 {
        let lines = counted(ledger.truncated, "line");
        page.put(CAUTION, &format!("{lines} over the length limit, cut"))
            .end();
    }
    if ledger.fields_cut > 0 {
        let fields = counted(ledger.fields_cut, "field");
        let limit = count(FIELDS_MAX as u64);
        page.put(
            CAUTION,
            &format!("{fields} left out: a record lists at most {limit}"),
        )
        .end();
    }
    if ledger.faulted > 0 {
        let records = counted(ledger.faulted, "record");
        let text = format!("{records} made weir panic, kept as plain text: please report it");
        page.put(ALARM, &text).end();
    }
    if ledger.no_time > 0 && state.first.is_some() {
        let records = counted(ledger.no_time, "record");
        page.put(
            DIM,
            &format!("{records} without a time, not in first and last"),
        )
        .end();
    }
    losses(page, state);
    let tables = state.approximate();
    if !tables.is_empty() {
        let tables = tables.join(", ");
        page.put(
            CAUTION,
            &format!("full, so approximate: {tables}; totals are exact"),
        )
        .end();
    }
    if ledger.kept == 0 && ledger.records > 0 {
        page.put(
            PLAIN,
            "no record was selected; `weir explain LINE` with the same flags says why",
        )
        .end();
    }
}

/// Losses that have a row of their own in text; JSON has them all.
const LOSSES_MAX: usize = 3;

/// Bytes of followed files that no record was made of, if there are any.
fn losses(page: &mut Page<'_>, state: &State) {
    let losses = &state.losses;
    if losses.lost_bytes() > 0 {
        let bytes = counted(losses.lost_bytes(), "byte");
        page.put(ALARM, &format!("{bytes} gone before they could be read"))
            .end();
        let rows = losses.rows().0;
        for row in rows.iter().take(LOSSES_MAX) {
            let name = page.shown(row.source.as_bytes());
            let (from, to) = (count(row.from), count(row.to));
            page.put(DIM, &format!("  {name}: bytes {from} to {to}"))
                .end();
        }
        if rows.len() > LOSSES_MAX {
            page.put(DIM, "  the other ranges are in the JSON report")
                .end();
        }
    }
    if losses.skipped_bytes() > 0 {
        let bytes = counted(losses.skipped_bytes(), "byte");
        page.put(DIM, &format!("{bytes} of zeros that nobody wrote, skipped"))
            .end();
    }
}
