//! States: the last value of each key. Only the shape of it; the room is written elsewhere.

use crate::flow::alert::SampleLine;
use crate::flow::time::Time;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedSettings {
    pub name: String,
    pub key: Vec<String>,
    pub ok: Vec<String>,
    pub pending: Vec<String>,
    pub bad: Vec<String>,
    pub expect_within: Option<i64>,
    pub stuck_after: Option<i64>,
    pub roster: Vec<Vec<u8>>,
    pub steps: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Bad,
    Missing,
    Stuck,
    Order,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Bad, Kind::Missing, Kind::Stuck, Kind::Order];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Bad => "bad",
            Kind::Missing => "missing",
            Kind::Stuck => "stuck",
            Kind::Order => "order",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub key: Vec<u8>,
    pub kind: Kind,
    pub holds: bool,
    pub at: Time,
    pub summary: String,
    pub sample: Option<SampleLine>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Keyed {
    settings: KeyedSettings,
    keys: Vec<(Vec<u8>, Vec<u8>, Option<Time>)>,
}

impl Keyed {
    pub fn new(settings: KeyedSettings) -> Keyed {
        Keyed {
            settings,
            keys: Vec::new(),
        }
    }
    pub fn settings(&self) -> &KeyedSettings {
        &self.settings
    }
    pub fn begin(&mut self, _at: Time) {}
    pub fn absorb(
        &mut self,
        key: &[u8],
        value: &[u8],
        _first: Option<Time>,
        newest: Option<Time>,
        _count: u64,
        _sample: &SampleLine,
    ) {
        self.keys.retain(|known| known.0 != key);
        self.keys.push((key.to_vec(), value.to_vec(), newest));
    }
    pub fn conditions(&mut self, _now: Time) -> Vec<Condition> {
        Vec::new()
    }
    pub fn next_due(&self) -> Option<Time> {
        None
    }
    pub fn last(&self, key: &[u8]) -> Option<&[u8]> {
        self.keys
            .iter()
            .find(|known| known.0 == key)
            .map(|known| &*known.1)
    }
    pub fn age(&self, key: &[u8], now: Time) -> Option<i64> {
        let known = self.keys.iter().find(|known| known.0 == key)?;
        Some(now.0 - known.2?.0)
    }
    pub fn is_missing(&self, _key: &[u8], _now: Time) -> bool {
        false
    }
    pub fn is_stuck(&self, _key: &[u8], _now: Time) -> bool {
        false
    }
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(|known| &*known.0)
    }
}
