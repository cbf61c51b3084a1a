//! What people read of a notification: a title and a text, from templates or in our own words. What
//! came from a log is data: it is put in once, escaped for the channel, and never read as a template.

pub mod context;
mod names;
pub mod words;

use std::io;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use crate::flow::alert::{Alert, Notification, Status};
use crate::flow::terminal;
use crate::notifiers::text::context::{Context, example};

/// Steps that one template may take: a loop over 50 alerts with all their fields needs some thousands.
const FUEL: u64 = 100_000;

/// Bytes that one template may write.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Characters of a title; mail subjects and pagers show fewer.
const TITLE_CHARACTERS_MAX: usize = 250;

/// Levels of nesting in a template; the built-in limit is 500.
const RECURSION_MAX: usize = 50;

/// Mistakes in a template that no alert can make good.
const NAMES_UNKNOWN: [ErrorKind; 4] = [
    ErrorKind::UnknownFilter,
    ErrorKind::UnknownFunction,
    ErrorKind::UnknownTest,
    ErrorKind::UnknownMethod,
];

/// What is done to data before it stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// Nothing: the text becomes a JSON string.
    None,
    /// No line breaks and nothing that a terminal obeys, so that data cannot make a line of its own.
    Line,
    /// Also `&`, `<` and `>`, with which Slack marks links, channels and people.
    Slack,
}

impl Escape {
    /// Appends `data`.
    pub fn put(self, data: &str, out: &mut String) {
        if self == Escape::None {
            out.push_str(data);
            return;
        }
        let mut harmless = Vec::with_capacity(data.len());
        terminal::escape(data.as_bytes(), &mut harmless);
        for character in String::from_utf8_lossy(&harmless).chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '\t' => out.push(' '),
                '&' if self == Escape::Slack => out.push_str("&amp;"),
                '<' if self == Escape::Slack => out.push_str("&lt;"),
                '>' if self == Escape::Slack => out.push_str("&gt;"),
                other => out.push(other),
            }
        }
    }

    fn of(self, data: &str) -> String {
        let mut out = String::new();
        self.put(data, &mut out);
        out
    }
}

/// A template that stands by itself, filled with `values`.
pub fn fill(template: &str, values: &impl serde::Serialize) -> Result<String, String> {
    filled(template, values).map_err(|error| said(&error))
}

/// What is wrong with a template for [`fill`] whatever it is filled with, and in which line.
pub fn check(template: &str, example: &impl serde::Serialize) -> Result<(), String> {
    let example = serde_json::to_value(example).map_err(|error| error.to_string())?;
    tried(&strict(), template, &example, true)
}

/// Tries a template on an example. An error says which names it does not know, of filters, functions and
/// values; what the example alone makes fail is none.
fn tried(
    environment: &Environment,
    template: &str,
    example: &serde_json::Value,
    closed: bool,
) -> Result<(), String> {
    let unknown = names::Unknown::default();
    let context = names::watched(example, environment, closed, &unknown);
    let rendered = environment
        .template_from_str(template)
        .and_then(|template| template.render(context));
    match rendered {
        Err(error)
            if error.kind() == ErrorKind::SyntaxError || NAMES_UNKNOWN.contains(&error.kind()) =>
        {
            Err(said(&error))
        }
        _ => names::first(&unknown).map_or(Ok(()), Err),
    }
}

/// Where templates of one text run, with their limits.
fn strict() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION_MAX);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment
}

fn filled(template: &str, values: &impl serde::Serialize) -> Result<String, minijinja::Error> {
    strict().render_str(template, Value::from(Serde(values)))
}

/// The words of one notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    pub title: String,
    pub text: String,
    /// Whether the user wrote the templates.
    pub has_own_title: bool,
    pub has_own_text: bool,
    /// Why a template could not be used, if so; the built-in words stand in its place.
    pub problem: Option<String>,
}

/// The templates of one notifier, checked.
pub struct Texts {
    environment: Environment<'static>,
    title: Option<String>,
    text: Option<String>,
    escape: Escape,
}

