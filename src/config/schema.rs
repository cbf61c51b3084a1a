//! The JSON Schema of the configuration, made from the types. `weir schema config` prints it, `check`
//! walks it, and the reference page is written from it.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

use crate::config::{Config, syntax};

/// What one set of files may say, without `[env.NAME]`: every part in its place, no references.
pub(super) fn settings() -> &'static Value {
    static SETTINGS: LazyLock<Value> = LazyLock::new(|| {
        let mut settings = SchemaSettings::draft2020_12();
        settings.inline_subschemas = true;
        let generator = settings.with_transform(Plain).into_generator();
        generator.into_root_schema_for::<Config>().to_value()
    });
    &SETTINGS
}

/// The published schema, environments included.
pub fn document() -> Value {
    let mut schema = settings().clone();
    publish(&mut schema);
    let environments = json!({
        "description": "What is laid over all of this by `--env NAME`: tables key by key, [[x]] by name, other values whole.",
        "type": "object",
        "additionalProperties": { "$ref": "#/$defs/overlay" },
    });
    let mut overlay = schema.clone();
    lay(&mut overlay);
    let object = schema
        .as_object_mut()
        .expect("a struct's schema is an object");
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("env".to_owned(), environments);
    }
    object.insert("$defs".to_owned(), json!({ "overlay": overlay }));
    schema
}

/// Our forms have names of their own, some of which mean something else in JSON Schema (a `duration`
/// there is `PT5M`): what a text is to be is said in words instead.
fn publish(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let form = members.get("format").and_then(Value::as_str);
            if let Some(form) = form.and_then(syntax::find) {
                members.remove("format");
                members.insert("$comment".to_owned(), form.what.into());
            }
            if members.remove("secret").is_some() {
                members.insert("writeOnly".to_owned(), true.into());
            }
            members.values_mut().for_each(publish);
        }
        Value::Array(items) => items.iter_mut().for_each(publish),
        _ => {}
    }
}

/// An overlay may leave out what the files below it have, its type too, so that it may be of any kind.
fn lay(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("$schema");
            if members.get("required").is_some_and(Value::is_array) {
                members.remove("required");
            }
            if members.get("oneOf").is_some_and(Value::is_array)
                && let Some(kinds) = members.remove("oneOf")
            {
                members.insert("anyOf".to_owned(), kinds);
            }
            members.values_mut().for_each(lay);
        }
        Value::Array(items) => items.iter_mut().for_each(lay),
        _ => {}
    }
}

/// TOML has no null: a key that may be absent is not a key that may be null. And a table of several
/// kinds has the keys of its kind and those of all, no others.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(object) = schema.as_object_mut() {
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            without_null(object);
            if object.contains_key("oneOf") && object.contains_key("properties") {
                object.insert("unevaluatedProperties".to_owned(), false.into());
            }
        }
        transform_subschemas(self, schema);
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = &types[..] {
            let one = one.clone();
            object.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice["type"] != "null");
    if choices.len() == 1
        && let Some(Value::Object(only)) = choices.pop()
    {
        object.remove("anyOf");
        for (key, value) in only {
            // The field's own description is nearer than its type's.
            object.entry(key).or_insert(value);
        }
    }
}

/// One place of the schema, with what the check asks of it.
#[derive(Clone, Copy)]
pub(super) struct Shape<'a>(&'a Value);

impl<'a> Shape<'a> {
    pub fn of(schema: &'a Value) -> Shape<'a> {
        Shape(schema)
    }

    /// Of several shapes the one that fits, else this.
    pub fn choose(self, fits: impl Fn(Shape<'a>) -> bool) -> Shape<'a> {
        let mut choices = self.choices().into_iter();
        choices.find(|choice| fits(*choice)).unwrap_or(self)
    }

    /// The shapes that a value here may have.
    pub fn choices(self) -> Vec<Shape<'a>> {
        match self.0["anyOf"].as_array() {
            Some(choices) => choices.iter().map(Shape).collect(),
            None => vec![self],
        }
    }

    /// The JSON type, or empty if there are several.
    pub fn kind(self) -> &'a str {
        self.0["type"].as_str().unwrap_or_default()
    }

    pub fn form(self) -> Option<&'a str> {
        self.0["format"].as_str()
    }

    pub fn description(self) -> Option<&'a str> {
        self.0["description"].as_str()
    }

    pub fn default(self) -> Option<&'a Value> {
        self.0.get("default")
    }

    /// Whether the value is a secret, or says where one is.
    pub fn is_secret(self) -> bool {
        self.0["secret"] == true
    }

    pub fn property(self, key: &str) -> Option<Shape<'a>> {
        self.0.get("properties")?.get(key).map(Shape)
    }

    /// Keys in the order of the types.
    pub fn keys(self) -> impl Iterator<Item = &'a str> {
        let properties = self.0.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
    }

    /// What every key may have, where the keys are the person's.
    pub fn any_property(self) -> Option<Shape<'a>> {
        let shape = self.0.get("additionalProperties")?;
        shape.is_object().then_some(Shape(shape))
    }

    pub fn required(self) -> impl Iterator<Item = &'a str> {
        let names = self.0["required"].as_array();
        names.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The kinds of a table with a `type`, by name.
    pub fn kinds(self) -> Option<Vec<(&'a str, Shape<'a>)>> {
        let kinds = self.0.get("oneOf")?.as_array()?.iter();
        Some(
            kinds
                .filter_map(|kind| {
                    let name = kind["properties"]["type"]["const"].as_str()?;
                    Some((name, Shape(kind)))
                })
                .collect(),
        )
    }

    /// The texts that are allowed, if they are named.
    pub fn allowed(self) -> Option<impl Iterator<Item = &'a str> + Clone> {
        let names = self.0.get("enum")?.as_array()?;
        Some(names.iter().filter_map(Value::as_str))
    }

    pub fn items(self) -> Option<Shape<'a>> {
        self.0.get("items").map(Shape)
    }

    pub fn least_items(self) -> usize {
        self.count("minItems")
    }

    pub fn least_chars(self) -> usize {
        self.count("minLength")
    }

    pub fn least_properties(self) -> usize {
        self.count("minProperties")
    }

    fn count(self, name: &str) -> usize {
        let count = self.0[name].as_u64().unwrap_or_default();
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Least and largest whole number.
    pub fn range(self) -> (i128, i128) {
        let bound = |name: &str| self.0[name].as_i64().map(i128::from);
        let widest = match self.form() {
            Some("uint32") => i128::from(u32::MAX),
            _ => i128::from(i64::MAX),
        };
        (
            bound("minimum").unwrap_or(i128::from(i64::MIN)),
            bound("maximum").unwrap_or(widest),
        )
    }
}
