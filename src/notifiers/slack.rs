//! Slack's incoming webhooks (and what speaks like them: Mattermost, Rocket.Chat, Discord's `/slack`).

use reqwest::Client;
use serde_json::json;

use crate::flow::secret::Secret;
use crate::net::http::{self, Attempt, Post};
use crate::notifiers::text::{self, Words};

/// Characters of one message; Slack cuts at 40,000 and hides much less behind "show more".
const TEXT_CHARACTERS_MAX: usize = 8000;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The address is the password.
    pub url: Secret,
    /// Another channel than the address's own, where the receiver allows it.
    pub channel: Option<String>,
}

/// The words come escaped for Slack. Links in log lines are not looked up by Slack's servers.
pub async fn send(settings: &Settings, client: &Client, words: &Words) -> Attempt {
    let mut body = json!({
        "text": text::cut(&format!("*{}*\n{}", words.title, words.text), TEXT_CHARACTERS_MAX),
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if let Some(channel) = &settings.channel {
        body["channel"] = channel.as_str().into();
    }
    let post = Post {
        url: &settings.url,
        content_type: "application/json",
        bearer: None,
        login: None,
        hidden: None,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    };
    http::post(client, post).await
}
