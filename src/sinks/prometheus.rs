//! The endpoint that Prometheus scrapes: `/metrics`, `/health` and `/ready`. It knows nothing of what is
//! on the page: it asks for one. Only names of this machine are answered, so that no web page can read
//! it through a name that it made point here.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

/// Connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may live; who scrapes for longer opens another.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// How long a page may take: the fold makes it between two batches.
const PAGE_TIME: Duration = Duration::from_secs(5);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

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
    /// Listens on `listen`, such as `127.0.0.1:9598`. Pages are asked for through `pages`, whose other end
    /// must be looked at within five seconds; `/ready` says 200 while `ready` is set.
    pub fn start(
        listen: &str,
        pages: Sender<PageRequest>,
        ready: Arc<AtomicBool>,
    ) -> io::Result<Endpoint> {
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
            pages,
            ready,
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
    pages: Sender<PageRequest>,
    ready: Arc<AtomicBool>,
}

async fn accept(listener: std::net::TcpListener, site: Arc<Site>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, or a client that has gone: neither is a reason to spin.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&site), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
            drop(permit);
        });
    }
}

async fn answer(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    if !host.is_some_and(|host| is_own(host, site.own)) {
        let text = "421: this name is not answered here; use the address that weir listens on\n";
        return Ok(respond(StatusCode::MISDIRECTED_REQUEST, text.to_owned()));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Ok(respond(
            StatusCode::METHOD_NOT_ALLOWED,
            "405: only GET\n".to_owned(),
        ));
    }
    Ok(match request.uri().path() {
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
        "/health" => respond(StatusCode::OK, "ok\n".to_owned()),
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
