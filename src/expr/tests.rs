//! The language as a whole: what it says about records and reports, what it answers to mistakes,
//! and its laws.

use jiff::tz::TimeZone;

use super::aggregate::Check;
use super::condition::{Condition, View};
use super::functions::Statistic;
use super::parse::parse;
use crate::flow::level::Level;
use crate::flow::row::{Kind, Row, Text, Value};
use crate::flow::time::Time;
use crate::flow::wanted::Wanted;

mod laws;

/// A record of `key=value` pairs as a condition sees it. Values are strings unless they are written
/// `n:5` (number), `b:true` (bool), `null:` or `c:[1]` (composite).
pub(super) struct Record {
    pub raw: Vec<u8>,
    fields: Vec<(String, Kind, std::ops::Range<usize>)>,
    message: std::ops::Range<usize>,
    level: Option<Level>,
    time: Option<Time>,
}

impl Record {
    pub fn new(
        message: &str,
        level: Option<Level>,
        time: Option<Time>,
        fields: &[(String, Kind, String)],
    ) -> Record {
        let mut raw = message.as_bytes().to_vec();
        let message = 0..raw.len();
        let mut spans = Vec::new();
        for (name, kind, text) in fields {
            raw.extend_from_slice(format!(" {name}=").as_bytes());
            let start = raw.len();
            raw.extend_from_slice(text.as_bytes());
            spans.push((name.clone(), *kind, start..raw.len()));
        }
        Record {
            raw,
            fields: spans,
            message,
            level,
            time,
        }
    }

    pub fn row(&self, wanted: &Wanted) -> Row {
        let mut row = Row::new(wanted.paths.len());
        row.level = self.level.filter(|_| wanted.level);
        row.time = self.time.filter(|_| wanted.time);
        if wanted.message {
            row.message = Text::record(self.message.start, self.message.end);
        }
        for (name, kind, range) in &self.fields {
            if let Some(slot) = wanted.slot(name.as_bytes()) {
                row.values[slot] = Value::new(*kind, Text::record(range.start, range.end));
            }
        }
        row
    }

    pub fn view<'a>(&'a self, row: &'a Row) -> View<'a> {
        View {
            row,
            record: &self.raw,
            raw: &self.raw,
            source: "app.log",
            line: 7,
            fingerprint: Some("f1:00000000deadbeef"),
            template: Some(b"took <*>"),
        }
    }
}

fn zone() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("the bundled database has Berlin")
}

