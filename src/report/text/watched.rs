//! Alerts, states and sets of a `weir run`: what is wrong first.

use crate::flow::alert::Alert;
use crate::flow::time::Time;
use crate::report::Report;
use crate::report::text::groups::key;
use crate::report::text::number::{count, counted};
use crate::report::text::page::{ALARM, CAUTION, DIM, Ink, PLAIN, Page};
use crate::report::text::plain;
use crate::state::keyed::{self, Keyed, Status};
use crate::state::sets::{self, Sets};

pub fn write(page: &mut Page<'_>, report: &Report<'_>, top: usize) {
    alerts(page, &report.state.watched.alerts, top);
    write_known(page, report, top);
}

/// States and sets.
pub fn write_known(page: &mut Page<'_>, report: &Report<'_>, top: usize) {
    let watched = &report.state.watched;
    let now = watched.at.or(report.state.last).unwrap_or(Time(0));
    for state in &watched.states {
        states(page, state, now, top);
    }
    for set in &watched.sets {
        sets(page, set, top);
    }
}

fn alerts(page: &mut Page<'_>, alerts: &[Alert], top: usize) {
    if alerts.is_empty() {
        return;
    }
    page.title("alerts", &format!("{} firing", count(alerts.len() as u64)));
    for alert in alerts.iter().take(top) {
        let severity = alert.labels.iter().find(|(name, _)| name == "severity");
        let severity = severity.map_or("", |(_, value)| value);
        let ink = if severity == "critical" {
            ALARM
        } else {
            CAUTION
        };
        let summary = page.shown(alert.summary.as_bytes());
        page.skip(2)
            .left_in(9, ink, severity)
            .put(PLAIN, &summary)
            .remark(DIM, &format!("since {}", alert.starts_at))
            .end();
    }
    more(page, alerts.len(), top);
}

fn states(page: &mut Page<'_>, state: &Keyed, now: Time, top: usize) {
    let mut rows = state.rows(now);
    let wrong = rows.iter().filter(|row| ink(row.status) != PLAIN).count();
    let names = state.settings().key.join(", ");
    let mut remark = format!("by {names} · {}", counted(rows.len() as u64, "key"));
    if wrong > 0 {
        remark.push_str(&format!(" · {} not ok", count(wrong as u64)));
    }
    let name = page.shown(state.settings().name.as_bytes());
    page.title(&format!("state {name}"), &page.shown(remark.as_bytes()));
    // The order of the statuses is that of how much they matter.
    rows.sort_by(|left, right| {
        (left.status as u8, &left.key).cmp(&(right.status as u8, &right.key))
    });
    let keys: Vec<String> = rows
        .iter()
        .take(top)
        .map(|row| key(page, &row.key))
        .collect();
    let width = keys.iter().map(|key| plain::width(key)).max().unwrap_or(0);
    let width = width.clamp(5, page.width() * 2 / 5);
    for (row, key) in rows.iter().zip(&keys) {
        state_row(page, row, key, width);
    }
    more(page, rows.len(), top);
}

fn state_row(page: &mut Page<'_>, row: &keyed::Row<'_>, key: &str, width: usize) {
    let value = row.value.map_or(String::new(), |value| page.shown(value));
    page.skip(2)
        .left_in(width, PLAIN, key)
        .skip(2)
        .left_in(8, ink(row.status), row.status.name())
        .put(PLAIN, &value);
    if let Some(since) = row.since {
        page.remark(DIM, &format!("since {since}"));
    }
    if row.status != Status::Ok
        && let Some(last) = row.last_ok
    {
        page.remark(DIM, &format!("last ok {last}"));
    }
    page.end();
}

fn ink(status: Status) -> Ink {
    match status {
        Status::Ok | Status::Pending => PLAIN,
        Status::Late | Status::Stuck => CAUTION,
        Status::Missing | Status::Bad => ALARM,
    }
}

fn sets(page: &mut Page<'_>, set: &Sets, top: usize) {
    let rows = set.rows();
    let about = |row: &sets::Row<'_>| {
        let sign = if row.approximate { "about " } else { "" };
        format!("{sign}{}", count(row.count))
    };
    let (overall, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.key.is_empty());
    let remark = overall
        .first()
        .map_or(String::new(), |row| format!("{} distinct", about(row)));
    let name = page.shown(set.settings().name.as_bytes());
    page.title(&format!("set {name}"), &remark);
    let shown = if rows.is_empty() { &overall } else { &rows };
    let keys: Vec<String> = shown
        .iter()
        .take(top)
        .map(|row| key(page, &row.key))
        .collect();
    let width = keys.iter().map(|key| plain::width(key)).max().unwrap_or(0);
    let width = width.clamp(5, page.width() * 2 / 5);
    for (row, key) in shown.iter().zip(&keys) {
        let values: Vec<String> = row.values.iter().map(|value| page.shown(value)).collect();
        page.skip(2)
            .left_in(width, PLAIN, key)
            .skip(2)
            .right_in(8, PLAIN, &about(row))
            .skip(2)
            .put(DIM, &values.join(", "))
            .end();
    }
    more(page, shown.len(), top);
}

fn more(page: &mut Page<'_>, rows: usize, top: usize) {
    if rows > top {
        let text = format!("… and {} more (--top {rows})", count((rows - top) as u64));
        page.skip(2).put(DIM, &text).end();
    }
}
