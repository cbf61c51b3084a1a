//! What states, sets and rules want of each record: a list that the mappers work through
//! (`stages::observe`). Rules that want the same share one input.

use crate::expr::condition::Condition;
use crate::flow::key::{GroupField, Grouping};

/// What one input observes of each record that meets its condition and has all fields of its grouping.
#[derive(Clone, Debug)]
pub struct Input {
    /// `where` as typed and as checked; both, or none for every record.
    pub condition: Option<(String, Condition)>,
    /// The fields of `by` or `key`; none puts all records together.
    pub grouping: Grouping,
    pub observe: Observe,
    /// A run ends with its second of event time: for windows.
    pub by_second: bool,
    /// Every record is a run of its own: for rules that need the order of several inputs.
    pub each: bool,
}

/// What of a record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe {
    /// That it is there.
    Records,
    /// The number in a field, by its slot in `Wanted::paths`; records without one are passed by.
    Numbers(usize),
    /// The text of a field; records without it are passed by.
    Texts(GroupField),
    /// Its fingerprint and masked message.
    Messages,
}

/// Most inputs of a plan: a configuration is written by a person.
pub const INPUTS_MAX: usize = 4096;

/// The inputs of a plan, each once.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    list: Vec<Input>,
}

impl Inputs {
    /// The place of `input`, added if there is none like it; `None` past [`INPUTS_MAX`].
    pub fn add(&mut self, input: Input) -> Option<u16> {
        if let Some(place) = self.list.iter().position(|known| known.is_like(&input)) {
            return u16::try_from(place).ok();
        }
        if self.list.len() == INPUTS_MAX {
            return None;
        }
        self.list.push(input);
        u16::try_from(self.list.len() - 1).ok()
    }

    pub fn list(&self) -> &[Input] {
        &self.list
    }
}

impl Input {
    /// Whether both observe the same. Slots are fixed once given, so equal fields are equal slots.
    fn is_like(&self, other: &Input) -> bool {
        let text = |input: &Input| input.condition.as_ref().map(|(text, _)| text.clone());
        text(self) == text(other)
            && self.grouping.fields == other.grouping.fields
            && self.observe == other.observe
            && self.by_second == other.by_second
            && self.each == other.each
    }
}