impl Texts {
    /// Checks the templates. An error says what is wrong and in which line.
    pub fn new(title: Option<&str>, text: Option<&str>, escape: Escape) -> Result<Texts, String> {
        let mut environment = strict();
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("channel".into()));
        environment.set_formatter(move |out, _, value| {
            if value.is_undefined() || value.is_none() {
                return Ok(());
            }
            out.write_str(&escape.of(&value.to_string()))
                .map_err(minijinja::Error::from)
        });
        for template in [title, text].into_iter().flatten() {
            environment
                .template_from_str(template)
                .map_err(|error| said(&error))?;
        }
        let texts = Texts {
            environment,
            title: title.map(str::to_owned),
            text: text.map(str::to_owned),
            escape,
        };
        // Names are looked up when a template runs: one that fires and one that is resolved.
        for status in [Status::Firing, Status::Resolved] {
            let example = example(status);
            let example = serde_json::to_value(Context::of(&example))
                .expect("a context is made of texts and numbers");
            for template in [title, text].into_iter().flatten() {
                tried(&texts.environment, template, &example, false)?;
            }
        }
        Ok(texts)
    }

    /// Title and text of a notification.
    pub fn write(&self, notification: &Notification) -> Words {
        let mut words = Words::default();
        let context = (self.title.is_some() || self.text.is_some())
            .then(|| Value::from(Serde(Context::of(notification))));
        let own = |template: &Option<String>, problem: &mut Option<String>| {
            let (template, context) = (template.as_ref()?, context.clone()?);
            match self.render(template, context) {
                Ok(text) => Some(text),
                Err(reason) => {
                    *problem = Some(reason);
                    None
                }
            }
        };
        let title = own(&self.title, &mut words.problem);
        let text = own(&self.text, &mut words.problem);
        words.has_own_title = title.is_some();
        words.has_own_text = text.is_some();
        let title = title.unwrap_or_else(|| words::title(notification, self.escape));
        // A title is one line, whatever the template makes.
        words.title = cut(
            &title.split_whitespace().collect::<Vec<_>>().join(" "),
            TITLE_CHARACTERS_MAX,
        );
        words.text = text.unwrap_or_else(|| words::text(notification, self.escape));
        words
    }

    fn render(&self, template: &str, context: Value) -> Result<String, String> {
        let template = self
            .environment
            .template_from_str(template)
            .map_err(|error| said(&error))?;
        let mut text = Limited(Vec::new());
        match template.render_captured_to(context, &mut text) {
            Ok(_) => {}
            // What is there is shown, cut.
            Err(_) if text.0.len() >= TEXT_BYTES_MAX => {}
            Err(error) => return Err(said(&error)),
        }
        Ok(String::from_utf8_lossy(&text.0).into_owned())
    }
}

/// Alerts of a status, with those that are left out counted among the firing ones.
fn count(notification: &Notification, status: Status) -> u64 {
    let listed = notification
        .alerts
        .iter()
        .filter(|alert| alert.status == status);
    let listed = u64::try_from(listed.count()).expect("a list fits into memory");
    listed
        + if status == notification.status {
            notification.left_out
        } else {
            0
        }
}

/// Firing if any alert is.
pub fn status(alerts: &[Alert]) -> Status {
    let is_firing = alerts.iter().any(|alert| alert.status == Status::Firing);
    if is_firing {
        Status::Firing
    } else {
        Status::Resolved
    }
}

/// The pairs that every list has, in the order of the first.
pub fn common<'a, S: AsRef<str> + 'a>(
    mut lists: impl Iterator<Item = &'a [(S, String)]>,
) -> Vec<(&'a str, &'a str)> {
    let Some(first) = lists.next() else {
        return Vec::new();
    };
    let mut shared: Vec<(&str, &str)> = first
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_str()))
        .collect();
    for list in lists {
        shared.retain(|(name, value)| {
            list.iter()
                .any(|(other, text)| other.as_ref() == *name && text == value)
        });
    }
    shared
}

/// At most `limit` characters, with a mark where it was cut.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => {
            let (end, _) = text
                .char_indices()
                .nth(limit - 1)
                .expect("the text is longer");
            format!("{}…", &text[..end])
        }
    }
}

fn said(error: &minijinja::Error) -> String {
    let line = error
        .line()
        .map_or(String::new(), |line| format!("line {line}: "));
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("{line}the template does too much work");
    }
    match error.detail() {
        Some(detail) => format!("{line}{}: {detail}", error.kind()),
        None => format!("{line}{}", error.kind()),
    }
}

/// Takes [`TEXT_BYTES_MAX`] bytes and refuses the rest.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = TEXT_BYTES_MAX.saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            return Err(io::Error::other("the text is too long"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
