//! What a rule says (`when`, `clear`): numbers over a window, the last values of states, what is new.
//!
//! An [`Expression`] is a list of operands and a verdict over their values; who keeps windows and states
//! says what each operand is worth. A number of records that is compared upwards with a constant
//! (`count() > 100`) is an *edge*: it is looked at with the record that changes it, and the constants
//! tell where. One that is compared downwards (`count() < 5`) says nothing before a whole window was
//! seen. A bare `new()`, `missing(state)` or `stuck(state)` is a condition by itself, and so is
//! `last(state)` compared as a field of a record is.

use jiff::tz::TimeZone;

use super::amount::{Amount, Kind, Operands, Reader, Verdict, metric_field};
use super::ast::{Node, Order, Tree};
use super::condition::Condition;
use super::error::{Error, nearest};
use super::functions::{Function, Meaning, Place, Statistic};
use super::last::LastTest;
use super::parse::parse;
use super::resolve::{constant_number, find_function, source_name};
use crate::flow::wanted::Wanted;
use crate::units::Unit;

/// A checked `when` or `clear`.
#[derive(Clone, Debug)]
pub struct Expression {
    verdict: Verdict,
    operands: Vec<Operand>,
    /// By operand: what an edge or an age is compared with.
    constants: Vec<Vec<f64>>,
    /// The one amount that is compared, if it is one.
    measured: Option<Amount>,
    /// What is compared, in the order in which it is typed; constants are left out.
    compared: Vec<Amount>,
    /// Names of the states.
    states: Vec<String>,
}

/// Something that a rule looks at.
#[derive(Clone, Debug)]
pub enum Operand {
    /// Records in the window, those that meet the condition if there is one.
    Count {
        condition: Option<String>,
        look: Look,
    },
    /// Records in a second, over the whole window.
    Rate {
        condition: Option<String>,
        look: Look,
    },
    /// Of the numbers in a field.
    Number {
        field: String,
        statistic: Statistic,
    },
    /// Distinct values of a field.
    Distinct {
        field: String,
    },
    /// How much a counter grows in a second, which starts again from 0 now and then.
    Counter {
        field: String,
    },
    /// The number over the window that ended so many nanoseconds before.
    Ago {
        before: i64,
        of: Box<Operand>,
    },
    /// Whether the record's message is new, or the value of a field.
    New(Option<String>),
    /// Whether the last value of the state of this place passes.
    Last {
        state: usize,
        test: LastTest,
    },
    /// Milliseconds since the key was last seen.
    Age(usize),
    Missing(usize),
    Stuck(usize),
    /// Whether the source of this name is read.
    Up(String),
}

/// When a number of records is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// With the record that changes it.
    Edge,
    /// At each step of the window.
    Step,
    /// At each step, once a whole window was seen; before it has no value.
    Whole,
}

impl Operand {
    /// Whether its value changes with a record, and not with time.
    pub fn is_edge(&self) -> bool {
        matches!(
            self,
            Operand::Count {
                look: Look::Edge,
                ..
            } | Operand::New(_)
                | Operand::Last { .. }
        )
    }

    /// Whether it is about the records of a window.
    pub fn is_windowed(&self) -> bool {
        matches!(
            self,
            Operand::Count { .. }
                | Operand::Rate { .. }
                | Operand::Number { .. }
                | Operand::Distinct { .. }
                | Operand::Counter { .. }
                | Operand::Ago { .. }
        )
    }

    /// The place of the state it looks at.
    pub fn state(&self) -> Option<usize> {
        match self {
            Operand::Last { state, .. }
            | Operand::Age(state)
            | Operand::Missing(state)
            | Operand::Stuck(state) => Some(*state),
            _ => None,
        }
    }

