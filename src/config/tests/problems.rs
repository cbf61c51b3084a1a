//! What is said of mistakes: places counted by hand, all of them at once, and never a panic.

use proptest::prelude::*;

use super::{heads, load, loaded, variables};
use crate::config::load::{PathStep, load as load_files, load_texts};
use crate::config::problem::Problem;

#[track_caller]
fn check(text: &str, want: &[&str]) {
    assert_eq!(heads(&[text], None), want, "{text}");
}

#[test]
fn unknown_keys_get_the_nearest_name() {
    check(
        "[filter]\nlevle = \"warn\"\n",
        &["a.toml:2:1: unknown key \"levle\" in [filter]; did you mean \"level\"?"],
    );
    check(
        "lateness = \"5s\"\nroster = []\n",
        &[
            "a.toml:1:1: unknown key \"lateness\"; it belongs in [run]",
            "a.toml:2:1: unknown key \"roster\"; it belongs in [[state]]",
        ],
    );
    check(
        "[[rul]]\n",
        &["a.toml:1:3: unknown key \"rul\"; did you mean \"rule\"?"],
    );
    check(
        "[dedup]\nmode = \"exact\"\nwindow = \"1s\"\n",
        &["a.toml:3:1: unknown key \"window\" in [dedup]; known here: mode, every"],
    );
    check(
        "  [[sink]]\n  type = \"stdout\"\n  path = \"x\"\n",
        &["a.toml:3:3: unknown key \"path\" in [[sink]] number 1; it belongs to the type \"file\""],
    );
    check(
        "[[notifier]]\nname = \"n\"\ntype = \"webhook\"\nurl_env = \"U\"\ntoken = \"abc\"\n",
        &[
            "a.toml:5:1: unknown key \"token\" in [[notifier]] \"n\"; a secret does not belong in the file: name an environment variable with \"token_env\"",
        ],
    );
}

#[test]
fn wrong_values_say_what_stands_there_and_what_belongs_there() {
    check(
        "[[source]]\ntype = \"fiel\"\ninclude = [\"x\"]\n",
        &[
            "a.toml:2:8: unknown source type \"fiel\"; did you mean \"file\"? (one of stdin, file, command)",
        ],
    );
    check(
        "[[source]]\ntype = \"file\"\ninclude = \"x\"\n",
        &["a.toml:3:11: \"include\" must be a list, not the string \"x\"; write [\"x\"]"],
    );
    check(
        "[[source]]\ntype = \"file\"\ninclude = []\n",
        &["a.toml:3:11: \"include\" must not be empty"],
    );
    check(
        "run.grace = 25\n",
        &[
            "a.toml:1:13: \"grace\" must be a duration such as \"5m\", not the number 25; write it in quotes with its unit, such as \"30s\"",
        ],
    );
    check(
        "run.interval = \"0s\"\n",
        &["a.toml:1:16: \"interval\": \"0s\" must be longer than nothing"],
    );
    check(
        "run.threads = 0\n",
        &["a.toml:1:15: \"threads\" must be at least 1 and at most 1024"],
    );
    check(
        "run.threads = 1e99\n",
        &["a.toml:1:15: \"threads\" must be a whole number, not a number with a fraction"],
    );
    check(
        "[filter]\nignore_case = \"true\"\n",
        &[
            "a.toml:2:15: \"ignore_case\" must be true or false, not the string \"true\"; write it without quotes",
        ],
    );
    check(
        "[rule]\nname = \"x\"\n",
        &["a.toml:1:1: \"rule\" must be a list, not a table; write [[rule]]"],
    );
    check(
        "[[filter]]\nlevel = \"warn\"\n",
        &["a.toml:1:1: \"filter\" must be a table, not a list; write [filter]"],
    );
    check(
        "[[silence]]\nmatch = {}\nuntil = 2026-01-01\n",
        &["a.toml:2:9: \"match\" must not be empty"],
    );
    check(
        "[[silence]]\nmatch.a = \"b\"\nuntil = \"soon\"\n",
        &["a.toml:3:9: \"until\": \"soon\" is not a time; write it like \"2024-03-01T10:00:00Z\""],
    );
    check(
        "run.tz = \"Europe/Berlim\"\n",
        &[
            "a.toml:1:10: \"tz\": \"Europe/Berlim\" is no known time zone; write it like Europe/Berlin, UTC or +02:00",
        ],
    );
    check(
        "run.mask = [\"a(\"]\n",
        &["a.toml:1:13: \"mask\": \"a(\" is no regular expression: unclosed group"],
    );
}

