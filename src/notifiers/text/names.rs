//! The names that a template may use. A template is tried on an example whose tables note which names are
//! asked for that they do not have, so that a misspelt name is found before the first alert.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Environment;
use minijinja::value::{Enumerator, Object, Serde, Value};
use serde_json::Value as Json;

/// Tables whose keys come from the log or from the configuration of a rule.
const OPEN: [&str; 2] = ["labels", "group"];

/// Edits by which a name may differ from the one that was meant.
const EDITS_MAX: usize = 2;

/// Names that are not there, in the order in which they are asked for: what was typed, and what to do.
pub type Unknown = Arc<Mutex<Vec<String>>>;

/// The first name that `unknown` has noted.
pub fn first(unknown: &Unknown) -> Option<String> {
    let unknown = unknown.lock().unwrap_or_else(PoisonError::into_inner);
    unknown.first().cloned()
}

/// The example as a template sees it. `closed` are the tables that may hold any name elsewhere and hold
/// exactly the names of the example here.
pub fn watched(
    example: &Json,
    environment: &Environment,
    closed: bool,
    unknown: &Unknown,
) -> Value {
    let globals = environment.globals().map(|(name, _)| name.to_owned());
    value("", example, closed, &globals.collect::<Vec<_>>(), unknown)
}

fn value(path: &str, of: &Json, closed: bool, globals: &[String], unknown: &Unknown) -> Value {
    match of {
        Json::Object(table) => {
            let name = path.rsplit('.').next().unwrap_or(path);
            let values = table.iter().map(|(key, inner)| {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                (
                    key.clone(),
                    value(&path, inner, closed, &Vec::new(), unknown),
                )
            });
            Value::from_object(Table {
                path: path.to_owned(),
                values: values.collect(),
                globals: globals.to_vec(),
                is_open: OPEN.contains(&name) && !closed,
                unknown: Arc::clone(unknown),
            })
        }
        Json::Array(list) => {
            let path = format!("{path}[0]");
            let values = list.iter();
            let values = values.map(|inner| value(&path, inner, closed, &Vec::new(), unknown));
            Value::from(values.collect::<Vec<_>>())
        }
        other => Value::from(Serde(other.clone())),
    }
}

/// A table that notes the names which it lacks.
#[derive(Debug)]
struct Table {
    path: String,
    values: BTreeMap<String, Value>,
    /// Names that stand for something of the language, asked for here first.
    globals: Vec<String>,
    is_open: bool,
    unknown: Unknown,
}

impl Object for Table {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if let Some(value) = self.values.get(name) {
            return Some(value.clone());
        }
        let is_global = self.globals.iter().any(|global| global == name);
        if !self.is_open && !is_global {
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            unknown.push(self.complaint(name));
        }
        None
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.values
                .keys()
                .map(|key| Value::from(key.as_str()))
                .collect(),
        )
    }
}

impl Table {
    fn complaint(&self, name: &str) -> String {
        let known = self.values.keys().map(String::as_str);
        let near = known
            .clone()
            .map(|known| (strsim::osa_distance(known, name), known))
            .filter(|(edits, _)| *edits <= EDITS_MAX)
            .min();
        let typed = match &*self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        let remedy = match near {
            Some((_, near)) => format!("did you mean \"{near}\"?"),
            None if self.values.is_empty() => "it has no names".to_owned(),
            None => format!("the names are {}", known.collect::<Vec<_>>().join(", ")),
        };
        format!("unknown name \"{typed}\"; {remedy}")
    }
}
