//! Laws, on random expressions: printing and parsing are inverse, any text is answered, a second
//! evaluator written from the description alone agrees, and the prefilter never loses a record.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::aggregate::Check;
use super::super::ast::{Comparison, Node, Operation, Order, Tree};
use super::super::condition::{Condition, View};
use super::super::parse::parse;
use super::Record;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;

fn node(tree: Tree) -> Node {
    Node::new(0..0, tree)
}

fn any_order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![
        Order::Equal,
        Order::NotEqual,
        Order::Less,
        Order::LessEqual,
        Order::Greater,
        Order::GreaterEqual,
    ])
}

/// Any tree that the grammar can say, sense or not.
fn any_tree() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        "[a-z@_$][a-z0-9_]{0,6}(\\.[a-z0-9]{1,3}|\\[[0-9]\\])?".prop_map(Tree::Name),
        "[^`\\p{Cc}]{1,8}".prop_map(Tree::Name),
        any::<String>().prop_map(Tree::Text),
        "[0-9]{1,3}(\\.[0-9]{1,2})?(e[+-]?[0-9])?(ms|GiB|%)?".prop_map(Tree::Number),
        Just(Tree::True),
        Just(Tree::False),
        Just(Tree::Null),
    ]
    .prop_map(node);
    leaf.prop_recursive(5, 40, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new).boxed();
        let operation = prop::sample::select(vec![
            Operation::Add,
            Operation::Subtract,
            Operation::Multiply,
            Operation::Divide,
        ]);
        let pattern = any::<String>().prop_map(|text| Box::new(node(Tree::Text(text))));
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::Or),
            boxed.clone().prop_map(Tree::Not),
            boxed.clone().prop_map(Tree::Negate),
            (any_order(), boxed.clone(), boxed.clone()).prop_map(|(order, left, right)| {
                Tree::Compare {
                    comparison: Comparison::Order(order),
                    left,
                    right,
                }
            }),
            (boxed.clone(), boxed.clone()).prop_map(|(left, right)| Tree::Compare {
                comparison: Comparison::Contains,
                left,
                right
            }),
            (boxed.clone(), pattern, any::<bool>()).prop_map(|(left, right, not)| Tree::Compare {
                comparison: if not {
                    Comparison::MatchesNot
                } else {
                    Comparison::Matches
                },
                left,
                right
            }),
            (boxed.clone(), prop::collection::vec(inner.clone(), 1..4))
                .prop_map(|(left, members)| Tree::In { left, members }),
            (operation, boxed.clone(), boxed).prop_map(|(operation, left, right)| {
                Tree::Arithmetic {
                    operation,
                    left,
                    right,
                }
            }),
            ("[a-z][a-z0-9]{2,6}", prop::collection::vec(inner, 0..3))
                .prop_filter("keywords are no functions", |(name, _)| ![
                    "and", "not", "contains"
                ]
                .contains(&&**name))
                .prop_map(|(name, arguments)| Tree::Call { name, arguments }),
        ]
        .prop_map(node)
    })
}

/// Texts made of the language's own words, which get further into the parser than random ones.
fn wordy_text() -> impl Strategy<Value = String> {
    let words = vec![
        "level",
        "time",
        "message",
        "a",
        "`b c`",
        ".level",
        "a[0]",
        "and",
        "or",
        "not",
        "in",
        "contains",
        "==",
        "!=",
        "<",
        "<=",
        "=~",
        "!~",
        "=",
        "!",
        "(",
        ")",
        "[",
        "]",
        ",",
        "-",
        "+",
        "*",
        "/",
        "5",
        "250ms",
        "90%",
        "1e5",
        "'x'",
        "\"\\d+\"",
        "'(?i)a|b'",
        "'['",
        "error",
        "true",
        "null",
        "has(",
        "count(",
        "p99(",
        "'2024-03-01'",
        "AND",
        "LIKE",
        "ü",
        "'",
        "`",
    ];
    prop::collection::vec(prop::sample::select(words), 0..14).prop_map(|words| words.join(" "))
}

fn answer(text: &str) {
    let zone = TimeZone::UTC;
    for error in [
        Condition::parse(text, &zone, &mut Wanted::default()).err(),
        Check::parse(text, &zone, &mut Wanted::default()).err(),
    ]
    .into_iter()
    .flatten()
    {
        assert!(
            error.at.start <= error.at.end && error.at.end <= text.len(),
            "{text:?}: {error:?}"
        );
        assert!(text.get(error.at.clone()).is_some(), "{text:?}: {error:?}");
        error.render("-w", text);
    }
}

