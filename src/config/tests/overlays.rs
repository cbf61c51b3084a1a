//! Laws of laying over: a second file and an environment follow the same rules.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{heads, load, loaded};
use crate::config::load::PathStep;
use crate::config::show::{Defaults, show};

/// The configuration as values.
fn value(texts: &[&str], environment: Option<&str>) -> Value {
    serde_json::to_value(loaded(texts, environment).config).unwrap()
}

const BASE: &str = "[filter]\nlevel = \"warn\"\nmatch = [\"a\", \"b\"]\n[[sink]]\nname = \"out\"\ntype = \"file\"\npath = \"x\"\nrotate_keep = 3\n[[rule]]\nname = \"r\"\nwhen = \"new()\"\n";

#[test]
fn tables_go_key_by_key_lists_by_name_and_values_whole() {
    let over = "[filter]\nmatch = [\"c\"]\n[[sink]]\nname = \"out\"\nrotate_keep = 9\n[[rule]]\nname = \"s\"\nwhen = \"count() > 1\"\n[run]\nthreads = 2\n";
    let as_environment: String = over
        .replace("[[", "[[env.p.")
        .lines()
        .map(|line| match line.strip_prefix('[') {
            Some(rest) if !rest.starts_with('[') => format!("[env.p.{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let by_file = value(&[BASE, over], None);
    let by_environment = value(&[BASE, &as_environment], Some("p"));
    let in_one_file = value(&[&format!("{BASE}{as_environment}")], Some("p"));
    assert_eq!(by_file, by_environment);
    assert_eq!(by_file, in_one_file);
    assert_eq!(by_file["filter"]["level"], "warn");
    assert_eq!(by_file["filter"]["match"], json!(["c"]));
    assert_eq!(by_file["sink"][0]["path"], "x");
    assert_eq!(by_file["sink"][0]["rotate_keep"], 9);
    assert_eq!(by_file["rule"].as_array().unwrap().len(), 2);
    assert_eq!(by_file["run"]["threads"], 2);
    assert_eq!(
        value(&[&format!("{BASE}{as_environment}")], None),
        value(&[BASE], None)
    );
}

#[test]
fn another_type_takes_nothing_of_the_table_below() {
    let over = "[[sink]]\nname = \"out\"\ntype = \"stdout\"\n";
    let sink = &value(&[BASE, over], None)["sink"];
    assert_eq!(sink.as_array().unwrap().len(), 1);
    assert_eq!(sink[0]["type"], "stdout");
    assert_eq!(sink[0].get("path"), None);
}

#[test]
fn tables_without_a_name_are_added() {
    let metric = "[[metric]]\nfield = \"cpu\"\n";
    let both = value(&[metric, "[[metric]]\nfield = \"mem\"\n"], None);
    assert_eq!(both["metric"].as_array().unwrap().len(), 2);
}

#[test]
fn a_variable_that_is_laid_over_need_not_be_set() {
    let base = "[run]\nstate_dir = \"${NOT_HERE}\"\n";
    assert_eq!(heads(&[base], None).len(), 1);
    loaded(&[base, "run.state_dir = \"x\"\n"], None);
    // Nor one of an environment that was not chosen; but the rest of it is checked.
    let environments = "[env.a.run]\nstate_dir = \"${NOT_HERE}\"\n[env.b.filter]\nlevle = \"x\"\n";
    assert_eq!(
        heads(&[environments], None),
        ["a.toml:4:1: unknown key \"levle\" in [filter]; did you mean \"level\"?"]
    );
    assert_eq!(heads(&[environments], Some("a")).len(), 2);
}

#[test]
fn an_unknown_environment_is_a_mistake_with_the_known_names() {
    let text = "[env.production]\n[env.staging]\n";
    assert_eq!(
        heads(&[text], Some("prodution")),
        ["a.toml: unknown environment \"prodution\"; did you mean \"production\"?"]
    );
    assert_eq!(
        heads(&[text], Some("x")),
        ["a.toml: unknown environment \"x\"; known here: production, staging"]
    );
    assert_eq!(
        heads(&[""], Some("x")),
        ["a.toml: unknown environment \"x\"; there is no [env.NAME] table"]
    );
    loaded(&[text], Some("staging"));
}

#[test]
fn origins_name_file_line_and_environment() {
    let loaded = loaded(
        &[
            BASE,
            "[filter]\nlevel = \"error\"\n[env.p]\nfilter.level = \"info\"\n",
        ],
        Some("p"),
    );
    let origin = loaded.at(&[PathStep::Key("filter"), PathStep::Key("level")]);
    assert_eq!(
        (origin.file(), origin.line(), origin.environment()),
        ("b.toml", 4, Some("p"))
    );
    let page = show(&loaded, Defaults::Hide);
    let want = "[filter]\nlevel = \"info\"  # env.p, b.toml:4\nmatch = [\"a\", \"b\"]  # a.toml:3\n\n[[rule]]\nname = \"r\"  # a.toml:10\nwhen = \"new()\"  # a.toml:11\n\n[[sink]]\nname = \"out\"  # a.toml:5\ntype = \"file\"  # a.toml:6\npath = \"x\"  # a.toml:7\nrotate_keep = 3  # a.toml:8\n";
    assert_eq!(page, want);
}

#[test]
fn what_is_shown_loads_to_the_same() {
    let texts = [
        BASE,
        "[[test]]\nname = \"$${t}\\u0007\"\ninput = [\"a\\\"b\\\\\", 'c''d'.x]\n",
    ];
    assert!(load(&texts, None).is_err(), "the second is no TOML");
    let text = "[[test]]\nname = \"$${t}\\u0007 \\\\ \\\"\"\ninput = ['a\"\\']\nexpect.alerts = [{ rule = \"r\", labels = { \"a.b\" = \"c\", \"${\" = \"\" } }]\nexpect.states = []\n[[silence]]\nmatch = { alertname = \"x\", \"a b\" = \"\\n\" }\nuntil = 2026-01-01T00:00:00Z\n[[state]]\nname = \"s\"\nkey = [\"a\", \"b\"]\nvalue = \"v\"\nroster = [{ a = \"1\", b = \"2\" }]\n";
    for defaults in [Defaults::Hide, Defaults::Show] {
        let page = show(&loaded(&[BASE, text], None), defaults);
        assert_eq!(value(&[&page], None), value(&[BASE, text], None), "{page}");
    }
}

/// Small configurations that load.
fn configuration() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["trace", "info", "error"]);
    let names = prop::collection::btree_set("[a-c]", 0..3);
    (
        level,
        prop::bool::ANY,
        names,
        prop::collection::vec("[a-z]{1,3}", 0..3),
        1..9u32,
    )
        .prop_map(|(level, with_filter, names, literals, keep)| {
            let mut text = String::new();
            if with_filter {
                text += &format!("[filter]\nlevel = \"{level}\"\nmatch = {literals:?}\n");
            }
            for name in names {
                text += &format!(
                    "[[sink]]\nname = \"{name}\"\ntype = \"file\"\npath = \"{level}\"\nrotate_keep = {keep}\n"
                );
            }
            text
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn laying_over_obeys_its_laws(a in configuration(), b in configuration(), c in configuration()) {
        let (a, b, c) = (a.as_str(), b.as_str(), c.as_str());
        prop_assert_eq!(value(&[a, ""], None), value(&[a], None));
        prop_assert_eq!(value(&["", a], None), value(&[a], None));
        prop_assert_eq!(value(&[a, a], None), value(&[a], None));
        // What two files say together may be said in one.
        let page = show(&loaded(&[a, b], None), Defaults::Hide);
        prop_assert_eq!(value(&[&page, c], None), value(&[a, b, c], None));
        let page = show(&loaded(&[b, c], None), Defaults::Hide);
        prop_assert_eq!(value(&[a, &page], None), value(&[a, b, c], None));
    }
}
