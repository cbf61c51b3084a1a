//! Numbers over many records, calculated and compared: what checks over a report ([`super::aggregate`])
//! and rules over windows ([`super::rule`]) share. What a call stands for is the owner's to say, by a
//! number into its own list; here is arithmetic, comparison, `and`, `or`, `not`, and what to say about
//! nonsense.

use super::ast::{Comparison, Node, Operation, Order, Tree};
use super::error::Error;
use super::functions::{Function, Meaning, Place, find};
use super::resolve::{constant_number, find_function};
use crate::units::Unit;

/// A checked expression.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    And(Vec<Verdict>),
    Or(Vec<Verdict>),
    Not(Box<Verdict>),
    Compare {
        order: Order,
        left: Amount,
        right: Amount,
    },
    /// An operand that is true or false: it holds if it is there and not 0.
    Truth(usize),
}

#[derive(Clone, Debug)]
pub(super) enum Amount {
    Number {
        value: f64,
        unit: Unit,
    },
    Operand(usize, Kind),
    Negate(Box<Amount>),
    Arithmetic {
        operation: Operation,
        left: Box<Amount>,
        right: Box<Amount>,
    },
}

/// What an operand measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of records.
    Count,
    /// A number that is never below zero.
    Natural,
    /// A time, in milliseconds.
    Duration,
    Any,
}

/// What a call or a comparison stands for where the expression is used.
pub(super) trait Operands {
    const PLACE: Place;
    /// What the expression is about, for the message to someone who names a field.
    const ABOUT: &'static str;
    /// What an expression is called, for messages.
    const NAME: &'static str;

    /// The number that a call of `function` is.
    fn call(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[Node],
    ) -> Result<(usize, Kind), Error>;

    /// The operand of a part that is true or false by itself, if it is such a part.
    fn truth(&mut self, _node: &Node) -> Result<Option<usize>, Error> {
        Ok(None)
    }

    /// The operand that stands for `operand` where it is compared with a constant.
    fn compared(
        &mut self,
        _node: &Node,
        operand: usize,
        _kind: Kind,
        _order: Order,
        _constant: (f64, Unit),
    ) -> Result<usize, Error> {
        Ok(operand)
    }
}

impl Verdict {
    /// Whether it holds, by what each operand is worth.
    pub fn holds(&self, value: &dyn Fn(usize) -> Option<f64>) -> bool {
        match self {
            Verdict::And(verdicts) => verdicts.iter().all(|verdict| verdict.holds(value)),
            Verdict::Or(verdicts) => verdicts.iter().any(|verdict| verdict.holds(value)),
            Verdict::Not(verdict) => !verdict.holds(value),
            Verdict::Compare { order, left, right } => {
                match (left.value(value), right.value(value)) {
                    (Some(left), Some(right)) => order.holds(left.partial_cmp(&right)),
                    _ => false,
                }
            }
            Verdict::Truth(operand) => value(*operand).is_some_and(|truth| truth != 0.0),
        }
    }

    /// The sides of all comparisons that are no constants.
    pub fn sides<'v>(&'v self, found: &mut Vec<&'v Amount>) {
        match self {
            Verdict::And(verdicts) | Verdict::Or(verdicts) => {
                verdicts.iter().for_each(|verdict| verdict.sides(found));
            }
            Verdict::Not(verdict) => verdict.sides(found),
            Verdict::Compare { left, right, .. } => {
                found.extend([left, right].into_iter().filter(|side| !side.is_constant()));
            }
            Verdict::Truth(_) => {}
        }
    }
}