/// A value of a random record, and what the reference needs to know of it.
#[derive(Clone, Debug)]
struct Given {
    name: String,
    kind: Kind,
    text: String,
}

const NAMES: [&str; 4] = ["aa", "b", "c.d", "e"];

fn some_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab ]{0,4}",
        "(foo|bar|=|<\\*>|é|baz| |\"|\t|aa|a=<\\*> b){1,3}",
        Just("5".to_owned()),
        Just("12ms".to_owned()),
        Just("2KiB".to_owned())
    ]
}

fn some_number() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["5", "5.0", "0.5", "12", "12000", "2048", "1e3"])
        .prop_map(str::to_owned)
}

fn some_field(name: &'static str) -> impl Strategy<Value = Option<Given>> {
    let value = prop_oneof![
        3 => some_text().prop_map(|text| (Kind::String, text)),
        3 => some_number().prop_map(|text| (Kind::Number, text)),
        1 => any::<bool>().prop_map(|value| (Kind::Bool, value.to_string())),
        1 => Just((Kind::Null, "null".to_owned())),
        1 => Just((Kind::Composite, "[5,\"foo\"]".to_owned())),
    ];
    prop::option::weighted(
        0.7,
        value.prop_map(move |(kind, text)| Given {
            name: name.to_owned(),
            kind,
            text,
        }),
    )
}

#[derive(Clone, Debug)]
struct GivenRecord {
    message: String,
    level: Option<Level>,
    time: Option<i64>,
    fields: Vec<Given>,
}

fn some_record() -> impl Strategy<Value = GivenRecord> {
    (
        some_text(),
        prop::option::of(prop::sample::select(Level::ALL.to_vec())),
        prop::option::of(0i64..4),
        (
            some_field(NAMES[0]),
            some_field(NAMES[1]),
            some_field(NAMES[2]),
            some_field(NAMES[3]),
        ),
    )
        .prop_map(|(message, level, days, (a, b, c, d))| GivenRecord {
            message,
            level,
            time: days.map(|days| days * 86_400 * Time::SECOND),
            fields: [a, b, c, d].into_iter().flatten().collect(),
        })
}

impl GivenRecord {
    fn record(&self) -> Record {
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|field| (field.name.clone(), field.kind, field.text.clone()))
            .collect();
        Record::new(&self.message, self.level, self.time.map(Time), &fields)
    }
}

/// A record as a format spells it: the values are decoded, the raw bytes are not.
struct Encoded {
    raw: Vec<u8>,
    message: String,
    fields: Vec<Given>,
}

impl Encoded {
    /// As it stands.
    fn plain(given: &GivenRecord) -> Encoded {
        Encoded {
            raw: given.record().raw,
            message: given.message.clone(),
            fields: given.fields.clone(),
        }
    }

    /// JSON, as serde_json escapes it; without a text its message is its list of keys.
    fn json(given: &GivenRecord) -> Encoded {
        let mut object = serde_json::Map::new();
        let texts = given
            .fields
            .iter()
            .filter(|field| field.kind == Kind::String);
        for field in texts.clone() {
            object.insert(field.name.clone(), field.text.clone().into());
        }
        let keys: Vec<String> = object.keys().map(|key| format!("{key}=<*>")).collect();
        let message = if given.level.is_some() {
            given.message.clone()
        } else {
            keys.join(" ")
        };
        if given.level.is_some() {
            object.insert("message".to_owned(), message.clone().into());
        }
        let raw = serde_json::to_vec(&object).expect("a map of strings is JSON");
        Encoded {
            raw,
            message,
            fields: texts.cloned().collect(),
        }
    }

    /// A line of CSV, quotes doubled.
    fn csv(given: &GivenRecord) -> Encoded {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let texts = || {
            given
                .fields
                .iter()
                .map(|field| &*field.text)
                .chain([&*given.message])
        };
        writer.write_record(texts()).expect("memory does not fail");
        let raw = writer.into_inner().expect("memory does not fail");
        let fields = given
            .fields
            .iter()
            .map(|field| Given {
                kind: Kind::String,
                ..field.clone()
            })
            .collect();
        Encoded {
            raw,
            message: given.message.clone(),
            fields,
        }
    }

