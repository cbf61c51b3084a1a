//! From files to a checked [`Config`] that knows where each of its values stands. `weir run`, `weir check`,
//! `weir test` and `weir replay` all load with [`load`], so they cannot disagree.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::config::check::{Checker, Finding};
use crate::config::problem::{File, Origin, PROBLEMS_MAX, Problem, Problems};
use crate::config::tree::{FILE_BYTES_MAX, Node, Table, Value};
use crate::config::{Config, hidden, overlay, references, schema, tree, variables};
use crate::expr::error::nearest;

/// Most environments of one configuration; each is checked with every load.
const ENVIRONMENTS_MAX: usize = 64;

/// A configuration that holds together, and where it came from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub(super) root: Node,
    files: Vec<Arc<File>>,
    environment: Option<Arc<str>>,
    environments: Vec<String>,
}

/// A step from a table or list to what is in it: `[Key("rule"), Index(0), Key("when")]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathStep<'a> {
    Key(&'a str),
    /// From 0, as in the lists of [`Config`].
    Index(usize),
}

/// Reads `files`, each laid over those before it, then the environment over all; puts in variables and
/// checks everything. `variables` is the process's environment.
pub fn load(
    files: &[PathBuf],
    environment: Option<&str>,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    load_with(files, None, environment, variables)
}

/// The same with a text that is laid over the files, by its name.
pub fn load_with(
    files: &[PathBuf],
    over: Option<(String, String)>,
    environment: Option<&str>,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    let mut problems = Problems::default();
    let mut texts = Vec::new();
    for path in files {
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(problem) => problems.add(*problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    texts.extend(over);
    load_texts(texts, environment, variables)
}

/// The text of a file, if it is one.
fn read(path: &Path) -> Result<String, Box<Problem>> {
    let name = path.display().to_string();
    let wrong = |message: String| Box::new(Problem::whole(&name, message));
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(error.to_string()))?;
    text(&name, bytes)
}

fn text(name: &str, bytes: Vec<u8>) -> Result<String, Box<Problem>> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Box::new(Problem::whole(
            name,
            "larger than 4 MiB, which no configuration is",
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let line_start = memchr::memrchr(b'\n', &bytes[..valid]).map_or(0, |at| at + 1);
        let before = String::from_utf8_lossy(&bytes[line_start..valid]);
        let mut problem = Problem::whole(name, "a byte that is not UTF-8");
        problem.line = memchr::memchr_iter(b'\n', &bytes[..valid]).count() + 1;
        problem.column = before.trim_start_matches('\u{feff}').chars().count() + 1;
        problem.hint = Some("save the file as UTF-8".to_owned());
        Box::new(problem)
    })
}

