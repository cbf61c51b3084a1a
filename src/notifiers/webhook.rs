//! Any HTTP receiver: Alertmanager's webhook body, with a signature if there is a secret.

use ring::hmac;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::component::{self, Keys};
use crate::flow::secret::Secret;
use crate::net::http::{self, Attempt, Post};
use crate::net::redact;
use crate::notifiers::body;
use crate::notifiers::{Configured, Context, Message, Notify};

/// A POST of Alertmanager's webhook body, version 4.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// Where to post to.
    #[schemars(extend("format" = "url", "secret" = true))]
    url: Option<String>,
    /// Environment variable that holds the URL.
    #[schemars(extend("format" = "variable", "secret" = true))]
    url_env: Option<String>,
    /// File that holds the URL.
    #[schemars(length(min = 1), extend("secret" = true))]
    url_file: Option<String>,
    /// Environment variable that holds the key of the HMAC-SHA256 signature.
    #[schemars(extend("format" = "variable", "secret" = true))]
    secret_env: Option<String>,
    /// File that holds the key of the HMAC-SHA256 signature.
    #[schemars(length(min = 1), extend("secret" = true))]
    secret_file: Option<String>,
    /// Environment variable that holds a bearer token.
    #[schemars(extend("format" = "variable", "secret" = true))]
    token_env: Option<String>,
}

impl Configured for Config {
    type Channel = Webhook;

    const KEYS: &[Keys] = &[
        component::URL,
        Keys::AtMostOne(&["secret_env", "secret_file"]),
    ];

    fn resolve(&self, context: &mut Context) -> Option<Webhook> {
        Some(Webhook {
            url: context.resolver.secret("url")?,
            secret: context.resolver.secret("secret"),
            token: context.resolver.secret("token"),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub url: Secret,
    /// Key of the signature.
    pub secret: Option<Secret>,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
}

impl Notify for Webhook {
    fn address(&self) -> String {
        redact::address(self.url.expose()) + ": "
    }

    /// `X-Weir-Signature: sha256=…` is the HMAC-SHA256 of the body; `Idempotency-Key` is the same however
    /// often the notification is sent.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message {
            client,
            notification,
            words,
            ..
        } = message;
        let body = body::webhook(notification, words).to_string().into_bytes();
        let mut headers = vec![("idempotency-key", notification.id.clone())];
        if let Some(secret) = &self.secret {
            headers.push(("x-weir-signature", signature(secret, &body)));
        }
        let post = Post {
            url: &self.url,
            content_type: "application/json",
            bearer: self.token.as_ref(),
            login: None,
            hidden: self.secret.as_ref(),
            headers,
            body,
        };
        http::post(client, post).await
    }
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
