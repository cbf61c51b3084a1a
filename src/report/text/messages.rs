//! The table of unique messages: how often, how serious, when, and what it says.

use crate::flow::level::Level;
use crate::report::text::number::{count, counted, share};
use crate::report::text::page::{DIM, Ink, PLAIN, Page, ink_of};
use crate::report::text::plain;
use crate::report::text::when::Short;
use crate::report::{Message, Report};
use crate::state::State;

/// What stands for a value that varies.
const MASK: &str = "<*>";

/// Columns before the message, fixed for the whole table.
struct Layout {
    count: usize,
    /// Columns of the share; 0 leaves it out.
    share: usize,
    level: usize,
    /// Left out on a narrow terminal, or where no message has a time.
    times: Option<Short>,
    listed: u64,
    /// The samples name their source only if there are several.
    names_source: bool,
}

pub fn write(page: &mut Page<'_>, report: &Report<'_>, top: usize) {
    let state = report.state;
    // What went wrong worst stands first: no number of warnings hides the one error.
    let mut messages: Vec<&Message<'_>> = report.messages.iter().collect();
    messages.sort_by_key(|message| std::cmp::Reverse(message.level));
    let other = state.messages.other();
    let listed = messages.iter().map(|message| message.count).sum::<u64>() + other;
    if listed == 0 {
        return nothing(page, state);
    }
    let what = match state.shape.list {
        Level::Trace => "all levels".to_owned(),
        Level::Fatal => "fatal".to_owned(),
        level => format!("{} and above", level.name()),
    };
    page.title(
        "messages",
        &format!(
            "{what} · {} · {} unique",
            counted(listed, "record"),
            count(messages.len() as u64)
        ),
    );
    let shown = &messages[..top.min(messages.len())];
    let layout = layout(page, state, shown, listed);
    for message in shown {
        row(page, message, &layout);
    }
    let hidden = &messages[shown.len()..];
    if !hidden.is_empty() {
        let records = hidden.iter().map(|message| message.count).sum();
        let more = format!(
            "… and {} more with {}",
            count(hidden.len() as u64),
            counted(records, "record")
        );
        let remedy = format!(" (--top {})", messages.len());
        page.skip(2).put(PLAIN, &more).put(DIM, &remedy).end();
    }
    if other > 0 {
        let records = counted(other, "record");
        let text = format!("… {records} more that were new when the table was full");
        page.skip(2).put(PLAIN, &text).end();
    }
}

/// Says that nothing of the listed levels was there, and how to see what was.
fn nothing(page: &mut Page<'_>, state: &State) {
    let list = state.shape.list;
    let what = match list {
        Level::Fatal => "nothing fatal".to_owned(),
        Level::Error => "no errors".to_owned(),
        Level::Warn => "no warnings or errors".to_owned(),
        level => format!("nothing of level {} or above", level.name()),
    };
    let below = Level::ALL
        .into_iter()
        .rev()
        .find(|level| *level < list && state.levels[Level::index(Some(*level))] > 0)
        .unwrap_or(Level::Trace);
    page.title("messages", "");
    page.skip(2)
        .put(PLAIN, &what)
        .put(DIM, &format!("; -l {} lists more", below.name()))
        .end();
}

fn layout(page: &Page<'_>, state: &State, shown: &[&Message<'_>], listed: u64) -> Layout {
    let widest = shown.iter().map(|message| message.count).max().unwrap_or(0);
    let wide = page.width() >= 72;
    let times = match (state.first, state.last) {
        (Some(first), Some(last)) if wide && shown.iter().any(|m| m.first.is_some()) => {
            Some(Short::new(first, last))
        }
        _ => None,
    };
    Layout {
        count: count(widest).len().max(5),
        share: if page.width() >= 96 { 6 } else { 0 },
        level: 5,
        times,
        listed,
        names_source: state.inputs.len() > 1,
    }
}

fn row(page: &mut Page<'_>, message: &Message<'_>, layout: &Layout) {
    let ink = ink_of(message.level);
    page.skip(2)
        .right_in(layout.count, PLAIN, &count(message.count));
    if layout.share > 0 {
        page.skip(1)
            .right_in(layout.share, DIM, &share(message.count, layout.listed));
    }
    let level = message.level.map_or("none", Level::name);
    page.skip(2).left_in(layout.level, ink, level).skip(2);
    if let Some(times) = layout.times {
        let (first, last) = match (message.first, message.last) {
            (Some(first), Some(last)) => (times.text(first), times.after(first, last)),
            _ => (String::new(), String::new()),
        };
        let dash = if last.is_empty() { " " } else { "–" };
        page.left_in(times.width(), DIM, &first)
            .put(DIM, dash)
            .left_in(times.width(), DIM, &last)
            .skip(2);
    }
    let at = page.column();
    let template = page.shown(&message.template);
    let room = page.left();
    let fitted = plain::fit(&template, room);
    write_template(page, &fitted, PLAIN);
    let place = place(page, message, layout);
    match message
        .samples
        .first()
        .and_then(|sample| says_more(page, sample, &template))
    {
        Some(sample) => {
            page.end();
            // The place goes into the margin, so that the sample stands below its template.
            let margin = at.saturating_sub(4);
            if plain::width(&place) <= margin {
                page.skip(2).left_in(margin, DIM, &place).skip(2);
            } else {
                page.skip(at).put(DIM, &place).skip(2);
            }
            page.put(DIM, &sample).end();
        }
        None => {
            // Only if it fits as a whole: half a place is none.
            if page.left() >= plain::width(&place) + 2 {
                page.skip(2).put(DIM, &place);
            }
            page.end();
        }
    }
}

/// The template, its masks held back so that the words stand out.
fn write_template(page: &mut Page<'_>, template: &str, ink: Ink) {
    for (number, part) in template.split(MASK).enumerate() {
        if number > 0 {
            page.put(DIM, MASK);
        }
        page.put(ink, part);
    }
}

/// Where the first one stands: `app.log@1234`, the offset of its first byte.
fn place(page: &Page<'_>, message: &Message<'_>, layout: &Layout) -> String {
    if layout.names_source {
        let source = page.shown(message.source.as_bytes());
        let name = source.rsplit('/').next().unwrap_or(&source);
        format!("{}@{}", plain::fit_end(name, 24), message.offset)
    } else {
        format!("@{}", message.offset)
    }
}

/// The sample from where its message begins, if it says more than the template.
fn says_more(page: &Page<'_>, sample: &[u8], template: &str) -> Option<String> {
    let sample = page.shown(sample);
    let rest = &sample[beginning(&sample, template)..];
    let same = rest == template || !template.contains(MASK) && rest.len() <= template.len();
    (!same).then(|| rest.to_owned())
}

/// Where the message begins in its record: found by the first words of the template that do not
/// vary, less the word that a mask before them stands for. 0 if they are not found.
fn beginning(sample: &str, template: &str) -> usize {
    /// Fewer letters stand by chance in a record's head too.
    const FIXED_MIN: usize = 5;
    let mut parts = template.split(MASK);
    let first = parts.next().unwrap_or("").trim_end();
    if first.len() >= FIXED_MIN {
        return sample.find(first).unwrap_or(0);
    }
    let Some(fixed) = parts.map(str::trim).find(|part| part.len() >= FIXED_MIN) else {
        return 0;
    };
    let Some(at) = sample.find(fixed) else {
        return 0;
    };
    let before = sample[..at].trim_end();
    before.rfind(' ').map_or(0, |blank| blank + 1)
}