#[test]
fn missing_keys_are_named_where_their_table_starts() {
    check(
        "[[rule]]\nname = \"x\"\n\n[[metric]]\nby = [\"a\"]\n",
        &[
            "a.toml:1:1: [[rule]] \"x\" lacks \"when\"; what must hold, for example `p95(cpu) > 90`, `count() > 100`, `new()` or `last(backup) == \"failed\"`",
            "a.toml:4:1: [[metric]] number 1 lacks \"field\"; the numeric field, a dotted path into nested JSON",
        ],
    );
    check(
        "[[sink]]\nwhat = \"lines\"\n",
        &["a.toml:1:1: [[sink]] number 1 lacks \"type\"; one of stdout, file, http, prometheus"],
    );
    check(
        "[[test]]\nname = \"t\"\ninput = [\"a\"]\nexpect.alerts = [{ status = \"firing\" }]\n",
        &[
            "a.toml:4:18: \"alerts\" in [[test]] \"t\" lacks \"rule\"; the rule's name, or `STATE.bad`, `.missing`, `.stuck`, `.order`",
        ],
    );
    check(
        "[[notifier]]\nname = \"n\"\ntype = \"slack\"\n",
        &[
            "a.toml:1:1: [[notifier]] \"n\" lacks \"url\" or \"url_env\" or \"url_file\"; give one of them",
        ],
    );
}

#[test]
fn names_must_differ_and_be_known() {
    check(
        "[[set]]\nname = \"s\"\nvalue = \"v\"\n[[set]]\nname = \"s\"\nvalue = \"w\"\n",
        &["a.toml:5:8: a second [[set]] with the name \"s\"; names must differ"],
    );
    let notifier = "[[notifier]]\nname = \"oncall\"\ntype = \"stdout\"\n";
    check(
        &format!(
            "{notifier}[[rule]]\nname = \"r\"\nwhen = \"new()\"\nnotify = [\"oncal\", \"x\"]\n"
        ),
        &[
            "a.toml:7:11: unknown notifier \"oncal\"; did you mean \"oncall\"?",
            "a.toml:7:20: unknown notifier \"x\"; known here: oncall",
        ],
    );
    check(
        "[[state]]\nname = \"b\"\nkey = [\"h\"]\nvalue = \"v\"\nok = [\"x\"]\nbad = [\"x\"]\n[[test]]\nname = \"t\"\nfile = \"f\"\nexpect.alerts = [{ rule = \"b.bad\" }, { rule = \"b.late\" }]\n",
        &[
            "a.toml:6:8: \"x\" is both \"ok\" and \"bad\" in [[state]] \"b\"",
            "a.toml:10:47: unknown rule \"b.late\"; known here: b.bad, b.missing, b.order, b.stuck",
        ],
    );
    check(
        "[[state]]\nname = \"b\"\nkey = [\"h\", \"i\"]\nvalue = \"v\"\nroster = [\"x\", { h = \"1\", i = \"2\" }]\n",
        &["a.toml:5:11: a key of this state has h and i; write { h = \"…\", i = \"…\" }"],
    );
}

#[test]
fn expressions_are_pointed_into() {
    let text = "[[rule]]\nname = \"x\"\nwhen = \"\"\"\np95(cpu) >\n > 90\"\"\"\nclear = 'a == \"\\n\" ='\n";
    let problems = load(&[text], None).unwrap_err();
    let problems: Vec<_> = problems
        .list()
        .iter()
        .map(|problem| (problem.line, problem.column, problem.to_string()))
        .collect();
    assert_eq!((problems[0].0, problems[0].1), (5, 2), "{problems:?}");
    assert!(
        problems[0].2.ends_with("\n   > 90\"\"\"\n   ^"),
        "{}",
        problems[0].2
    );
    assert_eq!((problems[1].0, problems[1].1), (6, 20), "{problems:?}");
    // An escape is one character of the value and several of the file; the file's count.
    let text = "[filter]\nwhere = \"a == \\\"\\u00e4\\\" >\"\n";
    let problems = load(&[text], None).unwrap_err();
    assert_eq!(problems.list()[0].column, 26, "{problems}");
}

