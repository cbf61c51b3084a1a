//! `weir run --on-failure TO -- COMMAND`: what a configuration would say so that the failure of the command
//! is told. `TO` is a notifier of the configuration, a URL for a webhook, or a mail address.

use std::path::PathBuf;

use crate::cli::config;
use crate::config::load::{self, Loaded};
use crate::config::secret;
use crate::error::Failure;
use crate::expr::error::nearest;
use crate::notifiers::text::words::hostname;

/// The variable that names the mail server for addresses.
const SMTP_VARIABLE: &str = "WEIR_SMTP";

/// The mail server for addresses: the machine's own.
const SMTP: &str = "smtp://localhost:25";

/// Name of the state that holds the exit code, and of the notifiers that are made here.
const STATE: &str = "exit-code";
const NOTIFIER: &str = "on-failure";

/// Loads the configuration, if there is one, with what `to` asks for.
pub fn load(files: &[PathBuf], env: Option<&str>, to: &[String]) -> Result<Loaded, Failure> {
    let names = match files {
        [] => Vec::new(),
        files => {
            let loaded = config::load_files(files, env)?;
            let notifiers = loaded.config.notifier.iter();
            notifiers.map(|notifier| notifier.name.clone()).collect()
        }
    };
    let text = text(to, &names)?;
    let extra = (!to.is_empty()).then(|| ("--on-failure".to_owned(), text));
    Ok(load::load_with(
        &config::files(files),
        extra,
        env,
        &secret::variable,
    )?)
}

/// What the flags come to, as TOML.
fn text(to: &[String], names: &[String]) -> Result<String, Failure> {
    let mut text = String::new();
    let mut notify = Vec::new();
    let mut recipients = Vec::new();
    for to in to {
        if names.contains(to) {
            notify.push(quoted(to));
        } else if to.starts_with("http://") || to.starts_with("https://") {
            let name = quoted(&match notify.len() {
                0 => NOTIFIER.to_owned(),
                number => format!("{NOTIFIER} {}", number + 1),
            });
            // Slack's addresses take nothing but its own messages.
            let is_slack = to.contains("://hooks.slack.com/") || to.ends_with("/slack");
            let kind = if is_slack { "slack" } else { "webhook" };
            let url = quoted(to);
            text.push_str(&format!(
                "[[notifier]]\nname = {name}\ntype = \"{kind}\"\nurl = {url}\n"
            ));
            notify.push(name);
        } else if is_address(to) {
            recipients.push(quoted(to));
        } else {
            return Err(unknown(to, names));
        }
    }
    if !recipients.is_empty() {
        let name = quoted(&format!("{NOTIFIER} by mail"));
        let smtp = std::env::var(SMTP_VARIABLE).unwrap_or_else(|_| SMTP.to_owned());
        let tls = if smtp.starts_with("smtps:") {
            "tls"
        } else {
            "none"
        };
        text.push_str(&format!(
            "[[notifier]]\nname = {name}\ntype = \"email\"\nsmtp = {}\ntls = \"{tls}\"\nfrom = {}\nrecipients = [{}]\n",
            quoted(&smtp),
            quoted(&format!("weir@{}", hostname())),
            recipients.join(", "),
        ));
        notify.push(name);
    }
    text.push_str(&format!(
        "[[state]]\nname = \"{STATE}\"\nkey = [\"source\"]\nvalue = \"exit_code\"\nok = [\"0\"]\n\
         where = 'raw =~ \"^msg=.+ (ended (with exit code|by signal)|could not be started)\"'\n\
         severity = \"critical\"\nnotify = [{}]\n",
        notify.join(", ")
    ));
    Ok(text)
}

/// A string of TOML: JSON's are a subset.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !text.contains("://"))
}

fn unknown(to: &str, names: &[String]) -> Failure {
    let remedy = match nearest(to, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean \"{name}\"?"),
        None if names.is_empty() => {
            "give a URL (https://…), a mail address, or the name of a notifier of a configuration (-c)"
                .to_owned()
        }
        None => format!(
            "the notifiers are {}; a URL (https://…) or a mail address works too",
            names.join(", ")
        ),
    };
    Failure::usage(format!("--on-failure: no notifier \"{to}\"; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn told(to: &[&str], want: &[&str]) {
        let to: Vec<String> = to.iter().map(|to| (*to).to_owned()).collect();
        let loaded = load(&[], None, &to).unwrap();
        let state = &loaded.config.state[0];
        assert_eq!(state.notify, want, "{to:?}");
        let names: Vec<&str> = loaded.config.notifier.iter().map(|it| &*it.name).collect();
        assert_eq!(names, want, "{to:?}");
    }

    #[test]
    fn urls_and_addresses_become_notifiers() {
        told(&["https://example.com/hook"], &["on-failure"]);
        told(
            &["ann@example.com", "bob@example.com"],
            &["on-failure by mail"],
        );
        told(
            &[
                "http://127.0.0.1:1/a",
                "https://hooks.slack.com/services/x",
                "ann@example.com",
            ],
            &["on-failure", "on-failure 2", "on-failure by mail"],
        );
    }

    #[test]
    fn a_name_without_a_configuration_is_no_notifier() {
        let failure = load(&[], None, &["oncall".to_owned()]).err().unwrap();
        assert_eq!(failure.exit_code, 2);
        assert!(
            failure.message.contains("no notifier \"oncall\""),
            "{}",
            failure.message
        );
    }
}
