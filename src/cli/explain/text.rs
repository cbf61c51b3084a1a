//! An explanation for eyes.

use crate::cli::explain::Explanation;
use crate::cli::explain::configured::Configured;
use crate::flow::level::Level;
use crate::flow::row::Kind;
use crate::flow::wanted::is_metric_name;
use crate::report::text::Style;
use crate::report::text::number::{counted, quantity};
use crate::report::text::page::{ALARM, DIM, Ink, PLAIN, Page, TITLE, ink_of};
use crate::report::text::plain;
use crate::units::Unit;

/// Columns of the names at the left.
const NAME: usize = 13;

/// Longest column of field names and values; a longer one pushes what follows.
const FIELD_MAX: usize = 40;

/// Names of a layer's fields that are shown; all stand below.
const LAYER_FIELDS_MAX: usize = 8;

/// Rows are not cut: whoever asks for one line wants all of it.
const UNCUT: usize = 1 << 20;

pub fn write(explanation: &Explanation, color: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let style = Style {
        color,
        width: UNCUT,
        cut: true,
        escape: true,
    };
    let mut page = Page::new(&mut out, &style);
    reading(&mut page, explanation);
    fields(&mut page, explanation);
    if let Some(configured) = &explanation.configured {
        watched(&mut page, configured);
    }
    if explanation
        .configured
        .as_ref()
        .is_none_or(|it| it.has_lines)
    {
        selection(&mut page, explanation);
    }
    out
}

fn row(page: &mut Page<'_>, name: &str, ink: Ink, text: &str, why: &str) {
    page.left_in(NAME, DIM, name).put(ink, text);
    if !why.is_empty() {
        page.skip(2).put(DIM, why);
    }
    page.end();
}

fn reading(page: &mut Page<'_>, explanation: &Explanation) {
    if explanation.records > 1 || explanation.lines > 1 {
        let text = format!(
            "{} make {}",
            counted(u64::from(explanation.lines), "line"),
            counted(explanation.records as u64, "record")
        );
        let why = if explanation.records > 1 {
            "only the first is explained"
        } else {
            ""
        };
        row(page, "input", PLAIN, &text, why);
    }
    if let Some((wrapping, stream, time)) = &explanation.container {
        let why = format!("written {} to {stream}", page.shown(time.as_bytes()));
        row(page, "container", PLAIN, wrapping.name(), &why);
    }
    let tried: Vec<&str> = explanation
        .tried
        .iter()
        .map(|format| format.name())
        .collect();
    let why = match (explanation.forced, tried.is_empty()) {
        (true, true) => "as --format says".to_owned(),
        (true, false) => format!("it is not {}, as --format says", tried.join(", ")),
        (false, true) => "the first that was asked took it".to_owned(),
        (false, false) => format!("not {}", tried.join(", ")),
    };
    row(page, "format", PLAIN, explanation.format.name(), &why);
    if explanation.layers.len() > 1 {
        layers(page, explanation);
    }
    match &explanation.level {
        Some((level, place)) => {
            let place = format!("from {}", page.shown(place.as_bytes()));
            row(page, "level", ink_of(Some(*level)), level.name(), &place);
        }
        None => row(
            page,
            "level",
            DIM,
            "none",
            "no level field, no level word where one stands",
        ),
    }
    match &explanation.time {
        Some((time, origin)) => {
            let mut why = String::new();
            if !origin.text.is_empty() {
                why = format!("from \"{}\"", page.shown(origin.text.as_bytes()));
            }
            if let Some(field) = &origin.field {
                why = format!("{why} in field {}", page.shown(field.as_bytes()));
            }
            if let Some(zone) = &origin.zone {
                why = format!("{why}; it names no zone: read as {zone} (--tz)");
            }
            if origin.yearless {
                why.push_str("; it names no year: the latest that is not after tomorrow");
            }
            row(page, "time", PLAIN, &time.to_string(), &why);
        }
        None => row(page, "time", DIM, "none", "no time that can be read"),
    }
    let message = page.shown(&explanation.message);
    let masked = page.shown(&explanation.masked);
    row(page, "message", PLAIN, &message, "");
    row(page, "masked", PLAIN, &masked, "");
    let fingerprint = explanation.fingerprint.to_string();
    row(page, "fingerprint", PLAIN, &fingerprint, "");
}

/// What each layer of the record gave, outermost first.
fn layers(page: &mut Page<'_>, explanation: &Explanation) {
    for (number, layer) in explanation.layers.iter().enumerate() {
        let mut gave = Vec::new();
        if let Some(time) = layer.time {
            gave.push(format!("time {time}"));
        }
        if let Some(level) = layer.level {
            gave.push(format!("level {}", level.name()));
        }
        let names = layer.fields.iter().take(LAYER_FIELDS_MAX);
        gave.extend(names.map(|name| page.shown(name)));
        if layer.fields.len() > LAYER_FIELDS_MAX {
            gave.push("…".to_owned());
        }
        let name = if number == 0 { "layers" } else { "" };
        row(page, name, PLAIN, layer.name, &gave.join(", "));
    }
}

