//! Files as trees in which every value knows where it stands. Parsing is `toml`'s; the tree is ours,
//! so that values of several files can be laid over one another without losing their places.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::problem::{File, Problem};

/// Most bytes of one file: a configuration is written by a person.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// Deepest nesting of tables and lists. The schema needs 6; the limit keeps recursion off the stack's end.
const DEPTH_MAX: usize = 32;

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number of the file, from 0, in the order of `-c`.
    pub file: u32,
    pub start: u32,
    pub end: u32,
    /// Inside `[env.NAME]`.
    pub environment: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub value: Value,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text {
        text: String,
        /// As it stands in the file, if variables were put in.
        raw: Option<String>,
        /// A variable in it is not there, so nothing can be said of the text.
        unknown: bool,
    },
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Time(String),
    List(Vec<Node>),
    Table(Table),
}

pub(super) type Table = BTreeMap<String, Member>;

#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Where the key stands.
    pub key: Place,
    pub node: Node,
}

impl Node {
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The node under `key`, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.table()?.get(key).map(|member| &member.node)
    }
}

/// Stack for the parser, which goes 80 inline tables deep, each with a dotted key of 80 parts, before our
/// own limit is looked at. Of these bytes only what is used is ever memory.
const STACK_BYTES: usize = 32 << 20;

/// Reads a file's text. The problems are all of syntax, and then there is no tree.
pub(super) fn parse(file: &File, number: u32) -> Result<Node, Vec<Problem>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, || parse_deep(file, number)) {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(vec![Problem::whole(
                file.name(),
                format!("no thread to read it with: {error}"),
            )]),
        }
    })
}

fn parse_deep(file: &File, number: u32) -> Result<Node, Vec<Problem>> {
    let text = file.text();
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(syntax_problems(file, &errors));
    }
    let mut builder = Builder {
        file,
        number,
        environment: false,
        problems: Vec::new(),
    };
    let place = builder.place(&(0..0));
    let table = builder.table(table.get_ref(), 0);
    if builder.problems.is_empty() {
        Ok(Node {
            value: Value::Table(table),
            place,
        })
    } else {
        Err(builder.problems)
    }
}

/// After one mistake the parser guesses how to go on: only the first one of a line is worth reading, and
/// few of those.
fn syntax_problems(file: &File, errors: &[toml::de::Error]) -> Vec<Problem> {
    const SHOWN: usize = 5;
    let mut problems: Vec<Problem> = Vec::new();
    let mut lines: Vec<usize> = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(file.text().len()..file.text().len());
        let line = file.line_column(span.start).0;
        if problems.len() == SHOWN || lines.contains(&line) {
            continue;
        }
        lines.push(line);
        problems.push(Problem::syntax(file, span, error.message()));
    }
    problems
}

struct Builder<'a> {
    file: &'a File,
    number: u32,
    environment: bool,
    problems: Vec<Problem>,
}

impl Builder<'_> {
    fn place(&self, span: &std::ops::Range<usize>) -> Place {
        // Files are at most 4 MiB.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Place {
            file: self.number,
            start: offset(span.start),
            end: offset(span.end),
            environment: self.environment,
        }
    }

    fn table(&mut self, table: &DeTable, depth: usize) -> Table {
        let mut members = Table::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            if depth == 0 {
                self.environment = name == "env";
            }
            let member = Member {
                key: self.place(&key.span()),
                node: self.node(value, depth + 1),
            };
            members.insert(name, member);
        }
        members
    }

    fn node(&mut self, value: &Spanned<DeValue>, depth: usize) -> Node {
        let place = self.place(&value.span());
        if depth > DEPTH_MAX {
            // One is enough: what is inside is not looked at.
            self.problems.push(Problem::syntax(
                self.file,
                value.span(),
                &format!("nested deeper than {DEPTH_MAX} tables and lists"),
            ));
            return Node {
                value: Value::Boolean(false),
                place,
            };
        }
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text {
                text: text.to_string(),
                raw: None,
                unknown: false,
            },
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(integer) => Value::Integer(integer),
                    Err(_) => {
                        self.problems.push(Problem::syntax(
                            self.file,
                            value.span(),
                            "a number that does not fit in 64 bits",
                        ));
                        Value::Integer(0)
                    }
                }
            }
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(boolean) => Value::Boolean(*boolean),
            DeValue::Datetime(time) => Value::Time(time.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.node(item, depth + 1))
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table, depth)),
        };
        Node { value, place }
    }
}
