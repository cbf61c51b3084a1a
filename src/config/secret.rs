//! Where secrets come from: variables and files that the configuration names.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use crate::config::load::{Loaded, PathStep};
use crate::config::problem::Problem;
use crate::config::syntax;
use crate::flow::secret::Secret;

/// Most bytes of a file that holds a secret.
const FILE_BYTES_MAX: usize = 64 << 10;

/// A secret as it was found.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub secret: Secret,
    /// What is doubtful about where it was found; names the file, never the secret.
    pub warning: Option<String>,
}

/// The secret `name` of the table at `path`: the value of the key `name` itself, where there is such a
/// key, or of the environment variable that `NAME_env` names, or the content of the file that `NAME_file`
/// names. `None` if the table has none of the three. Read at start and at a reload.
pub fn resolve(
    loaded: &Loaded,
    path: &[PathStep],
    name: &str,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Resolved>, Problem> {
    let env = format!("{name}_env");
    let file = format!("{name}_file");
    if let Some(text) = loaded.text_in(path, name) {
        return Ok(Some(Resolved {
            secret: Secret::new(text),
            warning: None,
        }));
    }
    let problem = |key: &str, message: String, hint: &str| {
        let path: Vec<PathStep> = path.iter().copied().chain([PathStep::Key(key)]).collect();
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        Problem::new(&loaded.at(&path), None, message, hint)
    };
    if let Some(variable) = loaded.text_in(path, &env) {
        let shown = match may_show_variable(variable) {
            true => format!(" \"{variable}\""),
            false => String::new(),
        };
        let what = format!("the environment variable{shown} that \"{env}\" names");
        let Some(value) = variables(variable).filter(|value| !value.is_empty()) else {
            let message = format!("{what} is not set");
            return Err(problem(&env, message, "set it where weir is started"));
        };
        form(name, &value).map_err(|(cause, hint)| {
            problem(&env, format!("the value of {what} {cause}"), &hint)
        })?;
        return Ok(Some(Resolved {
            secret: Secret::new(value),
            warning: None,
        }));
    }
    let Some(from) = loaded.text_in(path, &file) else {
        return Ok(None);
    };
    let (text, mode) = read(from).map_err(|cause| {
        problem(
            &file,
            format!("the file that \"{file}\" names: {cause}"),
            "it must hold the secret as one line of text",
        )
    })?;
    form(name, &text).map_err(|(cause, hint)| {
        let message = format!("the content of the file that \"{file}\" names {cause}");
        problem(&file, message, &hint)
    })?;
    let warning = (mode & 0o004 != 0).then(|| {
        let place = loaded.at(path);
        format!(
            "{}:{}: every user can read the file that \"{file}\" names; take that right with chmod o-r",
            place.file(),
            place.line()
        )
    });
    Ok(Some(Resolved {
        secret: Secret::new(text),
        warning,
    }))
}

/// What is wrong with a secret that is a URL, and the remedy. Neither shows it.
fn form(name: &str, text: &str) -> Result<(), (String, String)> {
    let Some(form) = syntax::find(name) else {
        return Ok(());
    };
    (form.check)(text).map_err(|wrong| (wrong.message, wrong.hint.unwrap_or_default()))
}

/// Content without its last line feed, and the file's mode. The cause of an error names nothing.
fn read(path: &str) -> Result<(String, u32), String> {
    let file = std::fs::File::open(path).map_err(|error| error.kind().to_string())?;
    let metadata = file.metadata().map_err(|error| error.kind().to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.kind().to_string())?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err("larger than 64 KiB".to_owned());
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    Ok((text, metadata.permissions().mode()))
}

/// Whether a text is surely a variable's name and not a secret in its place: capitals, digits and `_`, as
/// everybody writes them. Tokens mix cases.
pub(super) fn may_show_variable(text: &str) -> bool {
    const CHARS_MAX: usize = 64;
    text.len() <= CHARS_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A variable of the process's environment. One that is not UTF-8 is not set for us: TOML has no bytes.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
