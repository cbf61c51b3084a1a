//! The one table of what can be called in an expression: name, where it may stand, what it takes.
//! A new function is a line here and an arm where its `Meaning` is resolved.

/// What a call stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// Whether the record has the field.
    Has,
    /// Records, all or those for which a condition holds.
    Count,
    /// A number of a metric's histogram.
    Metric(Statistic),
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

/// In which kind of expression a function may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Over one record: `--where`.
    Record,
    /// Over a finished report: `--fail-on`.
    Report,
}

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

pub const FUNCTIONS: [Function; 12] = [
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
];

pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}
