//! A check over a finished report (`--fail-on`): numbers of records and of metrics, calculated and
//! compared.
//!
//! `count()` and `count(condition)` are numbers of records; `p99(field)` and its like come from the
//! field's histogram. A number with a unit is converted as everywhere (`p99(latency) > 250ms` means
//! 250), a percentage stays its number (`mean(cpu) >= 80%` means 80), but against a quotient of
//! counts it is a share: `count(level >= error) / count() > 1%` means 0.01. A metric that the report
//! does not have, or a division by zero, makes a comparison false.

use jiff::tz::TimeZone;

use super::ast::{Comparison, Node, Operation, Order, Tree};
use super::condition::Condition;
use super::error::Error;
use super::functions::{Meaning, Place, Statistic};
use super::parse::parse;
use super::resolve::{RESERVED, constant_number, find_function};
use crate::flow::wanted::Wanted;
use crate::units::Unit;

/// A checked `--fail-on` expression.
#[derive(Clone, Debug)]
pub struct Check {
    verdict: Verdict,
    conditions: Vec<Condition>,
    metrics: Vec<String>,
}

impl Check {
    /// Reads `text`; the fields that its conditions look at are added to `wanted`. Those of
    /// [`Check::metrics`] are not: whoever makes their histograms wants them.
    pub fn parse(text: &str, zone: &TimeZone, wanted: &mut Wanted) -> Result<Check, Error> {
        let node = parse(text)?;
        let mut resolver = Resolver {
            text,
            zone,
            wanted,
            counted: Vec::new(),
            conditions: Vec::new(),
            metrics: Vec::new(),
        };
        let verdict = resolver.verdict(&node)?;
        Ok(Check {
            verdict,
            conditions: resolver.conditions,
            metrics: resolver.metrics,
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
        self.verdict.holds(&Totals {
            counts,
            total,
            metrics: &self.metrics,
            metric,
        })
    }
}

/// The report as far as a check looks at it.
struct Totals<'a> {
    counts: &'a [u64],
    total: u64,
    metrics: &'a [String],
    metric: &'a dyn Fn(&str, Statistic) -> Option<f64>,
}

#[derive(Clone, Debug)]
enum Verdict {
    And(Vec<Verdict>),
    Or(Vec<Verdict>),
    Not(Box<Verdict>),
    Compare {
        order: Order,
        left: Amount,
        right: Amount,
    },
}

#[derive(Clone, Debug)]
enum Amount {
    Number {
        value: f64,
        unit: Unit,
    },
    Total,
    /// Records that meet the condition of this index.
    Count(usize),
    /// The field's index.
    Metric(usize, Statistic),
    Negate(Box<Amount>),
    Arithmetic {
        operation: Operation,
        left: Box<Amount>,
        right: Box<Amount>,
    },
}

impl Verdict {
    fn holds(&self, totals: &Totals) -> bool {
        match self {
            Verdict::And(verdicts) => verdicts.iter().all(|verdict| verdict.holds(totals)),
            Verdict::Or(verdicts) => verdicts.iter().any(|verdict| verdict.holds(totals)),
            Verdict::Not(verdict) => !verdict.holds(totals),
            Verdict::Compare { order, left, right } => {
                match (left.value(totals), right.value(totals)) {
                    (Some(left), Some(right)) => order.holds(left.partial_cmp(&right)),
                    _ => false,
                }
            }
        }
    }
}

impl Amount {
    fn value(&self, totals: &Totals) -> Option<f64> {
        let value = match self {
            Amount::Number { value, .. } => *value,
            Amount::Total => totals.total as f64,
            Amount::Count(index) => totals.counts[*index] as f64,
            Amount::Metric(index, statistic) => {
                (totals.metric)(&totals.metrics[*index], *statistic)?
            }
            Amount::Negate(amount) => -amount.value(totals)?,
            Amount::Arithmetic {
                operation,
                left,
                right,
            } => {
                let (left, right) = (left.value(totals)?, right.value(totals)?);
                match operation {
                    Operation::Add => left + right,
                    Operation::Subtract => left - right,
                    Operation::Multiply => left * right,
                    Operation::Divide => left / right,
                }
            }
        };
        value.is_finite().then_some(value)
    }

    /// Whether it is a number of records.
    fn is_count(&self) -> bool {
        match self {
            Amount::Total | Amount::Count(_) => true,
            Amount::Arithmetic {
                operation: Operation::Add | Operation::Subtract,
                left,
                right,
            } => left.is_count() && right.is_count(),
            _ => false,
        }
    }

    /// Whether it is a number of records in relation to another one.
    fn is_share(&self) -> bool {
        matches!(self, Amount::Arithmetic { operation: Operation::Divide, left, right } if left.is_count() && right.is_count())
    }

    /// A percentage that is compared with a share, as a share.
    fn beside(self, other: &Amount) -> Amount {
        match self {
            Amount::Number {
                value,
                unit: Unit::Percent,
            } if other.is_share() => Amount::Number {
                value: value / 100.0,
                unit: Unit::None,
            },
            amount => amount,
        }
    }
}

struct Resolver<'a> {
    text: &'a str,
    zone: &'a TimeZone,
    wanted: &'a mut Wanted,
    /// The trees of `conditions`, to find equal ones.
    counted: Vec<Node>,
    conditions: Vec<Condition>,
    metrics: Vec<String>,
}

