//! The distinct messages of a batch: masked, hashed, counted. Owned by one mapper, emptied for
//! every batch.

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
    messages: Messages,
}

impl Distinct {
    /// Adds a listed record: its message, where it stands in the batch, and its lines for a sample.
    pub fn record(&mut self, message: &[u8], sighting: &Sighting<'_>) {
        let &Sighting { level, time, .. } = sighting;
        let (masked, fingerprint) = self.masker.mask(message);
        let messages = &mut self.messages;
        // The fingerprint is a hash already, and the table lives for one batch: a crafted log can
        // make it slow for a thousand records, not for longer.
        let hash = fingerprint.0 ^ Level::index(level) as u64;
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
        let entries = &messages.entries;
        self.index.insert_unique(hash, place, |&place| {
            let entry = &entries[place as usize];
            entry.fingerprint.0 ^ Level::index(entry.level) as u64
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
