//! What each channel sends: the forms that receivers document, with hostile text in every field.

use std::time::Duration;

use logweir::flow::alert::{Notification, Status};
use logweir::flow::secret::Secret;
use logweir::notifiers::delivery::{Delivery, Outcome, Receipt};
use logweir::notifiers::email::Tls;
use logweir::notifiers::{
    Channel, Settings, alertmanager, command, email, file, pagerduty, slack, webhook,
};
use serde_json::json;

use super::server::{Request, Server, status};
use super::smtp::Smtp;
use super::{notification, quiet, receipts, settings};
use crate::program::until;

/// What would do harm where text is taken for more than text.
const HOSTILE: &str = "${jndi:ldap://x} {{ 7*7 }} {% raw %} $(touch /tmp/x) `id` %n%s <!channel> <@U1|x> &amp; \"q\"\r\nBcc: all@example.com\n.\n\u{1b}[2J\u{202e}\u{0}größe";

/// A notification with hostile text in every field that a log can fill.
fn hostile(number: u64) -> Notification {
    let mut notification = notification(number, "n", Status::Firing, &["a"]);
    notification.group[0].1 = HOSTILE.to_owned();
    let alert = &mut notification.alerts[0];
    alert.summary = HOSTILE.to_owned();
    alert.labels[1].1 = HOSTILE.to_owned();
    alert.evidence.template = Some(HOSTILE.to_owned());
    alert.evidence.samples[0].source = HOSTILE.to_owned();
    alert.evidence.samples[0].line = HOSTILE.to_owned();
    notification
}

fn send(settings: Settings, notifications: Vec<Notification>) -> Vec<Receipt> {
    let delivery = Delivery::start(vec![settings], None, quiet).unwrap();
    let count = notifications.len();
    notifications
        .into_iter()
        .for_each(|notification| delivery.send(notification));
    let receipts = receipts(&delivery, count);
    assert!(delivery.drain(Duration::from_secs(5)).is_empty());
    receipts
}

/// Sends to a server that takes everything; returns what came.
fn posted(channel: impl Fn(&Server) -> Channel, notifications: Vec<Notification>) -> Vec<Request> {
    let server = Server::start(|_, _| status(200));
    for receipt in send(settings("n", channel(&server)), notifications) {
        assert_eq!(receipt.outcome, Outcome::Delivered, "{receipt:?}");
    }
    let mut requests = server.requests();
    // Two alerts may be on their way at once, and arrive in either order.
    requests.sort_by_key(|request| request.header("idempotency-key").map(str::to_owned));
    requests
}

