//! The one table of what can be called in an expression: name, where it may stand, what it takes.
//! A new function is a line here, an arm where its `Meaning` is resolved, and a row in
//! `docs/conditions.md`.

/// What a call stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// Whether the record has the field.
    Has,
    /// Records, all or those for which a condition holds.
    Count,
    /// A number of a metric's histogram.
    Metric(Statistic),
    /// Records in a second.
    Rate,
    /// The same number over the window that long before.
    Ago,
    /// Distinct values of a field.
    Distinct,
    /// A message that nobody knows.
    New,
    /// The last value of a state.
    Last,
    /// Time since a key of a state was seen.
    Age,
    /// Whether a key of a state is silent for too long.
    Missing,
    /// Whether a key of a state stays unfinished for too long.
    Stuck,
    /// Whether a source is read.
    Up,
}

/// One number about a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    Sum,
    Mean,
    Min,
    Max,
    /// The value of nearest rank; 0.99 is p99.
    Quantile(f64),
}

impl Statistic {
    /// As it is called: `p95`.
    pub fn name(self) -> String {
        match self {
            Statistic::Sum => "sum".to_owned(),
            Statistic::Mean => "mean".to_owned(),
            Statistic::Min => "min".to_owned(),
            Statistic::Max => "max".to_owned(),
            Statistic::Quantile(quantile) => {
                // Nine digits are the most that a percentile has; the first two are the percentage.
                let digits = format!("{quantile:.9}");
                let digits = digits.trim_start_matches("0.").trim_end_matches('0');
                format!("p{digits:0<2}")
            }
        }
    }
}

/// In which kind of expression a function may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Over one record: `--where`.
    Record,
    /// Over a finished report: `--fail-on`.
    Report,
    /// Over windows and states: `when` and `clear` of a rule. What a report can calculate a rule can
    /// too.
    Rule,
}

#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub place: Place,
    pub meaning: Meaning,
    /// How a call looks, for messages.
    pub usage: &'static str,
}

const fn record(name: &'static str, meaning: Meaning, usage: &'static str) -> Function {
    Function {
        name,
        place: Place::Record,
        meaning,
        usage,
    }
}

const fn report(name: &'static str, meaning: Meaning, usage: &'static str) -> Function {
    Function {
        name,
        place: Place::Report,
        meaning,
        usage,
    }
}

const fn rule(name: &'static str, meaning: Meaning, usage: &'static str) -> Function {
    Function {
        name,
        place: Place::Rule,
        meaning,
        usage,
    }
}

impl Function {
    /// Whether it may stand there.
    pub fn stands_in(&self, place: Place) -> bool {
        self.place == place || self.place == Place::Report && place == Place::Rule
    }
}

pub const FUNCTIONS: [Function; 21] = [
    record("has", Meaning::Has, "has(field)"),
    report("count", Meaning::Count, "count() or count(level >= error)"),
    report("sum", Meaning::Metric(Statistic::Sum), "sum(field)"),
    report("mean", Meaning::Metric(Statistic::Mean), "mean(field)"),
    report("min", Meaning::Metric(Statistic::Min), "min(field)"),
    report("max", Meaning::Metric(Statistic::Max), "max(field)"),
    report(
        "p50",
        Meaning::Metric(Statistic::Quantile(0.5)),
        "p50(field)",
    ),
    report(
        "p75",
        Meaning::Metric(Statistic::Quantile(0.75)),
        "p75(field)",
    ),
    report(
        "p90",
        Meaning::Metric(Statistic::Quantile(0.9)),
        "p90(field)",
    ),
    report(
        "p95",
        Meaning::Metric(Statistic::Quantile(0.95)),
        "p95(field)",
    ),
    report(
        "p99",
        Meaning::Metric(Statistic::Quantile(0.99)),
        "p99(field)",
    ),
    report(
        "p999",
        Meaning::Metric(Statistic::Quantile(0.999)),
        "p999(field)",
    ),
    rule(
        "rate",
        Meaning::Rate,
        "rate(), rate(level >= error) or rate(counter)",
    ),
    rule("ago", Meaning::Ago, "ago(7d, count())"),
    rule("distinct", Meaning::Distinct, "distinct(field)"),
    rule("new", Meaning::New, "new() or new(field)"),
    rule("last", Meaning::Last, "last(state) == \"failed\""),
    rule("age", Meaning::Age, "age(state) > 10m"),
    rule("missing", Meaning::Missing, "missing(state)"),
    rule("stuck", Meaning::Stuck, "stuck(state)"),
    rule("up", Meaning::Up, "not up(source)"),
];

/// The function of that name: one of the table, or any other percentile.
pub fn find(name: &str) -> Option<Function> {
    let known = FUNCTIONS.iter().find(|function| function.name == name);
    known.copied().or_else(|| {
        Some(report(
            "p95",
            Meaning::Metric(percentile(name)?),
            "p95(field)",
        ))
    })
}

/// `p42` is 0.42, `p999` is 0.999: from the third digit on they are decimals of the percentage.
fn percentile(name: &str) -> Option<Statistic> {
    let digits = name.strip_prefix('p')?;
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = digits.parse().ok()?;
    if number == 0 || digits == "100" {
        return None;
    }
    let decimals = digits.len().max(2) as i32;
    Some(Statistic::Quantile(
        f64::from(number) / 10f64.powi(decimals),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_has_the_name_that_finds_it() {
        for name in ["p50", "p5", "p05", "p95", "p99", "p999", "p9999", "p10"] {
            let Some(statistic) = percentile(name) else {
                panic!("{name} is no percentile");
            };
            assert_eq!(percentile(&statistic.name()), Some(statistic), "{name}");
        }
    }
}
