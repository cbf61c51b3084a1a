//! Laying one tree over another: tables key by key, lists of tables by `name`, other values whole. The
//! same rules for a second file and for an environment.

use std::collections::HashMap;
use std::collections::btree_map::Entry;

use crate::config::tree::{Node, Table, Value};

/// Lays `over` onto `base`.
pub(super) fn lay(base: &mut Table, over: Table) {
    for (key, member) in over {
        match base.entry(key) {
            Entry::Vacant(place) => {
                place.insert(member);
            }
            Entry::Occupied(mut place) => {
                let below = place.get_mut();
                match (&mut below.node.value, member.node.value) {
                    (Value::Table(base), Value::Table(over)) => lay(base, over),
                    (Value::List(base), Value::List(over)) if is_named(base) && is_named(&over) => {
                        lay_by_name(base, over)
                    }
                    (_, value) => {
                        below.key = member.key;
                        below.node = Node {
                            value,
                            place: member.node.place,
                        };
                    }
                }
            }
        }
    }
}

/// A list of tables, `[[x]]`. An empty one is a value like any other.
fn is_named(items: &[Node]) -> bool {
    !items.is_empty() && items.iter().all(|item| item.table().is_some())
}

/// A table with the name of one below is laid over it; the others are added.
fn lay_by_name(base: &mut Vec<Node>, over: Vec<Node>) {
    // Names of what was there before: two of one name in the same file stay two, and are a mistake.
    let mut known: HashMap<String, usize> = base
        .iter()
        .enumerate()
        .filter_map(|(at, item)| Some((item.get("name")?.text()?.to_owned(), at)))
        .collect();
    for item in over {
        let name = item.get("name").and_then(Node::text);
        // Taken out, so that a second one of the same name stays apart.
        let Some(at) = name.and_then(|name| known.remove(name)) else {
            base.push(item);
            continue;
        };
        let below = &mut base[at];
        let kind = |node: &Node| {
            let text = node.get("type").and_then(Node::text);
            text.map(str::to_owned)
        };
        // Another type has other keys: nothing of the one below fits.
        let is_other = kind(&item).is_some_and(|kind_over| Some(kind_over) != kind(below));
        match (&mut below.value, item.value) {
            (Value::Table(base), Value::Table(over)) if !is_other => lay(base, over),
            (_, value) => {
                *below = Node {
                    value,
                    place: item.place,
                }
            }
        }
    }
}
