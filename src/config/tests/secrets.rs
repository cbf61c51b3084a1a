//! A secret never shows, wherever it was put: in its own key, in a wrong one, in a broken file.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use super::{load, loaded, variables};
use crate::config::load::{Loaded, PathStep};
use crate::config::schema;
use crate::config::secret::resolve;
use crate::config::show::{Defaults, show};

const CANARY: &str = "Canary7f3a";

/// Everything that can be said of a configuration.
fn said(text: &str) -> String {
    let mut said = String::new();
    for environment in [None, Some("e")] {
        match load(&[text], environment) {
            Ok(loaded) => {
                said += &show(&loaded, Defaults::Show);
                said += &resolved(&loaded);
            }
            Err(problems) => {
                said += &problems.to_string();
                said += &problems.json().to_string();
            }
        }
    }
    said
}

/// What the resolving of all secrets says; the secrets themselves only as they print.
fn resolved(loaded: &Loaded) -> String {
    let mut said = String::new();
    for list in ["notifier", "sink"] {
        for name in ["url", "token", "secret", "password", "routing_key", "smtp"] {
            let path = [PathStep::Key(list), PathStep::Index(0)];
            match resolve(loaded, &path, name, &variables) {
                Ok(found) => said += &format!("{found:?}"),
                Err(problem) => said += &problem.to_string(),
            }
        }
    }
    said
}

/// Tables of every kind with their secret keys.
fn secret_keys() -> Vec<(String, String, String)> {
    let schema = schema::settings();
    let mut found = Vec::new();
    for list in ["notifier", "sink", "source"] {
        for kind in schema["properties"][list]["items"]["oneOf"]
            .as_array()
            .unwrap()
        {
            let properties = kind["properties"].as_object().unwrap();
            let name = properties["type"]["const"].as_str().unwrap();
            for (key, property) in properties {
                let needs = key == "url"
                    || key == "smtp"
                    || key.ends_with("_env")
                    || key.ends_with("_file");
                assert_eq!(
                    property["secret"] == Json::Bool(true),
                    needs,
                    "{name} {key}"
                );
                if needs {
                    found.push((list.to_owned(), name.to_owned(), key.clone()));
                }
            }
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

#[test]
fn a_canary_in_every_secret_key_never_shows() {
    let values = [
        format!("\"{CANARY}\""),
        format!("\"{CANARY} {CANARY}\""),
        format!("\"https://{CANARY}:{CANARY}@example.com/{CANARY}?x={CANARY}\""),
        format!("\"smtp://{CANARY}@example.com:25\""),
        format!("\"ftp://{CANARY}\""),
        format!("[\"{CANARY}\"]"),
        format!("{{ a = \"{CANARY}\" }}"),
        format!("'''\n{CANARY}\n'''"),
        format!("\"{CANARY}"),
        CANARY.to_owned(),
        format!("\"\\u0043{}\"", &CANARY[1..]),
        format!("\"${{{CANARY}\""),
        format!("\"${{{CANARY} }}\""),
    ];
    for (list, kind, key) in secret_keys() {
        for value in &values {
            let lines = [
                format!("[[{list}]]\nname = \"n\"\ntype = \"{kind}\"\n{key} = {value}\n"),
                // In an environment, on one line, without a type, with a key that is mistyped.
                format!("[[env.e.{list}]]\nname = \"n\"\ntype = \"{kind}\"\n{key} = {value}\n"),
                format!(
                    "{list} = [{{ name = 5, type = \"{kind}\", {key} = {value}, nmae = 1 }}]\n"
                ),
                format!("[[{list}]]\nname = 5\n{key} = {value}\n"),
                format!("[[{list}]]\nname = \"n\"\ntype = \"{kind}\"\n{key}x = {value}\n"),
                format!("[[{list}]]\nname = \"n\"\ntype = \"nothing\"\n{key} = {value} # x\n"),
                format!("[{list}]\n{key} = {value}\n"),
                format!("{key} = {value}\n"),
            ];
            for text in lines {
                let said = said(&text);
                assert!(!said.contains(&CANARY[1..]), "{text}\nsays\n{said}");
            }
        }
    }
}

#[test]
fn a_url_shows_its_host_and_a_variable_its_name() {
    let loaded = loaded(
        &[
            "[[notifier]]\nname = \"a\"\ntype = \"slack\"\nurl = \"${HOOK}\"\n[[notifier]]\nname = \"b\"\ntype = \"slack\"\nurl_env = \"SLACK_URL\"\n",
        ],
        None,
    );
    let page = show(&loaded, Defaults::Hide);
    assert!(
        page.contains("url = \"https://hooks.example.com/********\"  # a.toml:4\n"),
        "{page}"
    );
    assert!(
        page.contains("url_env = \"SLACK_URL\"  # a.toml:8\n"),
        "{page}"
    );
}

#[test]
fn secrets_come_from_variables_and_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key");
    let text = format!(
        "[[notifier]]\nname = \"a\"\ntype = \"slack\"\nurl_env = \"HOOK\"\n[[notifier]]\nname = \"b\"\ntype = \"webhook\"\nurl_env = \"NOT_SET\"\nsecret_file = {:?}\n",
        path.to_str().unwrap()
    );
    let loaded = loaded(&[&text], None);
    let get = |index: usize, name: &str| {
        let path = [PathStep::Key("notifier"), PathStep::Index(index)];
        resolve(&loaded, &path, name, &variables)
    };
    let hook = get(0, "url").unwrap().unwrap();
    assert!(hook.secret.expose().ends_with("CANARY-7f3a"));
    assert_eq!(format!("{:?}", hook.secret), "********");
    assert!(get(0, "token").unwrap().is_none());
    assert_eq!(
        get(1, "url").unwrap_err().to_string(),
        "a.toml:8:11: the environment variable \"NOT_SET\" that \"url_env\" names is not set; set it where weir is started\n  url_env = ********\n            ^^^^^^^^"
    );
    let message = || get(1, "secret").unwrap_err().to_string();
    assert!(
        message()
            .starts_with("a.toml:9:15: the file that \"secret_file\" names: entity not found;")
    );
    // A URL is looked at when it is found, and not shown.
    let path_of = [PathStep::Key("notifier"), PathStep::Index(0)];
    let wrong = |_: &str| Some(format!("ftp://{CANARY}"));
    let problem = resolve(&loaded, &path_of, "url", &wrong).unwrap_err();
    assert!(problem.to_string().starts_with(
        "a.toml:4:11: the value of the environment variable \"HOOK\" that \"url_env\" names does not begin with http:// or https://;"
    ));
    assert!(!problem.to_string().contains(CANARY));
    std::fs::write(&path, "\n").unwrap();
    assert!(message().contains(": empty;"));
    std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
    assert!(message().contains(": larger than 64 KiB;"));
    std::fs::write(&path, " k\u{e9}y \r\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = get(1, "secret").unwrap().unwrap();
    assert_eq!(key.secret.expose(), " k\u{e9}y ");
    assert_eq!(key.warning, None);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warning = get(1, "secret").unwrap().unwrap().warning.unwrap();
    assert!(warning.contains("every user can read"), "{warning}");
    assert!(!warning.contains(path.to_str().unwrap()));
}