#[test]
fn webhook_body_is_alertmanagers() {
    let channel = |server: &Server| {
        Channel::Webhook(webhook::Webhook {
            url: Secret::new(server.url("/hook")),
            secret: Some(Secret::new("key")),
            token: Some(Secret::new("token")),
        })
    };
    let mut resolved = notification(2, "n", Status::Resolved, &["b"]);
    resolved.left_out = 3;
    let requests = posted(
        channel,
        vec![notification(1, "n", Status::Firing, &["a"]), resolved],
    );
    let request = &requests[0];
    assert_eq!((&*request.method, &*request.path), ("POST", "/hook"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer token"));
    assert_eq!(request.header("idempotency-key"), Some("n1"));
    assert_eq!(
        request.header("x-weir-signature").unwrap(),
        webhook::signature(&Secret::new("key"), &request.body)
    );
    let labels = json!({"alertname": "cpu-high", "host": "web-1", "severity": "critical"});
    let annotations = json!({
        "summary": "p95(cpu) is 95.5, above 90",
        "description": "cpu 95.5\np95(cpu) is 95.5, above 90\n12 records, since 2026-11-22T10:00:00Z\non web-1, app.log:1234",
        "host": "web-1",
        "value": "95.5",
    });
    assert_eq!(
        request.json(),
        json!({
            "version": "4",
            "groupKey": "{}/{notifier=\"n\"}:{alertname=\"cpu-high\"}",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "n",
            "groupLabels": {"alertname": "cpu-high"},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "",
            "alerts": [{
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2026-11-22T10:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": "a",
            }],
        })
    );
    let body = requests[1].json();
    assert_eq!(body["status"], "resolved");
    assert_eq!(body["truncatedAlerts"], 3);
    assert_eq!(body["alerts"][0]["endsAt"], "2026-11-22T10:01:00Z");
}

#[test]
fn json_channels_carry_hostile_text_unchanged() {
    let channel = |server: &Server| {
        Channel::Webhook(webhook::Webhook {
            url: Secret::new(server.url("/")),
            secret: None,
            token: None,
        })
    };
    let body = posted(channel, vec![hostile(1)])[0].json();
    assert_eq!(body["alerts"][0]["labels"]["host"], HOSTILE);
    assert_eq!(body["alerts"][0]["annotations"]["summary"], HOSTILE);
    assert_eq!(body["groupLabels"]["alertname"], HOSTILE);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("alerts.ndjson");
    let file = Channel::File(file::File { path: path.clone() });
    send(
        settings("n", file),
        vec![
            hostile(1),
            notification(2, "n", Status::Firing, &["a", "b"]),
        ],
    );
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "one line an alert, whatever is in it");
    assert_eq!(lines[0]["evidence"]["samples"][0]["line"], HOSTILE);
    assert_eq!(
        (&lines[2]["id"], &lines[2]["notification"]),
        (&json!("b"), &json!("n2"))
    );
}

#[test]
fn slack_gets_text_that_calls_nobody() {
    let channel = |server: &Server| {
        Channel::Slack(slack::Slack {
            url: Secret::new(server.url("/services/T/B/x")),
            channel: Some("#ops".to_owned()),
        })
    };
    let requests = posted(
        channel,
        vec![hostile(1), notification(2, "n", Status::Firing, &["a"])],
    );
    let text = requests
        .iter()
        .find(|request| request.json()["text"].as_str().unwrap().contains("jndi"));
    let body = text.unwrap().json();
    let text = body["text"].as_str().unwrap();
    assert!(
        !text.contains(['<', '>', '\u{1b}', '\u{202e}', '\0', '\r']),
        "{text}"
    );
    assert!(
        text.contains("&lt;!channel&gt;")
            && text.contains("{{ 7*7 }}")
            && text.contains("&amp;amp;")
    );
    assert_eq!(
        (&body["channel"], &body["unfurl_links"]),
        (&json!("#ops"), &json!(false))
    );
    assert!(
        !text.lines().any(|line| line.starts_with("Bcc")),
        "no line of its own"
    );
}

#[test]
fn pagerduty_triggers_and_resolves_one_incident_an_alert() {
    let channel = |server: &Server| {
        Channel::PagerDuty(pagerduty::PagerDuty {
            routing_key: Secret::new("0123456789abcdef"),
            url: Secret::new(server.url("/v2/enqueue")),
        })
    };
    let mut long = notification(1, "n", Status::Firing, &["a", "b"]);
    long.alerts[1].summary = "ß".repeat(3000);
    long.alerts[1].labels[2].1 = "warning".to_owned();
    let requests = posted(
        channel,
        vec![long, notification(2, "n", Status::Resolved, &["a"])],
    );
    let bodies: Vec<serde_json::Value> = requests.iter().map(Request::json).collect();
    let of = |key: &str, action: &str| {
        let found = bodies
            .iter()
            .find(|body| body["dedup_key"] == key && body["event_action"] == action);
        found.unwrap_or_else(|| panic!("no {action} of {key}: {bodies:?}"))
    };
    assert_eq!(bodies.len(), 3);
    let trigger = of("a", "trigger");
    assert_eq!(trigger["routing_key"], "0123456789abcdef");
    let payload = &trigger["payload"];
    assert_eq!(
        payload["summary"],
        "cpu-high host=web-1: cpu 95.5 (p95(cpu) is 95.5, above 90)"
    );
    assert_eq!(
        (&payload["severity"], &payload["source"]),
        (&json!("critical"), &json!("web-1"))
    );
    assert_eq!(payload["timestamp"], "2026-11-22T10:00:00Z");
    assert_eq!(payload["custom_details"]["evidence"]["count"], 12);
    let payload = &of("b", "trigger")["payload"];
    assert_eq!(payload["severity"], "warning");
    assert!(payload["summary"].as_str().unwrap().chars().count() <= 1024);
    assert!(of("a", "resolve").get("payload").is_none());
}

#[test]
fn alertmanager_gets_alerts_with_an_end() {
    let channel = |server: &Server| {
        Channel::Alertmanager(alertmanager::Alertmanager {
            url: Secret::new(server.url("/am/")),
            user: Some("weir".to_owned()),
            password: Some(Secret::new("pass")),
            firing_for: Duration::from_secs(3600),
        })
    };
    let mut firing = notification(1, "n", Status::Firing, &["a"]);
    firing.alerts[0]
        .labels
        .push(("http.status-code".to_owned(), "500".to_owned()));
    firing.alerts[0]
        .labels
        .push(("9lives".to_owned(), "x".to_owned()));
    firing.alerts[0]
        .labels
        .push(("empty".to_owned(), String::new()));
    let mut resolved = notification(2, "n", Status::Resolved, &["a"]);
    resolved.alerts[0].ends_at = Some(logweir::flow::time::Time(0));
    let requests = posted(channel, vec![firing, resolved]);
    assert_eq!(requests[0].path, "/am/api/v2/alerts");
    assert_eq!(
        requests[0].header("authorization"),
        Some("Basic d2VpcjpwYXNz")
    );
    let body = requests[0].json();
    assert_eq!(body[0]["startsAt"], "2026-11-22T10:00:00Z");
    assert_eq!(body[0]["endsAt"], "2026-11-22T11:00:00Z");
    assert_eq!(
        body[0]["labels"],
        json!({"alertname": "cpu-high", "host": "web-1", "severity": "critical", "http_status_code": "500", "_9lives": "x"})
    );
    assert_eq!(
        requests[1].json()[0]["endsAt"],
        "2026-11-22T10:00:00Z",
        "never before the start"
    );
}

fn email_to(port: u16, tls: Tls, recipients: &[&str]) -> Settings {
    let channel = Channel::Email(email::Email {
        host: "127.0.0.1".to_owned(),
        port,
        tls,
        from: "Weir <weir@example.com>".to_owned(),
        recipients: recipients
            .iter()
            .map(|recipient| (*recipient).to_owned())
            .collect(),
        user: None,
        password: None,
    });
    settings("n", channel)
}

#[test]
fn a_mail_reaches_every_recipient_and_no_text_becomes_a_header() {
    let smtp = Smtp::start("250-8BITMIME\r\n", |_| None);
    let mut settings = email_to(
        smtp.port,
        Tls::None,
        &["admin@example.com", "Dev Ops <devops@example.com>"],
    );
    settings.title = Some("{{ alerts[0].summary }}\nBcc: evil@example.com".to_owned());
    assert_eq!(
        send(settings, vec![hostile(1)])[0].outcome,
        Outcome::Delivered
    );
    let mails = smtp.mails();
    assert_eq!(mails.len(), 1);
    let mail = &mails[0];
    assert_eq!(mail.from, "weir@example.com");
    assert_eq!(mail.recipients, ["admin@example.com", "devops@example.com"]);
    let names: Vec<&str> = mail
        .headers
        .iter()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "Content-Transfer-Encoding",
            "Content-Type",
            "Date",
            "From",
            "MIME-Version",
            "Message-ID",
            "Subject",
            "To"
        ]
        .iter()
        .copied()
        .filter(|name| names.contains(name))
        .collect::<Vec<_>>(),
        "no other headers: {:?}",
        mail.headers
    );
    assert_eq!(mail.header("message-id"), ["<n1@example.com>"]);
    assert!(
        mail.body.contains("{{ 7*7 }}") && mail.body.contains("größe"),
        "{}",
        mail.body
    );
    assert!(
        !mail
            .body
            .lines()
            .any(|line| line.starts_with("Bcc") || line == ".")
    );
    assert!(!mail.body.contains(['\u{1b}', '\0', '\u{202e}']));
}

