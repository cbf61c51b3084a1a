//! The table of unique messages: one row a fingerprint and level, bounded in number and in bytes.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::flow::fingerprint::Fingerprint;
use crate::flow::level::Level;
use crate::flow::mapped::{SAMPLE_BYTES_MAX, SAMPLES_MAX};
use crate::flow::time::Time;

/// Most rows: a report of more distinct messages helps nobody, and clustering them takes a second.
pub const ROWS_MAX: usize = 100_000;

/// Most bytes of texts and samples, the bound that matters when messages are long.
pub const BYTES_MAX: usize = 32 << 20;

/// How much longer than its masked text a message's second and third samples may be: room for the
/// usual head. The first sample may have [`SAMPLE_BYTES_MAX`] whatever its message is.
const HEAD_BYTES: usize = 128;

/// Longest masked text kept; what follows cannot tell templates apart any more.
pub const MASKED_BYTES_MAX: usize = 2048;

/// What a row costs besides its texts.
const ROW_BYTES: usize = size_of::<Row>() + size_of::<Texts>() + 64;

/// One unique message of one level.
#[derive(Clone, Debug)]
pub struct Row {
    pub fingerprint: Fingerprint,
    pub level: Option<Level>,
    pub count: u64,
    pub first: Option<Time>,
    pub last: Option<Time>,
    /// Which input the first one came from, and its offset there in bytes.
    pub source: u32,
    pub offset: u64,
    /// How many records of the run stand before the first one: the order of discovery.
    pub ordinal: u64,
    /// Shared with a checkpoint that is being written: copying 100,000 rows must not stop the fold.
    pub texts: Arc<Texts>,
}

/// The texts of a row; they change no more once there are enough samples.
#[derive(Clone, Debug)]
pub struct Texts {
    pub masked: Box<[u8]>,
    pub samples: Vec<serde_bytes::ByteBuf>,
}

/// What the fold knows of some records with one message.
pub struct Sighting<'a> {
    pub fingerprint: Fingerprint,
    pub level: Option<Level>,
    pub count: u64,
    pub first: Option<Time>,
    pub last: Option<Time>,
    pub source: u32,
    pub offset: u64,
    pub ordinal: u64,
    pub masked: &'a [u8],
}

/// Unique messages with their counts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Messages {
    rows: Vec<Row>,
    /// Counts of records whose message found the table full, by level row.
    other: [u64; 7],
    bytes: usize,
    #[serde(skip)]
    index: HashTable<u32>,
    /// Keyed at random: fingerprints can be chosen by whoever writes the log.
    #[serde(skip)]
    hasher: RandomState,
}

impl Messages {
    /// Adds a sighting. `samples` are its first records, asked for only when they are wanted.
    pub fn add<'s>(&mut self, sighting: &Sighting<'_>, samples: impl Iterator<Item = &'s [u8]>) {
        let key = (sighting.fingerprint, sighting.level);
        let hash = self.hasher.hash_one(key);
        let found = self.index.find(hash, |&place| {
            let row = &self.rows[place as usize];
            (row.fingerprint, row.level) == key
        });
        let row = match found {
            Some(&place) => {
                let row = &mut self.rows[place as usize];
                row.count = row.count.saturating_add(sighting.count);
                row.first = earlier(row.first, sighting.first);
                row.last = row.last.max(sighting.last);
                row
            }
            None => {
                let mut samples = samples.peekable();
                let first = samples
                    .peek()
                    .map_or(0, |sample| sample.len().min(SAMPLE_BYTES_MAX));
                let masked = &sighting.masked[..sighting.masked.len().min(MASKED_BYTES_MAX)];
                // Room for all samples is set aside now, so that admission depends on the order of
                // messages alone and never on when a second sample comes (law 1).
                let later = (SAMPLES_MAX - 1) * later_bytes_max(masked);
                let cost = ROW_BYTES + masked.len() + first + later;
                if !self.admits(sighting.level, cost) {
                    let other = &mut self.other[Level::index(sighting.level)];
                    *other = other.saturating_add(sighting.count);
                    return;
                }
                self.bytes += cost;
                let place =
                    u32::try_from(self.rows.len()).expect("the table has at most ROWS_MAX rows");
                self.rows.push(Row {
                    fingerprint: sighting.fingerprint,
                    level: sighting.level,
                    count: sighting.count,
                    first: sighting.first,
                    last: sighting.last,
                    source: sighting.source,
                    offset: sighting.offset,
                    ordinal: sighting.ordinal,
                    texts: Arc::new(Texts {
                        masked: masked.into(),
                        samples: Vec::new(),
                    }),
                });
                let (rows, hasher) = (&self.rows, &self.hasher);
                self.index.insert_unique(hash, place, |&place| {
                    let row = &rows[place as usize];
                    hasher.hash_one((row.fingerprint, row.level))
                });
                let row = self.rows.last_mut().expect("just pushed");
                keep_samples(row, samples);
                return;
            }
        };
        if row.texts.samples.len() < SAMPLES_MAX {
            keep_samples(row, samples);
        }
    }

    /// A quarter of the table is kept for error and fatal.
    fn admits(&self, level: Option<Level>, cost: usize) -> bool {
        let serious = level >= Some(Level::Error);
        let (rows_max, bytes_max) = if serious {
            (ROWS_MAX, BYTES_MAX)
        } else {
            (ROWS_MAX / 4 * 3, BYTES_MAX / 4 * 3)
        };
        self.rows.len() < rows_max && self.bytes + cost <= bytes_max
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Records whose message the table had no room for.
    pub fn other(&self) -> u64 {
        self.other.iter().sum()
    }

    /// The row of this fingerprint and level.
    pub fn contains(&self, fingerprint: Fingerprint, level: Option<Level>) -> bool {
        let key = (fingerprint, level);
        self.index
            .find(self.hasher.hash_one(key), |&place| {
                let row = &self.rows[place as usize];
                (row.fingerprint, row.level) == key
            })
            .is_some()
    }

    /// Adds the rows of a run that came after this one: its inputs are numbered from `sources`, its
    /// records from `records`.
    pub fn merge(&mut self, other: &Messages, sources: u32, records: u64) {
        for row in &other.rows {
            let sighting = Sighting {
                fingerprint: row.fingerprint,
                level: row.level,
                count: row.count,
                first: row.first,
                last: row.last,
                source: row.source.saturating_add(sources),
                offset: row.offset,
                ordinal: row.ordinal.saturating_add(records),
                masked: &row.texts.masked,
            };
            self.add(
                &sighting,
                row.texts.samples.iter().map(|sample| sample.as_slice()),
            );
        }
        for (to, from) in self.other.iter_mut().zip(other.other) {
            *to = to.saturating_add(from);
        }
    }

    /// Builds the index again after the table was read from a snapshot.
    pub fn reindex(&mut self) {
        self.index.clear();
        let (rows, hasher) = (&self.rows, &self.hasher);
        let hash = |place: &u32| {
            let row = &rows[*place as usize];
            hasher.hash_one((row.fingerprint, row.level))
        };
        for place in 0..rows.len() as u32 {
            self.index.insert_unique(hash(&place), place, hash);
        }
    }
}