#[test]
fn later_rooms_point_at_values_too() {
    let loaded = loaded(
        &["[[rule]]\nname = \"x\"\nwhen = \"p95(cpu) > 90\"\n"],
        None,
    );
    let path = [
        PathStep::Key("rule"),
        PathStep::Index(0),
        PathStep::Key("when"),
    ];
    let origin = loaded.at(&path);
    assert_eq!((origin.file(), origin.line()), ("a.toml", 3));
    let problem = Problem::new(&origin, Some(4..7), "no such field", None);
    assert_eq!(
        problem.to_string(),
        "a.toml:3:13: no such field\n  when = \"p95(cpu) > 90\"\n              ^^^"
    );
    // A default stands nowhere: the table around it is named.
    let path = [
        PathStep::Key("rule"),
        PathStep::Index(0),
        PathStep::Key("window"),
    ];
    assert_eq!(loaded.at(&path).line(), 1);
}

#[test]
fn syntax_is_checked_first_and_in_all_files() {
    let found = heads(&["[filter]\nlevel = \n", "[x\n"], None);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a.toml:2:9: "), "{found:?}");
    assert!(found[1].starts_with("b.toml:1:3: "), "{found:?}");
}

#[test]
fn marks_of_windows_editors_do_not_move_places() {
    check(
        "\u{feff}sinc = 1\r\n[filter]\r\n\"ä\" = \"ö\"\r\n",
        &[
            "a.toml:1:1: unknown key \"sinc\"; did you mean \"sink\"?",
            "a.toml:3:1: unknown key \"ä\" in [filter]; known here: level, match, ignore_case, invert, where",
        ],
    );
    let problems = load(&["[filter]\r\nlevel = \"wran\"\r\n"], None).unwrap_err();
    assert!(
        problems
            .to_string()
            .ends_with("\n  level = \"wran\"\n          ^^^^^^")
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.toml");
    let heads = |bytes: Option<&[u8]>| {
        let _ = std::fs::remove_file(&path);
        if let Some(bytes) = bytes {
            std::fs::write(&path, bytes).unwrap();
        }
        let problems = load_files(std::slice::from_ref(&path), None, &variables).unwrap_err();
        problems
            .to_string()
            .replace(path.to_str().unwrap(), "w.toml")
    };
    assert!(heads(None).starts_with("w.toml: No such file"));
    assert_eq!(
        heads(Some(b"a = 1\n\xc3\xa4\xff = 2\n")),
        "w.toml:2:2: a byte that is not UTF-8; save the file as UTF-8"
    );
    assert_eq!(
        heads(Some(&vec![b'#'; (4 << 20) + 1])),
        "w.toml: larger than 4 MiB, which no configuration is"
    );
}

#[test]
fn what_is_too_deep_or_too_much_is_refused() {
    let deep = format!("a = {}1{}\n", "[".repeat(40), "]".repeat(40));
    assert!(heads(&[&deep], None)[0].contains("nested deeper than 32"));
    let deeper = format!("a = {}1{}\n", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!heads(&[&deeper], None).is_empty());
    let dotted = format!("{}a = 1\n", "a.".repeat(100_000));
    assert!(!heads(&[&dotted], None).is_empty());
    // Dotted keys inside inline tables inside dotted keys: as deep as the parser lets it be.
    let step = format!("{} = {{ ", vec!["a"; 79].join("."));
    let both = format!("{}a = 1{}\n", step.repeat(79), " }".repeat(79));
    assert!(!heads(&[&both], None).is_empty());
    let wide = format!("[filter]\nmatch = [{}]\n", "\"a\",".repeat(200_000));
    loaded(&[&wide], None);
    // A million mistakes on one line, and one that is no TOML at all.
    let line = format!("run.mask = [{}]\n", "5,".repeat(1_000_000));
    let problems = load(&[&line], None).unwrap_err();
    assert_eq!(
        (problems.list().len(), problems.list()[1].column),
        (100, 15)
    );
    assert!(!heads(&[&format!("a {}\n", "b=".repeat(1_000_000))], None).is_empty());
    let many: String = (0..50_000)
        .map(|number| format!("k{number} = 1\n"))
        .collect();
    let problems = load(&[&many], None).unwrap_err();
    assert_eq!(problems.list().len(), 100);
    assert!(problems.to_string().ends_with("\nand 49900 more"));
    check(
        "run.threads = 99999999999999999999\n",
        &["a.toml:1:15: a number that does not fit in 64 bits"],
    );
}

#[test]
fn variables_stand_in_values_only() {
    let config = loaded(
        &["[filter]\nlevel = \"${LEVEL}\"\nmatch = [\"${TWO_LINES}\", \"$${X}\", \"a${EMPTY:-b}c\", \"${NONE:-}$\", \"$5\"]\n"],
        None,
    )
    .config;
    assert_eq!(
        config.filter.literals[0], "a\nlevel: b = [\"c\"]",
        "a value stays one value"
    );
    assert_eq!(config.filter.literals[1], "${X}");
    assert_eq!(config.filter.literals[2], "abc");
    assert_eq!(config.filter.literals[3], "$");
    assert_eq!(config.filter.literals[4], "$5");
    assert_eq!(config.filter.level, Some(crate::flow::level::Level::Warn));
}

#[test]
fn mistakes_with_variables_are_pointed_at() {
    check(
        "run.state_dir = \"a/${NOPE}/b/${1}\"\n[filter]\nmatch = [\"x ${\"]\n",
        &[
            "a.toml:1:20: the environment variable \"NOPE\" is not set; set it, or give a default with \"${NAME:-default}\"",
            "a.toml:1:30: what stands in \"${…}\" is not the name of a variable; write \"${NAME}\" or \"${NAME:-default}\", and \"$${\" for a plain \"${\"",
            "a.toml:3:13: \"${\" without \"}\"; write \"$${\" for a plain \"${\"",
        ],
    );
    // What the variable holds is not repeated.
    check(
        "run.grace = \"${NUMBER}\"\n",
        &[
            "a.toml:1:13: \"grace\": \"${NUMBER}\" is a duration without a unit; write a number with ns, us, ms, s, m, h, d or w, such as \"500ms\", \"5m\" or \"1h30m\"",
        ],
    );
    // In a key a variable is only text.
    check(
        "[filter]\n\"${LEVEL}\" = 1\n",
        &[
            "a.toml:2:1: unknown key \"${LEVEL}\" in [filter]; known here: level, match, ignore_case, invert, where",
        ],
    );
}

#[test]
fn every_form_of_the_schema_is_known() {
    fn forms(schema: &serde_json::Value, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(members) => {
                if members.get("type").is_some_and(|kind| kind == "string")
                    && let Some(form) = members.get("format").and_then(|form| form.as_str())
                {
                    found.push(form.to_owned());
                }
                members.values().for_each(|inner| forms(inner, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|inner| forms(inner, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    forms(crate::config::schema::settings(), &mut found);
    found.sort();
    found.dedup();
    for form in &found {
        assert!(crate::config::syntax::find(form).is_some(), "{form}");
    }
    assert_eq!(found.len(), crate::config::syntax::FORMS.len());
}

/// Bits of TOML that meet the schema often enough to get past its first check.
fn pieces() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "name",
        "type",
        "level",
        "match",
        "where",
        "when",
        "by",
        "window",
        "key",
        "value",
        "roster",
        "notify",
        "url",
        "url_env",
        "expect",
        "input",
        "until",
        "include",
        "argv",
        "env",
        "path",
        "\"\"",
        "ä",
        "threads",
        "severity",
        "smtp",
        "recipients",
        "from",
        "poll",
        "count",
    ]);
    let value = prop::sample::select(vec![
        "1",
        "-1",
        "1e99",
        "nan",
        "-inf",
        "true",
        "\"\"",
        "\"x\"",
        "\"5m\"",
        "\"${LEVEL}\"",
        "\"${\"",
        "[]",
        "[\"a\"]",
        "[1, \"b\"]",
        "{}",
        "{ a = \"b\" }",
        "[{ rule = \"a\" }]",
        "2026-01-01",
        "07:32:00",
        "\"file\"",
        "\"stdout\"",
        "\"webhook\"",
        "'''\na'''",
        "\"\\u00e4\\U0001F600 >\"",
        "0x7fffffffffffffff",
        "0xffffffffffffffff",
        "[[[[]]]]",
        "\"count() > 1\"",
    ]);
    let table = prop::sample::select(vec![
        "source",
        "filter",
        "dedup",
        "metric",
        "state",
        "set",
        "rule",
        "silence",
        "notifier",
        "sink",
        "run",
        "test",
        "env",
        "env.a",
        "env.a.rule",
        "x",
    ]);
    prop_oneof![
        6 => (key, value).prop_map(|(key, value)| format!("{key} = {value}\n")),
        3 => table.clone().prop_map(|table| format!("[[{table}]]\n")),
        2 => table.prop_map(|table| format!("[{table}]\n")),
        1 => "[ -~\\n]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn junk_never_panics_and_is_never_our_fault(parts in prop::collection::vec(pieces(), 0..12)) {
        let text = parts.concat();
        for environment in [None, Some("a")] {
            if let Err(problems) = load(&[&text, &text], environment) {
                prop_assert!(!problems.is_empty());
                prop_assert!(!problems.to_string().contains("a fault of weir"), "{}", text);
            }
        }
    }

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = load_texts(vec![("a.toml".to_owned(), text)], None, &variables);
    }
}