fn fields(page: &mut Page<'_>, explanation: &Explanation) {
    if explanation.fields.is_empty() {
        page.title("fields", "none");
        return;
    }
    page.title("fields", "");
    let rows: Vec<(String, String)> = explanation
        .fields
        .iter()
        .map(|field| (page.shown(&field.name), page.shown(&field.value)))
        .collect();
    let widest = |texts: &mut dyn Iterator<Item = &String>| {
        let width = texts.map(|text| plain::width(text)).max().unwrap_or(0);
        width.min(FIELD_MAX)
    };
    let name_width = widest(&mut rows.iter().map(|row| &row.0));
    let value_width = widest(&mut rows.iter().map(|row| &row.1));
    for (field, (name, value)) in explanation.fields.iter().zip(&rows) {
        let mut remarks = Vec::new();
        if let Some(read) = field.quantity {
            remarks.push(match read.unit {
                Unit::None => "reads as a number".to_owned(),
                unit => format!("reads as {}", quantity(read.value, unit)),
            });
        }
        let is_number = field.kind == Kind::Number || field.quantity.is_some();
        if is_number && is_metric_name(&field.name) {
            remarks.push("a metric by its name".to_owned());
        }
        page.skip(2).put(PLAIN, name);
        page.skip(name_width.saturating_sub(plain::width(name)) + 2)
            .left_in(9, DIM, kind(field.kind))
            .put(PLAIN, value);
        page.skip(value_width.saturating_sub(plain::width(value)) + 2)
            .put(DIM, &remarks.join(", "))
            .end();
    }
}

/// The kind as people call it.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Null => "null",
        Kind::Bool => "bool",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::Composite => "nested",
    }
}

/// Metrics, states, sets and rules, and what each takes of the record.
fn watched(page: &mut Page<'_>, configured: &Configured) {
    if configured.watched.is_empty() {
        return;
    }
    page.title("watched", "");
    let seen = configured.watched.iter();
    let names = seen.map(|seen| plain::width(&page.shown(seen.name.as_bytes())));
    let widest = names.max().unwrap_or(0);
    for seen in &configured.watched {
        let (mark, ink) = if seen.takes {
            ("takes it", ink_of(Some(Level::Info)))
        } else {
            ("not seen", DIM)
        };
        let name = page.shown(seen.name.as_bytes());
        let why = page.shown(seen.why.as_bytes());
        page.skip(2)
            .left_in(10, ink, mark)
            .left_in(8, DIM, seen.kind)
            .left_in(widest, PLAIN, &name)
            .skip(2)
            .put(DIM, &why)
            .end();
    }
}

fn selection(page: &mut Page<'_>, explanation: &Explanation) {
    let title = match &explanation.configured {
        Some(_) => "lines",
        None => "selection",
    };
    page.title(title, "");
    let widest = explanation
        .tests
        .iter()
        .map(|test| plain::width(&page.shown(test.flag.as_bytes())))
        .max()
        .unwrap_or(0);
    for test in &explanation.tests {
        let (mark, ink) = if test.passes {
            ("passes", ink_of(Some(Level::Info)))
        } else {
            ("fails", ALARM)
        };
        let flag = page.shown(test.flag.as_bytes());
        let why = page.shown(test.why.as_bytes());
        page.skip(2)
            .left_in(8, ink, mark)
            .left_in(widest, PLAIN, &flag)
            .skip(2)
            .put(DIM, &why)
            .end();
    }
    let (text, why) = verdict(explanation);
    page.skip(2)
        .left_in(text.len().max(8), TITLE, text)
        .skip(usize::from(text.len() >= 8) * 2)
        .put(DIM, &why)
        .end();
}

/// What becomes of the record in the end.
pub fn verdict(explanation: &Explanation) -> (&'static str, String) {
    if let Some(configured) = &explanation.configured {
        return of_configuration(explanation, configured);
    }
    if !explanation.selected() {
        let failed = explanation.tests.iter().filter(|test| !test.passes);
        let flags: Vec<&str> = failed
            .filter_map(|test| test.flag.split(' ').next())
            .collect();
        return ("dropped", format!("because of {}", flags.join(", ")));
    }
    let level = explanation.level.as_ref().map(|level| level.0);
    let list = explanation.list.unwrap_or(Level::Warn);
    if list == Level::Trace || level >= Some(list) {
        return (
            "kept",
            "`weir` counts it and lists its message, `weir filter` writes it".to_owned(),
        );
    }
    let needed = level.unwrap_or(Level::Trace).name();
    match explanation.list {
        Some(list) => (
            "dropped by `weir filter`",
            format!(
                "its level is below -l {}; `weir` counts it and does not list its message (-l {needed} does)",
                list.name()
            ),
        ),
        None => (
            "kept",
            format!(
                "`weir` counts it and lists its message with -l {needed}, `weir filter` writes it"
            ),
        ),
    }
}

fn of_configuration(explanation: &Explanation, configured: &Configured) -> (&'static str, String) {
    if !configured.has_lines {
        return ("dropped", "there is no sink for lines".to_owned());
    }
    if !explanation.selected() {
        let failed = explanation.tests.iter().filter(|test| !test.passes);
        let flags: Vec<&str> = failed
            .filter_map(|test| test.flag.split(' ').next())
            .collect();
        let why = format!(
            "because of {}; what is watched sees it all the same",
            flags.join(", ")
        );
        return ("dropped", why);
    }
    let why = if configured.has_dedup {
        "it goes out unless one that is the same did before ([dedup])"
    } else {
        "it goes out"
    };
    ("kept", why.to_owned())
}
