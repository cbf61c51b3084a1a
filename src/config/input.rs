//! The image of `[[source]]`, `[filter]` and `[dedup]`: where lines come from and which go out.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::flow::level::Level;
use crate::sources;

/// Where lines come from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Source {
    /// Name in reports and for environments to refer to.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    #[serde(flatten)]
    pub from: sources::Config,
}

/// Which lines go out.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Filter {
    /// Only records of this level and above.
    #[schemars(schema_with = "level_schema")]
    pub level: Option<Level>,
    /// Only records with one of these texts.
    #[serde(rename = "match")]
    #[schemars(inner(length(min = 1)))]
    pub literals: Vec<String>,
    /// Ignore ASCII case in `match`.
    pub ignore_case: bool,
    /// Only records without any of the texts of `match`.
    pub invert: bool,
    /// Only records for which this condition holds.
    #[serde(rename = "where")]
    #[schemars(extend("format" = "condition"))]
    pub condition: Option<String>,
}

/// The names of the levels, from their one list.
pub(super) fn level_schema(_: &mut SchemaGenerator) -> Schema {
    let names = Level::ALL.map(Level::name);
    json_schema!({ "type": "string", "enum": names })
}

/// Lines that are the same go out once.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Dedup {
    /// What makes two records the same: the whole line, the message with what varies masked, or its template.
    pub mode: DedupMode,
    /// One line with the count per this span of the log's own time, so that nothing goes silent for good.
    #[schemars(extend("format" = "span"))]
    pub every: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DedupMode {
    Exact,
    Message,
    Template,
}
