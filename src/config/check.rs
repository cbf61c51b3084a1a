//! Holds a tree to the schema and finds everything that is wrong with it at once. The schema is the one
//! that the types give ([`schema`]), so what passes here becomes a [`Config`](super::Config) without fail.
//!
//! [`schema`]: super::schema

use std::ops::Range;

use serde_json::Value as Json;

use crate::config::schema::Shape;
use crate::config::syntax;
use crate::config::tree::{Node, Place, Table, Value};
use crate::expr::error::nearest;

/// Something wrong, not yet bound to a file's text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub place: Place,
    /// Bytes of the value, if it is not all of it.
    pub within: Option<Range<usize>>,
    pub message: String,
    pub hint: Option<String>,
    /// Something is missing: in an environment that is not the chosen one that may be right.
    pub missing: bool,
}

/// Keys that are listed in full when one is unknown and none is near.
const KEYS_LISTED: usize = 16;

/// Findings after which remedies are no longer looked for: they will not be shown.
const REMEDIES_MAX: usize = 1000;

/// Characters of a value that a message repeats.
const QUOTED_CHARS: usize = 40;

pub(super) struct Checker<'a> {
    root: Shape<'a>,
    pub findings: Vec<Finding>,
}

/// Where the walk is: the table, for messages.
#[derive(Clone)]
struct Spot {
    /// `[filter]`, `[[rule]] "cpu-high"`; empty at the top.
    table: String,
    /// The key whose value is looked at.
    key: String,
    /// The value is that table itself, and not something in it.
    whole: bool,
}

