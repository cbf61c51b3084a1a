//! What of a file may be shown. Secrets belong in variables and files, but people put them where they do
//! not belong: so a value is shown only where the schema knows its key and the key is no secret's.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value as Json;

use crate::config::schema::{self, Shape};
use crate::config::tree::{Node, Table, Value};
use crate::config::variables;

/// Bytes of a text that stands where a number or a boolean belongs.
const SHORT_BYTES: usize = 16;

/// The spans of all values that are not to be shown, in a file's tree.
pub(super) fn spans(root: &Node, schema: &Json) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    values(root, schema, &mut |node| {
        spans.push(node.place.start as usize..node.place.end as usize);
    });
    spans
}

/// The environment variables that hold secrets: those that a secret's key names, and those that were put
/// into a value that is one.
pub(super) fn variables(root: &Node, schema: &Json) -> Vec<String> {
    let mut names = BTreeSet::new();
    values(root, schema, &mut |node| {
        let Value::Text { text, raw, .. } = &node.value else {
            return;
        };
        names.insert(text.clone());
        let raw = raw.as_deref().unwrap_or_default();
        names.extend(variables::names(raw).map(str::to_owned));
    });
    // Of the other secrets, addresses and paths among them, none is the name of a variable.
    names
        .into_iter()
        .filter(|name| variables::is_name(name))
        .collect()
}

/// Shows every value that may be a secret.
fn values(root: &Node, schema: &Json, found: &mut dyn FnMut(&Node)) {
    let settings = Shape::of(schema);
    if let Some(table) = root.table() {
        for (key, member) in table {
            match member.node.table() {
                Some(environments) if key == "env" => {
                    for overlay in environments.values() {
                        node(&overlay.node, &[settings], found);
                    }
                }
                _ => match settings.property(key) {
                    Some(shape) => node(&member.node, &[shape], found),
                    None => all(&member.node, found),
                },
            }
        }
    }
}

/// `shapes` are all that the value may have: which kind a table is may be said elsewhere.
fn node(value: &Node, shapes: &[Shape], found: &mut dyn FnMut(&Node)) {
    let shapes: Vec<Shape> = shapes.iter().flat_map(|shape| shape.choices()).collect();
    let is_known = !shapes.is_empty() && !shapes.iter().any(|shape| shape.is_secret());
    if !is_known {
        return all(value, found);
    }
    match &value.value {
        Value::Table(table) => members(table, &shapes, found),
        Value::List(items) => {
            let inner: Vec<Shape> = shapes.iter().filter_map(|shape| shape.items()).collect();
            for item in items {
                node(item, &inner, found);
            }
        }
        // A text where something else belongs. A short one (a number, a boolean in quotes) is shown; a
        // longer one may have been meant for another key.
        Value::Text { text, .. }
            if text.len() > SHORT_BYTES && !shapes.iter().any(|shape| shape.kind() == "string") =>
        {
            all(value, found);
        }
        _ => {}
    }
}

fn members(table: &Table, shapes: &[Shape], found: &mut dyn FnMut(&Node)) {
    for (key, member) in table {
        let inner: Vec<Shape> = shapes
            .iter()
            .flat_map(|shape| {
                let kinds = shape.kinds().into_iter().flatten();
                kinds.map(|(_, kind)| kind).chain([*shape])
            })
            .filter_map(|shape| shape.property(key).or_else(|| shape.any_property()))
            .collect();
        node(&member.node, &inner, found);
    }
}

/// Everything in `node` that is a value.
fn all(node: &Node, found: &mut dyn FnMut(&Node)) {
    match &node.value {
        Value::Table(table) => {
            for member in table.values() {
                all(&member.node, found);
            }
        }
        Value::List(items) => items.iter().for_each(|item| all(item, found)),
        _ => found(node),
    }
}

/// Keys of one line that are looked up; nobody writes more on one.
const NAMES_MAX: usize = 32;

/// The parts of a line that are not to be shown when the file could not be parsed: all but a header and
/// values behind keys that are no secret's anywhere.
pub(super) fn doubtful_parts(line: &str) -> Vec<Range<usize>> {
    let blank = line.len() - line.trim_start().len();
    if line.trim_start().starts_with('[') && !line.contains(['=', '"', '\'']) {
        return Vec::new();
    }
    let schema = schema::settings();
    let mut from = None;
    let mut names = 0;
    for (at, _) in line.match_indices('=') {
        let before = line[..at].trim_end_matches([' ', '\t']);
        // Comparison signs are part of conditions.
        if before.ends_with(['=', '!', '<', '>', '~']) || line[at + 1..].starts_with(['=', '~']) {
            continue;
        }
        let bare = before.trim_end_matches(['"', '\'']);
        if from.is_some() {
            break;
        }
        let is_word = |each: char| each.is_ascii_alphanumeric() || each == '_' || each == '-';
        let name = bare
            .rsplit(|each| !is_word(each))
            .next()
            .unwrap_or_default();
        names += 1;
        if names > NAMES_MAX || !is_harmless(schema, name) {
            let blanks = line[at + 1..].len() - line[at + 1..].trim_start().len();
            from.get_or_insert(at + 1 + blanks);
        }
    }
    match (from, names) {
        (Some(from), _) => std::iter::once(from..line.len()).collect(),
        // Neither a header nor a key: the inside of a text or a list.
        (None, 0) if line.trim().len() > 1 => std::iter::once(blank..line.len()).collect(),
        (None, _) => Vec::new(),
    }
}

/// Whether the schema has a key of this name somewhere, and nowhere for a secret.
fn is_harmless(schema: &Json, name: &str) -> bool {
    let mut found = Vec::new();
    uses(schema, name, &mut found);
    !found.is_empty() && !found.iter().any(|shape| shape.is_secret())
}

fn uses<'a>(schema: &'a Json, name: &str, found: &mut Vec<Shape<'a>>) {
    match schema {
        Json::Object(members) => {
            if let Some(property) = members.get("properties").and_then(|all| all.get(name)) {
                found.push(Shape::of(property));
            }
            members.values().for_each(|inner| uses(inner, name, found));
        }
        Json::Array(items) => items.iter().for_each(|inner| uses(inner, name, found)),
        _ => {}
    }
}
