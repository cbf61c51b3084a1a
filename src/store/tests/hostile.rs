//! Checkpoints and snapshots whose checksum fits and whose content was made by an enemy: reading them
//! ends with an answer, soon and within little memory, and what is accepted once is accepted again.

use std::time::Instant;

use super::checkpoints::sample;
use super::*;
use crate::state::{repaired, snapshot};
use crate::store::checkpoint::{decode, encode};

/// A checkpoint of `weir run` with states, sets, rules, alerts, metrics and summaries.
const RUN: &[u8] = include_bytes!("../../../fixtures/state/dcb444d/checkpoint-b");

/// Bytes before the content: magic and checksum.
const HEAD_BYTES: usize = 12;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// Changes some bytes behind the checksum.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) / 3 {
            let at = HEAD_BYTES + self.below(bytes.len() - HEAD_BYTES);
            match self.below(9) {
                0..=3 => bytes[at] ^= 1 << self.below(8),
                4 => bytes[at] = self.below(256) as u8,
                5 => bytes.truncate(at.max(HEAD_BYTES + 1)),
                // Lengths that nothing stands behind: of an array, a map, bytes and a text.
                6 => {
                    let length = [0xdd, 0xdf, 0xc6, 0xdb][self.below(4)];
                    bytes.splice(at..at, [length, 0xff, 0xff, 0xff, 0xfe]);
                }
                // Large and small numbers.
                7 => {
                    let number = [[0xcf, 0xff], [0xcf, 0x7f], [0xd3, 0x80], [0xcb, 0x7f]];
                    let number = number[self.below(4)];
                    let rest = if self.below(2) == 0 { 0xff } else { 0 };
                    bytes.splice(at..at + 1, number.into_iter().chain([rest; 7]));
                }
                _ => {
                    let end = (at + self.below(40)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
        }
    }
}

#[test]
fn damaged_checkpoints_with_a_good_checksum() {
    let small = encode(&sample(3)).concat();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    let began = Instant::now();
    for round in 0..1500 {
        let mut bytes = if round % 3 == 0 {
            small.clone()
        } else {
            RUN.to_vec()
        };
        random.damage(&mut bytes);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..8]);
        hasher.update(&bytes[HEAD_BYTES..]);
        bytes[8..HEAD_BYTES].copy_from_slice(&hasher.finalize().to_le_bytes());
        let one = Instant::now();
        if let Ok(checkpoint) = decode(&bytes) {
            read += 1;
            let again = encode(&checkpoint).concat();
            assert!(again.len() < 64 * bytes.len(), "{round}: {}", again.len());
            assert!(decode(&again).is_ok(), "{round}");
        } else {
            refused += 1;
        }
        assert!(one.elapsed() < Duration::from_secs(10), "{round}");
        if began.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
}

#[test]
fn every_byte_of_a_small_checkpoint() {
    let whole = encode(&sample(3)).concat();
    for at in HEAD_BYTES..whole.len() {
        for value in [0x00, 0x7f, 0x90, 0xc0, 0xcb, 0xcf, 0xdd, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&bytes[..8]);
            hasher.update(&bytes[HEAD_BYTES..]);
            bytes[8..HEAD_BYTES].copy_from_slice(&hasher.finalize().to_le_bytes());
            if let Ok(checkpoint) = decode(&bytes) {
                assert!(
                    decode(&encode(&checkpoint).concat()).is_ok(),
                    "{at}: {value:#x}"
                );
            }
        }
    }
}

#[test]
fn damaged_snapshots_with_a_good_checksum() {
    let mut whole = decode(RUN).unwrap();
    whole.state.watched = whole.watched.unwrap().rules.known();
    let whole = snapshot::encode(&whole.state);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut read = 0;
    let began = Instant::now();
    for round in 0..1500 {
        let mut bytes = whole.clone();
        random.damage(&mut bytes);
        let sum = crc32fast::hash(&bytes[HEAD_BYTES..]);
        bytes[8..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        let one = Instant::now();
        if let Ok(mut state) = snapshot::decode(&bytes) {
            read += 1;
            let other = state.clone();
            state.merge(&other);
            let again = snapshot::decode(&snapshot::encode(&state));
            assert!(again.is_ok(), "{round}");
        }
        assert!(one.elapsed() < Duration::from_secs(10), "{round}");
        if began.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    assert!(read > 0, "none of them was read");
}

#[test]
fn a_few_bytes_that_claim_many_samples_take_little_room() {
    use crate::state::counts::Counts;
    // 32,768 samples of one value, as a list of them.
    let bytes = rmp_serde::to_vec(&(false, vec![7u64, 1 << 15])).unwrap();
    let (counts, repaired) = repaired::counted(|| rmp_serde::from_slice::<Counts>(&bytes).unwrap());
    assert!(counts.bytes() < 4096 && repaired == 1, "{}", counts.bytes());
    let mut found = Vec::new();
    counts.for_each(|index, count| found.push((index, count)));
    assert_eq!(found, [(7, 1 << 15)]);
}
