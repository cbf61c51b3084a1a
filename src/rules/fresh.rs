//! What is new to a rule: a message whose fingerprint was not seen, that no template covers, and that
//! the baseline does not know, once there was time to learn.
//!
//! Fingerprints are remembered for good, eight bytes each. When there is no room for one more, a message
//! that was not seen is unknown, never new.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::flow::fingerprint::Fingerprint;
use crate::flow::time::Time;
use crate::rules::rule::New;
use crate::state::known::{Known, Novelty};
use crate::state::templates::Templates;

/// Fingerprints that one rule remembers: 8 MB, 18 MB as a table.
pub const FINGERPRINTS_MAX: usize = 1_000_000;

/// Messages of which templates are made, with their texts. Those that come later are compared with the
/// templates of these.
pub const TEXTS_MAX: usize = 20_000;
/// Bytes of those texts.
pub const TEXT_BYTES_MAX: usize = 4 << 20;

/// What was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fresh {
    seen: Seen,
    known: Known,
    texts: usize,
    text_bytes: usize,
    /// The first record.
    since: Option<Time>,
    /// Messages that were not seen and found no room.
    unknown: u64,
    /// Those of the baseline.
    #[serde(skip)]
    covers: Option<Arc<Templates>>,
}

/// Fingerprints. Written as a list of bytes, sorted.
#[derive(Clone, Debug, Default)]
struct Seen(HashSet<u64, RandomState>);

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sorted: Vec<u64> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let mut bytes = Vec::with_capacity(sorted.len() * 8);
        for fingerprint in sorted {
            bytes.extend_from_slice(&fingerprint.to_le_bytes());
        }
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seen, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        let (fingerprints, _) = bytes.as_chunks::<8>();
        let fingerprints = fingerprints.iter().take(FINGERPRINTS_MAX);
        Ok(Seen(
            fingerprints
                .map(|bytes| u64::from_le_bytes(*bytes))
                .collect(),
        ))
    }
}

impl Fresh {
    /// Whether the first of some records of one message is new. Messages come in the order of their
    /// first records.
    pub(super) fn is_new(
        &mut self,
        plan: &New,
        fingerprint: Fingerprint,
        masked: &[u8],
        time: Option<Time>,
    ) -> bool {
        let since = *self.since.get_or_insert(time.unwrap_or(Time(i64::MIN)));
        if time.is_some() && since == Time(i64::MIN) {
            self.since = time;
        }
        if self.seen.0.contains(&fingerprint.0) {
            return false;
        }
        if self.seen.0.len() >= FINGERPRINTS_MAX {
            self.unknown += 1;
            return false;
        }
        self.seen.0.insert(fingerprint.0);
        let is_covered = if plan.field.is_some() {
            false
        } else if self.texts < TEXTS_MAX && self.text_bytes < TEXT_BYTES_MAX {
            self.texts += 1;
            self.text_bytes += masked.len();
            self.known.template(fingerprint, masked).1 != Novelty::New
        } else {
            self.known.covers(masked)
        };
        if is_covered || self.is_in_baseline(plan, fingerprint, masked) {
            return false;
        }
        if plan.learn <= 0 {
            return true;
        }
        // A record without a time does not tell how long there was to learn.
        time.zip(self.since)
            .is_some_and(|(time, since)| time.0.saturating_sub(since.0) >= plan.learn)
    }

    /// The clock went ahead by `pause` all at once, from `before`: while it learns, that is no time to
    /// learn.
    pub(super) fn pause(&mut self, plan: &New, before: Time, pause: i64) {
        let learns = |since: &Time| before.0.saturating_sub(since.0) < plan.learn;
        if let Some(since) = self.since.filter(learns) {
            self.since = Some(Time(since.0.saturating_add(pause)));
        }
    }

    /// The clock was set back by `back`, from `before`: a start that would be ahead of it goes with it.
    pub(super) fn go_back(&mut self, before: Time, back: i64) {
        let is_ahead = |since: &Time| since.0 > before.0.saturating_sub(back);
        if let Some(since) = self.since.filter(is_ahead) {
            self.since = Some(Time(since.0.saturating_sub(back)));
        }
    }

    fn is_in_baseline(&mut self, plan: &New, fingerprint: Fingerprint, masked: &[u8]) -> bool {
        let Some(baseline) = &plan.baseline else {
            return false;
        };
        if baseline.contains(fingerprint) {
            return true;
        }
        let covers = self.covers.get_or_insert_with(|| {
            let texts: BTreeSet<&str> = baseline
                .iter()
                .map(|(_, entry)| entry.template.as_str())
                .collect();
            Arc::new(Templates::of_texts(texts.into_iter().map(str::as_bytes)))
        });
        covers.cover(masked).is_some()
    }

    /// Messages that were not seen before and for which there was no room.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::baseline::Baseline;

    fn plan(learn: i64, baseline: Option<&str>) -> New {
        New {
            input: 0,
            field: None,
            learn,
            baseline: baseline.map(|text| Arc::new(Baseline::read(text).unwrap())),
        }
    }

    fn is_new(fresh: &mut Fresh, plan: &New, text: &str, second: i64) -> bool {
        let fingerprint = Fingerprint::of_masked(text.as_bytes());
        let time = Time::from_parts(second, 0);
        fresh.is_new(plan, fingerprint, text.as_bytes(), time)
    }

    #[test]
    fn learns_first_and_tells_each_message_once() {
        let (mut fresh, plan) = (Fresh::default(), plan(600 * Time::SECOND, None));
        assert!(!is_new(&mut fresh, &plan, "server started", 0));
        assert!(!is_new(&mut fresh, &plan, "cache is cold", 599));
        assert!(is_new(&mut fresh, &plan, "disk is full", 600));
        assert!(!is_new(&mut fresh, &plan, "disk is full", 601));
        assert!(!is_new(&mut fresh, &plan, "cache is cold", 700));
        // A record without a time is never new while there is something to learn.
        let text = b"no time here";
        assert!(!fresh.is_new(&plan, Fingerprint::of_masked(text), text, None));
        let read: Fresh = rmp_serde::from_slice(&rmp_serde::to_vec_named(&fresh).unwrap()).unwrap();
        let mut fresh = read;
        assert!(!is_new(&mut fresh, &plan, "disk is full", 800));
        assert!(is_new(&mut fresh, &plan, "disk is gone", 800));
    }

    #[test]
    fn what_a_template_covers_is_not_new() {
        let (mut fresh, plan) = (Fresh::default(), plan(0, None));
        let mut told = 0;
        for number in 0..200u32 {
            let name: String = (0..5)
                .map(|place| {
                    char::from(b'a' + (number.wrapping_mul(7919) >> (place * 3)) as u8 % 26)
                })
                .collect();
            let text = format!("session opened for user {name} by the login service");
            told += u32::from(is_new(&mut fresh, &plan, &text, 0));
        }
        // Templates are made of the first messages; from then on names are no news.
        assert!(told <= 20, "{told}");
    }

    #[test]
    fn the_baseline_is_known_from_the_start() {
        let baseline = "f1:0000000000000001 error user <*> logged in\n";
        let (mut fresh, plan) = (Fresh::default(), plan(0, Some(baseline)));
        assert!(!is_new(&mut fresh, &plan, "user <*> logged in", 0));
        assert!(!is_new(&mut fresh, &plan, "user bob logged in", 0));
        assert!(is_new(&mut fresh, &plan, "user bob logged out", 0));
        assert!(!fresh.is_new(&plan, Fingerprint(1), b"whatever", None));
    }
}
