//! The plan: names resolved, patterns compiled, wanted fields known. Mappers and fold share it and
//! never change it.

pub mod baseline;
pub mod flags;
pub mod overlap;
pub mod setup;

use crate::expr::condition::Condition;
use crate::expr::input::Inputs;
use crate::flow::key::Grouping;
use crate::flow::level::Level;
use crate::flow::output::LinesTask;
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;
use crate::framing::Multiline;
use crate::rules::RulesPlan;
use crate::stages::aggregate::Metric;
use crate::stages::literals::Literals;

/// Bytes in flight, by default. A few chunks for each thread are enough to keep all of them busy.
pub const BUDGET_BYTES: usize = 8 << 20;

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
        let of_run = self.task.run().into_iter().flat_map(|run| {
            let inputs = run.inputs.list().iter();
            let inputs = inputs.filter_map(|input| Some(&input.condition.as_ref()?.1));
            let metrics = run.tables.metrics.iter();
            let metrics = metrics.filter_map(|metric| metric.condition.as_ref());
            let lines = run
                .lines
                .iter()
                .filter_map(|lines| lines.condition.as_ref());
            let branches = run.lines.iter().flat_map(|lines| &lines.branches);
            let branches = branches.filter_map(|branch| branch.condition.as_ref());
            inputs.chain(metrics).chain(lines).chain(branches)
        });
        let own = self.select.condition.iter().chain(&self.conditions);
        own.chain(of_run).any(|condition| condition.needs().line)
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
    Run(Box<RunTask>),
}

impl Task {
    /// What a run does besides writing lines.
    pub fn run(&self) -> Option<&RunTask> {
        match self {
            Task::Run(task) => Some(task),
            _ => None,
        }
    }

    /// What is told about lines that go out, if any do.
    pub fn lines(&self) -> Option<&LinesTask> {
        match self {
            Task::Report(_) => None,
            Task::Lines(task) => Some(task),
            Task::Run(task) => task.lines.as_ref().map(|lines| &lines.task),
        }
    }

    /// Which lines go out of a run, if any do.
    pub fn kept(&self) -> Option<&KeptLines> {
        self.run()?.lines.as_ref()
    }
}

/// `weir`: tables for a report.
pub struct ReportTask {
    /// Messages of this level and above are listed; trace lists all, also those without a level.
    pub list: Level,
    pub metrics: Vec<Metric>,
    pub groupings: Vec<Grouping>,
    /// Records of web servers are counted by status, which no one has to ask for.
    pub statuses: bool,
}

/// `weir run`: everything at once. No record is taken away from tables and rules by what decides
/// about lines.
pub struct RunTask {
    pub tables: ReportTask,
    pub lines: Option<KeptLines>,
    /// Length of the windows that summaries are about; `None` without summaries.
    pub interval_seconds: Option<i64>,
    /// What states, sets and rules want to see.
    pub inputs: Inputs,
    pub rules: RulesPlan,
}

/// Which lines go out of a run.
pub struct KeptLines {
    pub task: LinesTask,
    pub literals: Option<Literals>,
    /// Those without any of the literals.
    pub invert: bool,
    pub condition: Option<Condition>,
    /// One for each condition that sinks of lines have, none being one as well. The first is that of the
    /// sink that the journal is about.
    pub branches: Vec<Branch>,
    /// The lines of all branches go to one place, each once: nobody is sent any.
    pub joined: bool,
}

/// What all sinks get that have the same condition.
pub struct Branch {
    /// As it is written; by it the branch is known again after a reload.
    pub text: Option<String>,
    pub condition: Option<Condition>,
}

impl KeptLines {
    /// Whether a record that is kept may go to some sinks only.
    pub fn is_branched(&self) -> bool {
        let mut branches = self.branches.iter();
        branches.any(|branch| branch.condition.is_some())
    }
}