    /// As it is typed.
    fn name(&self, states: &[String]) -> String {
        let call = |name: &str, inside: Option<&str>| format!("{name}({})", inside.unwrap_or(""));
        let state = |name: &str, place: usize| call(name, states.get(place).map(String::as_str));
        match self {
            Operand::Count { condition, .. } => call("count", condition.as_deref()),
            Operand::Rate { condition, .. } => call("rate", condition.as_deref()),
            Operand::Number { field, statistic } => call(&statistic.name(), Some(field)),
            Operand::Distinct { field } => call("distinct", Some(field)),
            Operand::Counter { field } => call("rate", Some(field.as_str())),
            Operand::Ago { before, of } => {
                let before = jiff::SignedDuration::from_nanos(*before);
                format!("ago({before:#}, {})", of.name(states))
            }
            Operand::New(field) => call("new", field.as_deref()),
            Operand::Last { state: place, .. } => state("last", *place),
            Operand::Age(place) => state("age", *place),
            Operand::Missing(place) => state("missing", *place),
            Operand::Stuck(place) => state("stuck", *place),
            Operand::Up(source) => call("up", Some(source)),
        }
    }

    /// The amount that it is by itself.
    fn amount(&self, place: usize) -> Amount {
        let kind = match self {
            Operand::Age(_) => Kind::Duration,
            _ => Kind::Any,
        };
        Amount::Operand(place, kind)
    }

    fn is_like(&self, other: &Operand) -> bool {
        use Operand::{Age, Ago, Count, Counter, Distinct, Missing, New, Number, Rate, Stuck, Up};
        match (self, other) {
            (
                Count { condition, look },
                Count {
                    condition: theirs,
                    look: their_look,
                },
            )
            | (
                Rate { condition, look },
                Rate {
                    condition: theirs,
                    look: their_look,
                },
            ) => condition == theirs && look == their_look,
            (
                Number { field, statistic },
                Number {
                    field: theirs,
                    statistic: their_statistic,
                },
            ) => field == theirs && statistic == their_statistic,
            (Distinct { field }, Distinct { field: theirs }) => field == theirs,
            (Counter { field }, Counter { field: theirs }) => field == theirs,
            (
                Ago { before, of },
                Ago {
                    before: their_before,
                    of: theirs,
                },
            ) => before == their_before && of.is_like(theirs),
            (New(field), New(theirs)) => field == theirs,
            (Up(source), Up(theirs)) => source == theirs,
            (Age(state), Age(theirs))
            | (Missing(state), Missing(theirs))
            | (Stuck(state), Stuck(theirs)) => state == theirs,
            _ => false,
        }
    }
}

impl Expression {
    /// Reads `text`; `states` are the names of the states that it may look at.
    pub fn parse(text: &str, states: &[String]) -> Result<Expression, Error> {
        let node = parse(text)?;
        let mut reader = Reader {
            text,
            operands: Known {
                text,
                states,
                list: Vec::new(),
                constants: Vec::new(),
                uses: Vec::new(),
            },
        };
        let verdict = reader.verdict(&node)?;
        let known = reader.operands;
        if known.list.is_empty() {
            return Err(
                Error::new(node.at, "this looks at nothing").hint("write count() > 100 or so")
            );
        }
        let mut compared = Vec::new();
        measured(&verdict, &mut compared);
        let mut sides = Vec::new();
        verdict.sides(&mut sides);
        Ok(Expression {
            compared: sides.into_iter().cloned().collect(),
            states: names(&known.list, states),
            measured: match &compared[..] {
                [Some(amount)] => Some((*amount).clone()),
                _ => None,
            },
            verdict,
            operands: known.list,
            constants: known.constants,
        })
    }

    pub fn operands(&self) -> &[Operand] {
        &self.operands
    }

    /// What the operand of this place is compared with, if it is an edge that counts, or an age, in
    /// milliseconds; nothing if an age is calculated with.
    pub fn constants(&self, operand: usize) -> &[f64] {
        &self.constants[operand]
    }

