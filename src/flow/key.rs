//! What a `--by` groups by, and the encoded key of a group: the values of its fields, one after the
//! other.
//!
//! Each is led by its length as four little-endian bytes, so that no value can be mistaken for two
//! and the empty key is no group's: it stands for records that lack a field.

/// One `--by`: the fields whose values together make a group.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// As the user named them, for the report.
    pub names: Vec<String>,
    pub fields: Vec<GroupField>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupField {
    /// A slot of `Wanted::paths`.
    Slot(usize),
    Level,
    Source,
    Message,
}

/// The number of the grouping that no one asked for: records of web servers by their status.
pub const STATUSES: u16 = u16::MAX;

/// The name of its field.
pub const STATUS: &str = "status";

/// Bytes before each value.
pub const LENGTH_BYTES: usize = 4;

/// Appends one value.
pub fn push(key: &mut Vec<u8>, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("a record is a few MiB");
    key.extend_from_slice(&length.to_le_bytes());
    key.extend_from_slice(value);
}

/// The values of a key; what is no key gives the values that can be read.
pub fn values(key: &[u8]) -> Vec<&[u8]> {
    let mut values = Vec::new();
    let mut rest = key;
    while let Some((length, tail)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let Some((value, tail)) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)
        else {
            break;
        };
        values.push(value);
        rest = tail;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_whatever_bytes_they_hold() {
        let wanted: [&[u8]; 3] = [b"a", b"", b"\0\x01,b"];
        let mut key = Vec::new();
        wanted.iter().for_each(|value| push(&mut key, value));
        assert_eq!(values(&key), wanted);
        assert!(values(b"").is_empty());
        assert!(values(b"\xff\xff\xff\xffx").is_empty());
    }
}
