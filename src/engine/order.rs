//! Puts what the mappers finish back into the order of reading.

use std::collections::VecDeque;

/// Holds items that came early. Its length is bounded by the byte budget, since every item holds
/// a permit.
#[derive(Debug)]
pub struct Order<T> {
    next: u64,
    early: VecDeque<Option<T>>,
}

impl<T> Order<T> {
    pub fn new() -> Order<T> {
        Order {
            next: 0,
            early: VecDeque::new(),
        }
    }

    /// Takes the item with this sequence number; each number comes once.
    pub fn put(&mut self, sequence: u64, item: T) {
        let place = usize::try_from(sequence - self.next)
            .expect("the budget bounds how far ahead an item is");
        while self.early.len() <= place {
            self.early.push_back(None);
        }
        assert!(
            self.early[place].is_none(),
            "every sequence number comes once"
        );
        self.early[place] = Some(item);
    }

    /// How many were taken.
    pub fn taken(&self) -> u64 {
        self.next
    }

    /// The next item in order, if it is there.
    pub fn take(&mut self) -> Option<T> {
        let item = self.early.front_mut()?.take()?;
        self.early.pop_front();
        self.next += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_items_in_sequence_whatever_order_they_come_in() {
        let mut order = Order::new();
        let mut out = Vec::new();
        for sequence in [2, 0, 1, 4, 3] {
            order.put(sequence, sequence);
            while let Some(item) = order.take() {
                out.push(item);
            }
        }
        assert_eq!(out, [0, 1, 2, 3, 4]);
        order.put(6, 6);
        assert_eq!(order.take(), None);
    }
}
