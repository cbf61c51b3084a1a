//! A table by encoded key (`flow::key`) whose keys come from the input: hashed with a random key, so
//! that no input makes it slow, and written in the order of its keys, so that equal tables are equal
//! bytes. Used by states, sets and rules.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};
use std::collections::BTreeMap;

/// Values by encoded key. It has no limit of its own: its owner has.
#[derive(Clone, Debug)]
pub struct Table<V> {
    rows: HashMap<ByteBuf, V, RandomState>,
}

impl<V> Default for Table<V> {
    fn default() -> Table<V> {
        Table {
            rows: HashMap::default(),
        }
    }
}

impl<V: PartialEq> PartialEq for Table<V> {
    fn eq(&self, other: &Table<V>) -> bool {
        self.rows == other.rows
    }
}

impl<V> Table<V> {
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        self.rows.get(Bytes::new(key))
    }

    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.rows.get_mut(Bytes::new(key))
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.rows.contains_key(Bytes::new(key))
    }

    /// Puts a value in the place of the one that was there.
    pub fn insert(&mut self, key: &[u8], value: V) {
        self.rows.insert(ByteBuf::from(key), value);
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.rows.remove(Bytes::new(key))
    }

    /// In no order.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.rows.values_mut()
    }

    /// In no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&[u8], &mut V)> {
        self.rows.iter_mut().map(|(key, value)| (&key[..], value))
    }

    /// Drops the rows for which `keep` is false, in any order.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut V) -> bool) {
        self.rows.retain(|key, value| keep(key, value));
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// In any order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &V)> {
        self.rows.iter().map(|(key, value)| (key.as_slice(), value))
    }

    /// In the order of the keys.
    pub fn sorted(&self) -> Vec<(&[u8], &V)> {
        let mut rows: Vec<(&[u8], &V)> = self.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        rows
    }

    /// All rows in the order of their keys; the table is gone.
    pub fn into_sorted(self) -> Vec<(ByteBuf, V)> {
        let mut rows: Vec<(ByteBuf, V)> = self.rows.into_iter().collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        rows
    }
}

impl<V: Serialize> Serialize for Table<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.sorted();
        serializer.collect_map(
            rows.into_iter()
                .map(|(key, value)| (Bytes::new(key), value)),
        )
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Table<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table<V>, D::Error> {
        let rows = BTreeMap::<ByteBuf, V>::deserialize(deserializer)?;
        Ok(Table {
            rows: rows.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_tables_are_equal_bytes() {
        let (mut up, mut down) = (Table::default(), Table::default());
        for number in 0..100u8 {
            up.insert(&[number], number);
            down.insert(&[99 - number], 99 - number);
        }
        assert_eq!(up, down);
        let bytes = rmp_serde::to_vec_named(&up).unwrap();
        assert_eq!(bytes, rmp_serde::to_vec_named(&down).unwrap());
        let read: Table<u8> = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, up);
        assert_eq!(up.remove(&[7]), Some(7));
        assert!(up != down && up.get(&[7]).is_none());
    }
}
