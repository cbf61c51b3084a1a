//! `weir test`: the cases of a configuration. Each is read as `weir run` would read it, and what comes
//! of it is compared with what is expected.

use crate::cli::args::TestArgs;
use crate::cli::config::{self, refuse};
use crate::cli::output;
use crate::config::watching::{Case, ExpectedAlert, ExpectedSet, ExpectedState, Key};
use crate::error::{Failure, exit};
use crate::flow::alert::Alert;
use crate::flow::time::Time;
use crate::plan::setup::{self, Purpose};
use crate::run::rehearse::{Recorded, Rehearsal, rehearse};
use crate::state::State;
use crate::stop::Stop;

pub fn run(args: TestArgs) -> Result<u8, Failure> {
    let loaded = match config::load(&args.config) {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(refuse(&problems)),
    };
    let cases = &loaded.config.test;
    if cases.is_empty() {
        return Err(Failure {
            message: "the configuration has no [[test]]".to_owned(),
            exit_code: exit::CONFIGURATION,
        });
    }
    let mut text = String::new();
    let mut failed = 0;
    for case in cases {
        let setup = match setup::setup(&loaded, Purpose::Replay, None) {
            Ok(setup) => setup,
            Err(problems) => return Ok(refuse(&problems)),
        };
        let recorded = match &case.file {
            Some(file) => Recorded::Files(vec![file.into()]),
            None => Recorded::Lines(case.input.clone()),
        };
        let stop = Stop::new().map_err(|error| Failure::io(format!("signals: {error}")))?;
        let rehearsal = rehearse(setup, recorded, stop)?;
        let mut differences: Vec<String> = rehearsal
            .outcome
            .problems
            .iter()
            .map(|(problem, _)| problem.clone())
            .collect();
        differences.extend(differs(case, &rehearsal));
        failed += usize::from(!differences.is_empty());
        let verdict = if differences.is_empty() {
            "ok    "
        } else {
            "FAILED"
        };
        text.push_str(&format!("{verdict} {}\n", case.name));
        for difference in differences {
            for line in difference.lines() {
                text.push_str(&format!("       {line}\n"));
            }
        }
    }
    text.push_str(&match failed {
        0 => format!("{} passed\n", cases.len()),
        failed => format!("{failed} of {} failed\n", cases.len()),
    });
    output::write(None, config::plain(&text))?;
    Ok(if failed > 0 { exit::FAILED } else { 0 })
}

/// What is not as expected, in words.
fn differs(case: &Case, rehearsal: &Rehearsal) -> Vec<String> {
    let expect = &case.expect;
    let mut found = Vec::new();
    if let Some(lines) = &expect.lines {
        let text = String::from_utf8_lossy(&rehearsal.lines);
        let written: Vec<&str> = text.lines().collect();
        if written != *lines {
            found.push(first_difference("line", lines, &written));
        }
    }
    if let Some(alerts) = &expect.alerts {
        let made = &rehearsal.alerts;
        let fits = made.len() == alerts.len()
            && made
                .iter()
                .zip(alerts)
                .all(|(made, expected)| is(made, expected));
        if !fits {
            let wanted: Vec<String> = alerts.iter().map(expected_alert).collect();
            let made: Vec<String> = made.iter().map(shown).collect();
            found.push(first_difference("alert", &wanted, &made));
        }
    }
    let state = &rehearsal.outcome.state;
    found.extend(
        expect
            .states
            .iter()
            .filter_map(|expected| state_differs(state, expected)),
    );
    found.extend(
        expect
            .sets
            .iter()
            .filter_map(|expected| set_differs(state, expected)),
    );
    found
}

fn is(alert: &Alert, expected: &ExpectedAlert) -> bool {
    alert.rule == expected.rule
        && expected.status.is_none_or(|status| status == alert.status)
        && expected.labels.iter().all(|(name, value)| {
            alert
                .labels
                .iter()
                .any(|label| (&label.0, &label.1) == (name, value))
        })
}