#[test]
fn one_refused_address_does_not_keep_the_others_from_their_mail() {
    let smtp = Smtp::start("", |line| {
        line.contains("gone@")
            .then(|| "550 no such user".to_owned())
    });
    let settings = email_to(
        smtp.port,
        Tls::None,
        &["a@example.com", "gone@example.com", "b@example.com"],
    );
    let receipt = send(settings, vec![notification(1, "n", Status::Firing, &["a"])]).remove(0);
    assert_eq!(receipt.outcome, Outcome::Dead);
    assert!(receipt.answer.contains("550"), "{}", receipt.answer);
    let reached: Vec<String> = smtp
        .mails()
        .into_iter()
        .flat_map(|mail| mail.recipients)
        .collect();
    assert_eq!(reached, ["a@example.com", "b@example.com"]);
}

#[test]
fn a_mail_server_that_is_busy_is_tried_again() {
    let busy = std::sync::Mutex::new(1);
    let smtp = Smtp::start("", move |line| {
        let mut busy = busy.lock().unwrap();
        (line.starts_with("MAIL") && std::mem::replace(&mut *busy, 0) == 1)
            .then(|| "451 later".to_owned())
    });
    let settings = email_to(smtp.port, Tls::None, &["a@example.com"]);
    let receipt = send(settings, vec![notification(1, "n", Status::Firing, &["a"])]).remove(0);
    assert_eq!((receipt.outcome, receipt.attempts), (Outcome::Delivered, 2));
    assert!(
        receipt.answer.starts_with("250 queued"),
        "{}",
        receipt.answer
    );
}

