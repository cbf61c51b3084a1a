//! Lists and texts that grow block by block. A vector that doubles holds the old and the new copy at the
//! same time, and what the allocator keeps of the old ones is never used again: tables of hundreds of
//! thousands of rows took twice the memory that they were charged for. Used by groups and metrics.

use std::ops::{Index, IndexMut};

/// Bytes of a block.
const BLOCK_BYTES: usize = 64 << 10;

/// A list that grows at its end.
#[derive(Clone, Debug)]
pub struct Blocks<T> {
    /// All full but the last.
    blocks: Vec<Vec<T>>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Blocks<T> {
        Blocks { blocks: Vec::new() }
    }
}

impl<T> Blocks<T> {
    /// Values of a block, as a power of two.
    const SHIFT: u32 = (BLOCK_BYTES / size_of::<T>()).ilog2();
    const MASK: usize = (1 << Self::SHIFT) - 1;

    pub fn len(&self) -> usize {
        match self.blocks.split_last() {
            Some((last, full)) => (full.len() << Self::SHIFT) + last.len(),
            None => 0,
        }
    }

    pub fn push(&mut self, value: T) {
        let room = 1 << Self::SHIFT;
        match self.blocks.last_mut() {
            Some(last) if last.len() < room => last.push(value),
            Some(_) => {
                let mut block = Vec::with_capacity(room);
                block.push(value);
                self.blocks.push(block);
            }
            // Small tables are many: the first block grows as it is filled.
            None => self.blocks.push(vec![value]),
        }
    }

    #[inline]
    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.blocks
            .get_mut(number >> Self::SHIFT)?
            .get_mut(number & Self::MASK)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flatten()
    }

    /// Block by block, each given back when its values are taken.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.blocks.into_iter().flatten()
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub fn allocated(&self) -> usize {
        let bytes = |block: &Vec<T>| block.capacity() * size_of::<T>() + size_of::<Vec<T>>();
        self.blocks.iter().map(bytes).sum()
    }
}

impl<T> Index<usize> for Blocks<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: usize) -> &T {
        &self.blocks[number >> Self::SHIFT][number & Self::MASK]
    }
}

impl<T> IndexMut<usize> for Blocks<T> {
    #[inline]
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.blocks[number >> Self::SHIFT][number & Self::MASK]
    }
}

/// Longest text of an [`Arena`].
pub const TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// Texts that stand end to end, none over the end of a block.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    blocks: Vec<Vec<u8>>,
}

/// Where a text stands in its [`Arena`].
#[derive(Clone, Copy, Debug)]
pub struct Place {
    start: u32,
    len: u16,
}

impl Place {
    pub fn len(self) -> usize {
        usize::from(self.len)
    }
}

impl Arena {
    /// Bytes in use, the ends of blocks where the next text had no room among them: a function of the
    /// texts and their order.
    pub fn used(&self) -> usize {
        match self.blocks.split_last() {
            Some((last, full)) => full.len() * BLOCK_BYTES + last.len(),
            None => 0,
        }
    }

    /// What [`Arena::used`] is when a text of this length has come.
    pub fn used_with(&self, len: usize) -> usize {
        let used = self.used();
        let block_end = used.next_multiple_of(BLOCK_BYTES);
        if used + len > block_end && used < block_end {
            block_end + len
        } else {
            used + len
        }
    }

    /// Keeps a text of at most [`TEXT_BYTES_MAX`] bytes, while less than 4 GiB are in use.
    pub fn push(&mut self, text: &[u8]) -> Place {
        let len = u16::try_from(text.len()).expect("the caller keeps TEXT_BYTES_MAX");
        let start = self.used_with(text.len()) - text.len();
        if start / BLOCK_BYTES >= self.blocks.len() {
            // Small tables are many: the first block grows as it is filled.
            let room = if self.blocks.is_empty() {
                0
            } else {
                BLOCK_BYTES
            };
            self.blocks.push(Vec::with_capacity(room));
        }
        let last = self.blocks.last_mut().expect("there is a block");
        debug_assert_eq!(last.len(), start % BLOCK_BYTES);
        last.extend_from_slice(text);
        Place {
            start: u32::try_from(start).expect("the caller's limit is below 4 GiB"),
            len,
        }
    }

    #[inline]
    pub fn text(&self, place: Place) -> &[u8] {
        let start = place.start as usize;
        let block = self
            .blocks
            .get(start / BLOCK_BYTES)
            .map_or(&[][..], Vec::as_slice);
        &block[start % BLOCK_BYTES..][..usize::from(place.len)]
    }

    /// Bytes that are allocated.
    #[cfg(test)]
    pub fn allocated(&self) -> usize {
        let bytes = |block: &Vec<u8>| block.capacity() + size_of::<Vec<u8>>();
        self.blocks.iter().map(bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_a_vector_with_another_shape() {
        let mut blocks = Blocks::default();
        let mut list = Vec::new();
        for number in 0..20_000u64 {
            assert_eq!(blocks.len(), list.len());
            blocks.push([number; 3]);
            list.push([number; 3]);
        }
        blocks[9_999] = [1; 3];
        list[9_999] = [1; 3];
        assert!(blocks.get_mut(20_000).is_none() && blocks.get_mut(1 << 40).is_none());
        assert_eq!(blocks.get_mut(19_999), Some(&mut [19_999; 3]));
        assert!(blocks.iter().eq(list.iter()));
        assert!(blocks.clone().iter_mut().eq(list.iter_mut()));
        assert!(blocks.allocated() < 20_000 * 24 + 2 * BLOCK_BYTES);
        assert!(blocks.into_values().eq(list));
    }

    proptest! {
        #[test]
        fn texts_come_back_as_they_were(
            lengths in prop::collection::vec(prop_oneof![0..40usize, 0..=TEXT_BYTES_MAX], 0..40),
            copied_at in 0..40usize,
        ) {
            let mut arena = Arena::default();
            let mut places = Vec::new();
            for (number, &length) in lengths.iter().enumerate() {
                let text = vec![number as u8; length];
                let used = arena.used_with(length);
                places.push((arena.push(&text), text));
                prop_assert_eq!(arena.used(), used);
                if number == copied_at {
                    arena = arena.clone();
                }
            }
            for (place, text) in places {
                prop_assert_eq!(arena.text(place), &text[..]);
            }
        }
    }
}
