//! The plan: names resolved, patterns compiled, wanted fields known. Mappers and fold share it and
//! never change it.

use crate::expr::condition::Condition;
use crate::flow::key::Grouping;
use crate::flow::level::Level;
use crate::flow::output::LinesTask;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::framing::Multiline;
use crate::stages::literals::Literals;

/// Everything that decides what a run computes.
pub struct Plan {
    pub select: Select,
    pub wanted: Wanted,
    pub multiline: Multiline,
    pub task: Task,
    /// Conditions of `--fail-on` that are counted per record.
    pub conditions: Vec<Condition>,
    /// Off in tests of law 5: every record is parsed, nothing is skipped by a literal search.
    pub prefilter: bool,
}

impl Plan {
    /// Whether a condition asks for a record's line number, which only the reader can count.
    pub fn needs_lines(&self) -> bool {
        let mut conditions = self.select.condition.iter().chain(&self.conditions);
        conditions.any(|condition| condition.needs().line)
    }
}

/// Which records the tables and the output see.
#[derive(Default)]
pub struct Select {
    /// `-m`, one of which the record's bytes must hold.
    pub literals: Option<Literals>,
    /// `-v`: none of them may.
    pub invert: bool,
    /// `-w`
    pub condition: Option<Condition>,
    pub since: Option<Time>,
    pub until: Option<Time>,
}

impl Select {
    /// Whether a record has to be parsed to know if it is selected.
    pub fn parses(&self) -> bool {
        self.condition.is_some() || self.bounds_time()
    }

    pub fn bounds_time(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

/// What is made of the selected records.
pub enum Task {
    Report(ReportTask),
    Lines(LinesTask),
}

/// `weir`: tables for a report.
pub struct ReportTask {
    /// Messages of this level and above are listed; trace lists all, also those without a level.
    pub list: Level,
    /// Slots of `wanted.paths` that are metrics, with their names.
    pub metrics: Vec<(usize, String)>,
    pub groupings: Vec<Grouping>,
}