    /// Whether it is nothing but one operand that is true or false.
    pub fn is_one_truth(&self) -> bool {
        matches!(self.verdict, Verdict::Truth(_))
    }

    /// Whether it holds, if each operand is worth what `value` says: a number, 0 or 1 for one that is
    /// true or false, nothing if there is none, which makes a comparison false.
    pub fn holds(&self, value: &dyn Fn(usize) -> Option<f64>) -> bool {
        self.verdict.holds(value)
    }

    /// What is compared, if it is one number.
    pub fn value(&self, value: &dyn Fn(usize) -> Option<f64>) -> Option<f64> {
        self.measured.as_ref()?.value(value)
    }

    /// What each side of each comparison comes to, and each number that a side is calculated from, for
    /// people: `is 0.034; count(status >= 500) is 17, count() is 500`. Nothing if there is no number.
    pub fn numbers(&self, value: &dyn Fn(usize) -> Option<f64>) -> Option<String> {
        let sides: Vec<String> = self
            .compared
            .iter()
            .filter_map(|side| Some(side.shown(side.value(value)?)))
            .collect();
        if sides.is_empty() {
            return None;
        }
        let mut parts: Vec<usize> = Vec::new();
        for side in &self.compared {
            if self.compared.len() > 1 || !matches!(side, Amount::Operand(..)) {
                side.operands(&mut parts);
            }
        }
        let parts: Vec<String> = parts
            .into_iter()
            .filter_map(|part| {
                let operand = &self.operands[part];
                let shown = operand.amount(part).shown(value(part)?);
                Some(format!("{} is {shown}", operand.name(&self.states)))
            })
            .collect();
        // Of several comparisons each number is named; one alone needs no name.
        Some(match (&sides[..], parts.is_empty()) {
            ([one], true) => format!("is {one}"),
            ([one], false) => format!("is {one}; {}", parts.join(", ")),
            _ => parts.join(", "),
        })
    }
}

/// The names of the states, if an operand looks at one.
fn names(operands: &[Operand], states: &[String]) -> Vec<String> {
    let is_used = operands.iter().any(|operand| operand.state().is_some());
    if is_used { states.to_vec() } else { Vec::new() }
}

/// What each comparison is about; nothing for a truth, so that two of them are not one number.
fn measured<'v>(verdict: &'v Verdict, found: &mut Vec<Option<&'v Amount>>) {
    match verdict {
        Verdict::And(verdicts) | Verdict::Or(verdicts) => {
            verdicts.iter().for_each(|verdict| measured(verdict, found));
        }
        Verdict::Not(verdict) => measured(verdict, found),
        Verdict::Compare { left, right, .. } => found.push(if right.is_constant() {
            Some(left)
        } else {
            left.is_constant().then_some(right)
        }),
        Verdict::Truth(_) => found.push(None),
    }
}

/// The operands that are named, as far as they are read.
struct Known<'a> {
    text: &'a str,
    states: &'a [String],
    list: Vec<Operand>,
    constants: Vec<Vec<f64>>,
    /// How often each operand stands in the expression.
    uses: Vec<u32>,
}

