//! Syntax tree to test: what each name means, whether both sides of a comparison fit, constants
//! read and patterns compiled once.

use jiff::civil;
use jiff::tz::TimeZone;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use super::ast::{Comparison, Node, Operation, Order, Tree};
use super::condition::{Needs, Operand, Test};
use super::error::{Error, nearest};
use super::functions::{self, FUNCTIONS, Function, Meaning, Place};
use crate::flow::level::Level;
use crate::flow::time::Time;
use crate::flow::wanted::{Path, Wanted};
use crate::units::Quantity;

/// Names that mean a part of the record; the record's own key of that name is `.level`.
pub(super) const RESERVED: [(&str, Operand); 8] = [
    ("level", Operand::Level),
    ("time", Operand::Time),
    ("message", Operand::Message),
    ("source", Operand::Source),
    ("line", Operand::Line),
    ("raw", Operand::Raw),
    ("fingerprint", Operand::Fingerprint),
    ("template", Operand::Template),
];

/// Bytes of a compiled pattern. Enough for hundreds of alternatives; `\w{1000}` is refused.
const REGEX_BYTES_MAX: usize = 4 << 20;
/// Bytes of a pattern's search cache, one a thread; when full it starts anew, which is slower only.
const REGEX_CACHE_BYTES_MAX: usize = 2 << 20;

/// From here on a float may stand for several integers.
const FLOAT_INTEGER_MIN: u128 = 1 << 53;

pub(super) struct Resolver<'a> {
    /// What the tree was parsed from.
    text: &'a str,
    zone: &'a TimeZone,
    wanted: &'a mut Wanted,
    pub needs: Needs,
    /// Every field that is named.
    pub names: Vec<String>,
}