/// [`load`] for texts that are in memory, each with the name that messages give it.
pub fn load_texts(
    texts: Vec<(String, String)>,
    environment: Option<&str>,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    let schema = schema::settings();
    let mut problems = Problems::default();
    let mut files = Vec::new();
    let mut base = Table::new();
    let mut environments = Table::new();
    for (number, (name, text)) in texts.into_iter().enumerate() {
        let mut file = File::new(name, text);
        match tree::parse(&file, u32::try_from(number).unwrap_or(u32::MAX)) {
            Ok(root) => {
                file.hide(hidden::spans(&root, schema));
                if let Value::Table(mut table) = root.value {
                    if let Some(member) = table.remove("env") {
                        let of_file = BTreeMap::from([("env".to_owned(), member)]);
                        overlay::lay(&mut environments, of_file);
                    }
                    overlay::lay(&mut base, table);
                }
            }
            Err(found) => found.into_iter().for_each(|problem| problems.add(problem)),
        }
        files.push(Arc::new(file));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut findings = Vec::new();
    let overlays = overlays(environments, &mut findings);
    let mut chosen = base.clone();
    if let Some(name) = environment {
        match overlays.get(name) {
            Some(over) => overlay::lay(&mut chosen, over.clone()),
            None => problems.add(unknown_environment(name, &overlays, &files)),
        }
    }
    let place = tree::Place {
        file: 0,
        start: 0,
        end: 0,
        environment: false,
    };
    let node = |table: Table| Node {
        value: Value::Table(table),
        place,
    };
    let mut root = node(chosen);
    check(
        &mut root,
        variables,
        Completeness::Whole,
        schema,
        &mut findings,
    );
    let names = overlays.keys().cloned().collect();
    // A mistake in another environment is one now, not on the day it is chosen.
    for (name, over) in overlays {
        if Some(name.as_str()) != environment {
            let mut table = base.clone();
            overlay::lay(&mut table, over);
            let mut found = Vec::new();
            let root = &mut node(table);
            check(root, variables, Completeness::Part, schema, &mut found);
            found.retain(|finding| finding.place.environment && !finding.missing);
            findings.extend(found);
        }
    }
    bind(findings, &files, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let config = serde_json::from_value(json(&root)).map_err(|_| {
        // The cause may hold a secret, and the check above makes this impossible.
        let name = files.first().map_or("", |file| file.name());
        Problem::whole(
            name,
            "passes the check and cannot be used: this is a fault of weir, please report it",
        )
    })?;
    Ok(Loaded {
        config,
        root,
        files,
        environment: environment.map(Arc::from),
        environments: names,
    })
}

/// The tables under `env`, by name.
fn overlays(mut environments: Table, findings: &mut Vec<Finding>) -> BTreeMap<String, Table> {
    let mut overlays = BTreeMap::new();
    let Some(member) = environments.remove("env") else {
        return overlays;
    };
    let mut wrong = |place: tree::Place, message: &str| {
        findings.push(Finding {
            place,
            within: None,
            message: message.to_owned(),
            hint: Some("write [env.NAME]".to_owned()),
            missing: false,
        });
    };
    let Value::Table(table) = member.node.value else {
        wrong(member.key, "\"env\" must be a table of environments");
        return overlays;
    };
    for (name, member) in table {
        if overlays.len() == ENVIRONMENTS_MAX {
            wrong(member.key, "more than 64 environments");
            break;
        }
        match member.node.value {
            Value::Table(table) => {
                overlays.insert(name, table);
            }
            _ => wrong(member.key, "an environment must be a table"),
        }
    }
    overlays
}

fn unknown_environment(
    name: &str,
    overlays: &BTreeMap<String, Table>,
    files: &[Arc<File>],
) -> Problem {
    let file = files.last().map_or("", |file| file.name());
    let mut problem = Problem::whole(file, format!("unknown environment {name:?}"));
    let known = overlays.keys().map(String::as_str);
    problem.hint = Some(match nearest(name, known.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if overlays.is_empty() => "there is no [env.NAME] table".to_owned(),
        None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
    });
    problem
}

/// Whether what is checked is to run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Completeness {
    Whole,
    /// Another environment: variables that are not set here are set there.
    Part,
}

fn check(
    root: &mut Node,
    variables: &dyn Fn(&str) -> Option<String>,
    completeness: Completeness,
    schema: &Json,
    findings: &mut Vec<Finding>,
) {
    fill(root, variables, completeness, findings);
    let mut checker = Checker::new(schema);
    checker.check(root);
    findings.extend(checker.findings);
    references::check(root, findings);
}

/// Puts variables into all strings of a tree.
fn fill(
    node: &mut Node,
    variables: &dyn Fn(&str) -> Option<String>,
    completeness: Completeness,
    findings: &mut Vec<Finding>,
) {
    let place = node.place;
    match &mut node.value {
        Value::Table(table) => {
            for member in table.values_mut() {
                fill(&mut member.node, variables, completeness, findings);
            }
        }
        Value::List(items) => {
            for item in items {
                fill(item, variables, completeness, findings);
            }
        }
        Value::Text { text, raw, unknown } => match variables::fill(text, variables) {
            Ok(None) => {}
            Ok(Some(filled)) => *raw = Some(std::mem::replace(text, filled)),
            Err(wrong) => {
                *unknown = true;
                for wrong in wrong {
                    if wrong.unset && completeness == Completeness::Part {
                        continue;
                    }
                    findings.push(Finding {
                        place,
                        within: Some(wrong.at),
                        message: wrong.message,
                        hint: (!wrong.hint.is_empty()).then(|| wrong.hint.to_owned()),
                        missing: false,
                    });
                }
            }
        },
        _ => {}
    }
}

/// Binds findings to their files, in order, each once.
fn bind(mut findings: Vec<Finding>, files: &[Arc<File>], problems: &mut Problems) {
    findings.sort_by(|one, other| {
        let key = |finding: &Finding| (finding.place.file, finding.place.start);
        key(one).cmp(&key(other))
    });
    findings.dedup_by(|one, other| one.place == other.place && one.message == other.message);
    problems.leave_out(findings.len().saturating_sub(PROBLEMS_MAX));
    for finding in findings.into_iter().take(PROBLEMS_MAX) {
        let Some(file) = files.get(finding.place.file as usize) else {
            problems.add(Problem::whole("", finding.message));
            continue;
        };
        let origin = Origin::new(file.clone(), span(finding.place), None, true);
        problems.add(Problem::new(
            &origin,
            finding.within,
            finding.message,
            finding.hint,
        ));
    }
}

fn span(place: tree::Place) -> Range<usize> {
    place.start as usize..place.end as usize
}

/// The tree as values alone.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Text { text, .. } | Value::Time(text) => text.as_str().into(),
        Value::Integer(integer) => (*integer).into(),
        Value::Float(float) => (*float).into(),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Table(table) => table
            .iter()
            .map(|(key, member)| (key.clone(), json(&member.node)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

impl Loaded {
    /// Where the value at `path` stands, or, if it is a default, the nearest table around it.
    pub fn at(&self, path: &[PathStep]) -> Origin {
        let mut node = &self.root;
        for step in path {
            let inner = match step {
                PathStep::Key(key) => node.get(key),
                PathStep::Index(index) => node.list().and_then(|items| items.get(*index)),
            };
            match inner {
                Some(inner) => node = inner,
                None => break,
            }
        }
        self.origin(node)
    }

    /// The files that it was read from, as they were named.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &*file.name)
    }

    /// The name of the environment that was chosen.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// The names of all environments.
    pub fn environments(&self) -> &[String] {
        &self.environments
    }

    /// The environment variables that hold secrets of the configuration, for programs that are started
    /// and are not to have them.
    pub fn secret_variables(&self) -> Vec<String> {
        hidden::variables(&self.root, schema::settings())
    }

    /// The text under `key` in the table at `path`.
    pub(super) fn text_in(&self, path: &[PathStep], key: &str) -> Option<&str> {
        let table = path.iter().try_fold(&self.root, |node, step| match step {
            PathStep::Key(key) => node.get(key),
            PathStep::Index(index) => node.list()?.get(*index),
        })?;
        table.get(key)?.text()
    }

    pub(super) fn origin(&self, node: &Node) -> Origin {
        let place = node.place;
        // The root and everything in it is of a file that was read.
        let file = self.files.get(place.file as usize).cloned();
        let file = file.unwrap_or_else(|| Arc::new(File::new(String::new(), String::new())));
        let environment = self.environment.clone().filter(|_| place.environment);
        let literal = matches!(&node.value, Value::Text { raw: None, .. });
        Origin::new(file, span(place), environment, literal)
    }
}
