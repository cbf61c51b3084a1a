//! The endpoint that Prometheus scrapes: `/metrics`, `/health` and `/ready`. It knows nothing of what is
//! on the page: it asks for one. Only names of this machine are answered, so that no web page can read
//! it through a name that it made point here, and no header lets another origin in. A client that
//! holds a connection for nothing loses it to one that wants an answer.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::component::Keys;
use crate::flow::secret::Secret;
use crate::sinks::{Configured, Context, Destination, Open, Opening, What};

/// Connections at once. The next one takes the place of one that is idle.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may live; who scrapes for longer opens another.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// How soon room is looked for again when every connection waits for its page.
const ROOM_TIME: Duration = Duration::from_millis(50);

/// What stands before a token.
const SCHEME: &[u8] = b"Bearer ";

/// How long a page may take: the fold makes it between two batches.
const PAGE_TIME: Duration = Duration::from_secs(5);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// An endpoint that Prometheus scrapes, with `/health` and `/ready`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// Address and port to listen on.
    #[serde(default = "listen")]
    #[schemars(extend("format" = "address"))]
    listen: String,
    /// Environment variable that holds the bearer token that `/metrics` asks for; wanted where it listens
    /// beyond this machine.
    #[schemars(extend("format" = "variable", "secret" = true))]
    token_env: Option<String>,
    /// File that holds that token.
    #[schemars(length(min = 1), extend("secret" = true))]
    token_file: Option<String>,
}

fn listen() -> String {
    "127.0.0.1:9598".to_owned()
}

impl Configured for Config {
    type Settings = Settings;

    const KEYS: &[Keys] = &[Keys::AtMostOne(&["token_env", "token_file"])];

    fn writes(&self) -> Option<(What, Option<&str>)> {
        None
    }

    fn resolve(&self, context: &mut Context) -> Option<Settings> {
        let token = context.resolver.secret("token");
        if token.is_none() && !is_loopback(&self.listen) {
            let note = format!(
                "{} listens beyond this machine and asks for no token; every client that reaches it can read /metrics; \
                 add token_env, or listen on 127.0.0.1",
                self.listen
            );
            context.resolver.note("listen", note);
        }
        Some(Settings {
            listen: self.listen.clone(),
            token,
        })
    }
}

/// Where the endpoint is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address and port.
    pub listen: String,
    /// What a request has to bring, but for `/health` and `/ready`.
    pub token: Option<Secret>,
}

impl Open for Settings {
    fn address(&self) -> String {
        format!("http://{}", self.listen)
    }

    fn open(self, _: &Opening) -> io::Result<Destination> {
        Err(io::Error::other(
            "an endpoint is asked; nothing is written to it",
        ))
    }
}

/// Whether an address with a port is of this machine alone. A name that is not `localhost` may be any.
pub fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// What `/health` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    #[default]
    Well,
    /// It works, and something is to be looked at.
    Degraded(String),
    /// Records went missing.
    Ill(String),
}

/// Somebody wants the page.
pub struct PageRequest {
    pub reply: Sender<String>,
}