impl Operands for Known<'_> {
    const PLACE: Place = Place::Rule;
    const ABOUT: &'static str = "a rule is about many of them";
    const NAME: &'static str = "condition";

    fn call(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[Node],
    ) -> Result<(usize, Kind), Error> {
        let Tree::Call { name, .. } = &node.tree else {
            unreachable!("a call is read")
        };
        let (operand, kind) = match function.meaning {
            Meaning::Count => (
                Operand::Count {
                    condition: self.condition(node, name, function, arguments)?,
                    look: Look::Step,
                },
                Kind::Count,
            ),
            Meaning::Rate
                if matches!(
                    arguments,
                    [Node {
                        tree: Tree::Name(_),
                        ..
                    }]
                ) =>
            {
                (
                    Operand::Counter {
                        field: self.field(node, name, function, arguments)?,
                    },
                    Kind::Natural,
                )
            }
            Meaning::Ago => self.ago(node, function, arguments)?,
            Meaning::Rate => (
                Operand::Rate {
                    condition: self.condition(node, name, function, arguments)?,
                    look: Look::Step,
                },
                Kind::Natural,
            ),
            Meaning::Metric(statistic) => {
                let field = metric_field(node, name, function.usage, arguments)?.to_owned();
                (Operand::Number { field, statistic }, Kind::Any)
            }
            Meaning::Distinct => {
                let field = self.field(node, name, function, arguments)?;
                (Operand::Distinct { field }, Kind::Natural)
            }
            Meaning::Age => (
                Operand::Age(self.state(node, name, function, arguments)?),
                Kind::Duration,
            ),
            Meaning::New | Meaning::Missing | Meaning::Stuck | Meaning::Up => {
                return Err(Error::new(
                    node.at.clone(),
                    format!("{name}(…) is true or false and no number"),
                )
                .hint("write it alone, or not before it"));
            }
            Meaning::Last => {
                return Err(Error::new(
                    node.at.clone(),
                    "the last value of a state is no number to calculate with",
                )
                .hint(format!("compare it with a constant: {}", function.usage)));
            }
            Meaning::Has => unreachable!("has stands in conditions over one record only"),
        };
        Ok((self.add(operand), kind))
    }

    fn truth(&mut self, node: &Node) -> Result<Option<usize>, Error> {
        match &node.tree {
            Tree::Call { name, arguments } => {
                let function = find_function(node, name, Place::Rule)?;
                let operand = match function.meaning {
                    Meaning::New if arguments.is_empty() => Operand::New(None),
                    Meaning::New if arguments.len() == 1 => {
                        Operand::New(Some(self.field(node, name, function, arguments)?))
                    }
                    Meaning::New => {
                        return Err(
                            Error::new(node.at.clone(), "new takes nothing, or one field")
                                .hint("write new(); which records it looks at stands in where"),
                        );
                    }
                    Meaning::Missing => {
                        Operand::Missing(self.state(node, name, function, arguments)?)
                    }
                    Meaning::Stuck => Operand::Stuck(self.state(node, name, function, arguments)?),
                    Meaning::Up => Operand::Up(source_name(node, name, function, arguments)?),
                    Meaning::Last => {
                        self.state(node, name, function, arguments)?;
                        return Err(Error::new(
                            node.at.clone(),
                            "the last value of a state alone is no condition",
                        )
                        .hint(format!("write {}", function.usage)));
                    }
                    _ => return Ok(None),
                };
                Ok(Some(self.add(operand)))
            }
            Tree::Compare { left, right, .. } => {
                let Some(call) = [left, right].into_iter().find(|side| is_last(side)) else {
                    return Ok(None);
                };
                self.last(node, call).map(Some)
            }
            Tree::In { left, .. } if is_last(left) => self.last(node, left).map(Some),
            _ => Ok(None),
        }
    }

    fn compared(
        &mut self,
        node: &Node,
        operand: usize,
        kind: Kind,
        order: Order,
        (constant, unit): (f64, Unit),
    ) -> Result<usize, Error> {
        let typed = &self.text[node.at.clone()];
        let wrong = |message: String, hint: &str| {
            Err(Error::new(node.at.clone(), message).hint(hint.to_owned()))
        };
        match kind {
            Kind::Duration if unit != Unit::Milliseconds && constant != 0.0 => {
                return wrong(
                    "an age is compared with a duration".to_owned(),
                    "write age(…) > 10m",
                );
            }
            Kind::Count if unit != Unit::None => {
                return wrong(
                    "a number of records has no unit".to_owned(),
                    "a share is written count(…) / count() > 1%",
                );
            }
            Kind::Natural if unit != Unit::None => {
                return wrong(
                    "this number has no unit".to_owned(),
                    "write the number alone",
                );
            }
            Kind::Duration => {
                self.constants[operand].push(constant);
                return Ok(operand);
            }
            Kind::Any => return Ok(operand),
            Kind::Count | Kind::Natural => {}
        }
        let (never, always) = match order {
            Order::Less => (constant <= 0.0, false),
            Order::LessEqual => (constant < 0.0, false),
            Order::Equal => (constant < 0.0, false),
            Order::Greater => (false, constant < 0.0),
            Order::GreaterEqual => (false, constant <= 0.0),
            Order::NotEqual => (false, constant < 0.0),
        };
        let broken = kind == Kind::Count && constant.fract() != 0.0;
        if never || broken && order == Order::Equal {
            return wrong(
                format!("{typed} can never hold"),
                "it is a number from 0 up",
            );
        }
        if always || broken && order == Order::NotEqual {
            return wrong(format!("{typed} always holds"), "it is a number from 0 up");
        }
        let look = match order {
            Order::Less | Order::LessEqual => Look::Whole,
            Order::Equal if constant == 0.0 => Look::Whole,
            _ => Look::Edge,
        };
        Ok(match (&self.list[operand], look) {
            (Operand::Count { condition, .. }, look) => {
                let condition = condition.clone();
                let edge = self.instead(operand, Operand::Count { condition, look });
                if look == Look::Edge {
                    self.constants[edge].push(constant);
                }
                edge
            }
            (Operand::Rate { condition, .. }, Look::Whole) => {
                let condition = condition.clone();
                self.instead(operand, Operand::Rate { condition, look })
            }
            _ => operand,
        })
    }
}