impl<'a> Resolver<'a> {
    pub fn new(text: &'a str, zone: &'a TimeZone, wanted: &'a mut Wanted) -> Resolver<'a> {
        Resolver {
            text,
            zone,
            wanted,
            needs: Needs::default(),
            names: Vec::new(),
        }
    }

    pub fn test(&mut self, node: &Node) -> Result<Test, Error> {
        match &node.tree {
            Tree::And(nodes) => Ok(Test::And(self.tests(nodes)?)),
            Tree::Or(nodes) => Ok(Test::Or(self.tests(nodes)?)),
            Tree::Not(inner) => Ok(Test::Not(Box::new(self.test(inner)?))),
            Tree::Compare {
                comparison,
                left,
                right,
            } => self.compare(node, *comparison, left, right),
            Tree::In { left, members } => {
                let operand = self.operand(left)?;
                let equal = |member| self.order(operand, Order::Equal, left, member);
                Ok(Test::Or(
                    members.iter().map(equal).collect::<Result<_, _>>()?,
                ))
            }
            Tree::Call { name, arguments } => self.call(node, name, arguments),
            Tree::Name(name) => {
                let hint = if self.spelled_with_backticks(node) {
                    format!("write has(`{name}`)")
                } else {
                    format!("write has({name}) or {name} == \"…\"")
                };
                Err(
                    Error::new(node.at.clone(), format!("\"{name}\" alone is no condition"))
                        .hint(hint),
                )
            }
            Tree::Negate(_) | Tree::Arithmetic { .. } => Err(self.arithmetic(node)),
            Tree::Text(_) | Tree::Number(_) | Tree::True | Tree::False | Tree::Null => Err(
                Error::new(node.at.clone(), "a constant alone is no condition")
                    .hint("compare a field with it"),
            ),
        }
    }

    fn tests(&mut self, nodes: &[Node]) -> Result<Vec<Test>, Error> {
        nodes.iter().map(|node| self.test(node)).collect()
    }

    fn call(&mut self, node: &Node, name: &str, arguments: &[Node]) -> Result<Test, Error> {
        let function = find_function(node, name, Place::Record)?;
        match (function.meaning, arguments) {
            (
                Meaning::Has,
                [
                    Node {
                        tree: Tree::Name(_),
                        ..
                    },
                ],
            ) => Ok(Test::Has(self.operand(&arguments[0])?)),
            _ => Err(Error::new(
                node.at.clone(),
                format!("{name} takes the name of one field"),
            )
            .hint(format!("write {}", function.usage))),
        }
    }

    fn compare(
        &mut self,
        node: &Node,
        comparison: Comparison,
        left: &Node,
        right: &Node,
    ) -> Result<Test, Error> {
        // `250 < latency` and `error == level` are written by people too.
        let swap = match comparison {
            Comparison::Order(_) => {
                !is_name(left) && is_name(right) || is_level_word(left) && names_level(right)
            }
            _ => false,
        };
        let (left, right) = if swap { (right, left) } else { (left, right) };
        if is_constant(left) && is_constant(right) {
            return Err(Error::new(node.at.clone(), "this compares two constants")
                .hint("one side has to be a field"));
        }
        let operand = self.operand(left)?;
        match comparison {
            Comparison::Order(order) => self.order(
                operand,
                if swap { order.exchanged() } else { order },
                left,
                right,
            ),
            Comparison::Contains => {
                self.text_operand(operand, left, "contains")?;
                let text = self.string(right, "contains looks for a string")?;
                Ok(Test::Contains {
                    operand,
                    finder: Box::new(Finder::new(text.as_bytes()).into_owned()),
                })
            }
            Comparison::Matches | Comparison::MatchesNot => {
                self.text_operand(operand, left, comparison.sign())?;
                let text = self.string(right, "a pattern is a string")?;
                let regex = Box::new(self.regex(right, text)?);
                Ok(Test::Matches {
                    operand,
                    regex,
                    negated: comparison == Comparison::MatchesNot,
                })
            }
        }
    }

    /// The part of the record that `node` names.
    fn operand(&mut self, node: &Node) -> Result<Operand, Error> {
        let Tree::Name(name) = &node.tree else {
            return Err(match &node.tree {
                Tree::Arithmetic { .. } | Tree::Negate(_) => self.arithmetic(node),
                Tree::Call { name, arguments } => match self.call(node, name, arguments) {
                    Ok(_) => Error::new(
                        node.at.clone(),
                        format!("{name}(…) is true or false already"),
                    )
                    .hint("write it alone, or not before it"),
                    Err(error) => error,
                },
                Tree::And(_)
                | Tree::Or(_)
                | Tree::Not(_)
                | Tree::Compare { .. }
                | Tree::In { .. } => Error::new(node.at.clone(), "a condition cannot be compared")
                    .hint("join conditions with and, or"),
                _ => Error::new(node.at.clone(), "a field should stand here"),
            });
        };
        if let Some(&(_, operand)) = RESERVED.iter().find(|reserved| reserved.0 == name) {
            match operand {
                Operand::Level => self.wanted.level = true,
                Operand::Time => self.wanted.time = true,
                Operand::Message => self.wanted.message = true,
                Operand::Line => self.needs.line = true,
                Operand::Fingerprint => {
                    (self.needs.fingerprint, self.wanted.message) = (true, true)
                }
                Operand::Template => (self.needs.template, self.wanted.message) = (true, true),
                Operand::Source | Operand::Raw | Operand::Field { .. } => {}
            }
            return Ok(operand);
        }
        let path = Path::new(name);
        let slot = self
            .wanted
            .paths
            .iter()
            .position(|wanted| *wanted == path)
            .unwrap_or_else(|| {
                self.wanted.paths.push(path);
                self.wanted.paths.len() - 1
            });
        if !self.names.contains(name) {
            self.names.push(name.clone());
        }
        Ok(Operand::Field {
            slot,
            plain: !super::literals::is_derived_name(name),
        })
    }

    /// `operand` compared with the constant `right`.
    fn order(
        &mut self,
        operand: Operand,
        order: Order,
        left: &Node,
        right: &Node,
    ) -> Result<Test, Error> {
        let at = right.at.clone();
        match operand {
            Operand::Level => return Ok(Test::Level(order, level(right)?)),
            Operand::Time => return Ok(Test::Time(order, self.time(right)?)),
            Operand::Line => {
                let Some(number) = constant_number(right) else {
                    return Err(Error::new(at, "line is a number").hint("write line == 12"));
                };
                return Ok(Test::Line(order, number?.value));
            }
            _ => {}
        }
        if let Some(quantity) = constant_number(right) {
            let quantity = quantity?;
            // Ids of 64 bits are common, and two neighbours must not be equal.
            return Ok(match constant_integer(right) {
                Some(value) if value.unsigned_abs() >= FLOAT_INTEGER_MIN => Test::Integer {
                    operand,
                    order,
                    value,
                    quantity,
                },
                _ => Test::Number {
                    operand,
                    order,
                    quantity,
                },
            });
        }
        match &right.tree {
            Tree::Text(text) => Ok(Test::Text {
                operand,
                order,
                text: text.as_bytes().into(),
            }),
            Tree::True | Tree::False | Tree::Null
                if !matches!(order, Order::Equal | Order::NotEqual) =>
            {
                Err(Error::new(at, "this has no order").hint("compare with == or !="))
            }
            Tree::True | Tree::False => Ok(Test::Bool {
                operand,
                order,
                value: right.tree == Tree::True,
            }),
            Tree::Null => match operand {
                Operand::Field { slot, .. } => Ok(Test::Null { slot, order }),
                _ => Err(Error::new(at, "this is never null").hint("write not has(name)")),
            },
            _ if is_level_word(right) && !names_level(left) => {
                let Tree::Name(word) = &right.tree else {
                    unreachable!("a level word is a name")
                };
                Err(
                    Error::new(at, format!("{word} is a level only beside level"))
                        .hint(format!("put it in quotes: \"{word}\"")),
                )
            }
            _ => Err(self.no_constant(right, "a field is compared with a constant")),
        }
    }

    fn text_operand(&self, operand: Operand, node: &Node, sign: &str) -> Result<(), Error> {
        let (name, remedy) = match operand {
            Operand::Level => ("level", "write level >= warn or level in (warn, error)"),
            Operand::Time => ("time", "write time >= \"2024-03-01 10:00\""),
            Operand::Line => ("line", "write line >= 12"),
            _ => return Ok(()),
        };
        Err(Error::new(
            node.at.clone(),
            format!("{name} is no text, so {sign} cannot be used with it"),
        )
        .hint(remedy))
    }

    fn string<'n>(&self, node: &'n Node, message: &str) -> Result<&'n str, Error> {
        match &node.tree {
            Tree::Text(text) => Ok(text),
            Tree::Number(text) => {
                Err(Error::new(node.at.clone(), message)
                    .hint(format!("put it in quotes: \"{text}\"")))
            }
            _ => Err(self.no_constant(node, message)),
        }
    }

    /// The error for something that should have been a constant; most often a string lacks quotes.
    fn no_constant(&self, node: &Node, message: &str) -> Error {
        let typed = &self.text[node.at.clone()];
        let error = Error::new(node.at.clone(), message);
        match &node.tree {
            Tree::Name(_) if !self.spelled_with_backticks(node) => {
                error.hint(format!("did you mean \"{typed}\" in quotes?"))
            }
            Tree::Arithmetic { .. } if !typed.contains(['"', '\'', ' ']) => {
                error.hint(format!("did you mean \"{typed}\" in quotes?"))
            }
            Tree::Arithmetic { .. } | Tree::Negate(_) => self.arithmetic(node),
            _ => error.hint("write a string in quotes or a number"),
        }
    }

    fn arithmetic(&self, node: &Node) -> Error {
        let typed = &self.text[node.at.clone()];
        let error = Error::new(
            node.at.clone(),
            "a condition over one record does not calculate",
        );
        match &node.tree {
            Tree::Arithmetic {
                operation: Operation::Subtract | Operation::Divide,
                ..
            } if !typed.contains([' ', '`', '"', '\'']) => error.hint(format!(
                "put a name with odd characters in backticks: `{typed}`"
            )),
            _ => error.hint("compare the field with a constant"),
        }
    }

    fn spelled_with_backticks(&self, node: &Node) -> bool {
        self.text[node.at.clone()].contains('`')
    }

    fn regex(&self, node: &Node, pattern: &str) -> Result<Regex, Error> {
        let built = RegexBuilder::new(pattern)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_CACHE_BYTES_MAX)
            .nest_limit(64)
            .build();
        let error = match built {
            Ok(regex) => return Ok(regex),
            Err(regex::Error::CompiledTooBig(bytes)) => {
                return Err(Error::new(
                    node.at.clone(),
                    format!(
                        "the pattern takes more than {} MiB when compiled",
                        bytes >> 20
                    ),
                )
                .hint("use smaller counts in {…}, or (?-u) for ASCII classes"));
            }
            Err(error) => error,
        };
        let whole = Error::new(node.at.clone(), "the pattern is no regular expression");
        // The same parser again, for the place and the kind; the regex crate gives only prose.
        let parsed = regex_syntax::ParserBuilder::new()
            .utf8(false)
            .nest_limit(64)
            .build()
            .parse(pattern);
        let (kind, span) = match parsed {
            Err(regex_syntax::Error::Parse(error)) => (error.kind().to_string(), *error.span()),
            Err(regex_syntax::Error::Translate(error)) => (error.kind().to_string(), *error.span()),
            _ => {
                return Err(whole.hint(
                    error
                        .to_string()
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .trim()
                        .to_owned(),
                ));
            }
        };
        // The place is exact where the string was typed without escapes.
        let inside = node.at.start + 1..node.at.end - 1;
        let at = if self.text.get(inside.clone()) == Some(pattern) {
            inside.start + span.start.offset..inside.start + span.end.offset
        } else {
            node.at.clone()
        };
        let lookaround = kind.contains("look-around");
        let backreference = kind.contains("backreference");
        let error = Error::new(
            at,
            if lookaround || backreference {
                kind
            } else {
                format!("the pattern is no regular expression: {kind}")
            },
        );
        Err(if lookaround {
            error.hint("patterns run in linear time; join two conditions with and, and not instead")
        } else if backreference {
            error.hint("patterns run in linear time, so they cannot refer to what they matched")
        } else {
            error
        })
    }

    fn time(&self, node: &Node) -> Result<Time, Error> {
        const REMEDY: &str =
            "write \"2024-03-01\", \"2024-03-01 10:00\" or \"2024-03-01T10:00:00Z\"";
        let Tree::Text(text) = &node.tree else {
            return Err(
                Error::new(node.at.clone(), "time is compared with a time in quotes").hint(REMEDY),
            );
        };
        read_time(text, self.zone)
            .ok_or_else(|| Error::new(node.at.clone(), format!("{text:?} is no time")).hint(REMEDY))
    }
}