impl<'a> Checker<'a> {
    pub fn new(schema: &'a Json) -> Checker<'a> {
        Checker {
            root: Shape::of(schema),
            findings: Vec::new(),
        }
    }

    pub fn check(&mut self, root: &Node) {
        let spot = Spot {
            table: String::new(),
            key: String::new(),
            whole: true,
        };
        self.node(root, self.root, &spot);
    }

    fn find(&mut self, place: Place, message: String, hint: Option<String>) {
        self.findings.push(Finding {
            place,
            within: None,
            message,
            hint,
            missing: false,
        });
    }

    fn node(&mut self, node: &Node, shape: Shape, spot: &Spot) {
        let shape = shape.choose(|choice| fits(node, choice));
        match (&node.value, shape.kind()) {
            (Value::Table(table), "object") => self.table(node, table, shape, spot),
            (Value::List(items), "array") => self.list(node, items, shape, spot),
            (Value::Text { text, raw, unknown }, "string") => {
                if !unknown {
                    self.text(node, text, raw.is_some(), shape, spot);
                }
            }
            // TOML has times of its own; there they stand without quotes.
            (Value::Time(_), "string") if shape.form() == Some("time") => {}
            (Value::Boolean(_), "boolean") => {}
            (Value::Integer(integer), "integer") => self.integer(node, *integer, shape, spot),
            _ => self.wrong_type(node, shape, spot),
        }
    }

    fn table(&mut self, node: &Node, table: &Table, shape: Shape, spot: &Spot) {
        let kind = match shape.kinds() {
            Some(kinds) => match self.kind(node, table, &kinds, spot) {
                Some(kind) => Some(kind),
                // Which keys belong here cannot be told.
                None => return,
            },
            None => None,
        };
        for (key, member) in table {
            let found = kind
                .and_then(|kind| kind.property(key))
                .or_else(|| shape.property(key))
                .or_else(|| shape.any_property());
            match found {
                Some(inner) => {
                    let at_top = spot.table.is_empty();
                    let inner_spot = Spot {
                        table: match at_top {
                            true => format!("[{key}]"),
                            false => spot.table.clone(),
                        },
                        key: key.clone(),
                        whole: at_top,
                    };
                    self.node(&member.node, inner, &inner_spot);
                }
                None => self.unknown_key(member.key, key, shape, kind, spot),
            }
        }
        let required = kind
            .into_iter()
            .flat_map(Shape::required)
            .chain(shape.required());
        for key in required {
            if !table.contains_key(key) {
                let wanted = kind
                    .and_then(|kind| kind.property(key))
                    .or_else(|| shape.property(key));
                let hint = wanted.and_then(Shape::description).map(first_sentence);
                self.findings.push(Finding {
                    place: node.place,
                    within: None,
                    message: format!("{} lacks \"{key}\"", spot.name()),
                    hint,
                    missing: true,
                });
            }
        }
        if shape.least_properties() > table.len() {
            self.find(
                node.place,
                format!("\"{}\" must not be empty", spot.key),
                None,
            );
        }
    }

    /// The kind that `type` names, among those of `shape`.
    fn kind<'s>(
        &mut self,
        node: &Node,
        table: &Table,
        kinds: &[(&'s str, Shape<'s>)],
        spot: &Spot,
    ) -> Option<Shape<'s>> {
        let names = || kinds.iter().map(|(name, _)| *name);
        let Some(member) = table.get("type") else {
            self.findings.push(Finding {
                place: node.place,
                within: None,
                message: format!("{} lacks \"type\"", spot.name()),
                hint: Some(one_of(names())),
                missing: true,
            });
            return None;
        };
        let Value::Text { text, unknown, .. } = &member.node.value else {
            self.find(
                member.node.place,
                format!("\"type\" must be a string, not {}", kind_of(&member.node)),
                Some(one_of(names())),
            );
            return None;
        };
        let found = kinds.iter().find(|(name, _)| name == text);
        if found.is_none() && !unknown {
            self.find(
                member.node.place,
                format!("unknown {} type {}", spot.key, quoted(&member.node)),
                Some(nearest_of(text, names())),
            );
        }
        found.map(|(_, shape)| *shape)
    }

    fn unknown_key(
        &mut self,
        place: Place,
        key: &str,
        shape: Shape,
        kind: Option<Shape>,
        spot: &Spot,
    ) {
        if self.findings.len() >= REMEDIES_MAX {
            return self.find(place, "unknown key".to_owned(), None);
        }
        let known: Vec<&str> = kind
            .into_iter()
            .flat_map(Shape::keys)
            .chain(shape.keys())
            .filter(|key| *key != "type" || kind.is_some())
            .collect();
        let shown: String = key
            .chars()
            .take(QUOTED_CHARS)
            .flat_map(char::escape_debug)
            .collect();
        let where_ = match spot.table.as_str() {
            "" => String::new(),
            table => format!(" in {table}"),
        };
        let twin = |suffix: &str| {
            let twin = format!("{key}{suffix}");
            known.contains(&twin.as_str()).then_some(twin)
        };
        let other = shape.kinds().and_then(|kinds| {
            let mut owners = kinds
                .iter()
                .filter(|(_, shape)| shape.property(key).is_some());
            owners.next().map(|(name, _)| *name)
        });
        let hint = if let Some(twin) = twin("_env") {
            format!(
                "a secret does not belong in the file: name an environment variable with \"{twin}\""
            )
        } else if let Some(near) = nearest(key, known.iter().copied()) {
            format!("did you mean \"{near}\"?")
        } else if let Some(owner) = other {
            format!("it belongs to the type \"{owner}\"")
        } else if let Some(home) = self.home_of(key).filter(|_| spot.table.is_empty()) {
            format!("it belongs in {home}")
        } else if known.len() <= KEYS_LISTED {
            format!("known here: {}", known.join(", "))
        } else {
            "see `weir schema config` for those that are known".to_owned()
        };
        self.find(
            place,
            format!("unknown key \"{shown}\"{where_}"),
            Some(hint),
        );
    }

    /// The one table of the configuration that has `key`.
    fn home_of(&self, key: &str) -> Option<String> {
        let mut homes = self.root.keys().filter_map(|table| {
            let shape = self.root.property(table)?;
            match shape.items() {
                Some(element) => element.property(key).map(|_| format!("[[{table}]]")),
                None => shape.property(key).map(|_| format!("[{table}]")),
            }
        });
        let home = homes.next();
        home.filter(|_| homes.next().is_none())
    }

    fn list(&mut self, node: &Node, items: &[Node], shape: Shape, spot: &Spot) {
        let least = shape.least_items();
        if items.len() < least {
            self.find(
                node.place,
                format!("\"{}\" must not be empty", spot.key),
                None,
            );
        }
        let Some(inner) = shape.items() else {
            return;
        };
        let is_top = spot.table == format!("[{}]", spot.key);
        for (number, item) in items.iter().enumerate() {
            let table = match (is_top, item.table()) {
                (true, Some(table)) => element_name(&spot.key, number, table),
                _ => spot.table.clone(),
            };
            let spot = Spot {
                table,
                key: spot.key.clone(),
                whole: is_top,
            };
            self.node(item, inner, &spot);
        }
    }

    fn text(&mut self, node: &Node, text: &str, filled: bool, shape: Shape, spot: &Spot) {
        let may_show = !shape.is_secret();
        if let Some(allowed) = shape.allowed() {
            if !allowed.clone().any(|name| name == text) {
                self.find(
                    node.place,
                    format!("unknown {} {}", spot.key, quoted(node)),
                    Some(nearest_of(text, allowed)),
                );
            }
            return;
        }
        if text.chars().count() < shape.least_chars() {
            self.find(
                node.place,
                format!("\"{}\" must not be empty", spot.key),
                None,
            );
            return;
        }
        let Some(form) = shape.form().and_then(syntax::find) else {
            return;
        };
        if let Err(wrong) = (form.check)(text) {
            let message = match (&wrong.at, may_show) {
                (Some(_), true) => format!("\"{}\": {}", spot.key, wrong.message),
                (None, true) => format!("\"{}\": {} {}", spot.key, quoted(node), wrong.message),
                (_, false) => format!("\"{}\" {}", spot.key, wrong.message),
            };
            self.findings.push(Finding {
                place: node.place,
                within: wrong.at.filter(|_| !filled),
                message,
                hint: wrong.hint,
                missing: false,
            });
        }
    }

    fn integer(&mut self, node: &Node, integer: i64, shape: Shape, spot: &Spot) {
        let (least, most) = shape.range();
        if i128::from(integer) < least || i128::from(integer) > most {
            let most = if most >= i128::from(i64::MAX) {
                String::new()
            } else {
                format!(" and at most {most}")
            };
            self.find(
                node.place,
                format!("\"{}\" must be at least {least}{most}", spot.key),
                None,
            );
        }
    }

    fn wrong_type(&mut self, node: &Node, shape: Shape, spot: &Spot) {
        let hint = match (&node.value, shape.kind()) {
            _ if shape.is_secret() => None,
            (Value::Integer(_) | Value::Float(_), "string")
                if shape
                    .form()
                    .is_some_and(|form| form == "duration" || form == "span") =>
            {
                Some("write it in quotes with its unit, such as \"30s\"".to_owned())
            }
            (Value::Integer(integer), "string") if shape.form().is_none() => {
                Some(format!("write \"{integer}\""))
            }
            (Value::Boolean(boolean), "string") if shape.form().is_none() => {
                Some(format!("write \"{boolean}\""))
            }
            (Value::Text { text, .. }, "boolean") if text == "true" || text == "false" => {
                Some("write it without quotes".to_owned())
            }
            (Value::Text { text, .. }, "integer") if text.parse::<i64>().is_ok() => {
                Some("write it without quotes".to_owned())
            }
            (Value::Text { .. }, "array") => {
                let shown = quoted(node);
                (shown.len() < QUOTED_CHARS).then(|| format!("write [{shown}]"))
            }
            (Value::Table(_), "array") => Some(format!("write [[{}]]", spot.key)),
            (Value::List(items), "object") if items.iter().all(|item| item.table().is_some()) => {
                Some(format!("write [{}]", spot.key))
            }
            _ => None,
        };
        let wanted = match shape.form().and_then(syntax::find) {
            Some(form) => form.what,
            None => match shape.kind() {
                "object" => "a table",
                "array" => "a list",
                "boolean" => "true or false",
                "integer" => "a whole number",
                "string" => "a string",
                _ => "a string or a table",
            },
        };
        let got = match shape.is_secret() {
            true => kind_of(node).to_owned(),
            false => match &node.value {
                Value::Integer(integer) => format!("the number {integer}"),
                Value::Boolean(boolean) => format!("{boolean}"),
                Value::Text { .. } => format!("the string {}", quoted(node)),
                _ => kind_of(node).to_owned(),
            },
        };
        self.find(
            node.place,
            format!("\"{}\" must be {wanted}, not {got}", spot.key),
            hint,
        );
    }
}

