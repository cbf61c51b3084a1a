//! What people write: conditions, checks, rules and the configuration.

use logweir::config::load::{Loaded, load_texts};
use logweir::config::show::{Defaults, show};
use logweir::expr::aggregate::Check;
use logweir::expr::check_syntax;
use logweir::expr::condition::{Condition, View};
use logweir::expr::rule::Expression;
use logweir::flow::row::Row;
use logweir::flow::secret::HIDDEN;
use logweir::flow::wanted::Wanted;
use logweir::parsers::detect::Parsers;
use logweir::plan::setup::{Purpose, setup};

use super::facts;

/// The first line is an expression, the others are records: what can be read is evaluated, what
/// cannot be is explained, and the literals that a condition asks for are in every record that meets
/// it (law 5).
pub fn expressions(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let Some(Ok(text)) = lines.next().map(std::str::from_utf8) else {
        return;
    };
    if let Err(error) = check_syntax(text) {
        let _ = error.render("-w", text);
    }
    let zone = jiff::tz::TimeZone::UTC;
    let mut wanted = Wanted::default();
    let check = Check::parse(text, &zone, &mut wanted);
    match &check {
        Ok(check) => {
            let counts = vec![3; check.conditions().len()];
            check.holds(&counts, 10, &|name, _| (name.len() > 2).then_some(0.0));
        }
        Err(error) => {
            let _ = error.render("--fail-on", text);
        }
    }
    match Expression::parse(text, &["s".to_owned()]) {
        Ok(rule) => {
            rule.holds(&|operand| (operand != 1).then_some(operand as f64));
            rule.value(&|_| None);
            for operand in 0..rule.operands().len() {
                let _ = rule.constants(operand);
            }
        }
        Err(error) => {
            let _ = error.render("when", text);
        }
    }
    let mut wanted = Wanted::default();
    let condition = match Condition::parse(text, &zone, &mut wanted) {
        Ok(condition) => condition,
        Err(error) => {
            let _ = error.render("-w", text);
            return;
        }
    };
    let _ = condition.suspicious_names();
    let required = condition.required_literals();
    let mut parsers = Parsers::new(&wanted);
    parsers.set_facts(&facts());
    let mut row = Row::new(wanted.paths.len());
    for record in lines.take(32) {
        row.reset();
        parsers.parse(record, &mut row);
        let view = View {
            row: &row,
            record,
            raw: record,
            source: "in",
            line: 1,
            fingerprint: Some("f1:0000000000000000"),
            template: Some(b"a <*>"),
        };
        if condition.holds(&view)
            && let Some(required) = &required
            && !record.contains(&b'\\')
        {
            let has = |text: &Vec<u8>| memchr::memmem::find(record, text).is_some();
            assert!(required.iter().any(has), "{text}: {required:?}");
        }
    }
}

/// A configuration is either used or explained, and what is shown of it loads to the same.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let variables = |name: &str| (name != "UNSET").then(|| "8".to_owned());
    let load = |text: &str| {
        let texts = vec![("weir.toml".to_owned(), text.to_owned())];
        load_texts(texts, None, &variables)
    };
    let loaded = match load(text) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let _ = (problems.to_string(), problems.json());
            return;
        }
    };
    let shown = show(&loaded, Defaults::Hide);
    let _ = show(&loaded, Defaults::Show);
    // Secrets are hidden in what is shown, so that it may not load, or not to the same.
    if !text.contains("${")
        && !shown.contains(HIDDEN)
        && let Ok(again) = load(&shown)
    {
        let value = |loaded: &Loaded| serde_json::to_value(&loaded.config).expect("plain values");
        assert_eq!(value(&again), value(&loaded), "{shown}");
    }
    // As in a replay: no secret is needed, so no file is read.
    if !text.contains("baseline")
        && let Err(problems) = setup(&loaded, Purpose::Replay, None)
    {
        let _ = (problems.to_string(), problems.json());
    }
}
