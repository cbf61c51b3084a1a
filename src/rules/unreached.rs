//! What nothing of the input came to: a rule, state or set whose condition no record met, or whose fields no
//! record has. Such a thing is not wrong, but it never tells anything, and that is easily overlooked.

use crate::rules::{Met, Rules};

impl Rules {
    /// What no record has come to, with the reason, one line each. After a replay.
    pub fn unreached(&self) -> Vec<String> {
        let mut notes = self.without_fields();
        for owner in self.owners() {
            let Some(where_) = owner.where_ else { continue };
            let mut inputs = owner.inputs.iter();
            if self.has_records() && inputs.all(|input| self.met_of(*input).met == 0) {
                notes.push(format!(
                    "{}: no record meets its where ({where_})",
                    owner.name
                ));
            }
        }
        notes
    }

    /// What no record has come to for want of a field, with the reason, one line each.
    pub fn without_fields(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for Owner {
            name,
            inputs,
            where_,
            by,
            values,
        } in self.owners()
        {
            let mets = inputs.iter().map(|input| self.met_of(*input));
            let sum = mets.fold(Met::default(), |sum, met| Met {
                met: sum.met + met.met,
                ungrouped: sum.ungrouped + met.ungrouped,
                unvalued: sum.unvalued + met.unvalued,
            });
            if sum.met == 0 || sum.ungrouped + sum.unvalued < sum.met {
                continue;
            }
            let lacking = match (sum.ungrouped, sum.unvalued) {
                (_, 0) => by,
                (0, _) => values,
                _ => by.into_iter().chain(values).collect(),
            };
            let records = match inputs.len() as u64 {
                0 | 1 => sum.met,
                // Each input is shown the records that meet its own condition.
                count => sum.met.div_ceil(count),
            };
            let records = match records {
                1 => "1 record".to_owned(),
                records => format!("{records} records"),
            };
            let records = match where_ {
                Some(_) => format!("{records} met its where"),
                None => format!("{records} came"),
            };
            let quoted: Vec<String> = lacking.iter().map(|name| format!("\"{name}\"")).collect();
            let fields = match &quoted[..] {
                [one] => format!("the field {one}"),
                many => format!("all of the fields {}", many.join(", ")),
            };
            notes.push(format!("{name}: {records}, and none has {fields}"));
        }
        notes
    }

    /// Whether anything was read.
    fn has_records(&self) -> bool {
        self.moment.heard_anything()
    }

    fn met_of(&self, input: u16) -> Met {
        let met = self.met.get(usize::from(input));
        met.copied().unwrap_or_default()
    }

    fn owners(&self) -> Vec<Owner> {
        let plan = &self.plan;
        let rules = plan.rules.iter().map(|rule| Owner {
            name: format!("rule \"{}\"", rule.life.name),
            inputs: rule.inputs(),
            where_: rule.where_.clone(),
            by: rule.grouped_by(),
            values: rule.measured(),
        });
        let states = plan.states.iter().map(|state| Owner {
            name: format!("state \"{}\"", state.settings.name),
            inputs: vec![state.input],
            where_: state.where_.clone(),
            by: state.settings.key.clone(),
            values: vec![state.value.clone()],
        });
        let sets = plan.sets.iter().map(|set| Owner {
            name: format!("set \"{}\"", set.settings.name),
            inputs: vec![set.input],
            where_: set.where_.clone(),
            by: set.settings.key.clone(),
            values: vec![set.value.clone()],
        });
        let owners = rules.chain(states).chain(sets);
        owners.filter(|owner| !owner.inputs.is_empty()).collect()
    }
}

/// Something of the configuration that observes records.
struct Owner {
    /// As the user knows it.
    name: String,
    inputs: Vec<u16>,
    where_: Option<String>,
    /// Fields that tell its groups apart, and fields that it looks at.
    by: Vec<String>,
    values: Vec<String>,
}
