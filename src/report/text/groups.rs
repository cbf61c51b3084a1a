//! One table for each `--by`: groups with their counts.

use crate::report::text::chart::bar;
use crate::report::text::number::{count, counted, share};
use crate::report::text::page::{BAR, DIM, PLAIN, Page};
use crate::report::text::plain;
use crate::report::{Groups, Report, grouping_names};

/// Longest bar.
const BAR_MAX: usize = 40;

pub fn write(page: &mut Page<'_>, report: &Report<'_>, top: usize) {
    for groups in &report.groups {
        table(page, report, groups, top);
    }
}

fn table(page: &mut Page<'_>, report: &Report<'_>, groups: &Groups<'_>, top: usize) {
    let state = report.state;
    let grouping = groups.grouping;
    let number = u16::try_from(grouping).expect("a command line has fewer groupings than 2^16");
    let names = grouping_names(state, grouping).join(", ");
    let names = page.shown(names.as_bytes());
    let kept = state.ledger.kept;
    let total = state.groups.total(number);
    let all = state.groups.len(number);
    let mut remark = counted(all as u64, "group");
    let without = kept.saturating_sub(total);
    if without > 0 {
        remark.push_str(&format!(" · {} without", counted(without, "record")));
    }
    page.title(&format!("by {names}"), &remark);
    if total == 0 {
        let text = format!("no selected record has {names}");
        page.skip(2)
            .put(PLAIN, &text)
            .put(DIM, "; `weir explain LINE` shows the fields of a line")
            .end();
        return;
    }
    let rows: Vec<(String, u64)> = groups
        .shown
        .iter()
        .take(top)
        .map(|group| (key(page, &report.named(grouping, group.key)), group.count))
        .collect();
    let most = rows.iter().map(|row| row.1).max().unwrap_or(0);
    let key = rows.iter().map(|row| plain::width(&row.0)).max();
    let key = key.unwrap_or(0).clamp(5, page.width() * 2 / 5);
    let digits = count(most.max(total)).len();
    for (text, number) in &rows {
        page.skip(2)
            .left_in(key, PLAIN, text)
            .skip(2)
            .right_in(digits, PLAIN, &count(*number))
            .skip(1)
            .right_in(6, DIM, &share(*number, kept))
            .skip(2);
        let room = page.left().min(BAR_MAX);
        page.put(BAR, &bar(*number, most, room)).end();
    }
    let shown: u64 = rows.iter().map(|row| row.1).sum();
    if total > shown {
        let hidden = all - rows.len();
        let other = state.groups.other(number);
        let mut text = String::from("…");
        if hidden > 0 {
            text.push_str(&format!(" and {} more", count(hidden as u64)));
        }
        if other > 0 {
            text.push_str(&format!(
                " with {} that came when the table was full",
                counted(other, "record")
            ));
        }
        page.skip(2)
            .left_in(key, DIM, &text)
            .skip(2)
            .right_in(digits, DIM, &count(total - shown))
            .skip(1)
            .right_in(6, DIM, &share(total - shown, kept))
            .skip(2);
        if hidden > 0 {
            page.put(DIM, &format!("(--top {all})"));
        }
        page.end();
    }
}

/// The values of a group, in the order of the title.
pub fn key(page: &Page<'_>, by: &[(&str, &[u8])]) -> String {
    let values: Vec<String> = by.iter().map(|(_, text)| value(page, text)).collect();
    values.join(", ")
}

/// The values of a group with their names.
pub fn named_key(page: &Page<'_>, by: &[(&str, &[u8])]) -> String {
    let pair = |(name, text): &(&str, &[u8])| {
        format!("{}={}", page.shown(name.as_bytes()), value(page, text))
    };
    by.iter().map(pair).collect::<Vec<_>>().join(", ")
}

fn value(page: &Page<'_>, text: &[u8]) -> String {
    match page.shown(text) {
        empty if empty.is_empty() => "\"\"".to_owned(),
        text => text,
    }
}
