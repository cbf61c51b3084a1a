//! The endpoint that Prometheus scrapes, as clients of every kind see it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use logweir::flow::secret::Secret;
use logweir::sinks::prometheus::{Endpoint, PageRequest, Settings};

const PAGE: &str = "# HELP weir_x X.\n# TYPE weir_x gauge\nweir_x 1\n";

pub fn at(listen: &str, token: Option<&str>) -> Settings {
    Settings {
        listen: listen.to_owned(),
        token: token.map(Secret::new),
    }
}

/// An endpoint whose pages are all [`PAGE`].
fn start() -> (Endpoint, Arc<AtomicBool>) {
    start_with(None)
}

fn start_with(token: Option<&str>) -> (Endpoint, Arc<AtomicBool>) {
    let (sender, requests): (_, Receiver<PageRequest>) = unbounded();
    std::thread::spawn(move || {
        for request in requests {
            let _ = request.reply.send(PAGE.to_owned());
        }
    });
    let ready = Arc::new(AtomicBool::new(false));
    let endpoint = Endpoint::start(
        &at("127.0.0.1:0", token),
        sender,
        Arc::clone(&ready),
        Arc::default(),
    )
    .unwrap();
    (endpoint, ready)
}

/// Sends bytes and returns the answer's status and everything else.
fn ask(address: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    (status, text)
}

/// The answer's status, and its text with the head.
pub fn get(address: SocketAddr, path: &str, host: &str) -> (u16, String) {
    ask(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

#[test]
fn pages_health_and_readiness() {
    let (endpoint, ready) = start();
    let address = endpoint.address();
    let host = address.to_string();
    let (status, text) = get(address, "/metrics", &host);
    assert_eq!(status, 200);
    assert!(
        text.to_lowercase()
            .contains("content-type: text/plain; version=0.0.4"),
        "{text}"
    );
    assert!(text.ends_with(PAGE));
    assert_eq!(get(address, "/metrics?x=1", "localhost").0, 200);
    assert_eq!(get(address, "/health", &host).0, 200);
    assert_eq!(get(address, "/ready", &host).0, 503);
    ready.store(true, Ordering::Relaxed);
    assert_eq!(get(address, "/ready", &host).0, 200);
    assert_eq!(get(address, "/", &host).0, 404);
    assert_eq!(get(address, "/../etc/passwd", &host).0, 404);
    let post = format!(
        "POST /metrics HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(ask(address, &post).0, 405);
    drop(endpoint);
    assert!(TcpStream::connect(address).is_err(), "it has ended");
}

#[test]
fn a_name_that_points_here_from_outside_gets_nothing() {
    let (endpoint, _ready) = start();
    let address = endpoint.address();
    for host in [
        "evil.example",
        "evil.example:9598",
        "10.1.2.3",
        "localhost.evil.example",
        "",
    ] {
        let (status, text) = get(address, "/metrics", host);
        assert_eq!(status, 421, "{host}");
        assert!(!text.contains("weir_x"));
        assert!(
            !text.to_lowercase().contains("access-control"),
            "no other origin is let in"
        );
    }
    let without = "GET /metrics HTTP/1.0\r\n\r\n";
    assert!([400, 421].contains(&ask(address, without).0));
}

#[test]
fn clients_that_say_nothing_or_too_much_do_not_stay() {
    let (endpoint, _ready) = start();
    let address = endpoint.address();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").unwrap();
    let huge = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    assert_ne!(ask(address, &huge).0, 200);
    assert_ne!(ask(address, "\0\u{1}\u{2} garbage\r\n\r\n").0, 200);
    assert_eq!(
        get(address, "/health", "localhost").0,
        200,
        "others are served meanwhile"
    );
    slow.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "the slow one is put off: {:?}",
        start.elapsed()
    );
}

/// 64 connections that send nothing, or half a head, or had an answer and stay: a probe went unanswered
/// for nine seconds.
#[test]
fn a_probe_is_answered_while_others_hold_every_connection() {
    let (endpoint, _ready) = start();
    let address = endpoint.address();
    for begin in [
        "",
        "GET /metrics HTTP/1.1\r\nHost: loc",
        "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let held: Vec<TcpStream> = (0..200)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                // The endpoint may have put it off already.
                let _ = stream.write_all(begin.as_bytes());
                stream
            })
            .collect();
        let start = Instant::now();
        assert_eq!(get(address, "/health", "localhost").0, 200, "{begin:?}");
        assert_eq!(get(address, "/metrics", "localhost").0, 200, "{begin:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{begin:?}");
        drop(held);
    }
}

