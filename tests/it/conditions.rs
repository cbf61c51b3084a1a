//! `docs/conditions.md` says what conditions, rules and templates can say. Its tables have to hold the
//! names that the program knows, no more and no fewer, and its examples have to be read.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use logweir::expr::aggregate::Check;
use logweir::expr::condition::Condition;
use logweir::expr::functions::{FUNCTIONS, Place};
use logweir::expr::lexer::{KEYWORDS, SIGNS};
use logweir::expr::reserved_names;
use logweir::expr::rule::Expression;
use logweir::flow::alert::Status;
use logweir::flow::wanted::Wanted;
use logweir::notifiers::text::context::{Context, example};
use logweir::rules::summary::{Facts, Samples};
use logweir::units::Quantity;
use serde_json::Value;

const PAGE: &str = include_str!("../../docs/conditions.md");

/// The rows of the first table below a heading: the code in the first cell, and the second cell.
fn rows(heading: &str) -> Vec<(Vec<&'static str>, &'static str)> {
    let (_, section) = PAGE
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("the page has no heading {heading:?}"));
    let table = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    let rows: Vec<_> = table
        .map(|line| {
            // A bar within code is written with a backslash.
            let mut cells = line[2..].split(" | ");
            let codes = cells.next().unwrap().split('`').skip(1).step_by(2);
            (codes.collect(), cells.next().unwrap())
        })
        .collect();
    assert!(!rows.is_empty(), "{heading:?} has no table");
    rows
}

/// All code in the first cells of the table below a heading; none stands there twice.
#[track_caller]
fn names(heading: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for code in rows(heading).into_iter().flat_map(|(codes, _)| codes) {
        let name = code.replace('\\', "");
        assert!(names.insert(name), "{heading:?} has {code} twice");
    }
    names
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    set(value.as_object().unwrap().keys().map(String::as_str))
}

/// The lines of the blocks of code of a kind.
fn examples(kind: &str) -> Vec<&'static str> {
    let blocks = PAGE
        .split(&format!("```{kind}\n")[..])
        .skip(1)
        .collect::<Vec<_>>();
    let lines = blocks
        .into_iter()
        .flat_map(|block| block.split("```").next().unwrap().lines());
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() >= 3, "{} examples of {kind}", lines.len());
    lines
}

#[test]
fn the_page_of_conditions_has_every_function_in_its_place() {
    let mut on_the_page = BTreeSet::new();
    for (codes, place) in rows("## Functions") {
        let name = codes[0].split('(').next().unwrap();
        on_the_page.insert((name.to_owned(), place.to_owned()));
    }
    let in_the_program = FUNCTIONS.iter().map(|function| {
        let place = match function.place {
            Place::Record => "condition",
            Place::Report => "check, rule",
            Place::Rule => "rule",
        };
        (function.name.to_owned(), place.to_owned())
    });
    assert_eq!(on_the_page, in_the_program.collect());
}

#[test]
fn the_page_of_conditions_has_every_operator_and_every_part_of_a_record() {
    // Signs that only group, and those that are read for the sake of a message.
    let no_operators = ["(", ")", "[", "]", ",", "=", "<>", "~"];
    let constants = ["true", "false", "null"];
    let mut operators = set(SIGNS.into_iter().chain(KEYWORDS));
    for name in no_operators.iter().chain(&constants) {
        assert!(
            operators.remove(*name),
            "{name} is no word of the language any more"
        );
    }
    assert_eq!(names("### Operators"), operators);
    let listed = names("### Constants");
    for name in constants {
        assert!(listed.contains(name), "{name}");
    }
    assert_eq!(names("### Parts of a record"), set(reserved_names()));
}

#[test]
fn the_units_of_the_page_are_units() {
    for unit in names("### Units") {
        let text = format!("2{unit}");
        let quantity = Quantity::parse(text.as_bytes());
        assert!(quantity.is_some(), "{text} is no quantity");
    }
}

#[test]
fn the_page_has_every_name_that_a_template_can_use() {
    let notification = serde_json::to_value(Context::of(&example(Status::Firing))).unwrap();
    assert_eq!(
        names("### Names in `title` and `text`"),
        keys(&notification)
    );
    let alert = &notification["alerts"][0];
    assert_eq!(names("### Names of an alert"), keys(alert));
    assert_eq!(names("### Names of a sample"), keys(&alert["samples"][0]));
    let facts = Facts {
        rule: "",
        severity: "",
        labels: Vec::new(),
        value: None,
        count: 0,
        template: None,
        summary: "",
        samples: &[],
        evidence: Samples::default(),
    };
    let facts = serde_json::to_value(facts).unwrap();
    assert_eq!(names("### Names in `summary`"), keys(&facts));
}

#[test]
fn the_examples_of_the_page_are_read() {
    for text in examples("condition") {
        let read = Condition::parse(text, &TimeZone::UTC, &mut Wanted::default());
        assert!(read.is_ok(), "{text}: {:?}", read.err());
    }
    for text in examples("check") {
        let read = Check::parse(text, &TimeZone::UTC, &mut Wanted::default());
        assert!(read.is_ok(), "{text}: {:?}", read.err());
    }
    for text in examples("rule") {
        let read = Expression::parse(text, &["backup".to_owned()]);
        assert!(read.is_ok(), "{text}: {:?}", read.err());
    }
}