/// Whether a value has the type of one of several shapes.
fn fits(node: &Node, shape: Shape) -> bool {
    matches!(
        (&node.value, shape.kind()),
        (Value::Table(_), "object")
            | (Value::List(_), "array")
            | (Value::Text { .. }, "string")
            | (Value::Integer(_), "integer")
            | (Value::Boolean(_), "boolean")
    )
}

fn kind_of(node: &Node) -> &'static str {
    match &node.value {
        Value::Text { .. } => "a string",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Time(_) => "a time",
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// A string as it stands in the file: what a variable holds may be a secret.
pub(super) fn quoted(node: &Node) -> String {
    let Value::Text { text, raw, .. } = &node.value else {
        return kind_of(node).to_owned();
    };
    let text = raw.as_ref().unwrap_or(text);
    let mut shown: String = text
        .chars()
        .take(QUOTED_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// `[[rule]] "cpu-high"`, or `[[rule]] number 2`.
pub(super) fn element_name(list: &str, number: usize, table: &Table) -> String {
    match table
        .get("name")
        .filter(|member| member.node.text().is_some())
    {
        Some(member) => format!("[[{list}]] {}", quoted(&member.node)),
        None => format!("[[{list}]] number {}", number + 1),
    }
}

impl Spot {
    /// What the table that is looked at is called.
    fn name(&self) -> String {
        match (self.table.as_str(), self.whole) {
            ("", _) => "the configuration".to_owned(),
            (table, true) => table.to_owned(),
            (table, false) => format!("\"{}\" in {table}", self.key),
        }
    }
}

fn first_sentence(text: &str) -> String {
    let end = text.find(". ").unwrap_or(text.len());
    let sentence = text[..end].trim_end_matches('.').replace('\n', " ");
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => sentence,
    }
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("one of {}", names.collect::<Vec<_>>().join(", "))
}

fn nearest_of<'a>(word: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, names.clone()) {
        Some(near) => format!("did you mean \"{near}\"? ({})", one_of(names)),
        None => one_of(names),
    }
}
