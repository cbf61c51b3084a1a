//! The image of `[[sink]]`: where lines, summaries and alerts are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sinks;

/// Where lines, summaries or alerts are written.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Sink {
    /// Name in messages and for environments to refer to.
    #[schemars(length(min = 1))]
    pub name: Option<String>,
    #[serde(flatten)]
    pub to: sinks::Config,
}
