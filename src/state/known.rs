//! Templates as known so far, for lines that name theirs as they go out.
//!
//! The set of masked messages grows with the records, in their order; templates are made anew when
//! it has grown by a quarter. So a line's template depends on the records before it and on nothing
//! else (law 1).

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::flow::fingerprint::Fingerprint;
use crate::state::messages::{MASKED_BYTES_MAX, ROWS_MAX};
use crate::state::templates::{Templates, cluster};

/// Templates are first made of this many messages.
const FIRST: usize = 16;

/// The masked messages seen so far.
pub struct Known {
    messages: Vec<(Fingerprint, Box<[u8]>)>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// Templates are made anew when there are this many messages.
    next: usize,
    templates: Templates,
}

impl Default for Known {
    fn default() -> Known {
        Known {
            messages: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            next: FIRST,
            templates: Templates::default(),
        }
    }
}

impl Known {
    /// The template of a message, and whether no earlier message had it.
    pub fn template<'a>(
        &'a mut self,
        fingerprint: Fingerprint,
        masked: &'a [u8],
    ) -> (&'a [u8], Novelty) {
        let hash = self.hasher.hash_one(fingerprint);
        let novelty = if self
            .index
            .find(hash, |&place| {
                self.messages[place as usize].0 == fingerprint
            })
            .is_some()
        {
            Novelty::Seen
        } else if self.messages.len() >= ROWS_MAX {
            Novelty::Unknown
        } else {
            let novelty = if self.templates.cover(masked).is_some() {
                Novelty::Covered
            } else {
                Novelty::New
            };
            let place = self.messages.len() as u32;
            self.messages.push((
                fingerprint,
                masked[..masked.len().min(MASKED_BYTES_MAX)].into(),
            ));
            let (messages, hasher) = (&self.messages, &self.hasher);
            self.index.insert_unique(hash, place, |&place| {
                hasher.hash_one(messages[place as usize].0)
            });
            if self.messages.len() >= self.next {
                self.next = self.messages.len() + self.messages.len() / 4;
                self.templates = cluster(
                    self.messages
                        .iter()
                        .map(|(fingerprint, masked)| (*fingerprint, &**masked)),
                );
            }
            novelty
        };
        let template = self
            .templates
            .of(fingerprint)
            .or_else(|| self.templates.cover(masked))
            .unwrap_or(masked);
        (template, novelty)
    }

    /// Whether a message found the table full.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= ROWS_MAX
    }
}

/// What a message is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// The same fingerprint was seen.
    Seen,
    /// A template covers it.
    Covered,
    New,
    /// The table is full.
    Unknown,
}
