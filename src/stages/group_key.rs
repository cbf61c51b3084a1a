//! The encoded key of a record's group (`flow::key`): one place for tables and for what rules observe.

use crate::flow::key::{self, GroupField, Grouping};
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row};

/// Longest value that is kept apart; a longer one is cut, since nobody reads it as a group.
pub const VALUE_BYTES_MAX: usize = 1024;

/// Writes the key of the record's group to `key`; false if the record lacks a field.
pub fn encode(
    grouping: &Grouping,
    row: &Row,
    record: &[u8],
    source: &str,
    key: &mut Vec<u8>,
) -> bool {
    key.clear();
    for field in &grouping.fields {
        let Some(value) = text(*field, row, record, source) else {
            return false;
        };
        key::push(key, &value[..value.len().min(VALUE_BYTES_MAX)]);
    }
    true
}

/// The text of a field; `None` if the record lacks it.
#[inline]
pub fn text<'a>(
    field: GroupField,
    row: &'a Row,
    record: &'a [u8],
    source: &'a str,
) -> Option<&'a [u8]> {
    match field {
        GroupField::Slot(slot) => {
            let value = row.values[slot];
            (!matches!(value.kind, Kind::Missing | Kind::Null))
                .then(|| row.bytes(record, value.text))
        }
        GroupField::Level => Some(row.level.map_or("none", Level::name).as_bytes()),
        GroupField::Source => Some(source.as_bytes()),
        GroupField::Message => Some(row.bytes(record, row.message)),
    }
}
