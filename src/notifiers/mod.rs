//! Where alerts go: one file a channel (`registry.rs` lists them). A channel says how one message is
//! sent and what an answer means; `delivery` decides when, in which order and how often; `text` writes what people read.
//! What is sent, to whom and when it is due was decided before (`rules`).

pub mod body;
pub mod delivery;
pub mod heartbeat;
pub mod journal;
mod lane;
mod queue;
pub mod text;

use std::path::Path;
use std::time::Duration;

use crate::component::{Keys, Resolver, configurations};
use crate::flow::alert::Notification;
use crate::net::http::Attempt;
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

/// What a channel may ask for while its configuration is resolved.
pub struct Context<'c> {
    pub resolver: &'c mut dyn Resolver,
    /// Environment variables that hold secrets of the configuration.
    pub secret_variables: Vec<String>,
    /// How often the notifier repeats an alert that still fires.
    pub repeat_interval: Duration,
}

/// The configuration of a channel: the keys of `[[notifier]]` beside those that every notifier has.
pub(crate) trait Configured {
    type Channel;

    /// Keys that depend on each other.
    const KEYS: &[Keys] = &[];

    /// The channel, ready to send. `None` after a mistake, which the resolver has reported.
    fn resolve(&self, context: &mut Context) -> Option<Self::Channel>;

    /// A file that it appends alerts to.
    fn appends_to(&self) -> Option<&str> {
        None
    }
}

/// A channel that can send. Several attempts may run at once; they run on the one thread of deliveries.
pub(crate) trait Notify {
    /// What a failure is named after if the receiver gave no reason, with a colon.
    fn address(&self) -> String;

    /// What text is written for. JSON keeps every character apart from its own.
    fn escape(&self) -> Escape {
        Escape::None
    }

    /// Attempts that may run at once. Local files and standard output take one after the other, so that
    /// whole lines stand in order.
    fn attempts_at_once(&self) -> usize {
        4
    }

    /// A write to a file or pipe cannot be called back, so it has no deadline.
    fn has_deadline(&self) -> bool {
        true
    }

    /// Alerts that one message can hold.
    fn alerts_max(&self) -> usize {
        usize::MAX
    }

    /// Addresses that one message goes to. If one of them is refused, each gets a message of its own.
    fn recipients(&self) -> &[String] {
        &[]
    }

    /// A file that it appends alerts to.
    fn appends_to(&self) -> Option<&Path> {
        None
    }

    /// Sends one message, once. The caller sets the deadline.
    async fn send(&self, message: Message<'_>) -> Attempt
    where
        Self: Sized;
}

/// What one attempt sends.
pub(crate) struct Message<'m> {
    pub client: &'m reqwest::Client,
    pub notification: &'m Notification,
    pub words: &'m Words,
    /// The only one of [`Notify::recipients`] that gets it.
    pub recipient: Option<usize>,
    /// Limit of the attempt.
    pub timeout: Duration,
}

/// Makes the modules and both enums of the list, and hands their calls on.
macro_rules! make {
    ($($Variant:ident: $file:ident,)*) => {
        configurations! {
            /// A kind of notifier.
            $($Variant: $file,)*
        }

        impl Config {
            /// Keys that depend on each other, by the name of the kind.
            pub fn keys(kind: &str) -> &'static [Keys] {
                match kind {
                    $(stringify!($file) => <$file::Config as Configured>::KEYS,)*
                    _ => &[],
                }
            }

            /// The channel, ready to send. `None` after a mistake, which the resolver has reported.
            pub fn resolve(&self, context: &mut Context) -> Option<Channel> {
                match self {
                    $(Config::$Variant(config) => config.resolve(context).map(Channel::$Variant),)*
                }
            }

            /// A file that it appends alerts to.
            pub fn appends_to(&self) -> Option<&str> {
                match self {
                    $(Config::$Variant(config) => config.appends_to(),)*
                }
            }
        }

        /// A channel with everything resolved.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Channel {
            $($Variant($file::$Variant),)*
        }

        impl Channel {
            /// As in the configuration.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Channel::$Variant(_) => stringify!($file),)*
                }
            }

            fn contract(&self) -> &dyn Notify {
                match self {
                    $(Channel::$Variant(channel) => channel,)*
                }
            }

            async fn send(&self, message: Message<'_>) -> Attempt {
                match self {
                    $(Channel::$Variant(channel) => channel.send(message).await,)*
                }
            }
        }
    };
}

channels!(make);

impl Channel {
    /// What a failure is named after if the receiver gave no reason, with a colon.
    pub fn address(&self) -> String {
        self.contract().address()
    }

    /// A file that it appends alerts to.
    pub fn appends_to(&self) -> Option<&Path> {
        self.contract().appends_to()
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
        whole.cut(channel.contract().alerts_max())
    }

    /// Smaller pieces after [`Attempt::Divide`]; `None` if there are none.
    fn split(&self, channel: &Channel) -> Option<Vec<Part>> {
        let recipients = channel.contract().recipients().len();
        if recipients > 0 {
            // One address that is refused must not keep the others from their mail.
            let part = |recipient| Part {
                notification: self.notification.clone(),
                recipient: Some(recipient),
            };
            let is_whole = self.recipient.is_none() && recipients > 1;
            return is_whole.then(|| (0..recipients).map(part).collect());
        }
        let alerts = self.notification.alerts.len();
        (alerts > 1).then(|| self.cut(alerts.div_ceil(2)))
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
        let message = Message {
            client: &self.client,
            notification: &part.notification,
            words,
            recipient: part.recipient,
            timeout: self.settings.timeout,
        };
        self.settings.channel.send(message).await
    }
}
