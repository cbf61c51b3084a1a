//! The endpoint that Prometheus scrapes, as clients of every kind see it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use logweir::sinks::prometheus::{Endpoint, PageRequest};

const PAGE: &str = "# HELP weir_x X.\n# TYPE weir_x gauge\nweir_x 1\n";

/// An endpoint whose pages are all [`PAGE`].
fn start() -> (Endpoint, Arc<AtomicBool>) {
    let (sender, requests): (_, Receiver<PageRequest>) = unbounded();
    std::thread::spawn(move || {
        for request in requests {
            let _ = request.reply.send(PAGE.to_owned());
        }
    });
    let ready = Arc::new(AtomicBool::new(false));
    let endpoint = Endpoint::start("127.0.0.1:0", sender, Arc::clone(&ready)).unwrap();
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

#[test]
fn connections_beyond_the_limit_wait_and_are_served() {
    let (endpoint, _ready) = start();
    let address = endpoint.address();
    let idle: Vec<TcpStream> = (0..64)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    assert_eq!(get(address, "/health", "localhost").0, 200);
    assert!(
        start.elapsed() > Duration::from_secs(1),
        "it waited for an idle one to be put off"
    );
    drop(idle);
}

#[test]
fn an_address_in_use_is_named() {
    let (endpoint, _ready) = start();
    let (sender, _requests) = unbounded();
    let listen = endpoint.address().to_string();
    let error = Endpoint::start(&listen, sender, Arc::default())
        .err()
        .unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&listen), "{error}");
}

#[test]
fn without_anybody_who_makes_pages_there_is_an_answer_all_the_same() {
    let (sender, requests) = unbounded();
    drop(requests);
    let endpoint = Endpoint::start("127.0.0.1:0", sender, Arc::default()).unwrap();
    assert_eq!(get(endpoint.address(), "/metrics", "localhost").0, 503);
}