/// The endpoint, until it is dropped.
pub struct Endpoint {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Endpoint {
    /// Listens where the settings say, such as on `127.0.0.1:9598`. Pages are asked for through `pages`, whose other end
    /// must be looked at within five seconds; `/ready` says 200 while `ready` is set, `/health` what is in
    /// `health`.
    pub fn start(
        settings: &Settings,
        pages: Sender<PageRequest>,
        ready: Arc<AtomicBool>,
        health: Arc<Mutex<Health>>,
    ) -> io::Result<Endpoint> {
        let listen = &settings.listen;
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
        };
        let listener = std::net::TcpListener::bind(listen).map_err(named)?;
        listener.set_nonblocking(true).map_err(named)?;
        let address = listener.local_addr().map_err(named)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .thread_name("weir-page")
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let site = Arc::new(Site {
            own: address.ip(),
            token: settings.token.clone(),
            pages,
            ready,
            health,
        });
        let thread = std::thread::Builder::new()
            .name("weir-endpoint".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, site) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Endpoint {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Site {
    own: IpAddr,
    token: Option<Secret>,
    pages: Sender<PageRequest>,
    ready: Arc<AtomicBool>,
    health: Arc<Mutex<Health>>,
}

/// The connections that are open.
#[derive(Default)]
struct Connections {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
}

#[derive(Default)]
struct Connection {
    stage: Mutex<Stage>,
    /// It is to end, so that another one gets its place.
    put_off: Notify,
}

/// Those that are put off first come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No request has come whole.
    #[default]
    Silent,
    /// Its last request was answered.
    Idle,
    /// A page is made for it: it stays.
    Answering,
}

impl Connection {
    fn is_at(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a connection that keeps its place for nothing: the oldest that never sent a request, or else
    /// the oldest that waits for another one.
    fn make_room(&self) {
        let mut open = self.lock();
        let stage = |connection: &Connection| {
            *connection
                .stage
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let stages = open.iter().map(|(number, held)| (stage(held), *number));
        let oldest = stages.filter(|(stage, _)| *stage != Stage::Answering).min();
        if let Some(held) = oldest.and_then(|(_, number)| open.remove(&number)) {
            held.put_off.notify_one();
        }
    }
}

async fn accept(listener: std::net::TcpListener, site: Arc<Site>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = Arc::new(Connections::default());
    for number in 0.. {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, or a client that has gone: neither is a reason to spin.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let permit = loop {
            if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
                break permit;
            }
            connections.make_room();
            let next = Arc::clone(&room).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(ROOM_TIME, next).await {
                break permit;
            }
        };
        let connection = Arc::new(Connection::default());
        connections.lock().insert(number, Arc::clone(&connection));
        let (site, connections) = (Arc::clone(&site), Arc::clone(&connections));
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (site, connection) = (Arc::clone(&site), Arc::clone(&connection));
                async move {
                    connection.is_at(Stage::Answering);
                    let response = answer(site, request).await;
                    connection.is_at(Stage::Idle);
                    response
                }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = tokio::time::timeout(CONNECTION_TIME, served) => {}
                () = connection.put_off.notified() => {}
            }
            connections.lock().remove(&number);
            drop(permit);
        });
    }
}

async fn answer(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    // Two of them, and two readers may believe different ones (RFC 9112, section 3.2).
    if hosts.next().is_some() {
        let text = "400: more than one Host\n";
        return Ok(respond(StatusCode::BAD_REQUEST, text.to_owned()));
    }
    // A whole address in the request's line goes before the header.
    let hosts = [host, request.uri().host()];
    let has_foreign = hosts.iter().flatten().any(|host| !is_own(host, site.own));
    if host.is_none() || has_foreign {
        let text = "421: this name is not answered here; use the address that weir listens on\n";
        return Ok(respond(StatusCode::MISDIRECTED_REQUEST, text.to_owned()));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let text = "405: only GET\n".to_owned();
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, text);
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return Ok(response);
    }
    let path = request.uri().path();
    let is_probe = ["/health", "/ready"].contains(&path);
    if let Some(token) = site.token.as_ref().filter(|_| !is_probe)
        && !has_token(request.headers(), token)
    {
        let text = "401: the token of the configuration is missing\n".to_owned();
        let mut response = respond(StatusCode::UNAUTHORIZED, text);
        let asked = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, asked);
        return Ok(response);
    }
    Ok(match path {
        "/metrics" => match page(&site).await {
            Some(page) => {
                let mut response = respond(StatusCode::OK, page);
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            None => respond(
                StatusCode::SERVICE_UNAVAILABLE,
                "503: there is no page now\n".to_owned(),
            ),
        },
        "/health" => {
            let health = site.health.lock().unwrap_or_else(PoisonError::into_inner);
            match &*health {
                Health::Well => respond(StatusCode::OK, "ok\n".to_owned()),
                Health::Degraded(why) => respond(StatusCode::OK, format!("degraded: {why}\n")),
                Health::Ill(why) => {
                    respond(StatusCode::SERVICE_UNAVAILABLE, format!("503: {why}\n"))
                }
            }
        }
        "/ready" if site.ready.load(Ordering::Relaxed) => {
            respond(StatusCode::OK, "ready\n".to_owned())
        }
        "/ready" => respond(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".to_owned()),
        _ => respond(
            StatusCode::NOT_FOUND,
            "404: there are /metrics, /health and /ready\n".to_owned(),
        ),
    })
}

/// Whether a request brings the token: `Authorization: Bearer TOKEN`, once.
fn has_token(headers: &HeaderMap, token: &Secret) -> bool {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(given), None) = (given.next(), given.next()) else {
        return false;
    };
    let given = given.as_bytes();
    let Some((scheme, given)) = given.split_at_checked(SCHEME.len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(SCHEME) && is_same(given, token.expose().as_bytes())
}

/// Compares in a time that depends on the lengths alone, so that no answer's time tells how many bytes
/// of a guess were right.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let pairs = given.iter().zip(wanted);
    let difference = pairs.fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    given.len() == wanted.len() && difference == 0
}

