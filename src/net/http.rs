//! One HTTP request and what came of it. Redirects are not followed, certificates are verified, and
//! what is shown of a failure holds no path, query or login.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::flow::secret::Secret;
use crate::net::{redact, retry, tls};

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 4096;

/// Connections that are kept open to one host while there is nothing to send.
const IDLE_CONNECTIONS: usize = 2;

/// A client for all requests of one thread. Fails only if TLS cannot be set up.
pub fn client() -> io::Result<Client> {
    Client::builder()
        .tls_backend_preconfigured(tls::client()?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(concat!("logweir/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()
        .map_err(io::Error::other)
}

/// What one POST carries.
#[derive(Debug)]
pub struct Post<'p> {
    pub url: &'p Secret,
    pub content_type: &'p str,
    pub bearer: Option<&'p Secret>,
    pub login: Option<(&'p str, Option<&'p Secret>)>,
    /// Further secrets of the request, which an answer may not bring back.
    pub hidden: Option<&'p Secret>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A 2xx with a whole answer.
    Delivered { answer: String },
    /// It may go through later; a wait if the server named one.
    Later {
        reason: String,
        after: Option<Duration>,
    },
    /// It will never go through as it is.
    Refused { reason: String },
    /// It may go through in smaller pieces: too large, or refused for some of its recipients.
    Divide { reason: String },
}

/// Sends one request. The caller sets the deadline.
pub async fn post(client: &Client, post: Post<'_>) -> Attempt {
    let mut secrets = vec![post.url];
    secrets.extend(post.bearer);
    secrets.extend(post.hidden);
    secrets.extend(post.login.and_then(|(_, password)| password));
    let address = redact::address(post.url.expose());
    let later = |reason: String| Attempt::Later {
        reason: format!("{address}: {}", redact::answer(&reason, &secrets)),
        after: None,
    };
    let Ok(url) = reqwest::Url::parse(post.url.expose()) else {
        return Attempt::Refused { reason: address };
    };
    let mut request = client.post(url).header(CONTENT_TYPE, post.content_type);
    for (name, value) in &post.headers {
        request = request.header(*name, value);
    }
    if let Some(token) = post.bearer {
        request = request.bearer_auth(token.expose());
    }
    if let Some((user, password)) = post.login {
        request = request.basic_auth(user, password.map(Secret::expose));
    }
    let response = request.body(post.body).send().await;
    let mut response = match response {
        Ok(response) => response,
        Err(error) if error.is_builder() => {
            // A header value that cannot be sent, such as a token with a line feed.
            return Attempt::Refused {
                reason: format!("{address}: {}", redact::answer(&causes(error), &secrets)),
            };
        }
        Err(error) => return later(causes(error)),
    };
    let status = response.status();
    let after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry::retry_after(value, SystemTime::now()));
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) if body.len() < ANSWER_BYTES => body.extend_from_slice(&bytes),
            Ok(Some(_) | None) => break,
            // Who closes in the midst of the answer may not have taken in what was sent.
            Err(error) if status.is_success() => return later(causes(error)),
            Err(_) => break,
        }
    }
    body.truncate(ANSWER_BYTES);
    let said = redact::answer(&String::from_utf8_lossy(&body), &secrets);
    let answer = format!("{} {said}", status.as_u16()).trim_end().to_owned();
    let reason = format!("{address}: {answer}");
    match status.as_u16() {
        200..=299 => Attempt::Delivered { answer },
        408 | 425 | 429 | 500..=599 => Attempt::Later { reason, after },
        413 => Attempt::Divide { reason },
        300..=399 => Attempt::Refused {
            reason: format!(
                "{address}: {} and redirects are not followed",
                status.as_u16()
            ),
        },
        _ => Attempt::Refused { reason },
    }
}

/// An error with its causes, without the URL.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    if let Some(reason) = tls::reason(&error) {
        return reason;
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
