//! The merged configuration as TOML again, each value with the place it came from, secrets masked.

use std::fmt::Write;

use serde_json::Value as Json;

use crate::config::load::Loaded;
use crate::config::schema::{self, Shape};
use crate::config::secret::may_show_variable;
use crate::config::syntax::url_host;
use crate::config::tree::{Node, Table, Value};
use crate::flow::secret::HIDDEN as MASK;

/// Whether values that nobody wrote are shown too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defaults {
    Hide,
    Show,
}

/// TOML that loads to the same configuration, but for the secrets.
pub fn show(loaded: &Loaded, defaults: Defaults) -> String {
    let schema = schema::settings();
    let shape = Shape::of(schema);
    let mut page = Page {
        loaded,
        defaults,
        text: String::new(),
    };
    for key in shape.keys() {
        let Some(inner) = shape.property(key) else {
            continue;
        };
        let node = loaded.root.get(key);
        match inner.items() {
            Some(element) => {
                for item in node.and_then(Node::list).unwrap_or_default() {
                    page.head(&format!("[[{key}]]"));
                    page.table(item.table(), element, "");
                }
            }
            None if node.is_some() || (defaults == Defaults::Show && inner.default().is_some()) => {
                page.head(&format!("[{key}]"));
                page.table(node.and_then(Node::table), inner, "");
            }
            None => {}
        }
    }
    page.text
}

struct Page<'a> {
    loaded: &'a Loaded,
    defaults: Defaults,
    text: String,
}

impl Page<'_> {
    fn head(&mut self, head: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(head);
        self.text.push('\n');
    }

    /// The table's keys in the schema's order; a table in it becomes dotted keys, so that each value
    /// stands on a line of its own.
    fn table(&mut self, table: Option<&Table>, shape: Shape, prefix: &str) {
        let none = Table::new();
        let table = table.unwrap_or(&none);
        let kinds = shape.kinds().unwrap_or_default();
        let kind = table
            .get("type")
            .and_then(|member| member.node.text())
            .and_then(|name| kinds.iter().find(|(kind, _)| *kind == name))
            .map(|(_, kind)| *kind);
        let shapes = || kind.into_iter().chain([shape]);
        let of = |key: &str| shapes().find_map(|shape| shape.property(key));
        let known = || shapes().flat_map(Shape::keys);
        // Keys of a person's own choosing come after those of the schema.
        let own = table
            .keys()
            .map(String::as_str)
            .filter(|key| of(key).is_none());
        let mut keys: Vec<&str> = known().collect();
        // A name is what one looks for.
        keys.sort_by_key(|key| (*key != "name", *key != "type"));
        keys.extend(own);
        for key in keys {
            let Some(shape) = of(key).or_else(|| shape.any_property()) else {
                continue;
            };
            let name = format!("{prefix}{}", bare_or_quoted(key));
            match table.get(key) {
                Some(member) => match &member.node.value {
                    Value::Table(inner) if !inner.is_empty() && shape.kind() == "object" => {
                        self.table(Some(inner), shape, &format!("{name}."));
                    }
                    _ => {
                        let value = value(&member.node, shape);
                        let origin = self.origin(&member.node);
                        self.line(&name, &value, &origin);
                    }
                },
                None => {
                    if let (Defaults::Show, Some(default)) = (self.defaults, shape.default()) {
                        self.line(&name, &json(default), "default");
                    }
                }
            }
        }
    }

    fn line(&mut self, name: &str, value: &str, origin: &str) {
        writeln!(self.text, "{name} = {value}  # {origin}").expect("a string takes all");
    }

    fn origin(&self, node: &Node) -> String {
        let origin = self.loaded.origin(node);
        // A name with a line feed in it must not end the comment.
        let file: String = origin
            .file()
            .chars()
            .map(|each| if each.is_control() { '?' } else { each })
            .collect();
        match origin.environment() {
            Some(name) => format!("env.{}, {file}:{}", bare_or_quoted(name), origin.line()),
            None => format!("{file}:{}", origin.line()),
        }
    }
}

fn value(node: &Node, shape: Shape) -> String {
    let shape = shape
        .choices()
        .into_iter()
        .find(|choice| (choice.kind() == "object") == node.table().is_some())
        .unwrap_or(shape);
    if shape.is_secret() {
        return quoted(&masked(node.text().unwrap_or_default(), shape.form()));
    }
    match &node.value {
        Value::Text { text, .. } => quoted(text),
        Value::Time(text) => text.clone(),
        Value::Integer(integer) => integer.to_string(),
        Value::Float(float) => float.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::List(items) => {
            let inner = shape.items().unwrap_or(shape);
            let items: Vec<String> = items.iter().map(|item| value(item, inner)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let members: Vec<String> = table
                .iter()
                .map(|(key, member)| {
                    let inner = shape.property(key).or_else(|| shape.any_property());
                    let value = value(&member.node, inner.unwrap_or(shape));
                    format!("{} = {value}", bare_or_quoted(key))
                })
                .collect();
            match members.is_empty() {
                true => "{}".to_owned(),
                false => format!("{{ {} }}", members.join(", ")),
            }
        }
    }
}

/// What may be shown of a secret: a URL's scheme and host, a variable's name.
fn masked(text: &str, form: Option<&str>) -> String {
    match form {
        Some("url" | "smtp-url") => match (text.split_once("://"), url_host(text)) {
            (Some((scheme, rest)), Some(host)) if rest == host => format!("{scheme}://{host}"),
            (Some((scheme, _)), Some(host)) => format!("{scheme}://{host}/{MASK}"),
            _ => MASK.to_owned(),
        },
        Some("variable") if may_show_variable(text) => text.to_owned(),
        _ => MASK.to_owned(),
    }
}

fn json(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(json).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// A string value. What looks like a variable in it was text before, and must stay so.
fn quoted(text: &str) -> String {
    basic(text).replace("${", "$${")
}

/// A TOML basic string.
fn basic(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => {
                write!(quoted, "\\U{:08x}", u32::from(control)).expect("a string takes all")
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

fn bare_or_quoted(key: &str) -> String {
    let bare = |each: char| each.is_ascii_alphanumeric() || each == '_' || each == '-';
    match !key.is_empty() && key.chars().all(bare) {
        true => key.to_owned(),
        false => basic(key),
    }
}
