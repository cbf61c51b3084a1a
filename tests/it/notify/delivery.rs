//! When things are sent, how often and in which order; what is said of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use logweir::flow::alert::Status;
use logweir::flow::secret::Secret;
use logweir::notifiers::delivery::{Delivery, Folder, Outcome};
use logweir::notifiers::{Rate, file, journal, webhook as hook};

use super::server::{Reply, Server, status};
use super::{Channel, notification, quiet, receipts, settings, webhook};
use crate::program::let_pass;

fn folder(home: &tempfile::TempDir) -> Folder {
    Folder::of(home.path())
}

fn dead_letters(folder: &Folder) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(&folder.dead_letters).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sends one notification to a server that answers `replies` in turn, then 200; returns the receipt,
/// how many requests came whole and how long it took.
fn scripted(replies: Vec<Reply>) -> (logweir::notifiers::delivery::Receipt, usize, Duration) {
    let replies = Mutex::new(replies.into_iter());
    let server = Server::start(move |_, _| {
        replies
            .lock()
            .unwrap()
            .next()
            .unwrap_or_else(|| status(200))
    });
    let mut settings = settings("w", webhook(server.url("/")));
    settings.timeout = Duration::from_millis(300);
    let delivery = Delivery::start(vec![settings], None, quiet).unwrap();
    let start = Instant::now();
    delivery.send(notification(1, "w", Status::Firing, &["a"]));
    let receipt = receipts(&delivery, 1).remove(0);
    let took = start.elapsed();
    assert!(delivery.drain(Duration::from_secs(5)).is_empty());
    (receipt, server.requests().len(), took)
}

#[test]
fn tries_again_after_every_passing_failure() {
    for (name, reply, came) in [
        ("408", status(408), 2),
        ("425", status(425), 2),
        ("429", status(429), 2),
        ("500", status(500), 2),
        ("503", status(503), 2),
        ("reset", Reply::Reset, 1),
        ("close", Reply::Close, 2),
        ("200, then close", Reply::CloseInAnswer, 2),
        ("stall", Reply::Stall(Duration::from_secs(5)), 2),
    ] {
        let (receipt, requests, took) = scripted(vec![reply]);
        assert_eq!(
            (receipt.outcome, receipt.attempts),
            (Outcome::Delivered, 2),
            "{name}: {receipt:?}"
        );
        assert_eq!(requests, came, "{name}");
        assert!(
            took >= Duration::from_millis(250),
            "{name}: waits before the second attempt"
        );
        assert!(took < Duration::from_secs(3), "{name}: {took:?}");
    }
}

#[test]
fn does_not_try_again_what_is_refused() {
    for code in [400, 401, 403, 404, 405, 410, 413, 422, 301, 302, 307] {
        let headers = vec![(
            "Location",
            "http://169.254.169.254/latest/meta-data/".to_owned(),
        )];
        let (receipt, requests, _) =
            scripted(vec![Reply::Answer(code, headers, "reason".to_owned())]);
        assert_eq!(
            (receipt.outcome, receipt.attempts),
            (Outcome::Dead, 1),
            "{code}"
        );
        assert_eq!(requests, 1, "{code}");
        assert!(
            receipt.answer.contains(&code.to_string()),
            "{}",
            receipt.answer
        );
        assert!(!receipt.answer.contains("169.254"), "{}", receipt.answer);
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let aim = Server::start(|_, _| status(200));
    let place = aim.url("/latest/meta-data/");
    let server = Server::start(move |_, _| {
        Reply::Answer(307, vec![("Location", place.clone())], String::new())
    });
    let delivery =
        Delivery::start(vec![settings("w", webhook(server.url("/")))], None, quiet).unwrap();
    delivery.send(notification(1, "w", Status::Firing, &["a"]));
    assert_eq!(receipts(&delivery, 1)[0].outcome, Outcome::Dead);
    assert!(aim.requests().is_empty());
}

#[test]
fn waits_as_long_as_the_receiver_asks() {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    for (value, least, most) in [
        // A date has no fraction of a second.
        (date.as_str(), 1.5, 4.5),
        ("1", 1.0, 2.5),
        ("0", 0.0, 0.5),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0, 0.5),
        ("a while", 0.2, 1.5),
    ] {
        let reply = Reply::Answer(429, vec![("Retry-After", value.to_owned())], String::new());
        let (receipt, _, took) = scripted(vec![reply]);
        assert_eq!(receipt.outcome, Outcome::Delivered, "{value}");
        assert!(
            (least..most).contains(&took.as_secs_f64()),
            "{value}: {took:?}"
        );
    }
}