    fn holds(&self, condition: &Condition, wanted: &Wanted) -> bool {
        let mut row = Row::new(wanted.paths.len());
        row.message = row.keep(self.message.as_bytes());
        for field in &self.fields {
            if let Some(slot) = wanted.slot(field.name.as_bytes()) {
                let text = row.keep(field.text.as_bytes());
                row.values[slot] = Value::new(field.kind, text);
            }
        }
        let (record, raw) = (&*self.raw, &*self.raw);
        condition.holds(&View {
            row: &row,
            record,
            raw,
            source: "",
            line: 1,
            fingerprint: None,
            template: None,
        })
    }
}

/// A condition that makes sense, as a tree.
fn some_condition() -> impl Strategy<Value = Node> {
    let name = || {
        prop::sample::select(NAMES.to_vec())
            .prop_map(|name| Box::new(node(Tree::Name(name.to_owned()))))
    };
    let fixed = |name: &str| Just(Box::new(node(Tree::Name(name.to_owned()))));
    let number = prop::sample::select(vec![
        "5", "0.5", "12", "12ms", "0.012s", "2KiB", "2048", "5%", "1000",
    ]);
    let number = number.prop_map(|text| node(Tree::Number(text.to_owned())));
    let text = || some_text().prop_map(|text| node(Tree::Text(text)));
    let word = Just(node(Tree::True))
        .boxed()
        .prop_union(Just(node(Tree::False)).boxed());
    let pattern = prop::sample::select(vec![
        "fo+",
        "foo|bar",
        "^a",
        "b$",
        "(?i)FOO",
        "[ab]{2}",
        "(foo )?bar",
        "baz.*foo",
        "",
        "(ba(r|z))+",
        "é",
        "foo=bar",
    ]);
    let level = prop::sample::select(Level::ALL.to_vec())
        .prop_map(|level| Box::new(node(Tree::Name(level.name().to_owned()))));
    let day = prop::sample::select(vec!["1970-01-01", "1970-01-02", "1970-01-03T00:00:00Z"])
        .prop_map(|day| Box::new(node(Tree::Text(day.to_owned()))));
    let text_name = || prop_oneof![3 => name(), 1 => fixed("message"), 1 => fixed("raw")];
    let ordered = |order, left, right| Tree::Compare {
        comparison: Comparison::Order(order),
        left,
        right,
    };
    let leaf = prop_oneof![
        3 => (any_order(), name(), number.clone()).prop_map(move |(order, left, right)| ordered(order, left, Box::new(right))),
        1 => (any_order(), number.clone(), name()).prop_map(move |(order, left, right)| ordered(order, Box::new(left), right)),
        3 => (any_order(), text_name(), text()).prop_map(move |(order, left, right)| ordered(order, left, Box::new(right))),
        1 => (any::<bool>(), name(), word).prop_map(move |(not, left, right)| ordered(if not { Order::NotEqual } else { Order::Equal }, left, Box::new(right))),
        1 => (any::<bool>(), name()).prop_map(move |(not, left)| ordered(if not { Order::NotEqual } else { Order::Equal }, left, Box::new(node(Tree::Null)))),
        3 => (text_name(), text()).prop_map(|(left, right)| Tree::Compare { comparison: Comparison::Contains, left, right: Box::new(right) }),
        3 => (any::<bool>(), text_name(), pattern).prop_map(|(not, left, pattern)| Tree::Compare {
            comparison: if not { Comparison::MatchesNot } else { Comparison::Matches },
            left,
            right: Box::new(node(Tree::Text(pattern.to_owned())))
        }),
        1 => (name(), prop::collection::vec(text().boxed().prop_union(number.boxed()), 1..4)).prop_map(|(left, members)| Tree::In { left, members }),
        1 => (any_order(), fixed("level"), level).prop_map(move |(order, left, right)| ordered(order, left, right)),
        1 => (any_order(), fixed("time"), day).prop_map(move |(order, left, right)| ordered(order, left, right)),
        1 => name().prop_map(|name| Tree::Call { name: "has".to_owned(), arguments: vec![*name] }),
    ]
    .prop_map(node);
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Tree::Or),
            inner.prop_map(|inner| Tree::Not(Box::new(inner))),
        ]
        .prop_map(node)
    })
}

