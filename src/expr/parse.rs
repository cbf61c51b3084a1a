//! Text to syntax tree. Written by hand rather than with a combinator crate because most of it is
//! what to say when a person writes SQL, shell or half a thought.

use std::ops::Range;

use super::ast::{Comparison, Node, Operation, Order, Tree};
use super::error::Error;
use super::lexer::{Token, tokens, unescape};

/// Bytes of an expression. A longer one is a mistake, and every later step may be quadratic in
/// small things.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// Levels of nesting. Everything that walks a tree recurses, so this bounds the stack.
pub const DEPTH_MAX: usize = 64;

/// The syntax tree of `text`.
pub fn parse(text: &str) -> Result<Node, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::new(
            TEXT_BYTES_MAX..text.len(),
            format!("an expression has at most {TEXT_BYTES_MAX} bytes"),
        ));
    }
    if text.trim().is_empty() {
        return Err(Error::new(0..text.len(), "the expression is empty")
            .hint("write a condition such as level >= error"));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
    };
    let node = parser.or()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected_after(&node)),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token<'a>, Range<usize>)>,
    next: usize,
    /// Calls of `or`, `not` and `sign` that are open.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens[self.next].0
    }

    fn peek_second(&self) -> Token<'a> {
        self.tokens
            .get(self.next + 1)
            .map_or(Token::End, |token| token.0)
    }

    fn at(&self) -> Range<usize> {
        self.tokens[self.next].1.clone()
    }

    /// Steps over the next token and returns where it stood; never over the end.
    fn step(&mut self) -> Range<usize> {
        let at = self.at();
        if self.peek() != Token::End {
            self.next += 1;
        }
        at
    }

    fn eat(&mut self, wanted: &[Token]) -> bool {
        let found = wanted.contains(&self.peek());
        if found {
            self.step();
        }
        found
    }

    /// Runs `inner` one level deeper.
    fn deeper(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Node, Error>,
    ) -> Result<Node, Error> {
        if self.depth == DEPTH_MAX {
            return Err(too_deep(self.at()));
        }
        self.depth += 1;
        let node = inner(self);
        self.depth -= 1;
        node
    }

    fn node(&self, at: Range<usize>, tree: Tree) -> Result<Node, Error> {
        let node = Node::new(at, tree);
        if node.depth > DEPTH_MAX {
            Err(too_deep(node.at))
        } else {
            Ok(node)
        }
    }

    fn or(&mut self) -> Result<Node, Error> {
        self.deeper(|parser| {
            parser.joined(
                &[Token::Word("or"), Token::Sign("||")],
                Parser::and,
                Tree::Or,
            )
        })
    }

    fn and(&mut self) -> Result<Node, Error> {
        self.joined(
            &[Token::Word("and"), Token::Sign("&&")],
            Parser::not,
            Tree::And,
        )
    }

    fn joined(
        &mut self,
        words: &[Token],
        part: impl Fn(&mut Self) -> Result<Node, Error>,
        tree: impl Fn(Vec<Node>) -> Tree,
    ) -> Result<Node, Error> {
        let first = part(self)?;
        if !words.contains(&self.peek()) {
            return Ok(first);
        }
        let start = first.at.start;
        let mut parts = vec![first];
        while self.eat(words) {
            parts.push(part(self)?);
        }
        let end = parts.last().map_or(start, |part| part.at.end);
        self.node(start..end, tree(parts))
    }

    fn not(&mut self) -> Result<Node, Error> {
        let start = self.at().start;
        if !self.eat(&[Token::Word("not"), Token::Sign("!")]) {
            return self.comparison();
        }
        let inner = self.deeper(Parser::not)?;
        self.node(start..inner.at.end, Tree::Not(Box::new(inner)))
    }

    fn comparison(&mut self) -> Result<Node, Error> {
        let left = self.sum()?;
        let start = left.at.start;
        let infix_not = self.peek() == Token::Word("not")
            && matches!(self.peek_second(), Token::Word("in" | "contains"));
        let not_at = self.at();
        if infix_not {
            self.step();
        }
        let node = if self.eat(&[Token::Word("in")]) {
            let members = self.members()?;
            let end = self.tokens[self.next - 1].1.end;
            self.node(
                start..end,
                Tree::In {
                    left: Box::new(left),
                    members,
                },
            )?
        } else if let Some(comparison) = self.comparison_sign() {
            self.step();
            let right = if matches!(comparison, Comparison::Matches | Comparison::MatchesNot) {
                self.pattern()?
            } else {
                self.sum()?
            };
            let at = start..right.at.end;
            self.node(
                at,
                Tree::Compare {
                    comparison,
                    left: Box::new(left),
                    right: Box::new(right),
                },
            )?
        } else {
            return Ok(left);
        };
        if self.comparison_sign().is_some() || self.peek() == Token::Word("in") {
            return Err(Error::new(self.at(), "comparisons do not chain")
                .hint("join two with and: 1 < a and a < 5"));
        }
        if infix_not {
            self.node(
                not_at.start.min(start)..node.at.end,
                Tree::Not(Box::new(node)),
            )
        } else {
            Ok(node)
        }
    }

    fn comparison_sign(&self) -> Option<Comparison> {
        Some(match self.peek() {
            Token::Sign("==") => Comparison::Order(Order::Equal),
            Token::Sign("!=") => Comparison::Order(Order::NotEqual),
            Token::Sign("<") => Comparison::Order(Order::Less),
            Token::Sign("<=") => Comparison::Order(Order::LessEqual),
            Token::Sign(">") => Comparison::Order(Order::Greater),
            Token::Sign(">=") => Comparison::Order(Order::GreaterEqual),
            Token::Sign("=~") => Comparison::Matches,
            Token::Sign("!~") => Comparison::MatchesNot,
            Token::Word("contains") => Comparison::Contains,
            _ => return None,
        })
    }

    /// The list after `in`.
    fn members(&mut self) -> Result<Vec<Node>, Error> {
        let opened = self.at();
        let close = match self.peek() {
            Token::Sign("(") => ")",
            Token::Sign("[") => "]",
            _ => {
                return Err(Error::new(opened, "a list is missing after in")
                    .hint("write x in (\"a\", \"b\")"));
            }
        };
        self.step();
        let mut members = Vec::new();
        loop {
            members.push(self.sum()?);
            if self.eat(&[Token::Sign(close)]) {
                return Ok(members);
            }
            if !self.eat(&[Token::Sign(",")]) {
                return Err(self.unclosed(opened, close, "this list"));
            }
            if self.eat(&[Token::Sign(close)]) {
                return Ok(members);
            }
        }
    }

    /// The error for a missing `close`: at the opening sign if the text just ends.
    fn unclosed(&self, opened: Range<usize>, close: &str, what: &str) -> Error {
        match self.peek() {
            Token::End => {
                Error::new(opened, format!("{what} has no end")).hint(format!("add {close}"))
            }
            _ => self.unexpected(),
        }
    }

    fn sum(&mut self) -> Result<Node, Error> {
        self.chain(
            &[("+", Operation::Add), ("-", Operation::Subtract)],
            |parser| {
                parser.chain(
                    &[("*", Operation::Multiply), ("/", Operation::Divide)],
                    Parser::sign,
                )
            },
        )
    }

    fn chain(
        &mut self,
        signs: &[(&'static str, Operation)],
        part: impl Fn(&mut Self) -> Result<Node, Error>,
    ) -> Result<Node, Error> {
        let mut left = part(self)?;
        while let Some(&(_, operation)) = signs
            .iter()
            .find(|(sign, _)| self.peek() == Token::Sign(sign))
        {
            self.step();
            let right = part(self)?;
            let at = left.at.start..right.at.end;
            left = self.node(
                at,
                Tree::Arithmetic {
                    operation,
                    left: Box::new(left),
                    right: Box::new(right),
                },
            )?;
        }
        Ok(left)
    }

    fn sign(&mut self) -> Result<Node, Error> {
        let start = self.at().start;
        if !self.eat(&[Token::Sign("-")]) {
            return self.primary();
        }
        let inner = self.deeper(Parser::sign)?;
        self.node(start..inner.at.end, Tree::Negate(Box::new(inner)))
    }

    fn primary(&mut self) -> Result<Node, Error> {
        let at = self.at();
        let tree = match self.peek() {
            Token::Word("true") => Tree::True,
            Token::Word("false") => Tree::False,
            Token::Word("null") => Tree::Null,
            Token::Word("and" | "or" | "not" | "in" | "contains") => return Err(self.unexpected()),
            Token::Word(word)
                if self.peek_second() == Token::Sign("(") && !is_foreign_word(word) =>
            {
                return self.call(word);
            }
            Token::Word(word) => Tree::Name(word.to_owned()),
            Token::Quoted(name) => Tree::Name(name.to_owned()),
            Token::Number(text) => Tree::Number(text.to_owned()),
            Token::Text(raw) => Tree::Text(unescape(raw, false).map_err(|wrong| {
                let wrong = at.start + 1 + wrong.start..at.start + 1 + wrong.end;
                Error::new(
                    wrong.clone(),
                    format!("unknown escape {:?}", &self.text[wrong]),
                )
                .hint("write a backslash as \\\\, any character as \\u{1b}")
            })?),
            Token::Sign("(") => {
                self.step();
                let mut inner = self.or()?;
                if !self.eat(&[Token::Sign(")")]) {
                    return Err(if self.peek() == Token::End {
                        self.unclosed(at, ")", "this parenthesis")
                    } else {
                        self.unexpected_after(&inner)
                    });
                }
                inner.at = at.start..self.tokens[self.next - 1].1.end;
                return Ok(inner);
            }
            _ => return Err(self.unexpected()),
        };
        self.step();
        self.node(at, tree)
    }

    /// A regular expression, whose backslashes are its own.
    fn pattern(&mut self) -> Result<Node, Error> {
        let at = self.at();
        let Token::Text(raw) = self.peek() else {
            return match self.peek() {
                Token::End => Err(self.unexpected()),
                Token::Sign("/") => {
                    Err(Error::new(at, "a pattern stands in quotes").hint("write =~ \"…\""))
                }
                _ => Err(Error::new(at, "a pattern is a string").hint("put it in quotes")),
            };
        };
        self.step();
        let text = unescape(raw, true).map_err(|wrong| {
            Error::new(
                at.start + 1 + wrong.start..at.end,
                "a backslash with nothing after it",
            )
        })?;
        self.node(at, Tree::Text(text))
    }

    fn call(&mut self, name: &str) -> Result<Node, Error> {
        let start = self.step().start;
        let opened = self.step();
        let mut arguments = Vec::new();
        if !self.eat(&[Token::Sign(")")]) {
            loop {
                arguments.push(self.or()?);
                if self.eat(&[Token::Sign(")")]) {
                    break;
                }
                if !self.eat(&[Token::Sign(",")]) {
                    return Err(match (self.peek(), arguments.last()) {
                        (Token::End, _) | (_, None) => {
                            self.unclosed(opened, ")", "this parenthesis")
                        }
                        (_, Some(last)) => self.unexpected_after(last),
                    });
                }
            }
        }
        let end = self.tokens[self.next - 1].1.end;
        self.node(
            start..end,
            Tree::Call {
                name: name.to_owned(),
                arguments,
            },
        )
    }

    /// The error where a value should stand.
    fn unexpected(&self) -> Error {
        let at = self.at();
        match self.peek() {
            Token::End => Error::new(at, "the expression ends where a value should stand"),
            Token::Sign(")" | "]") => {
                Error::new(at, "a value is missing here").hint("or this closes nothing")
            }
            Token::Sign(sign) => {
                Error::new(at, format!("unexpected \"{sign}\"")).hint(match sign {
                    "=" => "write == to compare",
                    "[" => "lists stand after in only",
                    _ => "a value should stand here",
                })
            }
            Token::Word(word) => Error::new(at, format!("unexpected \"{word}\""))
                .hint("a field of this name stands in backticks"),
            _ => Error::new(at.clone(), format!("unexpected {}", &self.text[at])),
        }
    }

    /// The error where an expression should have ended or gone on with an operator after `before`.
    fn unexpected_after(&self, before: &Node) -> Error {
        let at = self.at();
        let Token::Word(word) = self.peek() else {
            return match self.peek() {
                Token::Sign(")" | "]") => {
                    Error::new(at, "this closes nothing").hint("remove it, or open it before")
                }
                Token::Sign("=") => Error::new(at, "unexpected \"=\"")
                    .hint("write == to compare, =~ to match a pattern"),
                Token::Sign("<>") => {
                    Error::new(at, "unexpected \"<>\"").hint("write != for not equal")
                }
                Token::Sign("~") => {
                    Error::new(at, "unexpected \"~\"").hint("write =~ to match a pattern")
                }
                Token::Sign("!") => Error::new(at, "unexpected \"!\"")
                    .hint("write != for not equal, !~ for no match"),
                Token::Sign(",") => {
                    Error::new(at, "unexpected \",\"").hint("join conditions with and, or")
                }
                _ => Error::new(
                    at.clone(),
                    format!("unexpected {} after a complete expression", &self.text[at]),
                )
                .hint("join conditions with and, or"),
            };
        };
        // `NOT a == 1`: the word before was taken for a field.
        if let Tree::Name(name) = &before.tree
            && is_foreign_word(name)
        {
            let error = Error::new(before.at.clone(), format!("unexpected \"{name}\""));
            return error.hint(format!("write {} in lower case", name.to_ascii_lowercase()));
        }
        let error = Error::new(at, format!("unexpected \"{word}\""));
        match word.to_ascii_lowercase().as_str() {
            lower @ ("and" | "or" | "not" | "in" | "contains") if word != lower => {
                error.hint(format!("write {lower} in lower case"))
            }
            "like" | "ilike" => error.hint("write contains \"text\" or =~ \"pattern\""),
            "matches" | "regex" | "regexp" => error.hint("write =~ \"pattern\""),
            "is" => error.hint("write not has(field) for a missing one, == null for a null"),
            "between" => error.hint("write a >= 1 and a <= 5"),
            "eq" | "equals" => error.hint("write =="),
            "ne" => error.hint("write !="),
            "gt" => error.hint("write >"),
            "lt" => error.hint("write <"),
            "ge" | "gte" => error.hint("write >="),
            "le" | "lte" => error.hint("write <="),
            "startswith" | "starts_with" => error.hint("write =~ \"^text\""),
            "endswith" | "ends_with" => error.hint("write =~ \"text$\""),
            _ if matches!(before.tree, Tree::Compare { .. }) => {
                error.hint("join conditions with and, or; put a string in quotes")
            }
            _ => error.hint("an operator is missing before it"),
        }
    }
}

/// Words of other languages that stand between two values; before a parenthesis they are no call.
fn is_foreign_word(word: &str) -> bool {
    ["and", "or", "not", "in", "contains"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword))
}

fn too_deep(at: Range<usize>) -> Error {
    Error::new(
        at,
        format!("the expression nests deeper than {DEPTH_MAX} levels"),
    )
    .hint("use fewer parentheses")
}