fn sample() -> Record {
    let field = |name: &str, kind: Kind, text: &str| (name.to_owned(), kind, text.to_owned());
    // 2024-03-01T09:00:00Z is 10:00 in Berlin.
    let time = Time::from_parts(1_709_283_600, 0);
    Record::new(
        "upload of report.pdf failed",
        Some(Level::Error),
        time,
        &[
            field("service", Kind::String, "api"),
            field("status", Kind::Number, "500"),
            field("ratio", Kind::Number, "0.25"),
            field("text_number", Kind::String, "42"),
            field("latency", Kind::String, "1.5s"),
            field("size", Kind::String, "3MiB"),
            field("cpu", Kind::String, "87%"),
            field("ok", Kind::Bool, "true"),
            field("flag", Kind::String, "false"),
            field("gone", Kind::Null, "null"),
            field("tags", Kind::Composite, r#"["a","b"]"#),
            field("http.client.ip", Kind::String, "10.0.0.1"),
            field("content-type", Kind::String, "text/html"),
            field("level", Kind::String, "E"),
            field("a[0]", Kind::Number, "-5"),
            field("nan", Kind::Number, "NaN"),
            field("empty", Kind::String, ""),
            field("id", Kind::Number, "9007199254740993"),
        ],
    )
}

fn holds(text: &str, record: &Record) -> bool {
    let mut wanted = Wanted::default();
    let condition = Condition::parse(text, &zone(), &mut wanted)
        .unwrap_or_else(|error| panic!("{}", error.render("test", text)));
    let row = record.row(&wanted);
    condition.holds(&record.view(&row))
}

#[test]
fn conditions_say_what_they_read_like() {
    let record = sample();
    let check = |text: &str, want: bool| assert_eq!(holds(text, &record), want, "{text}");
    check("status == 500", true);
    check("status == 500.0", true);
    check("status == \"500\"", true);
    check("status != 500", false);
    check("status >= 500 and status < 600", true);
    check("500 <= status", true);
    check("499 > status", false);
    check("text_number == 42", true);
    check("text_number > 5", true);
    check("text_number > \"5\"", false);
    check("service > 5", false);
    check("service != 5", false);
    check("service == 'api'", true);
    check("service < 'b'", true);
    check("service >= 'api'", true);
    check("service in ('web', 'api')", true);
    check("service in['web']", false);
    check("service not in ('web')", true);
    check("service in (5, 'api',)", true);
    check("status in [500, 502]", true);
    check("ratio == 25e-2", true);
    check("`a[0]` == -5", true);
    check("a[0] < -4", true);
    check("nan == 1", false);
    check("nan != 1", false);
    check("empty == ''", true);
    check("empty != 1", false);
    check("has(empty)", true);
    check("id == 9007199254740993", true);
    check("id == 9007199254740992", false);
    check("id == 9007199254740994", false);
    check(
        "id > 9007199254740992 and id < 9007199254740994 and id > -9007199254740994",
        true,
    );
    check("id < 9007199254740995.5", true);
    check("ratio < 9007199254740994", true);
    check("service < 9007199254740994", false);
}

#[test]
fn units_convert_and_never_mix() {
    let record = sample();
    let check = |text: &str, want: bool| assert_eq!(holds(text, &record), want, "{text}");
    check("latency > 250ms", true);
    check("latency == 1500ms", true);
    check("latency == 1.5s", true);
    check("latency > 2s", false);
    check("latency == 1500", true);
    check("latency < 1m", true);
    check("latency > 1KiB", false);
    check("latency != 1KiB", false);
    check("size == 3MiB", true);
    check("size == 3145728", true);
    check("size > 1s", false);
    check("cpu >= 80%", true);
    check("cpu >= 80", true);
    check("cpu > 87.5%", false);
    check("cpu > 1ms", false);
    check("status == 500ms", true);
    check("status == 0.5s", true);
    check("status == 500B", true);
}

#[test]
fn missing_and_other_kinds_are_false() {
    let record = sample();
    let check = |text: &str, want: bool| assert_eq!(holds(text, &record), want, "{text}");
    check("missing == 1", false);
    check("missing != 1", false);
    check("missing != 'a'", false);
    check("missing !~ 'a'", false);
    check("missing contains ''", false);
    check("missing == null", false);
    check("missing != null", false);
    check("missing == true", false);
    check("not missing == 1", true);
    check("!missing == 1", true);
    check("missing not in (1)", true);
    check("has(missing)", false);
    check("not has(missing)", true);
    check("gone == null", true);
    check("gone != null", false);
    check("has(gone)", true);
    check("gone == 'null'", false);
    check("gone == 0", false);
    check("service != null", true);
    check("ok == true", true);
    check("ok != true", false);
    check("ok != false", true);
    check("flag == false", true);
    check("service == true", false);
    check("service != true", false);
    check("ok == 1", false);
    check("tags contains 'b'", true);
    check("tags == 5", false);
}

#[test]
fn reserved_names_are_parts_of_the_record() {
    let record = sample();
    let check = |text: &str, want: bool| assert_eq!(holds(text, &record), want, "{text}");
    check("level == error", true);
    check("level == ERROR", true);
    check("level == \"Err\"", true);
    check("level >= warn", true);
    check("error <= level", true);
    check("warn > level", false);
    check("level != debug", true);
    check("level in (warn, \"error\")", true);
    check("level not in (warn, fatal)", true);
    check("level < error", false);
    check("has(level)", true);
    check(".level == 'E'", true);
    check("time >= '2024-03-01'", true);
    check("time == '2024-03-01 10:00'", true);
    check("time == '2024-03-01T09:00:00Z'", true);
    check("time == '2024-03-01T11:00:00+02:00'", true);
    check("time < '2024-03-01 10:00:00.000000001'", true);
    check("'2024-03-02' > time", true);
    check("message contains 'failed'", true);
    check("message =~ 'report\\.(pdf|doc)'", true);
    check("message =~ '^failed'", false);
    check("message !~ '(?i)FAILED$'", false);
    check("raw contains ' service=api'", true);
    check("source == 'app.log'", true);
    check("line == 7 and line < 8", true);
    check("fingerprint == 'f1:00000000deadbeef'", true);
    check("template == 'took <*>'", true);
    check("http.client.ip =~ '^10\\.'", true);
    check("`content-type` == 'text/html'", true);
    let bare = Record::new("x", None, None, &[]);
    for text in [
        "level >= trace",
        "level != error",
        "level <= fatal",
        "time > '1970-01-02'",
        "time != '2024-03-01'",
        "has(level)",
        "has(time)",
    ] {
        assert!(!holds(text, &bare), "{text}");
    }
    assert!(holds("not level >= error", &bare));
}

#[test]
fn and_or_not_bind_as_in_python() {
    let record = sample();
    let check = |text: &str, want: bool| assert_eq!(holds(text, &record), want, "{text}");
    check("status == 500 or status == 1 and service == 'web'", true);
    check("(status == 500 or status == 1) and service == 'web'", false);
    check("not status == 1 and service == 'api'", true);
    check("not (status == 500 and service == 'api')", false);
    check("status == 1 || status == 500 && !has(missing)", true);
    check("not not status == 500", true);
    check("service not contains 'x'", true);
}

#[test]
fn a_field_has_one_slot() {
    let mut wanted = Wanted::default();
    let parse =
        |text: &str, wanted: &mut Wanted| Condition::parse(text, &zone(), wanted).expect(text);
    parse("a == 1 or a.b == 2 and level == error", &mut wanted);
    parse("`a` == 3 or .level == 'x'", &mut wanted);
    let flats: Vec<&[u8]> = wanted.paths.iter().map(|path| &*path.flat).collect();
    assert_eq!(flats, [&b"a"[..], b"a.b", b"level"]);
    assert!(wanted.level && !wanted.time && !wanted.message);
    assert!(parse("template == 'x'", &mut wanted).needs().template);
    assert!(wanted.message);
}

#[test]
fn warns_of_names_that_look_misspelt() {
    let check = |text: &str, want: &[(&str, &str)]| {
        let got = Condition::parse(text, &zone(), &mut Wanted::default())
            .expect(text)
            .suspicious_names();
        assert_eq!(
            got,
            want.iter()
                .map(|(name, meant)| (String::from(*name), *meant))
                .collect::<Vec<_>>(),
            "{text}"
        );
    };
    check("levle == 'x'", &[("levle", "level")]);
    check(
        "Level == 'x' and mesage contains 'y'",
        &[("Level", "level"), ("mesage", "message")],
    );
    check(".level == 'x' or service == 'y' or cpu > 5", &[]);
}

#[test]
#[rustfmt::skip] // one line a case
fn a_prefilter_gets_the_rarest_certain_literals() {
    let check = |text: &str, want: Option<&[&str]>| {
        let got = Condition::parse(text, &zone(), &mut Wanted::default()).expect(text).required_literals();
        let want = want.map(|literals| literals.iter().map(|literal| literal.as_bytes().to_vec()).collect::<Vec<_>>());
        assert_eq!(got, want, "{text}");
    };
    check("service == 'api'", Some(&["api"]));
    check("service in ('api', 'web')", Some(&["api", "web"]));
    check("message contains 'connection refused'", Some(&["connection"]));
    check("path contains 'say \"hello\"'", Some(&["hello"]));
    check("path =~ '^/v[12]/(users|orders)'", Some(&["users", "orders"]));
    check("level >= error and service == 'api' and path contains '/users'", Some(&["/users"]));
    check("service == 'api' or path contains '/users'", Some(&["api", "/users"]));
    check("service == 'api' or status > 5", None);
    for text in ["service != 'api'", "not service == 'api'", "status == 500", "level == error", "severity == '33'", "raw contains 'abc'", "a contains 'é'", "a contains 'x'", "a =~ '(?i)abc'", "a =~ '(abc)?'", "ok == true", "source == 'abc'", "template == 'abc'", "fingerprint == 'abc'", "has(abc)"] {
        check(text, None);
    }
}

/// The first line of the rendered error without the origin, and what the carets point at.
fn mistake(text: &str, error: super::error::Error) -> String {
    let wrong = text
        .get(error.at.clone())
        .expect("errors stand on characters")
        .to_owned();
    let rendered = error.render("-w", text);
    let first = rendered.lines().next().expect("an error has a first line");
    assert!(rendered.lines().count() == 3, "{rendered}");
    format!(
        "{} [{wrong}]",
        first.strip_prefix("-w:").expect("the origin comes first")
    )
}

#[test]
#[rustfmt::skip] // one line a case
fn mistakes_are_answered_with_place_cause_and_remedy() {
    let check = |text: &str, want: &str| {
        let error = Condition::parse(text, &zone(), &mut Wanted::default()).expect_err(text);
        assert_eq!(mistake(text, error), want, "{text}");
    };
    check("", "1:1: the expression is empty; write a condition such as level >= error []");
    check("  ", "1:1: the expression is empty; write a condition such as level >= error [  ]");
    check("level = error", "1:7: unexpected \"=\"; write == to compare, =~ to match a pattern [=]");
    check("service == api", "1:12: a field is compared with a constant; did you mean \"api\" in quotes? [api]");
    check("service == api-gateway", "1:12: a field is compared with a constant; did you mean \"api-gateway\" in quotes? [api-gateway]");
    check("service == error", "1:12: error is a level only beside level; put it in quotes: \"error\" [error]");
    check("message contains failed", "1:18: contains looks for a string; did you mean \"failed\" in quotes? [failed]");
    check("message contains 5", "1:18: contains looks for a string; put it in quotes: \"5\" [5]");
    check("level > \"eror\"", "1:9: unknown level \"eror\"; did you mean \"error\"? [\"eror\"]");
    check("level >= wran", "1:10: unknown level \"wran\"; did you mean \"warn\"? [wran]");
    check("level == none", "1:10: unknown level \"none\"; write not has(level) [none]");
    check("level == 5", "1:10: level is compared with a level; the levels are trace, debug, info, warn, error, fatal; the record's own key is .level [5]");
    check("level contains 'e'", "1:1: level is no text, so contains cannot be used with it; write level >= warn or level in (warn, error) [level]");
    check("a == \"x", "1:6: this string has no end; close it with \" (inside a string write \\\") [\"]");
    check("a == 'it\\'s", "1:6: this string has no end; close it with ' (inside a string write \\') [']");
    check("(a == 1", "1:1: this parenthesis has no end; add ) [(]");
    check("a == 1)", "1:7: this closes nothing; remove it, or open it before [)]");
    check("a in (1, 2", "1:6: this list has no end; add ) [(]");
    check("a in 1", "1:6: a list is missing after in; write x in (\"a\", \"b\") [1]");
    check("1 < a < 5", "1:7: comparisons do not chain; join two with and: 1 < a and a < 5 [<]");
    check("a == 1 AND b == 2", "1:8: unexpected \"AND\"; write and in lower case [AND]");
    check("NOT a == 1", "1:1: unexpected \"NOT\"; write not in lower case [NOT]");
    check("a LIKE 'x%'", "1:3: unexpected \"LIKE\"; write contains \"text\" or =~ \"pattern\" [LIKE]");
    check("a <> 1", "1:3: unexpected \"<>\"; write != for not equal [<>]");
    check("a is null", "1:3: unexpected \"is\"; write not has(field) for a missing one, == null for a null [is]");
    check("a between 1 and 5", "1:3: unexpected \"between\"; write a >= 1 and a <= 5 [between]");
    check("a ==", "1:5: the expression ends where a value should stand []");
    check("== 5", "1:1: unexpected \"==\"; a value should stand here [==]");
    check("a == 1 b == 2", "1:8: unexpected \"b\"; join conditions with and, or; put a string in quotes [b]");
    check("service == api gateway", "1:16: unexpected \"gateway\"; join conditions with and, or; put a string in quotes [gateway]");
    check("active", "1:1: \"active\" alone is no condition; write has(active) or active == \"…\" [active]");
    check("http-status == 5", "1:1: a condition over one record does not calculate; put a name with odd characters in backticks: `http-status` [http-status]");
    check("a + 1 > 5", "1:1: a condition over one record does not calculate; compare the field with a constant [a + 1]");
    check("a > 5parsecs", "1:5: 5parsecs is no number with a unit; units are ns, us, ms, s, m, h, d, B, KB, KiB, MB, MiB, GB, GiB, %; other text stands in quotes [5parsecs]");
    check("a == 10.0.0.1", "1:6: 10.0.0.1 is no number; units are ns, us, ms, s, m, h, d, B, KB, KiB, MB, MiB, GB, GiB, %; other text stands in quotes [10.0.0.1]");
    check("a =~ 5", "1:6: a pattern is a string; put it in quotes [5]");
    check("a =~ /x/", "1:6: a pattern stands in quotes; write =~ \"…\" [/]");
    check("a =~ '(x'", "1:7: the pattern is no regular expression: unclosed group [(]");
    check("a =~ 'x(?=y)'", "1:8: look-around, including look-ahead and look-behind, is not supported; patterns run in linear time; join two conditions with and, and not instead [(?=]");
    check("a =~ '(x)\\1'", "1:10: backreferences are not supported; patterns run in linear time, so they cannot refer to what they matched [\\1]");
    check("a =~ '(\\w{900}){900}'", "1:6: the pattern takes more than 4 MiB when compiled; use smaller counts in {…}, or (?-u) for ASCII classes ['(\\w{900}){900}']");
    check("a == 'C:\\dir'", "1:9: unknown escape \"\\\\d\"; write a backslash as \\\\, any character as \\u{1b} [\\d]");
    check("time > 2024-03-01", "1:8: time is compared with a time in quotes; write \"2024-03-01\", \"2024-03-01 10:00\" or \"2024-03-01T10:00:00Z\" [2024-03-01]");
    check("time > 'yesterday'", "1:8: \"yesterday\" is no time; write \"2024-03-01\", \"2024-03-01 10:00\" or \"2024-03-01T10:00:00Z\" ['yesterday']");
    check("1 == 1", "1:1: this compares two constants; one side has to be a field [1 == 1]");
    check("'a' contains 'b'", "1:1: this compares two constants; one side has to be a field ['a' contains 'b']");
    check("hsa(x)", "1:1: unknown function \"hsa\"; did you mean \"has\"? [hsa]");
    check("exists(x)", "1:1: unknown function \"exists\"; did you mean \"has\"? [exists]");
    check("has('x')", "1:1: has takes the name of one field; write has(field) [has('x')]");
    check("count() > 5", "1:1: count is about many records and cannot stand in a condition over one; use it in --fail-on [count]");
    check("has(x) == true", "1:1: has(…) is true or false already; write it alone, or not before it [has(x)]");
    check("a == “x”", "1:6: unexpected character '“'; write strings in plain quotes: \"…\" [“]");
    check("a == 1 | b == 2", "1:8: unexpected character '|'; join conditions with and, or [|]");
    check("a > true", "1:5: this has no order; compare with == or != [true]");
    check("a == 1 and\n b = 2", "2:4: unexpected \"=\"; write == to compare, =~ to match a pattern [=]");
    let deep = |count: usize, open: &str| {
        format!(
            "{}a == 1{}",
            open.repeat(count),
            ")".repeat(if open == "(" { count } else { 0 })
        )
    };
    assert!(parse(&deep(60, "(")).is_ok() && parse(&deep(60, "not ")).is_ok());
    for text in [
        deep(10_000, "("),
        deep(10_000, "not "),
        deep(10_000, "!"),
        deep(10_000, "-"),
        format!("a{}", " + a".repeat(5000)),
        format!("x{}", "\"".repeat(70_000)),
    ] {
        assert!(parse(&text).is_err());
    }
    assert!(parse(&format!("a == 1{}", " and a == 1".repeat(5000))).is_ok());
}

fn check(text: &str) -> Result<Check, super::error::Error> {
    Check::parse(text, &zone(), &mut Wanted::default())
}

#[test]
fn checks_look_at_counts_and_metrics() {
    // 200 records; every condition counts 4; latency 100, 200, 300; cpu has a mean of 85.
    let holds = |text: &str, want: bool| {
        let check = check(text).unwrap_or_else(|error| panic!("{}", error.render("test", text)));
        let counts = vec![4; check.conditions().len()];
        let metric = |field: &str, statistic: Statistic| match (field, statistic) {
            ("latency_ms", Statistic::Quantile(quantile)) => {
                Some([100.0, 200.0, 300.0][((quantile * 3.0).ceil() as usize - 1).min(2)])
            }
            ("latency_ms", Statistic::Max) => Some(300.0),
            ("latency_ms", Statistic::Min) => Some(100.0),
            ("latency_ms", Statistic::Sum) => Some(600.0),
            ("cpu", Statistic::Mean) => Some(85.0),
            _ => None,
        };
        assert_eq!(check.holds(&counts, 200, &metric), want, "{text}");
    };
    holds("count(level >= error) > 0", true);
    holds("count(level >= error) == 4", true);
    holds("0 < count(level >= error)", true);
    holds("count() == 200", true);
    holds("count() in (100, 200)", true);
    holds("count() != 200 or count() < 200", false);
    holds("p99(latency_ms) > 250", true);
    holds("p50(latency_ms) > 250ms", false);
    holds("p50(latency_ms) == 0.2s", true);
    holds("max(latency_ms) - min(latency_ms) == 200", true);
    holds("sum(latency_ms) / 3 == 200", true);
    holds("mean(cpu) >= 80%", true);
    holds("mean(cpu) >= 90%", false);
    holds("count(level >= error) / count() > 0.01", true);
    holds("count(level >= error) / count() > 1%", true);
    holds("3% > count(level >= error) / count()", true);
    holds("count(status >= 500 and has(user)) / count() > 2%", false);
    holds("count() * 2 + 1 == 401", true);
    holds("2 + 2 * 3 == 8 and (2 + 2) * 3 == 12", true);
    holds("-count() == -200", true);
    holds("mean(missing) > 0", false);
    holds("mean(missing) != 0", false);
    holds("not mean(missing) > 0", true);
    holds("count() / 0 > 0", false);
    holds("0 / 0 != 0", false);
}

#[test]
fn checks_list_what_they_need() {
    let check = check("count(level >= error) > 0 and count((level >= error)) < 5 or count(a == 1) > p99(x.y) + max(x.y) + mean(.level)").expect("valid");
    assert_eq!(check.conditions().len(), 2);
    assert_eq!(check.metrics(), ["x.y", ".level"]);
}

#[test]
#[rustfmt::skip] // one line a case
fn mistakes_in_checks_are_answered_too() {
    let check = |text: &str, want: &str| {
        assert_eq!(mistake(text, check(text).expect_err(text)), want, "{text}")
    };
    check("1 > 2 + countt()", "1:9: unknown function \"countt\"; did you mean \"count\"? [countt]");
    check("level >= error", "1:1: \"level\" is a field of one record; this check is about all of them; write count(level >= error) > 0 [level]");
    check("count > 5", "1:1: \"count\" is a field of one record; this check is about all of them; write count() or count(level >= error) [count]");
    check("count(level >= eror) > 5", "1:16: unknown level \"eror\"; did you mean \"error\"? [eror]");
    check("count(level >= error)", "1:1: a number alone is no check; compare it: count(level >= error) > 0 [count(level >= error)]");
    check("p99(latency) > max", "1:16: \"max\" is a field of one record; this check is about all of them; write max(field) [max]");
    check("p99() > 5", "1:1: p99 takes the name of one field; write p99(field) [p99()]");
    check("p99(level) > 5", "1:5: level is no number; the record's own key is .level [level]");
    check("avg(cpu) > 5", "1:1: unknown function \"avg\"; did you mean \"mean\"? [avg]");
    check("has(cpu) > 5", "1:1: has is about one record and can only stand inside count(…); write count(has(field)) > 0 [has]");
    check("count(a) > 5", "1:7: \"a\" alone is no condition; write has(a) or a == \"…\" [a]");
    check("count(a == 1, b == 2) > 5", "1:1: count takes one condition at most; join two with and; write count() or count(level >= error) [count(a == 1, b == 2)]");
    check("count(a == 1 > 5", "1:14: comparisons do not chain; join two with and: 1 < a and a < 5 [>]");
    check("count() > 'x'", "1:11: a number should stand here; write count(), p99(field) … or a number ['x']");
    check("count() =~ 'x'", "1:8: numbers have no =~ [ =~ ]");
    check("count() + (1 > 2) > 3", "1:11: a number should stand here; write count(), p99(field) … or a number [(1 > 2)]");
}