/// The reference: walks the tree over the record as given, with the slowest means.
fn reference(tree: &Node, given: &GivenRecord, raw: &str) -> bool {
    let lookup = |node: &Node| -> Option<(Kind, String)> {
        let Tree::Name(name) = &node.tree else {
            panic!("{node} is no name")
        };
        match &**name {
            "message" => Some((Kind::String, given.message.clone())),
            "raw" => Some((Kind::String, raw.to_owned())),
            name => given
                .fields
                .iter()
                .find(|field| field.name == name)
                .map(|field| (field.kind, field.text.clone())),
        }
    };
    match &tree.tree {
        Tree::And(nodes) => nodes.iter().all(|node| reference(node, given, raw)),
        Tree::Or(nodes) => nodes.iter().any(|node| reference(node, given, raw)),
        Tree::Not(inner) => !reference(inner, given, raw),
        Tree::Call { arguments, .. } => lookup(&arguments[0]).is_some(),
        Tree::In { left, members } => members.iter().any(|member| {
            let comparison = Comparison::Order(Order::Equal);
            reference(
                &node(Tree::Compare {
                    comparison,
                    left: left.clone(),
                    right: Box::new(member.clone()),
                }),
                given,
                raw,
            )
        }),
        Tree::Compare {
            comparison,
            left,
            right,
        } => match (comparison, &left.tree, &right.tree) {
            (Comparison::Order(order), Tree::Number(_), Tree::Name(_)) => {
                let turned = match order {
                    Order::Less => Order::Greater,
                    Order::LessEqual => Order::GreaterEqual,
                    Order::Greater => Order::Less,
                    Order::GreaterEqual => Order::LessEqual,
                    same => *same,
                };
                let comparison = Comparison::Order(turned);
                reference(
                    &node(Tree::Compare {
                        comparison,
                        left: right.clone(),
                        right: left.clone(),
                    }),
                    given,
                    raw,
                )
            }
            (Comparison::Order(order), Tree::Name(name), Tree::Name(level)) if name == "level" => {
                let rank = |name: &str| {
                    ["trace", "debug", "info", "warn", "error", "fatal"]
                        .iter()
                        .position(|known| *known == name)
                };
                given
                    .level
                    .is_some_and(|of_record| ordered(*order, rank(of_record.name()), rank(level)))
            }
            (Comparison::Order(order), Tree::Name(name), Tree::Text(day)) if name == "time" => {
                let midnight = (i64::from(day.as_bytes()[9] - b'1')) * 86_400_000_000_000;
                given
                    .time
                    .is_some_and(|time| ordered(*order, time, midnight))
            }
            (Comparison::Order(order), _, constant) => {
                let Some((kind, text)) = lookup(left) else {
                    return false;
                };
                match constant {
                    Tree::Null => (kind == Kind::Null) == (*order == Order::Equal),
                    Tree::True | Tree::False => {
                        let wanted = if *constant == Tree::True {
                            "true"
                        } else {
                            "false"
                        };
                        ["true", "false"].contains(&&*text)
                            && (text == wanted) == (*order == Order::Equal)
                    }
                    Tree::Number(number) => {
                        let (Some((left, left_unit)), Some((right, right_unit))) =
                            (quantity(&text), quantity(number))
                        else {
                            return false;
                        };
                        let units_fit =
                            left_unit == right_unit || left_unit == ' ' || right_unit == ' ';
                        matches!(kind, Kind::Number | Kind::String)
                            && units_fit
                            && ordered(*order, left, right)
                    }
                    Tree::Text(wanted) => {
                        kind != Kind::Null && ordered(*order, text.as_bytes(), wanted.as_bytes())
                    }
                    other => panic!("{other:?} is no constant"),
                }
            }
            (other, _, Tree::Text(wanted)) => {
                let Some((kind, text)) = lookup(left) else {
                    return false;
                };
                let found = || {
                    regex::Regex::new(wanted)
                        .expect("patterns are valid")
                        .is_match(&text)
                };
                kind != Kind::Null
                    && match other {
                        Comparison::Contains => text.contains(&**wanted),
                        Comparison::Matches => found(),
                        _ => !found(),
                    }
            }
            other => panic!("{other:?} is no comparison"),
        },
        other => panic!("{other:?} is no condition"),
    }
}

