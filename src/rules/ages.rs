//! When a rule that looks at ages, or at what was before, is to be looked at next.

use crate::flow::time::Time;
use crate::rules::judge::{Bench, Gap, bucket_after};
use crate::rules::rule::{Rule, Source};

/// The smallest age of a key of the state that the rule asks for, in nanoseconds.
pub(super) fn ages(rule: &Rule, state: usize) -> Option<i64> {
    let mut found: Option<i64> = None;
    for resolved in rule.expressions() {
        for (operand, source) in resolved.sources.iter().enumerate() {
            if !matches!(source, Source::Age(of) if *of == state) {
                continue;
            }
            let constants = resolved.expression.constants(operand);
            let smallest = constants.iter().copied().fold(f64::INFINITY, f64::min);
            // Without a constant it is calculated with, and every step counts.
            let smallest = if smallest.is_finite() {
                (smallest * 1e6) as i64
            } else {
                0
            };
            found = Some(found.map_or(smallest, |found| found.min(smallest)));
        }
    }
    found
}

/// The next bucket after `bucket` at whose end an age has become what the rule compares it with.
pub(super) fn next_age(rule: &Rule, bucket: i64, gap: Gap, bench: &Bench) -> Option<i64> {
    if rule.looks_back() {
        return Some(gap.next(bucket));
    }
    let mut next: Option<i64> = None;
    for resolved in rule.expressions() {
        for (operand, source) in resolved.sources.iter().enumerate() {
            let Source::Age(state) = source else { continue };
            let constants = resolved.expression.constants(operand);
            let state = &bench.states[*state];
            if constants.is_empty() && !state.keys().is_empty() {
                return Some(gap.next(bucket));
            }
            for key in state.keys() {
                let far = Time(i64::MAX);
                let Some(age) = state.age(key, far) else {
                    continue;
                };
                let last = far.0 - age;
                for constant in constants {
                    let due = last.saturating_add((constant * 1e6) as i64);
                    let due = bucket_after(rule.cut, Time(due));
                    if due > bucket {
                        next = Some(next.map_or(due, |next| next.min(due)));
                    }
                }
            }
        }
    }
    next
}
