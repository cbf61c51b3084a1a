//! `${VAR}` and `${VAR:-default}` in string values, after parsing: what a variable holds can never become
//! a key, a table or a second value. `$${` is a plain `${`.

use std::ops::Range;

/// Most bytes of a value once its variables are in it.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// What is wrong with the variables of a value, and where in it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub at: Range<usize>,
    pub message: String,
    pub hint: &'static str,
    /// A variable is not set, which may be right in another environment.
    pub unset: bool,
}

/// The text with its variables put in; `None` if there are none in it.
pub(super) fn fill(
    text: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, Vec<Wrong>> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut filled = String::with_capacity(text.len());
    let mut wrong = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[at..start].ends_with('$') {
            filled.push_str(&text[at..start]);
            filled.push('{');
            at = start + 2;
            continue;
        }
        filled.push_str(&text[at..start]);
        let inside = start + 2;
        let Some(length) = text[inside..].find('}') else {
            wrong.push(Wrong {
                at: start..text.len(),
                message: "\"${\" without \"}\"".to_owned(),
                hint: "write \"$${\" for a plain \"${\"",
                unset: false,
            });
            at = text.len();
            break;
        };
        let end = inside + length + 1;
        let (name, default) = match text[inside..end - 1].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&text[inside..end - 1], None),
        };
        if !is_name(name) {
            wrong.push(Wrong {
                at: start..end,
                message: "what stands in \"${…}\" is not the name of a variable".to_owned(),
                hint: "write \"${NAME}\" or \"${NAME:-default}\", and \"$${\" for a plain \"${\"",
                unset: false,
            });
        } else {
            // As in a shell, `:-` also stands in for an empty value.
            let value = variables(name).filter(|value| default.is_none() || !value.is_empty());
            match value.as_deref().or(default) {
                Some(value) if filled.len() + value.len() <= VALUE_BYTES_MAX => {
                    filled.push_str(value)
                }
                Some(_) => wrong.push(Wrong {
                    at: start..end,
                    message: "the value is larger than 1 MiB with its variables".to_owned(),
                    hint: "",
                    unset: false,
                }),
                None => wrong.push(Wrong {
                    at: start..end,
                    message: format!("the environment variable \"{name}\" is not set"),
                    hint: "set it, or give a default with \"${NAME:-default}\"",
                    unset: true,
                }),
            }
        }
        at = end;
    }
    filled.push_str(&text[at..]);
    if wrong.is_empty() {
        Ok(Some(filled))
    } else {
        Err(wrong)
    }
}

/// The names of the variables in a text.
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| {
        let name = rest.split(['}', ':']).next()?;
        is_name(name).then_some(name)
    })
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|each| each.is_ascii_alphanumeric() || each == '_')
}