impl Amount {
    pub fn value(&self, value_of: &dyn Fn(usize) -> Option<f64>) -> Option<f64> {
        let value = match self {
            Amount::Number { value, .. } => *value,
            Amount::Operand(index, _) => value_of(*index)?,
            Amount::Negate(amount) => -amount.value(value_of)?,
            Amount::Arithmetic {
                operation,
                left,
                right,
            } => {
                let (left, right) = (left.value(value_of)?, right.value(value_of)?);
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

    /// The operands in it, each once, in the order in which they are typed.
    pub fn operands(&self, found: &mut Vec<usize>) {
        match self {
            Amount::Number { .. } => {}
            Amount::Operand(operand, _) if found.contains(operand) => {}
            Amount::Operand(operand, _) => found.push(*operand),
            Amount::Negate(inner) => inner.operands(found),
            Amount::Arithmetic { left, right, .. } => {
                left.operands(found);
                right.operands(found);
            }
        }
    }

    /// A value of it for people: three decimals, and a time as a time.
    pub fn shown(&self, value: f64) -> String {
        if let Amount::Operand(_, Kind::Duration) = self {
            let milliseconds = value.round().clamp(0.0, 1e15) as i64;
            return format!("{:#}", jiff::SignedDuration::from_millis(milliseconds));
        }
        let rounded = (value * 1e3).round() / 1e3;
        let is_noise = rounded.is_finite() && rounded != 0.0;
        format!("{}", if is_noise { rounded } else { value })
    }

    /// Whether it is a number of records.
    fn is_count(&self) -> bool {
        match self {
            Amount::Operand(_, Kind::Count) => true,
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

    /// Whether nothing in it depends on the records.
    pub fn is_constant(&self) -> bool {
        match self {
            Amount::Number { .. } => true,
            Amount::Operand(..) => false,
            Amount::Negate(inner) => inner.is_constant(),
            Amount::Arithmetic { left, right, .. } => left.is_constant() && right.is_constant(),
        }
    }
}

/// Turns a tree into a verdict.
pub(super) struct Reader<'a, O> {
    pub text: &'a str,
    pub operands: O,
}

impl<O: Operands> Reader<'_, O> {
    pub fn verdict(&mut self, node: &Node) -> Result<Verdict, Error> {
        if let Some(operand) = self.operands.truth(node)? {
            return Ok(Verdict::Truth(operand));
        }
        match &node.tree {
            Tree::And(nodes) => Ok(Verdict::And(self.verdicts(nodes)?)),
            Tree::Or(nodes) => Ok(Verdict::Or(self.verdicts(nodes)?)),
            // A number that is always there can be compared the other way round, so that it is seen what
            // it is compared for: `not count() > 5` is `count() <= 5`.
            Tree::Not(inner) => match &inner.tree {
                Tree::Compare {
                    comparison: Comparison::Order(order),
                    left,
                    right,
                } if is_always_there(left, right) => self.compare(order.negated(), left, right),
                _ => Ok(Verdict::Not(Box::new(self.verdict(inner)?))),
            },
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
                Err(
                    Error::new(node.at.clone(), format!("a number alone is no {}", O::NAME))
                        .hint(format!("compare it: {} > 0", &self.text[node.at.clone()])),
                )
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
        let (mut first, mut second) = (self.amount(left)?, self.amount(right)?);
        (first, second) = (first.clone().beside(&second), second.beside(&first));
        match (&mut first, &mut second) {
            (Amount::Operand(operand, kind), Amount::Number { value, unit }) => {
                let constant = (*value, *unit);
                *operand = self
                    .operands
                    .compared(&whole, *operand, *kind, order, constant)?;
            }
            (Amount::Number { value, unit }, Amount::Operand(operand, kind)) => {
                let constant = (*value, *unit);
                let order = order.exchanged();
                *operand = self
                    .operands
                    .compared(&whole, *operand, *kind, order, constant)?;
            }
            _ => {}
        }
        Ok(Verdict::Compare {
            order,
            left: first,
            right: second,
        })
    }

    /// Refuses a comparison whose left side is a field of one record.
    fn about_records(&self, comparison: &Node, left: &Node) -> Result<(), Error> {
        let Tree::Name(name) = &left.tree else {
            return Ok(());
        };
        let typed = &self.text[comparison.at.clone()];
        Err(self.field(left, name, format!("count({typed}) > 0")))
    }

    /// The error about a field that stands where a number over many records should.
    fn field(&self, node: &Node, name: &str, remedy: String) -> Error {
        let error = Error::new(
            node.at.clone(),
            format!("\"{name}\" is a field of one record; {}", O::ABOUT),
        );
        match find(name) {
            Some(function) if function.name == name && function.stands_in(O::PLACE) => {
                error.hint(format!("write {}", function.usage))
            }
            _ => error.hint(format!("write {remedy}")),
        }
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
            Tree::Call { name, arguments } => {
                let function = find_function(node, name, O::PLACE)?;
                let (operand, kind) = self.operands.call(node, function, arguments)?;
                Ok(Amount::Operand(operand, kind))
            }
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
            Tree::Name(name) => Err(self.field(node, name, format!("max({name}), p99({name}) …"))),
            _ => Err(Error::new(node.at.clone(), "a number should stand here")
                .hint("write count(), p99(field) … or a number")),
        }
    }
}

/// Whether one side is a number that every group has, and the other a constant.
fn is_always_there(left: &Node, right: &Node) -> bool {
    let is_call = |node: &Node| match &node.tree {
        Tree::Call { name, .. } => find(name).is_some_and(|function| {
            matches!(
                function.meaning,
                Meaning::Count | Meaning::Rate | Meaning::Distinct
            )
        }),
        _ => false,
    };
    let is_number = |node: &Node| matches!(constant_number(node), Some(Ok(_)));
    is_call(left) && is_number(right) || is_number(left) && is_call(right)
}

/// The field that a metric's function is called with.
pub(super) fn metric_field<'n>(
    node: &Node,
    name: &str,
    usage: &str,
    arguments: &'n [Node],
) -> Result<&'n str, Error> {
    let [
        Node {
            tree: Tree::Name(field),
            at,
            ..
        },
    ] = arguments
    else {
        return Err(Error::new(
            node.at.clone(),
            format!("{name} takes the name of one field"),
        )
        .hint(format!("write {usage}")));
    };
    if super::resolve::RESERVED
        .iter()
        .any(|reserved| reserved.0 == field)
    {
        return Err(Error::new(at.clone(), format!("{field} is no number"))
            .hint(format!("the record's own key is .{field}")));
    }
    Ok(field)
}