#[test]
fn a_pause_that_is_asked_for_holds_all_messages_of_the_notifier() {
    let start = Instant::now();
    let server = Server::start(move |_, number| match number {
        0 => Reply::Answer(503, vec![("Retry-After", "1".to_owned())], String::new()),
        _ if start.elapsed() < Duration::from_millis(900) => status(400),
        _ => status(200),
    });
    let delivery =
        Delivery::start(vec![settings("w", webhook(server.url("/")))], None, quiet).unwrap();
    delivery.send(notification(1, "w", Status::Firing, &["a"]));
    // Time for the answer to come back, which nothing shows.
    let_pass(Duration::from_millis(200));
    delivery.send(notification(2, "w", Status::Firing, &["b"]));
    let receipts = receipts(&delivery, 2);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.outcome == Outcome::Delivered),
        "{receipts:?}"
    );
}

#[test]
fn what_is_too_large_is_halved_until_it_fits() {
    let server = Server::start(|request, _| {
        match request
            .header("content-length")
            .unwrap()
            .parse::<usize>()
            .unwrap()
        {
            0..=2500 => status(200),
            _ => status(413),
        }
    });
    let home = tempfile::tempdir().unwrap();
    let folder = folder(&home);
    let delivery = Delivery::start(
        vec![settings("w", webhook(server.url("/")))],
        Some(folder.clone()),
        quiet,
    )
    .unwrap();
    let names: Vec<String> = (0..13).map(|number| format!("a{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    delivery.send(notification(1, "w", Status::Firing, &names));
    let mut giant = notification(2, "w", Status::Firing, &["giant", "small"]);
    giant.alerts[0].summary = "x".repeat(5000);
    delivery.send(giant);
    let receipts = receipts(&delivery, 2);
    assert_eq!(receipts[0].outcome, Outcome::Delivered);
    assert_eq!(receipts[1].outcome, Outcome::Dead);
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for request in server.requests() {
        if request.body.len() <= 2500 {
            assert!(keys.insert(request.header("idempotency-key").unwrap().to_owned()));
            for alert in request.json()["alerts"].as_array().unwrap() {
                *told
                    .entry(alert["fingerprint"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }
    let mut want: BTreeMap<String, usize> =
        names.iter().map(|name| ((*name).to_owned(), 1)).collect();
    want.insert("small".to_owned(), 1);
    assert_eq!(told, want, "each once");
    let letters = dead_letters(&folder);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["notification"]["alerts"][0]["id"], "giant");
    assert!(letters[0]["reason"].as_str().unwrap().contains("413"));
}

#[test]
fn gives_up_when_it_is_time_and_keeps_the_letter() {
    let server = Server::start(|_, _| status(500));
    let home = tempfile::tempdir().unwrap();
    let folder = folder(&home);
    let mut settings = settings("w", webhook(server.url("/")));
    settings.give_up = Duration::from_secs(2);
    let delivery = Delivery::start(vec![settings], Some(folder.clone()), quiet).unwrap();
    delivery.send(notification(7, "w", Status::Firing, &["a"]));
    let receipt = receipts(&delivery, 1).remove(0);
    assert_eq!(receipt.outcome, Outcome::Dead);
    assert!((2..=4).contains(&receipt.attempts), "{receipt:?}");
    assert_eq!(server.requests().len(), receipt.attempts as usize);
    let letters = dead_letters(&folder);
    assert_eq!(letters[0]["notification"]["number"], 7);
    let (entries, torn) = journal::read(&folder.journal).unwrap();
    assert_eq!((entries.len(), torn), (receipt.attempts as usize, 0));
    assert_eq!(entries.last().unwrap().ended, journal::Ended::Dead);
    assert!(
        entries[..entries.len() - 1]
            .iter()
            .all(|entry| entry.ended == journal::Ended::Later)
    );
}

#[test]
fn what_finds_no_place_among_the_dead_letters_is_not_given_up() {
    let server = Server::start(|_, _| status(400));
    let home = tempfile::tempdir().unwrap();
    let folder = folder(&home);
    // Where the letters should go there is a folder.
    std::fs::create_dir(&folder.dead_letters).unwrap();
    let settings = settings("w", webhook(server.url("/")));
    let delivery = Delivery::start(vec![settings], Some(folder), quiet).unwrap();
    delivery.send(notification(7, "w", Status::Firing, &["a"]));
    crate::follow::scene::until("it is refused", || !server.requests().is_empty());
    let left = delivery.drain(Duration::from_millis(200));
    assert_eq!(left.len(), 1, "it waits for the next start");
}

#[test]
fn one_failing_notifier_holds_up_no_other() {
    let stalled = Server::start(|_, _| Reply::Stall(Duration::from_secs(30)));
    let well = Server::start(|_, _| status(200));
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("alerts");
    let all = vec![
        settings("stalled", webhook(stalled.url("/"))),
        settings("nobody", webhook("http://127.0.0.1:1/".to_owned())),
        settings("well", webhook(well.url("/"))),
        settings("file", Channel::File(file::File { path: path.clone() })),
    ];
    let delivery = Delivery::start(all, None, quiet).unwrap();
    let start = Instant::now();
    for number in 0..100 {
        let id = format!("a{number}");
        for (place, name) in ["stalled", "nobody", "well", "file"]
            .into_iter()
            .enumerate()
        {
            delivery.send(notification(
                number * 4 + place as u64,
                name,
                Status::Firing,
                &[&id],
            ));
        }
    }
    let receipts = receipts(&delivery, 200);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(
        receipts
            .iter()
            .all(|receipt| ["well", "file"].contains(&&*receipt.notifier))
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 100);
    let left = delivery.drain(Duration::from_millis(200));
    assert_eq!(left.len(), 200, "what got no receipt stays with the caller");
    assert!(left.iter().all(|number| number % 4 < 2));
}

#[test]
fn keeps_to_its_rate() {
    let server = Server::start(|_, _| status(200));
    let mut settings = settings("w", webhook(server.url("/")));
    settings.rate = Rate {
        count: 10,
        per: Duration::from_secs(1),
    };
    let delivery = Delivery::start(vec![settings], None, quiet).unwrap();
    let start = Instant::now();
    for number in 0..25 {
        delivery.send(notification(
            number,
            "w",
            Status::Firing,
            &[&number.to_string()],
        ));
    }
    receipts(&delivery, 25);
    let took = start.elapsed().as_secs_f64();
    assert!(
        (1.4..4.0).contains(&took),
        "ten at once, fifteen at ten a second: {took}"
    );
}

#[test]
fn new_settings_take_what_waits_and_a_wrong_template_changes_nothing() {
    let server = Server::start(|_, _| status(200));
    let old = settings("w", webhook("http://127.0.0.1:1/".to_owned()));
    let mut delivery = Delivery::start(vec![old.clone()], None, quiet).unwrap();
    delivery.send(notification(1, "w", Status::Firing, &["a"]));
    let mut wrong = old.clone();
    wrong.text = Some("one\n{{ two".to_owned());
    let error = delivery.update(vec![wrong]).unwrap_err().to_string();
    assert!(
        error.contains("\"w\"") && error.contains("line 2"),
        "{error}"
    );
    delivery
        .update(vec![settings("w", webhook(server.url("/")))])
        .unwrap();
    assert_eq!(receipts(&delivery, 1)[0].outcome, Outcome::Delivered);
    delivery.send(notification(2, "nobody", Status::Firing, &["a"]));
    let receipt = receipts(&delivery, 1).remove(0);
    assert_eq!((receipt.number, receipt.outcome), (2, Outcome::Dead));
}

#[test]
fn without_a_notifier_there_is_no_thread() {
    let delivery = Delivery::start(Vec::new(), None, quiet).unwrap();
    delivery.send(notification(1, "w", Status::Firing, &["a"]));
    assert_eq!(receipts(&delivery, 1)[0].outcome, Outcome::Dead);
    assert!(delivery.drain(Duration::from_secs(1)).is_empty());
}

/// The issue's own case: 1,000 notifications, a receiver that does everything wrong at random.
#[test]
fn a_thousand_notifications_through_a_receiver_that_fails_at_random() {
    let state = Mutex::new(42u64);
    let random = move || {
        let mut state = state.lock().unwrap();
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % 100
    };
    // By notification: whether its receiver refuses it for good.
    let is_refused = |id: &str| id.trim_start_matches('n').parse::<u64>().unwrap() % 50 == 49;
    // At most four failures in a row of one notification: its waits, which double, then end within
    // seconds, and the test's own deadline tells a loss from a long wait.
    let failures: Mutex<HashMap<String, u32>> = Mutex::default();
    let server = Server::start(move |request, _| {
        let key = request.header("idempotency-key").unwrap();
        if is_refused(key) {
            return status(422);
        }
        let mut failures = failures.lock().unwrap();
        let failed = failures.entry(key.to_owned()).or_default();
        *failed += 1;
        if *failed > 4 {
            return status(200);
        }
        drop(failures);
        match random() {
            0..60 => status(200),
            60..70 => status(500),
            70..80 => Reply::Answer(429, vec![("Retry-After", "0".to_owned())], String::new()),
            80..85 => Reply::Reset,
            85..90 => Reply::Close,
            90..95 => Reply::CloseInAnswer,
            95..97 => Reply::Answer(
                503,
                vec![("Retry-After", "never".to_owned())],
                String::new(),
            ),
            _ => Reply::Stall(Duration::from_secs(1)),
        }
    });
    let home = tempfile::tempdir().unwrap();
    let folder = folder(&home);
    let mut settings = settings("w", webhook(server.url("/")));
    settings.timeout = Duration::from_millis(400);
    settings.give_up = Duration::from_secs(600);
    let delivery = Delivery::start(vec![settings], Some(folder.clone()), quiet).unwrap();
    // 500 alerts fire, then all are resolved.
    for number in 0..1000 {
        let status = if number < 500 {
            Status::Firing
        } else {
            Status::Resolved
        };
        delivery.send(notification(
            number,
            "w",
            status,
            &[&format!("a{}", number % 500)],
        ));
    }
    let receipts = receipts(&delivery, 1000);
    assert!(
        delivery.drain(Duration::from_secs(5)).is_empty(),
        "none is without a receipt"
    );
    let numbers: Vec<u64> = receipts.iter().map(|receipt| receipt.number).collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<u64>>(), "one receipt each");
    let dead: BTreeSet<u64> = receipts
        .iter()
        .filter(|receipt| receipt.outcome == Outcome::Dead)
        .map(|receipt| receipt.number)
        .collect();
    assert_eq!(dead, (0..1000).filter(|number| number % 50 == 49).collect());
    let letters: BTreeSet<u64> = dead_letters(&folder)
        .iter()
        .map(|letter| letter["notification"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(letters, dead);
    // What came, in the order it came.
    let mut seen: HashMap<String, Vec<String>> = HashMap::new();
    for request in server.requests() {
        for alert in request.json()["alerts"].as_array().unwrap() {
            let statuses = seen
                .entry(alert["fingerprint"].as_str().unwrap().to_owned())
                .or_default();
            statuses.push(alert["status"].as_str().unwrap().to_owned());
        }
    }
    for number in 0..500 {
        let statuses = &seen[&format!("a{number}")];
        assert!(
            statuses.contains(&"firing".to_owned()) && statuses.contains(&"resolved".to_owned())
        );
        assert!(statuses.is_sorted(), "a{number}: {statuses:?}");
    }
}

#[test]
fn no_secret_shows_in_receipts_journal_dead_letters_or_our_own_words() {
    static SAID: Mutex<String> = Mutex::new(String::new());
    fn say(line: &str) {
        SAID.lock().unwrap().push_str(line);
    }
    // A receiver that sends back everything it got.
    let server = Server::start(|request, number| {
        let echo = format!(
            "{} {:?} {}",
            request.path,
            request.headers,
            String::from_utf8_lossy(&request.body)
        );
        Reply::Answer([500, 403][number % 2], Vec::new(), echo)
    });
    let home = tempfile::tempdir().unwrap();
    let folder = folder(&home);
    let url = server
        .url("/services/canary-path/x?token=canary-query")
        .replace("http://", "http://canary-user:canary-pass@");
    let unreachable = "http://canary-user:canary-pass@127.0.0.1:1/canary-path?token=canary-query";
    let channel = |url: &str| {
        Channel::Webhook(hook::Webhook {
            url: Secret::new(url),
            secret: Some(Secret::new("canary-secret")),
            token: Some(Secret::new("canary-token")),
        })
    };
    let mut gone = settings("gone", channel(unreachable));
    gone.give_up = Duration::from_millis(100);
    let mut broken = settings("broken", channel("not a url canary-path"));
    broken.timeout = Duration::from_millis(100);
    let mut odd = settings("odd", channel(&server.url("/canary-path")));
    if let Channel::Webhook(webhook) = &mut odd.channel {
        webhook.token = Some(Secret::new("canary\nline"));
    }
    let all = vec![settings("echo", channel(&url)), gone, broken, odd];
    assert!(!format!("{all:?}").contains("canary"), "{all:?}");
    let delivery = Delivery::start(all, Some(folder.clone()), say).unwrap();
    for (number, name) in ["echo", "gone", "broken", "odd"].into_iter().enumerate() {
        delivery.send(notification(number as u64, name, Status::Firing, &["a"]));
    }
    let receipts = receipts(&delivery, 4);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.outcome == Outcome::Dead),
        "{receipts:?}"
    );
    delivery.drain(Duration::from_secs(5));
    let shown = [
        format!("{receipts:?}"),
        std::fs::read_to_string(&folder.journal).unwrap(),
        std::fs::read_to_string(&folder.dead_letters).unwrap(),
        SAID.lock().unwrap().clone(),
    ];
    assert!(
        shown.iter().all(|text| text.len() > 50),
        "there is something to look at"
    );
    for text in shown {
        assert!(!text.contains("canary"), "{text}");
    }
}