fn expected_alert(alert: &ExpectedAlert) -> String {
    let status = alert.status.map_or("any status", |status| status.name());
    let labels: Vec<String> = alert
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{} {status} {{{}}}", alert.rule, labels.join(", "))
}

/// An alert in one line.
pub fn shown(alert: &Alert) -> String {
    let own = |name: &str| name == "alertname" || name == "severity";
    let labels: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!(
        "{} {} {{{}}}",
        alert.rule,
        alert.status.name(),
        labels.join(", ")
    )
}

/// The first place at which two lists differ.
fn first_difference<W: AsRef<str>, M: AsRef<str>>(what: &str, wanted: &[W], made: &[M]) -> String {
    let same = wanted.iter().zip(made);
    let same = same
        .take_while(|(wanted, made)| wanted.as_ref() == made.as_ref())
        .count();
    let at =
        |list: Option<&str>| list.map_or("nothing more".to_owned(), |text| format!("\"{text}\""));
    format!(
        "{what} {}: expected {}, got {} ({} expected, {} made)",
        same + 1,
        at(wanted.get(same).map(AsRef::as_ref)),
        at(made.get(same).map(AsRef::as_ref)),
        wanted.len(),
        made.len(),
    )
}

fn state_differs(state: &State, expected: &ExpectedState) -> Option<String> {
    let watched = &state.watched;
    let known = watched
        .states
        .iter()
        .find(|known| known.settings().name == expected.name);
    let about = format!("state {} of {}", expected.name, key(&expected.key));
    let Some(known) = known else {
        return Some(format!("{about}: there is no such state"));
    };
    let encoded = match setup::encode(&expected.key, &known.settings().key) {
        Ok(encoded) => encoded,
        Err(problem) => return Some(format!("{about}: {problem}")),
    };
    let now = watched.at.or(state.last).unwrap_or(Time(0));
    let wanted = crate::flow::key::values(&encoded);
    let rows = known.rows(now);
    let row = rows.iter().find(|row| {
        row.key
            .iter()
            .map(|(_, value)| *value)
            .eq(wanted.iter().copied())
    });
    let Some(row) = row else {
        return Some(format!("{about}: not seen"));
    };
    let value = row
        .value
        .map(|value| String::from_utf8_lossy(value).into_owned());
    if let Some(wanted) = expected.status
        && wanted.name() != row.status.name()
    {
        return Some(format!(
            "{about}: expected {}, is {}",
            wanted.name(),
            row.status.name()
        ));
    }
    if let Some(wanted) = &expected.value
        && Some(wanted) != value.as_ref()
    {
        let is = value.unwrap_or_else(|| "nothing".to_owned());
        return Some(format!("{about}: expected \"{wanted}\", is \"{is}\""));
    }
    None
}

fn set_differs(state: &State, expected: &ExpectedSet) -> Option<String> {
    let known = state
        .watched
        .sets
        .iter()
        .find(|known| known.settings().name == expected.name);
    let about = match &expected.key {
        Some(entry) => format!("set {} of {}", expected.name, key(entry)),
        None => format!("set {}", expected.name),
    };
    let Some(known) = known else {
        return Some(format!("{about}: there is no such set"));
    };
    let encoded = match &expected.key {
        Some(entry) => match setup::encode(entry, &known.settings().key) {
            Ok(encoded) => Some(encoded),
            Err(problem) => return Some(format!("{about}: {problem}")),
        },
        None => None,
    };
    let count = known.count(encoded.as_deref());
    (count != expected.count).then(|| {
        format!(
            "{about}: expected {} distinct values, has {count}",
            expected.count
        )
    })
}

fn key(key: &Key) -> String {
    match key {
        Key::One(value) => value.clone(),
        Key::Several(values) => {
            let pairs: Vec<String> = values
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.join(", ")
        }
    }
}