/// Asks for the page, on a thread that may wait.
async fn page(site: &Arc<Site>) -> Option<String> {
    let site = Arc::clone(site);
    let page = tokio::task::spawn_blocking(move || {
        let (reply, page) = crossbeam_channel::bounded(1);
        site.pages
            .send_timeout(PageRequest { reply }, PAGE_TIME)
            .ok()?;
        page.recv_timeout(PAGE_TIME).ok()
    });
    page.await.ok().flatten()
}

fn respond(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    let headers = response.headers_mut();
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    headers.insert("cache-control", HeaderValue::from_static("no-store"));
    response
}

/// Whether a `Host` header names this machine: a loopback name, the address that is listened on, or any
/// address if that is all of them. Names that somebody else could make point here are refused.
fn is_own(host: &str, own: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match name.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address == own || own.is_unspecified(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_no_loopback() {
        for (listen, want) in [
            ("127.0.0.1:9598", true),
            ("127.3.2.1:1", true),
            ("[::1]:9598", true),
            ("[::ffff:127.0.0.1]:9598", true),
            ("localhost:9598", true),
            ("0.0.0.0:9598", false),
            ("[::]:9598", false),
            ("10.0.0.7:9598", false),
            ("weir.example:9598", false),
            ("localhost.example:9598", false),
        ] {
            assert_eq!(is_loopback(listen), want, "{listen}");
        }
    }

    #[test]
    fn a_token_is_the_whole_of_it() {
        for (given, want) in [
            ("Bearer secret", true),
            ("bearer secret", true),
            ("Bearer secre", false),
            ("Bearer secrets", false),
            ("Bearer ", false),
            ("Bearer", false),
            ("secret", false),
            ("Basic secret", false),
            ("Bearer  secret", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(given));
            assert_eq!(has_token(&headers, &Secret::new("secret")), want, "{given}");
        }
        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
        assert!(!has_token(&twice, &Secret::new("secret")));
    }

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        for (host, own, want) in [
            ("localhost:9598", "127.0.0.1", true),
            ("LOCALHOST", "127.0.0.1", true),
            ("127.0.0.1:9598", "127.0.0.1", true),
            ("127.9.9.9", "127.0.0.1", true),
            ("[::1]:9598", "127.0.0.1", true),
            ("evil.example", "127.0.0.1", false),
            ("evil.example:9598", "0.0.0.0", false),
            ("localhost.evil.example", "127.0.0.1", false),
            ("10.0.0.7:9598", "127.0.0.1", false),
            ("10.0.0.7:9598", "10.0.0.7", true),
            ("10.0.0.8:9598", "10.0.0.7", false),
            ("10.0.0.8:9598", "0.0.0.0", true),
            ("", "127.0.0.1", false),
            ("[", "127.0.0.1", false),
        ] {
            assert_eq!(is_own(host, own.parse().unwrap()), want, "{host} on {own}");
        }
    }
}