impl Resolver<'_> {
    fn verdict(&mut self, node: &Node) -> Result<Verdict, Error> {
        match &node.tree {
            Tree::And(nodes) => Ok(Verdict::And(self.verdicts(nodes)?)),
            Tree::Or(nodes) => Ok(Verdict::Or(self.verdicts(nodes)?)),
            Tree::Not(inner) => Ok(Verdict::Not(Box::new(self.verdict(inner)?))),
            Tree::Compare {
                comparison: Comparison::Order(order),
                left,
                right,
            } => self.compare(*order, left, right),
            Tree::Compare {
                comparison,
                left,
                right,
            } => {
                self.about_records(node, left)?;
                Err(Error::new(
                    left.at.end..right.at.start,
                    format!("numbers have no {}", comparison.sign()),
                ))
            }
            Tree::In { left, members } => {
                self.about_records(node, left)?;
                let equal = |member| self.compare(Order::Equal, left, member);
                Ok(Verdict::Or(
                    members.iter().map(equal).collect::<Result<_, _>>()?,
                ))
            }
            _ => {
                self.amount(node)?;
                Err(Error::new(node.at.clone(), "a number alone is no check")
                    .hint(format!("compare it: {} > 0", &self.text[node.at.clone()])))
            }
        }
    }

    fn verdicts(&mut self, nodes: &[Node]) -> Result<Vec<Verdict>, Error> {
        nodes.iter().map(|node| self.verdict(node)).collect()
    }

    fn compare(&mut self, order: Order, left: &Node, right: &Node) -> Result<Verdict, Error> {
        let whole = Node::new(
            left.at.start.min(right.at.start)..right.at.end.max(left.at.end),
            Tree::Null,
        );
        self.about_records(&whole, left)?;
        let (left, right) = (self.amount(left)?, self.amount(right)?);
        let (left, right) = (left.clone().beside(&right), right.beside(&left));
        Ok(Verdict::Compare { order, left, right })
    }

    /// Refuses a comparison whose left side is a field of one record.
    fn about_records(&self, comparison: &Node, left: &Node) -> Result<(), Error> {
        let Tree::Name(name) = &left.tree else {
            return Ok(());
        };
        let typed = &self.text[comparison.at.clone()];
        let error = Error::new(
            left.at.clone(),
            format!("\"{name}\" is a field of one record; this check is about all of them"),
        );
        Err(match super::functions::find(name) {
            Some(function) if function.place == Place::Report => {
                error.hint(format!("write {}", function.usage))
            }
            _ => error.hint(format!("write count({typed}) > 0")),
        })
    }

    fn amount(&mut self, node: &Node) -> Result<Amount, Error> {
        if let Some(quantity) = constant_number(node) {
            let quantity = quantity?;
            return Ok(Amount::Number {
                value: quantity.value,
                unit: quantity.unit,
            });
        }
        match &node.tree {
            Tree::Call { name, arguments } => self.call(node, name, arguments),
            Tree::Negate(inner) => Ok(Amount::Negate(Box::new(self.amount(inner)?))),
            Tree::Arithmetic {
                operation,
                left,
                right,
            } => Ok(Amount::Arithmetic {
                operation: *operation,
                left: Box::new(self.amount(left)?),
                right: Box::new(self.amount(right)?),
            }),
            Tree::Name(name) => {
                let error = Error::new(
                    node.at.clone(),
                    format!("\"{name}\" is a field of one record; this check is about all of them"),
                );
                Err(match super::functions::find(name) {
                    Some(function) if function.place == Place::Report => {
                        error.hint(format!("write {}", function.usage))
                    }
                    _ => error.hint(format!("write max({name}), p99({name}) …")),
                })
            }
            _ => Err(Error::new(node.at.clone(), "a number should stand here")
                .hint("write count(), p99(field) … or a number")),
        }
    }

    fn call(&mut self, node: &Node, name: &str, arguments: &[Node]) -> Result<Amount, Error> {
        let function = find_function(node, name, Place::Report)?;
        let wrong = |message: String| {
            Err(Error::new(node.at.clone(), message).hint(format!("write {}", function.usage)))
        };
        match (function.meaning, arguments) {
            (Meaning::Count, []) => Ok(Amount::Total),
            (Meaning::Count, [condition]) => Ok(Amount::Count(self.condition(condition)?)),
            (Meaning::Count, _) => wrong(format!(
                "{name} takes one condition at most; join two with and"
            )),
            (
                Meaning::Metric(statistic),
                [
                    Node {
                        tree: Tree::Name(field),
                        at,
                        ..
                    },
                ],
            ) => {
                if RESERVED.iter().any(|reserved| reserved.0 == field) {
                    return Err(Error::new(at.clone(), format!("{field} is no number"))
                        .hint(format!("the record's own key is .{field}")));
                }
                Ok(Amount::Metric(self.metric(field), statistic))
            }
            (Meaning::Metric(_), _) => wrong(format!("{name} takes the name of one field")),
            (Meaning::Has, _) => unreachable!("has stands in conditions over one record only"),
        }
    }

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
