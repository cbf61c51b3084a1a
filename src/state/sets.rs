//! Sets: distinct values of each key. Only the shape of it; the room is written elsewhere.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSettings {
    pub name: String,
    pub key: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sets {
    settings: SetSettings,
}

impl Sets {
    pub fn new(settings: SetSettings) -> Sets {
        Sets { settings }
    }
    pub fn settings(&self) -> &SetSettings {
        &self.settings
    }
    pub fn absorb(&mut self, _key: &[u8], _value: &[u8], _count: u64) {}
}