fn ordered<T: PartialOrd>(order: Order, left: T, right: T) -> bool {
    match order {
        Order::Equal => left == right,
        Order::NotEqual => left != right,
        Order::Less => left < right,
        Order::LessEqual => left <= right,
        Order::Greater => left > right,
        Order::GreaterEqual => left >= right,
    }
}

/// Numbers with the few units that the generators use.
fn quantity(text: &str) -> Option<(f64, char)> {
    let units = [
        ("KiB", 'B', 1024.0),
        ("ms", 't', 1.0),
        ("s", 't', 1000.0),
        ("%", '%', 1.0),
        ("", ' ', 1.0),
    ];
    let (number, unit, scale) = units
        .iter()
        .find_map(|(suffix, unit, scale)| Some((text.strip_suffix(suffix)?, *unit, *scale)))?;
    Some((number.parse::<f64>().ok()? * scale, unit))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_the_same(tree in any_tree()) {
        let text = tree.to_string();
        let parsed = parse(&text).unwrap_or_else(|error| panic!("{}", error.render("printed", &text)));
        prop_assert_eq!(parsed, tree, "{}", text);
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        answer(&text);
    }

    #[test]
    fn any_words_are_answered(text in wordy_text()) {
        answer(&text);
    }

    #[test]
    fn any_cut_of_a_sensible_text_is_answered(tree in some_condition(), at in any::<prop::sample::Index>()) {
        let text = tree.to_string();
        let cut = at.index(text.len() + 1);
        if let Some(head) = text.get(..cut) {
            answer(head);
        }
    }

    #[test]
    fn the_reference_agrees(tree in some_condition(), given in prop::collection::vec(some_record(), 4)) {
        let text = tree.to_string();
        let mut wanted = Wanted::default();
        let condition = Condition::parse(&text, &TimeZone::UTC, &mut wanted)
            .unwrap_or_else(|error| panic!("{}", error.render("printed", &text)));
        for given in given {
            let record = given.record();
            let row = record.row(&wanted);
            let raw = std::str::from_utf8(&record.raw).expect("records are text");
            prop_assert_eq!(condition.holds(&record.view(&row)), reference(&tree, &given, raw), "{} over {:?}", text, given);
        }
    }

    #[test]
    fn a_record_that_holds_has_a_required_literal(
        given in some_record(),
        cut in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        shape in 0..6,
        other in some_condition(),
    ) {
        // Most conditions look for a piece of the record itself, or the law would say little.
        let piece = |text: &str| -> String {
            let chars: Vec<char> = text.chars().collect();
            let start = cut.1.index(chars.len() + 1);
            chars[start..start + cut.2.index(chars.len() - start + 1)].iter().collect()
        };
        for encoded in [Encoded::plain(&given), Encoded::json(&given), Encoded::csv(&given)] {
            let mut named: Vec<(&str, &str)> = encoded.fields.iter().map(|field| (&*field.name, &*field.text)).collect();
            named.push(("message", &encoded.message));
            let (name, whole) = named[cut.0.index(named.len())];
            let compare = |comparison, text: &str| node(Tree::Compare {
                comparison,
                left: Box::new(node(Tree::Name(name.to_owned()))),
                right: Box::new(node(Tree::Text(text.to_owned()))),
            });
            let (equal, contains) = (Comparison::Order(Order::Equal), Comparison::Contains);
            let tree = match shape {
                0 => other.clone(),
                1 => compare(equal, whole),
                2 => compare(contains, &piece(whole)),
                3 => compare(Comparison::Matches, &format!("(nothing|{})+", regex::escape(&piece(whole)))),
                4 => node(Tree::And(vec![compare(contains, &piece(whole)), compare(equal, whole)])),
                _ => node(Tree::Or(vec![compare(contains, &piece(whole)), other.clone()])),
            };
            let text = tree.to_string();
            let mut wanted = Wanted::default();
            let condition = Condition::parse(&text, &TimeZone::UTC, &mut wanted).expect("printed conditions parse");
            let Some(literals) = condition.required_literals() else { continue };
            let raw = &encoded.raw;
            let found = literals.iter().any(|literal| memchr::memmem::find(raw, literal).is_some());
            let shown = String::from_utf8_lossy(raw);
            prop_assert!(found || raw.contains(&b'\\') || !encoded.holds(&condition, &wanted), "{} over {}", text, shown);
        }
    }
}