fn is_last(node: &Node) -> bool {
    matches!(&node.tree, Tree::Call { name, .. } if name == "last")
}

impl Known<'_> {
    /// The place of an operand, added if there is none like it.
    fn add(&mut self, operand: Operand) -> usize {
        let known = self.list.iter().position(|known| known.is_like(&operand));
        let place = known.unwrap_or_else(|| {
            self.list.push(operand);
            self.constants.push(Vec::new());
            self.uses.push(0);
            self.list.len() - 1
        });
        self.uses[place] += 1;
        place
    }

    /// The place of the operand that is used instead of the one of place `of`.
    fn instead(&mut self, of: usize, operand: Operand) -> usize {
        self.uses[of] -= 1;
        if self.uses[of] == 0 && of + 1 == self.list.len() {
            self.list.pop();
            self.constants.pop();
            self.uses.pop();
        }
        self.add(operand)
    }

    /// The condition of `count(condition)`, checked and as it prints.
    fn condition(
        &self,
        node: &Node,
        name: &str,
        function: Function,
        arguments: &[Node],
    ) -> Result<Option<String>, Error> {
        let wrong = |message: String| {
            Err(Error::new(node.at.clone(), message).hint(format!("write {}", function.usage)))
        };
        match arguments {
            [] => Ok(None),
            [condition] => {
                Condition::from_node(condition, self.text, &TimeZone::UTC, &mut Wanted::default())?;
                Ok(Some(condition.to_string()))
            }
            _ => wrong(format!(
                "{name} takes one condition at most; join two with and"
            )),
        }
    }

    fn field(
        &self,
        node: &Node,
        name: &str,
        function: Function,
        arguments: &[Node],
    ) -> Result<String, Error> {
        match arguments {
            [
                Node {
                    tree: Tree::Name(field),
                    at,
                    ..
                },
            ] => match field.as_str() {
                "time" | "line" | "raw" | "fingerprint" | "template" => Err(Error::new(
                    at.clone(),
                    format!("the values of {field} are not counted"),
                )
                .hint(format!("the record's own key is .{field}"))),
                _ => Ok(field.clone()),
            },
            _ => Err(Error::new(
                node.at.clone(),
                format!("{name} takes the name of one field"),
            )
            .hint(format!("write {}", function.usage))),
        }
    }

    /// A number over the window that long before.
    fn ago(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[Node],
    ) -> Result<(Operand, Kind), Error> {
        let wrong = |message: &str| {
            Err(Error::new(node.at.clone(), message).hint(format!("write {}", function.usage)))
        };
        let [before, call] = arguments else {
            return wrong("ago takes a duration and a number");
        };
        let before = match constant_number(before).transpose()? {
            Some(quantity) if quantity.unit == Unit::Milliseconds && quantity.value > 0.0 => {
                (quantity.value * 1e6) as i64
            }
            _ => return wrong("the first argument of ago is a duration"),
        };
        let Tree::Call { name, arguments } = &call.tree else {
            return wrong("the second argument of ago is a number over records");
        };
        let inner = find_function(call, name, Place::Rule)?;
        let (place, kind) = self.call(call, inner, arguments)?;
        let of = self.list[place].clone();
        self.uses[place] -= 1;
        if self.uses[place] == 0 && place + 1 == self.list.len() {
            self.list.pop();
            self.constants.pop();
            self.uses.pop();
        }
        let is_kept = match &of {
            Operand::Count { .. } | Operand::Rate { .. } => true,
            Operand::Number { statistic, .. } => !matches!(statistic, Statistic::Quantile(_)),
            _ => false,
        };
        if !is_kept {
            return Err(Error::new(
                call.at.clone(),
                format!("{name} is not kept from window to window"),
            )
            .hint("ago knows count, rate of records, sum, mean, min and max"));
        }
        let of = Box::new(of);
        Ok((Operand::Ago { before, of }, kind))
    }

    /// The place of the state that a function is called with.
    fn state(
        &self,
        node: &Node,
        name: &str,
        function: Function,
        arguments: &[Node],
    ) -> Result<usize, Error> {
        let [
            Node {
                tree: Tree::Name(state),
                at,
                ..
            },
        ] = arguments
        else {
            return Err(Error::new(
                node.at.clone(),
                format!("{name} takes the name of one state"),
            )
            .hint(format!("write {}", function.usage)));
        };
        let known = self.states.iter().position(|known| known == state);
        known.ok_or_else(|| {
            let error = Error::new(at.clone(), format!("unknown state \"{state}\""));
            match nearest(state, self.states.iter().map(String::as_str)) {
                Some(name) => error.hint(format!("did you mean \"{name}\"?")),
                None if self.states.is_empty() => error.hint("there is no [[state]]"),
                None => error.hint(format!("the states are {}", self.states.join(", "))),
            }
        })
    }

    /// A comparison with the last value of a state: what a condition over one record would say if the
    /// value were one of its fields.
    fn last(&mut self, node: &Node, call: &Node) -> Result<usize, Error> {
        let Tree::Call { name, arguments } = &call.tree else {
            unreachable!("a call was found")
        };
        let function = find_function(call, name, Place::Rule)?;
        let state = self.state(call, name, function, arguments)?;
        let as_field = |side: &Node| {
            if is_last(side) {
                Node::new(side.at.clone(), Tree::Name(name.clone()))
            } else {
                side.clone()
            }
        };
        let tree = match &node.tree {
            Tree::Compare {
                comparison,
                left,
                right,
            } => Tree::Compare {
                comparison: *comparison,
                left: Box::new(as_field(left)),
                right: Box::new(as_field(right)),
            },
            Tree::In { left, members } => Tree::In {
                left: Box::new(as_field(left)),
                members: members.clone(),
            },
            _ => unreachable!("a comparison was found"),
        };
        let test = Condition::from_node(
            &Node::new(node.at.clone(), tree),
            self.text,
            &TimeZone::UTC,
            &mut Wanted::default(),
        )?;
        Ok(self.add(Operand::Last {
            state,
            test: LastTest(test),
        }))
    }
}
