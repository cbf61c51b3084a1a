//! Any HTTP receiver: Alertmanager's webhook body, with a signature if there is a secret.

use reqwest::Client;
use ring::hmac;

use crate::flow::alert::Notification;
use crate::flow::secret::Secret;
use crate::net::http::{self, Attempt, Post};
use crate::notifiers::body;
use crate::notifiers::text::Words;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub url: Secret,
    /// Key of the signature.
    pub secret: Option<Secret>,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
}

/// `X-Weir-Signature: sha256=…` is the HMAC-SHA256 of the body; `Idempotency-Key` is the same however
/// often the notification is sent.
pub async fn send(
    settings: &Settings,
    client: &Client,
    notification: &Notification,
    words: &Words,
) -> Attempt {
    let body = body::webhook(notification, words).to_string().into_bytes();
    let mut headers = vec![("idempotency-key", notification.id.clone())];
    if let Some(secret) = &settings.secret {
        headers.push(("x-weir-signature", signature(secret, &body)));
    }
    let post = Post {
        url: &settings.url,
        content_type: "application/json",
        bearer: settings.token.as_ref(),
        login: None,
        hidden: settings.secret.as_ref(),
        headers,
        body,
    };
    http::post(client, post).await
}

/// `sha256=` and 64 hexadecimal digits.
pub fn signature(secret: &Secret, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut text = "sha256=".to_owned();
    for byte in hmac::sign(&key, body).as_ref() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_rfc_4231_says() {
        // Test case 2 of RFC 4231.
        assert_eq!(
            signature(&Secret::new("Jefe"), b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
