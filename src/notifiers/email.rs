//! E-mail by SMTP: plain text, all recipients in one mail. Nothing that comes from a log can add a
//! header or a recipient.

use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::component::Keys;
use crate::flow::secret::Secret;
use crate::net::http::Attempt;
use crate::net::{redact, tls};
use crate::notifiers::text::Escape;
use crate::notifiers::{Configured, Context, Message, Notify};

/// Keys that name the password.
const PASSWORDS: &[&str] = &["password_env", "password_file"];

/// E-mail, by SMTP.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Config {
    /// The mail server, for example `smtp://mail.example.com:587`.
    #[schemars(extend("format" = "smtp-url", "secret" = true))]
    smtp: String,
    /// How the connection is secured.
    #[serde(default)]
    tls: Tls,
    /// Address of the sender.
    #[schemars(extend("format" = "mailbox"))]
    from: String,
    /// Addresses of those who get it.
    #[schemars(length(min = 1), extend("items" = { "type": "string", "format": "mailbox" }))]
    recipients: Vec<String>,
    /// User for the mail server.
    #[schemars(length(min = 1))]
    user: Option<String>,
    /// Environment variable that holds the password.
    #[schemars(extend("format" = "variable", "secret" = true))]
    password_env: Option<String>,
    /// File that holds the password.
    #[schemars(length(min = 1), extend("secret" = true))]
    password_file: Option<String>,
}

impl Configured for Config {
    type Channel = Email;

    const KEYS: &[Keys] = &[
        Keys::AtMostOne(PASSWORDS),
        Keys::Together("user", PASSWORDS),
    ];

    fn resolve(&self, context: &mut Context) -> Option<Email> {
        let (host, port) = server(&self.smtp);
        Some(Email {
            host,
            port,
            tls: self.tls,
            from: self.from.clone(),
            recipients: self.recipients.clone(),
            user: self.user.clone(),
            password: context.resolver.secret("password"),
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Email {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// `name@example.com` or `Name <name@example.com>`.
    pub from: String,
    /// At least one.
    pub recipients: Vec<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
}

/// How the connection is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Tls {
    None,
    // The connection becomes a secret one before anything is said; without it nothing is sent.
    #[default]
    StartTls,
    // Secret from its first byte.
    Tls,
}

fn mailbox(address: &str) -> Result<Mailbox, String> {
    address
        .parse()
        .map_err(|_| format!("{address:?} is no e-mail address"))
}

impl Notify for Email {
    fn address(&self) -> String {
        format!("{}:{}: ", self.host, self.port)
    }

    fn escape(&self) -> Escape {
        Escape::Line
    }

    fn attempts_at_once(&self) -> usize {
        2
    }

    fn recipients(&self) -> &[String] {
        &self.recipients
    }

    /// Sends one mail. Its Message-ID is the same however often it is sent.
    async fn send(&self, message: Message<'_>) -> Attempt {
        let refused = |reason: String| Attempt::Refused { reason };
        let (envelope, mail) = match write(self, &message) {
            Ok(mail) => mail,
            Err(reason) => return refused(reason),
        };
        let transport = match transport(self, message.timeout) {
            Ok(transport) => transport,
            Err(error) => return refused(format!("{}: {error}", self.host)),
        };
        match transport.send_raw(&envelope, &mail).await {
            Ok(response) => {
                let said: Vec<&str> = response.message().collect();
                Attempt::Delivered {
                    answer: shown(self, &format!("{} {}", response.code(), said.join(" "))),
                }
            }
            Err(error) => {
                let reason = tls::reason(&error).unwrap_or_else(|| {
                    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
                    error.to_string() + &cause.unwrap_or_default()
                });
                let reason = format!("{}:{}: {}", self.host, self.port, shown(self, &reason));
                // 53x refuses the login, not a recipient's address.
                let is_about_login = error
                    .status()
                    .is_some_and(|code| code.to_string().starts_with("53"));
                if !error.is_permanent() {
                    Attempt::Later {
                        reason,
                        after: None,
                    }
                } else if is_about_login || message.recipient.is_some() {
                    refused(reason)
                } else {
                    Attempt::Divide { reason }
                }
            }
        }
    }
}

fn shown(settings: &Email, text: &str) -> String {
    let secrets: Vec<&Secret> = settings.password.iter().collect();
    redact::answer(text, &secrets)
}

/// The mail and whom it goes to.
fn write(settings: &Email, message: &Message) -> Result<(Envelope, Vec<u8>), String> {
    let from = mailbox(&settings.from)?;
    let everybody: Vec<Mailbox> = settings
        .recipients
        .iter()
        .map(|recipient| mailbox(recipient))
        .collect::<Result<_, _>>()?;
    let addressed = match message.recipient {
        Some(number) => everybody.get(number).into_iter().cloned().collect(),
        None => everybody.clone(),
    };
    let envelope = Envelope::new(
        Some(from.email.clone()),
        addressed
            .into_iter()
            .map(|recipient| recipient.email)
            .collect(),
    )
    .map_err(|error| error.to_string())?;
    let everybody: Mailboxes = everybody.into_iter().collect();
    let id: String = message
        .notification
        .id
        .chars()
        .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
        .collect();
    let mail = lettre::Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .from(from)
        .mailbox(lettre::message::header::To::from(everybody))
        .subject(one_line(&message.words.title))
        .date_now()
        .header(ContentType::TEXT_PLAIN)
        .body(message.words.text.replace('\r', ""))
        .map_err(|error| error.to_string())?;
    Ok((envelope, mail.formatted()))
}

/// A header's value: a line break in it would begin a header of somebody else's.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

fn transport(
    settings: &Email,
    timeout: Duration,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
    let parameters = || {
        let mut builder = TlsParameters::builder(settings.host.clone());
        if !tls::machine_has_authorities() {
            builder = builder.certificate_store(CertificateStore::WebpkiRoots);
        }
        builder.build_rustls()
    };
    let tls = match settings.tls {
        Tls::None => lettre::transport::smtp::client::Tls::None,
        Tls::StartTls => lettre::transport::smtp::client::Tls::Required(parameters()?),
        Tls::Tls => lettre::transport::smtp::client::Tls::Wrapper(parameters()?),
    };
    let mut builder =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host.clone())
            .port(settings.port)
            .timeout(Some(timeout))
            .tls(tls);
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.contains('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    {
        builder = builder.hello_name(ClientId::Domain(name));
    }
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose().to_owned()));
    }
    Ok(builder.build())
}

/// Host and port of `smtp://host:port`.
fn server(url: &str) -> (String, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("smtp", url));
    let rest = rest.trim_end_matches('/');
    let port = if scheme == "smtps" { 465 } else { 25 };
    match rest.rsplit_once(':') {
        Some((host, digits)) if !digits.is_empty() => {
            (host.to_owned(), digits.parse().unwrap_or(port))
        }
        _ => (rest.to_owned(), port),
    }
}