/// One byte a second keeps a connection no longer than the whole head may take.
#[test]
fn a_head_that_trickles_is_put_off() {
    let (endpoint, _ready) = start();
    let mut slow = TcpStream::connect(endpoint.address()).unwrap();
    slow.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let start = Instant::now();
    let mut byte = [0];
    loop {
        let sent = slow.write_all(b"G");
        match slow.read(&mut byte) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            _ if sent.is_err() => break,
            _ => {}
        }
        assert!(start.elapsed() < Duration::from_secs(15));
    }
}

/// Every answer, whatever was asked: no header lets another origin in, and what is no plain GET of this
/// machine's own name is refused.
#[test]
fn what_is_asked_wrongly_is_refused_and_no_origin_is_let_in() {
    let (endpoint, _ready) = start();
    let address = endpoint.address();
    for (request, want) in [
        ("GET /metrics HTTP/1.1\r\nHost: localhost", 200),
        ("HEAD /metrics HTTP/1.1\r\nHost: localhost", 200),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example",
            200,
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
            400,
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
            400,
        ),
        (
            "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nHost: localhost",
            400,
        ),
        ("GET /health HTTP/1.1\r\nHost: evil.example", 421),
        ("GET /ready HTTP/1.1\r\nHost: evil.example", 421),
        (
            "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost",
            421,
        ),
        (
            "GET http://localhost/metrics HTTP/1.1\r\nHost: localhost",
            200,
        ),
        ("GET /metrics HTTP/1.1", 421),
        (
            "OPTIONS /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: GET",
            405,
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost", 405),
        (
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0",
            405,
        ),
        (
            "PUT /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0",
            405,
        ),
        ("DELETE /metrics HTTP/1.1\r\nHost: localhost", 405),
        ("TRACE /metrics HTTP/1.1\r\nHost: localhost", 405),
        ("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost", 405),
        ("BREW /metrics HTTP/1.1\r\nHost: localhost", 405),
        ("get /metrics HTTP/1.1\r\nHost: localhost", 405),
        ("GET /metrics HTTP/3.0\r\nHost: localhost", 400),
        ("GET /metrics HTTP/1.1\r\nHost : localhost", 400),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: a\0b", 400),
    ] {
        let (status, text) = ask(address, &format!("{request}\r\nConnection: close\r\n\r\n"));
        assert_eq!(status, want, "{request}: {text}");
        let text = text.to_lowercase();
        assert!(!text.contains("access-control"), "{request}: {text}");
        assert!(want == 200 || !text.contains("weir_x"), "{request}: {text}");
        assert!(
            want == 400 || text.contains("x-content-type-options: nosniff"),
            "{request}: {text}"
        );
    }
    let many = "X: y\r\n".repeat(1000);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    let (status, text) = ask(address, &request);
    assert!([400, 431].contains(&status), "{text}");
    // Requests that do not wait for the answer before are answered one after the other.
    let two = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let (_, text) = ask(address, two);
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert!(text.ends_with(PAGE));
}

#[test]
fn with_a_token_only_probes_go_without_it() {
    let (endpoint, _ready) = start_with(Some("canary-token"));
    let address = endpoint.address();
    for (path, authorization, want) in [
        ("/health", "", 200),
        ("/ready", "", 503),
        ("/metrics", "", 401),
        ("/", "", 401),
        ("/metrics", "Authorization: Bearer canary-token\r\n", 200),
        ("/metrics", "authorization: bearer canary-token\r\n", 200),
        ("/metrics", "Authorization: Bearer canary-toke\r\n", 401),
        ("/metrics", "Authorization: Basic canary-token\r\n", 401),
        (
            "/metrics",
            "Authorization: Bearer canary-token\r\nAuthorization: Bearer canary-token\r\n",
            401,
        ),
        ("/metrics?token=canary-token", "", 401),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n"
        );
        let (status, text) = ask(address, &request);
        assert_eq!(status, want, "{request}");
        assert!(!text.contains("canary"), "{text}");
        assert_eq!(text.contains("weir_x"), want == 200 && path == "/metrics");
    }
}

#[test]
fn an_address_in_use_is_named() {
    let (endpoint, _ready) = start();
    let (sender, _requests) = unbounded();
    let listen = endpoint.address().to_string();
    let error = Endpoint::start(&at(&listen, None), sender, Arc::default(), Arc::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&listen), "{error}");
}

#[test]
fn without_anybody_who_makes_pages_there_is_an_answer_all_the_same() {
    let (sender, requests) = unbounded();
    drop(requests);
    let endpoint = Endpoint::start(
        &at("127.0.0.1:0", None),
        sender,
        Arc::default(),
        Arc::default(),
    )
    .unwrap();
    assert_eq!(get(endpoint.address(), "/metrics", "localhost").0, 503);
}
