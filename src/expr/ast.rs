//! The syntax tree of an expression. It knows where each part stood and how to print itself so that
//! it parses to the same tree; it does not know what a name or a function means.

use std::fmt;
use std::ops::Range;

/// A part of an expression. Two are equal when they say the same, wherever they stood.
#[derive(Clone, Debug)]
pub struct Node {
    /// The bytes of the text.
    pub at: Range<usize>,
    pub tree: Tree,
    /// Levels below and including this one; the parser keeps it under its limit.
    pub(super) depth: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// A field or a reserved name as typed, without backticks.
    Name(String),
    Text(String),
    /// A number with its unit, as typed (`250ms`).
    Number(String),
    True,
    False,
    Null,
    Call {
        name: String,
        arguments: Vec<Node>,
    },
    /// Two or more.
    And(Vec<Node>),
    /// Two or more.
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare {
        comparison: Comparison,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// The field and what it may be; at least one.
    In {
        left: Box<Node>,
        members: Vec<Node>,
    },
    Negate(Box<Node>),
    Arithmetic {
        operation: Operation,
        left: Box<Node>,
        right: Box<Node>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Order(Order),
    Contains,
    Matches,
    MatchesNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Order {
    /// Whether two things that compare so are in this order; things that do not compare never are.
    #[inline]
    pub fn holds(self, ordering: Option<std::cmp::Ordering>) -> bool {
        let Some(ordering) = ordering else {
            return false;
        };
        match self {
            Order::Equal => ordering.is_eq(),
            Order::NotEqual => ordering.is_ne(),
            Order::Less => ordering.is_lt(),
            Order::LessEqual => ordering.is_le(),
            Order::Greater => ordering.is_gt(),
            Order::GreaterEqual => ordering.is_ge(),
        }
    }

    /// The order that holds when this one does not, of things that compare.
    pub fn negated(self) -> Order {
        match self {
            Order::Equal => Order::NotEqual,
            Order::NotEqual => Order::Equal,
            Order::Less => Order::GreaterEqual,
            Order::LessEqual => Order::Greater,
            Order::Greater => Order::LessEqual,
            Order::GreaterEqual => Order::Less,
        }
    }

    /// The order that says the same with the sides exchanged.
    pub fn exchanged(self) -> Order {
        match self {
            Order::Equal | Order::NotEqual => self,
            Order::Less => Order::Greater,
            Order::LessEqual => Order::GreaterEqual,
            Order::Greater => Order::Less,
            Order::GreaterEqual => Order::LessEqual,
        }
    }
}

impl Comparison {
    pub fn sign(self) -> &'static str {
        match self {
            Comparison::Order(Order::Equal) => "==",
            Comparison::Order(Order::NotEqual) => "!=",
            Comparison::Order(Order::Less) => "<",
            Comparison::Order(Order::LessEqual) => "<=",
            Comparison::Order(Order::Greater) => ">",
            Comparison::Order(Order::GreaterEqual) => ">=",
            Comparison::Contains => "contains",
            Comparison::Matches => "=~",
            Comparison::MatchesNot => "!~",
        }
    }
}

impl Operation {
    pub fn sign(self) -> &'static str {
        match self {
            Operation::Add => "+",
            Operation::Subtract => "-",
            Operation::Multiply => "*",
            Operation::Divide => "/",
        }
    }
}

impl Node {
    /// A node over `tree`, which it measures.
    pub fn new(at: Range<usize>, tree: Tree) -> Node {
        let deepest = |nodes: &[Node]| nodes.iter().map(|node| node.depth).max().unwrap_or(0);
        let depth = 1 + match &tree {
            Tree::Name(_)
            | Tree::Text(_)
            | Tree::Number(_)
            | Tree::True
            | Tree::False
            | Tree::Null => 0,
            Tree::Call { arguments, .. } => deepest(arguments),
            Tree::And(nodes) | Tree::Or(nodes) => deepest(nodes),
            Tree::Not(node) | Tree::Negate(node) => node.depth,
            Tree::Compare { left, right, .. } | Tree::Arithmetic { left, right, .. } => {
                left.depth.max(right.depth)
            }
            Tree::In { left, members } => left.depth.max(deepest(members)),
        };
        Node { at, tree, depth }
    }

    /// Whether this is a value on its own, which needs no parentheses anywhere.
    fn is_primary(&self) -> bool {
        !matches!(
            self.tree,
            Tree::And(_)
                | Tree::Or(_)
                | Tree::Not(_)
                | Tree::Compare { .. }
                | Tree::In { .. }
                | Tree::Negate(_)
                | Tree::Arithmetic { .. }
        )
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.tree == other.tree
    }
}

/// Prints a child; whatever is not a plain value goes in parentheses, so no table of precedences
/// has to agree with the parser's.
struct Child<'a>(&'a Node);

impl fmt::Display for Child<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_primary() {
            write!(f, "{}", self.0)
        } else {
            write!(f, "({})", self.0)
        }
    }
}

fn separated(f: &mut fmt::Formatter<'_>, nodes: &[Node], separator: &str) -> fmt::Result {
    for (index, node) in nodes.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{}", Child(node))?;
    }
    Ok(())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tree {
            Tree::Name(name) if super::lexer::is_plain_name(name) => f.write_str(name),
            Tree::Name(name) => write!(f, "`{name}`"),
            Tree::Text(text) => {
                f.write_str("\"")?;
                for character in text.chars() {
                    match character {
                        '"' => f.write_str("\\\"")?,
                        '\\' => f.write_str("\\\\")?,
                        '\n' => f.write_str("\\n")?,
                        '\t' => f.write_str("\\t")?,
                        '\r' => f.write_str("\\r")?,
                        other if other.is_control() => write!(f, "\\u{{{:x}}}", other as u32)?,
                        other => write!(f, "{other}")?,
                    }
                }
                f.write_str("\"")
            }
            Tree::Number(text) => f.write_str(text),
            Tree::True => f.write_str("true"),
            Tree::False => f.write_str("false"),
            Tree::Null => f.write_str("null"),
            Tree::Call { name, arguments } => {
                write!(f, "{name}(")?;
                separated(f, arguments, ", ")?;
                f.write_str(")")
            }
            Tree::And(nodes) => separated(f, nodes, " and "),
            Tree::Or(nodes) => separated(f, nodes, " or "),
            Tree::Not(node) => write!(f, "not {}", Child(node)),
            Tree::Compare {
                comparison,
                left,
                right,
            } => write!(f, "{} {} {}", Child(left), comparison.sign(), Child(right)),
            Tree::In { left, members } => {
                write!(f, "{} in (", Child(left))?;
                separated(f, members, ", ")?;
                f.write_str(")")
            }
            Tree::Negate(node) => write!(f, "-{}", Child(node)),
            Tree::Arithmetic {
                operation,
                left,
                right,
            } => write!(f, "{} {} {}", Child(left), operation.sign(), Child(right)),
        }
    }
}