#[test]
fn without_starttls_nothing_is_said_and_no_password_goes_out() {
    let smtp = Smtp::start("250-AUTH PLAIN LOGIN\r\n", |_| None);
    for tls in [Tls::StartTls, Tls::Tls] {
        let mut settings = email_to(smtp.port, tls, &["a@example.com"]);
        settings.give_up = Duration::from_millis(100);
        settings.timeout = Duration::from_millis(500);
        if let Channel::Email(email) = &mut settings.channel {
            email.user = Some("user".to_owned());
            email.password = Some(Secret::new("canary"));
        }
        let receipt = send(settings, vec![notification(1, "n", Status::Firing, &["a"])]).remove(0);
        assert_eq!(receipt.outcome, Outcome::Dead, "{receipt:?}");
    }
    assert!(smtp.mails().is_empty());
    let heard = smtp.heard();
    assert!(
        !heard.contains("AUTH") && !heard.contains("MAIL"),
        "{heard}"
    );
}

#[test]
fn a_login_that_is_refused_is_told_once() {
    let smtp = Smtp::start("250-AUTH PLAIN\r\n", |line| {
        line.starts_with("AUTH")
            .then(|| "535 wrong password canary-password".to_owned())
    });
    let mut settings = email_to(smtp.port, Tls::None, &["a@example.com", "b@example.com"]);
    if let Channel::Email(email) = &mut settings.channel {
        email.user = Some("user".to_owned());
        email.password = Some(Secret::new("canary-password"));
    }
    let receipt = send(settings, vec![notification(1, "n", Status::Firing, &["a"])]).remove(0);
    assert_eq!((receipt.outcome, receipt.attempts), (Outcome::Dead, 1));
    assert!(
        !receipt.answer.contains("canary") && receipt.answer.contains("535"),
        "{}",
        receipt.answer
    );
}

/// A token that ends a header and begins another one: it came from a file with more than one line.
#[test]
fn a_token_with_a_line_break_makes_no_header() {
    for token in ["canary\r\nX-Evil: 1", "canary\nX-Evil: 1", "canary\0"] {
        let server = Server::start(|_, _| status(200));
        let channel = Channel::Webhook(webhook::Webhook {
            url: Secret::new(server.url("/hook")),
            secret: None,
            token: Some(Secret::new(token)),
        });
        let alert = vec![notification(1, "n", Status::Firing, &["a"])];
        let receipt = send(settings("n", channel), alert).remove(0);
        assert_eq!(receipt.outcome, Outcome::Dead, "{token:?}: {receipt:?}");
        assert_eq!(receipt.attempts, 1, "{token:?}");
        assert!(!receipt.answer.contains("canary"), "{receipt:?}");
        assert_eq!(server.requests().len(), 0, "{token:?}");
    }
}

