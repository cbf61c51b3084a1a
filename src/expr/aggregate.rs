//! A check over a finished report (`--fail-on`): numbers of records and of metrics, calculated and
//! compared.
//!
//! `count()` and `count(condition)` are numbers of records; `p99(field)` and its like come from the
//! field's histogram. A number with a unit is converted as everywhere (`p99(latency) > 250ms` means
//! 250), a percentage stays its number (`mean(cpu) >= 80%` means 80), but against a quotient of
//! counts it is a share: `count(level >= error) / count() > 1%` means 0.01. A metric that the report
//! does not have, or a division by zero, makes a comparison false.

use jiff::tz::TimeZone;

use super::amount::{Kind, Operands, Reader, Verdict, metric_field};
use super::ast::{Node, Tree};
use super::condition::Condition;
use super::error::Error;
use super::functions::{Function, Meaning, Place, Statistic};
use super::parse::parse;
use crate::flow::wanted::Wanted;

/// A checked `--fail-on` expression.
#[derive(Clone, Debug)]
pub struct Check {
    verdict: Verdict,
    numbers: Vec<Number>,
    conditions: Vec<Condition>,
    metrics: Vec<String>,
}

/// A number of the report.
#[derive(Clone, Copy, Debug)]
enum Number {
    Total,
    /// Records that meet the condition of this index.
    Count(usize),
    /// The field's index.
    Metric(usize, Statistic),
}

impl Check {
    /// Reads `text`; the fields that its conditions look at are added to `wanted`. Those of
    /// [`Check::metrics`] are not: whoever makes their histograms wants them.
    pub fn parse(text: &str, zone: &TimeZone, wanted: &mut Wanted) -> Result<Check, Error> {
        let node = parse(text)?;
        let mut reader = Reader {
            text,
            operands: Numbers {
                text,
                zone,
                wanted,
                numbers: Vec::new(),
                counted: Vec::new(),
                conditions: Vec::new(),
                metrics: Vec::new(),
            },
        };
        let verdict = reader.verdict(&node)?;
        let operands = reader.operands;
        Ok(Check {
            verdict,
            numbers: operands.numbers,
            conditions: operands.conditions,
            metrics: operands.metrics,
        })
    }

    /// The conditions whose records are to be counted, each once.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// The fields that need a histogram, as typed, each once.
    pub fn metrics(&self) -> &[String] {
        &self.metrics
    }

    /// Whether the check holds: `counts` by index of [`Check::conditions`], `total` records, and
    /// what `metric` knows about a field of [`Check::metrics`].
    pub fn holds(
        &self,
        counts: &[u64],
        total: u64,
        metric: &dyn Fn(&str, Statistic) -> Option<f64>,
    ) -> bool {
        assert_eq!(
            counts.len(),
            self.conditions.len(),
            "one count for each condition"
        );
        self.verdict.holds(&|number| match self.numbers[number] {
            Number::Total => Some(total as f64),
            Number::Count(index) => Some(counts[index] as f64),
            Number::Metric(index, statistic) => metric(&self.metrics[index], statistic),
        })
    }
}

/// The numbers that are named, as far as they are read.
struct Numbers<'a> {
    text: &'a str,
    zone: &'a TimeZone,
    wanted: &'a mut Wanted,
    numbers: Vec<Number>,
    /// The trees of `conditions`, to find equal ones.
    counted: Vec<Node>,
    conditions: Vec<Condition>,
    metrics: Vec<String>,
}

impl Operands for Numbers<'_> {
    const PLACE: Place = Place::Report;
    const ABOUT: &'static str = "this check is about all of them";
    const NAME: &'static str = "check";

    fn call(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[Node],
    ) -> Result<(usize, Kind), Error> {
        let Tree::Call { name, .. } = &node.tree else {
            unreachable!("a call is read")
        };
        let (number, kind) = match (function.meaning, arguments) {
            (Meaning::Count, []) => (Number::Total, Kind::Count),
            (Meaning::Count, [condition]) => {
                (Number::Count(self.condition(condition)?), Kind::Count)
            }
            (Meaning::Metric(statistic), _) => {
                let field = metric_field(node, name, function.usage, arguments)?;
                (Number::Metric(self.metric(field), statistic), Kind::Any)
            }
            (Meaning::Count, _) => {
                return Err(Error::new(
                    node.at.clone(),
                    format!("{name} takes one condition at most; join two with and"),
                )
                .hint(format!("write {}", function.usage)));
            }
            _ => unreachable!("only what a report knows stands in it"),
        };
        self.numbers.push(number);
        Ok((self.numbers.len() - 1, kind))
    }
}

impl Numbers<'_> {
    fn condition(&mut self, node: &Node) -> Result<usize, Error> {
        if let Some(index) = self.counted.iter().position(|counted| counted == node) {
            return Ok(index);
        }
        self.conditions.push(Condition::from_node(
            node,
            self.text,
            self.zone,
            self.wanted,
        )?);
        self.counted.push(node.clone());
        Ok(self.conditions.len() - 1)
    }

    fn metric(&mut self, field: &str) -> usize {
        self.metrics
            .iter()
            .position(|metric| metric == field)
            .unwrap_or_else(|| {
                self.metrics.push(field.to_owned());
                self.metrics.len() - 1
            })
    }
}
