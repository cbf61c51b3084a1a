//! A `[[state]]` or `[[set]]` with its values read, and as it runs: its input known.

use jiff::tz::TimeZone;

use crate::expr::condition::Condition;
use crate::expr::error::Error;
use crate::expr::input::{INPUTS_MAX, Input, Inputs, Observe};
use crate::flow::key::{GroupField, Grouping};
use crate::flow::wanted::{Path, Wanted};
use crate::rules::rule::Problem;
use crate::state::keyed::KeyedSettings;
use crate::state::sets::SetSettings;

/// A `[[state]]` that can run.
#[derive(Clone, Debug)]
pub struct StatePlan {
    pub settings: KeyedSettings,
    /// Names of the notifiers of the rules `NAME.bad`, `.missing`, `.stuck` and `.order`; without any
    /// there are no such rules.
    pub notify: Vec<String>,
    /// Of those rules.
    pub severity: String,
    /// Place in the plan's inputs.
    pub input: u16,
    /// The field of the value, and `where` as typed.
    pub value: String,
    pub where_: Option<String>,
    /// What the state is made of, so that a reload keeps what it knows if this is the same. Not the
    /// roster, which only says what is missed.
    pub definition: String,
}

/// A `[[set]]` that can run.
#[derive(Clone, Debug)]
pub struct SetPlan {
    pub settings: SetSettings,
    /// Place in the plan's inputs.
    pub input: u16,
    /// The field of the value, and `where` as typed.
    pub value: String,
    pub where_: Option<String>,
    /// As [`StatePlan::definition`].
    pub definition: String,
}

impl StatePlan {
    /// Checks a state whose value stands in the field `value`; only records that meet `where_` count.
    pub fn resolve(
        settings: KeyedSettings,
        value: &str,
        where_: Option<&str>,
        zone: &TimeZone,
        wanted: &mut Wanted,
        inputs: &mut Inputs,
    ) -> Result<StatePlan, Problem> {
        // By seconds, so that a silence between two records with the same value is seen.
        let input = input(&settings.key, value, where_, true, zone, wanted, inputs)?;
        let listed = KeyedSettings {
            roster: Vec::new(),
            ..settings.clone()
        };
        Ok(StatePlan {
            definition: format!("{listed:?} {value:?} {where_:?}"),
            settings,
            notify: Vec::new(),
            severity: "warning".to_owned(),
            value: value.to_owned(),
            where_: where_.map(str::to_owned),
            input,
        })
    }
}

impl SetPlan {
    /// Checks a set of the values of the field `value`; only records that meet `where_` count.
    pub fn resolve(
        settings: SetSettings,
        value: &str,
        where_: Option<&str>,
        zone: &TimeZone,
        wanted: &mut Wanted,
        inputs: &mut Inputs,
    ) -> Result<SetPlan, Problem> {
        let input = input(&settings.key, value, where_, false, zone, wanted, inputs)?;
        Ok(SetPlan {
            definition: format!("{:?} {value:?} {where_:?}", settings.key),
            settings,
            value: value.to_owned(),
            where_: where_.map(str::to_owned),
            input,
        })
    }
}

fn input(
    key: &[String],
    value: &str,
    where_: Option<&str>,
    by_second: bool,
    zone: &TimeZone,
    wanted: &mut Wanted,
    inputs: &mut Inputs,
) -> Result<u16, Problem> {
    let grouping = grouping(key, "key", wanted)?;
    let field = group_field(value, wanted).map_err(|error| Problem {
        key: "value",
        error,
    })?;
    let condition = condition(where_, zone, wanted)?;
    wanted.time = true;
    add(
        inputs,
        Input {
            condition,
            grouping,
            observe: Observe::Texts(field),
            by_second,
            each: false,
        },
    )
    .map_err(|error| Problem {
        key: "value",
        error,
    })
}

/// The place of an input in the plan.
pub(super) fn add(inputs: &mut Inputs, input: Input) -> Result<u16, Error> {
    inputs.add(input).ok_or_else(|| {
        Error::new(
            0..0,
            format!("states, sets and rules together observe more than {INPUTS_MAX} things"),
        )
        .hint("let rules share their where and by")
    })
}

/// A `where`, as typed and as checked.
pub(super) fn condition(
    where_: Option<&str>,
    zone: &TimeZone,
    wanted: &mut Wanted,
) -> Result<Option<(String, Condition)>, Problem> {
    let Some(text) = where_ else {
        return Ok(None);
    };
    let wrong = |error: Error| Problem {
        key: "where",
        error,
    };
    let condition = Condition::parse(text, zone, wanted).map_err(wrong)?;
    if condition.needs().template {
        // Templates come from all records together.
        let message = "\"template\" is not known yet when a record is judged";
        let error = Error::new(0..text.len(), message).hint("use \"fingerprint\" or \"message\"");
        return Err(wrong(error));
    }
    Ok(Some((text.to_owned(), condition)))
}

/// The fields that tell groups apart.
pub(super) fn grouping(
    names: &[String],
    key: &'static str,
    wanted: &mut Wanted,
) -> Result<Grouping, Problem> {
    let problem = |message: String, hint: &str| Problem {
        key,
        error: Error::new(0..0, message).hint(hint),
    };
    let mut fields = Vec::new();
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) {
            return Err(problem(
                format!("\"{name}\" stands here twice"),
                "remove one",
            ));
        }
        fields.push(group_field(name, wanted).map_err(|error| Problem { key, error })?);
    }
    Ok(Grouping {
        names: names.to_vec(),
        fields,
    })
}

/// A field whose text is looked at.
pub(super) fn group_field(name: &str, wanted: &mut Wanted) -> Result<GroupField, Error> {
    Ok(match name {
        "" => {
            return Err(Error::new(0..0, "the name of a field is empty").hint("name a field"));
        }
        "level" => {
            wanted.level = true;
            GroupField::Level
        }
        "message" => {
            wanted.message = true;
            GroupField::Message
        }
        "source" => GroupField::Source,
        "time" | "line" | "raw" | "fingerprint" | "template" => {
            return Err(
                Error::new(0..0, format!("records cannot be told apart by \"{name}\"")).hint(
                    format!("the record's own field of that name is \".{name}\""),
                ),
            );
        }
        _ => GroupField::Slot(slot(name, wanted)),
    })
}

/// The slot of a field.
pub(super) fn slot(name: &str, wanted: &mut Wanted) -> usize {
    let path = Path::new(name);
    let known = wanted.paths.iter().position(|known| *known == path);
    known.unwrap_or_else(|| {
        wanted.paths.push(path);
        wanted.paths.len() - 1
    })
}