fn run(argv: &[&str]) -> Settings {
    let argv = argv.iter().map(|argument| (*argument).to_owned()).collect();
    // A variable that every process of a test has.
    let hidden = vec!["CARGO_MANIFEST_DIR".to_owned()];
    settings("n", Channel::Command(command::Command { argv, hidden }))
}

#[test]
fn a_command_gets_its_arguments_as_they_are_and_json_on_its_input() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let script = home.path().join("script");
    std::fs::write(
        &script,
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$OUT\"\ncat >> \"$OUT\"\necho thanks\n"
            .replace("$OUT", out.to_str().unwrap()),
    )
    .unwrap();
    let script = script.to_str().unwrap();
    let argv = [
        "/bin/sh",
        script,
        "a b",
        "$(touch /nowhere)",
        "`id`",
        "*",
        "",
    ];
    let receipt = send(run(&argv), vec![hostile(1)]).remove(0);
    assert_eq!(
        (receipt.outcome, &*receipt.answer),
        (Outcome::Delivered, "exit code 0 thanks")
    );
    let text = std::fs::read_to_string(&out).unwrap();
    let (arguments, body) = text.split_at(text.find('{').unwrap());
    assert_eq!(arguments, "a b\n$(touch /nowhere)\n`id`\n*\n\n");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["alerts"][0]["annotations"]["summary"], HOSTILE);
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let home = tempfile::tempdir().unwrap();
    let pids = home.path().join("pids");
    let script = format!("sleep 300 & echo $! > {}; sleep 300", pids.display());
    let mut settings = run(&["/bin/sh", "-c", &script]);
    settings.timeout = Duration::from_millis(500);
    settings.give_up = Duration::from_millis(100);
    let receipt = send(settings, vec![notification(1, "n", Status::Firing, &["a"])]).remove(0);
    assert_eq!(receipt.outcome, Outcome::Dead);
    assert!(
        receipt.answer.contains("no answer within"),
        "{}",
        receipt.answer
    );
    let child = std::fs::read_to_string(&pids).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    // Dead, though perhaps not yet buried by the process that inherited it.
    until("the child is dead", || {
        !std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
    });
}

#[test]
fn a_command_says_how_it_went_with_its_exit_code() {
    for (argv, outcome, attempts) in [
        (&["/bin/sh", "-c", "exit 78"][..], Outcome::Dead, 1),
        (&["/nowhere/program"], Outcome::Dead, 1),
        (
            &["/bin/sh", "-c", "yes | head -c 1000000; exit 0"],
            Outcome::Delivered,
            1,
        ),
        (
            &["/bin/sh", "-c", "exec <&-; exit 0"],
            Outcome::Delivered,
            1,
        ),
        // Its child holds the output open and lives on.
        (
            &["/bin/sh", "-c", "sleep 3 & exit 0"],
            Outcome::Delivered,
            1,
        ),
    ] {
        let start = std::time::Instant::now();
        let receipt = send(
            run(argv),
            vec![notification(1, "n", Status::Firing, &["a"])],
        )
        .remove(0);
        assert_eq!(
            (receipt.outcome, receipt.attempts),
            (outcome, attempts),
            "{argv:?}"
        );
        assert!(start.elapsed() < Duration::from_secs(2), "{argv:?}");
    }
    let mut failing = run(&["/bin/sh", "-c", "echo it broke >&2; exit 1"]);
    failing.give_up = Duration::from_millis(900);
    let receipt = send(failing, vec![notification(1, "n", Status::Firing, &["a"])]).remove(0);
    assert!(
        receipt.attempts >= 2 && receipt.answer.contains("it broke"),
        "{receipt:?}"
    );
}
