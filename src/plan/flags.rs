//! Values that flags and the configuration write alike: zones, times, formats, conditions, groupings.

use std::{env, fs};

use jiff::tz::TimeZone;

use crate::config::syntax;
use crate::error::Failure;
use crate::expr::aggregate::Check;
use crate::expr::condition::Condition;
use crate::flow::facts::Facts;
use crate::flow::format::Format;
use crate::flow::key::{GroupField, Grouping};
use crate::flow::time::Time;
use crate::flow::wanted::{Path, Wanted};
use crate::framing::Multiline;
use crate::parsers::time::Clock;
use crate::plan::BUDGET_BYTES;
use crate::units;

/// What times are read with where there is no record.
pub fn facts(zone: &TimeZone, now: Time) -> Facts {
    Facts {
        zone: zone.clone(),
        anchor: now,
        format: None,
        csv: None,
    }
}

/// The present time; the only clock a run to the end looks at, once, for yearless dates.
pub fn now() -> Time {
    let elapsed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Time(i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
}

pub fn zone(name: Option<&str>) -> Result<(TimeZone, String), Failure> {
    match name {
        None => {
            let zone = local_zone()
                .or_else(|| TimeZone::try_system().ok())
                .unwrap_or(TimeZone::UTC);
            let name = zone.iana_name().unwrap_or("UTC").to_owned();
            Ok((zone, name))
        }
        Some(name) => {
            let zone = syntax::zone(name)
                .map_err(|problem| Failure::usage(format!("--tz: \"{name}\" {problem}")))?;
            Ok((zone, name.to_owned()))
        }
    }
}

/// The zone of `/etc/localtime`, if that is a link to it and `TZ` does not name another. Asked for it,
/// the database would list all zones there are.
fn local_zone() -> Option<TimeZone> {
    if env::var_os("TZ").is_some() {
        return None;
    }
    let target = fs::read_link("/etc/localtime").ok()?;
    let (_, name) = target.to_str()?.rsplit_once("zoneinfo/")?;
    let bytes = fs::read("/etc/localtime").ok()?;
    TimeZone::tzif(name, &bytes).ok()
}

/// A time, or a duration before now.
pub fn time_bound(flag: &str, text: &str, facts: &Facts) -> Result<Time, Failure> {
    if let Some(time) = Clock::new(facts).field(text.as_bytes()) {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>()
        && let Ok(zoned) = date.to_zoned(facts.zone.clone())
        && let Ok(nanoseconds) = i64::try_from(zoned.timestamp().as_nanosecond())
    {
        return Ok(Time(nanoseconds));
    }
    match units::duration_nanoseconds(text) {
        Ok(nanoseconds) => Ok(Time(facts.anchor.0.saturating_sub(nanoseconds))),
        Err(_) => Err(Failure::usage(format!(
            "{flag}: \"{text}\" is neither a time nor a duration; write it like 2024-03-01T10:00:00Z, \"2024-03-01 10:00\", 2024-03-01 or 2h"
        ))),
    }
}

pub fn multiline(text: &str) -> Result<Multiline, Failure> {
    syntax::multiline(text)
        .map_err(|problem| Failure::usage(format!("--multiline: \"{text}\" {problem}")))
}

/// A format by name; `auto` is none.
pub fn format(name: &str) -> Result<Option<Format>, Failure> {
    syntax::format(name)
        .map_err(|problem| Failure::usage(format!("--format: \"{name}\" {problem}")))
}

/// `--fail-on`, read into `wanted`.
pub fn check(
    text: Option<&str>,
    zone: &TimeZone,
    wanted: &mut Wanted,
) -> Result<Option<Check>, Failure> {
    text.map(|text| {
        let check = Check::parse(text, zone, wanted)
            .map_err(|error| Failure::usage(error.render("--fail-on", text)))?;
        for condition in check.conditions() {
            without_template("--fail-on", condition)?;
        }
        Ok(check)
    })
    .transpose()
}

/// A record is judged before its template is known: templates come from all records together.
pub fn without_template(flag: &str, condition: &Condition) -> Result<(), Failure> {
    if condition.needs().template {
        return Err(Failure::usage(format!(
            "{flag}: \"template\" is not known yet when a record is judged; use \"fingerprint\" or \"message\", or \".template\" for the record's own field"
        )));
    }
    Ok(())
}

/// The slot of the field `name`, wanted from now on.
pub fn slot(wanted: &mut Wanted, name: &str) -> usize {
    let path = Path::new(name);
    match wanted.paths.iter().position(|wanted| *wanted == path) {
        Some(slot) => slot,
        None => {
            wanted.paths.push(path);
            wanted.paths.len() - 1
        }
    }
}

/// One `--by`, its fields wanted from now on.
pub fn grouping(text: &str, wanted: &mut Wanted) -> Result<Grouping, Failure> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let mut fields = Vec::new();
    for name in &names {
        fields.push(match name.as_str() {
            "" => return Err(Failure::usage(format!("--by: an empty field name in \"{text}\"; write names with one comma between them"))),
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
                return Err(Failure::usage(format!(
                    "--by: records cannot be grouped by \"{name}\"; the record's own field of that name is \".{name}\""
                )));
            }
            _ => GroupField::Slot(slot(wanted, name)),
        });
    }
    Ok(Grouping { names, fields })
}

/// Mapper threads and bytes in flight; the defaults where nothing is given.
pub fn threads_and_budget(
    threads: Option<usize>,
    max_mem: Option<&str>,
) -> Result<(usize, usize), Failure> {
    let threads = match threads {
        Some(0) => return Err(Failure::usage("--threads: at least 1")),
        Some(threads) => threads.min(256),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let budget = match max_mem {
        Some(text) => {
            let bytes = units::byte_size(text)
                .map_err(|error| Failure::usage(format!("--max-mem: {error}")))?;
            usize::try_from(bytes).unwrap_or(usize::MAX).max(1 << 20)
        }
        None => BUDGET_BYTES,
    };
    Ok((threads, budget))
}
