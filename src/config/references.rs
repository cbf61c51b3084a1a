//! What the schema cannot say: names that are used twice or not at all, keys that need one another.

use std::collections::{HashMap, HashSet};

use crate::component::Keys;
use crate::config::check::{Finding, element_name, quoted};
use crate::config::tree::{Node, Table};
use crate::expr::error::nearest;
use crate::notifiers;
use crate::sinks;

/// The lists whose elements have names that must differ.
const NAMED: [&str; 9] = [
    "time_interval",
    "source",
    "metric",
    "state",
    "set",
    "rule",
    "notifier",
    "sink",
    "test",
];

/// Findings after which remedies are no longer looked for: they will not be shown.
const REMEDIES_MAX: usize = 1000;

/// Names that a remedy lists.
const NAMES_LISTED: usize = 16;

/// What a state with `notify` may alert as.
pub const STATE_RULES: [&str; 4] = ["bad", "missing", "stuck", "order"];

pub(super) fn check(root: &Node, findings: &mut Vec<Finding>) {
    let mut checker = Checker { root, findings };
    for list in NAMED {
        checker.names(list);
    }
    for list in ["rule", "state"] {
        checker.notifiers(list);
    }
    for list in ["rule", "state", "notifier"] {
        checker.intervals(list);
    }
    checker.states();
    checker.tests();
    checker.keys("notifier", notifiers::Config::keys);
    checker.keys("sink", sinks::Config::keys);
    checker.heartbeats();
}

