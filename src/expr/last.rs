//! A comparison with the last value of a state: a condition over one record whose only field is that value.

use super::condition::{Condition, View};
use crate::flow::row::{self, Row, Text, Value};

/// What the last value of a state is compared with.
#[derive(Clone, Debug)]
pub struct LastTest(pub(super) Condition);

impl LastTest {
    pub fn holds(&self, value: &[u8]) -> bool {
        let mut row = Row::new(1);
        row.values[0] = Value::new(row::Kind::String, Text::record(0, value.len()));
        self.0.holds(&View {
            row: &row,
            record: value,
            raw: value,
            source: "",
            line: 0,
            fingerprint: None,
            template: None,
        })
    }
}
