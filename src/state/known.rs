//! Templates as known so far, for lines that name theirs as they go out.
//!
//! The set of masked messages grows with the records, in their order; templates are made anew when
//! it has grown by a quarter. So a line's template depends on the records before it and on nothing
//! else (law 1).

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

use crate::flow::fingerprint::Fingerprint;
use crate::state::messages::{MASKED_BYTES_MAX, ROWS_MAX};
use crate::state::repaired;
use crate::state::templates::{Templates, cluster};

/// Templates are first made of this many messages.
const FIRST: usize = 16;

/// The masked messages seen so far. A copy shares the texts.
#[derive(Clone)]
pub struct Known {
    messages: Vec<(Fingerprint, Arc<[u8]>)>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// Templates were made of this many messages.
    clustered: usize,
    /// Templates are made anew when there are this many messages.
    next: usize,
    templates: Arc<Templates>,
    /// How many share the room for messages.
    branches: usize,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} known messages", self.messages.len())
    }
}

impl Default for Known {
    fn default() -> Known {
        Known {
            messages: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::new(),
            clustered: 0,
            next: FIRST,
            templates: Arc::default(),
            branches: 1,
        }
    }
}

impl Known {
    /// From now on so many have the room for messages between them.
    pub fn share(&mut self, branches: usize) {
        self.branches = branches.max(1);
    }

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
        } else if self.messages.len() >= ROWS_MAX / self.branches {
            Novelty::Unknown
        } else {
            let novelty = if self.templates.cover(masked).is_some() {
                Novelty::Covered
            } else {
                Novelty::New
            };
            let masked = &masked[..masked.len().min(MASKED_BYTES_MAX)];
            self.push(hash, fingerprint, masked.into());
            if self.messages.len() >= self.next {
                self.next = self.messages.len() + self.messages.len() / 4;
                self.cluster(self.messages.len());
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

    fn push(&mut self, hash: u64, fingerprint: Fingerprint, masked: Arc<[u8]>) {
        let place = self.messages.len() as u32;
        self.messages.push((fingerprint, masked));
        let (messages, hasher) = (&self.messages, &self.hasher);
        self.index.insert_unique(hash, place, |&place| {
            hasher.hash_one(messages[place as usize].0)
        });
    }

    /// Makes the templates of the first `count` messages.
    fn cluster(&mut self, count: usize) {
        self.clustered = count;
        let messages = self.messages[..count].iter();
        self.templates = Arc::new(cluster(
            messages.map(|(fingerprint, masked)| (*fingerprint, &**masked)),
        ));
    }

    /// Whether a template covers a message, which is not remembered.
    pub fn covers(&self, masked: &[u8]) -> bool {
        self.templates.cover(masked).is_some()
    }

    /// Whether a message found the table full.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= ROWS_MAX / self.branches
    }
}

/// Templates are a function of the messages that they were made of, so those alone are written.
impl Serialize for Known {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let messages: Vec<(Fingerprint, &Bytes)> = self
            .messages
            .iter()
            .map(|(fingerprint, masked)| (*fingerprint, Bytes::new(masked)))
            .collect();
        (self.clustered as u64, self.next as u64, messages).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Known, D::Error> {
        let (clustered, next, mut messages) =
            <(u64, u64, Vec<(Fingerprint, ByteBuf)>)>::deserialize(deserializer)?;
        repaired::add(messages.len().saturating_sub(ROWS_MAX) as u64);
        messages.truncate(ROWS_MAX);
        let mut known = Known {
            next: usize::try_from(next).unwrap_or(usize::MAX),
            ..Known::default()
        };
        let clustered = usize::try_from(clustered).unwrap_or(usize::MAX);
        repaired::add(u64::from(clustered > messages.len()));
        let clustered = clustered.min(messages.len());
        for (fingerprint, masked) in messages {
            let hash = known.hasher.hash_one(fingerprint);
            known.push(hash, fingerprint, masked.into_vec().into());
        }
        if clustered > 0 {
            known.cluster(clustered);
        }
        Ok(known)
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
