//! The life of alerts. Only the shape of it; the room is written elsewhere.

use crate::flow::alert::{Alert, Evidence, Status};
use crate::flow::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub struct Judgement<'a> {
    pub rule: u32,
    pub key: &'a [u8],
    pub when: bool,
    pub clear: bool,
    pub at: Time,
    pub value: Option<f64>,
    pub summary: String,
    pub evidence: Evidence,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifeSettings {
    pub name: String,
    pub severity: String,
    pub by: Vec<String>,
    pub for_: i64,
    pub flap_hold: i64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Lives {
    active: BTreeMap<(u32, Vec<u8>), Alert>,
    pending: BTreeMap<(u32, Vec<u8>), (i64, Alert)>,
}

impl Lives {
    pub fn judge(
        &mut self,
        settings: &LifeSettings,
        judgement: Judgement,
        _now: Time,
    ) -> Option<Alert> {
        let place = (judgement.rule, judgement.key.to_vec());
        if judgement.when && !self.active.contains_key(&place) {
            let alert = Alert {
                id: format!("{}/{}", settings.name, judgement.at),
                rule: settings.name.clone(),
                status: Status::Firing,
                labels: Vec::new(),
                summary: judgement.summary,
                value: judgement.value,
                starts_at: judgement.at,
                ends_at: None,
                evidence: judgement.evidence,
            };
            if settings.for_ > 0 {
                let due = judgement.at.0 + settings.for_;
                self.pending.entry(place).or_insert((due, alert));
                return None;
            }
            self.active.insert(place, alert.clone());
            return Some(alert);
        }
        if !judgement.when {
            self.pending.remove(&place);
        }
        if judgement.clear {
            let mut alert = self.active.remove(&place)?;
            alert.status = Status::Resolved;
            alert.ends_at = Some(judgement.at);
            return Some(alert);
        }
        None
    }
    pub fn tick(&mut self, now: Time) -> Vec<(u32, Alert)> {
        let due: Vec<_> = self
            .pending
            .iter()
            .filter(|(_, (due, _))| *due <= now.0)
            .map(|(place, _)| place.clone())
            .collect();
        due.into_iter()
            .map(|place| {
                let (_, alert) = self.pending.remove(&place).expect("it is there");
                self.active.insert(place.clone(), alert.clone());
                (place.0, alert)
            })
            .collect()
    }
    pub fn next_due(&self) -> Option<Time> {
        self.pending.values().map(|(due, _)| Time(*due)).min()
    }
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.active.values()
    }
    pub fn is_firing(&self, rule: u32, key: &[u8]) -> bool {
        self.active.contains_key(&(rule, key.to_vec()))
    }
}