/// Longest second and third sample of a message: a function of the message alone, so that two runs
/// cut the same record alike, whichever came first in them (law 4).
fn later_bytes_max(masked: &[u8]) -> usize {
    (masked.len() + HEAD_BYTES).min(SAMPLE_BYTES_MAX)
}

fn keep_samples<'s>(row: &mut Row, samples: impl Iterator<Item = &'s [u8]>) {
    let later = later_bytes_max(&row.texts.masked);
    for sample in samples.take(SAMPLES_MAX - row.texts.samples.len()) {
        let texts = Arc::make_mut(&mut row.texts);
        let length = sample.len().min(if texts.samples.is_empty() {
            SAMPLE_BYTES_MAX
        } else {
            later
        });
        texts
            .samples
            .push(serde_bytes::ByteBuf::from(&sample[..length]));
    }
}

/// A row as it is written: its texts stand beside its counts.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Row")]
struct Form<Masked, Samples> {
    fingerprint: Fingerprint,
    level: Option<Level>,
    count: u64,
    first: Option<Time>,
    last: Option<Time>,
    source: u32,
    offset: u64,
    ordinal: u64,
    masked: Masked,
    samples: Samples,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = Form {
            fingerprint: self.fingerprint,
            level: self.level,
            count: self.count,
            first: self.first,
            last: self.last,
            source: self.source,
            offset: self.offset,
            ordinal: self.ordinal,
            masked: serde_bytes::Bytes::new(&self.texts.masked),
            samples: &self.texts.samples,
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        let form: Form<serde_bytes::ByteBuf, _> = Form::deserialize(deserializer)?;
        Ok(Row {
            fingerprint: form.fingerprint,
            level: form.level,
            count: form.count,
            first: form.first,
            last: form.last,
            source: form.source,
            offset: form.offset,
            ordinal: form.ordinal,
            texts: Arc::new(Texts {
                masked: form.masked.into_vec().into(),
                samples: form.samples,
            }),
        })
    }
}

fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(number: u64, level: Option<Level>, masked: &[u8]) -> Sighting<'_> {
        let time = Some(Time(number as i64));
        Sighting {
            fingerprint: Fingerprint(number),
            level,
            count: 1,
            first: time,
            last: time,
            source: 0,
            offset: 0,
            ordinal: number,
            masked,
        }
    }

    #[test]
    fn counts_and_keeps_the_first_samples() {
        let mut messages = Messages::default();
        for sample in [&b"one"[..], b"two", &[b'x'; 300], b"four"] {
            messages.add(
                &sighting(7, Some(Level::Error), b"m"),
                std::iter::once(sample),
            );
        }
        let row = &messages.rows()[0];
        assert_eq!((row.count, row.texts.samples.len()), (4, 3));
        assert_eq!(
            row.texts.samples[2].as_slice(),
            [b'x'; 129],
            "a sample takes no more room than was set aside"
        );
    }

    #[test]
    fn a_full_table_counts_newcomers_and_still_takes_errors() {
        let mut messages = Messages::default();
        let none = || std::iter::empty::<&[u8]>();
        for number in 0..80_000 {
            messages.add(&sighting(number, Some(Level::Warn), b"m"), none());
        }
        let rows = messages.rows().len();
        assert!((30_000..=75_000).contains(&rows), "{rows}");
        assert_eq!(rows as u64 + messages.other(), 80_000);
        assert!(messages.bytes <= BYTES_MAX / 4 * 3);
        messages.add(&sighting(900_000, Some(Level::Error), b"m"), none());
        assert!(messages.contains(Fingerprint(900_000), Some(Level::Error)));
        messages.add(&sighting(3, Some(Level::Warn), b"m"), none());
        assert_eq!(messages.rows()[3].count, 2);
    }
}
