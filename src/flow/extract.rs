//! Patterns that make fields out of text: `Failed password for {user} from {ip:ip} port {port:int}`, or a
//! regular expression with named groups. Compiled once to one regular expression each, which takes linear
//! time whatever the text.

use regex::bytes::{Regex, RegexBuilder};

/// Largest compiled pattern, in bytes: as for patterns in conditions.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Most patterns of a run: each is tried on each record until one fits.
pub const PATTERNS_MAX: usize = 100;

/// The text that a pattern looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Message,
    /// The record as it is parsed: unwrapped and joined.
    Raw,
    /// A field, by its slot.
    Slot(usize),
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Extract {
    pub regex: Regex,
    pub from: From,
    /// What each group of the expression makes, by number; the first is none.
    pub groups: Vec<Option<Made>>,
}

/// A field that a pattern makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub name: Vec<u8>,
    pub is_number: bool,
}

impl Extract {
    /// From text with `{name}` in it.
    pub fn from_pattern(pattern: &str, from: From) -> Result<Extract, String> {
        let mut source = String::from("(?s-u)");
        let mut groups = vec![None];
        let mut rest = pattern;
        let mut behind_field = false;
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, at) = rest.split_at(open);
            source.push_str(&regex::escape(literal));
            behind_field &= literal.is_empty();
            if at.starts_with("{{") || at.starts_with("}}") {
                source.push_str(&regex::escape(&at[..1]));
                rest = &at[2..];
                behind_field = false;
                continue;
            }
            if at.starts_with('}') {
                return Err("has a } that closes nothing; write }} for the sign".to_owned());
            }
            let close = at
                .find('}')
                .ok_or("has a { that nothing closes; write {{ for the sign")?;
            let field = &at[1..close];
            rest = &at[close + 1..];
            if behind_field {
                return Err(format!(
                    "has nothing between {{{field}}} and the field before it, so it is not known where that ends"
                ));
            }
            behind_field = true;
            let (name, kind) = field.split_once(':').unwrap_or((field, ""));
            let run = run(kind, rest.is_empty())?;
            if name.is_empty() {
                source.push_str(&format!("(?:{run})"));
                continue;
            }
            check_name(name, &groups)?;
            source.push_str(&format!("({run})"));
            groups.push(Some(Made {
                name: name.as_bytes().to_vec(),
                is_number: matches!(kind, "int" | "float"),
            }));
        }
        source.push_str(&regex::escape(rest));
        if groups.len() == 1 {
            return Err("makes no field; write {name} where its value stands".to_owned());
        }
        compile(&source, from, groups)
    }

    /// From a regular expression with named groups.
    pub fn from_regex(source: &str, from: From) -> Result<Extract, String> {
        let mut made = compile(source, from, Vec::new())?;
        made.groups = made
            .regex
            .capture_names()
            .map(|name| {
                name.map(|name| Made {
                    name: name.as_bytes().to_vec(),
                    is_number: false,
                })
            })
            .collect();
        if made.groups.iter().all(Option::is_none) {
            return Err("makes no field; name a group like (?<user>\\S+)".to_owned());
        }
        Ok(made)
    }
}

fn compile(source: &str, from: From, groups: Vec<Option<Made>>) -> Result<Extract, String> {
    let regex = RegexBuilder::new(source)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| {
            // The last line says what; those above draw the expression.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!(
                "is no regular expression: {}",
                last.trim_start_matches("error: ")
            )
        })?;
    Ok(Extract {
        regex,
        from,
        groups,
    })
}

/// The expression for the text of a field. Text without a type takes the shortest run up to what follows,
/// or all that is left.
fn run(kind: &str, is_last: bool) -> Result<&'static str, String> {
    Ok(match kind {
        "" if is_last => ".*",
        "" => ".*?",
        "int" => r"[-+]?[0-9]+",
        "float" => r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?",
        "duration" => r"(?:[0-9]+(?:\.[0-9]+)? ?(?:ns|us|\xC2\xB5s|ms|min|sec|s|m|h|d))+",
        "size" => r"[0-9]+(?:\.[0-9]+)? ?(?:[kKMGTPE]i?)?(?:[bB](?:ytes)?)?",
        "ip" => r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)",
        "word" => r"[A-Za-z0-9_.\x80-\xff-]+",
        _ => {
            return Err(format!(
                "has the type \"{kind}\", which is none of int, float, duration, size, ip and word"
            ));
        }
    })
}

fn check_name(name: &str, groups: &[Option<Made>]) -> Result<(), String> {
    let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name
            .chars()
            .all(|sign| sign.is_alphanumeric() || matches!(sign, '_' | '.' | '-'));
    if !is_name {
        return Err(format!(
            "has the field \"{name}\"; a name is made of letters, digits, _, . and -, and begins with a letter"
        ));
    }
    let twice = groups
        .iter()
        .flatten()
        .any(|made| made.name == name.as_bytes());
    match twice {
        true => Err(format!("makes the field \"{name}\" twice")),
        false => Ok(()),
    }
}