/// The function `name`, if it can be called in this `place`.
pub(super) fn find_function(node: &Node, name: &str, place: Place) -> Result<Function, Error> {
    let at = node.at.start..node.at.start + name.len();
    let Some(function) = functions::find(name) else {
        let error = Error::new(at, format!("unknown function \"{name}\""));
        let here = || {
            FUNCTIONS
                .iter()
                .filter(|function| function.stands_in(place))
        };
        let known = match name.to_ascii_lowercase().as_str() {
            "avg" | "average" => Some("mean"),
            "median" => Some("p50"),
            "p0" => Some("min"),
            "p100" => Some("max"),
            "exists" | "defined" | "present" => Some("has"),
            _ => nearest(name, here().map(|function| function.name)),
        };
        return Err(match known {
            Some(known) => error.hint(format!("did you mean \"{known}\"?")),
            None => error.hint(format!(
                "known here: {}",
                here()
                    .map(|function| function.name)
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        });
    };
    if function.stands_in(place) {
        return Ok(function);
    }
    let error = |message: String| Error::new(at, message);
    Err(match (place, function.place) {
        (Place::Record, Place::Rule) => error(format!(
            "{name} is about windows and states and cannot stand in a condition over one record"
        ))
        .hint("use it in when of a rule"),
        (Place::Record, _) => error(format!(
            "{name} is about many records and cannot stand in a condition over one"
        ))
        .hint("use it in --fail-on"),
        (Place::Report, Place::Rule) => error(format!(
            "{name} is about windows and states, which a report has not"
        ))
        .hint("use it in when of a rule"),
        (Place::Report | Place::Rule, _) => error(format!(
            "{name} is about one record and can only stand inside count(…)"
        ))
        .hint(format!("write count({}) > 0", function.usage)),
    })
}

fn is_name(node: &Node) -> bool {
    matches!(node.tree, Tree::Name(_))
}

fn names_level(node: &Node) -> bool {
    matches!(&node.tree, Tree::Name(name) if name == "level")
}

fn is_level_word(node: &Node) -> bool {
    matches!(&node.tree, Tree::Name(word) if level_of_word(word).is_some())
}

fn is_constant(node: &Node) -> bool {
    match &node.tree {
        Tree::Text(_) | Tree::Number(_) | Tree::True | Tree::False | Tree::Null => true,
        Tree::Negate(inner) => is_constant(inner),
        _ => false,
    }
}

/// The number that `node` is, if it is one; an error if its unit is unknown.
pub(super) fn constant_number(node: &Node) -> Option<Result<Quantity, Error>> {
    match &node.tree {
        Tree::Number(text) => Some(Quantity::parse(text.as_bytes()).filter(|quantity| quantity.value.is_finite()).ok_or_else(|| {
            let digits = text.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
            let message = if digits.is_empty() { format!("{text} is no number") } else { format!("{text} is no number with a unit") };
            Error::new(node.at.clone(), message).hint("units are ns, us, ms, s, m, h, d, B, KB, KiB, MB, MiB, GB, GiB, %; other text stands in quotes")
        })),
        Tree::Negate(inner) => {
            let negate = |quantity: Quantity| Quantity { value: -quantity.value, ..quantity };
            constant_number(inner).map(|quantity| quantity.map(negate))
        }
        _ => None,
    }
}

/// The integer that `node` is, if it has neither point nor unit.
fn constant_integer(node: &Node) -> Option<i128> {
    match &node.tree {
        Tree::Number(text) => text.parse().ok(),
        Tree::Negate(inner) => constant_integer(inner)?.checked_neg(),
        _ => None,
    }
}

/// The level that a word of a condition means: the six names and the words that logs use for them.
fn level_of_word(word: &str) -> Option<Level> {
    const ALIASES: [(&str, Level); 10] = [
        ("notice", Level::Info),
        ("warning", Level::Warn),
        ("err", Level::Error),
        ("severe", Level::Error),
        ("crit", Level::Fatal),
        ("critical", Level::Fatal),
        ("alert", Level::Fatal),
        ("emerg", Level::Fatal),
        ("emergency", Level::Fatal),
        ("panic", Level::Fatal),
    ];
    let mut names = Level::ALL
        .iter()
        .map(|&level| (level.name(), level))
        .chain(ALIASES);
    names
        .find(|(name, _)| name.eq_ignore_ascii_case(word))
        .map(|(_, level)| level)
}

fn level(node: &Node) -> Result<Level, Error> {
    let (Tree::Name(word) | Tree::Text(word)) = &node.tree else {
        return Err(Error::new(node.at.clone(), "level is compared with a level")
            .hint("the levels are trace, debug, info, warn, error, fatal; the record's own key is .level"));
    };
    level_of_word(word).ok_or_else(|| {
        let error = Error::new(node.at.clone(), format!("unknown level \"{word}\""));
        match nearest(word, Level::ALL.iter().map(|level| level.name())) {
            _ if word.eq_ignore_ascii_case("none") => error.hint("write not has(level)"),
            Some(name) => error.hint(format!("did you mean \"{name}\"?")),
            None => error.hint("the levels are trace, debug, info, warn, error, fatal; the record's own key is .level"),
        }
    })
}

/// An RFC 3339 time, a date, or a date and a time of day; without an offset in `zone`.
fn read_time(text: &str, zone: &TimeZone) -> Option<Time> {
    let text = text.trim();
    let timestamp = if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        timestamp
    } else {
        let moment: civil::DateTime = text.parse().ok()?;
        zone.to_ambiguous_timestamp(moment).earlier().ok()?
    };
    i64::try_from(timestamp.as_nanosecond()).ok().map(Time)
}

/// The name of the source that a function is called with.
pub fn source_name(
    node: &Node,
    name: &str,
    function: Function,
    arguments: &[Node],
) -> Result<String, Error> {
    match arguments {
        [
            Node {
                tree: Tree::Name(source) | Tree::Text(source),
                ..
            },
        ] => Ok(source.clone()),
        _ => Err(Error::new(
            node.at.clone(),
            format!("{name} takes the name of one source"),
        )
        .hint(format!("write {}", function.usage))),
    }
}
