//! The HTTP sink against receivers that misbehave: every line arrives, in order, or is put away.

use std::io::Read;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use logweir::flow::secret::Secret;
use logweir::sinks::Sink;
use logweir::sinks::http::{Compress, Content, Http, Settings};

use super::quiet;
use super::server::{Reply, Request, Server, status};
use crate::program::{let_pass, until};

fn settings(url: String) -> Settings {
    Settings {
        name: "s".to_owned(),
        url: Secret::new(url),
        token: Some(Secret::new("canary-token")),
        content: Content::Ndjson,
        compress: Compress::None,
        batch_bytes: 1000,
        batch_wait: Duration::from_millis(100),
        timeout: Duration::from_millis(400),
        finish_within: Duration::from_secs(30),
        dead_letters: None,
    }
}

/// Lines with numbers, some short, some long.
fn lines(from: usize, to: usize) -> String {
    (from..to)
        .map(|number| {
            format!(
                "{{\"n\":{number},\"x\":\"{}\"}}\n",
                "x".repeat(number * 7 % 90)
            )
        })
        .collect()
}

fn bodies(requests: &[Request]) -> String {
    requests
        .iter()
        .map(|request| String::from_utf8(request.body.clone()).unwrap())
        .collect()
}

#[test]
fn batches_are_whole_lines_of_the_size_that_was_asked_for() {
    for (compress, encoding) in [
        (Compress::None, None),
        (Compress::Gzip, Some("gzip")),
        (Compress::Zstd, Some("zstd")),
    ] {
        let server = Server::start(|_, _| status(204));
        let mut settings = settings(server.url("/in"));
        settings.compress = compress;
        let mut sink = Http::start(settings, quiet).unwrap();
        for start in (0..500).step_by(50) {
            sink.write(lines(start, start + 50).as_bytes()).unwrap();
        }
        sink.finish().unwrap();
        let mut requests = server.requests();
        for request in &mut requests {
            assert_eq!(request.header("content-encoding"), encoding);
            assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
            assert_eq!(request.header("authorization"), Some("Bearer canary-token"));
            let body = std::mem::take(&mut request.body);
            request.body = match compress {
                Compress::None => body,
                Compress::Zstd => zstd::decode_all(&body[..]).unwrap(),
                Compress::Gzip => {
                    let mut plain = Vec::new();
                    flate2::read::GzDecoder::new(&body[..])
                        .read_to_end(&mut plain)
                        .unwrap();
                    plain
                }
            };
            assert!(request.body.len() <= 1000 && request.body.ends_with(b"\n"));
        }
        assert_eq!(bodies(&requests), lines(0, 500), "{compress:?}");
        let mut keys: Vec<&str> = requests
            .iter()
            .map(|request| request.header("idempotency-key").unwrap())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(
            keys.len(),
            requests.len(),
            "every batch has a key of its own"
        );
    }
}

#[test]
fn a_batch_goes_when_it_is_old_enough() {
    let server = Server::start(|_, _| status(200));
    let mut sink = Http::start(settings(server.url("/")), quiet).unwrap();
    sink.write(b"a\n").unwrap();
    until("it is sent", || !server.requests().is_empty());
    sink.finish().unwrap();
    assert_eq!(bodies(&server.requests()), "a\n");
}

#[test]
fn every_line_gets_through_a_receiver_that_fails_at_times() {
    let accepted = std::sync::Arc::new(Mutex::new(Vec::new()));
    let took = std::sync::Arc::clone(&accepted);
    let server = Server::start(move |request, number| match number % 9 {
        1 => status(503),
        3 => Reply::Answer(429, vec![("Retry-After", "0".to_owned())], String::new()),
        4 => Reply::Reset,
        6 => Reply::Close,
        7 => Reply::CloseInAnswer,
        _ => {
            took.lock()
                .unwrap()
                .push(request.header("idempotency-key").unwrap().to_owned());
            status(200)
        }
    });
    let mut sink = Http::start(settings(server.url("/")), quiet).unwrap();
    sink.write(lines(0, 150).as_bytes()).unwrap();
    sink.finish().unwrap();
    let accepted = accepted.lock().unwrap();
    // What was accepted, once for each key, in order.
    let mut seen = std::collections::HashSet::new();
    let mut requests = server.requests();
    requests.retain(|request| {
        let key = request.header("idempotency-key").unwrap();
        accepted.iter().any(|other| other == key) && seen.insert(key.to_owned())
    });
    assert_eq!(bodies(&requests), lines(0, 150));
}

#[test]
fn what_is_too_large_is_split_and_what_is_refused_is_put_away() {
    let server = Server::start(|request, _| {
        let length: usize = request.header("content-length").unwrap().parse().unwrap();
        if length > 300 {
            status(413)
        } else {
            status(200)
        }
    });
    let home = tempfile::tempdir().unwrap();
    let dead = home.path().join("dead.ndjson");
    let mut settings = settings(server.url("/?token=canary-query"));
    settings.dead_letters = Some(dead.clone());
    let mut sink = Http::start(settings, quiet).unwrap();
    let giant = format!("{}\n", "g".repeat(500));
    sink.write(lines(0, 20).as_bytes()).unwrap();
    sink.write(giant.as_bytes()).unwrap();
    sink.write(lines(20, 40).as_bytes()).unwrap();
    sink.finish().unwrap();
    let mut requests = server.requests();
    requests.retain(|request| request.body.len() <= 300);
    assert_eq!(bodies(&requests), lines(0, 40));
    let text = std::fs::read_to_string(&dead).unwrap();
    assert!(!text.contains("canary"));
    let letter: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(letter["lines"], giant);
    assert!(letter["reason"].as_str().unwrap().contains("413"));
    assert_eq!(sink.dead_bytes(), 501);
}

#[test]
fn a_receiver_that_is_gone_holds_the_writer_up_and_loses_nothing_unsaid() {
    let mut settings = settings("http://127.0.0.1:1/canary-path".to_owned());
    settings.finish_within = Duration::from_millis(300);
    let mut sink = Http::start(settings, quiet).unwrap();
    let (done, finished) = crossbeam_channel::bounded(1);
    let writer = std::thread::spawn(move || {
        for start in 0..100 {
            sink.write(lines(start * 40, start * 40 + 40).as_bytes())
                .unwrap();
            if start == 5 {
                done.send(()).unwrap();
            }
        }
        sink
    });
    finished.recv_timeout(Duration::from_secs(5)).unwrap();
    let_pass(Duration::from_millis(300));
    assert!(!writer.is_finished(), "the queue is bounded");
}

#[test]
fn what_cannot_be_sent_before_the_end_is_an_error() {
    let mut settings = settings("http://127.0.0.1:1/canary-path".to_owned());
    settings.finish_within = Duration::from_millis(300);
    let mut sink = Http::start(settings, quiet).unwrap();
    sink.write(b"a\nb\n").unwrap();
    let start = Instant::now();
    let error = sink.finish().unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(
        error.contains("4 bytes") && !error.contains("canary"),
        "{error}"
    );
}

#[test]
fn a_refusal_without_a_place_for_dead_letters_is_an_error() {
    let server = Server::start(|_, _| status(401));
    let mut sink = Http::start(settings(server.url("/")), quiet).unwrap();
    sink.write(b"a\n").unwrap();
    let error = sink.finish().unwrap_err().to_string();
    assert!(error.contains("401"), "{error}");
}
