//! The distinct messages of a batch: masked, hashed, counted. Owned by one mapper, emptied for
//! every batch.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::flow::fingerprint::Fingerprint;
use crate::flow::level::Level;
use crate::flow::mapped::{Message, Messages, SAMPLE_BYTES_MAX, SAMPLES_MAX};
use crate::flow::span::Span;
use crate::flow::time::Time;
use crate::stages::fingerprint::Masker;

/// Scratch of one mapper.
#[derive(Default)]
pub struct Distinct {
    masker: Masker,
    index: HashTable<u32>,
    hasher: RandomState,
    messages: Messages,
}

impl Distinct {
    /// Adds a listed record: its message, where it stands in the batch, and its lines for a sample.
    pub fn record(&mut self, message: &[u8], sighting: &Sighting<'_>) {
        let &Sighting { level, time, .. } = sighting;
        let (masked, fingerprint) = self.masker.mask(message);
        let messages = &mut self.messages;
        // The fingerprint is a hash already, but a fixed one: whoever writes the log can choose its
        // bits, so it is hashed once more, keyed by chance.
        let hash = self.hasher.hash_one((fingerprint.0, Level::index(level)));
        let found = self.index.find(hash, |&place| {
            let entry = &messages.entries[place as usize];
            entry.fingerprint == fingerprint && entry.level == level
        });
        if let Some(&place) = found {
            let entry = &mut messages.entries[place as usize];
            entry.count += 1;
            if entry.first.is_none() || (time.is_some() && time < entry.first) {
                entry.first = time;
            }
            entry.last = entry.last.max(time);
            if usize::from(entry.sample_count) < SAMPLES_MAX {
                entry.samples[usize::from(entry.sample_count)] =
                    keep(&mut messages.samples, sighting.lines);
                entry.sample_count += 1;
            }
            return;
        }
        let place = messages.entries.len() as u32;
        let start = messages.masked.len();
        messages.masked.extend_from_slice(masked);
        let mut samples = [Span::default(); SAMPLES_MAX];
        samples[0] = keep(&mut messages.samples, sighting.lines);
        messages.entries.push(Message {
            fingerprint,
            level,
            count: 1,
            first: time,
            last: time,
            masked: Span::new(start..messages.masked.len()),
            samples,
            sample_count: 1,
            start: sighting.start,
            ordinal: sighting.ordinal,
        });
        let (entries, hasher) = (&messages.entries, &self.hasher);
        self.index.insert_unique(hash, place, |&place| {
            let entry = &entries[place as usize];
            hasher.hash_one((entry.fingerprint.0, Level::index(entry.level)))
        });
    }

    /// The masked form of a message and its fingerprint, without counting it.
    pub fn mask(&mut self, message: &[u8]) -> (&[u8], Fingerprint) {
        self.masker.mask(message)
    }

    /// What the batch came to; the scratch is empty afterwards.
    pub fn take(&mut self) -> Messages {
        self.index.clear();
        let messages = std::mem::take(&mut self.messages);
        // The next batch will be much like this one.
        self.messages.entries.reserve(messages.entries.len());
        self.messages.masked.reserve(messages.masked.len());
        self.messages.samples.reserve(messages.samples.len());
        messages
    }
}

/// One listed record.
pub struct Sighting<'a> {
    pub level: Option<Level>,
    pub time: Option<Time>,
    /// The record's original lines, without the final LF or CRLF.
    pub lines: &'a [u8],
    /// Their offset in the batch.
    pub start: u32,
    /// How many records of the batch stand before it.
    pub ordinal: u32,
}

/// Keeps the start of a record's lines as a sample.
fn keep(samples: &mut Vec<u8>, lines: &[u8]) -> Span {
    let start = samples.len();
    samples.extend_from_slice(&lines[..lines.len().min(SAMPLE_BYTES_MAX)]);
    Span::new(start..samples.len())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
    const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
    const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
    const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
    const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

    /// The number whose product with an odd number is 1 (Newton's method).
    fn inverse(odd: u64) -> u64 {
        (0..6).fold(odd, |x, _| {
            x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)))
        })
    }

    /// The eight bytes whose XXH64 is `hash`: every step of the algorithm run backwards.
    fn preimage(hash: u64) -> [u8; 8] {
        let mut hash = hash ^ hash >> 32;
        hash = hash.wrapping_mul(inverse(PRIME_3));
        hash = hash ^ hash >> 29 ^ hash >> 58;
        hash = hash.wrapping_mul(inverse(PRIME_2));
        hash ^= hash >> 33;
        hash = hash.wrapping_sub(PRIME_4).wrapping_mul(inverse(PRIME_1));
        let round = hash.rotate_right(27) ^ PRIME_5.wrapping_add(8);
        let word = round.wrapping_mul(inverse(PRIME_1)).rotate_right(31);
        word.wrapping_mul(inverse(PRIME_2)).to_le_bytes()
    }

    fn time(messages: &[[u8; 8]]) -> Duration {
        let run = || {
            let mut distinct = Distinct::default();
            let started = Instant::now();
            for (at, message) in messages.iter().enumerate() {
                let sighting = Sighting {
                    level: None,
                    time: None,
                    lines: message,
                    start: 0,
                    ordinal: at as u32,
                };
                distinct.record(message, &sighting);
            }
            let elapsed = started.elapsed();
            assert_eq!(
                distinct.take().entries.len(),
                messages.len(),
                "all are distinct"
            );
            elapsed
        };
        run().min(run())
    }

    /// The index took the fingerprint, which is a fixed hash, for its own hash: messages that were made
    /// to have equal low and high bits stood in one chain, and a batch of them took seconds.
    #[test]
    fn messages_whose_fingerprints_share_their_bits_cost_no_more_than_others() {
        let mut masker = Masker::default();
        let mut of = |spread: fn(u64) -> u64| -> Vec<[u8; 8]> {
            let wanted = (0u64..).map(|number| preimage(spread(number)));
            // Only letters and bytes that no mask takes.
            let plain = |message: &[u8; 8]| {
                message
                    .iter()
                    .all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
                    && masker.mask(message).0 == message
            };
            wanted.filter(plain).take(20_000).collect()
        };
        // A table of this size takes its place from the low bits and its tag from the high ones.
        let colliding = of(|number| 0x1234_5600_00ab_cdef & !(0xffff_ffff << 24) | number << 24);
        let others = of(|number| number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let hash = |message: &[u8; 8]| crate::flow::fingerprint::xxh64(message) & 0xff_ffff;
        assert!(
            colliding
                .iter()
                .all(|message| hash(message) == hash(&colliding[0]))
        );
        let (slow, fast) = (time(&colliding), time(&others));
        assert!(
            slow < 3 * fast.max(Duration::from_millis(20)),
            "{slow:?} against {fast:?}"
        );
    }
}
