//! A canary in every place that may hold a secret: it reaches the receiver it is for, and nothing else
//! ever shows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{at, configured, contains};
use crate::follow::scene::until;
use crate::notify::endpoint::get;
use crate::notify::peers::free_port;
use crate::notify::server::{Reply, Server};

/// Every secret is this with a name behind it.
const CANARY: &str = "canary7h3x";

const CONFIG: &str = r#"
[[source]]
type = "file"
include = ["app.log"]
from = "start"

[[rule]]
name = "error"
when = "count() > 0"
where = "level == error"
notify = ["hook", "slack", "pager", "manager", "mail", "program"]

[[notifier]]
name = "hook"
type = "webhook"
url_env = "HOOK_URL"
secret_file = "hmac"
token_env = "HOOK_TOKEN"
give_up = "2s"

[[notifier]]
name = "slack"
type = "slack"
url_file = "slack-url"
give_up = "2s"

[[notifier]]
name = "pager"
type = "pagerduty"
routing_key_env = "ROUTING_KEY"
url = "URL/pager/${PAGER_PATH}"
give_up = "2s"

[[notifier]]
name = "manager"
type = "alertmanager"
url = "URL"
user = "weir"
password_env = "MANAGER_PASSWORD"
give_up = "2s"

[[notifier]]
name = "mail"
type = "email"
smtp = "smtp://127.0.0.1:9"
tls = "none"
from = "weir@example.com"
recipients = ["ops@example.com"]
user = "weir"
password_file = "mail-password"
give_up = "2s"

[[notifier]]
name = "program"
type = "command"
argv = ["sh", "-c", "env > program-env; exit 1"]
give_up = "2s"

[[sink]]
type = "http"
url_env = "SINK_URL"
token_env = "SINK_TOKEN"

[[sink]]
type = "prometheus"
listen = "127.0.0.1:PORT"
token_env = "PAGE_TOKEN"

[run]
multiline = "off"
"#;

fn shows(bytes: &[u8]) -> bool {
    contains(bytes, CANARY.as_bytes())
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn no_output_shows_a_secret() {
    // Every request is refused, and the answer has the canary of its own request in it.
    let server = Server::start(|request, _| {
        let echo = format!("no: {} {:?}", request.path, request.headers);
        Reply::Answer(400, Vec::new(), echo)
    });
    let port = free_port();
    let text = CONFIG
        .replace("URL/pager/", &server.url("/pager/"))
        .replace("\"URL\"", &format!("\"{}\"", server.url("")))
        .replace("PORT", &port.to_string());
    let scene = configured(&text);
    fs::write(scene.path("hmac"), format!("{CANARY}-hmac\n")).unwrap();
    fs::write(
        scene.path("slack-url"),
        server.url(&format!("/slack/{CANARY}-slack")),
    )
    .unwrap();
    fs::write(scene.path("mail-password"), format!("{CANARY}-mail")).unwrap();
    let secrets = [
        (
            "HOOK_URL",
            server.url(&format!("/hook/{CANARY}-hook?token={CANARY}-query")),
        ),
        ("HOOK_TOKEN", format!("{CANARY}-token")),
        ("ROUTING_KEY", format!("{CANARY}-routing")),
        ("MANAGER_PASSWORD", format!("{CANARY}-manager")),
        ("SINK_URL", server.url(&format!("/sink/{CANARY}-sink"))),
        ("SINK_TOKEN", format!("{CANARY}-sinktoken")),
        ("PAGER_PATH", format!("{CANARY}-pager-path")),
        ("PAGE_TOKEN", format!("{CANARY}-page")),
        ("WEIR_FLEET_TOKEN", format!("{CANARY}-fleet")),
        ("ORDINARY", "for the program".to_owned()),
    ];
    let run = |args: &[&str]| {
        let mut command = scene.command(&[], args);
        command.envs(secrets.clone());
        command
    };
    scene.append("app.log", b"");
    let running = scene.spawn(run(&["run", "-c", "weir.toml", "--state", "state"]));
    for number in 0..20 {
        let line = format!(
            "{{\"time\":\"{}\",\"level\":\"error\",\"msg\":\"disk {number}\"}}\n",
            at(number * 1000)
        );
        scene.append("app.log", line.as_bytes());
    }
    let came = || -> BTreeSet<String> {
        let requests = server.requests();
        requests
            .iter()
            .map(|request| {
                request
                    .path
                    .split('/')
                    .nth(1)
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect()
    };
    until("every channel has tried", || {
        came().is_superset(
            &["hook", "slack", "pager", "api", "sink"]
                .map(str::to_owned)
                .into(),
        )
    });
    until("the letters of six notifiers", || {
        let letters =
            fs::read_to_string(scene.path("state/dead-letters.ndjson")).unwrap_or_default();
        let names = ["hook", "slack", "pager", "manager", "mail", "program"];
        names
            .iter()
            .all(|name| letters.contains(&format!("\"{name}\"")))
    });
    // They do arrive where they belong.
    assert!(
        server
            .requests()
            .iter()
            .any(|request| shows(request.path.as_bytes()))
    );
    // The program that was started has what it needs, and no secret.
    let environment = fs::read(scene.path("program-env")).unwrap();
    assert!(contains(&environment, b"ORDINARY=for the program"));
    assert!(
        !shows(&environment),
        "{}",
        String::from_utf8_lossy(&environment)
    );
    let address = ([127, 0, 0, 1], port).into();
    assert_eq!(get(address, "/metrics", "localhost").0, 401);
    let host = format!("localhost\r\nAuthorization: Bearer {CANARY}-page");
    let (_, page) = get(address, "/metrics", &host);
    assert!(page.contains("weir_notifications_total"), "{page}");
    assert!(!shows(page.as_bytes()), "the page of metrics");
    running.terminate();
    let mut written = Vec::new();
    files(&scene.path("state"), &mut written);
    assert!(written.len() >= 3, "{written:?}");
    for name in written
        .into_iter()
        .chain([scene.path("stderr-1"), scene.path("stdout-1")])
    {
        let bytes = fs::read(&name).unwrap();
        let place = bytes
            .windows(CANARY.len())
            .position(|window| window == CANARY.as_bytes());
        if let Some(place) = place {
            let around = &bytes[place.saturating_sub(200)..(place + 40).min(bytes.len())];
            panic!("{}: {}", name.display(), String::from_utf8_lossy(around));
        }
    }
    // What looks at the configuration and at the journal.
    for args in [
        &["check", "-c", "weir.toml"][..],
        &["check", "-c", "weir.toml", "-o", "json"],
        &["config", "show", "-c", "weir.toml"],
        &["config", "show", "-c", "weir.toml", "--defaults"],
        &["alerts", "--state", "state"],
    ] {
        let output = run(args).output().unwrap();
        assert!(
            !output.stdout.is_empty() || !output.stderr.is_empty(),
            "{args:?} says something"
        );
        assert!(!shows(&output.stdout) && !shows(&output.stderr), "{args:?}");
    }
}