struct Checker<'a> {
    root: &'a Node,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Checker<'a> {
    fn elements(&self, list: &str) -> &'a [Node] {
        self.root.get(list).and_then(Node::list).unwrap_or_default()
    }

    fn tables(&self, list: &str) -> Vec<(usize, &'a Table)> {
        let elements = self.elements(list).iter().enumerate();
        elements
            .filter_map(|(number, node)| Some((number, node.table()?)))
            .collect()
    }

    fn find(&mut self, node: &Node, message: String, hint: Option<String>) {
        self.findings.push(Finding {
            place: node.place,
            within: None,
            message,
            hint,
            missing: false,
        });
    }

    fn lacks(&mut self, node: &Node, message: String, hint: String) {
        self.findings.push(Finding {
            place: node.place,
            within: None,
            message,
            hint: Some(hint),
            missing: true,
        });
    }

    fn names(&mut self, list: &str) {
        let mut seen = HashSet::new();
        for node in self.elements(list) {
            let Some(name) = node.get("name") else {
                continue;
            };
            if name.text().is_some_and(|text| !seen.insert(text)) {
                self.find(
                    name,
                    format!("a second [[{list}]] with the name {}", quoted(name)),
                    Some("names must differ".to_owned()),
                );
            }
        }
    }

    fn names_of(&self, list: &str) -> HashSet<&'a str> {
        let elements = self.elements(list).iter();
        elements
            .filter_map(|node| node.get("name")?.text())
            .collect()
    }

    /// `used` must be one of `known`.
    fn must_be(&mut self, used: &Node, what: &str, known: &HashSet<&str>) {
        let Some(text) = used.text() else {
            return;
        };
        if known.contains(text) {
            return;
        }
        let mut known: Vec<&str> = match self.findings.len() < REMEDIES_MAX {
            true => known.iter().copied().collect(),
            false => Vec::new(),
        };
        known.sort_unstable();
        let hint = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if known.is_empty() => format!("there is no [[{what}]]"),
            None => format!("known here: {}", first_of(&known)),
        };
        self.findings.push(Finding {
            place: used.place,
            within: None,
            message: format!("unknown {what} {}", quoted(used)),
            hint: Some(hint),
            missing: true,
        });
    }

    fn notifiers(&mut self, list: &str) {
        let known = self.names_of("notifier");
        for node in self.elements(list) {
            let used = node.get("notify").and_then(Node::list).unwrap_or_default();
            for name in used {
                self.must_be(name, "notifier", &known);
            }
        }
    }

    fn intervals(&mut self, list: &str) {
        let known = self.names_of("time_interval");
        for node in self.elements(list) {
            for key in ["active_time_intervals", "mute_time_intervals"] {
                let used = node.get(key).and_then(Node::list).unwrap_or_default();
                for name in used {
                    self.must_be(name, "time_interval", &known);
                }
            }
        }
    }

    fn states(&mut self) {
        for (number, table) in self.tables("state") {
            let element = element_name("state", number, table);
            let get = |key: &str| table.get(key).map(|member| &member.node);
            let items = |key: &str| get(key).and_then(Node::list).unwrap_or_default();
            let mut seen: HashMap<&str, &str> = HashMap::new();
            for list in ["ok", "pending", "bad"] {
                for value in items(list) {
                    let Some(text) = value.text() else { continue };
                    match seen.insert(text, list) {
                        Some(other) if other != list => {
                            let message = format!(
                                "{} is both \"{other}\" and \"{list}\" in {element}",
                                quoted(value)
                            );
                            self.find(value, message, None);
                        }
                        _ => {}
                    }
                }
            }
            let fields: Vec<&str> = items("key").iter().filter_map(Node::text).collect();
            for key in items("roster") {
                self.key(key, &fields);
            }
        }
    }

    /// `key` must name a value for each of `fields`.
    fn key(&mut self, key: &Node, fields: &[&str]) {
        if fields.is_empty() {
            return;
        }
        let right = match (key.table(), fields) {
            (None, [_]) => true,
            (None, _) => false,
            (Some(table), fields) => {
                table.len() == fields.len() && fields.iter().all(|field| table.contains_key(*field))
            }
        };
        if right || (key.text().is_none() && key.table().is_none()) {
            return;
        }
        let example: Vec<String> = fields
            .iter()
            .map(|field| format!("{field} = \"…\""))
            .collect();
        let hint = format!("write {{ {} }}", example.join(", "));
        self.find(
            key,
            format!("a key of this state has {}", fields.join(" and ")),
            Some(hint),
        );
    }

    fn tests(&mut self) {
        let states = self.names_of("state");
        let sets = self.names_of("set");
        let mut rules: Vec<String> = states
            .iter()
            .flat_map(|state| STATE_RULES.map(|suffix| format!("{state}.{suffix}")))
            .collect();
        rules.extend(self.names_of("rule").into_iter().map(str::to_owned));
        let rules: HashSet<&str> = rules.iter().map(String::as_str).collect();
        for (number, table) in self.tables("test") {
            self.one_of("test", number, table, &["input", "file"], true);
            let Some(expect) = table.get("expect").map(|member| &member.node) else {
                continue;
            };
            for (list, key, what, known) in [
                ("alerts", "rule", "rule", &rules),
                ("states", "name", "state", &states),
                ("sets", "name", "set", &sets),
            ] {
                let items = expect.get(list).and_then(Node::list).unwrap_or_default();
                for name in items.iter().filter_map(|item| item.get(key)) {
                    self.must_be(name, what, known);
                }
            }
        }
    }

    /// A heartbeat has one address.
    fn heartbeats(&mut self) {
        for (number, table) in self.tables("heartbeat") {
            let keys = ["url", "url_env", "url_file"];
            self.one_of("heartbeat", number, table, &keys, true);
        }
    }

    /// Keys of each component that depend on each other.
    fn keys(&mut self, list: &str, keys_of: fn(&str) -> &'static [Keys]) {
        for (number, table) in self.tables(list) {
            for keys in kind(table).map_or(&[][..], keys_of) {
                match keys {
                    Keys::ExactlyOne(keys) => self.one_of(list, number, table, keys, true),
                    Keys::AtMostOne(keys) => self.one_of(list, number, table, keys, false),
                    Keys::Together(user, others) => {
                        self.together(list, number, table, user, others);
                    }
                }
            }
        }
    }

    /// At most one of `keys` may be there, and one must if `needed`.
    fn one_of(&mut self, list: &str, number: usize, table: &Table, keys: &[&str], needed: bool) {
        let element = element_name(list, number, table);
        let mut given = keys.iter().filter(|key| table.contains_key(**key));
        let names: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        match (given.next(), given.next()) {
            (None, _) if needed => self.lacks(
                &self.elements(list)[number],
                format!("{element} lacks {}", names.join(" or ")),
                "give one of them".to_owned(),
            ),
            (Some(first), Some(second)) => {
                // The key is marked, not the value, which may be a secret.
                let member = &table[*second];
                self.findings.push(Finding {
                    place: member.key,
                    within: None,
                    message: format!("{element} has both \"{first}\" and \"{second}\""),
                    hint: Some("keep one of them".to_owned()),
                    missing: false,
                });
            }
            _ => {}
        }
    }

    /// `user` and a password come together or not at all.
    fn together(
        &mut self,
        list: &str,
        number: usize,
        table: &Table,
        user: &str,
        passwords: &[&str],
    ) {
        let element = element_name(list, number, table);
        let password = passwords.iter().find(|key| table.contains_key(**key));
        match (table.contains_key(user), password) {
            (true, None) => self.lacks(
                &self.elements(list)[number],
                format!("{element} has \"{user}\" without a password"),
                format!("add \"{}\"", passwords.join("\" or \"")),
            ),
            (false, Some(password)) => self.lacks(
                &self.elements(list)[number],
                format!("{element} has \"{password}\" without \"{user}\""),
                format!("add \"{user}\""),
            ),
            _ => {}
        }
    }
}

fn first_of(names: &[&str]) -> String {
    let listed = names.len().min(NAMES_LISTED);
    let dots = if listed < names.len() { ", …" } else { "" };
    format!("{}{dots}", names[..listed].join(", "))
}

fn kind(table: &Table) -> Option<&str> {
    table.get("type")?.node.text()
}
