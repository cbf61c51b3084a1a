//! Where alerts go: one file a channel. A channel says how one message is sent and what an answer
//! means; `delivery` decides when, in which order and how often; `text` writes what people read.
//! What is sent, to whom and when it is due was decided before (`rules`).

pub mod alertmanager;
pub mod body;
pub mod command;
pub mod delivery;
pub mod email;
pub mod file;
pub mod journal;
mod lane;
pub mod pagerduty;
mod queue;
pub mod slack;
pub mod stdout;
pub mod text;
pub mod webhook;

use std::time::Duration;

use crate::flow::alert::Notification;
use crate::net::http::Attempt;
use crate::net::redact;
use crate::notifiers::text::{Escape, Texts, Words};

/// One notifier with everything resolved: addresses read, secrets fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub name: String,
    pub channel: Channel,
    /// Limit of one attempt, from the connection to the whole answer.
    pub timeout: Duration,
    /// How long after its first attempt a notification is tried again.
    pub give_up: Duration,
    pub rate: Rate,
    /// Templates (see `text`); `None` for the words that weir has of its own.
    pub title: Option<String>,
    pub text: Option<String>,
}

/// A token bucket: `count` attempts at once, refilled evenly over `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    Stdout,
    File(file::Settings),
    Webhook(webhook::Settings),
    Slack(slack::Settings),
    PagerDuty(pagerduty::Settings),
    Alertmanager(alertmanager::Settings),
    Email(email::Settings),
    Command(command::Settings),
}

impl Channel {
    /// As in the configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Channel::Stdout => "stdout",
            Channel::File(_) => "file",
            Channel::Webhook(_) => "webhook",
            Channel::Slack(_) => "slack",
            Channel::PagerDuty(_) => "pagerduty",
            Channel::Alertmanager(_) => "alertmanager",
            Channel::Email(_) => "email",
            Channel::Command(_) => "command",
        }
    }

    /// What a failure that the receiver said nothing about is named after, with a colon.
    pub fn address(&self) -> String {
        match self {
            Channel::Stdout => String::new(),
            Channel::File(settings) => format!("{}: ", settings.path.display()),
            Channel::Webhook(settings) => redact::address(settings.url.expose()) + ": ",
            Channel::Slack(settings) => redact::address(settings.url.expose()) + ": ",
            Channel::PagerDuty(settings) => redact::address(settings.url.expose()) + ": ",
            Channel::Alertmanager(settings) => redact::address(settings.url.expose()) + ": ",
            Channel::Email(settings) => format!("{}:{}: ", settings.host, settings.port),
            Channel::Command(settings) => settings
                .argv
                .first()
                .map_or(String::new(), |program| format!("{program}: ")),
        }
    }

    /// What text is written for.
    fn escape(&self) -> Escape {
        match self {
            Channel::Stdout | Channel::Email(_) => Escape::Line,
            Channel::Slack(_) => Escape::Slack,
            // JSON keeps every character apart from its own.
            _ => Escape::None,
        }
    }

    /// Attempts that may be under way at once. Local files and standard output take one after the
    /// other, so that whole lines stand in order.
    fn attempts_at_once(&self) -> usize {
        match self {
            Channel::Stdout | Channel::File(_) => 1,
            Channel::Email(_) | Channel::Command(_) => 2,
            _ => 4,
        }
    }

    /// A write to a file or pipe cannot be called back, so it has no deadline.
    fn has_deadline(&self) -> bool {
        !matches!(self, Channel::Stdout | Channel::File(_))
    }
}

/// One message of a notification: all of it, or a piece of it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// With the alerts of this piece, under an id of its own.
    pub notification: Notification,
    /// The one recipient of an e-mail, if the others have it or refused it.
    pub recipient: Option<usize>,
}

impl Part {
    /// The first messages of a notification.
    fn of(channel: &Channel, notification: &Notification) -> Vec<Part> {
        let whole = Part {
            notification: notification.clone(),
            recipient: None,
        };
        match channel {
            // One request can hold one alert.
            Channel::PagerDuty(_) => whole.cut(1),
            _ => vec![whole],
        }
    }

    /// Smaller pieces after [`Attempt::Divide`]; `None` if there are none.
    fn split(&self, channel: &Channel) -> Option<Vec<Part>> {
        match channel {
            // One address that is refused must not keep the others from their mail.
            Channel::Email(settings) => {
                let part = |recipient| Part {
                    notification: self.notification.clone(),
                    recipient: Some(recipient),
                };
                let is_whole = self.recipient.is_none() && settings.recipients.len() > 1;
                is_whole.then(|| (0..settings.recipients.len()).map(part).collect())
            }
            _ => {
                let alerts = self.notification.alerts.len();
                (alerts > 1).then(|| self.cut(alerts.div_ceil(2)))
            }
        }
    }

    /// Pieces of `size` alerts.
    fn cut(&self, size: usize) -> Vec<Part> {
        if self.notification.alerts.len() <= size {
            return vec![self.clone()];
        }
        let pieces = self.notification.alerts.chunks(size).enumerate();
        let piece = |(number, alerts): (usize, &[crate::flow::alert::Alert])| {
            let mut part = Part {
                notification: Notification {
                    id: format!("{}-{}", self.notification.id, number + 1),
                    alerts: alerts.to_vec(),
                    status: text::status(alerts),
                    left_out: 0,
                    ..self.notification.clone()
                },
                recipient: self.recipient,
            };
            if number == 0 {
                part.notification.left_out = self.notification.left_out;
            }
            part
        };
        pieces.map(piece).collect()
    }
}

/// A notifier that can send.
pub(crate) struct Notifier {
    pub settings: Settings,
    pub texts: Texts,
    pub client: reqwest::Client,
}

impl Notifier {
    /// Sends one message, once. The caller sets the deadline.
    async fn send(&self, part: &Part, words: &Words) -> Attempt {
        let notification = &part.notification;
        let client = &self.client;
        match &self.settings.channel {
            Channel::Stdout => stdout::send(notification, words).await,
            Channel::File(settings) => file::send(settings, notification).await,
            Channel::Webhook(settings) => {
                webhook::send(settings, client, notification, words).await
            }
            Channel::Slack(settings) => slack::send(settings, client, words).await,
            Channel::PagerDuty(settings) => {
                pagerduty::send(settings, client, notification, words).await
            }
            Channel::Alertmanager(settings) => {
                alertmanager::send(settings, client, notification).await
            }
            Channel::Email(settings) => {
                email::send(settings, part, words, self.settings.timeout).await
            }
            Channel::Command(settings) => command::send(settings, notification, words).await,
        }
    }
}
