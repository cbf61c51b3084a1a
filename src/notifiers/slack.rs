//! Slack's incoming webhooks (and what speaks like them: Mattermost, Rocket.Chat, Discord's `/slack`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::component::{self, Keys};
use crate::flow::secret::Secret;
use crate::net::http::{self, Attempt, Post};
use crate::net::redact;
use crate::notifiers::text::{self, Escape};
use crate::notifiers::{Configured, Context, Message, Notify};

/// Characters of one message; Slack cuts at 40,000 and hides much less behind "show more".
const TEXT_CHARACTERS_MAX: usize = 8000;

/// A Slack channel, by an incoming webhook.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// URL of the incoming webhook.
    #[schemars(extend("format" = "url", "secret" = true))]
    url: Option<String>,
    /// Environment variable that holds the URL.
    #[schemars(extend("format" = "variable", "secret" = true))]
    url_env: Option<String>,
    /// File that holds the URL.
    #[schemars(length(min = 1), extend("secret" = true))]
    url_file: Option<String>,
    /// The channel, if not the webhook's own.
    #[schemars(length(min = 1))]
    channel: Option<String>,
}

impl Configured for Config {
    type Channel = Slack;

    const KEYS: &[Keys] = &[component::URL];

    fn resolve(&self, context: &mut Context) -> Option<Slack> {
        Some(Slack {
            url: context.resolver.secret("url")?,
            channel: self.channel.clone(),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Slack {
    /// The address is the password.
    pub url: Secret,
    /// Another channel than the address's own, where the receiver allows it.
    pub channel: Option<String>,
}

impl Notify for Slack {
    fn address(&self) -> String {
        redact::address(self.url.expose()) + ": "
    }

    fn escape(&self) -> Escape {
        Escape::Slack
    }

    /// The words come escaped for Slack. Links in log lines are not looked up by Slack's servers.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let Message { client, words, .. } = message;
        let mut body = json!({
            "text": text::cut(&format!("*{}*\n{}", words.title, words.text), TEXT_CHARACTERS_MAX),
            "unfurl_links": false,
            "unfurl_media": false,
        });
        if let Some(channel) = &self.channel {
            body["channel"] = channel.as_str().into();
        }
        let post = Post {
            url: &self.url,
            content_type: "application/json",
            bearer: None,
            login: None,
            hidden: None,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        };
        http::post(client, post).await
    }
}
