//! Where every followed file stands after the batches that the fold has taken in: the part of a
//! checkpoint that is about sources. It moves with the batches' marks alone, so it is as consistent
//! with the rest of the state as a batch border can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flow::mark::{Fate, Generation, Mark, Place};

/// The generations that are known, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Places(BTreeMap<Generation, Box<Place>>);

impl Places {
    /// Takes in the mark of the next batch.
    pub fn absorb(&mut self, mark: &Mark) {
        for birth in &mark.births {
            self.0
                .insert(birth.generation, Box::new(Place::new(Arc::clone(birth))));
        }
        for (number, piece) in mark.pieces.iter().enumerate() {
            let repeated = mark.pieces[..number]
                .iter()
                .any(|before| before.generation == piece.generation);
            if let Some(place) = self.0.get_mut(&piece.generation)
                && !repeated
            {
                place.advance(mark);
            }
        }
        for (generation, fate) in &mark.fates {
            match fate {
                Fate::Ended => {
                    if let Some(place) = self.0.get_mut(generation) {
                        place.ended = true;
                    }
                }
                Fate::Moved(identity) => {
                    if let Some(place) = self.0.get_mut(generation) {
                        Arc::make_mut(&mut place.birth).identity = *identity;
                        place.ended = false;
                    }
                }
                Fate::Forgotten => {
                    self.0.remove(generation);
                }
            }
        }
    }

    /// In the order of their numbers, which is the order of their births.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.values().map(Box::as_ref)
    }

    pub fn get(&self, generation: Generation) -> Option<&Place> {
        self.0.get(&generation).map(Box::as_ref)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
