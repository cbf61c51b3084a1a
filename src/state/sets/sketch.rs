//! HyperLogLog: how many distinct values there are, from 4096 registers of one byte, with a standard
//! error of 1.6 %. The estimate is a function of the set of values alone: order, repetition and how
//! often sketches were merged play no part, which sketches that count as they go cannot say.

use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteBuf;

use crate::flow::fingerprint::xxh64;
use crate::state::repaired;

/// Bits of the hash that choose a register.
const PRECISION: u32 = 12;

const REGISTERS: usize = 1 << PRECISION;

/// Bits of the hash that are left, in which a leading run of zeros is counted.
const REST: u32 = 64 - PRECISION;

/// Registers that are set one by one before all are kept: where both take the same room.
const SPARSE_MAX: usize = REGISTERS / 4;

/// Registers by number while few are set, then all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sketch {
    /// Sorted by register, which stands in the upper bits; the value in the lower eight.
    Sparse(#[serde(deserialize_with = "sparse")] Vec<u32>),
    Dense(#[serde(deserialize_with = "dense")] ByteBuf),
}

/// Registers that are set, in their order and each once.
fn sparse<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let mut set = Vec::<u32>::deserialize(deserializer)?;
    let given = set.len();
    let register = |packed: &u32| (*packed >> 8) as usize;
    if !set.is_sorted_by(|a, b| register(a) < register(b))
        || set.last().is_some_and(|last| register(last) >= REGISTERS)
    {
        set.retain(|packed| register(packed) < REGISTERS);
        set.sort_unstable_by_key(|packed| std::cmp::Reverse(*packed));
        // Of two that are one register the larger value stays.
        set.dedup_by_key(|packed| register(packed));
        set.reverse();
        repaired::add(1.max((given - set.len()) as u64));
    }
    Ok(set)
}

/// All registers.
fn dense<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteBuf, D::Error> {
    let mut ranks = ByteBuf::deserialize(deserializer)?;
    if ranks.len() != REGISTERS {
        ranks.resize(REGISTERS, 0);
        repaired::add(1);
    }
    Ok(ranks)
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch::Sparse(Vec::new())
    }
}

/// The hash that decides a value's register: fixed, so that sketches of two machines can be merged.
/// A run of values made to collide makes the estimate small, and nothing slow.
fn place(value: &[u8]) -> (usize, u8) {
    let hash = mixed(xxh64(value));
    let register = (hash >> REST) as usize;
    let rest = hash << PRECISION;
    let rank = rest.leading_zeros().min(REST) + 1;
    (register, rank as u8)
}

/// Values of one length that differ in few bits are apart already; this costs three steps and makes
/// the upper and the lower bits independent (the finalizer of MurmurHash3).
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

impl Sketch {
    /// Takes in a value; tells whether it changed anything.
    pub fn add(&mut self, value: &[u8]) -> bool {
        let (register, rank) = place(value);
        self.raise(register, rank)
    }

    /// Whether a value would make the sketch take more room.
    pub fn would_grow(&self, value: &[u8]) -> bool {
        let Sketch::Sparse(set) = self else {
            return false;
        };
        let (register, _) = place(value);
        find(set, register).is_err()
    }

    fn raise(&mut self, register: usize, rank: u8) -> bool {
        match self {
            Sketch::Dense(ranks) => {
                let changes = ranks[register] < rank;
                ranks[register] = ranks[register].max(rank);
                changes
            }
            Sketch::Sparse(set) => {
                let packed = (register as u32) << 8 | u32::from(rank);
                match find(set, register) {
                    Ok(at) if set[at] >= packed => return false,
                    Ok(at) => set[at] = packed,
                    Err(at) => set.insert(at, packed),
                }
                if set.len() > SPARSE_MAX {
                    let mut ranks = vec![0; REGISTERS];
                    for packed in set {
                        ranks[(*packed >> 8) as usize % REGISTERS] = *packed as u8;
                    }
                    *self = Sketch::Dense(ByteBuf::from(ranks));
                }
                true
            }
        }
    }

    /// Takes in the values of another.
    pub fn merge(&mut self, other: &Sketch) {
        match other {
            Sketch::Sparse(set) => {
                for packed in set {
                    self.raise((*packed >> 8) as usize % REGISTERS, *packed as u8);
                }
            }
            Sketch::Dense(ranks) => {
                for (register, rank) in ranks.iter().enumerate().take(REGISTERS) {
                    if *rank > 0 {
                        self.raise(register, *rank);
                    }
                }
            }
        }
    }

    /// Bytes of its registers.
    pub fn bytes(&self) -> usize {
        match self {
            Sketch::Sparse(set) => set.len() * 4,
            Sketch::Dense(ranks) => ranks.len(),
        }
    }

    /// How many distinct values there are, rounded: Ertl's improved raw estimator ("New cardinality
    /// estimation algorithms for HyperLogLog sketches", 2017, algorithm 6), which needs no table of
    /// corrections and no switch between ranges.
    pub fn estimate(&self) -> u64 {
        let mut counts = [0u32; REST as usize + 2];
        match self {
            Sketch::Sparse(set) => {
                for packed in set {
                    counts[usize::from(*packed as u8).min(REST as usize + 1)] += 1;
                }
                counts[0] = (REGISTERS - set.len().min(REGISTERS)) as u32;
            }
            Sketch::Dense(ranks) => {
                for rank in ranks.iter() {
                    counts[usize::from(*rank).min(REST as usize + 1)] += 1;
                }
            }
        }
        let registers = REGISTERS as f64;
        let [none, ranked @ .., full] = counts;
        let mut sum = registers * tau(1.0 - f64::from(full) / registers);
        for count in ranked.iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += registers * sigma(f64::from(none) / registers);
        let alpha = 0.5 / std::f64::consts::LN_2;
        (alpha * registers * registers / sum).round() as u64
    }
}

fn find(set: &[u32], register: usize) -> Result<usize, usize> {
    set.binary_search_by_key(&register, |packed| (*packed >> 8) as usize)
}

/// What registers that were never set say; infinite if none was.
fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

/// What registers that cannot rise any more say.
fn tau(share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}
